
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_provider.h"
#include "conduit_sandbox.h"


static int conduit_provider_scheme(const conduit_str_t *location);
static size_t conduit_provider_folder(const conduit_link_t *link,
    const conduit_str_t *location);
static uint64_t conduit_provider_longer(uint64_t ms, int64_t after);


/* the longest pause between polls without news, ms */

#define CONDUIT_PROVIDER_HOLD  64000


conduit_provider_t *
conduit_provider_create(const conduit_pool_t *pool, const conduit_str_t *name)
{
    conduit_pool_t       own;
    conduit_provider_t  *p;

    own = *pool;

    p = conduit_pool_zalloc(&own, sizeof(conduit_provider_t));
    if (p == NULL) {
        return NULL;
    }

    p->pool = own;
    p->name = *name;

    p->connect_timeout = 3000;
    p->submit_timeout = 30000;
    p->read_timeout = 30000;
    p->download_timeout = 300000;
    p->lease = 60000;
    p->duration = CONDUIT_SANDBOX_DURATION;

    p->every = 5000;
    p->progress_scale = 1;
    p->status_other = CONDUIT_STATE_PROCESSING;
    p->cancel_when = 1u << CONDUIT_STATE_QUEUED
                     | 1u << CONDUIT_STATE_PROCESSING;

    return p;
}


void *
conduit_list_push(conduit_pool_t *pool, conduit_list_t *list, size_t size)
{
    void      *elts;
    unsigned   max;

    if (list->n == list->max) {

        /* pools do not free, doubling keeps what is left behind small */

        max = list->max ? list->max * 2 : 4;

        elts = conduit_pool_zalloc(pool, max * size);
        if (elts == NULL) {
            return NULL;
        }

        if (list->n) {
            memcpy(elts, list->elts, list->n * size);
        }

        list->elts = elts;
        list->max = max;
    }

    return (char *) list->elts + size * list->n++;
}


void
conduit_verdict_init(conduit_verdict_t *verdict)
{
    memset(verdict, 0, sizeof(conduit_verdict_t));

    verdict->progress = -1;
    verdict->eta = -1;
    verdict->after = -1;
}


void
conduit_verdict_free(conduit_verdict_t *verdict)
{
    json_decref(verdict->doc);
    verdict->doc = NULL;
}


void
conduit_verdict_fail(conduit_verdict_t *verdict, conduit_error_code_e code)
{
    verdict->state = CONDUIT_STATE_FAILED;
    verdict->code = code;
    verdict->message = *conduit_error_sentence(code);
}


void
conduit_provider_failure(const conduit_provider_t *p, conduit_step_e step,
    unsigned sent, conduit_verdict_t *verdict)
{
    conduit_verdict_init(verdict);
    conduit_verdict_fail(verdict, CONDUIT_ERR_PROVIDER_UNAVAILABLE);

    if (step != CONDUIT_STEP_SUBMIT) {
        verdict->state = CONDUIT_STATE_HOLD;
        return;
    }

    if (!sent) {
        verdict->state = CONDUIT_STATE_RETRY;
        return;
    }

    /* it may run there and be billed, so only a key makes asking again safe */

    conduit_verdict_fail(verdict, CONDUIT_ERR_PROVIDER_UNKNOWN);

    if (p->idempotency.len) {
        verdict->state = CONDUIT_STATE_RETRY;
    }
}


int
conduit_provider_allowed(const conduit_provider_t *p, const conduit_str_t *url)
{
    conduit_link_t  link;

    if (conduit_link_parse(url, &link) != CONDUIT_OK) {
        return 0;
    }

    if (p->base.tls && !link.tls) {
        return 0;
    }

    return conduit_link_listed(p->hosts.elts, p->hosts.n, &link.host);
}


int
conduit_provider_redirect(const conduit_provider_t *p, conduit_pool_t *pool,
    const conduit_str_t *from, const conduit_str_t *location,
    conduit_str_t *url)
{
    size_t          head;
    conduit_link_t  link;

    head = 0;

    if (conduit_link_parse(location, &link) != CONDUIT_OK) {

        if (conduit_link_parse(from, &link) != CONDUIT_OK
            || location->len == 0 || location->len > CONDUIT_LINK_MAX
            || conduit_provider_scheme(location)
            || (location->len > 1 && location->data[0] == '/'
                && location->data[1] == '/'))
        {
            return CONDUIT_DECLINED;
        }

        head = conduit_provider_folder(&link, location);
    }

    /* both may be gone with the reply, so even an absolute one is copied */

    url->data = pool->alloc(pool->data, head + location->len + 1);
    if (url->data == NULL) {
        return CONDUIT_ERROR;
    }

    memcpy(url->data, from->data, head);
    memcpy(url->data + head, location->data, location->len);
    url->len = head + location->len;
    url->data[url->len] = '\0';

    return conduit_provider_allowed(p, url) ? CONDUIT_OK : CONDUIT_DECLINED;
}


/* a URL of another scheme, or one that is no URL at all, is not relative */

static int
conduit_provider_scheme(const conduit_str_t *location)
{
    size_t  i;

    for (i = 0; i < location->len; i++) {

        switch (location->data[i]) {

        case ':':
            return 1;

        case '/':
        case '?':
        case '#':
            return 0;

        default:
            break;
        }
    }

    return 0;
}


/* how much of a URL stays in front of a relative reference */

static size_t
conduit_provider_folder(const conduit_link_t *link,
    const conduit_str_t *location)
{
    u_char  *p;

    if (location->data[0] == '/') {
        return link->origin.len;
    }

    p = memchr(link->rest.data, '?', link->rest.len);

    if (p == NULL) {
        p = link->rest.data + link->rest.len;
    }

    while (p > link->rest.data && p[-1] != '/') {
        p--;
    }

    return link->origin.len + (size_t) (p - link->rest.data);
}


uint64_t
conduit_provider_interval(const conduit_provider_t *p, unsigned n,
    unsigned hold, int64_t after)
{
    double    ms, max;
    unsigned  i;

    if (n == 0 && hold == 0) {
        return conduit_provider_longer(p->first ? p->first : p->every, after);
    }

    /* without max= the interval stays what it is */

    ms = (double) p->every;
    max = (double) (p->every_max ? p->every_max : p->every);

    for (i = 1; i < n && ms < max; i++) {
        ms *= p->factor >= 1 ? p->factor : 1.5;
    }

    if (ms > max) {
        ms = max;
    }

    for (i = 0; i < hold && ms < CONDUIT_PROVIDER_HOLD; i++) {
        ms *= 2;
    }

    if (hold && ms > CONDUIT_PROVIDER_HOLD && max < CONDUIT_PROVIDER_HOLD) {
        ms = CONDUIT_PROVIDER_HOLD;
    }

    return conduit_provider_longer((uint64_t) ms, after);
}


uint64_t
conduit_provider_backoff(unsigned n, uint32_t random, int64_t after)
{
    uint64_t  ms;

    n = (n == 0) ? 0 : (n > 7) ? 6 : n - 1;
    ms = (uint64_t) 1000 << n;

    /* 80 % and up to 40 % more */

    ms = ms * 8 / 10 + (ms * 4 / 10) * (random & 0xffff) / 0xffff;

    return conduit_provider_longer(ms, after);
}


static uint64_t
conduit_provider_longer(uint64_t ms, int64_t after)
{
    return (after > 0 && (uint64_t) after > ms) ? (uint64_t) after : ms;
}


int
conduit_provider_fallback(conduit_error_code_e code)
{
    switch (code) {

    case CONDUIT_ERR_PROVIDER_AUTH:
    case CONDUIT_ERR_PROVIDER_QUOTA:
    case CONDUIT_ERR_PROVIDER_UNAVAILABLE:
    case CONDUIT_ERR_RATE_LIMITED:
    case CONDUIT_ERR_UNSUPPORTED_MODEL:
        return 1;

    default:
        return 0;
    }
}
