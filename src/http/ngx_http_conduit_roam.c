
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_negotiate.h>
#include <ngx_http_conduit_watch.h>


/* POST and DELETE of a hub connection that lives at another host */


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_waiter_t         waiter;
    ngx_http_conduit_roam_pt          answer;
} ngx_http_conduit_roam_t;


static void ngx_http_conduit_roam_done(void *data, ngx_int_t rc);
static void ngx_http_conduit_roam_cleanup(void *data);


ngx_int_t
ngx_http_conduit_roam(ngx_http_request_t *r, ngx_http_conduit_hub_peer_t *peer,
    ngx_str_t *data, ngx_http_conduit_roam_pt answer)
{
    ngx_http_cleanup_t            *cln;
    ngx_http_conduit_roam_t       *roam;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    if (!peer->named || !ngx_http_conduit_watch_shared(cdmcf)) {
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
    roam->waiter.handler = ngx_http_conduit_roam_done;
    roam->waiter.data = roam;

    cln->handler = ngx_http_conduit_roam_cleanup;

    switch (ngx_http_conduit_hub_roam(cdmcf, peer, data, &roam->waiter)) {

    case NGX_AGAIN:
        break;

    case NGX_DECLINED:
        return answer(r, NGX_HTTP_CONDUIT_SESSION_NONE);

    default:
        return ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT);
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

    rc = (rc == NGX_ERROR)
         ? ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT)
         : roam->answer(r, (ngx_http_conduit_session_e) rc);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_roam_cleanup(void *data)
{
    ngx_http_conduit_roam_t  *roam = data;

    ngx_http_conduit_watch_leave(&roam->waiter);
}
