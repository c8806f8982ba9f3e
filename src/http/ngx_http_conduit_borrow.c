
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_report.h>


/* Reports of workers about tasks that other hosts have. */


/* how long another host may take to give a task, ms */

#define NGX_HTTP_CONDUIT_BORROW_WAIT  1500


static ngx_int_t ngx_http_conduit_borrow_ask(
    ngx_http_conduit_report_t *report);
static void ngx_http_conduit_borrow_followed(void *data, ngx_int_t rc);
static void ngx_http_conduit_borrow_watcher(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_borrow_timer(ngx_event_t *ev);
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


/* watched first: it may come at once */

static ngx_int_t
ngx_http_conduit_borrow_ask(ngx_http_conduit_report_t *report)
{
    ngx_event_t                  *ev;
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_watcher_t   *watcher;

    if (ngx_http_conduit_report_held(report) != NGX_AGAIN) {
        return ngx_http_conduit_report_go(report);
    }

    watcher = &report->watcher;

    ngx_memcpy(watcher->id, report->id, NGX_HTTP_CONDUIT_ID_LEN);
    watcher->handler = ngx_http_conduit_borrow_watcher;
    watcher->data = report;

    if (ngx_http_conduit_watch_add(report->cdmcf, watcher) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ev = &report->timer;

    ev->handler = ngx_http_conduit_borrow_timer;
    ev->data = report->request->connection;
    ev->log = report->request->connection->log;

    ngx_add_timer(ev, NGX_HTTP_CONDUIT_BORROW_WAIT);

    ctx = ngx_http_conduit_ctx(report->request);

    ngx_http_conduit_watch_borrow(report->cdmcf, report->id, ctx->node,
                                  report->lease);
    return NGX_DONE;
}


static void
ngx_http_conduit_borrow_watcher(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_report_t  *report = w->data;

    if (ngx_http_conduit_report_held(report) == NGX_AGAIN) {
        return;
    }

    ngx_http_conduit_report_leave(report);

    ngx_http_conduit_borrow_resume(report,
                                   ngx_http_conduit_report_go(report));
}


static void
ngx_http_conduit_borrow_timer(ngx_event_t *ev)
{
    ngx_http_conduit_report_t  *report;

    report = (ngx_http_conduit_report_t *)
                 ((u_char *) ev - offsetof(ngx_http_conduit_report_t, timer));

    ngx_http_conduit_report_leave(report);

    ngx_http_conduit_borrow_resume(report,
                                   ngx_http_conduit_report_go(report));
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


void
ngx_http_conduit_report_leave(ngx_http_conduit_report_t *report)
{
    ngx_http_conduit_watch_leave(&report->waiter);

    if (report->watcher.added) {
        ngx_http_conduit_watch_del(report->cdmcf, &report->watcher);
    }

    if (report->timer.timer_set) {
        ngx_del_timer(&report->timer);
    }
}
