
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_module.h>
#include <ngx_conduit_curl.h>
#include <ngx_conduit_random.h>
#include <ngx_http_conduit_cluster.h>
#include <ngx_http_conduit_conf.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_hub.h>
#include <ngx_http_conduit_key_conf.h>
#include <ngx_http_conduit_location.h>
#include <ngx_http_conduit_media.h>
#include <ngx_http_conduit_store.h>
#include <ngx_http_conduit_webhook.h>
#include <ngx_http_conduit_webhook_conf.h>
#include <jansson.h>


static ngx_int_t ngx_http_conduit_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_conduit_init_process(ngx_cycle_t *cycle);
static void ngx_http_conduit_exit_process(ngx_cycle_t *cycle);
static ngx_http_conduit_main_conf_t *ngx_http_conduit_in_use(
    ngx_cycle_t *cycle);


static ngx_http_module_t  ngx_http_conduit_module_ctx = {
    ngx_http_conduit_add_variables,        /* preconfiguration */
    ngx_http_conduit_conf_finish,          /* postconfiguration */

    ngx_http_conduit_create_main_conf,     /* create main configuration */
    ngx_http_conduit_init_main_conf,       /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_conduit_create_loc_conf,      /* create location configuration */
    ngx_http_conduit_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_conduit_module = {
    NGX_MODULE_V1,
    &ngx_http_conduit_module_ctx,          /* module context */
    ngx_http_conduit_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_conduit_init_module,          /* init module */
    ngx_http_conduit_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_conduit_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* the main configuration, or NULL if no location is ours */

static ngx_http_conduit_main_conf_t *
ngx_http_conduit_in_use(ngx_cycle_t *cycle)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                ngx_http_conduit_module);

    return (cdmcf && cdmcf->handlers) ? cdmcf : NULL;
}


static ngx_int_t
ngx_http_conduit_init_module(ngx_cycle_t *cycle)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_conduit_in_use(cycle);

    if (cdmcf == NULL || ngx_test_config) {
        return NGX_OK;
    }

    json_object_seed(0);

    if (ngx_conduit_curl_global_init(cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    cdmcf->wakeup = ngx_conduit_wakeup_create(cycle);
    if (cdmcf->wakeup == NULL) {
        return NGX_ERROR;
    }

    /* what signs tokens is made once and stays over a reload */

    if (cdmcf->zone.sh->generation == 0
        && ngx_conduit_random_bytes(cdmcf->zone.sh->secret,
                                    sizeof(cdmcf->zone.sh->secret))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cdmcf->zone.sh->generation == 0
        && ngx_conduit_random_bytes(cdmcf->zone.sh->life,
                                    sizeof(cdmcf->zone.sh->life))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    cdmcf->zone.generation = ++cdmcf->zone.sh->generation;

    if (ngx_is_init_cycle(cycle->old_cycle) && !cdmcf->store->durable) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "conduit_store is off: a restart of nginx forgets all "
                      "tasks");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_init_process(ngx_cycle_t *cycle)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    cdmcf = ngx_http_conduit_in_use(cycle);

    if (cdmcf == NULL) {
        return NGX_OK;
    }

    if (ngx_conduit_curl_init(cycle) != NGX_OK
        || cdmcf->store->init(cdmcf->store, cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_task_init(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_cluster_init(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_webhook_own(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_webhook_init(cycle, cdmcf,
                                         ngx_http_conduit_webhook_key)
           != NGX_OK
        || ngx_http_conduit_keys_watch(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_sweep_init(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_hub_init(cycle, cdmcf,
                                     ngx_http_conduit_key_digest)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_conduit_wakeup_init(cdmcf->wakeup, cycle,
                                   ngx_http_conduit_news_read, cdmcf->engine);
}


static void
ngx_http_conduit_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    cdmcf = ngx_http_conduit_in_use(cycle);

    if (cdmcf == NULL) {
        return;
    }

    ngx_conduit_curl_exit(cycle);
    ngx_http_conduit_hub_exit(cdmcf);
    ngx_http_conduit_webhook_exit(cdmcf);
    ngx_http_conduit_cluster_exit(cdmcf);
    ngx_http_conduit_task_exit(cdmcf);
    cdmcf->store->exit(cdmcf->store);
}
