
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_id.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char  id[CONDUIT_UUID_BYTES], again[CONDUIT_UUID_BYTES];
    u_char  text[CONDUIT_UUID_LEN], digits[CONDUIT_BASE62_LEN];

    (void) conduit_request_id_check(data, size);

    /* what is read is written back byte for byte */

    if (conduit_uuid_parse(id, data, size) == CONDUIT_OK) {
        conduit_uuid_write(text, id);

        if (size != sizeof(text) || memcmp(text, data, size) != 0) {
            abort();
        }
    }

    if (size < CONDUIT_UUID_BYTES) {
        return 0;
    }

    memcpy(id, data, sizeof(id));
    conduit_uuid_make(id);
    conduit_uuid_write(text, id);

    if (conduit_uuid_parse(again, text, sizeof(text)) != CONDUIT_OK
        || memcmp(again, id, sizeof(id)) != 0)
    {
        abort();
    }

    conduit_base62(digits, data);

    if (conduit_request_id_check(digits, sizeof(digits)) != CONDUIT_OK) {
        abort();
    }

    return 0;
}
