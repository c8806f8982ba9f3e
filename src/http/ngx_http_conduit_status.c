
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_generations.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_metrics.h>
#include <ngx_http_conduit_wait.h>
#include <conduit_header.h>
#include <conduit_time.h>


static ngx_uint_t ngx_http_conduit_status_changed(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view);
static void ngx_http_conduit_status_done(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired);
static ngx_int_t ngx_http_conduit_status_headers(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view);
static ngx_int_t ngx_http_conduit_status_etag(ngx_http_request_t *r,
    uint64_t sequence);


ngx_int_t
ngx_http_conduit_status_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name, ngx_uint_t words)
{
    ngx_int_t                      rc;
    ngx_msec_t                     ms;
    ngx_uint_t                     prompt;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_view_t        view;
    ngx_http_conduit_counters_t   *counters;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_STATUS;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    prompt = r->args.len && ngx_http_conduit_status_include(r);

    rc = ngx_http_conduit_task_view(cdmcf, name,
                                    prompt|NGX_HTTP_CONDUIT_VIEW_POLL,
                                    r->pool, &view);

    if (rc == NGX_DECLINED) {
        return ngx_http_conduit_no_task(r);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    counters = &cdmcf->zone.sh->counters;

    if (view.polled != NGX_HTTP_CONDUIT_NEVER
        && !conduit_status_terminal(view.status))
    {
        ngx_http_conduit_count_interval(counters, view.polled);
    }

    ms = ngx_http_conduit_wait_preferred(r);

    if (ms == 0 || r->method == NGX_HTTP_HEAD) {
        return ngx_http_conduit_status_send(r, &view, words);
    }

    if (ngx_http_conduit_wait_applied(r, ms) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_conduit_wait_ended(r, &view)
        || ngx_http_conduit_status_changed(r, &view))
    {
        return ngx_http_conduit_status_send(r, &view, words);
    }

    /* the prompt, if it was asked for, is fetched again at the end */

    ctx->data = (void *) (uintptr_t) (words | (prompt << 8));

    (void) ngx_atomic_fetch_add(&counters->waits, 1);

    r->main->count++;

    if (ngx_http_conduit_wait(r, name, ms, ngx_http_conduit_status_changed,
                              ngx_http_conduit_status_done)
        != NGX_OK)
    {
        r->main->count--;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


static ngx_uint_t
ngx_http_conduit_status_changed(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view)
{
    ngx_str_t  *inm;

    if (ngx_http_conduit_wait_ended(r, view)) {
        return 1;
    }

    inm = ngx_http_conduit_header_in(r, "if-none-match",
                                     sizeof("if-none-match") - 1);

    return inm && !conduit_etag_match(inm->data, inm->len, view->sequence);
}


static void
ngx_http_conduit_status_done(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired)
{
    uintptr_t                      data;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_name_t        name;
    ngx_http_conduit_view_t        full;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    ctx = ngx_http_conduit_ctx(r);
    data = (uintptr_t) ctx->data;

    if (view == NULL) {
        ngx_http_finalize_request(r, ngx_http_conduit_no_task(r));
        return;
    }

    if (expired) {
        (void) ngx_atomic_fetch_add(&cdmcf->zone.sh->counters.wait_expired, 1);
    }

    if (data >> 8) {
        name.key = ctx->node;
        name.kind = NGX_HTTP_CONDUIT_ANY;
        ngx_memcpy(name.id, view->id, NGX_HTTP_CONDUIT_ID_LEN);

        if (ngx_http_conduit_task_view(cdmcf, &name, 1, r->pool, &full)
            == NGX_OK)
        {
            view = &full;
        }
    }

    ngx_http_finalize_request(r,
                       ngx_http_conduit_status_send(r, view, data & 0xff));
}


ngx_int_t
ngx_http_conduit_status_send(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t words)
{
    ngx_str_t                      text, *inm;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ngx_http_conduit_status_note(r, view);

    if (ngx_http_conduit_status_headers(r, view) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_GET || r->method == NGX_HTTP_HEAD) {

        inm = ngx_http_conduit_header_in(r, "if-none-match",
                                         sizeof("if-none-match") - 1);

        if (inm && conduit_etag_match(inm->data, inm->len, view->sequence)) {
            cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

            (void) ngx_atomic_fetch_add(&cdmcf->zone.sh->counters.poll_304,
                                        1);
            ngx_str_null(&text);

            return ngx_http_conduit_reply(r, NGX_HTTP_NOT_MODIFIED, &text);
        }
    }

    if (ngx_http_conduit_document_render(view, words, r->pool, &text)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_reply(r, NGX_HTTP_OK, &text);
}


void
ngx_http_conduit_status_note(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view)
{
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    ngx_http_conduit_status_words(r, view);

    ctx->model.len = view->model_len - 2;
    ctx->model.data = view->document.data + view->model_off + 1;
}


void
ngx_http_conduit_status_words(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view)
{
    const conduit_str_t     *word;
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    word = conduit_status_word(view->status, CONDUIT_WORDS_PLAIN);
    ctx->task_status.len = word->len;
    ctx->task_status.data = word->data;

    word = conduit_error_word(view->error_code);
    ctx->error_code.len = word->len;
    ctx->error_code.data = word->data;
}


static ngx_int_t
ngx_http_conduit_status_headers(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view)
{
    u_char                       *p;
    ngx_str_t                     value;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    static ngx_str_t  terminal = ngx_string("private, no-cache");
    static ngx_str_t  live = ngx_string("no-store");

    if (ngx_http_conduit_status_etag(r, view->sequence) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conduit_status_terminal(view->status)) {
        return ngx_http_conduit_header(r, "Cache-Control", &terminal);
    }

    if (ngx_http_conduit_header(r, "Cache-Control", &live) != NGX_OK) {
        return NGX_ERROR;
    }

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    p = ngx_pnalloc(r->pool, 2 * NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    p = conduit_number_write(p, (cdlcf->poll_interval + 999) / 1000);
    value.len = p - value.data;

    if (ngx_http_conduit_header(r, "Retry-After", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    value.data = p;
    p = conduit_number_write(p, cdlcf->poll_interval);
    value.len = p - value.data;

    return ngx_http_conduit_header(r, "openai-poll-after-ms", &value);
}


/* through r->headers_out.etag, so that nginx's filters know of it */

static ngx_int_t
ngx_http_conduit_status_etag(ngx_http_request_t *r, uint64_t sequence)
{
    u_char           *p;
    ngx_table_elt_t  *etag;

    etag = ngx_list_push(&r->headers_out.headers);
    if (etag == NULL) {
        return NGX_ERROR;
    }

    etag->hash = 1;
#if (nginx_version >= 1023000)
    etag->next = NULL;
#endif
    ngx_str_set(&etag->key, "ETag");

    etag->value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN + 2);
    if (etag->value.data == NULL) {
        etag->hash = 0;
        return NGX_ERROR;
    }

    p = etag->value.data;
    *p++ = '"';
    p = conduit_number_write(p, sequence);
    *p++ = '"';

    etag->value.len = p - etag->value.data;

    r->headers_out.etag = etag;

    return NGX_OK;
}


/* ?include=prompt, perhaps in a list: include=a,prompt */

ngx_uint_t
ngx_http_conduit_status_include(ngx_http_request_t *r)
{
    u_char     *p, *last, *comma;
    ngx_str_t   value;

    if (ngx_http_arg(r, (u_char *) "include", 7, &value) != NGX_OK) {
        return 0;
    }

    p = value.data;
    last = p + value.len;

    while (p < last) {
        comma = ngx_strlchr(p, last, ',');

        if (comma == NULL) {
            comma = last;
        }

        if (comma - p == 6 && ngx_strncmp(p, "prompt", 6) == 0) {
            return 1;
        }

        p = comma + 1;
    }

    return 0;
}
