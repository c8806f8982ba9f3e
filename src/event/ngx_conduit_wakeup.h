
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_WAKEUP_H_INCLUDED_
#define _NGX_CONDUIT_WAKEUP_H_INCLUDED_


/*
 * "Look again" between the workers of one cycle: an eventfd per worker.
 * Nothing is carried, what there is to see lies in the zone; wake-ups merge,
 * and a worker that was killed leaves its own to the one that follows it.
 *
 * A slot is an ngx_worker number of this cycle.  Workers of an earlier cycle
 * that are still draining have other descriptors, so they cannot be woken:
 * they have to look by a timer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef struct ngx_conduit_wakeup_s  ngx_conduit_wakeup_t;

typedef void (*ngx_conduit_wakeup_handler_pt)(void *data);


/*
 * init_module; NULL: no memory.  A descriptor that cannot be had is logged
 * and its worker cannot be woken.
 */
ngx_conduit_wakeup_t *ngx_conduit_wakeup_create(ngx_cycle_t *cycle);

/* init_process of a worker: from now on handler is called when it is woken */
ngx_int_t ngx_conduit_wakeup_init(ngx_conduit_wakeup_t *wakeup,
    ngx_cycle_t *cycle, ngx_conduit_wakeup_handler_pt handler, void *data);

/*
 * Wakes a worker, this one included: its handler runs soon, never inside of
 * this call.  Slots that do not exist are ignored.
 */
void ngx_conduit_wakeup_send(ngx_uint_t slot);


#endif /* _NGX_CONDUIT_WAKEUP_H_INCLUDED_ */
