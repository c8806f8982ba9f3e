
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_breaker.h"
#include "tap.h"


static void test_opens(void);
static void test_counts(void);
static void test_probe(void);
static void test_ramp(void);
static void test_in_flight(void);
static void test_lost_probe(void);
static void test_limits(void);
static int may(conduit_breaker_ticket_t *t, uint32_t running);
static conduit_breaker_change_e fail(const conduit_breaker_ticket_t *t);
static conduit_breaker_change_e done(const conduit_breaker_ticket_t *t);
static void open_it(void);


#define LIMIT  10

static const conduit_breaker_conf_t  conf = { 5, 60000, 15000 };

static uint64_t           now, pause;
static conduit_breaker_t  b;


int
main(void)
{
    test_opens();
    test_counts();
    test_probe();
    test_ramp();
    test_in_flight();
    test_lost_probe();
    test_limits();

    return done_testing();
}


static int
may(conduit_breaker_ticket_t *t, uint32_t running)
{
    pause = 12345;

    return conduit_breaker_begin(&b, &conf, running, LIMIT, now, t, &pause)
           == CONDUIT_OK;
}


static conduit_breaker_change_e
fail(const conduit_breaker_ticket_t *t)
{
    return conduit_breaker_end(&b, &conf, t, CONDUIT_FAIL_CONNECT, 0, LIMIT,
                               now);
}


static conduit_breaker_change_e
done(const conduit_breaker_ticket_t *t)
{
    return conduit_breaker_end(&b, &conf, t, CONDUIT_FAIL_NONE, 200, LIMIT,
                               now);
}


/* a new breaker that has just opened */

static void
open_it(void)
{
    int                       i;
    conduit_breaker_ticket_t  t;

    memset(&b, 0, sizeof(b));
    now = 1000000;

    for (i = 0; i < 5; i++) {
        (void) may(&t, 0);
        (void) fail(&t);
    }
}


static void
test_opens(void)
{
    int                       i;
    conduit_breaker_ticket_t  t;

    memset(&b, 0, sizeof(b));
    now = 1000;

    for (i = 1; i < 5; i++) {
        ok(may(&t, 0), "attempt %d goes out", i);
        is_num(fail(&t), CONDUIT_BREAKER_SAME, "its failure is counted");
        is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_CLOSED,
               "it stays closed");
    }

    ok(may(&t, 0), "attempt 5 goes out");
    is_num(fail(&t), CONDUIT_BREAKER_TRIPPED, "its failure trips it");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_OPEN, "open");

    ok(!may(&t, 0), "nothing goes out");
    is_num(pause, 60000, "for the whole reset");

    now += 59999;
    ok(!may(&t, 0), "not a millisecond too early");
    is_num(pause, 1, "which is what is told");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_OPEN, "open");

    now++;
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_HALF_OPEN,
           "then half-open");
    ok(may(&t, 0), "and the probe goes out");
    is_num(t.probe, 1, "as such");
}


static void
test_counts(void)
{
    int                       i;
    size_t                    k;
    conduit_breaker_ticket_t  t;

    static const struct {
        conduit_failure_e  failure;
        unsigned           status;
        int                opens;
    } outcomes[] = {
        { CONDUIT_FAIL_DNS, 0, 1 }, { CONDUIT_FAIL_CONNECT, 0, 1 },
        { CONDUIT_FAIL_TLS, 0, 1 }, { CONDUIT_FAIL_TIMEOUT, 0, 1 },
        { CONDUIT_FAIL_PROTOCOL, 0, 1 }, { CONDUIT_FAIL_STATUS, 500, 1 },
        { CONDUIT_FAIL_STATUS, 429, 1 }, { CONDUIT_FAIL_STATUS, 408, 1 },
        { CONDUIT_FAIL_STATUS, 404, 0 }, { CONDUIT_FAIL_STATUS, 410, 0 },
        { CONDUIT_FAIL_STATUS, 600, 0 }, { CONDUIT_FAIL_REDIRECT, 302, 0 },
        { CONDUIT_FAIL_BLOCKED, 0, 0 }, { CONDUIT_FAIL_NONE, 204, 0 }
    };

    for (k = 0; k < sizeof(outcomes) / sizeof(outcomes[0]); k++) {
        memset(&b, 0, sizeof(b));

        for (i = 0; i < 5; i++) {
            (void) may(&t, 0);
            (void) conduit_breaker_end(&b, &conf, &t, outcomes[k].failure,
                                       outcomes[k].status, LIMIT, now);
        }

        is_num(b.state != CONDUIT_BREAKER_CLOSED, outcomes[k].opens,
               "five times %s %u",
               (char *) conduit_failure_word(outcomes[k].failure)->data,
               outcomes[k].status);
    }

    /* four failures and a final one do not open it, four and a success ... */

    memset(&b, 0, sizeof(b));

    for (i = 0; i < 4; i++) {
        (void) may(&t, 0);
        (void) fail(&t);
    }

    (void) may(&t, 0);
    (void) conduit_breaker_end(&b, &conf, &t, CONDUIT_FAIL_STATUS, 404, LIMIT,
                               now);
    is_num(b.failures, 4, "a 404 does not begin the count anew");

    (void) may(&t, 0);
    (void) done(&t);
    is_num(b.failures, 0, "a success does");
}


static void
test_probe(void)
{
    uint64_t                  begun;
    conduit_breaker_ticket_t  t, other;

    open_it();
    now += 60000;

    ok(may(&t, 7), "the probe does not wait for what runs");
    ok(!may(&other, 0), "there is one only");
    is_num(pause, 15000, "until it is lost");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_HALF_OPEN,
           "half-open");

    begun = now += 9000;
    is_num(fail(&t), CONDUIT_BREAKER_REOPENED, "it fails");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_OPEN, "open again");
    ok(!may(&t, 0), "nothing goes out");
    is_num(pause, 60000, "for another full reset");

    now = begun + 60000;
    ok(may(&t, 0), "the second probe");

    is_num(conduit_breaker_end(&b, &conf, &t, CONDUIT_FAIL_STATUS, 404, LIMIT,
                               now),
           CONDUIT_BREAKER_SAME, "a 404 tells nothing");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_HALF_OPEN,
           "still half-open");
    ok(may(&t, 0), "so the next attempt is the probe");
    is_num(t.probe, 1, "as such");

    conduit_breaker_cancel(&b, &t);
    ok(may(&t, 0), "one that was not made gives its place free");

    is_num(done(&t), CONDUIT_BREAKER_RECOVERED, "the next one succeeds");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_CLOSED, "closed");

    conduit_breaker_cancel(&b, &t);
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_CLOSED,
           "a late cancel changes nothing");
}


static void
test_ramp(void)
{
    size_t                    i;
    uint32_t                  running;
    conduit_breaker_ticket_t  t;

    static const uint32_t  widths[] = { 1, 2, 4, 8, 10, 10 };

    open_it();
    now += 60000;

    (void) may(&t, 0);
    (void) done(&t);

    for (i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {

        for (running = 0; may(&t, running); running++) { /* void */ }

        is_num(running, widths[i], "after %zu successes %u may run", i,
               widths[i]);
        is_num(pause, 0, "more when one has ended");

        (void) done(&t);
    }

    /* a limit that is no power of two, and one of 1 */

    open_it();
    now += 60000;

    (void) may(&t, 0);
    (void) conduit_breaker_end(&b, &conf, &t, CONDUIT_FAIL_NONE, 200, 3, now);

    is_num(conduit_breaker_begin(&b, &conf, 1, 3, now, &t, &pause),
           CONDUIT_DECLINED, "one of three");
    (void) conduit_breaker_end(&b, &conf, &t, CONDUIT_FAIL_NONE, 200, 3, now);
    is_num(conduit_breaker_begin(&b, &conf, 2, 3, now, &t, &pause),
           CONDUIT_DECLINED, "two of three");
    (void) conduit_breaker_end(&b, &conf, &t, CONDUIT_FAIL_NONE, 200, 3, now);
    is_num(conduit_breaker_begin(&b, &conf, 2, 3, now, &t, &pause),
           CONDUIT_OK, "all three");

    open_it();
    now += 60000;

    (void) may(&t, 0);
    (void) conduit_breaker_end(&b, &conf, &t, CONDUIT_FAIL_NONE, 200, 1, now);
    is_num(conduit_breaker_begin(&b, &conf, 0, 1, now, &t, &pause),
           CONDUIT_OK, "one of one");
}


static void
test_in_flight(void)
{
    int                       i;
    conduit_breaker_ticket_t  early[8], probe;

    memset(&b, 0, sizeof(b));
    now = 1000000;

    for (i = 0; i < 8; i++) {
        ok(may(&early[i], i), "%d on their way", i + 1);
    }

    for (i = 0; i < 5; i++) {
        (void) fail(&early[i]);
    }

    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_OPEN, "open");

    now += 5000;
    is_num(fail(&early[5]), CONDUIT_BREAKER_SAME, "a late failure");
    is_num(b.until, 1060000, "does not prolong it");

    now = 1060000;
    ok(may(&probe, 2), "the probe");
    is_num(fail(&early[6]), CONDUIT_BREAKER_SAME, "a later failure");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_HALF_OPEN,
           "is not the probe's");

    is_num(done(&early[7]), CONDUIT_BREAKER_RECOVERED, "a late success");
    is_num(conduit_breaker_state(&b, now), CONDUIT_BREAKER_CLOSED,
           "closes it");
    is_num(b.ramp, 1, "with the ramp");

    is_num(fail(&probe), CONDUIT_BREAKER_SAME, "then the probe fails");
    is_num(b.failures, 1, "which is one failure of a closed one");

    open_it();
    early[0].epoch = 0;
    early[0].probe = 0;
    is_num(done(&early[0]), CONDUIT_BREAKER_RECOVERED,
           "a success closes an open one before its time");
}


static void
test_lost_probe(void)
{
    conduit_breaker_ticket_t  lost, probe;

    open_it();
    now += 60000;

    ok(may(&lost, 0), "a probe whose process is killed");

    now += 14999;
    ok(!may(&probe, 0), "is waited for");
    now++;
    ok(may(&probe, 0), "but not for ever");

    is_num(fail(&lost), CONDUIT_BREAKER_SAME,
           "if it was late only, its failure is not the new probe's");
    conduit_breaker_cancel(&b, &lost);
    ok(!may(&lost, 0), "nor is its place");
    is_num(fail(&probe), CONDUIT_BREAKER_REOPENED, "the new probe's is");
}


static void
test_limits(void)
{
    conduit_breaker_ticket_t  t;

    memset(&b, 0, sizeof(b));
    now = 0;

    ok(may(&t, LIMIT - 1), "the last place");
    ok(!may(&t, LIMIT), "no place");
    is_num(pause, 0, "until one has ended");
    ok(!may(&t, UINT32_MAX), "more than there should be");

    open_it();
    now = 5;
    ok(!may(&t, 0), "a clock that steps back");
    is_num(pause, 1000000 + 60000 - 5, "waits");
}
