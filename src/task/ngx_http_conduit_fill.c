
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_advance.h>
#include <ngx_http_conduit_fill.h>


/*
 * The start: a new zone is filled from the store, by the master, before there
 * are workers, or by a thread of one of them, while all of them wait.
 */


/*
 * Changes that the store has not kept have raised sequences nevertheless; what
 * comes now must not look older to who has seen them, nor like them.  So each
 * start has so many sequences of its own.
 */

#define NGX_HTTP_CONDUIT_FILL_JUMP  (1 << 20)


typedef struct {
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_log_t                        *log;
    int64_t                           now;
    ngx_uint_t                        tasks;
    ngx_uint_t                        live;
    ngx_uint_t                        hooks;       /* not ended */
    ngx_uint_t                        keys;
    ngx_http_conduit_task_node_t     *task;        /* of the last hook */
    u_char                           *id;          /* the only one; or NULL */
    ngx_uint_t                        size;        /* of buf */
    u_char                           *buf;
    unsigned                          full:1;
} ngx_http_conduit_fill_t;


static ngx_int_t ngx_http_conduit_fill_record(void *data,
    ngx_http_conduit_record_t *record);
static ngx_int_t ngx_http_conduit_fill_lane(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record, ngx_http_conduit_lane_t **lane);
static ngx_int_t ngx_http_conduit_fill_sequence(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record);
static ngx_int_t ngx_http_conduit_fill_node_locked(
    ngx_http_conduit_fill_t *fill, ngx_http_conduit_record_t *record,
    ngx_http_conduit_lane_t *lane);
static ngx_int_t ngx_http_conduit_fill_texts_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_record_t *record);
static void ngx_http_conduit_fill_step_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t step);
static ngx_http_conduit_task_node_t *ngx_http_conduit_fill_task_locked(
    ngx_http_conduit_fill_t *fill, uint64_t number);
static ngx_int_t ngx_http_conduit_fill_hook(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record);
static void ngx_http_conduit_fill_hook_locked(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_kept_hook_t *kept, ngx_http_conduit_hook_draft_t *draft);
static ngx_int_t ngx_http_conduit_fill_key(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record);


ngx_int_t
ngx_http_conduit_fill(ngx_http_conduit_main_conf_t *cdmcf, ngx_log_t *log)
{
    ngx_int_t                 rc;
    ngx_time_t               *tp;
    ngx_msec_t                begun;
    ngx_http_conduit_fill_t   fill;

    ngx_time_update();

    tp = ngx_timeofday();
    begun = ngx_current_msec;

    ngx_memzero(&fill, sizeof(ngx_http_conduit_fill_t));

    fill.cdmcf = cdmcf;
    fill.log = log;
    fill.now = (int64_t) tp->sec * 1000 + tp->msec;

    rc = cdmcf->store->scan(cdmcf->store, ngx_http_conduit_fill_record, &fill);

    if (fill.buf) {
        ngx_free(fill.buf);
    }

    if (fill.full) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "conduit_zone \"%V\" is too small for what conduit_store "
                      "has kept: it was full after %ui tasks, and nothing is "
                      "lost; make it larger", &cdmcf->zone_name, fill.tasks);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_time_update();

    cdmcf->zone.sh->counters.store_loaded = fill.tasks;

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "conduit_store: %ui tasks, %ui of them unfinished, %ui "
                  "webhooks to be sent and %ui Idempotency-Keys are there "
                  "again after %M ms", fill.tasks, fill.live, fill.hooks,
                  fill.keys, ngx_current_msec - begun);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_fill_record(void *data, ngx_http_conduit_record_t *record)
{
    ngx_http_conduit_fill_t  *fill = data;

    ngx_int_t                 rc;
    ngx_http_conduit_zone_t  *zone;
    ngx_http_conduit_lane_t  *lane;

    zone = &fill->cdmcf->zone;

    if (record->document.len == 0) {
        return record->hook ? ngx_http_conduit_fill_hook(fill, record)
                            : ngx_http_conduit_fill_key(fill, record);
    }

    if (ngx_http_conduit_fill_lane(fill, record, &lane) != NGX_OK) {
        return NGX_ERROR;
    }

    if (record->status <= CONDUIT_PROCESSING) {
        fill->live++;

        if (ngx_http_conduit_fill_sequence(fill, record) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_conduit_zone_lock(zone);
    rc = ngx_http_conduit_fill_node_locked(fill, record, lane);
    ngx_http_conduit_zone_unlock(zone);

    if (rc != NGX_OK) {
        fill->full = 1;
        return NGX_ERROR;
    }

    fill->tasks++;

    return NGX_OK;
}


/* a provider that the configuration has lost has its place all the same */

static ngx_int_t
ngx_http_conduit_fill_lane(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record, ngx_http_conduit_lane_t **lane)
{
    ngx_int_t  n;

    n = ngx_http_conduit_provider_index(&fill->cdmcf->zone,
                                        &record->provider);

    if (n != NGX_ERROR) {
        *lane = ngx_http_conduit_lane(&fill->cdmcf->zone, n, &record->lane);
    }

    if (n == NGX_ERROR || *lane == NULL) {
        fill->full = 1;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the number stands in the document, and parts of it lie behind */

static ngx_int_t
ngx_http_conduit_fill_sequence(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record)
{
    u_char      *p, *start, *last, *end;
    size_t       len;
    uint32_t     off;
    uint64_t     first;
    ngx_int_t    shift;
    ngx_uint_t   i;
    uint32_t    *offs[] = { &record->metadata_off, &record->result_off,
                            &record->error_off };

    len = record->document.len + NGX_INT64_LEN;

    if (fill->size < len) {

        if (fill->buf) {
            ngx_free(fill->buf);
        }

        fill->size = 2 * len;

        fill->buf = ngx_alloc(fill->size, fill->log);
        if (fill->buf == NULL) {
            return NGX_ERROR;
        }
    }

    first = fill->cdmcf->store->starts * NGX_HTTP_CONDUIT_FILL_JUMP;

    record->sequence = ngx_max(record->sequence + NGX_HTTP_CONDUIT_FILL_JUMP,
                               first);

    start = record->document.data;
    last = start + record->document.len;

    p = ngx_strnstr(start, ",\"sequence\":", record->document.len);
    if (p == NULL) {
        return NGX_OK;
    }

    p += sizeof(",\"sequence\":") - 1;
    off = (uint32_t) (p - start);

    for (end = p; end < last && *end >= '0' && *end <= '9'; end++) {
        /* void */
    }

    p = ngx_cpymem(fill->buf, start, p - start);
    p = ngx_sprintf(p, "%uL", record->sequence);
    p = ngx_cpymem(p, end, last - end);

    record->document.data = fill->buf;
    record->document.len = p - fill->buf;

    shift = (ngx_int_t) record->document.len - (last - start);

    for (i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
        if (*offs[i] > off) {
            *offs[i] += (uint32_t) shift;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_fill_node_locked(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record, ngx_http_conduit_lane_t *lane)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &fill->cdmcf->zone;

    /* what a process that was killed has got to is there */

    if (ngx_http_conduit_node_find_locked(zone, record->id)) {
        return NGX_OK;
    }

    node = ngx_http_conduit_node_alloc_locked(zone);
    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_http_conduit_record_restore_locked(node, record);

    ngx_memcpy(node->id, record->id, NGX_HTTP_CONDUIT_ID_LEN);

    node->prompt_off = record->prompt_off;
    node->prompt_len = record->prompt_len;
    node->head_len = record->head_len;
    node->status = record->status;

    node->lane = lane;
    node->key = ngx_http_conduit_key_node_locked(zone, &record->key);
    node->deadline = ngx_current_msec
                     + (ngx_msec_int_t) (record->deadline - fill->now);

    if (node->key == NULL
        || ngx_http_conduit_fill_texts_locked(zone, node, record) != NGX_OK)
    {
        ngx_http_conduit_node_free_locked(zone, node);
        return NGX_ERROR;
    }

    if (zone->sh->number < node->number) {
        zone->sh->number = node->number;
    }

    ngx_http_conduit_node_link_locked(zone, node);

    if (node->started) {
        node->begun = node->stamp;
    }

    ngx_http_conduit_fill_step_locked(zone, node, record->step);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_fill_texts_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_record_t *record)
{
    if (ngx_http_conduit_text_set_locked(zone, &node->document,
                                         record->document.data,
                                         record->document.len)
        != NGX_OK
        || ngx_http_conduit_text_set_locked(zone, &node->request,
                                            record->request.data,
                                            record->request.len)
           != NGX_OK
        || ngx_http_conduit_text_set_locked(zone, &node->run,
                                            record->run.data,
                                            record->run.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_conduit_text_set_locked(zone, &node->webhook,
                                            record->webhook.data,
                                            record->webhook.len);
}


/* a job that has been submitted is asked for; all else waits for its turn */

static void
ngx_http_conduit_fill_step_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t step)
{
    node->step = (u_char) step;
    node->next_at = ngx_current_msec;

    if (node->status <= CONDUIT_PROCESSING) {

        if (step == NGX_HTTP_CONDUIT_STEP_POLL) {
            ngx_http_conduit_node_slot_locked(zone, node, 1);

        } else {
            node->step = NGX_HTTP_CONDUIT_STEP_QUEUED;
            ngx_http_conduit_lane_push_locked(zone, node);
        }
    }

    ngx_http_conduit_node_due_locked(zone, node);
}


/* tasks stand in the order of their numbers, and so do their deliveries */

static ngx_http_conduit_task_node_t *
ngx_http_conduit_fill_task_locked(ngx_http_conduit_fill_t *fill,
    uint64_t number)
{
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_task_node_t  *node;

    head = &fill->cdmcf->zone.sh->tasks;
    q = fill->task ? &fill->task->tasks : ngx_queue_head(head);

    for ( /* void */ ; q != head; q = ngx_queue_next(q)) {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        if (node->number >= number) {
            fill->task = node;
            return (node->number == number) ? node : NULL;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_conduit_fill_again(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    ngx_http_conduit_record_t *record)
{
    ngx_time_t               *tp;
    ngx_http_conduit_fill_t   fill;

    tp = ngx_timeofday();

    ngx_memzero(&fill, sizeof(ngx_http_conduit_fill_t));

    fill.cdmcf = cdmcf;
    fill.now = (int64_t) tp->sec * 1000 + tp->msec;
    fill.id = id;

    return ngx_http_conduit_fill_hook(&fill, record);
}


static ngx_int_t
ngx_http_conduit_fill_hook(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record)
{
    ngx_int_t                       rc;
    ngx_http_conduit_zone_t        *zone;
    ngx_http_conduit_task_node_t   *task;
    ngx_http_conduit_kept_hook_t   *kept;
    ngx_http_conduit_hook_draft_t   draft;

    zone = &fill->cdmcf->zone;
    kept = record->hook;
    rc = NGX_DECLINED;

    ngx_memzero(&draft, sizeof(ngx_http_conduit_hook_draft_t));
    ngx_memcpy(draft.id, kept->id, CONDUIT_BASE62_LEN);
    ngx_memcpy(draft.origin, kept->origin, NGX_HTTP_CONDUIT_ID_LEN);

    draft.event = kept->event;
    draft.sequence = kept->sequence;
    draft.created = kept->created;
    draft.body = kept->body;
    draft.rate = kept->rate;
    draft.span = kept->span;
    draft.jose = kept->jose;

    ngx_http_conduit_zone_lock(zone);

    task = fill->id ? ngx_http_conduit_node_find_locked(zone, fill->id)
                    : ngx_http_conduit_fill_task_locked(fill, record->number);

    if (task && ngx_http_conduit_hook_find_locked(zone, kept->id) == NULL) {
        rc = ngx_http_conduit_hook_alloc_locked(zone, &draft, task->key, task);

        if (rc == NGX_OK) {
            ngx_http_conduit_fill_hook_locked(fill, kept, &draft);
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    if (rc == NGX_ERROR) {
        fill->full = 1;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* what has ended is told by lists; what has not goes on with its schedule */

static void
ngx_http_conduit_fill_hook_locked(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_kept_hook_t *kept, ngx_http_conduit_hook_draft_t *draft)
{
    int64_t                        left;
    ngx_uint_t                     state;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_node_t  *hook;

    zone = &fill->cdmcf->zone;
    hook = draft->node;

    hook->updated = kept->updated;
    hook->delivered = kept->delivered;
    hook->attempts = kept->attempts;
    hook->tries = kept->tries;
    hook->last_status = kept->last_status;
    hook->last_failure = kept->last_failure;

    /* a clock that was set back makes no pause longer than it was */

    left = ngx_min(kept->next - fill->now, kept->next - kept->updated);
    hook->next_at = ngx_current_msec + (ngx_msec_int_t) ngx_max(left, 0);

    ngx_http_conduit_hook_link_locked(zone, draft);

    state = kept->state;

    /* after a 410 nothing more was sent for the task */

    if (state == NGX_HTTP_CONDUIT_HOOK_PENDING && hook->task->gone) {
        state = NGX_HTTP_CONDUIT_HOOK_DROPPED;
    }

    if (state == NGX_HTTP_CONDUIT_HOOK_PENDING) {
        fill->hooks++;
        return;
    }

    ngx_http_conduit_hook_restore_locked(zone, hook, state);
}


/* a later key takes the place of one whose task has come to nothing */

static ngx_int_t
ngx_http_conduit_fill_key(ngx_http_conduit_fill_t *fill,
    ngx_http_conduit_record_t *record)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &fill->cdmcf->zone;
    rc = NGX_ERROR;

    ngx_http_conduit_zone_lock(zone);

    idem = ngx_http_conduit_idem_find_locked(zone, record->digest);

    if (idem) {
        ngx_http_conduit_idem_free_locked(zone, idem);
    }

    idem = ngx_http_conduit_idem_insert_locked(zone, record->digest,
                                               record->fingerprint,
                                               record->id);

    if (idem
        && ngx_http_conduit_text_set_locked(zone, &idem->reply,
                                            record->reply.data,
                                            record->reply.len)
           == NGX_OK)
    {
        idem->until = record->until;
        idem->expires = ngx_current_msec
                        + (ngx_msec_int_t) (record->until - fill->now);
        idem->code = (u_short) record->code;
        idem->owner = NGX_HTTP_CONDUIT_NOBODY;

        rc = NGX_OK;
    }

    ngx_http_conduit_zone_unlock(zone);

    if (rc != NGX_OK) {
        fill->full = 1;
        return NGX_ERROR;
    }

    fill->keys++;

    return NGX_OK;
}
