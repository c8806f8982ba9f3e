
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_TOKEN_H_INCLUDED_
#define _CONDUIT_TOKEN_H_INCLUDED_


/*
 * Connection tokens: what negotiate gives out and a connect brings back.  A
 * token tells all by itself, so any worker and host with the same secret
 * takes it; nothing in it is hidden, but nobody else can make one.
 */


#include "conduit.h"


#define CONDUIT_TOKEN_SECRET    32       /* bytes of the signing key */
#define CONDUIT_TOKEN_ID        16       /* random bytes of a connection id */
#define CONDUIT_TOKEN_ID_LEN    22       /* the same as text */
#define CONDUIT_TOKEN_KEY_MAX   255
#define CONDUIT_TOKEN_MAX       440      /* bytes of the longest token */
#define CONDUIT_TOKEN_BUF       336

#define CONDUIT_TOKEN_STATEFUL  0x01     /* stateful reconnect was granted */


typedef struct {
    conduit_str_t  key;           /* name of the virtual key, 1 to 255 bytes */
    unsigned       hub;           /* 0 to 255 */
    unsigned       flags;         /* CONDUIT_TOKEN_* */
    int64_t        issued;        /* ms since the epoch */
    u_char         id[CONDUIT_TOKEN_ID];
    u_char         from[CONDUIT_TOKEN_ID];     /* whom it succeeds; or 0 */
} conduit_token_t;


/*
 * Writes a token as base64url (RFC 4648, 5) without padding: a version byte,
 * hub, flags, time, both ids and name, and their HMAC-SHA256.  dst has room for
 * CONDUIT_TOKEN_MAX bytes.  Returns the number of bytes, or 0 if the name is
 * too long or the digest fails.
 */

size_t conduit_token_write(u_char *dst, const conduit_token_t *token,
    const u_char *secret);

/*
 * Reads a token.  now and max_age are milliseconds; a token older than
 * max_age (0: no limit) or from more than 5 s in the future is stale.  buf has
 * CONDUIT_TOKEN_BUF bytes and holds the name.  CONDUIT_OK, or
 * CONDUIT_DECLINED for whatever is forged, stale or malformed.
 */

int conduit_token_read(conduit_token_t *token, u_char *buf,
    const conduit_str_t *text, const u_char *secret, int64_t now,
    int64_t max_age);

/* the public connection id, CONDUIT_TOKEN_ID_LEN characters of base64url */

void conduit_token_id(u_char *dst, const u_char *id);

/* and back: CONDUIT_OK, or CONDUIT_DECLINED if the text is none */

int conduit_token_id_read(u_char *id, const conduit_str_t *text);


#endif /* _CONDUIT_TOKEN_H_INCLUDED_ */
