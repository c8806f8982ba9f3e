
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <conduit_id.h>


/*
 * The backend.  A new task is put with plain commands, the lease last: a task
 * without one is nobody's and soon forgotten.  A change is made by a script
 * that compares sequence and owner.
 */


/*
 * An index is swept after so many removals of a process, or so many ms after
 * its last sweep: often enough that ids do not pile up, and so seldom that the
 * life of a task costs no command more.
 */

#define NGX_HTTP_CONDUIT_SWEEP_REMOVALS  64
#define NGX_HTTP_CONDUIT_SWEEP_TIME      10000


/* a commit under way */

typedef struct {
    ngx_queue_t                       queue;       /* redis->local */
    ngx_http_conduit_redis_t         *redis;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                            digest[32];
    ngx_http_conduit_store_pt         handler;
    void                             *data;
    ngx_http_conduit_used_t          *used;        /* NULL: no such key */
    unsigned                          remote:1;
    unsigned                          sync:1;
    unsigned                          final:1;
    unsigned                          event:1;     /* for its webhook */
    unsigned                          local:1;     /* may be kept here alone */
} ngx_http_conduit_commit_t;


static ngx_int_t ngx_http_conduit_store_redis_init(
    ngx_http_conduit_store_t *store, ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);
static void ngx_http_conduit_store_redis_exit(
    ngx_http_conduit_store_t *store);
static ngx_int_t ngx_http_conduit_store_redis_commit(
    ngx_http_conduit_store_t *store, ngx_http_conduit_record_t *record,
    ngx_http_conduit_store_pt handler, void *data);
static ngx_int_t ngx_http_conduit_commit_create(
    ngx_http_conduit_commit_t *commit, ngx_http_conduit_record_t *record);
static void ngx_http_conduit_commit_put(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_commit_created(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_commit_unheard(
    ngx_http_conduit_commit_t *commit);
static ngx_int_t ngx_http_conduit_commit_change(
    ngx_http_conduit_commit_t *commit, ngx_http_conduit_record_t *record);
static ngx_str_t ngx_http_conduit_commit_mode(
    ngx_http_conduit_record_t *record);
static ngx_str_t *ngx_http_conduit_commit_fields(
    ngx_http_conduit_redis_t *redis, ngx_http_conduit_record_t *record,
    u_char *header, ngx_str_t *arg);
static void ngx_http_conduit_commit_changed(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_commit_doubt(ngx_http_conduit_commit_t *commit);
static void ngx_http_conduit_commit_told(ngx_http_conduit_commit_t *commit,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_commit_end(ngx_http_conduit_commit_t *commit,
    ngx_int_t rc);
static ngx_int_t ngx_http_conduit_commit_outage(
    ngx_http_conduit_commit_t *commit, ngx_http_conduit_record_t *record);
static void ngx_http_conduit_commit_local(ngx_event_t *ev);
static void ngx_http_conduit_store_redis_hook(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_kept_hook_t *hook);
static void ngx_http_conduit_store_redis_remove(
    ngx_http_conduit_store_t *store, u_char *id, uint64_t number,
    ngx_str_t *key);
static void ngx_http_conduit_store_redis_release(
    ngx_http_conduit_store_t *store, u_char *digest, int64_t until);
static ngx_int_t ngx_http_conduit_store_redis_settle(
    ngx_http_conduit_store_t *store, u_char *digest, ngx_uint_t code,
    ngx_str_t *reply, ngx_http_conduit_store_pt handler, void *data);
static ngx_int_t ngx_http_conduit_store_redis_scan(
    ngx_http_conduit_store_t *store, ngx_http_conduit_store_each_pt each,
    void *data);


typedef struct {
    ngx_http_conduit_store_t          store;
    ngx_http_conduit_main_conf_t     *cdmcf;       /* of a worker */
    ngx_uint_t                        removed;     /* since a sweep */
    ngx_msec_t                        swept;
} ngx_http_conduit_store_redis_t;


ngx_http_conduit_store_t *
ngx_http_conduit_store_redis(ngx_pool_t *pool)
{
    ngx_http_conduit_store_t  *store;

    store = ngx_pcalloc(pool, sizeof(ngx_http_conduit_store_redis_t));
    if (store == NULL) {
        return NULL;
    }

    store->name = "redis";
    store->durable = 1;
    store->init = ngx_http_conduit_store_redis_init;
    store->exit = ngx_http_conduit_store_redis_exit;
    store->commit = ngx_http_conduit_store_redis_commit;
    store->hook = ngx_http_conduit_store_redis_hook;
    store->remove = ngx_http_conduit_store_redis_remove;
    store->release = ngx_http_conduit_store_redis_release;
    store->settle = ngx_http_conduit_store_redis_settle;
    store->scan = ngx_http_conduit_store_redis_scan;

    return store;
}


static ngx_int_t
ngx_http_conduit_store_redis_init(ngx_http_conduit_store_t *store,
    ngx_cycle_t *cycle, ngx_http_conduit_main_conf_t *cdmcf)
{
    ((ngx_http_conduit_store_redis_t *) store)->cdmcf = cdmcf;

    return ngx_http_conduit_redis_init(cycle, cdmcf);
}


/* the part that knows other hosts has closed the connections */

static void
ngx_http_conduit_store_redis_exit(ngx_http_conduit_store_t *store)
{
    /* void */
}


static ngx_int_t
ngx_http_conduit_store_redis_commit(ngx_http_conduit_store_t *store,
    ngx_http_conduit_record_t *record, ngx_http_conduit_store_pt handler,
    void *data)
{
    ngx_int_t                   rc;
    ngx_http_conduit_redis_t   *redis;
    ngx_http_conduit_commit_t  *commit;

    redis = ((ngx_http_conduit_store_redis_t *) store)->cdmcf->redis;

    commit = ngx_calloc(sizeof(ngx_http_conduit_commit_t), redis->log);
    if (commit == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(commit->id, record->id, NGX_HTTP_CONDUIT_ID_LEN);

    commit->redis = redis;
    commit->handler = handler;
    commit->data = data;
    commit->remote = record->remote;
    commit->final = (record->status > 1);
    commit->event = (record->hook != NULL);
    commit->local = (record->create && !record->look
                     && redis->cdmcf->redis_conf->local);

    if (!redis->calls.up) {
        rc = ngx_http_conduit_commit_outage(commit, record);

    } else if (record->create) {
        rc = ngx_http_conduit_commit_create(commit, record);

    } else {
        rc = ngx_http_conduit_commit_change(commit, record);
    }

    if (rc != NGX_OK) {
        ngx_free(commit);
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_conduit_commit_create(ngx_http_conduit_commit_t *commit,
    ngx_http_conduit_record_t *record)
{
    if (record->digest == NULL) {
        return ngx_http_conduit_redis_put(commit->redis, record,
                                          ngx_http_conduit_commit_put,
                                          commit);
    }

    commit->used = record->used;
    commit->sync = (record->code == 0);
    ngx_memcpy(commit->digest, record->digest, sizeof(commit->digest));

    return ngx_http_conduit_redis_create(commit->redis, record,
                                         ngx_http_conduit_commit_created,
                                         commit);
}


static void
ngx_http_conduit_commit_put(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_commit_t  *commit = data;

    ngx_int_t  rc;

    if (reply) {
        rc = (ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_INTEGER)
             ? NGX_OK : NGX_ERROR;

    } else {
        rc = ngx_http_conduit_commit_unheard(commit);
    }

    ngx_http_conduit_commit_end(commit, rc);
}


static void
ngx_http_conduit_commit_created(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_commit_t  *commit = data;

    ngx_int_t  rc;

    if (reply == NULL) {
        ngx_http_conduit_commit_end(commit,
                                    ngx_http_conduit_commit_unheard(commit));
        return;
    }

    rc = ngx_http_conduit_redis_created(reply, commit->used);

    /* whoever made it waits for the end, or has to in somebody's place */

    if ((rc == NGX_OK && commit->sync)
        || (rc == NGX_DONE && commit->used->code == 0
            && !commit->used->busy && !commit->used->mismatch))
    {
        ngx_http_conduit_redis_hold(commit->redis, commit->digest);
    }

    ngx_http_conduit_commit_end(commit, rc);
}


/*
 * Redis may have the task, or get it yet: if new ones are taken without Redis
 * it is this one, so that whoever repeats the request does not get another.
 */

static ngx_int_t
ngx_http_conduit_commit_unheard(ngx_http_conduit_commit_t *commit)
{
    ngx_http_conduit_redis_t  *redis;

    redis = commit->redis;

    if (!commit->local) {
        return NGX_ERROR;
    }

    if (redis->events.unsaved) {
        redis->events.unsaved(redis, commit->id, commit->event);
    }

    return NGX_OK;
}


/* EVALSHA COMMIT: the record in place of the one that is there */

static ngx_int_t
ngx_http_conduit_commit_change(ngx_http_conduit_commit_t *commit,
    ngx_http_conduit_record_t *record)
{
    u_char                         *header;
    u_char                          task[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                          leases[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                          id[CONDUIT_UUID_LEN];
    u_char                          numbers[4][NGX_INT64_LEN];
    ngx_int_t                       rc;
    ngx_str_t                       args[NGX_CONDUIT_REDIS_ARGS], *arg;
    ngx_http_conduit_redis_t       *redis;
    ngx_http_conduit_hook_texts_t   texts;

    redis = commit->redis;

    header = ngx_alloc(ngx_http_conduit_redis_header_len(record), redis->log);
    if (header == NULL) {
        return NGX_ERROR;
    }

    conduit_uuid_write(id, record->id);

    arg = &args[2];

    ngx_str_set(arg, "2");
    *++arg = ngx_http_conduit_redis_task_key(redis, task, record->id);
    *++arg = ngx_http_conduit_redis_leases(redis, leases, record->id[0]);

    (++arg)->data = numbers[0];
    arg->len = ngx_sprintf(numbers[0], "%uL", record->sequence) - numbers[0];

    (++arg)->data = numbers[1];
    arg->len = ngx_sprintf(numbers[1], "%ud", (unsigned) record->status)
               - numbers[1];

    *++arg = ngx_http_conduit_commit_mode(record);
    *++arg = redis->owner;

    (++arg)->data = numbers[2];
    arg->len = ngx_sprintf(numbers[2], "%L", ngx_http_conduit_redis_now(redis)
                                             + NGX_HTTP_CONDUIT_LEASE)
               - numbers[2];

    (++arg)->data = id;
    arg->len = CONDUIT_UUID_LEN;

    (++arg)->data = numbers[3];
    arg->len = ngx_sprintf(numbers[3], "%L",
                           ngx_http_conduit_redis_life(redis, record))
               - numbers[3];

    arg++;

    if (record->hook) {
        ngx_str_set(arg, "4");
        arg = ngx_http_conduit_redis_hook_fields(arg + 1, &texts, record->hook,
                                                 redis->offset);

    } else {
        ngx_str_set(arg, "0");
        arg++;
    }

    arg = ngx_http_conduit_commit_fields(redis, record, header, arg);

    rc = ngx_http_conduit_redis_script(redis, NGX_HTTP_CONDUIT_SCRIPT_COMMIT,
                                       args, arg - args,
                                       ngx_http_conduit_commit_changed,
                                       commit);
    ngx_free(header);

    return rc;
}


/* whose task it may be, and whether it may have ended */

static ngx_str_t
ngx_http_conduit_commit_mode(ngx_http_conduit_record_t *record)
{
    static ngx_str_t  retry = ngx_string("retry");
    static ngx_str_t  rest = ngx_string("rest");
    static ngx_str_t  foreign = ngx_string("foreign");
    static ngx_str_t  own = ngx_string("own");

    if (record->retry) {
        return retry;
    }

    if (record->status > 1 && record->document.data == NULL) {
        return rest;
    }

    return record->remote ? foreign : own;
}


/* those that have changed; returns the end of the arguments */

static ngx_str_t *
ngx_http_conduit_commit_fields(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, u_char *header, ngx_str_t *arg)
{
    u_char  *p;

    p = ngx_http_conduit_redis_header(header, record, redis->offset);

    ngx_str_set(arg, "h");
    (++arg)->data = header;
    arg->len = p - header;

    if (record->document.data) {
        arg++;
        ngx_str_set(arg, "d");
        *++arg = record->document;
    }

    if (record->run.data) {
        arg++;
        ngx_str_set(arg, "r");
        *++arg = record->run;
    }

    return arg + 1;
}


static void
ngx_http_conduit_commit_changed(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_commit_t  *commit = data;

    u_char                     id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_redis_t  *redis;

    redis = commit->redis;
    ngx_memcpy(id, commit->id, NGX_HTTP_CONDUIT_ID_LEN);

    switch (ngx_conduit_redis_type(reply)) {

    case NGX_CONDUIT_REDIS_ARRAY:
        ngx_http_conduit_commit_told(commit, reply);
        return;

    case NGX_CONDUIT_REDIS_INTEGER:

        ngx_http_conduit_commit_end(commit, NGX_ERROR);

        if (ngx_conduit_redis_number(reply) == 0) {

            if (redis->events.stale) {
                redis->events.stale(redis, id);
            }

        } else if (redis->events.lost) {
            redis->events.lost(redis, id);
        }

        return;

    default:

        if (reply == NULL && commit->final) {
            ngx_http_conduit_commit_doubt(commit);
        }

        ngx_http_conduit_commit_end(commit, reply ? NGX_DECLINED : NGX_ABORT);
    }
}


/* others may see the end already: no other one is made until it is known */

static void
ngx_http_conduit_commit_doubt(ngx_http_conduit_commit_t *commit)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &commit->redis->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, commit->id);

    if (node) {
        node->doubt = 1;
    }

    ngx_http_conduit_zone_unlock(zone);
}


/* it has been made: who had the task, and who delivers what it tells? */

static void
ngx_http_conduit_commit_told(ngx_http_conduit_commit_t *commit,
    ngx_conduit_redis_reply_t *reply)
{
    ngx_int_t                  rc;
    ngx_str_t                  owner, courier;
    ngx_http_conduit_redis_t  *redis;

    rc = NGX_OK;
    redis = commit->redis;

    owner = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 0));
    courier = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 1));

    if (commit->remote && redis->events.foreign) {
        redis->events.foreign(redis, commit->id, &owner);
    }

    if (ngx_http_conduit_redis_mine(redis, &courier)) {

        if (commit->event) {
            ngx_http_conduit_hooks_posted(redis->cdmcf, commit->id,
                 ngx_conduit_redis_number(ngx_conduit_redis_at(reply, 2)), 0);
        }

    } else {

        if (courier.len) {
            ngx_http_conduit_hooks_handed(redis->cdmcf, commit->id);
        }

        if (commit->event) {
            rc = NGX_DONE;

            if (courier.len && redis->events.foreign) {
                redis->events.foreign(redis, commit->id, &courier);
            }
        }
    }

    ngx_http_conduit_commit_end(commit, rc);
}


static void
ngx_http_conduit_commit_end(ngx_http_conduit_commit_t *commit, ngx_int_t rc)
{
    void                       *data;
    ngx_http_conduit_store_pt   handler;

    handler = commit->handler;
    data = commit->data;

    ngx_free(commit);

    handler(data, rc);
}


/*
 * Redis cannot be asked.  What this host performs goes on, and Redis hears of
 * it later; a new task is taken if the configuration says so, and what belongs
 * to others is not touched.  An end that nobody may take back has to wait if
 * another host could take the task over and make another one.
 */

static ngx_int_t
ngx_http_conduit_commit_outage(ngx_http_conduit_commit_t *commit,
    ngx_http_conduit_record_t *record)
{
    ngx_http_conduit_redis_t  *redis;

    redis = commit->redis;

    if (record->remote || record->look
        || (record->create && !commit->local))
    {
        return NGX_ERROR;
    }

    if (!record->create && !record->local
        && (record->status > 1 || record->retry)
        && (record->doubt || !ngx_http_conduit_redis_alone(redis)))
    {
        return NGX_ERROR;
    }

    if (redis->events.unsaved) {
        redis->events.unsaved(redis, record->id, record->hook != NULL);
    }

    redis->event.data = &redis->dummy;
    redis->event.handler = ngx_http_conduit_commit_local;
    redis->event.log = redis->log;
    redis->dummy.data = redis;

    ngx_queue_insert_tail(&redis->local, &commit->queue);
    ngx_post_event(&redis->event, &ngx_posted_events);

    return NGX_OK;
}


static void
ngx_http_conduit_commit_local(ngx_event_t *ev)
{
    ngx_connection_t          *c = ev->data;
    ngx_http_conduit_redis_t  *redis = c->data;

    ngx_queue_t                *q, *next, local;
    ngx_http_conduit_commit_t  *commit;

    if (ngx_queue_empty(&redis->local)) {
        return;
    }

    /* who is told may commit again */

    ngx_queue_init(&local);
    ngx_queue_add(&local, &redis->local);
    ngx_queue_init(&redis->local);

    for (q = ngx_queue_head(&local);
         q != ngx_queue_sentinel(&local);
         q = next)
    {
        next = ngx_queue_next(q);

        commit = ngx_queue_data(q, ngx_http_conduit_commit_t, queue);

        ngx_http_conduit_commit_end(commit, NGX_OK);
    }
}


/* what cannot be told now is told when Redis is back */

static void
ngx_http_conduit_store_redis_hook(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_kept_hook_t *hook)
{
    ngx_http_conduit_redis_t  *redis;

    redis = ((ngx_http_conduit_store_redis_t *) store)->cdmcf->redis;

    if (ngx_http_conduit_redis_hook(redis, hook) != NGX_OK
        && redis->events.unsaved)
    {
        redis->events.unsaved(redis, hook->task, 0);
    }
}


/* a task that nobody removes goes by its own time */

static void
ngx_http_conduit_store_redis_remove(ngx_http_conduit_store_t *store,
    u_char *id, uint64_t number, ngx_str_t *key)
{
    u_char                           task[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_str_t                        args[2];
    ngx_http_conduit_redis_t        *redis;
    ngx_http_conduit_store_redis_t  *sr;

    sr = (ngx_http_conduit_store_redis_t *) store;
    redis = sr->cdmcf->redis;

    ngx_str_set(&args[0], "UNLINK");
    args[1] = ngx_http_conduit_redis_task_key(redis, task, id);

    (void) ngx_conduit_redis_call(&redis->calls, args, 2, NULL, NULL);

    if (key == NULL
        || (++sr->removed < NGX_HTTP_CONDUIT_SWEEP_REMOVALS
            && ngx_current_msec - sr->swept < NGX_HTTP_CONDUIT_SWEEP_TIME))
    {
        return;
    }

    sr->removed = 0;
    sr->swept = ngx_current_msec;

    ngx_http_conduit_redis_sweep(redis, id, key);
}


static void
ngx_http_conduit_store_redis_release(ngx_http_conduit_store_t *store,
    u_char *digest, int64_t until)
{
    (void) ngx_http_conduit_store_redis_settle(store, digest, 0, NULL, NULL,
                                               NULL);
}


static ngx_int_t
ngx_http_conduit_store_redis_settle(ngx_http_conduit_store_t *store,
    u_char *digest, ngx_uint_t code, ngx_str_t *reply,
    ngx_http_conduit_store_pt handler, void *data)
{
    ngx_http_conduit_redis_t  *redis;

    redis = ((ngx_http_conduit_store_redis_t *) store)->cdmcf->redis;

    return ngx_http_conduit_redis_settle(redis, digest, code, reply, handler,
                                         data);
}


/* tasks come by their leases, and when somebody asks for them */

static ngx_int_t
ngx_http_conduit_store_redis_scan(ngx_http_conduit_store_t *store,
    ngx_http_conduit_store_each_pt each, void *data)
{
    return NGX_OK;
}
