
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "tap.h"
#include "provider_text.h"


static const char  base[] =
    "kind image; base https://api.test/; secret env:KEY;"
    "auth header Authorization \"Bearer ${secret}\";";

static const char  polled[] =
    "submit POST /s json { field /prompt $prompt required; take id /id; }"
    "poll GET /p/${id} { every 5s max=20s; deadline 30m; }"
    "status /status { waiting queued; running processing; done completed;"
    "    broken failed; gone cancelled; default processing; }"
    "progress /progress;"
    "result url /out/* /out mime=/kind expires=1h;"
    "error message /error/message /detail; error code /error/code;"
    "error_map { 1002 rate_limited retry; nsfw content_policy_violation;"
    "    broke provider_quota; }"
    "cancel DELETE /p/${id};";


static text_pool_t  tp;


static conduit_provider_t *
make(const char *a, const char *b, const char *c)
{
    char                 error[CONDUIT_PROVIDER_ERROR], text[8192];
    conduit_provider_t  *p;

    snprintf(text, sizeof(text), "%s%s%s", a, b, c);

    p = text_provider(&tp, text, error);

    if (p == NULL) {
        ok(0, "a description: %s", error);
        exit(1);
    }

    return p;
}


static void
job_init(conduit_job_t *job, const char *request)
{
    memset(job, 0, sizeof(conduit_job_t));

    job->request = json_loads(request, 0, NULL);
    job->taken = json_object();
    job->model.data = (u_char *) "up/model 1";
    job->model.len = 10;
    job->task.data = (u_char *) "550e8400-e29b-41d4-a716-446655440000";
    job->task.len = 36;
    job->idempotency.data = (u_char *) "once-1";
    job->idempotency.len = 6;
}


static void
job_done(conduit_job_t *job)
{
    json_decref(job->request);
    json_decref(job->taken);
}


static int
header(void *data, const char *name, conduit_str_t *value)
{
    size_t        len;
    const char  **pair = data;

    for ( /* void */ ; pair && pair[0]; pair += 2) {

        if (strcmp(pair[0], name) == 0) {

            /* counted: no NUL behind it */

            len = strlen(pair[1]);
            value->data = text_alloc(&tp, len);
            value->len = len;
            memcpy(value->data, pair[1], len);

            return CONDUIT_OK;
        }
    }

    return CONDUIT_DECLINED;
}


static void
judge(conduit_provider_t *p, conduit_step_e step, conduit_job_t *job,
    unsigned status, const char *body, const char **headers,
    conduit_verdict_t *v)
{
    int              rc;
    conduit_reply_t  reply;

    reply.status = status;
    reply.body.data = (u_char *) body;
    reply.body.len = strlen(body);
    reply.now = 784111777;
    reply.header = header;
    reply.data = headers;

    rc = conduit_provider_reply(p, &tp.pool, step, job, &reply, v);

    if (rc != CONDUIT_OK) {
        ok(0, "a reply is judged");
    }
}


static void
test_families(void)
{
    char                 path[64], text[8192], error[CONDUIT_PROVIDER_ERROR];
    char                *p, *block, *end;
    FILE                *f;
    size_t               i, n;
    conduit_provider_t  *provider;

    static const char  *names[] = { "a1111", "bfl", "fal", "localai", "luma",
                                    "minimax", "openai", "replicate",
                                    "runway", "veo", "videos" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        snprintf(path, sizeof(path), "t/providers/%s.conf", names[i]);

        f = fopen(path, "r");
        if (f == NULL) {
            ok(0, "opens %s", path);
            continue;
        }

        n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[n] = '\0';

        while ((p = strstr(text, "%%PROVIDER%%")) != NULL) {
            memcpy(p, "http://x.com", 12);
        }

        block = strstr(text, " {\n");
        end = strstr(text, "\n}\n");

        if (block == NULL || end == NULL) {
            ok(0, "%s has a block", path);
            continue;
        }

        end[1] = '\0';
        provider = text_provider(&tp, block + 2, error);

        ok(provider != NULL, "reads %s: %s", path, error);
    }
}


static void
test_refused(void)
{
    char    error[CONDUIT_PROVIDER_ERROR], text[4096];
    size_t  i;

    static const struct {
        const char  *text;
        const char  *error;
    } cases[] = {
        { "frobnicate x;", "\"frobnicate\" is unknown here" },
        { "kind sound;", "must be \"image\" or \"video\"" },
        { "kind image; kind video;", "is duplicate" },
        { "base ftp://x;", "must be an absolute http" },
        { "base http://u:p@x;", "must be an absolute http" },
        { "hosts https://x;", "must be a host without scheme" },
        { "hosts x.test:80;", "without scheme" },
        { "secret abc;", "must be \"file:PATH\" or \"env:NAME\"" },
        { "secret env:A env:B;", "not supported yet" },
        { "secret env:A; secret env:B;", "not supported yet" },
        { "auth jwt hs256 iss=a ttl=1;", "jwt is not supported yet" },
        { "auth header X \"constant\";", "must have \"${secret}\"" },
        { "auth header X \"${key}\";", "knows \"${secret}\" only" },
        { "auth header \"X Y\" \"${secret}\";", "bad name" },
        { "header X \"${id}\";", "is constant" },
        { "header X \"a\tb\";", "bad name or value" },
        { "limit speed=3;", "must be \"rpm=N\"" },
        { "limit rpm=0;", "within 1..1000000" },
        { "timeout submit=fast;", "bad time" },
        { "callback field=/webhook verify=standard;",
          "\"callback\" is not supported yet" },
        { "submit POST /x multipart {", "multipart is not supported yet" },
        { "submit SEND /x {", "unknown method" },
        { "submit POST x {", "bad URL" },
        { "submit POST /x { document f;", "\"document\" is not supported" },
        { "submit POST /x { stream {", "\"stream\" is not supported yet" },
        { "submit POST /x { field /a $b file;", "file is not supported yet" },
        { "submit POST /x { field a $b;", "bad JSON pointer" },
        { "submit POST /x { field /a/* $b;", "cannot write to" },
        { "submit POST /x { field /a/999 $b;", "cannot write to" },
        { "submit POST /x { field /a ${;", "bad \"${...}\"" },
        { "submit POST /x { field /a $b integer;", "unknown word" },
        { "submit POST /x { extra pass /a;", "must be one \"merge" },
        { "submit POST /x { take id poll:/x;", "cannot take from" },
        { "submit POST /x { ok /a = 1;", "must be \"POINTER exists\"" },
        { "submit POST /x { accept 99;", "within 100..599" },
        { "submit POST /x { idempotency header \"a b\";",
          "must be \"header NAME\"" },
        { "poll GET /x { every 50ms;", "at least 100ms" },
        { "poll GET /x { every 5s max=1s;", "below the interval" },
        { "poll GET /x { every 5s factor=0.5;", "within 1..100" },
        { "poll GET /x { http 202 done;", "unknown state" },
        { "status /s { a b;", "unknown state" },
        { "status /s { default completed;", "processing or failed" },
        { "fail_if /a > x;", "which is no number" },
        { "fail_if /a exists code=nope;", "unknown error code" },
        { "error_map { a nope;", "unknown error code" },
        { "error_map { a timeout again;", "must be \"VALUE ERROR_CODE" },
        { "error reason /a;", "must be \"message POINTER" },
        { "result stream /a;", "must be \"url POINTER\"" },
        { "result file /view from /x;", "file is not supported yet" },
        { "result url mime=image/png;", "needs a JSON pointer" },
        { "result url /a mime=png;", "must be a media type" },
        { "fetch GET /x { result download GET /y;", "must be \"url" },
        { "progress half;", "must be a JSON pointer" },
        { "progress logs /l;", "\"regex=EXPRESSION\"" },
        { "cancel DELETE /x when=completed;", "queued and processing only" },
        { "cancel POST /x json;", "needs a document" },
        { "cancel POST /x json 'a';", "is no JSON" },
        { "type cloud;", "must be \"sandbox\" or \"worker\"" },
        { "type worker; base http://x;", "no meaning with \"type worker\"" },
        { "type sandbox; lease 3s;", "no meaning with \"type sandbox\"" },
        { "type worker; lease 10ms;", "at least 1s" },
        { "lease 10s;", "\"lease\" needs \"type worker\"" },
        { "base http://x;", "\"kind\" is missing" },
        { "kind image;", "\"base\" is missing" },
        { "kind image; base http://x;", "\"submit\" is missing" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        error[0] = '\0';

        if (!ok(text_provider(&tp, cases[i].text, error) == NULL,
                "refuses: %s", cases[i].text)
            || cases[i].error == NULL)
        {
            continue;
        }

        ok(strstr(error, cases[i].error) != NULL, "says: %s", error);
    }

    /* whole ones with one fault */

    static const struct {
        const char  *text;
        const char  *error;
    } wholes[] = {
        { "submit POST /s sync { }", "no result rule" },
        { "submit POST /s { } result url /u;", "take id POINTER" },
        { "submit POST /s { take id /id; } result url /u;",
          "\"poll METHOD URL { ... }\" is missing" },
        { "submit POST /s { take id /id; } poll GET /p { } result url /u;",
          "nothing tells that a task is completed" },
        { "submit POST /s { take id /id; } poll GET /p/${job} { }"
          "status /s { a completed; } result url /u;",
          "\"poll\" names \"${job}\", which no earlier step takes" },
        { "submit POST /s?k=${secret} sync { } result url /u;",
          "\"submit\" cannot have the secret" },
        { "submit POST /s sync { } poll GET /p { } result url /u;",
          "\"poll\" has no meaning with" },
        { "submit POST /s sync { } result download GET ${poll:/u};",
          "a reply that does not come before" },
        { "submit POST /s sync { field /a $b map=m; } result url /u;",
          "unknown map \"m\"" },
        { "submit POST https://other.test/s sync { } result url /u;",
          "not listed in \"hosts\"" },
        { "submit POST http://api.test/s sync { } result url /u;",
          "not as safe as" },
        { "submit POST /s none sync { field /a $b; } result url /u;",
          "has fields but no body" },
        { "submit POST /s sync { } result url /a/${id};", "names \"${id}\"" },
        { "submit POST /s sync { } result url /u;"
          "cancel POST /c json '{\"a\":[\"${id}\"]}';", "names \"${id}\"" }
    };

    for (i = 0; i < sizeof(wholes) / sizeof(wholes[0]); i++) {

        snprintf(text, sizeof(text), "%s%s", base, wholes[i].text);
        error[0] = '\0';

        ok(text_provider(&tp, text, error) == NULL, "refuses: %s",
           wholes[i].text);
        ok(strstr(error, wholes[i].error) != NULL, "says: %s", error);
    }

    ok(text_provider(&tp, "kind image; base http://x; auth query k;"
                     "submit POST /s sync { } result url /u;", error) == NULL,
       "auth without secret");
    ok(strstr(error, "needs a secret") != NULL, "says: %s", error);

    ok(text_provider(&tp, "kind image; base http://x; secret env:K;"
                     "submit POST /s sync { } result url /u;", error) == NULL,
       "secret without auth");
    ok(strstr(error, "is not used") != NULL, "says: %s", error);
}


static void
test_types(void)
{
    conduit_provider_t  *p;

    p = make("type worker; limit concurrency=2 queue=5; lease 90s;", "", "");

    is_num(p->type, CONDUIT_TYPE_WORKER, "type");
    is_num(p->kinds, 3, "both kinds by default");
    is_num(p->concurrency, 2, "concurrency");
    is_num(p->queue, 5, "queue");
    is_num((long) p->lease, 90000, "lease");

    p = make("type sandbox; kind video;", "", "");

    is_num((long) p->duration, 3000, "duration by default");
    is_num(p->kinds, 2, "one kind");
}


static void
test_submit(void)
{
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_pair_t      *h;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    p = make(base,
             "header X-Version 2; timeout submit=7s;"
             "map size { 1024x1024 SQ; default reject; }"
             "submit POST /v1/${model}/x json sync {"
             "    idempotency header Idempotency-Key;"
             "    field /input/prompt $prompt required;"
             "    field /model $model; field /id $task; field /v \"a\\\"b\";"
             "    field /n $n int default=2; field /s $duration string;"
             "    field /size $size map=size;"
             "    field /half $half number scale=0.5;"
             "    field /on $on bool; field /list $list json;"
             "    field /absent $absent; field /f $f default=1.5;"
             "    field /arr/1 1 int;"
             "    extra merge /input deny=secretive; }",
             "result url /u;");

    job_init(&job, "{\"prompt\":\"x\\\",\\\"y\\\":1\",\"model\":\"alias\","
             "\"duration\":8,\"size\":\"1024X1024\",\"half\":5,\"on\":\"true\","
             "\"list\":[1,{}],\"webhook_url\":\"u\",\"timeout_seconds\":3,"
             "\"stream\":true,\"secretive\":1,\"seed\":9007199254740993,"
             "\"nothing\":null,\"response_format\":\"url\"}");

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_SUBMIT, &job, &call,
                                 &v),
           CONDUIT_OK, "builds a submit");

    is_str((char *) call.url.data, "https://api.test/v1/up%2Fmodel%201/x",
           "URL");
    is_str((char *) call.body.data,
           "{\"input\":{\"prompt\":\"x\\\",\\\"y\\\":1\","
           "\"seed\":9007199254740993},"
           "\"model\":\"up/model 1\","
           "\"id\":\"550e8400-e29b-41d4-a716-446655440000\",\"v\":\"a\\\"b\","
           "\"n\":2,\"s\":\"8\",\"size\":\"SQ\",\"half\":2.5,\"on\":true,"
           "\"list\":[1,{}],\"f\":1.5,\"arr\":[null,1]}",
           "body");
    is_num((long) call.timeout, 7000, "timeout");
    ok(call.once, "a repeat is an attempt, with a key as well");
    is_num(call.headers.n, 4, "headers");

    h = call.headers.elts;

    is_str((char *) h[0].value.data, "application/json", "content type");
    is_str((char *) h[1].value.data, "2", "constant header");
    is_str((char *) h[2].value.data, "once-1", "idempotency header");
    is_str((char *) h[3].value.data, "Bearer sk-test/secret", "key");

    json_object_set_new(job.request, "size", json_string("1x1"));

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_SUBMIT, &job, &call,
                                 &v),
           CONDUIT_DECLINED, "a map rejects");
    is_num(v.code, CONDUIT_ERR_INVALID_REQUEST, "as the client's fault");
    is_mem(v.param.data, v.param.len, "size", 4, "which member");

    json_object_set_new(job.request, "size", json_string("1024x1024"));
    json_object_set_new(job.request, "on", json_string("maybe"));

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_SUBMIT, &job, &call,
                                 &v),
           CONDUIT_DECLINED, "a type rejects");
    is_mem(v.param.data, v.param.len, "on", 2, "which member");

    json_object_del(job.request, "on");
    json_object_del(job.request, "prompt");

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_SUBMIT, &job, &call,
                                 &v),
           CONDUIT_DECLINED, "a required member is missing");
    is_mem(v.param.data, v.param.len, "prompt", 6, "which member");
    is_num(v.state, CONDUIT_STATE_FAILED, "it fails");

    job_done(&job);
}


static void
test_map(void)
{
    size_t               i;
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    static const struct {
        const char  *other;
        const char  *request;
        const char  *body;
    } cases[] = {
        { "default T;", "{\"a\":\"F\"}", "{\"a\":\"t\"}" },
        { "default T;", "{\"a\":\"x\"}", "{\"a\":\"T\"}" },
        { "default T;", "{\"a\":7}", "{\"a\":\"T\"}" },
        { "default T;", "{}", "{\"a\":\"T\"}" },
        { "default pass;", "{\"a\":7}", "{\"a\":7}" },
        { "default pass;", "{}", "{}" },
        { "", "{\"a\":\"x\"}", "{\"a\":\"x\"}" },
        { "default reject;", "{}", "{}" },
        { "default reject;", "{\"a\":\"x\"}", NULL },
        { "default T;", "{\"a\":[1]}", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        p = make("kind image; base http://api.test; map m { f t; ",
                 cases[i].other, " }"
                 "submit POST /s sync { field /a $a map=m; } result url /u;");

        job_init(&job, cases[i].request);

        if (cases[i].body == NULL) {
            is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_SUBMIT,
                                         &job, &call, &v),
                   CONDUIT_DECLINED, "%s refuses %s", cases[i].other,
                   cases[i].request);

        } else if (is_num(conduit_provider_call(p, &tp.pool,
                                                CONDUIT_STEP_SUBMIT, &job,
                                                &call, &v),
                          CONDUIT_OK, "%s takes %s", cases[i].other,
                          cases[i].request))
        {
            is_str((char *) call.body.data, cases[i].body, "as");
        }

        job_done(&job);
    }
}


static void
test_form(void)
{
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    p = make("kind image; base http://api.test:81/x; secret env:K;"
             "auth query key;",
             "submit POST /s?a=1 form sync { field /p $prompt; field /n 3 int;"
             "field /o/x y; }", "result url /u;");

    job_init(&job, "{\"prompt\":\"a b&c=\xc3\xa9\"}");

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_SUBMIT, &job, &call,
                                 &v),
           CONDUIT_OK, "builds a form");
    is_str((char *) call.body.data,
           "p=a%20b%26c%3D%C3%A9&n=3&o=%7B%22x%22%3A%22y%22%7D", "body");
    is_str((char *) call.url.data,
           "http://api.test:81/x/s?a=1&key=sk-test%2Fsecret", "key in query");
    ok(call.once, "a submit is sent once");

    job_done(&job);
}


static void
test_urls(void)
{
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_verdict_t    v;
    conduit_provider_t  *p;
    size_t               i;

    static const struct {
        const char  *id;
        const char  *get;
        const char  *url;
        const char  *raw;
    } cases[] = {
        { "a/b c", "https://api.test/g/1?x=y", "https://api.test/g/1?x=y&l=1",
          "https://api.test/f/a/b%20c" },
        { "x", "https://EU.cdn.test:8443/g?x=y",
          "https://EU.cdn.test:8443/g?x=y&l=1", "https://api.test/f/x" },
        { "x?y#z", "/local?a", "https://api.test/local?a&l=1",
          "https://api.test/f/x?y%23z" },
        { "..", "https://evil.test/g", NULL, NULL },
        { "a/../b", "http://api.test/g", NULL, NULL },
        { "a/%2E%2e/b", "https://api.test@evil.test/", NULL, NULL },
        { "a", "https://cdn.test/", NULL, "https://api.test/f/a" },
        { "a", "//evil.test/", "https://api.test//evil.test/&l=1",
          "https://api.test/f/a" },
        { "a", "https://api.test.evil.test/", NULL, "https://api.test/f/a" },
        { "a", "https://api.test\\@evil.test/", NULL, "https://api.test/f/a" },
        { "", "ftp://api.test/", NULL, NULL }
    };

    p = make(base,
             "hosts api.test *.cdn.test;"
             "submit POST /s { take id /id; take get /get; }"
             "poll GET ${get}&l=1 { } status /s { d completed; }"
             "fetch GET /f/${id:raw} { result url /u; }", "");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        job_init(&job, "{}");
        json_object_set_new(job.taken, "id", json_string(cases[i].id));
        json_object_set_new(job.taken, "get", json_string(cases[i].get));

        if (cases[i].url) {
            is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_POLL, &job,
                                         &call, &v),
                   CONDUIT_OK, "polls %s", cases[i].get);
            is_str((char *) call.url.data, cases[i].url, "at this URL");

        } else {
            is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_POLL, &job,
                                         &call, &v),
                   CONDUIT_DECLINED, "does not poll %s", cases[i].get);
            is_num(v.code, CONDUIT_ERR_PROVIDER_ERROR, "provider's fault");
        }

        if (cases[i].raw) {
            is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_FETCH, &job,
                                         &call, &v),
                   CONDUIT_OK, "fetches %s", cases[i].id);
            is_str((char *) call.url.data, cases[i].raw, "at this URL");

        } else {
            is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_FETCH, &job,
                                         &call, &v),
                   CONDUIT_DECLINED, "does not fetch %s", cases[i].id);
        }

        job_done(&job);
    }
}


static void
test_cancel(void)
{
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    p = make(base, polled, "");

    job_init(&job, "{}");

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_CANCEL, &job, &call,
                                 &v),
           CONDUIT_DECLINED, "no id, no cancel");

    json_object_set_new(job.taken, "id", json_string("a\"b"));

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_CANCEL, &job, &call,
                                 &v),
           CONDUIT_OK, "cancel");
    is_str((char *) call.url.data, "https://api.test/p/a%22b", "its URL");
    ok(!call.has_body, "without a body");

    judge(p, CONDUIT_STEP_CANCEL, &job, 404, "x", NULL, &v);
    is_num(v.state, CONDUIT_STATE_CANCELLED, "404 is good enough");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_CANCEL, &job, 503, "", NULL, &v);
    is_num(v.state, CONDUIT_STATE_HOLD, "503 is worth another try");
    conduit_verdict_free(&v);

    p = make(base, "submit POST /s { take id /id; } poll GET /p { }"
             "status /s { d completed; } result url /u;",
             "cancel POST /queue json '{\"delete\":[\"${id}\"]}' ok=200;");

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_CANCEL, &job, &call,
                                 &v),
           CONDUIT_OK, "cancel with a document");
    is_str((char *) call.body.data, "{\"delete\":[\"a\\\"b\"]}", "its body");

    judge(p, CONDUIT_STEP_CANCEL, &job, 404, "", NULL, &v);
    is_num(v.state, CONDUIT_STATE_FAILED, "404 is not in its list");
    conduit_verdict_free(&v);

    job_done(&job);
}


static void
test_submit_replies(void)
{
    size_t               i;
    conduit_job_t        job;
    conduit_verdict_t    v;
    conduit_provider_t  *p, *safe;

    static const struct {
        unsigned              status;
        const char           *body;
        conduit_state_e       state;
        conduit_error_code_e  code;
        conduit_state_e       safe;
    } cases[] = {
        { 200, "{\"id\":\"x\"}", CONDUIT_STATE_QUEUED, CONDUIT_ERR_NONE,
          CONDUIT_STATE_QUEUED },
        { 202, "{\"id\":9007199254740993}", CONDUIT_STATE_QUEUED,
          CONDUIT_ERR_NONE, CONDUIT_STATE_QUEUED },
        { 200, "{\"id\":null}", CONDUIT_STATE_FAILED,
          CONDUIT_ERR_PROVIDER_ERROR, CONDUIT_STATE_FAILED },
        { 200, "{\"id\":", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_ERROR,
          CONDUIT_STATE_FAILED },
        { 200, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_ERROR,
          CONDUIT_STATE_FAILED },
        { 204, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_ERROR,
          CONDUIT_STATE_FAILED },
        { 302, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_ERROR,
          CONDUIT_STATE_FAILED },
        { 400, "{}", CONDUIT_STATE_FAILED, CONDUIT_ERR_INVALID_REQUEST,
          CONDUIT_STATE_FAILED },
        { 400, "{\"error\":{\"code\":\"NSFW\"}}", CONDUIT_STATE_FAILED,
          CONDUIT_ERR_CONTENT_POLICY_VIOLATION, CONDUIT_STATE_FAILED },
        { 400, "{\"error\":{\"code\":\"unsupported_model\"}}",
          CONDUIT_STATE_FAILED, CONDUIT_ERR_UNSUPPORTED_MODEL,
          CONDUIT_STATE_FAILED },
        { 401, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_AUTH,
          CONDUIT_STATE_FAILED },
        { 402, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_QUOTA,
          CONDUIT_STATE_FAILED },
        { 403, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_AUTH,
          CONDUIT_STATE_FAILED },
        { 404, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_UNSUPPORTED_MODEL,
          CONDUIT_STATE_FAILED },
        { 422, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_INVALID_REQUEST,
          CONDUIT_STATE_FAILED },
        { 429, "", CONDUIT_STATE_RETRY, CONDUIT_ERR_RATE_LIMITED,
          CONDUIT_STATE_RETRY },
        { 429, "{\"error\":{\"code\":\"broke\"}}", CONDUIT_STATE_FAILED,
          CONDUIT_ERR_PROVIDER_QUOTA, CONDUIT_STATE_FAILED },
        { 400, "{\"error\":{\"code\":1002}}", CONDUIT_STATE_RETRY,
          CONDUIT_ERR_RATE_LIMITED, CONDUIT_STATE_RETRY },
        { 503, "", CONDUIT_STATE_RETRY, CONDUIT_ERR_PROVIDER_UNAVAILABLE,
          CONDUIT_STATE_RETRY },
        { 500, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_UNAVAILABLE,
          CONDUIT_STATE_RETRY },
        { 502, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_UNAVAILABLE,
          CONDUIT_STATE_RETRY },
        { 504, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_UNAVAILABLE,
          CONDUIT_STATE_RETRY }
    };

    p = make(base, polled, "");
    safe = make(base, polled, "");
    safe->idempotency.data = (u_char *) "K";
    safe->idempotency.len = 1;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        job_init(&job, "{}");

        judge(p, CONDUIT_STEP_SUBMIT, &job, cases[i].status, cases[i].body,
              NULL, &v);

        is_num(v.state, cases[i].state, "state after %u %s", cases[i].status,
               cases[i].body);
        is_num(v.code, cases[i].code, "code after it");
        ok(v.code == CONDUIT_ERR_NONE || v.message.len, "it has a message");

        conduit_verdict_free(&v);

        judge(safe, CONDUIT_STEP_SUBMIT, &job, cases[i].status, cases[i].body,
              NULL, &v);

        is_num(v.state, cases[i].safe, "and where repeats are harmless");

        conduit_verdict_free(&v);
        job_done(&job);
    }

    job_init(&job, "{}");
    judge(p, CONDUIT_STEP_SUBMIT, &job, 202, "{\"id\":9007199254740993}", NULL,
          &v);
    is_str(json_string_value(json_object_get(job.taken, "id")),
           "9007199254740993", "a long number keeps its digits");
    conduit_verdict_free(&v);
    job_done(&job);

    p = make(base, "submit POST /s { take id /id; take get /get; take c /c; }"
             "poll GET ${get} { } status /s { d completed; } result url /u;",
             "cancel POST ${c};");

    job_init(&job, "{}");
    judge(p, CONDUIT_STEP_SUBMIT, &job, 202, "{\"id\":\"1\",\"get\":\"/g\"}",
          NULL, &v);
    is_num(v.state, CONDUIT_STATE_QUEUED, "only the id has to be there");
    is_num((long) json_object_size(job.taken), 2, "what is there is taken");
    conduit_verdict_free(&v);
    job_done(&job);

    p = make(base, polled, "");

    conduit_provider_failure(p, CONDUIT_STEP_SUBMIT, 0, &v);
    is_num(v.state, CONDUIT_STATE_RETRY, "not sent: again");
    is_num(v.code, CONDUIT_ERR_PROVIDER_UNAVAILABLE, "code when not sent");

    conduit_provider_failure(p, CONDUIT_STEP_SUBMIT, 1, &v);
    is_num(v.state, CONDUIT_STATE_FAILED, "sent, no answer: final");
    is_num(v.code, CONDUIT_ERR_PROVIDER_UNKNOWN, "outcome unknown");

    conduit_provider_failure(safe, CONDUIT_STEP_SUBMIT, 1, &v);
    is_num(v.state, CONDUIT_STATE_RETRY, "again with a key");

    conduit_provider_failure(p, CONDUIT_STEP_POLL, 1, &v);
    is_num(v.state, CONDUIT_STATE_HOLD, "a lost poll is asked again");
}


static void
test_poll_replies(void)
{
    size_t               i;
    conduit_job_t        job;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    static const struct {
        unsigned              status;
        const char           *body;
        conduit_state_e       state;
        conduit_error_code_e  code;
        int                   progress;
    } cases[] = {
        { 200, "{\"status\":\"waiting\"}", CONDUIT_STATE_QUEUED, 0, -1 },
        { 200, "{\"status\":\"RUNNING\",\"progress\":41.9}",
          CONDUIT_STATE_PROCESSING, 0, 41 },
        { 200, "{\"status\":\"waiting\",\"progress\":12}",
          CONDUIT_STATE_QUEUED, 0, 12 },
        { 200, "{\"status\":\"running\",\"progress\":\"73%\"}",
          CONDUIT_STATE_PROCESSING, 0, 73 },
        { 200, "{\"status\":\"running\",\"progress\":1e300}",
          CONDUIT_STATE_PROCESSING, 0, 99 },
        { 200, "{\"status\":\"running\",\"progress\":-5}",
          CONDUIT_STATE_PROCESSING, 0, 0 },
        { 200, "{\"status\":\"strange\"}", CONDUIT_STATE_PROCESSING, 0, -1 },
        { 200, "{}", CONDUIT_STATE_PROCESSING, 0, -1 },
        { 200, "{\"status\":\"gone\"}", CONDUIT_STATE_CANCELLED,
          CONDUIT_ERR_CANCELLED, -1 },
        { 200, "{\"status\":\"broken\"}", CONDUIT_STATE_FAILED,
          CONDUIT_ERR_PROVIDER_ERROR, -1 },
        { 200, "{\"status\":\"broken\",\"error\":{\"code\":\"nsfw\"}}",
          CONDUIT_STATE_FAILED, CONDUIT_ERR_CONTENT_POLICY_VIOLATION, -1 },
        { 200, "{\"status\":\"broken\",\"error\":{\"code\":1002}}",
          CONDUIT_STATE_HOLD, CONDUIT_ERR_RATE_LIMITED, -1 },
        { 200, "{\"status\":\"done\"}", CONDUIT_STATE_FAILED,
          CONDUIT_ERR_PROVIDER_ERROR, -1 },
        { 200, "{\"status\":\"done\",\"out\":[null,\"\",7]}",
          CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_ERROR, -1 },
        { 200, "{\"status\":\"done\",\"out\":[null,\"https://r/1\"]}",
          CONDUIT_STATE_COMPLETED, 0, -1 },
        { 404, "{}", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_ERROR, -1 },
        { 429, "", CONDUIT_STATE_HOLD, CONDUIT_ERR_RATE_LIMITED, -1 },
        { 500, "<html>", CONDUIT_STATE_HOLD,
          CONDUIT_ERR_PROVIDER_UNAVAILABLE, -1 },
        { 504, "", CONDUIT_STATE_HOLD, CONDUIT_ERR_PROVIDER_UNAVAILABLE, -1 },
        { 301, "", CONDUIT_STATE_FAILED, CONDUIT_ERR_PROVIDER_ERROR, -1 },
        { 500, "{\"error\":{\"code\":\"nsfw\"}}", CONDUIT_STATE_FAILED,
          CONDUIT_ERR_CONTENT_POLICY_VIOLATION, -1 }
    };

    p = make(base, polled, "");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        job_init(&job, "{}");

        judge(p, CONDUIT_STEP_POLL, &job, cases[i].status, cases[i].body, NULL,
              &v);

        is_num(v.state, cases[i].state, "state after %u %s", cases[i].status,
               cases[i].body);
        is_num(v.code, cases[i].code, "code after it");
        is_num(v.progress, cases[i].progress, "progress after it");

        conduit_verdict_free(&v);
        job_done(&job);
    }

    job_init(&job, "{}");

    judge(p, CONDUIT_STEP_POLL, &job, 200, "{\"status\":", NULL, &v);
    is_num(v.state, CONDUIT_STATE_HOLD, "no JSON is held");
    ok(v.unreadable, "and counted");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200, "{\"status\":\"odd\"}", NULL, &v);
    ok(v.unknown, "an unknown word is told");
    conduit_verdict_free(&v);

    job_done(&job);
}


static void
test_poll_rules(void)
{
    conduit_job_t        job;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    p = make(base,
             "submit POST /s { take id /id; }"
             "poll GET /p/${id} { http 202 processing; http 404 queued"
             " grace=10s; empty \"\" processing; ok /ok == 0; }"
             "fail_if /n > 2 code=content_policy_violation; fail_if /e exists;"
             "complete_if /${id}/done == true;"
             "progress steps /step /steps;"
             "result base64 /b64/*;", "error message /m;");

    job_init(&job, "{}");
    json_object_set_new(job.taken, "id", json_string("a/b"));

    judge(p, CONDUIT_STEP_POLL, &job, 202, "not JSON", NULL, &v);
    is_num(v.state, CONDUIT_STATE_PROCESSING, "202 by rule");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 202, "{\"step\":3,\"steps\":4}", NULL,
          &v);
    is_num(v.progress, 75, "steps");
    conduit_verdict_free(&v);

    job.elapsed = 9999;
    judge(p, CONDUIT_STEP_POLL, &job, 404, "", NULL, &v);
    is_num(v.state, CONDUIT_STATE_QUEUED, "404 within grace");
    conduit_verdict_free(&v);

    job.elapsed = 10000;
    judge(p, CONDUIT_STEP_POLL, &job, 404, "", NULL, &v);
    is_num(v.state, CONDUIT_STATE_FAILED, "404 after grace");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200, "{}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_PROCESSING, "empty object");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200, "", NULL, &v);
    is_num(v.state, CONDUIT_STATE_PROCESSING, "empty reply");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200, "{\"ok\":1,\"m\":\"no\"}", NULL,
          &v);
    is_num(v.state, CONDUIT_STATE_FAILED, "ok does not hold");
    is_mem(v.message.data, v.message.len, "no", 2, "its message");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200,
          "{\"ok\":0,\"n\":3,\"a/b\":{\"done\":true}}", NULL, &v);
    is_num(v.code, CONDUIT_ERR_CONTENT_POLICY_VIOLATION,
           "fail_if goes before complete_if");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200,
          "{\"ok\":0,\"n\":2,\"e\":null,\"a/b\":{\"done\":true},"
          "\"b64\":[\"iVBO\",\"not base64\",null,\"QUJD\"]}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_COMPLETED, "complete_if with an id in it");
    is_num(v.results.n, 2, "bad base64 is no result");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200, "{\"ok\":0,\"n\":2}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_PROCESSING, "nothing known: go on");
    conduit_verdict_free(&v);

    job_done(&job);
}


static void
test_results(void)
{
    conduit_job_t        job;
    conduit_result_t    *r;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    p = make(base,
             "submit POST /s sync { }"
             "result base64 /d/*/b64 mime=/format;",
             "result url /d/*/url /u expires=60m;");

    job_init(&job, "{}");

    judge(p, CONDUIT_STEP_SUBMIT, &job, 200,
          "{\"format\":\"webp\",\"d\":[{\"b64\":\"QUJD\"},{\"b64\":"
          "\"data:image/gif;base64,QUJD\"}]}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_COMPLETED, "base64");
    is_num(v.results.n, 2, "two of them");
    r = v.results.elts;
    is_mem(r[0].mime.data, r[0].mime.len, "image/webp", 10, "type by pointer");
    is_mem(r[1].value.data, r[1].value.len, "QUJD", 4, "data: URL");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_SUBMIT, &job, 200,
          "{\"d\":[{\"url\":\"https://r/a.PNG?x=.gif\"},{\"url\":null},"
          "{\"url\":\"/made/b.jpeg\"},{\"url\":\"ftp://x\"},"
          "{\"url\":\"//evil\"},{\"url\":\"javascript:1\"},"
          "{\"url\":\"data:image/gif;base64,QUJD\"}]}", NULL, &v);
    is_num(v.results.n, 3, "three of seven are results");
    r = v.results.elts;
    is_mem(r[0].mime.data, r[0].mime.len, "image/png", 9, "type by extension");
    is_num((long) r[0].expires, 3600, "expires");
    is_mem(r[1].value.data, r[1].value.len, "https://api.test/made/b.jpeg", 28,
           "a path is on the provider's server");
    is_num(r[2].type, CONDUIT_RESULT_BASE64, "a data: URL is base64");
    is_mem(r[2].mime.data, r[2].mime.len, "image/gif", 9, "and has its type");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_SUBMIT, &job, 200, "{\"u\":\"https://r/x\"}", NULL,
          &v);
    is_num(v.results.n, 1, "second pointer");
    r = v.results.elts;
    is_num((long) r[0].mime.len, 0, "type unknown");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_SUBMIT, &job, 200, "{\"d\":[]}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_FAILED, "no result is a failure");
    is_num(v.code, CONDUIT_ERR_PROVIDER_ERROR, "of the provider");
    conduit_verdict_free(&v);

    job_done(&job);
}


static void
test_fetch(void)
{
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_result_t    *r;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    p = make(base,
             "submit POST /s { take id /id; }",
             "poll GET /p/${id} { } status /status { S completed; P"
             " processing; }"
             "fetch GET /f?id=${file} { take file poll:/file_id;"
             " result url /file/url; }"
             "error code /code; error_map { 7 provider_quota; }");

    job_init(&job, "{}");
    json_object_set_new(job.taken, "id", json_string("1"));

    judge(p, CONDUIT_STEP_POLL, &job, 200,
          "{\"status\":\"P\",\"file_id\":\"\"}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_PROCESSING, "no file yet");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200,
          "{\"status\":\"S\",\"file_id\":205258526306433}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_COMPLETED, "done");
    ok(v.fetch, "but for the fetch");
    conduit_verdict_free(&v);

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_FETCH, &job, &call,
                                 &v),
           CONDUIT_OK, "fetch");
    is_str((char *) call.url.data, "https://api.test/f?id=205258526306433",
           "its URL");

    judge(p, CONDUIT_STEP_FETCH, &job, 200,
          "{\"file\":{\"url\":\"http://r/v.mp4\"}}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_COMPLETED, "fetched");
    r = v.results.elts;
    is_mem(r[0].mime.data, r[0].mime.len, "video/mp4", 9, "its type");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_FETCH, &job, 503, "", NULL, &v);
    is_num(v.state, CONDUIT_STATE_HOLD, "a fetch is tried again");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_FETCH, &job, 200, "{\"code\":7}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_FAILED, "an error inside of 200");
    is_num(v.code, CONDUIT_ERR_PROVIDER_QUOTA, "by the map");
    conduit_verdict_free(&v);

    job_done(&job);
}


static void
test_download(void)
{
    conduit_str_t        from, to, url;
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_verdict_t    v;
    conduit_provider_t  *p;
    size_t               i;

    static const struct {
        const char  *location;
        const char  *url;
    } cases[] = {
        { "https://api.test/y", "https://api.test/y" },
        { "/y?z", "https://api.test/y?z" },
        { "y", "https://api.test/a/y" },
        { "//evil.test/y", NULL },
        { "https://127.0.0.1/", NULL },
        { "http://api.test/y", NULL },
        { "", NULL }
    };

    p = make(base,
             "submit POST /s { take id /id; } poll GET /p/${id} { }"
             "status /done { true completed; false processing; }",
             "result download GET ${poll:/r/0/uri} auth redirects=3"
             " mime=video/mp4;");

    job_init(&job, "{}");
    json_object_set_new(job.taken, "id", json_string("1"));

    judge(p, CONDUIT_STEP_POLL, &job, 200, "{\"done\":false}", NULL, &v);
    is_num(v.state, CONDUIT_STATE_PROCESSING, "false is a word");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_POLL, &job, 200,
          "{\"done\":true,\"r\":[{\"uri\":\"https://api.test/v:1?a=b\"}]}",
          NULL, &v);
    is_num(v.state, CONDUIT_STATE_COMPLETED, "true is a word");
    ok(v.download, "a download follows");
    conduit_verdict_free(&v);

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_DOWNLOAD, &job,
                                 &call, &v),
           CONDUIT_OK, "download");
    is_str((char *) call.url.data, "https://api.test/v:1?a=b", "its URL");
    is_num(call.headers.n, 1, "with the key");

    judge(p, CONDUIT_STEP_DOWNLOAD, &job, 200, "\x89PNG", NULL, &v);
    is_num(v.state, CONDUIT_STATE_COMPLETED, "200 is it");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_DOWNLOAD, &job, 410, "", NULL, &v);
    is_num(v.code, CONDUIT_ERR_RESULT_EXPIRED, "410 is too late");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_DOWNLOAD, &job, 500, "", NULL, &v);
    is_num(v.state, CONDUIT_STATE_HOLD, "500 is tried again");
    conduit_verdict_free(&v);

    from.data = (u_char *) "https://api.test/a/x?q=/";
    from.len = 24;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        to.data = (u_char *) cases[i].location;
        to.len = strlen(cases[i].location);

        if (cases[i].url == NULL) {
            is_num(conduit_provider_redirect(p, &tp.pool, &from, &to, &url),
                   CONDUIT_DECLINED, "does not follow to \"%s\"",
                   cases[i].location);
            continue;
        }

        is_num(conduit_provider_redirect(p, &tp.pool, &from, &to, &url),
               CONDUIT_OK, "follows to \"%s\"", cases[i].location);
        is_mem(url.data, url.len, cases[i].url, strlen(cases[i].url),
               "which is");
        ok(url.data != to.data, "in memory of its own");
    }

    job_done(&job);
}


static void
test_messages(void)
{
    char                 body[4096];
    size_t               i;
    conduit_job_t        job;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    p = make(base, polled, "");
    job_init(&job, "{}");

    judge(p, CONDUIT_STEP_SUBMIT, &job, 400,
          "{\"error\":{\"message\":\"key sk-test/secret, sk-test%2Fsecret is"
          " bad: sk-test/secret\"}}", NULL, &v);
    ok(v.message.len > 20, "has a text");
    v.message.data[v.message.len - 1] = '\0';
    ok(strstr((char *) v.message.data, "sk-test") == NULL, "no secret in: %s",
       (char *) v.message.data);
    conduit_verdict_free(&v);

    /* 499 characters of one byte, then some of three */

    memcpy(body, "{\"detail\":\"", 11);
    memset(body + 11, 'x', 499);

    for (i = 0; i < 9; i++) {
        memcpy(body + 510 + i * 3, "\xe2\x82\xac", 3);
    }

    memcpy(body + 537, "\"}", 3);

    judge(p, CONDUIT_STEP_SUBMIT, &job, 400, body, NULL, &v);
    is_num((long) v.message.len, 502, "500 characters, no broken one");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_SUBMIT, &job, 422,
          "{\"error\":{\"message\":\"\"},\"detail\":[{\"msg\":\"too big\"}]}",
          NULL, &v);
    is_mem(v.message.data, v.message.len, "[{\"msg\":\"too big\"}]", 19,
           "what is no text is JSON");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_SUBMIT, &job, 400,
          "{\"error\":{\"code\":\"nsfw\"}}", NULL, &v);
    is_mem(v.message.data, v.message.len, "Content policy violation detected",
           33, "the code's own sentence");
    conduit_verdict_free(&v);

    job_done(&job);
}


static int
digits(void *regex, const conduit_str_t *line, conduit_str_t *group)
{
    size_t  n;

    for (n = 0; n < line->len && line->data[n] >= '0' && line->data[n] <= '9';
         n++)
    {
        /* void */
    }

    group->data = line->data;
    group->len = n;

    return (n && n < line->len && line->data[n] == '%') ? CONDUIT_OK
                                                        : CONDUIT_DECLINED;
}


static void
test_progress(void)
{
    conduit_job_t        job;
    conduit_call_t       call;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    static const char  rest[] =
        "submit POST /s { take id /id; } poll GET /p { }"
        "status /s { d completed; } result url /u;";

    job_init(&job, "{}");

    p = make(base, rest, "progress logs /logs \"regex=^(\\d+)%\";");
    p->regex = digits;

    judge(p, CONDUIT_STEP_POLL, &job, 200,
          "{\"logs\":\"start\\n10%|\\r20%|x\\rnoise 30%\\n\\n\"}", NULL, &v);
    is_num(v.progress, 20, "the last line that matches");
    conduit_verdict_free(&v);

    p = make(base, rest, "progress estimate 100s;");
    job.elapsed = 40000;
    judge(p, CONDUIT_STEP_POLL, &job, 200, "{}", NULL, &v);
    is_num(v.progress, 40, "by the estimate");
    is_num((long) v.eta, 60000, "time left");
    conduit_verdict_free(&v);

    job.elapsed = 400000;
    judge(p, CONDUIT_STEP_POLL, &job, 200, "{}", NULL, &v);
    is_num(v.progress, 95, "longer than the estimate");
    is_num((long) v.eta, 0, "no time left");
    conduit_verdict_free(&v);

    p = make(base, rest, "progress side POST /i/p /progress scale=100"
             " json '{\"id_task\":\"${task}\"}';");

    is_num(conduit_provider_call(p, &tp.pool, CONDUIT_STEP_SIDE, &job, &call,
                                 &v),
           CONDUIT_OK, "side call");
    is_str((char *) call.body.data,
           "{\"id_task\":\"550e8400-e29b-41d4-a716-446655440000\"}",
           "its body");

    judge(p, CONDUIT_STEP_SIDE, &job, 200, "{\"progress\":0.5}", NULL, &v);
    is_num(v.progress, 50, "progress beside");
    conduit_verdict_free(&v);

    judge(p, CONDUIT_STEP_SIDE, &job, 500, "", NULL, &v);
    is_num(v.progress, -1, "none in an error");
    conduit_verdict_free(&v);

    job_done(&job);
}


static void
test_after(void)
{
    size_t               i;
    conduit_job_t        job;
    conduit_verdict_t    v;
    conduit_provider_t  *p;

    /* now is Sun, 06 Nov 1994 08:49:37 GMT */

    static const struct {
        const char  *name;
        const char  *value;
        long         ms;
    } cases[] = {
        { "Retry-After", "1", 1000 },
        { "Retry-After", "1.5", 1500 },
        { "Retry-After", "0", 0 },
        { "Retry-After", "99999999999999999999", 86400000 },
        { "Retry-After", "Sun, 06 Nov 1994 08:50:37 GMT", 60000 },
        { "Retry-After", "Sunday, 06-Nov-94 08:50:37 GMT", 60000 },
        { "Retry-After", "Sun Nov  6 08:50:37 1994", 60000 },
        { "Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT", -1 },
        { "Retry-After", "Thu, 06 Nov 2098 08:49:37 GMT", 86400000 },
        { "Retry-After", "Sun, 06 Nov 1994 08:49", -1 },
        { "Retry-After", "Sun, 66 Nov 1994 08:50:37 GMT", -1 },
        { "Retry-After", "soon", -1 },
        { "Retry-After", "-1", -1 },
        { "Retry-After", "1s", -1 },
        { "Retry-After", "", -1 },
        { "retry-after-ms", "250", 250 },
        { "openai-poll-after-ms", "1500", 1500 },
        { "openai-poll-after-ms", "x", -1 }
    };

    p = make(base, polled, "");
    job_init(&job, "{}");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        const char  *headers[] = { cases[i].name, cases[i].value, NULL };

        judge(p, CONDUIT_STEP_POLL, &job, 429, "", headers, &v);
        is_num((long) v.after, cases[i].ms, "%s: %s", cases[i].name,
               cases[i].value);
        conduit_verdict_free(&v);
    }

    job_done(&job);
}


static void
test_pauses(void)
{
    unsigned             n;
    uint64_t             low, high;
    conduit_provider_t  *p;

    for (n = 1; n <= 3; n++) {

        low = conduit_provider_backoff(n, 0, -1);
        high = conduit_provider_backoff(n, 0xffffffff, -1);

        is_num((long) low, 800L << (n - 1), "shortest pause after %u", n);
        is_num((long) high, 1200L << (n - 1), "longest pause after %u", n);
    }

    is_num((long) conduit_provider_backoff(1000, 0, -1), 51200, "it ends");
    is_num((long) conduit_provider_backoff(1, 0, 5000), 5000, "lengthened");
    is_num((long) conduit_provider_backoff(3, 0, 10), 3200, "never cut");

    p = make(base, polled, "");

    is_num((long) conduit_provider_interval(p, 0, 0, -1), 5000, "first poll");
    is_num((long) conduit_provider_interval(p, 1, 0, -1), 5000, "second");
    is_num((long) conduit_provider_interval(p, 2, 0, -1), 7500, "third");
    is_num((long) conduit_provider_interval(p, 9, 0, -1), 20000, "up to max");
    is_num((long) conduit_provider_interval(p, 1, 1, -1), 10000, "held");
    is_num((long) conduit_provider_interval(p, 9, 9, -1), 64000, "held long");
    is_num((long) conduit_provider_interval(p, 1, 0, 9000), 9000, "asked for");

    p = make(base, "submit POST /s { take id /id; }"
             "poll GET /p { every 2s first=10s; } status /s { d completed; }",
             "result url /u;");

    is_num((long) conduit_provider_interval(p, 0, 0, -1), 10000, "first=");
    is_num((long) conduit_provider_interval(p, 50, 0, -1), 2000, "no max=");

    ok(conduit_provider_fallback(CONDUIT_ERR_PROVIDER_QUOTA), "quota falls");
    ok(!conduit_provider_fallback(CONDUIT_ERR_PROVIDER_UNKNOWN),
       "unknown does not");
    ok(!conduit_provider_fallback(CONDUIT_ERR_CONTENT_POLICY_VIOLATION),
       "policy does not");
}


int
main(void)
{
    text_pool_init(&tp);

    test_families();
    test_refused();
    test_types();
    test_submit();
    test_map();
    test_form();
    test_urls();
    test_cancel();
    test_submit_replies();
    test_poll_replies();
    test_poll_rules();
    test_results();
    test_fetch();
    test_download();
    test_messages();
    test_progress();
    test_after();
    test_pauses();

    text_pool_done(&tp);

    return done_testing();
}
