
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_DRAFT_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_DRAFT_H_INCLUDED_


#include <ngx_http_conduit_advance.h>


/* A task that is being made. */


/* the place in the queue, and the end of the reply */

#define NGX_HTTP_CONDUIT_REPLY_TAIL  (NGX_INT_T_LEN + sizeof("null}"))


typedef struct {
    ngx_http_conduit_create_t        *create;
    ngx_http_conduit_provider_t      *provider;
    ngx_http_conduit_document_t       doc;
    ngx_str_t                         document;
    ngx_str_t                         run;
    ngx_str_t                         reply;       /* up to the position */
    uint64_t                          lease;       /* claimed here */
} ngx_http_conduit_draft_t;


/*
 * A node for the draft, not linked yet, and one for its Idempotency-Key.
 * NGX_OK, REPLAY (of the same request) or what stands in the way.
 */
ngx_int_t ngx_http_conduit_create_node_locked(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_draft_t *draft,
    ngx_http_conduit_task_node_t **nodep,
    ngx_http_conduit_idem_node_t **idemp);

/* starts a task that is linked; returns its place in the queue, or 0 */
ngx_uint_t ngx_http_conduit_create_start_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_provider_t *provider, ngx_http_conduit_news_t *news);

/* there is room for the tail behind the reply */
void ngx_http_conduit_create_finish_reply(ngx_str_t *reply,
    ngx_uint_t position);

/* tells whoever watches the key, and performs the claimed step */
void ngx_http_conduit_create_after(ngx_http_conduit_engine_t *engine,
    u_char *id, ngx_uint_t kind, uint64_t lease,
    ngx_http_conduit_news_t *news);

/* has the store keep the draft first; as task_create() */
ngx_int_t ngx_http_conduit_create_keep(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_draft_t *draft);


#endif /* _NGX_HTTP_CONDUIT_DRAFT_H_INCLUDED_ */
