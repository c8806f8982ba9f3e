
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_creating.h>
#include <conduit_header.h>
#include <conduit_request.h>


static ngx_int_t ngx_http_conduit_create_model(ngx_http_request_t *r,
    ngx_http_conduit_create_t *create, ngx_str_t *alias);


ngx_int_t
ngx_http_conduit_create_parse(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_str_t *body)
{
    u_char                        *buf;
    ngx_str_t                      param, alias;
    ngx_int_t                      rc;
    conduit_fault_t                fault;
    conduit_request_t              req;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_create_t     *create;
    ngx_http_conduit_loc_conf_t   *cdlcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    buf = ngx_palloc(r->pool, conduit_request_buffer(body->len));
    if (buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = conduit_request_parse(&req, cdlcf->kind, buf, body->data, body->len,
                               &cdmcf->webhook_policy, &fault);

    if (rc == CONDUIT_DECLINED) {
        param.len = fault.param_len;
        param.data = fault.param;

        return ngx_http_conduit_error(r, fault.status, fault.code,
                                      param.len ? &param : NULL, "%*s",
                                      fault.message_len, fault.message);
    }

    if (rc != CONDUIT_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    create = &creating->create;

    create->key = ctx->node;
    create->kind = cdlcf->kind;
    create->request.len = req.document.len;
    create->request.data = req.document.data;
    create->prompt.len = req.prompt_json.len;
    create->prompt.data = req.prompt_json.data;
    create->metadata.len = req.metadata.len;
    create->metadata.data = req.metadata.data;
    create->webhook.len = req.webhook.len;
    create->webhook.data = req.webhook.data;
    create->hooks = req.webhook_events;
    create->sync = creating->sync;
    create->limit = ctx->key->tasks ? ctx->key->tasks : cdmcf->task_limit_key;
    create->location = cdlcf->prefix;
    create->pool = r->pool;

    create->timeout = cdmcf->task_timeout;

    if (req.timeout_seconds
        && (ngx_msec_t) req.timeout_seconds * 1000 < create->timeout)
    {
        create->timeout = (ngx_msec_t) req.timeout_seconds * 1000;
    }

    alias.len = req.model.len;
    alias.data = req.model.data;

    return ngx_http_conduit_create_model(r, create, &alias);
}


static ngx_int_t
ngx_http_conduit_create_model(ngx_http_request_t *r,
    ngx_http_conduit_create_t *create, ngx_str_t *alias)
{
    const conduit_str_t           *kind;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_main_conf_t  *cdmcf;

    static ngx_str_t  param = ngx_string("model");

    ctx = ngx_http_conduit_ctx(r);
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    create->model = ngx_http_conduit_model_lookup(cdmcf, alias);

    if (create->model == NULL) {
        return ngx_http_conduit_error(r, NGX_HTTP_NOT_FOUND,
                                      "model_not_found", &param,
                                      "The model does not exist");
    }

    ctx->model = create->model->alias;
    ctx->provider = create->model->provider->name;

    if (!ngx_http_conduit_key_model(ctx->key, alias)) {
        return ngx_http_conduit_error(r, NGX_HTTP_FORBIDDEN,
                                      "model_not_allowed", &param,
                                      "The key may not use this model");
    }

    if (!(create->model->kinds & NGX_HTTP_CONDUIT_KIND(create->kind))) {
        kind = conduit_kind_word(create->kind);

        return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                      "invalid_parameter", &param,
                                      "The model does not make %*ss",
                                      kind->len, kind->data);
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_conduit_create_idempotency(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_str_t *body)
{
    size_t                   n;
    u_char                   key[CONDUIT_IDEMPOTENCY_KEY_MAX];
    ngx_str_t               *value, parts[3];
    ngx_http_conduit_ctx_t  *ctx;

    value = ngx_http_conduit_header_in(r, "idempotency-key",
                                       sizeof("idempotency-key") - 1);
    if (value == NULL) {
        return NGX_DECLINED;
    }

    if (conduit_idempotency_key(value->data, value->len, key, &n)
        != CONDUIT_OK)
    {
        return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                      "invalid_parameter", NULL,
                                      "The Idempotency-Key header must have 1 "
                                      "to 255 printable ASCII characters");
    }

    ctx = ngx_http_conduit_ctx(r);

    parts[0] = ctx->key->name;
    ngx_str_set(&parts[1], "\n");
    parts[2].data = key;
    parts[2].len = n;

    if (ngx_conduit_sha256(creating->digest, parts, 3) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    parts[0] = r->uri;
    parts[2] = *body;

    if (ngx_conduit_sha256(creating->fingerprint, parts, 3) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    creating->create.digest = creating->digest;
    creating->create.fingerprint = creating->fingerprint;

    return NGX_DECLINED;
}
