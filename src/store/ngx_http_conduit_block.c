
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_block.h>
#include <zlib.h>


#define NGX_HTTP_CONDUIT_BLOCK_MAX   (1024 * 1024 * 1024)

/* values that LMDB puts into pages of their own, and what it adds to others */

#define NGX_HTTP_CONDUIT_BLOCK_LONG  1900
#define NGX_HTTP_CONDUIT_BLOCK_NODE  16


typedef struct {
    uint32_t                          type;
    uint32_t                          writes;
} ngx_http_conduit_block_op_t;


typedef struct {
    uint32_t                          key;         /* lengths */
    uint32_t                          value;
    u_char                            table;
    u_char                            merge;
    u_char                            remove;
    u_char                            pad[5];
} ngx_http_conduit_block_write_t;


static size_t ngx_http_conduit_block_size(ngx_http_conduit_block_t *head,
    ngx_http_conduit_op_t *ops, size_t *cost);
static u_char *ngx_http_conduit_block_put(u_char *p,
    ngx_http_conduit_op_t *op);
static uint32_t ngx_http_conduit_block_sum(u_char *block, size_t len);
static ngx_int_t ngx_http_conduit_block_op(ngx_http_conduit_op_t *op,
    ngx_http_conduit_write_t **next, ngx_http_conduit_write_t *end,
    u_char **p, u_char *last);
static ngx_int_t ngx_http_conduit_block_write(ngx_http_conduit_write_t *w,
    u_char **p, u_char *last);


/* pages are half full in the worst case */

size_t
ngx_http_conduit_block_cost(ngx_http_conduit_op_t *op)
{
    size_t                     n, cost;
    ngx_http_conduit_write_t  *w;

    cost = 0;

    for (w = op->writes; w; w = w->next) {
        n = w->key.len + w->value.len + NGX_HTTP_CONDUIT_BLOCK_NODE;

        cost += (n > NGX_HTTP_CONDUIT_BLOCK_LONG)
                ? ngx_align(n, NGX_HTTP_CONDUIT_BLOCK_PAGE) : 2 * n;
    }

    return cost;
}


size_t
ngx_http_conduit_block_make(u_char **block, ngx_http_conduit_block_t *head,
    ngx_http_conduit_op_t *ops, size_t *cost)
{
    size_t                  n, full;
    u_char                 *p;
    ngx_http_conduit_op_t  *op;

    *block = NULL;

    n = ngx_http_conduit_block_size(head, ops, cost);

    if (head->ops == 0) {
        return 0;
    }

    full = ngx_align(n, NGX_HTTP_CONDUIT_BLOCK_PAGE);

    if (full > NGX_HTTP_CONDUIT_BLOCK_MAX) {
        ngx_set_errno(EFBIG);
        return 0;
    }

    p = malloc(full);
    if (p == NULL) {
        return 0;
    }

    *block = p;

    p += sizeof(ngx_http_conduit_block_t);

    for (op = ops; op; op = op->next) {

        if (op->rc == NGX_OK) {
            p = ngx_http_conduit_block_put(p, op);
        }
    }

    ngx_memzero(p, full - n);

    ngx_memcpy(head->magic, NGX_HTTP_CONDUIT_BLOCK_MAGIC, sizeof(head->magic));
    head->len = (uint32_t) (n - sizeof(ngx_http_conduit_block_t));
    head->pad = 0;

    ngx_memcpy(*block, head, sizeof(ngx_http_conduit_block_t));
    head->sum = ngx_http_conduit_block_sum(*block, n);
    ngx_memcpy(*block, head, sizeof(ngx_http_conduit_block_t));

    return full;
}


static size_t
ngx_http_conduit_block_size(ngx_http_conduit_block_t *head,
    ngx_http_conduit_op_t *ops, size_t *cost)
{
    size_t                     n;
    ngx_http_conduit_op_t     *op;
    ngx_http_conduit_write_t  *w;

    n = sizeof(ngx_http_conduit_block_t);

    *cost = 0;
    head->ops = 0;
    head->writes = 0;

    for (op = ops; op; op = op->next) {

        if (op->rc != NGX_OK) {
            continue;
        }

        head->ops++;
        *cost += ngx_http_conduit_block_cost(op);

        n += sizeof(ngx_http_conduit_block_op_t);

        for (w = op->writes; w; w = w->next) {
            head->writes++;
            n += sizeof(ngx_http_conduit_block_write_t) + w->key.len
                 + w->value.len;
        }
    }

    return n;
}


static u_char *
ngx_http_conduit_block_put(u_char *p, ngx_http_conduit_op_t *op)
{
    u_char                          *start;
    ngx_http_conduit_write_t        *w;
    ngx_http_conduit_block_op_t      is;
    ngx_http_conduit_block_write_t   one;

    start = p;
    p += sizeof(ngx_http_conduit_block_op_t);

    is.type = op->type;
    is.writes = 0;

    for (w = op->writes; w; w = w->next) {
        ngx_memzero(&one, sizeof(ngx_http_conduit_block_write_t));

        one.key = (uint32_t) w->key.len;
        one.value = (uint32_t) w->value.len;
        one.table = (u_char) w->table;
        one.merge = w->merge;
        one.remove = (w->value.data == NULL);

        p = ngx_cpymem(p, &one, sizeof(ngx_http_conduit_block_write_t));
        p = ngx_cpymem(p, w->key.data, w->key.len);

        if (w->value.data) {
            p = ngx_cpymem(p, w->value.data, w->value.len);
        }

        is.writes++;
    }

    ngx_memcpy(start, &is, sizeof(ngx_http_conduit_block_op_t));

    return p;
}


static uint32_t
ngx_http_conduit_block_sum(u_char *block, size_t len)
{
    size_t  off;

    off = offsetof(ngx_http_conduit_block_t, chain);

    return (uint32_t) crc32(0, block + off, (uInt) (len - off));
}


size_t
ngx_http_conduit_block_check(ngx_http_conduit_block_t *head, u_char *data,
    size_t size, uint64_t generation)
{
    size_t  n;

    if (size < sizeof(ngx_http_conduit_block_t)) {
        return 0;
    }

    ngx_memcpy(head, data, sizeof(ngx_http_conduit_block_t));

    n = sizeof(ngx_http_conduit_block_t) + (size_t) head->len;

    if (ngx_memcmp(head->magic, NGX_HTTP_CONDUIT_BLOCK_MAGIC,
                   sizeof(head->magic))
        != 0
        || head->generation != generation
        || n > size
        || head->sum != ngx_http_conduit_block_sum(data, n))
    {
        return 0;
    }

    return ngx_align(n, NGX_HTTP_CONDUIT_BLOCK_PAGE);
}


ngx_http_conduit_op_t *
ngx_http_conduit_block_ops(ngx_http_conduit_block_t *head, u_char *data)
{
    u_char                    *p, *last;
    ngx_uint_t                 i;
    ngx_http_conduit_op_t     *ops;
    ngx_http_conduit_write_t  *w, *end;

    if (head->ops == 0 || head->ops > head->len || head->writes > head->len) {
        ngx_set_errno(EBADMSG);
        return NULL;
    }

    ops = calloc(1, head->ops * sizeof(ngx_http_conduit_op_t)
                    + head->writes * sizeof(ngx_http_conduit_write_t));
    if (ops == NULL) {
        return NULL;
    }

    w = (ngx_http_conduit_write_t *) (ops + head->ops);
    end = w + head->writes;
    p = data + sizeof(ngx_http_conduit_block_t);
    last = p + head->len;

    for (i = 0; i < head->ops; i++) {

        if (ngx_http_conduit_block_op(&ops[i], &w, end, &p, last) != NGX_OK) {
            free(ops);
            ngx_set_errno(EBADMSG);
            return NULL;
        }

        if (i) {
            ops[i - 1].next = &ops[i];
        }
    }

    return ops;
}


static ngx_int_t
ngx_http_conduit_block_op(ngx_http_conduit_op_t *op,
    ngx_http_conduit_write_t **next, ngx_http_conduit_write_t *end,
    u_char **p, u_char *last)
{
    ngx_uint_t                    i;
    ngx_http_conduit_write_t    **w;
    ngx_http_conduit_block_op_t   is;

    if ((size_t) (last - *p) < sizeof(ngx_http_conduit_block_op_t)) {
        return NGX_ERROR;
    }

    ngx_memcpy(&is, *p, sizeof(ngx_http_conduit_block_op_t));
    *p += sizeof(ngx_http_conduit_block_op_t);

    op->type = is.type;
    w = &op->writes;

    for (i = 0; i < is.writes; i++) {

        if (*next == end
            || ngx_http_conduit_block_write(*next, p, last) != NGX_OK)
        {
            return NGX_ERROR;
        }

        *w = (*next)++;
        w = &(*w)->next;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_block_write(ngx_http_conduit_write_t *w, u_char **p,
    u_char *last)
{
    ngx_http_conduit_block_write_t  one;

    if ((size_t) (last - *p) < sizeof(ngx_http_conduit_block_write_t)) {
        return NGX_ERROR;
    }

    ngx_memcpy(&one, *p, sizeof(ngx_http_conduit_block_write_t));
    *p += sizeof(ngx_http_conduit_block_write_t);

    if (one.table >= NGX_HTTP_CONDUIT_LMDB_TABLES
        || (size_t) (last - *p) < (size_t) one.key + one.value)
    {
        return NGX_ERROR;
    }

    w->table = one.table;
    w->merge = one.merge;
    w->key.data = *p;
    w->key.len = one.key;

    *p += one.key;

    w->value.data = one.remove ? NULL : *p;
    w->value.len = one.value;

    *p += one.value;

    return NGX_OK;
}
