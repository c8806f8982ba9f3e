
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <ngx_conduit_lookup.h>
#include <ngx_channel.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/eventfd.h>


#define NGX_CONDUIT_LOOKUP_THREADS   32
#define NGX_CONDUIT_LOOKUP_STACK     (256 * 1024)
#define NGX_CONDUIT_LOOKUP_ENTRIES   1024

/* getaddrinfo() does not tell how long an answer is good; in milliseconds */
#define NGX_CONDUIT_LOOKUP_VALID     10000
#define NGX_CONDUIT_LOOKUP_INVALID   2000


/*
 * A name of the system's configuration.  While "running", a thread or the
 * queue of the threads holds a pointer to it, and it is not freed.
 */

typedef struct ngx_conduit_lookup_entry_s  ngx_conduit_lookup_entry_t;

struct ngx_conduit_lookup_entry_s {
    ngx_str_node_t                 sn;
    ngx_queue_t                    queue;      /* all, the newest first */
    ngx_queue_t                    waiting;    /* of ngx_conduit_lookup_t */
    ngx_msec_t                     expire;
    unsigned                       running:1;

    /* of the thread until it has put the entry into the list of done */

    ngx_conduit_lookup_entry_t    *next;
    ngx_uint_t                     naddrs;
    ngx_sockaddr_t                 addrs[NGX_CONDUIT_LOOKUP_ADDRS];
    char                           name[1];
};


typedef struct {
    ngx_rbtree_t                   rbtree;
    ngx_rbtree_node_t              sentinel;
    ngx_queue_t                    queue;
    ngx_uint_t                     nentries;
    int                            fd;

    /* under the mutex */

    pthread_mutex_t                mutex;
    ngx_conduit_lookup_entry_t    *todo;
    ngx_conduit_lookup_entry_t   **last_todo;
    ngx_conduit_lookup_entry_t    *done;
    ngx_uint_t                     nthreads;
} ngx_conduit_lookup_process_t;


static ngx_int_t ngx_conduit_lookup_resolver(ngx_conduit_lookup_t *lookup);
static void ngx_conduit_lookup_resolver_handler(ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_conduit_lookup_system(ngx_conduit_lookup_t *lookup);
static ngx_conduit_lookup_entry_t *ngx_conduit_lookup_entry(ngx_str_t *host);
static ngx_int_t ngx_conduit_lookup_open(void);
static void ngx_conduit_lookup_expire(void);
static ngx_int_t ngx_conduit_lookup_run(ngx_conduit_lookup_entry_t *entry);
static ngx_int_t ngx_conduit_lookup_thread(void);
static void *ngx_conduit_lookup_cycle(void *data);
static void ngx_conduit_lookup_getaddrinfo(ngx_conduit_lookup_entry_t *entry);
static void ngx_conduit_lookup_event_handler(ngx_event_t *ev);
static void ngx_conduit_lookup_done(ngx_conduit_lookup_entry_t *entry);


static ngx_conduit_lookup_process_t  ngx_conduit_lookup;


void
ngx_conduit_lookup_init(void)
{
    ngx_conduit_lookup_process_t  *lp;

    lp = &ngx_conduit_lookup;

    ngx_rbtree_init(&lp->rbtree, &lp->sentinel, ngx_str_rbtree_insert_value);
    ngx_queue_init(&lp->queue);

    lp->fd = -1;
    lp->last_todo = &lp->todo;

    pthread_mutex_init(&lp->mutex, NULL);
}


void
ngx_conduit_lookup_exit(void)
{
    Dl_info     info;
    ngx_uint_t  n;

    pthread_mutex_lock(&ngx_conduit_lookup.mutex);

    ngx_conduit_lookup.todo = NULL;
    ngx_conduit_lookup.last_todo = &ngx_conduit_lookup.todo;
    n = ngx_conduit_lookup.nthreads;

    pthread_mutex_unlock(&ngx_conduit_lookup.mutex);

    if (n == 0) {
        return;
    }

    /*
     * Threads that wait for a name server end with the process.  Until then
     * their code has to stay, while nginx unloads the module with the cycle.
     */

    if (dladdr((void *) (uintptr_t) ngx_conduit_lookup_exit, &info)) {
        (void) dlopen(info.dli_fname, RTLD_NOW|RTLD_NOLOAD|RTLD_NODELETE);
    }
}


ngx_int_t
ngx_conduit_lookup_start(ngx_conduit_lookup_t *lookup)
{
    ngx_int_t  rc;

    lookup->naddrs = 0;
    lookup->waiting = 0;
    lookup->inside = 0;
    lookup->ctx = NULL;

    if (lookup->resolver) {
        rc = ngx_conduit_lookup_resolver(lookup);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return ngx_conduit_lookup_system(lookup);
}


void
ngx_conduit_lookup_cancel(ngx_conduit_lookup_t *lookup)
{
    if (lookup->ctx) {
        ngx_resolve_name_done(lookup->ctx);
        lookup->ctx = NULL;
    }

    if (lookup->waiting) {
        ngx_queue_remove(&lookup->queue);
        lookup->waiting = 0;
    }
}


static ngx_int_t
ngx_conduit_lookup_resolver(ngx_conduit_lookup_t *lookup)
{
    ngx_resolver_ctx_t  *ctx, temp;

    temp.name = lookup->host;

    ctx = ngx_resolve_start(lookup->resolver, &temp);

    if (ctx == NULL) {
        return NGX_OK;
    }

    if (ctx == NGX_NO_RESOLVER) {
        return NGX_DECLINED;
    }

    ctx->name = lookup->host;
    ctx->handler = ngx_conduit_lookup_resolver_handler;
    ctx->data = lookup;
    ctx->timeout = lookup->timeout;

    lookup->ctx = ctx;
    lookup->inside = 1;

    /* the handler may be called before it returns; on error ctx is freed */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        lookup->ctx = NULL;
    }

    lookup->inside = 0;

    return lookup->ctx ? NGX_AGAIN : NGX_OK;
}


static void
ngx_conduit_lookup_resolver_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t             i;
    ngx_conduit_lookup_t  *lookup;

    lookup = ctx->data;

    if (ctx->state == NGX_OK) {
        for (i = 0; i < ctx->naddrs && i < NGX_CONDUIT_LOOKUP_ADDRS; i++) {
            ngx_memcpy(&lookup->addrs[i], ctx->addrs[i].sockaddr,
                       ctx->addrs[i].socklen);
        }

        lookup->naddrs = i;

    } else {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "%V could not be resolved (%i: %s)",
                      &ctx->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));
    }

    lookup->ctx = NULL;

    ngx_resolve_name_done(ctx);

    if (!lookup->inside) {
        lookup->handler(lookup);
    }
}


static ngx_int_t
ngx_conduit_lookup_system(ngx_conduit_lookup_t *lookup)
{
    ngx_conduit_lookup_entry_t  *entry;

    entry = ngx_conduit_lookup_entry(&lookup->host);
    if (entry == NULL) {
        return NGX_OK;
    }

    if (!entry->running) {

        if ((ngx_msec_int_t) (entry->expire - ngx_current_msec) > 0) {
            lookup->naddrs = entry->naddrs;
            ngx_memcpy(lookup->addrs, entry->addrs, sizeof(entry->addrs));
            return NGX_OK;
        }

        if (ngx_conduit_lookup_run(entry) != NGX_OK) {
            return NGX_OK;
        }
    }

    ngx_queue_insert_tail(&entry->waiting, &lookup->queue);
    lookup->waiting = 1;

    return NGX_AGAIN;
}


static ngx_conduit_lookup_entry_t *
ngx_conduit_lookup_entry(ngx_str_t *host)
{
    uint32_t                       hash;
    ngx_conduit_lookup_entry_t    *entry;
    ngx_conduit_lookup_process_t  *lp;

    lp = &ngx_conduit_lookup;

    hash = ngx_crc32_short(host->data, host->len);

    entry = (ngx_conduit_lookup_entry_t *)
                ngx_str_rbtree_lookup(&lp->rbtree, host, hash);

    if (entry) {
        ngx_queue_remove(&entry->queue);
        ngx_queue_insert_head(&lp->queue, &entry->queue);
        return entry;
    }

    if (lp->fd == -1 && ngx_conduit_lookup_open() != NGX_OK) {
        return NULL;
    }

    ngx_conduit_lookup_expire();

    entry = ngx_calloc(sizeof(ngx_conduit_lookup_entry_t) + host->len,
                       ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    ngx_memcpy(entry->name, host->data, host->len);

    entry->sn.str.data = (u_char *) entry->name;
    entry->sn.str.len = host->len;
    entry->sn.node.key = hash;
    entry->expire = ngx_current_msec;

    ngx_queue_init(&entry->waiting);
    ngx_rbtree_insert(&lp->rbtree, &entry->sn.node);
    ngx_queue_insert_head(&lp->queue, &entry->queue);
    lp->nentries++;

    return entry;
}


static ngx_int_t
ngx_conduit_lookup_open(void)
{
    int  fd;

    fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "eventfd() for lookups failed");
        return NGX_ERROR;
    }

    if (ngx_add_channel_event((ngx_cycle_t *) ngx_cycle, fd, NGX_READ_EVENT,
                              ngx_conduit_lookup_event_handler)
        != NGX_OK)
    {
        (void) close(fd);
        return NGX_ERROR;
    }

    ngx_conduit_lookup.fd = fd;

    return NGX_OK;
}


/* a few at a time: what is over, or the oldest when there are too many */

static void
ngx_conduit_lookup_expire(void)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q, *prev;
    ngx_conduit_lookup_entry_t    *entry;
    ngx_conduit_lookup_process_t  *lp;

    lp = &ngx_conduit_lookup;

    q = ngx_queue_last(&lp->queue);

    for (i = 0; i < 3 && q != ngx_queue_sentinel(&lp->queue); i++) {
        prev = ngx_queue_prev(q);

        entry = ngx_queue_data(q, ngx_conduit_lookup_entry_t, queue);

        if (!entry->running
            && (lp->nentries >= NGX_CONDUIT_LOOKUP_ENTRIES
                || (ngx_msec_int_t) (entry->expire - ngx_current_msec) <= 0))
        {
            ngx_queue_remove(q);
            ngx_rbtree_delete(&lp->rbtree, &entry->sn.node);
            ngx_free(entry);
            lp->nentries--;
        }

        q = prev;
    }
}


static ngx_int_t
ngx_conduit_lookup_run(ngx_conduit_lookup_entry_t *entry)
{
    ngx_uint_t                     more;
    ngx_conduit_lookup_process_t  *lp;

    lp = &ngx_conduit_lookup;

    entry->next = NULL;
    entry->naddrs = 0;

    pthread_mutex_lock(&lp->mutex);

    more = (lp->nthreads < NGX_CONDUIT_LOOKUP_THREADS);

    if (more) {
        lp->nthreads++;
    }

    *lp->last_todo = entry;
    lp->last_todo = &entry->next;

    pthread_mutex_unlock(&lp->mutex);

    entry->running = 1;

    if (!more || ngx_conduit_lookup_thread() == NGX_OK) {
        return NGX_OK;
    }

    /* another thread, if there is one, takes the entry when it is free */

    pthread_mutex_lock(&lp->mutex);

    lp->nthreads--;

    if (lp->nthreads == 0) {
        lp->todo = NULL;
        lp->last_todo = &lp->todo;
        entry->running = 0;
    }

    pthread_mutex_unlock(&lp->mutex);

    return entry->running ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_conduit_lookup_thread(void)
{
    int             err;
    sigset_t        set, old;
    pthread_t       tid;
    pthread_attr_t  attr;

    err = pthread_attr_init(&attr);

    if (err) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, err,
                      "pthread_attr_init() failed");
        return NGX_ERROR;
    }

    (void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void) pthread_attr_setstacksize(&attr, NGX_CONDUIT_LOOKUP_STACK);

    /* nginx's signal handlers belong to the event loop */

    (void) sigfillset(&set);
    (void) pthread_sigmask(SIG_SETMASK, &set, &old);

    err = pthread_create(&tid, &attr, ngx_conduit_lookup_cycle, NULL);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void) pthread_attr_destroy(&attr);

    if (err) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, err,
                      "pthread_create() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a thread lives as long as there is something to do */

static void *
ngx_conduit_lookup_cycle(void *data)
{
    uint64_t                       one;
    ngx_conduit_lookup_entry_t    *entry;
    ngx_conduit_lookup_process_t  *lp;

    lp = &ngx_conduit_lookup;
    one = 1;

    pthread_mutex_lock(&lp->mutex);

    while (lp->todo) {
        entry = lp->todo;
        lp->todo = entry->next;

        if (lp->todo == NULL) {
            lp->last_todo = &lp->todo;
        }

        pthread_mutex_unlock(&lp->mutex);

        ngx_conduit_lookup_getaddrinfo(entry);

        pthread_mutex_lock(&lp->mutex);

        entry->next = lp->done;
        lp->done = entry;

        /* it can fail only if it is full, and then the loop wakes up too */

        if (write(lp->fd, &one, sizeof(uint64_t)) == -1) {
            continue;
        }
    }

    lp->nthreads--;

    pthread_mutex_unlock(&lp->mutex);

    return NULL;
}


static void
ngx_conduit_lookup_getaddrinfo(ngx_conduit_lookup_entry_t *entry)
{
    ngx_uint_t        n;
    struct addrinfo   hints, *res, *ai;

    ngx_memzero(&hints, sizeof(struct addrinfo));

    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;

    if (getaddrinfo(entry->name, NULL, &hints, &res) != 0) {
        return;
    }

    n = 0;

    for (ai = res; ai && n < NGX_CONDUIT_LOOKUP_ADDRS; ai = ai->ai_next) {

        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) {
            continue;
        }

        ngx_memcpy(&entry->addrs[n], ai->ai_addr, ai->ai_addrlen);
        n++;
    }

    entry->naddrs = n;

    freeaddrinfo(res);
}


static void
ngx_conduit_lookup_event_handler(ngx_event_t *ev)
{
    uint64_t                       n;
    ngx_connection_t              *c;
    ngx_conduit_lookup_entry_t    *entry, *next;
    ngx_conduit_lookup_process_t  *lp;

    lp = &ngx_conduit_lookup;
    c = ev->data;

    if (read(c->fd, &n, sizeof(uint64_t)) == -1) {
        return;
    }

    pthread_mutex_lock(&lp->mutex);

    entry = lp->done;
    lp->done = NULL;

    pthread_mutex_unlock(&lp->mutex);

    while (entry) {
        next = entry->next;
        ngx_conduit_lookup_done(entry);
        entry = next;
    }
}


static void
ngx_conduit_lookup_done(ngx_conduit_lookup_entry_t *entry)
{
    ngx_queue_t            waiting, *q;
    ngx_uint_t             naddrs;
    ngx_sockaddr_t         addrs[NGX_CONDUIT_LOOKUP_ADDRS];
    ngx_conduit_lookup_t  *lookup;

    entry->running = 0;
    entry->expire = ngx_current_msec
                    + (entry->naddrs ? NGX_CONDUIT_LOOKUP_VALID
                                     : NGX_CONDUIT_LOOKUP_INVALID);

    if (entry->naddrs == 0) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "%V could not be resolved", &entry->sn.str);
    }

    /*
     * a handler may start other lookups, which may free the entry, and may
     * cancel those that follow, which then leave the list by themselves
     */

    naddrs = entry->naddrs;
    ngx_memcpy(addrs, entry->addrs, sizeof(addrs));

    ngx_queue_init(&waiting);

    if (!ngx_queue_empty(&entry->waiting)) {
        ngx_queue_add(&waiting, &entry->waiting);
        ngx_queue_init(&entry->waiting);
    }

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);
        ngx_queue_remove(q);

        lookup = ngx_queue_data(q, ngx_conduit_lookup_t, queue);
        lookup->waiting = 0;

        lookup->naddrs = naddrs;
        ngx_memcpy(lookup->addrs, addrs, sizeof(addrs));

        lookup->handler(lookup);
    }
}
