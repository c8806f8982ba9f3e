
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_media.h>
#include <conduit_sandbox.h>
#include <jansson.h>


/*
 * The provider of type sandbox.  Its script follows from the prompt alone, so
 * a step needs nothing but the time since the task's start, and whichever
 * worker performs the next one goes on at the right place.
 */


#define NGX_HTTP_CONDUIT_SANDBOX_N      10

/*
 * Timers run by another clock than the one that tells of a task's start, and
 * milliseconds are rounded: who comes that early is in time, or the step before
 * would be shown once more.
 */

#define NGX_HTTP_CONDUIT_SANDBOX_EARLY  3


typedef struct {
    ngx_http_conduit_work_t          *work;
    json_t                           *request;
    ngx_str_t                         prompt;
    conduit_sandbox_plan_t            plan;

    ngx_uint_t                        n;
    ngx_uint_t                        pending;     /* jobs under way */
    ngx_uint_t                        error;       /* of the first that fails */
    ngx_http_conduit_result_t         results[NGX_HTTP_CONDUIT_SANDBOX_N];
} ngx_http_conduit_sandbox_t;


static ngx_http_conduit_sandbox_t *ngx_http_conduit_sandbox_open(
    ngx_http_conduit_work_t *work);
static void ngx_http_conduit_sandbox_cleanup(void *data);
static uint32_t ngx_http_conduit_sandbox_elapsed(
    ngx_http_conduit_sandbox_t *sb);
static void ngx_http_conduit_sandbox_step(ngx_http_conduit_sandbox_t *sb);
static void ngx_http_conduit_sandbox_show(ngx_http_conduit_sandbox_t *sb,
    ngx_uint_t progress, uint32_t elapsed, uint32_t next);
static void ngx_http_conduit_sandbox_fail(ngx_http_conduit_work_t *work,
    ngx_uint_t error);
static void ngx_http_conduit_sandbox_forget(ngx_http_conduit_work_t *work);
static void ngx_http_conduit_sandbox_change(ngx_http_conduit_work_t *work,
    ngx_http_conduit_change_t *change);
static void ngx_http_conduit_sandbox_told(void *data, ngx_int_t rc);
static void ngx_http_conduit_sandbox_draw(ngx_http_conduit_sandbox_t *sb);
static ngx_int_t ngx_http_conduit_sandbox_job(ngx_http_conduit_sandbox_t *sb,
    ngx_uint_t i);
static void ngx_http_conduit_sandbox_size(ngx_http_conduit_sandbox_t *sb,
    ngx_http_conduit_media_job_t *job);
static int64_t ngx_http_conduit_sandbox_number(ngx_http_conduit_sandbox_t *sb,
    const char *name);
static const char *ngx_http_conduit_sandbox_string(
    ngx_http_conduit_sandbox_t *sb, const char *name);
static void ngx_http_conduit_sandbox_drawn(ngx_http_conduit_media_job_t *job);
static ngx_int_t ngx_http_conduit_sandbox_keep(ngx_pool_t *pool,
    ngx_http_conduit_result_t *dst, ngx_http_conduit_result_t *src);
static void ngx_http_conduit_sandbox_complete(ngx_http_conduit_sandbox_t *sb);
static ngx_int_t ngx_http_conduit_sandbox_fits(ngx_http_conduit_sandbox_t *sb);


void
ngx_http_conduit_sandbox(ngx_http_conduit_work_t *work)
{
    ngx_http_conduit_sandbox_t  *sb;

    /* a task that has ended otherwise: there is nobody to call it off at */

    if (work->step == NGX_HTTP_CONDUIT_STEP_CANCEL) {
        ngx_http_conduit_sandbox_forget(work);
        return;
    }

    sb = ngx_http_conduit_sandbox_open(work);

    if (sb == NULL) {
        ngx_http_conduit_sandbox_fail(work, CONDUIT_ERR_INTERNAL_ERROR);
        return;
    }

    ngx_http_conduit_sandbox_step(sb);
}


static ngx_http_conduit_sandbox_t *
ngx_http_conduit_sandbox_open(ngx_http_conduit_work_t *work)
{
    const char                  *prompt;
    json_error_t                 err;
    ngx_pool_cleanup_t          *cln;
    ngx_http_conduit_sandbox_t  *sb;

    sb = ngx_pcalloc(work->pool, sizeof(ngx_http_conduit_sandbox_t));
    if (sb == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(work->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    sb->work = work;

    sb->request = json_loadb((char *) work->request.data, work->request.len,
                             0, &err);
    if (sb->request == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_conduit_sandbox_cleanup;
    cln->data = sb->request;

    prompt = ngx_http_conduit_sandbox_string(sb, "prompt");

    sb->prompt.data = (u_char *) prompt;
    sb->prompt.len = ngx_strlen(prompt);

    conduit_sandbox_parse(&sb->plan, sb->prompt.data, sb->prompt.len,
                          (uint32_t) ngx_min(work->provider->duration,
                                             CONDUIT_SANDBOX_DURATION_MAX));

    return sb;
}


static void
ngx_http_conduit_sandbox_cleanup(void *data)
{
    json_decref(data);
}


static void
ngx_http_conduit_sandbox_step(ngx_http_conduit_sandbox_t *sb)
{
    uint32_t                  n, elapsed, progress;
    conduit_error_code_e      code;
    conduit_sandbox_step_t    step;
    ngx_http_conduit_work_t  *work;

    work = sb->work;
    elapsed = ngx_http_conduit_sandbox_elapsed(sb);
    progress = 0;

    for (n = 0; conduit_sandbox_step(&sb->plan, n, &step) == CONDUIT_OK; n++) {

        if (work->started == 0
            || step.at_ms > elapsed + NGX_HTTP_CONDUIT_SANDBOX_EARLY)
        {
            ngx_http_conduit_sandbox_show(sb, progress, elapsed, step.at_ms);
            return;
        }

        if (step.event == CONDUIT_SANDBOX_PROGRESS) {
            progress = step.progress;
            continue;
        }

        break;
    }

    if (step.event == CONDUIT_SANDBOX_COMPLETED) {
        ngx_http_conduit_sandbox_draw(sb);
        return;
    }

    if (conduit_error_parse((u_char *) sb->plan.error,
                            ngx_strlen(sb->plan.error), &code)
        != CONDUIT_OK
        || code == CONDUIT_ERR_NONE)
    {
        code = CONDUIT_ERR_PROVIDER_ERROR;
    }

    ngx_http_conduit_sandbox_fail(work, code);
}


/* since the task's start; a clock that was set back ends it */

static uint32_t
ngx_http_conduit_sandbox_elapsed(ngx_http_conduit_sandbox_t *sb)
{
    int64_t      ms;
    ngx_time_t  *tp;

    if (sb->work->started == 0) {
        return 0;
    }

    tp = ngx_timeofday();
    ms = (int64_t) tp->sec * 1000 + tp->msec - sb->work->started;

    if (ms < 0 || ms > CONDUIT_SANDBOX_DURATION_MAX) {
        return CONDUIT_SANDBOX_DURATION_MAX;
    }

    return (uint32_t) ms;
}


static void
ngx_http_conduit_sandbox_show(ngx_http_conduit_sandbox_t *sb,
    ngx_uint_t progress, uint32_t elapsed, uint32_t next)
{
    ngx_http_conduit_work_t    *work;
    ngx_http_conduit_change_t   change;

    work = sb->work;

    ngx_http_conduit_change_task(&change, work->id, work->lease);

    change.event = work->started ? CONDUIT_EV_PROGRESS : CONDUIT_EV_START;
    change.progress = progress;
    change.eta = (conduit_sandbox_left(&sb->plan, elapsed) + 999) / 1000;
    change.step = NGX_HTTP_CONDUIT_STEP_POLL;
    change.after = next - elapsed;

    if (work->kind == CONDUIT_KIND_VIDEO) {
        ngx_str_set(&change.message, "Rendering frames");

    } else {
        ngx_str_set(&change.message, "Rendering image");
    }

    ngx_http_conduit_sandbox_change(work, &change);
}


static void
ngx_http_conduit_sandbox_fail(ngx_http_conduit_work_t *work, ngx_uint_t error)
{
    ngx_http_conduit_change_t  change;

    ngx_http_conduit_change_task(&change, work->id, work->lease);

    change.event = CONDUIT_EV_FAIL;
    change.error_code = error;

    ngx_http_conduit_sandbox_change(work, &change);
}


static void
ngx_http_conduit_sandbox_forget(ngx_http_conduit_work_t *work)
{
    ngx_http_conduit_change_t  change;

    ngx_http_conduit_change_task(&change, work->id, work->lease);

    change.quiet = 1;
    change.step = NGX_HTTP_CONDUIT_STEP_NONE;

    ngx_http_conduit_sandbox_change(work, &change);
}


/* the end of a step; work is gone afterwards, or when the store has answered */

static void
ngx_http_conduit_sandbox_change(ngx_http_conduit_work_t *work,
    ngx_http_conduit_change_t *change)
{
    ngx_int_t  rc;

    work->results = change->results;
    work->nresults = change->nresults;
    work->outcome.handler = ngx_http_conduit_sandbox_told;
    work->outcome.data = work;

    change->outcome = &work->outcome;

    rc = ngx_http_conduit_task_advance(work->cdmcf, change, NULL, NULL);

    if (rc != NGX_AGAIN) {
        ngx_http_conduit_sandbox_told(work, rc);
    }
}


static void
ngx_http_conduit_sandbox_told(void *data, ngx_int_t rc)
{
    ngx_http_conduit_work_t  *work = data;

    ngx_uint_t  i;

    if (rc != NGX_OK) {

        /* nobody will ever be told of these */

        for (i = 0; i < work->nresults; i++) {
            ngx_http_conduit_media_remove(work->cdmcf, &work->results[i].url);
        }
    }

    ngx_destroy_pool(work->pool);
}


/*
 * As many results as were asked for, each a job of its own.  The step stays
 * claimed until the last of them has ended.
 */

static void
ngx_http_conduit_sandbox_draw(ngx_http_conduit_sandbox_t *sb)
{
    int64_t     n;
    ngx_uint_t  i;

    n = 1;

    if (sb->work->kind == CONDUIT_KIND_IMAGE) {
        n = ngx_http_conduit_sandbox_number(sb, "n");
        n = ngx_max(n, 1);
        n = ngx_min(n, NGX_HTTP_CONDUIT_SANDBOX_N);
    }

    sb->n = (ngx_uint_t) n;

    for (i = 0; i < sb->n; i++) {

        if (ngx_http_conduit_sandbox_job(sb, i) != NGX_OK) {
            sb->error = CONDUIT_ERR_INTERNAL_ERROR;
            break;
        }
    }

    if (sb->pending == 0) {
        ngx_http_conduit_sandbox_complete(sb);
    }
}


static ngx_int_t
ngx_http_conduit_sandbox_job(ngx_http_conduit_sandbox_t *sb, ngx_uint_t i)
{
    const char                    *format;
    ngx_http_conduit_media_job_t  *job;

    job = ngx_http_conduit_media_job(sb->work->cdmcf);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->type = (sb->work->kind == CONDUIT_KIND_VIDEO)
                ? NGX_HTTP_CONDUIT_MEDIA_CLIP
                : NGX_HTTP_CONDUIT_MEDIA_PICTURE;

    job->prompt = sb->prompt;
    job->seed = (int64_t)
                  ((uint64_t) ngx_http_conduit_sandbox_number(sb, "seed") + i);
    job->duration = (ngx_uint_t)
                        ngx_http_conduit_sandbox_number(sb, "duration");
    job->fps = (ngx_uint_t) ngx_http_conduit_sandbox_number(sb, "fps");

    ngx_http_conduit_sandbox_size(sb, job);

    format = ngx_http_conduit_sandbox_string(sb, "response_format");

    if (ngx_strcmp(format, "b64_json") == 0) {
        job->inlined = 1;
    }

    job->handler = ngx_http_conduit_sandbox_drawn;
    job->data = &sb->results[i];
    job->owner = sb;

    if (ngx_http_conduit_media_post(job) != NGX_OK) {
        return NGX_ERROR;
    }

    sb->pending++;

    return NGX_OK;
}


/* "WxH", or the default */

static void
ngx_http_conduit_sandbox_size(ngx_http_conduit_sandbox_t *sb,
    ngx_http_conduit_media_job_t *job)
{
    size_t       len;
    ngx_int_t    width, height;
    const char  *size;

    size = ngx_http_conduit_sandbox_string(sb, "size");
    len = strcspn(size, "x");

    width = ngx_atoi((u_char *) size, len);

    if (width == NGX_ERROR || size[len] != 'x') {
        return;
    }

    size += len + 1;
    height = ngx_atoi((u_char *) size, ngx_strlen(size));

    if (height == NGX_ERROR) {
        return;
    }

    job->width = width;
    job->height = height;
}


/* 0 where the member is missing, as all of them were checked at create */

static int64_t
ngx_http_conduit_sandbox_number(ngx_http_conduit_sandbox_t *sb,
    const char *name)
{
    return json_integer_value(json_object_get(sb->request, name));
}


static const char *
ngx_http_conduit_sandbox_string(ngx_http_conduit_sandbox_t *sb,
    const char *name)
{
    const char  *value;

    value = json_string_value(json_object_get(sb->request, name));

    return value ? value : "";
}


static void
ngx_http_conduit_sandbox_drawn(ngx_http_conduit_media_job_t *job)
{
    ngx_uint_t                   error;
    ngx_http_conduit_sandbox_t  *sb;

    sb = job->owner;
    error = job->error;

    if (error == CONDUIT_ERR_NONE
        && ngx_http_conduit_sandbox_keep(sb->work->pool, job->data,
                                         &job->result)
           != NGX_OK)
    {
        error = CONDUIT_ERR_INTERNAL_ERROR;
        job->discard = 1;
    }

    if (sb->error == CONDUIT_ERR_NONE) {
        sb->error = error;
    }

    if (--sb->pending == 0) {
        ngx_http_conduit_sandbox_complete(sb);
    }
}


/* out of the job, which ends now, into the pool of the work */

static ngx_int_t
ngx_http_conduit_sandbox_keep(ngx_pool_t *pool,
    ngx_http_conduit_result_t *dst, ngx_http_conduit_result_t *src)
{
    *dst = *src;

    if (src->url.len) {
        dst->url.data = ngx_pstrdup(pool, &src->url);
        if (dst->url.data == NULL) {
            return NGX_ERROR;
        }
    }

    if (src->b64.len) {
        dst->b64.data = ngx_pstrdup(pool, &src->b64);
        if (dst->b64.data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_conduit_sandbox_complete(ngx_http_conduit_sandbox_t *sb)
{
    ngx_uint_t                  i;
    ngx_http_conduit_work_t    *work;
    ngx_http_conduit_change_t   change;

    work = sb->work;

    if (sb->error == CONDUIT_ERR_NONE
        && ngx_http_conduit_sandbox_fits(sb) != NGX_OK)
    {
        sb->error = CONDUIT_ERR_RESULT_TOO_LARGE;
    }

    if (sb->error != CONDUIT_ERR_NONE) {

        for (i = 0; i < sb->n; i++) {
            ngx_http_conduit_media_remove(work->cdmcf, &sb->results[i].url);
        }

        ngx_http_conduit_sandbox_fail(work, sb->error);
        return;
    }

    ngx_http_conduit_change_task(&change, work->id, work->lease);

    change.event = CONDUIT_EV_COMPLETE;
    change.results = sb->results;
    change.nresults = sb->n;

    ngx_http_conduit_sandbox_change(work, &change);
}


/*
 * Base64 lies in the zone.  What will never fit must not be drawn again and
 * again until the task's time is over.
 */

static ngx_int_t
ngx_http_conduit_sandbox_fits(ngx_http_conduit_sandbox_t *sb)
{
    size_t      len;
    ngx_uint_t  i;

    len = 0;

    for (i = 0; i < sb->n; i++) {
        len += sb->results[i].b64.len;
    }

    return len <= sb->work->cdmcf->zone_size / 2 ? NGX_OK : NGX_DECLINED;
}
