
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_APART_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_APART_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* NULL is success, else it tells why */
typedef const char *(*ngx_http_conduit_apart_pt)(void *data);

/*
 * Calls it in a process of its own, and waits for that: LMDB trusts its file,
 * and may crash over a damaged one.  Returns what it has returned, in the
 * buffer, or that the file is damaged if it has not returned.
 */
const char *ngx_http_conduit_apart(ngx_http_conduit_apart_pt call, void *data,
    char *buf, size_t size);


#endif /* _NGX_HTTP_CONDUIT_APART_H_INCLUDED_ */
