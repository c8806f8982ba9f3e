
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * Preloaded, it gives a process a clock that is CONDUIT_CLOCK ms ahead of that
 * of the machine (behind, if it is negative), or as many as a file says that
 * is named instead: a long, which may change.  Time that only goes on, and
 * pauses, stay what they are.
 */


#define _GNU_SOURCE

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static long clock_ahead(void);


static long
clock_ahead(void)
{
    static long            ahead;
    static volatile long  *where;

    int          fd;
    void        *map;
    const char  *text;

    if (where) {
        return *where;
    }

    text = getenv("CONDUIT_CLOCK");
    ahead = (text && *text != '/') ? atol(text) : 0;
    where = &ahead;

    if (text && *text == '/') {
        fd = open(text, O_RDONLY);
        map = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
        where = (map == MAP_FAILED) ? &ahead : map;
        (void) close(fd);
    }

    return *where;
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
