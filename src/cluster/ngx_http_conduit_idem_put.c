
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * Idempotency-Keys of requests that this host has answered and Redis does not
 * know: because it could not be reached, or has lost all.  They are put in the
 * order of creation, some at a time; what is there already stays.
 */


/* records put at a time: that many, and those of the same moment */

#define NGX_HTTP_CONDUIT_IDEM_BATCH  128
#define NGX_HTTP_CONDUIT_IDEM_MOST   256

/* a record may be older than the loss of the connection by this, ms */

#define NGX_HTTP_CONDUIT_IDEM_SLACK  30000


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_msec_t                        expires;
} ngx_http_conduit_idem_put_t;


typedef struct {
    u_char                            digest[32];
    u_char                            fingerprint[32];
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_msec_t                        expires;
    ngx_uint_t                        code;
    ngx_str_t                         reply;
} ngx_http_conduit_idem_copy_t;


static ngx_uint_t ngx_http_conduit_idem_next(
    ngx_http_conduit_cluster_t *cluster, u_char *digests, ngx_uint_t *last);
static void ngx_http_conduit_idem_put(ngx_http_conduit_cluster_t *cluster,
    u_char *digest);
static ngx_int_t ngx_http_conduit_idem_copy(
    ngx_http_conduit_cluster_t *cluster, u_char *digest, ngx_pool_t *pool,
    ngx_http_conduit_idem_copy_t *copy);
static ngx_int_t ngx_http_conduit_idem_call(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_idem_copy_t *copy,
    ngx_http_conduit_idem_put_t *put);
static void ngx_http_conduit_idem_done(void *data,
    ngx_conduit_redis_reply_t *reply);


/* those that expire later than that are put */

void
ngx_http_conduit_idem_again(ngx_http_conduit_cluster_t *cluster,
    ngx_msec_t expires)
{
    if (!cluster->idem_busy
        || (ngx_msec_int_t) (expires - cluster->idem_from) < 0)
    {
        cluster->idem_from = expires;

        /* of no record: they are looked at from the first one on */

        ngx_memzero(cluster->idem_last, 32);
    }

    cluster->idem_busy = 1;
}


void
ngx_http_conduit_idem_lost(ngx_http_conduit_cluster_t *cluster)
{
    ngx_http_conduit_idem_again(cluster, ngx_current_msec
                                         + NGX_HTTP_CONDUIT_IDEM_TIME
                                         - NGX_HTTP_CONDUIT_IDEM_SLACK);
}


void
ngx_http_conduit_idem_tick(ngx_http_conduit_cluster_t *cluster)
{
    u_char      digests[NGX_HTTP_CONDUIT_IDEM_MOST * 32];
    ngx_uint_t  i, n, last;

    /* before Redis is known to be what it was, nothing is put */

    if (!cluster->idem_busy || cluster->idem_puts || cluster->epochs == 0) {
        return;
    }

    n = ngx_http_conduit_idem_next(cluster, digests, &last);

    /* should a call fail, it comes back */

    cluster->idem_busy = !last;

    for (i = 0; i < n; i++) {
        ngx_http_conduit_idem_put(cluster, digests + i * 32);
    }
}


static ngx_uint_t
ngx_http_conduit_idem_next(ngx_http_conduit_cluster_t *cluster,
    u_char *digests, ngx_uint_t *last)
{
    ngx_uint_t                     n;
    ngx_msec_t                     from;
    ngx_queue_t                   *q;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_idem_node_t  *idem;

    sh = cluster->cdmcf->zone.sh;
    from = cluster->idem_from;
    n = 0;
    *last = 1;

    ngx_http_conduit_zone_lock(&cluster->cdmcf->zone);

    idem = ngx_http_conduit_idem_find_locked(&cluster->cdmcf->zone,
                                             cluster->idem_last);

    for (q = idem ? &idem->age : ngx_queue_head(&sh->idem_age);
         q != ngx_queue_sentinel(&sh->idem_age);
         q = ngx_queue_next(q))
    {
        idem = ngx_queue_data(q, ngx_http_conduit_idem_node_t, age);

        if ((ngx_msec_int_t) (idem->expires - from) <= 0) {
            continue;
        }

        if (n == NGX_HTTP_CONDUIT_IDEM_MOST
            || (n >= NGX_HTTP_CONDUIT_IDEM_BATCH
                && idem->expires != cluster->idem_from))
        {
            *last = 0;
            break;
        }

        cluster->idem_from = idem->expires;
        ngx_memcpy(cluster->idem_last, idem->digest, 32);

        if (idem->code) {
            ngx_memcpy(digests + n * 32, idem->digest, 32);
            n++;
        }
    }

    ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);

    return n;
}


static void
ngx_http_conduit_idem_put(ngx_http_conduit_cluster_t *cluster, u_char *digest)
{
    ngx_pool_t                    *pool;
    ngx_http_conduit_idem_put_t   *put;
    ngx_http_conduit_idem_copy_t   copy;

    pool = ngx_create_pool(4096, cluster->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_http_conduit_idem_copy(cluster, digest, pool, &copy) != NGX_OK) {
        goto done;
    }

    put = ngx_alloc(sizeof(ngx_http_conduit_idem_put_t), cluster->log);
    if (put == NULL) {
        goto done;
    }

    put->cluster = cluster;
    put->expires = copy.expires;

    if (ngx_http_conduit_idem_call(cluster, &copy, put) != NGX_OK) {
        ngx_http_conduit_idem_again(cluster, copy.expires - 1);
        ngx_free(put);
        goto done;
    }

    cluster->idem_puts++;

done:

    ngx_destroy_pool(pool);
}


/* NGX_DECLINED: it is gone, or has not ended */

static ngx_int_t
ngx_http_conduit_idem_copy(ngx_http_conduit_cluster_t *cluster,
    u_char *digest, ngx_pool_t *pool, ngx_http_conduit_idem_copy_t *copy)
{
    size_t                         room;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cluster->cdmcf->zone;

    ngx_memzero(copy, sizeof(ngx_http_conduit_idem_copy_t));

    room = 1024;

    for ( ;; ) {

        copy->reply.data = ngx_pnalloc(pool, room);
        if (copy->reply.data == NULL) {
            return NGX_ERROR;
        }

        ngx_http_conduit_zone_lock(zone);

        idem = ngx_http_conduit_idem_find_locked(zone, digest);

        if (idem == NULL || idem->code == 0) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_DECLINED;
        }

        copy->reply.len = idem->reply.len;

        if (copy->reply.len <= room) {
            break;
        }

        ngx_http_conduit_zone_unlock(zone);

        room = copy->reply.len;
    }

    ngx_memcpy(copy->digest, digest, 32);
    ngx_memcpy(copy->fingerprint, idem->fingerprint, 32);
    ngx_memcpy(copy->id, idem->id, NGX_HTTP_CONDUIT_ID_LEN);
    copy->expires = idem->expires;
    copy->code = idem->code;

    ngx_http_conduit_text_copy_locked(&idem->reply, copy->reply.data);

    ngx_http_conduit_zone_unlock(zone);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_idem_call(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_idem_copy_t *copy, ngx_http_conduit_idem_put_t *put)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     fingerprint[64], id[CONDUIT_UUID_LEN];
    u_char                     numbers[2 * NGX_INT64_LEN], *p;
    ngx_str_t                  args[10];
    ngx_msec_int_t             left;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    conduit_uuid_write(id, copy->id);

    left = (ngx_msec_int_t) (copy->expires - ngx_current_msec);

    ngx_str_set(&args[2], "1");
    args[3] = ngx_http_conduit_redis_idem(redis, buf, copy->digest);
    args[4].data = fingerprint;
    args[4].len = ngx_hex_dump(fingerprint, copy->fingerprint, 32)
                  - fingerprint;
    args[5].data = id;
    args[5].len = CONDUIT_UUID_LEN;
    args[6] = redis->owner;

    args[7].data = numbers;
    p = ngx_sprintf(numbers, "%M", (ngx_msec_t) ngx_max(left, 1));
    args[7].len = p - numbers;

    args[8].data = p;
    args[8].len = ngx_sprintf(p, "%ui", copy->code) - p;
    args[9] = copy->reply;

    return ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_KEEP,
                                         args, 10, ngx_http_conduit_idem_done,
                                         put);
}


static void
ngx_http_conduit_idem_done(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_idem_put_t  *put = data;

    ngx_uint_t                   good;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = put->cluster;
    good = (ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_INTEGER);

    if (!good) {
        ngx_http_conduit_idem_again(cluster, put->expires - 1);
    }

    ngx_free(put);

    /* else with the next tick */

    if (--cluster->idem_puts == 0 && good && cluster->leader) {
        ngx_http_conduit_idem_tick(cluster);
    }
}
