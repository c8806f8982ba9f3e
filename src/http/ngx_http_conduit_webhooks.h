
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WEBHOOKS_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WEBHOOKS_H_INCLUDED_


#include <ngx_http_conduit_request.h>
#include <ngx_http_conduit_webhook.h>


/* serve() of conduit_webhooks */

ngx_int_t ngx_http_conduit_webhooks_serve(ngx_http_request_t *r);


/* between the files of this endpoint: a page */

ngx_int_t ngx_http_conduit_webhooks_list(ngx_http_request_t *r);


/*
 * The JSON of a delivery, with its attempts if log is set.  size() is the room
 * that write() may take, which returns the end.
 */

size_t ngx_http_conduit_webhooks_size(ngx_http_conduit_delivery_t *delivery,
    ngx_uint_t log);
u_char *ngx_http_conduit_webhooks_write(u_char *p,
    ngx_http_conduit_delivery_t *delivery, ngx_uint_t log);


#endif /* _NGX_HTTP_CONDUIT_WEBHOOKS_H_INCLUDED_ */
