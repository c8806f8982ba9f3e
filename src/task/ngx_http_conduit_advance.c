
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_advance.h>
#include <ngx_http_conduit_watch.h>


/*
 * What a change makes of a task.  The document is written outside of the
 * lock: what it takes over from the old one is copied out first, and the
 * change is applied only if the sequence is still the same.
 */


static ngx_uint_t ngx_http_conduit_advance_kept(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_advance_t *adv,
    ngx_http_conduit_task_node_t *node);
static uint32_t ngx_http_conduit_advance_shown(
    ngx_http_conduit_advance_t *adv);
static ngx_int_t ngx_http_conduit_advance_run(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_advance_t *adv);
static ngx_int_t ngx_http_conduit_advance_run_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_advance_t *adv,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_advance_status_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_advance_t *adv,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_advance_step_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_advance_t *adv,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_advance_end_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_advance_t *adv,
    ngx_http_conduit_task_node_t *node);


ngx_int_t
ngx_http_conduit_advance_check_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t **nodep)
{
    ngx_http_conduit_name_t       *name;
    ngx_http_conduit_change_t     *change;
    ngx_http_conduit_task_node_t  *node;

    change = adv->change;
    name = &change->name;

    node = ngx_http_conduit_node_find_locked(&engine->cdmcf->zone, name->id);

    if (node == NULL
        || (name->key && node->key != name->key)
        || (name->kind != NGX_HTTP_CONDUIT_ANY && node->kind != name->kind))
    {
        return NGX_DECLINED;
    }

    *nodep = node;

    /* an owner whose task has ended learns that first, then of its lease */

    if (change->quiet) {
        adv->status = node->status;

    } else {

        adv->event = change->event;

        /* nobody is to try again: what would be given back has failed */

        if (change->event == CONDUIT_EV_REQUEUE && change->attempt
            && node->attempts + 1u >= engine->cdmcf->task_attempts)
        {
            adv->event = CONDUIT_EV_FAIL;
        }

        if (conduit_task_next(node->status, adv->event, &adv->status)
            != CONDUIT_OK)
        {
            return NGX_HTTP_CONDUIT_FINAL;
        }
    }

    if (change->lease && change->lease != node->lease) {
        return conduit_status_terminal(node->status)
               ? NGX_HTTP_CONDUIT_FINAL : NGX_HTTP_CONDUIT_LEASE_LOST;
    }

    return node->ticket ? NGX_BUSY : NGX_OK;
}


void
ngx_http_conduit_advance_copy_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node)
{
    u_char                       *p;
    ngx_time_t                   *tp;
    ngx_http_conduit_change_t    *change;
    ngx_http_conduit_document_t  *doc;

    change = adv->change;
    doc = &adv->doc;
    tp = ngx_timeofday();

    adv->sequence = node->sequence;
    adv->retry = (adv->event == CONDUIT_EV_RETRY && !change->quiet);
    adv->final = conduit_status_terminal(adv->status)
                 && !conduit_status_terminal(node->status);

    doc->id = change->name.id;
    doc->kind = node->kind;
    doc->status = adv->status;
    doc->sequence = node->sequence + 1;

    /* progress that the owner has told may not have come here */

    if (node->remote || node->jump) {
        doc->sequence += NGX_HTTP_CONDUIT_JUMP
                         * (uint64_t) ngx_max(node->jumps + node->remote, 1);
    }

    doc->created = node->created;
    doc->started = node->started;

    /* the clock may step back, the times of a document do not */

    doc->updated = (int64_t) tp->sec * 1000 + tp->msec;

    if (doc->updated < node->updated) {
        doc->updated = node->updated;
    }

    p = engine->scratch;

    doc->model.data = p;
    doc->model.len = node->model_len;
    p = ngx_http_conduit_text_slice_locked(&node->document, p,
                                           node->model_off, node->model_len);

    doc->metadata.data = p;
    doc->metadata.len = node->metadata_len;
    p = ngx_http_conduit_text_slice_locked(&node->document, p,
                                           node->metadata_off,
                                           node->metadata_len);

    adv->head.data = p;
    adv->head.len = node->head_len;
    ngx_http_conduit_text_slice_locked(&node->run, p, 0, node->head_len);

    adv->hooks = node->hooks;
    adv->gone = node->gone;
    ngx_http_conduit_document_webhook(doc, node->hooks);

    doc->progress = (change->progress < 0)
                    ? node->progress
                    : conduit_task_progress(node->progress, change->progress);

    if (adv->retry) {
        doc->progress = 0;
        doc->started = 0;
    }

    if (doc->started == 0 && (adv->status == CONDUIT_PROCESSING
                              || adv->status == CONDUIT_COMPLETED))
    {
        doc->started = doc->updated;
        adv->begun = 1;
    }

    doc->eta = change->eta;
    doc->message = change->message;

    adv->shown = ngx_http_conduit_advance_shown(adv);
    adv->visible = !change->quiet
                   && (adv->final || adv->retry || node->shown != adv->shown);

    adv->kept = ngx_http_conduit_advance_kept(engine, adv, node);

    if (adv->kept) {
        ngx_http_conduit_record_locked(&engine->cdmcf->zone, &adv->record,
                                       node);
    }
}


/*
 * Has the store to know before anybody else does?  Progress is not kept, but
 * that there is a job at the provider, that there is none any more, who is
 * asked for it, and the end.
 */

static ngx_uint_t
ngx_http_conduit_advance_kept(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_change_t  *change;

    change = adv->change;

    if (!engine->cdmcf->store->durable) {
        return 0;
    }

    if (adv->final || adv->retry || change->model) {
        return 1;
    }

    if (node->step == NGX_HTTP_CONDUIT_STEP_CANCEL) {
        return change->step == NGX_HTTP_CONDUIT_STEP_NONE;
    }

    if (change->keep || change->run == NULL) {
        return 0;
    }

    return (change->step == NGX_HTTP_CONDUIT_STEP_POLL)
           != (node->step == NGX_HTTP_CONDUIT_STEP_POLL);
}


/* a digest of what a change can show: equal ones make no news */

static uint32_t
ngx_http_conduit_advance_shown(ngx_http_conduit_advance_t *adv)
{
    u_char                        news[2];
    uint32_t                      crc;
    ngx_http_conduit_document_t  *doc;

    doc = &adv->doc;

    news[0] = (u_char) adv->status;
    news[1] = (u_char) doc->progress;

    ngx_crc32_init(crc);
    ngx_crc32_update(&crc, news, 2);
    ngx_crc32_update(&crc, (u_char *) &doc->eta, sizeof(ngx_int_t));
    ngx_crc32_update(&crc, doc->message.data, doc->message.len);
    ngx_crc32_final(crc);

    return crc;
}


ngx_int_t
ngx_http_conduit_advance_draft(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv)
{
    u_char                       *p;
    ngx_http_conduit_change_t    *change;
    ngx_http_conduit_document_t  *doc;

    change = adv->change;
    doc = &adv->doc;

    if ((change->model || change->run)
        && ngx_http_conduit_advance_run(engine, adv) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!adv->visible) {
        return NGX_OK;
    }

    if (adv->final) {
        doc->completed = doc->updated;
        doc->expires = doc->completed + engine->cdmcf->task_ttl;

        if (adv->status == CONDUIT_COMPLETED) {
            doc->progress = 100;
            doc->results = change->results;
            doc->nresults = change->nresults;

        } else {
            doc->error_code = (adv->status == CONDUIT_CANCELLED)
                              ? CONDUIT_ERR_CANCELLED : change->error_code;
            doc->error = change->error;
        }
    }

    p = ngx_alloc(ngx_http_conduit_document_size(doc), engine->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    adv->document.data = p;
    adv->document.len = ngx_http_conduit_document_write(doc, p) - p;

    if (ngx_http_conduit_hook_draft(engine->cdmcf, &adv->hook, doc, adv->hooks,
                                    adv->begun,
                                    adv->event == CONDUIT_EV_PROGRESS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the run text: of another model, or the head it had and a new state */

static ngx_int_t
ngx_http_conduit_advance_run(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv)
{
    u_char                     *p;
    ngx_http_conduit_change_t  *change;

    change = adv->change;

    if (change->model) {
        adv->head.len = ngx_http_conduit_run_head_len(change->model);
    }

    adv->run.len = adv->head.len + (change->run ? change->run->len : 0);

    p = ngx_alloc(adv->run.len, engine->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    adv->run.data = p;

    if (change->model) {
        p = ngx_http_conduit_run_head(p, change->model);

    } else {
        p = ngx_cpymem(p, adv->head.data, adv->head.len);
    }

    if (change->run) {
        ngx_memcpy(p, change->run->data, change->run->len);
    }

    return NGX_OK;
}


void
ngx_http_conduit_advance_free(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv)
{
    ngx_http_conduit_hook_done(engine->cdmcf, &adv->hook);
    ngx_free(adv->run.data);
    ngx_free(adv->document.data);

    adv->run.data = NULL;
    adv->document.data = NULL;
}


ngx_int_t
ngx_http_conduit_advance_apply_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_zone_t      *zone;
    ngx_http_conduit_document_t  *doc;

    zone = &engine->cdmcf->zone;
    doc = &adv->doc;

    adv->stop = node->owner;
    adv->provider = node->lane->provider;

    if (ngx_http_conduit_advance_run_locked(zone, adv, node) != NGX_OK) {
        return NGX_ERROR;
    }

    if (adv->visible) {

        if (ngx_http_conduit_hook_take_locked(zone, &adv->hook, node->key,
                                              node)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (adv->fresh.first) {
            ngx_http_conduit_text_replace_locked(zone, &node->document,
                                                 &adv->fresh);

        } else if (ngx_http_conduit_text_set_locked(zone, &node->document,
                                                    adv->document.data,
                                                    adv->document.len)
                   != NGX_OK)
        {
            ngx_http_conduit_hook_undo_locked(zone, &adv->hook);
            return NGX_ERROR;
        }

        node->status_off = (uint32_t) doc->status_off;
        node->position_off = (uint32_t) doc->position_off;
        node->model_off = (uint32_t) doc->model_off;
        node->metadata_off = (uint32_t) doc->metadata_off;
        node->error_off = (uint32_t) doc->error_off;
        node->error_len = (uint32_t) doc->error_len;
        node->result_off = (uint32_t) doc->result_off;
        node->result_len = (uint32_t) doc->result_len;

        adv->waited = doc->updated - node->updated;

        node->started = doc->started;
        node->updated = doc->updated;
        node->completed = doc->completed;
        node->progress = (u_char) doc->progress;
        node->error_code = (u_char) doc->error_code;
        node->shown = adv->shown;

        /* before what makes the change: it may be told twice, but not never */

        ngx_http_conduit_hook_queue_locked(zone, &adv->hook);
        ngx_http_conduit_advance_status_locked(zone, adv, node);

        node->sequence = doc->sequence;
    }

    ngx_http_conduit_advance_step_locked(engine, adv, node);

    if (adv->visible) {
        ngx_http_conduit_news_task_locked(engine, node, &adv->news);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_advance_run_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_change_t  *change;

    if (adv->run.data == NULL) {
        return NGX_OK;
    }

    if (ngx_http_conduit_text_set_locked(zone, &node->run, adv->run.data,
                                         adv->run.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    change = adv->change;
    node->head_len = (uint32_t) adv->head.len;

    if (change->model) {
        ngx_http_conduit_lane_remove_locked(zone, node);
        ngx_http_conduit_node_slot_locked(zone, node, 0);

        node->lane = change->model->lane;
        node->rank.seq = 0;
        node->attempts = 0;
    }

    return NGX_OK;
}


static void
ngx_http_conduit_advance_status_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node)
{
    /* whoever tries an ended task again has it */

    if (adv->retry && node->remote) {
        ngx_http_conduit_node_remote_locked(zone, node, 0);
    }

    node->jump = 0;

    if (node->remote) {
        node->status = (u_char) adv->status;
        return;
    }

    zone->sh->status[node->status]--;
    zone->sh->status[adv->status]++;

    if (adv->final) {
        zone->sh->live--;
        node->key->live--;
        ngx_http_conduit_hook_promise_locked(zone, node, 0);

        adv->duration = node->completed
                        - (node->started ? node->started : node->created);

    } else if (adv->retry) {
        zone->sh->live++;
        node->key->live++;
        ngx_http_conduit_hook_promise_locked(zone, node, 1);
    }

    node->status = (u_char) adv->status;
}


/* who does what next with the task, and when */

static void
ngx_http_conduit_advance_step_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node)
{
    uint64_t                      lease;
    ngx_http_conduit_zone_t      *zone;
    ngx_http_conduit_change_t    *change;
    ngx_http_conduit_provider_t  *provider;

    zone = &engine->cdmcf->zone;
    change = adv->change;

    if (node->remote) {

        /* what is left to be done for it is up to the other host */

        if (adv->final) {
            node->deadline = ngx_current_msec + engine->cdmcf->task_ttl;
            ngx_http_conduit_node_due_locked(zone, node);
        }

        return;
    }

    if (adv->final) {
        ngx_http_conduit_advance_end_locked(engine, adv, node);
        return;
    }

    if (change->attempt) {
        node->attempts++;
    }

    if (change->keep) {
        return;
    }

    lease = node->lease;
    ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);

    if (adv->retry) {
        node->attempts = 0;
        node->rank.seq = 0;
        node->deadline = ngx_current_msec + node->timeout;
    }

    node->step = (u_char) change->step;
    node->next_at = ngx_current_msec + change->after;

    if (adv->event == CONDUIT_EV_REQUEUE && !change->quiet) {
        ngx_http_conduit_release_locked(engine, node, &adv->news);
        (void) ngx_atomic_fetch_add(&zone->sh->counters.retries, 1);
    }

    if (change->step == NGX_HTTP_CONDUIT_STEP_LEASED) {
        node->lease = lease;
    }

    if (change->step == NGX_HTTP_CONDUIT_STEP_QUEUED) {
        provider = engine->providers[node->lane->provider];

        ngx_http_conduit_step_first_locked(engine, node, provider,
                                           &adv->news);
        adv->lease = node->lease;
        return;
    }

    ngx_http_conduit_node_due_locked(zone, node);
}


/* the end; the last step calls off a job of which no owner would do so */

static void
ngx_http_conduit_advance_end_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_mask_t   owner;
    ngx_http_conduit_zone_t  *zone;

    zone = &engine->cdmcf->zone;

    ngx_http_conduit_lane_remove_locked(zone, node);
    ngx_http_conduit_release_locked(engine, node, &adv->news);

    if (adv->change->lease == 0 && node->step == NGX_HTTP_CONDUIT_STEP_POLL) {
        node->step = NGX_HTTP_CONDUIT_STEP_CANCEL;

    } else {
        node->step = NGX_HTTP_CONDUIT_STEP_NONE;

        /* makes up for a longer document, unless a job has to be called off */

        if (adv->change->lease || adv->stop == NGX_HTTP_CONDUIT_NOBODY) {
            ngx_http_conduit_text_free_locked(zone, &node->run);
            node->head_len = 0;
        }
    }

    ngx_http_conduit_node_own_locked(zone, node, NGX_HTTP_CONDUIT_NOBODY);

    node->next_at = ngx_current_msec;
    node->deadline = ngx_current_msec + engine->cdmcf->task_ttl;

    ngx_http_conduit_node_due_locked(zone, node);

    if (adv->change->lease == 0 && adv->stop != NGX_HTTP_CONDUIT_NOBODY
        && adv->stop != zone->cell)
    {
        ngx_memzero(&owner, sizeof(ngx_http_conduit_mask_t));
        ngx_http_conduit_mask_set(&owner, adv->stop);

        (void) ngx_http_conduit_cell_ring_locked(zone, &owner, node->id,
                                                 &adv->news.wake);
    }
}


void
ngx_http_conduit_advance_after(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv)
{
    u_char                        *id;
    ngx_http_conduit_change_t     *change;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = engine->cdmcf;
    change = adv->change;
    id = change->name.id;

    ngx_http_conduit_news_spread(engine, id, &adv->news);

    if (adv->begun && adv->visible) {
        ngx_http_conduit_count_start(engine, adv->doc.kind, adv->waited);
    }

    if (adv->lease) {
        ngx_http_conduit_step_perform(engine, id, adv->lease);
    }

    if (adv->final) {
        ngx_http_conduit_count_end(engine, &adv->doc, adv->duration);

        if (change->lease == 0 && adv->stop == cdmcf->zone.cell) {
            ngx_http_conduit_run_stop(cdmcf, id);
        }

        ngx_http_conduit_scheduler_wake(cdmcf, 0);

    } else if (!change->keep) {
        ngx_http_conduit_scheduler_wake(cdmcf, change->after);
    }

    if (adv->final || change->model
        || (adv->event == CONDUIT_EV_REQUEUE && !change->quiet))
    {
        ngx_http_conduit_pump(engine, adv->provider);
    }
}
