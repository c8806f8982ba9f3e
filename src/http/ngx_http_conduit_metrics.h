
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


/* between the files of this endpoint: a text that is written */

typedef struct {
    u_char                           *p;
    u_char                           *last;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_sh_t            *sh;
    ngx_http_conduit_counters_t      *counters;
} ngx_http_conduit_metrics_t;


void ngx_http_conduit_metrics_hooks(ngx_http_conduit_metrics_t *m);
void ngx_http_conduit_metrics_store(ngx_http_conduit_metrics_t *m);

void ngx_http_conduit_metrics_gauge(ngx_http_conduit_metrics_t *m,
    const char *name, const char *help, size_t value);
void ngx_http_conduit_metrics_head(ngx_http_conduit_metrics_t *m,
    const char *name, const char *type, const char *help);
void ngx_http_conduit_metrics_print(ngx_http_conduit_metrics_t *m,
    const char *fmt, ...);

/* times in ms; counts has one more element than there are bounds */
void ngx_http_conduit_metrics_histogram(ngx_http_conduit_metrics_t *m,
    const char *name, const char *labels, const ngx_uint_t *bounds,
    ngx_uint_t n, ngx_atomic_t *counts, ngx_atomic_t *sum);


#endif /* _NGX_HTTP_CONDUIT_METRICS_H_INCLUDED_ */
