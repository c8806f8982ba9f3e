
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_random.h>
#include <ngx_http_conduit_peers.h>


/*
 * What a part of Redis has lost.  A master of a cluster may come back empty
 * while the others have kept all, so there each shard has an epoch of its own.
 * And whoever takes the place of a master may not have what that confirmed at
 * last: tasks of this host that have changed shortly before are put again.
 */


/* how far a replica may be behind, with all that has to happen, ms */

#define NGX_HTTP_CONDUIT_PART_RECENT  60000

/* hexadecimal digits */

#define NGX_HTTP_CONDUIT_PART_EPOCH   16


struct ngx_http_conduit_part_s {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_uint_t                        shard;
    unsigned                          asked:1;
};


static void ngx_http_conduit_part_ask(ngx_http_conduit_part_t *part);
static void ngx_http_conduit_part_got(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_part_give(ngx_http_conduit_part_t *part);
static ngx_str_t ngx_http_conduit_part_name(ngx_http_conduit_part_t *part,
    u_char *buf);
static void ngx_http_conduit_part_mark(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard, int64_t since);


void
ngx_http_conduit_part_look(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t                i;
    ngx_http_conduit_part_t  *part;

    if (cluster->redis->calls.cluster == NULL) {
        return;
    }

    if (cluster->parts == NULL) {
        cluster->parts = ngx_calloc(NGX_HTTP_CONDUIT_SHARDS
                                    * sizeof(ngx_http_conduit_part_t),
                                    cluster->log);
        if (cluster->parts == NULL) {
            return;
        }
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_SHARDS; i++) {
        part = &cluster->parts[i];

        part->cluster = cluster;
        part->shard = i;

        if (!part->asked) {
            ngx_http_conduit_part_ask(part);
        }
    }
}


static void
ngx_http_conduit_part_ask(ngx_http_conduit_part_t *part)
{
    u_char     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t  args[2];

    ngx_str_set(&args[0], "GET");
    args[1] = ngx_http_conduit_part_name(part, buf);

    part->asked = (ngx_conduit_redis_call(&part->cluster->redis->calls, args,
                                          2, ngx_http_conduit_part_got, part)
                   == NGX_OK);
}


static void
ngx_http_conduit_part_got(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_part_t  *part = data;

    u_char                      *epoch;
    ngx_str_t                    text;
    ngx_http_conduit_cluster_t  *cluster;

    part->asked = 0;

    if (reply == NULL
        || ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_FAILED)
    {
        return;
    }

    text = ngx_conduit_redis_text(reply);
    cluster = part->cluster;

    if (text.len != NGX_HTTP_CONDUIT_PART_EPOCH) {
        ngx_http_conduit_mark_forget(cluster, part->shard);
        ngx_http_conduit_part_give(part);
        return;
    }

    epoch = cluster->cdmcf->zone.sh->parts[part->shard];

    if (ngx_memcmp(epoch, text.data, text.len) == 0) {
        return;
    }

    if (epoch[0]) {
        ngx_log_error(NGX_LOG_WARN, cluster->log, 0,
                      "conduit_redis: shard %ui has been emptied, its tasks "
                      "of this host are put into it again", part->shard);

        ngx_http_conduit_part_again(cluster, part->shard);
        ngx_http_conduit_idem_again(cluster, ngx_current_msec);
    }

    ngx_memcpy(epoch, text.data, text.len);
    ngx_http_conduit_mark_forget(cluster, part->shard);
}


/* the first host to come gives one; all read which it has become */

static void
ngx_http_conduit_part_give(ngx_http_conduit_part_t *part)
{
    u_char     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char     random[NGX_HTTP_CONDUIT_PART_EPOCH / 2];
    u_char     text[NGX_HTTP_CONDUIT_PART_EPOCH];
    ngx_str_t  args[4];

    if (ngx_conduit_random_bytes(random, sizeof(random)) != NGX_OK) {
        return;
    }

    ngx_str_set(&args[0], "SET");
    args[1] = ngx_http_conduit_part_name(part, buf);
    args[2].data = text;
    args[2].len = ngx_hex_dump(text, random, sizeof(random)) - text;
    ngx_str_set(&args[3], "NX");

    if (ngx_conduit_redis_call(&part->cluster->redis->calls, args, 4, NULL,
                               NULL)
        == NGX_OK)
    {
        ngx_http_conduit_part_ask(part);
    }
}


static ngx_str_t
ngx_http_conduit_part_name(ngx_http_conduit_part_t *part, u_char *buf)
{
    u_char     *p;
    ngx_str_t   name;

    p = ngx_http_conduit_redis_shard(part->cluster->redis, buf,
                                     (u_char) part->shard);
    p = ngx_cpymem(p, "epoch", 5);

    name.data = buf;
    name.len = p - buf;

    return name;
}


void
ngx_http_conduit_part_again(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard)
{
    ngx_http_conduit_part_mark(cluster, shard, 0);
}


void
ngx_http_conduit_part_recent(ngx_http_conduit_cluster_t *cluster)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    ngx_http_conduit_part_mark(cluster, NGX_HTTP_CONDUIT_SHARDS,
                               (int64_t) tp->sec * 1000 + tp->msec
                               - NGX_HTTP_CONDUIT_PART_RECENT);
}


/* what this host knows best of a shard, or of all, if changed since then */

static void
ngx_http_conduit_part_mark(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard, int64_t since)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;
    sh = zone->sh;

    ngx_http_conduit_zone_lock(zone);

    for (q = ngx_queue_head(&sh->tasks);
         q != ngx_queue_sentinel(&sh->tasks);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        if (shard != NGX_HTTP_CONDUIT_SHARDS
            && node->id[0] % NGX_HTTP_CONDUIT_SHARDS != shard)
        {
            continue;
        }

        /* deliveries may have changed since their task has */

        if ((node->remote || node->updated < since)
            && (node->owed == 0 || node->handed))
        {
            continue;
        }

        node->unsaved = 1;
        sh->unsaved++;
    }

    ngx_http_conduit_zone_unlock(zone);
}
