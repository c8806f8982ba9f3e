
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_provider_conf.h>
#include <conduit_provider.h>


/* providers may be written after their models, so names wait until the end */

typedef struct {
    ngx_http_conduit_model_t      model;
    ngx_str_t                     provider;
    ngx_str_t                     kind;
} ngx_http_conduit_model_conf_t;


static char *ngx_http_conduit_model_option(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_http_conduit_model_conf_t *mcf);
static ngx_int_t ngx_http_conduit_model_bind(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_model_conf_t *mcf);
static ngx_int_t ngx_http_conduit_model_fallback(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_model_t *model);
static ngx_int_t ngx_http_conduit_model_loop(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_model_t *model);
static ngx_int_t ngx_http_conduit_provider_media(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);


char *
ngx_http_conduit_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_conduit_model_t      **model;
    ngx_http_conduit_model_conf_t  *mcf;

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > NGX_HTTP_CONDUIT_NAME_LEN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid alias \"%V\" in \"conduit_model\": it must "
                           "have 1 to %d bytes", &value[1],
                           NGX_HTTP_CONDUIT_NAME_LEN);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_conduit_model_lookup(cdmcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"conduit_model\" \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_model_conf_t));
    if (mcf == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->model.alias = value[1];
    mcf->model.upstream = value[1];

    for (i = 2; i < cf->args->nelts; i++) {

        rv = ngx_http_conduit_model_option(cf, &value[i], mcf);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (mcf->provider.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"conduit_model\" \"%V\" needs \"provider=NAME\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    model = ngx_array_push(&cdmcf->models);
    if (model == NULL) {
        return NGX_CONF_ERROR;
    }

    *model = &mcf->model;

    ngx_http_conduit_model_insert(cdmcf, &mcf->model);

    return NGX_CONF_OK;
}


static char *
ngx_http_conduit_model_option(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_http_conduit_model_conf_t *mcf)
{
    size_t       len;
    ngx_uint_t   i;
    ngx_str_t   *to[4];

    static const char  *names[] = { "provider=", "model=", "kind=",
                                    "fallback=" };

    to[0] = &mcf->provider;
    to[1] = &mcf->model.upstream;
    to[2] = &mcf->kind;
    to[3] = &mcf->model.fallback;

    for (i = 0; i < 4; i++) {

        len = ngx_strlen(names[i]);

        if (arg->len > len && ngx_strncmp(arg->data, names[i], len) == 0) {
            to[i]->data = arg->data + len;
            to[i]->len = arg->len - len;
            break;
        }
    }

    if (i == 4) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"conduit_model\" "
                           "\"%V\": must be provider=NAME, model=NAME, "
                           "kind=image|video or fallback=ALIAS", arg,
                           &mcf->model.alias);
        return NGX_CONF_ERROR;
    }

    if (mcf->model.upstream.len > NGX_HTTP_CONDUIT_UPSTREAM_LEN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too long \"model=\" of \"conduit_model\" \"%V\": "
                           "it must be at most %d characters",
                           &mcf->model.alias, NGX_HTTP_CONDUIT_UPSTREAM_LEN);
        return NGX_CONF_ERROR;
    }

    if (i != 2) {
        return NGX_CONF_OK;
    }

    if (mcf->kind.len == 5 && ngx_strncmp(mcf->kind.data, "image", 5) == 0) {
        mcf->model.kinds = NGX_HTTP_CONDUIT_KIND(NGX_HTTP_CONDUIT_IMAGE);
        return NGX_CONF_OK;
    }

    if (mcf->kind.len == 5 && ngx_strncmp(mcf->kind.data, "video", 5) == 0) {
        mcf->model.kinds = NGX_HTTP_CONDUIT_KIND(NGX_HTTP_CONDUIT_VIDEO);
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid \"%V\" of \"conduit_model\" \"%V\": must be "
                       "kind=image or kind=video", arg, &mcf->model.alias);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_conduit_providers_init(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_uint_t                  i;
    ngx_http_conduit_model_t  **model;

    model = cdmcf->models.elts;

    for (i = 0; i < cdmcf->models.nelts; i++) {

        if (ngx_http_conduit_model_bind(cf, cdmcf,
                                 (ngx_http_conduit_model_conf_t *) model[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < cdmcf->models.nelts; i++) {

        if (ngx_http_conduit_model_fallback(cf, cdmcf, model[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < cdmcf->models.nelts; i++) {

        if (ngx_http_conduit_model_loop(cf, cdmcf, model[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_conduit_provider_media(cf, cdmcf);
}


static ngx_int_t
ngx_http_conduit_model_bind(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_model_conf_t *mcf)
{
    ngx_uint_t                     i;
    ngx_http_conduit_model_t      *model;
    ngx_http_conduit_provider_t  **provider;

    model = &mcf->model;
    provider = cdmcf->providers.elts;

    for (i = 0; i < cdmcf->providers.nelts; i++) {

        if (provider[i]->name.len == mcf->provider.len
            && ngx_strncmp(provider[i]->name.data, mcf->provider.data,
                           mcf->provider.len)
               == 0)
        {
            model->provider = provider[i];
            break;
        }
    }

    if (model->provider == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown provider \"%V\" in \"conduit_model\" \"%V\": "
                      "there must be a conduit_provider of that name",
                      &mcf->provider, &model->alias);
        return NGX_ERROR;
    }

    if (model->kinds == 0) {
        model->kinds = model->provider->kinds;
        return NGX_OK;
    }

    if (model->kinds & ~model->provider->kinds) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"conduit_model\" \"%V\" has kind=%V, which is not a "
                      "\"kind\" of conduit_provider \"%V\"", &model->alias,
                      &mcf->kind, &model->provider->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_model_fallback(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_model_t *model)
{
    if (model->fallback.len == 0) {
        return NGX_OK;
    }

    model->next = ngx_http_conduit_model_lookup(cdmcf, &model->fallback);

    if (model->next == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown fallback \"%V\" in \"conduit_model\" \"%V\": "
                      "it must be the alias of another conduit_model",
                      &model->fallback, &model->alias);
        return NGX_ERROR;
    }

    if (model->kinds & ~model->next->kinds) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "fallback \"%V\" in \"conduit_model\" \"%V\" must be of "
                      "the same kind", &model->fallback, &model->alias);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a chain that is longer than there are models goes in a circle */

static ngx_int_t
ngx_http_conduit_model_loop(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_model_t *model)
{
    ngx_uint_t                 n;
    ngx_http_conduit_model_t  *next;

    n = 0;

    for (next = model->next; next; next = next->next) {

        if (++n > cdmcf->models.nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "the fallbacks of \"conduit_model\" \"%V\" go in a "
                          "circle", &model->alias);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what is downloaded has to be kept somewhere */

static ngx_int_t
ngx_http_conduit_provider_media(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_uint_t                     i;
    ngx_http_conduit_provider_t  **provider;

    provider = cdmcf->providers.elts;

    for (i = 0; i < cdmcf->providers.nelts; i++) {

        if (cdmcf->media || provider[i]->type != NGX_HTTP_CONDUIT_DESCRIBED
            || !provider[i]->description->download.set)
        {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"result download\" in conduit_provider \"%V\" needs "
                      "\"conduit_media PATH url=PREFIX\"", &provider[i]->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}
