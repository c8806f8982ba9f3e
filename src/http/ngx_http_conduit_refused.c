
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_create.h>


/* what a full zone, queue or budget tells to wait for, in milliseconds */

#define NGX_HTTP_CONDUIT_FULL_RETRY  5000


ngx_int_t
ngx_http_conduit_create_refused(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_uint_t   status;
    const char  *code, *message;

    switch (rc) {

    case NGX_HTTP_CONDUIT_MISMATCH:
        return ngx_http_conduit_error(r, 422, "idempotency_mismatch", NULL,
                                      "The Idempotency-Key has been used with "
                                      "another request: use a new key");

    case NGX_HTTP_CONDUIT_IN_PROGRESS:
        status = NGX_HTTP_CONFLICT;
        code = "idempotency_in_progress";
        message = "The first request with this Idempotency-Key has not ended "
                  "yet: try again later";
        break;

    case NGX_HTTP_CONDUIT_LIMIT_KEY:
        status = NGX_HTTP_TOO_MANY_REQUESTS;
        code = "too_many_tasks";
        message = "The key has too many unfinished tasks: wait until some end";
        break;

    case NGX_HTTP_CONDUIT_LIMIT_TOTAL:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "too_many_tasks";
        message = "There are too many unfinished tasks: try again later";
        break;

    case NGX_HTTP_CONDUIT_QUEUE_FULL:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "queue_full";
        message = "The queue of the model's provider is full: try again later";
        break;

    case NGX_HTTP_CONDUIT_ZONE_FULL:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "zone_full";
        message = "The gateway's memory for tasks is full: try again later";
        break;

    case NGX_HTTP_CONDUIT_UNKEPT:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "store_unavailable";
        message = "The gateway cannot keep this now, its store is full or "
                  "failing: try again later";
        break;

    case NGX_HTTP_CONDUIT_LOADING:
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
        code = "store_unavailable";
        message = "The gateway is being replaced, and has not got its tasks "
                  "yet: try again soon";
        break;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_conduit_retry_after(r, (rc == NGX_HTTP_CONDUIT_IN_PROGRESS
                                         || rc == NGX_HTTP_CONDUIT_LOADING)
                                        ? 1000 : NGX_HTTP_CONDUIT_FULL_RETRY)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_conduit_error(r, status, code, NULL, "%s", message);
}
