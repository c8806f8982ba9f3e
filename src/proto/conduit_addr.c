
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_addr.h"


typedef struct {
    u_char    addr[CONDUIT_ADDR_LEN];
    u_char    bits;
    u_char    cl;
} conduit_addr_block_t;


static int conduit_addr_parse_v4(u_char *v4, const u_char *p,
    const u_char *last);
static int conduit_addr_parse_v6(u_char *addr, const u_char *p,
    const u_char *last);
static int conduit_addr_group(const u_char **pos, const u_char *last,
    unsigned *value);
static int conduit_addr_prefix(const u_char *a, const u_char *b,
    unsigned bits);
static void conduit_addr_canonical(u_char *dst, const u_char *addr);
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


void
conduit_addr_v4(u_char *addr, const u_char *v4)
{
    memcpy(addr, conduit_addr_mapped, 12);
    memcpy(addr + 12, v4, 4);
}


int
conduit_addr_parse(u_char *addr, const u_char *p, size_t len)
{
    u_char  v4[4];

    if (len == 0) {
        return CONDUIT_ERROR;
    }

    if (memchr(p, ':', len) != NULL) {
        return conduit_addr_parse_v6(addr, p, p + len);
    }

    if (conduit_addr_parse_v4(v4, p, p + len) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    conduit_addr_v4(addr, v4);

    return CONDUIT_OK;
}


static int
conduit_addr_parse_v4(u_char *v4, const u_char *p, const u_char *last)
{
    unsigned       i, n;
    const u_char  *start;

    for (i = 0; i < 4; i++) {

        if (i > 0) {
            if (p == last || *p != '.') {
                return CONDUIT_ERROR;
            }

            p++;
        }

        n = 0;

        for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
            n = n * 10 + (*p - '0');

            if (n > 255 || (p > start && *start == '0')) {
                return CONDUIT_ERROR;
            }
        }

        if (p == start) {
            return CONDUIT_ERROR;
        }

        v4[i] = (u_char) n;
    }

    return (p == last) ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_addr_parse_v6(u_char *addr, const u_char *p, const u_char *last)
{
    int            gap;
    size_t         n;
    unsigned       value;
    const u_char  *start;

    n = 0;
    gap = -1;

    memset(addr, 0, CONDUIT_ADDR_LEN);

    if (last - p >= 2 && p[0] == ':' && p[1] == ':') {
        gap = 0;
        p += 2;
    }

    while (p < last) {
        start = p;

        if (n == CONDUIT_ADDR_LEN
            || conduit_addr_group(&p, last, &value) != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }

        if (p < last && *p == '.') {

            if (n > CONDUIT_ADDR_LEN - 4
                || conduit_addr_parse_v4(addr + n, start, last) != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

            n += 4;
            break;
        }

        addr[n++] = (u_char) (value >> 8);
        addr[n++] = (u_char) (value & 0xff);

        if (p == last) {
            break;
        }

        if (*p++ != ':' || p == last) {
            return CONDUIT_ERROR;
        }

        if (*p == ':') {

            if (gap >= 0) {
                return CONDUIT_ERROR;
            }

            gap = (int) n;
            p++;
        }
    }

    if (gap < 0) {
        return (n == CONDUIT_ADDR_LEN) ? CONDUIT_OK : CONDUIT_ERROR;
    }

    /* "::" stands for one group of zeros at least */

    if (n > CONDUIT_ADDR_LEN - 2) {
        return CONDUIT_ERROR;
    }

    memmove(addr + CONDUIT_ADDR_LEN - (n - gap), addr + gap, n - gap);
    memset(addr + gap, 0, CONDUIT_ADDR_LEN - n);

    return CONDUIT_OK;
}


/* one to four hexadecimal digits */

static int
conduit_addr_group(const u_char **pos, const u_char *last, unsigned *value)
{
    u_char         ch;
    const u_char  *p;

    *value = 0;

    for (p = *pos; p < last; p++) {
        ch = *p;

        if (ch >= '0' && ch <= '9') {
            ch = (u_char) (ch - '0');

        } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
            ch = (u_char) ((ch | 0x20) - 'a' + 10);

        } else {
            break;
        }

        if (p - *pos == 4) {
            return CONDUIT_ERROR;
        }

        *value = *value * 16 + ch;
    }

    if (p == *pos) {
        return CONDUIT_ERROR;
    }

    *pos = p;

    return CONDUIT_OK;
}


int
conduit_cidr_parse(conduit_cidr_t *cidr, const u_char *p, size_t len)
{
    u_char         ch;
    unsigned       i, max, n;
    const u_char  *last, *slash;

    last = p + len;
    slash = (len == 0) ? NULL : memchr(p, '/', len);

    if (conduit_addr_parse(cidr->addr, p,
                           (size_t) ((slash ? slash : last) - p))
        != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    cidr->bits = 8 * CONDUIT_ADDR_LEN;

    if (slash == NULL) {
        return CONDUIT_OK;
    }

    max = (memchr(p, ':', len) != NULL) ? 128 : 32;
    n = 0;

    if (slash + 1 == last || (slash[1] == '0' && last - slash > 2)) {
        return CONDUIT_ERROR;
    }

    for (p = slash + 1; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return CONDUIT_ERROR;
        }

        n = n * 10 + (*p - '0');

        if (n > max) {
            return CONDUIT_ERROR;
        }
    }

    cidr->bits = n + (128 - max);

    for (i = cidr->bits; i < 128; i++) {
        ch = cidr->addr[i / 8];

        if (ch & (0x80 >> (i % 8))) {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


int
conduit_cidr_match(const conduit_cidr_t *cidr, const u_char *addr)
{
    /* "::/0" says nothing about IPv4, which is only kept in its space */

    if (cidr->bits < MAPPED
        && conduit_addr_prefix(addr, conduit_addr_mapped, MAPPED))
    {
        return 0;
    }

    return conduit_addr_prefix(cidr->addr, addr, cidr->bits);
}


static int
conduit_addr_prefix(const u_char *a, const u_char *b, unsigned bits)
{
    u_char  mask;

    if (memcmp(a, b, bits / 8) != 0) {
        return 0;
    }

    if (bits % 8 == 0) {
        return 1;
    }

    mask = (u_char) (0xff << (8 - bits % 8));

    return ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}


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
        || conduit_addr_listed(policy->deny, policy->ndeny, canonical))
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
 * reached by every own address and all of loopback.
 */

static int
conduit_addr_listener(const conduit_addr_policy_t *policy, const u_char *addr,
    uint16_t port)
{
    int                        own;
    size_t                     i;
    const conduit_listener_t  *ls;

    own = conduit_addr_class(addr) == CONDUIT_ADDR_LOOPBACK
          || conduit_addr_listed(policy->own, policy->nown, addr);

    for (i = 0; i < policy->nlisteners; i++) {
        ls = &policy->listeners[i];

        if (ls->port != port) {
            continue;
        }

        if (ls->any ? own : memcmp(ls->addr, addr, CONDUIT_ADDR_LEN) == 0) {
            return 1;
        }
    }

    return 0;
}
