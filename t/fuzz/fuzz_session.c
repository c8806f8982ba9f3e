
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_session.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int fuzz_roam(const conduit_str_t *text);


/* what is read is written again to the same text */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                    *p, *copy;
    conduit_str_t              text, message;
    conduit_session_t          session;
    conduit_session_sub_t      sub;
    conduit_session_reader_t   reader;

    text.data = (u_char *) data;
    text.len = size;

    if (conduit_session_read(&session, &reader, &text) != CONDUIT_OK) {
        return 0;
    }

    copy = malloc(size);
    if (copy == NULL) {
        return 0;
    }

    p = conduit_session_write(copy, &session);

    while (conduit_session_read_sub(&sub, &reader) == CONDUIT_OK) {
        p = conduit_session_write_sub(p, &sub);
    }

    while (conduit_session_read_message(&message, &reader) == CONDUIT_OK) {
        p = conduit_session_write_message(p, message.data, message.len);
    }

    if ((size_t) (p - copy) != size || memcmp(copy, data, size) != 0) {
        abort();
    }

    free(copy);

    return fuzz_roam(&text);
}


/* one that has gone to another host is a state, too */

static int
fuzz_roam(const conduit_str_t *text)
{
    size_t                    len;
    u_char                   *copy;
    conduit_str_t             moved;
    conduit_session_t         session;
    conduit_session_sub_t     sub;
    conduit_session_reader_t  reader;

    if (conduit_session_read(&session, &reader, text) != CONDUIT_OK
        || session.nsubs == CONDUIT_SESSION_SUBS_MAX)
    {
        return 0;
    }

    len = text->len + CONDUIT_SESSION_SUB;

    copy = malloc(len);
    if (copy == NULL) {
        return 0;
    }

    memset(&sub, 0, sizeof(conduit_session_sub_t));

    moved.data = copy;
    moved.len = conduit_session_roam(copy, text, session.seen, &sub, 1) - copy;

    conduit_session_land(copy, moved.len, session.sent);

    if (moved.len != len
        || conduit_session_read(&session, &reader, &moved) != CONDUIT_OK
        || conduit_session_seen(copy, len) != session.sent)
    {
        abort();
    }

    free(copy);

    return 0;
}
