
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_key_file.h>
#include <conduit_time.h>


/* every one of them signs each attempt */

#define NGX_HTTP_CONDUIT_WEBHOOK_SECRETS  16


typedef ngx_int_t (*ngx_http_conduit_key_member_pt)(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *args, ngx_uint_t nargs,
    ngx_uint_t post);


typedef struct {
    ngx_str_t                         name;
    ngx_uint_t                        min;
    ngx_uint_t                        max;         /* parameters */
    ngx_uint_t                        repeat;
    ngx_http_conduit_key_member_pt    set;
    ngx_uint_t                        post;
} ngx_http_conduit_key_member_t;


static ngx_int_t ngx_http_conduit_key_secret(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_models(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_rate(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_number(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_webhook_rate(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *args, ngx_uint_t nargs,
    ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_webhook_secret(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *args, ngx_uint_t nargs,
    ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_webhook_jwk(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *args, ngx_uint_t nargs,
    ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_expires(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_flag(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post);
static ngx_int_t ngx_http_conduit_key_expires_arg(
    ngx_http_conduit_key_parse_t *kp, ngx_str_t *args, ngx_uint_t nargs,
    time_t *expires);
static ngx_int_t ngx_http_conduit_key_time(ngx_str_t *value, time_t *time);


#define NGX_HTTP_CONDUIT_KEY_ADMIN     0
#define NGX_HTTP_CONDUIT_KEY_WORKER    1
#define NGX_HTTP_CONDUIT_KEY_DISABLE   2


/* nginx.conf and the file of keys share the names */

static ngx_http_conduit_key_member_t  ngx_http_conduit_key_members[] = {

    { ngx_string("secret"), 1, 2, 1, ngx_http_conduit_key_secret, 0 },

    { ngx_string("models"), 1, 1000, 1, ngx_http_conduit_key_models, 0 },

    { ngx_string("rate"), 1, 2, 0, ngx_http_conduit_key_rate, 0 },

    { ngx_string("connections"), 1, 1, 0, ngx_http_conduit_key_number,
      offsetof(ngx_http_conduit_key_t, connections) },

    { ngx_string("tasks"), 1, 1, 0, ngx_http_conduit_key_number,
      offsetof(ngx_http_conduit_key_t, tasks) },

    { ngx_string("webhook_rate"), 1, 1, 0, ngx_http_conduit_key_webhook_rate,
      0 },

    { ngx_string("webhook_secret"), 1, 2, 1,
      ngx_http_conduit_key_webhook_secret, 0 },

    { ngx_string("webhook_jwk"), 1, 1, 0, ngx_http_conduit_key_webhook_jwk, 0 },

    { ngx_string("expires"), 1, 1, 0, ngx_http_conduit_key_expires, 0 },

    { ngx_string("admin"), 1, 1, 0, ngx_http_conduit_key_flag,
      NGX_HTTP_CONDUIT_KEY_ADMIN },

    { ngx_string("worker"), 1, 1, 0, ngx_http_conduit_key_flag,
      NGX_HTTP_CONDUIT_KEY_WORKER },

    { ngx_string("disabled"), 0, 1, 0, ngx_http_conduit_key_flag,
      NGX_HTTP_CONDUIT_KEY_DISABLE }
};


ngx_int_t
ngx_http_conduit_key_begin(ngx_http_conduit_key_parse_t *kp)
{
    ngx_http_conduit_key_t  *key;

    key = kp->key;
    kp->seen = 0;

    if (ngx_array_init(&key->secrets, kp->pool, 1,
                       sizeof(ngx_http_conduit_secret_t))
        != NGX_OK
        || ngx_array_init(&key->models, kp->pool, 1, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&key->webhook_secrets, kp->pool, 1,
                          sizeof(ngx_http_conduit_webhook_secret_t))
           != NGX_OK)
    {
        ngx_str_set(&kp->error, "cannot be kept: no memory");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_key_end(ngx_http_conduit_key_parse_t *kp)
{
    if (kp->key->secrets.nelts == 0) {
        ngx_str_set(&kp->error, "has no \"secret\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_key_member(ngx_http_conduit_key_parse_t *kp, ngx_str_t *name,
    ngx_str_t *args, ngx_uint_t nargs)
{
    ngx_uint_t                      i;
    ngx_http_conduit_key_member_t  *m;

    for (i = 0;
         i < sizeof(ngx_http_conduit_key_members)
             / sizeof(ngx_http_conduit_key_member_t);
         i++)
    {
        m = &ngx_http_conduit_key_members[i];

        if (m->name.len != name->len
            || ngx_memcmp(m->name.data, name->data, name->len) != 0)
        {
            continue;
        }

        if (nargs < m->min || nargs > m->max) {
            ngx_str_set(&kp->error, "has a wrong number of parameters");
            return NGX_ERROR;
        }

        if (!m->repeat && (kp->seen & ((ngx_uint_t) 1 << i))) {
            ngx_str_set(&kp->error, "is duplicate");
            return NGX_ERROR;
        }

        kp->seen |= (ngx_uint_t) 1 << i;

        return m->set(kp, args, nargs, m->post);
    }

    ngx_str_set(&kp->error, "is no member of a key");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_key_secret(ngx_http_conduit_key_parse_t *kp, ngx_str_t *args,
    ngx_uint_t nargs, ngx_uint_t post)
{
    ngx_int_t                   n;
    ngx_uint_t                  i;
    ngx_http_conduit_secret_t  *secret;

    if (args[0].len != 7 + 2 * NGX_CONDUIT_SHA256_LEN
        || ngx_memcmp(args[0].data, "sha256:", 7) != 0)
    {
        goto invalid;
    }

    secret = ngx_array_push(&kp->key->secrets);
    if (secret == NULL) {
        ngx_str_set(&kp->error, "cannot be kept: no memory");
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_CONDUIT_SHA256_LEN; i++) {
        n = ngx_hextoi(&args[0].data[7 + 2 * i], 2);

        if (n == NGX_ERROR) {
            goto invalid;
        }

        secret->digest[i] = (u_char) n;
    }

    return ngx_http_conduit_key_expires_arg(kp, args, nargs, &secret->expires);

invalid:

    /* what stands there may be the key in clear text: it is not repeated */

    ngx_str_set(&kp->error, "must be \"sha256:\" and the 64 hexadecimal digits"
                " of the key's SHA-256");

    return NGX_ERROR;
}


/* the optional "expires=TIME" behind a secret */

static ngx_int_t
ngx_http_conduit_key_expires_arg(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, time_t *expires)
{
    ngx_str_t  value;

    *expires = 0;

    if (nargs == 1) {
        return NGX_OK;
    }

    value = args[1];

    if (value.len > 8 && ngx_strncmp(value.data, "expires=", 8) == 0) {
        value.data += 8;
        value.len -= 8;

        if (ngx_http_conduit_key_time(&value, expires) == NGX_OK) {
            return NGX_OK;
        }
    }

    ngx_str_set(&kp->error, "takes nothing but \"expires=2027-01-01T00:00:00Z\""
                " after the secret");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_key_time(ngx_str_t *value, time_t *time)
{
    int64_t  seconds;

    if (conduit_time_parse(value->data, value->len, &seconds) != CONDUIT_OK
        || seconds == 0)
    {
        return NGX_ERROR;
    }

    *time = (time_t) seconds;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_key_models(ngx_http_conduit_key_parse_t *kp, ngx_str_t *args,
    ngx_uint_t nargs, ngx_uint_t post)
{
    ngx_str_t   *model;
    ngx_uint_t   i;

    for (i = 0; i < nargs; i++) {

        if (args[i].len == 0) {
            ngx_str_set(&kp->error, "must not have an empty name");
            return NGX_ERROR;
        }

        model = ngx_array_push(&kp->key->models);
        if (model == NULL) {
            ngx_str_set(&kp->error, "cannot be kept: no memory");
            return NGX_ERROR;
        }

        model->len = args[i].len;
        model->data = ngx_pstrdup(kp->pool, &args[i]);
        if (model->data == NULL) {
            ngx_str_set(&kp->error, "cannot be kept: no memory");
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* one text "1200r/m burst=200" or the two words of it */

static ngx_int_t
ngx_http_conduit_key_rate(ngx_http_conduit_key_parse_t *kp, ngx_str_t *args,
    ngx_uint_t nargs, ngx_uint_t post)
{
    u_char       buf[64], *p;
    const char  *err;

    if (args[0].len + (nargs == 2 ? args[1].len : 0) >= sizeof(buf) - 1) {
        ngx_str_set(&kp->error, "is too long");
        return NGX_ERROR;
    }

    p = ngx_cpymem(buf, args[0].data, args[0].len);

    if (nargs == 2) {
        *p++ = ' ';
        p = ngx_cpymem(p, args[1].data, args[1].len);
    }

    if (conduit_rate_parse(&kp->key->rate, buf, p - buf, &err) != CONDUIT_OK) {
        kp->error.data = (u_char *) err;
        kp->error.len = ngx_strlen(err);
        return NGX_ERROR;
    }

    kp->key->rate_set = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_key_number(ngx_http_conduit_key_parse_t *kp, ngx_str_t *args,
    ngx_uint_t nargs, ngx_uint_t post)
{
    ngx_int_t    n;
    ngx_uint_t  *np;

    n = ngx_atoi(args[0].data, args[0].len);

    if (n == NGX_ERROR || n == 0 || n > NGX_MAX_INT32_VALUE) {
        ngx_str_set(&kp->error, "must be a number, at least 1");
        return NGX_ERROR;
    }

    np = (ngx_uint_t *) ((u_char *) kp->key + post);
    *np = (ngx_uint_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_key_webhook_rate(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post)
{
    ngx_http_conduit_key_t  *key;

    key = kp->key;

    if (conduit_window_parse(&key->webhook_rate, &key->webhook_window,
                             args[0].data, args[0].len)
        != CONDUIT_OK)
    {
        ngx_str_set(&kp->error, "must be \"off\" or a rate such as"
                    " \"1000r/m\" or \"20r/s\"");
        return NGX_ERROR;
    }

    key->webhook_rate_set = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_key_webhook_secret(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post)
{
    ngx_http_conduit_webhook_secret_t  *secret;

    if (kp->key->webhook_secrets.nelts == NGX_HTTP_CONDUIT_WEBHOOK_SECRETS) {
        ngx_str_set(&kp->error, "is given too often: 16 of them are the most");
        return NGX_ERROR;
    }

    secret = ngx_array_push(&kp->key->webhook_secrets);
    if (secret == NULL) {
        ngx_str_set(&kp->error, "cannot be kept: no memory");
        return NGX_ERROR;
    }

    if (conduit_secret_parse(secret->data, &secret->len, args[0].data,
                             args[0].len)
        != CONDUIT_OK)
    {
        ngx_str_set(&kp->error, "must be \"whsec_\" and the base64 form of 24"
                    " to 64 random bytes");
        return NGX_ERROR;
    }

    return ngx_http_conduit_key_expires_arg(kp, args, nargs, &secret->expires);
}


static ngx_int_t
ngx_http_conduit_key_webhook_jwk(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *args, ngx_uint_t nargs, ngx_uint_t post)
{
    char           *text;
    size_t          len;
    ngx_str_t       path;
    ngx_int_t       rc;
    const char     *why;
    conduit_jwk_t  *jwk;

    jwk = ngx_palloc(kp->pool, sizeof(conduit_jwk_t));
    if (jwk == NULL) {
        ngx_str_set(&kp->error, "cannot be kept: no memory");
        return NGX_ERROR;
    }

    /* a file of keys has had its JWKs read and checked in a thread */

    if (kp->jwk.data) {
        rc = conduit_jwk_parse(jwk, kp->jwk.data, kp->jwk.len, &why);

    } else {
        path = args[0];

        if (ngx_conf_full_name(kp->cycle, &path, 1) != NGX_OK) {
            ngx_str_set(&kp->error, "cannot be kept: no memory");
            return NGX_ERROR;
        }

        text = ngx_http_conduit_key_jwk((const char *) path.data, &len, jwk,
                                        &why);
        rc = text ? CONDUIT_OK : CONDUIT_ERROR;

        free(text);
    }

    if (rc != CONDUIT_OK) {
        kp->error.data = ngx_pnalloc(kp->pool, NGX_MAX_CONF_ERRSTR);
        if (kp->error.data == NULL) {
            ngx_str_set(&kp->error, "cannot be kept: no memory");
            return NGX_ERROR;
        }

        kp->error.len = ngx_snprintf(kp->error.data, NGX_MAX_CONF_ERRSTR,
                                     "must name a file with a JSON Web Key,"
                                     " which %s", why)
                        - kp->error.data;
        return NGX_ERROR;
    }

    kp->key->webhook_jwk = jwk;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_key_expires(ngx_http_conduit_key_parse_t *kp, ngx_str_t *args,
    ngx_uint_t nargs, ngx_uint_t post)
{
    if (ngx_http_conduit_key_time(&args[0], &kp->key->expires) != NGX_OK) {
        ngx_str_set(&kp->error, "must be a time such as"
                    " \"2027-01-01T00:00:00Z\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_key_flag(ngx_http_conduit_key_parse_t *kp, ngx_str_t *args,
    ngx_uint_t nargs, ngx_uint_t post)
{
    unsigned  on;

    if (nargs == 0
        || (args[0].len == 2 && ngx_memcmp(args[0].data, "on", 2) == 0))
    {
        on = 1;

    } else if (args[0].len == 3 && ngx_memcmp(args[0].data, "off", 3) == 0) {
        on = 0;

    } else {
        ngx_str_set(&kp->error, "must be \"on\" or \"off\"");
        return NGX_ERROR;
    }

    switch (post) {

    case NGX_HTTP_CONDUIT_KEY_ADMIN:
        kp->key->admin = on;
        break;

    case NGX_HTTP_CONDUIT_KEY_WORKER:
        kp->key->worker = on;
        break;

    default:
        kp->key->disabled = on;
    }

    return NGX_OK;
}
