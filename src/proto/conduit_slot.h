
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_SLOT_H_INCLUDED_
#define _CONDUIT_SLOT_H_INCLUDED_


#include "conduit.h"


/* Slots of a Redis Cluster.  Source: the Redis Cluster specification. */


#define CONDUIT_SLOTS  16384


/*
 * The slot of a key, 0 to CONDUIT_SLOTS - 1: CRC16 (XMODEM: polynomial 0x1021,
 * begins with 0) modulo 16384 of what stands between the first '{' and the
 * first '}' after it, or of the whole key if there is nothing between, or no
 * such pair.
 */
unsigned conduit_slot(const u_char *key, size_t len);


/* where an error reply sends a command */

typedef struct {
    unsigned         slot;
    unsigned         port;      /* 1 to 65535 */
    conduit_str_t    host;      /* of the text; empty: the one that replies */
    int              ask;       /* once, behind ASKING; 0: from now on */
} conduit_redirect_t;


/*
 * The text of an error reply: "MOVED SLOT HOST:PORT" or "ASK SLOT HOST:PORT",
 * where HOST may be an IPv6 address without brackets, a name, nothing, or "?"
 * (not known), which is given as nothing.  CONDUIT_OK; CONDUIT_DECLINED: it is
 * neither; CONDUIT_ERROR: it is one, but malformed.
 */
int conduit_redirect_parse(conduit_redirect_t *redirect, const u_char *text,
    size_t len);


#endif /* _CONDUIT_SLOT_H_INCLUDED_ */
