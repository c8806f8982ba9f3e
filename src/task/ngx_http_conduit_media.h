
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_MEDIA_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_MEDIA_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_task.h>
#include <conduit_blob.h>
#include <conduit_media.h>


/*
 * Results as files, and everything about them that takes time: decoding,
 * drawing, writing and removing is done in threads of the pool "default".
 * The files are served by nginx itself, from an "alias".
 */


/* the largest result without conduit_media */
#define NGX_HTTP_CONDUIT_MEDIA_INLINE  (32 * 1024 * 1024)


typedef struct ngx_http_conduit_sweep_s  ngx_http_conduit_sweep_t;


struct ngx_http_conduit_media_s {
    ngx_str_t                         path;        /* absolute, no final "/",
                                                      with a NUL behind it */
    ngx_str_t                         url;         /* no final "/" */
    time_t                            ttl;
    size_t                            max_size;
    ngx_flag_t                        fetch;

    ngx_http_conduit_sweep_t         *sweep;       /* in a worker */
};


/* jobs: one result from memory */

#define NGX_HTTP_CONDUIT_MEDIA_BYTES    0    /* input as it is */
#define NGX_HTTP_CONDUIT_MEDIA_BASE64   1    /* input is base64, or a data: URL
                                                of it */
#define NGX_HTTP_CONDUIT_MEDIA_PICTURE  2    /* the sandbox's, of a prompt */
#define NGX_HTTP_CONDUIT_MEDIA_CLIP     3


typedef struct ngx_http_conduit_media_job_s  ngx_http_conduit_media_job_t;

typedef void (*ngx_http_conduit_media_job_pt)(
    ngx_http_conduit_media_job_t *job);


/* a file that is being written; private */

typedef struct {
    ngx_fd_t                          fd;
    ngx_err_t                         err;         /* why it failed, and */
    const char                       *failed;      /* what; NULL: good */
    u_char                           *temp;        /* paths */
    u_char                           *name;
    u_char                           *base;        /* in name */
    u_char                            rnd[CONDUIT_MEDIA_RANDOM];
    unsigned                          kept:1;      /* name exists */
    unsigned                          logged:1;
} ngx_http_conduit_media_sink_t;


struct ngx_http_conduit_media_job_s {

    /*
     * What is to be done.  What input and prompt point to must stay until
     * the handler is called, and so must whatever the handler looks at: it is
     * called exactly once, cancelled or not.
     */

    ngx_uint_t                        type;
    ngx_str_t                         input;       /* BYTES, BASE64 */
    ngx_str_t                         prompt;      /* PICTURE, CLIP */
    int64_t                           seed;
    ngx_uint_t                        width;       /* 0: the default, as in */
    ngx_uint_t                        height;
    ngx_uint_t                        duration;    /* seconds */
    ngx_uint_t                        fps;
    unsigned                          inlined:1;   /* base64, not a file; set
                                                      without conduit_media */

    ngx_http_conduit_media_job_pt     handler;
    void                             *data;
    void                             *owner;

    /*
     * set at any time by the event loop: nobody wants the result; then it is
     * perhaps not made, and what was made is removed after the handler
     */

    volatile ngx_uint_t               discard;

    /* the outcome, until the handler returns */

    ngx_uint_t                        error;       /* CONDUIT_ERR_* */
    ngx_http_conduit_result_t         result;      /* url or b64 */
    size_t                            size;        /* of the file */

    /* private */

    ngx_thread_pool_t                *threads;
    ngx_http_conduit_media_t         *media;
    size_t                            max;
    const conduit_media_type_t       *mime;
    conduit_blob_t                    blob;
    u_char                           *text;
    u_char                           *url;
    ngx_http_conduit_media_sink_t     sink;
};


/* a job to be filled in; NULL: no memory, or no randomness for a name */
ngx_http_conduit_media_job_t *ngx_http_conduit_media_job(
    ngx_http_conduit_main_conf_t *cdmcf);

/*
 * NGX_OK: the handler will be called, from the event loop.  NGX_ERROR: it
 * will not, and the job is freed.
 */
ngx_int_t ngx_http_conduit_media_post(ngx_http_conduit_media_job_t *job);


/*
 * Removes the file behind the URL of a result that nobody has been told of;
 * a URL that is not of conduit_media is left alone.
 */
void ngx_http_conduit_media_remove(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *url);


/*
 * Files: one result that comes in pieces.  Needs conduit_media.
 *
 *     file = ngx_http_conduit_media_open(cdmcf);
 *     file->ready = ...; file->done = ...; file->data = ...;
 *     ngx_http_conduit_media_append(file, ...);  and so on
 *     ngx_http_conduit_media_finish(file);
 *
 * After NGX_AGAIN of append(), ready() is called once when there is room, or
 * when there will never be any: then append() returns NGX_ERROR.  done() is
 * called once after finish(), without threads even from inside of it, and the
 * file is gone when it returns.  Before that, abort() ends it without any
 * call.
 */

typedef struct ngx_http_conduit_media_file_s  ngx_http_conduit_media_file_t;

typedef void (*ngx_http_conduit_media_file_pt)(
    ngx_http_conduit_media_file_t *file);


struct ngx_http_conduit_media_file_s {
    ngx_http_conduit_media_file_pt    ready;       /* may be NULL */
    ngx_http_conduit_media_file_pt    done;
    void                             *data;

    /* set in done(): remove the file that was made */

    unsigned                          discard:1;

    /* the outcome; error may be set earlier */

    ngx_uint_t                        error;       /* CONDUIT_ERR_* */
    ngx_http_conduit_result_t         result;
    size_t                            size;

    /* private */

    ngx_http_conduit_media_t         *media;
    ngx_thread_pool_t                *threads;
    const conduit_media_type_t       *mime;
    conduit_blob_t                    in;          /* filled here */
    conduit_blob_t                    out;         /* written by a thread */
    u_char                            head[CONDUIT_MEDIA_SNIFF];
    size_t                            nhead;
    u_char                           *url;
    ngx_http_conduit_media_sink_t     sink;
    unsigned                          busy:1;      /* a thread has it */
    unsigned                          waiting:1;   /* for ready() */
    unsigned                          finish:1;
    unsigned                          last:1;      /* commit is under way */
    unsigned                          aborted:1;
};


/* NULL: no memory, no randomness, or conduit_media is off */
ngx_http_conduit_media_file_t *ngx_http_conduit_media_open(
    ngx_http_conduit_main_conf_t *cdmcf);

/*
 * NGX_OK: taken, the bytes are copied; NGX_AGAIN: not taken, wait for
 * ready(); NGX_ERROR: file->error says why, the file is to be aborted or
 * finished.
 */
ngx_int_t ngx_http_conduit_media_append(ngx_http_conduit_media_file_t *file,
    u_char *data, size_t len);

void ngx_http_conduit_media_finish(ngx_http_conduit_media_file_t *file);
void ngx_http_conduit_media_abort(ngx_http_conduit_media_file_t *file);


/*
 * Removal of expired results and of what killed workers have left unfinished:
 * a piece of the folder at a time, by the worker that holds the lease in the
 * zone.  For init_process of workers.
 */
ngx_int_t ngx_http_conduit_sweep_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);


/* private: what the parts share; sink functions run in threads as well */

void ngx_http_conduit_sink_init(ngx_http_conduit_media_sink_t *sink,
    ngx_http_conduit_media_t *media, u_char *paths);
ngx_int_t ngx_http_conduit_sink_write(ngx_http_conduit_media_sink_t *sink,
    u_char *data, size_t len);
ngx_int_t ngx_http_conduit_sink_commit(ngx_http_conduit_media_sink_t *sink,
    const conduit_media_type_t *mime);
void ngx_http_conduit_sink_abort(ngx_http_conduit_media_sink_t *sink);
void ngx_http_conduit_sink_log(ngx_http_conduit_media_sink_t *sink);

#define ngx_http_conduit_sink_size(media)                                     \
    (2 * ((media)->path.len + 1 + CONDUIT_MEDIA_NAME_LEN))

#define ngx_http_conduit_media_url_size(media)                                \
    ((media)->url.len + 1 + CONDUIT_MEDIA_NAME_LEN)

void ngx_http_conduit_media_result(ngx_http_conduit_media_t *media,
    ngx_http_conduit_media_sink_t *sink, const conduit_media_type_t *mime,
    u_char *url, ngx_http_conduit_result_t *result);


#endif /* _NGX_HTTP_CONDUIT_MEDIA_H_INCLUDED_ */
