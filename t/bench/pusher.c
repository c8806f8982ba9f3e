
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * The least that a server can do to push: one thread, epoll, one send() for
 * each message and receiver.  It is what pushes of others are compared with.
 *
 *     pusher PORT
 *
 *     GET /N   with any headers upgrades the connection, which gets what is
 *              published to N
 *     POST /N  sends the body as one text frame to all of N, and is answered
 *              by 200 then
 *
 * Nothing is checked, and there is no time at which anything ends.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>


#define PUSHER_TASKS  65536
#define PUSHER_BUF    8192


typedef struct {
    int     *fds;
    size_t   n;
    size_t   size;
} pusher_task_t;


static int pusher_listen(int port);
static void pusher_accept(int fd);
static void pusher_read(int fd);
static int pusher_subscribe(pusher_task_t *task, int fd);
static void pusher_publish(pusher_task_t *task, const char *p, size_t len);


static int            ep;
static pusher_task_t  tasks[PUSHER_TASKS];
static char           reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                                "Content-Type: application/json\r\n\r\n{}";
static char           accepted[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                   "Upgrade: websocket\r\n"
                                   "Connection: upgrade\r\n\r\n";


int
main(int argc, char **argv)
{
    int                 i, n, fd;
    struct rlimit       limit;
    struct epoll_event  events[512];

    if (argc != 2) {
        fprintf(stderr, "usage: pusher PORT\n");
        return 2;
    }

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    ep = epoll_create1(0);
    fd = pusher_listen(atoi(argv[1]));

    if (ep == -1 || fd == -1) {
        perror("pusher");
        return 1;
    }

    for ( ;; ) {
        n = epoll_wait(ep, events, 512, -1);

        for (i = 0; i < n; i++) {

            if (events[i].data.fd == fd) {
                pusher_accept(fd);

            } else {
                pusher_read(events[i].data.fd);
            }
        }
    }
}


static int
pusher_listen(int port)
{
    int                 fd, on;
    struct epoll_event  ev;
    struct sockaddr_in  sin;

    on = 1;
    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 8192) == -1)
    {
        return -1;
    }

    ev.events = EPOLLIN;
    ev.data.fd = fd;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);

    return fd;
}


static void
pusher_accept(int fd)
{
    int                 s, on;
    struct epoll_event  ev;

    s = accept4(fd, NULL, NULL, SOCK_NONBLOCK);

    if (s == -1) {
        return;
    }

    on = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    ev.events = EPOLLIN|EPOLLET|EPOLLRDHUP;
    ev.data.fd = s;
    epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
}


static void
pusher_read(int fd)
{
    char            buf[PUSHER_BUF], *body;
    ssize_t         n;
    pusher_task_t  *task;

    n = recv(fd, buf, sizeof(buf) - 1, 0);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            close(fd);
        }

        return;
    }

    buf[n] = '\0';

    if (memcmp(buf, "GET /", 5) == 0) {
        task = &tasks[atoi(buf + 5) % PUSHER_TASKS];

        if (pusher_subscribe(task, fd) == 0) {
            (void) !send(fd, accepted, sizeof(accepted) - 1, MSG_NOSIGNAL);
        }

        return;
    }

    body = strstr(buf, "\r\n\r\n");

    if (memcmp(buf, "POST /", 6) != 0 || body == NULL) {
        return;
    }

    task = &tasks[atoi(buf + 6) % PUSHER_TASKS];
    pusher_publish(task, body + 4, n - (body + 4 - buf));

    (void) !send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
}


static int
pusher_subscribe(pusher_task_t *task, int fd)
{
    int     *fds;
    size_t   size;

    if (task->n == task->size) {
        size = task->size ? task->size * 2 : 1;
        fds = realloc(task->fds, size * sizeof(int));

        if (fds == NULL) {
            return -1;
        }

        task->fds = fds;
        task->size = size;
    }

    task->fds[task->n++] = fd;

    return 0;
}


static void
pusher_publish(pusher_task_t *task, const char *p, size_t len)
{
    char    frame[PUSHER_BUF + 4];
    size_t  i, n;

    frame[0] = (char) 0x81;

    if (len < 126) {
        frame[1] = (char) len;
        n = 2;

    } else {
        frame[1] = 126;
        frame[2] = (char) (len >> 8);
        frame[3] = (char) len;
        n = 4;
    }

    memcpy(frame + n, p, len);
    n += len;

    for (i = 0; i < task->n; i++) {
        (void) !send(task->fds[i], frame, n, MSG_NOSIGNAL);
    }
}
