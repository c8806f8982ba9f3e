
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_STORE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_STORE_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/*
 * The durable store behind the zone.  While nginx lives the zone is the truth
 * and the store follows it: a change is handed to the store first, and is
 * made in the zone, and thereby visible, when the store has it.  At start the
 * zone is filled from the store.
 *
 * Calls never block: a backend that has to wait answers NGX_AGAIN and calls
 * the handler later, never inside of the call.  Commits of one task come one
 * at a time.
 */


/*
 * What is kept of a delivery: its event comes with the change that it tells,
 * and then how it stands, without the body.  Progress and tests are not kept.
 */

typedef struct {
    u_char                            id[CONDUIT_BASE62_LEN];
    u_char                            origin[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          sequence;    /* of the task */
    int64_t                           created;     /* all ms */
    int64_t                           updated;
    int64_t                           delivered;
    int64_t                           next;        /* attempt */
    uint32_t                          rate;        /* of the key */
    uint32_t                          span;
    u_short                           attempts;
    u_short                           tries;
    u_short                           last_status;
    u_char                            last_failure;
    u_char                            event;
    u_char                            state;
    unsigned                          jose:1;
    unsigned                          again:1;     /* after it had ended */
    ngx_str_t                         body;        /* no data: as it was */

    /* of its task */

    u_char                            task[NGX_HTTP_CONDUIT_ID_LEN];
    int64_t                           deadline;    /* ms */
    uint64_t                          posted;      /* events known of */
    unsigned                          owed:1;      /* any to be delivered */
    unsigned                          handed:1;    /* by another host */
} ngx_http_conduit_kept_hook_t;


/*
 * How an Idempotency-Key has been used before, by this host or another one.
 * With busy somebody waits for the end of that create; with code 0 and not
 * busy nobody does, and whoever asks is the one that does from now on.
 */

typedef struct {
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t                        code;        /* 0: not ended */
    ngx_str_t                         reply;
    unsigned                          mismatch:1;  /* for another request */
    unsigned                          busy:1;
} ngx_http_conduit_used_t;


/*
 * What is kept of a task: its node, with times of the clock and names in
 * place of what only this zone knows.  A text without data stays what it was
 * in the record before; request, webhook and all that is said to be of a
 * create come with the create only.
 */

typedef struct {
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    uint64_t                          number;      /* order of creation */
    uint64_t                          sequence;

    int64_t                           created;     /* all ms */
    int64_t                           started;
    int64_t                           updated;
    int64_t                           completed;
    int64_t                           deadline;    /* of life, then of TTL */
    int64_t                           timeout;

    uint32_t                          status_off;  /* in document */
    uint32_t                          position_off;
    uint32_t                          model_off;
    uint32_t                          model_len;
    uint32_t                          metadata_off;
    uint32_t                          metadata_len;
    uint32_t                          result_off;
    uint32_t                          result_len;
    uint32_t                          error_off;
    uint32_t                          error_len;
    uint32_t                          prompt_off;  /* in request */
    uint32_t                          prompt_len;
    uint32_t                          head_len;    /* of run */
    uint32_t                          shown;
    uint32_t                          position;    /* in the queue; 0: is not */
                                                   /* in one, or not told */
    uint32_t                          jumps;       /* was taken over so often */

    u_char                            kind;
    u_char                            status;
    u_char                            step;
    u_char                            progress;
    u_char                            attempts;
    u_char                            error_code;
    u_char                            hooks;
    unsigned                          create:1;
    unsigned                          retry:1;     /* after it had ended */
    unsigned                          remote:1;    /* another host's task */
    unsigned                          followed:1;  /* by another host */
    unsigned                          key_followed:1;
    unsigned                          local:1;     /* not kept so far */
    unsigned                          doubt:1;     /* perhaps it has ended */

    ngx_str_t                         leased;      /* LEASE KEY, of a worker */
    ngx_str_t                         provider;    /* names */
    ngx_str_t                         lane;
    ngx_str_t                         document;
    ngx_str_t                         run;
    ngx_http_conduit_kept_hook_t     *hook;        /* NULL: no event */

    /* from or to the shared store: all of them, and who sends them */

    ngx_http_conduit_kept_hook_t     *hooks_kept;  /* by sequence */
    ngx_uint_t                        nhooks_kept;
    uint64_t                          posted;      /* events, ever */
    ngx_str_t                         courier;     /* empty: all have ended */

    /* of a create */

    ngx_str_t                         key;         /* name */
    ngx_str_t                         request;
    ngx_str_t                         webhook;

    /* its Idempotency-Key, if digest is not NULL; code 0: not ended */

    u_char                           *digest;
    u_char                           *fingerprint;
    int64_t                           until;       /* ms */
    ngx_uint_t                        code;
    ngx_str_t                         reply;
    unsigned                          settled:1;   /* nothing but that key */

    /* where hosts share a store: filled in with NGX_DONE */

    ngx_http_conduit_used_t          *used;
    unsigned                          look:1;      /* make nothing */
} ngx_http_conduit_record_t;


/*
 * NGX_OK: kept; NGX_DECLINED: the store is full; NGX_ERROR: it has failed;
 * NGX_ABORT: it may be kept, and the same commit once more will tell.  Of a
 * change with an event also NGX_DONE: kept, but that is somebody else's to
 * deliver.
 * Of a create with an Idempotency-Key also NGX_DONE: it has been used, the
 * texts of record->used are there as long as the handler runs.  Of a look
 * NGX_DONE or another one: it has not been used, as far as is known.
 */

typedef void (*ngx_http_conduit_store_pt)(void *data, ngx_int_t rc);

/*
 * A record of a scan; with an empty document it is only a delivery of the task
 * with that number, or an Idempotency-Key.  What is not NGX_OK ends the scan
 * and is its result.
 */

typedef ngx_int_t (*ngx_http_conduit_store_each_pt)(void *data,
    ngx_http_conduit_record_t *record);


struct ngx_http_conduit_store_s {
    const char                       *name;
    ngx_uint_t                        durable;     /* keeps anything */

    /* a worker begins, a worker ends */

    ngx_int_t                       (*init)(ngx_http_conduit_store_t *store,
                                       ngx_cycle_t *cycle,
                                       ngx_http_conduit_main_conf_t *cdmcf);
    void                            (*exit)(ngx_http_conduit_store_t *store);

    /*
     * Keeps the record in place of an older one.  NGX_OK, NGX_AGAIN (handler
     * gets the outcome) or NGX_ERROR; the record may go as soon as this
     * returns.
     */

    ngx_int_t                       (*commit)(ngx_http_conduit_store_t *store,
                                       ngx_http_conduit_record_t *record,
                                       ngx_http_conduit_store_pt handler,
                                       void *data);

    /* soon keeps how a delivery of the task stands; NULL: it does not */

    void                            (*hook)(ngx_http_conduit_store_t *store,
                                       uint64_t number,
                                       ngx_http_conduit_kept_hook_t *hook);

    /*
     * Soon forgets a task whose time is over, of a key that is NULL if there
     * was no time, or a used Idempotency-Key.
     */

    void                            (*remove)(ngx_http_conduit_store_t *store,
                                       u_char *id, uint64_t number,
                                       ngx_str_t *key);
    void                            (*release)(
                                       ngx_http_conduit_store_t *store,
                                       u_char *digest, int64_t until);

    /*
     * NULL: Idempotency-Keys are this host's alone.  Else a synchronous
     * create has ended, and that is its reply; or with code 0 nobody waits for
     * it any more; or with reply NULL it has come to nothing.  NGX_AGAIN: the
     * handler, if there is one, is called when other hosts see that, or cannot
     * be told; NGX_ERROR: they cannot.
     */

    ngx_int_t                       (*settle)(
                                       ngx_http_conduit_store_t *store,
                                       u_char *digest, ngx_uint_t code,
                                       ngx_str_t *reply,
                                       ngx_http_conduit_store_pt handler,
                                       void *data);

    /*
     * Hands every task to each(), in the order of creation, then the rest;
     * starts is a number that rises from one time to the next.
     */

    uint64_t                          starts;

    ngx_int_t                       (*scan)(ngx_http_conduit_store_t *store,
                                       ngx_http_conduit_store_each_pt each,
                                       void *data);

    /*
     * Does so later with what is kept of one task, its deliveries first, and
     * then calls the handler.  NGX_AGAIN, or NGX_ERROR; NULL: it cannot.
     */

    ngx_int_t                       (*recall)(ngx_http_conduit_store_t *store,
                                       uint64_t number,
                                       ngx_http_conduit_store_each_pt each,
                                       ngx_http_conduit_store_pt handler,
                                       void *data);
};


/*
 * Of each takeover: nobody has seen a sequence that is so much higher than what
 * is kept.  They add up, as nothing may be kept from one to the next.
 */

#define NGX_HTTP_CONDUIT_JUMP  1000


/* keeps nothing: tasks live as long as the zone */

extern ngx_http_conduit_store_t  ngx_http_conduit_store_off;


#endif /* _NGX_HTTP_CONDUIT_STORE_H_INCLUDED_ */
