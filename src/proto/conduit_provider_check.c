
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_provider_parse.h"

#include <stdarg.h>
#include <stdio.h>


static int conduit_check_seen(conduit_check_t *ck, const char *word);
static int conduit_check_type(conduit_check_t *ck);
static int conduit_check_parts(conduit_check_t *ck);
static int conduit_check_secret(conduit_check_t *ck);
static int conduit_check_hosts(conduit_check_t *ck);
static int conduit_check_sync(conduit_check_t *ck);
static int conduit_check_poll(conduit_check_t *ck);
static int conduit_check_ends(conduit_check_t *ck);
static int conduit_check_results(conduit_check_t *ck);
static int conduit_check_fields(conduit_check_t *ck, const char *what,
    conduit_request_t *request, conduit_known_e known);
static int conduit_check_map(conduit_check_t *ck, conduit_field_t *field);
static int conduit_check_urls(conduit_check_t *ck);
static int conduit_check_url(conduit_check_t *ck, const char *what,
    conduit_request_t *request, conduit_known_e known);
static int conduit_check_pointers(conduit_check_t *ck);
static int conduit_check_rules(conduit_check_t *ck, const char *what,
    conduit_list_t *list);
static int conduit_check_result_rules(conduit_check_t *ck,
    conduit_list_t *list);


/* in the order of the table of directives */

static const char  *conduit_check_names[] = {
    "kind", "type", "limit", "lease", "duration", "base", "hosts", "secret",
    "auth", "header", "map", "timeout", "submit", "poll", "status",
    "complete_if", "fail_if", "progress", "fetch", "result", "error",
    "error_map", "cancel", "trusted_certificate", NULL
};


int
conduit_provider_check(conduit_provider_t *p,
    char error[CONDUIT_PROVIDER_ERROR])
{
    conduit_check_t  ck;

    ck.provider = p;
    ck.error = error;

    if (conduit_check_type(&ck) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (p->type != CONDUIT_TYPE_DESCRIBED) {
        return CONDUIT_OK;
    }

    if (conduit_check_parts(&ck) != CONDUIT_OK
        || conduit_check_secret(&ck) != CONDUIT_OK
        || conduit_check_hosts(&ck) != CONDUIT_OK
        || conduit_check_results(&ck) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (p->sync) {

        if (conduit_check_sync(&ck) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

    } else if (conduit_check_poll(&ck) != CONDUIT_OK
               || conduit_check_ends(&ck) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (conduit_check_urls(&ck) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    return conduit_check_pointers(&ck);
}


int
conduit_check_error(conduit_check_t *ck, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);

    (void) vsnprintf(ck->error, CONDUIT_PROVIDER_ERROR, fmt, args);

    va_end(args);

    return CONDUIT_ERROR;
}


static int
conduit_check_seen(conduit_check_t *ck, const char *word)
{
    unsigned  i;

    for (i = 0; conduit_check_names[i]; i++) {

        if (strcmp(conduit_check_names[i], word) == 0) {
            return (ck->provider->seen >> i) & 1;
        }
    }

    return 0;
}


/* which directives a block of this type may have */

static int
conduit_check_type(conduit_check_t *ck)
{
    unsigned             i;
    const char          *name, *type, **allowed, **a;
    conduit_provider_t  *p;

    static const char  *sandbox[] = { "kind", "type", "limit", "duration",
                                      NULL };
    static const char  *worker[] = { "kind", "type", "limit", "lease", NULL };

    p = ck->provider;

    if (p->type == CONDUIT_TYPE_DESCRIBED) {

        for (i = 3; i < 5; i++) {

            if ((p->seen >> i) & 1) {
                return conduit_check_error(ck, "\"%s\" needs \"type %s\"",
                                           conduit_check_names[i],
                                           i == 3 ? "worker" : "sandbox");
            }
        }

        return CONDUIT_OK;
    }

    allowed = (p->type == CONDUIT_TYPE_SANDBOX) ? sandbox : worker;
    type = (p->type == CONDUIT_TYPE_SANDBOX) ? "sandbox" : "worker";

    for (i = 0; (name = conduit_check_names[i]) != NULL; i++) {

        if (!((p->seen >> i) & 1)) {
            continue;
        }

        for (a = allowed; *a && strcmp(*a, name) != 0; a++) { /* void */ }

        if (*a == NULL) {
            return conduit_check_error(ck, "\"%s\" has no meaning with \"type"
                                       " %s\"", name, type);
        }
    }

    if (p->kinds == 0) {
        p->kinds = 1u << CONDUIT_KIND_IMAGE | 1u << CONDUIT_KIND_VIDEO;
    }

    return CONDUIT_OK;
}


static int
conduit_check_parts(conduit_check_t *ck)
{
    size_t  i;

    static const struct {
        const char  *name;
        const char  *form;
    } parts[] = {
        { "kind", "kind image|video;" },
        { "base", "base https://HOST;" },
        { "submit", "submit METHOD PATH { ... }" }
    };

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {

        if (!conduit_check_seen(ck, parts[i].name)) {
            return conduit_check_error(ck, "\"%s\" is missing: \"%s\"",
                                       parts[i].name, parts[i].form);
        }
    }

    return CONDUIT_OK;
}


static int
conduit_check_secret(conduit_check_t *ck)
{
    conduit_provider_t  *p;

    p = ck->provider;

    if (p->auth != CONDUIT_AUTH_NONE && p->secret_from.len == 0) {
        return conduit_check_error(ck, "\"auth\" needs a secret: \"secret"
                                   " file:PATH\" or \"secret env:NAME\"");
    }

    if (p->auth == CONDUIT_AUTH_NONE && p->secret_from.len) {
        return conduit_check_error(ck, "\"secret\" is not used: name it in"
                                   " \"auth header NAME FORMAT\" or \"auth"
                                   " query NAME\"");
    }

    return CONDUIT_OK;
}


static int
conduit_check_hosts(conduit_check_t *ck)
{
    conduit_str_t       *host;
    conduit_provider_t  *p;

    p = ck->provider;

    /* the base is the operator's own word, so it is always allowed */

    if (conduit_link_listed(p->hosts.elts, p->hosts.n, &p->base.host)) {
        return CONDUIT_OK;
    }

    host = conduit_list_push(&p->pool, &p->hosts, sizeof(conduit_str_t));
    if (host == NULL) {
        return conduit_check_error(ck, "no memory");
    }

    *host = p->base.host;

    return CONDUIT_OK;
}


static int
conduit_check_results(conduit_check_t *ck)
{
    conduit_provider_t  *p;

    p = ck->provider;

    if (p->results.n == 0 && !p->download.set && p->fetch.results.n == 0) {
        return conduit_check_error(ck, "no result rule: \"result url"
                                   " POINTER\", \"result base64 POINTER\" or"
                                   " \"result download METHOD URL\"");
    }

    return CONDUIT_OK;
}


static int
conduit_check_sync(conduit_check_t *ck)
{
    size_t  i;

    static const char  *words[] = { "poll", "status", "complete_if" };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        if (conduit_check_seen(ck, words[i])) {
            return conduit_check_error(ck, "\"%s\" has no meaning with"
                                       " \"submit ... sync\", whose reply is"
                                       " the result", words[i]);
        }
    }

    return CONDUIT_OK;
}


static int
conduit_check_poll(conduit_check_t *ck)
{
    conduit_take_t       *take;
    conduit_provider_t   *p;

    static const conduit_str_t  id = { 2, (u_char *) "id" };

    p = ck->provider;

    take = conduit_check_taken(&p->submit.take, &id);

    if (take == NULL) {
        return conduit_check_error(ck, "\"submit\" must have \"take id"
                                   " POINTER\", or be \"sync\"");
    }

    if (!p->poll.set) {
        return conduit_check_error(ck, "\"poll METHOD URL { ... }\" is"
                                   " missing, or \"submit\" must be \"sync\"");
    }

    return CONDUIT_OK;
}


/* can a polled task ever complete? */

static int
conduit_check_ends(conduit_check_t *ck)
{
    unsigned                 i;
    conduit_provider_t      *p;
    conduit_http_rule_t     *http;
    conduit_status_entry_t  *entry;

    p = ck->provider;
    entry = p->statuses.elts;
    http = p->http.elts;

    if (p->complete_if.n) {
        return CONDUIT_OK;
    }

    for (i = 0; i < p->statuses.n; i++) {
        if (entry[i].state == CONDUIT_STATE_COMPLETED) {
            return CONDUIT_OK;
        }
    }

    for (i = 0; i < p->http.n; i++) {
        if (http[i].state == CONDUIT_STATE_COMPLETED) {
            return CONDUIT_OK;
        }
    }

    return conduit_check_error(ck, "nothing tells that a task is completed:"
                               " \"status POINTER { VALUE completed; }\" or"
                               " \"complete_if POINTER ...\"");
}


static int
conduit_check_urls(conduit_check_t *ck)
{
    conduit_provider_t  *p;

    p = ck->provider;

    if (conduit_check_url(ck, "submit", &p->submit, CONDUIT_KNOWN_REQUEST)
        != CONDUIT_OK
        || conduit_check_url(ck, "fetch", &p->fetch, CONDUIT_KNOWN_POLL)
           != CONDUIT_OK
        || conduit_check_url(ck, "result download", &p->download,
                             CONDUIT_KNOWN_FETCH)
           != CONDUIT_OK
        || conduit_check_url(ck, "poll", &p->poll, CONDUIT_KNOWN_SUBMIT)
           != CONDUIT_OK
        || conduit_check_url(ck, "cancel", &p->cancel,
                             p->sync ? CONDUIT_KNOWN_REQUEST
                                     : CONDUIT_KNOWN_SUBMIT)
           != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    return conduit_check_url(ck, "progress side", &p->side,
                             p->sync ? CONDUIT_KNOWN_REQUEST
                                     : CONDUIT_KNOWN_SUBMIT);
}


static int
conduit_check_url(conduit_check_t *ck, const char *what,
    conduit_request_t *request, conduit_known_e known)
{
    size_t               n;
    conduit_str_t        head;
    conduit_template_t   literal;

    if (!request->set) {
        return CONDUIT_OK;
    }

    if (conduit_check_template(ck, what, &request->url, known) != CONDUIT_OK
        || conduit_check_fields(ck, what, request, known) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (request->literal.len) {

        if (conduit_template_compile(&ck->provider->pool, &request->literal,
                                     &literal)
            != CONDUIT_OK)
        {
            return conduit_check_error(ck, "\"%s\" has a bad \"${...}\" in its"
                                       " document", what);
        }

        if (conduit_check_template(ck, what, &literal, known) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }
    }

    head = request->url.parts->text;

    if (request->url.parts->value || head.data[0] == '/') {
        return CONDUIT_OK;
    }

    /* an absolute one: the origin is in the text before the first value */

    for (n = 8; n < head.len && head.data[n] != '/'; n++) { /* void */ }

    head.len = (n < head.len) ? n : head.len;

    if (conduit_provider_allowed(ck->provider, &head)) {
        return CONDUIT_OK;
    }

    return conduit_check_error(ck, "\"%s\" has a URL whose host is not listed"
                               " in \"hosts\", or that is not as safe as"
                               " \"base\"", what);
}


static int
conduit_check_fields(conduit_check_t *ck, const char *what,
    conduit_request_t *request, conduit_known_e known)
{
    unsigned          i;
    conduit_field_t  *field;

    field = request->fields.elts;

    for (i = 0; i < request->fields.n; i++) {

        if (request->encoding == CONDUIT_BODY_NONE) {
            return conduit_check_error(ck, "\"%s\" has fields but no body, it"
                                       " must be \"json\"", what);
        }

        if (field[i].source == CONDUIT_SOURCE_TEXT
            && conduit_check_template(ck, "field", &field[i].text, known)
               != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }

        if (conduit_check_map(ck, &field[i]) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_check_map(conduit_check_t *ck, conduit_field_t *field)
{
    unsigned        i;
    conduit_map_t  *map;

    if (field->map_name.len == 0) {
        return CONDUIT_OK;
    }

    map = ck->provider->maps.elts;

    for (i = 0; i < ck->provider->maps.n; i++) {

        if (conduit_str_equal(&map[i].name, &field->map_name)) {
            field->map = &map[i];
            return CONDUIT_OK;
        }
    }

    return conduit_check_error(ck, "\"field\" names the unknown map \"%.*s\"",
                               (int) field->map_name.len,
                               field->map_name.data);
}


static int
conduit_check_pointers(conduit_check_t *ck)
{
    conduit_provider_t  *p;

    p = ck->provider;

    if (conduit_check_template(ck, "status", &p->status, CONDUIT_KNOWN_SUBMIT)
        != CONDUIT_OK
        || conduit_check_rules(ck, "complete_if", &p->complete_if)
           != CONDUIT_OK
        || conduit_check_rules(ck, "fail_if", &p->fail_if) != CONDUIT_OK
        || conduit_check_rules(ck, "ok", &p->submit.ok) != CONDUIT_OK
        || conduit_check_rules(ck, "ok", &p->poll.ok) != CONDUIT_OK
        || conduit_check_rules(ck, "ok", &p->fetch.ok) != CONDUIT_OK
        || conduit_check_rules(ck, "empty", &p->empty) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (conduit_check_templates(ck, "error message", &p->error_message,
                                CONDUIT_KNOWN_SUBMIT)
        != CONDUIT_OK
        || conduit_check_templates(ck, "error code", &p->error_code,
                                   CONDUIT_KNOWN_SUBMIT)
           != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (conduit_check_result_rules(ck, &p->results) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    return conduit_check_result_rules(ck, &p->fetch.results);
}


static int
conduit_check_rules(conduit_check_t *ck, const char *what,
    conduit_list_t *list)
{
    unsigned         i;
    conduit_rule_t  *rule;

    rule = list->elts;

    for (i = 0; i < list->n; i++) {

        if (conduit_check_template(ck, what, &rule[i].pointer,
                                   CONDUIT_KNOWN_SUBMIT)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_check_result_rules(conduit_check_t *ck, conduit_list_t *list)
{
    unsigned                i;
    conduit_result_rule_t  *rule;

    rule = list->elts;

    for (i = 0; i < list->n; i++) {

        if (conduit_check_templates(ck, "result", &rule[i].pointers,
                                    CONDUIT_KNOWN_FETCH)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}
