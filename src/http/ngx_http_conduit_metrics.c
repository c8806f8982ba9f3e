
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_metrics.h>
#include <ngx_http_conduit_task.h>
#include <conduit_json.h>


/*
 * The text format of Prometheus, version 0.0.4.  All numbers lie in the zone,
 * so that every worker tells the same ones.  Labels have few values: kinds,
 * words of ours, HTTP status codes, and providers of the configuration.
 */


/* room for all that does not depend on the number of providers */

#define NGX_HTTP_CONDUIT_METRICS_SIZE      65536
#define NGX_HTTP_CONDUIT_METRICS_PROVIDER  2048


typedef struct {
    const char                       *name;
    const char                       *type;
    const char                       *help;
    size_t                            offset;      /* in the counters */
} ngx_http_conduit_metric_t;


static void ngx_http_conduit_metrics_http(ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_tasks(ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_failed(ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_times(ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_providers(ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_provider(ngx_http_conduit_metrics_t *m,
    const char *name, ngx_str_t *provider, const char *outcome,
    ngx_uint_t value);
static void ngx_http_conduit_metrics_zone(ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_hubs(ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_simple(ngx_http_conduit_metrics_t *m);
static u_char *ngx_http_conduit_metrics_seconds(u_char *p, ngx_uint_t ms);


/* codes that are counted by themselves; the last is for all others */

static const u_short  ngx_http_conduit_codes[NGX_HTTP_CONDUIT_CODES] = {
    200, 202, 304, 204, 429, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422,
    499, 500, 502, 503, 504, 0
};


static const char *const  ngx_http_conduit_endpoints[] = {
    "other", "create", "sync", "status", "events", "cancel", "retry", "list",
    "worker", "health", "metrics", "hub", "webhooks",
    "other"
};


static const char *const  ngx_http_conduit_kinds[] = { "image", "video" };


static const ngx_uint_t  ngx_http_conduit_intervals[] = {
    100, 250, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000
};

#define NGX_HTTP_CONDUIT_INTERVALS                                            \
    (sizeof(ngx_http_conduit_intervals) / sizeof(ngx_uint_t))


static const ngx_http_conduit_metric_t  ngx_http_conduit_simple_metrics[] = {

    { "conduit_rate_limited_total", "counter",
      "Requests refused because of the rate of their key.",
      offsetof(ngx_http_conduit_counters_t, rate_limited) },

    { "conduit_polls_not_modified_total", "counter",
      "Polls answered with 304.",
      offsetof(ngx_http_conduit_counters_t, poll_304) },

    { "conduit_waits_total", "counter",
      "Polls that waited for news of their task.",
      offsetof(ngx_http_conduit_counters_t, waits) },

    { "conduit_waits_expired_total", "counter",
      "Polls that waited in vain until their time was over.",
      offsetof(ngx_http_conduit_counters_t, wait_expired) },

    { "conduit_hub_refused_total", "counter",
      "Hub connections refused because of a limit.",
      offsetof(ngx_http_conduit_counters_t, hub_refused) },

    { "conduit_hub_closed_total", "counter",
      "Hub connections that have ended.",
      offsetof(ngx_http_conduit_counters_t, hub_closed) },

    { "conduit_hub_reconnects_total", "counter",
      "Connections that took over an earlier one.",
      offsetof(ngx_http_conduit_counters_t, hub_reconnects) },

    { "conduit_hub_invocations_total", "counter",
      "Methods invoked by clients of hubs.",
      offsetof(ngx_http_conduit_counters_t, hub_invocations) },

    { "conduit_hub_messages_total", "counter",
      "Events sent to clients of hubs.",
      offsetof(ngx_http_conduit_counters_t, hub_messages) },

    { "conduit_hub_skipped_total", "counter",
      "Changes not told at once to clients that had to read first.",
      offsetof(ngx_http_conduit_counters_t, hub_skipped) },

    { "conduit_hub_stalled_total", "counter",
      "Connections closed because the client did not read.",
      offsetof(ngx_http_conduit_counters_t, hub_slow) },

    { "conduit_webhook_events_total", "counter",
      "Events queued for the webhooks of their tasks, and test events.",
      offsetof(ngx_http_conduit_counters_t, hook_queued) },

    { "conduit_webhook_retries_total", "counter",
      "Attempts at webhooks that were not the first of their delivery.",
      offsetof(ngx_http_conduit_counters_t, hook_retries) },

    { "conduit_webhook_breaker_trips_total", "counter",
      "Times a receiver of webhooks failed so often that it is left alone.",
      offsetof(ngx_http_conduit_counters_t, hook_trips) },

    { "conduit_task_retries_total", "counter",
      "Further attempts at tasks.",
      offsetof(ngx_http_conduit_counters_t, retries) },

    { "conduit_task_takeovers_total", "counter",
      "Steps of tasks taken over from worker processes that have died.",
      offsetof(ngx_http_conduit_counters_t, takeovers) },

    { "conduit_zone_full_total", "counter",
      "Tasks and changes for which the zone had no room.",
      offsetof(ngx_http_conduit_counters_t, nomem) },

    { "conduit_zone_repairs_total", "counter",
      "Times the zone was put right after a process had died in the middle.",
      offsetof(ngx_http_conduit_counters_t, repairs) }
};


ngx_int_t
ngx_http_conduit_metrics_serve(ngx_http_request_t *r)
{
    size_t                      size;
    ngx_str_t                   text;
    ngx_http_conduit_ctx_t     *ctx;
    ngx_http_conduit_metrics_t  m;

    static ngx_str_t  type = ngx_string("text/plain; version=0.0.4");

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_METRICS;

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
        return ngx_http_conduit_not_allowed(r, "GET, HEAD, OPTIONS");
    }

    m.cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    m.sh = m.cdmcf->zone.sh;
    m.counters = &m.sh->counters;

    size = NGX_HTTP_CONDUIT_METRICS_SIZE
           + m.cdmcf->providers.nelts * NGX_HTTP_CONDUIT_METRICS_PROVIDER;

    m.p = ngx_pnalloc(r->pool, size);
    if (m.p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    m.last = m.p + size;
    text.data = m.p;

    ngx_http_conduit_metrics_http(&m);
    ngx_http_conduit_metrics_tasks(&m);
    ngx_http_conduit_metrics_failed(&m);
    ngx_http_conduit_metrics_times(&m);
    ngx_http_conduit_metrics_providers(&m);
    ngx_http_conduit_metrics_zone(&m);
    ngx_http_conduit_metrics_hubs(&m);
    ngx_http_conduit_metrics_hooks(&m);
    ngx_http_conduit_metrics_simple(&m);

    text.len = m.p - text.data;

    return ngx_http_conduit_reply_as(r, NGX_HTTP_OK, &type, &text);
}


static void
ngx_http_conduit_metrics_http(ngx_http_conduit_metrics_t *m)
{
    char           code[sizeof("other")];
    ngx_uint_t     i, n;
    ngx_atomic_t  *requests;

    ngx_http_conduit_metrics_head(m, "conduit_http_requests_total", "counter",
                                  "Replies by endpoint and status code.");

    for (i = NGX_HTTP_CONDUIT_EP_CREATE; i <= NGX_HTTP_CONDUIT_EP_OTHER; i++) {
        requests = m->counters->requests[i];

        for (n = 0; n < NGX_HTTP_CONDUIT_CODES; n++) {

            if (requests[n] == 0) {
                continue;
            }

            if (ngx_http_conduit_codes[n]) {
                *ngx_sprintf((u_char *) code, "%ui",
                             (ngx_uint_t) ngx_http_conduit_codes[n]) = '\0';

            } else {
                ngx_memcpy(code, "other", sizeof("other"));
            }

            ngx_http_conduit_metrics_print(m, "conduit_http_requests_total"
                                           "{endpoint=\"%s\",code=\"%s\"} "
                                           "%uA\n",
                                           ngx_http_conduit_endpoints[i],
                                           code, requests[n]);
        }
    }
}


static void
ngx_http_conduit_metrics_tasks(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t            kind, status;
    const conduit_str_t  *word;

    ngx_http_conduit_metrics_head(m, "conduit_tasks_created_total", "counter",
                                  "Tasks created.");

    for (kind = 0; kind < 2; kind++) {
        ngx_http_conduit_metrics_print(m, "conduit_tasks_created_total"
                                       "{kind=\"%s\"} %uA\n",
                                       ngx_http_conduit_kinds[kind],
                                       m->counters->created[kind]);
    }

    ngx_http_conduit_metrics_head(m, "conduit_tasks_finished_total",
                                  "counter", "Tasks that have ended.");

    for (kind = 0; kind < 2; kind++) {
        for (status = CONDUIT_COMPLETED; status < CONDUIT_STATUS_N; status++) {
            word = conduit_status_word(status, CONDUIT_WORDS_PLAIN);

            ngx_http_conduit_metrics_print(m, "conduit_tasks_finished_total"
                                           "{kind=\"%s\",status=\"%*s\"} "
                                           "%uA\n",
                                           ngx_http_conduit_kinds[kind],
                                           word->len, word->data,
                                           m->counters->finished[kind]
                                                                [status]);
        }
    }

    ngx_http_conduit_metrics_head(m, "conduit_tasks", "gauge",
                                  "Tasks in the zone.");

    for (status = 0; status < CONDUIT_STATUS_N; status++) {
        word = conduit_status_word(status, CONDUIT_WORDS_PLAIN);

        ngx_http_conduit_metrics_print(m, "conduit_tasks{status=\"%*s\"} "
                                       "%uD\n", word->len, word->data,
                                       m->sh->status[status]);
    }
}


static void
ngx_http_conduit_metrics_failed(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t            kind, code;
    const conduit_str_t  *word;

    ngx_http_conduit_metrics_head(m, "conduit_tasks_failed_total", "counter",
                                  "Tasks that have failed, by error_code.");

    for (kind = 0; kind < 2; kind++) {
        for (code = 1; code < CONDUIT_ERR_N; code++) {
            word = conduit_error_word(code);

            ngx_http_conduit_metrics_print(m, "conduit_tasks_failed_total"
                                           "{kind=\"%s\",error_code=\"%*s\"} "
                                           "%uA\n",
                                           ngx_http_conduit_kinds[kind],
                                           word->len, word->data,
                                           m->counters->failed[kind][code]);
        }
    }
}


static void
ngx_http_conduit_metrics_times(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t                    i, bounds[NGX_HTTP_CONDUIT_DURATIONS];
    ngx_http_conduit_counters_t  *counters;

    static const char  *kinds[] = { "kind=\"image\"", "kind=\"video\"" };

    counters = m->counters;

    for (i = 0; i < NGX_HTTP_CONDUIT_DURATIONS; i++) {
        bounds[i] = ngx_http_conduit_durations[i] * 1000;
    }

    ngx_http_conduit_metrics_head(m, "conduit_task_duration_seconds",
                                  "histogram",
                                  "Time from the start of a task to its end.");

    for (i = 0; i < 2; i++) {
        ngx_http_conduit_metrics_histogram(m, "conduit_task_duration_seconds",
                                           kinds[i], bounds,
                                           NGX_HTTP_CONDUIT_DURATIONS,
                                           counters->duration[i],
                                           &counters->duration_sum[i]);
    }

    ngx_http_conduit_metrics_head(m, "conduit_task_wait_seconds", "histogram",
                                  "Time a task waited before it was"
                                  " started.");

    for (i = 0; i < 2; i++) {
        ngx_http_conduit_metrics_histogram(m, "conduit_task_wait_seconds",
                                           kinds[i], bounds,
                                           NGX_HTTP_CONDUIT_DURATIONS,
                                           counters->waited[i],
                                           &counters->waited_sum[i]);
    }

    ngx_http_conduit_metrics_head(m, "conduit_poll_interval_seconds",
                                  "histogram",
                                  "Time between two polls of a task that has"
                                  " not ended.");

    ngx_http_conduit_metrics_histogram(m, "conduit_poll_interval_seconds", "",
                                       ngx_http_conduit_intervals,
                                       NGX_HTTP_CONDUIT_INTERVALS,
                                       counters->poll_interval,
                                       &counters->poll_interval_sum);
}


static void
ngx_http_conduit_metrics_providers(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t                          i;
    ngx_http_conduit_provider_t       **providers;
    ngx_http_conduit_provider_node_t   *nodes, *pn;

    providers = m->cdmcf->providers.elts;
    nodes = m->sh->providers;

    ngx_http_conduit_metrics_head(m, "conduit_provider_requests_total",
                                  "counter", "Calls of providers, by what"
                                  " came of them.");

    for (i = 0; i < m->cdmcf->providers.nelts; i++) {
        pn = &nodes[providers[i]->index];

        ngx_http_conduit_metrics_provider(m, "conduit_provider_requests_total",
                                          &providers[i]->name, "ok", pn->ok);
        ngx_http_conduit_metrics_provider(m, "conduit_provider_requests_total",
                                          &providers[i]->name, "failed",
                                          pn->failed);
        ngx_http_conduit_metrics_provider(m, "conduit_provider_requests_total",
                                          &providers[i]->name, "retried",
                                          pn->retried);
    }

    ngx_http_conduit_metrics_head(m, "conduit_provider_tasks_running",
                                  "gauge", "Tasks that hold a slot of their"
                                  " provider.");

    for (i = 0; i < m->cdmcf->providers.nelts; i++) {
        pn = &nodes[providers[i]->index];

        ngx_http_conduit_metrics_provider(m, "conduit_provider_tasks_running",
                                          &providers[i]->name, NULL,
                                          pn->running);
    }

    ngx_http_conduit_metrics_head(m, "conduit_provider_tasks_away",
                                  "gauge", "Tasks that hold a slot at other"
                                  " hosts.");

    for (i = 0; i < m->cdmcf->providers.nelts; i++) {
        pn = &nodes[providers[i]->index];

        ngx_http_conduit_metrics_provider(m, "conduit_provider_tasks_away",
                                          &providers[i]->name, NULL,
                                          pn->away);
    }

    ngx_http_conduit_metrics_head(m, "conduit_provider_tasks_waiting",
                                  "gauge", "Tasks that wait for their"
                                  " provider.");

    for (i = 0; i < m->cdmcf->providers.nelts; i++) {
        pn = &nodes[providers[i]->index];

        ngx_http_conduit_metrics_provider(m, "conduit_provider_tasks_waiting",
                                          &providers[i]->name, NULL,
                                          pn->waiting);
    }
}


static void
ngx_http_conduit_metrics_provider(ngx_http_conduit_metrics_t *m,
    const char *name, ngx_str_t *provider, const char *outcome,
    ngx_uint_t value)
{
    /* quotes and backslashes are escaped as in JSON */

    ngx_http_conduit_metrics_print(m, "%s{provider=\"", name);

    if ((size_t) (m->last - m->p) > provider->len * 6) {
        m->p += conduit_json_escape(m->p, provider->data, provider->len);
    }

    if (outcome) {
        ngx_http_conduit_metrics_print(m, "\",outcome=\"%s", outcome);
    }

    ngx_http_conduit_metrics_print(m, "\"} %ui\n", value);
}


static void
ngx_http_conduit_metrics_zone(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t                i, n;
    ngx_http_conduit_zone_t  *zone;

    zone = &m->cdmcf->zone;

    ngx_http_conduit_metrics_gauge(m, "conduit_zone_size_bytes",
                                   "Size of the zone.",
                                   zone->shm_zone->shm.size);

    ngx_http_conduit_metrics_gauge(m, "conduit_zone_free_bytes",
                                   "Free pages of the zone.",
                                   zone->shpool->pfree * ngx_pagesize);

    ngx_http_conduit_metrics_gauge(m, "conduit_keys",
                                   "Keys that have been used.",
                                   m->sh->nkeys);

    ngx_http_conduit_metrics_gauge(m, "conduit_idempotency_records",
                                   "Replies kept for their Idempotency-Key.",
                                   m->sh->nidem);

    n = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS; i++) {
        n += (m->sh->cells[i].pid != 0);
    }

    ngx_http_conduit_metrics_gauge(m, "conduit_workers",
                                   "Worker processes that use the zone.", n);

    ngx_http_conduit_metrics_store(m);
}


static void
ngx_http_conduit_metrics_hubs(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t  i;

    static const char *const  transports[] = {
        "WebSockets", "ServerSentEvents", "LongPolling"
    };

    ngx_http_conduit_metrics_gauge(m, "conduit_hub_connections",
                                   "Hub connections that are open.",
                                   m->sh->connections);

    ngx_http_conduit_metrics_head(m, "conduit_hub_connects_total", "counter",
                                  "Hub connections made, by transport.");

    for (i = 0; i < 3; i++) {
        ngx_http_conduit_metrics_print(m, "conduit_hub_connects_total"
                                       "{transport=\"%s\"} %uA\n",
                                       transports[i],
                                       m->counters->hub_connects[i]);
    }

    ngx_http_conduit_metrics_head(m, "conduit_hub_duration_seconds", "summary",
                                  "How long ended hub connections lasted.");
    ngx_http_conduit_metrics_print(m, "conduit_hub_duration_seconds_sum "
                                   "%uA.%03uA\n"
                                   "conduit_hub_duration_seconds_count %uA\n",
                                   m->counters->hub_duration_sum / 1000,
                                   m->counters->hub_duration_sum % 1000,
                                   m->counters->hub_closed);

    ngx_http_conduit_metrics_head(m, "conduit_hub_latency_seconds", "summary",
                                  "From the change of a task to the event.");
    ngx_http_conduit_metrics_print(m, "conduit_hub_latency_seconds_sum "
                                   "%uA.%06uA\n"
                                   "conduit_hub_latency_seconds_count %uA\n",
                                   m->counters->hub_latency_sum / 1000000,
                                   m->counters->hub_latency_sum % 1000000,
                                   m->counters->hub_latency_n);
}


static void
ngx_http_conduit_metrics_simple(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t                        i, n;
    ngx_atomic_t                     *value;
    const ngx_http_conduit_metric_t  *metric;

    n = sizeof(ngx_http_conduit_simple_metrics)
        / sizeof(ngx_http_conduit_metric_t);

    for (i = 0; i < n; i++) {
        metric = &ngx_http_conduit_simple_metrics[i];

        value = (ngx_atomic_t *) ((u_char *) m->counters + metric->offset);

        ngx_http_conduit_metrics_head(m, metric->name, metric->type,
                                      metric->help);
        ngx_http_conduit_metrics_print(m, "%s %uA\n", metric->name, *value);
    }
}


void
ngx_http_conduit_metrics_gauge(ngx_http_conduit_metrics_t *m,
    const char *name, const char *help, size_t value)
{
    ngx_http_conduit_metrics_head(m, name, "gauge", help);
    ngx_http_conduit_metrics_print(m, "%s %uz\n", name, value);
}


void
ngx_http_conduit_metrics_head(ngx_http_conduit_metrics_t *m,
    const char *name, const char *type, const char *help)
{
    ngx_http_conduit_metrics_print(m, "# HELP %s %s\n# TYPE %s %s\n", name,
                                   help, name, type);
}


/* counts has one more element than there are bounds */

void
ngx_http_conduit_metrics_histogram(ngx_http_conduit_metrics_t *m,
    const char *name, const char *labels, const ngx_uint_t *bounds,
    ngx_uint_t n, ngx_atomic_t *counts, ngx_atomic_t *sum)
{
    u_char      *last, text[NGX_INT64_LEN + sizeof(".000")];
    ngx_uint_t   i, total;

    total = 0;

    for (i = 0; i <= n; i++) {
        total += counts[i];

        last = (i == n) ? ngx_cpymem(text, "+Inf", 4)
                        : ngx_http_conduit_metrics_seconds(text, bounds[i]);

        ngx_http_conduit_metrics_print(m, "%s_bucket{%s%sle=\"%*s\"} %ui\n",
                                       name, labels, *labels ? "," : "",
                                       (size_t) (last - text), text, total);
    }

    last = ngx_http_conduit_metrics_seconds(text, *sum);

    ngx_http_conduit_metrics_print(m, "%s_sum%s%s%s %*s\n"
                                   "%s_count%s%s%s %ui\n",
                                   name, *labels ? "{" : "", labels,
                                   *labels ? "}" : "",
                                   (size_t) (last - text), text,
                                   name, *labels ? "{" : "", labels,
                                   *labels ? "}" : "", total);
}


static u_char *
ngx_http_conduit_metrics_seconds(u_char *p, ngx_uint_t ms)
{
    if (ms % 1000) {
        return ngx_sprintf(p, "%ui.%03ui", ms / 1000, ms % 1000);
    }

    return ngx_sprintf(p, "%ui", ms / 1000);
}


void
ngx_http_conduit_metrics_print(ngx_http_conduit_metrics_t *m,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    m->p = ngx_vslprintf(m->p, m->last, fmt, args);
    va_end(args);
}


void
ngx_http_conduit_count_request(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                     i, endpoint;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);

    if (ctx->counted) {
        return;
    }

    ctx->counted = 1;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    for (i = 0; i < NGX_HTTP_CONDUIT_CODES - 1; i++) {
        if (ngx_http_conduit_codes[i] == status) {
            break;
        }
    }

    endpoint = (ctx->endpoint == NGX_HTTP_CONDUIT_EP_NONE)
               ? NGX_HTTP_CONDUIT_EP_OTHER : ctx->endpoint;

    (void) ngx_atomic_fetch_add(
                   &cdmcf->zone.sh->counters.requests[endpoint][i], 1);
}


void
ngx_http_conduit_count_interval(ngx_http_conduit_counters_t *counters,
    ngx_msec_t ms)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_INTERVALS; i++) {
        if (ms <= ngx_http_conduit_intervals[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&counters->poll_interval[i], 1);
    (void) ngx_atomic_fetch_add(&counters->poll_interval_sum, ms);
}
