
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_request.h>
#include <conduit_json.h>


#define NGX_HTTP_CONDUIT_MESSAGE_MAX   512
#define NGX_HTTP_CONDUIT_FAILED_RETRY  5000


static ngx_int_t ngx_http_conduit_discard(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_send(ngx_http_request_t *r,
    ngx_str_t *body);
static const char *ngx_http_conduit_error_type(ngx_uint_t status);


ngx_int_t
ngx_http_conduit_reply(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    static ngx_str_t  json = ngx_string("application/json");

    return ngx_http_conduit_reply_as(r, status, &json, body);
}


ngx_int_t
ngx_http_conduit_reply_as(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t                rc;
    ngx_http_conduit_ctx_t  *ctx;

    rc = ngx_http_conduit_discard(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_conduit_ctx(r);
    ctx->own = 1;

    r->headers_out.status = status;
    r->headers_out.status_line.len = 0;

    /* conditions were looked at by the endpoint, on its own terms */

    r->disable_not_modified = 1;

    if (status == NGX_HTTP_NO_CONTENT || status == NGX_HTTP_NOT_MODIFIED) {
        r->header_only = 1;
        return ngx_http_send_header(r);
    }

    /* nginx has no words for these */

    if (status == 422) {
        ngx_str_set(&r->headers_out.status_line, "422 Unprocessable Entity");

    } else if (status == 426) {
        ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");
    }

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = body->len;

    return ngx_http_conduit_send(r, body);
}


ngx_int_t
ngx_http_conduit_event_stream(ngx_http_request_t *r)
{
    static ngx_str_t  buffering = ngx_string("no");

    if (ngx_http_conduit_header(r, "X-Accel-Buffering", &buffering)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;
    r->disable_not_modified = 1;

    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    return ngx_http_send_header(r);
}


/*
 * A body that nobody has read is thrown away.  A client that waits for
 * "100 Continue" is not made to send it first; as it may do so or not,
 * the connection cannot be used again.
 */

static ngx_int_t
ngx_http_conduit_discard(ngx_http_request_t *r)
{
    if (r->headers_in.expect == NULL
        || r->expect_tested
        || r->request_body
        || r->http_version != NGX_HTTP_VERSION_11
        || r != r->main)
    {
        return ngx_http_discard_request_body(r);
    }

    r->expect_tested = 1;
    r->keepalive = 0;
    r->lingering_close = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_send(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (body->len) {
        b->pos = body->data;
        b->last = body->data + body->len;
        b->memory = 1;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_conduit_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, ngx_str_t *param, const char *fmt, ...)
{
    u_char      buf[NGX_HTTP_CONDUIT_MESSAGE_MAX];
    va_list     args;
    ngx_str_t   message, text;

    va_start(args, fmt);
    message.data = buf;
    message.len = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args) - buf;
    va_end(args);

    if (ngx_http_conduit_error_text(r, status, code, param, &message, &text)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_reply(r, status, &text);
}


ngx_int_t
ngx_http_conduit_error_text(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, ngx_str_t *param, ngx_str_t *message, ngx_str_t *text)
{
    u_char      *p;
    size_t       size;
    const char  *type;

    type = ngx_http_conduit_error_type(status);

    size = sizeof("{\"error\":{\"message\":\"\",\"type\":\"\",\"param\":\"\","
                  "\"code\":\"\"}}")
           + ngx_strlen(type) + sizeof("null") * 2
           + conduit_json_escape(NULL, message->data, message->len);

    if (param) {
        size += conduit_json_escape(NULL, param->data, param->len);
    }

    if (code) {
        size += ngx_strlen(code);
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = ngx_cpymem(p, "{\"error\":{\"message\":\"", 21);
    p += conduit_json_escape(p, message->data, message->len);
    p = ngx_sprintf(p, "\",\"type\":\"%s\",\"param\":", type);

    if (param) {
        *p++ = '"';
        p += conduit_json_escape(p, param->data, param->len);
        *p++ = '"';

    } else {
        p = ngx_cpymem(p, "null", 4);
    }

    if (code) {
        p = ngx_sprintf(p, ",\"code\":\"%s\"}}", code);

    } else {
        p = ngx_cpymem(p, ",\"code\":null}}", 14);
    }

    text->len = p - text->data;

    return NGX_OK;
}


static const char *
ngx_http_conduit_error_type(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
        return "authentication_error";

    case NGX_HTTP_FORBIDDEN:
        return "permission_error";

    case NGX_HTTP_NOT_FOUND:
        return "not_found_error";

    case NGX_HTTP_CONFLICT:
        return "conflict_error";

    case NGX_HTTP_TOO_MANY_REQUESTS:
        return "rate_limit_error";

    default:
        return (status >= 500) ? "server_error" : "invalid_request_error";
    }
}


ngx_int_t
ngx_http_conduit_error_headers(ngx_http_request_t *r,
    ngx_http_conduit_refusal_t *refusal)
{
    ngx_str_t  value;

    if (refusal->status == NGX_HTTP_UNAUTHORIZED) {
        ngx_str_set(&value, "Bearer");

        return ngx_http_conduit_header(r, "WWW-Authenticate", &value);
    }

    if (refusal->retry_after) {
        return ngx_http_conduit_retry_after(r, refusal->retry_after);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_retry_after(ngx_http_request_t *r, ngx_msec_t ms)
{
    ngx_str_t  seconds, millis;

    seconds.data = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN);
    if (seconds.data == NULL) {
        return NGX_ERROR;
    }

    seconds.len = ngx_sprintf(seconds.data, "%M", (ms + 999) / 1000)
                  - seconds.data;

    millis.data = seconds.data + seconds.len;
    millis.len = ngx_sprintf(millis.data, "%M", ms) - millis.data;

    if (ngx_http_conduit_header(r, "Retry-After", &seconds) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_header(r, "retry-after-ms", &millis);
}


ngx_int_t
ngx_http_conduit_no_retry(ngx_http_request_t *r)
{
    ngx_str_t  value;

    ngx_str_set(&value, "false");

    return ngx_http_conduit_header(r, "x-should-retry", &value);
}


ngx_int_t
ngx_http_conduit_failed(ngx_http_request_t *r, ngx_uint_t status)
{
    if (status == NGX_HTTP_TOO_MANY_REQUESTS
        && ngx_http_conduit_retry_after(r, NGX_HTTP_CONDUIT_FAILED_RETRY)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_conduit_no_retry(r);
}


ngx_int_t
ngx_http_conduit_not_allowed(ngx_http_request_t *r, const char *methods)
{
    ngx_str_t  value;

    value.data = (u_char *) methods;
    value.len = ngx_strlen(methods);

    if (ngx_http_conduit_header(r, "Allow", &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_error(r, NGX_HTTP_NOT_ALLOWED,
                                  "method_not_allowed", NULL,
                                  "This method is not allowed here: use one of"
                                  " %s.", methods);
}


ngx_int_t
ngx_http_conduit_not_found(ngx_http_request_t *r)
{
    return ngx_http_conduit_error(r, NGX_HTTP_NOT_FOUND, "not_found", NULL,
                                  "There is nothing at this path: check it for"
                                  " typing errors.");
}


ngx_int_t
ngx_http_conduit_no_task(ngx_http_request_t *r)
{
    return ngx_http_conduit_error(r, NGX_HTTP_NOT_FOUND, "task_not_found",
                                  NULL, "There is no such task: it may have"
                                  " expired, or the id is not one that this"
                                  " API key was given.");
}


ngx_int_t
ngx_http_conduit_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    h->lowcase_key = NULL;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}
