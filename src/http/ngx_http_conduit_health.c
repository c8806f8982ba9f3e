
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_health.h>
#include <ngx_http_conduit_redis.h>
#include <ngx_http_conduit_store.h>
#include <ngx_http_conduit_task.h>
#include <ngx_http_conduit_webhook.h>
#include <conduit_json.h>
#include <conduit_time.h>


/* Health documents: the state of each part, and the worst of them for all. */


/* a provider is down after that many bad calls in a row */

#define NGX_HTTP_CONDUIT_HEALTH_STREAK    5

/* the zone is short of memory below that share of free pages */

#define NGX_HTTP_CONDUIT_HEALTH_FREE      10

#define NGX_HTTP_CONDUIT_HEALTH_SIZE      4096
#define NGX_HTTP_CONDUIT_HEALTH_PROVIDER  1024


typedef enum {
    NGX_HTTP_CONDUIT_HEALTHY = 0,
    NGX_HTTP_CONDUIT_DEGRADED,
    NGX_HTTP_CONDUIT_UNHEALTHY
} ngx_http_conduit_health_e;


typedef struct {
    u_char                           *p;
    u_char                           *last;
    ngx_uint_t                        n;           /* checks written */
    ngx_http_conduit_health_e         worst;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_sh_t            *sh;
} ngx_http_conduit_health_t;


static void ngx_http_conduit_health_parts(ngx_http_conduit_health_t *h,
    ngx_uint_t part);
static ngx_int_t ngx_http_conduit_health_send(ngx_http_request_t *r,
    ngx_http_conduit_health_t *h, ngx_str_t *checks);
static void ngx_http_conduit_health_tasks(ngx_http_conduit_health_t *h);
static void ngx_http_conduit_health_zone(ngx_http_conduit_health_t *h);
static void ngx_http_conduit_health_workers(ngx_http_conduit_health_t *h);
static void ngx_http_conduit_health_store(ngx_http_conduit_health_t *h);
static void ngx_http_conduit_health_signalr(ngx_http_conduit_health_t *h);
static void ngx_http_conduit_health_mean(u_char *p, ngx_uint_t sum,
    ngx_uint_t n, ngx_uint_t unit);
static void ngx_http_conduit_health_webhooks(ngx_http_conduit_health_t *h);
static void ngx_http_conduit_health_latency(u_char *p, ngx_atomic_t *counts);
static void ngx_http_conduit_health_providers(ngx_http_conduit_health_t *h);
static void ngx_http_conduit_health_each(ngx_http_conduit_health_t *h);
static ngx_http_conduit_health_e ngx_http_conduit_health_provider(
    ngx_http_conduit_health_t *h, ngx_http_conduit_provider_t *provider);
static void ngx_http_conduit_health_check(ngx_http_conduit_health_t *h,
    ngx_str_t *name, ngx_http_conduit_health_e health, const char *fmt, ...);


static const char *const  ngx_http_conduit_health_words[] = {
    "Healthy", "Degraded", "Unhealthy"
};


ngx_int_t
ngx_http_conduit_health_serve(ngx_http_request_t *r)
{
    size_t                        size;
    ngx_str_t                     checks;
    ngx_http_conduit_ctx_t       *ctx;
    ngx_http_conduit_health_t     h;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_HEALTH;

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
        return ngx_http_conduit_not_allowed(r, "GET, HEAD, OPTIONS");
    }

    ngx_memzero(&h, sizeof(ngx_http_conduit_health_t));

    h.cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    h.sh = h.cdmcf->zone.sh;

    size = NGX_HTTP_CONDUIT_HEALTH_SIZE
           + h.cdmcf->providers.nelts * NGX_HTTP_CONDUIT_HEALTH_PROVIDER;

    h.p = ngx_pnalloc(r->pool, size);
    if (h.p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h.last = h.p + size;
    checks.data = h.p;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    ngx_http_conduit_health_parts(&h, cdlcf->health);

    checks.len = h.p - checks.data;

    return ngx_http_conduit_health_send(r, &h, &checks);
}


static void
ngx_http_conduit_health_parts(ngx_http_conduit_health_t *h, ngx_uint_t part)
{
    switch (part) {

    case NGX_HTTP_CONDUIT_HEALTH_SIGNALR:
        ngx_http_conduit_health_signalr(h);
        break;

    case NGX_HTTP_CONDUIT_HEALTH_WEBHOOKS:
        ngx_http_conduit_health_webhooks(h);
        break;

    case NGX_HTTP_CONDUIT_HEALTH_PROVIDERS:
        ngx_http_conduit_health_each(h);
        break;

    case NGX_HTTP_CONDUIT_HEALTH_STORE:
        ngx_http_conduit_health_store(h);
        break;

    default:
        ngx_http_conduit_health_tasks(h);
        ngx_http_conduit_health_zone(h);
        ngx_http_conduit_health_workers(h);
        ngx_http_conduit_health_providers(h);
        ngx_http_conduit_health_store(h);
        ngx_http_conduit_health_signalr(h);
        ngx_http_conduit_health_webhooks(h);
    }
}


static ngx_int_t
ngx_http_conduit_health_send(ngx_http_request_t *r,
    ngx_http_conduit_health_t *h, ngx_str_t *checks)
{
    u_char      *p;
    ngx_str_t    text;
    ngx_time_t  *tp;

    static ngx_str_t  no_store = ngx_string("no-store");

    if (ngx_http_conduit_header(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, 128 + checks->len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.data = p;
    tp = ngx_timeofday();

    p = ngx_sprintf(p, "{\"status\":\"%s\",\"timestamp\":\"",
                    ngx_http_conduit_health_words[h->worst]);
    p = conduit_time_write(p, (int64_t) tp->sec * 1000 + tp->msec);
    p = ngx_sprintf(p, "\",\"checks\":{%V}}", checks);

    text.len = p - text.data;

    return ngx_http_conduit_reply(r, h->worst == NGX_HTTP_CONDUIT_UNHEALTHY
                                     ? NGX_HTTP_SERVICE_UNAVAILABLE
                                     : NGX_HTTP_OK, &text);
}


static void
ngx_http_conduit_health_tasks(ngx_http_conduit_health_t *h)
{
    uint32_t                   *status;
    ngx_uint_t                  limit;
    ngx_http_conduit_health_e   health;

    static ngx_str_t  name = ngx_string("tasks");

    status = h->sh->status;
    limit = h->cdmcf->task_limit_total;

    /* new tasks are refused at the limit, those that are there go on */

    health = (limit && h->sh->live >= limit) ? NGX_HTTP_CONDUIT_DEGRADED
                                             : NGX_HTTP_CONDUIT_HEALTHY;

    ngx_http_conduit_health_check(h, &name, health,
                                  "\"pending\":%uD,\"processing\":%uD,"
                                  "\"completed\":%uD,\"failed\":%uD,"
                                  "\"cancelled\":%uD,\"unfinished\":%uD,"
                                  "\"limit\":%ui",
                                  status[CONDUIT_PENDING],
                                  status[CONDUIT_PROCESSING],
                                  status[CONDUIT_COMPLETED],
                                  status[CONDUIT_FAILED],
                                  status[CONDUIT_CANCELLED],
                                  h->sh->live, limit);
}


static void
ngx_http_conduit_health_zone(ngx_http_conduit_health_t *h)
{
    size_t                      size, avail;
    ngx_uint_t                  tight;
    ngx_http_conduit_zone_t    *zone;
    ngx_http_conduit_health_e   health;

    static ngx_str_t  name = ngx_string("zone");

    zone = &h->cdmcf->zone;

    size = zone->shm_zone->shm.size;

    ngx_http_conduit_zone_lock(zone);

    avail = zone->shpool->pfree * ngx_pagesize;
    tight = ngx_http_conduit_zone_tight_locked(zone);

    ngx_http_conduit_zone_unlock(zone);

    if (tight) {

        /* no new tasks are taken */

        health = NGX_HTTP_CONDUIT_UNHEALTHY;

    } else {
        health = (avail / NGX_HTTP_CONDUIT_HEALTH_FREE < size / 100)
                 ? NGX_HTTP_CONDUIT_DEGRADED : NGX_HTTP_CONDUIT_HEALTHY;
    }

    ngx_http_conduit_health_check(h, &name, health,
                                  "\"size_bytes\":%uz,\"free_bytes\":%uz,"
                                  "\"used_bytes\":%uz,\"full\":%uA",
                                  size, avail, size - avail,
                                  h->sh->counters.nomem);
}


static void
ngx_http_conduit_health_workers(ngx_http_conduit_health_t *h)
{
    ngx_uint_t  i, n;

    static ngx_str_t  name = ngx_string("workers");

    n = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS; i++) {
        n += (h->sh->cells[i].pid != 0);
    }

    ngx_http_conduit_health_check(h, &name, NGX_HTTP_CONDUIT_HEALTHY,
                                  "\"alive\":%ui,\"takeovers\":%uA", n,
                                  h->sh->counters.takeovers);
}


static void
ngx_http_conduit_health_store(ngx_http_conduit_health_t *h)
{
    ngx_http_conduit_redis_t  *redis;

    static ngx_str_t  name = ngx_string("store");

    redis = h->cdmcf->redis;

    if (redis) {
        ngx_http_conduit_health_check(h, &name,
                                      redis->calls.up && redis->channels.up
                                      ? NGX_HTTP_CONDUIT_HEALTHY
                                      : NGX_HTTP_CONDUIT_DEGRADED,
                                      "\"backend\":\"redis\","
                                      "\"connected\":%s,\"unsaved\":%s",
                                      redis->calls.up ? "true" : "false",
                                      h->sh->unsaved ? "true" : "false");
        return;
    }

    if (!h->cdmcf->store->durable) {
        ngx_http_conduit_health_check(h, &name, NGX_HTTP_CONDUIT_HEALTHY,
                                      "\"backend\":\"%s\"",
                                      h->cdmcf->store->name);
        return;
    }

    /* what there is goes on when nothing new can be kept */

    ngx_http_conduit_health_check(h, &name,
                                  h->sh->counters.store_bad
                                  ? NGX_HTTP_CONDUIT_DEGRADED
                                  : NGX_HTTP_CONDUIT_HEALTHY,
                                  "\"backend\":\"%s\",\"used_bytes\":%uA,"
                                  "\"failures\":%uA",
                                  h->cdmcf->store->name,
                                  h->sh->counters.store_used,
                                  h->sh->counters.store_failed);
}


static void
ngx_http_conduit_health_signalr(ngx_http_conduit_health_t *h)
{
    u_char                        duration[NGX_INT64_LEN + 8];
    u_char                        latency[NGX_INT64_LEN + 8];
    ngx_uint_t                    total, limit;
    ngx_http_conduit_health_e     health;
    ngx_http_conduit_counters_t  *n;

    static ngx_str_t  name = ngx_string("signalr");

    n = &h->sh->counters;
    limit = h->cdmcf->connections_total;
    total = n->hub_connects[0] + n->hub_connects[1] + n->hub_connects[2];

    ngx_http_conduit_health_mean(duration, n->hub_duration_sum, n->hub_closed,
                                 1000);
    ngx_http_conduit_health_mean(latency, n->hub_latency_sum,
                                 n->hub_latency_n, 1000);

    /* new connections are refused at the limit, those that are there stay */

    health = (h->sh->connections >= limit) ? NGX_HTTP_CONDUIT_DEGRADED
                                           : NGX_HTTP_CONDUIT_HEALTHY;

    ngx_http_conduit_health_check(h, &name, health,
                                  "\"connections_active\":%uD,"
                                  "\"connections_limit\":%ui,"
                                  "\"connections_total\":%ui,"
                                  "\"connections_refused\":%uA,"
                                  "\"reconnections\":%uA,"
                                  "\"average_duration_seconds\":%s,"
                                  "\"messages\":%uA,"
                                  "\"average_message_latency_ms\":%s",
                                  h->sh->connections, limit, total,
                                  n->hub_refused, n->hub_reconnects, duration,
                                  n->hub_messages, latency);
}


/* sum / n / unit with three decimals, or null; with a zero at its end */

static void
ngx_http_conduit_health_mean(u_char *p, ngx_uint_t sum, ngx_uint_t n,
    ngx_uint_t unit)
{
    uint64_t  mean;

    if (n == 0) {
        ngx_memcpy(p, "null", sizeof("null"));
        return;
    }

    mean = (uint64_t) sum * 1000 / n / unit;

    *ngx_sprintf(p, "%uL.%03uL", mean / 1000, mean % 1000) = '\0';
}


/* a receiver that is down is no fault of this server */

static void
ngx_http_conduit_health_webhooks(ngx_http_conduit_health_t *h)
{
    u_char                           success[NGX_INT64_LEN + 8];
    u_char                           retry[NGX_INT64_LEN + 8];
    u_char                           latency[NGX_INT64_LEN + 8];
    u_char                           oldest[NGX_INT64_LEN + 8];
    ngx_uint_t                       i, ok, failed, attempts;
    ngx_http_conduit_counters_t     *n;
    ngx_http_conduit_hook_gauges_t   now;

    static ngx_str_t  name = ngx_string("webhooks");

    n = &h->sh->counters;

    ok = n->hook_ended[NGX_HTTP_CONDUIT_HOOK_DELIVERED];
    failed = n->hook_ended[NGX_HTTP_CONDUIT_HOOK_FAILED];
    attempts = 0;

    for (i = 0; i < CONDUIT_FAIL_N; i++) {
        attempts += n->hook_attempts[i];
    }

    ngx_http_conduit_webhook_gauges(h->cdmcf, &now);
    ngx_http_conduit_webhook_backlog(h->cdmcf, &now);

    ngx_http_conduit_health_mean(success, ok, ok + failed, 1);
    ngx_http_conduit_health_mean(retry, n->hook_retries, attempts, 1);
    ngx_http_conduit_health_latency(latency, n->hook_latency);
    ngx_http_conduit_health_mean(oldest, now.oldest, now.oldest >= 0, 1000);

    ngx_http_conduit_health_check(h, &name, NGX_HTTP_CONDUIT_HEALTHY,
                                  "\"succeeded\":%ui,\"failed\":%ui,"
                                  "\"retrying\":%ui,\"pending\":%ui,"
                                  "\"parked\":%ui,\"success_rate\":%s,"
                                  "\"retry_rate\":%s,"
                                  "\"p95_latency_ms\":%s,"
                                  "\"breakers_open\":%ui,"
                                  "\"breakers_half_open\":%ui,"
                                  "\"oldest_pending_seconds\":%s",
                                  ok, failed, now.retrying, now.waiting,
                                  now.parked, success, retry, latency,
                                  now.open, now.half_open, oldest);
}


/* 95 of 100 were delivered in so many ms, as far as their classes tell */

static void
ngx_http_conduit_health_latency(u_char *p, ngx_atomic_t *counts)
{
    ngx_uint_t  i, low, high, total, sum, rank;

    total = 0;

    for (i = 0; i <= NGX_HTTP_CONDUIT_LATENCIES; i++) {
        total += counts[i];
    }

    if (total == 0) {
        ngx_memcpy(p, "null", sizeof("null"));
        return;
    }

    rank = total - total / 20;
    sum = 0;
    low = 0;
    high = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_LATENCIES; i++) {
        low = high;
        high = ngx_http_conduit_latencies[i];

        if (sum + counts[i] >= rank) {
            low += (high - low) * (rank - sum) / counts[i];
            break;
        }

        sum += counts[i];
    }

    *ngx_sprintf(p, "%ui", i < NGX_HTTP_CONDUIT_LATENCIES ? low : high) = '\0';
}


/* all providers in one check; their faults are not those of this server */

static void
ngx_http_conduit_health_providers(ngx_http_conduit_health_t *h)
{
    ngx_uint_t                          i, n, bad, running, waiting;
    ngx_http_conduit_health_e           health;
    ngx_http_conduit_provider_t       **providers;
    ngx_http_conduit_provider_node_t   *pn;

    static ngx_str_t  name = ngx_string("providers");

    bad = 0;
    running = 0;
    waiting = 0;

    providers = h->cdmcf->providers.elts;
    n = h->cdmcf->providers.nelts;

    for (i = 0; i < n; i++) {
        pn = &h->sh->providers[providers[i]->index];

        running += pn->running;
        waiting += pn->waiting;
        bad += (ngx_http_conduit_health_provider(h, providers[i])
                != NGX_HTTP_CONDUIT_HEALTHY);
    }

    health = (bad == 0) ? NGX_HTTP_CONDUIT_HEALTHY
                        : NGX_HTTP_CONDUIT_DEGRADED;

    ngx_http_conduit_health_check(h, &name, health,
                                  "\"total\":%ui,\"degraded\":%ui,"
                                  "\"running\":%ui,\"waiting\":%ui",
                                  n, bad, running, waiting);
}


/* one check for each provider */

static void
ngx_http_conduit_health_each(ngx_http_conduit_health_t *h)
{
    ngx_uint_t                          i;
    ngx_http_conduit_provider_t       **providers;
    ngx_http_conduit_provider_node_t   *pn;

    static const char *const  types[] = { "described", "sandbox", "worker" };

    providers = h->cdmcf->providers.elts;

    for (i = 0; i < h->cdmcf->providers.nelts; i++) {
        pn = &h->sh->providers[providers[i]->index];

        ngx_http_conduit_health_check(h, &providers[i]->name,
                      ngx_http_conduit_health_provider(h, providers[i]),
                      "\"type\":\"%s\",\"running\":%uD,\"waiting\":%uD,"
                      "\"succeeded\":%uA,\"failed\":%uA,\"retried\":%uA,"
                      "\"bad_in_a_row\":%uA",
                      types[providers[i]->type], pn->running, pn->waiting,
                      pn->ok, pn->failed, pn->retried, pn->streak);
    }
}


static ngx_http_conduit_health_e
ngx_http_conduit_health_provider(ngx_http_conduit_health_t *h,
    ngx_http_conduit_provider_t *provider)
{
    ngx_http_conduit_provider_node_t  *pn;

    pn = &h->sh->providers[provider->index];

    if (pn->streak >= NGX_HTTP_CONDUIT_HEALTH_STREAK
        || (provider->queue && pn->waiting >= provider->queue))
    {
        return NGX_HTTP_CONDUIT_DEGRADED;
    }

    return NGX_HTTP_CONDUIT_HEALTHY;
}


static void
ngx_http_conduit_health_check(ngx_http_conduit_health_t *h, ngx_str_t *name,
    ngx_http_conduit_health_e health, const char *fmt, ...)
{
    va_list  args;

    if ((size_t) (h->last - h->p) < name->len * 6) {
        return;
    }

    h->p = ngx_slprintf(h->p, h->last, "%s\"", h->n++ ? "," : "");
    h->p += conduit_json_escape(h->p, name->data, name->len);
    h->p = ngx_slprintf(h->p, h->last, "\":{\"status\":\"%s\",",
                        ngx_http_conduit_health_words[health]);

    va_start(args, fmt);
    h->p = ngx_vslprintf(h->p, h->last, fmt, args);
    va_end(args);

    h->p = ngx_slprintf(h->p, h->last, "}");

    if (health > h->worst) {
        h->worst = health;
    }
}
