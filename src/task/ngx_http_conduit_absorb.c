
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_advance.h>
#include <conduit_task.h>


/*
 * Tasks that come from the store or from another host into the zone.
 */


typedef struct {
    ngx_http_conduit_record_t        *record;
    ngx_http_conduit_key_node_t      *key;
    ngx_http_conduit_lane_t          *lane;
    ngx_http_conduit_provider_t      *provider;
    ngx_http_conduit_absorb_e         how;
    uint64_t                          lease;       /* claimed here */
    ngx_uint_t                        stop;        /* cell performing it */
    ngx_http_conduit_news_t           news;
} ngx_http_conduit_absorb_t;


static ngx_int_t ngx_http_conduit_absorb(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, ngx_http_conduit_absorb_e how,
    uint64_t ticket);
static void ngx_http_conduit_absorb_ticket_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_absorb_bind(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_absorb_t *ab);
static ngx_int_t ngx_http_conduit_absorb_new_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_absorb_t *ab);
static ngx_int_t ngx_http_conduit_absorb_old_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_absorb_newer_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_absorb_own_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_absorb_come_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_absorb_follow_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_absorb_fill_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_absorb_texts_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_record_t *record,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_absorb_status_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_task_node_t *node,
    ngx_uint_t status);
static void ngx_http_conduit_absorb_times_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_absorb_begin_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static ngx_uint_t ngx_http_conduit_absorb_leased_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_absorb_end_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_absorb_stop_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_absorb_t *ab,
    ngx_http_conduit_task_node_t *node);


ngx_int_t
ngx_http_conduit_task_absorb(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, ngx_http_conduit_absorb_e how)
{
    return ngx_http_conduit_absorb(cdmcf, record, how, 0);
}


ngx_int_t
ngx_http_conduit_task_adopt(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, uint64_t ticket)
{
    return ngx_http_conduit_absorb(cdmcf, record, NGX_HTTP_CONDUIT_ABSORB_OWN,
                                   ticket);
}


static ngx_int_t
ngx_http_conduit_absorb(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, ngx_http_conduit_absorb_e how,
    uint64_t ticket)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_absorb_t      ab;
    ngx_http_conduit_engine_t     *engine;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    engine = cdmcf->engine;

    ngx_memzero(&ab, sizeof(ngx_http_conduit_absorb_t));

    ab.record = record;
    ab.how = how;
    ab.stop = NGX_HTTP_CONDUIT_NOBODY;

    if (zone->cell == NGX_HTTP_CONDUIT_NOBODY
        || ngx_http_conduit_absorb_bind(cdmcf, &ab) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, record->id);

    if (node == NULL) {
        rc = ticket ? NGX_DECLINED
                    : ngx_http_conduit_absorb_new_locked(engine, &ab);

    } else if (node->ticket != ticket) {
        rc = NGX_AGAIN;

    } else {
        ngx_http_conduit_undo_begin_locked(zone, node);
        rc = ngx_http_conduit_absorb_old_locked(engine, &ab, node);
        ngx_http_conduit_undo_end_locked(zone);
    }

    ngx_http_conduit_zone_unlock(zone);

    ngx_http_conduit_news_spread(engine, record->id, &ab.news);

    if (ab.stop == zone->cell) {
        ngx_http_conduit_run_stop(cdmcf, record->id);
    }

    if (ab.lease) {
        ngx_http_conduit_step_perform(engine, record->id, ab.lease);
    }

    if (rc == NGX_OK && how == NGX_HTTP_CONDUIT_ABSORB_OWN) {
        ngx_http_conduit_scheduler_wake(cdmcf, 0);
    }

    return rc;
}


/* places in the zone for what the record has by name */

static ngx_int_t
ngx_http_conduit_absorb_bind(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_absorb_t *ab)
{
    ngx_int_t  n;

    ab->key = ngx_http_conduit_key_node(&cdmcf->zone, &ab->record->key);

    n = ngx_http_conduit_provider_index(&cdmcf->zone, &ab->record->provider);

    if (ab->key == NULL || n == NGX_ERROR) {
        return NGX_ERROR;
    }

    ab->lane = ngx_http_conduit_lane(&cdmcf->zone, n, &ab->record->lane);
    ab->provider = cdmcf->engine->providers[n];

    return ab->lane ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_absorb_new_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_absorb_t *ab)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;

    if (ab->how == NGX_HTTP_CONDUIT_ABSORB_NEWS) {
        return NGX_DECLINED;
    }

    node = ngx_http_conduit_zone_tight_locked(zone)
           ? NULL : ngx_http_conduit_node_alloc_locked(zone);

    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(node->id, ab->record->id, NGX_HTTP_CONDUIT_ID_LEN);

    node->key = ab->key;
    node->lane = ab->lane;
    node->remote = (ab->how != NGX_HTTP_CONDUIT_ABSORB_OWN);
    node->status = ab->record->status;
    node->jumps = ab->record->jumps;

    if (ngx_http_conduit_absorb_fill_locked(zone, ab, node) != NGX_OK) {
        ngx_http_conduit_node_free_locked(zone, node);
        zone->sh->counters.nomem++;
        return NGX_ERROR;
    }

    ngx_http_conduit_absorb_times_locked(engine, ab, node);
    ngx_http_conduit_node_link_locked(zone, node);

    if (node->remote) {
        ngx_http_conduit_absorb_follow_locked(zone, ab, node);

    } else {
        ngx_http_conduit_absorb_begin_locked(engine, ab, node);
    }

    ngx_http_conduit_news_task_locked(engine, node, &ab->news);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_absorb_old_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    ngx_uint_t                  was, newer, submitted;
    ngx_http_conduit_zone_t    *zone;
    ngx_http_conduit_record_t  *record;

    zone = &engine->cdmcf->zone;
    record = ab->record;
    was = node->remote;
    submitted = 0;

    node->jumps = ngx_max(node->jumps, record->jumps);

    newer = record->sequence > node->sequence
            || (record->status > 1 && node->status <= 1);

    if (node->ticket) {
        ngx_http_conduit_absorb_ticket_locked(zone, ab, node);

        /* a job may have been submitted without any news */

        submitted = (record->step == NGX_HTTP_CONDUIT_STEP_POLL
                     && node->step != NGX_HTTP_CONDUIT_STEP_POLL
                     && node->status <= 1);
    }

    if (node->status > 1 && record->status <= 1
        && (node->status != CONDUIT_FAILED || !newer))
    {
        /* the store has lost the end, which only a retry of a failure undoes */

        if (!was) {
            node->unsaved = 1;
            zone->sh->unsaved++;
        }

        return NGX_OK;
    }

    if (!was) {

        if (ab->how == NGX_HTTP_CONDUIT_ABSORB_NEWS
            || (ab->how == NGX_HTTP_CONDUIT_ABSORB_OWN && !newer
                && !submitted))
        {
            return NGX_OK;
        }

        ngx_http_conduit_absorb_stop_locked(engine, ab, node);

        if (ab->how != NGX_HTTP_CONDUIT_ABSORB_OWN || record->status > 1) {
            ngx_http_conduit_absorb_end_locked(engine, ab, node);
        }
    }

    if (newer
        && ngx_http_conduit_absorb_newer_locked(zone, ab, node) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ab->how == NGX_HTTP_CONDUIT_ABSORB_OWN) {

        if (ngx_http_conduit_absorb_own_locked(engine, ab, node) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (node->remote) {
        ngx_http_conduit_absorb_times_locked(engine, ab, node);
        ngx_http_conduit_absorb_follow_locked(zone, ab, node);

        if (ab->how == NGX_HTTP_CONDUIT_ABSORB_NEWS) {
            node->rank.size = record->position;
        }
    }

    if (newer) {
        ngx_http_conduit_news_task_locked(engine, node, &ab->news);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_absorb_newer_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    if (ngx_http_conduit_absorb_texts_locked(zone, ab->record, node)
        != NGX_OK)
    {
        zone->sh->counters.nomem++;
        return NGX_ERROR;
    }

    ngx_http_conduit_absorb_status_locked(zone, node, ab->record->status);

    return ngx_http_conduit_absorb_fill_locked(zone, ab, node);
}


/* it is this host's from now on, or has gone on in the store without it */

static ngx_int_t
ngx_http_conduit_absorb_own_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_zone_t    *zone;
    ngx_http_conduit_record_t  *record;

    zone = &engine->cdmcf->zone;
    record = ab->record;

    /* without memory for this it stays the other host's, and comes again */

    if (ngx_http_conduit_text_set_locked(zone, &node->run, record->run.data,
                                         record->run.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    node->head_len = record->head_len;

    if (node->remote) {
        ngx_http_conduit_node_remote_locked(zone, node, 0);
        ngx_http_conduit_absorb_come_locked(zone, ab, node);
    }

    ngx_http_conduit_absorb_times_locked(engine, ab, node);
    ngx_http_conduit_absorb_begin_locked(engine, ab, node);

    return NGX_OK;
}


/* changes that have waited for it look anew */

static void
ngx_http_conduit_absorb_ticket_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_node_unmark_locked(zone, node);

    if (node->awaited) {
        (void) ngx_http_conduit_cell_ring_locked(zone, &node->watchers,
                                                 node->id, &ab->news.wake);
    }
}


/* who watches it may wait for it to come, without any news */

static void
ngx_http_conduit_absorb_come_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    if (ngx_http_conduit_cell_ring_locked(zone, &node->watchers, node->id,
                                          &ab->news.wake))
    {
        ab->news.here = 1;
    }
}


/* a copy is up to date while some process follows its task */

static void
ngx_http_conduit_absorb_follow_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    if (ab->how != NGX_HTTP_CONDUIT_ABSORB_SEEN) {
        ngx_http_conduit_node_own_locked(zone, node, zone->cell);
    }

    ngx_http_conduit_node_due_locked(zone, node);
}


/* all but what the engine keeps for itself */

static ngx_int_t
ngx_http_conduit_absorb_fill_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_record_t  *record;

    record = ab->record;

    if (node->tasks.next == NULL
        && ngx_http_conduit_absorb_texts_locked(zone, record, node) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_conduit_record_restore_locked(node, record);

    if (record->request.len) {
        node->prompt_off = record->prompt_off;
        node->prompt_len = record->prompt_len;
    }

    if (record->run.data) {
        node->head_len = record->head_len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_absorb_texts_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_record_t *record, ngx_http_conduit_task_node_t *node)
{
    ngx_uint_t  i;

    struct {
        ngx_http_conduit_text_t  *text;
        ngx_str_t                *value;
    } texts[] = {
        { &node->document, &record->document },
        { &node->request, &record->request },
        { &node->run, &record->run },
        { &node->webhook, &record->webhook }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        /* a message brings the document only */

        if (texts[i].value->data == NULL) {
            continue;
        }

        if (ngx_http_conduit_text_set_locked(zone, texts[i].text,
                                             texts[i].value->data,
                                             texts[i].value->len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_conduit_absorb_status_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t status)
{
    ngx_int_t               n;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    if (!node->remote) {
        sh->status[node->status]--;
        sh->status[status]++;

        n = (status <= 1) - (node->status <= 1);

        sh->live += n;
        node->key->live += n;

        if (n) {
            ngx_http_conduit_hook_promise_locked(zone, node, n > 0);
        }
    }

    node->status = (u_char) status;
}


/* until when it stays here */

static void
ngx_http_conduit_absorb_times_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    int64_t      left, most;
    ngx_time_t  *tp;

    if (node->remote) {
        node->deadline = ngx_current_msec + NGX_HTTP_CONDUIT_COPY;
        return;
    }

    tp = ngx_timeofday();

    left = ab->record->deadline - ((int64_t) tp->sec * 1000 + tp->msec);

    /* what another clock says must not keep a task for ever */

    most = (node->status > 1) ? (int64_t) engine->cdmcf->task_ttl
                              : (int64_t) node->timeout;

    left = ngx_max(left, 0);
    left = ngx_min(left, most);

    node->deadline = ngx_current_msec + left;
    node->next_at = ngx_current_msec;
}


/* goes on where the last owner has been */

static void
ngx_http_conduit_absorb_begin_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_zone_t  *zone;

    zone = &engine->cdmcf->zone;

    node->lane = ab->lane;
    node->next_at = ngx_current_msec;

    /* the last owner may have told what it could not keep */

    node->jump = 1;

    if (node->status > 1) {

        node->step = (ab->record->step == NGX_HTTP_CONDUIT_STEP_CANCEL)
                     ? NGX_HTTP_CONDUIT_STEP_CANCEL
                     : NGX_HTTP_CONDUIT_STEP_NONE;

        ngx_http_conduit_node_due_locked(zone, node);
        return;
    }

    if (ngx_http_conduit_absorb_leased_locked(zone, ab, node)) {
        return;
    }

    if (ab->record->step == NGX_HTTP_CONDUIT_STEP_POLL) {
        node->step = NGX_HTTP_CONDUIT_STEP_POLL;

        ngx_http_conduit_node_slot_locked(zone, node, 1);
        ngx_http_conduit_node_due_locked(zone, node);
        return;
    }

    node->rank.seq = 0;

    ngx_http_conduit_step_first_locked(engine, node, ab->provider, &ab->news);
    ab->lease = node->lease;
}


/* a worker that holds it reports to this host from now on */

static ngx_uint_t
ngx_http_conduit_absorb_leased_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    u_char                       *p, *last;
    uint64_t                      lease;
    ngx_str_t                     name;
    ngx_http_conduit_key_node_t  *key;

    if (ab->record->leased.len == 0 || node->status != CONDUIT_PROCESSING
        || ab->provider == NULL
        || ab->provider->type != NGX_HTTP_CONDUIT_WORKER)
    {
        return 0;
    }

    p = ab->record->leased.data;
    last = p + ab->record->leased.len;

    for (lease = 0; p < last && *p >= '0' && *p <= '9'; p++) {
        lease = lease * 10 + (*p - '0');
    }

    if (lease == 0 || p == last || *p++ != ' ') {
        return 0;
    }

    name.data = p;
    name.len = last - p;

    key = ngx_http_conduit_key_node_locked(zone, &name);
    if (key == NULL) {
        return 0;
    }

    /* numbers of leases that are given here must not meet it */

    zone->sh->lease = ngx_max(zone->sh->lease, lease);

    ngx_http_conduit_node_slot_locked(zone, node, 1);

    node->step = NGX_HTTP_CONDUIT_STEP_LEASED;
    node->lease = lease;
    node->holder = key;
    node->next_at = ngx_current_msec + ab->provider->lease;

    ngx_http_conduit_node_due_locked(zone, node);

    return 1;
}


/* this host has performed it, and does not any more */

static void
ngx_http_conduit_absorb_stop_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_zone_t  *zone;
    ngx_http_conduit_mask_t   mask;

    zone = &engine->cdmcf->zone;

    ab->stop = node->owner;

    if (node->owner != NGX_HTTP_CONDUIT_NOBODY && node->owner != zone->cell) {
        ngx_memzero(&mask, sizeof(ngx_http_conduit_mask_t));
        ngx_http_conduit_mask_set(&mask, node->owner);

        (void) ngx_http_conduit_cell_ring_locked(zone, &mask, node->id,
                                                 &ab->news.wake);
    }
}


/*
 * It has ended by somebody else's hand, or is somebody else's: the slot is
 * free, and a job at the provider is called off if it has ended.
 */

static void
ngx_http_conduit_absorb_end_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_absorb_t *ab, ngx_http_conduit_task_node_t *node)
{
    ngx_uint_t                step;
    ngx_http_conduit_zone_t  *zone;

    zone = &engine->cdmcf->zone;
    step = node->step;

    ngx_http_conduit_lane_remove_locked(zone, node);
    ngx_http_conduit_release_locked(engine, node, &ab->news);
    ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);

    node->step = NGX_HTTP_CONDUIT_STEP_NONE;

    if (ab->how != NGX_HTTP_CONDUIT_ABSORB_OWN && ab->record->status <= 1) {
        ngx_http_conduit_node_remote_locked(zone, node, 1);
        return;
    }

    if (node->status > 1) {
        return;
    }

    if (step == NGX_HTTP_CONDUIT_STEP_POLL) {
        node->step = NGX_HTTP_CONDUIT_STEP_CANCEL;
    }

    node->next_at = ngx_current_msec;
    node->deadline = ngx_current_msec + engine->cdmcf->task_ttl;

    ngx_http_conduit_absorb_status_locked(zone, node, ab->record->status);
    ngx_http_conduit_node_due_locked(zone, node);
}
