
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_LMDB_ENV_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_LMDB_ENV_H_INCLUDED_


#include <ngx_http_conduit_lmdb.h>
#include <lmdb.h>


/* The environment under the tables.  What returns an int: 0, or an error. */


/* the journal's last generation that is in the tables */

#define NGX_HTTP_CONDUIT_LMDB_FOLDED  "folded"


struct ngx_http_conduit_lmdb_s {
    MDB_env                          *env;
    MDB_dbi                           tables[NGX_HTTP_CONDUIT_LMDB_TABLES];
    ngx_http_conduit_merge_pt         merge;
    ngx_http_conduit_lmdb_conf_t      conf;
    MDB_dbi                           format;
    MDB_txn                          *txn;         /* that writes */
    int64_t                           now;         /* of it, ms */
    int64_t                           swept;       /* last */
    ngx_uint_t                        written;     /* in the transaction */
    size_t                            used;
    size_t                            size;        /* of the file */
    unsigned                          broken:1;    /* to be opened again */
};


/* each value ends with a checksum of its key and itself */

#define NGX_HTTP_CONDUIT_LMDB_SUM  4

/* cuts it off; MDB_CORRUPTED: it is another one */
int ngx_http_conduit_lmdb_value(MDB_val *key, MDB_val *value);


/* a transaction; another process may have enlarged the file, or cut it off */
int ngx_http_conduit_lmdb_txn(ngx_http_conduit_lmdb_t *db, unsigned flags,
    MDB_txn **txn, const char **why);

/* what an error means: is it because of damage? */
ngx_uint_t ngx_http_conduit_lmdb_damaged(int rc);
const char *ngx_http_conduit_lmdb_error(int rc);

/* opens it again after it has failed */
int ngx_http_conduit_lmdb_again(ngx_http_conduit_lmdb_t *db, const char **why);

/* the file's: grown is 0 when it is opened, 1 in a transaction that writes */
int ngx_http_conduit_lmdb_length(ngx_http_conduit_lmdb_t *db,
    ngx_uint_t grown, ngx_uint_t create, const char **why);


#endif /* _NGX_HTTP_CONDUIT_LMDB_ENV_H_INCLUDED_ */
