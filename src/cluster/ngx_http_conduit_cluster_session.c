
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>
#include <conduit_token.h>


/*
 * What a client POSTs or DELETEs may come to a host that does not have its
 * session.  The worker that gets it asks all hosts on their common channel:
 *
 *     session VERB NUMBER ID KIND OWNER/PID KEY LF DATA
 *
 * and each answers, to the channel of that worker, session:OWNER/PID:
 *
 *     NUMBER RESULT
 *
 * The first host that has the session decides.  It has put the bytes into the
 * inbox by then, so that the client is not told of more than what is kept.
 */


#define NGX_HTTP_CONDUIT_ROAM_WAIT  2000
#define NGX_HTTP_CONDUIT_ROAM_ASKS  1024


typedef struct {
    ngx_queue_t                       queue;       /* cluster->asks */
    ngx_queue_t                       waiters;     /* one, or none: it left */
    ngx_http_conduit_cluster_t       *cluster;
    ngx_event_t                       timer;
    uint64_t                          number;
    ngx_uint_t                        noes;
} ngx_http_conduit_ask_t;


typedef struct {
    ngx_uint_t                        verb;
    uint64_t                          number;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t                        kind;
    ngx_str_t                         asker;       /* OWNER/PID */
    ngx_str_t                         key;
    ngx_str_t                         data;
} ngx_http_conduit_asked_t;


static ngx_uint_t ngx_http_conduit_ask_hosts(
    ngx_http_conduit_cluster_t *cluster);
static ngx_int_t ngx_http_conduit_ask_publish(ngx_http_conduit_ask_t *ask,
    ngx_http_conduit_session_want_t *want, ngx_str_t *data);
static void ngx_http_conduit_ask_timer(ngx_event_t *ev);
static void ngx_http_conduit_ask_done(ngx_http_conduit_ask_t *ask,
    ngx_int_t rc);
static ngx_http_conduit_waiter_t *ngx_http_conduit_ask_end(
    ngx_http_conduit_ask_t *ask);
static ngx_uint_t ngx_http_conduit_ask_leads(ngx_http_conduit_zone_t *zone);
static ngx_int_t ngx_http_conduit_ask_parse(ngx_http_conduit_asked_t *asked,
    ngx_str_t *payload);
static ngx_str_t ngx_http_conduit_ask_word(u_char **pos, u_char *last,
    u_char end);
static void ngx_http_conduit_ask_answer(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_http_conduit_session_e rc);
static u_char *ngx_http_conduit_ask_number(u_char *p, u_char *last,
    uint64_t *n);


ngx_int_t
ngx_http_conduit_cluster_session(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_session_want_t *want, ngx_str_t *data,
    ngx_http_conduit_waiter_t *waiter)
{
    ngx_int_t                    rc;
    ngx_http_conduit_ask_t      *ask;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = cdmcf->redis->cluster;

    if (ngx_http_conduit_ask_hosts(cluster) == 1) {
        return NGX_DECLINED;
    }

    if (!cluster->answers || !cluster->redis->calls.up
        || cluster->nasks == NGX_HTTP_CONDUIT_ROAM_ASKS)
    {
        return NGX_ERROR;
    }

    ask = ngx_calloc(sizeof(ngx_http_conduit_ask_t), cluster->log);
    if (ask == NULL) {
        return NGX_ERROR;
    }

    ask->cluster = cluster;
    ask->number = ++cluster->asked;

    rc = ngx_http_conduit_ask_publish(ask, want, data);

    if (rc != NGX_OK) {
        ngx_free(ask);
        return NGX_ERROR;
    }

    ask->timer.data = &cluster->dummy;
    ask->timer.handler = ngx_http_conduit_ask_timer;
    ask->timer.log = cluster->log;
    ask->timer.cancelable = 1;

    ngx_queue_init(&ask->waiters);
    ngx_queue_insert_tail(&ask->waiters, &waiter->queue);
    waiter->waiting = 1;

    ngx_queue_insert_tail(&cluster->asks, &ask->queue);
    cluster->nasks++;

    ngx_add_timer(&ask->timer, NGX_HTTP_CONDUIT_ROAM_WAIT);

    return NGX_AGAIN;
}


/* with this one; 0: it has not listened for long enough to know all of them */

static ngx_uint_t
ngx_http_conduit_ask_hosts(ngx_http_conduit_cluster_t *cluster)
{
    ngx_http_conduit_sh_t  *sh;

    sh = cluster->cdmcf->zone.sh;

    return (sh->hosts == 0
            || ngx_current_msec - sh->joined < NGX_HTTP_CONDUIT_PEER_SILENT)
           ? 0 : sh->hosts;
}


static ngx_int_t
ngx_http_conduit_ask_publish(ngx_http_conduit_ask_t *ask,
    ngx_http_conduit_session_want_t *want, ngx_str_t *data)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                    *p, *text;
    size_t                     len;
    ngx_int_t                  rc;
    ngx_str_t                  args[3];
    ngx_http_conduit_redis_t  *redis;

    redis = ask->cluster->redis;

    len = sizeof("session p  \n") + NGX_INT64_LEN + CONDUIT_TOKEN_ID_LEN
          + 2 * NGX_INT_T_LEN + redis->owner.len + want->key->len + 8
          + (data ? data->len : 0);

    text = ngx_alloc(len, redis->log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "session %c %uL ", data ? 'p' : 'd', ask->number);
    conduit_token_id(p, want->id);
    p += CONDUIT_TOKEN_ID_LEN;
    p = ngx_sprintf(p, " %ui %V/%P ", want->kind, &redis->owner, ngx_pid);
    p = ngx_cpymem(p, want->key->name, want->key->len);
    *p++ = LF;

    if (data) {
        p = ngx_cpymem(p, data->data, data->len);
    }

    ngx_str_set(&args[0], "PUBLISH");
    args[1] = ngx_http_conduit_redis_name(redis, buf, "hosts", NULL);
    args[2].data = text;
    args[2].len = p - text;

    rc = ngx_conduit_redis_call(&redis->calls, args, 3, NULL, NULL);

    ngx_free(text);

    return rc;
}


/* a host that is not known to be gone has not answered */

static void
ngx_http_conduit_ask_timer(ngx_event_t *ev)
{
    ngx_http_conduit_ask_t  *ask;

    ask = (ngx_http_conduit_ask_t *)
              ((u_char *) ev - offsetof(ngx_http_conduit_ask_t, timer));

    ngx_http_conduit_ask_done(ask, NGX_ERROR);
}


static void
ngx_http_conduit_ask_done(ngx_http_conduit_ask_t *ask, ngx_int_t rc)
{
    ngx_http_conduit_waiter_t  *waiter;

    waiter = ngx_http_conduit_ask_end(ask);

    if (waiter) {
        waiter->handler(waiter->data, rc);
    }
}


/* who has waited, if it is there still */

static ngx_http_conduit_waiter_t *
ngx_http_conduit_ask_end(ngx_http_conduit_ask_t *ask)
{
    ngx_queue_t                *q;
    ngx_http_conduit_waiter_t  *waiter;

    ngx_queue_remove(&ask->queue);
    ask->cluster->nasks--;

    if (ask->timer.timer_set) {
        ngx_del_timer(&ask->timer);
    }

    waiter = NULL;

    if (!ngx_queue_empty(&ask->waiters)) {
        q = ngx_queue_head(&ask->waiters);
        waiter = ngx_queue_data(q, ngx_http_conduit_waiter_t, queue);

        ngx_http_conduit_watch_leave(waiter);
    }

    ngx_free(ask);

    return waiter;
}


void
ngx_http_conduit_cluster_sessions(ngx_http_conduit_cluster_t *cluster)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     name[NGX_HTTP_CONDUIT_OWNER_LEN + 1
                                    + NGX_INT64_LEN];
    ngx_str_t                  asker, channel;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    if (cluster->cdmcf->hubs == 0
        || redis->owner.len > NGX_HTTP_CONDUIT_OWNER_LEN)
    {
        return;
    }

    asker.data = name;
    asker.len = ngx_sprintf(name, "%V/%P", &redis->owner, ngx_pid) - name;

    channel = ngx_http_conduit_redis_name(redis, buf, "session", &asker);

    ngx_http_conduit_cluster_subscribe(cluster, "SUBSCRIBE", &channel);
}


/* an answer, or the channel is there */

void
ngx_http_conduit_cluster_answered(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    u_char                  *p, *last;
    uint64_t                 number, result;
    ngx_uint_t               hosts;
    ngx_queue_t             *q;
    ngx_http_conduit_ask_t  *ask;

    if (payload == NULL) {
        cluster->answers = 1;
        return;
    }

    last = payload->data + payload->len;

    p = ngx_http_conduit_ask_number(payload->data, last, &number);

    if (p == last || *p != ' ') {
        return;
    }

    (void) ngx_http_conduit_ask_number(p + 1, last, &result);

    for (q = ngx_queue_head(&cluster->asks);
         q != ngx_queue_sentinel(&cluster->asks);
         q = ngx_queue_next(q))
    {
        ask = ngx_queue_data(q, ngx_http_conduit_ask_t, queue);

        if (ask->number != number) {
            continue;
        }

        /* it is nowhere only when all have said so */

        if (result == NGX_HTTP_CONDUIT_SESSION_NONE) {
            ask->noes++;

            hosts = ngx_http_conduit_ask_hosts(cluster);

            if (hosts == 0 || ask->noes + 1 < hosts) {
                return;
            }
        }

        ngx_http_conduit_ask_done(ask, (ngx_int_t) result);
        return;
    }
}


void
ngx_http_conduit_cluster_ask(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    ngx_str_t                         *owner;
    ngx_http_conduit_news_t            news;
    ngx_http_conduit_rings_t           rings;
    ngx_http_conduit_asked_t           asked;
    ngx_http_conduit_session_e         rc;
    ngx_http_conduit_main_conf_t      *cdmcf;
    ngx_http_conduit_session_want_t    want;

    cdmcf = cluster->cdmcf;
    owner = &cluster->redis->owner;

    /* one that leads no more may listen still: bytes must not come twice */

    if (!ngx_http_conduit_ask_leads(&cdmcf->zone)
        || ngx_http_conduit_ask_parse(&asked, payload) != NGX_OK)
    {
        return;
    }

    /* a worker of this host has looked already */

    if (asked.asker.len > owner->len && asked.asker.data[owner->len] == '/'
        && ngx_memcmp(asked.asker.data, owner->data, owner->len) == 0)
    {
        return;
    }

    ngx_memzero(&want, sizeof(ngx_http_conduit_session_want_t));
    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));

    want.id = asked.id;
    want.kind = asked.kind;
    want.key = ngx_http_conduit_key_node(&cdmcf->zone, &asked.key);

    rc = NGX_HTTP_CONDUIT_SESSION_NONE;

    if (want.key) {
        rc = (asked.verb == 'p')
             ? ngx_http_conduit_session_post(&cdmcf->zone, &want,
                                             asked.data.data, asked.data.len,
                                             4 * cdmcf->hub_message_size,
                                             &rings)
             : ngx_http_conduit_session_delete(&cdmcf->zone, &want, &rings);

        ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));

        news.wake = rings.wake;
        news.here = rings.here;

        ngx_http_conduit_news_spread(cdmcf->engine, asked.id, &news);
    }

    ngx_http_conduit_ask_answer(cluster, &asked, rc);
}


static ngx_uint_t
ngx_http_conduit_ask_leads(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t  leads;

    ngx_http_conduit_zone_lock(zone);

    leads = (zone->cell != NGX_HTTP_CONDUIT_NOBODY
             && zone->sh->leader == zone->cell + 1);

    ngx_http_conduit_zone_unlock(zone);

    return leads;
}


static ngx_int_t
ngx_http_conduit_ask_parse(ngx_http_conduit_asked_t *asked, ngx_str_t *payload)
{
    u_char         *p, *last;
    uint64_t        kind;
    ngx_str_t       word;
    conduit_str_t   id;

    p = payload->data;
    last = p + payload->len;

    (void) ngx_http_conduit_ask_word(&p, last, ' ');

    word = ngx_http_conduit_ask_word(&p, last, ' ');

    if (word.len != 1 || (word.data[0] != 'p' && word.data[0] != 'd')) {
        return NGX_ERROR;
    }

    asked->verb = word.data[0];

    word = ngx_http_conduit_ask_word(&p, last, ' ');
    (void) ngx_http_conduit_ask_number(word.data, word.data + word.len,
                                       &asked->number);

    word = ngx_http_conduit_ask_word(&p, last, ' ');

    id.data = word.data;
    id.len = word.len;

    if (conduit_token_id_read(asked->id, &id) != CONDUIT_OK) {
        return NGX_ERROR;
    }

    word = ngx_http_conduit_ask_word(&p, last, ' ');
    (void) ngx_http_conduit_ask_number(word.data, word.data + word.len, &kind);
    asked->kind = (ngx_uint_t) kind;

    asked->asker = ngx_http_conduit_ask_word(&p, last, ' ');
    asked->key = ngx_http_conduit_ask_word(&p, last, LF);

    asked->data.data = p;
    asked->data.len = last - p;

    return (asked->asker.len
            && asked->asker.len <= NGX_HTTP_CONDUIT_OWNER_LEN + 1
                                   + NGX_INT64_LEN
            && asked->key.len && asked->key.len <= NGX_HTTP_CONDUIT_NAME_LEN)
           ? NGX_OK : NGX_ERROR;
}


/* empty: there is none */

static ngx_str_t
ngx_http_conduit_ask_word(u_char **pos, u_char *last, u_char end)
{
    u_char     *p;
    ngx_str_t   word;

    word.data = *pos;
    word.len = 0;

    p = ngx_strlchr(*pos, last, end);

    if (p) {
        word.len = p - word.data;
        *pos = p + 1;
    }

    return word;
}


static u_char *
ngx_http_conduit_ask_number(u_char *p, u_char *last, uint64_t *n)
{
    *n = 0;

    while (p < last && *p >= '0' && *p <= '9') {
        *n = *n * 10 + (*p++ - '0');
    }

    return p;
}


static void
ngx_http_conduit_ask_answer(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_http_conduit_session_e rc)
{
    u_char     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char     text[NGX_INT64_LEN + 1 + NGX_INT_T_LEN];
    ngx_str_t  channel, message;

    message.data = text;
    message.len = ngx_sprintf(text, "%uL %ui", asked->number,
                              (ngx_uint_t) rc)
                  - text;

    channel = ngx_http_conduit_redis_name(cluster->redis, buf, "session",
                                          &asked->asker);

    ngx_http_conduit_cluster_publish(cluster, &channel, &message);
}


/* the worker ends: nobody is called any more */

void
ngx_http_conduit_cluster_session_exit(ngx_http_conduit_cluster_t *cluster)
{
    ngx_queue_t             *q, *next;
    ngx_http_conduit_ask_t  *ask;

    for (q = ngx_queue_head(&cluster->asks);
         q != ngx_queue_sentinel(&cluster->asks);
         q = next)
    {
        next = ngx_queue_next(q);

        ask = ngx_queue_data(q, ngx_http_conduit_ask_t, queue);

        (void) ngx_http_conduit_ask_end(ask);
    }
}
