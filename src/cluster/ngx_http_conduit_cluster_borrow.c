
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * A host at which a worker reports, and which does not have the task, asks its
 * owner for it: "borrow ID NUMBER LEASE OWNER/PID KEY" to the owner's channel.
 * The task comes, or an answer, or its end; one that is nowhere to be found is
 * not given up at once: the lease may well be good.
 */


/* as long as a create waits for Redis, ms */

#define NGX_HTTP_CONDUIT_BORROW_WAIT   10000
#define NGX_HTTP_CONDUIT_BORROW_PAUSE  50


typedef struct {
    ngx_queue_t                       queue;       /* cluster->borrows */
    ngx_queue_t                       waiters;     /* one, or none: it left */
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_key_node_t      *key;
    ngx_http_conduit_watcher_t        watcher;
    ngx_event_t                       timer;
    ngx_msec_t                        until;
    uint64_t                          number;
    uint64_t                          lease;
    unsigned                          paused:1;
    unsigned                          asking:1;    /* Redis, for the owner */
    unsigned                          gone:1;      /* but for the reply */
} ngx_http_conduit_borrow_t;


static ngx_int_t ngx_http_conduit_borrow_owner(
    ngx_http_conduit_borrow_t *borrow);
static void ngx_http_conduit_borrow_got(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_borrow_publish(ngx_http_conduit_borrow_t *borrow,
    ngx_str_t *owner);
static void ngx_http_conduit_borrow_look(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_borrow_timer(ngx_event_t *ev);
static void ngx_http_conduit_borrow_done(ngx_http_conduit_borrow_t *borrow,
    ngx_int_t rc);
static ngx_http_conduit_waiter_t *ngx_http_conduit_borrow_end(
    ngx_http_conduit_borrow_t *borrow);


ngx_int_t
ngx_http_conduit_cluster_borrow(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_key_node_t *key, uint64_t lease,
    ngx_http_conduit_waiter_t *waiter)
{
    ngx_http_conduit_borrow_t   *borrow;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = cdmcf->redis->cluster;

    if (!cluster->answers) {
        return NGX_ERROR;
    }

    borrow = ngx_calloc(sizeof(ngx_http_conduit_borrow_t), cluster->log);
    if (borrow == NULL) {
        return NGX_ERROR;
    }

    borrow->cluster = cluster;
    borrow->key = key;
    borrow->lease = lease;
    borrow->number = ++cluster->asked;

    ngx_memcpy(borrow->watcher.id, id, NGX_HTTP_CONDUIT_ID_LEN);
    borrow->watcher.handler = ngx_http_conduit_borrow_look;
    borrow->watcher.data = borrow;

    /* watched first: it may come at once */

    if (ngx_http_conduit_watch_add(cdmcf, &borrow->watcher) != NGX_OK) {
        ngx_free(borrow);
        return NGX_ERROR;
    }

    if (ngx_http_conduit_borrow_owner(borrow) != NGX_OK) {
        ngx_http_conduit_watch_del(cdmcf, &borrow->watcher);
        ngx_free(borrow);
        return NGX_ERROR;
    }

    borrow->until = ngx_current_msec + NGX_HTTP_CONDUIT_BORROW_WAIT;

    borrow->timer.data = &cluster->dummy;
    borrow->timer.handler = ngx_http_conduit_borrow_timer;
    borrow->timer.log = cluster->log;
    borrow->timer.cancelable = 1;

    ngx_add_timer(&borrow->timer, NGX_HTTP_CONDUIT_BORROW_WAIT);

    ngx_queue_init(&borrow->waiters);
    ngx_queue_insert_tail(&borrow->waiters, &waiter->queue);
    waiter->waiting = 1;

    ngx_queue_insert_tail(&cluster->borrows, &borrow->queue);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_conduit_borrow_owner(ngx_http_conduit_borrow_t *borrow)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_int_t                  rc;
    ngx_str_t                  args[3];
    ngx_http_conduit_redis_t  *redis;

    redis = borrow->cluster->redis;

    ngx_str_set(&args[0], "HGET");
    args[1] = ngx_http_conduit_redis_task_key(redis, buf, borrow->watcher.id);
    ngx_str_set(&args[2], "o");

    rc = ngx_conduit_redis_call(&redis->calls, args, 3,
                                ngx_http_conduit_borrow_got, borrow);

    borrow->asking = (rc == NGX_OK);

    return rc;
}


static void
ngx_http_conduit_borrow_got(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_borrow_t  *borrow = data;

    ngx_str_t                  owner;
    ngx_http_conduit_redis_t  *redis;

    borrow->asking = 0;

    if (borrow->gone) {
        ngx_free(borrow);
        return;
    }

    if (reply == NULL) {
        ngx_http_conduit_borrow_done(borrow, NGX_ERROR);
        return;
    }

    redis = borrow->cluster->redis;
    owner = ngx_conduit_redis_text(reply);

    if (owner.len == 0 || owner.len > NGX_HTTP_CONDUIT_OWNER_LEN) {
        ngx_http_conduit_borrow_done(borrow, NGX_DECLINED);
        return;
    }

    /* one that is on its way to this host comes by itself */

    if (!ngx_http_conduit_redis_mine(redis, &owner)) {
        ngx_http_conduit_borrow_publish(borrow, &owner);
    }
}


static void
ngx_http_conduit_borrow_publish(ngx_http_conduit_borrow_t *borrow,
    ngx_str_t *owner)
{
    u_char                       buf[NGX_HTTP_CONDUIT_REDIS_NAME], *p;
    u_char                       text[sizeof("borrow     /") + CONDUIT_UUID_LEN
                                      + 3 * NGX_INT64_LEN
                                      + NGX_HTTP_CONDUIT_OWNER_LEN
                                      + NGX_HTTP_CONDUIT_NAME_LEN];
    ngx_str_t                    channel, message;
    ngx_http_conduit_redis_t    *redis;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = borrow->cluster;
    redis = cluster->redis;

    p = ngx_cpymem(text, "borrow ", 7);
    conduit_uuid_write(p, borrow->watcher.id);
    p += CONDUIT_UUID_LEN;
    p = ngx_sprintf(p, " %uL %uL %V/%P ", borrow->number, borrow->lease,
                    &redis->owner, ngx_pid);
    p = ngx_cpymem(p, borrow->key->name, borrow->key->len);

    message.data = text;
    message.len = p - text;

    channel = ngx_http_conduit_redis_name(redis, buf, "host", owner);

    ngx_http_conduit_cluster_publish(cluster, &channel, &message);
}


/* rc: of the owner; NGX_DECLINED: no such question */

ngx_int_t
ngx_http_conduit_borrow_answered(ngx_http_conduit_cluster_t *cluster,
    uint64_t number, ngx_int_t rc)
{
    ngx_queue_t                *q;
    ngx_http_conduit_borrow_t  *borrow;

    for (q = ngx_queue_head(&cluster->borrows);
         q != ngx_queue_sentinel(&cluster->borrows);
         q = ngx_queue_next(q))
    {
        borrow = ngx_queue_data(q, ngx_http_conduit_borrow_t, queue);

        if (borrow->number != number) {
            continue;
        }

        if (rc != NGX_HTTP_CONDUIT_SESSION_MOVED) {
            ngx_http_conduit_borrow_done(borrow, NGX_DECLINED);

        } else if (!borrow->asking) {
            borrow->paused = 1;
            ngx_add_timer(&borrow->timer, NGX_HTTP_CONDUIT_BORROW_PAUSE);
        }

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* something has become of the task */

static void
ngx_http_conduit_borrow_look(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_borrow_t  *borrow = w->data;

    uint64_t                      lease;
    ngx_uint_t                    status, attempts;
    ngx_http_conduit_provider_t  *provider;

    lease = borrow->lease;

    if (ngx_http_conduit_task_held(borrow->cluster->cdmcf, borrow->key, w->id,
                                   &lease, &status, &attempts, &provider)
        != NGX_AGAIN)
    {
        ngx_http_conduit_borrow_done(borrow, NGX_OK);
    }
}


static void
ngx_http_conduit_borrow_timer(ngx_event_t *ev)
{
    ngx_msec_int_t              left;
    ngx_http_conduit_borrow_t  *borrow;

    borrow = (ngx_http_conduit_borrow_t *)
                 ((u_char *) ev - offsetof(ngx_http_conduit_borrow_t, timer));

    left = (ngx_msec_int_t) (borrow->until - ngx_current_msec);

    if (!borrow->paused || left <= 0
        || ngx_http_conduit_borrow_owner(borrow) != NGX_OK)
    {
        ngx_http_conduit_borrow_done(borrow, NGX_ERROR);
        return;
    }

    borrow->paused = 0;

    ngx_add_timer(&borrow->timer, (ngx_msec_t) left);
}


static void
ngx_http_conduit_borrow_done(ngx_http_conduit_borrow_t *borrow, ngx_int_t rc)
{
    ngx_http_conduit_waiter_t  *waiter;

    waiter = ngx_http_conduit_borrow_end(borrow);

    if (waiter) {
        waiter->handler(waiter->data, rc);
    }
}


/* who has waited, if it is there still */

static ngx_http_conduit_waiter_t *
ngx_http_conduit_borrow_end(ngx_http_conduit_borrow_t *borrow)
{
    ngx_queue_t                *q;
    ngx_http_conduit_waiter_t  *waiter;

    ngx_queue_remove(&borrow->queue);
    ngx_http_conduit_watch_del(borrow->cluster->cdmcf, &borrow->watcher);

    if (borrow->timer.timer_set) {
        ngx_del_timer(&borrow->timer);
    }

    waiter = NULL;

    if (!ngx_queue_empty(&borrow->waiters)) {
        q = ngx_queue_head(&borrow->waiters);
        waiter = ngx_queue_data(q, ngx_http_conduit_waiter_t, queue);

        ngx_http_conduit_watch_leave(waiter);
    }

    if (borrow->asking) {
        borrow->gone = 1;

    } else {
        ngx_free(borrow);
    }

    return waiter;
}


/* the worker ends: nobody is called any more */

void
ngx_http_conduit_borrow_exit(ngx_http_conduit_cluster_t *cluster)
{
    ngx_queue_t                *q, *next;
    ngx_http_conduit_borrow_t  *borrow;

    for (q = ngx_queue_head(&cluster->borrows);
         q != ngx_queue_sentinel(&cluster->borrows);
         q = next)
    {
        next = ngx_queue_next(q);

        borrow = ngx_queue_data(q, ngx_http_conduit_borrow_t, queue);

        (void) ngx_http_conduit_borrow_end(borrow);
    }
}
