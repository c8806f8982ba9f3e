
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_PACK_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_PACK_H_INCLUDED_


#include <ngx_http_conduit_store.h>


/*
 * Records of tasks as the embedded store has them: a head of numbers in the
 * order of bytes of this machine, then the texts.  Sizes are upper bounds;
 * what writes returns the end.
 */


size_t ngx_http_conduit_pack_task_size(ngx_http_conduit_record_t *record);
u_char *ngx_http_conduit_pack_task(u_char *p,
    ngx_http_conduit_record_t *record);

size_t ngx_http_conduit_pack_state_size(ngx_http_conduit_record_t *record);
u_char *ngx_http_conduit_pack_state(u_char *p,
    ngx_http_conduit_record_t *record);

/* is a text missing that stays what it was? */
#define ngx_http_conduit_pack_partial(record)                                 \
    ((record)->document.data == NULL || (record)->run.data == NULL)

size_t ngx_http_conduit_pack_merge(ngx_uint_t table, u_char *to,
    ngx_str_t *value, ngx_str_t *old);

/* a delivery */
size_t ngx_http_conduit_pack_hook_size(ngx_http_conduit_kept_hook_t *hook);
u_char *ngx_http_conduit_pack_hook(u_char *p,
    ngx_http_conduit_kept_hook_t *hook);

/* the Idempotency-Key */
size_t ngx_http_conduit_pack_key_size(ngx_http_conduit_record_t *record);
u_char *ngx_http_conduit_pack_key(u_char *p,
    ngx_http_conduit_record_t *record);


/* the texts stay where they are; NGX_ERROR: these are no such records */

ngx_int_t ngx_http_conduit_unpack(ngx_http_conduit_record_t *record,
    ngx_str_t *task, ngx_str_t *state);
ngx_int_t ngx_http_conduit_unpack_hook(ngx_http_conduit_kept_hook_t *hook,
    ngx_str_t *value);
ngx_int_t ngx_http_conduit_unpack_key(ngx_http_conduit_record_t *record,
    ngx_str_t *value);


#endif /* _NGX_HTTP_CONDUIT_PACK_H_INCLUDED_ */
