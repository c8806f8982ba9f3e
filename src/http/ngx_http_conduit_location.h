
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_LOCATION_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_LOCATION_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/* The directives that make a location ours, and the variables. */


char *ngx_http_conduit_generations(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_tasks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_hub(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_worker(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_webhooks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* preconfiguration */
ngx_int_t ngx_http_conduit_add_variables(ngx_conf_t *cf);


#endif /* _NGX_HTTP_CONDUIT_LOCATION_H_INCLUDED_ */
