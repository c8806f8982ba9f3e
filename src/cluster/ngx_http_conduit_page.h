
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_PAGE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_PAGE_H_INCLUDED_


#include <ngx_http_conduit_peers.h>


/* A page on its way; nobody but page.c and page_read.c looks in here. */


/* tasks that are read at a time, and that a page has at most */

#define NGX_HTTP_CONDUIT_PAGE_GROUP  128


typedef struct ngx_http_conduit_paging_s  ngx_http_conduit_paging_t;


typedef struct {
    uint64_t                          number;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
} ngx_http_conduit_place_t;


typedef struct {
    ngx_http_conduit_paging_t        *paging;
    ngx_http_conduit_place_t          last;
    unsigned                          full:1;      /* there may be more */
} ngx_http_conduit_page_shard_t;


typedef struct {
    ngx_http_conduit_paging_t        *paging;
    ngx_http_conduit_place_t         *place;
    ngx_http_conduit_view_t           view;
    ngx_http_conduit_waiter_t         waiter;
    unsigned                          match:1;
} ngx_http_conduit_page_entry_t;


struct ngx_http_conduit_paging_s {
    ngx_http_conduit_cluster_t       *cluster;
    ngx_http_conduit_page_t          *page;
    ngx_pool_t                       *pool;
    ngx_queue_t                       waiters;     /* empty: it has left */

    ngx_uint_t                        chunk;
    ngx_uint_t                        calls;       /* replies to come */
    unsigned                          begun:1;     /* behind the cursor */
    unsigned                          last:1;      /* round */
    unsigned                          failed:1;
    unsigned                          unknown:1;   /* what "after" names */

    ngx_http_conduit_place_t          cursor;
    ngx_http_conduit_page_shard_t     shards[NGX_HTTP_CONDUIT_SHARDS];
    ngx_array_t                       places;      /* of the round */
    ngx_uint_t                        next;        /* of them */

    ngx_uint_t                        n;
    ngx_http_conduit_page_entry_t     entries[NGX_HTTP_CONDUIT_PAGE_GROUP];
};


/* to be called with each reply */
void ngx_http_conduit_page_go(ngx_http_conduit_paging_t *paging);

/*
 * Reads the next tasks in line; collects those that are wanted and returns 1
 * if the page is complete.
 */
ngx_int_t ngx_http_conduit_page_group(ngx_http_conduit_paging_t *paging);
ngx_uint_t ngx_http_conduit_page_collect(ngx_http_conduit_paging_t *paging);


#endif /* _NGX_HTTP_CONDUIT_PAGE_H_INCLUDED_ */
