
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


static ssize_t ngx_http_conduit_hub_send_now(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg);
static void ngx_http_conduit_hub_send_text(ngx_http_conduit_hub_conn_t *conn,
    u_char *text, size_t len);
static void ngx_http_conduit_hub_one_line(u_char *p, u_char *last);
static ngx_int_t ngx_http_conduit_hub_records(
    ngx_http_conduit_hub_conn_t *conn, u_char **pos, u_char *last);
static ngx_int_t ngx_http_conduit_hub_handshake(
    ngx_http_conduit_hub_conn_t *conn, conduit_str_t *record);
static ngx_int_t ngx_http_conduit_hub_keep(ngx_http_conduit_hub_conn_t *conn,
    u_char *p, size_t len);


ngx_http_conduit_hub_msg_t *
ngx_http_conduit_hub_msg(ngx_http_conduit_hub_t *hub, size_t len,
    ngx_uint_t opcode)
{
    u_char                      *p, head[CONDUIT_WS_HEAD_MAX];
    ngx_http_conduit_hub_msg_t  *msg;

    msg = ngx_alloc(offsetof(ngx_http_conduit_hub_msg_t, data)
                    + NGX_HTTP_CONDUIT_HUB_HEAD + len, hub->log);
    if (msg == NULL) {
        return NULL;
    }

    msg->refs = 1;
    msg->len = (uint32_t) len;
    msg->head = 0;
    msg->counted = 0;

    if (opcode != NGX_HTTP_CONDUIT_HUB_RAW) {
        p = conduit_ws_head(head, (unsigned) opcode, 1, len);
        msg->head = (u_char) (p - head);
        ngx_memcpy(msg->data + NGX_HTTP_CONDUIT_HUB_HEAD - msg->head, head,
                   msg->head);
    }

    return msg;
}


void
ngx_http_conduit_hub_msg_free(ngx_http_conduit_hub_msg_t *msg)
{
    if (--msg->refs == 0) {
        ngx_free(msg);
    }
}


void
ngx_http_conduit_hub_send(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg)
{
    if (conn->resume && msg->counted && !conn->left) {

        if (ngx_http_conduit_hub_resume_keep(conn, msg) != NGX_OK
            || ngx_http_conduit_hub_resume_full(conn))
        {
            ngx_http_conduit_hub_fail(conn);
            return;
        }
    }

    ngx_http_conduit_hub_put(conn, msg);
}


void
ngx_http_conduit_hub_put(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg)
{
    ssize_t  n;

    if (conn->failed || conn->connection == NULL) {
        return;
    }

    conn->written = ngx_current_msec;

    if (conn->stream) {

        /* what comes in one turn of the event loop is sent together */

        if (ngx_http_conduit_hub_queue(conn, msg) != NGX_OK) {
            ngx_http_conduit_hub_fail(conn);
            return;
        }

        ngx_post_event(&conn->stream->turn, &ngx_posted_events);
        return;
    }

    n = 0;

    if (conn->out == NULL) {

        n = ngx_http_conduit_hub_send_now(conn, msg);

        if (n == NGX_OK) {
            return;
        }

        if (n == NGX_ERROR) {
            ngx_http_conduit_hub_fail(conn);
            return;
        }

        if (n == NGX_AGAIN) {
            n = 0;
        }
    }

    if (ngx_http_conduit_hub_queue(conn, msg) != NGX_OK) {
        ngx_http_conduit_hub_fail(conn);
        return;
    }

    conn->sent += n;

    if (conn->out == conn->last) {
        ngx_http_conduit_hub_ws_wait(conn);
    }
}


/*
 * NGX_OK: all is sent, or the number of bytes that are, NGX_AGAIN, NGX_ERROR.
 *
 * Nearly all that is sent is one small message to a socket that takes it, and
 * the socket is all that this needs.  Among thousands of connections nothing
 * that belongs to one is in the processor's caches, and nginx's connection,
 * write event and log are what takes longest then.  They hear of what is not
 * as usual.
 */

static ssize_t
ngx_http_conduit_hub_send_now(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg)
{
    u_char            *p;
    size_t             size;
    ssize_t            n;
    ngx_connection_t  *c;

    p = msg->data + NGX_HTTP_CONDUIT_HUB_HEAD - msg->head;
    size = msg->head + msg->len;

    if (conn->plain != (ngx_socket_t) -1) {

        n = send(conn->plain, p, size, 0);

        if (n == (ssize_t) size) {
            return NGX_OK;
        }

        if (n > 0) {
            conn->connection->write->ready = 0;
            return n;
        }
    }

    c = conn->connection;

    if (!c->write->ready) {
        return NGX_AGAIN;
    }

    n = c->send(c, p, size);

    return (n == (ssize_t) size) ? NGX_OK : n;
}


ngx_int_t
ngx_http_conduit_hub_queue(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg)
{
    ngx_http_conduit_hub_out_t  *out;

    out = ngx_alloc(sizeof(ngx_http_conduit_hub_out_t), conn->hub->log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    out->next = NULL;
    out->msg = msg;
    msg->refs++;

    if (conn->out == NULL) {
        conn->out = out;
        conn->sent = 0;

    } else {
        conn->last->next = out;
    }

    conn->last = out;
    conn->queued += msg->head + msg->len;

    return NGX_OK;
}


void
ngx_http_conduit_hub_drop(ngx_http_conduit_hub_conn_t *conn)
{
    while (conn->out) {
        ngx_http_conduit_hub_shift(conn);
    }
}


void
ngx_http_conduit_hub_shift(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_msg_t  *msg;
    ngx_http_conduit_hub_out_t  *out;

    out = conn->out;
    msg = out->msg;

    conn->out = out->next;
    conn->queued -= msg->head + msg->len;
    conn->sent = 0;

    ngx_http_conduit_hub_msg_free(msg);
    ngx_free(out);
}


/* bytes of a hub message, which are copied */

static void
ngx_http_conduit_hub_send_text(ngx_http_conduit_hub_conn_t *conn, u_char *text,
    size_t len)
{
    ngx_http_conduit_hub_msg_t  *msg;

    msg = ngx_http_conduit_hub_msg(conn->hub, len,
                                   ngx_http_conduit_hub_opcode(conn));

    if (msg == NULL) {
        ngx_http_conduit_hub_fail(conn);
        return;
    }

    ngx_memcpy(ngx_http_conduit_hub_msg_text(msg), text, len);

    ngx_http_conduit_hub_send(conn, msg);
    ngx_http_conduit_hub_msg_free(msg);
}


void
ngx_http_conduit_hub_send_output(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_output_t *out)
{
    ngx_http_conduit_hub_msg_t  *msg;

    msg = ngx_http_conduit_hub_render(conn->hub, out, conn->binary);

    if (msg == NULL) {
        ngx_http_conduit_hub_fail(conn);
        return;
    }

    ngx_http_conduit_hub_send(conn, msg);
    ngx_http_conduit_hub_msg_free(msg);
}


/* the length is known when it is written, so the head comes last */

ngx_http_conduit_hub_msg_t *
ngx_http_conduit_hub_render(ngx_http_conduit_hub_t *hub,
    conduit_signalr_output_t *out, ngx_uint_t binary)
{
    size_t                       size;
    u_char                      *p, *end, head[CONDUIT_WS_HEAD_MAX];
    conduit_signalr_protocol_e   protocol;
    ngx_http_conduit_hub_msg_t  *msg;

    protocol = binary ? CONDUIT_SIGNALR_MSGPACK : CONDUIT_SIGNALR_JSON;

    size = conduit_signalr_size(protocol, out);

    msg = ngx_http_conduit_hub_msg(hub, size, NGX_HTTP_CONDUIT_HUB_RAW);
    if (msg == NULL) {
        return NULL;
    }

    p = ngx_http_conduit_hub_msg_text(msg);

    end = conduit_signalr_write(protocol, p, out);

    if (end == NULL) {
        ngx_http_conduit_hub_msg_free(msg);
        return NULL;
    }

    msg->len = (uint32_t) (end - p);
    msg->counted = (out->type <= CONDUIT_SIGNALR_CANCEL);

    if (!binary) {
        ngx_http_conduit_hub_one_line(p, end);
    }

    end = conduit_ws_head(head, binary ? CONDUIT_WS_BINARY : CONDUIT_WS_TEXT,
                          1, msg->len);
    msg->head = (u_char) (end - head);

    ngx_memcpy(p - msg->head, head, msg->head);

    return msg;
}


/* between the tokens of a client's own JSON there may be line breaks */

static void
ngx_http_conduit_hub_one_line(u_char *p, u_char *last)
{
    for ( /* void */ ; p < last; p++) {
        if (*p == CR || *p == LF) {
            *p = ' ';
        }
    }
}


void
ngx_http_conduit_hub_ping(ngx_http_conduit_hub_conn_t *conn)
{
    /* a client that still has to read what was sent needs no ping */

    if (conn->out) {
        conn->written = ngx_current_msec;
        return;
    }

    if (conn->binary) {
        ngx_http_conduit_hub_send_text(conn, (u_char *) "\x02\x91\x06", 3);

    } else {
        ngx_http_conduit_hub_send_text(conn, (u_char *) "{\"type\":6}\x1e",
                                       11);
    }
}


void
ngx_http_conduit_hub_close(ngx_http_conduit_hub_conn_t *conn,
    const char *error, ngx_uint_t reconnect)
{
    conduit_signalr_output_t  out;

    if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
        return;
    }

    /* whoever is told to come again must not find the old one */

    ngx_http_conduit_hub_leave(conn, conn->goodbye
                                     ? NGX_HTTP_CONDUIT_SESSION_FORGET
                                     : NGX_HTTP_CONDUIT_SESSION_END);

    if (conn->state == NGX_HTTP_CONDUIT_HUB_OPEN) {

        ngx_memzero(&out, sizeof(conduit_signalr_output_t));

        out.type = CONDUIT_SIGNALR_CLOSE;
        out.allow_reconnect = reconnect ? 1 : 0;

        if (error) {
            out.error.data = (u_char *) error;
            out.error.len = ngx_strlen(error);
        }

        ngx_http_conduit_hub_send_output(conn, &out);
    }

    ngx_http_conduit_hub_end(conn, CONDUIT_WS_NORMAL);
}


ngx_int_t
ngx_http_conduit_hub_input(ngx_http_conduit_hub_conn_t *conn, u_char *p,
    size_t len)
{
    u_char     *pos;
    ngx_int_t   rc;

    if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
        return NGX_ERROR;
    }

    /* whole messages are read where they lie, a part of one is kept */

    if (conn->in_len == 0) {
        pos = p;
        rc = ngx_http_conduit_hub_records(conn, &pos, p + len);

        if (rc != NGX_OK || pos == p + len) {
            return rc;
        }

        return ngx_http_conduit_hub_keep(conn, pos, p + len - pos);
    }

    if (ngx_http_conduit_hub_keep(conn, p, len) != NGX_OK) {
        return NGX_ERROR;
    }

    pos = conn->in;
    rc = ngx_http_conduit_hub_records(conn, &pos, conn->in + conn->in_len);

    if (rc != NGX_OK) {
        return rc;
    }

    len = conn->in + conn->in_len - pos;

    if (len) {
        ngx_memmove(conn->in, pos, len);
        conn->in_len = len;
        return NGX_OK;
    }

    ngx_free(conn->in);
    conn->in = NULL;
    conn->in_len = 0;
    conn->in_size = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hub_keep(ngx_http_conduit_hub_conn_t *conn, u_char *p,
    size_t len)
{
    size_t   size;
    u_char  *in;

    if (conn->in_size - conn->in_len < len) {

        size = ngx_max(256, conn->in_size);

        while (size < conn->in_len + len) {
            size *= 2;
        }

        in = ngx_alloc(size, conn->hub->log);
        if (in == NULL) {
            ngx_http_conduit_hub_fail(conn);
            return NGX_ERROR;
        }

        if (conn->in) {
            ngx_memcpy(in, conn->in, conn->in_len);
            ngx_free(conn->in);
        }

        conn->in = in;
        conn->in_size = size;
    }

    ngx_memcpy(conn->in + conn->in_len, p, len);
    conn->in_len += len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hub_records(ngx_http_conduit_hub_conn_t *conn, u_char **pos,
    u_char *last)
{
    int            rc;
    u_char        *start;
    conduit_str_t  record, early;

    start = *pos;
    early.len = 0;

    for ( ;; ) {

        rc = conduit_signalr_next(&conn->reader, pos, last, &record);

        if (rc == CONDUIT_AGAIN && early.len
            && last - *pos < NGX_HTTP_CONDUIT_HUB_EARLY)
        {
            /* all of it is looked at again when there is more */

            *pos = start;
            conn->reader.scanned = 0;
            return NGX_OK;
        }

        if (rc == CONDUIT_AGAIN && early.len == 0) {
            return NGX_OK;
        }

        if (conn->state == NGX_HTTP_CONDUIT_HUB_SHAKING) {

            if (rc != CONDUIT_OK) {
                ngx_http_conduit_hub_refuse(conn, "Handshake was canceled.");
                return NGX_ERROR;
            }

            /* threads of one client send their first messages in any order */

            if (early.len == 0 && record.len < NGX_HTTP_CONDUIT_HUB_EARLY
                && conduit_signalr_early(&record))
            {
                early = record;
                continue;
            }

            if (ngx_http_conduit_hub_handshake(conn, &record) != NGX_OK) {
                return NGX_ERROR;
            }

            if (early.len == 0) {
                continue;
            }

            record = early;
            early.len = 0;
        }

        if (rc == CONDUIT_ERROR
            || ngx_http_conduit_hub_call(conn, record.data, record.len)
               != NGX_OK)
        {
            ngx_http_conduit_hub_close(conn, "Connection closed with an"
                                             " error.", 1);
            return NGX_ERROR;
        }

        if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING || conn->failed) {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_http_conduit_hub_handshake(ngx_http_conduit_hub_conn_t *conn,
    conduit_str_t *record)
{
    u_char                       reply[16];
    conduit_signalr_handshake_t  hs;

    if (conduit_signalr_handshake(&hs, record,
                                  conn->stream == NULL
                                  || conn->stream->answer != NULL)
        != CONDUIT_OK)
    {
        hs.error[ngx_min(hs.error_len, sizeof(hs.error) - 1)] = '\0';
        ngx_http_conduit_hub_refuse(conn, (char *) hs.error);
        return NGX_ERROR;
    }

    conn->binary = (hs.protocol == CONDUIT_SIGNALR_MSGPACK);
    conn->state = NGX_HTTP_CONDUIT_HUB_OPEN;
    conn->shaken = 1;

    conduit_signalr_init(&conn->reader, conn->hub->cdmcf->hub_message_size,
                         conn->binary);

    ngx_http_conduit_hub_send_text(conn, reply,
                 conduit_signalr_handshake_reply(reply, NULL, 0) - reply);

    if (conn->stateful && hs.version == CONDUIT_SIGNALR_VERSION_MAX
        && ngx_http_conduit_hub_resume_create(conn) != NGX_OK)
    {
        ngx_http_conduit_hub_fail(conn);
        return NGX_ERROR;
    }

    ngx_http_conduit_hub_succeed(conn);

    return conn->failed ? NGX_ERROR : NGX_OK;
}


/* answers a handshake with an error, which ends the connection */

void
ngx_http_conduit_hub_refuse(ngx_http_conduit_hub_conn_t *conn,
    const char *error)
{
    size_t  len;
    u_char  reply[conduit_signalr_handshake_size(CONDUIT_SIGNALR_ERROR_LEN)];

    len = ngx_min(ngx_strlen(error), CONDUIT_SIGNALR_ERROR_LEN);

    len = conduit_signalr_handshake_reply(reply, (u_char *) error, len)
          - reply;

    ngx_http_conduit_hub_send_text(conn, reply, len);
    ngx_http_conduit_hub_end(conn, CONDUIT_WS_NORMAL);
}


/*
 * Who broke the protocol is not waited for (RFC 6455, 7.1.7), but what it
 * still sends is read: a reset would take the close frame away from it.
 */

void
ngx_http_conduit_hub_hang_up(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        (void) SSL_shutdown(c->ssl->connection);
        ERR_clear_error();
    }
#endif

    (void) ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN);
}
