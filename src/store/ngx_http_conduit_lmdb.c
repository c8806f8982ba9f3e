
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_datafile.h>
#include <ngx_http_conduit_lmdb_env.h>
#include <zlib.h>


/* expired keys removed in one transaction, and how often they are looked for */

#define NGX_HTTP_CONDUIT_LMDB_SWEEP    256
#define NGX_HTTP_CONDUIT_LMDB_SWEEPS   10000


static int ngx_http_conduit_lmdb_count(ngx_http_conduit_lmdb_t *db);
static ngx_int_t ngx_http_conduit_lmdb_failed(ngx_http_conduit_lmdb_t *db,
    int rc, const char **why);
static int ngx_http_conduit_lmdb_put(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, ngx_http_conduit_write_t *w);
static int ngx_http_conduit_lmdb_set(MDB_txn *txn, MDB_dbi table,
    MDB_val *key, u_char *data, size_t len);
static uint32_t ngx_http_conduit_lmdb_sum(MDB_val *key, u_char *data,
    size_t len);
static int ngx_http_conduit_lmdb_remove(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, ngx_http_conduit_write_t *w);
static int ngx_http_conduit_lmdb_merge(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, MDB_val *key, ngx_http_conduit_write_t *w);
static int ngx_http_conduit_lmdb_sweep(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, int64_t now);
static int ngx_http_conduit_lmdb_walk(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, ngx_uint_t table, ngx_http_conduit_lmdb_each_pt each,
    void *data, ngx_int_t *rc);
static int ngx_http_conduit_lmdb_hooks(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, u_char *number, ngx_http_conduit_lmdb_each_pt each,
    void *data, ngx_int_t *rc);
static int ngx_http_conduit_lmdb_task(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, MDB_val *key, ngx_http_conduit_lmdb_each_pt each,
    void *data, ngx_int_t *rc);
static ngx_int_t ngx_http_conduit_lmdb_each(MDB_val *key, MDB_val *value,
    MDB_val *state, ngx_http_conduit_lmdb_each_pt each, void *data);


ngx_int_t
ngx_http_conduit_lmdb_begin(ngx_http_conduit_lmdb_t *db, int64_t now,
    const char **why)
{
    int  rc;

    *why = NULL;
    db->now = now;
    db->written = 0;

    rc = db->broken ? ngx_http_conduit_lmdb_again(db, why) : 0;

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_txn(db, 0, &db->txn, why);
    }

    if (rc == 0 && db->conf.sync) {
        rc = ngx_http_conduit_lmdb_length(db, 1, 0, NULL);
    }

    return ngx_http_conduit_lmdb_failed(db, rc, why);
}


ngx_int_t
ngx_http_conduit_lmdb_write(ngx_http_conduit_lmdb_t *db,
    ngx_http_conduit_op_t *op, const char **why)
{
    int                        rc;
    ngx_http_conduit_write_t  *w;

    rc = 0;

    for (w = op->writes; w && rc == 0; w = w->next) {
        rc = ngx_http_conduit_lmdb_put(db, db->txn, w);
        db->written++;
    }

    return ngx_http_conduit_lmdb_failed(db, rc, why);
}


ngx_int_t
ngx_http_conduit_lmdb_end(ngx_http_conduit_lmdb_t *db, uint64_t folded,
    const char **why)
{
    int       rc;
    MDB_txn  *txn;
    MDB_val   key, value;

    rc = 0;

    if (db->now - db->swept > NGX_HTTP_CONDUIT_LMDB_SWEEPS) {
        rc = ngx_http_conduit_lmdb_sweep(db, db->txn, db->now);
    }

    if (rc == 0 && folded) {
        key.mv_data = NGX_HTTP_CONDUIT_LMDB_FOLDED;
        key.mv_size = sizeof(NGX_HTTP_CONDUIT_LMDB_FOLDED) - 1;
        value.mv_data = &folded;
        value.mv_size = sizeof(uint64_t);

        rc = mdb_put(db->txn, db->format, &key, &value, 0);
    }

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_count(db);
    }

    if (rc == 0) {
        txn = db->txn;
        db->txn = NULL;

        rc = mdb_txn_commit(txn);
    }

    return ngx_http_conduit_lmdb_failed(db, rc, why);
}


void
ngx_http_conduit_lmdb_abort(ngx_http_conduit_lmdb_t *db)
{
    if (db->txn) {
        mdb_txn_abort(db->txn);
        db->txn = NULL;
    }
}


static ngx_int_t
ngx_http_conduit_lmdb_failed(ngx_http_conduit_lmdb_t *db, int rc,
    const char **why)
{
    if (rc == 0) {
        return NGX_OK;
    }

    ngx_http_conduit_lmdb_abort(db);

    /* that is what LMDB makes of a write of which the disk took a part only */

    if (rc == EIO && ngx_http_conduit_datafile_crowded(db->conf.path)) {
        rc = ENOSPC;
    }

    if (*why == NULL) {
        *why = ngx_http_conduit_lmdb_error(rc);
    }

    if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL) {
        return NGX_DECLINED;
    }

    db->broken = 1;

    return ngx_http_conduit_lmdb_damaged(rc) ? NGX_ABORT : NGX_ERROR;
}


/* what is kept */

static int
ngx_http_conduit_lmdb_count(ngx_http_conduit_lmdb_t *db)
{
    int         rc;
    MDB_stat    st;
    ngx_uint_t  i;

    db->used = 0;

    for (i = 0; i < NGX_HTTP_CONDUIT_LMDB_TABLES; i++) {
        rc = mdb_stat(db->txn, db->tables[i], &st);
        if (rc) {
            return rc;
        }

        db->used += st.ms_psize * (st.ms_branch_pages + st.ms_leaf_pages
                                   + st.ms_overflow_pages);
    }

    return 0;
}


size_t
ngx_http_conduit_lmdb_used(ngx_http_conduit_lmdb_t *db)
{
    return db->used;
}


ngx_int_t
ngx_http_conduit_lmdb_folded(ngx_http_conduit_lmdb_t *db, uint64_t *folded,
    const char **why)
{
    int       rc;
    MDB_val   key, value;
    MDB_txn  *txn;

    *folded = 0;
    *why = NULL;

    key.mv_data = NGX_HTTP_CONDUIT_LMDB_FOLDED;
    key.mv_size = sizeof(NGX_HTTP_CONDUIT_LMDB_FOLDED) - 1;

    rc = ngx_http_conduit_lmdb_txn(db, MDB_RDONLY, &txn, why);

    if (rc == 0) {
        rc = mdb_get(txn, db->format, &key, &value);

        if (rc == 0 && value.mv_size == sizeof(uint64_t)) {
            ngx_memcpy(folded, value.mv_data, sizeof(uint64_t));
        }

        mdb_txn_abort(txn);
    }

    if (rc == MDB_NOTFOUND) {
        rc = 0;
    }

    return ngx_http_conduit_lmdb_failed(db, rc, why);
}


static int
ngx_http_conduit_lmdb_put(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    ngx_http_conduit_write_t *w)
{
    MDB_val  key;

    key.mv_data = w->key.data;
    key.mv_size = w->key.len;

    if (w->value.data == NULL) {
        return ngx_http_conduit_lmdb_remove(db, txn, w);
    }

    if (w->merge) {
        return ngx_http_conduit_lmdb_merge(db, txn, &key, w);
    }

    return ngx_http_conduit_lmdb_set(txn, db->tables[w->table], &key,
                                     w->value.data, w->value.len);
}


static int
ngx_http_conduit_lmdb_set(MDB_txn *txn, MDB_dbi table, MDB_val *key,
    u_char *data, size_t len)
{
    int       rc;
    uint32_t  sum;
    MDB_val   value;

    value.mv_data = NULL;
    value.mv_size = len + NGX_HTTP_CONDUIT_LMDB_SUM;

    rc = mdb_put(txn, table, key, &value, MDB_RESERVE);
    if (rc) {
        return rc;
    }

    sum = ngx_http_conduit_lmdb_sum(key, data, len);

    ngx_memcpy(value.mv_data, data, len);
    ngx_memcpy((u_char *) value.mv_data + len, &sum,
               NGX_HTTP_CONDUIT_LMDB_SUM);

    return 0;
}


static uint32_t
ngx_http_conduit_lmdb_sum(MDB_val *key, u_char *data, size_t len)
{
    uLong  sum;

    sum = crc32(0, key->mv_data, (uInt) key->mv_size);

    return (uint32_t) crc32(sum, data, (uInt) len);
}


int
ngx_http_conduit_lmdb_value(MDB_val *key, MDB_val *value)
{
    size_t    len;
    uint32_t  sum;

    if (value->mv_size < NGX_HTTP_CONDUIT_LMDB_SUM) {
        return MDB_CORRUPTED;
    }

    len = value->mv_size - NGX_HTTP_CONDUIT_LMDB_SUM;

    ngx_memcpy(&sum, (u_char *) value->mv_data + len,
               NGX_HTTP_CONDUIT_LMDB_SUM);

    if (sum != ngx_http_conduit_lmdb_sum(key, value->mv_data, len)) {
        return MDB_CORRUPTED;
    }

    value->mv_size = len;

    return 0;
}


static int
ngx_http_conduit_lmdb_remove(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    ngx_http_conduit_write_t *w)
{
    int          rc;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, db->tables[w->table], &cursor);
    if (rc) {
        return rc;
    }

    for ( ;; ) {
        key.mv_data = w->key.data;
        key.mv_size = w->key.len;

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

        if (rc || key.mv_size < w->key.len
            || memcmp(key.mv_data, w->key.data, w->key.len) != 0)
        {
            break;
        }

        rc = mdb_cursor_del(cursor, 0);
        if (rc) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* a task that is no longer kept stays so */

static int
ngx_http_conduit_lmdb_merge(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    MDB_val *key, ngx_http_conduit_write_t *w)
{
    int        rc;
    size_t     len;
    u_char    *p;
    MDB_val    value;
    ngx_str_t  old;

    rc = mdb_get(txn, db->tables[w->table], key, &value);

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_value(key, &value);
    }

    if (rc) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    old.data = value.mv_data;
    old.len = value.mv_size;

    p = malloc(w->value.len + old.len);
    if (p == NULL) {
        return ENOMEM;
    }

    len = db->merge(w->table, p, &w->value, &old);

    rc = ngx_http_conduit_lmdb_set(txn, db->tables[w->table], key, p, len);

    free(p);

    return rc;
}


static int
ngx_http_conduit_lmdb_sweep(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    int64_t now)
{
    int          rc;
    u_char       limit[NGX_HTTP_CONDUIT_LMDB_NUMBER];
    MDB_val      key, value;
    ngx_uint_t   i, most;
    MDB_cursor  *cursor;

    ngx_http_conduit_lmdb_number(limit, (uint64_t) now);

    rc = mdb_cursor_open(txn, db->tables[NGX_HTTP_CONDUIT_LMDB_KEYS],
                         &cursor);
    if (rc) {
        return rc;
    }

    /* more than can have come with the transaction, however many they are */

    most = NGX_HTTP_CONDUIT_LMDB_SWEEP + db->written;

    for (i = 0; i < most; i++) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

        if (rc || key.mv_size < NGX_HTTP_CONDUIT_LMDB_NUMBER
            || memcmp(key.mv_data, limit, NGX_HTTP_CONDUIT_LMDB_NUMBER) > 0)
        {
            db->swept = now;
            break;
        }

        rc = mdb_cursor_del(cursor, 0);
        if (rc) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


ngx_int_t
ngx_http_conduit_lmdb_scan(ngx_http_conduit_lmdb_t *db, ngx_uint_t table,
    ngx_http_conduit_lmdb_each_pt each, void *data, const char **why)
{
    int         rc;
    MDB_txn    *txn;
    ngx_int_t   ended;

    *why = NULL;
    ended = NGX_OK;

    rc = ngx_http_conduit_lmdb_txn(db, MDB_RDONLY, &txn, why);

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_walk(db, txn, table, each, data, &ended);
        mdb_txn_abort(txn);
    }

    if (rc) {
        if (*why == NULL) {
            *why = ngx_http_conduit_lmdb_error(rc);
        }

        return NGX_ERROR;
    }

    return ended;
}


static int
ngx_http_conduit_lmdb_walk(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    ngx_uint_t table, ngx_http_conduit_lmdb_each_pt each, void *data,
    ngx_int_t *ended)
{
    int          rc;
    MDB_val      key, value, state;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, db->tables[table], &cursor);
    if (rc) {
        return rc;
    }

    ngx_memzero(&state, sizeof(MDB_val));

    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

    while (rc == 0) {

        if (table == NGX_HTTP_CONDUIT_LMDB_TASKS) {
            rc = mdb_get(txn, db->tables[NGX_HTTP_CONDUIT_LMDB_STATES], &key,
                         &state);

            if (rc == 0) {
                rc = ngx_http_conduit_lmdb_value(&key, &state);
            }
        }

        if (rc == 0) {
            rc = ngx_http_conduit_lmdb_value(&key, &value);
        }

        if (rc) {
            rc = MDB_CORRUPTED;
            break;
        }

        *ended = ngx_http_conduit_lmdb_each(&key, &value, &state, each, data);

        if (*ended != NGX_OK) {
            break;
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


ngx_int_t
ngx_http_conduit_lmdb_find(ngx_http_conduit_lmdb_t *db, uint64_t number,
    ngx_http_conduit_lmdb_each_pt each, void *data, const char **why)
{
    int         rc;
    u_char      id[NGX_HTTP_CONDUIT_LMDB_NUMBER];
    MDB_val     key;
    MDB_txn    *txn;
    ngx_int_t   ended;

    *why = NULL;
    ended = NGX_OK;

    ngx_http_conduit_lmdb_number(id, number);

    key.mv_data = id;
    key.mv_size = NGX_HTTP_CONDUIT_LMDB_NUMBER;

    rc = ngx_http_conduit_lmdb_txn(db, MDB_RDONLY, &txn, why);

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_hooks(db, txn, id, each, data, &ended);

        if (rc == 0 && ended == NGX_OK) {
            rc = ngx_http_conduit_lmdb_task(db, txn, &key, each, data, &ended);
        }

        mdb_txn_abort(txn);
    }

    if (rc) {
        if (*why == NULL) {
            *why = ngx_http_conduit_lmdb_error(rc);
        }

        return NGX_ERROR;
    }

    return ended;
}


static int
ngx_http_conduit_lmdb_hooks(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    u_char *number, ngx_http_conduit_lmdb_each_pt each, void *data,
    ngx_int_t *ended)
{
    int          rc;
    MDB_val      key, value, state;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, db->tables[NGX_HTTP_CONDUIT_LMDB_HOOKS],
                         &cursor);
    if (rc) {
        return rc;
    }

    ngx_memzero(&state, sizeof(MDB_val));

    key.mv_data = number;
    key.mv_size = NGX_HTTP_CONDUIT_LMDB_NUMBER;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0 && key.mv_size >= NGX_HTTP_CONDUIT_LMDB_NUMBER
           && memcmp(key.mv_data, number, NGX_HTTP_CONDUIT_LMDB_NUMBER) == 0)
    {
        rc = ngx_http_conduit_lmdb_value(&key, &value);
        if (rc) {
            break;
        }

        *ended = ngx_http_conduit_lmdb_each(&key, &value, &state, each, data);

        if (*ended != NGX_OK) {
            break;
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
ngx_http_conduit_lmdb_task(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    MDB_val *key, ngx_http_conduit_lmdb_each_pt each, void *data,
    ngx_int_t *ended)
{
    int      rc;
    MDB_val  value, state;

    rc = mdb_get(txn, db->tables[NGX_HTTP_CONDUIT_LMDB_TASKS], key, &value);

    if (rc == 0) {
        rc = mdb_get(txn, db->tables[NGX_HTTP_CONDUIT_LMDB_STATES], key,
                     &state);
    }

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_value(key, &value);
    }

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_value(key, &state);
    }

    if (rc == 0) {
        *ended = ngx_http_conduit_lmdb_each(key, &value, &state, each, data);
    }

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static ngx_int_t
ngx_http_conduit_lmdb_each(MDB_val *key, MDB_val *value, MDB_val *state,
    ngx_http_conduit_lmdb_each_pt each, void *data)
{
    ngx_str_t  args[3];

    args[0].data = key->mv_data;
    args[0].len = key->mv_size;
    args[1].data = value->mv_data;
    args[1].len = value->mv_size;
    args[2].data = state->mv_data;
    args[2].len = state->mv_size;

    return each(data, &args[0], &args[1], &args[2]);
}
