
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_URL_H_INCLUDED_
#define _CONDUIT_URL_H_INCLUDED_


#include "conduit.h"
#include "conduit_addr.h"


/*
 * URLs and headers that users give for webhooks.  The rules are stricter than
 * RFC 3986 so that no other parser (libcurl's, the receiver's) can read the
 * same text in another way.
 */

#define CONDUIT_URL_MAX               2048
#define CONDUIT_URL_HOST_MAX          253

/* the normalised text may have one '/' more than the URL as sent */

#define CONDUIT_URL_BUF               (CONDUIT_URL_MAX + 1)

/* "https://", a host, or an address in brackets, and ":65535" */

#define CONDUIT_ORIGIN_MAX            (8 + CONDUIT_URL_HOST_MAX + 6)

#define CONDUIT_WEBHOOK_HEADERS_MAX   16
#define CONDUIT_WEBHOOK_NAME_MAX      64
#define CONDUIT_WEBHOOK_VALUE_MAX     1024
#define CONDUIT_WEBHOOK_HEADERS_SIZE  8192


/* all strings are parts of the buffer given to conduit_url_parse() */

typedef struct {
    conduit_str_t  text;          /* the normalised URL */
    conduit_str_t  origin;        /* its start up to the path */
    conduit_str_t  host;          /* lower case, without the root's dot and
                                     without brackets */
    conduit_str_t  path;          /* path and query, byte for byte */
    uint16_t       port;
    unsigned       tls:1;
    unsigned       literal:1;     /* the host is the address in addr */
    u_char         addr[CONDUIT_ADDR_LEN];
} conduit_url_t;


/*
 * Reads a URL of len bytes and writes its normalised form to buf, which has
 * room for CONDUIT_URL_BUF bytes: scheme and host in lower case, no default
 * port, no dot behind the host, "/" for an empty path.  Checks all that needs
 * no policy and no name lookup: length, characters, scheme, no user, no
 * fragment, the host's syntax and name (single labels, numeric forms that
 * are no plain dotted quad, and names of private use are refused), the port.
 * Returns CONDUIT_OK or CONDUIT_ERROR with the broken rule in *why.
 */
int conduit_url_parse(conduit_url_t *url, u_char *buf, const u_char *p,
    size_t len, const char **why);

/*
 * Writes what a receiver is known by, "https://example.com:8443": scheme, host
 * and port, if it is not the scheme's own; an address stands in its canonical
 * form, so that no other spelling of it is another receiver.  dst has room
 * for CONDUIT_ORIGIN_MAX bytes.  Returns the end.
 */
u_char *conduit_url_origin(u_char *dst, const conduit_url_t *url);

/*
 * Checks a URL that was read against the policy: the scheme, and the address if
 * the host is one.  The addresses behind a name are checked when connecting.
 * Returns CONDUIT_OK, or CONDUIT_DECLINED with the rule in *why.
 */
int conduit_url_check(const conduit_url_t *url,
    const conduit_addr_policy_t *policy, const char **why);

/*
 * Whether a user may set this request header: the name is a token (RFC 9110,
 * 5.6.2) of at most 64 bytes that is not one of those which belong to the
 * connection, to the gateway or to a cloud.  Returns CONDUIT_OK, or
 * CONDUIT_DECLINED with the rule in *why.
 */
int conduit_webhook_header_name(const u_char *p, size_t len, const char **why);

/*
 * The same for its value: visible ASCII with blanks and tabs inside, at most
 * 1024 bytes, may be empty.
 */
int conduit_webhook_header_value(const u_char *p, size_t len, const char **why);


#endif /* _CONDUIT_URL_H_INCLUDED_ */
