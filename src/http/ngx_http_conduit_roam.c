
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_negotiate.h>
#include <ngx_http_conduit_watch.h>


/* requests for a hub connection that may live at another host */


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_waiter_t         waiter;
    ngx_http_conduit_roam_pt          answer;
    unsigned                          fresh:1;
} ngx_http_conduit_roam_t;


static ngx_int_t ngx_http_conduit_roam_answer(ngx_http_conduit_roam_t *roam,
    ngx_int_t rc);
static void ngx_http_conduit_roam_done(void *data, ngx_int_t rc);
static void ngx_http_conduit_roam_cleanup(void *data);


ngx_uint_t
ngx_http_conduit_roams(ngx_http_request_t *r,
    ngx_http_conduit_hub_peer_t *peer)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    return peer->named && ngx_http_conduit_watch_shared(cdmcf);
}


ngx_int_t
ngx_http_conduit_roam(ngx_http_request_t *r, ngx_http_conduit_hub_peer_t *peer,
    ngx_uint_t verb, ngx_str_t *data, ngx_http_conduit_roam_pt answer)
{
    ngx_int_t                      rc;
    ngx_http_cleanup_t            *cln;
    ngx_http_conduit_roam_t       *roam;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    if (!ngx_http_conduit_roams(r, peer)) {
        return answer(r, NGX_HTTP_CONDUIT_SESSION_NONE);
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_conduit_roam_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    roam = cln->data;
    ngx_memzero(roam, sizeof(ngx_http_conduit_roam_t));

    roam->request = r;
    roam->answer = answer;
    roam->fresh = (peer->fresh && verb == NGX_HTTP_CONDUIT_SESSION_TAKE);
    roam->waiter.handler = ngx_http_conduit_roam_done;
    roam->waiter.data = roam;

    cln->handler = ngx_http_conduit_roam_cleanup;

    rc = ngx_http_conduit_hub_roam(cdmcf, peer, verb, data, &roam->waiter);

    if (rc == NGX_DECLINED) {
        return answer(r, NGX_HTTP_CONDUIT_SESSION_NONE);
    }

    if (rc != NGX_AGAIN) {
        return ngx_http_conduit_roam_answer(roam, rc);
    }

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_conduit_roam_done(void *data, ngx_int_t rc)
{
    ngx_http_conduit_roam_t  *roam = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = roam->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_finalize_request(r, ngx_http_conduit_roam_answer(roam, rc));
    ngx_http_run_posted_requests(c);
}


/* a connection that may be new is made, whatever others would have said */

static ngx_int_t
ngx_http_conduit_roam_answer(ngx_http_conduit_roam_t *roam, ngx_int_t rc)
{
    if (rc != NGX_ERROR) {
        return roam->answer(roam->request, (ngx_http_conduit_session_e) rc);
    }

    return roam->fresh
           ? roam->answer(roam->request, NGX_HTTP_CONDUIT_SESSION_NONE)
           : ngx_http_conduit_create_refused(roam->request,
                                             NGX_HTTP_CONDUIT_UNKEPT);
}


static void
ngx_http_conduit_roam_cleanup(void *data)
{
    ngx_http_conduit_roam_t  *roam = data;

    ngx_http_conduit_watch_leave(&roam->waiter);
}
