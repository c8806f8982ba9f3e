
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>
#include <conduit_token.h>


/* Sessions at the host that is asked for them; one process of it answers. */


/* what clocks that agree may differ by, ms */

#define NGX_HTTP_CONDUIT_ASK_AGREE  100


static ngx_uint_t ngx_http_conduit_ask_leads(ngx_http_conduit_zone_t *zone);
static ngx_int_t ngx_http_conduit_ask_parse(ngx_http_conduit_asked_t *asked,
    ngx_str_t *payload);
static ngx_msec_t ngx_http_conduit_ask_age(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_asked_t *asked);


void
ngx_http_conduit_cluster_ask(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    ngx_str_t                         *owner;
    ngx_http_conduit_asked_t           asked;
    ngx_http_conduit_session_e         rc;
    ngx_http_conduit_main_conf_t      *cdmcf;
    ngx_http_conduit_session_want_t    want;

    cdmcf = cluster->cdmcf;
    owner = &cluster->redis->owner;

    /* one that leads no more may listen still: bytes must not come twice */

    if (!ngx_http_conduit_ask_leads(&cdmcf->zone)
        || ngx_http_conduit_ask_parse(&asked, payload) != NGX_OK
        || ngx_http_conduit_ask_left(cluster, &asked) == 0)
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

    want.id = asked.id;
    want.kind = asked.kind;
    want.transport = asked.transport;
    want.verb = asked.verb;
    want.age = ngx_http_conduit_ask_age(cluster, &asked);
    want.key = ngx_http_conduit_key_node(&cdmcf->zone, &asked.key);

    if (want.key && (want.verb == NGX_HTTP_CONDUIT_SESSION_TAKE
                     || want.verb == NGX_HTTP_CONDUIT_SESSION_SUCCEED))
    {
        ngx_http_conduit_parcel_send(cluster, &asked, &want);
        return;
    }

    rc = want.key ? ngx_http_conduit_ask_serve(cluster, &want,
                                               asked.data.data,
                                               asked.data.len)
                  : NGX_HTTP_CONDUIT_SESSION_NONE;

    ngx_http_conduit_ask_answer(cluster, &asked, rc, NULL);
}


/* at the host that has the session */

ngx_http_conduit_session_e
ngx_http_conduit_ask_serve(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_session_want_t *want, u_char *data, size_t len)
{
    ngx_http_conduit_news_t        news;
    ngx_http_conduit_rings_t       rings;
    ngx_http_conduit_session_e     rc;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = cluster->cdmcf;

    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));
    ngx_memzero(&rings, sizeof(ngx_http_conduit_rings_t));

    switch (want->verb) {

    case NGX_HTTP_CONDUIT_SESSION_POST:
        rc = ngx_http_conduit_session_post(&cdmcf->zone, want, data, len,
                                           4 * cdmcf->hub_message_size,
                                           &rings);
        break;

    case NGX_HTTP_CONDUIT_SESSION_DELETE:
        rc = ngx_http_conduit_session_delete(&cdmcf->zone, want, &rings);
        break;

    default:
        return ngx_http_conduit_session_here(&cdmcf->zone, want)
               ? NGX_HTTP_CONDUIT_SESSION_OK : NGX_HTTP_CONDUIT_SESSION_NONE;
    }

    news.wake = rings.wake;
    news.here = rings.here;

    ngx_http_conduit_news_spread(cdmcf->engine, want->id, &news);

    return rc;
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
    u_char         *p, *last, *end, *comma;
    uint64_t        kind, transport, until, age;
    ngx_str_t       word;
    conduit_str_t   id;

    p = payload->data;
    last = p + payload->len;

    (void) ngx_http_conduit_ask_word(&p, last, ' ');

    word = ngx_http_conduit_ask_word(&p, last, ' ');

    if (word.len != 1
        || ngx_strlchr((u_char *) "pdts", (u_char *) "pdts" + 4, word.data[0])
           == NULL)
    {
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
    end = word.data + word.len;
    comma = ngx_http_conduit_ask_number(word.data, end, &kind);
    comma = ngx_http_conduit_ask_number(comma + 1, end, &transport);
    comma = ngx_http_conduit_ask_number(comma + 1, end, &until);
    (void) ngx_http_conduit_ask_number(comma + 1, end, &age);

    asked->kind = (ngx_uint_t) kind;
    asked->transport = (ngx_uint_t) transport;
    asked->until = (int64_t) until;
    asked->age = (int64_t) age;

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

ngx_str_t
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


/* ms until nobody waits for the answer any more */

ngx_msec_t
ngx_http_conduit_ask_left(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked)
{
    int64_t  left;

    left = asked->until - ngx_http_conduit_redis_now(cluster->redis);

    return (ngx_msec_t) ngx_max(0, ngx_min(left, NGX_HTTP_CONDUIT_ROAM_WAIT));
}


/* of a successor, now; rather more than less */

static ngx_msec_t
ngx_http_conduit_ask_age(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked)
{
    int64_t  age;

    age = asked->age
          - (asked->until - ngx_http_conduit_redis_now(cluster->redis));

    return (ngx_msec_t) (ngx_max(age, 0) + NGX_HTTP_CONDUIT_ASK_AGREE);
}


u_char *
ngx_http_conduit_ask_number(u_char *p, u_char *last, uint64_t *n)
{
    *n = 0;

    while (p < last && *p >= '0' && *p <= '9') {
        *n = *n * 10 + (*p++ - '0');
    }

    return p;
}


/* parcel: what follows the result, or NULL */

void
ngx_http_conduit_ask_answer(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_http_conduit_session_e rc,
    ngx_str_t *parcel)
{
    u_char     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char     text[NGX_INT64_LEN + 1 + NGX_INT_T_LEN], *p;
    ngx_str_t  channel, message;

    p = ngx_sprintf(text, "%uL %ui", asked->number, (ngx_uint_t) rc);

    message.data = text;
    message.len = p - text;

    channel = ngx_http_conduit_redis_name(cluster->redis, buf, "session",
                                          &asked->asker);

    if (parcel == NULL) {
        ngx_http_conduit_cluster_publish(cluster, &channel, &message);
        return;
    }

    message.data = ngx_alloc(message.len + parcel->len, cluster->log);
    if (message.data == NULL) {
        return;
    }

    p = ngx_cpymem(message.data, text, message.len);
    ngx_memcpy(p, parcel->data, parcel->len);
    message.len += parcel->len;

    ngx_http_conduit_cluster_publish(cluster, &channel, &message);

    ngx_free(message.data);
}
