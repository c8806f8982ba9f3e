
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_redis_nodes.h>
#include <ngx_sha1.h>


/*
 * Commands for a cluster: where their keys stand, and the texts of scripts,
 * which one node may not know though another one does.
 */


ngx_uint_t
ngx_conduit_redis_slot(ngx_str_t *args, ngx_uint_t nargs)
{
    ngx_uint_t  i, key;

    static const char  *keyless[] = {
        "PUBLISH", "TIME", "SCRIPT", "PING", "INFO"
    };

    for (i = 0; i < sizeof(keyless) / sizeof(keyless[0]); i++) {
        if (ngx_conduit_redis_is(&args[0], keyless[i])) {
            return NGX_CONDUIT_REDIS_ANY;
        }
    }

    key = 1;

    if (ngx_conduit_redis_is(&args[0], "EVAL")
        || ngx_conduit_redis_is(&args[0], "EVALSHA"))
    {
        key = 3;
    }

    if (key >= nargs) {
        return NGX_CONDUIT_REDIS_ANY;
    }

    return conduit_slot(args[key].data, args[key].len);
}


ngx_uint_t
ngx_conduit_redis_is(ngx_str_t *word, const char *name)
{
    return word->len == ngx_strlen(name)
           && ngx_strncmp(word->data, name, word->len) == 0;
}


void
ngx_conduit_redis_remember(ngx_conduit_redis_cluster_t *cluster,
    ngx_str_t *text)
{
    u_char                       sha[20];
    ngx_sha1_t                   sha1;
    ngx_uint_t                   i;
    ngx_conduit_redis_script_t  *script;

    for (i = 0; i < cluster->nscripts; i++) {
        script = &cluster->scripts[i];

        if (script->len == text->len
            && ngx_memcmp(script->text, text->data, text->len) == 0)
        {
            return;
        }
    }

    if (i == NGX_CONDUIT_REDIS_SCRIPTS) {
        return;
    }

    script = &cluster->scripts[i];

    script->text = ngx_alloc(text->len, cluster->redis->log);
    if (script->text == NULL) {
        return;
    }

    script->len = text->len;
    ngx_memcpy(script->text, text->data, text->len);

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, text->data, text->len);
    ngx_sha1_final(sha, &sha1);

    ngx_hex_dump(script->sha, sha, sizeof(sha));

    cluster->nscripts++;
}


ngx_uint_t
ngx_conduit_redis_recall(ngx_conduit_redis_cluster_t *cluster,
    ngx_str_t *args)
{
    ngx_uint_t                   i;
    ngx_conduit_redis_script_t  *script;

    for (i = 0; i < cluster->nscripts; i++) {
        script = &cluster->scripts[i];

        if (args[1].len == sizeof(script->sha)
            && ngx_memcmp(script->sha, args[1].data, sizeof(script->sha))
               == 0)
        {
            ngx_str_set(&args[0], "EVAL");
            args[1].len = script->len;
            args[1].data = script->text;
            return 1;
        }
    }

    return 0;
}


void
ngx_conduit_redis_forget(ngx_conduit_redis_cluster_t *cluster)
{
    ngx_uint_t  i;

    for (i = 0; i < cluster->nscripts; i++) {
        ngx_free(cluster->scripts[i].text);
    }

    cluster->nscripts = 0;
}
