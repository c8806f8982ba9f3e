
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>


/* Tasks of other hosts, as those see them who watch and read tasks. */


/* copies that are watched and may be out of date */

typedef struct {
    ngx_http_conduit_zone_t          *zone;
    u_char                           *ids;
    ngx_uint_t                        n;
    ngx_uint_t                        max;
} ngx_http_conduit_stale_t;


static void ngx_http_conduit_watch_stale_locked(void *data,
    ngx_http_conduit_entry_t *entry);


ngx_uint_t
ngx_http_conduit_watch_shared(ngx_http_conduit_main_conf_t *cdmcf)
{
    return cdmcf->engine->follow != NULL;
}


ngx_int_t
ngx_http_conduit_watch_fresh(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    ngx_http_conduit_waiter_t *waiter)
{
    waiter->waiting = 0;

    return cdmcf->engine->follow ? cdmcf->engine->follow(cdmcf, id, waiter)
                                 : NGX_OK;
}


ngx_int_t
ngx_http_conduit_watch_fresh_key(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_http_conduit_waiter_t *waiter)
{
    waiter->waiting = 0;

    return cdmcf->engine->follow_key
           ? cdmcf->engine->follow_key(cdmcf, key, waiter) : NGX_OK;
}


ngx_int_t
ngx_http_conduit_watch_borrow(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    ngx_http_conduit_key_node_t *key, uint64_t lease,
    ngx_http_conduit_waiter_t *waiter)
{
    waiter->waiting = 0;

    return cdmcf->engine->borrow
           ? cdmcf->engine->borrow(cdmcf, id, key, lease, waiter)
           : NGX_ERROR;
}


void
ngx_http_conduit_watch_permit(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_uint_t n,
    void (*handler)(void *data), void *data)
{
    if (cdmcf->engine->permit) {
        cdmcf->engine->permit(cdmcf, key, n, handler, data);
    }
}


ngx_int_t
ngx_http_conduit_watch_page(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page, ngx_http_conduit_waiter_t *waiter)
{
    waiter->waiting = 0;

    return cdmcf->engine->page
           ? cdmcf->engine->page(cdmcf, page, waiter)
           : ngx_http_conduit_task_list(cdmcf, page);
}


void
ngx_http_conduit_watch_leave(ngx_http_conduit_waiter_t *waiter)
{
    if (waiter->waiting) {
        ngx_queue_remove(&waiter->queue);
        waiter->waiting = 0;
    }
}


ngx_uint_t
ngx_http_conduit_watch_stale(ngx_http_conduit_main_conf_t *cdmcf, u_char *ids,
    ngx_uint_t n)
{
    ngx_http_conduit_stale_t  stale;

    stale.zone = &cdmcf->zone;
    stale.ids = ids;
    stale.n = 0;
    stale.max = n;

    ngx_http_conduit_zone_lock(stale.zone);

    ngx_http_conduit_index_walk(&cdmcf->engine->watched,
                                ngx_http_conduit_watch_stale_locked, &stale);

    ngx_http_conduit_zone_unlock(stale.zone);

    return stale.n;
}


static void
ngx_http_conduit_watch_stale_locked(void *data,
    ngx_http_conduit_entry_t *entry)
{
    ngx_http_conduit_stale_t  *stale = data;

    ngx_http_conduit_task_node_t  *node;

    if (stale->n == stale->max) {
        return;
    }

    node = ngx_http_conduit_node_find_locked(stale->zone, entry->id);

    if (node && node->remote && node->owner == NGX_HTTP_CONDUIT_NOBODY) {
        ngx_memcpy(stale->ids + stale->n * NGX_HTTP_CONDUIT_ID_LEN, entry->id,
                   NGX_HTTP_CONDUIT_ID_LEN);
        stale->n++;
    }
}
