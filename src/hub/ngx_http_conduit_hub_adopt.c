
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>
#include <ngx_http_conduit_engine.h>


/*
 * What comes from another host: a predecessor that is sought there, what was
 * told of all tasks, and subscriptions to tasks that this host has to get to
 * know first.
 */


/* Redis cannot be asked, or the client has to read first; ms */

#define NGX_HTTP_CONDUIT_HUB_AGAIN    500

/*
 * A task that Redis does not know has been forgotten, or Redis has lost it and
 * its owner puts it again: it is asked for in these steps for so long; ms
 */

#define NGX_HTTP_CONDUIT_HUB_UNKNOWN  2000
#define NGX_HTTP_CONDUIT_HUB_OWES     60000

/* what was told of so many tasks is kept at most */

#define NGX_HTTP_CONDUIT_HUB_LATELY   2000

/* for as long as a predecessor is kept */

#define NGX_HTTP_CONDUIT_HUB_SEEKS    100


typedef struct {
    ngx_queue_t                       queue;       /* conn->owed */
    ngx_http_conduit_hub_conn_t      *conn;
    ngx_http_conduit_waiter_t         waiter;
    ngx_event_t                       timer;       /* to ask again */
    ngx_msec_t                        begun;
    ngx_uint_t                        all;
    conduit_session_sub_t             kept;
} ngx_http_conduit_hub_owed_t;


static void ngx_http_conduit_hub_found(void *data, ngx_int_t rc);
static void ngx_http_conduit_hub_seek_again(ngx_event_t *ev);
static ngx_int_t ngx_http_conduit_hub_owed_ask(
    ngx_http_conduit_hub_owed_t *owed);
static void ngx_http_conduit_hub_owed_known(void *data, ngx_int_t rc);
static void ngx_http_conduit_hub_owed_again(ngx_event_t *ev);
static ngx_int_t ngx_http_conduit_hub_owed_paid(
    ngx_http_conduit_hub_owed_t *owed);
static ngx_int_t ngx_http_conduit_hub_owed_pay(
    ngx_http_conduit_hub_owed_t *owed);
static ngx_int_t ngx_http_conduit_hub_owed_pay_all(
    ngx_http_conduit_hub_owed_t *owed);
static void ngx_http_conduit_hub_owed_remove(
    ngx_http_conduit_hub_owed_t *owed);


/* what another host had is in the zone afterwards */

ngx_int_t
ngx_http_conduit_hub_seek(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_int_t                         rc;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_hub_quest_t     *quest;
    ngx_http_conduit_session_want_t   want;

    cdmcf = conn->hub->cdmcf;

    if (conn->sought == NGX_HTTP_CONDUIT_HUB_SEEKS || !conn->named
        || !ngx_http_conduit_watch_shared(cdmcf))
    {
        return NGX_DECLINED;
    }

    conn->sought++;

    quest = ngx_calloc(sizeof(ngx_http_conduit_hub_quest_t), conn->hub->log);
    if (quest == NULL) {
        return NGX_ERROR;
    }

    quest->conn = conn;
    quest->waiter.handler = ngx_http_conduit_hub_found;
    quest->waiter.data = quest;

    quest->timer.data = &conn->hub->dummy;
    quest->timer.handler = ngx_http_conduit_hub_seek_again;
    quest->timer.log = conn->hub->log;
    quest->timer.cancelable = 1;

    ngx_memzero(&want, sizeof(ngx_http_conduit_session_want_t));

    want.id = conn->from;
    want.key = conn->key->node;
    want.kind = conn->kind;
    want.verb = NGX_HTTP_CONDUIT_SESSION_SUCCEED;
    want.age = ngx_current_msec - conn->opened;

    rc = cdmcf->engine->session(cdmcf, &want, NULL, &quest->waiter);

    if (rc == NGX_DECLINED) {
        ngx_free(quest);
        return NGX_DECLINED;
    }

    conn->quest = quest;

    if (rc == NGX_ERROR) {
        ngx_add_timer(&quest->timer, NGX_HTTP_CONDUIT_HUB_AGAIN);
    }

    return NGX_AGAIN;
}


static void
ngx_http_conduit_hub_found(void *data, ngx_int_t rc)
{
    ngx_http_conduit_hub_quest_t  *quest = data;

    if (rc == NGX_ERROR) {
        ngx_add_timer(&quest->timer, NGX_HTTP_CONDUIT_HUB_AGAIN);
        return;
    }

    /* it is here now, or nowhere */

    quest->conn->sought = NGX_HTTP_CONDUIT_HUB_SEEKS;

    ngx_http_conduit_hub_seek_again(&quest->timer);
}


static void
ngx_http_conduit_hub_seek_again(ngx_event_t *ev)
{
    ngx_http_conduit_hub_conn_t   *conn;
    ngx_http_conduit_hub_quest_t  *quest;

    quest = (ngx_http_conduit_hub_quest_t *)
                ((u_char *) ev - offsetof(ngx_http_conduit_hub_quest_t, timer));

    conn = quest->conn;

    ngx_http_conduit_hub_seek_end(conn);
    ngx_http_conduit_hub_succeed(conn);
}


void
ngx_http_conduit_hub_seek_end(ngx_http_conduit_hub_conn_t *conn)
{
    if (conn->quest == NULL) {
        return;
    }

    ngx_http_conduit_watch_leave(&conn->quest->waiter);

    if (conn->quest->timer.timer_set) {
        ngx_del_timer(&conn->quest->timer);
    }

    ngx_free(conn->quest);
    conn->quest = NULL;
}


ngx_int_t
ngx_http_conduit_hub_owe(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_sub_t *kept)
{
    ngx_http_conduit_hub_owed_t  *owed;

    owed = ngx_calloc(sizeof(ngx_http_conduit_hub_owed_t), conn->hub->log);
    if (owed == NULL) {
        return NGX_ERROR;
    }

    owed->conn = conn;
    owed->begun = ngx_current_msec;
    owed->waiter.handler = ngx_http_conduit_hub_owed_known;
    owed->waiter.data = owed;

    owed->timer.data = &conn->hub->dummy;
    owed->timer.handler = ngx_http_conduit_hub_owed_again;
    owed->timer.log = conn->hub->log;
    owed->timer.cancelable = 1;

    if (kept) {
        owed->kept = *kept;
        conn->nowed++;

    } else {
        owed->all = 1;
    }

    ngx_queue_insert_tail(&conn->owed, &owed->queue);

    return ngx_http_conduit_hub_owed_ask(owed);
}


/* NGX_OK also if it is owed on */

static ngx_int_t
ngx_http_conduit_hub_owed_ask(ngx_http_conduit_hub_owed_t *owed)
{
    ngx_int_t                      rc;
    ngx_http_conduit_hub_conn_t   *conn;
    ngx_http_conduit_main_conf_t  *cdmcf;

    conn = owed->conn;
    cdmcf = conn->hub->cdmcf;

    rc = owed->all ? ngx_http_conduit_watch_fresh_key(cdmcf, conn->key->node,
                                                      &owed->waiter)
                   : ngx_http_conduit_watch_fresh(cdmcf, owed->kept.task,
                                                  &owed->waiter);

    if (rc == NGX_OK) {
        return ngx_http_conduit_hub_owed_paid(owed);
    }

    if (rc != NGX_AGAIN) {
        ngx_add_timer(&owed->timer, NGX_HTTP_CONDUIT_HUB_AGAIN);
    }

    return NGX_OK;
}


static void
ngx_http_conduit_hub_owed_known(void *data, ngx_int_t rc)
{
    ngx_http_conduit_hub_owed_t  *owed = data;

    ngx_http_conduit_hub_conn_t  *conn;

    conn = owed->conn;

    if (conn->failed) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_add_timer(&owed->timer, NGX_HTTP_CONDUIT_HUB_AGAIN);
        return;
    }

    if (ngx_http_conduit_hub_owed_paid(owed) != NGX_OK) {
        ngx_http_conduit_hub_fail(conn);
    }
}


static void
ngx_http_conduit_hub_owed_again(ngx_event_t *ev)
{
    ngx_http_conduit_hub_conn_t  *conn;
    ngx_http_conduit_hub_owed_t  *owed;

    owed = (ngx_http_conduit_hub_owed_t *)
               ((u_char *) ev - offsetof(ngx_http_conduit_hub_owed_t, timer));

    conn = owed->conn;

    if (!conn->failed && ngx_http_conduit_hub_owed_ask(owed) != NGX_OK) {
        ngx_http_conduit_hub_fail(conn);
    }
}


/* the zone has what there is; NGX_OK also if it is owed on */

static ngx_int_t
ngx_http_conduit_hub_owed_paid(ngx_http_conduit_hub_owed_t *owed)
{
    ngx_int_t  rc;

    rc = owed->all ? ngx_http_conduit_hub_owed_pay_all(owed)
                   : ngx_http_conduit_hub_owed_pay(owed);

    if (rc == NGX_AGAIN) {
        ngx_add_timer(&owed->timer, NGX_HTTP_CONDUIT_HUB_AGAIN);
        return NGX_OK;
    }

    return rc;
}


/* frees it, unless there is no such task, or not yet */

static ngx_int_t
ngx_http_conduit_hub_owed_pay(ngx_http_conduit_hub_owed_t *owed)
{
    ngx_int_t                     rc;
    conduit_session_sub_t         kept;
    ngx_http_conduit_hub_sub_t   *sub;
    ngx_http_conduit_hub_conn_t  *conn;

    conn = owed->conn;
    kept = owed->kept;

    /* what the client has subscribed to meanwhile is told already */

    if (ngx_http_conduit_hub_subscribed(conn, kept.task)) {
        ngx_http_conduit_hub_owed_remove(owed);
        return NGX_OK;
    }

    rc = ngx_http_conduit_hub_subscribe(conn, kept.task, kept.events, &sub);

    if (rc == NGX_DECLINED
        && ngx_http_conduit_watch_shared(conn->hub->cdmcf)
        && ngx_current_msec - owed->begun < NGX_HTTP_CONDUIT_HUB_OWES)
    {
        ngx_add_timer(&owed->timer, NGX_HTTP_CONDUIT_HUB_UNKNOWN);
        return NGX_OK;
    }

    ngx_http_conduit_hub_owed_remove(owed);

    if (rc != NGX_OK) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    sub->sequence = kept.sequence;
    sub->told = kept.told;

    ngx_http_conduit_hub_changed(conn);
    ngx_http_conduit_hub_sub_look(sub);

    return NGX_OK;
}


/* NGX_AGAIN: it is owed still */

static ngx_int_t
ngx_http_conduit_hub_owed_pay_all(ngx_http_conduit_hub_owed_t *owed)
{
    ngx_int_t                     rc;
    ngx_http_conduit_hub_conn_t  *conn;

    conn = owed->conn;

    ngx_http_conduit_hub_changed(conn);

    if (ngx_http_conduit_hub_subscribe_all(conn, conn->events) != NGX_OK) {
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_conduit_hub_all_resume(conn);
    }

    if (rc != NGX_AGAIN) {
        conn->roams = 0;
        ngx_http_conduit_hub_owed_remove(owed);
    }

    return rc;
}


u_char *
ngx_http_conduit_hub_owed(ngx_http_conduit_hub_conn_t *conn, u_char *p,
    ngx_uint_t again)
{
    ngx_queue_t                  *q;
    conduit_session_sub_t         kept;
    ngx_http_conduit_hub_owed_t  *owed;

    for (q = ngx_queue_head(&conn->owed);
         q != ngx_queue_sentinel(&conn->owed);
         q = ngx_queue_next(q))
    {
        owed = ngx_queue_data(q, ngx_http_conduit_hub_owed_t, queue);

        if (owed->all) {
            continue;
        }

        kept = owed->kept;

        if (again) {
            kept.sequence = 0;
            kept.told = 0;
        }

        p = conduit_session_write_sub(p, &kept);
    }

    return p;
}


static void
ngx_http_conduit_hub_owed_remove(ngx_http_conduit_hub_owed_t *owed)
{
    ngx_http_conduit_watch_leave(&owed->waiter);
    ngx_queue_remove(&owed->queue);

    if (owed->timer.timer_set) {
        ngx_del_timer(&owed->timer);
    }

    if (!owed->all) {
        owed->conn->nowed--;
    }

    ngx_free(owed);
}


void
ngx_http_conduit_hub_owed_free(ngx_http_conduit_hub_conn_t *conn)
{
    ngx_queue_t  *q, *next;

    for (q = ngx_queue_head(&conn->owed);
         q != ngx_queue_sentinel(&conn->owed);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_http_conduit_hub_owed_remove(
                   ngx_queue_data(q, ngx_http_conduit_hub_owed_t, queue));
    }
}


void
ngx_http_conduit_hub_owed_cancel(ngx_http_conduit_hub_conn_t *conn, u_char *id)
{
    ngx_uint_t                    wanted;
    ngx_queue_t                  *q, *next;
    ngx_http_conduit_hub_owed_t  *owed;

    for (q = ngx_queue_head(&conn->owed);
         q != ngx_queue_sentinel(&conn->owed);
         q = next)
    {
        next = ngx_queue_next(q);
        owed = ngx_queue_data(q, ngx_http_conduit_hub_owed_t, queue);

        wanted = owed->all ? (id != NULL)
                           : (id == NULL
                              || ngx_memcmp(owed->kept.task, id,
                                            CONDUIT_SESSION_ID) != 0);

        if (!wanted) {
            ngx_http_conduit_hub_owed_remove(owed);
        }
    }

    if (id == NULL) {
        conn->roams = 0;
    }
}


ngx_int_t
ngx_http_conduit_hub_lately_add(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_sub_t *kept)
{
    size_t                          size;
    ngx_http_conduit_hub_lately_t  *lately;

    if ((kept->sequence == 0 && kept->told == 0)
        || ngx_http_conduit_hub_nlately(conn) == NGX_HTTP_CONDUIT_HUB_LATELY)
    {
        return NGX_OK;
    }

    lately = conn->lately;

    if (lately == NULL || lately->n == lately->size) {

        size = lately ? 2 * lately->size : 16;

        lately = ngx_alloc(offsetof(ngx_http_conduit_hub_lately_t, subs)
                           + size * sizeof(conduit_session_sub_t),
                           conn->hub->log);
        if (lately == NULL) {
            return NGX_ERROR;
        }

        lately->n = ngx_http_conduit_hub_nlately(conn);
        lately->size = size;

        if (conn->lately) {
            ngx_memcpy(lately->subs, conn->lately->subs,
                       lately->n * sizeof(conduit_session_sub_t));
            ngx_free(conn->lately);
        }

        conn->lately = lately;
    }

    lately->subs[lately->n++] = *kept;

    return NGX_OK;
}


u_char *
ngx_http_conduit_hub_lately_write(ngx_http_conduit_hub_conn_t *conn, u_char *p)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_conduit_hub_nlately(conn); i++) {
        p = conduit_session_write_sub(p, &conn->lately->subs[i]);
    }

    return p;
}


/* there may be several of a task, from host to host */

ngx_uint_t
ngx_http_conduit_hub_lately(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_view_t *view, unsigned *told)
{
    ngx_uint_t                      i, found, known;
    conduit_session_sub_t          *kept;
    ngx_http_conduit_hub_lately_t  *lately;

    found = 0;
    known = 0;
    lately = conn->lately;

    for (i = 0; i < lately->n; i++) {
        kept = &lately->subs[i];

        if (ngx_memcmp(kept->task, view->id, CONDUIT_SESSION_ID) == 0) {
            *told |= kept->told;
            known |= (view->sequence <= kept->sequence);
            found = 1;
        }
    }

    if (found && !conn->roams) {
        ngx_http_conduit_hub_lately_prune(conn);
    }

    return known;
}


/* a client that does not read may go to the next host before it knows all */

void
ngx_http_conduit_hub_lately_told(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_view_t *view, unsigned told)
{
    conduit_session_sub_t  kept;

    ngx_memcpy(kept.task, view->id, CONDUIT_SESSION_ID);

    kept.sequence = view->sequence;
    kept.told = told & CONDUIT_HOOK_STARTED;
    kept.events = 0;

    /* without memory it is told once more there */

    (void) ngx_http_conduit_hub_lately_add(conn, &kept);
}


/* of all else the order of changes here is enough from now on */

void
ngx_http_conduit_hub_lately_prune(ngx_http_conduit_hub_conn_t *conn)
{
    if (conn->lately == NULL) {
        return;
    }

    conn->lately->n = ngx_http_conduit_task_unheard(conn->hub->cdmcf,
                                                    conn->lately->subs,
                                                    conn->lately->n);

    if (conn->lately->n == 0) {
        ngx_http_conduit_hub_lately_free(conn);
    }
}


void
ngx_http_conduit_hub_lately_free(ngx_http_conduit_hub_conn_t *conn)
{
    if (conn->lately) {
        ngx_free(conn->lately);
        conn->lately = NULL;
    }
}
