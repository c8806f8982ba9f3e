
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>


/*
 * Steps: claimed under the lock, which gives a lease to this process, copied
 * out of the zone, performed.
 */


/* a full zone is looked at again after this time, ms */

#define NGX_HTTP_CONDUIT_POSTPONE  1000


static void ngx_http_conduit_step_giveback_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_task_node_t *node);
static ngx_uint_t ngx_http_conduit_slot_fair_locked(
    ngx_http_conduit_provider_node_t *pn,
    ngx_http_conduit_provider_t *provider);
static ngx_uint_t ngx_http_conduit_slot_free_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_provider_t *provider);
static void ngx_http_conduit_slot_take_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static ngx_uint_t ngx_http_conduit_pump_claim(
    ngx_http_conduit_engine_t *engine, ngx_uint_t provider, u_char *id,
    uint64_t *lease);
static ngx_http_conduit_task_node_t *ngx_http_conduit_pump_next_locked(
    ngx_http_conduit_engine_t *engine, ngx_uint_t provider);
static ngx_int_t ngx_http_conduit_work_split(ngx_http_conduit_work_t *work);


size_t
ngx_http_conduit_run_head_len(ngx_http_conduit_model_t *model)
{
    return model->alias.len + 1 + model->upstream.len + 1;
}


u_char *
ngx_http_conduit_run_head(u_char *p, ngx_http_conduit_model_t *model)
{
    p = ngx_cpymem(p, model->alias.data, model->alias.len);
    *p++ = LF;
    p = ngx_cpymem(p, model->upstream.data, model->upstream.len);
    *p++ = LF;

    return p;
}


void
ngx_http_conduit_step_first_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_provider_t *provider,
    ngx_http_conduit_news_t *news)
{
    ngx_http_conduit_zone_t           *zone;
    ngx_http_conduit_provider_node_t  *pn;

    zone = &engine->cdmcf->zone;
    pn = &zone->sh->providers[node->lane->provider];

    node->next_at = ngx_current_msec;

    if (provider && !ngx_exiting && !ngx_terminate
        && ngx_http_conduit_step_leased_locked(engine, node)
        && (provider->type == NGX_HTTP_CONDUIT_SANDBOX
            || (provider->type == NGX_HTTP_CONDUIT_DESCRIBED
                && pn->waiting == 0
                && ngx_http_conduit_slot_free_locked(zone, provider))))
    {
        ngx_http_conduit_slot_take_locked(zone, node);
        ngx_http_conduit_node_due_locked(zone, node);
        return;
    }

    node->step = NGX_HTTP_CONDUIT_STEP_QUEUED;

    ngx_http_conduit_lane_push_locked(zone, node);
    ngx_http_conduit_node_due_locked(zone, node);

    if (provider && provider->type == NGX_HTTP_CONDUIT_WORKER) {
        ngx_http_conduit_news_claims_locked(engine, node, news);
    }
}


/*
 * May this host perform the task, or has another one perhaps taken it over
 * while this one could not renew its lease?
 */

ngx_uint_t
ngx_http_conduit_step_leased_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node)
{
    return engine->unleased == NULL || node->local
           || !ngx_http_conduit_part(engine->unleased(engine->cdmcf),
                                     node->id);
}


void
ngx_http_conduit_step_postpone_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, uint64_t lease)
{
    ngx_msec_t  later;

    if (lease && node->owner != NGX_HTTP_CONDUIT_NOBODY) {
        ngx_http_conduit_step_giveback_locked(engine, node);
    }

    later = ngx_current_msec + NGX_HTTP_CONDUIT_POSTPONE;

    if ((ngx_msec_int_t) (node->next_at - later) < 0) {
        node->next_at = later;
    }

    if ((ngx_msec_int_t) (node->deadline - later) < 0) {
        node->deadline = later;
    }

    ngx_http_conduit_node_due_locked(&engine->cdmcf->zone, node);
}


/*
 * Its owner leaves it.  The reply to a submit is not given away: whoever has
 * got it tries to tell it again.
 */

static void
ngx_http_conduit_step_giveback_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_zone_t      *zone;
    ngx_http_conduit_provider_t  *provider;

    zone = &engine->cdmcf->zone;
    provider = engine->providers[node->lane->provider];

    if (node->step == NGX_HTTP_CONDUIT_STEP_SUBMIT
        && (provider == NULL || provider->type != NGX_HTTP_CONDUIT_SANDBOX))
    {
        return;
    }

    ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);

    if (node->step == NGX_HTTP_CONDUIT_STEP_LEASED) {

        /* nobody has been told of the claim yet */

        ngx_http_conduit_node_slot_locked(zone, node, 0);
        node->holder = NULL;
        node->step = NGX_HTTP_CONDUIT_STEP_QUEUED;
        ngx_http_conduit_lane_push_locked(zone, node);
    }
}


static ngx_uint_t
ngx_http_conduit_slot_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_provider_t *provider)
{
    ngx_http_conduit_provider_node_t  *pn;

    pn = &zone->sh->providers[provider->index];

    if (provider->concurrency
        && (pn->running + pn->away >= provider->concurrency
            || !ngx_http_conduit_slot_fair_locked(pn, provider)))
    {
        return 0;
    }

    if (provider->rpm == 0) {
        return 1;
    }

    if (conduit_window_wait(&pn->rpm, provider->rpm, CONDUIT_WINDOW_MINUTE,
                            ngx_current_msec))
    {
        return 0;
    }

    conduit_window_add(&pn->rpm);
    pn->starts++;

    return 1;
}


/*
 * Each host that has something to do may have its share; what one has begun
 * beyond that is not begun anew while tasks of others wait.
 */

static ngx_uint_t
ngx_http_conduit_slot_fair_locked(ngx_http_conduit_provider_node_t *pn,
    ngx_http_conduit_provider_t *provider)
{
    if (pn->away_waiting == 0) {
        return 1;
    }

    return pn->running * (pn->rivals + 1) < provider->concurrency;
}


static void
ngx_http_conduit_slot_take_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    node->step = NGX_HTTP_CONDUIT_STEP_SUBMIT;

    ngx_http_conduit_node_slot_locked(zone, node, 1);
    ngx_http_conduit_node_own_locked(zone, node, zone->cell);
}


/* a step that fails at once brings us here again: the loop is enough */

void
ngx_http_conduit_pump(ngx_http_conduit_engine_t *engine, ngx_uint_t provider)
{
    u_char    id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t  lease;

    if (engine->pumping[provider]) {
        return;
    }

    engine->pumping[provider] = 1;

    while (ngx_http_conduit_pump_claim(engine, provider, id, &lease)) {
        ngx_http_conduit_step_perform(engine, id, lease);
    }

    engine->pumping[provider] = 0;
}


static ngx_uint_t
ngx_http_conduit_pump_claim(ngx_http_conduit_engine_t *engine,
    ngx_uint_t provider, u_char *id, uint64_t *lease)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;

    /* told without the lock; a wrong answer is put right by the tick */

    if (ngx_exiting || zone->sh->providers[provider].waiting == 0) {
        return 0;
    }

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_pump_next_locked(engine, provider);

    if (node) {
        ngx_http_conduit_slot_take_locked(zone, node);
        ngx_http_conduit_node_due_locked(zone, node);

        ngx_memcpy(id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
        *lease = node->lease;
    }

    ngx_http_conduit_zone_unlock(zone);

    return node != NULL;
}


static ngx_http_conduit_task_node_t *
ngx_http_conduit_pump_next_locked(ngx_http_conduit_engine_t *engine,
    ngx_uint_t n)
{
    conduit_rank_node_t           *first;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_lane_t       *lane;
    ngx_http_conduit_provider_t   *provider;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;
    provider = engine->providers[n];

    if (provider == NULL || provider->type == NGX_HTTP_CONDUIT_WORKER) {
        return NULL;
    }

    for (lane = zone->sh->providers[n].lanes; lane; lane = lane->next) {

        first = conduit_rank_first(&lane->queue);

        if (first == NULL) {
            continue;
        }

        node = ngx_http_conduit_lane_task(first);

        if (!ngx_http_conduit_step_leased_locked(engine, node)
            || !ngx_http_conduit_slot_free_locked(zone, provider))
        {
            return NULL;
        }

        ngx_http_conduit_lane_remove_locked(zone, node);

        return node;
    }

    return NULL;
}


void
ngx_http_conduit_step_perform(ngx_http_conduit_engine_t *engine, u_char *id,
    uint64_t lease)
{
    ngx_http_conduit_work_t    *work;
    ngx_http_conduit_change_t   change;

    work = ngx_http_conduit_work_load(engine, id, lease);

    if (work == NULL) {

        /* no memory, or the task has just ended */

        ngx_http_conduit_change_task(&change, id, lease);

        change.event = CONDUIT_EV_FAIL;
        change.error_code = CONDUIT_ERR_INTERNAL_ERROR;

        (void) ngx_http_conduit_task_advance(engine->cdmcf, &change, NULL,
                                             NULL);
        return;
    }

    if (work->provider->type == NGX_HTTP_CONDUIT_SANDBOX) {
        ngx_http_conduit_sandbox(work);

    } else {
        ngx_http_conduit_run(work);
    }
}


ngx_http_conduit_work_t *
ngx_http_conduit_work_load(ngx_http_conduit_engine_t *engine, u_char *id,
    uint64_t lease)
{
    u_char                        *p;
    size_t                         room, need;
    ngx_pool_t                    *pool;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_work_t       *work;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;

    pool = ngx_create_pool(2048, engine->log);
    if (pool == NULL) {
        return NULL;
    }

    work = ngx_pcalloc(pool, sizeof(ngx_http_conduit_work_t));
    if (work == NULL) {
        goto failed;
    }

    room = 1024;

    for ( ;; ) {

        p = ngx_pnalloc(pool, room);
        if (p == NULL) {
            goto failed;
        }

        ngx_http_conduit_zone_lock(zone);

        node = ngx_http_conduit_node_find_locked(zone, id);

        if (node == NULL || node->lease != lease) {
            ngx_http_conduit_zone_unlock(zone);
            goto failed;
        }

        need = node->request.len + node->run.len;

        if (need <= room) {
            break;
        }

        ngx_http_conduit_zone_unlock(zone);

        room = need;
    }

    work->provider = engine->providers[node->lane->provider];
    work->kind = node->kind;
    work->status = node->status;
    work->step = node->step;
    work->attempts = node->attempts;
    work->progress = node->progress;
    work->started = node->started;
    work->deadline = node->deadline;

    work->request.len = node->request.len;
    work->prompt.len = node->prompt_len;
    work->run.len = node->run.len;

    work->request.data = p;
    work->prompt.data = p + node->prompt_off;

    p = ngx_http_conduit_text_copy_locked(&node->request, p);

    work->run.data = p;
    ngx_http_conduit_text_copy_locked(&node->run, p);

    ngx_http_conduit_zone_unlock(zone);

    work->pool = pool;
    work->cdmcf = engine->cdmcf;
    work->lease = lease;
    ngx_memcpy(work->id, id, NGX_HTTP_CONDUIT_ID_LEN);

    if (work->provider && ngx_http_conduit_work_split(work) == NGX_OK) {
        return work;
    }

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


/* alias LF upstream LF state */

static ngx_int_t
ngx_http_conduit_work_split(ngx_http_conduit_work_t *work)
{
    u_char  *p, *last;

    last = work->run.data + work->run.len;

    p = ngx_strlchr(work->run.data, last, LF);
    if (p == NULL) {
        return NGX_ERROR;
    }

    work->alias.data = work->run.data;
    work->alias.len = p - work->alias.data;

    work->upstream.data = p + 1;

    p = ngx_strlchr(p + 1, last, LF);
    if (p == NULL) {
        return NGX_ERROR;
    }

    work->upstream.len = p - work->upstream.data;

    work->run.data = p + 1;
    work->run.len = last - work->run.data;

    return NGX_OK;
}
