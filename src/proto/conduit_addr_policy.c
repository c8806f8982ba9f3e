
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_addr.h"


typedef struct {
    u_char    addr[CONDUIT_ADDR_LEN];
    u_char    bits;
    u_char    cl;
} conduit_addr_block_t;


static void conduit_addr_canonical(u_char *dst, const u_char *addr);
static int conduit_addr_inner(u_char *dst, const u_char *addr);
static int conduit_addr_denied(const conduit_addr_policy_t *policy,
    const u_char *addr);
static int conduit_addr_guarded(const u_char *addr);
static int conduit_addr_allowed(const conduit_addr_policy_t *policy,
    const u_char *addr);
static int conduit_addr_listed(const conduit_cidr_t *list, size_t n,
    const u_char *addr);
static int conduit_addr_listener(const conduit_addr_policy_t *policy,
    const u_char *addr, uint16_t port);


#define V4(a, b, c, d)                                                        \
    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }

#define V6(a, b)                                                              \
    { (a) >> 8, (a) & 0xff, (b) >> 8, (b) & 0xff,                             \
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

#define MAPPED  96


/* the first block that fits decides; the IANA special-purpose registries */

static const conduit_addr_block_t  conduit_addr_blocks[] = {

    { V4(168, 63, 129, 16), MAPPED + 32, CONDUIT_ADDR_RESERVED },
    { V4(100, 100, 100, 200), MAPPED + 32, CONDUIT_ADDR_RESERVED },

    { V4(0, 0, 0, 0), MAPPED + 8, CONDUIT_ADDR_RESERVED },
    { V4(10, 0, 0, 0), MAPPED + 8, CONDUIT_ADDR_PRIVATE },
    { V4(100, 64, 0, 0), MAPPED + 10, CONDUIT_ADDR_PRIVATE },
    { V4(127, 0, 0, 0), MAPPED + 8, CONDUIT_ADDR_LOOPBACK },
    { V4(169, 254, 0, 0), MAPPED + 16, CONDUIT_ADDR_LINK_LOCAL },
    { V4(172, 16, 0, 0), MAPPED + 12, CONDUIT_ADDR_PRIVATE },
    { V4(192, 0, 0, 0), MAPPED + 24, CONDUIT_ADDR_RESERVED },
    { V4(192, 0, 2, 0), MAPPED + 24, CONDUIT_ADDR_RESERVED },
    { V4(192, 88, 99, 0), MAPPED + 24, CONDUIT_ADDR_RESERVED },
    { V4(192, 168, 0, 0), MAPPED + 16, CONDUIT_ADDR_PRIVATE },
    { V4(198, 18, 0, 0), MAPPED + 15, CONDUIT_ADDR_RESERVED },
    { V4(198, 51, 100, 0), MAPPED + 24, CONDUIT_ADDR_RESERVED },
    { V4(203, 0, 113, 0), MAPPED + 24, CONDUIT_ADDR_RESERVED },
    { V4(224, 0, 0, 0), MAPPED + 3, CONDUIT_ADDR_RESERVED },
    { V4(0, 0, 0, 0), MAPPED, CONDUIT_ADDR_PUBLIC },

    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 128,
      CONDUIT_ADDR_LOOPBACK },
    { V6(0xfc00, 0), 7, CONDUIT_ADDR_PRIVATE },
    { V6(0xfe80, 0), 10, CONDUIT_ADDR_LINK_LOCAL },
    { V6(0xfec0, 0), 10, CONDUIT_ADDR_PRIVATE },

    { V6(0x2001, 0), 32, CONDUIT_ADDR_RESERVED },
    { V6(0x2001, 0x10), 28, CONDUIT_ADDR_RESERVED },
    { V6(0x2001, 0x20), 28, CONDUIT_ADDR_RESERVED },
    { V6(0x2001, 0xdb8), 32, CONDUIT_ADDR_RESERVED },
    { V6(0x2002, 0), 16, CONDUIT_ADDR_RESERVED },
    { V6(0x3fff, 0), 20, CONDUIT_ADDR_RESERVED },

    /*
     * Global unicast is 2000::/3; what lies outside of it and has no line
     * above (NAT64, discard only, multicast, segment routing, IPv4-compatible
     * addresses, "::") is reserved.
     */

    { V6(0x2000, 0), 3, CONDUIT_ADDR_PUBLIC }
};


static const u_char  conduit_addr_any[CONDUIT_ADDR_LEN];

static const u_char  conduit_addr_mapped[] = V4(0, 0, 0, 0);

static const u_char  conduit_addr_translated[] =
    { 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0 };


/* services that hand out credentials to whoever can reach them */

static const u_char  conduit_addr_metadata[][CONDUIT_ADDR_LEN] = {
    V4(168, 63, 129, 16),
    V4(100, 100, 100, 200),
    V4(192, 0, 0, 192),
    { 0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54 }
};


/* where an allow entry must lie to open link-local addresses */

static const conduit_cidr_t  conduit_addr_link_local[] = {
    { V4(169, 254, 0, 0), MAPPED + 16 },
    { V6(0xfe80, 0), 10 }
};


static const char  *conduit_addr_class_words[] = {
    "public",
    "private",
    "loopback",
    "link-local",
    "reserved"
};


/* IPv4 inside ::ffff:0:0:0/96 becomes the mapped form, the rest stays */

static void
conduit_addr_canonical(u_char *dst, const u_char *addr)
{
    memcpy(dst, addr, CONDUIT_ADDR_LEN);

    if (conduit_addr_prefix(addr, conduit_addr_translated, 96)) {
        conduit_addr_v4(dst, addr + 12);
    }
}


conduit_addr_class_e
conduit_addr_class(const u_char *addr)
{
    size_t  i;
    u_char  canonical[CONDUIT_ADDR_LEN];

    conduit_addr_canonical(canonical, addr);

    for (i = 0;
         i < sizeof(conduit_addr_blocks) / sizeof(conduit_addr_blocks[0]);
         i++)
    {
        if (conduit_addr_prefix(conduit_addr_blocks[i].addr, canonical,
                                conduit_addr_blocks[i].bits))
        {
            return (conduit_addr_class_e) conduit_addr_blocks[i].cl;
        }
    }

    return CONDUIT_ADDR_RESERVED;
}


const char *
conduit_addr_class_word(conduit_addr_class_e cl)
{
    return conduit_addr_class_words[cl];
}


int
conduit_addr_check(const conduit_addr_policy_t *policy, const u_char *addr,
    uint16_t port)
{
    u_char  canonical[CONDUIT_ADDR_LEN];

    conduit_addr_canonical(canonical, addr);

    if (conduit_addr_listener(policy, canonical, port)
        || conduit_addr_denied(policy, canonical))
    {
        return CONDUIT_DECLINED;
    }

    if (conduit_addr_allowed(policy, canonical)) {
        return CONDUIT_OK;
    }

    if (conduit_addr_class(canonical) != CONDUIT_ADDR_PUBLIC
        || conduit_addr_listed(policy->own, policy->nown, canonical))
    {
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


/* the IPv4 address that a gateway takes out of an IPv6 one: 1, or 0 */

static int
conduit_addr_inner(u_char *dst, const u_char *addr)
{
    size_t  i;

    static const struct {
        u_char  addr[CONDUIT_ADDR_LEN];
        u_char  bits;
        u_char  at;
    } kinds[] = {
        { V6(0x64, 0xff9b), 96, 12 },             /* NAT64 */
        { V6(0x2002, 0), 16, 2 }                  /* 6to4 */
    };

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (conduit_addr_prefix(kinds[i].addr, addr, kinds[i].bits)) {
            conduit_addr_v4(dst, addr + kinds[i].at);
            return 1;
        }
    }

    return 0;
}


static int
conduit_addr_denied(const conduit_addr_policy_t *policy, const u_char *addr)
{
    u_char  inner[CONDUIT_ADDR_LEN];

    return conduit_addr_listed(policy->deny, policy->ndeny, addr)
           || (conduit_addr_inner(inner, addr)
               && conduit_addr_listed(policy->deny, policy->ndeny, inner));
}


static int
conduit_addr_allowed(const conduit_addr_policy_t *policy, const u_char *addr)
{
    int                    guarded;
    size_t                 i, k;
    const conduit_cidr_t  *cidr, *ll;

    guarded = conduit_addr_guarded(addr);

    for (i = 0; i < policy->nallow; i++) {
        cidr = &policy->allow[i];

        if (!conduit_cidr_match(cidr, addr)) {
            continue;
        }

        if (!guarded || cidr->bits == 128) {
            return 1;
        }

        for (k = 0; k < 2; k++) {
            ll = &conduit_addr_link_local[k];

            if (cidr->bits >= ll->bits && conduit_cidr_match(ll, cidr->addr)) {
                return 1;
            }
        }
    }

    return 0;
}


/* addresses that a wide allow entry (0.0.0.0/0) does not open */

static int
conduit_addr_guarded(const u_char *addr)
{
    size_t  i;
    u_char  inner[CONDUIT_ADDR_LEN];

    if (conduit_addr_inner(inner, addr) && conduit_addr_guarded(inner)) {
        return 1;
    }

    if (conduit_addr_class(addr) == CONDUIT_ADDR_LINK_LOCAL) {
        return 1;
    }

    for (i = 0;
         i < sizeof(conduit_addr_metadata) / sizeof(conduit_addr_metadata[0]);
         i++)
    {
        if (memcmp(conduit_addr_metadata[i], addr, CONDUIT_ADDR_LEN) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
conduit_addr_listed(const conduit_cidr_t *list, size_t n, const u_char *addr)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (conduit_cidr_match(&list[i], addr)) {
            return 1;
        }
    }

    return 0;
}


/*
 * A request to a listener of our own would be a loop.  A wildcard listener is
 * reached by every own address and all of loopback; and whoever connects to
 * the wildcard address itself reaches loopback.
 */

static int
conduit_addr_listener(const conduit_addr_policy_t *policy, const u_char *addr,
    uint16_t port)
{
    int                        own, any;
    size_t                     i;
    const conduit_listener_t  *ls;

    any = memcmp(addr, conduit_addr_mapped, CONDUIT_ADDR_LEN) == 0
          || memcmp(addr, conduit_addr_any, CONDUIT_ADDR_LEN) == 0;

    own = any || conduit_addr_class(addr) == CONDUIT_ADDR_LOOPBACK
          || conduit_addr_listed(policy->own, policy->nown, addr);

    for (i = 0; i < policy->nlisteners; i++) {
        ls = &policy->listeners[i];

        if (ls->port != port) {
            continue;
        }

        if (ls->any ? own : memcmp(ls->addr, addr, CONDUIT_ADDR_LEN) == 0) {
            return 1;
        }

        if (any && conduit_addr_class(ls->addr) == CONDUIT_ADDR_LOOPBACK) {
            return 1;
        }
    }

    return 0;
}
