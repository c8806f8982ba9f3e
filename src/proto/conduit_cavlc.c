
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_cavlc.h"


#define CONDUIT_CAVLC_DC  4


typedef struct {
    u_char    len;
    u_char    bits;
} conduit_cavlc_code_t;


typedef struct {
    int32_t     level[16];                   /* the last in the scan first */
    uint32_t    run[16];                     /* zeros in front of it */
    uint32_t    total;
    uint32_t    ones;                        /* trailing ones, at most 3 */
    uint32_t    zeros;
} conduit_cavlc_scan_t;


static void conduit_cavlc_byte(conduit_cavlc_t *cv, u_char byte);
static void conduit_cavlc_scan(conduit_cavlc_scan_t *scan,
    const int32_t *coeff, uint32_t max);
static void conduit_cavlc_levels(conduit_cavlc_t *cv,
    const conduit_cavlc_scan_t *scan);
static void conduit_cavlc_level(conduit_cavlc_t *cv, uint32_t code,
    uint32_t suffix);
static void conduit_cavlc_runs(conduit_cavlc_t *cv,
    const conduit_cavlc_scan_t *scan, uint32_t max);
static void conduit_cavlc_code(conduit_cavlc_t *cv,
    const conduit_cavlc_code_t *code);


/* table 9-5, 0 <= nC < 2: by total coefficients and trailing ones */

static const conduit_cavlc_code_t  conduit_cavlc_token[17][4] = {
    { { 1, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
    { { 6, 5 }, { 2, 1 }, { 0, 0 }, { 0, 0 } },
    { { 8, 7 }, { 6, 4 }, { 3, 1 }, { 0, 0 } },
    { { 9, 7 }, { 8, 6 }, { 7, 5 }, { 5, 3 } },
    { { 10, 7 }, { 9, 6 }, { 8, 5 }, { 6, 3 } },
    { { 11, 7 }, { 10, 6 }, { 9, 5 }, { 7, 4 } },
    { { 13, 15 }, { 11, 6 }, { 10, 5 }, { 8, 4 } },
    { { 13, 11 }, { 13, 14 }, { 11, 5 }, { 9, 4 } },
    { { 13, 8 }, { 13, 10 }, { 13, 13 }, { 10, 4 } },
    { { 14, 15 }, { 14, 14 }, { 13, 9 }, { 11, 4 } },
    { { 14, 11 }, { 14, 10 }, { 14, 13 }, { 13, 12 } },
    { { 15, 15 }, { 15, 14 }, { 14, 9 }, { 14, 12 } },
    { { 15, 11 }, { 15, 10 }, { 15, 13 }, { 14, 8 } },
    { { 16, 15 }, { 15, 1 }, { 15, 9 }, { 15, 12 } },
    { { 16, 11 }, { 16, 14 }, { 16, 13 }, { 15, 8 } },
    { { 16, 7 }, { 16, 10 }, { 16, 9 }, { 16, 12 } },
    { { 16, 4 }, { 16, 6 }, { 16, 5 }, { 16, 8 } }
};


/* the same for nC == -1 */

static const conduit_cavlc_code_t  conduit_cavlc_token_dc[5][4] = {
    { { 2, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
    { { 6, 7 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
    { { 6, 4 }, { 6, 6 }, { 3, 1 }, { 0, 0 } },
    { { 6, 3 }, { 7, 3 }, { 7, 2 }, { 6, 5 } },
    { { 6, 2 }, { 8, 3 }, { 8, 2 }, { 7, 0 } }
};


/* tables 9-7 and 9-8, by total coefficients - 1 and total zeros */

static const conduit_cavlc_code_t  conduit_cavlc_zeros[15][16] = {
    { { 1, 1 }, { 3, 3 }, { 3, 2 }, { 4, 3 }, { 4, 2 }, { 5, 3 }, { 5, 2 },
      { 6, 3 }, { 6, 2 }, { 7, 3 }, { 7, 2 }, { 8, 3 }, { 8, 2 }, { 9, 3 },
      { 9, 2 }, { 9, 1 } },
    { { 3, 7 }, { 3, 6 }, { 3, 5 }, { 3, 4 }, { 3, 3 }, { 4, 5 }, { 4, 4 },
      { 4, 3 }, { 4, 2 }, { 5, 3 }, { 5, 2 }, { 6, 3 }, { 6, 2 }, { 6, 1 },
      { 6, 0 }, { 0, 0 } },
    { { 4, 5 }, { 3, 7 }, { 3, 6 }, { 3, 5 }, { 4, 4 }, { 4, 3 }, { 3, 4 },
      { 3, 3 }, { 4, 2 }, { 5, 3 }, { 5, 2 }, { 6, 1 }, { 5, 1 }, { 6, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 5, 3 }, { 3, 7 }, { 4, 5 }, { 4, 4 }, { 3, 6 }, { 3, 5 }, { 3, 4 },
      { 4, 3 }, { 3, 3 }, { 4, 2 }, { 5, 2 }, { 5, 1 }, { 5, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 4, 5 }, { 4, 4 }, { 4, 3 }, { 3, 7 }, { 3, 6 }, { 3, 5 }, { 3, 4 },
      { 3, 3 }, { 4, 2 }, { 5, 1 }, { 4, 1 }, { 5, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 6, 1 }, { 5, 1 }, { 3, 7 }, { 3, 6 }, { 3, 5 }, { 3, 4 }, { 3, 3 },
      { 3, 2 }, { 4, 1 }, { 3, 1 }, { 6, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 6, 1 }, { 5, 1 }, { 3, 5 }, { 3, 4 }, { 3, 3 }, { 2, 3 }, { 3, 2 },
      { 4, 1 }, { 3, 1 }, { 6, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 6, 1 }, { 4, 1 }, { 5, 1 }, { 3, 3 }, { 2, 3 }, { 2, 2 }, { 3, 2 },
      { 3, 1 }, { 6, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 6, 1 }, { 6, 0 }, { 4, 1 }, { 2, 3 }, { 2, 2 }, { 3, 1 }, { 2, 1 },
      { 5, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 5, 1 }, { 5, 0 }, { 3, 1 }, { 2, 3 }, { 2, 2 }, { 2, 1 }, { 4, 1 },
      { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 4, 0 }, { 4, 1 }, { 3, 1 }, { 3, 2 }, { 1, 1 }, { 3, 3 }, { 0, 0 },
      { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 4, 0 }, { 4, 1 }, { 2, 1 }, { 1, 1 }, { 3, 1 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 3, 0 }, { 3, 1 }, { 1, 1 }, { 2, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 2, 0 }, { 2, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } },
    { { 1, 0 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 },
      { 0, 0 }, { 0, 0 } }
};


/* table 9-9 (a) */

static const conduit_cavlc_code_t  conduit_cavlc_zeros_dc[3][4] = {
    { { 1, 1 }, { 2, 1 }, { 3, 1 }, { 3, 0 } },
    { { 1, 1 }, { 2, 1 }, { 2, 0 }, { 0, 0 } },
    { { 1, 1 }, { 1, 0 }, { 0, 0 }, { 0, 0 } }
};


/* table 9-10, by zeros left - 1 (7 stands for more) and the run */

static const conduit_cavlc_code_t  conduit_cavlc_run[7][15] = {
    { { 1, 1 }, { 1, 0 } },
    { { 1, 1 }, { 2, 1 }, { 2, 0 } },
    { { 2, 3 }, { 2, 2 }, { 2, 1 }, { 2, 0 } },
    { { 2, 3 }, { 2, 2 }, { 2, 1 }, { 3, 1 }, { 3, 0 } },
    { { 2, 3 }, { 2, 2 }, { 3, 3 }, { 3, 2 }, { 3, 1 }, { 3, 0 } },
    { { 2, 3 }, { 3, 0 }, { 3, 1 }, { 3, 3 }, { 3, 2 }, { 3, 5 }, { 3, 4 } },
    { { 3, 7 }, { 3, 6 }, { 3, 5 }, { 3, 4 }, { 3, 3 }, { 3, 2 }, { 3, 1 },
      { 4, 1 }, { 5, 1 }, { 6, 1 }, { 7, 1 }, { 8, 1 }, { 9, 1 }, { 10, 1 },
      { 11, 1 } }
};


void
conduit_cavlc_start(conduit_cavlc_t *cv, conduit_blob_t *out, u_char header)
{
    cv->out = out;
    cv->bits = 0;
    cv->n = 0;
    cv->zeros = 0;
    cv->rc = conduit_blob_append(out, &header, 1);
}


void
conduit_cavlc_put(conduit_cavlc_t *cv, uint32_t n, uint32_t value)
{
    cv->bits = cv->bits << n | (value & (((uint64_t) 1 << n) - 1));
    cv->n += n;

    while (cv->n >= 8) {
        cv->n -= 8;
        conduit_cavlc_byte(cv, (u_char) (cv->bits >> cv->n));
    }
}


static void
conduit_cavlc_byte(conduit_cavlc_t *cv, u_char byte)
{
    size_t  len;
    u_char  out[2];

    len = 0;

    if (cv->zeros == 2 && byte <= 3) {
        out[len++] = 3;
        cv->zeros = 0;
    }

    out[len++] = byte;
    cv->zeros = byte ? 0 : cv->zeros + 1;

    if (cv->rc == CONDUIT_OK) {
        cv->rc = conduit_blob_append(cv->out, out, len);
    }
}


void
conduit_cavlc_ue(conduit_cavlc_t *cv, uint32_t value)
{
    uint32_t  n;

    value++;

    for (n = 1; value >> n; n++) { /* void */ }

    conduit_cavlc_put(cv, 2 * n - 1, value);
}


void
conduit_cavlc_se(conduit_cavlc_t *cv, int32_t value)
{
    conduit_cavlc_ue(cv, value > 0 ? (uint32_t) value * 2 - 1
                                   : (uint32_t) -value * 2);
}


void
conduit_cavlc_block(conduit_cavlc_t *cv, const int32_t *coeff, uint32_t max)
{
    conduit_cavlc_scan_t  scan;

    conduit_cavlc_scan(&scan, coeff, max);

    if (max == CONDUIT_CAVLC_DC) {
        conduit_cavlc_code(cv, &conduit_cavlc_token_dc[scan.total][scan.ones]);

    } else {
        conduit_cavlc_code(cv, &conduit_cavlc_token[scan.total][scan.ones]);
    }

    if (scan.total == 0) {
        return;
    }

    conduit_cavlc_levels(cv, &scan);
    conduit_cavlc_runs(cv, &scan, max);
}


static void
conduit_cavlc_scan(conduit_cavlc_scan_t *scan, const int32_t *coeff,
    uint32_t max)
{
    uint32_t  i, n, run;

    n = 0;

    scan->total = 0;
    scan->ones = 0;
    scan->zeros = 0;

    for (i = max; i > 0; i--) {

        if (coeff[i - 1] != 0) {
            scan->level[n] = coeff[i - 1];
            scan->run[n] = 0;
            n++;

        } else if (n) {
            scan->run[n - 1]++;
            scan->zeros++;
        }
    }

    scan->total = n;

    for (run = 0; run < n && run < 3; run++) {

        if (scan->level[run] != 1 && scan->level[run] != -1) {
            break;
        }
    }

    scan->ones = run;
}


static void
conduit_cavlc_levels(conduit_cavlc_t *cv, const conduit_cavlc_scan_t *scan)
{
    int32_t   level;
    uint32_t  i, code, size, suffix;

    for (i = 0; i < scan->ones; i++) {
        conduit_cavlc_put(cv, 1, scan->level[i] < 0);
    }

    suffix = (scan->total > 10 && scan->ones < 3);

    for ( /* void */ ; i < scan->total; i++) {
        level = scan->level[i];
        size = level > 0 ? level : -level;
        code = size * 2 - 2 + (level < 0);

        /* with fewer than three trailing ones this is not +-1 */

        if (i == scan->ones && scan->ones < 3) {
            code -= 2;
        }

        conduit_cavlc_level(cv, code, suffix);

        if (suffix == 0) {
            suffix = 1;
        }

        if (size > (3u << (suffix - 1)) && suffix < 6) {
            suffix++;
        }
    }
}


/* level_prefix, so many zeros and a one, then level_suffix (9.2.2.1) */

static void
conduit_cavlc_level(conduit_cavlc_t *cv, uint32_t code, uint32_t suffix)
{
    if (suffix == 0 && code >= 14 && code < 30) {
        conduit_cavlc_put(cv, 15, 1);
        conduit_cavlc_put(cv, 4, code - 14);
        return;
    }

    if (suffix == 0 && code >= 30) {
        conduit_cavlc_put(cv, 16, 1);
        conduit_cavlc_put(cv, 12, code - 30);
        return;
    }

    if (suffix && code >= (15u << suffix)) {
        conduit_cavlc_put(cv, 16, 1);
        conduit_cavlc_put(cv, 12, code - (15u << suffix));
        return;
    }

    conduit_cavlc_put(cv, (code >> suffix) + 1, 1);
    conduit_cavlc_put(cv, suffix, code);
}


static void
conduit_cavlc_runs(conduit_cavlc_t *cv, const conduit_cavlc_scan_t *scan,
    uint32_t max)
{
    uint32_t  i, left;

    if (scan->total == max) {
        return;
    }

    left = scan->zeros;

    if (max == CONDUIT_CAVLC_DC) {
        conduit_cavlc_code(cv, &conduit_cavlc_zeros_dc[scan->total - 1][left]);

    } else {
        conduit_cavlc_code(cv, &conduit_cavlc_zeros[scan->total - 1][left]);
    }

    for (i = 0; i + 1 < scan->total && left; i++) {
        conduit_cavlc_code(cv, &conduit_cavlc_run[left < 7 ? left - 1 : 6]
                                                 [scan->run[i]]);
        left -= scan->run[i];
    }
}


static void
conduit_cavlc_code(conduit_cavlc_t *cv, const conduit_cavlc_code_t *code)
{
    conduit_cavlc_put(cv, code->len, code->bits);
}


int
conduit_cavlc_end(conduit_cavlc_t *cv)
{
    conduit_cavlc_put(cv, 1, 1);

    if (cv->n) {
        conduit_cavlc_put(cv, 8 - cv->n, 0);
    }

    return cv->rc;
}
