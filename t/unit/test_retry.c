
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_retry.h"
#include "tap.h"


static void test_words(void);
static void test_statuses(void);
static void test_transient(void);
static void test_pauses(void);
static void test_jitter(void);
static void test_seconds(void);
static void test_dates(void);
static void test_replies(void);


/* Sun, 06 Nov 1994 08:49:37 GMT */

#define NOW  ((int64_t) 784111777 * 1000)

#define HOUR_MS  3600000

#define read_at(text, now)                                                    \
    conduit_retry_after_read((const u_char *) (text), strlen(text), now,      \
                             HOUR_MS)


int
main(void)
{
    test_words();
    test_statuses();
    test_transient();
    test_pauses();
    test_jitter();
    test_seconds();
    test_dates();
    test_replies();

    return done_testing();
}


static void
test_words(void)
{
    int                   i;
    const conduit_str_t  *word;

    static const char  *words[CONDUIT_FAIL_N] = {
        "", "dns", "connect", "tls", "timeout", "protocol", "redirect",
        "blocked", "status"
    };

    for (i = 0; i < CONDUIT_FAIL_N; i++) {
        word = conduit_failure_word((conduit_failure_e) i);
        is_mem(word->data, word->len, words[i], strlen(words[i]),
               "the word of %d", i);
    }
}


static void
test_statuses(void)
{
    size_t  i;

    static const struct {
        unsigned           status;
        conduit_failure_e  failure;
    } statuses[] = {
        { 0, CONDUIT_FAIL_PROTOCOL }, { 100, CONDUIT_FAIL_PROTOCOL },
        { 101, CONDUIT_FAIL_PROTOCOL }, { 199, CONDUIT_FAIL_PROTOCOL },
        { 200, CONDUIT_FAIL_NONE }, { 204, CONDUIT_FAIL_NONE },
        { 226, CONDUIT_FAIL_NONE }, { 299, CONDUIT_FAIL_NONE },
        { 300, CONDUIT_FAIL_REDIRECT }, { 302, CONDUIT_FAIL_REDIRECT },
        { 304, CONDUIT_FAIL_REDIRECT }, { 399, CONDUIT_FAIL_REDIRECT },
        { 400, CONDUIT_FAIL_STATUS }, { 410, CONDUIT_FAIL_STATUS },
        { 503, CONDUIT_FAIL_STATUS }, { 600, CONDUIT_FAIL_STATUS },
        { 999, CONDUIT_FAIL_STATUS }
    };

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        is_num(conduit_failure_status(statuses[i].status),
               statuses[i].failure, "the class of %u", statuses[i].status);
    }
}


static void
test_transient(void)
{
    unsigned  status, expected;

    static const conduit_failure_e  again[] = {
        CONDUIT_FAIL_DNS, CONDUIT_FAIL_CONNECT, CONDUIT_FAIL_TLS,
        CONDUIT_FAIL_TIMEOUT, CONDUIT_FAIL_PROTOCOL
    };

    for (status = 0; status < sizeof(again) / sizeof(again[0]); status++) {
        ok(conduit_failure_transient(again[status], 0),
           "%s is tried again",
           (char *) conduit_failure_word(again[status])->data);
    }

    ok(!conduit_failure_transient(CONDUIT_FAIL_NONE, 200), "success is not");
    ok(!conduit_failure_transient(CONDUIT_FAIL_REDIRECT, 302), "nor redirect");
    ok(!conduit_failure_transient(CONDUIT_FAIL_BLOCKED, 0), "nor blocked");
    ok(!conduit_failure_transient(CONDUIT_FAIL_REDIRECT, 503),
       "the class decides");

    expected = 0;

    for (status = 400; status < 1000; status++) {
        expected += conduit_failure_transient(CONDUIT_FAIL_STATUS, status)
                    == (status == 408 || status == 425 || status == 429
                        || status / 100 == 5);
    }

    is_num(expected, 600, "of status 408, 425, 429 and 5xx are");
}


static void
test_pauses(void)
{
    uint64_t         pause;
    conduit_retry_t  retry = { { 2000, 4000, 8000 }, 3, 0 };

    pause = 99;

    is_num(conduit_retry_pause(&retry, 0, -1, 7, &pause), CONDUIT_DECLINED,
           "no attempt, no pause");
    is_num(conduit_retry_pause(&retry, 1, -1, 7, &pause), CONDUIT_OK,
           "after the first");
    is_num(pause, 2000, "two seconds");
    is_num(conduit_retry_pause(&retry, 2, -1, 7, &pause), CONDUIT_OK,
           "after the second");
    is_num(pause, 4000, "four");
    is_num(conduit_retry_pause(&retry, 3, -1, 7, &pause), CONDUIT_OK,
           "after the third");
    is_num(pause, 8000, "eight");
    is_num(conduit_retry_pause(&retry, 4, -1, 7, &pause), CONDUIT_DECLINED,
           "the fourth is the last");
    is_num(conduit_retry_pause(&retry, 4, 5000, 7, &pause), CONDUIT_DECLINED,
           "whatever the receiver asks for");
    is_num(conduit_retry_pause(&retry, 4000000000u, -1, 7, &pause),
           CONDUIT_DECLINED, "far beyond");

    (void) conduit_retry_pause(&retry, 1, 5000, 7, &pause);
    is_num(pause, 5000, "Retry-After makes it longer");
    (void) conduit_retry_pause(&retry, 1, 1999, 7, &pause);
    is_num(pause, 2000, "never shorter");
    (void) conduit_retry_pause(&retry, 1, 0, 7, &pause);
    is_num(pause, 2000, "not by 0 either");
    (void) conduit_retry_pause(&retry, 1, INT64_MAX, 7, &pause);
    is_num(pause, HOUR_MS, "an hour at most");

    retry.pauses[0] = 2 * HOUR_MS;
    (void) conduit_retry_pause(&retry, 1, HOUR_MS, 7, &pause);
    is_num(pause, 2 * HOUR_MS, "a schedule may have longer ones");

    retry.n = 0;
    is_num(conduit_retry_pause(&retry, 1, -1, 7, &pause), CONDUIT_DECLINED,
           "without pauses there is one attempt");
}


static void
test_jitter(void)
{
    int              wrong;
    uint32_t         rnd;
    uint64_t         pause, least, most;
    conduit_retry_t  retry = { { 1000, CONDUIT_RETRY_PAUSE_MAX }, 2, 20 };

    least = UINT64_MAX;
    most = 0;

    for (rnd = 0; rnd < 5000; rnd++) {
        (void) conduit_retry_pause(&retry, 1, -1, rnd * 2654435761u, &pause);

        least = (pause < least) ? pause : least;
        most = (pause > most) ? pause : most;
    }

    is_num(least, 1000, "jitter never makes a pause shorter");
    is_num(most, 1200, "and longer by its percentage at most");

    wrong = 0;
    retry.jitter = 100;

    for (rnd = 0; rnd < 5000; rnd++) {
        (void) conduit_retry_pause(&retry, 2, -1, UINT32_MAX - rnd, &pause);
        wrong += pause < CONDUIT_RETRY_PAUSE_MAX
                 || pause > 2 * (uint64_t) CONDUIT_RETRY_PAUSE_MAX;
    }

    is_num(wrong, 0, "the longest pause with the largest jitter");
}


static void
test_seconds(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        int64_t      ms;
    } values[] = {
        { "0", 0 }, { "5", 5000 }, { "120", 120000 }, { "007", 7000 },
        { "1.5", 1500 }, { "0.001", 1 }, { "0.0001", 1 }, { "2.9999", 3000 },
        { " 5\t", 5000 }, { "3600", HOUR_MS }, { "3601", HOUR_MS },
        { "99999999999999999999999999", HOUR_MS },
        { "0.00000000000000000000000000000000000001", 0 },
        { "", -1 }, { " ", -1 }, { "-5", -1 }, { "+5", -1 }, { "5s", -1 },
        { "5 6", -1 }, { ".5", -1 }, { "5.", -1 }, { "1e3", -1 },
        { "1.5.5", -1 }, { "0x10", -1 }, { "soon", -1 }, { "5,5", -1 },
        { "NaN", -1 }, { "inf", -1 }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        is_num(read_at(values[i].text, NOW), values[i].ms, "\"%s\"",
               values[i].text);
    }
}


static void
test_dates(void)
{
    size_t   i;
    int64_t  seconds;

    /* from the time 08:49:37, which is also the example of RFC 9110 */

    static const struct {
        const char  *text;
        int64_t      ms;
    } dates[] = {
        { "Sun, 06 Nov 1994 08:49:38 GMT", 1000 },
        { "Sunday, 06-Nov-94 08:49:47 GMT", 10000 },
        { "Sun Nov  6 08:50:37 1994", 60000 },
        { "Sun Nov 06 08:50:37 1994", 60000 },
        { "Sun Nov 16 08:50:37 1994", HOUR_MS },
        { "Sun, 06 Nov 1994 08:49:37 GMT", -1 },
        { "Sun, 06 Nov 1994 08:49:36 GMT", -1 },
        { "Thu, 01 Jan 1970 00:00:00 GMT", -1 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", HOUR_MS },
        { "Tuesday, 19-Jan-38 03:14:08 GMT", HOUR_MS },
        { "Tuesday, 19-Jan-70 03:14:08 GMT", -1 },
        { "Xyz, 06 Nov 1994 08:49:38 GMT", 1000 },
        { "Sun, 06 Nov 1994 08:49:38 UTC", -1 },
        { "Sun, 06 Nov 1994 08:49:38", -1 },
        { "Sun, 06 Nov 1994 08:49:38 GMT+1", -1 },
        { "Sun, 6 Nov 1994 08:49:38 GMT", -1 },
        { "Sun, 06 nov 1994 08:49:38 GMT", -1 },
        { "Sun, 32 Nov 1994 08:49:38 GMT", -1 },
        { "Sun, 00 Nov 1994 08:49:38 GMT", -1 },
        { "Sun,  6 Nov 1994 08:49:38 GMT", -1 },
        { "Sun, 06 Nov 1994 24:49:38 GMT", -1 },
        { "Sun, 06 Nov 1994 08:60:38 GMT", -1 },
        { "Sun, 06 Nov 1994 08:49:61 GMT", -1 },
        { "Sun, 06 Foo 1994 08:49:38 GMT", -1 },
        { "Sun, 06 No", -1 }, { "Sun, ", -1 }, { "Sun", -1 }, { ",", -1 },
        { "06 Nov 1994 08:49:38 GMT", -1 },
        { "1994-11-06T08:49:38Z", -1 }
    };

    for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        is_num(read_at(dates[i].text, NOW), dates[i].ms, "\"%s\"",
               dates[i].text);
    }

    is_num(read_at("Sun, 06 Nov 1994 08:49:38 GMT", NOW + 400), 600,
           "a date is as exact as the clock");

    is_num(conduit_http_date((const u_char *) "Thu, 29 Feb 2024 12:00:00 GMT",
                             29, &seconds),
           CONDUIT_OK, "a leap day");
    is_num(seconds, 1709208000, "in seconds");
    is_num(conduit_http_date((const u_char *) "Fri, 31 Dec 1999 23:59:59 GMT",
                             29, &seconds),
           CONDUIT_OK, "the end of a century");
    is_num(seconds, 946684799, "in seconds");
}


static void
test_replies(void)
{
    const u_char  *five = (const u_char *) "5";

    is_num(conduit_retry_after_reply(429, five, 1, NOW), 5000, "429");
    is_num(conduit_retry_after_reply(503, five, 1, NOW), 5000, "503");
    is_num(conduit_retry_after_reply(500, five, 1, NOW), -1, "not 500");
    is_num(conduit_retry_after_reply(200, five, 1, NOW), -1, "not 200");
    is_num(conduit_retry_after_reply(301, five, 1, NOW), -1, "not 301");
    is_num(conduit_retry_after_reply(408, five, 1, NOW), -1, "not 408");
    is_num(conduit_retry_after_reply(503, NULL, 0, NOW), -1, "no value");
}
