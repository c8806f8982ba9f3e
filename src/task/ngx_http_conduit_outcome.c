
/*
 * Copyright (C) Conduit for nginx authors
 */


/* What becomes of a task by the verdict on a reply. */


#include <ngx_conduit_random.h>
#include <ngx_http_conduit_run.h>
#include <ngx_http_conduit_redis.h>


static void ngx_http_conduit_run_submitted(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_polled(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_held(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_again(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_completed(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_ended(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_run_fallback(ngx_http_conduit_run_t *run,
    ngx_uint_t code);
static ngx_int_t ngx_http_conduit_run_too_late(ngx_http_conduit_run_t *run,
    int64_t after);


void
ngx_http_conduit_run_replied(ngx_http_conduit_run_t *run)
{
    (void) json_object_set_new(run->state, "last",
                               json_integer(run->verdict.state));

    switch (run->step) {

    case CONDUIT_STEP_SUBMIT:
        ngx_http_conduit_run_submitted(run);
        break;

    case CONDUIT_STEP_CANCEL:
        ngx_http_conduit_run_cancelled(run);
        break;

    default:
        ngx_http_conduit_run_polled(run);
    }
}


static void
ngx_http_conduit_run_submitted(ngx_http_conduit_run_t *run)
{
    int64_t                     now;
    uint32_t                    random;
    uint64_t                    after;
    ngx_uint_t                  n;
    ngx_str_t                   message;
    conduit_verdict_t          *verdict;
    ngx_http_conduit_change_t   change;

    verdict = &run->verdict;

    switch (verdict->state) {

    case CONDUIT_STATE_QUEUED:
    case CONDUIT_STATE_PROCESSING:
        now = ngx_http_conduit_redis_shared(run->work->cdmcf);
        (void) json_object_set_new(run->state, "submitted",
                                   json_integer(now));
        run->job.elapsed = 0;
        ngx_http_conduit_run_again(run);
        return;

    case CONDUIT_STATE_COMPLETED:
        ngx_http_conduit_run_completed(run);
        return;

    case CONDUIT_STATE_HOLD:
    case CONDUIT_STATE_RETRY:
        break;

    default:
        message.len = verdict->message.len;
        message.data = verdict->message.data;
        ngx_http_conduit_run_fail(run, verdict->code, &message);
        return;
    }

    message.len = verdict->message.len;
    message.data = verdict->message.data;

    n = run->work->attempts + 1;

    if (n >= run->work->cdmcf->task_attempts) {
        ngx_http_conduit_run_fail(run, verdict->code, &message);
        return;
    }

    if (ngx_http_conduit_run_too_late(run, verdict->after)) {
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_RATE_LIMITED, &message);
        return;
    }

    if (ngx_conduit_random_bytes((u_char *) &random, sizeof(uint32_t))
        != NGX_OK)
    {
        random = 0;
    }

    after = conduit_provider_backoff(n, random, verdict->after);

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_PROGRESS);
    change.quiet = 1;
    change.attempt = 1;
    change.step = NGX_HTTP_CONDUIT_STEP_BACKOFF;
    change.after = after;

    (void) ngx_atomic_fetch_add(
                      &run->work->cdmcf->zone.sh->counters.retries, 1);

    ngx_http_conduit_run_next(run, &change);
}


static void
ngx_http_conduit_run_polled(ngx_http_conduit_run_t *run)
{
    ngx_str_t                   message;
    conduit_verdict_t          *verdict;
    ngx_http_conduit_change_t   change;

    verdict = &run->verdict;

    message.len = verdict->message.len;
    message.data = verdict->message.data;

    if (!verdict->unreadable) {
        (void) json_object_del(run->state, "unread");
    }

    switch (verdict->state) {

    case CONDUIT_STATE_QUEUED:
    case CONDUIT_STATE_PROCESSING:
        (void) ngx_http_conduit_run_count(run, "polls", 1);
        (void) json_object_del(run->state, "holds");
        ngx_http_conduit_run_again(run);
        return;

    case CONDUIT_STATE_COMPLETED:
        ngx_http_conduit_run_completed(run);
        return;

    case CONDUIT_STATE_CANCELLED:
        ngx_http_conduit_run_change(run, &change, CONDUIT_EV_CANCEL);
        ngx_http_conduit_run_next(run, &change);
        return;

    case CONDUIT_STATE_HOLD:
    case CONDUIT_STATE_RETRY:
        ngx_http_conduit_run_held(run);
        return;

    default:
        ngx_http_conduit_run_fail(run, verdict->code, &message);
    }
}


/* no news from a poll; or the way to the results has failed for now */

static void
ngx_http_conduit_run_held(ngx_http_conduit_run_t *run)
{
    json_int_t          n, max;
    ngx_str_t           message;
    conduit_verdict_t  *verdict;

    verdict = &run->verdict;
    max = run->work->cdmcf->task_attempts;

    message.len = verdict->message.len;
    message.data = verdict->message.data;

    (void) ngx_http_conduit_run_count(run, "holds", 1);

    n = 0;

    if (verdict->unreadable) {
        n = ngx_http_conduit_run_count(run, "unread", 1);
    }

    if (run->step != CONDUIT_STEP_POLL) {
        n = ngx_http_conduit_run_count(run, "lost", 1);

        /* without polls there is no way back to this point */

        if (!run->description->poll.set) {
            n = max;
        }
    }

    if (n >= max) {
        ngx_http_conduit_run_fail(run, verdict->unreadable
                                       ? CONDUIT_ERR_PROVIDER_ERROR
                                       : verdict->code,
                                  &message);
        return;
    }

    if (ngx_http_conduit_run_too_late(run, verdict->after)) {
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_RATE_LIMITED, &message);
        return;
    }

    ngx_http_conduit_run_again(run);
}


/* the next poll, with what this reply has told */

static void
ngx_http_conduit_run_again(ngx_http_conduit_run_t *run)
{
    uint64_t                    after, left, deadline;
    conduit_verdict_t          *verdict;
    ngx_http_conduit_change_t   change;

    verdict = &run->verdict;
    deadline = run->description->deadline;

    after = conduit_provider_interval(run->description,
                             ngx_http_conduit_run_count(run, "polls", 0),
                             ngx_http_conduit_run_count(run, "holds", 0),
                             verdict->after);

    if (deadline) {

        if (run->job.elapsed >= deadline) {
            ngx_http_conduit_run_change(run, &change, CONDUIT_EV_FAIL);
            change.error_code = CONDUIT_ERR_TIMEOUT;

            (void) ngx_http_conduit_run_apply(run, &change);

            ngx_http_conduit_run_off(run);
            return;
        }

        left = deadline - run->job.elapsed;
        after = ngx_min(after, left);
    }

    ngx_http_conduit_run_change(run, &change,
                                verdict->state == CONDUIT_STATE_PROCESSING
                                ? CONDUIT_EV_START : CONDUIT_EV_PROGRESS);

    if (verdict->state != CONDUIT_STATE_QUEUED
        && verdict->state != CONDUIT_STATE_PROCESSING)
    {
        change.quiet = 1;
    }

    change.progress = verdict->progress;
    change.eta = (verdict->eta < 0) ? -1 : (verdict->eta + 999) / 1000;
    change.step = NGX_HTTP_CONDUIT_STEP_POLL;
    change.after = after;

    ngx_http_conduit_run_next(run, &change);
}


static void
ngx_http_conduit_run_completed(ngx_http_conduit_run_t *run)
{
    if (run->verdict.fetch) {
        ngx_http_conduit_run_call(run, CONDUIT_STEP_FETCH);
        return;
    }

    if (run->verdict.download) {
        ngx_http_conduit_run_download(run);
        return;
    }

    ngx_http_conduit_run_results(run);
}


void
ngx_http_conduit_run_complete(ngx_http_conduit_run_t *run)
{
    ngx_int_t                  rc;
    ngx_http_conduit_change_t  change;

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_COMPLETE);

    change.results = run->results;
    change.nresults = run->nresults;
    change.outcome = &run->outcome;

    run->outcome.handler = ngx_http_conduit_run_ended;
    run->outcome.data = run;

    rc = ngx_http_conduit_run_apply(run, &change);

    if (rc != NGX_AGAIN) {
        ngx_http_conduit_run_ended(run, rc);
    }
}


static void
ngx_http_conduit_run_ended(void *data, ngx_int_t rc)
{
    ngx_http_conduit_run_t  *run = data;

    if (rc == NGX_ERROR) {
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_RESULT_TOO_LARGE, NULL);
        return;
    }

    if (rc == NGX_OK) {
        run->nresults = 0;
    }

    ngx_http_conduit_run_destroy(run);
}


void
ngx_http_conduit_run_fail(ngx_http_conduit_run_t *run, ngx_uint_t code,
    ngx_str_t *message)
{
    ngx_http_conduit_change_t  change;

    if (run->calling_off) {
        ngx_http_conduit_run_destroy(run);
        return;
    }

    if (ngx_http_conduit_run_fallback(run, code) == NGX_OK) {
        return;
    }

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_FAIL);

    change.error_code = code;

    if (message) {
        change.error = *message;
    }

    ngx_http_conduit_run_next(run, &change);
}


/* NGX_OK: another model goes on with the task, and the run is destroyed */

static ngx_int_t
ngx_http_conduit_run_fallback(ngx_http_conduit_run_t *run, ngx_uint_t code)
{
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_str_t                   state;
    const char                 *suffix;
    ngx_http_conduit_model_t   *model;
    ngx_http_conduit_change_t   change;

    if (!conduit_provider_fallback(code)) {
        return NGX_DECLINED;
    }

    model = ngx_http_conduit_model_lookup(run->work->cdmcf,
                                          &run->work->alias);

    if (model == NULL || model->next == NULL
        || !(model->next->kinds & NGX_HTTP_CONDUIT_KIND(run->work->kind)))
    {
        return NGX_DECLINED;
    }

    suffix = json_string_value(json_object_get(run->state, "key"));

    if (suffix == NULL) {
        suffix = "";
    }

    state.len = sizeof("{\"key\":\"f\"}") - 1 + ngx_strlen(suffix);

    p = ngx_pnalloc(run->work->pool, state.len);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    state.data = p;
    state.len = ngx_sprintf(p, "{\"key\":\"%sf\"}", suffix) - p;

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_PROGRESS);

    change.quiet = 1;
    change.run = &state;
    change.model = model->next;
    change.step = NGX_HTTP_CONDUIT_STEP_QUEUED;

    rc = ngx_http_conduit_task_advance(run->work->cdmcf, &change, NULL, NULL);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return NGX_DECLINED;
    }

    ngx_http_conduit_run_destroy(run);

    return NGX_OK;
}


/* would waiting that long reach past the end of the task? */

static ngx_int_t
ngx_http_conduit_run_too_late(ngx_http_conduit_run_t *run, int64_t after)
{
    return after > 0
           && after >= (int64_t) (ngx_msec_int_t) (run->work->deadline
                                                   - ngx_current_msec);
}
