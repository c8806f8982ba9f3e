
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_FRESH_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_FRESH_H_INCLUDED_


#include <ngx_http_conduit_request.h>
#include <ngx_http_conduit_task.h>


/*
 * Is the zone up to date about a task, or all tasks of the request's key?
 * NGX_DECLINED: it is, go on.  Else what the content handler has to return:
 * the location's handler is called again when it is, or the request has been
 * refused.
 */

ngx_int_t ngx_http_conduit_fresh_task(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name);
ngx_int_t ngx_http_conduit_fresh_key(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CONDUIT_FRESH_H_INCLUDED_ */
