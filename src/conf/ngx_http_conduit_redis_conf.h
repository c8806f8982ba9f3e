
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_REDIS_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_REDIS_CONF_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/* conduit_redis and conduit_instance */


char *ngx_http_conduit_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_instance(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* when all has been read: what fits together; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_conduit_redis_finish(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_REDIS_CONF_H_INCLUDED_ */
