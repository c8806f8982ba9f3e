
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_advance.h>


/* Changes: their begin, and those that outlive whoever has made them. */


static ngx_int_t ngx_http_conduit_change_text(ngx_pool_t *pool,
    ngx_str_t *text);


void
ngx_http_conduit_change_init(ngx_http_conduit_change_t *change)
{
    ngx_memzero(change, sizeof(ngx_http_conduit_change_t));

    change->progress = -1;
    change->eta = -1;
}


void
ngx_http_conduit_change_task(ngx_http_conduit_change_t *change, u_char *id,
    uint64_t lease)
{
    ngx_http_conduit_change_init(change);

    ngx_memcpy(change->name.id, id, NGX_HTTP_CONDUIT_ID_LEN);

    change->name.kind = NGX_HTTP_CONDUIT_ANY;
    change->lease = lease;
}


ngx_int_t
ngx_http_conduit_change_copy(ngx_pool_t *pool,
    ngx_http_conduit_change_t *change)
{
    ngx_str_t                  *run;
    ngx_uint_t                  i;
    ngx_http_conduit_result_t  *results;

    if (ngx_http_conduit_change_text(pool, &change->message) != NGX_OK
        || ngx_http_conduit_change_text(pool, &change->error) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (change->run) {
        run = ngx_palloc(pool, sizeof(ngx_str_t));
        if (run == NULL) {
            return NGX_ERROR;
        }

        *run = *change->run;
        change->run = run;

        if (ngx_http_conduit_change_text(pool, run) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (change->nresults == 0) {
        return NGX_OK;
    }

    results = ngx_palloc(pool, change->nresults
                               * sizeof(ngx_http_conduit_result_t));
    if (results == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < change->nresults; i++) {
        results[i] = change->results[i];

        if (ngx_http_conduit_change_text(pool, &results[i].url) != NGX_OK
            || ngx_http_conduit_change_text(pool, &results[i].b64) != NGX_OK
            || ngx_http_conduit_change_text(pool, &results[i].mime) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    change->results = results;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_change_text(ngx_pool_t *pool, ngx_str_t *text)
{
    u_char  *p;

    if (text->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, text->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text->data, text->len);
    text->data = p;

    return NGX_OK;
}


void
ngx_http_conduit_outcome_detach(ngx_http_conduit_outcome_t *outcome)
{
    if (outcome->place) {
        *outcome->place = NULL;
        outcome->place = NULL;
    }
}


/* gives the ticket back; the change has not been made */

void
ngx_http_conduit_task_release(ngx_http_conduit_main_conf_t *cdmcf, u_char *id,
    uint64_t ticket)
{
    ngx_http_conduit_news_t        news;
    ngx_http_conduit_zone_t       *zone;
    ngx_http_conduit_task_node_t  *node;

    zone = &cdmcf->zone;

    ngx_memzero(&news, sizeof(ngx_http_conduit_news_t));

    ngx_http_conduit_zone_lock(zone);

    node = ngx_http_conduit_node_find_locked(zone, id);

    if (node && node->ticket == ticket) {
        ngx_http_conduit_node_unmark_locked(zone, node);

        if (node->awaited) {
            (void) ngx_http_conduit_cell_ring_locked(zone, &node->watchers,
                                                     id, &news.wake);
        }
    }

    ngx_http_conduit_zone_unlock(zone);

    ngx_http_conduit_news_spread(cdmcf->engine, id, &news);
}
