
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_wait.h>
#include <ngx_conduit_digest.h>
#include <conduit_header.h>
#include <conduit_request.h>
#include <conduit_time.h>
#include <jansson.h>


/* what a full zone, queue or budget tells to wait for, in milliseconds */

#define NGX_HTTP_CONDUIT_FULL_RETRY  5000


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_create_t         create;
    u_char                            digest[NGX_CONDUIT_SHA256_LEN];
    u_char                            fingerprint[NGX_CONDUIT_SHA256_LEN];
    unsigned                          sync:1;
    unsigned                          kept:1;      /* reply or its absence */
} ngx_http_conduit_creating_t;


static void ngx_http_conduit_create_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_create_task(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_create_parse(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_str_t *body);
static ngx_int_t ngx_http_conduit_create_model(ngx_http_request_t *r,
    ngx_http_conduit_create_t *create, ngx_str_t *alias);
static ngx_int_t ngx_http_conduit_create_idempotency(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_str_t *body);
static ngx_int_t ngx_http_conduit_create_made(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static ngx_int_t ngx_http_conduit_create_replayed(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static ngx_int_t ngx_http_conduit_create_wait(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static void ngx_http_conduit_create_waited(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired);
static void ngx_http_conduit_create_ended(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired);
static ngx_int_t ngx_http_conduit_create_failed(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view);
static void ngx_http_conduit_create_cleanup(void *data);
static ngx_int_t ngx_http_conduit_create_location(ngx_http_request_t *r,
    u_char *id);


ngx_int_t
ngx_http_conduit_create_serve(ngx_http_request_t *r, ngx_uint_t sync)
{
    ngx_http_cleanup_t           *cln;
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_creating_t  *creating;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = sync ? NGX_HTTP_CONDUIT_EP_SYNC
                         : NGX_HTTP_CONDUIT_EP_CREATE;

    creating = ngx_pcalloc(r->pool, sizeof(ngx_http_conduit_creating_t));
    if (creating == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_conduit_create_cleanup;
    cln->data = creating;

    creating->request = r;
    creating->sync = sync;
    creating->kept = 1;

    ctx->data = creating;

    return ngx_http_conduit_read_body(r, ngx_http_conduit_create_body);
}


static void
ngx_http_conduit_create_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t  rc;

    rc = ngx_http_conduit_create_task(r, body);

    /* NGX_DONE: the request waits, with the reference of the read body */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_conduit_create_task(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_creating_t   *creating;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    creating = ctx->data;

    rc = ngx_http_conduit_create_parse(r, creating, body);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_conduit_create_idempotency(r, creating, body);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_task_create(cdmcf, &creating->create);

    switch (rc) {

    case NGX_OK:
        return ngx_http_conduit_create_made(r, creating);

    case NGX_HTTP_CONDUIT_REPLAY:
        return ngx_http_conduit_create_replayed(r, creating);

    default:
        return ngx_http_conduit_create_refused(r, rc);
    }
}


/* NGX_DECLINED: go on; else the reply has been sent */

static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
ngx_http_conduit_create_made(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating)
{
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    conduit_uuid_write(ctx->task_id, creating->create.id);
    ctx->named = 1;
    ngx_str_set(&ctx->task_status, "pending");

    if (creating->sync) {
        creating->kept = (creating->create.digest == NULL);
        return ngx_http_conduit_create_wait(r, creating);
    }

    if (ngx_http_conduit_wait_preferred(r)) {
        return ngx_http_conduit_create_wait(r, creating);
    }

    if (ngx_http_conduit_create_location(r, creating->create.id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_reply(r, NGX_HTTP_ACCEPTED,
                                  &creating->create.reply);
}


static ngx_int_t
ngx_http_conduit_create_replayed(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating)
{
    ngx_str_t                   id;
    ngx_http_conduit_ctx_t     *ctx;
    ngx_http_conduit_create_t  *create;

    static ngx_str_t  yes = ngx_string("true");

    ctx = ngx_http_conduit_ctx(r);
    create = &creating->create;

    conduit_uuid_write(ctx->task_id, create->id);
    ctx->named = 1;

    if (ngx_http_conduit_header(r, "Idempotency-Replayed", &yes) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (create->code == 0) {

        /* whoever waited for the end has gone: wait in its place */

        creating->kept = 0;

        return ngx_http_conduit_create_wait(r, creating);
    }

    if (creating->sync) {
        id.len = CONDUIT_UUID_LEN;
        id.data = ctx->task_id;

        if (ngx_http_conduit_header(r, "X-Conduit-Task-Id", &id) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else if (ngx_http_conduit_create_location(r, create->id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_reply(r, create->code, &create->reply);
}


ngx_int_t
ngx_http_conduit_create_refused(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_uint_t   status;
    const char  *code, *message;

    switch (rc) {

    case NGX_HTTP_CONDUIT_MISMATCH:
        return ngx_http_conduit_error(r, 422, "idempotency_mismatch", NULL,
                                      "The Idempotency-Key has been used with "
                                      "another request: use a new key");

    case NGX_HTTP_CONDUIT_IN_PROGRESS:
        status = NGX_HTTP_CONFLICT;
        code = "idempotency_in_progress";
        message = "The first request with this Idempotency-Key has not ended "
                  "yet: try again later";
        break;

    case NGX_HTTP_CONDUIT_LIMIT_KEY:
        status = NGX_HTTP_TOO_MANY_REQUESTS;
        code = "too_many_tasks";
        message = "The key has too many unfinished tasks: wait until some end";
        break;

    case NGX_HTTP_CONDUIT_LIMIT_TOTAL:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "too_many_tasks";
        message = "There are too many unfinished tasks: try again later";
        break;

    case NGX_HTTP_CONDUIT_QUEUE_FULL:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "queue_full";
        message = "The queue of the model's provider is full: try again later";
        break;

    case NGX_HTTP_CONDUIT_ZONE_FULL:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "zone_full";
        message = "The gateway's memory for tasks is full: try again later";
        break;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_conduit_retry_after(r, rc == NGX_HTTP_CONDUIT_IN_PROGRESS
                                        ? 1000 : NGX_HTTP_CONDUIT_FULL_RETRY)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_error(r, status, code, NULL, "%s", message);
}


/* NGX_DONE: the request goes on when the task has ended, or time is over */

static ngx_int_t
ngx_http_conduit_create_wait(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating)
{
    ngx_msec_t                ms;
    ngx_http_conduit_name_t   name;
    ngx_http_conduit_done_pt  done;

    ms = 0;
    done = ngx_http_conduit_create_ended;

    if (!creating->sync) {
        ms = ngx_http_conduit_wait_preferred(r);
        done = ngx_http_conduit_create_waited;

        if (ngx_http_conduit_wait_applied(r, ms) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    name.key = creating->create.key;
    name.kind = NGX_HTTP_CONDUIT_ANY;
    ngx_memcpy(name.id, creating->create.id, NGX_HTTP_CONDUIT_ID_LEN);

    if (ngx_http_conduit_wait(r, &name, ms, ngx_http_conduit_wait_ended, done)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


/* "Prefer: wait": the document if the task has ended, else as without it */

static void
ngx_http_conduit_create_waited(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired)
{
    ngx_int_t  rc;

    if (view == NULL) {
        rc = ngx_http_conduit_no_task(r);

    } else if (conduit_status_terminal(view->status)) {
        rc = ngx_http_conduit_status_send(r, view, NGX_HTTP_CONDUIT_WORDS);

    } else {
        rc = ngx_http_conduit_create_accepted(r, view, view->status);
    }

    ngx_http_finalize_request(r, rc);
}


/* the end of a synchronous create */

static void
ngx_http_conduit_create_ended(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired)
{
    ngx_int_t                      rc;
    ngx_str_t                      text, id;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_creating_t   *creating;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    creating = ctx->data;
    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (view == NULL) {
        rc = ngx_http_conduit_no_task(r);
        goto done;
    }

    ngx_http_conduit_status_note(r, view);

    id.len = CONDUIT_UUID_LEN;
    id.data = ctx->task_id;

    if (ngx_http_conduit_header(r, "X-Conduit-Task-Id", &id) != NGX_OK) {
        goto done;
    }

    if (view->status != CONDUIT_COMPLETED) {

        if (!creating->kept) {
            ngx_http_conduit_task_drop_reply(cdmcf, creating->digest);
            creating->kept = 1;
        }

        rc = ngx_http_conduit_create_failed(r, view);
        goto done;
    }

    if (ngx_http_conduit_document_result(view, r->pool, &text) != NGX_OK) {
        goto done;
    }

    if (!creating->kept) {
        ngx_http_conduit_task_keep_reply(cdmcf, creating->digest, NGX_HTTP_OK,
                                         &text);
        creating->kept = 1;
    }

    rc = ngx_http_conduit_reply(r, NGX_HTTP_OK, &text);

done:

    ngx_http_finalize_request(r, rc);
}


/* the engine has tried again as often as it makes sense: clients need not */

static ngx_int_t
ngx_http_conduit_create_failed(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view)
{
    json_t               *json;
    ngx_int_t             rc, status;
    const char           *message;
    const conduit_str_t  *word;

    status = conduit_error_http_status(view->error_code);

    if (ngx_http_conduit_failed(r, status) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = json_loadb((char *) view->document.data + view->error_off,
                      view->error_len, JSON_DECODE_ANY, NULL);

    message = json_string_value(json);
    word = conduit_error_word(view->error_code);

    rc = ngx_http_conduit_error(r, status, (const char *) word->data, NULL,
                                "%s",
                                message ? message : "The task has failed");
    json_decref(json);

    return rc;
}


/* the client has gone before the end: the task goes on without it */

static void
ngx_http_conduit_create_cleanup(void *data)
{
    ngx_http_conduit_creating_t  *creating = data;

    ngx_http_conduit_main_conf_t  *cdmcf;

    if (creating->kept) {
        return;
    }

    cdmcf = ngx_http_get_module_main_conf(creating->request,
                                          ngx_http_conduit_module);

    ngx_http_conduit_task_release_reply(cdmcf, creating->digest);
}


ngx_int_t
ngx_http_conduit_create_accepted(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t status)
{
    u_char                       *p, *doc, *progress, *end;
    u_char                        id[CONDUIT_UUID_LEN];
    ngx_str_t                     text;
    const conduit_str_t          *word;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    if (ngx_http_conduit_create_location(r, view->id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, 384 + cdlcf->prefix.len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* "status":"...","progress":N, and "model":...,"created_at":"..." */

    doc = view->document.data;
    word = conduit_status_word(view->status, CONDUIT_WORDS_PLAIN);

    progress = doc + view->status_off + word->len
               + sizeof("\",\"progress\":") - 1;

    for (end = progress; *end >= '0' && *end <= '9'; end++) { /* void */ }

    word = conduit_status_word(status, CONDUIT_WORDS_PLAIN);

    conduit_uuid_write(id, view->id);

    text.data = p;
    p = ngx_sprintf(p, "{\"task_id\":\"%*s\",\"taskId\":\"%*s\","
                    "\"status\":\"%*s\",\"created_at\":\"%*s\","
                    "\"check_status_url\":\"%V/%*s\",\"progress\":%*s,"
                    "\"queue_position\":",
                    (size_t) CONDUIT_UUID_LEN, id,
                    (size_t) CONDUIT_UUID_LEN, id,
                    word->len, word->data,
                    (size_t) CONDUIT_TIME_LEN,
                    doc + view->model_off + view->model_len
                    + sizeof(",\"created_at\":\"") - 1,
                    &cdlcf->prefix, (size_t) CONDUIT_UUID_LEN, id,
                    (size_t) (end - progress), progress);

    p = view->position ? ngx_sprintf(p, "%ui}", view->position)
                       : ngx_cpymem(p, "null}", 5);

    text.len = p - text.data;

    return ngx_http_conduit_reply(r, NGX_HTTP_ACCEPTED, &text);
}


static ngx_int_t
ngx_http_conduit_create_location(ngx_http_request_t *r, u_char *id)
{
    u_char                       *p;
    ngx_str_t                     value;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    value.len = cdlcf->prefix.len + 1 + CONDUIT_UUID_LEN;

    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(value.data, cdlcf->prefix.data, cdlcf->prefix.len);
    *p++ = '/';
    conduit_uuid_write(p, id);

    return ngx_http_conduit_header(r, "Location", &value);
}
