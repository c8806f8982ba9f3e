
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>
#include <stdlib.h>

#include "conduit_json.h"
#include "tap.h"


#define arg(s)  (const u_char *) (s), sizeof(s) - 1


static void test_good(void);
static void test_bad(void);
static void test_depth(void);
static void test_members(void);
static void test_names(void);
static void test_compact(void);
static void test_escape(void);
static void test_utf8(void);
static void test_plain(void);
static void test_unescape(void);
static int refused(const char *p, size_t len, const char *why);


int
main(void)
{
    test_good();
    test_bad();
    test_depth();
    test_members();
    test_names();
    test_compact();
    test_escape();
    test_utf8();
    test_plain();
    test_unescape();

    return done_testing();
}


static void
test_good(void)
{
    size_t                i;
    json_t               *json;
    conduit_json_error_t  err;

    static const char  *good[] = {
        "{}", " [1, 2.5e3, -0, true, false, null] ", "\"x\"", "1",
        "{\"a\":9223372036854775807,\"b\":-9223372036854775808}",
        "{\"a\":1e308}", "{\"a\":{\"b\":1},\"b\":1}", "\"\\ud83d\\ude00\"",
        "\"\xf0\x9f\x98\x80\"", "{\"a\":\"\\\"}{][\"}", "{\"\":1}"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        json = conduit_json_parse((const u_char *) good[i], strlen(good[i]),
                                  &err);
        ok(json != NULL, "taken: %s", good[i]);
        json_decref(json);
    }
}


static int
refused(const char *p, size_t len, const char *why)
{
    u_char                *copy;
    json_t                *json;
    conduit_json_error_t   err;

    /* of the exact size, so that an overread is seen */

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        return 0;
    }

    memcpy(copy, p, len);

    err.offset = len + 1;
    json = conduit_json_parse(copy, len, &err);
    free(copy);

    if (json != NULL) {
        json_decref(json);
        return 0;
    }

    return strcmp(err.text, why) == 0 && err.offset <= len;
}


static void
test_bad(void)
{
    size_t  i;

#define bad(s, why)  { s, sizeof(s) - 1, why }

    static const struct {
        const char  *text;
        size_t       len;
        const char  *why;
    } texts[] = {
        bad("", "it is empty"),
        bad(" \n\t", "it is empty"),
        bad("{\"a\":1,\"a\":2}", "an object has the same member twice"),
        bad("{\"a\":1,\"\\u0061\":2}", "an object has the same member twice"),
        bad("{\"x\":[{\"a\":1,\"a\":1}]}",
            "an object has the same member twice"),
        bad("\"\x80\"", "it is not valid UTF-8"),
        bad("\"\xc0\xaf\"", "it is not valid UTF-8"),
        bad("\"\xed\xa0\x80\"", "it is not valid UTF-8"),
        bad("\"\xf5\x80\x80\x80\"", "it is not valid UTF-8"),
        bad("\"\xe2\x82\"", "it is not valid UTF-8"),
        bad("\"a\\u0000b\"", "it has a NUL character"),
        bad("{\"\\u0000\":1}", "it has a NUL character"),
        bad("\"a\0b\"", "it has a NUL character"),
        bad("\"\\\0\"", "it has a NUL character"),
        bad("{}\0", "it has a NUL character"),
        bad("\"\\ud800\"", "a string has half of a surrogate pair"),
        bad("\"\\udc00\"", "a string has half of a surrogate pair"),
        bad("\"\\ud800\\u0041\"", "a string has half of a surrogate pair"),
        bad("{\"\\ud800\":1}", "a string has half of a surrogate pair"),
        bad("9223372036854775808", "a number is too large"),
        bad("-9223372036854775809", "a number is too large"),
        bad("[1e400]", "a number is too large"),
        bad("{} x", "something follows the end of the document"),
        bad("{}{}", "something follows the end of the document"),
        bad("{\"a\":", "it ends too early"),
        bad("\"abc", "it ends too early"),
        bad("{a:1}", "syntax error"),
        bad("[1,]", "syntax error"),
        bad("01", "syntax error"),
        bad("'a'", "syntax error"),
        bad("nul", "syntax error"),
        bad("\"\t\"", "syntax error"),
        bad("[NaN]", "syntax error"),
        bad("\xef\xbb\xbf{}", "syntax error")
    };

#undef bad

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ok(refused(texts[i].text, texts[i].len, texts[i].why),
           "refused (%s): %s", texts[i].why, texts[i].text);
    }
}


static void
test_depth(void)
{
    char                  text[80];
    json_t               *json;
    conduit_json_error_t  err;

    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    json = conduit_json_parse((u_char *) text, 64, &err);
    ok(json != NULL, "32 levels");
    json_decref(json);

    memset(text, '[', 33);
    memset(text + 33, ']', 33);
    ok(refused(text, 66, "it is nested deeper than 32 levels"), "33 levels");

    ok(refused("[\"]]]\"", 6, "it ends too early"), "brackets in strings");
}


static void
test_members(void)
{
    const char             *text;
    const u_char           *pos, *last;
    conduit_json_member_t   m;

    text = " { \"a\" : 1 , \"b\\\"\": [ {\"x\":\"]\"} , 2 ],\"c\":\"}\" ,"
           "\"d\":-1.50E+2}";
    pos = (const u_char *) text;
    last = pos + strlen(text);

    is_num(conduit_json_next(&pos, last, &m), CONDUIT_OK, "first member");
    is_mem(m.name.data, m.name.len, "\"a\"", 3, "its name");
    is_mem(m.value.data, m.value.len, "1", 1, "its value");

    is_num(conduit_json_next(&pos, last, &m), CONDUIT_OK, "second member");
    is_mem(m.name.data, m.name.len, "\"b\\\"\"", 5, "its name");
    is_mem(m.value.data, m.value.len, "[ {\"x\":\"]\"} , 2 ]", 17, "its value");

    is_num(conduit_json_next(&pos, last, &m), CONDUIT_OK, "third member");
    is_mem(m.value.data, m.value.len, "\"}\"", 3, "its value");

    is_num(conduit_json_next(&pos, last, &m), CONDUIT_OK, "fourth member");
    is_mem(m.value.data, m.value.len, "-1.50E+2", 8, "its digits");

    is_num(conduit_json_next(&pos, last, &m), CONDUIT_DECLINED, "the end");

    pos = (const u_char *) "{}";
    is_num(conduit_json_next(&pos, pos + 2, &m), CONDUIT_DECLINED, "empty");

    pos = (const u_char *) "[1]";
    is_num(conduit_json_next(&pos, pos + 3, &m), CONDUIT_DECLINED, "no object");
}


static void
test_names(void)
{
    size_t         i;
    conduit_str_t  name;

    static const struct {
        const char  *name;
        const char  *is;
        int          prefix;
        int          found;
    } names[] = {
        { "\"model\"", "model", 0, 1 },
        { "\"mod\\u0065l\"", "model", 0, 1 },
        { "\"mod\\u0045l\"", "modEl", 0, 1 },
        { "\"\\u006Dodel\"", "model", 0, 1 },
        { "\"model2\"", "model", 0, 0 },
        { "\"mode\"", "model", 0, 0 },
        { "\"\"", "model", 0, 0 },
        { "\"a\\/b\\n\"", "a/b\n", 0, 1 },
        { "\"\xc3\xa4\"", "a", 0, 0 },
        { "\"\\u00e4\"", "a", 0, 0 },
        { "\"webhook_url\"", "webhook_", 1, 1 },
        { "\"webhook\\u005furl\"", "webhook_", 1, 1 },
        { "\"webhook_\"", "webhook_", 1, 1 },
        { "\"webhook\"", "webhook_", 1, 0 },
        { "\"Webhook_url\"", "webhook_", 1, 0 }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        name.data = (u_char *) names[i].name;
        name.len = strlen(names[i].name);

        is_num(conduit_json_name_eq(&name, names[i].is, names[i].prefix),
               names[i].found, "%s and \"%s\"", names[i].name, names[i].is);
    }
}


static void
test_compact(void)
{
    size_t       n;
    u_char       buf[128];
    const char  *text, *out;

    text = " { \"a b\" : [ 1.0 ,\t-0, 1e-400, 12345678901234567 ] ,\r\n"
           "\"\\\" \" : \" \\\\\" } ";
    out = "{\"a b\":[1.0,-0,1e-400,12345678901234567],\"\\\" \":\" \\\\\"}";

    n = conduit_json_compact(buf, (const u_char *) text, strlen(text));
    is_mem(buf, n, out, strlen(out), "blanks outside strings are gone");

    is_num(conduit_json_compact(NULL, (const u_char *) text, strlen(text)), n,
           "the length alone");

    n = conduit_json_compact(buf, arg("a\x01 b"));
    is_mem(buf, n, "a\x01" "b", 3, "what is no JSON comes to an end as well");
}


static void
test_escape(void)
{
    size_t  n;
    u_char  buf[128];

    n = conduit_json_escape(buf, arg("a\"b\\c\n\x1f/\xc3\xa4\x7f"));
    is_mem(buf, n, "a\\\"b\\\\c\\u000a\\u001f/\xc3\xa4\x7f", 23,
           "what has to be escaped");

    n = conduit_json_escape(buf, arg("\xff\xe2\x82 \xed\xa0\x80"));
    is_mem(buf, n, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd"
           "\xef\xbf\xbd\xef\xbf\xbd", 19, "what is no UTF-8");

    is_num(conduit_json_escape(NULL, arg("\"\"")), 4, "the length alone");
}


static void
test_utf8(void)
{
    is_num(conduit_utf8_length(arg("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")),
           4, "code points");
    is_num(conduit_utf8_cut(arg("a\xc3\xa4" "b"), 4), 4, "nothing to cut");
    is_num(conduit_utf8_cut(arg("a\xc3\xa4" "b"), 3), 3, "behind the letter");
    is_num(conduit_utf8_cut(arg("a\xc3\xa4" "b"), 2), 1, "before it");
    is_num(conduit_utf8_cut(arg("\xf0\x9f\x98\x80"), 3), 0, "no room at all");
}


/* what is told to be plain must be good; the reverse may fail */

static void
test_plain(void)
{
    char                  text[512], *p;
    size_t                i, len;
    json_t               *json;
    conduit_json_error_t  err;

    static const char  *plain[] = {
        "{}", " { } ", "{\"a\":1}",
        "{\"a\":-0.5,\"b\":[1,[],{}],\"c\":null}",
        "{\"a\":{\"a\":{\"a\":true}},\"b\":false}",
        "{\"a\":\"\\u4e2d\\n\\\"\\/\"}", "{\"a\":123456789012345678}",
        "{\"a\":\"\xe4\xb8\xad\xf0\x9f\x98\x80\"}\r\n\t"
    };

    static const char  *other[] = {
        "", "[]", "1", "{", "{\"a\"", "{\"a\":}", "{\"a\":1,}", "{,}", "{}{}",
        "{a:1}", "{\"a\":1,\"a\":2}", "{\"b\":{\"a\":1,\"a\":2}}",
        "{\"a\":01}", "{\"a\":-}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}",
        "{\"a\":tru}", "{\"a\":\"\x1f\"}", "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\ud83d\"}", "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xff\"}", "{\"a\":\"x}",
        "{\"a\":[1 2]}", "{\"a\":[1,]}", "{\"a\":[}", "{\"a\" 1}",
        "{\"a\":1e400}", "{\"a\":9223372036854775808}", "{\"\\u0061\":1}",
        "{\"a\":[[[[[[[[[]]]]]]]]]}"
    };

    for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        len = strlen(plain[i]);
        ok(conduit_json_plain((const u_char *) plain[i], len), "plain: %s",
           plain[i]);

        json = conduit_json_parse((const u_char *) plain[i], len, &err);
        ok(json_is_object(json), "and good");
        json_decref(json);
    }

    for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        ok(!conduit_json_plain((const u_char *) other[i], strlen(other[i])),
           "not plain: %s", other[i]);
    }

    ok(!conduit_json_plain(arg("{}\0")), "NUL");

    /* members beyond the room for their names */

    for (p = text, i = 0; i < 49; i++) {
        p += sprintf(p, "%c\"%zu\":1", i ? ',' : '{', i);
    }

    *p++ = '}';
    ok(!conduit_json_plain((u_char *) text, (size_t) (p - text)),
       "many members");
}


static void
test_unescape(void)
{
    size_t  i, n;
    u_char  buf[64];

    static const struct {
        const char  *text;
        const char  *is;
    } cases[] = {
        { "\"\"", "" },
        { "\"abc\"", "abc" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
        { "\"\\u0041\\u00e9\\u4E2d\"", "A\xc3\xa9\xe4\xb8\xad" },
        { "\"\\ud83d\\ude00\\uD83D\\uDE00\"",
          "\xf0\x9f\x98\x80\xf0\x9f\x98\x80" },
        { "\"\xe4\xb8\xad\"", "\xe4\xb8\xad" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = conduit_json_unescape(buf, (const u_char *) cases[i].text,
                                  strlen(cases[i].text));
        is_mem(buf, n, cases[i].is, strlen(cases[i].is), "text of %s",
               cases[i].text);
    }
}
