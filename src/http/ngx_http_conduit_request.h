
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_REQUEST_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_REQUEST_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_key_conf.h>


/*
 * What all endpoints share: the key, the rate, the ids of requests, headers,
 * errors, bodies.
 */


typedef void (*ngx_http_conduit_body_pt)(ngx_http_request_t *r,
    ngx_str_t *body);


/* the state of a request; its members feed the variables, too */

typedef struct {
    ngx_http_conduit_key_t           *key;         /* NULL: none wanted */
    ngx_http_conduit_key_node_t      *node;
    u_char                            digest[NGX_CONDUIT_SHA256_LEN];
    ngx_str_t                         request_id;
    conduit_rate_state_t              rate;
    ngx_uint_t                        endpoint;    /* NGX_HTTP_CONDUIT_EP_* */

    u_char                            task_id[36];
    ngx_str_t                         task_status;
    ngx_str_t                         model;
    ngx_str_t                         provider;
    ngx_str_t                         error_code;
    ngx_str_t                         transport;   /* of a hub */

    void                             *data;        /* of the endpoint */
    ngx_http_conduit_body_pt          body_done;
    ngx_str_t                         substitute;  /* for nginx's own page */
    unsigned                          by_query:1;  /* the key was */
    unsigned                          rated:1;     /* rate is filled in */
    unsigned                          named:1;     /* task_id is filled in */
    unsigned                          fresh:1;     /* so is the zone */
    unsigned                          counted:1;
    unsigned                          own:1;       /* the reply is ours */
    unsigned                          replaced:1;  /* page was substituted */
} ngx_http_conduit_ctx_t;


/*
 * The content handler of all locations: OPTIONS, key, rate, then the
 * location's own serve(), which is found in the configuration.
 */
ngx_int_t ngx_http_conduit_request_handler(ngx_http_request_t *r);

/* never NULL in serve() and later */
#define ngx_http_conduit_ctx(r)                                               \
    ((ngx_http_conduit_ctx_t *)                                               \
         ngx_http_get_module_ctx(r, ngx_http_conduit_module))


/*
 * Replies.  Each sends header and body and returns what the content handler
 * has to return, or what to finalize the request with.
 */

/* body may be empty; it must live as long as the request */
ngx_int_t ngx_http_conduit_reply(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);

/* the same with another type than application/json, in static memory */
ngx_int_t ngx_http_conduit_reply_as(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body);

/* the header only, of events that are not to be held back on their way */
ngx_int_t ngx_http_conduit_event_stream(ngx_http_request_t *r);

/*
 * The error object.  The type follows from the status; code and param may be
 * NULL for null.  fmt as of ngx_sprintf(), at most 512 bytes.  The body of the
 * request is discarded.
 */
ngx_int_t ngx_http_conduit_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, ngx_str_t *param, const char *fmt, ...);

/* of these the caller sets the first before ngx_http_conduit_error() */
ngx_int_t ngx_http_conduit_retry_after(ngx_http_request_t *r, ngx_msec_t ms);
ngx_int_t ngx_http_conduit_no_retry(ngx_http_request_t *r);

/* both for a failed task: a 429 has "Retry-After" for new tasks, too */
ngx_int_t ngx_http_conduit_failed(ngx_http_request_t *r, ngx_uint_t status);

/* 405 with "Allow"; methods such as "GET, HEAD, OPTIONS" */
ngx_int_t ngx_http_conduit_not_allowed(ngx_http_request_t *r,
    const char *methods);

/* 404 of an unknown path, and of a task that does not exist for this key */
ngx_int_t ngx_http_conduit_not_found(ngx_http_request_t *r);
ngx_int_t ngx_http_conduit_no_task(ngx_http_request_t *r);

/* name: lower or mixed case, of static memory; value: lives like the request */
ngx_int_t ngx_http_conduit_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* the good key of a request, also before its handler runs, or NULL */
ngx_http_conduit_key_t *ngx_http_conduit_request_key(ngx_http_request_t *r);

/* a header of the request, or NULL; name in lower case */
ngx_str_t *ngx_http_conduit_header_in(ngx_http_request_t *r,
    const char *name, size_t len);

/* the line n, from 0, of a header that may come in several lines, or NULL */
ngx_str_t *ngx_http_conduit_header_line(ngx_http_request_t *r,
    const char *name, size_t len, ngx_uint_t n);


/*
 * Reads the whole body, wherever nginx has put it, without blocking: done()
 * is called with it, or not at all if reading fails.  done() ends the request
 * by ngx_http_finalize_request().  The content handler returns what this
 * returns.
 */
ngx_int_t ngx_http_conduit_read_body(ngx_http_request_t *r,
    ngx_http_conduit_body_pt done);


/*
 * What follows the location's name in the URI, without the slash before it;
 * "/" alone if there is no slash between them ("/v1/tasksx").
 */
void ngx_http_conduit_rest(ngx_http_request_t *r, ngx_str_t *rest);


/*
 * Puts the filters in place that give every reply of our locations its
 * headers, and errors of nginx itself the form of ours; when all directives
 * have been read.
 */
ngx_int_t ngx_http_conduit_filter_init(ngx_conf_t *cf);


/* between the files of this layer */

typedef struct {
    ngx_uint_t                        status;
    const char                       *code;
    const char                       *message;
    ngx_msec_t                        retry_after; /* 0: none */
} ngx_http_conduit_refusal_t;

/* makes the context of a request; NULL: no memory */
ngx_http_conduit_ctx_t *ngx_http_conduit_ctx_create(ngx_http_request_t *r);

/* checks key and rate: NGX_OK, NGX_ERROR or NGX_DECLINED with the reason */
ngx_int_t ngx_http_conduit_admit(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx, ngx_http_conduit_refusal_t *refusal);

/* headers that go with a status of an error: WWW-Authenticate and the like */
ngx_int_t ngx_http_conduit_error_headers(ngx_http_request_t *r,
    ngx_http_conduit_refusal_t *refusal);

/* the error object as text; code and param may be NULL */
ngx_int_t ngx_http_conduit_error_text(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, ngx_str_t *param, ngx_str_t *message, ngx_str_t *text);

/* 204 with "Allow" and what a browser asks for before a request */
ngx_int_t ngx_http_conduit_options(ngx_http_request_t *r);

/* may pages of the request's origin, if it has one, use a hub? */
ngx_uint_t ngx_http_conduit_cors_origin(ngx_http_request_t *r);

/* the headers of CORS that every reply carries, where it is on */
ngx_int_t ngx_http_conduit_cors_headers(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CONDUIT_REQUEST_H_INCLUDED_ */
