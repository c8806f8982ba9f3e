
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_peers.h>


/*
 * A worker may report at any host.  One that does not have the task asks for it
 * (see the borrowing).  The owner looks whether the key holds the lease, gives
 * the task away in Redis, with all that Redis did not know of it, and says so:
 * "lent ID".  Or it answers that there is no such lease, or that it has given
 * the task away already.
 */


#define NGX_HTTP_CONDUIT_LEND_ASKER                                           \
    (NGX_HTTP_CONDUIT_OWNER_LEN + 1 + NGX_INT64_LEN)


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_asked_t          asked;
    ngx_str_t                         owner;       /* the next one */
    u_char                            asker[NGX_HTTP_CONDUIT_LEND_ASKER];
} ngx_http_conduit_lend_t;


static ngx_int_t ngx_http_conduit_lend_parse(ngx_http_conduit_asked_t *asked,
    uint64_t *lease, ngx_str_t *owner, ngx_str_t *payload);
static ngx_int_t ngx_http_conduit_lend(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_str_t *owner, uint64_t lease);
static ngx_int_t ngx_http_conduit_lend_call(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_record_t *record,
    ngx_http_conduit_asked_t *asked, ngx_str_t *owner, ngx_str_t *leased);
static void ngx_http_conduit_lend_done(void *data,
    ngx_conduit_redis_reply_t *reply);


void
ngx_http_conduit_cluster_lend(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload)
{
    uint64_t                      lease;
    ngx_int_t                     rc;
    ngx_str_t                     owner;
    ngx_uint_t                    status, attempts;
    ngx_http_conduit_asked_t      asked;
    ngx_http_conduit_key_node_t  *key;
    ngx_http_conduit_provider_t  *provider;

    if (ngx_http_conduit_lend_parse(&asked, &lease, &owner, payload)
        != NGX_OK)
    {
        return;
    }

    key = ngx_http_conduit_key_node(&cluster->cdmcf->zone, &asked.key);

    rc = key ? ngx_http_conduit_task_held(cluster->cdmcf, key, asked.id,
                                          &lease, &status, &attempts,
                                          &provider)
             : NGX_HTTP_CONDUIT_LEASE_LOST;

    switch (rc) {

    case NGX_OK:
        (void) ngx_http_conduit_lend(cluster, &asked, &owner, lease);
        return;

    case NGX_AGAIN:
        ngx_http_conduit_ask_answer(cluster, &asked,
                                    NGX_HTTP_CONDUIT_SESSION_MOVED, NULL);
        return;

    case NGX_HTTP_CONDUIT_LEASE_LOST:
        ngx_http_conduit_ask_answer(cluster, &asked,
                                    NGX_HTTP_CONDUIT_SESSION_NONE, NULL);
        return;

    default:

        /* its end is announced; one that is not here will be somewhere */

        return;
    }
}


/* borrow ID NUMBER LEASE OWNER/PID KEY */

static ngx_int_t
ngx_http_conduit_lend_parse(ngx_http_conduit_asked_t *asked, uint64_t *lease,
    ngx_str_t *owner, ngx_str_t *payload)
{
    u_char     *p, *last;
    ngx_str_t   word;

    p = payload->data;
    last = p + payload->len;

    (void) ngx_http_conduit_ask_word(&p, last, ' ');

    word = ngx_http_conduit_ask_word(&p, last, ' ');

    if (conduit_uuid_parse(asked->id, word.data, word.len) != CONDUIT_OK) {
        return NGX_ERROR;
    }

    word = ngx_http_conduit_ask_word(&p, last, ' ');
    (void) ngx_http_conduit_ask_number(word.data, word.data + word.len,
                                       &asked->number);

    word = ngx_http_conduit_ask_word(&p, last, ' ');
    (void) ngx_http_conduit_ask_number(word.data, word.data + word.len, lease);

    asked->asker = ngx_http_conduit_ask_word(&p, last, ' ');
    asked->key.data = p;
    asked->key.len = last - p;

    *owner = asked->asker;

    while (owner->len && owner->data[owner->len - 1] != '/') {
        owner->len--;
    }

    if (owner->len < 2 || --owner->len > NGX_HTTP_CONDUIT_OWNER_LEN) {
        return NGX_ERROR;
    }

    return (asked->asker.len <= NGX_HTTP_CONDUIT_LEND_ASKER
            && asked->key.len && asked->key.len <= NGX_HTTP_CONDUIT_NAME_LEN)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_lend(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_str_t *owner, uint64_t lease)
{
    u_char                      text[NGX_INT64_LEN + 1
                                     + NGX_HTTP_CONDUIT_NAME_LEN];
    ngx_int_t                   rc;
    ngx_str_t                   leased;
    ngx_pool_t                 *pool;
    ngx_http_conduit_record_t   record;

    pool = ngx_create_pool(4096, cluster->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    leased.data = text;
    leased.len = ngx_sprintf(text, "%uL %V", lease, &asked->key) - text;

    rc = ngx_http_conduit_task_record(cluster->cdmcf, asked->id, pool, 0,
                                      &record);
    if (rc == NGX_OK) {
        rc = ngx_http_conduit_lend_call(cluster, &record, asked, owner,
                                        &leased);
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
ngx_http_conduit_lend_call(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_record_t *record, ngx_http_conduit_asked_t *asked,
    ngx_str_t *owner, ngx_str_t *leased)
{
    u_char                     task[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     leases[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     id[CONDUIT_UUID_LEN], length[NGX_INT_T_LEN];
    u_char                    *header;
    ngx_int_t                  rc;
    ngx_str_t                  args[15];
    ngx_http_conduit_lend_t   *lend;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;

    lend = ngx_alloc(sizeof(ngx_http_conduit_lend_t)
                     + ngx_http_conduit_redis_header_len(record),
                     redis->log);
    if (lend == NULL) {
        return NGX_ERROR;
    }

    lend->cluster = cluster;
    lend->asked = *asked;
    lend->asked.asker.data = lend->asker;
    lend->owner.data = lend->asker;
    lend->owner.len = owner->len;
    ngx_memcpy(lend->asker, asked->asker.data, asked->asker.len);

    header = (u_char *) lend + sizeof(ngx_http_conduit_lend_t);

    conduit_uuid_write(id, record->id);

    ngx_str_set(&args[2], "2");
    args[3] = ngx_http_conduit_redis_task_key(redis, task, record->id);
    args[4] = ngx_http_conduit_redis_leases(redis, leases, record->id[0]);
    args[5] = redis->owner;
    args[6] = *owner;
    args[7].data = id;
    args[7].len = CONDUIT_UUID_LEN;
    args[8].data = length;
    args[8].len = ngx_sprintf(length, "%ui",
                              (ngx_uint_t) NGX_HTTP_CONDUIT_LEASE)
                  - length;
    ngx_str_set(&args[9], "l");
    args[10] = *leased;
    ngx_str_set(&args[11], "h");
    args[12].data = header;
    args[12].len = ngx_http_conduit_redis_header(header, record,
                                                 redis->offset)
                   - header;
    ngx_str_set(&args[13], "d");
    args[14] = record->document;

    rc = ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_LEND,
                                       args, 15, ngx_http_conduit_lend_done,
                                       lend);
    if (rc != NGX_OK) {
        ngx_free(lend);
    }

    return rc;
}


static void
ngx_http_conduit_lend_done(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_lend_t  *lend = data;

    u_char                      *id;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = lend->cluster;
    id = lend->asked.id;

    if (ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_INTEGER) {

        if (ngx_conduit_redis_number(reply)) {
            ngx_http_conduit_lease_fetch(cluster, id,
                                         NGX_HTTP_CONDUIT_ABSORB_SEEN, NULL);
            ngx_http_conduit_cluster_tell(cluster, &lend->owner, "lent", id);

        } else {
            ngx_http_conduit_ask_answer(cluster, &lend->asked,
                                        NGX_HTTP_CONDUIT_SESSION_MOVED, NULL);
        }
    }

    ngx_free(lend);
}
