
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * Payload documents: whatever texts and numbers go in, what comes out is JSON
 * with exactly the members that belong to the event, and fits in the size that
 * was told.
 */


#include <math.h>
#include <stdlib.h>
#include <jansson.h>

#include "conduit_json.h"
#include "conduit_payload.h"
#include "conduit_request.h"
#include "conduit_time.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static conduit_str_t fuzz_text(const uint8_t **p, const uint8_t *last);
static int fuzz_is_text(json_t *value, const conduit_str_t *text);
static void fuzz_check(const conduit_payload_t *payload, json_t *json);
static void fuzz_results(const conduit_payload_t *payload, json_t *json);
static void fuzz_members(const conduit_payload_t *payload, json_t *json);
static void fuzz_has(json_t *json, const char *name, int is);
static void fuzz_is(int good);


static const u_char  fuzz_task[CONDUIT_UUID_BYTES] = "0123456\x48\x89" "ab";


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                     i, room;
    u_char                    *buf, *end, id[CONDUIT_HOOK_ID_LEN];
    json_t                    *json;
    const uint8_t             *p, *last;
    conduit_payload_t          payload;
    conduit_payload_result_t   results[4];

    static const conduit_status_e  statuses[] = {
        CONDUIT_PROCESSING, CONDUIT_PROCESSING, CONDUIT_COMPLETED,
        CONDUIT_FAILED, CONDUIT_CANCELLED, CONDUIT_PROCESSING
    };

    if (size < 8) {
        return 0;
    }

    p = data + 8;
    last = data + size;

    memset(&payload, 0, sizeof(payload));

    payload.kind = (conduit_kind_e) (data[0] & 1);
    payload.event = 1u << data[0] / 2 % 6;

    if (payload.event > CONDUIT_HOOK_CANCELLED) {
        payload.event = 0;
    }

    payload.status = statuses[data[0] / 2 % 6];
    payload.task = fuzz_task;
    payload.sequence = (uint64_t) data[1] << (data[2] % 55);
    payload.timestamp = (int64_t) data[2] << (data[3] % 38);
    payload.duration = ((int64_t) data[3] - 20) * (1 << (data[4] % 30));
    payload.progress = data[4];
    payload.eta = (int64_t) data[5] - 20;
    payload.error_code = (conduit_error_code_e) (1 + data[6]
                                                 % (CONDUIT_ERR_N - 1));
    payload.nresults = data[7] % 5;
    payload.results = results;

    if (data[7] & 0x40) {
        payload.metadata.data = (u_char *) "{\"a\":[1.0,-0,1e5,\"\\u0000\"]}";
        payload.metadata.len = strlen((char *) payload.metadata.data);
    }

    payload.model.data = (u_char *) "\"dall-e-3\"";
    payload.model.len = 10;
    payload.prompt.data = (u_char *) "\"a \\\"b\\\"\"";
    payload.prompt.len = 9;
    payload.message = fuzz_text(&p, last);
    payload.error = fuzz_text(&p, last);

    for (i = 0; i < 4; i++) {
        results[i].url = fuzz_text(&p, last);
        results[i].expires = (int64_t) data[5] << (data[6] % 38);
    }

    fuzz_is(conduit_hook_id(id, fuzz_task, payload.event, payload.sequence)
            == CONDUIT_OK);
    fuzz_is(conduit_hook_id_check(id, sizeof(id)) == CONDUIT_OK);
    payload.id = id;

    room = conduit_payload_size(&payload);

    buf = malloc(room);
    if (buf == NULL) {
        return 0;
    }

    end = payload.event ? conduit_payload_write(buf, &payload)
                        : conduit_payload_test(buf, &payload);

    fuzz_is((size_t) (end - buf) <= room);

    /* compact: nothing that a compact form would leave away */

    fuzz_is(conduit_json_compact(NULL, buf, (size_t) (end - buf))
            == (size_t) (end - buf));

    json = json_loadb((char *) buf, (size_t) (end - buf),
                      JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL, NULL);
    fuzz_is(json != NULL);

    fuzz_check(&payload, json);

    json_decref(json);
    free(buf);

    return 0;
}


/* a byte that is the length, and so many bytes */

static conduit_str_t
fuzz_text(const uint8_t **p, const uint8_t *last)
{
    conduit_str_t  text;

    text.data = NULL;
    text.len = 0;

    if (*p < last) {
        text.len = *(*p)++;

        if (text.len > (size_t) (last - *p)) {
            text.len = (size_t) (last - *p);
        }

        text.data = (u_char *) *p;
        *p += text.len;
    }

    return text;
}


static void
fuzz_check(const conduit_payload_t *payload, json_t *json)
{
    json_t                *value;
    const conduit_str_t   *word;
    const char            *text;

    word = payload->event
           ? conduit_status_word(payload->status, CONDUIT_WORDS_PLAIN)
           : conduit_hook_event_word(0);
    fuzz_is(fuzz_is_text(json_object_get(json, "status"), word));

    word = conduit_hook_type(payload->kind, payload->event);
    fuzz_is(fuzz_is_text(json_object_get(json, "webhook_type"), word));

    text = json_string_value(json_object_get(json, "event_id"));
    fuzz_is(text && strlen(text) == CONDUIT_HOOK_ID_LEN
            && memcmp(text, payload->id, CONDUIT_HOOK_ID_LEN) == 0);

    value = json_object_get(json, "sequence");
    fuzz_is(json_is_integer(value)
            && json_integer_value(value)
               == (json_int_t) (payload->event ? payload->sequence : 0));

    text = json_string_value(json_object_get(json, "timestamp"));
    fuzz_is(text && strlen(text) == CONDUIT_TIME_LEN);

    text = json_string_value(json_object_get(json, "task_id"));
    fuzz_is(text && strlen(text) == CONDUIT_UUID_LEN);

    fuzz_members(payload, json);

    if (payload->event == CONDUIT_HOOK_COMPLETED) {
        fuzz_results(payload, json);
    }
}


static void
fuzz_members(const conduit_payload_t *payload, json_t *json)
{
    int          terminal, failed, done, progress;
    size_t       i, named;
    json_t      *value;
    const char  *name;

    done = payload->event == CONDUIT_HOOK_COMPLETED;
    failed = payload->event == CONDUIT_HOOK_FAILED
             || payload->event == CONDUIT_HOOK_CANCELLED;
    progress = payload->event == CONDUIT_HOOK_PROGRESS;
    terminal = done || failed;

    for (i = 0, named = 0; i < payload->nresults; i++) {
        named += payload->results[i].url.len > 0;
    }

    fuzz_has(json, "type", 1);
    fuzz_has(json, "model", terminal);
    fuzz_has(json, "prompt", terminal);
    fuzz_has(json, "metadata", payload->metadata.len > 0);
    fuzz_has(json, "error", failed);
    fuzz_has(json, "error_code", failed);
    fuzz_has(json, "progress_percentage", progress);
    fuzz_has(json, "message", progress && payload->message.len);
    fuzz_has(json, "estimated_seconds_remaining",
             progress && payload->eta >= 0);
    fuzz_has(json, "generation_duration_seconds", done);
    fuzz_has(json, "image_urls", done && payload->kind == CONDUIT_KIND_IMAGE);
    fuzz_has(json, "image_url",
             done && named && payload->kind == CONDUIT_KIND_IMAGE);
    fuzz_has(json, "video_url",
             done && named && payload->kind == CONDUIT_KIND_VIDEO);

    json_object_foreach(json, name, value) {
        fuzz_is(!json_is_null(value));
    }

    if (progress) {
        value = json_object_get(json, "progress_percentage");
        fuzz_is(json_integer_value(value) <= 99);
        fuzz_is(payload->message.len == 0
                || fuzz_is_text(json_object_get(json, "message"),
                                &payload->message));
    }

    if (failed) {
        fuzz_is(fuzz_is_text(json_object_get(json, "error"),
                             payload->error.len
                             ? &payload->error
                             : conduit_error_sentence(payload->error_code)));
    }
}


static void
fuzz_results(const conduit_payload_t *payload, json_t *json)
{
    double                           seconds;
    size_t                           i, n;
    json_t                          *list;
    const conduit_payload_result_t  *first;

    seconds = (payload->duration > 0) ? payload->duration / 1000.0 : 0;

    fuzz_is(fabs(json_number_value(json_object_get(json,
                                              "generation_duration_seconds"))
                 - seconds)
            < 0.0005);

    list = json_object_get(json, "image_urls");
    first = NULL;

    for (i = 0, n = 0; i < payload->nresults; i++) {

        if (payload->results[i].url.len == 0) {
            continue;
        }

        first = first ? first : &payload->results[i];

        if (list) {
            fuzz_is(fuzz_is_text(json_array_get(list, n++),
                                 &payload->results[i].url));
        }
    }

    fuzz_is(json_array_size(list) == n);
    fuzz_has(json, "expires_at", first && first->expires > 0);

    if (first) {
        fuzz_is(fuzz_is_text(json_object_get(json, list ? "image_url"
                                                        : "video_url"),
                             &first->url));
    }
}


/* bytes that are no UTF-8 are replaced, so only valid text can be compared */

static int
fuzz_is_text(json_t *value, const conduit_str_t *text)
{
    size_t  i, n;

    if (!json_is_string(value)) {
        return 0;
    }

    for (i = 0; i < text->len; i += n) {
        n = conduit_utf8_sequence(text->data + i, text->len - i);

        if (n == 0) {
            return 1;
        }
    }

    return json_string_length(value) == text->len
           && memcmp(json_string_value(value), text->data, text->len) == 0;
}


static void
fuzz_has(json_t *json, const char *name, int is)
{
    fuzz_is((json_object_get(json, name) != NULL) == (is != 0));
}


static void
fuzz_is(int good)
{
    if (!good) {
        abort();
    }
}
