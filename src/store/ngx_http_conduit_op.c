
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_embedded.h>
#include <ngx_http_conduit_pack.h>


/* What the embedded store writes: keys and values, in one piece of memory. */


/* length of the key of a delivery */

#define NGX_HTTP_CONDUIT_OP_HOOK  (2 * NGX_HTTP_CONDUIT_LMDB_NUMBER           \
                                   + CONDUIT_BASE62_LEN)


static ngx_http_conduit_op_t *ngx_http_conduit_op(ngx_http_conduit_op_e type,
    ngx_uint_t writes, size_t size, u_char **p);
static ngx_http_conduit_op_t *ngx_http_conduit_op_reply(
    ngx_http_conduit_record_t *record);
static u_char *ngx_http_conduit_op_number(ngx_http_conduit_write_t *w,
    u_char *p, ngx_uint_t table, uint64_t number);
static u_char *ngx_http_conduit_op_hook_key(ngx_http_conduit_write_t *w,
    u_char *p, uint64_t number, ngx_http_conduit_kept_hook_t *hook);
static u_char *ngx_http_conduit_op_keep_key(ngx_http_conduit_write_t *w,
    u_char *p, ngx_http_conduit_record_t *record);
static u_char *ngx_http_conduit_op_key(ngx_http_conduit_write_t *w, u_char *p,
    u_char *digest, int64_t until);


ngx_http_conduit_op_t *
ngx_http_conduit_op_commit(ngx_http_conduit_record_t *record)
{
    u_char                    *p;
    size_t                     size;
    ngx_http_conduit_op_t     *op;
    ngx_http_conduit_write_t  *w;

    if (record->settled) {
        return ngx_http_conduit_op_reply(record);
    }

    size = ngx_http_conduit_pack_state_size(record)
           + NGX_HTTP_CONDUIT_LMDB_NUMBER;

    if (record->create) {
        size += ngx_http_conduit_pack_task_size(record)
                + NGX_HTTP_CONDUIT_LMDB_NUMBER;
    }

    if (record->digest) {
        size += ngx_http_conduit_pack_key_size(record)
                + NGX_HTTP_CONDUIT_LMDB_NUMBER + 32;
    }

    if (record->hook) {
        size += ngx_http_conduit_pack_hook_size(record->hook)
                + NGX_HTTP_CONDUIT_OP_HOOK;
    }

    op = ngx_http_conduit_op(record->create ? NGX_HTTP_CONDUIT_OP_CREATE
                                            : NGX_HTTP_CONDUIT_OP_CHANGE,
                             1 + record->create + (record->digest != NULL)
                             + (record->hook != NULL),
                             size, &p);
    if (op == NULL) {
        return NULL;
    }

    w = op->writes;

    p = ngx_http_conduit_op_number(w, p, NGX_HTTP_CONDUIT_LMDB_STATES,
                                   record->number);
    w->merge = ngx_http_conduit_pack_partial(record);
    w->value.data = p;
    p = ngx_http_conduit_pack_state(p, record);
    w->value.len = p - w->value.data;

    if (record->create) {
        w = w->next;
        p = ngx_http_conduit_op_number(w, p, NGX_HTTP_CONDUIT_LMDB_TASKS,
                                       record->number);
        w->value.data = p;
        p = ngx_http_conduit_pack_task(p, record);
        w->value.len = p - w->value.data;
    }

    if (record->digest) {
        w = w->next;
        p = ngx_http_conduit_op_keep_key(w, p, record);
    }

    if (record->hook) {
        w = w->next;
        p = ngx_http_conduit_op_hook_key(w, p, record->number, record->hook);
        w->value.data = p;
        p = ngx_http_conduit_pack_hook(p, record->hook);
        w->value.len = p - w->value.data;
    }

    return op;
}


ngx_http_conduit_op_t *
ngx_http_conduit_op_hook(uint64_t number, ngx_http_conduit_kept_hook_t *hook)
{
    u_char                    *p;
    ngx_http_conduit_op_t     *op;
    ngx_http_conduit_write_t  *w;

    op = ngx_http_conduit_op(NGX_HTTP_CONDUIT_OP_CHANGE, 1,
                             ngx_http_conduit_pack_hook_size(hook)
                             + NGX_HTTP_CONDUIT_OP_HOOK, &p);
    if (op == NULL) {
        return NULL;
    }

    w = op->writes;

    p = ngx_http_conduit_op_hook_key(w, p, number, hook);
    w->merge = 1;
    w->value.data = p;
    w->value.len = ngx_http_conduit_pack_hook(p, hook) - p;

    return op;
}


static ngx_http_conduit_op_t *
ngx_http_conduit_op_reply(ngx_http_conduit_record_t *record)
{
    u_char                 *p;
    ngx_http_conduit_op_t  *op;

    /* nobody's end depends on it: it gets none of the room kept for changes */

    op = ngx_http_conduit_op(NGX_HTTP_CONDUIT_OP_CREATE, 1,
                             ngx_http_conduit_pack_key_size(record)
                             + NGX_HTTP_CONDUIT_LMDB_NUMBER + 32, &p);
    if (op == NULL) {
        return NULL;
    }

    (void) ngx_http_conduit_op_keep_key(op->writes, p, record);

    return op;
}


ngx_http_conduit_op_t *
ngx_http_conduit_op_remove(uint64_t number)
{
    u_char                    *p;
    ngx_http_conduit_op_t     *op;
    ngx_http_conduit_write_t  *w;

    op = ngx_http_conduit_op(NGX_HTTP_CONDUIT_OP_REMOVE, 3,
                             3 * NGX_HTTP_CONDUIT_LMDB_NUMBER, &p);
    if (op == NULL) {
        return NULL;
    }

    w = op->writes;
    p = ngx_http_conduit_op_number(w, p, NGX_HTTP_CONDUIT_LMDB_TASKS, number);

    w = w->next;
    p = ngx_http_conduit_op_number(w, p, NGX_HTTP_CONDUIT_LMDB_STATES,
                                   number);
    w = w->next;
    ngx_http_conduit_op_number(w, p, NGX_HTTP_CONDUIT_LMDB_HOOKS, number);

    return op;
}


ngx_http_conduit_op_t *
ngx_http_conduit_op_release(u_char *digest, int64_t until)
{
    u_char                 *p;
    ngx_http_conduit_op_t  *op;

    op = ngx_http_conduit_op(NGX_HTTP_CONDUIT_OP_REMOVE, 1,
                             NGX_HTTP_CONDUIT_LMDB_NUMBER + 32, &p);
    if (op == NULL) {
        return NULL;
    }

    ngx_http_conduit_op_key(op->writes, p, digest, until);

    return op;
}


/* all of it in one allocation; *p is the room for keys and values */

static ngx_http_conduit_op_t *
ngx_http_conduit_op(ngx_http_conduit_op_e type, ngx_uint_t writes,
    size_t size, u_char **p)
{
    ngx_uint_t                 i;
    ngx_http_conduit_op_t     *op;
    ngx_http_conduit_write_t  *w;

    op = ngx_alloc(sizeof(ngx_http_conduit_op_t)
                   + writes * sizeof(ngx_http_conduit_write_t) + size,
                   ngx_cycle->log);
    if (op == NULL) {
        return NULL;
    }

    w = (ngx_http_conduit_write_t *) (op + 1);

    ngx_memzero(op, sizeof(ngx_http_conduit_op_t)
                    + writes * sizeof(ngx_http_conduit_write_t));

    for (i = 0; i + 1 < writes; i++) {
        w[i].next = &w[i + 1];
    }

    op->type = type;
    op->writes = w;
    op->size = size;

    *p = (u_char *) (w + writes);

    return op;
}


static u_char *
ngx_http_conduit_op_number(ngx_http_conduit_write_t *w, u_char *p,
    ngx_uint_t table, uint64_t number)
{
    w->table = table;
    w->key.data = p;
    w->key.len = NGX_HTTP_CONDUIT_LMDB_NUMBER;

    ngx_http_conduit_lmdb_number(p, number);

    return p + NGX_HTTP_CONDUIT_LMDB_NUMBER;
}


/* those of a task stand together, in the order of their events */

static u_char *
ngx_http_conduit_op_hook_key(ngx_http_conduit_write_t *w, u_char *p,
    uint64_t number, ngx_http_conduit_kept_hook_t *hook)
{
    p = ngx_http_conduit_op_number(w, p, NGX_HTTP_CONDUIT_LMDB_HOOKS, number);

    w->key.len = NGX_HTTP_CONDUIT_OP_HOOK;

    ngx_http_conduit_lmdb_number(p, hook->sequence);

    return ngx_cpymem(p + NGX_HTTP_CONDUIT_LMDB_NUMBER, hook->id,
                      CONDUIT_BASE62_LEN);
}


static u_char *
ngx_http_conduit_op_keep_key(ngx_http_conduit_write_t *w, u_char *p,
    ngx_http_conduit_record_t *record)
{
    p = ngx_http_conduit_op_key(w, p, record->digest, record->until);
    w->value.data = p;
    p = ngx_http_conduit_pack_key(p, record);
    w->value.len = p - w->value.data;

    return p;
}


/* keys expire in the order of their table */

static u_char *
ngx_http_conduit_op_key(ngx_http_conduit_write_t *w, u_char *p,
    u_char *digest, int64_t until)
{
    w->table = NGX_HTTP_CONDUIT_LMDB_KEYS;
    w->key.data = p;
    w->key.len = NGX_HTTP_CONDUIT_LMDB_NUMBER + 32;

    ngx_http_conduit_lmdb_number(p, (uint64_t) until);

    return ngx_cpymem(p + NGX_HTTP_CONDUIT_LMDB_NUMBER, digest, 32);
}
