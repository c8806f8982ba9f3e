
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WAIT_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WAIT_H_INCLUDED_


#include <ngx_http_conduit_request.h>
#include <ngx_http_conduit_task.h>


/*
 * A request that waits for a task: long polls and creates.
 *
 * ready() is asked whenever the task has changed, and once at first.  done()
 * is called when it says yes, when the time is over (expired is 1), or when
 * the task has gone (view is NULL); it has to finalize the request.  If the
 * client goes away nothing is called.
 *
 * The caller holds a reference of the request (r->main->count) for the time of
 * waiting.  NGX_ERROR: nothing is going to be called.
 */

typedef ngx_uint_t (*ngx_http_conduit_ready_pt)(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view);
typedef void (*ngx_http_conduit_done_pt)(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired);

/* ms 0: no limit but the task's own */

ngx_int_t ngx_http_conduit_wait(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name, ngx_msec_t ms,
    ngx_http_conduit_ready_pt ready, ngx_http_conduit_done_pt done);

/*
 * "Prefer: wait=N" in milliseconds, not more than conduit_wait_max; 0 if there
 * is none that counts.  applied() adds the header that tells so.
 */

ngx_msec_t ngx_http_conduit_wait_preferred(ngx_http_request_t *r);
ngx_int_t ngx_http_conduit_wait_applied(ngx_http_request_t *r, ngx_msec_t ms);

/* ready(): the task has ended */

ngx_uint_t ngx_http_conduit_wait_ended(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view);


#endif /* _NGX_HTTP_CONDUIT_WAIT_H_INCLUDED_ */
