
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_DIGEST_H_INCLUDED_
#define _NGX_CONDUIT_DIGEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_CONDUIT_SHA256_LEN  32


/* SHA-256 over n parts, one after the other; NGX_ERROR: OpenSSL has failed */

ngx_int_t ngx_conduit_sha256(u_char *digest, ngx_str_t *parts, ngx_uint_t n);


#endif /* _NGX_CONDUIT_DIGEST_H_INCLUDED_ */
