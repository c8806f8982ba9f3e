
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_webhook.h>


/* What a key may see of its deliveries, and do to them. */


/* settings of most deliveries fit without asking for their length first */

#define NGX_HTTP_CONDUIT_HOOK_ROOM    1024

/* deliveries looked at in one hold of the lock */

#define NGX_HTTP_CONDUIT_HOOK_STRIDE  512


static ngx_int_t ngx_http_conduit_webhook_page(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hook_page_t *page,
    ngx_uint_t *resumed);
static ngx_queue_t *ngx_http_conduit_webhook_start_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_page_t *page);
static ngx_uint_t ngx_http_conduit_webhook_match_locked(
    ngx_http_conduit_hook_page_t *page, ngx_http_conduit_hook_node_t *hook);
static ngx_int_t ngx_http_conduit_webhook_copy(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hook_page_t *page,
    ngx_uint_t n);
static ngx_int_t ngx_http_conduit_webhook_read(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_key_node_t *key,
    u_char *id, ngx_uint_t log, ngx_pool_t *pool,
    ngx_http_conduit_delivery_t *delivery);
static void ngx_http_conduit_webhook_view_locked(
    ngx_http_conduit_hook_node_t *hook, ngx_http_conduit_delivery_t *delivery);
static int64_t ngx_http_conduit_webhook_next_locked(
    ngx_http_conduit_hook_node_t *hook);
static void ngx_http_conduit_webhook_log_locked(
    ngx_http_conduit_hook_node_t *hook, ngx_http_conduit_delivery_t *delivery);
static ngx_int_t ngx_http_conduit_webhook_url(ngx_str_t *settings,
    ngx_str_t *url);
static ngx_int_t ngx_http_conduit_webhook_stride(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_hook_gauges_t *gauges,
    u_char *id, ngx_uint_t *left, ngx_uint_t begun);
static ngx_http_conduit_hook_node_t *ngx_http_conduit_webhook_find_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_key_node_t *key,
    u_char *id);
static u_char *ngx_http_conduit_webhook_digits(ngx_str_t *id);


ngx_int_t
ngx_http_conduit_webhook_list(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_page_t *page)
{
    ngx_int_t   rc;
    ngx_uint_t  resumed;

    page->n = 0;
    page->more = 0;

    page->deliveries = ngx_palloc(page->pool, page->limit
                                  * sizeof(ngx_http_conduit_delivery_t));
    if (page->deliveries == NULL) {
        return NGX_ERROR;
    }

    resumed = 0;

    do {
        rc = ngx_http_conduit_webhook_page(cdmcf, page, &resumed);
    } while (rc == NGX_AGAIN);

    return rc;
}


/*
 * Walks a stride of the key's deliveries.  NGX_AGAIN: the next stride begins
 * after the cursor; should that one have gone meanwhile, the page ends there.
 */

static ngx_int_t
ngx_http_conduit_webhook_page(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_page_t *page, ngx_uint_t *resumed)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i, n;
    ngx_queue_t                   *q;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_node_t  *hook;

    zone = &cdmcf->zone;
    rc = NGX_OK;
    n = page->n;

    ngx_http_conduit_zone_lock(zone);

    q = ngx_http_conduit_webhook_start_locked(zone, page);

    if (q == NULL) {
        ngx_http_conduit_zone_unlock(zone);
        return *resumed ? NGX_OK : NGX_DECLINED;
    }

    for (i = 0; q != ngx_queue_sentinel(&page->key->hooks); i++) {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, siblings);

        if (i == NGX_HTTP_CONDUIT_HOOK_STRIDE) {
            rc = NGX_AGAIN;
            break;
        }

        ngx_memcpy(page->last, hook->id, CONDUIT_BASE62_LEN);

        if (ngx_http_conduit_webhook_match_locked(page, hook)) {

            if (n == page->limit) {
                page->more = 1;
                break;
            }

            ngx_memcpy(page->deliveries[n].id, hook->id, CONDUIT_BASE62_LEN);
            n++;
        }

        q = page->ascending ? ngx_queue_next(q) : ngx_queue_prev(q);
    }

    ngx_http_conduit_zone_unlock(zone);

    page->after = 1;
    *resumed = 1;

    if (ngx_http_conduit_webhook_copy(cdmcf, page, n) != NGX_OK) {
        return NGX_ERROR;
    }

    return rc;
}


static ngx_queue_t *
ngx_http_conduit_webhook_start_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_page_t *page)
{
    u_char                        *id;
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    q = ngx_queue_sentinel(&page->key->hooks);

    id = page->after ? page->last : NULL;

    if (id == NULL && page->cursor.len) {
        id = ngx_http_conduit_webhook_digits(&page->cursor);

        if (id == NULL) {
            return NULL;
        }
    }

    if (id) {
        hook = ngx_http_conduit_webhook_find_locked(zone, page->key, id);

        if (hook == NULL) {
            return NULL;
        }

        q = &hook->siblings;
    }

    return page->ascending ? ngx_queue_next(q) : ngx_queue_prev(q);
}


/* a task of zeros is that of test events */

static ngx_uint_t
ngx_http_conduit_webhook_match_locked(ngx_http_conduit_hook_page_t *page,
    ngx_http_conduit_hook_node_t *hook)
{
    u_char  *id;

    static u_char  nil[NGX_HTTP_CONDUIT_ID_LEN];

    if (page->of_task) {
        id = hook->task ? hook->task->id : nil;

        if (ngx_memcmp(id, page->task, NGX_HTTP_CONDUIT_ID_LEN) != 0) {
            return 0;
        }
    }

    return page->state < 0
           || ngx_http_conduit_hook_state_locked(hook)
              == (ngx_uint_t) page->state;
}


/* they are copied one by one: each hold of the lock is short */

static ngx_int_t
ngx_http_conduit_webhook_copy(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_page_t *page, ngx_uint_t n)
{
    u_char      id[CONDUIT_BASE62_LEN];
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = page->n; i < n; i++) {

        ngx_memcpy(id, page->deliveries[i].id, CONDUIT_BASE62_LEN);

        rc = ngx_http_conduit_webhook_read(cdmcf, page->key, id, 0,
                                           page->pool,
                                           &page->deliveries[page->n]);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            page->n++;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_webhook_task(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_str_t *id, u_char *task)
{
    u_char                        *digits;
    ngx_int_t                      rc;
    ngx_http_conduit_hook_node_t  *hook;

    rc = NGX_DECLINED;
    digits = ngx_http_conduit_webhook_digits(id);

    if (digits == NULL) {
        return NGX_DONE;
    }

    ngx_http_conduit_zone_lock(&cdmcf->zone);

    hook = ngx_http_conduit_webhook_find_locked(&cdmcf->zone, key, digits);

    if (hook) {
        rc = hook->task ? NGX_OK : NGX_DONE;
    }

    if (rc == NGX_OK) {
        ngx_memcpy(task, hook->task->id, NGX_HTTP_CONDUIT_ID_LEN);
    }

    ngx_http_conduit_zone_unlock(&cdmcf->zone);

    return rc;
}


ngx_int_t
ngx_http_conduit_webhook_show(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_str_t *id, ngx_pool_t *pool,
    ngx_http_conduit_delivery_t *delivery)
{
    u_char  *digits;

    digits = ngx_http_conduit_webhook_digits(id);

    if (digits == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_conduit_webhook_read(cdmcf, key, digits, 1, pool,
                                         delivery);
}


static ngx_int_t
ngx_http_conduit_webhook_read(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, u_char *id, ngx_uint_t log,
    ngx_pool_t *pool, ngx_http_conduit_delivery_t *delivery)
{
    size_t                         room, off;
    ngx_str_t                      settings;
    ngx_http_conduit_text_t       *text;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_node_t  *hook;

    zone = &cdmcf->zone;
    room = NGX_HTTP_CONDUIT_HOOK_ROOM;

    delivery->nlog = 0;
    delivery->log = NULL;

    if (log) {
        delivery->log = ngx_palloc(pool, NGX_HTTP_CONDUIT_HOOK_ATTEMPTS
                                         * sizeof(ngx_http_conduit_attempt_t));
        if (delivery->log == NULL) {
            return NGX_ERROR;
        }
    }

    for ( ;; ) {

        settings.data = ngx_pnalloc(pool, room);
        if (settings.data == NULL) {
            return NGX_ERROR;
        }

        ngx_http_conduit_zone_lock(zone);

        hook = ngx_http_conduit_webhook_find_locked(zone, key, id);

        if (hook == NULL) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_DECLINED;
        }

        text = hook->task ? &hook->task->webhook : &hook->text;
        off = hook->task ? 0 : hook->body;
        settings.len = text->len - off;

        if (settings.len <= room) {
            break;
        }

        ngx_http_conduit_zone_unlock(zone);

        room = settings.len;
    }

    ngx_http_conduit_text_slice_locked(text, settings.data, off,
                                       settings.len);

    ngx_http_conduit_webhook_view_locked(hook, delivery);

    if (log && hook->log) {
        ngx_http_conduit_webhook_log_locked(hook, delivery);
    }

    ngx_http_conduit_zone_unlock(zone);

    return ngx_http_conduit_webhook_url(&settings, &delivery->url);
}


static void
ngx_http_conduit_webhook_view_locked(ngx_http_conduit_hook_node_t *hook,
    ngx_http_conduit_delivery_t *delivery)
{
    u_char  *p;

    p = ngx_cpymem(delivery->id, "whe_", 4);
    ngx_memcpy(p, hook->id, CONDUIT_BASE62_LEN);

    ngx_memzero(delivery->task, NGX_HTTP_CONDUIT_ID_LEN);
    delivery->kind = NGX_HTTP_CONDUIT_IMAGE;

    if (hook->task) {
        ngx_memcpy(delivery->task, hook->task->id, NGX_HTTP_CONDUIT_ID_LEN);
        delivery->kind = hook->task->kind;
    }

    delivery->event = hook->event;
    delivery->state = ngx_http_conduit_hook_state_locked(hook);
    delivery->sequence = hook->sequence;
    delivery->attempts = hook->attempts;
    delivery->last_status = hook->last_status;
    delivery->last_failure = hook->last_failure;
    delivery->created = hook->created;
    delivery->updated = hook->updated;
    delivery->next = ngx_http_conduit_webhook_next_locked(hook);
    delivery->delivered = hook->delivered;
}


/* 0: it is being sent, has ended, or waits for another one of its task */

static int64_t
ngx_http_conduit_webhook_next_locked(ngx_http_conduit_hook_node_t *hook)
{
    int64_t             after;
    ngx_time_t         *tp;
    conduit_breaker_t  *breaker;

    if (hook->place != NGX_HTTP_CONDUIT_HOOK_TIMED
        && hook->place != NGX_HTTP_CONDUIT_HOOK_READY)
    {
        return 0;
    }

    after = (ngx_msec_int_t) (hook->next_at - ngx_current_msec);

    breaker = &hook->origin->breaker;

    if (breaker->state == CONDUIT_BREAKER_OPEN) {
        after = ngx_max(after, (int64_t) (breaker->until - ngx_current_msec));
    }

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec + ngx_max(after, 0);
}


/* of a ring: the oldest first */

static void
ngx_http_conduit_webhook_log_locked(ngx_http_conduit_hook_node_t *hook,
    ngx_http_conduit_delivery_t *delivery)
{
    ngx_uint_t                    i, n;
    ngx_http_conduit_hook_log_t  *log;

    log = hook->log;
    n = ngx_min(log->n, NGX_HTTP_CONDUIT_HOOK_ATTEMPTS);

    for (i = 0; i < n; i++) {
        delivery->log[i] = log->attempts[(log->n - n + i)
                                         % NGX_HTTP_CONDUIT_HOOK_ATTEMPTS];
    }

    delivery->nlog = n;
}


/* what the query of a URL says may be secret */

static ngx_int_t
ngx_http_conduit_webhook_url(ngx_str_t *settings, ngx_str_t *url)
{
    u_char     *query;
    ngx_str_t   headers;

    if (ngx_http_conduit_hook_settings(settings, url, &headers) != NGX_OK) {
        return NGX_ERROR;
    }

    query = ngx_strlchr(url->data, url->data + url->len, '?');

    if (query) {
        url->len = query - url->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_webhook_redeliver(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_str_t *id, ngx_pool_t *pool,
    ngx_http_conduit_delivery_t *delivery)
{
    u_char                        *digits;
    uint64_t                       number;
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_node_t  *hook;
    ngx_http_conduit_kept_hook_t   kept;

    digits = ngx_http_conduit_webhook_digits(id);

    if (digits == NULL) {
        return NGX_DECLINED;
    }

    zone = &cdmcf->zone;
    number = 0;

    ngx_http_conduit_zone_lock(zone);

    hook = ngx_http_conduit_webhook_find_locked(zone, key, digits);

    if (hook == NULL) {
        ngx_http_conduit_zone_unlock(zone);
        return NGX_DECLINED;
    }

    rc = ngx_http_conduit_hook_again_locked(zone, hook);

    if (rc == NGX_OK && ngx_http_conduit_record_hook_locked(&kept, hook)) {
        number = hook->task->number;
        kept.again = 1;
    }

    ngx_http_conduit_zone_unlock(zone);

    if (rc != NGX_OK) {
        return NGX_BUSY;
    }

    if (number && cdmcf->store->hook) {
        cdmcf->store->hook(cdmcf->store, number, &kept);
    }

    ngx_post_event(&cdmcf->sender->pump, &ngx_posted_events);

    return ngx_http_conduit_webhook_read(cdmcf, key, digits, 1, pool,
                                         delivery);
}


ngx_int_t
ngx_http_conduit_webhook_test(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_str_t *settings,
    ngx_str_t *metadata, ngx_pool_t *pool,
    ngx_http_conduit_delivery_t *delivery)
{
    u_char                          id[CONDUIT_BASE62_LEN];
    ngx_int_t                       rc;
    ngx_http_conduit_zone_t        *zone;
    ngx_http_conduit_hook_event_t   event;

    if (ngx_http_conduit_hook_draft_test(cdmcf, &event, key, settings,
                                         metadata)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(id, event.draft.id, CONDUIT_BASE62_LEN);

    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    rc = ngx_http_conduit_hook_take_locked(zone, &event, key, NULL);

    if (rc == NGX_OK) {
        ngx_http_conduit_hook_queue_locked(zone, &event);
    }

    ngx_http_conduit_zone_unlock(zone);

    ngx_http_conduit_hook_done(cdmcf, &event);

    if (rc != NGX_OK) {
        return NGX_BUSY;
    }

    return ngx_http_conduit_webhook_read(cdmcf, key, id, 0, pool, delivery);
}


void
ngx_http_conduit_webhook_gauges(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_gauges_t *gauges)
{
    ngx_queue_t                *q;
    conduit_breaker_state_e     state;
    ngx_http_conduit_sh_t      *sh;
    ngx_http_conduit_origin_t  *origin;

    ngx_memzero(gauges, sizeof(ngx_http_conduit_hook_gauges_t));

    ngx_http_conduit_zone_lock(&cdmcf->zone);

    sh = cdmcf->zone.sh;

    gauges->waiting = sh->hooks_owed;
    gauges->running = sh->hooks_running;
    gauges->kept = sh->nhooks;
    gauges->origins = sh->norigins;

    for (q = ngx_queue_head(&sh->origins);
         q != ngx_queue_sentinel(&sh->origins);
         q = ngx_queue_next(q))
    {
        origin = ngx_queue_data(q, ngx_http_conduit_origin_t, queue);

        state = conduit_breaker_state(&origin->breaker, ngx_current_msec);

        if (state != CONDUIT_BREAKER_CLOSED) {
            gauges->parked += origin->waiting;
            gauges->open += (state == CONDUIT_BREAKER_OPEN);
            gauges->half_open += (state == CONDUIT_BREAKER_HALF_OPEN);
        }
    }

    ngx_http_conduit_zone_unlock(&cdmcf->zone);
}


void
ngx_http_conduit_webhook_backlog(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_gauges_t *gauges)
{
    u_char      id[CONDUIT_BASE62_LEN];
    ngx_int_t   rc;
    ngx_uint_t  left, begun;

    gauges->retrying = 0;
    gauges->oldest = -1;

    left = gauges->waiting;
    begun = 0;

    do {
        rc = ngx_http_conduit_webhook_stride(&cdmcf->zone, gauges, id, &left,
                                             begun);
        begun = 1;
    } while (rc == NGX_AGAIN);
}


/* the newest first, as those that have ended are mostly old */

static ngx_int_t
ngx_http_conduit_webhook_stride(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_gauges_t *gauges, u_char *id, ngx_uint_t *left,
    ngx_uint_t begun)
{
    int64_t                        now;
    ngx_uint_t                     i;
    ngx_time_t                    *tp;
    ngx_queue_t                   *q, *end;
    ngx_http_conduit_hook_node_t  *hook;

    tp = ngx_timeofday();
    now = (int64_t) tp->sec * 1000 + tp->msec;

    ngx_http_conduit_zone_lock(zone);

    end = ngx_queue_sentinel(&zone->sh->hooks);
    q = end;

    if (begun) {
        hook = ngx_http_conduit_hook_find_locked(zone, id);

        /* one that has gone meanwhile ends the search */

        q = hook ? &hook->hooks : ngx_queue_head(&zone->sh->hooks);
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_HOOK_STRIDE && *left; i++) {
        q = ngx_queue_prev(q);

        if (q == end) {
            *left = 0;
            break;
        }

        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, hooks);

        ngx_memcpy(id, hook->id, CONDUIT_BASE62_LEN);

        if (hook->place == NGX_HTTP_CONDUIT_HOOK_ENDED
            || (hook->task && hook->task->handed))
        {
            continue;
        }

        gauges->retrying += (hook->attempts > 0);
        gauges->oldest = ngx_max(now - hook->created, 0);
        (*left)--;
    }

    ngx_http_conduit_zone_unlock(zone);

    return *left ? NGX_AGAIN : NGX_OK;
}


static ngx_http_conduit_hook_node_t *
ngx_http_conduit_webhook_find_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, u_char *id)
{
    ngx_http_conduit_hook_node_t  *hook;

    hook = ngx_http_conduit_hook_find_locked(zone, id);

    return (hook && hook->key == key) ? hook : NULL;
}


static u_char *
ngx_http_conduit_webhook_digits(ngx_str_t *id)
{
    return (conduit_hook_id_check(id->data, id->len) == CONDUIT_OK)
           ? id->data + 4 : NULL;
}
