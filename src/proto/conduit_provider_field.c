
/*
 * Copyright (C) Conduit for nginx authors
 */


/* One field of a request: where its value comes from and what it becomes. */


#include "conduit_provider_value.h"
#include "conduit_provider_parse.h"
#include "conduit_pointer.h"

#include <stdio.h>


static int conduit_field_source(conduit_build_t *b,
    const conduit_field_t *field, json_t **value);
static json_t *conduit_field_default(const conduit_field_t *field);
static int conduit_field_map(conduit_build_t *b, const conduit_field_t *field,
    json_t **value);
static int conduit_field_convert(const conduit_field_t *field,
    json_t **value);
static json_t *conduit_field_string(json_t *value);
static json_t *conduit_field_int(const conduit_field_t *field, json_t *value);
static json_t *conduit_field_number(const conduit_field_t *field,
    json_t *value);
static json_t *conduit_field_bool(json_t *value);
static json_t *conduit_field_json(const conduit_field_t *field,
    json_t *value);
static int conduit_field_refuse(conduit_build_t *b,
    const conduit_field_t *field, const char *fmt);


int
conduit_job_value(void *data, const conduit_str_t *name, conduit_str_t *value)
{
    json_t               *v;
    const conduit_job_t  *job = data;

    if (conduit_parse_is(name, "model")) {
        *value = job->model;

    } else if (conduit_parse_is(name, "task")) {
        *value = job->task;

    } else {

        v = json_object_getn(job->taken, (char *) name->data, name->len);

        if (!json_is_string(v)) {
            return CONDUIT_DECLINED;
        }

        value->data = (u_char *) json_string_value(v);
        value->len = json_string_length(v);
    }

    return value->len ? CONDUIT_OK : CONDUIT_DECLINED;
}


int
conduit_job_pointer(conduit_pool_t *pool, const conduit_template_t *t,
    const conduit_job_t *job, conduit_str_t *text)
{
    if (t->parts == NULL || (t->parts->next == NULL && !t->parts->value)) {
        *text = t->source;
        return CONDUIT_OK;
    }

    return conduit_template_expand(pool, t, CONDUIT_TEMPLATE_POINTER,
                                   conduit_job_value, (void *) job, text);
}


int
conduit_value_number(json_t *value, double *number)
{
    conduit_str_t  text;

    if (json_is_number(value)) {
        *number = json_number_value(value);
        return CONDUIT_OK;
    }

    if (!json_is_string(value)) {
        return CONDUIT_DECLINED;
    }

    text.data = (u_char *) json_string_value(value);
    text.len = json_string_length(value);

    if (text.len && text.data[text.len - 1] == '%') {
        text.len--;
    }

    return (conduit_parse_real(&text, number) == CONDUIT_OK)
           ? CONDUIT_OK : CONDUIT_DECLINED;
}


int
conduit_field_value(conduit_build_t *b, const conduit_field_t *field,
    json_t **value)
{
    int  rc;

    rc = conduit_field_source(b, field, value);
    if (rc != CONDUIT_OK) {
        return rc;
    }

    if (*value == NULL) {

        if (field->required) {
            return conduit_field_refuse(b, field, "\"%.*s\" is required by"
                                        " this model");
        }

        /* as in nginx's own maps, the default stands for no value as well */

        if (field->map == NULL || field->map->other.len == 0
            || field->map->pass || field->map->reject)
        {
            return CONDUIT_OK;
        }

        *value = json_stringn((char *) field->map->other.data,
                              field->map->other.len);
        if (*value == NULL) {
            return CONDUIT_ERROR;
        }

    } else {

        rc = conduit_field_map(b, field, value);
        if (rc != CONDUIT_OK) {
            json_decref(*value);
            *value = NULL;
            return rc;
        }
    }

    if (conduit_field_convert(field, value) != CONDUIT_OK) {
        return conduit_field_refuse(b, field, "\"%.*s\" has a value that this"
                                    " model does not take");
    }

    return CONDUIT_OK;
}


static int
conduit_field_source(conduit_build_t *b, const conduit_field_t *field,
    json_t **value)
{
    int            rc;
    conduit_str_t  text;

    *value = NULL;

    switch (field->source) {

    case CONDUIT_SOURCE_MEMBER:

        *value = json_object_getn(b->job->request,
                                  (char *) field->member.data,
                                  field->member.len);

        if (*value == NULL || json_is_null(*value)) {
            *value = NULL;
            break;
        }

        json_incref(*value);

        return CONDUIT_OK;

    case CONDUIT_SOURCE_TEXT:

        rc = conduit_template_expand(b->pool, &field->text,
                                     CONDUIT_TEMPLATE_PLAIN,
                                     conduit_job_value, (void *) b->job,
                                     &text);
        if (rc == CONDUIT_ERROR) {
            return CONDUIT_ERROR;
        }

        if (rc == CONDUIT_OK) {
            *value = json_stringn((char *) text.data, text.len);
            return *value ? CONDUIT_OK : CONDUIT_ERROR;
        }

        break;

    default:

        text = (field->source == CONDUIT_SOURCE_MODEL) ? b->job->model
                                                       : b->job->task;

        *value = json_stringn((char *) text.data, text.len);

        return *value ? CONDUIT_OK : CONDUIT_ERROR;
    }

    if (field->has_default) {
        *value = conduit_field_default(field);
        return *value ? CONDUIT_OK : CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* without a type, a default that looks like a number or bool is one */

static json_t *
conduit_field_default(const conduit_field_t *field)
{
    json_t  *value;

    if (field->type == CONDUIT_FIELD_JSON) {
        return json_loadb((char *) field->fallback.data, field->fallback.len,
                          JSON_DECODE_ANY, NULL);
    }

    if (field->type == CONDUIT_FIELD_AS_IS && field->map == NULL) {

        value = json_loadb((char *) field->fallback.data, field->fallback.len,
                           JSON_DECODE_ANY, NULL);

        if (json_is_number(value) || json_is_boolean(value)) {
            return value;
        }

        json_decref(value);
    }

    return json_stringn((char *) field->fallback.data, field->fallback.len);
}


static int
conduit_field_map(conduit_build_t *b, const conduit_field_t *field,
    json_t **value)
{
    u_char           buf[CONDUIT_POINTER_TEXT];
    unsigned         i;
    conduit_str_t    text, *to;
    conduit_map_t   *map;
    conduit_pair_t  *pair;

    map = field->map;

    if (map == NULL) {
        return CONDUIT_OK;
    }

    if (conduit_pointer_text(*value, buf, &text) != CONDUIT_OK) {
        return conduit_field_refuse(b, field, "\"%.*s\" must be a string or a"
                                    " number");
    }

    to = NULL;
    pair = map->pairs.elts;

    for (i = 0; i < map->pairs.n; i++) {

        if (conduit_str_equal(&pair[i].name, &text)) {
            to = &pair[i].value;
            break;
        }
    }

    if (to == NULL) {

        if (map->pass) {
            return CONDUIT_OK;
        }

        if (map->reject) {
            return conduit_field_refuse(b, field, "\"%.*s\" has a value that"
                                        " this model does not take");
        }

        to = &map->other;
    }

    json_decref(*value);

    *value = json_stringn((char *) to->data, to->len);

    return *value ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_field_convert(const conduit_field_t *field, json_t **value)
{
    json_t  *result;

    switch (field->type) {

    case CONDUIT_FIELD_STRING:
        result = conduit_field_string(*value);
        break;

    case CONDUIT_FIELD_INT:
        result = conduit_field_int(field, *value);
        break;

    case CONDUIT_FIELD_NUMBER:
        result = conduit_field_number(field, *value);
        break;

    case CONDUIT_FIELD_BOOL:
        result = conduit_field_bool(*value);
        break;

    case CONDUIT_FIELD_JSON:
        result = conduit_field_json(field, *value);
        break;

    default:

        if (!field->scaled) {
            return CONDUIT_OK;
        }

        result = conduit_field_number(field, *value);
    }

    json_decref(*value);
    *value = result;

    return result ? CONDUIT_OK : CONDUIT_DECLINED;
}


static json_t *
conduit_field_string(json_t *value)
{
    u_char         buf[CONDUIT_POINTER_TEXT];
    conduit_str_t  text;

    if (conduit_pointer_text(value, buf, &text) != CONDUIT_OK) {
        return NULL;
    }

    return json_stringn((char *) text.data, text.len);
}


static json_t *
conduit_field_int(const conduit_field_t *field, json_t *value)
{
    char           *end;
    double          number;
    long long       n;
    conduit_str_t   text;

    if (json_is_integer(value) && !field->scaled) {
        return json_incref(value);
    }

    /* a double would lose the last digits of a long number */

    if (json_is_string(value) && !field->scaled) {

        text.data = (u_char *) json_string_value(value);
        text.len = json_string_length(value);

        if (text.len && text.len < 19
            && strspn((char *) text.data, "-0123456789") == text.len)
        {
            n = strtoll((char *) text.data, &end, 10);

            return *end ? NULL : json_integer(n);
        }
    }

    if (conduit_value_number(value, &number) != CONDUIT_OK) {
        return NULL;
    }

    if (field->scaled) {
        number *= field->scale;
    }

    if (number > 9e18 || number < -9e18) {
        return NULL;
    }

    n = (long long) (number < 0 ? number - 0.5 : number + 0.5);

    return json_integer(n);
}


static json_t *
conduit_field_number(const conduit_field_t *field, json_t *value)
{
    double  number;

    if (json_is_number(value) && !field->scaled) {
        return json_incref(value);
    }

    if (conduit_value_number(value, &number) != CONDUIT_OK) {
        return NULL;
    }

    if (field->scaled) {
        number *= field->scale;
    }

    /* whole numbers are written as such */

    if (number < 1e15 && number > -1e15
        && number == (double) (long long) number)
    {
        return json_integer((long long) number);
    }

    return json_real(number);
}


static json_t *
conduit_field_bool(json_t *value)
{
    u_char         buf[CONDUIT_POINTER_TEXT];
    conduit_str_t  text;

    if (conduit_pointer_text(value, buf, &text) != CONDUIT_OK) {
        return NULL;
    }

    if (conduit_parse_is(&text, "true") || conduit_parse_is(&text, "1")) {
        return json_true();
    }

    if (conduit_parse_is(&text, "false") || conduit_parse_is(&text, "0")) {
        return json_false();
    }

    return NULL;
}


/* texts of the configuration are JSON, members of a request are values */

static json_t *
conduit_field_json(const conduit_field_t *field, json_t *value)
{
    if (field->source != CONDUIT_SOURCE_TEXT) {
        return json_incref(value);
    }

    return json_loadb(json_string_value(value), json_string_length(value),
                      JSON_DECODE_ANY, NULL);
}


static int
conduit_field_refuse(conduit_build_t *b, const conduit_field_t *field,
    const char *fmt)
{
    int            n;
    char           buf[256];
    conduit_str_t  name;

    name = field->member.len ? field->member : field->pointer;

    n = snprintf(buf, sizeof(buf), fmt, name.len > 64 ? 64 : (int) name.len,
                 name.data);

    if (n < 0) {
        return CONDUIT_ERROR;
    }

    conduit_verdict_fail(b->verdict, CONDUIT_ERR_INVALID_REQUEST);

    b->verdict->param = field->member;

    return (conduit_pool_copy(b->pool, (u_char *) buf, strlen(buf),
                              &b->verdict->message)
            == CONDUIT_OK)
           ? CONDUIT_DECLINED : CONDUIT_ERROR;
}
