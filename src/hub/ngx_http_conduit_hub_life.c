
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


/* the times of a connection, and its end, whatever carries it */


/* when a worker shuts down it says goodbye spread over this time, at most */

#define NGX_HTTP_CONDUIT_HUB_SPREAD  5000


static ngx_msec_t ngx_http_conduit_hub_left(ngx_msec_t since, ngx_msec_t ms);
static void ngx_http_conduit_hub_clock_set(ngx_http_conduit_hub_conn_t *conn,
    ngx_msec_t ms);


ngx_int_t
ngx_http_conduit_hub_timer(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_msec_t                     now;
    ngx_http_conduit_main_conf_t  *cdmcf;

    now = ngx_current_msec;
    cdmcf = conn->hub->cdmcf;

    if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING
        || conn->state == NGX_HTTP_CONDUIT_HUB_WAITING)
    {
        return NGX_DONE;
    }

    if (conn->draining) {
        ngx_http_conduit_hub_close(conn, NULL, 1);
        return NGX_OK;
    }

    if (conn->state == NGX_HTTP_CONDUIT_HUB_SHAKING) {

        if (ngx_http_conduit_hub_left(conn->opened,
                                      NGX_HTTP_CONDUIT_HUB_HANDSHAKE)
            == 0)
        {
            ngx_http_conduit_hub_refuse(conn, "Handshake was canceled.");
            return NGX_OK;
        }

    } else if (!ngx_http_conduit_hub_polls(conn)) {

        /* a client that has never pinged may stay silent */

        if (conn->pings && now - conn->heard >= cdmcf->hub_timeout) {
            ngx_http_conduit_hub_close(conn, "Connection timed out: nothing"
                                             " was received from the client.",
                                       1);
            return NGX_OK;
        }

        if (now - conn->written >= cdmcf->hub_keepalive) {
            ngx_http_conduit_hub_ping(conn);
        }

        if (conn->resume && conn->resume->owes
            && ngx_http_conduit_hub_left(conn->resume->due, 0) == 0)
        {
            ngx_http_conduit_hub_resume_ack(conn);
        }
    }

    if (ngx_http_conduit_hub_polls(conn)
        && ngx_http_conduit_hub_left(conn->heard, NGX_HTTP_CONDUIT_HUB_POLL)
           == 0)
    {
        conn->stream->expired = 1;
        ngx_post_event(&conn->stream->turn, &ngx_posted_events);
        return NGX_OK;
    }

    ngx_http_conduit_hub_next(conn);

    return NGX_OK;
}


/*
 * For the end of the handshake, of a poll, for the ping or the client's
 * silence: whatever comes first.
 */

void
ngx_http_conduit_hub_next(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_msec_t                     ms, other;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = conn->hub->cdmcf;

    if (conn->draining || conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
        return;
    }

    if (ngx_http_conduit_hub_polls(conn)) {
        ms = ngx_http_conduit_hub_left(conn->heard,
                                       NGX_HTTP_CONDUIT_HUB_POLL);

    } else {
        ms = ngx_http_conduit_hub_left(conn->written, cdmcf->hub_keepalive);

        if (conn->pings) {
            other = ngx_http_conduit_hub_left(conn->heard,
                                                cdmcf->hub_timeout);
            ms = ngx_min(ms, other);
        }

        if (conn->resume && conn->resume->owes) {
            other = ngx_http_conduit_hub_left(conn->resume->due, 0);
            ms = ngx_min(ms, other);
        }
    }

    if (conn->state == NGX_HTTP_CONDUIT_HUB_SHAKING) {
        other = ngx_http_conduit_hub_left(conn->opened,
                                            NGX_HTTP_CONDUIT_HUB_HANDSHAKE);
        ms = ngx_http_conduit_hub_polls(conn) ? ngx_min(ms, other) : other;
    }

    ngx_http_conduit_hub_clock_set(conn, ngx_max(ms, 1));
}


static ngx_msec_t
ngx_http_conduit_hub_left(ngx_msec_t since, ngx_msec_t ms)
{
    ngx_msec_int_t  left;

    left = since + ms - ngx_current_msec;

    return (left > 0) ? (ngx_msec_t) left : 0;
}


static void
ngx_http_conduit_hub_clock_set(ngx_http_conduit_hub_conn_t *conn,
    ngx_msec_t ms)
{
    ngx_event_t  *ev;

    ev = ngx_http_conduit_hub_clock(conn);

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, ms);
}


/* clients are told to come again, but not all at the same moment */

void
ngx_http_conduit_hub_shutdown(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_msec_t  spread;

    if (conn->draining || conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
        return;
    }

    conn->draining = 1;

    spread = ngx_min(500 + conn->hub->nconns, NGX_HTTP_CONDUIT_HUB_SPREAD);

    ngx_http_conduit_hub_clock_set(conn, 1 + ngx_random() % spread);
}


/* one that does not answer to the goodbye is closed by its timer */

void
ngx_http_conduit_hub_end(ngx_http_conduit_hub_conn_t *conn, ngx_uint_t code)
{
    if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
        return;
    }

    ngx_http_conduit_hub_leave(conn, NGX_HTTP_CONDUIT_SESSION_END);

    conn->state = NGX_HTTP_CONDUIT_HUB_CLOSING;

    if (conn->stream) {
        ngx_post_event(&conn->stream->turn, &ngx_posted_events);

    } else {
        ngx_http_conduit_hub_ws_close(conn, code);
    }

    ngx_http_conduit_hub_clock_set(conn, NGX_HTTP_CONDUIT_HUB_GOODBYE);
}


void
ngx_http_conduit_hub_fail(ngx_http_conduit_hub_conn_t *conn)
{
    conn->failed = 1;

    if (conn->stream) {
        ngx_post_event(&conn->stream->turn, &ngx_posted_events);

    } else if (conn->connection) {
        ngx_post_event(conn->connection->read, &ngx_posted_events);
    }
}
