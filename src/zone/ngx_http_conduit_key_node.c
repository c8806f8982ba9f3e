
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


static void ngx_http_conduit_idem_hash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_idem_node_t *idem);
static void ngx_http_conduit_idem_expire_locked(
    ngx_http_conduit_zone_t *zone);


ngx_http_conduit_key_node_t *
ngx_http_conduit_key_node(ngx_http_conduit_zone_t *zone, ngx_str_t *name)
{
    ngx_http_conduit_key_node_t  *key;

    ngx_http_conduit_zone_lock(zone);
    key = ngx_http_conduit_key_node_locked(zone, name);
    ngx_http_conduit_zone_unlock(zone);

    return key;
}


ngx_http_conduit_key_node_t *
ngx_http_conduit_key_node_locked(ngx_http_conduit_zone_t *zone,
    ngx_str_t *name)
{
    ngx_uint_t                    n;
    ngx_http_conduit_key_node_t  *key;

    if (name->len > NGX_HTTP_CONDUIT_NAME_LEN) {
        return NULL;
    }

    n = ngx_hash_key(name->data, name->len) & zone->sh->key_mask;

    for (key = zone->sh->key_hash[n]; key; key = key->next) {
        if (key->len == name->len
            && ngx_memcmp(key->name, name->data, name->len) == 0)
        {
            return key;
        }
    }

    key = ngx_slab_calloc_locked(zone->shpool,
                                 sizeof(ngx_http_conduit_key_node_t));
    if (key == NULL) {
        return NULL;
    }

    conduit_treap_init(&key->tasks);
    ngx_queue_init(&key->changes);
    ngx_queue_init(&key->hooks);
    ngx_queue_init(&key->origins);

    key->len = (u_short) name->len;
    ngx_memcpy(key->name, name->data, name->len);
    key->next = zone->sh->key_hash[n];

    ngx_memory_barrier();

    zone->sh->key_hash[n] = key;
    zone->sh->nkeys++;

    return key;
}


ngx_http_conduit_idem_node_t *
ngx_http_conduit_idem_find_locked(ngx_http_conduit_zone_t *zone,
    u_char *digest)
{
    uint32_t                       n;
    ngx_http_conduit_idem_node_t  *idem;

    ngx_http_conduit_idem_expire_locked(zone);

    ngx_memcpy(&n, digest, sizeof(uint32_t));

    idem = zone->sh->idem_hash[n & zone->sh->idem_mask];

    while (idem) {
        if (ngx_memcmp(idem->digest, digest, 32) == 0) {
            return idem;
        }

        idem = idem->next;
    }

    return NULL;
}


ngx_http_conduit_idem_node_t *
ngx_http_conduit_idem_insert_locked(ngx_http_conduit_zone_t *zone,
    u_char *digest, u_char *fingerprint, u_char *id)
{
    ngx_time_t                    *tp;
    ngx_queue_t                   *head;
    ngx_http_conduit_idem_node_t  *idem;

    idem = ngx_slab_calloc_locked(zone->shpool,
                                  sizeof(ngx_http_conduit_idem_node_t));
    if (idem == NULL) {
        return NULL;
    }

    ngx_memcpy(idem->digest, digest, 32);
    ngx_memcpy(idem->fingerprint, fingerprint, 32);
    ngx_memcpy(idem->id, id, NGX_HTTP_CONDUIT_ID_LEN);

    tp = ngx_timeofday();

    idem->expires = ngx_current_msec + NGX_HTTP_CONDUIT_IDEM_TIME;
    idem->until = (int64_t) tp->sec * 1000 + tp->msec
                  + NGX_HTTP_CONDUIT_IDEM_TIME;
    idem->owner = (u_char) zone->cell;

    ngx_http_conduit_idem_hash_locked(zone, idem);

    head = &zone->sh->idem_age;

    idem->age.next = head;
    idem->age.prev = head->prev;

    ngx_memory_barrier();

    head->prev->next = &idem->age;
    head->prev = &idem->age;

    return idem;
}


static void
ngx_http_conduit_idem_hash_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_idem_node_t *idem)
{
    uint32_t  n;

    ngx_memcpy(&n, idem->digest, sizeof(uint32_t));
    n &= zone->sh->idem_mask;

    idem->next = zone->sh->idem_hash[n];
    zone->sh->idem_hash[n] = idem;
    zone->sh->nidem++;
}


/* a part of the repair: all from the forward links */

void
ngx_http_conduit_idem_relink_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_queue_t            *q, *prev;
    ngx_http_conduit_sh_t  *sh;

    sh = zone->sh;
    prev = &sh->idem_age;

    ngx_memzero(sh->idem_hash, (sh->idem_mask + 1) * sizeof(void *));
    sh->nidem = 0;

    for (q = prev->next; q != &sh->idem_age; q = q->next) {
        q->prev = prev;
        prev = q;

        ngx_http_conduit_idem_hash_locked(zone,
                      ngx_queue_data(q, ngx_http_conduit_idem_node_t, age));
    }

    sh->idem_age.prev = prev;
}


void
ngx_http_conduit_idem_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_idem_node_t *idem)
{
    uint32_t                        n;
    ngx_http_conduit_idem_node_t  **p;

    ngx_memcpy(&n, idem->digest, sizeof(uint32_t));

    p = &zone->sh->idem_hash[n & zone->sh->idem_mask];

    for ( /* void */ ; *p; p = &(*p)->next) {
        if (*p == idem) {
            *p = idem->next;
            break;
        }
    }

    ngx_queue_remove(&idem->age);
    zone->sh->nidem--;

    ngx_http_conduit_text_free_locked(zone, &idem->reply);
    ngx_slab_free_locked(zone->shpool, idem);
}


/* a few at a time, so that no request pays for a day's records */

static void
ngx_http_conduit_idem_expire_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_conduit_idem_node_t  *idem;

    for (i = 0; i < 3; i++) {

        if (ngx_queue_empty(&zone->sh->idem_age)) {
            return;
        }

        q = ngx_queue_head(&zone->sh->idem_age);
        idem = ngx_queue_data(q, ngx_http_conduit_idem_node_t, age);

        if ((ngx_msec_int_t) (idem->expires - ngx_current_msec) > 0) {
            return;
        }

        ngx_http_conduit_idem_free_locked(zone, idem);
    }
}
