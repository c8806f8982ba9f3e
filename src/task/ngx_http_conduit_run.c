
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_run.h>
#include <ngx_http_conduit_redis.h>


/* tries of a cancel call */

#define NGX_HTTP_CONDUIT_CALLS  3

/* how often the reply to a submit is told to a full zone, ms */

#define NGX_HTTP_CONDUIT_TELL   1000


static ngx_http_conduit_run_t *ngx_http_conduit_run_create(
    ngx_http_conduit_work_t *work);
static void *ngx_http_conduit_run_alloc(void *data, size_t size);
static ngx_int_t ngx_http_conduit_run_state(ngx_http_conduit_run_t *run);
static ngx_int_t ngx_http_conduit_run_key(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_submit(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_told(void *data, ngx_int_t rc);
static void ngx_http_conduit_run_later(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_run_later_handler(ngx_event_t *ev);
static void ngx_http_conduit_run_cleanup(void *data);
static void ngx_http_conduit_run_cancel(ngx_http_conduit_run_t *run);


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
    if (run == NULL) {
        return NULL;
    }

    id = ngx_pnalloc(work->pool, CONDUIT_UUID_LEN);
    if (id == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(work->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    run->work = work;
    run->description = work->provider->description;
    run->pool.alloc = ngx_http_conduit_run_alloc;
    run->pool.data = work->pool;
    run->begun = ngx_http_conduit_redis_shared(work->cdmcf);

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

json_int_t
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
    ngx_int_t                  rc;
    ngx_http_conduit_change_t  change;

    if (!run->description->sync) {
        ngx_http_conduit_run_call(run, CONDUIT_STEP_SUBMIT);
        return;
    }

    /* the reply will be the result: the task is being processed from now on */

    ngx_http_conduit_run_change(run, &change, CONDUIT_EV_START);
    change.keep = 1;

    rc = ngx_http_conduit_run_apply(run, &change);

    /* without room in the zone only the client does not see the start */

    if (rc != NGX_OK && rc != NGX_ERROR) {
        ngx_http_conduit_run_destroy(run);
        return;
    }

    ngx_http_conduit_run_beside(run);

    ngx_http_conduit_run_call(run, CONDUIT_STEP_SUBMIT);
}


void
ngx_http_conduit_run_change(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change, conduit_event_e event)
{
    ngx_http_conduit_change_task(change, run->work->id, run->work->lease);

    change->event = event;
}


/* applies a change together with the state */

ngx_int_t
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


/* the last change of a step, perhaps after a while */

void
ngx_http_conduit_run_next(ngx_http_conduit_run_t *run,
    ngx_http_conduit_change_t *change)
{
    ngx_int_t  rc;

    run->outcome.handler = ngx_http_conduit_run_told;
    run->outcome.data = run;

    change->outcome = &run->outcome;

    rc = ngx_http_conduit_run_apply(run, change);

    run->change = *change;

    if (rc != NGX_AGAIN) {
        ngx_http_conduit_run_told(run, rc);
    }
}


/* what has become of it; a task that has ended meanwhile is called off */

static void
ngx_http_conduit_run_told(void *data, ngx_int_t rc)
{
    ngx_http_conduit_run_t  *run = data;

    if (rc == NGX_ERROR && run->work->step == NGX_HTTP_CONDUIT_STEP_SUBMIT) {
        ngx_http_conduit_run_later(run);
        return;
    }

    if ((rc == NGX_HTTP_CONDUIT_FINAL || rc == NGX_DECLINED)
        && run->step == CONDUIT_STEP_SUBMIT
        && run->change.event != CONDUIT_EV_FAIL)
    {
        ngx_http_conduit_run_off(run);
        return;
    }

    ngx_http_conduit_run_destroy(run);
}


/* the reply to a submit comes once: it waits for room in the zone */

static void
ngx_http_conduit_run_later(ngx_http_conduit_run_t *run)
{
    if (run->timer.timer_set) {
        ngx_del_timer(&run->timer);
    }

    run->timer.handler = ngx_http_conduit_run_later_handler;
    run->timer.data = &run->work->cdmcf->engine->dummy;
    run->timer.log = run->work->cdmcf->engine->log;
    run->timer.cancelable = 0;

    ngx_add_timer(&run->timer, NGX_HTTP_CONDUIT_TELL);
}


static void
ngx_http_conduit_run_later_handler(ngx_event_t *ev)
{
    ngx_http_conduit_run_t     *run;
    ngx_http_conduit_change_t   change;

    run = (ngx_http_conduit_run_t *)
              ((u_char *) ev - offsetof(ngx_http_conduit_run_t, timer));

    change = run->change;

    ngx_http_conduit_run_next(run, &change);
}


/* cancels the job of a task that is no longer ours */

void
ngx_http_conduit_run_off(ngx_http_conduit_run_t *run)
{
    ngx_http_conduit_outcome_detach(&run->outcome);

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


void
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
    ngx_http_conduit_outcome_detach(&run->outcome);

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
