
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


/*
 * Waiting tasks, first come first served and fair between keys: a task is
 * tagged with the turn in which its key gets its next place (start-time fair
 * queueing with equal shares), so that a key with many waiting tasks delays
 * another one's by one task, not by all of them.
 */


static ngx_int_t ngx_http_conduit_provider_find_locked(
    ngx_http_conduit_zone_t *zone, ngx_str_t *name);
static uint64_t ngx_http_conduit_lane_tag_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node);


ngx_int_t
ngx_http_conduit_provider_index(ngx_http_conduit_zone_t *zone,
    ngx_str_t *name)
{
    ngx_int_t                          n;
    ngx_http_conduit_provider_node_t  *provider;

    if (name->len > NGX_HTTP_CONDUIT_NAME_LEN) {
        return NGX_ERROR;
    }

    ngx_http_conduit_zone_lock(zone);

    n = ngx_http_conduit_provider_find_locked(zone, name);

    if (n == NGX_ERROR
        && zone->sh->nproviders < NGX_HTTP_CONDUIT_PROVIDERS)
    {
        n = zone->sh->nproviders;
        provider = &zone->sh->providers[n];

        ngx_memzero(provider, sizeof(ngx_http_conduit_provider_node_t));
        ngx_memcpy(provider->name, name->data, name->len);
        provider->len = (u_short) name->len;

        ngx_memory_barrier();

        zone->sh->nproviders++;
    }

    ngx_http_conduit_zone_unlock(zone);

    return n;
}


static ngx_int_t
ngx_http_conduit_provider_find_locked(ngx_http_conduit_zone_t *zone,
    ngx_str_t *name)
{
    ngx_uint_t                         i;
    ngx_http_conduit_provider_node_t  *provider;

    for (i = 0; i < zone->sh->nproviders; i++) {
        provider = &zone->sh->providers[i];

        if (provider->len == name->len
            && ngx_memcmp(provider->name, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_http_conduit_lane_t *
ngx_http_conduit_lane(ngx_http_conduit_zone_t *zone, ngx_uint_t provider,
    ngx_str_t *model)
{
    u_char                            *name;
    ngx_http_conduit_lane_t           *lane;
    ngx_http_conduit_provider_node_t  *pn;

    if (model->len > NGX_HTTP_CONDUIT_NAME_LEN) {
        return NULL;
    }

    /* the only lane of a provider has no model, and its name no bytes */

    name = model->len ? model->data : (u_char *) "";

    ngx_http_conduit_zone_lock(zone);

    pn = &zone->sh->providers[provider];

    for (lane = pn->lanes; lane; lane = lane->next) {
        if (lane->len == model->len
            && ngx_memcmp(lane->model, name, model->len) == 0)
        {
            goto done;
        }
    }

    lane = ngx_slab_calloc_locked(zone->shpool,
                                  sizeof(ngx_http_conduit_lane_t));
    if (lane == NULL) {
        goto done;
    }

    lane->provider = (u_char) provider;
    lane->len = (u_char) model->len;
    ngx_memcpy(lane->model, name, model->len);
    lane->next = pn->lanes;

    ngx_memory_barrier();

    pn->lanes = lane;

done:

    ngx_http_conduit_zone_unlock(zone);

    return lane;
}


/* a task that comes back after it has left the lane keeps its old place */

void
ngx_http_conduit_lane_push_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    if (node->queued) {
        return;
    }

    if (node->rank.seq == 0) {
        node->rank.tag = ngx_http_conduit_lane_tag_locked(zone, node);
        node->rank.seq = ++zone->sh->seq;
        node->rank.prio = (uint32_t) (node->rank.seq * 0x9e3779b97f4a7c15ull
                                      >> 32);
    }

    conduit_rank_insert(&node->lane->queue, &node->rank);

    node->queued = 1;
    zone->sh->providers[node->lane->provider].waiting++;
}


void
ngx_http_conduit_lane_remove_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_provider_node_t  *provider;

    if (!node->queued) {
        return;
    }

    provider = &zone->sh->providers[node->lane->provider];

    node->queued = 0;
    provider->waiting--;

    if (provider->vtime < node->rank.tag) {
        provider->vtime = node->rank.tag;
    }

    conduit_rank_delete(&node->lane->queue, &node->rank);
}


/* counts from 1 over all lanes of the provider */

ngx_uint_t
ngx_http_conduit_lane_position_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_uint_t                n;
    ngx_http_conduit_lane_t  *lane;

    n = 1;

    for (lane = zone->sh->providers[node->lane->provider].lanes;
         lane;
         lane = lane->next)
    {
        n += conduit_rank_before(&lane->queue, node->rank.tag,
                                 node->rank.seq);
    }

    return n;
}


static uint64_t
ngx_http_conduit_lane_tag_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    uint64_t                      tag;
    ngx_uint_t                    n;
    ngx_http_conduit_key_node_t  *key;

    n = node->lane->provider;
    key = node->key;
    tag = zone->sh->providers[n].vtime;

    if (key->tags == NULL) {
        key->tags = ngx_slab_calloc_locked(zone->shpool,
                                           NGX_HTTP_CONDUIT_PROVIDERS
                                           * sizeof(uint64_t));
        if (key->tags == NULL) {

            /* no memory for turns: first come, first served */

            return tag + 1;
        }
    }

    if (key->tags[n] > tag) {
        tag = key->tags[n];
    }

    key->tags[n] = ++tag;

    return tag;
}
