
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_session.h"


static u_char *conduit_session_put(u_char *dst, uint64_t value, int bytes);
static uint64_t conduit_session_get(const u_char **pos, int bytes);
static int conduit_session_messages(const u_char *p, const u_char *last);


u_char *
conduit_session_write(u_char *dst, const conduit_session_t *session)
{
    *dst++ = (u_char) session->flags;
    *dst++ = (u_char) session->events;

    dst = conduit_session_put(dst, session->seen, 8);
    dst = conduit_session_put(dst, session->since, 8);
    dst = conduit_session_put(dst, session->sent, 8);
    dst = conduit_session_put(dst, session->received, 8);

    memcpy(dst, session->from, CONDUIT_SESSION_ID);
    dst += CONDUIT_SESSION_ID;

    memcpy(dst, session->digest, CONDUIT_SESSION_DIGEST);
    dst += CONDUIT_SESSION_DIGEST;

    dst = conduit_session_put(dst, session->nsubs, 2);
    dst = conduit_session_put(dst, session->input.len, 4);

    if (session->input.len) {
        memcpy(dst, session->input.data, session->input.len);
    }

    return dst + session->input.len;
}


u_char *
conduit_session_write_sub(u_char *dst, const conduit_session_sub_t *sub)
{
    memcpy(dst, sub->task, CONDUIT_SESSION_ID);
    dst += CONDUIT_SESSION_ID;

    dst = conduit_session_put(dst, sub->sequence, 8);

    *dst++ = (u_char) sub->told;
    *dst++ = (u_char) sub->events;

    return dst;
}


u_char *
conduit_session_write_message(u_char *dst, const u_char *data, size_t len)
{
    dst = conduit_session_put(dst, len, CONDUIT_SESSION_MESSAGE);

    if (len) {
        memcpy(dst, data, len);
    }

    return dst + len;
}


u_char *
conduit_session_roam(u_char *dst, const conduit_str_t *text, uint64_t since,
    const conduit_session_sub_t *told, size_t n)
{
    u_char                    *p;
    conduit_session_t          session;
    conduit_session_reader_t   reader;

    if (conduit_session_read(&session, &reader, text) != CONDUIT_OK) {
        return dst;
    }

    session.flags |= CONDUIT_SESSION_ROAMS;
    session.seen = 0;
    session.since = since;
    session.nsubs += n;

    p = conduit_session_write(dst, &session);

    while (n--) {
        p = conduit_session_write_sub(p, told++);
    }

    memcpy(p, reader.pos, reader.last - reader.pos);

    return p + (reader.last - reader.pos);
}


uint64_t
conduit_session_seen(const u_char *text, size_t len)
{
    text += 2;

    return (len < CONDUIT_SESSION_HEAD) ? 0 : conduit_session_get(&text, 8);
}


void
conduit_session_land(u_char *text, size_t len, uint64_t seen)
{
    if (len >= CONDUIT_SESSION_HEAD) {
        (void) conduit_session_put(text + 2, seen, 8);
    }
}


int
conduit_session_read(conduit_session_t *session,
    conduit_session_reader_t *reader, const conduit_str_t *text)
{
    uint64_t       len;
    const u_char  *p, *last;

    if (text->len < CONDUIT_SESSION_HEAD) {
        return CONDUIT_ERROR;
    }

    p = text->data;
    last = p + text->len;

    session->flags = *p++;
    session->events = *p++;
    session->seen = conduit_session_get(&p, 8);
    session->since = conduit_session_get(&p, 8);
    session->sent = conduit_session_get(&p, 8);
    session->received = conduit_session_get(&p, 8);

    memcpy(session->from, p, CONDUIT_SESSION_ID);
    p += CONDUIT_SESSION_ID;

    memcpy(session->digest, p, CONDUIT_SESSION_DIGEST);
    p += CONDUIT_SESSION_DIGEST;

    session->nsubs = conduit_session_get(&p, 2);
    len = conduit_session_get(&p, 4);

    if (len > (uint64_t) (last - p)) {
        return CONDUIT_ERROR;
    }

    session->input.data = (u_char *) p;
    session->input.len = len;
    p += len;

    if (conduit_session_messages(session->input.data, p) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    reader->pos = p;
    reader->last = last;
    reader->nsubs = session->nsubs;

    if ((size_t) (last - p) / CONDUIT_SESSION_SUB < session->nsubs) {
        return CONDUIT_ERROR;
    }

    p += session->nsubs * CONDUIT_SESSION_SUB;

    return conduit_session_messages(p, last);
}


/* are there whole ones, and nothing behind them? */

static int
conduit_session_messages(const u_char *p, const u_char *last)
{
    uint64_t  len;

    while (p < last) {

        if (last - p < CONDUIT_SESSION_MESSAGE) {
            return CONDUIT_ERROR;
        }

        len = conduit_session_get(&p, CONDUIT_SESSION_MESSAGE);

        if (len > (uint64_t) (last - p)) {
            return CONDUIT_ERROR;
        }

        p += len;
    }

    return CONDUIT_OK;
}


int
conduit_session_read_sub(conduit_session_sub_t *sub,
    conduit_session_reader_t *reader)
{
    if (reader->nsubs == 0) {
        return CONDUIT_DECLINED;
    }

    reader->nsubs--;

    memcpy(sub->task, reader->pos, CONDUIT_SESSION_ID);
    reader->pos += CONDUIT_SESSION_ID;

    sub->sequence = conduit_session_get(&reader->pos, 8);
    sub->told = *reader->pos++;
    sub->events = *reader->pos++;

    return CONDUIT_OK;
}


int
conduit_session_read_message(conduit_str_t *message,
    conduit_session_reader_t *reader)
{
    if (reader->pos == reader->last) {
        return CONDUIT_DECLINED;
    }

    message->len = conduit_session_get(&reader->pos, CONDUIT_SESSION_MESSAGE);
    message->data = (u_char *) reader->pos;
    reader->pos += message->len;

    return CONDUIT_OK;
}


/* the most significant byte first */

static u_char *
conduit_session_put(u_char *dst, uint64_t value, int bytes)
{
    while (bytes--) {
        *dst++ = value >> (8 * bytes) & 0xff;
    }

    return dst;
}


static uint64_t
conduit_session_get(const u_char **pos, int bytes)
{
    uint64_t  value;

    for (value = 0; bytes; bytes--) {
        value = value << 8 | *(*pos)++;
    }

    return value;
}
