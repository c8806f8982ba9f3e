
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * A crowd of WebSocket clients in one process, and those who publish to it.
 *
 *     crowd PORT[:PORT] IDS UPGRADE HELLO PUBLISH END
 *
 * The second port is that of those who publish, if it is another.  IDS is a
 * file with an id on each line; connection number i has the id i modulo their
 * number.  The files UPGRADE (a request), HELLO (texts that are
 * sent as one frame each, separated by lines of "--"; may be empty) and
 * PUBLISH (a request) may have {id}, {n} and {t} in them: the id, a number
 * that grows, and the time in microseconds.  A frame with the text END in it
 * is counted as the end of its connection's task.
 *
 * Commands come from the standard input, and each is answered by a line:
 *
 *     open N WINDOW FRAMES    N connections more, WINDOW of them at a time,
 *                             each waits for FRAMES frames
 *     publish N RATE WINDOW   N requests, for one id after the other, RATE in
 *                             a second (0: as fast as it goes), WINDOW of them
 *                             not yet seen by all who wait
 *     race N WIDTH            as open, and publishes once for each of them
 *                             while it connects, subscribes, or has just done
 *     again on|off            whether those that the server closes come again
 *     wait ENDS SECONDS       until every connection has seen its end
 *     idle MS                 reads for so long
 *     state                   what has been counted
 *     drop N                  closes the first N without a word
 *
 * The answers are pairs of names and numbers.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define CROWD_PUBLISHERS  16
#define CROWD_READ        65536
#define CROWD_TEXT        4096
#define CROWD_HELLOS      8


typedef enum {
    CROWD_NEW = 0,
    CROWD_CONNECTING,
    CROWD_UPGRADING,
    CROWD_OPEN,
    CROWD_ENDED
} crowd_state_e;


typedef struct {
    int             fd;
    crowd_state_e   state;
    unsigned        goodbye;              /* a close message was read */
    unsigned        id;
    unsigned        frames;               /* since it was opened */
    unsigned        ends;
    unsigned        told;                 /* an end since it was opened */
    unsigned        waits;                /* for a message of a publish */
    size_t          len;
    char           *part;                 /* of a frame or a head */
} crowd_conn_t;


typedef struct {
    int             fd;
    int             busy;
    size_t          len;
    char            buf[CROWD_TEXT];
} crowd_publisher_t;


typedef struct {
    char           *name;
    unsigned        watchers;             /* open connections */
    unsigned        pending;              /* messages still to come */
    double          sent;
} crowd_id_t;


typedef struct {
    unsigned        open;
    unsigned        refused;              /* no 101 */
    unsigned        limited;              /* 429 of them */
    unsigned        failed;
    unsigned        closed;               /* by a close frame with 1000 */
    unsigned        broken;               /* in another way */
    unsigned        goodbyes;             /* close messages before that */
    unsigned        told;                 /* its end before it was closed */
    unsigned        again;
    unsigned        frames;
    unsigned        ends;
} crowd_count_t;


static void crowd_connect(crowd_conn_t *c);
static void crowd_event(crowd_conn_t *c, unsigned events);
static void crowd_begin(crowd_conn_t *c);
static void crowd_read(crowd_conn_t *c);
static size_t crowd_input(crowd_conn_t *c, char *p, size_t len);
static size_t crowd_head(crowd_conn_t *c, char *p, size_t len);
static void crowd_frame(crowd_conn_t *c, int opcode, char *p, size_t len);
static void crowd_message(crowd_conn_t *c, char *p, size_t len);
static void crowd_send(crowd_conn_t *c, int opcode, const char *p,
    size_t len);
static void crowd_close(crowd_conn_t *c);
static void crowd_opened(crowd_conn_t *c, int on);
static void crowd_poll(int ms);
static void crowd_publisher(crowd_publisher_t *p);
static void crowd_publish_one(crowd_publisher_t *p, crowd_id_t *id);
static int crowd_due(double start, unsigned i, unsigned rate);
static void crowd_publish(unsigned n, unsigned rate, unsigned width);
static void crowd_publish_report(unsigned n, double seconds);
static void crowd_race(unsigned n, unsigned width);
static void crowd_moment(crowd_conn_t *c, unsigned moment);
static void crowd_race_go(void);
static void crowd_open(unsigned n, unsigned width, unsigned wanted);
static void crowd_wait(unsigned ends, double seconds);
static void crowd_idle(int ms);
static void crowd_drop(unsigned n);
static void crowd_report(const char *name);
static size_t crowd_fill(char *buf, const char *text, const char *id);
static char *crowd_file(const char *name);
static void crowd_ids(char *text);
static void crowd_hello(char *text);
static double crowd_now(void);
static int crowd_compare(const void *one, const void *two);
static void crowd_die(const char *what);


static crowd_conn_t       *conns;
static unsigned            nconns, room, shaking, ready_frames;
static crowd_id_t         *ids;
static unsigned            nids, next_id;
static crowd_publisher_t   publishers[CROWD_PUBLISHERS];
static crowd_count_t       count;
static int                 ep, port, publish_port, again;
static unsigned            number, window, ready;
static char               *upgrade, *publish, *end_text;
static char               *hellos[CROWD_HELLOS];
static unsigned            nhellos;
static float              *times;
static size_t              ntimes, max_times;
static unsigned            publishing, messages, repeated;
static unsigned            racing, racers, raced, *race;


int
main(int argc, char **argv)
{
    char           line[256], word[16];
    unsigned       a, b, c;
    struct rlimit  limit;

    if (argc != 7) {
        fprintf(stderr, "usage: crowd PORT IDS UPGRADE HELLO PUBLISH END\n");
        return 2;
    }

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    room = limit.rlim_cur;
    conns = calloc(room, sizeof(crowd_conn_t));
    ep = epoll_create1(0);

    if (conns == NULL || ep == -1) {
        crowd_die("crowd");
    }

    port = atoi(argv[1]);
    publish_port = strchr(argv[1], ':') ? atoi(strchr(argv[1], ':') + 1)
                                        : port;
    crowd_ids(crowd_file(argv[2]));
    upgrade = crowd_file(argv[3]);
    crowd_hello(crowd_file(argv[4]));
    publish = crowd_file(argv[5]);
    end_text = argv[6];

    while (fgets(line, sizeof(line), stdin)) {

        a = b = c = 0;
        sscanf(line, "%15s %u %u %u", word, &a, &b, &c);

        if (strcmp(word, "open") == 0) {
            crowd_open(a, b, c);

        } else if (strcmp(word, "publish") == 0) {
            crowd_publish(a, b, c);

        } else if (strcmp(word, "race") == 0) {
            crowd_race(a, b);

        } else if (strcmp(word, "again") == 0) {
            again = (strstr(line, "on") != NULL);
            printf("again %d\n", again);

        } else if (strcmp(word, "wait") == 0) {
            crowd_wait(a, b);

        } else if (strcmp(word, "idle") == 0) {
            crowd_idle(a);

        } else if (strcmp(word, "drop") == 0) {
            crowd_drop(a);

        } else {
            crowd_report("state");
        }

        fflush(stdout);
    }

    return 0;
}


static void
crowd_connect(crowd_conn_t *c)
{
    int                 fd, on;
    struct linger       linger;
    struct epoll_event  ev;
    struct sockaddr_in  sin;

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    if (fd == -1) {
        crowd_die("socket");
    }

    /* no port is kept from the next run */

    on = 1;
    linger.l_onoff = 1;
    linger.l_linger = 0;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        && errno != EINPROGRESS)
    {
        crowd_die("connect");
    }

    c->fd = fd;
    c->state = CROWD_CONNECTING;
    c->frames = 0;
    c->goodbye = 0;
    c->told = 0;
    c->waits = 0;
    shaking++;

    ev.events = EPOLLOUT;
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}


static void
crowd_event(crowd_conn_t *c, unsigned events)
{
    if (c->state == CROWD_CONNECTING) {
        crowd_begin(c);
        return;
    }

    if (events & (EPOLLIN|EPOLLHUP|EPOLLERR)) {
        crowd_read(c);
    }
}


static void
crowd_begin(crowd_conn_t *c)
{
    int                 error;
    char                buf[CROWD_TEXT];
    size_t              len;
    socklen_t           size;
    struct epoll_event  ev;

    size = sizeof(error);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);

    len = crowd_fill(buf, upgrade, ids[c->id].name);

    if (error || send(c->fd, buf, len, MSG_NOSIGNAL) != (ssize_t) len) {
        count.failed++;
        crowd_close(c);
        return;
    }

    c->state = CROWD_UPGRADING;
    crowd_moment(c, 0);

    ev.events = EPOLLIN;
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}


static void
crowd_read(crowd_conn_t *c)
{
    size_t        len, used;
    ssize_t       n;
    static char   buf[CROWD_READ * 2];

    len = c->len;

    if (len) {
        memcpy(buf, c->part, len);
    }

    n = recv(c->fd, buf + len, CROWD_READ, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        count.broken += (c->state == CROWD_OPEN);
        count.failed += (c->state != CROWD_OPEN);
        crowd_close(c);
        return;
    }

    len += n;
    used = crowd_input(c, buf, len);

    if (c->fd == -1) {
        return;
    }

    free(c->part);
    c->part = NULL;
    c->len = len - used;

    if (c->len) {
        c->part = malloc(c->len);

        if (c->part == NULL || c->len > CROWD_READ) {
            crowd_die("part");
        }

        memcpy(c->part, buf + used, c->len);
    }
}


/* returns what was used */

static size_t
crowd_input(crowd_conn_t *c, char *p, size_t len)
{
    char    *data;
    size_t   pos, n, left;

    pos = (c->state == CROWD_UPGRADING) ? crowd_head(c, p, len) : 0;

    while (c->state == CROWD_OPEN && len - pos >= 2) {

        data = p + pos;
        left = len - pos;
        n = data[1] & 0x7f;

        if (n < 126) {
            data += 2;

        } else if (n == 126 && left >= 4) {
            n = (unsigned char) data[2] << 8 | (unsigned char) data[3];
            data += 4;

        } else {
            break;
        }

        if ((size_t) (p + len - data) < n) {
            break;
        }

        pos = data + n - p;

        crowd_frame(c, p[pos - n - (n < 126 ? 2 : 4)] & 15, data, n);
    }

    return pos;
}


static size_t
crowd_head(crowd_conn_t *c, char *p, size_t len)
{
    char      buf[CROWD_TEXT], *end;
    unsigned  i;

    end = memmem(p, len, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    if (memcmp(p, "HTTP/1.1 101", 12) != 0) {
        count.refused++;
        count.limited += (memcmp(p, "HTTP/1.1 429", 12) == 0);
        crowd_close(c);
        return len;
    }

    c->state = CROWD_OPEN;
    crowd_opened(c, 1);
    crowd_moment(c, 1);

    for (i = 0; i < nhellos; i++) {
        crowd_send(c, 1, buf, crowd_fill(buf, hellos[i], ids[c->id].name));
    }

    crowd_moment(c, 2);

    if (ready_frames == 0) {
        ready++;
        shaking--;
    }

    return end + 4 - p;
}


static void
crowd_frame(crowd_conn_t *c, int opcode, char *p, size_t len)
{
    switch (opcode) {

    case 8:
        count.closed += (len >= 2 && p[0] == 3 && (unsigned char) p[1] == 232);
        count.broken += !(len >= 2 && p[0] == 3
                          && (unsigned char) p[1] == 232);
        count.goodbyes += c->goodbye;
        count.told += c->told;

        crowd_send(c, 8, p, len < 2 ? 0 : 2);
        crowd_close(c);

        if (again) {
            count.again++;
            crowd_connect(c);
        }

        break;

    case 9:
        crowd_send(c, 10, p, len);
        break;

    case 10:
        break;

    default:
        crowd_message(c, p, len);
    }
}


static void
crowd_message(crowd_conn_t *c, char *p, size_t len)
{
    crowd_id_t  *id;

    static const char  goodbye[] = "{\"type\":7,\"allowReconnect\":true}\x1e";
    static const char  ping[] = "{\"type\":6}\x1e";

    if (len == sizeof(ping) - 1 && memcmp(p, ping, len) == 0) {
        return;
    }

    count.frames++;
    c->frames++;

    if (len == sizeof(goodbye) - 1 && memcmp(p, goodbye, len) == 0) {
        c->goodbye = 1;
    }

    if (c->frames == ready_frames) {
        ready++;
        shaking--;
    }

    if (memmem(p, len, end_text, strlen(end_text))) {
        c->ends++;
        c->told = 1;
        count.ends++;
    }

    if (c->frames <= 2) {
        crowd_moment(c, c->frames + 2);
    }

    if (!publishing || c->frames <= ready_frames) {
        return;
    }

    id = &ids[c->id];

    if (c->waits == 0) {
        repeated++;
        return;
    }

    c->waits = 0;
    messages++;

    if (ntimes < max_times) {
        times[ntimes++] = (float) (crowd_now() - id->sent);
    }

    if (--id->pending == 0) {
        window--;
    }
}


/* a client masks; with zeros it may leave the text as it is */

static void
crowd_send(crowd_conn_t *c, int opcode, const char *p, size_t len)
{
    char    buf[CROWD_TEXT + 8];
    size_t  n;

    buf[0] = (char) (0x80 | opcode);

    if (len < 126) {
        buf[1] = (char) (0x80 | len);
        n = 2;

    } else {
        buf[1] = (char) (0x80 | 126);
        buf[2] = (char) (len >> 8);
        buf[3] = (char) len;
        n = 4;
    }

    memset(buf + n, 0, 4);
    memcpy(buf + n + 4, p, len);

    n += 4 + len;

    if (send(c->fd, buf, n, MSG_NOSIGNAL) != (ssize_t) n) {
        count.failed++;
    }
}


static void
crowd_close(crowd_conn_t *c)
{
    if (c->state == CROWD_OPEN) {
        crowd_opened(c, 0);
    }

    if (c->state != CROWD_OPEN || c->frames < ready_frames) {
        shaking--;
    }

    close(c->fd);
    free(c->part);

    c->fd = -1;
    c->part = NULL;
    c->len = 0;
    c->state = CROWD_ENDED;
}


static void
crowd_opened(crowd_conn_t *c, int on)
{
    if (on) {
        count.open++;
        ids[c->id].watchers++;

    } else {
        count.open--;
        ids[c->id].watchers--;
    }
}


static void
crowd_poll(int ms)
{
    int                 i, n;
    char               *p;
    struct epoll_event  events[512];

    n = epoll_wait(ep, events, 512, ms);

    for (i = 0; i < n; i++) {
        p = events[i].data.ptr;

        if (p >= (char *) publishers
            && p < (char *) (publishers + CROWD_PUBLISHERS))
        {
            crowd_publisher((crowd_publisher_t *) p);

        } else if (((crowd_conn_t *) p)->fd != -1) {
            crowd_event((crowd_conn_t *) p, events[i].events);
        }
    }
}


/* the answer to a publish */

static void
crowd_publisher(crowd_publisher_t *p)
{
    char     *end, *length;
    ssize_t   n;

    n = recv(p->fd, p->buf + p->len, sizeof(p->buf) - 1 - p->len, 0);

    if (n <= 0 && p->busy) {
        crowd_die("publisher");
    }

    if (n <= 0) {
        close(p->fd);
        p->fd = 0;
        return;
    }

    p->len += n;
    p->buf[p->len] = '\0';

    end = strstr(p->buf, "\r\n\r\n");

    if (end == NULL) {
        return;
    }

    length = strcasestr(p->buf, "content-length:");
    n = length ? atoi(length + 15) : 0;

    if (p->len < (size_t) (end + 4 - p->buf) + n) {
        return;
    }

    if (p->buf[9] != '2') {
        fprintf(stderr, "publish: %s\n", p->buf);
        exit(1);
    }

    p->len = 0;
    p->busy = 0;
}


static void
crowd_publish_one(crowd_publisher_t *p, crowd_id_t *id)
{
    char                buf[CROWD_TEXT];
    size_t              len;
    struct epoll_event  ev;
    struct sockaddr_in  sin;

    if (p->fd == 0) {
        p->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

        memset(&sin, 0, sizeof(sin));
        sin.sin_family = AF_INET;
        sin.sin_port = htons(publish_port);
        sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

        if (p->fd == -1
            || connect(p->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1)
        {
            crowd_die("publisher");
        }

        ev.events = EPOLLIN;
        ev.data.ptr = p;
        epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &ev);
    }

    number++;
    len = crowd_fill(buf, publish, id->name);

    p->busy = 1;
    id->sent = crowd_now();

    if (send(p->fd, buf, len, MSG_NOSIGNAL) != (ssize_t) len) {
        crowd_die("publish");
    }
}


static int
crowd_due(double start, unsigned i, unsigned rate)
{
    return rate == 0 || crowd_now() >= start + (double) i / rate;
}


static void
crowd_publish(unsigned n, unsigned rate, unsigned width)
{
    double              start;
    unsigned            i, k, j;
    crowd_id_t         *id;
    crowd_publisher_t  *p;

    messages = 0;
    repeated = 0;
    publishing = 1;
    window = 0;
    ntimes = 0;
    max_times = (size_t) n * (nconns / nids + 1);
    times = realloc(times, max_times * sizeof(float));

    start = crowd_now();

    for (i = 0; i < n; /* void */ ) {

        for (k = 0; k < CROWD_PUBLISHERS && i < n; k++) {

            p = &publishers[k];
            id = &ids[next_id];

            if (p->busy || window >= width || id->pending
                || !crowd_due(start, i, rate))
            {
                continue;
            }

            for (j = next_id; j < nconns; j += nids) {
                conns[j].waits = (conns[j].state == CROWD_OPEN);
            }

            id->pending = id->watchers;
            window += (id->pending != 0);
            next_id = (next_id + 1) % nids;
            i++;

            crowd_publish_one(p, id);
        }

        crowd_poll(rate ? 1 : 1000);

        if (crowd_now() - start > 300) {
            break;
        }
    }

    for (k = 0; k < CROWD_PUBLISHERS; k++) {
        while ((publishers[k].busy || window)
               && crowd_now() - start < 310)
        {
            crowd_poll(100);
        }
    }

    crowd_publish_report(n, crowd_now() - start);
}


static void
crowd_publish_report(unsigned n, double seconds)
{
    unsigned  i, lost;

    publishing = 0;

    qsort(times, ntimes, sizeof(float), crowd_compare);

    lost = 0;

    for (i = 0; i < nids; i++) {
        lost += ids[i].pending;
        ids[i].pending = 0;
    }

    printf("publish %u messages %u lost %u repeated %u ms %.0f "
           "p50us %.0f p99us %.0f maxus %.0f\n",
           n, messages, lost, repeated, seconds * 1000,
           ntimes ? times[ntimes / 2] * 1e6 : 0,
           ntimes ? times[ntimes * 99 / 100] * 1e6 : 0,
           ntimes ? times[ntimes - 1] * 1e6 : 0);
}


static void
crowd_race(unsigned n, unsigned width)
{
    double    end;
    unsigned  last;

    last = nconns + n;
    race = calloc(n, sizeof(unsigned));

    if (race == NULL || last > room) {
        crowd_die("race");
    }

    racing = 1;
    racers = 0;
    raced = 0;
    ready_frames = 2;
    end = crowd_now() + 120;

    while ((nconns < last || shaking || raced < n) && crowd_now() < end) {

        while (nconns < last && shaking < width) {
            conns[nconns].id = nconns % nids;
            crowd_connect(&conns[nconns++]);
        }

        crowd_poll(100);
        crowd_race_go();
    }

    racing = 0;
    free(race);

    printf("raced %u ", raced);
    crowd_report("race");
}


/* each connection has a moment of its own at which its task is to change */

static void
crowd_moment(crowd_conn_t *c, unsigned moment)
{
    if (racing && (c - conns) % 5 == moment) {
        race[racers++] = c->id;
        crowd_race_go();
    }
}


static void
crowd_race_go(void)
{
    unsigned  k;

    for (k = 0; k < CROWD_PUBLISHERS && raced < racers; k++) {
        if (!publishers[k].busy) {
            crowd_publish_one(&publishers[k], &ids[race[raced++]]);
        }
    }
}


static void
crowd_open(unsigned n, unsigned width, unsigned wanted)
{
    double    end;
    unsigned  last;

    last = nconns + n;

    if (last > room - CROWD_PUBLISHERS - 16) {
        last = room - CROWD_PUBLISHERS - 16;
    }

    ready_frames = wanted;
    end = crowd_now() + 120;

    while ((nconns < last || shaking) && crowd_now() < end) {

        while (nconns < last && shaking < width) {
            conns[nconns].id = nconns % nids;
            crowd_connect(&conns[nconns++]);
        }

        crowd_poll(100);
    }

    crowd_report("open");
}


/* until each connection has seen so many ends, and for what comes too much */

static void
crowd_wait(unsigned ends, double seconds)
{
    double    end;
    unsigned  i, least, most;

    end = crowd_now() + seconds;

    for ( ;; ) {

        least = ends;
        most = 0;

        for (i = 0; i < nconns; i++) {
            least = conns[i].ends < least ? conns[i].ends : least;
            most = conns[i].ends > most ? conns[i].ends : most;
        }

        if (least == ends || crowd_now() > end) {
            break;
        }

        crowd_poll(100);
    }

    printf("least %u most %u ", least, most);
    crowd_report("wait");
}


static void
crowd_idle(int ms)
{
    double  end;

    end = crowd_now() + ms / 1000.0;

    while (crowd_now() < end) {
        crowd_poll(10);
    }

    crowd_report("idle");
}


static void
crowd_drop(unsigned n)
{
    unsigned  i;

    for (i = 0; i < nconns && n; i++) {
        if (conns[i].state == CROWD_OPEN) {
            crowd_close(&conns[i]);
            n--;
        }
    }

    crowd_report("drop");
}


static void
crowd_report(const char *name)
{
    printf("%s 0 open %u refused %u limited %u failed %u closed %u broken %u "
           "goodbyes %u told %u again %u frames %u ends %u\n",
           name, count.open, count.refused, count.limited, count.failed,
           count.closed, count.broken, count.goodbyes, count.told,
           count.again, count.frames, count.ends);
}


static size_t
crowd_fill(char *buf, const char *text, const char *id)
{
    char        *p;
    const char  *s;

    p = buf;

    for (s = text; *s; /* void */ ) {

        if (p - buf > CROWD_TEXT - 64) {
            crowd_die("text");
        }

        if (strncmp(s, "{id}", 4) == 0) {
            p += sprintf(p, "%s", id);
            s += 4;

        } else if (strncmp(s, "{n}", 3) == 0) {
            p += sprintf(p, "%010u", number);
            s += 3;

        } else if (strncmp(s, "{t}", 3) == 0) {
            p += sprintf(p, "%.0f", crowd_now() * 1e6);
            s += 3;

        } else {
            *p++ = *s++;
        }
    }

    return p - buf;
}


static char *
crowd_file(const char *name)
{
    long   size;
    char  *text;
    FILE  *f;

    f = fopen(name, "r");
    if (f == NULL) {
        crowd_die(name);
    }

    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);

    text = malloc(size + 1);

    if (text == NULL || fread(text, 1, size, f) != (size_t) size) {
        crowd_die(name);
    }

    text[size] = '\0';
    fclose(f);

    return text;
}


static void
crowd_ids(char *text)
{
    char      *line;
    unsigned   n;

    n = 1;

    for (line = text; *line; line++) {
        n += (*line == '\n');
    }

    ids = calloc(n, sizeof(crowd_id_t));
    if (ids == NULL) {
        crowd_die("ids");
    }

    for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        ids[nids++].name = line;
    }
}


static void
crowd_hello(char *text)
{
    char  *next;

    while (*text && nhellos < CROWD_HELLOS) {
        next = strstr(text, "\n--\n");

        if (next) {
            *next = '\0';
        }

        hellos[nhellos++] = text;

        if (next == NULL) {
            break;
        }

        text = next + 4;
    }
}


static double
crowd_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


static int
crowd_compare(const void *one, const void *two)
{
    float  a, b;

    a = *(const float *) one;
    b = *(const float *) two;

    return (a > b) - (a < b);
}


static void
crowd_die(const char *what)
{
    perror(what);
    exit(1);
}
