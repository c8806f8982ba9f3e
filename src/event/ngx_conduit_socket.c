
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_exchange.h>


/* The sockets of libcurl in the event loop of nginx. */


static void ngx_conduit_curl_pending(ngx_conduit_exchange_t *x,
    ngx_connection_t *old, ngx_connection_t *c);
static ngx_connection_t *ngx_conduit_curl_connection(
    ngx_conduit_curl_group_t *group, curl_socket_t fd);
static void ngx_conduit_curl_free_connection(ngx_connection_t *c);
static ngx_int_t ngx_conduit_curl_events(ngx_connection_t *c, int what);
static ngx_int_t ngx_conduit_curl_event(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t on);


int
ngx_conduit_curl_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *socket_data)
{
    ngx_connection_t        *c = socket_data;
    ngx_conduit_exchange_t  *x;

    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &x) != CURLE_OK) {
        x = NULL;
    }

    if (what == CURL_POLL_REMOVE) {

        if (c) {
            ngx_conduit_curl_pending(x, c, NULL);
            ngx_conduit_curl_free_connection(c);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_conduit_curl_connection(data, fd);
        ngx_conduit_curl_pending(x, NULL, c);
    }

    if (c == NULL || ngx_conduit_curl_events(c, what) != NGX_OK) {

        /* a socket without events: its transfer is ended soon */

        if (x) {
            x->failure = NGX_CONDUIT_TRANSFER_INTERNAL;
            ngx_conduit_curl_queue(x);
        }
    }

    return 0;
}


/*
 * A socket that is still connecting is closed by libcurl first, and told to
 * be removed after that, if its number has not been given to another one by
 * then.  The kernel has forgotten its events with it.
 */

static void
ngx_conduit_curl_pending(ngx_conduit_exchange_t *x, ngx_connection_t *old,
    ngx_connection_t *c)
{
    ngx_uint_t  i;

    if (x == NULL || !x->connecting) {
        return;
    }

    for (i = 0; i < NGX_CONDUIT_EXCHANGE_PENDING; i++) {
        if (x->pending[i] == old) {
            x->pending[i] = c;
            break;
        }
    }

    if (old && fcntl(old->fd, F_GETFD) == -1) {
        old->read->active = 0;
        old->write->active = 0;
    }
}


void
ngx_conduit_curl_opened(ngx_conduit_exchange_t *x, curl_socket_t fd)
{
    ngx_uint_t         i;
    ngx_connection_t  *c;

    for (i = 0; i < NGX_CONDUIT_EXCHANGE_PENDING; i++) {
        c = x->pending[i];

        if (c && c->fd == fd) {
            c->read->active = 0;
            c->write->active = 0;
        }
    }
}


static ngx_connection_t *
ngx_conduit_curl_connection(ngx_conduit_curl_group_t *group, curl_socket_t fd)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    c->data = group;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_conduit_curl_event_handler;
    c->write->handler = ngx_conduit_curl_event_handler;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    if (curl_multi_assign(group->multi, fd, c) != CURLM_OK) {
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
