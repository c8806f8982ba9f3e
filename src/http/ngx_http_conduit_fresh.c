
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_fresh.h>
#include <ngx_http_conduit_watch.h>


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_waiter_t         waiter;
} ngx_http_conduit_fresh_t;


static ngx_http_conduit_fresh_t *ngx_http_conduit_fresh(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_fresh_wait(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_conduit_fresh_resume(void *data, ngx_int_t rc);
static void ngx_http_conduit_fresh_cleanup(void *data);


ngx_int_t
ngx_http_conduit_fresh_task(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name)
{
    ngx_http_conduit_fresh_t      *fresh;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    if (!ngx_http_conduit_watch_shared(cdmcf)
        || ngx_http_conduit_ctx(r)->fresh) {
        return NGX_DECLINED;
    }

    fresh = ngx_http_conduit_fresh(r);
    if (fresh == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_fresh_wait(r,
               ngx_http_conduit_watch_fresh(cdmcf, name->id,
                                             &fresh->waiter));
}


ngx_int_t
ngx_http_conduit_fresh_key(ngx_http_request_t *r)
{
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_fresh_t      *fresh;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    ctx = ngx_http_conduit_ctx(r);

    if (!ngx_http_conduit_watch_shared(cdmcf) || ctx->fresh) {
        return NGX_DECLINED;
    }

    fresh = ngx_http_conduit_fresh(r);
    if (fresh == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_fresh_wait(r,
               ngx_http_conduit_watch_fresh_key(cdmcf, ctx->node,
                                                &fresh->waiter));
}


static ngx_http_conduit_fresh_t *
ngx_http_conduit_fresh(ngx_http_request_t *r)
{
    ngx_http_cleanup_t        *cln;
    ngx_http_conduit_fresh_t  *fresh;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_conduit_fresh_t));
    if (cln == NULL) {
        return NULL;
    }

    fresh = cln->data;
    ngx_memzero(fresh, sizeof(ngx_http_conduit_fresh_t));

    fresh->request = r;
    fresh->waiter.handler = ngx_http_conduit_fresh_resume;
    fresh->waiter.data = fresh;

    cln->handler = ngx_http_conduit_fresh_cleanup;

    return fresh;
}


static ngx_int_t
ngx_http_conduit_fresh_wait(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        return NGX_DECLINED;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT);
    }

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_conduit_fresh_resume(void *data, ngx_int_t rc)
{
    ngx_http_conduit_fresh_t  *fresh = data;

    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    r = fresh->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;

    if (rc == NGX_OK) {
        cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

        ngx_http_conduit_ctx(r)->fresh = 1;
        rc = cdlcf->serve(r);

    } else {
        rc = ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_fresh_cleanup(void *data)
{
    ngx_http_conduit_fresh_t  *fresh = data;

    ngx_http_conduit_watch_leave(&fresh->waiter);
}
