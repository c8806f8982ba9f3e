
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_CREATING_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_CREATING_H_INCLUDED_


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_watch.h>
#include <ngx_conduit_digest.h>


/* A create on its way from the request's body to the reply. */


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_create_t         create;
    u_char                            digest[NGX_CONDUIT_SHA256_LEN];
    u_char                            fingerprint[NGX_CONDUIT_SHA256_LEN];
    ngx_http_conduit_outcome_t        outcome;
    ngx_http_conduit_waiter_t         waiter;
    ngx_http_conduit_view_t           view;        /* of a sync one's end */
    ngx_str_t                         reply;       /* if it is completed */
    unsigned                          sync:1;
    unsigned                          kept:1;      /* reply or its absence */
} ngx_http_conduit_creating_t;


/*
 * Fills in what the body, and an Idempotency-Key, say.  NGX_DECLINED: go on;
 * else the reply has been sent.
 */
ngx_int_t ngx_http_conduit_create_parse(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_str_t *body);
ngx_int_t ngx_http_conduit_create_idempotency(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_str_t *body);


#endif /* _NGX_HTTP_CONDUIT_CREATING_H_INCLUDED_ */
