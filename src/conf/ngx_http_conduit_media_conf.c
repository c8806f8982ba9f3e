
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_media_conf.h>


#define NGX_HTTP_CONDUIT_MEDIA_SIZE      (64 * 1024 * 1024)
#define NGX_HTTP_CONDUIT_MEDIA_SIZE_MAX  (1024 * 1024 * 1024)


static char *ngx_http_conduit_media_path(ngx_conf_t *cf,
    ngx_http_conduit_media_t *media, ngx_str_t *value);
static char *ngx_http_conduit_media_access(ngx_conf_t *cf, ngx_str_t *path);
static char *ngx_http_conduit_media_param(ngx_conf_t *cf,
    ngx_http_conduit_media_t *media, ngx_str_t *value);
static ngx_int_t ngx_http_conduit_media_url(ngx_http_conduit_media_t *media,
    ngx_str_t *s);
static ngx_int_t ngx_http_conduit_media_value(ngx_str_t *value,
    const char *name, ngx_str_t *s);


char *
ngx_http_conduit_media_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_conduit_main_conf_t  *cdmcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_conduit_media_t  *media;

    if (cdmcf->media) {
        return "is duplicate";
    }

    media = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_media_t));
    if (media == NULL) {
        return NGX_CONF_ERROR;
    }

    media->ttl = NGX_CONF_UNSET;
    media->max_size = NGX_CONF_UNSET_SIZE;
    media->fetch = NGX_CONF_UNSET;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_conduit_media_param(cf, media, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (media->url.data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "conduit_media \"%V\" has no url=PREFIX, where "
                           "clients find its files", &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_size_value(media->max_size, NGX_HTTP_CONDUIT_MEDIA_SIZE);
    ngx_conf_init_value(media->fetch, 0);

    cdmcf->media = media;

    return ngx_http_conduit_media_path(cf, media, &value[1]);
}


/* made by nginx when it starts, as its own folders for temporary files are */

static char *
ngx_http_conduit_media_path(ngx_conf_t *cf, ngx_http_conduit_media_t *media,
    ngx_str_t *value)
{
    char        *rv;
    ngx_path_t  *path;

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->name = *value;

    while (path->name.len > 1 && path->name.data[path->name.len - 1] == '/') {
        path->name.data[--path->name.len] = '\0';
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    rv = ngx_http_conduit_media_access(cf, &path->name);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    media->path = path->name;

    return NGX_CONF_OK;
}


/*
 * nginx makes a folder that is not there, and as root gives it to the user of
 * its workers: that must not happen to one like /tmp.
 */

static char *
ngx_http_conduit_media_access(ngx_conf_t *cf, ngx_str_t *path)
{
    u_char           *p;
    ngx_err_t         err;
    const char       *why;
    ngx_file_info_t   fi;

    err = 0;
    why = NULL;

    if (ngx_file_info(path->data, &fi) == NGX_FILE_ERROR) {
        err = ngx_errno;

        if (err != NGX_ENOENT) {
            why = "cannot be looked at";
        }

        /* only the last part of the path is made */

        p = path->data + path->len;

        while (p > path->data && *p != '/') {
            p--;
        }

        if (why == NULL && p > path->data) {
            *p = '\0';

            if (ngx_file_info(path->data, &fi) == NGX_FILE_ERROR) {
                why = "cannot be made, the folder above it is missing";
            }

            *p = '/';
        }

    } else if (!ngx_is_dir(&fi)) {
        why = "is no folder";

    } else if (fi.st_mode & S_ISVTX) {
        why = "is shared with others, give results a folder of their own";

    } else if (geteuid() != 0
               && access((char *) path->data, W_OK|X_OK) == -1)
    {
        err = ngx_errno;
        why = "cannot be written to";
    }

    if (why == NULL) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, err, "conduit_media \"%V\" %s",
                       path, why);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_conduit_media_param(ngx_conf_t *cf, ngx_http_conduit_media_t *media,
    ngx_str_t *value)
{
    ngx_str_t    s;
    const char  *must;

    if (ngx_http_conduit_media_value(value, "url=", &s) == NGX_OK) {

        if (ngx_http_conduit_media_url(media, &s) == NGX_OK) {
            return NGX_CONF_OK;
        }

        must = "be given once and begin with http://, https:// or /";

    } else if (ngx_http_conduit_media_value(value, "ttl=", &s) == NGX_OK) {

        if (media->ttl == NGX_CONF_UNSET) {
            media->ttl = ngx_parse_time(&s, 1);

            if (media->ttl > 0) {
                return NGX_CONF_OK;
            }
        }

        must = "be given once and be a time of 1s or more";

    } else if (ngx_http_conduit_media_value(value, "max_size=", &s) == NGX_OK)
    {
        if (media->max_size == NGX_CONF_UNSET_SIZE) {
            media->max_size = ngx_parse_size(&s);

            if (media->max_size != (size_t) NGX_ERROR
                && media->max_size > 0
                && media->max_size <= NGX_HTTP_CONDUIT_MEDIA_SIZE_MAX)
            {
                return NGX_CONF_OK;
            }
        }

        must = "be given once and be a size up to 1024m";

    } else if (ngx_http_conduit_media_value(value, "fetch=", &s) == NGX_OK) {

        if (media->fetch == NGX_CONF_UNSET) {

            if (ngx_strcmp(s.data, "on") == 0) {
                media->fetch = 1;
                return NGX_CONF_OK;
            }

            if (ngx_strcmp(s.data, "off") == 0) {
                media->fetch = 0;
                return NGX_CONF_OK;
            }
        }

        must = "be given once and be \"on\" or \"off\"";

    } else {
        must = "be url=, ttl=, max_size= or fetch=";
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of conduit_media: it must %s",
                       value, must);

    return NGX_CONF_ERROR;
}


/* it goes into JSON and headers as it stands */

static ngx_int_t
ngx_http_conduit_media_url(ngx_http_conduit_media_t *media, ngx_str_t *s)
{
    u_char  *p, *last;

    last = s->data + s->len;

    if (media->url.data
        || (s->data[0] != '/'
            && ngx_strncmp(s->data, "http://", 7) != 0
            && ngx_strncmp(s->data, "https://", 8) != 0))
    {
        return NGX_ERROR;
    }

    for (p = s->data; p < last; p++) {

        if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '\\' || *p == '<'
            || *p == '>' || *p == '?' || *p == '#')
        {
            return NGX_ERROR;
        }
    }

    if (last[-1] == '/') {
        s->len--;
    }

    media->url = *s;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_media_value(ngx_str_t *value, const char *name, ngx_str_t *s)
{
    size_t  len;

    len = ngx_strlen(name);

    if (ngx_strncmp(value->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    s->data = value->data + len;
    s->len = value->len - len;

    return NGX_OK;
}


void
ngx_http_conduit_media_conf_init(ngx_http_conduit_main_conf_t *cdmcf)
{
    if (cdmcf->media && cdmcf->media->ttl == NGX_CONF_UNSET) {
        cdmcf->media->ttl = ngx_max(cdmcf->task_ttl / 1000, 1);
    }
}
