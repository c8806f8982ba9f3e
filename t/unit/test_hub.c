
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_hub.h"
#include "tap.h"


#define ID  "\"550e8400-e29b-41d4-a716-446655440000\""

#define HEAD(type, status, progress)                                          \
    "{\"task_id\":" ID ",\"object\":\"task\",\"type\":\"" type "\","          \
    "\"status\":\"" status "\",\"progress\":" progress ",\"message\":"

#define TIMES                                                                 \
    ",\"queue_position\":null,\"model\":\"m\\u00e9\","                        \
    "\"created_at\":\"2027-01-01T00:00:00.000Z\",\"sequence\":7,\"result\":"


static void test_call(const char *target, const char *arguments,
    conduit_hub_call_t *call, int rc);
static void test_methods(void);
static void test_refused(void);
static void test_streams(void);
static void test_due(void);
static const char *test_event(conduit_hub_e hub, conduit_hub_dialect_e dialect,
    unsigned hook, const char *text);
static void test_progress(void);
static void test_completed(void);
static void test_failed(void);
static void test_started(void);
static void test_typed(void);
static void test_documents(void);


static const char  running[] =
    HEAD("image", "processing", "50") "\"Half \\\"done\\\"\","
    "\"estimated_seconds_remaining\":30" TIMES "null,\"error\":null,"
    "\"error_code\":null,\"metadata\":{\"n\":1.0},\"webhook\":null}";

static const char  image[] =
    HEAD("image", "completed", "100") "null,"
    "\"estimated_seconds_remaining\":null" TIMES "{\"created\":1800000000,"
    "\"data\":[{\"url\":\"https://h/1.png\"},{\"b64_json\":\"eA==\"}],"
    "\"model\":\"m\"},\"image_url\":\"https://h/1.png\",\"image_urls\":"
    "[\"https://h/1.png\"],\"generation_duration_seconds\":1.250,"
    "\"error\":null,\"error_code\":null,\"metadata\":{},\"webhook\":null}";

static const char  video[] =
    HEAD("video", "completed", "100") "null,"
    "\"estimated_seconds_remaining\":null" TIMES "{\"created\":1800000000,"
    "\"data\":[{\"url\":\"https://h/1.mp4\"}],\"model\":\"m\"},"
    "\"video_url\":\"https://h/1.mp4\","
    "\"generation_duration_seconds\":61.000,\"error\":null,"
    "\"error_code\":null,\"metadata\":{\"a\":[1,2]},\"webhook\":null}";

static const char  failed[] =
    HEAD("video", "failed", "10") "null,"
    "\"estimated_seconds_remaining\":null" TIMES "null,"
    "\"error\":\"No \\\"answer\\\"\",\"error_code\":\"timeout\","
    "\"metadata\":{},\"webhook\":null}";

static const char  refused[] =
    HEAD("image", "failed", "10") "null,"
    "\"estimated_seconds_remaining\":null" TIMES "null,"
    "\"error\":null,\"error_code\":\"content_policy_violation\","
    "\"metadata\":{},\"webhook\":null}";

static const char  cancelled[] =
    HEAD("image", "cancelled", "10") "null,"
    "\"estimated_seconds_remaining\":null" TIMES "null,"
    "\"error\":\"gone\",\"error_code\":\"cancelled\",\"metadata\":{},"
    "\"webhook\":null}";


static void
test_call(const char *target, const char *arguments, conduit_hub_call_t *call,
    int rc)
{
    conduit_signalr_message_t  msg;

    memset(&msg, 0, sizeof(msg));

    msg.type = CONDUIT_SIGNALR_INVOCATION;
    msg.target.data = (u_char *) target;
    msg.target.len = strlen(target);
    msg.root = json_loads(arguments, 0, NULL);
    msg.arguments = msg.root;

    is_num(conduit_hub_call(call, &msg), rc, "%s %s", target, arguments);

    if (rc == CONDUIT_OK && call->task.len) {

        /* outlives the message in the member that is not in use */

        memcpy(call->error, call->task.data, call->task.len);
        call->task.data = call->error;
    }

    conduit_signalr_free(&msg);
}


static void
test_methods(void)
{
    conduit_hub_call_t  call;

    test_call("SubscribeToTask", "[\"x\"]", &call, CONDUIT_OK);
    is_num(call.method, CONDUIT_HUB_SUBSCRIBE, "method");
    is_mem(call.task.data, call.task.len, "x", 1, "task");
    is_num(call.events, CONDUIT_HUB_ALL, "all events");

    test_call("subscribetotask", "[\"y\",[\"completed\",\"failed\"]]", &call,
              CONDUIT_OK);
    is_num(call.method, CONDUIT_HUB_SUBSCRIBE, "method without case");
    is_num(call.events, CONDUIT_HOOK_COMPLETED|CONDUIT_HOOK_FAILED,
           "two events");

    test_call("SubscribeToTask", "[\"y\",null]", &call, CONDUIT_OK);
    is_num(call.events, CONDUIT_HUB_ALL, "null is all events");

    test_call("SubscribeToTask", "[\"y\",[\"started\",\"progress\","
              "\"cancelled\",\"started\"]]", &call, CONDUIT_OK);
    is_num(call.events, CONDUIT_HOOK_STARTED|CONDUIT_HOOK_PROGRESS
                        |CONDUIT_HOOK_CANCELLED, "one of them twice");

    test_call("UnsubscribeFromTask", "[\"x\"]", &call, CONDUIT_OK);
    is_num(call.method, CONDUIT_HUB_UNSUBSCRIBE, "method");

    test_call("SubscribeToAllTasks", "[]", &call, CONDUIT_OK);
    is_num(call.method, CONDUIT_HUB_SUBSCRIBE_ALL, "method");
    is_num(call.task.len, 0, "no task");

    test_call("SubscribeToAllTasks", "[[\"failed\"]]", &call, CONDUIT_OK);
    is_num(call.events, CONDUIT_HOOK_FAILED, "one event");

    test_call("UnsubscribeFromAllTasks", "[]", &call, CONDUIT_OK);
    is_num(call.method, CONDUIT_HUB_UNSUBSCRIBE_ALL, "method");

    test_call("GetTask", "[\"\"]", &call, CONDUIT_OK);
    is_num(call.method, CONDUIT_HUB_GET, "method");

    test_call("CancelTask", "[\"x\"]", &call, CONDUIT_OK);
    is_num(call.method, CONDUIT_HUB_CANCEL, "method");
}


static void
test_refused(void)
{
    size_t               i;
    char                 name[300];
    conduit_hub_call_t   call;

    static const struct {
        const char  *target, *arguments;
    } cases[] = {
        { "SubscribeToTask", "[]" },
        { "SubscribeToTask", "[1]" },
        { "SubscribeToTask", "[null]" },
        { "SubscribeToTask", "[\"x\",\"completed\"]" },
        { "SubscribeToTask", "[\"x\",[]]" },
        { "SubscribeToTask", "[\"x\",[\"done\"]]" },
        { "SubscribeToTask", "[\"x\",[\"Completed\"]]" },
        { "SubscribeToTask", "[\"x\",[\"completed\",1]]" },
        { "SubscribeToTask", "[\"x\",{}]" },
        { "SubscribeToTask", "[\"x\",[\"completed\"],1]" },
        { "UnsubscribeFromTask", "[]" },
        { "UnsubscribeFromTask", "[\"x\",null]" },
        { "SubscribeToAllTasks", "[\"x\"]" },
        { "SubscribeToAllTasks", "[null,null]" },
        { "UnsubscribeFromAllTasks", "[1]" },
        { "GetTask", "[]" },
        { "GetTask", "[[]]" },
        { "CancelTask", "[\"x\",\"y\"]" },
        { "CancelTask", "[true]" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_call(cases[i].target, cases[i].arguments, &call,
                  CONDUIT_DECLINED);
        ok(call.error_len > strlen(cases[i].target)
           && memcmp(call.error, cases[i].target, strlen(cases[i].target))
              == 0, "the error names the method");
        ok(call.error_len < CONDUIT_HUB_ERROR_LEN - 1, "and is whole");
    }

    test_call("GetTask", "[]", &call, CONDUIT_DECLINED);
    is_mem(call.error, call.error_len,
           "GetTask takes a task id, but 0 argument(s) were given.", 54,
           "the text");

    test_call("TaskCompleted", "[\"x\",{}]", &call, CONDUIT_DECLINED);
    is_mem(call.error, call.error_len, "Unknown hub method 'TaskCompleted'",
           34, "events are not methods");

    test_call("", "[]", &call, CONDUIT_DECLINED);
    is_mem(call.error, call.error_len, "Unknown hub method ''", 21,
           "no name");

    memset(name, 'a', sizeof(name));
    memcpy(name + 63, "\xc3\xa4", 2);
    name[sizeof(name) - 1] = '\0';

    test_call(name, "[]", &call, CONDUIT_DECLINED);
    is_num(call.error_len, 21 + 63, "a long name is cut between characters");
}


static void
test_streams(void)
{
    conduit_hub_call_t         call;
    conduit_signalr_message_t  msg;

    memset(&msg, 0, sizeof(msg));

    msg.type = CONDUIT_SIGNALR_STREAM;
    msg.target.data = (u_char *) "gettask";
    msg.target.len = 7;
    msg.arguments = json_array();

    is_num(conduit_hub_call(&call, &msg), CONDUIT_DECLINED,
           "stream invocation");
    call.error[call.error_len] = '\0';
    is_str((char *) call.error, "The client attempted to invoke the "
           "non-streaming 'GetTask' method with a streaming invocation.",
           "its error");

    msg.type = CONDUIT_SIGNALR_INVOCATION;
    msg.streams = 1;

    is_num(conduit_hub_call(&call, &msg), CONDUIT_DECLINED,
           "invocation with a stream");
    call.error[call.error_len] = '\0';
    is_str((char *) call.error, "Failed to invoke 'GetTask' due to an error "
           "on the server. HubException: Client sent 1 stream(s), Hub method "
           "expects 0.", "its error");

    json_decref(msg.arguments);
}


static void
test_due(void)
{
    unsigned  told;

    told = 0;
    is_num(conduit_hub_due(&told, CONDUIT_PENDING), 0, "pending");
    is_num(conduit_hub_due(&told, CONDUIT_PROCESSING),
           CONDUIT_HOOK_STARTED|CONDUIT_HOOK_PROGRESS, "first progress");
    is_num(conduit_hub_due(&told, CONDUIT_PROCESSING), CONDUIT_HOOK_PROGRESS,
           "more progress");
    is_num(conduit_hub_due(&told, CONDUIT_PENDING), 0, "queued again");
    is_num(conduit_hub_due(&told, CONDUIT_PROCESSING), CONDUIT_HOOK_PROGRESS,
           "started is told once");
    is_num(conduit_hub_due(&told, CONDUIT_FAILED), CONDUIT_HOOK_FAILED, "end");
    is_num(conduit_hub_due(&told, CONDUIT_PENDING), 0, "a new run");
    is_num(conduit_hub_due(&told, CONDUIT_PROCESSING),
           CONDUIT_HOOK_STARTED|CONDUIT_HOOK_PROGRESS, "starts anew");
    is_num(conduit_hub_due(&told, CONDUIT_COMPLETED), CONDUIT_HOOK_COMPLETED,
           "and ends anew");

    told = 0;
    is_num(conduit_hub_due(&told, CONDUIT_FAILED), CONDUIT_HOOK_FAILED,
           "a run that was seen at its end only");
    is_num(conduit_hub_due(&told, CONDUIT_FAILED), CONDUIT_HOOK_FAILED,
           "another one");
    is_num(conduit_hub_due(&told, CONDUIT_COMPLETED), CONDUIT_HOOK_COMPLETED,
           "and a third");

    told = 0;
    is_num(conduit_hub_due(&told, CONDUIT_CANCELLED), CONDUIT_HOOK_CANCELLED,
           "subscribed after the end");
}


/* "Name[...]"; the text lives until the next call */

static const char *
test_event(conduit_hub_e hub, conduit_hub_dialect_e dialect, unsigned hook,
    const char *text)
{
    size_t                   n;
    const conduit_str_t     *target;
    conduit_str_t            s;
    conduit_hub_document_t   doc;

    static char  said[2048];

    s.data = (u_char *) text;
    s.len = strlen(text);

    if (conduit_hub_document(&doc, &s, CONDUIT_HUB_ALL) != CONDUIT_OK) {
        return "bad document";
    }

    target = conduit_hub_target(hub, dialect, doc.kind, hook);
    if (target == NULL) {
        return "none";
    }

    memcpy(said, target->data, target->len);
    n = conduit_hub_arguments(NULL, hub, dialect, hook, &doc);

    if (conduit_hub_arguments((u_char *) said + target->len, hub, dialect,
                              hook, &doc)
        != n)
    {
        return "another length";
    }

    said[target->len + n] = '\0';

    return said;
}


static void
test_progress(void)
{
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_PROGRESS, running),
           "TaskProgress[" ID ",50]", "two arguments");
    is_str(test_event(CONDUIT_HUB_TASKS, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_PROGRESS, running),
           "TaskProgress[" ID ",50,\"Half \\\"done\\\"\"]",
           "three arguments on the hub of all tasks");
}


static void
test_completed(void)
{
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_COMPLETED, image),
           "TaskCompleted[" ID ",{\"taskId\":" ID ",\"status\":\"completed\","
           "\"imageUrl\":\"https://h/1.png\",\"imageUrls\":"
           "[\"https://h/1.png\"],\"created\":1800000000,\"data\":"
           "[{\"url\":\"https://h/1.png\"},{\"b64_json\":\"eA==\"}],"
           "\"model\":\"m\\u00e9\",\"durationSeconds\":1.250,"
           "\"metadata\":{}}]", "image");
    is_str(test_event(CONDUIT_HUB_VIDEO, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_COMPLETED, video),
           "TaskCompleted[" ID ",{\"taskId\":" ID ",\"status\":\"completed\","
           "\"videoUrl\":\"https://h/1.mp4\",\"created\":1800000000,"
           "\"data\":[{\"url\":\"https://h/1.mp4\"}],\"model\":\"m\\u00e9\","
           "\"durationSeconds\":61.000,\"metadata\":{\"a\":[1,2]}}]",
           "video");
}


static void
test_failed(void)
{
    is_str(test_event(CONDUIT_HUB_VIDEO, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_FAILED, failed),
           "TaskFailed[" ID ",\"No \\\"answer\\\"\"]", "failed");
    is_str(test_event(CONDUIT_HUB_TASKS, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_FAILED, failed),
           "TaskFailed[" ID ",\"No \\\"answer\\\"\",true]",
           "a timeout can be tried again");
    is_str(test_event(CONDUIT_HUB_TASKS, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_FAILED, refused),
           "TaskFailed[" ID ",\"Task failed\",false]",
           "no error text, and no retry");
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_CANCELLED, cancelled),
           "TaskFailed[" ID ",\"Task was cancelled\"]", "cancelled");
    is_str(test_event(CONDUIT_HUB_TASKS, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_CANCELLED, cancelled),
           "TaskCancelled[" ID ",\"Task was cancelled\"]",
           "cancelled on the hub of all tasks");
}


static void
test_started(void)
{
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_STARTED, running), "none",
           "not an event of the guide");
    is_str(test_event(CONDUIT_HUB_TASKS, CONDUIT_HUB_TASK,
                      CONDUIT_HOOK_STARTED, running),
           "TaskStarted[" ID ",\"image_generation\",{\"n\":1.0}]",
           "started, numbers digit for digit");
}


static void
test_typed(void)
{
    is_str(test_event(CONDUIT_HUB_TASKS, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_PROGRESS, running), "none",
           "no typed events on the hub of all tasks");
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_STARTED, running),
           "ImageGenerationStarted[" ID ",null,\"m\\u00e9\"]",
           "image started");
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_PROGRESS, running),
           "ImageGenerationProgress[" ID ",50,\"Half \\\"done\\\"\"]",
           "image progress");
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_COMPLETED, image),
           "ImageGenerationCompleted[" ID ",\"https://h/1.png\",{}]",
           "image completed");
    is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_CANCELLED, cancelled),
           "ImageGenerationFailed[" ID ",\"Task was cancelled\",false]",
           "image cancelled");
    is_str(test_event(CONDUIT_HUB_VIDEO, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_COMPLETED, video),
           "VideoGenerationCompleted[" ID ",\"https://h/1.mp4\",null,"
           "{\"a\":[1,2]}]", "video completed");
    is_str(test_event(CONDUIT_HUB_VIDEO, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_FAILED, failed),
           "VideoGenerationFailed[" ID ",\"No \\\"answer\\\"\",true]",
           "video failed");
    is_str(test_event(CONDUIT_HUB_VIDEO, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_PROGRESS,
                      HEAD("video", "processing", "7") "null}"),
           "VideoGenerationProgress[" ID ",7,null,null,null]",
           "video progress");
    is_str(test_event(CONDUIT_HUB_VIDEO, CONDUIT_HUB_TYPED,
                      CONDUIT_HOOK_STARTED,
                      HEAD("video", "processing", "0") "null,"
                      "\"estimated_seconds_remaining\":30,"
                      "\"prompt\":\"a cat\"}"),
           "VideoGenerationStarted[" ID ",\"a cat\",30]", "video started");
}


static void
test_documents(void)
{
    size_t  i;

    static const char  *bad[] = {
        "{}", "[]", "{\"task_id\":" ID ",\"type\":\"image\"}",
        "{\"task_id\":" ID ",\"status\":\"pending\"}",
        "{\"type\":\"image\",\"status\":\"pending\"}",
        "{\"task_id\":" ID ",\"type\":\"audio\",\"status\":\"pending\"}",
        "{\"task_id\":" ID ",\"type\":\"image\",\"status\":\"Running\"}",
        "{\"task_id\":" ID ",\"type\":1,\"status\":\"pending\"}",
        "{\"task_id\":" ID ",\"type\":\"image\",\"status\":2}"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_str(test_event(CONDUIT_HUB_IMAGE, CONDUIT_HUB_TASK,
                          CONDUIT_HOOK_PROGRESS, bad[i]), "bad document",
               "%s", bad[i]);
    }
}


int
main(void)
{
    test_methods();
    test_refused();
    test_streams();
    test_due();
    test_progress();
    test_completed();
    test_failed();
    test_started();
    test_typed();
    test_documents();

    return done_testing();
}
