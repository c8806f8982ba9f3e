
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>
#include <ngx_http_conduit_generations.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_watch.h>


#define NGX_HTTP_CONDUIT_LIST_LIMIT  20
#define NGX_HTTP_CONDUIT_LIST_MAX    100


typedef struct {
    ngx_http_request_t               *request;
    ngx_http_conduit_page_t           page;
    ngx_http_conduit_waiter_t         waiter;
} ngx_http_conduit_listing_t;


typedef ngx_int_t (*ngx_http_conduit_arg_pt)(ngx_str_t *value,
    ngx_http_conduit_page_t *page);

typedef struct {
    ngx_str_t                         name;
    ngx_http_conduit_arg_pt           set;
    const char                       *expected;
} ngx_http_conduit_arg_t;


static ngx_int_t ngx_http_conduit_arg_limit(ngx_str_t *value,
    ngx_http_conduit_page_t *page);
static ngx_int_t ngx_http_conduit_arg_status(ngx_str_t *value,
    ngx_http_conduit_page_t *page);
static ngx_int_t ngx_http_conduit_arg_type(ngx_str_t *value,
    ngx_http_conduit_page_t *page);
static ngx_int_t ngx_http_conduit_arg_order(ngx_str_t *value,
    ngx_http_conduit_page_t *page);
static ngx_int_t ngx_http_conduit_arg_after(ngx_str_t *value,
    ngx_http_conduit_page_t *page);
static ngx_int_t ngx_http_conduit_arg_model(ngx_str_t *value,
    ngx_http_conduit_page_t *page);
static ngx_int_t ngx_http_conduit_list_args(ngx_http_request_t *r,
    ngx_http_conduit_page_t *page);
static void ngx_http_conduit_list_resume(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_conduit_list_answer(
    ngx_http_conduit_listing_t *listing, ngx_int_t rc);
static void ngx_http_conduit_list_cleanup(void *data);
static ngx_int_t ngx_http_conduit_list_bad(ngx_http_request_t *r,
    ngx_http_conduit_arg_t *arg);
static ngx_int_t ngx_http_conduit_list_send(ngx_http_request_t *r,
    ngx_http_conduit_page_t *page);
static u_char *ngx_http_conduit_list_id(u_char *p, const char *name,
    ngx_http_conduit_view_t *view);


static ngx_http_conduit_arg_t  ngx_http_conduit_args[] = {

    { ngx_string("limit"), ngx_http_conduit_arg_limit,
      "a number from 1 to 100" },

    { ngx_string("status"), ngx_http_conduit_arg_status,
      "pending, processing, completed, failed or cancelled" },

    { ngx_string("type"), ngx_http_conduit_arg_type, "image or video" },

    { ngx_string("order"), ngx_http_conduit_arg_order, "asc or desc" },

    { ngx_string("after"), ngx_http_conduit_arg_after,
      "the id of one of your tasks" },

    { ngx_string("model"), ngx_http_conduit_arg_model, "the name of a model" }
};

#define NGX_HTTP_CONDUIT_ARGS                                                 \
    (sizeof(ngx_http_conduit_args) / sizeof(ngx_http_conduit_arg_t))


ngx_int_t
ngx_http_conduit_list_serve(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_cleanup_t            *cln;
    ngx_http_conduit_ctx_t        *ctx;
    ngx_http_conduit_listing_t    *listing;
    ngx_http_conduit_main_conf_t  *cdmcf;

    ctx = ngx_http_conduit_ctx(r);
    ctx->endpoint = NGX_HTTP_CONDUIT_EP_LIST;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_conduit_listing_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    listing = cln->data;
    ngx_memzero(listing, sizeof(ngx_http_conduit_listing_t));

    listing->request = r;
    listing->page.key = ctx->node;
    listing->page.pool = r->pool;
    listing->waiter.handler = ngx_http_conduit_list_resume;
    listing->waiter.data = listing;

    cln->handler = ngx_http_conduit_list_cleanup;

    rc = ngx_http_conduit_list_args(r, &listing->page);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    rc = ngx_http_conduit_watch_page(cdmcf, &listing->page, &listing->waiter);

    if (rc == NGX_AGAIN) {
        r->main->count++;

        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;

        return NGX_DONE;
    }

    return ngx_http_conduit_list_answer(listing, rc);
}


static void
ngx_http_conduit_list_resume(void *data, ngx_int_t rc)
{
    ngx_http_conduit_listing_t  *listing = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = listing->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;

    rc = ngx_http_conduit_list_answer(listing, rc);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_list_cleanup(void *data)
{
    ngx_http_conduit_listing_t  *listing = data;

    ngx_http_conduit_watch_leave(&listing->waiter);
}


static ngx_int_t
ngx_http_conduit_list_answer(ngx_http_conduit_listing_t *listing,
    ngx_int_t rc)
{
    ngx_http_request_t            *r;
    ngx_http_conduit_main_conf_t  *cdmcf;

    r = listing->request;

    if (rc == NGX_OK) {
        return ngx_http_conduit_list_send(r, &listing->page);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_conduit_list_bad(r, &ngx_http_conduit_args[4]);
    }

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    /* other hosts would have to be asked, and cannot be */

    return ngx_http_conduit_watch_shared(cdmcf)
           ? ngx_http_conduit_create_refused(r, NGX_HTTP_CONDUIT_UNKEPT)
           : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* NGX_DECLINED: all are good */

static ngx_int_t
ngx_http_conduit_list_args(ngx_http_request_t *r,
    ngx_http_conduit_page_t *page)
{
    ngx_int_t                rc;
    ngx_str_t                value;
    ngx_uint_t               i;
    ngx_http_conduit_arg_t  *arg;

    page->status = -1;
    page->kind = NGX_HTTP_CONDUIT_ANY;
    page->limit = NGX_HTTP_CONDUIT_LIST_LIMIT;

    for (i = 0; i < NGX_HTTP_CONDUIT_ARGS; i++) {
        arg = &ngx_http_conduit_args[i];

        if (ngx_http_arg(r, arg->name.data, arg->name.len, &value) != NGX_OK) {
            continue;
        }

        rc = arg->set(&value, page);

        if (rc == NGX_DECLINED) {
            return ngx_http_conduit_list_bad(r, arg);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_conduit_list_bad(ngx_http_request_t *r, ngx_http_conduit_arg_t *arg)
{
    return ngx_http_conduit_error(r, NGX_HTTP_BAD_REQUEST,
                                  "invalid_parameter", &arg->name,
                                  "'%V' must be %s", &arg->name,
                                  arg->expected);
}


static ngx_int_t
ngx_http_conduit_list_send(ngx_http_request_t *r,
    ngx_http_conduit_page_t *page)
{
    u_char                   *p;
    size_t                    len;
    ngx_str_t                 text, *documents;
    ngx_uint_t                i;
    ngx_http_conduit_view_t  *first, *last;

    documents = ngx_palloc(r->pool, (page->n + 1) * sizeof(ngx_str_t));
    if (documents == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = 256;

    for (i = 0; i < page->n; i++) {

        if (ngx_http_conduit_document_render(&page->views[i],
                                             NGX_HTTP_CONDUIT_WORDS, r->pool,
                                             &documents[i])
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        len += documents[i].len + 1;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.data = p;
    p = ngx_sprintf(p, "{\"object\":\"list\",\"data\":[");

    for (i = 0; i < page->n; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, documents[i].data, documents[i].len);
    }

    first = page->n ? &page->views[0] : NULL;
    last = page->n ? &page->views[page->n - 1] : NULL;

    *p++ = ']';
    p = ngx_http_conduit_list_id(p, "first_id", first);
    p = ngx_http_conduit_list_id(p, "last_id", last);
    p = ngx_sprintf(p, ",\"has_more\":%s}", page->more ? "true" : "false");

    text.len = p - text.data;

    return ngx_http_conduit_reply(r, NGX_HTTP_OK, &text);
}


static u_char *
ngx_http_conduit_list_id(u_char *p, const char *name,
    ngx_http_conduit_view_t *view)
{
    p = ngx_sprintf(p, ",\"%s\":", name);

    if (view == NULL) {
        return ngx_cpymem(p, "null", 4);
    }

    *p++ = '"';
    conduit_uuid_write(p, view->id);
    p += CONDUIT_UUID_LEN;
    *p++ = '"';

    return p;
}


static ngx_int_t
ngx_http_conduit_arg_limit(ngx_str_t *value, ngx_http_conduit_page_t *page)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n < 1 || n > NGX_HTTP_CONDUIT_LIST_MAX) {
        return NGX_DECLINED;
    }

    page->limit = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_arg_status(ngx_str_t *value, ngx_http_conduit_page_t *page)
{
    conduit_status_e  status;

    if (conduit_status_parse(value->data, value->len, &status) != CONDUIT_OK) {
        return NGX_DECLINED;
    }

    page->status = status;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_arg_type(ngx_str_t *value, ngx_http_conduit_page_t *page)
{
    conduit_kind_e  kind;

    if (conduit_kind_parse(value->data, value->len, &kind) != CONDUIT_OK) {
        return NGX_DECLINED;
    }

    page->kind = kind;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_arg_order(ngx_str_t *value, ngx_http_conduit_page_t *page)
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
ngx_http_conduit_arg_after(ngx_str_t *value, ngx_http_conduit_page_t *page)
{
    if (conduit_uuid_parse(page->id, value->data, value->len) != CONDUIT_OK) {
        return NGX_DECLINED;
    }

    page->after = 1;

    return NGX_OK;
}


/* models are compared by their JSON text, as it stands in documents */

static ngx_int_t
ngx_http_conduit_arg_model(ngx_str_t *value, ngx_http_conduit_page_t *page)
{
    u_char  *p, *src, *dst;

    if (value->len == 0) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(page->pool, value->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    page->model.data = p;

    *p++ = '"';

    src = value->data;
    dst = p;
    ngx_unescape_uri(&dst, &src, value->len, 0);

    *dst++ = '"';

    page->model.len = dst - page->model.data;

    return NGX_OK;
}
