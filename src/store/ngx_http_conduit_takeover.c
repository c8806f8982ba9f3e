
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_owner.h>
#include <ngx_conduit_thread.h>
#include <ngx_http_conduit_apart.h>
#include <ngx_http_conduit_embedded.h>


/*
 * The new nginx of a binary upgrade has an empty zone, and refuses requests,
 * until the old one has ended: both would run the same tasks otherwise.  Then
 * one of its workers fills the zone, and all of them go on.
 */


/* between two looks, ms */

#define NGX_HTTP_CONDUIT_TAKEOVER_WAIT  50


typedef struct {
    ngx_http_conduit_embedded_t      *embedded;
    const char                       *why;
    char                              buf[512];
} ngx_http_conduit_takeover_t;


static void ngx_http_conduit_takeover_timer(ngx_event_t *ev);
static ngx_int_t ngx_http_conduit_takeover_post(
    ngx_http_conduit_embedded_t *embedded);
static void ngx_http_conduit_takeover_load(void *ctx);
static void ngx_http_conduit_takeover_done(void *ctx);


void
ngx_http_conduit_takeover(ngx_http_conduit_embedded_t *embedded)
{
    embedded->fold.handler = ngx_http_conduit_takeover_timer;

    ngx_add_timer(&embedded->fold, NGX_HTTP_CONDUIT_TAKEOVER_WAIT);
}


static void
ngx_http_conduit_takeover_timer(ngx_event_t *ev)
{
    ngx_connection_t             *c = ev->data;
    ngx_http_conduit_embedded_t  *embedded = c->data;

    if (!embedded->cdmcf->zone.sh->loading) {
        ngx_http_conduit_embedded_open(embedded);
        return;
    }

    if (ngx_conduit_owner_again() != NGX_OK
        || ngx_http_conduit_takeover_post(embedded) != NGX_OK)
    {
        ngx_add_timer(ev, NGX_HTTP_CONDUIT_TAKEOVER_WAIT);
    }
}


static ngx_int_t
ngx_http_conduit_takeover_post(ngx_http_conduit_embedded_t *embedded)
{
    ngx_http_conduit_takeover_t  *take;

    take = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_takeover_t));
    if (take == NULL) {
        return NGX_ERROR;
    }

    take->embedded = embedded;

    if (ngx_conduit_thread_post(embedded->cdmcf->threads, take,
                                ngx_http_conduit_takeover_load,
                                ngx_http_conduit_takeover_done)
        != NGX_OK)
    {
        ngx_conduit_thread_free(take);
        return NGX_ERROR;
    }

    embedded->folding = 1;

    return NGX_OK;
}


/* others wait in the meantime, and go on where one was killed */

static void
ngx_http_conduit_takeover_load(void *ctx)
{
    ngx_http_conduit_takeover_t  *take = ctx;

    ngx_http_conduit_sh_t          *sh;
    ngx_http_conduit_embedded_t    *embedded;
    ngx_http_conduit_journal_sh_t  *journal;

    embedded = take->embedded;
    sh = embedded->cdmcf->zone.sh;
    journal = sh->journal;

    (void) ngx_http_conduit_journal_lock(&journal->fold);

    if (sh->loading) {
        take->why = ngx_http_conduit_apart(ngx_http_conduit_embedded_begin,
                                           embedded, take->buf,
                                           sizeof(take->buf));

        if (take->why == NULL
            && embedded->load(embedded->cdmcf, embedded->log) != NGX_OK)
        {
            take->why = "its tasks cannot be loaded";
        }

        if (take->why == NULL) {
            sh->loading = 0;
        }
    }

    ngx_http_conduit_journal_unlock(&journal->fold);
}


static void
ngx_http_conduit_takeover_done(void *ctx)
{
    ngx_http_conduit_takeover_t  *take = ctx;

    ngx_http_conduit_embedded_t  *embedded;

    embedded = take->embedded;
    embedded->folding = 0;

    if (take->why == NULL) {
        ngx_http_conduit_embedded_open(embedded);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, embedded->log, 0,
                  "conduit_store \"%V\" cannot be taken over, requests are "
                  "refused until nginx starts anew: %s", &embedded->path,
                  take->why);
}
