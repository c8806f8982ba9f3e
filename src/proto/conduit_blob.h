
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_BLOB_H_INCLUDED_
#define _CONDUIT_BLOB_H_INCLUDED_


#include "conduit.h"


/*
 * A growing output buffer on the heap with a hard cap.  The struct belongs to
 * the caller; the same one is never used by two threads at a time.
 */

typedef struct {
    u_char  *data;
    size_t   len;
    size_t   size;                           /* allocated */
    size_t   max;                            /* len never exceeds it */
} conduit_blob_t;


/* An empty blob; nothing is allocated before the first append. */
void conduit_blob_init(conduit_blob_t *blob, size_t max);


/*
 * Makes room for n bytes behind len without changing len.
 *
 * CONDUIT_OK        blob->data + blob->len has at least n bytes
 * CONDUIT_DECLINED  len + n would be over max; the blob is unchanged
 * CONDUIT_ERROR     no memory; the blob is unchanged
 */
int conduit_blob_reserve(conduit_blob_t *blob, size_t n);


/* Appends n bytes; returns as conduit_blob_reserve(). */
int conduit_blob_append(conduit_blob_t *blob, const void *data, size_t n);


/* Frees what it holds; the blob is empty again with the same cap. */
void conduit_blob_free(conduit_blob_t *blob);


#endif /* _CONDUIT_BLOB_H_INCLUDED_ */
