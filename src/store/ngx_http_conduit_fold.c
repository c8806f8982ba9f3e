
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_journal.h>


/* ops in a transaction: fewer need less room beside what there is */

#define NGX_HTTP_CONDUIT_FOLD_STEP  4096
#define NGX_HTTP_CONDUIT_FOLD_LESS  64

/* LMDB trusts its file: deaths in a row that cannot be somebody's kill */

#define NGX_HTTP_CONDUIT_FOLD_DEATHS  3


typedef struct {
    ngx_http_conduit_journal_t       *journal;
    ngx_http_conduit_lmdb_t          *db;
    int64_t                           now;
    ngx_http_conduit_op_e             least;       /* others are left out */
    ngx_uint_t                        step;        /* ops in a transaction */
    ngx_uint_t                        count;       /* in this one */
    size_t                            need;        /* to be found */
    const char                       *why;
} ngx_http_conduit_fold_t;


static ngx_uint_t ngx_http_conduit_fold_turn(
    ngx_http_conduit_journal_t *journal);
static ngx_int_t ngx_http_conduit_fold_generation(
    ngx_http_conduit_fold_t *fold);
static ngx_int_t ngx_http_conduit_fold_steps(ngx_http_conduit_fold_t *fold,
    uint64_t generation);
static ngx_int_t ngx_http_conduit_fold_file(ngx_http_conduit_fold_t *fold,
    uint64_t generation);
static ngx_int_t ngx_http_conduit_fold_blocks(ngx_http_conduit_fold_t *fold,
    ngx_http_conduit_journal_read_t *in);
static ngx_int_t ngx_http_conduit_fold_ops(ngx_http_conduit_fold_t *fold,
    ngx_http_conduit_op_t *op);
static void ngx_http_conduit_fold_removals(ngx_http_conduit_fold_t *fold,
    uint64_t generation);
static ngx_int_t ngx_http_conduit_fold_needed(ngx_http_conduit_fold_t *fold,
    uint64_t generation);
static void ngx_http_conduit_fold_done(ngx_http_conduit_fold_t *fold,
    uint64_t generation);


static const char  ngx_http_conduit_fold_damaged[] =
    "its journal is damaged: something is missing that had been there";


const char *
ngx_http_conduit_fold(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_lmdb_t *db, int64_t now, ngx_uint_t all)
{
    uint64_t                 folded;
    ngx_int_t                rc;
    ngx_uint_t               dead;
    ngx_http_conduit_fold_t  fold;

    ngx_memzero(&fold, sizeof(ngx_http_conduit_fold_t));

    fold.journal = journal;
    fold.db = db;
    fold.now = now;

    dead = ngx_http_conduit_journal_lock(&journal->sh->fold);
    fold.why = ngx_http_conduit_fold_usable(journal, dead);

    folded = journal->sh->folded;
    rc = NGX_OK;

    if (fold.why || db == NULL) {
        rc = NGX_ERROR;

    } else if (ngx_http_conduit_journal_due(journal)) {
        rc = ngx_http_conduit_fold_generation(&fold);
    }

    if (rc == NGX_OK && all && ngx_http_conduit_fold_turn(journal)) {
        rc = ngx_http_conduit_fold_generation(&fold);
    }

    journal->sh->time = now;

    /* who had nothing to do has not looked at the tables */

    if (rc == NGX_OK && journal->sh->folded != folded) {
        journal->sh->deaths = 0;
        journal->sh->damaged = 0;

    } else if (rc == NGX_ABORT) {
        journal->sh->damaged = 1;
    }

    ngx_http_conduit_journal_unlock(&journal->sh->fold);

    if (rc == NGX_OK) {
        return NULL;
    }

    return fold.why ? fold.why : "data.mdb could not be opened";
}


const char *
ngx_http_conduit_fold_usable(ngx_http_conduit_journal_t *journal,
    ngx_uint_t dead)
{
    ngx_http_conduit_journal_sh_t  *sh;

    sh = journal->sh;
    sh->deaths += dead;

    if (sh->deaths < NGX_HTTP_CONDUIT_FOLD_DEATHS) {
        return NULL;
    }

    sh->damaged = 1;

    return "data.mdb is damaged, processes have died over it";
}


/* lets the other file be appended to, unless there is nothing in this one */

static ngx_uint_t
ngx_http_conduit_fold_turn(ngx_http_conduit_journal_t *journal)
{
    ngx_uint_t                      due;
    ngx_http_conduit_journal_sh_t  *sh;

    sh = journal->sh;

    (void) ngx_http_conduit_journal_lock(&sh->append);

    if (!ngx_http_conduit_journal_due(journal)
        && sh->tail[sh->generation & 1] != 0)
    {
        sh->generation++;
    }

    due = ngx_http_conduit_journal_due(journal);

    ngx_http_conduit_journal_unlock(&sh->append);

    return due;
}


static ngx_int_t
ngx_http_conduit_fold_generation(ngx_http_conduit_fold_t *fold)
{
    uint64_t                        generation;
    ngx_int_t                       rc;
    ngx_http_conduit_journal_sh_t  *sh;

    sh = fold->journal->sh;
    generation = sh->folded + 1;

    fold->need = fold->journal->sync
                 ? sh->flushed[generation & 1]
                 : ngx_http_conduit_journal_end(sh->tail[generation & 1]);

    rc = ngx_http_conduit_fold_steps(fold, generation);

    if (rc == NGX_OK) {
        ngx_http_conduit_fold_done(fold, generation);
    }

    return rc;
}


static ngx_int_t
ngx_http_conduit_fold_steps(ngx_http_conduit_fold_t *fold,
    uint64_t generation)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {

        fold->least = NGX_HTTP_CONDUIT_OP_CREATE;

        for (fold->step = NGX_HTTP_CONDUIT_FOLD_STEP;
             fold->step;
             fold->step /= NGX_HTTP_CONDUIT_FOLD_LESS)
        {
            rc = ngx_http_conduit_fold_file(fold, generation);

            if (rc != NGX_DECLINED) {
                return rc;
            }
        }

        ngx_http_conduit_fold_removals(fold, generation);
    }

    return NGX_ERROR;
}


/* NGX_DECLINED: no room */

static ngx_int_t
ngx_http_conduit_fold_file(ngx_http_conduit_fold_t *fold, uint64_t generation)
{
    ngx_int_t                         rc;
    ngx_http_conduit_journal_read_t   in;

    if (ngx_http_conduit_journal_read(fold->journal, &in, generation)
        != NGX_OK)
    {
        fold->why = strerror(ngx_errno);
        return NGX_ERROR;
    }

    fold->count = 0;

    rc = ngx_http_conduit_lmdb_begin(fold->db, fold->now, &fold->why);

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_fold_blocks(fold, &in);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_conduit_lmdb_end(fold->db,
                                  (fold->least == NGX_HTTP_CONDUIT_OP_CREATE)
                                  ? generation : 0, &fold->why);
    }

    ngx_http_conduit_journal_free(&in);

    return rc;
}


static ngx_int_t
ngx_http_conduit_fold_blocks(ngx_http_conduit_fold_t *fold,
    ngx_http_conduit_journal_read_t *in)
{
    ngx_int_t               rc;
    ngx_http_conduit_op_t  *ops;

    for ( ;; ) {
        ops = ngx_http_conduit_journal_next(in, &rc);

        if (ops == NULL) {
            break;
        }

        rc = ngx_http_conduit_fold_ops(fold, ops);

        free(ops);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (rc == NGX_DONE && in->offset >= fold->need) {
        return NGX_OK;
    }

    ngx_http_conduit_lmdb_abort(fold->db);

    if (rc == NGX_ERROR) {
        fold->why = "out of memory";
        return NGX_ERROR;
    }

    fold->why = ngx_http_conduit_fold_damaged;

    return NGX_ABORT;
}


static ngx_int_t
ngx_http_conduit_fold_ops(ngx_http_conduit_fold_t *fold,
    ngx_http_conduit_op_t *op)
{
    ngx_int_t  rc;

    for ( /* void */ ; op; op = op->next) {

        if (op->type < fold->least) {
            continue;
        }

        if (fold->count++ == fold->step) {
            rc = ngx_http_conduit_lmdb_end(fold->db, 0, &fold->why);

            if (rc == NGX_OK) {
                rc = ngx_http_conduit_lmdb_begin(fold->db, fold->now,
                                                 &fold->why);
            }

            if (rc != NGX_OK) {
                return rc;
            }

            fold->count = 1;
        }

        rc = ngx_http_conduit_lmdb_write(fold->db, op, &fold->why);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * What is to be removed makes room.  A task that has gone does not come again,
 * so it does no harm that its create is folded, and removed, once more.
 */

static void
ngx_http_conduit_fold_removals(ngx_http_conduit_fold_t *fold,
    uint64_t generation)
{
    fold->least = NGX_HTTP_CONDUIT_OP_REMOVE;
    fold->step = NGX_HTTP_CONDUIT_FOLD_LESS;

    (void) ngx_http_conduit_fold_file(fold, generation);
    (void) ngx_http_conduit_fold_file(fold, generation + 1);
}


static void
ngx_http_conduit_fold_done(ngx_http_conduit_fold_t *fold, uint64_t generation)
{
    ngx_uint_t                      i;
    ngx_http_conduit_journal_sh_t  *sh;

    sh = fold->journal->sh;
    i = generation & 1;

    (void) ngx_http_conduit_journal_lock(&sh->append);

    /* a kill in between lets it be folded again, with nothing in it */

    sh->tail[i] = 0;
    sh->flushed[i] = 0;
    sh->cost[i] = 0;
    sh->used = ngx_http_conduit_lmdb_used(fold->db);
    ngx_memory_barrier();
    sh->folded = generation;

    ngx_http_conduit_journal_unlock(&sh->append);
}


const char *
ngx_http_conduit_fold_start(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_lmdb_t *db, int64_t now)
{
    uint64_t                  folded, generation;
    ngx_uint_t                i;
    ngx_http_conduit_fold_t   fold;

    ngx_memzero(&fold, sizeof(ngx_http_conduit_fold_t));

    fold.journal = journal;
    fold.db = db;
    fold.now = now;

    if (ngx_http_conduit_lmdb_folded(db, &folded, &fold.why) != NGX_OK) {
        return fold.why;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_JOURNAL_FILES; i++) {

        if (ngx_http_conduit_journal_first(journal, i)
            > folded + NGX_HTTP_CONDUIT_JOURNAL_FILES)
        {
            return "its journal belongs to later tables than data.mdb has";
        }
    }

    generation = folded + NGX_HTTP_CONDUIT_JOURNAL_FILES;

    /* both generations are over, whatever there is of them */

    if (ngx_http_conduit_fold_needed(&fold, generation) != NGX_OK
        || ngx_http_conduit_fold_steps(&fold, folded + 1) != NGX_OK)
    {
        return fold.why;
    }

    fold.need = 0;

    if (ngx_http_conduit_fold_steps(&fold, generation) != NGX_OK) {
        return fold.why;
    }

    ngx_http_conduit_journal_begin(journal, generation + 1,
                                   ngx_http_conduit_lmdb_used(db));

    return NULL;
}


/* the last generation tells how much there was of the one before */

static ngx_int_t
ngx_http_conduit_fold_needed(ngx_http_conduit_fold_t *fold,
    uint64_t generation)
{
    ngx_int_t                         rc;
    ngx_http_conduit_op_t            *ops;
    ngx_http_conduit_journal_read_t   in;

    if (ngx_http_conduit_journal_read(fold->journal, &in, generation)
        != NGX_OK)
    {
        fold->why = strerror(ngx_errno);
        return NGX_ERROR;
    }

    do {
        ops = ngx_http_conduit_journal_next(&in, &rc);
        free(ops);
    } while (ops);

    fold->need = in.before;

    ngx_http_conduit_journal_free(&in);

    return NGX_OK;
}
