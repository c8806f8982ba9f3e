
/*
 * Copyright (C) Conduit for nginx authors
 */


/* never more than the limit in any 60 seconds */


#include <conduit_window.h>
#include <tap.h>


#define LIMIT  7
#define STEPS  40000


static uint32_t  seed = 99;
static uint64_t  times[STEPS];


static uint32_t
next(void)
{
    seed = seed * 1664525u + 1013904223u;

    return seed >> 8;
}


int
main(void)
{
    int               wrong;
    uint32_t          i, n, worst;
    uint64_t          now, wait;
    conduit_window_t  w;

    memset(&w, 0, sizeof(w));

    for (i = 0; i < LIMIT; i++) {
        is_num(conduit_window_wait(&w, LIMIT, 1000500), 0,
               "call %u of %d goes at once", i + 1, LIMIT);
        conduit_window_add(&w);
    }

    wait = conduit_window_wait(&w, LIMIT, 1000500);
    ok(wait > 60000 - 500 && wait <= 61000,
       "one more has to wait for a minute: %u ms", (unsigned) wait);
    ok(conduit_window_wait(&w, LIMIT, 1000500 + wait - 1) > 0,
       "not a millisecond less");
    is_num(conduit_window_wait(&w, LIMIT, 1000500 + wait), 0,
           "then it goes");
    ok(conduit_window_wait(&w, LIMIT + 1, 1000500) == 0,
       "a raised limit lets it go at once");

    memset(&w, 0, sizeof(w));
    now = 123456789;
    n = 0;
    wrong = 0;

    for (i = 0; i < STEPS; i++) {
        now += next() % 4000;

        wait = conduit_window_wait(&w, LIMIT, now);

        if (wait) {
            wrong += conduit_window_wait(&w, LIMIT, now + wait) != 0;
            now += wait;
            i++;
        }

        conduit_window_add(&w);
        times[n++] = now;
    }

    worst = 0;

    for (i = 0; i + LIMIT < n; i++) {
        worst += times[i + LIMIT] - times[i] <= 60000;
    }

    is_num(worst, 0, "no 60 s of %u calls saw more than %d", n, LIMIT);
    is_num(wrong, 0, "what is told to wait may go after that time");

    now += 3600000;
    is_num(conduit_window_wait(&w, LIMIT, now), 0, "a long pause empties it");
    is_num(w.total, 0, "to nothing");

    return done_testing();
}
