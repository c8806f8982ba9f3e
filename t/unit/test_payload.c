
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>
#include <jansson.h>

#include "conduit_payload.h"
#include "conduit_request.h"
#include "tap.h"


static void test_ids(void);
static void test_words(void);
static void test_completed(void);
static void test_video(void);
static void test_failed(void);
static void test_progress(void);
static void test_started(void);
static void test_event(void);
static void test_size(void);
static conduit_payload_t base(unsigned event);
static conduit_str_t text_of(const char *p);
static void is_payload(const conduit_payload_t *payload, const char *expected,
    const char *name);


/* 550e8400-e29b-41d4-a716-446655440000 */

static const u_char  task[] = {
    0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b, 0x41, 0xd4,
    0xa7, 0x16, 0x44, 0x66, 0x55, 0x44, 0x00, 0x00
};

static const u_char  id[] = "whe_0123456789abcdefghijkl";

#define HEAD    "{\"task_id\":\"550e8400-e29b-41d4-a716-446655440000\","
#define STAMP   "\"timestamp\":\"2024-01-20T15:30:45.123Z\""
#define MODEL   ",\"model\":\"dall-e-3\",\"prompt\":\"A \\\"sunset\\\"\""
#define META    ",\"metadata\":{\"user_id\":\"12345\",\"n\":1.0}"
#define TAIL    "\"event_id\":\"whe_0123456789abcdefghijkl\",\"sequence\":7"


int
main(void)
{
    test_ids();
    test_words();
    test_completed();
    test_video();
    test_failed();
    test_progress();
    test_started();
    test_event();
    test_size();

    return done_testing();
}


static conduit_str_t
text_of(const char *p)
{
    conduit_str_t  s;

    s.data = (u_char *) p;
    s.len = strlen(p);

    return s;
}


static conduit_payload_t
base(unsigned event)
{
    conduit_payload_t  payload;

    memset(&payload, 0, sizeof(payload));

    payload.kind = CONDUIT_KIND_IMAGE;
    payload.event = event;
    payload.task = task;
    payload.id = id;
    payload.sequence = 7;
    payload.timestamp = 1705764645123;
    payload.metadata = text_of("{\"user_id\":\"12345\",\"n\":1.0}");
    payload.model = text_of("\"dall-e-3\"");
    payload.prompt = text_of("\"A \\\"sunset\\\"\"");
    payload.message = text_of("not of this event");
    payload.error = text_of("not of this event");
    payload.error_code = CONDUIT_ERR_TIMEOUT;
    payload.progress = 55;
    payload.eta = 3;
    payload.duration = 3500;

    return payload;
}


static void
is_payload(const conduit_payload_t *payload, const char *expected,
    const char *name)
{
    u_char  *buf, *end;
    size_t   size;
    json_t  *json;

    size = conduit_payload_size(payload);
    buf = malloc(size);

    if (!ok(buf != NULL, "memory for %s", name)) {
        return;
    }

    end = payload->event ? conduit_payload_write(buf, payload)
                         : conduit_payload_test(buf, payload);

    ok((size_t) (end - buf) <= size, "%s: %zu bytes of %zu", name,
       (size_t) (end - buf), size);
    is_mem(buf, end - buf, expected, strlen(expected), "%s", name);

    json = json_loadb((char *) buf, end - buf, JSON_REJECT_DUPLICATES, NULL);
    ok(json != NULL, "%s: it is JSON", name);
    json_decref(json);

    free(buf);
}


static void
test_ids(void)
{
    size_t  i;
    u_char  a[CONDUIT_HOOK_ID_LEN], b[CONDUIT_HOOK_ID_LEN], other[16];

    static const char  *bad[] = {
        "", "whe_", "whe_0123456789abcdefghijk", "whe_0123456789abcdefghijklm",
        "whe_0123456789abcdefghij-l", "whe_0123456789abcdefghij.l",
        "wha_0123456789abcdefghijkl", "0123456789abcdefghijklmnop"
    };

    is_num(conduit_hook_id(a, task, CONDUIT_HOOK_COMPLETED, 7), CONDUIT_OK,
           "an id");

    /* it is the same in every version: receivers tell events by it */

    is_mem(a, sizeof(a), "whe_5wzWMYI60cwAasezfutJCB", sizeof(a),
           "made from task, event and sequence");
    is_num(conduit_hook_id_check(a, sizeof(a)), CONDUIT_OK, "of the form");

    (void) conduit_hook_id(b, task, CONDUIT_HOOK_COMPLETED, 7);
    is_mem(b, sizeof(b), a, sizeof(a), "the same again");

    (void) conduit_hook_id(b, task, CONDUIT_HOOK_COMPLETED, 8);
    ok(memcmp(a, b, sizeof(a)) != 0, "another sequence");
    (void) conduit_hook_id(b, task, CONDUIT_HOOK_FAILED, 7);
    ok(memcmp(a, b, sizeof(a)) != 0, "another event");
    (void) conduit_hook_id(b, task, CONDUIT_HOOK_COMPLETED,
                           7 + ((uint64_t) 1 << 32));
    ok(memcmp(a, b, sizeof(a)) != 0, "all bits of the sequence");

    memcpy(other, task, sizeof(other));
    other[15] = 1;
    (void) conduit_hook_id(b, other, CONDUIT_HOOK_COMPLETED, 7);
    ok(memcmp(a, b, sizeof(a)) != 0, "another task");

    memset(other, 0, sizeof(other));
    conduit_hook_id_random(b, other);
    is_mem(b, sizeof(b), "whe_0000000000000000000000", sizeof(b),
           "one of a test event");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_hook_id_check((const u_char *) bad[i], strlen(bad[i])),
               CONDUIT_DECLINED, "no id: \"%s\"", bad[i]);
    }
}


static void
test_words(void)
{
    size_t                i;
    const conduit_str_t  *word;

    static const struct {
        unsigned     event;
        const char  *word;
        const char  *image;
        const char  *video;
    } events[] = {
        { CONDUIT_HOOK_STARTED, "started", "image_generation_started",
          "video_generation_started" },
        { CONDUIT_HOOK_PROGRESS, "progress", "image_generation_progress",
          "video_generation_progress" },
        { CONDUIT_HOOK_COMPLETED, "completed", "image_generation_completed",
          "video_generation_completed" },
        { CONDUIT_HOOK_FAILED, "failed", "image_generation_completed",
          "video_generation_completed" },
        { CONDUIT_HOOK_CANCELLED, "cancelled", "image_generation_completed",
          "video_generation_completed" },
        { 0, "test", "webhook_test", "webhook_test" }
    };

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        word = conduit_hook_event_word(events[i].event);
        is_mem(word->data, word->len, events[i].word, strlen(events[i].word),
               "the word of %u", events[i].event);
        word = conduit_hook_type(CONDUIT_KIND_IMAGE, events[i].event);
        is_mem(word->data, word->len, events[i].image, strlen(events[i].image),
               "its type, images");
        word = conduit_hook_type(CONDUIT_KIND_VIDEO, events[i].event);
        is_mem(word->data, word->len, events[i].video, strlen(events[i].video),
               "its type, videos");
    }

    is_num(conduit_hook_event(CONDUIT_PENDING), 0, "pending");
    is_num(conduit_hook_event(CONDUIT_PROCESSING), CONDUIT_HOOK_PROGRESS,
           "processing");
    is_num(conduit_hook_event(CONDUIT_COMPLETED), CONDUIT_HOOK_COMPLETED,
           "completed");
    is_num(conduit_hook_event(CONDUIT_FAILED), CONDUIT_HOOK_FAILED, "failed");
    is_num(conduit_hook_event(CONDUIT_CANCELLED), CONDUIT_HOOK_CANCELLED,
           "cancelled");
}


#define COMPLETED                                                             \
    HEAD "\"status\":\"completed\","                                          \
    "\"webhook_type\":\"image_generation_completed\"," STAMP

#define COMPLETED_TYPE  ",\"type\":\"image.generation.completed\"," TAIL

static void
test_completed(void)
{
    conduit_payload_t         payload;
    conduit_payload_result_t  results[3];

    payload = base(CONDUIT_HOOK_COMPLETED);
    payload.status = CONDUIT_COMPLETED;
    payload.results = results;

    memset(results, 0, sizeof(results));
    results[0].url = text_of("https://cdn.conduit.im/a\"b.png");
    results[0].expires = 1705764646000;
    results[2].url = text_of("https://cdn.conduit.im/c.png");
    results[2].expires = 1705764647000;

    payload.nresults = 1;
    is_payload(&payload, COMPLETED
               ",\"image_url\":\"https://cdn.conduit.im/a\\\"b.png\","
               "\"generation_duration_seconds\":3.500" MODEL META
               COMPLETED_TYPE
               ",\"image_urls\":[\"https://cdn.conduit.im/a\\\"b.png\"],"
               "\"expires_at\":\"2024-01-20T15:30:46.000Z\"}", "one picture");

    payload.nresults = 3;
    is_payload(&payload, COMPLETED
               ",\"image_url\":\"https://cdn.conduit.im/a\\\"b.png\","
               "\"generation_duration_seconds\":3.500" MODEL META
               COMPLETED_TYPE
               ",\"image_urls\":[\"https://cdn.conduit.im/a\\\"b.png\","
               "\"https://cdn.conduit.im/c.png\"],"
               "\"expires_at\":\"2024-01-20T15:30:46.000Z\"}",
               "three, one of them without URL");

    results[0].url.len = 0;
    results[2].expires = 0;
    payload.duration = 12;
    payload.metadata.len = 0;
    is_payload(&payload, COMPLETED
               ",\"image_url\":\"https://cdn.conduit.im/c.png\","
               "\"generation_duration_seconds\":0.012" MODEL COMPLETED_TYPE
               ",\"image_urls\":[\"https://cdn.conduit.im/c.png\"]}",
               "the first without URL, no metadata, no known end");

    payload.nresults = 2;
    payload.duration = 0;
    is_payload(&payload, COMPLETED
               ",\"generation_duration_seconds\":0.000" MODEL COMPLETED_TYPE
               ",\"image_urls\":[]}", "none with an URL");

    payload.nresults = 0;
    payload.duration = -5;
    payload.metadata = text_of("{}");
    is_payload(&payload, COMPLETED
               ",\"generation_duration_seconds\":0.000" MODEL
               ",\"metadata\":{}" COMPLETED_TYPE ",\"image_urls\":[]}",
               "no results, empty metadata, a clock that stepped back");
}


static void
test_video(void)
{
    conduit_payload_t         payload;
    conduit_payload_result_t  result;

    payload = base(CONDUIT_HOOK_COMPLETED);
    payload.kind = CONDUIT_KIND_VIDEO;
    payload.status = CONDUIT_COMPLETED;
    payload.results = &result;
    payload.nresults = 1;
    payload.duration = 3600123;

    result.url = text_of("https://cdn.conduit.im/a.mp4");
    result.expires = 0;

    is_payload(&payload, HEAD "\"status\":\"completed\","
               "\"webhook_type\":\"video_generation_completed\"," STAMP
               ",\"video_url\":\"https://cdn.conduit.im/a.mp4\","
               "\"generation_duration_seconds\":3600.123" MODEL META
               ",\"type\":\"video.generation.completed\"," TAIL "}",
               "a video, without image_urls");
}


static void
test_failed(void)
{
    conduit_payload_t  payload;

    payload = base(CONDUIT_HOOK_FAILED);
    payload.status = CONDUIT_FAILED;
    payload.error = text_of("Line 1\nline \"2\"");
    payload.error_code = CONDUIT_ERR_CONTENT_POLICY_VIOLATION;

    is_payload(&payload, HEAD "\"status\":\"failed\","
               "\"webhook_type\":\"image_generation_completed\"," STAMP
               ",\"error\":\"Line 1\\u000aline \\\"2\\\"\","
               "\"error_code\":\"content_policy_violation\"" MODEL META
               ",\"type\":\"image.generation.failed\"," TAIL "}", "failed");

    payload.error.len = 0;

    is_payload(&payload, HEAD "\"status\":\"failed\","
               "\"webhook_type\":\"image_generation_completed\"," STAMP
               ",\"error\":\"Content policy violation detected\","
               "\"error_code\":\"content_policy_violation\"" MODEL META
               ",\"type\":\"image.generation.failed\"," TAIL "}",
               "failed, no text of the provider");

    payload = base(CONDUIT_HOOK_CANCELLED);
    payload.status = CONDUIT_CANCELLED;
    payload.error.len = 0;
    payload.error_code = CONDUIT_ERR_CANCELLED;

    is_payload(&payload, HEAD "\"status\":\"cancelled\","
               "\"webhook_type\":\"image_generation_completed\"," STAMP
               ",\"error\":\"Task was cancelled\",\"error_code\":\"cancelled\""
               MODEL META ",\"type\":\"image.generation.cancelled\"," TAIL "}",
               "cancelled");
}


#define PROGRESS                                                              \
    HEAD "\"status\":\"processing\","                                         \
    "\"webhook_type\":\"video_generation_progress\"," STAMP

static void
test_progress(void)
{
    conduit_payload_t  payload;

    payload = base(CONDUIT_HOOK_PROGRESS);
    payload.kind = CONDUIT_KIND_VIDEO;
    payload.status = CONDUIT_PROCESSING;
    payload.progress = 50;
    payload.message = text_of("Rendering frames");
    payload.eta = 30;
    payload.metadata.len = 0;

    is_payload(&payload, PROGRESS ",\"progress_percentage\":50,"
               "\"message\":\"Rendering frames\","
               "\"estimated_seconds_remaining\":30,"
               "\"type\":\"video.generation.progress\"," TAIL "}",
               "the guide's progress");

    payload.progress = 100;
    payload.message.len = 0;
    payload.eta = -1;
    payload.metadata = text_of("{\"a\":1e300}");

    is_payload(&payload, PROGRESS ",\"metadata\":{\"a\":1e300},"
               "\"progress_percentage\":99,"
               "\"type\":\"video.generation.progress\"," TAIL "}",
               "nothing but a number, and never 100");

    payload.progress = 0;
    payload.eta = 0;
    payload.metadata.len = 0;

    is_payload(&payload, PROGRESS ",\"progress_percentage\":0,"
               "\"estimated_seconds_remaining\":0,"
               "\"type\":\"video.generation.progress\"," TAIL "}",
               "zeros are told");
}


static void
test_started(void)
{
    conduit_payload_t  payload;

    payload = base(CONDUIT_HOOK_STARTED);
    payload.status = CONDUIT_PROCESSING;

    is_payload(&payload, HEAD "\"status\":\"processing\","
               "\"webhook_type\":\"image_generation_started\"," STAMP META
               ",\"type\":\"image.generation.started\"," TAIL "}", "started");
}


static void
test_event(void)
{
    conduit_payload_t  payload;

    payload = base(0);

    is_payload(&payload,
               "{\"task_id\":\"00000000-0000-0000-0000-000000000000\","
               "\"status\":\"test\",\"webhook_type\":\"webhook_test\"," STAMP
               META ",\"type\":\"webhook.test\","
               "\"event_id\":\"whe_0123456789abcdefghijkl\",\"sequence\":0}",
               "a test event");

    payload.metadata.len = 0;

    is_payload(&payload,
               "{\"task_id\":\"00000000-0000-0000-0000-000000000000\","
               "\"status\":\"test\",\"webhook_type\":\"webhook_test\"," STAMP
               ",\"type\":\"webhook.test\","
               "\"event_id\":\"whe_0123456789abcdefghijkl\",\"sequence\":0}",
               "without metadata");
}


/* the longest of everything that is fixed, in a buffer of just the size */

static void
test_size(void)
{
    int                       code;
    size_t                    size, most, n;
    u_char                   *buf;
    conduit_payload_t         payload;
    conduit_payload_result_t  result;

    memset(&result, 0, sizeof(result));

    payload = base(CONDUIT_HOOK_COMPLETED);
    payload.status = CONDUIT_COMPLETED;
    payload.sequence = UINT64_MAX;
    payload.duration = INT64_MAX;
    payload.results = &result;
    payload.nresults = 1;
    result.url = text_of("\001");
    result.expires = 253402300799999;
    payload.timestamp = 253402300799999;
    payload.error.len = 0;
    payload.message.len = 0;

    size = conduit_payload_size(&payload);
    buf = malloc(size);

    if (buf) {
        n = (size_t) (conduit_payload_write(buf, &payload) - buf);
        ok(n <= size, "completed: %zu of %zu", n, size);
        free(buf);
    }

    most = 0;

    for (code = 0; code < CONDUIT_ERR_N; code++) {
        payload.event = CONDUIT_HOOK_CANCELLED;
        payload.status = CONDUIT_CANCELLED;
        payload.error_code = (conduit_error_code_e) code;

        size = conduit_payload_size(&payload);
        buf = malloc(size);

        if (buf) {
            n = (size_t) (conduit_payload_write(buf, &payload) - buf);
            most = (n > most) ? n : most;
            ok(n <= size, "error %d: %zu of %zu", code, n, size);
            free(buf);
        }
    }

    ok(most > 0, "the longest has %zu", most);

    payload.event = CONDUIT_HOOK_PROGRESS;
    payload.eta = INT64_MAX;
    size = conduit_payload_size(&payload);
    buf = malloc(size);

    if (buf) {
        n = (size_t) (conduit_payload_write(buf, &payload) - buf);
        ok(n <= size, "progress: %zu of %zu", n, size);
        free(buf);
    }
}
