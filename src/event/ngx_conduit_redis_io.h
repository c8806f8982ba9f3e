
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_REDIS_IO_H_INCLUDED_
#define _NGX_CONDUIT_REDIS_IO_H_INCLUDED_


/* what the files of the Redis adapter share; nobody else looks in here */


#include <ngx_conduit_redis.h>

#include <hiredis/hiredis.h>


typedef enum {
    NGX_CONDUIT_REDIS_IDLE,         /* between two attempts */
    NGX_CONDUIT_REDIS_LOOKUP,
    NGX_CONDUIT_REDIS_CONNECT,
    NGX_CONDUIT_REDIS_HANDSHAKE,
    NGX_CONDUIT_REDIS_ASK,          /* a sentinel for the master */
    NGX_CONDUIT_REDIS_HELLO,        /* AUTH, SELECT, ROLE */
    NGX_CONDUIT_REDIS_READY
} ngx_conduit_redis_phase_e;


typedef struct {
    ngx_queue_t                     queue;
    ngx_msec_t                      begun;
    ngx_conduit_redis_call_pt       handler;    /* NULL: nobody waits */
    void                           *data;
} ngx_conduit_redis_wait_t;


struct ngx_conduit_redis_io_s {
    ngx_conduit_redis_t            *redis;
    ngx_pool_t                     *pool;       /* of one connection */
    ngx_log_t                       log;
    ngx_peer_connection_t           peer;
    ngx_connection_t               *connection;
    ngx_conduit_lookup_t            lookup;
    ngx_conduit_redis_server_t     *server;     /* connected to */
    ngx_conduit_redis_server_t      found;      /* by a sentinel or node */
    ngx_sockaddr_t                  sockaddr;
    socklen_t                       socklen;
    ngx_uint_t                      sentinel;   /* to be asked next */

    redisReader                    *reader;
    size_t                          unread;     /* bytes of half a reply */

    u_char                         *out;
    size_t                          size;
    size_t                          pos;
    size_t                          last;

    ngx_queue_t                     calls;      /* of wait_t, in order */
    ngx_uint_t                      ncalls;
    ngx_msec_t                      heard;
    ngx_msec_t                      pinged;

    ngx_event_t                     timer;      /* pauses and deadlines */
    ngx_event_t                     push;       /* posted: send */
    ngx_connection_t                dummy;
    ngx_msec_t                      pause;
    ngx_msec_t                      begun;      /* of this attempt */
    ngx_uint_t                      greetings;  /* replies to wait for */
    ngx_uint_t                      failures;   /* in a row */
    ngx_uint_t                      serial;     /* of the connection */
    ngx_err_t                       err;        /* to be told */

    ngx_conduit_redis_phase_e       phase;
    unsigned                        mapped:1;   /* CLUSTER SLOTS was sent */
    unsigned                        inside:1;   /* handlers run */
    unsigned                        closed:1;
};


/* one that waits for as long as it does not do so for too long, ms */

#define NGX_CONDUIT_REDIS_LATE  10000


/* begins an attempt; takes the connection down and begins another later */

void ngx_conduit_redis_connect(ngx_conduit_redis_io_t *io);
void ngx_conduit_redis_lost(ngx_conduit_redis_io_t *io, const char *why);

/* the connection itself is there, or a reply to what was sent on it */

void ngx_conduit_redis_greet(ngx_conduit_redis_io_t *io);
void ngx_conduit_redis_greeted(ngx_conduit_redis_io_t *io,
    redisReply *reply);

/* ends a call that is in no list any more; reply is NULL if there is none */

void ngx_conduit_redis_told(ngx_conduit_redis_wait_t *wait,
    redisReply *reply);

/* a call on a connection, begun at that time */

ngx_int_t ngx_conduit_redis_io_call(ngx_conduit_redis_io_t *io,
    ngx_str_t *args, ngx_uint_t nargs, ngx_conduit_redis_call_pt handler,
    void *data, ngx_msec_t begun);

/* text and host of a server are allocated, or NULL; pool is for a while */

ngx_int_t ngx_conduit_redis_place(ngx_conduit_redis_server_t *server,
    ngx_pool_t *pool, ngx_log_t *log, ngx_str_t *host, in_port_t port);
ngx_int_t ngx_conduit_redis_place_copy(ngx_conduit_redis_server_t *server,
    ngx_conduit_redis_server_t *from, ngx_log_t *log);
void ngx_conduit_redis_place_free(ngx_conduit_redis_server_t *server);

/* the greeting is over */

void ngx_conduit_redis_ready(ngx_conduit_redis_io_t *io);

/* puts a call into the output; NGX_OK, NGX_DECLINED, NGX_ERROR */

ngx_int_t ngx_conduit_redis_put(ngx_conduit_redis_io_t *io, ngx_str_t *args,
    ngx_uint_t nargs);

void ngx_conduit_redis_read_handler(ngx_event_t *ev);
void ngx_conduit_redis_write_handler(ngx_event_t *ev);


#endif /* _NGX_CONDUIT_REDIS_IO_H_INCLUDED_ */
