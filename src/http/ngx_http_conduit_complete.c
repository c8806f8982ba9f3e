
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_report.h>
#include <ngx_http_conduit_media.h>


/*
 * A worker's results.  One in base64 becomes a file by a job of a thread;
 * meanwhile the request is blocked, so that it outlives a client that goes
 * away: the work has been done and counts.
 */


#define NGX_HTTP_CONDUIT_RESULTS_MAX  16
#define NGX_HTTP_CONDUIT_URL_MAX      8192


static ngx_int_t ngx_http_conduit_complete_result(
    ngx_http_conduit_report_t *report, ngx_uint_t i, json_t *element);
static ngx_uint_t ngx_http_conduit_complete_url(ngx_str_t *url);
static ngx_int_t ngx_http_conduit_complete_bad(
    ngx_http_conduit_report_t *report, ngx_uint_t i, const char *name,
    const char *text);
static ngx_int_t ngx_http_conduit_complete_store(
    ngx_http_conduit_report_t *report);
static ngx_int_t ngx_http_conduit_complete_inlined(
    ngx_http_conduit_report_t *report, ngx_uint_t *inlined);
static void ngx_http_conduit_complete_stored(
    ngx_http_conduit_media_job_t *job);
static ngx_int_t ngx_http_conduit_complete_keep(ngx_pool_t *pool,
    ngx_http_conduit_result_t *dst, ngx_http_conduit_result_t *src);
static void ngx_http_conduit_complete_resume(
    ngx_http_conduit_report_t *report);
static ngx_int_t ngx_http_conduit_complete_finish(
    ngx_http_conduit_report_t *report);
static ngx_int_t ngx_http_conduit_complete_told(
    ngx_http_conduit_report_t *report, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_failed_told(
    ngx_http_conduit_report_t *report, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_complete_failed(
    ngx_http_conduit_report_t *report, ngx_uint_t error);
static void ngx_http_conduit_complete_remove(
    ngx_http_conduit_report_t *report);


ngx_int_t
ngx_http_conduit_complete(ngx_http_conduit_report_t *report)
{
    json_t              *data;
    ngx_int_t            rc;
    ngx_uint_t           i, n;
    ngx_http_request_t  *r;

    r = report->request;

    data = json_object_get(report->json, "data");
    n = json_array_size(data);

    if (n == 0 || n > NGX_HTTP_CONDUIT_RESULTS_MAX) {
        return ngx_http_conduit_worker_bad(r, "data",
                                           "must be a list of 1 to 16"
                                           " results");
    }

    report->results = ngx_pcalloc(r->pool,
                                  n * sizeof(ngx_http_conduit_result_t));
    if (report->results == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    report->nresults = n;

    for (i = 0; i < n; i++) {
        rc = ngx_http_conduit_complete_result(report, i,
                                              json_array_get(data, i));
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    rc = ngx_http_conduit_complete_store(report);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_conduit_complete_finish(report);
}


static ngx_int_t
ngx_http_conduit_complete_result(ngx_http_conduit_report_t *report,
    ngx_uint_t i, json_t *element)
{
    json_t                     *url, *b64;
    const char                 *mime;
    ngx_http_conduit_result_t  *result;

    result = &report->results[i];

    url = ngx_http_conduit_worker_member(element, "url");
    b64 = ngx_http_conduit_worker_member(element, "b64_json");

    if ((url == NULL) == (b64 == NULL)) {
        return ngx_http_conduit_complete_bad(report, i, "",
                                             "must have either \"url\" or"
                                             " \"b64_json\"");
    }

    if (b64) {
        result->b64.data = (u_char *) json_string_value(b64);
        result->b64.len = json_string_length(b64);

        if (result->b64.len == 0) {
            return ngx_http_conduit_complete_bad(report, i, ".b64_json",
                                                 "must be a string of"
                                                 " base64");
        }

        return NGX_DECLINED;
    }

    result->url.data = (u_char *) json_string_value(url);
    result->url.len = json_string_length(url);

    if (!ngx_http_conduit_complete_url(&result->url)) {
        return ngx_http_conduit_complete_bad(report, i, ".url",
                                             "must be an http or https URL of"
                                             " at most 8192 bytes");
    }

    mime = conduit_media_url_type(result->url.data, result->url.len);

    if (mime) {
        result->mime.data = (u_char *) mime;
        result->mime.len = ngx_strlen(mime);
    }

    return NGX_DECLINED;
}


/* it is only handed on: what it leads to is not for us to judge */

static ngx_uint_t
ngx_http_conduit_complete_url(ngx_str_t *url)
{
    size_t      i, head;

    if (url->len > NGX_HTTP_CONDUIT_URL_MAX) {
        return 0;
    }

    if (url->len > 7 && ngx_strncasecmp(url->data, (u_char *) "http://", 7)
                        == 0)
    {
        head = 7;

    } else if (url->len > 8
               && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0)
    {
        head = 8;

    } else {
        return 0;
    }

    if (url->data[head] == '/' || url->data[head] == '?'
        || url->data[head] == '#')
    {
        return 0;
    }

    for (i = head; i < url->len; i++) {
        if (url->data[i] <= 0x20 || url->data[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_conduit_complete_bad(ngx_http_conduit_report_t *report,
    ngx_uint_t i, const char *name, const char *text)
{
    u_char  param[sizeof("data[].b64_json") + NGX_INT_T_LEN];

    *ngx_sprintf(param, "data[%ui]%s", i, name) = '\0';

    return ngx_http_conduit_worker_bad(report->request, (char *) param, text);
}


/* NGX_OK: there is nothing to be stored; NGX_DONE: jobs are under way */

static ngx_int_t
ngx_http_conduit_complete_store(ngx_http_conduit_report_t *report)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i, inlined;
    ngx_http_request_t            *r;
    ngx_http_conduit_media_job_t  *job;

    r = report->request;
    inlined = 0;

    for (i = 0; i < report->nresults; i++) {

        if (report->results[i].b64.len == 0) {
            continue;
        }

        if (report->pending == 0) {
            rc = ngx_http_conduit_complete_inlined(report, &inlined);

            if (rc != NGX_DECLINED) {
                return rc;
            }
        }

        job = ngx_http_conduit_media_job(report->cdmcf);

        if (job) {
            job->type = NGX_HTTP_CONDUIT_MEDIA_BASE64;
            job->input = report->results[i].b64;
            job->inlined |= (inlined != 0);
            job->handler = ngx_http_conduit_complete_stored;
            job->data = &report->results[i];
            job->owner = report;
        }

        if (job == NULL || ngx_http_conduit_media_post(job) != NGX_OK) {

            if (report->pending == 0) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            report->error = CONDUIT_ERR_INTERNAL_ERROR;
            break;
        }

        if (report->pending++ == 0) {
            r->main->blocked++;
            r->aio = 1;
        }
    }

    return report->pending ? NGX_DONE : NGX_OK;
}


/*
 * Whether the client wants base64 and not a file.  The lease is renewed: what
 * comes now takes time, and none of it is the worker's.
 */

static ngx_int_t
ngx_http_conduit_complete_inlined(ngx_http_conduit_report_t *report,
    ngx_uint_t *inlined)
{
    json_t                     *json;
    ngx_int_t                   rc;
    const char                 *format;
    ngx_http_conduit_work_t     work;
    ngx_http_conduit_change_t  *change;

    ngx_http_conduit_report_event(report, CONDUIT_EV_PROGRESS);

    change = &report->change;
    ngx_memcpy(change->name.id, report->id, NGX_HTTP_CONDUIT_ID_LEN);

    change->name.kind = NGX_HTTP_CONDUIT_ANY;
    change->lease = report->lease;
    change->quiet = 1;
    change->step = NGX_HTTP_CONDUIT_STEP_LEASED;
    change->after = report->provider->lease;

    rc = ngx_http_conduit_task_advance(report->cdmcf, change, NULL, NULL);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return ngx_http_conduit_report_refused(report, rc);
    }

    if (ngx_http_conduit_task_leased(report->cdmcf, report->id, report->lease,
                                     report->request->pool, &work)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = json_loadb((char *) work.request.data, work.request.len, 0, NULL);
    format = json_string_value(json_object_get(json, "response_format"));

    *inlined = (format && ngx_strcmp(format, "b64_json") == 0);

    json_decref(json);

    return NGX_DECLINED;
}


static void
ngx_http_conduit_complete_stored(ngx_http_conduit_media_job_t *job)
{
    ngx_uint_t                  error;
    ngx_http_conduit_report_t  *report;
    ngx_http_conduit_result_t  *result;

    report = job->owner;
    result = job->data;
    error = job->error;

    result->b64.len = 0;

    if (error == CONDUIT_ERR_NONE
        && ngx_http_conduit_complete_keep(report->request->pool, result,
                                          &job->result)
           != NGX_OK)
    {
        error = CONDUIT_ERR_INTERNAL_ERROR;
        job->discard = 1;
    }

    if (report->error == CONDUIT_ERR_NONE) {
        report->error = error;
        report->bad = result - report->results;
    }

    if (--report->pending == 0) {
        ngx_http_conduit_complete_resume(report);
    }
}


/* out of the job, which ends now; base64 stays where the body was parsed */

static ngx_int_t
ngx_http_conduit_complete_keep(ngx_pool_t *pool,
    ngx_http_conduit_result_t *dst, ngx_http_conduit_result_t *src)
{
    *dst = *src;

    if (src->url.len == 0) {
        return NGX_OK;
    }

    dst->url.data = ngx_pstrdup(pool, &src->url);
    if (dst->url.data == NULL) {
        dst->url.len = 0;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_conduit_complete_resume(ngx_http_conduit_report_t *report)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = report->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;
    r->aio = 0;

    rc = ngx_http_conduit_complete_finish(report);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, (c->error || c->close) ? NGX_ERROR : rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_conduit_complete_finish(ngx_http_conduit_report_t *report)
{
    switch (report->error) {

    case CONDUIT_ERR_NONE:
        break;

    case CONDUIT_ERR_PROVIDER_ERROR:
        ngx_http_conduit_complete_remove(report);

        return ngx_http_conduit_complete_bad(report, report->bad,
                                             ".b64_json",
                                             "must be a string of base64");

    case CONDUIT_ERR_RESULT_TOO_LARGE:
        ngx_http_conduit_complete_remove(report);

        return ngx_http_conduit_complete_failed(report, report->error);

    default:
        ngx_http_conduit_complete_remove(report);

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_conduit_report_event(report, CONDUIT_EV_COMPLETE);

    report->change.results = report->results;
    report->change.nresults = report->nresults;

    return ngx_http_conduit_report_change(report,
                                          ngx_http_conduit_complete_told);
}


static ngx_int_t
ngx_http_conduit_complete_told(ngx_http_conduit_report_t *report, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        report->status = CONDUIT_COMPLETED;
        return ngx_http_conduit_report_status(report);
    }

    ngx_http_conduit_complete_remove(report);

    if (rc == NGX_ERROR) {

        /* no room for it, and there would be none for its repetition */

        return ngx_http_conduit_complete_failed(report,
                                                CONDUIT_ERR_RESULT_TOO_LARGE);
    }

    return ngx_http_conduit_report_refused(report, rc);
}


static ngx_int_t
ngx_http_conduit_complete_failed(ngx_http_conduit_report_t *report,
    ngx_uint_t error)
{
    ngx_http_conduit_report_event(report, CONDUIT_EV_FAIL);

    report->change.error_code = error;

    return ngx_http_conduit_report_change(report,
                                          ngx_http_conduit_failed_told);
}


static ngx_int_t
ngx_http_conduit_failed_told(ngx_http_conduit_report_t *report, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        return ngx_http_conduit_report_refused(report, rc);
    }

    report->status = CONDUIT_FAILED;

    return ngx_http_conduit_report_status(report);
}


/* files that were made for nobody */

static void
ngx_http_conduit_complete_remove(ngx_http_conduit_report_t *report)
{
    ngx_uint_t                  i;
    ngx_http_conduit_result_t  *result;

    for (i = 0; i < report->nresults; i++) {
        result = &report->results[i];

        if (result->expires) {
            ngx_http_conduit_media_remove(report->cdmcf, &result->url);
        }
    }
}
