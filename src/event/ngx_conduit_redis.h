
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_REDIS_H_INCLUDED_
#define _NGX_CONDUIT_REDIS_H_INCLUDED_


/*
 * Connections to Redis on the event loop.  The protocol is hiredis'; the
 * input and output are nginx's own, because the asynchronous context of
 * hiredis looks up names with blocking calls, knows no timeouts, and ends the
 * process when a server sends a reply that nobody has asked for.
 *
 * A connection is made again for as long as it is wanted: after a pause that
 * doubles up to three seconds, with jitter.  Nothing here blocks.
 *
 * Whether a server belongs to a cluster is asked when a connection is made.
 * In a cluster calls go where the slots of their keys are, those without a key
 * to any node; redirects are followed.  Calls whose keys are of one slot are
 * made in order.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_conduit_lookup.h>


/* bounds: calls waiting for their reply, bytes not sent yet, of one reply */

#define NGX_CONDUIT_REDIS_CALLS    8192
#define NGX_CONDUIT_REDIS_OUTPUT   (32 * 1024 * 1024)
#define NGX_CONDUIT_REDIS_INPUT    (64 * 1024 * 1024)

#define NGX_CONDUIT_REDIS_ARGS     32


/* a reply of hiredis, looked into by the functions below */

typedef struct redisReply                   ngx_conduit_redis_reply_t;

typedef struct ngx_conduit_redis_s          ngx_conduit_redis_t;
typedef struct ngx_conduit_redis_io_s       ngx_conduit_redis_io_t;
typedef struct ngx_conduit_redis_cluster_s  ngx_conduit_redis_cluster_t;


/*
 * The outcome of a call.  No reply: it is not known whether the call has been
 * made, the connection was lost or the reply was late.  The reply is freed
 * when the handler returns.
 */
typedef void (*ngx_conduit_redis_call_pt)(void *data,
    ngx_conduit_redis_reply_t *reply);

/*
 * up: calls can be made from now on; not up: the connection is lost.  Up once
 * more: a part of a cluster could not be reached and can be again.
 */
typedef void (*ngx_conduit_redis_state_pt)(ngx_conduit_redis_t *redis,
    ngx_uint_t up);

/*
 * A message of a channel.  With payload NULL: the channel is subscribed, what
 * is published from now on will come.
 */
typedef void (*ngx_conduit_redis_message_pt)(ngx_conduit_redis_t *redis,
    ngx_str_t *channel, ngx_str_t *payload);


/* where a server is, host in lower case or with an address, or a path */

typedef struct {
    ngx_str_t                       host;       /* a name; else empty */
    in_port_t                       port;
    ngx_str_t                       text;       /* for logs */
    ngx_sockaddr_t                  sockaddr;
    socklen_t                       socklen;    /* 0: to be looked up */
} ngx_conduit_redis_server_t;


/* made while the configuration is read */

typedef struct {
    ngx_conduit_redis_server_t      server;
    ngx_array_t                    *sentinels;  /* server_t, or NULL */
    ngx_str_t                       master;     /* as they know it */
    ngx_str_t                       user;       /* empty: none */
    ngx_str_t                       password;   /* empty: none */
    ngx_uint_t                      db;
    void                           *ssl;        /* ngx_ssl_t, or NULL */
    ngx_str_t                       name;       /* of the certificate */

    ngx_resolver_t                 *resolver;   /* may be NULL */
    ngx_msec_t                      connect_timeout;
    ngx_msec_t                      timeout;    /* silence, when waiting */
} ngx_conduit_redis_conf_t;


struct ngx_conduit_redis_s {
    ngx_conduit_redis_conf_t       *conf;
    ngx_log_t                      *log;
    void                           *data;       /* the caller's */
    ngx_conduit_redis_state_pt      state;
    ngx_conduit_redis_message_pt    message;    /* NULL: no channels */

    /* read only */

    unsigned                        up:1;
    unsigned                        refused:1;  /* nobody listens there */
    ngx_msec_t                      since;      /* of up, or of its end */
    ngx_conduit_redis_cluster_t    *cluster;    /* NULL: it is none */

    ngx_conduit_redis_io_t         *io;         /* private */
    unsigned                        node:1;     /* private: of a cluster */
};


/*
 * Checks an URL, redis://[[USER:]PASSWORD@]HOST[:PORT][/DB], rediss:// or
 * unix:PATH, and fills conf in.  NULL, or what is wrong with it.  With
 * conf->sentinels set HOST is the name of a master that they are asked for.
 */
const char *ngx_conduit_redis_url(ngx_conf_t *cf, ngx_str_t *url,
    ngx_conduit_redis_conf_t *conf);

/* HOST[:PORT],... of sentinels; NULL, or what is wrong */
const char *ngx_conduit_redis_sentinels(ngx_conf_t *cf, ngx_str_t *list,
    ngx_conduit_redis_conf_t *conf);

/* after the URL; ca may be empty: the system's store; logs what is wrong */
ngx_int_t ngx_conduit_redis_tls(ngx_conf_t *cf,
    ngx_conduit_redis_conf_t *conf, ngx_str_t *ca);


/*
 * Begins to connect; log, conf, state and data are set, redis is zeroed else.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_conduit_redis_open(ngx_conduit_redis_t *redis);

/* calls that wait are told that there is no reply; state is not called */
void ngx_conduit_redis_close(ngx_conduit_redis_t *redis);

/*
 * Makes a call.  NGX_OK: handler, if it is not NULL, gets the reply later;
 * NGX_DECLINED: not connected, or too much is waiting; NGX_ERROR: no memory.
 * In a cluster all keys have to be of one slot: that of the first key of EVAL
 * and EVALSHA, of the first argument else.
 * With channels only SUBSCRIBE and UNSUBSCRIBE are allowed, without handler.
 */
ngx_int_t ngx_conduit_redis_call(ngx_conduit_redis_t *redis, ngx_str_t *args,
    ngx_uint_t nargs, ngx_conduit_redis_call_pt handler, void *data);


#define NGX_CONDUIT_REDIS_NIL      0
#define NGX_CONDUIT_REDIS_STRING   1
#define NGX_CONDUIT_REDIS_STATUS   2
#define NGX_CONDUIT_REDIS_INTEGER  3
#define NGX_CONDUIT_REDIS_ARRAY    4
#define NGX_CONDUIT_REDIS_FAILED   5

ngx_uint_t ngx_conduit_redis_type(ngx_conduit_redis_reply_t *reply);

/* texts of strings, statuses and errors; else empty */
ngx_str_t ngx_conduit_redis_text(ngx_conduit_redis_reply_t *reply);

/* integers, also of texts; else 0 */
int64_t ngx_conduit_redis_number(ngx_conduit_redis_reply_t *reply);

/* elements of an array; NULL behind the last */
ngx_conduit_redis_reply_t *ngx_conduit_redis_at(
    ngx_conduit_redis_reply_t *reply, ngx_uint_t n);


#endif /* _NGX_CONDUIT_REDIS_H_INCLUDED_ */
