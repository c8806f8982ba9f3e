
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_attempt.h>
#include <conduit_json.h>
#include <conduit_signature.h>
#include <conduit_url.h>


/* what is read of a reply's body, only to keep the connection */

#define NGX_HTTP_CONDUIT_ATTEMPT_BODY  65536

/* no body is too large by what its header says */

#define NGX_HTTP_CONDUIT_ATTEMPT_SIZE  ((size_t) 1 << 40)

/* seconds that a connection may have been idle before it is used again */

#define NGX_HTTP_CONDUIT_ATTEMPT_IDLE  60

/* before what cannot be sent for want of memory or connections goes again */

#define NGX_HTTP_CONDUIT_ATTEMPT_HOLD  250

/* a POST that left so much later than it was claimed is counted once more */

#define NGX_HTTP_CONDUIT_ATTEMPT_LATE  20

#define NGX_HTTP_CONDUIT_ATTEMPT_AGENT  "Conduit-Webhook/1.0"


static ngx_int_t ngx_http_conduit_attempt_url(
    ngx_http_conduit_attempt_ctx_t *ctx, ngx_str_t *url);
static ngx_int_t ngx_http_conduit_attempt_transfer(
    ngx_http_conduit_attempt_ctx_t *ctx, ngx_http_conduit_hook_key_t *key,
    u_char *text);
static ngx_int_t ngx_http_conduit_attempt_headers(
    ngx_http_conduit_attempt_ctx_t *ctx, ngx_http_conduit_hook_key_t *key,
    ngx_str_t *headers);
static ngx_int_t ngx_http_conduit_attempt_user_headers(
    ngx_conduit_transfer_t *t, ngx_str_t *headers);
static ngx_int_t ngx_http_conduit_attempt_sign(
    ngx_http_conduit_attempt_ctx_t *ctx, ngx_http_conduit_hook_key_t *key,
    time_t now);
static ngx_int_t ngx_http_conduit_attempt_add(ngx_conduit_transfer_t *t,
    const char *name, u_char *value, size_t len);
static ngx_int_t ngx_http_conduit_attempt_address(struct sockaddr *sockaddr,
    socklen_t socklen, void *data);
static ngx_int_t ngx_http_conduit_attempt_sink(ngx_conduit_transfer_t *t,
    u_char *data, size_t len);
static void ngx_http_conduit_attempt_done(ngx_conduit_transfer_t *t);
static conduit_failure_e ngx_http_conduit_attempt_failure(
    ngx_conduit_transfer_t *t);
static int64_t ngx_http_conduit_attempt_now(void);


void
ngx_http_conduit_attempt(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim, u_char *text)
{
    ngx_int_t                        rc;
    ngx_str_t                        name;
    ngx_conduit_transfer_t          *t;
    ngx_http_conduit_hook_key_t      key;
    ngx_http_conduit_hook_result_t   result;
    ngx_http_conduit_attempt_ctx_t  *ctx;

    ngx_memzero(&result, sizeof(ngx_http_conduit_hook_result_t));

    result.at = ngx_http_conduit_attempt_now();
    result.address = NGX_HTTP_CONDUIT_HOOK_NOWHERE;

    name.len = claim->key->len;
    name.data = claim->key->name;

    if (sender->key(sender->cdmcf, &name, &key) != NGX_OK) {
        result.drop = 1;
        ngx_http_conduit_attempt_end(sender, claim, &result, -1);
        return;
    }

    if (claim->key->rate != key.rate || claim->key->span != key.span) {
        ngx_http_conduit_zone_lock(&sender->cdmcf->zone);
        (void) ngx_http_conduit_hook_rate_locked(&sender->cdmcf->zone,
                                                 claim->key, key.rate,
                                                 key.span);
        ngx_http_conduit_zone_unlock(&sender->cdmcf->zone);
    }

    t = ngx_conduit_transfer_create(sender->log);
    if (t == NULL) {
        ngx_http_conduit_attempt_back(sender, claim,
                                      NGX_HTTP_CONDUIT_ATTEMPT_HOLD);
        return;
    }

    ctx = ngx_pcalloc(t->pool, sizeof(ngx_http_conduit_attempt_ctx_t));

    if (ctx) {
        ctx->sender = sender;
        ctx->transfer = t;
        ctx->claim = *claim;
        ctx->at = result.at;
        ctx->class = NGX_HTTP_CONDUIT_HOOK_NOWHERE;

        ngx_memcpy(ctx->id, "whe_", 4);
        ngx_memcpy(ctx->id + 4, claim->id, CONDUIT_BASE62_LEN);
    }

    rc = ctx ? ngx_http_conduit_attempt_transfer(ctx, &key, text) : NGX_ERROR;

    if (rc == NGX_OK) {
        sender->running++;
        ngx_conduit_transfer_start(t);
        return;
    }

    ngx_conduit_transfer_cancel(t);

    if (rc == NGX_DECLINED) {
        result.failure = CONDUIT_FAIL_BLOCKED;
        ngx_http_conduit_attempt_end(sender, claim, &result, -1);
        return;
    }

    ngx_http_conduit_attempt_back(sender, claim,
                                  NGX_HTTP_CONDUIT_ATTEMPT_HOLD);
}


/* NGX_DECLINED: the policy does not allow the URL any more */

static ngx_int_t
ngx_http_conduit_attempt_transfer(ngx_http_conduit_attempt_ctx_t *ctx,
    ngx_http_conduit_hook_key_t *key, u_char *text)
{
    u_char                           *p;
    ngx_int_t                         rc;
    ngx_str_t                         settings, url, headers;
    ngx_conduit_transfer_t           *t;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_webhook_conf_t  *wcf;

    t = ctx->transfer;
    cdmcf = ctx->sender->cdmcf;
    wcf = &cdmcf->webhook;

    p = ngx_pnalloc(t->pool, ctx->claim.body + ctx->claim.settings);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text, ctx->claim.body + ctx->claim.settings);

    t->body.data = p;
    t->body.len = ctx->claim.body;
    settings.data = p + ctx->claim.body;
    settings.len = ctx->claim.settings;

    if (ngx_http_conduit_hook_settings(&settings, &url, &headers) != NGX_OK) {
        return NGX_DECLINED;
    }

    t->url = url;

    rc = ngx_http_conduit_attempt_url(ctx, &url);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&t->method, "POST");

    t->group = NGX_CONDUIT_TRANSFER_POSTS;
    t->once = 1;
    t->strict = 1;
    t->idle = NGX_HTTP_CONDUIT_ATTEMPT_IDLE;
    t->timeout = wcf->timeout;
    t->connect_timeout = wcf->connect_timeout;
    t->resolver = cdmcf->resolver;
    t->resolver_timeout = wcf->connect_timeout;
    t->trusted_certificate = wcf->certificate;
    t->bind = wcf->bind;
    t->max_size = NGX_HTTP_CONDUIT_ATTEMPT_SIZE;
    t->sink = ngx_http_conduit_attempt_sink;
    t->address = ngx_http_conduit_attempt_address;
    t->address_data = ctx;
    t->handler = ngx_http_conduit_attempt_done;
    t->data = ctx;

    return ngx_http_conduit_attempt_headers(ctx, key, &headers);
}


/* the policy may have changed since the task was made */

static ngx_int_t
ngx_http_conduit_attempt_url(ngx_http_conduit_attempt_ctx_t *ctx,
    ngx_str_t *url)
{
    u_char          buf[CONDUIT_URL_BUF];
    const char     *why;
    conduit_url_t   parsed;

    if (conduit_url_parse(&parsed, buf, url->data, url->len, &why)
        != CONDUIT_OK
        || conduit_url_check(&parsed, &ctx->sender->cdmcf->webhook_policy,
                             &why)
           != CONDUIT_OK)
    {
        return NGX_DECLINED;
    }

    ctx->port = parsed.port;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_attempt_headers(ngx_http_conduit_attempt_ctx_t *ctx,
    ngx_http_conduit_hook_key_t *key, ngx_str_t *headers)
{
    u_char                         *p;
    size_t                          len;
    time_t                          now;
    const conduit_str_t            *type;
    ngx_conduit_transfer_t         *t;
    ngx_http_conduit_hook_claim_t  *claim;

    t = ctx->transfer;
    claim = &ctx->claim;
    now = ngx_time();

    p = ngx_pnalloc(t->pool, NGX_TIME_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = ngx_sprintf(p, "%T", now) - p;

    type = conduit_hook_type((conduit_kind_e) claim->kind,
                             (unsigned) claim->event);

    if (ngx_http_conduit_attempt_user_headers(t, headers) != NGX_OK
        || ngx_http_conduit_attempt_add(t, "Content-Type",
                                        (u_char *) (claim->jose
                                                    ? "application/jose"
                                                    : "application/json"), 16)
           != NGX_OK
        || ngx_http_conduit_attempt_add(t, "User-Agent", (u_char *)
                                        NGX_HTTP_CONDUIT_ATTEMPT_AGENT,
                                        sizeof(NGX_HTTP_CONDUIT_ATTEMPT_AGENT)
                                        - 1)
           != NGX_OK
        || ngx_http_conduit_attempt_add(t, "webhook-id", ctx->id,
                                        CONDUIT_HOOK_ID_LEN)
           != NGX_OK
        || ngx_http_conduit_attempt_add(t, "webhook-timestamp", p, len)
           != NGX_OK
        || ngx_http_conduit_attempt_sign(ctx, key, now) != NGX_OK
        || ngx_http_conduit_attempt_add(t, "Idempotency-Key", ctx->id,
                                        CONDUIT_HOOK_ID_LEN)
           != NGX_OK
        || ngx_http_conduit_attempt_add(t, "X-Webhook-Type", type->data,
                                        type->len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_conduit_attempt_add(t, "X-Webhook-Timestamp", p, len);
}


/* {"Name":"value",...}, checked when the task was made */

static ngx_int_t
ngx_http_conduit_attempt_user_headers(ngx_conduit_transfer_t *t,
    ngx_str_t *headers)
{
    ngx_str_t               name, value;
    const u_char           *pos, *last;
    conduit_json_member_t   member;

    pos = headers->data;
    last = pos + headers->len;

    while (conduit_json_next(&pos, last, &member) == CONDUIT_OK) {

        name.data = ngx_pnalloc(t->pool, member.name.len + member.value.len);
        if (name.data == NULL) {
            return NGX_ERROR;
        }

        name.len = conduit_json_unescape(name.data, member.name.data,
                                         member.name.len);

        value.data = name.data + name.len;
        value.len = conduit_json_unescape(value.data, member.value.data,
                                          member.value.len);

        if (ngx_conduit_transfer_add_header(t, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* by the secrets of this moment, in their order; none without a secret */

static ngx_int_t
ngx_http_conduit_attempt_sign(ngx_http_conduit_attempt_ctx_t *ctx,
    ngx_http_conduit_hook_key_t *key, time_t now)
{
    u_char                  *p, *start;
    ngx_uint_t               i;
    conduit_str_t            id, body;
    ngx_conduit_transfer_t  *t;

    if (key->nsecrets == 0) {
        return NGX_OK;
    }

    t = ctx->transfer;

    start = ngx_pnalloc(t->pool, conduit_signature_size(key->nsecrets));
    if (start == NULL) {
        return NGX_ERROR;
    }

    id.data = ctx->id;
    id.len = CONDUIT_HOOK_ID_LEN;
    body.data = t->body.data;
    body.len = t->body.len;

    p = start;

    for (i = 0; i < key->nsecrets; i++) {

        if (i) {
            *p++ = ' ';
        }

        p = conduit_signature_write(p, &key->secrets[i], &id, now, &body, 1);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_http_conduit_attempt_add(t, "webhook-signature", start,
                                        p - start);
}


static ngx_int_t
ngx_http_conduit_attempt_add(ngx_conduit_transfer_t *t, const char *name,
    u_char *value, size_t len)
{
    ngx_str_t  n, v;

    n.data = (u_char *) name;
    n.len = ngx_strlen(name);
    v.data = value;
    v.len = len;

    return ngx_conduit_transfer_add_header(t, &n, &v);
}


/* the last one asked for is the one that is connected */

static ngx_int_t
ngx_http_conduit_attempt_address(struct sockaddr *sockaddr, socklen_t socklen,
    void *data)
{
    ngx_http_conduit_attempt_ctx_t  *ctx = data;

    u_char                addr[CONDUIT_ADDR_LEN];
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    switch (sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) (void *) sockaddr;
        conduit_addr_v4(addr, (u_char *) &sin->sin_addr);
        break;

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) (void *) sockaddr;
        ngx_memcpy(addr, sin6->sin6_addr.s6_addr, CONDUIT_ADDR_LEN);
        break;

    default:
        return NGX_DECLINED;
    }

    ctx->class = conduit_addr_class(addr);

    return conduit_addr_check(&ctx->sender->cdmcf->webhook_policy, addr,
                              ctx->port)
           == CONDUIT_OK ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_attempt_sink(ngx_conduit_transfer_t *t, u_char *data,
    size_t len)
{
    ngx_http_conduit_attempt_ctx_t  *ctx = t->data;

    ctx->received += len;

    return (ctx->received > NGX_HTTP_CONDUIT_ATTEMPT_BODY) ? NGX_ERROR
                                                           : NGX_OK;
}


static void
ngx_http_conduit_attempt_done(ngx_conduit_transfer_t *t)
{
    ngx_http_conduit_attempt_ctx_t  *ctx = t->data;

    int64_t                          after;
    ngx_str_t                        value;
    ngx_http_conduit_hook_result_t   result;

    ctx->sender->running--;

    if (!t->headed && (t->error == NGX_CONDUIT_TRANSFER_ABORTED
                       || t->error == NGX_CONDUIT_TRANSFER_INTERNAL))
    {
        ngx_http_conduit_attempt_back(ctx->sender, &ctx->claim,
                                      NGX_HTTP_CONDUIT_ATTEMPT_HOLD);
        return;
    }

    if (t->connected && t->waited > NGX_HTTP_CONDUIT_ATTEMPT_LATE) {
        ngx_http_conduit_zone_lock(&ctx->sender->cdmcf->zone);
        ngx_http_conduit_hook_sent_locked(ctx->claim.key);
        ngx_http_conduit_zone_unlock(&ctx->sender->cdmcf->zone);
    }

    ngx_memzero(&result, sizeof(ngx_http_conduit_hook_result_t));

    result.failure = ngx_http_conduit_attempt_failure(t);
    result.status = t->headed ? t->status : 0;
    result.address = t->connected ? ctx->class
                                  : NGX_HTTP_CONDUIT_HOOK_NOWHERE;
    result.at = ctx->at;
    result.duration = t->elapsed;

    after = -1;

    if (t->headed
        && ngx_conduit_transfer_header(t, "retry-after", &value) == NGX_OK)
    {
        after = conduit_retry_after_reply((unsigned) t->status, value.data,
                                          value.len,
                                          ngx_http_conduit_attempt_now());
    }

    ngx_http_conduit_attempt_end(ctx->sender, &ctx->claim, &result, after);
}


/* once the header block is there, nothing behind it changes the outcome */

static conduit_failure_e
ngx_http_conduit_attempt_failure(ngx_conduit_transfer_t *t)
{
    if (t->headed) {
        return conduit_failure_status((unsigned) t->status);
    }

    switch (t->error) {

    case NGX_CONDUIT_TRANSFER_DNS:
        return CONDUIT_FAIL_DNS;

    case NGX_CONDUIT_TRANSFER_CONNECT:
        return CONDUIT_FAIL_CONNECT;

    case NGX_CONDUIT_TRANSFER_TLS:
        return CONDUIT_FAIL_TLS;

    case NGX_CONDUIT_TRANSFER_TIMEOUT:
        return CONDUIT_FAIL_TIMEOUT;

    case NGX_CONDUIT_TRANSFER_BLOCKED:
        return CONDUIT_FAIL_BLOCKED;

    default:
        return CONDUIT_FAIL_PROTOCOL;
    }
}


static int64_t
ngx_http_conduit_attempt_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}
