
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_draft.h>


/*
 * New tasks with a durable store.  A draft in the zone counts and holds its
 * Idempotency-Key, and nobody can see it; it becomes a task, and its client
 * hears of it, when the store has it.
 */


/* a task that the store is about to keep */

typedef struct {
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_create_t        *create;      /* while awaited */
    ngx_http_conduit_outcome_t       *outcome;     /* NULL: nobody waits */
    ngx_http_conduit_provider_t      *provider;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                            digest[32];
    uint64_t                          lease;       /* of the draft */
    uint64_t                          number;
    int64_t                           until;       /* its Idempotency-Key */
    ngx_uint_t                        kind;
    ngx_int_t                         refusal;     /* of a look */
    ngx_http_conduit_used_t           used;
    unsigned                          sync:1;
    unsigned                          idempotent:1;
    ngx_str_t                         reply;
} ngx_http_conduit_making_t;


static ngx_http_conduit_making_t *ngx_http_conduit_create_making(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_draft_t *draft);
static void ngx_http_conduit_create_record(ngx_http_conduit_record_t *record,
    ngx_http_conduit_draft_t *draft, ngx_http_conduit_making_t *making);
static void ngx_http_conduit_create_await(ngx_http_conduit_making_t *making,
    ngx_http_conduit_create_t *create);
static ngx_int_t ngx_http_conduit_create_look(
    ngx_http_conduit_making_t *making, ngx_http_conduit_create_t *create,
    ngx_int_t rc);
static void ngx_http_conduit_create_looked(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_create_used(
    ngx_http_conduit_making_t *making);
static void ngx_http_conduit_create_kept(void *data, ngx_int_t rc);
static void ngx_http_conduit_create_lost(ngx_http_conduit_making_t *making);
static void ngx_http_conduit_create_leave(ngx_http_conduit_making_t *making);
static void ngx_http_conduit_create_told(ngx_http_conduit_making_t *making,
    ngx_int_t rc);
static void ngx_http_conduit_create_publish_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_making_t *making,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news);
static void ngx_http_conduit_create_drop_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_making_t *making, ngx_http_conduit_task_node_t *node);
static ngx_http_conduit_idem_node_t *ngx_http_conduit_create_idem_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_making_t *making);
static ngx_int_t ngx_http_conduit_create_reply_copy(
    ngx_http_conduit_making_t *making, ngx_str_t *reply, ngx_uint_t code);


ngx_int_t
ngx_http_conduit_create_keep(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_draft_t *draft)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_making_t     *making;
    ngx_http_conduit_create_t     *create;
    ngx_http_conduit_record_t      record;
    ngx_http_conduit_task_node_t  *node;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;
    create = draft->create;

    making = ngx_http_conduit_create_making(cdmcf, draft);
    if (making == NULL) {
        return NGX_ERROR;
    }

    ngx_http_conduit_zone_lock(zone);

    rc = ngx_http_conduit_create_node_locked(cdmcf, draft, &node, &idem);

    if (rc == NGX_OK) {
        ngx_http_conduit_node_draft_locked(zone, node);
        ngx_http_conduit_record_locked(zone, &record, node);

        making->lease = node->lease;
        making->number = node->number;

        node->keyed = (idem && zone->sh->shared);

        making->until = idem ? idem->until : 0;
        record.until = making->until;
    }

    ngx_http_conduit_zone_unlock(zone);

    if (rc != NGX_OK) {
        return ngx_http_conduit_create_look(making, create, rc);
    }

    ngx_http_conduit_create_record(&record, draft, making);

    rc = cdmcf->store->commit(cdmcf->store, &record,
                              ngx_http_conduit_create_kept, making);

    if (rc == NGX_AGAIN) {
        ngx_http_conduit_create_await(making, create);
        return NGX_AGAIN;
    }

    ngx_http_conduit_create_kept(making, NGX_ERROR);

    return NGX_HTTP_CONDUIT_UNKEPT;
}


static void
ngx_http_conduit_create_await(ngx_http_conduit_making_t *making,
    ngx_http_conduit_create_t *create)
{
    making->create = create;
    making->outcome = create->outcome;

    if (making->outcome) {
        making->outcome->place = &making->outcome;
    }
}


/* nothing can be made, but another host may have: it is replayed then */

static ngx_int_t
ngx_http_conduit_create_look(ngx_http_conduit_making_t *making,
    ngx_http_conduit_create_t *create, ngx_int_t rc)
{
    ngx_http_conduit_store_t   *store;
    ngx_http_conduit_record_t   record;

    store = making->cdmcf->store;

    if (rc == NGX_HTTP_CONDUIT_REPLAY || !making->idempotent
        || store->settle == NULL)
    {
        goto refused;
    }

    ngx_memzero(&record, sizeof(ngx_http_conduit_record_t));
    ngx_memcpy(record.id, making->id, NGX_HTTP_CONDUIT_ID_LEN);

    record.create = 1;
    record.look = 1;
    record.key.len = create->key->len;
    record.key.data = create->key->name;
    record.digest = create->digest;
    record.fingerprint = create->fingerprint;
    record.used = &making->used;

    making->refusal = rc;

    if (store->commit(store, &record, ngx_http_conduit_create_looked, making)
        == NGX_AGAIN)
    {
        ngx_http_conduit_create_await(making, create);
        return NGX_AGAIN;
    }

refused:

    ngx_free(making);

    return rc;
}


static void
ngx_http_conduit_create_looked(void *data, ngx_int_t rc)
{
    ngx_http_conduit_making_t  *making = data;

    rc = (rc == NGX_DONE) ? ngx_http_conduit_create_used(making)
                          : making->refusal;

    ngx_http_conduit_create_told(making, rc);
}


/* the outcome of a request that has been made before, at another host */

static ngx_int_t
ngx_http_conduit_create_used(ngx_http_conduit_making_t *making)
{
    ngx_http_conduit_used_t  *used;

    used = &making->used;

    if (used->mismatch) {
        return NGX_HTTP_CONDUIT_MISMATCH;
    }

    if (used->busy) {
        return NGX_HTTP_CONDUIT_IN_PROGRESS;
    }

    if (making->outcome == NULL) {

        if (used->code == 0) {
            ngx_http_conduit_create_leave(making);
        }

        return NGX_HTTP_CONDUIT_REPLAY;
    }

    ngx_memcpy(making->create->id, used->id, NGX_HTTP_CONDUIT_ID_LEN);

    if (ngx_http_conduit_create_reply_copy(making, &used->reply, used->code)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_HTTP_CONDUIT_REPLAY;
}


/* what outlives the request: its client may go before the store answers */

static ngx_http_conduit_making_t *
ngx_http_conduit_create_making(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_draft_t *draft)
{
    ngx_http_conduit_making_t  *making;
    ngx_http_conduit_create_t  *create;

    create = draft->create;

    making = ngx_alloc(sizeof(ngx_http_conduit_making_t) + draft->reply.len
                       + NGX_HTTP_CONDUIT_REPLY_TAIL, cdmcf->engine->log);
    if (making == NULL) {
        return NULL;
    }

    ngx_memzero(making, sizeof(ngx_http_conduit_making_t));
    ngx_memcpy(making->id, create->id, NGX_HTTP_CONDUIT_ID_LEN);

    making->cdmcf = cdmcf;
    making->provider = draft->provider;
    making->kind = create->kind;
    making->sync = create->sync;

    if (create->digest) {
        making->idempotent = 1;
        ngx_memcpy(making->digest, create->digest, sizeof(making->digest));
    }

    making->reply.data = (u_char *) making + sizeof(ngx_http_conduit_making_t);
    making->reply.len = draft->reply.len;
    ngx_memcpy(making->reply.data, draft->reply.data, draft->reply.len);

    return making;
}


static void
ngx_http_conduit_create_record(ngx_http_conduit_record_t *record,
    ngx_http_conduit_draft_t *draft, ngx_http_conduit_making_t *making)
{
    ngx_str_t                   reply;
    ngx_http_conduit_create_t  *create;

    create = draft->create;

    record->create = 1;
    record->step = NGX_HTTP_CONDUIT_STEP_QUEUED;
    record->document = draft->document;
    record->run = draft->run;
    record->request = create->request;
    record->webhook = create->webhook;

    if (create->digest == NULL) {
        return;
    }

    record->digest = create->digest;
    record->fingerprint = create->fingerprint;
    record->used = &making->used;

    if (!create->sync) {

        /* the place in the queue is not known yet, and will be another one */

        reply = making->reply;
        ngx_http_conduit_create_finish_reply(&reply, 0);

        record->reply = reply;
        record->code = NGX_HTTP_ACCEPTED;
    }
}


/* the store's word */

static void
ngx_http_conduit_create_kept(void *data, ngx_int_t rc)
{
    ngx_http_conduit_making_t  *making = data;

    uint64_t                       lease;
    ngx_http_conduit_news_t        news;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_engine_t     *engine;
    ngx_http_conduit_task_node_t  *node;

    engine = making->cdmcf->engine;
    zone = &making->cdmcf->zone;
    lease = 0;

    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_drafted_locked(zone, making->id,
                                                making->lease);

    if (node && rc == NGX_OK) {
        ngx_http_conduit_create_publish_locked(engine, making, node, &news);
        lease = node->lease;

    } else {
        ngx_http_conduit_create_drop_locked(zone, making, node);
    }

    ngx_http_conduit_zone_unlock(zone);

    if (node == NULL && rc == NGX_OK) {
        ngx_http_conduit_create_lost(making);
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        ngx_http_conduit_create_after(engine, making->id, making->kind, lease,
                                      &news);

        if (making->outcome) {
            rc = ngx_http_conduit_create_reply_copy(making, &making->reply,
                                                    NGX_HTTP_ACCEPTED);

        } else if (making->idempotent && making->sync) {
            ngx_http_conduit_create_leave(making);
        }

    } else {
        rc = (rc == NGX_DONE) ? ngx_http_conduit_create_used(making)
                              : NGX_HTTP_CONDUIT_UNKEPT;
    }

    ngx_http_conduit_create_told(making, rc);
}


/* taken for dead, this process has lost its drafts */

static void
ngx_http_conduit_create_lost(ngx_http_conduit_making_t *making)
{
    ngx_http_conduit_store_t  *store;

    store = making->cdmcf->store;

    /* a key without a task is one whose task has lived its time */

    if (making->idempotent) {
        store->release(store, making->digest, making->until);
    }

    store->remove(store, making->id, making->number, NULL);
}


/* the client has gone: whoever repeats the request waits in its place */

static void
ngx_http_conduit_create_leave(ngx_http_conduit_making_t *making)
{
    ngx_str_t                  nothing;
    ngx_http_conduit_store_t  *store;

    store = making->cdmcf->store;

    if (store->settle) {
        ngx_str_null(&nothing);
        (void) store->settle(store, making->digest, 0, &nothing, NULL, NULL);
    }
}


static void
ngx_http_conduit_create_told(ngx_http_conduit_making_t *making, ngx_int_t rc)
{
    ngx_http_conduit_outcome_t  *outcome;

    outcome = making->outcome;

    if (outcome) {
        outcome->place = NULL;
        outcome->handler(outcome->data, rc);
    }

    ngx_free(making);
}


static void
ngx_http_conduit_create_publish_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_making_t *making, ngx_http_conduit_task_node_t *node,
    ngx_http_conduit_news_t *news)
{
    ngx_uint_t                     position;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &engine->cdmcf->zone;

    ngx_http_conduit_node_publish_locked(zone, node);

    position = ngx_http_conduit_create_start_locked(engine, node,
                                                    making->provider, news);

    ngx_http_conduit_create_finish_reply(&making->reply, position);

    idem = ngx_http_conduit_create_idem_locked(zone, making);

    if (idem == NULL) {
        return;
    }

    if (!making->sync) {
        ngx_http_conduit_text_shrink_locked(&idem->reply, making->reply.data,
                                            making->reply.len);
        idem->code = NGX_HTTP_ACCEPTED;

    } else if (making->outcome == NULL) {

        /* whoever repeats the request waits for the end in its place */

        idem->owner = NGX_HTTP_CONDUIT_NOBODY;
    }
}


static void
ngx_http_conduit_create_drop_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_making_t *making, ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_idem_node_t  *idem;

    idem = ngx_http_conduit_create_idem_locked(zone, making);

    if (idem) {
        ngx_http_conduit_idem_free_locked(zone, idem);
    }

    if (node) {
        ngx_http_conduit_node_free_locked(zone, node);
    }
}


static ngx_http_conduit_idem_node_t *
ngx_http_conduit_create_idem_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_making_t *making)
{
    ngx_http_conduit_idem_node_t  *idem;

    if (!making->idempotent) {
        return NULL;
    }

    idem = ngx_http_conduit_idem_find_locked(zone, making->digest);

    if (idem == NULL || idem->code
        || ngx_memcmp(idem->id, making->id, NGX_HTTP_CONDUIT_ID_LEN) != 0)
    {
        return NULL;
    }

    return idem;
}


static ngx_int_t
ngx_http_conduit_create_reply_copy(ngx_http_conduit_making_t *making,
    ngx_str_t *reply, ngx_uint_t code)
{
    ngx_http_conduit_create_t  *create;

    create = making->create;

    create->reply.data = ngx_pstrdup(create->pool, reply);
    if (create->reply.data == NULL) {
        return NGX_ERROR;
    }

    create->reply.len = reply->len;
    create->code = code;

    return NGX_OK;
}
