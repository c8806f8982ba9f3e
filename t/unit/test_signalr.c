
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_signalr.h"
#include "tap.h"


#define RS  "\x1e"


typedef struct {
    const char  *text;
    int          rc;
} test_case_t;


static conduit_str_t test_str(const char *text);
static int test_parse(conduit_signalr_message_t *msg, const char *text);
static int test_reply(u_char *dst, const char *text, unsigned binary);
static void test_framing(void);
static void test_limits(void);
static void test_binary_framing(void);
static void test_handshake(void);
static void test_early(void);
static void test_messages(void);
static void test_refused(void);
static void test_depth(void);
static void test_writer(void);


static conduit_str_t
test_str(const char *text)
{
    conduit_str_t  s;

    s.data = (u_char *) text;
    s.len = strlen(text);

    return s;
}


static int
test_parse(conduit_signalr_message_t *msg, const char *text)
{
    conduit_str_t  record;

    record = test_str(text);

    return conduit_signalr_parse(msg, CONDUIT_SIGNALR_JSON, &record);
}


/* the messages come out alike wherever the stream is cut */

static void
test_framing(void)
{
    size_t                    step, fill, len, n;
    char                      said[128];
    u_char                    buf[64], *pos;
    conduit_str_t             record;
    conduit_signalr_reader_t  in;

    static const char  stream[] = "{}" RS "{\"type\":6}" RS RS "abc" RS "de";

    len = sizeof(stream) - 1;

    for (step = 1; step <= len; step++) {
        conduit_signalr_init(&in, 32, 0);
        said[0] = '\0';
        fill = 0;

        for (n = 0; n < len; n += step) {

            memcpy(buf + fill, stream + n, (len - n < step) ? len - n : step);
            fill += (len - n < step) ? len - n : step;
            pos = buf;

            while (conduit_signalr_next(&in, &pos, buf + fill, &record)
                   == CONDUIT_OK)
            {
                sprintf(said + strlen(said), "<%.*s>", (int) record.len,
                        record.data);
            }

            fill -= pos - buf;
            memmove(buf, pos, fill);
        }

        is_str(said, "<{}><{\"type\":6}><><abc>", "messages by %zu", step);
        is_mem(buf, fill, "de", 2, "what is left by %zu", step);
    }

    pos = NULL;
    is_num(conduit_signalr_next(&in, &pos, NULL, &record), CONDUIT_AGAIN,
           "nothing to read");
}


static void
test_limits(void)
{
    u_char                    buf[64], *pos;
    conduit_str_t             record;
    conduit_signalr_reader_t  in;

    memset(buf, 'a', sizeof(buf));
    buf[8] = 0x1e;
    pos = buf;

    conduit_signalr_init(&in, 8, 0);
    is_num(conduit_signalr_next(&in, &pos, buf + 8, &record), CONDUIT_AGAIN,
           "as long as may be, without its end");
    is_num(conduit_signalr_next(&in, &pos, buf + 9, &record), CONDUIT_OK,
           "as long as may be");
    is_num(record.len, 8, "length");

    pos = buf;

    conduit_signalr_init(&in, 7, 0);
    is_num(conduit_signalr_next(&in, &pos, buf + 9, &record), CONDUIT_ERROR,
           "one byte more");

    pos = buf;

    conduit_signalr_init(&in, 7, 0);
    is_num(conduit_signalr_next(&in, &pos, buf + 8, &record), CONDUIT_ERROR,
           "one byte more, without its end");
}


static void
test_binary_framing(void)
{
    u_char                    buf[300], *pos;
    conduit_str_t             record;
    conduit_signalr_reader_t  in;

    conduit_signalr_init(&in, 256, 1);

    memcpy(buf, "\x02\x91\x06\x00\x80\x02", 6);
    memset(buf + 6, 'x', 256);
    pos = buf;

    is_num(conduit_signalr_next(&in, &pos, buf + 1, &record), CONDUIT_AGAIN,
           "only a length");
    is_num(conduit_signalr_next(&in, &pos, buf + 2, &record), CONDUIT_AGAIN,
           "one byte of two");
    is_num(conduit_signalr_next(&in, &pos, buf + 3, &record), CONDUIT_OK,
           "a ping");
    is_mem(record.data, record.len, "\x91\x06", 2, "its body");
    is_num(conduit_signalr_next(&in, &pos, buf + 4, &record), CONDUIT_OK,
           "an empty body");
    is_num(record.len, 0, "of no bytes");
    is_num(conduit_signalr_next(&in, &pos, buf + 5, &record), CONDUIT_AGAIN,
           "half of a length");
    is_num(conduit_signalr_next(&in, &pos, buf + 261, &record), CONDUIT_AGAIN,
           "one byte is missing");
    is_num(conduit_signalr_next(&in, &pos, buf + 262, &record), CONDUIT_OK,
           "256 bytes");
    is_num(record.len, 256, "all of them");

    pos = (u_char *) "\x81\x02";
    is_num(conduit_signalr_next(&in, &pos, pos + 2, &record), CONDUIT_ERROR,
           "a length of 257 is over the limit before any body");

    pos = (u_char *) "\xff\xff\xff\xff\x08";
    is_num(conduit_signalr_next(&in, &pos, pos + 5, &record), CONDUIT_ERROR,
           "a length above 2^31 - 1");

    pos = (u_char *) "\xff\xff\xff\xff\xff";
    is_num(conduit_signalr_next(&in, &pos, pos + 5, &record), CONDUIT_ERROR,
           "a length of six bytes");
}


/* the answer to a handshake is left in dst */

static int
test_reply(u_char *dst, const char *text, unsigned binary)
{
    int                          rc;
    u_char                      *p;
    conduit_str_t                record;
    conduit_signalr_handshake_t  hs;

    record = test_str(text);
    rc = conduit_signalr_handshake(&hs, &record, binary);

    p = conduit_signalr_handshake_reply(dst, hs.error, hs.error_len);
    *p = '\0';

    if (rc == CONDUIT_OK) {
        sprintf((char *) p, "%d v%d", hs.protocol, hs.version);
    }

    return rc;
}


static void
test_handshake(void)
{
    size_t   i;
    u_char   dst[conduit_signalr_handshake_size(CONDUIT_SIGNALR_ERROR_LEN)];

    static const struct {
        const char  *text, *reply;
        int          rc;
    } cases[] = {
        { "{\"protocol\":\"json\",\"version\":1}", "{}" RS "0 v1",
          CONDUIT_OK },
        { " { \"version\" : 0 , \"protocol\" : \"json\" } ", "{}" RS "0 v0",
          CONDUIT_OK },
        { "{\"x\":{},\"protocol\":\"messagepack\",\"version\":2}",
          "{}" RS "1 v2", CONDUIT_OK },
        { "{\"protocol\":\"JSON\",\"version\":-7}", "{}" RS "0 v0",
          CONDUIT_OK },
        { "{\"protocol\":\"xml\",\"version\":1}",
          "{\"error\":\"The protocol 'xml' is not supported.\"}" RS,
          CONDUIT_DECLINED },
        { "{\"protocol\":\"\\\"\\n\",\"version\":1}",
          "{\"error\":\"The protocol '\\\"\\u000a' is not supported.\"}" RS,
          CONDUIT_DECLINED },
        { "{\"protocol\":\"json\",\"version\":3}",
          "{\"error\":\"The server does not support version 3 of the 'json' "
          "protocol.\"}" RS, CONDUIT_DECLINED },
        { "", "", CONDUIT_DECLINED },
        { "{", "", CONDUIT_DECLINED },
        { "[]", "", CONDUIT_DECLINED },
        { "{\"version\":1}", "", CONDUIT_DECLINED },
        { "{\"protocol\":\"json\"}", "", CONDUIT_DECLINED },
        { "{\"protocol\":1,\"version\":1}", "", CONDUIT_DECLINED },
        { "{\"protocol\":\"json\",\"version\":\"1\"}", "", CONDUIT_DECLINED },
        { "{\"protocol\":\"json\",\"version\":1.0}", "", CONDUIT_DECLINED },
        { "{\"protocol\":\"json\",\"version\":1}x", "", CONDUIT_DECLINED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_num(test_reply(dst, cases[i].text, 1), cases[i].rc,
               "handshake %s", cases[i].text);
        is_str((char *) dst, cases[i].reply[0] ? cases[i].reply
               : "{\"error\":\"An unexpected error occurred during connection"
                 " handshake.\"}" RS, "its answer");
    }

    is_num(test_reply(dst, "{\"protocol\":\"messagepack\",\"version\":1}", 0),
           CONDUIT_DECLINED, "messagepack over text");
    is_str((char *) dst, "{\"error\":\"Cannot use the 'messagepack' protocol "
           "on the current transport. The transport does not support 'Binary'"
           " transfer format.\"}" RS, "its answer");
}


static void
test_early(void)
{
    size_t         i;
    conduit_str_t  record;

    static const struct {
        const char  *text;
        unsigned     early;
    } cases[] = {
        { "{\"type\":1,\"target\":\"x\",\"arguments\":[]}", 1 },
        { "{\"arguments\":[\"protocol\"],\"target\":\"\",\"type\":1}", 1 },
        { "{\"type\":1,\"target\":\"x\",\"protocol\":\"json\"}", 0 },
        { "{\"type\":6}", 0 },
        { "{\"type\":1}", 0 },
        { "{\"type\":\"1\",\"target\":\"x\"}", 0 },
        { "{\"type\":4,\"target\":\"x\"}", 0 },
        { "{\"protocol\":\"json\",\"version\":1}", 0 },
        { "[1,\"target\"]", 0 },
        { "{", 0 },
        { "", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        record.data = (u_char *) cases[i].text;
        record.len = strlen(cases[i].text);

        is_num(conduit_signalr_early(&record), cases[i].early, "early: %s",
               cases[i].text);
    }
}


static void
test_messages(void)
{
    conduit_signalr_message_t  msg;

    is_num(test_parse(&msg, "{\"target\":\"GetTask\",\"arguments\":[\"x\",1],"
                      "\"invocationId\":\"7\",\"type\":1}"), CONDUIT_OK,
           "invocation, type last");
    is_num(msg.type, 1, "type");
    is_mem(msg.target.data, msg.target.len, "GetTask", 7, "target");
    is_mem(msg.invocation_id.data, msg.invocation_id.len, "7", 1, "id");
    is_num(json_array_size(msg.arguments), 2, "two arguments");
    is_num(msg.streams, 0, "no streams");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, "{ \"type\": 1, \"headers\": {\"Authorization\": "
                      "\"x\"}, \"target\": \"a\", \"arguments\": [], "
                      "\"streamIds\": [\"1\"], \"more\": [{}] }"), CONDUIT_OK,
           "invocation with headers, streams and more");
    is_num(msg.invocation_id.len, 0, "no id");
    is_num(msg.streams, 1, "one stream");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, "{\"type\":1,\"invocationId\":null,"
                      "\"target\":\"a\",\"target\":\"b\",\"arguments\":[],"
                      "\"streamIds\":null}"), CONDUIT_OK, "a name twice");
    is_mem(msg.target.data, msg.target.len, "b", 1, "the last one counts");
    is_num(msg.invocation_id.len, 0, "an id of null is none");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, "{\"type\":1,\"invocationId\":\"a\\u0000b\","
                      "\"target\":\"\\u001e\",\"arguments\":[]}"), CONDUIT_OK,
           "NUL in a string");
    is_mem(msg.invocation_id.data, msg.invocation_id.len, "a\0b", 3, "id");
    is_mem(msg.target.data, msg.target.len, RS, 1, "escaped separator");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, "{\"type\":4,\"invocationId\":\"1\","
                      "\"target\":\"s\",\"arguments\":[]}"), CONDUIT_OK,
           "stream invocation");
    is_num(msg.type, CONDUIT_SIGNALR_STREAM, "type");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, "{\"type\":7,\"error\":\"e\","
                      "\"allowReconnect\":true}"), CONDUIT_OK, "close");
    is_mem(msg.error.data, msg.error.len, "e", 1, "error");
    ok(msg.allow_reconnect, "allowReconnect");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, "{\"type\":9,\"sequenceId\":19}"), CONDUIT_OK,
           "sequence");
    is_num(msg.sequence, 19, "its number");
    conduit_signalr_free(&msg);
}


static void
test_refused(void)
{
    size_t                     i;
    conduit_signalr_message_t  msg;

    static const test_case_t  cases[] = {
        { "{\"type\":2,\"invocationId\":\"1\",\"item\":null}", CONDUIT_OK },
        { "{\"type\":3,\"invocationId\":\"1\"}", CONDUIT_OK },
        { "{\"type\":3,\"invocationId\":\"1\",\"result\":null}", CONDUIT_OK },
        { "{\"type\":3,\"invocationId\":\"1\",\"error\":\"e\"}", CONDUIT_OK },
        { "{\"type\":5,\"invocationId\":\"1\"}", CONDUIT_OK },
        { "{\"type\":6}", CONDUIT_OK },
        { "{\"type\":7}", CONDUIT_OK },
        { "{\"type\":7,\"error\":null,\"allowReconnect\":false}",
          CONDUIT_OK },
        { "{\"type\":8,\"sequenceId\":0}", CONDUIT_OK },

        { "{\"type\":0}", CONDUIT_DECLINED },
        { "{\"type\":10}", CONDUIT_DECLINED },
        { "{\"type\":-1}", CONDUIT_DECLINED },
        { "{\"type\":4294967297}", CONDUIT_DECLINED },

        { "", CONDUIT_ERROR },
        { " ", CONDUIT_ERROR },
        { "null", CONDUIT_ERROR },
        { "[1]", CONDUIT_ERROR },
        { "{}", CONDUIT_ERROR },
        { "{\"type\":\"6\"}", CONDUIT_ERROR },
        { "{\"type\":6.0}", CONDUIT_ERROR },
        { "{\"type\":6,}", CONDUIT_ERROR },
        { "{\"type\":6}{\"type\":6}", CONDUIT_ERROR },
        { "{\"type\":6,\"x\":\"\xff\"}", CONDUIT_ERROR },
        { "{\"Type\":6}", CONDUIT_ERROR },
        { "{\"type\":1,\"arguments\":[]}", CONDUIT_ERROR },
        { "{\"type\":1,\"target\":null,\"arguments\":[]}", CONDUIT_ERROR },
        { "{\"type\":1,\"target\":1,\"arguments\":[]}", CONDUIT_ERROR },
        { "{\"type\":1,\"target\":\"a\"}", CONDUIT_ERROR },
        { "{\"type\":1,\"target\":\"a\",\"arguments\":{}}", CONDUIT_ERROR },
        { "{\"type\":1,\"target\":\"a\",\"arguments\":[],"
          "\"invocationId\":1}", CONDUIT_ERROR },
        { "{\"type\":1,\"target\":\"a\",\"arguments\":[],\"headers\":[]}",
          CONDUIT_ERROR },
        { "{\"type\":1,\"target\":\"a\",\"arguments\":[],\"streamIds\":1}",
          CONDUIT_ERROR },
        { "{\"type\":1,\"target\":\"a\",\"arguments\":[],\"streamIds\":[1]}",
          CONDUIT_ERROR },
        { "{\"type\":4,\"target\":\"a\",\"arguments\":[]}", CONDUIT_ERROR },
        { "{\"type\":2,\"invocationId\":\"1\"}", CONDUIT_ERROR },
        { "{\"type\":2,\"item\":1}", CONDUIT_ERROR },
        { "{\"type\":3}", CONDUIT_ERROR },
        { "{\"type\":3,\"invocationId\":\"1\",\"error\":1}", CONDUIT_ERROR },
        { "{\"type\":3,\"invocationId\":\"1\",\"error\":\"e\","
          "\"result\":1}", CONDUIT_ERROR },
        { "{\"type\":5}", CONDUIT_ERROR },
        { "{\"type\":7,\"error\":1}", CONDUIT_ERROR },
        { "{\"type\":7,\"allowReconnect\":1}", CONDUIT_ERROR },
        { "{\"type\":8}", CONDUIT_ERROR },
        { "{\"type\":8,\"sequenceId\":-1}", CONDUIT_ERROR },
        { "{\"type\":9,\"sequenceId\":\"1\"}", CONDUIT_ERROR }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_num(test_parse(&msg, cases[i].text), cases[i].rc, "%s",
               cases[i].text);

        if (cases[i].rc == CONDUIT_OK) {
            conduit_signalr_free(&msg);
        }
    }
}


static void
test_depth(void)
{
    size_t                     depth;
    char                       text[512];
    conduit_signalr_message_t  msg;

    for (depth = 63; depth <= 64; depth++) {
        strcpy(text, "{\"type\":6,\"x\":");
        memset(text + strlen(text), '[', depth);
        strcpy(text + 14 + depth, "\"]]\\\"[[\"");
        memset(text + strlen(text), ']', depth);
        strcpy(text + 14 + depth + 9 + depth - 1, "}");

        is_num(test_parse(&msg, text),
               (depth == 63) ? CONDUIT_OK : CONDUIT_ERROR,
               "%zu levels", depth + 1);

        if (depth == 63) {
            conduit_signalr_free(&msg);
        }
    }
}


static void
test_writer(void)
{
    size_t                    i;
    u_char                   *p, dst[1024];

    static const struct {
        conduit_signalr_output_t   out;
        const char                *text;
    } cases[] = {

#define str(s)  { sizeof(s) - 1, (u_char *) s }

        { { 1, str(""), str("TaskProgress"), str("[\"id\",50]"), str(""), 0,
            0 },
          "{\"type\":1,\"target\":\"TaskProgress\","
          "\"arguments\":[\"id\",50]}" RS },
        { { 3, str("0"), str(""), str(""), str(""), 0, 0 },
          "{\"type\":3,\"invocationId\":\"0\"}" RS },
        { { 3, str("a\"\x1e"), str(""), str("{\"x\":1.0}"), str(""), 0, 0 },
          "{\"type\":3,\"invocationId\":\"a\\\"\\u001e\","
          "\"result\":{\"x\":1.0}}" RS },
        { { 3, str("0"), str(""), str("{}"), str("no"), 0, 0 },
          "{\"type\":3,\"invocationId\":\"0\",\"error\":\"no\"}" RS },
        { { 6, str(""), str(""), str(""), str(""), 0, 0 },
          "{\"type\":6}" RS },
        { { 7, str(""), str(""), str(""), str(""), 0, 0 },
          "{\"type\":7}" RS },
        { { 7, str(""), str(""), str(""), str(""), 0, 1 },
          "{\"type\":7,\"allowReconnect\":true}" RS },
        { { 7, str(""), str(""), str(""), str("e"), 0, 1 },
          "{\"type\":7,\"error\":\"e\",\"allowReconnect\":true}" RS },
        { { 8, str(""), str(""), str(""), str(""), 36, 0 },
          "{\"type\":8,\"sequenceId\":36}" RS },
        { { 9, str(""), str(""), str(""), str(""), UINT64_MAX, 0 },
          "{\"type\":9,\"sequenceId\":18446744073709551615}" RS }

#undef str
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = conduit_signalr_write(CONDUIT_SIGNALR_JSON, dst, &cases[i].out);

        is_mem(dst, p - dst, cases[i].text, strlen(cases[i].text),
               "written: %s", cases[i].text);
        ok((size_t) (p - dst)
           <= conduit_signalr_size(CONDUIT_SIGNALR_JSON, &cases[i].out),
           "within its size");
    }
}


int
main(void)
{
    test_framing();
    test_limits();
    test_binary_framing();
    test_handshake();
    test_early();
    test_messages();
    test_refused();
    test_depth();
    test_writer();

    return done_testing();
}
