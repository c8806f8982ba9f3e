
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <ngx_http_conduit_redis_conf.h>


#define NGX_HTTP_CONDUIT_PREFIX_LEN    64
#define NGX_HTTP_CONDUIT_INSTANCE_LEN  64


typedef struct {
    ngx_str_t                         user;
    ngx_str_t                         password;
    ngx_str_t                         db;
    ngx_str_t                         ca;
    ngx_str_t                         prefix;
    ngx_str_t                         outage;
    ngx_str_t                         sentinel;
} ngx_http_conduit_redis_params_t;


static ngx_int_t ngx_http_conduit_redis_params(ngx_conf_t *cf,
    ngx_http_conduit_redis_params_t *params);
static ngx_str_t *ngx_http_conduit_redis_param(
    ngx_http_conduit_redis_params_t *params, ngx_str_t *arg, size_t *len);
static ngx_int_t ngx_http_conduit_redis_apply(ngx_conf_t *cf,
    ngx_http_conduit_redis_conf_t *rcf,
    ngx_http_conduit_redis_params_t *params);
static ngx_int_t ngx_http_conduit_redis_login(ngx_conf_t *cf,
    ngx_conduit_redis_conf_t *conn, ngx_str_t *url,
    ngx_http_conduit_redis_params_t *params);
static ngx_uint_t ngx_http_conduit_redis_plain(ngx_str_t *name, size_t max);
static char *ngx_http_conduit_redis_invalid(ngx_conf_t *cf, ngx_str_t *arg,
    const char *why);


char *
ngx_http_conduit_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t                        *value;
    const char                       *err;
    ngx_http_conduit_redis_conf_t    *rcf;
    ngx_http_conduit_redis_params_t   params;

    if (cdmcf->redis_conf) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_redis_conf_t));
    if (rcf == NULL) {
        return NGX_CONF_ERROR;
    }

    cdmcf->redis_conf = rcf;

    rcf->conn.connect_timeout = 3000;
    rcf->conn.timeout = 5000;

    if (ngx_http_conduit_redis_params(cf, &params) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (params.sentinel.data) {
        err = ngx_conduit_redis_sentinels(cf, &params.sentinel, &rcf->conn);

        if (err) {
            return ngx_http_conduit_redis_invalid(cf, &params.sentinel, err);
        }
    }

    /* the URL may hold a password: a message does not repeat it */

    err = ngx_conduit_redis_url(cf, &value[1], &rcf->conn);

    if (err) {
        return ngx_http_conduit_redis_invalid(cf, NULL, err);
    }

    if (ngx_http_conduit_redis_login(cf, &rcf->conn, &value[1], &params)
        != NGX_OK
        || ngx_http_conduit_redis_apply(cf, rcf, &params) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_conduit_redis_params(ngx_conf_t *cf,
    ngx_http_conduit_redis_params_t *params)
{
    size_t       len;
    ngx_str_t   *value, *param;
    ngx_uint_t   i;

    ngx_memzero(params, sizeof(ngx_http_conduit_redis_params_t));

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        param = ngx_http_conduit_redis_param(params, &value[i], &len);

        if (param == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter of conduit_redis: must be "
                               "prefix=, on_outage=, sentinel=, ca=, user=, "
                               "password= or db=");
            return NGX_ERROR;
        }

        if (param->data) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%*s\" of conduit_redis",
                               len - 1, value[i].data);
            return NGX_ERROR;
        }

        param->data = value[i].data + len;
        param->len = value[i].len - len;

        if (param->len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "parameter \"%*s\" of conduit_redis has no "
                               "value", len - 1, value[i].data);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_str_t *
ngx_http_conduit_redis_param(ngx_http_conduit_redis_params_t *params,
    ngx_str_t *arg, size_t *len)
{
    ngx_uint_t  i;

    const struct {
        const char  *name;
        ngx_str_t   *value;
    } names[] = {
        { "prefix=", &params->prefix },
        { "on_outage=", &params->outage },
        { "sentinel=", &params->sentinel },
        { "ca=", &params->ca },
        { "user=", &params->user },
        { "password=", &params->password },
        { "db=", &params->db }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        *len = ngx_strlen(names[i].name);

        if (arg->len >= *len
            && ngx_strncmp(arg->data, names[i].name, *len) == 0)
        {
            return names[i].value;
        }
    }

    return NULL;
}


/* user, password and db of a socket, which has no place for them */

static ngx_int_t
ngx_http_conduit_redis_login(ngx_conf_t *cf, ngx_conduit_redis_conf_t *conn,
    ngx_str_t *url, ngx_http_conduit_redis_params_t *params)
{
    ngx_int_t  n;

    if (params->user.len == 0 && params->password.len == 0
        && params->db.len == 0)
    {
        return NGX_OK;
    }

    if (ngx_strncmp(url->data, "unix:", 5) != 0) {
        (void) ngx_http_conduit_redis_invalid(cf, NULL,
                       "has user=, password= or db= beside an URL, where they "
                       "belong into the URL");
        return NGX_ERROR;
    }

    if (params->user.len && params->password.len == 0) {
        (void) ngx_http_conduit_redis_invalid(cf, &params->user,
                                              "user= needs password=");
        return NGX_ERROR;
    }

    conn->user = params->user;
    conn->password = params->password;

    if (params->db.len) {
        n = ngx_atoi(params->db.data, params->db.len);

        if (n == NGX_ERROR || n > 65535) {
            (void) ngx_http_conduit_redis_invalid(cf, &params->db,
                                          "db= must be the number of a "
                                          "database");
            return NGX_ERROR;
        }

        conn->db = n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_redis_apply(ngx_conf_t *cf,
    ngx_http_conduit_redis_conf_t *rcf,
    ngx_http_conduit_redis_params_t *params)
{
    if (params->prefix.len == 0) {
        ngx_str_set(&params->prefix, "conduit");
    }

    rcf->prefix = params->prefix;

    if (!ngx_http_conduit_redis_plain(&rcf->prefix,
                                      NGX_HTTP_CONDUIT_PREFIX_LEN))
    {
        (void) ngx_http_conduit_redis_invalid(cf, &rcf->prefix,
                       "prefix= must have 1 to 64 of the characters a-z, A-Z, "
                       "0-9, \".\", \"_\", \":\" and \"-\"");
        return NGX_ERROR;
    }

    if (params->outage.len == 5
        && ngx_strncmp(params->outage.data, "local", 5) == 0)
    {
        rcf->local = 1;

    } else if (params->outage.len
               && (params->outage.len != 6
                   || ngx_strncmp(params->outage.data, "refuse", 6) != 0))
    {
        (void) ngx_http_conduit_redis_invalid(cf, &params->outage,
                                      "on_outage= must be \"refuse\" or "
                                      "\"local\"");
        return NGX_ERROR;
    }

    if (params->ca.len && rcf->conn.ssl == NULL) {
        (void) ngx_http_conduit_redis_invalid(cf, &params->ca,
                                              "ca= needs \"rediss://\"");
        return NGX_ERROR;
    }

    if (rcf->conn.ssl) {
        return ngx_conduit_redis_tls(cf, &rcf->conn, &params->ca);
    }

    return NGX_OK;
}


char *
ngx_http_conduit_conf_instance(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t  *value;

    if (cdmcf->instance.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!ngx_http_conduit_redis_plain(&value[1],
                                      NGX_HTTP_CONDUIT_INSTANCE_LEN))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_instance \"%V\": must have 1 to "
                           "64 of the characters a-z, A-Z, 0-9, \".\", "
                           "\"_\", \":\" and \"-\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    cdmcf->instance = value[1];

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_conduit_redis_finish(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    size_t   i;
    u_char  *p;

    if (cdmcf->store_redis && cdmcf->redis_conf == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "conduit_store redis needs a conduit_redis");
        return NGX_ERROR;
    }

    if (cdmcf->redis_conf == NULL) {
        return NGX_OK;
    }

    if (!cdmcf->store_redis) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "conduit_redis is not used without \"conduit_store "
                      "redis\"");
    }

    cdmcf->redis_conf->conn.resolver = cdmcf->resolver;

    if (cdmcf->instance.len) {
        return NGX_OK;
    }

    /* HOST-ZONE; another character than those of a name becomes one */

    p = ngx_pnalloc(cf->pool, cf->cycle->hostname.len + 1
                              + cdmcf->zone_name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    cdmcf->instance.data = p;
    cdmcf->instance.len = ngx_sprintf(p, "%V-%V", &cf->cycle->hostname,
                                      &cdmcf->zone_name)
                          - p;

    if (cdmcf->instance.len > NGX_HTTP_CONDUIT_INSTANCE_LEN) {
        cdmcf->instance.len = NGX_HTTP_CONDUIT_INSTANCE_LEN;
    }

    for (i = 0; i < cdmcf->instance.len; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f) {
            p[i] = '_';
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_conduit_redis_plain(ngx_str_t *name, size_t max)
{
    u_char  c;
    size_t  i;

    if (name->len == 0 || name->len > max) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
            && (c < '0' || c > '9')
            && c != '.' && c != '_' && c != '-' && c != ':')
        {
            return 0;
        }
    }

    return 1;
}


static char *
ngx_http_conduit_redis_invalid(ngx_conf_t *cf, ngx_str_t *arg,
    const char *why)
{
    if (arg) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of conduit_redis: %s", arg,
                           why);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_redis: it %s", why);
    }

    return NGX_CONF_ERROR;
}
