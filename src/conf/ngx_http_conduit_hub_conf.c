
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conf.h>


/* what any client needs to send, and what no client may make a worker keep */

#define NGX_HTTP_CONDUIT_HUB_SIZE_MIN  1024
#define NGX_HTTP_CONDUIT_HUB_SIZE_MAX  (16 * 1024 * 1024)


void
ngx_http_conduit_hub_conf_create(ngx_http_conduit_main_conf_t *cdmcf)
{
    cdmcf->hub_typed = NGX_CONF_UNSET;
    cdmcf->hub_keepalive = NGX_CONF_UNSET_MSEC;
    cdmcf->hub_timeout = NGX_CONF_UNSET_MSEC;
    cdmcf->hub_message_size = NGX_CONF_UNSET_SIZE;
    cdmcf->hub_buffer = NGX_CONF_UNSET_SIZE;
    cdmcf->connections_key = NGX_CONF_UNSET_UINT;
    cdmcf->connections_total = NGX_CONF_UNSET_UINT;
}


void
ngx_http_conduit_hub_conf_init(ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_conf_init_value(cdmcf->hub_typed, 0);
    ngx_conf_init_msec_value(cdmcf->hub_keepalive, 15000);
    ngx_conf_init_msec_value(cdmcf->hub_timeout, 30000);
    ngx_conf_init_size_value(cdmcf->hub_message_size, 32 * 1024);
    ngx_conf_init_size_value(cdmcf->hub_buffer, 64 * 1024);
    ngx_conf_init_uint_value(cdmcf->connections_key, 100);
    ngx_conf_init_uint_value(cdmcf->connections_total, 10000);
}


char *
ngx_http_conduit_conf_hub_events(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (cdmcf->hub_typed != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    cdmcf->hub_typed = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "task") == 0) {
            continue;
        }

        if (ngx_strcmp(value[i].data, "typed") == 0) {
            cdmcf->hub_typed = 1;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of conduit_hub_events: "
                           "must be \"task\" or \"typed\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    size_t       len;
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i, *slot;

    if (cdmcf->connections_key != NGX_CONF_UNSET_UINT
        || cdmcf->connections_total != NGX_CONF_UNSET_UINT)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        slot = NULL;
        len = 0;

        if (ngx_strncmp(value[i].data, "per_key=", 8) == 0) {
            slot = &cdmcf->connections_key;
            len = 8;

        } else if (ngx_strncmp(value[i].data, "total=", 6) == 0) {
            slot = &cdmcf->connections_total;
            len = 6;
        }

        n = slot ? ngx_atoi(value[i].data + len, value[i].len - len) : 0;

        if (n < 1 || n > NGX_MAX_INT32_VALUE || *slot != NGX_CONF_UNSET_UINT) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of "
                               "conduit_connections: must be per_key=N or "
                               "total=N with N of at least 1", &value[i]);
            return NGX_CONF_ERROR;
        }

        *slot = n;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_hub_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *size = data;

    if (*size < NGX_HTTP_CONDUIT_HUB_SIZE_MIN
        || *size > NGX_HTTP_CONDUIT_HUB_SIZE_MAX)
    {
        return "must be from 1k to 16m";
    }

    return NGX_CONF_OK;
}
