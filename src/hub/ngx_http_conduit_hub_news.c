
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_hub_conn.h>


static ngx_http_conduit_hub_msg_t *ngx_http_conduit_hub_news_msg(
    ngx_http_conduit_hub_news_t *news, ngx_uint_t tasks, ngx_uint_t dialect,
    ngx_uint_t binary, ngx_uint_t hook);
static ngx_http_conduit_hub_msg_t *ngx_http_conduit_hub_news_render(
    ngx_http_conduit_hub_news_t *news, conduit_hub_e type, ngx_uint_t dialect,
    ngx_uint_t binary, ngx_uint_t hook);
static ngx_int_t ngx_http_conduit_hub_news_split(
    ngx_http_conduit_hub_news_t *news, ngx_uint_t hook);
static void ngx_http_conduit_hub_news_count(
    ngx_http_conduit_hub_news_t *news);
static int64_t ngx_http_conduit_hub_news_clock(void);


void
ngx_http_conduit_hub_news_init(ngx_http_conduit_hub_news_t *news,
    ngx_http_conduit_hub_t *hub, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view)
{
    news->hub = hub;
    news->pool = pool;
    news->view = view;
    news->sent = 0;
    news->made = 0;
    news->split = 0;
    news->replay = 0;
}


void
ngx_http_conduit_hub_news_free(ngx_http_conduit_hub_news_t *news)
{
    uint64_t  made;

    ngx_http_conduit_hub_news_count(news);

    for (made = news->made; made; made &= made - 1) {
        ngx_http_conduit_hub_msg_free(news->msgs[__builtin_ctzll(made)]);
    }
}


void
ngx_http_conduit_hub_news_send(ngx_http_conduit_hub_news_t *news,
    ngx_http_conduit_hub_conn_t *conn, ngx_uint_t hooks)
{
    ngx_uint_t                   i, tasks, dialect, last;
    ngx_http_conduit_hub_msg_t  *msg;

    tasks = (conn->kind == NGX_HTTP_CONDUIT_ANY);
    last = (news->hub->cdmcf->hub_typed && !tasks) ? CONDUIT_HUB_TYPED
                                                   : CONDUIT_HUB_TASK;

    for (i = 0; i < NGX_HTTP_CONDUIT_HUB_HOOKS; i++) {

        if (!(hooks & (1 << i))) {
            continue;
        }

        for (dialect = CONDUIT_HUB_TASK; dialect <= last; dialect++) {

            msg = ngx_http_conduit_hub_news_msg(news, tasks, dialect,
                                                conn->binary, i);

            if (msg == NULL) {
                continue;
            }

            if (news->sent++ == 1) {
                news->start = ngx_http_conduit_hub_news_clock();
            }

            ngx_http_conduit_hub_send(conn, msg);
        }
    }
}


/* NULL: this hub does not tell it, or there is no memory */

static ngx_http_conduit_hub_msg_t *
ngx_http_conduit_hub_news_msg(ngx_http_conduit_hub_news_t *news,
    ngx_uint_t tasks, ngx_uint_t dialect, ngx_uint_t binary, ngx_uint_t hook)
{
    ngx_uint_t                   n;
    conduit_hub_e                type;
    ngx_http_conduit_hub_msg_t  *msg;

    n = ((tasks * 2 + dialect) * 2 + binary) * NGX_HTTP_CONDUIT_HUB_HOOKS
        + hook;

    if (news->made & ((uint64_t) 1 << n)) {
        return news->msgs[n];
    }

    if (tasks) {
        type = CONDUIT_HUB_TASKS;

    } else {
        type = (news->view->kind == NGX_HTTP_CONDUIT_VIDEO)
               ? CONDUIT_HUB_VIDEO : CONDUIT_HUB_IMAGE;
    }

    msg = ngx_http_conduit_hub_news_render(news, type, dialect, binary, hook);

    if (msg) {
        news->msgs[n] = msg;
        news->made |= (uint64_t) 1 << n;
    }

    return msg;
}


static ngx_http_conduit_hub_msg_t *
ngx_http_conduit_hub_news_render(ngx_http_conduit_hub_news_t *news,
    conduit_hub_e type, ngx_uint_t dialect, ngx_uint_t binary, ngx_uint_t hook)
{
    size_t                     len;
    const conduit_str_t       *target;
    conduit_signalr_output_t   out;

    target = conduit_hub_target(type, dialect, news->view->kind,
                                1 << hook);
    if (target == NULL) {
        return NULL;
    }

    if (ngx_http_conduit_hub_news_split(news, 1 << hook) != NGX_OK) {
        return NULL;
    }

    ngx_memzero(&out, sizeof(conduit_signalr_output_t));

    out.type = CONDUIT_SIGNALR_INVOCATION;
    out.target = *target;

    len = conduit_hub_arguments(NULL, type, dialect, 1 << hook, &news->doc);

    out.json.data = ngx_pnalloc(news->pool, len);
    if (out.json.data == NULL) {
        return NULL;
    }

    out.json.len = conduit_hub_arguments(out.json.data, type, dialect,
                                         1 << hook, &news->doc);

    return ngx_http_conduit_hub_render(news->hub, &out, binary);
}


static ngx_int_t
ngx_http_conduit_hub_news_split(ngx_http_conduit_hub_news_t *news,
    ngx_uint_t hook)
{
    conduit_str_t  text;

    if (news->split & hook) {
        return NGX_OK;
    }

    text.data = news->view->document.data;
    text.len = news->view->document.len;

    if (conduit_hub_document(&news->doc, &text, hook) != CONDUIT_OK) {
        return NGX_ERROR;
    }

    news->split = (hook == CONDUIT_HOOK_PROGRESS) ? CONDUIT_HOOK_PROGRESS
                                                  : CONDUIT_HUB_ALL;

    return NGX_OK;
}


/*
 * The time from the change to the socket, or to the queue of a slow client; a
 * state that is told at a subscription may be of any age.  While the messages
 * are sent the time of the event loop stands still, so the clock is asked: for
 * one message when it is sent, for more at the begin as well, and the half is
 * the mean of those who got them one after the other.
 */

static void
ngx_http_conduit_hub_news_count(ngx_http_conduit_hub_news_t *news)
{
    int64_t                       now, us;
    ngx_http_conduit_counters_t  *counters;

    if (news->sent == 0) {
        return;
    }

    counters = &news->hub->cdmcf->zone.sh->counters;

    (void) ngx_atomic_fetch_add(&counters->hub_messages, news->sent);

    if (news->replay) {
        return;
    }

    now = ngx_http_conduit_hub_news_clock();

    us = ((news->sent > 1) ? (news->start + now) / 2 : now)
         - news->view->updated * 1000;

    (void) ngx_atomic_fetch_add(&counters->hub_latency_n, news->sent);
    (void) ngx_atomic_fetch_add(&counters->hub_latency_sum,
                                (us > 0) ? us * news->sent : 0);
}


static int64_t
ngx_http_conduit_hub_news_clock(void)
{
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    return (int64_t) tv.tv_sec * 1000000 + tv.tv_usec;
}
