
/*
 * Copyright (C) Conduit for nginx authors
 */


/* The steps of a provider: submit, poll, fetch, cancel, and their blocks. */


#include "conduit_provider_parse.h"
#include "conduit_pointer.h"


static conduit_request_t *conduit_parse_block(conduit_parse_t *ps);
static int conduit_parse_look(conduit_parse_t *ps,
    conduit_request_t *request);
static int conduit_parse_target(conduit_parse_t *ps,
    const conduit_str_t *pointer);
static int conduit_parse_source(conduit_parse_t *ps, conduit_field_t *field);
static int conduit_parse_field_option(conduit_parse_t *ps,
    const conduit_str_t *arg, conduit_field_t *field);
static int conduit_parse_field_type(const conduit_str_t *arg,
    conduit_field_t *field);
static int conduit_parse_when(conduit_parse_t *ps, conduit_str_t *text);
static int conduit_parse_take_from(conduit_parse_t *ps,
    const conduit_str_t *arg);
static conduit_take_t *conduit_parse_take_push(conduit_parse_t *ps,
    conduit_list_t *list);
static int conduit_parse_take_pointers(conduit_parse_t *ps,
    conduit_take_t *take, const conduit_str_t *args, unsigned n);


static conduit_request_t *
conduit_parse_block(conduit_parse_t *ps)
{
    switch (ps->block) {

    case CONDUIT_BLOCK_POLL:
        return &ps->provider->poll;

    case CONDUIT_BLOCK_FETCH:
        return &ps->provider->fetch;

    default:
        return &ps->provider->submit;
    }
}


int
conduit_parse_request(conduit_parse_t *ps, unsigned at,
    conduit_request_t *request)
{
    const conduit_str_t  *url;

    if (ps->n < at + 2) {
        return conduit_parse_error(ps, "needs METHOD and URL");
    }

    url = &ps->args[at + 1];

    if (conduit_parse_method(ps, &ps->args[at]) != CONDUIT_OK
        || conduit_parse_template(ps, url, &request->url) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (url->len == 0
        || (url->data[0] != '/' && memcmp(url->data, "${", 2) != 0
            && (url->len < 4 || memcmp(url->data, "http", 4) != 0)))
    {
        return conduit_parse_error(ps, "has the bad URL \"%.*s\", it must"
                                   " begin with \"/\", \"http\" or \"${\"",
                                   (int) url->len, url->data);
    }

    request->method = ps->args[at];
    request->set = 1;

    return CONDUIT_OK;
}


int
conduit_parse_submit(conduit_parse_t *ps)
{
    unsigned             i;
    conduit_provider_t  *p;

    p = ps->provider;

    if (conduit_parse_request(ps, 1, &p->submit) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    p->submit.encoding = CONDUIT_BODY_JSON;

    for (i = 3; i < ps->n; i++) {

        if (conduit_parse_is(&ps->args[i], "json")) {
            p->submit.encoding = CONDUIT_BODY_JSON;

        } else if (conduit_parse_is(&ps->args[i], "form")) {
            p->submit.encoding = CONDUIT_BODY_FORM;

        } else if (conduit_parse_is(&ps->args[i], "none")) {
            p->submit.encoding = CONDUIT_BODY_NONE;

        } else if (conduit_parse_is(&ps->args[i], "sync")) {
            p->sync = 1;

        } else if (conduit_parse_is(&ps->args[i], "multipart")) {
            return conduit_parse_error(ps, "multipart is not supported yet");

        } else {
            return conduit_parse_error(ps, "has the unknown word \"%.*s\", it"
                                       " must be json, form, none or sync",
                                       (int) ps->args[i].len,
                                       ps->args[i].data);
        }
    }

    return CONDUIT_OK;
}


int
conduit_parse_poll(conduit_parse_t *ps)
{
    return conduit_parse_look(ps, &ps->provider->poll);
}


int
conduit_parse_fetch(conduit_parse_t *ps)
{
    return conduit_parse_look(ps, &ps->provider->fetch);
}


/* METHOD URL [json] */

static int
conduit_parse_look(conduit_parse_t *ps, conduit_request_t *request)
{
    if (ps->n == 4) {

        if (!conduit_parse_is(&ps->args[3], "json")) {
            return conduit_parse_error(ps, "knows \"json\" only after the"
                                       " URL");
        }

        request->encoding = CONDUIT_BODY_JSON;
    }

    return conduit_parse_request(ps, 1, request);
}


/* METHOD URL [json '{...}'] [when=queued,processing] [ok=200,202] */

int
conduit_parse_cancel(conduit_parse_t *ps)
{
    unsigned             i;
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    if (conduit_parse_request(ps, 1, &p->cancel) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    for (i = 3; i < ps->n; i++) {

        if (conduit_parse_is(&ps->args[i], "json")) {

            if (++i == ps->n) {
                return conduit_parse_error(ps, "needs a document after"
                                           " \"json\"");
            }

            if (conduit_parse_literal(ps, &ps->args[i], &p->cancel)
                != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

        } else if (conduit_parse_option(&ps->args[i], "when", &value)) {

            if (conduit_parse_when(ps, &value) != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

        } else if (conduit_parse_option(&ps->args[i], "ok", &value)) {

            if (conduit_parse_statuses(ps, &value, &p->cancel_ok)
                != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

        } else {
            return conduit_parse_error(ps, "knows \"json DOCUMENT\","
                                       " \"when=STATES\" and \"ok=CODES\""
                                       " after the URL");
        }
    }

    return CONDUIT_OK;
}


int
conduit_parse_literal(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_request_t *request)
{
    json_t  *doc;

    doc = json_loadb((char *) text->data, text->len, JSON_REJECT_DUPLICATES,
                     NULL);

    if (doc == NULL) {
        return conduit_parse_error(ps, "has a document that is no JSON");
    }

    json_decref(doc);

    request->literal = *text;
    request->encoding = CONDUIT_BODY_JSON;

    return CONDUIT_OK;
}


static int
conduit_parse_when(conduit_parse_t *ps, conduit_str_t *text)
{
    u_char           *comma;
    conduit_str_t     one;
    conduit_state_e   state;

    ps->provider->cancel_when = 0;

    for ( ;; ) {

        comma = memchr(text->data, ',', text->len);

        one.data = text->data;
        one.len = comma ? (size_t) (comma - text->data) : text->len;

        if (conduit_parse_state(ps, &one, &state) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        if (state > CONDUIT_STATE_PROCESSING) {
            return conduit_parse_error(ps, "when= can name queued and"
                                       " processing only");
        }

        ps->provider->cancel_when |= 1u << state;

        if (comma == NULL) {
            return CONDUIT_OK;
        }

        text->len -= one.len + 1;
        text->data += one.len + 1;
    }
}


/* field POINTER SOURCE [TYPE] [map=NAME] [default=V] [required] [scale=K] */

int
conduit_parse_field(conduit_parse_t *ps)
{
    unsigned          i;
    conduit_field_t  *field;

    if (conduit_parse_pointer(ps, &ps->args[1]) != CONDUIT_OK
        || conduit_parse_target(ps, &ps->args[1]) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    field = conduit_list_push(&ps->provider->pool,
                              &conduit_parse_block(ps)->fields,
                              sizeof(conduit_field_t));
    if (field == NULL) {
        return conduit_parse_nomem(ps);
    }

    field->pointer = ps->args[1];

    if (conduit_parse_source(ps, field) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    for (i = 3; i < ps->n; i++) {

        if (conduit_parse_field_option(ps, &ps->args[i], field)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


/* can something be written there? */

static int
conduit_parse_target(conduit_parse_t *ps, const conduit_str_t *pointer)
{
    int      rc;
    json_t  *doc;

    doc = NULL;

    rc = conduit_pointer_set(&doc, pointer, json_object());

    json_decref(doc);

    if (rc != CONDUIT_OK) {
        return conduit_parse_error(ps, "cannot write to \"%.*s\": no \"*\","
                                   " indexes up to %d", (int) pointer->len,
                                   pointer->data, CONDUIT_POINTER_INDEX);
    }

    return CONDUIT_OK;
}


static int
conduit_parse_source(conduit_parse_t *ps, conduit_field_t *field)
{
    const conduit_str_t  *text;

    text = &ps->args[2];

    if (text->len > 1 && text->data[0] == '$' && text->data[1] != '{') {

        field->member.data = text->data + 1;
        field->member.len = text->len - 1;

        if (conduit_parse_is(text, "$model")) {
            field->source = CONDUIT_SOURCE_MODEL;

        } else if (conduit_parse_is(text, "$task")) {
            field->source = CONDUIT_SOURCE_TASK;

        } else {
            field->source = CONDUIT_SOURCE_MEMBER;
        }

        return CONDUIT_OK;
    }

    field->source = CONDUIT_SOURCE_TEXT;

    return conduit_parse_template(ps, text, &field->text);
}


static int
conduit_parse_field_option(conduit_parse_t *ps, const conduit_str_t *arg,
    conduit_field_t *field)
{
    conduit_str_t  value;

    if (conduit_parse_field_type(arg, field) == CONDUIT_OK) {
        return CONDUIT_OK;
    }

    if (conduit_parse_is(arg, "required")) {
        field->required = 1;
        return CONDUIT_OK;
    }

    if (conduit_parse_is(arg, "file")) {
        return conduit_parse_error(ps, "of type file is not supported yet");
    }

    if (conduit_parse_option(arg, "map", &value)) {
        field->map_name = value;
        return CONDUIT_OK;
    }

    if (conduit_parse_option(arg, "default", &value)) {
        field->fallback = value;
        field->has_default = 1;
        return CONDUIT_OK;
    }

    if (conduit_parse_option(arg, "scale", &value)) {
        field->scaled = 1;
        return conduit_parse_scale(ps, &value, &field->scale);
    }

    return conduit_parse_error(ps, "has the unknown word \"%.*s\", it must be"
                               " a type (string, int, number, bool, json),"
                               " map=, default=, scale= or required",
                               (int) arg->len, arg->data);
}


static int
conduit_parse_field_type(const conduit_str_t *arg, conduit_field_t *field)
{
    size_t  i;

    static const char  *types[] = { "string", "int", "number", "bool", "json" };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {

        if (conduit_parse_is(arg, types[i])) {
            field->type = (conduit_field_type_e) (CONDUIT_FIELD_STRING + i);
            return CONDUIT_OK;
        }
    }

    return CONDUIT_DECLINED;
}


/* extra merge POINTER [deny=a,b] */

int
conduit_parse_extra(conduit_parse_t *ps)
{
    u_char              *comma;
    conduit_str_t        value, *name;
    conduit_provider_t  *p;

    p = ps->provider;

    if (!conduit_parse_is(&ps->args[1], "merge") || p->merge) {
        return conduit_parse_error(ps, "must be one \"merge POINTER"
                                   " [deny=NAME,...]\"");
    }

    if (conduit_parse_pointer(ps, &ps->args[2]) != CONDUIT_OK
        || conduit_parse_target(ps, &ps->args[2]) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    p->merge = 1;
    p->extra = ps->args[2];

    if (ps->n == 3) {
        return CONDUIT_OK;
    }

    if (!conduit_parse_option(&ps->args[3], "deny", &value)) {
        return conduit_parse_error(ps, "knows \"deny=NAME,...\" only after"
                                   " the pointer");
    }

    for ( ;; ) {

        comma = memchr(value.data, ',', value.len);

        name = conduit_list_push(&p->pool, &p->deny, sizeof(conduit_str_t));
        if (name == NULL) {
            return conduit_parse_nomem(ps);
        }

        name->data = value.data;
        name->len = comma ? (size_t) (comma - value.data) : value.len;

        if (comma == NULL) {
            return CONDUIT_OK;
        }

        value.len -= name->len + 1;
        value.data = comma + 1;
    }
}


int
conduit_parse_accept(conduit_parse_t *ps)
{
    unsigned  i;

    for (i = 1; i < ps->n; i++) {

        if (conduit_parse_statuses(ps, &ps->args[i], &ps->provider->accept)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


int
conduit_parse_ok(conduit_parse_t *ps)
{
    return conduit_parse_rule(ps, &conduit_parse_block(ps)->ok, 0);
}


/* take NAME POINTER [POINTER ...] | header:H | poll:POINTER | submit:POINTER */

int
conduit_parse_take(conduit_parse_t *ps)
{
    conduit_take_t       *take;
    const conduit_str_t  *arg;

    arg = &ps->args[2];

    if (arg->len && arg->data[0] != '/') {
        return conduit_parse_take_from(ps, arg);
    }

    take = conduit_parse_take_push(ps, &conduit_parse_block(ps)->take);
    if (take == NULL) {
        return CONDUIT_ERROR;
    }

    return conduit_parse_take_pointers(ps, take, arg, ps->n - 2);
}


static int
conduit_parse_take_from(conduit_parse_t *ps, const conduit_str_t *arg)
{
    conduit_str_t        rest;
    conduit_take_t      *take;
    conduit_list_t      *list;
    conduit_provider_t  *p;

    p = ps->provider;

    rest.data = memchr(arg->data, ':', arg->len);

    if (rest.data == NULL || ps->n > 3) {
        return conduit_parse_error(ps, "must be a name and pointers,"
                                   " \"header:NAME\", \"poll:POINTER\" or"
                                   " \"submit:POINTER\"");
    }

    rest.data++;
    rest.len = (size_t) (arg->data + arg->len - rest.data);

    /* what names another reply is taken from that one when it comes */

    if (arg->len > 7 && memcmp(arg->data, "header:", 7) == 0) {
        list = &conduit_parse_block(ps)->take;

    } else if (arg->len > 5 && memcmp(arg->data, "poll:", 5) == 0
               && ps->block == CONDUIT_BLOCK_FETCH)
    {
        list = &p->poll.take;

    } else if (arg->len > 7 && memcmp(arg->data, "submit:", 7) == 0
               && ps->block != CONDUIT_BLOCK_SUBMIT)
    {
        list = &p->submit.take;

    } else {
        return conduit_parse_error(ps, "cannot take from \"%.*s\" here",
                                   (int) arg->len, arg->data);
    }

    take = conduit_parse_take_push(ps, list);
    if (take == NULL) {
        return CONDUIT_ERROR;
    }

    if (arg->data[0] == 'h') {
        take->header = rest;
        return CONDUIT_OK;
    }

    return conduit_parse_take_pointers(ps, take, &rest, 1);
}


static conduit_take_t *
conduit_parse_take_push(conduit_parse_t *ps, conduit_list_t *list)
{
    conduit_take_t  *take;

    take = conduit_list_push(&ps->provider->pool, list,
                             sizeof(conduit_take_t));
    if (take == NULL) {
        (void) conduit_parse_nomem(ps);
        return NULL;
    }

    take->name = ps->args[1];

    return take;
}


static int
conduit_parse_take_pointers(conduit_parse_t *ps, conduit_take_t *take,
    const conduit_str_t *args, unsigned n)
{
    unsigned        i;
    conduit_str_t  *pointer;

    for (i = 0; i < n; i++) {

        if (conduit_parse_pointer(ps, &args[i]) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        pointer = conduit_list_push(&ps->provider->pool, &take->pointers,
                                    sizeof(conduit_str_t));
        if (pointer == NULL) {
            return conduit_parse_nomem(ps);
        }

        *pointer = args[i];
    }

    return CONDUIT_OK;
}


int
conduit_parse_idempotency(conduit_parse_t *ps)
{
    if (!conduit_parse_is(&ps->args[1], "header")
        || conduit_parse_token(&ps->args[2]) != CONDUIT_OK)
    {
        return conduit_parse_error(ps, "must be \"header NAME\"");
    }

    ps->provider->idempotency = ps->args[2];

    return CONDUIT_OK;
}
