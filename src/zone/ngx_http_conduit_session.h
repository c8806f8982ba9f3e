
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_SESSION_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_SESSION_H_INCLUDED_


#include <ngx_http_conduit_zone.h>


/*
 * Sessions of hubs.  What is changed under the lock is told to other processes
 * after it: rings collects whom to wake, see ngx_http_conduit_cell_ring().
 */

#define NGX_HTTP_CONDUIT_SESSION_WS       0
#define NGX_HTTP_CONDUIT_SESSION_SSE      1
#define NGX_HTTP_CONDUIT_SESSION_LP       2

typedef enum {
    NGX_HTTP_CONDUIT_SESSION_OK = 0,
    NGX_HTTP_CONDUIT_SESSION_MADE,         /* did not exist before */
    NGX_HTTP_CONDUIT_SESSION_WAIT,         /* the owner has to give way */
    NGX_HTTP_CONDUIT_SESSION_MORE,         /* the inbox holds something */
    NGX_HTTP_CONDUIT_SESSION_WANTED,       /* by another request */
    NGX_HTTP_CONDUIT_SESSION_NONE,         /* no such, or it has ended */
    NGX_HTTP_CONDUIT_SESSION_BYE,          /* has ended, not told yet */
    NGX_HTTP_CONDUIT_SESSION_OTHER,        /* another transport's */
    NGX_HTTP_CONDUIT_SESSION_ACTIVE,       /* has its one connection */
    NGX_HTTP_CONDUIT_SESSION_KEY_FULL,
    NGX_HTTP_CONDUIT_SESSION_FULL,
    NGX_HTTP_CONDUIT_SESSION_INBOX_FULL,
    NGX_HTTP_CONDUIT_SESSION_NOMEM,
    NGX_HTTP_CONDUIT_SESSION_MOVED         /* on its way to another host */
} ngx_http_conduit_session_e;

/* it may be at another host */
#define ngx_http_conduit_session_away(rc)                                     \
    ((rc) == NGX_HTTP_CONDUIT_SESSION_NONE                                    \
     || (rc) == NGX_HTTP_CONDUIT_SESSION_MOVED)

/* how an owner leaves; all but REST end the session */

typedef enum {
    NGX_HTTP_CONDUIT_SESSION_REST = 0,     /* the client comes again */
    NGX_HTTP_CONDUIT_SESSION_END,          /* a successor may take over */
    NGX_HTTP_CONDUIT_SESSION_FORGET        /* the client has said goodbye */
} ngx_http_conduit_leave_e;

typedef struct {
    ngx_http_conduit_mask_t             wake;      /* slots */
    unsigned                            here:1;    /* this process, too */
} ngx_http_conduit_rings_t;

typedef struct {
    u_char                             *id;
    ngx_http_conduit_key_node_t        *key;
    ngx_uint_t                          kind;
    ngx_uint_t                          transport;
    ngx_uint_t                          per_key;   /* limits */
    ngx_uint_t                          total;
    ngx_uint_t                          verb;      /* for other hosts */
    ngx_msec_t                          age;       /* of a successor */
    unsigned                            named:1;
    unsigned                            fresh:1;   /* may be made */
} ngx_http_conduit_session_want_t;

/* what may be asked of other hosts */

#define NGX_HTTP_CONDUIT_SESSION_POST     'p'
#define NGX_HTTP_CONDUIT_SESSION_DELETE   'd'
#define NGX_HTTP_CONDUIT_SESSION_TAKE     't'  /* goes on here */
#define NGX_HTTP_CONDUIT_SESSION_SUCCEED  's'  /* ends, has a successor here */

/* a session that goes to another host */

typedef struct {
    u_char                             *data;      /* state, then inbox */
    size_t                              size;
    size_t                              state;     /* bytes */
    size_t                              inbox;
    ngx_uint_t                          transport;
    ngx_msec_t                          age;
    unsigned                            resumable:1;
    unsigned                            ended:1;
} ngx_http_conduit_parcel_t;

/* is there room for one more?  OK, KEY_FULL or FULL */
ngx_http_conduit_session_e ngx_http_conduit_session_room(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_key_node_t *key,
    ngx_uint_t per_key, ngx_uint_t total);

/*
 * A request wants to own a session, which is made where there is none.  *claim
 * is its number.  OK and MADE: it is the owner; WAIT: look again when woken.
 */
ngx_http_conduit_session_e ngx_http_conduit_session_claim(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want,
    uint32_t *claim, ngx_http_conduit_rings_t *rings);

/*
 * What a woken claim has to do: OK (nothing, or it has just become the owner),
 * MORE, WAIT, WANTED (leave) or NONE.
 */
ngx_http_conduit_session_e ngx_http_conduit_session_look(
    ngx_http_conduit_zone_t *zone, u_char *id, uint32_t claim);

/*
 * Has a successor come?  since: when it did, by the time of events.  What this
 * one's client was sent from then on may not be read any more.
 */
ngx_uint_t ngx_http_conduit_session_retired(ngx_http_conduit_zone_t *zone,
    u_char *id, ngx_msec_t *since);

/*
 * For the owner: copies the state, or takes what is in the inbox, if it is not
 * longer than size.  Returns the length; 0: nothing, or not the owner.
 */
size_t ngx_http_conduit_session_state(ngx_http_conduit_zone_t *zone,
    u_char *id, uint32_t claim, u_char *dst, size_t size, ngx_msec_t *opened);
size_t ngx_http_conduit_session_inbox(ngx_http_conduit_zone_t *zone,
    u_char *id, uint32_t claim, u_char *dst, size_t size);

/* for the owner: keeps a state, in case that this process dies */
void ngx_http_conduit_session_save(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim, u_char *state, size_t len);

/* for the owner: a client that is cut off may come again */
void ngx_http_conduit_session_resumable(ngx_http_conduit_zone_t *zone,
    u_char *id, uint32_t claim);

/* the owner leaves a state, which may be empty */
void ngx_http_conduit_session_leave(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim, ngx_http_conduit_leave_e how, u_char *state, size_t len,
    ngx_http_conduit_rings_t *rings);

/* bytes of a POST; OK, NONE, OTHER, INBOX_FULL or NOMEM */
ngx_http_conduit_session_e ngx_http_conduit_session_post(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want,
    u_char *data, size_t len, size_t max, ngx_http_conduit_rings_t *rings);

/* the client ends a session of LongPolling; OK, NONE or OTHER */
ngx_http_conduit_session_e ngx_http_conduit_session_delete(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want,
    ngx_http_conduit_rings_t *rings);

/*
 * A successor asks for the state of a session, which ends by that.  OK: it has
 * been moved to dst, *len bytes; WAIT: look again when woken, or with a buffer
 * of *len bytes; NONE.
 */
ngx_http_conduit_session_e ngx_http_conduit_session_succeed(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want,
    u_char *dst, size_t size, size_t *len, ngx_http_conduit_rings_t *rings);

/*
 * Another host takes a session, or what it leaves for a successor; *claim is 0
 * at first.  OK: it is in the parcel, and gone from here; MORE: the same, with
 * a buffer of state and inbox bytes; WAIT: look again when woken; or why not.
 */
ngx_http_conduit_session_e ngx_http_conduit_session_part(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want,
    uint32_t *claim, ngx_http_conduit_parcel_t *parcel,
    ngx_http_conduit_rings_t *rings);

/* one has come from another host; OK or NOMEM */
ngx_http_conduit_session_e ngx_http_conduit_session_adopt(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want,
    ngx_http_conduit_parcel_t *parcel);

/* is it here, or what it has left for a successor? */
ngx_uint_t ngx_http_conduit_session_here(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want);

/* ends what has rested, and forgets what has ended, for too long */
void ngx_http_conduit_session_sweep(ngx_http_conduit_zone_t *zone,
    ngx_uint_t total);

/* a process has gone, and its connections with it */
void ngx_http_conduit_session_disown_locked(ngx_http_conduit_zone_t *zone,
    ngx_uint_t cell);
void ngx_http_conduit_session_repair_locked(ngx_http_conduit_zone_t *zone);


#endif /* _NGX_HTTP_CONDUIT_SESSION_H_INCLUDED_ */
