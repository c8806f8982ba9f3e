
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>
#include <conduit_token.h>


/*
 * What a client asks may come to a host that does not have its session.  The
 * worker that gets it asks all hosts on their common channel:
 *
 *     session VERB NUMBER ID KIND,TRANSPORT,UNTIL,AGE OWNER/PID KEY LF DATA
 *
 * and each answers, to the channel of that worker, session:OWNER/PID:
 *
 *     NUMBER RESULT
 *
 * The host that has the session decides.  It has put the bytes into the inbox
 * by then, so that the client is not told of more than what is kept.  A session
 * that goes to the host that asks is in the answer, see the parcels.  One that
 * is on its way from host to host is asked for again.
 *
 * The client is answered when all hosts have answered: one that is late might
 * do the same once more when the session has come there.  It does nothing any
 * more after UNTIL, by the clock of Redis.  AGE is that of a successor at that
 * time, ms.
 */


#define NGX_HTTP_CONDUIT_ROAM_ASKS   1024

/* ms; early: a new connection, of a host that does not know all others yet */

#define NGX_HTTP_CONDUIT_ROAM_EARLY  400
#define NGX_HTTP_CONDUIT_ROAM_PAUSE  50

/* that part of the time is left to an answer to come back */

#define NGX_HTTP_CONDUIT_ROAM_BACK   8


typedef struct {
    ngx_queue_t                       queue;       /* cluster->asks */
    ngx_queue_t                       waiters;     /* one, or none: it left */
    ngx_http_conduit_cluster_t       *cluster;
    ngx_event_t                       timer;
    ngx_msec_t                        until;
    uint64_t                          number;
    ngx_uint_t                        answers;
    ngx_int_t                         result;      /* of all of them */
    unsigned                          paused:1;
    ngx_http_conduit_session_want_t   want;        /* age: when time is up */
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    size_t                            len;
    u_char                            data[1];
} ngx_http_conduit_ask_t;


static ngx_uint_t ngx_http_conduit_ask_hosts(
    ngx_http_conduit_cluster_t *cluster);
static ngx_int_t ngx_http_conduit_ask_publish(ngx_http_conduit_ask_t *ask,
    ngx_msec_t wait);
static void ngx_http_conduit_ask_timer(ngx_event_t *ev);
static void ngx_http_conduit_ask_again(ngx_http_conduit_ask_t *ask);
static void ngx_http_conduit_ask_heard(ngx_http_conduit_ask_t *ask,
    ngx_int_t rc);
static void ngx_http_conduit_ask_done(ngx_http_conduit_ask_t *ask,
    ngx_int_t rc);
static ngx_http_conduit_waiter_t *ngx_http_conduit_ask_end(
    ngx_http_conduit_ask_t *ask);


ngx_int_t
ngx_http_conduit_cluster_session(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_session_want_t *want, ngx_str_t *data,
    ngx_http_conduit_waiter_t *waiter)
{
    size_t                       len;
    ngx_uint_t                   hosts;
    ngx_msec_t                   wait;
    ngx_http_conduit_ask_t      *ask;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = cdmcf->redis->cluster;
    hosts = ngx_http_conduit_ask_hosts(cluster);

    if (hosts == 1) {
        return NGX_DECLINED;
    }

    if (!cluster->answers || !cluster->redis->calls.up
        || cluster->nasks == NGX_HTTP_CONDUIT_ROAM_ASKS)
    {
        return NGX_ERROR;
    }

    len = data ? data->len : 0;

    ask = ngx_calloc(sizeof(ngx_http_conduit_ask_t) + len, cluster->log);
    if (ask == NULL) {
        return NGX_ERROR;
    }

    ask->cluster = cluster;
    ask->len = len;

    if (len) {
        ngx_memcpy(ask->data, data->data, len);
    }

    ngx_memcpy(ask->id, want->id, NGX_HTTP_CONDUIT_ID_LEN);
    ask->want = *want;
    ask->want.id = ask->id;

    wait = (hosts == 0 && want->fresh) ? NGX_HTTP_CONDUIT_ROAM_EARLY
                                       : NGX_HTTP_CONDUIT_ROAM_WAIT;

    ask->until = ngx_current_msec + wait;
    ask->want.age += wait;

    if (ngx_http_conduit_ask_publish(ask, wait) != NGX_OK) {
        ngx_free(ask);
        return NGX_ERROR;
    }

    ask->timer.data = &cluster->dummy;
    ask->timer.handler = ngx_http_conduit_ask_timer;
    ask->timer.log = cluster->log;

    /* a worker that leaves still answers a request */

    ask->timer.cancelable = (want->verb == NGX_HTTP_CONDUIT_SESSION_SUCCEED);

    ngx_queue_init(&ask->waiters);
    ngx_queue_insert_tail(&ask->waiters, &waiter->queue);
    waiter->waiting = 1;

    ngx_queue_insert_tail(&cluster->asks, &ask->queue);
    cluster->nasks++;

    ngx_add_timer(&ask->timer, wait);

    return NGX_AGAIN;
}


/* with this one; 0: it has not listened for long enough to know all of them */

static ngx_uint_t
ngx_http_conduit_ask_hosts(ngx_http_conduit_cluster_t *cluster)
{
    ngx_http_conduit_sh_t  *sh;

    sh = cluster->cdmcf->zone.sh;

    return (sh->hosts == 0
            || ngx_current_msec - sh->joined < NGX_HTTP_CONDUIT_PEER_SILENT)
           ? 0 : sh->hosts;
}


static ngx_int_t
ngx_http_conduit_ask_publish(ngx_http_conduit_ask_t *ask, ngx_msec_t wait)
{
    u_char                            buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                           *p, *text;
    size_t                            len;
    ngx_int_t                         rc;
    ngx_str_t                         args[3];
    ngx_msec_t                        back;
    ngx_http_conduit_redis_t         *redis;
    ngx_http_conduit_session_want_t  *want;

    redis = ask->cluster->redis;
    want = &ask->want;

    len = sizeof("session p  ,,,  \n") + NGX_INT64_LEN + CONDUIT_TOKEN_ID_LEN
          + 5 * NGX_INT64_LEN + redis->owner.len + want->key->len + ask->len;

    text = ngx_alloc(len, redis->log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    ask->number = ++ask->cluster->asked;
    ask->answers = 0;
    ask->result = NGX_HTTP_CONDUIT_SESSION_NONE;
    ask->paused = 0;

    p = ngx_sprintf(text, "session %c %uL ", (int) want->verb, ask->number);
    conduit_token_id(p, want->id);
    p += CONDUIT_TOKEN_ID_LEN;

    back = wait / NGX_HTTP_CONDUIT_ROAM_BACK;

    p = ngx_sprintf(p, " %ui,%ui,%L,%M %V/%P ", want->kind, want->transport,
                    ngx_http_conduit_redis_now(redis)
                    + (int64_t) (wait - back),
                    want->age - back, &redis->owner, ngx_pid);
    p = ngx_cpymem(p, want->key->name, want->key->len);
    *p++ = LF;
    p = ngx_cpymem(p, ask->data, ask->len);

    ngx_str_set(&args[0], "PUBLISH");
    args[1] = ngx_http_conduit_redis_name(redis, buf, "hosts", NULL);
    args[2].data = text;
    args[2].len = p - text;

    rc = ngx_conduit_redis_call(&redis->calls, args, 3, NULL, NULL);

    ngx_free(text);

    return rc;
}


/* a host that is not known to be gone has not answered, or a pause is over */

static void
ngx_http_conduit_ask_timer(ngx_event_t *ev)
{
    ngx_http_conduit_ask_t  *ask;

    ask = (ngx_http_conduit_ask_t *)
              ((u_char *) ev - offsetof(ngx_http_conduit_ask_t, timer));

    if (ask->paused) {
        ngx_http_conduit_ask_again(ask);
        return;
    }

    ngx_http_conduit_ask_done(ask, ngx_http_conduit_session_away(ask->result)
                                   ? NGX_ERROR : ask->result);
}


/* the session may have come here meanwhile */

static void
ngx_http_conduit_ask_again(ngx_http_conduit_ask_t *ask)
{
    ngx_msec_int_t              left;
    ngx_http_conduit_session_e  rc;

    rc = ngx_http_conduit_ask_serve(ask->cluster, &ask->want, ask->data,
                                    ask->len);

    if (!ngx_http_conduit_session_away(rc)) {
        ngx_http_conduit_ask_done(ask, (ngx_int_t) rc);
        return;
    }

    left = (ngx_msec_int_t) (ask->until - ngx_current_msec);

    if (left <= 0) {
        ngx_http_conduit_ask_done(ask, NGX_HTTP_CONDUIT_SESSION_NONE);
        return;
    }

    if (!ask->cluster->redis->calls.up
        || ngx_http_conduit_ask_publish(ask, (ngx_msec_t) left) != NGX_OK)
    {
        ngx_http_conduit_ask_done(ask, NGX_ERROR);
        return;
    }

    ngx_add_timer(&ask->timer, (ngx_msec_t) left);
}


static void
ngx_http_conduit_ask_done(ngx_http_conduit_ask_t *ask, ngx_int_t rc)
{
    ngx_http_conduit_waiter_t  *waiter;

    waiter = ngx_http_conduit_ask_end(ask);

    if (waiter) {
        waiter->handler(waiter->data, rc);
    }
}


/* who has waited, if it is there still */

static ngx_http_conduit_waiter_t *
ngx_http_conduit_ask_end(ngx_http_conduit_ask_t *ask)
{
    ngx_queue_t                *q;
    ngx_http_conduit_waiter_t  *waiter;

    ngx_queue_remove(&ask->queue);
    ask->cluster->nasks--;

    if (ask->timer.timer_set) {
        ngx_del_timer(&ask->timer);
    }

    waiter = NULL;

    if (!ngx_queue_empty(&ask->waiters)) {
        q = ngx_queue_head(&ask->waiters);
        waiter = ngx_queue_data(q, ngx_http_conduit_waiter_t, queue);

        ngx_http_conduit_watch_leave(waiter);
    }

    ngx_free(ask);

    return waiter;
}


void
ngx_http_conduit_cluster_sessions(ngx_http_conduit_cluster_t *cluster)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     name[NGX_HTTP_CONDUIT_OWNER_LEN + 1
                                    + NGX_INT64_LEN];
    ngx_str_t                  asker, channel;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    if (redis->owner.len > NGX_HTTP_CONDUIT_OWNER_LEN) {
        return;
    }

    asker.data = name;
    asker.len = ngx_sprintf(name, "%V/%P", &redis->owner, ngx_pid) - name;

    channel = ngx_http_conduit_redis_name(redis, buf, "session", &asker);

    ngx_http_conduit_cluster_subscribe(cluster, "SUBSCRIBE", &channel);
}


/* an answer, or the channel is there */

void
ngx_http_conduit_cluster_answered(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    u_char                  *p, *last;
    uint64_t                 number, result;
    ngx_int_t                rc;
    ngx_queue_t             *q;
    ngx_http_conduit_ask_t  *ask;

    if (payload == NULL) {
        cluster->answers = 1;
        return;
    }

    last = payload->data + payload->len;

    p = ngx_http_conduit_ask_number(payload->data, last, &number);

    if (p == last || *p != ' ') {
        return;
    }

    p = ngx_http_conduit_ask_number(p + 1, last, &result);
    rc = (ngx_int_t) result;

    /* what comes too late for who has asked is there for who asks next */

    if (rc == NGX_HTTP_CONDUIT_SESSION_OK && p < last) {
        rc = ngx_http_conduit_parcel_read(cluster, p, last);
    }

    if (ngx_http_conduit_borrow_answered(cluster, number, rc) == NGX_OK) {
        return;
    }

    for (q = ngx_queue_head(&cluster->asks);
         q != ngx_queue_sentinel(&cluster->asks);
         q = ngx_queue_next(q))
    {
        ask = ngx_queue_data(q, ngx_http_conduit_ask_t, queue);

        if (ask->number == number && !ask->paused) {
            ngx_http_conduit_ask_heard(ask, rc);
            return;
        }
    }
}


static void
ngx_http_conduit_ask_heard(ngx_http_conduit_ask_t *ask, ngx_int_t rc)
{
    ngx_http_conduit_cluster_t  *cluster;

    cluster = ask->cluster;

    /* it is nowhere only when all have said so */

    if (rc != NGX_HTTP_CONDUIT_SESSION_NONE) {
        ask->result = (rc == NGX_HTTP_CONDUIT_SESSION_MOVED
                       && ask->result != NGX_HTTP_CONDUIT_SESSION_NONE)
                      ? ask->result : rc;
    }

    if (++ask->answers + 1 < cluster->cdmcf->zone.sh->hosts
        || (ngx_http_conduit_session_away(ask->result)
            && ngx_http_conduit_ask_hosts(cluster) == 0))
    {
        return;
    }

    if (ask->result != NGX_HTTP_CONDUIT_SESSION_MOVED) {
        ngx_http_conduit_ask_done(ask, ask->result);
        return;
    }

    ask->paused = 1;

    ngx_add_timer(&ask->timer, NGX_HTTP_CONDUIT_ROAM_PAUSE);
}


/* the worker ends: nobody is called any more */

void
ngx_http_conduit_cluster_session_exit(ngx_http_conduit_cluster_t *cluster)
{
    ngx_queue_t             *q, *next;
    ngx_http_conduit_ask_t  *ask;

    ngx_http_conduit_parcel_exit(cluster);

    for (q = ngx_queue_head(&cluster->asks);
         q != ngx_queue_sentinel(&cluster->asks);
         q = next)
    {
        next = ngx_queue_next(q);

        ask = ngx_queue_data(q, ngx_http_conduit_ask_t, queue);

        (void) ngx_http_conduit_ask_end(ask);
    }
}
