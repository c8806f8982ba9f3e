
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_SESSION_NODE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_SESSION_NODE_H_INCLUDED_


#include <ngx_http_conduit_zone.h>


/* What the files of the sessions share; nobody else looks in here. */


/* a client that is between two polls, or was cut off, comes again in */

#define NGX_HTTP_CONDUIT_SESSION_GAP  15000

/* subscriptions of one that has ended can be taken over for */

#define NGX_HTTP_CONDUIT_SESSION_AGE  60000


void ngx_http_conduit_session_link_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_t *s);
void ngx_http_conduit_session_free_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_t *s);
ngx_http_conduit_session_t *ngx_http_conduit_session_find_locked(
    ngx_http_conduit_zone_t *zone, u_char *id);
ngx_http_conduit_session_t *ngx_http_conduit_session_owned_locked(
    ngx_http_conduit_zone_t *zone, u_char *id, uint32_t claim);
ngx_http_conduit_session_t *ngx_http_conduit_session_wanted_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want);
ngx_http_conduit_session_e ngx_http_conduit_session_none_locked(
    ngx_http_conduit_session_t *s);
void ngx_http_conduit_session_own_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s);
void ngx_http_conduit_session_retire_locked(ngx_http_conduit_session_t *s,
    ngx_http_conduit_session_want_t *want);
void ngx_http_conduit_session_end_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s);
void ngx_http_conduit_session_off_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s);
void ngx_http_conduit_session_age_locked(
    ngx_http_conduit_session_t *s, ngx_queue_t *ages, ngx_msec_t ms);
void ngx_http_conduit_session_ring_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_t *s,
    ngx_uint_t cell, ngx_http_conduit_rings_t *rings);


#endif /* _NGX_HTTP_CONDUIT_SESSION_NODE_H_INCLUDED_ */
