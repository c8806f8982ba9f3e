
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_DUE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_DUE_H_INCLUDED_


#include <ngx_http_conduit_engine.h>


/* heart beat, and the longest a due step of another process goes unseen */

#define NGX_HTTP_CONDUIT_TICK  500


typedef enum {
    NGX_HTTP_CONDUIT_DUE_NONE,
    NGX_HTTP_CONDUIT_DUE_AGAIN,
    NGX_HTTP_CONDUIT_DUE_PERFORM,
    NGX_HTTP_CONDUIT_DUE_TIMEOUT,
    NGX_HTTP_CONDUIT_DUE_LAPSE,
    NGX_HTTP_CONDUIT_DUE_GONE,
    NGX_HTTP_CONDUIT_DUE_TRIED,
    NGX_HTTP_CONDUIT_DUE_OVER
} ngx_http_conduit_due_e;


/*
 * What is to be done with the task that is due first; lease is set for PERFORM
 * and LAPSE.  OVER: it has been forgotten; NONE: wait is the time until another
 * one is due, or 0.
 */
ngx_http_conduit_due_e ngx_http_conduit_due_next(
    ngx_http_conduit_engine_t *engine, u_char *id, uint64_t *lease,
    ngx_msec_t *wait);


#endif /* _NGX_HTTP_CONDUIT_DUE_H_INCLUDED_ */
