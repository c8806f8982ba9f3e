
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_METRICS_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_METRICS_H_INCLUDED_


#include <ngx_http_conduit_request.h>


/* serve() of conduit_metrics */

ngx_int_t ngx_http_conduit_metrics_serve(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CONDUIT_METRICS_H_INCLUDED_ */
