
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_key_file.h>


typedef struct {
    ngx_http_conduit_keys_t          *keys;
    ngx_cycle_t                      *cycle;
    ngx_pool_t                       *pool;
    ngx_str_t                        *error;

    ngx_uint_t                        n;           /* of all lists */
    ngx_http_conduit_key_t          **list;        /* keys that stay */
    ngx_http_conduit_key_t          **contents;    /* what they will be */
} ngx_http_conduit_key_apply_t;


static ngx_int_t ngx_http_conduit_key_file_key(
    ngx_http_conduit_key_apply_t *ka, const char *name, json_t *members);
static ngx_http_conduit_key_t *ngx_http_conduit_key_file_object(
    ngx_http_conduit_key_apply_t *ka, ngx_str_t *name);
static ngx_int_t ngx_http_conduit_key_file_member(
    ngx_http_conduit_key_parse_t *kp, const char *name, json_t *value);
static ngx_int_t ngx_http_conduit_key_file_list(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *name, json_t *list);
static ngx_int_t ngx_http_conduit_key_file_secrets(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *name, json_t *value);
static ngx_int_t ngx_http_conduit_key_file_secret(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *name, json_t *value);
static ngx_int_t ngx_http_conduit_key_file_arg(
    ngx_http_conduit_key_parse_t *kp, json_t *value, ngx_str_t *arg);
static void ngx_http_conduit_key_file_swap(ngx_http_conduit_key_apply_t *ka,
    ngx_http_conduit_key_table_t *table);
static void ngx_http_conduit_key_file_replace(ngx_http_conduit_key_t *key,
    ngx_http_conduit_key_t *contents);
static void ngx_http_conduit_key_file_error(ngx_http_conduit_key_apply_t *ka,
    const char *fmt, ...);


ngx_int_t
ngx_http_conduit_key_file_apply(ngx_http_conduit_keys_t *keys, json_t *json,
    ngx_cycle_t *cycle, ngx_pool_t *pool, ngx_str_t *error)
{
    json_t                         *members;
    ngx_int_t                       rc;
    ngx_uint_t                      i, max;
    const char                     *name;
    ngx_http_conduit_key_t         *a, *b, **key;
    ngx_http_conduit_key_table_t    table;
    ngx_http_conduit_key_apply_t    ka;

    ngx_memzero(&ka, sizeof(ngx_http_conduit_key_apply_t));

    ka.keys = keys;
    ka.cycle = cycle;
    ka.pool = pool;
    ka.error = error;

    ngx_str_set(error, "no memory");

    if (!json_is_object(json)) {
        ngx_str_set(error, "must be a JSON object of keys by name");
        return NGX_ERROR;
    }

    max = keys->keys.nelts + json_object_size(json);

    ka.list = ngx_palloc(pool, 2 * max * sizeof(ngx_http_conduit_key_t *));
    if (ka.list == NULL) {
        return NGX_ERROR;
    }

    ka.contents = ka.list + max;

    key = keys->keys.elts;

    for (i = 0; i < keys->keys.nelts; i++) {
        if (!key[i]->file) {
            ka.list[ka.n] = key[i];
            ka.contents[ka.n++] = key[i];
        }
    }

    json_object_foreach(json, name, members) {

        if (ngx_http_conduit_key_file_key(&ka, name, members) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_conduit_key_table(&table, pool, ka.list, ka.contents, ka.n,
                                    &a, &b);

    if (rc == NGX_DECLINED) {
        ngx_http_conduit_key_file_error(&ka,
                              "the keys \"%V\" and \"%V\" have the same"
                              " \"secret\"", &a->name, &b->name);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_conduit_key_file_swap(&ka, &table);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_key_file_key(ngx_http_conduit_key_apply_t *ka,
    const char *name, json_t *members)
{
    json_t                        *value;
    ngx_str_t                      text;
    const char                    *member;
    ngx_http_conduit_key_t        *key;
    ngx_http_conduit_key_parse_t   kp;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    if (ngx_http_conduit_key_name(&text) != NGX_OK || !json_is_object(members))
    {
        ngx_http_conduit_key_file_error(ka,
                              "every member must be an object under a name of"
                              " 1 to 64 letters, digits or \"._:@-\"");
        return NGX_ERROR;
    }

    key = ngx_http_conduit_key_file_object(ka, &text);
    if (key == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&kp, sizeof(ngx_http_conduit_key_parse_t));

    kp.pool = ka->pool;
    kp.cycle = ka->cycle;
    kp.key = ngx_pcalloc(ka->pool, sizeof(ngx_http_conduit_key_t));

    if (kp.key == NULL || ngx_http_conduit_key_begin(&kp) != NGX_OK) {
        return NGX_ERROR;
    }

    json_object_foreach(members, member, value) {

        if (ngx_http_conduit_key_file_member(&kp, member, value) != NGX_OK) {
            ngx_http_conduit_key_file_error(ka, "\"%s\" of key \"%V\" %V",
                                            member, &key->name, &kp.error);
            return NGX_ERROR;
        }
    }

    if (ngx_http_conduit_key_end(&kp) != NGX_OK) {
        ngx_http_conduit_key_file_error(ka, "key \"%V\" %V", &key->name,
                                        &kp.error);
        return NGX_ERROR;
    }

    ka->list[ka->n] = key;
    ka->contents[ka->n++] = kp.key;

    return NGX_OK;
}


/* the object that stands for the name from now on, also over changes */

static ngx_http_conduit_key_t *
ngx_http_conduit_key_file_object(ngx_http_conduit_key_apply_t *ka,
    ngx_str_t *name)
{
    ngx_http_conduit_key_t  *key;

    key = (ngx_http_conduit_key_t *) ngx_str_rbtree_lookup(
                                         &ka->keys->names, name,
                                         ngx_crc32_short(name->data,
                                                         name->len));

    if (key && !key->file) {
        ngx_http_conduit_key_file_error(ka,
                              "key \"%V\" is in nginx.conf as well", name);
        return NULL;
    }

    if (key) {
        return key;
    }

    key = ngx_pcalloc(ka->keys->pool, sizeof(ngx_http_conduit_key_t));
    if (key == NULL) {
        return NULL;
    }

    key->name.len = name->len;
    key->name.data = ngx_pstrdup(ka->keys->pool, name);
    if (key->name.data == NULL) {
        return NULL;
    }

    /* not in force until the whole file is found good */

    key->file = 1;
    key->removed = 1;

    if (ngx_http_conduit_key_add(ka->keys, key) != NGX_OK) {
        return NULL;
    }

    return key;
}


static ngx_int_t
ngx_http_conduit_key_file_member(ngx_http_conduit_key_parse_t *kp,
    const char *name, json_t *value)
{
    ngx_str_t  text, arg;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    if (json_is_null(value)) {
        return NGX_OK;
    }

    if (ngx_strcmp(name, "secret") == 0
        || ngx_strcmp(name, "webhook_secret") == 0)
    {
        return ngx_http_conduit_key_file_secrets(kp, &text, value);
    }

    if (ngx_strcmp(name, "models") == 0 && json_is_array(value)) {
        return ngx_http_conduit_key_file_list(kp, &text, value);
    }

    if (ngx_strcmp(name, "webhook_jwk") == 0 && json_is_string(value)) {
        kp->jwk.data = (u_char *) json_string_value(value);
        kp->jwk.len = json_string_length(value);
    }

    if (ngx_http_conduit_key_file_arg(kp, value, &arg) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_conduit_key_member(kp, &text, &arg, 1);
}


static ngx_int_t
ngx_http_conduit_key_file_list(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *name, json_t *list)
{
    size_t      i;
    json_t     *value;
    ngx_str_t   arg;

    if (json_array_size(list) == 0) {
        ngx_str_set(&kp->error, "must not be empty");
        return NGX_ERROR;
    }

    json_array_foreach(list, i, value) {

        if (!json_is_string(value)) {
            ngx_str_set(&kp->error, "must be a list of strings");
            return NGX_ERROR;
        }

        arg.data = (u_char *) json_string_value(value);
        arg.len = json_string_length(value);

        if (ngx_http_conduit_key_member(kp, name, &arg, 1) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a secret or a list of them */

static ngx_int_t
ngx_http_conduit_key_file_secrets(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *name, json_t *value)
{
    size_t   i;
    json_t  *element;

    if (!json_is_array(value)) {
        return ngx_http_conduit_key_file_secret(kp, name, value);
    }

    json_array_foreach(value, i, element) {

        if (ngx_http_conduit_key_file_secret(kp, name, element) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * "sha256:6b3a..." or {"sha256":"6b3a...","expires":"..."}; the member of
 * a webhook secret is "secret".
 */

static ngx_int_t
ngx_http_conduit_key_file_secret(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *name, json_t *value)
{
    u_char      *p, buf[256], time[64];
    json_t      *member, *expires;
    ngx_str_t    args[2];
    ngx_uint_t   nargs;
    const char  *prefix;

    prefix = "";
    expires = NULL;
    member = value;

    if (json_is_object(value)) {
        member = json_object_get(value, "secret");

        if (name->len == 6) {
            member = json_object_get(value, "sha256");
            prefix = "sha256:";
        }

        expires = json_object_get(value, "expires");

        if (json_is_null(expires)) {
            expires = NULL;
        }

        if (json_object_size(value)
            > 1 + (size_t) (json_object_get(value, "expires") != NULL))
        {
            member = NULL;
        }
    }

    if (!json_is_string(member) || (expires && !json_is_string(expires))) {
        ngx_str_set(&kp->error, "must be a string, an object of a secret and"
                    " \"expires\", or a list of these");
        return NGX_ERROR;
    }

    if (ngx_strncmp(json_string_value(member), prefix, ngx_strlen(prefix))
        == 0)
    {
        prefix = "";
    }

    p = ngx_snprintf(buf, sizeof(buf), "%s%s", prefix,
                     json_string_value(member));
    args[0].data = buf;
    args[0].len = p - buf;
    nargs = 1;

    if (expires) {
        p = ngx_snprintf(time, sizeof(time), "expires=%s",
                         json_string_value(expires));
        args[1].data = time;
        args[1].len = p - time;
        nargs = 2;
    }

    return ngx_http_conduit_key_member(kp, name, args, nargs);
}


/* a scalar in the words of nginx.conf */

static ngx_int_t
ngx_http_conduit_key_file_arg(ngx_http_conduit_key_parse_t *kp, json_t *value,
    ngx_str_t *arg)
{
    switch (json_typeof(value)) {

    case JSON_STRING:
        arg->data = (u_char *) json_string_value(value);
        arg->len = json_string_length(value);
        return NGX_OK;

    case JSON_INTEGER:

        arg->data = ngx_pnalloc(kp->pool, NGX_INT64_LEN);
        if (arg->data == NULL) {
            ngx_str_set(&kp->error, "cannot be kept: no memory");
            return NGX_ERROR;
        }

        arg->len = ngx_sprintf(arg->data, "%L",
                               (int64_t) json_integer_value(value))
                   - arg->data;
        return NGX_OK;

    case JSON_TRUE:
        ngx_str_set(arg, "on");
        return NGX_OK;

    case JSON_FALSE:
        ngx_str_set(arg, "off");
        return NGX_OK;

    default:
        ngx_str_set(&kp->error, "has a value of a wrong type");
        return NGX_ERROR;
    }
}


/* nothing can fail from here on */

static void
ngx_http_conduit_key_file_swap(ngx_http_conduit_key_apply_t *ka,
    ngx_http_conduit_key_table_t *table)
{
    ngx_uint_t                 i;
    ngx_http_conduit_key_t     none, **all;
    ngx_http_conduit_keys_t   *keys;

    keys = ka->keys;
    all = keys->keys.elts;

    /* a key that has left the file keeps nothing of the old contents */

    ngx_memzero(&none, sizeof(ngx_http_conduit_key_t));
    none.removed = 1;

    for (i = 0; i < keys->keys.nelts; i++) {
        ngx_http_conduit_key_file_replace(all[i], &none);
    }

    for (i = 0; i < ka->n; i++) {
        ngx_http_conduit_key_file_replace(ka->list[i], ka->contents[i]);
    }

    keys->table = *table;
    keys->generation++;

    if (keys->file_pool) {
        ngx_destroy_pool(keys->file_pool);
    }

    keys->file_pool = ka->pool;
}


/* gives a key of the file other contents; who it is stays */

static void
ngx_http_conduit_key_file_replace(ngx_http_conduit_key_t *key,
    ngx_http_conduit_key_t *contents)
{
    ngx_http_conduit_key_t  old;

    if (!key->file) {
        return;
    }

    old = *key;
    *key = *contents;

    key->sn = old.sn;
    key->name = old.name;
    key->node = old.node;
    key->file = 1;
}


static void
ngx_http_conduit_key_file_error(ngx_http_conduit_key_apply_t *ka,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(ka->pool, NGX_MAX_CONF_ERRSTR);
    if (p == NULL) {
        return;
    }

    ka->error->data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, p + NGX_MAX_CONF_ERRSTR, fmt, args);
    va_end(args);

    ka->error->len = p - ka->error->data;
}
