
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_REPORT_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_REPORT_H_INCLUDED_


#include <ngx_http_conduit_worker.h>


/* a worker's word on a task: what its three endpoints share */


typedef struct {
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

    /* of a complete */

    ngx_http_conduit_result_t        *results;
    ngx_uint_t                        nresults;
    ngx_uint_t                        pending;     /* jobs */
    ngx_uint_t                        error;       /* of a job */
    ngx_uint_t                        bad;         /* its result */
} ngx_http_conduit_report_t;


/*
 * All but the first two return what to finalize with.  complete() may also
 * return NGX_DONE: the request goes on later.
 */

/* applies report->change by its lease; returns as task_advance() */
ngx_int_t ngx_http_conduit_report_change(ngx_http_conduit_report_t *report);

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
