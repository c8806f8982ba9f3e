
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_bucket.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_steps(const uint8_t *data, size_t size,
    const conduit_rate_t *rate);


/* the input is a rate, up to the first NUL, and then a list of pauses */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char      *err;
    const uint8_t   *nul;
    conduit_rate_t   rate;

    nul = size ? memchr(data, '\0', size) : NULL;

    if (nul == NULL) {
        (void) conduit_rate_parse(&rate, data, size, &err);
        return 0;
    }

    if (conduit_rate_parse(&rate, data, (size_t) (nul - data), &err)
        == CONDUIT_OK
        && rate.per_minute > 0)
    {
        fuzz_steps(nul + 1, size - (size_t) (nul + 1 - data), &rate);
    }

    return 0;
}


/* never more tokens than the burst and what time has brought */

static void
fuzz_steps(const uint8_t *data, size_t size, const conduit_rate_t *rate)
{
    size_t                i;
    uint64_t              now, start, latest, taken;
    conduit_bucket_t      b;
    conduit_rate_state_t  st;

    memset(&b, 0, sizeof(b));

    start = 1000000;
    now = start;
    latest = start;
    taken = 0;

    for (i = 0; i < size; i++) {

        /* the odd clock goes back by a few milliseconds */

        now = (data[i] > 250) ? now - (data[i] - 250)
                              : now + (uint64_t) data[i] * data[i];

        if (i == 0) {
            start = now;
            latest = now;
        }

        if (now > latest) {
            latest = now;
        }

        if (conduit_bucket_take(&b, rate, now, &st) == CONDUIT_OK) {
            taken++;

        } else if (st.retry_ms == 0) {
            abort();
        }

        if (st.left > st.limit || st.limit != rate->burst
            || st.reset > st.window)
        {
            abort();
        }

        if (taken > rate->burst
            && (taken - rate->burst) * CONDUIT_BUCKET_TOKEN
               > (latest - start) * rate->per_minute)
        {
            abort();
        }
    }
}
