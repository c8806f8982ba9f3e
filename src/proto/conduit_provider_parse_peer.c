
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Where a provider is and how it knows us. */


#include "conduit_provider_parse.h"


static int conduit_parse_auth_header(conduit_parse_t *ps);
static int conduit_parse_printable(const conduit_str_t *text);


int
conduit_parse_base(conduit_parse_t *ps)
{
    conduit_str_t        text;
    conduit_provider_t  *p;

    p = ps->provider;
    text = ps->args[1];

    while (text.len && text.data[text.len - 1] == '/') {
        text.len--;
    }

    if (conduit_link_parse(&text, &p->base) != CONDUIT_OK
        || memchr(text.data, '?', text.len) != NULL)
    {
        return conduit_parse_error(ps, "must be an absolute http:// or"
                                   " https:// URL without user, query and"
                                   " fragment");
    }

    p->base_text = text;

    return CONDUIT_OK;
}


int
conduit_parse_hosts(conduit_parse_t *ps)
{
    size_t          n;
    u_char         *colon;
    unsigned        i;
    conduit_str_t  *host, name;

    for (i = 1; i < ps->n; i++) {

        name = ps->args[i];

        if (name.len > 2 && name.data[0] == '*' && name.data[1] == '.') {
            name.data += 2;
            name.len -= 2;
        }

        for (n = 0; n < name.len; n++) {
            if (name.data[n] <= ' ' || strchr("/*@?#[]\\", name.data[n])) {
                break;
            }
        }

        /* one colon is a port, several are an IPv6 address */

        colon = memchr(name.data, ':', name.len);

        if (name.len == 0 || n < name.len
            || (colon && memchr(colon + 1, ':',
                                (size_t) (name.data + name.len - colon - 1))
                         == NULL))
        {
            return conduit_parse_error(ps, "has the bad entry \"%.*s\": it"
                                       " must be a host without scheme and"
                                       " port, or \"*.\" and a domain",
                                       (int) ps->args[i].len,
                                       ps->args[i].data);
        }

        host = conduit_list_push(&ps->provider->pool, &ps->provider->hosts,
                                 sizeof(conduit_str_t));
        if (host == NULL) {
            return conduit_parse_nomem(ps);
        }

        *host = ps->args[i];
    }

    return CONDUIT_OK;
}


int
conduit_parse_secret(conduit_parse_t *ps)
{
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    if (p->secret_from.len || ps->n > 2) {
        return conduit_parse_error(ps, "with several values is not supported"
                                   " yet");
    }

    value = ps->args[1];

    if ((value.len <= 5 || memcmp(value.data, "file:", 5) != 0)
        && (value.len <= 4 || memcmp(value.data, "env:", 4) != 0))
    {
        return conduit_parse_error(ps, "must be \"file:PATH\" or"
                                   " \"env:NAME\"");
    }

    p->secret_from = value;

    return CONDUIT_OK;
}


int
conduit_parse_certificate(conduit_parse_t *ps)
{
    if (ps->args[1].len == 0) {
        return conduit_parse_error(ps, "must be a file of PEM certificates");
    }

    ps->provider->certificate = ps->args[1];

    return CONDUIT_OK;
}


int
conduit_parse_auth(conduit_parse_t *ps)
{
    conduit_provider_t   *p;
    const conduit_str_t  *how;

    p = ps->provider;
    how = &ps->args[1];

    if (conduit_parse_is(how, "none") && ps->n == 2) {
        p->auth = CONDUIT_AUTH_NONE;
        return CONDUIT_OK;
    }

    if (conduit_parse_is(how, "header") && ps->n == 4) {
        return conduit_parse_auth_header(ps);
    }

    if (conduit_parse_is(how, "query") && ps->n == 3) {

        if (conduit_parse_token(&ps->args[2]) != CONDUIT_OK) {
            return conduit_parse_error(ps, "query has a bad name");
        }

        p->auth = CONDUIT_AUTH_QUERY;
        p->auth_name = ps->args[2];

        return CONDUIT_OK;
    }

    if (conduit_parse_is(how, "jwt")) {
        return conduit_parse_error(ps, "jwt is not supported yet");
    }

    return conduit_parse_error(ps, "must be \"header NAME FORMAT\","
                               " \"query NAME\" or \"none\"");
}


static int
conduit_parse_auth_header(conduit_parse_t *ps)
{
    unsigned             found;
    conduit_part_t      *part;
    conduit_provider_t  *p;

    p = ps->provider;
    p->auth = CONDUIT_AUTH_HEADER;
    p->auth_name = ps->args[2];

    if (conduit_parse_token(&p->auth_name) != CONDUIT_OK
        || conduit_parse_printable(&ps->args[3]) != CONDUIT_OK)
    {
        return conduit_parse_error(ps, "header has a bad name or value");
    }

    if (conduit_parse_template(ps, &ps->args[3], &p->auth_format)
        != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    found = 0;

    for (part = p->auth_format.parts; part; part = part->next) {

        if (!part->value) {
            continue;
        }

        if (!conduit_parse_is(&part->text, "secret")) {
            return conduit_parse_error(ps, "header knows \"${secret}\" only");
        }

        found = 1;
    }

    if (!found) {
        return conduit_parse_error(ps, "header must have \"${secret}\" in its"
                                   " format; a constant one is a \"header\"");
    }

    return CONDUIT_OK;
}


int
conduit_parse_header(conduit_parse_t *ps)
{
    conduit_pair_t      *header;
    conduit_part_t      *part;
    conduit_template_t   t;

    if (conduit_parse_token(&ps->args[1]) != CONDUIT_OK
        || conduit_parse_printable(&ps->args[2]) != CONDUIT_OK)
    {
        return conduit_parse_error(ps, "has a bad name or value");
    }

    if (conduit_parse_template(ps, &ps->args[2], &t) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    for (part = t.parts; part; part = part->next) {

        if (part->value) {
            return conduit_parse_error(ps, "is constant, it cannot have"
                                       " \"${...}\"");
        }
    }

    header = conduit_list_push(&ps->provider->pool, &ps->provider->headers,
                               sizeof(conduit_pair_t));
    if (header == NULL) {
        return conduit_parse_nomem(ps);
    }

    header->name = ps->args[1];
    header->value = ps->args[2];

    return CONDUIT_OK;
}


/* the characters of a token of RFC 9110, 5.6.2 */

int
conduit_parse_token(const conduit_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] <= ' ' || text->data[i] >= 0x7f
            || strchr("\"(),/:;<=>?@[\\]{}", text->data[i]) != NULL)
        {
            return CONDUIT_ERROR;
        }
    }

    return text->len ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_parse_printable(const conduit_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] < ' ' || text->data[i] == 0x7f) {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}
