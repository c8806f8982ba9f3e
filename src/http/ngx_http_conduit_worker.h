
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WORKER_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WORKER_H_INCLUDED_


#include <ngx_http_conduit_request.h>
#include <ngx_http_conduit_task.h>
#include <jansson.h>


/* serve() of conduit_worker */

ngx_int_t ngx_http_conduit_worker_serve(ngx_http_request_t *r);


/* what a worker says about a task that it has claimed */

typedef enum {
    NGX_HTTP_CONDUIT_REPORT_PROGRESS = 0,
    NGX_HTTP_CONDUIT_REPORT_COMPLETE,
    NGX_HTTP_CONDUIT_REPORT_FAIL
} ngx_http_conduit_report_e;

ngx_int_t ngx_http_conduit_report_serve(ngx_http_request_t *r, u_char *id,
    ngx_http_conduit_report_e verb);


/*
 * For the two above.  The object in a body, an empty body being an empty one;
 * it lives as long as the request.  NGX_DECLINED: go on; else the error has
 * been sent, and this is what to finalize with.
 */

ngx_int_t ngx_http_conduit_worker_json(ngx_http_request_t *r, ngx_str_t *body,
    json_t **json);

/* a member, or NULL if it is missing or null */

json_t *ngx_http_conduit_worker_member(json_t *json, const char *name);

/* 400: "'NAME' TEXT." */

ngx_int_t ngx_http_conduit_worker_bad(ngx_http_request_t *r, const char *name,
    const char *text);


#endif /* _NGX_HTTP_CONDUIT_WORKER_H_INCLUDED_ */
