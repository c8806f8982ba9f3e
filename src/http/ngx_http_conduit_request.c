
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_request.h>
#include <ngx_http_conduit_create.h>
#include <ngx_conduit_random.h>
#include <conduit_header.h>
#include <conduit_id.h>


#define NGX_HTTP_CONDUIT_REQUEST_ID  (sizeof("req_") - 1 + 2 * 12)


static ngx_int_t ngx_http_conduit_request_id(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx);
static ngx_int_t ngx_http_conduit_presented(ngx_http_request_t *r,
    ngx_str_t *token);
static void ngx_http_conduit_presented_hide(ngx_str_t *text);
static ngx_int_t ngx_http_conduit_presented_query(ngx_http_request_t *r,
    ngx_str_t *token);
static ngx_int_t ngx_http_conduit_admit_key(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx, ngx_http_conduit_refusal_t *refusal);
static ngx_int_t ngx_http_conduit_admit_rate(ngx_http_request_t *r,
    ngx_http_conduit_ctx_t *ctx, ngx_http_conduit_refusal_t *refusal);


ngx_int_t
ngx_http_conduit_request_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_refusal_t     refusal;
    ngx_http_conduit_loc_conf_t   *cdlcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx_create(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return ngx_http_conduit_options(r);
    }

    rc = ngx_http_conduit_admit(r, ctx, &refusal);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {

        if (ngx_http_conduit_error_headers(r, &refusal) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_conduit_error(r, refusal.status, refusal.code, NULL,
                                      "%s", refusal.message);
    }

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    if (cdmcf->zone.sh->loading && !cdlcf->public) {
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_LOADING);
    }

    return cdlcf->serve(r);
}


ngx_http_conduit_ctx_t *
ngx_http_conduit_ctx_create(ngx_http_request_t *r)
{
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_conduit_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    if (ngx_http_conduit_request_id(r, ctx) != NGX_OK) {
        return NULL;
    }

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    ctx->endpoint = cdlcf->endpoint;

    ngx_http_set_ctx(r, ctx, ngx_http_conduit_module);

    return ctx;
}


/* the client's own, or one of ours */

static ngx_int_t
ngx_http_conduit_request_id(ngx_http_request_t *r, ngx_http_conduit_ctx_t *ctx)
{
    u_char      rnd[12];
    ngx_str_t  *value;

    value = ngx_http_conduit_header_in(r, "x-request-id",
                                       sizeof("x-request-id") - 1);

    if (value
        && conduit_request_id_check(value->data, value->len) == CONDUIT_OK)
    {
        ctx->request_id = *value;
        return NGX_OK;
    }

    if (ngx_conduit_random_bytes(rnd, sizeof(rnd)) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->request_id.data = ngx_pnalloc(r->pool, NGX_HTTP_CONDUIT_REQUEST_ID);
    if (ctx->request_id.data == NULL) {
        return NGX_ERROR;
    }

    ctx->request_id.len = NGX_HTTP_CONDUIT_REQUEST_ID;

    ngx_memcpy(ctx->request_id.data, "req_", 4);
    (void) ngx_hex_dump(ctx->request_id.data + 4, rnd, sizeof(rnd));

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_admit(ngx_http_request_t *r, ngx_http_conduit_ctx_t *ctx,
    ngx_http_conduit_refusal_t *refusal)
{
    ngx_int_t                     rc;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    if (cdlcf->public) {
        return NGX_OK;
    }

    refusal->retry_after = 0;

    rc = ngx_http_conduit_admit_key(r, ctx, refusal);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_conduit_admit_rate(r, ctx, refusal);
}


static ngx_int_t
ngx_http_conduit_admit_key(ngx_http_request_t *r, ngx_http_conduit_ctx_t *ctx,
    ngx_http_conduit_refusal_t *refusal)
{
    ngx_str_t                      token;
    ngx_uint_t                     why;
    ngx_http_conduit_main_conf_t  *cdmcf;

    refusal->status = NGX_HTTP_UNAUTHORIZED;
    refusal->code = "invalid_api_key";

    if (ngx_http_conduit_presented(r, &token) != NGX_OK) {
        refusal->message = "An API key is missing: send it as"
                           " \"Authorization: Bearer KEY\" or"
                           " \"X-API-Key: KEY\".";
        return NGX_DECLINED;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    ctx->key = ngx_http_conduit_key_lookup(cdmcf, &token, ctx->digest, &why);

    if (ctx->key) {
        return NGX_OK;
    }

    switch (why) {

    case NGX_HTTP_CONDUIT_KEY_DISABLED:
        refusal->status = NGX_HTTP_FORBIDDEN;
        refusal->code = "key_disabled";
        refusal->message = "This API key is disabled: ask the operator to"
                           " enable it.";
        break;

    case NGX_HTTP_CONDUIT_KEY_EXPIRED:
        refusal->message = "This API key has expired: ask the operator for a"
                           " new one.";
        break;

    default:
        refusal->message = "This API key is not known: check that it is"
                           " complete.";
    }

    return NGX_DECLINED;
}


/* the key in the request; NGX_DECLINED: none */

static ngx_int_t
ngx_http_conduit_presented(ngx_http_request_t *r, ngx_str_t *token)
{
    ngx_str_t      *value;
    conduit_str_t   bearer;

    if (r->headers_in.authorization) {
        value = &r->headers_in.authorization->value;

        if (conduit_bearer(value->data, value->len, &bearer) == CONDUIT_OK) {
            token->data = bearer.data;
            token->len = bearer.len;
            return token->len ? NGX_OK : NGX_DECLINED;
        }
    }

    value = ngx_http_conduit_header_in(r, "x-api-key",
                                       sizeof("x-api-key") - 1);

    if (value == NULL || value->len == 0) {
        return ngx_http_conduit_presented_query(r, token);
    }

    *token = *value;

    return NGX_OK;
}


/* browsers cannot set headers of a websocket or an event stream */

static ngx_int_t
ngx_http_conduit_presented_query(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char                       *dst, *src;
    ngx_str_t                     value;
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    if (!cdlcf->hub
        || ngx_http_arg(r, (u_char *) "access_token", 12, &value) != NGX_OK
        || value.len == 0)
    {
        return NGX_DECLINED;
    }

    token->data = ngx_pnalloc(r->pool, value.len);
    if (token->data == NULL) {
        return NGX_DECLINED;
    }

    src = value.data;
    dst = token->data;

    ngx_unescape_uri(&dst, &src, value.len, 0);

    token->len = dst - token->data;

    ctx = ngx_http_conduit_ctx(r);

    if (ctx) {
        ctx->by_query = 1;

        ngx_http_conduit_presented_hide(&r->request_line);
        ngx_http_conduit_presented_hide(&r->unparsed_uri);
    }

    return token->len ? NGX_OK : NGX_DECLINED;
}


/*
 * nginx puts the line of a request into whatever it logs about it.  Both
 * texts are the request's own, and with HTTP/1 the same.
 */

static void
ngx_http_conduit_presented_hide(ngx_str_t *text)
{
    u_char  *p, *last;

    p = text->data;
    last = text->data + text->len;

    for ( ;; ) {
        p = ngx_strlcasestrn(p, last, (u_char *) "access_token=", 13 - 1);

        if (p == NULL) {
            return;
        }

        for (p += 13; p < last && *p != '&' && *p != ' '; p++) {
            *p = '*';
        }
    }
}


ngx_http_conduit_key_t *
ngx_http_conduit_request_key(ngx_http_request_t *r)
{
    u_char                   digest[NGX_CONDUIT_SHA256_LEN];
    ngx_str_t                token;
    ngx_uint_t               why;
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    if (ctx) {
        return ctx->key;
    }

    if (ngx_http_conduit_presented(r, &token) != NGX_OK) {
        return NULL;
    }

    return ngx_http_conduit_key_lookup(
               ngx_http_get_module_main_conf(r, ngx_http_conduit_module),
               &token, digest, &why);
}


/* takes a token of the key's bucket, which all workers share */

static ngx_int_t
ngx_http_conduit_admit_rate(ngx_http_request_t *r, ngx_http_conduit_ctx_t *ctx,
    ngx_http_conduit_refusal_t *refusal)
{
    int                            rc;
    conduit_rate_t                *rate;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_loc_conf_t   *cdlcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    ctx->node = ngx_http_conduit_key_zone(cdmcf, ctx->key);

    if (ctx->node == NULL) {
        refusal->status = NGX_HTTP_SERVICE_UNAVAILABLE;
        refusal->code = "zone_full";
        refusal->message = "The server's memory for tasks is full: try again"
                           " later.";
        refusal->retry_after = 10000;
        return NGX_DECLINED;
    }

    /* hubs have limits of their own, and clients that all come at once */

    if (cdlcf->hub) {
        return NGX_OK;
    }

    rate = ctx->key->rate_set ? &ctx->key->rate : &cdlcf->rate.rate;

    if (rate->per_minute == 0) {
        return NGX_OK;
    }

    sh = cdmcf->zone.sh;

    ngx_http_conduit_zone_lock(&cdmcf->zone);

    rc = conduit_bucket_take(&ctx->node->bucket, rate, ngx_current_msec,
                             &ctx->rate);

    if (rc == CONDUIT_OK) {
        ctx->node->charged++;
        ctx->node->rate_used = *rate;
    }

    ngx_http_conduit_zone_unlock(&cdmcf->zone);

    ctx->rated = 1;

    if (rc == CONDUIT_OK) {
        return NGX_OK;
    }

    (void) ngx_atomic_fetch_add(&sh->counters.rate_limited, 1);

    refusal->status = NGX_HTTP_TOO_MANY_REQUESTS;
    refusal->code = "rate_limit_exceeded";
    refusal->message = "Too many requests with this API key: wait as long as"
                       " \"Retry-After\" says.";
    refusal->retry_after = (ngx_msec_t) ctx->rate.retry_ms;

    return NGX_DECLINED;
}


ngx_str_t *
ngx_http_conduit_header_in(ngx_http_request_t *r, const char *name, size_t len)
{
    return ngx_http_conduit_header_line(r, name, len, 0);
}


ngx_str_t *
ngx_http_conduit_header_line(ngx_http_request_t *r, const char *name,
    size_t len, ngx_uint_t n)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && h[i].lowcase_key
            && ngx_memcmp(h[i].lowcase_key, name, len) == 0
            && n-- == 0)
        {
            return &h[i].value;
        }
    }
}


void
ngx_http_conduit_rest(ngx_http_request_t *r, ngx_str_t *rest)
{
    ngx_str_t                    *prefix;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);
    prefix = &cdlcf->prefix;

    ngx_str_set(rest, "/");

    if (r->uri.len < prefix->len
        || ngx_memcmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return;
    }

    if (r->uri.len > prefix->len
        && prefix->len && prefix->data[prefix->len - 1] != '/')
    {
        if (r->uri.data[prefix->len] != '/') {
            return;
        }

        rest->data = r->uri.data + prefix->len + 1;
        rest->len = r->uri.len - prefix->len - 1;
        return;
    }

    rest->data = r->uri.data + prefix->len;
    rest->len = r->uri.len - prefix->len;
}
