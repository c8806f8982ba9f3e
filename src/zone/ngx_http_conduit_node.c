
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


static ngx_uint_t ngx_http_conduit_node_hash(ngx_http_conduit_zone_t *zone,
    u_char *id);
static void ngx_http_conduit_node_unhash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);


ngx_http_conduit_task_node_t *
ngx_http_conduit_node_find_locked(ngx_http_conduit_zone_t *zone, u_char *id)
{
    ngx_http_conduit_task_node_t  *node;

    node = zone->sh->task_hash[ngx_http_conduit_node_hash(zone, id)];

    while (node) {
        if (ngx_memcmp(node->id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0) {
            return node;
        }

        node = node->next;
    }

    return NULL;
}


ngx_http_conduit_task_node_t *
ngx_http_conduit_node_alloc_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_http_conduit_task_node_t  *node;

    node = ngx_slab_calloc_locked(zone->shpool,
                                  sizeof(ngx_http_conduit_task_node_t));
    if (node == NULL) {
        return NULL;
    }

    node->owner = NGX_HTTP_CONDUIT_NOBODY;

    return node;
}


/*
 * The node must be complete: id, key, lane, kind, status, times.  The forward
 * link in sh->tasks comes last, it makes the task exist.
 */

void
ngx_http_conduit_node_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_uint_t              n;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    n = ngx_http_conduit_node_hash(zone, node->id);

    node->next = sh->task_hash[n];
    sh->task_hash[n] = node;

    ngx_queue_insert_tail(&node->key->tasks, &node->siblings);
    node->key->ntasks++;

    sh->ntasks++;
    sh->status[node->status]++;

    if (node->status <= 1) {
        node->key->live++;
        sh->live++;
    }

    node->tasks.next = &sh->tasks;
    node->tasks.prev = sh->tasks.prev;

    ngx_memory_barrier();

    sh->tasks.prev->next = &node->tasks;
    sh->tasks.prev = &node->tasks;
}


void
ngx_http_conduit_node_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    if (node->tasks.next) {

        node->tasks.prev->next = node->tasks.next;
        node->tasks.next->prev = node->tasks.prev;

        ngx_memory_barrier();

        ngx_http_conduit_lane_remove_locked(zone, node);
        ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);
        ngx_http_conduit_node_slot_locked(zone, node, 0);
        ngx_http_conduit_node_unhash_locked(zone, node);

        if (node->timed) {
            ngx_rbtree_delete(&sh->due, &node->due);
        }

        ngx_queue_remove(&node->siblings);
        node->key->ntasks--;

        sh->ntasks--;
        sh->status[node->status]--;

        if (node->status <= 1) {
            node->key->live--;
            sh->live--;
        }
    }

    ngx_http_conduit_text_free_locked(zone, &node->document);
    ngx_http_conduit_text_free_locked(zone, &node->request);
    ngx_http_conduit_text_free_locked(zone, &node->run);
    ngx_http_conduit_text_free_locked(zone, &node->webhook);

    ngx_slab_free_locked(zone->shpool, node);
}


/*
 * Puts the node into the due tree anew.  While somebody performs its step, or
 * while it waits in a lane, only its deadline can make it due.
 */

void
ngx_http_conduit_node_due_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_msec_t  at;

    at = node->next_at;

    if (node->status > 1) {

        /* the deadline of a finished task is the end of its TTL */

        if (node->step != NGX_HTTP_CONDUIT_STEP_CANCEL
            || node->owner != NGX_HTTP_CONDUIT_NOBODY)
        {
            at = node->deadline;
        }

    } else if (node->owner != NGX_HTTP_CONDUIT_NOBODY
               || node->step == NGX_HTTP_CONDUIT_STEP_QUEUED
               || (ngx_msec_int_t) (node->deadline - at) < 0)
    {
        at = node->deadline;
    }

    if (node->timed) {

        if (node->due.key == at) {
            return;
        }

        node->timed = 0;
        ngx_rbtree_delete(&zone->sh->due, &node->due);
    }

    node->due.key = at;
    ngx_rbtree_insert(&zone->sh->due, &node->due);
    node->timed = 1;
}


/* each owner gets a new lease; changes with an old one are refused */

void
ngx_http_conduit_node_own_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t cell)
{
    if (node->owner != NGX_HTTP_CONDUIT_NOBODY) {
        ngx_queue_remove(&node->owned);
        node->owner = NGX_HTTP_CONDUIT_NOBODY;
    }

    node->lease = 0;

    if (cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    node->lease = ++zone->sh->lease;
    ngx_queue_insert_tail(&zone->sh->cells[cell].owned, &node->owned);
    node->owner = (u_char) cell;
}


void
ngx_http_conduit_node_slot_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t on)
{
    ngx_http_conduit_provider_node_t  *provider;

    if (node->slot == on) {
        return;
    }

    provider = &zone->sh->providers[node->lane->provider];

    node->slot = on;

    if (on) {
        provider->running++;

    } else {
        provider->running--;
    }
}


static ngx_uint_t
ngx_http_conduit_node_hash(ngx_http_conduit_zone_t *zone, u_char *id)
{
    uint32_t  n;

    /* ids are random, any of their bits will do */

    ngx_memcpy(&n, id, sizeof(uint32_t));

    return n & zone->sh->task_mask;
}


static void
ngx_http_conduit_node_unhash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_task_node_t  **p;

    p = &zone->sh->task_hash[ngx_http_conduit_node_hash(zone, node->id)];

    for ( /* void */ ; *p; p = &(*p)->next) {
        if (*p == node) {
            *p = node->next;
            return;
        }
    }
}
