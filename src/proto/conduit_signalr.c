
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>

#include "conduit_signalr.h"
#include "conduit_json.h"
#include "conduit_link.h"
#include "conduit_msgpack.h"


#define CONDUIT_SIGNALR_NAME_MAX  32     /* of a protocol, told in an error */

#define CONDUIT_SIGNALR_REFUSED                                               \
    "An unexpected error occurred during connection handshake."


static json_t *conduit_signalr_load(const conduit_str_t *text);
static int conduit_signalr_shallow(const u_char *p, size_t len);
static int conduit_signalr_refuse(conduit_signalr_handshake_t *hs, int n);
static int conduit_signalr_version(conduit_signalr_handshake_t *hs,
    json_t *root, unsigned binary);
static int conduit_signalr_members(conduit_signalr_message_t *msg);
static int conduit_signalr_invocation(conduit_signalr_message_t *msg);
static int conduit_signalr_completion(conduit_signalr_message_t *msg);
static int conduit_signalr_close(conduit_signalr_message_t *msg);
static int conduit_signalr_number(conduit_signalr_message_t *msg);
static int conduit_signalr_id(conduit_signalr_message_t *msg);
static json_t *conduit_signalr_get(conduit_signalr_message_t *msg,
    const char *name);
static int conduit_signalr_string(conduit_signalr_message_t *msg,
    const char *name, conduit_str_t *value);


void
conduit_signalr_init(conduit_signalr_reader_t *in, size_t max, unsigned binary)
{
    in->max = max;
    in->scanned = 0;
    in->binary = binary ? 1 : 0;
}


int
conduit_signalr_next(conduit_signalr_reader_t *in, u_char **pos, u_char *last,
    conduit_str_t *record)
{
    int      rc;
    size_t   len, used, body;
    u_char  *end;

    len = last - *pos;

    if (len == 0) {
        return CONDUIT_AGAIN;
    }

    if (in->binary) {
        rc = conduit_msgpack_prefix(*pos, len, &used, &body);

        if (rc != CONDUIT_OK) {
            return rc;
        }

        /* refused when the length is known, not when all of it is there */

        if (body > in->max) {
            return CONDUIT_ERROR;
        }

        if (body > len - used) {
            return CONDUIT_AGAIN;
        }

        record->data = *pos + used;
        record->len = body;
        *pos += used + body;

        return CONDUIT_OK;
    }

    end = (in->scanned < len)
          ? memchr(*pos + in->scanned, CONDUIT_SIGNALR_SEPARATOR,
                   len - in->scanned)
          : NULL;

    if (end == NULL) {
        in->scanned = len;
        return (len > in->max) ? CONDUIT_ERROR : CONDUIT_AGAIN;
    }

    in->scanned = 0;

    record->data = *pos;
    record->len = end - *pos;
    *pos = end + 1;

    return (record->len > in->max) ? CONDUIT_ERROR : CONDUIT_OK;
}


/*
 * Clients may name a member twice (the last one counts) and use NUL, which
 * conduit_json_parse() takes from nobody.
 */

static json_t *
conduit_signalr_load(const conduit_str_t *text)
{
    json_t  *root;

    if (!conduit_signalr_shallow(text->data, text->len)) {
        return NULL;
    }

    root = json_loadb((const char *) text->data, text->len, JSON_ALLOW_NUL,
                      NULL);

    if (root && !json_is_object(root)) {
        json_decref(root);
        return NULL;
    }

    return root;
}


/* bounds the parser's recursion */

static int
conduit_signalr_shallow(const u_char *p, size_t len)
{
    size_t    i;
    unsigned  depth, quoted;

    depth = 0;
    quoted = 0;

    for (i = 0; i < len; i++) {

        if (quoted) {

            if (p[i] == '\\') {
                i++;

            } else if (p[i] == '"') {
                quoted = 0;
            }

            continue;
        }

        switch (p[i]) {

        case '"':
            quoted = 1;
            break;

        case '{':
        case '[':

            if (++depth > CONDUIT_SIGNALR_DEPTH_MAX) {
                return 0;
            }

            break;

        case '}':
        case ']':

            if (depth) {
                depth--;
            }

            break;
        }
    }

    return 1;
}


unsigned
conduit_signalr_early(const conduit_str_t *record)
{
    json_t    *root;
    unsigned   early;

    root = conduit_signalr_load(record);

    early = json_object_get(root, "protocol") == NULL
            && json_is_string(json_object_get(root, "target"))
            && json_integer_value(json_object_get(root, "type"))
               == CONDUIT_SIGNALR_INVOCATION;

    json_decref(root);

    return early;
}


int
conduit_signalr_handshake(conduit_signalr_handshake_t *hs,
    const conduit_str_t *record, unsigned binary)
{
    int      rc;
    json_t  *root;

    memset(hs, 0, sizeof(conduit_signalr_handshake_t));

    root = conduit_signalr_load(record);

    rc = conduit_signalr_version(hs, root, binary);

    json_decref(root);

    return rc;
}


static int
conduit_signalr_version(conduit_signalr_handshake_t *hs, json_t *root,
    unsigned binary)
{
    json_t        *protocol, *version;
    json_int_t     n;
    conduit_str_t  name;

    static const conduit_str_t  json = { 4, (u_char *) "json" };
    static const conduit_str_t  msgpack = { 11, (u_char *) "messagepack" };

    protocol = json_object_get(root, "protocol");
    version = json_object_get(root, "version");

    if (!json_is_string(protocol) || !json_is_integer(version)) {
        return conduit_signalr_refuse(hs, snprintf((char *) hs->error,
                              sizeof(hs->error), CONDUIT_SIGNALR_REFUSED));
    }

    name.data = (u_char *) json_string_value(protocol);
    name.len = json_string_length(protocol);
    n = json_integer_value(version);

    if (conduit_str_equal(&name, &msgpack)) {
        hs->protocol = CONDUIT_SIGNALR_MSGPACK;

    } else if (conduit_str_equal(&name, &json)) {
        hs->protocol = CONDUIT_SIGNALR_JSON;

    } else {
        name.len = conduit_utf8_cut(name.data, name.len,
                                    CONDUIT_SIGNALR_NAME_MAX);

        return conduit_signalr_refuse(hs, snprintf((char *) hs->error,
                              sizeof(hs->error),
                              "The protocol '%.*s' is not supported.",
                              (int) name.len, name.data));
    }

    if (hs->protocol == CONDUIT_SIGNALR_MSGPACK && !binary) {
        return conduit_signalr_refuse(hs, snprintf((char *) hs->error,
                              sizeof(hs->error),
                              "Cannot use the 'messagepack' protocol on the "
                              "current transport. The transport does not "
                              "support 'Binary' transfer format."));
    }

    if (n > CONDUIT_SIGNALR_VERSION_MAX) {
        return conduit_signalr_refuse(hs, snprintf((char *) hs->error,
                              sizeof(hs->error),
                              "The server does not support version %lld of "
                              "the '%.*s' protocol.", (long long) n,
                              (int) name.len, name.data));
    }

    hs->version = (n < 0) ? 0 : n;

    return CONDUIT_OK;
}


/* n bytes of the text were written */

static int
conduit_signalr_refuse(conduit_signalr_handshake_t *hs, int n)
{
    if (n > 0) {
        hs->error_len = (n < CONDUIT_SIGNALR_ERROR_LEN)
                        ? (size_t) n : CONDUIT_SIGNALR_ERROR_LEN - 1;
    }

    return CONDUIT_DECLINED;
}


int
conduit_signalr_parse(conduit_signalr_message_t *msg,
    conduit_signalr_protocol_e protocol, const conduit_str_t *record)
{
    json_t  *root;

    if (protocol == CONDUIT_SIGNALR_MSGPACK) {
        return conduit_msgpack_parse(msg, record);
    }

    root = conduit_signalr_load(record);
    if (root == NULL) {
        return CONDUIT_ERROR;
    }

    return conduit_signalr_fill(msg, root);
}


int
conduit_signalr_fill(conduit_signalr_message_t *msg, json_t *root)
{
    int  rc;

    memset(msg, 0, sizeof(conduit_signalr_message_t));

    msg->root = root;

    rc = conduit_signalr_members(msg);

    if (rc != CONDUIT_OK) {
        conduit_signalr_free(msg);
    }

    return rc;
}


void
conduit_signalr_free(conduit_signalr_message_t *msg)
{
    json_decref(msg->root);
    msg->root = NULL;
}


static int
conduit_signalr_members(conduit_signalr_message_t *msg)
{
    json_t      *type, *headers;
    json_int_t   n;

    type = json_object_get(msg->root, "type");

    if (!json_is_integer(type)) {
        return CONDUIT_ERROR;
    }

    headers = conduit_signalr_get(msg, "headers");

    if (headers && !json_is_object(headers)) {
        return CONDUIT_ERROR;
    }

    n = json_integer_value(type);

    if (n < CONDUIT_SIGNALR_INVOCATION || n > CONDUIT_SIGNALR_SEQUENCE) {
        return CONDUIT_DECLINED;
    }

    msg->type = n;

    switch (msg->type) {

    case CONDUIT_SIGNALR_INVOCATION:
    case CONDUIT_SIGNALR_STREAM:
        return conduit_signalr_invocation(msg);

    case CONDUIT_SIGNALR_ITEM:

        if (json_object_get(msg->root, "item") == NULL) {
            return CONDUIT_ERROR;
        }

        return conduit_signalr_id(msg);

    case CONDUIT_SIGNALR_COMPLETION:
        return conduit_signalr_completion(msg);

    case CONDUIT_SIGNALR_CANCEL:
        return conduit_signalr_id(msg);

    case CONDUIT_SIGNALR_CLOSE:
        return conduit_signalr_close(msg);

    case CONDUIT_SIGNALR_ACK:
    case CONDUIT_SIGNALR_SEQUENCE:
        return conduit_signalr_number(msg);

    default: /* CONDUIT_SIGNALR_PING */
        return CONDUIT_OK;
    }
}


static int
conduit_signalr_invocation(conduit_signalr_message_t *msg)
{
    size_t   i;
    json_t  *streams;

    if (msg->type == CONDUIT_SIGNALR_STREAM) {

        if (conduit_signalr_id(msg) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

    } else if (conduit_signalr_string(msg, "invocationId",
                                      &msg->invocation_id)
               != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (conduit_signalr_string(msg, "target", &msg->target) != CONDUIT_OK
        || msg->target.data == NULL)
    {
        return CONDUIT_ERROR;
    }

    msg->arguments = json_object_get(msg->root, "arguments");

    if (!json_is_array(msg->arguments)) {
        return CONDUIT_ERROR;
    }

    streams = conduit_signalr_get(msg, "streamIds");

    if (streams == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_array(streams)) {
        return CONDUIT_ERROR;
    }

    msg->streams = json_array_size(streams);

    for (i = 0; i < msg->streams; i++) {
        if (!json_is_string(json_array_get(streams, i))) {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_signalr_completion(conduit_signalr_message_t *msg)
{
    if (conduit_signalr_string(msg, "error", &msg->error) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (msg->error.data && json_object_get(msg->root, "result")) {
        return CONDUIT_ERROR;
    }

    return conduit_signalr_id(msg);
}


static int
conduit_signalr_close(conduit_signalr_message_t *msg)
{
    json_t  *allow;

    allow = conduit_signalr_get(msg, "allowReconnect");

    if (allow && !json_is_boolean(allow)) {
        return CONDUIT_ERROR;
    }

    msg->allow_reconnect = json_is_true(allow) ? 1 : 0;

    return conduit_signalr_string(msg, "error", &msg->error);
}


static int
conduit_signalr_number(conduit_signalr_message_t *msg)
{
    json_t  *sequence;

    sequence = json_object_get(msg->root, "sequenceId");

    if (!json_is_integer(sequence) || json_integer_value(sequence) < 0) {
        return CONDUIT_ERROR;
    }

    msg->sequence = json_integer_value(sequence);

    return CONDUIT_OK;
}


/* an id that must be there */

static int
conduit_signalr_id(conduit_signalr_message_t *msg)
{
    if (conduit_signalr_string(msg, "invocationId", &msg->invocation_id)
        != CONDUIT_OK
        || msg->invocation_id.data == NULL)
    {
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* a member, NULL also for null */

static json_t *
conduit_signalr_get(conduit_signalr_message_t *msg, const char *name)
{
    json_t  *value;

    value = json_object_get(msg->root, name);

    return json_is_null(value) ? NULL : value;
}


static int
conduit_signalr_string(conduit_signalr_message_t *msg, const char *name,
    conduit_str_t *value)
{
    json_t  *member;

    member = conduit_signalr_get(msg, name);

    if (member == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_string(member)) {
        return CONDUIT_ERROR;
    }

    value->data = (u_char *) json_string_value(member);
    value->len = json_string_length(member);

    return CONDUIT_OK;
}
