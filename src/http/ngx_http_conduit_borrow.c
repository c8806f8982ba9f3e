
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_report.h>


/* Reports of workers about tasks that other hosts have. */


static ngx_int_t ngx_http_conduit_borrow_ask(
    ngx_http_conduit_report_t *report);
static void ngx_http_conduit_borrow_followed(void *data, ngx_int_t rc);
static void ngx_http_conduit_borrow_told(void *data, ngx_int_t rc);
static void ngx_http_conduit_borrow_resume(ngx_http_conduit_report_t *report,
    ngx_int_t rc);


ngx_int_t
ngx_http_conduit_report_borrow(ngx_http_conduit_report_t *report)
{
    ngx_http_request_t  *r;

    r = report->request;

    report->waiter.handler = ngx_http_conduit_borrow_followed;
    report->waiter.data = report;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    switch (ngx_http_conduit_watch_fresh(report->cdmcf, report->id,
                                         &report->waiter))
    {

    case NGX_OK:
        return ngx_http_conduit_borrow_ask(report);

    case NGX_AGAIN:
        return NGX_DONE;

    default:
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT);
    }
}


static void
ngx_http_conduit_borrow_followed(void *data, ngx_int_t rc)
{
    ngx_http_conduit_report_t  *report = data;

    rc = (rc == NGX_OK)
         ? ngx_http_conduit_borrow_ask(report)
         : ngx_http_conduit_create_refused(report->request,
                                           NGX_HTTP_CONDUIT_UNKEPT);

    ngx_http_conduit_borrow_resume(report, rc);
}


static ngx_int_t
ngx_http_conduit_borrow_ask(ngx_http_conduit_report_t *report)
{
    ngx_http_conduit_ctx_t  *ctx;

    if (ngx_http_conduit_report_held(report) != NGX_AGAIN) {
        return ngx_http_conduit_report_go(report);
    }

    ctx = ngx_http_conduit_ctx(report->request);

    report->waiter.handler = ngx_http_conduit_borrow_told;

    return (ngx_http_conduit_watch_borrow(report->cdmcf, report->id, ctx->node,
                                          report->lease, &report->waiter)
            == NGX_AGAIN)
           ? NGX_DONE
           : ngx_http_conduit_create_refused(report->request,
                                             NGX_HTTP_CONDUIT_UNKEPT);
}


static void
ngx_http_conduit_borrow_told(void *data, ngx_int_t rc)
{
    ngx_http_conduit_report_t  *report = data;

    if (rc == NGX_ERROR) {
        rc = ngx_http_conduit_create_refused(report->request,
                                             NGX_HTTP_CONDUIT_UNKEPT);

    } else if (rc == NGX_DECLINED
               && ngx_http_conduit_report_held(report) == NGX_AGAIN)
    {
        rc = ngx_http_conduit_report_refused(report,
                                             NGX_HTTP_CONDUIT_LEASE_LOST);

    } else {
        rc = ngx_http_conduit_report_go(report);
    }

    ngx_http_conduit_borrow_resume(report, rc);
}


static void
ngx_http_conduit_borrow_resume(ngx_http_conduit_report_t *report,
    ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = report->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}
