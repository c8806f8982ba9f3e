
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_exchange.h>


/* What is asked before a socket is opened, and before a request is sent. */


static ngx_int_t ngx_conduit_exchange_check(ngx_conduit_exchange_t *x,
    char *ip);
static ngx_uint_t ngx_conduit_exchange_known(ngx_conduit_exchange_t *x,
    struct sockaddr *sockaddr, socklen_t socklen);


/*
 * libcurl is about to resolve a name, which it was to find in its cache:
 * its threads would be joined by the event loop, and what they find would
 * not have been checked.
 */

int
ngx_conduit_exchange_resolve(void *resolver, void *reserved, void *data)
{
    ngx_conduit_exchange_t  *x = data;

    return x->literal ? 0 : 1;
}


curl_socket_t
ngx_conduit_exchange_socket(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    curl_socket_t            fd;
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

    fd = socket(address->family, address->socktype|SOCK_CLOEXEC,
                address->protocol);

    ngx_conduit_curl_opened(x, fd);

    return fd;
}


/* a connection is there, and the request is about to be sent on it */

int
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

    if (ngx_conduit_exchange_check(x, ip) != NGX_OK) {
        return CURL_PREREQFUNC_ABORT;
    }

    t->connected = 1;
    t->waited = ngx_current_msec - x->start;
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


/* may the request go out on this connection? */

static ngx_int_t
ngx_conduit_exchange_check(ngx_conduit_exchange_t *x, char *ip)
{
    size_t                   len;
    socklen_t                socklen;
    ngx_sockaddr_t           sa;
    ngx_conduit_transfer_t  *t;

    t = x->transfer;

    if (t->address == NULL) {
        return NGX_OK;
    }

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
            x->failure = NGX_CONDUIT_TRANSFER_BLOCKED;
            return NGX_DECLINED;
        }
    }

    if (t->strict && !x->fresh && !x->literal
        && !ngx_conduit_exchange_known(x, &sa.sockaddr, socklen))
    {
        x->stale = 1;
        return NGX_DECLINED;
    }

    if (t->address(&sa.sockaddr, socklen, t->address_data) != NGX_OK) {
        x->failure = NGX_CONDUIT_TRANSFER_BLOCKED;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* is it an address that the host has now? */

static ngx_uint_t
ngx_conduit_exchange_known(ngx_conduit_exchange_t *x,
    struct sockaddr *sockaddr, socklen_t socklen)
{
    ngx_uint_t  i;

    for (i = 0; i < x->lookup.naddrs; i++) {
        if (ngx_cmp_sockaddr(&x->lookup.addrs[i].sockaddr, socklen, sockaddr,
                             socklen, 0)
            == NGX_OK)
        {
            return 1;
        }
    }

    return 0;
}
