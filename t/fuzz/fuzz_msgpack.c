
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_hub.h"
#include "conduit_msgpack.h"


#define FUZZ_LIMIT  1024


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_message(const conduit_str_t *record);
static void fuzz_document(json_t *value);


/* the whole is a message, a stream of messages, and a document to convert */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                    *copy, *pos;
    json_t                    *value;
    conduit_str_t              record;
    conduit_signalr_reader_t   in;

    copy = malloc(size + 1);
    if (copy == NULL) {
        return 0;
    }

    if (size) {
        memcpy(copy, data, size);
    }

    record.data = copy;
    record.len = size;

    fuzz_message(&record);

    conduit_signalr_init(&in, FUZZ_LIMIT, 1);
    pos = copy;

    while (conduit_signalr_next(&in, &pos, copy + size, &record)
           == CONDUIT_OK)
    {
        if (record.len > FUZZ_LIMIT) {
            abort();
        }

        fuzz_message(&record);
    }

    value = json_loadb((char *) copy, size, JSON_DECODE_ANY, NULL);

    if (value) {
        fuzz_document(value);
        json_decref(value);
    }

    free(copy);

    return 0;
}


static void
fuzz_message(const conduit_str_t *record)
{
    conduit_hub_call_t         call;
    conduit_signalr_message_t  msg;

    if (conduit_signalr_parse(&msg, CONDUIT_SIGNALR_MSGPACK, record)
        != CONDUIT_OK)
    {
        return;
    }

    if (msg.type == CONDUIT_SIGNALR_INVOCATION) {
        (void) conduit_hub_call(&call, &msg);
        fuzz_document(msg.arguments);
    }

    conduit_signalr_free(&msg);
}


/* a document fits and is itself when it is read again */

static void
fuzz_document(json_t *value)
{
    size_t                      used, body, size;
    u_char                     *dst, *p;
    json_t                     *array;
    conduit_str_t               record;
    conduit_signalr_output_t    out;
    conduit_signalr_message_t   msg;

    memset(&out, 0, sizeof(out));

    array = json_pack("[O]", value);
    if (array == NULL) {
        return;
    }

    out.type = CONDUIT_SIGNALR_INVOCATION;
    out.json.data = (u_char *) json_dumps(array, JSON_COMPACT);

    if (out.json.data == NULL) {
        json_decref(array);
        return;
    }

    out.json.len = strlen((char *) out.json.data);
    size = conduit_msgpack_size(&out);

    dst = malloc(size);
    if (dst == NULL) {
        abort();
    }

    p = conduit_msgpack_write(dst, &out);

    if (p == NULL
        || conduit_msgpack_prefix(dst, p - dst, &used, &body) != CONDUIT_OK
        || dst + used + body != p)
    {
        abort();
    }

    record.data = dst + used;
    record.len = body;

    /* documents may be deeper than what clients may send */

    if (conduit_msgpack_sane(record.data, record.len)) {

        if (conduit_msgpack_parse(&msg, &record) != CONDUIT_OK
            || !json_equal(msg.arguments, array))
        {
            abort();
        }

        conduit_signalr_free(&msg);
    }

    free(dst);
    free(out.json.data);
    json_decref(array);
}
