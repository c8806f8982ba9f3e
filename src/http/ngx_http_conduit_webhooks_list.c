
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_webhooks.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_fresh.h>


/* A page of the key's deliveries, as /v1/tasks is one of its tasks. */


#define NGX_HTTP_CONDUIT_HOOK_LIMIT  20
#define NGX_HTTP_CONDUIT_HOOK_MAX    100


typedef ngx_int_t (*ngx_http_conduit_hook_arg_pt)(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page);

typedef struct {
    ngx_str_t                         name;
    ngx_http_conduit_hook_arg_pt      set;
    const char                       *expected;
} ngx_http_conduit_hook_arg_t;


static ngx_int_t ngx_http_conduit_hook_arg_after(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page);
static ngx_int_t ngx_http_conduit_hook_arg_limit(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page);
static ngx_int_t ngx_http_conduit_hook_arg_order(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page);
static ngx_int_t ngx_http_conduit_hook_arg_status(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page);
static ngx_int_t ngx_http_conduit_hook_arg_task(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page);
static ngx_int_t ngx_http_conduit_webhooks_known(ngx_http_request_t *r,
    ngx_http_conduit_hook_page_t *page);
static ngx_int_t ngx_http_conduit_webhooks_bad(ngx_http_request_t *r,
    ngx_http_conduit_hook_arg_t *arg);
static ngx_int_t ngx_http_conduit_webhooks_page(ngx_http_request_t *r,
    ngx_http_conduit_hook_page_t *page);
static u_char *ngx_http_conduit_webhooks_edge(u_char *p, const char *name,
    ngx_http_conduit_delivery_t *delivery);


static ngx_http_conduit_hook_arg_t  ngx_http_conduit_hook_args[] = {

    { ngx_string("after"), ngx_http_conduit_hook_arg_after,
      "the id of one of your deliveries" },

    { ngx_string("limit"), ngx_http_conduit_hook_arg_limit,
      "a number from 1 to 100" },

    { ngx_string("order"), ngx_http_conduit_hook_arg_order, "asc or desc" },

    { ngx_string("status"), ngx_http_conduit_hook_arg_status,
      "pending, parked, delivered, failed or dropped" },

    { ngx_string("task_id"), ngx_http_conduit_hook_arg_task,
      "the id of a task" }
};

#define NGX_HTTP_CONDUIT_HOOK_ARGS                                            \
    (sizeof(ngx_http_conduit_hook_args) / sizeof(ngx_http_conduit_hook_arg_t))


ngx_int_t
ngx_http_conduit_webhooks_list(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_str_t                      value;
    ngx_uint_t                     i;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_hook_arg_t   *arg;
    ngx_http_conduit_hook_page_t   page;
    ngx_http_conduit_main_conf_t  *cdmcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_conduit_ctx(r);

    ngx_memzero(&page, sizeof(ngx_http_conduit_hook_page_t));

    page.key = ctx->node;
    page.state = -1;
    page.limit = NGX_HTTP_CONDUIT_HOOK_LIMIT;
    page.pool = r->pool;

    for (i = 0; i < NGX_HTTP_CONDUIT_HOOK_ARGS; i++) {
        arg = &ngx_http_conduit_hook_args[i];

        if (ngx_http_arg(r, arg->name.data, arg->name.len, &value) != NGX_OK) {
            continue;
        }

        if (arg->set(&value, &page) != NGX_OK) {
            return ngx_http_conduit_webhooks_bad(r, arg);
        }
    }

    rc = ngx_http_conduit_webhooks_known(r, &page);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_webhook_list(cdmcf, &page);

    if (rc == NGX_DECLINED) {
        return ngx_http_conduit_webhooks_bad(r,
                                             &ngx_http_conduit_hook_args[0]);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_webhooks_page(r, &page);
}


/* what other hosts deliver is asked for */

static ngx_int_t
ngx_http_conduit_webhooks_known(ngx_http_request_t *r,
    ngx_http_conduit_hook_page_t *page)
{
    ngx_http_conduit_name_t  name;

    if (!page->of_task) {
        return ngx_http_conduit_fresh_key(r);
    }

    name.key = page->key;
    name.kind = NGX_HTTP_CONDUIT_ANY;
    ngx_memcpy(name.id, page->task, NGX_HTTP_CONDUIT_ID_LEN);

    return ngx_http_conduit_fresh_task(r, &name);
}


static ngx_int_t
ngx_http_conduit_webhooks_bad(ngx_http_request_t *r,
    ngx_http_conduit_hook_arg_t *arg)
{
    return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                  "invalid_parameter", &arg->name,
                                  "'%V' must be %s", &arg->name,
                                  arg->expected);
}


static ngx_int_t
ngx_http_conduit_webhooks_page(ngx_http_request_t *r,
    ngx_http_conduit_hook_page_t *page)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    text;
    ngx_uint_t   i;

    len = 256;

    for (i = 0; i < page->n; i++) {
        len += ngx_http_conduit_webhooks_size(&page->deliveries[i], 0) + 1;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.data = p;

    p = ngx_http_conduit_put(p, "{\"object\":\"list\",\"data\":[");

    for (i = 0; i < page->n; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_conduit_webhooks_write(p, &page->deliveries[i], 0);
    }

    *p++ = ']';

    p = ngx_http_conduit_webhooks_edge(p, "first_id",
                                       page->n ? &page->deliveries[0] : NULL);
    p = ngx_http_conduit_webhooks_edge(p, "last_id", page->n
                                       ? &page->deliveries[page->n - 1]
                                       : NULL);
    p = ngx_sprintf(p, ",\"has_more\":%s}", page->more ? "true" : "false");

    text.len = p - text.data;

    return ngx_http_conduit_reply(r, NGX_HTTP_OK, &text);
}


static u_char *
ngx_http_conduit_webhooks_edge(u_char *p, const char *name,
    ngx_http_conduit_delivery_t *delivery)
{
    if (delivery == NULL) {
        return ngx_sprintf(p, ",\"%s\":null", name);
    }

    return ngx_sprintf(p, ",\"%s\":\"%*s\"", name,
                       (size_t) CONDUIT_HOOK_ID_LEN, delivery->id);
}


static ngx_int_t
ngx_http_conduit_hook_arg_after(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page)
{
    page->cursor = *value;

    return value->len ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_hook_arg_limit(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n < 1 || n > NGX_HTTP_CONDUIT_HOOK_MAX) {
        return NGX_DECLINED;
    }

    page->limit = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_hook_arg_order(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page)
{
    if (value->len == 3 && ngx_strncmp(value->data, "asc", 3) == 0) {
        page->ascending = 1;
        return NGX_OK;
    }

    if (value->len == 4 && ngx_strncmp(value->data, "desc", 4) == 0) {
        page->ascending = 0;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_hook_arg_status(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page)
{
    ngx_str_t   *word;
    ngx_uint_t   i;

    word = ngx_http_conduit_hook_words;

    for (i = 0; word[i].len; i++) {

        if (word[i].len == value->len
            && ngx_memcmp(word[i].data, value->data, value->len) == 0)
        {
            page->state = i;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* a filter is no lookup: what is no id of a task is that of none */

static ngx_int_t
ngx_http_conduit_hook_arg_task(ngx_str_t *value,
    ngx_http_conduit_hook_page_t *page)
{
    static ngx_str_t  nil = ngx_string("00000000-0000-0000-0000-000000000000");

    page->of_task = 1;

    if (value->len == nil.len
        && ngx_memcmp(value->data, nil.data, nil.len) == 0)
    {
        return NGX_OK;
    }

    if (conduit_uuid_parse(page->task, value->data, value->len) != CONDUIT_OK) {
        ngx_memset(page->task, 0xff, NGX_HTTP_CONDUIT_ID_LEN);
    }

    return NGX_OK;
}
