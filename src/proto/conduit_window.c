
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <conduit_window.h>


#define CONDUIT_WINDOW_LIMIT_MAX  60000000

/* what one request may need longer than another until it has arrived */

#define CONDUIT_WINDOW_MARGIN     50


static uint32_t conduit_window_width(uint32_t window_ms);
static void conduit_window_shift(conduit_window_t *w, uint32_t width,
    uint64_t now_ms);


uint64_t
conduit_window_wait(conduit_window_t *w, uint32_t limit, uint32_t window_ms,
    uint64_t now_ms)
{
    uint32_t  i, n, over, width;

    width = conduit_window_width(window_ms);

    conduit_window_shift(w, width, now_ms);

    if (w->total < limit) {
        return 0;
    }

    /* the oldest counts have to leave until there is room for one */

    over = w->total - limit + 1;
    n = 0;

    for (i = 1; i < CONDUIT_WINDOW_SLOTS; i++) {
        n += w->counts[(w->slot + i) % CONDUIT_WINDOW_SLOTS];

        if (n >= over) {
            break;
        }
    }

    return (w->slot + i) * width - now_ms;
}


void
conduit_window_add(conduit_window_t *w)
{
    w->counts[w->slot % CONDUIT_WINDOW_SLOTS]++;
    w->total++;
}


void
conduit_window_charge(conduit_window_t *w, uint32_t n, uint32_t window_ms,
    uint64_t now_ms)
{
    conduit_window_shift(w, conduit_window_width(window_ms), now_ms);

    w->counts[w->slot % CONDUIT_WINDOW_SLOTS] += n;
    w->total += n;
}


/* rounded up: the slots make a window that is not shorter */

static uint32_t
conduit_window_width(uint32_t window_ms)
{
    return (window_ms + CONDUIT_WINDOW_MARGIN + CONDUIT_WINDOW_SLOTS - 2)
           / (CONDUIT_WINDOW_SLOTS - 1);
}


static void
conduit_window_shift(conduit_window_t *w, uint32_t width, uint64_t now_ms)
{
    uint32_t  *count;
    uint64_t   slot;

    slot = now_ms / width;

    if (w->width != width) {

        /*
         * The rate has been configured anew.  When exactly things have been
         * counted is not known in the new unit, so all of it is new.
         */

        memset(w->counts, 0, sizeof(w->counts));
        w->counts[slot % CONDUIT_WINDOW_SLOTS] = w->total;
        w->slot = slot;
        w->width = width;
        return;
    }

    if (slot >= w->slot + CONDUIT_WINDOW_SLOTS) {
        memset(w->counts, 0, sizeof(w->counts));
        w->total = 0;
        w->slot = slot;
        return;
    }

    while (w->slot < slot) {
        w->slot++;

        count = &w->counts[w->slot % CONDUIT_WINDOW_SLOTS];

        w->total -= *count;
        *count = 0;
    }
}


int
conduit_window_parse(uint32_t *limit, uint32_t *window_ms, const u_char *p,
    size_t len)
{
    size_t    i;
    uint64_t  n;

    *limit = 0;
    *window_ms = CONDUIT_WINDOW_MINUTE;

    if (len == 3 && memcmp(p, "off", 3) == 0) {
        return CONDUIT_OK;
    }

    n = 0;

    for (i = 0; i < len && p[i] >= '0' && p[i] <= '9'; i++) {
        n = n * 10 + (p[i] - '0');

        if (n > CONDUIT_WINDOW_LIMIT_MAX) {
            return CONDUIT_ERROR;
        }
    }

    if (n == 0 || len - i != 3 || p[i] != 'r' || p[i + 1] != '/') {
        return CONDUIT_ERROR;
    }

    if (p[i + 2] == 's') {
        *window_ms = CONDUIT_WINDOW_SECOND;

    } else if (p[i + 2] != 'm') {
        return CONDUIT_ERROR;
    }

    *limit = (uint32_t) n;

    return CONDUIT_OK;
}
