
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_addr.h"
#include "conduit_time.h"


#define MAPPED  96


static int conduit_addr_parse_v4(u_char *v4, const u_char *p,
    const u_char *last);
static int conduit_addr_parse_v6(u_char *addr, const u_char *p,
    const u_char *last);
static int conduit_addr_group(const u_char **pos, const u_char *last,
    unsigned *value);
static size_t conduit_addr_zeros(const u_char *addr, size_t *start);


static const u_char  conduit_addr_mapped[] =
    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0 };


void
conduit_addr_v4(u_char *addr, const u_char *v4)
{
    memcpy(addr, conduit_addr_mapped, 12);
    memcpy(addr + 12, v4, 4);
}


int
conduit_addr_parse(u_char *addr, const u_char *p, size_t len)
{
    u_char  v4[4];

    if (len == 0) {
        return CONDUIT_ERROR;
    }

    if (memchr(p, ':', len) != NULL) {
        return conduit_addr_parse_v6(addr, p, p + len);
    }

    if (conduit_addr_parse_v4(v4, p, p + len) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    conduit_addr_v4(addr, v4);

    return CONDUIT_OK;
}


static int
conduit_addr_parse_v4(u_char *v4, const u_char *p, const u_char *last)
{
    unsigned       i, n;
    const u_char  *start;

    for (i = 0; i < 4; i++) {

        if (i > 0) {
            if (p == last || *p != '.') {
                return CONDUIT_ERROR;
            }

            p++;
        }

        n = 0;

        for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
            n = n * 10 + (*p - '0');

            if (n > 255 || (p > start && *start == '0')) {
                return CONDUIT_ERROR;
            }
        }

        if (p == start) {
            return CONDUIT_ERROR;
        }

        v4[i] = (u_char) n;
    }

    return (p == last) ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_addr_parse_v6(u_char *addr, const u_char *p, const u_char *last)
{
    int            gap;
    size_t         n;
    unsigned       value;
    const u_char  *start;

    n = 0;
    gap = -1;

    memset(addr, 0, CONDUIT_ADDR_LEN);

    if (last - p >= 2 && p[0] == ':' && p[1] == ':') {
        gap = 0;
        p += 2;
    }

    while (p < last) {
        start = p;

        if (n == CONDUIT_ADDR_LEN
            || conduit_addr_group(&p, last, &value) != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }

        if (p < last && *p == '.') {

            if (n > CONDUIT_ADDR_LEN - 4
                || conduit_addr_parse_v4(addr + n, start, last) != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

            n += 4;
            break;
        }

        addr[n++] = (u_char) (value >> 8);
        addr[n++] = (u_char) (value & 0xff);

        if (p == last) {
            break;
        }

        if (*p++ != ':' || p == last) {
            return CONDUIT_ERROR;
        }

        if (*p == ':') {

            if (gap >= 0) {
                return CONDUIT_ERROR;
            }

            gap = (int) n;
            p++;
        }
    }

    if (gap < 0) {
        return (n == CONDUIT_ADDR_LEN) ? CONDUIT_OK : CONDUIT_ERROR;
    }

    /* "::" stands for one group of zeros at least */

    if (n > CONDUIT_ADDR_LEN - 2) {
        return CONDUIT_ERROR;
    }

    memmove(addr + CONDUIT_ADDR_LEN - (n - gap), addr + gap, n - gap);
    memset(addr + gap, 0, CONDUIT_ADDR_LEN - n);

    return CONDUIT_OK;
}


/* one to four hexadecimal digits */

static int
conduit_addr_group(const u_char **pos, const u_char *last, unsigned *value)
{
    u_char         ch;
    const u_char  *p;

    *value = 0;

    for (p = *pos; p < last; p++) {
        ch = *p;

        if (ch >= '0' && ch <= '9') {
            ch = (u_char) (ch - '0');

        } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
            ch = (u_char) ((ch | 0x20) - 'a' + 10);

        } else {
            break;
        }

        if (p - *pos == 4) {
            return CONDUIT_ERROR;
        }

        *value = *value * 16 + ch;
    }

    if (p == *pos) {
        return CONDUIT_ERROR;
    }

    *pos = p;

    return CONDUIT_OK;
}


u_char *
conduit_addr_write(u_char *dst, const u_char *addr)
{
    int       shift;
    size_t    i, n, start;
    unsigned  group;

    static const u_char  digits[] = "0123456789abcdef";

    if (conduit_addr_prefix(addr, conduit_addr_mapped, MAPPED)) {

        for (i = 12; i < CONDUIT_ADDR_LEN; i++) {
            dst = conduit_number_write(dst, addr[i]);
            *dst++ = '.';
        }

        return dst - 1;
    }

    n = conduit_addr_zeros(addr, &start);

    for (i = 0; i < 8; i++) {

        if (n && i == start) {
            *dst++ = ':';
            *dst++ = ':';
            i += n - 1;
            continue;
        }

        if (i && i != start + n) {
            *dst++ = ':';
        }

        group = (unsigned) addr[2 * i] << 8 | addr[2 * i + 1];

        for (shift = 12; shift > 0 && (group >> shift) == 0; shift -= 4) {
            /* void */
        }

        for ( /* void */ ; shift >= 0; shift -= 4) {
            *dst++ = digits[group >> shift & 0xf];
        }
    }

    return dst;
}


/* the first of the longest runs of two groups of zeros and more */

static size_t
conduit_addr_zeros(const u_char *addr, size_t *start)
{
    size_t  i, n, best;

    best = 0;
    *start = 8;

    for (i = 0; i < 8; i += n + 1) {

        for (n = 0; i + n < 8; n++) {
            if (addr[2 * (i + n)] || addr[2 * (i + n) + 1]) {
                break;
            }
        }

        if (n > 1 && n > best) {
            best = n;
            *start = i;
        }
    }

    return best;
}


int
conduit_cidr_parse(conduit_cidr_t *cidr, const u_char *p, size_t len)
{
    u_char         ch;
    unsigned       i, max, n;
    const u_char  *last, *slash;

    last = p + len;
    slash = (len == 0) ? NULL : memchr(p, '/', len);

    if (conduit_addr_parse(cidr->addr, p,
                           (size_t) ((slash ? slash : last) - p))
        != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    cidr->bits = 8 * CONDUIT_ADDR_LEN;

    if (slash == NULL) {
        return CONDUIT_OK;
    }

    max = (memchr(p, ':', len) != NULL) ? 128 : 32;
    n = 0;

    if (slash + 1 == last || (slash[1] == '0' && last - slash > 2)) {
        return CONDUIT_ERROR;
    }

    for (p = slash + 1; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return CONDUIT_ERROR;
        }

        n = n * 10 + (*p - '0');

        if (n > max) {
            return CONDUIT_ERROR;
        }
    }

    cidr->bits = n + (128 - max);

    for (i = cidr->bits; i < 128; i++) {
        ch = cidr->addr[i / 8];

        if (ch & (0x80 >> (i % 8))) {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


int
conduit_cidr_match(const conduit_cidr_t *cidr, const u_char *addr)
{
    /* "::/0" says nothing about IPv4, which is only kept in its space */

    if (cidr->bits < MAPPED
        && conduit_addr_prefix(addr, conduit_addr_mapped, MAPPED))
    {
        return 0;
    }

    return conduit_addr_prefix(cidr->addr, addr, cidr->bits);
}


int
conduit_addr_prefix(const u_char *a, const u_char *b, unsigned bits)
{
    u_char  mask;

    if (memcmp(a, b, bits / 8) != 0) {
        return 0;
    }

    if (bits % 8 == 0) {
        return 1;
    }

    mask = (u_char) (0xff << (8 - bits % 8));

    return ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}
