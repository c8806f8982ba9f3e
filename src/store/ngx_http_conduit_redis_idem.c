
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <conduit_id.h>


/*
 * Idempotency-Keys of all hosts.  A create that has one makes task and record
 * in a single script, so that there is never one without the other, and of
 * requests that come to several hosts at once one makes it.  Who waits for
 * the end of a synchronous create says so as long as it does.
 */


/* what stands before the fields of the task that CREATE makes */

#define NGX_HTTP_CONDUIT_CREATE_ARGS  17

_Static_assert(NGX_HTTP_CONDUIT_CREATE_ARGS + NGX_HTTP_CONDUIT_REDIS_FIELDS
               <= NGX_CONDUIT_REDIS_ARGS,
               "all arguments of a script have to fit into one call");


/* a hold that this process renews */

typedef struct {
    ngx_queue_t                       queue;
    ngx_msec_t                        renewed;
    u_char                            digest[32];
} ngx_http_conduit_hold_t;


typedef struct {
    ngx_http_conduit_redis_t         *redis;
    ngx_http_conduit_store_pt         handler;     /* NULL: nobody waits */
    void                             *data;
} ngx_http_conduit_settle_t;


static ngx_uint_t ngx_http_conduit_redis_create_args(
    ngx_http_conduit_redis_t *redis, ngx_http_conduit_record_t *record,
    u_char *buf, ngx_str_t *args);
static ngx_int_t ngx_http_conduit_redis_used(
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_used_t *used);
static ngx_int_t ngx_http_conduit_redis_settle_call(
    ngx_http_conduit_redis_t *redis, u_char *digest, ngx_str_t *how,
    ngx_str_t *reply, ngx_http_conduit_store_pt handler, void *data);
static void ngx_http_conduit_redis_settled(void *data,
    ngx_conduit_redis_reply_t *reply);


ngx_int_t
ngx_http_conduit_redis_create(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_conduit_redis_call_pt handler,
    void *data)
{
    u_char      *buf, *header;
    ngx_int_t    rc;
    ngx_str_t    args[NGX_CONDUIT_REDIS_ARGS];
    ngx_uint_t   n;

    buf = ngx_alloc(5 * NGX_HTTP_CONDUIT_REDIS_NAME
                    + ngx_http_conduit_redis_header_len(record), redis->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    header = buf + 5 * NGX_HTTP_CONDUIT_REDIS_NAME;

    n = ngx_http_conduit_redis_create_args(redis, record, buf, args);

    if (!record->look) {
        n += ngx_http_conduit_redis_fields(redis, record, header, &args[n]);
    }

    rc = ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_CREATE,
                                       args, n, handler, data);
    ngx_free(buf);

    return rc;
}


/* all but the fields; buf has room for five names */

static ngx_uint_t
ngx_http_conduit_redis_create_args(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, u_char *buf, ngx_str_t *args)
{
    u_char  *p;

    ngx_str_set(&args[2], "4");
    args[3] = ngx_http_conduit_redis_idem(redis, buf, record->digest);
    buf += NGX_HTTP_CONDUIT_REDIS_NAME;
    args[4] = ngx_http_conduit_redis_task_key(redis, buf, record->id);
    buf += NGX_HTTP_CONDUIT_REDIS_NAME;
    args[5] = ngx_http_conduit_redis_leases(redis, buf, record->id[0]);
    buf += NGX_HTTP_CONDUIT_REDIS_NAME;
    args[6] = ngx_http_conduit_redis_index(redis, buf, record->id[0],
                                           &record->key);
    p = buf + NGX_HTTP_CONDUIT_REDIS_NAME;

    args[7].data = p;
    p = ngx_hex_dump(p, record->fingerprint, 32);
    args[7].len = p - args[7].data;

    args[8].len = CONDUIT_UUID_LEN;
    args[8].data = args[4].data + args[4].len - CONDUIT_UUID_LEN;

    args[9] = redis->owner;

    args[10].data = p;
    p = ngx_sprintf(p, "%ui", (ngx_uint_t) NGX_HTTP_CONDUIT_LEASE);
    args[10].len = p - args[10].data;

    args[11].data = p;
    p = ngx_sprintf(p, "%ui", (ngx_uint_t) NGX_HTTP_CONDUIT_IDEM_TIME);
    args[11].len = p - args[11].data;

    args[12].data = p;
    p = ngx_sprintf(p, "%L", ngx_http_conduit_redis_life(redis, record));
    args[12].len = p - args[12].data;

    args[13].data = p;
    p = ngx_sprintf(p, "%ui", record->code);
    args[13].len = p - args[13].data;

    args[14] = record->reply;

    args[15].data = p;
    p = ngx_sprintf(p, "%uL", record->number);
    args[15].len = p - args[15].data;

    /* what stands before an id in the name of a task */

    args[16].data = args[4].data;
    args[16].len = args[4].len - CONDUIT_UUID_LEN;

    return NGX_HTTP_CONDUIT_CREATE_ARGS;
}


ngx_int_t
ngx_http_conduit_redis_created(ngx_conduit_redis_reply_t *reply,
    ngx_http_conduit_used_t *used)
{
    switch (ngx_conduit_redis_type(reply)) {

    case NGX_CONDUIT_REDIS_INTEGER:
        return ngx_conduit_redis_number(reply) ? NGX_OK : NGX_DECLINED;

    case NGX_CONDUIT_REDIS_ARRAY:
        return ngx_http_conduit_redis_used(reply, used);

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_http_conduit_redis_used(ngx_conduit_redis_reply_t *reply,
    ngx_http_conduit_used_t *used)
{
    int64_t    what;
    ngx_str_t  id;

    ngx_memzero(used, sizeof(ngx_http_conduit_used_t));

    what = ngx_conduit_redis_number(ngx_conduit_redis_at(reply, 0));
    id = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 1));

    if (conduit_uuid_parse(used->id, id.data, id.len) != CONDUIT_OK) {
        return NGX_ERROR;
    }

    used->mismatch = (what == 0);
    used->busy = (what == 2);
    used->code = (ngx_uint_t) ngx_conduit_redis_number(
                                             ngx_conduit_redis_at(reply, 2));
    used->reply = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 3));

    if (used->code && (used->code < 200 || used->code > 599)) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


/* should there be no memory the hold runs out: others may wait, too */

void
ngx_http_conduit_redis_hold(ngx_http_conduit_redis_t *redis, u_char *digest)
{
    ngx_http_conduit_hold_t  *hold;

    hold = ngx_alloc(sizeof(ngx_http_conduit_hold_t), redis->log);
    if (hold == NULL) {
        return;
    }

    hold->renewed = ngx_current_msec;
    ngx_memcpy(hold->digest, digest, sizeof(hold->digest));

    ngx_queue_insert_tail(&redis->held, &hold->queue);
}


void
ngx_http_conduit_redis_holds(ngx_http_conduit_redis_t *redis)
{
    u_char                    buf[NGX_INT_T_LEN];
    ngx_str_t                 how;
    ngx_queue_t              *q;
    ngx_http_conduit_hold_t  *hold;

    how.data = buf;
    how.len = ngx_sprintf(buf, "%ui", (ngx_uint_t) NGX_HTTP_CONDUIT_LEASE)
              - buf;

    for (q = ngx_queue_head(&redis->held);
         q != ngx_queue_sentinel(&redis->held);
         q = ngx_queue_next(q))
    {
        hold = ngx_queue_data(q, ngx_http_conduit_hold_t, queue);

        if (ngx_current_msec - hold->renewed < NGX_HTTP_CONDUIT_LEASE_RENEW) {
            continue;
        }

        hold->renewed = ngx_current_msec;

        (void) ngx_http_conduit_redis_settle_call(redis, hold->digest, &how,
                                                  NULL, NULL, NULL);
    }
}


/* what cannot be told now is found when the hold has run out */

ngx_int_t
ngx_http_conduit_redis_settle(ngx_http_conduit_redis_t *redis,
    u_char *digest, ngx_uint_t code, ngx_str_t *reply,
    ngx_http_conduit_store_pt handler, void *data)
{
    u_char                    buf[NGX_INT_T_LEN];
    ngx_str_t                 how;
    ngx_queue_t              *q;
    ngx_http_conduit_hold_t  *hold;

    for (q = ngx_queue_head(&redis->held);
         q != ngx_queue_sentinel(&redis->held);
         q = ngx_queue_next(q))
    {
        hold = ngx_queue_data(q, ngx_http_conduit_hold_t, queue);

        if (ngx_memcmp(hold->digest, digest, sizeof(hold->digest)) == 0) {
            ngx_queue_remove(q);
            ngx_free(hold);
            break;
        }
    }

    how.data = buf;
    how.len = ngx_sprintf(buf, "%ui", code) - buf;

    if (reply == NULL) {
        ngx_str_set(&how, "none");

    } else if (code == 0) {
        reply = NULL;
    }

    return ngx_http_conduit_redis_settle_call(redis, digest, &how, reply,
                                              handler, data);
}


static ngx_int_t
ngx_http_conduit_redis_settle_call(ngx_http_conduit_redis_t *redis,
    u_char *digest, ngx_str_t *how, ngx_str_t *reply,
    ngx_http_conduit_store_pt handler, void *data)
{
    u_char                      buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t                   args[7];
    ngx_uint_t                  n;
    ngx_http_conduit_settle_t  *settle;

    settle = ngx_alloc(sizeof(ngx_http_conduit_settle_t), redis->log);
    if (settle == NULL) {
        return NGX_ERROR;
    }

    settle->redis = redis;
    settle->handler = handler;
    settle->data = data;

    ngx_str_set(&args[2], "1");
    args[3] = ngx_http_conduit_redis_idem(redis, buf, digest);
    args[4] = redis->owner;
    args[5] = *how;
    n = 6;

    if (reply) {
        args[n++] = *reply;
    }

    if (ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_SETTLE,
                                      args, n, ngx_http_conduit_redis_settled,
                                      settle)
        != NGX_OK)
    {
        ngx_free(settle);
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static void
ngx_http_conduit_redis_settled(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_settle_t  *settle = data;

    if (settle->handler) {
        settle->handler(settle->data, reply ? NGX_OK : NGX_ERROR);
    }

    ngx_free(settle);
}
