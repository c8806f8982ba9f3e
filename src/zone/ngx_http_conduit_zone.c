
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


/* the part of the zone that new tasks leave to those that are there */
#define NGX_HTTP_CONDUIT_RESERVE    16

/* 2^this is more than there can be tasks */
#define NGX_HTTP_CONDUIT_ZONE_BINS  32


static ngx_int_t ngx_http_conduit_zone_inherit(ngx_shm_zone_t *shm_zone,
    ngx_http_conduit_zone_t *zone);
static ngx_int_t ngx_http_conduit_zone_tables(ngx_http_conduit_zone_t *zone,
    size_t size);
static void *ngx_http_conduit_zone_table(ngx_http_conduit_zone_t *zone,
    uint32_t mask);
static uint32_t ngx_http_conduit_zone_mask(size_t n);
static void ngx_http_conduit_zone_repair_locked(ngx_http_conduit_zone_t *zone);
static void ngx_http_conduit_zone_empty_locked(ngx_http_conduit_zone_t *zone);
static void ngx_http_conduit_zone_relink_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_zone_orders_locked(
    ngx_http_conduit_zone_t *zone);
static void ngx_http_conduit_zone_order_locked(ngx_queue_t *changes);
static ngx_queue_t *ngx_http_conduit_zone_merge_locked(ngx_queue_t *one,
    ngx_queue_t *two);


_Static_assert(sizeof(ngx_http_conduit_task_node_t) <= 512,
               "a task node has to fit a slab chunk of 512 bytes");
_Static_assert(sizeof(ngx_http_conduit_idem_node_t) <= 256,
               "a kept reply has to fit a slab chunk of 256 bytes");


ngx_int_t
ngx_http_conduit_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_conduit_zone_t  *zone = shm_zone->data;

    size_t                    len;
    ngx_http_conduit_sh_t    *sh;

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone->cell = NGX_HTTP_CONDUIT_NOBODY;

    if (data || shm_zone->shm.exists) {
        return ngx_http_conduit_zone_inherit(shm_zone, zone);
    }

    sh = ngx_slab_calloc(zone->shpool, sizeof(ngx_http_conduit_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    sh->layout = NGX_HTTP_CONDUIT_LAYOUT;
    sh->node_size = sizeof(ngx_http_conduit_task_node_t);

    ngx_queue_init(&sh->tasks);
    ngx_queue_init(&sh->idem_age);
    ngx_queue_init(&sh->sessions);
    ngx_queue_init(&sh->resting);
    ngx_queue_init(&sh->ended);
    ngx_queue_init(&sh->hooks);
    ngx_queue_init(&sh->origins);
    ngx_queue_init(&sh->turns);
    ngx_rbtree_init(&sh->hook_due, &sh->hook_sentinel,
                    ngx_rbtree_insert_timer_value);
    ngx_rbtree_init(&sh->due, &sh->sentinel, ngx_rbtree_insert_timer_value);

    zone->sh = sh;

    if (ngx_http_conduit_zone_tables(zone, shm_zone->shm.size) != NGX_OK) {
        return NGX_ERROR;
    }

    len = sizeof(" in conduit_zone \"\"") + shm_zone->shm.name.len;

    zone->shpool->log_ctx = ngx_slab_alloc(zone->shpool, len);
    if (zone->shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(zone->shpool->log_ctx, " in conduit_zone \"%V\"%Z",
                &shm_zone->shm.name);

    /* a full zone is told to clients and counted, not logged each time */

    zone->shpool->log_nomem = 0;

    zone->shpool->data = sh;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_zone_inherit(ngx_shm_zone_t *shm_zone,
    ngx_http_conduit_zone_t *zone)
{
    zone->sh = zone->shpool->data;

    if (zone->sh == NULL
        || zone->sh->layout != NGX_HTTP_CONDUIT_LAYOUT
        || zone->sh->node_size != sizeof(ngx_http_conduit_task_node_t))
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "conduit_zone \"%V\" was made by another version of "
                      "the module: restart nginx instead of reloading it",
                      &shm_zone->shm.name);
        return NGX_ERROR;
    }

    /* the module may have been loaded at another address */

    zone->sh->due.insert = ngx_rbtree_insert_timer_value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_zone_tables(ngx_http_conduit_zone_t *zone, size_t size)
{
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    /* a task takes two kilobytes: on an average, one node in a bucket */

    sh->task_mask = ngx_http_conduit_zone_mask(size / 2048);
    sh->hook_mask = ngx_http_conduit_zone_mask(size / 2048);
    sh->idem_mask = ngx_http_conduit_zone_mask(size / 8192);
    sh->key_mask = ngx_http_conduit_zone_mask(size / 32768);
    sh->session_mask = ngx_http_conduit_zone_mask(size / 8192);

    sh->task_hash = ngx_http_conduit_zone_table(zone, sh->task_mask);
    sh->idem_hash = ngx_http_conduit_zone_table(zone, sh->idem_mask);
    sh->key_hash = ngx_http_conduit_zone_table(zone, sh->key_mask);
    sh->hook_hash = ngx_http_conduit_zone_table(zone, sh->hook_mask);
    sh->origin_hash = ngx_http_conduit_zone_table(zone, sh->key_mask);
    sh->session_hash = ngx_http_conduit_zone_table(zone, sh->session_mask);

    if (sh->task_hash == NULL || sh->idem_hash == NULL || sh->key_hash == NULL
        || sh->hook_hash == NULL || sh->origin_hash == NULL
        || sh->session_hash == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void *
ngx_http_conduit_zone_table(ngx_http_conduit_zone_t *zone, uint32_t mask)
{
    return ngx_slab_calloc(zone->shpool, (mask + 1) * sizeof(void *));
}


static uint32_t
ngx_http_conduit_zone_mask(size_t n)
{
    uint32_t  mask;

    for (mask = 63; mask < n && mask < 0x3fffff; mask = mask * 2 + 1) {
        /* void */
    }

    return mask;
}


void
ngx_http_conduit_zone_lock(ngx_http_conduit_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->sh->dirty) {
        ngx_http_conduit_zone_repair_locked(zone);
    }

    zone->sh->dirty = 1;
    ngx_memory_barrier();
}


void
ngx_http_conduit_zone_unlock(ngx_http_conduit_zone_t *zone)
{
    ngx_memory_barrier();
    zone->sh->dirty = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * A process has died with the lock in its hands.  Whatever it was linking,
 * the forward lists of tasks and of kept replies hold complete nodes only: all
 * else is made again from them.  A node that it had not linked yet, or had
 * just unlinked, is lost to the zone together with its texts, never to a
 * client: it had not been confirmed, or had been forgotten.
 */

static void
ngx_http_conduit_zone_repair_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_queue_t                   *q, *prev;
    ngx_http_conduit_task_node_t  *node;

    ngx_http_conduit_undo_locked(zone);
    ngx_http_conduit_zone_empty_locked(zone);

    prev = &zone->sh->tasks;

    for (q = prev->next; q != &zone->sh->tasks; q = q->next) {
        q->prev = prev;
        prev = q;

        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);
        ngx_http_conduit_zone_relink_locked(zone, node);
    }

    zone->sh->tasks.prev = prev;

    ngx_http_conduit_zone_orders_locked(zone);
    ngx_http_conduit_hook_repair_locked(zone);
    ngx_http_conduit_idem_relink_locked(zone);
    ngx_http_conduit_session_repair_locked(zone);

    zone->sh->dirty = 0;

    (void) ngx_atomic_fetch_add(&zone->sh->counters.repairs, 1);
}


static void
ngx_http_conduit_zone_empty_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                    i;
    ngx_http_conduit_sh_t        *sh;
    ngx_http_conduit_lane_t      *lane;
    ngx_http_conduit_key_node_t  *key;

    sh = zone->sh;

    ngx_memzero(sh->task_hash, (sh->task_mask + 1) * sizeof(void *));
    ngx_rbtree_init(&sh->due, &sh->sentinel, ngx_rbtree_insert_timer_value);

    for (i = 0; i <= sh->key_mask; i++) {
        for (key = sh->key_hash[i]; key; key = key->next) {
            conduit_treap_init(&key->tasks);
            ngx_queue_init(&key->changes);
            key->live = 0;
            key->ntasks = 0;
        }
    }

    for (i = 0; i < sh->nproviders; i++) {
        sh->providers[i].running = 0;
        sh->providers[i].waiting = 0;

        for (lane = sh->providers[i].lanes; lane; lane = lane->next) {
            conduit_rank_init(&lane->queue);
        }
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS; i++) {
        ngx_queue_init(&sh->cells[i].owned);
        sh->cells[i].tickets = 0;
    }

    sh->ntasks = 0;
    sh->live = 0;
    sh->promised = 0;
    ngx_memzero(sh->status, sizeof(sh->status));
}


static void
ngx_http_conduit_zone_relink_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_uint_t              n, slot, queued;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    ngx_memcpy(&n, node->id, sizeof(uint32_t));
    n &= sh->task_mask;

    node->next = sh->task_hash[n];
    sh->task_hash[n] = node;

    node->key->ntasks++;
    sh->ntasks++;

    ngx_queue_init(&node->deliveries);
    node->owed = 0;

    if (node->status <= 1 && !node->remote) {
        node->key->live++;
        sh->live++;
        ngx_http_conduit_hook_promise_locked(zone, node, 1);
    }

    if (!node->draft) {
        ngx_http_conduit_node_place_locked(node);
        ngx_queue_insert_tail(&node->key->changes, &node->changed);

        if (!node->remote) {
            sh->status[node->status]++;
        }
    }

    if (node->ticket && node->committer == NGX_HTTP_CONDUIT_NOBODY) {
        sh->orphans = 1;

    } else if (node->ticket) {
        sh->cells[node->committer].tickets++;
    }

    slot = node->slot;
    node->slot = 0;
    ngx_http_conduit_node_slot_locked(zone, node, slot);

    queued = (node->step == NGX_HTTP_CONDUIT_STEP_QUEUED
              && node->status <= 1 && !node->remote);
    node->queued = 0;

    if (queued) {
        ngx_http_conduit_lane_push_locked(zone, node);
    }

    /* what a dead owner performed is due when its cell is reaped */

    if (node->owner != NGX_HTTP_CONDUIT_NOBODY) {
        ngx_queue_insert_tail(&sh->cells[node->owner].owned, &node->owned);
    }

    node->timed = 0;
    ngx_http_conduit_node_due_locked(zone, node);
}


/*
 * Documents grow on their way to the end, and the end is told by webhooks.  New
 * tasks are refused before that could fail, else a full zone would not be able
 * to get any emptier.
 */

ngx_uint_t
ngx_http_conduit_zone_tight_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_slab_pool_t  *shpool;

    shpool = zone->shpool;

    return shpool->pfree < (ngx_uint_t) (shpool->last - shpool->pages)
                           / NGX_HTTP_CONDUIT_RESERVE
                           + zone->sh->promised / ngx_pagesize;
}


static void
ngx_http_conduit_zone_orders_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                    i;
    ngx_http_conduit_key_node_t  *key;

    for (i = 0; i <= zone->sh->key_mask; i++) {
        for (key = zone->sh->key_hash[i]; key; key = key->next) {
            ngx_http_conduit_zone_order_locked(&key->changes);
        }
    }
}


/*
 * Tasks lie in the order in which they came to be, keys tell them in that of
 * their changes.  A merge sort: bins[i] is a list of 2^i tasks, or NULL.
 */

static void
ngx_http_conduit_zone_order_locked(ngx_queue_t *changes)
{
    ngx_uint_t    i;
    ngx_queue_t  *q, *next, *list, *bins[NGX_HTTP_CONDUIT_ZONE_BINS];

    ngx_memzero(bins, sizeof(bins));

    for (q = ngx_queue_head(changes);
         q != ngx_queue_sentinel(changes);
         q = next)
    {
        next = ngx_queue_next(q);

        list = q;
        list->next = NULL;

        for (i = 0; i < NGX_HTTP_CONDUIT_ZONE_BINS - 1 && bins[i]; i++) {
            list = ngx_http_conduit_zone_merge_locked(bins[i], list);
            bins[i] = NULL;
        }

        bins[i] = ngx_http_conduit_zone_merge_locked(bins[i], list);
    }

    list = NULL;

    for (i = 0; i < NGX_HTTP_CONDUIT_ZONE_BINS; i++) {
        list = ngx_http_conduit_zone_merge_locked(bins[i], list);
    }

    ngx_queue_init(changes);

    for (q = list; q; q = next) {
        next = q->next;
        ngx_queue_insert_tail(changes, q);
    }
}


/* two lists without their prev, either of which may be NULL */

static ngx_queue_t *
ngx_http_conduit_zone_merge_locked(ngx_queue_t *one, ngx_queue_t *two)
{
    ngx_queue_t                   *list, **last;
    ngx_http_conduit_task_node_t  *a, *b;

    last = &list;

    while (one && two) {
        a = ngx_queue_data(one, ngx_http_conduit_task_node_t, changed);
        b = ngx_queue_data(two, ngx_http_conduit_task_node_t, changed);

        if (a->stamp <= b->stamp) {
            *last = one;
            last = &one->next;
            one = one->next;

        } else {
            *last = two;
            last = &two->next;
            two = two->next;
        }
    }

    *last = one ? one : two;

    return list;
}
