
/*
 * Copyright (C) Conduit for nginx authors
 */


/* never more than the limit in any window */


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


static void test_minute(void);
static void test_widths(void);
static void test_changed(void);
static void test_charge(void);
static void test_parse(void);


int
main(void)
{
    test_minute();
    test_widths();
    test_changed();
    test_charge();
    test_parse();

    return done_testing();
}


static void
test_minute(void)
{
    int               wrong;
    uint32_t          i, n, worst;
    uint64_t          now, wait;
    conduit_window_t  w;

    memset(&w, 0, sizeof(w));

    for (i = 0; i < LIMIT; i++) {
        is_num(conduit_window_wait(&w, LIMIT, 60000, 1000500), 0,
               "call %u of %d goes at once", i + 1, LIMIT);
        conduit_window_add(&w);
    }

    wait = conduit_window_wait(&w, LIMIT, 60000, 1000500);
    ok(wait >= 60050 && wait <= 61100,
       "one more has to wait for a minute: %u ms", (unsigned) wait);
    ok(conduit_window_wait(&w, LIMIT, 60000, 1000500 + wait - 1) > 0,
       "not a millisecond less");
    is_num(conduit_window_wait(&w, LIMIT, 60000, 1000500 + wait), 0,
           "then it goes");
    ok(conduit_window_wait(&w, LIMIT + 1, 60000, 1000500) == 0,
       "a raised limit lets it go at once");

    memset(&w, 0, sizeof(w));
    now = 123456789;
    n = 0;
    wrong = 0;

    for (i = 0; i < STEPS; i++) {
        now += next() % 4000;

        wait = conduit_window_wait(&w, LIMIT, 60000, now);

        if (wait) {
            wrong += conduit_window_wait(&w, LIMIT, 60000, now + wait) != 0;
            now += wait;
            i++;
        }

        conduit_window_add(&w);
        times[n++] = now;
    }

    worst = 0;

    for (i = 0; i + LIMIT < n; i++) {
        worst += times[i + LIMIT] - times[i] < 60050;
    }

    is_num(worst, 0, "no 60 s of %u calls saw more than %d", n, LIMIT);
    is_num(wrong, 0, "what is told to wait may go after that time");

    now += 3600000;
    is_num(conduit_window_wait(&w, LIMIT, 60000, now), 0,
           "a long pause empties it");
    is_num(w.total, 0, "to nothing");
}


/* windows of all lengths, the limit reached all the time */

static void
test_widths(void)
{
    size_t            k;
    uint32_t          i, n, worst, idle;
    uint64_t          now, wait;
    conduit_window_t  w;

    static const uint32_t  widths[] = { 1, 7, 59, 60, 61, 999, 1000, 60000 };

    for (k = 0; k < sizeof(widths) / sizeof(widths[0]); k++) {
        memset(&w, 0, sizeof(w));
        now = 5000;

        for (n = 0; n < STEPS / 10; n++) {
            wait = conduit_window_wait(&w, LIMIT, widths[k], now);
            now += wait;
            now += (next() % 8 == 0) ? next() % (widths[k] + 3) : 0;

            (void) conduit_window_wait(&w, LIMIT, widths[k], now);
            conduit_window_add(&w);
            times[n] = now;
        }

        worst = 0;
        idle = 0;

        for (i = 0; i + LIMIT < n; i++) {
            worst += times[i + LIMIT] - times[i] < widths[k] + 50;
        }

        for (i = 0; i + LIMIT < n; i++) {
            idle += times[i + LIMIT] - times[i]
                    > 4 * (uint64_t) widths[k] + 500;
        }

        is_num(worst, 0, "%u ms: no window saw more than %d", widths[k], LIMIT);
        is_num(idle, 0, "%u ms: nothing waits for much longer", widths[k]);
    }
}


/* a reload that changes the unit must not let twice as many go */

static void
test_changed(void)
{
    int               i;
    uint64_t          wait;
    conduit_window_t  w;

    memset(&w, 0, sizeof(w));

    for (i = 0; i < LIMIT; i++) {
        (void) conduit_window_wait(&w, LIMIT, 1000, 50000);
        conduit_window_add(&w);
    }

    ok(conduit_window_wait(&w, LIMIT, 60000, 50010) > 59000,
       "what a second has seen is in the minute");

    wait = conduit_window_wait(&w, LIMIT, 1000, 50020);
    ok(wait >= 1050 && wait <= 1100, "and back, in a second: %u ms",
       (unsigned) wait);
    is_num(conduit_window_wait(&w, LIMIT, 1000, 50020 + wait), 0,
           "after which all may go");
    is_num(w.total, 0, "for nothing is left");

    is_num(conduit_window_wait(&w, 1, 60000, 0), 0, "a step back");
}


static void
test_charge(void)
{
    uint64_t          wait;
    conduit_window_t  w;

    memset(&w, 0, sizeof(w));

    conduit_window_charge(&w, LIMIT - 1, 60000, 1000500);
    is_num(conduit_window_wait(&w, LIMIT, 60000, 1010500), 0,
           "others have left one");
    conduit_window_add(&w);
    conduit_window_charge(&w, 3 * LIMIT, 60000, 1020500);

    wait = conduit_window_wait(&w, LIMIT, 60000, 1020500);
    ok(wait >= 60050 && wait <= 61100,
       "far more than the limit are a window away: %u ms", (unsigned) wait);
    is_num(conduit_window_wait(&w, LIMIT, 60000, 1020500 + wait), 0,
           "and then forgotten");
}


static void
test_parse(void)
{
    size_t    i;
    uint32_t  limit, ms;

    static const struct {
        const char  *text;
        uint32_t     limit;
        uint32_t     ms;          /* 0: refused */
    } rates[] = {
        { "1000r/m", 1000, 60000 }, { "20r/s", 20, 1000 },
        { "1r/s", 1, 1000 }, { "007r/m", 7, 60000 },
        { "60000000r/m", 60000000, 60000 }, { "off", 0, 60000 },
        { "", 0, 0 }, { "0r/m", 0, 0 }, { "60000001r/m", 0, 0 },
        { "99999999999999999999r/m", 0, 0 }, { "5", 0, 0 }, { "5r", 0, 0 },
        { "5r/", 0, 0 }, { "5r/h", 0, 0 }, { "5 r/m", 0, 0 },
        { "5r/m ", 0, 0 }, { "5r/min", 0, 0 }, { "r/m", 0, 0 },
        { "-5r/m", 0, 0 }, { "+5r/m", 0, 0 }, { "5.5r/m", 0, 0 },
        { "OFF", 0, 0 }, { "5R/M", 0, 0 }, { "5r/m burst=3", 0, 0 }
    };

    for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        is_num(conduit_window_parse(&limit, &ms,
                                    (const u_char *) rates[i].text,
                                    strlen(rates[i].text)),
               rates[i].ms ? CONDUIT_OK : CONDUIT_ERROR, "rate \"%s\"",
               rates[i].text);

        if (rates[i].ms) {
            is_num(limit, rates[i].limit, "its number");
            is_num(ms, rates[i].ms, "its window");
        }
    }
}
