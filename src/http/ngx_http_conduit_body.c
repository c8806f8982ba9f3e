
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_request.h>
#include <ngx_conduit_thread.h>


/* the body of a request in one piece, wherever nginx has put it */


typedef struct {
    ngx_http_request_t               *request;
    ngx_fd_t                          fd;
    u_char                           *data;
    size_t                            len;
    ngx_err_t                         err;
    unsigned                          failed:1;
} ngx_http_conduit_body_job_t;


static void ngx_http_conduit_body_ready(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_body_memory(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_conduit_body_file(ngx_http_request_t *r);
static void ngx_http_conduit_body_exec(void *data);
static void ngx_http_conduit_body_done(void *data);
static void ngx_http_conduit_body_finish(ngx_http_request_t *r,
    ngx_str_t *body);


ngx_int_t
ngx_http_conduit_read_body(ngx_http_request_t *r,
    ngx_http_conduit_body_pt done)
{
    ngx_int_t                rc;
    ngx_http_conduit_ctx_t  *ctx;

    ctx = ngx_http_conduit_ctx(r);
    ctx->body_done = done;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_conduit_body_ready);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_conduit_body_ready(ngx_http_request_t *r)
{
    ngx_str_t  body;

    if (r->request_body && r->request_body->temp_file) {

        if (ngx_http_conduit_body_file(r) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    if (ngx_http_conduit_body_memory(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_conduit_body_finish(r, &body);
}


static ngx_int_t
ngx_http_conduit_body_memory(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char       *p;
    size_t        len;
    ngx_chain_t  *cl, *bufs;

    ngx_str_null(body);

    bufs = r->request_body ? r->request_body->bufs : NULL;

    if (bufs == NULL) {
        return NGX_OK;
    }

    if (bufs->next == NULL) {
        body->data = bufs->buf->pos;
        body->len = bufs->buf->last - bufs->buf->pos;
        return NGX_OK;
    }

    len = 0;

    for (cl = bufs; cl; cl = cl->next) {
        len += cl->buf->last - cl->buf->pos;
    }

    p = ngx_pnalloc(r->pool, len ? len : 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = len;

    for (cl = bufs; cl; cl = cl->next) {

        /* the last buffer of a chunked body may have no memory at all */

        if (cl->buf->last > cl->buf->pos) {
            p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
        }
    }

    return NGX_OK;
}


/*
 * The request is blocked while a thread reads: nginx does not free it then,
 * and whoever wants to end it comes back to ngx_http_conduit_body_done().
 */

static ngx_int_t
ngx_http_conduit_body_file(ngx_http_request_t *r)
{
    off_t                          size;
    ngx_http_conduit_body_job_t   *job;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_module);

    size = r->request_body->temp_file->file.offset;

    job = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_body_job_t));
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->request = r;
    job->fd = r->request_body->temp_file->file.fd;
    job->len = (size_t) size;

    job->data = ngx_palloc(r->pool, job->len ? job->len : 1);

    if (job->data == NULL
        || ngx_conduit_thread_post(cdmcf->threads, job,
                                   ngx_http_conduit_body_exec,
                                   ngx_http_conduit_body_done)
           != NGX_OK)
    {
        ngx_conduit_thread_free(job);
        return NGX_ERROR;
    }

    r->main->blocked++;
    r->aio = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


static void
ngx_http_conduit_body_exec(void *data)
{
    ngx_http_conduit_body_job_t  *job = data;

    size_t   n;
    ssize_t  rc;

    for (n = 0; n < job->len; n += (size_t) rc) {

        rc = pread(job->fd, job->data + n, job->len - n, (off_t) n);

        if (rc == -1 && errno == EINTR) {
            rc = 0;
            continue;
        }

        if (rc <= 0) {
            job->err = (rc == -1) ? errno : 0;
            job->failed = 1;
            return;
        }
    }
}


static void
ngx_http_conduit_body_done(void *data)
{
    ngx_http_conduit_body_job_t  *job = data;

    ngx_str_t            body;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = job->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;
    r->aio = 0;

    body.data = job->data;
    body.len = job->len;

    if (c->error || c->close) {
        ngx_http_finalize_request(r, NGX_ERROR);

    } else if (job->failed) {
        ngx_log_error(NGX_LOG_CRIT, c->log, job->err,
                      "reading of a request body's temporary file failed");
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);

    } else {
        ngx_http_conduit_body_finish(r, &body);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_body_finish(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_http_conduit_ctx_t  *ctx;

    if (body->len == 0) {
        ngx_str_set(body, "");
    }

    ctx = ngx_http_conduit_ctx(r);

    ctx->body_done(r, body);
}
