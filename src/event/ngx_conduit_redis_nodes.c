
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_redis_nodes.h>


/* Nodes of a cluster, and the map of its slots. */


/* between two questions for the map, ms */

#define NGX_CONDUIT_REDIS_MAP   250

/* a node without slots that nobody has needed for so long is left, ms */

#define NGX_CONDUIT_REDIS_LEFT  15000


static ngx_conduit_redis_cluster_t *ngx_conduit_redis_cluster(
    ngx_conduit_redis_t *redis);
static ngx_uint_t ngx_conduit_redis_map(ngx_conduit_redis_cluster_t *cluster,
    ngx_conduit_redis_io_t *io, redisReply *reply);
static void ngx_conduit_redis_count(ngx_conduit_redis_cluster_t *cluster);
static ngx_uint_t ngx_conduit_redis_range(
    ngx_conduit_redis_cluster_t *cluster, ngx_conduit_redis_io_t *io,
    redisReply *range);
static void ngx_conduit_redis_mapped(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_conduit_redis_io_t *ngx_conduit_redis_any(
    ngx_conduit_redis_cluster_t *cluster);
static ngx_int_t ngx_conduit_redis_same(ngx_conduit_redis_io_t *io,
    u_char *buf, ngx_str_t *host);
static ngx_conduit_redis_node_t *ngx_conduit_redis_node_add(
    ngx_conduit_redis_cluster_t *cluster, ngx_conduit_redis_io_t *io,
    ngx_str_t *host, in_port_t port);
static void ngx_conduit_redis_node_state(ngx_conduit_redis_t *conn,
    ngx_uint_t up);
static void ngx_conduit_redis_node_close(ngx_conduit_redis_node_t *node);


const char *
ngx_conduit_redis_learn(ngx_conduit_redis_io_t *io, redisReply *reply)
{
    ngx_conduit_redis_t          *redis;
    ngx_conduit_redis_cluster_t  *cluster;

    redis = io->redis;
    cluster = redis->cluster;

    if (cluster == NULL) {
        cluster = ngx_conduit_redis_cluster(redis);

        if (cluster == NULL) {
            return "no memory";
        }

        redis->cluster = cluster;
    }

    if (ngx_conduit_redis_map(cluster, io, reply) == 0) {
        return "cluster has no slots";
    }

    return NULL;
}


static ngx_conduit_redis_cluster_t *
ngx_conduit_redis_cluster(ngx_conduit_redis_t *redis)
{
    ngx_uint_t                    i;
    ngx_conduit_redis_slot_t     *slots;
    ngx_conduit_redis_cluster_t  *cluster;

    cluster = ngx_calloc(sizeof(ngx_conduit_redis_cluster_t), redis->log);
    if (cluster == NULL) {
        return NULL;
    }

    if (redis->message == NULL) {
        slots = ngx_calloc((CONDUIT_SLOTS + 1)
                           * sizeof(ngx_conduit_redis_slot_t), redis->log);
        if (slots == NULL) {
            ngx_free(cluster);
            return NULL;
        }

        for (i = 0; i <= CONDUIT_SLOTS; i++) {
            slots[i].node = NGX_CONDUIT_REDIS_NOBODY;
        }

        cluster->slots = slots;
    }

    cluster->redis = redis;

    ngx_queue_init(&cluster->held);

    cluster->dummy.fd = (ngx_socket_t) -1;
    cluster->dummy.data = cluster;

    cluster->timer.data = &cluster->dummy;
    cluster->timer.handler = ngx_conduit_redis_cluster_timer;
    cluster->timer.log = redis->log;
    cluster->timer.cancelable = 1;

    return cluster;
}


/*
 * Returns how many slots the reply has a node for; those that it has none for
 * keep their last.
 */

static ngx_uint_t
ngx_conduit_redis_map(ngx_conduit_redis_cluster_t *cluster,
    ngx_conduit_redis_io_t *io, redisReply *reply)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i < reply->elements; i++) {
        n += ngx_conduit_redis_range(cluster, io, reply->element[i]);
    }

    if (cluster->slots) {
        ngx_conduit_redis_count(cluster);
    }

    cluster->stale = 0;

    return n;
}


static void
ngx_conduit_redis_count(ngx_conduit_redis_cluster_t *cluster)
{
    ngx_uint_t  i;

    for (i = 0; i < cluster->nnodes; i++) {
        if (cluster->nodes[i]) {
            cluster->nodes[i]->slots = 0;
        }
    }

    for (i = 0; i < CONDUIT_SLOTS; i++) {
        if (cluster->slots[i].node != NGX_CONDUIT_REDIS_NOBODY) {
            cluster->nodes[cluster->slots[i].node]->slots++;
        }
    }
}


/* FIRST LAST (HOST PORT ...) ... */

static ngx_uint_t
ngx_conduit_redis_range(ngx_conduit_redis_cluster_t *cluster,
    ngx_conduit_redis_io_t *io, redisReply *range)
{
    int64_t                    i, first, last, port;
    ngx_str_t                  host;
    redisReply                *master;
    ngx_conduit_redis_node_t  *node;

    master = ngx_conduit_redis_at(range, 2);

    if (master == NULL) {
        return 0;
    }

    first = ngx_conduit_redis_number(ngx_conduit_redis_at(range, 0));
    last = ngx_conduit_redis_number(ngx_conduit_redis_at(range, 1));
    host = ngx_conduit_redis_text(ngx_conduit_redis_at(master, 0));
    port = ngx_conduit_redis_number(ngx_conduit_redis_at(master, 1));

    if (first < 0 || last < first || last >= CONDUIT_SLOTS
        || port < 1 || port > 65535)
    {
        return 0;
    }

    if (host.len == 1 && host.data[0] == '?') {
        host.len = 0;
    }

    node = ngx_conduit_redis_node(cluster, io, &host, (in_port_t) port);

    if (node == NULL) {
        return 0;
    }

    for (i = first; i <= last && cluster->slots; i++) {
        cluster->slots[i].node = node->index;
    }

    return last - first + 1;
}


void
ngx_conduit_redis_refresh(ngx_conduit_redis_cluster_t *cluster)
{
    ngx_str_t                args[2];
    ngx_conduit_redis_io_t  *io;

    if (cluster->asking
        || (cluster->asked
            && ngx_current_msec - cluster->asked < NGX_CONDUIT_REDIS_MAP))
    {
        return;
    }

    io = ngx_conduit_redis_any(cluster);

    if (io == NULL) {
        return;
    }

    ngx_str_set(&args[0], "CLUSTER");
    ngx_str_set(&args[1], "SLOTS");

    if (ngx_conduit_redis_io_call(io, args, 2, ngx_conduit_redis_mapped,
                                  cluster, ngx_current_msec)
        == NGX_OK)
    {
        cluster->asking = 1;
        cluster->asked = ngx_current_msec;
        cluster->from = io;
    }
}


static void
ngx_conduit_redis_mapped(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_conduit_redis_cluster_t  *cluster = data;

    cluster->asking = 0;

    if (cluster->closed || reply == NULL
        || reply->type != REDIS_REPLY_ARRAY)
    {
        return;
    }

    (void) ngx_conduit_redis_map(cluster, cluster->from, reply);

    ngx_conduit_redis_cluster_wake(cluster, 0);
}


/* the next that is connected, so that none is believed for ever */

static ngx_conduit_redis_io_t *
ngx_conduit_redis_any(ngx_conduit_redis_cluster_t *cluster)
{
    ngx_uint_t                 i;
    ngx_conduit_redis_io_t    *io;
    ngx_conduit_redis_node_t  *node;

    for (i = 0; i <= cluster->nnodes; i++) {

        cluster->turn = (cluster->turn + 1) % (cluster->nnodes + 1);

        if (cluster->turn == cluster->nnodes) {
            io = cluster->redis->io;

        } else {
            node = cluster->nodes[cluster->turn];
            io = node ? node->conn.io : NULL;
        }

        if (io && io->phase == NGX_CONDUIT_REDIS_READY) {
            return io;
        }
    }

    return NULL;
}


ngx_conduit_redis_node_t *
ngx_conduit_redis_node(ngx_conduit_redis_cluster_t *cluster,
    ngx_conduit_redis_io_t *io, ngx_str_t *host, in_port_t port)
{
    u_char                       buf[NGX_SOCKADDR_STRLEN];
    u_char                       text[256 + sizeof(":65535")];
    size_t                       len;
    ngx_str_t                    name;
    ngx_uint_t                   i;
    ngx_conduit_redis_node_t    *node;
    ngx_conduit_redis_server_t  *server;

    name = *host;

    if (name.len == 0 && ngx_conduit_redis_same(io, buf, &name) != NGX_OK) {
        return NULL;
    }

    if (name.len > 255) {
        return NULL;
    }

    len = ngx_sprintf(text, "%V:%ui", &name, (ngx_uint_t) port) - text;

    for (i = 0; i < cluster->nnodes; i++) {
        node = cluster->nodes[i];

        if (node == NULL) {
            continue;
        }

        server = &node->conf.server;

        if (server->text.len == len
            && ngx_memcmp(server->text.data, text, len) == 0)
        {
            node->used = ngx_current_msec;
            return node;
        }
    }

    return ngx_conduit_redis_node_add(cluster, io, &name, port);
}


/* the host at the other end */

static ngx_int_t
ngx_conduit_redis_same(ngx_conduit_redis_io_t *io, u_char *buf,
    ngx_str_t *host)
{
    if (io->sockaddr.sockaddr.sa_family == AF_UNIX) {
        return NGX_ERROR;
    }

    host->data = buf;
    host->len = ngx_sock_ntop(&io->sockaddr.sockaddr, io->socklen, buf,
                              NGX_SOCKADDR_STRLEN, 0);

    /* an IPv6 address is put into brackets there */

    if (host->len > 2 && buf[0] == '[') {
        host->data++;
        host->len -= 2;
    }

    return NGX_OK;
}


static ngx_conduit_redis_node_t *
ngx_conduit_redis_node_add(ngx_conduit_redis_cluster_t *cluster,
    ngx_conduit_redis_io_t *io, ngx_str_t *host, in_port_t port)
{
    ngx_uint_t                 i;
    ngx_conduit_redis_node_t  *node;

    for (i = 0; i < cluster->nnodes; i++) {
        if (cluster->nodes[i] == NULL) {
            break;
        }
    }

    if (i == NGX_CONDUIT_REDIS_NODES) {
        return NULL;
    }

    node = ngx_calloc(sizeof(ngx_conduit_redis_node_t), cluster->redis->log);
    if (node == NULL) {
        return NULL;
    }

    node->conf = *cluster->redis->conf;
    ngx_memzero(&node->conf.server, sizeof(ngx_conduit_redis_server_t));

    if (ngx_conduit_redis_place(&node->conf.server, io->pool,
                                cluster->redis->log, host, port)
        != NGX_OK)
    {
        ngx_free(node);
        return NULL;
    }

    node->cluster = cluster;
    node->index = (u_char) i;
    node->used = ngx_current_msec;

    node->conn.conf = &node->conf;
    node->conn.log = cluster->redis->log;
    node->conn.data = node;
    node->conn.state = ngx_conduit_redis_node_state;
    node->conn.node = 1;

    cluster->nodes[i] = node;
    cluster->nnodes = ngx_max(cluster->nnodes, i + 1);

    return node;
}


ngx_conduit_redis_io_t *
ngx_conduit_redis_node_io(ngx_conduit_redis_node_t *node)
{
    ngx_conduit_redis_io_t  *io;

    node->used = ngx_current_msec;

    io = node->conn.io;

    if (io == NULL) {
        (void) ngx_conduit_redis_open(&node->conn);
        return NULL;
    }

    return (io->phase == NGX_CONDUIT_REDIS_READY) ? io : NULL;
}


static void
ngx_conduit_redis_node_state(ngx_conduit_redis_t *conn, ngx_uint_t up)
{
    ngx_conduit_redis_node_t     *node;
    ngx_conduit_redis_cluster_t  *cluster;

    node = conn->data;
    cluster = node->cluster;

    if (!up) {
        cluster->away = 1;
        cluster->stale = 1;
    }

    ngx_conduit_redis_cluster_wake(cluster, 0);
}


ngx_uint_t
ngx_conduit_redis_away(ngx_conduit_redis_cluster_t *cluster)
{
    ngx_uint_t                 i;
    ngx_conduit_redis_node_t  *node;

    for (i = 0; i < cluster->nnodes; i++) {
        node = cluster->nodes[i];

        if (node && node->slots && node->conn.io && !node->conn.up) {
            return 1;
        }
    }

    return 0;
}


ngx_conduit_redis_server_t *
ngx_conduit_redis_known(ngx_conduit_redis_cluster_t *cluster, ngx_uint_t n)
{
    ngx_conduit_redis_node_t  *node;

    n %= cluster->nnodes + 1;

    if (n == 0) {
        return NULL;
    }

    node = cluster->nodes[n - 1];

    return node ? &node->conf.server : NULL;
}


ngx_uint_t
ngx_conduit_redis_sweep(ngx_conduit_redis_cluster_t *cluster)
{
    ngx_uint_t                 i, n;
    ngx_conduit_redis_node_t  *node;

    n = 0;

    for (i = 0; i < cluster->nnodes; i++) {
        node = cluster->nodes[i];

        if (node == NULL || node->slots) {
            continue;
        }

        /* a call that was sent there ends before that */

        if (ngx_current_msec - node->used > NGX_CONDUIT_REDIS_LEFT) {
            ngx_conduit_redis_node_close(node);
            continue;
        }

        n++;
    }

    return n;
}


void
ngx_conduit_redis_nodes_close(ngx_conduit_redis_cluster_t *cluster)
{
    ngx_uint_t  i;

    for (i = 0; i < cluster->nnodes; i++) {
        if (cluster->nodes[i]) {
            ngx_conduit_redis_node_close(cluster->nodes[i]);
        }
    }
}


static void
ngx_conduit_redis_node_close(ngx_conduit_redis_node_t *node)
{
    node->cluster->nodes[node->index] = NULL;

    ngx_conduit_redis_close(&node->conn);
    ngx_conduit_redis_place_free(&node->conf.server);

    ngx_free(node);
}


ngx_int_t
ngx_conduit_redis_place(ngx_conduit_redis_server_t *server, ngx_pool_t *pool,
    ngx_log_t *log, ngx_str_t *host, in_port_t port)
{
    u_char      *p;
    ngx_addr_t   addr;

    p = ngx_alloc(2 * host->len + sizeof(":65535"), log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_conduit_redis_place_free(server);

    server->text.data = p;
    server->text.len = ngx_sprintf(p, "%V:%ui", host, (ngx_uint_t) port) - p;
    server->host.data = p + server->text.len;
    server->host.len = host->len;
    server->port = port;

    ngx_strlow(server->host.data, host->data, host->len);

    if (ngx_parse_addr(pool, &addr, server->host.data, host->len) == NGX_OK) {
        ngx_memcpy(&server->sockaddr, addr.sockaddr, addr.socklen);
        server->socklen = addr.socklen;
        ngx_inet_set_port(&server->sockaddr.sockaddr, port);
        server->host.len = 0;
    }

    return NGX_OK;
}


ngx_int_t
ngx_conduit_redis_place_copy(ngx_conduit_redis_server_t *server,
    ngx_conduit_redis_server_t *from, ngx_log_t *log)
{
    u_char  *p;

    p = ngx_alloc(from->text.len + from->host.len, log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_conduit_redis_place_free(server);

    *server = *from;
    server->text.data = p;
    server->host.data = p + from->text.len;

    ngx_memcpy(p, from->text.data, from->text.len);
    ngx_memcpy(server->host.data, from->host.data, from->host.len);

    return NGX_OK;
}


void
ngx_conduit_redis_place_free(ngx_conduit_redis_server_t *server)
{
    if (server->text.data) {
        ngx_free(server->text.data);
    }

    ngx_memzero(server, sizeof(ngx_conduit_redis_server_t));
}
