
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Retry-After and its relatives. */


#include "conduit_provider.h"


static int conduit_retry_decimal(const conduit_str_t *text, unsigned scale,
    int64_t *ms);
static int conduit_retry_date(const conduit_str_t *text, int64_t *seconds);
static int conduit_retry_month(const u_char *p);
static int conduit_retry_pick(const conduit_str_t *text, const char *form,
    int field[6]);
static int conduit_retry_digit(int *field, u_char ch);
static int64_t conduit_retry_epoch(const int field[6]);


#define CONDUIT_RETRY_DAY  ((int64_t) 86400 * 1000)

enum { YEAR = 0, MONTH, DAY, HOUR, MINUTE, SECOND };


int64_t
conduit_retry_after(const conduit_reply_t *reply)
{
    int64_t        ms, seconds;
    conduit_str_t  value;

    if (reply->header == NULL) {
        return -1;
    }

    if (reply->header(reply->data, "retry-after-ms", &value) == CONDUIT_OK
        && conduit_retry_decimal(&value, 1, &ms) == CONDUIT_OK)
    {
        return ms;
    }

    if (reply->header(reply->data, "Retry-After", &value) != CONDUIT_OK) {
        return -1;
    }

    if (conduit_retry_decimal(&value, 1000, &ms) == CONDUIT_OK) {
        return ms;
    }

    if (conduit_retry_date(&value, &seconds) != CONDUIT_OK
        || seconds <= (int64_t) reply->now)
    {
        return -1;
    }

    seconds -= (int64_t) reply->now;

    return (seconds >= 86400) ? CONDUIT_RETRY_DAY : seconds * 1000;
}


/* a number, perhaps with a fraction, times scale, rounded up */

static int
conduit_retry_decimal(const conduit_str_t *text, unsigned scale, int64_t *ms)
{
    size_t   i;
    int64_t  n, part, unit;

    n = 0;

    for (i = 0; i < text->len && text->data[i] >= '0' && text->data[i] <= '9';
         i++)
    {
        if (n < CONDUIT_RETRY_DAY) {
            n = n * 10 + (text->data[i] - '0');
        }
    }

    if (i == 0) {
        return CONDUIT_ERROR;
    }

    part = 0;
    unit = 1;

    if (i + 1 < text->len && text->data[i] == '.') {

        for (i++; i < text->len && text->data[i] >= '0'
                  && text->data[i] <= '9'; i++)
        {
            if (unit < 1000000) {
                part = part * 10 + (text->data[i] - '0');
                unit *= 10;
            }
        }
    }

    if (i < text->len) {
        return CONDUIT_ERROR;
    }

    n = n * scale + (part * scale + unit - 1) / unit;
    *ms = (n > CONDUIT_RETRY_DAY) ? CONDUIT_RETRY_DAY : n;

    return CONDUIT_OK;
}


/* the three forms of RFC 9110, 5.6.7; "*" skips to the next blank or comma */

static int
conduit_retry_date(const conduit_str_t *text, int64_t *seconds)
{
    int  field[6];

    if (conduit_retry_pick(text, "*, dd mmm yyyy HH:ii:ss GMT", field)
        == CONDUIT_OK)
    {
        *seconds = conduit_retry_epoch(field);
        return CONDUIT_OK;
    }

    if (conduit_retry_pick(text, "*, dd-mmm-yy HH:ii:ss GMT", field)
        == CONDUIT_OK)
    {
        field[YEAR] += (field[YEAR] < 70) ? 2000 : 1900;
        *seconds = conduit_retry_epoch(field);
        return CONDUIT_OK;
    }

    if (conduit_retry_pick(text, "* mmm dd HH:ii:ss yyyy", field)
        == CONDUIT_OK)
    {
        *seconds = conduit_retry_epoch(field);
        return CONDUIT_OK;
    }

    return CONDUIT_ERROR;
}


static int
conduit_retry_pick(const conduit_str_t *text, const char *form, int field[6])
{
    u_char      *p, *last;
    const char  *f, *where;

    static const char  letters[] = "ymdHis";

    memset(field, 0, 6 * sizeof(int));

    p = text->data;
    last = p + text->len;

    for (f = form; *f; f++) {

        if (*f == '*') {

            while (p < last && *p != ' ' && *p != ',') {
                p++;
            }

            continue;
        }

        if (p == last) {
            return CONDUIT_ERROR;
        }

        if (f[0] == 'm') {

            if (last - p < 3) {
                return CONDUIT_ERROR;
            }

            field[MONTH] = conduit_retry_month(p);
            p += 3;
            f += 2;
            continue;
        }

        where = strchr(letters, *f);

        if (where == NULL) {

            if (*p++ != (u_char) *f) {
                return CONDUIT_ERROR;
            }

            continue;
        }

        if (conduit_retry_digit(&field[where - letters], *p++) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }
    }

    return (p == last && field[MONTH] && field[DAY] >= 1 && field[DAY] <= 31
            && field[HOUR] < 24 && field[MINUTE] < 60 && field[SECOND] < 61)
           ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_retry_digit(int *field, u_char ch)
{
    if (ch == ' ' && *field == 0) {

        /* asctime() writes " 6" */

        return CONDUIT_OK;
    }

    if (ch < '0' || ch > '9') {
        return CONDUIT_ERROR;
    }

    *field = *field * 10 + (ch - '0');

    return CONDUIT_OK;
}


/* 1..12, or 0 */

static int
conduit_retry_month(const u_char *p)
{
    int  i;

    static const char  names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (i = 0; i < 12; i++) {

        if (memcmp(p, names + i * 3, 3) == 0) {
            return i + 1;
        }
    }

    return 0;
}


/* days from 1 March of the year 0, whose leap day is then the last one */

static int64_t
conduit_retry_epoch(const int field[6])
{
    int64_t  y, m, days;

    y = field[YEAR];
    m = field[MONTH] - 3;

    if (m < 0) {
        m += 12;
        y--;
    }

    days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5
           + field[DAY] - 1 - 719468;

    return days * 86400 + field[HOUR] * 3600 + field[MINUTE] * 60
           + field[SECOND];
}
