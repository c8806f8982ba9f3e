
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_glob.h"
#include "conduit_header.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         i, n;
    u_char         key[CONDUIT_IDEMPOTENCY_KEY_MAX];
    uint32_t       seconds;
    uint64_t       id;
    conduit_str_t  token;

    if (conduit_prefer_wait(data, size, &seconds) == CONDUIT_OK
        && seconds == 0)
    {
        abort();
    }

    (void) conduit_etag_match(data, size, 7);
    (void) conduit_last_event_id(data, size, &id);
    (void) conduit_accepts_event_stream(data, size);

    if (conduit_idempotency_key(data, size, key, &n) == CONDUIT_OK) {

        if (n == 0 || n > sizeof(key)) {
            abort();
        }

        for (i = 0; i < n; i++) {
            if (key[i] < ' ' || key[i] > '~') {
                abort();
            }
        }
    }

    if (conduit_bearer(data, size, &token) == CONDUIT_OK
        && (token.data < data || token.data + token.len > data + size))
    {
        abort();
    }

    /* a name matches itself when it has no star, and one star always */

    n = size / 2;
    (void) conduit_glob_match(data, n, data + n, size - n);

    if (!conduit_glob_match(data, size, data, size)
        || !conduit_glob_match((const u_char *) "*", 1, data, size))
    {
        abort();
    }

    return 0;
}
