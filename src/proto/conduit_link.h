
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_LINK_H_INCLUDED_
#define _CONDUIT_LINK_H_INCLUDED_


/* http and https URLs of providers (RFC 3986) */


#include "conduit.h"


#define CONDUIT_LINK_MAX  8192


typedef struct {
    conduit_str_t    origin;       /* "https://host:port" as written */
    conduit_str_t    host;         /* without port and brackets */
    conduit_str_t    rest;         /* "" or path and query, from "/" or "?" */
    unsigned         port;         /* the scheme's own if none is written */
    unsigned         tls:1;
} conduit_link_t;


/*
 * Splits an absolute URL; the parts point into it.  CONDUIT_ERROR for other
 * schemes, user names, an empty or odd host, a bad port, a fragment, blanks,
 * control and non-ASCII bytes, backslashes, and more than CONDUIT_LINK_MAX
 * bytes: nothing that two parsers could read in two ways.
 */

int conduit_link_parse(const conduit_str_t *text, conduit_link_t *url);


/*
 * Is the host in the list?  Entries are names or addresses without port,
 * compared without case; "*.example.com" stands for all names below it, not
 * for itself.  Returns 1 or 0.
 */

int conduit_link_listed(const conduit_str_t *hosts, size_t n,
    const conduit_str_t *host);


/*
 * Writes src percent-encoded to dst and returns the length; dst NULL only
 * counts.  "raw" keeps reserved characters and "%", all but "#".
 */

size_t conduit_link_escape(u_char *dst, const u_char *src, size_t len,
    unsigned raw);


/* Has the path of an absolute or relative URL a "." or ".." segment? */

int conduit_link_dotted(const conduit_str_t *text);


/* Compares without regard to ASCII case; 1 when equal. */

int conduit_str_equal(const conduit_str_t *a, const conduit_str_t *b);


#endif /* _CONDUIT_LINK_H_INCLUDED_ */
