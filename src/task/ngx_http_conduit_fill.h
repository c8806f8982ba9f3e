
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_FILL_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_FILL_H_INCLUDED_


#include <ngx_http_conduit_store.h>


/*
 * Fills a new zone with all that the store has kept.  NGX_OK or NGX_ERROR,
 * which has been logged: the store is as it was.
 */
ngx_int_t ngx_http_conduit_fill(ngx_http_conduit_main_conf_t *cdmcf,
    ngx_log_t *log);


/* a delivery of the task that the zone may lack; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_conduit_fill_again(ngx_http_conduit_main_conf_t *cdmcf,
    u_char *id, ngx_http_conduit_record_t *record);


#endif /* _NGX_HTTP_CONDUIT_FILL_H_INCLUDED_ */
