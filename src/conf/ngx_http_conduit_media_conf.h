
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_MEDIA_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_MEDIA_CONF_H_INCLUDED_


#include <ngx_http_conduit_media.h>


/* conduit_media PATH url=PREFIX [ttl=TIME] [max_size=SIZE] [fetch=on|off]; */

char *ngx_http_conduit_media_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* defaults that depend on other directives; when the main conf is made */

void ngx_http_conduit_media_conf_init(ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_MEDIA_CONF_H_INCLUDED_ */
