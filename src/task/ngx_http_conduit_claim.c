
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>
#include <conduit_provider.h>


/*
 * Tasks for workers that pull.  A lane never goes away and lanes are only put
 * in front, so that their list may be walked without the lock.
 */


static ngx_uint_t ngx_http_conduit_claim_lanes(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_match_pt match,
    void *data, ngx_pool_t *pool, ngx_http_conduit_lane_t ***lanes);
static ngx_uint_t ngx_http_conduit_claim_match(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_lane_t *lane,
    ngx_http_conduit_match_pt match, void *data);
static ngx_http_conduit_task_node_t *ngx_http_conduit_claim_first_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_lane_t **lanes,
    ngx_uint_t n);
static ngx_http_conduit_task_node_t *ngx_http_conduit_leased_locked(
    ngx_http_conduit_engine_t *engine, u_char *id);


ngx_int_t
ngx_http_conduit_task_claim(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_http_conduit_match_pt match,
    void *data, ngx_pool_t *pool, ngx_http_conduit_work_t *work)
{
    u_char                          id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                        lease;
    ngx_uint_t                      n;
    ngx_http_conduit_zone_t        *zone;
    ngx_http_conduit_lane_t       **lanes;
    ngx_http_conduit_change_t       change;
    ngx_http_conduit_task_node_t   *node;

    zone = &cdmcf->zone;

    n = ngx_http_conduit_claim_lanes(cdmcf, match, data, pool, &lanes);

    if (n == 0) {
        return NGX_AGAIN;
    }

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_claim_first_locked(cdmcf->engine, lanes, n);

    if (node == NULL) {
        ngx_http_conduit_zone_unlock(zone);
        return NGX_AGAIN;
    }

    ngx_http_conduit_lane_remove_locked(zone, node);
    ngx_http_conduit_node_slot_locked(zone, node, 1);

    node->step = NGX_HTTP_CONDUIT_STEP_LEASED;
    node->next_at = ngx_current_msec;
    node->holder = key;

    ngx_http_conduit_node_own_locked(zone, node, zone->cell);
    ngx_http_conduit_node_due_locked(zone, node);

    lease = node->lease;
    ngx_memcpy(id, node->id, NGX_HTTP_CONDUIT_ID_LEN);

    ngx_http_conduit_zone_unlock(zone);

    /* from here on the lease lapses if the worker does not come to know it */

    if (ngx_http_conduit_task_leased(cdmcf, id, lease, pool, work)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_conduit_change_task(&change, id, lease);

    change.event = CONDUIT_EV_START;
    change.step = NGX_HTTP_CONDUIT_STEP_LEASED;
    change.after = work->provider->lease;

    if (ngx_http_conduit_task_advance(cdmcf, &change, NULL, NULL) != NGX_OK) {
        return NGX_AGAIN;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_conduit_claim_lanes(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_match_pt match, void *data, ngx_pool_t *pool,
    ngx_http_conduit_lane_t ***lanes)
{
    ngx_uint_t                    i;
    ngx_array_t                   array;
    ngx_http_conduit_lane_t      *lane, **element;
    ngx_http_conduit_provider_t  *provider;

    *lanes = NULL;

    if (ngx_array_init(&array, pool, 8, sizeof(ngx_http_conduit_lane_t *))
        != NGX_OK)
    {
        return 0;
    }

    for (i = 0; i < cdmcf->zone.sh->nproviders; i++) {

        provider = ngx_http_conduit_provider_by_index(cdmcf, i);

        if (provider == NULL || provider->type != NGX_HTTP_CONDUIT_WORKER) {
            continue;
        }

        /* whoever queues a task wakes those who have looked too early */

        if (cdmcf->zone.sh->providers[i].waiting == 0) {
            continue;
        }

        for (lane = cdmcf->zone.sh->providers[i].lanes;
             lane;
             lane = lane->next)
        {
            if (!ngx_http_conduit_claim_match(cdmcf, lane, match, data)) {
                continue;
            }

            element = ngx_array_push(&array);
            if (element == NULL) {
                return 0;
            }

            *element = lane;
        }
    }

    *lanes = array.elts;

    return array.nelts;
}


static ngx_uint_t
ngx_http_conduit_claim_match(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_lane_t *lane, ngx_http_conduit_match_pt match,
    void *data)
{
    ngx_str_t                  alias;
    ngx_http_conduit_model_t  *model;

    alias.len = lane->len;
    alias.data = lane->model;

    if (match(data, &alias)) {
        return 1;
    }

    model = ngx_http_conduit_model_lookup(cdmcf, &alias);

    return model && match(data, &model->upstream);
}


/* of the first in each lane, the one that has waited longest */

static ngx_http_conduit_task_node_t *
ngx_http_conduit_claim_first_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_lane_t **lanes, ngx_uint_t n)
{
    ngx_uint_t                         i;
    conduit_rank_node_t               *first, *best;
    ngx_http_conduit_lane_t           *lane;
    ngx_http_conduit_provider_t       *provider;
    ngx_http_conduit_provider_node_t  *pn;

    best = NULL;
    lane = NULL;

    for (i = 0; i < n; i++) {
        provider = engine->providers[lanes[i]->provider];
        pn = &engine->cdmcf->zone.sh->providers[lanes[i]->provider];

        if (provider->concurrency && pn->running >= provider->concurrency) {
            continue;
        }

        first = conduit_rank_first(&lanes[i]->queue);

        if (first == NULL) {
            continue;
        }

        /* turns of different providers cannot be compared */

        if (best == NULL
            || (lane->provider == lanes[i]->provider
                ? (first->tag < best->tag
                   || (first->tag == best->tag && first->seq < best->seq))
                : first->seq < best->seq))
        {
            best = first;
            lane = lanes[i];
        }
    }

    return best ? ngx_http_conduit_lane_task(best) : NULL;
}


ngx_int_t
ngx_http_conduit_task_held(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, u_char *id, uint64_t *lease,
    ngx_uint_t *status, ngx_uint_t *attempts,
    ngx_http_conduit_provider_t **provider)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    rc = NGX_OK;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_leased_locked(cdmcf->engine, id);

    if (node == NULL) {
        ngx_http_conduit_zone_unlock(zone);
        return NGX_DECLINED;
    }

    *status = node->status;
    *attempts = node->attempts;
    *provider = cdmcf->engine->providers[node->lane->provider];

    if (conduit_status_terminal(node->status)) {
        rc = NGX_HTTP_CONDUIT_FINAL;

    } else if (node->remote) {
        rc = NGX_AGAIN;

    } else if (node->step != NGX_HTTP_CONDUIT_STEP_LEASED
               || node->holder != key
               || (*lease && *lease != node->lease))
    {
        rc = NGX_HTTP_CONDUIT_LEASE_LOST;

    } else {
        *lease = node->lease;
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


ngx_int_t
ngx_http_conduit_task_leased(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    uint64_t lease, ngx_pool_t *pool, ngx_http_conduit_work_t *work)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_conduit_work_t  *loaded;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    loaded = ngx_http_conduit_work_load(cdmcf->engine, id, lease);
    if (loaded == NULL) {
        return NGX_ERROR;
    }

    cln->handler = (ngx_pool_cleanup_pt) ngx_destroy_pool;
    cln->data = loaded->pool;

    *work = *loaded;

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_task_fallback(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, uint64_t lease, ngx_uint_t code, ngx_uint_t attempt,
    ngx_http_conduit_outcome_t *outcome)
{
    ngx_int_t                   rc;
    ngx_http_conduit_work_t    *work;
    ngx_http_conduit_model_t   *model;
    ngx_http_conduit_change_t   change;

    if (!conduit_provider_fallback(code)) {
        return NGX_DECLINED;
    }

    work = ngx_http_conduit_work_load(cdmcf->engine, id, lease);
    if (work == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    model = ngx_http_conduit_model_lookup(cdmcf, &work->alias);

    if (model == NULL || model->next == NULL
        || !(model->next->kinds & NGX_HTTP_CONDUIT_KIND(work->kind))
        || (attempt && work->attempts + 1 < cdmcf->task_attempts))
    {
        goto done;
    }

    ngx_http_conduit_change_task(&change, id, lease);

    change.quiet = 1;
    change.model = model->next;
    change.step = NGX_HTTP_CONDUIT_STEP_QUEUED;
    change.outcome = outcome;

    rc = ngx_http_conduit_task_advance(cdmcf, &change, NULL, NULL);

done:

    ngx_destroy_pool(work->pool);

    return (rc == NGX_OK || rc == NGX_AGAIN) ? rc : NGX_DECLINED;
}


/* a task that workers may know of */

static ngx_http_conduit_task_node_t *
ngx_http_conduit_leased_locked(ngx_http_conduit_engine_t *engine, u_char *id)
{
    ngx_http_conduit_provider_t   *provider;
    ngx_http_conduit_task_node_t  *node;

    node = ngx_http_conduit_node_find_locked(&engine->cdmcf->zone, id);

    if (node == NULL) {
        return NULL;
    }

    provider = engine->providers[node->lane->provider];

    if (provider == NULL || provider->type != NGX_HTTP_CONDUIT_WORKER) {
        return NULL;
    }

    return node;
}


ngx_int_t
ngx_http_conduit_task_current(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    uint64_t lease)
{
    ngx_int_t                      rc;
    ngx_http_conduit_task_node_t  *node;

    rc = NGX_OK;

    ngx_http_conduit_zone_lock(&cdmcf->zone);

    node = ngx_http_conduit_node_find_locked(&cdmcf->zone, id);

    if (node == NULL) {
        rc = NGX_DECLINED;

    } else if (node->lease != lease) {
        rc = conduit_status_terminal(node->status)
             ? NGX_HTTP_CONDUIT_FINAL : NGX_HTTP_CONDUIT_LEASE_LOST;
    }

    ngx_http_conduit_zone_unlock(&cdmcf->zone);

    return rc;
}


void
ngx_http_conduit_release_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news)
{
    ngx_uint_t                    n;
    ngx_http_conduit_zone_t      *zone;
    ngx_http_conduit_provider_t  *provider;

    zone = &engine->cdmcf->zone;
    n = node->lane->provider;

    ngx_http_conduit_node_slot_locked(zone, node, 0);
    node->holder = NULL;

    provider = engine->providers[n];

    if (provider && provider->type == NGX_HTTP_CONDUIT_WORKER
        && provider->concurrency && zone->sh->providers[n].waiting)
    {
        ngx_http_conduit_news_claims_locked(engine, node, news);
    }
}
