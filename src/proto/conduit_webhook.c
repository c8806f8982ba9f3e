
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>

#include "conduit_url.h"
#include "conduit_webhook.h"


static int conduit_webhook_url(const conduit_hook_input_t *in,
    conduit_url_t *url, u_char *buf, conduit_fault_t *fault);
static int conduit_webhook_headers(const conduit_hook_input_t *in,
    conduit_fault_t *fault);
static int conduit_webhook_header(json_t *headers, const char *name,
    json_t *value, conduit_fault_t *fault);
static int conduit_webhook_twin(json_t *headers, const char *name);
static int conduit_webhook_metadata(conduit_request_t *req,
    const conduit_hook_input_t *in, u_char **last, conduit_fault_t *fault);
static int conduit_webhook_events(const conduit_hook_input_t *in,
    unsigned *events, conduit_fault_t *fault);
static void conduit_webhook_write(conduit_request_t *req,
    const conduit_hook_input_t *in, const conduit_url_t *url, u_char **last);
static u_char *conduit_webhook_write_events(u_char *p, unsigned events);
static json_t *conduit_webhook_get(const conduit_hook_input_t *in,
    const char *name);
static int conduit_webhook_text(const conduit_hook_input_t *in,
    const char *name, conduit_str_t *text);
static u_char *conduit_copy(u_char *dst, const void *src, size_t len);


/* in the order of their bits */

static const char  *conduit_webhook_event_words[] = {
    "started",
    "progress",
    "completed",
    "failed",
    "cancelled",
    NULL
};


int
conduit_webhook_members(conduit_request_t *req, const conduit_hook_input_t *in,
    u_char **last, conduit_fault_t *fault)
{
    u_char         buf[CONDUIT_URL_BUF];
    unsigned       events;
    conduit_url_t  url;

    if (conduit_webhook_url(in, &url, buf, fault) != CONDUIT_OK
        || conduit_webhook_headers(in, fault) != CONDUIT_OK
        || conduit_webhook_events(in, &events, fault) != CONDUIT_OK
        || conduit_webhook_metadata(req, in, last, fault) != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    if (url.text.len > 0) {
        req->webhook_events = events;
        conduit_webhook_write(req, in, &url, last);
    }

    return CONDUIT_OK;
}


/* an absent URL leaves url->text empty */

static int
conduit_webhook_url(const conduit_hook_input_t *in, conduit_url_t *url,
    u_char *buf, conduit_fault_t *fault)
{
    json_t      *value;
    const char  *why;

    url->text.len = 0;

    value = conduit_webhook_get(in, "webhook_url");

    if (value == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_string(value)) {
        conduit_fault(fault, "webhook_url", "must be a string",
                      "invalid_webhook_url");
        return CONDUIT_DECLINED;
    }

    if (conduit_url_parse(url, buf, (const u_char *) json_string_value(value),
                          json_string_length(value), &why)
        != CONDUIT_OK
        || conduit_url_check(url, in->policy, &why) != CONDUIT_OK)
    {
        conduit_fault(fault, "webhook_url", why, "invalid_webhook_url");
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


static int
conduit_webhook_headers(const conduit_hook_input_t *in, conduit_fault_t *fault)
{
    size_t       size;
    json_t      *headers, *value;
    const char  *name;

    headers = conduit_webhook_get(in, "webhook_headers");

    if (headers == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_object(headers)) {
        conduit_fault(fault, "webhook_headers", "must be an object of strings",
                      "invalid_webhook_header");
        return CONDUIT_DECLINED;
    }

    if (json_object_size(headers) > CONDUIT_WEBHOOK_HEADERS_MAX) {
        conduit_fault(fault, "webhook_headers", "must have at most 16 members",
                      "invalid_webhook_header");
        return CONDUIT_DECLINED;
    }

    size = 0;

    json_object_foreach(headers, name, value) {

        if (conduit_webhook_header(headers, name, value, fault) != CONDUIT_OK) {
            return CONDUIT_DECLINED;
        }

        size += strlen(name) + json_string_length(value);
    }

    if (size > CONDUIT_WEBHOOK_HEADERS_SIZE) {
        conduit_fault(fault, "webhook_headers",
                      "must have at most 8192 bytes of names and values",
                      "invalid_webhook_header");
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


static int
conduit_webhook_header(json_t *headers, const char *name, json_t *value,
    conduit_fault_t *fault)
{
    char         param[sizeof(fault->param) + 8];
    const char  *why;

    /* with room to spare, so that the cut sees where a code point ends */

    (void) snprintf(param, sizeof(param), "webhook_headers.%s", name);

    if (!json_is_string(value)) {
        why = "must be a string";

    } else if (conduit_webhook_header_name((const u_char *) name, strlen(name),
                                           &why)
               == CONDUIT_OK
               && conduit_webhook_header_value(
                                    (const u_char *) json_string_value(value),
                                    json_string_length(value), &why)
                  == CONDUIT_OK)
    {
        if (!conduit_webhook_twin(headers, name)) {
            return CONDUIT_OK;
        }

        why = "is given twice";
    }

    conduit_fault(fault, param, why, "invalid_webhook_header");

    return CONDUIT_DECLINED;
}


/* whether another member has the same name in another case */

static int
conduit_webhook_twin(json_t *headers, const char *name)
{
    size_t       i;
    u_char       a, b;
    json_t      *value;
    const char  *other;

    json_object_foreach(headers, other, value) {

        if (strcmp(other, name) == 0) {
            continue;
        }

        for (i = 0; name[i] != '\0'; i++) {
            a = (u_char) name[i];
            b = (u_char) other[i];

            if (a >= 'A' && a <= 'Z') {
                a |= 0x20;
            }

            if (b >= 'A' && b <= 'Z') {
                b |= 0x20;
            }

            if (a != b) {
                break;
            }
        }

        if (name[i] == '\0' && other[i] == '\0') {
            return 1;
        }
    }

    return 0;
}


static int
conduit_webhook_metadata(conduit_request_t *req,
    const conduit_hook_input_t *in, u_char **last, conduit_fault_t *fault)
{
    json_t         *value;
    conduit_str_t   text;

    value = conduit_webhook_get(in, "webhook_metadata");

    if (value == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_object(value)
        || conduit_webhook_text(in, "webhook_metadata", &text) != CONDUIT_OK)
    {
        conduit_fault(fault, "webhook_metadata", "must be an object", NULL);
        return CONDUIT_DECLINED;
    }

    if (conduit_json_compact(NULL, text.data, text.len) > CONDUIT_METADATA_MAX)
    {
        conduit_fault(fault, "webhook_metadata",
                      "must have at most 16384 bytes of compact JSON", NULL);
        return CONDUIT_DECLINED;
    }

    req->has_metadata = 1;
    req->metadata.data = *last;
    req->metadata.len = conduit_json_compact(*last, text.data, text.len);

    *last += req->metadata.len;

    return CONDUIT_OK;
}


static int
conduit_webhook_events(const conduit_hook_input_t *in, unsigned *events,
    conduit_fault_t *fault)
{
    size_t       i, k;
    json_t      *list, *alias;
    const char  *member, *word;

    *events = CONDUIT_HOOK_DEFAULT;

    member = "webhook_events";
    list = conduit_webhook_get(in, member);
    alias = conduit_webhook_get(in, "webhook_events_filter");

    if (list != NULL && alias != NULL) {
        conduit_fault(fault, "webhook_events_filter",
                      "must not be given beside 'webhook_events'", NULL);
        return CONDUIT_DECLINED;
    }

    if (alias != NULL) {
        member = "webhook_events_filter";
        list = alias;
    }

    if (list == NULL) {
        return CONDUIT_OK;
    }

    *events = 0;

    for (i = 0; i < json_array_size(list); i++) {
        word = json_string_value(json_array_get(list, i));

        for (k = 0; word && conduit_webhook_event_words[k]; k++) {
            if (strcmp(word, conduit_webhook_event_words[k]) == 0) {
                break;
            }
        }

        if (word == NULL || conduit_webhook_event_words[k] == NULL) {
            *events = 0;
            break;
        }

        *events |= 1u << k;
    }

    if (*events == 0) {
        conduit_fault(fault, member,
                      "must be a list of at least one of started, progress,"
                      " completed, failed, cancelled", NULL);
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


static void
conduit_webhook_write(conduit_request_t *req, const conduit_hook_input_t *in,
    const conduit_url_t *url, u_char **last)
{
    u_char         *p;
    conduit_str_t   headers;

    p = *last;
    req->webhook_url.data = conduit_copy(p, url->text.data, url->text.len)
                            - url->text.len;
    req->webhook_url.len = url->text.len;
    p += url->text.len;

    req->webhook.data = p;

    p = conduit_copy(p, "{\"url\":\"", 8);
    p += conduit_json_escape(p, url->text.data, url->text.len);
    p = conduit_copy(p, "\",\"headers\":", 12);

    if (conduit_webhook_get(in, "webhook_headers") != NULL
        && conduit_webhook_text(in, "webhook_headers", &headers) == CONDUIT_OK)
    {
        p += conduit_json_compact(p, headers.data, headers.len);

    } else {
        p = conduit_copy(p, "{}", 2);
    }

    p = conduit_copy(p, ",\"events\":[", 11);
    p = conduit_webhook_write_events(p, req->webhook_events);
    p = conduit_copy(p, "]}", 2);

    req->webhook.len = (size_t) (p - req->webhook.data);

    *last = p;
}


static u_char *
conduit_webhook_write_events(u_char *p, unsigned events)
{
    size_t       i;
    u_char      *start;
    const char  *word;

    start = p;

    for (i = 0; conduit_webhook_event_words[i]; i++) {

        if (!(events & 1u << i)) {
            continue;
        }

        if (p > start) {
            *p++ = ',';
        }

        word = conduit_webhook_event_words[i];

        *p++ = '"';
        p = conduit_copy(p, word, strlen(word));
        *p++ = '"';
    }

    return p;
}


static json_t *
conduit_webhook_get(const conduit_hook_input_t *in, const char *name)
{
    json_t  *value;

    value = json_object_get(in->root, name);

    return json_is_null(value) ? NULL : value;
}


/* the text of a member as sent */

static int
conduit_webhook_text(const conduit_hook_input_t *in, const char *name,
    conduit_str_t *text)
{
    const u_char           *pos, *end;
    conduit_json_member_t   member;

    pos = in->body;
    end = pos + in->len;

    while (conduit_json_next(&pos, end, &member) == CONDUIT_OK) {
        if (conduit_json_name_eq(&member.name, name, 0)) {
            *text = member.value;
            return CONDUIT_OK;
        }
    }

    return CONDUIT_DECLINED;
}


static u_char *
conduit_copy(u_char *dst, const void *src, size_t len)
{
    memcpy(dst, src, len);

    return dst + len;
}
