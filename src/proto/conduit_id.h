
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_ID_H_INCLUDED_
#define _CONDUIT_ID_H_INCLUDED_


#include "conduit.h"


#define CONDUIT_UUID_LEN         36
#define CONDUIT_UUID_BYTES       16

#define CONDUIT_BASE62_LEN       22
#define CONDUIT_REQUEST_ID_MAX   128


/*
 * Task ids are UUIDs of version 4 (RFC 9562, 5.4), always in lower case.
 *
 * Makes one of 16 random bytes, whose version and variant bits are overridden.
 */
void conduit_uuid_make(u_char *id);

/*
 * Reads a task id.  Only the exact form that conduit_uuid_write() writes is
 * taken: 36 bytes, lower case, version 4, variant 10.  Returns CONDUIT_OK with
 * the 16 bytes in id, or CONDUIT_DECLINED.
 */
int conduit_uuid_parse(u_char *id, const u_char *p, size_t len);

/* writes the 36 characters of an id to dst, without a closing NUL */
void conduit_uuid_write(u_char *dst, const u_char *id);

/*
 * Writes 128 bits as exactly 22 base62 characters ([0-9A-Za-z]) to dst,
 * without a closing NUL: each half of 64 bits as 11 digits, most significant
 * first, padded with '0'.  Different bits give different texts.
 */
void conduit_base62(u_char *dst, const u_char *bytes);

/*
 * Whether a client's X-Request-Id may be taken over: 1 to 128 characters of
 * [A-Za-z0-9._:-].  Returns CONDUIT_OK or CONDUIT_DECLINED.
 */
int conduit_request_id_check(const u_char *p, size_t len);


#endif /* _CONDUIT_ID_H_INCLUDED_ */
