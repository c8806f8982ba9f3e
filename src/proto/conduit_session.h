
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_SESSION_H_INCLUDED_
#define _CONDUIT_SESSION_H_INCLUDED_


/*
 * The state of a hub connection as text: what a request that continues it, in
 * any process, has to know.  It is a state and no log: of a task's events it
 * holds no more than which change was told last.
 */


#include "conduit.h"


#define CONDUIT_SESSION_ID         16
#define CONDUIT_SESSION_DIGEST     32

#define CONDUIT_SESSION_SHAKEN     0x01     /* the handshake is over */
#define CONDUIT_SESSION_BINARY     0x02     /* MessagePack */
#define CONDUIT_SESSION_ALL        0x04     /* subscribed to all tasks */
#define CONDUIT_SESSION_STATEFUL   0x08     /* messages are acknowledged */
#define CONDUIT_SESSION_ROAMS      0x10     /* from another host */

#define CONDUIT_SESSION_SUBS_MAX   65535


typedef struct {
    unsigned       flags;         /* CONDUIT_SESSION_* */
    unsigned       events;        /* of all tasks, 0 to 255 */
    uint64_t       seen;          /* stamp of all tasks, at this host */
    uint64_t       since;         /* ROAMS: unknown may be what has changed */
                                  /* since that time, ms */
    uint64_t       sent;          /* messages, with those that follow */
    uint64_t       received;      /* messages */
    u_char         from[CONDUIT_SESSION_ID];       /* whom to succeed; or 0 */
    u_char         digest[CONDUIT_SESSION_DIGEST]; /* of the key's secret */
    size_t         nsubs;         /* up to SUBS_MAX */
    conduit_str_t  input;         /* messages that were received and wait, */
                                  /* the last one is not complete */
} conduit_session_t;


/* without events it is no subscription: of all tasks, what was told of one */

typedef struct {
    u_char         task[CONDUIT_SESSION_ID];
    uint64_t       sequence;      /* told last */
    unsigned       told;          /* 0 to 255 */
    unsigned       events;        /* 0 to 255 */
} conduit_session_sub_t;


/* the place in a text that is read */

typedef struct {
    const u_char  *pos;
    const u_char  *last;
    size_t         nsubs;         /* that are left */
} conduit_session_reader_t;


/*
 * Writing: head, then nsubs subscriptions, then the messages that were not
 * delivered, oldest first.  Each function returns the end of what it wrote.
 */

#define CONDUIT_SESSION_HEAD     88      /* without the input */
#define CONDUIT_SESSION_SUB      26
#define CONDUIT_SESSION_MESSAGE  4       /* before the bytes of each */

u_char *conduit_session_write(u_char *dst, const conduit_session_t *session);
u_char *conduit_session_write_sub(u_char *dst,
    const conduit_session_sub_t *sub);
u_char *conduit_session_write_message(u_char *dst, const u_char *data,
    size_t len);

/*
 * A state goes to another host: writes its text anew, n * SUB bytes longer, by
 * a time and what was told of n tasks in place of the stamp.  Returns the end.
 */

u_char *conduit_session_roam(u_char *dst, const conduit_str_t *text,
    uint64_t since, const conduit_session_sub_t *told, size_t n);

/* that stamp; 0: the text is none */

uint64_t conduit_session_seen(const u_char *text, size_t len);

/* it has come to a host, which is known up to that stamp (0: not at all) */

void conduit_session_land(u_char *text, size_t len, uint64_t seen);

/*
 * Reads the head; what it holds is a part of the text.  CONDUIT_OK, or
 * CONDUIT_ERROR if the text is malformed anywhere, so that the functions below
 * find it to be good.
 */

int conduit_session_read(conduit_session_t *session,
    conduit_session_reader_t *reader, const conduit_str_t *text);

/* the next one, or CONDUIT_DECLINED; all subscriptions come first */

int conduit_session_read_sub(conduit_session_sub_t *sub,
    conduit_session_reader_t *reader);
int conduit_session_read_message(conduit_str_t *message,
    conduit_session_reader_t *reader);


#endif /* _CONDUIT_SESSION_H_INCLUDED_ */
