
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_drain.h>
#include <ngx_http_conduit_worker.h>
#include <ngx_http_conduit_watch.h>
#include <conduit_glob.h>
#include <conduit_id.h>
#include <conduit_request.h>


/* The pull API: paths, and the claim of a task, perhaps after a wait. */


#define NGX_HTTP_CONDUIT_MODELS_MAX  100
#define NGX_HTTP_CONDUIT_MODEL_MAX   256


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_watcher_t        watcher;
    ngx_event_t                       timer;
    ngx_conduit_drain_t               drain;
    json_t                           *models;      /* NULL: all */
} ngx_http_conduit_claim_t;


static ngx_int_t ngx_http_conduit_worker_task(ngx_http_request_t *r,
    ngx_str_t *rest);
static void ngx_http_conduit_worker_free(void *data);
static void ngx_http_conduit_claim_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_claim_serve(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_claim_models(ngx_http_request_t *r,
    json_t *models);
static ngx_int_t ngx_http_conduit_claim_wait(ngx_http_request_t *r,
    json_t *json, ngx_msec_t *ms);
static ngx_int_t ngx_http_conduit_claim_watch(ngx_http_conduit_claim_t *claim,
    ngx_msec_t ms);
static void ngx_http_conduit_claim_watcher(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_claim_timer(ngx_event_t *ev);
static void ngx_http_conduit_claim_drain(void *data);
static void ngx_http_conduit_claim_end(void *data);
static ngx_int_t ngx_http_conduit_claim_try(ngx_http_conduit_claim_t *claim);
static ngx_uint_t ngx_http_conduit_claim_match(void *data, ngx_str_t *model);
static ngx_int_t ngx_http_conduit_claim_reply(ngx_http_request_t *r,
    ngx_http_conduit_work_t *work);
static ngx_int_t ngx_http_conduit_claim_none(ngx_http_request_t *r);


ngx_int_t
ngx_http_conduit_worker_serve(ngx_http_request_t *r)
{
    ngx_str_t                rest;
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_WORKER;

    if (!ctx->key->worker) {
        return ngx_http_conduit_error(r, NGX_HTTP_FORBIDDEN,
                                      "worker_not_allowed", NULL,
                                      "This API key may not claim tasks: the"
                                      " operator has to give it \"worker"
                                      " on\".");
    }

    ngx_http_conduit_rest(r, &rest);

    if (rest.len != 5 || ngx_memcmp(rest.data, "claim", 5) != 0) {
        return ngx_http_conduit_worker_task(r, &rest);
    }

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_conduit_not_allowed(r, "POST, OPTIONS");
    }

    return ngx_http_conduit_read_body(r, ngx_http_conduit_claim_body);
}


/* tasks/ID/VERB */

static ngx_int_t
ngx_http_conduit_worker_task(ngx_http_request_t *r, ngx_str_t *rest)
{
    u_char                  *p, *last, *verb;
    size_t                   len;
    u_char                   id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t               i;
    ngx_http_conduit_ctx_t  *ctx;

    static const char  *verbs[] = { "progress", "complete", "fail" };

    p = rest->data;
    last = p + rest->len;

    if (rest->len < 6 || ngx_memcmp(p, "tasks/", 6) != 0) {
        return ngx_http_conduit_not_found(r);
    }

    p += 6;

    verb = ngx_strlchr(p, last, '/');
    if (verb == NULL) {
        return ngx_http_conduit_not_found(r);
    }

    len = last - ++verb;

    for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {

        if (len != ngx_strlen(verbs[i])
            || ngx_memcmp(verb, verbs[i], len) != 0)
        {
            continue;
        }

        if (r->method != NGX_HTTP_POST) {
            return ngx_http_conduit_not_allowed(r, "POST, OPTIONS");
        }

        len = verb - 1 - p;

        if (conduit_uuid_parse(id, p, len) != CONDUIT_OK) {
            return ngx_http_conduit_no_task(r);
        }

        ctx = ngx_http_conduit_ctx(r);

        ngx_memcpy(ctx->task_id, p, CONDUIT_UUID_LEN);
        ctx->named = 1;

        return ngx_http_conduit_report_serve(r, id, i);
    }

    return ngx_http_conduit_not_found(r);
}


ngx_int_t
ngx_http_conduit_worker_json(ngx_http_request_t *r, ngx_str_t *body,
    json_t **json)
{
    ngx_str_t              text;
    conduit_fault_t        fault;
    ngx_pool_cleanup_t    *cln;
    conduit_json_error_t   err;

    text = *body;

    if (text.len == 0) {
        ngx_str_set(&text, "{}");
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *json = conduit_json_parse(text.data, text.len, &err);

    if (*json == NULL) {
        conduit_fault_json(&fault, &err);

        return ngx_http_conduit_error(r, fault.status, fault.code, NULL,
                                      "%*s", fault.message_len,
                                      fault.message);
    }

    cln->handler = ngx_http_conduit_worker_free;
    cln->data = *json;

    if (!json_is_object(*json)) {
        return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST, "invalid_json",
                                      NULL, "The request body must be a JSON"
                                      " object.");
    }

    return NGX_DECLINED;
}


static void
ngx_http_conduit_worker_free(void *data)
{
    json_decref(data);
}


json_t *
ngx_http_conduit_worker_member(json_t *json, const char *name)
{
    json_t  *member;

    member = json_object_get(json, name);

    return json_is_null(member) ? NULL : member;
}


ngx_int_t
ngx_http_conduit_worker_bad(ngx_http_request_t *r, const char *name,
    const char *text)
{
    ngx_str_t  param;

    param.data = (u_char *) name;
    param.len = ngx_strlen(name);

    return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                  "invalid_parameter", &param, "'%s' %s.",
                                  name, text);
}


static void
ngx_http_conduit_claim_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t  rc;

    rc = ngx_http_conduit_claim_serve(r, body);

    /* NGX_DONE: the request waits, with the reference of the read body */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_conduit_claim_serve(ngx_http_request_t *r, ngx_str_t *body)
{
    json_t                    *json;
    ngx_int_t                  rc;
    ngx_msec_t                 ms;
    ngx_http_conduit_claim_t  *claim;

    claim = ngx_pcalloc(r->pool, sizeof(ngx_http_conduit_claim_t));
    if (claim == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    claim->request = r;
    claim->cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_worker_json(r, body, &json);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    claim->models = ngx_http_conduit_worker_member(json, "models");

    if (claim->models) {
        rc = ngx_http_conduit_claim_models(r, claim->models);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    rc = ngx_http_conduit_claim_wait(r, json, &ms);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    /* watch first: a task made after the look would be missed */

    if (ms && ngx_http_conduit_claim_watch(claim, ms) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_conduit_claim_try(claim);

    if (rc != NGX_AGAIN) {
        ngx_http_conduit_claim_end(claim);
        return rc;
    }

    return ms ? NGX_DONE : ngx_http_conduit_claim_none(r);
}


/* NGX_DECLINED: they are good */

static ngx_int_t
ngx_http_conduit_claim_models(ngx_http_request_t *r, json_t *models)
{
    size_t   i, n;
    json_t  *model;

    n = json_array_size(models);

    if (!json_is_array(models) || n == 0 || n > NGX_HTTP_CONDUIT_MODELS_MAX) {
        return ngx_http_conduit_worker_bad(r, "models",
                                           "must be a list of 1 to 100 names"
                                           " of models; leave it out for"
                                           " all");
    }

    for (i = 0; i < n; i++) {
        model = json_array_get(models, i);

        if (!json_is_string(model)
            || json_string_length(model) == 0
            || json_string_length(model) > NGX_HTTP_CONDUIT_MODEL_MAX)
        {
            return ngx_http_conduit_worker_bad(r, "models",
                                               "must be a list of strings of"
                                               " 1 to 256 bytes");
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_claim_wait(ngx_http_request_t *r, json_t *json,
    ngx_msec_t *ms)
{
    json_t                       *wait;
    json_int_t                    seconds;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    *ms = 0;

    wait = ngx_http_conduit_worker_member(json, "wait");

    if (wait == NULL) {
        return NGX_DECLINED;
    }

    seconds = json_integer_value(wait);

    if (!json_is_integer(wait) || seconds < 0) {
        return ngx_http_conduit_worker_bad(r, "wait",
                                           "must be a whole number of seconds,"
                                           " 0 or more");
    }

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    *ms = (seconds > (json_int_t) (cdlcf->wait_max / 1000))
          ? cdlcf->wait_max : (ngx_msec_t) seconds * 1000;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_claim_watch(ngx_http_conduit_claim_t *claim, ngx_msec_t ms)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = claim->request;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    claim->watcher.handler = ngx_http_conduit_claim_watcher;
    claim->watcher.data = claim;

    if (ngx_http_conduit_watch_claims(claim->cdmcf, &claim->watcher)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_conduit_claim_end;
    cln->data = claim;

    /* the claim is found by the timer: its data is a connection, for logs */

    claim->timer.handler = ngx_http_conduit_claim_timer;
    claim->timer.data = r->connection;
    claim->timer.log = r->connection->log;

    ngx_add_timer(&claim->timer, ms);

    claim->drain.handler = ngx_http_conduit_claim_drain;
    claim->drain.data = claim;

    if (ngx_conduit_drain_add(&claim->drain) != NGX_OK) {
        ngx_conduit_drain_soon(&claim->timer);
    }

    /* a worker that has gone must not be given a task */

    ngx_http_conduit_watch_client(r);
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


static void
ngx_http_conduit_claim_watcher(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_claim_t  *claim = w->data;

    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = claim->request;
    c = r->connection;

    rc = ngx_http_conduit_claim_try(claim);

    if (rc == NGX_AGAIN) {
        return;
    }

    ngx_http_conduit_claim_end(claim);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_claim_timer(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_conduit_claim_t  *claim;

    claim = (ngx_http_conduit_claim_t *)
                ((u_char *) ev - offsetof(ngx_http_conduit_claim_t, timer));
    r = claim->request;
    c = r->connection;

    ngx_http_conduit_claim_end(claim);

    ngx_http_finalize_request(r, ngx_http_conduit_claim_none(r));
    ngx_http_run_posted_requests(c);
}


/* who waits asks again, and is answered by a worker that stays */

static void
ngx_http_conduit_claim_drain(void *data)
{
    ngx_http_conduit_claim_t  *claim = data;

    ngx_conduit_drain_soon(&claim->timer);
}


/* the end of the wait; also the cleanup of the request, then a second time */

static void
ngx_http_conduit_claim_end(void *data)
{
    ngx_http_conduit_claim_t  *claim = data;

    ngx_http_conduit_watch_del(claim->cdmcf, &claim->watcher);
    ngx_conduit_drain_del(&claim->drain);

    if (claim->timer.timer_set) {
        ngx_del_timer(&claim->timer);
    }

    claim->request->read_event_handler = ngx_http_block_reading;
}


/* NGX_AGAIN: no task; else what to finalize with */

static ngx_int_t
ngx_http_conduit_claim_try(ngx_http_conduit_claim_t *claim)
{
    ngx_int_t                 rc;
    ngx_pool_t               *pool;
    ngx_http_request_t       *r;
    ngx_http_conduit_ctx_t   *ctx;
    ngx_http_conduit_work_t   work;

    r = claim->request;
    ctx = ngx_http_conduit_ctx(r);

    /* the request's pool would grow with each task that others were given */

    pool = ngx_create_pool(1024, r->connection->log);
    if (pool == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_conduit_task_claim(claim->cdmcf, ctx->node,
                                     ngx_http_conduit_claim_match,
                                     claim->models, pool, &work);

    switch (rc) {

    case NGX_OK:
        rc = ngx_http_conduit_claim_reply(r, &work);
        break;

    case NGX_AGAIN:
        break;

    default:
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_uint_t
ngx_http_conduit_claim_match(void *data, ngx_str_t *model)
{
    json_t  *models = data;

    size_t   i;
    json_t  *pattern;

    if (models == NULL) {
        return 1;
    }

    for (i = 0; i < json_array_size(models); i++) {
        pattern = json_array_get(models, i);

        if (conduit_glob_match((u_char *) json_string_value(pattern),
                               json_string_length(pattern),
                               model->data, model->len))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_conduit_claim_reply(ngx_http_request_t *r,
    ngx_http_conduit_work_t *work)
{
    u_char                  *p;
    size_t                   size;
    ngx_str_t                text;
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    conduit_uuid_write(ctx->task_id, work->id);
    ctx->named = 1;

    size = sizeof("{\"task_id\":\"\",\"model\":\"\",\"lease_seconds\":,"
                  "\"lease_id\":\"\",\"request\":}")
           + CONDUIT_UUID_LEN + NGX_INT_T_LEN + NGX_INT64_LEN
           + conduit_json_escape(NULL, work->upstream.data,
                                 work->upstream.len)
           + work->request.len;

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.data = p;

    p = ngx_sprintf(p, "{\"task_id\":\"%*s\",\"model\":\"",
                    (size_t) CONDUIT_UUID_LEN, ctx->task_id);
    p += conduit_json_escape(p, work->upstream.data, work->upstream.len);
    p = ngx_sprintf(p, "\",\"lease_seconds\":%M,\"lease_id\":\"%uL\","
                    "\"request\":%V}",
                    work->provider->lease / 1000, work->lease,
                    &work->request);

    text.len = p - text.data;

    return ngx_http_conduit_reply(r, NGX_HTTP_OK, &text);
}


static ngx_int_t
ngx_http_conduit_claim_none(ngx_http_request_t *r)
{
    ngx_str_t  text;

    ngx_str_null(&text);

    return ngx_http_conduit_reply(r, NGX_HTTP_NO_CONTENT, &text);
}
