
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_ZONE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <conduit.h>
#include <conduit_breaker.h>
#include <conduit_bucket.h>
#include <conduit_id.h>
#include <conduit_rank.h>
#include <conduit_window.h>


/*
 * Every type that lies in shared memory, and the functions that work on them;
 * those for tasks, sessions and deliveries are in headers that come at the end.
 *
 * - One lock: the mutex of the slab pool, taken by
 *   ngx_http_conduit_zone_lock().  The master releases it for a dead worker.
 *   Functions named *_locked want it held; nothing is logged, parsed or
 *   called back while it is.
 * - No pointers to process memory.  The insert pointer of the due tree is the
 *   only one; it is set anew by every process that maps the zone.
 * - The forward lists sh->tasks, sh->hooks and sh->origins are the truth: a
 *   node is complete before it is linked there.  All other orders (hash, due
 *   trees, key lists, lanes, counters) are made again from them if a holder of
 *   the lock has died with sh->dirty set; kept replies have sh->idem_age
 *   for that.
 * - A draft is a node of which the store has not heard yet: it counts and can
 *   be found by who makes it, and does not exist for anybody else.
 * - A ticket marks a node of which a change is being kept by the store: other
 *   changes wait until it is gone, and no timer finds the node.  That of a
 *   dead process is an orphan until another one has asked the store, if it
 *   can be asked.
 * - A remote node is a copy of a task that another host performs.  Its owner is
 *   the process that follows it there; without one it may be out of date.
 *   It is in no lane and counts nowhere.
 * - Deliveries of a task that is "handed" are known here and another host's to
 *   send: they stand behind, and count nowhere.
 * - Clocks: ngx_msec_t members are ngx_current_msec, which is monotonic and
 *   the same in all processes of a host; int64_t members are milliseconds
 *   since the epoch.
 */


#define NGX_HTTP_CONDUIT_LAYOUT       10

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

/* the part of a rate that hosts need no permits for */

#define NGX_HTTP_CONDUIT_RATE_SHARES  16

/* after that time what a host has done in a window of a rate is over, ms */

#define NGX_HTTP_CONDUIT_HOST_SETTLED 66000

/* how long a reply is kept for its Idempotency-Key, ms */

#define NGX_HTTP_CONDUIT_IDEM_TIME    86400000

/* the step that is due next; a finished task may still owe a cancel call */

#define NGX_HTTP_CONDUIT_STEP_NONE    0
#define NGX_HTTP_CONDUIT_STEP_QUEUED  1
#define NGX_HTTP_CONDUIT_STEP_BACKOFF 2
#define NGX_HTTP_CONDUIT_STEP_SUBMIT  3
#define NGX_HTTP_CONDUIT_STEP_POLL    4
#define NGX_HTTP_CONDUIT_STEP_LEASED  5
#define NGX_HTTP_CONDUIT_STEP_CANCEL  6


/* of a delivery; parked is what a waiting one looks like */

#define NGX_HTTP_CONDUIT_HOOK_PENDING    0
#define NGX_HTTP_CONDUIT_HOOK_PARKED     1
#define NGX_HTTP_CONDUIT_HOOK_DELIVERED  2
#define NGX_HTTP_CONDUIT_HOOK_FAILED     3
#define NGX_HTTP_CONDUIT_HOOK_DROPPED    4

/* where a delivery stands */

#define NGX_HTTP_CONDUIT_HOOK_BEHIND     0     /* another one of its task */
#define NGX_HTTP_CONDUIT_HOOK_TIMED      1     /* in the due tree */
#define NGX_HTTP_CONDUIT_HOOK_READY      2     /* at its origin */
#define NGX_HTTP_CONDUIT_HOOK_RUNNING    3     /* owned by a cell */
#define NGX_HTTP_CONDUIT_HOOK_ENDED      4

/* attempts of a delivery that are remembered, the latest */

#define NGX_HTTP_CONDUIT_HOOK_ATTEMPTS   15

/* an address that no attempt was connected to */

#define NGX_HTTP_CONDUIT_HOOK_NOWHERE    0xf


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
typedef struct ngx_http_conduit_session_s    ngx_http_conduit_session_t;
typedef struct ngx_http_conduit_hook_node_s  ngx_http_conduit_hook_node_t;
typedef struct ngx_http_conduit_origin_s     ngx_http_conduit_origin_t;


/* a virtual key; key nodes are never freed, so workers keep pointers */

struct ngx_http_conduit_key_node_s {
    ngx_http_conduit_key_node_t        *next;
    conduit_treap_t                     tasks;     /* oldest first */
    ngx_queue_t                         changes;   /* of them, latest last */
    conduit_bucket_t                    bucket;
    uint32_t                            live;      /* unfinished tasks */
    uint32_t                            ntasks;
    uint32_t                            connections;
    ngx_http_conduit_mask_t             watchers;  /* of all its tasks */
    uint64_t                           *tags;      /* last, per provider */
    ngx_msec_t                          followed;  /* by a host, until; or 0 */
    uint32_t                            away;      /* connections, and */
    uint32_t                            away_live; /* tasks, of other hosts */
    uint32_t                            charged;   /* requests they have not */
    conduit_rate_t                      rate_used; /* heard of; by this rate */

    ngx_queue_t                         hooks;     /* oldest first */
    ngx_queue_t                         origins;   /* with something to do */
    ngx_queue_t                         turn;      /* sh->turns */
    ngx_rbtree_node_t                   free;      /* sh->hook_due: rate */
    conduit_window_t                   *window;    /* NULL: not used yet */
    uint32_t                            span;      /* of the rate, ms, and */
    uint32_t                            rate;      /* POSTs in it; 0: off */
    uint32_t                            permits;   /* of all hosts' rate */
    ngx_msec_t                          permits_until;
    ngx_msec_t                          asked;     /* for more; or 0 */
    ngx_msec_t                          denied;    /* until; or 0 */
    uint32_t                            running;   /* attempts */
    uint32_t                            nhooks;
    unsigned                            listed:1;  /* in sh->turns */
    unsigned                            timed:1;   /* in sh->hook_due */

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
    uint32_t                            away;          /* of other hosts: */
    uint32_t                            away_waiting;  /* running, waiting */
    uint32_t                            rivals;    /* hosts with any of them */
    uint32_t                            starts;    /* not told others yet */
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


/* the last stamp before a time; the next such time is a second later, ms */

#define NGX_HTTP_CONDUIT_STAMPS      128
#define NGX_HTTP_CONDUIT_STAMP_SPAN  1000

typedef struct {
    ngx_msec_t                          at;
    uint64_t                            stamp;
} ngx_http_conduit_stamp_t;


/* shards of the shared store, by the first byte of an id; bits of a mask */

#define NGX_HTTP_CONDUIT_PARTS  64

#define ngx_http_conduit_part(mask, id)                                       \
    (((mask) >> ((id)[0] % NGX_HTTP_CONDUIT_PARTS)) & 1)


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
    u_char                              committer; /* cell, of the ticket */
    unsigned                            slot:1;    /* counted in running */
    unsigned                            queued:1;  /* in the lane */
    unsigned                            timed:1;   /* in the due tree */
    unsigned                            gone:1;    /* a webhook met a 410 */
    unsigned                            draft:1;   /* not kept yet */
    unsigned                            awaited:1; /* the ticket's end */
    unsigned                            remote:1;  /* another host has it */
    unsigned                            jump:1;    /* of the sequence */
    unsigned                            unsaved:1; /* the store lacks it */
    unsigned                            local:1;   /* has always lacked it */
    unsigned                            doubt:1;   /* it may have an end */
    unsigned                            handed:1;  /* another host delivers */
    unsigned                            apart:1;   /* deliveries have a */
                                                   /* lease of their own */
    unsigned                            offline:1; /* the store cannot hear */
                                                   /* of its next event */
    unsigned                            keyed:1;   /* a draft: its create may */
                                                   /* be answered by others */

    uint32_t                            metadata_off;  /* in document */
    uint32_t                            metadata_len;
    uint32_t                            head_len;      /* head of run */
    uint32_t                            shown;         /* digest of news */
    uint32_t                            jumps;         /* takeovers so far */

    ngx_rbtree_node_t                   due;       /* key: ngx_msec_t */
    ngx_queue_t                         tasks;     /* sh->tasks */
    conduit_treap_node_t                place;     /* key->tasks */
    ngx_queue_t                         changed;   /* key->changes */
    ngx_queue_t                         owned;     /* cell->owned */
    conduit_rank_node_t                 rank;      /* lane->queue; its size */
                                                   /* is a copy's position */
    ngx_http_conduit_key_node_t        *holder;    /* of a worker's lease */
    ngx_http_conduit_lane_t            *lane;
    uint64_t                            lease;     /* fences late owners */
    uint64_t                            ticket;    /* of a change that is */
                                                   /* being kept; or 0 */
    uint64_t                            number;    /* order of creation */
    uint64_t                            stamp;     /* of the last change */
    uint64_t                            begun;     /* of the start; or 0 */

    int64_t                             created;
    int64_t                             started;
    int64_t                             updated;
    int64_t                             completed;

    ngx_msec_t                          next_at;   /* when the step is due */
    ngx_msec_t                          deadline;  /* of the whole life */
    ngx_msec_t                          timeout;

    ngx_http_conduit_mask_t             watchers;
    ngx_msec_t                          followed;  /* by a host, until; or 0 */

    ngx_http_conduit_text_t             request;
    ngx_http_conduit_text_t             run;       /* between steps */
    ngx_http_conduit_text_t             webhook;
    ngx_http_conduit_text_t             fresh;     /* document, with ticket */

    ngx_queue_t                         deliveries;  /* by sequence */
    ngx_msec_t                          told;      /* progress, last tried */
    uint32_t                            owed;      /* deliveries not ended */
    uint32_t                            posted;    /* events of it that the */
                                                   /* shared store has */
};


/*
 * Webhooks.  A delivery is one event on its way to the receiver of its task,
 * and lives as long as the task; one without a task is a test event.  Of the
 * deliveries of a task one at a time is on its way, in the order of their
 * sequences; the others stand behind it.  That one waits in the due tree (for
 * a pause to end), then at its origin, until a worker claims it.
 */

/* an attempt, as remembered */

typedef struct {
    int64_t                             at;        /* ms */
    u_short                             number;    /* from 1 */
    u_short                             status;    /* 0: none */
    unsigned                            duration:20;   /* ms */
    unsigned                            failure:8;     /* its class */
    unsigned                            address:4;     /* class, or NOWHERE */
} ngx_http_conduit_attempt_t;


typedef struct {
    ngx_uint_t                          n;         /* ever added */
    ngx_http_conduit_attempt_t          attempts[
                                            NGX_HTTP_CONDUIT_HOOK_ATTEMPTS];
} ngx_http_conduit_hook_log_t;


struct ngx_http_conduit_hook_node_s {
    u_char                              id[CONDUIT_BASE62_LEN];  /* whe_... */
    u_char                              event;     /* CONDUIT_HOOK_*, 0: test */
    u_char                              state;

    ngx_http_conduit_hook_node_t       *next;      /* hash */
    ngx_http_conduit_key_node_t        *key;
    ngx_http_conduit_task_node_t       *task;      /* NULL: test */
    ngx_http_conduit_origin_t          *origin;

    ngx_queue_t                         hooks;     /* sh->hooks */
    ngx_queue_t                         siblings;  /* key->hooks */
    ngx_queue_t                         queue;     /* task->deliveries */

    union {
        ngx_rbtree_node_t               tree;      /* timed or ready */
        ngx_queue_t                     owned;     /* running: cell->hooks */
    } u;

    uint64_t                            order;     /* of creation */
    uint64_t                            sequence;
    uint64_t                            lease;     /* fences late owners */
    int64_t                             created;
    int64_t                             updated;
    int64_t                             delivered; /* 0: not yet */
    ngx_msec_t                          next_at;   /* of the next attempt */

    ngx_http_conduit_text_t             text;      /* body, settings of test */
    ngx_http_conduit_hook_log_t        *log;
    conduit_breaker_ticket_t            ticket;    /* while running */

    uint32_t                            body;      /* its length in text */
    u_short                             attempts;  /* ever */
    u_short                             tries;     /* of this schedule */
    u_short                             last_status;
    u_char                              last_failure;
    u_char                              place;
    u_char                              owner;     /* cell, or NOBODY */
    unsigned                            jose:1;
    unsigned                            once:1;    /* tried only once */
    unsigned                            expiring:1;    /* an ended test */
    unsigned                            local:1;   /* the store lacks it */
};


/*
 * Where deliveries of a key go: scheme, host and port, as a digest.  It is
 * there as long as deliveries name it.
 */

struct ngx_http_conduit_origin_s {
    ngx_http_conduit_origin_t          *next;      /* hash */
    ngx_http_conduit_key_node_t        *key;
    ngx_queue_t                         queue;     /* sh->origins */
    ngx_queue_t                         turn;      /* key->origins */
    ngx_rbtree_node_t                   free;      /* sh->hook_due: breaker */
    ngx_rbtree_t                        ready;     /* by creation */
    ngx_rbtree_node_t                   sentinel;
    conduit_breaker_t                   breaker;
    uint32_t                            waiting;   /* in ready */
    uint32_t                            running;
    uint32_t                            refs;      /* deliveries */
    unsigned                            listed:1;  /* in key->origins */
    unsigned                            timed:1;   /* in sh->hook_due */
    u_char                              digest[NGX_HTTP_CONDUIT_ID_LEN];
};


/*
 * A reply kept for its Idempotency-Key, found by the digest of the virtual
 * key and the client's key; ages in order of creation.
 */

struct ngx_http_conduit_idem_node_s {
    ngx_http_conduit_idem_node_t       *next;
    ngx_queue_t                         age;
    ngx_msec_t                          expires;
    int64_t                             until;     /* the same, in ms of the */
                                                   /* clock */
    u_char                              digest[32];
    u_char                              fingerprint[32];
    u_char                              id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_text_t             reply;
    u_short                             code;      /* 0: not ended yet */
    u_char                              owner;     /* cell while code is 0 */
};


/*
 * A hub connection, found by the id that its token names.  Whoever holds the
 * client's socket, or its pending request, owns it, and reads the inbox that
 * POSTs fill, in whichever process they are served.  One that is between two
 * polls, or waits for a client that was cut off, rests without an owner; one
 * that has ended is kept for a while, for a successor to take over its
 * subscriptions.  Requests that want to own it are numbered: the latest claim
 * is the one that counts, and the owner gives way to it.
 */

struct ngx_http_conduit_session_s {
    u_char                              id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_http_conduit_session_t         *next;      /* hash */
    ngx_http_conduit_key_node_t        *key;
    ngx_queue_t                         sessions;  /* sh->sessions */
    ngx_queue_t                         age;       /* resting, or ended */
    ngx_http_conduit_text_t             inbox;
    ngx_http_conduit_text_t             state;     /* see conduit_session.h */
    union {
        ngx_msec_t                      expires;
        ngx_msec_t                      retired;   /* if owned: when its */
    };                                             /* successor came */
    union {
        ngx_msec_t                      opened;
        uint64_t                        seen;      /* if moved: the stamp */
    };                                             /* that it knew */
    uint32_t                            claim;     /* the latest */
    uint32_t                            holder;    /* the owner's */
    u_char                              owner;     /* cell, or NOBODY */
    u_char                              heir;      /* cell that waits */
    u_char                              transport;
    u_char                              kind;
    unsigned                            named:1;   /* the client knows the id */
    unsigned                            resumable:1;
    unsigned                            retire:1;  /* a successor is there */
    unsigned                            ended:1;
    unsigned                            farewell:1;    /* a poll is owed */
    unsigned                            moved:1;   /* to another host */
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
    ngx_queue_t                         hooks;     /* attempts here */
    uint32_t                            head;
    uint32_t                            tail;
    uint32_t                            size;      /* of the ring */
    uint32_t                            tickets;   /* of this process */
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
    ngx_atomic_t                        hub_connects[3];
    ngx_atomic_t                        hub_refused;
    ngx_atomic_t                        hub_closed;
    ngx_atomic_t                        hub_duration_sum;  /* ms */
    ngx_atomic_t                        hub_reconnects;
    ngx_atomic_t                        hub_invocations;
    ngx_atomic_t                        hub_messages;
    ngx_atomic_t                        hub_skipped;
    ngx_atomic_t                        hub_slow;
    ngx_atomic_t                        hub_latency_sum;   /* us */
    ngx_atomic_t                        hub_latency_n;
    ngx_atomic_t                        hook_queued;
    ngx_atomic_t                        hook_ended[5];     /* by state */
    ngx_atomic_t                        hook_attempts[CONDUIT_FAIL_N];
    ngx_atomic_t                        hook_retries;      /* attempts */
    ngx_atomic_t                        hook_trips;        /* of breakers */
    ngx_atomic_t                        hook_latency[16];  /* of delivered */
    ngx_atomic_t                        hook_latency_sum;  /* ms */
    ngx_atomic_t                        hook_duration_sum; /* ms, attempts */
    ngx_atomic_t                        store_batches;
    ngx_atomic_t                        store_writes;
    ngx_atomic_t                        store_failed;
    ngx_atomic_t                        store_time;        /* ms */
    ngx_atomic_t                        store_used;        /* bytes, now */
    ngx_atomic_t                        store_bad;         /* 1: failing */
    ngx_atomic_t                        store_loaded;      /* at start */
    ngx_atomic_t                        retries;
    ngx_atomic_t                        nomem;
    ngx_atomic_t                        takeovers;
    ngx_atomic_t                        repairs;
} ngx_http_conduit_counters_t;


/*
 * What a task was before a change that has many parts.  While task is set its
 * old texts are kept as well; whoever finds it set, after a kill, goes back.
 */

#define NGX_HTTP_CONDUIT_UNDO_TEXTS   8

typedef struct {
    ngx_http_conduit_task_node_t       *task;      /* NULL: no change */
    ngx_http_conduit_task_node_t        was;
    ngx_http_conduit_chunk_t           *texts[NGX_HTTP_CONDUIT_UNDO_TEXTS];
    ngx_uint_t                          ntexts;
} ngx_http_conduit_undo_t;


typedef struct {
    uint32_t                            layout;
    uint32_t                            node_size;
    ngx_uint_t                          generation;
    unsigned                            dirty:1;

    ngx_queue_t                         tasks;
    ngx_rbtree_t                        due;
    ngx_rbtree_node_t                   sentinel;
    ngx_queue_t                         idem_age;

    ngx_queue_t                         sessions;
    ngx_queue_t                         resting;   /* of them, to come again */
    ngx_queue_t                         ended;

    ngx_queue_t                         hooks;
    ngx_queue_t                         origins;
    ngx_queue_t                         turns;     /* keys, round robin */
    ngx_rbtree_t                        hook_due;
    ngx_rbtree_node_t                   hook_sentinel;

    ngx_http_conduit_task_node_t      **task_hash;
    ngx_http_conduit_hook_node_t      **hook_hash;
    ngx_http_conduit_origin_t         **origin_hash;
    ngx_http_conduit_idem_node_t      **idem_hash;
    ngx_http_conduit_key_node_t       **key_hash;
    ngx_http_conduit_session_t        **session_hash;
    uint32_t                            task_mask;
    uint32_t                            hook_mask;
    uint32_t                            idem_mask;
    uint32_t                            key_mask;
    uint32_t                            session_mask;

    uint64_t                            seq;       /* of the lanes */
    uint64_t                            lease;
    uint64_t                            stamp;
    uint64_t                            number;
    uint32_t                            ntasks;
    uint32_t                            live;
    uint32_t                            status[5];
    uint32_t                            nkeys;
    uint32_t                            nidem;
    uint32_t                            nproviders;
    uint32_t                            connections;
    uint32_t                            nended;    /* sessions */
    u_char                              secret[32];    /* of tokens */
    u_char                              life[8];   /* tells zones apart */
    u_char                              epoch[16]; /* of the shared store */
    u_char                              parts[NGX_HTTP_CONDUIT_PARTS][16];
                                                   /* of its shards */
    int64_t                             marked[NGX_HTTP_CONDUIT_PARTS + 1];
                                                   /* marks, and of them all */
    void                               *journal;   /* of the embedded one */
    ngx_atomic_t                        loading;   /* from it, later on */
    ngx_uint_t                          orphans;   /* any such tickets? */
    ngx_uint_t                          unsaved;   /* marks so far; 0: there */
                                                   /* is no such task */
    ngx_msec_t                          leased;    /* tasks, until */
    uint64_t                            unleased;  /* but for these shards */
    ngx_http_conduit_stamp_t            stamps[NGX_HTTP_CONDUIT_STAMPS];
    ngx_uint_t                          nstamps;   /* so far, in turn */
    ngx_msec_t                          parted;    /* from the shared store, */
    ngx_msec_t                          united;    /* until; 0: never */
    ngx_msec_t                          late;      /* replies of the shared */
                                                   /* store, of late */
    ngx_msec_t                          peered;    /* another host was there */
    ngx_msec_t                          apart;     /* at another place */
    uint32_t                            away_live; /* of other hosts */
    uint32_t                            counted;   /* changes with who does */
    int64_t                             offset;    /* clock that all hosts */
                                                   /* share less ours, ms */

    uint64_t                            hook_order;
    uint64_t                            promised;  /* bytes for events of */
                                                   /* unfinished tasks */
    uint32_t                            nhooks;
    uint32_t                            hooks_owed;    /* not ended */
    uint32_t                            hooks_running;
    uint32_t                            norigins;

    ngx_http_conduit_undo_t             undo;

    ngx_msec_t                          sweep;     /* media sweeper's lease */
    ngx_msec_t                          leading;   /* since when it is seen */
    ngx_uint_t                          leader;    /* cell + 1; or 0 */

    ngx_uint_t                          shared;    /* there are other hosts */
    ngx_msec_t                          joined;    /* them */
    ngx_msec_t                          severed;   /* from them; 0: not */
    uint32_t                            hosts;     /* that may post; with us */
    ngx_msec_t                          hosts_at;  /* when there were so many */

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
    ngx_uint_t                          recalls;   /* the store can be asked */
    ngx_http_conduit_key_node_t        *ask;       /* needs permits; or NULL */
    ngx_uint_t                          asked;     /* so many */
    ngx_uint_t                          generation;
} ngx_http_conduit_zone_t;


/* zone */

ngx_int_t ngx_http_conduit_zone_init(ngx_shm_zone_t *shm_zone, void *data);
void ngx_http_conduit_zone_lock(ngx_http_conduit_zone_t *zone);
void ngx_http_conduit_zone_unlock(ngx_http_conduit_zone_t *zone);

/* whether only that is left which the tasks that are there need to go on */
ngx_uint_t ngx_http_conduit_zone_tight_locked(ngx_http_conduit_zone_t *zone);


/*
 * A change is made between these two: as a whole, or, if the process is killed
 * in between, not at all.  The task stays linked.
 */

void ngx_http_conduit_undo_begin_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);
void ngx_http_conduit_undo_end_locked(ngx_http_conduit_zone_t *zone);

/* repair: back to what was */
void ngx_http_conduit_undo_locked(ngx_http_conduit_zone_t *zone);


/*
 * Texts.  Setting one fails if there is no memory for it and it does not fit
 * in the place of the old one, which then stays.
 */

ngx_int_t ngx_http_conduit_text_set_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, u_char *data, size_t len);
void ngx_http_conduit_text_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text);
u_char *ngx_http_conduit_text_copy_locked(ngx_http_conduit_text_t *text,
    u_char *dst);
u_char *ngx_http_conduit_text_slice_locked(ngx_http_conduit_text_t *text,
    u_char *dst, size_t off, size_t len);

/* room for that text is taken beforehand, unless it fits in the place */
ngx_int_t ngx_http_conduit_text_reserve_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, ngx_http_conduit_text_t *fresh,
    u_char *data, size_t len);
void ngx_http_conduit_text_replace_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, ngx_http_conduit_text_t *fresh);

/* puts a text that is not longer in the place of another, without memory */
void ngx_http_conduit_text_shrink_locked(ngx_http_conduit_text_t *text,
    u_char *data, size_t len);

/* all of the new part, or none */
ngx_int_t ngx_http_conduit_text_append_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, u_char *data, size_t len);


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

/* is any cell in it? */
ngx_uint_t ngx_http_conduit_mask_any(ngx_http_conduit_mask_t *mask);

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


/* idempotency records */

ngx_http_conduit_idem_node_t *ngx_http_conduit_idem_find_locked(
    ngx_http_conduit_zone_t *zone, u_char *digest);
ngx_http_conduit_idem_node_t *ngx_http_conduit_idem_insert_locked(
    ngx_http_conduit_zone_t *zone, u_char *digest, u_char *fingerprint,
    u_char *id);
void ngx_http_conduit_idem_relink_locked(ngx_http_conduit_zone_t *zone);
void ngx_http_conduit_idem_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_idem_node_t *idem);


#include <ngx_http_conduit_node.h>
#include <ngx_http_conduit_session.h>
#include <ngx_http_conduit_hook_node.h>


#endif /* _NGX_HTTP_CONDUIT_ZONE_H_INCLUDED_ */
