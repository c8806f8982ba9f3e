
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Secrets in their text form, and signatures against OpenSSL's HMAC. */


#include <stdio.h>
#include <stdlib.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "conduit_signature.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_secret(const uint8_t *data, size_t size);
static void fuzz_sign(const uint8_t *data, size_t size);


#define FUZZ_BODY_MAX  4096


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_secret(data, size);
    fuzz_sign(data, size);

    return 0;
}


/* what is taken is the one text of its bytes, but for the padding */

static void
fuzz_secret(const uint8_t *data, size_t size)
{
    char    text[CONDUIT_SECRET_TEXT_MAX + 8];
    u_char  secret[CONDUIT_SECRET_MAX];
    size_t  n, len;

    if (conduit_secret_parse(secret, &n, data, size) != CONDUIT_OK) {
        return;
    }

    if (n < CONDUIT_SECRET_MIN || n > CONDUIT_SECRET_MAX) {
        abort();
    }

    memcpy(text, "whsec_", 6);
    len = 6 + (size_t) EVP_EncodeBlock((unsigned char *) text + 6, secret,
                                       (int) n);

    while (len > size && text[len - 1] == '=') {
        len--;
    }

    if (len != size || memcmp(text, data, len) != 0) {
        abort();
    }
}


static void
fuzz_sign(const uint8_t *data, size_t size)
{
    int            n;
    u_char         dst[CONDUIT_SIGNATURE_LEN], mac[32], *end;
    u_char         text[64 + FUZZ_BODY_MAX], expected[64];
    int64_t        timestamp;
    conduit_str_t  secret, id, body[2];

    if (size < 3 || size > FUZZ_BODY_MAX) {
        return;
    }

    secret.data = (u_char *) data + 2;
    secret.len = data[0] % 65;

    if (secret.len > size - 2) {
        secret.len = size - 2;
    }

    id.data = (u_char *) "whe_0123456789abcdefghijkl";
    id.len = 26;

    timestamp = (int64_t) data[0] << (data[1] % 32);

    body[0].data = (u_char *) data;
    body[0].len = data[1] % (size + 1);
    body[1].data = body[0].data + body[0].len;
    body[1].len = size - body[0].len;

    end = conduit_signature_write(dst, &secret, &id, timestamp, body, 2);

    if (end != dst + CONDUIT_SIGNATURE_LEN) {
        abort();
    }

    n = snprintf((char *) text, 64, "whe_0123456789abcdefghijkl.%lld.",
                 (long long) timestamp);
    memcpy(text + n, data, size);

    if (HMAC(EVP_sha256(), secret.data, (int) secret.len, text,
             (size_t) n + size, mac, NULL)
        == NULL)
    {
        return;
    }

    memcpy(expected, "v1,", 3);
    n = EVP_EncodeBlock(expected + 3, mac, sizeof(mac));

    if (n + 3 != CONDUIT_SIGNATURE_LEN
        || memcmp(dst, expected, CONDUIT_SIGNATURE_LEN) != 0)
    {
        abort();
    }
}
