
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook_queue.h>
#include <conduit_request.h>


/* the room for an event without its prompt and metadata, in bytes */

#define NGX_HTTP_CONDUIT_HOOK_PROMISE  1536


static ngx_int_t ngx_http_conduit_hook_refused_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_draft_t *draft,
    ngx_http_conduit_task_node_t *task, ngx_http_conduit_origin_t *origin);
static void ngx_http_conduit_hook_supersede_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_node_t *hook);
static void ngx_http_conduit_hook_unhash_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_node_t *hook);


_Static_assert(sizeof(ngx_http_conduit_hook_node_t) <= 256,
               "a delivery has to fit a slab chunk of 256 bytes");
_Static_assert(sizeof(ngx_http_conduit_hook_log_t) <= 256,
               "a log of attempts has to fit a slab chunk of 256 bytes");
_Static_assert(sizeof(ngx_http_conduit_origin_t) <= 256,
               "an origin has to fit a slab chunk of 256 bytes");


uint32_t
ngx_http_conduit_hook_hash(u_char *id)
{
    return ngx_murmur_hash2(id, CONDUIT_BASE62_LEN);
}


ngx_http_conduit_hook_node_t *
ngx_http_conduit_hook_find_locked(ngx_http_conduit_zone_t *zone, u_char *id)
{
    uint32_t                       n;
    ngx_http_conduit_hook_node_t  *hook;

    n = ngx_http_conduit_hook_hash(id) & zone->sh->hook_mask;

    for (hook = zone->sh->hook_hash[n]; hook; hook = hook->next) {
        if (ngx_memcmp(hook->id, id, CONDUIT_BASE62_LEN) == 0) {
            return hook;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_conduit_hook_alloc_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_draft_t *draft, ngx_http_conduit_key_node_t *key,
    ngx_http_conduit_task_node_t *task)
{
    ngx_int_t                      rc;
    ngx_http_conduit_origin_t     *origin;
    ngx_http_conduit_hook_node_t  *hook;

    draft->node = NULL;

    if (ngx_http_conduit_hook_rate_locked(zone, key, draft->rate, draft->span)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    origin = ngx_http_conduit_origin_locked(zone, key, draft->origin);
    if (origin == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_conduit_hook_refused_locked(zone, draft, task, origin);

    if (rc != NGX_OK) {
        ngx_http_conduit_origin_unref_locked(zone, origin);
        return rc;
    }

    hook = ngx_slab_calloc_locked(zone->shpool,
                                  sizeof(ngx_http_conduit_hook_node_t));
    if (hook == NULL) {
        ngx_http_conduit_origin_unref_locked(zone, origin);
        return NGX_ERROR;
    }

    ngx_memcpy(hook->id, draft->id, CONDUIT_BASE62_LEN);

    hook->event = (u_char) draft->event;
    hook->state = NGX_HTTP_CONDUIT_HOOK_PENDING;
    hook->place = NGX_HTTP_CONDUIT_HOOK_BEHIND;
    hook->owner = NGX_HTTP_CONDUIT_NOBODY;
    hook->key = key;
    hook->task = task;
    hook->origin = origin;
    hook->sequence = draft->sequence;
    hook->created = draft->created;
    hook->updated = draft->created;
    hook->next_at = ngx_current_msec;
    hook->body = (uint32_t) draft->body.len;
    hook->jose = draft->jose;
    hook->once = (task == NULL || draft->event == CONDUIT_HOOK_PROGRESS);

    draft->node = hook;

    /* the settings of a test event lie behind its body */

    if (ngx_http_conduit_text_set_locked(zone, &hook->text, draft->body.data,
                                         draft->body.len + draft->settings.len)
        != NGX_OK)
    {
        ngx_http_conduit_hook_free_locked(zone, hook);
        draft->node = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Progress is not worth the last room of the zone, nor a place behind a
 * breaker that is open.
 */

static ngx_int_t
ngx_http_conduit_hook_refused_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_draft_t *draft, ngx_http_conduit_task_node_t *task,
    ngx_http_conduit_origin_t *origin)
{
    if (ngx_http_conduit_hook_find_locked(zone, draft->id)) {
        return NGX_DECLINED;
    }

    if (task == NULL) {
        return ngx_http_conduit_zone_tight_locked(zone) ? NGX_ERROR : NGX_OK;
    }

    if (task->gone) {
        return NGX_DECLINED;
    }

    if (draft->event == CONDUIT_HOOK_PROGRESS
        && (ngx_http_conduit_zone_tight_locked(zone)
            || conduit_breaker_state(&origin->breaker, ngx_current_msec)
               == CONDUIT_BREAKER_OPEN))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* the forward link in sh->hooks comes last, it makes the delivery exist */

void
ngx_http_conduit_hook_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_draft_t *draft)
{
    uint32_t                       n;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_hook_node_t  *hook;

    sh = zone->sh;
    hook = draft->node;

    hook->order = ++sh->hook_order;

    n = ngx_http_conduit_hook_hash(hook->id) & sh->hook_mask;

    hook->next = sh->hook_hash[n];
    sh->hook_hash[n] = hook;

    ngx_queue_insert_tail(&hook->key->hooks, &hook->siblings);
    hook->key->nhooks++;

    sh->nhooks++;

    if (!ngx_http_conduit_hook_handed(hook)) {
        sh->hooks_owed++;
        sh->counters.hook_queued++;
    }

    if (hook->task) {
        ngx_queue_insert_tail(&hook->task->deliveries, &hook->queue);
        hook->task->owed++;
        hook->local = hook->task->offline;
    }

    hook->hooks.next = &sh->hooks;
    hook->hooks.prev = sh->hooks.prev;

    ngx_memory_barrier();

    sh->hooks.prev->next = &hook->hooks;
    sh->hooks.prev = &hook->hooks;

    if (hook->task == NULL) {
        ngx_http_conduit_hook_place_locked(zone, hook);
        return;
    }

    if (hook->event != CONDUIT_HOOK_STARTED) {
        ngx_http_conduit_hook_supersede_locked(zone, hook);
    }

    ngx_http_conduit_hook_next_locked(zone, hook->task);
}


/* progress that waits is of no use beside news of the same task */

static void
ngx_http_conduit_hook_supersede_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *old;

    q = ngx_queue_prev(&hook->queue);

    while (q != ngx_queue_sentinel(&hook->task->deliveries)) {
        old = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);
        q = ngx_queue_prev(q);

        if (old->place == NGX_HTTP_CONDUIT_HOOK_ENDED) {
            continue;
        }

        if (ngx_http_conduit_hook_progress(old) && old->once
            && old->place != NGX_HTTP_CONDUIT_HOOK_RUNNING)
        {
            ngx_http_conduit_hook_stop_locked(zone, old,
                                              NGX_HTTP_CONDUIT_HOOK_DROPPED);
        }
    }
}


void
ngx_http_conduit_hook_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    if (hook->hooks.next) {
        hook->hooks.prev->next = hook->hooks.next;
        hook->hooks.next->prev = hook->hooks.prev;

        ngx_memory_barrier();

        if (hook->place != NGX_HTTP_CONDUIT_HOOK_ENDED) {

            if (!ngx_http_conduit_hook_handed(hook)) {
                sh->hooks_owed--;
            }

            if (hook->task) {
                hook->task->owed--;
            }
        }

        ngx_http_conduit_hook_away_locked(zone, hook);
        ngx_http_conduit_hook_unhash_locked(zone, hook);

        ngx_queue_remove(&hook->siblings);
        hook->key->nhooks--;
        sh->nhooks--;

        if (hook->task) {
            ngx_queue_remove(&hook->queue);
        }
    }

    ngx_http_conduit_origin_unref_locked(zone, hook->origin);
    ngx_http_conduit_text_free_locked(zone, &hook->text);

    if (hook->log) {
        ngx_slab_free_locked(zone->shpool, hook->log);
    }

    ngx_slab_free_locked(zone->shpool, hook);
}


static void
ngx_http_conduit_hook_unhash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    uint32_t                        n;
    ngx_http_conduit_hook_node_t  **p;

    n = ngx_http_conduit_hook_hash(hook->id) & zone->sh->hook_mask;

    for (p = &zone->sh->hook_hash[n]; *p; p = &(*p)->next) {
        if (*p == hook) {
            *p = hook->next;
            return;
        }
    }
}


void
ngx_http_conduit_hook_leave_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    /* a task that was never linked has no list */

    if (task->deliveries.next == NULL) {
        return;
    }

    while (!ngx_queue_empty(&task->deliveries)) {
        q = ngx_queue_head(&task->deliveries);
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);

        ngx_http_conduit_hook_free_locked(zone, hook);
    }
}


void
ngx_http_conduit_hook_promise_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task, ngx_uint_t on)
{
    size_t  size;

    if (task->hooks == 0 || task->gone) {
        return;
    }

    size = NGX_HTTP_CONDUIT_HOOK_PROMISE + task->prompt_len
           + task->metadata_len;

    if (on) {
        zone->sh->promised += size;

    } else {
        zone->sh->promised -= ngx_min(zone->sh->promised, size);
    }
}


ngx_uint_t
ngx_http_conduit_hook_state_locked(ngx_http_conduit_hook_node_t *hook)
{
    ngx_http_conduit_origin_t  *origin;

    if (hook->state != NGX_HTTP_CONDUIT_HOOK_PENDING
        || hook->place != NGX_HTTP_CONDUIT_HOOK_READY)
    {
        return hook->state;
    }

    origin = hook->origin;

    if (origin->breaker.state == CONDUIT_BREAKER_CLOSED) {
        return NGX_HTTP_CONDUIT_HOOK_PENDING;
    }

    /* progress that met an open breaker only waits to be taken away */

    if (ngx_http_conduit_hook_progress(hook)
        && hook->ticket.epoch != origin->breaker.epoch)
    {
        return NGX_HTTP_CONDUIT_HOOK_DROPPED;
    }

    return NGX_HTTP_CONDUIT_HOOK_PARKED;
}


ngx_int_t
ngx_http_conduit_hook_sum_locked(ngx_http_conduit_task_node_t *task,
    ngx_http_conduit_hook_sum_t *sum)
{
    unsigned                       event;
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    static unsigned  ends[CONDUIT_STATUS_N] = {
        0, 0, CONDUIT_HOOK_COMPLETED, CONDUIT_HOOK_FAILED,
        CONDUIT_HOOK_CANCELLED
    };

    ngx_memzero(sum, sizeof(ngx_http_conduit_hook_sum_t));

    event = ends[task->status];

    if (task->hooks == 0 || (event && !(task->hooks & event))) {
        return NGX_DECLINED;
    }

    if (event == 0) {
        return NGX_OK;
    }

    /* without a delivery: a 410 has ended them all */

    sum->state = NGX_HTTP_CONDUIT_HOOK_DROPPED;

    for (q = ngx_queue_last(&task->deliveries);
         q != ngx_queue_sentinel(&task->deliveries);
         q = ngx_queue_prev(q))
    {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);

        if (hook->event == event && hook->sequence == task->sequence) {
            sum->state = ngx_http_conduit_hook_state_locked(hook);
            sum->attempts = hook->attempts;
            sum->last_status = hook->last_status;
            sum->last_failure = hook->last_failure;
            break;
        }
    }

    return NGX_OK;
}
