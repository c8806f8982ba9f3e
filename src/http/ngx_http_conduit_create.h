
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_CREATE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_CREATE_H_INCLUDED_


#include <ngx_http_conduit_generations.h>


/*
 * The reply of a create for a task, which says this status: with "Location",
 * 202.  Returns what to finalize with.
 */
ngx_int_t ngx_http_conduit_create_accepted(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t status);

/* sends the error object for a limit: what task_create() has returned */
ngx_int_t ngx_http_conduit_create_refused(ngx_http_request_t *r,
    ngx_int_t rc);


#endif /* _NGX_HTTP_CONDUIT_CREATE_H_INCLUDED_ */
