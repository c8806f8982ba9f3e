
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_NEGOTIATE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_NEGOTIATE_H_INCLUDED_


#include <ngx_http_conduit_hub.h>
#include <ngx_http_conduit_request.h>


/* serve() of conduit_hub */

ngx_int_t ngx_http_conduit_hub_serve(ngx_http_request_t *r);


/*
 * Who asks, from the request's context, and for which connection: NGX_OK,
 * NGX_DECLINED: no id is given, peer has a new one; NGX_ABORT: the token is
 * not good here; NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_hub_peer(ngx_http_request_t *r,
    ngx_uint_t transport, ngx_http_conduit_hub_peer_t *peer);

/* the key only */

void ngx_http_conduit_hub_asker(ngx_http_request_t *r,
    ngx_http_conduit_hub_peer_t *peer);

/* the id of the connection that a client had before, or zeros */

void ngx_http_conduit_hub_predecessor(ngx_http_request_t *r, u_char *id);

/* the reply to what a hub cannot do */

ngx_int_t ngx_http_conduit_hub_refusal(ngx_http_request_t *r,
    ngx_http_conduit_session_e why);


/*
 * The session of a request is not at this host: answers when others have been
 * asked, by the verb, SESSION_POST and so on.  OK after SESSION_TAKE: it is
 * here now, or was on its way here.  Returns what the request is to be
 * finalized with.
 */

typedef ngx_int_t (*ngx_http_conduit_roam_pt)(ngx_http_request_t *r,
    ngx_http_conduit_session_e why);

ngx_int_t ngx_http_conduit_roam(ngx_http_request_t *r,
    ngx_http_conduit_hub_peer_t *peer, ngx_uint_t verb, ngx_str_t *data,
    ngx_http_conduit_roam_pt answer);

/* may others have to be asked first? */
ngx_uint_t ngx_http_conduit_roams(ngx_http_request_t *r,
    ngx_http_conduit_hub_peer_t *peer);


ngx_int_t ngx_http_conduit_connect_serve(ngx_http_request_t *r);
ngx_int_t ngx_http_conduit_websocket_serve(ngx_http_request_t *r);
ngx_int_t ngx_http_conduit_post_serve(ngx_http_request_t *r);
ngx_int_t ngx_http_conduit_delete_serve(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CONDUIT_NEGOTIATE_H_INCLUDED_ */
