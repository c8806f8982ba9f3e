
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_thread.h>


/* how long a worker that exits gracefully waits for a job */
#define NGX_CONDUIT_THREAD_HOLD  60000


typedef struct {
    ngx_thread_task_t            task;
    ngx_event_t                  hold;
    ngx_conduit_thread_exec_pt   exec;
    ngx_conduit_thread_done_pt   done;
    void                        *ctx;
} ngx_conduit_thread_job_t;


/* the context follows the job in the same allocation */

#define ngx_conduit_thread_job_size                                           \
    ngx_align(sizeof(ngx_conduit_thread_job_t), 16)

#define ngx_conduit_thread_job(ctx)                                           \
    (ngx_conduit_thread_job_t *)                                              \
        (void *) ((u_char *) (ctx) - ngx_conduit_thread_job_size)


static void ngx_conduit_thread_handler(void *data, ngx_log_t *log);
static void ngx_conduit_thread_completion(ngx_event_t *ev);
static void ngx_conduit_thread_hold(ngx_event_t *ev);


/* nginx logs the fd of a timer's connection when it debugs events */
static ngx_connection_t  ngx_conduit_thread_dumb;


ngx_thread_pool_t *
ngx_conduit_thread_pool(ngx_conf_t *cf)
{
    return ngx_thread_pool_add(cf, NULL);
}


void *
ngx_conduit_thread_alloc(size_t size)
{
    ngx_conduit_thread_job_t  *job;

    job = ngx_calloc(ngx_conduit_thread_job_size + size, ngx_cycle->log);
    if (job == NULL) {
        return NULL;
    }

    job->ctx = (u_char *) job + ngx_conduit_thread_job_size;

    return job->ctx;
}


void
ngx_conduit_thread_free(void *ctx)
{
    ngx_free(ngx_conduit_thread_job(ctx));
}


ngx_int_t
ngx_conduit_thread_post(ngx_thread_pool_t *tp, void *ctx,
    ngx_conduit_thread_exec_pt exec, ngx_conduit_thread_done_pt done)
{
    ngx_conduit_thread_job_t  *job;

    job = ngx_conduit_thread_job(ctx);

    job->exec = exec;
    job->done = done;

    job->task.ctx = job;
    job->task.handler = ngx_conduit_thread_handler;
    job->task.event.data = job;
    job->task.event.handler = ngx_conduit_thread_completion;
    job->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(tp, &job->task) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * a worker that exits gracefully stays as long as there are timers, and
     * would otherwise leave before the completion of its jobs is seen
     */

    ngx_conduit_thread_dumb.fd = (ngx_socket_t) -1;

    job->hold.data = &ngx_conduit_thread_dumb;
    job->hold.handler = ngx_conduit_thread_hold;
    job->hold.log = ngx_cycle->log;

    ngx_add_timer(&job->hold, NGX_CONDUIT_THREAD_HOLD);

    return NGX_OK;
}


static void
ngx_conduit_thread_handler(void *data, ngx_log_t *log)
{
    ngx_conduit_thread_job_t  *job = data;

    /*
     * a fast exit waits for the whole queue, though nobody will see what
     * comes of it, and the master kills workers that take longer than 1 s
     */

    if (ngx_terminate) {
        return;
    }

    job->exec(job->ctx);
}


static void
ngx_conduit_thread_completion(ngx_event_t *ev)
{
    ngx_conduit_thread_job_t  *job;

    job = ev->data;

    if (job->hold.timer_set) {
        ngx_del_timer(&job->hold);
    }

    job->done(job->ctx);

    ngx_free(job);
}


static void
ngx_conduit_thread_hold(ngx_event_t *ev)
{
    ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                  "a thread job is running for more than a minute");
}
