
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_store.h>


static ngx_int_t ngx_http_conduit_store_off_init(
    ngx_http_conduit_store_t *store, ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);
static void ngx_http_conduit_store_off_exit(ngx_http_conduit_store_t *store);
static ngx_int_t ngx_http_conduit_store_off_commit(
    ngx_http_conduit_store_t *store, ngx_http_conduit_record_t *record,
    ngx_http_conduit_store_pt handler, void *data);
static void ngx_http_conduit_store_off_hook(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_kept_hook_t *hook);
static void ngx_http_conduit_store_off_remove(
    ngx_http_conduit_store_t *store, u_char *id, uint64_t number,
    ngx_str_t *key);
static void ngx_http_conduit_store_off_release(
    ngx_http_conduit_store_t *store, u_char *digest, int64_t until);
static ngx_int_t ngx_http_conduit_store_off_scan(
    ngx_http_conduit_store_t *store, ngx_http_conduit_store_each_pt each,
    void *data);


ngx_http_conduit_store_t  ngx_http_conduit_store_off = {
    "off",
    0,
    ngx_http_conduit_store_off_init,
    ngx_http_conduit_store_off_exit,
    ngx_http_conduit_store_off_commit,
    ngx_http_conduit_store_off_hook,
    ngx_http_conduit_store_off_remove,
    ngx_http_conduit_store_off_release,
    NULL,
    0,
    ngx_http_conduit_store_off_scan,
    NULL
};


static ngx_int_t
ngx_http_conduit_store_off_init(ngx_http_conduit_store_t *store,
    ngx_cycle_t *cycle, ngx_http_conduit_main_conf_t *cdmcf)
{
    return NGX_OK;
}


static void
ngx_http_conduit_store_off_exit(ngx_http_conduit_store_t *store)
{
    /* void */
}


static ngx_int_t
ngx_http_conduit_store_off_commit(ngx_http_conduit_store_t *store,
    ngx_http_conduit_record_t *record, ngx_http_conduit_store_pt handler,
    void *data)
{
    return NGX_OK;
}


static void
ngx_http_conduit_store_off_hook(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_kept_hook_t *hook)
{
    /* void */
}


static void
ngx_http_conduit_store_off_remove(ngx_http_conduit_store_t *store, u_char *id,
    uint64_t number, ngx_str_t *key)
{
    /* void */
}


static void
ngx_http_conduit_store_off_release(ngx_http_conduit_store_t *store,
    u_char *digest, int64_t until)
{
    /* void */
}


static ngx_int_t
ngx_http_conduit_store_off_scan(ngx_http_conduit_store_t *store,
    ngx_http_conduit_store_each_pt each, void *data)
{
    return NGX_OK;
}
