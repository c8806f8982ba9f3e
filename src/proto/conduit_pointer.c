
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_pointer.h"


typedef struct {
    size_t                    len;
    unsigned                  any:1;
    char                      name[CONDUIT_POINTER_TOKEN + 1];
} conduit_pointer_token_t;


typedef struct {
    conduit_pointer_each_pt   handler;
    void                     *data;
} conduit_pointer_walk_t;


static int conduit_pointer_token(const u_char **pos, const u_char *last,
    conduit_pointer_token_t *token);
static int conduit_pointer_index(const conduit_pointer_token_t *token,
    size_t *index);
static int conduit_pointer_walk(json_t *value, const u_char *p,
    const u_char *last, conduit_pointer_walk_t *walk);
static int conduit_pointer_walk_any(json_t *value, const u_char *p,
    const u_char *last, conduit_pointer_walk_t *walk);
static json_t *conduit_pointer_child(json_t *value,
    const conduit_pointer_token_t *token);
static int conduit_pointer_first(json_t *value, void *data);
static json_t *conduit_pointer_container(const u_char *p, const u_char *last);
static json_t *conduit_pointer_enter(json_t *parent,
    const conduit_pointer_token_t *token, const u_char *p,
    const u_char *last);
static int conduit_pointer_put(json_t *parent,
    const conduit_pointer_token_t *token, json_t *value);
static int conduit_pointer_put_array(json_t *array,
    const conduit_pointer_token_t *token, json_t *value);


int
conduit_pointer_check(const conduit_str_t *ptr)
{
    size_t                    n;
    const u_char             *p, *last;
    conduit_pointer_token_t   token;

    p = ptr->data;
    last = p + ptr->len;

    for (n = 0; p < last; n++) {

        if (n == CONDUIT_POINTER_TOKENS
            || conduit_pointer_token(&p, last, &token) != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


/* reads "/token" at *pos and moves *pos behind it */

static int
conduit_pointer_token(const u_char **pos, const u_char *last,
    conduit_pointer_token_t *token)
{
    u_char         ch;
    size_t         n;
    const u_char  *p;

    p = *pos;

    if (*p++ != '/') {
        return CONDUIT_ERROR;
    }

    token->any = (p < last && *p == '*' && (p + 1 == last || p[1] == '/'));

    for (n = 0; p < last && *p != '/'; n++) {

        ch = *p++;

        if (ch == '~') {

            if (p == last || *p < '0' || *p > '2') {
                return CONDUIT_ERROR;
            }

            ch = "~/*"[*p++ - '0'];
        }

        if (ch == '\0' || n == CONDUIT_POINTER_TOKEN) {
            return CONDUIT_ERROR;
        }

        token->name[n] = (char) ch;
    }

    token->name[n] = '\0';
    token->len = n;
    *pos = p;

    return CONDUIT_OK;
}


static int
conduit_pointer_index(const conduit_pointer_token_t *token, size_t *index)
{
    size_t  i, n;

    /* nine digits cannot overflow, and no document has more elements */

    if (token->len == 0 || token->len > 9
        || (token->len > 1 && token->name[0] == '0'))
    {
        return CONDUIT_DECLINED;
    }

    for (i = 0, n = 0; i < token->len; i++) {

        if (token->name[i] < '0' || token->name[i] > '9') {
            return CONDUIT_DECLINED;
        }

        n = n * 10 + (size_t) (token->name[i] - '0');
    }

    *index = n;

    return CONDUIT_OK;
}


int
conduit_pointer_each(json_t *doc, const conduit_str_t *ptr,
    conduit_pointer_each_pt handler, void *data)
{
    conduit_pointer_walk_t  walk;

    if (conduit_pointer_check(ptr) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (doc == NULL) {
        return CONDUIT_OK;
    }

    walk.handler = handler;
    walk.data = data;

    return conduit_pointer_walk(doc, ptr->data, ptr->data + ptr->len, &walk);
}


/* the recursion is as deep as the pointer has "*" tokens */

static int
conduit_pointer_walk(json_t *value, const u_char *p, const u_char *last,
    conduit_pointer_walk_t *walk)
{
    conduit_pointer_token_t  token;

    while (p < last) {

        if (conduit_pointer_token(&p, last, &token) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        if (token.any) {
            return conduit_pointer_walk_any(value, p, last, walk);
        }

        value = conduit_pointer_child(value, &token);
        if (value == NULL) {
            return CONDUIT_OK;
        }
    }

    return walk->handler(value, walk->data);
}


static int
conduit_pointer_walk_any(json_t *value, const u_char *p, const u_char *last,
    conduit_pointer_walk_t *walk)
{
    int          rc;
    size_t       i;
    json_t      *child;
    const char  *key;

    json_array_foreach(value, i, child) {

        rc = conduit_pointer_walk(child, p, last, walk);
        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    json_object_foreach(value, key, child) {

        rc = conduit_pointer_walk(child, p, last, walk);
        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    return CONDUIT_OK;
}


static json_t *
conduit_pointer_child(json_t *value, const conduit_pointer_token_t *token)
{
    size_t  index;

    if (json_is_object(value)) {
        return json_object_get(value, token->name);
    }

    if (json_is_array(value)
        && conduit_pointer_index(token, &index) == CONDUIT_OK)
    {
        return json_array_get(value, index);
    }

    return NULL;
}


json_t *
conduit_pointer_get(json_t *doc, const conduit_str_t *ptr)
{
    json_t  *found;

    found = NULL;

    (void) conduit_pointer_each(doc, ptr, conduit_pointer_first, &found);

    return found;
}


static int
conduit_pointer_first(json_t *value, void *data)
{
    json_t  **found = data;

    *found = value;

    return CONDUIT_DECLINED;
}


int
conduit_pointer_set(json_t **doc, const conduit_str_t *ptr, json_t *value)
{
    json_t                   *node;
    const u_char             *p, *last;
    conduit_pointer_token_t   token;

    if (value == NULL || conduit_pointer_check(ptr) != CONDUIT_OK) {
        goto failed;
    }

    if (ptr->len == 0) {
        json_decref(*doc);
        *doc = value;
        return CONDUIT_OK;
    }

    p = ptr->data;
    last = p + ptr->len;

    if (*doc == NULL || json_is_null(*doc)) {
        json_decref(*doc);
        *doc = conduit_pointer_container(p, last);
    }

    node = *doc;

    for ( ;; ) {

        if (node == NULL
            || conduit_pointer_token(&p, last, &token) != CONDUIT_OK
            || token.any)
        {
            goto failed;
        }

        if (p == last) {
            return conduit_pointer_put(node, &token, value);
        }

        node = conduit_pointer_enter(node, &token, p, last);
    }

failed:

    json_decref(value);

    return CONDUIT_ERROR;
}


/* an empty container fit for the token at p */

static json_t *
conduit_pointer_container(const u_char *p, const u_char *last)
{
    size_t                   index;
    conduit_pointer_token_t  token;

    if (conduit_pointer_token(&p, last, &token) != CONDUIT_OK) {
        return NULL;
    }

    if (conduit_pointer_index(&token, &index) == CONDUIT_OK
        || (token.len == 1 && token.name[0] == '-'))
    {
        return json_array();
    }

    return json_object();
}


/* steps into a child, which is created if it is missing */

static json_t *
conduit_pointer_enter(json_t *parent, const conduit_pointer_token_t *token,
    const u_char *p, const u_char *last)
{
    json_t  *child;

    child = conduit_pointer_child(parent, token);

    if (child && !json_is_null(child)) {
        return child;
    }

    child = conduit_pointer_container(p, last);

    /* the parent holds the reference after put() */

    if (child == NULL
        || conduit_pointer_put(parent, token, child) != CONDUIT_OK)
    {
        return NULL;
    }

    return child;
}


static int
conduit_pointer_put(json_t *parent, const conduit_pointer_token_t *token,
    json_t *value)
{
    if (json_is_object(parent)) {
        return (json_object_set_new(parent, token->name, value) == 0)
               ? CONDUIT_OK : CONDUIT_ERROR;
    }

    if (json_is_array(parent)) {
        return conduit_pointer_put_array(parent, token, value);
    }

    json_decref(value);

    return CONDUIT_ERROR;
}


static int
conduit_pointer_put_array(json_t *array, const conduit_pointer_token_t *token,
    json_t *value)
{
    size_t  index;

    if (token->len == 1 && token->name[0] == '-') {
        index = json_array_size(array);

    } else if (conduit_pointer_index(token, &index) != CONDUIT_OK) {
        goto failed;
    }

    if (index > CONDUIT_POINTER_INDEX) {
        goto failed;
    }

    if (index < json_array_size(array)) {
        return (json_array_set_new(array, index, value) == 0)
               ? CONDUIT_OK : CONDUIT_ERROR;
    }

    while (json_array_size(array) < index) {

        if (json_array_append_new(array, json_null()) != 0) {
            goto failed;
        }
    }

    return (json_array_append_new(array, value) == 0)
           ? CONDUIT_OK : CONDUIT_ERROR;

failed:

    json_decref(value);

    return CONDUIT_ERROR;
}


int
conduit_pointer_text(json_t *value, u_char buf[CONDUIT_POINTER_TEXT],
    conduit_str_t *text)
{
    if (value == NULL) {
        return CONDUIT_DECLINED;
    }

    switch (json_typeof(value)) {

    case JSON_STRING:
        text->data = (u_char *) json_string_value(value);
        text->len = json_string_length(value);
        return CONDUIT_OK;

    case JSON_TRUE:
        text->data = (u_char *) "true";
        text->len = 4;
        return CONDUIT_OK;

    case JSON_FALSE:
        text->data = (u_char *) "false";
        text->len = 5;
        return CONDUIT_OK;

    case JSON_INTEGER:
    case JSON_REAL:

        text->data = buf;
        text->len = json_dumpb(value, (char *) buf, CONDUIT_POINTER_TEXT,
                               JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

        return (text->len <= CONDUIT_POINTER_TEXT)
               ? CONDUIT_OK : CONDUIT_DECLINED;

    default:
        return CONDUIT_DECLINED;
    }
}
