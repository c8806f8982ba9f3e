
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


#define NGX_HTTP_CONDUIT_CHUNK_SMALL  256
#define NGX_HTTP_CONDUIT_CHUNK_LARGE  2048
#define NGX_HTTP_CONDUIT_CHUNK_HEAD   offsetof(ngx_http_conduit_chunk_t, data)


static void ngx_http_conduit_chunks_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_chunk_t *chunk);


ngx_int_t
ngx_http_conduit_text_set_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, u_char *data, size_t len)
{
    u_char                     *start;
    size_t                      size, n, whole;
    ngx_http_conduit_text_t     new;
    ngx_http_conduit_chunk_t   *chunk, **last;

    size = (len > NGX_HTTP_CONDUIT_CHUNK_LARGE) ? NGX_HTTP_CONDUIT_CHUNK_LARGE
                                                : NGX_HTTP_CONDUIT_CHUNK_SMALL;

    start = data;
    whole = len;

    new.first = NULL;
    new.len = (uint32_t) len;
    new.room = (uint32_t) (size - NGX_HTTP_CONDUIT_CHUNK_HEAD);

    last = &new.first;

    while (len) {
        chunk = ngx_slab_alloc_locked(zone->shpool, size);

        if (chunk == NULL) {
            ngx_http_conduit_chunks_free_locked(zone, new.first);
            goto full;
        }

        n = ngx_min(len, new.room);
        ngx_memcpy(chunk->data, data, n);
        chunk->next = NULL;

        data += n;
        len -= n;

        *last = chunk;
        last = &chunk->next;
    }

    chunk = text->first;
    *text = new;

    ngx_http_conduit_chunks_free_locked(zone, chunk);

    return NGX_OK;

full:

    /* a full zone has room for what fits in the place of the old text */

    len = whole;

    if (text->room == 0 || text->len == 0
        || (len + text->room - 1) / text->room
           > (text->len + text->room - 1) / text->room)
    {
        return NGX_ERROR;
    }

    ngx_http_conduit_text_shrink_locked(text, start, len);

    return NGX_OK;
}


void
ngx_http_conduit_text_shrink_locked(ngx_http_conduit_text_t *text,
    u_char *data, size_t len)
{
    size_t                     n;
    ngx_http_conduit_chunk_t  *chunk;

    text->len = (uint32_t) len;

    for (chunk = text->first; chunk && len; chunk = chunk->next) {
        n = ngx_min(len, text->room);
        ngx_memcpy(chunk->data, data, n);

        data += n;
        len -= n;
    }
}


void
ngx_http_conduit_text_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text)
{
    ngx_http_conduit_chunk_t  *chunk;

    chunk = text->first;

    text->first = NULL;
    text->len = 0;

    ngx_http_conduit_chunks_free_locked(zone, chunk);
}


static void
ngx_http_conduit_chunks_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_chunk_t *chunk)
{
    ngx_http_conduit_chunk_t  *next;

    while (chunk) {
        next = chunk->next;
        ngx_slab_free_locked(zone->shpool, chunk);
        chunk = next;
    }
}


u_char *
ngx_http_conduit_text_copy_locked(ngx_http_conduit_text_t *text, u_char *dst)
{
    return ngx_http_conduit_text_slice_locked(text, dst, 0, text->len);
}


u_char *
ngx_http_conduit_text_slice_locked(ngx_http_conduit_text_t *text, u_char *dst,
    size_t off, size_t len)
{
    u_char                    *next;
    size_t                     n;
    ngx_http_conduit_chunk_t  *chunk;

    for (chunk = text->first; chunk && len; chunk = chunk->next) {

        if (off >= text->room) {
            off -= text->room;
            continue;
        }

        n = ngx_min(len, text->room - off);

        /* the next chunk comes from memory while this one is copied */

        if (len > n) {
            next = (u_char *) chunk->next;

            __builtin_prefetch(next);
            __builtin_prefetch(next + 64);
            __builtin_prefetch(next + 128);
            __builtin_prefetch(next + 192);
        }

        dst = ngx_cpymem(dst, chunk->data + off, n);

        len -= n;
        off = 0;
    }

    return dst;
}
