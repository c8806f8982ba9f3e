
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_request.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_document(const conduit_str_t *text, int object);


/*
 * Whatever the body is, what is made of a good one must be good JSON itself
 * and lie inside the buffer.
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
