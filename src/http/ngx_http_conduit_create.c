
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_creating.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_wait.h>
#include <conduit_request.h>
#include <conduit_time.h>
#include <jansson.h>


static void ngx_http_conduit_create_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_create_task(ngx_http_request_t *r,
    ngx_str_t *body);
static void ngx_http_conduit_create_resume(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_create_answer(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_create_made(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static ngx_int_t ngx_http_conduit_create_replayed(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static ngx_int_t ngx_http_conduit_create_follow(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static void ngx_http_conduit_create_followed(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_create_wait(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static void ngx_http_conduit_create_waited(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired);
static void ngx_http_conduit_create_ended(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view, ngx_uint_t expired);
static ngx_int_t ngx_http_conduit_create_settle(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
static void ngx_http_conduit_create_settled(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_create_tell(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating);
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

    creating->outcome.handler = ngx_http_conduit_create_resume;
    creating->outcome.data = creating;
    creating->create.outcome = &creating->outcome;

    rc = ngx_http_conduit_task_create(cdmcf, &creating->create);

    if (rc == NGX_AGAIN) {

        /* the client is answered when the store has the task */

        r->read_event_handler = ngx_http_block_reading;
        r->write_event_handler = ngx_http_request_empty_handler;

        return NGX_DONE;
    }

    return ngx_http_conduit_create_answer(r, creating, rc);
}


static void
ngx_http_conduit_create_resume(void *data, ngx_int_t rc)
{
    ngx_http_conduit_creating_t  *creating = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = creating->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_conduit_create_answer(r, creating, rc);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_conduit_create_answer(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating, ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return ngx_http_conduit_create_made(r, creating);

    case NGX_HTTP_CONDUIT_REPLAY:
        return ngx_http_conduit_create_replayed(r, creating);

    default:
        return ngx_http_conduit_create_refused(r, rc);
    }
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

        return ngx_http_conduit_create_follow(r, creating);
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


/* the task may be another host's */

static ngx_int_t
ngx_http_conduit_create_follow(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    creating->waiter.handler = ngx_http_conduit_create_followed;
    creating->waiter.data = creating;

    switch (ngx_http_conduit_watch_fresh(cdmcf, creating->create.id,
                                         &creating->waiter))
    {

    case NGX_OK:
        return ngx_http_conduit_create_wait(r, creating);

    case NGX_AGAIN:
        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;

        return NGX_DONE;

    default:
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT);
    }
}


static void
ngx_http_conduit_create_followed(void *data, ngx_int_t rc)
{
    ngx_http_conduit_creating_t  *creating = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = creating->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = (rc == NGX_OK)
         ? ngx_http_conduit_create_wait(r, creating)
         : ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
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
    ngx_int_t                     rc;
    ngx_str_t                     id;
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_creating_t  *creating;

    ctx = ngx_http_conduit_ctx(r);
    creating = ctx->data;

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

    if (view->status == CONDUIT_COMPLETED
        && ngx_http_conduit_document_result(view, r->pool, &creating->reply)
           != NGX_OK)
    {
        goto done;
    }

    creating->view = *view;

    /* repeated at another host, the request is to be answered the same */

    if (ngx_http_conduit_create_settle(r, creating) == NGX_AGAIN) {
        return;
    }

    rc = ngx_http_conduit_create_tell(r, creating);

done:

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_conduit_create_settle(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    if (creating->kept) {
        return NGX_OK;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    creating->kept = 1;
    creating->outcome.handler = ngx_http_conduit_create_settled;

    return (creating->view.status == CONDUIT_COMPLETED)
           ? ngx_http_conduit_task_keep_reply(cdmcf, creating->digest,
                                              NGX_HTTP_OK, &creating->reply,
                                              &creating->outcome)
           : ngx_http_conduit_task_drop_reply(cdmcf, creating->digest,
                                              &creating->outcome);
}


static void
ngx_http_conduit_create_settled(void *data, ngx_int_t rc)
{
    ngx_http_conduit_creating_t  *creating = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = creating->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, ngx_http_conduit_create_tell(r, creating));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_conduit_create_tell(ngx_http_request_t *r,
    ngx_http_conduit_creating_t *creating)
{
    return (creating->view.status == CONDUIT_COMPLETED)
           ? ngx_http_conduit_reply(r, NGX_HTTP_OK, &creating->reply)
           : ngx_http_conduit_create_failed(r, &creating->view);
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

    ngx_http_conduit_outcome_detach(&creating->outcome);
    ngx_http_conduit_watch_leave(&creating->waiter);

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
