
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_session_node.h>


static ngx_http_conduit_session_e ngx_http_conduit_session_room_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_key_node_t *key,
    ngx_uint_t per_key, ngx_uint_t total);
static ngx_http_conduit_session_e ngx_http_conduit_session_make_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_want_t *want);
static ngx_http_conduit_session_e ngx_http_conduit_session_claim_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_session_t *s,
    ngx_http_conduit_session_want_t *want, uint32_t *claim,
    ngx_http_conduit_rings_t *rings);


ngx_http_conduit_session_e
ngx_http_conduit_session_room(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, ngx_uint_t per_key, ngx_uint_t total)
{
    ngx_http_conduit_session_e  rc;

    ngx_http_conduit_zone_lock(zone);
    rc = ngx_http_conduit_session_room_locked(zone, key, per_key, total);
    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


static ngx_http_conduit_session_e
ngx_http_conduit_session_room_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_key_node_t *key, ngx_uint_t per_key, ngx_uint_t total)
{
    if (key->connections + key->away >= per_key) {
        return NGX_HTTP_CONDUIT_SESSION_KEY_FULL;
    }

    return (zone->sh->connections >= total) ? NGX_HTTP_CONDUIT_SESSION_FULL
                                            : NGX_HTTP_CONDUIT_SESSION_OK;
}


ngx_http_conduit_session_e
ngx_http_conduit_session_claim(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want, uint32_t *claim,
    ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_find_locked(zone, want->id);

    if (s == NULL) {
        rc = ngx_http_conduit_session_make_locked(zone, want);
        *claim = 1;

    } else {
        rc = ngx_http_conduit_session_claim_locked(zone, s, want, claim,
                                                   rings);
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


static ngx_http_conduit_session_e
ngx_http_conduit_session_make_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want)
{
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    if (!want->fresh) {
        return NGX_HTTP_CONDUIT_SESSION_NONE;
    }

    rc = ngx_http_conduit_session_room_locked(zone, want->key, want->per_key,
                                              want->total);

    if (rc != NGX_HTTP_CONDUIT_SESSION_OK) {
        return rc;
    }

    s = ngx_slab_calloc_locked(zone->shpool,
                               sizeof(ngx_http_conduit_session_t));
    if (s == NULL) {
        return NGX_HTTP_CONDUIT_SESSION_NOMEM;
    }

    ngx_memcpy(s->id, want->id, NGX_HTTP_CONDUIT_ID_LEN);
    ngx_queue_init(&s->age);

    s->key = want->key;
    s->opened = ngx_current_msec;
    s->claim = 1;
    s->holder = 1;
    s->owner = (u_char) zone->cell;
    s->heir = NGX_HTTP_CONDUIT_NOBODY;
    s->transport = (u_char) want->transport;
    s->kind = (u_char) want->kind;
    s->named = want->named;

    ngx_http_conduit_session_link_locked(zone, s);

    /* the forward link is set last, see the repair */

    ngx_queue_insert_head(&zone->sh->sessions, &s->sessions);

    return NGX_HTTP_CONDUIT_SESSION_MADE;
}


static ngx_http_conduit_session_e
ngx_http_conduit_session_claim_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_t *s, ngx_http_conduit_session_want_t *want,
    uint32_t *claim, ngx_http_conduit_rings_t *rings)
{
    if (s->key != want->key || s->kind != want->kind) {
        return NGX_HTTP_CONDUIT_SESSION_NONE;
    }

    if (s->ended) {

        if (s->farewell && want->transport == NGX_HTTP_CONDUIT_SESSION_LP) {
            s->farewell = 0;
            return NGX_HTTP_CONDUIT_SESSION_BYE;
        }

        return ngx_http_conduit_session_none_locked(s);
    }

    if (s->transport != want->transport) {
        return NGX_HTTP_CONDUIT_SESSION_OTHER;
    }

    if (s->transport != NGX_HTTP_CONDUIT_SESSION_LP && !s->resumable) {
        return NGX_HTTP_CONDUIT_SESSION_ACTIVE;
    }

    *claim = ++s->claim;

    if (s->owner == NGX_HTTP_CONDUIT_NOBODY) {
        ngx_http_conduit_session_own_locked(zone, s);
        return NGX_HTTP_CONDUIT_SESSION_OK;
    }

    /* an earlier one that waits is told that it need not any more */

    if (s->heir != NGX_HTTP_CONDUIT_NOBODY && s->heir != s->owner) {
        ngx_http_conduit_session_ring_locked(zone, s, s->heir, rings);
    }

    s->heir = (u_char) zone->cell;

    ngx_http_conduit_session_ring_locked(zone, s, s->owner, rings);

    return NGX_HTTP_CONDUIT_SESSION_WAIT;
}


ngx_http_conduit_session_e
ngx_http_conduit_session_look(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim)
{
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_find_locked(zone, id);

    if (s == NULL || s->ended) {
        rc = NGX_HTTP_CONDUIT_SESSION_NONE;

    } else if (s->claim != claim || s->retire) {
        rc = NGX_HTTP_CONDUIT_SESSION_WANTED;

    } else if (s->owner == NGX_HTTP_CONDUIT_NOBODY) {
        ngx_http_conduit_session_own_locked(zone, s);
        rc = NGX_HTTP_CONDUIT_SESSION_OK;

    } else if (s->holder != claim) {
        rc = NGX_HTTP_CONDUIT_SESSION_WAIT;

    } else {
        rc = s->inbox.len ? NGX_HTTP_CONDUIT_SESSION_MORE
                          : NGX_HTTP_CONDUIT_SESSION_OK;
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


ngx_uint_t
ngx_http_conduit_session_retired(ngx_http_conduit_zone_t *zone, u_char *id,
    ngx_msec_t *since)
{
    ngx_uint_t                   retired;
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_find_locked(zone, id);

    retired = (s && s->retire);

    if (retired) {
        *since = s->retired;
    }

    ngx_http_conduit_zone_unlock(zone);

    return retired;
}


size_t
ngx_http_conduit_session_state(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim, u_char *dst, size_t size, ngx_msec_t *opened)
{
    size_t                       len;
    ngx_http_conduit_session_t  *s;

    len = 0;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_owned_locked(zone, id, claim);

    if (s) {
        *opened = s->opened;
        len = s->state.len;

        if (len && len <= size) {
            (void) ngx_http_conduit_text_copy_locked(&s->state, dst);
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return len;
}


size_t
ngx_http_conduit_session_inbox(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim, u_char *dst, size_t size)
{
    size_t                       len;
    ngx_http_conduit_session_t  *s;

    len = 0;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_owned_locked(zone, id, claim);

    if (s) {
        len = s->inbox.len;

        if (len && len <= size) {
            (void) ngx_http_conduit_text_copy_locked(&s->inbox, dst);
            ngx_http_conduit_text_free_locked(zone, &s->inbox);
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return len;
}


void
ngx_http_conduit_session_save(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim, u_char *state, size_t len)
{
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_owned_locked(zone, id, claim);

    if (s) {
        (void) ngx_http_conduit_text_set_locked(zone, &s->state, state, len);
    }

    ngx_http_conduit_zone_unlock(zone);
}


void
ngx_http_conduit_session_resumable(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim)
{
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_owned_locked(zone, id, claim);

    if (s) {
        s->resumable = 1;
    }

    ngx_http_conduit_zone_unlock(zone);
}


/* who comes again has to find its state: without memory for it all ends */

void
ngx_http_conduit_session_leave(ngx_http_conduit_zone_t *zone, u_char *id,
    uint32_t claim, ngx_http_conduit_leave_e how, u_char *state, size_t len,
    ngx_http_conduit_rings_t *rings)
{
    ngx_int_t                    rc;
    ngx_http_conduit_session_t  *s;

    /* a process on its way out has ended all at once */

    if (zone->cell == NGX_HTTP_CONDUIT_NOBODY) {
        return;
    }

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_owned_locked(zone, id, claim);

    if (s == NULL) {
        goto done;
    }

    rc = NGX_OK;

    if (len) {
        rc = ngx_http_conduit_text_set_locked(zone, &s->state, state, len);

    } else {
        ngx_http_conduit_text_free_locked(zone, &s->state);
    }

    ngx_http_conduit_session_ring_locked(zone, s, s->heir, rings);

    if (how == NGX_HTTP_CONDUIT_SESSION_REST && rc == NGX_OK && !s->retire) {
        s->owner = NGX_HTTP_CONDUIT_NOBODY;
        ngx_http_conduit_session_age_locked(s, &zone->sh->resting,
                                            NGX_HTTP_CONDUIT_SESSION_GAP);
        goto done;
    }

    s->farewell = (how != NGX_HTTP_CONDUIT_SESSION_REST);

    ngx_http_conduit_session_end_locked(zone, s);

    if (!s->named) {
        ngx_http_conduit_session_free_locked(zone, s);
    }

done:

    ngx_http_conduit_zone_unlock(zone);
}


ngx_http_conduit_session_e
ngx_http_conduit_session_post(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want, u_char *data, size_t len,
    size_t max, ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    rc = NGX_HTTP_CONDUIT_SESSION_OK;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_wanted_locked(zone, want);

    if (s == NULL || s->ended) {
        rc = ngx_http_conduit_session_none_locked(s);

    } else if (s->transport == NGX_HTTP_CONDUIT_SESSION_WS) {
        rc = NGX_HTTP_CONDUIT_SESSION_OTHER;

    } else if (s->inbox.len + len > max) {
        rc = NGX_HTTP_CONDUIT_SESSION_INBOX_FULL;

    } else if (len
               && (ngx_http_conduit_zone_tight_locked(zone)
                   || ngx_http_conduit_text_append_locked(zone, &s->inbox,
                                                          data, len)
                      != NGX_OK))
    {
        rc = NGX_HTTP_CONDUIT_SESSION_NOMEM;

    } else {
        ngx_http_conduit_session_ring_locked(zone, s, s->owner, rings);
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


ngx_http_conduit_session_e
ngx_http_conduit_session_delete(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want, ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    rc = NGX_HTTP_CONDUIT_SESSION_OK;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_wanted_locked(zone, want);

    if (s == NULL || (s->ended && !s->farewell)) {
        rc = ngx_http_conduit_session_none_locked(s);

    } else if (s->transport != NGX_HTTP_CONDUIT_SESSION_LP) {
        rc = s->ended ? NGX_HTTP_CONDUIT_SESSION_NONE
                      : NGX_HTTP_CONDUIT_SESSION_OTHER;

    } else {
        ngx_http_conduit_session_ring_locked(zone, s, s->owner, rings);
        ngx_http_conduit_session_ring_locked(zone, s, s->heir, rings);

        ngx_http_conduit_text_free_locked(zone, &s->state);
        s->farewell = 0;

        ngx_http_conduit_session_end_locked(zone, s);
    }

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}


ngx_http_conduit_session_e
ngx_http_conduit_session_succeed(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_session_want_t *want, u_char *dst, size_t size,
    size_t *len, ngx_http_conduit_rings_t *rings)
{
    ngx_http_conduit_session_e   rc;
    ngx_http_conduit_session_t  *s;

    ngx_http_conduit_zone_lock(zone);

    s = ngx_http_conduit_session_wanted_locked(zone, want);

    if (s == NULL) {
        rc = NGX_HTTP_CONDUIT_SESSION_NONE;
        goto done;
    }

    if (!s->ended && s->owner != NGX_HTTP_CONDUIT_NOBODY) {
        ngx_http_conduit_session_retire_locked(s, want);
        s->heir = (u_char) zone->cell;
        ngx_http_conduit_session_ring_locked(zone, s, s->owner, rings);
        rc = NGX_HTTP_CONDUIT_SESSION_WAIT;
        goto done;
    }

    if (!s->ended) {
        ngx_http_conduit_session_end_locked(zone, s);
    }

    *len = s->state.len;

    if (*len == 0) {
        rc = NGX_HTTP_CONDUIT_SESSION_NONE;

    } else if (*len > size) {
        rc = NGX_HTTP_CONDUIT_SESSION_WAIT;

    } else {
        (void) ngx_http_conduit_text_copy_locked(&s->state, dst);
        ngx_http_conduit_text_free_locked(zone, &s->state);
        rc = NGX_HTTP_CONDUIT_SESSION_OK;
    }

done:

    ngx_http_conduit_zone_unlock(zone);

    return rc;
}
