
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_ws.h"
#include "conduit_json.h"


#define FUZZ_LIMIT  200


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t fuzz_read(const uint8_t *data, size_t size, size_t step);
static uint32_t fuzz_event(uint32_t sum, const conduit_ws_event_t *ev,
    unsigned *open);
static void fuzz_headers(const uint8_t *data, size_t size);


/* the first byte tells the size of the pieces that are read */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t  whole;

    if (size == 0) {
        return 0;
    }

    whole = fuzz_read(data + 1, size - 1, size);

    if (fuzz_read(data + 1, size - 1, 1) != whole
        || fuzz_read(data + 1, size - 1, data[0] % 16 + 1) != whole)
    {
        abort();
    }

    fuzz_headers(data, size);

    return 0;
}


/*
 * A checksum of what was read, the same wherever the input is cut; how a
 * violation ends the input is in it, the slices before are not, for text is
 * given up to the piece that has the fault.
 */

static uint32_t
fuzz_read(const uint8_t *data, size_t size, size_t step)
{
    int                  rc;
    size_t               n;
    u_char              *copy, *pos;
    uint32_t             sum;
    unsigned             open;
    conduit_ws_t         ws;
    conduit_ws_event_t   ev;

    conduit_ws_init(&ws, FUZZ_LIMIT);

    sum = 0;
    open = 0;

    while (size) {
        n = (step < size) ? step : size;

        copy = malloc(n);
        if (copy == NULL) {
            return 0;
        }

        memcpy(copy, data, n);
        data += n;
        size -= n;
        pos = copy;

        while ((rc = conduit_ws_read(&ws, &pos, copy + n, &ev))
               == CONDUIT_OK)
        {
            sum = fuzz_event(sum, &ev, &open);
        }

        if (pos != copy + n) {
            abort();
        }

        free(copy);

        if (rc == CONDUIT_ERROR) {

            if (ev.code != CONDUIT_WS_PROTOCOL
                && ev.code != CONDUIT_WS_BAD_DATA
                && ev.code != CONDUIT_WS_TOO_BIG)
            {
                abort();
            }

            return ev.code;
        }
    }

    return sum;
}


static uint32_t
fuzz_event(uint32_t sum, const conduit_ws_event_t *ev, unsigned *open)
{
    size_t  i;

    if (ev->opcode > CONDUIT_WS_BINARY) {

        if (ev->data.len > CONDUIT_WS_CONTROL_MAX) {
            abort();
        }

        return (sum * 31 + ev->opcode) * 31 + ev->code;
    }

    /* messages begin once and end once */

    if (ev->first == *open) {
        abort();
    }

    *open = !ev->last;

    for (i = 0; i < ev->data.len; i++) {
        sum = sum * 31 + ev->data.data[i];
    }

    return ev->last ? sum * 31 + 1 : sum;
}


static void
fuzz_headers(const uint8_t *data, size_t size)
{
    u_char                 accept[CONDUIT_WS_ACCEPT_LEN];
    unsigned               status;
    conduit_ws_request_t   req;

    req.upgrade.data = (u_char *) data;
    req.upgrade.len = size;
    req.connection = req.upgrade;
    req.key = req.upgrade;
    req.version.data = (u_char *) "13";
    req.version.len = 2;

    (void) conduit_ws_handshake(&req, &status);
    (void) conduit_ws_accept(accept, &req.key);

    req.upgrade.data = (u_char *) "websocket";
    req.upgrade.len = 9;
    req.connection.data = (u_char *) "upgrade";
    req.connection.len = 7;

    if (conduit_ws_handshake(&req, &status) == CONDUIT_OK
        && conduit_ws_accept(accept, &req.key) != CONDUIT_OK)
    {
        abort();
    }
}
