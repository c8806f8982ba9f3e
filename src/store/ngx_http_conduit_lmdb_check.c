
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_lmdb_env.h>


/* the table of free pages, which is LMDB's own */

#define NGX_HTTP_CONDUIT_LMDB_FREE  0

/* the first pages tell where the tables are */

#define NGX_HTTP_CONDUIT_LMDB_META  2


static int ngx_http_conduit_check_table(MDB_txn *txn, MDB_dbi table);
static int ngx_http_conduit_check_free(MDB_txn *txn, size_t pages);
static int ngx_http_conduit_check_list(MDB_val *value, size_t pages,
    u_char *seen);


const char *
ngx_http_conduit_lmdb_check(ngx_http_conduit_lmdb_t *db)
{
    int          rc;
    MDB_txn     *txn;
    ngx_uint_t   i;
    const char  *why;
    MDB_envinfo  info;

    why = NULL;
    rc = ngx_http_conduit_lmdb_txn(db, MDB_RDONLY, &txn, &why);

    if (rc) {
        return why ? why : ngx_http_conduit_lmdb_error(rc);
    }

    rc = mdb_env_info(db->env, &info);

    if (rc == 0) {
        rc = ngx_http_conduit_check_free(txn, info.me_last_pgno + 1);
    }

    for (i = 0; rc == 0 && i < NGX_HTTP_CONDUIT_LMDB_TABLES; i++) {
        rc = ngx_http_conduit_check_table(txn, db->tables[i]);
    }

    mdb_txn_abort(txn);

    if (rc == 0) {
        return NULL;
    }

    return (rc == ENOMEM) ? "out of memory" : "data.mdb is damaged";
}


/* as many records as it says, each as it was written, in their order */

static int
ngx_http_conduit_check_table(MDB_txn *txn, MDB_dbi table)
{
    int          rc;
    size_t       n;
    MDB_val      key, value, last;
    MDB_stat     st;
    MDB_cursor  *cursor;

    rc = mdb_stat(txn, table, &st);

    if (rc == 0) {
        rc = mdb_cursor_open(txn, table, &cursor);
    }

    if (rc) {
        return rc;
    }

    n = 0;
    last.mv_size = 0;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

    while (rc == 0) {

        if (n++ == st.ms_entries
            || (last.mv_size && mdb_cmp(txn, table, &last, &key) >= 0)
            || ngx_http_conduit_lmdb_value(&key, &value) != 0)
        {
            rc = MDB_CORRUPTED;
            break;
        }

        last = key;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    if (rc == MDB_NOTFOUND) {
        rc = (n == st.ms_entries) ? 0 : MDB_CORRUPTED;
    }

    return rc;
}


static int
ngx_http_conduit_check_free(MDB_txn *txn, size_t pages)
{
    int          rc;
    u_char      *seen;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    seen = calloc(1, pages);
    if (seen == NULL) {
        return ENOMEM;
    }

    rc = mdb_cursor_open(txn, NGX_HTTP_CONDUIT_LMDB_FREE, &cursor);

    if (rc) {
        free(seen);
        return rc;
    }

    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

    while (rc == 0) {
        rc = ngx_http_conduit_check_list(&value, pages, seen);

        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }

    mdb_cursor_close(cursor);
    free(seen);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* their number, and the pages from the last one down, each once in all lists */

static int
ngx_http_conduit_check_list(MDB_val *value, size_t pages, u_char *seen)
{
    size_t  i, n, page, before;

    if (value->mv_size < sizeof(size_t)) {
        return MDB_CORRUPTED;
    }

    ngx_memcpy(&n, value->mv_data, sizeof(size_t));

    if (n > pages || (n + 1) * sizeof(size_t) > value->mv_size) {
        return MDB_CORRUPTED;
    }

    before = pages;

    for (i = 1; i <= n; i++) {
        ngx_memcpy(&page, (u_char *) value->mv_data + i * sizeof(size_t),
                   sizeof(size_t));

        if (page >= before || page < NGX_HTTP_CONDUIT_LMDB_META || seen[page])
        {
            return MDB_CORRUPTED;
        }

        seen[page] = 1;
        before = page;
    }

    return 0;
}
