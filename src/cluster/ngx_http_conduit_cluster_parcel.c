
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>
#include <conduit_session.h>
#include <conduit_token.h>


/*
 * A session that leaves for the host that asks for it, behind the result:
 *
 *     SP ID SP KIND SP TRANSPORT SP RESUMABLE SP ENDED SP AGE SP LENGTH SP KEY
 *     LF STATE INBOX
 *
 * Whoever has it here, a poll or a socket, gives way first.
 */


#define NGX_HTTP_CONDUIT_PARCEL_HEAD                                          \
    (9 + CONDUIT_TOKEN_ID_LEN + 6 * NGX_INT64_LEN + NGX_HTTP_CONDUIT_NAME_LEN)

/*
 * Of all tasks of a key another host cannot tell by its stamps what the client
 * knows.  It looks for what has changed lately, by the clocks of all hosts and
 * in spite of what they hear late, or since what is not told yet, or since this
 * host had no Redis, within bounds; and is told what the client has been told
 * of that; of longer ago copies are not kept.
 */

#define NGX_HTTP_CONDUIT_PARCEL_LATE    10000
#define NGX_HTTP_CONDUIT_PARCEL_BEHIND  45000
#define NGX_HTTP_CONDUIT_PARCEL_OLD     120000
#define NGX_HTTP_CONDUIT_PARCEL_TOLD    1000


typedef struct {
    ngx_queue_t                       queue;       /* cluster->parcels */
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_watcher_t        watcher;
    ngx_event_t                       timer;
    uint32_t                          claim;
    ngx_http_conduit_asked_t          asked;
    ngx_http_conduit_session_want_t   want;
    u_char                            name[1];     /* of the asker */
} ngx_http_conduit_leaving_t;


static void ngx_http_conduit_parcel_look(ngx_http_conduit_watcher_t *w);
static ngx_http_conduit_session_e ngx_http_conduit_parcel_pack(
    ngx_http_conduit_leaving_t *leaving, ngx_http_conduit_parcel_t *parcel,
    ngx_http_conduit_rings_t *rings);
static ngx_int_t ngx_http_conduit_parcel_answer(
    ngx_http_conduit_leaving_t *leaving, ngx_http_conduit_parcel_t *parcel);
static ngx_int_t ngx_http_conduit_parcel_write(
    ngx_http_conduit_leaving_t *leaving, ngx_http_conduit_parcel_t *parcel,
    conduit_session_sub_t *told, ngx_uint_t n, int64_t since);
static ngx_int_t ngx_http_conduit_parcel_told(
    ngx_http_conduit_leaving_t *leaving, ngx_http_conduit_parcel_t *parcel,
    conduit_session_sub_t **told, int64_t *since);
static void ngx_http_conduit_parcel_timer(ngx_event_t *ev);
static void ngx_http_conduit_parcel_end(ngx_http_conduit_leaving_t *leaving);


void
ngx_http_conduit_parcel_send(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_http_conduit_session_want_t *want)
{
    ngx_http_conduit_leaving_t  *leaving;

    leaving = ngx_calloc(sizeof(ngx_http_conduit_leaving_t)
                         + asked->asker.len, cluster->log);
    if (leaving == NULL) {
        return;
    }

    leaving->cluster = cluster;
    leaving->asked = *asked;
    leaving->want = *want;
    leaving->want.id = leaving->asked.id;

    ngx_memcpy(leaving->name, asked->asker.data, asked->asker.len);
    leaving->asked.asker.data = leaving->name;

    ngx_memcpy(leaving->watcher.id, asked->id, NGX_HTTP_CONDUIT_ID_LEN);
    leaving->watcher.handler = ngx_http_conduit_parcel_look;
    leaving->watcher.data = leaving;

    if (ngx_http_conduit_watch_add(cluster->cdmcf, &leaving->watcher)
        != NGX_OK)
    {
        ngx_free(leaving);
        return;
    }

    leaving->timer.data = &cluster->dummy;
    leaving->timer.handler = ngx_http_conduit_parcel_timer;
    leaving->timer.log = cluster->log;
    leaving->timer.cancelable = 1;

    ngx_queue_insert_tail(&cluster->parcels, &leaving->queue);
    ngx_add_timer(&leaving->timer,
                  ngx_http_conduit_ask_left(cluster, &leaving->asked));

    ngx_http_conduit_parcel_look(&leaving->watcher);
}


static void
ngx_http_conduit_parcel_look(ngx_http_conduit_watcher_t *w)
{
    ngx_http_conduit_news_t      news;
    ngx_http_conduit_rings_t     rings;
    ngx_http_conduit_parcel_t    parcel;
    ngx_http_conduit_leaving_t  *leaving;
    ngx_http_conduit_session_e   rc;

    leaving = w->data;

    if (ngx_http_conduit_ask_left(leaving->cluster, &leaving->asked) == 0) {
        return;
    }

    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));
    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));
    ngx_memzero(&parcel, sizeof(ngx_http_conduit_parcel_t));

    rc = ngx_http_conduit_parcel_pack(leaving, &parcel, &rings);

    news.wake = rings.wake;
    news.here = rings.here;

    ngx_http_conduit_news_spread(leaving->cluster->cdmcf->engine,
                                 leaving->asked.id, &news);

    if (rc == NGX_HTTP_CONDUIT_SESSION_WAIT) {
        return;
    }

    if (rc != NGX_HTTP_CONDUIT_SESSION_OK) {
        ngx_http_conduit_ask_answer(leaving->cluster, &leaving->asked, rc,
                                    NULL);

    } else if (ngx_http_conduit_parcel_answer(leaving, &parcel) != NGX_OK) {
        ngx_http_conduit_ask_answer(leaving->cluster, &leaving->asked,
                                    NGX_HTTP_CONDUIT_SESSION_NOMEM, NULL);
    }

    if (parcel.data) {
        ngx_free(parcel.data);
    }

    ngx_http_conduit_parcel_end(leaving);
}


/* the session may grow while there is no lock, so that there is a loop */

static ngx_http_conduit_session_e
ngx_http_conduit_parcel_pack(ngx_http_conduit_leaving_t *leaving,
    ngx_http_conduit_parcel_t *parcel, ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_session_e  rc;

    for ( ;; ) {

        rc = ngx_http_conduit_session_part(&leaving->cluster->cdmcf->zone,
                                           &leaving->want, &leaving->claim,
                                           parcel, rings);

        if (rc != NGX_HTTP_CONDUIT_SESSION_MORE) {
            return rc;
        }

        if (parcel->data) {
            ngx_free(parcel->data);
        }

        parcel->size = parcel->state + parcel->inbox;

        parcel->data = ngx_alloc(parcel->size, leaving->cluster->log);
        if (parcel->data == NULL) {
            return NGX_HTTP_CONDUIT_SESSION_NOMEM;
        }
    }
}


static ngx_int_t
ngx_http_conduit_parcel_answer(ngx_http_conduit_leaving_t *leaving,
    ngx_http_conduit_parcel_t *parcel)
{
    int64_t                 since;
    ngx_int_t               n, rc;
    conduit_session_sub_t  *told;

    told = NULL;

    n = ngx_http_conduit_parcel_told(leaving, parcel, &told, &since);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    rc = ngx_http_conduit_parcel_write(leaving, parcel, told, n, since);

    if (told) {
        ngx_free(told);
    }

    return rc;
}


static ngx_int_t
ngx_http_conduit_parcel_write(ngx_http_conduit_leaving_t *leaving,
    ngx_http_conduit_parcel_t *parcel, conduit_session_sub_t *told,
    ngx_uint_t n, int64_t since)
{
    u_char         *p;
    ngx_str_t       text;
    conduit_str_t   state;

    text.data = ngx_alloc(NGX_HTTP_CONDUIT_PARCEL_HEAD + parcel->state
                          + n * CONDUIT_SESSION_SUB + parcel->inbox,
                          leaving->cluster->log);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = text.data;
    *p++ = ' ';
    conduit_token_id(p, leaving->asked.id);
    p += CONDUIT_TOKEN_ID_LEN;

    p = ngx_sprintf(p, " %ui %ui %d %d %M %uz %*s\n", leaving->want.kind,
                    parcel->transport, (int) parcel->resumable,
                    (int) parcel->ended, parcel->age,
                    parcel->state + n * CONDUIT_SESSION_SUB,
                    (size_t) leaving->want.key->len,
                    leaving->want.key->name);

    state.data = parcel->data;
    state.len = parcel->state;

    p = told ? conduit_session_roam(p, &state, (uint64_t) since, told, n)
             : ngx_cpymem(p, state.data, state.len);

    p = ngx_cpymem(p, parcel->data + parcel->state, parcel->inbox);

    text.len = p - text.data;

    ngx_http_conduit_ask_answer(leaving->cluster, &leaving->asked,
                                NGX_HTTP_CONDUIT_SESSION_OK, &text);

    ngx_free(text.data);

    return NGX_OK;
}


/* how many; told stays NULL if it is not about all tasks, or is there yet */

static ngx_int_t
ngx_http_conduit_parcel_told(ngx_http_conduit_leaving_t *leaving,
    ngx_http_conduit_parcel_t *parcel, conduit_session_sub_t **told,
    int64_t *since)
{
    int64_t                    now;
    ngx_int_t                  n;
    ngx_time_t                *tp;
    ngx_msec_t                 behind;
    conduit_str_t              state;
    conduit_session_t          session;
    conduit_session_reader_t   reader;

    state.data = parcel->data;
    state.len = parcel->state;

    if (conduit_session_read(&session, &reader, &state) != CONDUIT_OK) {
        return NGX_ERROR;
    }

    if ((session.flags & (CONDUIT_SESSION_ALL|CONDUIT_SESSION_ROAMS))
        != CONDUIT_SESSION_ALL)
    {
        return 0;
    }

    *told = ngx_alloc(NGX_HTTP_CONDUIT_PARCEL_TOLD
                      * sizeof(conduit_session_sub_t), leaving->cluster->log);
    if (*told == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    now = (int64_t) tp->sec * 1000 + tp->msec;

    behind = ngx_http_conduit_cluster_behind(leaving->cluster,
                                             NGX_HTTP_CONDUIT_PARCEL_LATE);

    *since = now - NGX_HTTP_CONDUIT_PARCEL_LATE
             - (int64_t) ngx_min(behind, NGX_HTTP_CONDUIT_PARCEL_BEHIND);

    n = (ngx_int_t) ngx_http_conduit_task_told(leaving->cluster->cdmcf,
                              leaving->want.key, session.seen, since, *told,
                              ngx_min(NGX_HTTP_CONDUIT_PARCEL_TOLD,
                                      CONDUIT_SESSION_SUBS_MAX
                                      - session.nsubs));

    *since = ngx_max(*since, now - NGX_HTTP_CONDUIT_PARCEL_OLD);

    return n;
}


/* whoever has it does not give way in time: nobody waits any more */

static void
ngx_http_conduit_parcel_timer(ngx_event_t *ev)
{
    ngx_http_conduit_leaving_t  *leaving;

    leaving = (ngx_http_conduit_leaving_t *)
                  ((u_char *) ev - offsetof(ngx_http_conduit_leaving_t, timer));

    ngx_http_conduit_parcel_end(leaving);
}


static void
ngx_http_conduit_parcel_end(ngx_http_conduit_leaving_t *leaving)
{
    ngx_http_conduit_watch_del(leaving->cluster->cdmcf, &leaving->watcher);

    if (leaving->timer.timer_set) {
        ngx_del_timer(&leaving->timer);
    }

    ngx_queue_remove(&leaving->queue);
    ngx_free(leaving);
}


ngx_int_t
ngx_http_conduit_parcel_read(ngx_http_conduit_cluster_t *cluster, u_char *p,
    u_char *last)
{
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          n[6];
    ngx_str_t                         word;
    ngx_uint_t                        i;
    conduit_str_t                     name;
    ngx_http_conduit_parcel_t         parcel;
    ngx_http_conduit_session_want_t   want;

    ngx_memzero(&parcel, sizeof(ngx_http_conduit_parcel_t));
    ngx_memzero(&want, sizeof(ngx_http_conduit_session_want_t));

    p++;
    word = ngx_http_conduit_ask_word(&p, last, ' ');

    name.data = word.data;
    name.len = word.len;

    if (conduit_token_id_read(id, &name) != CONDUIT_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < 6; i++) {
        word = ngx_http_conduit_ask_word(&p, last, ' ');
        (void) ngx_http_conduit_ask_number(word.data, word.data + word.len,
                                           &n[i]);
    }

    word = ngx_http_conduit_ask_word(&p, last, LF);

    want.id = id;
    want.kind = (ngx_uint_t) n[0];
    want.key = ngx_http_conduit_key_node(&cluster->cdmcf->zone, &word);

    if (want.key == NULL || n[5] > (uint64_t) (last - p)) {
        return NGX_ERROR;
    }

    parcel.transport = (ngx_uint_t) n[1];
    parcel.resumable = n[2] ? 1 : 0;
    parcel.ended = n[3] ? 1 : 0;
    parcel.age = (ngx_msec_t) n[4];
    parcel.state = (size_t) n[5];
    parcel.inbox = last - p - parcel.state;
    parcel.data = p;

    return (ngx_int_t) ngx_http_conduit_session_adopt(&cluster->cdmcf->zone,
                                                      &want, &parcel);
}


void
ngx_http_conduit_parcel_exit(ngx_http_conduit_cluster_t *cluster)
{
    ngx_queue_t  *q, *next;

    for (q = ngx_queue_head(&cluster->parcels);
         q != ngx_queue_sentinel(&cluster->parcels);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_http_conduit_parcel_end(
                   ngx_queue_data(q, ngx_http_conduit_leaving_t, queue));
    }
}
