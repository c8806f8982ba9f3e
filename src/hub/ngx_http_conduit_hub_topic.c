
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>
#include <ngx_http_conduit_document.h>


/*
 * A topic is a task that somebody here is subscribed to.  When the task has
 * changed it is read once, and each event is rendered once for each protocol.
 */


static ngx_http_conduit_hub_topic_t *ngx_http_conduit_hub_topic_find(
    ngx_http_conduit_hub_t *hub, u_char *id);
static ngx_http_conduit_hub_topic_t *ngx_http_conduit_hub_topic_create(
    ngx_http_conduit_hub_conn_t *conn, u_char *id);
static void ngx_http_conduit_hub_topic_release(
    ngx_http_conduit_hub_topic_t *topic);
static void ngx_http_conduit_hub_topic_watcher(ngx_http_conduit_watcher_t *w);
static void ngx_http_conduit_hub_topic_ahead(ngx_http_conduit_watcher_t *w,
    ngx_uint_t next);
static void ngx_http_conduit_hub_topic_tell(
    ngx_http_conduit_hub_topic_t *topic, ngx_http_conduit_hub_sub_t *only);
static void ngx_http_conduit_hub_topic_gone(
    ngx_http_conduit_hub_topic_t *topic);
static void ngx_http_conduit_hub_sub_tell(ngx_http_conduit_hub_sub_t *sub,
    ngx_http_conduit_hub_news_t *news);
static ngx_http_conduit_hub_sub_t *ngx_http_conduit_hub_sub_find(
    ngx_http_conduit_hub_conn_t *conn, ngx_http_conduit_hub_topic_t *topic);
static void ngx_http_conduit_hub_sub_free(ngx_http_conduit_hub_sub_t *sub);


ngx_int_t
ngx_http_conduit_hub_subscribe(ngx_http_conduit_hub_conn_t *conn, u_char *id,
    ngx_uint_t events, ngx_http_conduit_hub_sub_t **subp)
{
    ngx_http_conduit_name_t        name;
    ngx_http_conduit_hub_sub_t    *sub;
    ngx_http_conduit_hub_topic_t  *topic;

    name.key = conn->key->node;
    name.kind = conn->kind;
    ngx_memcpy(name.id, id, NGX_HTTP_CONDUIT_ID_LEN);

    if (!ngx_http_conduit_task_exists(conn->hub->cdmcf, &name)) {
        return NGX_DECLINED;
    }

    topic = ngx_http_conduit_hub_topic_find(conn->hub, id);

    sub = topic ? ngx_http_conduit_hub_sub_find(conn, topic) : NULL;

    if (sub) {

        /* once more: the state is told anew */

        sub->events = (u_char) events;
        sub->sequence = 0;
        sub->told = 0;
        *subp = sub;

        return NGX_OK;
    }

    if (conn->nsubs >= NGX_HTTP_CONDUIT_HUB_SUBS) {
        return NGX_BUSY;
    }

    sub = ngx_calloc(sizeof(ngx_http_conduit_hub_sub_t), conn->hub->log);
    if (sub == NULL) {
        return NGX_ERROR;
    }

    if (topic == NULL) {
        topic = ngx_http_conduit_hub_topic_create(conn, id);

        if (topic == NULL) {
            ngx_free(sub);
            return NGX_ERROR;
        }
    }

    sub->conn = conn;
    sub->topic = topic;
    sub->events = (u_char) events;

    ngx_queue_insert_tail(&topic->subs, &sub->queue);
    ngx_queue_insert_tail(&conn->subs, &sub->siblings);
    conn->nsubs++;

    *subp = sub;

    return NGX_OK;
}


void
ngx_http_conduit_hub_unsubscribe(ngx_http_conduit_hub_conn_t *conn, u_char *id)
{
    ngx_http_conduit_hub_sub_t    *sub;
    ngx_http_conduit_hub_topic_t  *topic;

    topic = ngx_http_conduit_hub_topic_find(conn->hub, id);

    sub = topic ? ngx_http_conduit_hub_sub_find(conn, topic) : NULL;

    if (sub) {
        ngx_http_conduit_hub_sub_free(sub);
    }
}


void
ngx_http_conduit_hub_subs_free(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_queue_t  *q, *next;

    ngx_http_conduit_hub_unsubscribe_all(conn);

    for (q = ngx_queue_head(&conn->subs);
         q != ngx_queue_sentinel(&conn->subs);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_http_conduit_hub_sub_free(
                  ngx_queue_data(q, ngx_http_conduit_hub_sub_t, siblings));
    }
}


ngx_uint_t
ngx_http_conduit_hub_subscribed(ngx_http_conduit_hub_conn_t *conn, u_char *id)
{
    ngx_http_conduit_hub_topic_t  *topic;

    if (conn->nsubs == 0) {
        return 0;
    }

    topic = ngx_http_conduit_hub_topic_find(conn->hub, id);

    return topic && ngx_http_conduit_hub_sub_find(conn, topic);
}


void
ngx_http_conduit_hub_sub_look(ngx_http_conduit_hub_sub_t *sub)
{
    ngx_http_conduit_hub_topic_tell(sub->topic, sub);
}


/* what a client has missed while it did not read: the latest of each task */

void
ngx_http_conduit_hub_drained(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_queue_t                 *q, *next;
    ngx_http_conduit_hub_sub_t  *sub;

    if (conn->state != NGX_HTTP_CONDUIT_HUB_OPEN || conn->failed) {
        return;
    }

    if (conn->behind) {
        conn->behind = 0;

        for (q = ngx_queue_head(&conn->subs);
             q != ngx_queue_sentinel(&conn->subs);
             q = next)
        {
            next = ngx_queue_next(q);
            sub = ngx_queue_data(q, ngx_http_conduit_hub_sub_t, siblings);

            if (sub->behind) {
                sub->behind = 0;
                ngx_http_conduit_hub_sub_look(sub);
            }
        }
    }

    if (conn->behind_all) {
        conn->behind_all = 0;
        ngx_http_conduit_hub_all_look(conn);
    }
}


static ngx_http_conduit_hub_topic_t *
ngx_http_conduit_hub_topic_find(ngx_http_conduit_hub_t *hub, u_char *id)
{
    return (ngx_http_conduit_hub_topic_t *)
               ngx_http_conduit_index_find(&hub->topics, id);
}


static ngx_http_conduit_hub_topic_t *
ngx_http_conduit_hub_topic_create(ngx_http_conduit_hub_conn_t *conn,
    u_char *id)
{
    ngx_http_conduit_hub_t        *hub;
    ngx_http_conduit_hub_topic_t  *topic;

    hub = conn->hub;

    topic = ngx_calloc(sizeof(ngx_http_conduit_hub_topic_t), hub->log);
    if (topic == NULL) {
        return NULL;
    }

    topic->hub = hub;
    topic->key = conn->key->node;

    ngx_queue_init(&topic->subs);

    ngx_memcpy(topic->watcher.id, id, NGX_HTTP_CONDUIT_ID_LEN);
    topic->watcher.handler = ngx_http_conduit_hub_topic_watcher;
    topic->watcher.ahead = ngx_http_conduit_hub_topic_ahead;
    topic->watcher.data = topic;

    if (ngx_http_conduit_watch_add(hub->cdmcf, &topic->watcher) != NGX_OK) {
        ngx_free(topic);
        return NULL;
    }

    ngx_memcpy(topic->entry.id, id, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_http_conduit_index_add(&hub->topics, &topic->entry);

    return topic;
}


static void
ngx_http_conduit_hub_topic_release(ngx_http_conduit_hub_topic_t *topic)
{
    if (topic->busy || !ngx_queue_empty(&topic->subs)) {
        return;
    }

    ngx_http_conduit_watch_del(topic->hub->cdmcf, &topic->watcher);
    ngx_http_conduit_index_remove(&topic->hub->topics, &topic->entry);
    ngx_free(topic);
}


static void
ngx_http_conduit_hub_topic_watcher(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_hub_topic_tell(w->data, NULL);
}


/* most topics have one subscription, which names the connection */

static void
ngx_http_conduit_hub_topic_ahead(ngx_http_conduit_watcher_t *w,
    ngx_uint_t next)
{
    u_char                        *p;
    ngx_http_conduit_hub_sub_t    *sub;
    ngx_http_conduit_hub_topic_t  *topic;

    topic = w->data;

    if (ngx_queue_empty(&topic->subs)) {
        return;
    }

    sub = ngx_queue_data(ngx_queue_head(&topic->subs),
                         ngx_http_conduit_hub_sub_t, queue);

    p = next ? (u_char *) sub->conn : (u_char *) sub;

    __builtin_prefetch(p);
    __builtin_prefetch(p + 64);
}


/* one subscription, or all of the topic; may end the topic */

static void
ngx_http_conduit_hub_topic_tell(ngx_http_conduit_hub_topic_t *topic,
    ngx_http_conduit_hub_sub_t *only)
{
    ngx_int_t                     rc;
    ngx_pool_t                   *pool;
    ngx_queue_t                  *q;
    ngx_http_conduit_name_t       name;
    ngx_http_conduit_view_t       view;
    ngx_http_conduit_hub_news_t   news;

    pool = topic->hub->pool;

    name.key = topic->key;
    name.kind = NGX_HTTP_CONDUIT_ANY;
    ngx_memcpy(name.id, topic->watcher.id, NGX_HTTP_CONDUIT_ID_LEN);

    rc = ngx_http_conduit_task_view(topic->hub->cdmcf, &name,
                                    NGX_HTTP_CONDUIT_VIEW_STAMP, pool, &view);

    if (rc == NGX_OK) {

        ngx_http_conduit_hub_news_init(&news, topic->hub, pool, &view);

        if (only) {
            news.replay = 1;
            ngx_http_conduit_hub_sub_tell(only, &news);

        } else {

            /* sending frees no subscription, failed connections end later */

            for (q = ngx_queue_head(&topic->subs);
                 q != ngx_queue_sentinel(&topic->subs);
                 q = ngx_queue_next(q))
            {
                ngx_http_conduit_hub_sub_tell(
                     ngx_queue_data(q, ngx_http_conduit_hub_sub_t, queue),
                     &news);
            }
        }

        ngx_http_conduit_hub_news_free(&news);
    }

    ngx_reset_pool(pool);

    if (rc == NGX_DECLINED) {
        ngx_http_conduit_hub_topic_gone(topic);
    }
}


/* the task has expired: there is nothing more to tell of it */

static void
ngx_http_conduit_hub_topic_gone(ngx_http_conduit_hub_topic_t *topic)
{
    ngx_queue_t  *q, *next;

    topic->busy = 1;

    for (q = ngx_queue_head(&topic->subs);
         q != ngx_queue_sentinel(&topic->subs);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_http_conduit_hub_sub_free(
                     ngx_queue_data(q, ngx_http_conduit_hub_sub_t, queue));
    }

    topic->busy = 0;

    ngx_http_conduit_hub_topic_release(topic);
}


static void
ngx_http_conduit_hub_sub_tell(ngx_http_conduit_hub_sub_t *sub,
    ngx_http_conduit_hub_news_t *news)
{
    ngx_uint_t                    hooks;
    ngx_http_conduit_hub_conn_t  *conn;

    conn = sub->conn;

    if (sub->sequence >= news->view->sequence) {
        return;
    }

    if (!ngx_http_conduit_hub_free_room(conn)) {

        if (!sub->behind) {
            sub->behind = 1;
            conn->behind = 1;
        }

        (void) ngx_atomic_fetch_add(
                      &conn->hub->cdmcf->zone.sh->counters.hub_skipped, 1);
        return;
    }

    sub->behind = 0;
    sub->sequence = news->view->sequence;
    sub->at = ngx_current_msec;

    hooks = conduit_hub_due(&sub->told, news->view->status) & sub->events;

    ngx_http_conduit_hub_news_send(news, conn, hooks);
}


static ngx_http_conduit_hub_sub_t *
ngx_http_conduit_hub_sub_find(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_topic_t *topic)
{
    ngx_queue_t                 *a, *b;
    ngx_http_conduit_hub_sub_t  *sub;

    /* both lists together, until the shorter one has ended */

    a = ngx_queue_head(&conn->subs);
    b = ngx_queue_head(&topic->subs);

    while (a != ngx_queue_sentinel(&conn->subs)
           && b != ngx_queue_sentinel(&topic->subs))
    {
        sub = ngx_queue_data(a, ngx_http_conduit_hub_sub_t, siblings);

        if (sub->topic == topic) {
            return sub;
        }

        sub = ngx_queue_data(b, ngx_http_conduit_hub_sub_t, queue);

        if (sub->conn == conn) {
            return sub;
        }

        a = ngx_queue_next(a);
        b = ngx_queue_next(b);
    }

    return NULL;
}


static void
ngx_http_conduit_hub_sub_free(ngx_http_conduit_hub_sub_t *sub)
{
    ngx_http_conduit_hub_topic_t  *topic;

    topic = sub->topic;

    ngx_queue_remove(&sub->queue);
    ngx_queue_remove(&sub->siblings);
    sub->conn->nsubs--;

    ngx_free(sub);

    ngx_http_conduit_hub_topic_release(topic);
}
