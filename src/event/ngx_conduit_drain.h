
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_DRAIN_H_INCLUDED_
#define _NGX_CONDUIT_DRAIN_H_INCLUDED_


/*
 * Who wants to know that this worker has begun to shut down gracefully:
 * connections that would last for ever, which are told to come again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef struct {
    ngx_queue_t   queue;
    void        (*handler)(void *data);
    void         *data;
    unsigned      added:1;
} ngx_conduit_drain_t;


/*
 * NGX_OK: the handler is called once, unless it is deleted first; NGX_DECLINED:
 * the shutdown has begun already; NGX_ERROR.  The memory is the caller's.
 */
ngx_int_t ngx_conduit_drain_add(ngx_conduit_drain_t *drain);

/* harmless when it is not added */
void ngx_conduit_drain_del(ngx_conduit_drain_t *drain);

/* lets a timer expire within a second, each at another moment */
void ngx_conduit_drain_soon(ngx_event_t *timer);


#endif /* _NGX_CONDUIT_DRAIN_H_INCLUDED_ */
