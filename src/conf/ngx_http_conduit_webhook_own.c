
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_webhook_conf.h>

#include <ifaddrs.h>


static ngx_int_t ngx_http_conduit_webhook_addresses(ngx_cycle_t *cycle,
    conduit_addr_policy_t *policy);
static ngx_int_t ngx_http_conduit_webhook_listeners(ngx_cycle_t *cycle,
    conduit_addr_policy_t *policy);
static ngx_int_t ngx_http_conduit_webhook_addr(struct sockaddr *sa,
    u_char *addr);


ngx_int_t
ngx_http_conduit_webhook_own(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf)
{
    if (ngx_http_conduit_webhook_listeners(cycle, &cdmcf->webhook_policy)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_conduit_webhook_addresses(cycle, &cdmcf->webhook_policy);
}


static ngx_int_t
ngx_http_conduit_webhook_addresses(ngx_cycle_t *cycle,
    conduit_addr_policy_t *policy)
{
    u_char           addr[CONDUIT_ADDR_LEN];
    ngx_int_t        rc;
    ngx_array_t      own;
    conduit_cidr_t  *cidr;
    struct ifaddrs  *list, *ifa;

    if (ngx_array_init(&own, cycle->pool, 8, sizeof(conduit_cidr_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (getifaddrs(&list) == -1) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "getifaddrs() failed, webhooks to this machine's public"
                      " addresses are not refused");
        return NGX_OK;
    }

    rc = NGX_OK;

    for (ifa = list; ifa; ifa = ifa->ifa_next) {

        if (ngx_http_conduit_webhook_addr(ifa->ifa_addr, addr) != NGX_OK) {
            continue;
        }

        cidr = ngx_array_push(&own);
        if (cidr == NULL) {
            rc = NGX_ERROR;
            break;
        }

        ngx_memcpy(cidr->addr, addr, CONDUIT_ADDR_LEN);
        cidr->bits = 8 * CONDUIT_ADDR_LEN;
    }

    freeifaddrs(list);

    policy->own = own.elts;
    policy->nown = own.nelts;

    return rc;
}


static ngx_int_t
ngx_http_conduit_webhook_listeners(ngx_cycle_t *cycle,
    conduit_addr_policy_t *policy)
{
    u_char               addr[CONDUIT_ADDR_LEN];
    ngx_uint_t           i, k;
    ngx_array_t          found;
    ngx_listening_t     *ls;
    conduit_listener_t  *listener;

    if (ngx_array_init(&found, cycle->pool, 4, sizeof(conduit_listener_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {

        if (ngx_http_conduit_webhook_addr(ls[i].sockaddr, addr) != NGX_OK) {
            continue;
        }

        listener = ngx_array_push(&found);
        if (listener == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(listener, sizeof(conduit_listener_t));

        ngx_memcpy(listener->addr, addr, CONDUIT_ADDR_LEN);
        listener->port = ngx_inet_get_port(ls[i].sockaddr);

        /* "::" and 0.0.0.0, whose last 4 bytes are the IPv4 address */

        for (k = (addr[10] == 0xff) ? 12 : 0; k < CONDUIT_ADDR_LEN; k++) {
            if (addr[k]) {
                break;
            }
        }

        listener->any = (k == CONDUIT_ADDR_LEN);
    }

    policy->listeners = found.elts;
    policy->nlisteners = found.nelts;

    return NGX_OK;
}


static ngx_int_t
ngx_http_conduit_webhook_addr(struct sockaddr *sa, u_char *addr)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    if (sa == NULL) {
        return NGX_DECLINED;
    }

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) (void *) sa;
        conduit_addr_v4(addr, (u_char *) &sin->sin_addr);
        return NGX_OK;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) (void *) sa;
        ngx_memcpy(addr, sin6->sin6_addr.s6_addr, CONDUIT_ADDR_LEN);
        return NGX_OK;
#endif

    default:
        return NGX_DECLINED;
    }
}
