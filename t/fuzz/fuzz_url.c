
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_url.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_parsed(const conduit_url_t *url, const u_char *buf);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                *buf;
    u_char                 addr[CONDUIT_ADDR_LEN];
    const char            *why;
    conduit_url_t          url;
    conduit_cidr_t         cidr;
    conduit_addr_policy_t  policy;

    memset(&policy, 0, sizeof(policy));
    policy.plain = 1;

    buf = malloc(CONDUIT_URL_BUF);
    if (buf == NULL) {
        return 0;
    }

    if (conduit_url_parse(&url, buf, data, size, &why) == CONDUIT_OK) {
        fuzz_parsed(&url, buf);

        if (conduit_url_check(&url, &policy, &why) == CONDUIT_OK
            && url.literal
            && conduit_addr_class(url.addr) != CONDUIT_ADDR_PUBLIC)
        {
            abort();
        }
    }

    (void) conduit_addr_parse(addr, data, size);

    if (conduit_cidr_parse(&cidr, data, size) == CONDUIT_OK
        && cidr.bits > 128)
    {
        abort();
    }

    (void) conduit_webhook_header_name(data, size, &why);
    (void) conduit_webhook_header_value(data, size, &why);

    free(buf);

    return 0;
}


/* a normalised URL is its own normal form */

static void
fuzz_parsed(const conduit_url_t *url, const u_char *buf)
{
    u_char         again[CONDUIT_URL_BUF];
    const char    *why;
    conduit_url_t  second;

    if (url->text.data != buf || url->text.len > CONDUIT_URL_BUF
        || url->port == 0 || url->host.len == 0
        || memchr(url->host.data, '@', url->host.len) != NULL)
    {
        abort();
    }

    if (url->text.len > CONDUIT_URL_MAX) {
        return;
    }

    if (conduit_url_parse(&second, again, url->text.data, url->text.len, &why)
        != CONDUIT_OK
        || second.text.len != url->text.len
        || memcmp(second.text.data, url->text.data, url->text.len) != 0)
    {
        abort();
    }
}
