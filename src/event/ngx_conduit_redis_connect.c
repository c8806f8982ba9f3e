
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_redis_nodes.h>
#include <ngx_conduit_random.h>


/* the pause after a failure doubles from the first to the last, ms */

#define NGX_CONDUIT_REDIS_PAUSE      100
#define NGX_CONDUIT_REDIS_PAUSE_MAX  3000


static void ngx_conduit_redis_found(ngx_conduit_lookup_t *lookup);
static void ngx_conduit_redis_address(ngx_conduit_redis_io_t *io);
static void ngx_conduit_redis_socket(ngx_conduit_redis_io_t *io);
static ngx_int_t ngx_conduit_redis_opened(ngx_connection_t *c);
static void ngx_conduit_redis_hello(ngx_conduit_redis_io_t *io);
static ngx_int_t ngx_conduit_redis_login(ngx_conduit_redis_io_t *io);
static ngx_int_t ngx_conduit_redis_ask(ngx_conduit_redis_io_t *io);
static const char *ngx_conduit_redis_refused(ngx_conduit_redis_io_t *io,
    redisReply *reply);
static void ngx_conduit_redis_master(ngx_conduit_redis_io_t *io,
    redisReply *reply);
static void ngx_conduit_redis_disconnect(ngx_conduit_redis_io_t *io);
static void ngx_conduit_redis_unanswered(ngx_conduit_redis_io_t *io);
static ngx_msec_t ngx_conduit_redis_pause(ngx_conduit_redis_io_t *io);
#if (NGX_SSL)
static void ngx_conduit_redis_handshake(ngx_conduit_redis_io_t *io);
static void ngx_conduit_redis_handshaken(ngx_connection_t *c);
#endif


void
ngx_conduit_redis_connect(ngx_conduit_redis_io_t *io)
{
    ngx_conduit_redis_conf_t    *conf;
    ngx_conduit_redis_server_t  *known;

    conf = io->redis->conf;

    io->begun = ngx_current_msec;
    io->server = &conf->server;

    if (conf->sentinels) {
        io->server = conf->sentinels->elts;
        io->server += io->sentinel++ % conf->sentinels->nelts;

    } else if (io->redis->cluster) {
        known = ngx_conduit_redis_known(io->redis->cluster, io->failures);

        if (known
            && ngx_conduit_redis_place_copy(&io->found, known, io->redis->log)
               == NGX_OK)
        {
            io->server = &io->found;
        }
    }

    ngx_conduit_redis_address(io);
}


static void
ngx_conduit_redis_address(ngx_conduit_redis_io_t *io)
{
    ngx_conduit_lookup_t        *lookup;
    ngx_conduit_redis_server_t  *server;

    server = io->server;

    if (server->socklen) {
        io->sockaddr = server->sockaddr;
        io->socklen = server->socklen;
        ngx_conduit_redis_socket(io);
        return;
    }

    io->phase = NGX_CONDUIT_REDIS_LOOKUP;

    lookup = &io->lookup;

    lookup->host = server->host;
    lookup->resolver = io->redis->conf->resolver;
    lookup->timeout = io->redis->conf->connect_timeout;
    lookup->handler = ngx_conduit_redis_found;
    lookup->data = io;

    if (ngx_conduit_lookup_start(lookup) == NGX_OK) {
        ngx_conduit_redis_found(lookup);
    }
}


static void
ngx_conduit_redis_found(ngx_conduit_lookup_t *lookup)
{
    ngx_uint_t               n;
    ngx_conduit_redis_io_t  *io;

    io = lookup->data;

    if (lookup->naddrs == 0) {
        ngx_conduit_redis_lost(io, "host was not found");
        return;
    }

    /* another address at each attempt */

    n = io->failures % lookup->naddrs;

    io->sockaddr = lookup->addrs[n];
    io->socklen = (io->sockaddr.sockaddr.sa_family == AF_INET6)
                  ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    ngx_inet_set_port(&io->sockaddr.sockaddr, io->server->port);

    ngx_conduit_redis_socket(io);
}


static void
ngx_conduit_redis_socket(ngx_conduit_redis_io_t *io)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    /* what fails over and over is told here, once */

    io->log.log_level = io->failures ? NGX_LOG_ALERT
                                     : io->redis->log->log_level;

    io->phase = NGX_CONDUIT_REDIS_CONNECT;
    io->reader = redisReaderCreate();
    io->pool = ngx_create_pool(512, io->redis->log);

    if (io->reader == NULL || io->pool == NULL) {
        ngx_conduit_redis_lost(io, "no memory");
        return;
    }

    peer = &io->peer;
    ngx_memzero(peer, sizeof(ngx_peer_connection_t));

    peer->sockaddr = &io->sockaddr.sockaddr;
    peer->socklen = io->socklen;
    peer->name = &io->server->text;
    peer->get = ngx_event_get_peer;
    peer->log = &io->log;
    peer->log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(peer);

    io->connection = peer->connection;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        io->err = ngx_socket_errno;
        ngx_conduit_redis_lost(io, "connect() failed");
        return;
    }

    c = io->connection;

    c->data = io;
    c->pool = io->pool;
    c->log = &io->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_conduit_redis_read_handler;
    c->write->handler = ngx_conduit_redis_write_handler;

    if (rc == NGX_OK) {
        ngx_conduit_redis_greet(io);
    }
}


/* connected, or it has failed */

void
ngx_conduit_redis_greet(ngx_conduit_redis_io_t *io)
{
    ngx_connection_t  *c;

    c = io->connection;

    if (ngx_conduit_redis_opened(c) != NGX_OK) {
        io->err = ngx_socket_errno;
        ngx_conduit_redis_lost(io, "connect() failed");
        return;
    }

    if (io->sockaddr.sockaddr.sa_family != AF_UNIX
        && ngx_tcp_nodelay(c) != NGX_OK)
    {
        ngx_conduit_redis_lost(io, "setsockopt() failed");
        return;
    }

#if (NGX_SSL)

    if (io->redis->conf->ssl) {
        ngx_conduit_redis_handshake(io);
        return;
    }

#endif

    ngx_conduit_redis_hello(io);
}


static ngx_int_t
ngx_conduit_redis_opened(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_set_socket_errno(err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


#if (NGX_SSL)

static void
ngx_conduit_redis_handshake(ngx_conduit_redis_io_t *io)
{
    ngx_connection_t          *c;
    ngx_conduit_redis_conf_t  *conf;

    c = io->connection;
    conf = io->redis->conf;

    io->phase = NGX_CONDUIT_REDIS_HANDSHAKE;

    if (ngx_ssl_create_connection(conf->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_conduit_redis_lost(io, "no memory");
        return;
    }

    c->sendfile = 0;

    if (io->server->host.len
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) conf->name.data)
           == 0)
    {
        ngx_conduit_redis_lost(io, "no memory");
        return;
    }

    if (ngx_ssl_handshake(c) == NGX_AGAIN) {
        c->ssl->handler = ngx_conduit_redis_handshaken;
        return;
    }

    ngx_conduit_redis_handshaken(c);
}


static void
ngx_conduit_redis_handshaken(ngx_connection_t *c)
{
    ngx_conduit_redis_io_t  *io;

    io = c->data;

    if (!c->ssl->handshaked) {
        ngx_conduit_redis_lost(io, "TLS handshake failed");
        return;
    }

    if (SSL_get_verify_result(c->ssl->connection) != X509_V_OK
        || ngx_ssl_check_host(c, &io->redis->conf->name) != NGX_OK)
    {
        ngx_conduit_redis_lost(io, "certificate is not trusted");
        return;
    }

    c->read->handler = ngx_conduit_redis_read_handler;
    c->write->handler = ngx_conduit_redis_write_handler;

    ngx_conduit_redis_hello(io);
}

#endif


/* a sentinel is asked, a server is told who we are and asked what it is */

static void
ngx_conduit_redis_hello(ngx_conduit_redis_io_t *io)
{
    ngx_int_t                  rc;
    ngx_str_t                  args[2];
    ngx_conduit_redis_conf_t  *conf;

    conf = io->redis->conf;

    if (conf->sentinels && io->server != &io->found) {
        rc = ngx_conduit_redis_ask(io);
        goto sent;
    }

    io->phase = NGX_CONDUIT_REDIS_HELLO;
    io->greetings = 1;
    io->mapped = (conf->sentinels == NULL && !io->redis->node);

    rc = ngx_conduit_redis_login(io);

    if (rc == NGX_OK && io->mapped) {
        ngx_str_set(&args[0], "CLUSTER");
        ngx_str_set(&args[1], "SLOTS");
        rc = ngx_conduit_redis_put(io, args, 2);
        io->greetings++;
    }

    if (rc == NGX_OK) {
        ngx_str_set(&args[0], "ROLE");
        rc = ngx_conduit_redis_put(io, args, 1);
    }

sent:

    if (rc != NGX_OK) {
        ngx_conduit_redis_lost(io, "no memory");
    }
}


static ngx_int_t
ngx_conduit_redis_login(ngx_conduit_redis_io_t *io)
{
    u_char                     db[NGX_INT_T_LEN];
    ngx_int_t                  rc;
    ngx_uint_t                 n;
    ngx_str_t                  args[3];
    ngx_conduit_redis_conf_t  *conf;

    conf = io->redis->conf;
    rc = NGX_OK;

    if (conf->password.len) {
        n = 0;
        ngx_str_set(&args[n], "AUTH");
        n++;

        if (conf->user.len) {
            args[n++] = conf->user;
        }

        args[n++] = conf->password;
        rc = ngx_conduit_redis_put(io, args, n);
        io->greetings++;
    }

    if (rc == NGX_OK && conf->db) {
        ngx_str_set(&args[0], "SELECT");
        args[1].data = db;
        args[1].len = ngx_sprintf(db, "%ui", conf->db) - db;
        rc = ngx_conduit_redis_put(io, args, 2);
        io->greetings++;
    }

    return rc;
}


static ngx_int_t
ngx_conduit_redis_ask(ngx_conduit_redis_io_t *io)
{
    ngx_str_t  args[3];

    io->phase = NGX_CONDUIT_REDIS_ASK;

    ngx_str_set(&args[0], "SENTINEL");
    ngx_str_set(&args[1], "get-master-addr-by-name");
    args[2] = io->redis->conf->master;

    return ngx_conduit_redis_put(io, args, 3);
}


void
ngx_conduit_redis_greeted(ngx_conduit_redis_io_t *io, redisReply *reply)
{
    const char  *why;

    if (io->phase == NGX_CONDUIT_REDIS_ASK) {
        ngx_conduit_redis_master(io, reply);
        return;
    }

    why = ngx_conduit_redis_refused(io, reply);

    if (why) {
        ngx_conduit_redis_lost(io, why);
        return;
    }

    if (--io->greetings == 0) {
        ngx_conduit_redis_ready(io);
    }
}


/* why the server cannot be used, or NULL; the last reply is that of ROLE */

static const char *
ngx_conduit_redis_refused(ngx_conduit_redis_io_t *io, redisReply *reply)
{
    ngx_str_t             text;
    ngx_conduit_redis_t  *redis;

    redis = io->redis;

    if (io->mapped && io->greetings == 2) {

        /* an error: it is not of a cluster, or has no such command */

        return (reply->type == REDIS_REPLY_ARRAY)
               ? ngx_conduit_redis_learn(io, reply) : NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {

        if (ngx_strncmp(reply->str, "NOPERM", 6) == 0) {
            return NULL;
        }

        if (ngx_strncmp(reply->str, "ERR SELECT is not allowed in cluster", 36)
            == 0)
        {
            return "a cluster has no database other than 0";
        }

        /* the texts of Redis repeat no secret */

        return reply->str;
    }

    text = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 0));

    if (!redis->node && redis->cluster == NULL
        && text.len == 5 && ngx_strncmp(text.data, "slave", 5) == 0)
    {
        return "server is a replica";
    }

    return NULL;
}


/* the answer of a sentinel: where the master is */

static void
ngx_conduit_redis_master(ngx_conduit_redis_io_t *io, redisReply *reply)
{
    ngx_int_t  port;
    ngx_str_t  host, text;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_conduit_redis_lost(io, reply->str);
        return;
    }

    host = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 0));
    text = ngx_conduit_redis_text(ngx_conduit_redis_at(reply, 1));
    port = ngx_atoi(text.data, text.len);

    if (host.len == 0 || host.len > 255 || port < 1 || port > 65535) {
        ngx_conduit_redis_lost(io, "sentinel does not know the master");
        return;
    }

    if (ngx_conduit_redis_place(&io->found, io->pool, io->redis->log, &host,
                                (in_port_t) port)
        != NGX_OK)
    {
        ngx_conduit_redis_lost(io, "no memory");
        return;
    }

    ngx_conduit_redis_disconnect(io);

    io->server = &io->found;
    ngx_conduit_redis_address(io);
}


void
ngx_conduit_redis_lost(ngx_conduit_redis_io_t *io, const char *why)
{
    ngx_uint_t            up, level;
    ngx_conduit_redis_t  *redis;

    redis = io->redis;

    /* a cluster is not lost with one of its nodes */

    up = (redis->up && (io->closed || redis->cluster == NULL
                        || redis->message));

    /* told by its machine, but for that of another server */

    redis->refused = (io->phase == NGX_CONDUIT_REDIS_CONNECT
                      && redis->conf->sentinels == NULL
                      && redis->cluster == NULL
                      && (io->err == NGX_ECONNREFUSED
                          || io->err == NGX_ENOENT));

    if (why) {
        level = io->failures ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, redis->log, io->err, "conduit_redis: %V: %s",
                      &io->server->text, why);
        io->err = 0;
    }

    ngx_conduit_lookup_cancel(&io->lookup);
    ngx_conduit_redis_disconnect(io);

    io->phase = NGX_CONDUIT_REDIS_IDLE;
    io->failures++;

    if (up) {
        redis->up = 0;
        redis->since = ngx_current_msec;
    }

    ngx_conduit_redis_unanswered(io);

    if (io->closed) {
        ngx_conduit_redis_place_free(&io->found);
        return;
    }

    if (io->timer.timer_set) {
        ngx_del_timer(&io->timer);
    }

    ngx_add_timer(&io->timer, ngx_conduit_redis_pause(io));

    if (up) {
        redis->state(redis, 0);

    } else if (redis->up) {
        ngx_conduit_redis_cluster_wake(redis->cluster, 0);
    }
}


static void
ngx_conduit_redis_disconnect(ngx_conduit_redis_io_t *io)
{
    ngx_connection_t  *c;

    c = io->connection;
    io->connection = NULL;
    io->serial++;

    if (c) {

#if (NGX_SSL)

        if (c->ssl) {
            c->ssl->no_wait_shutdown = 1;
            c->ssl->no_send_shutdown = 1;
            (void) ngx_ssl_shutdown(c);
        }

#endif

        ngx_close_connection(c);
    }

    if (io->pool) {
        ngx_destroy_pool(io->pool);
        io->pool = NULL;
    }

    if (io->reader) {
        redisReaderFree(io->reader);
        io->reader = NULL;
    }

    io->pos = 0;
    io->last = 0;
    io->unread = 0;
    io->pinged = 0;
}


static void
ngx_conduit_redis_unanswered(ngx_conduit_redis_io_t *io)
{
    ngx_queue_t  *q, *next, calls;

    if (ngx_queue_empty(&io->calls)) {
        return;
    }

    /* nothing can be called meanwhile: the connection is not up */

    ngx_queue_init(&calls);
    ngx_queue_add(&calls, &io->calls);
    ngx_queue_init(&io->calls);
    io->ncalls = 0;
    io->timer.cancelable = 1;

    for (q = ngx_queue_head(&calls);
         q != ngx_queue_sentinel(&calls);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_conduit_redis_told(ngx_queue_data(q, ngx_conduit_redis_wait_t,
                                              queue), NULL);
    }
}


void
ngx_conduit_redis_told(ngx_conduit_redis_wait_t *wait, redisReply *reply)
{
    if (wait->handler) {
        wait->handler(wait->data, reply);
    }

    ngx_free(wait);
}


/* from half of it to all of it, so that many workers do not come at once */

static ngx_msec_t
ngx_conduit_redis_pause(ngx_conduit_redis_io_t *io)
{
    uint16_t    jitter;
    ngx_msec_t  pause;

    /* another node may be tried at once */

    if (io->redis->cluster && io->failures > 0
        && ngx_conduit_redis_known(io->redis->cluster, io->failures))
    {
        return 10;
    }

    pause = io->pause ? io->pause : NGX_CONDUIT_REDIS_PAUSE;

    io->pause = ngx_min(2 * pause, NGX_CONDUIT_REDIS_PAUSE_MAX);

    if (ngx_conduit_random_bytes((u_char *) &jitter, sizeof(uint16_t))
        != NGX_OK)
    {
        jitter = 0;
    }

    return pause / 2 + pause / 2 * jitter / 65536 + 1;
}
