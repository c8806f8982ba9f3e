
/*
 * Copyright (C) Conduit for nginx authors
 */


/* What a reply means: the order of the rules, step by step. */


#include "conduit_provider_judge.h"
#include "conduit_provider_parse.h"
#include "conduit_pointer.h"


static int conduit_judge_submit(conduit_judge_t *j);
static int conduit_judge_poll(conduit_judge_t *j);
static int conduit_judge_fetch(conduit_judge_t *j);
static int conduit_judge_download(conduit_judge_t *j);
static int conduit_judge_cancel(conduit_judge_t *j);
static int conduit_judge_side(conduit_judge_t *j);
static int conduit_judge_accepted(conduit_judge_t *j);
static int conduit_judge_http(conduit_judge_t *j);
static int conduit_judge_state(conduit_judge_t *j, conduit_state_e state,
    conduit_error_code_e code);
static int conduit_judge_unreadable(conduit_judge_t *j);
static int conduit_judge_empty(conduit_judge_t *j);
static int conduit_judge_ok(conduit_judge_t *j, const conduit_list_t *rules);
static int conduit_judge_fail_if(conduit_judge_t *j);
static int conduit_judge_complete_if(conduit_judge_t *j);
static int conduit_judge_status(conduit_judge_t *j);
static int conduit_judge_completed(conduit_judge_t *j);
static int conduit_judge_ends(conduit_judge_t *j,
    const conduit_list_t *first, const conduit_list_t *second);
static int conduit_judge_rule(conduit_judge_t *j, const conduit_rule_t *rule,
    int *holds);
static int conduit_judge_compare(const conduit_rule_t *rule, json_t *value);
static int conduit_judge_number(const conduit_rule_t *rule, json_t *value);


int
conduit_provider_reply(const conduit_provider_t *p, conduit_pool_t *pool,
    conduit_step_e step, conduit_job_t *job, const conduit_reply_t *reply,
    conduit_verdict_t *verdict)
{
    conduit_judge_t  j;

    conduit_verdict_init(verdict);

    j.provider = p;
    j.pool = pool;
    j.step = step;
    j.job = job;
    j.reply = reply;
    j.verdict = verdict;
    j.doc = NULL;

    verdict->after = conduit_retry_after(reply);

    if (step != CONDUIT_STEP_DOWNLOAD && step != CONDUIT_STEP_CANCEL
        && reply->body.len)
    {
        j.doc = json_loadb((char *) reply->body.data, reply->body.len, 0,
                           NULL);
        verdict->doc = j.doc;
    }

    switch (step) {

    case CONDUIT_STEP_SUBMIT:
        return conduit_judge_submit(&j);

    case CONDUIT_STEP_POLL:
        return conduit_judge_poll(&j);

    case CONDUIT_STEP_FETCH:
        return conduit_judge_fetch(&j);

    case CONDUIT_STEP_DOWNLOAD:
        return conduit_judge_download(&j);

    case CONDUIT_STEP_CANCEL:
        return conduit_judge_cancel(&j);

    default:
        return conduit_judge_side(&j);
    }
}


static int
conduit_judge_submit(conduit_judge_t *j)
{
    int                        rc;
    const conduit_provider_t  *p;

    p = j->provider;

    if (!conduit_judge_accepted(j)) {
        return conduit_judge_failure(j, CONDUIT_ERR_NONE);
    }

    if (j->doc == NULL) {
        return conduit_judge_state(j, CONDUIT_STATE_FAILED,
                                   CONDUIT_ERR_PROVIDER_ERROR);
    }

    rc = conduit_judge_ok(j, &p->submit.ok);
    if (rc != CONDUIT_DECLINED) {
        return rc;
    }

    if (p->sync) {

        rc = conduit_judge_fail_if(j);
        if (rc != CONDUIT_DECLINED) {
            return rc;
        }
    }

    rc = conduit_judge_values(j, &p->submit.take, !p->sync);

    if (rc == CONDUIT_DECLINED) {
        return conduit_judge_failure(j, CONDUIT_ERR_NONE);
    }

    if (rc != CONDUIT_OK) {
        return rc;
    }

    if (p->sync) {
        return conduit_judge_completed(j);
    }

    j->verdict->state = CONDUIT_STATE_QUEUED;

    return CONDUIT_OK;
}


static int
conduit_judge_accepted(conduit_judge_t *j)
{
    unsigned  i, *status;

    status = j->provider->accept.elts;

    for (i = 0; i < j->provider->accept.n; i++) {

        if (status[i] == j->reply->status) {
            return 1;
        }
    }

    return j->provider->accept.n == 0 && j->reply->status >= 200
           && j->reply->status <= 202;
}


static int
conduit_judge_poll(conduit_judge_t *j)
{
    int            rc;
    double         ms;
    conduit_str_t  value;

    if (j->verdict->after < 0 && j->reply->header
        && j->reply->header(j->reply->data, "openai-poll-after-ms", &value)
           == CONDUIT_OK
        && conduit_parse_real(&value, &ms) == CONDUIT_OK
        && ms >= 0 && ms < 86400 * 1000)
    {
        j->verdict->after = (int64_t) ms;
    }

    rc = conduit_judge_http(j);
    if (rc != CONDUIT_DECLINED) {
        return rc;
    }

    rc = conduit_judge_empty(j);
    if (rc != CONDUIT_DECLINED) {
        return rc;
    }

    if (j->doc == NULL) {
        return conduit_judge_unreadable(j);
    }

    rc = conduit_judge_ok(j, &j->provider->poll.ok);
    if (rc != CONDUIT_DECLINED) {
        return rc;
    }

    rc = conduit_judge_fail_if(j);
    if (rc != CONDUIT_DECLINED) {
        return rc;
    }

    rc = conduit_judge_complete_if(j);
    if (rc != CONDUIT_DECLINED) {
        return rc;
    }

    return conduit_judge_status(j);
}


/* the rules for HTTP statuses; CONDUIT_DECLINED: go on with the document */

static int
conduit_judge_http(conduit_judge_t *j)
{
    unsigned              i;
    conduit_http_rule_t  *rule;

    rule = j->provider->http.elts;

    for (i = 0; i < j->provider->http.n; i++) {

        if (rule[i].status != j->reply->status
            || (rule[i].grace && j->job->elapsed >= rule[i].grace))
        {
            continue;
        }

        return conduit_judge_state(j, rule[i].state, CONDUIT_ERR_NONE);
    }

    if (j->reply->status < 200 || j->reply->status > 299) {
        return conduit_judge_failure(j, CONDUIT_ERR_NONE);
    }

    return CONDUIT_DECLINED;
}


static int
conduit_judge_state(conduit_judge_t *j, conduit_state_e state,
    conduit_error_code_e code)
{
    switch (state) {

    case CONDUIT_STATE_COMPLETED:
        return conduit_judge_completed(j);

    case CONDUIT_STATE_FAILED:
        return conduit_judge_failure(j, code);

    case CONDUIT_STATE_CANCELLED:
        conduit_verdict_fail(j->verdict, CONDUIT_ERR_CANCELLED);
        j->verdict->state = CONDUIT_STATE_CANCELLED;
        return CONDUIT_OK;

    case CONDUIT_STATE_HOLD:
        conduit_verdict_fail(j->verdict, CONDUIT_ERR_PROVIDER_UNAVAILABLE);
        j->verdict->state = CONDUIT_STATE_HOLD;
        return CONDUIT_OK;

    default:

        j->verdict->state = state;

        if (conduit_judge_values(j, &j->provider->poll.take, 0)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }

        return conduit_judge_progress(j);
    }
}


static int
conduit_judge_unreadable(conduit_judge_t *j)
{
    conduit_verdict_fail(j->verdict, CONDUIT_ERR_PROVIDER_ERROR);

    j->verdict->state = CONDUIT_STATE_HOLD;
    j->verdict->unreadable = 1;

    return CONDUIT_OK;
}


static int
conduit_judge_empty(conduit_judge_t *j)
{
    json_t          *value;
    unsigned         i;
    conduit_str_t    pointer;
    conduit_rule_t  *rule;

    rule = j->provider->empty.elts;

    for (i = 0; i < j->provider->empty.n; i++) {

        if (conduit_job_pointer(j->pool, &rule[i].pointer, j->job, &pointer)
            != CONDUIT_OK)
        {
            continue;
        }

        value = conduit_pointer_get(j->doc, &pointer);

        if ((value == NULL && j->doc)
            || (value == NULL && j->reply->body.len)
            || json_object_size(value) || json_array_size(value)
            || (value && !json_is_object(value) && !json_is_array(value)))
        {
            continue;
        }

        return conduit_judge_state(j, rule[i].state, CONDUIT_ERR_NONE);
    }

    return CONDUIT_DECLINED;
}


/* CONDUIT_DECLINED: all of them hold */

static int
conduit_judge_ok(conduit_judge_t *j, const conduit_list_t *rules)
{
    int              holds;
    unsigned         i;
    conduit_rule_t  *rule;

    rule = rules->elts;

    for (i = 0; i < rules->n; i++) {

        if (conduit_judge_rule(j, &rule[i], &holds) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        if (!holds) {
            return conduit_judge_failure(j, CONDUIT_ERR_NONE);
        }
    }

    return CONDUIT_DECLINED;
}


static int
conduit_judge_fail_if(conduit_judge_t *j)
{
    int              holds;
    unsigned         i;
    conduit_rule_t  *rule;

    rule = j->provider->fail_if.elts;

    for (i = 0; i < j->provider->fail_if.n; i++) {

        if (conduit_judge_rule(j, &rule[i], &holds) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        if (holds) {
            return conduit_judge_failure(j, rule[i].code);
        }
    }

    return CONDUIT_DECLINED;
}


static int
conduit_judge_complete_if(conduit_judge_t *j)
{
    int              holds;
    unsigned         i;
    conduit_rule_t  *rule;

    rule = j->provider->complete_if.elts;

    for (i = 0; i < j->provider->complete_if.n; i++) {

        if (conduit_judge_rule(j, &rule[i], &holds) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        if (holds) {
            return conduit_judge_completed(j);
        }
    }

    return CONDUIT_DECLINED;
}


static int
conduit_judge_status(conduit_judge_t *j)
{
    u_char                     buf[CONDUIT_POINTER_TEXT];
    unsigned                   i;
    conduit_str_t              pointer, text;
    const conduit_provider_t  *p;
    conduit_status_entry_t    *entry;

    p = j->provider;
    entry = p->statuses.elts;

    if (p->statuses.n == 0
        || conduit_job_pointer(j->pool, &p->status, j->job, &pointer)
           != CONDUIT_OK
        || conduit_pointer_text(conduit_pointer_get(j->doc, &pointer), buf,
                                &text)
           != CONDUIT_OK)
    {
        j->verdict->unknown = (p->statuses.n != 0);
        return conduit_judge_state(j, p->status_other, CONDUIT_ERR_NONE);
    }

    for (i = 0; i < p->statuses.n; i++) {

        if (conduit_str_equal(&entry[i].value, &text)) {
            return conduit_judge_state(j, entry[i].state, entry[i].code);
        }
    }

    j->verdict->unknown = 1;

    return conduit_judge_state(j, p->status_other, CONDUIT_ERR_NONE);
}


/* the provider is done; are the results here, or one step away? */

static int
conduit_judge_completed(conduit_judge_t *j)
{
    const conduit_provider_t  *p;

    p = j->provider;

    if (conduit_judge_values(j, &p->poll.take, 0) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (p->fetch.set) {
        j->verdict->state = CONDUIT_STATE_COMPLETED;
        j->verdict->fetch = 1;
        return CONDUIT_OK;
    }

    return conduit_judge_ends(j, &p->results, NULL);
}


static int
conduit_judge_ends(conduit_judge_t *j, const conduit_list_t *first,
    const conduit_list_t *second)
{
    if (conduit_judge_results(j, first) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (j->verdict->results.n == 0 && second
        && conduit_judge_results(j, second) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (j->verdict->results.n == 0) {

        if (!j->provider->download.set) {
            return conduit_judge_failure(j, CONDUIT_ERR_NONE);
        }

        j->verdict->download = 1;
    }

    j->verdict->state = CONDUIT_STATE_COMPLETED;

    return CONDUIT_OK;
}


static int
conduit_judge_fetch(conduit_judge_t *j)
{
    int                        rc;
    const conduit_provider_t  *p;

    p = j->provider;

    if (j->reply->status < 200 || j->reply->status > 299) {
        return conduit_judge_failure(j, CONDUIT_ERR_NONE);
    }

    if (j->doc == NULL) {
        return conduit_judge_unreadable(j);
    }

    rc = conduit_judge_ok(j, &p->fetch.ok);
    if (rc != CONDUIT_DECLINED) {
        return rc;
    }

    if (conduit_judge_values(j, &p->fetch.take, 0) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    return conduit_judge_ends(j, &p->fetch.results, &p->results);
}


static int
conduit_judge_download(conduit_judge_t *j)
{
    switch (j->reply->status) {

    case 200:
        j->verdict->state = CONDUIT_STATE_COMPLETED;
        return CONDUIT_OK;

    case 404:
    case 410:
        conduit_verdict_fail(j->verdict, CONDUIT_ERR_RESULT_EXPIRED);
        return CONDUIT_OK;

    default:
        return conduit_judge_failure(j, CONDUIT_ERR_NONE);
    }
}


static int
conduit_judge_cancel(conduit_judge_t *j)
{
    unsigned  i, n, status;

    const unsigned         *ok;
    static const unsigned   usual[] = { 200, 202, 204, 400, 404, 409 };

    ok = usual;
    n = sizeof(usual) / sizeof(usual[0]);
    status = j->reply->status;

    if (j->provider->cancel_ok.n) {
        ok = j->provider->cancel_ok.elts;
        n = j->provider->cancel_ok.n;
    }

    for (i = 0; i < n; i++) {

        if (ok[i] == status) {
            j->verdict->state = CONDUIT_STATE_CANCELLED;
            return CONDUIT_OK;
        }
    }

    return conduit_judge_failure(j, CONDUIT_ERR_NONE);
}


static int
conduit_judge_side(conduit_judge_t *j)
{
    j->verdict->state = CONDUIT_STATE_PROCESSING;

    if (j->reply->status < 200 || j->reply->status > 299 || j->doc == NULL) {
        j->verdict->state = CONDUIT_STATE_HOLD;
        return CONDUIT_OK;
    }

    return conduit_judge_progress(j);
}


/* is there a value the rule is about, and does it hold? 1 or 0 */

static int
conduit_judge_rule(conduit_judge_t *j, const conduit_rule_t *rule, int *holds)
{
    int             rc;
    json_t         *value;
    conduit_str_t   pointer;

    *holds = 0;

    rc = conduit_job_pointer(j->pool, &rule->pointer, j->job, &pointer);

    if (rc != CONDUIT_OK) {
        return (rc == CONDUIT_DECLINED) ? CONDUIT_OK : CONDUIT_ERROR;
    }

    value = conduit_pointer_get(j->doc, &pointer);

    *holds = conduit_judge_compare(rule, value);

    return CONDUIT_OK;
}


/* scalars compare by their JSON text; absent and null are never equal */

static int
conduit_judge_compare(const conduit_rule_t *rule, json_t *value)
{
    int            equal;
    u_char         buf[CONDUIT_POINTER_TEXT];
    conduit_str_t  text;

    switch (rule->compare) {

    case CONDUIT_COMPARE_EXISTS:
        return value != NULL && !json_is_null(value);

    case CONDUIT_COMPARE_GT:
    case CONDUIT_COMPARE_LT:
        return conduit_judge_number(rule, value);

    default:

        equal = conduit_pointer_text(value, buf, &text) == CONDUIT_OK
                && text.len == rule->value.len
                && memcmp(text.data, rule->value.data, text.len) == 0;

        return (rule->compare == CONDUIT_COMPARE_EQ) ? equal : !equal;
    }
}


static int
conduit_judge_number(const conduit_rule_t *rule, json_t *value)
{
    double  is, limit;

    if (conduit_value_number(value, &is) != CONDUIT_OK
        || conduit_parse_real(&rule->value, &limit) != CONDUIT_OK)
    {
        return 0;
    }

    return (rule->compare == CONDUIT_COMPARE_GT) ? is > limit : is < limit;
}
