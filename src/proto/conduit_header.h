
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_HEADER_H_INCLUDED_
#define _CONDUIT_HEADER_H_INCLUDED_


#include "conduit.h"


#define CONDUIT_IDEMPOTENCY_KEY_MAX  255


/*
 * Readers of request header values.  They take the value without the line
 * end, as nginx keeps it, and never more than len bytes of it.
 */

/*
 * "Prefer" (RFC 7240): finds the first "wait" preference of the list.  Returns
 * CONDUIT_OK with whole seconds, at least 1, in *seconds (numbers beyond
 * uint32_t become its maximum), or CONDUIT_DECLINED when there is none or its
 * value is 0, negative or no number: such a preference is ignored.
 */
int conduit_prefer_wait(const u_char *p, size_t len, uint32_t *seconds);

/*
 * "If-None-Match" (RFC 9110, 13.1.2) against the entity tag "<sequence>".
 * Compares weakly: W/ does not matter; "*" matches.  What is no entity tag
 * ends the list.  Returns 1 or 0.
 */
int conduit_etag_match(const u_char *p, size_t len, uint64_t sequence);

/*
 * "Idempotency-Key": 1 to 255 printable ASCII characters, bare or as a
 * string of RFC 8941 in quotes, where \" and \\ are the only escapes; both
 * forms of a key are the same key.  buf gets it without quotes and has room
 * for CONDUIT_IDEMPOTENCY_KEY_MAX bytes.  Returns CONDUIT_OK with its length
 * in *n, or CONDUIT_ERROR.
 */
int conduit_idempotency_key(const u_char *p, size_t len, u_char *buf,
    size_t *n);

/*
 * "Authorization" (RFC 6750): CONDUIT_OK with the token of a "Bearer" scheme,
 * written in any case, in *token (a part of p, may be empty), or
 * CONDUIT_DECLINED for another scheme.
 */
int conduit_bearer(const u_char *p, size_t len, conduit_str_t *token);

/*
 * "Last-Event-ID": CONDUIT_OK with the number, or CONDUIT_DECLINED when the
 * value is not a decimal number that fits uint64_t.
 */
int conduit_last_event_id(const u_char *p, size_t len, uint64_t *id);

/*
 * Whether the list of media ranges in "Accept" (RFC 9110, 12.5.1) names
 * text/event-stream itself and with a weight other than 0.  Ranges with "*" do
 * not count, for every client sends those.  Returns 1 or 0.
 */
int conduit_accepts_event_stream(const u_char *p, size_t len);


#endif /* _CONDUIT_HEADER_H_INCLUDED_ */
