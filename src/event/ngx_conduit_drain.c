
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_drain.h>
#include <ngx_channel.h>

#include <sys/eventfd.h>


/* clients that come again do not come all at the same moment */
#define NGX_CONDUIT_DRAIN_SPREAD  1000


typedef struct {
    ngx_queue_t   queue;
    ngx_uint_t    open;                     /* unsigned  open:1; */
} ngx_conduit_drain_process_t;


static ngx_int_t ngx_conduit_drain_open(void);
static void ngx_conduit_drain_handler(ngx_event_t *ev);


static ngx_conduit_drain_process_t  ngx_conduit_drain;


ngx_int_t
ngx_conduit_drain_add(ngx_conduit_drain_t *drain)
{
    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return NGX_DECLINED;
    }

    if (!ngx_conduit_drain.open && ngx_conduit_drain_open() != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&ngx_conduit_drain.queue, &drain->queue);
    drain->added = 1;

    return NGX_OK;
}


void
ngx_conduit_drain_del(ngx_conduit_drain_t *drain)
{
    if (drain->added) {
        ngx_queue_remove(&drain->queue);
        drain->added = 0;
    }
}


/*
 * A worker that begins to shut down calls the read handlers of its idle
 * connections.  So there is one that is always idle: on a descriptor that
 * nobody ever writes to.
 */

static ngx_int_t
ngx_conduit_drain_open(void)
{
    int                fd;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "eventfd() for the shutdown failed");
        return NGX_ERROR;
    }

    if (ngx_add_channel_event((ngx_cycle_t *) ngx_cycle, fd, NGX_READ_EVENT,
                              ngx_conduit_drain_handler)
        != NGX_OK)
    {
        (void) close(fd);
        return NGX_ERROR;
    }

    c = ngx_cycle->connections;

    for (i = 0; i < ngx_cycle->connection_n; i++) {
        if (c[i].fd == fd && c[i].read
            && c[i].read->handler == ngx_conduit_drain_handler)
        {
            c[i].idle = 1;
            break;
        }
    }

    ngx_queue_init(&ngx_conduit_drain.queue);
    ngx_conduit_drain.open = 1;

    return NGX_OK;
}


static void
ngx_conduit_drain_handler(ngx_event_t *ev)
{
    ngx_queue_t          *q;
    ngx_connection_t     *c;
    ngx_conduit_drain_t  *drain;

    c = ev->data;

    if (!c->close) {
        return;
    }

    c->close = 0;
    c->idle = 0;

    /* a handler may delete others */

    while (!ngx_queue_empty(&ngx_conduit_drain.queue)) {
        q = ngx_queue_head(&ngx_conduit_drain.queue);
        ngx_queue_remove(q);

        drain = ngx_queue_data(q, ngx_conduit_drain_t, queue);
        drain->added = 0;

        drain->handler(drain->data);
    }
}


void
ngx_conduit_drain_soon(ngx_event_t *timer)
{
    if (timer->timer_set) {
        ngx_del_timer(timer);
    }

    ngx_add_timer(timer, 1 + ngx_random() % NGX_CONDUIT_DRAIN_SPREAD);
}
