
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_redis_nodes.h>


/* looks after deadlines in this step; a ping follows silence, both in ms */

#define NGX_CONDUIT_REDIS_TICK    500
#define NGX_CONDUIT_REDIS_SILENT  3000

#define NGX_CONDUIT_REDIS_CHUNK   16384


static void ngx_conduit_redis_timer_handler(ngx_event_t *ev);
static void ngx_conduit_redis_tick(ngx_conduit_redis_io_t *io);
static void ngx_conduit_redis_late(ngx_conduit_redis_io_t *io);
static void ngx_conduit_redis_ping(ngx_conduit_redis_io_t *io);
static ngx_int_t ngx_conduit_redis_room(ngx_conduit_redis_io_t *io,
    size_t len);
static void ngx_conduit_redis_push_handler(ngx_event_t *ev);
static void ngx_conduit_redis_send(ngx_conduit_redis_io_t *io);
static ngx_int_t ngx_conduit_redis_feed(ngx_conduit_redis_io_t *io,
    u_char *buf, size_t len);
static void ngx_conduit_redis_reply(ngx_conduit_redis_io_t *io,
    redisReply *reply);
static void ngx_conduit_redis_answer(ngx_conduit_redis_io_t *io,
    redisReply *reply);
static void ngx_conduit_redis_published(ngx_conduit_redis_io_t *io,
    redisReply *reply);
static void ngx_conduit_redis_free(ngx_conduit_redis_io_t *io);


ngx_int_t
ngx_conduit_redis_open(ngx_conduit_redis_t *redis)
{
    ngx_conduit_redis_io_t  *io;

    io = ngx_calloc(sizeof(ngx_conduit_redis_io_t), redis->log);
    if (io == NULL) {
        return NGX_ERROR;
    }

    io->redis = redis;
    io->log = *redis->log;
    io->dummy.fd = (ngx_socket_t) -1;
    io->dummy.data = io;

    ngx_queue_init(&io->calls);

    io->timer.data = &io->dummy;
    io->timer.handler = ngx_conduit_redis_timer_handler;
    io->timer.log = redis->log;
    io->timer.cancelable = 1;

    io->push.data = &io->dummy;
    io->push.handler = ngx_conduit_redis_push_handler;
    io->push.log = redis->log;

    redis->io = io;
    redis->since = ngx_current_msec;

    ngx_add_timer(&io->timer, 1);

    return NGX_OK;
}


void
ngx_conduit_redis_close(ngx_conduit_redis_t *redis)
{
    ngx_conduit_redis_io_t  *io;

    io = redis->io;

    if (io == NULL || io->closed) {
        return;
    }

    io->closed = 1;
    redis->io = NULL;

    ngx_conduit_redis_lost(io, NULL);

    if (redis->cluster) {
        ngx_conduit_redis_cluster_close(redis);
    }

    if (!io->inside) {
        ngx_conduit_redis_free(io);
    }
}


static void
ngx_conduit_redis_free(ngx_conduit_redis_io_t *io)
{
    if (io->timer.timer_set) {
        ngx_del_timer(&io->timer);
    }

    if (io->push.posted) {
        ngx_delete_posted_event(&io->push);
    }

    if (io->out) {
        ngx_free(io->out);
    }

    ngx_free(io);
}


ngx_int_t
ngx_conduit_redis_call(ngx_conduit_redis_t *redis, ngx_str_t *args,
    ngx_uint_t nargs, ngx_conduit_redis_call_pt handler, void *data)
{
    if (!redis->up || redis->io == NULL) {
        return NGX_DECLINED;
    }

    if (redis->message) {
        return ngx_conduit_redis_put(redis->io, args, nargs);
    }

    if (redis->cluster) {
        return ngx_conduit_redis_cluster_call(redis->cluster, args, nargs,
                                              handler, data);
    }

    return ngx_conduit_redis_io_call(redis->io, args, nargs, handler, data,
                                     ngx_current_msec);
}


ngx_int_t
ngx_conduit_redis_io_call(ngx_conduit_redis_io_t *io, ngx_str_t *args,
    ngx_uint_t nargs, ngx_conduit_redis_call_pt handler, void *data,
    ngx_msec_t begun)
{
    ngx_int_t                  rc;
    ngx_conduit_redis_wait_t  *wait;

    if (io->phase != NGX_CONDUIT_REDIS_READY
        || io->ncalls >= NGX_CONDUIT_REDIS_CALLS)
    {
        return NGX_DECLINED;
    }

    wait = ngx_alloc(sizeof(ngx_conduit_redis_wait_t), io->redis->log);
    if (wait == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_conduit_redis_put(io, args, nargs);

    if (rc != NGX_OK) {
        ngx_free(wait);
        return rc;
    }

    if (io->ncalls == 0) {
        io->heard = ngx_current_msec;
    }

    wait->begun = begun;
    wait->handler = handler;
    wait->data = data;

    ngx_queue_insert_tail(&io->calls, &wait->queue);
    io->ncalls++;

    /* a worker that shuts down waits for the reply, if it is not too late */

    io->timer.cancelable = 0;

    return NGX_OK;
}


/* all calls of one turn of the event loop leave together */

ngx_int_t
ngx_conduit_redis_put(ngx_conduit_redis_io_t *io, ngx_str_t *args,
    ngx_uint_t nargs)
{
    char        *command;
    size_t       lens[NGX_CONDUIT_REDIS_ARGS];
    ssize_t      len;
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *argv[NGX_CONDUIT_REDIS_ARGS];

    if (nargs > NGX_CONDUIT_REDIS_ARGS) {
        return NGX_ERROR;
    }

    for (i = 0; i < nargs; i++) {
        argv[i] = args[i].len ? (char *) args[i].data : "";
        lens[i] = args[i].len;
    }

    len = redisFormatCommandArgv(&command, nargs, argv, lens);
    if (len < 0) {
        return NGX_ERROR;
    }

    rc = ngx_conduit_redis_room(io, len);

    if (rc == NGX_OK) {
        ngx_memcpy(io->out + io->last, command, len);
        io->last += len;

        ngx_post_event(&io->push, &ngx_posted_events);
    }

    redisFreeCommand(command);

    return rc;
}


static ngx_int_t
ngx_conduit_redis_room(ngx_conduit_redis_io_t *io, size_t len)
{
    u_char  *out;
    size_t   size, used;

    if (io->size - io->last >= len) {
        return NGX_OK;
    }

    used = io->last - io->pos;

    if (used + len > NGX_CONDUIT_REDIS_OUTPUT) {
        return NGX_DECLINED;
    }

    size = ngx_max(io->size, NGX_CONDUIT_REDIS_CHUNK);

    while (size < used + len) {
        size *= 2;
    }

    out = ngx_alloc(size, io->redis->log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    if (io->out) {
        ngx_memcpy(out, io->out + io->pos, used);
        ngx_free(io->out);
    }

    io->out = out;
    io->size = size;
    io->pos = 0;
    io->last = used;

    return NGX_OK;
}


static void
ngx_conduit_redis_push_handler(ngx_event_t *ev)
{
    ngx_connection_t        *c = ev->data;
    ngx_conduit_redis_io_t  *io = c->data;

    ngx_conduit_redis_send(io);
}


static void
ngx_conduit_redis_send(ngx_conduit_redis_io_t *io)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = io->connection;

    if (c == NULL || io->phase < NGX_CONDUIT_REDIS_ASK) {
        return;
    }

    while (io->pos < io->last && c->write->ready) {

        n = c->send(c, io->out + io->pos, io->last - io->pos);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            ngx_conduit_redis_lost(io, "send() failed");
            return;
        }

        io->pos += n;
    }

    if (io->pos == io->last) {
        io->pos = 0;
        io->last = 0;

        if (io->size > 64 * NGX_CONDUIT_REDIS_CHUNK) {
            ngx_free(io->out);
            io->out = NULL;
            io->size = 0;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_conduit_redis_lost(io, "no event");
    }
}


void
ngx_conduit_redis_read_handler(ngx_event_t *ev)
{
    ngx_connection_t        *c = ev->data;
    ngx_conduit_redis_io_t  *io = c->data;

    u_char                   buf[NGX_CONDUIT_REDIS_CHUNK];
    ssize_t                  n;

    if (io->phase < NGX_CONDUIT_REDIS_ASK) {
        return;
    }

    for ( ;; ) {
        n = c->recv(c, buf, NGX_CONDUIT_REDIS_CHUNK);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            ngx_conduit_redis_lost(io, "connection was closed");
            return;
        }

        /* whoever is called may have closed the connection */

        if (ngx_conduit_redis_feed(io, buf, n) != NGX_OK) {
            return;
        }
    }

    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_conduit_redis_lost(io, "no event");
    }
}


/* NGX_DONE: the connection, and perhaps all of it, has gone */

static ngx_int_t
ngx_conduit_redis_feed(ngx_conduit_redis_io_t *io, u_char *buf, size_t len)
{
    void        *reply;
    ngx_uint_t   serial;

    serial = io->serial;
    io->heard = ngx_current_msec;
    io->pinged = 0;
    io->unread += len;
    io->inside = 1;

    if (redisReaderFeed(io->reader, (char *) buf, len) != REDIS_OK) {
        ngx_conduit_redis_lost(io, "no memory");
    }

    while (io->serial == serial) {

        if (redisReaderGetReply(io->reader, &reply) != REDIS_OK) {
            ngx_conduit_redis_lost(io, "reply is not of the protocol");
            break;
        }

        if (reply == NULL) {
            break;
        }

        io->unread = 0;
        ngx_conduit_redis_reply(io, reply);
        freeReplyObject(reply);
    }

    io->inside = 0;

    if (io->closed) {
        ngx_conduit_redis_free(io);
        return NGX_DONE;
    }

    if (io->serial == serial && io->unread > NGX_CONDUIT_REDIS_INPUT) {
        ngx_conduit_redis_lost(io, "reply is too large");
    }

    return (io->serial == serial) ? NGX_OK : NGX_DONE;
}


static void
ngx_conduit_redis_reply(ngx_conduit_redis_io_t *io, redisReply *reply)
{
    if (io->phase != NGX_CONDUIT_REDIS_READY) {
        ngx_conduit_redis_greeted(io, reply);
        return;
    }

    if (io->redis->message) {
        ngx_conduit_redis_published(io, reply);
        return;
    }

    ngx_conduit_redis_answer(io, reply);

    /* a failover has made a replica of the server */

    if (!io->closed && io->connection && reply->type == REDIS_REPLY_ERROR
        && ngx_strncmp(reply->str, "READONLY", 8) == 0)
    {
        ngx_conduit_redis_lost(io, "server is a replica now");
    }
}


static void
ngx_conduit_redis_answer(ngx_conduit_redis_io_t *io, redisReply *reply)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&io->calls)) {
        ngx_conduit_redis_lost(io, "reply without a question");
        return;
    }

    q = ngx_queue_head(&io->calls);
    ngx_queue_remove(q);
    io->ncalls--;
    io->timer.cancelable = (io->ncalls == 0);

    ngx_conduit_redis_told(ngx_queue_data(q, ngx_conduit_redis_wait_t, queue),
                           reply);
}


static void
ngx_conduit_redis_published(ngx_conduit_redis_io_t *io, redisReply *reply)
{
    ngx_str_t  kind, channel, payload;

    kind = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 0));
    channel = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 1));

    if (kind.len == 7 && ngx_strncmp(kind.data, "message", 7) == 0) {
        payload = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 2));

        if (payload.data) {
            io->redis->message(io->redis, &channel, &payload);
        }

    } else if (kind.len == 9 && ngx_strncmp(kind.data, "subscribe", 9) == 0) {
        io->redis->message(io->redis, &channel, NULL);
    }
}


void
ngx_conduit_redis_write_handler(ngx_event_t *ev)
{
    ngx_connection_t        *c = ev->data;
    ngx_conduit_redis_io_t  *io = c->data;

    if (io->phase == NGX_CONDUIT_REDIS_CONNECT) {
        ngx_conduit_redis_greet(io);
        return;
    }

    ngx_conduit_redis_send(io);
}


void
ngx_conduit_redis_ready(ngx_conduit_redis_io_t *io)
{
    ngx_uint_t            level;
    ngx_conduit_redis_t  *redis;

    redis = io->redis;
    level = io->failures ? NGX_LOG_NOTICE : NGX_LOG_INFO;

    io->phase = NGX_CONDUIT_REDIS_READY;
    io->pause = 0;
    io->heard = ngx_current_msec;

    ngx_log_error(level, redis->log, 0,
                  "conduit_redis: connected to %V", &io->server->text);

    io->failures = 0;

    if (redis->up) {

        /* the cluster was there all the time */

        ngx_conduit_redis_cluster_wake(redis->cluster, 0);
        return;
    }

    redis->up = 1;
    redis->since = ngx_current_msec;

    redis->state(redis, 1);
}


static void
ngx_conduit_redis_timer_handler(ngx_event_t *ev)
{
    ngx_connection_t        *c = ev->data;
    ngx_conduit_redis_io_t  *io = c->data;

    if (io->phase == NGX_CONDUIT_REDIS_IDLE) {
        ngx_conduit_redis_connect(io);

    } else if (io->phase != NGX_CONDUIT_REDIS_READY) {

        if (ngx_current_msec - io->begun > io->redis->conf->connect_timeout) {
            ngx_conduit_redis_lost(io, "timed out");
        }

    } else {
        io->inside = 1;
        ngx_conduit_redis_tick(io);
        io->inside = 0;

        if (io->closed) {
            ngx_conduit_redis_free(io);
            return;
        }
    }

    if (!io->timer.timer_set) {
        ngx_add_timer(&io->timer, NGX_CONDUIT_REDIS_TICK);
    }
}


static void
ngx_conduit_redis_tick(ngx_conduit_redis_io_t *io)
{
    ngx_msec_t  silent;

    ngx_conduit_redis_late(io);

    if (io->phase != NGX_CONDUIT_REDIS_READY) {
        return;
    }

    silent = ngx_current_msec - io->heard;

    if ((io->ncalls || io->pinged) && silent > io->redis->conf->timeout) {
        ngx_conduit_redis_lost(io, "is silent");
        return;
    }

    if (silent > NGX_CONDUIT_REDIS_SILENT && io->ncalls == 0 && !io->pinged) {
        ngx_conduit_redis_ping(io);
    }
}


static void
ngx_conduit_redis_late(ngx_conduit_redis_io_t *io)
{
    ngx_queue_t                *q;
    ngx_conduit_redis_wait_t   *wait;
    ngx_conduit_redis_call_pt   handler;

    for (q = ngx_queue_head(&io->calls);
         q != ngx_queue_sentinel(&io->calls);
         q = ngx_queue_next(q))
    {
        wait = ngx_queue_data(q, ngx_conduit_redis_wait_t, queue);

        if (ngx_current_msec - wait->begun < NGX_CONDUIT_REDIS_LATE) {
            return;
        }

        handler = wait->handler;
        wait->handler = NULL;

        if (handler) {
            handler(wait->data, NULL);

            if (io->closed || io->phase != NGX_CONDUIT_REDIS_READY) {
                return;
            }
        }
    }
}


static void
ngx_conduit_redis_ping(ngx_conduit_redis_io_t *io)
{
    ngx_int_t  rc;
    ngx_str_t  ping = ngx_string("PING");

    if (io->redis->message) {
        rc = ngx_conduit_redis_put(io, &ping, 1);

    } else {
        rc = ngx_conduit_redis_io_call(io, &ping, 1, NULL, NULL,
                                       ngx_current_msec);
    }

    if (rc == NGX_OK) {
        io->pinged = ngx_current_msec;
    }
}
