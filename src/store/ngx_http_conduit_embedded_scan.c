
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_embedded.h>
#include <ngx_http_conduit_pack.h>


typedef struct {
    ngx_http_conduit_store_each_pt    each;
    void                             *data;
    int64_t                           now;
} ngx_http_conduit_scanning_t;


static ngx_int_t ngx_http_conduit_scan_task(void *data, ngx_str_t *key,
    ngx_str_t *value, ngx_str_t *state);
static ngx_int_t ngx_http_conduit_scan_hook(void *data, ngx_str_t *key,
    ngx_str_t *value, ngx_str_t *state);
static ngx_int_t ngx_http_conduit_scan_key(void *data, ngx_str_t *key,
    ngx_str_t *value, ngx_str_t *state);
static ngx_int_t ngx_http_conduit_scan_damaged(const char *what);
static uint64_t ngx_http_conduit_scan_number(ngx_str_t *key);


ngx_int_t
ngx_http_conduit_embedded_scan(ngx_http_conduit_store_t *store,
    ngx_http_conduit_store_each_pt each, void *data)
{
    ngx_int_t                     rc;
    ngx_uint_t                    i;
    ngx_time_t                   *tp;
    const char                   *why;
    ngx_http_conduit_lmdb_t      *db;
    ngx_http_conduit_scanning_t   scan;
    ngx_http_conduit_embedded_t  *embedded;

    static const struct {
        ngx_uint_t                     table;
        ngx_http_conduit_lmdb_each_pt  each;
    } parts[] = {
        { NGX_HTTP_CONDUIT_LMDB_TASKS, ngx_http_conduit_scan_task },
        { NGX_HTTP_CONDUIT_LMDB_HOOKS, ngx_http_conduit_scan_hook },
        { NGX_HTTP_CONDUIT_LMDB_KEYS, ngx_http_conduit_scan_key }
    };

    embedded = (ngx_http_conduit_embedded_t *) store;

    /* each start has folded all there was */

    store->starts = embedded->journal.sh->generation;

    db = ngx_http_conduit_lmdb_open(&embedded->conf,
                                    ngx_http_conduit_pack_merge, 0, &why);
    if (db == NULL) {
        goto failed;
    }

    tp = ngx_timeofday();

    scan.each = each;
    scan.data = data;
    scan.now = (int64_t) tp->sec * 1000 + tp->msec;

    rc = NGX_OK;

    for (i = 0; rc == NGX_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        rc = ngx_http_conduit_lmdb_scan(db, parts[i].table, parts[i].each,
                                        &scan, &why);
    }

    ngx_http_conduit_lmdb_close(db);

    if (rc == NGX_OK || why == NULL) {
        return rc;
    }

failed:

    ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0,
                  "conduit_store \"%V\" cannot be read: %s", &embedded->path,
                  why);

    return NGX_ERROR;
}


/* those whose time was over while nginx was not running are forgotten soon */

static ngx_int_t
ngx_http_conduit_scan_task(void *data, ngx_str_t *key, ngx_str_t *value,
    ngx_str_t *state)
{
    ngx_http_conduit_scanning_t  *scan = data;

    ngx_http_conduit_record_t  record;

    if (key->len != NGX_HTTP_CONDUIT_LMDB_NUMBER
        || ngx_http_conduit_unpack(&record, value, state) != NGX_OK)
    {
        return ngx_http_conduit_scan_damaged("task");
    }

    record.number = ngx_http_conduit_scan_number(key);

    return scan->each(scan->data, &record);
}


static ngx_int_t
ngx_http_conduit_scan_hook(void *data, ngx_str_t *key, ngx_str_t *value,
    ngx_str_t *state)
{
    ngx_http_conduit_scanning_t  *scan = data;

    ngx_http_conduit_record_t     record;
    ngx_http_conduit_kept_hook_t  hook;

    if (key->len < NGX_HTTP_CONDUIT_LMDB_NUMBER
        || ngx_http_conduit_unpack_hook(&hook, value) != NGX_OK)
    {
        return ngx_http_conduit_scan_damaged("webhook");
    }

    ngx_memzero(&record, sizeof(ngx_http_conduit_record_t));

    record.number = ngx_http_conduit_scan_number(key);
    record.hook = &hook;

    return scan->each(scan->data, &record);
}


static ngx_int_t
ngx_http_conduit_scan_key(void *data, ngx_str_t *key, ngx_str_t *value,
    ngx_str_t *state)
{
    ngx_http_conduit_scanning_t  *scan = data;

    ngx_http_conduit_record_t  record;

    if (ngx_http_conduit_unpack_key(&record, value) != NGX_OK) {
        return ngx_http_conduit_scan_damaged("kept reply");
    }

    return (record.until > scan->now) ? scan->each(scan->data, &record)
                                      : NGX_OK;
}


ngx_int_t
ngx_http_conduit_embedded_record(ngx_str_t *key, ngx_str_t *value,
    ngx_str_t *state, ngx_http_conduit_store_each_pt each, void *data)
{
    ngx_http_conduit_scanning_t  scan;

    scan.each = each;
    scan.data = data;
    scan.now = 0;

    return state->len ? ngx_http_conduit_scan_task(&scan, key, value, state)
                      : ngx_http_conduit_scan_hook(&scan, key, value, state);
}


static ngx_int_t
ngx_http_conduit_scan_damaged(const char *what)
{
    ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0,
                  "conduit_store has a %s that is damaged", what);

    return NGX_ERROR;
}


static uint64_t
ngx_http_conduit_scan_number(ngx_str_t *key)
{
    uint64_t    number;
    ngx_uint_t  i;

    number = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_LMDB_NUMBER; i++) {
        number = number << 8 | key->data[i];
    }

    return number;
}
