
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_location.h>
#include <ngx_http_conduit_generations.h>
#include <ngx_http_conduit_health.h>
#include <ngx_http_conduit_negotiate.h>
#include <ngx_http_conduit_metrics.h>
#include <ngx_http_conduit_webhooks.h>
#include <ngx_http_conduit_worker.h>


static char *ngx_http_conduit_location(ngx_conf_t *cf, void *conf,
    ngx_http_conduit_serve_pt serve);


char *
ngx_http_conduit_generations(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_loc_conf_t  *cdlcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "image") == 0) {
        cdlcf->kind = NGX_HTTP_CONDUIT_IMAGE;

    } else if (ngx_strcmp(value[1].data, "video") == 0) {
        cdlcf->kind = NGX_HTTP_CONDUIT_VIDEO;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of conduit_generations: "
                           "must be \"image\" or \"video\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_conduit_location(cf, conf,
                                     ngx_http_conduit_generations_serve);
}


char *
ngx_http_conduit_tasks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_conduit_location(cf, conf, ngx_http_conduit_tasks_serve);
}


char *
ngx_http_conduit_hub(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_loc_conf_t  *cdlcf = conf;

    ngx_str_t                     *value;
    ngx_http_conduit_main_conf_t  *cdmcf;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "image") == 0) {
        cdlcf->kind = NGX_HTTP_CONDUIT_IMAGE;

    } else if (ngx_strcmp(value[1].data, "video") == 0) {
        cdlcf->kind = NGX_HTTP_CONDUIT_VIDEO;

    } else if (ngx_strcmp(value[1].data, "tasks") == 0) {
        cdlcf->kind = NGX_HTTP_CONDUIT_ANY;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of conduit_hub: must be "
                           "\"image\", \"video\" or \"tasks\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    cdmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_conduit_module);

    cdmcf->hubs++;

    cdlcf->hub = 1;
    cdlcf->endpoint = NGX_HTTP_CONDUIT_EP_HUB;

    return ngx_http_conduit_location(cf, conf, ngx_http_conduit_hub_serve);
}


char *
ngx_http_conduit_worker(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_conduit_location(cf, conf, ngx_http_conduit_worker_serve);
}


char *
ngx_http_conduit_webhooks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_conduit_location(cf, conf,
                                     ngx_http_conduit_webhooks_serve);
}


char *
ngx_http_conduit_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_loc_conf_t  *cdlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    static const char  *parts[] = {
        "", "signalr", "webhooks", "providers", "store"
    };

    cdlcf->public = 1;
    cdlcf->health = NGX_HTTP_CONDUIT_HEALTH_ALL;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        for (i = 1; i < sizeof(parts) / sizeof(parts[0]); i++) {
            if (ngx_strcmp(value[1].data, parts[i]) == 0) {
                cdlcf->health = i;
                break;
            }
        }

        if (cdlcf->health == NGX_HTTP_CONDUIT_HEALTH_ALL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of conduit_health: "
                               "must be \"signalr\", \"webhooks\", "
                               "\"providers\" or \"store\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_conduit_location(cf, conf, ngx_http_conduit_health_serve);
}


char *
ngx_http_conduit_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_loc_conf_t  *cdlcf = conf;

    cdlcf->public = 1;

    return ngx_http_conduit_location(cf, conf,
                                     ngx_http_conduit_metrics_serve);
}


static char *
ngx_http_conduit_location(ngx_conf_t *cf, void *conf,
    ngx_http_conduit_serve_pt serve)
{
    ngx_http_conduit_loc_conf_t  *cdlcf = conf;

    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    if (cdlcf->serve) {
        return "is duplicate, or the location has another conduit handler";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cdmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_conduit_module);

    clcf->handler = ngx_http_conduit_request_handler;

    cdlcf->serve = serve;
    cdlcf->prefix = clcf->name;

    if (cdlcf->prefix.len > 1
        && cdlcf->prefix.data[cdlcf->prefix.len - 1] == '/')
    {
        cdlcf->prefix.len--;
    }

    cdmcf->handlers++;

    return NGX_CONF_OK;
}
