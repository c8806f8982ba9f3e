
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_random.h>

#include <openssl/err.h>
#include <openssl/rand.h>


#define NGX_CONDUIT_RANDOM_SIZE  1024


typedef struct {
    ngx_pid_t   pid;
    size_t      left;
    u_char      bytes[NGX_CONDUIT_RANDOM_SIZE];
} ngx_conduit_random_t;


static ngx_int_t ngx_conduit_random_fill(u_char *buf, size_t len);


/* a request for 16 bytes costs a copy, not a pass through OpenSSL's DRBG */
static ngx_conduit_random_t  ngx_conduit_random;


ngx_int_t
ngx_conduit_random_bytes(u_char *buf, size_t len)
{
    u_char                *p;
    ngx_conduit_random_t  *rnd;

    rnd = &ngx_conduit_random;

    if (len > NGX_CONDUIT_RANDOM_SIZE / 4) {
        return ngx_conduit_random_fill(buf, len);
    }

    /* after a fork the parent has the same bytes */

    if (rnd->left < len || rnd->pid != ngx_pid) {
        rnd->left = 0;

        if (ngx_conduit_random_fill(rnd->bytes, NGX_CONDUIT_RANDOM_SIZE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rnd->left = NGX_CONDUIT_RANDOM_SIZE;
        rnd->pid = ngx_pid;
    }

    rnd->left -= len;
    p = rnd->bytes + rnd->left;

    ngx_memcpy(buf, p, len);
    ngx_explicit_memzero(p, len);

    return NGX_OK;
}


static ngx_int_t
ngx_conduit_random_fill(u_char *buf, size_t len)
{
    if (RAND_bytes(buf, (int) len) == 1) {
        return NGX_OK;
    }

    /* the error queue is shared with nginx's own TLS connections */

    ERR_clear_error();

    return NGX_ERROR;
}
