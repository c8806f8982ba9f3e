
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_HOOK_QUEUE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_HOOK_QUEUE_H_INCLUDED_


#include <ngx_http_conduit_zone.h>


/* What the files of the delivery queue share; nobody else looks in here. */


/* what a node of sh->hook_due belongs to: its member "data" */

#define NGX_HTTP_CONDUIT_DUE_HOOK    0
#define NGX_HTTP_CONDUIT_DUE_ORIGIN  1
#define NGX_HTTP_CONDUIT_DUE_KEY     2

/* from the begin of one attempt to tell progress to that of the next, in ms */

#define NGX_HTTP_CONDUIT_HOOK_THROTTLE  2000


/* the queue: puts a delivery where it belongs, or takes it away from there */

void ngx_http_conduit_hook_place_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook);
void ngx_http_conduit_hook_own_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_uint_t cell);
void ngx_http_conduit_hook_away_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook);
void ngx_http_conduit_hook_due_locked(ngx_http_conduit_zone_t *zone,
    ngx_rbtree_node_t *node, ngx_msec_t at, ngx_uint_t what);

/* the order of a task: the first that waits goes, if none is on its way */

void ngx_http_conduit_hook_next_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task);

/* it ends in this state, and is kept or, if nobody will ask for it, freed */

void ngx_http_conduit_hook_stop_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_uint_t state);


/* origins, and whose turn it is */

ngx_http_conduit_origin_t *ngx_http_conduit_origin_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_key_node_t *key,
    u_char *digest);
void ngx_http_conduit_origin_unref_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin);
void ngx_http_conduit_origin_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin);
void ngx_http_conduit_origin_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin);

/* it may have something to do: it and its key stand in line */

void ngx_http_conduit_origin_list_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin);
void ngx_http_conduit_origin_wake_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_origin_t *origin);
void ngx_http_conduit_origin_unlist_locked(
    ngx_http_conduit_origin_t *origin);
void ngx_http_conduit_turn_list_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key);
void ngx_http_conduit_turn_unlist_locked(ngx_http_conduit_key_node_t *key);


/* ms until the rate of the key lets one more go, of up to room, or 0 */

ngx_msec_t ngx_http_conduit_hook_rate_wait_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_key_node_t *key,
    ngx_uint_t room);

/* counts one that goes */

void ngx_http_conduit_hook_rate_take_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key);


uint32_t ngx_http_conduit_hook_hash(u_char *id);

#define ngx_http_conduit_hook_progress(hook)                                  \
    ((hook)->event == CONDUIT_HOOK_PROGRESS)

/* another host sends it */
#define ngx_http_conduit_hook_handed(hook)                                    \
    ((hook)->task && (hook)->task->handed)

#define ngx_http_conduit_hook_of(node)                                        \
    ngx_rbtree_data(node, ngx_http_conduit_hook_node_t, u.tree)


#endif /* _NGX_HTTP_CONDUIT_HOOK_QUEUE_H_INCLUDED_ */
