
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_document.h>


static ngx_int_t ngx_http_conduit_conflict(ngx_http_request_t *r,
    const char *code, const char *message);
static ngx_int_t ngx_http_conduit_retry_model(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_http_conduit_model_t **model);


ngx_int_t
ngx_http_conduit_cancel_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_view_t        view;
    ngx_http_conduit_change_t      change;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_CANCEL;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    ngx_memzero(&change, sizeof(ngx_http_conduit_change_t));

    change.name = *name;
    change.event = CONDUIT_EV_CANCEL;
    change.progress = -1;
    change.eta = -1;

    rc = ngx_http_conduit_task_advance(cdmcf, &change, r->pool, &view);

    switch (rc) {

    case NGX_OK:
        return ngx_http_conduit_status_send(r, &view, NGX_HTTP_CONDUIT_WORDS);

    case NGX_DECLINED:
        return ngx_http_conduit_no_task(r);

    case NGX_HTTP_CONDUIT_FINAL:
        ngx_http_conduit_status_note(r, &view);
        return ngx_http_conduit_conflict(r, "task_terminal",
                                         "The task has already ended");

    default:
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_ZONE_FULL);
    }
}


ngx_int_t
ngx_http_conduit_retry_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name)
{
    u_char                         text[NGX_INT64_LEN + sizeof("{'key':''}")];
    ngx_int_t                      rc;
    ngx_str_t                      state;
    ngx_uint_t                     limit;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_view_t        view;
    ngx_http_conduit_model_t      *model;
    ngx_http_conduit_change_t      change;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_RETRY;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_task_view(cdmcf, name, 0, r->pool, &view);

    if (rc == NGX_DECLINED) {
        return ngx_http_conduit_no_task(r);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (view.status != CONDUIT_FAILED) {
        goto conflict;
    }

    rc = ngx_http_conduit_retry_model(r, &view, &model);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    limit = ctx->key->tasks ? ctx->key->tasks : cdmcf->task_limit_key;

    if (ctx->node->live >= limit) {
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_LIMIT_KEY);
    }

    ngx_memzero(&change, sizeof(ngx_http_conduit_change_t));

    change.name = *name;
    change.event = CONDUIT_EV_RETRY;
    change.progress = -1;
    change.eta = -1;
    change.step = NGX_HTTP_CONDUIT_STEP_QUEUED;
    change.model = model;
    change.run = &state;

    /* providers that know repeats by a key must not take it for one */

    state.data = text;
    state.len = ngx_sprintf(text, "{\"key\":\"%uL\"}", view.sequence) - text;

    rc = ngx_http_conduit_task_advance(cdmcf, &change, r->pool, &view);

    switch (rc) {

    case NGX_OK:
        ngx_http_conduit_status_note(r, &view);

        /* as of a create: a task that has started at once was pending */

        return ngx_http_conduit_create_accepted(r, &view, CONDUIT_PENDING);

    case NGX_DECLINED:
        return ngx_http_conduit_no_task(r);

    case NGX_HTTP_CONDUIT_FINAL:
        goto conflict;

    default:
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_ZONE_FULL);
    }

conflict:

    return ngx_http_conduit_conflict(r, "task_not_failed",
                                     "Only a failed task can be retried");
}


/* the model of the first run must still be there; NGX_DECLINED: it is */

static ngx_int_t
ngx_http_conduit_retry_model(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_http_conduit_model_t **model)
{
    ngx_str_t                      alias;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_main_conf_t  *cdmcf;

    static ngx_str_t  param = ngx_string("model");

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    ctx = ngx_http_conduit_ctx(r);

    /* aliases hold nothing that JSON escapes */

    alias.data = view->document.data + view->model_off + 1;
    alias.len = view->model_len - 2;

    *model = ngx_http_conduit_model_lookup(cdmcf, &alias);

    if (*model == NULL) {
        return ngx_http_conduit_error(r, NGX_HTTP_NOT_FOUND,
                                      "model_not_found", &param,
                                      "The task's model no longer exists");
    }

    if (!ngx_http_conduit_key_model(ctx->key, &alias)) {
        return ngx_http_conduit_error(r, NGX_HTTP_FORBIDDEN,
                                      "model_not_allowed", &param,
                                      "The key may not use this model");
    }

    return NGX_DECLINED;
}


/* a conflict that no repetition cures */

static ngx_int_t
ngx_http_conduit_conflict(ngx_http_request_t *r, const char *code,
    const char *message)
{
    if (ngx_http_conduit_no_retry(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_error(r, NGX_HTTP_CONFLICT, code, NULL, "%s",
                                  message);
}
