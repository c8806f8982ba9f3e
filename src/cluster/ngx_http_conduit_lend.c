
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * A worker may report at any host.  One that does not have the task asks its
 * owner for it: "borrow ID LEASE OWNER KEY" to the owner's channel.  The owner
 * looks whether the key holds the lease, gives the task away in Redis, with all
 * that Redis did not know of it, and says so: "lent ID".
 */


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_key_node_t      *key;
    uint64_t                          lease;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
} ngx_http_conduit_borrow_t;


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    size_t                            len;
    u_char                            owner[NGX_HTTP_CONDUIT_OWNER_LEN];
} ngx_http_conduit_lend_t;


static void ngx_http_conduit_borrow_owner(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_lend_parse(ngx_str_t *payload, u_char *id,
    uint64_t *lease, ngx_str_t *owner, ngx_str_t *key);
static ngx_int_t ngx_http_conduit_lend_call(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_record_t *record,
    ngx_str_t *owner, ngx_str_t *leased);
static void ngx_http_conduit_lend_done(void *data,
    ngx_conduit_redis_reply_t *reply);


void
ngx_http_conduit_cluster_borrow(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_key_node_t *key, uint64_t lease)
{
    u_char                      buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t                   args[3];
    ngx_http_conduit_redis_t   *redis;
    ngx_http_conduit_borrow_t  *borrow;

    redis = cdmcf->redis;

    borrow = ngx_alloc(sizeof(ngx_http_conduit_borrow_t), redis->log);
    if (borrow == NULL) {
        return;
    }

    borrow->cluster = redis->cluster;
    borrow->key = key;
    borrow->lease = lease;
    ngx_memcpy(borrow->id, id, NGX_HTTP_CONDUIT_ID_LEN);

    ngx_str_set(&args[0], "HGET");
    args[1] = ngx_http_conduit_redis_task_key(redis, buf, id);
    ngx_str_set(&args[2], "o");

    if (ngx_conduit_redis_call(&redis->calls, args, 3,
                               ngx_http_conduit_borrow_owner, borrow)
        != NGX_OK)
    {
        ngx_free(borrow);
    }
}


static void
ngx_http_conduit_borrow_owner(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_borrow_t  *borrow = data;

    u_char                       buf[NGX_HTTP_CONDUIT_REDIS_NAME], *p;
    u_char                       text[16 + CONDUIT_UUID_LEN + NGX_INT64_LEN
                                      + NGX_HTTP_CONDUIT_OWNER_LEN
                                      + NGX_HTTP_CONDUIT_NAME_LEN];
    ngx_str_t                    owner, channel, message;
    ngx_http_conduit_redis_t    *redis;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = borrow->cluster;
    redis = cluster->redis;
    owner = ngx_conduit_redis_text(reply);

    if (owner.len && owner.len <= NGX_HTTP_CONDUIT_OWNER_LEN
        && redis->owner.len <= NGX_HTTP_CONDUIT_OWNER_LEN)
    {
        p = ngx_cpymem(text, "borrow ", 7);
        conduit_uuid_write(p, borrow->id);
        p += CONDUIT_UUID_LEN;
        p = ngx_sprintf(p, " %uL %V ", borrow->lease, &redis->owner);
        p = ngx_cpymem(p, borrow->key->name, borrow->key->len);

        message.data = text;
        message.len = p - text;

        channel = ngx_http_conduit_redis_name(redis, buf, "host", &owner);

        ngx_http_conduit_cluster_publish(cluster, &channel, &message);
    }

    ngx_free(borrow);
}


void
ngx_http_conduit_cluster_lend(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    u_char                        id[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                        text[NGX_INT64_LEN + 1
                                       + NGX_HTTP_CONDUIT_NAME_LEN];
    uint64_t                      lease;
    ngx_str_t                     owner, name, leased;
    ngx_uint_t                    status, attempts;
    ngx_pool_t                   *pool;
    ngx_http_conduit_record_t     record;
    ngx_http_conduit_key_node_t  *key;
    ngx_http_conduit_provider_t  *provider;

    if (ngx_http_conduit_lend_parse(payload, id, &lease, &owner, &name)
        != NGX_OK)
    {
        return;
    }

    key = ngx_http_conduit_key_node(&cluster->cdmcf->zone, &name);

    if (key == NULL
        || ngx_http_conduit_task_held(cluster->cdmcf, key, id, &lease,
                                      &status, &attempts, &provider)
           != NGX_OK)
    {
        return;
    }

    pool = ngx_create_pool(4096, cluster->log);
    if (pool == NULL) {
        return;
    }

    leased.data = text;
    leased.len = ngx_sprintf(text, "%uL %V", lease, &name) - text;

    if (ngx_http_conduit_task_record(cluster->cdmcf, id, pool, 0, &record)
        == NGX_OK)
    {
        (void) ngx_http_conduit_lend_call(cluster, &record, &owner, &leased);
    }

    ngx_destroy_pool(pool);
}


/* borrow ID LEASE OWNER KEY */

static ngx_int_t
ngx_http_conduit_lend_parse(ngx_str_t *payload, u_char *id, uint64_t *lease,
    ngx_str_t *owner, ngx_str_t *key)
{
    u_char  *p, *last;

    p = payload->data;
    last = p + payload->len;

    if (payload->len < 7 + CONDUIT_UUID_LEN + 2
        || conduit_uuid_parse(id, p + 7, CONDUIT_UUID_LEN) != CONDUIT_OK)
    {
        return NGX_ERROR;
    }

    p += 7 + CONDUIT_UUID_LEN + 1;

    for (*lease = 0; p < last && *p >= '0' && *p <= '9'; p++) {
        *lease = *lease * 10 + (*p - '0');
    }

    if (p == last || *p++ != ' ') {
        return NGX_ERROR;
    }

    owner->data = p;
    p = ngx_strlchr(p, last, ' ');

    if (p == NULL) {
        return NGX_ERROR;
    }

    owner->len = p - owner->data;

    key->data = p + 1;
    key->len = last - key->data;

    return (owner->len && owner->len <= NGX_HTTP_CONDUIT_OWNER_LEN
            && key->len && key->len <= NGX_HTTP_CONDUIT_NAME_LEN)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_lend_call(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_record_t *record, ngx_str_t *owner, ngx_str_t *leased)
{
    u_char                     task[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     leases[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     id[CONDUIT_UUID_LEN], length[NGX_INT_T_LEN];
    u_char                    *header;
    ngx_int_t                  rc;
    ngx_str_t                  args[15];
    ngx_http_conduit_lend_t   *lend;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    lend = ngx_alloc(sizeof(ngx_http_conduit_lend_t)
                     + ngx_http_conduit_redis_header_len(record),
                     redis->log);
    if (lend == NULL) {
        return NGX_ERROR;
    }

    lend->cluster = cluster;
    lend->len = owner->len;
    ngx_memcpy(lend->owner, owner->data, owner->len);
    ngx_memcpy(lend->id, record->id, NGX_HTTP_CONDUIT_ID_LEN);

    header = (u_char *) lend + sizeof(ngx_http_conduit_lend_t);

    conduit_uuid_write(id, record->id);

    ngx_str_set(&args[2], "2");
    args[3] = ngx_http_conduit_redis_task_key(redis, task, record->id);
    args[4] = ngx_http_conduit_redis_leases(redis, leases, record->id[0]);
    args[5] = redis->owner;
    args[6] = *owner;
    args[7].data = id;
    args[7].len = CONDUIT_UUID_LEN;
    args[8].data = length;
    args[8].len = ngx_sprintf(length, "%ui",
                              (ngx_uint_t) NGX_HTTP_CONDUIT_LEASE)
                  - length;
    ngx_str_set(&args[9], "l");
    args[10] = *leased;
    ngx_str_set(&args[11], "h");
    args[12].data = header;
    args[12].len = ngx_http_conduit_redis_header(header, record,
                                                 redis->offset)
                   - header;
    ngx_str_set(&args[13], "d");
    args[14] = record->document;

    rc = ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_LEND,
                                       args, 15, ngx_http_conduit_lend_done,
                                       lend);
    if (rc != NGX_OK) {
        ngx_free(lend);
    }

    return rc;
}


static void
ngx_http_conduit_lend_done(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_lend_t  *lend = data;

    ngx_str_t                    owner;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = lend->cluster;

    if (ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_INTEGER
        && ngx_conduit_redis_number(reply))
    {
        owner.data = lend->owner;
        owner.len = lend->len;

        ngx_http_conduit_lease_fetch(cluster, lend->id,
                                     NGX_HTTP_CONDUIT_ABSORB_SEEN);
        ngx_http_conduit_cluster_tell(cluster, &owner, "lent", lend->id);
    }

    ngx_http_conduit_redis_script_lost(cluster->redis, reply);

    ngx_free(lend);
}
