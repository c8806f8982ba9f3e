
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_REDIS_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_REDIS_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_conduit_redis.h>
#include <ngx_http_conduit_store.h>


/*
 * Redis as the store that all hosts share.
 *
 * All keys begin with the prefix and, in braces, the shard of the task, so
 * that everything one script touches lies in one slot of a cluster.  NN is the
 * first byte of the id modulo 64 in two digits, ID the task's UUID:
 *
 *     PREFIX:{NN}:task:ID    hash: h the numbers of the record (its sequence
 *                            first), o the owner, d document, r run, q
 *                            request, w webhook, k key; of each delivery e:WID
 *                            how it stands (its state first), b:WID the body;
 *                            p how many events there were and, if any are to
 *                            be delivered, who does so; lives until the end of
 *                            the TTL
 *     PREFIX:{NN}:leases     sorted set: ids of tasks by the end of their
 *                            owners' leases, ms of the clock of Redis: those
 *                            of unfinished tasks, and of ended ones that their
 *                            owner has something to deliver of; with + in
 *                            front those of which another host than the owner
 *                            delivers
 *     PREFIX:{NN}:key:NAME   sorted set: ids of the tasks of a key by number,
 *                            which is their order of creation; ids stay for a
 *                            while after their tasks have gone
 *     PREFIX:{NN}:idem:HEX   hash: an Idempotency-Key that has been used, by
 *                            its digest: f fingerprint, i id of the task, c
 *                            code (0: not ended), b reply, o who waits for the
 *                            end, t until when; NN is of the digest's first
 *                            byte, which the id has, too
 *     PREFIX:{NN}:epoch      string: with a cluster, tells the life of a shard
 *                            from the next
 *     PREFIX:posts:MS:NAME   hash: permits for POSTs of a key whose rate is one
 *                            for so many milliseconds, by the 60th of that
 *                            time in which they were given
 *     PREFIX:mark:INSTANCE@TOKEN
 *                            string: a number that a host raises, by which it
 *                            knows that Redis has gone back
 *     PREFIX:secret          string: what signs connection tokens
 *
 * and the channels
 *
 *     PREFIX:task:ID         changes of a task that another host follows
 *     PREFIX:key:NAME        changes of all tasks of a followed key
 *     PREFIX:host:INSTANCE   what others ask of a host
 *     PREFIX:hosts           heart beats, counts, for sessions of others
 *     PREFIX:session:INSTANCE@TOKEN/PID
 *                            answers about sessions, to a worker
 */


#define NGX_HTTP_CONDUIT_SHARDS          64

/* a lease, and how often an owner renews it, ms */

#define NGX_HTTP_CONDUIT_LEASE           10000
#define NGX_HTTP_CONDUIT_LEASE_RENEW     3000

/* a host that has not been heard for so long is no more, ms */

#define NGX_HTTP_CONDUIT_PEER_FORGOTTEN  30000

/* hexadecimal digits */

#define NGX_HTTP_CONDUIT_REDIS_PLACE     16

/* a prefix, a shard, an instance or a key's name, and what stands between */

#define NGX_HTTP_CONDUIT_REDIS_NAME      320


struct ngx_http_conduit_redis_conf_s {
    ngx_conduit_redis_conf_t          conn;
    ngx_str_t                         prefix;
    ngx_uint_t                        local;       /* on_outage=local */
};


#define NGX_HTTP_CONDUIT_SCRIPT_COMMIT   0
#define NGX_HTTP_CONDUIT_SCRIPT_BEAT     1
#define NGX_HTTP_CONDUIT_SCRIPT_CREATE   2
#define NGX_HTTP_CONDUIT_SCRIPT_SETTLE   3
#define NGX_HTTP_CONDUIT_SCRIPT_PERMIT   4
#define NGX_HTTP_CONDUIT_SCRIPT_LEND     5
#define NGX_HTTP_CONDUIT_SCRIPT_KEEP     6
#define NGX_HTTP_CONDUIT_SCRIPT_HOOK     7
#define NGX_HTTP_CONDUIT_SCRIPT_SWEEP    8
#define NGX_HTTP_CONDUIT_SCRIPTS         9

/* a task stays longer than its owner's TTL by this, ms */

#define NGX_HTTP_CONDUIT_REDIS_SLACK     60000


/* told of the connections; by the part that knows other hosts */

typedef struct {
    void                            (*calls)(ngx_http_conduit_redis_t *redis,
                                       ngx_uint_t up);
    void                            (*channels)(
                                       ngx_http_conduit_redis_t *redis,
                                       ngx_uint_t up);
    ngx_conduit_redis_message_pt      message;

    /* a commit was refused: somebody else has changed the task */

    void                            (*stale)(ngx_http_conduit_redis_t *redis,
                                       u_char *id);

    /* a change is made though Redis cannot hear of it yet, nor of its event */

    void                            (*unsaved)(
                                       ngx_http_conduit_redis_t *redis,
                                       u_char *id, ngx_uint_t event);

    /* a commit has found nothing: Redis has lost the task */

    void                            (*lost)(ngx_http_conduit_redis_t *redis,
                                       u_char *id);

    /* this process has changed a task of that owner, or its deliveries */

    void                            (*foreign)(
                                       ngx_http_conduit_redis_t *redis,
                                       u_char *id, ngx_str_t *owner);

    /* Redis knows how a delivery of the task stands now, or that it begins */

    void                            (*hooked)(
                                       ngx_http_conduit_redis_t *redis,
                                       u_char *id, ngx_uint_t begins);
} ngx_http_conduit_redis_events_t;


/* of a worker */

struct ngx_http_conduit_redis_s {
    ngx_conduit_redis_t               calls;
    ngx_conduit_redis_t               channels;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_log_t                        *log;
    ngx_http_conduit_redis_events_t   events;
    void                             *cluster;     /* its part */

    ngx_str_t                         owner;       /* INSTANCE@TOKEN */
    u_char                            place[NGX_HTTP_CONDUIT_REDIS_PLACE];
                                                   /* of this host */
    int64_t                           asked;       /* for its time, ms */
    ngx_msec_t                        asked_at;    /* the same */
    int64_t                           late;        /* the best answer, ms */
    ngx_uint_t                        questions;
    int64_t                           offset;      /* clock of Redis less */
                                                   /* that of this host, ms */
    ngx_str_t                         sha[NGX_HTTP_CONDUIT_SCRIPTS];
    u_char                            digests[NGX_HTTP_CONDUIT_SCRIPTS][40];

    ngx_queue_t                       held;        /* Idempotency-Keys */
    ngx_queue_t                       local;       /* told to be kept */
    ngx_event_t                       event;       /* posted, of these */
    ngx_connection_t                  dummy;
};


/* while the configuration is read; NULL: no memory */

ngx_http_conduit_store_t *ngx_http_conduit_store_redis(ngx_pool_t *pool);

ngx_int_t ngx_http_conduit_redis_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);
void ngx_http_conduit_redis_exit(ngx_http_conduit_redis_t *redis);


/* NAME of the shard of an id or digest: PREFIX:{NN}:KIND:NAME */

u_char *ngx_http_conduit_redis_shard(ngx_http_conduit_redis_t *redis,
    u_char *p, u_char first);
ngx_str_t ngx_http_conduit_redis_task_key(ngx_http_conduit_redis_t *redis,
    u_char *buf, u_char *id);
ngx_str_t ngx_http_conduit_redis_leases(ngx_http_conduit_redis_t *redis,
    u_char *buf, u_char first);
ngx_str_t ngx_http_conduit_redis_index(ngx_http_conduit_redis_t *redis,
    u_char *buf, u_char first, ngx_str_t *key);
ngx_str_t ngx_http_conduit_redis_idem(ngx_http_conduit_redis_t *redis,
    u_char *buf, u_char *digest);

/*
 * Takes ids off the tasks of a key, in the shard of that id, whose tasks are
 * not there any more: goes with a removal, and finds what nobody has removed.
 */

void ngx_http_conduit_redis_sweep(ngx_http_conduit_redis_t *redis, u_char *id,
    ngx_str_t *key);

/* PREFIX:KIND:NAME, not of a shard */

ngx_str_t ngx_http_conduit_redis_name(ngx_http_conduit_redis_t *redis,
    u_char *buf, const char *kind, ngx_str_t *name);


/* fills place in; NGX_ERROR: OpenSSL has failed */

ngx_int_t ngx_http_conduit_redis_place(ngx_http_conduit_redis_t *redis);


/*
 * Is it certain that no other host performs tasks of this one, although Redis
 * cannot be reached?  There was no other one for a while before; or only such
 * as call Redis from the same place, where nobody listens now.
 */

ngx_uint_t ngx_http_conduit_redis_alone(ngx_http_conduit_redis_t *redis);


/* by the clock that all hosts share: that of Redis if there is one, ms */

int64_t ngx_http_conduit_redis_shared(ngx_http_conduit_main_conf_t *cdmcf);

/* looks from time to time whether the clocks differ as they did */

void ngx_http_conduit_redis_tick(ngx_http_conduit_redis_t *redis);

/* milliseconds by the clock of Redis */

int64_t ngx_http_conduit_redis_now(ngx_http_conduit_redis_t *redis);


/*
 * Runs a script; args are those of EVALSHA behind the digest, the number of
 * keys first, with two places free in front of them.
 */

ngx_int_t ngx_http_conduit_redis_script(ngx_http_conduit_redis_t *redis,
    ngx_uint_t script, ngx_str_t *args, ngx_uint_t nargs,
    ngx_conduit_redis_call_pt handler, void *data);


/*
 * The numbers and names of a record as a text; parse() takes them off the
 * begin of one.  offset: see above.
 */

size_t ngx_http_conduit_redis_header_len(ngx_http_conduit_record_t *record);
u_char *ngx_http_conduit_redis_header(u_char *p,
    ngx_http_conduit_record_t *record, int64_t offset);
ngx_int_t ngx_http_conduit_redis_parse(ngx_http_conduit_record_t *record,
    ngx_str_t *text, int64_t offset);

/* ms that can be written as a time, and reckoned with: until the year 9999 */

#define ngx_http_conduit_redis_is_time(ms)                                    \
    ((ms) >= 0 && (ms) <= 253402300799999)


/* does all that the record tells of its document lie inside of it? */

ngx_int_t ngx_http_conduit_redis_check_texts(
    ngx_http_conduit_record_t *record);

/* how long a record has to be kept, ms */

int64_t ngx_http_conduit_redis_life(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record);

/*
 * The reply to an HGETALL of a task: a record that points into it, and its
 * owner.  NGX_OK, NGX_DECLINED (no such task) or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_redis_record(ngx_http_conduit_redis_t *redis,
    ngx_conduit_redis_reply_t *reply, u_char *id,
    ngx_http_conduit_record_t *record, ngx_str_t *owner);

/*
 * The fields of a whole task and their values, of which it returns the number;
 * header has room for its numbers, and owner is this host.
 */

#define NGX_HTTP_CONDUIT_REDIS_FIELDS  14

ngx_uint_t ngx_http_conduit_redis_fields(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, u_char *header, ngx_str_t *args);

/* is it this host? */

ngx_uint_t ngx_http_conduit_redis_mine(ngx_http_conduit_redis_t *redis,
    ngx_str_t *owner);


/* the fields of a delivery, in texts; returns the end of args */

typedef struct {
    u_char                            line_name[2 + CONDUIT_BASE62_LEN];
    u_char                            body_name[2 + CONDUIT_BASE62_LEN];
    u_char                            line[320];
} ngx_http_conduit_hook_texts_t;

ngx_str_t *ngx_http_conduit_redis_hook_fields(ngx_str_t *args,
    ngx_http_conduit_hook_texts_t *texts, ngx_http_conduit_kept_hook_t *hook,
    int64_t offset);

/*
 * Keeps how a delivery of this host stands, with a body also one that Redis
 * may lack.  What comes of it is told by the events.
 */

ngx_int_t ngx_http_conduit_redis_hook(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_kept_hook_t *hook);

/*
 * The deliveries in a reply to an HGETALL, bodies point into it; the caller
 * frees record->hooks_kept.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_redis_hooks(ngx_http_conduit_redis_t *redis,
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record);

/*
 * In the zone: this host delivers what the task has to tell, of which Redis
 * has so many events; or another one does.
 */

void ngx_http_conduit_hooks_posted(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, uint64_t posted, ngx_uint_t apart);
void ngx_http_conduit_hooks_handed(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id);

/* puts a whole task; owner and lease are this process's */

ngx_int_t ngx_http_conduit_redis_put(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_conduit_redis_call_pt handler,
    void *data);


/*
 * Idempotency-Keys.  create() makes the task of a record that has one, unless
 * the key has been used; created() tells which, by the reply: NGX_OK,
 * NGX_DECLINED (a look has found nothing), NGX_DONE (used, *used is filled in
 * with texts of the reply) or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_redis_create(ngx_http_conduit_redis_t *redis,
    ngx_http_conduit_record_t *record, ngx_conduit_redis_call_pt handler,
    void *data);
ngx_int_t ngx_http_conduit_redis_created(ngx_conduit_redis_reply_t *reply,
    ngx_http_conduit_used_t *used);

/*
 * This process waits for the end of a synchronous create from now on, which
 * others see; and how that comes out: with a reply, without a wait for it any
 * more (code 0), or as if it had never been (reply NULL).  settle() returns as
 * that of a store.
 */

void ngx_http_conduit_redis_hold(ngx_http_conduit_redis_t *redis,
    u_char *digest);
ngx_int_t ngx_http_conduit_redis_settle(ngx_http_conduit_redis_t *redis,
    u_char *digest, ngx_uint_t code, ngx_str_t *reply,
    ngx_http_conduit_store_pt handler, void *data);

/* once in a while: renews what is held */

void ngx_http_conduit_redis_holds(ngx_http_conduit_redis_t *redis);


#endif /* _NGX_HTTP_CONDUIT_REDIS_H_INCLUDED_ */
