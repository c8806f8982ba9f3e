
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_curl.h>

#include <curl/curl.h>


static ngx_int_t ngx_conduit_url_parts(ngx_pool_t *pool, CURLU *u,
    ngx_conduit_url_t *url);
static ngx_int_t ngx_conduit_url_part(ngx_pool_t *pool, CURLU *u,
    CURLUPart part, unsigned int flags, ngx_str_t *value);
static ngx_int_t ngx_conduit_url_host(ngx_conduit_url_t *url);


ngx_int_t
ngx_conduit_url_parse(ngx_pool_t *pool, ngx_str_t *text,
    ngx_conduit_url_t *url)
{
    CURLU      *u;
    u_char     *p;
    ngx_int_t   rc;

    ngx_memzero(url, sizeof(ngx_conduit_url_t));

    p = ngx_pnalloc(pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(p, text->data, text->len) = '\0';

    if (ngx_strlen(p) != text->len) {
        return NGX_DECLINED;
    }

    u = curl_url();
    if (u == NULL) {
        return NGX_ERROR;
    }

    if (curl_url_set(u, CURLUPART_URL, (char *) p, CURLU_PATH_AS_IS)
        == CURLUE_OK)
    {
        rc = ngx_conduit_url_parts(pool, u, url);

    } else {
        rc = NGX_DECLINED;
    }

    curl_url_cleanup(u);

    return rc;
}


static ngx_int_t
ngx_conduit_url_parts(ngx_pool_t *pool, CURLU *u, ngx_conduit_url_t *url)
{
    ngx_int_t  rc, port;
    ngx_str_t  value;

    rc = ngx_conduit_url_part(pool, u, CURLUPART_SCHEME, 0, &url->scheme);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_strcmp(url->scheme.data, "http") != 0
        && ngx_strcmp(url->scheme.data, "https") != 0)
    {
        return NGX_DECLINED;
    }

    rc = ngx_conduit_url_part(pool, u, CURLUPART_HOST, 0, &url->host);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_conduit_url_host(url);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_conduit_url_part(pool, u, CURLUPART_PORT, CURLU_DEFAULT_PORT,
                              &value);

    if (rc != NGX_OK) {
        return rc;
    }

    port = ngx_atoi(value.data, value.len);

    if (port < 1 || port > 65535) {
        return NGX_DECLINED;
    }

    url->port = (in_port_t) port;

    rc = ngx_conduit_url_part(pool, u, CURLUPART_USER, 0, &value);

    if (rc == NGX_OK) {
        url->user = 1;

    } else if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    rc = ngx_conduit_url_part(pool, u, CURLUPART_PATH, 0, &url->path);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_conduit_url_part(pool, u, CURLUPART_QUERY, 0, &url->query);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* NGX_DECLINED: there is no such part */

static ngx_int_t
ngx_conduit_url_part(ngx_pool_t *pool, CURLU *u, CURLUPart part,
    unsigned int flags, ngx_str_t *value)
{
    char       *text;
    CURLUcode   code;

    code = curl_url_get(u, part, &text, flags);

    if (code == CURLUE_OUT_OF_MEMORY) {
        return NGX_ERROR;
    }

    if (code != CURLUE_OK) {
        return NGX_DECLINED;
    }

    value->len = ngx_strlen(text);
    value->data = ngx_pnalloc(pool, value->len + 1);

    if (value->data) {
        ngx_memcpy(value->data, text, value->len + 1);
    }

    curl_free(text);

    return value->data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_conduit_url_host(ngx_conduit_url_t *url)
{
    size_t  i;

    if (url->host.len == 0 || url->host.len > 253) {
        return NGX_DECLINED;
    }

    for (i = 0; i < url->host.len; i++) {
        if (url->host.data[i] <= ' ' || url->host.data[i] >= 0x7f) {
            return NGX_DECLINED;
        }
    }

    ngx_strlow(url->host.data, url->host.data, url->host.len);

    if (url->host.data[0] == '[') {
        url->host.data++;
        url->host.len -= 2;
        url->literal = 1;

    } else {
        url->literal = (ngx_inet_addr(url->host.data, url->host.len)
                        != INADDR_NONE);
    }

    return NGX_OK;
}
