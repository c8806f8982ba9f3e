
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


/* The configuration, as all parts see it; conf/ fills it at "nginx -t". */


#define NGX_HTTP_CONDUIT_IMAGE        0
#define NGX_HTTP_CONDUIT_VIDEO        1
#define NGX_HTTP_CONDUIT_ANY          2

/* a set of kinds */

#define NGX_HTTP_CONDUIT_KIND(k)      (1 << (k))
#define NGX_HTTP_CONDUIT_KINDS        3

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

/* defined by store/ngx_http_conduit_store.h */

typedef struct ngx_http_conduit_store_s     ngx_http_conduit_store_t;


typedef struct {
    ngx_http_conduit_zone_t           zone;
    ngx_http_conduit_store_t         *store;
    ngx_http_conduit_engine_t        *engine;      /* of a worker */

    ngx_http_conduit_keys_t          *keys;        /* NULL: none */
    ngx_array_t                       providers;   /* provider_t * */
    ngx_array_t                       models;      /* model_t * */
    ngx_http_conduit_model_t         *model_hash[NGX_HTTP_CONDUIT_MODEL_HASH];
    ngx_http_conduit_media_t         *media;       /* NULL: off */

    ngx_msec_t                        task_ttl;
    ngx_msec_t                        task_timeout;
    ngx_uint_t                        task_attempts;
    ngx_uint_t                        task_limit_key;
    ngx_uint_t                        task_limit_total;

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
    ngx_uint_t                        store_set;
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
#define NGX_HTTP_CONDUIT_EP_OTHER    11


extern ngx_module_t  ngx_http_conduit_module;


#endif /* _NGX_HTTP_CONDUIT_MODULE_H_INCLUDED_ */
