
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>
#include <ngx_http_conduit_engine.h>


/*
 * A connection and its session in the zone, by which any worker serves any
 * request of it: how it becomes the owner, what wakes it, how it leaves.
 */


static void ngx_http_conduit_hub_woken(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_hub_give_way(ngx_http_conduit_hub_conn_t *conn);
static void ngx_http_conduit_hub_heir_woken(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_hub_heir_free(ngx_http_conduit_hub_conn_t *conn);
static ngx_int_t ngx_http_conduit_hub_heir_wait(
    ngx_http_conduit_hub_conn_t *conn);
static u_char *ngx_http_conduit_hub_read_state(
    ngx_http_conduit_hub_conn_t *conn, size_t *len);
static void ngx_http_conduit_hub_ring(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_rings_t *rings);
static void ngx_http_conduit_hub_want(ngx_http_conduit_session_want_t *want,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hub_peer_t *peer);


ngx_http_conduit_session_e
ngx_http_conduit_hub_claim(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_peer_t *peer)
{
    ngx_http_conduit_rings_t          rings;
    ngx_http_conduit_session_e        rc;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_session_want_t   want;

    static u_char  nobody[NGX_HTTP_CONDUIT_HUB_ID];

    cdmcf = conn->hub->cdmcf;

    ngx_memcpy(conn->watcher.id, peer->id, NGX_HTTP_CONDUIT_HUB_ID);
    conn->watcher.handler = ngx_http_conduit_hub_woken;
    conn->watcher.data = conn;

    ngx_memcpy(conn->from, peer->from, NGX_HTTP_CONDUIT_HUB_ID);
    conn->succeeds = ngx_memcmp(peer->from, nobody, NGX_HTTP_CONDUIT_HUB_ID)
                     != 0;
    conn->named = peer->named;
    conn->stateful = peer->stateful;

    if (ngx_http_conduit_watch_add(cdmcf, &conn->watcher) != NGX_OK) {
        return NGX_HTTP_CONDUIT_SESSION_NOMEM;
    }

    ngx_http_conduit_hub_want(&want, cdmcf, peer);
    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));

    rc = ngx_http_conduit_session_claim(&cdmcf->zone, &want, &conn->claim,
                                        &rings);

    ngx_http_conduit_hub_ring(cdmcf, peer->id, &rings);

    switch (rc) {

    case NGX_HTTP_CONDUIT_SESSION_MADE:
        conn->made = 1;
        (void) ngx_atomic_fetch_add(
              &cdmcf->zone.sh->counters.hub_connects[peer->transport], 1);
        break;

    case NGX_HTTP_CONDUIT_SESSION_WAIT:
        conn->waiting = 1;
        break;

    case NGX_HTTP_CONDUIT_SESSION_OK:
        break;

    default:
        conn->left = 1;
        ngx_http_conduit_watch_del(cdmcf, &conn->watcher);
    }

    return rc;
}


/* the transport is there */

void
ngx_http_conduit_hub_begin(ngx_http_conduit_hub_conn_t *conn)
{
    size_t   len;
    u_char  *state;

    if (conn->left) {
        return;
    }

    if (conn->waiting) {
        conn->state = NGX_HTTP_CONDUIT_HUB_WAITING;
        ngx_add_timer(ngx_http_conduit_hub_clock(conn),
                      NGX_HTTP_CONDUIT_HUB_GOODBYE);
        return;
    }

    conn->state = NGX_HTTP_CONDUIT_HUB_SHAKING;

    if (!conn->made) {
        state = ngx_http_conduit_hub_read_state(conn, &len);

        if (state == NULL
            || ngx_http_conduit_hub_restore(conn, state, len, 1) != NGX_OK)
        {
            ngx_http_conduit_hub_fail(conn);
        }

        if (state) {
            ngx_free(state);
        }
    }

    ngx_http_conduit_hub_next(conn);

    if (conn->state == NGX_HTTP_CONDUIT_HUB_OPEN) {
        ngx_http_conduit_hub_succeed(conn);
    }

    ngx_http_conduit_hub_inbox(conn);
}


/* NULL: there is none, or no memory */

static u_char *
ngx_http_conduit_hub_read_state(ngx_http_conduit_hub_conn_t *conn, size_t *len)
{
    size_t                    size;
    u_char                   *state;
    ngx_http_conduit_zone_t  *zone;

    zone = &conn->hub->cdmcf->zone;

    for (size = 1024; /* void */ ; size = *len) {

        state = ngx_alloc(size, conn->hub->log);
        if (state == NULL) {
            return NULL;
        }

        *len = ngx_http_conduit_session_state(zone, conn->watcher.id,
                                              conn->claim, state, size,
                                              &conn->opened);

        if (*len && *len <= size) {
            return state;
        }

        ngx_free(state);

        if (*len == 0) {
            return NULL;
        }
    }
}


static void
ngx_http_conduit_hub_woken(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_session_e    rc;
    ngx_http_conduit_hub_conn_t  *conn;

    conn = w->data;

    rc = ngx_http_conduit_session_look(&conn->hub->cdmcf->zone,
                                       conn->watcher.id, conn->claim);

    switch (rc) {

    case NGX_HTTP_CONDUIT_SESSION_OK:

        /* one that has no transport yet begins by itself */

        conn->waiting = 0;

        if (conn->state == NGX_HTTP_CONDUIT_HUB_WAITING) {
            ngx_http_conduit_hub_begin(conn);
            ngx_http_conduit_hub_listen(conn);
        }

        return;

    case NGX_HTTP_CONDUIT_SESSION_MORE:
        ngx_http_conduit_hub_inbox(conn);
        return;

    case NGX_HTTP_CONDUIT_SESSION_WAIT:
        return;

    default:
        ngx_http_conduit_hub_give_way(conn);
    }
}


/* another request goes on with the session, or the session is gone */

static void
ngx_http_conduit_hub_give_way(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_leave(conn, NGX_HTTP_CONDUIT_SESSION_REST);

    if (ngx_http_conduit_hub_polls(conn)) {
        ngx_http_conduit_hub_drop(conn);
        ngx_http_conduit_hub_end(conn, 0);
        return;
    }

    ngx_http_conduit_hub_fail(conn);
}


void
ngx_http_conduit_hub_leave(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_leave_e how)
{
    size_t                         len;
    u_char                        *state;
    ngx_http_conduit_rings_t       rings;
    ngx_http_conduit_main_conf_t  *cdmcf;

    if (conn->left) {
        return;
    }

    conn->left = 1;
    cdmcf = conn->hub->cdmcf;

    if (conn->unsaved) {
        conn->unsaved = 0;
        conn->hub->unsaved--;
    }

    state = NULL;
    len = 0;

    if (how == NGX_HTTP_CONDUIT_SESSION_REST
        || (how == NGX_HTTP_CONDUIT_SESSION_END && conn->named
            && (conn->nsubs || conn->all_subs || conn->succeeds
                || conn->nowed || conn->roams)))
    {
        conn->retires = ngx_http_conduit_session_retired(&cdmcf->zone,
                                                         conn->watcher.id,
                                                         &conn->retired);

        state = ngx_http_conduit_hub_keep_state(conn, &len);

        if (state == NULL && how == NGX_HTTP_CONDUIT_SESSION_REST) {
            how = NGX_HTTP_CONDUIT_SESSION_FORGET;
        }
    }

    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));

    ngx_http_conduit_session_leave(&cdmcf->zone, conn->watcher.id,
                                   conn->claim, how, state, len, &rings);

    ngx_http_conduit_hub_ring(cdmcf, conn->watcher.id, &rings);

    if (state) {
        ngx_free(state);
    }

    ngx_http_conduit_watch_del(cdmcf, &conn->watcher);
    ngx_http_conduit_hub_heir_free(conn);
    ngx_http_conduit_hub_seek_end(conn);
    ngx_http_conduit_hub_owed_free(conn);
    ngx_http_conduit_hub_lately_free(conn);
    ngx_http_conduit_hub_subs_free(conn);
}


void
ngx_http_conduit_hub_changed(ngx_http_conduit_hub_conn_t *conn)
{
    if (conn->named && !conn->left && !conn->unsaved) {
        conn->unsaved = 1;
        conn->hub->unsaved++;
    }
}


void
ngx_http_conduit_hub_save(ngx_http_conduit_hub_key_t *key)
{
    size_t                        len;
    u_char                       *state;
    ngx_queue_t                  *q;
    ngx_http_conduit_hub_conn_t  *conn;

    for (q = ngx_queue_head(&key->conns);
         q != ngx_queue_sentinel(&key->conns) && key->hub->unsaved;
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_conduit_hub_conn_t, queue);

        if (!conn->unsaved) {
            continue;
        }

        conn->unsaved = 0;
        conn->hub->unsaved--;

        state = ngx_http_conduit_hub_keep_state(conn, &len);

        if (state) {
            ngx_http_conduit_session_save(&conn->hub->cdmcf->zone,
                                          conn->watcher.id, conn->claim,
                                          state, len);
            ngx_free(state);
        }
    }
}


/* who does not read is not listened to */

void
ngx_http_conduit_hub_inbox(ngx_http_conduit_hub_conn_t *conn)
{
    size_t                    len, size;
    u_char                   *p, *more;
    ngx_http_conduit_zone_t  *zone;

    if (conn->stream == NULL) {
        return;
    }

    zone = &conn->hub->cdmcf->zone;

    p = conn->hub->buffer;
    size = NGX_HTTP_CONDUIT_HUB_READ;
    more = NULL;

    while (!conn->left && !conn->failed) {

        if (!ngx_http_conduit_hub_free_room(conn)) {
            conn->stuck = 1;
            break;
        }

        len = ngx_http_conduit_session_inbox(zone, conn->watcher.id,
                                             conn->claim, p, size);
        if (len == 0) {
            break;
        }

        if (len > size) {
            more = ngx_alloc(len, conn->hub->log);

            if (more == NULL) {
                ngx_http_conduit_hub_fail(conn);
                break;
            }

            p = more;
            size = len;
            continue;
        }

        if (!ngx_http_conduit_hub_polls(conn)) {
            ngx_http_conduit_hub_heard(conn);
        }

        (void) ngx_http_conduit_hub_input(conn, p, len);

        if (more) {
            ngx_free(more);
            more = NULL;
            p = conn->hub->buffer;
            size = NGX_HTTP_CONDUIT_HUB_READ;
        }
    }

    if (more) {
        ngx_free(more);
    }

    if (conn->state == NGX_HTTP_CONDUIT_HUB_OPEN) {
        ngx_http_conduit_hub_next(conn);
    }
}


void
ngx_http_conduit_hub_succeed(ngx_http_conduit_hub_conn_t *conn)
{
    size_t                            len, size;
    u_char                           *state;
    ngx_http_conduit_rings_t          rings;
    ngx_http_conduit_session_e        rc;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_session_want_t   want;

    if (!conn->succeeds || conn->left || conn->quest) {
        return;
    }

    cdmcf = conn->hub->cdmcf;

    ngx_memzero(&want, sizeof(ngx_http_conduit_session_want_t));
    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));

    want.id = conn->from;
    want.key = conn->key->node;
    want.kind = conn->kind;
    want.age = ngx_current_msec - conn->opened;

    for (size = 1024; /* void */ ; size = len) {

        len = 0;

        state = ngx_alloc(size, conn->hub->log);
        if (state == NULL) {
            ngx_http_conduit_hub_fail(conn);
            return;
        }

        rc = ngx_http_conduit_session_succeed(&cdmcf->zone, &want, state,
                                              size, &len, &rings);

        if (rc != NGX_HTTP_CONDUIT_SESSION_WAIT || len == 0) {
            break;
        }

        ngx_free(state);
    }

    /* whom it has to wait for wakes it, so it has to listen first */

    if (rc == NGX_HTTP_CONDUIT_SESSION_WAIT) {

        if (ngx_http_conduit_hub_heir_wait(conn) != NGX_OK) {
            ngx_http_conduit_hub_fail(conn);
        }

        ngx_http_conduit_hub_ring(cdmcf, conn->from, &rings);
        ngx_free(state);
        return;
    }

    ngx_http_conduit_hub_heir_free(conn);

    if (rc != NGX_HTTP_CONDUIT_SESSION_OK
        && ngx_http_conduit_hub_seek(conn) == NGX_AGAIN)
    {
        ngx_free(state);
        return;
    }

    conn->succeeds = 0;

    if (rc == NGX_HTTP_CONDUIT_SESSION_OK) {

        (void) ngx_atomic_fetch_add(&cdmcf->zone.sh->counters.hub_reconnects,
                                    1);

        if (ngx_http_conduit_hub_restore(conn, state, len, 0) != NGX_OK) {
            ngx_http_conduit_hub_fail(conn);
        }
    }

    ngx_free(state);
}


static ngx_int_t
ngx_http_conduit_hub_heir_wait(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_heir_t  *heir;

    if (conn->heir) {
        return NGX_OK;
    }

    heir = ngx_calloc(sizeof(ngx_http_conduit_hub_heir_t), conn->hub->log);
    if (heir == NULL) {
        return NGX_ERROR;
    }

    heir->conn = conn;

    ngx_memcpy(heir->watcher.id, conn->from, NGX_HTTP_CONDUIT_HUB_ID);
    heir->watcher.handler = ngx_http_conduit_hub_heir_woken;
    heir->watcher.data = heir;

    if (ngx_http_conduit_watch_add(conn->hub->cdmcf, &heir->watcher)
        != NGX_OK)
    {
        ngx_free(heir);
        return NGX_ERROR;
    }

    conn->heir = heir;

    return NGX_OK;
}


static void
ngx_http_conduit_hub_heir_woken(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_hub_heir_t  *heir;

    heir = w->data;

    ngx_http_conduit_hub_succeed(heir->conn);
}


static void
ngx_http_conduit_hub_heir_free(ngx_http_conduit_hub_conn_t *conn)
{
    if (conn->heir) {
        ngx_http_conduit_watch_del(conn->hub->cdmcf, &conn->heir->watcher);
        ngx_free(conn->heir);
        conn->heir = NULL;
    }
}


ngx_http_conduit_session_e
ngx_http_conduit_hub_post(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hub_peer_t *peer, ngx_str_t *data)
{
    ngx_http_conduit_rings_t          rings;
    ngx_http_conduit_session_e        rc;
    ngx_http_conduit_session_want_t   want;

    ngx_http_conduit_hub_want(&want, cdmcf, peer);
    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));

    rc = ngx_http_conduit_session_post(&cdmcf->zone, &want, data->data,
                                       data->len,
                                       ngx_http_conduit_hub_inbox_size(cdmcf),
                                       &rings);

    ngx_http_conduit_hub_ring(cdmcf, peer->id, &rings);

    return rc;
}


ngx_int_t
ngx_http_conduit_hub_roam(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hub_peer_t *peer, ngx_uint_t verb, ngx_str_t *data,
    ngx_http_conduit_waiter_t *waiter)
{
    ngx_http_conduit_session_want_t  want;

    ngx_http_conduit_hub_want(&want, cdmcf, peer);
    want.verb = verb;

    return cdmcf->engine->session(cdmcf, &want, data, waiter);
}


size_t
ngx_http_conduit_hub_inbox_size(ngx_http_conduit_main_conf_t *cdmcf)
{
    return 4 * cdmcf->hub_message_size;
}


ngx_http_conduit_session_e
ngx_http_conduit_hub_delete(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_hub_peer_t *peer)
{
    ngx_http_conduit_rings_t          rings;
    ngx_http_conduit_session_e        rc;
    ngx_http_conduit_session_want_t   want;

    ngx_http_conduit_hub_want(&want, cdmcf, peer);
    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));

    rc = ngx_http_conduit_session_delete(&cdmcf->zone, &want, &rings);

    ngx_http_conduit_hub_ring(cdmcf, peer->id, &rings);

    return rc;
}


/* who waits for one of the swept finds out by its own time */

void
ngx_http_conduit_hub_sweep(ngx_http_conduit_hub_t *hub)
{
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = hub->cdmcf;

    if (cdmcf->zone.cell != NGX_HTTP_CONDUIT_NOBODY) {
        ngx_http_conduit_session_sweep(&cdmcf->zone,
                                       cdmcf->connections_total);
    }
}


static void
ngx_http_conduit_hub_ring(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_news_t  news;

    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));

    news.wake = rings->wake;
    news.here = rings->here;

    ngx_http_conduit_news_spread(cdmcf->engine, id, &news);
}


static void
ngx_http_conduit_hub_want(ngx_http_conduit_session_want_t *want,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_hub_peer_t *peer)
{
    want->id = peer->id;
    want->key = peer->node;
    want->kind = peer->kind;
    want->transport = peer->transport;
    want->per_key = peer->limit;
    want->total = cdmcf->connections_total;
    want->named = peer->named;
    want->fresh = peer->fresh;
}
