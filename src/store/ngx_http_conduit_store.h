
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_STORE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_STORE_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/*
 * The durable store behind the zone.  A backend keeps one record for a task;
 * the zone is filled from it at start, and a task may be fetched that the
 * zone has lost.  Calls never block: a backend that has to wait answers
 * NGX_AGAIN and calls the handler later with the outcome.
 */


/*
 * What is kept of a task; all texts are as in the task's node.  An empty key
 * or run stays what it was in the record before.
 */

typedef struct {
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          sequence;
    ngx_str_t                         key;         /* name */
    ngx_str_t                         document;
    ngx_str_t                         run;
    ngx_uint_t                        status;
} ngx_http_conduit_record_t;


typedef void (*ngx_http_conduit_store_pt)(void *data, ngx_int_t rc);


struct ngx_http_conduit_store_s {
    const char                       *name;

    /* keeps the record in place of one with a smaller sequence */

    ngx_int_t                       (*commit)(ngx_http_conduit_store_t *store,
                                       ngx_http_conduit_record_t *record,
                                       ngx_http_conduit_store_pt handler,
                                       void *data);

    /* NGX_OK with the record filled in, NGX_DECLINED, NGX_AGAIN, NGX_ERROR */

    ngx_int_t                       (*fetch)(ngx_http_conduit_store_t *store,
                                       ngx_http_conduit_record_t *record,
                                       ngx_pool_t *pool,
                                       ngx_http_conduit_store_pt handler,
                                       void *data);

    /* hands every record to each(), the oldest first */

    ngx_int_t                       (*scan)(ngx_http_conduit_store_t *store,
                                       ngx_int_t (*each)(void *data,
                                           ngx_http_conduit_record_t *record),
                                       void *data);
};


/* keeps nothing: tasks live as long as the zone */

extern ngx_http_conduit_store_t  ngx_http_conduit_store_off;


#endif /* _NGX_HTTP_CONDUIT_STORE_H_INCLUDED_ */
