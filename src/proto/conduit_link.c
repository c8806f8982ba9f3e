
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_link.h"


static int conduit_link_scheme(const conduit_str_t *text, conduit_link_t *url);
static int conduit_link_host(u_char *p, u_char *last, conduit_link_t *url);
static int conduit_link_port(u_char *p, u_char *last, conduit_link_t *url);
static int conduit_link_kept(u_char ch, unsigned raw);
static size_t conduit_link_dot(const u_char *p, const u_char *last);


#define conduit_lower(c)                                                      \
    (u_char) (((c) >= 'A' && (c) <= 'Z') ? ((c) | 0x20) : (c))

#define conduit_alnum(c)                                                      \
    (((c) >= '0' && (c) <= '9')                                               \
     || (conduit_lower(c) >= 'a' && conduit_lower(c) <= 'z'))


int
conduit_link_parse(const conduit_str_t *text, conduit_link_t *url)
{
    u_char  *p, *last, *host;
    size_t   i;

    if (text->len > CONDUIT_LINK_MAX
        || conduit_link_scheme(text, url) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    for (i = 0; i < text->len; i++) {

        if (text->data[i] <= 0x20 || text->data[i] >= 0x7f
            || strchr("\\#\"<>^`{|}", text->data[i]) != NULL)
        {
            return CONDUIT_ERROR;
        }
    }

    host = text->data + (url->tls ? 8 : 7);
    last = text->data + text->len;

    for (p = host; p < last && *p != '/' && *p != '?'; p++) { /* void */ }

    url->origin.data = text->data;
    url->origin.len = (size_t) (p - text->data);
    url->rest.data = p;
    url->rest.len = (size_t) (last - p);

    return conduit_link_host(host, p, url);
}


static int
conduit_link_scheme(const conduit_str_t *text, conduit_link_t *url)
{
    conduit_str_t  head;

    static const conduit_str_t  http = { 7, (u_char *) "http://" };
    static const conduit_str_t  https = { 8, (u_char *) "https://" };

    head.data = text->data;
    head.len = 7;

    if (text->len > 7 && conduit_str_equal(&head, &http)) {
        url->tls = 0;
        url->port = 80;
        return CONDUIT_OK;
    }

    head.len = 8;

    if (text->len > 8 && conduit_str_equal(&head, &https)) {
        url->tls = 1;
        url->port = 443;
        return CONDUIT_OK;
    }

    return CONDUIT_ERROR;
}


static int
conduit_link_host(u_char *p, u_char *last, conduit_link_t *url)
{
    unsigned  v6;

    v6 = (p < last && *p == '[');

    if (v6) {
        p++;
    }

    url->host.data = p;

    for ( /* void */ ; p < last; p++) {

        if (v6 && (*p == ':' || *p == '.')) {
            continue;
        }

        if (!conduit_alnum(*p) && (v6 || strchr("-._", *p) == NULL)) {
            break;
        }
    }

    url->host.len = (size_t) (p - url->host.data);

    if (url->host.len == 0 || url->host.len > 255) {
        return CONDUIT_ERROR;
    }

    if (v6 && (p == last || *p++ != ']')) {
        return CONDUIT_ERROR;
    }

    if (p == last) {
        return CONDUIT_OK;
    }

    return (*p == ':') ? conduit_link_port(p + 1, last, url) : CONDUIT_ERROR;
}


static int
conduit_link_port(u_char *p, u_char *last, conduit_link_t *url)
{
    unsigned  port;

    if (p == last || last - p > 5) {
        return CONDUIT_ERROR;
    }

    for (port = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return CONDUIT_ERROR;
        }

        port = port * 10 + (*p - '0');
    }

    if (port == 0 || port > 65535) {
        return CONDUIT_ERROR;
    }

    url->port = port;

    return CONDUIT_OK;
}


int
conduit_link_listed(const conduit_str_t *hosts, size_t n,
    const conduit_str_t *host)
{
    size_t         i;
    conduit_str_t  name, tail, entry;

    name = *host;

    if (name.len > 1 && name.data[name.len - 1] == '.') {
        name.len--;
    }

    for (i = 0; i < n; i++) {

        if (hosts[i].len > 1 && hosts[i].data[0] == '*') {

            /* the dot is part of what has to match */

            entry.len = hosts[i].len - 1;
            entry.data = hosts[i].data + 1;

            if (name.len <= entry.len) {
                continue;
            }

            tail.len = entry.len;
            tail.data = name.data + name.len - tail.len;

            if (conduit_str_equal(&entry, &tail)) {
                return 1;
            }

            continue;
        }

        if (conduit_str_equal(&hosts[i], &name)) {
            return 1;
        }
    }

    return 0;
}


size_t
conduit_link_escape(u_char *dst, const u_char *src, size_t len, unsigned raw)
{
    size_t  i, n;

    static const u_char  hex[] = "0123456789ABCDEF";

    for (i = 0, n = 0; i < len; i++) {

        if (conduit_link_kept(src[i], raw)) {

            if (dst) {
                dst[n] = src[i];
            }

            n++;
            continue;
        }

        if (dst) {
            dst[n] = '%';
            dst[n + 1] = hex[src[i] >> 4];
            dst[n + 2] = hex[src[i] & 0xf];
        }

        n += 3;
    }

    return n;
}


static int
conduit_link_kept(u_char ch, unsigned raw)
{
    if (ch == '\0' || ch >= 0x80) {
        return 0;
    }

    if (conduit_alnum(ch) || strchr("-._~", ch) != NULL) {
        return 1;
    }

    return raw && strchr(":/?[]@!$&'()*+,;=%", ch) != NULL;
}


int
conduit_link_dotted(const conduit_str_t *text)
{
    size_t   n, len;
    u_char  *p, *last;

    p = text->data;
    last = p + text->len;

    while (p < last && *p != '?') {

        if (*p++ != '/') {
            continue;
        }

        /* one or two dots, each perhaps as %2e, and then the segment's end */

        for (n = 0; n < 2; n++) {

            len = conduit_link_dot(p, last);
            if (len == 0) {
                break;
            }

            p += len;
        }

        if (n && (p == last || *p == '/' || *p == '?')) {
            return 1;
        }
    }

    return 0;
}


static size_t
conduit_link_dot(const u_char *p, const u_char *last)
{
    if (p < last && *p == '.') {
        return 1;
    }

    if (last - p >= 3 && p[0] == '%' && p[1] == '2' && (p[2] | 0x20) == 'e') {
        return 3;
    }

    return 0;
}


int
conduit_str_equal(const conduit_str_t *a, const conduit_str_t *b)
{
    size_t  i;

    if (a->len != b->len) {
        return 0;
    }

    for (i = 0; i < a->len; i++) {

        if (conduit_lower(a->data[i]) != conduit_lower(b->data[i])) {
            return 0;
        }
    }

    return 1;
}
