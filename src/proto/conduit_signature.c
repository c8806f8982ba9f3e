
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * The functions of the algorithm itself, which OpenSSL 3 calls deprecated: by
 * way of EVP each signature would look up its algorithm and allocate its
 * state twice, and every attempt makes one.
 */

#define OPENSSL_SUPPRESS_DEPRECATED


#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "conduit_media.h"
#include "conduit_signature.h"
#include "conduit_time.h"


#define CONDUIT_SECRET_PREFIX      "whsec_"
#define CONDUIT_SECRET_PREFIX_LEN  (sizeof(CONDUIT_SECRET_PREFIX) - 1)


static int conduit_signature_key(SHA256_CTX *sha, const conduit_str_t *secret,
    u_char pad);
static int conduit_signature_mac(u_char *mac, const conduit_str_t *secret,
    const conduit_str_t *head, const conduit_str_t *body, size_t nbody);


int
conduit_secret_parse(u_char *secret, size_t *n, const u_char *p, size_t len)
{
    int     rc;
    u_char  text[CONDUIT_SECRET_TEXT_MAX];
    u_char  bytes[conduit_base64_decoded_len(sizeof(text))];

    if (len < CONDUIT_SECRET_PREFIX_LEN || len > CONDUIT_SECRET_TEXT_MAX
        || memcmp(p, CONDUIT_SECRET_PREFIX, CONDUIT_SECRET_PREFIX_LEN) != 0)
    {
        return CONDUIT_ERROR;
    }

    p += CONDUIT_SECRET_PREFIX_LEN;
    len -= CONDUIT_SECRET_PREFIX_LEN;

    memcpy(text, p, len);

    /* other tools leave the padding away; 88 characters are the most */

    while (len % 4 > 1) {
        text[len++] = '=';
    }

    rc = conduit_base64_decode(bytes, n, text, len);

    if (rc != CONDUIT_OK || *n < CONDUIT_SECRET_MIN || *n > CONDUIT_SECRET_MAX)
    {
        rc = CONDUIT_ERROR;

    } else {
        memcpy(secret, bytes, *n);
    }

    OPENSSL_cleanse(text, sizeof(text));
    OPENSSL_cleanse(bytes, sizeof(bytes));

    return rc;
}


u_char *
conduit_signature_write(u_char *dst, const conduit_str_t *secret,
    const conduit_str_t *id, int64_t timestamp, const conduit_str_t *body,
    size_t nbody)
{
    u_char         mac[SHA256_DIGEST_LENGTH], digits[24];
    conduit_str_t  head[2];

    digits[0] = '.';

    head[0] = *id;
    head[1].data = digits;
    head[1].len = (size_t) (conduit_number_write(digits + 1,
                                                 (uint64_t) timestamp)
                            - digits);
    digits[head[1].len++] = '.';

    if (conduit_signature_mac(mac, secret, head, body, nbody) != CONDUIT_OK) {
        return NULL;
    }

    memcpy(dst, "v1,", 3);

    return dst + 3 + conduit_base64_encode(dst + 3, mac, sizeof(mac));
}


/* HMAC (RFC 2104) */

static int
conduit_signature_mac(u_char *mac, const conduit_str_t *secret,
    const conduit_str_t *head, const conduit_str_t *body, size_t nbody)
{
    size_t      i;
    SHA256_CTX  sha;

    if (conduit_signature_key(&sha, secret, 0x36) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    for (i = 0; i < 2; i++) {
        if (SHA256_Update(&sha, head[i].data, head[i].len) != 1) {
            return CONDUIT_ERROR;
        }
    }

    for (i = 0; i < nbody; i++) {
        if (SHA256_Update(&sha, body[i].data, body[i].len) != 1) {
            return CONDUIT_ERROR;
        }
    }

    if (SHA256_Final(mac, &sha) != 1
        || conduit_signature_key(&sha, secret, 0x5c) != CONDUIT_OK
        || SHA256_Update(&sha, mac, SHA256_DIGEST_LENGTH) != 1
        || SHA256_Final(mac, &sha) != 1)
    {
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* secrets are never longer than a block */

static int
conduit_signature_key(SHA256_CTX *sha, const conduit_str_t *secret, u_char pad)
{
    int     rc;
    size_t  i;
    u_char  block[SHA256_CBLOCK];

    if (secret->len > SHA256_CBLOCK) {
        return CONDUIT_ERROR;
    }

    memset(block, pad, sizeof(block));

    for (i = 0; i < secret->len; i++) {
        block[i] = (u_char) (block[i] ^ secret->data[i]);
    }

    rc = (SHA256_Init(sha) == 1
          && SHA256_Update(sha, block, sizeof(block)) == 1)
         ? CONDUIT_OK : CONDUIT_ERROR;

    OPENSSL_cleanse(block, sizeof(block));

    return rc;
}
