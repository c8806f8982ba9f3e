
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


/* how often it is looked whether keys are still valid */

#define NGX_HTTP_CONDUIT_HUB_TICK  500


static void ngx_http_conduit_hub_tick(ngx_event_t *ev);
static void ngx_http_conduit_hub_check(void *data,
    ngx_http_conduit_entry_t *entry);
static void ngx_http_conduit_hub_revoke(ngx_http_conduit_hub_key_t *key);
static ngx_http_conduit_hub_key_t *ngx_http_conduit_hub_key(
    ngx_http_conduit_hub_t *hub, ngx_http_conduit_hub_peer_t *peer);
static void ngx_http_conduit_hub_key_release(ngx_http_conduit_hub_key_t *key);


ngx_int_t
ngx_http_conduit_hub_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hub_lookup_pt lookup)
{
    ngx_http_conduit_hub_t  *hub;

    if (cdmcf->hubs == 0) {
        return NGX_OK;
    }

    hub = ngx_pcalloc(cycle->pool, sizeof(ngx_http_conduit_hub_t));
    if (hub == NULL) {
        return NGX_ERROR;
    }

    hub->cdmcf = cdmcf;
    hub->log = cycle->log;
    hub->lookup = lookup;

    hub->pool = ngx_create_pool(8192, cycle->log);
    if (hub->pool == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&hub->upgrades);

    if (ngx_http_conduit_index_init(&hub->keys, cycle->log) != NGX_OK
        || ngx_http_conduit_index_init(&hub->topics, cycle->log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* nginx logs the fd of a timer's connection when it debugs events */

    hub->dummy.fd = (ngx_socket_t) -1;
    hub->dummy.data = hub;

    hub->tick.data = &hub->dummy;
    hub->tick.handler = ngx_http_conduit_hub_tick;
    hub->tick.log = cycle->log;
    hub->tick.cancelable = 1;

    ngx_add_timer(&hub->tick, NGX_HTTP_CONDUIT_HUB_TICK);

    cdmcf->hub = hub;

    return NGX_OK;
}


void
ngx_http_conduit_hub_exit(ngx_http_conduit_main_conf_t *cdmcf)
{
    if (cdmcf->hub && cdmcf->hub->tick.timer_set) {
        ngx_del_timer(&cdmcf->hub->tick);
    }
}


static void
ngx_http_conduit_hub_tick(ngx_event_t *ev)
{
    ngx_connection_t        *c = ev->data;
    ngx_http_conduit_hub_t  *hub = c->data;

    ngx_http_conduit_index_walk(&hub->keys, ngx_http_conduit_hub_check, hub);

    ngx_http_conduit_hub_sweep(hub);

    ngx_add_timer(ev, NGX_HTTP_CONDUIT_HUB_TICK);
}


static void
ngx_http_conduit_hub_check(void *data, ngx_http_conduit_entry_t *entry)
{
    ngx_http_conduit_hub_t      *hub = data;
    ngx_http_conduit_hub_key_t  *key = (ngx_http_conduit_hub_key_t *) entry;

    ngx_uint_t  why;

    if (hub->lookup(hub->cdmcf, key->digest, &why) != key->key) {
        ngx_http_conduit_hub_revoke(key);
        return;
    }

    if (hub->unsaved) {
        ngx_http_conduit_hub_save(key);
    }
}


/* saying goodbye frees no connection, so that the list stays as it is */

static void
ngx_http_conduit_hub_revoke(ngx_http_conduit_hub_key_t *key)
{
    ngx_queue_t                  *q;
    ngx_http_conduit_hub_conn_t  *conn;

    for (q = ngx_queue_head(&key->conns);
         q != ngx_queue_sentinel(&key->conns);
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_conduit_hub_conn_t, queue);

        if (conn->connection) {
            ngx_http_conduit_hub_close(conn, "The API key is not valid any"
                                             " more.", 0);
        }
    }
}


ngx_http_conduit_session_e
ngx_http_conduit_hub_room(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hub_peer_t *peer)
{
    ngx_http_conduit_session_e  rc;

    rc = ngx_http_conduit_session_room(&cdmcf->zone, peer->node, peer->limit,
                                       cdmcf->connections_total);

    if (rc != NGX_HTTP_CONDUIT_SESSION_OK) {
        (void) ngx_atomic_fetch_add(&cdmcf->zone.sh->counters.hub_refused, 1);
    }

    return rc;
}


ngx_http_conduit_session_e
ngx_http_conduit_hub_create(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hub_peer_t *peer, ngx_http_conduit_hub_conn_t **connp)
{
    ngx_http_conduit_hub_t       *hub;
    ngx_http_conduit_session_e    rc;
    ngx_http_conduit_hub_key_t   *key;
    ngx_http_conduit_hub_conn_t  *conn;

    hub = cdmcf->hub;

    key = ngx_http_conduit_hub_key(hub, peer);
    if (key == NULL) {
        return NGX_HTTP_CONDUIT_SESSION_NOMEM;
    }

    conn = ngx_calloc(sizeof(ngx_http_conduit_hub_conn_t), hub->log);

    if (conn == NULL) {
        ngx_http_conduit_hub_key_release(key);
        return NGX_HTTP_CONDUIT_SESSION_NOMEM;
    }

    conn->hub = hub;
    conn->key = key;
    conn->plain = (ngx_socket_t) -1;
    conn->kind = (u_char) peer->kind;
    conn->opened = ngx_current_msec;
    conn->written = ngx_current_msec;
    conn->heard = ngx_current_msec;

    ngx_queue_init(&conn->subs);
    ngx_queue_init(&conn->cancels);
    ngx_queue_init(&conn->parked);
    ngx_queue_init(&conn->owed);
    ngx_queue_insert_tail(&key->conns, &conn->queue);

    conduit_signalr_init(&conn->reader, cdmcf->hub_message_size, 0);

    hub->nconns++;

    rc = ngx_http_conduit_hub_claim(conn, peer);

    switch (rc) {

    case NGX_HTTP_CONDUIT_SESSION_OK:
    case NGX_HTTP_CONDUIT_SESSION_MADE:
    case NGX_HTTP_CONDUIT_SESSION_WAIT:
        *connp = conn;
        return rc;

    case NGX_HTTP_CONDUIT_SESSION_KEY_FULL:
    case NGX_HTTP_CONDUIT_SESSION_FULL:
        (void) ngx_atomic_fetch_add(&cdmcf->zone.sh->counters.hub_refused, 1);
        break;

    default:
        break;
    }

    ngx_http_conduit_hub_free(conn);

    return rc;
}


void
ngx_http_conduit_hub_cancel(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_free(conn);
}


/* whoever is cut off may have a successor, or come again */

void
ngx_http_conduit_hub_free(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_leave(conn, conn->resume
                                     ? NGX_HTTP_CONDUIT_SESSION_REST
                                     : NGX_HTTP_CONDUIT_SESSION_END);

    ngx_http_conduit_hub_call_forget(conn);
    ngx_http_conduit_hub_resume_free(conn);
    ngx_http_conduit_hub_fresh_forget(conn);

    ngx_http_conduit_hub_drop(conn);

    if (conn->in) {
        ngx_free(conn->in);
    }

    ngx_queue_remove(&conn->queue);

    ngx_http_conduit_hub_key_release(conn->key);

    conn->hub->nconns--;

    ngx_free(conn);
}


static ngx_http_conduit_hub_key_t *
ngx_http_conduit_hub_key(ngx_http_conduit_hub_t *hub,
    ngx_http_conduit_hub_peer_t *peer)
{
    ngx_http_conduit_entry_t    *entry;
    ngx_http_conduit_hub_key_t  *key;

    entry = ngx_http_conduit_index_find(&hub->keys, peer->digest);

    /* the same secret may stand for another key since the last reload */

    for ( /* void */ ; entry; entry = ngx_http_conduit_index_next(entry)) {
        key = (ngx_http_conduit_hub_key_t *) entry;

        if (key->key == peer->key
            && ngx_memcmp(key->digest, peer->digest, 32) == 0)
        {
            return key;
        }
    }

    key = ngx_calloc(sizeof(ngx_http_conduit_hub_key_t), hub->log);
    if (key == NULL) {
        return NULL;
    }

    key->hub = hub;
    key->key = peer->key;
    key->node = peer->node;

    ngx_memcpy(key->digest, peer->digest, 32);
    ngx_queue_init(&key->conns);
    ngx_queue_init(&key->all);

    ngx_memcpy(key->entry.id, peer->digest, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_http_conduit_index_add(&hub->keys, &key->entry);

    return key;
}


static void
ngx_http_conduit_hub_key_release(ngx_http_conduit_hub_key_t *key)
{
    if (!ngx_queue_empty(&key->conns)) {
        return;
    }

    ngx_http_conduit_index_remove(&key->hub->keys, &key->entry);
    ngx_free(key);
}
