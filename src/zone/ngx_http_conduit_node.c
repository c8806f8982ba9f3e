
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


static ngx_uint_t ngx_http_conduit_node_hash(ngx_http_conduit_zone_t *zone,
    u_char *id);
static void ngx_http_conduit_node_hash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_node_show_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static uint64_t ngx_http_conduit_node_next_stamp_locked(
    ngx_http_conduit_zone_t *zone);
static int ngx_http_conduit_node_less(conduit_treap_node_t *a,
    conduit_treap_node_t *b);
static uint32_t ngx_http_conduit_node_prio(conduit_treap_node_t *node);
static void ngx_http_conduit_node_chain_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_node_unhash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);


#define ngx_http_conduit_node_placed(n)                                       \
    ((ngx_http_conduit_task_node_t *)                                         \
         ((u_char *) (n) - offsetof(ngx_http_conduit_task_node_t, place)))


static const conduit_treap_type_t  ngx_http_conduit_node_places = {
    ngx_http_conduit_node_less,
    ngx_http_conduit_node_prio,
    NULL
};


ngx_http_conduit_task_node_t *
ngx_http_conduit_node_find_locked(ngx_http_conduit_zone_t *zone, u_char *id)
{
    ngx_http_conduit_task_node_t  *node;

    node = zone->sh->task_hash[ngx_http_conduit_node_hash(zone, id)];

    while (node) {
        if (!node->draft
            && ngx_memcmp(node->id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0)
        {
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
    ngx_http_conduit_node_hash_locked(zone, node);
    ngx_http_conduit_node_show_locked(zone, node);
    ngx_http_conduit_node_chain_locked(zone, node);
}


void
ngx_http_conduit_node_draft_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    node->draft = 1;

    ngx_http_conduit_node_hash_locked(zone, node);
    ngx_http_conduit_node_own_locked(zone, node, zone->cell);
    ngx_http_conduit_node_chain_locked(zone, node);
}


ngx_http_conduit_task_node_t *
ngx_http_conduit_node_any_locked(ngx_http_conduit_zone_t *zone, u_char *id)
{
    ngx_http_conduit_task_node_t  *node;

    node = zone->sh->task_hash[ngx_http_conduit_node_hash(zone, id)];

    while (node && ngx_memcmp(node->id, id, NGX_HTTP_CONDUIT_ID_LEN) != 0) {
        node = node->next;
    }

    return node;
}


ngx_http_conduit_task_node_t *
ngx_http_conduit_node_drafted_locked(ngx_http_conduit_zone_t *zone,
    u_char *id, uint64_t lease)
{
    ngx_http_conduit_task_node_t  *node;

    node = zone->sh->task_hash[ngx_http_conduit_node_hash(zone, id)];

    while (node) {
        if (node->draft && node->lease == lease
            && ngx_memcmp(node->id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0)
        {
            return node;
        }

        node = node->next;
    }

    return NULL;
}


void
ngx_http_conduit_node_publish_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    node->draft = 0;

    ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);
    ngx_http_conduit_node_show_locked(zone, node);
}


void
ngx_http_conduit_node_mark_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t hide)
{
    node->committer = NGX_HTTP_CONDUIT_NOBODY;
    node->awaited = 0;

    ngx_http_conduit_node_commit_locked(zone, node, zone->cell);

    ngx_memory_barrier();

    node->ticket = ++zone->sh->lease;

    if (hide) {
        ngx_http_conduit_lane_remove_locked(zone, node);
    }

    ngx_http_conduit_node_due_locked(zone, node);
}


void
ngx_http_conduit_node_commit_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t cell)
{
    if (node->committer != NGX_HTTP_CONDUIT_NOBODY) {
        zone->sh->cells[node->committer].tickets--;
    }

    node->committer = (u_char) cell;

    if (cell != NGX_HTTP_CONDUIT_NOBODY) {
        zone->sh->cells[cell].tickets++;
    }
}


void
ngx_http_conduit_node_unmark_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    node->ticket = 0;

    ngx_memory_barrier();

    ngx_http_conduit_node_commit_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);

    ngx_http_conduit_text_free_locked(zone, &node->fresh);

    if (node->status <= 1 && node->step == NGX_HTTP_CONDUIT_STEP_QUEUED
        && !node->remote)
    {
        ngx_http_conduit_lane_push_locked(zone, node);
    }

    ngx_http_conduit_node_due_locked(zone, node);
}


static void
ngx_http_conduit_node_hash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_uint_t              n;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    n = ngx_http_conduit_node_hash(zone, node->id);

    node->next = sh->task_hash[n];
    sh->task_hash[n] = node;

    node->key->ntasks++;
    sh->ntasks++;

    ngx_queue_init(&node->deliveries);

    if (node->status <= 1 && !node->remote) {
        node->key->live++;
        sh->live++;
        ngx_http_conduit_hook_promise_locked(zone, node, 1);
    }
}


/* from here on its key sees it */

static void
ngx_http_conduit_node_show_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_node_place_locked(node);

    ngx_queue_insert_tail(&node->key->changes, &node->changed);
    node->stamp = ngx_http_conduit_node_next_stamp_locked(zone);

    if (!node->remote) {
        zone->sh->status[node->status]++;
    }
}


void
ngx_http_conduit_node_remote_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t on)
{
    ngx_int_t               n;
    ngx_http_conduit_sh_t  *sh;

    if (node->remote == on) {
        return;
    }

    sh = zone->sh;
    n = on ? -1 : 1;

    if (on) {
        ngx_http_conduit_lane_remove_locked(zone, node);
        ngx_http_conduit_node_slot_locked(zone, node, 0);
        node->step = NGX_HTTP_CONDUIT_STEP_NONE;
        node->holder = NULL;
    }

    ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);

    node->remote = on;
    sh->status[node->status] += n;

    if (node->status <= 1) {
        node->key->live += n;
        sh->live += n;
        ngx_http_conduit_hook_promise_locked(zone, node, !on);
    }
}


/* microseconds; a score in Redis, which is a double, holds them */

uint64_t
ngx_http_conduit_node_number_locked(ngx_http_conduit_zone_t *zone)
{
    uint64_t                number;
    struct timeval          tv;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    ngx_gettimeofday(&tv);

    number = (uint64_t) ((int64_t) tv.tv_sec * 1000000 + tv.tv_usec
                         + sh->offset * 1000);

    sh->number = ngx_max(sh->number + 1, number);

    return sh->number;
}


void
ngx_http_conduit_node_place_locked(ngx_http_conduit_task_node_t *node)
{
    conduit_treap_insert(&node->key->tasks, &node->place,
                         &ngx_http_conduit_node_places);
}


ngx_http_conduit_task_node_t *
ngx_http_conduit_node_next_locked(ngx_http_conduit_key_node_t *key,
    ngx_http_conduit_task_node_t *node, ngx_uint_t ascending)
{
    conduit_treap_node_t  *place;

    place = node ? &node->place : NULL;

    place = ascending ? conduit_treap_next(&key->tasks, place,
                                           &ngx_http_conduit_node_places)
                      : conduit_treap_prev(&key->tasks, place,
                                           &ngx_http_conduit_node_places);

    return place ? ngx_http_conduit_node_placed(place) : NULL;
}


/* of two with the same number the ids tell, so that all hosts agree */

static int
ngx_http_conduit_node_less(conduit_treap_node_t *a, conduit_treap_node_t *b)
{
    ngx_http_conduit_task_node_t  *one, *two;

    one = ngx_http_conduit_node_placed(a);
    two = ngx_http_conduit_node_placed(b);

    return one->number < two->number
           || (one->number == two->number
               && ngx_memcmp(one->id, two->id, NGX_HTTP_CONDUIT_ID_LEN) < 0);
}


/* ids are random */

static uint32_t
ngx_http_conduit_node_prio(conduit_treap_node_t *node)
{
    uint32_t  prio;

    ngx_memcpy(&prio, ngx_http_conduit_node_placed(node)->id, sizeof(prio));

    return prio;
}


static void
ngx_http_conduit_node_chain_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

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

    /* deliveries point to the task */

    ngx_http_conduit_hook_leave_locked(zone, node);

    if (node->tasks.next) {

        node->tasks.prev->next = node->tasks.next;
        node->tasks.next->prev = node->tasks.prev;

        ngx_memory_barrier();

        if (node->ticket) {
            ngx_http_conduit_node_unmark_locked(zone, node);
        }

        ngx_http_conduit_lane_remove_locked(zone, node);
        ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);
        ngx_http_conduit_node_slot_locked(zone, node, 0);
        ngx_http_conduit_node_unhash_locked(zone, node);

        if (node->timed) {
            ngx_rbtree_delete(&sh->due, &node->due);
        }

        if (!node->draft) {
            conduit_treap_delete(&node->key->tasks, &node->place,
                                 &ngx_http_conduit_node_places);
            ngx_queue_remove(&node->changed);

            if (!node->remote) {
                sh->status[node->status]--;
            }
        }

        node->key->ntasks--;
        sh->ntasks--;

        if (node->status <= 1 && !node->remote) {
            node->key->live--;
            sh->live--;
            ngx_http_conduit_hook_promise_locked(zone, node, 0);
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
 * while it waits in a lane, only its deadline can make it due, and nothing
 * does while a change is being kept.
 */

void
ngx_http_conduit_node_due_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_msec_t  at;

    at = node->next_at;

    if (node->ticket) {

        if (node->timed) {
            node->timed = 0;
            ngx_rbtree_delete(&zone->sh->due, &node->due);
        }

        return;
    }

    if (node->remote) {
        at = node->deadline;

    } else if (node->status > 1) {

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


/* processes see the time a little late */

static uint64_t
ngx_http_conduit_node_next_stamp_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_http_conduit_sh_t     *sh;
    ngx_http_conduit_stamp_t  *last;

    sh = zone->sh;
    last = &sh->stamps[(sh->nstamps + NGX_HTTP_CONDUIT_STAMPS - 1)
                       % NGX_HTTP_CONDUIT_STAMPS];

    if (sh->nstamps == 0
        || (ngx_msec_int_t) (ngx_current_msec - last->at)
           >= NGX_HTTP_CONDUIT_STAMP_SPAN)
    {
        last = &sh->stamps[sh->nstamps++ % NGX_HTTP_CONDUIT_STAMPS];

        last->at = ngx_current_msec;
        last->stamp = sh->stamp;
    }

    return ++sh->stamp;
}


uint64_t
ngx_http_conduit_node_stamp_locked(ngx_http_conduit_zone_t *zone,
    ngx_msec_t since)
{
    uint64_t                   stamp;
    ngx_uint_t                 i, n;
    ngx_msec_int_t             behind;
    ngx_http_conduit_sh_t     *sh;
    ngx_http_conduit_stamp_t  *s;

    sh = zone->sh;
    stamp = sh->stamp;
    n = ngx_min(sh->nstamps, NGX_HTTP_CONDUIT_STAMPS);

    for (i = 1; i <= n; i++) {
        s = &sh->stamps[(sh->nstamps - i) % NGX_HTTP_CONDUIT_STAMPS];
        behind = (ngx_msec_int_t) (since - s->at);

        /* whatever came later would have begun another one */

        if (behind >= NGX_HTTP_CONDUIT_STAMP_SPAN) {
            break;
        }

        stamp = s->stamp;

        if (behind >= 0) {
            break;
        }
    }

    return stamp;
}


void
ngx_http_conduit_node_changed_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    node->stamp = ngx_http_conduit_node_next_stamp_locked(zone);

    if (node->started == 0) {
        node->begun = 0;

    } else if (node->begun == 0) {
        node->begun = node->stamp;
    }

    ngx_queue_remove(&node->changed);
    ngx_queue_insert_tail(&node->key->changes, &node->changed);
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
