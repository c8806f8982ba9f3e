
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_THREAD_H_INCLUDED_
#define _NGX_CONDUIT_THREAD_H_INCLUDED_


/*
 * Jobs for the thread pool "default", without a "thread_pool" directive.
 *
 * A job owns its context, which lies outside of all pools: whoever asked for
 * it (a request, a task) may be gone when it ends.  It tells the job so by a
 * member of the context, and the context stays valid until done() returns.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>


/* in a thread: no nginx calls except plain system calls, no log */
typedef void (*ngx_conduit_thread_exec_pt)(void *ctx);

/* on the event loop; ctx is freed when it returns */
typedef void (*ngx_conduit_thread_done_pt)(void *ctx);


/* while the configuration is read; NULL: no memory */
ngx_thread_pool_t *ngx_conduit_thread_pool(ngx_conf_t *cf);

/* a zeroed context; NULL: no memory */
void *ngx_conduit_thread_alloc(size_t size);

/* frees a context that was not posted */
void ngx_conduit_thread_free(void *ctx);

/*
 * NGX_OK: exec(ctx) runs in a thread, then done(ctx) here; NGX_ERROR (the
 * queue is full): neither does, and ctx still belongs to the caller.
 *
 * A worker that exits gracefully waits for its jobs, at most a minute; in one
 * that is terminated a posted job is finished, but done() does not run.
 */
ngx_int_t ngx_conduit_thread_post(ngx_thread_pool_t *tp, void *ctx,
    ngx_conduit_thread_exec_pt exec, ngx_conduit_thread_done_pt done);


#endif /* _NGX_CONDUIT_THREAD_H_INCLUDED_ */
