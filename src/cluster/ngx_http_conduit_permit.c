
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * Permits for the POSTs of a key, of that part of its rate which hosts share in
 * Redis.  A permit is counted there when it is given, and used a little later:
 * the window in Redis is longer by that.  If Redis is slow, permits last longer
 * and are counted for a time in the future, when they end.
 */


#define NGX_HTTP_CONDUIT_PERMIT_LIFE   1000
#define NGX_HTTP_CONDUIT_PERMIT_PART   10

/* as long as a host that is cut off waits for them to end, at most, ms */

#define NGX_HTTP_CONDUIT_PERMIT_EXTRA  4000

/* Redis cannot be asked: when it is tried again, ms */

#define NGX_HTTP_CONDUIT_PERMIT_AGAIN  1000


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_key_node_t      *key;
    ngx_msec_t                        begun;
    ngx_msec_t                        until;
    void                            (*handler)(void *data);
    void                             *data;
} ngx_http_conduit_permit_t;


static ngx_int_t ngx_http_conduit_permit_call(
    ngx_http_conduit_permit_t *permit, ngx_uint_t n);
static void ngx_http_conduit_permit_got(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_permit_end(ngx_http_conduit_permit_t *permit,
    uint32_t n);


void
ngx_http_conduit_cluster_permit(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_uint_t n,
    void (*handler)(void *data), void *data)
{
    ngx_http_conduit_redis_t   *redis;
    ngx_http_conduit_permit_t  *permit;

    redis = cdmcf->redis;

    permit = ngx_alloc(sizeof(ngx_http_conduit_permit_t), redis->log);
    if (permit == NULL) {
        return;
    }

    permit->cluster = redis->cluster;
    permit->key = key;
    permit->handler = handler;
    permit->data = data;

    if (ngx_http_conduit_permit_call(permit, n) != NGX_OK) {

        /* whoever asks is told later, never inside of the call */

        permit->until = ngx_current_msec + NGX_HTTP_CONDUIT_PERMIT_AGAIN;
        permit->handler = NULL;

        ngx_http_conduit_permit_end(permit, 0);
    }
}


static ngx_int_t
ngx_http_conduit_permit_call(ngx_http_conduit_permit_t *permit, ngx_uint_t n)
{
    u_char                        buf[NGX_HTTP_CONDUIT_REDIS_NAME], *p;
    u_char                        numbers[4 * NGX_INT_T_LEN];
    ngx_str_t                     args[8];
    ngx_msec_t                    life, extra;
    ngx_http_conduit_redis_t     *redis;
    ngx_http_conduit_key_node_t  *key;

    redis = permit->cluster->redis;
    key = permit->key;

    life = ngx_min(key->span / NGX_HTTP_CONDUIT_PERMIT_PART,
                   NGX_HTTP_CONDUIT_PERMIT_LIFE);

    /* on its way, and back again */

    extra = ngx_min(2 * redis->cdmcf->zone.sh->late,
                    NGX_HTTP_CONDUIT_PERMIT_EXTRA);

    permit->begun = ngx_current_msec;
    permit->until = ngx_current_msec + life + extra;

    p = ngx_sprintf(buf, "%V:posts:%uD:", &redis->cdmcf->redis_conf->prefix,
                    key->span);
    p = ngx_cpymem(p, key->name, key->len);

    ngx_str_set(&args[2], "1");
    args[3].data = buf;
    args[3].len = p - buf;

    p = numbers;
    args[4].data = p;
    p = ngx_sprintf(p, "%M", ngx_http_conduit_hook_span(key) + life);
    args[4].len = p - args[4].data;

    args[5].data = p;
    p = ngx_sprintf(p, "%uD", key->rate
                             - key->rate / NGX_HTTP_CONDUIT_RATE_SHARES);
    args[5].len = p - args[5].data;

    args[6].data = p;
    p = ngx_sprintf(p, "%ui", n);
    args[6].len = p - args[6].data;

    args[7].data = p;
    p = ngx_sprintf(p, "%M", extra);
    args[7].len = p - args[7].data;

    return ngx_http_conduit_redis_script(redis,
                                         NGX_HTTP_CONDUIT_SCRIPT_PERMIT, args,
                                         8, ngx_http_conduit_permit_got,
                                         permit);
}


/* how many, or as a negative number in how many ms there is one */

static void
ngx_http_conduit_permit_got(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_permit_t  *permit = data;

    int64_t  n;

    if (ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_INTEGER) {
        n = ngx_conduit_redis_number(reply);
        permit->cluster->cdmcf->zone.sh->late = ngx_current_msec
                                                - permit->begun;

    } else {
        n = -NGX_HTTP_CONDUIT_PERMIT_AGAIN;
    }

    if (n <= 0) {
        permit->until = ngx_current_msec + (ngx_msec_t) ngx_max(-n, 1);
        n = 0;
    }

    ngx_http_conduit_permit_end(permit, (uint32_t) n);
}


static void
ngx_http_conduit_permit_end(ngx_http_conduit_permit_t *permit, uint32_t n)
{
    ngx_http_conduit_zone_t  *zone;

    zone = &permit->cluster->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    ngx_http_conduit_hook_permit_locked(zone, permit->key, n, permit->until);

    ngx_http_conduit_zone_unlock(zone);

    if (permit->handler) {
        permit->handler(permit->data);
    }

    ngx_free(permit);
}
