
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_webhook_conf.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>


#define NGX_HTTP_CONDUIT_WEBHOOK_TIMEOUT     10000
#define NGX_HTTP_CONDUIT_WEBHOOK_CONNECT     3000

/* what no attempt and no open breaker outlasts */

#define NGX_HTTP_CONDUIT_WEBHOOK_TIMEOUT_MAX  3600000
#define NGX_HTTP_CONDUIT_WEBHOOK_RESET_MAX    86400000

/* after its time an attempt that has not ended is lost with its worker */

#define NGX_HTTP_CONDUIT_WEBHOOK_LOST         5000


static ngx_int_t ngx_http_conduit_webhook_time(ngx_str_t *value,
    ngx_msec_t max, ngx_msec_t *msec);
static ngx_int_t ngx_http_conduit_webhook_jitter(ngx_str_t *value,
    conduit_retry_t *retry);
static ngx_int_t ngx_http_conduit_webhook_number(ngx_str_t *value,
    const char *name, ngx_uint_t *n);


ngx_int_t
ngx_http_conduit_webhook_conf_create(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_webhook_conf_t  *wcf;

    wcf = &cdmcf->webhook;

    if (ngx_array_init(&wcf->allow, cf->pool, 4, sizeof(conduit_cidr_t))
        != NGX_OK
        || ngx_array_init(&wcf->deny, cf->pool, 4, sizeof(conduit_cidr_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    wcf->timeout = NGX_CONF_UNSET_MSEC;
    wcf->connect_timeout = NGX_CONF_UNSET_MSEC;
    wcf->per_origin = NGX_CONF_UNSET_UINT;
    wcf->per_key = NGX_CONF_UNSET_UINT;
    wcf->total = NGX_CONF_UNSET_UINT;

    cdmcf->webhook_plain = NGX_CONF_UNSET;

    return NGX_OK;
}


void
ngx_http_conduit_webhook_conf_init(ngx_http_conduit_main_conf_t *cdmcf)
{
    conduit_addr_policy_t            *policy;
    ngx_http_conduit_webhook_conf_t  *wcf;

    wcf = &cdmcf->webhook;

    if (!wcf->retry_set) {
        wcf->retry.pauses[0] = 2000;
        wcf->retry.pauses[1] = 4000;
        wcf->retry.pauses[2] = 8000;
        wcf->retry.n = 3;
    }

    ngx_conf_init_msec_value(wcf->timeout, NGX_HTTP_CONDUIT_WEBHOOK_TIMEOUT);
    ngx_conf_init_msec_value(wcf->connect_timeout,
                             ngx_min(wcf->timeout,
                                     NGX_HTTP_CONDUIT_WEBHOOK_CONNECT));

    if (!wcf->breaker_set) {
        wcf->breaker.failures = 5;
        wcf->breaker.reset = 60000;
    }

    wcf->breaker.attempt = wcf->timeout + NGX_HTTP_CONDUIT_WEBHOOK_LOST;

    if (!wcf->rate_set) {
        wcf->rate = 1000;
        wcf->window = CONDUIT_WINDOW_MINUTE;
    }

    /* one key gets no more than a quarter unless that is what is wanted */

    ngx_conf_init_uint_value(wcf->total, 256);
    ngx_conf_init_uint_value(wcf->per_key,
                             ngx_max(ngx_min(wcf->total / 4, 64), 1));
    ngx_conf_init_uint_value(wcf->per_origin, ngx_min(wcf->per_key, 10));

    ngx_conf_init_value(cdmcf->webhook_plain, 0);

    policy = &cdmcf->webhook_policy;

    policy->plain = cdmcf->webhook_plain;
    policy->allow = wcf->allow.elts;
    policy->nallow = wcf->allow.nelts;
    policy->deny = wcf->deny.elts;
    policy->ndeny = wcf->deny.nelts;
}


char *
ngx_http_conduit_conf_webhook_retry(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_int_t         rc;
    ngx_str_t        *value;
    ngx_msec_t        msec;
    ngx_uint_t        i;
    conduit_retry_t  *retry;

    if (cdmcf->webhook.retry_set) {
        return "is duplicate";
    }

    cdmcf->webhook.retry_set = 1;

    retry = &cdmcf->webhook.retry;
    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        rc = ngx_http_conduit_webhook_jitter(&value[i], retry);

        if (rc == NGX_OK && i > 1 && i == cf->args->nelts - 1) {
            return NGX_CONF_OK;
        }

        if (rc == NGX_DECLINED
            && retry->n < CONDUIT_RETRY_PAUSES_MAX
            && ngx_http_conduit_webhook_time(&value[i],
                                             CONDUIT_RETRY_PAUSE_MAX, &msec)
               == NGX_OK)
        {
            retry->pauses[retry->n++] = (uint32_t) msec;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of conduit_webhook_retry:"
                           " must be \"off\", or up to %d times such as 2s,"
                           " above 0 and at most 30d, with \"jitter=N%%\" as"
                           " the last, N at most 100", &value[i],
                           CONDUIT_RETRY_PAUSES_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "jitter=20%"; NGX_DECLINED: it is something else */

static ngx_int_t
ngx_http_conduit_webhook_jitter(ngx_str_t *value, conduit_retry_t *retry)
{
    ngx_int_t  n;

    if (value->len < 7 || ngx_strncmp(value->data, "jitter=", 7) != 0) {
        return NGX_DECLINED;
    }

    if (value->len < 9 || value->data[value->len - 1] != '%') {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data + 7, value->len - 8);

    if (n == NGX_ERROR || n > CONDUIT_RETRY_JITTER_MAX) {
        return NGX_ERROR;
    }

    retry->jitter = (unsigned) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_webhook_time(ngx_str_t *value, ngx_msec_t max,
    ngx_msec_t *msec)
{
    ngx_int_t  n;

    n = ngx_parse_time(value, 0);

    if (n == NGX_ERROR || n == 0 || (ngx_msec_t) n > max) {
        return NGX_ERROR;
    }

    *msec = (ngx_msec_t) n;

    return NGX_OK;
}


char *
ngx_http_conduit_conf_webhook_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t                        *value, text;
    ngx_http_conduit_webhook_conf_t  *wcf;

    wcf = &cdmcf->webhook;

    if (wcf->timeout != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_conduit_webhook_time(&value[1],
                                      NGX_HTTP_CONDUIT_WEBHOOK_TIMEOUT_MAX,
                                      &wcf->timeout)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_webhook_timeout \"%V\": must be"
                           " above 0 and at most 1h, for example 10s",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    text = value[2];

    if (text.len > 8 && ngx_strncmp(text.data, "connect=", 8) == 0) {
        text.data += 8;
        text.len -= 8;

        if (ngx_http_conduit_webhook_time(&text, wcf->timeout,
                                          &wcf->connect_timeout)
            == NGX_OK)
        {
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of conduit_webhook_timeout:"
                       " must be connect=TIME, above 0 and not longer than"
                       " the whole attempt", &value[2]);

    return NGX_CONF_ERROR;
}


char *
ngx_http_conduit_conf_webhook_breaker(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_int_t                n;
    ngx_str_t               *value;
    ngx_msec_t               msec;
    conduit_breaker_conf_t  *breaker;

    if (cdmcf->webhook.breaker_set) {
        return "is duplicate";
    }

    cdmcf->webhook.breaker_set = 1;

    breaker = &cdmcf->webhook.breaker;
    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > NGX_MAX_INT32_VALUE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" of failures in"
                           " conduit_webhook_breaker: must be at least 1",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_conduit_webhook_time(&value[2],
                                      NGX_HTTP_CONDUIT_WEBHOOK_RESET_MAX,
                                      &msec)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in conduit_webhook_breaker:"
                           " must be above 0 and at most 1d, for example 60s",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    breaker->failures = (uint32_t) n;
    breaker->reset = (uint32_t) msec;

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_webhook_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t                        *value;
    ngx_http_conduit_webhook_conf_t  *wcf;

    wcf = &cdmcf->webhook;

    if (wcf->rate_set) {
        return "is duplicate";
    }

    wcf->rate_set = 1;

    value = cf->args->elts;

    if (conduit_window_parse(&wcf->rate, &wcf->window, value[1].data,
                             value[1].len)
        != CONDUIT_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_webhook_rate \"%V\": must be"
                           " \"off\" or a rate such as 1000r/m or 20r/s",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_webhook_concurrency(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t                        *value;
    ngx_uint_t                        i;
    ngx_http_conduit_webhook_conf_t  *wcf;

    wcf = &cdmcf->webhook;

    if (wcf->concurrency_set) {
        return "is duplicate";
    }

    wcf->concurrency_set = 1;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_conduit_webhook_number(&value[i], "per_origin=",
                                            &wcf->per_origin)
            == NGX_OK
            || ngx_http_conduit_webhook_number(&value[i], "per_key=",
                                               &wcf->per_key)
               == NGX_OK
            || ngx_http_conduit_webhook_number(&value[i], "total=",
                                               &wcf->total)
               == NGX_OK)
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of"
                           " conduit_webhook_concurrency: must be"
                           " per_origin=N, per_key=N or total=N, each once,"
                           " with N of at least 1", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* NAME=N, once */

static ngx_int_t
ngx_http_conduit_webhook_number(ngx_str_t *value, const char *name,
    ngx_uint_t *n)
{
    size_t     len;
    ngx_int_t  number;

    len = ngx_strlen(name);

    if (value->len <= len || ngx_strncmp(value->data, name, len) != 0
        || *n != NGX_CONF_UNSET_UINT)
    {
        return NGX_DECLINED;
    }

    number = ngx_atoi(value->data + len, value->len - len);

    if (number < 1 || number > NGX_MAX_INT32_VALUE) {
        return NGX_DECLINED;
    }

    *n = (ngx_uint_t) number;

    return NGX_OK;
}


/* libcurl reads the file in a worker; what is wrong is found out here */

char *
ngx_http_conduit_conf_webhook_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    X509_STORE  *store;
    ngx_int_t    good;
    ngx_str_t   *value, *file;

    file = &cdmcf->webhook.certificate;

    if (file->len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    *file = value[1];

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    store = X509_STORE_new();
    good = store
           && X509_STORE_load_locations(store, (char *) file->data, NULL) == 1;

    X509_STORE_free(store);

    if (!good) {
        ERR_clear_error();

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "cannot read certificates from \"%V\" of"
                           " conduit_webhook_trusted_certificate: must be a"
                           " file in PEM form", file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_webhook_bind(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    u_char      addr[CONDUIT_ADDR_LEN];
    ngx_str_t  *value;

    if (cdmcf->webhook.bind.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (conduit_addr_parse(addr, value[1].data, value[1].len) != CONDUIT_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conduit_webhook_bind \"%V\": must be an"
                           " IPv4 or IPv6 address of this machine, without"
                           " port and brackets", &value[1]);
        return NGX_CONF_ERROR;
    }

    cdmcf->webhook.bind = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_conf_webhook_cidr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t       *value;
    ngx_uint_t       i;
    ngx_array_t     *list;
    conduit_cidr_t  *cidr;

    list = (ngx_array_t *) ((char *) conf + cmd->offset);
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        cidr = ngx_array_push(list);
        if (cidr == NULL) {
            return NGX_CONF_ERROR;
        }

        if (conduit_cidr_parse(cidr, value[i].data, value[i].len)
            != CONDUIT_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid address \"%V\" in %V: must be an"
                               " address, or a network such as 10.0.0.0/8 or"
                               " fd00::/8 without bits behind its prefix",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}
