
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_negotiate.h>
#include <ngx_http_conduit_redis.h>
#include <ngx_conduit_random.h>
#include <conduit_token.h>
#include <conduit_header.h>


static ngx_int_t ngx_http_conduit_negotiate_serve(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_negotiate_version(ngx_http_request_t *r,
    ngx_uint_t *version);
static ngx_uint_t ngx_http_conduit_negotiate_stateful(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_negotiate_text(ngx_http_request_t *r,
    ngx_uint_t version, ngx_str_t *text);
static ngx_int_t ngx_http_conduit_hub_leaving(ngx_http_request_t *r);


ngx_int_t
ngx_http_conduit_hub_serve(ngx_http_request_t *r)
{
    ngx_str_t                      rest;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ngx_http_conduit_rest(r, &rest);

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    if (cdmcf->hub == NULL || ngx_exiting || ngx_quit || ngx_terminate) {
        return ngx_http_conduit_hub_leaving(r);
    }

    if (!ngx_http_conduit_cors_origin(r)) {
        return ngx_http_conduit_error(r, NGX_HTTP_FORBIDDEN,
                                      "origin_not_allowed", NULL,
                                      "Pages of this origin may not connect"
                                      " here.");
    }

    if (rest.len == 9 && ngx_strncmp(rest.data, "negotiate", 9) == 0) {

        if (r->method != NGX_HTTP_POST) {
            return ngx_http_conduit_not_allowed(r, "POST, OPTIONS");
        }

        return ngx_http_conduit_negotiate_serve(r);
    }

    if (rest.len) {
        return ngx_http_conduit_not_found(r);
    }

    switch (r->method) {

    case NGX_HTTP_GET:
        return ngx_http_conduit_connect_serve(r);

    case NGX_HTTP_POST:
        return ngx_http_conduit_post_serve(r);

    case NGX_HTTP_DELETE:
        return ngx_http_conduit_delete_serve(r);

    default:
        return ngx_http_conduit_not_allowed(r, "GET, POST, DELETE, OPTIONS");
    }
}


/*
 * Nothing is kept of a negotiation: the token tells all by itself, so that
 * the connection may be made with any worker.
 */

static ngx_int_t
ngx_http_conduit_negotiate_serve(ngx_http_request_t *r)
{
    ngx_str_t                      text;
    ngx_uint_t                     version;
    ngx_http_conduit_session_e     rc;
    ngx_http_conduit_hub_peer_t    peer;
    ngx_http_conduit_main_conf_t  *cdmcf;

    static ngx_str_t  no_store = ngx_string("no-cache, no-store");
    static ngx_str_t  bad = ngx_string("{\"error\":\"The client requested a "
                                       "non-integer protocol version.\"}");

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    ngx_http_conduit_hub_asker(r, &peer);

    rc = ngx_http_conduit_hub_room(cdmcf, &peer);

    if (rc != NGX_HTTP_CONDUIT_SESSION_OK) {
        return ngx_http_conduit_hub_refusal(r, rc);
    }

    if (ngx_http_conduit_header(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_conduit_negotiate_version(r, &version) != NGX_OK) {
        return ngx_http_conduit_reply(r, NGX_HTTP_OK, &bad);
    }

    if (ngx_http_conduit_negotiate_text(r, version, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_reply(r, NGX_HTTP_OK, &text);
}


static ngx_int_t
ngx_http_conduit_negotiate_version(ngx_http_request_t *r, ngx_uint_t *version)
{
    ngx_int_t  n;
    ngx_str_t  value;

    *version = 0;

    if (ngx_http_arg(r, (u_char *) "negotiateVersion", 16, &value) != NGX_OK) {
        return NGX_OK;
    }

    n = ngx_atoi(value.data, value.len);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *version = (n > 0);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_conduit_negotiate_stateful(ngx_http_request_t *r)
{
    ngx_str_t  value;

    return ngx_http_arg(r, (u_char *) "useStatefulReconnect", 20, &value)
           == NGX_OK
           && value.len == 4
           && ngx_strncasecmp(value.data, (u_char *) "true", 4) == 0;
}


static ngx_int_t
ngx_http_conduit_negotiate_text(ngx_http_request_t *r, ngx_uint_t version,
    ngx_str_t *text)
{
    u_char                        *p, id[CONDUIT_TOKEN_ID_LEN];
    u_char                         secret[CONDUIT_TOKEN_MAX];
    size_t                         len;
    conduit_token_t                token;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_loc_conf_t   *cdlcf;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);
    ctx = ngx_http_conduit_ctx(r);

    ngx_memzero(&token, sizeof(conduit_token_t));

    token.key.data = ctx->key->name.data;
    token.key.len = ctx->key->name.len;
    token.hub = (unsigned) cdlcf->kind;
    token.issued = ngx_http_conduit_redis_shared(cdmcf);

    if (version && ngx_http_conduit_negotiate_stateful(r)) {
        token.flags = CONDUIT_TOKEN_STATEFUL;
    }

    ngx_http_conduit_hub_predecessor(r, token.from);

    if (ngx_conduit_random_bytes(token.id, CONDUIT_TOKEN_ID) != NGX_OK) {
        return NGX_ERROR;
    }

    len = conduit_token_write(secret, &token, cdmcf->zone.sh->secret);
    if (len == 0) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, 512 + 2 * CONDUIT_TOKEN_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = ngx_sprintf(p, "{%s\"negotiateVersion\":%ui,\"connectionId\":\"",
                    token.flags ? "\"useStatefulReconnect\":true," : "",
                    version);

    if (version) {
        conduit_token_id(id, token.id);
        p = ngx_cpymem(p, id, sizeof(id));
        p = ngx_sprintf(p, "\",\"connectionToken\":\"");
    }

    /* without a token of its own, version 0 connects by the id */

    p = ngx_cpymem(p, secret, len);
    p = ngx_sprintf(p, "\",\"availableTransports\":[{\"transport\":"
                    "\"WebSockets\",\"transferFormats\":[\"Text\","
                    "\"Binary\"]},{\"transport\":\"ServerSentEvents\","
                    "\"transferFormats\":[\"Text\"]},{\"transport\":"
                    "\"LongPolling\",\"transferFormats\":[\"Text\","
                    "\"Binary\"]}]}");

    text->len = p - text->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hub_leaving(ngx_http_request_t *r)
{
    if (ngx_http_conduit_retry_after(r, 1000) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->keepalive = 0;

    return ngx_http_conduit_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                  "shutting_down", NULL, "This server process"
                                  " is shutting down: connect again.");
}
