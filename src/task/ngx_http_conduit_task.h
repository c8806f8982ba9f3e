
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_TASK_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_TASK_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_provider.h>
#include <ngx_http_conduit_store.h>
#include <conduit_id.h>
#include <conduit_session.h>
#include <conduit_task.h>


/* The engine: tasks are made, read and changed here and nowhere else. */


#define NGX_HTTP_CONDUIT_LIMIT_KEY    1     /* conduit_task_limit per_key */
#define NGX_HTTP_CONDUIT_LIMIT_TOTAL  2     /* conduit_task_limit total */
#define NGX_HTTP_CONDUIT_QUEUE_FULL   3     /* limit queue= of the provider */
#define NGX_HTTP_CONDUIT_ZONE_FULL    4
#define NGX_HTTP_CONDUIT_REPLAY       5     /* Idempotency-Key: kept reply */
#define NGX_HTTP_CONDUIT_MISMATCH     6     /* same key, another request */
#define NGX_HTTP_CONDUIT_IN_PROGRESS  7     /* same request, not ended yet */
#define NGX_HTTP_CONDUIT_FINAL        8     /* the state does not allow it */
#define NGX_HTTP_CONDUIT_LEASE_LOST   9     /* somebody else goes on */
#define NGX_HTTP_CONDUIT_UNKEPT      10     /* the store is full or failing */
#define NGX_HTTP_CONDUIT_LOADING     11     /* the store is not ours yet */


#define NGX_HTTP_CONDUIT_NEVER        ((ngx_msec_t) -1)


/*
 * A task as it is now.  The document is ready to send but for the place in
 * the queue, see ngx_http_conduit_document_render().
 */

typedef struct {
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          sequence;
    uint64_t                          stamp;       /* of the last change */
    uint64_t                          begun;       /* of the start; or 0 */
    int64_t                           updated;     /* ms */
    ngx_uint_t                        kind;
    ngx_uint_t                        status;
    ngx_uint_t                        error_code;
    ngx_uint_t                        position;    /* 0: null */
    ngx_msec_t                        polled;      /* ago, or NEVER */
    size_t                            status_off;
    size_t                            position_off;
    size_t                            model_off;
    size_t                            model_len;
    size_t                            error_off;
    size_t                            error_len;
    size_t                            result_off;
    size_t                            result_len;
    ngx_str_t                         document;
    ngx_str_t                         prompt;      /* JSON text, if asked */
} ngx_http_conduit_view_t;


/* what a task looks like to the key that made it */

typedef struct {
    ngx_http_conduit_key_node_t      *key;         /* NULL: any */
    ngx_uint_t                        kind;        /* or KIND_ANY */
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
} ngx_http_conduit_name_t;


/*
 * Who wants to know what becomes of a change, or of a new task, that the store
 * has to keep first.  It must not go away without detach(); what is under way
 * then goes on without it.
 */

typedef struct ngx_http_conduit_outcome_s  ngx_http_conduit_outcome_t;

struct ngx_http_conduit_outcome_s {
    void                            (*handler)(void *data, ngx_int_t rc);
    void                             *data;
    ngx_http_conduit_outcome_t      **place;       /* while it is awaited */
};

void ngx_http_conduit_outcome_detach(ngx_http_conduit_outcome_t *outcome);


typedef struct {
    ngx_http_conduit_key_node_t      *key;
    ngx_http_conduit_model_t         *model;
    ngx_uint_t                        kind;
    ngx_str_t                         request;     /* JSON object */
    ngx_str_t                         prompt;      /* JSON text inside of it */
    ngx_str_t                         metadata;    /* JSON object, or empty */
    ngx_str_t                         webhook;     /* JSON object, or empty */
    ngx_uint_t                        hooks;       /* CONDUIT_HOOK_* */
    unsigned                          sync:1;      /* reply comes at the end */
    ngx_msec_t                        timeout;     /* 0: the default */
    ngx_uint_t                        limit;       /* of the key; 0: none */
    ngx_str_t                         location;    /* of check_status_url */
    u_char                           *digest;      /* Idempotency-Key, or */
    u_char                           *fingerprint; /* NULL; 32 bytes each */
    ngx_pool_t                       *pool;
    ngx_http_conduit_outcome_t       *outcome;

    /* results; also filled in for REPLAY */

    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_str_t                         reply;
    ngx_uint_t                        code;        /* HTTP status of reply */
} ngx_http_conduit_create_t;


typedef struct {
    ngx_str_t                         url;         /* empty: none */
    ngx_str_t                         b64;         /* empty: none */
    ngx_str_t                         mime;        /* empty: unknown */
    int64_t                           expires;     /* ms; 0: unknown */
} ngx_http_conduit_result_t;


/* a change, for the one door; zeroed members mean what they say */

typedef struct {
    ngx_http_conduit_name_t           name;
    uint64_t                          lease;       /* 0: not of an owner */
    unsigned                          quiet:1;     /* only what is below */
    unsigned                          attempt:1;   /* counts as a try */
    unsigned                          keep:1;      /* the owner goes on */
    unsigned                          once:1;      /* fails with the store */
    ngx_http_conduit_outcome_t       *outcome;     /* NULL: nobody */

    conduit_event_e                   event;
    ngx_int_t                         progress;    /* -1: as it is */
    ngx_int_t                         eta;         /* seconds; -1: null */
    ngx_str_t                         message;     /* empty: null */
    ngx_str_t                         error;       /* empty: the code's */
    ngx_uint_t                        error_code;
    ngx_http_conduit_result_t        *results;
    ngx_uint_t                        nresults;

    ngx_uint_t                        step;        /* what is due next */
    ngx_msec_t                        after;       /* and in how long */
    ngx_str_t                        *run;         /* NULL: as it is */
    ngx_http_conduit_model_t         *model;       /* fallback, or NULL */
} ngx_http_conduit_change_t;


/*
 * A claimed step.  The pool belongs to whoever performs the step; the step
 * ends with a change that carries the lease.
 */

typedef struct {
    ngx_pool_t                       *pool;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_http_conduit_provider_t      *provider;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          lease;
    ngx_uint_t                        kind;
    ngx_uint_t                        status;
    ngx_uint_t                        step;
    ngx_uint_t                        attempts;    /* made so far */
    ngx_uint_t                        progress;
    int64_t                           started;     /* ms; 0: not yet */
    ngx_msec_t                        deadline;
    ngx_str_t                         alias;
    ngx_str_t                         upstream;    /* model's name there */
    ngx_str_t                         prompt;      /* JSON text */
    ngx_str_t                         request;     /* JSON object */
    ngx_str_t                         run;         /* JSON object, or empty */

    /* of the last change, while the store keeps it */

    ngx_http_conduit_outcome_t        outcome;
    ngx_http_conduit_result_t        *results;
    ngx_uint_t                        nresults;
} ngx_http_conduit_work_t;


/* workers; NGX_AGAIN: nothing to claim */

ngx_int_t ngx_http_conduit_task_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);
void ngx_http_conduit_task_exit(ngx_http_conduit_main_conf_t *cdmcf);


/*
 * Makes a task and starts it if its provider has a free slot.
 * Returns NGX_OK, NGX_ERROR or one of the codes above; or NGX_AGAIN, and
 * create->outcome gets NGX_OK, NGX_ERROR or UNKEPT later.
 */
ngx_int_t ngx_http_conduit_task_create(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create);

/*
 * Keeps the reply of a synchronous create for its Idempotency-Key.  NGX_OK; or
 * NGX_AGAIN: the outcome gets its result when all hosts know, or cannot know.
 */
ngx_int_t ngx_http_conduit_task_keep_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest, ngx_uint_t code, ngx_str_t *reply,
    ngx_http_conduit_outcome_t *outcome);

/* its client has gone: whoever repeats the request waits for the same task */
void ngx_http_conduit_task_release_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest);

/* forgets an Idempotency-Key whose create has come to nothing; as above */
ngx_int_t ngx_http_conduit_task_drop_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest, ngx_http_conduit_outcome_t *outcome);

/*
 * NGX_OK, NGX_DECLINED (no such task of this key and kind) or NGX_ERROR.  The
 * prompt is copied, and the view counts as a poll, if flags say so.
 */

#define NGX_HTTP_CONDUIT_VIEW_PROMPT  1
#define NGX_HTTP_CONDUIT_VIEW_POLL    2
#define NGX_HTTP_CONDUIT_VIEW_STAMP   4     /* stamp, begun and updated */

ngx_int_t ngx_http_conduit_task_view(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_name_t *name, ngx_uint_t flags, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view);

/* is there such a task of this key? */
ngx_uint_t ngx_http_conduit_task_exists(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_name_t *name);


/*
 * The tasks of a key in the order of their last changes.  changes() tells the
 * first n behind a stamp, oldest first; unfinished() the n that changed last,
 * latest first, and the stamp of what has changed so far.  Both return how
 * many there are.
 */

typedef struct {
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          stamp;
} ngx_http_conduit_changed_t;

ngx_uint_t ngx_http_conduit_task_changes(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, uint64_t seen,
    ngx_http_conduit_changed_t *changed, ngx_uint_t n);
ngx_uint_t ngx_http_conduit_task_unfinished(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_key_node_t *key,
    ngx_http_conduit_changed_t *changed, ngx_uint_t n, uint64_t *stamp);

/* those of this host that have changed in the last ms, latest first */

ngx_uint_t ngx_http_conduit_task_own(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_msec_t age,
    ngx_http_conduit_changed_t *changed, ngx_uint_t n);

/*
 * The same for a watcher that goes on at another host, whose stamps are others:
 * what it was told up to a stamp is told by sequences, of tasks that have not
 * changed before *since (ms), which becomes as early as what it has missed.
 * Up to n, latest first; without events.
 */

ngx_uint_t ngx_http_conduit_task_told(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, uint64_t seen, int64_t *since,
    conduit_session_sub_t *told, ngx_uint_t n);

/* there: what of it this host has not heard of yet; returns how much is left */

ngx_uint_t ngx_http_conduit_task_unheard(ngx_http_conduit_main_conf_t *cdmcf,
    conduit_session_sub_t *told, ngx_uint_t n);

/* and as changes(), without what has changed before; stamp as above */

ngx_uint_t ngx_http_conduit_task_since(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, uint64_t seen, int64_t since,
    ngx_http_conduit_changed_t *changed, ngx_uint_t n, uint64_t *stamp);


/*
 * A change that says nothing yet.  change_task() also names the task, of any
 * key, and the lease of whoever makes the change, or 0.
 */
void ngx_http_conduit_change_init(ngx_http_conduit_change_t *change);
void ngx_http_conduit_change_task(ngx_http_conduit_change_t *change,
    u_char *id, uint64_t lease);


/*
 * The one door: checks the transition, raises the sequence, writes the
 * document, commits, wakes whoever watches.  A change that shows nothing new
 * only moves the step.  view, if not NULL, gets the task as it is afterwards.
 * Returns NGX_OK, NGX_DECLINED (no such task), NGX_ERROR (no memory), FINAL
 * or LEASE_LOST; the latter four change nothing.
 *
 * With a durable store also NGX_AGAIN: the change has been copied and waits
 * for the store, or for another change that does.  change->outcome gets one of
 * the above later, never inside of this call, or UNKEPT if the change was to
 * be tried once; the view is left alone.
 */
ngx_int_t ngx_http_conduit_task_advance(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_change_t *change, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view);


/*
 * A task from elsewhere, and how it comes:
 *
 *     OWN   this host performs it from now on
 *     COPY  another one does; this process follows it and hears of changes
 *     SEEN  the same, but nobody here follows it
 *     NEWS  a change of a copy; it brings no texts but the document
 *
 * NGX_OK, NGX_DECLINED (news of an unknown task), NGX_AGAIN (a change of it is
 * being kept) or NGX_ERROR (no room).
 */

typedef enum {
    NGX_HTTP_CONDUIT_ABSORB_OWN,
    NGX_HTTP_CONDUIT_ABSORB_COPY,
    NGX_HTTP_CONDUIT_ABSORB_SEEN,
    NGX_HTTP_CONDUIT_ABSORB_NEWS
} ngx_http_conduit_absorb_e;

ngx_int_t ngx_http_conduit_task_absorb(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, ngx_http_conduit_absorb_e how);

/* in its queue, from 1; 0: it is in none, or its owner has not told */

uint32_t ngx_http_conduit_task_position_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);

/*
 * A task as a record, of the pool, with all its texts or the document only;
 * NGX_OK, NGX_DECLINED (no such task) or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_task_record(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_pool_t *pool, ngx_uint_t texts,
    ngx_http_conduit_record_t *record);


/* a page of a key's tasks */

typedef struct {
    ngx_http_conduit_key_node_t      *key;
    ngx_int_t                         status;      /* -1: any */
    ngx_uint_t                        kind;
    ngx_str_t                         model;       /* empty: any */
    ngx_uint_t                        limit;
    unsigned                          ascending:1;
    unsigned                          after:1;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_pool_t                       *pool;

    ngx_http_conduit_view_t          *views;       /* of limit elements */
    ngx_uint_t                        n;
    unsigned                          more:1;
} ngx_http_conduit_page_t;

/* NGX_OK, NGX_DECLINED (after is no task of this key) or NGX_ERROR */
ngx_int_t ngx_http_conduit_task_list(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page);


/* steps */

void ngx_http_conduit_scheduler_wake(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_msec_t after);

/* performs steps; each takes over work->pool */
void ngx_http_conduit_run(ngx_http_conduit_work_t *work);
void ngx_http_conduit_sandbox(ngx_http_conduit_work_t *work);

/*
 * A task that may be performed in this process has changed from outside: what
 * runs for it with a lease that is no longer current has to stop.
 */
void ngx_http_conduit_run_stop(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id);


/* NGX_OK: the lease is current; else FINAL, LEASE_LOST or NGX_DECLINED */
ngx_int_t ngx_http_conduit_task_current(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, uint64_t lease);


/*
 * Pull API.  claim takes the first waiting task of a provider of type worker
 * whose model match() accepts by alias or upstream name; key becomes the
 * holder.  NGX_OK, NGX_AGAIN (none) or NGX_ERROR.
 */

typedef ngx_uint_t (*ngx_http_conduit_match_pt)(void *data, ngx_str_t *model);

ngx_int_t ngx_http_conduit_task_claim(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_http_conduit_match_pt match,
    void *data, ngx_pool_t *pool, ngx_http_conduit_work_t *work);

/*
 * Checks that the key holds the lease of a task of a provider of type worker
 * (of that number, if *lease is not 0) and sets *lease for a change.  NGX_OK,
 * NGX_DECLINED (unknown), NGX_AGAIN (it is another host's), FINAL or
 * LEASE_LOST; *status is set but for NGX_DECLINED.
 */
ngx_int_t ngx_http_conduit_task_held(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, u_char *id, uint64_t *lease,
    ngx_uint_t *status, ngx_uint_t *attempts,
    ngx_http_conduit_provider_t **provider);

/* a leased task's work once more, of the pool; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_conduit_task_leased(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, uint64_t lease, ngx_pool_t *pool,
    ngx_http_conduit_work_t *work);

/*
 * A leased task fails for this reason: gives it to the fallback of its model,
 * if there is one and the reason allows it.  With attempt set only if this
 * was its last attempt.  NGX_OK: done; NGX_AGAIN: it will be, see advance();
 * NGX_DECLINED: it is to fail.
 */
ngx_int_t ngx_http_conduit_task_fallback(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, uint64_t lease, ngx_uint_t code, ngx_uint_t attempt,
    ngx_http_conduit_outcome_t *outcome);


/* upper bounds, in seconds, of the classes of counters.duration */

#define NGX_HTTP_CONDUIT_DURATIONS  14

extern ngx_uint_t  ngx_http_conduit_durations[NGX_HTTP_CONDUIT_DURATIONS];


#endif /* _NGX_HTTP_CONDUIT_TASK_H_INCLUDED_ */
