
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/* How long tasks and keys are followed. */


/* nobody has asked for so long, ms; must be shorter than a copy's life */

#define NGX_HTTP_CONDUIT_FOLLOW_IDLE   30000

/* how often an owner is asked again, and its silence means that it is not */

#define NGX_HTTP_CONDUIT_FOLLOW_AGAIN  5000
#define NGX_HTTP_CONDUIT_FOLLOW_DEAD   11000

/* tasks that are followed anew with one tick */

#define NGX_HTTP_CONDUIT_FOLLOW_STALE  128


static void ngx_http_conduit_follow_stale(
    ngx_http_conduit_cluster_t *cluster);
static ngx_uint_t ngx_http_conduit_follow_idle(
    ngx_http_conduit_follow_t *follow);


void
ngx_http_conduit_follow_tick(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t                  failed;
    ngx_queue_t                *q, *next;
    ngx_http_conduit_follow_t  *follow;

    ngx_http_conduit_follow_stale(cluster);

    for (q = ngx_queue_head(&cluster->follows);
         q != ngx_queue_sentinel(&cluster->follows);
         q = next)
    {
        next = ngx_queue_next(q);

        follow = ngx_queue_data(q, ngx_http_conduit_follow_t, queue);

        failed = (follow->key && follow->calls == 0
                  && follow->state == NGX_HTTP_CONDUIT_FOLLOW_LOOK);

        if (!failed && follow->state != NGX_HTTP_CONDUIT_FOLLOW_FRESH) {
            continue;
        }

        if (ngx_http_conduit_follow_idle(follow)) {
            ngx_http_conduit_follow_end(follow);
            continue;
        }

        if (failed) {

            if (cluster->redis->calls.up && cluster->redis->channels.up) {
                (void) ngx_http_conduit_follow_begin(follow);
            }

            continue;
        }

        if (ngx_current_msec - follow->asked < NGX_HTTP_CONDUIT_FOLLOW_AGAIN
            || !cluster->redis->calls.up)
        {
            continue;
        }

        if (follow->key || follow->owner_len) {
            ngx_http_conduit_follow_ask(follow);
        }

        if (follow->owner_len
            && ngx_current_msec - follow->heard
               > NGX_HTTP_CONDUIT_FOLLOW_DEAD
            && follow->calls == 0)
        {
            /* whoever has the task now is in Redis */

            follow->heard = ngx_current_msec;
            (void) ngx_http_conduit_follow_read(follow);
        }
    }
}


/* the process that has followed what is watched here may have died */

static void
ngx_http_conduit_follow_stale(ngx_http_conduit_cluster_t *cluster)
{
    u_char                     *id;
    u_char                      ids[NGX_HTTP_CONDUIT_FOLLOW_STALE
                                    * NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t                  i, n;
    ngx_http_conduit_waiter_t   nobody;

    if (cluster->ticks % 2 || !cluster->redis->channels.up) {
        return;
    }

    n = ngx_http_conduit_watch_stale(cluster->cdmcf, ids,
                                     NGX_HTTP_CONDUIT_FOLLOW_STALE);

    for (i = 0; i < n; i++) {
        id = ids + i * NGX_HTTP_CONDUIT_ID_LEN;

        if (ngx_http_conduit_cluster_task(cluster->cdmcf, id, &nobody)
            == NGX_AGAIN)
        {
            ngx_http_conduit_watch_leave(&nobody);
        }
    }
}


/* nobody has asked for a while, and no process watches */

static ngx_uint_t
ngx_http_conduit_follow_idle(ngx_http_conduit_follow_t *follow)
{
    ngx_uint_t                     idle;
    ngx_msec_int_t                 left;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &follow->cluster->cdmcf->zone;

    if (follow->key) {
        return ngx_current_msec - follow->used > NGX_HTTP_CONDUIT_FOLLOW_IDLE
               && !ngx_http_conduit_mask_any(&follow->key->watchers);
    }

    idle = 1;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, follow->id);

    if (node && node->remote) {
        left = (ngx_msec_int_t) (node->deadline - ngx_current_msec);

        idle = left < NGX_HTTP_CONDUIT_COPY - NGX_HTTP_CONDUIT_FOLLOW_IDLE
               && !ngx_http_conduit_mask_any(&node->watchers);
    }

    ngx_http_conduit_zone_unlock(zone);

    return idle;
}


void
ngx_http_conduit_follow_end(ngx_http_conduit_follow_t *follow)
{
    ngx_http_conduit_cluster_t  *cluster;

    cluster = follow->cluster;

    if (follow->state >= NGX_HTTP_CONDUIT_FOLLOW_SUBSCRIBE) {
        ngx_http_conduit_follow_channel(follow, "UNSUBSCRIBE");
        ngx_http_conduit_follow_disown(cluster, follow);
    }

    if (follow->timer.timer_set) {
        ngx_del_timer(&follow->timer);
    }

    ngx_http_conduit_follow_unread(follow);

    ngx_queue_remove(&follow->queue);
    ngx_rbtree_delete(&cluster->names, &follow->sn.node);
    cluster->nfollows--;

    if (follow->calls) {
        follow->gone = 1;
        return;
    }

    ngx_free(follow);
}


void
ngx_http_conduit_follow_disown(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_follow_t *follow)
{
    ngx_queue_t                   *q, *next, *owned;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;

    if (zone->cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    ngx_http_conduit_zone_lock(zone);

    owned = &zone->sh->cells[zone->cell].owned;

    for (q = ngx_queue_head(owned); q != ngx_queue_sentinel(owned); q = next) {
        next = ngx_queue_next(q);

        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, owned);

        if (node->remote
            && (follow == NULL || node->key == follow->key
                || ngx_memcmp(node->id, follow->id, NGX_HTTP_CONDUIT_ID_LEN)
                   == 0))
        {
            ngx_http_conduit_node_own_locked(zone, node,
                                             NGX_HTTP_CONDUIT_NOBODY);
        }
    }

    ngx_http_conduit_zone_unlock(zone);
}


/*
 * The connection is lost, or there is a new one: what is watched is followed
 * anew, all else when somebody asks for it.
 */

void
ngx_http_conduit_follow_state(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t up)
{
    ngx_queue_t                *q, *next;
    ngx_http_conduit_follow_t  *follow;

    if (!up) {
        ngx_http_conduit_follow_disown(cluster, NULL);
    }

    for (q = ngx_queue_head(&cluster->follows);
         q != ngx_queue_sentinel(&cluster->follows);
         q = next)
    {
        next = ngx_queue_next(q);

        follow = ngx_queue_data(q, ngx_http_conduit_follow_t, queue);

        if (up) {

            if (ngx_http_conduit_follow_begin(follow) != NGX_OK) {
                ngx_http_conduit_follow_ready(follow, NGX_ERROR);
            }

        } else if (follow->state != NGX_HTTP_CONDUIT_FOLLOW_FRESH
                   || ngx_http_conduit_follow_idle(follow))
        {
            ngx_http_conduit_follow_ready(follow, NGX_ERROR);
        }
    }
}


void
ngx_http_conduit_follow_exit(ngx_http_conduit_cluster_t *cluster)
{
    ngx_queue_t                *q, *next;
    ngx_http_conduit_follow_t  *follow;

    for (q = ngx_queue_head(&cluster->follows);
         q != ngx_queue_sentinel(&cluster->follows);
         q = next)
    {
        next = ngx_queue_next(q);

        follow = ngx_queue_data(q, ngx_http_conduit_follow_t, queue);

        ngx_queue_init(&follow->waiters);
        ngx_http_conduit_follow_end(follow);
    }
}
