
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_provider_conf.h>
#include <ngx_http_conduit_key_conf.h>
#include <conduit_provider.h>


#define NGX_HTTP_CONDUIT_SECRET_MAX  65536


static ngx_http_conduit_provider_t *ngx_http_conduit_provider_find(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_str_t *name);
static ngx_http_conduit_provider_t *ngx_http_conduit_provider_add(
    ngx_conf_t *cf, ngx_http_conduit_main_conf_t *cdmcf, ngx_str_t *name);
static void *ngx_http_conduit_provider_alloc(void *data, size_t size);
static ngx_http_conduit_provider_t *ngx_http_conduit_provider_current(
    void *conf);
static char *ngx_http_conduit_provider_line(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider, conduit_block_e block,
    conduit_block_e *inner);
static conduit_block_e ngx_http_conduit_provider_context(ngx_conf_t *cf);
static char *ngx_http_conduit_provider_entry(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_conduit_provider_end(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider);
static ngx_int_t ngx_http_conduit_provider_secret(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider);
static ngx_int_t ngx_http_conduit_provider_secret_env(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *secret);
static ngx_int_t ngx_http_conduit_provider_secret_file(ngx_conf_t *cf,
    ngx_str_t *path, ngx_str_t *secret);
static ngx_int_t ngx_http_conduit_provider_certificate(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider);
static ngx_int_t ngx_http_conduit_provider_regex(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider);
#if (NGX_PCRE)
static int ngx_http_conduit_provider_match(void *regex,
    const conduit_str_t *line, conduit_str_t *group);
#endif


/* a block of entries, whose names are values */

typedef struct {
    ngx_http_conduit_provider_t  *provider;
    conduit_block_e               block;
} ngx_http_conduit_entries_t;


char *
ngx_http_conduit_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    char                          *rv;
    ngx_str_t                     *value;
    ngx_conf_t                     save;
    ngx_http_conduit_provider_t   *provider;

    value = cf->args->elts;

    if (ngx_http_conduit_key_name(&value[1]) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"conduit_provider\": it "
                           "must be 1 to 64 letters, digits or \"._:@-\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_conduit_provider_find(cdmcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"conduit_provider\" \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    provider = ngx_http_conduit_provider_add(cf, cdmcf, &value[1]);
    if (provider == NULL) {
        return NGX_CONF_ERROR;
    }

    save = *cf;
    cf->cmd_type = NGX_HTTP_CONDUIT_PROVIDER_BLOCK;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_conduit_provider_end(cf, provider);
}


static ngx_http_conduit_provider_t *
ngx_http_conduit_provider_find(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_http_conduit_provider_t  **provider;

    provider = cdmcf->providers.elts;

    for (i = 0; i < cdmcf->providers.nelts; i++) {

        if (provider[i]->name.len == name->len
            && ngx_strncmp(provider[i]->name.data, name->data, name->len) == 0)
        {
            return provider[i];
        }
    }

    return NULL;
}


static ngx_http_conduit_provider_t *
ngx_http_conduit_provider_add(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_str_t *name)
{
    conduit_str_t                  text;
    conduit_pool_t                 pool;
    ngx_http_conduit_provider_t   *provider, **slot;

    if (cdmcf->providers.nelts == NGX_HTTP_CONDUIT_PROVIDERS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many \"conduit_provider\" blocks, at most %d "
                           "are possible", NGX_HTTP_CONDUIT_PROVIDERS);
        return NULL;
    }

    provider = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_provider_t));
    if (provider == NULL) {
        return NULL;
    }

    provider->name = *name;

    text.data = name->data;
    text.len = name->len;

    pool.alloc = ngx_http_conduit_provider_alloc;
    pool.data = cf->pool;

    provider->description = conduit_provider_create(&pool, &text);
    if (provider->description == NULL) {
        return NULL;
    }

    slot = ngx_array_push(&cdmcf->providers);
    if (slot == NULL) {
        return NULL;
    }

    *slot = provider;

    return provider;
}


static void *
ngx_http_conduit_provider_alloc(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


/* the block that is being read is the last one */

static ngx_http_conduit_provider_t *
ngx_http_conduit_provider_current(void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    ngx_http_conduit_provider_t  **provider;

    provider = cdmcf->providers.elts;

    return provider[cdmcf->providers.nelts - 1];
}


char *
ngx_http_conduit_provider_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char                        *rv;
    ngx_conf_t                   save;
    ngx_http_conduit_entries_t  *entries;

    entries = ngx_palloc(cf->pool, sizeof(ngx_http_conduit_entries_t));
    if (entries == NULL) {
        return NGX_CONF_ERROR;
    }

    entries->provider = ngx_http_conduit_provider_current(conf);

    rv = ngx_http_conduit_provider_line(cf, entries->provider,
                                        ngx_http_conduit_provider_context(cf),
                                        &entries->block);

    if (rv != NGX_CONF_OK || !(cmd->type & NGX_CONF_BLOCK)) {
        return rv;
    }

    save = *cf;

    switch (entries->block) {

    case CONDUIT_BLOCK_SUBMIT:
        cf->cmd_type = NGX_HTTP_CONDUIT_SUBMIT_BLOCK;
        break;

    case CONDUIT_BLOCK_POLL:
        cf->cmd_type = NGX_HTTP_CONDUIT_POLL_BLOCK;
        break;

    case CONDUIT_BLOCK_FETCH:
        cf->cmd_type = NGX_HTTP_CONDUIT_FETCH_BLOCK;
        break;

    default:
        cf->handler = ngx_http_conduit_provider_entry;
        cf->handler_conf = (void *) entries;
    }

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static conduit_block_e
ngx_http_conduit_provider_context(ngx_conf_t *cf)
{
    switch (cf->cmd_type) {

    case NGX_HTTP_CONDUIT_SUBMIT_BLOCK:
        return CONDUIT_BLOCK_SUBMIT;

    case NGX_HTTP_CONDUIT_POLL_BLOCK:
        return CONDUIT_BLOCK_POLL;

    case NGX_HTTP_CONDUIT_FETCH_BLOCK:
        return CONDUIT_BLOCK_FETCH;

    default:
        return CONDUIT_BLOCK_PROVIDER;
    }
}


static char *
ngx_http_conduit_provider_entry(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    ngx_http_conduit_entries_t  *entries = conf;

    conduit_block_e  inner;

    return ngx_http_conduit_provider_line(cf, entries->provider,
                                          entries->block, &inner);
}


static char *
ngx_http_conduit_provider_line(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider, conduit_block_e block,
    conduit_block_e *inner)
{
    char            error[CONDUIT_PROVIDER_ERROR];
    ngx_str_t      *value;
    ngx_uint_t      i, n;
    conduit_str_t  *args;

    value = cf->args->elts;
    n = cf->args->nelts;

    args = ngx_palloc(cf->temp_pool, n * sizeof(conduit_str_t));
    if (args == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < n; i++) {
        args[i].data = value[i].data;
        args[i].len = value[i].len;
    }

    if (conduit_provider_directive(provider->description, block, args, n,
                                   inner, error)
        != CONDUIT_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s, in conduit_provider \"%V\"", error,
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_conduit_provider_end(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider)
{
    char                 error[CONDUIT_PROVIDER_ERROR];
    conduit_provider_t  *description;

    description = provider->description;

    if (conduit_provider_check(description, error) != CONDUIT_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s, in conduit_provider \"%V\"", error,
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    provider->kinds = description->kinds;
    provider->concurrency = description->concurrency;
    provider->rpm = description->rpm;
    provider->queue = description->queue;
    provider->lease = description->lease;
    provider->duration = description->duration;

    switch (description->type) {

    case CONDUIT_TYPE_SANDBOX:
        provider->type = NGX_HTTP_CONDUIT_SANDBOX;
        return NGX_CONF_OK;

    case CONDUIT_TYPE_WORKER:
        provider->type = NGX_HTTP_CONDUIT_WORKER;
        return NGX_CONF_OK;

    default:
        provider->type = NGX_HTTP_CONDUIT_DESCRIBED;
        provider->sync = description->sync;
    }

    if (ngx_http_conduit_provider_secret(cf, provider) != NGX_OK
        || ngx_http_conduit_provider_certificate(cf, provider) != NGX_OK
        || ngx_http_conduit_provider_regex(cf, provider) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* read here and not in workers, which may neither see the file nor the name */

static ngx_int_t
ngx_http_conduit_provider_secret(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider)
{
    size_t               i;
    ngx_int_t            rc;
    ngx_str_t            from, secret;
    conduit_provider_t  *description;

    description = provider->description;

    if (description->secret_from.len == 0) {
        return NGX_OK;
    }

    from.data = (u_char *) ngx_strchr(description->secret_from.data, ':') + 1;
    from.len = description->secret_from.data + description->secret_from.len
               - from.data;

    rc = (description->secret_from.data[0] == 'e')
         ? ngx_http_conduit_provider_secret_env(cf, &from, &secret)
         : ngx_http_conduit_provider_secret_file(cf, &from, &secret);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < secret.len; i++) {
        if (secret.data[i] < ' ' || secret.data[i] == 0x7f) {
            break;
        }
    }

    if (secret.len == 0 || i < secret.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"secret\" of conduit_provider \"%V\" must be one "
                           "line of text", &provider->name);
        return NGX_ERROR;
    }

    description->secret.data = secret.data;
    description->secret.len = secret.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_provider_secret_env(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *secret)
{
    char       *value;
    ngx_str_t   text;

    /* the name is the end of a token, which has a NUL behind it */

    value = getenv((char *) name->data);

    if (value == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "environment variable \"%V\" of \"secret\" is not "
                           "set", name);
        return NGX_ERROR;
    }

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    secret->len = text.len;
    secret->data = ngx_pstrdup(cf->pool, &text);

    return secret->data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_provider_secret_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *secret)
{
    ssize_t      n;
    ngx_fd_t     fd;
    const char  *failed;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    secret->data = ngx_pnalloc(cf->pool, NGX_HTTP_CONDUIT_SECRET_MAX);
    if (secret->data == NULL) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        failed = ngx_open_file_n;
        goto failed;
    }

    n = ngx_read_fd(fd, secret->data, NGX_HTTP_CONDUIT_SECRET_MAX);

    if (n < 0) {
        failed = ngx_read_fd_n;
        goto failed;
    }

    (void) ngx_close_file(fd);

    if (n && secret->data[n - 1] == LF) {
        n--;
    }

    secret->len = n;

    return NGX_OK;

failed:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                       "%s \"%s\" of \"secret\" failed", failed, path->data);

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    return NGX_ERROR;
}


/* libcurl reads the file in a worker; that there is one is found out here */

static ngx_int_t
ngx_http_conduit_provider_certificate(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider)
{
    ngx_str_t            path;
    ngx_file_info_t      fi;
    conduit_provider_t  *description;

    description = provider->description;

    if (description->certificate.len == 0) {
        return NGX_OK;
    }

    path.data = description->certificate.data;
    path.len = description->certificate.len;

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_file_info(path.data, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_file_info_n " \"%s\" of "
                           "\"trusted_certificate\" failed", path.data);
        return NGX_ERROR;
    }

    description->certificate.data = path.data;
    description->certificate.len = path.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_provider_regex(ngx_conf_t *cf,
    ngx_http_conduit_provider_t *provider)
{
#if (NGX_PCRE)
    u_char                errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t   rc;
#endif
    conduit_provider_t   *description;

    description = provider->description;

    if (description->progress_pattern.len == 0) {
        return NGX_OK;
    }

#if (NGX_PCRE)

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern.data = description->progress_pattern.data;
    rc.pattern.len = description->progress_pattern.len;
    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V, in conduit_provider \"%V\"", &rc.err,
                           &provider->name);
        return NGX_ERROR;
    }

    if (rc.captures == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"progress logs\" needs an expression with a "
                           "group, such as \"regex=(\\d+)%%\", in "
                           "conduit_provider \"%V\"", &provider->name);
        return NGX_ERROR;
    }

    description->regex = ngx_http_conduit_provider_match;
    description->regex_data = rc.regex;

    return NGX_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"progress logs\" needs an nginx built with PCRE, in "
                       "conduit_provider \"%V\"", &provider->name);
    return NGX_ERROR;

#endif
}


#if (NGX_PCRE)

static int
ngx_http_conduit_provider_match(void *regex, const conduit_str_t *line,
    conduit_str_t *group)
{
    int        captures[6];
    ngx_str_t  text;

    text.data = line->data;
    text.len = line->len;

    /* 0 means that there were more groups than room, the first is here */

    if (ngx_regex_exec((ngx_regex_t *) regex, &text, captures, 6) < 0
        || captures[2] < 0)
    {
        return CONDUIT_DECLINED;
    }

    group->data = line->data + captures[2];
    group->len = captures[3] - captures[2];

    return CONDUIT_OK;
}

#endif
