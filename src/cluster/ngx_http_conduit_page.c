
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_page.h>


/*
 * A page of the tasks of a key, whichever hosts they belong to and however
 * many there are.  Rounds ask all shards for the next tasks in the order of
 * creation.  They are put in one line, as far as no shard may have others that
 * come before; of those the texts are read, a group at a time.  The owners of
 * tasks that go on are asked, as if each was polled.
 *
 * Who waits may leave at any time: the page is not touched from then on.
 */


/* tasks of a shard in one round */

#define NGX_HTTP_CONDUIT_PAGE_CHUNK  16


static ngx_http_conduit_paging_t *ngx_http_conduit_paging(
    ngx_http_conduit_cluster_t *cluster, ngx_http_conduit_page_t *page);
static ngx_int_t ngx_http_conduit_page_begin(
    ngx_http_conduit_paging_t *paging);
static void ngx_http_conduit_page_begun(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_int_t ngx_http_conduit_page_round(
    ngx_http_conduit_paging_t *paging);
static ngx_int_t ngx_http_conduit_page_shard(
    ngx_http_conduit_paging_t *paging, ngx_uint_t n);
static void ngx_http_conduit_page_places(void *data,
    ngx_conduit_redis_reply_t *reply);
static void ngx_http_conduit_page_line(ngx_http_conduit_paging_t *paging);
static ngx_int_t ngx_http_conduit_page_step(ngx_http_conduit_paging_t *paging);
static void ngx_http_conduit_page_end(ngx_http_conduit_paging_t *paging,
    ngx_int_t rc);
static int ngx_libc_cdecl ngx_http_conduit_page_rising(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_http_conduit_page_falling(const void *one,
    const void *two);


ngx_int_t
ngx_http_conduit_cluster_page(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page, ngx_http_conduit_waiter_t *waiter)
{
    ngx_http_conduit_paging_t  *paging;

    if (!cdmcf->redis->calls.up || !cdmcf->redis->channels.up) {
        return NGX_ERROR;
    }

    paging = ngx_http_conduit_paging(cdmcf->redis->cluster, page);
    if (paging == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&paging->waiters, &waiter->queue);
    waiter->waiting = 1;

    if (ngx_http_conduit_page_begin(paging) == NGX_OK) {
        return NGX_AGAIN;
    }

    ngx_queue_remove(&waiter->queue);
    waiter->waiting = 0;

    /* what has been sent is answered to nobody */

    if (paging->calls == 0) {
        ngx_destroy_pool(paging->pool);
    }

    return NGX_ERROR;
}


static ngx_http_conduit_paging_t *
ngx_http_conduit_paging(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_page_t *page)
{
    ngx_uint_t                  i;
    ngx_pool_t                 *pool;
    ngx_http_conduit_paging_t  *paging;

    page->n = 0;
    page->more = 0;

    page->views = ngx_palloc(page->pool,
                             page->limit * sizeof(ngx_http_conduit_view_t));

    if (page->views == NULL || page->limit > NGX_HTTP_CONDUIT_PAGE_GROUP) {
        return NULL;
    }

    pool = ngx_create_pool(4096, cluster->log);
    if (pool == NULL) {
        return NULL;
    }

    paging = ngx_pcalloc(pool, sizeof(ngx_http_conduit_paging_t));

    if (paging == NULL
        || ngx_array_init(&paging->places, pool, 256,
                          sizeof(ngx_http_conduit_place_t))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    paging->cluster = cluster;
    paging->page = page;
    paging->pool = pool;
    paging->chunk = NGX_HTTP_CONDUIT_PAGE_CHUNK;

    ngx_queue_init(&paging->waiters);

    for (i = 0; i < NGX_HTTP_CONDUIT_SHARDS; i++) {
        paging->shards[i].paging = paging;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_PAGE_GROUP; i++) {
        paging->entries[i].paging = paging;
    }

    return paging;
}


/* the place of the task to begin after */

static ngx_int_t
ngx_http_conduit_page_begin(ngx_http_conduit_paging_t *paging)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    ngx_int_t                  rc;
    ngx_str_t                  args[4];
    ngx_http_conduit_redis_t  *redis;

    if (!paging->page->after) {
        return ngx_http_conduit_page_round(paging);
    }

    redis = paging->cluster->redis;

    ngx_memcpy(paging->cursor.id, paging->page->id, NGX_HTTP_CONDUIT_ID_LEN);

    ngx_str_set(&args[0], "HMGET");
    args[1] = ngx_http_conduit_redis_task_key(redis, buf, paging->cursor.id);
    ngx_str_set(&args[2], "h");
    ngx_str_set(&args[3], "k");

    rc = ngx_conduit_redis_call(&redis->calls, args, 4,
                                ngx_http_conduit_page_begun, paging);
    if (rc == NGX_OK) {
        paging->calls++;
    }

    return rc;
}


static void
ngx_http_conduit_page_begun(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_paging_t  *paging = data;

    ngx_str_t                     header, key;
    ngx_http_conduit_record_t     record;
    ngx_http_conduit_key_node_t  *node;

    paging->calls--;

    if (!ngx_queue_empty(&paging->waiters)) {
        node = paging->page->key;

        header = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 0));
        key = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 1));

        ngx_memzero(&record, sizeof(ngx_http_conduit_record_t));

        if (ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_ARRAY) {
            paging->failed = 1;

        } else if (key.len != node->len
                   || ngx_memcmp(key.data, node->name, key.len) != 0
                   || ngx_http_conduit_redis_parse(&record, &header, 0)
                      != NGX_OK)
        {
            paging->unknown = 1;
        }

        paging->cursor.number = record.number;
        paging->begun = 1;
    }

    ngx_http_conduit_page_go(paging);
}


static ngx_int_t
ngx_http_conduit_page_round(ngx_http_conduit_paging_t *paging)
{
    ngx_uint_t  i;

    paging->places.nelts = 0;
    paging->next = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_SHARDS; i++) {
        if (ngx_http_conduit_page_shard(paging, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_page_shard(ngx_http_conduit_paging_t *paging, ngx_uint_t n)
{
    u_char                     buf[NGX_HTTP_CONDUIT_REDIS_NAME];
    u_char                     numbers[2][NGX_INT64_LEN];
    ngx_int_t                  rc;
    ngx_str_t                  args[8], name, begin;
    ngx_uint_t                 rising;
    ngx_http_conduit_redis_t  *redis;

    redis = paging->cluster->redis;
    rising = paging->page->ascending;

    name.data = paging->page->key->name;
    name.len = paging->page->key->len;

    if (rising) {
        ngx_str_set(&args[0], "ZRANGEBYSCORE");
        ngx_str_set(&begin, "-inf");
        ngx_str_set(&args[3], "+inf");

    } else {
        ngx_str_set(&args[0], "ZREVRANGEBYSCORE");
        ngx_str_set(&begin, "+inf");
        ngx_str_set(&args[3], "-inf");
    }

    if (paging->begun) {
        begin.data = numbers[0];
        begin.len = ngx_sprintf(numbers[0], "%uL", paging->cursor.number)
                    - numbers[0];
    }

    args[1] = ngx_http_conduit_redis_index(redis, buf, (u_char) n, &name);
    args[2] = begin;
    ngx_str_set(&args[4], "WITHSCORES");
    ngx_str_set(&args[5], "LIMIT");
    ngx_str_set(&args[6], "0");
    args[7].data = numbers[1];
    args[7].len = ngx_sprintf(numbers[1], "%ui", paging->chunk) - numbers[1];

    rc = ngx_conduit_redis_call(&redis->calls, args, 8,
                                ngx_http_conduit_page_places,
                                &paging->shards[n]);
    if (rc == NGX_OK) {
        paging->calls++;
    }

    return rc;
}


/* those up to the cursor have been there before */

static void
ngx_http_conduit_page_places(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_page_shard_t  *shard = data;

    ngx_str_t                   id;
    ngx_uint_t                  i;
    ngx_http_conduit_place_t   *place;
    ngx_http_conduit_paging_t  *paging;
    ngx_conduit_redis_reply_t  *member;

    paging = shard->paging;
    paging->calls--;

    if (ngx_queue_empty(&paging->waiters)) {
        goto done;
    }

    if (ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_ARRAY) {
        paging->failed = 1;
    }

    for (i = 0; (member = ngx_conduit_redis_at(reply, i)) != NULL; i += 2) {

        id = ngx_conduit_redis_text(member);

        if (conduit_uuid_parse(shard->last.id, id.data, id.len)
            != CONDUIT_OK)
        {
            continue;
        }

        shard->last.number = (uint64_t) ngx_conduit_redis_number(
                                          ngx_conduit_redis_at(reply, i + 1));

        if (paging->begun
            && (paging->page->ascending
                ? ngx_http_conduit_page_rising(&shard->last, &paging->cursor)
                : ngx_http_conduit_page_falling(&shard->last,
                                                &paging->cursor))
               <= 0)
        {
            continue;
        }

        place = ngx_array_push(&paging->places);

        if (place == NULL) {
            paging->failed = 1;
            break;
        }

        *place = shard->last;
    }

    shard->full = (i == 2 * paging->chunk);

    if (paging->calls == 0) {
        ngx_http_conduit_page_line(paging);
    }

done:

    ngx_http_conduit_page_go(paging);
}


/* a shard that may have more ends the line with its last one */

static void
ngx_http_conduit_page_line(ngx_http_conduit_paging_t *paging)
{
    int                           (*order)(const void *, const void *);
    ngx_uint_t                      i;
    ngx_http_conduit_place_t       *places, *end;
    ngx_http_conduit_page_shard_t  *shard;

    order = paging->page->ascending ? ngx_http_conduit_page_rising
                                    : ngx_http_conduit_page_falling;
    end = NULL;

    for (i = 0; i < NGX_HTTP_CONDUIT_SHARDS; i++) {
        shard = &paging->shards[i];

        if (shard->full && (end == NULL || order(&shard->last, end) < 0)) {
            end = &shard->last;
        }
    }

    paging->last = (end == NULL);

    places = paging->places.elts;

    ngx_qsort(places, (size_t) paging->places.nelts,
              sizeof(ngx_http_conduit_place_t), order);

    while (end && paging->places.nelts
           && order(&places[paging->places.nelts - 1], end) > 0)
    {
        paging->places.nelts--;
    }

    if (paging->places.nelts == 0) {

        /* no way on: all were of one number, that of the cursor */

        paging->chunk *= 2;
        return;
    }

    paging->cursor = places[paging->places.nelts - 1];
    paging->begun = 1;
}


void
ngx_http_conduit_page_go(ngx_http_conduit_paging_t *paging)
{
    ngx_int_t  rc;

    if (paging->calls) {
        return;
    }

    if (ngx_queue_empty(&paging->waiters)) {
        ngx_destroy_pool(paging->pool);
        return;
    }

    do {
        rc = (paging->failed || paging->unknown)
             ? NGX_ERROR : ngx_http_conduit_page_step(paging);

    } while (rc == NGX_OK && paging->calls == 0);

    if (rc == NGX_DONE) {
        ngx_http_conduit_page_end(paging, NGX_OK);
        return;
    }

    if (rc != NGX_ERROR) {
        return;
    }

    /* some calls may have been made before one could not be */

    paging->failed = !paging->unknown;

    if (paging->calls == 0) {
        ngx_http_conduit_page_end(paging, paging->unknown ? NGX_DECLINED
                                                          : NGX_ERROR);
    }
}


/* NGX_OK: go on, when all calls are answered; NGX_DONE: the page is there */

static ngx_int_t
ngx_http_conduit_page_step(ngx_http_conduit_paging_t *paging)
{
    if (ngx_http_conduit_page_collect(paging)) {
        return NGX_DONE;
    }

    if (paging->next < paging->places.nelts) {
        return ngx_http_conduit_page_group(paging);
    }

    if (paging->last) {
        return NGX_DONE;
    }

    return ngx_http_conduit_page_round(paging);
}


static void
ngx_http_conduit_page_end(ngx_http_conduit_paging_t *paging, ngx_int_t rc)
{
    ngx_queue_t                *q;
    ngx_http_conduit_waiter_t  *waiter;

    q = ngx_queue_head(&paging->waiters);
    waiter = ngx_queue_data(q, ngx_http_conduit_waiter_t, queue);

    ngx_queue_remove(q);
    waiter->waiting = 0;

    ngx_destroy_pool(paging->pool);

    waiter->handler(waiter->data, rc);
}


static int ngx_libc_cdecl
ngx_http_conduit_page_rising(const void *one, const void *two)
{
    const ngx_http_conduit_place_t  *a, *b;

    a = one;
    b = two;

    if (a->number != b->number) {
        return a->number < b->number ? -1 : 1;
    }

    return ngx_memcmp(a->id, b->id, NGX_HTTP_CONDUIT_ID_LEN);
}


static int ngx_libc_cdecl
ngx_http_conduit_page_falling(const void *one, const void *two)
{
    return ngx_http_conduit_page_rising(two, one);
}
