
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_LOOKUP_H_INCLUDED_
#define _NGX_CONDUIT_LOOKUP_H_INCLUDED_


/*
 * Names to addresses without blocking the worker: by nginx's resolver if one
 * is configured, else by getaddrinfo() in threads.
 *
 * The threads are not those of nginx's pools: getaddrinfo() with a mute name
 * server takes 10 seconds and more, which would hold up the files of all
 * others, and a worker that exits waits for each thread of its pools.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


#define NGX_CONDUIT_LOOKUP_ADDRS  8


typedef struct ngx_conduit_lookup_s  ngx_conduit_lookup_t;

typedef void (*ngx_conduit_lookup_handler_pt)(ngx_conduit_lookup_t *lookup);


struct ngx_conduit_lookup_s {
    ngx_str_t                       host;       /* lower case */
    ngx_resolver_t                 *resolver;   /* may be NULL */
    ngx_msec_t                      timeout;
    ngx_conduit_lookup_handler_pt   handler;
    void                           *data;

    ngx_uint_t                      naddrs;     /* 0: no such host, failed */
    ngx_sockaddr_t                  addrs[NGX_CONDUIT_LOOKUP_ADDRS];

    /* private */

    ngx_queue_t                     queue;      /* of those who wait */
    ngx_resolver_ctx_t             *ctx;
    unsigned                        waiting:1;
    unsigned                        inside:1;
};


void ngx_conduit_lookup_init(void);
void ngx_conduit_lookup_exit(void);

/*
 * NGX_OK: naddrs and addrs are set; NGX_AGAIN: handler is called later,
 * unless the lookup is cancelled first.  The system's lookups know no timeout,
 * the caller has one of its own.
 */
ngx_int_t ngx_conduit_lookup_start(ngx_conduit_lookup_t *lookup);
void ngx_conduit_lookup_cancel(ngx_conduit_lookup_t *lookup);


#endif /* _NGX_CONDUIT_LOOKUP_H_INCLUDED_ */
