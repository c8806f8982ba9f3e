
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_advance.h>
#include <conduit_request.h>


/* Nodes as the store keeps them. */


static void ngx_http_conduit_record_lane(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_record_t *record, ngx_http_conduit_lane_t *lane);
static void ngx_http_conduit_record_hook(ngx_http_conduit_advance_t *adv);
static ngx_uint_t ngx_http_conduit_record_step(
    ngx_http_conduit_advance_t *adv);


/* names lie in shared memory, and neither they nor what bears them goes away */

void
ngx_http_conduit_record_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_record_t *record, ngx_http_conduit_task_node_t *node)
{
    ngx_time_t  *tp;

    ngx_memzero(record, sizeof(ngx_http_conduit_record_t));
    ngx_memcpy(record->id, node->id, NGX_HTTP_CONDUIT_ID_LEN);

    tp = ngx_timeofday();

    record->number = node->number;
    record->sequence = node->sequence;
    record->created = node->created;
    record->started = node->started;
    record->updated = node->updated;
    record->completed = node->completed;
    record->deadline = (int64_t) tp->sec * 1000 + tp->msec
                       + (ngx_msec_int_t) (node->deadline - ngx_current_msec);
    record->timeout = node->timeout;

    record->status_off = node->status_off;
    record->position_off = node->position_off;
    record->model_off = node->model_off;
    record->model_len = node->model_len;
    record->metadata_off = node->metadata_off;
    record->metadata_len = node->metadata_len;
    record->result_off = node->result_off;
    record->result_len = node->result_len;
    record->error_off = node->error_off;
    record->error_len = node->error_len;
    record->prompt_off = node->prompt_off;
    record->prompt_len = node->prompt_len;
    record->head_len = node->head_len;
    record->shown = node->shown;

    record->kind = node->kind;
    record->status = node->status;
    record->step = node->step;
    record->progress = node->progress;
    record->attempts = node->attempts;
    record->error_code = node->error_code;
    record->hooks = node->hooks;
    record->remote = node->remote;
    record->local = node->local;
    record->doubt = node->doubt;
    record->followed = ngx_http_conduit_news_followed(node->followed);
    record->key_followed = ngx_http_conduit_news_followed(
                                                     node->key->followed);

    record->key.len = node->key->len;
    record->key.data = node->key->name;

    ngx_http_conduit_record_lane(zone, record, node->lane);
}


void
ngx_http_conduit_record_restore_locked(ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_record_t *record)
{
    node->number = record->number;
    node->sequence = record->sequence;
    node->created = record->created;
    node->started = record->started;
    node->updated = record->updated;
    node->completed = record->completed;
    node->timeout = (ngx_msec_t) record->timeout;

    node->status_off = record->status_off;
    node->position_off = record->position_off;
    node->model_off = record->model_off;
    node->model_len = record->model_len;
    node->metadata_off = record->metadata_off;
    node->metadata_len = record->metadata_len;
    node->result_off = record->result_off;
    node->result_len = record->result_len;
    node->error_off = record->error_off;
    node->error_len = record->error_len;
    node->shown = record->shown;

    node->kind = record->kind;
    node->progress = record->progress;
    node->attempts = record->attempts;
    node->error_code = record->error_code;
    node->hooks = record->hooks;
}


static void
ngx_http_conduit_record_lane(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_record_t *record, ngx_http_conduit_lane_t *lane)
{
    ngx_http_conduit_provider_node_t  *provider;

    provider = &zone->sh->providers[lane->provider];

    record->provider.len = provider->len;
    record->provider.data = provider->name;
    record->lane.len = lane->len;
    record->lane.data = lane->model;
}


void
ngx_http_conduit_record_advance(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv)
{
    ngx_http_conduit_change_t    *change;
    ngx_http_conduit_record_t    *record;
    ngx_http_conduit_document_t  *doc;

    change = adv->change;
    record = &adv->record;
    doc = &adv->doc;

    record->step = (u_char) ngx_http_conduit_record_step(adv);

    if (change->model) {
        ngx_http_conduit_record_lane(&engine->cdmcf->zone, record,
                                     change->model->lane);
        record->attempts = 0;
    }

    if (adv->run.data) {
        record->run = adv->run;
        record->head_len = (uint32_t) adv->head.len;

    } else if (adv->final && record->step == NGX_HTTP_CONDUIT_STEP_NONE) {
        ngx_str_set(&record->run, "");
        record->head_len = 0;
    }

    if (!adv->visible) {
        return;
    }

    ngx_http_conduit_record_hook(adv);

    record->document = adv->document;
    record->status_off = (uint32_t) doc->status_off;
    record->position_off = (uint32_t) doc->position_off;
    record->model_off = (uint32_t) doc->model_off;
    record->metadata_off = (uint32_t) doc->metadata_off;
    record->result_off = (uint32_t) doc->result_off;
    record->result_len = (uint32_t) doc->result_len;
    record->error_off = (uint32_t) doc->error_off;
    record->error_len = (uint32_t) doc->error_len;
    record->shown = adv->shown;

    record->sequence = doc->sequence;
    record->started = doc->started;
    record->updated = doc->updated;
    record->completed = doc->completed;
    record->status = (u_char) adv->status;
    record->progress = (u_char) doc->progress;
    record->error_code = (u_char) doc->error_code;

    if (adv->final) {
        record->deadline = doc->expires;

    } else if (adv->retry) {
        record->retry = 1;
        record->deadline = doc->updated + record->timeout;
        record->attempts = 0;
    }
}


/* the event of the change; progress is not kept, nor is its webhook */

static void
ngx_http_conduit_record_hook(ngx_http_conduit_advance_t *adv)
{
    ngx_http_conduit_kept_hook_t   *hook;
    ngx_http_conduit_hook_draft_t  *draft;

    draft = &adv->hook.draft;

    if (adv->hook.pool == NULL || adv->gone
        || draft->event == CONDUIT_HOOK_PROGRESS)
    {
        return;
    }

    hook = &adv->kept_hook;

    ngx_memzero(hook, sizeof(ngx_http_conduit_kept_hook_t));
    ngx_memcpy(hook->id, draft->id, CONDUIT_BASE62_LEN);
    ngx_memcpy(hook->origin, draft->origin, NGX_HTTP_CONDUIT_ID_LEN);

    hook->event = (u_char) draft->event;
    hook->state = NGX_HTTP_CONDUIT_HOOK_PENDING;
    hook->sequence = draft->sequence;
    hook->created = draft->created;
    hook->updated = draft->created;
    hook->next = draft->created;
    hook->rate = draft->rate;
    hook->span = draft->span;
    hook->jose = draft->jose;
    hook->body = draft->body;

    adv->record.hook = hook;
}


ngx_uint_t
ngx_http_conduit_record_hook_locked(ngx_http_conduit_kept_hook_t *kept,
    ngx_http_conduit_hook_node_t *hook)
{
    ngx_time_t                    *tp;
    ngx_http_conduit_task_node_t  *task;

    if (hook->task == NULL || hook->event == CONDUIT_HOOK_PROGRESS) {
        return 0;
    }

    tp = ngx_timeofday();

    ngx_memzero(kept, sizeof(ngx_http_conduit_kept_hook_t));
    ngx_memcpy(kept->id, hook->id, CONDUIT_BASE62_LEN);
    ngx_memcpy(kept->origin, hook->origin->digest, NGX_HTTP_CONDUIT_ID_LEN);

    kept->event = hook->event;
    kept->state = hook->state;
    kept->sequence = hook->sequence;
    kept->created = hook->created;
    kept->updated = hook->updated;
    kept->delivered = hook->delivered;
    kept->next = (int64_t) tp->sec * 1000 + tp->msec
                 + (ngx_msec_int_t) (hook->next_at - ngx_current_msec);
    kept->attempts = hook->attempts;
    kept->tries = hook->tries;
    kept->last_status = hook->last_status;
    kept->last_failure = hook->last_failure;
    kept->jose = hook->jose;

    task = hook->task;

    ngx_memcpy(kept->task, task->id, NGX_HTTP_CONDUIT_ID_LEN);
    kept->deadline = (int64_t) tp->sec * 1000 + tp->msec
                     + (ngx_msec_int_t) (task->deadline - ngx_current_msec);
    kept->posted = task->posted;
    kept->owed = (task->owed != 0);
    kept->handed = task->handed;

    return 1;
}


/* a step that nobody performs after a restart begins with the queue again */

static ngx_uint_t
ngx_http_conduit_record_step(ngx_http_conduit_advance_t *adv)
{
    ngx_http_conduit_change_t  *change;

    change = adv->change;

    if (adv->final) {
        return (change->lease == 0
                && adv->record.step == NGX_HTTP_CONDUIT_STEP_POLL)
               ? NGX_HTTP_CONDUIT_STEP_CANCEL : NGX_HTTP_CONDUIT_STEP_NONE;
    }

    if (conduit_status_terminal(adv->status)
        || change->step == NGX_HTTP_CONDUIT_STEP_POLL)
    {
        return change->step;
    }

    return NGX_HTTP_CONDUIT_STEP_QUEUED;
}


/* a copy of all that is kept of a task */

ngx_int_t
ngx_http_conduit_task_record(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    ngx_pool_t *pool, ngx_uint_t texts, ngx_http_conduit_record_t *record)
{
    u_char                        *p;
    size_t                         room, need;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    room = 1024;

    for ( ;; ) {

        p = ngx_pnalloc(pool, room);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_http_conduit_zone_lock(zone);

        node = ngx_http_conduit_node_find_locked(zone, id);

        if (node == NULL) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_DECLINED;
        }

        need = node->document.len;

        if (texts) {
            need += node->request.len + node->run.len + node->webhook.len;
        }

        if (need <= room) {
            break;
        }

        ngx_http_conduit_zone_unlock(zone);

        room = need;
    }

    ngx_http_conduit_record_locked(zone, record, node);

    record->position = ngx_http_conduit_task_position_locked(zone, node);

    record->document.data = p;
    record->document.len = node->document.len;
    p = ngx_http_conduit_text_copy_locked(&node->document, p);

    if (texts) {
        record->request.data = p;
        record->request.len = node->request.len;
        p = ngx_http_conduit_text_copy_locked(&node->request, p);

        record->run.data = p;
        record->run.len = node->run.len;
        p = ngx_http_conduit_text_copy_locked(&node->run, p);

        record->webhook.data = p;
        record->webhook.len = node->webhook.len;
        ngx_http_conduit_text_copy_locked(&node->webhook, p);

        /* a step that nobody performs begins with the queue again */

        if (record->step != NGX_HTTP_CONDUIT_STEP_POLL
            && record->step != NGX_HTTP_CONDUIT_STEP_CANCEL)
        {
            record->step = (record->status > 1) ? NGX_HTTP_CONDUIT_STEP_NONE
                                                : NGX_HTTP_CONDUIT_STEP_QUEUED;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return NGX_OK;
}
