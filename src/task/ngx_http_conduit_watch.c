
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_wakeup.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_watch.h>


#define NGX_HTTP_CONDUIT_TAKE  64


/* all watchers of one key's tasks in this process */

typedef struct {
    ngx_rbtree_node_t                 node;        /* key: its address */
    ngx_queue_t                       watchers;
} ngx_http_conduit_watched_key_t;


static void ngx_http_conduit_watch_notify(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id);
static void ngx_http_conduit_watch_notify_claims(
    ngx_http_conduit_main_conf_t *cdmcf);
static ngx_http_conduit_watcher_t *ngx_http_conduit_watched_find(
    ngx_http_conduit_engine_t *engine, u_char *id);
static void ngx_http_conduit_watched_first(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_watched_mark(ngx_http_conduit_engine_t *engine,
    u_char *id, ngx_uint_t on);
static ngx_http_conduit_watched_key_t *ngx_http_conduit_watched_key_find(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_key_node_t *key);
static void ngx_http_conduit_watched_key_mark(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_key_node_t *key,
    ngx_uint_t on);
static void ngx_http_conduit_watch_del_key(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_watch_notify_key(
    ngx_http_conduit_engine_t *engine, u_char *id);
static void ngx_http_conduit_watch_due(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_watch_ring(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *first);
static void ngx_http_conduit_watch_queue(ngx_http_conduit_engine_t *engine,
    ngx_queue_t *watchers);
static void ngx_http_conduit_watch_all(ngx_http_conduit_engine_t *engine);
static void ngx_http_conduit_watch_each(void *data,
    ngx_http_conduit_entry_t *entry);
static void ngx_http_conduit_watch_fire(ngx_event_t *ev);
static void ngx_http_conduit_claims_mark(ngx_http_conduit_engine_t *engine,
    ngx_uint_t on);


ngx_int_t
ngx_http_conduit_watch_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_event_t                *ev;
    ngx_http_conduit_engine_t  *engine;

    engine = cdmcf->engine;

    if (ngx_http_conduit_index_init(&engine->watched, cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&engine->keys, &engine->keys_sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&engine->claims);
    ngx_queue_init(&engine->fired);

    ev = &engine->fire;

    ev->data = &engine->dummy;
    ev->handler = ngx_http_conduit_watch_fire;
    ev->log = cycle->log;

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_watch_add(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_engine_t   *engine;
    ngx_http_conduit_watcher_t  *first;

    engine = cdmcf->engine;

    w->first = 0;

    first = ngx_http_conduit_watched_find(engine, w->id);

    if (first) {
        ngx_queue_insert_tail(&first->queue, &w->queue);

    } else {
        ngx_queue_init(&w->queue);
        ngx_http_conduit_watched_first(engine, w);
        ngx_http_conduit_watched_mark(engine, w->id, 1);
    }

    w->key = NULL;
    w->added = 1;
    w->due = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_watch_claims(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_engine_t  *engine;

    engine = cdmcf->engine;

    if (ngx_queue_empty(&engine->claims)) {
        ngx_http_conduit_claims_mark(engine, 1);
    }

    ngx_queue_insert_tail(&engine->claims, &w->queue);

    w->key = NULL;
    w->first = 0;
    w->added = 1;
    w->due = 0;
    ngx_memzero(w->id, NGX_HTTP_CONDUIT_ID_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_watch_key(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w, ngx_http_conduit_key_node_t *key)
{
    ngx_http_conduit_engine_t       *engine;
    ngx_http_conduit_watched_key_t  *watched;

    engine = cdmcf->engine;

    watched = ngx_http_conduit_watched_key_find(engine, key);

    if (watched == NULL) {
        watched = ngx_alloc(sizeof(ngx_http_conduit_watched_key_t),
                            engine->log);
        if (watched == NULL) {
            return NGX_ERROR;
        }

        ngx_queue_init(&watched->watchers);
        watched->node.key = (ngx_rbtree_key_t) key;

        ngx_rbtree_insert(&engine->keys, &watched->node);

        ngx_http_conduit_watched_key_mark(engine, key, 1);
    }

    ngx_queue_insert_tail(&watched->watchers, &w->queue);

    w->key = key;
    w->first = 0;
    w->added = 1;
    w->due = 0;

    return NGX_OK;
}


void
ngx_http_conduit_watch_del(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w)
{
    ngx_queue_t                 *next;
    ngx_http_conduit_engine_t   *engine;

    if (!w->added) {
        return;
    }

    engine = cdmcf->engine;
    next = ngx_queue_next(&w->queue);

    ngx_queue_remove(&w->queue);
    w->added = 0;

    if (w->due) {
        ngx_queue_remove(&w->fired);
        w->due = 0;
    }

    if (w->key) {
        ngx_http_conduit_watch_del_key(engine, w);
        return;
    }

    if (!w->first) {
        return;
    }

    ngx_http_conduit_index_remove(&engine->watched, &w->entry);

    if (next == &w->queue) {
        ngx_http_conduit_watched_mark(engine, w->id, 0);
        return;
    }

    ngx_http_conduit_watched_first(engine,
                   ngx_queue_data(next, ngx_http_conduit_watcher_t, queue));
}


static void
ngx_http_conduit_watch_notify(ngx_http_conduit_main_conf_t *cdmcf, u_char *id)
{
    ngx_http_conduit_watcher_t  *first;

    first = ngx_http_conduit_watched_find(cdmcf->engine, id);

    if (first) {
        ngx_http_conduit_watch_ring(cdmcf->engine, first);
    }

    if (cdmcf->engine->keys.root != &cdmcf->engine->keys_sentinel) {
        ngx_http_conduit_watch_notify_key(cdmcf->engine, id);
    }
}


static void
ngx_http_conduit_watch_notify_claims(ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_watch_queue(cdmcf->engine, &cdmcf->engine->claims);

    if (ngx_queue_empty(&cdmcf->engine->claims)) {
        ngx_http_conduit_claims_mark(cdmcf->engine, 0);
    }
}


static ngx_http_conduit_watcher_t *
ngx_http_conduit_watched_find(ngx_http_conduit_engine_t *engine, u_char *id)
{
    return (ngx_http_conduit_watcher_t *)
               ngx_http_conduit_index_find(&engine->watched, id);
}


/* the watchers of a task are a ring, which the index knows by one of them */

static void
ngx_http_conduit_watched_first(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w)
{
    ngx_memcpy(w->entry.id, w->id, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_http_conduit_index_add(&engine->watched, &w->entry);

    w->first = 1;
}


/* tells other processes, by the task's node, whether there are watchers here */

static void
ngx_http_conduit_watched_mark(ngx_http_conduit_engine_t *engine, u_char *id,
    ngx_uint_t on)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    if (node && on) {
        ngx_http_conduit_mask_set(&node->watchers, zone->cell);

    } else if (node) {
        ngx_http_conduit_mask_clear(&node->watchers, zone->cell);
    }

    ngx_http_conduit_zone_unlock(zone);
}


static ngx_http_conduit_watched_key_t *
ngx_http_conduit_watched_key_find(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_key_node_t *key)
{
    ngx_rbtree_key_t    value;
    ngx_rbtree_node_t  *node;

    value = (ngx_rbtree_key_t) key;
    node = engine->keys.root;

    while (node != &engine->keys_sentinel) {

        if (value == node->key) {
            return (ngx_http_conduit_watched_key_t *) node;
        }

        node = (value < node->key) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_conduit_watched_key_mark(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_key_node_t *key, ngx_uint_t on)
{
    ngx_http_conduit_zone_t  *zone;

    zone = &engine->cdmcf->zone;

    if (zone->cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    ngx_http_conduit_zone_lock(zone);

    if (on) {
        ngx_http_conduit_mask_set(&key->watchers, zone->cell);

    } else {
        ngx_http_conduit_mask_clear(&key->watchers, zone->cell);
    }

    ngx_http_conduit_zone_unlock(zone);
}


static void
ngx_http_conduit_watch_del_key(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_watched_key_t  *watched;

    watched = ngx_http_conduit_watched_key_find(engine, w->key);

    if (watched && ngx_queue_empty(&watched->watchers)) {
        ngx_http_conduit_watched_key_mark(engine, w->key, 0);
        ngx_rbtree_delete(&engine->keys, &watched->node);
        ngx_free(watched);
    }

    w->key = NULL;
}


/* a task without a node has gone, which is nothing to tell */

static void
ngx_http_conduit_watch_notify_key(ngx_http_conduit_engine_t *engine,
    u_char *id)
{
    ngx_http_conduit_zone_t         *zone;
    ngx_http_conduit_key_node_t     *key;
    ngx_http_conduit_task_node_t    *node;
    ngx_http_conduit_watched_key_t  *watched;

    zone = &engine->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);
    key = node ? node->key : NULL;

    ngx_http_conduit_zone_unlock(zone);

    watched = key ? ngx_http_conduit_watched_key_find(engine, key) : NULL;

    if (watched) {
        ngx_http_conduit_watch_queue(engine, &watched->watchers);
    }
}


static void
ngx_http_conduit_claims_mark(ngx_http_conduit_engine_t *engine, ngx_uint_t on)
{
    ngx_uint_t                i;
    ngx_http_conduit_zone_t  *zone;
    ngx_http_conduit_mask_t  *mask;

    zone = &engine->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    for (i = 0; i < zone->sh->nproviders; i++) {
        mask = &zone->sh->providers[i].claimers;

        if (on) {
            ngx_http_conduit_mask_set(mask, zone->cell);

        } else {
            ngx_http_conduit_mask_clear(mask, zone->cell);
        }
    }

    ngx_http_conduit_zone_unlock(zone);
}


static void
ngx_http_conduit_watch_queue(ngx_http_conduit_engine_t *engine,
    ngx_queue_t *watchers)
{
    ngx_queue_t  *q;

    for (q = ngx_queue_head(watchers);
         q != ngx_queue_sentinel(watchers);
         q = ngx_queue_next(q))
    {
        ngx_http_conduit_watch_due(engine,
                      ngx_queue_data(q, ngx_http_conduit_watcher_t, queue));
    }
}


static void
ngx_http_conduit_watch_ring(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *first)
{
    ngx_queue_t  *q;

    ngx_http_conduit_watch_due(engine, first);

    for (q = ngx_queue_next(&first->queue);
         q != &first->queue;
         q = ngx_queue_next(q))
    {
        ngx_http_conduit_watch_due(engine,
                      ngx_queue_data(q, ngx_http_conduit_watcher_t, queue));
    }
}


static void
ngx_http_conduit_watch_due(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w)
{
    if (w->due) {
        return;
    }

    w->due = 1;
    ngx_queue_insert_tail(&engine->fired, &w->fired);

    if (w->ahead) {
        w->ahead(w, 0);
    }

    ngx_post_event(&engine->fire, &ngx_posted_events);
}


static void
ngx_http_conduit_watch_all(ngx_http_conduit_engine_t *engine)
{
    ngx_rbtree_node_t               *node;
    ngx_http_conduit_watched_key_t  *key;

    ngx_http_conduit_index_walk(&engine->watched,
                                ngx_http_conduit_watch_each, engine);

    if (engine->keys.root != &engine->keys_sentinel) {

        for (node = ngx_rbtree_min(engine->keys.root, &engine->keys_sentinel);
             node;
             node = ngx_rbtree_next(&engine->keys, node))
        {
            key = (ngx_http_conduit_watched_key_t *) node;
            ngx_http_conduit_watch_queue(engine, &key->watchers);
        }
    }
}


static void
ngx_http_conduit_watch_each(void *data, ngx_http_conduit_entry_t *entry)
{
    ngx_http_conduit_watch_ring(data, (ngx_http_conduit_watcher_t *) entry);
}


static void
ngx_http_conduit_watch_fire(ngx_event_t *ev)
{
    ngx_connection_t            *c = ev->data;
    ngx_http_conduit_engine_t   *engine = c->data;

    ngx_queue_t                 *q;
    ngx_http_conduit_watcher_t  *w, *next;

    while (!ngx_queue_empty(&engine->fired)) {
        q = ngx_queue_head(&engine->fired);
        w = ngx_queue_data(q, ngx_http_conduit_watcher_t, fired);

        ngx_queue_remove(q);
        w->due = 0;

        q = ngx_queue_head(&engine->fired);

        if (q != ngx_queue_sentinel(&engine->fired)) {
            next = ngx_queue_data(q, ngx_http_conduit_watcher_t, fired);

            if (next->ahead) {
                next->ahead(next, 1);
            }
        }

        w->handler(w);
    }
}


void
ngx_http_conduit_news_task_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news)
{
    ngx_uint_t               i;
    ngx_http_conduit_mask_t  mask;

    ngx_http_conduit_node_changed_locked(&engine->cdmcf->zone, node);

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS / 64; i++) {
        mask.bits[i] = node->watchers.bits[i] | node->key->watchers.bits[i];
    }

    if (ngx_http_conduit_cell_ring_locked(&engine->cdmcf->zone, &mask,
                                          node->id, &news->wake))
    {
        news->here = 1;
        ngx_http_conduit_index_ahead_entry(&engine->watched, node->id);
    }

    if (!node->remote
        && (ngx_http_conduit_news_followed(node->followed)
            || ngx_http_conduit_news_followed(node->key->followed)))
    {
        news->far = 1;
    }
}


ngx_uint_t
ngx_http_conduit_news_followed(ngx_msec_t until)
{
    return until && (ngx_msec_int_t) (until - ngx_current_msec) > 0;
}


void
ngx_http_conduit_news_claims_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news)
{
    uint64_t                           bits;
    ngx_uint_t                         i, n;
    ngx_http_conduit_zone_t           *zone;
    ngx_http_conduit_cell_t           *cell;
    ngx_http_conduit_provider_node_t  *provider;

    zone = &engine->cdmcf->zone;
    provider = &zone->sh->providers[node->lane->provider];

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS / 64; i++) {

        for (bits = provider->claimers.bits[i]; bits; bits &= bits - 1) {
            n = i * 64 + __builtin_ctzll(bits);
            cell = &zone->sh->cells[n];

            if (n == zone->cell) {
                news->claims = 1;
                continue;
            }

            cell->claims = 1;

            if (cell->generation == zone->generation) {
                ngx_http_conduit_mask_set(&news->wake, cell->slot);
            }
        }
    }
}


void
ngx_http_conduit_news_spread(ngx_http_conduit_engine_t *engine, u_char *id,
    ngx_http_conduit_news_t *news)
{
    uint64_t    bits;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS / 64; i++) {
        for (bits = news->wake.bits[i]; bits; bits &= bits - 1) {
            ngx_conduit_wakeup_send(i * 64 + __builtin_ctzll(bits));
        }
    }

    if (news->here) {
        ngx_http_conduit_watch_notify(engine->cdmcf, id);
    }

    if (news->far && engine->announce) {
        engine->announce(engine->cdmcf, id);
    }

    if (news->claims) {
        ngx_http_conduit_watch_notify_claims(engine->cdmcf);
    }
}


void
ngx_http_conduit_news_read(void *data)
{
    ngx_http_conduit_engine_t  *engine = data;

    u_char      *id;
    u_char       ids[NGX_HTTP_CONDUIT_TAKE * NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t   i, n, all, claims;

    if (engine->cdmcf->zone.cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    do {
        n = ngx_http_conduit_cell_take(&engine->cdmcf->zone, ids,
                                       NGX_HTTP_CONDUIT_TAKE, &all, &claims);

        for (i = 0; i < n; i++) {
            id = ids + i * NGX_HTTP_CONDUIT_ID_LEN;

            ngx_http_conduit_watch_notify(engine->cdmcf, id);
            ngx_http_conduit_run_stop(engine->cdmcf, id);
            ngx_http_conduit_door_wake(engine, id);
        }

        if (all) {
            ngx_http_conduit_watch_all(engine);
        }

        if (claims) {
            ngx_http_conduit_watch_notify_claims(engine->cdmcf);
        }

    } while (n == NGX_HTTP_CONDUIT_TAKE);
}


void
ngx_http_conduit_watch_client(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    rev = r->connection->read;

    r->read_event_handler = ngx_http_test_reading;

    if (rev->pending_eof) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}
