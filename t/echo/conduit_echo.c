
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * For tests only: a module whose hubs send back what they get, frame by
 * frame, for test suites of WebSocket.  It is linked from the objects of the
 * module as it is, with a few of its functions wrapped, so that what is tested
 * is the module's own way of reading, closing and waiting for slow readers.
 */


#include <ngx_http_conduit_hub_conn.h>


void __real_conduit_ws_init(conduit_ws_t *ws, uint64_t max);
void __wrap_conduit_ws_init(conduit_ws_t *ws, uint64_t max);
int __real_conduit_ws_read(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev);
int __wrap_conduit_ws_read(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev);
ngx_int_t __wrap_ngx_http_conduit_hub_input(ngx_http_conduit_hub_conn_t *conn,
    u_char *p, size_t len);


/* the last that was read, of which the hub is only given the data */

static conduit_ws_event_t  conduit_echo;


/* the suites send more than a hub takes */

void
__wrap_conduit_ws_init(conduit_ws_t *ws, uint64_t max)
{
    __real_conduit_ws_init(ws, 0);
}


int
__wrap_conduit_ws_read(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev)
{
    int  rc;

    rc = __real_conduit_ws_read(ws, pos, last, ev);

    conduit_echo = *ev;

    return rc;
}


ngx_int_t
__wrap_ngx_http_conduit_hub_input(ngx_http_conduit_hub_conn_t *conn,
    u_char *p, size_t len)
{
    u_char                      *end, head[CONDUIT_WS_HEAD_MAX];
    unsigned                     opcode;
    ngx_http_conduit_hub_msg_t  *msg;

    /* there is no handshake of SignalR */

    conn->state = NGX_HTTP_CONDUIT_HUB_OPEN;

    if (len == 0 && !conduit_echo.last) {
        return NGX_OK;
    }

    msg = ngx_http_conduit_hub_msg(conn->hub, len, NGX_HTTP_CONDUIT_HUB_RAW);

    if (msg == NULL) {
        ngx_http_conduit_hub_fail(conn);
        return NGX_ERROR;
    }

    opcode = conduit_echo.first ? conduit_echo.opcode : CONDUIT_WS_CONTINUATION;

    end = conduit_ws_head(head, opcode, conduit_echo.last, len);
    msg->head = (u_char) (end - head);

    ngx_memcpy(ngx_http_conduit_hub_msg_text(msg) - msg->head, head,
               msg->head);
    ngx_memcpy(ngx_http_conduit_hub_msg_text(msg), p, len);

    ngx_http_conduit_hub_send(conn, msg);
    ngx_http_conduit_hub_msg_free(msg);

    return conn->failed ? NGX_ERROR : NGX_OK;
}
