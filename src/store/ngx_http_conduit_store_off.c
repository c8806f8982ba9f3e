
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_store.h>


static ngx_int_t ngx_http_conduit_store_off_commit(
    ngx_http_conduit_store_t *store, ngx_http_conduit_record_t *record,
    ngx_http_conduit_store_pt handler, void *data);
static ngx_int_t ngx_http_conduit_store_off_fetch(
    ngx_http_conduit_store_t *store, ngx_http_conduit_record_t *record,
    ngx_pool_t *pool, ngx_http_conduit_store_pt handler, void *data);
static ngx_int_t ngx_http_conduit_store_off_scan(
    ngx_http_conduit_store_t *store,
    ngx_int_t (*each)(void *data, ngx_http_conduit_record_t *record),
    void *data);


ngx_http_conduit_store_t  ngx_http_conduit_store_off = {
    "off",
    ngx_http_conduit_store_off_commit,
    ngx_http_conduit_store_off_fetch,
    ngx_http_conduit_store_off_scan
};


static ngx_int_t
ngx_http_conduit_store_off_commit(ngx_http_conduit_store_t *store,
    ngx_http_conduit_record_t *record, ngx_http_conduit_store_pt handler,
    void *data)
{
    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_store_off_fetch(ngx_http_conduit_store_t *store,
    ngx_http_conduit_record_t *record, ngx_pool_t *pool,
    ngx_http_conduit_store_pt handler, void *data)
{
    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_store_off_scan(ngx_http_conduit_store_t *store,
    ngx_int_t (*each)(void *data, ngx_http_conduit_record_t *record),
    void *data)
{
    return NGX_OK;
}
