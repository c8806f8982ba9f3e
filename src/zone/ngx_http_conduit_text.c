
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


#define NGX_HTTP_CONDUIT_CHUNK_SMALL  256
#define NGX_HTTP_CONDUIT_CHUNK_LARGE  2048
#define NGX_HTTP_CONDUIT_CHUNK_HEAD   offsetof(ngx_http_conduit_chunk_t, data)


static ngx_uint_t ngx_http_conduit_text_fits(ngx_http_conduit_text_t *text,
    size_t len);
static ngx_int_t ngx_http_conduit_chunks_alloc_locked(
    ngx_http_conduit_zone_t *zone, ngx_http_conduit_text_t *text,
    u_char *data, size_t len, size_t size);
static void ngx_http_conduit_chunks_free_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_chunk_t *chunk);


ngx_int_t
ngx_http_conduit_text_set_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, u_char *data, size_t len)
{
    size_t                     size;
    ngx_http_conduit_text_t    new;
    ngx_http_conduit_chunk_t  *chunk;

    size = (len > NGX_HTTP_CONDUIT_CHUNK_LARGE) ? NGX_HTTP_CONDUIT_CHUNK_LARGE
                                                : NGX_HTTP_CONDUIT_CHUNK_SMALL;

    if (ngx_http_conduit_chunks_alloc_locked(zone, &new, data, len, size)
        != NGX_OK)
    {
        goto full;
    }

    chunk = text->first;
    *text = new;

    ngx_http_conduit_chunks_free_locked(zone, chunk);

    return NGX_OK;

full:

    /* a full zone has room for what fits in the place of the old text */

    if (!ngx_http_conduit_text_fits(text, len)) {
        return NGX_ERROR;
    }

    ngx_http_conduit_text_shrink_locked(text, data, len);

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_text_append_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, u_char *data, size_t len)
{
    size_t                     n, used;
    ngx_http_conduit_text_t    more;
    ngx_http_conduit_chunk_t  *chunk;

    if (text->first == NULL) {
        return ngx_http_conduit_text_set_locked(zone, text, data, len);
    }

    /* what fits in the last chunk; the rest is a text of equal chunks */

    used = text->len % text->room;
    n = used ? ngx_min(len, text->room - used) : 0;

    more.first = NULL;

    if (ngx_http_conduit_chunks_alloc_locked(zone, &more, data + n, len - n,
                                    text->room + NGX_HTTP_CONDUIT_CHUNK_HEAD)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (chunk = text->first; chunk->next; chunk = chunk->next) {
        /* void */
    }

    ngx_memcpy(chunk->data + used, data, n);
    chunk->next = more.first;

    text->len += (uint32_t) len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_chunks_alloc_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, u_char *data, size_t len, size_t size)
{
    size_t                      n;
    ngx_http_conduit_chunk_t   *chunk, **last;

    text->first = NULL;
    text->len = (uint32_t) len;
    text->room = (uint32_t) (size - NGX_HTTP_CONDUIT_CHUNK_HEAD);

    last = &text->first;

    while (len) {
        chunk = ngx_slab_alloc_locked(zone->shpool, size);

        if (chunk == NULL) {
            ngx_http_conduit_chunks_free_locked(zone, text->first);
            return NGX_ERROR;
        }

        n = ngx_min(len, text->room);
        ngx_memcpy(chunk->data, data, n);
        chunk->next = NULL;

        data += n;
        len -= n;

        *last = chunk;
        last = &chunk->next;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_text_reserve_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, ngx_http_conduit_text_t *fresh,
    u_char *data, size_t len)
{
    if (ngx_http_conduit_text_set_locked(zone, fresh, data, len) == NGX_OK) {
        return NGX_OK;
    }

    return ngx_http_conduit_text_fits(text, len) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_conduit_text_replace_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_text_t *text, ngx_http_conduit_text_t *fresh)
{
    ngx_http_conduit_chunk_t  *chunk;

    chunk = text->first;
    *text = *fresh;

    ngx_memzero(fresh, sizeof(ngx_http_conduit_text_t));

    ngx_http_conduit_chunks_free_locked(zone, chunk);
}


static ngx_uint_t
ngx_http_conduit_text_fits(ngx_http_conduit_text_t *text, size_t len)
{
    return text->room && text->len
           && (len + text->room - 1) / text->room
              <= (text->len + text->room - 1) / text->room;
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
    ngx_http_conduit_undo_t   *undo;
    ngx_http_conduit_chunk_t  *next;

    undo = &zone->sh->undo;

    if (undo->task && chunk && undo->ntexts < NGX_HTTP_CONDUIT_UNDO_TEXTS) {
        undo->texts[undo->ntexts++] = chunk;
        return;
    }

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
