
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_WEBHOOK_H_INCLUDED_
#define _CONDUIT_WEBHOOK_H_INCLUDED_


#include "conduit_request.h"


/* a request body that was parsed: the tree and the text it was made from */

typedef struct {
    json_t                       *root;
    const u_char                 *body;
    size_t                        len;
    const conduit_addr_policy_t  *policy;
} conduit_hook_input_t;


/*
 * Checks the members webhook_url, webhook_headers, webhook_metadata and
 * webhook_events (or its alias webhook_events_filter) of a body, and sets the
 * webhook and metadata members of *req.  Text is written at *last, which is
 * moved on; it takes at most twice what the members take in the body, and 128
 * bytes.  Returns CONDUIT_OK or CONDUIT_DECLINED with *fault.
 */

int conduit_webhook_members(conduit_request_t *req,
    const conduit_hook_input_t *in, u_char **last, conduit_fault_t *fault);


#endif /* _CONDUIT_WEBHOOK_H_INCLUDED_ */
