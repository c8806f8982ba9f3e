
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_BUCKET_H_INCLUDED_
#define _CONDUIT_BUCKET_H_INCLUDED_


#include "conduit.h"


/*
 * A token bucket: a value that may live in shared memory, all arithmetic in
 * integers, so that nothing drifts.  A token is 60000 units, which makes the
 * units that arrive in a millisecond equal to the rate per minute: a rate
 * may change under a live bucket (reload) without converting its level.
 */

#define CONDUIT_BUCKET_TOKEN      60000
#define CONDUIT_RATE_MAX          60000000
#define CONDUIT_RATE_BURST_MAX    1000000


/* per_minute 0 is "no limit"; burst is the capacity in tokens, at least 1 */

typedef struct {
    uint32_t  per_minute;
    uint32_t  burst;
} conduit_rate_t;


/* all zeros is a bucket never used, which is full */

typedef struct {
    uint64_t  level;              /* units */
    uint64_t  debt;               /* units; 0 unless the level is 0 */
    uint64_t  last_ms;
    uint32_t  used;
} conduit_bucket_t;


/* what the rate limit headers of one reply say */

typedef struct {
    uint32_t  limit;              /* q: capacity */
    uint32_t  window;             /* w: seconds that refill all of it */
    uint32_t  left;               /* r: whole tokens left */
    uint32_t  reset;              /* t: seconds until it is full again */
    uint64_t  retry_ms;           /* until the next token, 0 if there is one */
} conduit_rate_state_t;


/*
 * Takes one token.  now_ms is a monotonic clock of this host; a time before
 * the last one seen adds nothing and takes nothing back, for the workers'
 * cached clocks differ by some milliseconds.  Returns CONDUIT_OK, or
 * CONDUIT_DECLINED when there is no whole token, which leaves the level as it
 * is.  In both cases *state is filled in (draft-ietf-httpapi-ratelimit-headers:
 * q, w, r, t).  rate->per_minute must not be 0.
 */
int conduit_bucket_take(conduit_bucket_t *b, const conduit_rate_t *rate,
    uint64_t now_ms, conduit_rate_state_t *state);

/*
 * Takes n tokens that have been given away elsewhere, be they there or not:
 * what is missing comes in later before any token does.  At most what makes
 * the bucket full and one minute more is owed.
 */
void conduit_bucket_charge(conduit_bucket_t *b, const conduit_rate_t *rate,
    uint32_t n, uint64_t now_ms);

/* the same numbers without taking a token */
void conduit_bucket_peek(conduit_bucket_t *b, const conduit_rate_t *rate,
    uint64_t now_ms, conduit_rate_state_t *state);

/*
 * Reads "off", "600r/m" or "10r/s", with an optional " burst=N" behind blanks
 * (the form used in JSON files of keys).  Without burst it is 1.  Returns
 * CONDUIT_OK or CONDUIT_ERROR with *err saying what is wrong.
 */
int conduit_rate_parse(conduit_rate_t *rate, const u_char *p, size_t len,
    const char **err);


#endif /* _CONDUIT_BUCKET_H_INCLUDED_ */
