
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_LMDB_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_LMDB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The embedded store's files: tables of records in an LMDB environment.  None
 * of this logs or touches nginx's state, so that it may run in a thread; one
 * thread at a time uses an environment.
 *
 *     format  what has written the other tables, and the journal's part
 *     tasks   number of the task -> what never changes
 *     states  number of the task -> what does
 *     hooks   number of the task, sequence, id -> delivery of a webhook
 *     keys    time of expiry, digest -> Idempotency-Key
 */


#define NGX_HTTP_CONDUIT_LMDB_TASKS   0
#define NGX_HTTP_CONDUIT_LMDB_STATES  1
#define NGX_HTTP_CONDUIT_LMDB_HOOKS   2
#define NGX_HTTP_CONDUIT_LMDB_KEYS    3
#define NGX_HTTP_CONDUIT_LMDB_TABLES  4


/* the key of a task is its number, the highest byte first */

#define NGX_HTTP_CONDUIT_LMDB_NUMBER  8

#define ngx_http_conduit_lmdb_number(p, n)                                    \
    (p)[0] = (u_char) ((n) >> 56);                                            \
    (p)[1] = (u_char) ((n) >> 48);                                            \
    (p)[2] = (u_char) ((n) >> 40);                                            \
    (p)[3] = (u_char) ((n) >> 32);                                            \
    (p)[4] = (u_char) ((n) >> 24);                                            \
    (p)[5] = (u_char) ((n) >> 16);                                            \
    (p)[6] = (u_char) ((n) >> 8);                                             \
    (p)[7] = (u_char) (n)


/* what a file of the journal, and the tables, have of max_size */

#define ngx_http_conduit_lmdb_journal(max)                                    \
    ngx_min((max) / 16 / 4096 * 4096, (size_t) 16 * 1024 * 1024)
#define ngx_http_conduit_lmdb_size(max)                                       \
    ((max) - 2 * ngx_http_conduit_lmdb_journal(max))


typedef struct ngx_http_conduit_lmdb_s    ngx_http_conduit_lmdb_t;
typedef struct ngx_http_conduit_write_s   ngx_http_conduit_write_t;

typedef struct {
    const char                       *path;
    size_t                            max_size;
    ngx_uint_t                        sync;
} ngx_http_conduit_lmdb_conf_t;


/*
 * One record to be written; or, without a value, all records to be removed
 * whose keys begin like that.
 */

struct ngx_http_conduit_write_s {
    ngx_http_conduit_write_t         *next;
    ngx_uint_t                        table;
    ngx_str_t                         key;
    ngx_str_t                         value;
    unsigned                          merge:1;     /* with the old value */
};


/*
 * What belongs together.  Creates are refused first if room gets short, then
 * changes, and removals last.
 */

typedef enum {
    NGX_HTTP_CONDUIT_OP_CREATE = 0,
    NGX_HTTP_CONDUIT_OP_CHANGE,
    NGX_HTTP_CONDUIT_OP_REMOVE
} ngx_http_conduit_op_e;

typedef struct ngx_http_conduit_op_s      ngx_http_conduit_op_t;

struct ngx_http_conduit_op_s {
    ngx_http_conduit_op_t            *next;
    ngx_http_conduit_op_e             type;
    ngx_http_conduit_write_t         *writes;
    size_t                            size;        /* of keys and values */
    ngx_int_t                         rc;
    void                            (*handler)(void *data, ngx_int_t rc);
    void                             *data;
};


/*
 * Puts an old value's parts into a new one that lacks them: to has room for
 * both.  Returns the length.
 */

typedef size_t (*ngx_http_conduit_merge_pt)(ngx_uint_t table, u_char *to,
    ngx_str_t *value, ngx_str_t *old);


/*
 * NULL, and why: something is wrong with the files.  create makes them; else
 * they must be there.
 */
ngx_http_conduit_lmdb_t *ngx_http_conduit_lmdb_open(
    ngx_http_conduit_lmdb_conf_t *conf, ngx_http_conduit_merge_pt merge,
    ngx_uint_t create, const char **why);
void ngx_http_conduit_lmdb_close(ngx_http_conduit_lmdb_t *db);

/* there is no file, or nothing in it */
ngx_uint_t ngx_http_conduit_lmdb_empty(ngx_http_conduit_lmdb_conf_t *conf);

/*
 * Reads all there is, which may crash if the file is damaged: for a process of
 * its own.  NULL, or why it is of no use.
 */
const char *ngx_http_conduit_lmdb_check(ngx_http_conduit_lmdb_t *db);

/*
 * Transactions that write: begin, any number of ops, and end, which commits
 * and notes the journal's generation that is complete with it, if not 0.  What
 * is not NGX_OK has ended the transaction without any effect: NGX_DECLINED,
 * the file has no room for it; NGX_ABORT, it is damaged; NGX_ERROR; *why tells.
 * Keys that have expired by now, in milliseconds, are removed on the way.
 */
ngx_int_t ngx_http_conduit_lmdb_begin(ngx_http_conduit_lmdb_t *db,
    int64_t now, const char **why);
ngx_int_t ngx_http_conduit_lmdb_write(ngx_http_conduit_lmdb_t *db,
    ngx_http_conduit_op_t *op, const char **why);
ngx_int_t ngx_http_conduit_lmdb_end(ngx_http_conduit_lmdb_t *db,
    uint64_t folded, const char **why);
void ngx_http_conduit_lmdb_abort(ngx_http_conduit_lmdb_t *db);

/* the size of what is kept, when the last transaction ended */
size_t ngx_http_conduit_lmdb_used(ngx_http_conduit_lmdb_t *db);

/* the journal's last generation that is in the tables */
ngx_int_t ngx_http_conduit_lmdb_folded(ngx_http_conduit_lmdb_t *db,
    uint64_t *folded, const char **why);

/*
 * Hands all records of a table to each() in the order of their keys; of tasks
 * with those of their states.  What is not NGX_OK ends it and is the result.
 */

typedef ngx_int_t (*ngx_http_conduit_lmdb_each_pt)(void *data, ngx_str_t *key,
    ngx_str_t *value, ngx_str_t *state);

ngx_int_t ngx_http_conduit_lmdb_scan(ngx_http_conduit_lmdb_t *db,
    ngx_uint_t table, ngx_http_conduit_lmdb_each_pt each, void *data,
    const char **why);


/* the same for one task: its deliveries first, then the task with its state */
ngx_int_t ngx_http_conduit_lmdb_find(ngx_http_conduit_lmdb_t *db,
    uint64_t number, ngx_http_conduit_lmdb_each_pt each, void *data,
    const char **why);


#endif /* _NGX_HTTP_CONDUIT_LMDB_H_INCLUDED_ */
