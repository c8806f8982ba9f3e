
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_slot.h"


static const u_char *conduit_redirect_number(const u_char *p,
    const u_char *last, unsigned max, unsigned *n);


unsigned
conduit_slot(const u_char *key, size_t len)
{
    int            bit;
    unsigned       crc;
    const u_char  *p, *last, *opened, *closed;

    p = key;
    last = key + len;

    opened = len ? memchr(key, '{', len) : NULL;

    if (opened) {
        closed = memchr(opened, '}', last - opened);

        if (closed && closed > opened + 1) {
            p = opened + 1;
            last = closed;
        }
    }

    crc = 0;

    for ( /* void */ ; p < last; p++) {
        crc ^= (unsigned) *p << 8;

        for (bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
        }
    }

    return crc % CONDUIT_SLOTS;
}


int
conduit_redirect_parse(conduit_redirect_t *redirect, const u_char *text,
    size_t len)
{
    const u_char  *p, *last, *host, *colon;

    p = text;
    last = text + len;

    if (len > 6 && memcmp(p, "MOVED ", 6) == 0) {
        redirect->ask = 0;
        p += 6;

    } else if (len > 4 && memcmp(p, "ASK ", 4) == 0) {
        redirect->ask = 1;
        p += 4;

    } else {
        return CONDUIT_DECLINED;
    }

    p = conduit_redirect_number(p, last, CONDUIT_SLOTS - 1, &redirect->slot);

    if (p == NULL || p == last || *p != ' ') {
        return CONDUIT_ERROR;
    }

    host = ++p;
    colon = NULL;

    for ( /* void */ ; p < last; p++) {
        if (*p == ':') {
            colon = p;
        }
    }

    if (colon == NULL
        || conduit_redirect_number(colon + 1, last, 65535, &redirect->port)
           != last
        || redirect->port == 0)
    {
        return CONDUIT_ERROR;
    }

    redirect->host.data = (u_char *) host;
    redirect->host.len = colon - host;

    if (redirect->host.len == 1 && *host == '?') {
        redirect->host.len = 0;
    }

    return CONDUIT_OK;
}


/* what follows the digits, of which there is at least one; else NULL */

static const u_char *
conduit_redirect_number(const u_char *p, const u_char *last, unsigned max,
    unsigned *n)
{
    const u_char  *begin;

    *n = 0;

    for (begin = p; p < last && *p >= '0' && *p <= '9'; p++) {
        *n = *n * 10 + (*p - '0');

        if (*n > max) {
            return NULL;
        }
    }

    return (p == begin) ? NULL : p;
}
