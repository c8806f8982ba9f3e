
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <conduit_id.h>


/* Whole tasks, to Redis and from it. */


typedef struct {
    ngx_conduit_redis_call_pt         handler;
    void                             *data;
    ngx_uint_t                        replies;     /* to come */
    unsigned                          failed:1;
} ngx_http_conduit_putting_t;


static ngx_int_t ngx_http_conduit_redis_hash(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_str_t *task,
    ngx_http_conduit_putting_t *putting);
static ngx_int_t ngx_http_conduit_redis_deliveries(
    ngx_http_conduit_redis_t *redis, ngx_http_conduit_record_t *record,
    ngx_str_t *task, ngx_http_conduit_putting_t *putting);
static ngx_uint_t ngx_http_conduit_redis_owed(
    ngx_http_conduit_record_t *record);
static ngx_int_t ngx_http_conduit_redis_orders(
    ngx_http_conduit_redis_t *redis, ngx_http_conduit_record_t *record,
    ngx_str_t *task, ngx_http_conduit_putting_t *putting);
static ngx_int_t ngx_http_conduit_redis_part(ngx_http_conduit_redis_t *redis,
    ngx_str_t *args, ngx_uint_t nargs, ngx_http_conduit_putting_t *putting);
static void ngx_http_conduit_redis_done(void *data,
    ngx_conduit_redis_reply_t *reply);


/* ms from now to the end of its TTL, at the latest */

int64_t
ngx_http_conduit_redis_life(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record)
{
    int64_t  life;

    life = record->deadline + redis->offset - ngx_http_conduit_redis_now(redis);

    if (record->status <= 1) {
        life += redis->cdmcf->task_ttl;
    }

    return ngx_max(life, 0) + NGX_HTTP_CONDUIT_REDIS_SLACK;
}


/*
 * Four commands that leave together, and one for each delivery; the handler
 * gets the last reply, or none if one of them has failed.
 */

ngx_int_t
ngx_http_conduit_redis_put(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_conduit_redis_call_pt handler,
    void *data)
{
    u_char                       buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t                    task;
    ngx_http_conduit_putting_t  *putting;

    putting = ngx_calloc(sizeof(ngx_http_conduit_putting_t), redis->log);
    if (putting == NULL) {
        return NGX_ERROR;
    }

    task = ngx_http_conduit_redis_task_key(redis, buf, record->id);

    if (ngx_http_conduit_redis_hash(redis, record, &task, putting) == NGX_OK
        && ngx_http_conduit_redis_deliveries(redis, record, &task, putting)
           == NGX_OK
        && ngx_http_conduit_redis_orders(redis, record, &task, putting)
           == NGX_OK)
    {
        putting->handler = handler;
        putting->data = data;
        return NGX_OK;
    }

    /* what has been sent is answered to nobody */

    putting->failed = 1;

    if (putting->replies == 0) {
        ngx_free(putting);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_redis_hash(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_str_t *task,
    ngx_http_conduit_putting_t *putting)
{
    u_char      *header;
    ngx_int_t    rc;
    ngx_str_t    args[2 + NGX_HTTP_CONDUIT_REDIS_FIELDS];
    ngx_uint_t   n;

    header = ngx_alloc(ngx_http_conduit_redis_header_len(record), redis->log);
    if (header == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&args[0], "HSET");
    args[1] = *task;

    n = 2 + ngx_http_conduit_redis_fields(redis, record, header, &args[2]);

    rc = ngx_http_conduit_redis_part(redis, args, n, putting);

    ngx_free(header);

    return rc;
}


ngx_uint_t
ngx_http_conduit_redis_fields(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, u_char *header, ngx_str_t *args)
{
    ngx_uint_t  n;

    n = 0;
    ngx_str_set(&args[n], "h");
    args[++n].data = header;
    args[n].len = ngx_http_conduit_redis_header(header, record, redis->offset)
                  - header;
    n++;
    ngx_str_set(&args[n], "o");
    args[++n] = redis->owner;
    n++;
    ngx_str_set(&args[n], "k");
    args[++n] = record->key;
    n++;
    ngx_str_set(&args[n], "d");
    args[++n] = record->document;
    n++;
    ngx_str_set(&args[n], "r");
    args[++n] = record->run;
    n++;
    ngx_str_set(&args[n], "q");
    args[++n] = record->request;

    if (record->webhook.len) {
        n++;
        ngx_str_set(&args[n], "w");
        args[++n] = record->webhook;
    }

    return n + 1;
}


static ngx_int_t
ngx_http_conduit_redis_deliveries(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_str_t *task,
    ngx_http_conduit_putting_t *putting)
{
    u_char                          buf[NGX_INT64_LEN + 1
                                        + NGX_HTTP_CONDUIT_REDIS_NAME], *p;
    ngx_int_t                       rc;
    ngx_str_t                       args[8], *last;
    ngx_uint_t                      i;
    ngx_http_conduit_hook_texts_t   texts;

    p = ngx_sprintf(buf, "%ui ", record->nhooks_kept);

    if (ngx_http_conduit_redis_owed(record)) {
        p = ngx_cpymem(p, redis->owner.data, redis->owner.len);
    }

    for (i = 0; i < record->nhooks_kept; i++) {
        ngx_str_set(&args[0], "HSET");
        args[1] = *task;
        ngx_str_set(&args[2], "p");
        args[3].data = buf;
        args[3].len = p - buf;

        last = ngx_http_conduit_redis_hook_fields(&args[4], &texts,
                                                  &record->hooks_kept[i],
                                                  redis->offset);

        rc = ngx_http_conduit_redis_part(redis, args, last - args, putting);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* is there anything to be delivered? */

static ngx_uint_t
ngx_http_conduit_redis_owed(ngx_http_conduit_record_t *record)
{
    ngx_uint_t  i;

    for (i = 0; i < record->nhooks_kept; i++) {
        if (record->hooks_kept[i].state == NGX_HTTP_CONDUIT_HOOK_PENDING) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_conduit_redis_orders(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_str_t *task,
    ngx_http_conduit_putting_t *putting)
{
    u_char     buf[NGX_HTTP_CONDUIT_REDIS_NAME], number[NGX_INT64_LEN];
    u_char     id[CONDUIT_UUID_LEN];
    ngx_int_t  rc;
    ngx_str_t  args[4];

    conduit_uuid_write(id, record->id);

    ngx_str_set(&args[0], "PEXPIRE");
    args[1] = *task;
    args[2].data = number;
    args[2].len = ngx_sprintf(number, "%L",
                              ngx_http_conduit_redis_life(redis, record))
                  - number;

    rc = ngx_http_conduit_redis_part(redis, args, 3, putting);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&args[0], "ZADD");
    args[1] = ngx_http_conduit_redis_index(redis, buf, record->id[0],
                                           &record->key);
    args[2].len = ngx_sprintf(number, "%uL", record->number) - number;
    args[3].data = id;
    args[3].len = CONDUIT_UUID_LEN;

    rc = ngx_http_conduit_redis_part(redis, args, 4, putting);

    if (rc != NGX_OK
        || (record->status > 1 && !ngx_http_conduit_redis_owed(record)))
    {
        return rc;
    }

    args[1] = ngx_http_conduit_redis_leases(redis, buf, record->id[0]);
    args[2].len = ngx_sprintf(number, "%L", ngx_http_conduit_redis_now(redis)
                                            + NGX_HTTP_CONDUIT_LEASE)
                  - number;

    return ngx_http_conduit_redis_part(redis, args, 4, putting);
}


static ngx_int_t
ngx_http_conduit_redis_part(ngx_http_conduit_redis_t *redis, ngx_str_t *args,
    ngx_uint_t nargs, ngx_http_conduit_putting_t *putting)
{
    ngx_int_t  rc;

    rc = ngx_conduit_redis_call(&redis->calls, args, nargs,
                                ngx_http_conduit_redis_done, putting);

    if (rc == NGX_OK) {
        putting->replies++;
    }

    return rc;
}


static void
ngx_http_conduit_redis_done(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_putting_t  *putting = data;

    if (ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_INTEGER) {
        putting->failed = 1;
    }

    if (--putting->replies) {
        return;
    }

    if (putting->handler) {
        putting->handler(putting->data, putting->failed ? NULL : reply);
    }

    ngx_free(putting);
}


ngx_int_t
ngx_http_conduit_redis_record(ngx_http_conduit_redis_t *redis,
    ngx_conduit_redis_reply_t *reply, u_char *id,
    ngx_http_conduit_record_t *record, ngx_str_t *owner)
{
    ngx_str_t                   header, name;
    ngx_uint_t                  i;
    ngx_conduit_redis_reply_t  *field;

    if (ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_ARRAY) {
        return NGX_ERROR;
    }

    ngx_memzero(record, sizeof(ngx_http_conduit_record_t));
    ngx_memcpy(record->id, id, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_str_null(&header);
    ngx_str_null(owner);

    for (i = 0; ; i += 2) {
        field = ngx_conduit_redis_at(reply, i);

        if (field == NULL) {
            break;
        }

        name = ngx_conduit_redis_text(field);
        field = ngx_conduit_redis_at(reply, i + 1);

        switch (name.len == 1 ? name.data[0] : '\0') {

        case 'h':
            header = ngx_conduit_redis_text(field);
            break;

        case 'o':
            *owner = ngx_conduit_redis_text(field);
            break;

        case 'l':
            record->leased = ngx_conduit_redis_text(field);
            break;

        case 'j':
            name = ngx_conduit_redis_text(field);
            record->jumps = (uint32_t) ngx_max(ngx_atoi(name.data, name.len),
                                               0);
            break;

        case 'k':
            record->key = ngx_conduit_redis_text(field);
            break;

        case 'd':
            record->document = ngx_conduit_redis_text(field);
            break;

        case 'r':
            record->run = ngx_conduit_redis_text(field);
            break;

        case 'q':
            record->request = ngx_conduit_redis_text(field);
            break;

        case 'w':
            record->webhook = ngx_conduit_redis_text(field);
            break;
        }
    }

    if (header.len == 0 || record->key.len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_conduit_redis_parse(record, &header, redis->offset) != NGX_OK
        || ngx_http_conduit_redis_check_texts(record) != NGX_OK
        || record->head_len > record->run.len
        || (uint64_t) record->prompt_off + record->prompt_len
           > record->request.len)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
