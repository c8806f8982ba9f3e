
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_STORE_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_STORE_CONF_H_INCLUDED_


#include <ngx_http_conduit_conf.h>


/* conduit_store PATH [sync=on|off] [max_size=SIZE] | off */
char *ngx_http_conduit_conf_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* a reload keeps the store with the zone that follows it; or NGX_ERROR */
ngx_int_t ngx_http_conduit_conf_same_store(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);

/* the zone's init: a new one is filled from the store */
ngx_int_t ngx_http_conduit_conf_start(ngx_shm_zone_t *shm_zone, void *data);


#endif /* _NGX_HTTP_CONDUIT_STORE_CONF_H_INCLUDED_ */
