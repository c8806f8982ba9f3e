
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * What is published of a change: the record without its texts but the
 * document, the name of the key in front.  Messages are hints, Redis and the
 * owner have the truth; a message that is lost is made up for by the next, or
 * by the next question of a follower.
 */


/* a larger document is fetched by those who follow, not published */

#define NGX_HTTP_CONDUIT_ANNOUNCE_MAX  131072

/* what is published late: so much at once, of the last ms */

#define NGX_HTTP_CONDUIT_ANNOUNCE_MISSED  1000
#define NGX_HTTP_CONDUIT_ANNOUNCE_SINCE   30000


typedef enum {
    NGX_HTTP_CONDUIT_ANNOUNCE_CHANGE,
    NGX_HTTP_CONDUIT_ANNOUNCE_OWNER,
    NGX_HTTP_CONDUIT_ANNOUNCE_HOOKS,
    NGX_HTTP_CONDUIT_ANNOUNCE_BEGIN
} ngx_http_conduit_announce_e;


static void ngx_http_conduit_announce_to(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_announce_e what);
static ngx_str_t ngx_http_conduit_announce_text(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_record_t *record,
    ngx_pool_t *pool);
static ngx_int_t ngx_http_conduit_announced_absorb(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *payload,
    ngx_http_conduit_record_t *record, ngx_str_t *owner);
static ngx_int_t ngx_http_conduit_announced_parse(ngx_str_t *payload,
    ngx_http_conduit_record_t *record, ngx_str_t *owner, ngx_str_t *rest);


void
ngx_http_conduit_announce(ngx_http_conduit_main_conf_t *cdmcf, u_char *id)
{
    ngx_http_conduit_announce_to(cdmcf, id, NGX_HTTP_CONDUIT_ANNOUNCE_CHANGE);
}


/*
 * Who follows a key asks every few seconds, and may not have been heard at
 * first: what has changed in that time, or while nothing could be published,
 * has been read from Redis before it had changed there.
 */

void
ngx_http_conduit_announce_key(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_key_node_t *key)
{
    ngx_uint_t                   n;
    ngx_msec_t                   asked, followed, behind;
    ngx_http_conduit_changed_t  *changed;

    followed = key->followed;
    asked = followed ? ngx_current_msec - followed + NGX_HTTP_CONDUIT_FOLLOWED
                     : NGX_HTTP_CONDUIT_ANNOUNCE_SINCE;
    behind = ngx_http_conduit_cluster_behind(cluster, asked);

    key->followed = ngx_current_msec + NGX_HTTP_CONDUIT_FOLLOWED;

    if (asked <= NGX_HTTP_CONDUIT_FOLLOWED && behind == 0) {
        return;
    }

    changed = ngx_alloc(NGX_HTTP_CONDUIT_ANNOUNCE_MISSED
                        * sizeof(ngx_http_conduit_changed_t), cluster->log);
    if (changed == NULL) {
        return;
    }

    asked = ngx_min(asked, NGX_HTTP_CONDUIT_ANNOUNCE_SINCE);

    n = ngx_http_conduit_task_own(cluster->cdmcf, key, ngx_max(asked, behind),
                                  changed, NGX_HTTP_CONDUIT_ANNOUNCE_MISSED);

    while (n) {
        ngx_http_conduit_announce(cluster->cdmcf, changed[--n].id);
    }

    ngx_free(changed);
}


void
ngx_http_conduit_announce_owner(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id)
{
    ngx_http_conduit_announce_to(cdmcf, id, NGX_HTTP_CONDUIT_ANNOUNCE_OWNER);
}


void
ngx_http_conduit_announce_hooks(ngx_http_conduit_redis_t *redis, u_char *id,
    ngx_uint_t begins)
{
    /* of a task whose deliveries had all ended nobody asks to hear */

    ngx_http_conduit_announce_to(redis->cdmcf, id, begins
                                 ? NGX_HTTP_CONDUIT_ANNOUNCE_BEGIN
                                 : NGX_HTTP_CONDUIT_ANNOUNCE_HOOKS);
}


static void
ngx_http_conduit_announce_to(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    ngx_http_conduit_announce_e what)
{
    u_char                       buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                       text[CONDUIT_UUID_LEN];
    ngx_str_t                    name, channel, message;
    ngx_pool_t                  *pool;
    ngx_http_conduit_redis_t    *redis;
    ngx_http_conduit_record_t    record;
    ngx_http_conduit_cluster_t  *cluster;

    redis = cdmcf->redis;
    cluster = redis->cluster;

    if (!redis->calls.up) {
        return;
    }

    pool = ngx_create_pool(2048, cluster->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_http_conduit_task_record(cdmcf, id, pool, 0, &record) != NGX_OK) {
        goto done;
    }

    if (what == NGX_HTTP_CONDUIT_ANNOUNCE_HOOKS
        && !record.followed && !record.key_followed)
    {
        goto done;
    }

    /* whoever follows reads the deliveries from Redis */

    if (what >= NGX_HTTP_CONDUIT_ANNOUNCE_HOOKS) {
        record.document.len = 0;
    }

    message = ngx_http_conduit_announce_text(cluster, &record, pool);

    if (message.len == 0) {
        goto done;
    }

    if (record.followed || what == NGX_HTTP_CONDUIT_ANNOUNCE_OWNER
        || what == NGX_HTTP_CONDUIT_ANNOUNCE_BEGIN)
    {
        conduit_uuid_write(text, id);
        name.data = text;
        name.len = CONDUIT_UUID_LEN;

        channel = ngx_http_conduit_redis_name(redis, buf, "task", &name);
        ngx_http_conduit_cluster_publish(cluster, &channel, &message);
    }

    if (record.key_followed) {
        channel = ngx_http_conduit_redis_name(redis, buf, "key", &record.key);
        ngx_http_conduit_cluster_publish(cluster, &channel, &message);
    }

done:

    ngx_destroy_pool(pool);
}


/* ID OWNER POSITION LF KEY LF NUMBERS ... DOCUMENT */

static ngx_str_t
ngx_http_conduit_announce_text(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_record_t *record, ngx_pool_t *pool)
{
    u_char     *p;
    ngx_str_t   text;

    ngx_str_null(&text);

    if (record->document.len > NGX_HTTP_CONDUIT_ANNOUNCE_MAX) {
        record->document.len = 0;
    }

    p = ngx_pnalloc(pool, CONDUIT_UUID_LEN + 1 + cluster->redis->owner.len
                          + 1 + NGX_INT32_LEN + 1 + record->key.len + 1
                          + ngx_http_conduit_redis_header_len(record)
                          + record->document.len);
    if (p == NULL) {
        return text;
    }

    text.data = p;

    conduit_uuid_write(p, record->id);
    p += CONDUIT_UUID_LEN;
    *p++ = ' ';
    p = ngx_cpymem(p, cluster->redis->owner.data, cluster->redis->owner.len);
    p = ngx_sprintf(p, " %uD", record->position);
    *p++ = LF;
    p = ngx_cpymem(p, record->key.data, record->key.len);
    *p++ = LF;
    p = ngx_http_conduit_redis_header(p, record, cluster->redis->offset);
    p = ngx_cpymem(p, record->document.data, record->document.len);

    text.len = p - text.data;

    return text;
}


ngx_str_t
ngx_http_conduit_announced(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    ngx_str_t                  owner;
    ngx_http_conduit_record_t  record;

    ngx_str_null(&owner);

    if (ngx_http_conduit_announced_absorb(cluster, payload, &record, &owner)
        == NGX_DECLINED)
    {
        ngx_http_conduit_lease_fetch(cluster, record.id,
                                     NGX_HTTP_CONDUIT_ABSORB_COPY, payload);
    }

    return owner;
}


void
ngx_http_conduit_announced_again(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    ngx_str_t                  owner;
    ngx_http_conduit_record_t  record;

    (void) ngx_http_conduit_announced_absorb(cluster, payload, &record,
                                             &owner);
}


/* NGX_DECLINED: it has to be read from Redis, the task is not known here */

static ngx_int_t
ngx_http_conduit_announced_absorb(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload, ngx_http_conduit_record_t *record, ngx_str_t *owner)
{
    ngx_str_t  rest, from;

    ngx_memzero(record, sizeof(ngx_http_conduit_record_t));

    if (ngx_http_conduit_announced_parse(payload, record, &from, &rest)
        != NGX_OK
        || ngx_http_conduit_redis_parse(record, &rest,
                                        cluster->redis->offset)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *owner = from;

    if (rest.len == 0) {
        return NGX_DECLINED;
    }

    record->document = rest;

    if (ngx_http_conduit_redis_check_texts(record) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_task_absorb(cluster->cdmcf, record,
                                        NGX_HTTP_CONDUIT_ABSORB_NEWS);
}


static ngx_int_t
ngx_http_conduit_announced_parse(ngx_str_t *payload,
    ngx_http_conduit_record_t *record, ngx_str_t *owner, ngx_str_t *rest)
{
    u_char     *p, *last;
    ngx_int_t   position;

    p = payload->data;
    last = p + payload->len;

    if (payload->len < CONDUIT_UUID_LEN + 2
        || conduit_uuid_parse(record->id, p, CONDUIT_UUID_LEN) != CONDUIT_OK)
    {
        return NGX_ERROR;
    }

    owner->data = p + CONDUIT_UUID_LEN + 1;

    p = ngx_strlchr(owner->data, last, ' ');

    if (p == NULL) {
        return NGX_ERROR;
    }

    owner->len = p++ - owner->data;
    record->key.data = ngx_strlchr(p, last, LF);

    if (record->key.data == NULL) {
        return NGX_ERROR;
    }

    position = ngx_atoi(p, record->key.data++ - p);

    if (position == NGX_ERROR) {
        return NGX_ERROR;
    }

    record->position = (uint32_t) position;

    p = ngx_strlchr(record->key.data, last, LF);

    if (p == NULL) {
        return NGX_ERROR;
    }

    record->key.len = p - record->key.data;

    rest->data = p + 1;
    rest->len = last - rest->data;

    return NGX_OK;
}


void
ngx_http_conduit_cluster_publish(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *channel, ngx_str_t *message)
{
    ngx_str_t  args[3];

    ngx_str_set(&args[0], "PUBLISH");
    args[1] = *channel;
    args[2] = *message;

    (void) ngx_conduit_redis_call(&cluster->redis->calls, args, 3, NULL,
                                  NULL);
}


void
ngx_http_conduit_cluster_tell(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *owner, const char *word, u_char *id)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME], *p;
    u_char                     text[16 + CONDUIT_UUID_LEN];
    ngx_str_t                  channel, message;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    if (owner->len == 0 || owner->len > NGX_HTTP_CONDUIT_OWNER_LEN
        || (owner->len == redis->owner.len
            && ngx_memcmp(owner->data, redis->owner.data, owner->len) == 0))
    {
        return;
    }

    channel = ngx_http_conduit_redis_name(redis, buf, "host", owner);

    p = ngx_sprintf(text, "%s ", word);
    conduit_uuid_write(p, id);

    message.data = text;
    message.len = p + CONDUIT_UUID_LEN - text;

    ngx_http_conduit_cluster_publish(cluster, &channel, &message);
}
