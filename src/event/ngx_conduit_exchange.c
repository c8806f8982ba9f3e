
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_exchange.h>


static void ngx_conduit_exchange_begin(ngx_conduit_exchange_t *x);
static const char *ngx_conduit_exchange_url(ngx_conduit_exchange_t *x);
static ngx_uint_t ngx_conduit_exchange_literal(u_char *host, size_t len);
static void ngx_conduit_exchange_lookup_handler(ngx_conduit_lookup_t *lookup);
static void ngx_conduit_exchange_run(ngx_conduit_exchange_t *x);
static ngx_int_t ngx_conduit_exchange_addresses(ngx_conduit_exchange_t *x);
static void ngx_conduit_exchange_continue(ngx_conduit_exchange_t *x);
static void ngx_conduit_exchange_fail(ngx_conduit_exchange_t *x,
    ngx_uint_t error, const char *message);
static ngx_uint_t ngx_conduit_exchange_error(ngx_conduit_exchange_t *x,
    CURLcode code);
static const char *ngx_conduit_exchange_message(ngx_conduit_exchange_t *x,
    CURLcode code);
static void ngx_conduit_exchange_result(ngx_conduit_exchange_t *x);
static void ngx_conduit_exchange_end(ngx_conduit_exchange_t *x);


/* called by the posted event, outside of libcurl */

void
ngx_conduit_exchange_work(ngx_conduit_exchange_t *x)
{
    if (x->cancelled) {
        ngx_conduit_exchange_destroy(x);
        return;
    }

    if (x->failure) {
        ngx_conduit_exchange_fail(x, x->failure,
                                  ngx_conduit_exchange_message(x, CURLE_OK));
        return;
    }

    switch (x->state) {

    case NGX_CONDUIT_EXCHANGE_STARTED:
        ngx_conduit_exchange_begin(x);
        return;

    case NGX_CONDUIT_EXCHANGE_READY:
        ngx_conduit_exchange_run(x);
        return;

    case NGX_CONDUIT_EXCHANGE_RUNNING:
        ngx_conduit_exchange_continue(x);
        return;

    default:
        return;
    }
}


static void
ngx_conduit_exchange_begin(ngx_conduit_exchange_t *x)
{
    ngx_int_t    rc;
    const char  *message;

    if (ngx_conduit_curl_closing()) {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_ABORTED,
                                  "the worker is shutting down");
        return;
    }

    message = ngx_conduit_exchange_url(x);

    if (message) {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_INTERNAL, message);
        return;
    }

    if (x->literal) {
        ngx_conduit_exchange_run(x);
        return;
    }

    x->lookup.resolver = x->transfer->resolver;
    x->lookup.timeout = x->transfer->resolver_timeout;
    x->lookup.handler = ngx_conduit_exchange_lookup_handler;
    x->lookup.data = x;

    rc = ngx_conduit_lookup_start(&x->lookup);

    if (rc == NGX_OK) {
        ngx_conduit_exchange_run(x);
        return;
    }

    x->state = NGX_CONDUIT_EXCHANGE_LOOKUP;

    ngx_conduit_exchange_arm(x);
}


/*
 * The URL is taken apart once, and libcurl is given the parts: what is
 * looked up and checked here cannot differ from where it connects.
 */

static const char *
ngx_conduit_exchange_url(ngx_conduit_exchange_t *x)
{
    char                    *scheme;
    u_char                  *text;
    size_t                   len;
    ngx_uint_t               http;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    text = ngx_pnalloc(t->pool, t->url.len + 1);
    if (text == NULL) {
        return "no memory";
    }

    *ngx_cpymem(text, t->url.data, t->url.len) = '\0';

    x->url = curl_url();
    if (x->url == NULL) {
        return "no memory";
    }

    if (ngx_strlen(text) != t->url.len
        || curl_url_set(x->url, CURLUPART_URL, (char *) text,
                        CURLU_PATH_AS_IS)
           != CURLUE_OK
        || curl_url_get(x->url, CURLUPART_HOST, &x->host, 0) != CURLUE_OK
        || curl_url_get(x->url, CURLUPART_PORT, &x->port, CURLU_DEFAULT_PORT)
           != CURLUE_OK
        || curl_url_get(x->url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
    {
        return "invalid URL";
    }

    http = (ngx_strcmp(scheme, "http") == 0
            || ngx_strcmp(scheme, "https") == 0);

    curl_free(scheme);

    if (!http) {
        return "the scheme of the URL is not http or https";
    }

    len = ngx_strlen(x->host);

    x->lookup.host.data = (u_char *) x->host;
    x->lookup.host.len = len;

    ngx_strlow(x->lookup.host.data, x->lookup.host.data, len);

    x->literal = ngx_conduit_exchange_literal(x->lookup.host.data, len);

    return NULL;
}


/* hosts that libcurl turns into an address without any lookup */

static ngx_uint_t
ngx_conduit_exchange_literal(u_char *host, size_t len)
{
    static const char  localhost[] = ".localhost";

    size_t  n;

    n = sizeof(localhost) - 1;

    if (host[0] == '[') {
        return 1;
    }

    if (len == n - 1 && ngx_memcmp(host, localhost + 1, n - 1) == 0) {
        return 1;
    }

    if (len > n && ngx_memcmp(host + len - n, localhost, n) == 0) {
        return 1;
    }

    return ngx_inet_addr(host, len) != INADDR_NONE;
}


static void
ngx_conduit_exchange_lookup_handler(ngx_conduit_lookup_t *lookup)
{
    ngx_conduit_exchange_t  *x;

    x = lookup->data;

    x->state = NGX_CONDUIT_EXCHANGE_READY;

    ngx_conduit_exchange_arm(x);
    ngx_conduit_curl_queue(x);
}


static void
ngx_conduit_exchange_run(ngx_conduit_exchange_t *x)
{
    ngx_int_t  rc;

    rc = x->literal ? NGX_OK : ngx_conduit_exchange_addresses(x);

    if (rc == NGX_DECLINED) {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_BLOCKED,
                                  "the address of the host is refused");
        return;
    }

    if (rc == NGX_ABORT) {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_DNS,
                                  "the host could not be resolved");
        return;
    }

    if (rc == NGX_OK) {
        x->easy = ngx_conduit_curl_easy();
    }

    if (rc != NGX_OK
        || x->easy == NULL
        || ngx_conduit_exchange_setup(x) != CURLE_OK)
    {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_INTERNAL,
                                  "the request could not be set up");
        return;
    }

    if (ngx_conduit_curl_add(x) != CURLM_OK) {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_INTERNAL,
                                  "no connection is free");
        return;
    }

    x->state = NGX_CONDUIT_EXCHANGE_RUNNING;
}


/*
 * One address that is refused is enough: who names a public and a private
 * one means the private one.  NGX_ABORT: there are none.
 */

static ngx_int_t
ngx_conduit_exchange_addresses(ngx_conduit_exchange_t *x)
{
    u_char                  *p, *start;
    size_t                   len;
    ngx_uint_t               i;
    socklen_t                socklen;
    struct sockaddr         *sa;
    ngx_conduit_lookup_t    *lookup;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;
    lookup = &x->lookup;

    if (lookup->naddrs == 0) {
        return NGX_ABORT;
    }

    len = sizeof("+::") + ngx_strlen(x->host) + ngx_strlen(x->port)
          + lookup->naddrs * (NGX_INET6_ADDRSTRLEN + sizeof("[],"));

    start = ngx_pnalloc(t->pool, len);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(start, "+%s:%s:", x->host, x->port);

    for (i = 0; i < lookup->naddrs; i++) {
        sa = &lookup->addrs[i].sockaddr;
        socklen = (sa->sa_family == AF_INET) ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6);

        if (t->address
            && t->address(sa, socklen, t->address_data) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        if (i) {
            *p++ = ',';
        }

        /* with a zero port only the address is printed */

        if (sa->sa_family == AF_INET) {
            p += ngx_sock_ntop(sa, socklen, p, NGX_SOCKADDR_STRLEN, 0);

        } else {
            *p++ = '[';
            p += ngx_sock_ntop(sa, socklen, p, NGX_SOCKADDR_STRLEN, 0);
            *p++ = ']';
        }
    }

    *p = '\0';

    x->resolve.data = (char *) start;

    return NGX_OK;
}


static void
ngx_conduit_exchange_continue(ngx_conduit_exchange_t *x)
{
    CURLcode  code;

    if (!x->resume) {
        return;
    }

    x->resume = 0;

    if (!x->paused) {
        return;
    }

    x->paused = 0;
    x->last = ngx_current_msec;

    ngx_conduit_exchange_arm(x);

    code = ngx_conduit_curl_resume(x);

    if (code != CURLE_OK) {
        ngx_conduit_exchange_done(x, code);
    }
}


void
ngx_conduit_exchange_arm(ngx_conduit_exchange_t *x)
{
    ngx_msec_int_t           left, idle;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    left = (ngx_msec_int_t) (x->start + t->timeout - ngx_current_msec);

    if (x->state == NGX_CONDUIT_EXCHANGE_LOOKUP) {
        idle = (ngx_msec_int_t) (x->start + t->resolver_timeout
                                 - ngx_current_msec);
        left = ngx_min(left, idle);

    } else if (t->read_timeout && x->begun && !x->paused) {
        idle = (ngx_msec_int_t) (x->last + t->read_timeout - ngx_current_msec);
        left = ngx_min(left, idle);
    }

    if (x->timer.timer_set) {
        ngx_del_timer(&x->timer);
    }

    ngx_add_timer(&x->timer, (ngx_msec_t) ngx_max(left, 1));
}


/* bytes that come only note the time; the timer finds out what is left */

void
ngx_conduit_exchange_timer(ngx_event_t *ev)
{
    ngx_msec_t               now;
    ngx_conduit_exchange_t  *x;
    ngx_conduit_transfer_t  *t;

    x = ev->data;
    t = x->transfer;
    now = ngx_current_msec;

    if (x->state == NGX_CONDUIT_EXCHANGE_LOOKUP
        && (now - x->start >= t->resolver_timeout
            || now - x->start >= t->timeout))
    {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_DNS,
                                  "the name server does not answer");
        return;
    }

    if (now - x->start >= t->timeout) {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_TIMEOUT,
                                  "the transfer took too long");
        return;
    }

    if (t->read_timeout && x->begun && !x->paused
        && now - x->last >= t->read_timeout)
    {
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_TIMEOUT,
                                  "the reply stopped");
        return;
    }

    ngx_conduit_exchange_arm(x);
}


/* libcurl is through with it */

void
ngx_conduit_exchange_done(ngx_conduit_exchange_t *x, CURLcode code)
{
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    /* nothing was sent on the kept connection: another one is made */

    if (x->stale && !x->fresh) {
        x->fresh = 1;

        ngx_conduit_curl_remove(x);

        if (curl_easy_setopt(x->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK
            && ngx_conduit_curl_add(x) == CURLM_OK)
        {
            return;
        }

        x->state = NGX_CONDUIT_EXCHANGE_READY;
        ngx_conduit_exchange_fail(x, NGX_CONDUIT_TRANSFER_INTERNAL,
                                  "no connection is free");
        return;
    }

    ngx_conduit_exchange_result(x);

    t->error = ngx_conduit_exchange_error(x, code);

    if (t->error != NGX_CONDUIT_TRANSFER_OK) {
        t->message = ngx_conduit_exchange_message(x, code);
    }

    ngx_conduit_exchange_end(x);
}


static void
ngx_conduit_exchange_fail(ngx_conduit_exchange_t *x, ngx_uint_t error,
    const char *message)
{
    if (x->state == NGX_CONDUIT_EXCHANGE_RUNNING) {
        ngx_conduit_exchange_result(x);
    }

    x->transfer->error = error;
    x->transfer->message = message;

    ngx_conduit_exchange_end(x);
}


static ngx_uint_t
ngx_conduit_exchange_error(ngx_conduit_exchange_t *x, CURLcode code)
{
    if (code == CURLE_OK) {
        return NGX_CONDUIT_TRANSFER_OK;
    }

    if (x->failure) {
        return x->failure;
    }

    switch (code) {

    case CURLE_COULDNT_RESOLVE_HOST:
        return NGX_CONDUIT_TRANSFER_DNS;

    case CURLE_COULDNT_CONNECT:
        return NGX_CONDUIT_TRANSFER_CONNECT;

    case CURLE_OPERATION_TIMEDOUT:
        return NGX_CONDUIT_TRANSFER_TIMEOUT;

    case CURLE_FILESIZE_EXCEEDED:
        return NGX_CONDUIT_TRANSFER_TOO_LARGE;

    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_USE_SSL_FAILED:
        return NGX_CONDUIT_TRANSFER_TLS;

    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_URL_MALFORMAT:
        return NGX_CONDUIT_TRANSFER_INTERNAL;

    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:

        if (!x->transfer->sent) {
            return NGX_CONDUIT_TRANSFER_CONNECT;
        }

        return NGX_CONDUIT_TRANSFER_PROTOCOL;

    default:
        return NGX_CONDUIT_TRANSFER_PROTOCOL;
    }
}


static const char *
ngx_conduit_exchange_message(ngx_conduit_exchange_t *x, CURLcode code)
{
    switch (x->failure) {

    case NGX_CONDUIT_TRANSFER_OK:
        return curl_easy_strerror(code);

    case NGX_CONDUIT_TRANSFER_PROTOCOL:
        return x->requests > 1 ? "a kept connection was closed"
                               : "the header of the reply is too large";

    case NGX_CONDUIT_TRANSFER_TOO_LARGE:
        return "the reply is too large";

    case NGX_CONDUIT_TRANSFER_BLOCKED:
        return "the address of the host is refused";

    case NGX_CONDUIT_TRANSFER_ABORTED:
        return "the reply is not wanted";

    default:
        return "no memory or no connection is free";
    }
}


static void
ngx_conduit_exchange_result(ngx_conduit_exchange_t *x)
{
    long                     value;
    char                    *redirect;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    if (curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &value)
        == CURLE_OK)
    {
        t->status = (ngx_uint_t) value;
    }

    if (curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &value) == CURLE_OK
        && value > 0)
    {
        t->sent = 1;
    }

    if (curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &value) == CURLE_OK
        && value == 0 && x->requests)
    {
        t->reused = 1;
    }

    if (curl_easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &redirect)
            == CURLE_OK
        && redirect != NULL)
    {
        t->redirect.data = (u_char *) redirect;
        t->redirect.len = ngx_strlen(redirect);
    }
}


static void
ngx_conduit_exchange_end(ngx_conduit_exchange_t *x)
{
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    if (x->state == NGX_CONDUIT_EXCHANGE_RUNNING) {
        ngx_conduit_curl_remove(x);
    }

    x->state = NGX_CONDUIT_EXCHANGE_ENDED;

    if (x->timer.timer_set) {
        ngx_del_timer(&x->timer);
    }

    if (!x->cancelled) {
        t->elapsed = ngx_current_msec - x->start;

        if (t->handler) {
            t->handler(t);
        }
    }

    ngx_conduit_exchange_destroy(x);
}


void
ngx_conduit_exchange_destroy(ngx_conduit_exchange_t *x)
{
    if (x->state == NGX_CONDUIT_EXCHANGE_RUNNING) {
        ngx_conduit_curl_remove(x);
    }

    ngx_conduit_curl_leave(x);

    ngx_conduit_lookup_cancel(&x->lookup);

    if (x->timer.timer_set) {
        ngx_del_timer(&x->timer);
    }

    if (x->easy) {
        ngx_conduit_curl_free_easy(x->easy);
    }

    curl_url_cleanup(x->url);
    curl_free(x->host);
    curl_free(x->port);

    if (x->transfer->reply.data) {
        ngx_free(x->transfer->reply.data);
    }

    ngx_destroy_pool(x->transfer->pool);
}
