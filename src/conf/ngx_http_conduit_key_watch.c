
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_key_file.h>
#include <ngx_conduit_thread.h>


/* a change is seen within two seconds, the time of reading included */

#define NGX_HTTP_CONDUIT_KEY_WATCH  1000


typedef struct {
    ngx_http_conduit_key_watch_t     *watch;       /* NULL: gone */
    ngx_http_conduit_key_stat_t       last;
    ngx_http_conduit_key_source_t     src;
    unsigned                          changed:1;
    char                              text[1];     /* path, prefix */
} ngx_http_conduit_key_job_t;


struct ngx_http_conduit_key_watch_s {
    ngx_event_t                       timer;
    ngx_connection_t                  dumb;
    ngx_cycle_t                      *cycle;
    ngx_http_conduit_keys_t          *keys;
    ngx_http_conduit_key_stat_t       last;
    ngx_http_conduit_key_job_t       *job;
};


static void ngx_http_conduit_key_watch_handler(ngx_event_t *ev);
static ngx_http_conduit_key_job_t *ngx_http_conduit_key_watch_job(
    ngx_http_conduit_key_watch_t *watch);
static void ngx_http_conduit_key_watch_exec(void *data);
static void ngx_http_conduit_key_watch_done(void *data);
static void ngx_http_conduit_key_watch_apply(
    ngx_http_conduit_key_watch_t *watch, ngx_http_conduit_key_source_t *src);
static void ngx_http_conduit_key_watch_cleanup(void *data);


ngx_int_t
ngx_http_conduit_keys_watch(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_conduit_keys_t       *keys;
    ngx_http_conduit_key_watch_t  *watch;

    keys = cdmcf->keys;

    if (keys == NULL || keys->file.len == 0 || keys->watch) {
        return NGX_OK;
    }

    watch = ngx_pcalloc(cycle->pool, sizeof(ngx_http_conduit_key_watch_t));
    if (watch == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_conduit_key_watch_cleanup;
    cln->data = watch;

    watch->cycle = cycle;
    watch->keys = keys;
    watch->last = keys->stat;

    /* nginx logs the fd of a timer's connection when it debugs events */

    watch->dumb.fd = (ngx_socket_t) -1;

    watch->timer.data = &watch->dumb;
    watch->dumb.data = watch;
    watch->timer.handler = ngx_http_conduit_key_watch_handler;
    watch->timer.log = cycle->log;
    watch->timer.cancelable = 1;

    keys->watch = watch;

    ngx_add_timer(&watch->timer, NGX_HTTP_CONDUIT_KEY_WATCH);

    return NGX_OK;
}


static void
ngx_http_conduit_key_watch_handler(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_http_conduit_key_job_t    *job;
    ngx_http_conduit_key_watch_t  *watch;

    c = ev->data;
    watch = c->data;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_CONDUIT_KEY_WATCH);

    if (watch->job) {
        return;
    }

    job = ngx_http_conduit_key_watch_job(watch);
    if (job == NULL) {
        return;
    }

    if (ngx_conduit_thread_post(watch->keys->threads, job,
                                ngx_http_conduit_key_watch_exec,
                                ngx_http_conduit_key_watch_done)
        != NGX_OK)
    {
        ngx_conduit_thread_free(job);
        return;
    }

    watch->job = job;
}


static ngx_http_conduit_key_job_t *
ngx_http_conduit_key_watch_job(ngx_http_conduit_key_watch_t *watch)
{
    u_char                      *p;
    ngx_str_t                   *file, *prefix;
    ngx_http_conduit_key_job_t  *job;

    file = &watch->keys->file;
    prefix = &watch->cycle->conf_prefix;

    job = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_key_job_t)
                                   + file->len + prefix->len + 2);
    if (job == NULL) {
        return NULL;
    }

    job->watch = watch;
    job->last = watch->last;

    p = (u_char *) job->text;
    job->src.path = (char *) p;

    p = ngx_cpymem(p, file->data, file->len);
    *p++ = '\0';

    job->src.prefix = (char *) p;
    job->src.prefix_len = prefix->len;

    p = ngx_cpymem(p, prefix->data, prefix->len);
    *p = '\0';

    return job;
}


static void
ngx_http_conduit_key_watch_exec(void *data)
{
    ngx_http_conduit_key_job_t  *job = data;

    ngx_http_conduit_key_stat_t  st;

    ngx_http_conduit_key_source_stat(job->src.path, &st);

    if (st.inode == job->last.inode && st.size == job->last.size
        && st.mtime == job->last.mtime && st.ctime == job->last.ctime
        && st.err == job->last.err)
    {
        return;
    }

    job->changed = 1;

    ngx_http_conduit_key_source_read(&job->src);
}


static void
ngx_http_conduit_key_watch_done(void *data)
{
    ngx_http_conduit_key_job_t  *job = data;

    if (job->watch) {
        job->watch->job = NULL;

        if (job->changed) {
            job->watch->last = job->src.stat;
            ngx_http_conduit_key_watch_apply(job->watch, &job->src);
        }
    }

    if (job->src.json) {
        json_decref(job->src.json);
    }
}


static void
ngx_http_conduit_key_watch_apply(ngx_http_conduit_key_watch_t *watch,
    ngx_http_conduit_key_source_t *src)
{
    ngx_str_t                 error;
    ngx_log_t                *log;
    ngx_pool_t               *pool;
    ngx_http_conduit_keys_t  *keys;

    keys = watch->keys;
    log = watch->cycle->log;

    if (src->json == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, src->err,
                      "\"conduit_key_file\" \"%V\" %s, the keys stay as they"
                      " were", &keys->file, src->error);
        return;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);
    if (pool == NULL) {
        return;
    }

    if (ngx_http_conduit_key_file_apply(keys, src->json, watch->cycle, pool,
                                        &error)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "\"conduit_key_file\" \"%V\": %V, the keys stay as they"
                      " were", &keys->file, &error);
        ngx_destroy_pool(pool);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "\"conduit_key_file\" \"%V\" was read again", &keys->file);
}


/* without a master process a reload ends the configuration, not the process */

static void
ngx_http_conduit_key_watch_cleanup(void *data)
{
    ngx_http_conduit_key_watch_t  *watch = data;

    if (watch->timer.timer_set) {
        ngx_del_timer(&watch->timer);
    }

    if (watch->job) {
        watch->job->watch = NULL;
    }
}
