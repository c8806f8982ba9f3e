
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_HUB_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_HUB_CONF_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/* conduit_hub_* and conduit_connections */


void ngx_http_conduit_hub_conf_create(ngx_http_conduit_main_conf_t *cdmcf);
void ngx_http_conduit_hub_conf_init(ngx_http_conduit_main_conf_t *cdmcf);

char *ngx_http_conduit_conf_hub_events(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* checks bounds of sizes that ngx_conf_set_size_slot() has set */
char *ngx_http_conduit_conf_hub_size(ngx_conf_t *cf, void *post, void *data);


#endif /* _NGX_HTTP_CONDUIT_HUB_CONF_H_INCLUDED_ */
