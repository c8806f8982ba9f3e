
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_RANDOM_H_INCLUDED_
#define _NGX_CONDUIT_RANDOM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Unguessable bytes, for ids and secrets, from OpenSSL by way of a buffer
 * that belongs to one process: what lies in it is never used twice, also not
 * on the two sides of a fork.  NGX_ERROR: OpenSSL has none; buf is then not
 * to be used.
 */
ngx_int_t ngx_conduit_random_bytes(u_char *buf, size_t len);


#endif /* _NGX_CONDUIT_RANDOM_H_INCLUDED_ */
