
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
 * tick, for those that nobody has seen leave.
 */


/* tasks of a shard that one call renews, and takes over at most */

#define NGX_HTTP_CONDUIT_LEASE_BATCH   20
#define NGX_HTTP_CONDUIT_LEASE_CLAIMS  "32"

/* what is about to begin ends before the lease does, ms */

#define NGX_HTTP_CONDUIT_LEASE_MARGIN  1000

/* after a start, or a return of Redis, all shards are looked into so long */

#define NGX_HTTP_CONDUIT_LEASE_WATCH   16000

/* others are given this time to renew theirs after a return of Redis, ms */

#define NGX_HTTP_CONDUIT_LEASE_GRACE   5000


/* a member of the leases: a task, or its deliveries alone */

typedef struct {
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                            apart;
} ngx_http_conduit_leased_t;


/* all leases of the host, in one go */

typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_msec_t                        begun;
} ngx_http_conduit_renewal_t;


/* those of a shard; it may be that it alone cannot be reached */

typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_uint_t                        shard;
    ngx_msec_t                        begun;
    ngx_uint_t                        calls;       /* without a reply */
    unsigned                          renews:1;    /* not only a look */
    unsigned                          failed:1;
} ngx_http_conduit_beat_t;


static ngx_uint_t ngx_http_conduit_lease_alarm(
    ngx_http_conduit_cluster_t *cluster, ngx_uint_t due);
static ngx_uint_t ngx_http_conduit_lease_grace(
    ngx_http_conduit_cluster_t *cluster);
static ngx_uint_t ngx_http_conduit_lease_renew(
    ngx_http_conduit_cluster_t *cluster, ngx_uint_t all);
static ngx_http_conduit_leased_t *ngx_http_conduit_lease_members(
    ngx_http_conduit_cluster_t *cluster, ngx_uint_t *np);
static void ngx_http_conduit_lease_sure(ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_lease_renewed(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_lease_shard(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard, ngx_http_conduit_leased_t *leased, ngx_uint_t n,
    ngx_uint_t look);
static ngx_int_t ngx_http_conduit_lease_call(ngx_http_conduit_beat_t *beat,
    ngx_http_conduit_leased_t *leased, ngx_uint_t n, ngx_uint_t look);
static void ngx_http_conduit_lease_beaten(ngx_http_conduit_beat_t *beat);
static void ngx_http_conduit_lease_parts(ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_lease_claimed(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_lease_member(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *member, ngx_str_t *owner);
static int ngx_libc_cdecl ngx_http_conduit_lease_order(const void *one,
    const void *two);


void
ngx_http_conduit_lease_tick(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t  all, due;

    ngx_http_conduit_counts_beat(cluster);

    due = (cluster->renewed == 0
           || ngx_current_msec - cluster->renewed
              >= NGX_HTTP_CONDUIT_LEASE_RENEW);

    all = ngx_http_conduit_lease_alarm(cluster, due);

    if (due || all) {

        if (ngx_http_conduit_lease_renew(cluster, all)) {
            cluster->renewed = ngx_current_msec;
        }
    }

    ngx_http_conduit_lease_parts(cluster);

    if (!all) {
        ngx_http_conduit_lease_shard(cluster, cluster->shard, NULL, 0,
                                     !ngx_http_conduit_lease_grace(cluster));
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

static void
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


/* 0: no memory, or nothing can be sent */

static ngx_uint_t
ngx_http_conduit_lease_renew(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t all)
{
    ngx_uint_t                  i, n, first, shard;
    ngx_http_conduit_leased_t  *leased;

    leased = ngx_http_conduit_lease_members(cluster, &n);

    if (leased == NULL) {
        return 0;
    }

    /* whoever has been away for long may have lost some of them */

    cluster->doubtful = ((ngx_msec_int_t) (cluster->cdmcf->zone.sh->leased
                                           - ngx_current_msec)
                         <= 0);

    ngx_qsort(leased, n, sizeof(ngx_http_conduit_leased_t),
              ngx_http_conduit_lease_order);

    first = 0;

    for (shard = 0; shard < NGX_HTTP_CONDUIT_SHARDS; shard++) {

        for (i = first; i < n; i++) {
            if (leased[i].id[0] % NGX_HTTP_CONDUIT_SHARDS != shard) {
                break;
            }
        }

        if (i == first) {

            /* nothing that could be lost */

            cluster->kept[shard] = ngx_current_msec;

        } else if (cluster->doubtful) {
            cluster->kept[shard] = 0;
        }

        if (i > first || all) {
            ngx_http_conduit_lease_shard(cluster, shard, leased + first,
                                         i - first, all);
        }

        first = i;
    }

    ngx_free(leased);

    /* before Redis is known to be there: a shard in doubt stays so */

    ngx_http_conduit_lease_parts(cluster);
    ngx_http_conduit_lease_sure(cluster);

    return 1;
}


static int ngx_libc_cdecl
ngx_http_conduit_lease_order(const void *one, const void *two)
{
    const ngx_http_conduit_leased_t  *a = one, *b = two;

    return (int) (a->id[0] % NGX_HTTP_CONDUIT_SHARDS)
           - (int) (b->id[0] % NGX_HTTP_CONDUIT_SHARDS);
}


/* of all unfinished tasks of this host, and of all that it has to deliver */

static ngx_http_conduit_leased_t *
ngx_http_conduit_lease_members(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t *np)
{
    size_t                         room;
    ngx_uint_t                     n, owed, task;
    ngx_queue_t                   *q;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_leased_t     *leased;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;
    sh = zone->sh;

    room = sh->live + 2 * sh->hooks_owed + 64;

    leased = ngx_alloc(room * sizeof(ngx_http_conduit_leased_t),
                       cluster->log);
    if (leased == NULL) {
        return NULL;
    }

    n = 0;

    ngx_http_conduit_zone_lock(zone);

    for (q = ngx_queue_head(&sh->tasks);
         q != ngx_queue_sentinel(&sh->tasks) && n + 2 <= room;
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        owed = (node->owed && !node->handed);
        task = (node->status <= CONDUIT_PROCESSING && !node->remote
                && !node->draft)
               || (owed && !(node->apart && node->remote));

        if (task) {
            ngx_memcpy(leased[n].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            leased[n++].apart = 0;
        }

        if (owed && node->apart) {
            ngx_memcpy(leased[n].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            leased[n++].apart = 1;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    *np = n;

    return leased;
}


/* what is true of all shards that are not excepted */

static void
ngx_http_conduit_lease_sure(ngx_http_conduit_cluster_t *cluster)
{
    ngx_str_t                    time = ngx_string("TIME");
    ngx_http_conduit_renewal_t  *renewal;

    renewal = ngx_alloc(sizeof(ngx_http_conduit_renewal_t), cluster->log);
    if (renewal == NULL) {
        return;
    }

    renewal->cluster = cluster;
    renewal->begun = ngx_current_msec;

    if (ngx_conduit_redis_call(&cluster->redis->calls, &time, 1,
                               ngx_http_conduit_lease_renewed, renewal)
        != NGX_OK)
    {
        ngx_free(renewal);
    }
}


static void
ngx_http_conduit_lease_renewed(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_renewal_t  *renewal = data;

    ngx_http_conduit_sh_t       *sh;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = renewal->cluster;
    sh = cluster->cdmcf->zone.sh;

    if (reply) {

        sh->late = ngx_current_msec - renewal->begun;

        if ((ngx_msec_int_t) (sh->leased - ngx_current_msec) <= 0) {

            /* seen by who sees that there are leases again */

            ngx_http_conduit_cluster_unheard(cluster);
            ngx_memory_barrier();
        }

        sh->leased = renewal->begun + NGX_HTTP_CONDUIT_LEASE
                     - NGX_HTTP_CONDUIT_LEASE_MARGIN;
    }

    ngx_free(renewal);
}


static void
ngx_http_conduit_lease_shard(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard, ngx_http_conduit_leased_t *leased, ngx_uint_t n,
    ngx_uint_t look)
{
    ngx_uint_t                part;
    ngx_http_conduit_beat_t  *beat;

    beat = ngx_calloc(sizeof(ngx_http_conduit_beat_t), cluster->log);
    if (beat == NULL) {
        return;
    }

    beat->cluster = cluster;
    beat->shard = shard;
    beat->begun = ngx_current_msec;
    beat->renews = (n > 0);
    beat->calls = 1;

    do {
        part = ngx_min(n, NGX_HTTP_CONDUIT_LEASE_BATCH);

        if (ngx_http_conduit_lease_call(beat, leased, part, look) == NGX_OK) {
            beat->calls++;

        } else {
            beat->failed = 1;
        }

        leased += part;
        n -= part;
        look = 0;

    } while (n);

    ngx_http_conduit_lease_beaten(beat);
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

    if (beat->renews && !beat->failed && cluster->leader
        && (*kept == 0 || (ngx_msec_int_t) (beat->begun - *kept) > 0))
    {
        *kept = beat->begun;
        ngx_http_conduit_lease_parts(cluster);
    }

    ngx_free(beat);
}


static ngx_int_t
ngx_http_conduit_lease_call(ngx_http_conduit_beat_t *beat,
    ngx_http_conduit_leased_t *leased, ngx_uint_t n, ngx_uint_t look)
{
    u_char                     leases[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     task[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     length[NGX_INT_T_LEN];
    u_char                     names[NGX_HTTP_CONDUIT_LEASE_BATCH]
                                    [1 + CONDUIT_UUID_LEN];
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

    if (look) {
        ngx_str_set(&args[5], NGX_HTTP_CONDUIT_LEASE_CLAIMS);

    } else {
        ngx_str_set(&args[5], "0");
    }

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

    for (i = 0; i < n; i++) {
        names[i][0] = '+';
        conduit_uuid_write(names[i] + 1, leased[i].id);

        args[9 + i].data = names[i] + !leased[i].apart;
        args[9 + i].len = CONDUIT_UUID_LEN + leased[i].apart;
    }

    return ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_BEAT,
                                         args, 9 + n,
                                         ngx_http_conduit_lease_claimed, beat);
}


/* members that are ours now, or not any more, and their owners */

static void
ngx_http_conduit_lease_claimed(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_beat_t  *beat = data;

    ngx_str_t                    member, owner;
    ngx_uint_t                   i;
    ngx_conduit_redis_reply_t   *element;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = beat->cluster;

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

        ngx_http_conduit_lease_member(cluster, &member, &owner);
    }

    ngx_http_conduit_lease_beaten(beat);
}


static void
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
        return;
    }

    if (lost) {

        /* nothing more is begun for it; what has become of it is read */

        ngx_http_conduit_hooks_handed(cluster->cdmcf, id);
        ngx_http_conduit_lease_fetch(cluster, id,
                                     NGX_HTTP_CONDUIT_ABSORB_SEEN, NULL);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, cluster->log, 0,
                  "conduit: took over %s %V of \"%V\"",
                  apart ? "deliveries of task" : "task", &text, owner);

    ngx_http_conduit_lease_fetch(cluster, id,
                                 apart ? NGX_HTTP_CONDUIT_ABSORB_SEEN
                                       : NGX_HTTP_CONDUIT_ABSORB_OWN, NULL);

    /* should it still be there after all */

    ngx_http_conduit_cluster_tell(cluster, owner, "taken", id);
}
