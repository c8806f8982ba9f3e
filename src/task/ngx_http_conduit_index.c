
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_index.h>


#define NGX_HTTP_CONDUIT_INDEX_SLOTS  64


static ngx_http_conduit_entry_t **ngx_http_conduit_index_slot(
    ngx_http_conduit_index_t *index, const u_char *id);
static void ngx_http_conduit_index_grow(ngx_http_conduit_index_t *index);


ngx_int_t
ngx_http_conduit_index_init(ngx_http_conduit_index_t *index, ngx_log_t *log)
{
    index->slots = ngx_calloc(NGX_HTTP_CONDUIT_INDEX_SLOTS
                              * sizeof(ngx_http_conduit_entry_t *), log);
    if (index->slots == NULL) {
        return NGX_ERROR;
    }

    index->mask = NGX_HTTP_CONDUIT_INDEX_SLOTS - 1;
    index->n = 0;
    index->log = log;

    return NGX_OK;
}


ngx_http_conduit_entry_t *
ngx_http_conduit_index_find(ngx_http_conduit_index_t *index, const u_char *id)
{
    ngx_http_conduit_entry_t  *entry;

    entry = *ngx_http_conduit_index_slot(index, id);

    for ( /* void */ ; entry; entry = entry->next) {
        if (ngx_memcmp(entry->id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0) {
            return entry;
        }
    }

    return NULL;
}


ngx_http_conduit_entry_t *
ngx_http_conduit_index_next(ngx_http_conduit_entry_t *entry)
{
    u_char  *id;

    id = entry->id;

    for (entry = entry->next; entry; entry = entry->next) {
        if (ngx_memcmp(entry->id, id, NGX_HTTP_CONDUIT_ID_LEN) == 0) {
            return entry;
        }
    }

    return NULL;
}


void
ngx_http_conduit_index_ahead(ngx_http_conduit_index_t *index,
    const u_char *id)
{
    __builtin_prefetch(ngx_http_conduit_index_slot(index, id));
}


void
ngx_http_conduit_index_ahead_entry(ngx_http_conduit_index_t *index,
    const u_char *id)
{
    u_char  *entry;

    entry = (u_char *) *ngx_http_conduit_index_slot(index, id);

    if (entry) {
        __builtin_prefetch(entry);
        __builtin_prefetch(entry + 64);
    }
}


void
ngx_http_conduit_index_add(ngx_http_conduit_index_t *index,
    ngx_http_conduit_entry_t *entry)
{
    ngx_http_conduit_entry_t  **slot;

    if (index->n > index->mask) {
        ngx_http_conduit_index_grow(index);
    }

    slot = ngx_http_conduit_index_slot(index, entry->id);

    entry->next = *slot;
    *slot = entry;
    index->n++;
}


void
ngx_http_conduit_index_remove(ngx_http_conduit_index_t *index,
    ngx_http_conduit_entry_t *entry)
{
    ngx_http_conduit_entry_t  **p;

    for (p = ngx_http_conduit_index_slot(index, entry->id);
         *p;
         p = &(*p)->next)
    {
        if (*p == entry) {
            *p = entry->next;
            index->n--;
            return;
        }
    }
}


void
ngx_http_conduit_index_walk(ngx_http_conduit_index_t *index,
    ngx_http_conduit_index_pt handler, void *data)
{
    ngx_uint_t                 i;
    ngx_http_conduit_entry_t  *entry;

    for (i = 0; i <= index->mask; i++) {
        for (entry = index->slots[i]; entry; entry = entry->next) {
            handler(data, entry);
        }
    }
}


static ngx_http_conduit_entry_t **
ngx_http_conduit_index_slot(ngx_http_conduit_index_t *index, const u_char *id)
{
    uint64_t  n;

    ngx_memcpy(&n, id, sizeof(uint64_t));

    return &index->slots[n & index->mask];
}


/* without the memory for it all is as it was, only slower */

static void
ngx_http_conduit_index_grow(ngx_http_conduit_index_t *index)
{
    ngx_uint_t                  i, mask;
    ngx_http_conduit_entry_t   *entry, *next, **slot, **old;

    old = index->slots;
    mask = index->mask;

    slot = ngx_calloc(2 * (mask + 1) * sizeof(ngx_http_conduit_entry_t *),
                      index->log);
    if (slot == NULL) {
        return;
    }

    index->slots = slot;
    index->mask = 2 * mask + 1;

    for (i = 0; i <= mask; i++) {
        for (entry = old[i]; entry; entry = next) {
            next = entry->next;

            slot = ngx_http_conduit_index_slot(index, entry->id);
            entry->next = *slot;
            *slot = entry;
        }
    }

    ngx_free(old);
}
