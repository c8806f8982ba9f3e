
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_id.h"
#include "tap.h"


#define parse(s)  conduit_uuid_parse(id, (const u_char *) (s), strlen(s))
#define check(s)  conduit_request_id_check((const u_char *) (s), sizeof(s) - 1)


static void test_uuid(void);
static void test_uuid_refused(void);
static void test_base62(void);
static void test_request_id(void);


int
main(void)
{
    test_uuid();
    test_uuid_refused();
    test_base62();
    test_request_id();

    return done_testing();
}


static void
test_uuid(void)
{
    u_char  text[CONDUIT_UUID_LEN], id[CONDUIT_UUID_BYTES];

    memset(id, 0xff, sizeof(id));
    conduit_uuid_make(id);
    conduit_uuid_write(text, id);
    is_mem(text, sizeof(text), "ffffffff-ffff-4fff-bfff-ffffffffffff", 36,
           "version and variant over ones");

    is_num(conduit_uuid_parse(id, text, sizeof(text)), CONDUIT_OK,
           "what is written is read");

    memset(id, 0, sizeof(id));
    conduit_uuid_make(id);
    conduit_uuid_write(text, id);
    is_mem(text, sizeof(text), "00000000-0000-4000-8000-000000000000", 36,
           "version and variant over zeros");

    is_num(parse("550e8400-e29b-41d4-a716-446655440000"), CONDUIT_OK,
           "a common UUID");
    is_mem(id, sizeof(id),
           "\x55\x0e\x84\x00\xe2\x9b\x41\xd4\xa7\x16\x44\x66\x55\x44\x00\x00",
           16, "its bytes");

    conduit_uuid_write(text, id);
    is_mem(text, sizeof(text), "550e8400-e29b-41d4-a716-446655440000", 36,
           "and back");
}


static void
test_uuid_refused(void)
{
    size_t  i;
    u_char  id[CONDUIT_UUID_BYTES];

    static const char  *bad[] = {
        "",
        "550e8400",
        "550E8400-e29b-41d4-a716-446655440000",
        "550e8400-e29b-11d4-a716-446655440000",
        "550e8400-e29b-41d4-c716-446655440000",
        "550e8400-e29b-41d4-7716-446655440000",
        "550e8400-e29b-41d4-a716-44665544000",
        "550e8400-e29b-41d4-a716-4466554400000",
        "550e8400-e29b-41d4-a716-44665544000g",
        "550e8400-e29b-41d4-a716_446655440000",
        "550e8400e29b-41d4-a716-4466554400001",
        "{50e8400-e29b-41d4-a716-44665544000}",
        "00000000-0000-0000-0000-000000000000"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(parse(bad[i]), CONDUIT_DECLINED, "no task id: \"%s\"", bad[i]);
    }
}


static void
test_base62(void)
{
    u_char  bytes[16], text[CONDUIT_BASE62_LEN];

    memset(bytes, 0, sizeof(bytes));
    conduit_base62(text, bytes);
    is_mem(text, sizeof(text), "0000000000000000000000", 22, "zero");

    bytes[15] = 62;
    conduit_base62(text, bytes);
    is_mem(text, sizeof(text), "0000000000000000000010", 22, "62");

    bytes[7] = 61;
    conduit_base62(text, bytes);
    is_mem(text, sizeof(text), "0000000000z00000000010", 22, "two halves");

    memset(bytes, 0xff, sizeof(bytes));
    conduit_base62(text, bytes);
    is_mem(text, sizeof(text), "LygHa16AHYFLygHa16AHYF", 22, "2^128 - 1");
}


static void
test_request_id(void)
{
    char  text[130];

    is_num(check("req_A-z.0:9"), CONDUIT_OK, "sane");
    is_num(check(""), CONDUIT_DECLINED, "empty");
    is_num(check("a b"), CONDUIT_DECLINED, "a blank");
    is_num(check("a\r\nX: 1"), CONDUIT_DECLINED, "a line end");
    is_num(check("a\0b"), CONDUIT_DECLINED, "NUL");
    is_num(check("\xc3\xa4"), CONDUIT_DECLINED, "not ASCII");
    is_num(check("a/b"), CONDUIT_DECLINED, "a slash");

    memset(text, 'a', sizeof(text));
    is_num(conduit_request_id_check((u_char *) text, 128), CONDUIT_OK, "128");
    is_num(conduit_request_id_check((u_char *) text, 129), CONDUIT_DECLINED,
           "129");
}
