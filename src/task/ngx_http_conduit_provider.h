
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_PROVIDER_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_PROVIDER_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/* conduit_provider and conduit_model, as the engine uses them */


#define NGX_HTTP_CONDUIT_DESCRIBED    0
#define NGX_HTTP_CONDUIT_SANDBOX      1
#define NGX_HTTP_CONDUIT_WORKER       2


/* the longest name of a model at its provider */

#define NGX_HTTP_CONDUIT_UPSTREAM_LEN 256


/* compiled description, of src/proto */

struct conduit_provider_s;


struct ngx_http_conduit_provider_s {
    ngx_str_t                         name;
    ngx_uint_t                        type;
    ngx_uint_t                        kinds;       /* set of kinds */
    ngx_uint_t                        index;       /* in the zone */

    ngx_uint_t                        concurrency; /* 0: no limit */
    ngx_uint_t                        rpm;         /* 0: no limit */
    ngx_uint_t                        queue;       /* waiting; 0: no limit */

    ngx_msec_t                        lease;       /* worker */
    ngx_msec_t                        duration;    /* sandbox */

    struct conduit_provider_s        *description; /* described */
    unsigned                          sync:1;      /* submit brings results */
};


struct ngx_http_conduit_model_s {
    ngx_str_t                         alias;
    ngx_str_t                         upstream;
    ngx_str_t                         fallback;    /* alias, or empty */
    ngx_uint_t                        kinds;
    ngx_http_conduit_provider_t      *provider;
    ngx_http_conduit_model_t         *next;        /* the fallback */
    ngx_http_conduit_model_t         *same;        /* of the same hash */
    ngx_http_conduit_lane_t          *lane;        /* in the zone */
};


/* when the configuration is read: the alias must be new */

void ngx_http_conduit_model_insert(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_model_t *model);

/* the model a client named, or NULL */

ngx_http_conduit_model_t *ngx_http_conduit_model_lookup(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_str_t *alias);

/* the provider at an index of the zone in this configuration, or NULL */

ngx_http_conduit_provider_t *ngx_http_conduit_provider_by_index(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_uint_t index);


#endif /* _NGX_HTTP_CONDUIT_PROVIDER_H_INCLUDED_ */
