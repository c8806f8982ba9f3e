
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Bodies of requests: values set at pointers, never text put together. */


#include "conduit_provider_value.h"
#include "conduit_provider_parse.h"
#include "conduit_pointer.h"


static int conduit_body_fields(conduit_build_t *b, conduit_list_t *fields,
    json_t **doc);
static int conduit_body_extra(conduit_build_t *b, json_t **doc);
static json_t *conduit_body_target(const conduit_provider_t *p, json_t **doc);
static int conduit_body_own(const char *name, size_t len);
static int conduit_body_named(const conduit_provider_t *p, const char *name,
    size_t len);
static int conduit_body_literal(conduit_build_t *b,
    const conduit_str_t *literal, json_t **doc);
static int conduit_body_fill(conduit_build_t *b, json_t *value);
static int conduit_body_fill_string(conduit_build_t *b, json_t *value);
static int conduit_body_json(conduit_build_t *b, json_t *doc,
    conduit_str_t *body);
static int conduit_body_form(conduit_build_t *b, json_t *doc,
    conduit_str_t *body);
static int conduit_body_form_value(conduit_build_t *b, json_t *value,
    u_char buf[CONDUIT_POINTER_TEXT], conduit_str_t *text);
static int conduit_body_refuse(conduit_build_t *b);


int
conduit_build_body(conduit_build_t *b, const conduit_request_t *request,
    unsigned submit, conduit_str_t *body)
{
    int      rc;
    json_t  *doc;

    doc = NULL;

    if (request->literal.len) {
        rc = conduit_body_literal(b, &request->literal, &doc);

    } else {
        rc = conduit_body_fields(b, (conduit_list_t *) &request->fields, &doc);
    }

    if (rc == CONDUIT_OK && submit && b->provider->merge) {
        rc = conduit_body_extra(b, &doc);
    }

    if (rc == CONDUIT_OK && doc == NULL) {
        doc = json_object();
        rc = doc ? CONDUIT_OK : CONDUIT_ERROR;
    }

    if (rc == CONDUIT_OK) {
        rc = (request->encoding == CONDUIT_BODY_FORM)
             ? conduit_body_form(b, doc, body)
             : conduit_body_json(b, doc, body);
    }

    json_decref(doc);

    return rc;
}


static int
conduit_body_fields(conduit_build_t *b, conduit_list_t *fields, json_t **doc)
{
    int               rc;
    json_t           *value;
    unsigned          i;
    conduit_field_t  *field;

    field = fields->elts;

    for (i = 0; i < fields->n; i++) {

        rc = conduit_field_value(b, &field[i], &value);
        if (rc != CONDUIT_OK) {
            return rc;
        }

        if (value == NULL) {
            continue;
        }

        if (conduit_pointer_set(doc, &field[i].pointer, value) != CONDUIT_OK) {
            return conduit_body_refuse(b);
        }
    }

    return CONDUIT_OK;
}


/* members of the request that no field has used */

static int
conduit_body_extra(conduit_build_t *b, json_t **doc)
{
    void                      *iter;
    json_t                    *target;
    size_t                     len;
    const char                *name;
    const conduit_provider_t  *p;

    p = b->provider;
    target = NULL;

    for (iter = json_object_iter(b->job->request);
         iter;
         iter = json_object_iter_next(b->job->request, iter))
    {
        name = json_object_iter_key(iter);
        len = json_object_iter_key_len(iter);

        if (conduit_body_own(name, len) || conduit_body_named(p, name, len)
            || json_is_null(json_object_iter_value(iter)))
        {
            continue;
        }

        if (target == NULL) {

            target = conduit_body_target(p, doc);
            if (target == NULL) {
                return conduit_body_refuse(b);
            }
        }

        if (json_object_getn(target, name, len) != NULL) {
            continue;
        }

        if (json_object_setn(target, name, len, json_object_iter_value(iter))
            != 0)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static json_t *
conduit_body_target(const conduit_provider_t *p, json_t **doc)
{
    json_t  *target;

    target = conduit_pointer_get(*doc, &p->extra);

    if (target == NULL) {

        if (conduit_pointer_set(doc, &p->extra, json_object()) != CONDUIT_OK) {
            return NULL;
        }

        target = conduit_pointer_get(*doc, &p->extra);
    }

    return json_is_object(target) ? target : NULL;
}


/* what is meant for the gateway never goes to a provider */

static int
conduit_body_own(const char *name, size_t len)
{
    size_t  i;

    static const char  *own[] = { "model", "prompt", "timeout_seconds",
                                  "stream", "partial_images",
                                  "response_format" };

    for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {

        if (strlen(own[i]) == len && memcmp(own[i], name, len) == 0) {
            return 1;
        }
    }

    return len >= 8 && memcmp(name, "webhook_", 8) == 0;
}


static int
conduit_body_named(const conduit_provider_t *p, const char *name, size_t len)
{
    unsigned          i;
    conduit_str_t    *deny;
    conduit_field_t  *field;

    field = p->submit.fields.elts;

    for (i = 0; i < p->submit.fields.n; i++) {

        if (field[i].source == CONDUIT_SOURCE_MEMBER
            && field[i].member.len == len
            && memcmp(field[i].member.data, name, len) == 0)
        {
            return 1;
        }
    }

    deny = p->deny.elts;

    for (i = 0; i < p->deny.n; i++) {

        if (deny[i].len == len && memcmp(deny[i].data, name, len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* the document is parsed first, so values stay inside of its strings */

static int
conduit_body_literal(conduit_build_t *b, const conduit_str_t *literal,
    json_t **doc)
{
    *doc = json_loadb((char *) literal->data, literal->len, 0, NULL);

    if (*doc == NULL) {
        return CONDUIT_ERROR;
    }

    return conduit_body_fill(b, *doc);
}


static int
conduit_body_fill(conduit_build_t *b, json_t *value)
{
    int          rc;
    size_t       i;
    json_t      *child;
    const char  *key;

    if (json_is_string(value)) {
        return conduit_body_fill_string(b, value);
    }

    json_array_foreach(value, i, child) {

        rc = conduit_body_fill(b, child);
        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    json_object_foreach(value, key, child) {

        rc = conduit_body_fill(b, child);
        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_body_fill_string(conduit_build_t *b, json_t *value)
{
    int                 rc;
    conduit_str_t       source, text;
    conduit_template_t  t;

    if (strstr(json_string_value(value), "${") == NULL) {
        return CONDUIT_OK;
    }

    source.data = (u_char *) json_string_value(value);
    source.len = json_string_length(value);

    rc = conduit_template_compile(b->pool, &source, &t);

    if (rc == CONDUIT_OK) {
        rc = conduit_template_expand(b->pool, &t, CONDUIT_TEMPLATE_PLAIN,
                                     conduit_job_value, (void *) b->job,
                                     &text);
    }

    if (rc != CONDUIT_OK) {
        return (rc == CONDUIT_DECLINED) ? conduit_body_refuse(b) : rc;
    }

    return (json_string_setn(value, (char *) text.data, text.len) == 0)
           ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_body_json(conduit_build_t *b, json_t *doc, conduit_str_t *body)
{
    size_t  flags;

    flags = JSON_COMPACT|JSON_ENCODE_ANY;

    body->len = json_dumpb(doc, NULL, 0, flags);
    body->data = b->pool->alloc(b->pool->data, body->len + 1);

    if (body->len == 0 || body->data == NULL) {
        return CONDUIT_ERROR;
    }

    json_dumpb(doc, (char *) body->data, body->len, flags);
    body->data[body->len] = '\0';

    return CONDUIT_OK;
}


/* application/x-www-form-urlencoded; what is no scalar is sent as JSON */

static int
conduit_body_form(conduit_build_t *b, json_t *doc, conduit_str_t *body)
{
    size_t          len;
    u_char          buf[CONDUIT_POINTER_TEXT], *p;
    json_t         *value;
    unsigned        writing;
    const char     *key;
    conduit_str_t   text;

    p = NULL;
    body->data = NULL;

    for (writing = 0; writing < 2; writing++) {

        len = 0;

        json_object_foreach(doc, key, value) {

            if (conduit_body_form_value(b, value, buf, &text) != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

            if (len) {

                if (p) {
                    p[len] = '&';
                }

                len++;
            }

            len += conduit_link_escape(p ? p + len : NULL, (u_char *) key,
                                       strlen(key), 0);
            if (p) {
                p[len] = '=';
            }

            len++;
            len += conduit_link_escape(p ? p + len : NULL, text.data, text.len,
                                       0);
        }

        if (!writing) {

            p = b->pool->alloc(b->pool->data, len + 1);
            if (p == NULL) {
                return CONDUIT_ERROR;
            }
        }

        body->len = len;
    }

    p[body->len] = '\0';
    body->data = p;

    return CONDUIT_OK;
}


static int
conduit_body_form_value(conduit_build_t *b, json_t *value,
    u_char buf[CONDUIT_POINTER_TEXT], conduit_str_t *text)
{
    if (conduit_pointer_text(value, buf, text) == CONDUIT_OK) {
        return CONDUIT_OK;
    }

    return conduit_body_json(b, value, text);
}


/* a field does not fit where the description wants it */

static int
conduit_body_refuse(conduit_build_t *b)
{
    conduit_verdict_fail(b->verdict, CONDUIT_ERR_INTERNAL_ERROR);

    return CONDUIT_DECLINED;
}
