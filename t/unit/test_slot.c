
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_slot.h"
#include "tap.h"


#define slot(k)  conduit_slot((const u_char *) (k), strlen(k))


static int
parse(conduit_redirect_t *r, const char *text)
{
    return conduit_redirect_parse(r, (const u_char *) text, strlen(text));
}


static void
test_slots(void)
{
    is_num(slot("123456789"), 0x31c3, "the check value of the CRC");
    is_num(slot(""), 0, "nothing");
    is_num(conduit_slot(NULL, 0), 0, "no key at all");
    is_num(slot("foo"), 12182, "a key without braces");
    is_num(slot("\xff\x80"), conduit_slot((const u_char *) "\xff\x80", 2),
           "bytes above 127");

    is_num(slot("{user1000}.following"), slot("user1000"), "a tag in front");
    is_num(slot("{user1000}.followers"), slot("{user1000}.following"),
           "one slot for one tag");
    is_num(slot("conduit:{07}:task:x"), slot("07"), "a tag inside");
    ok(slot("foo{}{bar}") != slot("bar"), "an empty tag is none");
    ok(slot("foo{}{bar}") != slot(""), "nor is it hashed");
    is_num(slot("foo{{bar}}zap"), slot("{bar"), "up to the first brace");
    is_num(slot("foo{bar}{zap}"), slot("bar"), "the first tag");
    ok(slot("foo{bar") != slot("bar"), "a brace that is not closed");
    ok(slot("}foo{bar}") == slot("bar"), "a closing one before");
}


static void
test_redirects(void)
{
    size_t              i;
    conduit_redirect_t  r;

    static const char  *bad[] = {
        "MOVED x 127.0.0.1:6381",
        "MOVED 16384 127.0.0.1:6381",
        "MOVED 99999999999 127.0.0.1:6381",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 1 127.0.0.1",
        "MOVED 1 127.0.0.1:",
        "MOVED 1 127.0.0.1:0",
        "MOVED 1 127.0.0.1:65536",
        "MOVED 1 127.0.0.1:80x",
        "MOVED  1 127.0.0.1:80",
        "ASK -1 127.0.0.1:80"
    };

    is_num(parse(&r, "MOVED 3999 127.0.0.1:6381"), CONDUIT_OK, "moved");
    is_num(r.slot, 3999, "its slot");
    is_mem(r.host.data, r.host.len, "127.0.0.1", 9, "its host");
    is_num(r.port, 6381, "its port");
    is_num(r.ask, 0, "for ever");

    is_num(parse(&r, "ASK 16383 fe80::1:65535"), CONDUIT_OK, "ask");
    is_num(r.slot, 16383, "the last slot");
    is_mem(r.host.data, r.host.len, "fe80::1", 7, "an IPv6 address");
    is_num(r.port, 65535, "the last port");
    is_num(r.ask, 1, "once");

    is_num(parse(&r, "MOVED 0 :7000"), CONDUIT_OK, "without a host");
    is_num((int) r.host.len, 0, "the same host");
    is_num(parse(&r, "MOVED 0 ?:7000"), CONDUIT_OK, "an unknown host");
    is_num((int) r.host.len, 0, "is the same host");
    is_num(parse(&r, "MOVED 5 node-1.example:7000"), CONDUIT_OK, "a name");
    is_mem(r.host.data, r.host.len, "node-1.example", 14, "is given");

    is_num(parse(&r, ""), CONDUIT_DECLINED, "nothing");
    is_num(parse(&r, "MOVED"), CONDUIT_DECLINED, "a word alone");
    is_num(parse(&r, "ERR unknown command"), CONDUIT_DECLINED, "an error");
    is_num(parse(&r, "ASKING 1 h:1"), CONDUIT_DECLINED, "another word");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(parse(&r, bad[i]), CONDUIT_ERROR, "\"%s\" is malformed",
               bad[i]);
    }
}


int
main(void)
{
    test_slots();
    test_redirects();

    return done_testing();
}
