
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_ATTEMPT_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_ATTEMPT_H_INCLUDED_


#include <ngx_conduit_curl.h>
#include <ngx_http_conduit_hook.h>


/* One POST, from the claim of a delivery to its outcome. */


typedef struct {
    ngx_http_conduit_sender_t        *sender;
    ngx_conduit_transfer_t           *transfer;
    ngx_http_conduit_hook_claim_t     claim;
    int64_t                           at;          /* begin, ms */
    size_t                            received;    /* of the reply's body */
    ngx_uint_t                        class;       /* of the address */
    in_port_t                         port;
    u_char                            id[CONDUIT_HOOK_ID_LEN];
} ngx_http_conduit_attempt_ctx_t;


/*
 * Begins the attempt that was claimed; text is the delivery's body and the
 * settings behind it, and is copied.  The attempt ends by itself.
 */
void ngx_http_conduit_attempt(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim, u_char *text);

/*
 * The outcome of an attempt, with or without its transfer.  result has the
 * class of the outcome and what belongs to it.
 */
void ngx_http_conduit_attempt_end(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim,
    ngx_http_conduit_hook_result_t *result, int64_t after);

/* it could not be made here and now, and is made again a little later */
void ngx_http_conduit_attempt_back(ngx_http_conduit_sender_t *sender,
    ngx_http_conduit_hook_claim_t *claim, ngx_msec_t after);


#endif /* _NGX_HTTP_CONDUIT_ATTEMPT_H_INCLUDED_ */
