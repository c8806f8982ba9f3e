
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_wakeup.h>
#include <ngx_channel.h>

#include <sys/eventfd.h>


struct ngx_conduit_wakeup_s {
    ngx_uint_t                      nfds;
    int                            *fds;
};


/*
 * Of this process.  The pointer to the descriptors is NULL without a master
 * process: there a reload frees the cycle that they would belong to and does
 * not initialize the process again.
 */

typedef struct {
    ngx_conduit_wakeup_t           *wakeup;
    ngx_conduit_wakeup_handler_pt   handler;
    void                           *data;
    ngx_event_t                     event;
    ngx_connection_t                dumb;
} ngx_conduit_wakeup_process_t;


static void ngx_conduit_wakeup_cleanup(void *data);
static void ngx_conduit_wakeup_read_handler(ngx_event_t *ev);
static void ngx_conduit_wakeup_event_handler(ngx_event_t *ev);


static ngx_conduit_wakeup_process_t  ngx_conduit_wakeup;


ngx_conduit_wakeup_t *
ngx_conduit_wakeup_create(ngx_cycle_t *cycle)
{
    ngx_uint_t             i;
    ngx_core_conf_t       *ccf;
    ngx_pool_cleanup_t    *cln;
    ngx_conduit_wakeup_t  *wakeup;

    wakeup = ngx_pcalloc(cycle->pool, sizeof(ngx_conduit_wakeup_t));
    if (wakeup == NULL) {
        return NULL;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ngx_test_config || !ccf->master) {
        return wakeup;
    }

    wakeup->fds = ngx_palloc(cycle->pool, ccf->worker_processes * sizeof(int));
    if (wakeup->fds == NULL) {
        return NULL;
    }

    /* the master would otherwise keep a set of descriptors for each reload */

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_conduit_wakeup_cleanup;
    cln->data = wakeup;

    for (i = 0; i < (ngx_uint_t) ccf->worker_processes; i++) {
        wakeup->fds[i] = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
        wakeup->nfds++;

        /*
         * not a failure: that would end the master, on a reload too, while
         * workers that are not woken also look by a timer
         */

        if (wakeup->fds[i] == -1) {
            ngx_log_error(NGX_LOG_CRIT, cycle->log, ngx_errno,
                          "eventfd() failed, worker %ui cannot be woken", i);
        }
    }

    return wakeup;
}


static void
ngx_conduit_wakeup_cleanup(void *data)
{
    ngx_uint_t             i;
    ngx_conduit_wakeup_t  *wakeup = data;

    for (i = 0; i < wakeup->nfds; i++) {
        if (wakeup->fds[i] == -1) {
            continue;
        }

        if (close(wakeup->fds[i]) == -1) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                          "close() of an eventfd failed");
        }
    }
}


ngx_int_t
ngx_conduit_wakeup_init(ngx_conduit_wakeup_t *wakeup, ngx_cycle_t *cycle,
    ngx_conduit_wakeup_handler_pt handler, void *data)
{
    ngx_conduit_wakeup_process_t  *wp;

    wp = &ngx_conduit_wakeup;

    wp->handler = handler;
    wp->data = data;

    wp->dumb.fd = (ngx_socket_t) -1;

    wp->event.data = &wp->dumb;
    wp->event.handler = ngx_conduit_wakeup_event_handler;
    wp->event.log = cycle->log;

    if (wakeup->fds == NULL) {
        return NGX_OK;
    }

    wp->wakeup = wakeup;

    if (ngx_worker >= wakeup->nfds || wakeup->fds[ngx_worker] == -1) {
        return NGX_OK;
    }

    return ngx_add_channel_event(cycle, wakeup->fds[ngx_worker],
                                 NGX_READ_EVENT,
                                 ngx_conduit_wakeup_read_handler);
}


void
ngx_conduit_wakeup_send(ngx_uint_t slot)
{
    int                            fd;
    uint64_t                       one;
    ngx_err_t                      err;
    ngx_conduit_wakeup_process_t  *wp;

    wp = &ngx_conduit_wakeup;

    if (slot == ngx_worker && wp->handler) {
        ngx_post_event(&wp->event, &ngx_posted_events);
        return;
    }

    if (wp->wakeup == NULL || slot >= wp->wakeup->nfds) {
        return;
    }

    fd = wp->wakeup->fds[slot];

    if (fd == -1) {
        return;
    }

    one = 1;

    if (write(fd, &one, sizeof(uint64_t)) == -1) {
        err = ngx_errno;

        /* a counter that is full wakes as well as any other */

        if (err != NGX_EAGAIN) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, err,
                          "write() to an eventfd failed");
        }
    }
}


static void
ngx_conduit_wakeup_read_handler(ngx_event_t *ev)
{
    uint64_t           n;
    ngx_err_t          err;
    ngx_connection_t  *c;

    if (ev->timedout) {
        ev->timedout = 0;
        return;
    }

    c = ev->data;

    if (read(c->fd, &n, sizeof(uint64_t)) == -1) {
        err = ngx_errno;

        if (err != NGX_EAGAIN && err != NGX_EINTR) {
            ngx_log_error(NGX_LOG_ALERT, ev->log, err,
                          "read() from an eventfd failed");
            return;
        }
    }

    ngx_conduit_wakeup.handler(ngx_conduit_wakeup.data);
}


static void
ngx_conduit_wakeup_event_handler(ngx_event_t *ev)
{
    ngx_conduit_wakeup.handler(ngx_conduit_wakeup.data);
}
