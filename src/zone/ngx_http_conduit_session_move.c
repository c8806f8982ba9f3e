
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_session_node.h>
#include <conduit_session.h>


/*
 * A session goes to the host where its client asks next.  What is left of it
 * tells, for as long as it may be on its way, that it is not lost.
 */


#define NGX_HTTP_CONDUIT_SESSION_WAY  3000


static ngx_http_conduit_session_e ngx_http_conduit_session_free_to_go_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_t *s,
    ngx_http_conduit_session_want_t *want, uint32_t *claim,
    ngx_http_conduit_rings_t *rings);
static ngx_http_conduit_session_e ngx_http_conduit_session_pack_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_t *s,
    ngx_http_conduit_session_want_t *want, ngx_http_conduit_parcel_t *parcel);


ngx_http_conduit_session_e
ngx_http_conduit_session_part(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want, uint32_t *claim,
    ngx_http_conduit_parcel_t *parcel, ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_wanted_locked(zone, want);

    rc = ngx_http_conduit_session_free_to_go_locked(zone, s, want, claim,
                                                    rings);

    if (rc == NGX_HTTP_CONDUIT_SESSION_OK) {
        rc = ngx_http_conduit_session_pack_locked(zone, s, want, parcel);
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


static ngx_http_conduit_session_e
ngx_http_conduit_session_free_to_go_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s, ngx_http_conduit_session_want_t *want,
    uint32_t *claim, ngx_http_conduit_rings_t *rings)
{
    ngx_uint_t  succeed;

    succeed = (want->verb == NGX_HTTP_CONDUIT_SESSION_SUCCEED);

    if (s == NULL || s->moved) {
        return ngx_http_conduit_session_none_locked(s);
    }

    if (s->ended) {

        if (succeed) {
            return s->state.len ? NGX_HTTP_CONDUIT_SESSION_OK
                                : NGX_HTTP_CONDUIT_SESSION_NONE;
        }

        if (s->farewell && want->transport == NGX_HTTP_CONDUIT_SESSION_LP) {
            s->farewell = 0;
            return NGX_HTTP_CONDUIT_SESSION_BYE;
        }

        return NGX_HTTP_CONDUIT_SESSION_NONE;
    }

    if (!succeed && s->transport != want->transport) {
        return NGX_HTTP_CONDUIT_SESSION_OTHER;
    }

    if (!succeed && s->transport != NGX_HTTP_CONDUIT_SESSION_LP
        && !s->resumable)
    {
        return NGX_HTTP_CONDUIT_SESSION_ACTIVE;
    }

    if (*claim == 0) {

        /* an earlier one that waits is told that it need not any more */

        if (s->heir != NGX_HTTP_CONDUIT_NOBODY && s->heir != s->owner) {
            ngx_http_conduit_session_ring_locked(zone, s, s->heir, rings);
        }

        *claim = ++s->claim;

    } else if (s->claim != *claim) {
        return (want->transport == NGX_HTTP_CONDUIT_SESSION_LP && !succeed)
               ? NGX_HTTP_CONDUIT_SESSION_BYE : NGX_HTTP_CONDUIT_SESSION_NONE;
    }

    if (s->owner == NGX_HTTP_CONDUIT_NOBODY) {
        return NGX_HTTP_CONDUIT_SESSION_OK;
    }

    if (succeed) {
        ngx_http_conduit_session_retire_locked(s, want);
    }

    s->heir = (u_char) zone->cell;

    ngx_http_conduit_session_ring_locked(zone, s, s->owner, rings);

    return NGX_HTTP_CONDUIT_SESSION_WAIT;
}


static ngx_http_conduit_session_e
ngx_http_conduit_session_pack_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s, ngx_http_conduit_session_want_t *want,
    ngx_http_conduit_parcel_t *parcel)
{
    u_char  *p;

    parcel->state = s->state.len;
    parcel->inbox = s->inbox.len;

    if (parcel->state + parcel->inbox > parcel->size) {
        return NGX_HTTP_CONDUIT_SESSION_MORE;
    }

    parcel->transport = s->transport;
    parcel->age = ngx_current_msec - s->opened;
    parcel->resumable = s->resumable;
    parcel->ended = (want->verb == NGX_HTTP_CONDUIT_SESSION_SUCCEED);

    p = ngx_http_conduit_text_copy_locked(&s->state, parcel->data);
    (void) ngx_http_conduit_text_copy_locked(&s->inbox, p);

    if (parcel->ended) {
        ngx_http_conduit_session_end_locked(zone, s);

    } else {
        ngx_http_conduit_session_off_locked(zone, s);
    }

    ngx_http_conduit_session_age_locked(s, &zone->sh->ended,
                                        NGX_HTTP_CONDUIT_SESSION_AGE);
    ngx_http_conduit_text_free_locked(zone, &s->state);

    s->seen = conduit_session_seen(parcel->data, parcel->state);
    s->farewell = 0;
    s->moved = 1;

    return NGX_HTTP_CONDUIT_SESSION_OK;
}


/* one that was here before has left a trace: it goes on from that stamp */

ngx_http_conduit_session_e
ngx_http_conduit_session_adopt(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want, ngx_http_conduit_parcel_t *parcel)
{
    uint64_t                     seen;
    ngx_queue_t                 *ages;
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    seen = 0;
    rc = NGX_HTTP_CONDUIT_SESSION_NOMEM;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_find_locked(zone, want->id);

    if (s) {

        if (!s->moved) {
            rc = NGX_HTTP_CONDUIT_SESSION_NONE;
            goto done;
        }

        seen = s->seen;
        ngx_http_conduit_session_free_locked(zone, s);
    }

    conduit_session_land(parcel->data, parcel->state, seen);

    s = ngx_slab_calloc_locked(zone->shpool,
                               sizeof(ngx_http_conduit_session_t));
    if (s == NULL) {
        goto done;
    }

    if (ngx_http_conduit_text_set_locked(zone, &s->state, parcel->data,
                                         parcel->state)
        != NGX_OK
        || (parcel->inbox
            && ngx_http_conduit_text_append_locked(zone, &s->inbox,
                                                   parcel->data
                                                   + parcel->state,
                                                   parcel->inbox)
               != NGX_OK))
    {
        ngx_http_conduit_text_free_locked(zone, &s->inbox);
        ngx_http_conduit_text_free_locked(zone, &s->state);
        ngx_slab_free_locked(zone->shpool, s);
        goto done;
    }

    ngx_memcpy(s->id, want->id, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_queue_init(&s->age);

    s->key = want->key;
    s->opened = ngx_current_msec - parcel->age;
    s->owner = NGX_HTTP_CONDUIT_NOBODY;
    s->heir = NGX_HTTP_CONDUIT_NOBODY;
    s->transport = (u_char) parcel->transport;
    s->kind = (u_char) want->kind;
    s->named = 1;
    s->resumable = parcel->resumable;
    s->ended = parcel->ended;

    if (s->ended) {
        zone->sh->nended++;
        ages = &zone->sh->ended;

    } else {
        ages = &zone->sh->resting;
    }

    ngx_http_conduit_session_age_locked(s, ages,
                                s->ended ? NGX_HTTP_CONDUIT_SESSION_AGE
                                         : NGX_HTTP_CONDUIT_SESSION_GAP);

    ngx_http_conduit_session_link_locked(zone, s);

    /* the forward link is set last, see the repair */

    ngx_queue_insert_head(&zone->sh->sessions, &s->sessions);

    rc = NGX_HTTP_CONDUIT_SESSION_OK;

done:

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


ngx_uint_t
ngx_http_conduit_session_here(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want)
{
    ngx_uint_t                   here;
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_wanted_locked(zone, want);
    here = (s != NULL && !s->moved);

    ngx_http_conduit_zone_unlock(zone);

    return here;
}


/* of one that has ended, or of none */

ngx_http_conduit_session_e
ngx_http_conduit_session_none_locked(ngx_http_conduit_session_t *s)
{
    ngx_msec_int_t  left;

    if (s == NULL || !s->moved) {
        return NGX_HTTP_CONDUIT_SESSION_NONE;
    }

    left = (ngx_msec_int_t) (s->expires - ngx_current_msec);

    return (left > NGX_HTTP_CONDUIT_SESSION_AGE - NGX_HTTP_CONDUIT_SESSION_WAY)
           ? NGX_HTTP_CONDUIT_SESSION_MOVED : NGX_HTTP_CONDUIT_SESSION_NONE;
}
