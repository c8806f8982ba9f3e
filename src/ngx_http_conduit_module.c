
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_module.h>
#include <ngx_conduit_curl.h>
#include <ngx_http_conduit_conf.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_key_conf.h>
#include <ngx_http_conduit_location.h>
#include <ngx_http_conduit_media_conf.h>
#include <ngx_http_conduit_provider_conf.h>
#include <ngx_http_conduit_webhook_conf.h>
#include <jansson.h>


static ngx_int_t ngx_http_conduit_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_conduit_init_process(ngx_cycle_t *cycle);
static void ngx_http_conduit_exit_process(ngx_cycle_t *cycle);
static ngx_http_conduit_main_conf_t *ngx_http_conduit_in_use(
    ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_conduit_commands[] = {

    { ngx_string("conduit_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_conduit_conf_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_conduit_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_key_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_conduit_provider,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_model"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_conduit_model,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_media"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_conduit_media_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_task_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_conf_time,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_conduit_main_conf_t, task_ttl),
      NULL },

    { ngx_string("conduit_task_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_conf_time,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_conduit_main_conf_t, task_timeout),
      NULL },

    { ngx_string("conduit_task_attempts"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_conf_task_attempts,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_task_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_conduit_conf_task_limit,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_webhook_plain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_conduit_main_conf_t, webhook_plain),
      NULL },

    { ngx_string("conduit_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_conduit_conf_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_poll_interval"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_conduit_loc_conf_t, poll_interval),
      NULL },

    { ngx_string("conduit_wait_max"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_conduit_loc_conf_t, wait_max),
      NULL },

    { ngx_string("conduit_cors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_conduit_conf_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_generations"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_generations,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_tasks"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_conduit_tasks,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_worker"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_conduit_worker,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_conduit_health,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("conduit_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_conduit_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* in the blocks of conduit_provider */

    { ngx_string("type"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("kind"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("base"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hosts"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("secret"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("trusted_certificate"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("auth"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("header"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("limit"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("timeout"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("complete_if"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fail_if"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("progress"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("error"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("cancel"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("callback"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("duration"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("lease"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("result"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_HTTP_CONDUIT_FETCH_BLOCK
      |NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("map"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("status"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("error_map"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("submit"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("poll"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fetch"),
      NGX_HTTP_CONDUIT_PROVIDER_BLOCK|NGX_CONF_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("field"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_HTTP_CONDUIT_POLL_BLOCK
      |NGX_HTTP_CONDUIT_FETCH_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("document"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("extra"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("accept"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("idempotency"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ok"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_HTTP_CONDUIT_POLL_BLOCK
      |NGX_HTTP_CONDUIT_FETCH_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("take"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_HTTP_CONDUIT_POLL_BLOCK
      |NGX_HTTP_CONDUIT_FETCH_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("stream"),
      NGX_HTTP_CONDUIT_SUBMIT_BLOCK|NGX_CONF_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("every"),
      NGX_HTTP_CONDUIT_POLL_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("deadline"),
      NGX_HTTP_CONDUIT_POLL_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("http"),
      NGX_HTTP_CONDUIT_POLL_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("empty"),
      NGX_HTTP_CONDUIT_POLL_BLOCK|NGX_CONF_ANY,
      ngx_http_conduit_provider_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


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

    cdmcf->zone.generation = ++cdmcf->zone.sh->generation;

    if (ngx_is_init_cycle(cycle->old_cycle)) {
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
        || ngx_http_conduit_task_init(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_webhook_own(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_keys_watch(cycle, cdmcf) != NGX_OK
        || ngx_http_conduit_sweep_init(cycle, cdmcf) != NGX_OK)
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
    ngx_http_conduit_task_exit(cdmcf);
}
