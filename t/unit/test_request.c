
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>
#include <stdlib.h>

#include "conduit_request.h"
#include "tap.h"


#define BODY_MAX  80000

/* the members that every good body has, and a tail of the test's own */

#define BASE  "{\"prompt\":\"a cat\",\"model\":\"m\""


static int run(const char *body, size_t len);
static int run_str(const char *body);
static void good(const char *body);
static void bad(const char *body, const char *param, const char *code);
static void test_minimal(void);
static void test_all(void);
static void test_prompt(void);
static void test_ranges(void);
static void test_types(void);
static void test_null(void);
static void test_document(void);
static void test_metadata(void);
static void test_webhook(void);
static void test_headers(void);
static void test_header_limits(void);
static void test_events(void);
static void test_json_faults(void);
static void test_messages(void);


static conduit_addr_policy_t  policy = { .plain = 1 };
static conduit_request_t      req;
static conduit_fault_t        fault;
static u_char                *buf, *body_copy;
static char                   text[BODY_MAX];


int
main(void)
{
    test_minimal();
    test_all();
    test_prompt();
    test_ranges();
    test_types();
    test_null();
    test_document();
    test_metadata();
    test_webhook();
    test_headers();
    test_header_limits();
    test_events();
    test_json_faults();
    test_messages();

    free(buf);
    free(body_copy);

    return done_testing();
}


/* body and buffer have exactly their size, so that overruns are seen */

static int
run(const char *body, size_t len)
{
    free(buf);
    free(body_copy);

    buf = malloc(conduit_request_buffer(len));
    body_copy = malloc(len ? len : 1);

    if (buf == NULL || body_copy == NULL) {
        exit(1);
    }

    memcpy(body_copy, body, len);
    memset(&fault, 0, sizeof(fault));

    return conduit_request_parse(&req, CONDUIT_KIND_IMAGE, buf, body_copy, len,
                                 &policy, &fault);
}


static int
run_str(const char *body)
{
    return run(body, strlen(body));
}


static void
good(const char *body)
{
    is_num(run_str(body), CONDUIT_OK, "taken: %.60s", body);
}


static void
bad(const char *body, const char *param, const char *code)
{
    is_num(run_str(body), CONDUIT_DECLINED, "refused: %.60s", body);
    is_mem(fault.param, fault.param_len, param, strlen(param), "its param");
    is_str(fault.code ? fault.code : "(null)", code, "its code");
}


static void
test_minimal(void)
{
    good(BASE "}");

    is_mem(req.prompt.data, req.prompt.len, "a cat", 5, "prompt");
    is_mem(req.prompt_json.data, req.prompt_json.len, "\"a cat\"", 7,
           "prompt as JSON");
    is_mem(req.model.data, req.model.len, "m", 1, "model");
    is_num(req.n, 1, "n is 1");
    is_num(req.size.len, 0, "no size");
    is_num(req.metadata.len, 0, "no metadata");
    is_num(req.webhook.len, 0, "no webhook");
    is_num(req.webhook_events, 0, "no events");
    ok(!req.has_seed && !req.has_metadata, "no seed");
    is_num(req.timeout_seconds, 0, "no timeout");
    is_mem(req.document.data, req.document.len, BASE "}", strlen(BASE "}"),
           "the document");
}


static void
test_all(void)
{
    good("{\"model\":\"m\",\"prompt\":\"p\",\"n\":10,\"size\":\"8192x1\","
         "\"quality\":\"hd\",\"style\":\"vivid\",\"user\":\"u\","
         "\"response_format\":\"b64_json\",\"duration\":60,\"fps\":120,"
         "\"seed\":-9223372036854775808,\"image\":\"x\","
         "\"timeout_seconds\":3600,\"unknown\":{\"deep\":[1]}}");

    is_num(req.n, 10, "n");
    is_mem(req.size.data, req.size.len, "8192x1", 6, "size");
    is_num(req.width, 8192, "width");
    is_num(req.height, 1, "height");
    is_num(req.response_format, CONDUIT_FORMAT_B64_JSON, "format");
    is_num(req.duration, 60, "duration");
    is_num(req.fps, 120, "fps");
    ok(req.has_seed && req.seed == INT64_MIN, "seed");
    is_num(req.timeout_seconds, 3600, "timeout");

    good(BASE ",\"size\":\"auto\",\"response_format\":\"url\"}");
    is_mem(req.size.data, req.size.len, "auto", 4, "auto");
    is_num(req.width, 0, "no width");
    is_num(req.response_format, CONDUIT_FORMAT_URL, "url");
}


static void
test_prompt(void)
{
    int     i;
    size_t  n;

    bad("{\"model\":\"m\"}", "prompt", "missing_required_parameter");
    bad("{\"model\":\"m\",\"prompt\":null}", "prompt",
        "missing_required_parameter");
    bad("{\"model\":\"m\",\"prompt\":\"\"}", "prompt", "invalid_parameter");
    bad("{\"model\":\"m\",\"prompt\":1}", "prompt", "invalid_parameter");
    bad("{\"prompt\":\"p\"}", "model", "missing_required_parameter");
    bad("{\"prompt\":\"p\",\"model\":\"\"}", "model", "invalid_parameter");
    bad("{\"prompt\":\"p\",\"model\":[]}", "model", "invalid_parameter");

    /* counted in code points, 2 bytes each */

    n = (size_t) sprintf(text, "{\"model\":\"m\",\"prompt\":\"");

    for (i = 0; i < 32000; i++) {
        memcpy(text + n, "\xc3\xa4", 2);
        n += 2;
    }

    memcpy(text + n, "\"}", 3);
    is_num(run_str(text), CONDUIT_OK, "32000 characters");
    is_num(req.prompt.len, 64000, "in 64000 bytes");

    memcpy(text + n, "a\"}", 4);
    is_num(run_str(text), CONDUIT_DECLINED, "32001 characters");

    good("{\"model\":\"m\\u0041\",\"prompt\":\"a\\n\\ud83d\\ude00\"}");
    is_mem(req.prompt.data, req.prompt.len, "a\n\xf0\x9f\x98\x80", 6,
           "escapes are undone");
    is_mem(req.prompt_json.data, req.prompt_json.len,
           "\"a\\n\\ud83d\\ude00\"", 17, "and kept in the JSON text");
    is_mem(req.model.data, req.model.len, "mA", 2, "in the model too");
}


static void
test_ranges(void)
{
    size_t  i;
    char    body[512];

    static const char  *numbers[][3] = {
        { "n", "1", "10" }, { "duration", "1", "60" }, { "fps", "1", "120" },
        { "timeout_seconds", "1", "3600" }
    };

    static const char  *outside[][2] = {
        { "n", "0" }, { "n", "11" }, { "n", "-1" },
        { "n", "4294967297" }, { "duration", "61" }, { "fps", "121" },
        { "timeout_seconds", "3601" }, { "timeout_seconds", "0" }
    };

    static const char  *sizes[] = {
        "0x1", "1x0", "8193x1", "1x8193", "x", "1x", "x1", "01x1", "1X1",
        "1x1x1", "1 x1", "AUTO", "", "-1x1", "99999999999999999999x1"
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sprintf(body, BASE ",\"%s\":%s}", numbers[i][0], numbers[i][1]);
        good(body);
        sprintf(body, BASE ",\"%s\":%s}", numbers[i][0], numbers[i][2]);
        good(body);
    }

    for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        sprintf(body, BASE ",\"%s\":%s}", outside[i][0], outside[i][1]);
        bad(body, outside[i][0], "invalid_parameter");
    }

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        sprintf(body, BASE ",\"size\":\"%s\"}", sizes[i]);
        bad(body, "size", "invalid_parameter");
    }

    sprintf(body, BASE ",\"user\":\"%0256d\"}", 0);
    good(body);
    sprintf(body, BASE ",\"user\":\"%0257d\"}", 0);
    bad(body, "user", "invalid_parameter");
    sprintf(body, BASE ",\"quality\":\"%0257d\"}", 0);
    bad(body, "quality", "invalid_parameter");
    sprintf(body, BASE ",\"style\":\"%0257d\"}", 0);
    bad(body, "style", "invalid_parameter");
}


static void
test_types(void)
{
    size_t  i;
    char    body[128];

    static const char  *wrong[][2] = {
        { "n", "\"1\"" }, { "n", "1.5" }, { "n", "1.0" }, { "n", "true" },
        { "fps", "[]" }, { "duration", "{}" }, { "timeout_seconds", "\"9\"" },
        { "seed", "1.5" }, { "seed", "\"1\"" }, { "seed", "1e3" },
        { "size", "1024" }, { "quality", "1" }, { "style", "[]" },
        { "user", "true" }, { "image", "{}" }, { "response_format", "1" },
        { "response_format", "\"png\"" }
    };

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        sprintf(body, BASE ",\"%s\":%s}", wrong[i][0], wrong[i][1]);
        bad(body, wrong[i][0], "invalid_parameter");
    }
}


static void
test_null(void)
{
    good(BASE ",\"n\":null,\"size\":null,\"quality\":null,\"style\":null,"
         "\"response_format\":null,\"duration\":null,\"fps\":null,"
         "\"seed\":null,\"user\":null,\"image\":null,\"timeout_seconds\":null,"
         "\"webhook_url\":null,\"webhook_headers\":null,"
         "\"webhook_metadata\":null,\"webhook_events\":null,"
         "\"webhook_events_filter\":null}");

    is_num(req.n, 1, "null is absent");
    ok(!req.has_seed && !req.has_metadata, "everywhere");
    is_num(req.webhook.len, 0, "no webhook");
}


static void
test_document(void)
{
    const char  *doc;

    good(" { \"prompt\" : \"p q\", \"timeout_seconds\": 5,\n"
         "\"webhook_url\":\"http://a.b/\",\"webhook_future\":1,"
         "\"webhook\\u005fmetadata\":{\"x\":1}, \"model\": \"m\" ,"
         " \"big\": 12345678901234567, \"real\":1.10, \"tiny\":1e-400,"
         "\"timeout\\u005fseconds2\":1, \"neg\": -0 } ");

    doc = "{\"prompt\":\"p q\",\"model\":\"m\",\"big\":12345678901234567,"
          "\"real\":1.10,\"tiny\":1e-400,\"timeout\\u005fseconds2\":1,"
          "\"neg\":-0}";

    is_mem(req.document.data, req.document.len, doc, strlen(doc),
           "members for the provider, digit for digit");
    is_mem(req.metadata.data, req.metadata.len, "{\"x\":1}", 7,
           "a name with escapes is the same name");
    is_num(req.timeout_seconds, 5, "timeout_seconds is taken out");
}


static void
test_metadata(void)
{
    size_t       n;
    const char  *meta;

    good(BASE ",\"webhook_metadata\": { \"a\" : 1.0, \"b\": [ -0 , 1e5 ],"
         "\"\\u00e4\" : \" x \" } }");

    meta = "{\"a\":1.0,\"b\":[-0,1e5],\"\\u00e4\":\" x \"}";
    is_mem(req.metadata.data, req.metadata.len, meta, strlen(meta),
           "echoed as sent");
    ok(req.has_metadata, "metadata is there");

    good(BASE ",\"webhook_metadata\":{}}");
    is_mem(req.metadata.data, req.metadata.len, "{}", 2, "an empty object");

    bad(BASE ",\"webhook_metadata\":[]}", "webhook_metadata",
        "invalid_parameter");
    bad(BASE ",\"webhook_metadata\":\"x\"}", "webhook_metadata",
        "invalid_parameter");

    n = (size_t) sprintf(text, BASE ",\"webhook_metadata\": {   \"k\" : \"");
    memset(text + n, 'x', 16384 - 8);
    memcpy(text + n + 16384 - 8, "\" } }", 6);
    is_num(run_str(text), CONDUIT_OK, "16384 compact bytes");
    is_num(req.metadata.len, 16384, "counted without blanks");

    memcpy(text + n + 16384 - 8, "x\" } }", 7);
    bad(text, "webhook_metadata", "invalid_parameter");
}


static void
test_webhook(void)
{
    const char  *hook;

    good(BASE ",\"webhook_url\":\"HTTPS://Example.com/h?a=\\\"\","
         "\"webhook_headers\":{ \"X-A\" : \"b c\" },"
         "\"webhook_events\":[\"failed\",\"completed\",\"failed\"]}");

    hook = "{\"url\":\"https://example.com/h?a=\\\"\","
           "\"headers\":{\"X-A\":\"b c\"},"
           "\"events\":[\"completed\",\"failed\"]}";
    is_mem(req.webhook.data, req.webhook.len, hook, strlen(hook), "settings");
    is_mem(req.webhook_url.data, req.webhook_url.len,
           "https://example.com/h?a=\"", 25, "the URL");
    is_num(req.webhook_events, CONDUIT_HOOK_COMPLETED|CONDUIT_HOOK_FAILED,
           "events");

    good(BASE ",\"webhook_url\":\"https://example.com\"}");
    hook = "{\"url\":\"https://example.com/\",\"headers\":{},\"events\":"
           "[\"progress\",\"completed\",\"failed\",\"cancelled\"]}";
    is_mem(req.webhook.data, req.webhook.len, hook, strlen(hook), "defaults");

    bad(BASE ",\"webhook_url\":1}", "webhook_url", "invalid_webhook_url");
    bad(BASE ",\"webhook_url\":\"\"}", "webhook_url", "invalid_webhook_url");
    bad(BASE ",\"webhook_url\":\"http://127.0.0.1/\"}", "webhook_url",
        "invalid_webhook_url");

    good(BASE ",\"webhook_url\":\"http://example.com/\"}");
    policy.plain = 0;
    bad(BASE ",\"webhook_url\":\"http://example.com/\"}", "webhook_url",
        "invalid_webhook_url");
    policy.plain = 1;
}


static void
test_headers(void)
{
    bad(BASE ",\"webhook_headers\":[]}", "webhook_headers",
        "invalid_webhook_header");
    bad(BASE ",\"webhook_headers\":{\"X-A\":1}}", "webhook_headers.X-A",
        "invalid_webhook_header");
    bad(BASE ",\"webhook_headers\":{\"X-A\":null}}", "webhook_headers.X-A",
        "invalid_webhook_header");
    bad(BASE ",\"webhook_headers\":{\"Host\":\"x\"}}", "webhook_headers.Host",
        "invalid_webhook_header");
    bad(BASE ",\"webhook_headers\":{\"X-A\":\"a\\r\\nb\"}}",
        "webhook_headers.X-A", "invalid_webhook_header");
    bad(BASE ",\"webhook_headers\":{\"\":\"a\"}}", "webhook_headers.",
        "invalid_webhook_header");
    bad(BASE ",\"webhook_headers\":{\"X-A\":\"1\",\"x-a\":\"2\"}}",
        "webhook_headers.X-A", "invalid_webhook_header");

    good(BASE ",\"webhook_headers\":{\"X-A\":\"\",\"X-AB\":\"1\"}}");
    is_num(req.webhook.len, 0, "headers without a URL are checked and dropped");
}


static void
test_header_limits(void)
{
    int     i;
    size_t  n;

    n = (size_t) sprintf(text, BASE ",\"webhook_headers\":{");

    for (i = 0; i < 16; i++) {
        n += (size_t) snprintf(text + n, BODY_MAX - n,
                               "\"X-%02d\":\"%0508d\",", i, 0);
    }

    memcpy(text + n - 1, "}}", 3);
    is_num(run_str(text), CONDUIT_OK, "16 headers of 512 bytes each");

    n += (size_t) snprintf(text + n - 1, BODY_MAX - n, ",\"X-16\":\"\"}}") - 1;
    bad(text, "webhook_headers", "invalid_webhook_header");

    n = (size_t) sprintf(text, BASE ",\"webhook_headers\":{");

    for (i = 0; i < 8; i++) {
        n += (size_t) snprintf(text + n, BODY_MAX - n,
                               "\"Y%d\":\"%01022d\",", i, 0);
    }

    snprintf(text + n - 1, BODY_MAX - n, ",\"Z\":\"\"}}");
    bad(text, "webhook_headers", "invalid_webhook_header");

    snprintf(text + n - 1, BODY_MAX - n, "}}");
    is_num(run_str(text), CONDUIT_OK, "8192 bytes in all");
}


static void
test_events(void)
{
    good(BASE ",\"webhook_url\":\"https://a.b/\",\"webhook_events_filter\":"
         "[\"started\"]}");
    is_num(req.webhook_events, CONDUIT_HOOK_STARTED, "the alias");

    bad(BASE ",\"webhook_events\":[]}", "webhook_events", "invalid_parameter");
    bad(BASE ",\"webhook_events\":\"completed\"}", "webhook_events",
        "invalid_parameter");
    bad(BASE ",\"webhook_events\":[\"completed\",\"done\"]}", "webhook_events",
        "invalid_parameter");
    bad(BASE ",\"webhook_events\":[1]}", "webhook_events",
        "invalid_parameter");
    bad(BASE ",\"webhook_events\":[\"failed\"],"
        "\"webhook_events_filter\":[\"failed\"]}", "webhook_events_filter",
        "invalid_parameter");
}


static void
test_json_faults(void)
{
    const char  *expected;

    bad("", "", "invalid_json");
    bad("[]", "", "invalid_json");
    bad("\"x\"", "", "invalid_json");
    bad("{", "", "invalid_json");
    bad(BASE "} x", "", "invalid_json");
    bad(BASE ",\"prompt\":\"b\"}", "", "invalid_json");
    bad(BASE ",\"x\":1e999}", "", "invalid_json");
    bad(BASE ",\"x\":\"\\ud800\"}", "", "invalid_json");

    is_num(run(BASE "}\0", strlen(BASE "}") + 1), CONDUIT_DECLINED,
           "a NUL behind the document");

    run_str("{\"a\":1,\"a\":2}");
    is_num(fault.status, 400, "status 400");

    expected = "The request body is not valid JSON: an object has the same"
               " member twice (at byte 10).";
    is_mem(fault.message, fault.message_len, expected, strlen(expected),
           "the message says what is wrong");
}


static void
test_messages(void)
{
    size_t  i, n;

    bad(BASE ",\"n\":11}", "n", "invalid_parameter");
    is_mem(fault.message, fault.message_len,
           "'n' must be an integer from 1 to 10.", 36, "a sentence");

    /* a header's name may be of any length and of any letters */

    n = (size_t) sprintf(text, BASE ",\"webhook_headers\":{\"");

    for (i = 0; i < 5000; i++) {
        memcpy(text + n, "\xe2\x82\xac", 3);
        n += 3;
    }

    sprintf(text + n, "\":\"x\"}}");

    is_num(run_str(text), CONDUIT_DECLINED, "a long name is refused");
    ok(fault.param_len <= sizeof(fault.param), "the param is cut");
    is_num(fault.param_len, 16 + 26 * 3, "between characters");
    ok(fault.message_len <= sizeof(fault.message), "the message too");
    is_num(conduit_json_escape(NULL, fault.message, fault.message_len),
           fault.message_len, "it is good UTF-8");
}
