
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_ZONE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <conduit.h>
#include <conduit_bucket.h>
#include <conduit_rank.h>
#include <conduit_window.h>


/*
 * Every type that lies in shared memory, and the functions that work on them.
 *
 * - One lock: the mutex of the slab pool, taken by
 *   ngx_http_conduit_zone_lock().  The master releases it for a dead worker.
 *   Functions named *_locked want it held; nothing is logged, parsed or
 *   called back while it is.
 * - No pointers to process memory.  The insert pointer of the due tree is the
 *   only one; it is set anew by every process that maps the zone.
 * - The forward list sh->tasks is the truth: a node is complete before it is
 *   linked there.  All other orders (hash, due tree, key lists, lanes,
 *   counters) are made again from it if a holder of the lock has died with
 *   sh->dirty set.
 * - Clocks: ngx_msec_t members are ngx_current_msec, which is monotonic and
 *   the same in all processes of a host; int64_t members are milliseconds
 *   since the epoch.
 */


#define NGX_HTTP_CONDUIT_LAYOUT       1

#define NGX_HTTP_CONDUIT_ID_LEN       16
#define NGX_HTTP_CONDUIT_CELLS        128
#define NGX_HTTP_CONDUIT_PROVIDERS    64
#define NGX_HTTP_CONDUIT_RING         1024
#define NGX_HTTP_CONDUIT_RING_SMALL   32
#define NGX_HTTP_CONDUIT_NAME_LEN     64
#define NGX_HTTP_CONDUIT_ENDPOINTS    16
#define NGX_HTTP_CONDUIT_CODES        21
#define NGX_HTTP_CONDUIT_ERRORS       16

#define NGX_HTTP_CONDUIT_NOBODY       0xff

/* the step that is due next; a finished task may still owe a cancel call */

#define NGX_HTTP_CONDUIT_STEP_NONE    0
#define NGX_HTTP_CONDUIT_STEP_QUEUED  1
#define NGX_HTTP_CONDUIT_STEP_BACKOFF 2
#define NGX_HTTP_CONDUIT_STEP_SUBMIT  3
#define NGX_HTTP_CONDUIT_STEP_POLL    4
#define NGX_HTTP_CONDUIT_STEP_LEASED  5
#define NGX_HTTP_CONDUIT_STEP_CANCEL  6


/* a set of cells */

typedef struct {
    uint64_t                            bits[NGX_HTTP_CONDUIT_CELLS / 64];
} ngx_http_conduit_mask_t;


/*
 * A text in a chain of equal chunks, so that a zone that lives for months
 * does not fragment: small texts lie in chunks of 256 bytes, large ones in
 * chunks of 2048 bytes, the largest size that shares a page.
 */

typedef struct ngx_http_conduit_chunk_s  ngx_http_conduit_chunk_t;

struct ngx_http_conduit_chunk_s {
    ngx_http_conduit_chunk_t           *next;
    u_char                              data[1];
};


typedef struct {
    ngx_http_conduit_chunk_t           *first;
    uint32_t                            len;
    uint32_t                            room;      /* data of one chunk */
} ngx_http_conduit_text_t;


typedef struct ngx_http_conduit_key_node_s   ngx_http_conduit_key_node_t;
typedef struct ngx_http_conduit_task_node_s  ngx_http_conduit_task_node_t;
typedef struct ngx_http_conduit_lane_s       ngx_http_conduit_lane_t;
typedef struct ngx_http_conduit_idem_node_s  ngx_http_conduit_idem_node_t;


/* a virtual key; key nodes are never freed, so workers keep pointers */

struct ngx_http_conduit_key_node_s {
    ngx_http_conduit_key_node_t        *next;
    ngx_queue_t                         tasks;     /* oldest first */
    conduit_bucket_t                    bucket;
    uint32_t                            live;      /* unfinished tasks */
    uint32_t                            ntasks;
    ngx_http_conduit_mask_t             watchers;  /* of all its tasks */
    uint64_t                           *tags;      /* last, per provider */
    u_short                             len;
    u_char                              name[NGX_HTTP_CONDUIT_NAME_LEN];
};


/*
 * A provider.  Each of its unfinished tasks that has been started holds one
 * slot.  Waiting tasks stand in lanes: one lane for all of a provider's tasks,
 * or one for each model where workers choose by model.
 */

typedef struct {
    ngx_http_conduit_lane_t            *lanes;
    uint64_t                            vtime;
    uint32_t                            running;
    uint32_t                            waiting;
    conduit_window_t                    rpm;
    ngx_http_conduit_mask_t             claimers;  /* cells waiting to claim */
    ngx_atomic_t                        ok;        /* requests by outcome */
    ngx_atomic_t                        failed;
    ngx_atomic_t                        retried;
    ngx_atomic_t                        streak;    /* bad ones in a row */
    u_short                             len;
    u_char                              name[NGX_HTTP_CONDUIT_NAME_LEN];
} ngx_http_conduit_provider_node_t;


struct ngx_http_conduit_lane_s {
    ngx_http_conduit_lane_t            *next;
    conduit_rank_t                      queue;
    u_char                              provider;  /* index in the zone */
    u_char                              len;
    u_char                              model[NGX_HTTP_CONDUIT_NAME_LEN];
};


/* what a poll reads comes first: two lines of the processor's cache */

struct ngx_http_conduit_task_node_s {
    u_char                              id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_task_node_t       *next;      /* hash */
    ngx_http_conduit_key_node_t        *key;
    ngx_http_conduit_text_t             document;
    uint64_t                            sequence;
    ngx_msec_t                          polled;    /* last; 0: never */

    uint32_t                            status_off;    /* in document */
    uint32_t                            position_off;
    uint32_t                            model_off;
    uint32_t                            model_len;
    uint32_t                            result_off;
    uint32_t                            result_len;
    uint32_t                            error_off;
    uint32_t                            error_len;
    uint32_t                            prompt_off;    /* in request */
    uint32_t                            prompt_len;

    u_char                              kind;
    u_char                              status;
    u_char                              step;
    u_char                              owner;     /* cell, or NOBODY */
    u_char                              progress;
    u_char                              attempts;
    u_char                              error_code;
    u_char                              hooks;     /* events of webhooks */
    unsigned                            slot:1;    /* counted in running */
    unsigned                            queued:1;  /* in the lane */
    unsigned                            timed:1;   /* in the due tree */

    uint32_t                            metadata_off;  /* in document */
    uint32_t                            metadata_len;
    uint32_t                            head_len;      /* head of run */
    uint32_t                            shown;         /* digest of news */

    ngx_rbtree_node_t                   due;       /* key: ngx_msec_t */
    ngx_queue_t                         tasks;     /* sh->tasks */
    ngx_queue_t                         siblings;  /* key->tasks */
    ngx_queue_t                         owned;     /* cell->owned */
    conduit_rank_node_t                 rank;      /* lane->queue */
    ngx_http_conduit_key_node_t        *holder;    /* of a worker's lease */
    ngx_http_conduit_lane_t            *lane;
    uint64_t                            lease;     /* fences late owners */

    int64_t                             created;
    int64_t                             started;
    int64_t                             updated;
    int64_t                             completed;

    ngx_msec_t                          next_at;   /* when the step is due */
    ngx_msec_t                          deadline;  /* of the whole life */
    ngx_msec_t                          timeout;

    ngx_http_conduit_mask_t             watchers;

    ngx_http_conduit_text_t             request;
    ngx_http_conduit_text_t             run;       /* between steps */
    ngx_http_conduit_text_t             webhook;
};


/*
 * A reply kept for its Idempotency-Key, found by the digest of the virtual
 * key and the client's key; ages in order of creation.
 */

struct ngx_http_conduit_idem_node_s {
    ngx_http_conduit_idem_node_t       *next;
    ngx_queue_t                         age;
    ngx_msec_t                          expires;
    u_char                              digest[32];
    u_char                              fingerprint[32];
    u_char                              id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_text_t             reply;
    u_short                             code;      /* 0: not ended yet */
    u_char                              owner;     /* cell while code is 0 */
};


/*
 * A process.  The ring holds the ids of tasks whose watchers here have to
 * look again; after an overrun they all do.  A process that starts when the
 * zone is full makes do with the small one.
 */

typedef struct {
    ngx_pid_t                           pid;       /* 0: free */
    ngx_uint_t                          slot;      /* of the wake-up */
    ngx_uint_t                          generation;
    ngx_msec_t                          seen;
    ngx_queue_t                         owned;
    uint32_t                            head;
    uint32_t                            tail;
    uint32_t                            size;      /* of the ring */
    unsigned                            overrun:1;
    unsigned                            claims:1;
    u_char                             *ring;
    u_char                              small[NGX_HTTP_CONDUIT_RING_SMALL
                                              * NGX_HTTP_CONDUIT_ID_LEN];
} ngx_http_conduit_cell_t;


/* counters that outlive workers and reloads; atomics, no lock */

typedef struct {
    ngx_atomic_t                        created[2];
    ngx_atomic_t                        finished[2][5];
    ngx_atomic_t                        failed[2][NGX_HTTP_CONDUIT_ERRORS];
    ngx_atomic_t                        requests[NGX_HTTP_CONDUIT_ENDPOINTS]
                                                [NGX_HTTP_CONDUIT_CODES];
    ngx_atomic_t                        poll_304;
    ngx_atomic_t                        rate_limited;
    ngx_atomic_t                        waits;
    ngx_atomic_t                        wait_expired;
    ngx_atomic_t                        poll_interval[12];
    ngx_atomic_t                        poll_interval_sum;
    ngx_atomic_t                        duration[2][16];
    ngx_atomic_t                        duration_sum[2];
    ngx_atomic_t                        waited[2][16];
    ngx_atomic_t                        waited_sum[2];
    ngx_atomic_t                        retries;
    ngx_atomic_t                        nomem;
    ngx_atomic_t                        takeovers;
    ngx_atomic_t                        repairs;
} ngx_http_conduit_counters_t;


typedef struct {
    uint32_t                            layout;
    uint32_t                            node_size;
    ngx_uint_t                          generation;
    unsigned                            dirty:1;

    ngx_queue_t                         tasks;
    ngx_rbtree_t                        due;
    ngx_rbtree_node_t                   sentinel;
    ngx_queue_t                         idem_age;

    ngx_http_conduit_task_node_t      **task_hash;
    ngx_http_conduit_idem_node_t      **idem_hash;
    ngx_http_conduit_key_node_t       **key_hash;
    uint32_t                            task_mask;
    uint32_t                            idem_mask;
    uint32_t                            key_mask;

    uint64_t                            seq;       /* of the lanes */
    uint64_t                            lease;
    uint32_t                            ntasks;
    uint32_t                            live;
    uint32_t                            status[5];
    uint32_t                            nkeys;
    uint32_t                            nidem;
    uint32_t                            nproviders;

    ngx_msec_t                          sweep;     /* media sweeper's lease */

    ngx_http_conduit_cell_t             cells[NGX_HTTP_CONDUIT_CELLS];
    ngx_http_conduit_provider_node_t    providers[NGX_HTTP_CONDUIT_PROVIDERS];
    ngx_http_conduit_counters_t         counters;
} ngx_http_conduit_sh_t;


/* a process's view of the zone */

typedef struct {
    ngx_http_conduit_sh_t              *sh;
    ngx_slab_pool_t                    *shpool;
    ngx_shm_zone_t                     *shm_zone;
    ngx_uint_t                          cell;      /* NOBODY before init */
    ngx_uint_t                          generation;
} ngx_http_conduit_zone_t;


/* zone */

ngx_int_t ngx_http_conduit_zone_init(ngx_shm_zone_t *shm_zone, void *data);
void ngx_http_conduit_zone_lock(ngx_http_conduit_zone_t *zone);
void ngx_http_conduit_zone_unlock(ngx_http_conduit_zone_t *zone);
void ngx_http_conduit_zone_repair_locked(ngx_http_conduit_zone_t *zone);

/* whether only that is left which the tasks that are there need to go on */
ngx_uint_t ngx_http_conduit_zone_tight_locked(ngx_http_conduit_zone_t *zone);


/*
 * Texts.  Setting one fails if there is no memory for it and it does not fit
 * in the place of the old one, which then stays.
 */

ngx_int_t ngx_http_conduit_text_set_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, u_char *data, size_t len);
/* puts a text that is not longer in the place of another, without memory */
void ngx_http_conduit_text_shrink_locked(ngx_http_conduit_text_t *text,
    u_char *data, size_t len);
void ngx_http_conduit_text_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text);
u_char *ngx_http_conduit_text_copy_locked(ngx_http_conduit_text_t *text,
    u_char *dst);
u_char *ngx_http_conduit_text_slice_locked(ngx_http_conduit_text_t *text,
    u_char *dst, size_t off, size_t len);


/* cells: one per process, found again by pid */

ngx_int_t ngx_http_conduit_cell_init(ngx_http_conduit_zone_t *zone,
    ngx_uint_t slot);
void ngx_http_conduit_cell_exit(ngx_http_conduit_zone_t *zone);

/*
 * Marks this process as alive and frees what dead ones held: the tasks they
 * owned are due at once.  Returns the number of tasks taken over.
 */
ngx_uint_t ngx_http_conduit_cell_beat(ngx_http_conduit_zone_t *zone);

/*
 * Puts the id into the rings of the cells in mask (without this process's own,
 * whose bit is told by the result) and collects in wake the slots to wake.
 */
ngx_uint_t ngx_http_conduit_cell_ring_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_mask_t *mask, u_char *id, ngx_http_conduit_mask_t *wake);

/* takes up to n ids from this cell's ring; *all is set after an overrun */
ngx_uint_t ngx_http_conduit_cell_take(ngx_http_conduit_zone_t *zone,
    u_char *ids, ngx_uint_t n, ngx_uint_t *all, ngx_uint_t *claims);

/* are there processes of other generations, which cannot be woken? */
ngx_uint_t ngx_http_conduit_cell_strangers(ngx_http_conduit_zone_t *zone);

#define ngx_http_conduit_mask_set(m, n)                                       \
    (m)->bits[(n) / 64] |= (uint64_t) 1 << ((n) % 64)
#define ngx_http_conduit_mask_clear(m, n)                                     \
    (m)->bits[(n) / 64] &= ~((uint64_t) 1 << ((n) % 64))
#define ngx_http_conduit_mask_test(m, n)                                      \
    ((m)->bits[(n) / 64] >> ((n) % 64) & 1)


/* keys */

ngx_http_conduit_key_node_t *ngx_http_conduit_key_node(
    ngx_http_conduit_zone_t *zone, ngx_str_t *name);
ngx_http_conduit_key_node_t *ngx_http_conduit_key_node_locked(
    ngx_http_conduit_zone_t *zone, ngx_str_t *name);


/* providers and their lanes; NULL or NGX_ERROR: no memory, or too many */

ngx_int_t ngx_http_conduit_provider_index(ngx_http_conduit_zone_t *zone,
    ngx_str_t *name);
ngx_http_conduit_lane_t *ngx_http_conduit_lane(ngx_http_conduit_zone_t *zone,
    ngx_uint_t provider, ngx_str_t *model);
void ngx_http_conduit_lane_push_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_lane_remove_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
ngx_uint_t ngx_http_conduit_lane_position_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_task_node_t *node);

#define ngx_http_conduit_lane_task(n)                                         \
    (ngx_http_conduit_task_node_t *)                                          \
        ((u_char *) (n) - offsetof(ngx_http_conduit_task_node_t, rank))


/* task nodes */

ngx_http_conduit_task_node_t *ngx_http_conduit_node_find_locked(
    ngx_http_conduit_zone_t *zone, u_char *id);
ngx_http_conduit_task_node_t *ngx_http_conduit_node_alloc_locked(
    ngx_http_conduit_zone_t *zone);
void ngx_http_conduit_node_link_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_node_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_node_due_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_node_own_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t cell);
void ngx_http_conduit_node_slot_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node, ngx_uint_t on);


/* idempotency records */

ngx_http_conduit_idem_node_t *ngx_http_conduit_idem_find_locked(
    ngx_http_conduit_zone_t *zone, u_char *digest);
ngx_http_conduit_idem_node_t *ngx_http_conduit_idem_insert_locked(
    ngx_http_conduit_zone_t *zone, u_char *digest, u_char *fingerprint,
    u_char *id);
void ngx_http_conduit_idem_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_idem_node_t *idem);


#endif /* _NGX_HTTP_CONDUIT_ZONE_H_INCLUDED_ */
