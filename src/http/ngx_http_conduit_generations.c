
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_fresh.h>
#include <ngx_http_conduit_generations.h>
#include <ngx_http_conduit_document.h>
#include <conduit_header.h>


/* what the rest of a path names */

typedef enum {
    NGX_HTTP_CONDUIT_PATH_UNKNOWN,
    NGX_HTTP_CONDUIT_PATH_ROOT,
    NGX_HTTP_CONDUIT_PATH_ASYNC,
    NGX_HTTP_CONDUIT_PATH_TASK,
    NGX_HTTP_CONDUIT_PATH_STATUS,
    NGX_HTTP_CONDUIT_PATH_TASKS,
    NGX_HTTP_CONDUIT_PATH_EVENTS,
    NGX_HTTP_CONDUIT_PATH_CANCEL,
    NGX_HTTP_CONDUIT_PATH_RETRY
} ngx_http_conduit_path_e;


static ngx_http_conduit_path_e ngx_http_conduit_path(ngx_http_request_t *r,
    ngx_str_t *id);
static ngx_uint_t ngx_http_conduit_path_cut(ngx_str_t *s, const char *end,
    size_t len);
static ngx_int_t ngx_http_conduit_path_name(ngx_http_request_t *r,
    ngx_str_t *id, ngx_uint_t kind, ngx_http_conduit_name_t *name);
static ngx_int_t ngx_http_conduit_root(ngx_http_request_t *r,
    ngx_uint_t kind);
static ngx_int_t ngx_http_conduit_one(ngx_http_request_t *r,
    ngx_http_conduit_path_e path, ngx_str_t *id, ngx_uint_t kind);
static ngx_int_t ngx_http_conduit_read(ngx_http_request_t *r,
    ngx_http_conduit_path_e path, ngx_http_conduit_name_t *name);


ngx_int_t
ngx_http_conduit_generations_serve(ngx_http_request_t *r)
{
    ngx_str_t                     id;
    ngx_http_conduit_path_e       path;
    ngx_http_conduit_loc_conf_t  *cdlcf;

    cdlcf = ngx_http_get_module_loc_conf(r, ngx_http_conduit_module);

    path = ngx_http_conduit_path(r, &id);

    switch (path) {

    case NGX_HTTP_CONDUIT_PATH_ROOT:
        return ngx_http_conduit_root(r, cdlcf->kind);

    case NGX_HTTP_CONDUIT_PATH_ASYNC:

        if (r->method != NGX_HTTP_POST) {
            return ngx_http_conduit_not_allowed(r, "POST, OPTIONS");
        }

        return ngx_http_conduit_create_serve(r, 0);

    default:
        return ngx_http_conduit_one(r, path, &id, cdlcf->kind);
    }
}


ngx_int_t
ngx_http_conduit_tasks_serve(ngx_http_request_t *r)
{
    ngx_str_t                id;
    ngx_http_conduit_path_e  path;

    path = ngx_http_conduit_path(r, &id);

    switch (path) {

    case NGX_HTTP_CONDUIT_PATH_ROOT:

        if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
            return ngx_http_conduit_not_allowed(r, "GET, HEAD, OPTIONS");
        }

        return ngx_http_conduit_list_serve(r);

    case NGX_HTTP_CONDUIT_PATH_STATUS:
    case NGX_HTTP_CONDUIT_PATH_TASKS:
        return ngx_http_conduit_not_found(r);

    default:
        return ngx_http_conduit_one(r, path, &id, NGX_HTTP_CONDUIT_ANY);
    }
}


static ngx_int_t
ngx_http_conduit_root(ngx_http_request_t *r, ngx_uint_t kind)
{
    if (r->method != NGX_HTTP_POST) {
        return ngx_http_conduit_not_allowed(r, "POST, OPTIONS");
    }

    if (kind == NGX_HTTP_CONDUIT_VIDEO) {
        return ngx_http_conduit_error(r, NGX_HTTP_NOT_FOUND, "not_found",
                                      NULL, "Videos are made asynchronously: "
                                      "POST to this path followed by /async");
    }

    return ngx_http_conduit_create_serve(r, 1);
}


static ngx_int_t
ngx_http_conduit_one(ngx_http_request_t *r, ngx_http_conduit_path_e path,
    ngx_str_t *id, ngx_uint_t kind)
{
    ngx_int_t                rc;
    ngx_http_conduit_name_t  name;

    if (path == NGX_HTTP_CONDUIT_PATH_UNKNOWN) {
        return ngx_http_conduit_not_found(r);
    }

    /* a wrong method is told before it is told whether the task exists */

    if (path == NGX_HTTP_CONDUIT_PATH_CANCEL
        || path == NGX_HTTP_CONDUIT_PATH_RETRY)
    {
        if (r->method != NGX_HTTP_POST) {
            return ngx_http_conduit_not_allowed(r, "POST, OPTIONS");
        }

    } else if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {

        if (path != NGX_HTTP_CONDUIT_PATH_TASK) {
            return ngx_http_conduit_not_allowed(r, "GET, HEAD, OPTIONS");
        }

        if (r->method != NGX_HTTP_DELETE) {
            return ngx_http_conduit_not_allowed(r,
                                                "GET, HEAD, DELETE, OPTIONS");
        }

        path = NGX_HTTP_CONDUIT_PATH_CANCEL;
    }

    rc = ngx_http_conduit_path_name(r, id, kind, &name);

    if (rc != NGX_OK) {
        return ngx_http_conduit_no_task(r);
    }

    rc = ngx_http_conduit_fresh_task(r, &name);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    switch (path) {

    case NGX_HTTP_CONDUIT_PATH_CANCEL:
        return ngx_http_conduit_cancel_serve(r, &name);

    case NGX_HTTP_CONDUIT_PATH_RETRY:
        return ngx_http_conduit_retry_serve(r, &name);

    default:
        return ngx_http_conduit_read(r, path, &name);
    }
}


static ngx_int_t
ngx_http_conduit_read(ngx_http_request_t *r, ngx_http_conduit_path_e path,
    ngx_http_conduit_name_t *name)
{
    ngx_str_t  *accept;

    switch (path) {

    case NGX_HTTP_CONDUIT_PATH_EVENTS:
        return ngx_http_conduit_events_serve(r, name);

    case NGX_HTTP_CONDUIT_PATH_STATUS:
        return ngx_http_conduit_status_serve(r, name,
                                             NGX_HTTP_CONDUIT_WORDS_STATUS);

    case NGX_HTTP_CONDUIT_PATH_TASKS:
        return ngx_http_conduit_status_serve(r, name,
                                             NGX_HTTP_CONDUIT_WORDS_TASKS);

    default:
        break;
    }

    accept = ngx_http_conduit_header_in(r, "accept", sizeof("accept") - 1);

    if (accept && conduit_accepts_event_stream(accept->data, accept->len)) {
        return ngx_http_conduit_events_serve(r, name);
    }

    return ngx_http_conduit_status_serve(r, name, NGX_HTTP_CONDUIT_WORDS);
}


/* splits what follows the location: the id, and what is wanted of it */

static ngx_http_conduit_path_e
ngx_http_conduit_path(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_http_conduit_path_e  path;

    ngx_http_conduit_rest(r, id);

    if (id->len == 0) {
        return NGX_HTTP_CONDUIT_PATH_ROOT;
    }

    if (id->len == 5 && ngx_strncmp(id->data, "async", 5) == 0) {
        return NGX_HTTP_CONDUIT_PATH_ASYNC;
    }

    path = NGX_HTTP_CONDUIT_PATH_TASK;

    if (id->len > 6 && ngx_strncmp(id->data, "tasks/", 6) == 0) {
        id->data += 6;
        id->len -= 6;
        path = NGX_HTTP_CONDUIT_PATH_TASKS;

    } else if (ngx_http_conduit_path_cut(id, "/status", 7)) {
        path = NGX_HTTP_CONDUIT_PATH_STATUS;

    } else if (ngx_http_conduit_path_cut(id, "/events", 7)) {
        path = NGX_HTTP_CONDUIT_PATH_EVENTS;

    } else if (ngx_http_conduit_path_cut(id, "/cancel", 7)) {
        path = NGX_HTTP_CONDUIT_PATH_CANCEL;

    } else if (ngx_http_conduit_path_cut(id, "/retry", 6)) {
        path = NGX_HTTP_CONDUIT_PATH_RETRY;
    }

    if (ngx_strlchr(id->data, id->data + id->len, '/')) {
        return NGX_HTTP_CONDUIT_PATH_UNKNOWN;
    }

    return path;
}


static ngx_uint_t
ngx_http_conduit_path_cut(ngx_str_t *s, const char *end, size_t len)
{
    if (s->len <= len || ngx_memcmp(s->data + s->len - len, end, len) != 0) {
        return 0;
    }

    s->len -= len;

    return 1;
}


static ngx_int_t
ngx_http_conduit_path_name(ngx_http_request_t *r, ngx_str_t *id,
    ngx_uint_t kind, ngx_http_conduit_name_t *name)
{
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);

    name->key = ctx->node;
    name->kind = kind;

    if (conduit_uuid_parse(name->id, id->data, id->len) != CONDUIT_OK) {
        return NGX_DECLINED;
    }

    ngx_memcpy(ctx->task_id, id->data, CONDUIT_UUID_LEN);
    ctx->named = 1;

    return NGX_OK;
}
