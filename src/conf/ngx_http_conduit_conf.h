
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_CONF_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/* Contexts, and the directives that need no file of their own. */


/* all directives */
extern ngx_command_t  ngx_http_conduit_commands[];


void *ngx_http_conduit_create_main_conf(ngx_conf_t *cf);
char *ngx_http_conduit_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_conduit_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_conduit_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/* the rest, once everything has been read */
ngx_int_t ngx_http_conduit_conf_finish(ngx_conf_t *cf);

char *ngx_http_conduit_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_task_attempts(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_task_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_conf_set_msec_slot() for times above 0 */
char *ngx_http_conduit_conf_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_CONDUIT_CONF_H_INCLUDED_ */
