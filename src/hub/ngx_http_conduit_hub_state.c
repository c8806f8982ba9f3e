
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>
#include <conduit_session.h>


/* the state of a connection, written for the one that goes on with it */


/* the client begins anew: it reads no more, though its host takes all of it */

#define ngx_http_conduit_hub_unread(conn, at)                                 \
    ((conn)->retires && (ngx_msec_int_t) ((at) - (conn)->retired) > 0)


/* messages of which it is not known that the client has got them */

#define ngx_http_conduit_hub_unsent(conn)                                     \
    ((conn)->resume ? (conn)->resume->first : (conn)->out)


static void ngx_http_conduit_hub_state_head(
    ngx_http_conduit_hub_conn_t *conn, conduit_session_t *session,
    ngx_uint_t unsure);
static u_char *ngx_http_conduit_hub_state_subs(
    ngx_http_conduit_hub_conn_t *conn, u_char *p, ngx_uint_t unsure);
static ngx_int_t ngx_http_conduit_hub_keep_input(
    ngx_http_conduit_hub_conn_t *conn, conduit_str_t *input);
static size_t ngx_http_conduit_hub_state_size(
    ngx_http_conduit_hub_conn_t *conn);
static ngx_uint_t ngx_http_conduit_hub_unsure(
    ngx_http_conduit_hub_conn_t *conn);
static ngx_uint_t ngx_http_conduit_hub_undelivered(
    conduit_session_reader_t reader);
static ngx_int_t ngx_http_conduit_hub_restore_head(
    ngx_http_conduit_hub_conn_t *conn, conduit_session_t *session);
static ngx_int_t ngx_http_conduit_hub_restore_out(
    ngx_http_conduit_hub_conn_t *conn, conduit_session_reader_t reader,
    uint64_t sent);
static ngx_int_t ngx_http_conduit_hub_restore_sub(
    ngx_http_conduit_hub_conn_t *conn, conduit_session_sub_t *kept);
static ngx_int_t ngx_http_conduit_hub_restore_all(
    ngx_http_conduit_hub_conn_t *conn, conduit_session_t *session);
static ngx_int_t ngx_http_conduit_hub_restore_message(
    ngx_http_conduit_hub_conn_t *conn, conduit_str_t *message);
static void ngx_http_conduit_hub_restore_input(
    ngx_http_conduit_hub_conn_t *conn, conduit_str_t *input);


u_char *
ngx_http_conduit_hub_keep_state(ngx_http_conduit_hub_conn_t *conn, size_t *len)
{
    u_char                      *p, *state;
    ngx_uint_t                   unsure;
    conduit_session_t            session;
    ngx_http_conduit_hub_out_t  *out;

    ngx_memzero(&session, sizeof(conduit_session_t));

    if (ngx_http_conduit_hub_keep_input(conn, &session.input) != NGX_OK) {
        return NULL;
    }

    state = ngx_alloc(ngx_http_conduit_hub_state_size(conn)
                      + session.input.len,
                      conn->hub->log);
    if (state == NULL) {
        ngx_free(session.input.data);
        return NULL;
    }

    /* what the client may not have got is told anew to whoever succeeds it */

    unsure = ngx_http_conduit_hub_unsure(conn);

    ngx_http_conduit_hub_state_head(conn, &session, unsure);
    p = conduit_session_write(state, &session);
    ngx_free(session.input.data);

    p = ngx_http_conduit_hub_state_subs(conn, p, unsure);
    p = ngx_http_conduit_hub_owed(conn, p, unsure);
    p = ngx_http_conduit_hub_lately_write(conn, p);

    for (out = ngx_http_conduit_hub_unsent(conn); out; out = out->next) {
        p = conduit_session_write_message(p,
                                    ngx_http_conduit_hub_msg_text(out->msg),
                                    out->msg->len);
    }

    *len = p - state;

    return state;
}


/* all but the input */

static void
ngx_http_conduit_hub_state_head(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_t *session, ngx_uint_t unsure)
{
    session->flags = (conn->shaken ? CONDUIT_SESSION_SHAKEN : 0)
                     | (conn->binary ? CONDUIT_SESSION_BINARY : 0)
                     | (conn->all_subs ? CONDUIT_SESSION_ALL : 0)
                     | (conn->resume ? CONDUIT_SESSION_STATEFUL : 0)
                     | (conn->roams ? CONDUIT_SESSION_ALL
                                      | CONDUIT_SESSION_ROAMS : 0);
    session->events = conn->events;
    session->seen = ((unsure || ngx_http_conduit_hub_unread(conn, conn->told))
                     && !conn->roams) ? conn->sure : conn->seen;
    session->since = (uint64_t) conn->since;
    session->nsubs = conn->nsubs + conn->nowed
                     + ngx_http_conduit_hub_nlately(conn);

    if (conn->resume) {
        session->sent = conn->resume->sent;
        session->received = conn->resume->received;
    }

    if (conn->succeeds) {
        ngx_memcpy(session->from, conn->from, CONDUIT_SESSION_ID);
    }

    ngx_memcpy(session->digest, conn->key->digest, CONDUIT_SESSION_DIGEST);
}


static u_char *
ngx_http_conduit_hub_state_subs(ngx_http_conduit_hub_conn_t *conn, u_char *p,
    ngx_uint_t unsure)
{
    ngx_queue_t                 *q;
    conduit_session_sub_t        kept;
    ngx_http_conduit_hub_sub_t  *sub;

    for (q = ngx_queue_head(&conn->subs);
         q != ngx_queue_sentinel(&conn->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_http_conduit_hub_sub_t, siblings);

        ngx_memcpy(kept.task, sub->topic->watcher.id, CONDUIT_SESSION_ID);
        kept.sequence = sub->sequence;
        kept.told = sub->told;
        kept.events = sub->events;

        if (unsure || ngx_http_conduit_hub_unread(conn, sub->at)) {
            kept.sequence = 0;
            kept.told = 0;
        }

        p = conduit_session_write_sub(p, &kept);
    }

    return p;
}


/*
 * Calls that wait, and the begin of a message, which a client that numbers its
 * messages sends again.
 */

static ngx_int_t
ngx_http_conduit_hub_keep_input(ngx_http_conduit_hub_conn_t *conn,
    conduit_str_t *input)
{
    size_t   len;
    u_char  *p;

    len = conn->resume ? 0 : conn->in_len;

    input->len = ngx_http_conduit_hub_fresh_size(conn)
                 + ngx_http_conduit_hub_call_size(conn)
                 + CONDUIT_SESSION_MESSAGE + len;

    p = ngx_alloc(input->len, conn->hub->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    input->data = p;

    p = ngx_http_conduit_hub_fresh_write(conn, p);
    p = ngx_http_conduit_hub_call_write(conn, p);
    (void) conduit_session_write_message(p, conn->in, len);

    return NGX_OK;
}


void
ngx_http_conduit_hub_heard(ngx_http_conduit_hub_conn_t *conn)
{
    conn->heard = ngx_current_msec;

    if (conn->all_subs && !ngx_http_conduit_hub_unsure(conn)) {
        conn->sure = conn->seen;
    }
}


/*
 * Messages that are numbered, or wait for a poll, come again by themselves.
 * Else only the client's host tells, by the segments that it acknowledges.
 */

static ngx_uint_t
ngx_http_conduit_hub_unsure(ngx_http_conduit_hub_conn_t *conn)
{
    int                n;
    ngx_connection_t  *c;

    if (conn->resume || ngx_http_conduit_hub_polls(conn)) {
        return 0;
    }

    c = conn->connection;

    if (conn->out || conn->failed || (c && c->error)) {
        return 1;
    }

    n = 0;

    return c && ioctl(c->fd, TIOCOUTQ, &n) == 0 && n > 0;
}


static size_t
ngx_http_conduit_hub_state_size(ngx_http_conduit_hub_conn_t *conn)
{
    size_t                       size;
    ngx_http_conduit_hub_out_t  *out;

    size = CONDUIT_SESSION_HEAD
           + (conn->nsubs + conn->nowed + ngx_http_conduit_hub_nlately(conn))
             * CONDUIT_SESSION_SUB;

    for (out = ngx_http_conduit_hub_unsent(conn); out; out = out->next) {
        size += CONDUIT_SESSION_MESSAGE + out->msg->len;
    }

    return size;
}


ngx_int_t
ngx_http_conduit_hub_restore(ngx_http_conduit_hub_conn_t *conn, u_char *text,
    size_t len, ngx_uint_t whole)
{
    ngx_uint_t                again;
    conduit_str_t             state;
    conduit_session_t         session;
    conduit_session_sub_t     kept;
    conduit_session_reader_t  reader;

    state.data = text;
    state.len = len;

    if (conduit_session_read(&session, &reader, &state) != CONDUIT_OK) {
        return NGX_ERROR;
    }

    if (whole
        && (ngx_http_conduit_hub_restore_head(conn, &session) != NGX_OK
            || ngx_http_conduit_hub_restore_out(conn, reader,
                                                session.sent)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    again = !whole && ngx_http_conduit_hub_undelivered(reader);

    while (conduit_session_read_sub(&kept, &reader) == CONDUIT_OK) {

        if (again) {
            kept.sequence = 0;
            kept.told = 0;
        }

        if (ngx_http_conduit_hub_restore_sub(conn, &kept) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_conduit_hub_restore_all(conn, &session) != NGX_OK) {
        return NGX_ERROR;
    }

    if (whole) {
        ngx_http_conduit_hub_restore_input(conn, &session.input);
    }

    return NGX_OK;
}


/* a successor gets the states that they told, not the messages */

static ngx_uint_t
ngx_http_conduit_hub_undelivered(conduit_session_reader_t reader)
{
    conduit_str_t          message;
    conduit_session_sub_t  kept;

    while (conduit_session_read_sub(&kept, &reader) == CONDUIT_OK) {
        /* void */
    }

    return conduit_session_read_message(&message, &reader) == CONDUIT_OK;
}


/* what was to be sent before goes first; subscriptions are told behind it */

static ngx_int_t
ngx_http_conduit_hub_restore_out(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_reader_t reader, uint64_t sent)
{
    conduit_str_t          message;
    conduit_session_sub_t  kept;

    while (conduit_session_read_sub(&kept, &reader) == CONDUIT_OK) {
        /* void */
    }

    while (conduit_session_read_message(&message, &reader) == CONDUIT_OK) {
        if (ngx_http_conduit_hub_restore_message(conn, &message) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (conn->resume) {
        conn->resume->sent = sent;
        ngx_http_conduit_hub_resume_again(conn);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hub_restore_head(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_t *session)
{
    static u_char  nobody[CONDUIT_SESSION_ID];

    conn->binary = (session->flags & CONDUIT_SESSION_BINARY) ? 1 : 0;

    if (session->flags & CONDUIT_SESSION_SHAKEN) {
        conn->shaken = 1;
        conn->state = NGX_HTTP_CONDUIT_HUB_OPEN;
    }

    conduit_signalr_init(&conn->reader, conn->hub->cdmcf->hub_message_size,
                         conn->binary);

    ngx_memcpy(conn->from, session->from, CONDUIT_SESSION_ID);
    conn->succeeds = ngx_memcmp(conn->from, nobody, CONDUIT_SESSION_ID) != 0;

    if (session->flags & CONDUIT_SESSION_STATEFUL) {

        if (ngx_http_conduit_hub_resume_create(conn) != NGX_OK) {
            return NGX_ERROR;
        }

        conn->resume->received = session->received;
    }

    return NGX_OK;
}


/* what the client has subscribed to meanwhile is told already */

static ngx_int_t
ngx_http_conduit_hub_restore_sub(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_sub_t *kept)
{
    if (kept->events == 0) {
        return ngx_http_conduit_hub_lately_add(conn, kept);
    }

    return ngx_http_conduit_hub_subscribed(conn, kept->task)
           ? NGX_OK : ngx_http_conduit_hub_owe(conn, kept);
}


static ngx_int_t
ngx_http_conduit_hub_restore_all(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_t *session)
{
    if (!(session->flags & CONDUIT_SESSION_ALL) || conn->all_subs
        || conn->roams)
    {
        return NGX_OK;
    }

    if (session->flags & CONDUIT_SESSION_ROAMS) {
        conn->roams = 1;
        conn->seen = session->seen;
        conn->since = (int64_t) session->since;
        conn->events = (u_char) session->events;

        return ngx_http_conduit_hub_owe(conn, NULL);
    }

    if (ngx_http_conduit_hub_subscribe_all(conn, session->events) != NGX_OK) {
        return NGX_ERROR;
    }

    conn->seen = session->seen;
    conn->sure = session->seen;
    ngx_http_conduit_hub_changed(conn);

    ngx_http_conduit_hub_all_look(conn);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hub_restore_message(ngx_http_conduit_hub_conn_t *conn,
    conduit_str_t *message)
{
    ngx_int_t                    rc;
    ngx_http_conduit_hub_msg_t  *msg;

    msg = ngx_http_conduit_hub_msg(conn->hub, message->len,
                                   ngx_http_conduit_hub_opcode(conn));
    if (msg == NULL) {
        return NGX_ERROR;
    }

    msg->counted = 1;

    ngx_memcpy(ngx_http_conduit_hub_msg_text(msg), message->data,
               message->len);

    rc = conn->resume ? ngx_http_conduit_hub_resume_keep(conn, msg)
                      : ngx_http_conduit_hub_queue(conn, msg);
    ngx_http_conduit_hub_msg_free(msg);

    return rc;
}


/* calls are made again; what was begun goes on with what comes next */

static void
ngx_http_conduit_hub_restore_input(ngx_http_conduit_hub_conn_t *conn,
    conduit_str_t *input)
{
    conduit_str_t             message;
    conduit_session_reader_t  reader;

    reader.pos = input->data;
    reader.last = input->data + input->len;
    reader.nsubs = 0;

    message.len = 0;

    conn->again = 1;
    conn->handed = 1;

    while (conduit_session_read_message(&message, &reader) == CONDUIT_OK
           && reader.pos != reader.last)
    {
        (void) ngx_http_conduit_hub_call(conn, message.data, message.len);
    }

    conn->again = 0;
    conn->handed = 0;

    if (message.len) {
        (void) ngx_http_conduit_hub_input(conn, message.data, message.len);
    }
}
