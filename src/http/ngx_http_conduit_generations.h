
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_GENERATIONS_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_GENERATIONS_H_INCLUDED_


#include <ngx_http_conduit_request.h>
#include <ngx_http_conduit_task.h>


/* serve() of conduit_generations and conduit_tasks */

ngx_int_t ngx_http_conduit_generations_serve(ngx_http_request_t *r);
ngx_int_t ngx_http_conduit_tasks_serve(ngx_http_request_t *r);


/* one endpoint each; words: the dialect of the status document */

ngx_int_t ngx_http_conduit_create_serve(ngx_http_request_t *r,
    ngx_uint_t sync);
ngx_int_t ngx_http_conduit_status_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name, ngx_uint_t words);
ngx_int_t ngx_http_conduit_events_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name);
ngx_int_t ngx_http_conduit_cancel_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name);
ngx_int_t ngx_http_conduit_retry_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name);
ngx_int_t ngx_http_conduit_list_serve(ngx_http_request_t *r);


/*
 * Sends a task's document with its headers: ETag, caching, pacing of polls.
 * 304 if the client has it already.  Returns what to finalize with.
 */
ngx_int_t ngx_http_conduit_status_send(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t words);

/* is the prompt asked for? */
ngx_uint_t ngx_http_conduit_status_include(ngx_http_request_t *r);

/* for the variables */
void ngx_http_conduit_status_note(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view);

/* the same of a view that is soon gone: words only, which are static */
void ngx_http_conduit_status_words(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view);


#endif /* _NGX_HTTP_CONDUIT_GENERATIONS_H_INCLUDED_ */
