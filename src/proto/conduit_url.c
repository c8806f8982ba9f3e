
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_time.h"
#include "conduit_url.h"


static const u_char *conduit_url_scheme(conduit_url_t *url, const u_char *p,
    const u_char *last);
static int conduit_url_chars(const u_char *p, size_t len, const char **why);
static int conduit_url_authority(conduit_url_t *url, u_char *dst,
    const u_char *p, const u_char *last, const char **why);
static int conduit_url_port(conduit_url_t *url, const u_char *p,
    const u_char *last, const char **why);
static int conduit_url_port_allowed(unsigned port);
static int conduit_url_host(conduit_url_t *url, u_char *host, size_t len,
    const char **why);
static int conduit_url_labels(const u_char *host, size_t len,
    const u_char **tail);
static int conduit_url_numeric(const u_char *p, size_t len);
static int conduit_url_private(const u_char *host, size_t len);
static int conduit_token_char(u_char ch);
static int conduit_header_word(const u_char *p, size_t len, const char *word,
    int prefix);


/* ports above 1023 on which services listen that know no strangers */

static const uint16_t  conduit_url_bad_ports[] = {
    1433, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 6379,
    6443, 8500, 9200, 9300, 10250, 11211, 27017
};


/* top level names that no public resolver has */

static const char  *conduit_url_private_names[] = {
    "local",
    "internal",
    "localhost",
    "home.arpa",
    "onion",
    NULL
};


static const char  *conduit_webhook_names[] = {
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "trailers",
    "connection",
    "keep-alive",
    "upgrade",
    "expect",
    "cookie",
    "set-cookie",
    "via",
    "forwarded",
    "x-real-ip",
    "accept-encoding",
    "date",
    "user-agent",
    "idempotency-key",
    "x-http-method-override",
    "x-method-override",
    NULL
};


static const char  *conduit_webhook_prefixes[] = {
    "proxy-",
    "x-forwarded-",
    "webhook-",
    "x-webhook-",
    "sec-",
    "x-amz-",
    "x-amzn-",
    "x-goog-",
    "x-google",
    "x-gfe",
    "x-azure-",
    "x-ms-",
    "x-fd-",
    "metadata",
    "x-aws-ec2-metadata-token",
    NULL
};


int
conduit_url_parse(conduit_url_t *url, u_char *buf, const u_char *p, size_t len,
    const char **why)
{
    size_t         n;
    u_char        *dst;
    const u_char  *last, *end;

    memset(url, 0, sizeof(conduit_url_t));

    if (conduit_url_chars(p, len, why) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    last = p + len;
    p = conduit_url_scheme(url, p, last);

    if (p == NULL) {
        *why = "must begin with \"https://\" or \"http://\"";
        return CONDUIT_ERROR;
    }

    n = url->tls ? 8 : 7;
    memcpy(buf, url->tls ? "https://" : "http://", n);
    dst = buf + n;

    for (end = p; end < last && *end != '/' && *end != '?'; end++) {
        /* void */
    }

    if (conduit_url_authority(url, dst, p, end, why) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    url->text.data = buf;
    dst = url->origin.data + url->origin.len;
    url->origin.len = (size_t) (dst - buf);
    url->origin.data = buf;

    url->path.data = dst;

    if (end == last || *end == '?') {
        *dst++ = '/';
    }

    n = (size_t) (last - end);
    memcpy(dst, end, n);
    dst += n;

    url->path.len = (size_t) (dst - url->path.data);
    url->text.len = (size_t) (dst - buf);

    return CONDUIT_OK;
}


/* what must not stand anywhere in the URL */

static int
conduit_url_chars(const u_char *p, size_t len, const char **why)
{
    size_t  i;

    if (len == 0) {
        *why = "must not be empty";
        return CONDUIT_ERROR;
    }

    if (len > CONDUIT_URL_MAX) {
        *why = "must not be longer than 2048 bytes";
        return CONDUIT_ERROR;
    }

    for (i = 0; i < len; i++) {

        if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '\\') {
            *why = "must consist of visible ASCII characters other than \"\\\"";
            return CONDUIT_ERROR;
        }

        if (p[i] == '#') {
            *why = "must not have a fragment";
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static const u_char *
conduit_url_scheme(conduit_url_t *url, const u_char *p, const u_char *last)
{
    if (last - p >= 8 && conduit_header_word(p, 8, "https://", 0)) {
        url->tls = 1;
        return p + 8;
    }

    if (last - p >= 7 && conduit_header_word(p, 7, "http://", 0)) {
        return p + 7;
    }

    return NULL;
}


/*
 * Reads host and port, writes them to dst; for the moment the origin is what
 * was written here.
 */

static int
conduit_url_authority(conduit_url_t *url, u_char *dst, const u_char *p,
    const u_char *last, const char **why)
{
    size_t         i, n;
    u_char        *start;
    const u_char  *end;

    if (p < last && memchr(p, '@', (size_t) (last - p)) != NULL) {
        *why = "must not carry credentials";
        return CONDUIT_ERROR;
    }

    if (p < last && *p == '[') {
        end = memchr(p, ']', (size_t) (last - p));

        if (end == NULL
            || conduit_addr_parse(url->addr, p + 1, (size_t) (end - p - 1))
               != CONDUIT_OK
            || memchr(p, ':', (size_t) (end - p)) == NULL)
        {
            *why = "must have a valid IPv6 address in the brackets";
            return CONDUIT_ERROR;
        }

        end++;
        url->literal = 1;

    } else {
        for (end = p; end < last && *end != ':'; end++) { /* void */ }
    }

    n = (size_t) (end - p);

    for (i = 0; i < n; i++) {
        dst[i] = (u_char) ((p[i] >= 'A' && p[i] <= 'Z') ? p[i] | 0x20 : p[i]);
    }

    if (conduit_url_port(url, end, last, why) != CONDUIT_OK
        || conduit_url_host(url, dst, n, why) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    start = dst;
    dst = url->host.data + url->host.len + (url->host.data > start ? 1 : 0);

    if (url->port != (url->tls ? 443 : 80)) {
        *dst++ = ':';
        dst = conduit_number_write(dst, url->port);
    }

    url->origin.data = start;
    url->origin.len = (size_t) (dst - start);

    return CONDUIT_OK;
}


static int
conduit_url_port(conduit_url_t *url, const u_char *p, const u_char *last,
    const char **why)
{
    unsigned  port;

    url->port = url->tls ? 443 : 80;

    if (p == last) {
        return CONDUIT_OK;
    }

    if (*p++ != ':') {
        *why = "must have nothing but a port behind the host";
        return CONDUIT_ERROR;
    }

    if (p == last) {
        return CONDUIT_OK;
    }

    for (port = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            *why = "must have a number as its port";
            return CONDUIT_ERROR;
        }

        port = port * 10 + (*p - '0');

        if (port > 65535) {
            break;
        }
    }

    if (!conduit_url_port_allowed(port)) {
        *why = "must have an allowed port: 80, 443 or one above 1023 that no"
               " well-known internal service uses";
        return CONDUIT_ERROR;
    }

    url->port = (uint16_t) port;

    return CONDUIT_OK;
}


static int
conduit_url_port_allowed(unsigned port)
{
    size_t  i, n;

    if (port == 80 || port == 443) {
        return 1;
    }

    if (port < 1024 || port > 65535) {
        return 0;
    }

    n = sizeof(conduit_url_bad_ports) / sizeof(conduit_url_bad_ports[0]);

    for (i = 0; i < n; i++) {
        if (port == conduit_url_bad_ports[i]) {
            return 0;
        }
    }

    return 1;
}


static int
conduit_url_host(conduit_url_t *url, u_char *host, size_t len,
    const char **why)
{
    const u_char  *tail;

    if (url->literal) {
        url->host.data = host + 1;
        url->host.len = len - 2;
        return CONDUIT_OK;
    }

    if (len > 1 && host[len - 1] == '.') {
        len--;
    }

    url->host.data = host;
    url->host.len = len;

    if (conduit_addr_parse(url->addr, host, len) == CONDUIT_OK) {
        url->literal = 1;
        return CONDUIT_OK;
    }

    if (conduit_url_labels(host, len, &tail) != CONDUIT_OK) {
        *why = "must have a valid host name of ASCII letters, digits and \"-\"";
        return CONDUIT_ERROR;
    }

    if (conduit_url_numeric(tail, (size_t) (host + len - tail))) {
        *why = "must write an IPv4 address as four plain decimal numbers";
        return CONDUIT_ERROR;
    }

    if (tail == host || conduit_url_private(host, len)) {
        *why = "must have a public host name";
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* checks the syntax of all labels; *tail is where the last one begins */

static int
conduit_url_labels(const u_char *host, size_t len, const u_char **tail)
{
    u_char         ch;
    const u_char  *p, *label, *last;

    if (len == 0 || len > CONDUIT_URL_HOST_MAX) {
        return CONDUIT_ERROR;
    }

    last = host + len;
    label = host;

    for (p = host; /* void */ ; p++) {

        if (p == last || *p == '.') {

            if (p == label || p - label > 63 || *label == '-' || p[-1] == '-') {
                return CONDUIT_ERROR;
            }

            *tail = label;

            if (p == last) {
                return CONDUIT_OK;
            }

            label = p + 1;
            continue;
        }

        ch = *p;

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '-'
            && ch != '_')
        {
            return CONDUIT_ERROR;
        }
    }
}


/*
 * Whether a host that ends in this label is taken for an IPv4 address by
 * readers which follow the URL Standard: all digits, or hexadecimal.
 */

static int
conduit_url_numeric(const u_char *p, size_t len)
{
    size_t  i;
    u_char  ch;

    if (len >= 2 && p[0] == '0' && p[1] == 'x') {

        for (i = 2; i < len; i++) {
            ch = p[i];

            if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'f')) {
                return 0;
            }
        }

        return 1;
    }

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return 0;
        }
    }

    return 1;
}


static int
conduit_url_private(const u_char *host, size_t len)
{
    size_t        n;
    const char   *name;
    const char  **names;

    for (names = conduit_url_private_names; *names; names++) {
        name = *names;
        n = strlen(name);

        if (len >= n && memcmp(host + len - n, name, n) == 0
            && (len == n || host[len - n - 1] == '.'))
        {
            return 1;
        }
    }

    return 0;
}


u_char *
conduit_url_origin(u_char *dst, const conduit_url_t *url)
{
    int      v6;
    u_char  *start;

    memcpy(dst, url->tls ? "https://" : "http://", url->tls ? 8 : 7);
    dst += url->tls ? 8 : 7;

    if (url->literal) {
        start = dst;
        dst = conduit_addr_write(start + 1, url->addr);
        v6 = memchr(start + 1, ':', (size_t) (dst - start - 1)) != NULL;

        if (v6) {
            *start = '[';
            *dst++ = ']';

        } else {
            dst--;
            memmove(start, start + 1, (size_t) (dst - start));
        }

    } else {
        memcpy(dst, url->host.data, url->host.len);
        dst += url->host.len;
    }

    if (url->port != (url->tls ? 443 : 80)) {
        *dst++ = ':';
        dst = conduit_number_write(dst, url->port);
    }

    return dst;
}


int
conduit_url_check(const conduit_url_t *url,
    const conduit_addr_policy_t *policy, const char **why)
{
    if (!url->tls && !policy->plain) {
        *why = "must begin with \"https://\"";
        return CONDUIT_DECLINED;
    }

    if (url->literal
        && conduit_addr_check(policy, url->addr, url->port) != CONDUIT_OK)
    {
        *why = "must not have this address as its host";
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


int
conduit_webhook_header_name(const u_char *p, size_t len, const char **why)
{
    size_t        i;
    const char  **name;

    if (len == 0 || len > CONDUIT_WEBHOOK_NAME_MAX) {
        *why = "must have a name of 1 to 64 characters";
        return CONDUIT_DECLINED;
    }

    for (i = 0; i < len; i++) {
        if (!conduit_token_char(p[i])) {
            *why = "must have a name of ASCII letters, digits and"
                   " !#$%&'*+-.^_`|~";
            return CONDUIT_DECLINED;
        }
    }

    *why = "is a header that cannot be set";

    for (name = conduit_webhook_names; *name; name++) {
        if (conduit_header_word(p, len, *name, 0)) {
            return CONDUIT_DECLINED;
        }
    }

    for (name = conduit_webhook_prefixes; *name; name++) {
        if (conduit_header_word(p, len, *name, 1)) {
            return CONDUIT_DECLINED;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_token_char(u_char ch)
{
    if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
        || (ch >= '0' && ch <= '9'))
    {
        return 1;
    }

    return ch != '\0' && strchr("!#$%&'*+-.^_`|~", ch) != NULL;
}


int
conduit_webhook_header_value(const u_char *p, size_t len, const char **why)
{
    size_t  i;

    if (len == 0) {
        return CONDUIT_OK;
    }

    if (len > CONDUIT_WEBHOOK_VALUE_MAX) {
        *why = "must not be longer than 1024 bytes";
        return CONDUIT_DECLINED;
    }

    for (i = 0; i < len; i++) {
        if ((p[i] < ' ' && p[i] != '\t') || p[i] > 0x7e) {
            *why = "must consist of visible ASCII characters and blanks";
            return CONDUIT_DECLINED;
        }
    }

    if (p[0] <= ' ' || p[len - 1] <= ' ') {
        *why = "must not begin or end with a blank";
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


/* compares without case; with prefix set, word may be the start of p only */

static int
conduit_header_word(const u_char *p, size_t len, const char *word, int prefix)
{
    u_char  ch;
    size_t  i, n;

    n = strlen(word);

    if (len < n || (len > n && !prefix)) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        ch = p[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != (u_char) word[i]) {
            return 0;
        }
    }

    return 1;
}
