
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_key_file.h>
#include <ngx_conduit_thread.h>


static ngx_http_conduit_keys_t *ngx_http_conduit_keys(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);
static ngx_int_t ngx_http_conduit_key_block(ngx_conf_t *cf,
    ngx_http_conduit_key_t *key);
static char *ngx_http_conduit_key_line(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static ngx_int_t ngx_http_conduit_keys_file(ngx_conf_t *cf,
    ngx_http_conduit_keys_t *keys);
static void ngx_http_conduit_keys_cleanup(void *data);


char *
ngx_http_conduit_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t                     *value;
    ngx_http_conduit_key_t        *key;
    ngx_http_conduit_keys_t       *keys;

    value = cf->args->elts;

    keys = ngx_http_conduit_keys(cf, cdmcf);
    if (keys == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_conduit_key_name(&value[1]) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"conduit_key\": it must be"
                           " 1 to 64 letters, digits or \"._:@-\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_conduit_key_by_name(cdmcf, &value[1]) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"conduit_key\" \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    key = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_key_t));
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    key->name = value[1];

    if (ngx_http_conduit_key_block(cf, key) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_conduit_key_add(keys, key) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_http_conduit_keys_t *
ngx_http_conduit_keys(ngx_conf_t *cf, ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_keys_t  *keys;

    if (cdmcf->keys) {
        return cdmcf->keys;
    }

    keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_keys_t));
    if (keys == NULL) {
        return NULL;
    }

    keys->pool = cf->pool;

    if (ngx_array_init(&keys->keys, cf->pool, 4,
                       sizeof(ngx_http_conduit_key_t *))
        != NGX_OK)
    {
        return NULL;
    }

    ngx_rbtree_init(&keys->names, &keys->sentinel,
                    ngx_str_rbtree_insert_value);

    cdmcf->keys = keys;

    return keys;
}


static ngx_int_t
ngx_http_conduit_key_block(ngx_conf_t *cf, ngx_http_conduit_key_t *key)
{
    char                          *rv;
    ngx_conf_t                     save;
    ngx_http_conduit_key_parse_t  *kp;

    kp = ngx_pcalloc(cf->temp_pool, sizeof(ngx_http_conduit_key_parse_t));
    if (kp == NULL) {
        return NGX_ERROR;
    }

    kp->pool = cf->pool;
    kp->cycle = cf->cycle;
    kp->key = key;

    if (ngx_http_conduit_key_begin(kp) != NGX_OK) {
        return NGX_ERROR;
    }

    save = *cf;
    cf->handler = ngx_http_conduit_key_line;
    cf->handler_conf = kp;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_conduit_key_end(kp) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"conduit_key\" \"%V\" %V",
                           &key->name, &kp->error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_conduit_key_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_conduit_key_parse_t  *kp = conf;

    ngx_str_t                     *value;

    value = cf->args->elts;

    if (ngx_http_conduit_key_member(kp, &value[0], &value[1],
                                    cf->args->nelts - 1)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"conduit_key\" \"%V\" %V", &value[0],
                           &kp->key->name, &kp->error);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_conduit_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_str_t                     *value;
    ngx_http_conduit_keys_t       *keys;

    value = cf->args->elts;

    keys = ngx_http_conduit_keys(cf, cdmcf);
    if (keys == NULL) {
        return NGX_CONF_ERROR;
    }

    if (keys->file.data) {
        return "is duplicate";
    }

    keys->file = value[1];

    if (ngx_conf_full_name(cf->cycle, &keys->file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    keys->threads = ngx_conduit_thread_pool(cf);
    if (keys->threads == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_conduit_keys_init(ngx_conf_t *cf, ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_int_t                 rc;
    ngx_http_conduit_key_t   *a, *b;
    ngx_http_conduit_keys_t  *keys;

    keys = cdmcf->keys;

    if (keys == NULL) {
        return NGX_OK;
    }

    if (keys->file.len) {
        return ngx_http_conduit_keys_file(cf, keys);
    }

    rc = ngx_http_conduit_key_table(&keys->table, cf->pool, keys->keys.elts,
                                    keys->keys.elts, keys->keys.nelts, &a,
                                    &b);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the keys \"%V\" and \"%V\" have the same \"secret\"",
                      &a->name, &b->name);
        return NGX_ERROR;
    }

    return rc;
}


static ngx_int_t
ngx_http_conduit_keys_file(ngx_conf_t *cf, ngx_http_conduit_keys_t *keys)
{
    ngx_int_t                       rc;
    ngx_str_t                       error;
    ngx_pool_t                     *pool;
    ngx_pool_cleanup_t             *cln;
    ngx_http_conduit_key_source_t   src;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_conduit_keys_cleanup;
    cln->data = keys;

    ngx_memzero(&src, sizeof(ngx_http_conduit_key_source_t));

    src.path = (char *) keys->file.data;
    src.prefix = (char *) cf->cycle->conf_prefix.data;
    src.prefix_len = cf->cycle->conf_prefix.len;

    ngx_http_conduit_key_source_read(&src);

    keys->stat = src.stat;

    if (src.json == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, src.err,
                      "\"conduit_key_file\" \"%V\" %s", &keys->file,
                      src.error);
        return NGX_ERROR;
    }

    /* a log that lives as long as the pool */

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &cf->cycle->new_log);

    if (pool == NULL) {
        json_decref(src.json);
        return NGX_ERROR;
    }

    rc = ngx_http_conduit_key_file_apply(keys, src.json, cf->cycle, pool,
                                         &error);

    json_decref(src.json);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"conduit_key_file\" \"%V\": %V", &keys->file, &error);
        ngx_destroy_pool(pool);
    }

    return rc;
}


static void
ngx_http_conduit_keys_cleanup(void *data)
{
    ngx_http_conduit_keys_t  *keys = data;

    if (keys->file_pool) {
        ngx_destroy_pool(keys->file_pool);
    }
}
