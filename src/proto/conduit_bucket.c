
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_bucket.h"


static void conduit_bucket_refill(conduit_bucket_t *b,
    const conduit_rate_t *rate, uint64_t now_ms);
static void conduit_bucket_state(const conduit_bucket_t *b,
    const conduit_rate_t *rate, conduit_rate_state_t *state);
static uint64_t conduit_bucket_capacity(const conduit_rate_t *rate);
static uint64_t conduit_div_up(uint64_t n, uint64_t d);
static const u_char *conduit_rate_number(const u_char *p, const u_char *last,
    uint32_t max, uint32_t *n);


int
conduit_bucket_take(conduit_bucket_t *b, const conduit_rate_t *rate,
    uint64_t now_ms, conduit_rate_state_t *state)
{
    int  rc;

    conduit_bucket_refill(b, rate, now_ms);

    rc = CONDUIT_DECLINED;

    if (b->level >= CONDUIT_BUCKET_TOKEN) {
        b->level -= CONDUIT_BUCKET_TOKEN;
        rc = CONDUIT_OK;
    }

    conduit_bucket_state(b, rate, state);

    if (rc == CONDUIT_OK) {
        state->retry_ms = 0;
    }

    return rc;
}


void
conduit_bucket_peek(conduit_bucket_t *b, const conduit_rate_t *rate,
    uint64_t now_ms, conduit_rate_state_t *state)
{
    conduit_bucket_refill(b, rate, now_ms);
    conduit_bucket_state(b, rate, state);
}


void
conduit_bucket_charge(conduit_bucket_t *b, const conduit_rate_t *rate,
    uint32_t n, uint64_t now_ms)
{
    uint64_t  units, most;

    conduit_bucket_refill(b, rate, now_ms);

    units = (uint64_t) n * CONDUIT_BUCKET_TOKEN;

    if (b->level >= units) {
        b->level -= units;
        return;
    }

    b->debt += units - b->level;
    b->level = 0;

    most = conduit_bucket_capacity(rate)
           + (uint64_t) rate->per_minute * CONDUIT_BUCKET_TOKEN;

    if (b->debt > most) {
        b->debt = most;
    }
}


static void
conduit_bucket_refill(conduit_bucket_t *b, const conduit_rate_t *rate,
    uint64_t now_ms)
{
    uint64_t  capacity, elapsed, missing, units;

    capacity = conduit_bucket_capacity(rate);

    if (!b->used) {
        b->used = 1;
        b->last_ms = now_ms;
        b->level = capacity;
        b->debt = 0;
        return;
    }

    if (b->level > capacity) {
        b->level = capacity;
    }

    if (now_ms <= b->last_ms) {
        return;
    }

    elapsed = now_ms - b->last_ms;
    b->last_ms = now_ms;

    missing = capacity - b->level + b->debt;

    /* compared by division: the product of a long pause would overflow */

    if (elapsed > missing / rate->per_minute) {
        b->level = capacity;
        b->debt = 0;
        return;
    }

    units = elapsed * rate->per_minute;

    if (units <= b->debt) {
        b->debt -= units;
        return;
    }

    b->level += units - b->debt;
    b->debt = 0;
}


static void
conduit_bucket_state(const conduit_bucket_t *b, const conduit_rate_t *rate,
    conduit_rate_state_t *state)
{
    uint64_t  capacity, per_second;

    capacity = conduit_bucket_capacity(rate);
    per_second = (uint64_t) rate->per_minute * 1000;

    state->limit = (uint32_t) (capacity / CONDUIT_BUCKET_TOKEN);
    state->window = (uint32_t) conduit_div_up(capacity, per_second);
    state->left = (uint32_t) (b->level / CONDUIT_BUCKET_TOKEN);
    state->reset = (uint32_t) conduit_div_up(capacity - b->level + b->debt,
                                             per_second);
    state->retry_ms = 0;

    if (b->level < CONDUIT_BUCKET_TOKEN) {
        state->retry_ms = conduit_div_up(CONDUIT_BUCKET_TOKEN - b->level
                                         + b->debt, rate->per_minute);
    }
}


static uint64_t
conduit_bucket_capacity(const conduit_rate_t *rate)
{
    uint64_t  burst;

    burst = rate->burst ? rate->burst : 1;

    return burst * CONDUIT_BUCKET_TOKEN;
}


static uint64_t
conduit_div_up(uint64_t n, uint64_t d)
{
    return n / d + (n % d ? 1 : 0);
}


int
conduit_rate_parse(conduit_rate_t *rate, const u_char *p, size_t len,
    const char **err)
{
    uint32_t       n;
    const u_char  *last;

    last = p + len;

    rate->per_minute = 0;
    rate->burst = 1;

    if (len == 3 && memcmp(p, "off", 3) == 0) {
        return CONDUIT_OK;
    }

    *err = "must be \"off\" or a rate such as \"600r/m\" or \"10r/s\"";

    p = conduit_rate_number(p, last, CONDUIT_RATE_MAX, &n);

    if (p == NULL || n == 0 || last - p < 3 || p[0] != 'r' || p[1] != '/') {
        return CONDUIT_ERROR;
    }

    if (p[2] == 's') {

        if (n > CONDUIT_RATE_MAX / 60) {
            return CONDUIT_ERROR;
        }

        n *= 60;

    } else if (p[2] != 'm') {
        return CONDUIT_ERROR;
    }

    rate->per_minute = n;
    p += 3;

    if (p == last) {
        return CONDUIT_OK;
    }

    *err = "takes only \"burst=NUMBER\", at least 1, after the rate";

    if (*p != ' ') {
        return CONDUIT_ERROR;
    }

    while (p < last && *p == ' ') {
        p++;
    }

    if (last - p < 7 || memcmp(p, "burst=", 6) != 0) {
        return CONDUIT_ERROR;
    }

    p = conduit_rate_number(p + 6, last, CONDUIT_RATE_BURST_MAX, &n);

    if (p != last || n == 0) {
        return CONDUIT_ERROR;
    }

    rate->burst = n;

    return CONDUIT_OK;
}


/* reads digits; returns what follows them, or NULL if none or above max */

static const u_char *
conduit_rate_number(const u_char *p, const u_char *last, uint32_t max,
    uint32_t *n)
{
    uint64_t       v;
    const u_char  *start;

    v = 0;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (*p - '0');

        if (v > max) {
            return NULL;
        }
    }

    if (p == start) {
        return NULL;
    }

    *n = (uint32_t) v;

    return p;
}
