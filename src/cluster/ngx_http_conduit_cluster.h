
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_CLUSTER_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_CLUSTER_H_INCLUDED_


#include <ngx_http_conduit_module.h>
#include <ngx_http_conduit_redis.h>
#include <ngx_http_conduit_engine.h>


/*
 * Several hosts with one Redis.  Each task is performed by one host, its
 * owner.  Another host that is asked for it follows it: it subscribes to the
 * task's channel, copies the task into its zone, and keeps asking the owner to
 * publish changes, for as long as anybody here wants to know.  So a copy is
 * as good as the task, and nothing is published that nobody follows.
 *
 * One worker of a host is its leader: it renews the leases of the host's
 * tasks, takes over those whose leases have run out, and listens to what other
 * hosts ask for.
 */


/* without Redis no cluster: NGX_OK */
ngx_int_t ngx_http_conduit_cluster_init(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);
void ngx_http_conduit_cluster_exit(ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_CLUSTER_H_INCLUDED_ */
