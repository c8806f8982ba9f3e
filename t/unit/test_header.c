
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_header.h"
#include "tap.h"


#define arg(s)  (const u_char *) (s), strlen(s)


static void test_prefer(void);
static void test_etag(void);
static void test_idempotency(void);
static void test_bearer(void);
static void test_last_event_id(void);
static void test_accept(void);


int
main(void)
{
    test_prefer();
    test_etag();
    test_idempotency();
    test_bearer();
    test_last_event_id();
    test_accept();

    return done_testing();
}


static void
test_prefer(void)
{
    size_t    i;
    uint32_t  n;

    static const struct {
        const char  *text;
        uint32_t     seconds;
    } good[] = {
        { "wait=10", 10 },
        { "Wait=1", 1 },
        { "wait = 5", 5 },
        { "wait=\"7\"", 7 },
        { "respond-async, wait=3", 3 },
        { "respond-async;x=\"a,wait=9\", wait=3", 3 },
        { "wait=3; foo=bar", 3 },
        { "wait=3, wait=9", 3 },
        { " , ,\twait=3 ", 3 },
        { "x=\"\\\"\", wait=4", 4 },
        { "wait=99999999999", UINT32_MAX },
        { "wait=99999999999999999999999", UINT32_MAX }
    };

    static const char  *bad[] = {
        "", "wait", "wait=", "wait=0", "wait=-1", "wait=1.5", "wait=abc",
        "wait=\"\"", "wait=\"5", "await=5", "waiting=5", "handling=lenient",
        "x=\"wait=5\"", "wait=0, wait=5", "wait;wait=5"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        n = 0;
        ok(conduit_prefer_wait(arg(good[i].text), &n) == CONDUIT_OK
           && n == good[i].seconds, "Prefer: %s", good[i].text);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_prefer_wait(arg(bad[i]), &n), CONDUIT_DECLINED,
               "no wait in \"%s\"", bad[i]);
    }
}


static void
test_etag(void)
{
    size_t  i;

    static const char  *good[] = {
        "\"7\"", "W/\"7\"", "*", " * ", "\"1\", \"7\"", "\"1\",W/\"7\"",
        ",, \"7\"", "\"a,b\", \"7\"", "\"7\" , \"x"
    };

    static const char  *bad[] = {
        "", "7", "\"8\"", "\"77\"", "\"07\"", "\"7", "w/\"7\"", "\"\"",
        "**", "*, \"8\"", "\"-7\"", "\"7 \"", "7, \"7\"", "W/", "W/7",
        "\"18446744073709551623\""
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(conduit_etag_match(arg(good[i]), 7), 1, "matches: %s", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_etag_match(arg(bad[i]), 7), 0, "does not: %s", bad[i]);
    }

    is_num(conduit_etag_match(arg("\"0\""), 0), 1, "zero");
    is_num(conduit_etag_match(arg("\"18446744073709551615\""), UINT64_MAX), 1,
           "the largest");
}


static void
test_idempotency(void)
{
    char    text[300];
    size_t  i, n;
    u_char  buf[CONDUIT_IDEMPOTENCY_KEY_MAX];

    static const char  *bad[] = {
        "", "\"", "\"\"", "\"abc", "abc\xc3\xa4", "a\tb", "\"a\"b\"",
        "\"a\\b\"",
        "\"a\\\"", "a\x7f"
    };

    is_num(conduit_idempotency_key(arg("abc-1 2"), buf, &n), CONDUIT_OK,
           "bare");
    is_mem(buf, n, "abc-1 2", 7, "its bytes");

    is_num(conduit_idempotency_key(arg("\"abc-1 2\""), buf, &n), CONDUIT_OK,
           "quoted");
    is_mem(buf, n, "abc-1 2", 7, "is the same key");

    is_num(conduit_idempotency_key(arg("\"a\\\"\\\\\""), buf, &n), CONDUIT_OK,
           "escapes");
    is_mem(buf, n, "a\"\\", 3, "are undone");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_idempotency_key(arg(bad[i]), buf, &n), CONDUIT_ERROR,
               "refused: \"%s\"", bad[i]);
    }

    memset(text, 'k', sizeof(text));
    is_num(conduit_idempotency_key((u_char *) text, 255, buf, &n), CONDUIT_OK,
           "255 characters");
    is_num(n, 255, "all of them");
    is_num(conduit_idempotency_key((u_char *) text, 256, buf, &n),
           CONDUIT_ERROR, "256 characters");
}


static void
test_bearer(void)
{
    size_t         i;
    conduit_str_t  token;

    static const char  *good[][2] = {
        { "Bearer condt_x", "condt_x" },
        { "bearer condt_x", "condt_x" },
        { "BEARER   condt_x  ", "condt_x" },
        { "Bearer", "" },
        { "Bearer ", "" }
    };

    static const char  *bad[] = {
        "", "Basic eDp5", "Bear condt_x", "Bearercondt_x", "BearerToken x",
        " Bearer x"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(conduit_bearer(arg(good[i][0]), &token), CONDUIT_OK,
               "\"%s\"", good[i][0]);
        is_mem(token.data, token.len, good[i][1], strlen(good[i][1]),
               "its token");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_bearer(arg(bad[i]), &token), CONDUIT_DECLINED,
               "another scheme: \"%s\"", bad[i]);
    }
}


static void
test_last_event_id(void)
{
    size_t    i;
    uint64_t  id;

    static const char  *bad[] = {
        "", "x", "1x", "-1", " 1", "1.0", "18446744073709551616"
    };

    ok(conduit_last_event_id(arg("0"), &id) == CONDUIT_OK && id == 0, "0");
    ok(conduit_last_event_id(arg("18446744073709551615"), &id) == CONDUIT_OK
       && id == UINT64_MAX, "the largest");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_last_event_id(arg(bad[i]), &id), CONDUIT_DECLINED,
               "no number: \"%s\"", bad[i]);
    }
}


static void
test_accept(void)
{
    size_t  i;

    static const char  *good[] = {
        "text/event-stream", "Text/Event-Stream", "application/json, "
        "text/event-stream", "text/event-stream;q=0.5",
        "text/event-stream; charset=utf-8", "text/event-stream;q=0,"
        "text/event-stream"
    };

    static const char  *bad[] = {
        "", "*/*", "text/*", "text/event-streams", "text/event-stream;q=0",
        "text/event-stream; Q=0.000", "x/y;a=\"text/event-stream\"",
        "application/json"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(conduit_accepts_event_stream(arg(good[i])), 1, "%s", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_accepts_event_stream(arg(bad[i])), 0, "not %s", bad[i]);
    }
}
