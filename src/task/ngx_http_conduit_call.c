
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_run.h>


/* Calls: from description to transfer, and from reply to verdict. */


/* replies to polls are small; the others may bring results in base64 */

#define NGX_HTTP_CONDUIT_POLL_SIZE  (1024 * 1024)
#define NGX_HTTP_CONDUIT_ROOM       (64 * 1024)


static size_t ngx_http_conduit_call_size(ngx_http_conduit_run_t *run);
static void ngx_http_conduit_call_done(ngx_conduit_transfer_t *t);
static void ngx_http_conduit_call_judge(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t);
static void ngx_http_conduit_call_count(ngx_http_conduit_run_t *run);
static ngx_uint_t ngx_http_conduit_call_down(ngx_uint_t error);
static int ngx_http_conduit_call_header(void *data, const char *name,
    conduit_str_t *value);


void
ngx_http_conduit_run_call(ngx_http_conduit_run_t *run, conduit_step_e step)
{
    int                      rc;
    ngx_conduit_transfer_t  *t;

    run->step = step;

    conduit_verdict_free(&run->verdict);
    conduit_verdict_init(&run->verdict);

    rc = conduit_provider_call(run->description, &run->pool, step, &run->job,
                               &run->call, &run->verdict);

    if (rc == CONDUIT_DECLINED) {
        ngx_http_conduit_run_replied(run);
        return;
    }

    t = (rc == CONDUIT_OK) ? ngx_http_conduit_run_transfer(run, &run->call)
                           : NULL;

    if (t == NULL) {
        conduit_verdict_fail(&run->verdict, CONDUIT_ERR_INTERNAL_ERROR);
        ngx_http_conduit_run_replied(run);
        return;
    }

    t->max_size = ngx_http_conduit_call_size(run);
    t->handler = ngx_http_conduit_call_done;

    run->transfer = t;

    ngx_conduit_transfer_start(t);
}


ngx_conduit_transfer_t *
ngx_http_conduit_run_transfer(ngx_http_conduit_run_t *run,
    conduit_call_t *call)
{
    unsigned                       i;
    ngx_str_t                      name, value;
    conduit_pair_t                *pair;
    ngx_conduit_transfer_t        *t;
    ngx_http_conduit_main_conf_t  *cdmcf;

    cdmcf = run->work->cdmcf;

    t = ngx_conduit_transfer_create(cdmcf->engine->log);
    if (t == NULL) {
        return NULL;
    }

    /* the texts of the call live in the pool of the work, longer than t */

    t->method.len = call->method.len;
    t->method.data = call->method.data;
    t->url.len = call->url.len;
    t->url.data = call->url.data;

    if (call->has_body) {
        t->body.len = call->body.len;
        t->body.data = call->body.data;
    }

    t->connect_timeout = run->description->connect_timeout;
    t->read_timeout = run->description->read_timeout;
    t->timeout = call->timeout;
    t->once = call->once;
    t->trusted_certificate.len = run->description->certificate.len;
    t->trusted_certificate.data = run->description->certificate.data;
    t->data = run;

    if (cdmcf->resolver) {
        t->resolver = cdmcf->resolver;
        t->resolver_timeout = cdmcf->resolver_timeout;
    }

    pair = call->headers.elts;

    for (i = 0; i < call->headers.n; i++) {
        name.len = pair[i].name.len;
        name.data = pair[i].name.data;
        value.len = pair[i].value.len;
        value.data = pair[i].value.data;

        if (ngx_conduit_transfer_add_header(t, &name, &value) != NGX_OK) {
            ngx_conduit_transfer_cancel(t);
            return NULL;
        }
    }

    return t;
}


static size_t
ngx_http_conduit_call_size(ngx_http_conduit_run_t *run)
{
    ngx_http_conduit_media_t  *media;

    if (run->step != CONDUIT_STEP_SUBMIT && run->step != CONDUIT_STEP_FETCH) {
        return NGX_HTTP_CONDUIT_POLL_SIZE;
    }

    media = run->work->cdmcf->media;

    return media ? media->max_size / 3 * 4 + NGX_HTTP_CONDUIT_ROOM
                 : NGX_HTTP_CONDUIT_MEDIA_INLINE;
}


static void
ngx_http_conduit_call_done(ngx_conduit_transfer_t *t)
{
    ngx_http_conduit_run_t  *run = t->data;

    run->transfer = NULL;

    ngx_http_conduit_call_judge(run, t);
    ngx_http_conduit_call_count(run);

    ngx_http_conduit_run_replied(run);
}


static void
ngx_http_conduit_call_judge(ngx_http_conduit_run_t *run,
    ngx_conduit_transfer_t *t)
{
    int              rc;
    conduit_reply_t  reply;

    if (t->error == NGX_CONDUIT_TRANSFER_TOO_LARGE) {
        conduit_verdict_fail(&run->verdict, CONDUIT_ERR_RESULT_TOO_LARGE);
        return;
    }

    if (t->error != NGX_CONDUIT_TRANSFER_OK) {
        ngx_log_error(NGX_LOG_INFO, run->work->cdmcf->engine->log, 0,
                      "conduit: call to provider \"%V\" failed: %s, %s",
                      &run->work->provider->name,
                      ngx_conduit_transfer_strerror(t->error),
                      t->message ? t->message : "no details");

        conduit_provider_failure(run->description, run->step, t->sent,
                                 &run->verdict);
        return;
    }

    ngx_http_conduit_run_reply(t, &reply);

    rc = conduit_provider_reply(run->description, &run->pool, run->step,
                                &run->job, &reply, &run->verdict);

    if (rc != CONDUIT_OK) {
        conduit_verdict_fail(&run->verdict, CONDUIT_ERR_INTERNAL_ERROR);
    }
}


static void
ngx_http_conduit_call_count(ngx_http_conduit_run_t *run)
{
    ngx_uint_t                         bad;
    ngx_http_conduit_provider_node_t  *pn;

    pn = &run->work->cdmcf->zone.sh->providers[run->work->provider->index];

    switch (run->verdict.state) {

    case CONDUIT_STATE_HOLD:
    case CONDUIT_STATE_RETRY:
        (void) ngx_atomic_fetch_add(&pn->retried, 1);
        bad = 1;
        break;

    case CONDUIT_STATE_FAILED:
        (void) ngx_atomic_fetch_add(&pn->failed, 1);
        bad = ngx_http_conduit_call_down(run->verdict.code);
        break;

    default:
        (void) ngx_atomic_fetch_add(&pn->ok, 1);
        bad = 0;
    }

    if (bad) {
        (void) ngx_atomic_fetch_add(&pn->streak, 1);

    } else if (pn->streak) {
        pn->streak = 0;
    }
}


/* does the error say that the provider, and not the request, is at fault? */

static ngx_uint_t
ngx_http_conduit_call_down(ngx_uint_t error)
{
    switch (error) {

    case CONDUIT_ERR_PROVIDER_AUTH:
    case CONDUIT_ERR_PROVIDER_QUOTA:
    case CONDUIT_ERR_RATE_LIMITED:
    case CONDUIT_ERR_PROVIDER_UNAVAILABLE:
    case CONDUIT_ERR_PROVIDER_UNKNOWN:
        return 1;

    default:
        return 0;
    }
}


void
ngx_http_conduit_run_reply(ngx_conduit_transfer_t *t, conduit_reply_t *reply)
{
    reply->status = t->status;
    reply->body.len = t->reply.len;
    reply->body.data = t->reply.data;
    reply->now = ngx_time();
    reply->header = ngx_http_conduit_call_header;
    reply->data = t;
}


static int
ngx_http_conduit_call_header(void *data, const char *name,
    conduit_str_t *value)
{
    ngx_conduit_transfer_t  *t = data;

    ngx_str_t  v;

    if (ngx_conduit_transfer_header(t, name, &v) != NGX_OK) {
        return CONDUIT_DECLINED;
    }

    value->len = v.len;
    value->data = v.data;

    return CONDUIT_OK;
}
