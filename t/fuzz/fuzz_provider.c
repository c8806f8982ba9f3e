
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * Input: one byte that picks the step and the description, one for the HTTP
 * status, and the body of a reply.  Whatever a provider answers, the verdict
 * is complete and the next call stays on the listed hosts.
 */


#define _GNU_SOURCE

#include "../unit/provider_text.h"

#include <conduit_json.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  *descriptions[] = {

    "kind image; base https://api.test; secret env:K;"
    "auth header Authorization \"Bearer ${secret}\";"
    "submit POST /v1/images json sync { field /prompt $prompt;"
    "    ok /error != x; }"
    "fail_if /finish == CONTENT_FILTERED code=content_policy_violation;"
    "result base64 /data/*/b64_json mime=/output_format;"
    "result url /data/*/url expires=60m;"
    "error message /error/message /detail /message; error code /error/code;"
    "error_map { rate_limit_exceeded rate_limited retry; 1002 timeout; }",

    "kind image video; base https://api.test; hosts api.test *.cdn.test;"
    "secret env:K; auth query key;"
    "submit POST /s json { take id /id /name; take get /urls/get;"
    "    take can /urls/cancel; }"
    "poll GET ${get} { every 1s max=5s; http 202 processing;"
    "    http 404 queued grace=5s; empty \"\" processing; ok /ok != 0; }"
    "complete_if /${id}/status/completed == true;"
    "fail_if /n > 2.5 code=content_policy_violation;"
    "status /status { a queued; b processing; c completed; d failed;"
    "    e cancelled; default failed; }"
    "progress steps /step /steps;"
    "fetch GET /f/${id:raw}?x=${poll:/x/*} { take u poll:/y; result url /u/*; }"
    "result download GET ${u} auth redirects=2;"
    "error message /error /detail/*/msg; error code /code /detail/0/type;"
    "cancel POST ${can} json '{\"a\":[\"${id}\",{\"b\":\"${get}\"}]}';",

    "kind video; base http://127.0.0.1:8000/x; auth none;"
    "submit POST /s form { take id /id; take hid header:X-Id; }"
    "poll POST /p json { every 1s; field /op ${id}; field /n 1 int; }"
    "status /done { true completed; false processing; }"
    "progress /progress scale=100; result url /output/* /output;"
    "error message /e; cancel DELETE /s/${id};"
};


static int
check_header(void *data, const char *name, conduit_str_t *value)
{
    *value = *(conduit_str_t *) data;

    return value->len ? CONDUIT_OK : CONDUIT_DECLINED;
}


static void
check_verdict(conduit_verdict_t *v, conduit_step_e step)
{
    unsigned           i;
    conduit_result_t  *r;

    if (v->state == CONDUIT_STATE_FAILED
        && (v->code == CONDUIT_ERR_NONE || v->message.len == 0))
    {
        abort();
    }

    if (v->message.len
        && (conduit_utf8_length(v->message.data, v->message.len)
            > CONDUIT_PROVIDER_MESSAGE
            || memmem(v->message.data, v->message.len, "sk-test/secret", 14)))
    {
        abort();
    }

    if (v->progress < -1 || v->progress > 99 || v->eta < -1 || v->after < -1) {
        abort();
    }

    if (step != CONDUIT_STEP_DOWNLOAD
        && v->state == CONDUIT_STATE_COMPLETED && v->results.n == 0
        && !v->fetch && !v->download)
    {
        abort();
    }

    r = v->results.elts;

    for (i = 0; i < v->results.n; i++) {

        if (r[i].value.len == 0) {
            abort();
        }
    }
}


static void
check_call(conduit_provider_t *p, text_pool_t *tp, conduit_job_t *job)
{
    conduit_step_e     step;
    conduit_call_t     call;
    conduit_verdict_t  v;

    for (step = CONDUIT_STEP_SUBMIT; step <= CONDUIT_STEP_SIDE; step++) {

        if (conduit_provider_call(p, &tp->pool, step, job, &call, &v)
            == CONDUIT_OK)
        {
            if (!conduit_provider_allowed(p, &call.url)) {
                abort();
            }

        } else {
            check_verdict(&v, step);
        }

        conduit_verdict_free(&v);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                  error[CONDUIT_PROVIDER_ERROR];
    text_pool_t           tp;
    conduit_job_t         job;
    conduit_str_t         value;
    conduit_step_e        step;
    conduit_reply_t       reply;
    conduit_verdict_t     v;
    conduit_provider_t   *p;

    static const unsigned  statuses[] = { 200, 202, 400, 404, 429, 500, 503,
                                          302 };

    if (size < 2) {
        return 0;
    }

    text_pool_init(&tp);

    p = text_provider(&tp, descriptions[data[0] % 3], error);
    if (p == NULL) {
        fprintf(stderr, "%s\n", error);
        abort();
    }

    step = (conduit_step_e) (data[0] / 3 % 6);

    memset(&job, 0, sizeof(conduit_job_t));

    job.request = json_pack("{s:s}", "prompt", "p");
    job.taken = json_pack("{s:s}", "id", "1");
    job.model.data = (u_char *) "m";
    job.model.len = 1;
    job.task = job.model;
    job.idempotency = job.model;
    job.elapsed = data[1];

    value.data = (u_char *) data;
    value.len = size < 40 ? size : 40;

    reply.status = statuses[data[1] % 8];
    reply.body.data = (u_char *) data + 2;
    reply.body.len = size - 2;
    reply.now = 784111777;
    reply.header = (data[1] & 0x80) ? check_header : NULL;
    reply.data = &value;

    if (conduit_provider_reply(p, &tp.pool, step, &job, &reply, &v)
        != CONDUIT_OK)
    {
        abort();
    }

    check_verdict(&v, step);
    conduit_verdict_free(&v);
    check_call(p, &tp, &job);

    json_decref(job.request);
    json_decref(job.taken);
    text_pool_done(&tp);

    return 0;
}
