
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_token.h"
#include "tap.h"


static const u_char  secret[CONDUIT_TOKEN_SECRET + 1] =
    "0123456789abcdef0123456789abcdef";

static const u_char  other[CONDUIT_TOKEN_SECRET + 1] =
    "0123456789abcdef0123456789abcdeF";


static void test_make(conduit_token_t *token, const char *name);
static int test_read(conduit_token_t *token, u_char *data, size_t len,
    int64_t now, int64_t max_age);
static void test_round(void);
static void test_forged(void);
static void test_stale(void);
static void test_names(void);


static void
test_make(conduit_token_t *token, const char *name)
{
    token->key.data = (u_char *) name;
    token->key.len = strlen(name);
    token->hub = 2;
    token->flags = CONDUIT_TOKEN_STATEFUL;
    token->issued = 1800000000123;

    memcpy(token->id, "\0\x01\xfe\xff" "abcdefghijkl", CONDUIT_TOKEN_ID);
    memcpy(token->from, "mnopqrstuvwxyz" "\0\xff", CONDUIT_TOKEN_ID);
}


static int
test_read(conduit_token_t *token, u_char *data, size_t len, int64_t now,
    int64_t max_age)
{
    static u_char  buf[CONDUIT_TOKEN_BUF];

    conduit_str_t  text;

    text.data = data;
    text.len = len;

    return conduit_token_read(token, buf, &text, secret, now, max_age);
}


static void
test_round(void)
{
    size_t           i, n;
    u_char           dst[CONDUIT_TOKEN_MAX];
    u_char           id[CONDUIT_TOKEN_ID_LEN];
    conduit_str_t    text;
    conduit_token_t  token, got;

    test_make(&token, "alice");

    n = conduit_token_write(dst, &token, secret);
    is_num(n, (43 + 5 + 32) * 4 / 3 + 1, "length");

    for (i = 0; i < n; i++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                   "0123456789-_", dst[i]) == NULL)
        {
            break;
        }
    }

    is_num(i, n, "only characters of base64url");

    memset(&got, 0, sizeof(got));

    is_num(test_read(&got, dst, n, token.issued, 60000), CONDUIT_OK, "read");
    is_mem(got.key.data, got.key.len, "alice", 5, "key");
    is_num(got.hub, 2, "hub");
    is_num(got.flags, CONDUIT_TOKEN_STATEFUL, "flags");
    is_num(got.issued, 1800000000123, "time");
    is_mem(got.id, sizeof(got.id), token.id, sizeof(token.id), "id");
    is_mem(got.from, sizeof(got.from), token.from, sizeof(token.from),
           "whom it succeeds");

    conduit_token_id(id, token.id);
    is_mem(id, sizeof(id), "AAH-_2FiY2RlZmdoaWprbA", 22, "id as text");

    text.data = id;
    text.len = sizeof(id);
    memset(got.id, 0, sizeof(got.id));

    is_num(conduit_token_id_read(got.id, &text), CONDUIT_OK, "id is read");
    is_mem(got.id, sizeof(got.id), token.id, sizeof(token.id), "again");

    text.len--;
    is_num(conduit_token_id_read(got.id, &text), CONDUIT_DECLINED,
           "not a part of it");

    text.data = dst;
    text.len = n;
    is_num(conduit_token_id_read(got.id, &text), CONDUIT_DECLINED,
           "nor a token");
}


static void
test_forged(void)
{
    size_t           i, n, bad;
    u_char           dst[CONDUIT_TOKEN_MAX + 8], ch, *p;
    conduit_token_t  token;

    test_make(&token, "bob");
    n = conduit_token_write(dst, &token, secret);

    /* every character is covered by the signature */

    for (i = 0, bad = 0; i < n; i++) {
        ch = dst[i];

        for (p = (u_char *) "A9-_.+/=\n"; *p; p++) {

            if (*p == ch) {
                continue;
            }

            dst[i] = *p;

            if (test_read(&token, dst, n, token.issued, 0)
                != CONDUIT_DECLINED)
            {
                bad++;
            }
        }

        dst[i] = ch;
    }

    is_num(bad, 0, "no character can be changed");

    for (i = 0, bad = 0; i < n; i++) {
        if (test_read(&token, dst, i, token.issued, 0) != CONDUIT_DECLINED) {
            bad++;
        }
    }

    is_num(bad, 0, "no part of it passes");

    memcpy(dst + n, "AAAA", 4);

    for (i = 1; i <= 4; i++) {
        is_num(test_read(&token, dst, n + i, token.issued, 0),
               CONDUIT_DECLINED, "%zu characters more", i);
    }

    test_make(&token, "bob");
    n = conduit_token_write(dst, &token, other);
    is_num(test_read(&token, dst, n, 1800000000123, 0), CONDUIT_DECLINED,
           "another secret");

    memset(dst, 'A', sizeof(dst));
    is_num(test_read(&token, dst, CONDUIT_TOKEN_MAX, 0, 0), CONDUIT_DECLINED,
           "zeros");
    is_num(test_read(&token, dst, CONDUIT_TOKEN_MAX + 1, 0, 0),
           CONDUIT_DECLINED, "too long");
    is_num(test_read(&token, dst, 0, 0, 0), CONDUIT_DECLINED, "empty");
}


static void
test_stale(void)
{
    size_t           n;
    u_char           dst[CONDUIT_TOKEN_MAX];
    int64_t          at;
    conduit_token_t  token;

    test_make(&token, "carol");
    at = token.issued;
    n = conduit_token_write(dst, &token, secret);

    is_num(test_read(&token, dst, n, at + 15000, 15000), CONDUIT_OK,
           "as old as may be");
    is_num(test_read(&token, dst, n, at + 15001, 15000), CONDUIT_DECLINED,
           "too old");
    is_num(test_read(&token, dst, n, at + 1000000000, 0), CONDUIT_OK,
           "old, without a limit");
    is_num(test_read(&token, dst, n, at - 5000, 15000), CONDUIT_OK,
           "a clock that is behind");
    is_num(test_read(&token, dst, n, at - 5001, 15000), CONDUIT_DECLINED,
           "from the future");
}


static void
test_names(void)
{
    size_t           n;
    char             name[CONDUIT_TOKEN_KEY_MAX + 2];
    u_char           dst[CONDUIT_TOKEN_MAX];
    conduit_token_t  token;

    memset(name, 'n', sizeof(name));
    name[CONDUIT_TOKEN_KEY_MAX + 1] = '\0';

    test_make(&token, name);
    is_num(conduit_token_write(dst, &token, secret), 0, "256 bytes of name");

    name[CONDUIT_TOKEN_KEY_MAX] = '\0';

    test_make(&token, name);
    n = conduit_token_write(dst, &token, secret);

    ok(n > 400 && n <= CONDUIT_TOKEN_MAX, "255 bytes of name");
    is_num(test_read(&token, dst, n, token.issued, 1), CONDUIT_OK, "read");
    is_mem(token.key.data, token.key.len, name, CONDUIT_TOKEN_KEY_MAX,
           "its name");

    test_make(&token, "");
    is_num(conduit_token_write(dst, &token, secret), 0, "no name");
}


int
main(void)
{
    test_round();
    test_forged();
    test_stale();
    test_names();

    return done_testing();
}
