
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * Following tasks and keys of other hosts.  A follow subscribes to a channel,
 * then reads what there is from Redis, then asks the owner, who tells what
 * Redis does not know: progress.  From there on messages keep the copies up to
 * date, and whoever asks is answered from the zone.
 *
 * It ends when nobody has asked and nobody watches for a while, and with the
 * connection: copies without a follow are read again before they are shown.
 */


/* how long an owner may take to tell its task, ms */

#define NGX_HTTP_CONDUIT_FOLLOW_OWNER  150

#define NGX_HTTP_CONDUIT_FOLLOWS       20000


static ngx_uint_t ngx_http_conduit_follow_fresh(
    ngx_http_conduit_cluster_t *cluster, u_char *id);
static ngx_http_conduit_follow_t *ngx_http_conduit_follow_create(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *name);
static ngx_http_conduit_follow_t *ngx_http_conduit_follow_find(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *name);
static void ngx_http_conduit_follow_got(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_follow_got_task(
    ngx_http_conduit_follow_t *follow, ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_follow_timer(ngx_event_t *ev);


ngx_int_t
ngx_http_conduit_cluster_task(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    ngx_http_conduit_waiter_t *waiter)
{
    u_char                       buf[5 + CONDUIT_UUID_LEN];
    ngx_str_t                    name;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = cdmcf->redis->cluster;

    if (ngx_http_conduit_follow_fresh(cluster, id)) {
        return NGX_OK;
    }

    ngx_memcpy(buf, "task:", 5);
    conduit_uuid_write(buf + 5, id);

    name.data = buf;
    name.len = 5 + CONDUIT_UUID_LEN;

    return ngx_http_conduit_follow_join(cluster, &name, NULL, id, waiter);
}


/* a task of this host, or a copy that somebody here follows */

static ngx_uint_t
ngx_http_conduit_follow_fresh(ngx_http_conduit_cluster_t *cluster, u_char *id)
{
    ngx_uint_t                     fresh;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;
    fresh = 0;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    if (node) {
        fresh = (!node->remote || node->owner != NGX_HTTP_CONDUIT_NOBODY);

        if (node->remote) {
            node->deadline = ngx_current_msec + NGX_HTTP_CONDUIT_COPY;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return fresh;
}


ngx_int_t
ngx_http_conduit_follow_join(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *name, ngx_http_conduit_key_node_t *key, u_char *id,
    ngx_http_conduit_waiter_t *waiter)
{
    ngx_http_conduit_follow_t  *follow;

    if (!cluster->redis->calls.up || !cluster->redis->channels.up) {
        return NGX_ERROR;
    }

    follow = ngx_http_conduit_follow_find(cluster, name);

    if (follow == NULL) {
        follow = ngx_http_conduit_follow_create(cluster, name);

        if (follow == NULL) {
            return NGX_ERROR;
        }

        follow->key = key;

        if (id) {
            ngx_memcpy(follow->id, id, NGX_HTTP_CONDUIT_ID_LEN);
        }
    }

    follow->used = ngx_current_msec;

    if (follow->state == NGX_HTTP_CONDUIT_FOLLOW_FRESH) {

        if (key) {
            return NGX_OK;
        }

        /* it has been told of the task and the zone has let go of it */

        follow->state = NGX_HTTP_CONDUIT_FOLLOW_READ;
        follow->begun = ngx_current_msec;

        if (ngx_http_conduit_follow_read(follow) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_queue_empty(&follow->waiters) && follow->calls == 0
               && ngx_http_conduit_follow_begin(follow) != NGX_OK)
    {
        ngx_http_conduit_follow_end(follow);
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&follow->waiters, &waiter->queue);
    waiter->waiting = 1;

    return NGX_AGAIN;
}


static ngx_http_conduit_follow_t *
ngx_http_conduit_follow_create(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *name)
{
    ngx_http_conduit_follow_t  *follow;

    if (cluster->nfollows >= NGX_HTTP_CONDUIT_FOLLOWS) {
        return NULL;
    }

    follow = ngx_calloc(sizeof(ngx_http_conduit_follow_t) + name->len,
                        cluster->log);
    if (follow == NULL) {
        return NULL;
    }

    follow->cluster = cluster;
    follow->begun = ngx_current_msec;

    ngx_memcpy(follow->name, name->data, name->len);

    follow->sn.str.data = follow->name;
    follow->sn.str.len = name->len;
    follow->sn.node.key = ngx_crc32_long(name->data, name->len);

    follow->timer.data = &cluster->dummy;
    follow->timer.handler = ngx_http_conduit_follow_timer;
    follow->timer.log = cluster->log;

    ngx_queue_init(&follow->waiters);
    ngx_queue_insert_tail(&cluster->follows, &follow->queue);
    ngx_rbtree_insert(&cluster->names, &follow->sn.node);
    cluster->nfollows++;

    return follow;
}


static ngx_http_conduit_follow_t *
ngx_http_conduit_follow_find(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *name)
{
    return (ngx_http_conduit_follow_t *)
               ngx_str_rbtree_lookup(&cluster->names, name,
                                     ngx_crc32_long(name->data, name->len));
}


/* a task is looked for first: nobody subscribes to what does not exist */

ngx_int_t
ngx_http_conduit_follow_begin(ngx_http_conduit_follow_t *follow)
{
    follow->begun = ngx_current_msec;

    if (!follow->timer.timer_set) {
        ngx_add_timer(&follow->timer, NGX_HTTP_CONDUIT_FOLLOW_WAIT);
    }

    if (follow->key) {
        follow->state = NGX_HTTP_CONDUIT_FOLLOW_SUBSCRIBE;
        ngx_http_conduit_follow_channel(follow, "SUBSCRIBE");
        return NGX_OK;
    }

    follow->state = NGX_HTTP_CONDUIT_FOLLOW_LOOK;

    return ngx_http_conduit_follow_read(follow);
}


void
ngx_http_conduit_follow_channel(ngx_http_conduit_follow_t *follow,
    const char *command)
{
    u_char     buf[NGX_HTTP_CONDUIT_REDIS_NAME], *p;
    ngx_str_t  name;

    p = ngx_sprintf(buf, "%V:%V",
                    &follow->cluster->cdmcf->redis_conf->prefix,
                    &follow->sn.str);

    name.data = buf;
    name.len = p - buf;

    ngx_http_conduit_cluster_subscribe(follow->cluster, command, &name);
}


ngx_int_t
ngx_http_conduit_follow_read(ngx_http_conduit_follow_t *follow)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_int_t                  rc;
    ngx_str_t                  args[2];
    ngx_http_conduit_redis_t  *redis;

    redis = follow->cluster->redis;

    ngx_str_set(&args[0], "HGETALL");
    args[1] = ngx_http_conduit_redis_task_key(redis, buf, follow->id);

    rc = ngx_conduit_redis_call(&redis->calls, args, 2,
                                ngx_http_conduit_follow_got, follow);
    if (rc == NGX_OK) {
        follow->calls++;
    }

    return rc;
}


static void
ngx_http_conduit_follow_got(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_follow_t  *follow = data;

    ngx_int_t  rc;

    follow->calls--;

    if (follow->gone) {

        if (follow->calls == 0) {
            ngx_free(follow);
        }

        return;
    }

    rc = ngx_http_conduit_follow_got_task(follow, reply);

    if (rc == NGX_AGAIN) {
        return;
    }

    ngx_http_conduit_follow_ready(follow, rc);
}


/* NGX_AGAIN: there is more to come */

static ngx_int_t
ngx_http_conduit_follow_got_task(ngx_http_conduit_follow_t *follow,
    ngx_conduit_redis_reply_t *reply)
{
    ngx_int_t                    rc;
    ngx_str_t                    owner;
    ngx_http_conduit_record_t    record;
    ngx_http_conduit_redis_t    *redis;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = follow->cluster;
    redis = cluster->redis;

    if (reply == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_conduit_redis_record(redis, reply, follow->id, &record,
                                       &owner);
    if (rc != NGX_OK) {
        return rc;
    }

    if (follow->state == NGX_HTTP_CONDUIT_FOLLOW_LOOK) {
        follow->state = NGX_HTTP_CONDUIT_FOLLOW_SUBSCRIBE;
        ngx_http_conduit_follow_channel(follow, "SUBSCRIBE");
        return NGX_AGAIN;
    }

    if (ngx_http_conduit_lease_absorb(cluster, reply, &record, &owner,
                                      NGX_HTTP_CONDUIT_ABSORB_COPY)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    /* of an ended task there may be deliveries to be heard of */

    if (record.status > CONDUIT_PROCESSING) {
        owner = record.courier;
    }

    follow->owner_len = 0;

    if (owner.len == 0 || ngx_http_conduit_redis_mine(redis, &owner)
        || owner.len > NGX_HTTP_CONDUIT_OWNER_LEN)
    {
        return NGX_OK;
    }

    follow->owner_len = owner.len;
    ngx_memcpy(follow->owner, owner.data, owner.len);

    follow->heard = ngx_current_msec;

    if (follow->state == NGX_HTTP_CONDUIT_FOLLOW_FRESH) {
        ngx_http_conduit_follow_ask(follow);
        return NGX_OK;
    }

    ngx_http_conduit_follow_await(follow);
    ngx_http_conduit_follow_ask(follow);

    return NGX_AGAIN;
}


void
ngx_http_conduit_follow_await(ngx_http_conduit_follow_t *follow)
{
    follow->state = NGX_HTTP_CONDUIT_FOLLOW_ASK;

    if (follow->timer.timer_set) {
        ngx_del_timer(&follow->timer);
    }

    ngx_add_timer(&follow->timer, NGX_HTTP_CONDUIT_FOLLOW_OWNER);
}


void
ngx_http_conduit_follow_ask(ngx_http_conduit_follow_t *follow)
{
    u_char                       buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                       text[NGX_HTTP_CONDUIT_NAME_LEN + 4];
    ngx_str_t                    owner, channel, message;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = follow->cluster;
    follow->asked = ngx_current_msec;

    if (follow->key == NULL) {
        owner.data = follow->owner;
        owner.len = follow->owner_len;

        ngx_http_conduit_cluster_tell(cluster, &owner, "follow", follow->id);
        return;
    }

    channel = ngx_http_conduit_redis_name(cluster->redis, buf, "hosts", NULL);

    ngx_memcpy(text, "key ", 4);
    ngx_memcpy(text + 4, follow->key->name, follow->key->len);

    message.data = text;
    message.len = 4 + follow->key->len;

    ngx_http_conduit_cluster_publish(cluster, &channel, &message);
}


/* from now on the zone has it, or it is known that there is nothing */

void
ngx_http_conduit_follow_ready(ngx_http_conduit_follow_t *follow,
    ngx_int_t rc)
{
    ngx_queue_t                *q, waiters;
    ngx_http_conduit_waiter_t  *waiter;

    if (follow->timer.timer_set) {
        ngx_del_timer(&follow->timer);
    }

    ngx_queue_init(&waiters);

    if (!ngx_queue_empty(&follow->waiters)) {
        ngx_queue_add(&waiters, &follow->waiters);
        ngx_queue_init(&follow->waiters);
    }

    if (rc == NGX_OK) {
        follow->state = NGX_HTTP_CONDUIT_FOLLOW_FRESH;

    } else if (follow->key && ngx_http_conduit_mask_any(&follow->key->watchers))
    {
        /* whoever watches does not ask again: it begins anew */

        follow->state = NGX_HTTP_CONDUIT_FOLLOW_LOOK;
        ngx_http_conduit_follow_disown(follow->cluster, follow);

    } else {
        ngx_http_conduit_follow_end(follow);
    }

    if (rc == NGX_DECLINED) {
        rc = NGX_OK;
    }

    while (!ngx_queue_empty(&waiters)) {
        q = ngx_queue_head(&waiters);
        ngx_queue_remove(q);

        waiter = ngx_queue_data(q, ngx_http_conduit_waiter_t, queue);
        waiter->waiting = 0;
        waiter->handler(waiter->data, rc);
    }
}


static void
ngx_http_conduit_follow_timer(ngx_event_t *ev)
{
    ngx_http_conduit_follow_t  *follow;

    follow = (ngx_http_conduit_follow_t *)
                 ((u_char *) ev - offsetof(ngx_http_conduit_follow_t, timer));

    /* a dead owner cannot be asked; what Redis knows is what there is */

    ngx_http_conduit_follow_ready(follow,
                          follow->state == NGX_HTTP_CONDUIT_FOLLOW_ASK
                          ? NGX_OK : NGX_ERROR);
}


void
ngx_http_conduit_follow_message(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *channel, ngx_str_t *payload)
{
    ngx_int_t                   rc;
    ngx_str_t                   owner;
    ngx_http_conduit_follow_t  *follow;

    follow = ngx_http_conduit_follow_find(cluster, channel);

    if (follow == NULL) {
        return;
    }

    if (payload) {
        owner = ngx_http_conduit_announced(cluster, payload);

        /* it may be another one than the last time */

        if (follow->key == NULL && owner.len
            && owner.len <= NGX_HTTP_CONDUIT_OWNER_LEN)
        {
            follow->owner_len = owner.len;
            ngx_memcpy(follow->owner, owner.data, owner.len);
            follow->heard = ngx_current_msec;
        }

        if (follow->news) {
            follow->news--;
        }

        if (follow->state == NGX_HTTP_CONDUIT_FOLLOW_ASK
            && follow->news == 0)
        {
            ngx_http_conduit_follow_ready(follow, NGX_OK);
        }

        return;
    }

    if (follow->state != NGX_HTTP_CONDUIT_FOLLOW_SUBSCRIBE) {
        return;
    }

    follow->state = NGX_HTTP_CONDUIT_FOLLOW_READ;

    if (follow->key) {
        ngx_http_conduit_follow_ask(follow);
    }

    rc = follow->key ? ngx_http_conduit_follow_index(follow)
                     : ngx_http_conduit_follow_read(follow);

    if (rc != NGX_OK) {
        ngx_http_conduit_follow_ready(follow, NGX_ERROR);
    }
}
