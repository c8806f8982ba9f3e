
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_media.h>
#include <ngx_conduit_random.h>
#include <ngx_conduit_thread.h>
#include <conduit_clip.h>
#include <conduit_png.h>


static void ngx_http_conduit_media_exec(void *ctx);
static void ngx_http_conduit_media_done(void *ctx);
static ngx_uint_t ngx_http_conduit_media_make(
    ngx_http_conduit_media_job_t *job, ngx_str_t *bytes);
static ngx_uint_t ngx_http_conduit_media_decode(
    ngx_http_conduit_media_job_t *job, ngx_str_t *bytes);
static ngx_uint_t ngx_http_conduit_media_draw(
    ngx_http_conduit_media_job_t *job);
static ngx_uint_t ngx_http_conduit_media_store(
    ngx_http_conduit_media_job_t *job, ngx_str_t *bytes);
static ngx_uint_t ngx_http_conduit_media_encode(
    ngx_http_conduit_media_job_t *job, ngx_str_t *bytes);
static void ngx_http_conduit_media_unlink(void *ctx);
static void ngx_http_conduit_media_unlinked(void *ctx);


ngx_http_conduit_media_job_t *
ngx_http_conduit_media_job(ngx_http_conduit_main_conf_t *cdmcf)
{
    size_t                         size;
    u_char                        *p;
    ngx_http_conduit_media_t      *media;
    ngx_http_conduit_media_job_t  *job;

    media = cdmcf->media;
    size = sizeof(ngx_http_conduit_media_job_t);

    if (media) {
        size += ngx_http_conduit_sink_size(media)
                + ngx_http_conduit_media_url_size(media);
    }

    job = ngx_conduit_thread_alloc(size);
    if (job == NULL) {
        return NULL;
    }

    job->threads = cdmcf->threads;
    job->media = media;
    job->sink.fd = NGX_INVALID_FILE;
    job->inlined = (media == NULL);
    job->max = media ? media->max_size : NGX_HTTP_CONDUIT_MEDIA_INLINE;

    conduit_blob_init(&job->blob, job->max);

    if (media == NULL) {
        return job;
    }

    if (ngx_conduit_random_bytes(job->sink.rnd, CONDUIT_MEDIA_RANDOM)
        != NGX_OK)
    {
        ngx_conduit_thread_free(job);
        return NULL;
    }

    p = (u_char *) job + sizeof(ngx_http_conduit_media_job_t);

    ngx_http_conduit_sink_init(&job->sink, media, p);
    job->url = p + ngx_http_conduit_sink_size(media);

    return job;
}


ngx_int_t
ngx_http_conduit_media_post(ngx_http_conduit_media_job_t *job)
{
    if (ngx_conduit_thread_post(job->threads, job,
                                ngx_http_conduit_media_exec,
                                ngx_http_conduit_media_done)
        != NGX_OK)
    {
        ngx_conduit_thread_free(job);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* in a thread */

static void
ngx_http_conduit_media_exec(void *ctx)
{
    ngx_http_conduit_media_job_t  *job = ctx;

    ngx_str_t  bytes;

    if (job->discard) {
        return;
    }

    job->error = ngx_http_conduit_media_make(job, &bytes);

    if (job->error != CONDUIT_ERR_NONE || job->discard) {
        return;
    }

    job->mime = conduit_media_sniff(bytes.data, bytes.len);
    job->size = bytes.len;

    job->error = job->inlined ? ngx_http_conduit_media_encode(job, &bytes)
                              : ngx_http_conduit_media_store(job, &bytes);

    /* what has been written or encoded is not needed any more */

    conduit_blob_free(&job->blob);
}


/* back on the event loop; the job is freed afterwards */

static void
ngx_http_conduit_media_done(void *ctx)
{
    ngx_http_conduit_media_job_t  *job = ctx;

    ngx_http_conduit_sink_log(&job->sink);

    if (job->sink.kept) {
        ngx_http_conduit_media_result(job->media, &job->sink, job->mime,
                                      job->url, &job->result);
    }

    job->handler(job);

    if (job->discard) {
        ngx_http_conduit_sink_abort(&job->sink);
    }

    conduit_blob_free(&job->blob);
    free(job->text);
}


static ngx_uint_t
ngx_http_conduit_media_make(ngx_http_conduit_media_job_t *job,
    ngx_str_t *bytes)
{
    ngx_uint_t  error;

    switch (job->type) {

    case NGX_HTTP_CONDUIT_MEDIA_BYTES:
        *bytes = job->input;
        break;

    case NGX_HTTP_CONDUIT_MEDIA_BASE64:
        error = ngx_http_conduit_media_decode(job, bytes);

        if (error != CONDUIT_ERR_NONE) {
            return error;
        }

        break;

    default:
        error = ngx_http_conduit_media_draw(job);

        if (error != CONDUIT_ERR_NONE) {
            return error;
        }

        bytes->data = job->blob.data;
        bytes->len = job->blob.len;
    }

    if (bytes->len > job->max) {
        return CONDUIT_ERR_RESULT_TOO_LARGE;
    }

    return bytes->len ? CONDUIT_ERR_NONE : CONDUIT_ERR_PROVIDER_ERROR;
}


static ngx_uint_t
ngx_http_conduit_media_decode(ngx_http_conduit_media_job_t *job,
    ngx_str_t *bytes)
{
    size_t         len;
    conduit_str_t  text;

    text.data = job->input.data;
    text.len = job->input.len;

    if (conduit_media_data_url(&text) != CONDUIT_OK) {
        return CONDUIT_ERR_PROVIDER_ERROR;
    }

    /* padding may make it up to two bytes less */

    len = conduit_base64_decoded_len(text.len);

    if (len > job->max + 2) {
        return CONDUIT_ERR_RESULT_TOO_LARGE;
    }

    job->blob.max = len;

    if (conduit_blob_reserve(&job->blob, len) != CONDUIT_OK) {
        return CONDUIT_ERR_INTERNAL_ERROR;
    }

    if (conduit_base64_decode(job->blob.data, &job->blob.len, text.data,
                              text.len)
        != CONDUIT_OK)
    {
        return CONDUIT_ERR_PROVIDER_ERROR;
    }

    bytes->data = job->blob.data;
    bytes->len = job->blob.len;

    return CONDUIT_ERR_NONE;
}


static ngx_uint_t
ngx_http_conduit_media_draw(ngx_http_conduit_media_job_t *job)
{
    int             rc;
    conduit_clip_t  clip;

    if (job->type == NGX_HTTP_CONDUIT_MEDIA_PICTURE) {
        rc = conduit_png_render(&job->blob, job->prompt.data, job->prompt.len,
                                job->seed,
                                job->width ? job->width : CONDUIT_PNG_WIDTH,
                                job->height ? job->height
                                            : CONDUIT_PNG_HEIGHT);

    } else {
        clip.width = job->width ? job->width : CONDUIT_CLIP_WIDTH;
        clip.height = job->height ? job->height : CONDUIT_CLIP_HEIGHT;
        clip.duration = job->duration ? job->duration : CONDUIT_CLIP_DURATION;
        clip.fps = job->fps ? job->fps : CONDUIT_CLIP_FPS;

        rc = conduit_clip_render(&job->blob, job->prompt.data,
                                 job->prompt.len, job->seed, &clip);
    }

    switch (rc) {

    case CONDUIT_OK:
        return CONDUIT_ERR_NONE;

    case CONDUIT_DECLINED:
        return CONDUIT_ERR_RESULT_TOO_LARGE;

    default:
        return CONDUIT_ERR_INTERNAL_ERROR;
    }
}


static ngx_uint_t
ngx_http_conduit_media_store(ngx_http_conduit_media_job_t *job,
    ngx_str_t *bytes)
{
    if (ngx_http_conduit_sink_write(&job->sink, bytes->data, bytes->len)
        != NGX_OK
        || ngx_http_conduit_sink_commit(&job->sink, job->mime) != NGX_OK)
    {
        ngx_http_conduit_sink_abort(&job->sink);
        return CONDUIT_ERR_INTERNAL_ERROR;
    }

    return CONDUIT_ERR_NONE;
}


/* base64 that came as such is handed on, not made again */

static ngx_uint_t
ngx_http_conduit_media_encode(ngx_http_conduit_media_job_t *job,
    ngx_str_t *bytes)
{
    conduit_str_t  text;

    job->result.mime.data = (u_char *) job->mime->mime;
    job->result.mime.len = ngx_strlen(job->mime->mime);

    if (job->type == NGX_HTTP_CONDUIT_MEDIA_BASE64) {
        text.data = job->input.data;
        text.len = job->input.len;

        (void) conduit_media_data_url(&text);

        job->result.b64.data = text.data;
        job->result.b64.len = text.len;

        return CONDUIT_ERR_NONE;
    }

    job->text = malloc(conduit_base64_encoded_len(bytes->len));
    if (job->text == NULL) {
        return CONDUIT_ERR_INTERNAL_ERROR;
    }

    job->result.b64.data = job->text;
    job->result.b64.len = conduit_base64_encode(job->text, bytes->data,
                                                bytes->len);

    return CONDUIT_ERR_NONE;
}


/* what a client gets to see of a file that is there */

void
ngx_http_conduit_media_result(ngx_http_conduit_media_t *media,
    ngx_http_conduit_media_sink_t *sink, const conduit_media_type_t *mime,
    u_char *url, ngx_http_conduit_result_t *result)
{
    u_char      *p;
    ngx_time_t  *tp;

    p = ngx_cpymem(url, media->url.data, media->url.len);
    *p++ = '/';
    p = ngx_cpymem(p, sink->base, ngx_strlen(sink->base));

    result->url.data = url;
    result->url.len = p - url;

    result->mime.data = (u_char *) mime->mime;
    result->mime.len = ngx_strlen(mime->mime);

    tp = ngx_timeofday();

    result->expires = ((int64_t) tp->sec + media->ttl) * 1000 + tp->msec;
}


void
ngx_http_conduit_media_remove(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *url)
{
    u_char                    *p, *path, *name;
    size_t                     len;
    ngx_http_conduit_media_t  *media;

    media = cdmcf->media;

    if (media == NULL || url->len <= media->url.len + 1
        || ngx_strncmp(url->data, media->url.data, media->url.len) != 0
        || url->data[media->url.len] != '/')
    {
        return;
    }

    name = url->data + media->url.len + 1;
    len = url->data + url->len - name;

    if (conduit_media_classify(name, len) != CONDUIT_MEDIA_RESULT) {
        return;
    }

    path = ngx_conduit_thread_alloc(media->path.len + 1 + len + 1);
    if (path == NULL) {
        return;
    }

    p = ngx_cpymem(path, media->path.data, media->path.len);
    *p++ = '/';
    ngx_memcpy(p, name, len);

    /* what cannot be removed now goes when its time is over */

    if (ngx_conduit_thread_post(cdmcf->threads, path,
                                ngx_http_conduit_media_unlink,
                                ngx_http_conduit_media_unlinked)
        != NGX_OK)
    {
        ngx_conduit_thread_free(path);
    }
}


static void
ngx_http_conduit_media_unlink(void *ctx)
{
    (void) unlink(ctx);
}


static void
ngx_http_conduit_media_unlinked(void *ctx)
{
    /* void */
}
