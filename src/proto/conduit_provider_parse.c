
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_provider_parse.h"
#include "conduit_pointer.h"


typedef int (*conduit_directive_pt)(conduit_parse_t *ps);


typedef struct {
    const char            *name;
    conduit_block_e        block;
    conduit_block_e        inner;
    unsigned               min;         /* arguments, the name not counted */
    unsigned               max;
    unsigned               once:1;
    conduit_directive_pt   handler;
} conduit_directive_t;


static const conduit_directive_t *conduit_parse_find(conduit_parse_t *ps);
static int conduit_parse_entry(conduit_parse_t *ps);
static int conduit_parse_count(conduit_parse_t *ps,
    const conduit_directive_t *d);
static int conduit_parse_later(conduit_parse_t *ps);
static int conduit_parse_kind(conduit_parse_t *ps);
static int conduit_parse_type(conduit_parse_t *ps);
static int conduit_parse_map(conduit_parse_t *ps);
static int conduit_parse_limit(conduit_parse_t *ps);
static int conduit_parse_timeout(conduit_parse_t *ps);
static int conduit_parse_lease(conduit_parse_t *ps);
static int conduit_parse_duration(conduit_parse_t *ps);
static int conduit_parse_status(conduit_parse_t *ps);
static int conduit_parse_fail_if(conduit_parse_t *ps);
static int conduit_parse_complete_if(conduit_parse_t *ps);
static int conduit_parse_error_rule(conduit_parse_t *ps);
static int conduit_parse_error_map(conduit_parse_t *ps);


#define PROVIDER   CONDUIT_BLOCK_PROVIDER
#define SUBMIT     CONDUIT_BLOCK_SUBMIT
#define POLL       CONDUIT_BLOCK_POLL
#define FETCH      CONDUIT_BLOCK_FETCH
#define MAP        CONDUIT_BLOCK_MAP
#define STATUS     CONDUIT_BLOCK_STATUS
#define ERROR_MAP  CONDUIT_BLOCK_ERROR_MAP
#define MANY       64


/* the index of a directive of the outer block is its bit in "seen" */

static const conduit_directive_t  conduit_directives[] = {
    { "kind",        PROVIDER, PROVIDER,  1, 2, 1, conduit_parse_kind },
    { "type",        PROVIDER, PROVIDER,  1, 1, 1, conduit_parse_type },
    { "limit",       PROVIDER, PROVIDER,  1, 3, 0, conduit_parse_limit },
    { "lease",       PROVIDER, PROVIDER,  1, 1, 1, conduit_parse_lease },
    { "duration",    PROVIDER, PROVIDER,  1, 1, 1, conduit_parse_duration },
    { "base",        PROVIDER, PROVIDER,  1, 1, 1, conduit_parse_base },
    { "hosts",       PROVIDER, PROVIDER,  1, MANY, 0, conduit_parse_hosts },
    { "secret",      PROVIDER, PROVIDER,  1, MANY, 0, conduit_parse_secret },
    { "auth",        PROVIDER, PROVIDER,  1, MANY, 1, conduit_parse_auth },
    { "header",      PROVIDER, PROVIDER,  2, 2, 0, conduit_parse_header },
    { "map",         PROVIDER, MAP,       1, 1, 0, conduit_parse_map },
    { "timeout",     PROVIDER, PROVIDER,  1, 4, 0, conduit_parse_timeout },
    { "submit",      PROVIDER, SUBMIT,    2, 4, 1, conduit_parse_submit },
    { "poll",        PROVIDER, POLL,      2, 3, 1, conduit_parse_poll },
    { "status",      PROVIDER, STATUS,    1, 1, 1, conduit_parse_status },
    { "complete_if", PROVIDER, PROVIDER,  2, 3, 0, conduit_parse_complete_if },
    { "fail_if",     PROVIDER, PROVIDER,  2, 4, 0, conduit_parse_fail_if },
    { "progress",    PROVIDER, PROVIDER,  1, 7, 1, conduit_parse_progress },
    { "fetch",       PROVIDER, FETCH,     2, 3, 1, conduit_parse_fetch },
    { "result",      PROVIDER, PROVIDER,  2, MANY, 0, conduit_parse_result },
    { "error",       PROVIDER, PROVIDER,  2, MANY, 0,
      conduit_parse_error_rule },
    { "error_map",   PROVIDER, ERROR_MAP, 0, 0, 0, conduit_parse_error_map },
    { "cancel",      PROVIDER, PROVIDER,  2, 6, 1, conduit_parse_cancel },
    { "trusted_certificate", PROVIDER, PROVIDER, 1, 1, 1,
      conduit_parse_certificate },
    { "callback",    PROVIDER, PROVIDER,  0, MANY, 0, conduit_parse_later },

    { "document",    SUBMIT,   SUBMIT,    0, MANY, 0, conduit_parse_later },
    { "stream",      SUBMIT,   SUBMIT,    0, MANY, 0, conduit_parse_later },
    { "field",       SUBMIT,   SUBMIT,    2, 8, 0, conduit_parse_field },
    { "extra",       SUBMIT,   SUBMIT,    2, 3, 0, conduit_parse_extra },
    { "accept",      SUBMIT,   SUBMIT,    1, MANY, 0, conduit_parse_accept },
    { "ok",          SUBMIT,   SUBMIT,    2, 3, 0, conduit_parse_ok },
    { "take",        SUBMIT,   SUBMIT,    2, MANY, 0, conduit_parse_take },
    { "idempotency", SUBMIT,   SUBMIT,    2, 2, 0, conduit_parse_idempotency },

    { "field",       POLL,     POLL,      2, 8, 0, conduit_parse_field },
    { "every",       POLL,     POLL,      1, 4, 0, conduit_parse_every },
    { "deadline",    POLL,     POLL,      1, 1, 0, conduit_parse_deadline },
    { "http",        POLL,     POLL,      2, 3, 0, conduit_parse_http },
    { "empty",       POLL,     POLL,      2, 2, 0, conduit_parse_empty },
    { "ok",          POLL,     POLL,      2, 3, 0, conduit_parse_ok },
    { "take",        POLL,     POLL,      2, MANY, 0, conduit_parse_take },

    { "field",       FETCH,    FETCH,     2, 8, 0, conduit_parse_field },
    { "ok",          FETCH,    FETCH,     2, 3, 0, conduit_parse_ok },
    { "take",        FETCH,    FETCH,     2, MANY, 0, conduit_parse_take },
    { "result",      FETCH,    FETCH,     2, MANY, 0, conduit_parse_result },

    { NULL,          PROVIDER, PROVIDER,  0, 0, 0, NULL }
};


int
conduit_provider_directive(conduit_provider_t *p, conduit_block_e block,
    const conduit_str_t *args, unsigned n, conduit_block_e *inner,
    char error[CONDUIT_PROVIDER_ERROR])
{
    uint32_t                    bit;
    conduit_parse_t             ps;
    const conduit_directive_t  *d;

    ps.provider = p;
    ps.block = block;
    ps.args = args;
    ps.n = n;
    ps.error = error;

    *inner = block;

    if (block == MAP || block == STATUS || block == ERROR_MAP) {
        return conduit_parse_entry(&ps);
    }

    d = conduit_parse_find(&ps);

    if (d == NULL) {
        return conduit_parse_error(&ps, "is unknown here");
    }

    if (conduit_parse_count(&ps, d) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (block == PROVIDER) {

        bit = (uint32_t) 1 << (d - conduit_directives);

        if (d->once && (p->seen & bit)) {
            return conduit_parse_error(&ps, "is duplicate");
        }

        p->seen |= bit;
    }

    *inner = d->inner;

    return d->handler(&ps);
}


static const conduit_directive_t *
conduit_parse_find(conduit_parse_t *ps)
{
    const conduit_directive_t  *d;

    for (d = conduit_directives; d->name; d++) {

        if (d->block == ps->block && conduit_parse_is(&ps->args[0], d->name)) {
            return d;
        }
    }

    return NULL;
}


static int
conduit_parse_entry(conduit_parse_t *ps)
{
    if (ps->block == MAP) {
        return conduit_parse_map_entry(ps);
    }

    if (ps->block == STATUS) {
        return conduit_parse_status_entry(ps);
    }

    return conduit_parse_error_entry(ps);
}


static int
conduit_parse_count(conduit_parse_t *ps, const conduit_directive_t *d)
{
    if (d->handler == conduit_parse_later) {
        return CONDUIT_OK;
    }

    if (ps->n - 1 < d->min) {
        return conduit_parse_error(ps, "needs at least %u argument%s", d->min,
                                   d->min == 1 ? "" : "s");
    }

    if (ps->n - 1 > d->max) {
        return conduit_parse_error(ps, "has too many arguments, at most %u"
                                   " are possible", d->max);
    }

    return CONDUIT_OK;
}


static int
conduit_parse_later(conduit_parse_t *ps)
{
    return conduit_parse_error(ps, "is not supported yet");
}


static int
conduit_parse_kind(conduit_parse_t *ps)
{
    unsigned        i;
    conduit_kind_e  kind;

    ps->provider->kinds = 0;

    for (i = 1; i < ps->n; i++) {

        if (conduit_kind_parse(ps->args[i].data, ps->args[i].len, &kind)
            != CONDUIT_OK)
        {
            return conduit_parse_error(ps, "has the unknown kind \"%.*s\","
                                       " it must be \"image\" or \"video\"",
                                       (int) ps->args[i].len,
                                       ps->args[i].data);
        }

        ps->provider->kinds |= 1u << kind;
    }

    return CONDUIT_OK;
}


static int
conduit_parse_type(conduit_parse_t *ps)
{
    if (conduit_parse_is(&ps->args[1], "sandbox")) {
        ps->provider->type = CONDUIT_TYPE_SANDBOX;
        return CONDUIT_OK;
    }

    if (conduit_parse_is(&ps->args[1], "worker")) {
        ps->provider->type = CONDUIT_TYPE_WORKER;
        return CONDUIT_OK;
    }

    return conduit_parse_error(ps, "must be \"sandbox\" or \"worker\";"
                               " without it the block describes a provider");
}


static int
conduit_parse_map(conduit_parse_t *ps)
{
    unsigned        i;
    conduit_map_t  *map;

    map = ps->provider->maps.elts;

    for (i = 0; i < ps->provider->maps.n; i++) {

        if (conduit_str_equal(&map[i].name, &ps->args[1])) {
            return conduit_parse_error(ps, "\"%.*s\" is duplicate",
                                       (int) ps->args[1].len,
                                       ps->args[1].data);
        }
    }

    map = conduit_list_push(&ps->provider->pool, &ps->provider->maps,
                            sizeof(conduit_map_t));
    if (map == NULL) {
        return conduit_parse_nomem(ps);
    }

    map->name = ps->args[1];
    map->pass = 1;

    return CONDUIT_OK;
}


static int
conduit_parse_limit(conduit_parse_t *ps)
{
    unsigned             i, *number;
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    for (i = 1; i < ps->n; i++) {

        if (conduit_parse_option(&ps->args[i], "rpm", &value)) {
            number = &p->rpm;

        } else if (conduit_parse_option(&ps->args[i], "concurrency", &value)) {
            number = &p->concurrency;

        } else if (conduit_parse_option(&ps->args[i], "queue", &value)) {
            number = &p->queue;

        } else {
            return conduit_parse_error(ps, "must be \"rpm=N\","
                                       " \"concurrency=N\" or \"queue=N\"");
        }

        if (conduit_parse_number(ps, &value, 1, 1000000, number)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_parse_timeout(conduit_parse_t *ps)
{
    unsigned             i;
    uint64_t            *ms;
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    for (i = 1; i < ps->n; i++) {

        if (conduit_parse_option(&ps->args[i], "connect", &value)) {
            ms = &p->connect_timeout;

        } else if (conduit_parse_option(&ps->args[i], "submit", &value)) {
            ms = &p->submit_timeout;

        } else if (conduit_parse_option(&ps->args[i], "read", &value)) {
            ms = &p->read_timeout;

        } else if (conduit_parse_option(&ps->args[i], "download", &value)) {
            ms = &p->download_timeout;

        } else {
            return conduit_parse_error(ps, "must be \"connect=TIME\","
                                       " \"submit=TIME\", \"read=TIME\" or"
                                       " \"download=TIME\"");
        }

        if (conduit_parse_time(ps, &value, ms) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_parse_lease(conduit_parse_t *ps)
{
    if (conduit_parse_time(ps, &ps->args[1], &ps->provider->lease)
        != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (ps->provider->lease < 1000) {
        return conduit_parse_error(ps, "must be at least 1s");
    }

    return CONDUIT_OK;
}


static int
conduit_parse_duration(conduit_parse_t *ps)
{
    return conduit_parse_time(ps, &ps->args[1], &ps->provider->duration);
}


static int
conduit_parse_status(conduit_parse_t *ps)
{
    return conduit_parse_template(ps, &ps->args[1], &ps->provider->status);
}


static int
conduit_parse_fail_if(conduit_parse_t *ps)
{
    return conduit_parse_rule(ps, &ps->provider->fail_if, 1);
}


static int
conduit_parse_complete_if(conduit_parse_t *ps)
{
    return conduit_parse_rule(ps, &ps->provider->complete_if, 0);
}


static int
conduit_parse_error_rule(conduit_parse_t *ps)
{
    unsigned             i;
    conduit_list_t      *list;
    conduit_template_t  *t;

    if (conduit_parse_is(&ps->args[1], "message")) {
        list = &ps->provider->error_message;

    } else if (conduit_parse_is(&ps->args[1], "code")) {
        list = &ps->provider->error_code;

    } else {
        return conduit_parse_error(ps, "must be \"message POINTER ...\" or"
                                   " \"code POINTER ...\"");
    }

    for (i = 2; i < ps->n; i++) {

        t = conduit_list_push(&ps->provider->pool, list,
                              sizeof(conduit_template_t));
        if (t == NULL) {
            return conduit_parse_nomem(ps);
        }

        if (conduit_parse_pointer(ps, &ps->args[i]) != CONDUIT_OK
            || conduit_parse_template(ps, &ps->args[i], t) != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_parse_error_map(conduit_parse_t *ps)
{
    return CONDUIT_OK;
}
