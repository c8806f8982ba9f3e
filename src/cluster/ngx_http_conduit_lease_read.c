
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook.h>
#include <ngx_http_conduit_peers.h>


/* Tasks that have become those of this host, or have been changed by others. */


/* reads of a task that is being changed at the time */

#define NGX_HTTP_CONDUIT_LEASE_TRIES   50


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_absorb_e         how;
    ngx_uint_t                        tries;       /* made so far */
    ngx_str_t                         news;        /* younger, perhaps */
    u_char                            text[1];
} ngx_http_conduit_fetch_t;


static void ngx_http_conduit_lease_read(ngx_http_conduit_fetch_t *fetch);
static void ngx_http_conduit_lease_fetched(void *data,
    ngx_conduit_redis_reply_t *reply);


void
ngx_http_conduit_lease_fetch(ngx_http_conduit_cluster_t *cluster, u_char *id,
    ngx_http_conduit_absorb_e how, ngx_str_t *news)
{
    ngx_http_conduit_fetch_t  *fetch;

    fetch = ngx_calloc(sizeof(ngx_http_conduit_fetch_t)
                       + (news ? news->len : 0), cluster->log);
    if (fetch == NULL) {
        return;
    }

    if (news) {
        fetch->news.data = fetch->text;
        fetch->news.len = news->len;
        ngx_memcpy(fetch->text, news->data, news->len);
    }

    fetch->cluster = cluster;
    fetch->how = how;
    ngx_memcpy(fetch->id, id, NGX_HTTP_CONDUIT_ID_LEN);

    ngx_http_conduit_lease_read(fetch);
}


static void
ngx_http_conduit_lease_read(ngx_http_conduit_fetch_t *fetch)
{
    u_char                       buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t                    args[2];
    ngx_http_conduit_cluster_t  *cluster;

    cluster = fetch->cluster;

    ngx_str_set(&args[0], "HGETALL");
    args[1] = ngx_http_conduit_redis_task_key(cluster->redis, buf, fetch->id);

    if (ngx_conduit_redis_call(&cluster->redis->calls, args, 2,
                               ngx_http_conduit_lease_fetched, fetch)
        != NGX_OK)
    {
        ngx_free(fetch);
    }
}


static void
ngx_http_conduit_lease_fetched(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_fetch_t  *fetch = data;

    ngx_int_t                    rc;
    ngx_str_t                    owner;
    ngx_http_conduit_record_t    record;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = fetch->cluster;

    rc = ngx_http_conduit_redis_record(cluster->redis, reply, fetch->id,
                                       &record, &owner);

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_lease_absorb(cluster, reply, &record, &owner,
                                           fetch->how);
    }

    /* a change of it is on its way to Redis */

    if (rc == NGX_AGAIN && fetch->tries++ < NGX_HTTP_CONDUIT_LEASE_TRIES) {
        ngx_http_conduit_lease_read(fetch);
        return;
    }

    if (rc == NGX_ERROR && fetch->how == NGX_HTTP_CONDUIT_ABSORB_OWN) {
        cluster->unread++;
    }

    /* Redis is not told that a task begins, nor of its progress */

    if (rc == NGX_OK && fetch->news.len) {
        ngx_http_conduit_announced_again(cluster, &fetch->news);
    }

    ngx_free(fetch);
}


ngx_int_t
ngx_http_conduit_lease_absorb(ngx_http_conduit_cluster_t *cluster,
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record,
    ngx_str_t *owner, ngx_http_conduit_absorb_e how)
{
    ngx_int_t                  rc;
    ngx_uint_t                 mine, courier;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    if (ngx_http_conduit_redis_hooks(redis, reply, record) != NGX_OK) {
        return NGX_ERROR;
    }

    mine = ngx_http_conduit_redis_mine(redis, owner);
    courier = ngx_http_conduit_redis_mine(redis, &record->courier);

    /* who has it may have changed between the two calls */

    if (how == NGX_HTTP_CONDUIT_ABSORB_OWN && !mine) {
        how = NGX_HTTP_CONDUIT_ABSORB_SEEN;
    }

    if (how == NGX_HTTP_CONDUIT_ABSORB_SEEN && mine
        && record->status <= CONDUIT_PROCESSING)
    {
        how = NGX_HTTP_CONDUIT_ABSORB_OWN;
    }

    rc = ngx_http_conduit_task_absorb(cluster->cdmcf, record, how);

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_hooks_absorb(cluster->cdmcf, record, courier,
                                           courier && !mine);
    }

    if (rc == NGX_OK && courier) {
        ngx_http_conduit_catchup_over(cluster, record->id);
    }

    if (rc == NGX_OK && how == NGX_HTTP_CONDUIT_ABSORB_OWN) {
        ngx_http_conduit_announce_owner(cluster->cdmcf, record->id);
    }

    if (record->hooks_kept) {
        ngx_free(record->hooks_kept);
        record->hooks_kept = NULL;
    }

    return rc;
}
