
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_random.h>
#include <ngx_http_conduit_draft.h>
#include <conduit_request.h>
#include <conduit_time.h>


static ngx_int_t ngx_http_conduit_create_make(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_draft_t *draft);
static ngx_int_t ngx_http_conduit_create_draft(
    ngx_http_conduit_create_t *create, ngx_http_conduit_draft_t *draft);
static ngx_int_t ngx_http_conduit_create_document(
    ngx_http_conduit_draft_t *draft);
static ngx_int_t ngx_http_conduit_create_reply(
    ngx_http_conduit_draft_t *draft);
static ngx_int_t ngx_http_conduit_create_limits_locked(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_create_t *create);
static ngx_int_t ngx_http_conduit_create_fill_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_draft_t *draft,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_create_texts_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_draft_t *draft,
    ngx_http_conduit_task_node_t *node);


ngx_int_t
ngx_http_conduit_task_create(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create)
{
    ngx_int_t                 rc;
    ngx_http_conduit_draft_t  draft;

    if (create->digest) {
        rc = ngx_http_conduit_replay(cdmcf, create);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (ngx_http_conduit_model_bind(cdmcf, create->model) != NGX_OK) {
        return NGX_HTTP_CONDUIT_ZONE_FULL;
    }

    if (ngx_http_conduit_create_draft(create, &draft) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = cdmcf->store->durable ? ngx_http_conduit_create_keep(cdmcf, &draft)
                               : ngx_http_conduit_create_make(cdmcf, &draft);

    /* the same request may have come in by another worker meanwhile */

    return (rc == NGX_HTTP_CONDUIT_REPLAY)
           ? ngx_http_conduit_replay(cdmcf, create) : rc;
}


static ngx_int_t
ngx_http_conduit_create_make(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_draft_t *draft)
{
    ngx_int_t                      rc;
    ngx_uint_t                     position;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_news_t        news;
    ngx_http_conduit_create_t     *create;
    ngx_http_conduit_task_node_t  *node;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;
    create = draft->create;

    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));

    ngx_http_conduit_zone_lock(zone);

    rc = ngx_http_conduit_create_node_locked(cdmcf, draft, &node, &idem);

    if (rc == NGX_OK) {
        ngx_http_conduit_node_link_locked(zone, node);

        position = ngx_http_conduit_create_start_locked(cdmcf->engine, node,
                                                        draft->provider,
                                                        &news);
        draft->lease = node->lease;

        ngx_http_conduit_create_finish_reply(&draft->reply, position);

        if (idem && !create->sync) {
            ngx_http_conduit_text_shrink_locked(&idem->reply,
                                                draft->reply.data,
                                                draft->reply.len);
            idem->code = NGX_HTTP_ACCEPTED;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    if (rc != NGX_OK) {
        return rc;
    }

    create->reply = draft->reply;
    create->code = NGX_HTTP_ACCEPTED;

    ngx_http_conduit_create_after(cdmcf->engine, create->id, create->kind,
                                  draft->lease, &news);
    return NGX_OK;
}


void
ngx_http_conduit_create_after(ngx_http_conduit_engine_t *engine, u_char *id,
    ngx_uint_t kind, uint64_t lease, ngx_http_conduit_news_t *news)
{
    (void) ngx_atomic_fetch_add(
                     &engine->cdmcf->zone.sh->counters.created[kind], 1);

    ngx_http_conduit_news_spread(engine, id, news);

    if (lease) {
        ngx_http_conduit_step_perform(engine, id, lease);
    }
}


/* everything that can be made before the lock is taken */

static ngx_int_t
ngx_http_conduit_create_draft(ngx_http_conduit_create_t *create,
    ngx_http_conduit_draft_t *draft)
{
    u_char  *p;

    ngx_memzero(draft, sizeof(ngx_http_conduit_draft_t));

    draft->create = create;
    draft->provider = create->model->provider;

    if (ngx_conduit_random_bytes(create->id, NGX_HTTP_CONDUIT_ID_LEN)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* so that hosts which share a store keep both in one place */

    if (create->digest) {
        create->id[0] = create->digest[0];
    }

    conduit_uuid_make(create->id);

    draft->run.len = ngx_http_conduit_run_head_len(create->model);

    p = ngx_pnalloc(create->pool, draft->run.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    draft->run.data = p;
    ngx_http_conduit_run_head(p, create->model);

    if (ngx_http_conduit_create_document(draft) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_create_reply(draft);
}


static ngx_int_t
ngx_http_conduit_create_document(ngx_http_conduit_draft_t *draft)
{
    u_char                       *p;
    ngx_str_t                    *alias;
    ngx_time_t                   *tp;
    ngx_http_conduit_create_t    *create;
    ngx_http_conduit_document_t  *doc;

    create = draft->create;
    doc = &draft->doc;
    tp = ngx_timeofday();

    doc->id = create->id;
    doc->kind = create->kind;
    doc->status = CONDUIT_PENDING;
    doc->eta = -1;
    doc->sequence = 1;
    doc->created = (int64_t) tp->sec * 1000 + tp->msec;
    doc->updated = doc->created;
    doc->metadata = create->metadata;

    if (doc->metadata.len == 0) {
        ngx_str_set(&doc->metadata, "{}");
    }

    ngx_http_conduit_document_webhook(doc, create->hooks);

    alias = &create->model->alias;

    p = ngx_pnalloc(create->pool, alias->len + 2
                    + ngx_escape_json(NULL, alias->data, alias->len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    doc->model.data = p;
    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, alias->data, alias->len);
    *p++ = '"';
    doc->model.len = p - doc->model.data;

    p = ngx_pnalloc(create->pool, ngx_http_conduit_document_size(doc));
    if (p == NULL) {
        return NGX_ERROR;
    }

    draft->document.data = p;
    draft->document.len = ngx_http_conduit_document_write(doc, p) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_create_reply(ngx_http_conduit_draft_t *draft)
{
    u_char                     *p, id[CONDUIT_UUID_LEN];
    size_t                      size;
    ngx_http_conduit_create_t  *create;

    create = draft->create;

    size = 256 + 2 * CONDUIT_UUID_LEN + CONDUIT_TIME_LEN
           + create->location.len + CONDUIT_UUID_LEN
           + NGX_HTTP_CONDUIT_REPLY_TAIL;

    p = ngx_pnalloc(create->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    draft->reply.data = p;

    conduit_uuid_write(id, create->id);

    p = ngx_http_conduit_put(p, "{\"task_id\":\"");
    p = ngx_cpymem(p, id, CONDUIT_UUID_LEN);
    p = ngx_http_conduit_put(p, "\",\"taskId\":\"");
    p = ngx_cpymem(p, id, CONDUIT_UUID_LEN);
    p = ngx_http_conduit_put(p, "\",\"status\":\"pending\","
                                "\"created_at\":\"");
    p = conduit_time_write(p, draft->doc.created);
    p = ngx_http_conduit_put(p, "\",\"check_status_url\":\"");
    p = ngx_cpymem(p, create->location.data, create->location.len);
    *p++ = '/';
    p = ngx_cpymem(p, id, CONDUIT_UUID_LEN);
    p = ngx_http_conduit_put(p, "\",\"progress\":0,\"queue_position\":");

    draft->reply.len = p - draft->reply.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_create_limits_locked(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create)
{
    ngx_http_conduit_sh_t             *sh;
    ngx_http_conduit_key_node_t       *key;
    ngx_http_conduit_provider_t       *provider;
    ngx_http_conduit_provider_node_t  *pn;

    sh = cdmcf->zone.sh;
    provider = create->model->provider;
    key = create->key;

    /* those of other hosts are known with a delay of a second */

    if (create->limit && key->live + key->away_live >= create->limit) {
        return NGX_HTTP_CONDUIT_LIMIT_KEY;
    }

    if (sh->live + sh->away_live >= cdmcf->task_limit_total) {
        return NGX_HTTP_CONDUIT_LIMIT_TOTAL;
    }

    pn = &sh->providers[provider->index];

    if (provider->queue && pn->waiting + pn->away_waiting >= provider->queue) {
        return NGX_HTTP_CONDUIT_QUEUE_FULL;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_create_node_locked(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_draft_t *draft, ngx_http_conduit_task_node_t **nodep,
    ngx_http_conduit_idem_node_t **idemp)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_create_t     *create;
    ngx_http_conduit_task_node_t  *node;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;
    create = draft->create;
    idem = NULL;

    if (create->digest
        && ngx_http_conduit_idem_find_locked(zone, create->digest))
    {
        return NGX_HTTP_CONDUIT_REPLAY;
    }

    rc = ngx_http_conduit_create_limits_locked(cdmcf, create);

    if (rc != NGX_OK) {
        return rc;
    }

    node = ngx_http_conduit_zone_tight_locked(zone)
           ? NULL : ngx_http_conduit_node_alloc_locked(zone);

    if (node == NULL
        || ngx_http_conduit_create_fill_locked(zone, draft, node) != NGX_OK)
    {
        goto full;
    }

    if (create->digest) {
        idem = ngx_http_conduit_idem_insert_locked(zone, create->digest,
                                                   create->fingerprint,
                                                   create->id);
        if (idem == NULL) {
            goto full;
        }

        /* room for the reply is taken before there is no way back */

        if (!create->sync
            && ngx_http_conduit_text_set_locked(zone, &idem->reply,
                                                draft->reply.data,
                                                draft->reply.len
                                                + NGX_HTTP_CONDUIT_REPLY_TAIL)
               != NGX_OK)
        {
            goto full;
        }
    }

    *nodep = node;
    *idemp = idem;

    return NGX_OK;

full:

    if (idem) {
        ngx_http_conduit_idem_free_locked(zone, idem);
    }

    if (node) {
        ngx_http_conduit_node_free_locked(zone, node);
    }

    zone->sh->counters.nomem++;

    return NGX_HTTP_CONDUIT_ZONE_FULL;
}


static ngx_int_t
ngx_http_conduit_create_fill_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_draft_t *draft, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_create_t  *create;

    create = draft->create;

    ngx_memcpy(node->id, create->id, NGX_HTTP_CONDUIT_ID_LEN);

    node->key = create->key;
    node->lane = create->model->lane;
    node->kind = (u_char) create->kind;
    node->status = CONDUIT_PENDING;
    node->sequence = 1;
    node->number = ngx_http_conduit_node_number_locked(zone);
    node->created = draft->doc.created;
    node->updated = draft->doc.created;
    node->timeout = create->timeout;
    node->deadline = ngx_current_msec + create->timeout;
    node->hooks = (u_char) create->hooks;

    if (create->hooks && create->metadata.len) {
        node->hooks |= CONDUIT_HOOK_METADATA;
    }

    return ngx_http_conduit_create_texts_locked(zone, draft, node);
}


ngx_uint_t
ngx_http_conduit_create_start_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_provider_t *provider, ngx_http_conduit_news_t *news)
{
    ngx_http_conduit_step_first_locked(engine, node, provider, news);

    /* nobody knows the task yet, but its key may be watched */

    ngx_http_conduit_news_task_locked(engine, node, news);

    return node->queued
           ? ngx_http_conduit_lane_position_locked(&engine->cdmcf->zone, node)
           : 0;
}


static ngx_int_t
ngx_http_conduit_create_texts_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_draft_t *draft, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_create_t    *create;
    ngx_http_conduit_document_t  *doc;

    doc = &draft->doc;
    create = draft->create;

    node->status_off = (uint32_t) doc->status_off;
    node->position_off = (uint32_t) doc->position_off;
    node->model_off = (uint32_t) doc->model_off;
    node->model_len = (uint32_t) doc->model.len;
    node->metadata_off = (uint32_t) doc->metadata_off;
    node->metadata_len = (uint32_t) doc->metadata.len;
    node->prompt_off = (uint32_t) (create->prompt.data - create->request.data);
    node->prompt_len = (uint32_t) create->prompt.len;
    node->head_len = (uint32_t) draft->run.len;

    if (ngx_http_conduit_text_set_locked(zone, &node->document,
                                         draft->document.data,
                                         draft->document.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_conduit_text_set_locked(zone, &node->request,
                                         create->request.data,
                                         create->request.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_conduit_text_set_locked(zone, &node->run, draft->run.data,
                                         draft->run.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_conduit_text_set_locked(zone, &node->webhook,
                                            create->webhook.data,
                                            create->webhook.len);
}


void
ngx_http_conduit_create_finish_reply(ngx_str_t *reply, ngx_uint_t position)
{
    u_char  *p;

    p = reply->data + reply->len;

    p = position ? conduit_number_write(p, position)
                 : ngx_http_conduit_put(p, "null");
    *p++ = '}';

    reply->len = p - reply->data;
}
