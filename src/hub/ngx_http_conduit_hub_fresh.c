
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


/*
 * Invocations that ask for tasks of other hosts: each is put aside, as it was
 * sent, until the zone is up to date about the task, and then begins again.
 */


typedef struct {
    ngx_queue_t                       queue;       /* conn->parked */
    ngx_http_conduit_hub_conn_t      *conn;
    ngx_http_conduit_waiter_t         waiter;
    ngx_uint_t                        handed;      /* as of conn */
    size_t                            len;
    u_char                            data[1];
} ngx_http_conduit_hub_parked_t;


static void ngx_http_conduit_hub_unpark(void *data, ngx_int_t rc);


ngx_int_t
ngx_http_conduit_hub_fresh(ngx_http_conduit_hub_conn_t *conn, u_char *id,
    conduit_str_t *record)
{
    ngx_int_t                       rc;
    ngx_http_conduit_main_conf_t   *cdmcf;
    ngx_http_conduit_hub_parked_t  *parked;

    cdmcf = conn->hub->cdmcf;

    if (conn->fresh) {
        return conn->unheard ? NGX_ERROR : NGX_OK;
    }

    if (!ngx_http_conduit_watch_shared(cdmcf)) {
        return NGX_OK;
    }

    parked = ngx_alloc(sizeof(ngx_http_conduit_hub_parked_t) + record->len,
                       conn->hub->log);
    if (parked == NULL) {
        return NGX_ERROR;
    }

    parked->conn = conn;
    parked->waiter.handler = ngx_http_conduit_hub_unpark;
    parked->waiter.data = parked;

    rc = id ? ngx_http_conduit_watch_fresh(cdmcf, id, &parked->waiter)
            : ngx_http_conduit_watch_fresh_key(cdmcf, conn->key->node,
                                               &parked->waiter);
    if (rc != NGX_AGAIN) {
        ngx_free(parked);
        return rc;
    }

    parked->handed = conn->handed;
    parked->len = record->len;
    ngx_memcpy(parked->data, record->data, record->len);

    ngx_queue_insert_tail(&conn->parked, &parked->queue);

    return NGX_AGAIN;
}


/* without Redis it is not known whether there is such a task */

static void
ngx_http_conduit_hub_unpark(void *data, ngx_int_t rc)
{
    ngx_http_conduit_hub_parked_t  *parked = data;

    ngx_http_conduit_hub_conn_t  *conn;

    conn = parked->conn;

    ngx_queue_remove(&parked->queue);

    if (conn->state != NGX_HTTP_CONDUIT_HUB_CLOSING && !conn->failed) {
        conn->again = 1;
        conn->handed = parked->handed;
        conn->fresh = 1;
        conn->unheard = (rc != NGX_OK);

        (void) ngx_http_conduit_hub_call(conn, parked->data, parked->len);

        conn->again = 0;
        conn->handed = 0;
        conn->fresh = 0;
        conn->unheard = 0;
    }

    ngx_free(parked);
}


void
ngx_http_conduit_hub_fresh_forget(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_queue_t                    *q, *next;
    ngx_http_conduit_hub_parked_t  *parked;

    for (q = ngx_queue_head(&conn->parked);
         q != ngx_queue_sentinel(&conn->parked);
         q = next)
    {
        next = ngx_queue_next(q);

        parked = ngx_queue_data(q, ngx_http_conduit_hub_parked_t, queue);

        ngx_http_conduit_watch_leave(&parked->waiter);
        ngx_free(parked);
    }

    ngx_queue_init(&conn->parked);
}


size_t
ngx_http_conduit_hub_fresh_size(ngx_http_conduit_hub_conn_t *conn)
{
    size_t                          size;
    ngx_queue_t                    *q;
    ngx_http_conduit_hub_parked_t  *parked;

    size = 0;

    for (q = ngx_queue_head(&conn->parked);
         q != ngx_queue_sentinel(&conn->parked);
         q = ngx_queue_next(q))
    {
        parked = ngx_queue_data(q, ngx_http_conduit_hub_parked_t, queue);
        size += CONDUIT_SESSION_MESSAGE + parked->len;
    }

    return size;
}


u_char *
ngx_http_conduit_hub_fresh_write(ngx_http_conduit_hub_conn_t *conn, u_char *p)
{
    ngx_queue_t                    *q;
    ngx_http_conduit_hub_parked_t  *parked;

    for (q = ngx_queue_head(&conn->parked);
         q != ngx_queue_sentinel(&conn->parked);
         q = ngx_queue_next(q))
    {
        parked = ngx_queue_data(q, ngx_http_conduit_hub_parked_t, queue);
        p = conduit_session_write_message(p, parked->data, parked->len);
    }

    return p;
}
