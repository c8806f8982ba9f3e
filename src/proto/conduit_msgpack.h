
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_MSGPACK_H_INCLUDED_
#define _CONDUIT_MSGPACK_H_INCLUDED_


/*
 * The MessagePack encoding of SignalR's hub protocol; called through
 * conduit_signalr.h.
 */


#include "conduit_signalr.h"


/* a length prefix takes up to 5 bytes, the last of them at most 7 */

#define CONDUIT_MSGPACK_PREFIX_MAX  5
#define CONDUIT_MSGPACK_DEPTH_MAX   31


/*
 * Reads a length prefix (VarInt, 7 bits a byte, the lowest first) at p.
 * CONDUIT_OK with the number of its bytes in *used and the length that it
 * tells; CONDUIT_AGAIN when it is not complete; CONDUIT_ERROR above 2^31 - 1.
 */

int conduit_msgpack_prefix(const u_char *p, size_t len, size_t *used,
    size_t *body);

/*
 * Whether p holds exactly one value of at most CONDUIT_MSGPACK_DEPTH_MAX
 * levels, with every count and length covered by bytes that are there.
 * Returns 1 or 0; needs no memory.
 */

int conduit_msgpack_sane(const u_char *p, size_t len);

/*
 * As conduit_signalr_parse().  Arguments become JSON values; what JSON has no
 * form for (binary, extensions) becomes null, members of maps whose name is
 * no string, or has NUL in it, are left out.
 */

int conduit_msgpack_parse(conduit_signalr_message_t *msg,
    const conduit_str_t *record);

/* as conduit_signalr_size() and conduit_signalr_write() */

size_t conduit_msgpack_size(const conduit_signalr_output_t *out);

u_char *conduit_msgpack_write(u_char *dst,
    const conduit_signalr_output_t *out);


#endif /* _CONDUIT_MSGPACK_H_INCLUDED_ */
