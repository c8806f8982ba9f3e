
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook.h>
#include <ngx_http_conduit_peers.h>


/*
 * Leases.  The leader renews those of all unfinished tasks of its host, and of
 * those that have something to be delivered, one call for a shard that has
 * any.  After a time without renewal it asks which of them are still its
 * host's; nothing is begun or delivered before that is known.
 *
 * A lease that has run out is found by a look into its shard: into all shards
 * when a host falls silent and after a start, else into one shard with each
 * tick, for those that nobody has seen leave.  A look that takes over as many
 * as it may is followed by another one as soon as these have been read.
 */


/* tasks of a shard that one call renews, and takes over at most */

#define NGX_HTTP_CONDUIT_LEASE_BATCH   200
#define NGX_HTTP_CONDUIT_LEASE_CLAIMS  16

/* after a start, or a return of Redis, all shards are looked into so long */

#define NGX_HTTP_CONDUIT_LEASE_WATCH   16000

/* others are given this time to renew theirs after a return of Redis, ms */

#define NGX_HTTP_CONDUIT_LEASE_GRACE   5000


/* calls of a shard; it may be that it alone cannot be reached */

typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_uint_t                        shard;
    ngx_msec_t                        begun;
    ngx_uint_t                        calls;       /* without a reply */
    ngx_uint_t                        unread;      /* as of the cluster */
    unsigned                          renews:1;
    unsigned                          looks:1;     /* or it does this */
    unsigned                          failed:1;
} ngx_http_conduit_beat_t;


static ngx_uint_t ngx_http_conduit_lease_alarm(
    ngx_http_conduit_cluster_t *cluster, ngx_uint_t due);
static ngx_uint_t ngx_http_conduit_lease_grace(
    ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_lease_look(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard);
static ngx_http_conduit_beat_t *ngx_http_conduit_lease_beat(
    ngx_http_conduit_cluster_t *cluster, ngx_uint_t shard);
static void ngx_http_conduit_lease_call(ngx_http_conduit_beat_t *beat,
    ngx_http_conduit_leased_t *leased, ngx_uint_t n);
static void ngx_http_conduit_lease_beaten(ngx_http_conduit_beat_t *beat);
static void ngx_http_conduit_lease_claimed(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_uint_t ngx_http_conduit_lease_member(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *member, ngx_str_t *owner);


void
ngx_http_conduit_lease_tick(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t  n, all, due;

    ngx_http_conduit_counts_beat(cluster);

    due = (cluster->renewed == 0
           || ngx_current_msec - cluster->renewed
              >= NGX_HTTP_CONDUIT_LEASE_RENEW);

    all = ngx_http_conduit_lease_alarm(cluster, due);

    if (due && cluster->renewal == NULL) {
        ngx_http_conduit_lease_renew(cluster);
    }

    ngx_http_conduit_lease_parts(cluster);

    if (ngx_http_conduit_lease_grace(cluster)) {
        return;
    }

    for (n = all ? NGX_HTTP_CONDUIT_SHARDS : 1; n; n--) {
        ngx_http_conduit_lease_look(cluster, cluster->shard);
        cluster->shard = (cluster->shard + 1) % NGX_HTTP_CONDUIT_SHARDS;
    }
}


uint64_t
ngx_http_conduit_lease_unheld(ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_sh_t  *sh;

    sh = cdmcf->zone.sh;

    if ((ngx_msec_int_t) (sh->leased - ngx_current_msec) > 0) {
        return sh->unleased;
    }

    if (!cdmcf->redis->calls.up
        && ngx_http_conduit_redis_alone(cdmcf->redis))
    {
        return 0;
    }

    return ~(uint64_t) 0;
}


/* with each tick: shards whose leases may run out before the next one */

void
ngx_http_conduit_lease_parts(ngx_http_conduit_cluster_t *cluster)
{
    uint64_t    mask;
    ngx_uint_t  i;

    mask = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_SHARDS; i++) {

        if (cluster->kept[i] == 0
            || ngx_current_msec - cluster->kept[i]
               > NGX_HTTP_CONDUIT_LEASE - 2 * NGX_HTTP_CONDUIT_LEASE_MARGIN)
        {
            mask |= (uint64_t) 1 << i;
        }
    }

    cluster->cdmcf->zone.sh->unleased = mask;
}


/*
 * Is there a reason to look into all shards?  After a start there may be no
 * lease at all that runs out, so this is done when leases are renewed anyway.
 */

static ngx_uint_t
ngx_http_conduit_lease_alarm(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t due)
{
    ngx_str_t                 owner;
    ngx_uint_t                i, alarm;
    ngx_msec_t                since;
    ngx_http_conduit_peer_t  *peer;

    if (ngx_http_conduit_lease_grace(cluster)) {
        return 0;
    }

    since = ngx_current_msec - cluster->connected;

    alarm = (due && since < NGX_HTTP_CONDUIT_LEASE_WATCH);

    for (i = 0; i < cluster->npeers; i++) {
        peer = &cluster->peers[i];
        since = ngx_current_msec - peer->heard;

        if (since < NGX_HTTP_CONDUIT_PEER_SILENT) {
            continue;
        }

        alarm = 1;

        if (since > NGX_HTTP_CONDUIT_PEER_FORGOTTEN) {
            owner.data = peer->owner;
            owner.len = peer->len;

            ngx_log_error(NGX_LOG_NOTICE, cluster->log, 0,
                          "conduit: \"%V\" has gone", &owner);

            ngx_http_conduit_counts_gone(cluster, peer);

            *peer = cluster->peers[--cluster->npeers];
            i--;
        }
    }

    return alarm;
}


/* others have to renew what they could not while Redis was gone */

static ngx_uint_t
ngx_http_conduit_lease_grace(ngx_http_conduit_cluster_t *cluster)
{
    return cluster->connections > 1
           && ngx_current_msec - cluster->connected
              < NGX_HTTP_CONDUIT_LEASE_GRACE;
}


/* what has run out there; one look at a time */

static void
ngx_http_conduit_lease_look(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard)
{
    uint64_t                  bit;
    ngx_http_conduit_beat_t  *beat;

    bit = (uint64_t) 1 << shard;

    if (cluster->looked & bit) {
        return;
    }

    beat = ngx_http_conduit_lease_beat(cluster, shard);
    if (beat == NULL) {
        return;
    }

    beat->looks = 1;
    cluster->looked |= bit;

    ngx_http_conduit_lease_call(beat, NULL, 0);
    ngx_http_conduit_lease_beaten(beat);
}


void
ngx_http_conduit_lease_shard(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard, ngx_http_conduit_leased_t *leased, ngx_uint_t n)
{
    ngx_uint_t                part;
    ngx_http_conduit_beat_t  *beat;

    beat = ngx_http_conduit_lease_beat(cluster, shard);
    if (beat == NULL) {
        return;
    }

    beat->renews = 1;

    while (n) {
        part = ngx_min(n, NGX_HTTP_CONDUIT_LEASE_BATCH);

        ngx_http_conduit_lease_call(beat, leased, part);

        leased += part;
        n -= part;
    }

    ngx_http_conduit_lease_beaten(beat);
}


static ngx_http_conduit_beat_t *
ngx_http_conduit_lease_beat(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard)
{
    ngx_http_conduit_beat_t  *beat;

    beat = ngx_calloc(sizeof(ngx_http_conduit_beat_t), cluster->log);
    if (beat == NULL) {
        return NULL;
    }

    beat->cluster = cluster;
    beat->shard = shard;
    beat->begun = ngx_current_msec;
    beat->unread = cluster->unread;
    beat->calls = 1;

    return beat;
}


/* the last reply, or all calls have been made */

static void
ngx_http_conduit_lease_beaten(ngx_http_conduit_beat_t *beat)
{
    ngx_msec_t                  *kept;
    ngx_http_conduit_cluster_t  *cluster;

    if (--beat->calls) {
        return;
    }

    cluster = beat->cluster;
    kept = &cluster->kept[beat->shard];

    if (beat->looks) {
        cluster->looked &= ~((uint64_t) 1 << beat->shard);
    }

    if (beat->renews && !beat->failed && cluster->leader
        && (*kept == 0 || (ngx_msec_int_t) (beat->begun - *kept) > 0))
    {
        *kept = beat->begun;
        ngx_http_conduit_lease_parts(cluster);
    }

    ngx_free(beat);
}


static void
ngx_http_conduit_lease_call(ngx_http_conduit_beat_t *beat,
    ngx_http_conduit_leased_t *leased, ngx_uint_t n)
{
    u_char                     leases[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     task[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     length[NGX_INT_T_LEN], claims[NGX_INT_T_LEN];
    u_char                     names[NGX_HTTP_CONDUIT_LEASE_BATCH
                                     * (CONDUIT_UUID_LEN + 2)];
    u_char                    *p;
    ngx_str_t                  args[NGX_CONDUIT_REDIS_ARGS];
    ngx_uint_t                 i, shard;
    ngx_http_conduit_redis_t  *redis;

    redis = beat->cluster->redis;
    shard = beat->shard;

    ngx_str_set(&args[2], "1");
    args[3] = ngx_http_conduit_redis_leases(redis, leases, (u_char) shard);
    args[4].data = length;
    args[4].len = ngx_sprintf(length, "%ui",
                              (ngx_uint_t) NGX_HTTP_CONDUIT_LEASE)
                  - length;

    args[5].data = claims;
    args[5].len = ngx_sprintf(claims, "%ui",
                              beat->looks
                              ? (ngx_uint_t) NGX_HTTP_CONDUIT_LEASE_CLAIMS : 0)
                  - claims;

    args[6] = redis->owner;
    args[7].data = task;
    args[7].len = ngx_http_conduit_redis_shard(redis, task, (u_char) shard)
                  - task;
    ngx_memcpy(task + args[7].len, "task:", 5);
    args[7].len += 5;

    /* what has been in doubt is asked for */

    if (beat->cluster->kept[shard] == 0
        || (beat->cluster->cdmcf->zone.sh->unleased >> shard) & 1)
    {
        ngx_str_set(&args[8], "1");

    } else {
        ngx_str_set(&args[8], "0");
    }

    p = names;

    for (i = 0; i < n; i++) {

        if (leased[i].apart) {
            *p++ = '+';
        }

        conduit_uuid_write(p, leased[i].id);
        p += CONDUIT_UUID_LEN;

        *p++ = ',';
    }

    args[9].data = names;
    args[9].len = p - names;

    if (ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_BEAT,
                                      args, 10, ngx_http_conduit_lease_claimed,
                                      beat)
        == NGX_OK)
    {
        beat->calls++;

    } else {
        beat->failed = 1;
    }
}


/* members that are ours now, or not any more, and their owners */

static void
ngx_http_conduit_lease_claimed(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_beat_t  *beat = data;

    ngx_str_t                    member, owner;
    ngx_uint_t                   i, taken, more, shard;
    ngx_conduit_redis_reply_t   *element;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = beat->cluster;
    taken = 0;

    if (ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_ARRAY) {
        beat->failed = 1;
    }

    for (i = 0; ; i += 2) {
        element = ngx_conduit_redis_at(reply, i);

        if (element == NULL) {
            break;
        }

        member = ngx_conduit_redis_text(element);
        owner = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, i + 1));

        taken += ngx_http_conduit_lease_member(cluster, &member, &owner);
    }

    /* unless what was taken over before cannot be held */

    more = (taken == NGX_HTTP_CONDUIT_LEASE_CLAIMS && cluster->leader
            && cluster->unread == beat->unread);
    shard = beat->shard;

    ngx_http_conduit_lease_beaten(beat);

    if (more) {
        ngx_http_conduit_lease_look(cluster, shard);
    }
}


/* 1: it has been taken over */

static ngx_uint_t
ngx_http_conduit_lease_member(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *member, ngx_str_t *owner)
{
    u_char      id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_str_t   text;
    ngx_uint_t  lost, apart;

    text = *member;

    lost = (text.len && text.data[0] == '-');
    text.data += lost;
    text.len -= lost;

    apart = (text.len && text.data[0] == '+');
    text.data += apart;
    text.len -= apart;

    if (conduit_uuid_parse(id, text.data, text.len) != CONDUIT_OK) {
        return 0;
    }

    if (lost) {

        /* nothing more is begun for it; what has become of it is read */

        ngx_http_conduit_hooks_handed(cluster->cdmcf, id);
        ngx_http_conduit_lease_fetch(cluster, id,
                                     NGX_HTTP_CONDUIT_ABSORB_SEEN, NULL);
        return 0;
    }

    ngx_log_error(NGX_LOG_NOTICE, cluster->log, 0,
                  "conduit: took over %s %V of \"%V\"",
                  apart ? "deliveries of task" : "task", &text, owner);

    ngx_http_conduit_lease_fetch(cluster, id,
                                 apart ? NGX_HTTP_CONDUIT_ABSORB_SEEN
                                       : NGX_HTTP_CONDUIT_ABSORB_OWN, NULL);

    /* should it still be there after all */

    ngx_http_conduit_cluster_tell(cluster, owner, "taken", id);

    return 1;
}
