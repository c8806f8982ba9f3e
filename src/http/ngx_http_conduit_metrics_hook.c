
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_metrics.h>
#include <ngx_http_conduit_webhook.h>


/* What is told about webhooks. */


static void ngx_http_conduit_metrics_hook_attempts(
    ngx_http_conduit_metrics_t *m);
static void ngx_http_conduit_metrics_hook_gauges(
    ngx_http_conduit_metrics_t *m);


void
ngx_http_conduit_metrics_hooks(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t  i;

    static const char *const  states[] = { "delivered", "failed", "dropped" };

    ngx_http_conduit_metrics_head(m, "conduit_webhook_deliveries_total",
                                  "counter", "Webhooks, by what came of"
                                  " them.");

    for (i = 0; i < 3; i++) {
        ngx_http_conduit_metrics_print(m, "conduit_webhook_deliveries_total"
                    "{status=\"%s\"} %uA\n", states[i],
                    m->counters->hook_ended[NGX_HTTP_CONDUIT_HOOK_DELIVERED
                                            + i]);
    }

    ngx_http_conduit_metrics_head(m, "conduit_webhook_latency_seconds",
                                  "histogram",
                                  "Time from an event to its delivery.");

    ngx_http_conduit_metrics_histogram(m, "conduit_webhook_latency_seconds",
                                       "", ngx_http_conduit_latencies,
                                       NGX_HTTP_CONDUIT_LATENCIES,
                                       m->counters->hook_latency,
                                       &m->counters->hook_latency_sum);

    ngx_http_conduit_metrics_hook_attempts(m);
    ngx_http_conduit_metrics_hook_gauges(m);
}


static void
ngx_http_conduit_metrics_hook_attempts(ngx_http_conduit_metrics_t *m)
{
    ngx_uint_t            i;
    ngx_atomic_uint_t     total;
    const conduit_str_t  *word;

    static const conduit_str_t  ok = { 2, (u_char *) "ok" };

    ngx_http_conduit_metrics_head(m, "conduit_webhook_attempts_total",
                                  "counter", "POSTs to receivers of webhooks,"
                                  " by outcome.");
    total = 0;

    for (i = 0; i < CONDUIT_FAIL_N; i++) {
        total += m->counters->hook_attempts[i];
        word = (i == CONDUIT_FAIL_NONE) ? &ok : conduit_failure_word(i);

        ngx_http_conduit_metrics_print(m, "conduit_webhook_attempts_total"
                                       "{outcome=\"%*s\"} %uA\n", word->len,
                                       word->data,
                                       m->counters->hook_attempts[i]);
    }

    ngx_http_conduit_metrics_head(m, "conduit_webhook_attempt_seconds",
                                  "summary", "How long these POSTs took.");
    ngx_http_conduit_metrics_print(m, "conduit_webhook_attempt_seconds_sum "
                                   "%uA.%03uA\n"
                                   "conduit_webhook_attempt_seconds_count "
                                   "%uA\n",
                                   m->counters->hook_duration_sum / 1000,
                                   m->counters->hook_duration_sum % 1000,
                                   total);
}


static void
ngx_http_conduit_metrics_hook_gauges(ngx_http_conduit_metrics_t *m)
{
    ngx_http_conduit_hook_gauges_t  now;

    ngx_http_conduit_webhook_gauges(m->cdmcf, &now);

    ngx_http_conduit_metrics_head(m, "conduit_webhook_queue", "gauge",
                                  "Webhooks that wait or are being sent;"
                                  " parked ones wait for their receiver.");
    ngx_http_conduit_metrics_print(m, "conduit_webhook_queue"
                                   "{state=\"pending\"} %ui\n"
                                   "conduit_webhook_queue"
                                   "{state=\"parked\"} %ui\n",
                                   now.waiting - now.parked, now.parked);

    ngx_http_conduit_metrics_head(m, "conduit_webhook_breakers", "gauge",
                                  "Receivers that are left alone, or tried"
                                  " with one webhook.");
    ngx_http_conduit_metrics_print(m, "conduit_webhook_breakers"
                                   "{state=\"open\"} %ui\n"
                                   "conduit_webhook_breakers"
                                   "{state=\"half_open\"} %ui\n",
                                   now.open, now.half_open);

    ngx_http_conduit_metrics_gauge(m, "conduit_webhook_attempts_running",
                                   "POSTs to receivers that are under way.",
                                   now.running);
}
