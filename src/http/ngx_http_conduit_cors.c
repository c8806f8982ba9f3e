
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_request.h>


static ngx_int_t ngx_http_conduit_cors_preflight(ngx_http_request_t *r);
static ngx_uint_t ngx_http_conduit_cors_match(
    ngx_http_conduit_loc_conf_t *cdlcf, ngx_str_t *origin);
static ngx_int_t ngx_http_conduit_cors_header(ngx_http_request_t *r,
    const char *name, const char *value);


static const char  ngx_http_conduit_cors_methods[] =
    "GET, HEAD, POST, DELETE, OPTIONS";


/* what scripts may send when the browser does not tell */

static const char  ngx_http_conduit_cors_request[] =
    "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-None-Match,"
    " Last-Event-ID, Prefer, X-Request-Id, X-Requested-With,"
    " X-SignalR-User-Agent";


/* what scripts may read */

static const char  ngx_http_conduit_cors_expose[] =
    "ETag, Location, Retry-After, retry-after-ms, openai-poll-after-ms,"
    " x-should-retry, X-Request-Id, X-Conduit-Task-Id, Idempotency-Replayed,"
    " Preference-Applied, RateLimit, RateLimit-Policy, X-RateLimit-Limit,"
    " X-RateLimit-Remaining, X-RateLimit-Reset, WWW-Authenticate";


ngx_int_t
ngx_http_conduit_options(ngx_http_request_t *r)
{
    ngx_str_t                     empty;
    const char                   *methods;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    methods = cdlcf->public ? "GET, HEAD, OPTIONS"
                            : ngx_http_conduit_cors_methods;

    if (ngx_http_conduit_cors_header(r, "Allow", methods) != NGX_OK
        || (cdlcf->cors && ngx_http_conduit_cors_preflight(r) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&empty);

    return ngx_http_conduit_reply(r, NGX_HTTP_NO_CONTENT, &empty);
}


static ngx_int_t
ngx_http_conduit_cors_preflight(ngx_http_request_t *r)
{
    ngx_str_t                    *value;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    value = ngx_http_conduit_header_in(r, "origin", sizeof("origin") - 1);

    if (value == NULL || !ngx_http_conduit_cors_match(cdlcf, value)) {
        return NGX_OK;
    }

    if (ngx_http_conduit_cors_header(r, "Access-Control-Allow-Methods",
                                     ngx_http_conduit_cors_methods)
        != NGX_OK
        || ngx_http_conduit_cors_header(r, "Access-Control-Max-Age", "86400")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* SDKs add headers of their own: all that the browser names is allowed */

    value = ngx_http_conduit_header_in(r, "access-control-request-headers",
                                   sizeof("access-control-request-headers")
                                   - 1);

    if (value && value->len) {
        return ngx_http_conduit_header(r, "Access-Control-Allow-Headers",
                                       value);
    }

    return ngx_http_conduit_cors_header(r, "Access-Control-Allow-Headers",
                                        ngx_http_conduit_cors_request);
}


ngx_int_t
ngx_http_conduit_cors_headers(ngx_http_request_t *r)
{
    ngx_str_t                    *origin;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    if (cdlcf->cors == NULL) {
        return NGX_OK;
    }

    /* clients of hubs send credentials, which "*" does not allow */

    if (cdlcf->cors_any && !cdlcf->hub) {

        if (ngx_http_conduit_cors_header(r, "Access-Control-Allow-Origin", "*")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_conduit_cors_header(r, "Access-Control-Expose-Headers",
                                            ngx_http_conduit_cors_expose);
    }

    /* a shared cache must not give one origin's reply to another */

    if (ngx_http_conduit_cors_header(r, "Vary", "Origin") != NGX_OK) {
        return NGX_ERROR;
    }

    origin = ngx_http_conduit_header_in(r, "origin", sizeof("origin") - 1);

    if (origin == NULL || !ngx_http_conduit_cors_match(cdlcf, origin)) {
        return NGX_OK;
    }

    if (ngx_http_conduit_header(r, "Access-Control-Allow-Origin", origin)
        != NGX_OK
        || ngx_http_conduit_cors_header(r, "Access-Control-Allow-Credentials",
                                        "true")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_conduit_cors_header(r, "Access-Control-Expose-Headers",
                                        ngx_http_conduit_cors_expose);
}


/*
 * Only browsers send an origin, and only hubs are reached without a preflight
 * that could keep others away.  Without a list a key in the query must come
 * from a page of this host: it is no secret of that page alone.
 */

ngx_uint_t
ngx_http_conduit_cors_origin(ngx_http_request_t *r)
{
    u_char                       *p, *last;
    ngx_str_t                    *origin, *host;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    origin = ngx_http_conduit_header_in(r, "origin", sizeof("origin") - 1);

    if (origin == NULL) {
        return 1;
    }

    /* a page may always talk to the host that it came from */

    last = origin->data + origin->len;
    p = ngx_strlchr(origin->data, last, ':');

    if (p && last - p > 3 && r->headers_in.host) {

        p += 3;
        host = &r->headers_in.host->value;

        if ((size_t) (last - p) == host->len
            && ngx_strncasecmp(p, host->data, host->len) == 0)
        {
            return 1;
        }
    }

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    if (cdlcf->cors) {
        return ngx_http_conduit_cors_match(cdlcf, origin);
    }

    return !ngx_http_conduit_ctx(r)->by_query;
}


static ngx_uint_t
ngx_http_conduit_cors_match(ngx_http_conduit_loc_conf_t *cdlcf,
    ngx_str_t *origin)
{
    ngx_str_t   *allowed;
    ngx_uint_t   i;

    if (cdlcf->cors_any) {
        return 1;
    }

    allowed = cdlcf->cors->elts;

    for (i = 0; i < cdlcf->cors->nelts; i++) {
        if (allowed[i].len == origin->len
            && ngx_strncasecmp(allowed[i].data, origin->data, origin->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_conduit_cors_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_str_t  text;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    return ngx_http_conduit_header(r, name, &text);
}
