
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_media.h>
#include <ngx_conduit_thread.h>
#include <dirent.h>


/* entries of the folder looked at in one job, and the pause between jobs */
#define NGX_HTTP_CONDUIT_SWEEP_ENTRIES   256
#define NGX_HTTP_CONDUIT_SWEEP_PAUSE     20

/* between two rounds: a tenth of the files' life, within these */
#define NGX_HTTP_CONDUIT_SWEEP_MIN       1000
#define NGX_HTTP_CONDUIT_SWEEP_MAX       300000

/* a worker that does not go on for so long has lost its round */
#define NGX_HTTP_CONDUIT_SWEEP_LEASE     30000

/* a link that a client was given works until the second it was told */
#define NGX_HTTP_CONDUIT_SWEEP_GRACE     2


struct ngx_http_conduit_sweep_s {
    ngx_connection_t                  dumb;        /* of the timer's debug */
    ngx_event_t                       timer;
    ngx_http_conduit_main_conf_t     *cdmcf;
    ngx_msec_t                        interval;
    ngx_msec_t                        lease;       /* as written in the zone */
    DIR                              *dir;         /* in a round */
};


/* the job owns dir while it runs */

typedef struct {
    ngx_http_conduit_sweep_t         *sweep;
    DIR                              *dir;
    char                             *path;
    time_t                            ttl;
    time_t                            now;
    ngx_err_t                         err;
    ngx_uint_t                        removed;
} ngx_http_conduit_sweep_job_t;


static void ngx_http_conduit_sweep_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_conduit_sweep_claim(
    ngx_http_conduit_sweep_t *sweep);
static ngx_int_t ngx_http_conduit_sweep_post(ngx_http_conduit_sweep_t *sweep);
static void ngx_http_conduit_sweep_exec(void *ctx);
static void ngx_http_conduit_sweep_entry(ngx_http_conduit_sweep_job_t *job,
    struct dirent *entry);
static void ngx_http_conduit_sweep_done(void *ctx);
static void ngx_http_conduit_sweep_round(ngx_http_conduit_sweep_t *sweep);


ngx_int_t
ngx_http_conduit_sweep_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    ngx_msec_t                 interval;
    ngx_http_conduit_sweep_t  *sweep;

    /* without locations of ours there is no zone, and there are no results */

    if (cdmcf->media == NULL || cdmcf->handlers == 0) {
        return NGX_OK;
    }

    sweep = ngx_pcalloc(cycle->pool, sizeof(ngx_http_conduit_sweep_t));
    if (sweep == NULL) {
        return NGX_ERROR;
    }

    cdmcf->media->sweep = sweep;

    interval = (ngx_msec_t) cdmcf->media->ttl * 100;
    interval = ngx_max(interval, NGX_HTTP_CONDUIT_SWEEP_MIN);

    sweep->interval = ngx_min(interval, NGX_HTTP_CONDUIT_SWEEP_MAX);
    sweep->cdmcf = cdmcf;

    sweep->dumb.fd = (ngx_socket_t) -1;
    sweep->timer.data = &sweep->dumb;
    sweep->timer.handler = ngx_http_conduit_sweep_timer;
    sweep->timer.log = cycle->log;
    sweep->timer.cancelable = 1;

    ngx_add_timer(&sweep->timer, sweep->interval);

    return NGX_OK;
}


static void
ngx_http_conduit_sweep_timer(ngx_event_t *ev)
{
    ngx_http_conduit_sweep_t  *sweep;

    sweep = (ngx_http_conduit_sweep_t *)
                ((u_char *) ev - offsetof(ngx_http_conduit_sweep_t, timer));

    if (ngx_exiting) {
        return;
    }

    if (ngx_http_conduit_sweep_claim(sweep)
        && ngx_http_conduit_sweep_post(sweep) == NGX_OK)
    {
        return;
    }

    /* a round that is another's by now goes on when it is ours again */

    ngx_add_timer(ev, sweep->interval);
}


/*
 * The zone keeps the time until which nobody else may sweep: while a round is
 * going on, soon; after it, when the next one is due.
 */

static ngx_uint_t
ngx_http_conduit_sweep_claim(ngx_http_conduit_sweep_t *sweep)
{
    ngx_uint_t                claimed;
    ngx_http_conduit_zone_t  *zone;

    zone = &sweep->cdmcf->zone;
    claimed = 0;

    ngx_http_conduit_zone_lock(zone);

    if (zone->sh->sweep == 0
        || (sweep->dir && zone->sh->sweep == sweep->lease)
        || (ngx_msec_int_t) (zone->sh->sweep - ngx_current_msec) <= 0)
    {
        sweep->lease = ngx_current_msec + NGX_HTTP_CONDUIT_SWEEP_LEASE;
        zone->sh->sweep = sweep->lease;
        claimed = 1;
    }

    ngx_http_conduit_zone_unlock(zone);

    return claimed;
}


static ngx_int_t
ngx_http_conduit_sweep_post(ngx_http_conduit_sweep_t *sweep)
{
    ngx_http_conduit_sweep_job_t  *job;

    job = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_sweep_job_t));
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->sweep = sweep;
    job->dir = sweep->dir;
    job->path = (char *) sweep->cdmcf->media->path.data;
    job->ttl = sweep->cdmcf->media->ttl + NGX_HTTP_CONDUIT_SWEEP_GRACE;
    job->now = ngx_time();

    if (ngx_conduit_thread_post(sweep->cdmcf->threads, job,
                                ngx_http_conduit_sweep_exec,
                                ngx_http_conduit_sweep_done)
        != NGX_OK)
    {
        ngx_conduit_thread_free(job);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* in a thread */

static void
ngx_http_conduit_sweep_exec(void *ctx)
{
    ngx_http_conduit_sweep_job_t  *job = ctx;

    ngx_uint_t      n;
    struct dirent  *entry;

    if (job->dir == NULL) {
        job->dir = opendir(job->path);

        if (job->dir == NULL) {
            job->err = ngx_errno;
            return;
        }
    }

    for (n = 0; n < NGX_HTTP_CONDUIT_SWEEP_ENTRIES; n++) {
        entry = readdir(job->dir);

        if (entry == NULL) {
            (void) closedir(job->dir);
            job->dir = NULL;
            return;
        }

        ngx_http_conduit_sweep_entry(job, entry);
    }
}


static void
ngx_http_conduit_sweep_entry(ngx_http_conduit_sweep_job_t *job,
    struct dirent *entry)
{
    int                   fd;
    struct stat           st;
    conduit_media_file_e  file;

    file = conduit_media_classify((u_char *) entry->d_name,
                                  ngx_strlen(entry->d_name));

    if (file == CONDUIT_MEDIA_FOREIGN) {
        return;
    }

    fd = dirfd(job->dir);

    if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1
        || !S_ISREG(st.st_mode)
        || !conduit_media_expired(file, st.st_mtime, job->ttl, job->now))
    {
        return;
    }

    if (unlinkat(fd, entry->d_name, 0) == 0) {
        job->removed++;
        return;
    }

    if (ngx_errno != NGX_ENOENT) {
        job->err = ngx_errno;
    }
}


static void
ngx_http_conduit_sweep_done(void *ctx)
{
    ngx_http_conduit_sweep_job_t  *job = ctx;

    ngx_http_conduit_sweep_t  *sweep;

    sweep = job->sweep;

    if (job->err) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, job->err,
                      "conduit_media: removing old files of \"%s\" failed",
                      job->path);
    }

    if (job->removed) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "conduit_media: removed %ui old files", job->removed);
    }

    if (ngx_exiting) {

        if (job->dir) {
            (void) closedir(job->dir);
        }

        sweep->dir = NULL;
        return;
    }

    if (job->dir) {
        sweep->dir = job->dir;
        ngx_add_timer(&sweep->timer, NGX_HTTP_CONDUIT_SWEEP_PAUSE);
        return;
    }

    ngx_http_conduit_sweep_round(sweep);
}


/* the round is over: the next one is for whoever comes first then */

static void
ngx_http_conduit_sweep_round(ngx_http_conduit_sweep_t *sweep)
{
    ngx_http_conduit_zone_t  *zone;

    zone = &sweep->cdmcf->zone;
    sweep->dir = NULL;

    ngx_http_conduit_zone_lock(zone);

    if (zone->sh->sweep == sweep->lease) {
        zone->sh->sweep = ngx_current_msec + sweep->interval;
    }

    ngx_http_conduit_zone_unlock(zone);

    ngx_add_timer(&sweep->timer, sweep->interval);
}
