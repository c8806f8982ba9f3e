
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_OWNER_H_INCLUDED_
#define _NGX_CONDUIT_OWNER_H_INCLUDED_


/*
 * A folder of one nginx.  Its master locks a file there, and all workers hold
 * that lock with it, so that nobody else comes in as long as one of them is
 * left.  The new master of a binary upgrade may wait for it: its parent is
 * named in the file, which workers write, because they know the pid that their
 * master has in the end.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


#define NGX_CONDUIT_OWNER_FILE  "/nginx.pid"


/*
 * The master, before there are workers: makes the folder if it is not there,
 * and takes it.  Later calls, of reloads, find it taken.  NGX_OK; NGX_AGAIN:
 * the nginx that is replaced by this one has it still; or NGX_ERROR, which has
 * been logged.
 */
ngx_int_t ngx_conduit_owner_take(ngx_str_t *path, ngx_log_t *log);

/* a worker, after NGX_AGAIN: takes it for all, NGX_OK, or NGX_AGAIN */
ngx_int_t ngx_conduit_owner_again(void);

/* a worker: tells whose it is */
void ngx_conduit_owner_join(ngx_log_t *log);


#endif /* _NGX_CONDUIT_OWNER_H_INCLUDED_ */
