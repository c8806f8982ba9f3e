
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_msgpack.h"
#include "tap.h"


#define bytes(s)  s, sizeof(s) - 1


static int test_parse(conduit_signalr_message_t *msg, const char *data,
    size_t len);
static void test_rc(const char *name, const char *data, size_t len, int rc);
static void test_messages(void);
static void test_arguments(void);
static void test_refused(void);
static void test_hostile(void);
static void test_writer(void);
static void test_documents(void);
static void test_round(void);


static int
test_parse(conduit_signalr_message_t *msg, const char *data, size_t len)
{
    int            rc;
    u_char        *copy;
    conduit_str_t  record;

    /* nothing of the message may point into the input */

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, len);

    record.data = copy;
    record.len = len;

    rc = conduit_signalr_parse(msg, CONDUIT_SIGNALR_MSGPACK, &record);

    free(copy);

    return rc;
}


static void
test_rc(const char *name, const char *data, size_t len, int rc)
{
    conduit_signalr_message_t  msg;

    if (is_num(test_parse(&msg, data, len), rc, "%s", name)
        && rc == CONDUIT_OK)
    {
        conduit_signalr_free(&msg);
    }
}


static void
test_messages(void)
{
    conduit_signalr_message_t  msg;

    is_num(test_parse(&msg, bytes("\x96\x01\x80\xa3xyz\xa6method\x91\x2a"
                                  "\x90")), CONDUIT_OK, "invocation");
    is_num(msg.type, 1, "type");
    is_mem(msg.invocation_id.data, msg.invocation_id.len, "xyz", 3, "id");
    is_mem(msg.target.data, msg.target.len, "method", 6, "target");
    is_num(json_array_size(msg.arguments), 1, "one argument");
    is_num(json_integer_value(json_array_get(msg.arguments, 0)), 42, "42");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, bytes("\x95\x01\x80\xc0\xa1" "a\x90")),
           CONDUIT_OK, "five elements");
    is_num(msg.invocation_id.len, 0, "no id");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, bytes("\x98\x01\x81\xa1k\xa1v\xd9\x01" "7\xda"
                                  "\x00\x01" "a\xdc\x00\x00\x91\xa1s\xc0"
                                  "\x93\x01\x02\x03")),
           CONDUIT_OK, "headers, wide forms and more elements");
    is_mem(msg.invocation_id.data, msg.invocation_id.len, "7", 1, "id");
    is_num(msg.streams, 1, "one stream");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, bytes("\x93\x07\xa3xyz\xc3")), CONDUIT_OK,
           "close");
    is_mem(msg.error.data, msg.error.len, "xyz", 3, "error");
    ok(msg.allow_reconnect, "allowReconnect");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, bytes("\x92\x08\xcc\x24")), CONDUIT_OK, "ack");
    is_num(msg.sequence, 36, "36");
    conduit_signalr_free(&msg);

    is_num(test_parse(&msg, bytes("\x92\x09\xcf\0\0\0\0\0\0\0\x13")),
           CONDUIT_OK, "sequence");
    is_num(msg.sequence, 19, "19");
    conduit_signalr_free(&msg);

    test_rc("ping", bytes("\x91\x06"), CONDUIT_OK);
    test_rc("close of a client", bytes("\x92\x07\xc0"), CONDUIT_OK);
    test_rc("stream item", bytes("\x94\x02\x80\xa1" "1\xc0"), CONDUIT_OK);
    test_rc("completion, error", bytes("\x95\x03\x80\xa1" "1\x01\xa1" "e"),
            CONDUIT_OK);
    test_rc("completion, void", bytes("\x94\x03\x80\xa1" "1\x02"),
            CONDUIT_OK);
    test_rc("completion, result", bytes("\x95\x03\x80\xa1" "1\x03\xc0"),
            CONDUIT_OK);
    test_rc("cancel", bytes("\x93\x05\x80\xa1" "1"), CONDUIT_OK);
    test_rc("stream invocation", bytes("\x96\x04\x80\xa1" "1\xa1" "a\x90\x90"),
            CONDUIT_OK);
}


static void
test_arguments(void)
{
    char                      *text;
    conduit_signalr_message_t  msg;

    is_num(test_parse(&msg, bytes(
               "\x95\x01\x80\xc0\xa1" "a\xdc\x00\x0f"
               "\xc0\xc2\xc3\x7f\xff\xcd\x01\x00\xd1\xff\x00"
               "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"
               "\xcb\x3f\xf8\0\0\0\0\0\0"
               "\xa2\xc3\xa4"
               "\x92\x01\xa0"
               "\x83\xa1k\x01\x02\x03\xa1k\x90"
               "\xc4\x02\xff\xff"
               "\xd6\xff\0\0\0\0"
               "\xcb\x7f\xf0\0\0\0\0\0\0")), CONDUIT_OK,
           "arguments of every type");

    text = json_dumps(msg.arguments, JSON_COMPACT);
    is_str(text, "[null,false,true,127,-1,256,-256,9223372036854775807,1.5,"
           "\"\xc3\xa4\",[1,\"\"],{\"k\":[]},null,null,null]",
           "as JSON");
    free(text);

    conduit_signalr_free(&msg);
}


static void
test_refused(void)
{
    test_rc("empty", bytes(""), CONDUIT_ERROR);
    test_rc("no array", bytes("\x06"), CONDUIT_ERROR);
    test_rc("empty array", bytes("\x90"), CONDUIT_ERROR);
    test_rc("type is a string", bytes("\x91\xa1" "6"), CONDUIT_ERROR);
    test_rc("type is negative", bytes("\x91\xff"), CONDUIT_ERROR);
    test_rc("type is nil", bytes("\x91\xc0"), CONDUIT_ERROR);
    test_rc("byte that is never used", bytes("\x91\xc1"), CONDUIT_ERROR);
    test_rc("more behind it", bytes("\x91\x06\x00"), CONDUIT_ERROR);
    test_rc("element missing", bytes("\x92\x06"), CONDUIT_ERROR);
    test_rc("invocation without arguments", bytes("\x94\x01\x80\xc0\xa1" "a"),
            CONDUIT_ERROR);
    test_rc("target of nil", bytes("\x95\x01\x80\xc0\xc0\x90"),
            CONDUIT_ERROR);
    test_rc("arguments in a map", bytes("\x95\x01\x80\xc0\xa1" "a\x80"),
            CONDUIT_ERROR);
    test_rc("headers in an array", bytes("\x95\x01\x90\xc0\xa1" "a\x90"),
            CONDUIT_ERROR);
    test_rc("id that is a number", bytes("\x95\x01\x80\x01\xa1" "a\x90"),
            CONDUIT_ERROR);
    test_rc("streams that are numbers",
            bytes("\x96\x01\x80\xc0\xa1" "a\x90\x91\x01"), CONDUIT_ERROR);
    test_rc("target that is not UTF-8",
            bytes("\x95\x01\x80\xc0\xa1\xff\x90"), CONDUIT_ERROR);
    test_rc("argument that is not UTF-8",
            bytes("\x95\x01\x80\xc0\xa1" "a\x91\xa1\xff"), CONDUIT_ERROR);
    test_rc("stream invocation without id",
            bytes("\x95\x04\x80\xc0\xa1" "a\x90"), CONDUIT_ERROR);
    test_rc("completion of no kind", bytes("\x93\x03\x80\xa1" "1"),
            CONDUIT_ERROR);
    test_rc("completion of kind 0", bytes("\x95\x03\x80\xa1" "1\0\xc0"),
            CONDUIT_ERROR);
    test_rc("completion of kind 4", bytes("\x95\x03\x80\xa1" "1\x04\xc0"),
            CONDUIT_ERROR);
    test_rc("completion without its error", bytes("\x94\x03\x80\xa1" "1\x01"),
            CONDUIT_ERROR);
    test_rc("ack without a number", bytes("\x91\x08"), CONDUIT_ERROR);
    test_rc("ack of a negative number", bytes("\x92\x08\xff"), CONDUIT_ERROR);
    test_rc("ack beyond 2^63",
            bytes("\x92\x08\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
            CONDUIT_ERROR);

    test_rc("type 0", bytes("\x91\x00"), CONDUIT_DECLINED);
    test_rc("type 10", bytes("\x91\x0a"), CONDUIT_DECLINED);
    test_rc("type 10 with content", bytes("\x92\x0a\x81\x01\x02"),
            CONDUIT_DECLINED);
    test_rc("a wide type", bytes("\x91\xce\x00\x01\x00\x01"),
            CONDUIT_DECLINED);
}


static void
test_hostile(void)
{
    size_t  i;
    char    text[80];

    test_rc("array of 2^32 - 1", bytes("\xdd\xff\xff\xff\xff\x06"),
            CONDUIT_ERROR);
    test_rc("map of 2^32 - 1", bytes("\x92\x06\xdf\xff\xff\xff\xff\x00"),
            CONDUIT_ERROR);
    test_rc("string of 2^32 - 1", bytes("\x92\x06\xdb\xff\xff\xff\xff\x00"),
            CONDUIT_ERROR);
    test_rc("binary of 2^32 - 1", bytes("\x92\x06\xc6\xff\xff\xff\xff\x00"),
            CONDUIT_ERROR);
    test_rc("extension of 2^32 - 1",
            bytes("\x92\x06\xc9\xff\xff\xff\xff\x00"), CONDUIT_ERROR);
    test_rc("half of a length", bytes("\x92\x06\xdd\xff\xff"),
            CONDUIT_ERROR);
    test_rc("half of a double", bytes("\x92\x06\xcb\0\0\0"), CONDUIT_ERROR);

    /* within the depth that is allowed, and beyond it */

    for (i = 28; i < 70; i++) {
        memset(text, 0x91, i);
        text[0] = '\x92';
        text[1] = 6;
        text[i] = '\x90';

        ok(conduit_msgpack_sane((u_char *) text, i + 1) == (i <= 32),
           "%zu levels", i - 1);

        test_rc("read or refused", text, i + 1,
                (i <= 32) ? CONDUIT_OK : CONDUIT_ERROR);
    }
}


static void
test_writer(void)
{
    size_t   i;
    u_char  *p, dst[512];

    static const struct {
        conduit_signalr_output_t   out;
        const char                *data;
        size_t                     len;
    } cases[] = {

#define str(s)  { sizeof(s) - 1, (u_char *) s }

        { { 1, str(""), str("TaskProgress"), str("[\"id\",50]"), str(""), 0,
            0 },
          bytes("\x17\x96\x01\x80\xc0\xacTaskProgress\x92\xa2id\x32\x90") },
        { { 3, str("0"), str(""), str(""), str(""), 0, 0 },
          bytes("\x06\x94\x03\x80\xa1" "0\x02") },
        { { 3, str("0"), str(""), str("null"), str(""), 0, 0 },
          bytes("\x07\x95\x03\x80\xa1" "0\x03\xc0") },
        { { 3, str("0"), str(""), str(""), str("no"), 0, 0 },
          bytes("\x09\x95\x03\x80\xa1" "0\x01\xa2no") },
        { { 6, str(""), str(""), str(""), str(""), 0, 0 },
          bytes("\x02\x91\x06") },
        { { 7, str(""), str(""), str(""), str(""), 0, 0 },
          bytes("\x04\x93\x07\xc0\xc2") },
        { { 7, str(""), str(""), str(""), str("xyz"), 0, 1 },
          bytes("\x07\x93\x07\xa3xyz\xc3") },
        { { 8, str(""), str(""), str(""), str(""), 36, 0 },
          bytes("\x03\x92\x08\x24") },
        { { 9, str(""), str(""), str(""), str(""), 256, 0 },
          bytes("\x05\x92\x09\xcd\x01\x00") }

#undef str
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = conduit_signalr_write(CONDUIT_SIGNALR_MSGPACK, dst,
                                  &cases[i].out);

        if (ok(p != NULL, "written %zu", i)) {
            is_mem(dst, p - dst, cases[i].data, cases[i].len, "as expected");
        }
    }
}


/* documents of all kinds fit into what conduit_msgpack_size() tells */

static void
test_documents(void)
{
    size_t                      i, size;
    char                       *big;
    u_char                     *p, *dst;
    conduit_signalr_output_t    out;

    static const char  *documents[] = {
        "[]", "{}", "\"x\"", "1", "-1.5", "1e5", "true",
        "[1.5,2.5,3.5,0.1,0.2,0.3,1e1,2E2,-1.0e-1,5e5]",
        "[-1,255,256,65535,65536,4294967295,4294967296,-128,-129,-32769,"
        "-2147483649,9223372036854775807,-9223372036854775808]",
        "[0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9]",
        "{\"a\":{\"b\":[{\"c\":\"\\u00e9\\u0000\\\\\\\"\"}]}}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]"
        "]]]]]]]]]]]]]]]]"
    };

    memset(&out, 0, sizeof(out));
    out.type = CONDUIT_SIGNALR_COMPLETION;

    for (i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        out.json.data = (u_char *) documents[i];
        out.json.len = strlen(documents[i]);

        size = conduit_msgpack_size(&out);

        dst = malloc(size);
        if (dst == NULL) {
            abort();
        }

        p = conduit_msgpack_write(dst, &out);
        ok(p != NULL && (size_t) (p - dst) <= size, "%s", documents[i]);
        free(dst);
    }

    /* a prefix of three bytes, a string with five */

    big = malloc(70000);
    dst = malloc(80000);

    if (big == NULL || dst == NULL) {
        abort();
    }

    memset(big, 'a', 70000);
    big[0] = '"';
    big[69999] = '"';

    out.json.data = (u_char *) big;
    out.json.len = 70000;

    p = conduit_msgpack_write(dst, &out);
    is_num(p - dst, 3 + 5 + 5 + 69998, "a long string");
    is_mem(dst, 3, "\xf8\xa2\x04", 3, "its length");

    out.json.len = 69999;
    ok(conduit_msgpack_write(dst, &out) == NULL, "text that is not JSON");

    free(big);
    free(dst);
}


/* what is written can be read again */

static void
test_round(void)
{
    char                      *text;
    u_char                     dst[512], *p, *pos;
    conduit_str_t              record;
    conduit_signalr_output_t   out;
    conduit_signalr_reader_t   in;
    conduit_signalr_message_t  msg;

    static const char  arguments[] =
        "[\"id\",{\"x\":[1,-2,1.5,null,true,\"\xc3\xa9\"]},100]";

    memset(&out, 0, sizeof(out));

    out.type = CONDUIT_SIGNALR_INVOCATION;
    out.target.data = (u_char *) "TaskCompleted";
    out.target.len = 13;
    out.json.data = (u_char *) arguments;
    out.json.len = sizeof(arguments) - 1;

    p = conduit_signalr_write(CONDUIT_SIGNALR_MSGPACK, dst, &out);

    conduit_signalr_init(&in, 512, 1);
    pos = dst;

    is_num(conduit_signalr_next(&in, &pos, p, &record), CONDUIT_OK, "frame");
    ok(pos == p, "nothing is left");
    is_num(conduit_signalr_parse(&msg, CONDUIT_SIGNALR_MSGPACK, &record),
           CONDUIT_OK, "message");
    is_mem(msg.target.data, msg.target.len, "TaskCompleted", 13, "target");

    text = json_dumps(msg.arguments, JSON_COMPACT);
    is_str(text, arguments, "arguments");
    free(text);

    conduit_signalr_free(&msg);
}


int
main(void)
{
    test_messages();
    test_arguments();
    test_refused();
    test_hostile();
    test_writer();
    test_documents();
    test_round();

    return done_testing();
}
