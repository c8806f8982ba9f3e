
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_owner.h>
#include <ngx_http_conduit_apart.h>
#include <ngx_http_conduit_embedded.h>
#include <ngx_http_conduit_pack.h>


/* The start, by the master, before there are workers. */


static const char *ngx_http_conduit_embedded_look(void *data);
static const char *ngx_http_conduit_embedded_fold(
    ngx_http_conduit_embedded_t *embedded);
static ngx_int_t ngx_http_conduit_embedded_take(
    ngx_http_conduit_embedded_t *embedded, ngx_http_conduit_zone_t *zone,
    ngx_log_t *log);
static ngx_int_t ngx_http_conduit_embedded_give(ngx_str_t *path,
    ngx_uid_t user, ngx_log_t *log);
static ngx_int_t ngx_http_conduit_embedded_chown(ngx_str_t *path,
    const char *name, ngx_uid_t user, ngx_log_t *log);


ngx_int_t
ngx_http_conduit_embedded_prepare(ngx_http_conduit_embedded_t *embedded,
    ngx_http_conduit_zone_t *zone, ngx_uid_t user, ngx_uint_t check,
    ngx_log_t *log)
{
    char              buf[NGX_MAX_ERROR_STR / 4];
    u_char            name[NGX_MAX_PATH];
    ngx_int_t         rc;
    const char       *why;
    ngx_file_info_t   fi;

    if (check) {

        /* what is not there yet will be made by the start */

        *ngx_snprintf(name, sizeof(name) - 1, "%V/data.mdb", &embedded->path)
            = '\0';

        if (ngx_file_info(name, &fi) == NGX_FILE_ERROR
            && ngx_errno == NGX_ENOENT)
        {
            return NGX_OK;
        }

    } else {
        rc = ngx_http_conduit_embedded_take(embedded, zone, log);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    why = ngx_http_conduit_apart(check ? ngx_http_conduit_embedded_look
                                       : ngx_http_conduit_embedded_begin,
                                 embedded, buf, sizeof(buf));

    if (why) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "conduit_store \"%V\" cannot be used: %s",
                      &embedded->path, why);
        return NGX_ERROR;
    }

    return check ? NGX_OK
                 : ngx_http_conduit_embedded_give(&embedded->path, user, log);
}


static const char *
ngx_http_conduit_embedded_look(void *data)
{
    ngx_http_conduit_embedded_t  *embedded = data;

    const char               *why;
    ngx_http_conduit_lmdb_t  *db;

    db = ngx_http_conduit_lmdb_open(&embedded->conf,
                                    ngx_http_conduit_pack_merge, 0, &why);

    if (db) {
        ngx_http_conduit_lmdb_close(db);
    }

    return why;
}


/* NGX_AGAIN: it is ours, and the start goes on; else that was all of it */

static ngx_int_t
ngx_http_conduit_embedded_take(ngx_http_conduit_embedded_t *embedded,
    ngx_http_conduit_zone_t *zone, ngx_log_t *log)
{
    ngx_int_t                       rc;
    const char                     *why;
    ngx_http_conduit_journal_sh_t  *sh;

    rc = ngx_conduit_owner_take(&embedded->path, log);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    sh = ngx_slab_calloc(zone->shpool, sizeof(ngx_http_conduit_journal_sh_t));
    if (sh == NULL) {
        why = "conduit_zone is too small";
        goto failed;
    }

    why = ngx_http_conduit_journal_init(sh);

    if (why) {
        goto failed;
    }

    zone->sh->journal = sh;
    embedded->journal.sh = zone->sh->journal;
    zone->sh->loading = (rc == NGX_AGAIN);

    return (rc == NGX_AGAIN) ? NGX_OK : NGX_AGAIN;

failed:

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "conduit_store \"%V\" cannot be used: %s", &embedded->path,
                  why);

    return NGX_ERROR;
}


const char *
ngx_http_conduit_embedded_begin(void *data)
{
    ngx_http_conduit_embedded_t  *embedded = data;

    const char                  *why;
    ngx_http_conduit_journal_t  *journal;

    journal = &embedded->journal;

    why = ngx_http_conduit_journal_open(journal, &embedded->conf);

    /* who has a journal has had tables */

    if (why == NULL
        && (ngx_http_conduit_journal_first(journal, 0)
            || ngx_http_conduit_journal_first(journal, 1))
        && ngx_http_conduit_lmdb_empty(&embedded->conf))
    {
        why = "data.mdb is empty or missing, and its journal is not";
    }

    if (why == NULL) {
        why = ngx_http_conduit_embedded_fold(embedded);
    }

    ngx_http_conduit_journal_close(journal);

    return why;
}


static const char *
ngx_http_conduit_embedded_fold(ngx_http_conduit_embedded_t *embedded)
{
    const char               *why;
    ngx_http_conduit_lmdb_t  *db;

    db = ngx_http_conduit_lmdb_open(&embedded->conf,
                                    ngx_http_conduit_pack_merge, 1, &why);
    if (db == NULL) {
        return why;
    }

    why = ngx_http_conduit_lmdb_check(db);

    if (why == NULL) {
        why = ngx_http_conduit_fold_start(&embedded->journal, db,
                                          ngx_http_conduit_embedded_now());
    }

    ngx_http_conduit_lmdb_close(db);

    return why;
}


/* what the master has made is for the workers */

static ngx_int_t
ngx_http_conduit_embedded_give(ngx_str_t *path, ngx_uid_t user,
    ngx_log_t *log)
{
    ngx_uint_t  i;

    static const char  *names[] = { "", "/data.mdb", "/lock.mdb",
                                    "/journal.0", "/journal.1",
                                    NGX_CONDUIT_OWNER_FILE };

    if (geteuid() != 0) {
        return NGX_OK;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (ngx_http_conduit_embedded_chown(path, names[i], user, log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_embedded_chown(ngx_str_t *path, const char *name,
    ngx_uid_t user, ngx_log_t *log)
{
    u_char           full[NGX_MAX_PATH];
    ngx_file_info_t  fi;

    *ngx_snprintf(full, sizeof(full) - 1, "%V%s", path, name) = '\0';

    if (ngx_file_info(full, &fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      ngx_file_info_n " \"%s\" failed", full);
        return NGX_ERROR;
    }

    if (fi.st_uid != user && chown((char *) full, user, -1) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "chown(\"%s\", %d) failed", full, user);
        return NGX_ERROR;
    }

    return NGX_OK;
}
