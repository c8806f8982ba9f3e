
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_wakeup.h>
#include <ngx_http_conduit_advance.h>
#include <ngx_http_conduit_watch.h>


/*
 * The one door.  A change that the store does not have to keep is made at
 * once, and begins again if the task has changed while its document was
 * written.  For one that is kept the task gets a ticket: under it nobody else
 * changes the task, the change is drafted, committed, and made when the store
 * has it.  Whatever comes meanwhile waits and is then looked at anew, so that
 * a final state stays final.
 */


/* changes that wait look again after this time, whoever else wakes them */

#define NGX_HTTP_CONDUIT_DOOR_WAIT  500


typedef struct {
    ngx_queue_t                       queue;       /* engine->waiting */
    ngx_event_t                       timer;       /* while in it */
    ngx_pool_t                       *pool;
    ngx_http_conduit_engine_t        *engine;
    ngx_http_conduit_outcome_t       *outcome;     /* NULL: nobody */
    ngx_http_conduit_change_t         change;
    ngx_http_conduit_advance_t        adv;
    unsigned                          made:1;      /* but for the zone */
    unsigned                          doubt:1;     /* perhaps it is kept */
} ngx_http_conduit_pending_t;


static ngx_int_t ngx_http_conduit_door_try(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_change_t *change, ngx_http_conduit_advance_t *adv);
static ngx_int_t ngx_http_conduit_door_make(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv);
static void ngx_http_conduit_door_await_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
static ngx_int_t ngx_http_conduit_door_pend(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_change_t *change, ngx_http_conduit_advance_t *adv);
static ngx_http_conduit_pending_t *ngx_http_conduit_door_copy(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_change_t *change);
static ngx_int_t ngx_http_conduit_door_commit(ngx_http_conduit_pending_t *p);
static ngx_int_t ngx_http_conduit_door_room(ngx_http_conduit_pending_t *p);
static void ngx_http_conduit_door_kept(void *data, ngx_int_t rc);
static void ngx_http_conduit_door_apply(ngx_http_conduit_pending_t *p);
static ngx_int_t ngx_http_conduit_door_apply_locked(
    ngx_http_conduit_pending_t *p);
static void ngx_http_conduit_door_give_up(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv);
static void ngx_http_conduit_door_wait(ngx_http_conduit_pending_t *p);
static void ngx_http_conduit_door_timer(ngx_event_t *ev);
static void ngx_http_conduit_door_again(ngx_http_conduit_pending_t *p);
static void ngx_http_conduit_door_end(ngx_http_conduit_pending_t *p,
    ngx_int_t rc);
static void ngx_http_conduit_door_tell(ngx_http_conduit_outcome_t *outcome,
    ngx_int_t rc);


ngx_int_t
ngx_http_conduit_task_advance(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_change_t *change, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view)
{
    ngx_int_t                   rc;
    ngx_http_conduit_advance_t  adv;

    if (change->model
        && ngx_http_conduit_model_bind(cdmcf, change->model) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_conduit_door_try(cdmcf->engine, change, &adv);

    if (rc == NGX_BUSY || rc == NGX_AGAIN) {
        return ngx_http_conduit_door_pend(cdmcf->engine, change, &adv);
    }

    if (view && rc != NGX_DECLINED && rc != NGX_ERROR
        && ngx_http_conduit_task_view(cdmcf, &change->name, 0, pool, view)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rc;
}


/*
 * NGX_AGAIN: the change has its ticket and is to be drafted and committed;
 * NGX_BUSY: it has to wait; else what has become of it.
 */

static ngx_int_t
ngx_http_conduit_door_try(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_change_t *change, ngx_http_conduit_advance_t *adv)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;

    /* who watches the task is to be told soon */

    ngx_http_conduit_index_ahead(&engine->watched, change->name.id);

    do {
        ngx_memzero(adv, offsetof(ngx_http_conduit_advance_t, record));
        adv->change = change;

        ngx_http_conduit_zone_lock(zone);

        rc = ngx_http_conduit_advance_check_locked(engine, adv, &node);

        if (rc == NGX_OK) {
            ngx_http_conduit_advance_copy_locked(engine, adv, node);

            if (adv->kept) {
                ngx_http_conduit_node_mark_locked(zone, node, adv->final);
                adv->ticket = node->ticket;
            }

        } else if (rc == NGX_BUSY) {
            ngx_http_conduit_door_await_locked(zone, node);
        }

        ngx_http_conduit_zone_unlock(zone);

        if (rc != NGX_OK) {
            return rc;
        }

        if (adv->kept) {
            return NGX_AGAIN;
        }

        rc = ngx_http_conduit_door_make(engine, adv);

    } while (rc == NGX_AGAIN);

    if (rc == NGX_OK) {
        ngx_http_conduit_advance_after(engine, adv);
    }

    return rc;
}


/* NGX_AGAIN: the task has changed meanwhile */

static ngx_int_t
ngx_http_conduit_door_make(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &engine->cdmcf->zone;

    if (ngx_http_conduit_advance_draft(engine, adv) != NGX_OK) {
        ngx_http_conduit_advance_free(engine, adv);
        return NGX_ERROR;
    }

    ngx_http_conduit_zone_lock(zone);

    rc = ngx_http_conduit_advance_check_locked(engine, adv, &node);

    if (rc == NGX_OK && node->sequence != adv->sequence) {
        rc = NGX_AGAIN;

    } else if (rc == NGX_OK) {
        ngx_http_conduit_undo_begin_locked(zone, node);
        rc = ngx_http_conduit_advance_apply_locked(engine, adv, node);
        ngx_http_conduit_undo_end_locked(zone);

        if (rc == NGX_ERROR) {
            ngx_http_conduit_step_postpone_locked(engine, node,
                                                  adv->change->lease);
        }

    } else if (rc == NGX_BUSY) {
        ngx_http_conduit_door_await_locked(zone, node);
    }

    ngx_http_conduit_zone_unlock(zone);

    ngx_http_conduit_advance_free(engine, adv);

    return rc;
}


/* whoever gives the ticket back tells this process */

static void
ngx_http_conduit_door_await_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    if (node->committer != zone->cell) {
        ngx_http_conduit_mask_set(&node->watchers, zone->cell);
        node->awaited = 1;
    }
}


/* what cannot be made at once is copied and goes on by itself */

static ngx_int_t
ngx_http_conduit_door_pend(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_change_t *change, ngx_http_conduit_advance_t *adv)
{
    ngx_int_t                    rc;
    ngx_http_conduit_pending_t  *p;

    /* progress beside the owner's work is not worth waiting */

    if (change->keep && !adv->kept) {
        return NGX_ERROR;
    }

    p = ngx_http_conduit_door_copy(engine, change);

    if (p == NULL) {
        ngx_http_conduit_door_give_up(engine, adv);
        return NGX_ERROR;
    }

    rc = NGX_BUSY;

    if (adv->ticket) {
        p->adv = *adv;
        p->adv.change = &p->change;

        rc = ngx_http_conduit_door_commit(p);

        if (rc != NGX_OK) {
            ngx_http_conduit_door_give_up(engine, &p->adv);
        }

        if (rc == NGX_DECLINED || (rc == NGX_ERROR && change->once)) {
            ngx_destroy_pool(p->pool);
            return (rc == NGX_DECLINED) ? NGX_ERROR : NGX_HTTP_CONDUIT_UNKEPT;
        }
    }

    if (rc != NGX_OK) {
        ngx_http_conduit_door_wait(p);
    }

    p->outcome = change->outcome;

    if (p->outcome) {
        p->outcome->place = &p->outcome;
    }

    return NGX_AGAIN;
}


static ngx_http_conduit_pending_t *
ngx_http_conduit_door_copy(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_change_t *change)
{
    ngx_pool_t                  *pool;
    ngx_http_conduit_pending_t  *p;

    pool = ngx_create_pool(2048, engine->log);
    if (pool == NULL) {
        return NULL;
    }

    p = ngx_pcalloc(pool, sizeof(ngx_http_conduit_pending_t));

    if (p == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    p->pool = pool;
    p->engine = engine;
    p->change = *change;
    p->change.outcome = NULL;

    if (ngx_http_conduit_change_copy(pool, &p->change) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    p->timer.handler = ngx_http_conduit_door_timer;
    p->timer.data = &engine->dummy;
    p->timer.log = engine->log;

    return p;
}


/* NGX_OK: under way; NGX_DECLINED: no memory; NGX_ERROR: of the store */

static ngx_int_t
ngx_http_conduit_door_commit(ngx_http_conduit_pending_t *p)
{
    ngx_int_t                  rc;
    ngx_http_conduit_store_t  *store;

    if (ngx_http_conduit_advance_draft(p->engine, &p->adv) != NGX_OK
        || ngx_http_conduit_door_room(p) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_conduit_record_advance(p->engine, &p->adv);

    store = p->engine->cdmcf->store;

    rc = store->commit(store, &p->adv.record, ngx_http_conduit_door_kept, p);

    return (rc == NGX_AGAIN) ? NGX_OK : NGX_ERROR;
}


/* what cannot be made must not be kept: room for the document is taken now */

static ngx_int_t
ngx_http_conduit_door_room(ngx_http_conduit_pending_t *p)
{
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_advance_t    *adv;
    ngx_http_conduit_task_node_t  *node;

    zone = &p->engine->cdmcf->zone;
    adv = &p->adv;
    rc = NGX_OK;

    if (!adv->visible) {
        return NGX_OK;
    }

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, p->change.name.id);

    if (node && node->ticket == adv->ticket) {
        rc = ngx_http_conduit_text_reserve_locked(zone, &node->document,
                                                  &node->fresh,
                                                  adv->document.data,
                                                  adv->document.len);
        if (rc != NGX_OK) {
            zone->sh->counters.nomem++;
            ngx_http_conduit_step_postpone_locked(p->engine, node,
                                                  p->change.lease);
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


/* the store's word */

static void
ngx_http_conduit_door_kept(void *data, ngx_int_t rc)
{
    ngx_http_conduit_pending_t  *p = data;

    u_char                      id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_engine_t  *engine;

    engine = p->engine;
    ngx_memcpy(id, p->change.name.id, NGX_HTTP_CONDUIT_ID_LEN);

    if (rc == NGX_DONE) {
        ngx_http_conduit_hook_done(engine->cdmcf, &p->adv.hook);
        rc = NGX_OK;
    }

    if (rc == NGX_OK) {
        p->made = 1;
        ngx_http_conduit_door_apply(p);

    } else if (rc == NGX_ABORT && p->adv.final) {

        /* others may see this end: the same is handed over until it is known */

        p->doubt = 1;
        ngx_http_conduit_door_wait(p);

        if (p->change.once) {
            ngx_http_conduit_door_tell(p->outcome, NGX_HTTP_CONDUIT_UNKEPT);
        }

        return;

    } else {
        p->doubt = 0;
        ngx_http_conduit_door_give_up(engine, &p->adv);

        if (p->change.once) {
            ngx_http_conduit_door_end(p, NGX_HTTP_CONDUIT_UNKEPT);

        } else {
            ngx_http_conduit_door_wait(p);
        }

        /* whoever waits does so on: the task may have to be looked at first */

        return;
    }

    ngx_http_conduit_door_wake(engine, id);
}


static void
ngx_http_conduit_door_apply(ngx_http_conduit_pending_t *p)
{
    ngx_int_t                 rc;
    ngx_http_conduit_zone_t  *zone;

    zone = &p->engine->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);
    rc = ngx_http_conduit_door_apply_locked(p);
    ngx_http_conduit_zone_unlock(zone);

    if (rc == NGX_ERROR) {

        /* there is no way back: the ticket stays until there is room */

        ngx_http_conduit_door_wait(p);
        return;
    }

    ngx_http_conduit_advance_free(p->engine, &p->adv);
    p->made = 0;

    if (rc == NGX_BUSY) {

        /* taken for dead, this process has lost its ticket: look anew */

        ngx_http_conduit_door_wait(p);
        return;
    }

    if (rc == NGX_OK) {
        ngx_http_conduit_advance_after(p->engine, &p->adv);
    }

    ngx_http_conduit_door_end(p, rc);
}


static ngx_int_t
ngx_http_conduit_door_apply_locked(ngx_http_conduit_pending_t *p)
{
    ngx_int_t                      rc;
    ngx_uint_t                     awaited;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_advance_t    *adv;
    ngx_http_conduit_task_node_t  *node;

    zone = &p->engine->cdmcf->zone;
    adv = &p->adv;

    node = ngx_http_conduit_node_find_locked(zone, p->change.name.id);

    if (node == NULL) {
        return NGX_DECLINED;
    }

    if (node->ticket != adv->ticket) {
        return NGX_BUSY;
    }

    awaited = node->awaited;

    ngx_http_conduit_undo_begin_locked(zone, node);

    adv->fresh = node->fresh;
    ngx_memzero(&node->fresh, sizeof(ngx_http_conduit_text_t));

    ngx_http_conduit_node_unmark_locked(zone, node);

    rc = ngx_http_conduit_advance_apply_locked(p->engine, adv, node);

    if (rc != NGX_OK) {
        ngx_http_conduit_node_mark_locked(zone, node, adv->final);
        node->awaited = awaited;
        node->fresh = adv->fresh;
        adv->ticket = node->ticket;
    }

    ngx_http_conduit_undo_end_locked(zone);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (awaited && !adv->visible) {
        (void) ngx_http_conduit_cell_ring_locked(zone, &node->watchers,
                                                 node->id, &adv->news.wake);
    }

    return NGX_OK;
}


/* gives the ticket back; the change has not been made */

static void
ngx_http_conduit_door_give_up(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv)
{
    if (adv->ticket == 0) {
        return;
    }

    ngx_http_conduit_task_release(engine->cdmcf, adv->change->name.id,
                                  adv->ticket);

    ngx_http_conduit_advance_free(engine, adv);
    adv->ticket = 0;
}


/*
 * A process that leaves stays until its changes are made, or until it is late:
 * then others find them as those of a process that has died.
 */

static void
ngx_http_conduit_door_wait(ngx_http_conduit_pending_t *p)
{
    p->timer.cancelable = p->engine->late;

    ngx_queue_insert_tail(&p->engine->waiting, &p->queue);
    ngx_add_timer(&p->timer, NGX_HTTP_CONDUIT_DOOR_WAIT);
}


static void
ngx_http_conduit_door_timer(ngx_event_t *ev)
{
    ngx_http_conduit_pending_t  *p;

    p = (ngx_http_conduit_pending_t *)
            ((u_char *) ev - offsetof(ngx_http_conduit_pending_t, timer));

    ngx_queue_remove(&p->queue);
    ngx_http_conduit_door_again(p);
}


void
ngx_http_conduit_door_wake(ngx_http_conduit_engine_t *engine, u_char *id)
{
    ngx_queue_t                 *q, woken;
    ngx_http_conduit_pending_t  *p;

    if (ngx_queue_empty(&engine->waiting)) {
        return;
    }

    /* taken out first: the outcome of one may be what others wait for */

    ngx_queue_init(&woken);

    for (q = ngx_queue_head(&engine->waiting);
         q != ngx_queue_sentinel(&engine->waiting);
         /* void */ )
    {
        p = ngx_queue_data(q, ngx_http_conduit_pending_t, queue);
        q = ngx_queue_next(q);

        if (!p->made
            && ngx_memcmp(p->change.name.id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0)
        {
            ngx_queue_remove(&p->queue);
            ngx_queue_insert_tail(&woken, &p->queue);
        }
    }

    while (!ngx_queue_empty(&woken)) {
        q = ngx_queue_head(&woken);
        ngx_queue_remove(q);

        ngx_http_conduit_door_again(
                     ngx_queue_data(q, ngx_http_conduit_pending_t, queue));
    }
}


static void
ngx_http_conduit_door_again(ngx_http_conduit_pending_t *p)
{
    ngx_int_t                  rc;
    ngx_http_conduit_store_t  *store;

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    if (p->engine->late) {
        ngx_http_conduit_door_wait(p);
        return;
    }

    if (p->made) {
        ngx_http_conduit_door_apply(p);
        return;
    }

    if (p->doubt) {
        store = p->engine->cdmcf->store;

        if (store->commit(store, &p->adv.record, ngx_http_conduit_door_kept, p)
            != NGX_AGAIN)
        {
            ngx_http_conduit_door_wait(p);
        }

        return;
    }

    rc = ngx_http_conduit_door_try(p->engine, &p->change, &p->adv);

    switch (rc) {

    case NGX_AGAIN:
        rc = ngx_http_conduit_door_commit(p);

        if (rc == NGX_OK) {
            return;
        }

        ngx_http_conduit_door_give_up(p->engine, &p->adv);

        if (rc == NGX_DECLINED || p->change.once) {
            ngx_http_conduit_door_end(p, (rc == NGX_DECLINED)
                                         ? NGX_ERROR
                                         : NGX_HTTP_CONDUIT_UNKEPT);
            return;
        }

        break;

    case NGX_BUSY:
        break;

    default:
        ngx_http_conduit_door_end(p, rc);
        return;
    }

    ngx_http_conduit_door_wait(p);
}


static void
ngx_http_conduit_door_end(ngx_http_conduit_pending_t *p, ngx_int_t rc)
{
    ngx_http_conduit_door_tell(p->outcome, rc);
    ngx_destroy_pool(p->pool);
}


static void
ngx_http_conduit_door_tell(ngx_http_conduit_outcome_t *outcome, ngx_int_t rc)
{
    if (outcome) {
        ngx_http_conduit_outcome_detach(outcome);
        outcome->handler(outcome->data, rc);
    }
}
