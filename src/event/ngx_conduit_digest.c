
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_digest.h>

#include <openssl/err.h>
#include <openssl/evp.h>


/* holds no more than the state of a digest, so that a fork does not matter */
static EVP_MD_CTX  *ngx_conduit_sha256_ctx;


ngx_int_t
ngx_conduit_sha256(u_char *digest, ngx_str_t *parts, ngx_uint_t n)
{
    ngx_uint_t     i;
    EVP_MD_CTX    *ctx;
    const EVP_MD  *md;

    ctx = ngx_conduit_sha256_ctx;
    md = NULL;

    if (ctx == NULL) {
        ctx = EVP_MD_CTX_new();
        if (ctx == NULL) {
            goto failed;
        }

        ngx_conduit_sha256_ctx = ctx;
        md = EVP_sha256();
    }

    /* without a type the context's own is used again */

    if (EVP_DigestInit_ex(ctx, md, NULL) != 1) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        if (EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1) {
            goto failed;
        }
    }

    if (EVP_DigestFinal_ex(ctx, digest, NULL) != 1) {
        goto failed;
    }

    return NGX_OK;

failed:

    /* the error queue is shared with nginx's own TLS connections */

    ERR_clear_error();

    if (ctx != NULL) {
        EVP_MD_CTX_free(ctx);
        ngx_conduit_sha256_ctx = NULL;
    }

    return NGX_ERROR;
}
