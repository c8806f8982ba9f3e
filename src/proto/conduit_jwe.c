
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "conduit_jwe.h"
#include "conduit_jwe_key.h"
#include "conduit_media.h"


#define CONDUIT_JWE_CEK       32
#define CONDUIT_JWE_WRAPPED   40        /* RFC 3394 adds 8 bytes */
#define CONDUIT_JWE_IV        12
#define CONDUIT_JWE_TAG       16

/* the protected header without coordinates and key id */

#define CONDUIT_JWE_HEADER    160
#define CONDUIT_JWE_HEADER_MAX                                                \
    (CONDUIT_JWE_HEADER + 2 * conduit_jwe_b64_len(CONDUIT_JWK_COORD_MAX)      \
     + CONDUIT_JWK_KID_MAX)

#define conduit_jwe_b64_len(len)  (((len) * 4 + 2) / 3)

#define conduit_put(p, text)      conduit_jwe_copy(p, text, sizeof(text) - 1)


static u_char *conduit_jwe_header(u_char *p, const conduit_jwk_t *jwk,
    const conduit_jwe_agreed_t *agreed);
static int conduit_jwe_kdf(u_char *kek, const conduit_jwe_agreed_t *agreed);
static int conduit_jwe_wrap(u_char *wrapped, const u_char *kek,
    const u_char *cek);
static int conduit_jwe_seal(u_char *dst, u_char *tag, const u_char *cek,
    const u_char *iv, const conduit_str_t *aad, const u_char *p, size_t len);
static u_char *conduit_jwe_b64(u_char *dst, const u_char *p, size_t len);
static u_char *conduit_jwe_copy(u_char *p, const void *src, size_t len);


size_t
conduit_jwe_size(const conduit_jwk_t *jwk, size_t len)
{
    size_t  header;

    header = CONDUIT_JWE_HEADER + 2 * conduit_jwe_b64_len(jwk->size)
             + jwk->kid_len;

    /* base64 pads its last group before the padding is dropped */

    return conduit_jwe_b64_len(header) + conduit_jwe_b64_len(len)
           + conduit_jwe_b64_len(CONDUIT_JWE_WRAPPED)
           + conduit_jwe_b64_len(CONDUIT_JWE_IV)
           + conduit_jwe_b64_len(CONDUIT_JWE_TAG) + 4 + 4;
}


u_char *
conduit_jwe_encrypt(u_char *dst, const conduit_jwk_t *jwk, const u_char *p,
    size_t len, const u_char *rnd)
{
    u_char                *last, *text;
    u_char                 kek[CONDUIT_JWE_CEK], wrapped[CONDUIT_JWE_WRAPPED];
    u_char                 tag[CONDUIT_JWE_TAG];
    u_char                 header[CONDUIT_JWE_HEADER_MAX];
    const u_char          *cek, *iv;
    conduit_str_t          aad;
    conduit_jwe_agreed_t   agreed;

    cek = rnd + CONDUIT_JWK_SEED;
    iv = cek + CONDUIT_JWE_CEK;

    text = NULL;
    last = NULL;

    if (conduit_jwe_agree(&agreed, jwk, rnd) != CONDUIT_OK
        || conduit_jwe_kdf(kek, &agreed) != CONDUIT_OK
        || conduit_jwe_wrap(wrapped, kek, cek) != CONDUIT_OK)
    {
        goto done;
    }

    text = OPENSSL_malloc(len ? len : 1);
    if (text == NULL) {
        goto done;
    }

    aad.data = dst;
    last = conduit_jwe_header(header, jwk, &agreed);
    last = conduit_jwe_b64(dst, header, (size_t) (last - header));
    aad.len = (size_t) (last - dst);

    if (conduit_jwe_seal(text, tag, cek, iv, &aad, p, len) != CONDUIT_OK) {
        last = NULL;
        goto done;
    }

    *last++ = '.';
    last = conduit_jwe_b64(last, wrapped, sizeof(wrapped));
    *last++ = '.';
    last = conduit_jwe_b64(last, iv, CONDUIT_JWE_IV);
    *last++ = '.';
    last = conduit_jwe_b64(last, text, len);
    *last++ = '.';
    last = conduit_jwe_b64(last, tag, sizeof(tag));

done:

    OPENSSL_free(text);
    OPENSSL_cleanse(kek, sizeof(kek));
    OPENSSL_cleanse(&agreed, sizeof(agreed));

    return last;
}


static u_char *
conduit_jwe_header(u_char *p, const conduit_jwk_t *jwk,
    const conduit_jwe_agreed_t *agreed)
{
    const char  *name;

    p = conduit_put(p, "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\","
                       "\"cty\":\"application/json\"");

    if (jwk->kid_len) {
        p = conduit_put(p, ",\"kid\":");
        p = conduit_jwe_copy(p, jwk->kid, jwk->kid_len);
    }

    name = conduit_jwk_curve(jwk);

    p = conduit_put(p, ",\"epk\":{\"kty\":\"EC\",\"crv\":\"");
    p = conduit_jwe_copy(p, name, strlen(name));
    p = conduit_put(p, "\",\"x\":\"");
    p = conduit_jwe_b64(p, agreed->x, jwk->size);
    p = conduit_put(p, "\",\"y\":\"");
    p = conduit_jwe_b64(p, agreed->y, jwk->size);

    return conduit_put(p, "\"}}");
}


/* Concat KDF (RFC 7518, 4.6.2) for 256 bits: a single round of SHA-256 */

static int
conduit_jwe_kdf(u_char *kek, const conduit_jwe_agreed_t *agreed)
{
    size_t    i;
    u_char    text[4 + CONDUIT_JWK_COORD_MAX + 4 + 14 + 4 + 4 + 4], *p;
    unsigned  n;

    static const struct {
        unsigned     number;
        const char  *text;
    } info[] = {
        { 14, "ECDH-ES+A256KW" }, { 0, "" }, { 0, "" },
        { 8 * CONDUIT_JWE_CEK, "" }
    };

    p = conduit_put(text, "\0\0\0\1");
    p = conduit_jwe_copy(p, agreed->secret, agreed->size);

    for (i = 0; i < sizeof(info) / sizeof(info[0]); i++) {
        n = info[i].number;

        *p++ = (u_char) (n >> 24);
        *p++ = (u_char) (n >> 16);
        *p++ = (u_char) (n >> 8);
        *p++ = (u_char) n;

        p = conduit_jwe_copy(p, info[i].text, strlen(info[i].text));
    }

    if (EVP_Digest(text, (size_t) (p - text), kek, NULL, EVP_sha256(), NULL)
        != 1)
    {
        OPENSSL_cleanse(text, sizeof(text));
        return CONDUIT_ERROR;
    }

    OPENSSL_cleanse(text, sizeof(text));

    return CONDUIT_OK;
}


/* AES key wrap (RFC 3394) */

static int
conduit_jwe_wrap(u_char *wrapped, const u_char *kek, const u_char *cek)
{
    int              n, rc;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return CONDUIT_ERROR;
    }

    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);

    rc = (EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap(), NULL, kek, NULL) == 1
          && EVP_EncryptUpdate(ctx, wrapped, &n, cek, CONDUIT_JWE_CEK) == 1
          && n == CONDUIT_JWE_WRAPPED)
         ? CONDUIT_OK : CONDUIT_ERROR;

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


static int
conduit_jwe_seal(u_char *dst, u_char *tag, const u_char *cek, const u_char *iv,
    const conduit_str_t *aad, const u_char *p, size_t len)
{
    int              n, rc;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return CONDUIT_ERROR;
    }

    rc = (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, cek, iv) == 1
          && EVP_EncryptUpdate(ctx, NULL, &n, aad->data, (int) aad->len) == 1
          && EVP_EncryptUpdate(ctx, dst, &n, p, (int) len) == 1
          && EVP_EncryptFinal_ex(ctx, dst + n, &n) == 1
          && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CONDUIT_JWE_TAG,
                                 tag)
             == 1)
         ? CONDUIT_OK : CONDUIT_ERROR;

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


/* base64url without padding (RFC 7515, 2) */

static u_char *
conduit_jwe_b64(u_char *dst, const u_char *p, size_t len)
{
    u_char  *last;

    last = dst + conduit_base64_encode(dst, p, len);

    while (last > dst && last[-1] == '=') {
        last--;
    }

    for ( /* void */ ; dst < last; dst++) {
        if (*dst == '+') {
            *dst = '-';

        } else if (*dst == '/') {
            *dst = '_';
        }
    }

    return last;
}


static u_char *
conduit_jwe_copy(u_char *p, const void *src, size_t len)
{
    memcpy(p, src, len);

    return p + len;
}
