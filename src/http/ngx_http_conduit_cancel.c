
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_document.h>


typedef ngx_int_t (*ngx_http_conduit_changed_pt)(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_int_t rc);


/* a request that may have to wait for the store */

typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_change_t         change;
    ngx_http_conduit_outcome_t        outcome;
    ngx_http_conduit_changed_pt       answer;
} ngx_http_conduit_changing_t;


static ngx_http_conduit_changing_t *ngx_http_conduit_changing(
    ngx_http_request_t *r, ngx_http_conduit_name_t *name,
    conduit_event_e event, ngx_http_conduit_changed_pt answer);
static ngx_int_t ngx_http_conduit_changing_go(
    ngx_http_conduit_changing_t *changing);
static void ngx_http_conduit_changing_resume(void *data, ngx_int_t rc);
static void ngx_http_conduit_changing_cleanup(void *data);
static ngx_int_t ngx_http_conduit_changing_failed(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_conduit_cancel_answer(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_retry_answer(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_retry_conflict(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_conflict(ngx_http_request_t *r,
    const char *code, const char *message);
static ngx_int_t ngx_http_conduit_retry_model(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_http_conduit_model_t **model);


ngx_int_t
ngx_http_conduit_cancel_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name)
{
    ngx_int_t                     rc;
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_changing_t  *changing;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_CANCEL;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    changing = ngx_http_conduit_changing(r, name, CONDUIT_EV_CANCEL,
                                         ngx_http_conduit_cancel_answer);
    if (changing == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_changing_go(changing);
}


static ngx_http_conduit_changing_t *
ngx_http_conduit_changing(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name, conduit_event_e event,
    ngx_http_conduit_changed_pt answer)
{
    ngx_http_cleanup_t           *cln;
    ngx_http_conduit_changing_t  *changing;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_conduit_changing_t));
    if (cln == NULL) {
        return NULL;
    }

    changing = cln->data;
    ngx_memzero(changing, sizeof(ngx_http_conduit_changing_t));

    cln->handler = ngx_http_conduit_changing_cleanup;

    changing->request = r;
    changing->answer = answer;

    changing->outcome.handler = ngx_http_conduit_changing_resume;
    changing->outcome.data = changing;

    ngx_http_conduit_change_init(&changing->change);

    changing->change.name = *name;
    changing->change.event = event;
    changing->change.once = 1;
    changing->change.outcome = &changing->outcome;

    return changing;
}


static ngx_int_t
ngx_http_conduit_changing_go(ngx_http_conduit_changing_t *changing)
{
    ngx_int_t                      rc;
    ngx_http_request_t            *r;
    ngx_http_conduit_view_t        view;
    ngx_http_conduit_main_conf_t  *cdmcf;

    r = changing->request;
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_task_advance(cdmcf, &changing->change, r->pool,
                                       &view);

    if (rc != NGX_AGAIN) {
        return changing->answer(r, &view, rc);
    }

    r->main->count++;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_conduit_changing_resume(void *data, ngx_int_t rc)
{
    ngx_http_conduit_changing_t  *changing = data;

    ngx_int_t                      rv;
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_conduit_view_t        view;
    ngx_http_conduit_main_conf_t  *cdmcf;

    r = changing->request;
    c = r->connection;
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    ngx_http_set_log_request(c->log, r);

    if (rc == NGX_OK || rc == NGX_HTTP_CONDUIT_FINAL) {
        rv = ngx_http_conduit_task_view(cdmcf, &changing->change.name, 0,
                                        r->pool, &view);
        if (rv != NGX_OK) {
            rc = rv;
        }
    }

    ngx_http_finalize_request(r, changing->answer(r, &view, rc));
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_changing_cleanup(void *data)
{
    ngx_http_conduit_changing_t  *changing = data;

    ngx_http_conduit_outcome_detach(&changing->outcome);
}


static ngx_int_t
ngx_http_conduit_changing_failed(ngx_http_request_t *r, ngx_int_t rc)
{
    return ngx_http_conduit_create_refused(r,
                                           rc == NGX_HTTP_CONDUIT_UNKEPT
                                           ? rc : NGX_HTTP_CONDUIT_ZONE_FULL);
}


static ngx_int_t
ngx_http_conduit_cancel_answer(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return ngx_http_conduit_status_send(r, view, NGX_HTTP_CONDUIT_WORDS);

    case NGX_DECLINED:
        return ngx_http_conduit_no_task(r);

    case NGX_HTTP_CONDUIT_FINAL:
        ngx_http_conduit_status_note(r, view);
        return ngx_http_conduit_conflict(r, "task_terminal",
                                         "The task has already ended");

    default:
        return ngx_http_conduit_changing_failed(r, rc);
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
    ngx_http_conduit_changing_t   *changing;
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
        return ngx_http_conduit_retry_conflict(r);
    }

    rc = ngx_http_conduit_retry_model(r, &view, &model);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    limit = ctx->key->tasks ? ctx->key->tasks : cdmcf->task_limit_key;

    if (ctx->node->live >= limit) {
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_LIMIT_KEY);
    }

    changing = ngx_http_conduit_changing(r, name, CONDUIT_EV_RETRY,
                                         ngx_http_conduit_retry_answer);
    if (changing == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    changing->change.step = NGX_HTTP_CONDUIT_STEP_QUEUED;
    changing->change.model = model;
    changing->change.run = &state;

    /* providers that know repeats by a key must not take it for one */

    state.data = text;
    state.len = ngx_sprintf(text, "{\"key\":\"%uL\"}", view.sequence) - text;

    return ngx_http_conduit_changing_go(changing);
}


static ngx_int_t
ngx_http_conduit_retry_answer(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        ngx_http_conduit_status_note(r, view);

        /* as of a create: a task that has started at once was pending */

        return ngx_http_conduit_create_accepted(r, view, CONDUIT_PENDING);

    case NGX_DECLINED:
        return ngx_http_conduit_no_task(r);

    case NGX_HTTP_CONDUIT_FINAL:
        return ngx_http_conduit_retry_conflict(r);

    default:
        return ngx_http_conduit_changing_failed(r, rc);
    }
}


static ngx_int_t
ngx_http_conduit_retry_conflict(ngx_http_request_t *r)
{
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
