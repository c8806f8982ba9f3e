
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_run.h>
#include <conduit_addr.h>


/*
 * Results: one after the other is taken as it is, decoded into a file, or
 * copied from where the provider keeps it for a while.
 */


static void ngx_http_conduit_result_next(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_result_base64(ngx_http_conduit_run_t *run,
    ngx_uint_t type, ngx_str_t *input);
static void ngx_http_conduit_result_job(ngx_http_conduit_media_job_t *job);
static ngx_int_t ngx_http_conduit_result_keep(ngx_http_conduit_run_t *run,
    ngx_http_conduit_result_t *result);
static void ngx_http_conduit_result_copy(ngx_http_conduit_run_t *run,
    conduit_result_t *result);
static ngx_int_t ngx_http_conduit_result_address(struct sockaddr *sockaddr,
    socklen_t socklen, void *data);
static void ngx_http_conduit_result_start(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t);
static ngx_int_t ngx_http_conduit_result_sink(ngx_conduit_transfer_t *t,
    u_char *data, size_t len);
static void ngx_http_conduit_result_ready(ngx_http_conduit_media_file_t *file);
static void ngx_http_conduit_result_arrived(ngx_conduit_transfer_t *t);
static void ngx_http_conduit_result_filed(
    ngx_http_conduit_media_file_t *file);
static void ngx_http_conduit_result_lost(ngx_http_conduit_run_t *run,
    ngx_uint_t code);
static ngx_int_t ngx_http_conduit_result_redirect(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t);
static void ngx_http_conduit_result_refused(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t);


void
ngx_http_conduit_run_results(ngx_http_conduit_run_t *run)
{
    ngx_uint_t  n;

    n = run->verdict.results.n;

    run->results = ngx_pcalloc(run->work->pool,
                               (n + 1) * sizeof(ngx_http_conduit_result_t));

    if (n == 0 || run->results == NULL) {
        ngx_http_conduit_run_fail(run, n ? CONDUIT_ERR_INTERNAL_ERROR
                                         : CONDUIT_ERR_PROVIDER_ERROR, NULL);
        return;
    }

    ngx_http_conduit_result_next(run);
}


static void
ngx_http_conduit_result_next(ngx_http_conduit_run_t *run)
{
    ngx_str_t                   value;
    conduit_result_t           *from;
    ngx_http_conduit_media_t   *media;
    ngx_http_conduit_result_t  *to;

    media = run->work->cdmcf->media;

    while (run->index < run->verdict.results.n) {

        from = (conduit_result_t *) run->verdict.results.elts + run->index;

        value.len = from->value.len;
        value.data = from->value.data;

        if (from->type == CONDUIT_RESULT_BASE64) {
            ngx_http_conduit_result_base64(run, NGX_HTTP_CONDUIT_MEDIA_BASE64,
                                           &value);
            return;
        }

        if (media && media->fetch) {
            ngx_http_conduit_result_copy(run, from);
            return;
        }

        to = &run->results[run->nresults++];

        to->url = value;
        to->mime.len = from->mime.len;
        to->mime.data = from->mime.data;

        if (from->expires) {
            to->expires = ngx_http_conduit_run_now()
                          + (int64_t) from->expires * 1000;
        }

        run->index++;
    }

    ngx_http_conduit_run_complete(run);
}


static void
ngx_http_conduit_result_base64(ngx_http_conduit_run_t *run, ngx_uint_t type,
    ngx_str_t *input)
{
    ngx_http_conduit_media_job_t  *job;

    job = ngx_http_conduit_media_job(run->work->cdmcf);

    if (job) {
        job->type = type;
        job->input = *input;

        if (run->inlined) {
            job->inlined = 1;
        }

        job->handler = ngx_http_conduit_result_job;
        job->data = run;

        if (ngx_http_conduit_media_post(job) == NGX_OK) {
            run->media = job;
            return;
        }
    }

    ngx_http_conduit_run_fail(run, CONDUIT_ERR_INTERNAL_ERROR, NULL);
}


static void
ngx_http_conduit_result_job(ngx_http_conduit_media_job_t *job)
{
    ngx_http_conduit_run_t  *run = job->data;

    run->media = NULL;

    if (run->gone) {
        job->discard = 1;
        ngx_http_conduit_run_destroy(run);
        return;
    }

    if (job->error) {
        ngx_http_conduit_run_fail(run, job->error, NULL);
        return;
    }

    if (ngx_http_conduit_result_keep(run, &job->result) != NGX_OK) {
        job->discard = 1;
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_INTERNAL_ERROR, NULL);
        return;
    }

    ngx_http_conduit_result_next(run);
}


/* copies what lives no longer than a handler */

static ngx_int_t
ngx_http_conduit_result_keep(ngx_http_conduit_run_t *run,
    ngx_http_conduit_result_t *result)
{
    ngx_pool_t                 *pool;
    ngx_http_conduit_result_t  *to;

    pool = run->work->pool;
    to = &run->results[run->nresults];

    *to = *result;

    to->url.data = ngx_pstrdup(pool, &result->url);
    to->b64.data = ngx_pstrdup(pool, &result->b64);
    to->mime.data = ngx_pstrdup(pool, &result->mime);

    if (to->url.data == NULL || to->b64.data == NULL || to->mime.data == NULL)
    {
        return NGX_ERROR;
    }

    run->nresults++;
    run->index++;

    return NGX_OK;
}


/*
 * A copy of a result that the provider hosts.  Hosts that nobody has listed
 * are held to the rules of webhook addresses.
 */

static void
ngx_http_conduit_result_copy(ngx_http_conduit_run_t *run,
    conduit_result_t *result)
{
    ngx_conduit_transfer_t  *t;

    ngx_memzero(&run->call, sizeof(conduit_call_t));

    run->step = CONDUIT_STEP_DOWNLOAD;
    run->hops = 0;
    run->call.url = result->value;
    run->call.timeout = run->description->download_timeout;

    t = ngx_http_conduit_run_transfer(run, &run->call);

    if (t && !conduit_provider_allowed(run->description, &result->value)) {
        t->address = ngx_http_conduit_result_address;
        t->address_data = run;
        t->trusted_certificate.len = 0;
    }

    run->copying = 1;

    ngx_http_conduit_result_start(run, t);
}


static ngx_int_t
ngx_http_conduit_result_address(struct sockaddr *sockaddr, socklen_t socklen,
    void *data)
{
    ngx_http_conduit_run_t  *run = data;

    u_char                addr[CONDUIT_ADDR_LEN];
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    switch (sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sockaddr;
        conduit_addr_v4(addr, (u_char *) &sin->sin_addr.s_addr);
        break;

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sockaddr;
        ngx_memcpy(addr, &sin6->sin6_addr, CONDUIT_ADDR_LEN);
        break;

    default:
        return NGX_DECLINED;
    }

    return (conduit_addr_check(&run->work->cdmcf->webhook_policy, addr,
                               ngx_inet_get_port(sockaddr))
            == CONDUIT_OK) ? NGX_OK : NGX_DECLINED;
}


/* result download: the provider gives the result to those with its key */

void
ngx_http_conduit_run_download(ngx_http_conduit_run_t *run)
{
    int                      rc;
    ngx_conduit_transfer_t  *t;

    run->results = ngx_pcalloc(run->work->pool,
                               2 * sizeof(ngx_http_conduit_result_t));

    if (run->results == NULL) {
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_INTERNAL_ERROR, NULL);
        return;
    }

    run->step = CONDUIT_STEP_DOWNLOAD;
    run->hops = run->description->redirects;
    run->copying = 0;

    conduit_verdict_free(&run->verdict);

    rc = conduit_provider_call(run->description, &run->pool,
                               CONDUIT_STEP_DOWNLOAD, &run->job, &run->call,
                               &run->verdict);

    if (rc == CONDUIT_DECLINED) {
        ngx_http_conduit_run_replied(run);
        return;
    }

    t = (rc == CONDUIT_OK) ? ngx_http_conduit_run_transfer(run, &run->call)
                           : NULL;

    ngx_http_conduit_result_start(run, t);
}


static void
ngx_http_conduit_result_start(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t)
{
    if (t == NULL) {
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_INTERNAL_ERROR, NULL);
        return;
    }

    t->max_size = run->work->cdmcf->media->max_size;
    t->handler = ngx_http_conduit_result_arrived;

    if (!run->inlined) {
        t->sink = ngx_http_conduit_result_sink;
    }

    run->transfer = t;

    ngx_conduit_transfer_start(t);
}


/* the bytes of a success go to a file, others are of no use */

static ngx_int_t
ngx_http_conduit_result_sink(ngx_conduit_transfer_t *t, u_char *data,
    size_t len)
{
    ngx_http_conduit_run_t  *run = t->data;

    if (t->status / 100 != 2) {
        return NGX_OK;
    }

    if (run->file == NULL) {
        run->file = ngx_http_conduit_media_open(run->work->cdmcf);
        if (run->file == NULL) {
            return NGX_ERROR;
        }

        run->file->ready = ngx_http_conduit_result_ready;
        run->file->done = ngx_http_conduit_result_filed;
        run->file->data = run;
    }

    return ngx_http_conduit_media_append(run->file, data, len);
}


static void
ngx_http_conduit_result_ready(ngx_http_conduit_media_file_t *file)
{
    ngx_http_conduit_run_t  *run = file->data;

    if (run->transfer) {
        ngx_conduit_transfer_resume(run->transfer);
    }
}


static void
ngx_http_conduit_result_arrived(ngx_conduit_transfer_t *t)
{
    ngx_http_conduit_run_t  *run = t->data;

    u_char     *p;
    ngx_str_t   bytes;

    run->transfer = NULL;

    if (t->error == NGX_CONDUIT_TRANSFER_OK && t->status / 100 == 3
        && ngx_http_conduit_result_redirect(run, t) == NGX_OK)
    {
        return;
    }

    if (t->error != NGX_CONDUIT_TRANSFER_OK || t->status / 100 != 2) {
        ngx_http_conduit_result_refused(run, t);
        return;
    }

    if (run->file) {
        ngx_http_conduit_media_finish(run->file);
        return;
    }

    if (!run->inlined || t->reply.len == 0) {
        ngx_http_conduit_result_lost(run, CONDUIT_ERR_PROVIDER_ERROR);
        return;
    }

    p = ngx_pnalloc(run->work->pool, t->reply.len);
    if (p == NULL) {
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_INTERNAL_ERROR, NULL);
        return;
    }

    bytes.data = p;
    bytes.len = t->reply.len;
    ngx_memcpy(p, t->reply.data, t->reply.len);

    ngx_http_conduit_result_base64(run, NGX_HTTP_CONDUIT_MEDIA_BYTES, &bytes);
}


/* NGX_OK: on the way to where the provider has pointed */

static ngx_int_t
ngx_http_conduit_result_redirect(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t)
{
    conduit_str_t            from, to, url;
    ngx_conduit_transfer_t  *next;

    if (run->hops == 0 || t->redirect.len == 0) {
        return NGX_DECLINED;
    }

    run->hops--;

    from = run->call.url;
    to.len = t->redirect.len;
    to.data = t->redirect.data;

    if (conduit_provider_redirect(run->description, &run->pool, &from, &to,
                                  &url)
        != CONDUIT_OK)
    {
        return NGX_DECLINED;
    }

    run->call.url = url;

    next = ngx_http_conduit_run_transfer(run, &run->call);

    if (next == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_conduit_result_start(run, next);

    return NGX_OK;
}


static void
ngx_http_conduit_result_filed(ngx_http_conduit_media_file_t *file)
{
    ngx_http_conduit_run_t  *run = file->data;

    run->file = NULL;

    if (run->gone) {
        file->discard = 1;
        ngx_http_conduit_run_destroy(run);
        return;
    }

    if (file->error) {
        ngx_http_conduit_result_lost(run, file->error);
        return;
    }

    if (ngx_http_conduit_result_keep(run, &file->result) != NGX_OK) {
        file->discard = 1;
        ngx_http_conduit_run_fail(run, CONDUIT_ERR_INTERNAL_ERROR, NULL);
        return;
    }

    if (run->copying) {
        ngx_http_conduit_result_next(run);
        return;
    }

    ngx_http_conduit_run_complete(run);
}


/* no copy: the provider's own URL has to do, if there is one */

static void
ngx_http_conduit_result_lost(ngx_http_conduit_run_t *run, ngx_uint_t code)
{
    conduit_result_t           *from;
    ngx_http_conduit_result_t  *to;

    if (run->file) {
        ngx_http_conduit_media_abort(run->file);
        run->file = NULL;
    }

    if (!run->copying || code == CONDUIT_ERR_RESULT_TOO_LARGE) {
        ngx_http_conduit_run_fail(run, code, NULL);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, run->work->cdmcf->engine->log, 0,
                  "conduit: a result of provider \"%V\" could not be copied, "
                  "its own URL is handed out", &run->work->provider->name);

    from = (conduit_result_t *) run->verdict.results.elts + run->index++;
    to = &run->results[run->nresults++];

    to->url.len = from->value.len;
    to->url.data = from->value.data;
    to->mime.len = from->mime.len;
    to->mime.data = from->mime.data;

    if (from->expires) {
        to->expires = ngx_http_conduit_run_now()
                      + (int64_t) from->expires * 1000;
    }

    ngx_http_conduit_result_next(run);
}


/* a download that has failed is judged as any other call */

static void
ngx_http_conduit_result_refused(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t)
{
    ngx_uint_t       code;
    conduit_reply_t  reply;

    code = CONDUIT_ERR_PROVIDER_ERROR;

    if (t->error == NGX_CONDUIT_TRANSFER_TOO_LARGE) {
        code = CONDUIT_ERR_RESULT_TOO_LARGE;

    } else if (run->file && run->file->error) {
        code = run->file->error;
    }

    if (run->copying || code == CONDUIT_ERR_RESULT_TOO_LARGE
        || t->error == NGX_CONDUIT_TRANSFER_ABORTED)
    {
        ngx_http_conduit_result_lost(run, code);
        return;
    }

    if (run->file) {
        ngx_http_conduit_media_abort(run->file);
        run->file = NULL;
    }

    conduit_verdict_free(&run->verdict);
    conduit_verdict_init(&run->verdict);

    if (t->error != NGX_CONDUIT_TRANSFER_OK) {
        conduit_provider_failure(run->description, CONDUIT_STEP_DOWNLOAD,
                                 t->sent, &run->verdict);

    } else {
        ngx_http_conduit_run_reply(t, &reply);

        if (conduit_provider_reply(run->description, &run->pool,
                                   CONDUIT_STEP_DOWNLOAD, &run->job, &reply,
                                   &run->verdict)
            != CONDUIT_OK)
        {
            conduit_verdict_fail(&run->verdict, CONDUIT_ERR_INTERNAL_ERROR);
        }
    }

    ngx_http_conduit_run_replied(run);
}


ngx_uint_t
ngx_http_conduit_run_results_stop(ngx_http_conduit_run_t *run)
{
    if (run->file) {
        ngx_http_conduit_media_abort(run->file);
        run->file = NULL;
    }

    if (run->media) {
        run->media->discard = 1;
        return 0;
    }

    return 1;
}
