
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_task.h"
#include "tap.h"


static void test_final(void);
static void test_live(void);
static void test_progress(void);
static void test_words(void);
static void test_errors(void);


int
main(void)
{
    test_final();
    test_live();
    test_progress();
    test_words();
    test_errors();

    return done_testing();
}


static void
test_final(void)
{
    int               s, e, rc;
    conduit_status_e  next;

    for (s = CONDUIT_COMPLETED; s <= CONDUIT_CANCELLED; s++) {

        ok(conduit_status_terminal((conduit_status_e) s), "%d is terminal", s);

        for (e = 0; e < CONDUIT_EVENT_N; e++) {
            rc = conduit_task_next((conduit_status_e) s, (conduit_event_e) e,
                                   &next);

            if (s == CONDUIT_FAILED && e == CONDUIT_EV_RETRY) {
                ok(rc == CONDUIT_OK && next == CONDUIT_PENDING,
                   "a failed task may be retried");
                continue;
            }

            is_num(rc, CONDUIT_DECLINED, "%d is final for event %d", s, e);
        }
    }
}


static void
test_live(void)
{
    size_t            i;
    conduit_status_e  next;

    static const struct {
        conduit_status_e  from;
        conduit_event_e   event;
        conduit_status_e  to;
    } moves[] = {
        { CONDUIT_PENDING, CONDUIT_EV_START, CONDUIT_PROCESSING },
        { CONDUIT_PENDING, CONDUIT_EV_PROGRESS, CONDUIT_PENDING },
        { CONDUIT_PENDING, CONDUIT_EV_REQUEUE, CONDUIT_PENDING },
        { CONDUIT_PENDING, CONDUIT_EV_COMPLETE, CONDUIT_COMPLETED },
        { CONDUIT_PENDING, CONDUIT_EV_FAIL, CONDUIT_FAILED },
        { CONDUIT_PENDING, CONDUIT_EV_CANCEL, CONDUIT_CANCELLED },
        { CONDUIT_PROCESSING, CONDUIT_EV_START, CONDUIT_PROCESSING },
        { CONDUIT_PROCESSING, CONDUIT_EV_PROGRESS, CONDUIT_PROCESSING },
        { CONDUIT_PROCESSING, CONDUIT_EV_REQUEUE, CONDUIT_PENDING },
        { CONDUIT_PROCESSING, CONDUIT_EV_COMPLETE, CONDUIT_COMPLETED },
        { CONDUIT_PROCESSING, CONDUIT_EV_FAIL, CONDUIT_FAILED },
        { CONDUIT_PROCESSING, CONDUIT_EV_CANCEL, CONDUIT_CANCELLED }
    };

    for (i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        next = CONDUIT_CANCELLED;

        ok(conduit_task_next(moves[i].from, moves[i].event, &next)
           == CONDUIT_OK && next == moves[i].to,
           "event %d leads from %d to %d", moves[i].event, moves[i].from,
           moves[i].to);
    }

    ok(conduit_task_next(CONDUIT_PENDING, CONDUIT_EV_RETRY, &next)
       == CONDUIT_DECLINED, "a pending task is not retried");
    ok(conduit_task_next(CONDUIT_PROCESSING, CONDUIT_EV_RETRY, &next)
       == CONDUIT_DECLINED, "a running task is not retried");
    ok(conduit_task_next((conduit_status_e) 9, CONDUIT_EV_START, &next)
       == CONDUIT_DECLINED, "a status out of range");
    ok(conduit_task_next(CONDUIT_PENDING, (conduit_event_e) 7, &next)
       == CONDUIT_DECLINED, "an event out of range");
    ok(!conduit_status_terminal(CONDUIT_PENDING)
       && !conduit_status_terminal(CONDUIT_PROCESSING), "live states");
}


static void
test_progress(void)
{
    is_num(conduit_task_progress(0, 50), 50, "it goes on");
    is_num(conduit_task_progress(50, 20), 50, "never back");
    is_num(conduit_task_progress(50, -1), 50, "negative");
    is_num(conduit_task_progress(50, 100), 99, "100 is of completed tasks");
    is_num(conduit_task_progress(50, INT64_MAX), 99, "far beyond");
    is_num(conduit_task_progress(99, INT64_MIN), 99, "far below");
    is_num(conduit_task_progress(100, 100), 100, "not from 100");
}


static void
test_words(void)
{
    int                   i;
    conduit_kind_e        kind;
    conduit_status_e      status;
    const conduit_str_t  *w;

    static const char  *words[][5] = {
        { "pending", "processing", "completed", "failed", "cancelled" },
        { "pending", "running", "completed", "failed", "cancelled" },
        { "Pending", "Running", "Completed", "Failed", "Cancelled" }
    };

    for (i = 0; i < 15; i++) {
        w = conduit_status_word((conduit_status_e) (i % 5),
                                (conduit_words_e) (i / 5));
        is_mem(w->data, w->len, words[i / 5][i % 5],
               strlen(words[i / 5][i % 5]), "word %d of spelling %d", i % 5,
               i / 5);
    }

    ok(conduit_status_parse((const u_char *) "failed", 6, &status)
       == CONDUIT_OK && status == CONDUIT_FAILED, "failed is read");
    ok(conduit_status_parse((const u_char *) "running", 7, &status)
       == CONDUIT_DECLINED, "running is no word of the API");
    ok(conduit_status_parse((const u_char *) "faile", 5, &status)
       == CONDUIT_DECLINED, "half a word");

    w = conduit_kind_word(CONDUIT_KIND_VIDEO);
    is_mem(w->data, w->len, "video", 5, "video");
    ok(conduit_kind_parse((const u_char *) "image", 5, &kind) == CONDUIT_OK
       && kind == CONDUIT_KIND_IMAGE, "image is read");
    ok(conduit_kind_parse((const u_char *) "audio", 5, &kind)
       == CONDUIT_DECLINED, "audio is not");
}


static void
test_errors(void)
{
    size_t                i;
    const conduit_str_t  *w;
    conduit_error_code_e  code;

    static const struct {
        const char  *word;
        int          http;
    } errors[] = {
        { "content_policy_violation", 400 },
        { "invalid_request", 400 },
        { "unsupported_model", 404 },
        { "provider_auth", 502 },
        { "provider_quota", 502 },
        { "rate_limited", 429 },
        { "provider_unavailable", 502 },
        { "provider_error", 502 },
        { "provider_unknown", 502 },
        { "timeout", 504 },
        { "result_too_large", 502 },
        { "result_expired", 502 },
        { "cancelled", 409 },
        { "internal_error", 500 }
    };

    is_num(sizeof(errors) / sizeof(errors[0]), CONDUIT_ERR_N - 1,
           "all codes are here");

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        code = CONDUIT_ERR_NONE;

        is_num(conduit_error_parse((const u_char *) errors[i].word,
                                   strlen(errors[i].word), &code),
               CONDUIT_OK, "%s", errors[i].word);
        is_num(conduit_error_http_status(code), errors[i].http, "its status");

        w = conduit_error_word(code);
        is_mem(w->data, w->len, errors[i].word, strlen(errors[i].word),
               "its word");
        ok(conduit_error_sentence(code)->len > 0, "it has a sentence");
    }

    w = conduit_error_sentence(CONDUIT_ERR_CONTENT_POLICY_VIOLATION);
    is_mem(w->data, w->len, "Content policy violation detected", 33,
           "the policy's sentence");
    w = conduit_error_sentence(CONDUIT_ERR_CANCELLED);
    is_mem(w->data, w->len, "Task was cancelled", 18, "cancelled's sentence");

    is_num(conduit_error_parse((const u_char *) "provider_timeout", 16, &code),
           CONDUIT_DECLINED, "provider_timeout is no word");
    is_num(conduit_error_parse((const u_char *) "", 0, &code),
           CONDUIT_DECLINED, "nor is nothing");
}
