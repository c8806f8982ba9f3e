
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <conduit_window.h>


static void conduit_window_shift(conduit_window_t *w, uint64_t second);


uint64_t
conduit_window_wait(conduit_window_t *w, uint32_t limit, uint64_t now_ms)
{
    uint32_t  i, n, over;

    conduit_window_shift(w, now_ms / 1000);

    if (w->total < limit) {
        return 0;
    }

    /* the oldest counts have to leave until there is room for one */

    over = w->total - limit + 1;
    n = 0;

    for (i = 1; i < CONDUIT_WINDOW_SECONDS; i++) {
        n += w->counts[(w->second + i) % CONDUIT_WINDOW_SECONDS];

        if (n >= over) {
            break;
        }
    }

    return (w->second + i) * 1000 - now_ms;
}


void
conduit_window_add(conduit_window_t *w)
{
    w->counts[w->second % CONDUIT_WINDOW_SECONDS]++;
    w->total++;
}


static void
conduit_window_shift(conduit_window_t *w, uint64_t second)
{
    uint32_t  *count;

    if (second >= w->second + CONDUIT_WINDOW_SECONDS) {
        memset(w->counts, 0, sizeof(w->counts));
        w->total = 0;
        w->second = second;
        return;
    }

    while (w->second < second) {
        w->second++;

        count = &w->counts[w->second % CONDUIT_WINDOW_SECONDS];

        w->total -= *count;
        *count = 0;
    }
}
