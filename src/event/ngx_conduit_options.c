
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_exchange.h>


/*
 * Seconds that a kept connection may have been idle before a request that
 * must not be repeated is sent on it.  Servers drop idle connections after
 * five seconds and more; a request that meets the drop is lost.
 */
#define NGX_CONDUIT_EXCHANGE_IDLE  3L

/* seconds that libcurl keeps the addresses it was given for a transfer */
#define NGX_CONDUIT_EXCHANGE_DNS   3600L


#define ngx_conduit_exchange_set(x, option, value)                            \
    code = curl_easy_setopt((x)->easy, option, value);                        \
                                                                              \
    if (code != CURLE_OK) {                                                   \
        return code;                                                          \
    }


static CURLcode ngx_conduit_exchange_connection(ngx_conduit_exchange_t *x);
static CURLcode ngx_conduit_exchange_tls(ngx_conduit_exchange_t *x);
static CURLcode ngx_conduit_exchange_request(ngx_conduit_exchange_t *x);
static CURLcode ngx_conduit_exchange_callbacks(ngx_conduit_exchange_t *x);
static CURLcode ngx_conduit_exchange_headers(ngx_conduit_exchange_t *x);
static CURLcode ngx_conduit_exchange_push(ngx_conduit_exchange_t *x,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_conduit_exchange_has(ngx_conduit_transfer_t *t,
    const char *name);
static char *ngx_conduit_exchange_string(ngx_pool_t *pool, ngx_str_t *s);

static size_t ngx_conduit_exchange_header(char *p, size_t size, size_t n,
    void *data);
static size_t ngx_conduit_exchange_write(char *p, size_t size, size_t n,
    void *data);
static size_t ngx_conduit_exchange_sink(ngx_conduit_exchange_t *x, u_char *p,
    size_t len);
static size_t ngx_conduit_exchange_collect(ngx_conduit_exchange_t *x,
    u_char *p, size_t len);
static size_t ngx_conduit_exchange_capacity(ngx_conduit_exchange_t *x,
    size_t need);


CURLcode
ngx_conduit_exchange_setup(ngx_conduit_exchange_t *x)
{
    CURLcode  code;

    ngx_conduit_exchange_set(x, CURLOPT_PRIVATE, x);
    ngx_conduit_exchange_set(x, CURLOPT_NOSIGNAL, 1L);
    ngx_conduit_exchange_set(x, CURLOPT_CURLU, x->url);

    code = ngx_conduit_exchange_connection(x);
    if (code != CURLE_OK) {
        return code;
    }

    code = ngx_conduit_exchange_tls(x);
    if (code != CURLE_OK) {
        return code;
    }

    code = ngx_conduit_exchange_request(x);
    if (code != CURLE_OK) {
        return code;
    }

    return ngx_conduit_exchange_callbacks(x);
}


static CURLcode
ngx_conduit_exchange_connection(ngx_conduit_exchange_t *x)
{
    char                    *name;
    CURLcode                 code;
    ngx_msec_t               elapsed;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    ngx_conduit_exchange_set(x, CURLOPT_PROTOCOLS_STR, "http,https");
    ngx_conduit_exchange_set(x, CURLOPT_FOLLOWLOCATION, 0L);
    ngx_conduit_exchange_set(x, CURLOPT_HTTP09_ALLOWED, 0L);
    ngx_conduit_exchange_set(x, CURLOPT_TCP_KEEPALIVE, 1L);

    /* the environment's proxies are not meant for us */
    ngx_conduit_exchange_set(x, CURLOPT_PROXY, "");

    elapsed = t->strict ? ngx_current_msec - x->start : 0;

    ngx_conduit_exchange_set(x, CURLOPT_CONNECTTIMEOUT_MS,
                             (elapsed < t->connect_timeout)
                             ? (long) (t->connect_timeout - elapsed) : 1L);

    if (t->bind.len) {
        name = ngx_conduit_exchange_string(t->pool, &t->bind);
        if (name == NULL) {
            return CURLE_OUT_OF_MEMORY;
        }

        ngx_conduit_exchange_set(x, CURLOPT_INTERFACE, name);
    }

    /* libcurl never resolves, see ngx_conduit_exchange_resolve() */

    ngx_conduit_exchange_set(x, CURLOPT_QUICK_EXIT, 1L);
    ngx_conduit_exchange_set(x, CURLOPT_DNS_CACHE_TIMEOUT,
                             NGX_CONDUIT_EXCHANGE_DNS);

    if (!x->literal) {
        ngx_conduit_exchange_set(x, CURLOPT_RESOLVE, &x->resolve);
    }

    if (t->once) {
        ngx_conduit_exchange_set(x, CURLOPT_MAXAGE_CONN,
                                 t->idle ? (long) t->idle
                                         : NGX_CONDUIT_EXCHANGE_IDLE);
    }

    return CURLE_OK;
}


static CURLcode
ngx_conduit_exchange_tls(ngx_conduit_exchange_t *x)
{
    char                    *file;
    CURLcode                 code;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    ngx_conduit_exchange_set(x, CURLOPT_SSL_VERIFYPEER, 1L);
    ngx_conduit_exchange_set(x, CURLOPT_SSL_VERIFYHOST, 2L);

    if (t->trusted_certificate.len) {
        file = ngx_conduit_exchange_string(t->pool, &t->trusted_certificate);
        if (file == NULL) {
            return CURLE_OUT_OF_MEMORY;
        }

    } else {
        file = (char *) curl_version_info(CURLVERSION_NOW)->cainfo;
    }

    if (file) {
        ngx_conduit_exchange_set(x, CURLOPT_CAINFO, file);

        /*
         * without a directory the parsed file is kept for the connections to
         * come; parsing the system's takes 20 ms
         */

        ngx_conduit_exchange_set(x, CURLOPT_CAPATH, NULL);
    }

    return CURLE_OK;
}


static CURLcode
ngx_conduit_exchange_request(ngx_conduit_exchange_t *x)
{
    char                    *method;
    CURLcode                 code;
    ngx_uint_t               body;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;
    body = (t->body.data != NULL);

    if (t->method.len == 0) {
        ngx_str_set(&t->method, "GET");
    }

    method = ngx_conduit_exchange_string(t->pool, &t->method);
    if (method == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }

    if (ngx_strcmp(method, "HEAD") == 0) {
        ngx_conduit_exchange_set(x, CURLOPT_NOBODY, 1L);

    } else if (body || ngx_strcmp(method, "POST") == 0
               || ngx_strcmp(method, "PUT") == 0
               || ngx_strcmp(method, "PATCH") == 0)
    {
        ngx_conduit_exchange_set(x, CURLOPT_POST, 1L);
        ngx_conduit_exchange_set(x, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t) t->body.len);
        ngx_conduit_exchange_set(x, CURLOPT_POSTFIELDS,
                                 body ? (char *) t->body.data : "");

    } else {
        ngx_conduit_exchange_set(x, CURLOPT_HTTPGET, 1L);
    }

    ngx_conduit_exchange_set(x, CURLOPT_CUSTOMREQUEST, method);

    return ngx_conduit_exchange_headers(x);
}


static CURLcode
ngx_conduit_exchange_callbacks(ngx_conduit_exchange_t *x)
{
    CURLcode                 code;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    ngx_conduit_exchange_set(x, CURLOPT_RESOLVER_START_FUNCTION,
                             ngx_conduit_exchange_resolve);
    ngx_conduit_exchange_set(x, CURLOPT_RESOLVER_START_DATA, x);
    ngx_conduit_exchange_set(x, CURLOPT_OPENSOCKETFUNCTION,
                             ngx_conduit_exchange_socket);
    ngx_conduit_exchange_set(x, CURLOPT_OPENSOCKETDATA, x);
    ngx_conduit_exchange_set(x, CURLOPT_PREREQFUNCTION,
                             ngx_conduit_exchange_prereq);
    ngx_conduit_exchange_set(x, CURLOPT_PREREQDATA, x);
    ngx_conduit_exchange_set(x, CURLOPT_HEADERFUNCTION,
                             ngx_conduit_exchange_header);
    ngx_conduit_exchange_set(x, CURLOPT_HEADERDATA, x);
    ngx_conduit_exchange_set(x, CURLOPT_WRITEFUNCTION,
                             ngx_conduit_exchange_write);
    ngx_conduit_exchange_set(x, CURLOPT_WRITEDATA, x);
    ngx_conduit_exchange_set(x, CURLOPT_MAXFILESIZE_LARGE,
                             (curl_off_t) t->max_size);

    return CURLE_OK;
}


static CURLcode
ngx_conduit_exchange_headers(ngx_conduit_exchange_t *x)
{
    CURLcode                 code;
    ngx_str_t                name, empty;
    ngx_uint_t               i;
    ngx_keyval_t            *kv;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    /* a name without value keeps libcurl from adding the header by itself */

    ngx_str_null(&empty);
    ngx_str_set(&name, "Expect:");

    code = ngx_conduit_exchange_push(x, &name, &empty);
    if (code != CURLE_OK) {
        return code;
    }

    if (!ngx_conduit_exchange_has(t, "Content-Type")) {
        ngx_str_set(&name, "Content-Type:");

        code = ngx_conduit_exchange_push(x, &name, &empty);
        if (code != CURLE_OK) {
            return code;
        }
    }

    /* each is put before the others */

    kv = t->headers.elts;

    for (i = t->headers.nelts; i > 0; i--) {
        code = ngx_conduit_exchange_push(x, &kv[i - 1].key, &kv[i - 1].value);
        if (code != CURLE_OK) {
            return code;
        }
    }

    ngx_conduit_exchange_set(x, CURLOPT_HTTPHEADER, x->headers);

    return CURLE_OK;
}


/* the list lies in the pool, libcurl only reads it */

static CURLcode
ngx_conduit_exchange_push(ngx_conduit_exchange_t *x, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char             *p;
    size_t              i;
    ngx_pool_t         *pool;
    struct curl_slist  *header;

    pool = x->transfer->pool;

    header = ngx_palloc(pool, sizeof(struct curl_slist));
    if (header == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }

    p = ngx_pnalloc(pool, name->len + sizeof(": ") + value->len);
    if (p == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }

    header->data = (char *) p;

    p = ngx_cpymem(p, name->data, name->len);

    if (value->len) {
        *p++ = ':';
        *p++ = ' ';
        p = ngx_cpymem(p, value->data, value->len);

    } else if (name->len && name->data[name->len - 1] != ':') {
        /* this is how a header with an empty value is written */
        *p++ = ';';
    }

    *p = '\0';

    for (i = 0; i < (size_t) (p - (u_char *) header->data); i++) {
        if ((u_char) header->data[i] < ' ' && header->data[i] != '\t') {
            return CURLE_BAD_FUNCTION_ARGUMENT;
        }
    }

    header->next = x->headers;
    x->headers = header;

    return CURLE_OK;
}


static ngx_uint_t
ngx_conduit_exchange_has(ngx_conduit_transfer_t *t, const char *name)
{
    size_t         len;
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    len = ngx_strlen(name);
    kv = t->headers.elts;

    for (i = 0; i < t->headers.nelts; i++) {
        if (kv[i].key.len == len
            && ngx_strncasecmp(kv[i].key.data, (u_char *) name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_conduit_exchange_string(ngx_pool_t *pool, ngx_str_t *s)
{
    u_char  *p;

    p = ngx_pnalloc(pool, s->len + 1);
    if (p == NULL) {
        return NULL;
    }

    *ngx_cpymem(p, s->data, s->len) = '\0';

    return (char *) p;
}


static size_t
ngx_conduit_exchange_header(char *p, size_t size, size_t n, void *data)
{
    long                     status;
    ngx_conduit_exchange_t  *x = data;

    n *= size;

    x->header_size += n;
    x->last = ngx_current_msec;

    if (x->cancelled || x->header_size > NGX_CONDUIT_EXCHANGE_HEADERS) {
        x->failure = NGX_CONDUIT_TRANSFER_PROTOCOL;
        return 0;
    }

    if (!x->begun) {
        x->begun = 1;

        if (x->transfer->read_timeout) {
            ngx_conduit_exchange_arm(x);
        }
    }

    /* the empty line behind a header block that is no interim one */

    if ((*p == '\r' || *p == '\n')
        && curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status)
           == CURLE_OK
        && (status >= 200 || status == 101))
    {
        x->transfer->status = (ngx_uint_t) status;
        x->transfer->headed = 1;
    }

    return n;
}


static size_t
ngx_conduit_exchange_write(char *p, size_t size, size_t n, void *data)
{
    long                     status;
    ngx_conduit_exchange_t  *x = data;
    ngx_conduit_transfer_t  *t;

    n *= size;
    t = x->transfer;

    x->last = ngx_current_msec;

    if (x->cancelled) {
        return 0;
    }

    if (t->status == 0
        && curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status)
           == CURLE_OK)
    {
        t->status = (ngx_uint_t) status;
    }

    if (n > t->max_size - t->reply.len) {
        x->failure = NGX_CONDUIT_TRANSFER_TOO_LARGE;
        return 0;
    }

    return t->sink ? ngx_conduit_exchange_sink(x, (u_char *) p, n)
                   : ngx_conduit_exchange_collect(x, (u_char *) p, n);
}


/* reply.len counts what was taken, here too */

static size_t
ngx_conduit_exchange_sink(ngx_conduit_exchange_t *x, u_char *p, size_t len)
{
    ngx_int_t                rc;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    rc = t->sink(t, p, len);

    if (x->cancelled) {
        return 0;
    }

    if (rc == NGX_OK) {
        t->reply.len += len;
        return len;
    }

    if (rc == NGX_AGAIN) {
        x->paused = 1;
        return CURL_WRITEFUNC_PAUSE;
    }

    x->failure = NGX_CONDUIT_TRANSFER_ABORTED;

    return 0;
}


static size_t
ngx_conduit_exchange_collect(ngx_conduit_exchange_t *x, u_char *p, size_t len)
{
    u_char                  *data;
    size_t                   size;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    if (x->capacity - t->reply.len <= len) {
        size = ngx_conduit_exchange_capacity(x, t->reply.len + len + 1);

        data = realloc(t->reply.data, size);
        if (data == NULL) {
            x->failure = NGX_CONDUIT_TRANSFER_INTERNAL;
            return 0;
        }

        t->reply.data = data;
        x->capacity = size;
    }

    ngx_memcpy(t->reply.data + t->reply.len, p, len);
    t->reply.len += len;
    t->reply.data[t->reply.len] = '\0';

    return len;
}


/* what the header tells, never more than the limit, else twice as much */

static size_t
ngx_conduit_exchange_capacity(ngx_conduit_exchange_t *x, size_t need)
{
    size_t      limit;
    curl_off_t  length;

    limit = x->transfer->max_size + 1;

    if (x->capacity == 0
        && curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                             &length)
           == CURLE_OK
        && length >= 0)
    {
        return ngx_min(ngx_max(need, (size_t) length + 1), limit);
    }

    return ngx_min(ngx_max(need, ngx_max(2 * x->capacity, 2048)), limit);
}
