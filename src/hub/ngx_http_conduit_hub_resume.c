
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


/*
 * Stateful reconnect: invocations and completions of both sides are numbered
 * from 1 on, and kept until the other side has acknowledged them.  A client
 * that was cut off comes again with the same id; then both sides say with
 * which number they go on, and send again what was not acknowledged.
 */


/* a client is told of what was received after this time, in one message */

#define NGX_HTTP_CONDUIT_HUB_ACK  1000


static void ngx_http_conduit_hub_resume_say(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t type, uint64_t sequence);
static void ngx_http_conduit_hub_resume_shift(
    ngx_http_conduit_hub_resume_t *resume);


ngx_int_t
ngx_http_conduit_hub_resume_create(ngx_http_conduit_hub_conn_t *conn)
{
    conn->resume = ngx_calloc(sizeof(ngx_http_conduit_hub_resume_t),
                              conn->hub->log);
    if (conn->resume == NULL) {
        return NGX_ERROR;
    }

    conn->resume->next = 1;
    conn->resume->synced = 1;

    ngx_http_conduit_session_resumable(&conn->hub->cdmcf->zone,
                                       conn->watcher.id, conn->claim);

    return NGX_OK;
}


void
ngx_http_conduit_hub_resume_free(ngx_http_conduit_hub_conn_t *conn)
{
    if (conn->resume == NULL) {
        return;
    }

    while (conn->resume->first) {
        ngx_http_conduit_hub_resume_shift(conn->resume);
    }

    ngx_free(conn->resume);
    conn->resume = NULL;
}


/* a message of ours; the client has to acknowledge it */

ngx_int_t
ngx_http_conduit_hub_resume_keep(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg)
{
    ngx_http_conduit_hub_out_t     *out;
    ngx_http_conduit_hub_resume_t  *resume;

    resume = conn->resume;

    out = ngx_alloc(sizeof(ngx_http_conduit_hub_out_t), conn->hub->log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    out->next = NULL;
    out->msg = msg;
    msg->refs++;

    if (resume->first) {
        resume->last->next = out;

    } else {
        resume->first = out;
    }

    resume->last = out;
    resume->bytes += msg->len;
    resume->kept++;
    resume->sent++;

    return NGX_OK;
}


/* what could not be kept any more ends the connection */

ngx_uint_t
ngx_http_conduit_hub_resume_full(ngx_http_conduit_hub_conn_t *conn)
{
    return conn->resume->bytes > 4 * conn->hub->cdmcf->hub_buffer;
}


/* a numbered message of the client; 0: it was received before */

ngx_uint_t
ngx_http_conduit_hub_resume_take(ngx_http_conduit_hub_conn_t *conn)
{
    uint64_t                        number;
    ngx_http_conduit_hub_resume_t  *resume;

    resume = conn->resume;

    if (!resume->synced) {
        return 0;
    }

    number = resume->next++;

    /* what was resent is acknowledged, too: it may be for want of that */

    if (!resume->owes) {
        resume->owes = 1;
        resume->due = ngx_current_msec + NGX_HTTP_CONDUIT_HUB_ACK;

        ngx_http_conduit_hub_next(conn);
    }

    if (number <= resume->received) {
        return 0;
    }

    resume->received = number;

    return 1;
}


/* the client has all up to this one */

void
ngx_http_conduit_hub_resume_acked(ngx_http_conduit_hub_conn_t *conn,
    uint64_t sequence)
{
    ngx_http_conduit_hub_resume_t  *resume;

    resume = conn->resume;

    while (resume->first && resume->sent - resume->kept < sequence) {
        ngx_http_conduit_hub_resume_shift(resume);
    }

    ngx_http_conduit_hub_drained(conn);
}


/* the client goes on with this one; NGX_ERROR: something would be missing */

ngx_int_t
ngx_http_conduit_hub_resume_sequence(ngx_http_conduit_hub_conn_t *conn,
    uint64_t sequence)
{
    ngx_http_conduit_hub_resume_t  *resume;

    resume = conn->resume;

    if (sequence == 0 || sequence > resume->received + 1) {
        return NGX_ERROR;
    }

    resume->next = sequence;
    resume->synced = 1;

    return NGX_OK;
}


/* the client is there again */

void
ngx_http_conduit_hub_resume_again(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_out_t     *out;
    ngx_http_conduit_hub_resume_t  *resume;

    resume = conn->resume;

    resume->synced = 0;

    ngx_http_conduit_hub_resume_say(conn, CONDUIT_SIGNALR_SEQUENCE,
                                    resume->sent - resume->kept + 1);

    for (out = resume->first; out; out = out->next) {
        ngx_http_conduit_hub_put(conn, out->msg);
    }

    (void) ngx_atomic_fetch_add(
                  &conn->hub->cdmcf->zone.sh->counters.hub_reconnects, 1);
}


void
ngx_http_conduit_hub_resume_ack(ngx_http_conduit_hub_conn_t *conn)
{
    conn->resume->owes = 0;

    ngx_http_conduit_hub_resume_say(conn, CONDUIT_SIGNALR_ACK,
                                    conn->resume->received);
}


static void
ngx_http_conduit_hub_resume_say(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t type, uint64_t sequence)
{
    conduit_signalr_output_t  out;

    ngx_memzero(&out, sizeof(conduit_signalr_output_t));

    out.type = type;
    out.sequence = sequence;

    ngx_http_conduit_hub_send_output(conn, &out);
}


static void
ngx_http_conduit_hub_resume_shift(ngx_http_conduit_hub_resume_t *resume)
{
    ngx_http_conduit_hub_out_t  *out;

    out = resume->first;

    resume->first = out->next;
    resume->bytes -= out->msg->len;
    resume->kept--;

    ngx_http_conduit_hub_msg_free(out->msg);
    ngx_free(out);
}
