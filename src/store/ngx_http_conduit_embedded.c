
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_owner.h>
#include <ngx_conduit_thread.h>
#include <ngx_http_conduit_embedded.h>
#include <ngx_http_conduit_pack.h>


/* one block of the journal at most; a small store has small files */

#define NGX_HTTP_CONDUIT_BATCH        1024
#define NGX_HTTP_CONDUIT_BATCH_SIZE   (8 * 1024 * 1024)

/*
 * After one of many the next transaction waits until as many have come, but
 * not longer than a part of what the last one took, ms
 */

#define NGX_HTTP_CONDUIT_BATCH_MANY    8
#define NGX_HTTP_CONDUIT_BATCH_PART    4
#define NGX_HTTP_CONDUIT_BATCH_GATHER  5

/* others may have filled what was made empty */

#define NGX_HTTP_CONDUIT_BATCH_TRIES  4

/* no thread was free: milliseconds to the next look */

#define NGX_HTTP_CONDUIT_BATCH_RETRY  50

/* when what is in the journal goes into the tables, or is tried again, ms */

#define NGX_HTTP_CONDUIT_FOLD_SOON    5000
#define NGX_HTTP_CONDUIT_FOLD_AGAIN   1000


/* an appending thread */

typedef struct {
    ngx_http_conduit_embedded_t      *embedded;
    ngx_http_conduit_op_t            *ops;
    int64_t                           now;
    const char                       *why;
    ngx_msec_t                        begun;
} ngx_http_conduit_batch_t;


/* a folding one */

typedef struct {
    ngx_http_conduit_embedded_t      *embedded;
    int64_t                           now;
    ngx_uint_t                        all;
    const char                       *why;
} ngx_http_conduit_folding_t;


static ngx_int_t ngx_http_conduit_embedded_init(
    ngx_http_conduit_store_t *store, ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);
static void ngx_http_conduit_embedded_exit(ngx_http_conduit_store_t *store);
static ngx_int_t ngx_http_conduit_embedded_commit(
    ngx_http_conduit_store_t *store, ngx_http_conduit_record_t *record,
    ngx_http_conduit_store_pt handler, void *data);
static void ngx_http_conduit_embedded_hook(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_kept_hook_t *hook);
static void ngx_http_conduit_embedded_remove(ngx_http_conduit_store_t *store,
    u_char *id, uint64_t number, ngx_str_t *key);
static void ngx_http_conduit_embedded_release(
    ngx_http_conduit_store_t *store, u_char *digest, int64_t until);
static void ngx_http_conduit_embedded_push(
    ngx_http_conduit_embedded_t *embedded, ngx_http_conduit_op_t *op);
static void ngx_http_conduit_embedded_start(
    ngx_http_conduit_embedded_t *embedded);
static ngx_http_conduit_op_t **ngx_http_conduit_embedded_cut(
    ngx_http_conduit_embedded_t *embedded, ngx_uint_t *count);
static void ngx_http_conduit_embedded_retry(ngx_event_t *ev);
static void ngx_http_conduit_batch_write(void *ctx);
static void ngx_http_conduit_batch_done(void *ctx);
static void ngx_http_conduit_batch_told(ngx_http_conduit_batch_t *batch);
static void ngx_http_conduit_folding_start(
    ngx_http_conduit_embedded_t *embedded, ngx_uint_t all);
static void ngx_http_conduit_folding_timer(ngx_event_t *ev);
static void ngx_http_conduit_folding_write(void *ctx);
static void ngx_http_conduit_folding_done(void *ctx);


ngx_http_conduit_embedded_t *
ngx_http_conduit_embedded_create(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_http_conduit_store_t     *store;
    ngx_http_conduit_embedded_t  *embedded;

    embedded = ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_embedded_t));
    if (embedded == NULL) {
        return NULL;
    }

    store = &embedded->store;

    store->name = "lmdb";
    store->durable = 1;
    store->init = ngx_http_conduit_embedded_init;
    store->exit = ngx_http_conduit_embedded_exit;
    store->commit = ngx_http_conduit_embedded_commit;
    store->hook = ngx_http_conduit_embedded_hook;
    store->remove = ngx_http_conduit_embedded_remove;
    store->release = ngx_http_conduit_embedded_release;
    store->scan = ngx_http_conduit_embedded_scan;
    store->recall = ngx_http_conduit_embedded_recall;

    embedded->path = *path;
    embedded->cycle = cf->cycle;
    embedded->conf.path = (char *) path->data;

    return embedded;
}


static ngx_int_t
ngx_http_conduit_embedded_init(ngx_http_conduit_store_t *store,
    ngx_cycle_t *cycle, ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_http_conduit_embedded_t  *embedded;

    embedded = (ngx_http_conduit_embedded_t *) store;

    embedded->cdmcf = cdmcf;
    embedded->log = cycle->log;
    embedded->first = NULL;
    embedded->last = &embedded->first;

    embedded->dummy.fd = (ngx_socket_t) -1;
    embedded->dummy.data = embedded;

    embedded->retry.data = &embedded->dummy;
    embedded->retry.handler = ngx_http_conduit_embedded_retry;
    embedded->retry.log = cycle->log;

    embedded->fold.data = &embedded->dummy;
    embedded->fold.log = cycle->log;
    embedded->fold.cancelable = 1;

    embedded->journal.sh = cdmcf->zone.sh->journal;

    if (cdmcf->zone.sh->loading) {
        ngx_http_conduit_takeover(embedded);

    } else {
        ngx_http_conduit_embedded_open(embedded);
    }

    return NGX_OK;
}


void
ngx_http_conduit_embedded_open(ngx_http_conduit_embedded_t *embedded)
{
    ngx_int_t                    rc;
    ngx_uint_t                   dead;
    const char                  *why;
    ngx_http_conduit_journal_t  *journal;

    journal = &embedded->journal;

    embedded->fold.handler = ngx_http_conduit_folding_timer;

    ngx_conduit_owner_join(embedded->log);

    /* an environment must not be taken over a fork */

    why = ngx_http_conduit_journal_open(journal, &embedded->conf);

    if (why == NULL) {
        embedded->opened = 1;

        /* if somebody folds, nothing is known against the tables */

        rc = ngx_http_conduit_journal_try(&journal->sh->fold, &dead);
        why = ngx_http_conduit_fold_usable(journal, dead);

        if (why == NULL) {
            embedded->db = ngx_http_conduit_lmdb_open(&embedded->conf,
                                        ngx_http_conduit_pack_merge, 0, &why);
        }

        if (rc == NGX_OK) {
            ngx_http_conduit_journal_unlock(&journal->sh->fold);
        }

        /* somebody has died over the tables: are they any good? */

        if (journal->sh->deaths) {
            ngx_add_timer(&embedded->fold, NGX_HTTP_CONDUIT_FOLD_AGAIN);
        }
    }

    if (embedded->db == NULL) {

        /*
         * The worker serves what is in the zone, and refuses what is new; how
         * tasks end is still kept in the journal
         */

        embedded->cdmcf->zone.sh->counters.store_bad = 1;

        ngx_log_error(NGX_LOG_CRIT, embedded->log, 0,
                      "conduit_store \"%V\" cannot be opened, nothing new is "
                      "accepted: %s", &embedded->path, why);
    }
}


static void
ngx_http_conduit_embedded_exit(ngx_http_conduit_store_t *store)
{
    ngx_http_conduit_embedded_t  *embedded;

    embedded = (ngx_http_conduit_embedded_t *) store;

    if (embedded->retry.timer_set) {
        ngx_del_timer(&embedded->retry);
    }

    if (embedded->fold.timer_set) {
        ngx_del_timer(&embedded->fold);
    }

    /* a thread that is still writing needs it */

    if (!embedded->opened || embedded->running || embedded->folding
        || embedded->recalls)
    {
        return;
    }

    if (embedded->db) {
        ngx_http_conduit_lmdb_close(embedded->db);
        embedded->db = NULL;
    }

    ngx_http_conduit_journal_close(&embedded->journal);
    embedded->opened = 0;
}


static ngx_int_t
ngx_http_conduit_embedded_commit(ngx_http_conduit_store_t *store,
    ngx_http_conduit_record_t *record, ngx_http_conduit_store_pt handler,
    void *data)
{
    ngx_http_conduit_op_t        *op;
    ngx_http_conduit_embedded_t  *embedded;

    embedded = (ngx_http_conduit_embedded_t *) store;

    if (!embedded->opened || (record->create && embedded->db == NULL)) {
        return NGX_ERROR;
    }

    op = ngx_http_conduit_op_commit(record);
    if (op == NULL) {
        return NGX_ERROR;
    }

    op->handler = handler;
    op->data = data;

    ngx_http_conduit_embedded_push(embedded, op);

    return NGX_AGAIN;
}


static void
ngx_http_conduit_embedded_hook(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_kept_hook_t *hook)
{
    ngx_http_conduit_embedded_push((ngx_http_conduit_embedded_t *) store,
                                   ngx_http_conduit_op_hook(number, hook));
}


static void
ngx_http_conduit_embedded_remove(ngx_http_conduit_store_t *store, u_char *id,
    uint64_t number, ngx_str_t *key)
{
    ngx_http_conduit_embedded_push((ngx_http_conduit_embedded_t *) store,
                                   ngx_http_conduit_op_remove(number));
}


static void
ngx_http_conduit_embedded_release(ngx_http_conduit_store_t *store,
    u_char *digest, int64_t until)
{
    ngx_http_conduit_embedded_push((ngx_http_conduit_embedded_t *) store,
                                   ngx_http_conduit_op_release(digest, until));
}


/* for want of memory something is left over, which the next start removes */

static void
ngx_http_conduit_embedded_push(ngx_http_conduit_embedded_t *embedded,
    ngx_http_conduit_op_t *op)
{
    if (op == NULL) {
        return;
    }

    if (!embedded->opened) {
        ngx_free(op);
        return;
    }

    *embedded->last = op;
    embedded->last = &op->next;

    embedded->waiting++;

    if (embedded->retry.timer_set) {

        if (embedded->waiting < embedded->expected) {
            return;
        }

        ngx_del_timer(&embedded->retry);
    }

    ngx_http_conduit_embedded_start(embedded);
}


/* a block with all that waits, as far as that is sensible */

static void
ngx_http_conduit_embedded_start(ngx_http_conduit_embedded_t *embedded)
{
    ngx_uint_t                 n;
    ngx_http_conduit_op_t    **cut, *rest;
    ngx_http_conduit_batch_t  *batch;

    if (embedded->running || embedded->first == NULL || !embedded->opened) {
        return;
    }

    batch = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_batch_t));

    if (batch == NULL) {
        goto later;
    }

    batch->embedded = embedded;
    batch->ops = embedded->first;
    batch->now = ngx_http_conduit_embedded_now();
    batch->begun = ngx_current_msec;

    /* the thread may begin at once: what goes into the next one is cut off */

    cut = ngx_http_conduit_embedded_cut(embedded, &n);
    rest = *cut;
    *cut = NULL;

    if (ngx_conduit_thread_post(embedded->cdmcf->threads, batch,
                                ngx_http_conduit_batch_write,
                                ngx_http_conduit_batch_done)
        != NGX_OK)
    {
        *cut = rest;
        ngx_conduit_thread_free(batch);
        goto later;
    }

    embedded->running = 1;
    embedded->waiting -= n;
    embedded->first = rest;

    if (rest == NULL) {
        embedded->last = &embedded->first;
    }

    return;

later:

    embedded->expected = (ngx_uint_t) -1;

    if (!embedded->retry.timer_set) {
        ngx_add_timer(&embedded->retry, NGX_HTTP_CONDUIT_BATCH_RETRY);
    }
}


static ngx_http_conduit_op_t **
ngx_http_conduit_embedded_cut(ngx_http_conduit_embedded_t *embedded,
    ngx_uint_t *count)
{
    size_t                   size, max;
    ngx_uint_t               n;
    ngx_http_conduit_op_t  **op;

    size = 0;
    max = ngx_min(embedded->journal.size, NGX_HTTP_CONDUIT_BATCH_SIZE);
    op = &embedded->first;

    for (n = 0; *op && n < NGX_HTTP_CONDUIT_BATCH; n++) {
        size += (*op)->size;

        if (n && size > max) {
            break;
        }

        op = &(*op)->next;
    }

    *count = n;

    return op;
}


static void
ngx_http_conduit_embedded_retry(ngx_event_t *ev)
{
    ngx_connection_t             *c = ev->data;
    ngx_http_conduit_embedded_t  *embedded = c->data;

    ngx_http_conduit_embedded_start(embedded);
}


static void
ngx_http_conduit_batch_write(void *ctx)
{
    ngx_http_conduit_batch_t  *batch = ctx;

    ngx_int_t                     rc;
    ngx_uint_t                    i;
    ngx_http_conduit_op_t        *op;
    ngx_http_conduit_embedded_t  *embedded;

    embedded = batch->embedded;

    for (i = 0; i < NGX_HTTP_CONDUIT_BATCH_TRIES; i++) {
        rc = ngx_http_conduit_journal_append(&embedded->journal, batch->ops,
                                             batch->now);
        if (rc != NGX_AGAIN) {
            break;
        }

        batch->why = ngx_http_conduit_fold(&embedded->journal, embedded->db,
                                           batch->now, 1);

        /* what needs no fold is kept all the same */

        if (batch->why && i) {
            break;
        }
    }

    if (rc == NGX_AGAIN) {

        for (op = batch->ops; op; op = op->next) {
            op->rc = NGX_ERROR;
        }

    } else if (rc == NGX_DECLINED) {
        batch->why = "max_size is reached";

    } else if (rc == NGX_ABORT) {
        batch->why = "its files are damaged";

    } else if (rc == NGX_ERROR) {
        batch->why = strerror(ngx_errno);

    } else {
        batch->why = NULL;
    }
}


static void
ngx_http_conduit_batch_done(void *ctx)
{
    ngx_http_conduit_batch_t  *batch = ctx;

    ngx_uint_t                    n;
    ngx_msec_t                    took;
    ngx_http_conduit_op_t        *op, *next;
    ngx_http_conduit_embedded_t  *embedded;

    embedded = batch->embedded;

    took = ngx_current_msec - batch->begun;

    ngx_http_conduit_batch_told(batch);

    for (op = batch->ops, n = 0; op; op = next, n++) {
        next = op->next;

        if (op->handler) {
            op->handler(op->data, op->rc);
        }

        ngx_free(op);
    }

    embedded->running = 0;

    if (ngx_http_conduit_journal_due(&embedded->journal)) {
        ngx_http_conduit_folding_start(embedded, 0);
    }

    if (!embedded->fold.timer_set) {
        ngx_add_timer(&embedded->fold, NGX_HTTP_CONDUIT_FOLD_SOON);
    }

    /*
     * Those who were answered just now may have their next requests on the
     * way; it would be a pity if the flush went without them.
     */

    if (n < NGX_HTTP_CONDUIT_BATCH_MANY || embedded->waiting >= n) {
        ngx_http_conduit_embedded_start(embedded);
        return;
    }

    embedded->expected = n;

    if (!embedded->retry.timer_set) {
        took = ngx_min(took / NGX_HTTP_CONDUIT_BATCH_PART,
                       NGX_HTTP_CONDUIT_BATCH_GATHER);
        ngx_add_timer(&embedded->retry, ngx_max(took, 1));
    }
}


static void
ngx_http_conduit_batch_told(ngx_http_conduit_batch_t *batch)
{
    ngx_uint_t                    n, failed;
    ngx_http_conduit_op_t        *op;
    ngx_http_conduit_embedded_t  *embedded;
    ngx_http_conduit_counters_t  *counters;

    embedded = batch->embedded;
    counters = &embedded->cdmcf->zone.sh->counters;

    n = 0;
    failed = 0;

    for (op = batch->ops; op; op = op->next) {

        if (op->rc == NGX_OK) {
            n++;

        } else {
            failed++;
        }
    }

    (void) ngx_atomic_fetch_add(&counters->store_batches, 1);
    (void) ngx_atomic_fetch_add(&counters->store_writes, n);
    (void) ngx_atomic_fetch_add(&counters->store_failed, failed);
    (void) ngx_atomic_fetch_add(&counters->store_time,
                                ngx_current_msec - batch->begun);

    counters->store_used = ngx_http_conduit_journal_used(&embedded->journal);
    counters->store_bad = (batch->why != NULL);

    /* told once, when it begins and when it is over */

    if (batch->why && embedded->why == NULL) {
        ngx_log_error(NGX_LOG_CRIT, embedded->log, 0,
                      "conduit_store \"%V\" cannot keep anything new, which is "
                      "refused now: %s", &embedded->path, batch->why);

    } else if (batch->why == NULL && embedded->why) {
        ngx_log_error(NGX_LOG_NOTICE, embedded->log, 0,
                      "conduit_store \"%V\" keeps what is new again",
                      &embedded->path);
    }

    embedded->why = batch->why;
}


static void
ngx_http_conduit_folding_start(ngx_http_conduit_embedded_t *embedded,
    ngx_uint_t all)
{
    ngx_http_conduit_folding_t  *folding;

    if (embedded->folding || !embedded->opened) {
        return;
    }

    folding = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_folding_t));

    if (folding) {
        folding->embedded = embedded;
        folding->now = ngx_http_conduit_embedded_now();
        folding->all = all;

        if (ngx_conduit_thread_post(embedded->cdmcf->threads, folding,
                                    ngx_http_conduit_folding_write,
                                    ngx_http_conduit_folding_done)
            == NGX_OK)
        {
            embedded->folding = 1;
            return;
        }

        ngx_conduit_thread_free(folding);
    }

    if (!embedded->fold.timer_set) {
        ngx_add_timer(&embedded->fold, NGX_HTTP_CONDUIT_FOLD_AGAIN);
    }
}


static void
ngx_http_conduit_folding_timer(ngx_event_t *ev)
{
    ngx_connection_t             *c = ev->data;
    ngx_http_conduit_embedded_t  *embedded = c->data;

    ngx_http_conduit_folding_start(embedded, 1);
}


static void
ngx_http_conduit_folding_write(void *ctx)
{
    ngx_http_conduit_folding_t  *folding = ctx;

    folding->why = ngx_http_conduit_fold(&folding->embedded->journal,
                                         folding->embedded->db, folding->now,
                                         folding->all);
}


static void
ngx_http_conduit_folding_done(void *ctx)
{
    ngx_http_conduit_folding_t  *folding = ctx;

    ngx_http_conduit_embedded_t  *embedded;
    ngx_http_conduit_counters_t  *counters;

    embedded = folding->embedded;
    embedded->folding = 0;

    counters = &embedded->cdmcf->zone.sh->counters;
    counters->store_used = ngx_http_conduit_journal_used(&embedded->journal);

    if (embedded->journal.sh->damaged) {
        counters->store_bad = 1;
    }

    if (folding->why && embedded->unfolded == NULL) {
        ngx_log_error(NGX_LOG_CRIT, embedded->log, 0,
                      "conduit_store \"%V\" cannot empty its journal, %s: %s",
                      &embedded->path, embedded->journal.sh->damaged
                                       ? "new tasks are refused"
                                       : "which will be full soon",
                      folding->why);
    }

    embedded->unfolded = folding->why;

    if (folding->why && !embedded->fold.timer_set) {
        ngx_add_timer(&embedded->fold, NGX_HTTP_CONDUIT_FOLD_AGAIN);
    }
}


int64_t
ngx_http_conduit_embedded_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}
