
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_key_file.h>


/* Reading of files, fit for a thread: system calls and malloc() only. */


#define NGX_HTTP_CONDUIT_KEY_FILE_MAX  (16 * 1024 * 1024)


static u_char *ngx_http_conduit_key_source_load(int fd, size_t size,
    size_t *len);
static void ngx_http_conduit_key_source_set(ngx_http_conduit_key_stat_t *st,
    struct stat *sb);
static void ngx_http_conduit_key_source_jwks(
    ngx_http_conduit_key_source_t *src);
static void ngx_http_conduit_key_source_error(
    ngx_http_conduit_key_source_t *src, const char *error);


void
ngx_http_conduit_key_source_read(ngx_http_conduit_key_source_t *src)
{
    int                    fd;
    size_t                 len;
    u_char                *text;
    struct stat            sb;
    conduit_json_error_t   err;

    ngx_memzero(&src->stat, sizeof(ngx_http_conduit_key_stat_t));

    src->json = NULL;
    src->err = 0;

    fd = open(src->path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1 || fstat(fd, &sb) == -1) {
        src->err = errno;
        ngx_http_conduit_key_source_error(src, "cannot be read");

        /* what stays unreadable is told once and not each second */

        ngx_http_conduit_key_source_stat(src->path, &src->stat);

        if (fd != -1) {
            close(fd);
        }

        return;
    }

    /* taken before reading: what is written meanwhile is another state */

    ngx_http_conduit_key_source_set(&src->stat, &sb);

    if (!S_ISREG(sb.st_mode) || sb.st_size > NGX_HTTP_CONDUIT_KEY_FILE_MAX) {
        ngx_http_conduit_key_source_error(src,
                                    "is no regular file of at most 16 MB");
        close(fd);
        return;
    }

    text = ngx_http_conduit_key_source_load(fd, (size_t) sb.st_size, &len);

    if (text == NULL) {
        src->err = errno;
        ngx_http_conduit_key_source_error(src, "cannot be read");
        close(fd);
        return;
    }

    close(fd);

    src->json = conduit_json_parse(text, len, &err);

    if (src->json == NULL) {
        (void) snprintf(src->error, sizeof(src->error),
                        "is not valid JSON: %s at byte %zu", err.text,
                        err.offset);
    }

    free(text);

    if (src->json != NULL) {
        ngx_http_conduit_key_source_jwks(src);
    }
}


/* reads up to size bytes; NULL with errno, never for an empty file */

static u_char *
ngx_http_conduit_key_source_load(int fd, size_t size, size_t *len)
{
    u_char   *text;
    ssize_t   n;

    text = malloc(size + 1);
    if (text == NULL) {
        return NULL;
    }

    for (*len = 0; *len < size; *len += (size_t) n) {

        n = read(fd, text + *len, size - *len);

        if (n == 0) {
            break;
        }

        if (n == -1) {

            if (errno == EINTR) {
                n = 0;
                continue;
            }

            free(text);
            return NULL;
        }
    }

    return text;
}


void
ngx_http_conduit_key_source_stat(const char *path,
    ngx_http_conduit_key_stat_t *st)
{
    struct stat  sb;

    ngx_memzero(st, sizeof(ngx_http_conduit_key_stat_t));

    if (stat(path, &sb) == -1) {
        st->err = errno;
        return;
    }

    ngx_http_conduit_key_source_set(st, &sb);
}


static void
ngx_http_conduit_key_source_set(ngx_http_conduit_key_stat_t *st,
    struct stat *sb)
{
    st->inode = (uint64_t) sb->st_ino;
    st->size = (int64_t) sb->st_size;
    st->mtime = (int64_t) sb->st_mtim.tv_sec * 1000000000
                + sb->st_mtim.tv_nsec;
    st->ctime = (int64_t) sb->st_ctim.tv_sec * 1000000000
                + sb->st_ctim.tv_nsec;
}


/* puts the text of each JWK where its file is named */

static void
ngx_http_conduit_key_source_jwks(ngx_http_conduit_key_source_t *src)
{
    char           *text, path[PATH_MAX];
    size_t          len;
    json_t         *key, *jwk;
    const char     *name, *file, *why;
    conduit_jwk_t   parsed;

    json_object_foreach(src->json, name, key) {

        jwk = json_object_get(key, "webhook_jwk");

        if (!json_is_string(jwk)) {
            continue;
        }

        file = json_string_value(jwk);

        (void) snprintf(path, sizeof(path), "%.*s%s",
                        (file[0] == '/') ? 0 : (int) src->prefix_len,
                        src->prefix, file);

        text = ngx_http_conduit_key_jwk(path, &len, &parsed, &why);

        if (text && json_string_setn(jwk, text, len) != 0) {
            why = "cannot be kept: no memory";
            free(text);
            text = NULL;
        }

        if (text == NULL) {
            (void) snprintf(src->error, sizeof(src->error),
                            "has a key \"%.64s\" whose \"webhook_jwk\" must"
                            " name a file with a JSON Web Key, which %s",
                            name, why);
            json_decref(src->json);
            src->json = NULL;
            return;
        }

        free(text);
    }
}


static void
ngx_http_conduit_key_source_error(ngx_http_conduit_key_source_t *src,
    const char *error)
{
    (void) snprintf(src->error, sizeof(src->error), "%s", error);
}


char *
ngx_http_conduit_key_jwk(const char *path, size_t *len, conduit_jwk_t *jwk,
    const char **why)
{
    int           fd;
    u_char       *text;
    struct stat   sb;

    *why = "must be a regular file that can be read";

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
    if (fd == -1) {
        return NULL;
    }

    text = NULL;

    if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode)) {

        if (sb.st_size > CONDUIT_JWK_TEXT_MAX) {
            *why = "must not be longer than 64 KB";

        } else {
            text = ngx_http_conduit_key_source_load(fd, (size_t) sb.st_size,
                                                    len);
        }
    }

    close(fd);

    if (text && conduit_jwk_parse(jwk, text, *len, why) != CONDUIT_OK) {
        free(text);
        text = NULL;
    }

    return (char *) text;
}
