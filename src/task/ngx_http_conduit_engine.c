
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_wakeup.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_watch.h>


static void ngx_http_conduit_engine_bind(ngx_http_conduit_engine_t *engine);
static ngx_int_t ngx_http_conduit_provider_bind(
    ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_provider_t *provider);
static void ngx_http_conduit_count_time(ngx_atomic_t *classes,
    ngx_atomic_t *sum, int64_t ms);


ngx_uint_t  ngx_http_conduit_durations[NGX_HTTP_CONDUIT_DURATIONS] = {
    1, 2, 3, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800
};


ngx_int_t
ngx_http_conduit_task_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_uint_t                  i;
    ngx_http_conduit_engine_t  *engine;

    engine = ngx_pcalloc(cycle->pool, sizeof(ngx_http_conduit_engine_t));
    if (engine == NULL) {
        return NGX_ERROR;
    }

    engine->cdmcf = cdmcf;
    engine->cycle = cycle;
    engine->log = cycle->log;

    ngx_queue_init(&engine->waiting);

    cdmcf->zone.recalls = (cdmcf->store->recall != NULL);

    for (i = 0; i < NGX_HTTP_CONDUIT_RUNS; i++) {
        ngx_queue_init(&engine->runs[i]);
    }

    cdmcf->engine = engine;

    if (ngx_http_conduit_cell_init(&cdmcf->zone, ngx_worker) != NGX_OK) {
        ngx_log_error(NGX_LOG_CRIT, cycle->log, 0,
                      "conduit_zone \"%V\" has no room for one more process",
                      &cdmcf->zone_name);
        return NGX_ERROR;
    }

    ngx_http_conduit_engine_bind(engine);

    if (ngx_http_conduit_watch_init(cycle, cdmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_scheduler_init(engine);
}


void
ngx_http_conduit_task_exit(ngx_http_conduit_main_conf_t *cdmcf)
{
    if (cdmcf->engine == NULL) {
        return;
    }

    ngx_http_conduit_scheduler_exit(cdmcf->engine);
    ngx_http_conduit_cell_exit(&cdmcf->zone);
}


/*
 * Finds the places of providers and models of this configuration in the zone.
 * A worker starts even if the zone is full: whatever has got no place is looked
 * after by the next create.
 */

static void
ngx_http_conduit_engine_bind(ngx_http_conduit_engine_t *engine)
{
    ngx_uint_t                      i;
    ngx_http_conduit_model_t      **model;
    ngx_http_conduit_provider_t   **provider;
    ngx_http_conduit_main_conf_t   *cdmcf;

    cdmcf = engine->cdmcf;

    /* tasks of a model that a reload has removed go on at its provider */

    provider = cdmcf->providers.elts;

    for (i = 0; i < cdmcf->providers.nelts; i++) {
        (void) ngx_http_conduit_provider_bind(cdmcf, provider[i]);
    }

    model = cdmcf->models.elts;

    for (i = 0; i < cdmcf->models.nelts; i++) {

        if (ngx_http_conduit_model_bind(cdmcf, model[i]) != NGX_OK) {
            ngx_log_error(NGX_LOG_CRIT, engine->log, 0,
                          "conduit_zone \"%V\" has no room for model "
                          "\"%V\" yet", &cdmcf->zone_name,
                          &model[i]->alias);
        }
    }
}


ngx_int_t
ngx_http_conduit_model_bind(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_model_t *model)
{
    ngx_str_t                     name;
    ngx_http_conduit_provider_t  *provider;

    if (model->lane) {
        return NGX_OK;
    }

    provider = model->provider;

    if (ngx_http_conduit_provider_bind(cdmcf, provider) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&name);

    if (provider->type == NGX_HTTP_CONDUIT_WORKER) {
        name = model->alias;
    }

    model->lane = ngx_http_conduit_lane(&cdmcf->zone, provider->index, &name);

    return model->lane ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_provider_bind(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_provider_t *provider)
{
    ngx_int_t  n;

    n = ngx_http_conduit_provider_index(&cdmcf->zone, &provider->name);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    provider->index = n;
    cdmcf->engine->providers[n] = provider;

    return NGX_OK;
}


ngx_http_conduit_provider_t *
ngx_http_conduit_provider_by_index(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_uint_t index)
{
    return cdmcf->engine->providers[index];
}


void
ngx_http_conduit_count_start(ngx_http_conduit_engine_t *engine,
    ngx_uint_t kind, int64_t waited)
{
    ngx_http_conduit_counters_t  *counters;

    counters = &engine->cdmcf->zone.sh->counters;

    ngx_http_conduit_count_time(counters->waited[kind],
                                &counters->waited_sum[kind], waited);
}


void
ngx_http_conduit_count_end(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_document_t *doc, int64_t duration)
{
    ngx_uint_t                    kind;
    ngx_http_conduit_counters_t  *counters;

    counters = &engine->cdmcf->zone.sh->counters;
    kind = doc->kind;

    (void) ngx_atomic_fetch_add(&counters->finished[kind][doc->status], 1);

    if (doc->status == CONDUIT_FAILED) {
        (void) ngx_atomic_fetch_add(
                                &counters->failed[kind][doc->error_code], 1);
    }

    ngx_http_conduit_count_time(counters->duration[kind],
                                &counters->duration_sum[kind], duration);
}


static void
ngx_http_conduit_count_time(ngx_atomic_t *classes, ngx_atomic_t *sum,
    int64_t ms)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_DURATIONS; i++) {
        if (ms <= (int64_t) ngx_http_conduit_durations[i] * 1000) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&classes[i], 1);
    (void) ngx_atomic_fetch_add(sum, ms);
}
