
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_MODULE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_conduit_zone.h>
#include <ngx_conduit_wakeup.h>
#include <conduit_addr.h>
#include <conduit_breaker.h>
#include <conduit_retry.h>


/* The configuration, as all parts see it; conf/ fills it at "nginx -t". */


#define NGX_HTTP_CONDUIT_IMAGE        0
#define NGX_HTTP_CONDUIT_VIDEO        1
#define NGX_HTTP_CONDUIT_ANY          2

/* a set of kinds */

#define NGX_HTTP_CONDUIT_KIND(k)      (1 << (k))

#define NGX_HTTP_CONDUIT_MODEL_HASH   127

/* conduit_health */

#define NGX_HTTP_CONDUIT_HEALTH_ALL        0
#define NGX_HTTP_CONDUIT_HEALTH_SIGNALR    1
#define NGX_HTTP_CONDUIT_HEALTH_WEBHOOKS   2
#define NGX_HTTP_CONDUIT_HEALTH_PROVIDERS  3
#define NGX_HTTP_CONDUIT_HEALTH_STORE      4


/* defined by conf/ngx_http_conduit_key_conf.h */

typedef struct ngx_http_conduit_keys_s      ngx_http_conduit_keys_t;
typedef struct ngx_http_conduit_key_s       ngx_http_conduit_key_t;

/* defined by task/ngx_http_conduit_provider.h, task/ngx_http_conduit_media.h */

typedef struct ngx_http_conduit_provider_s  ngx_http_conduit_provider_t;
typedef struct ngx_http_conduit_model_s     ngx_http_conduit_model_t;
typedef struct ngx_http_conduit_media_s     ngx_http_conduit_media_t;

/* defined by task/ngx_http_conduit_engine.h */

typedef struct ngx_http_conduit_engine_s    ngx_http_conduit_engine_t;

/* defined by task/ngx_http_conduit_hook.h */

typedef struct ngx_http_conduit_sender_s    ngx_http_conduit_sender_t;

/* defined by hub/ngx_http_conduit_hub.h */

typedef struct ngx_http_conduit_hub_s       ngx_http_conduit_hub_t;

/* defined by store/ngx_http_conduit_store.h */

typedef struct ngx_http_conduit_store_s     ngx_http_conduit_store_t;

/* defined by store/ngx_http_conduit_redis.h */

typedef struct ngx_http_conduit_redis_conf_s  ngx_http_conduit_redis_conf_t;
typedef struct ngx_http_conduit_redis_s       ngx_http_conduit_redis_t;


/* conduit_webhook_* */

typedef struct {
    conduit_retry_t                   retry;
    conduit_breaker_conf_t            breaker;

    ngx_msec_t                        timeout;     /* of an attempt */
    ngx_msec_t                        connect_timeout;

    uint32_t                          rate;        /* 0: off */
    uint32_t                          window;      /* ms, of the rate */

    ngx_uint_t                        per_origin;  /* of one key */
    ngx_uint_t                        per_key;
    ngx_uint_t                        total;

    ngx_str_t                         certificate; /* empty: the system's */
    ngx_str_t                         bind;        /* empty: any address */

    ngx_array_t                       allow;       /* conduit_cidr_t */
    ngx_array_t                       deny;

    unsigned                          retry_set:1;
    unsigned                          breaker_set:1;
    unsigned                          rate_set:1;
    unsigned                          concurrency_set:1;
} ngx_http_conduit_webhook_conf_t;


typedef struct {
    ngx_http_conduit_zone_t           zone;
    ngx_http_conduit_store_t         *store;
    ngx_http_conduit_engine_t        *engine;      /* of a worker */
    ngx_http_conduit_hub_t           *hub;         /* of a worker */
    ngx_http_conduit_sender_t        *sender;      /* of a worker */

    ngx_http_conduit_keys_t          *keys;        /* NULL: none */
    ngx_array_t                       providers;   /* provider_t * */
    ngx_array_t                       models;      /* model_t * */
    ngx_http_conduit_model_t         *model_hash[NGX_HTTP_CONDUIT_MODEL_HASH];
    ngx_http_conduit_media_t         *media;       /* NULL: off */
    ngx_http_conduit_redis_conf_t    *redis_conf;  /* NULL: none */
    ngx_http_conduit_redis_t         *redis;       /* of a worker */
    ngx_str_t                         instance;

    ngx_msec_t                        task_ttl;
    ngx_msec_t                        task_timeout;
    ngx_uint_t                        task_attempts;
    ngx_uint_t                        task_limit_key;
    ngx_uint_t                        task_limit_total;

    ngx_uint_t                        hubs;        /* locations */
    ngx_flag_t                        hub_typed;
    ngx_msec_t                        hub_keepalive;
    ngx_msec_t                        hub_timeout;
    size_t                            hub_message_size;
    size_t                            hub_buffer;
    ngx_uint_t                        connections_key;
    ngx_uint_t                        connections_total;

    ngx_http_conduit_webhook_conf_t   webhook;
    conduit_addr_policy_t             webhook_policy;
    ngx_flag_t                        webhook_plain;

    ngx_resolver_t                   *resolver;    /* of the http level */
    ngx_msec_t                        resolver_timeout;

    ngx_conduit_wakeup_t             *wakeup;
    ngx_thread_pool_t                *threads;

    ngx_http_output_header_filter_pt  next_header_filter;
    ngx_http_output_body_filter_pt    next_body_filter;

    ngx_uint_t                        handlers;    /* any location of ours? */
    ngx_str_t                         zone_name;
    size_t                            zone_size;
    ngx_uint_t                        store_redis;
} ngx_http_conduit_main_conf_t;


typedef struct ngx_http_conduit_loc_conf_s  ngx_http_conduit_loc_conf_t;

typedef struct {
    conduit_rate_t                    rate;
    unsigned                          set:1;
} ngx_http_conduit_rate_t;


/* serves a request of one location, once key and rate have been checked */

typedef ngx_int_t (*ngx_http_conduit_serve_pt)(ngx_http_request_t *r);


struct ngx_http_conduit_loc_conf_s {
    ngx_http_conduit_rate_t           rate;
    ngx_msec_t                        poll_interval;
    ngx_msec_t                        wait_max;
    ngx_array_t                      *cors;        /* ngx_str_t; NULL: off */
    ngx_flag_t                        cors_any;

    ngx_uint_t                        endpoint;    /* NGX_HTTP_CONDUIT_EP_* */
    ngx_uint_t                        kind;
    ngx_uint_t                        health;
    ngx_uint_t                        hub;         /* is it one? */
    ngx_http_conduit_serve_pt         serve;
    ngx_str_t                         prefix;      /* the location's name */
    unsigned                          public:1;    /* wants no key */
};


/* endpoints, as in conduit_http_requests_total{endpoint} */

#define NGX_HTTP_CONDUIT_EP_NONE      0
#define NGX_HTTP_CONDUIT_EP_CREATE    1
#define NGX_HTTP_CONDUIT_EP_SYNC      2
#define NGX_HTTP_CONDUIT_EP_STATUS    3
#define NGX_HTTP_CONDUIT_EP_EVENTS    4
#define NGX_HTTP_CONDUIT_EP_CANCEL    5
#define NGX_HTTP_CONDUIT_EP_RETRY     6
#define NGX_HTTP_CONDUIT_EP_LIST      7
#define NGX_HTTP_CONDUIT_EP_WORKER    8
#define NGX_HTTP_CONDUIT_EP_HEALTH    9
#define NGX_HTTP_CONDUIT_EP_METRICS  10
#define NGX_HTTP_CONDUIT_EP_HUB      11
#define NGX_HTTP_CONDUIT_EP_WEBHOOKS 12
#define NGX_HTTP_CONDUIT_EP_OTHER    13


extern ngx_module_t  ngx_http_conduit_module;


#endif /* _NGX_HTTP_CONDUIT_MODULE_H_INCLUDED_ */
