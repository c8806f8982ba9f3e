
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook.h>
#include <ngx_http_conduit_peers.h>


/*
 * The renewal of all leases of the host.  There may be many of them, and many
 * more tasks that have ended, so that it is done in parts, between which other
 * events have their turn.
 */


/* so many tasks in one turn */

#define NGX_HTTP_CONDUIT_LEASE_STRIDE  1000

/* it begins anew if it has lost its place among the tasks, so often at most */

#define NGX_HTTP_CONDUIT_LEASE_WALKS   3


struct ngx_http_conduit_renewal_s {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_msec_t                        begun;
    ngx_event_t                       turn;
    ngx_http_conduit_leased_t        *found;
    ngx_uint_t                        n;
    ngx_uint_t                        room;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    unsigned                          behind:1;    /* the task of this id */
    ngx_uint_t                        lost;        /* its place, so often */
    ngx_http_conduit_leased_t        *leased;      /* all, by shard */
    ngx_uint_t                        ends[NGX_HTTP_CONDUIT_SHARDS];
    ngx_uint_t                        shard;       /* the next one */
};


static void ngx_http_conduit_lease_turn(ngx_event_t *ev);
static ngx_int_t ngx_http_conduit_lease_walk(
    ngx_http_conduit_renewal_t *renewal);
static ngx_int_t ngx_http_conduit_lease_begin(
    ngx_http_conduit_renewal_t *renewal);
static ngx_uint_t ngx_http_conduit_lease_add_locked(
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_leased_t *leased);
static ngx_int_t ngx_http_conduit_lease_sort(
    ngx_http_conduit_renewal_t *renewal);
static ngx_int_t ngx_http_conduit_lease_send(
    ngx_http_conduit_renewal_t *renewal);
static void ngx_http_conduit_lease_sure(ngx_http_conduit_renewal_t *renewal);
static void ngx_http_conduit_lease_renewed(void *data,
    ngx_conduit_redis_reply_t *reply);


void
ngx_http_conduit_lease_renew(ngx_http_conduit_cluster_t *cluster)
{
    ngx_http_conduit_renewal_t  *renewal;

    renewal = ngx_calloc(sizeof(ngx_http_conduit_renewal_t), cluster->log);
    if (renewal == NULL) {
        return;
    }

    renewal->cluster = cluster;
    renewal->begun = ngx_current_msec;

    renewal->turn.handler = ngx_http_conduit_lease_turn;
    renewal->turn.data = renewal;
    renewal->turn.log = cluster->log;

    cluster->renewal = renewal;
    cluster->renewed = ngx_current_msec;

    ngx_http_conduit_lease_turn(&renewal->turn);
}


static void
ngx_http_conduit_lease_turn(ngx_event_t *ev)
{
    ngx_int_t                    rc;
    ngx_http_conduit_cluster_t  *cluster;
    ngx_http_conduit_renewal_t  *renewal;

    renewal = ev->data;
    cluster = renewal->cluster;

    rc = (cluster->leader && cluster->redis->calls.up) ? NGX_OK : NGX_ERROR;

    if (rc == NGX_OK && renewal->leased == NULL) {
        rc = ngx_http_conduit_lease_walk(renewal);

        if (rc == NGX_OK) {
            rc = ngx_http_conduit_lease_sort(renewal);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_lease_send(renewal);
    }

    if (rc == NGX_AGAIN) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    cluster->renewal = NULL;

    ngx_free(renewal->found);
    ngx_free(renewal->leased);

    if (rc == NGX_OK) {

        /* before Redis is known to be there: a shard in doubt stays so */

        ngx_http_conduit_lease_parts(cluster);
        ngx_http_conduit_lease_sure(renewal);

        return;
    }

    /* to be tried again */

    cluster->renewed = 0;

    ngx_free(renewal);
}


static ngx_int_t
ngx_http_conduit_lease_walk(ngx_http_conduit_renewal_t *renewal)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &renewal->cluster->cdmcf->zone;
    rc = NGX_OK;

    if (renewal->found == NULL
        && ngx_http_conduit_lease_begin(renewal) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_conduit_zone_lock(zone);

    node = renewal->behind
           ? ngx_http_conduit_node_any_locked(zone, renewal->id) : NULL;

    if (renewal->behind && node == NULL) {

        /* it has gone meanwhile */

        if (renewal->lost++ == NGX_HTTP_CONDUIT_LEASE_WALKS) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_ERROR;
        }

        renewal->n = 0;
    }

    q = node ? &node->tasks : &zone->sh->tasks;

    for (i = 0; renewal->n + 2 <= renewal->room; i++) {

        q = ngx_queue_next(q);

        if (q == ngx_queue_sentinel(&zone->sh->tasks)) {
            break;
        }

        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        renewal->n += ngx_http_conduit_lease_add_locked(node,
                                                 &renewal->found[renewal->n]);

        if (i == NGX_HTTP_CONDUIT_LEASE_STRIDE) {
            ngx_memcpy(renewal->id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            renewal->behind = 1;
            rc = NGX_AGAIN;
            break;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


static ngx_int_t
ngx_http_conduit_lease_begin(ngx_http_conduit_renewal_t *renewal)
{
    ngx_http_conduit_sh_t  *sh;

    sh = renewal->cluster->cdmcf->zone.sh;

    renewal->room = sh->live + 2 * sh->hooks_owed + 64;

    renewal->found = ngx_alloc(renewal->room
                               * sizeof(ngx_http_conduit_leased_t),
                               renewal->cluster->log);
    if (renewal->found == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* up to two: the task, and its deliveries if they have a lease of their own */

static ngx_uint_t
ngx_http_conduit_lease_add_locked(ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_leased_t *leased)
{
    ngx_uint_t  n, owed, task;

    n = 0;

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

    return n;
}


static ngx_int_t
ngx_http_conduit_lease_sort(ngx_http_conduit_renewal_t *renewal)
{
    ngx_uint_t                  i, shard, n;
    ngx_http_conduit_leased_t  *leased;

    renewal->leased = ngx_alloc((renewal->n + 1)
                                * sizeof(ngx_http_conduit_leased_t),
                                renewal->cluster->log);
    if (renewal->leased == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < renewal->n; i++) {
        renewal->ends[renewal->found[i].id[0] % NGX_HTTP_CONDUIT_SHARDS]++;
    }

    /* first the begin of each, which moves to its end */

    for (shard = 0, i = 0; shard < NGX_HTTP_CONDUIT_SHARDS; shard++) {
        n = renewal->ends[shard];
        renewal->ends[shard] = i;
        i += n;
    }

    for (i = 0; i < renewal->n; i++) {
        leased = &renewal->found[i];
        shard = leased->id[0] % NGX_HTTP_CONDUIT_SHARDS;
        renewal->leased[renewal->ends[shard]++] = *leased;
    }

    /* whoever has been away for long may have lost some of them */

    renewal->cluster->doubtful = ((ngx_msec_int_t)
                                  (renewal->cluster->cdmcf->zone.sh->leased
                                   - ngx_current_msec)
                                  <= 0);

    return NGX_OK;
}


/* NGX_AGAIN: some shards are left */

static ngx_int_t
ngx_http_conduit_lease_send(ngx_http_conduit_renewal_t *renewal)
{
    ngx_uint_t                   n, first, sent, shard;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = renewal->cluster;
    sent = 0;

    while (renewal->shard < NGX_HTTP_CONDUIT_SHARDS) {

        if (sent >= NGX_HTTP_CONDUIT_LEASE_STRIDE) {
            return NGX_AGAIN;
        }

        shard = renewal->shard++;

        first = shard ? renewal->ends[shard - 1] : 0;
        n = renewal->ends[shard] - first;

        if (n == 0) {

            /* nothing that could be lost */

            cluster->kept[shard] = ngx_current_msec;
            continue;
        }

        if (cluster->doubtful) {
            cluster->kept[shard] = 0;
        }

        ngx_http_conduit_lease_shard(cluster, shard, renewal->leased + first,
                                     n);
        sent += n;
    }

    return NGX_OK;
}


/* what is true of all shards that are not excepted; frees it in the end */

static void
ngx_http_conduit_lease_sure(ngx_http_conduit_renewal_t *renewal)
{
    ngx_str_t  time = ngx_string("TIME");

    if (ngx_conduit_redis_call(&renewal->cluster->redis->calls, &time, 1,
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
