
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook_queue.h>
#include <conduit_request.h>


/* nodes looked at in one turn of the lock */

#define NGX_HTTP_CONDUIT_HOOK_LOOKS  128

/* a delivery that another host may have taken over waits so long, ms */

#define NGX_HTTP_CONDUIT_HOOK_UNLEASED  1000


static ngx_uint_t ngx_http_conduit_hook_time_locked(
    ngx_http_conduit_zone_t *zone);
static ngx_http_conduit_hook_node_t *ngx_http_conduit_hook_turn_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_conf_t *conf);
static ngx_http_conduit_origin_t *ngx_http_conduit_hook_key_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_conf_t *conf,
    ngx_http_conduit_key_node_t *key);
static ngx_http_conduit_hook_node_t *ngx_http_conduit_hook_origin_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_conf_t *conf,
    ngx_http_conduit_origin_t *origin);
static void ngx_http_conduit_hook_give_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_http_conduit_hook_claim_t *claim);
static void ngx_http_conduit_hook_text_locked(
    ngx_http_conduit_hook_node_t *hook, u_char *buf);


ngx_int_t
ngx_http_conduit_hook_claim_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf, ngx_http_conduit_hook_claim_t *claim,
    u_char *buf, size_t size, ngx_msec_t *wait)
{
    ngx_rbtree_node_t             *first;
    ngx_msec_int_t                 left;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_hook_node_t  *hook;

    sh = zone->sh;
    *wait = 0;

    if (ngx_http_conduit_hook_time_locked(zone)) {
        *wait = 1;
    }

    hook = ngx_http_conduit_hook_turn_locked(zone, conf);

    if (hook) {
        ngx_http_conduit_hook_give_locked(zone, hook, claim);

        if (claim->body + claim->settings <= size) {
            ngx_http_conduit_hook_text_locked(hook, buf);
            claim->copied = 1;
        }

        return NGX_OK;
    }

    if (*wait == 0 && sh->hook_due.root != &sh->hook_sentinel) {
        first = ngx_rbtree_min(sh->hook_due.root, &sh->hook_sentinel);
        left = (ngx_msec_int_t) (first->key - ngx_current_msec);
        *wait = ngx_max(left, 1);
    }

    return NGX_AGAIN;
}


/* what has waited for its time goes on; returns 1 if there is more of it */

static ngx_uint_t
ngx_http_conduit_hook_time_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                     i;
    ngx_rbtree_node_t             *first;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_origin_t     *origin;
    ngx_http_conduit_key_node_t   *key;
    ngx_http_conduit_hook_node_t  *hook;

    sh = zone->sh;

    for (i = 0; i < NGX_HTTP_CONDUIT_HOOK_LOOKS; i++) {

        if (sh->hook_due.root == &sh->hook_sentinel) {
            return 0;
        }

        first = ngx_rbtree_min(sh->hook_due.root, &sh->hook_sentinel);

        if ((ngx_msec_int_t) (first->key - ngx_current_msec) > 0) {
            return 0;
        }

        switch (first->data) {

        case NGX_HTTP_CONDUIT_DUE_ORIGIN:
            origin = ngx_rbtree_data(first, ngx_http_conduit_origin_t, free);

            ngx_rbtree_delete(&sh->hook_due, first);
            origin->timed = 0;
            ngx_http_conduit_origin_list_locked(zone, origin);
            break;

        case NGX_HTTP_CONDUIT_DUE_KEY:
            key = ngx_rbtree_data(first, ngx_http_conduit_key_node_t, free);

            ngx_rbtree_delete(&sh->hook_due, first);
            key->timed = 0;
            ngx_http_conduit_turn_list_locked(zone, key);
            break;

        default:
            hook = ngx_http_conduit_hook_of(first);

            if (hook->expiring) {
                ngx_http_conduit_hook_free_locked(zone, hook);
                break;
            }

            ngx_http_conduit_hook_away_locked(zone, hook);
            ngx_http_conduit_hook_place_locked(zone, hook);
        }
    }

    return 1;
}


/*
 * Each look takes a key or an origin out of its line, drops progress, or finds
 * a delivery: what leaves a line has been put there before, so a claim costs
 * the same however much waits.
 */

static ngx_http_conduit_hook_node_t *
ngx_http_conduit_hook_turn_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_origin_t     *origin;
    ngx_http_conduit_key_node_t   *key;
    ngx_http_conduit_hook_node_t  *hook;

    sh = zone->sh;

    while (!ngx_queue_empty(&sh->turns)) {

        if (sh->hooks_running >= conf->total) {
            return NULL;
        }

        q = ngx_queue_head(&sh->turns);
        key = ngx_queue_data(q, ngx_http_conduit_key_node_t, turn);

        origin = ngx_http_conduit_hook_key_locked(zone, conf, key);
        if (origin == NULL) {
            continue;
        }

        hook = ngx_http_conduit_hook_origin_locked(zone, conf, origin);
        if (hook) {
            return hook;
        }
    }

    return NULL;
}


/* the origin whose turn it is, or NULL: the key has left the line */

static ngx_http_conduit_origin_t *
ngx_http_conduit_hook_key_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf, ngx_http_conduit_key_node_t *key)
{
    ngx_msec_t    wait;
    ngx_queue_t  *q;

    if (ngx_queue_empty(&key->origins) || key->running >= conf->per_key) {
        ngx_http_conduit_turn_unlist_locked(key);
        return NULL;
    }

    wait = ngx_http_conduit_hook_rate_wait_locked(zone, key,
                                                  conf->per_key
                                                  - key->running);

    if (wait) {
        ngx_http_conduit_turn_unlist_locked(key);
        ngx_http_conduit_hook_due_locked(zone, &key->free,
                                         ngx_current_msec + wait,
                                         NGX_HTTP_CONDUIT_DUE_KEY);
        key->timed = 1;
        return NULL;
    }

    q = ngx_queue_head(&key->origins);

    return ngx_queue_data(q, ngx_http_conduit_origin_t, turn);
}


/* its oldest delivery, or NULL: the origin has left the line, or look again */

static ngx_http_conduit_hook_node_t *
ngx_http_conduit_hook_origin_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf, ngx_http_conduit_origin_t *origin)
{
    uint64_t                       wait;
    ngx_rbtree_node_t             *first;
    ngx_http_conduit_hook_node_t  *hook;
    ngx_http_conduit_task_node_t  *task;

    if (origin->waiting == 0) {
        ngx_http_conduit_origin_unlist_locked(origin);
        return NULL;
    }

    first = ngx_rbtree_min(origin->ready.root, &origin->sentinel);
    hook = ngx_http_conduit_hook_of(first);

    if (hook->task && !hook->local
        && ngx_http_conduit_part(conf->unleased, hook->task->id))
    {

        /* the shared store knows the event, others may have taken it over */

        ngx_http_conduit_hook_away_locked(zone, hook);
        ngx_http_conduit_hook_due_locked(zone, &hook->u.tree, ngx_current_msec
                                         + NGX_HTTP_CONDUIT_HOOK_UNLEASED,
                                         NGX_HTTP_CONDUIT_DUE_HOOK);
        hook->place = NGX_HTTP_CONDUIT_HOOK_TIMED;
        return NULL;
    }

    if (ngx_http_conduit_hook_progress(hook) && hook->once
        && hook->ticket.epoch != origin->breaker.epoch)
    {
        task = hook->task;

        ngx_http_conduit_hook_stop_locked(zone, hook,
                                          NGX_HTTP_CONDUIT_HOOK_DROPPED);
        ngx_http_conduit_hook_next_locked(zone, task);
        return NULL;
    }

    if (conduit_breaker_begin(&origin->breaker, &conf->breaker,
                              origin->running, (uint32_t) conf->per_origin,
                              ngx_current_msec, &hook->ticket, &wait)
        == CONDUIT_OK)
    {
        return hook;
    }

    ngx_http_conduit_origin_unlist_locked(origin);

    if (wait) {
        ngx_http_conduit_hook_due_locked(zone, &origin->free,
                                         ngx_current_msec + (ngx_msec_t) wait,
                                         NGX_HTTP_CONDUIT_DUE_ORIGIN);
        origin->timed = 1;
    }

    return NULL;
}


static void
ngx_http_conduit_hook_give_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_http_conduit_hook_claim_t *claim)
{
    conduit_breaker_ticket_t      ticket;
    ngx_http_conduit_origin_t    *origin;
    ngx_http_conduit_key_node_t  *key;

    key = hook->key;
    origin = hook->origin;

    ticket = hook->ticket;
    ngx_http_conduit_hook_away_locked(zone, hook);
    hook->ticket = ticket;

    ngx_http_conduit_hook_own_locked(zone, hook, zone->cell);

    ngx_http_conduit_hook_rate_take_locked(zone, key);

    /* the others first */

    ngx_http_conduit_origin_unlist_locked(origin);
    ngx_http_conduit_turn_unlist_locked(key);
    ngx_http_conduit_origin_list_locked(zone, origin);

    if (hook->task && ngx_http_conduit_hook_progress(hook)) {
        hook->task->told = ngx_max(ngx_current_msec, 1);
    }

    ngx_memzero(claim, sizeof(ngx_http_conduit_hook_claim_t));
    ngx_memcpy(claim->id, hook->id, CONDUIT_BASE62_LEN);

    claim->lease = hook->lease;
    claim->sequence = hook->sequence;
    claim->key = key;
    claim->event = hook->event;
    claim->attempts = hook->attempts;
    claim->tries = hook->tries;
    claim->created = hook->created;
    claim->body = hook->body;
    claim->jose = hook->jose;
    claim->once = hook->once;

    if (hook->task) {
        ngx_memcpy(claim->task, hook->task->id, NGX_HTTP_CONDUIT_ID_LEN);
        claim->kind = hook->task->kind;
        claim->settings = hook->task->webhook.len;

    } else {
        claim->settings = hook->text.len - hook->body;
    }
}


static void
ngx_http_conduit_hook_text_locked(ngx_http_conduit_hook_node_t *hook,
    u_char *buf)
{
    buf = ngx_http_conduit_text_copy_locked(&hook->text, buf);

    if (hook->task) {
        (void) ngx_http_conduit_text_copy_locked(&hook->task->webhook, buf);
    }
}


ngx_int_t
ngx_http_conduit_hook_copy_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_claim_t *claim, u_char *buf)
{
    ngx_http_conduit_hook_node_t  *hook;

    hook = ngx_http_conduit_hook_find_locked(zone, claim->id);

    if (hook == NULL || hook->lease != claim->lease) {
        return NGX_DECLINED;
    }

    ngx_http_conduit_hook_text_locked(hook, buf);
    claim->copied = 1;

    return NGX_OK;
}


/* by its time into the due tree, or to its origin */

void
ngx_http_conduit_hook_place_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    ngx_http_conduit_origin_t  *origin;

    if (ngx_http_conduit_hook_handed(hook)) {
        hook->place = NGX_HTTP_CONDUIT_HOOK_BEHIND;
        return;
    }

    if ((ngx_msec_int_t) (hook->next_at - ngx_current_msec) > 0) {
        ngx_http_conduit_hook_due_locked(zone, &hook->u.tree, hook->next_at,
                                         NGX_HTTP_CONDUIT_DUE_HOOK);
        hook->place = NGX_HTTP_CONDUIT_HOOK_TIMED;
        return;
    }

    origin = hook->origin;

    /* parked ones leave in the order of their creation, retried or not */

    origin->ready.insert = ngx_rbtree_insert_value;
    hook->u.tree.key = (ngx_rbtree_key_t) hook->order;
    ngx_rbtree_insert(&origin->ready, &hook->u.tree);

    hook->place = NGX_HTTP_CONDUIT_HOOK_READY;
    hook->ticket.epoch = origin->breaker.epoch;
    hook->ticket.probe = 0;

    if (ngx_http_conduit_hook_progress(hook) && hook->once
        && conduit_breaker_state(&origin->breaker, ngx_current_msec)
           == CONDUIT_BREAKER_OPEN)
    {
        hook->ticket.epoch--;
    }

    origin->waiting++;
    ngx_http_conduit_origin_list_locked(zone, origin);
}


void
ngx_http_conduit_hook_own_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_uint_t cell)
{
    hook->lease = ++zone->sh->lease;
    hook->place = NGX_HTTP_CONDUIT_HOOK_RUNNING;

    ngx_queue_insert_tail(&zone->sh->cells[cell].hooks, &hook->u.owned);
    hook->owner = (u_char) cell;

    hook->origin->running++;
    hook->key->running++;
    zone->sh->hooks_running++;
}


void
ngx_http_conduit_hook_away_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook)
{
    ngx_http_conduit_origin_t  *origin;

    origin = hook->origin;

    switch (hook->place) {

    case NGX_HTTP_CONDUIT_HOOK_TIMED:
        ngx_rbtree_delete(&zone->sh->hook_due, &hook->u.tree);
        break;

    case NGX_HTTP_CONDUIT_HOOK_READY:
        ngx_rbtree_delete(&origin->ready, &hook->u.tree);
        origin->waiting--;
        break;

    case NGX_HTTP_CONDUIT_HOOK_RUNNING:
        ngx_queue_remove(&hook->u.owned);
        hook->owner = NGX_HTTP_CONDUIT_NOBODY;
        hook->lease = 0;

        origin->running--;
        hook->key->running--;
        zone->sh->hooks_running--;

        /* somebody else may go now */

        ngx_http_conduit_origin_list_locked(zone, origin);
        break;

    case NGX_HTTP_CONDUIT_HOOK_ENDED:

        if (hook->expiring) {
            hook->expiring = 0;
            ngx_rbtree_delete(&zone->sh->hook_due, &hook->u.tree);
        }

        return;
    }

    hook->place = NGX_HTTP_CONDUIT_HOOK_BEHIND;
}


void
ngx_http_conduit_hook_due_locked(ngx_http_conduit_zone_t *zone,
    ngx_rbtree_node_t *node, ngx_msec_t at, ngx_uint_t what)
{
    zone->sh->hook_due.insert = ngx_rbtree_insert_timer_value;

    node->key = at;
    node->data = (u_char) what;
    ngx_rbtree_insert(&zone->sh->hook_due, node);
}
