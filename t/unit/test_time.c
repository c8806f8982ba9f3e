
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_time.h"
#include "tap.h"


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

    return done_testing();
}
