
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_metrics.h>
#include <ngx_http_conduit_request.h>
#include <conduit_time.h>


/*
 * Every reply of our locations passes here, whoever has made it: it gets the
 * id of its request, the state of the rate, CORS, and is counted.  An error
 * page of nginx itself (413, 500) becomes an error object.
 */


static ngx_int_t ngx_http_conduit_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_conduit_filter_headers(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx);
static ngx_int_t ngx_http_conduit_filter_rate(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx);
static u_char *ngx_http_conduit_filter_pair(u_char *p, u_char a, uint32_t n,
    u_char b, uint32_t m);
static ngx_int_t ngx_http_conduit_filter_early(ngx_http_request_t *r,
    ngx_http_conduit_refusal_t *refusal);
static void ngx_http_conduit_filter_reason(ngx_uint_t status,
    ngx_http_conduit_refusal_t *refusal);
static ngx_int_t ngx_http_conduit_filter_replace(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx, ngx_http_conduit_refusal_t *refusal);


ngx_int_t
ngx_http_conduit_filter_init(ngx_conf_t *cf)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_conduit_module);

    cdmcf->next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_conduit_header_filter;

    cdmcf->next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_conduit_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_refusal_t     refusal;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    if (r != r->main) {
        return cdmcf->next_header_filter(r);
    }

    ctx = ngx_http_conduit_ctx(r);
    refusal.status = 0;

    if (ctx == NULL) {
        rc = ngx_http_conduit_filter_early(r, &refusal);

        if (rc == NGX_DECLINED) {
            return cdmcf->next_header_filter(r);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        ctx = ngx_http_conduit_ctx(r);

    } else if (!ctx->own && r->headers_out.status >= NGX_HTTP_BAD_REQUEST) {
        ngx_http_conduit_filter_reason(r->headers_out.status, &refusal);
    }

    if (refusal.status
        && ngx_http_conduit_filter_replace(r, ctx, &refusal) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_conduit_filter_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_conduit_count_request(r, r->headers_out.status);

    return cdmcf->next_header_filter(r);
}


/*
 * A body that is too large by its Content-Length is refused by nginx before
 * any handler runs; the key still comes first.
 */

static ngx_int_t
ngx_http_conduit_filter_early(ngx_http_request_t *r,
    ngx_http_conduit_refusal_t *refusal)
{
    ngx_int_t                     rc;
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    if (r->headers_out.status != NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return NGX_DECLINED;
    }

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    if (cdlcf->serve == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_conduit_ctx_create(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_conduit_admit(r, ctx, refusal);

    if (rc == NGX_OK) {
        ngx_http_conduit_filter_reason(r->headers_out.status, refusal);
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_conduit_filter_reason(ngx_uint_t status,
    ngx_http_conduit_refusal_t *refusal)
{
    refusal->status = status;
    refusal->retry_after = 0;
    refusal->code = NULL;

    switch (status) {

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        refusal->code = "request_too_large";
        refusal->message = "The request body is too large for this server:"
                           " make it smaller.";
        break;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        refusal->retry_after = 1000;
        refusal->message = "The server cannot serve this request now: try"
                           " again later.";
        break;

    default:

        if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
            refusal->code = "internal_error";
            refusal->message = "The server failed to serve this request: try"
                               " again later.";
            break;
        }

        refusal->message = "The server refused this request: check its method,"
                           " path, headers and body.";
    }
}


static ngx_int_t
ngx_http_conduit_filter_replace(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx, ngx_http_conduit_refusal_t *refusal)
{
    ngx_str_t  message;

    if (ngx_http_conduit_error_headers(r, refusal) != NGX_OK) {
        return NGX_ERROR;
    }

    message.data = (u_char *) refusal->message;
    message.len = ngx_strlen(refusal->message);

    if (ngx_http_conduit_error_text(r, refusal->status, refusal->code, NULL,
                                    &message, &ctx->substitute)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the log takes the former */

    r->err_status = refusal->status;
    r->headers_out.status = refusal->status;
    r->headers_out.status_line.len = 0;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.charset.len = 0;

    ngx_http_clear_content_length(r);
    ngx_http_clear_location(r);

    r->headers_out.content_length_n = ctx->substitute.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_filter_headers(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx)
{
    if (ngx_http_conduit_header(r, "X-Request-Id", &ctx->request_id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->rated && ngx_http_conduit_filter_rate(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_cors_headers(r);
}


/* both families of headers in use, written into one piece of memory */

static ngx_int_t
ngx_http_conduit_filter_rate(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx)
{
    u_char                *p;
    ngx_str_t              policy, state, limit, left, reset;
    conduit_rate_state_t  *rate;

    rate = &ctx->rate;

    p = ngx_pnalloc(r->pool, sizeof("\"default\";q=;w=\"default\";r=;t=")
                             + 7 * NGX_INT32_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    policy.data = p;
    p = ngx_http_conduit_filter_pair(p, 'q', rate->limit, 'w', rate->window);
    policy.len = p - policy.data;

    state.data = p;
    p = ngx_http_conduit_filter_pair(p, 'r', rate->left, 't', rate->reset);
    state.len = p - state.data;

    limit.data = p;
    p = conduit_number_write(p, rate->limit);
    limit.len = p - limit.data;

    left.data = p;
    p = conduit_number_write(p, rate->left);
    left.len = p - left.data;

    reset.data = p;
    p = conduit_number_write(p, rate->reset);
    reset.len = p - reset.data;

    if (ngx_http_conduit_header(r, "RateLimit-Policy", &policy) != NGX_OK
        || ngx_http_conduit_header(r, "RateLimit", &state) != NGX_OK
        || ngx_http_conduit_header(r, "X-RateLimit-Limit", &limit) != NGX_OK
        || ngx_http_conduit_header(r, "X-RateLimit-Remaining", &left) != NGX_OK
        || ngx_http_conduit_header(r, "X-RateLimit-Reset", &reset) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* "default";q=100;w=10 */

static u_char *
ngx_http_conduit_filter_pair(u_char *p, u_char a, uint32_t n, u_char b,
    uint32_t m)
{
    p = ngx_cpymem(p, "\"default\";", sizeof("\"default\";") - 1);
    *p++ = a;
    *p++ = '=';
    p = conduit_number_write(p, n);
    *p++ = ';';
    *p++ = b;
    *p++ = '=';

    return conduit_number_write(p, m);
}


static ngx_int_t
ngx_http_conduit_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t                     *b;
    ngx_chain_t                   *cl, out;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    ctx = ngx_http_conduit_ctx(r);

    if (ctx == NULL || ctx->substitute.len == 0 || in == NULL
        || r != r->main)
    {
        return cdmcf->next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->replaced) {
        return cdmcf->next_body_filter(r, NULL);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->substitute.data;
    b->last = b->pos + ctx->substitute.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->replaced = 1;

    out.buf = b;
    out.next = NULL;

    return cdmcf->next_body_filter(r, &out);
}
