
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_apart.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>


/* seconds of CPU time: whoever needs more runs in circles */

#define NGX_HTTP_CONDUIT_APART_CPU   900

/* what a call that has returned says first */

#define NGX_HTTP_CONDUIT_APART_GOOD  '+'
#define NGX_HTTP_CONDUIT_APART_BAD   '-'


static void ngx_http_conduit_apart_run(ngx_http_conduit_apart_pt call,
    void *data, int fd);
static void ngx_http_conduit_apart_quiet(void);
static size_t ngx_http_conduit_apart_read(int fd, char *buf, size_t size);


const char *
ngx_http_conduit_apart(ngx_http_conduit_apart_pt call, void *data, char *buf,
    size_t size)
{
    int     fds[2];
    pid_t   pid;
    size_t  n;

    if (pipe(fds) == -1) {
        return strerror(errno);
    }

    pid = fork();

    if (pid == -1) {
        (void) close(fds[0]);
        (void) close(fds[1]);
        return strerror(errno);
    }

    if (pid == 0) {
        (void) close(fds[0]);
        ngx_http_conduit_apart_run(call, data, fds[1]);
    }

    (void) close(fds[1]);

    n = ngx_http_conduit_apart_read(fds[0], buf, size - 1);
    buf[n] = '\0';

    (void) close(fds[0]);

    /* nginx may have seen its end before */

    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) {
        /* void */
    }

    if (n && buf[0] == NGX_HTTP_CONDUIT_APART_GOOD) {
        return NULL;
    }

    return (n && buf[0] == NGX_HTTP_CONDUIT_APART_BAD)
           ? buf + 1 : "data.mdb is damaged";
}


static void
ngx_http_conduit_apart_run(ngx_http_conduit_apart_pt call, void *data, int fd)
{
    char         good;
    size_t       len;
    const char  *why;

    ngx_http_conduit_apart_quiet();

    why = call(data);

    good = why ? NGX_HTTP_CONDUIT_APART_BAD : NGX_HTTP_CONDUIT_APART_GOOD;
    len = why ? strlen(why) : 0;

    if (write(fd, &good, 1) == 1 && len) {
        len -= write(fd, why, len);
    }

    _exit(len != 0);
}


/* an end that is expected is nobody else's business */

static void
ngx_http_conduit_apart_quiet(void)
{
    int            fd;
    ngx_uint_t     i;
    struct rlimit  limit;

    static const int  fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL,
                                  SIGXCPU, SIGCHLD };

    for (i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        (void) signal(fatal[i], SIG_DFL);
    }

    limit.rlim_cur = 0;
    limit.rlim_max = 0;
    (void) setrlimit(RLIMIT_CORE, &limit);

    limit.rlim_cur = NGX_HTTP_CONDUIT_APART_CPU;
    limit.rlim_max = NGX_HTTP_CONDUIT_APART_CPU;
    (void) setrlimit(RLIMIT_CPU, &limit);

    fd = open("/dev/null", O_WRONLY);

    if (fd != -1) {
        (void) dup2(fd, STDERR_FILENO);
        (void) close(fd);
    }
}


static size_t
ngx_http_conduit_apart_read(int fd, char *buf, size_t size)
{
    size_t   n;
    ssize_t  got;

    n = 0;

    while (n < size) {
        got = read(fd, buf + n, size - n);

        if (got == -1 && errno == EINTR) {
            continue;
        }

        if (got <= 0) {
            break;
        }

        n += got;
    }

    return n;
}
