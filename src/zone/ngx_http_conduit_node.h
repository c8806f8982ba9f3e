
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_NODE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_NODE_H_INCLUDED_


#include <ngx_http_conduit_zone.h>


/* providers and their lanes; NULL or NGX_ERROR: no memory, or too many */

ngx_int_t ngx_http_conduit_provider_index(ngx_http_conduit_zone_t *zone,
    ngx_str_t *name);
ngx_http_conduit_lane_t *ngx_http_conduit_lane(ngx_http_conduit_zone_t *zone,
    ngx_uint_t provider, ngx_str_t *model);
void ngx_http_conduit_lane_push_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_lane_remove_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
ngx_uint_t ngx_http_conduit_lane_position_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_task_node_t *node);

#define ngx_http_conduit_lane_task(n)                                         \
    (ngx_http_conduit_task_node_t *)                                          \
        ((u_char *) (n) - offsetof(ngx_http_conduit_task_node_t, rank))


/* task nodes */

ngx_http_conduit_task_node_t *ngx_http_conduit_node_find_locked(
    ngx_http_conduit_zone_t *zone, u_char *id);
ngx_http_conduit_task_node_t *ngx_http_conduit_node_alloc_locked(
    ngx_http_conduit_zone_t *zone);
void ngx_http_conduit_node_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);

/*
 * A draft: links the node for this process only; finds it by its lease, which
 * it loses with the process; makes it a task.
 */
void ngx_http_conduit_node_draft_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
ngx_http_conduit_task_node_t *ngx_http_conduit_node_drafted_locked(
    ngx_http_conduit_zone_t *zone, u_char *id, uint64_t lease);
void ngx_http_conduit_node_publish_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);

/* a task or a draft */
ngx_http_conduit_task_node_t *ngx_http_conduit_node_any_locked(
    ngx_http_conduit_zone_t *zone, u_char *id);

/* one more task: in the order of creation, also with those of other hosts */
uint64_t ngx_http_conduit_node_number_locked(ngx_http_conduit_zone_t *zone);

/*
 * Into the tasks of its key, in the order of creation: drafts may become tasks
 * in another one, and so may tasks of other hosts.
 */
void ngx_http_conduit_node_place_locked(ngx_http_conduit_task_node_t *node);

/* the one behind, or before it; the first, or the last; NULL: none is left */
ngx_http_conduit_task_node_t *ngx_http_conduit_node_next_locked(
    ngx_http_conduit_key_node_t *key, ngx_http_conduit_task_node_t *node,
    ngx_uint_t ascending);

/*
 * Tickets: taken by this process, given back by it or for it.  hide says that
 * the change will end the task: nobody begins it meanwhile.  Another cell, or
 * NOBODY, may get to be the one that has it kept.
 */
void ngx_http_conduit_node_commit_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t cell);
void ngx_http_conduit_node_mark_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t hide);
void ngx_http_conduit_node_unmark_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);

/* makes a copy of the node, or a task of this host of the copy */
void ngx_http_conduit_node_remote_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t on);

void ngx_http_conduit_node_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_node_due_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_node_own_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t cell);
void ngx_http_conduit_node_slot_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t on);

/* the task has changed: it is now the last in the order of changes */
/* whatever has changed here since, two minutes at most, has a higher one */
uint64_t ngx_http_conduit_node_stamp_locked(ngx_http_conduit_zone_t *zone,
    ngx_msec_t since);
void ngx_http_conduit_node_changed_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);


#endif /* _NGX_HTTP_CONDUIT_NODE_H_INCLUDED_ */
