
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_redis_nodes.h>


/*
 * Calls of a cluster.  Each is kept until its reply is there, to be made again
 * at another node.  What cannot be sent is held; nothing of the slot of a held
 * call overtakes it, and if it has been sent before, nothing is sent before
 * all that were sent with it have been answered: they come back in the order
 * in which they were made.
 */


/* redirects in a row, then there is a pause; ms */

#define NGX_CONDUIT_REDIS_HOPS    5
#define NGX_CONDUIT_REDIS_AGAIN   100

/* no call has got through to a slot for so long: others need not wait, ms */

#define NGX_CONDUIT_REDIS_DEAD    5000

/* without any connection for so long a cluster is lost, ms */

#define NGX_CONDUIT_REDIS_ALONE   1000

/* between two looks at what waits, ms */

#define NGX_CONDUIT_REDIS_LOOK    50

/* between two looks at nodes that have no slots any more, ms */

#define NGX_CONDUIT_REDIS_SWEEP   5000


typedef struct {
    ngx_queue_t                     queue;      /* cluster->held */
    ngx_conduit_redis_cluster_t    *cluster;
    uint64_t                        serial;
    ngx_msec_t                      begun;
    ngx_msec_t                      due;        /* not to be sent before */
    ngx_conduit_redis_call_pt       handler;
    void                           *data;
    ngx_conduit_redis_io_t         *io;         /* it was sent to */
    ngx_conduit_redis_node_t       *ask;        /* once, in place of the map */
    size_t                          size;
    ngx_uint_t                      slot;
    ngx_uint_t                      hops;
    ngx_uint_t                      nargs;
    ngx_str_t                       args[1];
} ngx_conduit_redis_command_t;


static ngx_int_t ngx_conduit_redis_make(ngx_conduit_redis_command_t *call);
static ngx_uint_t ngx_conduit_redis_dead(
    ngx_conduit_redis_cluster_t *cluster, ngx_conduit_redis_slot_t *slot);
static ngx_conduit_redis_command_t *ngx_conduit_redis_copy(
    ngx_conduit_redis_cluster_t *cluster, ngx_str_t *args, ngx_uint_t nargs);
static ngx_int_t ngx_conduit_redis_dispatch(ngx_conduit_redis_command_t *call);
static void ngx_conduit_redis_hold(ngx_conduit_redis_command_t *call);
static void ngx_conduit_redis_replied(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_uint_t ngx_conduit_redis_again(ngx_conduit_redis_command_t *call,
    redisReply *reply);
static ngx_uint_t ngx_conduit_redis_redirect(
    ngx_conduit_redis_command_t *call, conduit_redirect_t *redirect);
static ngx_uint_t ngx_conduit_redis_busy(redisReply *reply);
static void ngx_conduit_redis_finish(ngx_conduit_redis_command_t *call,
    redisReply *reply);
static void ngx_conduit_redis_look(ngx_conduit_redis_cluster_t *cluster,
    ngx_uint_t all);
static ngx_uint_t ngx_conduit_redis_release(
    ngx_conduit_redis_command_t *call);
static ngx_uint_t ngx_conduit_redis_alone(
    ngx_conduit_redis_cluster_t *cluster);


ngx_int_t
ngx_conduit_redis_cluster_call(ngx_conduit_redis_cluster_t *cluster,
    ngx_str_t *args, ngx_uint_t nargs, ngx_conduit_redis_call_pt handler,
    void *data)
{
    ngx_int_t                     rc;
    ngx_conduit_redis_command_t  *call;

    if (cluster->ncalls >= NGX_CONDUIT_REDIS_CALLS
        || cluster->size > NGX_CONDUIT_REDIS_INPUT)
    {
        return NGX_DECLINED;
    }

    call = ngx_conduit_redis_copy(cluster, args, nargs);
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->handler = handler;
    call->data = data;

    if (ngx_conduit_redis_is(&args[0], "EVAL")) {
        ngx_conduit_redis_remember(cluster, &args[1]);
    }

    rc = ngx_conduit_redis_make(call);

    if (rc != NGX_OK) {
        ngx_free(call);
        return rc;
    }

    cluster->ncalls++;
    cluster->size += call->size;

    return NGX_OK;
}


static ngx_int_t
ngx_conduit_redis_make(ngx_conduit_redis_command_t *call)
{
    ngx_int_t                     rc;
    ngx_conduit_redis_slot_t     *slot;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = call->cluster;
    slot = &cluster->slots[call->slot];

    if (slot->held == 0) {
        rc = ngx_conduit_redis_dispatch(call);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    ngx_conduit_redis_cluster_wake(cluster, NGX_CONDUIT_REDIS_LOOK);

    if (ngx_conduit_redis_dead(cluster, slot)) {
        return NGX_DECLINED;
    }

    ngx_conduit_redis_hold(call);

    return NGX_OK;
}


/* it is looked after without further calls that wait for it */

static ngx_uint_t
ngx_conduit_redis_dead(ngx_conduit_redis_cluster_t *cluster,
    ngx_conduit_redis_slot_t *slot)
{
    ngx_conduit_redis_t  *conn;

    if (slot->held
        && (uint32_t) ngx_current_msec - slot->since > NGX_CONDUIT_REDIS_DEAD)
    {
        return 1;
    }

    if (slot->node == NGX_CONDUIT_REDIS_NOBODY) {
        return 0;
    }

    conn = &cluster->nodes[slot->node]->conn;

    return (conn->io && !conn->up
            && ngx_current_msec - conn->since > NGX_CONDUIT_REDIS_DEAD);
}


static ngx_conduit_redis_command_t *
ngx_conduit_redis_copy(ngx_conduit_redis_cluster_t *cluster, ngx_str_t *args,
    ngx_uint_t nargs)
{
    u_char                       *p;
    size_t                        size;
    ngx_uint_t                    i;
    ngx_conduit_redis_command_t  *call;

    size = sizeof(ngx_conduit_redis_command_t) + nargs * sizeof(ngx_str_t);

    for (i = 0; i < nargs; i++) {
        size += args[i].len;
    }

    call = ngx_alloc(size, cluster->redis->log);
    if (call == NULL) {
        return NULL;
    }

    ngx_memzero(call, sizeof(ngx_conduit_redis_command_t));

    call->cluster = cluster;
    call->serial = ++cluster->serial;
    call->begun = ngx_current_msec;
    call->due = ngx_current_msec;
    call->slot = ngx_conduit_redis_slot(args, nargs);
    call->size = size;
    call->nargs = nargs;

    p = (u_char *) &call->args[nargs];

    for (i = 0; i < nargs; i++) {
        call->args[i].data = p;
        call->args[i].len = args[i].len;
        p = ngx_cpymem(p, args[i].data, args[i].len);
    }

    return call;
}


/* NGX_AGAIN: its node is not connected */

static ngx_int_t
ngx_conduit_redis_dispatch(ngx_conduit_redis_command_t *call)
{
    ngx_int_t                     rc;
    ngx_str_t                     asking = ngx_string("ASKING");
    ngx_conduit_redis_io_t       *io;
    ngx_conduit_redis_slot_t     *slot;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = call->cluster;
    slot = &cluster->slots[call->slot];

    if (call->ask) {
        io = ngx_conduit_redis_node_io(call->ask);

    } else if (slot->node != NGX_CONDUIT_REDIS_NOBODY) {
        io = ngx_conduit_redis_node_io(cluster->nodes[slot->node]);

    } else {
        io = cluster->redis->io;
    }

    if (io == NULL || io->phase != NGX_CONDUIT_REDIS_READY) {
        return NGX_AGAIN;
    }

    if (call->ask) {
        rc = ngx_conduit_redis_io_call(io, &asking, 1, NULL, NULL,
                                       call->begun);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_conduit_redis_io_call(io, call->args, call->nargs,
                                   ngx_conduit_redis_replied, call,
                                   call->begun);
    if (rc == NGX_OK) {
        call->io = io;
        slot->sent++;
    }

    return rc;
}


/* in the order in which calls were made; nearly always at the end */

static void
ngx_conduit_redis_hold(ngx_conduit_redis_command_t *call)
{
    ngx_queue_t                  *q;
    ngx_conduit_redis_slot_t     *slot;
    ngx_conduit_redis_command_t  *other;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = call->cluster;

    for (q = ngx_queue_last(&cluster->held);
         q != ngx_queue_sentinel(&cluster->held);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, ngx_conduit_redis_command_t, queue);

        if (other->serial < call->serial) {
            break;
        }
    }

    ngx_queue_insert_after(q, &call->queue);
    cluster->timer.cancelable = 0;

    slot = &cluster->slots[call->slot];

    if (slot->held++ == 0) {
        slot->since = (uint32_t) ngx_current_msec;
    }
}


static void
ngx_conduit_redis_replied(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_conduit_redis_command_t  *call = data;

    ngx_conduit_redis_slot_t     *slot;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = call->cluster;
    slot = &cluster->slots[call->slot];

    slot->sent--;

    if (slot->sent == 0 && slot->held) {
        ngx_conduit_redis_cluster_wake(cluster, 0);
    }

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR || cluster->closed
        || ngx_current_msec - call->begun >= NGX_CONDUIT_REDIS_LATE
        || !ngx_conduit_redis_again(call, reply))
    {
        if (reply) {
            slot->since = (uint32_t) ngx_current_msec;
        }

        ngx_conduit_redis_finish(call, reply);
        return;
    }

    slot->draining = 1;

    ngx_conduit_redis_hold(call);
    ngx_conduit_redis_cluster_wake(cluster, slot->sent
                                            ? NGX_CONDUIT_REDIS_LOOK : 0);
}


/* is it an error of the cluster, after which the call can be made again? */

static ngx_uint_t
ngx_conduit_redis_again(ngx_conduit_redis_command_t *call, redisReply *reply)
{
    conduit_redirect_t  redirect;

    if (conduit_redirect_parse(&redirect, (u_char *) reply->str, reply->len)
        == CONDUIT_OK)
    {
        return ngx_conduit_redis_redirect(call, &redirect);
    }

    if (ngx_strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        return ngx_conduit_redis_is(&call->args[0], "EVALSHA")
               && ngx_conduit_redis_recall(call->cluster, call->args);
    }

    if (!ngx_conduit_redis_busy(reply)) {
        return 0;
    }

    call->ask = NULL;
    call->hops = 0;
    call->due = ngx_current_msec + NGX_CONDUIT_REDIS_AGAIN;
    call->cluster->stale = 1;

    return 1;
}


static ngx_uint_t
ngx_conduit_redis_redirect(ngx_conduit_redis_command_t *call,
    conduit_redirect_t *redirect)
{
    ngx_str_t                     host;
    ngx_conduit_redis_node_t     *node;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = call->cluster;

    host.len = redirect->host.len;
    host.data = redirect->host.data;

    node = ngx_conduit_redis_node(cluster, call->io, &host,
                                  (in_port_t) redirect->port);
    if (node == NULL) {
        return 0;
    }

    if (redirect->ask) {
        call->ask = node;

    } else {
        call->ask = NULL;
        cluster->slots[redirect->slot].node = node->index;
        cluster->stale = 1;
    }

    /* nodes may not agree for a moment */

    if (++call->hops > NGX_CONDUIT_REDIS_HOPS) {
        call->hops = 0;
        call->due = ngx_current_msec + NGX_CONDUIT_REDIS_AGAIN;
    }

    return 1;
}


/*
 * A slot is on its way, its node was lost, or a server has just begun.  A
 * script names only some of its keys, Redis finds out about the others later.
 */

static ngx_uint_t
ngx_conduit_redis_busy(redisReply *reply)
{
    ngx_uint_t  i;

    static const char  *errors[] = {
        "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"
    };

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (ngx_strncmp(reply->str, errors[i], ngx_strlen(errors[i])) == 0) {
            return 1;
        }
    }

    return ngx_strstr(reply->str, "access a non local key") != NULL;
}


static void
ngx_conduit_redis_finish(ngx_conduit_redis_command_t *call, redisReply *reply)
{
    void                         *data;
    ngx_conduit_redis_call_pt     handler;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = call->cluster;
    handler = call->handler;
    data = call->data;

    cluster->ncalls--;
    cluster->size -= call->size;

    ngx_free(call);

    if (handler) {
        handler(data, reply);
    }
}


void
ngx_conduit_redis_cluster_wake(ngx_conduit_redis_cluster_t *cluster,
    ngx_msec_t ms)
{
    if (cluster->closed || cluster->redis->message) {
        return;
    }

    if (cluster->timer.timer_set) {

        if ((ngx_msec_int_t) (cluster->timer.timer.key
                              - (ngx_current_msec + ms))
            <= 0)
        {
            return;
        }

        ngx_del_timer(&cluster->timer);
    }

    ngx_add_timer(&cluster->timer, ms);
}


void
ngx_conduit_redis_cluster_timer(ngx_event_t *ev)
{
    ngx_connection_t             *c = ev->data;
    ngx_conduit_redis_cluster_t  *cluster = c->data;

    ngx_uint_t            alone, away, waits;
    ngx_conduit_redis_t  *redis;

    redis = cluster->redis;

    if (!redis->up) {
        ngx_conduit_redis_look(cluster, 1);
        return;
    }

    alone = ngx_conduit_redis_alone(cluster);

    if (alone
        && ngx_current_msec - cluster->alone > NGX_CONDUIT_REDIS_ALONE)
    {
        redis->up = 0;
        redis->since = ngx_current_msec;

        ngx_conduit_redis_look(cluster, 1);
        redis->state(redis, 0);
        return;
    }

    ngx_conduit_redis_look(cluster, 0);

    away = ngx_conduit_redis_away(cluster);

    waits = (away || cluster->away || cluster->stale
             || !ngx_queue_empty(&cluster->held));

    if (waits) {
        ngx_conduit_redis_refresh(cluster);
    }

    if (alone || waits) {
        ngx_conduit_redis_cluster_wake(cluster, NGX_CONDUIT_REDIS_LOOK);

    } else if (ngx_conduit_redis_sweep(cluster)) {
        ngx_conduit_redis_cluster_wake(cluster, NGX_CONDUIT_REDIS_SWEEP);
    }

    if (cluster->away && !cluster->stale && !away) {
        cluster->away = 0;
        redis->state(redis, 1);
    }
}


static ngx_uint_t
ngx_conduit_redis_alone(ngx_conduit_redis_cluster_t *cluster)
{
    if (cluster->redis->io->phase == NGX_CONDUIT_REDIS_READY) {
        cluster->alone = 0;
        return 0;
    }

    if (cluster->alone == 0) {
        cluster->alone = ngx_current_msec;
    }

    return 1;
}


/* sends what can be sent; what is late, or all, ends without a reply */

static void
ngx_conduit_redis_look(ngx_conduit_redis_cluster_t *cluster, ngx_uint_t all)
{
    ngx_queue_t                  *q, *next, late;
    ngx_conduit_redis_command_t  *call;

    ngx_queue_init(&late);

    cluster->round++;

    for (q = ngx_queue_head(&cluster->held);
         q != ngx_queue_sentinel(&cluster->held);
         q = next)
    {
        next = ngx_queue_next(q);
        call = ngx_queue_data(q, ngx_conduit_redis_command_t, queue);

        if (all
            || ngx_current_msec - call->begun >= NGX_CONDUIT_REDIS_LATE)
        {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&late, q);

        } else if (ngx_conduit_redis_release(call)) {
            ngx_queue_remove(q);

        } else {
            continue;
        }

        cluster->slots[call->slot].held--;
    }

    while (!ngx_queue_empty(&late)) {
        q = ngx_queue_head(&late);
        ngx_queue_remove(q);

        ngx_conduit_redis_finish(ngx_queue_data(q,
                                     ngx_conduit_redis_command_t, queue),
                                 NULL);
    }

    cluster->timer.cancelable = ngx_queue_empty(&cluster->held);
}


/* a call that has to stay stops those of its slot that follow in this round */

static ngx_uint_t
ngx_conduit_redis_release(ngx_conduit_redis_command_t *call)
{
    ngx_conduit_redis_slot_t     *slot;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = call->cluster;
    slot = &cluster->slots[call->slot];

    if (slot->round == cluster->round) {
        return 0;
    }

    if (slot->sent == 0) {
        slot->draining = 0;
    }

    if (!slot->draining
        && (ngx_msec_int_t) (call->due - ngx_current_msec) <= 0
        && ngx_conduit_redis_dispatch(call) == NGX_OK)
    {
        return 1;
    }

    slot->round = cluster->round;

    return 0;
}


void
ngx_conduit_redis_cluster_close(ngx_conduit_redis_t *redis)
{
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = redis->cluster;
    cluster->closed = 1;

    if (cluster->timer.timer_set) {
        ngx_del_timer(&cluster->timer);
    }

    ngx_conduit_redis_nodes_close(cluster);
    ngx_conduit_redis_look(cluster, 1);

    ngx_conduit_redis_forget(cluster);

    redis->cluster = NULL;

    if (cluster->slots) {
        ngx_free(cluster->slots);
    }

    ngx_free(cluster);
}
