
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hook_queue.h>


/*
 * The rate of a key's POSTs.  Where hosts share it, a small part is divided
 * among them, which is enough for most keys and needs no word of anybody; the
 * rest lies where all can get at it, from where permits are asked for, as many
 * as can be used at once.  A host that has just come has no share until the
 * others have done with theirs, and one that has gone keeps its share as long.
 * When nobody can be asked for permits any more, the rate is divided.
 */


/*
 * The rate counts what leaves, its reader what arrives: a window is so much
 * longer, as a part of itself and in ms, that a delay on the way does not put
 * one POST too many into any window of the receiver.
 */

#define NGX_HTTP_CONDUIT_RATE_PART    128
#define NGX_HTTP_CONDUIT_RATE_MARGIN  25

/* for how many POSTs permits are asked at a time; no answer by then is none */

#define NGX_HTTP_CONDUIT_PERMITS      64
#define NGX_HTTP_CONDUIT_PERMIT_LATE  2000


static uint32_t ngx_http_conduit_hook_share_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_key_node_t *key);
static ngx_uint_t ngx_http_conduit_hook_permitted(
    ngx_http_conduit_key_node_t *key);
static void ngx_http_conduit_hook_ask_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, ngx_uint_t room);
static void ngx_http_conduit_hook_wake_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key);


/* the rate as the key's configuration has it now */

ngx_int_t
ngx_http_conduit_hook_rate_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, uint32_t rate, uint32_t span)
{
    if (rate && key->window == NULL) {
        key->window = ngx_slab_calloc_locked(zone->shpool,
                                             sizeof(conduit_window_t));
        if (key->window == NULL) {
            return NGX_ERROR;
        }
    }

    if (key->rate == rate && key->span == span) {
        return NGX_OK;
    }

    key->span = span;
    key->rate = rate;

    key->denied = 0;

    ngx_http_conduit_hook_wake_locked(zone, key);

    return NGX_OK;
}


static void
ngx_http_conduit_hook_wake_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key)
{
    if (key->timed) {
        key->timed = 0;
        ngx_rbtree_delete(&zone->sh->hook_due, &key->free);
        ngx_http_conduit_turn_list_locked(zone, key);
    }
}


uint32_t
ngx_http_conduit_hook_span(ngx_http_conduit_key_node_t *key)
{
    return key->span + key->span / NGX_HTTP_CONDUIT_RATE_PART
           + NGX_HTTP_CONDUIT_RATE_MARGIN;
}


/* what may go without a permit, in the time of the rate */

static uint32_t
ngx_http_conduit_hook_share_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key)
{
    uint32_t                hosts;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    if (!sh->shared) {
        return key->rate;
    }

    hosts = ngx_max(sh->hosts, 1);

    /* no more permits, and those that there were are done with, too */

    if (sh->severed
        && ngx_current_msec - sh->severed > NGX_HTTP_CONDUIT_HOST_SETTLED)
    {
        return ngx_max(key->rate / hosts, 1);
    }

    if (!sh->severed
        && (sh->hosts == 0
            || ngx_current_msec - sh->joined < NGX_HTTP_CONDUIT_HOST_SETTLED))
    {
        return 0;
    }

    return key->rate / NGX_HTTP_CONDUIT_RATE_SHARES / hosts;
}


static ngx_uint_t
ngx_http_conduit_hook_permitted(ngx_http_conduit_key_node_t *key)
{
    return key->permits
           && (ngx_msec_int_t) (key->permits_until - ngx_current_msec) > 0;
}


ngx_msec_t
ngx_http_conduit_hook_rate_wait_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, ngx_uint_t room)
{
    uint32_t        share;
    ngx_msec_t      wait;
    ngx_msec_int_t  denied;

    if (key->rate == 0 || key->window == NULL) {
        return 0;
    }

    share = ngx_http_conduit_hook_share_locked(zone, key);
    wait = NGX_HTTP_CONDUIT_PERMIT_LATE;

    if (share) {
        wait = (ngx_msec_t) conduit_window_wait(key->window, share,
                                              ngx_http_conduit_hook_span(key),
                                              ngx_current_msec);
    }

    if (wait == 0 || !zone->sh->shared
        || ngx_http_conduit_hook_permitted(key))
    {
        return zone->sh->shared ? 0 : wait;
    }

    key->permits = 0;

    denied = (ngx_msec_int_t) (key->denied - ngx_current_msec);

    if (key->denied && denied > 0) {
        return ngx_min(wait, (ngx_msec_t) denied);
    }

    key->denied = 0;

    ngx_http_conduit_hook_ask_locked(zone, key, room);

    return ngx_min(wait, NGX_HTTP_CONDUIT_PERMIT_LATE);
}


/* one key in one claim: others come to it in a moment */

static void
ngx_http_conduit_hook_ask_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, ngx_uint_t room)
{
    ngx_uint_t                  i, n;
    ngx_queue_t                *q;
    ngx_http_conduit_origin_t  *origin;

    if (zone->ask
        || (key->asked && ngx_current_msec - key->asked
                          < NGX_HTTP_CONDUIT_PERMIT_LATE))
    {
        return;
    }

    n = 0;
    q = ngx_queue_head(&key->origins);

    for (i = 0; i < NGX_HTTP_CONDUIT_PERMITS
                && q != ngx_queue_sentinel(&key->origins); i++)
    {
        origin = ngx_queue_data(q, ngx_http_conduit_origin_t, turn);
        n += origin->waiting;
        q = ngx_queue_next(q);
    }

    n = ngx_min(n, room);

    zone->ask = key;
    zone->asked = ngx_max(ngx_min(n, NGX_HTTP_CONDUIT_PERMITS), 1);
    key->asked = ngx_max(ngx_current_msec, 1);
}


void
ngx_http_conduit_hook_permit_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, uint32_t n, ngx_msec_t until)
{
    key->asked = 0;
    key->denied = 0;

    if (n) {
        key->permits = n;
        key->permits_until = until;

    } else {
        key->denied = ngx_max(until, 1);
    }

    ngx_http_conduit_hook_wake_locked(zone, key);
}


/* wait() has just returned 0 */

void
ngx_http_conduit_hook_rate_take_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key)
{
    uint32_t  share;

    if (key->rate == 0 || key->window == NULL) {
        return;
    }

    share = ngx_http_conduit_hook_share_locked(zone, key);

    if (share
        && conduit_window_wait(key->window, share,
                               ngx_http_conduit_hook_span(key),
                               ngx_current_msec)
           == 0)
    {
        conduit_window_add(key->window);
        return;
    }

    if (key->permits) {
        key->permits--;
    }
}


/* counted in the host's own share, whichever it was taken from */

void
ngx_http_conduit_hook_sent_locked(ngx_http_conduit_key_node_t *key)
{
    if (key->rate && key->window) {
        conduit_window_charge(key->window, 1, ngx_http_conduit_hook_span(key),
                              ngx_current_msec);
    }
}
