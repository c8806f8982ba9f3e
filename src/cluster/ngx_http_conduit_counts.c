
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * What hosts tell each other with every heart beat, so that limits hold over
 * all of them.  "beat OWNER LF" is followed by lines
 *
 *     h PLACE                                         the first one; H: one
 *                                                     of others is asked for
 *     k CONNECTIONS TASKS REQUESTS RATE BURST NAME    of a key
 *     p RUNNING WAITING STARTS NAME                   of a provider
 *
 * with its connections and its unfinished tasks, running or waiting, as they
 * are; and the requests let through (by that rate) and the tasks started since
 * the beat before.  Keys and providers with nothing to tell are left out.  The
 * leader knows what it has added for a peer, and takes it away with the next
 * beat or when the peer has gone; requests and starts go by their own time.
 */


/* keys of one beat; those beyond have to wait for another */

#define NGX_HTTP_CONDUIT_COUNTS      4096

#define NGX_HTTP_CONDUIT_COUNT_LINE  (5 * NGX_INT32_LEN                       \
                                      + NGX_HTTP_CONDUIT_NAME_LEN + 8)


typedef struct {
    ngx_http_conduit_key_node_t          *key;
    uint32_t                              connections;
    uint32_t                              live;
    uint32_t                              charged;
    conduit_rate_t                        rate;
} ngx_http_conduit_count_t;


typedef struct {
    ngx_uint_t                            index;
    uint32_t                              running;
    uint32_t                              waiting;
    uint32_t                              starts;
} ngx_http_conduit_load_t;


/* a beat */

typedef struct {
    ngx_uint_t                            nloads;
    ngx_http_conduit_load_t               loads[NGX_HTTP_CONDUIT_PROVIDERS];
    ngx_uint_t                            n;
    ngx_http_conduit_count_t              keys[1];
} ngx_http_conduit_counts_t;


static u_char *ngx_http_conduit_counts_keys_locked(
    ngx_http_conduit_cluster_t *cluster, u_char *p, ngx_uint_t n);
static u_char *ngx_http_conduit_counts_loads_locked(
    ngx_http_conduit_sh_t *sh, u_char *p);
static ngx_http_conduit_counts_t *ngx_http_conduit_counts_parse(
    ngx_http_conduit_cluster_t *cluster, ngx_str_t *text);
static void ngx_http_conduit_counts_key(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_counts_t *counts, u_char *p, u_char *last);
static void ngx_http_conduit_counts_load(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_counts_t *counts, u_char *p, u_char *last);
static u_char *ngx_http_conduit_counts_numbers(u_char *p, u_char *last,
    uint32_t *numbers, ngx_uint_t n);
static void ngx_http_conduit_counts_add_locked(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_counts_t *counts,
    ngx_int_t sign);
static void ngx_http_conduit_counts_charge_locked(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_counts_t *counts);
static void ngx_http_conduit_counts_pump(ngx_http_conduit_cluster_t *cluster);


void
ngx_http_conduit_counts_beat(ngx_http_conduit_cluster_t *cluster)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME], *p;
    ngx_str_t                  channel, message;
    ngx_uint_t                 n;
    ngx_http_conduit_sh_t     *sh;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;
    sh = cluster->cdmcf->zone.sh;

    n = ngx_min(sh->nkeys, NGX_HTTP_CONDUIT_COUNTS);

    message.data = ngx_alloc(NGX_HTTP_CONDUIT_OWNER_LEN + 8
                             + NGX_HTTP_CONDUIT_REDIS_PLACE + 3
                             + (n + NGX_HTTP_CONDUIT_PROVIDERS)
                               * NGX_HTTP_CONDUIT_COUNT_LINE, cluster->log);
    if (message.data == NULL) {
        return;
    }

    p = ngx_sprintf(message.data, "beat %V\n%c %*s\n", &redis->owner,
                    cluster->joining ? 'H' : 'h',
                    (size_t) NGX_HTTP_CONDUIT_REDIS_PLACE, redis->place);

    cluster->joining = 0;

    ngx_http_conduit_zone_lock(&cluster->cdmcf->zone);

    p = ngx_http_conduit_counts_keys_locked(cluster, p, n);
    p = ngx_http_conduit_counts_loads_locked(sh, p);

    ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);

    message.len = p - message.data;

    channel = ngx_http_conduit_redis_name(redis, buf, "hosts", NULL);

    ngx_http_conduit_cluster_publish(cluster, &channel, &message);

    ngx_free(message.data);
}


/* begins where the last beat has ended, if that was full */

static u_char *
ngx_http_conduit_counts_keys_locked(ngx_http_conduit_cluster_t *cluster,
    u_char *p, ngx_uint_t n)
{
    ngx_uint_t                    i, slot;
    ngx_http_conduit_sh_t        *sh;
    ngx_http_conduit_key_node_t  *key;

    sh = cluster->cdmcf->zone.sh;

    for (i = 0; i <= sh->key_mask; i++) {
        slot = (cluster->slot + i) & sh->key_mask;

        for (key = sh->key_hash[slot]; key; key = key->next) {

            if (key->connections == 0 && key->live == 0 && key->charged == 0) {
                continue;
            }

            if (n-- == 0) {
                cluster->slot = slot;
                return p;
            }

            p = ngx_sprintf(p, "k %uD %uD %uD %uD %uD ", key->connections,
                            key->live, key->charged,
                            key->rate_used.per_minute, key->rate_used.burst);
            p = ngx_cpymem(p, key->name, key->len);
            *p++ = LF;

            key->charged = 0;
        }
    }

    return p;
}


static u_char *
ngx_http_conduit_counts_loads_locked(ngx_http_conduit_sh_t *sh, u_char *p)
{
    ngx_uint_t                         i;
    ngx_http_conduit_provider_node_t  *pn;

    for (i = 0; i < sh->nproviders; i++) {
        pn = &sh->providers[i];

        if (pn->running || pn->waiting || pn->starts) {
            p = ngx_sprintf(p, "p %uD %uD %uD ", pn->running, pn->waiting,
                            pn->starts);
            p = ngx_cpymem(p, pn->name, pn->len);
            *p++ = LF;

            pn->starts = 0;
        }
    }

    return p;
}


void
ngx_http_conduit_counts_heard(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_peer_t *peer, ngx_str_t *text)
{
    ngx_http_conduit_sh_t      *sh;
    ngx_http_conduit_counts_t  *counts, *old;

    sh = cluster->cdmcf->zone.sh;

    counts = ngx_http_conduit_counts_parse(cluster, text);
    if (counts == NULL) {
        return;
    }

    old = peer->counts;

    ngx_http_conduit_zone_lock(&cluster->cdmcf->zone);

    /* one that stood still does not know yet that it does not lead any more */

    if (cluster->counted != sh->counted) {
        ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);
        ngx_free(counts);
        return;
    }

    if (old) {
        ngx_http_conduit_counts_add_locked(cluster, old, -1);
    }

    ngx_http_conduit_counts_add_locked(cluster, counts, 1);
    ngx_http_conduit_counts_charge_locked(cluster, counts);

    ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);

    if (old) {
        ngx_free(old);
    }

    peer->counts = counts;

    ngx_http_conduit_counts_pump(cluster);
}


void
ngx_http_conduit_counts_gone(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_peer_t *peer)
{
    if (peer->counts == NULL) {
        return;
    }

    ngx_http_conduit_zone_lock(&cluster->cdmcf->zone);

    if (cluster->counted == cluster->cdmcf->zone.sh->counted) {
        ngx_http_conduit_counts_add_locked(cluster, peer->counts, -1);
    }

    ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);

    ngx_free(peer->counts);
    peer->counts = NULL;
}


/* how many hosts there are, or were until a while ago, if that is known */

void
ngx_http_conduit_counts_hosts(ngx_http_conduit_cluster_t *cluster)
{
    uint32_t                n;
    ngx_http_conduit_sh_t  *sh;

    sh = cluster->cdmcf->zone.sh;
    n = (uint32_t) cluster->npeers + 1;

    ngx_http_conduit_zone_lock(&cluster->cdmcf->zone);

    if (!cluster->redis->calls.up) {

        if (sh->severed == 0) {
            sh->severed = ngx_max(ngx_current_msec, 1);
        }

        ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);
        return;
    }

    sh->severed = 0;

    if (sh->hosts == 0) {
        sh->joined = ngx_current_msec;
    }

    if (n >= sh->hosts
        || ngx_current_msec - sh->hosts_at > NGX_HTTP_CONDUIT_HOST_SETTLED)
    {
        sh->hosts = n;
        sh->hosts_at = ngx_current_msec;
    }

    ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);
}


/* a new leader: what the last one has added is heard again within a second */

void
ngx_http_conduit_counts_reset(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t                    i;
    ngx_http_conduit_sh_t        *sh;
    ngx_http_conduit_key_node_t  *key;

    sh = cluster->cdmcf->zone.sh;

    ngx_http_conduit_zone_lock(&cluster->cdmcf->zone);

    for (i = 0; i <= sh->key_mask; i++) {
        for (key = sh->key_hash[i]; key; key = key->next) {
            key->away = 0;
            key->away_live = 0;
        }
    }

    for (i = 0; i < sh->nproviders; i++) {
        sh->providers[i].away = 0;
        sh->providers[i].away_waiting = 0;
        sh->providers[i].rivals = 0;
    }

    sh->away_live = 0;
    cluster->counted = ++sh->counted;

    ngx_http_conduit_zone_unlock(&cluster->cdmcf->zone);

    for (i = 0; i < cluster->npeers; i++) {
        if (cluster->peers[i].counts) {
            ngx_free(cluster->peers[i].counts);
            cluster->peers[i].counts = NULL;
        }
    }
}


static void
ngx_http_conduit_counts_add_locked(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_counts_t *counts, ngx_int_t sign)
{
    ngx_uint_t                         i;
    ngx_http_conduit_sh_t             *sh;
    ngx_http_conduit_load_t           *load;
    ngx_http_conduit_count_t          *count;
    ngx_http_conduit_provider_node_t  *pn;

    sh = cluster->cdmcf->zone.sh;

    for (i = 0; i < counts->n; i++) {
        count = &counts->keys[i];

        count->key->away += sign * count->connections;
        count->key->away_live += sign * count->live;
        sh->away_live += sign * count->live;
    }

    for (i = 0; i < counts->nloads; i++) {
        load = &counts->loads[i];
        pn = &sh->providers[load->index];

        pn->away += sign * load->running;
        pn->away_waiting += sign * load->waiting;
        pn->rivals += sign * (load->running || load->waiting);
    }
}


/* what is gone for good: it comes back with time alone */

static void
ngx_http_conduit_counts_charge_locked(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_counts_t *counts)
{
    ngx_uint_t                 i;
    ngx_http_conduit_sh_t     *sh;
    ngx_http_conduit_load_t   *load;
    ngx_http_conduit_count_t  *count;

    sh = cluster->cdmcf->zone.sh;

    for (i = 0; i < counts->n; i++) {
        count = &counts->keys[i];

        if (count->charged && count->rate.per_minute) {
            conduit_bucket_charge(&count->key->bucket, &count->rate,
                                  count->charged, ngx_current_msec);
        }
    }

    for (i = 0; i < counts->nloads; i++) {
        load = &counts->loads[i];

        if (load->starts) {
            conduit_window_charge(&sh->providers[load->index].rpm,
                                  load->starts, CONDUIT_WINDOW_MINUTE,
                                  ngx_current_msec);
        }
    }
}


/* others may have left room for what waits here */

static void
ngx_http_conduit_counts_pump(ngx_http_conduit_cluster_t *cluster)
{
    ngx_uint_t                  i;
    ngx_http_conduit_sh_t      *sh;
    ngx_http_conduit_engine_t  *engine;

    sh = cluster->cdmcf->zone.sh;
    engine = cluster->cdmcf->engine;

    for (i = 0; i < sh->nproviders; i++) {
        if (sh->providers[i].waiting && engine->providers[i]) {
            ngx_http_conduit_pump(engine, i);
        }
    }
}


/* NULL: no memory */

static ngx_http_conduit_counts_t *
ngx_http_conduit_counts_parse(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *text)
{
    u_char                     *p, *last, *end;
    ngx_uint_t                  lines;
    ngx_http_conduit_counts_t  *counts;

    last = text->data + text->len;
    lines = 0;

    for (p = text->data; p < last; p++) {
        lines += (*p == LF);
    }

    lines = ngx_min(lines, NGX_HTTP_CONDUIT_COUNTS
                           + NGX_HTTP_CONDUIT_PROVIDERS);

    counts = ngx_alloc(sizeof(ngx_http_conduit_counts_t)
                       + lines * sizeof(ngx_http_conduit_count_t),
                       cluster->log);
    if (counts == NULL) {
        return NULL;
    }

    counts->n = 0;
    counts->nloads = 0;

    for (p = text->data; lines; lines--) {
        end = ngx_strlchr(p, last, LF);

        if (end - p > 2) {

            if (*p == 'k') {
                ngx_http_conduit_counts_key(cluster, counts, p + 2, end);

            } else if (*p == 'p') {
                ngx_http_conduit_counts_load(cluster, counts, p + 2, end);
            }
        }

        p = end + 1;
    }

    return counts;
}


static void
ngx_http_conduit_counts_key(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_counts_t *counts, u_char *p, u_char *last)
{
    uint32_t                   numbers[5];
    ngx_str_t                  name;
    ngx_http_conduit_count_t  *count;

    name.data = ngx_http_conduit_counts_numbers(p, last, numbers, 5);

    if (name.data == NULL) {
        return;
    }

    name.len = last - name.data;

    count = &counts->keys[counts->n];

    count->key = ngx_http_conduit_key_node(&cluster->cdmcf->zone, &name);

    if (count->key == NULL) {
        return;
    }

    count->connections = numbers[0];
    count->live = numbers[1];
    count->charged = numbers[2];
    count->rate.per_minute = numbers[3];
    count->rate.burst = numbers[4];

    counts->n++;
}


/* a provider that is not configured here, and never was, is left out */

static void
ngx_http_conduit_counts_load(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_counts_t *counts, u_char *p, u_char *last)
{
    size_t                             len;
    uint32_t                           numbers[3];
    ngx_uint_t                         i;
    ngx_http_conduit_sh_t             *sh;
    ngx_http_conduit_load_t           *load;
    ngx_http_conduit_provider_node_t  *pn;

    sh = cluster->cdmcf->zone.sh;
    p = ngx_http_conduit_counts_numbers(p, last, numbers, 3);

    if (p == NULL || counts->nloads == NGX_HTTP_CONDUIT_PROVIDERS) {
        return;
    }

    len = last - p;

    for (i = 0; i < sh->nproviders; i++) {
        pn = &sh->providers[i];

        if (pn->len != len || ngx_memcmp(pn->name, p, len) != 0) {
            continue;
        }

        load = &counts->loads[counts->nloads++];

        load->index = i;
        load->running = numbers[0];
        load->waiting = numbers[1];
        load->starts = numbers[2];

        return;
    }
}


/* returns what follows them, which is not empty, or NULL */

static u_char *
ngx_http_conduit_counts_numbers(u_char *p, u_char *last, uint32_t *numbers,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        numbers[i] = 0;

        for ( /* void */ ; p < last && *p >= '0' && *p <= '9'; p++) {
            numbers[i] = numbers[i] * 10 + (*p - '0');
        }

        if (p == last || *p++ != ' ') {
            return NULL;
        }
    }

    return p < last ? p : NULL;
}
