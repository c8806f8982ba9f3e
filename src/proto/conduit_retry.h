
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_RETRY_H_INCLUDED_
#define _CONDUIT_RETRY_H_INCLUDED_


#include "conduit.h"


/*
 * What becomes of a webhook after an attempt: the class of its outcome,
 * whether there is another attempt, and when.
 */

#define CONDUIT_RETRY_PAUSES_MAX  32
#define CONDUIT_RETRY_PAUSE_MAX   (30 * 86400 * 1000u)     /* ms, 30 days */
#define CONDUIT_RETRY_JITTER_MAX  100                      /* percent */

/* the longest that a receiver may ask for by Retry-After, in ms */

#define CONDUIT_RETRY_AFTER_MAX   (3600 * 1000)


/* the numbers live in shared memory and in the store */

typedef enum {
    CONDUIT_FAIL_NONE = 0,        /* 2xx */
    CONDUIT_FAIL_DNS,             /* the lookup failed or took too long */
    CONDUIT_FAIL_CONNECT,         /* refused, unreachable, or reset before the
                                     request was sent */
    CONDUIT_FAIL_TLS,             /* certificate or handshake */
    CONDUIT_FAIL_TIMEOUT,         /* any deadline, that of connecting too */
    CONDUIT_FAIL_PROTOCOL,        /* the request was sent, and no complete
                                     header block of HTTP/1 or 2 came back */
    CONDUIT_FAIL_REDIRECT,        /* 3xx */
    CONDUIT_FAIL_BLOCKED,         /* an address that the policy refuses */
    CONDUIT_FAIL_STATUS           /* any other status */
} conduit_failure_e;

#define CONDUIT_FAIL_N  9


/* pauses[i] in ms follows the attempt i + 1; n may be 0 */

typedef struct {
    uint32_t  pauses[CONDUIT_RETRY_PAUSES_MAX];
    unsigned  n;
    unsigned  jitter;             /* percent by which a pause may be longer */
} conduit_retry_t;


/* "dns", "connect", ... "status"; CONDUIT_FAIL_NONE has an empty one */
const conduit_str_t *conduit_failure_word(conduit_failure_e failure);

/*
 * The class of a final HTTP status: NONE for 2xx, REDIRECT for 3xx, STATUS for
 * the rest from 400; what is no final status (101, 0) is PROTOCOL.
 */
conduit_failure_e conduit_failure_status(unsigned status);

/*
 * Whether an attempt with this outcome may be made again: dns, connect, tls,
 * timeout and protocol may, and of status 408, 425, 429 and 500 to 599.
 * These are also the outcomes that a circuit breaker counts.  status is
 * looked at for CONDUIT_FAIL_STATUS only.  Returns 1 or 0.
 */
int conduit_failure_transient(conduit_failure_e failure, unsigned status);

/*
 * How long to wait after an attempt that failed and may be made again.
 * attempts is how many have been made by this schedule, from 1; after_ms is
 * what conduit_retry_after_read() has returned, or -1; rnd is any number, from
 * which the jitter is made.  The pause, in ms from the end of the attempt, is
 * never shorter than the schedule says, and never longer than its own jitter
 * or Retry-After make it.  Returns CONDUIT_OK, or CONDUIT_DECLINED when that
 * was the last attempt.
 */
int conduit_retry_pause(const conduit_retry_t *retry, unsigned attempts,
    int64_t after_ms, uint32_t rnd, uint64_t *pause);

/*
 * Reads a value of Retry-After (RFC 9110, 10.2.3): whole or decimal seconds,
 * or one of the three forms of an HTTP date (5.6.7), with blanks around it.
 * now is the wall clock in ms since the epoch.  Returns milliseconds, rounded
 * up and at most max, or -1 for what is invalid, and for dates not in the
 * future.
 */
int64_t conduit_retry_after_read(const u_char *p, size_t len, int64_t now,
    int64_t max);

/* the same for a webhook's reply: -1 unless its status is 429 or 503 */
int64_t conduit_retry_after_reply(unsigned status, const u_char *p,
    size_t len, int64_t now);

/*
 * An HTTP date in any of its three forms, with nothing around it.  The name of
 * the day is not looked at; the year of two digits is 1970 to 2069.  Returns
 * CONDUIT_OK with seconds since the epoch, or CONDUIT_ERROR.
 */
int conduit_http_date(const u_char *p, size_t len, int64_t *seconds);

/*
 * A decimal number, perhaps with a fraction, times scale, rounded up, and at
 * most max, which is at most 2^40.  Returns CONDUIT_OK or CONDUIT_ERROR.
 */
int conduit_retry_decimal(const u_char *p, size_t len, unsigned scale,
    int64_t max, int64_t *n);


#endif /* _CONDUIT_RETRY_H_INCLUDED_ */
