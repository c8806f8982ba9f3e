
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * Retry-After, against the C library where that knows the form: strtod() for
 * seconds, strptime() for dates; and the pauses that are
 * made of it.
 */


#define _GNU_SOURCE

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "conduit_retry.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_seconds(const char *text, int64_t ms);
static void fuzz_date(const char *text, size_t len);
static void fuzz_pause(const uint8_t *data, size_t size, int64_t after);


#define FUZZ_NOW  ((int64_t) 784111777 * 1000 + 500)
#define FUZZ_MAX  86400000


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char     *text;
    int64_t   ms;

    text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }

    memcpy(text, data, size);
    text[size] = '\0';

    ms = conduit_retry_after_read(data, size, FUZZ_NOW, FUZZ_MAX);

    if (ms < -1 || ms > FUZZ_MAX) {
        abort();
    }

    if (strlen(text) == size) {
        fuzz_seconds(text, ms);
        fuzz_date(text, size);

    } else if (ms != -1) {
        abort();
    }

    fuzz_pause(data, size, ms);

    free(text);

    return 0;
}


/* a plain decimal number is that many seconds, or at most a ms more */

static void
fuzz_seconds(const char *text, int64_t ms)
{
    char    *end;
    double   value;
    size_t   i;

    while (*text == ' ' || *text == '\t') {
        text++;
    }

    if (!isdigit((unsigned char) *text)) {
        return;
    }

    for (i = 0; isdigit((unsigned char) text[i]) || text[i] == '.'; i++) {
        /* void */
    }

    value = strtod(text, &end);

    if (end != text + i || text[i - 1] == '.'
        || text[i + strspn(text + i, " \t")] != '\0')
    {
        return;
    }

    value *= 1000;

    if (value > FUZZ_MAX) {
        value = FUZZ_MAX;
    }

    /* digits behind the sixth of a fraction do not count */

    if (ms < 0 || (double) ms < floor(value - 0.01)
        || (double) ms > ceil(value + 0.01))
    {
        abort();
    }
}


/* what is taken as a date, others read as the same one */

static void
fuzz_date(const char *text, size_t len)
{
    char        copy[64], *p;
    size_t      i;
    int64_t     seconds;
    struct tm   tm;

    if (conduit_http_date((const u_char *) text, len, &seconds) != CONDUIT_OK) {
        return;
    }

    if (seconds < -(int64_t) 63000000000 || seconds > (int64_t) 253405000000) {
        abort();
    }

    /* the name of the day may be anything; the others insist on a real one */

    i = strcspn(text, " ,");

    if (len - i + 4 > sizeof(copy)) {
        return;
    }

    memcpy(copy, "Sun", 3);
    memcpy(copy + 3, text + i, len - i + 1);
    memset(&tm, 0, sizeof(tm));

    p = strptime(copy, "Sun, %d %b %Y %H:%M:%S GMT", &tm);

    if (p == NULL || *p) {
        p = strptime(copy, "Sun, %d-%b-%y %H:%M:%S GMT", &tm);
    }

    if (p == NULL || *p) {
        p = strptime(copy, "Sun %b %d %H:%M:%S %Y", &tm);
    }

    if (p == NULL || *p || tm.tm_year < 0
        || (text[i] == ',' && text[i + 4] == '-'
            && (tm.tm_year == 169 || tm.tm_year == 69)))
    {
        return;
    }

    if (timegm(&tm) != seconds) {
        abort();
    }
}


static void
fuzz_pause(const uint8_t *data, size_t size, int64_t after)
{
    size_t           i;
    uint32_t         rnd;
    uint64_t         pause, least, most;
    conduit_retry_t  retry;

    memset(&retry, 0, sizeof(retry));

    if (size < 3) {
        return;
    }

    retry.n = data[0] % (CONDUIT_RETRY_PAUSES_MAX + 1);
    retry.jitter = data[1] % (CONDUIT_RETRY_JITTER_MAX + 1);

    for (i = 0; i < retry.n; i++) {
        retry.pauses[i] = (uint32_t) data[i % size] << (data[2] % 24);

        if (retry.pauses[i] > CONDUIT_RETRY_PAUSE_MAX) {
            retry.pauses[i] = CONDUIT_RETRY_PAUSE_MAX;
        }
    }

    for (i = 0; i < CONDUIT_RETRY_PAUSES_MAX + 3; i++) {
        rnd = (uint32_t) (data[i % size] * 2654435761u + i);

        if (conduit_retry_pause(&retry, (unsigned) i, after, rnd, &pause)
            != CONDUIT_OK)
        {
            if (i > 0 && i <= retry.n) {
                abort();
            }

            continue;
        }

        if (i == 0 || i > retry.n) {
            abort();
        }

        least = retry.pauses[i - 1];
        most = least + least * retry.jitter / 100;

        if (after > 0) {
            after = (after > CONDUIT_RETRY_AFTER_MAX) ? CONDUIT_RETRY_AFTER_MAX
                                                      : after;
            least = (least > (uint64_t) after) ? least : (uint64_t) after;
            most = (most > (uint64_t) after) ? most : (uint64_t) after;
        }

        if (pause < least || pause > most) {
            abort();
        }
    }
}
