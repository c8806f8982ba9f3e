
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_due.h>
#include <ngx_http_conduit_store.h>


/* Tasks whose time has come. */


/* a task whose webhooks have not all ended stays, in steps of this length */

#define NGX_HTTP_CONDUIT_OWED  30000


static ngx_http_conduit_task_node_t *ngx_http_conduit_due_first_locked(
    ngx_http_conduit_zone_t *zone, ngx_msec_t *wait);
static ngx_http_conduit_due_e ngx_http_conduit_due_task_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_news_t *news);
static void ngx_http_conduit_due_copy_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static ngx_http_conduit_due_e ngx_http_conduit_due_ended_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_task_node_t *node);
static ngx_http_conduit_due_e ngx_http_conduit_due_live_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_news_t *news);
static void ngx_http_conduit_due_later_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static ngx_uint_t ngx_http_conduit_due_gone(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node);


ngx_http_conduit_due_e
ngx_http_conduit_due_next(ngx_http_conduit_engine_t *engine, u_char *id,
    uint64_t *lease, ngx_msec_t *wait)
{
    uint64_t                       number;
    ngx_str_t                      key;
    ngx_http_conduit_due_e         due;
    ngx_http_conduit_news_t        news;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;
    number = 0;
    ngx_str_null(&key);
    *wait = 0;

    /* a process that is about to leave begins nothing */

    if (ngx_exiting || ngx_terminate
        || zone->cell == NGX_HTTP_CONDUIT_NOBODY)
    {
        return NGX_HTTP_CONDUIT_DUE_NONE;
    }

    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_due_first_locked(zone, wait);

    if (node == NULL) {
        ngx_http_conduit_zone_unlock(zone);
        return NGX_HTTP_CONDUIT_DUE_NONE;
    }

    ngx_memcpy(id, node->id, NGX_HTTP_CONDUIT_ID_LEN);

    due = ngx_http_conduit_due_task_locked(engine, node, &news);

    switch (due) {

    case NGX_HTTP_CONDUIT_DUE_PERFORM:
    case NGX_HTTP_CONDUIT_DUE_LAPSE:
        *lease = node->lease;
        break;

    case NGX_HTTP_CONDUIT_DUE_OVER:

        /*
         * Another host may need it in the store.  It may have told a client
         * of the draft, too, and has the task when the lease has run out.
         */

        number = (node->handed || (node->draft && node->keyed))
                 ? 0 : node->number;
        key.data = node->key->name;
        key.len = node->key->len;

        ngx_http_conduit_node_free_locked(zone, node);
        break;

    default:
        break;
    }

    ngx_http_conduit_zone_unlock(zone);

    if (number) {
        engine->cdmcf->store->remove(engine->cdmcf->store, id, number, &key);
    }

    if (due == NGX_HTTP_CONDUIT_DUE_AGAIN) {
        ngx_http_conduit_news_spread(engine, id, &news);
    }

    return due;
}


static ngx_http_conduit_task_node_t *
ngx_http_conduit_due_first_locked(ngx_http_conduit_zone_t *zone,
    ngx_msec_t *wait)
{
    ngx_msec_int_t          left;
    ngx_rbtree_node_t      *first;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;

    if (sh->due.root == &sh->sentinel) {
        return NULL;
    }

    first = ngx_rbtree_min(sh->due.root, &sh->sentinel);
    left = (ngx_msec_int_t) (first->key - ngx_current_msec);

    if (left > 0) {
        *wait = left;
        return NULL;
    }

    return (ngx_http_conduit_task_node_t *)
               ((u_char *) first - offsetof(ngx_http_conduit_task_node_t, due));
}


static ngx_http_conduit_due_e
ngx_http_conduit_due_task_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news)
{
    if (node->draft) {

        /* whoever was making it has gone, and so has its client */

        return NGX_HTTP_CONDUIT_DUE_OVER;
    }

    if (node->remote) {
        ngx_http_conduit_due_copy_locked(&engine->cdmcf->zone, node);
        return NGX_HTTP_CONDUIT_DUE_AGAIN;
    }

    return (node->status <= CONDUIT_PROCESSING)
           ? ngx_http_conduit_due_live_locked(engine, node, news)
           : ngx_http_conduit_due_ended_locked(engine, node);
}


/* whoever watches a copy has it followed again as soon as that can be done */

static void
ngx_http_conduit_due_copy_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    if (node->owner == NGX_HTTP_CONDUIT_NOBODY
        && !ngx_http_conduit_mask_any(&node->watchers)
        && (node->handed || node->owed == 0))
    {
        ngx_http_conduit_node_free_locked(zone, node);
        return;
    }

    node->deadline = ngx_current_msec + NGX_HTTP_CONDUIT_COPY;
    ngx_http_conduit_node_due_locked(zone, node);
}


/* an ended task owes a cancel call at most */

static ngx_http_conduit_due_e
ngx_http_conduit_due_ended_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_zone_t  *zone;

    zone = &engine->cdmcf->zone;

    if ((ngx_msec_int_t) (node->deadline - ngx_current_msec) <= 0) {

        /* whatever is left to be done for it, nobody can ask about it now */

        if (node->owed == 0 || node->handed) {
            return NGX_HTTP_CONDUIT_DUE_OVER;
        }

        node->deadline = ngx_current_msec + NGX_HTTP_CONDUIT_OWED;
        ngx_http_conduit_node_due_locked(zone, node);

        return NGX_HTTP_CONDUIT_DUE_AGAIN;
    }

    if (node->step == NGX_HTTP_CONDUIT_STEP_CANCEL
        && !ngx_http_conduit_due_gone(engine, node))
    {
        ngx_http_conduit_node_own_locked(zone, node, zone->cell);
        ngx_http_conduit_node_due_locked(zone, node);
        return NGX_HTTP_CONDUIT_DUE_PERFORM;
    }

    if (zone->generation != zone->sh->generation) {
        return NGX_HTTP_CONDUIT_DUE_NONE;
    }

    node->step = NGX_HTTP_CONDUIT_STEP_NONE;
    ngx_http_conduit_node_due_locked(zone, node);

    return NGX_HTTP_CONDUIT_DUE_AGAIN;
}


static ngx_http_conduit_due_e
ngx_http_conduit_due_live_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news)
{
    ngx_http_conduit_zone_t      *zone;
    ngx_http_conduit_provider_t  *provider;

    zone = &engine->cdmcf->zone;
    provider = engine->providers[node->lane->provider];

    if (!ngx_http_conduit_step_leased_locked(engine, node)) {
        ngx_http_conduit_due_later_locked(zone, node);
        return NGX_HTTP_CONDUIT_DUE_AGAIN;
    }

    if ((ngx_msec_int_t) (node->deadline - ngx_current_msec) <= 0) {
        ngx_http_conduit_due_later_locked(zone, node);
        return NGX_HTTP_CONDUIT_DUE_TIMEOUT;
    }

    if (ngx_http_conduit_due_gone(engine, node)) {

        /* a process of an old configuration leaves that to the new ones */

        if (zone->generation != zone->sh->generation) {
            return NGX_HTTP_CONDUIT_DUE_NONE;
        }

        ngx_http_conduit_due_later_locked(zone, node);
        return NGX_HTTP_CONDUIT_DUE_GONE;
    }

    switch (node->step) {

    case NGX_HTTP_CONDUIT_STEP_LEASED:
        return NGX_HTTP_CONDUIT_DUE_LAPSE;

    case NGX_HTTP_CONDUIT_STEP_BACKOFF:

        if (provider->type == NGX_HTTP_CONDUIT_WORKER || !node->slot) {
            ngx_http_conduit_step_first_locked(engine, node, provider, news);
            return node->lease ? NGX_HTTP_CONDUIT_DUE_PERFORM
                               : NGX_HTTP_CONDUIT_DUE_AGAIN;
        }

        node->step = NGX_HTTP_CONDUIT_STEP_SUBMIT;
        break;

    case NGX_HTTP_CONDUIT_STEP_SUBMIT:

        /* its process has died: nobody knows whether there was an answer */

        if (node->attempts >= engine->cdmcf->task_attempts) {
            ngx_http_conduit_due_later_locked(zone, node);
            return NGX_HTTP_CONDUIT_DUE_TRIED;
        }

        break;
    }

    ngx_http_conduit_node_own_locked(zone, node, zone->cell);
    ngx_http_conduit_node_due_locked(zone, node);

    return NGX_HTTP_CONDUIT_DUE_PERFORM;
}


/* what cannot be kept, or must not be done now, is due again in a while */

static void
ngx_http_conduit_due_later_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_msec_t  later;

    later = ngx_current_msec + NGX_HTTP_CONDUIT_TICK;

    node->next_at = later;

    if ((ngx_msec_int_t) (node->deadline - later) < 0) {
        node->deadline = later;
    }

    ngx_http_conduit_node_due_locked(zone, node);
}


/* is there nobody in this configuration who could perform the step? */

static ngx_uint_t
ngx_http_conduit_due_gone(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_provider_t  *provider;

    provider = engine->providers[node->lane->provider];

    if (provider == NULL) {
        return 1;
    }

    /* a name that pulling workers have now: they are not called */

    return provider->type == NGX_HTTP_CONDUIT_WORKER
           && (node->step == NGX_HTTP_CONDUIT_STEP_SUBMIT
               || node->step == NGX_HTTP_CONDUIT_STEP_POLL
               || node->step == NGX_HTTP_CONDUIT_STEP_CANCEL);
}
