
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_datafile.h>
#include <sys/statvfs.h>


/* pages that a file may lack at its end */

#define NGX_HTTP_CONDUIT_DATAFILE_MISSING  256

/* so much is added when less than a part of it is left, and so at once */

#define NGX_HTTP_CONDUIT_DATAFILE_STEP     (4 * 1024 * 1024)
#define NGX_HTTP_CONDUIT_DATAFILE_LEFT     (1024 * 1024)
#define NGX_HTTP_CONDUIT_DATAFILE_BLOCK    65536

/* no more room than that is none */

#define NGX_HTTP_CONDUIT_DATAFILE_ROOM     (1024 * 1024)


static const char  ngx_http_conduit_datafile_short[] =
    "the file is too short, it has been cut off";


int
ngx_http_conduit_datafile_whole(ngx_fd_t fd, size_t pages, size_t page,
    ngx_uint_t grow, const char **why)
{
    size_t       there;
    struct stat  fs;

    if (fstat(fd, &fs) == -1) {
        return errno;
    }

    there = fs.st_size / page;

    if (there >= pages) {
        return 0;
    }

    if ((pages - there) * 4 > pages
        || pages - there > NGX_HTTP_CONDUIT_DATAFILE_MISSING)
    {
        *why = ngx_http_conduit_datafile_short;
        return EIO;
    }

    return (grow && ftruncate(fd, pages * page) == -1) ? errno : 0;
}


void
ngx_http_conduit_datafile_ahead(ngx_fd_t fd, size_t used, size_t max)
{
    size_t       size, end, n;
    struct stat  fs;

    static const u_char  zeros[NGX_HTTP_CONDUIT_DATAFILE_BLOCK];

    if (fstat(fd, &fs) == -1) {
        return;
    }

    size = (size_t) fs.st_size;

    if (size >= max || size > used + NGX_HTTP_CONDUIT_DATAFILE_LEFT) {
        return;
    }

    end = ngx_min(size + NGX_HTTP_CONDUIT_DATAFILE_STEP, max);

    while (size < end) {
        n = ngx_min(end - size, sizeof(zeros));

        if (pwrite(fd, zeros, n, size) != (ssize_t) n) {
            return;
        }

        size += n;
    }
}


int
ngx_http_conduit_datafile_kept(ngx_fd_t fd, size_t *size, const char **why)
{
    struct stat  fs;

    if (fstat(fd, &fs) == -1) {
        return errno;
    }

    if ((size_t) fs.st_size < *size) {
        *why = ngx_http_conduit_datafile_short;
        return EIO;
    }

    *size = (size_t) fs.st_size;

    return 0;
}


/* a disk that is getting full takes a part, and says so only of the rest */

int
ngx_http_conduit_datafile_write(ngx_fd_t fd, u_char *data, size_t n,
    size_t off)
{
    ssize_t  written;

    while (n) {
        written = pwrite(fd, data, n, off);

        if (written == -1) {

            if (errno == EINTR) {
                continue;
            }

            return errno;
        }

        data += written;
        off += written;
        n -= written;
    }

    return 0;
}


ngx_uint_t
ngx_http_conduit_datafile_crowded(const char *path)
{
    struct statvfs  fs;

    return statvfs(path, &fs) == 0
           && (size_t) fs.f_bavail * fs.f_frsize
              < NGX_HTTP_CONDUIT_DATAFILE_ROOM;
}
