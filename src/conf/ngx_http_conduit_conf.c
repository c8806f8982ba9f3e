
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_thread.h>
#include <ngx_http_conduit_conf.h>
#include <ngx_http_conduit_hub_conf.h>
#include <ngx_http_conduit_key_conf.h>
#include <ngx_http_conduit_media_conf.h>
#include <ngx_http_conduit_provider_conf.h>
#include <ngx_http_conduit_redis_conf.h>
#include <ngx_http_conduit_request.h>
#include <ngx_http_conduit_store.h>
#include <ngx_http_conduit_store_conf.h>
#include <ngx_http_conduit_webhook_conf.h>


#define NGX_HTTP_CONDUIT_ZONE_MIN  (1024 * 1024)


static ngx_int_t ngx_http_conduit_conf_add_zone(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);
static ngx_int_t ngx_http_conduit_conf_same_size(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);
static ngx_int_t ngx_http_conduit_conf_number(ngx_str_t *arg,
    const char *name, ngx_uint_t *n);
static ngx_int_t ngx_http_conduit_conf_origin(ngx_str_t *origin);


void *
ngx_http_conduit_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_main_conf_t));
    if (cdmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&cdmcf->providers, cf->pool, 4,
                       sizeof(ngx_http_conduit_provider_t *))
        != NGX_OK
        || ngx_array_init(&cdmcf->models, cf->pool, 8,
                          sizeof(ngx_http_conduit_model_t *))
           != NGX_OK)
    {
        return NULL;
    }

    cdmcf->zone.cell = NGX_HTTP_CONDUIT_NOBODY;

    cdmcf->task_ttl = NGX_CONF_UNSET_MSEC;
    cdmcf->task_timeout = NGX_CONF_UNSET_MSEC;
    cdmcf->task_attempts = NGX_CONF_UNSET_UINT;
    cdmcf->task_limit_key = NGX_CONF_UNSET_UINT;
    cdmcf->task_limit_total = NGX_CONF_UNSET_UINT;

    ngx_http_conduit_hub_conf_create(cdmcf);

    if (ngx_http_conduit_webhook_conf_create(cf, cdmcf) != NGX_OK) {
        return NULL;
    }

    return cdmcf;
}


char *
ngx_http_conduit_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_conf_init_msec_value(cdmcf->task_ttl, 86400000);
    ngx_conf_init_msec_value(cdmcf->task_timeout, 1800000);
    ngx_conf_init_uint_value(cdmcf->task_attempts, 3);
    ngx_conf_init_uint_value(cdmcf->task_limit_key, 1000);
    ngx_conf_init_uint_value(cdmcf->task_limit_total, 100000);

    if (cdmcf->zone_name.len == 0) {
        ngx_str_set(&cdmcf->zone_name, "conduit");
        cdmcf->zone_size = 32 * 1024 * 1024;
    }

    if (cdmcf->store == NULL) {
        cdmcf->store = &ngx_http_conduit_store_off;
    }

    ngx_http_conduit_media_conf_init(cdmcf);
    ngx_http_conduit_hub_conf_init(cdmcf);
    ngx_http_conduit_webhook_conf_init(cdmcf);

    return NGX_CONF_OK;
}


void *
ngx_http_conduit_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_loc_conf_t));
    if (cdlcf == NULL) {
        return NULL;
    }

    cdlcf->poll_interval = NGX_CONF_UNSET_MSEC;
    cdlcf->wait_max = NGX_CONF_UNSET_MSEC;
    cdlcf->cors = NGX_CONF_UNSET_PTR;
    cdlcf->cors_any = NGX_CONF_UNSET;

    return cdlcf;
}


char *
ngx_http_conduit_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_conduit_loc_conf_t  *prev = parent;
    ngx_http_conduit_loc_conf_t  *conf = child;

    if (!conf->rate.set) {
        conf->rate = prev->rate;
    }

    if (!conf->rate.set) {
        conf->rate.rate.per_minute = 600;
        conf->rate.rate.burst = 100;
        conf->rate.set = 1;
    }

    ngx_conf_merge_msec_value(conf->poll_interval, prev->poll_interval, 5000);
    ngx_conf_merge_msec_value(conf->wait_max, prev->wait_max, 60000);
    ngx_conf_merge_value(conf->cors_any, prev->cors_any, 0);
    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_conduit_conf_finish(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_conduit_module);

    if (ngx_http_conduit_keys_init(cf, cdmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_conduit_providers_init(cf, cdmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (cdmcf->handlers == 0) {
        return NGX_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->resolver && clcf->resolver->connections.nelts) {
        cdmcf->resolver = clcf->resolver;
        cdmcf->resolver_timeout = clcf->resolver_timeout;
    }

    if (ngx_http_conduit_redis_finish(cf, cdmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    cdmcf->threads = ngx_conduit_thread_pool(cf);
    if (cdmcf->threads == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "conduit needs an nginx built with threads");
        return NGX_ERROR;
    }

    if (ngx_http_conduit_filter_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_conf_add_zone(cf, cdmcf);
}


static ngx_int_t
ngx_http_conduit_conf_add_zone(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_shm_zone_t  *shm_zone;

    if (ngx_http_conduit_conf_same_size(cf, cdmcf) != NGX_OK
        || ngx_http_conduit_conf_same_store(cf, cdmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    shm_zone = ngx_shared_memory_add(cf, &cdmcf->zone_name, cdmcf->zone_size,
                                     &ngx_http_conduit_module);
    if (shm_zone == NULL) {
        return NGX_ERROR;
    }

    if (shm_zone->data) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "conduit_zone \"%V\" is already used",
                      &cdmcf->zone_name);
        return NGX_ERROR;
    }

    shm_zone->init = ngx_http_conduit_conf_start;
    shm_zone->data = &cdmcf->zone;

    cdmcf->zone.shm_zone = shm_zone;

    return NGX_OK;
}


/*
 * nginx itself would start with an empty zone beside the old one, and forget
 * every task
 */

static ngx_int_t
ngx_http_conduit_conf_same_size(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *old;

    if (cf->cycle->old_cycle == NULL) {
        return NGX_OK;
    }

    part = &cf->cycle->old_cycle->shared_memory.part;
    old = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                return NGX_OK;
            }

            part = part->next;
            old = part->elts;
            i = 0;
        }

        if (old[i].tag != &ngx_http_conduit_module
            || old[i].shm.name.len != cdmcf->zone_name.len
            || ngx_strncmp(old[i].shm.name.data, cdmcf->zone_name.data,
                           cdmcf->zone_name.len)
               != 0)
        {
            continue;
        }

        if (old[i].shm.size == cdmcf->zone_size) {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "conduit_zone \"%V\" has %uz bytes and holds tasks: its "
                      "size can be changed only by a restart",
                      &cdmcf->zone_name, old[i].shm.size);
        return NGX_ERROR;
    }
}


char *
ngx_http_conduit_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, s;

    if (cdmcf->zone_name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    p = (u_char *) ngx_strchr(value[1].data, ':');

    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_zone \"%V\": must be NAME:SIZE, "
                           "for example conduit:32m", &value[1]);
        return NGX_CONF_ERROR;
    }

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size < NGX_HTTP_CONDUIT_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size of conduit_zone \"%V\": must be 1m "
                           "or more", &value[1]);
        return NGX_CONF_ERROR;
    }

    cdmcf->zone_name.data = value[1].data;
    cdmcf->zone_name.len = p - value[1].data;
    cdmcf->zone_size = ngx_align(size, ngx_pagesize);

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_task_attempts(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (cdmcf->task_attempts != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > 100) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_task_attempts \"%V\": must be a "
                           "number from 1 to 100", &value[1]);
        return NGX_CONF_ERROR;
    }

    cdmcf->task_attempts = n;

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_task_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (cdmcf->task_limit_key != NGX_CONF_UNSET_UINT
        || cdmcf->task_limit_total != NGX_CONF_UNSET_UINT)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_conduit_conf_number(&value[i], "per_key=",
                                         &cdmcf->task_limit_key)
            == NGX_OK)
        {
            continue;
        }

        if (ngx_http_conduit_conf_number(&value[i], "total=",
                                         &cdmcf->task_limit_total)
            == NGX_OK)
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of conduit_task_limit: "
                           "must be per_key=N or total=N with N of at least 1",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* NAME=N, once */

static ngx_int_t
ngx_http_conduit_conf_number(ngx_str_t *arg, const char *name, ngx_uint_t *n)
{
    size_t     len;
    ngx_int_t  v;

    len = ngx_strlen(name);

    if (arg->len <= len || ngx_strncmp(arg->data, name, len) != 0
        || *n != NGX_CONF_UNSET_UINT)
    {
        return NGX_DECLINED;
    }

    v = ngx_atoi(arg->data + len, arg->len - len);

    if (v < 1 || v > NGX_MAX_INT32_VALUE) {
        return NGX_ERROR;
    }

    *n = v;

    return NGX_OK;
}


char *
ngx_http_conduit_conf_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_loc_conf_t  *cdlcf = conf;

    u_char      *p;
    ngx_str_t   *value, text;
    const char  *err;

    if (cdlcf->rate.set) {
        return "is duplicate";
    }

    value = cf->args->elts;
    text = value[1];

    if (cf->args->nelts == 3) {
        text.len = value[1].len + 1 + value[2].len;

        text.data = ngx_pnalloc(cf->pool, text.len);
        if (text.data == NULL) {
            return NGX_CONF_ERROR;
        }

        p = ngx_cpymem(text.data, value[1].data, value[1].len);
        *p++ = ' ';
        ngx_memcpy(p, value[2].data, value[2].len);
    }

    if (conduit_rate_parse(&cdlcf->rate.rate, text.data, text.len, &err)
        != CONDUIT_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_rate \"%V\": it %s", &text, err);
        return NGX_CONF_ERROR;
    }

    cdlcf->rate.set = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_loc_conf_t  *cdlcf = conf;

    ngx_str_t   *value, *origin;
    ngx_uint_t   i;

    if (cdlcf->cors != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    cdlcf->cors = NULL;
    cdlcf->cors_any = 0;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    cdlcf->cors = ngx_array_create(cf->pool, cf->args->nelts,
                                   sizeof(ngx_str_t));
    if (cdlcf->cors == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "*") == 0) {
        cdlcf->cors_any = 1;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_conduit_conf_origin(&value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\" in conduit_cors: must "
                               "be \"*\" or \"off\" alone, or origins such "
                               "as https://example.com", &value[i]);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(cdlcf->cors);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


/* scheme, host and perhaps a port, as browsers send it (RFC 6454, 6.1) */

static ngx_int_t
ngx_http_conduit_conf_origin(ngx_str_t *origin)
{
    u_char  *p, *last;

    last = origin->data + origin->len;

    p = ngx_strlchr(origin->data, last, ':');

    if (p == NULL || p == origin->data || last - p < 4
        || p[1] != '/' || p[2] != '/')
    {
        return NGX_ERROR;
    }

    for (p += 3; p < last; p++) {
        if (*p == '/' || *p == '?' || *p == '#' || *p == '@' || *p == '*') {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


char *
ngx_http_conduit_conf_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char        *rv;
    ngx_str_t   *value;
    ngx_msec_t  *msec;

    msec = (ngx_msec_t *) ((char *) conf + cmd->offset);

    if (*msec != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    rv = ngx_conf_set_msec_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK && *msec != 0) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid %V \"%V\": it must be more than 0,"
                       " for example 500ms, 30s or 24h",
                       &value[0], &value[1]);

    return NGX_CONF_ERROR;
}
