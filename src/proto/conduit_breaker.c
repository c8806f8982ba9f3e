
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_breaker.h"


static int conduit_breaker_probe(conduit_breaker_t *b,
    const conduit_breaker_conf_t *conf, uint64_t now,
    conduit_breaker_ticket_t *ticket, uint64_t *wait);
static conduit_breaker_change_e conduit_breaker_success(conduit_breaker_t *b,
    uint32_t limit);
static conduit_breaker_change_e conduit_breaker_failure(conduit_breaker_t *b,
    const conduit_breaker_conf_t *conf, int probe, uint64_t now);
static void conduit_breaker_open(conduit_breaker_t *b,
    const conduit_breaker_conf_t *conf, uint64_t now);


int
conduit_breaker_begin(conduit_breaker_t *b, const conduit_breaker_conf_t *conf,
    uint32_t running, uint32_t limit, uint64_t now,
    conduit_breaker_ticket_t *ticket, uint64_t *wait)
{
    if (b->state != CONDUIT_BREAKER_CLOSED) {
        return conduit_breaker_probe(b, conf, now, ticket, wait);
    }

    if (b->ramp && b->ramp < limit) {
        limit = b->ramp;
    }

    if (running >= limit) {
        *wait = 0;
        return CONDUIT_DECLINED;
    }

    ticket->epoch = b->epoch;
    ticket->probe = 0;

    return CONDUIT_OK;
}


static int
conduit_breaker_probe(conduit_breaker_t *b, const conduit_breaker_conf_t *conf,
    uint64_t now, conduit_breaker_ticket_t *ticket, uint64_t *wait)
{
    /*
     * What runs since before it opened does not stand in the way of a probe:
     * it may last longer than the reset.
     */

    if (b->until > now) {
        *wait = b->until - now;
        return CONDUIT_DECLINED;
    }

    /* a probe that was lost must not be taken for this one when it ends */

    b->epoch++;
    b->state = CONDUIT_BREAKER_HALF_OPEN;
    b->until = now + conf->attempt;

    ticket->epoch = b->epoch;
    ticket->probe = 1;

    return CONDUIT_OK;
}


conduit_breaker_change_e
conduit_breaker_end(conduit_breaker_t *b, const conduit_breaker_conf_t *conf,
    const conduit_breaker_ticket_t *ticket, conduit_failure_e failure,
    unsigned status, uint32_t limit, uint64_t now)
{
    if (failure == CONDUIT_FAIL_NONE) {
        return conduit_breaker_success(b, limit);
    }

    /* from before it opened, or a probe that was given up */

    if (ticket->epoch != b->epoch) {
        return CONDUIT_BREAKER_SAME;
    }

    if (conduit_failure_transient(failure, status)) {
        return conduit_breaker_failure(b, conf, ticket->probe, now);
    }

    conduit_breaker_cancel(b, ticket);

    return CONDUIT_BREAKER_SAME;
}


static conduit_breaker_change_e
conduit_breaker_success(conduit_breaker_t *b, uint32_t limit)
{
    b->failures = 0;

    if (b->state != CONDUIT_BREAKER_CLOSED) {
        b->state = CONDUIT_BREAKER_CLOSED;
        b->until = 0;
        b->ramp = 1;

        return CONDUIT_BREAKER_RECOVERED;
    }

    if (b->ramp) {
        b->ramp = (b->ramp < limit / 2 + limit % 2) ? b->ramp * 2 : 0;
    }

    return CONDUIT_BREAKER_SAME;
}


static conduit_breaker_change_e
conduit_breaker_failure(conduit_breaker_t *b,
    const conduit_breaker_conf_t *conf, int probe, uint64_t now)
{
    if (b->state == CONDUIT_BREAKER_CLOSED) {

        /* the ramp goes on from where it is */

        if (++b->failures < conf->failures) {
            return CONDUIT_BREAKER_SAME;
        }

        conduit_breaker_open(b, conf, now);
        return CONDUIT_BREAKER_TRIPPED;
    }

    if (!probe) {
        return CONDUIT_BREAKER_SAME;
    }

    conduit_breaker_open(b, conf, now);

    return CONDUIT_BREAKER_REOPENED;
}


static void
conduit_breaker_open(conduit_breaker_t *b, const conduit_breaker_conf_t *conf,
    uint64_t now)
{
    b->state = CONDUIT_BREAKER_OPEN;
    b->until = now + conf->reset;
    b->epoch++;
    b->ramp = 0;
}


void
conduit_breaker_cancel(conduit_breaker_t *b,
    const conduit_breaker_ticket_t *ticket)
{
    if (ticket->probe && ticket->epoch == b->epoch
        && b->state == CONDUIT_BREAKER_HALF_OPEN)
    {
        b->until = 0;
    }
}


conduit_breaker_state_e
conduit_breaker_state(const conduit_breaker_t *b, uint64_t now)
{
    if (b->state == CONDUIT_BREAKER_OPEN && b->until <= now) {
        return CONDUIT_BREAKER_HALF_OPEN;
    }

    return (conduit_breaker_state_e) b->state;
}
