
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WATCH_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WATCH_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/*
 * Watchers: who wants to know when a task changes.  A wake-up only says "look
 * again": the handler reads the task and compares sequences.  Wake-ups of one
 * turn of the event loop are merged; none is lost.
 *
 * Add first, then look: what changes between the two calls wakes the watcher.
 * A handler runs from a posted event and may delete or add any watcher.  The
 * memory is the caller's and must stay until watch_del().
 */

typedef struct ngx_http_conduit_watcher_s  ngx_http_conduit_watcher_t;

typedef void (*ngx_http_conduit_watch_pt)(ngx_http_conduit_watcher_t *w);


struct ngx_http_conduit_watcher_s {
    ngx_queue_t                   queue;           /* of the same task */
    ngx_queue_t                   fired;           /* handler to be called */
    u_char                        id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_watch_pt     handler;
    void                         *data;
    unsigned                      added:1;
    unsigned                      due:1;
};


/* the id and the handler must be set; NGX_OK, or NGX_ERROR: no memory */

ngx_int_t ngx_http_conduit_watch_add(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w);
void ngx_http_conduit_watch_del(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w);

/* watchers of waiting work, woken when a worker's task is queued; id unused */

ngx_int_t ngx_http_conduit_watch_claims(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w);


/* for the engine */

ngx_int_t ngx_http_conduit_watch_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);
void ngx_http_conduit_watch_notify(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id);
void ngx_http_conduit_watch_notify_claims(
    ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_WATCH_H_INCLUDED_ */
