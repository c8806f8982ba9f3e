
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Types, names and base64 of any bytes. */


#include <stdlib.h>

#include "conduit_media.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_name(const uint8_t *data, size_t size);
static void fuzz_decode(const uint8_t *data, size_t size);
static void fuzz_encode(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_name(data, size);
    fuzz_decode(data, size);
    fuzz_encode(data, size);

    return 0;
}


static void
fuzz_name(const uint8_t *data, size_t size)
{
    size_t                       len;
    u_char                       name[CONDUIT_MEDIA_NAME_LEN];
    const conduit_media_type_t  *type;

    type = conduit_media_sniff(data, size);

    (void) conduit_media_classify(data, size);

    if (size >= CONDUIT_MEDIA_RANDOM) {
        len = conduit_media_name(name, data, type);

        if (conduit_media_classify(name, len) != CONDUIT_MEDIA_RESULT) {
            __builtin_trap();
        }
    }
}


/* what decodes gives the same text again, in one piece and in parts */

static void
fuzz_decode(const uint8_t *data, size_t size)
{
    int            end;
    size_t         n, part, used;
    u_char        *copy, *again;
    conduit_str_t  value;

    copy = malloc(size + 4);
    again = malloc(conduit_base64_encoded_len(size + 4));

    if (copy == NULL || again == NULL) {
        abort();
    }

    memcpy(copy, data, size);

    value.data = copy;
    value.len = size;

    if (conduit_media_data_url(&value) == CONDUIT_OK
        && conduit_base64_decode(value.data, &n, value.data, value.len)
           == CONDUIT_OK)
    {
        if (n > conduit_base64_decoded_len(value.len)
            || conduit_base64_encode(again, value.data, n) != value.len
            || memcmp(again, data + size - value.len, value.len) != 0)
        {
            __builtin_trap();
        }

        memcpy(copy, data + size - value.len, value.len);

        if (conduit_base64_decode_part(again, &part, copy, value.len, &used,
                                       &end)
            != CONDUIT_OK
            || used != value.len || part != n)
        {
            __builtin_trap();
        }
    }

    free(copy);
    free(again);
}


static void
fuzz_encode(const uint8_t *data, size_t size)
{
    size_t   n, len;
    u_char  *text;

    if (size == 0) {
        return;
    }

    text = malloc(conduit_base64_encoded_len(size));
    if (text == NULL) {
        abort();
    }

    len = conduit_base64_encode(text, data, size);

    if (len != conduit_base64_encoded_len(size)
        || conduit_base64_decode(text, &n, text, len) != CONDUIT_OK
        || n != size || memcmp(text, data, size) != 0)
    {
        __builtin_trap();
    }

    free(text);
}
