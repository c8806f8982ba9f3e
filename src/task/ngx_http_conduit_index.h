
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_INDEX_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_INDEX_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/*
 * What this process has for tasks, by their ids: a hash table that grows, so
 * that finding does not take longer among many.  The entry is the first member
 * of the caller's structure; ids are random.
 */

typedef struct ngx_http_conduit_entry_s  ngx_http_conduit_entry_t;

struct ngx_http_conduit_entry_s {
    ngx_http_conduit_entry_t         *next;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
};


typedef struct {
    ngx_http_conduit_entry_t        **slots;
    ngx_uint_t                        mask;
    ngx_uint_t                        n;
    ngx_log_t                        *log;
} ngx_http_conduit_index_t;


typedef void (*ngx_http_conduit_index_pt)(void *data,
    ngx_http_conduit_entry_t *entry);


/* NGX_OK, or NGX_ERROR: no memory */

ngx_int_t ngx_http_conduit_index_init(ngx_http_conduit_index_t *index,
    ngx_log_t *log);

/* one that was added for the id, or NULL; and another one of the same id */

ngx_http_conduit_entry_t *ngx_http_conduit_index_find(
    ngx_http_conduit_index_t *index, const u_char *id);
ngx_http_conduit_entry_t *ngx_http_conduit_index_next(
    ngx_http_conduit_entry_t *entry);

/*
 * Among thousands of ids neither the slot nor the entry of one is in the
 * processor's caches: find() takes less time if the slot was asked for a while
 * before, and the entry when the slot was there.
 */

void ngx_http_conduit_index_ahead(ngx_http_conduit_index_t *index,
    const u_char *id);
void ngx_http_conduit_index_ahead_entry(ngx_http_conduit_index_t *index,
    const u_char *id);

/* adds an entry whose id is set; removes one that was added */

void ngx_http_conduit_index_add(ngx_http_conduit_index_t *index,
    ngx_http_conduit_entry_t *entry);
void ngx_http_conduit_index_remove(ngx_http_conduit_index_t *index,
    ngx_http_conduit_entry_t *entry);

/* calls the handler for each, which may not change the index */

void ngx_http_conduit_index_walk(ngx_http_conduit_index_t *index,
    ngx_http_conduit_index_pt handler, void *data);


#endif /* _NGX_HTTP_CONDUIT_INDEX_H_INCLUDED_ */
