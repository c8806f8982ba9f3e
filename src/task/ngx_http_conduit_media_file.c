
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_media.h>
#include <ngx_conduit_random.h>
#include <ngx_conduit_thread.h>


/* a thread is asked to write when so much has come, */
#define NGX_HTTP_CONDUIT_FILE_WRITE  (64 * 1024)

/* and no more is taken when so much is waiting for it */
#define NGX_HTTP_CONDUIT_FILE_WAIT   (256 * 1024)


/*
 * Between posting a job and its completion (busy) the thread owns "out" and
 * the sink; everything else belongs to the event loop, which may set flags at
 * any time: the thread gets its orders by value.
 */

typedef struct {
    ngx_http_conduit_media_file_t    *file;
    const conduit_media_type_t       *mime;
    ngx_uint_t                        last;
} ngx_http_conduit_media_write_t;


static ngx_int_t ngx_http_conduit_media_run(
    ngx_http_conduit_media_file_t *file);
static void ngx_http_conduit_media_file_exec(void *ctx);
static void ngx_http_conduit_media_file_done(void *ctx);
static void ngx_http_conduit_media_file_next(
    ngx_http_conduit_media_file_t *file);
static void ngx_http_conduit_media_file_end(
    ngx_http_conduit_media_file_t *file);
static void ngx_http_conduit_media_file_free(
    ngx_http_conduit_media_file_t *file);


ngx_http_conduit_media_file_t *
ngx_http_conduit_media_open(ngx_http_conduit_main_conf_t *cdmcf)
{
    u_char                         *p;
    ngx_http_conduit_media_t       *media;
    ngx_http_conduit_media_file_t  *file;

    media = cdmcf->media;

    if (media == NULL) {
        return NULL;
    }

    file = ngx_calloc(sizeof(ngx_http_conduit_media_file_t)
                      + ngx_http_conduit_sink_size(media)
                      + ngx_http_conduit_media_url_size(media),
                      ngx_cycle->log);
    if (file == NULL) {
        return NULL;
    }

    if (ngx_conduit_random_bytes(file->sink.rnd, CONDUIT_MEDIA_RANDOM)
        != NGX_OK)
    {
        ngx_free(file);
        return NULL;
    }

    p = (u_char *) file + sizeof(ngx_http_conduit_media_file_t);

    ngx_http_conduit_sink_init(&file->sink, media, p);

    file->url = p + ngx_http_conduit_sink_size(media);
    file->media = media;
    file->threads = cdmcf->threads;

    conduit_blob_init(&file->in, media->max_size);
    conduit_blob_init(&file->out, media->max_size);

    return file;
}


ngx_int_t
ngx_http_conduit_media_append(ngx_http_conduit_media_file_t *file,
    u_char *data, size_t len)
{
    size_t  n;

    if (file->error != CONDUIT_ERR_NONE) {
        return NGX_ERROR;
    }

    if (len > file->media->max_size - file->size) {
        file->error = CONDUIT_ERR_RESULT_TOO_LARGE;
        return NGX_ERROR;
    }

    /* a single piece is taken however large it is */

    if (file->in.len && file->in.len + len > NGX_HTTP_CONDUIT_FILE_WAIT) {
        file->waiting = 1;
        return NGX_AGAIN;
    }

    if (conduit_blob_append(&file->in, data, len) != CONDUIT_OK) {
        file->error = CONDUIT_ERR_INTERNAL_ERROR;
        return NGX_ERROR;
    }

    file->size += len;

    n = ngx_min(len, CONDUIT_MEDIA_SNIFF - file->nhead);
    ngx_memcpy(file->head + file->nhead, data, n);
    file->nhead += n;

    if (file->in.len >= NGX_HTTP_CONDUIT_FILE_WRITE && !file->busy) {
        return ngx_http_conduit_media_run(file);
    }

    return NGX_OK;
}


void
ngx_http_conduit_media_finish(ngx_http_conduit_media_file_t *file)
{
    file->finish = 1;

    if (file->size == 0 && file->error == CONDUIT_ERR_NONE) {
        file->error = CONDUIT_ERR_PROVIDER_ERROR;
    }

    if (!file->busy) {
        ngx_http_conduit_media_file_next(file);
    }
}


void
ngx_http_conduit_media_abort(ngx_http_conduit_media_file_t *file)
{
    file->aborted = 1;
    file->waiting = 0;

    if (!file->busy) {
        ngx_http_conduit_media_file_next(file);
    }
}


/* gives what has come to a thread */

static ngx_int_t
ngx_http_conduit_media_run(ngx_http_conduit_media_file_t *file)
{
    conduit_blob_t                   blob;
    ngx_http_conduit_media_write_t  *wr;

    wr = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_media_write_t));

    if (wr == NULL) {
        goto failed;
    }

    file->last = (file->finish || file->aborted);

    wr->file = file;
    wr->mime = file->mime;
    wr->last = file->last;

    blob = file->out;
    file->out = file->in;
    file->in = blob;
    file->in.len = 0;

    file->busy = 1;

    if (ngx_conduit_thread_post(file->threads, wr,
                                ngx_http_conduit_media_file_exec,
                                ngx_http_conduit_media_file_done)
        == NGX_OK)
    {
        return NGX_OK;
    }

    file->busy = 0;
    ngx_conduit_thread_free(wr);

failed:

    if (file->error == CONDUIT_ERR_NONE) {
        file->error = CONDUIT_ERR_INTERNAL_ERROR;
    }

    return NGX_ERROR;
}


/* in a thread; a last job without a type is to remove the file */

static void
ngx_http_conduit_media_file_exec(void *ctx)
{
    ngx_http_conduit_media_write_t  *wr = ctx;

    ngx_http_conduit_media_file_t  *file;

    file = wr->file;

    if (wr->last && wr->mime == NULL) {
        ngx_http_conduit_sink_abort(&file->sink);
        return;
    }

    if (ngx_http_conduit_sink_write(&file->sink, file->out.data,
                                    file->out.len)
        != NGX_OK
        || (wr->last
            && ngx_http_conduit_sink_commit(&file->sink, wr->mime)
               != NGX_OK))
    {
        ngx_http_conduit_sink_abort(&file->sink);
    }
}


static void
ngx_http_conduit_media_file_done(void *ctx)
{
    ngx_http_conduit_media_write_t  *wr = ctx;

    ngx_http_conduit_media_file_t  *file;

    file = wr->file;
    file->busy = 0;

    if (file->sink.failed) {
        ngx_http_conduit_sink_log(&file->sink);

        if (file->error == CONDUIT_ERR_NONE) {
            file->error = CONDUIT_ERR_INTERNAL_ERROR;
        }
    }

    if (file->last) {
        ngx_http_conduit_media_file_end(file);
        return;
    }

    ngx_http_conduit_media_file_next(file);
}


/* no thread is busy with the file: what now? */

static void
ngx_http_conduit_media_file_next(ngx_http_conduit_media_file_t *file)
{
    if (file->finish || file->aborted) {

        file->mime = NULL;

        if (!file->aborted && file->error == CONDUIT_ERR_NONE) {
            file->mime = conduit_media_sniff(file->head, file->nhead);
        }

        if (ngx_http_conduit_media_run(file) != NGX_OK) {

            /* no thread for it: a few system calls, once, then */

            ngx_http_conduit_sink_abort(&file->sink);
            ngx_http_conduit_media_file_end(file);
        }

        return;
    }

    if (file->in.len >= NGX_HTTP_CONDUIT_FILE_WRITE
        && file->error == CONDUIT_ERR_NONE)
    {
        (void) ngx_http_conduit_media_run(file);
    }

    if (file->waiting) {
        file->waiting = 0;

        /* the file may be finished or aborted from inside */

        if (file->ready) {
            file->ready(file);
        }
    }
}


static void
ngx_http_conduit_media_file_end(ngx_http_conduit_media_file_t *file)
{
    if (file->aborted) {
        file->discard = 1;
        ngx_http_conduit_media_file_free(file);
        return;
    }

    if (file->sink.kept) {
        ngx_http_conduit_media_result(file->media, &file->sink, file->mime,
                                      file->url, &file->result);
    }

    file->done(file);

    ngx_http_conduit_media_file_free(file);
}


static void
ngx_http_conduit_media_file_free(ngx_http_conduit_media_file_t *file)
{
    if (file->discard) {
        ngx_http_conduit_sink_abort(&file->sink);
    }

    conduit_blob_free(&file->in);
    conduit_blob_free(&file->out);

    ngx_free(file);
}
