
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_ADDR_H_INCLUDED_
#define _CONDUIT_ADDR_H_INCLUDED_


#include "conduit.h"


/*
 * IP addresses that users may make the gateway connect to.  An address is 16
 * bytes; IPv4 is kept as ::ffff:a.b.c.d.
 */

#define CONDUIT_ADDR_LEN  16


/* the word of each is what an attempt log shows */

typedef enum {
    CONDUIT_ADDR_PUBLIC = 0,
    CONDUIT_ADDR_PRIVATE,         /* RFC 1918, CGNAT, unique local */
    CONDUIT_ADDR_LOOPBACK,
    CONDUIT_ADDR_LINK_LOCAL,
    CONDUIT_ADDR_RESERVED         /* all else of the IANA special registries,
                                     multicast, translation prefixes and the
                                     metadata services of clouds */
} conduit_addr_class_e;


/* bits counts from the start of the 16 bytes: 10.0.0.0/8 has 104 */

typedef struct {
    u_char    addr[CONDUIT_ADDR_LEN];
    unsigned  bits;
} conduit_cidr_t;


typedef struct {
    u_char    addr[CONDUIT_ADDR_LEN];
    uint16_t  port;
    unsigned  any:1;              /* a listener on the wildcard address */
} conduit_listener_t;


typedef struct {
    const conduit_cidr_t      *allow;
    size_t                     nallow;
    const conduit_cidr_t      *deny;
    size_t                     ndeny;

    /* addresses of this machine, and where this nginx listens */

    const conduit_cidr_t      *own;
    size_t                     nown;
    const conduit_listener_t  *listeners;
    size_t                     nlisteners;

    unsigned                   plain:1;     /* http:// may be used */
} conduit_addr_policy_t;


/* a.b.c.d as four bytes in network order */
void conduit_addr_v4(u_char *addr, const u_char *v4);

/*
 * Reads an address: a dotted quad in its one plain form (no leading zeros), or
 * IPv6 in any form of RFC 4291 without zone.  Returns CONDUIT_OK or
 * CONDUIT_ERROR.
 */
int conduit_addr_parse(u_char *addr, const u_char *p, size_t len);

/*
 * Writes an address in its canonical form: IPv4, also where it is mapped into
 * IPv6, as a dotted quad, IPv6 as RFC 5952 says, at most CONDUIT_ADDR_TEXT
 * bytes.  Returns the end.
 */
#define CONDUIT_ADDR_TEXT  39

u_char *conduit_addr_write(u_char *dst, const u_char *addr);

/*
 * Reads "ADDRESS" or "ADDRESS/BITS"; bits behind the prefix must be 0.
 * Returns CONDUIT_OK or CONDUIT_ERROR.
 */
int conduit_cidr_parse(conduit_cidr_t *cidr, const u_char *p, size_t len);

/* whether the first bits of two addresses are the same */
int conduit_addr_prefix(const u_char *a, const u_char *b, unsigned bits);

/* whether the address lies inside; IPv4-mapped forms count as IPv4 */
int conduit_cidr_match(const conduit_cidr_t *cidr, const u_char *addr);

/*
 * The class of an address, by its own bits; IPv4-mapped (::ffff:0:0/96) and
 * IPv4-translated (::ffff:0:0:0/96) addresses are judged by the IPv4 address
 * inside.
 */
conduit_addr_class_e conduit_addr_class(const u_char *addr);

/* "public", "private", "loopback", "link-local" or "reserved" */
const char *conduit_addr_class_word(conduit_addr_class_e cl);

/*
 * Whether a webhook may go to this address and port.  An own listener and
 * whatever the policy's deny list names are refused; then the allow list
 * opens, link-local and metadata addresses only by an entry that lies inside
 * 169.254.0.0/16 or fe80::/10 or names the one address; of the rest only public
 * addresses that are not this machine's own pass.  An IPv4 address inside one
 * of NAT64 (64:ff9b::/96) or 6to4 is denied and guarded like itself.  Returns
 * CONDUIT_OK or CONDUIT_DECLINED.
 */
int conduit_addr_check(const conduit_addr_policy_t *policy, const u_char *addr,
    uint16_t port);


#endif /* _CONDUIT_ADDR_H_INCLUDED_ */
