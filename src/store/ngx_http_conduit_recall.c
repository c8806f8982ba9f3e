
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_conduit_thread.h>
#include <ngx_http_conduit_embedded.h>


/*
 * What is kept of one task: a thread folds the journal, so that all of it is in
 * the tables, and copies what is there.
 */


typedef struct ngx_http_conduit_recalled_s  ngx_http_conduit_recalled_t;

struct ngx_http_conduit_recalled_s {
    ngx_http_conduit_recalled_t      *next;
    ngx_str_t                         key;
    ngx_str_t                         value;
    ngx_str_t                         state;
};

typedef struct {
    ngx_http_conduit_embedded_t      *embedded;
    uint64_t                          number;
    int64_t                           now;
    ngx_http_conduit_recalled_t      *first;
    ngx_http_conduit_recalled_t     **last;
    ngx_int_t                         rc;
    ngx_http_conduit_store_each_pt    each;
    ngx_http_conduit_store_pt         handler;
    void                             *data;
} ngx_http_conduit_recalling_t;


static void ngx_http_conduit_recall_read(void *ctx);
static ngx_int_t ngx_http_conduit_recall_copy(void *data, ngx_str_t *key,
    ngx_str_t *value, ngx_str_t *state);
static u_char *ngx_http_conduit_recall_text(u_char *p, ngx_str_t *to,
    ngx_str_t *from);
static void ngx_http_conduit_recall_done(void *ctx);


ngx_int_t
ngx_http_conduit_embedded_recall(ngx_http_conduit_store_t *store,
    uint64_t number, ngx_http_conduit_store_each_pt each,
    ngx_http_conduit_store_pt handler, void *data)
{
    ngx_http_conduit_embedded_t   *embedded;
    ngx_http_conduit_recalling_t  *recall;

    embedded = (ngx_http_conduit_embedded_t *) store;

    if (embedded->db == NULL) {
        return NGX_ERROR;
    }

    recall = ngx_conduit_thread_alloc(sizeof(ngx_http_conduit_recalling_t));
    if (recall == NULL) {
        return NGX_ERROR;
    }

    recall->embedded = embedded;
    recall->number = number;
    recall->now = ngx_http_conduit_embedded_now();
    recall->last = &recall->first;
    recall->each = each;
    recall->handler = handler;
    recall->data = data;

    if (ngx_conduit_thread_post(embedded->cdmcf->threads, recall,
                                ngx_http_conduit_recall_read,
                                ngx_http_conduit_recall_done)
        != NGX_OK)
    {
        ngx_conduit_thread_free(recall);
        return NGX_ERROR;
    }

    embedded->recalls++;

    return NGX_AGAIN;
}


static void
ngx_http_conduit_recall_read(void *ctx)
{
    ngx_http_conduit_recalling_t  *recall = ctx;

    ngx_uint_t                   dead;
    const char                  *why;
    ngx_http_conduit_journal_t  *journal;

    recall->rc = NGX_ERROR;
    journal = &recall->embedded->journal;

    if (ngx_http_conduit_fold(journal, recall->embedded->db, recall->now, 1)
        != NULL)
    {
        return;
    }

    /* nobody opens the tables anew meanwhile */

    dead = ngx_http_conduit_journal_lock(&journal->sh->fold);

    if (ngx_http_conduit_fold_usable(journal, dead) == NULL) {
        recall->rc = ngx_http_conduit_lmdb_find(recall->embedded->db,
                                                recall->number,
                                                ngx_http_conduit_recall_copy,
                                                recall, &why);
    }

    ngx_http_conduit_journal_unlock(&journal->sh->fold);
}


static ngx_int_t
ngx_http_conduit_recall_copy(void *data, ngx_str_t *key, ngx_str_t *value,
    ngx_str_t *state)
{
    ngx_http_conduit_recalling_t  *recall = data;

    u_char                       *p;
    ngx_http_conduit_recalled_t  *r;

    r = malloc(sizeof(ngx_http_conduit_recalled_t) + key->len + value->len
               + state->len);
    if (r == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) (r + 1);

    p = ngx_http_conduit_recall_text(p, &r->key, key);
    p = ngx_http_conduit_recall_text(p, &r->value, value);
    ngx_http_conduit_recall_text(p, &r->state, state);

    r->next = NULL;
    *recall->last = r;
    recall->last = &r->next;

    return NGX_OK;
}


static u_char *
ngx_http_conduit_recall_text(u_char *p, ngx_str_t *to, ngx_str_t *from)
{
    to->data = p;
    to->len = from->len;

    return from->len ? ngx_cpymem(p, from->data, from->len) : p;
}


static void
ngx_http_conduit_recall_done(void *ctx)
{
    ngx_http_conduit_recalling_t  *recall = ctx;

    ngx_int_t                     rc;
    ngx_http_conduit_recalled_t  *r, *next;

    rc = recall->rc;
    recall->embedded->recalls--;

    for (r = recall->first; r; r = next) {
        next = r->next;

        if (rc == NGX_OK) {
            rc = ngx_http_conduit_embedded_record(&r->key, &r->value,
                                                  &r->state, recall->each,
                                                  recall->data);
        }

        free(r);
    }

    recall->handler(recall->data, rc);
}
