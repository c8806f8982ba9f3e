
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_METRICS_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_METRICS_H_INCLUDED_


#include <ngx_http_conduit_request.h>


/* serve() of conduit_metrics */

ngx_int_t ngx_http_conduit_metrics_serve(ngx_http_request_t *r);


/* counts a reply under its endpoint, once for a request */

void ngx_http_conduit_count_request(ngx_http_request_t *r, ngx_uint_t status);

/* counts the milliseconds between two polls of a task that has not ended */

void ngx_http_conduit_count_interval(ngx_http_conduit_counters_t *counters,
    ngx_msec_t ms);


#endif /* _NGX_HTTP_CONDUIT_METRICS_H_INCLUDED_ */
