
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook_queue.h>


/*
 * A process has died with the lock in its hands: all orders of deliveries are
 * made again from the two forward lists.  The tasks are in order by now.
 */


static void ngx_http_conduit_hook_empty_locked(ngx_http_conduit_zone_t *zone);
static void ngx_http_conduit_hook_origins_locked(
    ngx_http_conduit_zone_t *zone);
static void ngx_http_conduit_hook_relink_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook);
static void ngx_http_conduit_hook_resume_locked(
    ngx_http_conduit_zone_t *zone);
static void ngx_http_conduit_hook_orphans_locked(
    ngx_http_conduit_zone_t *zone);
static void ngx_http_conduit_hook_recount_locked(
    ngx_http_conduit_key_node_t *key);


void
ngx_http_conduit_hook_repair_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_queue_t                   *q, *prev;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_hook_node_t  *hook;

    sh = zone->sh;

    ngx_http_conduit_hook_empty_locked(zone);
    ngx_http_conduit_hook_origins_locked(zone);

    prev = &sh->hooks;

    for (q = prev->next; q != &sh->hooks; q = q->next) {
        q->prev = prev;
        prev = q;

        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, hooks);
        ngx_http_conduit_hook_relink_locked(zone, hook);
    }

    sh->hooks.prev = prev;

    ngx_http_conduit_hook_resume_locked(zone);
    ngx_http_conduit_hook_orphans_locked(zone);
}


static void
ngx_http_conduit_hook_empty_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                    i;
    ngx_http_conduit_sh_t        *sh;
    ngx_http_conduit_key_node_t  *key;

    sh = zone->sh;

    ngx_memzero(sh->hook_hash, (sh->hook_mask + 1) * sizeof(void *));
    ngx_memzero(sh->origin_hash, (sh->key_mask + 1) * sizeof(void *));
    ngx_queue_init(&sh->turns);
    ngx_rbtree_init(&sh->hook_due, &sh->hook_sentinel,
                    ngx_rbtree_insert_timer_value);

    sh->nhooks = 0;
    sh->hooks_owed = 0;
    sh->hooks_running = 0;
    sh->norigins = 0;

    for (i = 0; i <= sh->key_mask; i++) {
        for (key = sh->key_hash[i]; key; key = key->next) {
            ngx_queue_init(&key->hooks);
            ngx_queue_init(&key->origins);
            key->listed = 0;
            key->timed = 0;
            key->running = 0;
            key->nhooks = 0;

            ngx_http_conduit_hook_recount_locked(key);
        }
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS; i++) {
        ngx_queue_init(&sh->cells[i].hooks);
    }
}


static void
ngx_http_conduit_hook_recount_locked(ngx_http_conduit_key_node_t *key)
{
    ngx_uint_t  i;

    if (key->window == NULL) {
        return;
    }

    key->window->total = 0;

    for (i = 0; i < CONDUIT_WINDOW_SLOTS; i++) {
        key->window->total += key->window->counts[i];
    }
}


static void
ngx_http_conduit_hook_origins_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_queue_t                *q, *prev;
    ngx_http_conduit_origin_t  *origin;

    prev = &zone->sh->origins;

    for (q = prev->next; q != &zone->sh->origins; q = q->next) {
        q->prev = prev;
        prev = q;

        origin = ngx_queue_data(q, ngx_http_conduit_origin_t, queue);

        ngx_rbtree_init(&origin->ready, &origin->sentinel,
                        ngx_rbtree_insert_value);

        origin->waiting = 0;
        origin->running = 0;
        origin->refs = 0;
        origin->listed = 0;
        origin->timed = 0;

        ngx_http_conduit_origin_link_locked(zone, origin);
    }

    zone->sh->origins.prev = prev;
}


static void
ngx_http_conduit_hook_relink_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    uint32_t                n;
    uint64_t                lease;
    ngx_uint_t              cell;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    n = ngx_http_conduit_hook_hash(hook->id) & sh->hook_mask;

    hook->next = sh->hook_hash[n];
    sh->hook_hash[n] = hook;

    ngx_queue_insert_tail(&hook->key->hooks, &hook->siblings);
    hook->key->nhooks++;
    hook->origin->refs++;
    sh->nhooks++;

    if (hook->task) {
        ngx_queue_insert_tail(&hook->task->deliveries, &hook->queue);
    }

    cell = hook->owner;
    hook->owner = NGX_HTTP_CONDUIT_NOBODY;
    hook->expiring = 0;

    if (hook->state != NGX_HTTP_CONDUIT_HOOK_PENDING) {
        hook->place = NGX_HTTP_CONDUIT_HOOK_ENDED;

        if (hook->task == NULL) {
            hook->expiring = 1;
            ngx_http_conduit_hook_due_locked(zone, &hook->u.tree,
                                             hook->next_at,
                                             NGX_HTTP_CONDUIT_DUE_HOOK);
        }

        return;
    }

    hook->place = NGX_HTTP_CONDUIT_HOOK_BEHIND;

    if (!ngx_http_conduit_hook_handed(hook)) {
        sh->hooks_owed++;
    }

    if (hook->task) {
        hook->task->owed++;
    }

    /*
     * What a dead owner tried goes on when its cell is reaped; one that lives
     * comes back with the lease it has.
     */

    if (cell != NGX_HTTP_CONDUIT_NOBODY) {
        lease = hook->lease;
        ngx_http_conduit_hook_own_locked(zone, hook, cell);
        hook->lease = lease;
    }
}


/* the first of each task that waits, unless one of it is on its way */

static void
ngx_http_conduit_hook_resume_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    for (q = ngx_queue_head(&zone->sh->hooks);
         q != ngx_queue_sentinel(&zone->sh->hooks);
         q = ngx_queue_next(q))
    {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, hooks);

        if (hook->place != NGX_HTTP_CONDUIT_HOOK_BEHIND) {
            continue;
        }

        if (hook->task == NULL) {
            ngx_http_conduit_hook_place_locked(zone, hook);

        } else {
            ngx_http_conduit_hook_next_locked(zone, hook->task);
        }
    }
}


/* origins that a dead process was about to use, or to free */

static void
ngx_http_conduit_hook_orphans_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_queue_t                *q;
    ngx_http_conduit_origin_t  *origin;

    q = ngx_queue_head(&zone->sh->origins);

    while (q != ngx_queue_sentinel(&zone->sh->origins)) {
        origin = ngx_queue_data(q, ngx_http_conduit_origin_t, queue);
        q = ngx_queue_next(q);

        if (origin->refs == 0) {
            ngx_http_conduit_origin_free_locked(zone, origin);
        }
    }
}
