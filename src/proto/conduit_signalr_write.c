
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_signalr.h"
#include "conduit_json.h"
#include "conduit_msgpack.h"
#include "conduit_time.h"


#define CONDUIT_SIGNALR_FIXED  96


#define conduit_signalr_put(p, text)                                          \
    conduit_signalr_copy(p, (const u_char *) text, sizeof(text) - 1)


static u_char *conduit_signalr_copy(u_char *p, const u_char *text, size_t len);
static u_char *conduit_signalr_quoted(u_char *p, const u_char *text,
    size_t len);
static u_char *conduit_signalr_rest(u_char *p,
    const conduit_signalr_output_t *out);


u_char *
conduit_signalr_handshake_reply(u_char *dst, const u_char *error,
    size_t error_len)
{
    *dst++ = '{';

    if (error_len) {
        dst = conduit_signalr_put(dst, "\"error\":");
        dst = conduit_signalr_quoted(dst, error, error_len);
    }

    *dst++ = '}';
    *dst++ = CONDUIT_SIGNALR_SEPARATOR;

    return dst;
}


size_t
conduit_signalr_size(conduit_signalr_protocol_e protocol,
    const conduit_signalr_output_t *out)
{
    if (protocol == CONDUIT_SIGNALR_MSGPACK) {
        return conduit_msgpack_size(out);
    }

    return CONDUIT_SIGNALR_FIXED + out->json.len
           + 6 * (out->invocation_id.len + out->target.len + out->error.len);
}


u_char *
conduit_signalr_write(conduit_signalr_protocol_e protocol, u_char *dst,
    const conduit_signalr_output_t *out)
{
    u_char  *p;

    if (protocol == CONDUIT_SIGNALR_MSGPACK) {
        return conduit_msgpack_write(dst, out);
    }

    p = conduit_signalr_put(dst, "{\"type\":");
    p = conduit_number_write(p, out->type);
    p = conduit_signalr_rest(p, out);

    *p++ = '}';
    *p++ = CONDUIT_SIGNALR_SEPARATOR;

    return p;
}


/* the members after the type; nothing that a strict client would refuse */

static u_char *
conduit_signalr_rest(u_char *p, const conduit_signalr_output_t *out)
{
    switch (out->type) {

    case CONDUIT_SIGNALR_INVOCATION:
        p = conduit_signalr_put(p, ",\"target\":");
        p = conduit_signalr_quoted(p, out->target.data, out->target.len);
        p = conduit_signalr_put(p, ",\"arguments\":");

        return conduit_signalr_copy(p, out->json.data, out->json.len);

    case CONDUIT_SIGNALR_COMPLETION:
        p = conduit_signalr_put(p, ",\"invocationId\":");
        p = conduit_signalr_quoted(p, out->invocation_id.data,
                                   out->invocation_id.len);

        if (out->error.len) {
            p = conduit_signalr_put(p, ",\"error\":");
            return conduit_signalr_quoted(p, out->error.data, out->error.len);
        }

        if (out->json.len) {
            p = conduit_signalr_put(p, ",\"result\":");
            p = conduit_signalr_copy(p, out->json.data, out->json.len);
        }

        return p;

    case CONDUIT_SIGNALR_CLOSE:

        if (out->error.len) {
            p = conduit_signalr_put(p, ",\"error\":");
            p = conduit_signalr_quoted(p, out->error.data, out->error.len);
        }

        if (out->allow_reconnect) {
            p = conduit_signalr_put(p, ",\"allowReconnect\":true");
        }

        return p;

    case CONDUIT_SIGNALR_ACK:
    case CONDUIT_SIGNALR_SEQUENCE:
        p = conduit_signalr_put(p, ",\"sequenceId\":");

        return conduit_number_write(p, out->sequence);

    default: /* CONDUIT_SIGNALR_PING */
        return p;
    }
}


static u_char *
conduit_signalr_quoted(u_char *p, const u_char *text, size_t len)
{
    *p++ = '"';
    p += conduit_json_escape(p, text, len);
    *p++ = '"';

    return p;
}


static u_char *
conduit_signalr_copy(u_char *p, const u_char *text, size_t len)
{
    if (len) {
        memcpy(p, text, len);
    }

    return p + len;
}
