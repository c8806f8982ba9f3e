
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>
#include <ngx_http_conduit_document.h>


#define NGX_HTTP_CONDUIT_HUB_NO_MEMORY                                        \
    "The server is out of memory: try again later"

#define NGX_HTTP_CONDUIT_HUB_UNREACHABLE                                      \
    "The store of all tasks cannot be reached: try again later"


/* a CancelTask that waits for the store */

typedef struct {
    ngx_queue_t                       queue;       /* conn->cancels */
    ngx_http_conduit_hub_conn_t      *conn;
    ngx_http_conduit_name_t           name;
    ngx_http_conduit_outcome_t        outcome;
    conduit_str_t                     invocation;  /* its id */
    conduit_str_t                     record;      /* as it was sent */

    unsigned                          handed:1;    /* as of conn */
} ngx_http_conduit_hub_cancelled_t;


static void ngx_http_conduit_hub_invoke(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_str_t *record);
static const char *ngx_http_conduit_hub_method(
    ngx_http_conduit_hub_conn_t *conn, conduit_signalr_message_t *msg,
    conduit_hub_call_t *call, conduit_str_t *record);
static const char *ngx_http_conduit_hub_call_subscribe(
    ngx_http_conduit_hub_conn_t *conn, conduit_signalr_message_t *msg,
    conduit_hub_call_t *call, u_char *id);
static const char *ngx_http_conduit_hub_call_all(
    ngx_http_conduit_hub_conn_t *conn, conduit_signalr_message_t *msg,
    conduit_hub_call_t *call);
static const char *ngx_http_conduit_hub_call_document(
    ngx_http_conduit_hub_conn_t *conn, conduit_signalr_message_t *msg,
    conduit_hub_call_t *call, u_char *id, conduit_str_t *record);
static const char *ngx_http_conduit_hub_call_answer(
    ngx_http_conduit_hub_conn_t *conn, conduit_signalr_message_t *msg,
    ngx_pool_t *pool, ngx_http_conduit_view_t *view, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_hub_call_cancel(
    ngx_http_conduit_hub_conn_t *conn, conduit_signalr_message_t *msg,
    ngx_http_conduit_name_t *name, conduit_str_t *record, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view);
static ngx_http_conduit_hub_cancelled_t *ngx_http_conduit_hub_call_wait(
    ngx_http_conduit_hub_conn_t *conn, conduit_signalr_message_t *msg,
    conduit_str_t *record);
static void ngx_http_conduit_hub_call_cancelled(void *data, ngx_int_t rc);
static void ngx_http_conduit_hub_complete(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_str_t *json, const char *error,
    size_t len);


ngx_int_t
ngx_http_conduit_hub_call(ngx_http_conduit_hub_conn_t *conn, u_char *p,
    size_t len)
{
    int                        rc;
    ngx_int_t                  good;
    conduit_str_t              record;
    conduit_signalr_message_t  msg;

    record.data = p;
    record.len = len;

    rc = conduit_signalr_parse(&msg, conn->binary ? CONDUIT_SIGNALR_MSGPACK
                                                  : CONDUIT_SIGNALR_JSON,
                               &record);

    if (rc != CONDUIT_OK) {
        return (rc == CONDUIT_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    good = NGX_OK;

    /* one that has waited for another host was counted when it came */

    if (conn->resume && !conn->again && msg.type <= CONDUIT_SIGNALR_CANCEL
        && !ngx_http_conduit_hub_resume_take(conn))
    {
        conduit_signalr_free(&msg);
        return NGX_OK;
    }

    switch (msg.type) {

    case CONDUIT_SIGNALR_INVOCATION:
    case CONDUIT_SIGNALR_STREAM:
        record.data = p;
        record.len = len;
        ngx_http_conduit_hub_invoke(conn, &msg, &record);
        break;

    case CONDUIT_SIGNALR_PING:
        conn->pings = 1;
        break;

    case CONDUIT_SIGNALR_CLOSE:
        conn->goodbye = 1;
        ngx_http_conduit_hub_close(conn, NULL, 0);
        break;

    case CONDUIT_SIGNALR_ACK:

        if (conn->resume) {
            ngx_http_conduit_hub_resume_acked(conn, msg.sequence);
        }

        break;

    case CONDUIT_SIGNALR_SEQUENCE:

        if (conn->resume) {
            good = ngx_http_conduit_hub_resume_sequence(conn, msg.sequence);
        }

        break;

    default:
        break;
    }

    conduit_signalr_free(&msg);

    return good;
}


static void
ngx_http_conduit_hub_invoke(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_str_t *record)
{
    const char          *error;
    conduit_hub_call_t   call;

    if (!conn->again) {
        (void) ngx_atomic_fetch_add(
                   &conn->hub->cdmcf->zone.sh->counters.hub_invocations, 1);
    }

    if (conduit_hub_call(&call, msg) != CONDUIT_OK) {
        ngx_http_conduit_hub_complete(conn, msg, NULL, (char *) call.error,
                                      call.error_len);
        return;
    }

    error = ngx_http_conduit_hub_method(conn, msg, &call, record);

    if (error) {
        ngx_http_conduit_hub_complete(conn, msg, NULL, error,
                                      ngx_strlen(error));
    }
}


/* NULL: the completion has been sent; else its error */

static const char *
ngx_http_conduit_hub_method(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_hub_call_t *call,
    conduit_str_t *record)
{
    u_char      id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_int_t   rc;
    ngx_uint_t  known;

    if (call->method <= CONDUIT_HUB_UNSUBSCRIBE_ALL) {
        ngx_http_conduit_hub_changed(conn);
    }

    known = (conduit_uuid_parse(id, call->task.data, call->task.len)
             == CONDUIT_OK);

    switch (call->method) {

    case CONDUIT_HUB_UNSUBSCRIBE:

        if (known) {
            ngx_http_conduit_hub_unsubscribe(conn, id);
            ngx_http_conduit_hub_owed_cancel(conn, id);
        }

        ngx_http_conduit_hub_complete(conn, msg, NULL, NULL, 0);
        return NULL;

    case CONDUIT_HUB_SUBSCRIBE_ALL:
        rc = ngx_http_conduit_hub_fresh(conn, NULL, record);

        if (rc != NGX_OK) {
            return (rc == NGX_AGAIN) ? NULL
                                     : NGX_HTTP_CONDUIT_HUB_UNREACHABLE;
        }

        return ngx_http_conduit_hub_call_all(conn, msg, call);

    case CONDUIT_HUB_UNSUBSCRIBE_ALL:
        ngx_http_conduit_hub_unsubscribe_all(conn);
        ngx_http_conduit_hub_owed_cancel(conn, NULL);
        ngx_http_conduit_hub_complete(conn, msg, NULL, NULL, 0);
        return NULL;

    default:
        break;
    }

    if (!known) {
        return CONDUIT_HUB_NOT_FOUND;
    }

    rc = ngx_http_conduit_hub_fresh(conn, id, record);

    if (rc != NGX_OK) {
        return (rc == NGX_AGAIN) ? NULL : NGX_HTTP_CONDUIT_HUB_UNREACHABLE;
    }

    if (call->method == CONDUIT_HUB_SUBSCRIBE) {
        return ngx_http_conduit_hub_call_subscribe(conn, msg, call, id);
    }

    return ngx_http_conduit_hub_call_document(conn, msg, call, id, record);
}


static const char *
ngx_http_conduit_hub_call_subscribe(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_hub_call_t *call, u_char *id)
{
    ngx_int_t                    rc;
    ngx_http_conduit_hub_sub_t  *sub;

    rc = ngx_http_conduit_hub_subscribe(conn, id, call->events, &sub);

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return CONDUIT_HUB_NOT_FOUND;

    case NGX_BUSY:
        return "Too many subscriptions on this connection: at most 1000";

    default:
        return NGX_HTTP_CONDUIT_HUB_NO_MEMORY;
    }

    ngx_http_conduit_hub_complete(conn, msg, NULL, NULL, 0);
    ngx_http_conduit_hub_sub_look(sub);

    return NULL;
}


static const char *
ngx_http_conduit_hub_call_all(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_hub_call_t *call)
{
    if (ngx_http_conduit_hub_subscribe_all(conn, call->events) != NGX_OK) {
        return NGX_HTTP_CONDUIT_HUB_NO_MEMORY;
    }

    ngx_http_conduit_hub_complete(conn, msg, NULL, NULL, 0);

    if (ngx_http_conduit_hub_all_begin(conn) != NGX_OK) {
        ngx_http_conduit_hub_fail(conn);
    }

    return NULL;
}


/* GetTask and CancelTask: the completion carries the status document */

static const char *
ngx_http_conduit_hub_call_document(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_hub_call_t *call, u_char *id,
    conduit_str_t *record)
{
    ngx_int_t                 rc;
    ngx_pool_t               *pool;
    const char               *error;
    ngx_http_conduit_name_t   name;
    ngx_http_conduit_view_t   view;

    pool = ngx_create_pool(4096, conn->hub->log);
    if (pool == NULL) {
        return NGX_HTTP_CONDUIT_HUB_NO_MEMORY;
    }

    name.key = conn->key->node;
    name.kind = conn->kind;
    ngx_memcpy(name.id, id, NGX_HTTP_CONDUIT_ID_LEN);

    rc = (call->method == CONDUIT_HUB_CANCEL)
         ? ngx_http_conduit_hub_call_cancel(conn, msg, &name, record, pool,
                                            &view)
         : ngx_http_conduit_task_view(conn->hub->cdmcf, &name, 0, pool, &view);

    error = ngx_http_conduit_hub_call_answer(conn, msg, pool, &view, rc);

    ngx_destroy_pool(pool);

    return error;
}


/* NULL: the completion has been sent, or will be; else its error */

static const char *
ngx_http_conduit_hub_call_answer(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view, ngx_int_t rc)
{
    ngx_str_t      text;
    conduit_str_t  json;

    /* it may have been this call, before its connection was handed over */

    if (rc == NGX_HTTP_CONDUIT_FINAL && conn->handed
        && view->status == CONDUIT_CANCELLED)
    {
        rc = NGX_OK;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_document_render(view, NGX_HTTP_CONDUIT_WORDS,
                                              pool, &text);
    }

    switch (rc) {

    case NGX_OK:
        json.data = text.data;
        json.len = text.len;
        ngx_http_conduit_hub_complete(conn, msg, &json, NULL, 0);
        return NULL;

    case NGX_AGAIN:
        return NULL;

    case NGX_DECLINED:
        return CONDUIT_HUB_NOT_FOUND;

    case NGX_HTTP_CONDUIT_FINAL:
        return "The task has already ended";

    case NGX_HTTP_CONDUIT_UNKEPT:
        return "The server cannot keep this now: try again later";

    default:
        return NGX_HTTP_CONDUIT_HUB_NO_MEMORY;
    }
}


static ngx_int_t
ngx_http_conduit_hub_call_cancel(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, ngx_http_conduit_name_t *name,
    conduit_str_t *record, ngx_pool_t *pool, ngx_http_conduit_view_t *view)
{
    ngx_int_t                          rc;
    ngx_http_conduit_change_t          change;
    ngx_http_conduit_hub_cancelled_t  *cancelled;

    cancelled = ngx_http_conduit_hub_call_wait(conn, msg, record);
    if (cancelled == NULL) {
        return NGX_ERROR;
    }

    cancelled->name = *name;

    ngx_http_conduit_change_init(&change);

    change.name = *name;
    change.event = CONDUIT_EV_CANCEL;
    change.once = 1;
    change.outcome = &cancelled->outcome;

    rc = ngx_http_conduit_task_advance(conn->hub->cdmcf, &change, pool,
                                       view);

    if (rc == NGX_AGAIN) {
        ngx_queue_insert_tail(&conn->cancels, &cancelled->queue);

    } else {
        ngx_free(cancelled);
    }

    return rc;
}


static ngx_http_conduit_hub_cancelled_t *
ngx_http_conduit_hub_call_wait(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_str_t *record)
{
    u_char                            *p;
    ngx_http_conduit_hub_cancelled_t  *cancelled;

    cancelled = ngx_alloc(sizeof(ngx_http_conduit_hub_cancelled_t)
                          + msg->invocation_id.len + record->len,
                          conn->hub->log);
    if (cancelled == NULL) {
        return NULL;
    }

    ngx_memzero(cancelled, sizeof(ngx_http_conduit_hub_cancelled_t));

    p = (u_char *) cancelled + sizeof(ngx_http_conduit_hub_cancelled_t);

    cancelled->invocation.data = p;
    cancelled->invocation.len = msg->invocation_id.len;

    if (msg->invocation_id.len) {
        p = ngx_cpymem(p, msg->invocation_id.data, msg->invocation_id.len);
    }

    cancelled->record.data = p;
    cancelled->record.len = record->len;
    ngx_memcpy(p, record->data, record->len);

    cancelled->conn = conn;
    cancelled->handed = conn->handed;
    cancelled->outcome.handler = ngx_http_conduit_hub_call_cancelled;
    cancelled->outcome.data = cancelled;

    return cancelled;
}


/* the store's word on it has come */

static void
ngx_http_conduit_hub_call_cancelled(void *data, ngx_int_t rc)
{
    ngx_http_conduit_hub_cancelled_t  *cancelled = data;

    ngx_int_t                     rv;
    ngx_pool_t                   *pool;
    const char                   *error;
    ngx_http_conduit_view_t       view;
    conduit_signalr_message_t     msg;
    ngx_http_conduit_hub_conn_t  *conn;

    conn = cancelled->conn;
    ngx_queue_remove(&cancelled->queue);

    ngx_memzero(&msg, sizeof(conduit_signalr_message_t));
    msg.invocation_id = cancelled->invocation;

    pool = ngx_create_pool(4096, conn->hub->log);

    if (rc == NGX_OK || rc == NGX_HTTP_CONDUIT_FINAL) {
        rv = pool ? ngx_http_conduit_task_view(conn->hub->cdmcf,
                                               &cancelled->name, 0, pool,
                                               &view)
                  : NGX_ERROR;
        if (rv != NGX_OK) {
            rc = rv;
        }
    }

    conn->handed = cancelled->handed;

    error = ngx_http_conduit_hub_call_answer(conn, &msg, pool, &view, rc);

    if (error) {
        ngx_http_conduit_hub_complete(conn, &msg, NULL, error,
                                      ngx_strlen(error));
    }

    conn->handed = 0;

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_free(cancelled);
}


/* the connection ends: nobody is left to be told */

void
ngx_http_conduit_hub_call_forget(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_queue_t                       *q, *next;
    ngx_http_conduit_hub_cancelled_t  *cancelled;

    for (q = ngx_queue_head(&conn->cancels);
         q != ngx_queue_sentinel(&conn->cancels);
         q = next)
    {
        next = ngx_queue_next(q);

        cancelled = ngx_queue_data(q, ngx_http_conduit_hub_cancelled_t, queue);

        ngx_http_conduit_outcome_detach(&cancelled->outcome);
        ngx_free(cancelled);
    }

    ngx_queue_init(&conn->cancels);
}


size_t
ngx_http_conduit_hub_call_size(ngx_http_conduit_hub_conn_t *conn)
{
    size_t                             size;
    ngx_queue_t                       *q;
    ngx_http_conduit_hub_cancelled_t  *cancelled;

    size = 0;

    for (q = ngx_queue_head(&conn->cancels);
         q != ngx_queue_sentinel(&conn->cancels);
         q = ngx_queue_next(q))
    {
        cancelled = ngx_queue_data(q, ngx_http_conduit_hub_cancelled_t, queue);
        size += CONDUIT_SESSION_MESSAGE + cancelled->record.len;
    }

    return size;
}


u_char *
ngx_http_conduit_hub_call_write(ngx_http_conduit_hub_conn_t *conn, u_char *p)
{
    ngx_queue_t                       *q;
    ngx_http_conduit_hub_cancelled_t  *cancelled;

    for (q = ngx_queue_head(&conn->cancels);
         q != ngx_queue_sentinel(&conn->cancels);
         q = ngx_queue_next(q))
    {
        cancelled = ngx_queue_data(q, ngx_http_conduit_hub_cancelled_t, queue);
        p = conduit_session_write_message(p, cancelled->record.data,
                                          cancelled->record.len);
    }

    return p;
}


/* who has named no id for its invocation wants no answer */

static void
ngx_http_conduit_hub_complete(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_message_t *msg, conduit_str_t *json, const char *error,
    size_t len)
{
    conduit_signalr_output_t  out;

    if (msg->invocation_id.len == 0) {
        return;
    }

    ngx_memzero(&out, sizeof(conduit_signalr_output_t));

    out.type = CONDUIT_SIGNALR_COMPLETION;
    out.invocation_id = msg->invocation_id;

    if (json) {
        out.json = *json;
    }

    if (error) {
        out.error.data = (u_char *) error;
        out.error.len = len;
    }

    ngx_http_conduit_hub_send_output(conn, &out);
}
