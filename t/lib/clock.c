
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * Preloaded, it gives a process a clock that is CONDUIT_CLOCK ms ahead of that
 * of the machine (behind, if it is negative).  Time that only goes on, and
 * pauses, stay what they are.
 */


#define _GNU_SOURCE

#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static long clock_ahead(void);


static long
clock_ahead(void)
{
    static long  ahead;
    static int   known;

    const char  *text;

    if (!known) {
        text = getenv("CONDUIT_CLOCK");
        ahead = text ? atol(text) : 0;
        known = 1;
    }

    return ahead;
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int   rc;
    long  ns;

    rc = (int) syscall(SYS_clock_gettime, id, ts);

    if (rc != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) {
        return rc;
    }

    ns = ts->tv_nsec + clock_ahead() % 1000 * 1000000;

    ts->tv_sec += clock_ahead() / 1000;

    if (ns < 0) {
        ns += 1000000000;
        ts->tv_sec--;
    }

    if (ns >= 1000000000) {
        ns -= 1000000000;
        ts->tv_sec++;
    }

    ts->tv_nsec = ns;

    return 0;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    if (t) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
