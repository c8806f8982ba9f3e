
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * The functions of the algorithm itself, which OpenSSL 3 calls deprecated: by
 * way of EVP each digest would look up its algorithm and allocate its state,
 * and every request of every client makes one.
 */

#define OPENSSL_SUPPRESS_DEPRECATED


#include <ngx_conduit_digest.h>

#include <openssl/sha.h>


ngx_int_t
ngx_conduit_sha256(u_char *digest, ngx_str_t *parts, ngx_uint_t n)
{
    ngx_uint_t  i;
    SHA256_CTX  sha;

    if (SHA256_Init(&sha) != 1) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (SHA256_Update(&sha, parts[i].data, parts[i].len) != 1) {
            return NGX_ERROR;
        }
    }

    return (SHA256_Final(digest, &sha) == 1) ? NGX_OK : NGX_ERROR;
}
