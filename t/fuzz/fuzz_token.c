
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_token.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* no input is a token, but what is made of it */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           n;
    u_char           buf[CONDUIT_TOKEN_BUF], dst[CONDUIT_TOKEN_MAX];
    conduit_str_t    text;
    conduit_token_t  token, got;

    static const u_char  secret[CONDUIT_TOKEN_SECRET] = "unknown to the input";

    text.data = (u_char *) data;
    text.len = size;

    if (conduit_token_read(&got, buf, &text, secret, 0, 0) == CONDUIT_OK) {
        abort();
    }

    (void) conduit_token_id_read(got.id, &text);

    if (size < CONDUIT_TOKEN_ID + 4) {
        return 0;
    }

    token.hub = data[0];
    token.flags = data[1];
    token.issued = (int64_t) data[2] << 32 | data[3];
    memcpy(token.id, data + 4, CONDUIT_TOKEN_ID);
    memcpy(token.from, data + 2, CONDUIT_TOKEN_ID);

    token.key.data = (u_char *) data + 4;
    token.key.len = size - 4;

    n = conduit_token_write(dst, &token, secret);

    if (n == 0) {

        if (token.key.len <= CONDUIT_TOKEN_KEY_MAX) {
            abort();
        }

        return 0;
    }

    text.data = dst;
    text.len = n;

    if (n > CONDUIT_TOKEN_MAX
        || conduit_token_read(&got, buf, &text, secret, token.issued, 1)
           != CONDUIT_OK
        || got.key.len != token.key.len
        || memcmp(got.key.data, token.key.data, got.key.len) != 0
        || got.hub != token.hub || got.flags != token.flags
        || got.issued != token.issued
        || memcmp(got.from, token.from, CONDUIT_TOKEN_ID) != 0)
    {
        abort();
    }

    /* one bit flipped, where the input says */

    dst[data[3] % n] ^= 1;

    if (conduit_token_read(&got, buf, &text, secret, token.issued, 1)
        == CONDUIT_OK)
    {
        abort();
    }

    return 0;
}
