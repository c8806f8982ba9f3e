
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <msgpack.h>

#include "conduit_msgpack.h"


#define CONDUIT_MSGPACK_FIXED  64


typedef struct {
    u_char  *pos;
    u_char  *last;
} conduit_msgpack_out_t;


static size_t conduit_msgpack_bound(const conduit_str_t *json);
static int conduit_msgpack_put(void *data, const char *buf, size_t len);
static int conduit_msgpack_body(msgpack_packer *pk,
    const conduit_signalr_output_t *out);
static int conduit_msgpack_invocation(msgpack_packer *pk,
    const conduit_signalr_output_t *out);
static int conduit_msgpack_completed(msgpack_packer *pk,
    const conduit_signalr_output_t *out);
static int conduit_msgpack_close(msgpack_packer *pk,
    const conduit_signalr_output_t *out);
static int conduit_msgpack_text(msgpack_packer *pk, const u_char *p,
    size_t len);
static int conduit_msgpack_convert(msgpack_packer *pk,
    const conduit_str_t *text);
static int conduit_msgpack_value(msgpack_packer *pk, const json_t *value);
static int conduit_msgpack_list(msgpack_packer *pk, const json_t *value);
static int conduit_msgpack_object(msgpack_packer *pk, const json_t *value);


size_t
conduit_msgpack_size(const conduit_signalr_output_t *out)
{
    return CONDUIT_MSGPACK_FIXED + out->invocation_id.len + out->target.len
           + out->error.len + conduit_msgpack_bound(&out->json);
}


/*
 * What JSON text takes at most: fractions become 9 bytes from 3 characters,
 * long strings get a head of up to 5; everything else shrinks.
 */

static size_t
conduit_msgpack_bound(const conduit_str_t *json)
{
    size_t    i, n;
    u_char    ch;
    unsigned  quoted;

    n = json->len + json->len / 64;
    quoted = 0;

    for (i = 0; i < json->len; i++) {
        ch = json->data[i];

        if (ch == '"') {
            quoted = !quoted;

        } else if (quoted) {

            if (ch == '\\') {
                i++;
            }

        } else if (ch == '.' || ch == 'e' || ch == 'E') {
            n += 6;
        }
    }

    return n;
}


u_char *
conduit_msgpack_write(u_char *dst, const conduit_signalr_output_t *out)
{
    size_t                 len, n;
    u_char                 prefix[CONDUIT_MSGPACK_PREFIX_MAX], *body;
    msgpack_packer         pk;
    conduit_msgpack_out_t  buf;

    body = dst + CONDUIT_MSGPACK_PREFIX_MAX;

    buf.pos = body;
    buf.last = dst + conduit_msgpack_size(out);

    msgpack_packer_init(&pk, &buf, conduit_msgpack_put);

    if (conduit_msgpack_body(&pk, out) != 0) {
        return NULL;
    }

    len = buf.pos - body;

    for (n = 0; /* void */ ; n++) {
        prefix[n] = len >> (7 * n) & 0x7f;

        if (len >> (7 * n) < 0x80) {
            break;
        }

        prefix[n] |= 0x80;
    }

    n++;

    memcpy(dst, prefix, n);
    memmove(dst + n, body, len);

    return dst + n + len;
}


static int
conduit_msgpack_put(void *data, const char *buf, size_t len)
{
    conduit_msgpack_out_t  *out = data;

    if (len > (size_t) (out->last - out->pos)) {
        return -1;
    }

    if (len) {
        memcpy(out->pos, buf, len);
        out->pos += len;
    }

    return 0;
}


/* as the library, these return 0 when all is well */

static int
conduit_msgpack_body(msgpack_packer *pk, const conduit_signalr_output_t *out)
{
    switch (out->type) {

    case CONDUIT_SIGNALR_INVOCATION:
        return conduit_msgpack_invocation(pk, out);

    case CONDUIT_SIGNALR_COMPLETION:
        return conduit_msgpack_completed(pk, out);

    case CONDUIT_SIGNALR_CLOSE:
        return conduit_msgpack_close(pk, out);

    case CONDUIT_SIGNALR_ACK:
    case CONDUIT_SIGNALR_SEQUENCE:
        return msgpack_pack_array(pk, 2)
               || msgpack_pack_int(pk, out->type)
               || msgpack_pack_uint64(pk, out->sequence);

    default: /* CONDUIT_SIGNALR_PING */
        return msgpack_pack_array(pk, 1) || msgpack_pack_int(pk, out->type);
    }
}


/* all six elements, for there are clients that read the last one */

static int
conduit_msgpack_invocation(msgpack_packer *pk,
    const conduit_signalr_output_t *out)
{
    return msgpack_pack_array(pk, 6)
           || msgpack_pack_int(pk, out->type)
           || msgpack_pack_map(pk, 0)
           || msgpack_pack_nil(pk)
           || conduit_msgpack_text(pk, out->target.data, out->target.len)
           || conduit_msgpack_convert(pk, &out->json)
           || msgpack_pack_array(pk, 0);
}


static int
conduit_msgpack_completed(msgpack_packer *pk,
    const conduit_signalr_output_t *out)
{
    int  kind;

    kind = out->error.len ? 1 : out->json.len ? 3 : 2;

    if (msgpack_pack_array(pk, (kind == 2) ? 4 : 5)
        || msgpack_pack_int(pk, out->type)
        || msgpack_pack_map(pk, 0)
        || conduit_msgpack_text(pk, out->invocation_id.data,
                                out->invocation_id.len)
        || msgpack_pack_int(pk, kind))
    {
        return -1;
    }

    switch (kind) {

    case 1:
        return conduit_msgpack_text(pk, out->error.data, out->error.len);

    case 3:
        return conduit_msgpack_convert(pk, &out->json);

    default:
        return 0;
    }
}


static int
conduit_msgpack_close(msgpack_packer *pk, const conduit_signalr_output_t *out)
{
    if (msgpack_pack_array(pk, 3) || msgpack_pack_int(pk, out->type)) {
        return -1;
    }

    if (out->error.len
        ? conduit_msgpack_text(pk, out->error.data, out->error.len)
        : msgpack_pack_nil(pk))
    {
        return -1;
    }

    return out->allow_reconnect ? msgpack_pack_true(pk)
                                : msgpack_pack_false(pk);
}


static int
conduit_msgpack_text(msgpack_packer *pk, const u_char *p, size_t len)
{
    return msgpack_pack_str(pk, len)
           || (len && msgpack_pack_str_body(pk, p, len));
}


static int
conduit_msgpack_convert(msgpack_packer *pk, const conduit_str_t *text)
{
    int      rc;
    json_t  *value;

    value = json_loadb((const char *) text->data, text->len,
                       JSON_DECODE_ANY|JSON_ALLOW_NUL, NULL);
    if (value == NULL) {
        return -1;
    }

    rc = conduit_msgpack_value(pk, value);

    json_decref(value);

    return rc;
}


static int
conduit_msgpack_value(msgpack_packer *pk, const json_t *value)
{
    switch (json_typeof(value)) {

    case JSON_OBJECT:
        return conduit_msgpack_object(pk, value);

    case JSON_ARRAY:
        return conduit_msgpack_list(pk, value);

    case JSON_STRING:
        return conduit_msgpack_text(pk,
                                    (const u_char *) json_string_value(value),
                                    json_string_length(value));

    case JSON_INTEGER:
        return msgpack_pack_int64(pk, json_integer_value(value));

    case JSON_REAL:
        return msgpack_pack_double(pk, json_real_value(value));

    case JSON_TRUE:
        return msgpack_pack_true(pk);

    case JSON_FALSE:
        return msgpack_pack_false(pk);

    default: /* JSON_NULL */
        return msgpack_pack_nil(pk);
    }
}


static int
conduit_msgpack_list(msgpack_packer *pk, const json_t *value)
{
    size_t  i, n;

    n = json_array_size(value);

    if (msgpack_pack_array(pk, n)) {
        return -1;
    }

    for (i = 0; i < n; i++) {
        if (conduit_msgpack_value(pk, json_array_get(value, i))) {
            return -1;
        }
    }

    return 0;
}


static int
conduit_msgpack_object(msgpack_packer *pk, const json_t *value)
{
    void        *iter;
    json_t      *object;
    const char  *name;

    /* jansson's iterators are not declared for constant objects */

    object = (json_t *) value;

    if (msgpack_pack_map(pk, json_object_size(object))) {
        return -1;
    }

    for (iter = json_object_iter(object);
         iter;
         iter = json_object_iter_next(object, iter))
    {
        name = json_object_iter_key(iter);

        if (conduit_msgpack_text(pk, (const u_char *) name, strlen(name))
            || conduit_msgpack_value(pk, json_object_iter_value(iter)))
        {
            return -1;
        }
    }

    return 0;
}
