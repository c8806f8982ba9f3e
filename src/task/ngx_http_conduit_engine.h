
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_ENGINE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_ENGINE_H_INCLUDED_


#include <ngx_event.h>
#include <ngx_http_conduit_task.h>
#include <ngx_http_conduit_document.h>
#include <ngx_http_conduit_watch.h>
#include <ngx_http_conduit_index.h>


/* What the files of the engine share; nobody else looks in here. */


/* room for the texts taken over from one document to the next */

#define NGX_HTTP_CONDUIT_SCRATCH  20480


/* how long a task of another host stays when nobody asks for it, ms */

#define NGX_HTTP_CONDUIT_COPY     60000


/* steps performed in this process, found by the ids of their tasks */

#define NGX_HTTP_CONDUIT_RUNS     256

#define ngx_http_conduit_runs(engine, id)                                     \
    (&(engine)->runs[(id)[0] % NGX_HTTP_CONDUIT_RUNS])


struct ngx_http_conduit_engine_s {
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_cycle_t                      *cycle;
    ngx_log_t                        *log;

    ngx_event_t                       timer;       /* next due step */
    ngx_event_t                       tick;        /* heart beat */
    ngx_event_t                       rings;       /* while there are */
                                                   /* strangers */
    ngx_event_t                       turn;        /* posted: due steps */

    ngx_msec_t                        leaving;     /* since when, or 0 */

    ngx_http_conduit_index_t          watched;     /* tasks */
    ngx_queue_t                       claims;
    ngx_rbtree_t                      keys;        /* watched */
    ngx_rbtree_node_t                 keys_sentinel;
    ngx_queue_t                       fired;
    ngx_event_t                       fire;        /* posted */

    ngx_queue_t                       runs[NGX_HTTP_CONDUIT_RUNS];
    ngx_queue_t                       waiting;     /* pending changes */
    ngx_uint_t                        late;        /* unsigned  late:1; */

    ngx_http_conduit_provider_t      *providers[NGX_HTTP_CONDUIT_PROVIDERS];
    u_char                            pumping[NGX_HTTP_CONDUIT_PROVIDERS];

    /* tells other hosts of a change; NULL: there are none */

    void                            (*announce)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       u_char *id);

    /* bits of shards whose tasks may not be ours any more */

    uint64_t                        (*unleased)(
                                       ngx_http_conduit_main_conf_t *cdmcf);

    /* keep the zone up to date about tasks of other hosts */

    ngx_int_t                       (*follow)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       u_char *id,
                                       ngx_http_conduit_waiter_t *waiter);
    ngx_int_t                       (*follow_key)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       ngx_http_conduit_key_node_t *key,
                                       ngx_http_conduit_waiter_t *waiter);

    /*
     * Asks for permits of a key; they are in the zone, or what there is to
     * know about them is, when the handler is called.
     */

    void                            (*permit)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       ngx_http_conduit_key_node_t *key,
                                       ngx_uint_t n,
                                       void (*handler)(void *data),
                                       void *data);

    /*
     * Asks another host for the task that a worker holds a lease of there: if
     * it does, the task will be one of this host.
     */

    ngx_int_t                       (*borrow)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       u_char *id,
                                       ngx_http_conduit_key_node_t *key,
                                       uint64_t lease,
                                       ngx_http_conduit_waiter_t *waiter);

    /* fills a page with tasks of all hosts */

    ngx_int_t                       (*page)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       ngx_http_conduit_page_t *page,
                                       ngx_http_conduit_waiter_t *waiter);

    /*
     * Has another host take what a client POSTs to a session there, or end
     * it, or hand it over, by the verb of want.  NGX_AGAIN: the handler gets
     * the result, SESSION_*, or NGX_ERROR: it is not known; NGX_DECLINED:
     * there is no other host; NGX_ERROR: others cannot be asked.
     */

    ngx_int_t                       (*session)(
                                       ngx_http_conduit_main_conf_t *cdmcf,
                                       ngx_http_conduit_session_want_t *want,
                                       ngx_str_t *data,
                                       ngx_http_conduit_waiter_t *waiter);

    ngx_connection_t                  dummy;       /* for debug of events */
    u_char                            scratch[NGX_HTTP_CONDUIT_SCRATCH];
};


/* the cells to tell of a change, and whether this process is among them */

typedef struct {
    ngx_http_conduit_mask_t           wake;        /* slots */
    unsigned                          here:1;
    unsigned                          far:1;       /* other hosts follow */
    unsigned                          claims:1;
} ngx_http_conduit_news_t;


/* under the lock: notes the news of a node; after it: spreads them */

void ngx_http_conduit_news_task_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news);
void ngx_http_conduit_news_claims_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news);
void ngx_http_conduit_news_spread(ngx_http_conduit_engine_t *engine,
    u_char *id, ngx_http_conduit_news_t *news);

/* does another host want to know, and has asked for it of late? */

ngx_uint_t ngx_http_conduit_news_followed(ngx_msec_t until);

/* gives back the slot of a task, which a waiting claim may now take */

void ngx_http_conduit_release_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_news_t *news);

/* reads the ring of this process; the wake-up's handler */

void ngx_http_conduit_news_read(void *data);


/* asks the store for what dead processes were having kept */

void ngx_http_conduit_orphans(ngx_http_conduit_engine_t *engine);

/* makes the change that the store has, if any, and gives the ticket back */

ngx_int_t ngx_http_conduit_task_adopt(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, uint64_t ticket);
void ngx_http_conduit_task_release(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, uint64_t ticket);

/* a place for the model in the zone; NGX_ERROR: no room */

ngx_int_t ngx_http_conduit_model_bind(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_model_t *model);


/* NGX_DECLINED: the Idempotency-Key has not been used yet */

ngx_int_t ngx_http_conduit_replay(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create);


/* changes of the task that have waited may be tried again */

void ngx_http_conduit_door_wake(ngx_http_conduit_engine_t *engine,
    u_char *id);


/* run text: the alias, the model's name there, the state; two line feeds */

size_t ngx_http_conduit_run_head_len(ngx_http_conduit_model_t *model);
u_char *ngx_http_conduit_run_head(u_char *p, ngx_http_conduit_model_t *model);


/* sets the first step; claims it for this process if it can start at once */

void ngx_http_conduit_step_first_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, ngx_http_conduit_provider_t *provider,
    ngx_http_conduit_news_t *news);

/* is it certain that no other host has taken the task over? */

ngx_uint_t ngx_http_conduit_step_leased_locked(
    ngx_http_conduit_engine_t *engine, ngx_http_conduit_task_node_t *node);

/*
 * A change found no room in the zone: what is due is looked at again in a
 * while, and what its owner (lease is not 0) can perform again is given back.
 */

void ngx_http_conduit_step_postpone_locked(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_task_node_t *node, uint64_t lease);

/* copies a claimed step out of the zone and performs it */

void ngx_http_conduit_step_perform(ngx_http_conduit_engine_t *engine,
    u_char *id, uint64_t lease);

/* starts what waits for a slot of the provider */

void ngx_http_conduit_pump(ngx_http_conduit_engine_t *engine,
    ngx_uint_t provider);

ngx_http_conduit_work_t *ngx_http_conduit_work_load(
    ngx_http_conduit_engine_t *engine, u_char *id, uint64_t lease);

/* a task was started after a wait; it has ended as its document says */

void ngx_http_conduit_count_start(ngx_http_conduit_engine_t *engine,
    ngx_uint_t kind, int64_t waited);
void ngx_http_conduit_count_end(ngx_http_conduit_engine_t *engine,
    ngx_http_conduit_document_t *doc, int64_t duration);

ngx_int_t ngx_http_conduit_scheduler_init(ngx_http_conduit_engine_t *engine);
void ngx_http_conduit_scheduler_exit(ngx_http_conduit_engine_t *engine);


#endif /* _NGX_HTTP_CONDUIT_ENGINE_H_INCLUDED_ */
