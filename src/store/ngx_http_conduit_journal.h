
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_JOURNAL_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_JOURNAL_H_INCLUDED_


#include <ngx_http_conduit_lmdb.h>
#include <pthread.h>


/*
 * What has been accepted and is not in the tables yet: two files that take
 * turns.  All workers append to one of them, a block with a checksum for what
 * came together, and one flush makes it last.  Meanwhile the other one is
 * folded into the tables, see ngx_http_conduit_fold(), and begins anew.
 *
 * Each turn is a generation, and every block bears its number: what an older
 * one has left in the file ends what is read.  A block that was torn by a kill
 * or a power cut does the same.  Blocks tell how far the file had been flushed
 * before: something missing there is damage.
 *
 * None of this logs or touches nginx's state, so that it may run in a thread.
 */


#define NGX_HTTP_CONDUIT_JOURNAL_FILES  2


/*
 * Of all workers, in memory that they share.  Locks are released for workers
 * that are killed, so each word must be right by itself at any time: an end is
 * moved when the block is complete, a generation begins with one increment.
 */

typedef struct {
    pthread_mutex_t                   append;      /* taken last */
    pthread_mutex_t                   flush;
    pthread_mutex_t                   fold;

    volatile uint64_t                 generation;  /* that is appended to */
    volatile uint64_t                 folded;      /* that or the last one */
    volatile uint64_t                 spoiled;     /* could not be flushed */
    volatile ngx_uint_t               deaths;      /* over tables, in a row */
    volatile ngx_uint_t               damaged;     /* no fold before repair */
    volatile size_t                   used;        /* by the tables */
    volatile int64_t                  time;        /* of the last fold, ms */

    /* of the files; the lowest bit of a generation tells the file */

    volatile uint64_t                 tail[NGX_HTTP_CONDUIT_JOURNAL_FILES];
    volatile size_t                   flushed[NGX_HTTP_CONDUIT_JOURNAL_FILES];
    volatile size_t                   cost[NGX_HTTP_CONDUIT_JOURNAL_FILES];
} ngx_http_conduit_journal_sh_t;


typedef struct {
    ngx_http_conduit_journal_sh_t    *sh;
    ngx_fd_t                          fd[NGX_HTTP_CONDUIT_JOURNAL_FILES];
    size_t                            size;        /* of a file, about */
    size_t                            max;         /* of the tables */
    ngx_uint_t                        sync;
} ngx_http_conduit_journal_t;


/* the tail of a file: where it ends, and the sum of its last block */

#define ngx_http_conduit_journal_tail(end, sum)                               \
    ((uint64_t) (sum) << 32 | (end))
#define ngx_http_conduit_journal_end(tail)                                    \
    ((size_t) ((tail) & 0xffffffff))
#define ngx_http_conduit_journal_sum(tail)                                    \
    ((uint32_t) ((tail) >> 32))


/* a file as it is read */

typedef struct {
    u_char                           *data;
    size_t                            size;
    size_t                            offset;      /* of the next block */
    size_t                            before;      /* flushed, of the other */
    uint64_t                          generation;
    uint32_t                          sum;
} ngx_http_conduit_journal_read_t;


/* zeroed memory that all workers share; NULL is success, else it tells why */
const char *ngx_http_conduit_journal_init(ngx_http_conduit_journal_sh_t *sh);

/*
 * Opens the files in the folder, and makes those that are not there.  Each
 * process has to do it: who shares a descriptor shares its errors.  NULL is
 * success, else it tells why.
 */
const char *ngx_http_conduit_journal_open(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_lmdb_conf_t *conf);
void ngx_http_conduit_journal_close(ngx_http_conduit_journal_t *journal);

/*
 * Appends the ops as one block as far as there is room, and sets their rc:
 * NGX_OK, NGX_DECLINED (full) or NGX_ERROR.  NGX_OK; NGX_AGAIN: nothing was
 * done, a fold comes first, which may make room; NGX_DECLINED: some ops were
 * refused for want of room; NGX_ABORT: and creates are, because what is kept is
 * damaged; NGX_ERROR: errno tells why none was kept.
 */
ngx_int_t ngx_http_conduit_journal_append(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_op_t *ops, int64_t now);

/* what older generations have left in the files is done with */
void ngx_http_conduit_journal_begin(ngx_http_conduit_journal_t *journal,
    uint64_t generation, size_t used);

/*
 * The mutexes; 1: the last one who had it has died.  try does not wait, and
 * returns an error instead; it sets dead to that 1.
 */
ngx_uint_t ngx_http_conduit_journal_lock(pthread_mutex_t *mutex);
ngx_int_t ngx_http_conduit_journal_try(pthread_mutex_t *mutex,
    ngx_uint_t *dead);
void ngx_http_conduit_journal_unlock(pthread_mutex_t *mutex);


/* reads a generation's file; errno is set on NGX_ERROR */
ngx_int_t ngx_http_conduit_journal_read(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_journal_read_t *in, uint64_t generation);
void ngx_http_conduit_journal_free(ngx_http_conduit_journal_read_t *in);

/*
 * The ops of the next block, in one piece of memory that is freed with free();
 * NULL and *rc: NGX_DONE (no more), NGX_DECLINED (something is missing that
 * had been there), NGX_ERROR (no memory).
 */
ngx_http_conduit_op_t *ngx_http_conduit_journal_next(
    ngx_http_conduit_journal_read_t *in, ngx_int_t *rc);

/* the generation of the file's first block, 0: it has none */
uint64_t ngx_http_conduit_journal_first(ngx_http_conduit_journal_t *journal,
    ngx_uint_t file);


/* what is kept, and what may come of what is not folded yet */
#define ngx_http_conduit_journal_used(journal)                                \
    ((journal)->sh->used + (journal)->sh->cost[0] + (journal)->sh->cost[1])

/* is there a file that had its turn? */
#define ngx_http_conduit_journal_due(journal)                                 \
    ((journal)->sh->folded + 1 < (journal)->sh->generation)

/*
 * The fold: what is in a file that had its turn goes into the tables, and if
 * all is set, what is in the other one as well.  NULL is success, else it
 * tells why not.
 */
const char *ngx_http_conduit_fold(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_lmdb_t *db, int64_t now, ngx_uint_t all);

/*
 * Whoever uses the tables has the mutex of folds, so that deaths over them are
 * counted.  NULL, or why nobody may use them any more.
 */
const char *ngx_http_conduit_fold_usable(ngx_http_conduit_journal_t *journal,
    ngx_uint_t dead);

/* at the start: what an earlier nginx has left goes into the tables */
const char *ngx_http_conduit_fold_start(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_lmdb_t *db, int64_t now);


#endif /* _NGX_HTTP_CONDUIT_JOURNAL_H_INCLUDED_ */
