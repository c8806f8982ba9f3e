
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_generations.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_watch.h>
#include <ngx_conduit_drain.h>
#include <conduit_header.h>


/* a comment as often keeps proxies from closing a stream that is quiet */

#define NGX_HTTP_CONDUIT_EVENTS_BEAT   15000


/*
 * An event stream.  It keeps nothing of the task but the sequence that was
 * sent last.  While an event is on its way nothing else is looked at, so a
 * slow client skips what has been superseded, and never the end.
 *
 * Pools do not shrink: what an event needs comes from the heap and is freed
 * as soon as it is sent.
 */

typedef struct {
    ngx_http_request_t            *request;
    ngx_http_conduit_main_conf_t  *cdmcf;
    ngx_http_conduit_name_t        name;
    ngx_http_conduit_watcher_t     watcher;
    ngx_conduit_drain_t            drain;
    ngx_event_t                    timer;
    ngx_buf_t                     *buf;
    u_char                        *data;           /* of buf; NULL: static */
    uint64_t                       sequence;       /* sent last */
    unsigned                       prompt:1;
    unsigned                       began:1;        /* sequence is valid */
    unsigned                       sending:1;
    unsigned                       draining:1;
    unsigned                       last:1;         /* nothing follows */
} ngx_http_conduit_events_t;


static ngx_http_conduit_events_t *ngx_http_conduit_events_create(
    ngx_http_request_t *r, ngx_http_conduit_name_t *name);
static ngx_int_t ngx_http_conduit_events_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_events_start(
    ngx_http_conduit_events_t *events);
static void ngx_http_conduit_events_watcher(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_events_timer(ngx_event_t *ev);
static void ngx_http_conduit_events_drain(void *data);
static void ngx_http_conduit_events_writer(ngx_http_request_t *r);
static void ngx_http_conduit_events_run(ngx_http_conduit_events_t *events);
static ngx_int_t ngx_http_conduit_events_next(
    ngx_http_conduit_events_t *events);
static ngx_int_t ngx_http_conduit_events_text(
    ngx_http_conduit_events_t *events, ngx_http_conduit_view_t *view,
    ngx_pool_t *pool, ngx_str_t *event);
static ngx_int_t ngx_http_conduit_events_send(
    ngx_http_conduit_events_t *events, ngx_str_t *text);
static ngx_int_t ngx_http_conduit_events_sent(
    ngx_http_conduit_events_t *events);
static void ngx_http_conduit_events_end(ngx_http_conduit_events_t *events,
    ngx_int_t rc);
static void ngx_http_conduit_events_cleanup(void *data);
static void ngx_http_conduit_events_stop(ngx_http_conduit_events_t *events);


static ngx_str_t  ngx_http_conduit_events_comment = ngx_string(":\n\n");


ngx_int_t
ngx_http_conduit_events_serve(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name)
{
    ngx_int_t                   rc;
    ngx_str_t                  *last, empty;
    ngx_http_conduit_ctx_t     *ctx;
    ngx_http_conduit_view_t     view;
    ngx_http_conduit_events_t  *events;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_EVENTS;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    events = ngx_http_conduit_events_create(r, name);
    if (events == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_conduit_task_view(events->cdmcf, name, 0, r->pool, &view);

    if (rc == NGX_DECLINED) {
        return ngx_http_conduit_no_task(r);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_conduit_status_note(r, &view);

    last = ngx_http_conduit_header_in(r, "last-event-id",
                                      sizeof("last-event-id") - 1);

    if (last && conduit_last_event_id(last->data, last->len, &events->sequence)
                == CONDUIT_OK)
    {
        events->began = 1;

        /* nothing will follow: this keeps a browser from asking again */

        if (conduit_status_terminal(view.status)
            && view.sequence <= events->sequence)
        {
            ngx_str_null(&empty);
            return ngx_http_conduit_reply(r, NGX_HTTP_NO_CONTENT, &empty);
        }
    }

    rc = ngx_http_conduit_events_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_conduit_events_start(events);
}


static ngx_http_conduit_events_t *
ngx_http_conduit_events_create(ngx_http_request_t *r,
    ngx_http_conduit_name_t *name)
{
    ngx_http_cleanup_t         *cln;
    ngx_http_conduit_events_t  *events;

    events = ngx_pcalloc(r->pool, sizeof(ngx_http_conduit_events_t));
    if (events == NULL) {
        return NULL;
    }

    events->buf = ngx_calloc_buf(r->pool);
    if (events->buf == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_conduit_events_cleanup;
    cln->data = events;

    events->request = r;
    events->cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    events->name = *name;
    events->prompt = r->args.len && ngx_http_conduit_status_include(r);

    ngx_memcpy(events->watcher.id, name->id, NGX_HTTP_CONDUIT_ID_LEN);
    events->watcher.handler = ngx_http_conduit_events_watcher;
    events->watcher.data = events;

    events->drain.handler = ngx_http_conduit_events_drain;
    events->drain.data = events;

    events->timer.handler = ngx_http_conduit_events_timer;
    events->timer.log = r->connection->log;

    /* for logs of the fd; the stream is found by the place of the timer */
    events->timer.data = r->connection;

    return events;
}


static ngx_int_t
ngx_http_conduit_events_header(ngx_http_request_t *r)
{
    static ngx_str_t  store = ngx_string("no-store");

    ngx_http_conduit_ctx(r)->own = 1;

    if (ngx_http_conduit_header(r, "Cache-Control", &store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_event_stream(r);
}


static ngx_int_t
ngx_http_conduit_events_start(ngx_http_conduit_events_t *events)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = events->request;

    rc = ngx_conduit_drain_add(&events->drain);

    if (rc == NGX_ERROR
        || ngx_http_conduit_watch_add(events->cdmcf, &events->watcher)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the first state is sent even so */
    events->draining = (rc == NGX_DECLINED);

    ngx_http_conduit_ctx(r)->data = events;

    ngx_http_conduit_watch_client(r);
    r->write_event_handler = ngx_http_conduit_events_writer;

    ngx_add_timer(&events->timer, NGX_HTTP_CONDUIT_EVENTS_BEAT);

    r->main->count++;

    /* who resumes a stream may have to wait for the next event */

    if (events->began && ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR)
    {
        ngx_http_conduit_events_end(events, NGX_ERROR);
        return NGX_DONE;
    }

    ngx_http_conduit_events_run(events);

    return NGX_DONE;
}


static void
ngx_http_conduit_events_watcher(ngx_http_conduit_watcher_t *w)
{
    ngx_connection_t           *c;
    ngx_http_conduit_events_t  *events;

    events = w->data;
    c = events->request->connection;

    ngx_http_conduit_events_run(events);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_events_timer(ngx_event_t *ev)
{
    ngx_int_t                   rc;
    ngx_connection_t           *c;
    ngx_http_conduit_events_t  *events;

    events = (ngx_http_conduit_events_t *)
                 ((u_char *) ev - offsetof(ngx_http_conduit_events_t, timer));

    c = events->request->connection;

    if (ngx_exiting) {
        events->draining = 1;
        ngx_http_conduit_events_run(events);
        ngx_http_run_posted_requests(c);
        return;
    }

    ngx_add_timer(&events->timer, NGX_HTTP_CONDUIT_EVENTS_BEAT);

    if (events->sending) {
        return;
    }

    rc = ngx_http_conduit_events_send(events,
                                      &ngx_http_conduit_events_comment);

    if (rc == NGX_ERROR) {
        ngx_http_conduit_events_end(events, NGX_ERROR);
    }

    ngx_http_run_posted_requests(c);
}


/* the client is to come again, to a new worker; not all at the same moment */

static void
ngx_http_conduit_events_drain(void *data)
{
    ngx_http_conduit_events_t  *events = data;

    ngx_conduit_drain_soon(&events->timer);
}


static void
ngx_http_conduit_events_writer(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_event_t                *wev;
    ngx_connection_t           *c;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_conduit_events_t  *events;

    c = r->connection;
    wev = c->write;
    events = ngx_http_conduit_ctx(r)->data;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client does not read its events");
        c->timedout = 1;
        ngx_http_conduit_events_end(events, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_conduit_events_end(events, NGX_ERROR);
        }

        return;
    }

    if (!events->sending) {
        return;
    }

    rc = ngx_http_output_filter(r, NULL);

    if (rc == NGX_ERROR || ngx_http_conduit_events_sent(events) == NGX_ERROR) {
        ngx_http_conduit_events_end(events, NGX_ERROR);
        return;
    }

    ngx_http_conduit_events_run(events);
}


/* sends what there is to send; may end the request */

static void
ngx_http_conduit_events_run(ngx_http_conduit_events_t *events)
{
    ngx_int_t  rc;

    while (!events->sending) {

        rc = NGX_DECLINED;

        if (!events->last) {
            rc = ngx_http_conduit_events_next(events);

            if (rc == NGX_ERROR) {
                ngx_http_conduit_events_end(events, NGX_ERROR);
                return;
            }
        }

        if (rc == NGX_DECLINED) {

            if (events->last || events->draining) {
                rc = ngx_http_send_special(events->request, NGX_HTTP_LAST);
                ngx_http_conduit_events_end(events, rc);
            }

            return;
        }
    }
}


/* NGX_OK: an event was sent, or is being sent; NGX_DECLINED: none is due */

static ngx_int_t
ngx_http_conduit_events_next(ngx_http_conduit_events_t *events)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_pool_t              *pool;
    ngx_http_conduit_view_t  view;

    pool = ngx_create_pool(4096, events->request->connection->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_conduit_task_view(events->cdmcf, &events->name,
                                    events->prompt, pool, &view);

    if (rc == NGX_DECLINED) {
        events->last = 1;
    }

    if (rc == NGX_OK) {
        events->last = conduit_status_terminal(view.status);

        if (events->began && view.sequence <= events->sequence) {
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_events_text(events, &view, pool, &text);
    }

    ngx_destroy_pool(pool);

    if (rc != NGX_OK) {
        return rc;
    }

    events->began = 1;
    events->sequence = view.sequence;
    events->data = text.data;

    return ngx_http_conduit_events_send(events, &text);
}


static ngx_int_t
ngx_http_conduit_events_text(ngx_http_conduit_events_t *events,
    ngx_http_conduit_view_t *view, ngx_pool_t *pool, ngx_str_t *event)
{
    u_char     *p, *last;
    ngx_str_t   text;

    if (ngx_http_conduit_document_render(view, NGX_HTTP_CONDUIT_WORDS, pool,
                                         &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    event->data = ngx_alloc(sizeof("event: status\nid: \ndata: \n\n")
                            + NGX_INT64_LEN + text.len,
                            events->request->connection->log);
    if (event->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(event->data, "event: status\nid: %uL\ndata: ",
                    view->sequence);

    last = ngx_cpymem(p, text.data, text.len);

    /* between the tokens of a client's own JSON there may be line breaks */

    for ( /* void */ ; p < last; p++) {
        if (*p == CR || *p == LF) {
            *p = ' ';
        }
    }

    *p++ = LF;
    *p++ = LF;

    event->len = p - event->data;

    ngx_http_conduit_status_words(events->request, view);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_events_send(ngx_http_conduit_events_t *events,
    ngx_str_t *text)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    /*
     * The buffer is used again and never freed: filters look at what they
     * have passed on once more when the next one comes.
     */

    b = events->buf;

    b->start = text->data;
    b->pos = text->data;
    b->last = text->data + text->len;
    b->end = b->last;
    b->memory = 1;
    b->flush = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    events->sending = 1;

    if (ngx_http_output_filter(events->request, &out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_events_sent(events);
}


/* has the client, or its socket's buffer, got all of it? */

static ngx_int_t
ngx_http_conduit_events_sent(ngx_http_conduit_events_t *events)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = events->request;
    c = r->connection;
    wev = c->write;

    if (r->buffered || r->postponed || c->buffered) {

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (!wev->delayed) {
            ngx_add_timer(wev, clcf->send_timeout);
        }

        return ngx_handle_write_event(wev, clcf->send_lowat);
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    events->sending = 0;

    if (events->data) {
        ngx_free(events->data);
        events->data = NULL;
    }

    return NGX_OK;
}


/* what is still buffered is sent by nginx; the memory stays until then */

static void
ngx_http_conduit_events_end(ngx_http_conduit_events_t *events, ngx_int_t rc)
{
    ngx_http_conduit_events_stop(events);

    ngx_http_finalize_request(events->request, rc);
}


static void
ngx_http_conduit_events_cleanup(void *data)
{
    ngx_http_conduit_events_t  *events = data;

    ngx_http_conduit_events_stop(events);

    if (events->data) {
        ngx_free(events->data);
        events->data = NULL;
    }
}


static void
ngx_http_conduit_events_stop(ngx_http_conduit_events_t *events)
{
    ngx_http_conduit_watch_del(events->cdmcf, &events->watcher);
    ngx_conduit_drain_del(&events->drain);

    if (events->timer.timer_set) {
        ngx_del_timer(&events->timer);
    }
}
