
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>
#include <ngx_http_conduit_document.h>


/*
 * SubscribeToAllTasks.  A key's tasks stand in the order of their changes, and
 * each change has a stamp: a connection remembers the last stamp it was told,
 * and what stands behind it is what it does not know yet.
 */


/* changes looked at in one hold of the lock */

#define NGX_HTTP_CONDUIT_HUB_STRIDE      64

/* unfinished tasks that are told at the begin; or what has changed lately */

#define NGX_HTTP_CONDUIT_HUB_UNFINISHED  1000


static void ngx_http_conduit_hub_all_watcher(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_hub_all_run(ngx_http_conduit_hub_key_t *key);
static ngx_uint_t ngx_http_conduit_hub_all_least(
    ngx_http_conduit_hub_key_t *key, uint64_t *seen);
static void ngx_http_conduit_hub_all_change(ngx_http_conduit_hub_key_t *key,
    ngx_http_conduit_hub_conn_t *only, ngx_http_conduit_changed_t *changed);
static void ngx_http_conduit_hub_all_tell(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_news_t *news);


ngx_int_t
ngx_http_conduit_hub_subscribe_all(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t events)
{
    ngx_http_conduit_hub_key_t  *key;

    key = conn->key;

    if (!key->watcher.added) {

        key->watcher.handler = ngx_http_conduit_hub_all_watcher;
        key->watcher.data = key;

        if (ngx_http_conduit_watch_key(conn->hub->cdmcf, &key->watcher,
                                       key->node)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (!conn->all_subs) {
        ngx_queue_insert_tail(&key->all, &conn->all);
        conn->all_subs = 1;
    }

    conn->events = (u_char) events;

    return NGX_OK;
}


void
ngx_http_conduit_hub_unsubscribe_all(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_key_t  *key;

    if (!conn->all_subs) {
        return;
    }

    key = conn->key;

    ngx_queue_remove(&conn->all);
    conn->all_subs = 0;

    ngx_http_conduit_hub_lately_free(conn);

    if (ngx_queue_empty(&key->all)) {
        ngx_http_conduit_watch_del(conn->hub->cdmcf, &key->watcher);
    }
}


/* the tasks that run at the begin; what changes from now on comes by itself */

ngx_int_t
ngx_http_conduit_hub_all_begin(ngx_http_conduit_hub_conn_t *conn)
{
    uint64_t                     stamp;
    ngx_uint_t                   i, n;
    ngx_http_conduit_changed_t  *changed;

    changed = ngx_alloc(NGX_HTTP_CONDUIT_HUB_UNFINISHED
                        * sizeof(ngx_http_conduit_changed_t), conn->hub->log);
    if (changed == NULL) {
        return NGX_ERROR;
    }

    n = ngx_http_conduit_task_unfinished(conn->hub->cdmcf, conn->key->node,
                                         changed,
                                         NGX_HTTP_CONDUIT_HUB_UNFINISHED,
                                         &stamp);

    conn->seen = 0;

    for (i = n; i > 0; i--) {
        ngx_http_conduit_hub_all_change(conn->key, conn, &changed[i - 1]);
    }

    conn->seen = stamp;
    conn->sure = stamp;

    ngx_free(changed);

    return NGX_OK;
}


/* at another host: what may have changed meanwhile, but for what was told */

ngx_int_t
ngx_http_conduit_hub_all_resume(ngx_http_conduit_hub_conn_t *conn)
{
    uint64_t                     stamp;
    ngx_int_t                    rc;
    ngx_uint_t                   i, n;
    ngx_http_conduit_changed_t  *changed;

    changed = ngx_alloc(NGX_HTTP_CONDUIT_HUB_UNFINISHED
                        * sizeof(ngx_http_conduit_changed_t), conn->hub->log);
    if (changed == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    do {
        n = ngx_http_conduit_task_since(conn->hub->cdmcf, conn->key->node,
                                        conn->seen, conn->since, changed,
                                        NGX_HTTP_CONDUIT_HUB_UNFINISHED,
                                        &stamp);

        for (i = 0; i < n; i++) {

            if (!ngx_http_conduit_hub_free_room(conn)) {
                rc = NGX_AGAIN;
                break;
            }

            ngx_http_conduit_hub_all_change(conn->key, conn, &changed[i]);
            conn->seen = changed[i].stamp;
        }

    } while (rc == NGX_OK && n == NGX_HTTP_CONDUIT_HUB_UNFINISHED);

    if (rc == NGX_OK) {
        conn->seen = stamp;
        conn->sure = stamp;

        ngx_http_conduit_hub_lately_prune(conn);
    }

    ngx_free(changed);

    return rc;
}


void
ngx_http_conduit_hub_all_look(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_http_conduit_hub_all_run(conn->key);
}


static void
ngx_http_conduit_hub_all_watcher(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_hub_all_run(w->data);
}


/* sending ends no connection at once: the list stays as it is */

static void
ngx_http_conduit_hub_all_run(ngx_http_conduit_hub_key_t *key)
{
    uint64_t                    seen;
    ngx_uint_t                  i, n;
    ngx_http_conduit_changed_t  changed[NGX_HTTP_CONDUIT_HUB_STRIDE];

    seen = 0;

    while (ngx_http_conduit_hub_all_least(key, &seen)) {

        n = ngx_http_conduit_task_changes(key->hub->cdmcf, key->node, seen,
                                          changed,
                                          NGX_HTTP_CONDUIT_HUB_STRIDE);

        for (i = 0; i < n; i++) {
            ngx_http_conduit_hub_all_change(key, NULL, &changed[i]);
        }

        if (n < NGX_HTTP_CONDUIT_HUB_STRIDE) {
            break;
        }
    }
}


/* where to begin; the slow ones go on when they have read */

static ngx_uint_t
ngx_http_conduit_hub_all_least(ngx_http_conduit_hub_key_t *key, uint64_t *seen)
{
    ngx_uint_t                    found;
    ngx_queue_t                  *q;
    ngx_http_conduit_hub_conn_t  *conn;

    found = 0;

    for (q = ngx_queue_head(&key->all);
         q != ngx_queue_sentinel(&key->all);
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_conduit_hub_conn_t, all);

        /* one from another host goes on by itself first */

        if (conn->roams) {
            continue;
        }

        if (!ngx_http_conduit_hub_free_room(conn)) {
            conn->behind_all = 1;
            continue;
        }

        conn->behind_all = 0;

        if (!found || conn->seen < *seen) {
            *seen = conn->seen;
            found = 1;
        }
    }

    return found;
}


/* a task that has changed again since is told in its new place */

static void
ngx_http_conduit_hub_all_change(ngx_http_conduit_hub_key_t *key,
    ngx_http_conduit_hub_conn_t *only, ngx_http_conduit_changed_t *changed)
{
    ngx_int_t                     rc;
    ngx_pool_t                   *pool;
    ngx_queue_t                  *q;
    ngx_http_conduit_name_t       name;
    ngx_http_conduit_view_t       view;
    ngx_http_conduit_hub_conn_t  *conn;
    ngx_http_conduit_hub_news_t   news;

    pool = key->hub->pool;

    name.key = key->node;
    name.kind = NGX_HTTP_CONDUIT_ANY;
    ngx_memcpy(name.id, changed->id, NGX_HTTP_CONDUIT_ID_LEN);

    rc = ngx_http_conduit_task_view(key->hub->cdmcf, &name,
                                    NGX_HTTP_CONDUIT_VIEW_STAMP, pool, &view);

    if (rc == NGX_ERROR) {
        ngx_reset_pool(pool);
        return;
    }

    ngx_http_conduit_hub_news_init(&news, key->hub, pool, &view);
    news.replay = (only != NULL);

    for (q = ngx_queue_head(&key->all);
         q != ngx_queue_sentinel(&key->all);
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_conduit_hub_conn_t, all);

        if (conn->behind_all || (only ? conn != only : conn->roams)
            || conn->seen >= changed->stamp)
        {
            continue;
        }

        if (rc == NGX_OK && view.stamp == changed->stamp) {

            if (!ngx_http_conduit_hub_free_room(conn)) {
                conn->behind_all = 1;
                continue;
            }

            ngx_http_conduit_hub_all_tell(conn, &news);
        }

        if (only == NULL) {
            conn->seen = changed->stamp;
        }
    }

    ngx_http_conduit_hub_news_free(&news);
    ngx_reset_pool(pool);
}


static void
ngx_http_conduit_hub_all_tell(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_news_t *news)
{
    unsigned                  told;
    ngx_uint_t                events;
    ngx_http_conduit_view_t  *view;

    view = news->view;

    /* one who has subscribed to the task itself is told already */

    if ((conn->kind != NGX_HTTP_CONDUIT_ANY && conn->kind != view->kind)
        || ngx_http_conduit_hub_subscribed(conn, view->id))
    {
        return;
    }

    told = (view->begun && conn->seen >= view->begun) ? CONDUIT_HOOK_STARTED
                                                      : 0;

    if (conn->lately && ngx_http_conduit_hub_lately(conn, view, &told)) {
        return;
    }

    events = conduit_hub_due(&told, view->status) & conn->events;

    conn->told = ngx_current_msec;

    ngx_http_conduit_hub_news_send(news, conn, events);

    if (conn->roams) {
        ngx_http_conduit_hub_lately_told(conn, view, told);
    }
}
