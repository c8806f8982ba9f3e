
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_exchange.h>


#define NGX_CONDUIT_TRANSFER_POOL  2048


ngx_conduit_transfer_t *
ngx_conduit_transfer_create(ngx_log_t *log)
{
    ngx_pool_t              *pool;
    ngx_conduit_exchange_t  *x;
    ngx_conduit_transfer_t  *t;

    pool = ngx_create_pool(NGX_CONDUIT_TRANSFER_POOL, log);
    if (pool == NULL) {
        return NULL;
    }

    t = ngx_pcalloc(pool, sizeof(ngx_conduit_transfer_t));
    if (t == NULL) {
        goto failed;
    }

    x = ngx_pcalloc(pool, sizeof(ngx_conduit_exchange_t));
    if (x == NULL) {
        goto failed;
    }

    if (ngx_array_init(&t->headers, pool, 8, sizeof(ngx_keyval_t)) != NGX_OK) {
        goto failed;
    }

    x->transfer = t;
    x->fd = (ngx_socket_t) -1;

    t->exchange = x;
    t->pool = pool;
    t->log = log;
    t->connect_timeout = 5000;
    t->timeout = 30000;
    t->resolver_timeout = 10000;
    t->max_size = 1024 * 1024;
    t->message = "";

    return t;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


ngx_int_t
ngx_conduit_transfer_add_header(ngx_conduit_transfer_t *t, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_keyval_t  *kv;

    kv = ngx_array_push(&t->headers);
    if (kv == NULL) {
        return NGX_ERROR;
    }

    kv->key = *name;
    kv->value = *value;

    return NGX_OK;
}


void
ngx_conduit_transfer_start(ngx_conduit_transfer_t *t)
{
    ngx_conduit_exchange_t  *x;

    x = t->exchange;

    x->state = NGX_CONDUIT_EXCHANGE_STARTED;
    x->start = ngx_current_msec;

    x->timer.data = x;
    x->timer.handler = ngx_conduit_exchange_timer;
    x->timer.log = ngx_cycle->log;

    /* it counts: a worker that exits gracefully waits for its transfers */

    ngx_conduit_exchange_arm(x);

    ngx_conduit_curl_enter(x);
    ngx_conduit_curl_queue(x);
}


void
ngx_conduit_transfer_resume(ngx_conduit_transfer_t *t)
{
    ngx_conduit_exchange_t  *x;

    x = t->exchange;

    if (x->state == NGX_CONDUIT_EXCHANGE_RUNNING) {
        x->resume = 1;
        ngx_conduit_curl_queue(x);
    }
}


void
ngx_conduit_transfer_cancel(ngx_conduit_transfer_t *t)
{
    ngx_conduit_exchange_t  *x;

    x = t->exchange;

    switch (x->state) {

    case NGX_CONDUIT_EXCHANGE_NEW:
        ngx_destroy_pool(t->pool);
        break;

    case NGX_CONDUIT_EXCHANGE_ENDED:
        break;

    default:

        if (ngx_conduit_curl_inside()) {
            x->cancelled = 1;
            ngx_conduit_curl_queue(x);
            return;
        }

        /* at once: memory that it was given may be freed after this */

        ngx_conduit_exchange_destroy(x);
    }
}


ngx_int_t
ngx_conduit_transfer_header(ngx_conduit_transfer_t *t, const char *name,
    ngx_str_t *value)
{
    struct curl_header  *header;

    if (t->exchange->easy == NULL
        || curl_easy_header(t->exchange->easy, name, 0, CURLH_HEADER, -1,
                            &header)
           != CURLHE_OK)
    {
        return NGX_DECLINED;
    }

    value->data = (u_char *) header->value;
    value->len = ngx_strlen(header->value);

    return NGX_OK;
}


const char *
ngx_conduit_transfer_strerror(ngx_uint_t error)
{
    static const char  *errors[] = {
        "ok", "dns", "connect", "tls", "timeout", "protocol", "too_large",
        "blocked", "aborted", "internal"
    };

    if (error > NGX_CONDUIT_TRANSFER_INTERNAL) {
        return "unknown";
    }

    return errors[error];
}
