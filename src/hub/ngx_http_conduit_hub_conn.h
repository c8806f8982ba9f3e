
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_HUB_CONN_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_HUB_CONN_H_INCLUDED_


#include <ngx_http_conduit_hub.h>
#include <ngx_http_conduit_index.h>
#include <ngx_http_conduit_task.h>
#include <ngx_http_conduit_watch.h>
#include <ngx_conduit_drain.h>
#include <conduit_hub.h>
#include <conduit_session.h>
#include <conduit_signalr.h>
#include <conduit_ws.h>


/* What the files of the hub share; nobody else looks in here. */


/* room before a message for the head of a frame */

#define NGX_HTTP_CONDUIT_HUB_HEAD    10

/* what is read in one call */

#define NGX_HTTP_CONDUIT_HUB_READ    16384

/* subscriptions of one connection */

#define NGX_HTTP_CONDUIT_HUB_SUBS    1000

/* of a message of WebSocket, which may hold many of the hub's */

#define NGX_HTTP_CONDUIT_HUB_BATCH   (1024 * 1024)

/* of a message that comes before the handshake */

#define NGX_HTTP_CONDUIT_HUB_EARLY   1024

#define NGX_HTTP_CONDUIT_HUB_HANDSHAKE  15000
#define NGX_HTTP_CONDUIT_HUB_GOODBYE    5000

/* how long a poll is held */

#define NGX_HTTP_CONDUIT_HUB_POLL       90000


typedef enum {
    NGX_HTTP_CONDUIT_HUB_NEW = 0,      /* a request still */
    NGX_HTTP_CONDUIT_HUB_WAITING,      /* for the owner to give way */
    NGX_HTTP_CONDUIT_HUB_SHAKING,      /* waits for the handshake */
    NGX_HTTP_CONDUIT_HUB_OPEN,
    NGX_HTTP_CONDUIT_HUB_CLOSING       /* close sent, waits for the peer's */
} ngx_http_conduit_hub_state_e;


/*
 * A message, framed once and shared by all who get it.  The frame ends at
 * data + HEAD + len and begins at data + HEAD - head.
 */

typedef struct {
    uint32_t                          refs;
    uint32_t                          len;         /* of the message */
    u_char                            head;        /* of the frame's head */
    u_char                            counted;     /* by stateful clients */
    u_char                            data[1];
} ngx_http_conduit_hub_msg_t;


typedef struct ngx_http_conduit_hub_out_s  ngx_http_conduit_hub_out_t;

struct ngx_http_conduit_hub_out_s {
    ngx_http_conduit_hub_out_t       *next;
    ngx_http_conduit_hub_msg_t       *msg;
};


/* all connections by one secret of a key */

typedef struct {
    ngx_http_conduit_entry_t          entry;       /* begin of the digest */
    ngx_queue_t                       conns;
    ngx_queue_t                       all;         /* SubscribeToAllTasks */
    ngx_http_conduit_hub_t           *hub;
    ngx_http_conduit_key_t           *key;
    ngx_http_conduit_key_node_t      *node;
    ngx_http_conduit_watcher_t        watcher;     /* while all has some */
    u_char                            digest[32];
} ngx_http_conduit_hub_key_t;


/* a task that connections here are subscribed to */

typedef struct {
    ngx_http_conduit_entry_t          entry;
    ngx_queue_t                       subs;
    ngx_http_conduit_hub_t           *hub;
    ngx_http_conduit_key_node_t      *key;
    ngx_http_conduit_watcher_t        watcher;
    ngx_uint_t                        busy;        /* unsigned  busy:1; */
} ngx_http_conduit_hub_topic_t;


typedef struct {
    ngx_queue_t                       queue;       /* topic->subs */
    ngx_http_conduit_hub_conn_t      *conn;
    uint64_t                          sequence;    /* sent last */
    unsigned                          told;        /* see hub_due() */
    u_char                            events;      /* CONDUIT_HOOK_* */
    unsigned                          behind:1;    /* waits for the client */
    ngx_msec_t                        at;          /* that was sent */
    ngx_queue_t                       siblings;    /* conn->subs */
    ngx_http_conduit_hub_topic_t     *topic;
} ngx_http_conduit_hub_sub_t;


/* a connection that asks for the subscriptions of its predecessor */

typedef struct {
    ngx_http_conduit_hub_conn_t      *conn;
    ngx_http_conduit_watcher_t        watcher;
} ngx_http_conduit_hub_heir_t;


/* of all tasks, what the client was told of some at another host */

typedef struct {
    ngx_uint_t                        n;
    ngx_uint_t                        size;
    conduit_session_sub_t             subs[1];
} ngx_http_conduit_hub_lately_t;


/* it is asked of other hosts */

typedef struct {
    ngx_http_conduit_hub_conn_t      *conn;
    ngx_http_conduit_waiter_t         waiter;
    ngx_event_t                       timer;       /* to ask again */
} ngx_http_conduit_hub_quest_t;


/* stateful reconnect: the numbers of messages, and ours as sent */

typedef struct {
    ngx_http_conduit_hub_out_t       *first;       /* not acknowledged */
    ngx_http_conduit_hub_out_t       *last;
    size_t                            bytes;       /* of them */
    uint64_t                          kept;        /* how many they are */
    uint64_t                          sent;        /* number of the last */
    uint64_t                          received;    /* highest number */
    uint64_t                          next;        /* number that comes */
    ngx_msec_t                        due;         /* when to acknowledge */
    unsigned                          owes:1;      /* that */
    unsigned                          synced:1;    /* next is valid */
} ngx_http_conduit_hub_resume_t;


/* a request that is held: a stream of events, or a poll */

struct ngx_http_conduit_hub_stream_s {
    ngx_http_conduit_hub_conn_t      *conn;        /* NULL: has ended */
    ngx_http_request_t               *request;
    ngx_http_conduit_hub_answer_pt    answer;      /* of a poll */
    ngx_event_t                       timer;
    ngx_event_t                       turn;        /* posted: look again */
    ngx_conduit_drain_t               drain;
    ngx_buf_t                        *buf;
    u_char                           *data;        /* of buf */
    unsigned                          sending:1;
    unsigned                          single:1;    /* one message a poll */
    unsigned                          expired:1;   /* an empty answer */
};


struct ngx_http_conduit_hub_conn_s {

    /* what an event needs comes first: few lines of the processor's cache */

    ngx_http_conduit_hub_t           *hub;
    ngx_http_conduit_hub_stream_t    *stream;      /* NULL: WebSocket */
    ngx_http_conduit_hub_resume_t    *resume;      /* NULL: not stateful */
    ngx_http_conduit_hub_out_t       *out;         /* unsent */
    size_t                            queued;      /* bytes in out */
    ngx_msec_t                        written;     /* last */
    ngx_connection_t                 *connection;
    ngx_socket_t                      plain;       /* its socket, if there */
                                                   /* is no TLS, else -1 */
    u_char                            kind;        /* or KIND_ANY */
    u_char                            state;
    u_char                            events;      /* of all */

    unsigned                          made:1;      /* is not continued */
    unsigned                          named:1;     /* by a token */
    unsigned                          succeeds:1;  /* from is valid */
    unsigned                          left:1;      /* the session */
    unsigned                          unsaved:1;   /* subscriptions */
    unsigned                          waiting:1;   /* to be its owner */
    unsigned                          stateful:1;  /* was granted */
    unsigned                          shaken:1;    /* hands */
    unsigned                          binary:1;    /* messagepack */
    unsigned                          pings:1;     /* the client does */
    unsigned                          goodbye:1;   /* the client has said */
    unsigned                          retires:1;   /* for a successor */
    unsigned                          draining:1;
    unsigned                          behind:1;    /* some sub is */
    unsigned                          behind_all:1;
    unsigned                          all_subs:1;
    unsigned                          failed:1;    /* to be closed */
    unsigned                          stuck:1;     /* reads no more */
    unsigned                          fresh:1;     /* an invocation again */
    unsigned                          unheard:1;   /* and Redis is silent */
    unsigned                          again:1;     /* it was counted then */
    unsigned                          handed:1;    /* from another process */
    unsigned                          broken:1;    /* hangs up then */
    unsigned                          answered:1;  /* ends when all is sent */
    unsigned                          roams:1;     /* all tasks are owed, as */
                                                   /* they are since a time */

    ngx_queue_t                       queue;       /* key->conns */
    ngx_queue_t                       all;         /* key->all, or at first */
                                                   /* hub->upgrades */
    ngx_queue_t                       subs;
    ngx_queue_t                       cancels;     /* wait for the store */
    ngx_queue_t                       parked;      /* wait for other hosts */
    ngx_queue_t                       owed;        /* subscriptions that do */
    ngx_http_conduit_hub_key_t       *key;
    ngx_http_request_t               *request;     /* until it is freed */
    ngx_http_conduit_hub_heir_t      *heir;
    ngx_http_conduit_hub_quest_t     *quest;
    ngx_http_conduit_hub_lately_t    *lately;      /* or NULL */
    int64_t                           since;       /* ms */

    ngx_http_conduit_hub_out_t       *last;        /* of out */
    size_t                            sent;        /* of the first */

    u_char                           *in;          /* part of a message */
    size_t                            in_len;
    size_t                            in_size;
    conduit_signalr_reader_t          reader;
    conduit_ws_t                      ws;

    uint64_t                          seen;        /* stamp, of all */
    uint64_t                          sure;        /* the client has seen */
    ngx_msec_t                        opened;
    ngx_msec_t                        heard;       /* last */
    ngx_msec_t                        told;        /* of all tasks, last */
    ngx_msec_t                        retired;     /* if it retires */

    ngx_http_conduit_watcher_t        watcher;     /* of the session's id */
    u_char                            from[NGX_HTTP_CONDUIT_HUB_ID];
    uint32_t                          claim;
    u_short                           nsubs;
    u_short                           nowed;
    u_short                           sought;      /* from, so often */
};


struct ngx_http_conduit_hub_s {
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_log_t                        *log;
    ngx_pool_t                       *pool;        /* empty between events */
    ngx_http_conduit_hub_lookup_pt    lookup;
    ngx_http_conduit_index_t          keys;
    ngx_queue_t                       upgrades;
    ngx_http_conduit_index_t          topics;
    ngx_uint_t                        nconns;
    ngx_uint_t                        unsaved;     /* connections */
    ngx_event_t                       tick;
    ngx_connection_t                  dummy;       /* for debug of events */
    u_char                            buffer[NGX_HTTP_CONDUIT_HUB_READ];
};


#define ngx_http_conduit_hub_of(r)                                            \
    (((ngx_http_conduit_main_conf_t *)                                        \
         ngx_http_get_module_main_conf(r, ngx_http_conduit_module))->hub)


/*
 * Messages: len bytes are to be written at hub_msg_text(), the head of the
 * frame comes by itself, but for the opcode RAW.
 */

#define NGX_HTTP_CONDUIT_HUB_RAW     0xff


ngx_http_conduit_hub_msg_t *ngx_http_conduit_hub_msg(
    ngx_http_conduit_hub_t *hub, size_t len, ngx_uint_t opcode);
void ngx_http_conduit_hub_msg_free(ngx_http_conduit_hub_msg_t *msg);

#define ngx_http_conduit_hub_msg_text(msg)                                    \
    ((msg)->data + NGX_HTTP_CONDUIT_HUB_HEAD)


/*
 * Sends or queues a message; the caller keeps its reference.  A connection
 * that fails is closed later, never inside of this call.
 */
void ngx_http_conduit_hub_send(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg);

/* the same for one that is kept already */
void ngx_http_conduit_hub_put(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg);

/* puts it behind what waits already; NGX_ERROR: no memory */
ngx_int_t ngx_http_conduit_hub_queue(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg);

#define ngx_http_conduit_hub_opcode(conn)                                     \
    ((conn)->binary ? CONDUIT_WS_BINARY : CONDUIT_WS_TEXT)

/* NULL: no memory */
ngx_http_conduit_hub_msg_t *ngx_http_conduit_hub_render(
    ngx_http_conduit_hub_t *hub, conduit_signalr_output_t *out,
    ngx_uint_t binary);
void ngx_http_conduit_hub_send_output(ngx_http_conduit_hub_conn_t *conn,
    conduit_signalr_output_t *out);

void ngx_http_conduit_hub_ping(ngx_http_conduit_hub_conn_t *conn);

/*
 * Bytes of the client's stream of messages.  NGX_OK, NGX_ERROR: the connection
 * is being closed.
 */
ngx_int_t ngx_http_conduit_hub_input(ngx_http_conduit_hub_conn_t *conn,
    u_char *p, size_t len);

/* what could not be sent before may be sent now */
void ngx_http_conduit_hub_drained(ngx_http_conduit_hub_conn_t *conn);

/*
 * Says goodbye: a close message with the error, if it is not NULL, and the
 * close of the transport; the connection ends when the client has answered.
 */
void ngx_http_conduit_hub_close(ngx_http_conduit_hub_conn_t *conn,
    const char *error, ngx_uint_t reconnect);

/* answers a handshake with an error, which ends the connection */
void ngx_http_conduit_hub_refuse(ngx_http_conduit_hub_conn_t *conn,
    const char *error);

/* ends the server's side of the socket; what was sent arrives before */
void ngx_http_conduit_hub_hang_up(ngx_http_conduit_hub_conn_t *conn);

/* ends what the connection has here, and frees it; the socket stays */
void ngx_http_conduit_hub_free(ngx_http_conduit_hub_conn_t *conn);

/* closes the connection, but not now: somebody may be using it */
void ngx_http_conduit_hub_fail(ngx_http_conduit_hub_conn_t *conn);

/* nothing follows but the end of the transport; code is of WebSocket */
void ngx_http_conduit_hub_end(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t code);


/*
 * Times.  timer() is for the one timer of the connection; NGX_DONE: its
 * time is over.  next() sets it again.
 */

ngx_int_t ngx_http_conduit_hub_timer(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_next(ngx_http_conduit_hub_conn_t *conn);

/* the worker shuts down */
void ngx_http_conduit_hub_shutdown(ngx_http_conduit_hub_conn_t *conn);

#define ngx_http_conduit_hub_polls(conn)                                      \
    ((conn)->stream && (conn)->stream->answer)

#define ngx_http_conduit_hub_clock(conn)                                      \
    ((conn)->stream ? &(conn)->stream->timer : (conn)->connection->read)


/*
 * The session in the zone.  begin() is for a connection that has become its
 * owner: it goes on where the last one has left it.  leave() gives it up.
 */

ngx_http_conduit_session_e ngx_http_conduit_hub_claim(
    ngx_http_conduit_hub_conn_t *conn, ngx_http_conduit_hub_peer_t *peer);
void ngx_http_conduit_hub_begin(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_leave(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_leave_e how);

/* something has come from the client */
void ngx_http_conduit_hub_heard(ngx_http_conduit_hub_conn_t *conn);

/*
 * The state as text.  keep_state() returns memory that is to be freed, or
 * NULL: none.  restore() adds to what is there: all of it, or what a
 * predecessor was subscribed to, and tells what has changed since.
 */

u_char *ngx_http_conduit_hub_keep_state(ngx_http_conduit_hub_conn_t *conn,
    size_t *len);
ngx_int_t ngx_http_conduit_hub_restore(ngx_http_conduit_hub_conn_t *conn,
    u_char *text, size_t len, ngx_uint_t whole);

/*
 * Subscriptions have changed: they are written into the zone soon, for the
 * successor of a connection whose process is killed.
 */
void ngx_http_conduit_hub_changed(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_save(ngx_http_conduit_hub_key_t *key);

/* takes the first message out of the queue */
void ngx_http_conduit_hub_shift(ngx_http_conduit_hub_conn_t *conn);

/* messages that nobody is left to get */
void ngx_http_conduit_hub_drop(ngx_http_conduit_hub_conn_t *conn);

/* ends sessions that have rested for too long */
void ngx_http_conduit_hub_sweep(ngx_http_conduit_hub_t *hub);

/* reads what clients have POSTed */
void ngx_http_conduit_hub_inbox(ngx_http_conduit_hub_conn_t *conn);

/* takes over what the predecessor was subscribed to, if there is one */
void ngx_http_conduit_hub_succeed(ngx_http_conduit_hub_conn_t *conn);

/* NGX_AGAIN: other hosts are asked for the predecessor, then succeed() again */
ngx_int_t ngx_http_conduit_hub_seek(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_seek_end(ngx_http_conduit_hub_conn_t *conn);


/*
 * A subscription goes on: at once, or it is owed until the zone is up to date
 * about its task, and is a part of the state meanwhile.  kept is NULL for the
 * one to all tasks, of another host.
 */

ngx_int_t ngx_http_conduit_hub_owe(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_sub_t *kept);
u_char *ngx_http_conduit_hub_owed(ngx_http_conduit_hub_conn_t *conn,
    u_char *p, ngx_uint_t again);
void ngx_http_conduit_hub_owed_free(ngx_http_conduit_hub_conn_t *conn);

/* one of them is not wanted any more (id is NULL: the one to all) */
void ngx_http_conduit_hub_owed_cancel(ngx_http_conduit_hub_conn_t *conn,
    u_char *id);

/* of all tasks: kept, written, asked (nothing is to be told), forgotten */

ngx_int_t ngx_http_conduit_hub_lately_add(ngx_http_conduit_hub_conn_t *conn,
    conduit_session_sub_t *kept);
u_char *ngx_http_conduit_hub_lately_write(ngx_http_conduit_hub_conn_t *conn,
    u_char *p);
ngx_uint_t ngx_http_conduit_hub_lately(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_view_t *view, unsigned *told);
void ngx_http_conduit_hub_lately_told(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_view_t *view, unsigned told);
void ngx_http_conduit_hub_lately_prune(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_lately_free(ngx_http_conduit_hub_conn_t *conn);

#define ngx_http_conduit_hub_nlately(conn)                                    \
    ((conn)->lately ? (conn)->lately->n : 0)


/* stateful reconnect, see there */

ngx_int_t ngx_http_conduit_hub_resume_create(
    ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_resume_free(ngx_http_conduit_hub_conn_t *conn);
ngx_int_t ngx_http_conduit_hub_resume_keep(ngx_http_conduit_hub_conn_t *conn,
    ngx_http_conduit_hub_msg_t *msg);
ngx_uint_t ngx_http_conduit_hub_resume_full(ngx_http_conduit_hub_conn_t *conn);
ngx_uint_t ngx_http_conduit_hub_resume_take(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_resume_acked(ngx_http_conduit_hub_conn_t *conn,
    uint64_t sequence);
ngx_int_t ngx_http_conduit_hub_resume_sequence(
    ngx_http_conduit_hub_conn_t *conn, uint64_t sequence);
void ngx_http_conduit_hub_resume_again(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_resume_ack(ngx_http_conduit_hub_conn_t *conn);


/* transports */

void ngx_http_conduit_hub_ws_close(ngx_http_conduit_hub_conn_t *conn,
    ngx_uint_t code);
void ngx_http_conduit_hub_ws_wait(ngx_http_conduit_hub_conn_t *conn);

/* reads what has come while nobody was listening */
void ngx_http_conduit_hub_listen(ngx_http_conduit_hub_conn_t *conn);


/* one message of the client, whole; NGX_OK or NGX_ERROR: close */

ngx_int_t ngx_http_conduit_hub_call(ngx_http_conduit_hub_conn_t *conn,
    u_char *p, size_t len);

/* whoever has called is not there any more */
void ngx_http_conduit_hub_call_forget(ngx_http_conduit_hub_conn_t *conn);

/* calls that wait for the store, as messages of a session's input */
size_t ngx_http_conduit_hub_call_size(ngx_http_conduit_hub_conn_t *conn);
u_char *ngx_http_conduit_hub_call_write(ngx_http_conduit_hub_conn_t *conn,
    u_char *p);

/*
 * Is the zone up to date about a task, or (id is NULL) all of the key?  NGX_OK;
 * NGX_AGAIN: the record, an invocation, has been put aside and is made again
 * when it is; NGX_ERROR: other hosts have to be asked and cannot be.
 */
ngx_int_t ngx_http_conduit_hub_fresh(ngx_http_conduit_hub_conn_t *conn,
    u_char *id, conduit_str_t *record);
void ngx_http_conduit_hub_fresh_forget(ngx_http_conduit_hub_conn_t *conn);

/* those that were put aside, as messages of a session's input */
size_t ngx_http_conduit_hub_fresh_size(ngx_http_conduit_hub_conn_t *conn);
u_char *ngx_http_conduit_hub_fresh_write(ngx_http_conduit_hub_conn_t *conn,
    u_char *p);


/*
 * Subscriptions.  NGX_OK, NGX_DECLINED: no such task, NGX_BUSY: too many,
 * NGX_ERROR.
 */
ngx_int_t ngx_http_conduit_hub_subscribe(ngx_http_conduit_hub_conn_t *conn,
    u_char *id, ngx_uint_t events, ngx_http_conduit_hub_sub_t **sub);
void ngx_http_conduit_hub_unsubscribe(ngx_http_conduit_hub_conn_t *conn,
    u_char *id);
ngx_int_t ngx_http_conduit_hub_subscribe_all(
    ngx_http_conduit_hub_conn_t *conn, ngx_uint_t events);
void ngx_http_conduit_hub_unsubscribe_all(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_subs_free(ngx_http_conduit_hub_conn_t *conn);

/* is it subscribed to this task by itself? */
ngx_uint_t ngx_http_conduit_hub_subscribed(ngx_http_conduit_hub_conn_t *conn,
    u_char *id);

/* the current state, after subscribe() */
void ngx_http_conduit_hub_sub_look(ngx_http_conduit_hub_sub_t *sub);
ngx_int_t ngx_http_conduit_hub_all_begin(ngx_http_conduit_hub_conn_t *conn);

/* NGX_AGAIN: the client has to read first, call it again */
ngx_int_t ngx_http_conduit_hub_all_resume(ngx_http_conduit_hub_conn_t *conn);
void ngx_http_conduit_hub_all_look(ngx_http_conduit_hub_conn_t *conn);

/* whether the client reads what is sent */
#define ngx_http_conduit_hub_reads(conn)                                      \
    ((conn)->queued < (conn)->hub->cdmcf->hub_buffer)

/* whether more may be put into the queue of unsent messages */
#define ngx_http_conduit_hub_free_room(conn)                                  \
    (ngx_http_conduit_hub_reads(conn)                                         \
     && ((conn)->resume == NULL                                               \
         || (conn)->resume->bytes < (conn)->hub->cdmcf->hub_buffer))


/*
 * Events of one state of a task, rendered when first wanted: by hub (one of
 * the task's kind, or that of all tasks), dialect, protocol and event.
 */

#define NGX_HTTP_CONDUIT_HUB_HOOKS  5

typedef struct {
    ngx_http_conduit_hub_t           *hub;
    ngx_pool_t                       *pool;
    ngx_http_conduit_view_t          *view;
    ngx_uint_t                        sent;
    unsigned                          split;       /* events doc is good for */
    unsigned                          replay:1;    /* not a change of now */
    uint64_t                          made;        /* bits: which of msgs */

    /* valid when there is something: nothing here is zeroed for each event */

    int64_t                           start;       /* of the second one sent, */
                                                   /* microseconds */
    ngx_http_conduit_hub_msg_t       *msgs[8 * NGX_HTTP_CONDUIT_HUB_HOOKS];
    conduit_hub_document_t            doc;
} ngx_http_conduit_hub_news_t;

void ngx_http_conduit_hub_news_init(ngx_http_conduit_hub_news_t *news,
    ngx_http_conduit_hub_t *hub, ngx_pool_t *pool,
    ngx_http_conduit_view_t *view);
void ngx_http_conduit_hub_news_free(ngx_http_conduit_hub_news_t *news);

/* sends these events (CONDUIT_HOOK_*) */

void ngx_http_conduit_hub_news_send(ngx_http_conduit_hub_news_t *news,
    ngx_http_conduit_hub_conn_t *conn, ngx_uint_t hooks);


#endif /* _NGX_HTTP_CONDUIT_HUB_CONN_H_INCLUDED_ */
