
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * The circuit breaker as a state machine, against a model that keeps the whole
 * history and works everything out from it each time.
 */


#include <stdlib.h>

#include "conduit_breaker.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define FUZZ_STEPS     512
#define FUZZ_ATTEMPTS  512


/* an attempt, as it was begun */

typedef struct {
    conduit_breaker_ticket_t  ticket;
    int                       live;
    int                       probe;
    unsigned                  period;     /* of the model, when it began */
} fuzz_attempt_t;


/* closed if !open; a period lasts from one opening or probe to the next */

typedef struct {
    int       open;
    uint64_t  opened;
    uint64_t  probed;
    int       probing;
    int       row;
    int       ramping;
    uint64_t  wins;                       /* since it closed */
    unsigned  period;
    uint32_t  running;
} fuzz_model_t;


static int fuzz_may(const fuzz_model_t *m, const conduit_breaker_conf_t *conf,
    uint32_t limit, uint64_t now);
static uint64_t fuzz_width(const fuzz_model_t *m, uint32_t limit);
static void fuzz_begun(fuzz_model_t *m, fuzz_attempt_t *a, uint64_t now);
static conduit_breaker_change_e fuzz_ended(fuzz_model_t *m,
    const conduit_breaker_conf_t *conf, const fuzz_attempt_t *a,
    int success, int counts, uint64_t now);
static void fuzz_same(const conduit_breaker_t *b, const fuzz_model_t *m,
    const conduit_breaker_conf_t *conf, uint64_t now);


static const struct {
    conduit_failure_e  failure;
    unsigned           status;
    int                success;
    int                counts;
} fuzz_outcomes[] = {
    { CONDUIT_FAIL_NONE, 200, 1, 0 },
    { CONDUIT_FAIL_CONNECT, 0, 0, 1 },
    { CONDUIT_FAIL_STATUS, 503, 0, 1 },
    { CONDUIT_FAIL_STATUS, 404, 0, 0 },
    { CONDUIT_FAIL_BLOCKED, 0, 0, 0 },
    { CONDUIT_FAIL_REDIRECT, 302, 0, 0 },
    { CONDUIT_FAIL_TLS, 0, 0, 1 },
    { CONDUIT_FAIL_TIMEOUT, 0, 0, 1 }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                       may, expected, rc;
    size_t                    i, k, n;
    uint32_t                  limit;
    uint64_t                  now, wait;
    fuzz_model_t              m;
    fuzz_attempt_t            a[FUZZ_ATTEMPTS], *p;
    conduit_breaker_t         b;
    conduit_breaker_conf_t    conf;
    conduit_breaker_change_e  change;

    if (size < 4) {
        return 0;
    }

    memset(&b, 0, sizeof(b));
    memset(&m, 0, sizeof(m));

    conf.failures = 1 + data[0] % 7;
    conf.reset = 1 + data[1] * 10;
    conf.attempt = 1 + data[2] * 4;
    limit = 1 + data[3] % 12;

    now = 1000;
    n = 0;

    for (i = 4; i + 1 < size && i < FUZZ_STEPS; i += 2) {

        now += data[i] % 64 * (data[i] & 0x40 ? 16 : 1);

        /* an attempt is asked for */

        if (data[i] & 0x80) {

            if (n == FUZZ_ATTEMPTS) {
                break;
            }

            p = &a[n];
            may = conduit_breaker_begin(&b, &conf, m.running, limit, now,
                                        &p->ticket, &wait);
            expected = fuzz_may(&m, &conf, limit, now);

            if (may != (expected ? CONDUIT_OK : CONDUIT_DECLINED)) {
                abort();
            }

            if (may == CONDUIT_OK) {
                fuzz_begun(&m, p, now);

                if (p->ticket.probe != (uint32_t) p->probe) {
                    abort();
                }

                n++;

            } else if (wait && !fuzz_may(&m, &conf, limit, now + wait)) {
                abort();
            }

            fuzz_same(&b, &m, &conf, now);
            continue;
        }

        /* one of those on their way ends */

        if (n == 0) {
            continue;
        }

        k = data[i + 1] % n;
        p = &a[k];

        if (!p->live) {
            continue;
        }

        p->live = 0;
        m.running--;

        k = data[i + 1] / 13 % 9;

        if (k == 8) {
            conduit_breaker_cancel(&b, &p->ticket);
            (void) fuzz_ended(&m, &conf, p, 0, 0, now);

        } else {
            change = conduit_breaker_end(&b, &conf, &p->ticket,
                                         fuzz_outcomes[k].failure,
                                         fuzz_outcomes[k].status, limit, now);
            rc = fuzz_ended(&m, &conf, p, fuzz_outcomes[k].success,
                            fuzz_outcomes[k].counts, now);

            if ((int) change != rc) {
                abort();
            }
        }

        fuzz_same(&b, &m, &conf, now);
    }

    return 0;
}


static int
fuzz_may(const fuzz_model_t *m, const conduit_breaker_conf_t *conf,
    uint32_t limit, uint64_t now)
{
    if (!m->open) {
        return m->running < fuzz_width(m, limit);
    }

    if (m->probing) {
        return now - m->probed >= conf->attempt;
    }

    return now - m->opened >= conf->reset;
}


/* 1, 2, 4, ... with each success since it closed */

static uint64_t
fuzz_width(const fuzz_model_t *m, uint32_t limit)
{
    uint64_t  i, width;

    if (!m->ramping) {
        return limit;
    }

    width = 1;

    for (i = 0; i < m->wins && width < limit; i++) {
        width *= 2;
    }

    return (width < limit) ? width : limit;
}


static void
fuzz_begun(fuzz_model_t *m, fuzz_attempt_t *a, uint64_t now)
{
    a->live = 1;
    a->probe = m->open;

    if (m->open) {
        m->probing = 1;
        m->probed = now;
        m->period++;
    }

    a->period = m->period;
    m->running++;
}


static conduit_breaker_change_e
fuzz_ended(fuzz_model_t *m, const conduit_breaker_conf_t *conf,
    const fuzz_attempt_t *a, int success, int counts, uint64_t now)
{
    int  current;

    current = a->period == m->period;

    if (success) {
        m->row = 0;

        if (m->open) {
            m->open = 0;
            m->probing = 0;
            m->ramping = 1;
            m->wins = 0;
            return CONDUIT_BREAKER_RECOVERED;
        }

        m->wins++;
        return CONDUIT_BREAKER_SAME;
    }

    if (!current) {
        return CONDUIT_BREAKER_SAME;
    }

    if (!m->open) {
        m->row += counts;

        if (!counts || m->row < (int) conf->failures) {
            return CONDUIT_BREAKER_SAME;
        }

        m->open = 1;
        m->opened = now;
        m->probing = 0;
        m->ramping = 0;
        m->period++;
        return CONDUIT_BREAKER_TRIPPED;
    }

    if (!a->probe) {
        return CONDUIT_BREAKER_SAME;
    }

    if (counts) {
        m->opened = now;
        m->probing = 0;
        m->period++;
        return CONDUIT_BREAKER_REOPENED;
    }

    /* the next one may be the probe at once */

    m->probing = 0;
    m->opened = 0;

    return CONDUIT_BREAKER_SAME;
}


static void
fuzz_same(const conduit_breaker_t *b, const fuzz_model_t *m,
    const conduit_breaker_conf_t *conf, uint64_t now)
{
    conduit_breaker_state_e  state;

    state = conduit_breaker_state(b, now);

    if (!m->open) {

        if (state != CONDUIT_BREAKER_CLOSED
            || b->failures != (uint32_t) m->row)
        {
            abort();
        }

        return;
    }

    if (state != (m->probing || now - m->opened >= conf->reset
                  ? CONDUIT_BREAKER_HALF_OPEN : CONDUIT_BREAKER_OPEN))
    {
        abort();
    }
}
