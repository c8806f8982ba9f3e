
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_report.h>
#include <ngx_http_conduit_create.h>
#include <conduit_provider.h>


/* What a worker says about its task: progress, or a failure. */


#define NGX_HTTP_CONDUIT_TEXT_MAX      500         /* code points */
#define NGX_HTTP_CONDUIT_ESTIMATE_MAX  31536000    /* seconds */


static void ngx_http_conduit_report_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_report(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_report_told(ngx_http_conduit_report_t *report,
    ngx_http_conduit_told_pt told, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_report_tell(
    ngx_http_conduit_report_t *report, ngx_int_t rc);
static void ngx_http_conduit_report_resume(void *data, ngx_int_t rc);
static void ngx_http_conduit_report_cleanup(void *data);
static ngx_int_t ngx_http_conduit_report_lease(
    ngx_http_conduit_report_t *report);
static ngx_int_t ngx_http_conduit_report_text(
    ngx_http_conduit_report_t *report, const char *name, ngx_str_t *text);
static ngx_int_t ngx_http_conduit_progress(ngx_http_conduit_report_t *report);
static ngx_int_t ngx_http_conduit_progress_told(
    ngx_http_conduit_report_t *report, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_fail(ngx_http_conduit_report_t *report);
static ngx_int_t ngx_http_conduit_fail_told(
    ngx_http_conduit_report_t *report, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_fail_change(
    ngx_http_conduit_report_t *report, ngx_uint_t code, ngx_uint_t retryable);


ngx_int_t
ngx_http_conduit_report_serve(ngx_http_request_t *r, u_char *id,
    ngx_http_conduit_report_e verb)
{
    ngx_http_cleanup_t         *cln;
    ngx_http_conduit_ctx_t     *ctx;
    ngx_http_conduit_report_t  *report;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_conduit_report_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    report = cln->data;
    ngx_memzero(report, sizeof(ngx_http_conduit_report_t));

    cln->handler = ngx_http_conduit_report_cleanup;

    report->request = r;
    report->outcome.handler = ngx_http_conduit_report_resume;
    report->outcome.data = report;
    report->cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    report->verb = verb;
    ngx_memcpy(report->id, id, NGX_HTTP_CONDUIT_ID_LEN);

    ctx = ngx_http_conduit_ctx(r);
    ctx->data = report;

    return ngx_http_conduit_read_body(r, ngx_http_conduit_report_body);
}


static void
ngx_http_conduit_report_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t  rc;

    rc = ngx_http_conduit_report(r, body);

    /* NGX_DONE: the request waits for jobs, with the reference of the body */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_conduit_report(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t                   rc;
    ngx_http_conduit_ctx_t     *ctx;
    ngx_http_conduit_report_t  *report;

    ctx = ngx_http_conduit_ctx(r);
    report = ctx->data;

    rc = ngx_http_conduit_worker_json(r, body, &report->json);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_conduit_report_lease(report);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_conduit_report_held(report);

    if ((rc == NGX_DECLINED || rc == NGX_AGAIN)
        && ngx_http_conduit_watch_shared(report->cdmcf))
    {
        return ngx_http_conduit_report_borrow(report);
    }

    return ngx_http_conduit_report_go(report);
}


ngx_int_t
ngx_http_conduit_report_go(ngx_http_conduit_report_t *report)
{
    ngx_int_t  rc;

    rc = ngx_http_conduit_report_held(report);

    if (rc == NGX_AGAIN) {

        /* it was here and has gone on to another host */

        return ngx_http_conduit_report_borrow(report);
    }

    if (rc != NGX_OK) {
        return ngx_http_conduit_report_refused(report, rc);
    }

    switch (report->verb) {

    case NGX_HTTP_CONDUIT_REPORT_PROGRESS:
        return ngx_http_conduit_progress(report);

    case NGX_HTTP_CONDUIT_REPORT_COMPLETE:
        return ngx_http_conduit_complete(report);

    default:
        return ngx_http_conduit_fail(report);
    }
}


/* an opaque string for clients; one that we did not make is never current */

static ngx_int_t
ngx_http_conduit_report_lease(ngx_http_conduit_report_t *report)
{
    json_t      *value;
    uint64_t     lease;
    const char  *p;

    value = ngx_http_conduit_worker_member(report->json, "lease_id");

    if (value == NULL) {
        return NGX_DECLINED;
    }

    if (!json_is_string(value)) {
        return ngx_http_conduit_worker_bad(report->request, "lease_id",
                                           "must be the string that the claim"
                                           " has returned");
    }

    lease = 0;

    for (p = json_string_value(value); *p; p++) {

        if (*p < '0' || *p > '9' || lease > (uint64_t) 1 << 59) {
            lease = 0;
            break;
        }

        lease = lease * 10 + (*p - '0');
    }

    report->lease = lease ? lease : (uint64_t) -1;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_conduit_report_held(ngx_http_conduit_report_t *report)
{
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(report->request);

    return ngx_http_conduit_task_held(report->cdmcf, ctx->node, report->id,
                                      &report->lease, &report->status,
                                      &report->attempts, &report->provider);
}


void
ngx_http_conduit_report_event(ngx_http_conduit_report_t *report,
    conduit_event_e event)
{
    ngx_http_conduit_change_init(&report->change);

    report->change.event = event;
}


ngx_int_t
ngx_http_conduit_report_change(ngx_http_conduit_report_t *report,
    ngx_http_conduit_told_pt told)
{
    ngx_int_t                   rc;
    ngx_http_conduit_change_t  *change;

    change = &report->change;

    ngx_memcpy(change->name.id, report->id, NGX_HTTP_CONDUIT_ID_LEN);

    change->name.kind = NGX_HTTP_CONDUIT_ANY;
    change->lease = report->lease;
    change->once = 1;
    change->outcome = &report->outcome;

    rc = ngx_http_conduit_task_advance(report->cdmcf, change, NULL, NULL);

    return ngx_http_conduit_report_told(report, told, rc);
}


/* of a change that has been given to the one door */

static ngx_int_t
ngx_http_conduit_report_told(ngx_http_conduit_report_t *report,
    ngx_http_conduit_told_pt told, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    report->told = told;

    if (rc != NGX_AGAIN) {
        return ngx_http_conduit_report_tell(report, rc);
    }

    r = report->request;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_conduit_report_tell(ngx_http_conduit_report_t *report, ngx_int_t rc)
{
    /* the lease has just gone to another host, with the task */

    if (rc == NGX_HTTP_CONDUIT_LEASE_LOST
        && ngx_http_conduit_report_held(report) == NGX_AGAIN)
    {
        rc = NGX_HTTP_CONDUIT_UNKEPT;
    }

    return report->told(report, rc);
}


static void
ngx_http_conduit_report_resume(void *data, ngx_int_t rc)
{
    ngx_http_conduit_report_t  *report = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = report->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_conduit_report_tell(report, rc);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_report_cleanup(void *data)
{
    ngx_http_conduit_report_t  *report = data;

    ngx_http_conduit_outcome_detach(&report->outcome);
    ngx_http_conduit_watch_leave(&report->waiter);
}


ngx_int_t
ngx_http_conduit_report_refused(ngx_http_conduit_report_t *report,
    ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = report->request;

    switch (rc) {

    case NGX_DECLINED:
        return ngx_http_conduit_no_task(r);

    case NGX_HTTP_CONDUIT_FINAL:
    case NGX_HTTP_CONDUIT_LEASE_LOST:
        break;

    case NGX_HTTP_CONDUIT_UNKEPT:
        return ngx_http_conduit_create_refused(r, rc);

    default:
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_ZONE_FULL);
    }

    /* the status of a task that ended just now is not known yet */

    if (rc == NGX_HTTP_CONDUIT_FINAL
        && !conduit_status_terminal(report->status))
    {
        (void) ngx_http_conduit_report_held(report);
    }

    if (rc == NGX_HTTP_CONDUIT_FINAL
        && report->verb == NGX_HTTP_CONDUIT_REPORT_PROGRESS
        && report->status == CONDUIT_CANCELLED)
    {
        return ngx_http_conduit_report_status(report);
    }

    if (ngx_http_conduit_no_retry(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_HTTP_CONDUIT_FINAL) {
        return ngx_http_conduit_error(r, NGX_HTTP_CONFLICT, "task_terminal",
                                      NULL, "The task has ended: stop working"
                                      " on it and claim another.");
    }

    return ngx_http_conduit_error(r, NGX_HTTP_CONFLICT, "lease_lost", NULL,
                                  "This worker does not hold the task, or its"
                                  " lease has run out: stop working on it and"
                                  " claim another.");
}


ngx_int_t
ngx_http_conduit_report_status(ngx_http_conduit_report_t *report)
{
    ngx_str_t                text;
    ngx_http_request_t      *r;
    const conduit_str_t     *word;
    ngx_http_conduit_ctx_t  *ctx;

    r = report->request;
    word = conduit_status_word(report->status, CONDUIT_WORDS_PLAIN);

    ctx = ngx_http_conduit_ctx(r);
    ctx->task_status.len = word->len;
    ctx->task_status.data = word->data;

    text.data = ngx_pnalloc(r->pool, sizeof("{\"status\":\"\"}") + word->len);
    if (text.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.len = ngx_sprintf(text.data, "{\"status\":\"%*s\"}", word->len,
                           word->data)
               - text.data;

    return ngx_http_conduit_reply(r, NGX_HTTP_OK, &text);
}


/* an optional text of any length, of which the beginning is kept */

static ngx_int_t
ngx_http_conduit_report_text(ngx_http_conduit_report_t *report,
    const char *name, ngx_str_t *text)
{
    u_char  *p, *last;
    json_t  *value;
    size_t   n;

    ngx_str_null(text);

    value = ngx_http_conduit_worker_member(report->json, name);

    if (value == NULL) {
        return NGX_DECLINED;
    }

    if (!json_is_string(value)) {
        return ngx_http_conduit_worker_bad(report->request, name,
                                           "must be a string");
    }

    text->data = (u_char *) json_string_value(value);

    last = text->data + json_string_length(value);
    n = 0;

    for (p = text->data; p < last; p++) {

        if ((*p & 0xc0) != 0x80 && n++ == NGX_HTTP_CONDUIT_TEXT_MAX) {
            break;
        }
    }

    text->len = p - text->data;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_progress(ngx_http_conduit_report_t *report)
{
    json_t                     *value;
    ngx_int_t                   rc;
    json_int_t                  n;
    ngx_http_conduit_change_t  *change;

    ngx_http_conduit_report_event(report, CONDUIT_EV_PROGRESS);

    change = &report->change;

    value = json_object_get(report->json, "progress");
    n = json_integer_value(value);

    if (!json_is_integer(value) || n < 0 || n > 100) {
        return ngx_http_conduit_worker_bad(report->request, "progress",
                                           "must be a whole number from 0 to"
                                           " 100");
    }

    change->progress = (ngx_int_t) n;

    value = ngx_http_conduit_worker_member(report->json,
                                           "estimated_seconds_remaining");

    if (value) {
        n = json_integer_value(value);

        if (!json_is_integer(value) || n < 0
            || n > NGX_HTTP_CONDUIT_ESTIMATE_MAX)
        {
            return ngx_http_conduit_worker_bad(report->request,
                                               "estimated_seconds_remaining",
                                               "must be a whole number of"
                                               " seconds within a year");
        }

        change->eta = (ngx_int_t) n;
    }

    rc = ngx_http_conduit_report_text(report, "message", &change->message);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    change->step = NGX_HTTP_CONDUIT_STEP_LEASED;
    change->after = report->provider->lease;

    return ngx_http_conduit_report_change(report,
                                          ngx_http_conduit_progress_told);
}


static ngx_int_t
ngx_http_conduit_progress_told(ngx_http_conduit_report_t *report, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        return ngx_http_conduit_report_refused(report, rc);
    }

    report->status = CONDUIT_PROCESSING;

    return ngx_http_conduit_report_status(report);
}


static ngx_int_t
ngx_http_conduit_fail(ngx_http_conduit_report_t *report)
{
    json_t                *retryable;
    ngx_int_t              rc;
    ngx_str_t              word;
    conduit_error_code_e   code;

    ngx_http_conduit_report_event(report, CONDUIT_EV_FAIL);

    rc = ngx_http_conduit_report_text(report, "error",
                                      &report->change.error);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_conduit_report_text(report, "error_code", &word);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    retryable = ngx_http_conduit_worker_member(report->json, "retryable");

    if (retryable && !json_is_boolean(retryable)) {
        return ngx_http_conduit_worker_bad(report->request, "retryable",
                                           "must be true or false");
    }

    if (conduit_error_parse(word.data, word.len, &code) != CONDUIT_OK) {
        code = CONDUIT_ERR_PROVIDER_ERROR;
    }

    return ngx_http_conduit_fail_change(report, code,
                                        json_is_true(retryable));
}


static ngx_int_t
ngx_http_conduit_fail_told(ngx_http_conduit_report_t *report, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        return ngx_http_conduit_report_refused(report, rc);
    }

    /* waiting for the next try, or failed because there is none left */

    (void) ngx_http_conduit_report_held(report);

    return ngx_http_conduit_report_status(report);
}


/* to another model, or back to the queue after a while, or the end */

static ngx_int_t
ngx_http_conduit_fail_change(ngx_http_conduit_report_t *report,
    ngx_uint_t code, ngx_uint_t retryable)
{
    ngx_int_t                   rc;
    ngx_http_conduit_change_t  *change;

    rc = ngx_http_conduit_task_fallback(report->cdmcf, report->id,
                                        report->lease, code, retryable,
                                        &report->outcome);

    if (rc != NGX_DECLINED) {
        return ngx_http_conduit_report_told(report, ngx_http_conduit_fail_told,
                                            rc);
    }

    change = &report->change;
    change->error_code = code;

    if (retryable) {
        change->event = CONDUIT_EV_REQUEUE;
        change->attempt = 1;
        change->step = NGX_HTTP_CONDUIT_STEP_BACKOFF;
        change->after = conduit_provider_backoff(report->attempts + 1,
                                                 (uint32_t) ngx_random(), -1);
    }

    return ngx_http_conduit_report_change(report, ngx_http_conduit_fail_told);
}
