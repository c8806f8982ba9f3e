
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_attempt.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_watch.h>
#include <ngx_http_conduit_webhook.h>


/* the longest that what is due by another process's doing goes unseen */

#define NGX_HTTP_CONDUIT_WEBHOOK_TICK     250

/* attempts begun in one turn of the event loop */

#define NGX_HTTP_CONDUIT_WEBHOOK_TURN     64

/* connections of nginx that are left to others, and the pause without them */

#define NGX_HTTP_CONDUIT_WEBHOOK_RESERVE  32
#define NGX_HTTP_CONDUIT_WEBHOOK_PAUSE    50

#define NGX_HTTP_CONDUIT_WEBHOOK_SCRATCH  8192


static void ngx_http_conduit_webhook_conf(ngx_http_conduit_sender_t *sender);
static void ngx_http_conduit_webhook_event(ngx_http_conduit_sender_t *sender,
    ngx_event_t *ev, ngx_event_handler_pt handler);
static void ngx_http_conduit_webhook_pump(ngx_event_t *ev);
static void ngx_http_conduit_webhook_timer(ngx_event_t *ev);
static void ngx_http_conduit_webhook_tick(ngx_event_t *ev);
static void ngx_http_conduit_webhook_after(ngx_http_conduit_sender_t *sender,
    ngx_msec_t after);
static void ngx_http_conduit_webhook_permitted(void *data);
static ngx_int_t ngx_http_conduit_webhook_claim(
    ngx_http_conduit_sender_t *sender, ngx_http_conduit_hook_claim_t *claim,
    ngx_msec_t *wait);
static ngx_int_t ngx_http_conduit_webhook_room(
    ngx_http_conduit_sender_t *sender, size_t size);
static void ngx_http_conduit_webhook_count(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim,
    ngx_http_conduit_hook_result_t *result);
static void ngx_http_conduit_webhook_log(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim,
    ngx_http_conduit_hook_result_t *result);


ngx_uint_t  ngx_http_conduit_latencies[NGX_HTTP_CONDUIT_LATENCIES] = {
    5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000
};


ngx_int_t
ngx_http_conduit_webhook_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hook_key_pt key)
{
    ngx_http_conduit_sender_t  *sender;

    sender = ngx_pcalloc(cycle->pool, sizeof(ngx_http_conduit_sender_t));
    if (sender == NULL) {
        return NGX_ERROR;
    }

    sender->cdmcf = cdmcf;
    sender->key = key;
    sender->log = cycle->log;

    if (ngx_http_conduit_webhook_room(sender,
                                      NGX_HTTP_CONDUIT_WEBHOOK_SCRATCH)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_conduit_webhook_conf(sender);

    sender->dummy.fd = (ngx_socket_t) -1;
    sender->dummy.data = sender;

    ngx_http_conduit_webhook_event(sender, &sender->pump,
                                   ngx_http_conduit_webhook_pump);
    ngx_http_conduit_webhook_event(sender, &sender->timer,
                                   ngx_http_conduit_webhook_timer);
    ngx_http_conduit_webhook_event(sender, &sender->tick,
                                   ngx_http_conduit_webhook_tick);

    cdmcf->sender = sender;

    ngx_add_timer(&sender->tick, NGX_HTTP_CONDUIT_WEBHOOK_TICK);

    return NGX_OK;
}


static void
ngx_http_conduit_webhook_conf(ngx_http_conduit_sender_t *sender)
{
    ngx_http_conduit_hook_conf_t     *conf;
    ngx_http_conduit_webhook_conf_t  *wcf;

    wcf = &sender->cdmcf->webhook;
    conf = &sender->conf;

    conf->breaker = wcf->breaker;
    conf->per_origin = wcf->per_origin;
    conf->per_key = wcf->per_key;
    conf->total = wcf->total;
    conf->ttl = sender->cdmcf->task_ttl;
}


static void
ngx_http_conduit_webhook_event(ngx_http_conduit_sender_t *sender,
    ngx_event_t *ev, ngx_event_handler_pt handler)
{
    ev->data = &sender->dummy;
    ev->handler = handler;
    ev->log = sender->log;
    ev->cancelable = 1;
}


void
ngx_http_conduit_webhook_exit(ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_sender_t  *sender;

    sender = cdmcf->sender;

    if (sender == NULL) {
        return;
    }

    cdmcf->sender = NULL;

    if (sender->timer.timer_set) {
        ngx_del_timer(&sender->timer);
    }

    if (sender->tick.timer_set) {
        ngx_del_timer(&sender->tick);
    }

    if (sender->pump.posted) {
        ngx_delete_posted_event(&sender->pump);
    }

    ngx_free(sender->scratch);
}


static void
ngx_http_conduit_webhook_tick(ngx_event_t *ev)
{
    ngx_connection_t           *c = ev->data;
    ngx_http_conduit_sender_t  *sender = c->data;

    ngx_http_conduit_webhook_pump(&sender->pump);

    ngx_add_timer(ev, NGX_HTTP_CONDUIT_WEBHOOK_TICK);
}


static void
ngx_http_conduit_webhook_timer(ngx_event_t *ev)
{
    ngx_connection_t           *c = ev->data;
    ngx_http_conduit_sender_t  *sender = c->data;

    ngx_http_conduit_webhook_pump(&sender->pump);
}


static void
ngx_http_conduit_webhook_pump(ngx_event_t *ev)
{
    ngx_connection_t           *c = ev->data;
    ngx_http_conduit_sender_t  *sender = c->data;

    ngx_uint_t                     i;
    ngx_msec_t                     wait;
    ngx_http_conduit_hook_claim_t  claim;

    if (sender->cdmcf->zone.sh->loading) {
        return;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_WEBHOOK_TURN; i++) {

        if (ngx_http_conduit_webhook_claim(sender, &claim, &wait) != NGX_OK) {

            if (wait) {
                ngx_http_conduit_webhook_after(sender, wait);
            }

            return;
        }

        if (!claim.copied) {
            continue;
        }

        ngx_http_conduit_attempt(sender, &claim, sender->scratch);
    }

    /* more is due: let others have the event loop in between */

    ngx_http_conduit_webhook_after(sender, 1);
}


static void
ngx_http_conduit_webhook_after(ngx_http_conduit_sender_t *sender,
    ngx_msec_t after)
{
    ngx_event_t  *ev;

    ev = &sender->timer;

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


static ngx_int_t
ngx_http_conduit_webhook_claim(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim, ngx_msec_t *wait)
{
    ngx_int_t                     rc;
    ngx_uint_t                    n;
    ngx_http_conduit_zone_t      *zone;
    ngx_http_conduit_engine_t    *engine;
    ngx_http_conduit_key_node_t  *ask;

    zone = &sender->cdmcf->zone;
    engine = sender->cdmcf->engine;
    *wait = 0;

    /* a process that is about to leave begins nothing */

    if (ngx_exiting || ngx_terminate
        || zone->cell == NGX_HTTP_CONDUIT_NOBODY)
    {
        return NGX_AGAIN;
    }

    if (ngx_cycle->free_connection_n + ngx_cycle->reusable_connections_n
        < NGX_HTTP_CONDUIT_WEBHOOK_RESERVE)
    {
        *wait = NGX_HTTP_CONDUIT_WEBHOOK_PAUSE;
        return NGX_AGAIN;
    }

    sender->conf.unleased = (engine && engine->unleased)
                            ? engine->unleased(sender->cdmcf) : 0;

    ngx_http_conduit_zone_lock(zone);

    rc = ngx_http_conduit_hook_claim_locked(zone, &sender->conf, claim,
                                            sender->scratch, sender->size,
                                            wait);

    ask = zone->ask;
    n = zone->asked;
    zone->ask = NULL;

    ngx_http_conduit_zone_unlock(zone);

    if (ask) {
        ngx_http_conduit_watch_permit(sender->cdmcf, ask, n,
                                      ngx_http_conduit_webhook_permitted,
                                      sender);
    }

    if (rc != NGX_OK || claim->copied) {
        return rc;
    }

    if (ngx_http_conduit_webhook_room(sender, claim->body + claim->settings)
        != NGX_OK)
    {
        ngx_http_conduit_attempt_back(sender, claim,
                                      NGX_HTTP_CONDUIT_WEBHOOK_PAUSE);
        return NGX_OK;
    }

    ngx_http_conduit_zone_lock(zone);

    (void) ngx_http_conduit_hook_copy_locked(zone, claim, sender->scratch);

    ngx_http_conduit_zone_unlock(zone);

    return NGX_OK;
}


static void
ngx_http_conduit_webhook_permitted(void *data)
{
    ngx_http_conduit_sender_t  *sender = data;

    ngx_http_conduit_webhook_after(sender, 0);
}


static ngx_int_t
ngx_http_conduit_webhook_room(ngx_http_conduit_sender_t *sender, size_t size)
{
    u_char  *p;

    p = ngx_alloc(size, sender->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (sender->scratch) {
        ngx_free(sender->scratch);
    }

    sender->scratch = p;
    sender->size = size;

    return NGX_OK;
}


void
ngx_http_conduit_attempt_back(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim, ngx_msec_t after)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_node_t  *hook;

    zone = &sender->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    hook = ngx_http_conduit_hook_find_locked(zone, claim->id);

    if (hook && hook->lease == claim->lease) {
        ngx_http_conduit_hook_back_locked(zone, hook, after);
    }

    ngx_http_conduit_zone_unlock(zone);

    ngx_http_conduit_webhook_after(sender, after);
}


void
ngx_http_conduit_attempt_end(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim,
    ngx_http_conduit_hook_result_t *result, int64_t after)
{
    uint64_t                       pause, number;
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_store_t      *store;
    ngx_http_conduit_hook_node_t  *hook;
    ngx_http_conduit_kept_hook_t   kept;

    zone = &sender->cdmcf->zone;
    number = 0;

    ngx_memcpy(result->id, claim->id, CONDUIT_BASE62_LEN);
    result->lease = claim->lease;

    if (!result->drop && !claim->once
        && conduit_failure_transient(result->failure,
                                     (unsigned) result->status)
        && conduit_retry_pause(&sender->cdmcf->webhook.retry,
                               (unsigned) claim->tries + 1, after,
                               (uint32_t) ngx_random(), &pause)
           == CONDUIT_OK)
    {
        /*
         * It may not be earlier: the clock counts whole milliseconds, and
         * stands still while the events of a turn are handled.
         */

        ngx_time_update();

        result->retry = 1;
        result->pause = (ngx_msec_t) pause + 1;
    }

    ngx_http_conduit_zone_lock(zone);

    rc = ngx_http_conduit_hook_end_locked(zone, &sender->conf, result);

    hook = ngx_http_conduit_hook_find_locked(zone, result->id);

    if (rc == NGX_OK && hook
        && ngx_http_conduit_record_hook_locked(&kept, hook))
    {
        number = hook->task->number;
    }

    ngx_http_conduit_zone_unlock(zone);

    store = sender->cdmcf->store;

    if (number && store->hook) {
        store->hook(store, number, &kept);
    }

    if (rc == NGX_OK) {
        ngx_http_conduit_webhook_count(sender, claim, result);
        ngx_http_conduit_webhook_log(sender, claim, result);
    }

    /* whatever has waited for this end, the next attempt among it */

    ngx_post_event(&sender->pump, &ngx_posted_events);
}


static void
ngx_http_conduit_webhook_count(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim,
    ngx_http_conduit_hook_result_t *result)
{
    ngx_uint_t                    i;
    ngx_http_conduit_counters_t  *counters;

    counters = &sender->cdmcf->zone.sh->counters;

    if (result->drop) {
        return;
    }

    (void) ngx_atomic_fetch_add(&counters->hook_attempts[result->failure], 1);
    (void) ngx_atomic_fetch_add(&counters->hook_duration_sum,
                                result->duration);

    if (claim->tries) {
        (void) ngx_atomic_fetch_add(&counters->hook_retries, 1);
    }

    if (result->change == CONDUIT_BREAKER_TRIPPED) {
        (void) ngx_atomic_fetch_add(&counters->hook_trips, 1);
    }

    if (result->failure != CONDUIT_FAIL_NONE || result->latency < 0) {
        return;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_LATENCIES; i++) {
        if (result->latency <= (int64_t) ngx_http_conduit_latencies[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&counters->hook_latency[i], 1);
    (void) ngx_atomic_fetch_add(&counters->hook_latency_sum, result->latency);
}


/* the class of a failure, and nothing of the URL, the headers or the bodies */

static void
ngx_http_conduit_webhook_log(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim,
    ngx_http_conduit_hook_result_t *result)
{
    const char           *address;
    ngx_str_t             key;
    ngx_uint_t            level;
    const conduit_str_t  *word;

    static const char  *states[] = {
        "tried again later", "parked", "delivered", "failed", "dropped"
    };

    key.len = claim->key->len;
    key.data = claim->key->name;

    if (result->drop) {
        ngx_log_error(NGX_LOG_NOTICE, sender->log, 0,
                      "conduit: webhook whe_%*s was dropped: key \"%V\" is "
                      "gone", (size_t) CONDUIT_BASE62_LEN, claim->id, &key);
        return;
    }

    level = (result->state == NGX_HTTP_CONDUIT_HOOK_FAILED)
            ? NGX_LOG_NOTICE : NGX_LOG_INFO;

    word = conduit_failure_word(result->failure);
    address = (result->address == NGX_HTTP_CONDUIT_HOOK_NOWHERE)
              ? "no" : conduit_addr_class_word(
                                       (conduit_addr_class_e) result->address);

    ngx_log_error(level, sender->log, 0,
                  "conduit: webhook whe_%*s of key \"%V\", attempt %ui at %s "
                  "address: status %ui, %s in %M ms, %s",
                  (size_t) CONDUIT_BASE62_LEN, claim->id, &key,
                  claim->attempts + 1, address, result->status,
                  word->len ? (char *) word->data : "ok", result->duration,
                  states[result->state]);

    switch (result->change) {

    case CONDUIT_BREAKER_TRIPPED:
        ngx_log_error(NGX_LOG_WARN, sender->log, 0,
                      "conduit: a receiver of webhooks of key \"%V\" fails, "
                      "its deliveries are parked", &key);
        break;

    case CONDUIT_BREAKER_RECOVERED:
        ngx_log_error(NGX_LOG_NOTICE, sender->log, 0,
                      "conduit: a receiver of webhooks of key \"%V\" is back",
                      &key);
        break;

    default:
        break;
    }
}
