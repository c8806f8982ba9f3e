
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_exchange.h>

#include <openssl/err.h>


/* kept connections; each holds a descriptor, but no connection of nginx */
#define NGX_CONDUIT_CURL_CONNECTIONS  128

/* easy handles that are kept for the next transfers */
#define NGX_CONDUIT_CURL_HANDLES      32

/* connections of nginx that are left to others when transfers start */
#define NGX_CONDUIT_CURL_RESERVE      8


typedef struct {
    CURLM             *multi;
    ngx_queue_t        active;
    ngx_queue_t        todo;
    ngx_uint_t         nactive;
    ngx_uint_t         nconnecting;
    ngx_event_t        timer;
    ngx_event_t        work;
    ngx_connection_t   dumb;
    ngx_uint_t         closing;         /* unsigned  closing:1; */
    ngx_uint_t         inside;          /* unsigned  inside:1; */
    ngx_uint_t         nhandles;
    CURL              *handles[NGX_CONDUIT_CURL_HANDLES];
} ngx_conduit_curl_process_t;


static ngx_int_t ngx_conduit_curl_multi(ngx_conduit_curl_process_t *cp,
    ngx_log_t *log);
static int ngx_conduit_curl_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *socket_data);
static ngx_connection_t *ngx_conduit_curl_connection(curl_socket_t fd);
static void ngx_conduit_curl_free_connection(ngx_connection_t *c);
static ngx_int_t ngx_conduit_curl_events(ngx_connection_t *c, int what);
static ngx_int_t ngx_conduit_curl_event(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t on);
static int ngx_conduit_curl_timer(CURLM *multi, long timeout, void *data);
static void ngx_conduit_curl_event_handler(ngx_event_t *ev);
static void ngx_conduit_curl_timer_handler(ngx_event_t *ev);
static void ngx_conduit_curl_action(curl_socket_t fd, int mask);
static void ngx_conduit_curl_work_handler(ngx_event_t *ev);
static void ngx_conduit_curl_close(void);


static ngx_conduit_curl_process_t  ngx_conduit_curl;


ngx_int_t
ngx_conduit_curl_global_init(ngx_log_t *log)
{
    CURLcode  code;

    /* libcurl counts the calls, and so does it in the workers after a fork */

    code = curl_global_init(CURL_GLOBAL_DEFAULT);

    ERR_clear_error();

    if (code != CURLE_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "curl_global_init() failed: %s",
                      curl_easy_strerror(code));
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_conduit_curl_init(ngx_cycle_t *cycle)
{
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    ngx_queue_init(&cp->active);
    ngx_queue_init(&cp->todo);

    cp->dumb.fd = (ngx_socket_t) -1;

    cp->timer.data = &cp->dumb;
    cp->timer.handler = ngx_conduit_curl_timer_handler;
    cp->timer.log = cycle->log;

    /* each transfer has a timer that counts */
    cp->timer.cancelable = 1;

    cp->work.data = &cp->dumb;
    cp->work.handler = ngx_conduit_curl_work_handler;
    cp->work.log = cycle->log;

    ngx_conduit_lookup_init();

    return ngx_conduit_curl_multi(cp, cycle->log);
}


static ngx_int_t
ngx_conduit_curl_multi(ngx_conduit_curl_process_t *cp, ngx_log_t *log)
{
    CURLM  *multi;

    multi = curl_multi_init();
    if (multi == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "curl_multi_init() failed");
        return NGX_ERROR;
    }

    (void) curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION,
                             ngx_conduit_curl_socket);
    (void) curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION,
                             ngx_conduit_curl_timer);
    (void) curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                             (long) NGX_CONDUIT_CURL_CONNECTIONS);

    cp->multi = multi;

    return NGX_OK;
}


void
ngx_conduit_curl_exit(ngx_cycle_t *cycle)
{
    ngx_queue_t                 *q;
    ngx_conduit_exchange_t      *x;
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    if (cp->multi == NULL) {
        return;
    }

    while (!ngx_queue_empty(&cp->active)) {
        q = ngx_queue_head(&cp->active);
        x = ngx_queue_data(q, ngx_conduit_exchange_t, queue);
        ngx_conduit_exchange_destroy(x);
    }

    ngx_conduit_lookup_exit();

    while (cp->nhandles) {
        curl_easy_cleanup(cp->handles[--cp->nhandles]);
    }

    (void) curl_multi_cleanup(cp->multi);

    ERR_clear_error();

    cp->multi = NULL;
}


ngx_uint_t
ngx_conduit_curl_active(void)
{
    return ngx_conduit_curl.nactive;
}


/* has the time that transfers get in a worker that shuts down run out? */

ngx_uint_t
ngx_conduit_curl_closing(void)
{
    return ngx_conduit_curl.closing;
}


/* is this called from a callback of libcurl? */

ngx_uint_t
ngx_conduit_curl_inside(void)
{
    return ngx_conduit_curl.inside;
}


void
ngx_conduit_curl_enter(ngx_conduit_exchange_t *x)
{
    ngx_queue_insert_tail(&ngx_conduit_curl.active, &x->queue);
    ngx_conduit_curl.nactive++;
}


void
ngx_conduit_curl_leave(ngx_conduit_exchange_t *x)
{
    ngx_queue_remove(&x->queue);
    ngx_conduit_curl.nactive--;

    if (x->queued) {
        ngx_queue_remove(&x->todo);
        x->queued = 0;
    }
}


void
ngx_conduit_curl_queue(ngx_conduit_exchange_t *x)
{
    if (!x->queued) {
        ngx_queue_insert_tail(&ngx_conduit_curl.todo, &x->todo);
        x->queued = 1;
    }

    ngx_post_event(&ngx_conduit_curl.work, &ngx_posted_events);
}


CURL *
ngx_conduit_curl_easy(void)
{
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    if (cp->nhandles) {
        return cp->handles[--cp->nhandles];
    }

    return curl_easy_init();
}


void
ngx_conduit_curl_free_easy(CURL *easy)
{
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    if (cp->nhandles == NGX_CONDUIT_CURL_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }

    curl_easy_reset(easy);

    cp->handles[cp->nhandles++] = easy;
}


CURLMcode
ngx_conduit_curl_add(ngx_conduit_exchange_t *x)
{
    CURLMcode  code;

    /*
     * When it comes to the connection it is too late: a socket callback that
     * fails ends all transfers.  Those that are connecting may have got theirs
     * or not.
     */

    if (ngx_cycle->free_connection_n + ngx_cycle->reusable_connections_n
        < ngx_conduit_curl.nconnecting + NGX_CONDUIT_CURL_RESERVE)
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "worker_connections are not enough for a transfer");
        return CURLM_OUT_OF_MEMORY;
    }

    code = curl_multi_add_handle(ngx_conduit_curl.multi, x->easy);

    if (code != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_add_handle() failed: %s",
                      curl_multi_strerror(code));
        return code;
    }

    x->connecting = 1;
    ngx_conduit_curl.nconnecting++;

    return CURLM_OK;
}


void
ngx_conduit_curl_connected(ngx_conduit_exchange_t *x)
{
    if (x->connecting) {
        x->connecting = 0;
        ngx_conduit_curl.nconnecting--;
    }
}


void
ngx_conduit_curl_remove(ngx_conduit_exchange_t *x)
{
    CURLMcode  code;

    ngx_conduit_curl_connected(x);

    code = curl_multi_remove_handle(ngx_conduit_curl.multi, x->easy);

    /* the error queue of OpenSSL is shared with nginx's own connections */

    ERR_clear_error();

    if (code != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_remove_handle() failed: %s",
                      curl_multi_strerror(code));
    }
}


/* what libcurl holds is given to sink() inside of this call */

CURLcode
ngx_conduit_curl_resume(ngx_conduit_exchange_t *x)
{
    CURLcode  code;

    ngx_conduit_curl.inside = 1;

    code = curl_easy_pause(x->easy, CURLPAUSE_CONT);

    ngx_conduit_curl.inside = 0;

    ERR_clear_error();

    return code;
}


static int
ngx_conduit_curl_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *socket_data)
{
    ngx_connection_t        *c = socket_data;
    ngx_conduit_exchange_t  *x;

    if (what == CURL_POLL_REMOVE) {

        if (c) {
            ngx_conduit_curl_free_connection(c);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_conduit_curl_connection(fd);
    }

    if (c == NULL || ngx_conduit_curl_events(c, what) != NGX_OK) {

        /* a socket without events: its transfer is ended soon */

        if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &x)
                == CURLE_OK
            && x != NULL)
        {
            x->failure = NGX_CONDUIT_TRANSFER_INTERNAL;
            ngx_conduit_curl_queue(x);
        }
    }

    return 0;
}


static ngx_connection_t *
ngx_conduit_curl_connection(curl_socket_t fd)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_conduit_curl_event_handler;
    c->write->handler = ngx_conduit_curl_event_handler;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    if (curl_multi_assign(ngx_conduit_curl.multi, fd, c) != CURLM_OK) {
        ngx_conduit_curl_free_connection(c);
        return NULL;
    }

    return c;
}


/*
 * The descriptor is libcurl's, which closes it after this or keeps it for
 * another transfer; nothing of ours may stay attached to it.
 */

static void
ngx_conduit_curl_free_connection(ngx_connection_t *c)
{
    (void) ngx_conduit_curl_events(c, CURL_POLL_NONE);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    ngx_free_connection(c);

    /* events of this turn of the loop that are not yet handled are stale */
    c->fd = (ngx_socket_t) -1;
}


static ngx_int_t
ngx_conduit_curl_events(ngx_connection_t *c, int what)
{
    ngx_uint_t  rd, wr;

    rd = (what == CURL_POLL_IN || what == CURL_POLL_INOUT);
    wr = (what == CURL_POLL_OUT || what == CURL_POLL_INOUT);

    /* what is wanted comes first, so that the descriptor is kept registered */

    if ((rd && ngx_conduit_curl_event(c->read, NGX_READ_EVENT, 1) != NGX_OK)
        || (wr
            && ngx_conduit_curl_event(c->write, NGX_WRITE_EVENT, 1) != NGX_OK)
        || (!rd
            && ngx_conduit_curl_event(c->read, NGX_READ_EVENT, 0) != NGX_OK)
        || (!wr
            && ngx_conduit_curl_event(c->write, NGX_WRITE_EVENT, 0) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* level-triggered, as libcurl expects: it does not read until EAGAIN */

static ngx_int_t
ngx_conduit_curl_event(ngx_event_t *ev, ngx_int_t event, ngx_uint_t on)
{
    if (on && !ev->active) {
        return ngx_add_event(ev, event, 0);
    }

    if (!on && ev->active) {
        return ngx_del_event(ev, event, 0);
    }

    return NGX_OK;
}


static int
ngx_conduit_curl_timer(CURLM *multi, long timeout, void *data)
{
    ngx_event_t  *ev;

    ev = &ngx_conduit_curl.timer;

    /* a timer that is set would keep its time if the new one is near it */

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (timeout >= 0) {
        ngx_add_timer(ev, (ngx_msec_t) timeout);
    }

    return 0;
}


static void
ngx_conduit_curl_event_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    if (c->close) {
        /* worker_shutdown_timeout */
        ngx_conduit_curl_close();
        return;
    }

    ngx_conduit_curl_action(c->fd,
                            ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}


static void
ngx_conduit_curl_timer_handler(ngx_event_t *ev)
{
    ngx_conduit_curl_action(CURL_SOCKET_TIMEOUT, 0);
}


static void
ngx_conduit_curl_action(curl_socket_t fd, int mask)
{
    int                          n;
    CURL                        *easy;
    CURLMsg                     *msg;
    CURLcode                     code;
    CURLMcode                    rc;
    ngx_conduit_exchange_t      *x;
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    cp->inside = 1;

    rc = curl_multi_socket_action(cp->multi, fd, mask, &n);

    cp->inside = 0;

    ERR_clear_error();

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(rc));
    }

    for ( ;; ) {
        msg = curl_multi_info_read(cp->multi, &n);

        if (msg == NULL) {
            break;
        }

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        /* the message is gone when its handle is removed */

        easy = msg->easy_handle;
        code = msg->data.result;

        if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &x)
            == CURLE_OK)
        {
            ngx_conduit_exchange_done(x, code);
        }
    }
}


static void
ngx_conduit_curl_work_handler(ngx_event_t *ev)
{
    ngx_queue_t                 *q;
    ngx_conduit_exchange_t      *x;
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    while (!ngx_queue_empty(&cp->todo)) {
        q = ngx_queue_head(&cp->todo);
        ngx_queue_remove(q);

        x = ngx_queue_data(q, ngx_conduit_exchange_t, todo);
        x->queued = 0;

        ngx_conduit_exchange_work(x);
    }

    /* what was just started need not wait for a turn of the loop */

    if (cp->timer.timer_set
        && (ngx_msec_int_t) (cp->timer.timer.key - ngx_current_msec) <= 0)
    {
        ngx_del_timer(&cp->timer);
        ngx_conduit_curl_action(CURL_SOCKET_TIMEOUT, 0);
    }
}


static void
ngx_conduit_curl_close(void)
{
    ngx_queue_t                 *q;
    ngx_conduit_exchange_t      *x;
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    cp->closing = 1;

    for (q = ngx_queue_head(&cp->active);
         q != ngx_queue_sentinel(&cp->active);
         q = ngx_queue_next(q))
    {
        x = ngx_queue_data(q, ngx_conduit_exchange_t, queue);

        x->failure = NGX_CONDUIT_TRANSFER_ABORTED;
        ngx_conduit_curl_queue(x);
    }
}
