
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_BREAKER_H_INCLUDED_
#define _CONDUIT_BREAKER_H_INCLUDED_


#include "conduit.h"
#include "conduit_retry.h"


/*
 * A circuit breaker for one key and origin: a value that may live in shared
 * memory, used under the lock of whoever keeps it.  Times are in ms of one
 * monotonic clock; a step back is taken for no time at all.
 *
 * Closed: attempts go out.  "failures" transient failures in a row open it
 * for "reset" ms, in which nothing goes out.  After that it is half-open: one
 * attempt goes out as a probe.  A probe that succeeds closes the breaker, one
 * that fails opens it for another "reset"; one with any other outcome (a 404)
 * tells nothing, and the next attempt is the probe.  Once closed, 1, 2, 4, ...
 * attempts may run at a time, twice as many after each success, until the
 * limit of the origin is reached.
 *
 * An attempt that was on its way when the breaker opened can no longer open
 * it, but its success closes it.
 */


typedef enum {
    CONDUIT_BREAKER_CLOSED = 0,
    CONDUIT_BREAKER_OPEN,
    CONDUIT_BREAKER_HALF_OPEN
} conduit_breaker_state_e;


/* what an end of an attempt did to the breaker */

typedef enum {
    CONDUIT_BREAKER_SAME = 0,
    CONDUIT_BREAKER_TRIPPED,      /* closed before, open now */
    CONDUIT_BREAKER_REOPENED,     /* the probe has failed */
    CONDUIT_BREAKER_RECOVERED     /* closed now */
} conduit_breaker_change_e;


typedef struct {
    uint32_t  failures;           /* in a row, at least 1 */
    uint32_t  reset;              /* ms, at least 1 */

    /*
     * the longest that an attempt takes, in ms: a probe that has not ended
     * after this time is lost with its process, and another may go out
     */

    uint32_t  attempt;
} conduit_breaker_conf_t;


/* all zeros is a closed breaker that has seen nothing */

typedef struct {
    uint64_t  until;              /* open: end of the reset; half-open: when
                                     the probe is given up, 0 without one */
    uint32_t  failures;           /* in a row */
    uint32_t  epoch;              /* rises whenever it opens */
    uint32_t  ramp;               /* attempts that may run; 0: no ramp */
    uint32_t  state;              /* conduit_breaker_state_e */
} conduit_breaker_t;


/* what an attempt keeps from its begin to its end */

typedef struct {
    uint32_t  epoch;
    uint32_t  probe;              /* 1 or 0 */
} conduit_breaker_ticket_t;


/*
 * Asks for an attempt.  running is how many attempts to the origin are on
 * their way, limit how many may be.  Returns CONDUIT_OK with a ticket, which
 * must come back by end() or cancel(); or CONDUIT_DECLINED with *wait set to
 * the ms after which to ask again, or 0 for "when an attempt to this origin
 * has ended".
 */
int conduit_breaker_begin(conduit_breaker_t *b,
    const conduit_breaker_conf_t *conf, uint32_t running, uint32_t limit,
    uint64_t now, conduit_breaker_ticket_t *ticket, uint64_t *wait);

/*
 * The attempt has ended with this outcome.  limit as in begin().  An open
 * breaker whose time is over counts as half-open.
 */
conduit_breaker_change_e conduit_breaker_end(conduit_breaker_t *b,
    const conduit_breaker_conf_t *conf,
    const conduit_breaker_ticket_t *ticket, conduit_failure_e failure,
    unsigned status, uint32_t limit, uint64_t now);

/* the attempt was not made after all, or nobody knows how it went */
void conduit_breaker_cancel(conduit_breaker_t *b,
    const conduit_breaker_ticket_t *ticket);

/*
 * How a breaker stands at this time: an open one whose time is over is
 * half-open.  Deliveries to it are parked unless it is closed.
 */
conduit_breaker_state_e conduit_breaker_state(const conduit_breaker_t *b,
    uint64_t now);


#endif /* _CONDUIT_BREAKER_H_INCLUDED_ */
