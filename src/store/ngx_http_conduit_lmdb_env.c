
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_datafile.h>
#include <ngx_http_conduit_lmdb_env.h>
#include <signal.h>


#define NGX_HTTP_CONDUIT_LMDB_FORMAT  "conduit-store-3"


static int ngx_http_conduit_lmdb_env(ngx_http_conduit_lmdb_t *db,
    ngx_uint_t create, const char **why);
static int ngx_http_conduit_lmdb_there(ngx_http_conduit_lmdb_t *db,
    const char **why);
static int ngx_http_conduit_lmdb_tables(ngx_http_conduit_lmdb_t *db,
    ngx_uint_t create, const char **why);
static int ngx_http_conduit_lmdb_bare(MDB_txn *txn, ngx_uint_t *empty);
static int ngx_http_conduit_lmdb_format(ngx_http_conduit_lmdb_t *db,
    MDB_txn *txn, ngx_uint_t create, const char **why);


#define ngx_http_conduit_lmdb_name(buf, path)                                 \
    *ngx_snprintf(buf, sizeof(buf) - 1, "%s/data.mdb", path) = '\0'


static const char *ngx_http_conduit_lmdb_names[NGX_HTTP_CONDUIT_LMDB_TABLES] =
{
    "tasks",
    "states",
    "hooks",
    "keys"
};


ngx_http_conduit_lmdb_t *
ngx_http_conduit_lmdb_open(ngx_http_conduit_lmdb_conf_t *conf,
    ngx_http_conduit_merge_pt merge, ngx_uint_t create, const char **why)
{
    int                       rc, dead;
    ngx_http_conduit_lmdb_t  *db;

    *why = NULL;

    db = calloc(1, sizeof(ngx_http_conduit_lmdb_t));
    if (db == NULL) {
        *why = "out of memory";
        return NULL;
    }

    db->conf = *conf;
    db->merge = merge;

    rc = ngx_http_conduit_lmdb_env(db, create, why);

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_length(db, 0, create, why);
    }

    if (rc == 0) {

        /* readers that were killed must not keep old pages in use */

        (void) mdb_reader_check(db->env, &dead);

        rc = ngx_http_conduit_lmdb_tables(db, create, why);
    }

    if (rc == 0) {
        return db;
    }

    if (*why == NULL) {
        *why = ngx_http_conduit_lmdb_error(rc);
    }

    ngx_http_conduit_lmdb_close(db);

    return NULL;
}


void
ngx_http_conduit_lmdb_close(ngx_http_conduit_lmdb_t *db)
{
    if (db->env) {
        mdb_env_close(db->env);
    }

    free(db);
}


static int
ngx_http_conduit_lmdb_env(ngx_http_conduit_lmdb_t *db, ngx_uint_t create,
    const char **why)
{
    int       rc;
    unsigned  flags;

    rc = create ? 0 : ngx_http_conduit_lmdb_there(db, why);
    if (rc) {
        return rc;
    }

    rc = mdb_env_create(&db->env);
    if (rc) {
        db->env = NULL;
        return rc;
    }

    rc = mdb_env_set_maxdbs(db->env, NGX_HTTP_CONDUIT_LMDB_TABLES + 1);
    if (rc) {
        return rc;
    }

    rc = mdb_env_set_mapsize(db->env,
                        ngx_http_conduit_lmdb_size(db->conf.max_size));
    if (rc) {
        return rc;
    }

    /* a limit of the file's size is an error to be told, not the end */

    (void) signal(SIGXFSZ, SIG_IGN);

    flags = MDB_NOTLS|MDB_NORDAHEAD;

    if (!db->conf.sync) {
        flags |= MDB_NOSYNC;
    }

    return mdb_env_open(db->env, db->conf.path, flags, 0600);
}


/* where there is nothing, LMDB would begin anew */

static int
ngx_http_conduit_lmdb_there(ngx_http_conduit_lmdb_t *db, const char **why)
{
    int       rc;
    u_char    name[NGX_MAX_PATH];
    ngx_fd_t  fd;

    ngx_http_conduit_lmdb_name(name, db->conf.path);

    fd = open((char *) name, O_RDONLY|O_CLOEXEC);
    if (fd == NGX_INVALID_FILE) {
        return errno;
    }

    db->size = ngx_max(db->size, 1);

    rc = ngx_http_conduit_datafile_kept(fd, &db->size, why);

    (void) close(fd);

    return *why ? MDB_CORRUPTED : rc;
}


int
ngx_http_conduit_lmdb_length(ngx_http_conduit_lmdb_t *db, ngx_uint_t grown,
    ngx_uint_t create, const char **why)
{
    int               rc;
    MDB_stat          st;
    MDB_envinfo       info;
    mdb_filehandle_t  fd;

    rc = mdb_env_stat(db->env, &st);

    if (rc == 0) {
        rc = mdb_env_info(db->env, &info);
    }

    if (rc == 0) {
        rc = mdb_env_get_fd(db->env, &fd);
    }

    if (rc) {
        return rc;
    }

    if (grown) {
        ngx_http_conduit_datafile_ahead(fd, (info.me_last_pgno + 1)
                                            * st.ms_psize,
                               ngx_http_conduit_lmdb_size(db->conf.max_size));
        return 0;
    }

    return ngx_http_conduit_datafile_whole(fd, info.me_last_pgno + 1,
                                           st.ms_psize, create, why);
}


static int
ngx_http_conduit_lmdb_tables(ngx_http_conduit_lmdb_t *db, ngx_uint_t create,
    const char **why)
{
    int         rc;
    MDB_txn    *txn;
    ngx_uint_t  i, empty;

    rc = ngx_http_conduit_lmdb_txn(db, create ? 0 : MDB_RDONLY, &txn, why);
    if (rc) {
        return rc;
    }

    /* tables are made once, in an empty file: later they have to be there */

    rc = ngx_http_conduit_lmdb_bare(txn, &empty);
    create = create && empty;

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_format(db, txn, create, why);
    }

    for (i = 0; rc == 0 && i < NGX_HTTP_CONDUIT_LMDB_TABLES; i++) {
        rc = mdb_dbi_open(txn, ngx_http_conduit_lmdb_names[i],
                          create ? MDB_CREATE : 0, &db->tables[i]);
    }

    if (rc == MDB_NOTFOUND && !empty) {
        *why = "data.mdb is damaged";
    }

    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }

    return mdb_txn_commit(txn);
}


static int
ngx_http_conduit_lmdb_bare(MDB_txn *txn, ngx_uint_t *empty)
{
    int       rc;
    MDB_dbi   names;
    MDB_stat  st;

    *empty = 0;

    rc = mdb_dbi_open(txn, NULL, 0, &names);

    if (rc == 0) {
        rc = mdb_stat(txn, names, &st);
    }

    if (rc == 0) {
        *empty = (st.ms_entries == 0);
    }

    return rc;
}


static int
ngx_http_conduit_lmdb_format(ngx_http_conduit_lmdb_t *db, MDB_txn *txn,
    ngx_uint_t create, const char **why)
{
    int      rc;
    MDB_val  key, value;

    rc = mdb_dbi_open(txn, "format", create ? MDB_CREATE : 0, &db->format);
    if (rc) {
        return rc;
    }

    key.mv_data = "format";
    key.mv_size = sizeof("format") - 1;

    rc = mdb_get(txn, db->format, &key, &value);

    if (rc == MDB_NOTFOUND && create) {
        value.mv_data = NGX_HTTP_CONDUIT_LMDB_FORMAT;
        value.mv_size = sizeof(NGX_HTTP_CONDUIT_LMDB_FORMAT) - 1;

        return mdb_put(txn, db->format, &key, &value, 0);
    }

    if (rc) {
        return rc;
    }

    if (value.mv_size != sizeof(NGX_HTTP_CONDUIT_LMDB_FORMAT) - 1
        || memcmp(value.mv_data, NGX_HTTP_CONDUIT_LMDB_FORMAT, value.mv_size)
           != 0)
    {
        *why = "it was written by another version of the module, in another "
               "format than " NGX_HTTP_CONDUIT_LMDB_FORMAT;
        return MDB_VERSION_MISMATCH;
    }

    return 0;
}


/*
 * The file may have been enlarged by a process with another configuration.
 * LMDB would be ended by a look behind the end of one that was cut off.
 */

int
ngx_http_conduit_lmdb_txn(ngx_http_conduit_lmdb_t *db, unsigned flags,
    MDB_txn **txn, const char **why)
{
    int               rc;
    mdb_filehandle_t  fd;

    rc = mdb_env_get_fd(db->env, &fd);

    if (rc == 0) {
        rc = ngx_http_conduit_datafile_kept(fd, &db->size, why);
    }

    if (rc) {
        return *why ? MDB_CORRUPTED : rc;
    }

    rc = mdb_txn_begin(db->env, NULL, flags, txn);

    if (rc == MDB_MAP_RESIZED) {
        rc = mdb_env_set_mapsize(db->env, 0);

        if (rc == 0) {
            rc = mdb_txn_begin(db->env, NULL, flags, txn);
        }
    }

    return rc;
}


/* an environment that has failed to write is of no use */

int
ngx_http_conduit_lmdb_again(ngx_http_conduit_lmdb_t *db, const char **why)
{
    int  rc;

    if (db->env) {
        mdb_env_close(db->env);
        db->env = NULL;
    }

    rc = ngx_http_conduit_lmdb_env(db, 0, why);

    if (rc == 0) {
        rc = ngx_http_conduit_lmdb_tables(db, 0, why);
    }

    db->broken = (rc != 0);

    return rc;
}


ngx_uint_t
ngx_http_conduit_lmdb_empty(ngx_http_conduit_lmdb_conf_t *conf)
{
    u_char       name[NGX_MAX_PATH];
    struct stat  fs;

    ngx_http_conduit_lmdb_name(name, conf->path);

    return stat((char *) name, &fs) == -1 || fs.st_size == 0;
}


/* these come of nothing else: files are written by nobody but this code */

ngx_uint_t
ngx_http_conduit_lmdb_damaged(int rc)
{
    switch (rc) {

    case MDB_NOTFOUND:
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_TXN:
    case MDB_BAD_DBI:
        return 1;

    default:
        return 0;
    }
}


const char *
ngx_http_conduit_lmdb_error(int rc)
{
    return (ngx_http_conduit_lmdb_damaged(rc) && rc != MDB_INVALID)
           ? "data.mdb is damaged" : mdb_strerror(rc);
}
