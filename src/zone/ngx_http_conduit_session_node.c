
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_session_node.h>


/* sessions that are swept in one hold of the lock, at most */

#define NGX_HTTP_CONDUIT_SESSION_STRIDE  256


static void ngx_http_conduit_session_relink_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_t *s);


_Static_assert(sizeof(ngx_http_conduit_session_t) <= 128,
               "a session has to fit a slab chunk of 128 bytes");


void
ngx_http_conduit_session_sweep(ngx_http_conduit_zone_t *zone,
    ngx_uint_t total)
{
    ngx_uint_t                   n, tight;
    ngx_queue_t                 *q;
    ngx_http_conduit_sh_t       *sh;
    ngx_http_conduit_session_t  *s;

    sh = zone->sh;

    ngx_http_conduit_zone_lock(zone);

    tight = ngx_http_conduit_zone_tight_locked(zone);

    for (n = 0; n < NGX_HTTP_CONDUIT_SESSION_STRIDE; n++) {

        q = ngx_queue_head(&sh->resting);

        if (q != ngx_queue_sentinel(&sh->resting)) {
            s = ngx_queue_data(q, ngx_http_conduit_session_t, age);

            if ((ngx_msec_int_t) (s->expires - ngx_current_msec) <= 0) {
                ngx_http_conduit_session_end_locked(zone, s);
                continue;
            }
        }

        q = ngx_queue_head(&sh->ended);

        if (q == ngx_queue_sentinel(&sh->ended)) {
            break;
        }

        s = ngx_queue_data(q, ngx_http_conduit_session_t, age);

        if ((ngx_msec_int_t) (s->expires - ngx_current_msec) > 0
            && sh->nended <= total && !tight)
        {
            break;
        }

        ngx_http_conduit_session_free_locked(zone, s);
    }

    ngx_http_conduit_zone_unlock(zone);
}


/* the clients of a dead process are cut off, and will come as new ones */

void
ngx_http_conduit_session_disown_locked(ngx_http_conduit_zone_t *zone,
    ngx_uint_t cell)
{
    ngx_queue_t                 *q, *next;
    ngx_http_conduit_session_t  *s;

    for (q = ngx_queue_head(&zone->sh->sessions);
         q != ngx_queue_sentinel(&zone->sh->sessions);
         q = next)
    {
        next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_http_conduit_session_t, sessions);

        if (s->heir == cell) {
            s->heir = NGX_HTTP_CONDUIT_NOBODY;
        }

        if (s->owner != cell) {
            continue;
        }

        ngx_http_conduit_session_end_locked(zone, s);

        if (!s->named) {
            ngx_http_conduit_session_free_locked(zone, s);
        }
    }
}


ngx_http_conduit_session_t *
ngx_http_conduit_session_find_locked(ngx_http_conduit_zone_t *zone, u_char *id)
{
    uint32_t                     n;
    ngx_http_conduit_session_t  *s;

    ngx_memcpy(&n, id, sizeof(uint32_t));

    for (s = zone->sh->session_hash[n & zone->sh->session_mask];
         s;
         s = s->next)
    {
        if (ngx_memcmp(s->id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0) {
            return s;
        }
    }

    return NULL;
}


ngx_http_conduit_session_t *
ngx_http_conduit_session_owned_locked(ngx_http_conduit_zone_t *zone,
    u_char *id, uint32_t claim)
{
    ngx_http_conduit_session_t  *s;

    s = ngx_http_conduit_session_find_locked(zone, id);

    if (s == NULL || s->owner != zone->cell || s->holder != claim) {
        return NULL;
    }

    return s;
}


/* a foreign session does not exist */

ngx_http_conduit_session_t *
ngx_http_conduit_session_wanted_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want)
{
    ngx_http_conduit_session_t  *s;

    s = ngx_http_conduit_session_find_locked(zone, want->id);

    if (s == NULL || s->key != want->key || s->kind != want->kind) {
        return NULL;
    }

    return s;
}


void
ngx_http_conduit_session_own_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s)
{
    ngx_queue_remove(&s->age);
    ngx_queue_init(&s->age);

    s->owner = (u_char) zone->cell;
    s->holder = s->claim;
    s->heir = NGX_HTTP_CONDUIT_NOBODY;
}


void
ngx_http_conduit_session_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s)
{
    uint32_t                n;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    ngx_memcpy(&n, s->id, sizeof(uint32_t));
    n &= sh->session_mask;

    s->next = sh->session_hash[n];
    sh->session_hash[n] = s;

    if (!s->ended) {
        s->key->connections++;
        sh->connections++;
    }
}


void
ngx_http_conduit_session_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s)
{
    uint32_t                      n;
    ngx_http_conduit_session_t  **p;

    ngx_queue_remove(&s->sessions);
    ngx_queue_remove(&s->age);

    ngx_memcpy(&n, s->id, sizeof(uint32_t));

    p = &zone->sh->session_hash[n & zone->sh->session_mask];

    while (*p != s) {
        p = &(*p)->next;
    }

    *p = s->next;

    if (s->ended) {
        zone->sh->nended--;
    }

    ngx_http_conduit_text_free_locked(zone, &s->inbox);
    ngx_http_conduit_text_free_locked(zone, &s->state);

    ngx_slab_free_locked(zone->shpool, s);
}


/* it may be asked for more than once */

void
ngx_http_conduit_session_retire_locked(ngx_http_conduit_session_t *s,
    ngx_http_conduit_session_want_t *want)
{
    if (!s->retire) {
        s->retire = 1;
        s->retired = ngx_current_msec - want->age;
    }
}


void
ngx_http_conduit_session_end_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s)
{
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    if (!s->ended) {
        (void) ngx_atomic_fetch_add(&sh->counters.hub_closed, 1);
        (void) ngx_atomic_fetch_add(&sh->counters.hub_duration_sum,
                                    ngx_current_msec - s->opened);
    }

    ngx_http_conduit_session_off_locked(zone, s);
}


/* its seat is free at once; what is left is for a successor */

void
ngx_http_conduit_session_off_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s)
{
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    s->owner = NGX_HTTP_CONDUIT_NOBODY;

    if (s->ended) {
        return;
    }

    s->ended = 1;
    s->key->connections--;
    sh->connections--;
    sh->nended++;

    ngx_http_conduit_text_free_locked(zone, &s->inbox);

    ngx_http_conduit_session_age_locked(s, &sh->ended,
                                        NGX_HTTP_CONDUIT_SESSION_AGE);
}


void
ngx_http_conduit_session_age_locked(ngx_http_conduit_session_t *s,
    ngx_queue_t *ages, ngx_msec_t ms)
{
    ngx_queue_remove(&s->age);

    s->expires = ngx_current_msec + ms;

    ngx_queue_insert_tail(ages, &s->age);
}


void
ngx_http_conduit_session_ring_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s, ngx_uint_t cell,
    ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_mask_t  mask;

    if (cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    ngx_memzero(&mask, sizeof(ngx_http_conduit_mask_t));
    ngx_http_conduit_mask_set(&mask, cell);

    if (ngx_http_conduit_cell_ring_locked(zone, &mask, s->id, &rings->wake)) {
        rings->here = 1;
    }
}


/* the forward list holds complete sessions only: all else follows from it */

void
ngx_http_conduit_session_repair_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                    i;
    ngx_queue_t                  *q, *prev;
    ngx_http_conduit_sh_t        *sh;
    ngx_http_conduit_key_node_t  *key;

    sh = zone->sh;
    sh->connections = 0;
    sh->nended = 0;

    for (i = 0; i <= sh->key_mask; i++) {
        for (key = sh->key_hash[i]; key; key = key->next) {
            key->connections = 0;
        }
    }

    ngx_memzero(sh->session_hash, (sh->session_mask + 1) * sizeof(void *));
    ngx_queue_init(&sh->resting);
    ngx_queue_init(&sh->ended);

    prev = &sh->sessions;

    for (q = prev->next; q != &sh->sessions; q = q->next) {
        q->prev = prev;
        prev = q;

        ngx_http_conduit_session_relink_locked(zone,
                    ngx_queue_data(q, ngx_http_conduit_session_t, sessions));
    }

    sh->sessions.prev = prev;
}


static void
ngx_http_conduit_session_relink_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s)
{
    ngx_queue_t                 *q, *ages;
    ngx_http_conduit_session_t  *other;

    ngx_http_conduit_session_link_locked(zone, s);

    ngx_queue_init(&s->age);

    if (s->ended) {
        s->owner = NGX_HTTP_CONDUIT_NOBODY;
        zone->sh->nended++;
        ages = &zone->sh->ended;

    } else if (s->owner == NGX_HTTP_CONDUIT_NOBODY) {
        ages = &zone->sh->resting;

    } else {
        return;
    }

    for (q = ngx_queue_last(ages); q != ages; q = ngx_queue_prev(q)) {
        other = ngx_queue_data(q, ngx_http_conduit_session_t, age);

        if ((ngx_msec_int_t) (other->expires - s->expires) <= 0) {
            break;
        }
    }

    ngx_queue_insert_after(q, &s->age);
}
