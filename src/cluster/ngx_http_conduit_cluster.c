
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/* a leader that has not been seen for so long is replaced, ms */

#define NGX_HTTP_CONDUIT_LEADER_GONE  2500

/* that Redis is silent is noticed so late, or that it is there again, ms */

#define NGX_HTTP_CONDUIT_NOTICED      10000


static void ngx_http_conduit_cluster_tick(ngx_event_t *ev);
static void ngx_http_conduit_cluster_parted(
    ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_cluster_lead(ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_cluster_listen(
    ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_cluster_calls(ngx_http_conduit_redis_t *redis,
    ngx_uint_t up);
static void ngx_http_conduit_cluster_channels(ngx_http_conduit_redis_t *redis,
    ngx_uint_t up);
static void ngx_http_conduit_cluster_message(ngx_conduit_redis_t *conn,
    ngx_str_t *channel, ngx_str_t *payload);
static void ngx_http_conduit_cluster_asked(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *payload);
static void ngx_http_conduit_cluster_followed(
    ngx_http_conduit_cluster_t *cluster, u_char *id);
static void ngx_http_conduit_cluster_host(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload);
static ngx_http_conduit_peer_t *ngx_http_conduit_cluster_heard(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *owner,
    ngx_str_t *counts);
static void ngx_http_conduit_cluster_place(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *counts);
static void ngx_http_conduit_cluster_beat(ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_cluster_stale(ngx_http_conduit_redis_t *redis,
    u_char *id);
static void ngx_http_conduit_cluster_foreign(ngx_http_conduit_redis_t *redis,
    u_char *id, ngx_str_t *owner);


ngx_int_t
ngx_http_conduit_cluster_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_redis_t    *redis;
    ngx_http_conduit_cluster_t  *cluster;

    redis = cdmcf->redis;
    cdmcf->zone.sh->shared = (redis != NULL);

    if (redis == NULL) {
        return NGX_OK;
    }

    cluster = ngx_pcalloc(cycle->pool, sizeof(ngx_http_conduit_cluster_t));
    if (cluster == NULL) {
        return NGX_ERROR;
    }

    cluster->redis = redis;
    cluster->cdmcf = cdmcf;
    cluster->log = cycle->log;

    cluster->dummy.fd = (ngx_socket_t) -1;
    cluster->dummy.data = cluster;

    cluster->tick.data = &cluster->dummy;
    cluster->tick.handler = ngx_http_conduit_cluster_tick;
    cluster->tick.log = cycle->log;
    cluster->tick.cancelable = 1;

    ngx_queue_init(&cluster->follows);
    ngx_queue_init(&cluster->asks);
    ngx_queue_init(&cluster->borrows);
    ngx_queue_init(&cluster->parcels);
    ngx_rbtree_init(&cluster->names, &cluster->sentinel,
                    ngx_str_rbtree_insert_value);

    redis->cluster = cluster;

    redis->events.calls = ngx_http_conduit_cluster_calls;
    redis->events.channels = ngx_http_conduit_cluster_channels;
    redis->events.message = ngx_http_conduit_cluster_message;
    redis->events.stale = ngx_http_conduit_cluster_stale;
    redis->events.unsaved = ngx_http_conduit_catchup_mark;
    redis->events.lost = ngx_http_conduit_catchup_lost;
    redis->events.foreign = ngx_http_conduit_cluster_foreign;
    redis->events.hooked = ngx_http_conduit_announce_hooks;

    cdmcf->engine->announce = ngx_http_conduit_announce;
    cdmcf->engine->unleased = ngx_http_conduit_lease_unheld;
    cdmcf->engine->follow = ngx_http_conduit_cluster_task;
    cdmcf->engine->follow_key = ngx_http_conduit_cluster_key;
    cdmcf->engine->page = ngx_http_conduit_cluster_page;
    cdmcf->engine->permit = ngx_http_conduit_cluster_permit;
    cdmcf->engine->borrow = ngx_http_conduit_cluster_borrow;
    cdmcf->engine->session = ngx_http_conduit_cluster_session;

    ngx_add_timer(&cluster->tick, 1);

    return NGX_OK;
}


void
ngx_http_conduit_cluster_exit(ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_zone_t     *zone;
    ngx_http_conduit_cluster_t  *cluster;

    if (cdmcf->redis == NULL || cdmcf->redis->cluster == NULL) {
        return;
    }

    cluster = cdmcf->redis->cluster;
    zone = &cdmcf->zone;

    if (cluster->tick.timer_set) {
        ngx_del_timer(&cluster->tick);
    }

    ngx_http_conduit_follow_exit(cluster);
    ngx_http_conduit_cluster_session_exit(cluster);
    ngx_http_conduit_borrow_exit(cluster);

    if (cluster->leader && zone->cell != NGX_HTTP_CONDUIT_NOBODY) {
        ngx_http_conduit_zone_lock(zone);

        if (zone->sh->leader == zone->cell + 1) {
            zone->sh->leader = 0;
        }

        ngx_http_conduit_zone_unlock(zone);
    }

    /* who waits for Redis is told while there still is an engine */

    ngx_http_conduit_redis_exit(cdmcf->redis);

    if (cluster->parts) {
        ngx_free(cluster->parts);
        cluster->parts = NULL;
    }
}


static void
ngx_http_conduit_cluster_tick(ngx_event_t *ev)
{
    ngx_connection_t            *c = ev->data;
    ngx_http_conduit_cluster_t  *cluster = c->data;

    ngx_add_timer(ev, NGX_HTTP_CONDUIT_CLUSTER_TICK);

    cluster->ticks++;

    if (!cluster->redis->calls.up || !cluster->redis->channels.up) {
        ngx_http_conduit_cluster_parted(cluster);
    }

    ngx_http_conduit_cluster_lead(cluster);
    ngx_http_conduit_follow_tick(cluster);
    ngx_http_conduit_redis_holds(cluster->redis);
    ngx_http_conduit_redis_tick(cluster->redis);

    if (!cluster->leader) {
        return;
    }

    ngx_http_conduit_counts_hosts(cluster);

    if (cluster->redis->calls.up) {
        ngx_http_conduit_catchup_tick(cluster);
        ngx_http_conduit_idem_tick(cluster);
        ngx_http_conduit_lease_tick(cluster);
    }
}


/* some worker has no Redis, or had none until now */

static void
ngx_http_conduit_cluster_parted(ngx_http_conduit_cluster_t *cluster)
{
    ngx_http_conduit_sh_t  *sh;

    sh = cluster->cdmcf->zone.sh;

    if (sh->united == 0
        || (ngx_msec_int_t) (ngx_current_msec - sh->united)
           > NGX_HTTP_CONDUIT_NOTICED)
    {
        sh->parted = ngx_current_msec - NGX_HTTP_CONDUIT_NOTICED;
    }

    sh->united = ngx_current_msec;
}


ngx_msec_t
ngx_http_conduit_cluster_behind(ngx_http_conduit_cluster_t *cluster,
    ngx_msec_t before)
{
    ngx_http_conduit_sh_t  *sh;

    sh = cluster->cdmcf->zone.sh;

    if (sh->united == 0
        || (ngx_msec_int_t) (ngx_current_msec - sh->united)
           > (ngx_msec_int_t) before)
    {
        return 0;
    }

    return ngx_current_msec - sh->parted;
}


/* a worker that is about to leave does not lead */

static void
ngx_http_conduit_cluster_lead(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t                leader, counted;
    ngx_http_conduit_sh_t    *sh;
    ngx_http_conduit_zone_t  *zone;

    zone = &cluster->cdmcf->zone;
    sh = zone->sh;

    if (zone->cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    ngx_http_conduit_zone_lock(zone);

    if (ngx_exiting || zone->generation != sh->generation) {

        if (sh->leader == zone->cell + 1) {
            sh->leader = 0;
        }

    } else if (sh->leader == 0 || sh->leader == zone->cell + 1
               || ngx_current_msec - sh->leading
                  > NGX_HTTP_CONDUIT_LEADER_GONE)
    {
        sh->leader = zone->cell + 1;
        sh->leading = ngx_current_msec;
    }

    leader = (sh->leader == zone->cell + 1);
    counted = (cluster->leader && cluster->counted == sh->counted);

    ngx_http_conduit_zone_unlock(zone);

    /* also one that has stood still while another one led */

    if (leader && !counted) {
        cluster->connected = ngx_current_msec;
        cluster->renewed = 0;
        cluster->epochs = 0;

        ngx_http_conduit_counts_reset(cluster);
    }

    cluster->leader = leader;

    ngx_http_conduit_cluster_listen(cluster);
}


static void
ngx_http_conduit_cluster_listen(ngx_http_conduit_cluster_t *cluster)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t                  name;
    const char                *command;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    if (cluster->listening == cluster->leader || !redis->channels.up) {
        return;
    }

    command = cluster->leader ? "SUBSCRIBE" : "UNSUBSCRIBE";

    name = ngx_http_conduit_redis_name(redis, buf, "host", &redis->owner);
    ngx_http_conduit_cluster_subscribe(cluster, command, &name);

    name = ngx_http_conduit_redis_name(redis, buf, "hosts", NULL);
    ngx_http_conduit_cluster_subscribe(cluster, command, &name);

    cluster->listening = cluster->leader;

    if (cluster->listening && cluster->cdmcf->zone.sh->peered == 0) {
        ngx_http_conduit_cluster_unheard(cluster);
    }
}


/* until others would have been heard there may be some */

void
ngx_http_conduit_cluster_unheard(ngx_http_conduit_cluster_t *cluster)
{
    ngx_msec_t              since;
    ngx_http_conduit_sh_t  *sh;

    sh = cluster->cdmcf->zone.sh;

    since = ngx_current_msec - NGX_HTTP_CONDUIT_PEER_FORGOTTEN
            + NGX_HTTP_CONDUIT_PEER_BEATS;

    if (sh->peered == 0 || (ngx_msec_int_t) (since - sh->peered) > 0) {
        sh->peered = since;
    }

    /* but after a start Redis is more likely to be gone than they are there */

    if (sh->leased
        && (sh->apart == 0 || (ngx_msec_int_t) (since - sh->apart) > 0))
    {
        sh->apart = since;
    }
}


void
ngx_http_conduit_cluster_subscribe(ngx_http_conduit_cluster_t *cluster,
    const char *command, ngx_str_t *channel)
{
    ngx_str_t  args[2];

    args[0].data = (u_char *) command;
    args[0].len = ngx_strlen(command);
    args[1] = *channel;

    (void) ngx_conduit_redis_call(&cluster->redis->channels, args, 2, NULL,
                                  NULL);
}


static void
ngx_http_conduit_cluster_calls(ngx_http_conduit_redis_t *redis, ngx_uint_t up)
{
    ngx_uint_t                   i;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = redis->cluster;

    ngx_http_conduit_cluster_parted(cluster);

    if (up) {
        cluster->connections++;

    } else {
        ngx_http_conduit_idem_lost(cluster);
    }

    /* nobody could be heard meanwhile */

    for (i = 0; i < cluster->npeers; i++) {
        cluster->peers[i].heard = ngx_current_msec;
    }

    cluster->connected = ngx_current_msec;
    cluster->renewed = 0;
    cluster->epochs = 0;

    if (up && cluster->leader) {

        if (cluster->connections > 1) {
            ngx_http_conduit_part_recent(cluster);
        }

        ngx_http_conduit_catchup_tick(cluster);
        ngx_http_conduit_lease_tick(cluster);
    }
}


static void
ngx_http_conduit_cluster_channels(ngx_http_conduit_redis_t *redis,
    ngx_uint_t up)
{
    ngx_http_conduit_cluster_t  *cluster;

    cluster = redis->cluster;

    cluster->listening = 0;
    cluster->answers = 0;

    ngx_http_conduit_cluster_parted(cluster);
    ngx_http_conduit_follow_state(cluster, up);

    if (up) {
        ngx_http_conduit_cluster_sessions(cluster);
        ngx_http_conduit_cluster_listen(cluster);
    }
}


static void
ngx_http_conduit_cluster_message(ngx_conduit_redis_t *conn,
    ngx_str_t *channel, ngx_str_t *payload)
{
    ngx_str_t                    rest;
    ngx_http_conduit_redis_t    *redis;
    ngx_http_conduit_cluster_t  *cluster;

    redis = conn->data;
    cluster = redis->cluster;

    rest = *channel;
    rest.data += redis->cdmcf->redis_conf->prefix.len + 1;
    rest.len -= redis->cdmcf->redis_conf->prefix.len + 1;

    if (rest.len == 5 && ngx_strncmp(rest.data, "hosts", 5) == 0) {

        if (payload) {
            ngx_http_conduit_cluster_host(cluster, payload);

        } else {
            cluster->joining = 1;
            ngx_http_conduit_cluster_beat(cluster);
        }

    } else if (rest.len > 5 && ngx_strncmp(rest.data, "host:", 5) == 0) {

        if (payload) {
            ngx_http_conduit_cluster_asked(cluster, payload);
        }

    } else if (rest.len > 8 && ngx_strncmp(rest.data, "session:", 8) == 0) {
        ngx_http_conduit_cluster_answered(cluster, payload);

    } else {
        ngx_http_conduit_follow_message(cluster, &rest, payload);
    }
}


/* WORD ID: what another host asks of this one, or tells it */

static void
ngx_http_conduit_cluster_asked(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    u_char  *p, id[NGX_HTTP_CONDUIT_ID_LEN];

    if (payload->len && payload->data[0] == 'b') {
        ngx_http_conduit_cluster_lend(cluster, payload);
        return;
    }

    p = ngx_strlchr(payload->data, payload->data + payload->len, ' ');

    if (p == NULL
        || conduit_uuid_parse(id, p + 1,
                              payload->data + payload->len - p - 1)
           != CONDUIT_OK)
    {
        return;
    }

    if (payload->data[0] == 'f') {
        ngx_http_conduit_cluster_followed(cluster, id);

    } else if (payload->data[0] == 'l') {
        ngx_http_conduit_lease_fetch(cluster, id,
                                     NGX_HTTP_CONDUIT_ABSORB_OWN, NULL);

    } else {
        ngx_http_conduit_lease_fetch(cluster, id,
                                     NGX_HTTP_CONDUIT_ABSORB_SEEN, NULL);
    }
}


static void
ngx_http_conduit_cluster_followed(ngx_http_conduit_cluster_t *cluster,
    u_char *id)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    if (node && (!node->remote || (node->status > 1 && !node->handed))) {
        node->followed = ngx_current_msec + NGX_HTTP_CONDUIT_FOLLOWED;
    }

    ngx_http_conduit_zone_unlock(zone);

    if (node) {
        ngx_http_conduit_announce(cluster->cdmcf, id);
    }
}


/* "beat OWNER ...", "key NAME" or "session ..." */

static void
ngx_http_conduit_cluster_host(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    u_char                       *p, *last;
    ngx_str_t                     word, counts;
    ngx_http_conduit_peer_t      *peer;
    ngx_http_conduit_key_node_t  *key;

    if (payload->len && payload->data[0] == 's') {
        ngx_http_conduit_cluster_ask(cluster, payload);
        return;
    }

    last = payload->data + payload->len;
    p = ngx_strlchr(payload->data, last, ' ');

    if (p == NULL) {
        return;
    }

    word.data = p + 1;
    word.len = last - word.data;

    if (payload->data[0] == 'k') {
        key = ngx_http_conduit_key_node(&cluster->cdmcf->zone, &word);

        if (key) {
            ngx_http_conduit_announce_key(cluster, key);
        }

        return;
    }

    p = ngx_strlchr(word.data, last, LF);

    if (p == NULL) {
        return;
    }

    word.len = p - word.data;

    counts.data = p + 1;
    counts.len = last - counts.data;

    peer = ngx_http_conduit_cluster_heard(cluster, &word, &counts);

    if (peer) {
        ngx_http_conduit_counts_heard(cluster, peer, &counts);
    }
}


/* NULL: this host itself, or one too many */

static ngx_http_conduit_peer_t *
ngx_http_conduit_cluster_heard(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *owner, ngx_str_t *counts)
{
    ngx_uint_t                i;
    ngx_http_conduit_peer_t  *peer;

    if (owner->len > NGX_HTTP_CONDUIT_OWNER_LEN
        || (owner->len == cluster->redis->owner.len
            && ngx_memcmp(owner->data, cluster->redis->owner.data,
                          owner->len)
               == 0))
    {
        return NULL;
    }

    cluster->cdmcf->zone.sh->peered = ngx_current_msec;
    ngx_http_conduit_cluster_place(cluster, counts);

    for (i = 0; i < cluster->npeers; i++) {
        peer = &cluster->peers[i];

        if (peer->len == owner->len
            && ngx_memcmp(peer->owner, owner->data, owner->len) == 0)
        {
            peer->heard = ngx_current_msec;
            return peer;
        }
    }

    if (cluster->npeers == NGX_HTTP_CONDUIT_PEERS) {
        return NULL;
    }

    peer = &cluster->peers[cluster->npeers++];
    ngx_memzero(peer, sizeof(ngx_http_conduit_peer_t));

    peer->len = (u_short) owner->len;
    ngx_memcpy(peer->owner, owner->data, owner->len);
    peer->heard = ngx_current_msec;

    ngx_log_error(NGX_LOG_NOTICE, cluster->log, 0,
                  "conduit: \"%V\" has joined", owner);

    return peer;
}


/* whoever is at the same place is refused by Redis if this host is */

static void
ngx_http_conduit_cluster_place(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *counts)
{
    u_char  *p;

    p = counts->data;

    if (counts->len > 2 + NGX_HTTP_CONDUIT_REDIS_PLACE
        && (*p == 'h' || *p == 'H'))
    {
        if (*p == 'H') {
            ngx_http_conduit_cluster_beat(cluster);
        }

        if (ngx_memcmp(p + 2, cluster->redis->place,
                       NGX_HTTP_CONDUIT_REDIS_PLACE)
            == 0)
        {
            return;
        }
    }

    cluster->cdmcf->zone.sh->apart = ngx_current_msec;
}


/* between ticks */

static void
ngx_http_conduit_cluster_beat(ngx_http_conduit_cluster_t *cluster)
{
    if (cluster->leader && cluster->redis->calls.up) {
        ngx_http_conduit_counts_beat(cluster);
    }
}


static void
ngx_http_conduit_cluster_stale(ngx_http_conduit_redis_t *redis, u_char *id)
{
    ngx_http_conduit_lease_fetch(redis->cluster, id,
                                 NGX_HTTP_CONDUIT_ABSORB_SEEN, NULL);
}


/* its owner has to know what has become of its task, and so have followers */

static void
ngx_http_conduit_cluster_foreign(ngx_http_conduit_redis_t *redis, u_char *id,
    ngx_str_t *owner)
{
    ngx_http_conduit_cluster_tell(redis->cluster, owner, "changed", id);
}
