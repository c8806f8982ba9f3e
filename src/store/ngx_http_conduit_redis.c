
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <conduit_id.h>


/* The connections of a worker, and the names of what lies in Redis. */


/* clocks that are set right differ by less, ms */

#define NGX_HTTP_CONDUIT_REDIS_AGREE  50


/* what came so late, ms, does not tell the time; and how often it is asked */

#define NGX_HTTP_CONDUIT_REDIS_LATE   2
#define NGX_HTTP_CONDUIT_REDIS_ASKED  8

/* clocks drift, and are set: when the time is asked for again, ms */

#define NGX_HTTP_CONDUIT_REDIS_AGAIN  60000
#define NGX_HTTP_CONDUIT_REDIS_STEP   250


static void ngx_http_conduit_redis_state(ngx_conduit_redis_t *conn,
    ngx_uint_t up);
static int64_t ngx_http_conduit_redis_clock(void);
static void ngx_http_conduit_redis_ask(ngx_http_conduit_redis_t *redis);
static void ngx_http_conduit_redis_time(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_redis_channels(ngx_conduit_redis_t *conn,
    ngx_uint_t up);
static void ngx_http_conduit_redis_message(ngx_conduit_redis_t *conn,
    ngx_str_t *channel, ngx_str_t *payload);
static ngx_int_t ngx_http_conduit_redis_owner(ngx_cycle_t *cycle,
    ngx_http_conduit_redis_t *redis);


ngx_int_t
ngx_http_conduit_redis_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_redis_t  *redis;

    redis = ngx_pcalloc(cycle->pool, sizeof(ngx_http_conduit_redis_t));
    if (redis == NULL) {
        return NGX_ERROR;
    }

    redis->cdmcf = cdmcf;
    redis->log = cycle->log;
    redis->dummy.fd = (ngx_socket_t) -1;

    ngx_queue_init(&redis->held);
    ngx_queue_init(&redis->local);

    redis->calls.conf = &cdmcf->redis_conf->conn;
    redis->calls.log = cycle->log;
    redis->calls.data = redis;
    redis->calls.state = ngx_http_conduit_redis_state;

    redis->channels.conf = &cdmcf->redis_conf->conn;
    redis->channels.log = cycle->log;
    redis->channels.data = redis;
    redis->channels.state = ngx_http_conduit_redis_channels;
    redis->channels.message = ngx_http_conduit_redis_message;

    cdmcf->redis = redis;

    if (ngx_http_conduit_redis_owner(cycle, redis) != NGX_OK
        || ngx_http_conduit_redis_place(redis) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_conduit_redis_open(&redis->calls) != NGX_OK
        || ngx_conduit_redis_open(&redis->channels) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_conduit_redis_exit(ngx_http_conduit_redis_t *redis)
{
    ngx_conduit_redis_close(&redis->channels);
    ngx_conduit_redis_close(&redis->calls);

    if (redis->event.posted) {
        ngx_delete_posted_event(&redis->event);
    }
}


/*
 * The instance, and what tells the life of one zone from the next: what an
 * earlier one owned has to be taken over.
 */

static ngx_int_t
ngx_http_conduit_redis_owner(ngx_cycle_t *cycle,
    ngx_http_conduit_redis_t *redis)
{
    u_char                        *p;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = redis->cdmcf;

    p = ngx_pnalloc(cycle->pool, cdmcf->instance.len + 1 + 16);
    if (p == NULL) {
        return NGX_ERROR;
    }

    redis->owner.data = p;

    p = ngx_cpymem(p, cdmcf->instance.data, cdmcf->instance.len);
    *p++ = '@';
    p = ngx_hex_dump(p, cdmcf->zone.sh->life, 8);

    redis->owner.len = p - redis->owner.data;

    return NGX_OK;
}


ngx_uint_t
ngx_http_conduit_redis_mine(ngx_http_conduit_redis_t *redis, ngx_str_t *owner)
{
    return owner->len == redis->owner.len
           && ngx_memcmp(owner->data, redis->owner.data, owner->len) == 0;
}


static void
ngx_http_conduit_redis_state(ngx_conduit_redis_t *conn, ngx_uint_t up)
{
    ngx_uint_t                 i;
    ngx_http_conduit_redis_t  *redis;

    redis = conn->data;

    for (i = 0; i < NGX_HTTP_CONDUIT_SCRIPTS; i++) {
        redis->sha[i].len = 0;
    }

    if (up) {
        redis->questions = 0;
        ngx_http_conduit_redis_ask(redis);
    }

    if (redis->events.calls) {
        redis->events.calls(redis, up);
    }
}


static void
ngx_http_conduit_redis_ask(ngx_http_conduit_redis_t *redis)
{
    ngx_str_t  time = ngx_string("TIME");

    redis->questions++;
    redis->asked = ngx_http_conduit_redis_clock();
    redis->asked_at = ngx_current_msec;

    (void) ngx_conduit_redis_call(&redis->calls, &time, 1,
                                  ngx_http_conduit_redis_time, redis);
}


static void
ngx_http_conduit_redis_time(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_redis_t  *redis = data;

    int64_t  ms, late;

    ms = ngx_conduit_redis_number(ngx_conduit_redis_at(reply, 0)) * 1000
         + ngx_conduit_redis_number(ngx_conduit_redis_at(reply, 1)) / 1000;

    if (ms == 0) {
        return;
    }

    /* it was so late somewhere on the way */

    late = (ngx_http_conduit_redis_clock() - redis->asked) / 2;

    if (redis->questions == 1 || late < redis->late) {
        redis->late = late;
        redis->offset = ms - redis->asked - late;
    }

    /* a busy machine: what came sooner is nearer to the truth */

    if (redis->late > NGX_HTTP_CONDUIT_REDIS_LATE
        && redis->questions < NGX_HTTP_CONDUIT_REDIS_ASKED)
    {
        ngx_http_conduit_redis_ask(redis);
    }

    /* clocks that agree are better than what is known of their difference */

    redis->cdmcf->zone.sh->offset =
        (ngx_abs(redis->offset) < NGX_HTTP_CONDUIT_REDIS_AGREE + redis->late)
        ? 0 : redis->offset;
}


/* the clock of this host was set, or it is long since they were compared */

void
ngx_http_conduit_redis_tick(ngx_http_conduit_redis_t *redis)
{
    int64_t     step;
    ngx_msec_t  passed;

    passed = ngx_current_msec - redis->asked_at;
    step = ngx_http_conduit_redis_clock() - redis->asked - (int64_t) passed;

    if (redis->calls.up
        && (passed > NGX_HTTP_CONDUIT_REDIS_AGAIN
            || ngx_abs(step) > NGX_HTTP_CONDUIT_REDIS_STEP))
    {
        redis->questions = 0;
        ngx_http_conduit_redis_ask(redis);
    }
}


/* ms; not as of the last event, which may have been a while ago */

static int64_t
ngx_http_conduit_redis_clock(void)
{
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    return (int64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
}


int64_t
ngx_http_conduit_redis_shared(ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_time_t  *tp;

    if (cdmcf->redis) {
        return ngx_http_conduit_redis_now(cdmcf->redis);
    }

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}


int64_t
ngx_http_conduit_redis_now(ngx_http_conduit_redis_t *redis)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec + redis->offset;
}


ngx_uint_t
ngx_http_conduit_redis_alone(ngx_http_conduit_redis_t *redis)
{
    ngx_msec_t              heard;
    ngx_http_conduit_sh_t  *sh;

    sh = redis->cdmcf->zone.sh;

    /*
     * Who calls the same address from the same place is refused as well; not
     * so others, and a node of a cluster says nothing of the rest.
     */

    if (redis->calls.refused && sh->parts[0][0] == '\0') {

        if (sh->apart == 0) {
            return 1;
        }

        heard = sh->apart;

    } else {

        if (sh->peered == 0) {
            return 0;
        }

        heard = sh->peered;
    }

    /* by the last time at which the leases were renewed */

    return (ngx_msec_int_t) (sh->leased - heard)
           > NGX_HTTP_CONDUIT_PEER_FORGOTTEN + NGX_HTTP_CONDUIT_LEASE;
}


static void
ngx_http_conduit_redis_channels(ngx_conduit_redis_t *conn, ngx_uint_t up)
{
    ngx_http_conduit_redis_t  *redis;

    redis = conn->data;

    if (redis->events.channels) {
        redis->events.channels(redis, up);
    }
}


static void
ngx_http_conduit_redis_message(ngx_conduit_redis_t *conn, ngx_str_t *channel,
    ngx_str_t *payload)
{
    ngx_http_conduit_redis_t  *redis;

    redis = conn->data;

    if (redis->events.message) {
        redis->events.message(conn, channel, payload);
    }
}


u_char *
ngx_http_conduit_redis_shard(ngx_http_conduit_redis_t *redis, u_char *p,
    u_char first)
{
    return ngx_sprintf(p, "%V:{%02ui}:", &redis->cdmcf->redis_conf->prefix,
                       (ngx_uint_t) first % NGX_HTTP_CONDUIT_SHARDS);
}


ngx_str_t
ngx_http_conduit_redis_task_key(ngx_http_conduit_redis_t *redis, u_char *buf,
    u_char *id)
{
    u_char     *p;
    ngx_str_t   name;

    p = ngx_http_conduit_redis_shard(redis, buf, id[0]);
    p = ngx_cpymem(p, "task:", 5);
    conduit_uuid_write(p, id);

    name.data = buf;
    name.len = p + CONDUIT_UUID_LEN - buf;

    return name;
}


ngx_str_t
ngx_http_conduit_redis_leases(ngx_http_conduit_redis_t *redis, u_char *buf,
    u_char first)
{
    u_char     *p;
    ngx_str_t   name;

    p = ngx_http_conduit_redis_shard(redis, buf, first);
    p = ngx_cpymem(p, "leases", 6);

    name.data = buf;
    name.len = p - buf;

    return name;
}


ngx_str_t
ngx_http_conduit_redis_index(ngx_http_conduit_redis_t *redis, u_char *buf,
    u_char first, ngx_str_t *key)
{
    u_char     *p;
    ngx_str_t   name;

    p = ngx_http_conduit_redis_shard(redis, buf, first);
    p = ngx_cpymem(p, "key:", 4);
    p = ngx_cpymem(p, key->data, key->len);

    name.data = buf;
    name.len = p - buf;

    return name;
}


ngx_str_t
ngx_http_conduit_redis_idem(ngx_http_conduit_redis_t *redis, u_char *buf,
    u_char *digest)
{
    u_char     *p;
    ngx_str_t   name;

    p = ngx_http_conduit_redis_shard(redis, buf, digest[0]);
    p = ngx_cpymem(p, "idem:", 5);
    p = ngx_hex_dump(p, digest, 32);

    name.data = buf;
    name.len = p - buf;

    return name;
}


ngx_str_t
ngx_http_conduit_redis_name(ngx_http_conduit_redis_t *redis, u_char *buf,
    const char *kind, ngx_str_t *name)
{
    u_char     *p;
    ngx_str_t   text;

    p = ngx_sprintf(buf, "%V:%s", &redis->cdmcf->redis_conf->prefix, kind);

    if (name) {
        *p++ = ':';
        p = ngx_cpymem(p, name->data, name->len);
    }

    text.data = buf;
    text.len = p - buf;

    return text;
}


void
ngx_http_conduit_redis_sweep(ngx_http_conduit_redis_t *redis, u_char *id,
    ngx_str_t *key)
{
    u_char     index[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char     task[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t  args[5];

    ngx_str_set(&args[2], "1");
    args[3] = ngx_http_conduit_redis_index(redis, index, id[0], key);
    args[4] = ngx_http_conduit_redis_task_key(redis, task, id);
    args[4].len -= CONDUIT_UUID_LEN;

    (void) ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_SWEEP,
                                         args, 5, NULL, NULL);
}
