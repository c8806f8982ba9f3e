
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_random.h>
#include <ngx_http_conduit_run.h>


/* progress beside a submit that brings the results is looked at so often */

#define NGX_HTTP_CONDUIT_BESIDE  1000

/* tries of a cancel call */

#define NGX_HTTP_CONDUIT_CALLS   3


static ngx_http_conduit_run_t *ngx_http_conduit_run_create(
    ngx_http_conduit_work_t *work);
static void *ngx_http_conduit_run_alloc(void *data, size_t size);
static ngx_int_t ngx_http_conduit_run_state(ngx_http_conduit_run_t *run);
static ngx_int_t ngx_http_conduit_run_key(ngx_http_conduit_run_t *run);
static json_int_t ngx_http_conduit_run_count(ngx_http_conduit_run_t *run,
    const char *name, ngx_int_t add);
static void ngx_http_conduit_run_submit(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_submitted(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_polled(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_held(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_completed(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_cancel(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_cancelled(ngx_http_conduit_run_t *run);
static ngx_int_t ngx_http_conduit_run_too_late(ngx_http_conduit_run_t *run,
    int64_t after);
static void ngx_http_conduit_run_change(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change, conduit_event_e event);
static ngx_int_t ngx_http_conduit_run_apply(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change);
static void ngx_http_conduit_run_next(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change);
static ngx_int_t ngx_http_conduit_run_fallback(ngx_http_conduit_run_t *run,
    ngx_uint_t code);
static void ngx_http_conduit_run_off(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_beside(ngx_event_t *ev);
static void ngx_http_conduit_run_beside_call(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_beside_done(ngx_conduit_transfer_t *t);
static void ngx_http_conduit_run_beside_tell(ngx_http_conduit_run_t *run,
    ngx_int_t progress, ngx_int_t eta);
static void ngx_http_conduit_run_cleanup(void *data);


void
ngx_http_conduit_run(ngx_http_conduit_work_t *work)
{
    ngx_http_conduit_run_t  *run;

    run = ngx_http_conduit_run_create(work);

    if (run == NULL) {

        /* the deadline ends what cannot even begin */

        ngx_destroy_pool(work->pool);
        return;
    }

    switch (work->step) {

    case NGX_HTTP_CONDUIT_STEP_SUBMIT:
        ngx_http_conduit_run_submit(run);
        break;

    case NGX_HTTP_CONDUIT_STEP_POLL:
        ngx_http_conduit_run_call(run, CONDUIT_STEP_POLL);
        break;

    case NGX_HTTP_CONDUIT_STEP_CANCEL:
        ngx_http_conduit_run_cancel(run);
        break;

    default:
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_INTERNAL_ERROR, NULL);
    }
}


static ngx_http_conduit_run_t *
ngx_http_conduit_run_create(ngx_http_conduit_work_t *work)
{
    u_char                     *id;
    const char                 *format;
    ngx_pool_cleanup_t         *cln;
    ngx_http_conduit_run_t     *run;
    ngx_http_conduit_engine_t  *engine;

    engine = work->cdmcf->engine;

    run = ngx_pcalloc(work->pool, sizeof(ngx_http_conduit_run_t));
    id = ngx_pnalloc(work->pool, CONDUIT_UUID_LEN);
    cln = ngx_pool_cleanup_add(work->pool, 0);

    if (run == NULL || id == NULL || cln == NULL) {
        return NULL;
    }

    run->work = work;
    run->description = work->provider->description;
    run->pool.alloc = ngx_http_conduit_run_alloc;
    run->pool.data = work->pool;
    run->begun = ngx_http_conduit_run_now();

    ngx_queue_insert_tail(ngx_http_conduit_runs(engine, work->id),
                          &run->queue);
    conduit_verdict_init(&run->verdict);

    cln->handler = ngx_http_conduit_run_cleanup;
    cln->data = run;

    conduit_uuid_write(id, work->id);

    run->job.task.len = CONDUIT_UUID_LEN;
    run->job.task.data = id;
    run->job.model.len = work->upstream.len;
    run->job.model.data = work->upstream.data;
    run->job.request = json_loadb((char *) work->request.data,
                                  work->request.len, 0, NULL);

    if (run->job.request == NULL || ngx_http_conduit_run_state(run) != NGX_OK
        || ngx_http_conduit_run_key(run) != NGX_OK)
    {
        return NULL;
    }

    format = json_string_value(json_object_get(run->job.request,
                                               "response_format"));

    run->inlined = (format && ngx_strcmp(format, "b64_json") == 0);

    return run;
}


static void *
ngx_http_conduit_run_alloc(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


static ngx_int_t
ngx_http_conduit_run_state(ngx_http_conduit_run_t *run)
{
    json_t     *taken;
    int64_t     submitted;
    ngx_str_t  *text;

    text = &run->work->run;

    run->state = text->len ? json_loadb((char *) text->data, text->len, 0,
                                        NULL)
                           : json_object();
    if (run->state == NULL) {
        return NGX_ERROR;
    }

    taken = json_object_get(run->state, "taken");

    if (taken == NULL) {
        taken = json_object();

        if (json_object_set_new(run->state, "taken", taken) != 0) {
            return NGX_ERROR;
        }
    }

    run->job.taken = taken;

    submitted = ngx_http_conduit_run_count(run, "submitted", 0);

    if (submitted && run->begun > submitted) {
        run->job.elapsed = run->begun - submitted;
    }

    return NGX_OK;
}


/*
 * The same for all attempts, also of other workers; another one when a user
 * wants a new run or another model is asked, for the provider would answer
 * with the failure that it has kept.
 */

static ngx_int_t
ngx_http_conduit_run_key(ngx_http_conduit_run_t *run)
{
    size_t           len;
    u_char          *p;
    const char      *suffix;
    conduit_str_t   *key;

    key = &run->job.idempotency;
    *key = run->job.task;

    suffix = json_string_value(json_object_get(run->state, "key"));

    if (suffix == NULL) {
        return NGX_OK;
    }

    len = ngx_strlen(suffix);

    p = ngx_pnalloc(run->work->pool, key->len + 1 + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;

    p = ngx_cpymem(p, run->job.task.data, run->job.task.len);
    *p++ = '-';
    p = ngx_cpymem(p, suffix, len);

    key->len = p - key->data;

    return NGX_OK;
}


/* a number of the state, after adding to it */

static json_int_t
ngx_http_conduit_run_count(ngx_http_conduit_run_t *run, const char *name,
    ngx_int_t add)
{
    json_int_t  n;

    n = json_integer_value(json_object_get(run->state, name));

    if (add) {
        n += add;
        (void) json_object_set_new(run->state, name, json_integer(n));
    }

    return n;
}


static void
ngx_http_conduit_run_submit(ngx_http_conduit_run_t *run)
{
    ngx_http_conduit_change_t  change;

    if (!run->description->sync) {
        ngx_http_conduit_run_call(run, CONDUIT_STEP_SUBMIT);
        return;
    }

    /* the reply will be the result: the task is being processed from now on */

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_START);
    change.keep = 1;

    if (ngx_http_conduit_run_apply(run, &change) != NGX_OK) {
        ngx_http_conduit_run_destroy(run);
        return;
    }

    if (run->description->progress == CONDUIT_PROGRESS_SIDE
        || run->description->progress == CONDUIT_PROGRESS_ESTIMATE)
    {
        run->timer.handler = ngx_http_conduit_run_beside;
        run->timer.data = &run->work->cdmcf->engine->dummy;
        run->timer.log = run->work->cdmcf->engine->log;
        run->timer.cancelable = 1;

        ngx_add_timer(&run->timer, NGX_HTTP_CONDUIT_BESIDE);
    }

    ngx_http_conduit_run_call(run, CONDUIT_STEP_SUBMIT);
}


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
        (void) json_object_set_new(run->state, "submitted",
                                   json_integer(ngx_http_conduit_run_now()));
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

void
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

    rc = ngx_http_conduit_run_apply(run, &change);

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

    if (ngx_http_conduit_task_advance(run->work->cdmcf, &change, NULL, NULL)
        != NGX_OK)
    {
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


static void
ngx_http_conduit_run_change(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change, conduit_event_e event)
{
    ngx_memzero(change, sizeof(ngx_http_conduit_change_t));
    ngx_memcpy(change->name.id, run->work->id, NGX_HTTP_CONDUIT_ID_LEN);

    change->name.kind = NGX_HTTP_CONDUIT_ANY;
    change->lease = run->work->lease;
    change->event = event;
    change->progress = -1;
    change->eta = -1;
}


/* applies a change together with the state */

static ngx_int_t
ngx_http_conduit_run_apply(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change)
{
    char       *text;
    ngx_int_t   rc;
    ngx_str_t   state;

    text = json_dumps(run->state, JSON_COMPACT);
    if (text == NULL) {
        return NGX_ERROR;
    }

    state.data = (u_char *) text;
    state.len = ngx_strlen(text);

    change->run = &state;

    rc = ngx_http_conduit_task_advance(run->work->cdmcf, change, NULL, NULL);

    change->run = NULL;
    free(text);

    return rc;
}


/* the last change of a step; a task that has ended meanwhile is called off */

static void
ngx_http_conduit_run_next(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change)
{
    if (ngx_http_conduit_run_apply(run, change) == NGX_HTTP_CONDUIT_FINAL
        && run->step == CONDUIT_STEP_SUBMIT
        && change->event != CONDUIT_EV_FAIL)
    {
        ngx_http_conduit_run_off(run);
        return;
    }

    ngx_http_conduit_run_destroy(run);
}


/* cancels the job of a task that is no longer ours */

static void
ngx_http_conduit_run_off(ngx_http_conduit_run_t *run)
{
    run->calling_off = 1;
    ngx_http_conduit_run_cancel(run);
}


static void
ngx_http_conduit_run_cancel(ngx_http_conduit_run_t *run)
{
    json_t    *last;
    unsigned   when;

    when = run->description->cancel_when;
    last = json_object_get(run->state, "last");

    if (!run->description->cancel.set
        || (when && last && !(when & (1u << json_integer_value(last)))))
    {
        ngx_http_conduit_run_cancelled(run);
        return;
    }

    ngx_http_conduit_run_call(run, CONDUIT_STEP_CANCEL);
}


static void
ngx_http_conduit_run_cancelled(ngx_http_conduit_run_t *run)
{
    ngx_uint_t                 again;
    ngx_http_conduit_change_t  change;

    if (run->calling_off) {
        ngx_http_conduit_run_destroy(run);
        return;
    }

    again = (run->verdict.state == CONDUIT_STATE_HOLD
             && ngx_http_conduit_run_count(run, "calls", 1)
                < NGX_HTTP_CONDUIT_CALLS);

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_PROGRESS);

    change.quiet = 1;
    change.step = again ? NGX_HTTP_CONDUIT_STEP_CANCEL
                        : NGX_HTTP_CONDUIT_STEP_NONE;
    change.after = again ? 1000 : 0;

    (void) ngx_http_conduit_run_apply(run, &change);

    ngx_http_conduit_run_destroy(run);
}


void
ngx_http_conduit_run_stop(ngx_http_conduit_main_conf_t *cdmcf, u_char *id)
{
    ngx_queue_t             *q, *runs;
    ngx_http_conduit_run_t  *run;

    run = NULL;
    runs = ngx_http_conduit_runs(cdmcf->engine, id);

    for (q = ngx_queue_head(runs);
         q != ngx_queue_sentinel(runs);
         q = ngx_queue_next(q))
    {
        run = ngx_queue_data(q, ngx_http_conduit_run_t, queue);

        if (ngx_memcmp(run->work->id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0) {
            break;
        }
    }

    if (run == NULL || q == ngx_queue_sentinel(runs) || run->calling_off
        || ngx_http_conduit_task_current(cdmcf, id, run->work->lease)
           == NGX_OK)
    {
        return;
    }

    /* of a job that is being submitted the id is still to be learned */

    if (run->step == CONDUIT_STEP_SUBMIT && !run->description->sync) {
        return;
    }

    if (run->transfer) {
        ngx_conduit_transfer_cancel(run->transfer);
        run->transfer = NULL;
    }

    if (!ngx_http_conduit_run_results_stop(run)) {
        run->gone = 1;
        return;
    }

    if (run->step == CONDUIT_STEP_SUBMIT) {
        ngx_http_conduit_run_off(run);
        return;
    }

    ngx_http_conduit_run_destroy(run);
}


/* progress of a provider whose submit lasts as long as the job */

static void
ngx_http_conduit_run_beside(ngx_event_t *ev)
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
    ms = ngx_http_conduit_run_now() - run->begun;

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


void
ngx_http_conduit_run_destroy(ngx_http_conduit_run_t *run)
{
    ngx_destroy_pool(run->work->pool);
}


static void
ngx_http_conduit_run_cleanup(void *data)
{
    ngx_http_conduit_run_t  *run = data;

    ngx_uint_t  i;

    ngx_queue_remove(&run->queue);

    /* results that nobody has been told of; in an exiting worker they stay */

    for (i = 0; i < run->nresults && !ngx_exiting && !ngx_terminate; i++) {
        ngx_http_conduit_media_remove(run->work->cdmcf, &run->results[i].url);
    }

    if (run->transfer) {
        ngx_conduit_transfer_cancel(run->transfer);
    }

    if (run->side) {
        ngx_conduit_transfer_cancel(run->side);
    }

    if (run->timer.timer_set) {
        ngx_del_timer(&run->timer);
    }

    conduit_verdict_free(&run->verdict);

    json_decref(run->state);
    json_decref(run->job.request);
}


int64_t
ngx_http_conduit_run_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}
