
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

static int ngx_conduit_exchange_resolve(void *resolver, void *reserved,
    void *data);
static curl_socket_t ngx_conduit_exchange_socket(void *data,
    curlsocktype purpose, struct curl_sockaddr *address);
static int ngx_conduit_exchange_prereq(void *data, char *ip, char *local_ip,
    int port, int local_port);
static ngx_int_t ngx_conduit_exchange_check(ngx_conduit_transfer_t *t,
    char *ip);
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
    CURLcode                 code;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    ngx_conduit_exchange_set(x, CURLOPT_PROTOCOLS_STR, "http,https");
    ngx_conduit_exchange_set(x, CURLOPT_FOLLOWLOCATION, 0L);
    ngx_conduit_exchange_set(x, CURLOPT_HTTP09_ALLOWED, 0L);
    ngx_conduit_exchange_set(x, CURLOPT_TCP_KEEPALIVE, 1L);

    /* the environment's proxies are not meant for us */
    ngx_conduit_exchange_set(x, CURLOPT_PROXY, "");

    ngx_conduit_exchange_set(x, CURLOPT_CONNECTTIMEOUT_MS,
                             (long) t->connect_timeout);

    /* libcurl never resolves, see ngx_conduit_exchange_resolve() */

    ngx_conduit_exchange_set(x, CURLOPT_QUICK_EXIT, 1L);
    ngx_conduit_exchange_set(x, CURLOPT_DNS_CACHE_TIMEOUT,
                             NGX_CONDUIT_EXCHANGE_DNS);

    if (!x->literal) {
        ngx_conduit_exchange_set(x, CURLOPT_RESOLVE, &x->resolve);
    }

    if (t->once) {
        ngx_conduit_exchange_set(x, CURLOPT_MAXAGE_CONN,
                                 NGX_CONDUIT_EXCHANGE_IDLE);
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


/*
 * libcurl is about to resolve a name, which it was to find in its cache:
 * its threads would be joined by the event loop, and what they find would
 * not have been checked.
 */

static int
ngx_conduit_exchange_resolve(void *resolver, void *reserved, void *data)
{
    ngx_conduit_exchange_t  *x = data;

    return x->literal ? 0 : 1;
}


static curl_socket_t
ngx_conduit_exchange_socket(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    ngx_conduit_transfer_t  *t;
    ngx_conduit_exchange_t  *x = data;

    t = x->transfer;

    if (x->cancelled) {
        return CURL_SOCKET_BAD;
    }

    if (t->address
        && t->address(&address->addr, address->addrlen, t->address_data)
           != NGX_OK)
    {
        x->failure = NGX_CONDUIT_TRANSFER_BLOCKED;
        return CURL_SOCKET_BAD;
    }

    return socket(address->family, address->socktype|SOCK_CLOEXEC,
                  address->protocol);
}


/* a connection is there, and the request is about to be sent on it */

static int
ngx_conduit_exchange_prereq(void *data, char *ip, char *local_ip, int port,
    int local_port)
{
    long                     size;
    ngx_conduit_transfer_t  *t;
    ngx_conduit_exchange_t  *x = data;

    t = x->transfer;

    ngx_conduit_curl_connected(x);

    if (x->cancelled) {
        return CURL_PREREQFUNC_ABORT;
    }

    if (t->address && ngx_conduit_exchange_check(t, ip) != NGX_OK) {
        x->failure = NGX_CONDUIT_TRANSFER_BLOCKED;
        return CURL_PREREQFUNC_ABORT;
    }

    x->requests++;

    if (x->requests == 1) {
        return CURL_PREREQFUNC_OK;
    }

    /*
     * A kept connection was closed before the first byte of a reply, and
     * libcurl is about to repeat the request: the server may have done what
     * the first one asked for.
     */

    if ((t->once || x->requests > 2)
        && (curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &size)
                != CURLE_OK
            || size > 0))
    {
        x->failure = NGX_CONDUIT_TRANSFER_PROTOCOL;
        t->sent = 1;
        return CURL_PREREQFUNC_ABORT;
    }

    return CURL_PREREQFUNC_OK;
}


static ngx_int_t
ngx_conduit_exchange_check(ngx_conduit_transfer_t *t, char *ip)
{
    size_t          len;
    socklen_t       socklen;
    ngx_sockaddr_t  sa;

    ngx_memzero(&sa, sizeof(ngx_sockaddr_t));

    len = ngx_strlen(ip);

    if (ngx_strlchr((u_char *) ip, (u_char *) ip + len, ':') == NULL) {
        socklen = sizeof(struct sockaddr_in);
        sa.sockaddr_in.sin_family = AF_INET;
        sa.sockaddr_in.sin_addr.s_addr = ngx_inet_addr((u_char *) ip, len);

    } else {
        socklen = sizeof(struct sockaddr_in6);
        sa.sockaddr_in6.sin6_family = AF_INET6;

        if (ngx_inet6_addr((u_char *) ip, len,
                           sa.sockaddr_in6.sin6_addr.s6_addr)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return t->address(&sa.sockaddr, socklen, t->address_data);
}


static size_t
ngx_conduit_exchange_header(char *p, size_t size, size_t n, void *data)
{
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
