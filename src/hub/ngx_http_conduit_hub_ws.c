
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


static void ngx_http_conduit_hub_ws_begin(ngx_event_t *rev);
static void ngx_http_conduit_hub_ws_release(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_http_conduit_hub_ws_reader(ngx_event_t *rev);
static ngx_int_t ngx_http_conduit_hub_ws_recv(
    ngx_http_conduit_hub_conn_t *conn);
static ngx_int_t ngx_http_conduit_hub_ws_frames(
    ngx_http_conduit_hub_conn_t *conn, u_char *p, u_char *last);
static ngx_int_t ngx_http_conduit_hub_ws_frame(
    ngx_http_conduit_hub_conn_t *conn, conduit_ws_event_t *ev);
static void ngx_http_conduit_hub_ws_writer(ngx_event_t *wev);
static ngx_int_t ngx_http_conduit_hub_ws_flush(
    ngx_http_conduit_hub_conn_t *conn);
static void ngx_http_conduit_hub_ws_control(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t opcode, u_char *data, size_t len);
static void ngx_http_conduit_hub_ws_end(ngx_http_conduit_hub_conn_t *conn);


void
ngx_http_conduit_hub_upgrade(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    conn->connection = c;
    conn->request = r;

    conduit_ws_init(&conn->ws, ngx_max(NGX_HTTP_CONDUIT_HUB_BATCH,
                                       2 * conn->hub->cdmcf->hub_message_size));

    ngx_queue_insert_tail(&conn->hub->upgrades, &conn->all);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    c->read->handler = ngx_http_conduit_hub_ws_begin;
    ngx_post_event(c->read, &ngx_posted_events);
}


/*
 * The request is freed and the connection goes on without it, as one that is
 * kept alive does; what the client has sent behind its request comes first.
 */

static void
ngx_http_conduit_hub_ws_begin(ngx_event_t *rev)
{
    size_t                        len;
    ngx_int_t                     rc;
    ngx_queue_t                  *q;
    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    ngx_http_connection_t        *hc;
    ngx_http_conduit_hub_t       *hub;
    ngx_http_conduit_hub_conn_t  *conn;

    c = rev->data;
    r = c->data;

    hub = ngx_http_conduit_hub_of(r);

    for (q = ngx_queue_head(&hub->upgrades);
         /* void */ ;
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_conduit_hub_conn_t, all);

        if (conn->request == r) {
            break;
        }
    }

    ngx_queue_remove(q);
    conn->request = NULL;

    len = r->header_in->last - r->header_in->pos;

    if (r->buffered || c->buffered || len > NGX_HTTP_CONDUIT_HUB_READ) {

        /* a socket that takes no 200 bytes, or a client that is in a hurry */

        conn->connection = NULL;
        ngx_http_conduit_hub_free(conn);
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    hc = r->http_connection;

    ngx_memcpy(hub->buffer, r->header_in->pos, len);

    ngx_http_free_request(r, 0);

    c->data = conn;
    c->log->action = "serving a hub connection";

    ngx_http_conduit_hub_ws_release(c, hc);

    c->read->handler = ngx_http_conduit_hub_ws_reader;
    c->write->handler = ngx_http_conduit_hub_ws_writer;

#if (NGX_HTTP_SSL)
    conn->plain = c->ssl ? (ngx_socket_t) -1 : c->fd;
#else
    conn->plain = c->fd;
#endif

    /* so that the start of a shutdown is told to the read handler */

    c->idle = 1;

    ngx_http_conduit_hub_begin(conn);

    /* one that comes again has nothing to say before it is let in */

    if (conn->state == NGX_HTTP_CONDUIT_HUB_WAITING && len) {
        ngx_http_conduit_hub_ws_end(conn);
        return;
    }

    rc = ngx_http_conduit_hub_ws_frames(conn, hub->buffer, hub->buffer + len);

    if (rc != NGX_OK) {
        ngx_http_conduit_hub_ws_end(conn);
        return;
    }

    /* what came meanwhile has been told already, and so has a shutdown */

    c->read->ready = 1;

    ngx_http_conduit_hub_ws_reader(c->read);
}


/* gives back what only a request needs; see ngx_http_set_keepalive() */

static void
ngx_http_conduit_hub_ws_release(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl, *ln;

    if (ngx_pfree(c->pool, c->buffer->start) == NGX_OK) {
        c->buffer->pos = NULL;
    }

    for (cl = hc->free; cl; /* void */) {
        ln = cl;
        cl = cl->next;
        ngx_pfree(c->pool, ln->buf->start);
        ngx_free_chain(c->pool, ln);
    }

    hc->free = NULL;

    for (cl = hc->busy; cl; /* void */) {
        ln = cl;
        cl = cl->next;
        ngx_pfree(c->pool, ln->buf->start);
        ngx_free_chain(c->pool, ln);
    }

    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


/* also called at a shutdown, by the timer, and to end what has failed */

static void
ngx_http_conduit_hub_ws_reader(ngx_event_t *rev)
{
    ngx_int_t                     rc;
    ngx_connection_t             *c;
    ngx_http_conduit_hub_conn_t  *conn;

    c = rev->data;
    conn = c->data;

    rc = NGX_OK;

    if (conn->failed || c->error) {
        ngx_http_conduit_hub_ws_end(conn);
        return;
    }

    if (c->close) {
        c->close = 0;
        c->idle = 0;
        ngx_http_conduit_hub_shutdown(conn);

    } else if (rev->timedout) {
        rev->timedout = 0;
        rc = ngx_http_conduit_hub_timer(conn);
    }

    if (rc == NGX_OK && rev->ready
        && conn->state != NGX_HTTP_CONDUIT_HUB_WAITING)
    {
        rc = ngx_http_conduit_hub_ws_recv(conn);
    }

    if (rc != NGX_OK || conn->failed) {
        ngx_http_conduit_hub_ws_end(conn);
        return;
    }

    if (!conn->stuck && ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_conduit_hub_ws_end(conn);
    }
}


/*
 * Reads until there is no more: what TLS has decrypted already is not told
 * again.  NGX_DONE: the connection is to be ended.
 */

static ngx_int_t
ngx_http_conduit_hub_ws_recv(ngx_http_conduit_hub_conn_t *conn)
{
    u_char                   *p;
    ssize_t                   n;
    ngx_uint_t                opening;
    ngx_connection_t         *c;

    c = conn->connection;
    p = conn->hub->buffer;

    do {

        /* who does not read is not listened to */

        if (!ngx_http_conduit_hub_reads(conn)
            && conn->state == NGX_HTTP_CONDUIT_HUB_OPEN)
        {
            conn->stuck = 1;
            return NGX_OK;
        }

        n = c->recv(c, p, NGX_HTTP_CONDUIT_HUB_READ);

        if (n == NGX_AGAIN) {
            return NGX_OK;
        }

        if (n == NGX_ERROR || n == 0) {

            /* after a reset what its host had taken may be lost, too */

            c->error |= (n == NGX_ERROR);

            return NGX_DONE;
        }

        ngx_http_conduit_hub_heard(conn);

        opening = (conn->state == NGX_HTTP_CONDUIT_HUB_SHAKING);

        if (ngx_http_conduit_hub_ws_frames(conn, p, p + n) != NGX_OK) {
            return NGX_DONE;
        }

        if (opening && conn->state == NGX_HTTP_CONDUIT_HUB_OPEN
            && !conn->draining)
        {
            ngx_http_conduit_hub_next(conn);
        }

    } while (c->read->ready);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hub_ws_frames(ngx_http_conduit_hub_conn_t *conn, u_char *p,
    u_char *last)
{
    int                 rc;
    conduit_ws_event_t  ev;

    for ( ;; ) {

        rc = conduit_ws_read(&conn->ws, &p, last, &ev);

        if (rc == CONDUIT_AGAIN) {
            return NGX_OK;
        }

        if (rc == CONDUIT_ERROR) {
            ngx_log_error(NGX_LOG_INFO, conn->connection->log, 0,
                          "client broke the websocket protocol, closing with "
                          "%ui", (ngx_uint_t) ev.code);

            if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
                return NGX_DONE;
            }

            ngx_http_conduit_hub_end(conn, ev.code);

            conn->broken = 1;

            if (conn->out == NULL) {
                ngx_http_conduit_hub_hang_up(conn);
            }

            return conn->failed ? NGX_DONE : NGX_OK;
        }

        if (ngx_http_conduit_hub_ws_frame(conn, &ev) != NGX_OK
            || conn->failed)
        {
            return NGX_DONE;
        }
    }
}


static ngx_int_t
ngx_http_conduit_hub_ws_frame(ngx_http_conduit_hub_conn_t *conn,
    conduit_ws_event_t *ev)
{
    switch (ev->opcode) {

    case CONDUIT_WS_PING:

        if (conn->state != NGX_HTTP_CONDUIT_HUB_CLOSING) {
            ngx_http_conduit_hub_ws_control(conn, CONDUIT_WS_PONG,
                                            ev->data.data, ev->data.len);
        }

        return NGX_OK;

    case CONDUIT_WS_PONG:
        return NGX_OK;

    case CONDUIT_WS_CLOSE:

        /* an answer to ours, or theirs, which is echoed */

        if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
            return NGX_DONE;
        }

        ngx_http_conduit_hub_end(conn, ev->code);

        conn->answered = 1;

        return conn->out ? NGX_OK : NGX_DONE;

    default:

        if (conn->state != NGX_HTTP_CONDUIT_HUB_CLOSING) {
            (void) ngx_http_conduit_hub_input(conn, ev->data.data,
                                              ev->data.len);
        }

        return NGX_OK;
    }
}


void
ngx_http_conduit_hub_listen(ngx_http_conduit_hub_conn_t *conn)
{
    if (conn->stream == NULL) {
        conn->connection->read->ready = 1;
        ngx_post_event(conn->connection->read, &ngx_posted_events);
    }
}


/* output has to wait for the client */

void
ngx_http_conduit_hub_ws_wait(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_event_t  *wev;

    wev = conn->connection->write;

    if (!wev->timer_set) {
        ngx_add_timer(wev, conn->hub->cdmcf->hub_timeout);
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_conduit_hub_fail(conn);
    }
}


static void
ngx_http_conduit_hub_ws_writer(ngx_event_t *wev)
{
    ngx_connection_t             *c;
    ngx_http_conduit_hub_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (conn->failed) {
        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client does not read its messages");

        (void) ngx_atomic_fetch_add(
                          &conn->hub->cdmcf->zone.sh->counters.hub_slow, 1);

        ngx_http_conduit_hub_ws_end(conn);
        return;
    }

    if (conn->out == NULL) {
        return;
    }

    if (ngx_http_conduit_hub_ws_flush(conn) != NGX_OK) {
        ngx_http_conduit_hub_ws_end(conn);
        return;
    }

    if (conn->out) {
        return;
    }

    if (conn->answered) {
        ngx_http_conduit_hub_ws_end(conn);
        return;
    }

    if (conn->broken) {
        ngx_http_conduit_hub_hang_up(conn);
        return;
    }

    ngx_http_conduit_hub_drained(conn);

    if (conn->stuck && ngx_http_conduit_hub_reads(conn)) {
        conn->stuck = 0;
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_http_conduit_hub_ws_flush(ngx_http_conduit_hub_conn_t *conn)
{
    size_t                       size;
    u_char                      *p;
    ssize_t                      n;
    ngx_connection_t            *c;
    ngx_http_conduit_hub_msg_t  *msg;

    c = conn->connection;

    while (conn->out) {

        msg = conn->out->msg;
        size = msg->head + msg->len;
        p = msg->data + NGX_HTTP_CONDUIT_HUB_HEAD - msg->head;

        n = c->send(c, p + conn->sent, size - conn->sent);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN) {
            break;
        }

        /* the client reads: its time begins anew */

        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }

        conn->sent += n;

        if (conn->sent < size) {
            continue;
        }

        ngx_http_conduit_hub_shift(conn);
    }

    if (conn->out) {
        ngx_http_conduit_hub_ws_wait(conn);
    }

    return conn->failed ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_conduit_hub_ws_control(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t opcode, u_char *data, size_t len)
{
    ngx_http_conduit_hub_msg_t  *msg;

    msg = ngx_http_conduit_hub_msg(conn->hub, len, opcode);

    if (msg == NULL) {
        ngx_http_conduit_hub_fail(conn);
        return;
    }

    ngx_memcpy(ngx_http_conduit_hub_msg_text(msg), data, len);

    ngx_http_conduit_hub_send(conn, msg);
    ngx_http_conduit_hub_msg_free(msg);
}


void
ngx_http_conduit_hub_ws_close(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t code)
{
    u_char         frame[CONDUIT_WS_HEAD_MAX + CONDUIT_WS_CONTROL_MAX], *end;
    conduit_str_t  why;

    ngx_memzero(&why, sizeof(conduit_str_t));

    /* the head of a control frame has two bytes */

    end = conduit_ws_close(frame, (unsigned) code, &why);

    ngx_http_conduit_hub_ws_control(conn, CONDUIT_WS_CLOSE, frame + 2,
                                    end - frame - 2);
}


static void
ngx_http_conduit_hub_ws_end(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

    ngx_http_conduit_hub_free(conn);

    c->idle = 0;
    ngx_http_close_connection(c);
}
