
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <ngx_http_conduit_store_conf.h>
#include <ngx_http_conduit_embedded.h>
#include <ngx_http_conduit_fill.h>


#define NGX_HTTP_CONDUIT_STORE_SIZE  (1024 * 1024 * 1024)
#define NGX_HTTP_CONDUIT_STORE_MIN   (1024 * 1024)


static char *ngx_http_conduit_store_param(ngx_conf_t *cf,
    ngx_http_conduit_embedded_t *embedded, ngx_str_t *value);
static ngx_str_t *ngx_http_conduit_store_path(
    ngx_http_conduit_main_conf_t *cdmcf);


char *
ngx_http_conduit_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    i;
    ngx_http_conduit_embedded_t  *embedded;

    if (cdmcf->store) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts != 2) {
            return "has parameters after \"off\"";
        }

        cdmcf->store = &ngx_http_conduit_store_off;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "redis") == 0) {

        if (cf->args->nelts != 2) {
            return "has parameters after \"redis\": they belong to "
                   "conduit_redis";
        }

        cdmcf->store = ngx_http_conduit_store_redis(cf->pool);
        cdmcf->store_redis = 1;

        return cdmcf->store ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (value[1].len == 0) {
        return "has an empty path";
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    embedded = ngx_http_conduit_embedded_create(cf, &value[1]);
    if (embedded == NULL) {
        return NGX_CONF_ERROR;
    }

    embedded->load = ngx_http_conduit_fill;
    embedded->conf.sync = NGX_CONF_UNSET_UINT;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_conduit_store_param(cf, embedded, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    ngx_conf_init_uint_value(embedded->conf.sync, 1);

    if (embedded->conf.max_size == 0) {
        embedded->conf.max_size = NGX_HTTP_CONDUIT_STORE_SIZE;
    }

    cdmcf->store = &embedded->store;

    return NGX_CONF_OK;
}


static char *
ngx_http_conduit_store_param(ngx_conf_t *cf,
    ngx_http_conduit_embedded_t *embedded, ngx_str_t *value)
{
    off_t      size;
    ngx_str_t  s;

    if (ngx_strncmp(value->data, "sync=", 5) == 0
        && embedded->conf.sync == NGX_CONF_UNSET_UINT)
    {
        if (ngx_strcmp(value->data + 5, "on") == 0) {
            embedded->conf.sync = 1;
            return NGX_CONF_OK;
        }

        if (ngx_strcmp(value->data + 5, "off") == 0) {
            embedded->conf.sync = 0;
            return NGX_CONF_OK;
        }
    }

    if (ngx_strncmp(value->data, "max_size=", 9) == 0
        && embedded->conf.max_size == 0)
    {
        s.data = value->data + 9;
        s.len = value->len - 9;

        size = ngx_parse_offset(&s);

        if (size >= NGX_HTTP_CONDUIT_STORE_MIN) {
            embedded->conf.max_size = ngx_align((size_t) size, ngx_pagesize);
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of conduit_store: must be "
                       "sync=on, sync=off or max_size=SIZE of at least 1m, "
                       "each once", value);

    return NGX_CONF_ERROR;
}


static ngx_str_t *
ngx_http_conduit_store_path(ngx_http_conduit_main_conf_t *cdmcf)
{
    static ngx_str_t  off = ngx_string("off");
    static ngx_str_t  redis = ngx_string("redis");

    if (cdmcf->store_redis) {
        return &redis;
    }

    return cdmcf->store->durable
           ? &((ngx_http_conduit_embedded_t *) cdmcf->store)->path : &off;
}


ngx_int_t
ngx_http_conduit_conf_same_store(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_str_t                     *is, *was;
    ngx_cycle_t                   *cycle;
    ngx_http_conduit_main_conf_t  *old;

    cycle = cf->cycle->old_cycle;

    if (cycle == NULL || ngx_is_init_cycle(cycle)) {
        return NGX_OK;
    }

    old = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_conduit_module);

    if (old == NULL || old->handlers == 0) {
        return NGX_OK;
    }

    is = ngx_http_conduit_store_path(cdmcf);
    was = ngx_http_conduit_store_path(old);

    if (is->len != was->len || ngx_strncmp(is->data, was->data, is->len) != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "conduit_store \"%V\" keeps the tasks that there are: "
                      "it can be changed only by a restart", was);
        return NGX_ERROR;
    }

    if (cdmcf->store->durable
        && (cdmcf->zone_name.len != old->zone_name.len
            || ngx_strncmp(cdmcf->zone_name.data, old->zone_name.data,
                           old->zone_name.len)
               != 0))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "conduit_zone \"%V\" holds the tasks of conduit_store: "
                      "its name can be changed only by a restart",
                      &old->zone_name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_conf_start(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_log_t                     *log;
    ngx_core_conf_t               *ccf;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_embedded_t   *embedded;
    ngx_http_conduit_main_conf_t  *cdmcf;

    zone = shm_zone->data;

    if (ngx_http_conduit_zone_init(shm_zone, data) != NGX_OK) {
        return NGX_ERROR;
    }

    cdmcf = (ngx_http_conduit_main_conf_t *)
                ((u_char *) zone
                 - offsetof(ngx_http_conduit_main_conf_t, zone));

    /* the zone of a reload is ahead of the store; Redis is asked by and by */

    if (data || !cdmcf->store->durable || cdmcf->store_redis) {
        return NGX_OK;
    }

    log = shm_zone->shm.log;
    embedded = (ngx_http_conduit_embedded_t *) cdmcf->store;

    ccf = (ngx_core_conf_t *) ngx_get_conf(embedded->cycle->conf_ctx,
                                            ngx_core_module);

    if (ngx_http_conduit_embedded_prepare(embedded, zone, ccf->user,
                                          ngx_test_config, log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (ngx_test_config || zone->sh->loading)
           ? NGX_OK : ngx_http_conduit_fill(cdmcf, log);
}
