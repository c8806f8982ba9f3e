
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_WINDOW_H_INCLUDED_
#define _CONDUIT_WINDOW_H_INCLUDED_


#include <conduit.h>


/*
 * At most so many in any window of time: a count for each 60th of the window,
 * and one for the part that is just going on.  All of them may come at once;
 * unlike a bucket with a burst, no window ever sees more than the limit.  A
 * window is counted 50 ms longer than it is, so that who receives what goes
 * out by it does not see more either.
 */

#define CONDUIT_WINDOW_SLOTS    61
#define CONDUIT_WINDOW_MINUTE   60000
#define CONDUIT_WINDOW_SECOND   1000


/* all zeros is an empty window */

typedef struct {
    uint64_t  slot;                           /* of the newest count */
    uint32_t  width;                          /* ms, of a slot */
    uint32_t  total;
    uint32_t  counts[CONDUIT_WINDOW_SLOTS];
} conduit_window_t;


/*
 * Whether one more may go now.  window_ms is the length of the window, from 1
 * to 2^31 - 1; what was counted under another length counts as just done.
 * now_ms is a monotonic clock; a step back counts as the newest time seen.
 * Returns 0 if it may, else in how many milliseconds the next one may go.
 */
uint64_t conduit_window_wait(conduit_window_t *w, uint32_t limit,
    uint32_t window_ms, uint64_t now_ms);

/* counts one; wait() has just returned 0 */
void conduit_window_add(conduit_window_t *w);

/* counts n that have gone elsewhere, of late, which the limit may not allow */
void conduit_window_charge(conduit_window_t *w, uint32_t n,
    uint32_t window_ms, uint64_t now_ms);

/*
 * Reads a rate of which the unit is the window: "1000r/m" is at most 1000 in
 * any 60 seconds, "20r/s" at most 20 in any second, "off" a limit of 0, which
 * means none.  Returns CONDUIT_OK or CONDUIT_ERROR.
 */
int conduit_window_parse(uint32_t *limit, uint32_t *window_ms,
    const u_char *p, size_t len);


#endif /* _CONDUIT_WINDOW_H_INCLUDED_ */
