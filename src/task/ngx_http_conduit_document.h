
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_DOCUMENT_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_DOCUMENT_H_INCLUDED_


#include <ngx_http_conduit_task.h>


/* Status documents: written once per change, then only copied. */


/* copies a constant: formats cost more than all else that is written */

#define ngx_http_conduit_put(p, text)                                         \
    ngx_cpymem(p, text, sizeof(text) - 1)


/* dialects of the status word */

#define NGX_HTTP_CONDUIT_WORDS         CONDUIT_WORDS_PLAIN
#define NGX_HTTP_CONDUIT_WORDS_STATUS  CONDUIT_WORDS_RUNNING
#define NGX_HTTP_CONDUIT_WORDS_TASKS   CONDUIT_WORDS_CAPITAL


typedef struct {
    u_char                           *id;
    ngx_uint_t                        kind;
    ngx_uint_t                        status;
    ngx_uint_t                        progress;
    ngx_int_t                         eta;
    uint64_t                          sequence;
    int64_t                           created;
    int64_t                           started;
    int64_t                           updated;
    int64_t                           completed;
    int64_t                           expires;
    ngx_str_t                         message;
    ngx_str_t                         model;       /* JSON text */
    ngx_str_t                         error;
    ngx_uint_t                        error_code;
    ngx_str_t                         metadata;    /* JSON text */
    ngx_str_t                         webhook;     /* JSON text */
    ngx_http_conduit_result_t        *results;
    ngx_uint_t                        nresults;

    /* offsets of parts that are used again */

    size_t                            status_off;
    size_t                            position_off;
    size_t                            model_off;
    size_t                            result_off;
    size_t                            result_len;
    size_t                            error_off;
    size_t                            error_len;
    size_t                            metadata_off;
} ngx_http_conduit_document_t;


/*
 * The member "webhook" for a set of CONDUIT_HOOK_*: null without any, none if
 * the status that the document tells is not among them, else pending.
 */

void ngx_http_conduit_document_webhook(ngx_http_conduit_document_t *doc,
    ngx_uint_t hooks);

/* the words of NGX_HTTP_CONDUIT_HOOK_PENDING and so on; then an empty one */

extern ngx_str_t  ngx_http_conduit_hook_words[];

/*
 * Puts into a copy of a document how the delivery stands that tells the task's
 * end; hooks as above.  The copy may grow by NGX_HTTP_CONDUIT_DOCUMENT_HOOK
 * bytes.
 */

#define NGX_HTTP_CONDUIT_DOCUMENT_HOOK  64

void ngx_http_conduit_document_told(ngx_str_t *document,
    ngx_http_conduit_hook_sum_t *sum);

/* at most this many bytes are written */

size_t ngx_http_conduit_document_size(ngx_http_conduit_document_t *doc);

/* returns the end */

u_char *ngx_http_conduit_document_write(ngx_http_conduit_document_t *doc,
    u_char *p);

/*
 * The document to send: with the place in the queue and the prompt, if the
 * view has them, in a dialect's words.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_document_render(ngx_http_conduit_view_t *view,
    ngx_uint_t words, ngx_pool_t *pool, ngx_str_t *text);

/*
 * The reply of a synchronous create: {"created":...,"data":[...]}, a part of
 * the document's result.  The task must be completed.
 */

ngx_int_t ngx_http_conduit_document_result(ngx_http_conduit_view_t *view,
    ngx_pool_t *pool, ngx_str_t *text);


#endif /* _NGX_HTTP_CONDUIT_DOCUMENT_H_INCLUDED_ */
