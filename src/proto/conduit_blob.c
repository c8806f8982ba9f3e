
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_blob.h"


#define CONDUIT_BLOB_MIN  4096


void
conduit_blob_init(conduit_blob_t *blob, size_t max)
{
    blob->data = NULL;
    blob->len = 0;
    blob->size = 0;
    blob->max = max;
}


int
conduit_blob_reserve(conduit_blob_t *blob, size_t n)
{
    size_t   size;
    u_char  *data;

    if (n > blob->max - blob->len) {
        return CONDUIT_DECLINED;
    }

    if (n <= blob->size - blob->len) {
        return CONDUIT_OK;
    }

    size = blob->size ? blob->size : CONDUIT_BLOB_MIN;

    while (size - blob->len < n) {

        if (size > blob->max / 2) {
            size = blob->max;
            break;
        }

        size *= 2;
    }

    data = realloc(blob->data, size);
    if (data == NULL) {
        return CONDUIT_ERROR;
    }

    blob->data = data;
    blob->size = size;

    return CONDUIT_OK;
}


int
conduit_blob_append(conduit_blob_t *blob, const void *data, size_t n)
{
    int  rc;

    if (n == 0) {
        return CONDUIT_OK;
    }

    rc = conduit_blob_reserve(blob, n);

    if (rc == CONDUIT_OK) {
        memcpy(blob->data + blob->len, data, n);
        blob->len += n;
    }

    return rc;
}


void
conduit_blob_free(conduit_blob_t *blob)
{
    free(blob->data);

    blob->data = NULL;
    blob->len = 0;
    blob->size = 0;
}
