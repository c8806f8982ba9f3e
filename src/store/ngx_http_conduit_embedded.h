
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_EMBEDDED_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_EMBEDDED_H_INCLUDED_


#include <ngx_event.h>
#include <ngx_http_conduit_store.h>
#include <ngx_http_conduit_journal.h>


/*
 * The embedded store: a folder with tables of LMDB and a journal before them,
 * opened by every worker.  What comes while a thread appends to the journal is
 * appended together by the next one, so that many creates share one flush of
 * the disk.  Another thread folds the journal into the tables from time to
 * time.
 */

typedef struct {
    ngx_http_conduit_store_t          store;       /* first */
    ngx_http_conduit_lmdb_conf_t      conf;
    ngx_str_t                         path;        /* the folder */
    ngx_cycle_t                      *cycle;       /* of the configuration */

    /* fills the zone, see ngx_http_conduit_fill() */

    ngx_int_t                       (*load)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       ngx_log_t *log);

    /* of a worker */

    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_lmdb_t          *db;          /* NULL: not usable */
    ngx_http_conduit_journal_t        journal;
    ngx_log_t                        *log;
    ngx_http_conduit_op_t            *first;       /* of the next batch */
    ngx_http_conduit_op_t           **last;
    ngx_uint_t                        waiting;     /* in it */
    ngx_uint_t                        expected;    /* to be waited for */
    ngx_event_t                       retry;       /* when it begins */
    ngx_event_t                       fold;        /* or takes it over */
    ngx_connection_t                  dummy;       /* for debug of events */
    const char                       *why;         /* what fails, or NULL */
    const char                       *unfolded;    /* so does a fold */
    ngx_uint_t                        recalls;     /* under way */
    unsigned                          opened:1;    /* the journal, too */
    unsigned                          running:1;
    unsigned                          folding:1;
} ngx_http_conduit_embedded_t;


/* while the configuration is read; the path is terminated by a zero */

ngx_http_conduit_embedded_t *ngx_http_conduit_embedded_create(ngx_conf_t *cf,
    ngx_str_t *path);

/*
 * The master, before there are workers: makes the folder and gives it to the
 * user, refuses it if another nginx has it; check only looks.  The zone is new
 * and gets what the workers share; the nginx that is replaced may have the
 * store still, then workers take it over later.  NGX_OK or NGX_ERROR, which has
 * been logged.
 */
ngx_int_t ngx_http_conduit_embedded_prepare(
    ngx_http_conduit_embedded_t *embedded, ngx_http_conduit_zone_t *zone,
    ngx_uid_t user, ngx_uint_t check, ngx_log_t *log);


/*
 * Looks at the tables, and puts the journal into them; for a process of its
 * own.  NULL is success, else it tells why.
 */
const char *ngx_http_conduit_embedded_begin(void *embedded);

/* a worker: opens the store */
void ngx_http_conduit_embedded_open(ngx_http_conduit_embedded_t *embedded);

/* a worker: waits for the nginx that is replaced to end, then opens it */
void ngx_http_conduit_takeover(ngx_http_conduit_embedded_t *embedded);

/* the time of the clock, ms */
int64_t ngx_http_conduit_embedded_now(void);


/* ops, with all that they write; NULL: no memory */

ngx_http_conduit_op_t *ngx_http_conduit_op_commit(
    ngx_http_conduit_record_t *record);
ngx_http_conduit_op_t *ngx_http_conduit_op_hook(uint64_t number,
    ngx_http_conduit_kept_hook_t *hook);
ngx_http_conduit_op_t *ngx_http_conduit_op_remove(uint64_t number);
ngx_http_conduit_op_t *ngx_http_conduit_op_release(u_char *digest,
    int64_t until);


/* what is kept of one task, see the store */
ngx_int_t ngx_http_conduit_embedded_recall(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_store_each_pt each,
    ngx_http_conduit_store_pt handler, void *data);

/* one record of a task, or of a delivery, for each() */
ngx_int_t ngx_http_conduit_embedded_record(ngx_str_t *key, ngx_str_t *value,
    ngx_str_t *state, ngx_http_conduit_store_each_pt each, void *data);

/* hands what is kept to each(), see the store; an error has been logged */
ngx_int_t ngx_http_conduit_embedded_scan(ngx_http_conduit_store_t *store,
    ngx_http_conduit_store_each_pt each, void *data);


#endif /* _NGX_HTTP_CONDUIT_EMBEDDED_H_INCLUDED_ */
