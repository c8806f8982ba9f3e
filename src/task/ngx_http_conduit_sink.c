
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_media.h>


/*
 * One media file on its way to the disk: written under a temporary name and
 * renamed when it is whole, so that what is served is never half a file.
 * Everything here but log() runs in threads: system calls only.  The file is
 * opened with the first bytes; an empty one never exists.
 */


static ngx_int_t ngx_http_conduit_sink_open(
    ngx_http_conduit_media_sink_t *sink);
static ngx_int_t ngx_http_conduit_sink_failed(
    ngx_http_conduit_media_sink_t *sink, const char *what);


void
ngx_http_conduit_sink_init(ngx_http_conduit_media_sink_t *sink,
    ngx_http_conduit_media_t *media, u_char *paths)
{
    u_char  *p;

    sink->fd = NGX_INVALID_FILE;
    sink->temp = paths;

    p = ngx_cpymem(paths, media->path.data, media->path.len);
    *p++ = '/';
    p += conduit_media_temp_name(p, sink->rnd) + 1;

    sink->name = p;

    p = ngx_cpymem(p, media->path.data, media->path.len);
    *p++ = '/';

    sink->base = p;
}


ngx_int_t
ngx_http_conduit_sink_write(ngx_http_conduit_media_sink_t *sink, u_char *data,
    size_t len)
{
    ssize_t  n;

    if (sink->failed) {
        return NGX_ERROR;
    }

    if (len == 0) {
        return NGX_OK;
    }

    if (ngx_http_conduit_sink_open(sink) != NGX_OK) {
        return NGX_ERROR;
    }

    while (len) {
        n = write(sink->fd, data, len);

        if (n == -1) {

            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return ngx_http_conduit_sink_failed(sink, "write()");
        }

        data += n;
        len -= n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_sink_open(ngx_http_conduit_media_sink_t *sink)
{
    if (sink->fd != NGX_INVALID_FILE) {
        return NGX_OK;
    }

    sink->fd = open((char *) sink->temp,
                    O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW,
                    NGX_FILE_DEFAULT_ACCESS);

    if (sink->fd == NGX_INVALID_FILE) {
        return ngx_http_conduit_sink_failed(sink, "open()");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_sink_commit(ngx_http_conduit_media_sink_t *sink,
    const conduit_media_type_t *mime)
{
    int  rc;

    if (sink->failed) {
        return NGX_ERROR;
    }

    rc = close(sink->fd);
    sink->fd = NGX_INVALID_FILE;

    if (rc == -1) {
        (void) ngx_http_conduit_sink_failed(sink, "close()");
        (void) unlink((char *) sink->temp);
        return NGX_ERROR;
    }

    (void) conduit_media_name(sink->base, sink->rnd, mime);

    if (rename((char *) sink->temp, (char *) sink->name) == -1) {
        (void) ngx_http_conduit_sink_failed(sink, "rename()");
        (void) unlink((char *) sink->temp);
        return NGX_ERROR;
    }

    sink->kept = 1;

    return NGX_OK;
}


/* whatever there is of the file goes */

void
ngx_http_conduit_sink_abort(ngx_http_conduit_media_sink_t *sink)
{
    if (sink->fd != NGX_INVALID_FILE) {
        (void) close(sink->fd);
        (void) unlink((char *) sink->temp);
        sink->fd = NGX_INVALID_FILE;
    }

    if (sink->kept) {
        (void) unlink((char *) sink->name);
        sink->kept = 0;
    }
}


static ngx_int_t
ngx_http_conduit_sink_failed(ngx_http_conduit_media_sink_t *sink,
    const char *what)
{
    sink->err = ngx_errno;
    sink->failed = what;

    return NGX_ERROR;
}


void
ngx_http_conduit_sink_log(ngx_http_conduit_media_sink_t *sink)
{
    if (sink->failed && !sink->logged) {
        sink->logged = 1;

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, sink->err,
                      "conduit_media: %s \"%s\" failed", sink->failed,
                      sink->temp);
    }
}
