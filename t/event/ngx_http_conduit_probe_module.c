
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * For tests only: drives the adapters of src/event by requests.
 *
 *     conduit_probe transfer;    /?url=...  makes a transfer, tells its outcome
 *     conduit_probe wake;        /?slot=N   wakes a worker, which logs it
 *     conduit_probe thread;      /?ms=N     a job that takes that long
 *     conduit_probe random;      /?n=N      random bytes in hex
 *     conduit_probe drain;                  replies when the worker shuts down
 *     conduit_probe active;                 transfers in this worker
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <ngx_conduit_curl.h>
#include <ngx_conduit_drain.h>
#include <ngx_conduit_random.h>
#include <ngx_conduit_thread.h>
#include <ngx_conduit_wakeup.h>


#define NGX_HTTP_CONDUIT_PROBE_REPLY  4096


typedef struct {
    ngx_thread_pool_t         *pool;
    ngx_conduit_wakeup_t      *wakeup;
} ngx_http_conduit_probe_main_conf_t;


typedef struct {
    ngx_http_request_t        *request;
    void                      *dummy[2];
    ngx_socket_t               fd;          /* as in ngx_connection_t */

    ngx_uint_t                 left;
    ngx_uint_t                 counts[NGX_CONDUIT_TRANSFER_INTERNAL + 1];
    ngx_uint_t                 reused;
    ngx_uint_t                 pieces;
    ngx_uint_t                 pauses;
    ngx_uint_t                 taken;
    uint32_t                   crc;
    ngx_str_t                  sink;
    ngx_str_t                  deny;
    ngx_uint_t                 n;
    ngx_conduit_transfer_t   **transfers;
    ngx_event_t                timer;
    ngx_event_t                pause;
    ngx_buf_t                 *out;
} ngx_http_conduit_probe_ctx_t;


typedef struct {
    ngx_http_request_t        *request;
    ngx_msec_t                 delay;
    u_char                     result[16];
} ngx_http_conduit_probe_job_t;


static ngx_int_t ngx_http_conduit_probe_transfer(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_probe_create(ngx_http_request_t *r,
    ngx_http_conduit_probe_ctx_t *ctx, ngx_uint_t i);
static ngx_int_t ngx_http_conduit_probe_options(ngx_http_request_t *r,
    ngx_conduit_transfer_t *t);
static ngx_int_t ngx_http_conduit_probe_body(ngx_http_request_t *r,
    ngx_conduit_transfer_t *t);
static ngx_int_t ngx_http_conduit_probe_address(struct sockaddr *sockaddr,
    socklen_t socklen, void *data);
static ngx_int_t ngx_http_conduit_probe_sink(ngx_conduit_transfer_t *t,
    u_char *data, size_t len);
static void ngx_http_conduit_probe_resume(ngx_event_t *ev);
static void ngx_http_conduit_probe_cancel(ngx_event_t *ev);
static void ngx_http_conduit_probe_cleanup(void *data);
static void ngx_http_conduit_probe_done(ngx_conduit_transfer_t *t);
static void ngx_http_conduit_probe_print(ngx_http_conduit_probe_ctx_t *ctx,
    ngx_conduit_transfer_t *t);
static void ngx_http_conduit_probe_finish(ngx_http_conduit_probe_ctx_t *ctx);
static ngx_int_t ngx_http_conduit_probe_wake(ngx_http_request_t *r);
static void ngx_http_conduit_probe_woken(void *data);
static ngx_int_t ngx_http_conduit_probe_thread(ngx_http_request_t *r);
static void ngx_http_conduit_probe_exec(void *data);
static void ngx_http_conduit_probe_joined(void *data);
static ngx_int_t ngx_http_conduit_probe_drain(ngx_http_request_t *r);
static void ngx_http_conduit_probe_drained(void *data);
static void ngx_http_conduit_probe_undrain(void *data);
static ngx_int_t ngx_http_conduit_probe_random(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_probe_active(ngx_http_request_t *r);
static ngx_int_t ngx_http_conduit_probe_send(ngx_http_request_t *r,
    u_char *data, size_t len);
static ngx_uint_t ngx_http_conduit_probe_number(ngx_http_request_t *r,
    char *name, ngx_uint_t value);
static void ngx_http_conduit_probe_string(ngx_http_request_t *r, char *name,
    ngx_str_t *value);
static char *ngx_http_conduit_probe(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_conduit_probe_create_main_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_conduit_probe_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_conduit_probe_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_conduit_probe_init_process(ngx_cycle_t *cycle);
static void ngx_http_conduit_probe_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_conduit_probe_commands[] = {

    { ngx_string("conduit_probe"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_conduit_probe,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_conduit_probe_module_ctx = {
    NULL,                                   /* preconfiguration */
    ngx_http_conduit_probe_init,            /* postconfiguration */

    ngx_http_conduit_probe_create_main_conf, /* create main configuration */
    NULL,                                   /* init main configuration */

    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */

    NULL,                                   /* create location configuration */
    NULL                                    /* merge location configuration */
};


ngx_module_t  ngx_http_conduit_probe_module = {
    NGX_MODULE_V1,
    &ngx_http_conduit_probe_module_ctx,     /* module context */
    ngx_http_conduit_probe_commands,        /* module directives */
    NGX_HTTP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    ngx_http_conduit_probe_init_module,     /* init module */
    ngx_http_conduit_probe_init_process,    /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    ngx_http_conduit_probe_exit_process,    /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


static struct {
    ngx_str_t                  name;
    ngx_http_handler_pt        handler;
} ngx_http_conduit_probe_handlers[] = {
    { ngx_string("transfer"), ngx_http_conduit_probe_transfer },
    { ngx_string("wake"), ngx_http_conduit_probe_wake },
    { ngx_string("thread"), ngx_http_conduit_probe_thread },
    { ngx_string("drain"), ngx_http_conduit_probe_drain },
    { ngx_string("random"), ngx_http_conduit_probe_random },
    { ngx_string("active"), ngx_http_conduit_probe_active },
    { ngx_null_string, NULL }
};


static ngx_int_t
ngx_http_conduit_probe_transfer(ngx_http_request_t *r)
{
    ngx_uint_t                     i, n;
    ngx_msec_t                     ms;
    ngx_http_cleanup_t            *cln;
    ngx_http_conduit_probe_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_conduit_probe_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->out = ngx_create_temp_buf(r->pool, NGX_HTTP_CONDUIT_PROBE_REPLY);
    if (ctx->out == NULL) {
        return NGX_ERROR;
    }

    ctx->request = r;
    ctx->fd = (ngx_socket_t) -1;
    ctx->crc = 0xffffffff;

    ctx->timer.data = ctx;
    ctx->timer.handler = ngx_http_conduit_probe_cancel;
    ctx->timer.log = r->connection->log;

    ctx->pause.data = ctx;
    ctx->pause.handler = ngx_http_conduit_probe_resume;
    ctx->pause.log = r->connection->log;

    ngx_http_conduit_probe_string(r, "sink", &ctx->sink);
    ngx_http_conduit_probe_string(r, "deny", &ctx->deny);

    n = ngx_http_conduit_probe_number(r, "n", 1);

    ctx->n = n;
    ctx->left = n;

    ctx->transfers = ngx_pcalloc(r->pool,
                                 n * sizeof(ngx_conduit_transfer_t *));
    cln = ngx_http_cleanup_add(r, 0);

    if (ctx->transfers == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_conduit_probe_cleanup;
    cln->data = ctx;

    r->main->count++;

    for (i = 0; i < n; i++) {
        if (ngx_http_conduit_probe_create(r, ctx, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ms = ngx_http_conduit_probe_number(r, "cancel", 0);

    if (ms) {
        ngx_add_timer(&ctx->timer, ms);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_conduit_probe_create(ngx_http_request_t *r,
    ngx_http_conduit_probe_ctx_t *ctx, ngx_uint_t i)
{
    ngx_conduit_transfer_t  *t;

    t = ngx_conduit_transfer_create(ngx_cycle->log);
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->data = ctx;
    t->handler = ngx_http_conduit_probe_done;

    if (ctx->sink.len) {
        t->sink = ngx_http_conduit_probe_sink;
    }

    if (ctx->deny.len) {
        t->address = ngx_http_conduit_probe_address;
        t->address_data = ctx;
    }

    if (ngx_http_conduit_probe_options(r, t) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->transfers[i] = t;

    ngx_conduit_transfer_start(t);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_probe_options(ngx_http_request_t *r,
    ngx_conduit_transfer_t *t)
{
    ngx_str_t                  name, value;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    t->resolver = clcf->resolver;
    t->resolver_timeout = ngx_http_conduit_probe_number(r, "lookup",
                                                     clcf->resolver_timeout);

    ngx_http_conduit_probe_string(r, "url", &t->url);
    ngx_http_conduit_probe_string(r, "method", &t->method);
    ngx_http_conduit_probe_string(r, "ca", &t->trusted_certificate);

    t->timeout = ngx_http_conduit_probe_number(r, "timeout", t->timeout);
    t->read_timeout = ngx_http_conduit_probe_number(r, "read", 0);
    t->connect_timeout = ngx_http_conduit_probe_number(r, "connect",
                                                       t->connect_timeout);
    t->max_size = ngx_http_conduit_probe_number(r, "max", t->max_size);
    t->once = ngx_http_conduit_probe_number(r, "once", 0);

    ngx_http_conduit_probe_string(r, "header", &value);

    if (value.len) {
        ngx_str_set(&name, "X-Probe");

        if (ngx_conduit_transfer_add_header(t, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_conduit_probe_body(r, t);
}


static ngx_int_t
ngx_http_conduit_probe_body(ngx_http_request_t *r, ngx_conduit_transfer_t *t)
{
    size_t  len;

    len = ngx_http_conduit_probe_number(r, "body", 0);

    if (len == 0) {
        return NGX_OK;
    }

    t->body.data = ngx_palloc(t->pool, len);
    if (t->body.data == NULL) {
        return NGX_ERROR;
    }

    t->body.len = len;
    ngx_memset(t->body.data, 'b', len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_probe_address(struct sockaddr *sockaddr, socklen_t socklen,
    void *data)
{
    size_t                         len;
    u_char                         text[NGX_SOCKADDR_STRLEN];
    ngx_http_conduit_probe_ctx_t  *ctx = data;

    len = ngx_sock_ntop(sockaddr, socklen, text, NGX_SOCKADDR_STRLEN, 0);

    if (len == ctx->deny.len && ngx_memcmp(text, ctx->deny.data, len) == 0) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_probe_sink(ngx_conduit_transfer_t *t, u_char *data,
    size_t len)
{
    ngx_http_conduit_probe_ctx_t  *ctx;

    ctx = t->data;

    ctx->pieces++;

    switch (ctx->sink.data[0]) {

    case 'e':                                                /* error */
        return NGX_ERROR;

    case 'c':                                                /* cancel */
        ngx_conduit_transfer_cancel(t);
        ctx->transfers[0] = NULL;
        ngx_post_event(&ctx->timer, &ngx_posted_events);
        return NGX_OK;

    case 'p':                                                /* pause */

        if (ctx->pieces % 2) {
            ctx->pauses++;
            ngx_add_timer(&ctx->pause, 5);
            return NGX_AGAIN;
        }

        break;

    default:
        break;
    }

    ctx->taken += len;
    ngx_crc32_update(&ctx->crc, data, len);

    return NGX_OK;
}


static void
ngx_http_conduit_probe_resume(ngx_event_t *ev)
{
    ngx_http_conduit_probe_ctx_t  *ctx;

    ctx = ev->data;

    ngx_conduit_transfer_resume(ctx->transfers[0]);
}


static void
ngx_http_conduit_probe_cancel(ngx_event_t *ev)
{
    ngx_http_conduit_probe_ctx_t  *ctx;

    ctx = ev->data;

    ngx_http_conduit_probe_cleanup(ctx);

    ctx->out->last = ngx_sprintf(ctx->out->last, "error=cancelled\n");

    ngx_http_conduit_probe_finish(ctx);
}


/* whoever asked is gone: its transfers are not to call anybody */

static void
ngx_http_conduit_probe_cleanup(void *data)
{
    ngx_uint_t                     i;
    ngx_http_conduit_probe_ctx_t  *ctx = data;

    for (i = 0; i < ctx->n; i++) {
        if (ctx->transfers[i]) {
            ngx_conduit_transfer_cancel(ctx->transfers[i]);
            ctx->transfers[i] = NULL;
        }
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->pause.timer_set) {
        ngx_del_timer(&ctx->pause);
    }

    if (ctx->timer.posted) {
        ngx_delete_posted_event(&ctx->timer);
    }
}


static void
ngx_http_conduit_probe_done(ngx_conduit_transfer_t *t)
{
    ngx_uint_t                     i;
    ngx_http_conduit_probe_ctx_t  *ctx;

    ctx = t->data;

    /* it is too late for it, and must do nothing */
    ngx_conduit_transfer_cancel(t);

    for (i = 0; i < ctx->n; i++) {
        if (ctx->transfers[i] == t) {
            ctx->transfers[i] = NULL;
        }
    }

    ctx->counts[t->error]++;
    ctx->reused += t->reused;

    if (--ctx->left) {
        return;
    }

    for (i = 0; i <= NGX_CONDUIT_TRANSFER_INTERNAL; i++) {
        ctx->out->last = ngx_sprintf(ctx->out->last, "%s=%ui\n",
                                     ngx_conduit_transfer_strerror(i),
                                     ctx->counts[i]);
    }

    ngx_http_conduit_probe_print(ctx, t);
    ngx_http_conduit_probe_finish(ctx);
}


static void
ngx_http_conduit_probe_print(ngx_http_conduit_probe_ctx_t *ctx,
    ngx_conduit_transfer_t *t)
{
    size_t      len;
    ngx_str_t   type;
    ngx_buf_t  *out;

    out = ctx->out;

    if (ngx_conduit_transfer_header(t, "content-type", &type) != NGX_OK) {
        ngx_str_null(&type);
    }

    if (ctx->sink.len == 0 && t->reply.len) {
        ngx_crc32_update(&ctx->crc, t->reply.data, t->reply.len);
    }

    ngx_crc32_final(ctx->crc);

    out->last = ngx_sprintf(out->last,
                            "error=%s\nstatus=%ui\nsent=%d\nreused=%ui\n"
                            "len=%uz\ntaken=%ui\npieces=%ui\npauses=%ui\n"
                            "crc=%08xD\nelapsed=%M\ntype=%V\nmessage=%s\n"
                            "redirect=%V\n",
                            ngx_conduit_transfer_strerror(t->error),
                            t->status, t->sent, ctx->reused,
                            t->reply.len, ctx->taken, ctx->pieces, ctx->pauses,
                            ctx->crc, t->elapsed, &type, t->message,
                            &t->redirect);

    if (t->reply.data) {
        len = ngx_min(t->reply.len, 1024);
        out->last = ngx_sprintf(out->last, "\n%*s", len, t->reply.data);
    }
}


static void
ngx_http_conduit_probe_finish(ngx_http_conduit_probe_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    rc = ngx_http_conduit_probe_send(r, ctx->out->pos,
                                     ctx->out->last - ctx->out->pos);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_conduit_probe_wake(ngx_http_request_t *r)
{
    u_char  text[NGX_INT64_LEN];

    ngx_conduit_wakeup_send(ngx_http_conduit_probe_number(r, "slot", 0));

    return ngx_http_conduit_probe_send(r, text,
                                  ngx_sprintf(text, "%P\n", ngx_pid) - text);
}


static void
ngx_http_conduit_probe_woken(void *data)
{
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "probe: woken, slot %ui",
                  ngx_worker);
}


static ngx_int_t
ngx_http_conduit_probe_thread(ngx_http_request_t *r)
{
    ngx_http_conduit_probe_job_t        *job;
    ngx_http_conduit_probe_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_conduit_probe_module);

    job = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_probe_job_t));
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->request = r;
    job->delay = ngx_http_conduit_probe_number(r, "ms", 0);

    if (ngx_conduit_thread_post(pmcf->pool, job, ngx_http_conduit_probe_exec,
                                ngx_http_conduit_probe_joined)
        != NGX_OK)
    {
        ngx_conduit_thread_free(job);
        return NGX_ERROR;
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_conduit_probe_exec(void *data)
{
    ngx_http_conduit_probe_job_t  *job = data;

    ngx_msleep(job->delay);

    ngx_memcpy(job->result, "done", 4);
}


static void
ngx_http_conduit_probe_joined(void *data)
{
    ngx_int_t                      rc;
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_conduit_probe_job_t  *job = data;

    r = job->request;
    c = r->connection;

    rc = ngx_http_conduit_probe_send(r, job->result, 4);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_conduit_probe_drain(ngx_http_request_t *r)
{
    ngx_http_cleanup_t   *cln;
    ngx_conduit_drain_t  *drain;

    drain = ngx_pcalloc(r->pool, sizeof(ngx_conduit_drain_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (drain == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    drain->handler = ngx_http_conduit_probe_drained;
    drain->data = r;

    cln->handler = ngx_http_conduit_probe_undrain;
    cln->data = drain;

    if (ngx_conduit_drain_add(drain) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;

    return NGX_DONE;
}


static void
ngx_http_conduit_probe_drained(void *data)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r = data;

    c = r->connection;

    rc = ngx_http_conduit_probe_send(r, (u_char *) "drained", 7);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_conduit_probe_undrain(void *data)
{
    ngx_conduit_drain_del(data);
}


static ngx_int_t
ngx_http_conduit_probe_random(ngx_http_request_t *r)
{
    size_t   n;
    u_char  *p, *text;

    n = ngx_http_conduit_probe_number(r, "n", 16);

    p = ngx_pnalloc(r->pool, n);
    text = ngx_pnalloc(r->pool, 2 * n);

    if (p == NULL || text == NULL
        || ngx_conduit_random_bytes(p, n) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_hex_dump(text, p, n);

    return ngx_http_conduit_probe_send(r, text, 2 * n);
}


static ngx_int_t
ngx_http_conduit_probe_active(ngx_http_request_t *r)
{
    u_char  text[2 * NGX_INT64_LEN];

    return ngx_http_conduit_probe_send(r, text,
               ngx_sprintf(text, "%ui %ui\n", ngx_conduit_curl_active(),
                           ngx_cycle->free_connection_n) - text);
}


static ngx_int_t
ngx_http_conduit_probe_send(ngx_http_request_t *r, u_char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_int_t     rc;
    ngx_chain_t   out;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = len;

    b = ngx_create_temp_buf(r->pool, len + 1);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, data, len);
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}


static ngx_uint_t
ngx_http_conduit_probe_number(ngx_http_request_t *r, char *name,
    ngx_uint_t value)
{
    ngx_int_t  n;
    ngx_str_t  arg;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &arg) != NGX_OK) {
        return value;
    }

    n = ngx_atoi(arg.data, arg.len);

    return (n == NGX_ERROR) ? value : (ngx_uint_t) n;
}


static void
ngx_http_conduit_probe_string(ngx_http_request_t *r, char *name,
    ngx_str_t *value)
{
    u_char     *dst, *src;
    ngx_str_t   arg;

    ngx_str_null(value);

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &arg) != NGX_OK) {
        return;
    }

    value->data = ngx_pnalloc(r->pool, arg.len + 1);

    if (value->data == NULL) {
        return;
    }

    dst = value->data;
    src = arg.data;

    ngx_unescape_uri(&dst, &src, arg.len, 0);

    value->len = dst - value->data;
}


static char *
ngx_http_conduit_probe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    for (i = 0; ngx_http_conduit_probe_handlers[i].handler; i++) {
        if (ngx_strcmp(value[1].data,
                       ngx_http_conduit_probe_handlers[i].name.data)
            == 0)
        {
            clcf->handler = ngx_http_conduit_probe_handlers[i].handler;
            return NGX_CONF_OK;
        }
    }

    return "has an unknown name";
}


static void *
ngx_http_conduit_probe_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_conduit_probe_main_conf_t));
}


static ngx_int_t
ngx_http_conduit_probe_init(ngx_conf_t *cf)
{
    ngx_http_conduit_probe_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_conduit_probe_module);

    pmcf->pool = ngx_conduit_thread_pool(cf);

    return pmcf->pool ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_conduit_probe_init_module(ngx_cycle_t *cycle)
{
    ngx_http_conduit_probe_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_conduit_probe_module);

    pmcf->wakeup = ngx_conduit_wakeup_create(cycle);
    if (pmcf->wakeup == NULL) {
        return NGX_ERROR;
    }

    return ngx_conduit_curl_global_init(cycle->log);
}


static ngx_int_t
ngx_http_conduit_probe_init_process(ngx_cycle_t *cycle)
{
    ngx_http_conduit_probe_main_conf_t  *pmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    pmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_conduit_probe_module);

    if (ngx_conduit_wakeup_init(pmcf->wakeup, cycle,
                                ngx_http_conduit_probe_woken, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_conduit_curl_init(cycle);
}


static void
ngx_http_conduit_probe_exit_process(ngx_cycle_t *cycle)
{
    ngx_conduit_curl_exit(cycle);
}
