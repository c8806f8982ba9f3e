
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_ws.h"
#include "tap.h"


#define TEXT_MAX  4096

#define frame(...)  { { __VA_ARGS__ }, sizeof((u_char []) { __VA_ARGS__ }) }

/* masks that change nothing make readable frames */

#define M  0, 0, 0, 0


typedef struct {
    u_char         data[40];
    size_t         len;
} test_bytes_t;


typedef struct {
    const char    *name;
    test_bytes_t   in;
    const char    *said;          /* what was read, see test_said() */
} test_case_t;


static char  said[TEXT_MAX];


static void test_said(const conduit_ws_event_t *ev);
static void test_feed(const u_char *data, size_t len, size_t step,
    uint64_t max);
static void test_cases(const test_case_t *cases, size_t n, uint64_t max);
static void test_reader(void);
static void test_violations(void);
static void test_text(void);
static void test_close_codes(void);
static void test_sizes(void);
static void test_masks(void);
static void test_handshake(void);
static void test_writer(void);


/* "T<hello>" a text, "B", "[": begun, "|": more slices, "P", "O", "C1000 " */

static void
test_said(const conduit_ws_event_t *ev)
{
    size_t  n;

    n = strlen(said);

    switch (ev->opcode) {

    case CONDUIT_WS_TEXT:
    case CONDUIT_WS_BINARY:

        if (ev->first) {
            said[n++] = (ev->opcode == CONDUIT_WS_TEXT) ? 'T' : 'B';
            said[n++] = '<';
        }

        break;

    case CONDUIT_WS_CLOSE:
        n += sprintf(said + n, "C%u<", ev->code);
        break;

    default:
        n += sprintf(said + n, "%s<",
                     (ev->opcode == CONDUIT_WS_PING) ? "ping" : "pong");
        break;
    }

    if (ev->data.len) {
        memcpy(said + n, ev->data.data, ev->data.len);
        n += ev->data.len;
    }

    if (ev->opcode > CONDUIT_WS_BINARY || ev->last) {
        said[n++] = '>';
    }

    said[n] = '\0';
}


/* reads the input in pieces of "step" bytes, each in memory of its own */

static void
test_feed(const u_char *data, size_t len, size_t step, uint64_t max)
{
    int                  rc;
    size_t               n;
    u_char              *copy, *pos;
    conduit_ws_t         ws;
    conduit_ws_event_t   ev;

    conduit_ws_init(&ws, max);
    said[0] = '\0';

    while (len) {
        n = (step < len) ? step : len;

        copy = malloc(n);
        if (copy == NULL) {
            abort();
        }

        memcpy(copy, data, n);
        data += n;
        len -= n;
        pos = copy;

        for ( ;; ) {
            rc = conduit_ws_read(&ws, &pos, copy + n, &ev);

            if (rc != CONDUIT_OK) {
                break;
            }

            test_said(&ev);
        }

        if (pos != copy + n) {
            strcat(said, "(left)");
        }

        if (rc == CONDUIT_ERROR) {
            sprintf(said + strlen(said), "!%u", ev.code);
        }

        free(copy);
    }
}


static void
test_cases(const test_case_t *cases, size_t n, uint64_t max)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        test_feed(cases[i].in.data, cases[i].in.len, cases[i].in.len, max);
        is_str(said, cases[i].said, "%s", cases[i].name);

        test_feed(cases[i].in.data, cases[i].in.len, 1, max);
        is_str(said, cases[i].said, "%s, byte by byte", cases[i].name);

        test_feed(cases[i].in.data, cases[i].in.len, 3, max);
        is_str(said, cases[i].said, "%s, by three", cases[i].name);
    }
}


static void
test_reader(void)
{
    static const test_case_t  cases[] = {

        { "text", frame(0x81, 0x82, M, 'h', 'i'), "T<hi>" },
        { "binary", frame(0x82, 0x82, M, 'h', 'i'), "B<hi>" },
        { "empty text", frame(0x81, 0x80, M), "T<>" },
        { "masked text",
          frame(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51,
                0x58), "T<Hello>" },
        { "two frames in one read",
          frame(0x81, 0x81, M, 'a', 0x82, 0x81, M, 'b'), "T<a>B<b>" },
        { "fragments",
          frame(0x01, 0x81, M, 'a', 0x00, 0x81, M, 'b', 0x80, 0x81, M, 'c'),
          "T<abc>" },
        { "fragments around control frames",
          frame(0x01, 0x81, M, 'a', 0x89, 0x81, M, 'x', 0x00, 0x81, M, 'b',
                0x8a, 0x80, M, 0x80, 0x81, M, 'c'),
          "T<aping<x>bpong<>c>" },
        { "empty fragments",
          frame(0x02, 0x80, M, 0x00, 0x80, M, 0x80, 0x80, M), "B<>" },
        { "empty fragments around one byte",
          frame(0x02, 0x80, M, 0x00, 0x81, M, 'a', 0x80, 0x80, M), "B<a>" },
        { "ping", frame(0x89, 0x82, 1, 2, 1, 2, 'h' ^ 1, 'i' ^ 2),
          "ping<hi>" },
        { "unsolicited pong", frame(0x8a, 0x80, M), "pong<>" },
        { "close without code", frame(0x88, 0x80, M), "C1005<>" },
        { "close with code", frame(0x88, 0x82, M, 3, 0xe8), "C1000<>" },
        { "close with reason", frame(0x88, 0x85, M, 3, 0xe9, 'b', 'y', 'e'),
          "C1001<bye>" },
        { "nothing after a close",
          frame(0x88, 0x80, M, 0x81, 0x81, M, 'a', 0xff, 0xff), "C1005<>" },
        { "close within a message",
          frame(0x01, 0x81, M, 'a', 0x88, 0x82, M, 3, 0xe8), "T<aC1000<>" }
    };

    test_cases(cases, sizeof(cases) / sizeof(cases[0]), 0);
}


static void
test_violations(void)
{
    static const test_case_t  cases[] = {

        { "unmasked", frame(0x81, 0x01, 'a'), "!1002" },
        { "unmasked and empty", frame(0x81, 0x00), "!1002" },
        { "RSV1", frame(0xc1, 0x80, M), "!1002" },
        { "RSV2", frame(0xa1, 0x80, M), "!1002" },
        { "RSV3", frame(0x91, 0x80, M), "!1002" },
        { "RSV1 of a control frame", frame(0xc9, 0x80, M), "!1002" },
        { "opcode 3", frame(0x83, 0x80, M), "!1002" },
        { "opcode 7", frame(0x87, 0x80, M), "!1002" },
        { "opcode 11", frame(0x8b, 0x80, M), "!1002" },
        { "opcode 15", frame(0x8f, 0x80, M), "!1002" },
        { "ping of 126 bytes", frame(0x89, 0xfe, 0, 126, M), "!1002" },
        { "close of 126 bytes", frame(0x88, 0xfe, 0, 126, M), "!1002" },
        { "fragmented ping", frame(0x09, 0x80, M), "!1002" },
        { "fragmented close", frame(0x08, 0x80, M), "!1002" },
        { "continuation of nothing", frame(0x80, 0x80, M), "!1002" },
        { "continuation after a whole message",
          frame(0x81, 0x81, M, 'a', 0x80, 0x80, M), "T<a>!1002" },
        { "text within a message",
          frame(0x01, 0x81, M, 'a', 0x81, 0x80, M), "T<a!1002" },
        { "binary within a message",
          frame(0x02, 0x80, M, 0x82, 0x80, M), "!1002" },
        { "16 bit length of 125", frame(0x82, 0xfe, 0, 125, M), "!1002" },
        { "64 bit length of 65535",
          frame(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, M), "!1002" },
        { "64 bit length with its highest bit",
          frame(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, M), "!1002" },
        { "close of one byte", frame(0x88, 0x81, M, 3), "!1002" },
        { "close reason that is not UTF-8",
          frame(0x88, 0x83, M, 3, 0xe8, 0xff), "!1007" },
        { "close reason that ends within a code point",
          frame(0x88, 0x83, M, 3, 0xe8, 0xc3), "!1007" },
        { "nothing after an error",
          frame(0x81, 0x00, 0x81, 0x81, M, 'a'), "!1002" }
    };

    test_cases(cases, sizeof(cases) / sizeof(cases[0]), 0);
}


static void
test_text(void)
{
    static const test_case_t  cases[] = {

        { "two bytes over two fragments",
          frame(0x01, 0x81, M, 0xc3, 0x80, 0x81, M, 0xa4), "T<\xc3\xa4>" },
        { "four bytes over four fragments and a ping",
          frame(0x01, 0x81, M, 0xf0, 0x00, 0x81, M, 0x9f, 0x89, 0x80, M,
                0x00, 0x81, M, 0x98, 0x80, 0x81, M, 0x80),
          "T<\xf0\x9fping<>\x98\x80>" },
        { "U+10FFFF", frame(0x81, 0x84, M, 0xf4, 0x8f, 0xbf, 0xbf),
          "T<\xf4\x8f\xbf\xbf>" },
        { "U+FFFF", frame(0x81, 0x83, M, 0xef, 0xbf, 0xbf),
          "T<\xef\xbf\xbf>" },
        { "binary is not looked at", frame(0x82, 0x81, M, 0xff), "B<\xff>" },
        { "lone continuation byte", frame(0x81, 0x81, M, 0x80), "!1007" },
        { "0xff", frame(0x81, 0x81, M, 0xff), "!1007" },
        { "two bytes too long", frame(0x81, 0x81, M, 0xc0), "!1007" },
        { "0xf5", frame(0x81, 0x81, M, 0xf5), "!1007" },
        { "message that ends within a code point",
          frame(0x81, 0x81, M, 0xc3), "!1007" },
        { "fragments that end within a code point",
          frame(0x01, 0x81, M, 0xe2, 0x80, 0x80, M), "T<\xe2!1007" },
        { "a next message does not go on",
          frame(0x02, 0x81, M, 0xc3, 0x80, 0x80, M, 0x81, 0x81, M, 0xa4),
          "B<\xc3>!1007" }
    };

    static const test_case_t  pairs[] = {

        { "three bytes too long", frame(0x81, 0x82, M, 0xe0, 0x9f), "!1007" },
        { "surrogate", frame(0x81, 0x82, M, 0xed, 0xa0), "!1007" },
        { "four bytes too long", frame(0x81, 0x82, M, 0xf0, 0x8f), "!1007" },
        { "beyond U+10FFFF", frame(0x81, 0x82, M, 0xf4, 0x90), "!1007" },
        { "lead and ASCII", frame(0x81, 0x82, M, 0xc3, 'a'), "!1007" }
    };

    size_t  i;
    u_char  text[40];

    test_cases(cases, sizeof(cases) / sizeof(cases[0]), 0);

    /* read byte by byte, the first half is given before the fault is seen */

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        test_feed(pairs[i].in.data, pairs[i].in.len, pairs[i].in.len, 0);
        is_str(said, pairs[i].said, "%s", pairs[i].name);

        test_feed(pairs[i].in.data, pairs[i].in.len, 1, 0);
        is_str(said + 3, pairs[i].said, "%s, byte by byte", pairs[i].name);
    }

    /* behind the bytes that are checked by words */

    memset(text, 'a', sizeof(text));
    memcpy(text, "\x81\xa2\0\0\0\0", 6);

    for (i = 6; i < sizeof(text); i++) {
        text[i] = 0x80;
        test_feed(text, sizeof(text), sizeof(text), 0);
        is_str(said, "!1007", "bad byte at %zu", i - 6);
        text[i] = 'a';
    }
}


static void
test_close_codes(void)
{
    size_t    i;
    u_char    text[8];
    char      expected[32];

    static const unsigned  good[] = {
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
        1014, 3000, 3999, 4000, 4999
    };

    static const unsigned  bad[] = {
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535
    };

    memcpy(text, "\x88\x82\0\0\0\0", 6);

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        text[6] = good[i] >> 8;
        text[7] = good[i] & 0xff;

        sprintf(expected, "C%u<>", good[i]);
        test_feed(text, 8, 8, 0);
        is_str(said, expected, "close code %u", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text[6] = bad[i] >> 8;
        text[7] = bad[i] & 0xff;

        test_feed(text, 8, 8, 0);
        is_str(said, "!1002", "close code %u is not one", bad[i]);
    }
}


static void
test_sizes(void)
{
    size_t                i;
    u_char                text[140], *big, *pos;
    conduit_ws_t          ws;
    conduit_ws_event_t    ev;
    const size_t          size = 70000;

    static const test_case_t  cases[] = {

        { "a message of the limit", frame(0x81, 0x83, M, 'a', 'b', 'c'),
          "T<abc>" },
        { "one byte more", frame(0x81, 0x84, M), "!1009" },
        { "fragments of the limit",
          frame(0x01, 0x82, M, 'a', 'b', 0x80, 0x81, M, 'c'), "T<abc>" },
        { "fragments with one byte more",
          frame(0x01, 0x81, M, 'a', 0x00, 0x81, M, 'b', 0x80, 0x82, M),
          "T<ab!1009" },
        { "the most that can be announced",
          frame(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                M), "!1009" },
        { "each message counts alone",
          frame(0x81, 0x82, M, 'a', 'b', 0x81, 0x82, M, 'c', 'd'),
          "T<ab>T<cd>" },
        { "control frames do not count",
          frame(0x01, 0x81, M, 'a', 0x89, 0x84, M, 'p', 'i', 'n', 'g', 0x80,
                0x82, M, 'b', 'c'), "T<aping<ping>bc>" }
    };

    test_cases(cases, sizeof(cases) / sizeof(cases[0]), 3);

    memset(text, 'p', sizeof(text));
    memcpy(text, "\x89\xfd\0\0\0\0", 6);
    test_feed(text, 6 + 125, 7, 0);
    is_num(strlen(said), 125 + sizeof("ping<>") - 1, "ping of 125 bytes");

    big = malloc(size + 14);
    if (big == NULL) {
        abort();
    }

    memcpy(big, "\x82\xff\0\0\0\0\0\x01\x11\x70\x01\x02\x03\x04", 14);

    for (i = 0; i < size; i++) {
        big[14 + i] = (i & 0xff) ^ (i % 4 + 1);
    }

    conduit_ws_init(&ws, size);
    pos = big;

    is_num(conduit_ws_read(&ws, &pos, big + 14 + size, &ev), CONDUIT_OK,
           "70000 bytes");
    ok(ev.data.data == big + 14 && ev.data.len == size && ev.last,
       "in one slice, in place");

    for (i = 0; i < size && big[14 + i] == (i & 0xff); i++) { /* void */ }

    is_num(i, size, "unmasked");

    free(big);
}


/* the mask goes on where a slice has ended, for every length of slices */

static void
test_masks(void)
{
    size_t  i, step;
    u_char  text[6 + 100];
    char    expected[110];

    memcpy(text, "\x81\xe4\xde\xad\xbe\xef", 6);
    memcpy(expected, "T<", 3);

    for (i = 0; i < 100; i++) {
        expected[2 + i] = 'a' + i % 26;
        text[6 + i] = expected[2 + i] ^ text[2 + i % 4];
    }

    memcpy(expected + 102, ">", 2);

    for (step = 1; step <= sizeof(text); step += (step < 20) ? 1 : 17) {
        test_feed(text, sizeof(text), step, 100);
        is_str(said, expected, "masked text by %zu", step);
    }
}


static void
test_handshake(void)
{
    size_t                 i;
    u_char                 accept[CONDUIT_WS_ACCEPT_LEN];
    unsigned               status;
    conduit_ws_request_t   req;

    static const struct {
        const char  *name, *upgrade, *connection, *version, *key;
        int          rc;
        unsigned     status;
    } cases[] = {
        { "plain", "websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==",
          CONDUIT_OK, 0 },
        { "lists and case", "h2c, WebSocket", "keep-alive ,\tupgrade", "13",
          "AAAAAAAAAAAAAAAAAAAAAA==", CONDUIT_OK, 0 },
        { "no Upgrade", "", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==",
          CONDUIT_DECLINED, 0 },
        { "another upgrade", "websockets", "Upgrade", "13",
          "dGhlIHNhbXBsZSBub25jZQ==", CONDUIT_DECLINED, 0 },
        { "part of a token", "websocke", "Upgrade", "13",
          "dGhlIHNhbXBsZSBub25jZQ==", CONDUIT_DECLINED, 0 },
        { "two words", "web socket, websocket x", "Upgrade", "13",
          "dGhlIHNhbXBsZSBub25jZQ==", CONDUIT_DECLINED, 0 },
        { "no Connection", "websocket", "keep-alive", "13",
          "dGhlIHNhbXBsZSBub25jZQ==", CONDUIT_DECLINED, 0 },
        { "version 8", "websocket", "Upgrade", "8",
          "dGhlIHNhbXBsZSBub25jZQ==", CONDUIT_ERROR, 426 },
        { "no version", "websocket", "Upgrade", "",
          "dGhlIHNhbXBsZSBub25jZQ==", CONDUIT_ERROR, 426 },
        { "version 130", "websocket", "Upgrade", "130",
          "dGhlIHNhbXBsZSBub25jZQ==", CONDUIT_ERROR, 426 },
        { "no key", "websocket", "Upgrade", "13", "", CONDUIT_ERROR, 400 },
        { "key of 15 bytes", "websocket", "Upgrade", "13",
          "AAAAAAAAAAAAAAAAAAAA", CONDUIT_ERROR, 400 },
        { "key of 17 bytes", "websocket", "Upgrade", "13",
          "AAAAAAAAAAAAAAAAAAAAAAA=", CONDUIT_ERROR, 400 },
        { "key that is not base64", "websocket", "Upgrade", "13",
          "dGhlIHNhbXBsZSBub25j?Q==", CONDUIT_ERROR, 400 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        req.upgrade.data = (u_char *) cases[i].upgrade;
        req.upgrade.len = strlen(cases[i].upgrade);
        req.connection.data = (u_char *) cases[i].connection;
        req.connection.len = strlen(cases[i].connection);
        req.version.data = (u_char *) cases[i].version;
        req.version.len = strlen(cases[i].version);
        req.key.data = (u_char *) cases[i].key;
        req.key.len = strlen(cases[i].key);
        status = 0;

        is_num(conduit_ws_handshake(&req, &status), cases[i].rc,
               "handshake: %s", cases[i].name);
        is_num(status, cases[i].status, "status: %s", cases[i].name);
    }

    req.key.data = (u_char *) cases[0].key;
    req.key.len = strlen(cases[0].key);

    is_num(conduit_ws_accept(accept, &req.key), CONDUIT_OK, "accept");
    is_mem(accept, sizeof(accept), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28,
           "the answer of RFC 6455, 1.3");

    req.key.len--;
    is_num(conduit_ws_accept(accept, &req.key), CONDUIT_ERROR, "no key");
}


static void
test_writer(void)
{
    u_char         dst[CONDUIT_WS_HEAD_MAX + CONDUIT_WS_CONTROL_MAX];
    char           text[130];
    conduit_str_t  why;

    is_mem(dst, conduit_ws_head(dst, CONDUIT_WS_TEXT, 1, 0) - dst,
           "\x81\0", 2, "head of 0");
    is_mem(dst, conduit_ws_head(dst, CONDUIT_WS_BINARY, 0, 125) - dst,
           "\x02\x7d", 2, "head of 125");
    is_mem(dst, conduit_ws_head(dst, CONDUIT_WS_TEXT, 1, 126) - dst,
           "\x81\x7e\0\x7e", 4, "head of 126");
    is_mem(dst, conduit_ws_head(dst, CONDUIT_WS_TEXT, 1, 65535) - dst,
           "\x81\x7e\xff\xff", 4, "head of 65535");
    is_mem(dst, conduit_ws_head(dst, CONDUIT_WS_TEXT, 1, 65536) - dst,
           "\x81\x7f\0\0\0\0\0\x01\0\0", 10, "head of 65536");

    is_mem(dst, conduit_ws_close(dst, CONDUIT_WS_NO_STATUS, NULL) - dst,
           "\x88\0", 2, "close without code");
    is_mem(dst, conduit_ws_close(dst, CONDUIT_WS_NORMAL, NULL) - dst,
           "\x88\x02\x03\xe8", 4, "close without reason");

    memset(text, 'a', sizeof(text));
    memcpy(text + 122, "\xc3\xa4", 2);
    why.data = (u_char *) text;
    why.len = 124;

    is_num(conduit_ws_close(dst, CONDUIT_WS_NORMAL, &why) - dst, 126,
           "a long reason is cut before the code point");
    is_num(dst[1], 124, "and its length told");

    why.len = 123;
    text[122] = 'a';
    is_num(conduit_ws_close(dst, CONDUIT_WS_NORMAL, &why) - dst, 127,
           "a reason of 123 bytes");
}


int
main(void)
{
    test_reader();
    test_violations();
    test_text();
    test_close_codes();
    test_sizes();
    test_masks();
    test_handshake();
    test_writer();

    return done_testing();
}
