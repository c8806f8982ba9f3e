
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_digest.h>
#include <ngx_conduit_random.h>
#include <ngx_http_conduit_hook.h>
#include <conduit_json.h>
#include <conduit_request.h>
#include <conduit_url.h>


#define NGX_HTTP_CONDUIT_HOOK_POOL  4096


/* what an event takes from the task's node */

typedef struct {
    ngx_str_t                         prompt;
    ngx_str_t                         settings;
    ngx_str_t                         key;
    unsigned                          gone:1;
} ngx_http_conduit_hook_source_t;


static ngx_uint_t ngx_http_conduit_hook_which(
    ngx_http_conduit_document_t *doc, ngx_uint_t hooks, ngx_uint_t begins,
    ngx_uint_t progress);
static ngx_int_t ngx_http_conduit_hook_source(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_pool_t *pool, u_char *id,
    ngx_uint_t prompt, ngx_http_conduit_hook_source_t *source);
static ngx_int_t ngx_http_conduit_hook_payload(ngx_pool_t *pool,
    ngx_http_conduit_hook_draft_t *draft, ngx_http_conduit_document_t *doc,
    ngx_uint_t hooks, ngx_http_conduit_hook_source_t *source);
static ngx_int_t ngx_http_conduit_hook_results(ngx_pool_t *pool,
    ngx_http_conduit_document_t *doc, conduit_payload_t *payload);
static ngx_int_t ngx_http_conduit_hook_finish(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_pool_t *pool,
    ngx_http_conduit_hook_draft_t *draft,
    ngx_http_conduit_hook_source_t *source);
static ngx_int_t ngx_http_conduit_hook_encrypt(ngx_pool_t *pool,
    ngx_http_conduit_hook_draft_t *draft, const conduit_jwk_t *jwk);
static ngx_int_t ngx_http_conduit_hook_origin(ngx_pool_t *pool,
    ngx_http_conduit_hook_draft_t *draft,
    ngx_http_conduit_hook_source_t *source);


/* the part of a webhook-id behind its prefix */

#define ngx_http_conduit_hook_digits(text)                                    \
    ((text) + CONDUIT_HOOK_ID_LEN - CONDUIT_BASE62_LEN)


ngx_int_t
ngx_http_conduit_hook_draft(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_event_t *event, ngx_http_conduit_document_t *doc,
    ngx_uint_t hooks, ngx_uint_t begins, ngx_uint_t progress)
{
    ngx_int_t                        rc;
    ngx_uint_t                       which;
    ngx_pool_t                      *pool;
    ngx_http_conduit_hook_draft_t   *draft;
    ngx_http_conduit_hook_source_t   source;

    which = ngx_http_conduit_hook_which(doc, hooks, begins, progress);

    if (which == 0 || cdmcf->sender == NULL) {
        return NGX_OK;
    }

    pool = ngx_create_pool(NGX_HTTP_CONDUIT_HOOK_POOL, cdmcf->sender->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    draft = &event->draft;
    draft->event = which;
    draft->sequence = doc->sequence;
    draft->created = doc->updated;

    rc = ngx_http_conduit_hook_source(cdmcf, pool, doc->id,
                                      conduit_status_terminal(doc->status),
                                      &source);

    /* the task is about to vanish, or its receiver wants to hear no more */

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && (source.gone || source.settings.len == 0)))
    {
        ngx_destroy_pool(pool);
        return NGX_OK;
    }

    if (rc != NGX_OK
        || ngx_http_conduit_hook_payload(pool, draft, doc, hooks, &source)
           != NGX_OK
        || ngx_http_conduit_hook_finish(cdmcf, pool, draft, &source) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    event->pool = pool;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_conduit_hook_which(ngx_http_conduit_document_t *doc,
    ngx_uint_t hooks, ngx_uint_t begins, ngx_uint_t progress)
{
    ngx_uint_t  which;

    if (conduit_status_terminal(doc->status)) {
        return conduit_hook_event(doc->status) & hooks;
    }

    which = begins ? CONDUIT_HOOK_STARTED & hooks : 0;

    if (which == 0 && progress) {
        which = CONDUIT_HOOK_PROGRESS & hooks;
    }

    return which;
}


/* the room is made outside of the lock, so its size is looked up first */

static ngx_int_t
ngx_http_conduit_hook_source(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_pool_t *pool, u_char *id, ngx_uint_t prompt,
    ngx_http_conduit_hook_source_t *source)
{
    u_char                        *p;
    size_t                         size, need;
    ngx_uint_t                     done;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    need = NGX_HTTP_CONDUIT_HOOK_POOL / 2;

    do {
        size = need;

        p = ngx_pnalloc(pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        done = 0;

        ngx_http_conduit_zone_lock(zone);

        node = ngx_http_conduit_node_find_locked(zone, id);

        if (node == NULL) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_DECLINED;
        }

        need = node->webhook.len + (prompt ? node->prompt_len : 0);

        if (need <= size) {
            source->gone = node->gone;
            source->key.len = node->key->len;
            source->key.data = node->key->name;

            source->settings.len = node->webhook.len;
            source->settings.data = p;
            p = ngx_http_conduit_text_copy_locked(&node->webhook, p);

            /* a task that came from elsewhere may have come without it */

            source->prompt.data = p;
            p = ngx_http_conduit_text_slice_locked(&node->request, p,
                                                   node->prompt_off,
                                                   prompt ? node->prompt_len
                                                          : 0);
            source->prompt.len = p - source->prompt.data;
            done = 1;
        }

        ngx_http_conduit_zone_unlock(zone);

    } while (!done);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hook_payload(ngx_pool_t *pool,
    ngx_http_conduit_hook_draft_t *draft, ngx_http_conduit_document_t *doc,
    ngx_uint_t hooks, ngx_http_conduit_hook_source_t *source)
{
    u_char             id[CONDUIT_HOOK_ID_LEN];
    conduit_payload_t  payload;

    if (conduit_hook_id(id, doc->id, (unsigned) draft->event, draft->sequence)
        != CONDUIT_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(draft->id, ngx_http_conduit_hook_digits(id),
               CONDUIT_BASE62_LEN);

    ngx_memzero(&payload, sizeof(conduit_payload_t));

    payload.kind = (conduit_kind_e) doc->kind;
    payload.status = (conduit_status_e) doc->status;
    payload.event = (unsigned) draft->event;
    payload.task = doc->id;
    payload.id = id;
    payload.sequence = doc->sequence;
    payload.timestamp = doc->updated;

    payload.model.data = doc->model.data;
    payload.model.len = doc->model.len;
    payload.prompt.data = source->prompt.data;
    payload.prompt.len = source->prompt.len;

    /* without metadata of its own a task shows an empty object */

    if (hooks & CONDUIT_HOOK_METADATA) {
        payload.metadata.data = doc->metadata.data;
        payload.metadata.len = doc->metadata.len;
    }

    payload.duration = doc->started ? doc->completed - doc->started : 0;

    payload.error.data = doc->error.data;
    payload.error.len = doc->error.len;
    payload.error_code = (conduit_error_code_e) doc->error_code;

    payload.progress = (unsigned) doc->progress;
    payload.message.data = doc->message.data;
    payload.message.len = doc->message.len;
    payload.eta = doc->eta;

    if (ngx_http_conduit_hook_results(pool, doc, &payload) != NGX_OK) {
        return NGX_ERROR;
    }

    draft->body.data = ngx_pnalloc(pool, conduit_payload_size(&payload));
    if (draft->body.data == NULL) {
        return NGX_ERROR;
    }

    draft->body.len = conduit_payload_write(draft->body.data, &payload)
                      - draft->body.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hook_results(ngx_pool_t *pool,
    ngx_http_conduit_document_t *doc, conduit_payload_t *payload)
{
    ngx_uint_t                 i;
    conduit_payload_result_t  *results;

    if (doc->nresults == 0) {
        return NGX_OK;
    }

    results = ngx_palloc(pool,
                         doc->nresults * sizeof(conduit_payload_result_t));
    if (results == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < doc->nresults; i++) {
        results[i].url.data = doc->results[i].url.data;
        results[i].url.len = doc->results[i].url.len;
        results[i].expires = doc->results[i].expires;
    }

    payload->results = results;
    payload->nresults = doc->nresults;

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_hook_draft_test(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_event_t *event, ngx_http_conduit_key_node_t *key,
    ngx_str_t *settings, ngx_str_t *metadata)
{
    u_char                           *p, rnd[16], id[CONDUIT_HOOK_ID_LEN];
    ngx_time_t                       *tp;
    conduit_payload_t                 payload;
    ngx_http_conduit_hook_draft_t    *draft;
    ngx_http_conduit_hook_source_t    source;

    if (ngx_conduit_random_bytes(rnd, sizeof(rnd)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(event, sizeof(ngx_http_conduit_hook_event_t));

    event->pool = ngx_create_pool(NGX_HTTP_CONDUIT_HOOK_POOL,
                                  cdmcf->sender->log);
    if (event->pool == NULL) {
        return NGX_ERROR;
    }

    conduit_hook_id_random(id, rnd);

    draft = &event->draft;
    tp = ngx_timeofday();

    draft->created = (int64_t) tp->sec * 1000 + tp->msec;
    ngx_memcpy(draft->id, ngx_http_conduit_hook_digits(id),
               CONDUIT_BASE62_LEN);

    ngx_memzero(&payload, sizeof(conduit_payload_t));

    payload.id = id;
    payload.timestamp = draft->created;
    payload.metadata.data = metadata->data;
    payload.metadata.len = metadata->len;

    draft->body.data = ngx_pnalloc(event->pool, conduit_payload_size(&payload));
    if (draft->body.data == NULL) {
        goto failed;
    }

    draft->body.len = conduit_payload_test(draft->body.data, &payload)
                      - draft->body.data;

    ngx_memzero(&source, sizeof(ngx_http_conduit_hook_source_t));

    source.key.len = key->len;
    source.key.data = key->name;
    source.settings = *settings;

    if (ngx_http_conduit_hook_finish(cdmcf, event->pool, draft, &source)
        != NGX_OK)
    {
        goto failed;
    }

    /* there is no task to keep the settings: they follow the body */

    p = ngx_pnalloc(event->pool, draft->body.len + settings->len);
    if (p == NULL) {
        goto failed;
    }

    draft->settings.len = settings->len;
    draft->settings.data = ngx_cpymem(p, draft->body.data, draft->body.len);
    ngx_memcpy(draft->settings.data, settings->data, settings->len);
    draft->body.data = p;

    return NGX_OK;

failed:

    ngx_destroy_pool(event->pool);
    event->pool = NULL;

    return NGX_ERROR;
}


/* what depends on the key: encryption, rate, and the digest of the origin */

static ngx_int_t
ngx_http_conduit_hook_finish(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_pool_t *pool, ngx_http_conduit_hook_draft_t *draft,
    ngx_http_conduit_hook_source_t *source)
{
    ngx_http_conduit_hook_key_t  key;

    /* without its key it will be dropped when its turn has come */

    if (cdmcf->sender->key(cdmcf, &source->key, &key) == NGX_OK) {
        draft->rate = key.rate;
        draft->span = key.span;

        if (key.jwk
            && ngx_http_conduit_hook_encrypt(pool, draft, key.jwk) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_conduit_hook_origin(pool, draft, source);
}


static ngx_int_t
ngx_http_conduit_hook_encrypt(ngx_pool_t *pool,
    ngx_http_conduit_hook_draft_t *draft, const conduit_jwk_t *jwk)
{
    u_char  *p, *last, rnd[CONDUIT_JWE_RANDOM];

    if (ngx_conduit_random_bytes(rnd, sizeof(rnd)) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, conduit_jwe_size(jwk, draft->body.len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = conduit_jwe_encrypt(p, jwk, draft->body.data, draft->body.len, rnd);
    if (last == NULL) {
        return NGX_ERROR;
    }

    draft->body.data = p;
    draft->body.len = last - p;
    draft->jose = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hook_origin(ngx_pool_t *pool,
    ngx_http_conduit_hook_draft_t *draft,
    ngx_http_conduit_hook_source_t *source)
{
    u_char          digest[NGX_CONDUIT_SHA256_LEN], *buf;
    u_char          origin[CONDUIT_ORIGIN_MAX];
    ngx_str_t       text, url, headers, parts[3];
    const char     *why;
    conduit_url_t   parsed;

    /* the URL is decoded in its place, and the settings are still needed */

    text.len = source->settings.len;
    text.data = ngx_pstrdup(pool, &source->settings);
    buf = ngx_pnalloc(pool, CONDUIT_URL_BUF);

    if (text.data == NULL || buf == NULL) {
        return NGX_ERROR;
    }

    parts[0] = source->key;
    ngx_str_set(&parts[1], "\n");

    /* a URL that is not taken any more meets its end when it is tried */

    if (ngx_http_conduit_hook_settings(&text, &url, &headers) == NGX_OK
        && conduit_url_parse(&parsed, buf, url.data, url.len, &why)
           == CONDUIT_OK)
    {
        parts[2].len = conduit_url_origin(origin, &parsed) - origin;
        parts[2].data = origin;

    } else {
        parts[2] = source->settings;
    }

    if (ngx_conduit_sha256(digest, parts, 3) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(draft->origin, digest, NGX_HTTP_CONDUIT_ID_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_hook_settings(ngx_str_t *settings, ngx_str_t *url,
    ngx_str_t *headers)
{
    const u_char           *pos, *last;
    conduit_json_member_t   member;

    ngx_str_null(url);
    ngx_str_null(headers);

    pos = settings->data;
    last = pos + settings->len;

    while (conduit_json_next(&pos, last, &member) == CONDUIT_OK) {

        if (conduit_json_name_eq(&member.name, "headers", 0)) {
            headers->len = member.value.len;
            headers->data = member.value.data;

        } else if (conduit_json_name_eq(&member.name, "url", 0)) {
            url->data = member.value.data;
            url->len = member.value.len;
        }
    }

    if (url->len < 2) {
        return NGX_ERROR;
    }

    /* the text of a string is never longer than its JSON */

    url->len = conduit_json_unescape(url->data, url->data, url->len);

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_hook_take_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_event_t *event, ngx_http_conduit_key_node_t *key,
    ngx_http_conduit_task_node_t *task)
{
    ngx_int_t  rc;

    if (event->pool == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_conduit_hook_alloc_locked(zone, &event->draft, key, task);

    if (rc == NGX_ERROR) {
        (void) ngx_atomic_fetch_add(&zone->sh->counters.nomem, 1);

        /* a report that finds no room is not missed */

        if (task && event->draft.event == CONDUIT_HOOK_PROGRESS) {
            return NGX_OK;
        }
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


void
ngx_http_conduit_hook_queue_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_event_t *event)
{
    if (event->draft.node) {
        ngx_http_conduit_hook_link_locked(zone, &event->draft);
        event->queued = 1;
    }
}


void
ngx_http_conduit_hook_undo_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_event_t *event)
{
    (void) ngx_atomic_fetch_add(&zone->sh->counters.nomem, 1);

    if (event->draft.node) {
        ngx_http_conduit_hook_free_locked(zone, event->draft.node);
        event->draft.node = NULL;
    }
}


void
ngx_http_conduit_hook_done(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_event_t *event)
{
    if (event->queued) {
        ngx_post_event(&cdmcf->sender->pump, &ngx_posted_events);
    }

    if (event->pool) {
        ngx_destroy_pool(event->pool);
        event->pool = NULL;
    }
}
