
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_retry.h"


#define CONDUIT_RETRY_DIGITS  ((int64_t) 1 << 40)


static int conduit_date_pick(const u_char *p, const u_char *last,
    const char *form, int field[6]);
static int conduit_date_month(const u_char *p, const u_char *last);
static int conduit_date_digit(int *field, u_char ch, u_char filler);
static int conduit_date_valid(const int field[6]);
static int64_t conduit_date_epoch(const int field[6]);


enum { YEAR = 0, MONTH, DAY, HOUR, MINUTE, SECOND };


#define conduit_word(s)  { sizeof(s) - 1, (u_char *) s }


static const conduit_str_t  conduit_failure_words[CONDUIT_FAIL_N] = {
    conduit_word(""),
    conduit_word("dns"),
    conduit_word("connect"),
    conduit_word("tls"),
    conduit_word("timeout"),
    conduit_word("protocol"),
    conduit_word("redirect"),
    conduit_word("blocked"),
    conduit_word("status")
};


const conduit_str_t *
conduit_failure_word(conduit_failure_e failure)
{
    return &conduit_failure_words[failure];
}


conduit_failure_e
conduit_failure_status(unsigned status)
{
    if (status < 200) {
        return CONDUIT_FAIL_PROTOCOL;
    }

    if (status < 300) {
        return CONDUIT_FAIL_NONE;
    }

    return (status < 400) ? CONDUIT_FAIL_REDIRECT : CONDUIT_FAIL_STATUS;
}


int
conduit_failure_transient(conduit_failure_e failure, unsigned status)
{
    switch (failure) {

    case CONDUIT_FAIL_DNS:
    case CONDUIT_FAIL_CONNECT:
    case CONDUIT_FAIL_TLS:
    case CONDUIT_FAIL_TIMEOUT:
    case CONDUIT_FAIL_PROTOCOL:
        return 1;

    case CONDUIT_FAIL_STATUS:
        return status == 408 || status == 425 || status == 429
               || (status >= 500 && status <= 599);

    default:
        return 0;
    }
}


int
conduit_retry_pause(const conduit_retry_t *retry, unsigned attempts,
    int64_t after_ms, uint32_t rnd, uint64_t *pause)
{
    uint64_t  ms, more;

    if (attempts == 0 || attempts > retry->n) {
        return CONDUIT_DECLINED;
    }

    ms = retry->pauses[attempts - 1];

    /* 0 to jitter percent on top: never earlier than what was asked for */

    more = ms * retry->jitter / 100;

    if (more > 0) {
        ms += rnd % (more + 1);
    }

    if (after_ms > CONDUIT_RETRY_AFTER_MAX) {
        after_ms = CONDUIT_RETRY_AFTER_MAX;
    }

    if (after_ms > 0 && (uint64_t) after_ms > ms) {
        ms = (uint64_t) after_ms;
    }

    *pause = ms;

    return CONDUIT_OK;
}


int64_t
conduit_retry_after_reply(unsigned status, const u_char *p, size_t len,
    int64_t now)
{
    if (status != 429 && status != 503) {
        return -1;
    }

    return conduit_retry_after_read(p, len, now, CONDUIT_RETRY_AFTER_MAX);
}


int64_t
conduit_retry_after_read(const u_char *p, size_t len, int64_t now, int64_t max)
{
    int64_t  ms, seconds;

    while (len > 0 && (*p == ' ' || *p == '\t')) {
        p++;
        len--;
    }

    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
        len--;
    }

    if (conduit_retry_decimal(p, len, 1000, max, &ms) == CONDUIT_OK) {
        return ms;
    }

    if (conduit_http_date(p, len, &seconds) != CONDUIT_OK
        || seconds * 1000 <= now)
    {
        return -1;
    }

    ms = seconds * 1000 - now;

    return (ms > max) ? max : ms;
}


int
conduit_retry_decimal(const u_char *p, size_t len, unsigned scale,
    int64_t max, int64_t *n)
{
    size_t   i;
    int64_t  v, part, unit;

    v = 0;

    for (i = 0; i < len && p[i] >= '0' && p[i] <= '9'; i++) {
        if (v < CONDUIT_RETRY_DIGITS) {
            v = v * 10 + (p[i] - '0');
        }
    }

    if (i == 0) {
        return CONDUIT_ERROR;
    }

    part = 0;
    unit = 1;

    if (i + 1 < len && p[i] == '.') {

        for (i++; i < len && p[i] >= '0' && p[i] <= '9'; i++) {

            if (unit < 1000000) {
                part = part * 10 + (p[i] - '0');
                unit *= 10;
            }
        }
    }

    if (i < len) {
        return CONDUIT_ERROR;
    }

    v = v * scale + (part * scale + unit - 1) / unit;

    *n = (v > max) ? max : v;

    return CONDUIT_OK;
}


/* "*" is the name of a day, "_" a digit or a blank */

int
conduit_http_date(const u_char *p, size_t len, int64_t *seconds)
{
    int            field[6];
    const u_char  *last;

    last = p + len;

    if (conduit_date_pick(p, last, "*, dd m yyyy HH:ii:ss GMT", field)
        == CONDUIT_OK)
    {
        goto found;
    }

    if (conduit_date_pick(p, last, "*, dd-m-yy HH:ii:ss GMT", field)
        == CONDUIT_OK)
    {
        field[YEAR] += (field[YEAR] < 70) ? 2000 : 1900;
        goto found;
    }

    if (conduit_date_pick(p, last, "* m _d HH:ii:ss yyyy", field)
        == CONDUIT_OK)
    {
        goto found;
    }

    return CONDUIT_ERROR;

found:

    if (!conduit_date_valid(field)) {
        return CONDUIT_ERROR;
    }

    *seconds = conduit_date_epoch(field);

    return CONDUIT_OK;
}


static int
conduit_date_pick(const u_char *p, const u_char *last, const char *form,
    int field[6])
{
    const char  *where;

    static const char  letters[] = "ymdHis";

    memset(field, 0, 6 * sizeof(int));

    for ( /* void */ ; *form; form++) {

        if (*form == '*') {
            while (p < last && (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') {
                p++;
            }

            continue;
        }

        if (*form == 'm') {
            field[MONTH] = conduit_date_month(p, last);

            if (field[MONTH] == 0) {
                return CONDUIT_ERROR;
            }

            p += 3;
            continue;
        }

        if (p == last) {
            return CONDUIT_ERROR;
        }

        if (*form == '_') {

            if (conduit_date_digit(&field[DAY], *p++, ' ') != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

            continue;
        }

        where = strchr(letters, *form);

        if (where == NULL) {

            if (*p++ != (u_char) *form) {
                return CONDUIT_ERROR;
            }

            continue;
        }

        if (conduit_date_digit(&field[where - letters], *p++, '0')
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return (p == last) ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_date_digit(int *field, u_char ch, u_char filler)
{
    if (ch == filler) {
        ch = '0';
    }

    if (ch < '0' || ch > '9') {
        return CONDUIT_ERROR;
    }

    *field = *field * 10 + (ch - '0');

    return CONDUIT_OK;
}


/* 1..12, or 0 */

static int
conduit_date_month(const u_char *p, const u_char *last)
{
    int  i;

    static const char  names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    if (last - p < 3) {
        return 0;
    }

    for (i = 0; i < 12; i++) {
        if (memcmp(p, names + i * 3, 3) == 0) {
            return i + 1;
        }
    }

    return 0;
}


static int
conduit_date_valid(const int field[6])
{
    return field[DAY] >= 1 && field[DAY] <= 31 && field[HOUR] < 24
           && field[MINUTE] < 60 && field[SECOND] < 61;
}


/* days from 1 March of the year 0, whose leap day is then the last one */

static int64_t
conduit_date_epoch(const int field[6])
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
