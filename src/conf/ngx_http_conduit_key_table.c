
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_key_file.h>
#include <conduit_glob.h>

#include <openssl/crypto.h>


static ngx_http_conduit_key_slot_t *ngx_http_conduit_key_find(
    ngx_http_conduit_key_table_t *table, u_char *digest);


ngx_http_conduit_key_t *
ngx_http_conduit_key_lookup(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *presented, u_char *digest, ngx_uint_t *why)
{
    *why = NGX_HTTP_CONDUIT_KEY_UNKNOWN;

    if (ngx_conduit_sha256(digest, presented, 1) != NGX_OK) {
        return NULL;
    }

    return ngx_http_conduit_key_digest(cdmcf, digest, why);
}


ngx_http_conduit_key_t *
ngx_http_conduit_key_digest(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest, ngx_uint_t *why)
{
    time_t                        now;
    ngx_http_conduit_key_t       *key;
    ngx_http_conduit_key_slot_t  *slot;

    *why = NGX_HTTP_CONDUIT_KEY_UNKNOWN;

    if (cdmcf->keys == NULL) {
        return NULL;
    }

    slot = ngx_http_conduit_key_find(&cdmcf->keys->table, digest);

    if (slot == NULL || slot->key == NULL) {
        return NULL;
    }

    key = slot->key;
    now = ngx_time();

    if ((slot->expires && slot->expires <= now)
        || (key->expires && key->expires <= now))
    {
        *why = NGX_HTTP_CONDUIT_KEY_EXPIRED;
        return NULL;
    }

    if (key->disabled) {
        *why = NGX_HTTP_CONDUIT_KEY_DISABLED;
        return NULL;
    }

    *why = NGX_HTTP_CONDUIT_KEY_OK;

    return key;
}


/* the slot of a digest, or the free one where it would be; NULL: no table */

static ngx_http_conduit_key_slot_t *
ngx_http_conduit_key_find(ngx_http_conduit_key_table_t *table, u_char *digest)
{
    uint32_t                      hash;
    ngx_uint_t                    i;
    ngx_http_conduit_key_slot_t  *slot;

    if (table->slots == NULL) {
        return NULL;
    }

    ngx_memcpy(&hash, digest, sizeof(uint32_t));

    for (i = hash & table->mask; /* void */ ; i = (i + 1) & table->mask) {
        slot = &table->slots[i];

        /* at most half of the slots are taken, so the walk comes to an end */

        if (slot->key == NULL
            || CRYPTO_memcmp(slot->digest, digest, NGX_CONDUIT_SHA256_LEN)
               == 0)
        {
            return slot;
        }
    }
}


ngx_int_t
ngx_http_conduit_key_table(ngx_http_conduit_key_table_t *table,
    ngx_pool_t *pool, ngx_http_conduit_key_t **keys,
    ngx_http_conduit_key_t **contents, ngx_uint_t n,
    ngx_http_conduit_key_t **a, ngx_http_conduit_key_t **b)
{
    ngx_uint_t                    i, k, size, count;
    ngx_http_conduit_secret_t    *secret;
    ngx_http_conduit_key_slot_t  *slot;

    count = 0;

    for (i = 0; i < n; i++) {
        count += contents[i]->secrets.nelts;
    }

    for (size = 8; size < 2 * count; size *= 2) { /* void */ }

    table->mask = size - 1;
    table->slots = ngx_pcalloc(pool,
                               size * sizeof(ngx_http_conduit_key_slot_t));
    if (table->slots == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        secret = contents[i]->secrets.elts;

        for (k = 0; k < contents[i]->secrets.nelts; k++) {
            slot = ngx_http_conduit_key_find(table, secret[k].digest);

            if (slot->key != NULL) {
                *a = slot->key;
                *b = keys[i];
                return NGX_DECLINED;
            }

            ngx_memcpy(slot->digest, secret[k].digest, NGX_CONDUIT_SHA256_LEN);
            slot->expires = secret[k].expires;
            slot->key = keys[i];
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_key_add(ngx_http_conduit_keys_t *keys,
    ngx_http_conduit_key_t *key)
{
    ngx_http_conduit_key_t  **kp;

    kp = ngx_array_push(&keys->keys);
    if (kp == NULL) {
        return NGX_ERROR;
    }

    *kp = key;

    key->sn.str = key->name;
    key->sn.node.key = ngx_crc32_short(key->name.data, key->name.len);

    ngx_rbtree_insert(&keys->names, &key->sn.node);

    return NGX_OK;
}


ngx_http_conduit_key_t *
ngx_http_conduit_key_by_name(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *name)
{
    ngx_http_conduit_key_t  *key;

    if (cdmcf->keys == NULL) {
        return NULL;
    }

    /* the node comes first in a key */

    key = (ngx_http_conduit_key_t *) ngx_str_rbtree_lookup(
                                         &cdmcf->keys->names, name,
                                         ngx_crc32_short(name->data,
                                                         name->len));

    return (key && key->removed) ? NULL : key;
}


ngx_int_t
ngx_http_conduit_key_name(ngx_str_t *name)
{
    u_char      ch;
    ngx_uint_t  i;

    if (name->len == 0 || name->len > NGX_HTTP_CONDUIT_NAME_LEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || ch == '.' || ch == '_'
            || ch == ':' || ch == '@' || ch == '-')
        {
            continue;
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_conduit_key_model(ngx_http_conduit_key_t *key, ngx_str_t *model)
{
    ngx_str_t   *pattern;
    ngx_uint_t   i;

    if (key->models.nelts == 0) {
        return 1;
    }

    pattern = key->models.elts;

    for (i = 0; i < key->models.nelts; i++) {
        if (conduit_glob_match(pattern[i].data, pattern[i].len, model->data,
                               model->len))
        {
            return 1;
        }
    }

    return 0;
}


ngx_http_conduit_key_node_t *
ngx_http_conduit_key_zone(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_t *key)
{
    /* nodes are never freed, so that the pointer may be kept */

    if (key->node == NULL) {
        key->node = ngx_http_conduit_key_node(&cdmcf->zone, &key->name);
    }

    return key->node;
}
