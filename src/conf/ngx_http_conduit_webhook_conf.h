
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WEBHOOK_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WEBHOOK_CONF_H_INCLUDED_


#include <ngx_http_conduit_hook.h>


/* conduit_webhook_* */


ngx_int_t ngx_http_conduit_webhook_conf_create(ngx_conf_t *cf,
    ngx_http_conduit_main_conf_t *cdmcf);
void ngx_http_conduit_webhook_conf_init(ngx_http_conduit_main_conf_t *cdmcf);

char *ngx_http_conduit_conf_webhook_retry(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_webhook_timeout(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_conf_webhook_breaker(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_conf_webhook_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_conduit_conf_webhook_concurrency(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_conf_webhook_certificate(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_conduit_conf_webhook_bind(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* adds to the list, an ngx_array_t of conduit_cidr_t, at cmd->offset */
char *ngx_http_conduit_conf_webhook_cidr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* what webhooks need to know of a key, see ngx_http_conduit_hook_key_pt */
ngx_int_t ngx_http_conduit_webhook_key(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_str_t *name, ngx_http_conduit_hook_key_t *hook);

/*
 * In a worker: adds the addresses of this machine and the listeners of this
 * nginx to the address policy, which refuses both.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_webhook_own(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_WEBHOOK_CONF_H_INCLUDED_ */
