
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


/*
 * ServerSentEvents and LongPolling: a connection whose output is the reply to
 * a request.  A stream takes messages as long as it is open; a poll is answered
 * with those of one turn of the event loop, and the session rests until the
 * next poll, which any worker may get.
 */


static ngx_http_conduit_hub_stream_t *ngx_http_conduit_hub_stream_create(
    ngx_http_conduit_hub_conn_t *conn, ngx_http_request_t *r);
static void ngx_http_conduit_hub_stream_timer(ngx_event_t *ev);
static void ngx_http_conduit_hub_stream_turn(ngx_event_t *ev);
static void ngx_http_conduit_hub_stream_drain(void *data);
static void ngx_http_conduit_hub_stream_run(
    ngx_http_conduit_hub_stream_t *stream);
static void ngx_http_conduit_hub_stream_answer(
    ngx_http_conduit_hub_stream_t *stream);
static ngx_int_t ngx_http_conduit_hub_stream_body(
    ngx_http_conduit_hub_stream_t *stream, ngx_str_t *body);
static ngx_int_t ngx_http_conduit_hub_stream_events(
    ngx_http_conduit_hub_stream_t *stream);
static ngx_int_t ngx_http_conduit_hub_stream_send(
    ngx_http_conduit_hub_stream_t *stream, u_char *data, size_t len);
static ngx_int_t ngx_http_conduit_hub_stream_sent(
    ngx_http_conduit_hub_stream_t *stream);
static void ngx_http_conduit_hub_stream_close(
    ngx_http_conduit_hub_stream_t *stream);
static void ngx_http_conduit_hub_stream_cleanup(void *data);


void
ngx_http_conduit_hub_greet(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_leave(conn, NGX_HTTP_CONDUIT_SESSION_REST);
    ngx_http_conduit_hub_free(conn);
}


ngx_http_conduit_hub_stream_t *
ngx_http_conduit_hub_hold(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_request_t *r, ngx_http_conduit_hub_answer_pt answer)
{
    ngx_http_conduit_hub_stream_t  *stream;

    static u_char  comment[] = ":\r\n";

    stream = ngx_http_conduit_hub_stream_create(conn, r);

    if (stream == NULL) {
        ngx_http_conduit_hub_free(conn);
        return NULL;
    }

    stream->answer = answer;

    conn->stream = stream;
    conn->connection = r->connection;

    ngx_http_conduit_watch_client(r);
    r->main->count++;

    if (ngx_conduit_drain_add(&stream->drain) != NGX_OK) {
        ngx_http_conduit_hub_fail(conn);
        return stream;
    }

    ngx_http_conduit_hub_begin(conn);

    /* a stream begins with a comment, so that its head goes at once */

    if (answer == NULL
        && ngx_http_conduit_hub_stream_send(stream, comment,
                                            sizeof(comment) - 1)
           != NGX_OK)
    {
        ngx_http_conduit_hub_fail(conn);
    }

    return stream;
}


static ngx_http_conduit_hub_stream_t *
ngx_http_conduit_hub_stream_create(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_request_t *r)
{
    ngx_http_cleanup_t             *cln;
    ngx_http_conduit_hub_stream_t  *stream;

    stream = ngx_pcalloc(r->pool, sizeof(ngx_http_conduit_hub_stream_t));
    if (stream == NULL) {
        return NULL;
    }

    stream->buf = ngx_calloc_buf(r->pool);
    if (stream->buf == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_conduit_hub_stream_cleanup;
    cln->data = stream;

    stream->conn = conn;
    stream->request = r;

    /* for logs of the fd; the stream is found by the place of the event */

    stream->timer.data = r->connection;
    stream->timer.handler = ngx_http_conduit_hub_stream_timer;
    stream->timer.log = r->connection->log;

    stream->turn.data = r->connection;
    stream->turn.handler = ngx_http_conduit_hub_stream_turn;
    stream->turn.log = r->connection->log;

    stream->drain.handler = ngx_http_conduit_hub_stream_drain;
    stream->drain.data = stream;

    return stream;
}


static void
ngx_http_conduit_hub_stream_timer(ngx_event_t *ev)
{
    ngx_http_conduit_hub_stream_t  *stream;

    stream = (ngx_http_conduit_hub_stream_t *)
           ((u_char *) ev - offsetof(ngx_http_conduit_hub_stream_t, timer));

    if (ngx_http_conduit_hub_timer(stream->conn) == NGX_DONE) {
        ngx_http_conduit_hub_fail(stream->conn);
    }
}


static void
ngx_http_conduit_hub_stream_turn(ngx_event_t *ev)
{
    ngx_connection_t               *c;
    ngx_http_conduit_hub_stream_t  *stream;

    stream = (ngx_http_conduit_hub_stream_t *)
             ((u_char *) ev - offsetof(ngx_http_conduit_hub_stream_t, turn));

    c = stream->request->connection;

    ngx_http_set_log_request(c->log, stream->request);

    ngx_http_conduit_hub_stream_run(stream);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_hub_stream_drain(void *data)
{
    ngx_http_conduit_hub_stream_t  *stream = data;

    ngx_http_conduit_hub_shutdown(stream->conn);
}


void
ngx_http_conduit_hub_writable(ngx_http_conduit_hub_stream_t *stream)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = stream->request;
    wev = r->connection->write;

    if (stream->conn == NULL) {
        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client does not read its messages");

        (void) ngx_atomic_fetch_add(
                  &stream->conn->hub->cdmcf->zone.sh->counters.hub_slow, 1);

        r->connection->timedout = 1;
        ngx_http_conduit_hub_stream_close(stream);
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_conduit_hub_fail(stream->conn);
        }

        return;
    }

    if (!stream->sending) {
        return;
    }

    if (ngx_http_output_filter(r, NULL) == NGX_ERROR
        || ngx_http_conduit_hub_stream_sent(stream) != NGX_OK)
    {
        ngx_http_conduit_hub_fail(stream->conn);
        return;
    }

    ngx_http_conduit_hub_stream_run(stream);
}


/* may end the request: nothing of it is to be touched afterwards */

static void
ngx_http_conduit_hub_stream_run(ngx_http_conduit_hub_stream_t *stream)
{
    ngx_int_t                     rc;
    ngx_http_request_t           *r;
    ngx_http_conduit_hub_conn_t  *conn;

    r = stream->request;
    conn = stream->conn;

    if (!conn->failed && ngx_http_conduit_hub_polls(conn)) {
        ngx_http_conduit_hub_stream_answer(stream);
        return;
    }

    while (!conn->failed && !stream->sending) {

        if (conn->out == NULL) {

            if (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING) {
                ngx_http_conduit_hub_stream_close(stream);
                rc = ngx_http_send_special(r, NGX_HTTP_LAST);
                ngx_http_finalize_request(r, rc);
            }

            return;
        }

        if (ngx_http_conduit_hub_stream_events(stream) != NGX_OK) {
            ngx_http_conduit_hub_fail(conn);
        }
    }

    if (conn->failed) {
        ngx_http_conduit_hub_stream_close(stream);
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/*
 * A poll is answered with what there is, nothing after its time, 204 at the
 * end of the connection.  The session rests before the reply leaves, so that
 * the next poll finds it.
 */

static void
ngx_http_conduit_hub_stream_answer(ngx_http_conduit_hub_stream_t *stream)
{
    ngx_str_t                        body;
    ngx_uint_t                       status, ended;
    ngx_http_request_t              *r;
    ngx_http_conduit_hub_conn_t     *conn;
    ngx_http_conduit_hub_answer_pt   answer;

    r = stream->request;
    conn = stream->conn;
    answer = stream->answer;

    ended = (conn->state == NGX_HTTP_CONDUIT_HUB_CLOSING);

    if (!ended && !stream->expired
        && (conn->out == NULL || !ngx_queue_empty(&conn->cancels)
            || !ngx_queue_empty(&conn->parked)))
    {
        return;
    }

    if (ngx_http_conduit_hub_stream_body(stream, &body) != NGX_OK) {
        ngx_http_conduit_hub_stream_close(stream);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    status = (ended && body.len == 0) ? NGX_HTTP_NO_CONTENT : NGX_HTTP_OK;

    ngx_http_conduit_hub_leave(conn, NGX_HTTP_CONDUIT_SESSION_REST);
    ngx_http_conduit_hub_stream_close(stream);

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_finalize_request(r, answer(r, status, &body));
}


/* takes the messages out of the queue */

static ngx_int_t
ngx_http_conduit_hub_stream_body(ngx_http_conduit_hub_stream_t *stream,
    ngx_str_t *body)
{
    u_char                       *p;
    ngx_uint_t                    n, all;
    ngx_http_conduit_hub_out_t   *out;
    ngx_http_conduit_hub_conn_t  *conn;

    conn = stream->conn;
    all = !stream->single;

    body->len = 0;

    for (out = conn->out, n = 0; out && (all || n == 0); out = out->next) {
        body->len += out->msg->len;
        n++;
    }

    body->data = ngx_pnalloc(stream->request->pool, body->len ? body->len : 1);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    for (p = body->data; n; n--) {
        out = conn->out;

        p = ngx_cpymem(p, ngx_http_conduit_hub_msg_text(out->msg),
                       out->msg->len);

        ngx_http_conduit_hub_shift(conn);
    }

    return NGX_OK;
}


/* all that waits, each message an event */

static ngx_int_t
ngx_http_conduit_hub_stream_events(ngx_http_conduit_hub_stream_t *stream)
{
    size_t                        len;
    u_char                       *p, *data;
    ngx_http_conduit_hub_msg_t   *msg;
    ngx_http_conduit_hub_out_t   *out;
    ngx_http_conduit_hub_conn_t  *conn;

    conn = stream->conn;
    len = 0;

    for (out = conn->out; out; out = out->next) {
        len += sizeof("data: \r\n\r\n") - 1 + out->msg->len;
    }

    data = ngx_alloc(len, stream->request->connection->log);
    if (data == NULL) {
        return NGX_ERROR;
    }

    p = data;

    while (conn->out) {
        msg = conn->out->msg;

        p = ngx_cpymem(p, "data: ", sizeof("data: ") - 1);
        p = ngx_cpymem(p, ngx_http_conduit_hub_msg_text(msg), msg->len);
        p = ngx_cpymem(p, "\r\n\r\n", sizeof("\r\n\r\n") - 1);

        ngx_http_conduit_hub_shift(conn);
    }

    stream->data = data;

    return ngx_http_conduit_hub_stream_send(stream, data, len);
}


static ngx_int_t
ngx_http_conduit_hub_stream_send(ngx_http_conduit_hub_stream_t *stream,
    u_char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    /*
     * The buffer is used again and never freed: filters look at what they
     * have passed on once more when the next one comes.
     */

    b = stream->buf;

    b->start = data;
    b->pos = data;
    b->last = data + len;
    b->end = b->last;
    b->memory = 1;
    b->flush = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    stream->sending = 1;

    if (ngx_http_output_filter(stream->request, &out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_hub_stream_sent(stream);
}


/* has the client, or its socket's buffer, got all of it? */

static ngx_int_t
ngx_http_conduit_hub_stream_sent(ngx_http_conduit_hub_stream_t *stream)
{
    ngx_event_t                  *wev;
    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_conduit_hub_conn_t  *conn;

    r = stream->request;
    c = r->connection;
    wev = c->write;
    conn = stream->conn;

    if (r->buffered || r->postponed || c->buffered) {

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (!wev->delayed) {
            ngx_add_timer(wev, conn->hub->cdmcf->hub_timeout);
        }

        return ngx_handle_write_event(wev, clcf->send_lowat);
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    stream->sending = 0;

    if (stream->data) {
        ngx_free(stream->data);
        stream->data = NULL;
    }

    ngx_http_conduit_hub_drained(conn);

    if (conn->stuck) {
        conn->stuck = 0;
        ngx_http_conduit_hub_inbox(conn);
    }

    return NGX_OK;
}


/* the request goes on without the connection, which is freed */

static void
ngx_http_conduit_hub_stream_close(ngx_http_conduit_hub_stream_t *stream)
{
    ngx_http_conduit_hub_conn_t  *conn;

    conn = stream->conn;

    if (conn == NULL) {
        return;
    }

    stream->conn = NULL;

    ngx_conduit_drain_del(&stream->drain);

    if (stream->timer.timer_set) {
        ngx_del_timer(&stream->timer);
    }

    /* a poll that was cut off is followed by another one */

    ngx_http_conduit_hub_leave(conn, stream->answer
                                     ? NGX_HTTP_CONDUIT_SESSION_REST
                                     : NGX_HTTP_CONDUIT_SESSION_END);

    conn->connection = NULL;
    ngx_http_conduit_hub_free(conn);

    if (stream->turn.posted) {
        ngx_delete_posted_event(&stream->turn);
    }
}


/* what nginx still has to send of the last events is freed now */

static void
ngx_http_conduit_hub_stream_cleanup(void *data)
{
    ngx_http_conduit_hub_stream_t  *stream = data;

    ngx_http_conduit_hub_stream_close(stream);

    if (stream->data) {
        ngx_free(stream->data);
        stream->data = NULL;
    }
}
