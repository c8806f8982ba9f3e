
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_PEERS_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_PEERS_H_INCLUDED_


#include <ngx_http_conduit_cluster.h>
#include <conduit_id.h>


/* what the files of this part share; nobody else looks in here */


#define NGX_HTTP_CONDUIT_PEERS       64
#define NGX_HTTP_CONDUIT_OWNER_LEN   96


/* the tick of a cluster, and what follows from silence; ms */

#define NGX_HTTP_CONDUIT_CLUSTER_TICK    1000
#define NGX_HTTP_CONDUIT_PEER_BEATS      3000
#define NGX_HTTP_CONDUIT_PEER_SILENT     8000


/* what is about to begin ends before the lease does, ms */

#define NGX_HTTP_CONDUIT_LEASE_MARGIN    1000


/* and Redis may take to answer, ms */

#define NGX_HTTP_CONDUIT_FOLLOW_WAIT     5000


/* how long an owner publishes changes for one that has asked for them, ms */

#define NGX_HTTP_CONDUIT_FOLLOWED    15000


/* how long a request waits for a session of another host, ms */

#define NGX_HTTP_CONDUIT_ROAM_WAIT   2000


typedef struct {
    u_short                           len;
    u_char                            owner[NGX_HTTP_CONDUIT_OWNER_LEN];
    ngx_msec_t                        heard;
    void                             *counts;      /* heard last */
} ngx_http_conduit_peer_t;


typedef struct ngx_http_conduit_part_s  ngx_http_conduit_part_t;
typedef struct ngx_http_conduit_cluster_s  ngx_http_conduit_cluster_t;
typedef struct ngx_http_conduit_renewal_s  ngx_http_conduit_renewal_t;
typedef struct ngx_http_conduit_fkey_ids_s  ngx_http_conduit_fkey_ids_t;


/* a walk over all tasks, to put those that are marked */

typedef struct {
    ngx_event_t                       turn;
    ngx_uint_t                        puts;        /* without a reply */
    ngx_uint_t                        marks;       /* sh->unsaved, then */
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    unsigned                          behind:1;    /* the task of this id */
    unsigned                          active:1;
    unsigned                          left:1;      /* some marks are */
} ngx_http_conduit_pass_t;


typedef struct {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_uint_t                        shard;       /* SHARDS: no cluster */
    int64_t                           number;      /* not confirmed yet */
} ngx_http_conduit_mark_t;


struct ngx_http_conduit_cluster_s {
    ngx_http_conduit_redis_t         *redis;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_log_t                        *log;
    ngx_event_t                       tick;
    ngx_connection_t                  dummy;

    uint32_t                          counted;     /* by this process, if it */
                                                   /* is that of the zone */
    unsigned                          leader:1;
    unsigned                          listening:1; /* as the leader */
    unsigned                          joining:1;   /* who else is there? */
    unsigned                          doubtful:1;  /* are leases still ours? */
    ngx_uint_t                        ticks;
    ngx_uint_t                        epochs;      /* seen on a connection */
    ngx_http_conduit_part_t          *parts;       /* of a cluster of Redis */
    ngx_http_conduit_mark_t           marks[NGX_HTTP_CONDUIT_SHARDS + 1];
    ngx_msec_t                        connected;
    ngx_msec_t                        renewed;
    ngx_http_conduit_renewal_t       *renewal;     /* that is being made */
    ngx_msec_t                        kept[NGX_HTTP_CONDUIT_SHARDS];
                                                   /* leases, last renewed */
    ngx_uint_t                        connections; /* so far */
    ngx_uint_t                        shard;       /* to be looked at next */
    uint64_t                          looked;      /* shards, at the moment */
    ngx_http_conduit_pass_t           pass;        /* of catching up */
    ngx_uint_t                        unread;      /* tasks so far, that had */
                                                   /* become ours */
    ngx_uint_t                        slot;        /* keys, to begin with */
    ngx_uint_t                        idem_puts;   /* without a reply */
    u_char                            idem_last[32];   /* that was looked at */
    ngx_msec_t                        idem_from;   /* put those that expire */
    unsigned                          idem_busy:1; /* later */

    ngx_http_conduit_peer_t           peers[NGX_HTTP_CONDUIT_PEERS];
    ngx_uint_t                        npeers;

    ngx_queue_t                       follows;     /* all */
    ngx_uint_t                        nfollows;
    ngx_rbtree_t                      names;       /* of them */
    ngx_rbtree_node_t                 sentinel;

    ngx_queue_t                       parcels;     /* sessions that leave */
    ngx_queue_t                       asks;        /* for sessions */
    ngx_uint_t                        nasks;
    ngx_queue_t                       borrows;     /* tasks */
    uint64_t                          asked;       /* so far */
    unsigned                          answers:1;   /* can be heard */
};


typedef enum {
    NGX_HTTP_CONDUIT_FOLLOW_LOOK,          /* is there such a task?  Of a */
                                           /* key: it has failed */
    NGX_HTTP_CONDUIT_FOLLOW_SUBSCRIBE,
    NGX_HTTP_CONDUIT_FOLLOW_READ,
    NGX_HTTP_CONDUIT_FOLLOW_ASK,           /* the owner */
    NGX_HTTP_CONDUIT_FOLLOW_FRESH
} ngx_http_conduit_follow_e;


typedef struct {
    ngx_str_node_t                    sn;          /* task:ID or key:NAME */
    ngx_queue_t                       queue;       /* cluster->follows */
    ngx_queue_t                       waiters;
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_key_node_t      *key;         /* NULL: a task */
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                            owner[NGX_HTTP_CONDUIT_OWNER_LEN];
    size_t                            owner_len;   /* 0: nobody to ask */
    ngx_http_conduit_follow_e         state;
    ngx_msec_t                        begun;       /* of the state */
    ngx_msec_t                        asked;
    ngx_msec_t                        heard;       /* of the owner */
    ngx_msec_t                        used;        /* of a key */
    ngx_uint_t                        calls;       /* replies to come */
    ngx_http_conduit_fkey_ids_t      *ids;         /* of a key: to be read */
    ngx_uint_t                        news;        /* of a key, asked for */
    ngx_event_t                       timer;       /* while it is begun */
    unsigned                          gone:1;      /* but for the replies */
    unsigned                          failed:1;    /* one of them */
    u_char                            name[1];
} ngx_http_conduit_follow_t;


/* the engine's follow(), follow_key() and page() */

ngx_int_t ngx_http_conduit_cluster_task(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_waiter_t *waiter);
ngx_int_t ngx_http_conduit_cluster_key(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_http_conduit_waiter_t *waiter);
ngx_int_t ngx_http_conduit_cluster_page(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_page_t *page, ngx_http_conduit_waiter_t *waiter);


/* the engine's borrow(), an answer to it, and what the owner does */

ngx_int_t ngx_http_conduit_cluster_borrow(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_key_node_t *key, uint64_t lease,
    ngx_http_conduit_waiter_t *waiter);
ngx_int_t ngx_http_conduit_borrow_answered(ngx_http_conduit_cluster_t *cluster,
    uint64_t number, ngx_int_t rc);
void ngx_http_conduit_borrow_exit(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_cluster_lend(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload);


/* the engine's session(); listening for answers; one; a question of others */

ngx_int_t ngx_http_conduit_cluster_session(
    ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_session_want_t *want, ngx_str_t *data,
    ngx_http_conduit_waiter_t *waiter);
void ngx_http_conduit_cluster_sessions(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_cluster_answered(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload);
void ngx_http_conduit_cluster_ask(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload);
void ngx_http_conduit_cluster_session_exit(
    ngx_http_conduit_cluster_t *cluster);

/* what another host asks for a session */

typedef struct {
    ngx_uint_t                        verb;
    uint64_t                          number;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    ngx_uint_t                        kind;
    ngx_uint_t                        transport;
    int64_t                           until;       /* by the clock of Redis */
    int64_t                           age;         /* at that time */
    ngx_str_t                         asker;       /* OWNER/PID */
    ngx_str_t                         key;
    ngx_str_t                         data;
} ngx_http_conduit_asked_t;

ngx_http_conduit_session_e ngx_http_conduit_ask_serve(
    ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_session_want_t *want, u_char *data, size_t len);
void ngx_http_conduit_ask_answer(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_http_conduit_session_e rc,
    ngx_str_t *parcel);
ngx_msec_t ngx_http_conduit_ask_left(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked);
u_char *ngx_http_conduit_ask_number(u_char *p, u_char *last, uint64_t *n);
ngx_str_t ngx_http_conduit_ask_word(u_char **pos, u_char *last, u_char end);

/* sends a session away; OK: one that has come is in the zone, or SESSION_* */

void ngx_http_conduit_parcel_send(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_asked_t *asked, ngx_http_conduit_session_want_t *want);
ngx_int_t ngx_http_conduit_parcel_read(ngx_http_conduit_cluster_t *cluster,
    u_char *p, u_char *last);
void ngx_http_conduit_parcel_exit(ngx_http_conduit_cluster_t *cluster);


/* the engine's permit() */

void ngx_http_conduit_cluster_permit(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_uint_t n,
    void (*handler)(void *data), void *data);


/* leases */

void ngx_http_conduit_lease_tick(ngx_http_conduit_cluster_t *cluster);

/* the engine's unleased() */

uint64_t ngx_http_conduit_lease_unheld(ngx_http_conduit_main_conf_t *cdmcf);

/* a member of the leases: a task, or its deliveries alone */

typedef struct {
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                            apart;
} ngx_http_conduit_leased_t;

/*
 * Renews all leases of this host, in the background.  It sends those of one
 * shard by shard(), and what has come of it is told by parts(): which shards
 * may have lost theirs.
 */

void ngx_http_conduit_lease_renew(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_lease_shard(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard, ngx_http_conduit_leased_t *leased, ngx_uint_t n);
void ngx_http_conduit_lease_parts(ngx_http_conduit_cluster_t *cluster);


/*
 * Asks Redis for a task and absorbs it; it has become ours, or was changed.
 * news: a message of which it is not known whether Redis knows it, or NULL.
 */

void ngx_http_conduit_lease_fetch(ngx_http_conduit_cluster_t *cluster,
    u_char *id, ngx_http_conduit_absorb_e how, ngx_str_t *news);


/*
 * The reply to an HGETALL of that record: the task and its deliveries go into
 * the zone.  As ngx_http_conduit_task_absorb().
 */

ngx_int_t ngx_http_conduit_lease_absorb(ngx_http_conduit_cluster_t *cluster,
    ngx_conduit_redis_reply_t *reply, ngx_http_conduit_record_t *record,
    ngx_str_t *owner, ngx_http_conduit_absorb_e how);


/* counts of keys, told and heard with the heart beats */

void ngx_http_conduit_counts_beat(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_counts_heard(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_peer_t *peer, ngx_str_t *text);
void ngx_http_conduit_counts_gone(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_peer_t *peer);
void ngx_http_conduit_counts_reset(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_counts_hosts(ngx_http_conduit_cluster_t *cluster);


/* what Redis has to hear of afterwards; with each tick, of the leader */

void ngx_http_conduit_catchup_tick(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_catchup_mark(ngx_http_conduit_redis_t *redis,
    u_char *id, ngx_uint_t event);

/* all that this host knows best */

void ngx_http_conduit_catchup_all(ngx_http_conduit_cluster_t *cluster);

/* Redis believes that this host has to deliver something: has it? */

void ngx_http_conduit_catchup_over(ngx_http_conduit_cluster_t *cluster,
    u_char *id);
void ngx_http_conduit_catchup_lost(ngx_http_conduit_redis_t *redis,
    u_char *id);


/* has a shard of a cluster of Redis lost all? */
void ngx_http_conduit_part_look(ngx_http_conduit_cluster_t *cluster);

/* what this host knows best of a shard */
void ngx_http_conduit_part_again(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard);

/* Redis may have lost what it was told last: it is told again */
void ngx_http_conduit_part_recent(ngx_http_conduit_cluster_t *cluster);

/* has Redis, or a shard of a cluster, gone back to an earlier state? */

void ngx_http_conduit_mark_look(ngx_http_conduit_cluster_t *cluster);

/* it has lost all: what is set next is the first mark; SHARDS: no cluster */

void ngx_http_conduit_mark_forget(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t shard);


/* Idempotency-Keys: with each tick, of the leader; Redis could not be asked */

void ngx_http_conduit_idem_tick(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_idem_lost(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_idem_again(ngx_http_conduit_cluster_t *cluster,
    ngx_msec_t expires);


/* publishing */

void ngx_http_conduit_announce(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id);

/* all tasks of a key are followed, and what was not told of them is missed */

void ngx_http_conduit_announce_key(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_key_node_t *key);

/* tells those who follow a task that its owner is this host now */

void ngx_http_conduit_announce_owner(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id);

/* tells those who follow a task that its deliveries have changed */

void ngx_http_conduit_announce_hooks(ngx_http_conduit_redis_t *redis,
    u_char *id, ngx_uint_t begins);

void ngx_http_conduit_cluster_publish(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *channel, ngx_str_t *message);

/* WORD ID to the channel of a host */

void ngx_http_conduit_cluster_tell(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *owner, const char *word, u_char *id);

/* a message of a task's or key's channel; returns who has the task, by it */

ngx_str_t ngx_http_conduit_announced(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload);

/* the task was not known, and has been read */

void ngx_http_conduit_announced_again(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *payload);


/* following */

void ngx_http_conduit_follow_tick(ngx_http_conduit_cluster_t *cluster);
void ngx_http_conduit_follow_state(ngx_http_conduit_cluster_t *cluster,
    ngx_uint_t up);
void ngx_http_conduit_follow_message(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *channel, ngx_str_t *payload);
void ngx_http_conduit_follow_exit(ngx_http_conduit_cluster_t *cluster);

ngx_int_t ngx_http_conduit_follow_join(ngx_http_conduit_cluster_t *cluster,
    ngx_str_t *name, ngx_http_conduit_key_node_t *key, u_char *id,
    ngx_http_conduit_waiter_t *waiter);
ngx_int_t ngx_http_conduit_follow_begin(ngx_http_conduit_follow_t *follow);
ngx_int_t ngx_http_conduit_follow_read(ngx_http_conduit_follow_t *follow);
void ngx_http_conduit_follow_ask(ngx_http_conduit_follow_t *follow);
void ngx_http_conduit_follow_ready(ngx_http_conduit_follow_t *follow,
    ngx_int_t rc);
void ngx_http_conduit_follow_end(ngx_http_conduit_follow_t *follow);
/* the copies that it has kept up to date, or all, are not any more */
void ngx_http_conduit_follow_disown(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_follow_t *follow);
void ngx_http_conduit_follow_channel(ngx_http_conduit_follow_t *follow,
    const char *command);

/* for owners to tell what Redis does not know, or to be late with that */
void ngx_http_conduit_follow_await(ngx_http_conduit_follow_t *follow);

/* reads the tasks of a key; NGX_OK: ready() is called later */
ngx_int_t ngx_http_conduit_follow_index(ngx_http_conduit_follow_t *follow);
/* nothing more is read */
void ngx_http_conduit_follow_unread(ngx_http_conduit_follow_t *follow);

/* a task is not there any more: off the tasks of its key */
void ngx_http_conduit_follow_forget(ngx_http_conduit_cluster_t *cluster,
    ngx_http_conduit_key_node_t *key, u_char *id);

void ngx_http_conduit_cluster_subscribe(ngx_http_conduit_cluster_t *cluster,
    const char *command, ngx_str_t *channel);
void ngx_http_conduit_cluster_unheard(ngx_http_conduit_cluster_t *cluster);

/* since this host was parted from Redis, ms; 0: that was over long before */
ngx_msec_t ngx_http_conduit_cluster_behind(ngx_http_conduit_cluster_t *cluster,
    ngx_msec_t before);


#endif /* _NGX_HTTP_CONDUIT_PEERS_H_INCLUDED_ */
