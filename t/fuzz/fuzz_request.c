
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_request.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_plain(const uint8_t *data, size_t size);
static void fuzz_document(const conduit_str_t *text, int object);


/*
 * Whatever the body is, what is made of a good one must be good JSON itself
 * and lie inside the buffer.  What is told to be plain is what the parser
 * takes, with the same strings and integers.
 */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                    rc;
    u_char                *buf;
    conduit_fault_t        fault;
    conduit_request_t      req;
    conduit_addr_policy_t  policy;

    memset(&policy, 0, sizeof(policy));
    policy.plain = 1;

    fuzz_plain(data, size);

    buf = malloc(conduit_request_buffer(size));
    if (buf == NULL) {
        return 0;
    }

    rc = conduit_request_parse(&req, CONDUIT_KIND_IMAGE, buf, data, size,
                               &policy, &fault);

    if (rc == CONDUIT_OK) {
        fuzz_document(&req.document, 1);
        fuzz_document(&req.prompt_json, 0);

        if (req.has_metadata) {
            fuzz_document(&req.metadata, 1);
        }

        if (req.webhook.len > 0) {
            fuzz_document(&req.webhook, 1);
        }

        if (req.n < 1 || req.n > 10 || req.timeout_seconds > 3600
            || req.prompt.len == 0 || req.model.len == 0)
        {
            abort();
        }

    } else if (fault.status != 400
               || fault.message_len == 0
               || fault.message_len > sizeof(fault.message)
               || fault.param_len > sizeof(fault.param))
    {
        abort();
    }

    free(buf);

    return 0;
}


static void
fuzz_plain(const uint8_t *data, size_t size)
{
    size_t                  len;
    u_char                 *text;
    json_t                 *json, *value;
    const u_char           *pos;
    conduit_json_error_t    err;
    conduit_json_member_t   member;

    json = conduit_json_parse(data, size, &err);

    if (!json_is_object(json)) {

        if (conduit_json_plain(data, size)) {
            abort();
        }

        json_decref(json);
        return;
    }

    text = malloc(size);
    if (text == NULL) {
        abort();
    }

    pos = data;

    while (conduit_json_next(&pos, data + size, &member) == CONDUIT_OK) {
        len = conduit_json_unescape(text, member.name.data, member.name.len);

        value = json_object_getn(json, (char *) text, len);

        if (value == NULL) {
            abort();
        }

        if (!json_is_string(value)) {
            continue;
        }

        len = conduit_json_unescape(text, member.value.data, member.value.len);

        if (len != json_string_length(value)
            || memcmp(text, json_string_value(value), len) != 0)
        {
            abort();
        }
    }

    free(text);
    json_decref(json);
}


static void
fuzz_document(const conduit_str_t *text, int object)
{
    json_t                *json;
    conduit_json_error_t   err;

    json = conduit_json_parse(text->data, text->len, &err);

    if (json == NULL || (object && !json_is_object(json))
        || conduit_json_compact(NULL, text->data, text->len) != text->len)
    {
        abort();
    }

    json_decref(json);
}
