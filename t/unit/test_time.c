
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_time.h"
#include "tap.h"


static void test_write(void);


int
main(void)
{
    size_t   i;
    int64_t  t;

    static const struct {
        const char  *text;
        int64_t      seconds;
    } good[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2027-01-01T00:00:00Z", 1798761600 },
        { "2024-02-29T12:34:56Z", 1709210096 },
        { "2000-02-29T23:59:59.999Z", 951868799 },
        { "2100-03-01T00:00:00Z", 4107542400LL },
        { "2016-12-31T23:59:60Z", 1483228800 },
        { "9999-12-31T23:59:59Z", 253402300799LL },
        { "2026-08-31T00:00:00.5Z", 1788134400 }
    };

    static const char  *bad[] = {
        "", "2027-01-01", "2027-01-01T00:00:00", "2027-01-01 00:00:00Z",
        "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z",
        "2027-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2027-04-31T00:00:00Z", "2027-01-00T00:00:00Z",
        "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z",
        "2027-01-01T00:00:61Z", "2027-01-01T00:00:00z",
        "2027-01-01T00:00:00.Z", "2027-01-01T00:00:00+00:00",
        "2027-01-01T00:00:00Z ", "1969-12-31T23:59:59Z",
        "+027-01-01T00:00:00Z", "2027-1-01T00:00:000Z"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        t = -1;
        is_num(conduit_time_parse((const u_char *) good[i].text,
                                  strlen(good[i].text), &t),
               CONDUIT_OK, "%s", good[i].text);
        is_num(t, good[i].seconds, "its seconds");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_time_parse((const u_char *) bad[i], strlen(bad[i]), &t),
               CONDUIT_ERROR, "no time: \"%s\"", bad[i]);
    }

    test_write();

    return done_testing();
}


/* written times are read back: all days to 2399, at various times of day */

static void
test_write(void)
{
    size_t   bad;
    u_char   buf[CONDUIT_TIME_LEN], *end;
    int64_t  s, t;

    static const struct {
        int64_t      ms;
        const char  *text;
    } good[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 951782400999LL, "2000-02-29T00:00:00.999Z" },
        { 1705764645123, "2024-01-20T15:30:45.123Z" },
        { 4107542399000, "2100-02-28T23:59:59.000Z" },
        { 253402300799999, "9999-12-31T23:59:59.999Z" }
    };

    for (s = 0; s < (int64_t) (sizeof(good) / sizeof(good[0])); s++) {
        end = conduit_time_write(buf, good[s].ms);
        is_num(end - buf, CONDUIT_TIME_LEN, "length");
        ok(memcmp(buf, good[s].text, CONDUIT_TIME_LEN) == 0, "writes %s",
           good[s].text);
    }

    bad = 0;

    for (s = 0; s < 430 * (int64_t) 31556952; s += 86399) {
        (void) conduit_time_write(buf, s * 1000 + s % 1000);
        t = -1;
        bad += (conduit_time_parse(buf, CONDUIT_TIME_LEN, &t) != CONDUIT_OK
                || t != s);
    }

    is_num(bad, 0, "all days are read back");

    end = conduit_number_write(buf, 0);
    ok(end - buf == 1 && buf[0] == '0', "0");
    end = conduit_number_write(buf, UINT64_MAX);
    ok(end - buf == 20 && memcmp(buf, "18446744073709551615", 20) == 0,
       "the largest number");
}
