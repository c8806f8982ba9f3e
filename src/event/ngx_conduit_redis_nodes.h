
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_REDIS_NODES_H_INCLUDED_
#define _NGX_CONDUIT_REDIS_NODES_H_INCLUDED_


/*
 * A cluster of Redis: which node has which slot, a connection to each that
 * has been needed, and calls that wait.  The connection that there is without
 * a cluster stays: it goes to any node and takes what has no key.
 */


#include <ngx_conduit_redis_io.h>
#include <conduit_slot.h>


#define NGX_CONDUIT_REDIS_NODES    128
#define NGX_CONDUIT_REDIS_NOBODY   0xff
#define NGX_CONDUIT_REDIS_SCRIPTS  16

/* stands in the place of a slot for calls that have no key */

#define NGX_CONDUIT_REDIS_ANY      CONDUIT_SLOTS


typedef struct {
    ngx_conduit_redis_t             conn;
    ngx_conduit_redis_conf_t        conf;       /* but the server: as all */
    ngx_conduit_redis_cluster_t    *cluster;
    ngx_uint_t                      slots;      /* that it has */
    ngx_msec_t                      used;
    u_char                          index;
} ngx_conduit_redis_node_t;


typedef struct {
    uint32_t                        since;      /* of held, ms */
    uint16_t                        sent;       /* calls without a reply */
    uint16_t                        held;       /* calls not sent */
    uint16_t                        round;      /* see there */
    u_char                          node;
    u_char                          draining;   /* no call until sent is 0 */
} ngx_conduit_redis_slot_t;


typedef struct {
    u_char                          sha[40];
    size_t                          len;
    u_char                         *text;
} ngx_conduit_redis_script_t;


struct ngx_conduit_redis_cluster_s {
    ngx_conduit_redis_t            *redis;
    ngx_conduit_redis_node_t       *nodes[NGX_CONDUIT_REDIS_NODES];
    ngx_uint_t                      nnodes;     /* places, some NULL */
    ngx_conduit_redis_slot_t       *slots;      /* NULL: no calls */

    ngx_queue_t                     held;       /* calls, as they were made */
    ngx_uint_t                      ncalls;     /* sent and held */
    size_t                          size;       /* of these */
    uint64_t                        serial;
    uint16_t                        round;

    ngx_conduit_redis_script_t      scripts[NGX_CONDUIT_REDIS_SCRIPTS];
    ngx_uint_t                      nscripts;

    ngx_event_t                     timer;
    ngx_connection_t                dummy;

    ngx_msec_t                      asked;      /* for the map */
    ngx_uint_t                      turn;       /* who is asked next */
    ngx_conduit_redis_io_t         *from;       /* has been asked */
    ngx_msec_t                      alone;      /* since; 0: is connected */

    unsigned                        asking:1;
    unsigned                        stale:1;    /* the map is */
    unsigned                        away:1;     /* a node was lost */
    unsigned                        closed:1;
};


/* the map: a reply to CLUSTER SLOTS; NULL, or why it is of no use */

const char *ngx_conduit_redis_learn(ngx_conduit_redis_io_t *io,
    redisReply *reply);

/* asks one of the nodes for it, unless that has just been done */

void ngx_conduit_redis_refresh(ngx_conduit_redis_cluster_t *cluster);

/* the node at a place, made if there is none; host empty: that of io */

ngx_conduit_redis_node_t *ngx_conduit_redis_node(
    ngx_conduit_redis_cluster_t *cluster, ngx_conduit_redis_io_t *io,
    ngx_str_t *host, in_port_t port);

/* a connection for calls; NULL: there is none yet, or none any more */

ngx_conduit_redis_io_t *ngx_conduit_redis_node_io(
    ngx_conduit_redis_node_t *node);

/* where to connect to at the nth attempt; NULL: as configured */

ngx_conduit_redis_server_t *ngx_conduit_redis_known(
    ngx_conduit_redis_cluster_t *cluster, ngx_uint_t n);

/* is there a node that has slots and is not connected, though it should? */

ngx_uint_t ngx_conduit_redis_away(ngx_conduit_redis_cluster_t *cluster);

/* leaves nodes without slots; returns how many of them stay for a while */

ngx_uint_t ngx_conduit_redis_sweep(ngx_conduit_redis_cluster_t *cluster);

void ngx_conduit_redis_nodes_close(ngx_conduit_redis_cluster_t *cluster);


/* the slot of the key of a command, or ANY */

ngx_uint_t ngx_conduit_redis_slot(ngx_str_t *args, ngx_uint_t nargs);

ngx_uint_t ngx_conduit_redis_is(ngx_str_t *word, const char *name);

/* keeps the text of a script */

void ngx_conduit_redis_remember(ngx_conduit_redis_cluster_t *cluster,
    ngx_str_t *text);

/* EVALSHA becomes EVAL; 0: the text is not known */

ngx_uint_t ngx_conduit_redis_recall(ngx_conduit_redis_cluster_t *cluster,
    ngx_str_t *args);

void ngx_conduit_redis_forget(ngx_conduit_redis_cluster_t *cluster);


/* calls */

ngx_int_t ngx_conduit_redis_cluster_call(ngx_conduit_redis_cluster_t *cluster,
    ngx_str_t *args, ngx_uint_t nargs, ngx_conduit_redis_call_pt handler,
    void *data);

/* looks after what waits, in so many ms at the latest */

void ngx_conduit_redis_cluster_wake(ngx_conduit_redis_cluster_t *cluster,
    ngx_msec_t ms);
void ngx_conduit_redis_cluster_timer(ngx_event_t *ev);

/* tells those who wait; the connections of nodes are closed, too */

void ngx_conduit_redis_cluster_close(ngx_conduit_redis_t *redis);


#endif /* _NGX_CONDUIT_REDIS_NODES_H_INCLUDED_ */
