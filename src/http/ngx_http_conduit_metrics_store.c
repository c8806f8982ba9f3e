
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_metrics.h>
#include <ngx_http_conduit_store.h>


void
ngx_http_conduit_metrics_store(ngx_http_conduit_metrics_t *m)
{
    ngx_http_conduit_counters_t  *c;

    c = &m->sh->counters;

    ngx_http_conduit_metrics_head(m, "conduit_store_info", "gauge",
                                  "The durable store in use.");
    ngx_http_conduit_metrics_print(m, "conduit_store_info{backend=\"%s\"} "
                                   "1\n", m->cdmcf->store->name);

    if (!m->cdmcf->store->durable) {
        return;
    }

    ngx_http_conduit_metrics_head(m, "conduit_store_writes_total", "counter",
                                  "Records written or removed.");
    ngx_http_conduit_metrics_print(m, "conduit_store_writes_total %uA\n",
                                   c->store_writes);

    ngx_http_conduit_metrics_head(m, "conduit_store_failures_total",
                                  "counter",
                                  "Records that could not be kept.");
    ngx_http_conduit_metrics_print(m, "conduit_store_failures_total %uA\n",
                                   c->store_failed);

    ngx_http_conduit_metrics_head(m, "conduit_store_commits_total", "counter",
                                  "Transactions, each for all records that "
                                  "had come together.");
    ngx_http_conduit_metrics_print(m, "conduit_store_commits_total %uA\n",
                                   c->store_batches);

    ngx_http_conduit_metrics_head(m, "conduit_store_commit_seconds_total",
                                  "counter", "Time of the transactions.");
    ngx_http_conduit_metrics_print(m, "conduit_store_commit_seconds_total "
                                   "%uA.%03uA\n", c->store_time / 1000,
                                   c->store_time % 1000);

    ngx_http_conduit_metrics_gauge(m, "conduit_store_used_bytes",
                                   "Size of what is kept.", c->store_used);

    ngx_http_conduit_metrics_gauge(m, "conduit_store_failing",
                                   "Whether nothing new can be kept.",
                                   c->store_bad);

    ngx_http_conduit_metrics_gauge(m, "conduit_store_loaded_tasks",
                                   "Tasks that were there again after the "
                                   "start.", c->store_loaded);
}
