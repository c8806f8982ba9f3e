
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook_queue.h>


/*
 * Whose turn it is: keys stand in sh->turns, each with those of its origins
 * that may have something to do, and both go round.  What cannot go on leaves
 * its line, and comes back when an attempt has ended, or out of the due tree.
 */


static uint32_t ngx_http_conduit_origin_hash(ngx_http_conduit_zone_t *zone,
    u_char *digest);


ngx_http_conduit_origin_t *
ngx_http_conduit_origin_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, u_char *digest)
{
    uint32_t                    n;
    ngx_http_conduit_origin_t  *origin;

    n = ngx_http_conduit_origin_hash(zone, digest);

    for (origin = zone->sh->origin_hash[n]; origin; origin = origin->next) {
        if (origin->key == key
            && ngx_memcmp(origin->digest, digest, NGX_HTTP_CONDUIT_ID_LEN)
               == 0)
        {
            origin->refs++;
            return origin;
        }
    }

    origin = ngx_slab_calloc_locked(zone->shpool,
                                    sizeof(ngx_http_conduit_origin_t));
    if (origin == NULL) {
        return NULL;
    }

    origin->key = key;
    origin->refs = 1;
    ngx_memcpy(origin->digest, digest, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_rbtree_init(&origin->ready, &origin->sentinel,
                    ngx_rbtree_insert_value);

    origin->queue.next = &zone->sh->origins;
    origin->queue.prev = zone->sh->origins.prev;

    ngx_memory_barrier();

    zone->sh->origins.prev->next = &origin->queue;
    zone->sh->origins.prev = &origin->queue;

    ngx_http_conduit_origin_link_locked(zone, origin);

    return origin;
}


void
ngx_http_conduit_origin_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin)
{
    uint32_t  n;

    n = ngx_http_conduit_origin_hash(zone, origin->digest);

    origin->next = zone->sh->origin_hash[n];
    zone->sh->origin_hash[n] = origin;
    zone->sh->norigins++;
}


void
ngx_http_conduit_origin_unref_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin)
{
    if (--origin->refs == 0) {
        ngx_http_conduit_origin_free_locked(zone, origin);
    }
}


void
ngx_http_conduit_origin_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin)
{
    uint32_t                     n;
    ngx_http_conduit_origin_t  **p;

    origin->queue.prev->next = origin->queue.next;
    origin->queue.next->prev = origin->queue.prev;

    ngx_memory_barrier();

    n = ngx_http_conduit_origin_hash(zone, origin->digest);

    for (p = &zone->sh->origin_hash[n]; *p; p = &(*p)->next) {
        if (*p == origin) {
            *p = origin->next;
            zone->sh->norigins--;
            break;
        }
    }

    ngx_http_conduit_origin_unlist_locked(origin);

    if (origin->timed) {
        ngx_rbtree_delete(&zone->sh->hook_due, &origin->free);
    }

    ngx_slab_free_locked(zone->shpool, origin);
}


void
ngx_http_conduit_origin_list_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin)
{
    if (origin->waiting && !origin->listed && !origin->timed) {
        ngx_queue_insert_tail(&origin->key->origins, &origin->turn);
        origin->listed = 1;
    }

    ngx_http_conduit_turn_list_locked(zone, origin->key);
}


/* the breaker has moved: the time that was waited for may be another now */

void
ngx_http_conduit_origin_wake_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin)
{
    if (origin->timed) {
        origin->timed = 0;
        ngx_rbtree_delete(&zone->sh->hook_due, &origin->free);
    }

    ngx_http_conduit_origin_list_locked(zone, origin);
}


void
ngx_http_conduit_origin_unlist_locked(ngx_http_conduit_origin_t *origin)
{
    if (origin->listed) {
        ngx_queue_remove(&origin->turn);
        origin->listed = 0;
    }
}


void
ngx_http_conduit_turn_list_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key)
{
    if (!key->listed && !key->timed && !ngx_queue_empty(&key->origins)) {
        ngx_queue_insert_tail(&zone->sh->turns, &key->turn);
        key->listed = 1;
    }
}


void
ngx_http_conduit_turn_unlist_locked(ngx_http_conduit_key_node_t *key)
{
    if (key->listed) {
        ngx_queue_remove(&key->turn);
        key->listed = 0;
    }
}


static uint32_t
ngx_http_conduit_origin_hash(ngx_http_conduit_zone_t *zone, u_char *digest)
{
    uint32_t  n;

    ngx_memcpy(&n, digest, sizeof(uint32_t));

    return n & zone->sh->key_mask;
}
