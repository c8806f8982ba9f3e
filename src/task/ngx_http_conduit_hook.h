
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_HOOK_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_HOOK_H_INCLUDED_


#include <ngx_event.h>
#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_store.h>
#include <conduit_jwe.h>
#include <conduit_payload.h>


/*
 * Events of tasks for their webhooks.  The draft of an event is made outside
 * of the lock together with the document of the same change; room for it is
 * taken before the change is applied, so that no task ends without it, and it
 * is queued in the same turn of the lock.
 */


/* secrets that sign one message at most */

#define NGX_HTTP_CONDUIT_HOOK_SECRETS  16


/* what webhooks need to know of a key; asked for anew each time */

typedef struct {
    uint32_t                          rate;        /* 0: off */
    uint32_t                          span;        /* ms, of the rate */
    const conduit_jwk_t              *jwk;         /* NULL: none */
    conduit_str_t                     secrets[NGX_HTTP_CONDUIT_HOOK_SECRETS];
    ngx_uint_t                        nsecrets;
} ngx_http_conduit_hook_key_t;

/* NGX_OK, or NGX_DECLINED: there is no such key any more */

typedef ngx_int_t (*ngx_http_conduit_hook_key_pt)(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_str_t *name,
    ngx_http_conduit_hook_key_t *key);


/* of a worker; what is private to the sending lies in webhook/ */

struct ngx_http_conduit_sender_s {
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_hook_conf_t      conf;
    ngx_http_conduit_hook_key_pt      key;
    ngx_log_t                        *log;

    ngx_event_t                       pump;        /* posted: send */
    ngx_event_t                       timer;       /* something is due then */
    ngx_event_t                       tick;
    ngx_connection_t                  dummy;       /* for debug of events */

    ngx_uint_t                        running;     /* attempts here */
    size_t                            size;        /* of scratch */
    u_char                           *scratch;
};


/* an event of a change, from its draft to its place in the queue */

typedef struct {
    ngx_http_conduit_hook_draft_t     draft;
    ngx_pool_t                       *pool;        /* NULL: no event */
    unsigned                          queued:1;
} ngx_http_conduit_hook_event_t;


/*
 * Makes the event that tells a change, if the task's webhook wants to be told:
 * doc is the document of the change, hooks are the node's, and the change may
 * begin the work or report progress.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_hook_draft(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_event_t *event, ngx_http_conduit_document_t *doc,
    ngx_uint_t hooks, ngx_uint_t begins, ngx_uint_t progress);

/*
 * A test event: settings and metadata are JSON texts.  The id is in the draft.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_conduit_hook_draft_test(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hook_event_t *event,
    ngx_http_conduit_key_node_t *key, ngx_str_t *settings,
    ngx_str_t *metadata);

/*
 * Takes the room for it.  NGX_ERROR: there is none, and a change must not be
 * made.
 */
ngx_int_t ngx_http_conduit_hook_take_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_event_t *event, ngx_http_conduit_key_node_t *key,
    ngx_http_conduit_task_node_t *task);

/*
 * Queues it: the change has been made; or gives the room back: the change has
 * found none for itself.
 */
void ngx_http_conduit_hook_queue_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_event_t *event);
void ngx_http_conduit_hook_undo_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_event_t *event);

/* after the lock: has it sent, if it was queued; frees the draft */
void ngx_http_conduit_hook_done(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_event_t *event);


/* how a delivery stands, for the store; 0: that is not kept */
ngx_uint_t ngx_http_conduit_record_hook_locked(
    ngx_http_conduit_kept_hook_t *kept, ngx_http_conduit_hook_node_t *hook);


/*
 * The deliveries of a record go into the zone, where its task is: this host
 * delivers them, or those who ask may see them.  apart: they have a lease of
 * their own.  NGX_OK, NGX_DECLINED (no such task), NGX_AGAIN (a change of it
 * is being kept) or NGX_ERROR (no room).
 */
ngx_int_t ngx_http_conduit_hooks_absorb(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, ngx_uint_t mine, ngx_uint_t apart);

/*
 * Those of the record's task that this host delivers or has delivered, with
 * their bodies, of the pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_conduit_task_hooks(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_pool_t *pool, ngx_http_conduit_record_t *record);


/*
 * Takes settings apart: {"url":TEXT,"headers":OBJECT,...}.  headers is the
 * text of the object; url is decoded in the place.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_conduit_hook_settings(ngx_str_t *settings, ngx_str_t *url,
    ngx_str_t *headers);


#endif /* _NGX_HTTP_CONDUIT_HOOK_H_INCLUDED_ */
