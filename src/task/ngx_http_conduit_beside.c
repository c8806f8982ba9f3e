
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Progress of a provider whose submit lasts as long as the job. */


#include <ngx_http_conduit_run.h>
#include <ngx_http_conduit_redis.h>


/* it is looked at so often, ms */

#define NGX_HTTP_CONDUIT_BESIDE  1000


static void ngx_http_conduit_run_beside_handler(ngx_event_t *ev);
static void ngx_http_conduit_run_beside_call(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_beside_done(ngx_conduit_transfer_t *t);
static void ngx_http_conduit_run_beside_tell(ngx_http_conduit_run_t *run,
    ngx_int_t progress, ngx_int_t eta);


void
ngx_http_conduit_run_beside(ngx_http_conduit_run_t *run)
{
    if (run->description->progress != CONDUIT_PROGRESS_SIDE
        && run->description->progress != CONDUIT_PROGRESS_ESTIMATE)
    {
        return;
    }

    run->timer.handler = ngx_http_conduit_run_beside_handler;
    run->timer.data = &run->work->cdmcf->engine->dummy;
    run->timer.log = run->work->cdmcf->engine->log;
    run->timer.cancelable = 1;

    ngx_add_timer(&run->timer, NGX_HTTP_CONDUIT_BESIDE);
}


static void
ngx_http_conduit_run_beside_handler(ngx_event_t *ev)
{
    int64_t                  ms, estimate;
    ngx_http_conduit_run_t  *run;

    run = (ngx_http_conduit_run_t *)
              ((u_char *) ev - offsetof(ngx_http_conduit_run_t, timer));

    if (run->transfer == NULL || run->step != CONDUIT_STEP_SUBMIT) {
        return;
    }

    ngx_add_timer(&run->timer, NGX_HTTP_CONDUIT_BESIDE);

    if (run->description->progress == CONDUIT_PROGRESS_SIDE) {
        ngx_http_conduit_run_beside_call(run);
        return;
    }

    estimate = run->description->estimate;
    ms = ngx_http_conduit_redis_shared(run->work->cdmcf) - run->begun;

    if (estimate > 0 && ms < estimate) {
        ngx_http_conduit_run_beside_tell(run, ms * 100 / estimate,
                                         (estimate - ms + 999) / 1000);
    }
}


static void
ngx_http_conduit_run_beside_call(ngx_http_conduit_run_t *run)
{
    conduit_call_t     call;
    conduit_verdict_t  verdict;

    if (run->side) {
        return;
    }

    conduit_verdict_init(&verdict);

    if (conduit_provider_call(run->description, &run->pool, CONDUIT_STEP_SIDE,
                              &run->job, &call, &verdict)
        == CONDUIT_OK)
    {
        run->side = ngx_http_conduit_run_transfer(run, &call);

        if (run->side) {
            run->side->handler = ngx_http_conduit_run_beside_done;
            ngx_conduit_transfer_start(run->side);
        }
    }

    conduit_verdict_free(&verdict);
}


static void
ngx_http_conduit_run_beside_done(ngx_conduit_transfer_t *t)
{
    ngx_http_conduit_run_t  *run = t->data;

    conduit_reply_t    reply;
    conduit_verdict_t  verdict;

    run->side = NULL;

    if (t->error != NGX_CONDUIT_TRANSFER_OK) {
        return;
    }

    conduit_verdict_init(&verdict);
    ngx_http_conduit_run_reply(t, &reply);

    if (conduit_provider_reply(run->description, &run->pool,
                               CONDUIT_STEP_SIDE, &run->job, &reply, &verdict)
        == CONDUIT_OK
        && verdict.progress >= 0)
    {
        ngx_http_conduit_run_beside_tell(run, verdict.progress,
                                         (verdict.eta < 0)
                                         ? -1 : (verdict.eta + 999) / 1000);
    }

    conduit_verdict_free(&verdict);
}


static void
ngx_http_conduit_run_beside_tell(ngx_http_conduit_run_t *run,
    ngx_int_t progress, ngx_int_t eta)
{
    ngx_http_conduit_change_t  change;

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_PROGRESS);

    change.keep = 1;
    change.progress = progress;
    change.eta = eta;

    (void) ngx_http_conduit_task_advance(run->work->cdmcf, &change, NULL,
                                         NULL);
}
