
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_bucket.h"
#include "tap.h"


static void test_take(void);
static void test_refill(void);
static void test_numbers(void);
static void test_clock(void);
static void test_reload(void);
static void test_charge(void);
static void test_parse(void);


int
main(void)
{
    test_take();
    test_refill();
    test_numbers();
    test_clock();
    test_reload();
    test_charge();
    test_parse();

    return done_testing();
}


static void
test_take(void)
{
    int                   i, n;
    conduit_rate_t        rate = { 600, 100 };
    conduit_bucket_t      b;
    conduit_rate_state_t  st;

    memset(&b, 0, sizeof(b));

    for (i = 0, n = 0; i < 150; i++) {
        if (conduit_bucket_take(&b, &rate, 5000, &st) == CONDUIT_OK) {
            n++;
        }
    }

    is_num(n, 100, "a new bucket holds the burst");
    is_num(st.left, 0, "none left");
    is_num(st.retry_ms, 100, "the next token comes in 100 ms");
}


static void
test_refill(void)
{
    int                   i, n;
    uint64_t              now;
    conduit_rate_t        rate = { 7, 1 };
    conduit_bucket_t      b;
    conduit_rate_state_t  st;

    memset(&b, 0, sizeof(b));
    now = 1;

    is_num(conduit_bucket_take(&b, &rate, now, &st), CONDUIT_OK, "first");
    is_num(conduit_bucket_take(&b, &rate, now, &st), CONDUIT_DECLINED,
           "second");
    is_num(st.retry_ms, 8572, "60000 / 7 rounded up");

    is_num(conduit_bucket_take(&b, &rate, now + st.retry_ms - 1, &st),
           CONDUIT_DECLINED, "a millisecond early");
    is_num(st.retry_ms, 1, "one to go");
    is_num(conduit_bucket_take(&b, &rate, now + 8572, &st), CONDUIT_OK,
           "in time");

    /* no drift: an hour of asking each millisecond gives 7 a minute */

    memset(&b, 0, sizeof(b));
    n = 0;

    for (i = 0; i < 3600 * 1000; i++) {
        n += conduit_bucket_take(&b, &rate, now + i, &st) == CONDUIT_OK;
    }

    is_num(n, 1 + 60 * 7 - 1, "an hour");
}


static void
test_numbers(void)
{
    conduit_rate_t        rate = { 600, 100 };
    conduit_bucket_t      b;
    conduit_rate_state_t  st;

    memset(&b, 0, sizeof(b));

    conduit_bucket_take(&b, &rate, 1000, &st);

    is_num(st.limit, 100, "q");
    is_num(st.window, 10, "w");
    is_num(st.left, 99, "r");
    is_num(st.reset, 1, "t is rounded up");
    is_num(st.retry_ms, 0, "no wait");

    conduit_bucket_take(&b, &rate, 1000, &st);
    is_num(st.left, 98, "r falls");

    conduit_bucket_peek(&b, &rate, 1100, &st);
    is_num(st.left, 99, "a token came");

    conduit_bucket_peek(&b, &rate, UINT64_MAX, &st);
    is_num(st.left, 100, "full after a long pause");
    is_num(st.reset, 0, "t of a full bucket");
}


static void
test_clock(void)
{
    conduit_rate_t        rate = { 60, 2 };
    conduit_bucket_t      b;
    conduit_rate_state_t  st;

    memset(&b, 0, sizeof(b));

    conduit_bucket_take(&b, &rate, 10000, &st);
    conduit_bucket_take(&b, &rate, 9000, &st);
    is_num(st.left, 0, "a clock that goes back gives nothing");

    conduit_bucket_peek(&b, &rate, 10000, &st);
    is_num(st.left, 0, "and is not credited twice");

    conduit_bucket_peek(&b, &rate, 11000, &st);
    is_num(st.left, 1, "time after it counts");
}


static void
test_reload(void)
{
    conduit_rate_t        fast = { 600, 100 };
    conduit_rate_t        slow = { 60, 5 };
    conduit_rate_t        none = { 1, 0 };
    conduit_bucket_t      b;
    conduit_rate_state_t  st;

    memset(&b, 0, sizeof(b));

    conduit_bucket_take(&b, &fast, 1000, &st);
    conduit_bucket_take(&b, &slow, 1000, &st);
    is_num(st.left, 4, "a smaller burst cuts the level");

    conduit_bucket_take(&b, &fast, 1000, &st);
    is_num(st.left, 3, "a larger one gives nothing at once");

    memset(&b, 0, sizeof(b));
    is_num(conduit_bucket_take(&b, &none, 0, &st), CONDUIT_OK,
           "burst 0 is 1, and the clock may be 0");
    is_num(st.limit, 1, "q of burst 0");
}


static void
test_charge(void)
{
    int                   i, n;
    conduit_rate_t        rate = { 600, 10 };
    conduit_bucket_t      b;
    conduit_rate_state_t  st;

    memset(&b, 0, sizeof(b));

    conduit_bucket_charge(&b, &rate, 4, 1000);
    conduit_bucket_take(&b, &rate, 1000, &st);
    is_num(st.left, 5, "what others took is missing");

    conduit_bucket_charge(&b, &rate, 9, 1000);
    is_num(conduit_bucket_take(&b, &rate, 1000, &st), CONDUIT_DECLINED,
           "more than there is");
    is_num(st.left, 0, "none is left");
    is_num(st.retry_ms, 500, "four owed, and one");
    is_num(st.reset, 2, "fourteen until it is full");

    is_num(conduit_bucket_take(&b, &rate, 1499, &st), CONDUIT_DECLINED,
           "a millisecond early");
    is_num(conduit_bucket_take(&b, &rate, 1500, &st), CONDUIT_OK, "in time");

    /* two that tell each other once in a second give one rate together */

    memset(&b, 0, sizeof(b));
    n = 0;

    for (i = 0; i < 100000; i++) {
        n += conduit_bucket_take(&b, &rate, 5000 + i, &st) == CONDUIT_OK;

        if (i % 1000 == 999) {
            conduit_bucket_charge(&b, &rate, 5, 5000 + i);
        }
    }

    is_num(n, 10 + 999 - 99 * 5, "what is left of the rate");

    conduit_bucket_charge(&b, &rate, UINT32_MAX, 200000);
    conduit_bucket_peek(&b, &rate, 200000, &st);
    is_num(st.retry_ms, 1000 + 60000 + 100, "debts have an end");

    conduit_bucket_peek(&b, &rate, UINT64_MAX, &st);
    is_num(st.left, 10, "full after a long pause");
}


static void
test_parse(void)
{
    size_t          i;
    const char     *err;
    conduit_rate_t  rate;

    static const struct {
        const char  *text;
        uint32_t     per_minute;
        uint32_t     burst;
    } good[] = {
        { "off", 0, 1 },
        { "600r/m", 600, 1 },
        { "10r/s", 600, 1 },
        { "1200r/m burst=200", 1200, 200 },
        { "1r/s   burst=1000000", 60, 1000000 }
    };

    static const char  *bad[] = {
        "", "0r/m", "600", "600r", "600r/", "600r/h", "r/m", "-1r/m", "1.5r/s",
        "60000001r/m", "1000001r/s", "600r/mburst=1", "600r/m burst=0",
        "600r/m burst=", "600r/m burst=1 ", "600r/m burst=1000001",
        "600r/m  b", "off burst=1", "99999999999999999999r/m"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(conduit_rate_parse(&rate, (const u_char *) good[i].text,
                                  strlen(good[i].text), &err),
               CONDUIT_OK, "%s", good[i].text);
        is_num(rate.per_minute, good[i].per_minute, "its rate");
        is_num(rate.burst, good[i].burst, "its burst");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_rate_parse(&rate, (const u_char *) bad[i],
                                  strlen(bad[i]), &err),
               CONDUIT_ERROR, "no rate: \"%s\"", bad[i]);
    }
}
