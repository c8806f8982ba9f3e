
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * Has Redis come back from an old copy of itself?  Its epoch is the same then.
 * So each host has a mark there that it raises with each look, and knows to
 * which number that was confirmed.  In a cluster each shard has one, as its
 * nodes come back one by one.
 */


/* how long one is kept of a host that is gone, ms */

#define NGX_HTTP_CONDUIT_MARK_KEPT  "86400000"


static void ngx_http_conduit_mark_raise(ngx_http_conduit_mark_t *mark);
static ngx_str_t ngx_http_conduit_mark_name(ngx_http_conduit_mark_t *mark,
    u_char *buf);
static void ngx_http_conduit_mark_got(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_mark_set(void *data,
    ngx_conduit_redis_reply_t *reply);


void
ngx_http_conduit_mark_look(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t                i, last;
    ngx_http_conduit_mark_t  *mark;

    if (cluster->redis->owner.len > NGX_HTTP_CONDUIT_OWNER_LEN) {
        return;
    }

    i = NGX_HTTP_CONDUIT_SHARDS;
    last = NGX_HTTP_CONDUIT_SHARDS;

    if (cluster->redis->calls.cluster) {
        i = 0;
        last--;
    }

    for ( /* void */ ; i <= last; i++) {
        mark = &cluster->marks[i];

        mark->cluster = cluster;
        mark->shard = i;

        ngx_http_conduit_mark_raise(mark);
    }
}


void
ngx_http_conduit_mark_forget(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard)
{
    cluster->cdmcf->zone.sh->marked[shard] = 0;
}


/* what is asked for is compared with what was confirmed before */

static void
ngx_http_conduit_mark_raise(ngx_http_conduit_mark_t *mark)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     text[NGX_INT64_LEN];
    ngx_str_t                  args[5];
    ngx_http_conduit_sh_t     *sh;
    ngx_http_conduit_redis_t  *redis;

    redis = mark->cluster->redis;
    sh = mark->cluster->cdmcf->zone.sh;

    ngx_str_set(&args[0], "GET");
    args[1] = ngx_http_conduit_mark_name(mark, buf);

    (void) ngx_conduit_redis_call(&redis->calls, args, 2,
                                  ngx_http_conduit_mark_got, mark);

    /* clocks may go back, marks do not */

    mark->number = ngx_max(ngx_http_conduit_redis_now(redis),
                           sh->marked[mark->shard] + 1);

    ngx_str_set(&args[0], "SET");
    args[2].data = text;
    args[2].len = ngx_sprintf(text, "%L", mark->number) - text;
    ngx_str_set(&args[3], "PX");
    ngx_str_set(&args[4], NGX_HTTP_CONDUIT_MARK_KEPT);

    (void) ngx_conduit_redis_call(&redis->calls, args, 5,
                                  ngx_http_conduit_mark_set, mark);
}


static ngx_str_t
ngx_http_conduit_mark_name(ngx_http_conduit_mark_t *mark, u_char *buf)
{
    u_char                    *p;
    ngx_str_t                  name;
    ngx_http_conduit_redis_t  *redis;

    redis = mark->cluster->redis;

    if (mark->shard == NGX_HTTP_CONDUIT_SHARDS) {
        return ngx_http_conduit_redis_name(redis, buf, "mark", &redis->owner);
    }

    p = ngx_http_conduit_redis_shard(redis, buf, (u_char) mark->shard);
    p = ngx_cpymem(p, "mark:", 5);
    p = ngx_cpymem(p, redis->owner.data, redis->owner.len);

    name.data = buf;
    name.len = p - buf;

    return name;
}


static void
ngx_http_conduit_mark_got(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_mark_t  *mark = data;

    ngx_http_conduit_cluster_t  *cluster;

    cluster = mark->cluster;

    if (reply == NULL
        || ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_FAILED
        || ngx_conduit_redis_number(reply)
           >= cluster->cdmcf->zone.sh->marked[mark->shard])
    {
        return;
    }

    if (mark->shard == NGX_HTTP_CONDUIT_SHARDS) {
        ngx_log_error(NGX_LOG_WARN, cluster->log, 0,
                      "conduit_redis: Redis has gone back to an earlier "
                      "state, all tasks of this host are put into it again");
        ngx_http_conduit_catchup_all(cluster);

    } else {
        ngx_log_error(NGX_LOG_WARN, cluster->log, 0,
                      "conduit_redis: shard %ui has gone back to an earlier "
                      "state, its tasks of this host are put into it again",
                      mark->shard);
        ngx_http_conduit_part_again(cluster, mark->shard);
    }

    ngx_http_conduit_idem_again(cluster, ngx_current_msec);
}


static void
ngx_http_conduit_mark_set(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_mark_t  *mark = data;

    if (reply && ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_FAILED) {
        mark->cluster->cdmcf->zone.sh->marked[mark->shard] = mark->number;
    }
}
