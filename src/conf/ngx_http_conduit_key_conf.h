
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_KEY_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_KEY_CONF_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_conduit_digest.h>
#include <conduit_jwe.h>
#include <conduit_signature.h>


/*
 * Virtual keys, from conduit_key blocks and from the file of conduit_key_file,
 * found by the SHA-256 of what a client presents; the key itself is nowhere.
 *
 * A key object lives as long as the configuration, so that requests and
 * connections may keep pointers to it.  What the file says about it lies in a
 * pool of its own, which is replaced when the file is read again: never keep
 * the address of a member's content over a turn of the event loop.  A key that
 * has left the file is "removed", which is like one that was never there.
 */


/* why a lookup found no key */

#define NGX_HTTP_CONDUIT_KEY_OK        0
#define NGX_HTTP_CONDUIT_KEY_UNKNOWN   1
#define NGX_HTTP_CONDUIT_KEY_EXPIRED   2
#define NGX_HTTP_CONDUIT_KEY_DISABLED  3


typedef struct {
    u_char                            digest[NGX_CONDUIT_SHA256_LEN];
    time_t                            expires;     /* 0: never */
} ngx_http_conduit_secret_t;


/* a secret that signs webhooks, until it expires */

typedef struct {
    size_t                            len;
    u_char                            data[CONDUIT_SECRET_MAX];
    time_t                            expires;     /* 0: never */
} ngx_http_conduit_webhook_secret_t;


struct ngx_http_conduit_key_s {
    ngx_str_node_t                    sn;          /* keys->names */
    ngx_str_t                         name;

    ngx_array_t                       secrets;     /* secret_t */
    ngx_array_t                       models;      /* ngx_str_t; empty: all */

    conduit_rate_t                    rate;
    ngx_uint_t                        connections; /* 0: the default */
    ngx_uint_t                        tasks;       /* 0: the default */

    uint32_t                          webhook_rate;    /* 0: off */
    uint32_t                          webhook_window;  /* ms, of the rate */
    ngx_array_t                       webhook_secrets; /* webhook_secret_t */
    conduit_jwk_t                    *webhook_jwk;     /* NULL: none */

    time_t                            expires;     /* 0: never */

    unsigned                          admin:1;
    unsigned                          worker:1;
    unsigned                          disabled:1;
    unsigned                          removed:1;
    unsigned                          file:1;      /* of conduit_key_file */
    unsigned                          rate_set:1;  /* else conduit_rate */
    unsigned                          webhook_rate_set:1;
                                             /* else conduit_webhook_rate */

    ngx_http_conduit_key_node_t      *node;        /* in the zone, once used */
};


/* open addressing: a slot without a key is free; mask is slots - 1 */

typedef struct {
    u_char                            digest[NGX_CONDUIT_SHA256_LEN];
    time_t                            expires;
    ngx_http_conduit_key_t           *key;
} ngx_http_conduit_key_slot_t;


typedef struct {
    ngx_http_conduit_key_slot_t      *slots;
    ngx_uint_t                        mask;
} ngx_http_conduit_key_table_t;


typedef struct ngx_http_conduit_key_watch_s  ngx_http_conduit_key_watch_t;


/* tells two states of a file apart */

typedef struct {
    uint64_t                          inode;
    int64_t                           size;
    int64_t                           mtime;       /* nanoseconds */
    int64_t                           ctime;
    ngx_err_t                         err;         /* why it was not read */
} ngx_http_conduit_key_stat_t;


struct ngx_http_conduit_keys_s {
    ngx_pool_t                       *pool;        /* of the configuration */
    ngx_array_t                       keys;        /* key_t * */
    ngx_rbtree_t                      names;
    ngx_rbtree_node_t                 sentinel;
    ngx_http_conduit_key_table_t      table;

    ngx_str_t                         file;        /* empty: none */
    ngx_http_conduit_key_stat_t       stat;        /* of what was read */
    ngx_pool_t                       *file_pool;   /* what the file says */
    ngx_thread_pool_t                *threads;
    ngx_http_conduit_key_watch_t     *watch;       /* of a worker */
    ngx_uint_t                        generation;  /* rises with each change */
};


/* directives */

char *ngx_http_conduit_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* once all directives are read: reads the file and builds the table */

ngx_int_t ngx_http_conduit_keys_init(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);

/* in a worker: looks after the file from now on */

ngx_int_t ngx_http_conduit_keys_watch(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);


/*
 * The key presented by a client, or NULL with the reason in *why; digest gets
 * its SHA-256, by which key_digest() finds the same again.
 */

ngx_http_conduit_key_t *ngx_http_conduit_key_lookup(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_str_t *presented,
    u_char *digest, ngx_uint_t *why);
ngx_http_conduit_key_t *ngx_http_conduit_key_digest(
    ngx_http_conduit_main_conf_t *cdmcf, u_char *digest, ngx_uint_t *why);

/* the key of a name, or NULL */

ngx_http_conduit_key_t *ngx_http_conduit_key_by_name(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_str_t *name);

/* may the key use this model, by the name that clients give it? */

ngx_uint_t ngx_http_conduit_key_model(ngx_http_conduit_key_t *key,
    ngx_str_t *model);

/* the key's node in the zone, or NULL if there is no memory for one */

ngx_http_conduit_key_node_t *ngx_http_conduit_key_zone(
    ngx_http_conduit_main_conf_t *cdmcf, ngx_http_conduit_key_t *key);


/* a key's name is a label of metrics: 1 to 64 letters, digits or "._:@-" */

ngx_int_t ngx_http_conduit_key_name(ngx_str_t *name);


#endif /* _NGX_HTTP_CONDUIT_KEY_CONF_H_INCLUDED_ */
