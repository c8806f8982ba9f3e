
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_negotiate.h>
#include <conduit_ws.h>


static ngx_int_t ngx_http_conduit_websocket_check(ngx_http_request_t *r,
    conduit_ws_request_t *req);
static void ngx_http_conduit_websocket_field(ngx_http_request_t *r,
    const char *name, size_t len, conduit_str_t *field);
static ngx_int_t ngx_http_conduit_websocket_taken(ngx_http_request_t *r,
    ngx_http_conduit_session_e why);
static ngx_int_t ngx_http_conduit_websocket_upgrade(ngx_http_request_t *r,
    ngx_http_conduit_session_e why, ngx_http_conduit_hub_conn_t *conn,
    conduit_ws_request_t *req);
static ngx_int_t ngx_http_conduit_websocket_answer(ngx_http_request_t *r,
    conduit_ws_request_t *req);


ngx_int_t
ngx_http_conduit_websocket_serve(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_uint_t                     fresh, roams;
    conduit_ws_request_t           req;
    ngx_http_conduit_session_e     why;
    ngx_http_conduit_hub_conn_t   *conn;
    ngx_http_conduit_hub_peer_t    peer;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_websocket_check(r, &req);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_conduit_hub_peer(r, NGX_HTTP_CONDUIT_SESSION_WS, &peer);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_ABORT) {
        return ngx_http_conduit_hub_refusal(r, NGX_HTTP_CONDUIT_SESSION_NONE);
    }

    /* one that was cut off may come to another host */

    fresh = peer.fresh;
    roams = peer.stateful && ngx_http_conduit_roams(r, &peer);

    if (roams) {
        peer.fresh = 0;
    }

    why = ngx_http_conduit_hub_create(cdmcf, &peer, &conn);

    if (roams && ngx_http_conduit_session_away(why)) {
        peer.fresh = fresh;

        return ngx_http_conduit_roam(r, &peer, NGX_HTTP_CONDUIT_SESSION_TAKE,
                                     NULL, ngx_http_conduit_websocket_taken);
    }

    return ngx_http_conduit_websocket_upgrade(r, why, conn, &req);
}


/* others have been asked */

static ngx_int_t
ngx_http_conduit_websocket_taken(ngx_http_request_t *r,
    ngx_http_conduit_session_e why)
{
    ngx_int_t                      rc;
    conduit_ws_request_t           req;
    ngx_http_conduit_hub_conn_t   *conn;
    ngx_http_conduit_hub_peer_t    peer;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_websocket_check(r, &req);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    conn = NULL;

    if (why == NGX_HTTP_CONDUIT_SESSION_OK
        || why == NGX_HTTP_CONDUIT_SESSION_NONE)
    {
        if (ngx_http_conduit_hub_peer(r, NGX_HTTP_CONDUIT_SESSION_WS, &peer)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (why == NGX_HTTP_CONDUIT_SESSION_OK) {
            peer.fresh = 0;
        }

        why = ngx_http_conduit_hub_create(cdmcf, &peer, &conn);
    }

    return ngx_http_conduit_websocket_upgrade(r, why, conn, &req);
}


static ngx_int_t
ngx_http_conduit_websocket_upgrade(ngx_http_request_t *r,
    ngx_http_conduit_session_e why, ngx_http_conduit_hub_conn_t *conn,
    conduit_ws_request_t *req)
{
    ngx_int_t                rc;
    ngx_http_conduit_ctx_t  *ctx;

    switch (why) {

    case NGX_HTTP_CONDUIT_SESSION_OK:
    case NGX_HTTP_CONDUIT_SESSION_MADE:
    case NGX_HTTP_CONDUIT_SESSION_WAIT:
        break;

    default:
        return ngx_http_conduit_hub_refusal(r, why);
    }

    ctx = ngx_http_conduit_ctx(r);
    ngx_str_set(&ctx->transport, "WebSockets");

    rc = ngx_http_conduit_websocket_answer(r, req);

    if (rc != NGX_OK) {
        ngx_http_conduit_hub_cancel(conn);
        return rc;
    }

    r->main->count++;

    ngx_http_conduit_hub_upgrade(conn, r);

    return NGX_DONE;
}


/* NGX_DECLINED: all is well; else what the content handler has to return */

static ngx_int_t
ngx_http_conduit_websocket_check(ngx_http_request_t *r,
    conduit_ws_request_t *req)
{
    unsigned   status;
    ngx_str_t  value;

    static ngx_str_t  version = ngx_string("13");
    static ngx_str_t  upgrade = ngx_string("websocket");

    ngx_http_conduit_websocket_field(r, "upgrade", 7, &req->upgrade);
    ngx_http_conduit_websocket_field(r, "connection", 10, &req->connection);
    ngx_http_conduit_websocket_field(r, "sec-websocket-version", 21,
                                     &req->version);
    ngx_http_conduit_websocket_field(r, "sec-websocket-key", 17, &req->key);

    if (r != r->main || r->http_version != NGX_HTTP_VERSION_11) {
        status = 426;

    } else {

        switch (conduit_ws_handshake(req, &status)) {

        case CONDUIT_OK:
            return NGX_DECLINED;

        case CONDUIT_DECLINED:
            status = ngx_http_arg(r, (u_char *) "id", 2, &value) == NGX_OK
                     ? NGX_HTTP_NOT_FOUND : NGX_HTTP_BAD_REQUEST;
            break;

        default:
            break;
        }
    }

    switch (status) {

    case 426:

        if (ngx_http_conduit_header(r, "Sec-WebSocket-Version", &version)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* HTTP/2 has no such header */

        if (r->http_version < NGX_HTTP_VERSION_20
            && ngx_http_conduit_header(r, "Upgrade", &upgrade) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_conduit_error(r, 426, "upgrade_required", NULL,
                                      "Connect by HTTP/1.1 with an upgrade to"
                                      " version 13 of websocket.");

    case NGX_HTTP_NOT_FOUND:
        return ngx_http_conduit_error(r, NGX_HTTP_NOT_FOUND,
                                      "connection_not_found", NULL,
                                      "No Connection with that ID");

    default:
        return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                      "invalid_connection", NULL,
                                      "Connection ID required");
    }
}


static void
ngx_http_conduit_websocket_field(ngx_http_request_t *r, const char *name,
    size_t len, conduit_str_t *field)
{
    ngx_str_t  *value;

    value = ngx_http_conduit_header_in(r, name, len);

    field->data = value ? value->data : NULL;
    field->len = value ? value->len : 0;
}


static ngx_int_t
ngx_http_conduit_websocket_answer(ngx_http_request_t *r,
    conduit_ws_request_t *req)
{
    ngx_int_t   rc;
    ngx_str_t   accept;

    static ngx_str_t  upgrade = ngx_string("websocket");

    accept.len = CONDUIT_WS_ACCEPT_LEN;

    accept.data = ngx_pnalloc(r->pool, accept.len);
    if (accept.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (conduit_ws_accept(accept.data, &req->key) != CONDUIT_OK
        || ngx_http_conduit_header(r, "Upgrade", &upgrade) != NGX_OK
        || ngx_http_conduit_header(r, "Sec-WebSocket-Accept", &accept)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_conduit_ctx(r)->own = 1;

    r->keepalive = 0;
    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR
        || ngx_tcp_nodelay(r->connection) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
