
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_random.h>
#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_store.h>
#include <conduit_time.h>


typedef struct {
    ngx_http_conduit_create_t        *create;
    ngx_http_conduit_provider_t      *provider;
    ngx_http_conduit_document_t       doc;
    ngx_str_t                         document;
    ngx_str_t                         run;
    ngx_str_t                         reply;       /* up to the position */
    u_char                           *last;        /* of the reply's room */
    uint64_t                          lease;       /* claimed here */
} ngx_http_conduit_draft_t;


static ngx_int_t ngx_http_conduit_create_draft(
    ngx_http_conduit_create_t *create, ngx_http_conduit_draft_t *draft);
static ngx_int_t ngx_http_conduit_create_document(
    ngx_http_conduit_draft_t *draft);
static ngx_int_t ngx_http_conduit_create_reply(
    ngx_http_conduit_draft_t *draft);
static ngx_int_t ngx_http_conduit_create_replay_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_create_t *create);
static ngx_int_t ngx_http_conduit_create_limits_locked(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_create_t *create);
static ngx_int_t ngx_http_conduit_create_node_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_draft_t *draft,
    ngx_http_conduit_news_t *news);
static ngx_int_t ngx_http_conduit_create_texts_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_draft_t *draft,
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_create_finish_reply(
    ngx_http_conduit_draft_t *draft, ngx_uint_t position);
static ngx_int_t ngx_http_conduit_replay(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create);


ngx_int_t
ngx_http_conduit_task_create(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create)
{
    ngx_int_t                   rc;
    ngx_http_conduit_zone_t    *zone;
    ngx_http_conduit_news_t     news;
    ngx_http_conduit_draft_t    draft;

    zone = &cdmcf->zone;

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

    if (ngx_http_conduit_task_commit(cdmcf, &draft.doc, create->key,
                                     &draft.document, &draft.run)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));

    ngx_http_conduit_zone_lock(zone);

    /* the same request may have come in by another worker meanwhile */

    rc = ngx_http_conduit_create_replay_locked(zone, create);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_conduit_create_limits_locked(cdmcf, create);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_create_node_locked(cdmcf->engine, &draft, &news);
    }

    ngx_http_conduit_zone_unlock(zone);

    if (rc == NGX_HTTP_CONDUIT_REPLAY) {
        return ngx_http_conduit_replay(cdmcf, create);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    (void) ngx_atomic_fetch_add(&zone->sh->counters.created[create->kind], 1);

    ngx_http_conduit_news_spread(cdmcf->engine, create->id, &news);

    if (draft.lease) {
        ngx_http_conduit_step_perform(cdmcf->engine, create->id, draft.lease);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_task_commit(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_document_t *doc, ngx_http_conduit_key_node_t *key,
    ngx_str_t *document, ngx_str_t *run)
{
    ngx_http_conduit_record_t  record;

    ngx_memzero(&record, sizeof(ngx_http_conduit_record_t));
    ngx_memcpy(record.id, doc->id, NGX_HTTP_CONDUIT_ID_LEN);

    if (key) {
        record.key.len = key->len;
        record.key.data = key->name;
    }

    record.sequence = doc->sequence;
    record.status = doc->status;
    record.document = *document;
    record.run = *run;

    return cdmcf->store->commit(cdmcf->store, &record, NULL, NULL);
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

    create->id[6] = (create->id[6] & 0x0f) | 0x40;
    create->id[8] = (create->id[8] & 0x3f) | 0x80;

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
           + create->location.len + CONDUIT_UUID_LEN + NGX_INT_T_LEN;

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


/* NGX_DECLINED: go on; NGX_HTTP_CONDUIT_REPLAY: unlock and replay() */

static ngx_int_t
ngx_http_conduit_create_replay_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_create_t *create)
{
    if (create->digest
        && ngx_http_conduit_idem_find_locked(zone, create->digest))
    {
        return NGX_HTTP_CONDUIT_REPLAY;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_create_limits_locked(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create)
{
    ngx_http_conduit_sh_t        *sh;
    ngx_http_conduit_provider_t  *provider;

    sh = cdmcf->zone.sh;
    provider = create->model->provider;

    if (create->limit && create->key->live >= create->limit) {
        return NGX_HTTP_CONDUIT_LIMIT_KEY;
    }

    if (sh->live >= cdmcf->task_limit_total) {
        return NGX_HTTP_CONDUIT_LIMIT_TOTAL;
    }

    if (provider->queue
        && sh->providers[provider->index].waiting >= provider->queue)
    {
        return NGX_HTTP_CONDUIT_QUEUE_FULL;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_create_node_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_draft_t *draft, ngx_http_conduit_news_t *news)
{
    ngx_uint_t                     position;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_create_t     *create;
    ngx_http_conduit_task_node_t  *node;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &engine->cdmcf->zone;
    create = draft->create;
    idem = NULL;

    node = ngx_http_conduit_zone_tight_locked(zone)
           ? NULL : ngx_http_conduit_node_alloc_locked(zone);

    if (node == NULL) {
        goto full;
    }

    ngx_memcpy(node->id, create->id, NGX_HTTP_CONDUIT_ID_LEN);

    node->key = create->key;
    node->lane = create->model->lane;
    node->kind = (u_char) create->kind;
    node->status = CONDUIT_PENDING;
    node->sequence = 1;
    node->created = draft->doc.created;
    node->updated = draft->doc.created;
    node->timeout = create->timeout;
    node->deadline = ngx_current_msec + create->timeout;
    node->hooks = (u_char) create->hooks;

    if (ngx_http_conduit_create_texts_locked(zone, draft, node) != NGX_OK) {
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
                                                + NGX_INT_T_LEN)
               != NGX_OK)
        {
            goto full;
        }
    }

    ngx_http_conduit_node_link_locked(zone, node);
    ngx_http_conduit_step_first_locked(engine, node, draft->provider, news);

    draft->lease = node->lease;

    position = node->queued
               ? ngx_http_conduit_lane_position_locked(zone, node) : 0;

    ngx_http_conduit_create_finish_reply(draft, position);

    if (idem && !create->sync) {
        ngx_http_conduit_text_shrink_locked(&idem->reply, draft->reply.data,
                                            draft->reply.len);
        idem->code = NGX_HTTP_ACCEPTED;
    }

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


static void
ngx_http_conduit_create_finish_reply(ngx_http_conduit_draft_t *draft,
    ngx_uint_t position)
{
    u_char  *p;

    p = draft->reply.data + draft->reply.len;

    p = position ? conduit_number_write(p, position)
                 : ngx_http_conduit_put(p, "null");
    *p++ = '}';

    draft->reply.len = p - draft->reply.data;

    draft->create->reply = draft->reply;
    draft->create->code = NGX_HTTP_ACCEPTED;
}


/* NGX_DECLINED: the Idempotency-Key has not been used yet */

static ngx_int_t
ngx_http_conduit_replay(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create)
{
    size_t                         len, size;
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;
    size = 0;

    for ( ;; ) {
        len = 0;
        rc = NGX_DECLINED;

        ngx_http_conduit_zone_lock(zone);

        idem = ngx_http_conduit_idem_find_locked(zone, create->digest);

        if (idem) {
            ngx_memcpy(create->id, idem->id, NGX_HTTP_CONDUIT_ID_LEN);
            create->code = idem->code;
            len = idem->reply.len;

            if (ngx_memcmp(idem->fingerprint, create->fingerprint, 32) != 0) {
                rc = NGX_HTTP_CONDUIT_MISMATCH;

            } else if (idem->code == 0
                       && idem->owner != NGX_HTTP_CONDUIT_NOBODY)
            {
                rc = NGX_HTTP_CONDUIT_IN_PROGRESS;

            } else {
                rc = NGX_HTTP_CONDUIT_REPLAY;

                if (idem->code == 0) {
                    idem->owner = (u_char) zone->cell;
                    len = 0;

                } else if (len <= size) {
                    ngx_http_conduit_text_copy_locked(&idem->reply,
                                                      create->reply.data);
                }
            }
        }

        ngx_http_conduit_zone_unlock(zone);

        create->reply.len = len;

        if (rc != NGX_HTTP_CONDUIT_REPLAY || len <= size) {
            return rc;
        }

        size = len;

        create->reply.data = ngx_pnalloc(create->pool, size);
        if (create->reply.data == NULL) {
            return NGX_ERROR;
        }
    }
}


void
ngx_http_conduit_task_keep_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest, ngx_uint_t code, ngx_str_t *reply)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    idem = ngx_http_conduit_idem_find_locked(zone, digest);

    if (idem && idem->code == 0) {

        if (ngx_http_conduit_text_set_locked(zone, &idem->reply, reply->data,
                                             reply->len)
            == NGX_OK)
        {
            idem->code = (u_short) code;

        } else {

            /* whoever repeats the request waits for the same task */

            idem->owner = NGX_HTTP_CONDUIT_NOBODY;
        }
    }

    ngx_http_conduit_zone_unlock(zone);
}


void
ngx_http_conduit_task_release_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    idem = ngx_http_conduit_idem_find_locked(zone, digest);

    if (idem && idem->code == 0) {
        idem->owner = NGX_HTTP_CONDUIT_NOBODY;
    }

    ngx_http_conduit_zone_unlock(zone);
}


void
ngx_http_conduit_task_drop_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    idem = ngx_http_conduit_idem_find_locked(zone, digest);

    if (idem && idem->code == 0) {
        ngx_http_conduit_idem_free_locked(zone, idem);
    }

    ngx_http_conduit_zone_unlock(zone);
}
