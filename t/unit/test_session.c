
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_session.h"
#include "tap.h"


static void test_fill(conduit_session_t *session);
static size_t test_write(u_char *dst, size_t nsubs, size_t nmessages);
static void test_round(void);
static void test_empty(void);
static void test_broken(void);
static void test_roam(void);


static void
test_fill(conduit_session_t *session)
{
    memset(session, 0, sizeof(conduit_session_t));

    session->flags = CONDUIT_SESSION_SHAKEN|CONDUIT_SESSION_ALL;
    session->events = 0x1f;
    session->seen = 0x0102030405060708;
    session->sent = 7;
    session->received = (uint64_t) -1;

    memset(session->from, 'f', CONDUIT_SESSION_ID);
    memset(session->digest, 'd', CONDUIT_SESSION_DIGEST);

    session->input.data = (u_char *) "\0\0\0\3abc\0\0\0\7{\"type\"";
    session->input.len = 18;
}


static size_t
test_write(u_char *dst, size_t nsubs, size_t nmessages)
{
    size_t                 i;
    u_char                *p;
    conduit_session_t      session;
    conduit_session_sub_t  sub;

    test_fill(&session);
    session.nsubs = nsubs;

    p = conduit_session_write(dst, &session);

    for (i = 0; i < nsubs; i++) {
        memset(sub.task, 'a' + i, CONDUIT_SESSION_ID);
        sub.sequence = i << 33;
        sub.told = i;
        sub.events = 255 - i;

        p = conduit_session_write_sub(p, &sub);
    }

    for (i = 0; i < nmessages; i++) {
        p = conduit_session_write_message(p, (u_char *) "message", i);
    }

    return p - dst;
}


static void
test_round(void)
{
    size_t                     i, n;
    u_char                     buf[512];
    conduit_str_t              text, message;
    conduit_session_t          session, got;
    conduit_session_sub_t      sub;
    conduit_session_reader_t   reader;

    test_fill(&session);
    n = test_write(buf, 3, 4);

    is_num(n, CONDUIT_SESSION_HEAD + 18 + 3 * CONDUIT_SESSION_SUB
           + 4 * CONDUIT_SESSION_MESSAGE + 0 + 1 + 2 + 3, "length");

    text.data = buf;
    text.len = n;

    is_num(conduit_session_read(&got, &reader, &text), CONDUIT_OK, "read");
    is_num(got.flags, session.flags, "flags");
    is_num(got.events, 0x1f, "events");
    ok(got.seen == session.seen, "seen");
    ok(got.sent == 7, "sent");
    ok(got.received == (uint64_t) -1, "received");
    is_mem(got.from, sizeof(got.from), session.from, sizeof(session.from),
           "from");
    is_mem(got.digest, sizeof(got.digest), session.digest,
           sizeof(session.digest), "digest");
    is_num(got.nsubs, 3, "subscriptions");
    is_mem(got.input.data, got.input.len, session.input.data,
           session.input.len, "input");

    for (i = 0; i < 3; i++) {
        is_num(conduit_session_read_sub(&sub, &reader), CONDUIT_OK,
               "subscription %zu", i);
        is_num(sub.task[0], 'a' + i, "its task");
        ok(sub.sequence == (uint64_t) i << 33, "its sequence");
        is_num(sub.told, i, "what was told");
        is_num(sub.events, 255 - i, "its events");
    }

    is_num(conduit_session_read_sub(&sub, &reader), CONDUIT_DECLINED,
           "no more");

    for (i = 0; i < 4; i++) {
        is_num(conduit_session_read_message(&message, &reader), CONDUIT_OK,
               "message %zu", i);
        is_mem(message.data, message.len, "message", i, "its bytes");
    }

    is_num(conduit_session_read_message(&message, &reader), CONDUIT_DECLINED,
           "no more");
}


static void
test_empty(void)
{
    u_char                     buf[512];
    conduit_str_t              text, message;
    conduit_session_t          session;
    conduit_session_sub_t      sub;
    conduit_session_reader_t   reader;

    memset(&session, 0, sizeof(conduit_session_t));

    text.data = buf;
    text.len = conduit_session_write(buf, &session) - buf;

    is_num(text.len, CONDUIT_SESSION_HEAD, "the head alone");
    is_num(conduit_session_read(&session, &reader, &text), CONDUIT_OK,
           "is a state");
    is_num(conduit_session_read_sub(&sub, &reader), CONDUIT_DECLINED,
           "without subscriptions");
    is_num(conduit_session_read_message(&message, &reader), CONDUIT_DECLINED,
           "and messages");
}


/* whatever is cut off is noticed, but for a whole message at the end */

static void
test_broken(void)
{
    size_t                     i, n, good;
    u_char                     buf[512];
    conduit_str_t              text;
    conduit_session_t          session;
    conduit_session_reader_t   reader;

    n = test_write(buf, 2, 1);
    n = n - 1;                /* into the length of the message */

    text.data = buf;

    for (i = 0, good = 0; i <= n; i++) {
        text.len = i;

        if (conduit_session_read(&session, &reader, &text) == CONDUIT_OK) {
            good++;
        }
    }

    is_num(good, 1, "only the part without the message");

    n = test_write(buf, 0, 2);
    buf[n - 2] = 2;           /* the length of the second one */
    text.len = n;

    is_num(conduit_session_read(&session, &reader, &text), CONDUIT_ERROR,
           "a message that is too long");

    n = test_write(buf, 0, 0);
    buf[CONDUIT_SESSION_HEAD - 4] = 0xff;
    text.len = n;

    is_num(conduit_session_read(&session, &reader, &text), CONDUIT_ERROR,
           "an input that is too long");

    n = test_write(buf, 0, 0);
    buf[CONDUIT_SESSION_HEAD + 3] = 4;
    text.len = n;

    is_num(conduit_session_read(&session, &reader, &text), CONDUIT_ERROR,
           "an input that is none");
}


/* to another host: the stamp is left behind, what was told goes along */

static void
test_roam(void)
{
    size_t                     i;
    u_char                     buf[512], moved[512];
    conduit_str_t              text, message;
    conduit_session_t          session;
    conduit_session_sub_t      sub, told[2];
    conduit_session_reader_t   reader;

    text.data = buf;
    text.len = test_write(buf, 2, 3);

    ok(conduit_session_seen(buf, text.len) == 0x0102030405060708, "its stamp");
    ok(conduit_session_seen(buf, 10) == 0, "of no state");

    for (i = 0; i < 2; i++) {
        memset(told[i].task, 't' + i, CONDUIT_SESSION_ID);
        told[i].sequence = 7 + i;
        told[i].told = 1;
        told[i].events = 0;
    }

    i = conduit_session_roam(moved, &text, 1234567890123, told, 2) - moved;

    is_num(i, text.len + 2 * CONDUIT_SESSION_SUB, "longer by two");

    conduit_session_land(moved, i, 42);

    text.data = moved;
    text.len = i;

    is_num(conduit_session_read(&session, &reader, &text), CONDUIT_OK, "read");
    is_num(session.flags, CONDUIT_SESSION_SHAKEN|CONDUIT_SESSION_ALL
                          |CONDUIT_SESSION_ROAMS, "flags");
    ok(session.seen == 42, "the stamp of where it came to");
    ok(session.since == 1234567890123, "the time");
    is_num(session.nsubs, 4, "subscriptions, and what was told");
    is_mem(session.input.data, session.input.len,
           "\0\0\0\3abc\0\0\0\7{\"type\"", 18, "input");

    for (i = 0; i < 4; i++) {
        is_num(conduit_session_read_sub(&sub, &reader), CONDUIT_OK, "one");
        is_num(sub.task[0], i < 2 ? 't' + i : 'a' + i - 2, "its task");
        is_num(sub.events, i < 2 ? 0 : 255 - (i - 2), "its events");
    }

    for (i = 0; i < 3; i++) {
        is_num(conduit_session_read_message(&message, &reader), CONDUIT_OK,
               "message %zu", i);
        is_mem(message.data, message.len, "message", i, "its bytes");
    }

    is_num(conduit_session_read_message(&message, &reader), CONDUIT_DECLINED,
           "no more");

    text.len = 10;

    ok(conduit_session_roam(buf, &text, 1, told, 2) == buf, "of no state");
}


int
main(void)
{
    test_round();
    test_empty();
    test_broken();
    test_roam();

    return done_testing();
}
