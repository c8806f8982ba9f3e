
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_page.h>


/* The tasks of a page: from the zone, from Redis, and from their owners. */


static ngx_int_t ngx_http_conduit_page_entry(
    ngx_http_conduit_page_entry_t *entry);
static ngx_int_t ngx_http_conduit_page_zone(
    ngx_http_conduit_page_entry_t *entry);
static void ngx_http_conduit_page_read(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_page_record(
    ngx_http_conduit_page_entry_t *entry, ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_page_take(
    ngx_http_conduit_page_entry_t *entry, ngx_http_conduit_record_t *record);
static void ngx_http_conduit_page_known(ngx_http_conduit_page_entry_t *entry);
static void ngx_http_conduit_page_view(ngx_http_conduit_view_t *view,
    ngx_http_conduit_record_t *record);
static ngx_uint_t ngx_http_conduit_page_match(ngx_http_conduit_page_t *page,
    ngx_http_conduit_view_t *view);
static void ngx_http_conduit_page_followed(void *data, ngx_int_t rc);


ngx_int_t
ngx_http_conduit_page_group(ngx_http_conduit_paging_t *paging)
{
    ngx_uint_t                      i, n;
    ngx_http_conduit_page_t        *page;
    ngx_http_conduit_place_t       *places;
    ngx_http_conduit_page_entry_t  *entry;

    page = paging->page;
    places = paging->places.elts;

    n = NGX_HTTP_CONDUIT_PAGE_GROUP;

    if (page->status < 0 && page->kind == NGX_HTTP_CONDUIT_ANY
        && page->model.len == 0)
    {
        n = page->limit + 1 - page->n;
    }

    n = ngx_min(n, NGX_HTTP_CONDUIT_PAGE_GROUP);
    n = ngx_min(n, paging->places.nelts - paging->next);

    paging->n = n;

    for (i = 0; i < n; i++) {
        entry = &paging->entries[i];
        entry->place = &places[paging->next++];
        entry->match = 0;

        if (ngx_http_conduit_page_entry(entry) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a task of this host is in the zone */

static ngx_int_t
ngx_http_conduit_page_entry(ngx_http_conduit_page_entry_t *entry)
{
    u_char                         buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_int_t                      rc;
    ngx_str_t                      args[5];
    ngx_uint_t                     mine;
    ngx_http_conduit_redis_t      *redis;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    redis = entry->paging->cluster->redis;
    zone = &redis->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, entry->place->id);
    mine = (node && !node->remote);

    ngx_http_conduit_zone_unlock(zone);

    if (mine && ngx_http_conduit_page_zone(entry) == NGX_OK) {
        return NGX_OK;
    }

    ngx_str_set(&args[0], "HMGET");
    args[1] = ngx_http_conduit_redis_task_key(redis, buf, entry->place->id);
    ngx_str_set(&args[2], "h");
    ngx_str_set(&args[3], "k");
    ngx_str_set(&args[4], "d");

    rc = ngx_conduit_redis_call(&redis->calls, args, 5,
                                ngx_http_conduit_page_read, entry);
    if (rc == NGX_OK) {
        entry->paging->calls++;
    }

    return rc;
}


/* as the zone has it */

static ngx_int_t
ngx_http_conduit_page_zone(ngx_http_conduit_page_entry_t *entry)
{
    ngx_int_t                 rc;
    ngx_http_conduit_name_t   name;
    ngx_http_conduit_page_t  *page;
    ngx_http_conduit_view_t   view;

    page = entry->paging->page;

    name.key = page->key;
    name.kind = NGX_HTTP_CONDUIT_ANY;
    ngx_memcpy(name.id, entry->place->id, NGX_HTTP_CONDUIT_ID_LEN);

    rc = ngx_http_conduit_task_view(entry->paging->cluster->cdmcf, &name, 0,
                                    page->pool, &view);
    if (rc == NGX_OK) {
        entry->view = view;
        entry->match = ngx_http_conduit_page_match(page, &view);
    }

    return rc;
}


static void
ngx_http_conduit_page_read(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_page_entry_t  *entry = data;

    ngx_http_conduit_paging_t  *paging;

    paging = entry->paging;
    paging->calls--;

    if (!ngx_queue_empty(&paging->waiters)
        && ngx_http_conduit_page_record(entry, reply) != NGX_OK)
    {
        paging->failed = 1;
    }

    ngx_http_conduit_page_go(paging);
}


/* one that is gone, or whose time is over, does not match */

static ngx_int_t
ngx_http_conduit_page_record(ngx_http_conduit_page_entry_t *entry,
    ngx_conduit_redis_reply_t *reply)
{
    ngx_str_t                   header;
    ngx_time_t                 *tp;
    ngx_http_conduit_page_t    *page;
    ngx_http_conduit_redis_t   *redis;
    ngx_http_conduit_record_t   record;

    page = entry->paging->page;
    redis = entry->paging->cluster->redis;

    if (ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_ARRAY) {
        return NGX_ERROR;
    }

    ngx_memzero(&record, sizeof(ngx_http_conduit_record_t));
    ngx_memcpy(record.id, entry->place->id, NGX_HTTP_CONDUIT_ID_LEN);

    header = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 0));
    record.key = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 1));
    record.document = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 2));

    if (header.len == 0 && record.key.len == 0) {
        ngx_http_conduit_follow_forget(entry->paging->cluster, page->key,
                                       record.id);
        return NGX_OK;
    }

    if (record.key.len != page->key->len
        || ngx_memcmp(record.key.data, page->key->name, record.key.len) != 0
        || ngx_http_conduit_redis_parse(&record, &header, redis->offset)
           != NGX_OK
        || ngx_http_conduit_redis_check_texts(&record) != NGX_OK)
    {
        return NGX_OK;
    }

    tp = ngx_timeofday();

    if (conduit_status_terminal(record.status)
        && record.deadline < (int64_t) tp->sec * 1000 + (int64_t) tp->msec)
    {
        return NGX_OK;
    }

    return ngx_http_conduit_page_take(entry, &record);
}


/* what Redis does not know of a task that goes on is asked of its owner */

static ngx_int_t
ngx_http_conduit_page_take(ngx_http_conduit_page_entry_t *entry,
    ngx_http_conduit_record_t *record)
{
    ngx_int_t                   rc;
    ngx_http_conduit_page_t    *page;
    ngx_http_conduit_paging_t  *paging;

    paging = entry->paging;
    page = paging->page;

    ngx_http_conduit_page_view(&entry->view, record);

    if (conduit_status_terminal(record->status)) {
        entry->match = ngx_http_conduit_page_match(page, &entry->view);

        if (!entry->match) {
            return NGX_OK;
        }

    } else if (page->status >= 0
               && conduit_status_terminal((conduit_status_e) page->status))
    {
        return NGX_OK;
    }

    /* with the room that render() is given by views of the zone */

    entry->view.document.data = ngx_pnalloc(page->pool,
                                            record->document.len
                                            + NGX_HTTP_CONDUIT_DOCUMENT_HOOK);
    if (entry->view.document.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(entry->view.document.data, record->document.data,
               record->document.len);

    if (entry->match) {
        return NGX_OK;
    }

    entry->waiter.handler = ngx_http_conduit_page_followed;
    entry->waiter.data = entry;

    rc = ngx_http_conduit_cluster_task(paging->cluster->cdmcf, record->id,
                                       &entry->waiter);

    if (rc == NGX_AGAIN) {
        paging->calls++;
        return NGX_OK;
    }

    ngx_http_conduit_page_known(entry);

    return NGX_OK;
}


static void
ngx_http_conduit_page_followed(void *data, ngx_int_t rc)
{
    ngx_http_conduit_page_entry_t  *entry = data;

    ngx_http_conduit_paging_t  *paging;

    paging = entry->paging;
    paging->calls--;

    if (!ngx_queue_empty(&paging->waiters)) {
        ngx_http_conduit_page_known(entry);
    }

    ngx_http_conduit_page_go(paging);
}


/* should there be no room for a copy, it is as Redis knows it */

static void
ngx_http_conduit_page_known(ngx_http_conduit_page_entry_t *entry)
{
    if (ngx_http_conduit_page_zone(entry) != NGX_OK) {
        entry->match = ngx_http_conduit_page_match(entry->paging->page,
                                                   &entry->view);
    }
}


static void
ngx_http_conduit_page_view(ngx_http_conduit_view_t *view,
    ngx_http_conduit_record_t *record)
{
    ngx_memzero(view, sizeof(ngx_http_conduit_view_t));
    ngx_memcpy(view->id, record->id, NGX_HTTP_CONDUIT_ID_LEN);

    view->sequence = record->sequence;
    view->kind = record->kind;
    view->status = record->status;
    view->error_code = record->error_code;
    view->polled = NGX_HTTP_CONDUIT_NEVER;
    view->status_off = record->status_off;
    view->position_off = record->position_off;
    view->model_off = record->model_off;
    view->model_len = record->model_len;
    view->error_off = record->error_off;
    view->error_len = record->error_len;
    view->result_off = record->result_off;
    view->result_len = record->result_len;
    view->document = record->document;
}


static ngx_uint_t
ngx_http_conduit_page_match(ngx_http_conduit_page_t *page,
    ngx_http_conduit_view_t *view)
{
    if ((page->status >= 0 && view->status != (ngx_uint_t) page->status)
        || (page->kind != NGX_HTTP_CONDUIT_ANY && view->kind != page->kind))
    {
        return 0;
    }

    return page->model.len == 0
           || (view->model_len == page->model.len
               && ngx_memcmp(view->document.data + view->model_off,
                             page->model.data, page->model.len)
                  == 0);
}


ngx_uint_t
ngx_http_conduit_page_collect(ngx_http_conduit_paging_t *paging)
{
    ngx_uint_t                      i;
    ngx_http_conduit_page_t        *page;
    ngx_http_conduit_page_entry_t  *entry;

    page = paging->page;

    for (i = 0; i < paging->n; i++) {
        entry = &paging->entries[i];

        if (!entry->match) {
            continue;
        }

        if (page->n == page->limit) {
            page->more = 1;
            return 1;
        }

        page->views[page->n++] = entry->view;
    }

    paging->n = 0;

    return 0;
}
