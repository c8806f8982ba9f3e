
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


u_char *
conduit_time_write(u_char *dst, int64_t ms)
{
    int       i, year, month, day;
    int64_t   days;
    unsigned  rest, fields[6];

    days = ms / 86400000;
    rest = (unsigned) (ms % 86400000);

    /* the inverse of conduit_days(), within the era of 400 years */

    days += 719468;
    year = (int) (days / 146097) * 400;
    day = (int) (days % 146097);

    i = (day - day / 1460 + day / 36524 - day / 146096) / 365;

    year += i;
    day -= 365 * i + i / 4 - i / 100;

    month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;

    month += 3;

    if (month > 12) {
        month -= 12;
        year++;
    }

    fields[0] = (unsigned) month;
    fields[1] = (unsigned) day + 1;
    fields[2] = rest / 3600000;
    fields[3] = rest / 60000 % 60;
    fields[4] = rest / 1000 % 60;
    fields[5] = rest % 1000;

    *dst++ = (u_char) ('0' + year / 1000);
    *dst++ = (u_char) ('0' + year / 100 % 10);
    *dst++ = (u_char) ('0' + year / 10 % 10);
    *dst++ = (u_char) ('0' + year % 10);

    for (i = 0; i < 5; i++) {
        *dst++ = (u_char) "--T::"[i];
        *dst++ = (u_char) ('0' + fields[i] / 10);
        *dst++ = (u_char) ('0' + fields[i] % 10);
    }

    *dst++ = '.';
    *dst++ = (u_char) ('0' + fields[5] / 100);
    *dst++ = (u_char) ('0' + fields[5] / 10 % 10);
    *dst++ = (u_char) ('0' + fields[5] % 10);
    *dst++ = 'Z';

    return dst;
}


u_char *
conduit_number_write(u_char *dst, uint64_t n)
{
    size_t  len;
    u_char  text[20];

    len = sizeof(text);

    do {
        text[--len] = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    memcpy(dst, text + len, sizeof(text) - len);

    return dst + sizeof(text) - len;
}
