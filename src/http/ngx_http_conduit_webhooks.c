
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_webhooks.h>
#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_fresh.h>
#include <ngx_http_conduit_worker.h>
#include <conduit_json.h>
#include <conduit_time.h>
#include <conduit_webhook.h>


/* The deliveries of the key that asks: shown, sent again, and tried out. */


/* all that is not text of variable length */

#define NGX_HTTP_CONDUIT_DELIVERY_FIXED  768
#define NGX_HTTP_CONDUIT_ATTEMPT_FIXED   192


static ngx_int_t ngx_http_conduit_webhooks_show(ngx_http_request_t *r,
    ngx_str_t *id);
static ngx_int_t ngx_http_conduit_webhooks_redeliver(ngx_http_request_t *r,
    ngx_str_t *id);
static ngx_int_t ngx_http_conduit_webhooks_fresh(ngx_http_request_t *r,
    ngx_str_t *id);
static ngx_int_t ngx_http_conduit_webhooks_none(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_webhooks_test(ngx_http_request_t *r);
static void ngx_http_conduit_webhooks_test_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_webhooks_try(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_webhooks_members(ngx_http_request_t *r,
    ngx_str_t *body, conduit_request_t *req);
static ngx_int_t ngx_http_conduit_webhooks_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_http_conduit_delivery_t *delivery, ngx_uint_t log);
static u_char *ngx_http_conduit_webhooks_last(u_char *p,
    ngx_http_conduit_delivery_t *delivery);
static u_char *ngx_http_conduit_webhooks_log(u_char *p,
    ngx_http_conduit_delivery_t *delivery);
static u_char *ngx_http_conduit_webhooks_number(u_char *p, const char *name,
    ngx_uint_t n);
static u_char *ngx_http_conduit_webhooks_failure(u_char *p, const char *name,
    conduit_failure_e failure);
static u_char *ngx_http_conduit_webhooks_time(u_char *p, const char *name,
    int64_t ms);


ngx_int_t
ngx_http_conduit_webhooks_serve(ngx_http_request_t *r)
{
    size_t                   len;
    ngx_str_t                id;
    ngx_uint_t               post;
    ngx_http_conduit_ctx_t  *ctx;

    static ngx_str_t  again = ngx_string("/redeliver");

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_WEBHOOKS;

    ngx_http_conduit_rest(r, &id);

    len = id.len > again.len ? id.len - again.len : 0;

    post = 0;

    if (len && ngx_memcmp(id.data + len, again.data, again.len) == 0) {
        id.len = len;
        post = 1;

    } else if (id.len == 4 && ngx_strncmp(id.data, "test", 4) == 0) {
        len = 0;
        post = 1;
    }

    if (ngx_strlchr(id.data, id.data + id.len, '/')) {
        return ngx_http_conduit_not_found(r);
    }

    if (post) {
        if (r->method != NGX_HTTP_POST) {
            return ngx_http_conduit_not_allowed(r, "POST, OPTIONS");
        }

        return len ? ngx_http_conduit_webhooks_redeliver(r, &id)
                   : ngx_http_conduit_webhooks_test(r);
    }

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
        return ngx_http_conduit_not_allowed(r, "GET, HEAD, OPTIONS");
    }

    return id.len ? ngx_http_conduit_webhooks_show(r, &id)
                  : ngx_http_conduit_webhooks_list(r);
}


static ngx_int_t
ngx_http_conduit_webhooks_show(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_delivery_t    delivery;
    ngx_http_conduit_main_conf_t  *cdmcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_conduit_webhooks_fresh(r, id);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx = ngx_http_conduit_ctx(r);
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_webhook_show(cdmcf, ctx->node, id, r->pool,
                                       &delivery);
    switch (rc) {

    case NGX_OK:
        return ngx_http_conduit_webhooks_send(r, NGX_HTTP_OK, &delivery, 1);

    case NGX_DECLINED:
        return ngx_http_conduit_webhooks_none(r);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_http_conduit_webhooks_redeliver(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_delivery_t    delivery;
    ngx_http_conduit_main_conf_t  *cdmcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_conduit_webhooks_fresh(r, id);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx = ngx_http_conduit_ctx(r);
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_webhook_redeliver(cdmcf, ctx->node, id, r->pool,
                                            &delivery);
    switch (rc) {

    case NGX_OK:
        return ngx_http_conduit_webhooks_send(r, NGX_HTTP_ACCEPTED, &delivery,
                                              0);

    case NGX_DECLINED:
        return ngx_http_conduit_webhooks_none(r);

    case NGX_BUSY:
        break;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_conduit_no_retry(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_error(r, NGX_HTTP_CONFLICT, "webhook_pending",
                                  NULL, "The delivery has not ended yet");
}


/* what another host delivers is asked for, its task may not be known here */

static ngx_int_t
ngx_http_conduit_webhooks_fresh(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_name_t        name;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    name.key = ctx->node;
    name.kind = NGX_HTTP_CONDUIT_ANY;

    rc = ngx_http_conduit_webhook_task(cdmcf, ctx->node, id, name.id);

    if (rc == NGX_DONE) {
        return NGX_DECLINED;
    }

    return (rc == NGX_OK) ? ngx_http_conduit_fresh_task(r, &name)
                          : ngx_http_conduit_fresh_key(r);
}


static ngx_int_t
ngx_http_conduit_webhooks_none(ngx_http_request_t *r)
{
    return ngx_http_conduit_error(r, NGX_HTTP_NOT_FOUND, "webhook_not_found",
                                  NULL, "There is no such delivery: it may"
                                  " have expired with its task, or the id is"
                                  " not one of this API key's.");
}


static ngx_int_t
ngx_http_conduit_webhooks_test(ngx_http_request_t *r)
{
    return ngx_http_conduit_read_body(r, ngx_http_conduit_webhooks_test_body);
}


static void
ngx_http_conduit_webhooks_test_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_http_finalize_request(r, ngx_http_conduit_webhooks_try(r, body));
}


static ngx_int_t
ngx_http_conduit_webhooks_try(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t                      rc;
    ngx_str_t                      settings, metadata;
    conduit_request_t              req;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_delivery_t    delivery;
    ngx_http_conduit_main_conf_t  *cdmcf;

    rc = ngx_http_conduit_webhooks_members(r, body, &req);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx = ngx_http_conduit_ctx(r);
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    settings.len = req.webhook.len;
    settings.data = req.webhook.data;
    metadata.len = req.metadata.len;
    metadata.data = req.metadata.data;

    rc = ngx_http_conduit_webhook_test(cdmcf, ctx->node, &settings, &metadata,
                                       r->pool, &delivery);
    switch (rc) {

    case NGX_OK:
        return ngx_http_conduit_webhooks_send(r, NGX_HTTP_ACCEPTED, &delivery,
                                              0);

    case NGX_BUSY:
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_ZONE_FULL);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* NGX_DECLINED: they are good; else the error has been sent */

static ngx_int_t
ngx_http_conduit_webhooks_members(ngx_http_request_t *r, ngx_str_t *body,
    conduit_request_t *req)
{
    u_char                        *buf;
    ngx_int_t                      rc;
    ngx_str_t                      param;
    conduit_fault_t                fault;
    conduit_hook_input_t           in;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ngx_memzero(req, sizeof(conduit_request_t));

    rc = ngx_http_conduit_worker_json(r, body, &in.root);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_http_conduit_worker_member(in.root, "webhook_url") == NULL) {
        return ngx_http_conduit_worker_bad(r, "webhook_url", "is required");
    }

    buf = ngx_pnalloc(r->pool, conduit_request_buffer(body->len));
    if (buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    in.body = body->data;
    in.len = body->len;
    in.policy = &cdmcf->webhook_policy;

    if (conduit_webhook_members(req, &in, &buf, &fault) != CONDUIT_OK) {
        param.len = fault.param_len;
        param.data = fault.param;

        return ngx_http_conduit_error(r, fault.status, fault.code,
                                      param.len ? &param : NULL, "%*s",
                                      fault.message_len, fault.message);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_webhooks_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_http_conduit_delivery_t *delivery, ngx_uint_t log)
{
    ngx_str_t  text;

    text.data = ngx_pnalloc(r->pool,
                            ngx_http_conduit_webhooks_size(delivery, log));
    if (text.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.len = ngx_http_conduit_webhooks_write(text.data, delivery, log)
               - text.data;

    return ngx_http_conduit_reply(r, status, &text);
}


size_t
ngx_http_conduit_webhooks_size(ngx_http_conduit_delivery_t *delivery,
    ngx_uint_t log)
{
    return NGX_HTTP_CONDUIT_DELIVERY_FIXED
           + conduit_json_escape(NULL, delivery->url.data, delivery->url.len)
           + (log ? delivery->nlog * NGX_HTTP_CONDUIT_ATTEMPT_FIXED : 0);
}


u_char *
ngx_http_conduit_webhooks_write(u_char *p,
    ngx_http_conduit_delivery_t *delivery, ngx_uint_t log)
{
    const conduit_str_t  *word;

    p = ngx_http_conduit_put(p, "{\"id\":\"");
    p = ngx_cpymem(p, delivery->id, CONDUIT_HOOK_ID_LEN);
    p = ngx_http_conduit_put(p, "\",\"object\":\"webhook_delivery\","
                             "\"task_id\":\"");
    conduit_uuid_write(p, delivery->task);
    p += CONDUIT_UUID_LEN;

    word = conduit_hook_event_word(delivery->event);
    p = ngx_http_conduit_put(p, "\",\"event\":\"");
    p = ngx_cpymem(p, word->data, word->len);

    word = conduit_hook_type(delivery->kind, delivery->event);
    p = ngx_http_conduit_put(p, "\",\"webhook_type\":\"");
    p = ngx_cpymem(p, word->data, word->len);

    p = ngx_sprintf(p, "\",\"sequence\":%uL,\"url\":\"", delivery->sequence);
    p += conduit_json_escape(p, delivery->url.data, delivery->url.len);

    p = ngx_sprintf(p, "\",\"status\":\"%V\",\"attempts\":%ui",
                    &ngx_http_conduit_hook_words[delivery->state],
                    delivery->attempts);

    p = ngx_http_conduit_webhooks_last(p, delivery);

    if (log) {
        p = ngx_http_conduit_webhooks_log(p, delivery);
    }

    *p++ = '}';

    return p;
}


static u_char *
ngx_http_conduit_webhooks_last(u_char *p,
    ngx_http_conduit_delivery_t *delivery)
{
    p = ngx_http_conduit_webhooks_number(p, "last_status",
                                         delivery->last_status);
    p = ngx_http_conduit_webhooks_failure(p, "last_error",
                                          delivery->last_failure);
    p = ngx_http_conduit_webhooks_time(p, "created_at", delivery->created);
    p = ngx_http_conduit_webhooks_time(p, "updated_at", delivery->updated);
    p = ngx_http_conduit_webhooks_time(p, "next_attempt_at", delivery->next);

    return ngx_http_conduit_webhooks_time(p, "delivered_at",
                                          delivery->delivered);
}


static u_char *
ngx_http_conduit_webhooks_log(u_char *p, ngx_http_conduit_delivery_t *delivery)
{
    ngx_uint_t                   i;
    ngx_http_conduit_attempt_t  *attempt;

    p = ngx_http_conduit_put(p, ",\"attempt_log\":[");

    for (i = 0; i < delivery->nlog; i++) {
        attempt = &delivery->log[i];

        p = ngx_sprintf(p, "%s{\"attempt\":%ui", i ? "," : "",
                        (ngx_uint_t) attempt->number);
        p = ngx_http_conduit_webhooks_time(p, "at", attempt->at);

        if (attempt->address == NGX_HTTP_CONDUIT_HOOK_NOWHERE) {
            p = ngx_http_conduit_put(p, ",\"address\":null");

        } else {
            p = ngx_sprintf(p, ",\"address\":\"%s\"",
                            conduit_addr_class_word(attempt->address));
        }

        p = ngx_http_conduit_webhooks_number(p, "status", attempt->status);
        p = ngx_sprintf(p, ",\"duration_ms\":%ui",
                        (ngx_uint_t) attempt->duration);
        p = ngx_http_conduit_webhooks_failure(p, "error", attempt->failure);
        *p++ = '}';
    }

    *p++ = ']';

    return p;
}


/* 0 is null */

static u_char *
ngx_http_conduit_webhooks_number(u_char *p, const char *name, ngx_uint_t n)
{
    return n ? ngx_sprintf(p, ",\"%s\":%ui", name, n)
             : ngx_sprintf(p, ",\"%s\":null", name);
}


static u_char *
ngx_http_conduit_webhooks_failure(u_char *p, const char *name,
    conduit_failure_e failure)
{
    const conduit_str_t  *word;

    word = conduit_failure_word(failure);

    return word->len ? ngx_sprintf(p, ",\"%s\":\"%*s\"", name, word->len,
                                   word->data)
                     : ngx_sprintf(p, ",\"%s\":null", name);
}


static u_char *
ngx_http_conduit_webhooks_time(u_char *p, const char *name, int64_t ms)
{
    if (ms == 0) {
        return ngx_sprintf(p, ",\"%s\":null", name);
    }

    p = ngx_sprintf(p, ",\"%s\":\"", name);
    p = conduit_time_write(p, ms);
    *p++ = '"';

    return p;
}
