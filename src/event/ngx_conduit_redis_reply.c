
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_redis_io.h>


/* What others see of replies. */


ngx_uint_t
ngx_conduit_redis_type(ngx_conduit_redis_reply_t *reply)
{
    if (reply == NULL) {
        return NGX_CONDUIT_REDIS_NIL;
    }

    switch (reply->type) {

    case REDIS_REPLY_STRING:
        return NGX_CONDUIT_REDIS_STRING;

    case REDIS_REPLY_STATUS:
        return NGX_CONDUIT_REDIS_STATUS;

    case REDIS_REPLY_INTEGER:
        return NGX_CONDUIT_REDIS_INTEGER;

    case REDIS_REPLY_ARRAY:
        return NGX_CONDUIT_REDIS_ARRAY;

    case REDIS_REPLY_ERROR:
        return NGX_CONDUIT_REDIS_FAILED;

    default:
        return NGX_CONDUIT_REDIS_NIL;
    }
}


ngx_str_t
ngx_conduit_redis_text(ngx_conduit_redis_reply_t *reply)
{
    ngx_str_t  text;

    ngx_str_null(&text);

    if (reply
        && (reply->type == REDIS_REPLY_STRING
            || reply->type == REDIS_REPLY_STATUS
            || reply->type == REDIS_REPLY_ERROR))
    {
        text.len = reply->len;
        text.data = (u_char *) reply->str;
    }

    return text;
}


int64_t
ngx_conduit_redis_number(ngx_conduit_redis_reply_t *reply)
{
    ngx_int_t  n;

    if (reply == NULL) {
        return 0;
    }

    if (reply->type == REDIS_REPLY_INTEGER) {
        return reply->integer;
    }

    if (reply->type != REDIS_REPLY_STRING) {
        return 0;
    }

    n = ngx_atoi((u_char *) reply->str, reply->len);

    return (n == NGX_ERROR) ? 0 : n;
}


ngx_conduit_redis_reply_t *
ngx_conduit_redis_at(ngx_conduit_redis_reply_t *reply, ngx_uint_t n)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || n >= reply->elements)
    {
        return NULL;
    }

    return reply->element[n];
}
