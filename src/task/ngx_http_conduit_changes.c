
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_engine.h>


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

    for (q = ngx_queue_last(head); q != head; q = ngx_queue_prev(q)) {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        if (node->stamp <= seen) {
            break;
        }
    }

    q = ngx_queue_next(q);

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
    ngx_uint_t                     i;
    ngx_queue_t                   *q, *head;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    i = 0;
    zone = &cdmcf->zone;
    head = &key->changes;

    ngx_http_conduit_zone_lock(zone);

    *stamp = zone->sh->stamp;

    for (q = ngx_queue_last(head);
         q != head && i < n && i < key->live;
         q = ngx_queue_prev(q))
    {
        node = ngx_queue_data(q, ngx_http_conduit_task_node_t, changed);

        if (node->status <= CONDUIT_PROCESSING) {
            ngx_memcpy(changed[i].id, node->id, NGX_HTTP_CONDUIT_ID_LEN);
            changed[i++].stamp = node->stamp;
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    return i;
}
