
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_HOOK_NODE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_HOOK_NODE_H_INCLUDED_


#include <ngx_http_conduit_zone.h>


/*
 * Deliveries.  A draft holds all that is known outside of the lock; alloc()
 * makes the node of it (NGX_DECLINED: this event has been queued before, or
 * it is not to be queued; NGX_ERROR: no memory), which is then either linked
 * or given up: both cannot fail.
 */

typedef struct {
    conduit_breaker_conf_t              breaker;
    ngx_uint_t                          per_origin;
    ngx_uint_t                          per_key;
    ngx_uint_t                          total;
    uint64_t                            unleased;  /* shards: another host */
                                                   /* may go on there */
    ngx_msec_t                          ttl;       /* of test events */
} ngx_http_conduit_hook_conf_t;

typedef struct {
    u_char                              id[CONDUIT_BASE62_LEN];
    u_char                              origin[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t                          event;     /* CONDUIT_HOOK_*, 0: test */
    uint64_t                            sequence;
    int64_t                             created;
    ngx_str_t                           body;
    ngx_str_t                           settings;  /* of a test event */
    uint32_t                            rate;      /* of the key */
    uint32_t                            span;
    unsigned                            jose:1;
    ngx_http_conduit_hook_node_t       *node;      /* set by alloc() */
} ngx_http_conduit_hook_draft_t;

ngx_int_t ngx_http_conduit_hook_alloc_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_draft_t *draft, ngx_http_conduit_key_node_t *key,
    ngx_http_conduit_task_node_t *task);
void ngx_http_conduit_hook_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_draft_t *draft);
void ngx_http_conduit_hook_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook);

ngx_http_conduit_hook_node_t *ngx_http_conduit_hook_find_locked(
    ngx_http_conduit_zone_t *zone, u_char *id);

/* with all its deliveries; none of them is owed any more */
void ngx_http_conduit_hook_leave_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task);

/*
 * What room the last event of an unfinished task may need: counted while it
 * is unfinished, and left to it by new tasks.
 */
void ngx_http_conduit_hook_promise_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task, ngx_uint_t on);


/*
 * Attempts.  claim() finds the delivery whose turn it is and gives it to this
 * process; NGX_AGAIN: none, *wait is set to the time until the next one may be
 * due, or 0.  The text that is copied has to fit in buf, else it is claimed
 * and copied is 0: see copy().
 */

typedef struct {
    u_char                              id[CONDUIT_BASE62_LEN];
    u_char                              task[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                            lease;
    uint64_t                            sequence;
    ngx_http_conduit_key_node_t        *key;
    ngx_uint_t                          event;
    ngx_uint_t                          kind;
    ngx_uint_t                          attempts;  /* made so far */
    ngx_uint_t                          tries;     /* of this schedule */
    int64_t                             created;
    size_t                              body;      /* its length, and that */
    size_t                              settings;  /* of the JSON behind it */
    unsigned                            jose:1;
    unsigned                            once:1;
    unsigned                            copied:1;
} ngx_http_conduit_hook_claim_t;

ngx_int_t ngx_http_conduit_hook_claim_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf, ngx_http_conduit_hook_claim_t *claim,
    u_char *buf, size_t size, ngx_msec_t *wait);

/* NGX_DECLINED: the lease is gone */
ngx_int_t ngx_http_conduit_hook_copy_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_claim_t *claim, u_char *buf);

/* the rate of a key as it is configured now; NGX_ERROR: no memory */
ngx_int_t ngx_http_conduit_hook_rate_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, uint32_t rate, uint32_t span);

/*
 * A claim may leave in zone->ask a key that needs permits, zone->asked of them.
 * permit() brings them, to be used until that time, or (n is 0) says that
 * there are none until then.  span() is the time that the rate is counted for.
 */
uint32_t ngx_http_conduit_hook_span(ngx_http_conduit_key_node_t *key);
void ngx_http_conduit_hook_permit_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, uint32_t n, ngx_msec_t until);

/* a POST was sent long after it was claimed: the rate counts it then */
void ngx_http_conduit_hook_sent_locked(ngx_http_conduit_key_node_t *key);

typedef struct {
    u_char                              id[CONDUIT_BASE62_LEN];
    uint64_t                            lease;
    conduit_failure_e                   failure;
    ngx_uint_t                          status;    /* 0: none */
    ngx_uint_t                          address;   /* class, or NOWHERE */
    int64_t                             at;        /* begin, ms */
    ngx_msec_t                          duration;
    ngx_msec_t                          pause;     /* if it is retried */
    unsigned                            retry:1;
    unsigned                            drop:1;    /* it cannot be sent */

    /* results */

    conduit_breaker_change_e            change;
    ngx_uint_t                          state;     /* of the delivery now */
    int64_t                             latency;   /* since creation, or -1 */
} ngx_http_conduit_hook_result_t;

/* NGX_OK, or NGX_DECLINED: somebody else goes on with it */
ngx_int_t ngx_http_conduit_hook_end_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_conf_t *conf,
    ngx_http_conduit_hook_result_t *result);

/* the attempt was not made, or nobody knows how it went: it is made again */
void ngx_http_conduit_hook_back_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_msec_t after);

/* an ended delivery begins anew; NGX_OK or NGX_DECLINED: it has not ended */
ngx_int_t ngx_http_conduit_hook_again_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook);

/*
 * The deliveries of the task are another host's from now on, or this one's
 * again.  Attempts that are under way end as usual.
 */
void ngx_http_conduit_hook_hand_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *task, ngx_uint_t on);

/* one from the store that has ended before the start */
void ngx_http_conduit_hook_restore_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_hook_node_t *hook, ngx_uint_t state);

/* of a cell that is gone; returns how many attempts it had */
ngx_uint_t ngx_http_conduit_hook_disown_locked(ngx_http_conduit_zone_t *zone,
    ngx_uint_t cell);
void ngx_http_conduit_hook_repair_locked(ngx_http_conduit_zone_t *zone);


/* what a delivery looks like: pending may be parked */

ngx_uint_t ngx_http_conduit_hook_state_locked(
    ngx_http_conduit_hook_node_t *hook);


/*
 * The "webhook" of a status document: how the delivery of the event stands
 * that tells the task's end.  NGX_OK, or NGX_DECLINED: the task has no webhook
 * or does not want to be told such an end (hooks of the node tells which).
 */

typedef struct {
    ngx_uint_t                          state;
    ngx_uint_t                          attempts;
    ngx_uint_t                          last_status;   /* 0: null */
    ngx_uint_t                          last_failure;  /* 0: null */
} ngx_http_conduit_hook_sum_t;

ngx_int_t ngx_http_conduit_hook_sum_locked(ngx_http_conduit_task_node_t *task,
    ngx_http_conduit_hook_sum_t *sum);


#endif /* _NGX_HTTP_CONDUIT_HOOK_NODE_H_INCLUDED_ */
