
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_negotiate.h>
#include <ngx_http_conduit_redis.h>
#include <ngx_conduit_random.h>
#include <conduit_header.h>
#include <conduit_token.h>


/* hub connections by plain requests: ServerSentEvents and LongPolling */


/* what is negotiated has to be connected to in this time */

#define NGX_HTTP_CONDUIT_TOKEN_AGE  30000


static ngx_uint_t ngx_http_conduit_connect_upgrades(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_connect_events(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_connect_header(ngx_http_request_t *r);
static void ngx_http_conduit_connect_writer(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_connect_poll(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_connect_taken(ngx_http_request_t *r,
    ngx_http_conduit_session_e why);
static ngx_int_t ngx_http_conduit_connect_hold(ngx_http_request_t *r,
    ngx_http_conduit_session_e why, ngx_http_conduit_hub_conn_t *conn);
static ngx_int_t ngx_http_conduit_connect_answer(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *body);
static ngx_int_t ngx_http_conduit_connect_plain(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *body);
static ngx_int_t ngx_http_conduit_connect_peer(ngx_http_request_t *r,
    ngx_uint_t transport, ngx_http_conduit_hub_peer_t *peer);
static void ngx_http_conduit_post_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_post_answer(ngx_http_request_t *r,
    ngx_http_conduit_session_e why);
static ngx_int_t ngx_http_conduit_delete_answer(ngx_http_request_t *r,
    ngx_http_conduit_session_e why);
static ngx_int_t ngx_http_conduit_hub_token(ngx_http_request_t *r,
    ngx_str_t *text, u_char *buf, conduit_token_t *token);


ngx_int_t
ngx_http_conduit_connect_serve(ngx_http_request_t *r)
{
    ngx_str_t  *accept;

    if (ngx_http_conduit_connect_upgrades(r)) {
        return ngx_http_conduit_websocket_serve(r);
    }

    accept = ngx_http_conduit_header_in(r, "accept", sizeof("accept") - 1);

    if (accept
        && ngx_strlcasestrn(accept->data, accept->data + accept->len,
                            (u_char *) "text/event-stream",
                            sizeof("text/event-stream") - 2))
    {
        return ngx_http_conduit_connect_events(r);
    }

    return ngx_http_conduit_connect_poll(r);
}


/* also one that cannot, by its version of HTTP */

static ngx_uint_t
ngx_http_conduit_connect_upgrades(ngx_http_request_t *r)
{
    return ngx_http_conduit_header_in(r, "upgrade", sizeof("upgrade") - 1)
           || ngx_http_conduit_header_in(r, "sec-websocket-version",
                                         sizeof("sec-websocket-version") - 1);
}


static ngx_int_t
ngx_http_conduit_connect_events(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_conduit_session_e      why;
    ngx_http_conduit_hub_conn_t    *conn;
    ngx_http_conduit_hub_peer_t     peer;
    ngx_http_conduit_main_conf_t   *cdmcf;
    ngx_http_conduit_hub_stream_t  *stream;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_conduit_connect_peer(r, NGX_HTTP_CONDUIT_SESSION_SSE, &peer);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    why = ngx_http_conduit_hub_create(cdmcf, &peer, &conn);

    if (why != NGX_HTTP_CONDUIT_SESSION_MADE) {
        return ngx_http_conduit_hub_refusal(r, why);
    }

    ngx_str_set(&ngx_http_conduit_ctx(r)->transport, "ServerSentEvents");

    rc = ngx_http_conduit_connect_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_conduit_hub_cancel(conn);
        return rc;
    }

    r->write_event_handler = ngx_http_conduit_connect_writer;

    stream = ngx_http_conduit_hub_hold(conn, r, NULL);
    if (stream == NULL) {
        return NGX_ERROR;
    }

    ngx_http_conduit_ctx(r)->data = stream;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_conduit_connect_header(ngx_http_request_t *r)
{
    static ngx_str_t  cache = ngx_string("no-cache, no-store");
    static ngx_str_t  pragma = ngx_string("no-cache");
    static ngx_str_t  identity = ngx_string("identity");

    ngx_http_conduit_ctx(r)->own = 1;

    if (ngx_http_conduit_header(r, "Cache-Control", &cache) != NGX_OK
        || ngx_http_conduit_header(r, "Pragma", &pragma) != NGX_OK
        || ngx_http_conduit_header(r, "Content-Encoding", &identity) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_event_stream(r);
}


static void
ngx_http_conduit_connect_writer(ngx_http_request_t *r)
{
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    if (ctx->data) {
        ngx_http_conduit_hub_writable(ctx->data);
    }
}


static ngx_int_t
ngx_http_conduit_connect_poll(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_uint_t                     fresh;
    ngx_http_conduit_session_e     why;
    ngx_http_conduit_hub_conn_t   *conn;
    ngx_http_conduit_hub_peer_t    peer;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_conduit_connect_peer(r, NGX_HTTP_CONDUIT_SESSION_LP, &peer);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ngx_str_set(&ngx_http_conduit_ctx(r)->transport, "LongPolling");

    /* what may be new here may go on from another host */

    fresh = peer.fresh;

    if (ngx_http_conduit_roams(r, &peer)) {
        peer.fresh = 0;
    }

    why = ngx_http_conduit_hub_create(cdmcf, &peer, &conn);

    if (peer.named && ngx_http_conduit_session_away(why)) {
        peer.fresh = fresh;

        return ngx_http_conduit_roam(r, &peer, NGX_HTTP_CONDUIT_SESSION_TAKE,
                                     NULL, ngx_http_conduit_connect_taken);
    }

    return ngx_http_conduit_connect_hold(r, why, conn);
}


/* others have been asked */

static ngx_int_t
ngx_http_conduit_connect_taken(ngx_http_request_t *r,
    ngx_http_conduit_session_e why)
{
    ngx_int_t                      rc;
    ngx_http_conduit_hub_conn_t   *conn;
    ngx_http_conduit_hub_peer_t    peer;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    conn = NULL;

    if (why == NGX_HTTP_CONDUIT_SESSION_OK
        || why == NGX_HTTP_CONDUIT_SESSION_NONE)
    {
        rc = ngx_http_conduit_connect_peer(r, NGX_HTTP_CONDUIT_SESSION_LP,
                                           &peer);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        if (why == NGX_HTTP_CONDUIT_SESSION_OK) {
            peer.fresh = 0;
        }

        why = ngx_http_conduit_hub_create(cdmcf, &peer, &conn);
    }

    return ngx_http_conduit_connect_hold(r, why, conn);
}


static ngx_int_t
ngx_http_conduit_connect_hold(ngx_http_request_t *r,
    ngx_http_conduit_session_e why, ngx_http_conduit_hub_conn_t *conn)
{
    ngx_str_t  empty;

    ngx_str_null(&empty);

    switch (why) {

    case NGX_HTTP_CONDUIT_SESSION_OK:
    case NGX_HTTP_CONDUIT_SESSION_WAIT:
        break;

    case NGX_HTTP_CONDUIT_SESSION_MADE:
        ngx_http_conduit_hub_greet(conn);
        return ngx_http_conduit_connect_answer(r, NGX_HTTP_OK, &empty);

    case NGX_HTTP_CONDUIT_SESSION_BYE:
        return ngx_http_conduit_connect_answer(r, NGX_HTTP_NO_CONTENT, &empty);

    default:
        return ngx_http_conduit_hub_refusal(r, why);
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_http_conduit_hub_hold(conn, r, ngx_http_conduit_connect_answer)
        == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_conduit_connect_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    static ngx_str_t  cache = ngx_string("no-cache, no-store");
    static ngx_str_t  pragma = ngx_string("no-cache");
    static ngx_str_t  expires = ngx_string("Thu, 01 Jan 1970 00:00:00 GMT");
    static ngx_str_t  binary = ngx_string("application/octet-stream");

    if (ngx_http_conduit_header(r, "Cache-Control", &cache) != NGX_OK
        || ngx_http_conduit_header(r, "Pragma", &pragma) != NGX_OK
        || ngx_http_conduit_header(r, "Expires", &expires) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (body->len == 0) {
        return ngx_http_conduit_connect_plain(r, status, body);
    }

    return ngx_http_conduit_reply_as(r, status, &binary, body);
}


static ngx_int_t
ngx_http_conduit_connect_plain(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    static ngx_str_t  plain = ngx_string("text/plain");

    return ngx_http_conduit_reply_as(r, status, &plain, body);
}


/* NGX_DECLINED: all is well; else what the content handler has to return */

static ngx_int_t
ngx_http_conduit_connect_peer(ngx_http_request_t *r, ngx_uint_t transport,
    ngx_http_conduit_hub_peer_t *peer)
{
    switch (ngx_http_conduit_hub_peer(r, transport, peer)) {

    case NGX_OK:
        return NGX_DECLINED;

    case NGX_DECLINED:
        return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                      "invalid_connection", NULL,
                                      "Connection ID required");

    case NGX_ABORT:
        return ngx_http_conduit_hub_refusal(r, NGX_HTTP_CONDUIT_SESSION_NONE);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


ngx_int_t
ngx_http_conduit_post_serve(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_conduit_hub_peer_t    peer, *kept;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_connect_peer(r, NGX_HTTP_CONDUIT_SESSION_LP, &peer);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (r->headers_in.content_length_n
        > (off_t) ngx_http_conduit_hub_inbox_size(cdmcf))
    {
        return ngx_http_conduit_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                      "request_too_large", NULL,
                                      "The body is larger than what a"
                                      " connection may send at a time.");
    }

    kept = ngx_palloc(r->pool, sizeof(ngx_http_conduit_hub_peer_t));
    if (kept == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *kept = peer;
    ngx_http_conduit_ctx(r)->data = kept;

    return ngx_http_conduit_read_body(r, ngx_http_conduit_post_body);
}


static void
ngx_http_conduit_post_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t                      rc;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_session_e     why;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    ctx = ngx_http_conduit_ctx(r);

    why = ngx_http_conduit_hub_post(cdmcf, ctx->data, body);

    rc = ngx_http_conduit_session_away(why)
         ? ngx_http_conduit_roam(r, ctx->data, NGX_HTTP_CONDUIT_SESSION_POST,
                                 body, ngx_http_conduit_post_answer)
         : ngx_http_conduit_post_answer(r, why);

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_conduit_post_answer(ngx_http_request_t *r,
    ngx_http_conduit_session_e why)
{
    ngx_str_t  empty;

    switch (why) {

    case NGX_HTTP_CONDUIT_SESSION_OK:
        ngx_str_null(&empty);
        return ngx_http_conduit_connect_plain(r, NGX_HTTP_OK, &empty);

    case NGX_HTTP_CONDUIT_SESSION_OTHER:
        return ngx_http_conduit_error(r, NGX_HTTP_NOT_ALLOWED,
                                      "method_not_allowed", NULL,
                                      "POST requests are not allowed for"
                                      " WebSocket connections.");

    default:
        return ngx_http_conduit_hub_refusal(r, why);
    }
}


ngx_int_t
ngx_http_conduit_delete_serve(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_conduit_session_e     why;
    ngx_http_conduit_hub_peer_t    peer;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_connect_peer(r, NGX_HTTP_CONDUIT_SESSION_LP, &peer);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    why = ngx_http_conduit_hub_delete(cdmcf, &peer);

    return ngx_http_conduit_session_away(why)
           ? ngx_http_conduit_roam(r, &peer, NGX_HTTP_CONDUIT_SESSION_DELETE,
                                   NULL, ngx_http_conduit_delete_answer)
           : ngx_http_conduit_delete_answer(r, why);
}


static ngx_int_t
ngx_http_conduit_delete_answer(ngx_http_request_t *r,
    ngx_http_conduit_session_e why)
{
    ngx_str_t  empty;

    switch (why) {

    case NGX_HTTP_CONDUIT_SESSION_OK:
        ngx_str_null(&empty);
        return ngx_http_conduit_connect_plain(r, NGX_HTTP_ACCEPTED, &empty);

    case NGX_HTTP_CONDUIT_SESSION_OTHER:
        return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                      "invalid_connection", NULL,
                                      "Cannot terminate this connection using"
                                      " the DELETE endpoint.");

    default:
        return ngx_http_conduit_hub_refusal(r, why);
    }
}


void
ngx_http_conduit_hub_asker(ngx_http_request_t *r,
    ngx_http_conduit_hub_peer_t *peer)
{
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_loc_conf_t   *cdlcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);
    ctx = ngx_http_conduit_ctx(r);

    ngx_memzero(peer, sizeof(ngx_http_conduit_hub_peer_t));

    peer->key = ctx->key;
    peer->node = ctx->node;
    peer->digest = ctx->digest;
    peer->kind = cdlcf->kind;
    peer->limit = ctx->key->connections ? ctx->key->connections
                                        : cdmcf->connections_key;
}


/* a connection that is there goes on whatever the age of its token */

ngx_int_t
ngx_http_conduit_hub_peer(ngx_http_request_t *r, ngx_uint_t transport,
    ngx_http_conduit_hub_peer_t *peer)
{
    u_char                         buf[CONDUIT_TOKEN_BUF];
    ngx_str_t                      text;
    conduit_token_t                token;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ngx_http_conduit_hub_asker(r, peer);

    peer->transport = transport;

    if (ngx_http_arg(r, (u_char *) "id", 2, &text) != NGX_OK) {

        peer->fresh = 1;

        return (ngx_conduit_random_bytes(peer->id, NGX_HTTP_CONDUIT_HUB_ID)
                == NGX_OK)
               ? NGX_DECLINED : NGX_ERROR;
    }

    if (ngx_http_conduit_hub_token(r, &text, buf, &token) != NGX_OK) {
        return NGX_ABORT;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    ngx_memcpy(peer->id, token.id, NGX_HTTP_CONDUIT_HUB_ID);
    ngx_memcpy(peer->from, token.from, NGX_HTTP_CONDUIT_HUB_ID);

    peer->named = 1;
    peer->stateful = (token.flags & CONDUIT_TOKEN_STATEFUL) ? 1 : 0;
    peer->fresh = token.issued + NGX_HTTP_CONDUIT_TOKEN_AGE
                  >= ngx_http_conduit_redis_shared(cdmcf);

    return NGX_OK;
}


void
ngx_http_conduit_hub_predecessor(ngx_http_request_t *r, u_char *id)
{
    u_char           buf[CONDUIT_TOKEN_BUF];
    ngx_str_t        text;
    conduit_str_t    name;
    conduit_token_t  token;

    if (ngx_http_arg(r, (u_char *) "id", 2, &text) != NGX_OK) {
        return;
    }

    name.data = text.data;
    name.len = text.len;

    if (conduit_token_id_read(id, &name) == CONDUIT_OK) {
        return;
    }

    if (ngx_http_conduit_hub_token(r, &text, buf, &token) == NGX_OK) {
        ngx_memcpy(id, token.id, NGX_HTTP_CONDUIT_HUB_ID);
    }
}


/* of this key and this hub; anything else is as good as none */

static ngx_int_t
ngx_http_conduit_hub_token(ngx_http_request_t *r, ngx_str_t *text, u_char *buf,
    conduit_token_t *token)
{
    conduit_str_t                  value;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_loc_conf_t   *cdlcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);
    ctx = ngx_http_conduit_ctx(r);

    value.data = text->data;
    value.len = text->len;

    if (conduit_token_read(token, buf, &value, cdmcf->zone.sh->secret,
                           ngx_http_conduit_redis_shared(cdmcf), 0)
        != CONDUIT_OK
        || token->hub != cdlcf->kind
        || token->key.len != ctx->key->name.len
        || ngx_memcmp(token->key.data, ctx->key->name.data, token->key.len)
           != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_hub_refusal(ngx_http_request_t *r,
    ngx_http_conduit_session_e why)
{
    ngx_uint_t  i;

    static const struct {
        ngx_http_conduit_session_e   why;
        ngx_uint_t                   status;
        ngx_msec_t                   retry_after;
        const char                  *code;
        const char                  *message;

    } refusals[] = {

        { NGX_HTTP_CONDUIT_SESSION_NONE, NGX_HTTP_NOT_FOUND, 0,
          "connection_not_found", "No Connection with that ID" },

        { NGX_HTTP_CONDUIT_SESSION_OTHER, NGX_HTTP_BAD_REQUEST, 0,
          "invalid_connection", "Cannot change transports mid-connection" },

        { NGX_HTTP_CONDUIT_SESSION_ACTIVE, NGX_HTTP_CONFLICT, 0,
          "connection_active", "This connection is active already." },

        { NGX_HTTP_CONDUIT_SESSION_KEY_FULL, NGX_HTTP_TOO_MANY_REQUESTS, 5000,
          "connection_limit_exceeded", "This API key has as many connections"
          " as it may have: close one first." },

        { NGX_HTTP_CONDUIT_SESSION_FULL, NGX_HTTP_TOO_MANY_REQUESTS, 5000,
          "connection_limit_exceeded", "The server has as many connections as"
          " it may have: try again later." },

        { NGX_HTTP_CONDUIT_SESSION_INBOX_FULL, NGX_HTTP_TOO_MANY_REQUESTS,
          1000, "connection_busy", "What was sent before has not been read"
          " yet: try again later." },

        { NGX_HTTP_CONDUIT_SESSION_NOMEM, NGX_HTTP_SERVICE_UNAVAILABLE, 10000,
          "zone_full", "The server's memory is full: try again later." }
    };

    if (why == NGX_HTTP_CONDUIT_SESSION_MOVED) {
        why = NGX_HTTP_CONDUIT_SESSION_NONE;
    }

    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {

        if (refusals[i].why != why) {
            continue;
        }

        if (refusals[i].retry_after
            && ngx_http_conduit_retry_after(r, refusals[i].retry_after)
               != NGX_OK)
        {
            break;
        }

        return ngx_http_conduit_error(r, refusals[i].status, refusals[i].code,
                                      NULL, "%s", refusals[i].message);
    }

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}
