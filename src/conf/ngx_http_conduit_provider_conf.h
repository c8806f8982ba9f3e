
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_PROVIDER_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_PROVIDER_CONF_H_INCLUDED_


#include <ngx_http_conduit_provider.h>


/* Where the directives of a provider's blocks may stand. */

#define NGX_HTTP_CONDUIT_PROVIDER_BLOCK  0x00100000
#define NGX_HTTP_CONDUIT_SUBMIT_BLOCK    0x00200000
#define NGX_HTTP_CONDUIT_POLL_BLOCK      0x00400000
#define NGX_HTTP_CONDUIT_FETCH_BLOCK     0x00800000


char *ngx_http_conduit_provider(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* any directive inside of a provider's block */
char *ngx_http_conduit_provider_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* once all directives are read: ties models to providers and fallbacks */
ngx_int_t ngx_http_conduit_providers_init(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_PROVIDER_CONF_H_INCLUDED_ */
