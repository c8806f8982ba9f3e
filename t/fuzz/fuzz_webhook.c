
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * The members of a create that are about webhooks.  Of headers, which go into
 * the request to the receiver, a reader of HTTP must find just the one that
 * was given, and none that it goes by.
 */


#include <ctype.h>
#include <stdlib.h>

#include "conduit_url.h"
#include "conduit_webhook.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_header(const uint8_t *data, size_t size);
static void fuzz_members(const uint8_t *data, size_t size);
static void fuzz_taken(json_t *root, const conduit_request_t *req,
    const u_char *buf, const u_char *last);
static int fuzz_owned(const char *name);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_header(data, size);
    fuzz_members(data, size);

    return 0;
}


/* name, NUL, value */

static void
fuzz_header(const uint8_t *data, size_t size)
{
    char           line[CONDUIT_WEBHOOK_NAME_MAX + CONDUIT_WEBHOOK_VALUE_MAX
                        + 5];
    size_t         i, n, len;
    const char    *why;
    const u_char  *value;

    value = size ? memchr(data, '\0', size) : NULL;

    if (value == NULL) {
        return;
    }

    n = (size_t) (value++ - data);
    len = size - n - 1;

    if (conduit_webhook_header_name(data, n, &why) != CONDUIT_OK
        || conduit_webhook_header_value(value, len, &why) != CONDUIT_OK)
    {
        return;
    }

    if (n == 0 || n > CONDUIT_WEBHOOK_NAME_MAX
        || len > CONDUIT_WEBHOOK_VALUE_MAX)
    {
        abort();
    }

    memcpy(line, data, n);
    memcpy(line + n, ": ", 2);
    memcpy(line + n + 2, value, len);
    memcpy(line + n + 2 + len, "\r\n", 3);

    /* one line, one colon that ends a name of visible characters */

    if (strlen(line) != n + 4 + len || strcspn(line, "\r\n") != n + 2 + len
        || strcspn(line, ":") != n || line[n + 1 + len] == '\t')
    {
        abort();
    }

    for (i = 0; i < n; i++) {
        if (!isgraph((unsigned char) line[i])
            || strchr("()<>@,;:\\\"/[]?={}", line[i]))
        {
            abort();
        }

        line[i] = (char) tolower((unsigned char) line[i]);
    }

    line[n] = '\0';

    if (fuzz_owned(line)) {
        abort();
    }
}


/* what decides about the request itself, or is a signature of ours */

static int
fuzz_owned(const char *name)
{
    size_t  i;

    static const char  *names[] = {
        "host", "content-length", "content-type", "transfer-encoding", "te",
        "connection", "upgrade", "expect", "trailer", "cookie", "date",
        "user-agent", "idempotency-key", "metadata-flavor", "keep-alive",
        "accept-encoding", "content-encoding", "via", "forwarded"
    };

    static const char  *prefixes[] = {
        "webhook-", "x-webhook-", "proxy-", "sec-", "x-forwarded-", "x-amz-",
        "x-goog-", "x-ms-", "x-aws-ec2-metadata-token"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return 1;
        }
    }

    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
fuzz_members(const uint8_t *data, size_t size)
{
    u_char                *buf, *last;
    conduit_fault_t        fault;
    conduit_request_t      req;
    conduit_hook_input_t   in;
    conduit_json_error_t   err;
    conduit_addr_policy_t  policy;

    memset(&policy, 0, sizeof(policy));
    memset(&req, 0, sizeof(req));
    memset(&fault, 0, sizeof(fault));

    policy.plain = size & 1;

    in.root = conduit_json_parse(data, size, &err);
    in.body = data;
    in.len = size;
    in.policy = &policy;

    buf = malloc(2 * size + 128);

    if (in.root == NULL || !json_is_object(in.root) || buf == NULL) {
        json_decref(in.root);
        free(buf);
        return;
    }

    last = buf;

    if (conduit_webhook_members(&req, &in, &last, &fault) == CONDUIT_OK) {

        if (last > buf + 2 * size + 128) {
            abort();
        }

        fuzz_taken(in.root, &req, buf, last);

    } else if (fault.status != 400 || fault.message_len == 0
               || fault.param_len < 7
               || memcmp(fault.param, "webhook", 7) != 0)
    {
        abort();
    }

    json_decref(in.root);
    free(buf);
}


static void
fuzz_taken(json_t *root, const conduit_request_t *req, const u_char *buf,
    const u_char *last)
{
    json_t  *webhook, *metadata, *given;

    given = json_object_get(root, "webhook_metadata");

    if (req->has_metadata) {
        metadata = json_loadb((char *) req->metadata.data, req->metadata.len,
                              JSON_ALLOW_NUL, NULL);

        if (!json_equal(metadata, given)
            || req->metadata.len > CONDUIT_METADATA_MAX)
        {
            abort();
        }

        json_decref(metadata);

    } else if (given && !json_is_null(given)) {
        abort();
    }

    if (req->webhook.len == 0) {

        if (req->webhook_events || req->webhook_url.len) {
            abort();
        }

        return;
    }

    if (req->webhook.data < buf || req->webhook.data + req->webhook.len > last
        || req->webhook_events == 0)
    {
        abort();
    }

    webhook = json_loadb((char *) req->webhook.data, req->webhook.len,
                         JSON_REJECT_DUPLICATES, NULL);
    given = json_object_get(root, "webhook_headers");

    if (!json_is_string(json_object_get(webhook, "url"))
        || json_array_size(json_object_get(webhook, "events")) == 0
        || !(json_is_object(given)
             ? json_equal(json_object_get(webhook, "headers"), given)
             : json_object_size(json_object_get(webhook, "headers")) == 0))
    {
        abort();
    }

    json_decref(webhook);
}
