
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_BLOCK_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_BLOCK_H_INCLUDED_


#include <ngx_http_conduit_lmdb.h>


/*
 * Ops as the journal has them: a head with a checksum of all that follows, and
 * the ops one after another, up to a whole number of pages, in the order of
 * bytes of this machine.
 */


#define NGX_HTTP_CONDUIT_BLOCK_PAGE   4096
#define NGX_HTTP_CONDUIT_BLOCK_MAGIC  "conduit2"


typedef struct {
    u_char                            magic[8];
    uint32_t                          sum;         /* of what follows */
    uint32_t                          chain;       /* sum of the block before */
    uint64_t                          generation;  /* of the file */
    uint64_t                          flushed;     /* bytes of it before */
    uint64_t                          before;      /* of the last one */
    uint32_t                          len;         /* behind the head */
    uint32_t                          ops;
    uint32_t                          writes;
    uint32_t                          pad;
} ngx_http_conduit_block_t;


/* what an op may take of the tables, at most */
size_t ngx_http_conduit_block_cost(ngx_http_conduit_op_t *op);

/*
 * Makes a block of those ops whose rc is NGX_OK, to be freed by the caller:
 * completes the head, whose numbers of the file are given, and sums the costs.
 * Returns its length, and 0 with no block if there is nothing, or no memory,
 * or more than 1 GB: then costs are not 0.
 */
size_t ngx_http_conduit_block_make(u_char **block,
    ngx_http_conduit_block_t *head, ngx_http_conduit_op_t *ops, size_t *cost);

/*
 * Is there a whole block at the begin of the data, of that generation?  Then
 * the head is copied, and its length returned, else 0.
 */
size_t ngx_http_conduit_block_check(ngx_http_conduit_block_t *head,
    u_char *data, size_t size, uint64_t generation);

/*
 * The ops of a checked block, in one piece of memory, which point into its
 * data; NULL and errno: no memory, or EBADMSG, it is not what was written.
 */
ngx_http_conduit_op_t *ngx_http_conduit_block_ops(
    ngx_http_conduit_block_t *head, u_char *data);


#endif /* _NGX_HTTP_CONDUIT_BLOCK_H_INCLUDED_ */
