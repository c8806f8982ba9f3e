
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_wakeup.h>
#include <ngx_http_conduit_due.h>
#include <ngx_http_conduit_watch.h>


/* rings are read by this timer while processes of other cycles live */

#define NGX_HTTP_CONDUIT_RINGS  50

/* due steps of one turn of the event loop */

#define NGX_HTTP_CONDUIT_TURN   64


static void ngx_http_conduit_scheduler_event(ngx_http_conduit_engine_t *engine,
    ngx_event_t *ev, ngx_event_handler_pt handler);
static void ngx_http_conduit_scheduler_timer(ngx_event_t *ev);
static void ngx_http_conduit_scheduler_tick(ngx_event_t *ev);
static void ngx_http_conduit_scheduler_leave(ngx_http_conduit_engine_t *engine);
static void ngx_http_conduit_scheduler_rings(ngx_event_t *ev);
static void ngx_http_conduit_scheduler_turn(ngx_event_t *ev);
static void ngx_http_conduit_scheduler_orphans(
    ngx_http_conduit_engine_t *engine, ngx_uint_t provider);
static ngx_uint_t ngx_http_conduit_scheduler_orphan(
    ngx_http_conduit_engine_t *engine, ngx_uint_t provider, u_char *id);
static ngx_int_t ngx_http_conduit_scheduler_fail(
    ngx_http_conduit_engine_t *engine, u_char *id, conduit_error_code_e code);
static void ngx_http_conduit_scheduler_lapse(ngx_http_conduit_engine_t *engine,
    u_char *id, uint64_t lease);


ngx_int_t
ngx_http_conduit_scheduler_init(ngx_http_conduit_engine_t *engine)
{
    engine->dummy.fd = (ngx_socket_t) -1;

    ngx_http_conduit_scheduler_event(engine, &engine->timer,
                                     ngx_http_conduit_scheduler_timer);
    ngx_http_conduit_scheduler_event(engine, &engine->tick,
                                     ngx_http_conduit_scheduler_tick);
    ngx_http_conduit_scheduler_event(engine, &engine->rings,
                                     ngx_http_conduit_scheduler_rings);
    ngx_http_conduit_scheduler_event(engine, &engine->turn,
                                     ngx_http_conduit_scheduler_turn);

    ngx_add_timer(&engine->tick, NGX_HTTP_CONDUIT_TICK);
    ngx_add_timer(&engine->rings, NGX_HTTP_CONDUIT_RINGS);
    ngx_post_event(&engine->turn, &ngx_posted_events);

    return NGX_OK;
}


void
ngx_http_conduit_scheduler_exit(ngx_http_conduit_engine_t *engine)
{
    ngx_uint_t    i;
    ngx_event_t  *events[] = { &engine->timer, &engine->tick, &engine->rings,
                               &engine->turn, &engine->fire };

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {

        if (events[i]->timer_set) {
            ngx_del_timer(events[i]);
        }

        if (events[i]->posted) {
            ngx_delete_posted_event(events[i]);
        }
    }
}


static void
ngx_http_conduit_scheduler_event(ngx_http_conduit_engine_t *engine,
    ngx_event_t *ev, ngx_event_handler_pt handler)
{
    /* in debug logs events are named by the descriptor of a connection */

    engine->dummy.data = engine;

    ev->data = &engine->dummy;
    ev->handler = handler;
    ev->log = engine->log;
    ev->cancelable = 1;
}


void
ngx_http_conduit_scheduler_wake(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_msec_t after)
{
    ngx_event_t  *ev;

    if (after == 0) {
        ngx_post_event(&cdmcf->engine->turn, &ngx_posted_events);
        return;
    }

    ev = &cdmcf->engine->timer;

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) after)
        {
            return;
        }

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, after);
}


static void
ngx_http_conduit_scheduler_timer(ngx_event_t *ev)
{
    ngx_connection_t           *c = ev->data;
    ngx_http_conduit_engine_t  *engine = c->data;

    ngx_http_conduit_scheduler_turn(&engine->turn);
}


static void
ngx_http_conduit_scheduler_tick(ngx_event_t *ev)
{
    ngx_connection_t           *c = ev->data;
    ngx_http_conduit_engine_t  *engine = c->data;

    ngx_uint_t                  i, n;
    ngx_http_conduit_sh_t      *sh;

    sh = engine->cdmcf->zone.sh;

    n = ngx_http_conduit_cell_beat(&engine->cdmcf->zone);

    if (n) {
        (void) ngx_atomic_fetch_add(&sh->counters.takeovers, n);

        ngx_log_error(NGX_LOG_NOTICE, engine->log, 0,
                      "conduit: took over %ui steps of a dead process", n);
    }

    ngx_http_conduit_orphans(engine);

    for (i = 0; i < sh->nproviders; i++) {
        if (sh->providers[i].waiting == 0 || sh->loading) {
            continue;
        }

        if (engine->providers[i]) {
            ngx_http_conduit_pump(engine, i);

        } else {
            ngx_http_conduit_scheduler_orphans(engine, i);
        }
    }

    ngx_http_conduit_scheduler_turn(&engine->turn);

    if (ngx_exiting) {
        ngx_http_conduit_scheduler_leave(engine);
    }

    ngx_add_timer(ev, NGX_HTTP_CONDUIT_TICK);
}


/* after worker_shutdown_timeout no change is a reason to stay */

static void
ngx_http_conduit_scheduler_leave(ngx_http_conduit_engine_t *engine)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(engine->cycle->conf_ctx,
                                           ngx_core_module);

    if (engine->leaving == 0) {
        engine->leaving = ngx_current_msec;
    }

    engine->late = (ccf->shutdown_timeout
                    && ngx_current_msec - engine->leaving
                       >= ccf->shutdown_timeout);
}


static void
ngx_http_conduit_scheduler_rings(ngx_event_t *ev)
{
    ngx_connection_t           *c = ev->data;
    ngx_http_conduit_engine_t  *engine = c->data;

    ngx_msec_t                  next;

    next = 10 * NGX_HTTP_CONDUIT_RINGS;

    if (ngx_http_conduit_cell_strangers(&engine->cdmcf->zone)) {
        ngx_http_conduit_news_read(engine);
        next = NGX_HTTP_CONDUIT_RINGS;
    }

    ngx_add_timer(ev, next);
}


static void
ngx_http_conduit_scheduler_turn(ngx_event_t *ev)
{
    ngx_connection_t           *c = ev->data;
    ngx_http_conduit_engine_t  *engine = c->data;

    u_char                      id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                    lease;
    ngx_uint_t                  i;
    ngx_msec_t                  wait;

    /* tasks that are not complete yet; the tick looks again */

    if (engine->cdmcf->zone.sh->loading) {
        return;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_TURN; i++) {

        switch (ngx_http_conduit_due_next(engine, id, &lease, &wait)) {

        case NGX_HTTP_CONDUIT_DUE_NONE:

            if (wait) {
                ngx_http_conduit_scheduler_wake(engine->cdmcf, wait);
            }

            return;

        case NGX_HTTP_CONDUIT_DUE_PERFORM:
            ngx_http_conduit_step_perform(engine, id, lease);
            break;

        case NGX_HTTP_CONDUIT_DUE_TIMEOUT:
            (void) ngx_http_conduit_scheduler_fail(engine, id,
                                                   CONDUIT_ERR_TIMEOUT);
            break;

        case NGX_HTTP_CONDUIT_DUE_GONE:
            (void) ngx_http_conduit_scheduler_fail(engine, id,
                                             CONDUIT_ERR_PROVIDER_UNAVAILABLE);
            break;

        case NGX_HTTP_CONDUIT_DUE_TRIED:
            (void) ngx_http_conduit_scheduler_fail(engine, id,
                                             CONDUIT_ERR_PROVIDER_UNKNOWN);
            break;

        case NGX_HTTP_CONDUIT_DUE_LAPSE:
            ngx_http_conduit_scheduler_lapse(engine, id, lease);
            break;

        case NGX_HTTP_CONDUIT_DUE_AGAIN:
        case NGX_HTTP_CONDUIT_DUE_OVER:
            break;
        }
    }

    /* more is due: let others have the event loop in between */

    ngx_http_conduit_scheduler_wake(engine->cdmcf, 1);
}


/* tasks that wait for a provider which a reload has taken away */

static void
ngx_http_conduit_scheduler_orphans(ngx_http_conduit_engine_t *engine,
    ngx_uint_t provider)
{
    u_char      id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_TURN; i++) {

        if (!ngx_http_conduit_scheduler_orphan(engine, provider, id)
            || ngx_http_conduit_scheduler_fail(engine, id,
                                         CONDUIT_ERR_PROVIDER_UNAVAILABLE)
               == NGX_ERROR)
        {
            return;
        }
    }
}


static ngx_uint_t
ngx_http_conduit_scheduler_orphan(ngx_http_conduit_engine_t *engine,
    ngx_uint_t provider, u_char *id)
{
    conduit_rank_node_t           *first;
    ngx_http_conduit_lane_t       *lane;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;

    if (ngx_exiting || ngx_terminate
        || zone->generation != zone->sh->generation)
    {
        return 0;
    }

    first = NULL;

    ngx_http_conduit_zone_lock(zone);

    for (lane = zone->sh->providers[provider].lanes;
         lane && first == NULL;
         lane = lane->next)
    {
        first = conduit_rank_first(&lane->queue);
    }

    if (first) {
        node = ngx_http_conduit_lane_task(first);
        ngx_memcpy(id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
    }

    ngx_http_conduit_zone_unlock(zone);

    return first != NULL;
}


static ngx_int_t
ngx_http_conduit_scheduler_fail(ngx_http_conduit_engine_t *engine, u_char *id,
    conduit_error_code_e code)
{
    ngx_http_conduit_change_t  change;

    ngx_http_conduit_change_task(&change, id, 0);

    change.once = 1;
    change.event = CONDUIT_EV_FAIL;
    change.error_code = code;

    return ngx_http_conduit_task_advance(engine->cdmcf, &change, NULL, NULL);
}


/* a pulling worker has been silent for too long: the next one may try */

static void
ngx_http_conduit_scheduler_lapse(ngx_http_conduit_engine_t *engine, u_char *id,
    uint64_t lease)
{
    ngx_http_conduit_change_t  change;

    if (ngx_http_conduit_task_fallback(engine->cdmcf, id, lease,
                                       CONDUIT_ERR_PROVIDER_UNAVAILABLE, 1,
                                       NULL)
        != NGX_DECLINED)
    {
        return;
    }

    ngx_http_conduit_change_task(&change, id, lease);

    change.attempt = 1;
    change.event = CONDUIT_EV_REQUEUE;
    change.step = NGX_HTTP_CONDUIT_STEP_QUEUED;
    change.error_code = CONDUIT_ERR_PROVIDER_UNAVAILABLE;

    (void) ngx_http_conduit_task_advance(engine->cdmcf, &change, NULL, NULL);
}
