
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_provider.h>


ngx_http_conduit_model_t *
ngx_http_conduit_model_lookup(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *alias)
{
    ngx_uint_t                 hash;
    ngx_http_conduit_model_t  *model;

    hash = ngx_hash_key(alias->data, alias->len) % NGX_HTTP_CONDUIT_MODEL_HASH;

    for (model = cdmcf->model_hash[hash]; model; model = model->same) {
        if (model->alias.len == alias->len
            && ngx_memcmp(model->alias.data, alias->data, alias->len) == 0)
        {
            return model;
        }
    }

    return NULL;
}


void
ngx_http_conduit_model_insert(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_model_t *model)
{
    ngx_uint_t  hash;

    hash = ngx_hash_key(model->alias.data, model->alias.len)
           % NGX_HTTP_CONDUIT_MODEL_HASH;

    model->same = cdmcf->model_hash[hash];
    cdmcf->model_hash[hash] = model;
}
