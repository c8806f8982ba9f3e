
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_random.h>
#include <ngx_http_conduit_hook.h>
#include <ngx_http_conduit_peers.h>


/*
 * What Redis has to hear of after it could not be reached, or has lost: tasks
 * are marked in the zone and put by the leader, who passes over all of them,
 * some in each turn of the event loop, as fast as Redis takes them.  A mark
 * goes when the task is about to be put and comes back if that fails, so that
 * a task which changes meanwhile is put again.
 *
 * That Redis has lost all is told by its epoch, a random text that the first
 * host puts into an empty Redis.  That it has come back from an old copy of
 * itself is told by marks, see ngx_http_conduit_mark.c.
 */


/* in one turn: tasks looked at, and put; and those that may wait for Redis */

#define NGX_HTTP_CONDUIT_CATCHUP_STRIDE  1000
#define NGX_HTTP_CONDUIT_CATCHUP         256
#define NGX_HTTP_CONDUIT_CATCHUP_PUTS    1024

/* how often epoch and mark are looked at, in ticks */

#define NGX_HTTP_CONDUIT_EPOCH           10


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_record_t         record;
} ngx_http_conduit_catchup_t;


static void ngx_http_conduit_catchup_turn(ngx_event_t *ev);
static ngx_http_conduit_catchup_t *ngx_http_conduit_catchup_create(
    ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_catchup_free(ngx_http_conduit_catchup_t *catchup);
static void ngx_http_conduit_catchup_put(ngx_http_conduit_cluster_t *cluster,
    u_char *id);
static void ngx_http_conduit_catchup_hooks(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_record_t *record);
static void ngx_http_conduit_catchup_kept(void *data, ngx_int_t rc);
static ngx_uint_t ngx_http_conduit_catchup_foreign(
    ngx_http_conduit_catchup_t *catchup);
static void ngx_http_conduit_catchup_whole(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_catchup_take(
    ngx_http_conduit_cluster_t *cluster, u_char *ids, ngx_uint_t *np);
static void ngx_http_conduit_catchup_online_locked(
    ngx_http_conduit_task_node_t *node);
static void ngx_http_conduit_epoch_look(ngx_http_conduit_cluster_t *cluster);
static void ngx_http_conduit_epoch_got(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_epoch_secret(void *data,
    ngx_conduit_redis_reply_t *reply);


void
ngx_http_conduit_catchup_tick(ngx_http_conduit_cluster_t *cluster)
{
    ngx_http_conduit_pass_t  *pass;

    if (cluster->epochs == 0
        || cluster->ticks % NGX_HTTP_CONDUIT_EPOCH == 0)
    {
        ngx_http_conduit_epoch_look(cluster);
        ngx_http_conduit_part_look(cluster);
        ngx_http_conduit_mark_look(cluster);
    }

    /* before Redis is known to be what it was, nothing is compared with it */

    if (cluster->epochs == 0 || cluster->cdmcf->zone.sh->unsaved == 0) {
        return;
    }

    pass = &cluster->pass;

    if (pass->active) {
        return;
    }

    pass->turn.handler = ngx_http_conduit_catchup_turn;
    pass->turn.data = cluster;
    pass->turn.log = cluster->log;

    pass->active = 1;
    pass->behind = 0;
    pass->left = 0;
    pass->marks = cluster->cdmcf->zone.sh->unsaved;

    ngx_http_conduit_catchup_turn(&pass->turn);
}


static void
ngx_http_conduit_catchup_turn(ngx_event_t *ev)
{
    u_char                       ids[NGX_HTTP_CONDUIT_CATCHUP
                                     * NGX_HTTP_CONDUIT_ID_LEN];
    ngx_int_t                    rc;
    ngx_uint_t                   i, n;
    ngx_http_conduit_pass_t     *pass;
    ngx_http_conduit_cluster_t  *cluster;

    cluster = ev->data;
    pass = &cluster->pass;

    if (!cluster->leader || !cluster->redis->calls.up
        || cluster->epochs == 0)
    {
        pass->active = 0;
        return;
    }

    rc = ngx_http_conduit_catchup_take(cluster, ids, &n);

    if (rc == NGX_OK) {
        pass->active = 0;
    }

    for (i = 0; i < n; i++) {
        ngx_http_conduit_catchup_put(cluster,
                                     ids + i * NGX_HTTP_CONDUIT_ID_LEN);
    }

    /* else with a reply */

    if (rc == NGX_AGAIN && pass->puts < NGX_HTTP_CONDUIT_CATCHUP_PUTS
        && !ev->posted)
    {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static ngx_http_conduit_catchup_t *
ngx_http_conduit_catchup_create(ngx_http_conduit_cluster_t *cluster)
{
    ngx_http_conduit_catchup_t  *catchup;

    catchup = ngx_alloc(sizeof(ngx_http_conduit_catchup_t), cluster->log);
    if (catchup == NULL) {
        return NULL;
    }

    catchup->cluster = cluster;
    cluster->pass.puts++;

    return catchup;
}


static void
ngx_http_conduit_catchup_free(ngx_http_conduit_catchup_t *catchup)
{
    ngx_http_conduit_pass_t  *pass;

    pass = &catchup->cluster->pass;

    if (--pass->puts < NGX_HTTP_CONDUIT_CATCHUP_PUTS && pass->active
        && !pass->turn.posted)
    {
        ngx_post_event(&pass->turn, &ngx_posted_next_events);
    }

    ngx_free(catchup);
}


/* marks a task, which may still be a draft */

void
ngx_http_conduit_catchup_mark(ngx_http_conduit_redis_t *redis, u_char *id,
    ngx_uint_t event)
{
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &redis->cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_any_locked(zone, id);

    if (node && (!node->remote || !node->handed)) {
        node->unsaved = 1;
        node->local = node->draft;
        zone->sh->unsaved++;

        if (event) {
            node->offline = 1;
        }
    }

    ngx_http_conduit_zone_unlock(zone);
}


/*
 * The next marked tasks.  NGX_OK: the pass has come to its end; NGX_AGAIN: it
 * goes on.  There are no marks if none was left, and none has come meanwhile.
 */

static ngx_int_t
ngx_http_conduit_catchup_take(ngx_http_conduit_cluster_t *cluster,
    u_char *ids, ngx_uint_t *np)
{
    ngx_uint_t                     i, n;
    ngx_queue_t                   *q, *end;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_pass_t       *pass;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;
    sh = zone->sh;
    pass = &cluster->pass;
    end = ngx_queue_sentinel(&sh->tasks);
    n = 0;

    ngx_http_conduit_zone_lock(zone);

    node = pass->behind ? ngx_http_conduit_node_any_locked(zone, pass->id)
                        : NULL;

    /* it has gone, so that nobody knows what is behind it */

    pass->left |= (pass->behind && node == NULL);

    q = (pass->behind && node == NULL) ? end
        : ngx_queue_next(node ? &node->tasks : &sh->tasks);

    for (i = 0; q != end; i++) {

        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        if (node->unsaved && !node->draft && !node->ticket) {
            node->unsaved = 0;
            node->local = 0;
            ngx_http_conduit_catchup_online_locked(node);
            ngx_memcpy(ids + n * NGX_HTTP_CONDUIT_ID_LEN, node->id,
                       NGX_HTTP_CONDUIT_ID_LEN);
            n++;
        }

        /* what is being kept is left for the next time */

        pass->left |= node->unsaved;

        if (n == NGX_HTTP_CONDUIT_CATCHUP
            || i == NGX_HTTP_CONDUIT_CATCHUP_STRIDE)
        {
            ngx_memcpy(pass->id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            pass->behind = 1;
            break;
        }

        q = ngx_queue_next(q);
    }

    if (q == end && !pass->left && sh->unsaved == pass->marks) {
        sh->unsaved = 0;
    }

    ngx_http_conduit_zone_unlock(zone);

    *np = n;

    return (q == end) ? NGX_OK : NGX_AGAIN;
}


/* the store is about to hear of its events */

static void
ngx_http_conduit_catchup_online_locked(ngx_http_conduit_task_node_t *node)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_hook_node_t  *hook;

    node->offline = 0;

    for (q = ngx_queue_head(&node->deliveries);
         q != ngx_queue_sentinel(&node->deliveries);
         q = ngx_queue_next(q))
    {
        hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);
        hook->local = 0;
    }
}


/* as a change of the task that is there; one that is not is put as a whole */

static void
ngx_http_conduit_catchup_put(ngx_http_conduit_cluster_t *cluster, u_char *id)
{
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_http_conduit_store_t    *store;
    ngx_http_conduit_catchup_t  *catchup;

    pool = ngx_create_pool(4096, cluster->log);
    if (pool == NULL) {
        ngx_http_conduit_catchup_mark(cluster->redis, id, 0);
        return;
    }

    catchup = ngx_http_conduit_catchup_create(cluster);
    if (catchup == NULL) {
        ngx_http_conduit_catchup_mark(cluster->redis, id, 0);
        goto done;
    }

    if (ngx_http_conduit_task_record(cluster->cdmcf, id, pool, 1,
                                     &catchup->record)
        != NGX_OK
        || ngx_http_conduit_task_hooks(cluster->cdmcf, pool, &catchup->record)
           != NGX_OK)
    {
        ngx_http_conduit_catchup_free(catchup);
        goto done;
    }

    if (catchup->record.remote) {

        /* only what is to be delivered is this host's */

        ngx_http_conduit_catchup_hooks(cluster, &catchup->record);
        ngx_http_conduit_catchup_free(catchup);
        goto done;
    }

    /* an end that has been seen stays, whoever has taken over meanwhile */

    catchup->record.remote = (catchup->record.status > CONDUIT_PROCESSING);

    store = cluster->cdmcf->store;

    rc = store->commit(store, &catchup->record, ngx_http_conduit_catchup_kept,
                       catchup);

    if (rc == NGX_AGAIN) {
        ngx_http_conduit_catchup_hooks(cluster, &catchup->record);

    } else {
        ngx_http_conduit_catchup_mark(cluster->redis, id, 0);
        ngx_http_conduit_catchup_free(catchup);
    }

done:

    ngx_destroy_pool(pool);
}


/* behind the change of the task, on the same connection */

static void
ngx_http_conduit_catchup_hooks(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_record_t *record)
{
    ngx_uint_t  i;

    for (i = 0; i < record->nhooks_kept; i++) {

        if (ngx_http_conduit_redis_hook(cluster->redis,
                                        &record->hooks_kept[i])
            != NGX_OK)
        {
            ngx_http_conduit_catchup_mark(cluster->redis, record->id, 0);
            return;
        }
    }
}


void
ngx_http_conduit_catchup_over(ngx_http_conduit_cluster_t *cluster, u_char *id)
{
    ngx_uint_t                     over;
    ngx_queue_t                   *q;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_hook_node_t  *hook;
    ngx_http_conduit_kept_hook_t   kept;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;
    over = 0;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    if (node && node->owed == 0 && !node->handed) {

        for (q = ngx_queue_last(&node->deliveries);
             q != ngx_queue_sentinel(&node->deliveries) && !over;
             q = ngx_queue_prev(q))
        {
            hook = ngx_queue_data(q, ngx_http_conduit_hook_node_t, queue);
            over = ngx_http_conduit_record_hook_locked(&kept, hook);
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    if (over) {
        (void) ngx_http_conduit_redis_hook(cluster->redis, &kept);
    }
}


/* refused or lost: told by the events of the store, which follow */

static void
ngx_http_conduit_catchup_kept(void *data, ngx_int_t rc)
{
    ngx_http_conduit_catchup_t  *catchup = data;

    if (rc == NGX_ABORT || rc == NGX_DECLINED) {
        ngx_http_conduit_catchup_mark(catchup->cluster->redis,
                                      catchup->record.id, 0);
    }

    ngx_http_conduit_catchup_free(catchup);
}


/* Redis does not have the task at all */

void
ngx_http_conduit_catchup_lost(ngx_http_conduit_redis_t *redis, u_char *id)
{
    ngx_pool_t                  *pool;
    ngx_http_conduit_catchup_t  *catchup;

    pool = ngx_create_pool(4096, redis->log);
    if (pool == NULL) {
        ngx_http_conduit_catchup_mark(redis, id, 0);
        return;
    }

    catchup = ngx_http_conduit_catchup_create(redis->cluster);
    if (catchup == NULL) {
        ngx_http_conduit_catchup_mark(redis, id, 0);
        goto done;
    }

    if (ngx_http_conduit_task_record(redis->cdmcf, id, pool, 1,
                                     &catchup->record)
        != NGX_OK
        || ngx_http_conduit_catchup_foreign(catchup)
        || ngx_http_conduit_task_hooks(redis->cdmcf, pool, &catchup->record)
           != NGX_OK
        || ngx_http_conduit_redis_put(redis, &catchup->record,
                                      ngx_http_conduit_catchup_whole, catchup)
           != NGX_OK)
    {
        ngx_http_conduit_catchup_free(catchup);
    }

done:

    ngx_destroy_pool(pool);
}


/* its owner puts it, and deliveries follow */

static ngx_uint_t
ngx_http_conduit_catchup_foreign(ngx_http_conduit_catchup_t *catchup)
{
    if (catchup->record.remote) {
        ngx_http_conduit_catchup_mark(catchup->cluster->redis,
                                      catchup->record.id, 0);
    }

    return catchup->record.remote;
}


static void
ngx_http_conduit_catchup_whole(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_catchup_t  *catchup = data;

    if (reply == NULL) {
        ngx_http_conduit_catchup_mark(catchup->cluster->redis,
                                      catchup->record.id, 0);
    }

    ngx_http_conduit_catchup_free(catchup);
}


/* all that this host knows best */

void
ngx_http_conduit_catchup_all(ngx_http_conduit_cluster_t *cluster)
{
    ngx_queue_t                   *q;
    ngx_http_conduit_sh_t         *sh;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cluster->cdmcf->zone;
    sh = zone->sh;

    ngx_http_conduit_zone_lock(zone);

    for (q = ngx_queue_head(&sh->tasks);
         q != ngx_queue_sentinel(&sh->tasks);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, tasks);

        node->unsaved = (!node->remote || (node->owed && !node->handed));
    }

    sh->unsaved++;

    ngx_http_conduit_zone_unlock(zone);
}


/* EPOCH, and what signs the tokens of connections, which all hosts share */

static void
ngx_http_conduit_epoch_look(ngx_http_conduit_cluster_t *cluster)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME], text[64];
    ngx_str_t                  args[4];
    ngx_http_conduit_sh_t     *sh;
    ngx_http_conduit_redis_t  *redis;

    redis = cluster->redis;
    sh = cluster->cdmcf->zone.sh;

    if (cluster->epochs == 0) {

        /* the first host to come gives both */

        ngx_str_set(&args[0], "SET");
        ngx_str_set(&args[3], "NX");

        args[1] = ngx_http_conduit_redis_name(redis, buf, "secret", NULL);
        args[2].data = text;
        args[2].len = ngx_hex_dump(text, sh->secret, 32) - text;

        (void) ngx_conduit_redis_call(&redis->calls, args, 4, NULL, NULL);

        args[1] = ngx_http_conduit_redis_name(redis, buf, "epoch", NULL);
        args[2].len = 16;

        if (ngx_conduit_random_bytes(text + 32, 8) != NGX_OK) {
            return;
        }

        ngx_hex_dump(text, text + 32, 8);

        (void) ngx_conduit_redis_call(&redis->calls, args, 4, NULL, NULL);
    }

    ngx_str_set(&args[0], "GET");
    args[1] = ngx_http_conduit_redis_name(redis, buf, "secret", NULL);

    (void) ngx_conduit_redis_call(&redis->calls, args, 2,
                                  ngx_http_conduit_epoch_secret, cluster);

    args[1] = ngx_http_conduit_redis_name(redis, buf, "epoch", NULL);

    (void) ngx_conduit_redis_call(&redis->calls, args, 2,
                                  ngx_http_conduit_epoch_got, cluster);
}


static void
ngx_http_conduit_epoch_got(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_cluster_t  *cluster = data;

    ngx_str_t               text;
    ngx_http_conduit_sh_t  *sh;

    if (reply == NULL) {
        return;
    }

    sh = cluster->cdmcf->zone.sh;
    text = ngx_conduit_redis_text(reply);

    if (text.len != 16) {

        /* somebody has emptied it: begin with a new one */

        cluster->epochs = 0;
        ngx_http_conduit_mark_forget(cluster, NGX_HTTP_CONDUIT_SHARDS);
        return;
    }

    cluster->epochs++;

    if (ngx_memcmp(sh->epoch, text.data, 16) == 0) {
        return;
    }

    if (sh->epoch[0]) {
        ngx_log_error(NGX_LOG_WARN, cluster->log, 0,
                      "conduit_redis: Redis has been emptied, all tasks of "
                      "this host are put into it again");
        ngx_http_conduit_catchup_all(cluster);
        ngx_http_conduit_idem_again(cluster, ngx_current_msec);
    }

    ngx_memcpy(sh->epoch, text.data, 16);
    ngx_http_conduit_mark_forget(cluster, NGX_HTTP_CONDUIT_SHARDS);
}


static void
ngx_http_conduit_epoch_secret(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_cluster_t  *cluster = data;

    u_char      secret[32];
    ngx_int_t   n;
    ngx_str_t   text;
    ngx_uint_t  i;

    text = ngx_conduit_redis_text(reply);

    if (text.len != 2 * sizeof(secret)) {
        return;
    }

    for (i = 0; i < sizeof(secret); i++) {
        n = ngx_hextoi(text.data + 2 * i, 2);

        if (n == NGX_ERROR) {
            return;
        }

        secret[i] = (u_char) n;
    }

    ngx_memcpy(cluster->cdmcf->zone.sh->secret, secret, sizeof(secret));
}
