
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_redis.h>

#if (NGX_SSL)
#include <ngx_event_openssl.h>
#endif


#define NGX_CONDUIT_REDIS_PORT           6379
#define NGX_CONDUIT_REDIS_SENTINEL_PORT  26379
#define NGX_CONDUIT_REDIS_SENTINELS      16


static const char *ngx_conduit_redis_unix(ngx_conf_t *cf, ngx_str_t *path,
    ngx_conduit_redis_conf_t *conf);
static const char *ngx_conduit_redis_user(ngx_conf_t *cf, ngx_str_t *rest,
    ngx_conduit_redis_conf_t *conf);
static ngx_int_t ngx_conduit_redis_unescape(ngx_conf_t *cf, ngx_str_t *value);
static const char *ngx_conduit_redis_db(ngx_str_t *rest,
    ngx_conduit_redis_conf_t *conf);
static const char *ngx_conduit_redis_host(ngx_conf_t *cf, ngx_str_t *host,
    in_port_t port, ngx_conduit_redis_server_t *server);
#if (NGX_SSL)
static ngx_int_t ngx_conduit_redis_name(ngx_conf_t *cf,
    ngx_conduit_redis_conf_t *conf, ngx_str_t *host);
#endif


const char *
ngx_conduit_redis_url(ngx_conf_t *cf, ngx_str_t *url,
    ngx_conduit_redis_conf_t *conf)
{
    ngx_str_t    rest;
    const char  *err;

    rest = *url;

    if (ngx_strncmp(url->data, "unix:", 5) == 0) {
        rest.data += 5;
        rest.len -= 5;
        return ngx_conduit_redis_unix(cf, &rest, conf);
    }

    if (ngx_strncmp(url->data, "redis://", 8) == 0) {
        rest.data += 8;
        rest.len -= 8;

    } else if (ngx_strncmp(url->data, "rediss://", 9) == 0) {

#if (NGX_SSL)
        conf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
        if (conf->ssl == NULL) {
            return "no memory";
        }
#else
        return "needs an nginx built with TLS for \"rediss://\"";
#endif

        rest.data += 9;
        rest.len -= 9;

    } else {
        return "must begin with \"redis://\", \"rediss://\" or \"unix:\"";
    }

    err = ngx_conduit_redis_user(cf, &rest, conf);

    if (err == NULL) {
        err = ngx_conduit_redis_db(&rest, conf);
    }

    if (err) {
        return err;
    }

    if (conf->sentinels == NULL) {
        return ngx_conduit_redis_host(cf, &rest, NGX_CONDUIT_REDIS_PORT,
                                      &conf->server);
    }

    if (rest.len == 0 || ngx_strlchr(rest.data, rest.data + rest.len, ':')) {
        return "must have the name of a master, without a port, in place of "
               "the host when there are sentinels";
    }

    conf->master = rest;

    return NULL;
}


static const char *
ngx_conduit_redis_unix(ngx_conf_t *cf, ngx_str_t *path,
    ngx_conduit_redis_conf_t *conf)
{
#if (NGX_HAVE_UNIX_DOMAIN)

    struct sockaddr_un  *sun;

    if (conf->sentinels) {
        return "cannot have \"unix:\" beside sentinels";
    }

    sun = &conf->server.sockaddr.sockaddr_un;

    if (path->len == 0 || path->data[0] != '/') {
        return "must have an absolute path after \"unix:\"";
    }

    if (path->len >= sizeof(sun->sun_path)
        || path->len >= sizeof(ngx_sockaddr_t)
                        - offsetof(struct sockaddr_un, sun_path))
    {
        return "has a path that is too long for a socket";
    }

    sun->sun_family = AF_UNIX;
    ngx_memcpy(sun->sun_path, path->data, path->len);

    conf->server.socklen = sizeof(struct sockaddr_un);
    conf->server.text.len = path->len;
    conf->server.text.data = path->data;

    return NULL;

#else

    return "cannot have \"unix:\" on this platform";

#endif
}


/* [[USER:]PASSWORD@], with the escapes of an URL */

static const char *
ngx_conduit_redis_user(ngx_conf_t *cf, ngx_str_t *rest,
    ngx_conduit_redis_conf_t *conf)
{
    u_char  *p, *at, *last;

    last = rest->data + rest->len;
    at = NULL;

    for (p = rest->data; p < last; p++) {
        if (*p == '@') {
            at = p;
        }
    }

    if (at == NULL) {
        return NULL;
    }

    p = ngx_strlchr(rest->data, at, ':');

    if (p) {
        conf->user.data = rest->data;
        conf->user.len = p - rest->data;
        p++;

    } else {
        p = rest->data;
    }

    conf->password.data = p;
    conf->password.len = at - p;

    if (conf->password.len == 0) {
        return "has no password before the \"@\"";
    }

    if (ngx_conduit_redis_unescape(cf, &conf->user) != NGX_OK
        || ngx_conduit_redis_unescape(cf, &conf->password) != NGX_OK)
    {
        return "has a bad \"%\" in user or password";
    }

    rest->data = at + 1;
    rest->len = last - rest->data;

    return NULL;
}


static ngx_int_t
ngx_conduit_redis_unescape(ngx_conf_t *cf, ngx_str_t *value)
{
    size_t     i;
    u_char    *p;
    ngx_int_t  n;

    p = ngx_pnalloc(cf->pool, value->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0, n = 0; i < value->len; i++) {

        if (value->data[i] != '%') {
            p[n++] = value->data[i];
            continue;
        }

        if (value->len - i < 3
            || ngx_hextoi(value->data + i + 1, 2) == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        p[n++] = (u_char) ngx_hextoi(value->data + i + 1, 2);
        i += 2;
    }

    value->data = p;
    value->len = n;

    return NGX_OK;
}


static const char *
ngx_conduit_redis_db(ngx_str_t *rest, ngx_conduit_redis_conf_t *conf)
{
    u_char     *p, *last;
    ngx_int_t   n;

    last = rest->data + rest->len;

    p = ngx_strlchr(rest->data, last, '/');

    if (p == NULL) {
        return NULL;
    }

    rest->len = p - rest->data;
    p++;

    if (p == last) {
        return NULL;
    }

    n = ngx_atoi(p, last - p);

    if (n == NGX_ERROR || n > 65535) {
        return "must have the number of a database after the \"/\"";
    }

    conf->db = n;

    return NULL;
}


static const char *
ngx_conduit_redis_host(ngx_conf_t *cf, ngx_str_t *host, in_port_t port,
    ngx_conduit_redis_server_t *server)
{
    ngx_url_t  u;

    if (host->len == 0 || host->data[0] == ':') {
        return "has no host";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *host;
    u.default_port = port;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.host.len == 0
        || u.host.len > 255 || u.uri.len || u.family == AF_UNIX)
    {
        return "must have HOST or HOST:PORT";
    }

    server->port = u.port;
    server->host.data = ngx_pnalloc(cf->pool, u.host.len + 1);
    if (server->host.data == NULL) {
        return "no memory";
    }

    server->text.data = ngx_pnalloc(cf->pool, u.host.len + sizeof(":65535"));
    if (server->text.data == NULL) {
        return "no memory";
    }

    server->text.len = ngx_sprintf(server->text.data, "%V:%ui", &u.host,
                                   (ngx_uint_t) u.port)
                       - server->text.data;

    server->host.len = u.host.len;
    ngx_strlow(server->host.data, u.host.data, u.host.len);
    server->host.data[u.host.len] = '\0';

    if (u.naddrs) {
        ngx_memcpy(&server->sockaddr, u.addrs[0].sockaddr,
                   u.addrs[0].socklen);
        server->socklen = u.addrs[0].socklen;
    }

    return NULL;
}


const char *
ngx_conduit_redis_sentinels(ngx_conf_t *cf, ngx_str_t *list,
    ngx_conduit_redis_conf_t *conf)
{
    u_char                      *p, *last, *comma;
    ngx_str_t                    host;
    const char                  *err;
    ngx_conduit_redis_server_t  *server;

    if (conf->sentinels) {
        return "is duplicate";
    }

    conf->sentinels = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_conduit_redis_server_t));
    if (conf->sentinels == NULL) {
        return "no memory";
    }

    p = list->data;
    last = p + list->len;

    while (p <= last) {
        comma = ngx_strlchr(p, last, ',');

        if (comma == NULL) {
            comma = last;
        }

        if (conf->sentinels->nelts == NGX_CONDUIT_REDIS_SENTINELS) {
            return "has more than 16 sentinels";
        }

        server = ngx_array_push(conf->sentinels);
        if (server == NULL) {
            return "no memory";
        }

        ngx_memzero(server, sizeof(ngx_conduit_redis_server_t));

        host.data = p;
        host.len = comma - p;

        err = ngx_conduit_redis_host(cf, &host,
                                     NGX_CONDUIT_REDIS_SENTINEL_PORT, server);
        if (err) {
            return err;
        }

        p = comma + 1;
    }

    return NULL;
}


ngx_int_t
ngx_conduit_redis_tls(ngx_conf_t *cf, ngx_conduit_redis_conf_t *conf,
    ngx_str_t *ca)
{
#if (NGX_SSL)

    ngx_ssl_t           *ssl;
    ngx_str_t           *host;
    ngx_pool_cleanup_t  *cln;

    ssl = conf->ssl;
    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    host = conf->sentinels ? &conf->master : &conf->server.host;

    if (ngx_conduit_redis_name(cf, conf, host) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ca->len) {
        return ngx_ssl_trusted_certificate(cf, ssl, ca, 4);
    }

    if (SSL_CTX_set_default_verify_paths(ssl->ctx) == 0) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    return NGX_OK;

#else

    return NGX_ERROR;

#endif
}


#if (NGX_SSL)

/* OpenSSL wants it with a zero at the end */

static ngx_int_t
ngx_conduit_redis_name(ngx_conf_t *cf, ngx_conduit_redis_conf_t *conf,
    ngx_str_t *host)
{
    conf->name.data = ngx_pnalloc(cf->pool, host->len + 1);
    if (conf->name.data == NULL) {
        return NGX_ERROR;
    }

    conf->name.len = host->len;
    ngx_cpystrn(conf->name.data, host->data, host->len + 1);

    return NGX_OK;
}

#endif
