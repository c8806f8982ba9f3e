
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_exchange.h>

#include <openssl/err.h>


/* kept connections; each holds a descriptor, but no connection of nginx */
#define NGX_CONDUIT_CURL_CONNECTIONS  128
#define NGX_CONDUIT_CURL_POSTS        256

/* easy handles that are kept for the next transfers */
#define NGX_CONDUIT_CURL_HANDLES      32

/* connections of nginx that are left to others when transfers start */
#define NGX_CONDUIT_CURL_RESERVE      8


typedef struct {
    ngx_conduit_curl_group_t   groups[NGX_CONDUIT_TRANSFER_GROUPS];
    ngx_queue_t                active;
    ngx_queue_t                todo;
    ngx_uint_t                 nactive;
    ngx_uint_t                 nconnecting;
    ngx_event_t                work;
    ngx_connection_t           dumb;
    ngx_uint_t                 closing;     /* unsigned  closing:1; */
    ngx_uint_t                 inside;      /* unsigned  inside:1; */
    ngx_uint_t                 nhandles;
    CURL                      *handles[NGX_CONDUIT_CURL_HANDLES];
} ngx_conduit_curl_process_t;


static ngx_int_t ngx_conduit_curl_multi(ngx_conduit_curl_group_t *group,
    long connections, ngx_log_t *log);
static ngx_conduit_curl_group_t *ngx_conduit_curl_group(
    ngx_conduit_exchange_t *x);
static int ngx_conduit_curl_timer(CURLM *multi, long timeout, void *data);
static void ngx_conduit_curl_timer_handler(ngx_event_t *ev);
static void ngx_conduit_curl_action(ngx_conduit_curl_group_t *group,
    curl_socket_t fd, int mask);
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

    cp->work.data = &cp->dumb;
    cp->work.handler = ngx_conduit_curl_work_handler;
    cp->work.log = cycle->log;

    ngx_conduit_lookup_init();

    if (ngx_conduit_curl_multi(&cp->groups[NGX_CONDUIT_TRANSFER_CALLS],
                               NGX_CONDUIT_CURL_CONNECTIONS, cycle->log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_conduit_curl_multi(&cp->groups[NGX_CONDUIT_TRANSFER_POSTS],
                                  NGX_CONDUIT_CURL_POSTS, cycle->log);
}


static ngx_int_t
ngx_conduit_curl_multi(ngx_conduit_curl_group_t *group, long connections,
    ngx_log_t *log)
{
    CURLM  *multi;

    group->dumb.fd = (ngx_socket_t) -1;
    group->dumb.data = group;

    group->timer.data = &group->dumb;
    group->timer.handler = ngx_conduit_curl_timer_handler;
    group->timer.log = log;

    /* each transfer has a timer that counts */
    group->timer.cancelable = 1;

    multi = curl_multi_init();
    if (multi == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "curl_multi_init() failed");
        return NGX_ERROR;
    }

    (void) curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION,
                             ngx_conduit_curl_socket);
    (void) curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, group);
    (void) curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION,
                             ngx_conduit_curl_timer);
    (void) curl_multi_setopt(multi, CURLMOPT_TIMERDATA, group);
    (void) curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections);

    group->multi = multi;

    return NGX_OK;
}


static ngx_conduit_curl_group_t *
ngx_conduit_curl_group(ngx_conduit_exchange_t *x)
{
    return &ngx_conduit_curl.groups[x->transfer->group];
}


void
ngx_conduit_curl_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t                   i;
    ngx_queue_t                 *q;
    ngx_conduit_exchange_t      *x;
    ngx_conduit_curl_process_t  *cp;

    cp = &ngx_conduit_curl;

    if (cp->groups[0].multi == NULL) {
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

    for (i = 0; i < NGX_CONDUIT_TRANSFER_GROUPS; i++) {
        (void) curl_multi_cleanup(cp->groups[i].multi);
        cp->groups[i].multi = NULL;
    }

    ERR_clear_error();
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

    code = curl_multi_add_handle(ngx_conduit_curl_group(x)->multi, x->easy);

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
        ngx_memzero(x->pending, sizeof(x->pending));
        x->connecting = 0;
        ngx_conduit_curl.nconnecting--;
    }
}


void
ngx_conduit_curl_remove(ngx_conduit_exchange_t *x)
{
    CURLMcode  code;

    /* sockets that connect are told of in here, after they were closed */

    code = curl_multi_remove_handle(ngx_conduit_curl_group(x)->multi, x->easy);

    ngx_conduit_curl_connected(x);

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
ngx_conduit_curl_timer(CURLM *multi, long timeout, void *data)
{
    ngx_event_t               *ev;
    ngx_conduit_curl_group_t  *group = data;

    ev = &group->timer;

    /* a timer that is set would keep its time if the new one is near it */

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (timeout >= 0) {
        ngx_add_timer(ev, (ngx_msec_t) timeout);
    }

    return 0;
}


void
ngx_conduit_curl_event_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    if (c->close) {
        /* worker_shutdown_timeout */
        ngx_conduit_curl_close();
        return;
    }

    ngx_conduit_curl_action(c->data, c->fd,
                            ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}


static void
ngx_conduit_curl_timer_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_conduit_curl_action(c->data, CURL_SOCKET_TIMEOUT, 0);
}


static void
ngx_conduit_curl_action(ngx_conduit_curl_group_t *group, curl_socket_t fd,
    int mask)
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

    rc = curl_multi_socket_action(group->multi, fd, mask, &n);

    cp->inside = 0;

    ERR_clear_error();

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(rc));
    }

    for ( ;; ) {
        msg = curl_multi_info_read(group->multi, &n);

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
    ngx_uint_t                   i;
    ngx_queue_t                 *q;
    ngx_conduit_exchange_t      *x;
    ngx_conduit_curl_group_t    *group;
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

    for (i = 0; i < NGX_CONDUIT_TRANSFER_GROUPS; i++) {
        group = &cp->groups[i];

        if (group->timer.timer_set
            && (ngx_msec_int_t) (group->timer.timer.key - ngx_current_msec)
               <= 0)
        {
            ngx_del_timer(&group->timer);
            ngx_conduit_curl_action(group, CURL_SOCKET_TIMEOUT, 0);
        }
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
