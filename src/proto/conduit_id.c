
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_id.h"


#define CONDUIT_NO_DIGIT  0x80

#define N  CONDUIT_NO_DIGIT

/* what a lower case hexadecimal digit stands for */

static const u_char  conduit_hex_values[256] = {
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N, 10, 11, 12, 13, 14, 15,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
     N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N
};

#undef N


static const u_char  conduit_hex_digits[] = "0123456789abcdef";

static const u_char  conduit_base62_digits[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";


void
conduit_uuid_make(u_char *id)
{
    id[6] = (u_char) ((id[6] & 0x0f) | 0x40);
    id[8] = (u_char) ((id[8] & 0x3f) | 0x80);
}


void
conduit_uuid_write(u_char *dst, const u_char *id)
{
    size_t  i;

    for (i = 0; i < CONDUIT_UUID_BYTES; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *dst++ = '-';
        }

        *dst++ = conduit_hex_digits[id[i] >> 4];
        *dst++ = conduit_hex_digits[id[i] & 0xf];
    }
}


int
conduit_uuid_parse(u_char *id, const u_char *p, size_t len)
{
    size_t    i;
    unsigned  hi, lo, bad;

    if (len != CONDUIT_UUID_LEN
        || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
    {
        return CONDUIT_DECLINED;
    }

    /* without a branch for each digit: every status poll comes along here */

    bad = 0;

    for (i = 0; i < CONDUIT_UUID_BYTES; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            p++;
        }

        hi = conduit_hex_values[p[0]];
        lo = conduit_hex_values[p[1]];

        bad |= hi | lo;
        id[i] = (u_char) ((hi << 4 | lo) & 0xff);

        p += 2;
    }

    if ((bad & CONDUIT_NO_DIGIT)
        || (id[6] & 0xf0) != 0x40 || (id[8] & 0xc0) != 0x80)
    {
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


void
conduit_base62(u_char *dst, const u_char *bytes)
{
    size_t    i, n, half;
    uint64_t  v;

    half = CONDUIT_BASE62_LEN / 2;

    /* in halves: divisions of 64 bits by a constant are multiplications */

    for (i = 0; i < 2; i++) {

        for (v = 0, n = 0; n < 8; n++) {
            v = v << 8 | bytes[8 * i + n];
        }

        for (n = half; n > 0; n--) {
            dst[half * i + n - 1] = conduit_base62_digits[v % 62];
            v /= 62;
        }
    }
}


int
conduit_request_id_check(const u_char *p, size_t len)
{
    u_char  ch;
    size_t  i;

    if (len == 0 || len > CONDUIT_REQUEST_ID_MAX) {
        return CONDUIT_DECLINED;
    }

    for (i = 0; i < len; i++) {
        ch = p[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9')
            || ch == '.' || ch == '_' || ch == ':' || ch == '-')
        {
            continue;
        }

        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}
