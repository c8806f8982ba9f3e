
/*
 * Copyright (C) Conduit for nginx authors
 */


/* see conduit_signature.c */

#define OPENSSL_SUPPRESS_DEPRECATED


#include <openssl/sha.h>

#include "conduit_json.h"
#include "conduit_payload.h"
#include "conduit_request.h"
#include "conduit_time.h"


/* all that is written and does not depend on lengths; tests fill it up */

#define CONDUIT_PAYLOAD_FIXED  640

#define CONDUIT_HOOK_EVENTS    5

#define conduit_put(p, text)   conduit_payload_copy(p, text, sizeof(text) - 1)

#define conduit_word(s)        { sizeof(s) - 1, (u_char *) s }


static int conduit_hook_index(unsigned event);
static u_char *conduit_payload_result(u_char *p,
    const conduit_payload_t *payload);
static u_char *conduit_payload_error(u_char *p,
    const conduit_payload_t *payload);
static u_char *conduit_payload_progress(u_char *p,
    const conduit_payload_t *payload);
static u_char *conduit_payload_more(u_char *p,
    const conduit_payload_t *payload);
static u_char *conduit_payload_head(u_char *p, const u_char *task,
    const conduit_str_t *status, const conduit_str_t *type,
    int64_t timestamp);
static u_char *conduit_payload_tail(u_char *p,
    const conduit_payload_t *payload);
static const conduit_payload_result_t *conduit_payload_first(
    const conduit_payload_t *payload);
static u_char *conduit_payload_json(u_char *p, const char *name,
    const conduit_str_t *json);
static u_char *conduit_payload_string(u_char *p, const conduit_str_t *text);
static u_char *conduit_payload_copy(u_char *p, const void *src, size_t len);


/* in the order of the bits; the last is that of tests */

static const conduit_str_t  conduit_hook_words[CONDUIT_HOOK_EVENTS + 1] = {
    conduit_word("started"),
    conduit_word("progress"),
    conduit_word("completed"),
    conduit_word("failed"),
    conduit_word("cancelled"),
    conduit_word("test")
};


static const conduit_str_t  conduit_hook_types[2][CONDUIT_HOOK_EVENTS + 1] = {
    {
        conduit_word("image_generation_started"),
        conduit_word("image_generation_progress"),
        conduit_word("image_generation_completed"),
        conduit_word("image_generation_completed"),
        conduit_word("image_generation_completed"),
        conduit_word("webhook_test")
    },
    {
        conduit_word("video_generation_started"),
        conduit_word("video_generation_progress"),
        conduit_word("video_generation_completed"),
        conduit_word("video_generation_completed"),
        conduit_word("video_generation_completed"),
        conduit_word("webhook_test")
    }
};


int
conduit_hook_id(u_char *dst, const u_char *task, unsigned event,
    uint64_t sequence)
{
    int         i;
    u_char      text[CONDUIT_UUID_BYTES + 9], digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX  sha;

    memcpy(text, task, CONDUIT_UUID_BYTES);
    text[CONDUIT_UUID_BYTES] = (u_char) event;

    for (i = 0; i < 8; i++) {
        text[CONDUIT_UUID_BYTES + 1 + i] = sequence >> (56 - 8 * i) & 0xff;
    }

    if (SHA256_Init(&sha) != 1
        || SHA256_Update(&sha, text, sizeof(text)) != 1
        || SHA256_Final(digest, &sha) != 1)
    {
        return CONDUIT_ERROR;
    }

    conduit_hook_id_random(dst, digest);

    return CONDUIT_OK;
}


void
conduit_hook_id_random(u_char *dst, const u_char *rnd)
{
    memcpy(dst, "whe_", 4);
    conduit_base62(dst + 4, rnd);
}


int
conduit_hook_id_check(const u_char *p, size_t len)
{
    u_char  ch;
    size_t  i;

    if (len != CONDUIT_HOOK_ID_LEN || memcmp(p, "whe_", 4) != 0) {
        return CONDUIT_DECLINED;
    }

    for (i = 4; i < len; i++) {
        ch = p[i];

        if (!(ch >= '0' && ch <= '9') && !(ch >= 'A' && ch <= 'Z')
            && !(ch >= 'a' && ch <= 'z'))
        {
            return CONDUIT_DECLINED;
        }
    }

    return CONDUIT_OK;
}


const conduit_str_t *
conduit_hook_event_word(unsigned event)
{
    return &conduit_hook_words[conduit_hook_index(event)];
}


const conduit_str_t *
conduit_hook_type(conduit_kind_e kind, unsigned event)
{
    return &conduit_hook_types[kind == CONDUIT_KIND_VIDEO]
                              [conduit_hook_index(event)];
}


static int
conduit_hook_index(unsigned event)
{
    int  i;

    for (i = 0; i < CONDUIT_HOOK_EVENTS; i++) {
        if (event == 1u << i) {
            break;
        }
    }

    return i;
}


unsigned
conduit_hook_event(conduit_status_e status)
{
    switch (status) {

    case CONDUIT_PROCESSING:
        return CONDUIT_HOOK_PROGRESS;

    case CONDUIT_COMPLETED:
        return CONDUIT_HOOK_COMPLETED;

    case CONDUIT_FAILED:
        return CONDUIT_HOOK_FAILED;

    case CONDUIT_CANCELLED:
        return CONDUIT_HOOK_CANCELLED;

    default:
        return 0;
    }
}


size_t
conduit_payload_size(const conduit_payload_t *payload)
{
    size_t         i, size;
    conduit_str_t  error;

    size = CONDUIT_PAYLOAD_FIXED + payload->metadata.len + payload->model.len
           + payload->prompt.len;

    size += conduit_json_escape(NULL, payload->message.data,
                                payload->message.len);

    error = payload->error;
    size += conduit_json_escape(NULL, error.data, error.len);

    for (i = 0; i < payload->nresults; i++) {

        /* one of them stands there twice */

        size += 2 * (3 + conduit_json_escape(NULL,
                                             payload->results[i].url.data,
                                             payload->results[i].url.len));
    }

    return size;
}


u_char *
conduit_payload_write(u_char *dst, const conduit_payload_t *payload)
{
    int                   terminal;
    u_char               *p;
    const conduit_str_t  *kind;

    terminal = payload->event & (CONDUIT_HOOK_COMPLETED|CONDUIT_HOOK_FAILED
                                 |CONDUIT_HOOK_CANCELLED);

    p = conduit_payload_head(dst, payload->task,
                             conduit_status_word(payload->status,
                                                 CONDUIT_WORDS_PLAIN),
                             conduit_hook_type(payload->kind, payload->event),
                             payload->timestamp);

    if (payload->event == CONDUIT_HOOK_COMPLETED) {
        p = conduit_payload_result(p, payload);
    }

    if (payload->event & (CONDUIT_HOOK_FAILED|CONDUIT_HOOK_CANCELLED)) {
        p = conduit_payload_error(p, payload);
    }

    if (terminal) {
        p = conduit_payload_json(p, ",\"model\":", &payload->model);
        p = conduit_payload_json(p, ",\"prompt\":", &payload->prompt);
    }

    p = conduit_payload_json(p, ",\"metadata\":", &payload->metadata);

    if (payload->event == CONDUIT_HOOK_PROGRESS) {
        p = conduit_payload_progress(p, payload);
    }

    kind = conduit_kind_word(payload->kind);

    p = conduit_put(p, ",\"type\":\"");
    p = conduit_payload_copy(p, kind->data, kind->len);
    p = conduit_put(p, ".generation.");

    p = conduit_payload_tail(p, payload);

    if (payload->event == CONDUIT_HOOK_COMPLETED) {
        p = conduit_payload_more(p, payload);
    }

    *p++ = '}';

    return p;
}


u_char *
conduit_payload_test(u_char *dst, const conduit_payload_t *payload)
{
    u_char             *p;
    conduit_payload_t   test;

    static const u_char         nil[CONDUIT_UUID_BYTES];
    static const conduit_str_t  status = conduit_word("test");

    test = *payload;
    test.event = 0;
    test.sequence = 0;

    p = conduit_payload_head(dst, nil, &status,
                             conduit_hook_type(CONDUIT_KIND_IMAGE, 0),
                             payload->timestamp);

    p = conduit_payload_json(p, ",\"metadata\":", &payload->metadata);
    p = conduit_put(p, ",\"type\":\"webhook.");
    p = conduit_payload_tail(p, &test);

    *p++ = '}';

    return p;
}


static u_char *
conduit_payload_head(u_char *p, const u_char *task,
    const conduit_str_t *status, const conduit_str_t *type, int64_t timestamp)
{
    p = conduit_put(p, "{\"task_id\":\"");
    conduit_uuid_write(p, task);
    p += CONDUIT_UUID_LEN;

    p = conduit_put(p, "\",\"status\":\"");
    p = conduit_payload_copy(p, status->data, status->len);
    p = conduit_put(p, "\",\"webhook_type\":\"");
    p = conduit_payload_copy(p, type->data, type->len);
    p = conduit_put(p, "\",\"timestamp\":\"");
    p = conduit_time_write(p, timestamp);
    *p++ = '"';

    return p;
}


/* goes on within the value of "type" */

static u_char *
conduit_payload_tail(u_char *p, const conduit_payload_t *payload)
{
    const conduit_str_t  *event;

    event = conduit_hook_event_word(payload->event);

    p = conduit_payload_copy(p, event->data, event->len);
    p = conduit_put(p, "\",\"event_id\":\"");
    p = conduit_payload_copy(p, payload->id, CONDUIT_HOOK_ID_LEN);
    p = conduit_put(p, "\",\"sequence\":");

    return conduit_number_write(p, payload->sequence);
}


static u_char *
conduit_payload_result(u_char *p, const conduit_payload_t *payload)
{
    u_char                           fraction;
    uint64_t                         ms;
    const conduit_payload_result_t  *first;

    first = conduit_payload_first(payload);

    if (first) {
        p = (payload->kind == CONDUIT_KIND_VIDEO)
            ? conduit_put(p, ",\"video_url\":")
            : conduit_put(p, ",\"image_url\":");
        p = conduit_payload_string(p, &first->url);
    }

    /* in the form of the status document, with three digits */

    ms = (payload->duration > 0) ? (uint64_t) payload->duration : 0;

    p = conduit_put(p, ",\"generation_duration_seconds\":");
    p = conduit_number_write(p, ms / 1000);
    *p++ = '.';

    for (fraction = 100; fraction > 0; fraction /= 10) {
        *p++ = (u_char) ('0' + ms % 1000 / fraction % 10);
    }

    return p;
}


/* what the guide does not have */

static u_char *
conduit_payload_more(u_char *p, const conduit_payload_t *payload)
{
    size_t                           i, n;
    const conduit_payload_result_t  *first;

    if (payload->kind == CONDUIT_KIND_IMAGE) {
        p = conduit_put(p, ",\"image_urls\":[");

        for (i = 0, n = 0; i < payload->nresults; i++) {

            if (payload->results[i].url.len == 0) {
                continue;
            }

            if (n++) {
                *p++ = ',';
            }

            p = conduit_payload_string(p, &payload->results[i].url);
        }

        *p++ = ']';
    }

    first = conduit_payload_first(payload);

    if (first && first->expires > 0) {
        p = conduit_put(p, ",\"expires_at\":\"");
        p = conduit_time_write(p, first->expires);
        *p++ = '"';
    }

    return p;
}


/* the first result that can be named, or NULL */

static const conduit_payload_result_t *
conduit_payload_first(const conduit_payload_t *payload)
{
    size_t  i;

    for (i = 0; i < payload->nresults; i++) {
        if (payload->results[i].url.len > 0) {
            return &payload->results[i];
        }
    }

    return NULL;
}


static u_char *
conduit_payload_error(u_char *p, const conduit_payload_t *payload)
{
    const conduit_str_t  *code;

    p = conduit_put(p, ",\"error\":");

    p = conduit_payload_string(p, payload->error.len
                               ? &payload->error
                               : conduit_error_sentence(payload->error_code));

    code = conduit_error_word(payload->error_code);

    p = conduit_put(p, ",\"error_code\":\"");
    p = conduit_payload_copy(p, code->data, code->len);
    *p++ = '"';

    return p;
}


static u_char *
conduit_payload_progress(u_char *p, const conduit_payload_t *payload)
{
    p = conduit_put(p, ",\"progress_percentage\":");
    p = conduit_number_write(p, payload->progress > 99 ? 99
                                                       : payload->progress);

    if (payload->message.len) {
        p = conduit_put(p, ",\"message\":");
        p = conduit_payload_string(p, &payload->message);
    }

    if (payload->eta >= 0) {
        p = conduit_put(p, ",\"estimated_seconds_remaining\":");
        p = conduit_number_write(p, (uint64_t) payload->eta);
    }

    return p;
}


/* name comes with its comma, quotes and colon */

static u_char *
conduit_payload_json(u_char *p, const char *name, const conduit_str_t *json)
{
    if (json->len == 0) {
        return p;
    }

    p = conduit_payload_copy(p, name, strlen(name));

    return conduit_payload_copy(p, json->data, json->len);
}


static u_char *
conduit_payload_string(u_char *p, const conduit_str_t *text)
{
    *p++ = '"';
    p += conduit_json_escape(p, text->data, text->len);
    *p++ = '"';

    return p;
}


static u_char *
conduit_payload_copy(u_char *p, const void *src, size_t len)
{
    memcpy(p, src, len);

    return p + len;
}
