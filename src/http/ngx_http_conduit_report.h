
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_REPORT_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_REPORT_H_INCLUDED_


#include <ngx_http_conduit_worker.h>
#include <ngx_http_conduit_watch.h>


/* a worker's word on a task: what its three endpoints share */


typedef struct ngx_http_conduit_report_s  ngx_http_conduit_report_t;

/* what to finalize with, or NGX_DONE, when the change has been made or not */

typedef ngx_int_t (*ngx_http_conduit_told_pt)(
    ngx_http_conduit_report_t *report, ngx_int_t rc);


struct ngx_http_conduit_report_s {
    ngx_http_request_t               *request;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_report_e         verb;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    json_t                           *json;
    uint64_t                          lease;       /* 0: the worker's key */
    ngx_uint_t                        status;      /* of the task */
    ngx_uint_t                        attempts;
    ngx_http_conduit_provider_t      *provider;
    ngx_http_conduit_change_t         change;
    ngx_http_conduit_outcome_t        outcome;
    ngx_http_conduit_told_pt          told;        /* while it is awaited */

    /* while the task is another host's */

    ngx_http_conduit_waiter_t         waiter;

    /* of a complete */

    ngx_http_conduit_result_t        *results;
    ngx_uint_t                        nresults;
    ngx_uint_t                        pending;     /* jobs */
    ngx_uint_t                        error;       /* of a job */
    ngx_uint_t                        bad;         /* its result */
};


/*
 * All but event() return what to finalize with, or NGX_DONE: the request goes
 * on later.
 */

/* begins to serve it, when the task is one of this host */
ngx_int_t ngx_http_conduit_report_go(ngx_http_conduit_report_t *report);

/* does the key hold the lease?  see task_held() */
ngx_int_t ngx_http_conduit_report_held(ngx_http_conduit_report_t *report);

/* the task is not there: asks other hosts for it, and goes on */
ngx_int_t ngx_http_conduit_report_borrow(ngx_http_conduit_report_t *report);

/* applies report->change by its lease; told() gets what comes of it */
ngx_int_t ngx_http_conduit_report_change(ngx_http_conduit_report_t *report,
    ngx_http_conduit_told_pt told);

/* prepares it: an event that leaves everything else as it is */
void ngx_http_conduit_report_event(ngx_http_conduit_report_t *report,
    conduit_event_e event);

/* replies with the status of the task */
ngx_int_t ngx_http_conduit_report_status(ngx_http_conduit_report_t *report);

/* rc is not NGX_OK: the reply for what report_change() has returned */
ngx_int_t ngx_http_conduit_report_refused(ngx_http_conduit_report_t *report,
    ngx_int_t rc);

ngx_int_t ngx_http_conduit_complete(ngx_http_conduit_report_t *report);


#endif /* _NGX_HTTP_CONDUIT_REPORT_H_INCLUDED_ */
