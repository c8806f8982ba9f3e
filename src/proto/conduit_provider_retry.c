
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Retry-After and its relatives. */


#include "conduit_provider.h"
#include "conduit_retry.h"


#define CONDUIT_RETRY_DAY  ((int64_t) 86400 * 1000)


int64_t
conduit_retry_after(const conduit_reply_t *reply)
{
    int64_t        ms;
    conduit_str_t  value;

    if (reply->header == NULL) {
        return -1;
    }

    if (reply->header(reply->data, "retry-after-ms", &value) == CONDUIT_OK
        && conduit_retry_decimal(value.data, value.len, 1, CONDUIT_RETRY_DAY,
                                 &ms)
           == CONDUIT_OK)
    {
        return ms;
    }

    if (reply->header(reply->data, "Retry-After", &value) != CONDUIT_OK) {
        return -1;
    }

    return conduit_retry_after_read(value.data, value.len,
                                    (int64_t) reply->now * 1000,
                                    CONDUIT_RETRY_DAY);
}
