
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * URLs of webhooks.  Whatever is accepted must be read by libcurl, which makes
 * the request, as the same scheme, host, port and path: both as it was sent
 * and in its normal form.
 */


#include <stdio.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <curl/curl.h>

#include "conduit_url.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_url(const uint8_t *data, size_t size);
static void fuzz_parsed(const conduit_url_t *url, const u_char *buf);
static void fuzz_origin(const conduit_url_t *url);
static void fuzz_curl(const conduit_url_t *url, const u_char *p, size_t len);
static void fuzz_curl_host(const conduit_url_t *url, CURLU *h);
static void fuzz_curl_path(const conduit_url_t *url, CURLU *h);
static void fuzz_curl_part(CURLU *h, CURLUPart part, const char *is);
static void fuzz_curl_none(CURLU *h, CURLUPart part);
static void fuzz_addr(const uint8_t *data, size_t size);


/* what libcurl itself gives to its parser (lib/url.c) */

#define FUZZ_CURL_FLAGS  (CURLU_GUESS_SCHEME|CURLU_NON_SUPPORT_SCHEME)


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_url(data, size);
    fuzz_addr(data, size);

    return 0;
}


static void
fuzz_url(const uint8_t *data, size_t size)
{
    u_char                *buf;
    const char            *why;
    conduit_url_t          url;
    conduit_addr_policy_t  policy;

    memset(&policy, 0, sizeof(policy));
    policy.plain = 1;

    buf = malloc(CONDUIT_URL_BUF);
    if (buf == NULL) {
        return;
    }

    if (conduit_url_parse(&url, buf, data, size, &why) == CONDUIT_OK) {
        fuzz_parsed(&url, buf);
        fuzz_origin(&url);
        fuzz_curl(&url, data, size);
        fuzz_curl(&url, url.text.data, url.text.len);

        if (conduit_url_check(&url, &policy, &why) == CONDUIT_OK
            && url.literal
            && conduit_addr_class(url.addr) != CONDUIT_ADDR_PUBLIC)
        {
            abort();
        }
    }

    free(buf);
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


/* what a receiver is known by is a URL of the same receiver */

static void
fuzz_origin(const conduit_url_t *url)
{
    u_char         buf[CONDUIT_URL_BUF], again[CONDUIT_ORIGIN_MAX];
    u_char         text[CONDUIT_ORIGIN_MAX];
    size_t         len;
    const char    *why;
    conduit_url_t  second;

    len = (size_t) (conduit_url_origin(text, url) - text);

    if (conduit_url_parse(&second, buf, text, len, &why) != CONDUIT_OK
        || second.tls != url->tls || second.port != url->port
        || second.literal != url->literal
        || (size_t) (conduit_url_origin(again, &second) - again) != len
        || memcmp(again, text, len) != 0)
    {
        abort();
    }

    if (url->literal
        ? memcmp(second.addr, url->addr, CONDUIT_ADDR_LEN) != 0
        : second.host.len != url->host.len
          || memcmp(second.host.data, url->host.data, url->host.len) != 0)
    {
        abort();
    }
}


static void
fuzz_curl(const conduit_url_t *url, const u_char *p, size_t len)
{
    char    text[CONDUIT_URL_BUF + 1], port[8];
    CURLU  *h;

    memcpy(text, p, len);
    text[len] = '\0';

    h = curl_url();

    if (h == NULL) {
        return;
    }

    if (strlen(text) != len
        || curl_url_set(h, CURLUPART_URL, text,
                        FUZZ_CURL_FLAGS|CURLU_PATH_AS_IS)
           != CURLUE_OK)
    {
        abort();
    }

    (void) snprintf(port, sizeof(port), "%u", url->port);

    fuzz_curl_part(h, CURLUPART_SCHEME, url->tls ? "https" : "http");
    fuzz_curl_part(h, CURLUPART_PORT, port);
    fuzz_curl_none(h, CURLUPART_USER);
    fuzz_curl_none(h, CURLUPART_PASSWORD);
    fuzz_curl_none(h, CURLUPART_OPTIONS);
    fuzz_curl_none(h, CURLUPART_ZONEID);
    fuzz_curl_none(h, CURLUPART_FRAGMENT);
    fuzz_curl_host(url, h);
    fuzz_curl_path(url, h);

    curl_url_cleanup(h);
}


/* the root's dot is all that may be different, in the text as it was sent */

static void
fuzz_curl_host(const conduit_url_t *url, CURLU *h)
{
    char    *host, *p;
    u_char   addr[CONDUIT_ADDR_LEN], v4[4];
    size_t   i, len;

    if (curl_url_get(h, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        abort();
    }

    p = host;
    len = strlen(p);

    if (len > 1 && p[len - 1] == '.') {
        p[--len] = '\0';
    }

    if (url->literal) {

        if (p[0] == '[' && p[len - 1] == ']') {
            p[len - 1] = '\0';

            if (inet_pton(AF_INET6, p + 1, addr) != 1) {
                abort();
            }

        } else {

            if (inet_pton(AF_INET, p, v4) != 1) {
                abort();
            }

            conduit_addr_v4(addr, v4);
        }

        if (memcmp(addr, url->addr, CONDUIT_ADDR_LEN) != 0) {
            abort();
        }

        curl_free(host);
        return;
    }

    if (len != url->host.len) {
        abort();
    }

    for (i = 0; i < len; i++) {
        if (p[i] >= 'A' && p[i] <= 'Z') {
            p[i] |= 0x20;
        }
    }

    if (memcmp(p, url->host.data, len) != 0) {
        abort();
    }

    curl_free(host);
}


/* byte for byte */

static void
fuzz_curl_path(const conduit_url_t *url, CURLU *h)
{
    char       *path, *query;
    size_t      n;
    CURLUcode   rc;

    if (curl_url_get(h, CURLUPART_PATH, &path, 0) != CURLUE_OK) {
        abort();
    }

    n = strlen(path);

    if (n > url->path.len || memcmp(path, url->path.data, n) != 0) {
        abort();
    }

    rc = curl_url_get(h, CURLUPART_QUERY, &query, 0);

    if (rc == CURLUE_OK) {

        if (url->path.data[n] != '?'
            || url->path.len != n + 1 + strlen(query)
            || memcmp(url->path.data + n + 1, query, strlen(query)) != 0)
        {
            abort();
        }

        curl_free(query);

    } else if (url->path.len != n
               && !(url->path.len == n + 1 && url->path.data[n] == '?'))
    {
        abort();
    }

    curl_free(path);
}


static void
fuzz_curl_part(CURLU *h, CURLUPart part, const char *is)
{
    char  *text;

    if (curl_url_get(h, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK
        || strcmp(text, is) != 0)
    {
        abort();
    }

    curl_free(text);
}


static void
fuzz_curl_none(CURLU *h, CURLUPart part)
{
    char  *text;

    if (curl_url_get(h, part, &text, 0) == CURLUE_OK) {
        abort();
    }
}


/* an address is read as the system reads it, and written as it was read */

static void
fuzz_addr(const uint8_t *data, size_t size)
{
    char            text[CONDUIT_ADDR_TEXT + 1];
    u_char          addr[CONDUIT_ADDR_LEN], other[CONDUIT_ADDR_LEN], *end;
    conduit_cidr_t  cidr;

    if (conduit_cidr_parse(&cidr, data, size) == CONDUIT_OK) {

        if (cidr.bits > 128 || !conduit_cidr_match(&cidr, cidr.addr)) {
            abort();
        }
    }

    if (conduit_addr_parse(addr, data, size) != CONDUIT_OK) {
        return;
    }

    end = conduit_addr_write((u_char *) text, addr);

    if (end > (u_char *) text + CONDUIT_ADDR_TEXT
        || conduit_addr_parse(other, (u_char *) text,
                              (size_t) (end - (u_char *) text))
           != CONDUIT_OK
        || memcmp(addr, other, CONDUIT_ADDR_LEN) != 0)
    {
        abort();
    }

    *end = '\0';

    if (strchr(text, ':')) {

        if (inet_pton(AF_INET6, text, other) != 1) {
            abort();
        }

    } else {

        if (inet_pton(AF_INET, text, other) != 1) {
            abort();
        }

        memmove(other + 12, other, 4);
        conduit_addr_v4(other, other + 12);
    }

    if (memcmp(addr, other, CONDUIT_ADDR_LEN) != 0) {
        abort();
    }

    (void) conduit_addr_class(addr);
}
