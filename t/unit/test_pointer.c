
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <conduit_pointer.h>

#include <stdlib.h>

#include "tap.h"


static const char  document[] =
    "{\"a\":[1,2.5,{\"*\":3,\"b/c\":4}],\"m~\":{\"x\":null,\"y\":\"s\"},"
    "\"\":5,\"o\":{\"0\":6},\"e\":[],\"t\":true}";


static int
collect(json_t *value, void *data)
{
    char  *text, *all = data;

    text = json_dumps(value, JSON_ENCODE_ANY|JSON_COMPACT);

    strcat(all, text);
    strcat(all, " ");

    free(text);

    return CONDUIT_OK;
}


static int
stop_at_second(json_t *value, void *data)
{
    int  *n = data;

    return (++*n == 2) ? CONDUIT_AGAIN : CONDUIT_OK;
}


static void
test_read(void)
{
    char           all[1024];
    size_t         i;
    json_t        *doc;
    conduit_str_t  ptr;

    static const struct {
        const char  *ptr;
        const char  *found;
    } reads[] = {
        { "/a/0", "1 " },
        { "/a/2/~2", "3 " },
        { "/a/2/b~1c", "4 " },
        { "/a/*", "1 2.5 {\"*\":3,\"b/c\":4} " },
        { "/a/*/~2", "3 " },
        { "/m~0/*", "null \"s\" " },
        { "/m~0/y", "\"s\" " },
        { "/", "5 " },
        { "/o/0", "6 " },
        { "/e/*", "" },
        { "/t", "true " },
        { "/t/x", "" },
        { "/t/*", "" },
        { "/a/00", "" },
        { "/a/3", "" },
        { "/a/-", "" },
        { "/a/-1", "" },
        { "/a/99999999999999999999", "" },
        { "/nothing/*/x", "" }
    };

    doc = json_loads(document, 0, NULL);

    for (i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {

        ptr.data = (u_char *) reads[i].ptr;
        ptr.len = strlen(reads[i].ptr);
        all[0] = '\0';

        is_num(conduit_pointer_each(doc, &ptr, collect, all), CONDUIT_OK,
               "walks \"%s\"", reads[i].ptr);
        is_str(all, reads[i].found, "finds by \"%s\"", reads[i].ptr);
    }

    ptr.len = 0;
    ok(conduit_pointer_get(doc, &ptr) == doc, "empty pointer is the document");

    i = 0;
    ptr.data = (u_char *) "/a/*";
    ptr.len = 4;

    is_num(conduit_pointer_each(doc, &ptr, stop_at_second, &i), CONDUIT_AGAIN,
           "the handler ends the walk");
    is_num((int) i, 2, "after two of three");

    json_decref(doc);
}


static void
test_malformed(void)
{
    char           big[CONDUIT_POINTER_TOKEN + 3];
    size_t         i;
    conduit_str_t  ptr;

    static const char  *bad[] = { "a", "~0", "/~", "/~3", "/x~", "*" };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {

        ptr.data = (u_char *) bad[i];
        ptr.len = strlen(bad[i]);

        is_num(conduit_pointer_check(&ptr), CONDUIT_ERROR, "refuses \"%s\"",
               bad[i]);
    }

    memset(big, 'x', sizeof(big));
    big[0] = '/';
    ptr.data = (u_char *) big;
    ptr.len = CONDUIT_POINTER_TOKEN + 1;

    is_num(conduit_pointer_check(&ptr), CONDUIT_OK, "takes the longest token");

    ptr.len++;
    is_num(conduit_pointer_check(&ptr), CONDUIT_ERROR, "refuses a longer one");

    memset(big, '/', CONDUIT_POINTER_TOKENS + 1);
    ptr.len = CONDUIT_POINTER_TOKENS;

    is_num(conduit_pointer_check(&ptr), CONDUIT_OK, "takes 32 tokens");

    ptr.len++;
    is_num(conduit_pointer_check(&ptr), CONDUIT_ERROR, "refuses 33 tokens");

    ptr.data = (u_char *) "/a\0b";
    ptr.len = 4;

    is_num(conduit_pointer_check(&ptr), CONDUIT_ERROR, "refuses NUL");
}


static void
test_write(void)
{
    char           *text;
    size_t          i;
    json_t         *doc;
    conduit_str_t   ptr;

    static const struct {
        const char  *ptr;
        int          rc;
        const char  *doc;
    } writes[] = {
        { "/p/0/x", CONDUIT_OK, "{\"p\":[{\"x\":0}]}" },
        { "/p/2/y", CONDUIT_OK, "{\"p\":[{\"x\":0},null,{\"y\":1}]}" },
        { "/p/1/z", CONDUIT_OK, "{\"p\":[{\"x\":0},{\"z\":2},{\"y\":1}]}" },
        { "/p/-", CONDUIT_OK, "{\"p\":[{\"x\":0},{\"z\":2},{\"y\":1},3]}" },
        { "/p/0", CONDUIT_OK, "{\"p\":[4,{\"z\":2},{\"y\":1},3]}" },
        { "/p/256", CONDUIT_ERROR, NULL },
        { "/p/4294967296", CONDUIT_ERROR, NULL },
        { "/p/01", CONDUIT_ERROR, NULL },
        { "/p/0/x", CONDUIT_ERROR, NULL },
        { "/p/*", CONDUIT_ERROR, NULL },
        { "/*/q", CONDUIT_ERROR, NULL },
        { "p", CONDUIT_ERROR, NULL },
        { "/p/~2", CONDUIT_ERROR, NULL },
        { "/~2", CONDUIT_OK,
          "{\"p\":[4,{\"z\":2},{\"y\":1},3],\"*\":13}" },
        { "", CONDUIT_OK, "14" }
    };

    doc = NULL;

    for (i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {

        ptr.data = (u_char *) writes[i].ptr;
        ptr.len = strlen(writes[i].ptr);

        is_num(conduit_pointer_set(&doc, &ptr, json_integer((json_int_t) i)),
               writes[i].rc, "writes to \"%s\" or not", writes[i].ptr);

        if (writes[i].doc) {
            text = json_dumps(doc, JSON_COMPACT|JSON_ENCODE_ANY);
            is_str(text, writes[i].doc, "document after \"%s\"",
                   writes[i].ptr);
            free(text);
        }
    }

    is_num(conduit_pointer_set(&doc, &ptr, NULL), CONDUIT_ERROR,
           "no value is an error");

    json_decref(doc);
}


static void
test_text(void)
{
    size_t          i;
    u_char          buf[CONDUIT_POINTER_TEXT];
    json_t         *value;
    conduit_str_t   text;

    static const struct {
        const char  *json;
        const char  *text;
    } texts[] = {
        { "\"a\\\"b\"", "a\"b" },
        { "9007199254740993", "9007199254740993" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "0.1", "0.1" },
        { "1e100", "1e100" },
        { "true", "true" },
        { "false", "false" },
        { "null", NULL },
        { "[]", NULL },
        { "{\"a\":1}", NULL }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        value = json_loads(texts[i].json, JSON_DECODE_ANY, NULL);

        if (texts[i].text == NULL) {
            is_num(conduit_pointer_text(value, buf, &text), CONDUIT_DECLINED,
                   "%s has no text", texts[i].json);

        } else if (is_num(conduit_pointer_text(value, buf, &text), CONDUIT_OK,
                          "%s has a text", texts[i].json))
        {
            is_mem(text.data, text.len, texts[i].text, strlen(texts[i].text),
                   "text of %s", texts[i].json);
        }

        json_decref(value);
    }

    is_num(conduit_pointer_text(NULL, buf, &text), CONDUIT_DECLINED,
           "nothing has no text");
}


int
main(void)
{
    test_read();
    test_malformed();
    test_write();
    test_text();

    return done_testing();
}
