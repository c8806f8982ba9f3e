
/*
 * Copyright (C) Conduit for nginx authors
 */


/* The sliding window against the list of all times; and rates as text. */


#include <stdlib.h>

#include "conduit_window.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define FUZZ_STEPS  2048


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            i, n, first;
    uint32_t          limit, length, parsed, ms;
    uint64_t          now, wait, times[FUZZ_STEPS];
    conduit_window_t  w;

    if (conduit_window_parse(&parsed, &ms, data, size) == CONDUIT_OK
        && ms != CONDUIT_WINDOW_MINUTE && ms != CONDUIT_WINDOW_SECOND)
    {
        abort();
    }

    if (size < 2) {
        return 0;
    }

    memset(&w, 0, sizeof(w));

    limit = 1 + data[0] % 50;
    length = 1 + (uint32_t) data[1] * 250;
    now = 100000;
    n = 0;
    first = 0;

    for (i = 2; i < size && n < FUZZ_STEPS; i++) {

        now += (uint64_t) data[i] % 128 * length / 500;

        wait = conduit_window_wait(&w, limit, length, now);

        if (wait > 2 * (uint64_t) length + 122) {
            abort();
        }

        if (wait && (data[i] & 0x80)) {

            /* exactly then it may go, and not before */

            if (conduit_window_wait(&w, limit, length, now + wait - 1) == 0) {
                abort();
            }

            now += wait;
            wait = conduit_window_wait(&w, limit, length, now);

            if (wait) {
                abort();
            }
        }

        if (wait == 0) {
            conduit_window_add(&w);
            times[n++] = now;
        }

        while (first < n && times[first] + length <= now) {
            first++;
        }

        if (n - first > limit) {
            abort();
        }
    }

    return 0;
}
