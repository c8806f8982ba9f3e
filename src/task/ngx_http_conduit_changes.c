
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>
#include <conduit_request.h>


/*
 * Tasks that are looked through for copies that go on, and for what was told of
 * them; a client is told again of what is not found.
 */

#define NGX_HTTP_CONDUIT_TOLD_WALK  4096

/*
 * Other hosts may hear of an end so late, ms: it was kept no sooner.  What is
 * older has been read by a host that did not follow the key.
 */

#define NGX_HTTP_CONDUIT_TOLD_LATE  30000


static uint64_t ngx_http_conduit_changes_stamp_locked(
    ngx_http_conduit_zone_t *zone, int64_t since);
static ngx_queue_t *ngx_http_conduit_changes_behind_locked(
    ngx_http_conduit_key_node_t *key, uint64_t seen);


ngx_uint_t
ngx_http_conduit_task_exists(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_name_t *name)
{
    ngx_uint_t                     found;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, name->id);

    found = (node && node->key == name->key
             && (name->kind == NGX_HTTP_CONDUIT_ANY
                 || node->kind == name->kind));

    ngx_http_conduit_zone_unlock(zone);

    return found;
}


ngx_uint_t
ngx_http_conduit_task_changes(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, uint64_t seen,
    ngx_http_conduit_changed_t *changed, ngx_uint_t n)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;
    head = &key->changes;

    ngx_http_conduit_zone_lock(zone);

    q = ngx_http_conduit_changes_behind_locked(key, seen);

    for (i = 0; i < n && q != head; i++, q = ngx_queue_next(q)) {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        ngx_memcpy(changed[i].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
        changed[i].stamp = node->stamp;
    }

    ngx_http_conduit_zone_unlock(zone);

    return i;
}


ngx_uint_t
ngx_http_conduit_task_unfinished(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_http_conduit_changed_t *changed,
    ngx_uint_t n, uint64_t *stamp)
{
    ngx_uint_t                     i, walked;
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    i = 0;
    walked = 0;
    zone = &cdmcf->zone;
    head = &key->changes;

    ngx_http_conduit_zone_lock(zone);

    *stamp = zone->sh->stamp;

    for (q = ngx_queue_last(head);
         q != head && i < n;
         q = ngx_queue_prev(q))
    {
        /* own ones are counted, copies are not */

        if (i >= key->live
            && (!zone->sh->shared || walked == NGX_HTTP_CONDUIT_TOLD_WALK))
        {
            break;
        }

        walked++;
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        if (node->status <= CONDUIT_PROCESSING) {
            ngx_memcpy(changed[i].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            changed[i++].stamp = node->stamp;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return i;
}


ngx_uint_t
ngx_http_conduit_task_own(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, ngx_msec_t age,
    ngx_http_conduit_changed_t *changed, ngx_uint_t n)
{
    uint64_t                       stamp;
    ngx_uint_t                     i;
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    i = 0;
    zone = &cdmcf->zone;
    head = &key->changes;

    ngx_http_conduit_zone_lock(zone);

    stamp = ngx_http_conduit_node_stamp_locked(zone, ngx_current_msec - age);

    for (q = ngx_queue_last(head); q != head && i < n; q = ngx_queue_prev(q)) {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        if (node->stamp <= stamp) {
            break;
        }

        if (!node->remote) {
            ngx_memcpy(changed[i].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            changed[i++].stamp = node->stamp;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return i;
}


ngx_uint_t
ngx_http_conduit_task_told(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, uint64_t seen, int64_t *since,
    conduit_session_sub_t *told, ngx_uint_t n)
{
    ngx_uint_t                     i, walked;
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    i = 0;
    walked = 0;
    zone = &cdmcf->zone;
    head = &key->changes;

    ngx_http_conduit_zone_lock(zone);

    for (q = ngx_queue_last(head);
         q != head && i < n && walked < NGX_HTTP_CONDUIT_TOLD_WALK;
         q = ngx_queue_prev(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        if (node->stamp > seen) {

            if (node->updated < *since) {
                *since = node->updated;
            }

            if (node->begun == 0 || node->begun > seen) {
                continue;
            }

        } else {
            walked++;

            if (node->updated < *since - NGX_HTTP_CONDUIT_TOLD_LATE) {
                continue;
            }
        }

        ngx_memcpy(told[i].task, node->id, NGX_HTTP_CONDUIT_ID_LEN);
        told[i].sequence = (node->stamp > seen) ? 0 : node->sequence;
        told[i].told = (node->begun && node->begun <= seen)
                       ? CONDUIT_HOOK_STARTED : 0;
        told[i].events = 0;

        i++;
    }

    ngx_http_conduit_zone_unlock(zone);

    return i;
}


ngx_uint_t
ngx_http_conduit_task_unheard(ngx_http_conduit_main_conf_t *cdmcf,
    conduit_session_sub_t *told, ngx_uint_t n)
{
    ngx_uint_t                     i, left;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    left = 0;
    zone = &cdmcf->zone;

    ngx_http_conduit_zone_lock(zone);

    for (i = 0; i < n; i++) {
        node = ngx_http_conduit_node_find_locked(zone, told[i].task);

        if (node == NULL || node->sequence < told[i].sequence
            || (told[i].told && node->begun == 0))
        {
            told[left++] = told[i];
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return left;
}


ngx_uint_t
ngx_http_conduit_task_since(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_http_conduit_key_node_t *key, uint64_t seen, int64_t since,
    ngx_http_conduit_changed_t *changed, ngx_uint_t n, uint64_t *stamp)
{
    uint64_t                       late;
    ngx_uint_t                     i;
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    i = 0;
    zone = &cdmcf->zone;
    head = &key->changes;

    ngx_http_conduit_zone_lock(zone);

    *stamp = zone->sh->stamp;
    late = ngx_http_conduit_changes_stamp_locked(zone, since);

    for (q = ngx_http_conduit_changes_behind_locked(key, seen);
         q != head && i < n;
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        if (node->updated >= since
            || (node->stamp > late
                && node->updated >= since - NGX_HTTP_CONDUIT_TOLD_LATE))
        {
            ngx_memcpy(changed[i].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            changed[i++].stamp = node->stamp;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return i;
}


/* what this host has heard of since that time has a higher one */

static uint64_t
ngx_http_conduit_changes_stamp_locked(ngx_http_conduit_zone_t *zone,
    int64_t since)
{
    int64_t      age;
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    age = (int64_t) tp->sec * 1000 + tp->msec - since;
    age = ngx_min(ngx_max(age, 0),
                  NGX_HTTP_CONDUIT_STAMPS * NGX_HTTP_CONDUIT_STAMP_SPAN);

    return ngx_http_conduit_node_stamp_locked(zone,
                                         ngx_current_msec - (ngx_msec_t) age);
}


/* the first one that has changed since, or the list's head */

static ngx_queue_t *
ngx_http_conduit_changes_behind_locked(ngx_http_conduit_key_node_t *key,
    uint64_t seen)
{
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_task_node_t  *node;

    head = &key->changes;

    for (q = ngx_queue_last(head); q != head; q = ngx_queue_prev(q)) {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        if (node->stamp <= seen) {
            break;
        }
    }

    return ngx_queue_next(q);
}
