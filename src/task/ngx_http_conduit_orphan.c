
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_fill.h>
#include <ngx_http_conduit_store.h>


/*
 * A process has died while a change was being kept, and the store may have it:
 * a job that was submitted, or an end that its receiver is to hear of.  The
 * ticket stays, and another process asks the store before anybody goes on.
 */


/* asked at a time */

#define NGX_HTTP_CONDUIT_ORPHANS  16


typedef struct {
    ngx_http_conduit_main_conf_t     *cdmcf;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          number;
    uint64_t                          ticket;
} ngx_http_conduit_orphan_t;


static ngx_uint_t ngx_http_conduit_orphans_take(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_orphan_t *orphans);
static ngx_int_t ngx_http_conduit_orphan_ask(
    ngx_http_conduit_orphan_t *orphan);
static ngx_int_t ngx_http_conduit_orphan_each(void *data,
    ngx_http_conduit_record_t *record);
static void ngx_http_conduit_orphan_done(void *data, ngx_int_t rc);
static void ngx_http_conduit_orphan_leave(ngx_http_conduit_orphan_t *orphan);


void
ngx_http_conduit_orphans(ngx_http_conduit_engine_t *engine)
{
    ngx_uint_t                 i, n;
    ngx_http_conduit_orphan_t  orphans[NGX_HTTP_CONDUIT_ORPHANS];

    if (engine->cdmcf->zone.sh->orphans == 0
        || engine->cdmcf->zone.cell == NGX_HTTP_CONDUIT_NOBODY)
    {
        return;
    }

    n = ngx_http_conduit_orphans_take(engine, orphans);

    for (i = 0; i < n; i++) {
        if (ngx_http_conduit_orphan_ask(&orphans[i]) != NGX_OK) {
            ngx_http_conduit_orphan_leave(&orphans[i]);
        }
    }
}


static ngx_uint_t
ngx_http_conduit_orphans_take(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_orphan_t *orphans)
{
    ngx_uint_t                     n;
    ngx_queue_t                   *q;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    n = 0;
    zone = &engine->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    for (q = ngx_queue_head(&zone->sh->tasks);
         q != ngx_queue_sentinel(&zone->sh->tasks)
         && n < NGX_HTTP_CONDUIT_ORPHANS;
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        if (node->ticket == 0 || node->committer != NGX_HTTP_CONDUIT_NOBODY) {
            continue;
        }

        ngx_http_conduit_node_commit_locked(zone, node, zone->cell);

        orphans[n].cdmcf = engine->cdmcf;
        orphans[n].number = node->number;
        orphans[n].ticket = node->ticket;
        ngx_memcpy(orphans[n].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);

        n++;
    }

    if (n < NGX_HTTP_CONDUIT_ORPHANS) {
        zone->sh->orphans = 0;
    }

    ngx_http_conduit_zone_unlock(zone);

    return n;
}


static ngx_int_t
ngx_http_conduit_orphan_ask(ngx_http_conduit_orphan_t *orphan)
{
    ngx_http_conduit_store_t   *store;
    ngx_http_conduit_orphan_t  *copy;

    store = orphan->cdmcf->store;

    copy = ngx_alloc(sizeof(ngx_http_conduit_orphan_t), ngx_cycle->log);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *orphan;

    if (store->recall(store, orphan->number, ngx_http_conduit_orphan_each,
                      ngx_http_conduit_orphan_done, copy)
        != NGX_AGAIN)
    {
        ngx_free(copy);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* first what is told of the change, then the change itself */

static ngx_int_t
ngx_http_conduit_orphan_each(void *data, ngx_http_conduit_record_t *record)
{
    ngx_http_conduit_orphan_t  *orphan = data;

    ngx_int_t  rc;

    if (record->hook) {
        return ngx_http_conduit_fill_again(orphan->cdmcf, orphan->id, record);
    }

    rc = ngx_http_conduit_task_adopt(orphan->cdmcf, record, orphan->ticket);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_conduit_orphan_done(void *data, ngx_int_t rc)
{
    ngx_http_conduit_orphan_t  *orphan = data;

    if (rc == NGX_OK) {

        /* what the store does not have is tried again */

        ngx_http_conduit_task_release(orphan->cdmcf, orphan->id,
                                      orphan->ticket);
        ngx_http_conduit_door_wake(orphan->cdmcf->engine, orphan->id);

    } else {
        ngx_http_conduit_orphan_leave(orphan);
    }

    ngx_free(orphan);
}


/* to be asked for again */

static void
ngx_http_conduit_orphan_leave(ngx_http_conduit_orphan_t *orphan)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &orphan->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, orphan->id);

    if (node && node->ticket == orphan->ticket) {
        ngx_http_conduit_node_commit_locked(zone, node,
                                            NGX_HTTP_CONDUIT_NOBODY);
        zone->sh->orphans = 1;
    }

    ngx_http_conduit_zone_unlock(zone);
}
