
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _JWE_OPEN_H_INCLUDED_
#define _JWE_OPEN_H_INCLUDED_


/*
 * The receiver's side of JWE, by other functions of OpenSSL than those that
 * encrypt: keys as EVP_PKEY, and its own key derivation.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <jansson.h>


#define JWE_COORD  66


/* base64url; returns the number of bytes, dst has room for 3 more */

__attribute__((unused))
static size_t
jwe_decode(unsigned char *dst, const char *p, size_t len)
{
    int      n;
    char    *text;
    size_t   i, pad;

    pad = (4 - len % 4) % 4;

    text = malloc(len + pad + 1);
    if (text == NULL) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        text[i] = (p[i] == '-') ? '+' : (p[i] == '_') ? '/' : p[i];
    }

    memset(text + len, '=', pad);

    n = EVP_DecodeBlock(dst, (unsigned char *) text, (int) (len + pad));
    free(text);

    return (n < 0) ? 0 : (size_t) n - pad;
}


/* one of the five parts, decoded */

__attribute__((unused))
static size_t
jwe_part(unsigned char *dst, const unsigned char *p, size_t len, int part)
{
    const unsigned char  *end, *last;

    last = p + len;

    for ( ;; ) {
        end = memchr(p, '.', (size_t) (last - p));
        end = end ? end : last;

        if (part-- == 0) {
            return jwe_decode(dst, (const char *) p, (size_t) (end - p));
        }

        if (end == last) {
            return 0;
        }

        p = end + 1;
    }
}


__attribute__((unused))
static EVP_PKEY *
jwe_pkey(const char *curve, const char *x, const char *y, const char *d)
{
    size_t           nx, ny, nd;
    BIGNUM          *priv;
    EVP_PKEY        *pkey;
    OSSL_PARAM      *params;
    EVP_PKEY_CTX    *ctx;
    unsigned char    pub[2 * JWE_COORD + 7], secret[JWE_COORD + 3];
    OSSL_PARAM_BLD  *bld;

    pub[0] = POINT_CONVERSION_UNCOMPRESSED;
    nx = jwe_decode(pub + 1, x, strlen(x));
    ny = jwe_decode(pub + 1 + nx, y, strlen(y));

    priv = NULL;
    pkey = NULL;

    bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0);
    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, pub,
                                     1 + nx + ny);

    if (d) {
        nd = jwe_decode(secret, d, strlen(d));
        priv = BN_bin2bn(secret, (int) nd, NULL);
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, priv);
    }

    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    if (EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(priv);

    return pkey;
}


__attribute__((unused))
static int
jwe_kek(unsigned char *kek, EVP_PKEY *own, EVP_PKEY *peer)
{
    int             good;
    size_t          len;
    EVP_KDF        *kdf;
    OSSL_PARAM      params[4];
    EVP_KDF_CTX    *kctx;
    EVP_PKEY_CTX   *ctx;
    unsigned char   secret[JWE_COORD];

    static unsigned char  info[] =
        "\0\0\0\16" "ECDH-ES+A256KW" "\0\0\0\0" "\0\0\0\0" "\0\0\1";

    ctx = EVP_PKEY_CTX_new(own, NULL);
    len = sizeof(secret);

    good = EVP_PKEY_derive_init(ctx) == 1
           && EVP_PKEY_derive_set_peer(ctx, peer) == 1
           && EVP_PKEY_derive(ctx, secret, &len) == 1;

    EVP_PKEY_CTX_free(ctx);

    kdf = EVP_KDF_fetch(NULL, "SSKDF", NULL);
    kctx = EVP_KDF_CTX_new(kdf);

    /* the array's NUL is the last byte of 256 */

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret,
                                                  len);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info,
                                                  sizeof(info));
    params[3] = OSSL_PARAM_construct_end();

    good = good && EVP_KDF_derive(kctx, kek, 32, params) == 1;

    EVP_KDF_CTX_free(kctx);
    EVP_KDF_free(kdf);

    return good;
}


/* the text, of which the length is returned, or 0 if it cannot be opened */

__attribute__((unused))
static size_t
jwe_open(unsigned char *plain, const unsigned char *p, size_t len,
    const char *d)
{
    int                   n, more, good;
    size_t                size, clen;
    json_t               *header, *epk;
    EVP_PKEY             *own, *peer;
    const char           *crv;
    unsigned char         kek[32], cek[48], wrapped[48], iv[16], tag[24];
    unsigned char        *text;
    EVP_CIPHER_CTX       *ctx;
    const unsigned char  *dot;

    text = malloc(len + 8);
    if (text == NULL) {
        return 0;
    }

    size = jwe_part(text, p, len, 0);
    header = json_loadb((char *) text, size, 0, NULL);
    epk = json_object_get(header, "epk");
    crv = json_string_value(json_object_get(epk, "crv"));

    if (crv == NULL) {
        json_decref(header);
        free(text);
        return 0;
    }

    peer = jwe_pkey(crv, json_string_value(json_object_get(epk, "x")),
                    json_string_value(json_object_get(epk, "y")), NULL);

    /* the public half does not matter for the agreement */

    own = jwe_pkey(crv, json_string_value(json_object_get(epk, "x")),
                   json_string_value(json_object_get(epk, "y")), d);

    good = peer && own && jwe_kek(kek, own, peer)
           && jwe_part(wrapped, p, len, 1) == 40
           && jwe_part(iv, p, len, 2) == 12
           && jwe_part(tag, p, len, 4) == 16;

    clen = jwe_part(text, p, len, 3);

    ctx = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);

    good = good
           && EVP_DecryptInit_ex(ctx, EVP_aes_256_wrap(), NULL, kek, NULL) == 1
           && EVP_DecryptUpdate(ctx, cek, &n, wrapped, 40) == 1 && n == 32;

    EVP_CIPHER_CTX_reset(ctx);

    dot = memchr(p, '.', len);
    more = 0;

    good = good && dot
           && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, cek, iv) == 1
           && EVP_DecryptUpdate(ctx, NULL, &n, p, (int) (dot - p)) == 1
           && EVP_DecryptUpdate(ctx, plain, &n, text, (int) clen) == 1
           && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1
           && EVP_DecryptFinal_ex(ctx, plain + n, &more) == 1;

    EVP_CIPHER_CTX_free(ctx);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    json_decref(header);
    free(text);

    return good ? (size_t) (n + more) : 0;
}


/* base64url of a number, with its zeros */

__attribute__((unused))
static void
jwe_encode(char *dst, const BIGNUM *n, int size)
{
    unsigned char  bytes[JWE_COORD];

    BN_bn2binpad(n, bytes, size);
    EVP_EncodeBlock((unsigned char *) dst, bytes, size);

    for ( /* void */ ; *dst && *dst != '='; dst++) {
        *dst = (*dst == '+') ? '-' : (*dst == '/') ? '_' : *dst;
    }

    *dst = '\0';
}


/* a new key: the JWK of its public half, and its private one */

__attribute__((unused))
static int
jwe_generate(char *jwk, size_t size, char *d, const char *curve)
{
    int        coord;
    char       x[128], y[128];
    BIGNUM    *bx, *by, *bd;
    EVP_PKEY  *pkey;

    bx = by = bd = NULL;
    coord = (curve[2] == '2') ? 32 : (curve[2] == '3') ? 48 : 66;

    pkey = EVP_EC_gen(curve);

    if (pkey == NULL
        || EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &bx) != 1
        || EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &by) != 1
        || EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &bd) != 1)
    {
        return 0;
    }

    jwe_encode(x, bx, coord);
    jwe_encode(y, by, coord);
    jwe_encode(d, bd, coord);

    (void) snprintf(jwk, size, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\","
                    "\"y\":\"%s\"}", curve, x, y);

    BN_free(bx);
    BN_free(by);
    BN_free(bd);
    EVP_PKEY_free(pkey);

    return 1;
}


#endif /* _JWE_OPEN_H_INCLUDED_ */
