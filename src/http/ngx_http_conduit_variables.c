
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_location.h>
#include <ngx_http_conduit_request.h>


static ngx_int_t ngx_http_conduit_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_conduit_variable_key(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_conduit_variable_task_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_conduit_variable_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static u_char *ngx_http_conduit_args_without(u_char *p, ngx_str_t *args);


/* they change while a request waits, so none may be cached */

static ngx_http_variable_t  ngx_http_conduit_vars[] = {

    { ngx_string("conduit_key"), NULL,
      ngx_http_conduit_variable_key, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("conduit_task_id"), NULL,
      ngx_http_conduit_variable_task_id, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("conduit_task_status"), NULL,
      ngx_http_conduit_variable,
      offsetof(ngx_http_conduit_ctx_t, task_status),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("conduit_model"), NULL,
      ngx_http_conduit_variable,
      offsetof(ngx_http_conduit_ctx_t, model),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("conduit_provider"), NULL,
      ngx_http_conduit_variable,
      offsetof(ngx_http_conduit_ctx_t, provider),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("conduit_error_code"), NULL,
      ngx_http_conduit_variable,
      offsetof(ngx_http_conduit_ctx_t, error_code),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("conduit_transport"), NULL,
      ngx_http_conduit_variable,
      offsetof(ngx_http_conduit_ctx_t, transport),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("conduit_uri"), NULL,
      ngx_http_conduit_variable_uri, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_conduit_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_conduit_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t               *s;
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    s = (ngx_str_t *) ((u_char *) ctx + data);

    if (s->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = s->len;
    v->data = s->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_variable_key(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_conduit_key_t  *key;

    key = ngx_http_conduit_request_key(r);

    if (key == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = key->name.len;
    v->data = key->name.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_variable_task_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    if (ctx == NULL || !ctx->named) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = sizeof(ctx->task_id);
    v->data = ctx->task_id;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* as the client has sent it, but for the key that browsers send in it */

static ngx_int_t
ngx_http_conduit_variable_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char     *p, *path;
    size_t      len;
    ngx_str_t   args;

    path = r->unparsed_uri.data;
    len = r->unparsed_uri.len;

    p = ngx_strlchr(path, path + len, '?');

    if (p == NULL) {
        v->len = len;
        v->data = path;

    } else {
        args.data = p + 1;
        args.len = path + len - args.data;

        v->data = ngx_pnalloc(r->pool, len);
        if (v->data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(v->data, path, p - path);
        v->len = ngx_http_conduit_args_without(p, &args) - v->data;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static u_char *
ngx_http_conduit_args_without(u_char *p, ngx_str_t *args)
{
    u_char  *arg, *end, *last, sep;

    static ngx_str_t  secret = ngx_string("access_token");

    sep = '?';
    last = args->data + args->len;

    for (arg = args->data; arg < last; arg = end + 1) {

        end = ngx_strlchr(arg, last, '&');

        if (end == NULL) {
            end = last;
        }

        /* the name may be written with escapes: any "%" in it will do */

        if (end - arg >= (ssize_t) secret.len
            && ngx_strncasecmp(arg, secret.data, secret.len) == 0)
        {
            continue;
        }

        if (ngx_strlchr(arg, end, '%')
            && ngx_strlchr(arg, end, '%')
               < (ngx_strlchr(arg, end, '=') ? ngx_strlchr(arg, end, '=')
                                             : end))
        {
            continue;
        }

        *p++ = sep;
        sep = '&';
        p = ngx_cpymem(p, arg, end - arg);
    }

    return p;
}
