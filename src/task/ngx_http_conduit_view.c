
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>


/* a document of most tasks fits without asking for its length first */

#define NGX_HTTP_CONDUIT_VIEW_ROOM   1024

/* tasks looked at in one hold of the lock */

#define NGX_HTTP_CONDUIT_LIST_STRIDE  512


static void ngx_http_conduit_view_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_view_t *view);
static ngx_http_conduit_task_node_t *ngx_http_conduit_named_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_name_t *name);
static ngx_int_t ngx_http_conduit_page_read(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_page_t *page,
    ngx_uint_t *resumed);
static ngx_int_t ngx_http_conduit_page_copy(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_page_t *page,
    ngx_uint_t n);
static ngx_uint_t ngx_http_conduit_page_match_locked(
    ngx_http_conduit_page_t *page, ngx_http_conduit_task_node_t *node);


ngx_int_t
ngx_http_conduit_task_view(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_name_t *name, ngx_uint_t flags, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view)
{
    u_char                        *p;
    size_t                         room, need;
    ngx_int_t                      told;
    ngx_uint_t                     prompt;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_sum_t    sum;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    room = NGX_HTTP_CONDUIT_VIEW_ROOM;
    prompt = flags & NGX_HTTP_CONDUIT_VIEW_PROMPT;

    for ( ;; ) {

        p = ngx_pnalloc(pool, room);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_http_conduit_zone_lock(zone);

        node = ngx_http_conduit_named_locked(zone, name);

        if (node == NULL) {
            ngx_http_conduit_zone_unlock(zone);
            return NGX_DECLINED;
        }

        need = node->document.len + NGX_HTTP_CONDUIT_DOCUMENT_HOOK
               + (prompt ? node->prompt_len : 0);

        if (need <= room) {
            break;
        }

        ngx_http_conduit_zone_unlock(zone);

        room = need + 256;
    }

    ngx_http_conduit_view_locked(zone, node, view);

    if (flags & NGX_HTTP_CONDUIT_VIEW_POLL) {
        view->polled = node->polled ? ngx_current_msec - node->polled
                                    : NGX_HTTP_CONDUIT_NEVER;
        node->polled = ngx_current_msec;
    }

    if (flags & NGX_HTTP_CONDUIT_VIEW_STAMP) {
        view->stamp = node->stamp;
        view->begun = node->begun;
        view->updated = node->updated;
    }

    view->document.data = p;
    p = ngx_http_conduit_text_copy_locked(&node->document, p);

    told = node->hooks ? ngx_http_conduit_hook_sum_locked(node, &sum)
                       : NGX_DECLINED;

    view->prompt.len = 0;

    if (prompt) {
        p += NGX_HTTP_CONDUIT_DOCUMENT_HOOK;
        view->prompt.data = p;
        view->prompt.len = node->prompt_len;
        ngx_http_conduit_text_slice_locked(&node->request, p,
                                           node->prompt_off,
                                           node->prompt_len);
    }

    ngx_http_conduit_zone_unlock(zone);

    /* a delivery is no change of its task, so the stored text knows nothing */

    if (told == NGX_OK) {
        ngx_http_conduit_document_told(&view->document, &sum);
    }

    return NGX_OK;
}


static void
ngx_http_conduit_view_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_view_t *view)
{
    ngx_memcpy(view->id, node->id, NGX_HTTP_CONDUIT_ID_LEN);

    view->sequence = node->sequence;
    view->kind = node->kind;
    view->status = node->status;
    view->error_code = node->error_code;
    view->status_off = node->status_off;
    view->position_off = node->position_off;
    view->model_off = node->model_off;
    view->model_len = node->model_len;
    view->error_off = node->error_off;
    view->error_len = node->error_len;
    view->result_off = node->result_off;
    view->result_len = node->result_len;
    view->document.len = node->document.len;
    view->position = ngx_http_conduit_task_position_locked(zone, node);
}


/* that of a copy is the one that its owner has told last */

uint32_t
ngx_http_conduit_task_position_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    if (node->status != CONDUIT_PENDING) {
        return 0;
    }

    if (node->remote) {
        return node->rank.size;
    }

    return node->queued ? ngx_http_conduit_lane_position_locked(zone, node)
                        : 0;
}


static ngx_http_conduit_task_node_t *
ngx_http_conduit_named_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_name_t *name)
{
    ngx_http_conduit_task_node_t  *node;

    node = ngx_http_conduit_node_find_locked(zone, name->id);

    if (node == NULL
        || (name->key && node->key != name->key)
        || (name->kind != NGX_HTTP_CONDUIT_ANY && node->kind != name->kind))
    {
        return NULL;
    }

    return node;
}


ngx_int_t
ngx_http_conduit_task_list(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page)
{
    ngx_int_t   rc;
    ngx_uint_t  resumed;

    page->n = 0;
    page->more = 0;

    page->views = ngx_palloc(page->pool,
                             page->limit * sizeof(ngx_http_conduit_view_t));
    if (page->views == NULL) {
        return NGX_ERROR;
    }

    resumed = 0;

    do {
        rc = ngx_http_conduit_page_read(cdmcf, page, &resumed);
    } while (rc == NGX_AGAIN);

    return rc;
}


/*
 * Walks a stride of the key's tasks.  NGX_AGAIN: the next stride begins after
 * page->id; should that task have gone meanwhile, the page ends there.
 */

static ngx_int_t
ngx_http_conduit_page_read(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page, ngx_uint_t *resumed)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i, n;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    rc = NGX_OK;
    n = page->n;

    ngx_http_conduit_zone_lock(zone);

    node = page->after ? ngx_http_conduit_node_find_locked(zone, page->id)
                       : NULL;

    if (page->after && (node == NULL || node->key != page->key)) {
        ngx_http_conduit_zone_unlock(zone);
        page->more = *resumed;
        return *resumed ? NGX_OK : NGX_DECLINED;
    }

    for (i = 0; /* void */ ; i++) {

        node = ngx_http_conduit_node_next_locked(page->key, node,
                                                 page->ascending);
        if (node == NULL) {
            break;
        }

        if (i == NGX_HTTP_CONDUIT_LIST_STRIDE) {
            rc = NGX_AGAIN;
            break;
        }

        ngx_memcpy(page->id, node->id, NGX_HTTP_CONDUIT_ID_LEN);

        if (ngx_http_conduit_page_match_locked(page, node)) {

            if (n == page->limit) {
                page->more = 1;
                break;
            }

            ngx_memcpy(page->views[n].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            n++;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    page->after = 1;
    *resumed = 1;

    if (ngx_http_conduit_page_copy(cdmcf, page, n) != NGX_OK) {
        return NGX_ERROR;
    }

    return rc;
}


/* the documents are copied one by one: each hold of the lock is short */

static ngx_int_t
ngx_http_conduit_page_copy(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page, ngx_uint_t n)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_http_conduit_name_t  name;

    name.key = page->key;
    name.kind = NGX_HTTP_CONDUIT_ANY;

    for (i = page->n; i < n; i++) {

        ngx_memcpy(name.id, page->views[i].id, NGX_HTTP_CONDUIT_ID_LEN);

        rc = ngx_http_conduit_task_view(cdmcf, &name, 0, page->pool,
                                        &page->views[page->n]);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            page->n++;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_conduit_page_match_locked(ngx_http_conduit_page_t *page,
    ngx_http_conduit_task_node_t *node)
{
    u_char  model[NGX_HTTP_CONDUIT_NAME_LEN * 6 + 2];

    if (page->status >= 0 && node->status != (ngx_uint_t) page->status) {
        return 0;
    }

    if (page->kind != NGX_HTTP_CONDUIT_ANY && node->kind != page->kind) {
        return 0;
    }

    if (page->model.len == 0) {
        return 1;
    }

    if (node->model_len != page->model.len || node->model_len > sizeof(model)) {
        return 0;
    }

    ngx_http_conduit_text_slice_locked(&node->document, model,
                                       node->model_off, node->model_len);

    return ngx_memcmp(model, page->model.data, node->model_len) == 0;
}
