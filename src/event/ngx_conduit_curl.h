
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_CURL_H_INCLUDED_
#define _NGX_CONDUIT_CURL_H_INCLUDED_


/*
 * HTTP transfers by libcurl on the event loop of a worker process: one multi
 * handle per process and group of transfers, no policy.  Nothing outside of
 * this folder sees libcurl.
 *
 * A transfer is created, filled in, started, and ends by exactly one call of
 * its handler, unless it is cancelled first.  The handler is never called
 * from inside ngx_conduit_transfer_start().  The transfer and everything that
 * lies in its pool is destroyed when the handler returns:
 *
 *     t = ngx_conduit_transfer_create(cycle->log);
 *     if (t == NULL) { ... }
 *
 *     t->url = url;                       (memory of t->pool, or outliving t)
 *     t->handler = my_handler;
 *     t->data = my_ctx;
 *     ngx_conduit_transfer_start(t);
 *
 * Redirects are not followed: a 3xx is a reply like any other, and
 * "redirect" of the reply is the absolute URL that it points to; the caller
 * checks it and makes another transfer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/* how a transfer ended; OK = complete reply, whatever its HTTP status */

#define NGX_CONDUIT_TRANSFER_OK         0
#define NGX_CONDUIT_TRANSFER_DNS        1   /* no address for the host */
#define NGX_CONDUIT_TRANSFER_CONNECT    2   /* refused, unreachable, reset */
#define NGX_CONDUIT_TRANSFER_TLS        3   /* handshake or certificate */
#define NGX_CONDUIT_TRANSFER_TIMEOUT    4   /* any of the timeouts */
#define NGX_CONDUIT_TRANSFER_PROTOCOL   5   /* closed early, cut, no HTTP */
#define NGX_CONDUIT_TRANSFER_TOO_LARGE  6   /* beyond max_size */
#define NGX_CONDUIT_TRANSFER_BLOCKED    7   /* refused by address() */
#define NGX_CONDUIT_TRANSFER_ABORTED    8   /* refused by sink(), shutdown */
#define NGX_CONDUIT_TRANSFER_INTERNAL   9   /* no memory, no connections */


/* transfers of a group share connections, and should have the same CAs */

#define NGX_CONDUIT_TRANSFER_CALLS      0   /* to providers */
#define NGX_CONDUIT_TRANSFER_POSTS      1   /* of webhooks */
#define NGX_CONDUIT_TRANSFER_GROUPS     2


typedef struct ngx_conduit_transfer_s  ngx_conduit_transfer_t;

typedef void (*ngx_conduit_transfer_handler_pt)(ngx_conduit_transfer_t *t);

/*
 * Takes a piece of the body of the reply: NGX_OK - taken; NGX_AGAIN - not
 * taken, pause: the bytes come again, perhaps cut in another way, after
 * ngx_conduit_transfer_resume(); NGX_ERROR - the transfer ends, ABORTED.
 * t->status and headers are known from the first call on.
 */

typedef ngx_int_t (*ngx_conduit_transfer_sink_pt)(ngx_conduit_transfer_t *t,
    u_char *data, size_t len);

/*
 * May this address be connected to?  NGX_OK or NGX_DECLINED.  Called for every
 * address of the host before any of them is tried (one refused is enough to
 * end the transfer as BLOCKED), and again for the one that is connected to.
 */

typedef ngx_int_t (*ngx_conduit_transfer_address_pt)(struct sockaddr *sockaddr,
    socklen_t socklen, void *data);


struct ngx_conduit_transfer_s {
    /* the request, set between create and start */

    ngx_pool_t                        *pool;
    ngx_log_t                         *log;

    ngx_str_t                          method;     /* "GET" if empty */
    ngx_str_t                          url;        /* http, https; absolute */
    ngx_array_t                        headers;    /* of ngx_keyval_t */
    ngx_str_t                          body;       /* sent if data != NULL */

    ngx_uint_t                         group;      /* NGX_CONDUIT_TRANSFER_ */

    ngx_msec_t                         connect_timeout;   /* 5s; TLS included,
                                                             DNS is not */
    ngx_msec_t                         timeout;    /* 30s; the whole transfer,
                                                      DNS included */
    ngx_msec_t                         read_timeout; /* pause inside a reply
                                                      that has begun; 0: none */
    size_t                             max_size;   /* of the reply's body;
                                                      1 MiB */

    /* nginx's; without one the system's configuration is used, in threads */
    ngx_resolver_t                    *resolver;
    ngx_msec_t                         resolver_timeout;  /* 10s */

    ngx_str_t                          trusted_certificate; /* PEM file; the
                                                      system's CAs if empty */
    ngx_str_t                          bind;       /* own address, or empty */
    time_t                             idle;       /* s that a connection may
                                                      have been idle; 0: the
                                                      usual for "once" */

    ngx_conduit_transfer_address_pt    address;    /* NULL: all are allowed */
    void                              *address_data;

    ngx_conduit_transfer_sink_pt       sink;       /* NULL: body is collected */
    ngx_conduit_transfer_handler_pt    handler;
    void                              *data;

    /*
     * The request is not idempotent: once a byte of it may have left, it is
     * never sent again by the transport.  (Otherwise it is repeated once when
     * a kept connection turns out dead before the first byte of the reply.)
     */
    unsigned                           once:1;

    /* the lookup is a part of connect_timeout */
    unsigned                           strict:1;

    /* the reply, for sink() and the handler */

    ngx_uint_t                         error;      /* NGX_CONDUIT_TRANSFER_* */
    ngx_uint_t                         status;     /* 0: no header came */
    ngx_str_t                          reply;      /* collected body, followed
                                                      by a NUL; kept also when
                                                      error is not OK */
    ngx_str_t                          redirect;   /* absolute URL or empty */
    const char                        *message;    /* why it failed; no data
                                                      of the peer in it */
    ngx_msec_t                         elapsed;
    ngx_msec_t                         waited;     /* until the request was
                                                      sent */

    unsigned                           sent:1;     /* a byte of the request
                                                      may have left */
    unsigned                           reused:1;   /* on a kept connection */
    unsigned                           connected:1;   /* and allowed */
    unsigned                           headed:1;   /* the final header block
                                                      is complete; error tells
                                                      of what came then */

    /* private */

    struct ngx_conduit_exchange_s     *exchange;
};


/* process state of libcurl; once, in the master (init_module); idempotent */
ngx_int_t ngx_conduit_curl_global_init(ngx_log_t *log);

/* init_process and exit_process of workers; exit calls no handlers */
ngx_int_t ngx_conduit_curl_init(ngx_cycle_t *cycle);
void ngx_conduit_curl_exit(ngx_cycle_t *cycle);

/* transfers that were started and have not ended, in this process */
ngx_uint_t ngx_conduit_curl_active(void);

/* NULL: no memory; all fields have their defaults, headers is initialized */
ngx_conduit_transfer_t *ngx_conduit_transfer_create(ngx_log_t *log);

/* adds a header to the request; the bytes are not copied */
ngx_int_t ngx_conduit_transfer_add_header(ngx_conduit_transfer_t *t,
    ngx_str_t *name, ngx_str_t *value);

/* cannot fail: failures are told by the handler */
void ngx_conduit_transfer_start(ngx_conduit_transfer_t *t);

/* after NGX_AGAIN of sink(); from anywhere; harmless when not paused */
void ngx_conduit_transfer_resume(ngx_conduit_transfer_t *t);

/*
 * Ends the transfer without a call of its handler, at any time and from
 * anywhere (its own sink() included), or destroys one that was not started.
 * The caller forgets t.  Inside of the handler it does nothing.
 *
 * From inside of a sink() or address(), of this or another transfer, it takes
 * effect a little later, in the same turn of the event loop: a body and
 * address_data that are not in t->pool have to stay as long.
 */
void ngx_conduit_transfer_cancel(ngx_conduit_transfer_t *t);

/*
 * The first header of that name in the reply (name in any case, ended by a
 * NUL), or NGX_DECLINED.  The value is valid until the handler returns.
 */
ngx_int_t ngx_conduit_transfer_header(ngx_conduit_transfer_t *t,
    const char *name, ngx_str_t *value);

/* "ok", "dns", "connect", ... for logs and metrics */
const char *ngx_conduit_transfer_strerror(ngx_uint_t error);


#endif /* _NGX_CONDUIT_CURL_H_INCLUDED_ */
