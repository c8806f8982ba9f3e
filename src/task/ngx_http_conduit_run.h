
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_RUN_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_RUN_H_INCLUDED_


#include <ngx_conduit_curl.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_media.h>
#include <conduit_provider.h>


/*
 * The performance of one claimed step at a described provider.  It lives in
 * the pool of its work and ends with a change that carries the lease, or is
 * stopped because the lease is no longer current.
 *
 * What has to outlive a step is in "state", a JSON object that the change
 * writes back to the zone:
 *
 *     taken      object of strings that replies have given
 *     submitted  when the submit was accepted, ms since the epoch
 *     polls      replies to polls so far
 *     holds      polls in a row that brought nothing
 *     unread     polls in a row that could not be read
 *     lost       fetches and downloads that failed
 *     calls      cancel calls that failed
 *     last       conduit_state_e of the last reply
 *     key        what tells this run's idempotency key from the first one's
 */


typedef struct ngx_http_conduit_run_s  ngx_http_conduit_run_t;

typedef void (*ngx_http_conduit_run_pt)(ngx_http_conduit_run_t *run);


struct ngx_http_conduit_run_s {
    ngx_queue_t                       queue;       /* engine->runs */
    ngx_http_conduit_work_t          *work;
    conduit_provider_t               *description;
    conduit_pool_t                    pool;        /* work->pool, for proto */

    json_t                           *state;
    conduit_job_t                     job;
    conduit_step_e                    step;        /* the call under way */
    conduit_call_t                    call;
    conduit_verdict_t                 verdict;

    ngx_conduit_transfer_t           *transfer;
    ngx_conduit_transfer_t           *side;        /* beside a sync submit */
    ngx_event_t                       timer;       /* of progress beside it, */
                                                   /* or of a full zone */
    ngx_http_conduit_change_t         change;      /* the last of the step */
    ngx_http_conduit_outcome_t        outcome;     /* of it */
    int64_t                           begun;       /* by the shared clock */
    ngx_uint_t                        hops;        /* redirects left */

    ngx_http_conduit_media_file_t    *file;        /* download under way */
    ngx_http_conduit_media_job_t     *media;       /* a job in a thread */
    ngx_http_conduit_result_t        *results;
    ngx_uint_t                        nresults;
    ngx_uint_t                        index;       /* being made */

    unsigned                          inlined:1;   /* wants base64 */
    unsigned                          calling_off:1;   /* without a lease */
    unsigned                          copying:1;   /* of a URL result */
    unsigned                          gone:1;      /* to be destroyed when */
                                                   /* the thread is done */
};


/* calls; handler() gets the verdict in run->verdict */

void ngx_http_conduit_run_call(ngx_http_conduit_run_t *run,
    conduit_step_e step);

/* what becomes of a reply, by step; called by run_call() */

void ngx_http_conduit_run_replied(ngx_http_conduit_run_t *run);

/* a transfer with the settings of the provider, or NULL */

ngx_conduit_transfer_t *ngx_http_conduit_run_transfer(
    ngx_http_conduit_run_t *run, conduit_call_t *call);

/* the reply of a transfer, for the descriptions */

void ngx_http_conduit_run_reply(ngx_conduit_transfer_t *t,
    conduit_reply_t *reply);


/* turns the verdict's results into the task's, then ends the run */

void ngx_http_conduit_run_results(ngx_http_conduit_run_t *run);
void ngx_http_conduit_run_download(ngx_http_conduit_run_t *run);

/* stops what is under way for results; 0: a thread has it, wait */

ngx_uint_t ngx_http_conduit_run_results_stop(ngx_http_conduit_run_t *run);


/* tells progress while the submit is under way, if the description says how */

void ngx_http_conduit_run_beside(ngx_http_conduit_run_t *run);


/* a number of the state, after adding to it */

json_int_t ngx_http_conduit_run_count(ngx_http_conduit_run_t *run,
    const char *name, ngx_int_t add);

/* a change of this run's task; applied with the state, next() ends the run */

void ngx_http_conduit_run_change(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change, conduit_event_e event);
ngx_int_t ngx_http_conduit_run_apply(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change);
void ngx_http_conduit_run_next(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change);

/* the task has ended otherwise: the provider is told, nobody waits for it */

void ngx_http_conduit_run_off(ngx_http_conduit_run_t *run);
void ngx_http_conduit_run_cancelled(ngx_http_conduit_run_t *run);


/* ends: each applies a change and destroys the run */

void ngx_http_conduit_run_complete(ngx_http_conduit_run_t *run);
void ngx_http_conduit_run_fail(ngx_http_conduit_run_t *run,
    ngx_uint_t code, ngx_str_t *message);
void ngx_http_conduit_run_destroy(ngx_http_conduit_run_t *run);

int64_t ngx_http_conduit_run_now(void);


#endif /* _NGX_HTTP_CONDUIT_RUN_H_INCLUDED_ */
