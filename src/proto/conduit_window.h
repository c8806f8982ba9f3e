
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_WINDOW_H_INCLUDED_
#define _CONDUIT_WINDOW_H_INCLUDED_


#include <conduit.h>


/*
 * At most so many in any 60 seconds: a count for each second of the last
 * minute.  All of them may come at once; unlike a bucket with a burst, no
 * window of a minute ever sees more than the limit.
 */

#define CONDUIT_WINDOW_SECONDS  61


/* all zeros is an empty window */

typedef struct {
    uint64_t  second;                         /* of the newest count */
    uint32_t  total;
    uint32_t  counts[CONDUIT_WINDOW_SECONDS];
} conduit_window_t;


/*
 * Whether one more may go now.  now_ms is a monotonic clock; a step back
 * counts as the newest second seen.  Returns 0 if it may, else in how many
 * milliseconds the next one may go.
 */
uint64_t conduit_window_wait(conduit_window_t *w, uint32_t limit,
    uint64_t now_ms);

/* counts one; wait() has just returned 0 */
void conduit_window_add(conduit_window_t *w);


#endif /* _CONDUIT_WINDOW_H_INCLUDED_ */
