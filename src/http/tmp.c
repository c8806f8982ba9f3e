#include <ngx_http_conduit_generations.h>
#include <ngx_http_conduit_health.h>
#include <ngx_http_conduit_metrics.h>
#include <ngx_http_conduit_worker.h>
ngx_int_t ngx_http_conduit_health_serve(ngx_http_request_t *r) { return 501; }
ngx_int_t ngx_http_conduit_metrics_serve(ngx_http_request_t *r) { return 501; }
ngx_int_t ngx_http_conduit_worker_serve(ngx_http_request_t *r) { return 501; }
ngx_int_t ngx_http_conduit_events_serve(ngx_http_request_t *r, ngx_http_conduit_name_t *name) { return 501; }
