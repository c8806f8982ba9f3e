
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_owner.h>
#include <ngx_channel.h>
#include <sys/file.h>


/* pids that are looked at */

#define NGX_CONDUIT_OWNER_SIZE   1024

/* how often it is tried to take it, and the pauses, ms */

#define NGX_CONDUIT_OWNER_TRIES  20
#define NGX_CONDUIT_OWNER_PAUSE  50


static ngx_int_t ngx_conduit_owner_folder(ngx_str_t *path,
    ngx_log_t *log);
static ngx_int_t ngx_conduit_owner_lock(ngx_str_t *path,
    ngx_log_t *log);
static ngx_uint_t ngx_conduit_owner_named(ngx_pid_t pid);


/* of this master and its workers; a reload keeps it */
static ngx_fd_t  ngx_conduit_owner_fd = NGX_INVALID_FILE;


ngx_int_t
ngx_conduit_owner_take(ngx_str_t *path, ngx_log_t *log)
{
    u_char     name[NGX_MAX_PATH];
    ngx_int_t  rc;

    if (ngx_conduit_owner_fd != NGX_INVALID_FILE) {
        return NGX_OK;
    }

    if (ngx_conduit_owner_folder(path, log) != NGX_OK) {
        return NGX_ERROR;
    }

    *ngx_snprintf(name, sizeof(name) - 1, "%V" NGX_CONDUIT_OWNER_FILE,
                  path) = '\0';

    ngx_conduit_owner_fd = open((char *) name,
                                     O_RDWR|O_CREAT|O_CLOEXEC, 0600);

    if (ngx_conduit_owner_fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "conduit_store \"%V\" cannot be used: " ngx_open_file_n
                      " \"%s\" failed", path, name);
        return NGX_ERROR;
    }

    rc = ngx_conduit_owner_lock(path, log);

    if (rc == NGX_ERROR) {
        (void) ngx_close_file(ngx_conduit_owner_fd);
        ngx_conduit_owner_fd = NGX_INVALID_FILE;
    }

    return rc;
}


static ngx_int_t
ngx_conduit_owner_folder(ngx_str_t *path, ngx_log_t *log)
{
    ngx_err_t        err;
    ngx_file_info_t  fi;

    if (ngx_create_dir(path->data, 0700) == NGX_FILE_ERROR) {
        err = ngx_errno;

        if (err != NGX_EEXIST) {
            ngx_log_error(NGX_LOG_EMERG, log, err,
                          "conduit_store \"%V\" cannot be used: "
                          ngx_create_dir_n " failed", path);
            return NGX_ERROR;
        }
    }

    if (ngx_file_info(path->data, &fi) == NGX_FILE_ERROR || !ngx_is_dir(&fi)) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "conduit_store \"%V\" cannot be used: it is not a "
                      "folder", path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_conduit_owner_lock(ngx_str_t *path, ngx_log_t *log)
{
    ngx_uint_t  i, heir;

    heir = ngx_inherited && ngx_conduit_owner_named(getppid());

    /* processes that were killed may need a moment to be gone */

    for (i = 0; i < NGX_CONDUIT_OWNER_TRIES; i++) {

        if (ngx_conduit_owner_again() == NGX_OK) {
            return NGX_OK;
        }

        if (heir) {
            break;
        }

        ngx_msleep(NGX_CONDUIT_OWNER_PAUSE);
    }

    if (!heir) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "conduit_store \"%V\" is in use by another nginx: each "
                      "needs a folder of its own", path);
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "conduit_store \"%V\" is in use by the nginx that is "
                  "replaced: requests are refused until it has ended", path);

    return NGX_AGAIN;
}


ngx_int_t
ngx_conduit_owner_again(void)
{
    if (flock(ngx_conduit_owner_fd, LOCK_EX|LOCK_NB) == -1) {
        return NGX_AGAIN;
    }

    /* nobody is named any more; who is left out does no harm */

    return (ftruncate(ngx_conduit_owner_fd, 0) == -1) ? NGX_AGAIN : NGX_OK;
}


/* a worker tells whose it is; the file is a list of numbers */

void
ngx_conduit_owner_join(ngx_log_t *log)
{
    u_char     *p, line[NGX_INT64_LEN + 1];
    ngx_fd_t    fd;
    ngx_pid_t   pid;

    fd = ngx_conduit_owner_fd;
    pid = (ngx_process == NGX_PROCESS_SINGLE) ? ngx_pid : ngx_parent;

    if (fd == NGX_INVALID_FILE || ngx_conduit_owner_named(pid)) {
        return;
    }

    p = ngx_sprintf(line, "%P" CRLF, pid);

    (void) lseek(fd, 0, SEEK_END);

    if (ngx_write_fd(fd, line, p - line) != p - line) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "write to \"nginx.pid\" of conduit_store failed: a "
                      "binary upgrade will be refused");
    }
}


static ngx_uint_t
ngx_conduit_owner_named(ngx_pid_t pid)
{
    u_char   *p, *last, buf[NGX_CONDUIT_OWNER_SIZE];
    ssize_t   n;
    uint64_t  value;

    n = pread(ngx_conduit_owner_fd, buf, sizeof(buf), 0);

    if (n <= 0) {
        return 0;
    }

    value = 0;
    last = buf + n;

    for (p = buf; p < last; p++) {

        if (*p >= '0' && *p <= '9') {
            value = value * 10 + (*p - '0');
            continue;
        }

        if (value && value == (uint64_t) pid) {
            return 1;
        }

        value = 0;
    }

    return 0;
}
