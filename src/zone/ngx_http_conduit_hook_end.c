
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook_queue.h>
#include <conduit_request.h>


/* the receiver wants to hear nothing more of this task */

#define NGX_HTTP_CONDUIT_HOOK_GONE  410


static void ngx_http_conduit_hook_note_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook,
    ngx_http_conduit_hook_result_t *result);
static void ngx_http_conduit_hook_judge_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf, ngx_http_conduit_hook_node_t *hook,
    ngx_http_conduit_hook_result_t *result);
static void ngx_http_conduit_hook_gone_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task);
static void ngx_http_conduit_hook_tidy_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook);
static ngx_uint_t ngx_http_conduit_hook_overtaken_locked(
    ngx_http_conduit_hook_node_t *hook);
static int64_t ngx_http_conduit_hook_now(void);


ngx_int_t
ngx_http_conduit_hook_end_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf,
    ngx_http_conduit_hook_result_t *result)
{
    conduit_breaker_ticket_t       ticket;
    ngx_http_conduit_origin_t     *origin;
    ngx_http_conduit_hook_node_t  *hook;
    ngx_http_conduit_task_node_t  *task;

    result->change = CONDUIT_BREAKER_SAME;

    hook = ngx_http_conduit_hook_find_locked(zone, result->id);
    if (hook == NULL) {
        return NGX_DECLINED;
    }

    task = hook->task;
    origin = hook->origin;

    if (hook->lease == result->lease) {
        ticket = hook->ticket;
        ngx_http_conduit_hook_away_locked(zone, hook);

        if (result->drop) {
            conduit_breaker_cancel(&origin->breaker, &ticket);

        } else {
            result->change = conduit_breaker_end(&origin->breaker,
                                            &conf->breaker, &ticket,
                                            result->failure,
                                            (unsigned) result->status,
                                            (uint32_t) conf->per_origin,
                                            ngx_current_msec);
        }

    } else {

        /*
         * A process that was taken for dead comes back.  What was confirmed
         * must not be sent again, unless that is going on by now.
         */

        if (result->failure != CONDUIT_FAIL_NONE || result->drop
            || hook->place == NGX_HTTP_CONDUIT_HOOK_RUNNING
            || hook->place == NGX_HTTP_CONDUIT_HOOK_ENDED)
        {
            return NGX_DECLINED;
        }

        ngx_http_conduit_hook_away_locked(zone, hook);
    }

    ngx_http_conduit_origin_wake_locked(zone, origin);

    ngx_http_conduit_hook_judge_locked(zone, conf, hook, result);

    if (task) {
        ngx_http_conduit_hook_next_locked(zone, task);
    }

    return NGX_OK;
}


/* the hook may be gone after this */

static void
ngx_http_conduit_hook_judge_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf, ngx_http_conduit_hook_node_t *hook,
    ngx_http_conduit_hook_result_t *result)
{
    ngx_uint_t  state;

    hook->updated = ngx_http_conduit_hook_now();

    /* the pause before a redelivery is the user's */

    result->latency = (hook->tries == hook->attempts)
                      ? ngx_max(hook->updated - hook->created, 0) : -1;

    if (result->drop) {
        state = NGX_HTTP_CONDUIT_HOOK_DROPPED;

    } else {
        ngx_http_conduit_hook_note_locked(zone, hook, result);

        if (result->failure == CONDUIT_FAIL_NONE) {
            state = NGX_HTTP_CONDUIT_HOOK_DELIVERED;
            hook->delivered = hook->updated;

        } else {
            state = result->retry ? NGX_HTTP_CONDUIT_HOOK_PENDING
                                  : NGX_HTTP_CONDUIT_HOOK_FAILED;
        }
    }

    result->state = state;

    if (state == NGX_HTTP_CONDUIT_HOOK_PENDING) {
        hook->next_at = ngx_current_msec + result->pause;
        ngx_http_conduit_hook_place_locked(zone, hook);
        return;
    }

    if (result->status == NGX_HTTP_CONDUIT_HOOK_GONE && hook->task
        && state == NGX_HTTP_CONDUIT_HOOK_FAILED)
    {
        ngx_http_conduit_hook_gone_locked(zone, hook->task);
    }

    if (hook->task == NULL) {
        hook->next_at = ngx_current_msec + conf->ttl;
    }

    ngx_http_conduit_hook_stop_locked(zone, hook, state);
}


/* without memory for the log the delivery goes on without one */

static void
ngx_http_conduit_hook_note_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_http_conduit_hook_result_t *result)
{
    ngx_http_conduit_attempt_t   *attempt;
    ngx_http_conduit_hook_log_t  *log;

    hook->tries++;

    if (hook->attempts < 0xffff) {
        hook->attempts++;
    }

    hook->last_status = (u_short) result->status;
    hook->last_failure = (u_char) result->failure;

    log = hook->log;

    if (log == NULL) {
        log = ngx_slab_calloc_locked(zone->shpool,
                                     sizeof(ngx_http_conduit_hook_log_t));
        if (log == NULL) {
            return;
        }

        hook->log = log;
    }

    attempt = &log->attempts[log->n % NGX_HTTP_CONDUIT_HOOK_ATTEMPTS];

    attempt->at = result->at;
    attempt->number = hook->attempts;
    attempt->status = (u_short) result->status;
    attempt->duration = (unsigned) ngx_min(result->duration, 0xfffff);
    attempt->failure = (unsigned) result->failure & 0xff;
    attempt->address = (unsigned) result->address & 0xf;

    log->n++;
}


/* 410: what waits of the task is dropped, what was never tried vanishes */

static void
ngx_http_conduit_hook_gone_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    if (task->status <= 1 && !task->remote) {
        ngx_http_conduit_hook_promise_locked(zone, task, 0);
    }

    task->gone = 1;

    q = ngx_queue_head(&task->deliveries);

    while (q != ngx_queue_sentinel(&task->deliveries)) {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);
        q = ngx_queue_next(q);

        /* the one that met it has left its place, those that wait have not */

        if (hook->last_status == NGX_HTTP_CONDUIT_HOOK_GONE
            || hook->place == NGX_HTTP_CONDUIT_HOOK_ENDED
            || hook->place == NGX_HTTP_CONDUIT_HOOK_RUNNING)
        {
            continue;
        }

        hook->updated = ngx_http_conduit_hook_now();

        ngx_http_conduit_hook_stop_locked(zone, hook,
                                          NGX_HTTP_CONDUIT_HOOK_DROPPED);
    }
}


void
ngx_http_conduit_hook_stop_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_uint_t state)
{
    ngx_http_conduit_hook_away_locked(zone, hook);

    hook->state = (u_char) state;
    hook->place = NGX_HTTP_CONDUIT_HOOK_ENDED;

    if (!ngx_http_conduit_hook_handed(hook)) {
        zone->sh->hooks_owed--;
        zone->sh->counters.hook_ended[state]++;
    }

    if (hook->task) {
        hook->task->owed--;
        ngx_http_conduit_hook_tidy_locked(zone, hook);
        return;
    }

    hook->expiring = 1;
    ngx_http_conduit_hook_due_locked(zone, &hook->u.tree, hook->next_at,
                                     NGX_HTTP_CONDUIT_DUE_HOOK);
}


/* of progress only the one tried last is kept */

static void
ngx_http_conduit_hook_tidy_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *old;
    ngx_http_conduit_task_node_t  *task;

    if (!ngx_http_conduit_hook_progress(hook)) {
        return;
    }

    task = hook->task;

    if (hook->attempts == 0) {
        ngx_http_conduit_hook_free_locked(zone, hook);
        return;
    }

    q = ngx_queue_head(&task->deliveries);

    while (q != ngx_queue_sentinel(&task->deliveries)) {
        old = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);
        q = ngx_queue_next(q);

        if (old != hook && ngx_http_conduit_hook_progress(old)
            && old->place == NGX_HTTP_CONDUIT_HOOK_ENDED)
        {
            ngx_http_conduit_hook_free_locked(zone, old);
        }
    }
}


void
ngx_http_conduit_hook_next_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook, *next;

    if (task->owed == 0 || task->handed) {
        return;
    }

    next = NULL;

    for (q = ngx_queue_last(&task->deliveries);
         q != ngx_queue_sentinel(&task->deliveries);
         q = ngx_queue_prev(q))
    {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);

        if (hook->place == NGX_HTTP_CONDUIT_HOOK_BEHIND) {
            next = hook;

        } else if (hook->place != NGX_HTTP_CONDUIT_HOOK_ENDED) {
            return;
        }
    }

    if (next == NULL) {
        return;
    }

    if (ngx_http_conduit_hook_progress(next) && next->once && task->told) {
        next->next_at = task->told + NGX_HTTP_CONDUIT_HOOK_THROTTLE;
    }

    ngx_http_conduit_hook_place_locked(zone, next);
}


void
ngx_http_conduit_hook_back_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_msec_t after)
{
    conduit_breaker_ticket_t  ticket;

    ticket = hook->ticket;

    ngx_http_conduit_hook_away_locked(zone, hook);

    conduit_breaker_cancel(&hook->origin->breaker, &ticket);
    ngx_http_conduit_origin_wake_locked(zone, hook->origin);

    if (ngx_http_conduit_hook_progress(hook) && hook->once
        && ngx_http_conduit_hook_overtaken_locked(hook))
    {
        ngx_http_conduit_hook_stop_locked(zone, hook,
                                          NGX_HTTP_CONDUIT_HOOK_DROPPED);
        return;
    }

    hook->next_at = ngx_current_msec + after;
    ngx_http_conduit_hook_place_locked(zone, hook);
}


/* is there newer news of its task? */

static ngx_uint_t
ngx_http_conduit_hook_overtaken_locked(ngx_http_conduit_hook_node_t *hook)
{
    return hook->task
           && ngx_queue_next(&hook->queue)
              != ngx_queue_sentinel(&hook->task->deliveries);
}


ngx_int_t
ngx_http_conduit_hook_again_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    if (hook->place != NGX_HTTP_CONDUIT_HOOK_ENDED) {
        return NGX_DECLINED;
    }

    ngx_http_conduit_hook_away_locked(zone, hook);

    hook->state = NGX_HTTP_CONDUIT_HOOK_PENDING;
    hook->place = NGX_HTTP_CONDUIT_HOOK_BEHIND;
    hook->once = 0;
    hook->tries = 0;
    hook->delivered = 0;
    hook->next_at = ngx_current_msec;
    hook->updated = ngx_http_conduit_hook_now();

    if (hook->task == NULL) {
        zone->sh->hooks_owed++;
        ngx_http_conduit_hook_place_locked(zone, hook);
        return NGX_OK;
    }

    if (!hook->task->handed) {
        zone->sh->hooks_owed++;
    }

    hook->task->owed++;
    ngx_http_conduit_hook_next_locked(zone, hook->task);

    return NGX_OK;
}


void
ngx_http_conduit_hook_restore_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_uint_t state)
{
    ngx_http_conduit_task_node_t  *task;

    task = hook->task;

    if (state == NGX_HTTP_CONDUIT_HOOK_FAILED
        && hook->last_status == NGX_HTTP_CONDUIT_HOOK_GONE && !task->gone)
    {
        if (task->status <= 1 && !task->remote) {
            ngx_http_conduit_hook_promise_locked(zone, task, 0);
        }

        task->gone = 1;
    }

    ngx_http_conduit_hook_stop_locked(zone, hook, state);
    ngx_http_conduit_hook_next_locked(zone, task);
}


void
ngx_http_conduit_hook_hand_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task, ngx_uint_t on)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    if (task->handed == on) {
        return;
    }

    q = ngx_queue_head(&task->deliveries);

    while (on && q != ngx_queue_sentinel(&task->deliveries)) {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);
        q = ngx_queue_next(q);

        if (hook->place == NGX_HTTP_CONDUIT_HOOK_ENDED
            || hook->place == NGX_HTTP_CONDUIT_HOOK_RUNNING)
        {
            continue;
        }

        /* of progress other hosts do not know */

        if (ngx_http_conduit_hook_progress(hook)) {
            ngx_http_conduit_hook_stop_locked(zone, hook,
                                              NGX_HTTP_CONDUIT_HOOK_DROPPED);

        } else {
            ngx_http_conduit_hook_away_locked(zone, hook);
        }
    }

    if (on) {
        zone->sh->hooks_owed -= task->owed;

    } else {
        zone->sh->hooks_owed += task->owed;
    }

    task->handed = on;

    ngx_http_conduit_hook_next_locked(zone, task);
}


ngx_uint_t
ngx_http_conduit_hook_disown_locked(ngx_http_conduit_zone_t *zone,
    ngx_uint_t cell)
{
    ngx_uint_t                     n;
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;
    ngx_http_conduit_task_node_t  *task;

    n = 0;

    while (!ngx_queue_empty(&zone->sh->cells[cell].hooks)) {
        q = ngx_queue_head(&zone->sh->cells[cell].hooks);
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, u.owned);
        task = hook->task;

        ngx_http_conduit_hook_back_locked(zone, hook, 0);

        /* progress that was overtaken has left its place to the next */

        if (task) {
            ngx_http_conduit_hook_next_locked(zone, task);
        }

        n++;
    }

    return n;
}


static int64_t
ngx_http_conduit_hook_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}
