
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Requests to a provider. */


#include "conduit_provider_value.h"
#include "conduit_provider_parse.h"
#include "conduit_pointer.h"


static const conduit_request_t *conduit_build_request(
    const conduit_provider_t *p, conduit_step_e step);
static uint64_t conduit_build_timeout(const conduit_provider_t *p,
    conduit_step_e step);
static int conduit_build_url(conduit_build_t *b, const conduit_template_t *t,
    conduit_str_t *url);
static int conduit_build_join(conduit_pool_t *pool, const conduit_str_t *head,
    const conduit_str_t *tail, conduit_str_t *text);
static int conduit_build_refuse(conduit_build_t *b);
static int conduit_build_headers(conduit_build_t *b, conduit_call_t *call,
    conduit_step_e step, const conduit_request_t *request);
static int conduit_build_auth(conduit_build_t *b, conduit_call_t *call);
static int conduit_build_secret(void *data, const conduit_str_t *name,
    conduit_str_t *value);
static int conduit_build_query(conduit_build_t *b, conduit_str_t *url);
static int conduit_build_header(conduit_build_t *b, conduit_call_t *call,
    const conduit_str_t *name, const conduit_str_t *value);


int
conduit_provider_call(const conduit_provider_t *p, conduit_pool_t *pool,
    conduit_step_e step, const conduit_job_t *job, conduit_call_t *call,
    conduit_verdict_t *verdict)
{
    int                       rc;
    conduit_build_t           b;
    const conduit_request_t  *request;

    memset(call, 0, sizeof(conduit_call_t));
    conduit_verdict_init(verdict);

    b.provider = p;
    b.pool = pool;
    b.job = job;
    b.verdict = verdict;

    request = conduit_build_request(p, step);

    if (!request->set) {
        return conduit_build_refuse(&b);
    }

    call->method = request->method;
    call->timeout = conduit_build_timeout(p, step);
    call->once = (step == CONDUIT_STEP_SUBMIT);

    rc = conduit_build_url(&b, &request->url, &call->url);
    if (rc != CONDUIT_OK) {
        return rc;
    }

    if (request->encoding != CONDUIT_BODY_NONE) {

        call->has_body = 1;

        rc = conduit_build_body(&b, request, step == CONDUIT_STEP_SUBMIT,
                                &call->body);
        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    return conduit_build_headers(&b, call, step, request);
}


static const conduit_request_t *
conduit_build_request(const conduit_provider_t *p, conduit_step_e step)
{
    switch (step) {

    case CONDUIT_STEP_POLL:
        return &p->poll;

    case CONDUIT_STEP_FETCH:
        return &p->fetch;

    case CONDUIT_STEP_DOWNLOAD:
        return &p->download;

    case CONDUIT_STEP_CANCEL:
        return &p->cancel;

    case CONDUIT_STEP_SIDE:
        return &p->side;

    default:
        return &p->submit;
    }
}


static uint64_t
conduit_build_timeout(const conduit_provider_t *p, conduit_step_e step)
{
    switch (step) {

    case CONDUIT_STEP_SUBMIT:
        return p->submit_timeout;

    case CONDUIT_STEP_DOWNLOAD:
        return p->download_timeout;

    default:
        return p->read_timeout;
    }
}


static int
conduit_build_url(conduit_build_t *b, const conduit_template_t *t,
    conduit_str_t *url)
{
    int                        rc;
    conduit_str_t              text;
    const conduit_provider_t  *p;

    p = b->provider;

    rc = conduit_template_expand(b->pool, t, CONDUIT_TEMPLATE_URL,
                                 conduit_job_value, (void *) b->job, &text);

    if (rc != CONDUIT_OK) {
        return (rc == CONDUIT_DECLINED) ? conduit_build_refuse(b) : rc;
    }

    *url = text;

    if (text.len && text.data[0] == '/') {

        rc = conduit_build_join(b->pool, &p->base_text, &text, url);
        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    /* ids come from outside: none may climb out of its place in the path */

    if (!conduit_provider_allowed(p, url) || conduit_link_dotted(&text)) {
        return conduit_build_refuse(b);
    }

    return CONDUIT_OK;
}


static int
conduit_build_join(conduit_pool_t *pool, const conduit_str_t *head,
    const conduit_str_t *tail, conduit_str_t *text)
{
    text->len = head->len + tail->len;
    text->data = pool->alloc(pool->data, text->len + 1);

    if (text->data == NULL) {
        return CONDUIT_ERROR;
    }

    memcpy(text->data, head->data, head->len);
    memcpy(text->data + head->len, tail->data, tail->len);
    text->data[text->len] = '\0';

    return CONDUIT_OK;
}


/* the provider has given us something that cannot be asked for */

static int
conduit_build_refuse(conduit_build_t *b)
{
    conduit_verdict_fail(b->verdict, CONDUIT_ERR_PROVIDER_ERROR);

    return CONDUIT_DECLINED;
}


static int
conduit_build_headers(conduit_build_t *b, conduit_call_t *call,
    conduit_step_e step, const conduit_request_t *request)
{
    unsigned                   i;
    conduit_pair_t            *header;
    const conduit_str_t       *type;
    const conduit_provider_t  *p;

    static const conduit_str_t  name = { 12, (u_char *) "Content-Type" };
    static const conduit_str_t  json = { 16, (u_char *) "application/json" };
    static const conduit_str_t  form = {
        33, (u_char *) "application/x-www-form-urlencoded"
    };

    p = b->provider;

    if (step == CONDUIT_STEP_DOWNLOAD && !p->download_auth) {
        return CONDUIT_OK;
    }

    if (call->has_body) {

        type = (request->encoding == CONDUIT_BODY_FORM) ? &form : &json;

        if (conduit_build_header(b, call, &name, type) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }
    }

    header = p->headers.elts;

    for (i = 0; i < p->headers.n; i++) {

        if (conduit_build_header(b, call, &header[i].name, &header[i].value)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    if (step == CONDUIT_STEP_SUBMIT && p->idempotency.len
        && conduit_build_header(b, call, &p->idempotency,
                                &b->job->idempotency)
           != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    return conduit_build_auth(b, call);
}


static int
conduit_build_auth(conduit_build_t *b, conduit_call_t *call)
{
    conduit_str_t              value;
    const conduit_provider_t  *p;

    p = b->provider;

    switch (p->auth) {

    case CONDUIT_AUTH_HEADER:

        if (conduit_template_expand(b->pool, &p->auth_format,
                                    CONDUIT_TEMPLATE_PLAIN,
                                    conduit_build_secret, (void *) p, &value)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }

        return conduit_build_header(b, call, &p->auth_name, &value);

    case CONDUIT_AUTH_QUERY:
        return conduit_build_query(b, &call->url);

    default:
        return CONDUIT_OK;
    }
}


static int
conduit_build_secret(void *data, const conduit_str_t *name,
    conduit_str_t *value)
{
    const conduit_provider_t  *p = data;

    *value = p->secret;

    return CONDUIT_OK;
}


static int
conduit_build_query(conduit_build_t *b, conduit_str_t *url)
{
    size_t                     len;
    u_char                    *p;
    conduit_str_t              text;
    const conduit_provider_t  *provider;

    provider = b->provider;

    len = conduit_link_escape(NULL, provider->secret.data,
                              provider->secret.len, 0);

    text.data = b->pool->alloc(b->pool->data, url->len + len
                               + provider->auth_name.len + 3);
    if (text.data == NULL) {
        return CONDUIT_ERROR;
    }

    p = text.data;

    memcpy(p, url->data, url->len);
    p += url->len;

    *p++ = memchr(url->data, '?', url->len) ? '&' : '?';

    memcpy(p, provider->auth_name.data, provider->auth_name.len);
    p += provider->auth_name.len;

    *p++ = '=';

    p += conduit_link_escape(p, provider->secret.data, provider->secret.len,
                             0);
    *p = '\0';

    text.len = (size_t) (p - text.data);
    *url = text;

    return CONDUIT_OK;
}


static int
conduit_build_header(conduit_build_t *b, conduit_call_t *call,
    const conduit_str_t *name, const conduit_str_t *value)
{
    conduit_pair_t  *header;

    header = conduit_list_push(b->pool, &call->headers,
                               sizeof(conduit_pair_t));
    if (header == NULL) {
        return CONDUIT_ERROR;
    }

    header->name = *name;
    header->value = *value;

    return CONDUIT_OK;
}
