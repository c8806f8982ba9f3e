
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WATCH_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WATCH_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_index.h>
#include <ngx_http_conduit_task.h>


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

/*
 * What the handler will look at may be asked for ahead, as it comes from
 * memory: when the task has changed, and once more when this one is the next.
 */

typedef void (*ngx_http_conduit_ahead_pt)(ngx_http_conduit_watcher_t *w,
    ngx_uint_t next);


struct ngx_http_conduit_watcher_s {
    ngx_http_conduit_entry_t      entry;           /* of the first of a task */
    ngx_queue_t                   queue;           /* a ring of the same task */
    ngx_queue_t                   fired;           /* handler to be called */
    u_char                        id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_watch_pt     handler;
    ngx_http_conduit_ahead_pt     ahead;           /* or NULL */
    void                         *data;
    ngx_http_conduit_key_node_t  *key;             /* of watch_key() */
    unsigned                      added:1;
    unsigned                      first:1;
    unsigned                      due:1;
};


/* the id and the handler must be set; NGX_OK, or NGX_ERROR: no memory */

ngx_int_t ngx_http_conduit_watch_add(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w);
void ngx_http_conduit_watch_del(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w);

/*
 * Watchers of all tasks of a key, woken by whichever changes; key is of the
 * zone, id unused.
 */

ngx_int_t ngx_http_conduit_watch_key(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w, ngx_http_conduit_key_node_t *key);

/* watchers of waiting work, woken when a worker's task is queued; id unused */

ngx_int_t ngx_http_conduit_watch_claims(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_watcher_t *w);


/*
 * Where several hosts share tasks: is the zone up to date about a task, or all
 * tasks of a key?  NGX_OK, also if there is no such task; NGX_ERROR: others
 * would have to be asked and cannot be; NGX_AGAIN: the handler gets one of the
 * two later, unless the waiter leaves.  The memory is the caller's until then.
 */

typedef struct {
    ngx_queue_t                   queue;
    void                        (*handler)(void *data, ngx_int_t rc);
    void                         *data;
    unsigned                      waiting:1;
} ngx_http_conduit_waiter_t;

ngx_uint_t ngx_http_conduit_watch_shared(ngx_http_conduit_main_conf_t *cdmcf);
ngx_int_t ngx_http_conduit_watch_fresh(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_waiter_t *waiter);
ngx_int_t ngx_http_conduit_watch_fresh_key(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_key_node_t *key,
    ngx_http_conduit_waiter_t *waiter);
void ngx_http_conduit_watch_leave(ngx_http_conduit_waiter_t *waiter);

/*
 * A page of a key's tasks, as task_list(), of all hosts.  NGX_AGAIN: the page
 * is the callee's until the handler gets NGX_OK, NGX_DECLINED or NGX_ERROR, or
 * the waiter leaves.
 */

ngx_int_t ngx_http_conduit_watch_page(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page, ngx_http_conduit_waiter_t *waiter);

/*
 * A worker holds the lease of a task of another host (of that number, if lease
 * is not 0): asks for it.  NGX_AGAIN: the handler gets NGX_OK when the task has
 * come or ended, NGX_DECLINED if the worker does not hold it, NGX_ERROR if that
 * cannot be known within 10 s; NGX_ERROR: others cannot be asked.
 */

ngx_int_t ngx_http_conduit_watch_borrow(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_key_node_t *key, uint64_t lease,
    ngx_http_conduit_waiter_t *waiter);

/*
 * Asks for n permits of a key's rate, which all hosts share: what comes of it
 * is in the zone when the handler is called.
 */

void ngx_http_conduit_watch_permit(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_uint_t n,
    void (*handler)(void *data), void *data);

/* up to n ids of tasks watched here that nobody follows any more */

ngx_uint_t ngx_http_conduit_watch_stale(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *ids, ngx_uint_t n);


/*
 * Ends a request whose client goes while it waits, or has gone: the kernel
 * told the end of the connection with the request, and does not tell it again.
 */

void ngx_http_conduit_watch_client(ngx_http_request_t *r);


/* for the engine */

ngx_int_t ngx_http_conduit_watch_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_WATCH_H_INCLUDED_ */
