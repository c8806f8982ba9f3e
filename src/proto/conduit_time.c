
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_time.h"


static int conduit_time_field(const u_char *p, int width, int min, int max);
static int conduit_month_days(int year, int month);
static int64_t conduit_days(int year, int month, int day);


int
conduit_time_parse(const u_char *p, size_t len, int64_t *seconds)
{
    int            year, month, day, hour, min, sec;
    const u_char  *last;

    if (len < 20 || p[4] != '-' || p[7] != '-' || p[10] != 'T'
        || p[13] != ':' || p[16] != ':')
    {
        return CONDUIT_ERROR;
    }

    year = conduit_time_field(p, 4, 1970, 9999);
    month = conduit_time_field(p + 5, 2, 1, 12);
    day = conduit_time_field(p + 8, 2, 1, 31);
    hour = conduit_time_field(p + 11, 2, 0, 23);
    min = conduit_time_field(p + 14, 2, 0, 59);
    sec = conduit_time_field(p + 17, 2, 0, 60);

    if (year < 0 || month < 0 || day < 0 || hour < 0 || min < 0 || sec < 0
        || day > conduit_month_days(year, month))
    {
        return CONDUIT_ERROR;
    }

    last = p + len;
    p += 19;

    if (*p == '.') {

        for (p++; p < last && *p >= '0' && *p <= '9'; p++) { /* void */ }

        if (p[-1] == '.') {
            return CONDUIT_ERROR;
        }
    }

    if (last - p != 1 || *p != 'Z') {
        return CONDUIT_ERROR;
    }

    *seconds = ((conduit_days(year, month, day) * 24 + hour) * 60 + min) * 60
               + sec;

    return CONDUIT_OK;
}


/* a decimal field of fixed width, or -1 */

static int
conduit_time_field(const u_char *p, int width, int min, int max)
{
    int  i, n;

    n = 0;

    for (i = 0; i < width; i++) {

        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }

        n = n * 10 + (p[i] - '0');
    }

    return (n < min || n > max) ? -1 : n;
}


static int
conduit_month_days(int year, int month)
{
    static const u_char  days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) {
        return 29;
    }

    return days[month - 1];
}


/* days since 1970-01-01; years that begin in March have their leap day last */

static int64_t
conduit_days(int year, int month, int day)
{
    month -= 2;

    if (month <= 0) {
        month += 12;
        year--;
    }

    /* 719468 days lie between March 1 of the year 0 and the epoch */

    return 365 * (int64_t) year + year / 4 - year / 100 + year / 400
           + 367 * month / 12 - 30 + day - 1 - 719468;
}
