
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_hub.h"
#include "conduit_signalr.h"


#define FUZZ_LIMIT  1024


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_message(const conduit_str_t *record);
static void fuzz_answer(const conduit_str_t *id, const conduit_str_t *error);


/* a handshake and messages, in one stream */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                       *copy, *pos, *last, *p;
    u_char                        dst[conduit_signalr_handshake_size(
                                                CONDUIT_SIGNALR_ERROR_LEN)];
    conduit_str_t                 record;
    conduit_signalr_reader_t      in;
    conduit_signalr_handshake_t   hs;

    copy = malloc(size + 1);
    if (copy == NULL) {
        return 0;
    }

    if (size) {
        memcpy(copy, data, size);
    }

    pos = copy;
    last = copy + size;

    conduit_signalr_init(&in, FUZZ_LIMIT, 0);

    if (conduit_signalr_next(&in, &pos, last, &record) == CONDUIT_OK) {

        (void) conduit_signalr_early(&record);
        (void) conduit_signalr_handshake(&hs, &record, size & 1);

        p = conduit_signalr_handshake_reply(dst, hs.error, hs.error_len);

        if (p > dst + sizeof(dst)
            || memchr(dst, CONDUIT_SIGNALR_SEPARATOR, p - dst) != p - 1)
        {
            abort();
        }

        while (conduit_signalr_next(&in, &pos, last, &record) == CONDUIT_OK) {

            if (record.len > FUZZ_LIMIT) {
                abort();
            }

            fuzz_message(&record);
        }
    }

    free(copy);

    return 0;
}


static void
fuzz_message(const conduit_str_t *record)
{
    conduit_str_t              error;
    conduit_hub_call_t         call;
    conduit_signalr_message_t  msg;

    if (conduit_signalr_parse(&msg, CONDUIT_SIGNALR_JSON, record)
        != CONDUIT_OK)
    {
        return;
    }

    if (msg.type == CONDUIT_SIGNALR_INVOCATION
        || msg.type == CONDUIT_SIGNALR_STREAM)
    {
        error.data = call.error;
        error.len = 0;

        if (conduit_hub_call(&call, &msg) != CONDUIT_OK) {

            if (call.error_len == 0) {
                abort();
            }

            error.len = call.error_len;
        }

        fuzz_answer(&msg.invocation_id, &error);
    }

    conduit_signalr_free(&msg);
}


/* what is written is one valid message and keeps the id */

static void
fuzz_answer(const conduit_str_t *id, const conduit_str_t *error)
{
    size_t                      size;
    u_char                     *dst, *p, *pos;
    conduit_str_t               record;
    conduit_signalr_reader_t    in;
    conduit_signalr_output_t    out;
    conduit_signalr_message_t   msg;

    memset(&out, 0, sizeof(out));

    out.type = CONDUIT_SIGNALR_COMPLETION;
    out.invocation_id = *id;
    out.error = *error;

    size = conduit_signalr_size(CONDUIT_SIGNALR_JSON, &out);

    dst = malloc(size);
    if (dst == NULL) {
        return;
    }

    p = conduit_signalr_write(CONDUIT_SIGNALR_JSON, dst, &out);

    conduit_signalr_init(&in, size, 0);
    pos = dst;

    if ((size_t) (p - dst) > size
        || conduit_signalr_next(&in, &pos, p, &record) != CONDUIT_OK
        || pos != p
        || conduit_signalr_parse(&msg, CONDUIT_SIGNALR_JSON, &record)
           != CONDUIT_OK
        || msg.invocation_id.len != id->len
        || (id->len && memcmp(msg.invocation_id.data, id->data, id->len) != 0))
    {
        abort();
    }

    conduit_signalr_free(&msg);
    free(dst);
}
