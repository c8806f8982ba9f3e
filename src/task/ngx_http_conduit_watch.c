
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_wakeup.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_watch.h>


#define NGX_HTTP_CONDUIT_TAKE  64


/* all watchers of one task in this process */

typedef struct {
    ngx_rbtree_node_t                 node;        /* key: first of the id */
    ngx_queue_t                       watchers;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
} ngx_http_conduit_watched_t;


static void ngx_http_conduit_watched_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_http_conduit_watched_t *ngx_http_conduit_watched_find(
    ngx_http_conduit_engine_t *engine, u_char *id);
static ngx_http_conduit_watched_t *ngx_http_conduit_watched_create(
    ngx_http_conduit_engine_t *engine, u_char *id);
static void ngx_http_conduit_watched_mark(ngx_http_conduit_engine_t *engine,
    u_char *id, ngx_uint_t on);
static void ngx_http_conduit_watch_due(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_watch_queue(ngx_http_conduit_engine_t *engine,
    ngx_queue_t *watchers);
static void ngx_http_conduit_watch_all(ngx_http_conduit_engine_t *engine);
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

    ngx_rbtree_init(&engine->watchers, &engine->sentinel,
                    ngx_http_conduit_watched_insert);
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
    ngx_http_conduit_watched_t  *watched;

    watched = ngx_http_conduit_watched_find(cdmcf->engine, w->id);

    if (watched == NULL) {
        watched = ngx_http_conduit_watched_create(cdmcf->engine, w->id);

        if (watched == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_queue_insert_tail(&watched->watchers, &w->queue);

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

    w->added = 1;
    w->due = 0;
    ngx_memzero(w->id, NGX_HTTP_CONDUIT_ID_LEN);

    return NGX_OK;
}


void
ngx_http_conduit_watch_del(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_engine_t   *engine;
    ngx_http_conduit_watched_t  *watched;

    if (!w->added) {
        return;
    }

    engine = cdmcf->engine;

    ngx_queue_remove(&w->queue);
    w->added = 0;

    if (w->due) {
        ngx_queue_remove(&w->fired);
        w->due = 0;
    }

    watched = ngx_http_conduit_watched_find(engine, w->id);

    if (watched && ngx_queue_empty(&watched->watchers)) {
        ngx_http_conduit_watched_mark(engine, w->id, 0);
        ngx_rbtree_delete(&engine->watchers, &watched->node);
        ngx_free(watched);
    }
}


void
ngx_http_conduit_watch_notify(ngx_http_conduit_main_conf_t *cdmcf, u_char *id)
{
    ngx_http_conduit_watched_t  *watched;

    watched = ngx_http_conduit_watched_find(cdmcf->engine, id);

    if (watched) {
        ngx_http_conduit_watch_queue(cdmcf->engine, &watched->watchers);
    }
}


void
ngx_http_conduit_watch_notify_claims(ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_watch_queue(cdmcf->engine, &cdmcf->engine->claims);

    if (ngx_queue_empty(&cdmcf->engine->claims)) {
        ngx_http_conduit_claims_mark(cdmcf->engine, 0);
    }
}


static void
ngx_http_conduit_watched_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_int_t            rc;
    ngx_rbtree_node_t  **p;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            rc = ngx_memcmp(((ngx_http_conduit_watched_t *) node)->id,
                            ((ngx_http_conduit_watched_t *) temp)->id,
                            NGX_HTTP_CONDUIT_ID_LEN);
            p = (rc < 0) ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_http_conduit_watched_t *
ngx_http_conduit_watched_find(ngx_http_conduit_engine_t *engine, u_char *id)
{
    ngx_int_t                    rc;
    ngx_rbtree_key_t             key;
    ngx_rbtree_node_t           *node;
    ngx_http_conduit_watched_t  *watched;

    ngx_memcpy(&key, id, sizeof(ngx_rbtree_key_t));

    node = engine->watchers.root;

    while (node != &engine->sentinel) {

        if (key != node->key) {
            node = (key < node->key) ? node->left : node->right;
            continue;
        }

        watched = (ngx_http_conduit_watched_t *) node;

        rc = ngx_memcmp(id, watched->id, NGX_HTTP_CONDUIT_ID_LEN);

        if (rc == 0) {
            return watched;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static ngx_http_conduit_watched_t *
ngx_http_conduit_watched_create(ngx_http_conduit_engine_t *engine, u_char *id)
{
    ngx_http_conduit_watched_t  *watched;

    watched = ngx_alloc(sizeof(ngx_http_conduit_watched_t), engine->log);
    if (watched == NULL) {
        return NULL;
    }

    ngx_queue_init(&watched->watchers);
    ngx_memcpy(watched->id, id, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_memcpy(&watched->node.key, id, sizeof(ngx_rbtree_key_t));

    ngx_rbtree_insert(&engine->watchers, &watched->node);

    ngx_http_conduit_watched_mark(engine, id, 1);

    return watched;
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
ngx_http_conduit_watch_due(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_watcher_t *w)
{
    if (w->due) {
        return;
    }

    w->due = 1;
    ngx_queue_insert_tail(&engine->fired, &w->fired);

    ngx_post_event(&engine->fire, &ngx_posted_events);
}


static void
ngx_http_conduit_watch_all(ngx_http_conduit_engine_t *engine)
{
    ngx_rbtree_node_t           *node;
    ngx_http_conduit_watched_t  *watched;

    if (engine->watchers.root == &engine->sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(engine->watchers.root, &engine->sentinel);
         node;
         node = ngx_rbtree_next(&engine->watchers, node))
    {
        watched = (ngx_http_conduit_watched_t *) node;
        ngx_http_conduit_watch_queue(engine, &watched->watchers);
    }
}


static void
ngx_http_conduit_watch_fire(ngx_event_t *ev)
{
    ngx_connection_t            *c = ev->data;
    ngx_http_conduit_engine_t   *engine = c->data;

    ngx_queue_t                 *q;
    ngx_http_conduit_watcher_t  *w;

    while (!ngx_queue_empty(&engine->fired)) {
        q = ngx_queue_head(&engine->fired);
        w = ngx_queue_data(q, ngx_http_conduit_watcher_t, fired);

        ngx_queue_remove(q);
        w->due = 0;

        w->handler(w);
    }
}


void
ngx_http_conduit_news_task_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news)
{
    ngx_uint_t               i;
    ngx_http_conduit_mask_t  mask;

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS / 64; i++) {
        mask.bits[i] = node->watchers.bits[i] | node->key->watchers.bits[i];
    }

    if (ngx_http_conduit_cell_ring_locked(&engine->cdmcf->zone, &mask,
                                          node->id, &news->wake))
    {
        news->here = 1;
    }
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
        }

        if (all) {
            ngx_http_conduit_watch_all(engine);
        }

        if (claims) {
            ngx_http_conduit_watch_notify_claims(engine->cdmcf);
        }

    } while (n == NGX_HTTP_CONDUIT_TAKE);
}
