
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_CONDUIT_EXCHANGE_H_INCLUDED_
#define _NGX_CONDUIT_EXCHANGE_H_INCLUDED_


/*
 * What lies behind a transfer; private to the curl adapter.
 *
 * libcurl may not be called from inside of its callbacks, and transfers are
 * started, resumed and cancelled from anywhere.  So all of this is only noted
 * in the exchange, which is queued, and done from a posted event in the same
 * turn of the loop.  The handler of a transfer is called outside of libcurl.
 */


#include <ngx_conduit_curl.h>
#include <ngx_conduit_lookup.h>

#include <curl/curl.h>


#define NGX_CONDUIT_EXCHANGE_NEW      0
#define NGX_CONDUIT_EXCHANGE_STARTED  1    /* waits for the posted event */
#define NGX_CONDUIT_EXCHANGE_LOOKUP   2    /* waits for the address */
#define NGX_CONDUIT_EXCHANGE_READY    3    /* the address is known */
#define NGX_CONDUIT_EXCHANGE_RUNNING  4    /* in the multi handle */
#define NGX_CONDUIT_EXCHANGE_ENDED    5    /* in the handler */

/* of all headers of a reply, in bytes */
#define NGX_CONDUIT_EXCHANGE_HEADERS  65536


#define NGX_CONDUIT_EXCHANGE_PENDING  2


typedef struct ngx_conduit_exchange_s  ngx_conduit_exchange_t;

struct ngx_conduit_exchange_s {
    ngx_conduit_transfer_t    *transfer;
    void                      *dummy[2];

    /* nginx logs it for a timer: the place is that of ngx_connection_t */
    ngx_socket_t               fd;

    ngx_queue_t                queue;       /* all that were started */
    ngx_queue_t                todo;        /* for the posted event */

    CURL                      *easy;
    CURLU                     *url;
    char                      *host;        /* for CURLOPT_RESOLVE, libcurl's */
    char                      *port;
    struct curl_slist          resolve;
    struct curl_slist         *headers;
    ngx_conduit_lookup_t       lookup;

    /* of sockets that are connecting, two families at a time */
    ngx_connection_t          *pending[NGX_CONDUIT_EXCHANGE_PENDING];

    ngx_event_t                timer;
    ngx_msec_t                 start;
    ngx_msec_t                 last;        /* when a byte came */

    size_t                     header_size;
    size_t                     capacity;    /* of the collected body */
    ngx_uint_t                 requests;    /* times that libcurl was about to
                                               send the request */
    ngx_uint_t                 failure;     /* found in a callback */

    unsigned                   state:3;
    unsigned                   queued:1;
    unsigned                   connecting:1;
    unsigned                   literal:1;   /* the host is an address */
    unsigned                   begun:1;     /* the reply has */
    unsigned                   paused:1;
    unsigned                   resume:1;
    unsigned                   cancelled:1;
    unsigned                   stale:1;     /* the kept connection goes to an
                                               address the host has left */
    unsigned                   fresh:1;     /* no kept connection then */
};


/*
 * Transfers that share connections and a parsed file of CAs: libcurl keeps
 * one such file for a multi handle, so that two in turn would be parsed for
 * each connection.
 */

typedef struct {
    CURLM             *multi;
    ngx_event_t        timer;
    ngx_connection_t   dumb;
} ngx_conduit_curl_group_t;


/* ngx_conduit_curl.c: the multi handles */

void ngx_conduit_curl_queue(ngx_conduit_exchange_t *x);
void ngx_conduit_curl_enter(ngx_conduit_exchange_t *x);
void ngx_conduit_curl_leave(ngx_conduit_exchange_t *x);
CURL *ngx_conduit_curl_easy(void);
void ngx_conduit_curl_free_easy(CURL *easy);
CURLMcode ngx_conduit_curl_add(ngx_conduit_exchange_t *x);
void ngx_conduit_curl_connected(ngx_conduit_exchange_t *x);
void ngx_conduit_curl_remove(ngx_conduit_exchange_t *x);
CURLcode ngx_conduit_curl_resume(ngx_conduit_exchange_t *x);
ngx_uint_t ngx_conduit_curl_closing(void);
ngx_uint_t ngx_conduit_curl_inside(void);

void ngx_conduit_curl_event_handler(ngx_event_t *ev);

/* ngx_conduit_socket.c: sockets */

int ngx_conduit_curl_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *socket_data);
void ngx_conduit_curl_opened(ngx_conduit_exchange_t *x, curl_socket_t fd);

/* ngx_conduit_exchange.c: the life of one */

void ngx_conduit_exchange_work(ngx_conduit_exchange_t *x);
void ngx_conduit_exchange_arm(ngx_conduit_exchange_t *x);
void ngx_conduit_exchange_timer(ngx_event_t *ev);
void ngx_conduit_exchange_done(ngx_conduit_exchange_t *x, CURLcode code);
void ngx_conduit_exchange_destroy(ngx_conduit_exchange_t *x);

/* ngx_conduit_options.c: its options and callbacks */

CURLcode ngx_conduit_exchange_setup(ngx_conduit_exchange_t *x);

/* ngx_conduit_guard.c: callbacks that may say no */

int ngx_conduit_exchange_resolve(void *resolver, void *reserved, void *data);
curl_socket_t ngx_conduit_exchange_socket(void *data, curlsocktype purpose,
    struct curl_sockaddr *address);
int ngx_conduit_exchange_prereq(void *data, char *ip, char *local_ip,
    int port, int local_port);


#endif /* _NGX_CONDUIT_EXCHANGE_H_INCLUDED_ */
