
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook.h>
#include <ngx_http_conduit_engine.h>
#include <conduit_request.h>


/*
 * Deliveries that come from the shared store into the zone, and those of a
 * task out of it.  Who delivers is in that store; all others have them for
 * those who ask.
 */


typedef struct {
    ngx_http_conduit_record_t        *record;
    ngx_http_conduit_hook_key_t       key;
    int64_t                           now;
    unsigned                          mine:1;      /* to deliver */
    unsigned                          fresh:1;     /* since now */
} ngx_http_conduit_kept_t;


static ngx_int_t ngx_http_conduit_kept_all_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_kept_t *kept,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_kept_new_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_kept_t *kept,
    ngx_http_conduit_kept_hook_t *hook, ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_kept_old_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_kept_t *kept,
    ngx_http_conduit_kept_hook_t *hook, ngx_http_conduit_hook_node_t *node);
static void ngx_http_conduit_kept_set_locked(ngx_http_conduit_kept_t *kept,
    ngx_http_conduit_kept_hook_t *hook, ngx_http_conduit_hook_node_t *node);
static size_t ngx_http_conduit_hooks_size_locked(
    ngx_http_conduit_task_node_t *task, ngx_uint_t *n);


ngx_int_t
ngx_http_conduit_hooks_absorb(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, ngx_uint_t mine, ngx_uint_t apart)
{
    ngx_int_t                      rc;
    ngx_time_t                    *tp;
    ngx_uint_t                     handed;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_kept_t        kept;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;

    if (cdmcf->sender == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&kept, sizeof(ngx_http_conduit_kept_t));

    /* a key that is gone has no rate; its deliveries will be dropped */

    if (cdmcf->sender->key(cdmcf, &record->key, &kept.key) != NGX_OK) {
        kept.key.rate = 0;
        kept.key.span = 0;
    }

    tp = ngx_timeofday();

    kept.record = record;
    kept.now = (int64_t) tp->sec * 1000 + tp->msec;
    kept.mine = mine;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, record->id);

    if (node == NULL || node->ticket) {
        ngx_http_conduit_zone_unlock(zone);
        return node ? NGX_AGAIN : NGX_DECLINED;
    }

    /* where all has ended nobody delivers, and a copy is only looked at */

    handed = !mine && (record->courier.len || node->remote);

    kept.fresh = node->handed && mine;

    if (handed) {
        ngx_http_conduit_hook_hand_locked(zone, node, 1);
    }

    rc = ngx_http_conduit_kept_all_locked(zone, &kept, node);

    if (rc == NGX_OK) {
        node->posted = (uint32_t) record->posted;
        node->apart = apart;
    }

    if (!handed) {
        ngx_http_conduit_hook_hand_locked(zone, node, 0);
    }

    ngx_http_conduit_zone_unlock(zone);

    if (mine) {
        ngx_post_event(&cdmcf->sender->pump, &ngx_posted_events);
    }

    return rc;
}


static ngx_int_t
ngx_http_conduit_kept_all_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_kept_t *kept, ngx_http_conduit_task_node_t *node)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_http_conduit_hook_node_t  *old;
    ngx_http_conduit_kept_hook_t  *hook;

    for (i = 0; i < kept->record->nhooks_kept; i++) {
        hook = &kept->record->hooks_kept[i];

        old = ngx_http_conduit_hook_find_locked(zone, hook->id);

        if (old == NULL) {
            rc = ngx_http_conduit_kept_new_locked(zone, kept, hook, node);

        } else if (old->task == node) {
            rc = ngx_http_conduit_kept_old_locked(zone, kept, hook, old);

        } else {
            rc = NGX_OK;
        }

        if (rc == NGX_ERROR) {
            zone->sh->counters.nomem++;
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what others deliver needs no body here */

static ngx_int_t
ngx_http_conduit_kept_new_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_kept_t *kept, ngx_http_conduit_kept_hook_t *hook,
    ngx_http_conduit_task_node_t *node)
{
    ngx_int_t                       rc;
    ngx_http_conduit_hook_draft_t   draft;

    if (kept->mine ? hook->body.len == 0
                   : ngx_http_conduit_zone_tight_locked(zone))
    {
        return NGX_OK;
    }

    ngx_memzero(&draft, sizeof(ngx_http_conduit_hook_draft_t));
    ngx_memcpy(draft.id, hook->id, CONDUIT_BASE62_LEN);
    ngx_memcpy(draft.origin, hook->origin, NGX_HTTP_CONDUIT_ID_LEN);

    draft.event = hook->event;
    draft.sequence = hook->sequence;
    draft.created = hook->created;
    draft.rate = kept->key.rate;
    draft.span = kept->key.span;
    draft.jose = hook->jose;

    if (kept->mine) {
        draft.body = hook->body;

    } else {
        ngx_str_set(&draft.body, "");
    }

    rc = ngx_http_conduit_hook_alloc_locked(zone, &draft, node->key, node);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_conduit_kept_set_locked(kept, hook, draft.node);
    ngx_http_conduit_hook_link_locked(zone, &draft);
    draft.node->local = 0;

    if (hook->state != NGX_HTTP_CONDUIT_HOOK_PENDING) {
        ngx_http_conduit_hook_restore_locked(zone, draft.node, hook->state);
    }

    return NGX_OK;
}


/*
 * Who delivers knows best how that stands, but for what a former one has come
 * to tell late; an ended one that is pending there, with all its attempts, is
 * to be sent again.
 */

static ngx_int_t
ngx_http_conduit_kept_old_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_kept_t *kept, ngx_http_conduit_kept_hook_t *hook,
    ngx_http_conduit_hook_node_t *node)
{
    ngx_uint_t  ended, here;

    if (node->place == NGX_HTTP_CONDUIT_HOOK_RUNNING) {
        return NGX_OK;
    }

    ended = (node->place == NGX_HTTP_CONDUIT_HOOK_ENDED);
    here = kept->mine && !kept->fresh;

    if (kept->mine && node->text.len == 0 && hook->body.len
        && ngx_http_conduit_text_set_locked(zone, &node->text,
                                            hook->body.data, hook->body.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (kept->mine) {
        node->body = (uint32_t) node->text.len;
    }

    if (hook->state != NGX_HTTP_CONDUIT_HOOK_PENDING) {

        if (here && hook->attempts <= node->attempts) {
            return NGX_OK;
        }

        /* it has been begun anew, of which the store is about to hear */

        if (!ended && !node->task->handed && node->attempts
            && node->tries == 0 && hook->attempts == node->attempts)
        {
            return NGX_OK;
        }

        ngx_http_conduit_kept_set_locked(kept, hook, node);

        if (ended) {
            node->state = hook->state;

        } else {
            ngx_http_conduit_hook_restore_locked(zone, node, hook->state);
        }

        return NGX_OK;
    }

    if (ended) {

        if (here && (hook->tries || hook->attempts != node->attempts)) {
            return NGX_OK;
        }

        (void) ngx_http_conduit_hook_again_locked(zone, node);

    } else if (here) {
        return NGX_OK;
    }

    ngx_http_conduit_kept_set_locked(kept, hook, node);

    return NGX_OK;
}


/* the numbers of one that is in no order of times yet, or in none at all */

static void
ngx_http_conduit_kept_set_locked(ngx_http_conduit_kept_t *kept,
    ngx_http_conduit_kept_hook_t *hook, ngx_http_conduit_hook_node_t *node)
{
    node->updated = hook->updated;
    node->delivered = hook->delivered;
    node->attempts = hook->attempts;
    node->tries = hook->tries;
    node->last_status = hook->last_status;
    node->last_failure = hook->last_failure;
    node->next_at = ngx_current_msec
                    + (ngx_msec_int_t) ngx_max(hook->next - kept->now, 0);
}


/* room for the bodies is made outside of the lock */

ngx_int_t
ngx_http_conduit_task_hooks(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_pool_t *pool, ngx_http_conduit_record_t *record)
{
    u_char                        *p;
    size_t                         room, need;
    ngx_uint_t                     n, most;
    ngx_queue_t                   *q;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_node_t  *hook;
    ngx_http_conduit_kept_hook_t  *kept;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    room = 0;
    most = 0;
    p = NULL;
    kept = NULL;

    for ( ;; ) {

        ngx_http_conduit_zone_lock(zone);

        node = ngx_http_conduit_node_find_locked(zone, record->id);

        if (node == NULL || node->handed) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_OK;
        }

        need = ngx_http_conduit_hooks_size_locked(node, &n);

        if (n == 0) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_OK;
        }

        if (need <= room && n <= most) {
            break;
        }

        ngx_http_conduit_zone_unlock(zone);

        room = need;
        most = n;

        p = ngx_pnalloc(pool, room);
        if (p == NULL) {
            return NGX_ERROR;
        }

        kept = ngx_palloc(pool, most * sizeof(ngx_http_conduit_kept_hook_t));
        if (kept == NULL) {
            return NGX_ERROR;
        }
    }

    n = 0;

    for (q = ngx_queue_head(&node->deliveries);
         q != ngx_queue_sentinel(&node->deliveries);
         q = ngx_queue_next(q))
    {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);

        if (!ngx_http_conduit_record_hook_locked(&kept[n], hook)) {
            continue;
        }

        kept[n].body.data = p;
        kept[n].body.len = hook->text.len;
        p = ngx_http_conduit_text_copy_locked(&hook->text, p);
        n++;
    }

    ngx_http_conduit_zone_unlock(zone);

    record->hooks_kept = kept;
    record->nhooks_kept = n;

    return NGX_OK;
}


/* bodies of those that are kept, and how many these are */

static size_t
ngx_http_conduit_hooks_size_locked(ngx_http_conduit_task_node_t *task,
    ngx_uint_t *n)
{
    size_t                         size;
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    size = 1;
    *n = 0;

    for (q = ngx_queue_head(&task->deliveries);
         q != ngx_queue_sentinel(&task->deliveries);
         q = ngx_queue_next(q))
    {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);

        if (hook->event != CONDUIT_HOOK_PROGRESS) {
            size += hook->text.len;
            (*n)++;
        }
    }

    return size;
}
