
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WEBHOOK_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WEBHOOK_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_hook.h>
#include <conduit_payload.h>
#include <conduit_task.h>


/*
 * The delivery of webhooks: any worker sends what is due.  Events are queued
 * with the change that they tell (task/ngx_http_conduit_hook.h); this is what
 * begins and ends the sending in a worker, and what a key may see and do.
 */


ngx_int_t ngx_http_conduit_webhook_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hook_key_pt key);
void ngx_http_conduit_webhook_exit(ngx_http_conduit_main_conf_t *cdmcf);


/* a delivery as it is now; 0 in a time, status or failure is null */

typedef struct {
    u_char                            id[CONDUIT_HOOK_ID_LEN];
    u_char                            task[NGX_HTTP_CONDUIT_ID_LEN];
                                                   /* zeros: test event */
    ngx_uint_t                        event;       /* CONDUIT_HOOK_*, 0: test */
    ngx_uint_t                        kind;
    ngx_uint_t                        state;       /* HOOK_PENDING ... */
    uint64_t                          sequence;
    ngx_str_t                         url;         /* without query */
    ngx_uint_t                        attempts;
    ngx_uint_t                        last_status;
    conduit_failure_e                 last_failure;
    int64_t                           created;     /* ms */
    int64_t                           updated;
    int64_t                           next;
    int64_t                           delivered;

    /* of show() only; the oldest first */

    ngx_http_conduit_attempt_t       *log;
    ngx_uint_t                        nlog;
} ngx_http_conduit_delivery_t;


/* a page of a key's deliveries, the newest first unless ascending */

typedef struct {
    ngx_http_conduit_key_node_t      *key;
    ngx_int_t                         state;       /* -1: any */
    ngx_uint_t                        limit;
    ngx_str_t                         cursor;      /* webhook-id, or empty */
    u_char                            task[NGX_HTTP_CONDUIT_ID_LEN];
    unsigned                          of_task:1;   /* only those of task */
    unsigned                          ascending:1;
    unsigned                          after:1;     /* behind last */
    u_char                            last[CONDUIT_BASE62_LEN];
    ngx_pool_t                       *pool;

    ngx_http_conduit_delivery_t      *deliveries;  /* of limit elements */
    ngx_uint_t                        n;
    unsigned                          more:1;
} ngx_http_conduit_hook_page_t;

/* NGX_OK, NGX_DECLINED (the cursor is no delivery of this key) or NGX_ERROR */
ngx_int_t ngx_http_conduit_webhook_list(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_page_t *page);

/*
 * The task of a delivery.  NGX_OK, NGX_DONE (it has none, as a test event, or
 * this is no id at all) or NGX_DECLINED: no such delivery of this key is here.
 */
ngx_int_t ngx_http_conduit_webhook_task(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_str_t *id, u_char *task);

/* NGX_OK, NGX_DECLINED (no such delivery of this key) or NGX_ERROR */
ngx_int_t ngx_http_conduit_webhook_show(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_str_t *id, ngx_pool_t *pool,
    ngx_http_conduit_delivery_t *delivery);

/* begins an ended delivery anew; as show(), or NGX_BUSY (it has not ended) */
ngx_int_t ngx_http_conduit_webhook_redeliver(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_key_node_t *key,
    ngx_str_t *id, ngx_pool_t *pool, ngx_http_conduit_delivery_t *delivery);

/*
 * Queues a test event.  settings is the "webhook" text that create's checks
 * have made, metadata a JSON object or empty.  NGX_OK, NGX_BUSY (the zone is
 * full) or NGX_ERROR.
 */
ngx_int_t ngx_http_conduit_webhook_test(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_str_t *settings,
    ngx_str_t *metadata, ngx_pool_t *pool,
    ngx_http_conduit_delivery_t *delivery);


/* how things stand now, for health and metrics */

typedef struct {
    ngx_uint_t                        waiting;     /* parked ones too */
    ngx_uint_t                        parked;
    ngx_uint_t                        running;     /* attempts in flight */
    ngx_uint_t                        kept;        /* deliveries in all */
    ngx_uint_t                        origins;
    ngx_uint_t                        open;        /* breakers */
    ngx_uint_t                        half_open;

    /* of backlog() only */

    ngx_uint_t                        retrying;    /* tried, and not ended */
    int64_t                           oldest;      /* ms; -1: none */
} ngx_http_conduit_hook_gauges_t;

void ngx_http_conduit_webhook_gauges(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_gauges_t *gauges);

/* looks at deliveries until all that have not ended are found */
void ngx_http_conduit_webhook_backlog(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hook_gauges_t *gauges);


/*
 * Counters lie in zone.sh->counters: hook_queued, hook_ended[HOOK_*] (each
 * end, a redelivery counts again), hook_attempts[conduit_failure_e],
 * hook_retries (attempts beyond a schedule's first), hook_trips,
 * hook_latency[] and hook_latency_sum (ms from the event to its 2xx, without
 * redeliveries), and hook_duration_sum (ms, of attempts).  Upper bounds of the
 * classes of hook_latency, in ms:
 */

#define NGX_HTTP_CONDUIT_LATENCIES  14

extern ngx_uint_t  ngx_http_conduit_latencies[NGX_HTTP_CONDUIT_LATENCIES];


#endif /* _NGX_HTTP_CONDUIT_WEBHOOK_H_INCLUDED_ */
