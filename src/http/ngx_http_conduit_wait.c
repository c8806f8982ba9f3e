
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_drain.h>
#include <ngx_http_conduit_wait.h>
#include <ngx_http_conduit_watch.h>
#include <conduit_header.h>


/*
 * A worker that shuts down leaves when no timer is set: one without a limit
 * has a timer all the same, which is set again and again.
 */
#define NGX_HTTP_CONDUIT_WAIT_HOLD  60000


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_name_t           name;
    ngx_http_conduit_watcher_t        watcher;
    ngx_event_t                       timer;
    ngx_conduit_drain_t               drain;
    ngx_pool_cleanup_t               *kept;        /* what was seen last */
    ngx_http_conduit_ready_pt         ready;
    ngx_http_conduit_done_pt          done;
    uint64_t                          sequence;    /* looked at last */
    unsigned                          limited:1;
} ngx_http_conduit_wait_t;


static void ngx_http_conduit_wait_watcher(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_wait_timer(ngx_event_t *ev);
static void ngx_http_conduit_wait_drain(void *data);
static void ngx_http_conduit_wait_look(ngx_http_conduit_wait_t *wait,
    ngx_uint_t expired);
static void ngx_http_conduit_wait_end(ngx_http_conduit_wait_t *wait);
static void ngx_http_conduit_wait_cleanup(void *data);


ngx_int_t
ngx_http_conduit_wait(ngx_http_request_t *r, ngx_http_conduit_name_t *name,
    ngx_msec_t ms, ngx_http_conduit_ready_pt ready,
    ngx_http_conduit_done_pt done)
{
    ngx_http_cleanup_t       *cln;
    ngx_http_conduit_wait_t  *wait;

    wait = ngx_pcalloc(r->pool, sizeof(ngx_http_conduit_wait_t));
    if (wait == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    wait->kept = ngx_pool_cleanup_add(r->pool, 0);
    if (wait->kept == NULL) {
        return NGX_ERROR;
    }

    wait->request = r;
    wait->cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);
    wait->name = *name;
    wait->ready = ready;
    wait->done = done;

    ngx_memcpy(wait->watcher.id, name->id, NGX_HTTP_CONDUIT_ID_LEN);
    wait->watcher.handler = ngx_http_conduit_wait_watcher;
    wait->watcher.data = wait;

    if (ngx_http_conduit_watch_add(wait->cdmcf, &wait->watcher) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_conduit_wait_cleanup;
    cln->data = wait;

    wait->timer.handler = ngx_http_conduit_wait_timer;
    wait->timer.data = r->connection;
    wait->timer.log = r->connection->log;

    /* the wait is found by the timer: its data is a connection, for logs */

    wait->limited = (ms != 0);

    ngx_add_timer(&wait->timer, ms ? ms : NGX_HTTP_CONDUIT_WAIT_HOLD);

    if (wait->limited) {
        wait->drain.handler = ngx_http_conduit_wait_drain;
        wait->drain.data = wait;

        if (ngx_conduit_drain_add(&wait->drain) != NGX_OK) {
            ngx_conduit_drain_soon(&wait->timer);
        }
    }

    ngx_http_conduit_watch_client(r);
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_conduit_wait_look(wait, 0);

    return NGX_OK;
}


static void
ngx_http_conduit_wait_watcher(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_wait_t  *wait = w->data;

    ngx_connection_t  *c;

    c = wait->request->connection;

    ngx_http_conduit_wait_look(wait, 0);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_wait_timer(ngx_event_t *ev)
{
    ngx_connection_t         *c;
    ngx_http_conduit_wait_t  *wait;

    wait = (ngx_http_conduit_wait_t *)
               ((u_char *) ev - offsetof(ngx_http_conduit_wait_t, timer));
    c = wait->request->connection;

    if (!wait->limited) {
        ngx_add_timer(&wait->timer, NGX_HTTP_CONDUIT_WAIT_HOLD);
    }

    ngx_http_conduit_wait_look(wait, wait->limited);
    ngx_http_run_posted_requests(c);
}


/* a worker that shuts down does not stay for who can wait elsewhere */

static void
ngx_http_conduit_wait_drain(void *data)
{
    ngx_http_conduit_wait_t  *wait = data;

    ngx_conduit_drain_soon(&wait->timer);
}


/* may end the request: nothing of it is to be touched afterwards */

static void
ngx_http_conduit_wait_look(ngx_http_conduit_wait_t *wait, ngx_uint_t expired)
{
    ngx_int_t                 rc;
    ngx_pool_t               *pool;
    ngx_http_request_t       *r;
    ngx_http_conduit_view_t   view;

    r = wait->request;

    /* pools do not shrink: what is looked at in vain has one of its own */

    pool = ngx_create_pool(2048, r->connection->log);

    rc = pool ? ngx_http_conduit_task_view(wait->cdmcf, &wait->name, 0, pool,
                                           &view)
              : NGX_ERROR;

    if (rc == NGX_OK) {

        if (!expired && !wait->ready(r, &view)) {
            ngx_destroy_pool(pool);
            return;
        }

        wait->kept->handler = (ngx_pool_cleanup_pt) ngx_destroy_pool;
        wait->kept->data = pool;

        ngx_http_conduit_wait_end(wait);
        wait->done(r, &view, expired);
        return;
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_http_conduit_wait_end(wait);

    if (rc == NGX_DECLINED) {
        wait->done(r, NULL, 0);
        return;
    }

    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static void
ngx_http_conduit_wait_end(ngx_http_conduit_wait_t *wait)
{
    ngx_http_conduit_wait_cleanup(wait);

    wait->request->read_event_handler = ngx_http_block_reading;
}


static void
ngx_http_conduit_wait_cleanup(void *data)
{
    ngx_http_conduit_wait_t  *wait = data;

    ngx_http_conduit_watch_del(wait->cdmcf, &wait->watcher);
    ngx_conduit_drain_del(&wait->drain);

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }
}


ngx_uint_t
ngx_http_conduit_wait_ended(ngx_http_request_t *r,
    ngx_http_conduit_view_t *view)
{
    return conduit_status_terminal(view->status);
}


ngx_msec_t
ngx_http_conduit_wait_preferred(ngx_http_request_t *r)
{
    uint32_t                      seconds;
    ngx_str_t                    *value;
    ngx_uint_t                    n;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    n = 0;

    do {
        value = ngx_http_conduit_header_line(r, "prefer", sizeof("prefer") - 1,
                                             n++);
        if (value == NULL) {
            return 0;
        }

    } while (conduit_prefer_wait(value->data, value->len, &seconds)
             != CONDUIT_OK);

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    if (seconds > cdlcf->wait_max / 1000) {
        seconds = (uint32_t) (cdlcf->wait_max / 1000);
    }

    return (ngx_msec_t) seconds * 1000;
}


ngx_int_t
ngx_http_conduit_wait_applied(ngx_http_request_t *r, ngx_msec_t ms)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, sizeof("wait=") + NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "wait=%M", ms / 1000) - value.data;

    return ngx_http_conduit_header(r, "Preference-Applied", &value);
}
