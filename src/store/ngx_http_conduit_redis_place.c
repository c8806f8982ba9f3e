
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_digest.h>
#include <ngx_http_conduit_redis.h>


/*
 * From where Redis is called, and by which address: with the same start of a
 * kernel, namespaces and address it is the same server, or nobody.  Where the
 * system does not tell these a host is at a place of its own.
 */


#define NGX_HTTP_CONDUIT_PLACE_LEN    64
#define NGX_HTTP_CONDUIT_PLACE_PARTS  4


static ngx_int_t ngx_http_conduit_place_boot(ngx_str_t *text);
static ngx_int_t ngx_http_conduit_place_space(ngx_str_t *text,
    const char *name);


ngx_int_t
ngx_http_conduit_redis_place(ngx_http_conduit_redis_t *redis)
{
    u_char      digest[NGX_CONDUIT_SHA256_LEN];
    u_char      buf[NGX_HTTP_CONDUIT_PLACE_PARTS][NGX_HTTP_CONDUIT_PLACE_LEN];
    ngx_str_t   parts[NGX_HTTP_CONDUIT_PLACE_PARTS];
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_PLACE_PARTS; i++) {
        parts[i].data = buf[i];
    }

    if (ngx_http_conduit_place_boot(&parts[0]) != NGX_OK
        || ngx_http_conduit_place_space(&parts[1], "/proc/self/ns/net")
           != NGX_OK
        || ngx_http_conduit_place_space(&parts[2], "/proc/self/ns/mnt")
           != NGX_OK)
    {
        parts[0] = redis->owner;
        parts[1].len = 0;
        parts[2].len = 0;
    }

    parts[3] = redis->calls.conf->server.text;

    if (ngx_conduit_sha256(digest, parts, NGX_HTTP_CONDUIT_PLACE_PARTS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_hex_dump(redis->place, digest, NGX_HTTP_CONDUIT_REDIS_PLACE / 2);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_place_boot(ngx_str_t *text)
{
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file((u_char *) "/proc/sys/kernel/random/boot_id",
                       NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    n = ngx_read_fd(fd, text->data, NGX_HTTP_CONDUIT_PLACE_LEN);

    (void) ngx_close_file(fd);

    if (n <= 0) {
        return NGX_DECLINED;
    }

    text->len = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_place_space(ngx_str_t *text, const char *name)
{
    ssize_t  n;

    n = readlink(name, (char *) text->data, NGX_HTTP_CONDUIT_PLACE_LEN);

    if (n <= 0) {
        return NGX_DECLINED;
    }

    text->len = n;

    return NGX_OK;
}
