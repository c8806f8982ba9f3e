
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


/* a process seen in this time needs no look at its pid */

#define NGX_HTTP_CONDUIT_CELL_BEAT     1200

/* a process that has not been seen for this long has lost its leases */

#define NGX_HTTP_CONDUIT_CELL_TIMEOUT  5000


static ngx_uint_t ngx_http_conduit_cell_dead(ngx_http_conduit_cell_t *cell,
    ngx_msec_t now);
static ngx_uint_t ngx_http_conduit_cell_disown_locked(
    ngx_http_conduit_zone_t *zone, ngx_uint_t n);
static void ngx_http_conduit_cell_unmark_locked(
    ngx_http_conduit_zone_t *zone, ngx_uint_t n);
static void ngx_http_conduit_cell_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_uint_t n);


ngx_int_t
ngx_http_conduit_cell_init(ngx_http_conduit_zone_t *zone, ngx_uint_t slot)
{
    u_char                   *ring;
    ngx_uint_t                i;
    ngx_http_conduit_cell_t  *cell;

    (void) ngx_http_conduit_cell_beat(zone);

    ngx_http_conduit_zone_lock(zone);

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS; i++) {
        if (zone->sh->cells[i].pid == 0) {
            break;
        }
    }

    if (i == NGX_HTTP_CONDUIT_CELLS) {
        ngx_http_conduit_zone_unlock(zone);
        return NGX_ERROR;
    }

    cell = &zone->sh->cells[i];

    ring = ngx_slab_alloc_locked(zone->shpool,
                                 NGX_HTTP_CONDUIT_RING
                                 * NGX_HTTP_CONDUIT_ID_LEN);
    if (ring == NULL) {
        ring = cell->small;
    }

    ngx_queue_init(&cell->owned);
    ngx_queue_init(&cell->hooks);

    cell->slot = slot;
    cell->generation = zone->generation;
    cell->seen = ngx_current_msec;
    cell->head = 0;
    cell->tail = 0;
    cell->tickets = 0;
    cell->overrun = 0;
    cell->claims = 0;
    cell->size = (ring == cell->small) ? NGX_HTTP_CONDUIT_RING_SMALL
                                       : NGX_HTTP_CONDUIT_RING;
    cell->ring = ring;
    cell->pid = ngx_pid;

    ngx_http_conduit_zone_unlock(zone);

    zone->cell = i;

    return NGX_OK;
}


void
ngx_http_conduit_cell_exit(ngx_http_conduit_zone_t *zone)
{
    if (zone->cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    ngx_http_conduit_zone_lock(zone);

    (void) ngx_http_conduit_cell_disown_locked(zone, zone->cell);
    ngx_http_conduit_cell_free_locked(zone, zone->cell);

    ngx_http_conduit_zone_unlock(zone);

    zone->cell = NGX_HTTP_CONDUIT_NOBODY;
}


ngx_uint_t
ngx_http_conduit_cell_beat(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                i, n;
    ngx_msec_t                now;
    ngx_http_conduit_cell_t  *cell;

    n = 0;
    now = ngx_current_msec;

    ngx_http_conduit_zone_lock(zone);

    if (zone->cell != NGX_HTTP_CONDUIT_NOBODY) {
        zone->sh->cells[zone->cell].seen = now;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS; i++) {
        cell = &zone->sh->cells[i];

        if (cell->pid == 0 || i == zone->cell) {
            continue;
        }

        if ((ngx_msec_int_t) (now - cell->seen) < NGX_HTTP_CONDUIT_CELL_BEAT) {
            continue;
        }

        if (ngx_http_conduit_cell_dead(cell, now)) {
            n += ngx_http_conduit_cell_disown_locked(zone, i);
            ngx_http_conduit_cell_free_locked(zone, i);
            continue;
        }

        /*
         * A process that hangs keeps its cell but not its work: if it comes
         * back, its changes bear a lease that is no longer current.
         */

        if ((ngx_msec_int_t) (now - cell->seen)
            > NGX_HTTP_CONDUIT_CELL_TIMEOUT)
        {
            n += ngx_http_conduit_cell_disown_locked(zone, i);
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return n;
}


static ngx_uint_t
ngx_http_conduit_cell_dead(ngx_http_conduit_cell_t *cell, ngx_msec_t now)
{
    /* the pid of a dead process may have been given to another one */

    if (kill(cell->pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
        return 1;
    }

    return (ngx_msec_int_t) (now - cell->seen)
           > 60 * NGX_HTTP_CONDUIT_CELL_TIMEOUT;
}


static ngx_uint_t
ngx_http_conduit_cell_disown_locked(ngx_http_conduit_zone_t *zone,
    ngx_uint_t n)
{
    ngx_uint_t                     tasks;
    ngx_queue_t                   *q;
    ngx_http_conduit_cell_t       *cell;
    ngx_http_conduit_task_node_t  *node;

    tasks = 0;
    cell = &zone->sh->cells[n];

    while (!ngx_queue_empty(&cell->owned)) {
        q = ngx_queue_head(&cell->owned);
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, owned);

        ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);

        if (node->remote) {
            continue;
        }

        /* a draft is due to be forgotten */

        if (node->step == NGX_HTTP_CONDUIT_STEP_SUBMIT) {
            node->attempts++;
        }

        node->next_at = ngx_current_msec;
        ngx_http_conduit_node_due_locked(zone, node);

        tasks++;
    }

    if (cell->tickets) {
        ngx_http_conduit_cell_unmark_locked(zone, n);
    }

    return tasks + ngx_http_conduit_hook_disown_locked(zone, n);
}


/*
 * What the process was having kept may be in the store, or not: somebody asks
 * it, or just looks again.
 */

static void
ngx_http_conduit_cell_unmark_locked(ngx_http_conduit_zone_t *zone,
    ngx_uint_t n)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_task_node_t  *node;

    for (q = ngx_queue_head(&zone->sh->tasks);
         q != ngx_queue_sentinel(&zone->sh->tasks);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        if (node->ticket == 0 || node->committer != n) {
            continue;
        }

        if (zone->recalls) {
            ngx_http_conduit_node_commit_locked(zone, node,
                                                NGX_HTTP_CONDUIT_NOBODY);
            zone->sh->orphans = 1;

        } else {
            ngx_http_conduit_node_unmark_locked(zone, node);
        }
    }
}


static void
ngx_http_conduit_cell_free_locked(ngx_http_conduit_zone_t *zone, ngx_uint_t n)
{
    u_char                             *ring;
    ngx_uint_t                          i;
    ngx_queue_t                        *q;
    ngx_http_conduit_cell_t            *cell;
    ngx_http_conduit_idem_node_t       *idem;
    ngx_http_conduit_key_node_t        *key;

    cell = &zone->sh->cells[n];

    ngx_http_conduit_session_disown_locked(zone, n);

    ring = cell->ring;
    cell->ring = NULL;
    cell->pid = 0;

    if (ring && ring != cell->small) {
        ngx_slab_free_locked(zone->shpool, ring);
    }

    for (i = 0; i < zone->sh->nproviders; i++) {
        ngx_http_conduit_mask_clear(&zone->sh->providers[i].claimers, n);
    }

    for (i = 0; i <= zone->sh->key_mask; i++) {
        for (key = zone->sh->key_hash[i]; key; key = key->next) {
            ngx_http_conduit_mask_clear(&key->watchers, n);
        }
    }

    /* watchers' bits of tasks are left: they cost a needless ring entry */

    /* creates that waited here for their end will not tell it any more */

    q = ngx_queue_head(&zone->sh->idem_age);

    while (q != ngx_queue_sentinel(&zone->sh->idem_age)) {
        idem = ngx_queue_data(q, ngx_http_conduit_idem_node_t, age);
        q = ngx_queue_next(q);

        if (idem->code == 0 && idem->owner == n) {
            idem->owner = NGX_HTTP_CONDUIT_NOBODY;
        }
    }
}


ngx_uint_t
ngx_http_conduit_cell_ring_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_mask_t *mask, u_char *id, ngx_http_conduit_mask_t *wake)
{
    uint64_t                  bits;
    ngx_uint_t                i, n;
    ngx_http_conduit_cell_t  *cell;

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS / 64; i++) {

        for (bits = mask->bits[i]; bits; bits &= bits - 1) {
            n = i * 64 + __builtin_ctzll(bits);

            cell = &zone->sh->cells[n];

            if (n == zone->cell || cell->pid == 0) {
                continue;
            }

            if (cell->head - cell->tail >= cell->size) {
                cell->overrun = 1;

            } else {
                ngx_memcpy(cell->ring + (cell->head % cell->size)
                                        * NGX_HTTP_CONDUIT_ID_LEN,
                           id, NGX_HTTP_CONDUIT_ID_LEN);
                cell->head++;
            }

            if (cell->generation == zone->generation) {
                ngx_http_conduit_mask_set(wake, cell->slot);
            }
        }
    }

    return zone->cell != NGX_HTTP_CONDUIT_NOBODY
           && ngx_http_conduit_mask_test(mask, zone->cell);
}


ngx_uint_t
ngx_http_conduit_cell_take(ngx_http_conduit_zone_t *zone, u_char *ids,
    ngx_uint_t n, ngx_uint_t *all, ngx_uint_t *claims)
{
    ngx_uint_t                i;
    ngx_http_conduit_cell_t  *cell;

    cell = &zone->sh->cells[zone->cell];

    ngx_http_conduit_zone_lock(zone);

    *all = cell->overrun;
    *claims = cell->claims;

    cell->claims = 0;

    if (cell->overrun) {
        cell->overrun = 0;
        cell->tail = cell->head;
    }

    for (i = 0; i < n && cell->tail != cell->head; i++, cell->tail++) {
        ngx_memcpy(ids + i * NGX_HTTP_CONDUIT_ID_LEN,
                   cell->ring + (cell->tail % cell->size)
                                * NGX_HTTP_CONDUIT_ID_LEN,
                   NGX_HTTP_CONDUIT_ID_LEN);
    }

    ngx_http_conduit_zone_unlock(zone);

    return i;
}


ngx_uint_t
ngx_http_conduit_mask_any(ngx_http_conduit_mask_t *mask)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS / 64; i++) {
        if (mask->bits[i]) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_conduit_cell_strangers(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_CELLS; i++) {
        if (zone->sh->cells[i].pid
            && zone->sh->cells[i].generation != zone->generation)
        {
            return 1;
        }
    }

    return 0;
}
