
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_key_conf.h>
#include <ngx_http_conduit_webhook_conf.h>


ngx_int_t
ngx_http_conduit_webhook_key(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *name, ngx_http_conduit_hook_key_t *hook)
{
    ngx_uint_t                          i;
    ngx_http_conduit_key_t             *key;
    ngx_http_conduit_webhook_secret_t  *secret;

    /* one that is disabled or has expired still tells of accepted work */

    key = ngx_http_conduit_key_by_name(cdmcf, name);

    if (key == NULL || key->removed) {
        return NGX_DECLINED;
    }

    hook->rate = key->webhook_rate_set ? key->webhook_rate
                                       : cdmcf->webhook.rate;
    hook->span = key->webhook_rate_set ? key->webhook_window
                                       : cdmcf->webhook.window;
    hook->jwk = key->webhook_jwk;
    hook->nsecrets = 0;

    secret = key->webhook_secrets.elts;

    for (i = 0; i < key->webhook_secrets.nelts; i++) {

        if ((secret[i].expires && secret[i].expires <= ngx_time())
            || hook->nsecrets == NGX_HTTP_CONDUIT_HOOK_SECRETS)
        {
            continue;
        }

        hook->secrets[hook->nsecrets].data = secret[i].data;
        hook->secrets[hook->nsecrets].len = secret[i].len;
        hook->nsecrets++;
    }

    return NGX_OK;
}
