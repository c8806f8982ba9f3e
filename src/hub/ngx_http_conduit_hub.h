
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_HUB_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_HUB_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_watch.h>


/*
 * SignalR hubs, as the layer of requests sees them.
 *
 * A connection is not a request: the request that brings it about is answered
 * and freed, and what is left is the socket with a small state of its own.
 */


#define NGX_HTTP_CONDUIT_HUB_ID  16


/* finds a virtual key again by the digest of its secret; NULL: not valid */

typedef ngx_http_conduit_key_t *(*ngx_http_conduit_hub_lookup_pt)(
    ngx_http_conduit_main_conf_t *cdmcf, u_char *digest, ngx_uint_t *why);


/* who asks, and for which connection */

typedef struct {
    ngx_http_conduit_key_t           *key;
    ngx_http_conduit_key_node_t      *node;
    u_char                           *digest;      /* of the secret */
    ngx_uint_t                        limit;       /* of the key */
    ngx_uint_t                        kind;        /* or KIND_ANY: tasks */
    ngx_uint_t                        transport;   /* SESSION_WS and so on */
    u_char                            id[NGX_HTTP_CONDUIT_HUB_ID];
    u_char                            from[NGX_HTTP_CONDUIT_HUB_ID];
    unsigned                          named:1;     /* by a token */
    unsigned                          fresh:1;     /* may be new */
    unsigned                          stateful:1;  /* was granted */
} ngx_http_conduit_hub_peer_t;


/* answers a poll; returns what the request is to be finalized with */

typedef ngx_int_t (*ngx_http_conduit_hub_answer_pt)(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *body);


/* init_process of a worker */

ngx_int_t ngx_http_conduit_hub_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hub_lookup_pt lookup);
void ngx_http_conduit_hub_exit(ngx_http_conduit_main_conf_t *cdmcf);


/* is there room for one more?  OK, KEY_FULL or FULL */

ngx_http_conduit_session_e ngx_http_conduit_hub_room(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hub_peer_t *peer);

/*
 * Makes a connection, or continues one, before the request is answered: OK,
 * MADE, WAIT (for another request to give way), or why not.
 */

typedef struct ngx_http_conduit_hub_conn_s  ngx_http_conduit_hub_conn_t;

ngx_http_conduit_session_e ngx_http_conduit_hub_create(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hub_peer_t *peer,
    ngx_http_conduit_hub_conn_t **conn);

/* the request came to nothing */
void ngx_http_conduit_hub_cancel(ngx_http_conduit_hub_conn_t *conn);

/*
 * The upgrade has been sent: from the next turn of the event loop on, the
 * request is gone and the connection belongs to the hub.  The caller holds a
 * reference of the request for it and returns NGX_DONE.
 */
void ngx_http_conduit_hub_upgrade(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_request_t *r);

/*
 * A request that is held: without answer() its header has been sent and it is
 * a stream of events, whose write handler has to call writable(); else a poll.
 * The content handler returns NGX_DONE, and NGX_ERROR for NULL: no memory.
 */

typedef struct ngx_http_conduit_hub_stream_s  ngx_http_conduit_hub_stream_t;

ngx_http_conduit_hub_stream_t *ngx_http_conduit_hub_hold(
    ngx_http_conduit_hub_conn_t *conn, ngx_http_request_t *r,
    ngx_http_conduit_hub_answer_pt answer);
void ngx_http_conduit_hub_writable(ngx_http_conduit_hub_stream_t *stream);

/* a first poll is answered at once, and the client comes again */
void ngx_http_conduit_hub_greet(ngx_http_conduit_hub_conn_t *conn);

/* bytes that a client POSTs; OK, NONE, OTHER, INBOX_FULL or NOMEM */
ngx_http_conduit_session_e ngx_http_conduit_hub_post(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hub_peer_t *peer,
    ngx_str_t *data);

/*
 * The same at the host that has the session, or the end of LongPolling there;
 * or the session comes here.  verb is SESSION_POST and so on; see session() of
 * the engine.
 */
ngx_int_t ngx_http_conduit_hub_roam(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hub_peer_t *peer, ngx_uint_t verb, ngx_str_t *data,
    ngx_http_conduit_waiter_t *waiter);

/* as much as one POST may bring */
size_t ngx_http_conduit_hub_inbox_size(ngx_http_conduit_main_conf_t *cdmcf);

/* the end of LongPolling; OK, NONE or OTHER */
ngx_http_conduit_session_e ngx_http_conduit_hub_delete(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hub_peer_t *peer);


#endif /* _NGX_HTTP_CONDUIT_HUB_H_INCLUDED_ */
