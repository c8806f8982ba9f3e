
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_block.h>
#include <ngx_http_conduit_datafile.h>
#include <ngx_http_conduit_journal.h>


/* the part of the tables that is left to changes, and that to removals */

#define NGX_HTTP_CONDUIT_JOURNAL_RESERVE  (384 * 1024)
#define NGX_HTTP_CONDUIT_JOURNAL_SLACK    (128 * 1024)

/* how often a fold may be tried to make room, ms */

#define NGX_HTTP_CONDUIT_JOURNAL_FOLDS    1000


static int ngx_http_conduit_journal_mutex(pthread_mutex_t *mutex);
static ngx_uint_t ngx_http_conduit_journal_admit(
    ngx_http_conduit_journal_t *journal, ngx_http_conduit_op_t *ops);
static ngx_int_t ngx_http_conduit_journal_turn(
    ngx_http_conduit_journal_t *journal, uint64_t *generation);
static ngx_int_t ngx_http_conduit_journal_write(
    ngx_http_conduit_journal_t *journal, uint64_t generation,
    ngx_http_conduit_op_t *ops, size_t *end);
static ngx_int_t ngx_http_conduit_journal_flush(
    ngx_http_conduit_journal_t *journal, uint64_t generation, size_t end);
static void ngx_http_conduit_journal_flushed(
    ngx_http_conduit_journal_sh_t *sh, uint64_t generation, size_t end);
static void ngx_http_conduit_journal_refuse(ngx_http_conduit_op_t *ops);


const char *
ngx_http_conduit_journal_open(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_lmdb_conf_t *conf)
{
    u_char      name[NGX_MAX_PATH];
    ngx_uint_t  i;

    journal->size = ngx_http_conduit_lmdb_journal(conf->max_size);
    journal->max = ngx_http_conduit_lmdb_size(conf->max_size);
    journal->sync = conf->sync;

    for (i = 0; i < NGX_HTTP_CONDUIT_JOURNAL_FILES; i++) {
        journal->fd[i] = NGX_INVALID_FILE;
    }

    for (i = 0; i < NGX_HTTP_CONDUIT_JOURNAL_FILES; i++) {
        *ngx_snprintf(name, sizeof(name) - 1, "%s/journal.%ui", conf->path, i)
            = '\0';

        journal->fd[i] = open((char *) name, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

        if (journal->fd[i] == NGX_INVALID_FILE) {
            return strerror(errno);
        }
    }

    return NULL;
}


void
ngx_http_conduit_journal_close(ngx_http_conduit_journal_t *journal)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CONDUIT_JOURNAL_FILES; i++) {

        if (journal->fd[i] != NGX_INVALID_FILE) {
            (void) close(journal->fd[i]);
            journal->fd[i] = NGX_INVALID_FILE;
        }
    }
}


const char *
ngx_http_conduit_journal_init(ngx_http_conduit_journal_sh_t *sh)
{
    return (ngx_http_conduit_journal_mutex(&sh->append) != 0
            || ngx_http_conduit_journal_mutex(&sh->flush) != 0
            || ngx_http_conduit_journal_mutex(&sh->fold) != 0)
           ? "no mutex that processes share" : NULL;
}


/* one that is released for a process that dies */

static int
ngx_http_conduit_journal_mutex(pthread_mutex_t *mutex)
{
    int                  rc;
    pthread_mutexattr_t  attr;

    rc = pthread_mutexattr_init(&attr);
    if (rc) {
        return rc;
    }

    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);

    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (rc == 0) {
        rc = pthread_mutex_init(mutex, &attr);
    }

    (void) pthread_mutexattr_destroy(&attr);

    return rc;
}


void
ngx_http_conduit_journal_begin(ngx_http_conduit_journal_t *journal,
    uint64_t generation, size_t used)
{
    ngx_http_conduit_journal_sh_t  *sh;

    sh = journal->sh;

    sh->generation = generation;
    sh->folded = generation - 1;
    sh->used = used;
}


ngx_uint_t
ngx_http_conduit_journal_lock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_lock(mutex) != EOWNERDEAD) {
        return 0;
    }

    (void) pthread_mutex_consistent(mutex);

    return 1;
}


ngx_int_t
ngx_http_conduit_journal_try(pthread_mutex_t *mutex, ngx_uint_t *dead)
{
    int  rc;

    rc = pthread_mutex_trylock(mutex);

    *dead = (rc == EOWNERDEAD);

    if (*dead) {
        rc = pthread_mutex_consistent(mutex);
    }

    return (rc == 0) ? NGX_OK : NGX_AGAIN;
}


void
ngx_http_conduit_journal_unlock(pthread_mutex_t *mutex)
{
    (void) pthread_mutex_unlock(mutex);
}


ngx_int_t
ngx_http_conduit_journal_append(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_op_t *ops, int64_t now)
{
    size_t      end;
    uint64_t    generation;
    ngx_int_t   rc;
    ngx_uint_t  refused;

    end = 0;

    (void) ngx_http_conduit_journal_lock(&journal->sh->append);

    refused = 0;
    rc = ngx_http_conduit_journal_turn(journal, &generation);

    if (rc == NGX_OK) {
        refused = ngx_http_conduit_journal_admit(journal, ops);

        rc = (refused
              && now - journal->sh->time > NGX_HTTP_CONDUIT_JOURNAL_FOLDS)
             ? NGX_AGAIN
             : ngx_http_conduit_journal_write(journal, generation, ops, &end);
    }

    ngx_http_conduit_journal_unlock(&journal->sh->append);

    if (rc == NGX_OK && end && journal->sync) {
        rc = ngx_http_conduit_journal_flush(journal, generation, end);
    }

    if (rc == NGX_ERROR) {
        ngx_http_conduit_journal_refuse(ops);
        return NGX_ERROR;
    }

    if (rc == NGX_OK && journal->sh->damaged) {
        return NGX_ABORT;
    }

    return (rc == NGX_OK && refused) ? NGX_DECLINED : rc;
}


/* the file that is written may have had its turn */

static ngx_int_t
ngx_http_conduit_journal_turn(ngx_http_conduit_journal_t *journal,
    uint64_t *generation)
{
    ngx_http_conduit_journal_sh_t  *sh;

    sh = journal->sh;

    if (ngx_http_conduit_journal_end(sh->tail[sh->generation & 1])
        >= journal->size
        || sh->spoiled == sh->generation)
    {
        if (ngx_http_conduit_journal_due(journal)) {
            return NGX_AGAIN;
        }

        sh->generation++;
    }

    *generation = sh->generation;

    return NGX_OK;
}


/*
 * What is accepted must fit into the tables, with all that waits for it.
 * Creates are refused first, then changes; removals make room.
 */

static ngx_uint_t
ngx_http_conduit_journal_admit(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_op_t *ops)
{
    size_t                          used, cost, room, reserve;
    ngx_uint_t                      refused;
    ngx_http_conduit_op_t          *op;

    used = ngx_http_conduit_journal_used(journal);
    refused = 0;

    for (op = ops; op; op = op->next) {
        op->rc = NGX_OK;

        if (op->type == NGX_HTTP_CONDUIT_OP_REMOVE) {
            continue;
        }

        if (op->type == NGX_HTTP_CONDUIT_OP_CREATE && journal->sh->damaged) {
            op->rc = NGX_ERROR;
            refused++;
            continue;
        }

        reserve = (op->type == NGX_HTTP_CONDUIT_OP_CREATE)
                  ? ngx_max(journal->max / 8, NGX_HTTP_CONDUIT_JOURNAL_RESERVE)
                  : ngx_max(journal->max / 32, NGX_HTTP_CONDUIT_JOURNAL_SLACK);

        room = journal->max - reserve;
        cost = ngx_http_conduit_block_cost(op);

        if (used + cost > room) {
            op->rc = (op->type == NGX_HTTP_CONDUIT_OP_CREATE) ? NGX_DECLINED
                                                              : NGX_ERROR;
            refused++;
            continue;
        }

        used += cost;
    }

    return refused;
}


/* end is 0 if there is nothing to write */

static ngx_int_t
ngx_http_conduit_journal_write(ngx_http_conduit_journal_t *journal,
    uint64_t generation, ngx_http_conduit_op_t *ops, size_t *end)
{
    size_t                          n, cost, off;
    u_char                         *block;
    ngx_fd_t                        fd;
    ngx_err_t                       err;
    ngx_uint_t                      i;
    ngx_http_conduit_block_t        head;
    ngx_http_conduit_journal_sh_t  *sh;

    sh = journal->sh;
    i = generation & 1;
    fd = journal->fd[i];
    *end = 0;

    head.generation = generation;
    head.flushed = sh->flushed[i];
    head.before = (sh->folded + 1 < generation) ? sh->flushed[!i] : 0;
    head.chain = ngx_http_conduit_journal_sum(sh->tail[i]);

    off = ngx_http_conduit_journal_end(sh->tail[i]);

    n = ngx_http_conduit_block_make(&block, &head, ops, &cost);

    if (n == 0) {
        return (cost == 0) ? NGX_OK : NGX_ERROR;
    }

    ngx_http_conduit_datafile_ahead(fd, off + n, journal->size);

    err = ngx_http_conduit_datafile_write(fd, block, n, off);

    free(block);

    if (err) {
        ngx_set_errno(err);
        return NGX_ERROR;
    }

    *end = off + n;

    /* the block is there as soon as the tail is behind it */

    sh->cost[i] += cost;
    ngx_memory_barrier();
    sh->tail[i] = ngx_http_conduit_journal_tail(*end, head.sum);

    return NGX_OK;
}


/*
 * Whoever comes while another one flushes waits, and may find that the flush
 * of a third one, who had waited as well, was for all of them.
 */

static ngx_int_t
ngx_http_conduit_journal_flush(ngx_http_conduit_journal_t *journal,
    uint64_t generation, size_t end)
{
    size_t                          all;
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_http_conduit_journal_sh_t  *sh;

    sh = journal->sh;
    i = generation & 1;

    (void) ngx_http_conduit_journal_lock(&sh->flush);

    /* what is in the tables by now is on the disk, too */

    if (sh->folded >= generation || sh->flushed[i] >= end) {
        ngx_http_conduit_journal_unlock(&sh->flush);
        return NGX_OK;
    }

    /* the flush of another one has failed, and this one would not tell */

    if (sh->spoiled >= generation) {
        ngx_http_conduit_journal_unlock(&sh->flush);
        ngx_set_errno(EIO);
        return NGX_ERROR;
    }

    all = ngx_http_conduit_journal_end(sh->tail[i]);

    rc = (fdatasync(journal->fd[i]) == -1) ? NGX_ERROR : NGX_OK;

    ngx_http_conduit_journal_flushed(sh, generation,
                                     rc == NGX_OK ? ngx_max(all, end) : 0);
    ngx_http_conduit_journal_unlock(&sh->flush);

    return rc;
}


/*
 * What one cannot flush, the system may have forgotten, and later flushes do
 * not tell: nothing is put behind it.
 */

static void
ngx_http_conduit_journal_flushed(ngx_http_conduit_journal_sh_t *sh,
    uint64_t generation, size_t end)
{
    ngx_err_t  err;

    err = ngx_errno;

    (void) ngx_http_conduit_journal_lock(&sh->append);

    if (end == 0) {
        sh->spoiled = generation;

    } else if (sh->folded < generation) {
        sh->flushed[generation & 1] = end;
    }

    ngx_http_conduit_journal_unlock(&sh->append);

    ngx_set_errno(err);
}


static void
ngx_http_conduit_journal_refuse(ngx_http_conduit_op_t *ops)
{
    ngx_http_conduit_op_t  *op;

    for (op = ops; op; op = op->next) {
        op->rc = NGX_ERROR;
    }
}
