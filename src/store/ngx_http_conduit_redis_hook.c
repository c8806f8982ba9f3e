
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <conduit_id.h>
#include <conduit_request.h>


/*
 * Deliveries, to Redis and from it: how one stands is a line of numbers, its
 * state first, where the scripts look for it.
 */


#define NGX_HTTP_CONDUIT_HOOK_NUMBERS  12

/* deliveries of one task that are read */

#define NGX_HTTP_CONDUIT_HOOK_MOST     1024


_Static_assert(NGX_HTTP_CONDUIT_HOOK_NUMBERS * (NGX_INT64_LEN + 1)
               + 2 * NGX_HTTP_CONDUIT_ID_LEN
               <= sizeof(((ngx_http_conduit_hook_texts_t *) NULL)->line),
               "the line of a delivery has to fit its place");


typedef struct {
    ngx_http_conduit_redis_t         *redis;
    u_char                            task[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          posted;
    unsigned                          news:1;      /* one that was not there */
    unsigned                          handed:1;    /* another host's so far */
} ngx_http_conduit_hooking_t;


static u_char *ngx_http_conduit_redis_hook_line(u_char *p,
    ngx_http_conduit_kept_hook_t *hook, int64_t offset);
static void ngx_http_conduit_redis_hooked(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_redis_hook_kept(ngx_http_conduit_hooking_t *h,
    ngx_conduit_redis_reply_t *reply);
static ngx_uint_t ngx_http_conduit_redis_hook_count(
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record);
static void ngx_http_conduit_redis_hook_lines(ngx_http_conduit_redis_t *redis,
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record,
    ngx_uint_t n);
static void ngx_http_conduit_redis_hook_bodies(
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record);
static ngx_int_t ngx_http_conduit_redis_hook_parse(
    ngx_http_conduit_kept_hook_t *hook, ngx_str_t *text, int64_t offset);
static ngx_http_conduit_kept_hook_t *ngx_http_conduit_redis_hook_find(
    ngx_http_conduit_record_t *record, u_char *id);
static int ngx_libc_cdecl ngx_http_conduit_redis_hook_order(const void *one,
    const void *two);


/* e:ID and its line, b:ID and its body if there is one; the end of args */

ngx_str_t *
ngx_http_conduit_redis_hook_fields(ngx_str_t *args,
    ngx_http_conduit_hook_texts_t *texts, ngx_http_conduit_kept_hook_t *hook,
    int64_t offset)
{
    u_char  *p;

    p = ngx_cpymem(texts->line_name, "e:", 2);
    ngx_memcpy(p, hook->id, CONDUIT_BASE62_LEN);

    args->data = texts->line_name;
    args->len = sizeof(texts->line_name);
    args++;

    args->data = texts->line;
    args->len = ngx_http_conduit_redis_hook_line(texts->line, hook, offset)
                - texts->line;
    args++;

    if (hook->body.data == NULL) {
        return args;
    }

    p = ngx_cpymem(texts->body_name, "b:", 2);
    ngx_memcpy(p, hook->id, CONDUIT_BASE62_LEN);

    args->data = texts->body_name;
    args->len = sizeof(texts->body_name);
    args++;

    *args++ = hook->body;

    return args;
}


static u_char *
ngx_http_conduit_redis_hook_line(u_char *p,
    ngx_http_conduit_kept_hook_t *hook, int64_t offset)
{
    p = ngx_sprintf(p, "%ud %uL %ud %ud %ud %ud %ud %ud %uL %uL %uL %uL ",
                    (unsigned) hook->state, hook->sequence,
                    (unsigned) hook->event, (unsigned) hook->attempts,
                    (unsigned) hook->tries, (unsigned) hook->last_status,
                    (unsigned) hook->last_failure, (unsigned) hook->jose,
                    (uint64_t) hook->created, (uint64_t) hook->updated,
                    (uint64_t) hook->delivered,
                    (uint64_t) (hook->next + offset));

    return ngx_hex_dump(p, hook->origin, NGX_HTTP_CONDUIT_ID_LEN);
}


/*
 * EVALSHA HOOK: how a delivery stands, or one that Redis may lack, if it comes
 * with its body.
 */

ngx_int_t
ngx_http_conduit_redis_hook(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_kept_hook_t *hook)
{
    u_char                          task[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                          leases[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                          id[CONDUIT_UUID_LEN];
    u_char                          numbers[3][NGX_INT64_LEN];
    int64_t                         life;
    ngx_str_t                       args[20], *arg;
    ngx_http_conduit_hooking_t     *hooking;
    ngx_http_conduit_hook_texts_t   texts;

    hooking = ngx_calloc(sizeof(ngx_http_conduit_hooking_t), redis->log);
    if (hooking == NULL) {
        return NGX_ERROR;
    }

    hooking->redis = redis;
    hooking->posted = hook->posted;
    hooking->news = (hook->again || hook->body.data);
    hooking->handed = hook->handed;
    ngx_memcpy(hooking->task, hook->task, NGX_HTTP_CONDUIT_ID_LEN);

    conduit_uuid_write(id, hook->task);

    arg = &args[2];

    ngx_str_set(arg, "2");
    *++arg = ngx_http_conduit_redis_task_key(redis, task, hook->task);
    *++arg = ngx_http_conduit_redis_leases(redis, leases, hook->task[0]);
    *++arg = redis->owner;

    (++arg)->data = numbers[0];
    arg->len = ngx_sprintf(numbers[0], "%uL", hook->posted) - numbers[0];

    arg++;

    if (hook->owed) {
        ngx_str_set(arg, "1");

    } else {
        ngx_str_set(arg, "0");
    }

    (++arg)->data = numbers[1];
    arg->len = ngx_sprintf(numbers[1], "%L", ngx_http_conduit_redis_now(redis)
                                             + NGX_HTTP_CONDUIT_LEASE)
               - numbers[1];

    (++arg)->data = id;
    arg->len = CONDUIT_UUID_LEN;

    /* what goes on beyond the end of its task keeps that in Redis */

    life = 0;

    if (hook->owed && hook->next > hook->deadline) {
        life = hook->next + redis->offset - ngx_http_conduit_redis_now(redis)
               + NGX_HTTP_CONDUIT_REDIS_SLACK;
    }

    (++arg)->data = numbers[2];
    arg->len = ngx_sprintf(numbers[2], "%L", life) - numbers[2];

    arg++;

    if (hook->again) {
        ngx_str_set(arg, "again");

    } else {
        ngx_str_set(arg, "");
    }

    arg = ngx_http_conduit_redis_hook_fields(arg + 1, &texts, hook,
                                             redis->offset);

    if (ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_HOOK,
                                      args, arg - args,
                                      ngx_http_conduit_redis_hooked, hooking)
        != NGX_OK)
    {
        ngx_free(hooking);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_conduit_redis_hooked(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_hooking_t  *hooking = data;

    ngx_http_conduit_redis_t  *redis;

    redis = hooking->redis;

    switch (ngx_conduit_redis_type(reply)) {

    case NGX_CONDUIT_REDIS_ARRAY:
        ngx_http_conduit_redis_hook_kept(hooking, reply);
        break;

    case NGX_CONDUIT_REDIS_INTEGER:

        if (ngx_conduit_redis_number(reply) == -1) {

            if (redis->events.lost) {
                redis->events.lost(redis, hooking->task);
            }

        } else if (redis->events.stale) {
            redis->events.stale(redis, hooking->task);
        }

        break;

    default:
        if (redis->events.unsaved) {
            redis->events.unsaved(redis, hooking->task, 0);
        }
    }

    ngx_free(hooking);
}


/* how many events of the task there have been, whose they are, and the lease */

static void
ngx_http_conduit_redis_hook_kept(ngx_http_conduit_hooking_t *hooking,
    ngx_conduit_redis_reply_t *reply)
{
    uint64_t                   posted;
    ngx_str_t                  courier, owner;
    ngx_http_conduit_redis_t  *redis;

    redis = hooking->redis;

    posted = ngx_conduit_redis_number(ngx_conduit_redis_at(reply, 0));
    courier = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 1));
    owner = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 3));

    /* who has the task answers for it, and does not follow it */

    if (!ngx_http_conduit_redis_mine(redis, &owner) && redis->events.foreign) {
        redis->events.foreign(redis, hooking->task, &owner);
    }

    if (courier.len && !ngx_http_conduit_redis_mine(redis, &courier)) {

        if (redis->events.foreign) {
            redis->events.foreign(redis, hooking->task, &courier);
        }

        if (redis->events.stale) {
            redis->events.stale(redis, hooking->task);
        }

        return;
    }

    /* one that somebody else has posted, or has delivered before, is read */

    if (posted > hooking->posted + (hooking->news ? 1 : 0)
        || (courier.len && hooking->handed))
    {

        if (redis->events.stale) {
            redis->events.stale(redis, hooking->task);
        }

        return;
    }

    if (courier.len) {
        ngx_http_conduit_hooks_posted(redis->cdmcf, hooking->task, posted,
                 ngx_conduit_redis_number(ngx_conduit_redis_at(reply, 2)));
    }

    if (redis->events.hooked) {
        redis->events.hooked(redis, hooking->task, hooking->news);
    }
}


/* the fields that tell deliveries, of an HGETALL; freed by the caller */

ngx_int_t
ngx_http_conduit_redis_hooks(ngx_http_conduit_redis_t *redis,
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record)
{
    ngx_uint_t                     n;
    ngx_http_conduit_kept_hook_t  *hook;

    n = ngx_http_conduit_redis_hook_count(reply, record);
    n = ngx_min(n, NGX_HTTP_CONDUIT_HOOK_MOST);

    if (n == 0) {
        return NGX_OK;
    }

    hook = ngx_calloc(n * sizeof(ngx_http_conduit_kept_hook_t), redis->log);
    if (hook == NULL) {
        return NGX_ERROR;
    }

    record->hooks_kept = hook;

    ngx_http_conduit_redis_hook_lines(redis, reply, record, n);
    ngx_http_conduit_redis_hook_bodies(reply, record);

    ngx_qsort(record->hooks_kept, record->nhooks_kept,
              sizeof(ngx_http_conduit_kept_hook_t),
              ngx_http_conduit_redis_hook_order);

    return NGX_OK;
}


/* how many deliveries are told; who has posted how much is read on the way */

static ngx_uint_t
ngx_http_conduit_redis_hook_count(ngx_conduit_redis_reply_t *reply,
    ngx_http_conduit_record_t *record)
{
    u_char                     *p;
    ngx_str_t                   name, text;
    ngx_uint_t                  i, n;
    ngx_conduit_redis_reply_t  *field;

    n = 0;

    for (i = 0; /* void */ ; i += 2) {
        field = ngx_conduit_redis_at(reply, i);

        if (field == NULL) {
            break;
        }

        name = ngx_conduit_redis_text(field);
        text = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, i + 1));

        if (name.len == 1 && name.data[0] == 'p') {
            p = ngx_strlchr(text.data, text.data + text.len, ' ');

            if (p) {
                record->posted = ngx_max(ngx_atoi(text.data, p - text.data),
                                         0);
                record->courier.data = p + 1;
                record->courier.len = text.data + text.len - p - 1;
            }

        } else if (name.len == 2 + CONDUIT_BASE62_LEN
                   && name.data[0] == 'e')
        {
            n++;
        }
    }

    return n;
}


/* a line that cannot be read is left out */

static void
ngx_http_conduit_redis_hook_lines(ngx_http_conduit_redis_t *redis,
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record,
    ngx_uint_t n)
{
    ngx_str_t                      name, text;
    ngx_uint_t                     i;
    ngx_conduit_redis_reply_t     *field;
    ngx_http_conduit_kept_hook_t  *hook;

    hook = record->hooks_kept;

    for (i = 0; record->nhooks_kept < n; i += 2) {
        field = ngx_conduit_redis_at(reply, i);

        if (field == NULL) {
            break;
        }

        name = ngx_conduit_redis_text(field);

        if (name.len != 2 + CONDUIT_BASE62_LEN || name.data[0] != 'e') {
            continue;
        }

        text = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, i + 1));

        if (ngx_http_conduit_redis_hook_parse(hook, &text, redis->offset)
            == NGX_OK)
        {
            ngx_memcpy(hook->id, name.data + 2, CONDUIT_BASE62_LEN);
            record->nhooks_kept++;
            hook++;
        }
    }
}


static void
ngx_http_conduit_redis_hook_bodies(ngx_conduit_redis_reply_t *reply,
    ngx_http_conduit_record_t *record)
{
    ngx_str_t                      name;
    ngx_uint_t                     i;
    ngx_conduit_redis_reply_t     *field;
    ngx_http_conduit_kept_hook_t  *hook;

    for (i = 0; /* void */ ; i += 2) {
        field = ngx_conduit_redis_at(reply, i);

        if (field == NULL) {
            break;
        }

        name = ngx_conduit_redis_text(field);

        if (name.len == 2 + CONDUIT_BASE62_LEN && name.data[0] == 'b') {
            hook = ngx_http_conduit_redis_hook_find(record, name.data + 2);

            if (hook) {
                hook->body = ngx_conduit_redis_text(
                                          ngx_conduit_redis_at(reply, i + 1));
            }
        }
    }
}


static ngx_http_conduit_kept_hook_t *
ngx_http_conduit_redis_hook_find(ngx_http_conduit_record_t *record,
    u_char *id)
{
    ngx_uint_t  i;

    for (i = 0; i < record->nhooks_kept; i++) {
        if (ngx_memcmp(record->hooks_kept[i].id, id, CONDUIT_BASE62_LEN)
            == 0)
        {
            return &record->hooks_kept[i];
        }
    }

    return NULL;
}


static int ngx_libc_cdecl
ngx_http_conduit_redis_hook_order(const void *one, const void *two)
{
    const ngx_http_conduit_kept_hook_t  *a = one, *b = two;

    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}


static ngx_int_t
ngx_http_conduit_redis_hook_parse(ngx_http_conduit_kept_hook_t *hook,
    ngx_str_t *text, int64_t offset)
{
    u_char      *p, *last;
    uint64_t     n[NGX_HTTP_CONDUIT_HOOK_NUMBERS];
    ngx_int_t    byte;
    ngx_uint_t   i;

    p = text->data;
    last = p + text->len;

    for (i = 0; i < NGX_HTTP_CONDUIT_HOOK_NUMBERS; i++) {

        for (n[i] = 0; p < last && *p >= '0' && *p <= '9'; p++) {
            n[i] = n[i] * 10 + (*p - '0');
        }

        if (p == last || *p++ != ' ') {
            return NGX_ERROR;
        }
    }

    if (n[0] > NGX_HTTP_CONDUIT_HOOK_DROPPED
        || (n[2] != CONDUIT_HOOK_STARTED && n[2] != CONDUIT_HOOK_COMPLETED
            && n[2] != CONDUIT_HOOK_FAILED && n[2] != CONDUIT_HOOK_CANCELLED)
        || n[3] > 65535 || n[4] > 65535 || n[5] > 999
        || n[6] >= CONDUIT_FAIL_N || last - p != 2 * NGX_HTTP_CONDUIT_ID_LEN)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_ID_LEN; i++) {
        byte = ngx_hextoi(p + 2 * i, 2);

        if (byte == NGX_ERROR) {
            return NGX_ERROR;
        }

        hook->origin[i] = (u_char) byte;
    }

    hook->state = (u_char) n[0];
    hook->sequence = n[1];
    hook->event = (u_char) n[2];
    hook->attempts = (u_short) n[3];
    hook->tries = (u_short) n[4];
    hook->last_status = (u_short) n[5];
    hook->last_failure = (u_char) n[6];
    hook->jose = (n[7] == 1);
    hook->created = (int64_t) n[8];
    hook->updated = (int64_t) n[9];
    hook->delivered = (int64_t) n[10];
    hook->next = (int64_t) (n[11] - (uint64_t) offset);

    if (!ngx_http_conduit_redis_is_time(hook->created)
        || !ngx_http_conduit_redis_is_time(hook->updated)
        || !ngx_http_conduit_redis_is_time(hook->delivered)
        || (n[11] && !ngx_http_conduit_redis_is_time(hook->next)))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_conduit_hooks_posted(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    uint64_t posted, ngx_uint_t apart)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    if (node) {

        /* what others have posted in between is not known here yet */

        if (posted == (uint64_t) node->posted + 1) {
            node->posted = (uint32_t) posted;
        }

        node->offline = 0;

        if (apart) {
            node->apart = 1;
        }

        ngx_http_conduit_hook_hand_locked(zone, node, 0);
    }

    ngx_http_conduit_zone_unlock(zone);
}


void
ngx_http_conduit_hooks_handed(ngx_http_conduit_main_conf_t *cdmcf, u_char *id)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    if (node) {
        ngx_http_conduit_hook_hand_locked(zone, node, 1);
    }

    ngx_http_conduit_zone_unlock(zone);
}
