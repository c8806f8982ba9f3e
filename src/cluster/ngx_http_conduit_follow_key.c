
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * All tasks of a key: the ids of each shard, then those tasks that the zone
 * does not have, or has as a copy that may be out of date.  Of those that go on
 * Redis knows the begin alone, and their owners are asked, too.
 */


/* tasks of a shard, the newest */

#define NGX_HTTP_CONDUIT_INDEX_LAST   "-2000"

/* calls that wait for Redis at a time */

#define NGX_HTTP_CONDUIT_INDEX_CALLS  1024


/* tasks of a shard that are still to be read */

struct ngx_http_conduit_fkey_ids_s {
    ngx_http_conduit_fkey_ids_t      *next;
    ngx_uint_t                        n;
    u_char                            ids[1];
};


typedef struct {
    ngx_http_conduit_follow_t        *follow;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
} ngx_http_conduit_fkey_t;


static ngx_int_t ngx_http_conduit_fkey_shard(
    ngx_http_conduit_follow_t *follow, ngx_uint_t shard);
static void ngx_http_conduit_fkey_ids(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_fkey_add(ngx_http_conduit_follow_t *follow,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_fkey_go(ngx_http_conduit_follow_t *follow);
static ngx_uint_t ngx_http_conduit_fkey_known(
    ngx_http_conduit_follow_t *follow, u_char *id);
static ngx_int_t ngx_http_conduit_fkey_read(
    ngx_http_conduit_follow_t *follow, u_char *id);
static void ngx_http_conduit_fkey_task(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_fkey_done(ngx_http_conduit_follow_t *follow,
    ngx_conduit_redis_reply_t *reply);


ngx_int_t
ngx_http_conduit_cluster_key(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_http_conduit_waiter_t *waiter)
{
    u_char     buf[4 + NGX_HTTP_CONDUIT_NAME_LEN];
    ngx_str_t  name;

    ngx_memcpy(buf, "key:", 4);
    ngx_memcpy(buf + 4, key->name, key->len);

    name.data = buf;
    name.len = 4 + key->len;

    return ngx_http_conduit_follow_join(cdmcf->redis->cluster, &name, key,
                                        NULL, waiter);
}


/* owners are asked first: they tell what changes while this goes on */

ngx_int_t
ngx_http_conduit_follow_index(ngx_http_conduit_follow_t *follow)
{
    ngx_uint_t  i;

    follow->failed = 0;
    follow->news = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_SHARDS; i++) {
        if (ngx_http_conduit_fkey_shard(follow, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_fkey_shard(ngx_http_conduit_follow_t *follow,
    ngx_uint_t shard)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_int_t                  rc;
    ngx_str_t                  args[4], name;
    ngx_http_conduit_redis_t  *redis;

    redis = follow->cluster->redis;

    name.data = follow->key->name;
    name.len = follow->key->len;

    ngx_str_set(&args[0], "ZRANGE");
    args[1] = ngx_http_conduit_redis_index(redis, buf, (u_char) shard, &name);
    ngx_str_set(&args[2], NGX_HTTP_CONDUIT_INDEX_LAST);
    ngx_str_set(&args[3], "-1");

    rc = ngx_conduit_redis_call(&redis->calls, args, 4,
                                ngx_http_conduit_fkey_ids, follow);
    if (rc == NGX_OK) {
        follow->calls++;
    }

    return rc;
}


static void
ngx_http_conduit_fkey_ids(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_follow_t  *follow = data;

    if (!follow->gone && ngx_http_conduit_fkey_add(follow, reply) != NGX_OK) {
        follow->failed = 1;
    }

    ngx_http_conduit_fkey_done(follow, reply);
}


static ngx_int_t
ngx_http_conduit_fkey_add(ngx_http_conduit_follow_t *follow,
    ngx_conduit_redis_reply_t *reply)
{
    u_char                       *id;
    ngx_str_t                     text;
    ngx_uint_t                    i, n;
    ngx_conduit_redis_reply_t    *element;
    ngx_http_conduit_fkey_ids_t  *tasks;

    for (n = 0; ngx_conduit_redis_at(reply, n); n++) { /* void */ }

    if (n == 0) {
        return NGX_OK;
    }

    tasks = ngx_alloc(offsetof(ngx_http_conduit_fkey_ids_t, ids)
                      + n * NGX_HTTP_CONDUIT_ID_LEN,
                      follow->cluster->log);
    if (tasks == NULL) {
        return NGX_ERROR;
    }

    tasks->n = 0;
    id = tasks->ids;

    for (i = 0; i < n; i++) {
        element = ngx_conduit_redis_at(reply, i);
        text = ngx_conduit_redis_text(element);

        if (conduit_uuid_parse(id, text.data, text.len) == CONDUIT_OK) {
            id += NGX_HTTP_CONDUIT_ID_LEN;
            tasks->n++;
        }
    }

    tasks->next = follow->ids;
    follow->ids = tasks;

    return NGX_OK;
}


/* the newest ones of a shard first */

static void
ngx_http_conduit_fkey_go(ngx_http_conduit_follow_t *follow)
{
    u_char                       *id;
    ngx_http_conduit_fkey_ids_t  *tasks;

    while (follow->ids && follow->calls < NGX_HTTP_CONDUIT_INDEX_CALLS) {

        tasks = follow->ids;

        if (tasks->n == 0) {
            follow->ids = tasks->next;
            ngx_free(tasks);
            continue;
        }

        id = tasks->ids + --tasks->n * NGX_HTTP_CONDUIT_ID_LEN;

        if (ngx_http_conduit_fkey_known(follow, id)) {
            continue;
        }

        if (ngx_http_conduit_fkey_read(follow, id) != NGX_OK) {
            follow->failed = 1;
            return;
        }
    }
}


void
ngx_http_conduit_follow_unread(ngx_http_conduit_follow_t *follow)
{
    ngx_http_conduit_fkey_ids_t  *tasks;

    while (follow->ids) {
        tasks = follow->ids;
        follow->ids = tasks->next;
        ngx_free(tasks);
    }
}


static ngx_uint_t
ngx_http_conduit_fkey_known(ngx_http_conduit_follow_t *follow, u_char *id)
{
    ngx_uint_t                     known;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &follow->cluster->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    known = (node && (!node->remote
                      || node->owner != NGX_HTTP_CONDUIT_NOBODY));

    ngx_http_conduit_zone_unlock(zone);

    return known;
}


static ngx_int_t
ngx_http_conduit_fkey_read(ngx_http_conduit_follow_t *follow, u_char *id)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t                  args[2];
    ngx_http_conduit_fkey_t   *indexed;
    ngx_http_conduit_redis_t  *redis;

    redis = follow->cluster->redis;

    indexed = ngx_alloc(sizeof(ngx_http_conduit_fkey_t), redis->log);
    if (indexed == NULL) {
        return NGX_ERROR;
    }

    indexed->follow = follow;
    ngx_memcpy(indexed->id, id, NGX_HTTP_CONDUIT_ID_LEN);

    ngx_str_set(&args[0], "HGETALL");
    args[1] = ngx_http_conduit_redis_task_key(redis, buf, id);

    if (ngx_conduit_redis_call(&redis->calls, args, 2,
                               ngx_http_conduit_fkey_task, indexed)
        != NGX_OK)
    {
        ngx_free(indexed);
        return NGX_ERROR;
    }

    follow->calls++;

    return NGX_OK;
}


static void
ngx_http_conduit_fkey_task(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_fkey_t  *indexed = data;

    ngx_int_t                    rc;
    ngx_str_t                    owner;
    ngx_http_conduit_follow_t   *follow;
    ngx_http_conduit_record_t    record;
    ngx_http_conduit_cluster_t  *cluster;

    follow = indexed->follow;
    cluster = follow->cluster;

    if (reply && !follow->gone) {
        rc = ngx_http_conduit_redis_record(cluster->redis, reply,
                                           indexed->id, &record, &owner);

        if (rc == NGX_OK) {
            (void) ngx_http_conduit_lease_absorb(cluster, reply, &record,
                                                 &owner,
                                            NGX_HTTP_CONDUIT_ABSORB_COPY);

            if (record.status <= CONDUIT_PROCESSING && owner.len
                && !ngx_http_conduit_redis_mine(cluster->redis, &owner))
            {
                follow->news++;
                ngx_http_conduit_cluster_tell(cluster, &owner, "follow",
                                              indexed->id);
            }

        } else if (rc == NGX_DECLINED) {
            ngx_http_conduit_follow_forget(cluster, follow->key,
                                           indexed->id);
        }
    }

    ngx_free(indexed);

    ngx_http_conduit_fkey_done(follow, reply);
}


/* its time was over and nobody was there to take it off the index */

void
ngx_http_conduit_follow_forget(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_key_node_t *key, u_char *id)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     text[CONDUIT_UUID_LEN];
    ngx_str_t                  args[3], name;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    name.data = key->name;
    name.len = key->len;

    conduit_uuid_write(text, id);

    ngx_str_set(&args[0], "ZREM");
    args[1] = ngx_http_conduit_redis_index(redis, buf, id[0], &name);
    args[2].data = text;
    args[2].len = CONDUIT_UUID_LEN;

    (void) ngx_conduit_redis_call(&redis->calls, args, 3, NULL, NULL);
}


static void
ngx_http_conduit_fkey_done(ngx_http_conduit_follow_t *follow,
    ngx_conduit_redis_reply_t *reply)
{
    follow->calls--;

    if (reply == NULL) {
        follow->failed = 1;
    }

    if (!follow->gone && !follow->failed) {
        ngx_http_conduit_fkey_go(follow);
    }

    if (follow->failed) {
        ngx_http_conduit_follow_unread(follow);
    }

    if (follow->calls) {

        /* Redis does answer */

        if (follow->timer.timer_set) {
            ngx_add_timer(&follow->timer, NGX_HTTP_CONDUIT_FOLLOW_WAIT);
        }

        return;
    }

    if (follow->gone) {
        ngx_free(follow);
        return;
    }

    if (follow->state != NGX_HTTP_CONDUIT_FOLLOW_READ) {
        return;
    }

    if (follow->news && !follow->failed) {
        ngx_http_conduit_follow_await(follow);
        return;
    }

    ngx_http_conduit_follow_ready(follow, follow->failed ? NGX_ERROR : NGX_OK);
}
