
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_ADVANCE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_ADVANCE_H_INCLUDED_


#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_hook.h>
#include <ngx_http_conduit_store.h>


/* One change on its way through the one door; only the door looks in here. */


typedef struct {
    ngx_http_conduit_change_t        *change;
    conduit_event_e                   event;
    conduit_status_e                  status;      /* the new one */
    uint64_t                          sequence;    /* that has been seen */
    uint64_t                          ticket;      /* while it is kept */
    uint32_t                          shown;
    unsigned                          visible:1;
    unsigned                          retry:1;
    unsigned                          final:1;     /* becomes terminal */
    unsigned                          begun:1;     /* for the first time */
    unsigned                          kept:1;      /* by the store, first */
    unsigned                          gone:1;      /* webhooks met a 410 */
    ngx_http_conduit_document_t       doc;
    ngx_str_t                         document;
    ngx_http_conduit_text_t           fresh;       /* its place, if kept */
    ngx_str_t                         head;        /* of the run text */
    ngx_str_t                         run;         /* head and new state */
    ngx_uint_t                        stop;        /* cell performing it, */
                                                   /* or NOBODY */
    ngx_uint_t                        provider;    /* to pump */
    uint64_t                          lease;       /* claimed here */
    int64_t                           duration;
    int64_t                           waited;      /* if begun */
    ngx_http_conduit_news_t           news;
    ngx_uint_t                        hooks;       /* of the webhook */
    ngx_http_conduit_hook_event_t     hook;        /* to tell it */
    ngx_http_conduit_record_t         record;      /* if kept */
    ngx_http_conduit_kept_hook_t      kept_hook;   /* of the record */
} ngx_http_conduit_advance_t;


/*
 * May the change be made?  NGX_OK, NGX_DECLINED, FINAL, LEASE_LOST, or
 * NGX_BUSY: another change is being kept.
 */
ngx_int_t ngx_http_conduit_advance_check_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_advance_t *adv,
    ngx_http_conduit_task_node_t **nodep);

/*
 * What the new document takes over from the node and from the old one, some
 * of it to the scratch of the engine: draft() has to follow at once.
 */
void ngx_http_conduit_advance_copy_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv, ngx_http_conduit_task_node_t *node);

/* writes the texts, without the lock; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_conduit_advance_draft(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv);
void ngx_http_conduit_advance_free(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv);

/* NGX_ERROR: no room in the zone, nothing has changed for anybody */
ngx_int_t ngx_http_conduit_advance_apply_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_advance_t *adv,
    ngx_http_conduit_task_node_t *node);

/* tells whoever watches, goes on with the task */
void ngx_http_conduit_advance_after(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv);


/* gives the change its own copies of all texts; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_conduit_change_copy(ngx_pool_t *pool,
    ngx_http_conduit_change_t *change);


/* a node as a record, but for its texts */
void ngx_http_conduit_record_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_record_t *record, ngx_http_conduit_task_node_t *node);

/* the other way round; texts, and status and step, which count, are not set */
void ngx_http_conduit_record_restore_locked(
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_record_t *record);

/* after the draft: the record as the node will be */
void ngx_http_conduit_record_advance(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_advance_t *adv);


#endif /* _NGX_HTTP_CONDUIT_ADVANCE_H_INCLUDED_ */
