
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * The least that can receive webhooks: one thread, epoll, HTTP/1.1 with
 * Content-Length.
 *
 *     receiver PORT
 *
 *     POST /...   is answered by the status that was set, 200 at first, and
 *                 how much later than the "timestamp" in its body it came is
 *                 noted
 *     GET /N      with N from 200 to 599 sets the status
 *     GET /       tells "COUNT CONNECTIONS", and the milliseconds that half,
 *                 99 % and the last of the POSTs since the last reset needed
 *     GET /0      resets the counts
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define RECEIVER_CONNS  4096
#define RECEIVER_BUF    65536
#define RECEIVER_DELAY  100000


typedef struct {
    size_t   len;
    char     buf[RECEIVER_BUF];
} receiver_conn_t;


static int receiver_listen(int port);
static void receiver_accept(int fd);
static void receiver_read(int fd);
static size_t receiver_request(int fd, char *p, size_t len);
static void receiver_control(int fd, const char *path);
static void receiver_note(const char *p);
static unsigned receiver_part(unsigned percent);
static void receiver_send(int fd, int code, const char *body);


static int               ep;
static int               status = 200;
static unsigned          count, connections;
static unsigned          delays[RECEIVER_DELAY];    /* in ms */
static receiver_conn_t  *conns[RECEIVER_CONNS];


int
main(int argc, char **argv)
{
    int                 i, n, ls;
    struct epoll_event  events[256], ev;

    ep = epoll_create1(0);
    ls = receiver_listen(argc > 1 ? atoi(argv[1]) : 0);

    if (ep == -1 || ls == -1) {
        perror("receiver");
        return 1;
    }

    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN;
    ev.data.fd = ls;
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);

    for ( ;; ) {
        n = epoll_wait(ep, events, 256, -1);

        for (i = 0; i < n; i++) {
            if (events[i].data.fd == ls) {
                receiver_accept(ls);

            } else {
                receiver_read(events[i].data.fd);
            }
        }
    }
}


static int
receiver_listen(int port)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    on = 1;
    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((unsigned short) port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 1024) == -1)
    {
        return -1;
    }

    return fd;
}


static void
receiver_accept(int ls)
{
    int                 fd, on;
    struct epoll_event  ev;

    for ( ;; ) {
        fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK);

        if (fd == -1) {
            return;
        }

        if (fd >= RECEIVER_CONNS) {
            close(fd);
            continue;
        }

        if (conns[fd] == NULL) {
            conns[fd] = malloc(sizeof(receiver_conn_t));

            if (conns[fd] == NULL) {
                close(fd);
                continue;
            }
        }

        on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        conns[fd]->len = 0;
        connections++;

        memset(&ev, 0, sizeof(ev));
        ev.events = EPOLLIN;
        ev.data.fd = fd;
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    }
}


static void
receiver_read(int fd)
{
    size_t            n, done;
    ssize_t           got;
    receiver_conn_t  *c;

    c = conns[fd];

    got = read(fd, c->buf + c->len, RECEIVER_BUF - 1 - c->len);

    if (got == -1 && errno == EAGAIN) {
        return;
    }

    if (got <= 0) {
        close(fd);
        return;
    }

    c->len += (size_t) got;
    c->buf[c->len] = '\0';
    done = 0;

    do {
        n = receiver_request(fd, c->buf + done, c->len - done);
        done += n;
    } while (n);

    memmove(c->buf, c->buf + done, c->len - done);
    c->len -= done;
}


/* the bytes of a whole request, or 0 */

static size_t
receiver_request(int fd, char *p, size_t len)
{
    char    *end, *length;
    size_t   size;

    end = memmem(p, len, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    *end = '\0';
    length = strcasestr(p, "\r\nContent-Length:");
    size = length ? (size_t) atol(length + 17) : 0;
    *end = '\r';

    end += 4;

    if ((size_t) (end - p) + size > len) {
        return 0;
    }

    if (strncmp(p, "GET /", 5) == 0) {
        receiver_control(fd, p + 5);

    } else {
        count++;
        receiver_note(end);
        receiver_send(fd, status, "");
    }

    return (size_t) (end - p) + size;
}


static void
receiver_control(int fd, const char *path)
{
    int   n;
    char  text[128];

    n = atoi(path);
    text[0] = '\0';

    if (n >= 200) {
        status = n;

    } else if (*path == '0') {
        memset(delays, 0, sizeof(delays));
        count = 0;
        connections = 0;

    } else {
        snprintf(text, sizeof(text), "%u %u %u %u %u", count, connections,
                 receiver_part(50), receiver_part(99), receiver_part(100));
    }

    receiver_send(fd, 200, text);
}


/* "timestamp":"2026-01-01T12:34:56.789Z", of this hour */

static void
receiver_note(const char *p)
{
    long             ms;
    const char      *t;
    struct timespec  now;

    t = strstr(p, "\"timestamp\":\"");

    if (t == NULL || strlen(t) < 37) {
        return;
    }

    t += 13;

    clock_gettime(CLOCK_REALTIME, &now);

    ms = (now.tv_sec % 3600) * 1000 + now.tv_nsec / 1000000
         - atoi(t + 14) * 60000L - atoi(t + 17) * 1000L - atoi(t + 20);

    if (ms < -1800000) {
        ms += 3600000;
    }

    if (ms < 0) {
        ms = 0;
    }

    delays[ms < RECEIVER_DELAY ? ms : RECEIVER_DELAY - 1]++;
}


static unsigned
receiver_part(unsigned percent)
{
    unsigned       i;
    unsigned long  n, all;

    all = 0;

    for (i = 0; i < RECEIVER_DELAY; i++) {
        all += delays[i];
    }

    n = 0;

    for (i = 0; i < RECEIVER_DELAY; i++) {
        n += delays[i];

        if (n * 100 >= all * percent) {
            break;
        }
    }

    return i;
}


static void
receiver_send(int fd, int code, const char *body)
{
    int   n;
    char  text[256];

    n = snprintf(text, sizeof(text),
                 "HTTP/1.1 %d Reply\r\nContent-Length: %zu\r\n\r\n%s",
                 code, strlen(body), body);

    (void) !write(fd, text, (size_t) n);
}
