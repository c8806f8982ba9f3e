
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_KEY_FILE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_KEY_FILE_H_INCLUDED_


#include <ngx_http_conduit_key_conf.h>
#include <conduit_json.h>


/* Between the files that read keys, from nginx.conf or from a file. */


typedef struct {
    ngx_pool_t                       *pool;        /* of the contents */
    ngx_http_conduit_key_t           *key;
    ngx_cycle_t                      *cycle;
    ngx_uint_t                        seen;        /* members given so far */
    ngx_str_t                         jwk;         /* text, if read already */
    ngx_str_t                         error;
} ngx_http_conduit_key_parse_t;


/* prepares an empty key, and checks a complete one */

ngx_int_t ngx_http_conduit_key_begin(ngx_http_conduit_key_parse_t *kp);
ngx_int_t ngx_http_conduit_key_end(ngx_http_conduit_key_parse_t *kp);

/*
 * Sets a member of a key; args are its parameters.  NGX_ERROR leaves what is
 * wrong in kp->error.
 */

ngx_int_t ngx_http_conduit_key_member(ngx_http_conduit_key_parse_t *kp,
    ngx_str_t *name, ngx_str_t *args, ngx_uint_t nargs);


/*
 * A file that is read, with the JWKs that it names, without anything of
 * nginx: it may happen in a thread.  json is NULL if something is wrong, and
 * error says what.  The prefix is that of relative names, with its slash.
 */

typedef struct {
    char                             *path;
    char                             *prefix;
    size_t                            prefix_len;

    ngx_http_conduit_key_stat_t       stat;
    json_t                           *json;
    ngx_err_t                         err;
    char                              error[256];
} ngx_http_conduit_key_source_t;

void ngx_http_conduit_key_source_read(ngx_http_conduit_key_source_t *src);

/* the state of a file now */

void ngx_http_conduit_key_source_stat(const char *path,
    ngx_http_conduit_key_stat_t *st);

/*
 * The text of a file with a public JSON Web Key, allocated by malloc(), and
 * the key read from it.  NULL: something is wrong with it, and *why goes on
 * after "which".
 */

char *ngx_http_conduit_key_jwk(const char *path, size_t *len,
    conduit_jwk_t *jwk, const char **why);


/*
 * Makes the keys of a parsed file and puts them in force, all or none; the
 * contents lie in the pool, which then belongs to the keys.  NGX_ERROR:
 * something is wrong, and told in *error, which lies in the pool.
 */

ngx_int_t ngx_http_conduit_key_file_apply(ngx_http_conduit_keys_t *keys,
    json_t *json, ngx_cycle_t *cycle, ngx_pool_t *pool, ngx_str_t *error);


/*
 * Makes the table of n keys, whose contents may not be in force yet.
 * NGX_DECLINED: two keys, *a and *b, have the same secret.
 */

ngx_int_t ngx_http_conduit_key_table(ngx_http_conduit_key_table_t *table,
    ngx_pool_t *pool, ngx_http_conduit_key_t **keys,
    ngx_http_conduit_key_t **contents, ngx_uint_t n,
    ngx_http_conduit_key_t **a, ngx_http_conduit_key_t **b);

/* adds a key to the list and the names */

ngx_int_t ngx_http_conduit_key_add(ngx_http_conduit_keys_t *keys,
    ngx_http_conduit_key_t *key);


#endif /* _NGX_HTTP_CONDUIT_KEY_FILE_H_INCLUDED_ */
