
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>
#include <ngx_http_conduit_store.h>


/* Replies kept for their Idempotency-Keys. */


typedef struct {
    ngx_http_conduit_outcome_t       *outcome;     /* NULL: nobody */
} ngx_http_conduit_settling_t;


static ngx_uint_t ngx_http_conduit_replay_lost_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_idem_node_t *idem);
static ngx_int_t ngx_http_conduit_idem_settle(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_record_t *record,
    ngx_http_conduit_outcome_t *outcome);
static void ngx_http_conduit_idem_settled(void *data, ngx_int_t rc);


ngx_int_t
ngx_http_conduit_replay(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_create_t *create)
{
    size_t                         len, size;
    ngx_int_t                      rc;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;
    size = 0;

    for ( ;; ) {
        len = 0;
        rc = NGX_DECLINED;

        ngx_http_conduit_zone_lock(zone);

        idem = ngx_http_conduit_idem_find_locked(zone, create->digest);

        if (idem && ngx_http_conduit_replay_lost_locked(zone, idem)) {
            ngx_http_conduit_idem_free_locked(zone, idem);
            idem = NULL;
        }

        if (idem) {
            ngx_memcpy(create->id, idem->id, NGX_HTTP_CONDUIT_ID_LEN);
            create->code = idem->code;
            len = idem->reply.len;

            if (ngx_memcmp(idem->fingerprint, create->fingerprint, 32) != 0) {
                rc = NGX_HTTP_CONDUIT_MISMATCH;

            } else if (idem->code == 0
                       && idem->owner != NGX_HTTP_CONDUIT_NOBODY)
            {
                rc = NGX_HTTP_CONDUIT_IN_PROGRESS;

            } else {
                rc = NGX_HTTP_CONDUIT_REPLAY;

                if (idem->code == 0) {
                    idem->owner = (u_char) zone->cell;
                    len = 0;

                } else if (len <= size) {
                    ngx_http_conduit_text_copy_locked(&idem->reply,
                                                      create->reply.data);
                }
            }
        }

        ngx_http_conduit_zone_unlock(zone);

        create->reply.len = len;

        if (rc != NGX_HTTP_CONDUIT_REPLAY || len <= size) {
            return rc;
        }

        size = len;

        create->reply.data = ngx_pnalloc(create->pool, size);
        if (create->reply.data == NULL) {
            return NGX_ERROR;
        }
    }
}


/* a create that has come to nothing with its process, or ended long ago */

static ngx_uint_t
ngx_http_conduit_replay_lost_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_idem_node_t *idem)
{
    return idem->code == 0
           && idem->owner == NGX_HTTP_CONDUIT_NOBODY
           && ngx_http_conduit_node_find_locked(zone, idem->id) == NULL;
}


ngx_int_t
ngx_http_conduit_task_keep_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest, ngx_uint_t code, ngx_str_t *reply,
    ngx_http_conduit_outcome_t *outcome)
{
    u_char                         fingerprint[32];
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_record_t      record;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;

    ngx_memzero(&record, sizeof(ngx_http_conduit_record_t));

    record.create = 1;
    record.settled = 1;
    record.digest = digest;
    record.fingerprint = fingerprint;
    record.code = code;
    record.reply = *reply;

    ngx_http_conduit_zone_lock(zone);

    idem = ngx_http_conduit_idem_find_locked(zone, digest);

    if (idem && idem->code == 0) {

        if (ngx_http_conduit_text_set_locked(zone, &idem->reply, reply->data,
                                             reply->len)
            == NGX_OK)
        {
            idem->code = (u_short) code;

            ngx_memcpy(record.id, idem->id, NGX_HTTP_CONDUIT_ID_LEN);
            ngx_memcpy(fingerprint, idem->fingerprint, sizeof(fingerprint));
            record.until = idem->until;

        } else {

            /* whoever repeats the request waits for the same task */

            idem->owner = NGX_HTTP_CONDUIT_NOBODY;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return ngx_http_conduit_idem_settle(cdmcf, &record, outcome);
}


void
ngx_http_conduit_task_release_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest)
{
    ngx_str_t                      nothing;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_store_t      *store;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;
    store = cdmcf->store;

    ngx_http_conduit_zone_lock(zone);

    idem = ngx_http_conduit_idem_find_locked(zone, digest);

    if (idem && idem->code == 0) {
        idem->owner = NGX_HTTP_CONDUIT_NOBODY;
    }

    ngx_http_conduit_zone_unlock(zone);

    if (store->settle) {
        ngx_str_null(&nothing);
        (void) store->settle(store, digest, 0, &nothing, NULL, NULL);
    }
}


ngx_int_t
ngx_http_conduit_task_drop_reply(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *digest, ngx_http_conduit_outcome_t *outcome)
{
    int64_t                        until;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_record_t      record;
    ngx_http_conduit_idem_node_t  *idem;

    zone = &cdmcf->zone;
    until = 0;

    ngx_memzero(&record, sizeof(ngx_http_conduit_record_t));

    record.digest = digest;

    ngx_http_conduit_zone_lock(zone);

    idem = ngx_http_conduit_idem_find_locked(zone, digest);

    if (idem && idem->code == 0) {
        until = idem->until;
        ngx_http_conduit_idem_free_locked(zone, idem);
    }

    ngx_http_conduit_zone_unlock(zone);

    /* the create may have been another host's, of which the zone has nothing */

    if (cdmcf->store->settle == NULL && until) {
        cdmcf->store->release(cdmcf->store, digest, until);
    }

    return ngx_http_conduit_idem_settle(cdmcf, &record, outcome);
}


/*
 * A reply that a client has seen is that of all hosts, and is there after a
 * restart, also when its task is not any more.  One that cannot be kept has
 * been made all the same.
 */

static ngx_int_t
ngx_http_conduit_idem_settle(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_record_t *record, ngx_http_conduit_outcome_t *outcome)
{
    ngx_int_t                     rc;
    ngx_http_conduit_store_t     *store;
    ngx_http_conduit_settling_t  *settling;

    store = cdmcf->store;

    if (store->settle == NULL
        && (!store->durable || record->until == 0
            || cdmcf->task_ttl >= NGX_HTTP_CONDUIT_IDEM_TIME))
    {
        return NGX_OK;
    }

    settling = ngx_alloc(sizeof(ngx_http_conduit_settling_t),
                         cdmcf->engine->log);
    if (settling == NULL) {
        return NGX_OK;
    }

    settling->outcome = outcome;

    rc = store->settle
         ? store->settle(store, record->digest, record->code,
                         record->settled ? &record->reply : NULL,
                         ngx_http_conduit_idem_settled, settling)
         : store->commit(store, record, ngx_http_conduit_idem_settled,
                         settling);

    if (rc != NGX_AGAIN) {
        ngx_free(settling);
        return NGX_OK;
    }

    outcome->place = &settling->outcome;

    return NGX_AGAIN;
}


static void
ngx_http_conduit_idem_settled(void *data, ngx_int_t rc)
{
    ngx_http_conduit_settling_t  *settling = data;

    ngx_http_conduit_outcome_t  *outcome;

    outcome = settling->outcome;

    ngx_free(settling);

    if (outcome) {
        outcome->place = NULL;
        outcome->handler(outcome->data, rc);
    }
}
