
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_WEBHOOK_CONF_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_WEBHOOK_CONF_H_INCLUDED_


#include <ngx_http_conduit_module.h>


/*
 * In a worker: adds the addresses of this machine and the listeners of this
 * nginx to the address policy, which refuses both.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_conduit_webhook_own(ngx_cycle_t *cycle,
    ngx_http_conduit_main_conf_t *cdmcf);


#endif /* _NGX_HTTP_CONDUIT_WEBHOOK_CONF_H_INCLUDED_ */
