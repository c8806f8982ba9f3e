
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_sandbox.h"
#include "tap.h"


static void parse(conduit_sandbox_plan_t *plan, const char *prompt);
static void check_steps(const char *prompt, const char *expected);
static void test_defaults(void);
static void test_duration(void);
static void test_errors(void);
static void test_words(void);
static void test_steps(void);
static void test_invariants(void);


int
main(void)
{
    test_defaults();
    test_duration();
    test_errors();
    test_words();
    test_steps();
    test_invariants();

    return done_testing();
}


static void
parse(conduit_sandbox_plan_t *plan, const char *prompt)
{
    conduit_sandbox_parse(plan, (const u_char *) prompt, strlen(prompt),
                          CONDUIT_SANDBOX_DURATION);
}


static void
test_defaults(void)
{
    conduit_sandbox_plan_t  plan;

    parse(&plan, "a red fox");

    is_num(plan.duration_ms, 3000, "the block's duration");
    is_num(plan.updates, 4, "four updates");
    is_num(plan.failing, 0, "no failure");

    conduit_sandbox_parse(&plan, (const u_char *) "", 0, UINT32_MAX);

    is_num(plan.duration_ms, 3600000, "a block's duration is cut");
}


static void
test_duration(void)
{
    size_t                  i;
    conduit_sandbox_plan_t  plan;

    static const struct {
        const char  *prompt;
        uint32_t     ms;
    } tests[] = {
        { "sandbox:duration=8s", 8000 },
        { "sandbox:duration=250ms", 250 },
        { "sandbox:duration=2m", 120000 },
        { "sandbox:duration=1h", 3600000 },
        { "sandbox:duration=2", 2000 },
        { "sandbox:duration=0", 0 },
        { "sandbox:duration=0ms", 0 },
        { "a fox\tsandbox:duration=1s\nin snow", 1000 },
        { "fox, sandbox:duration=1s.", 1000 },
        { "sandbox:duration=1s sandbox:duration=2s", 2000 },
        { "slow: a fox", 8000 },
        { "slow:sandbox:duration=1s", 1000 },
        { "slow: sandbox:duration=1s", 1000 },
        { "a slow: fox", 3000 },
        { "slow", 3000 },
        { "sandbox:duration=2h", 3000 },
        { "sandbox:duration=3600001ms", 3000 },
        { "sandbox:duration=99999999999s", 3000 },
        { "sandbox:duration=4294967297", 3000 },
        { "sandbox:duration=", 3000 },
        { "sandbox:duration=s", 3000 },
        { "sandbox:duration=-1s", 3000 },
        { "sandbox:duration=1.5s", 3000 },
        { "sandbox:duration=1d", 3000 },
        { "sandbox:duration=1sm", 3000 },
        { "sandbox:duration=1min", 3000 },
        { "sandbox:duration 8s", 3000 },
        { "xsandbox:duration=8s", 3000 },
        { "duration=8s", 3000 },
        { "Sandbox:duration=8s", 3000 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        parse(&plan, tests[i].prompt);
        is_num(plan.duration_ms, tests[i].ms, "\"%s\"", tests[i].prompt);
    }
}


static void
test_errors(void)
{
    conduit_sandbox_plan_t  plan;

    parse(&plan, "x sandbox:error=content_policy_violation");

    is_num(plan.failing, 1, "fails");
    is_num(plan.error_at, 100, "at its end");
    is_str(plan.error, "content_policy_violation", "with that code");

    parse(&plan, "sandbox:error_at=50");

    is_num(plan.failing, 1, "error_at fails");
    is_num(plan.error_at, 50, "at that place");
    is_str(plan.error, "provider_error", "with provider_error");

    parse(&plan, "sandbox:error_at=30 sandbox:error=rate_limited");

    is_num(plan.error_at, 30, "error_at, then error");
    is_str(plan.error, "rate_limited", "both hold");

    parse(&plan, "sandbox:error=rate_limited sandbox:error_at=30");

    is_num(plan.error_at, 30, "error, then error_at");
    is_str(plan.error, "rate_limited", "both hold");

    parse(&plan, "sandbox:error=");
    is_num(plan.failing, 0, "an empty code is no error");

    parse(&plan, "sandbox:error=a\"b");
    is_num(plan.failing, 0, "a quote is no part of a code");

    parse(&plan, "sandbox:error=0123456789012345678901234567890123456789"
                 "012345678901234567890123");
    is_num(plan.failing, 0, "a code of 64 characters is too long");

    parse(&plan, "sandbox:error=0123456789012345678901234567890123456789"
                 "01234567890123456789012");
    is_num(plan.failing, 1, "one of 63 is not");
    is_num(strlen(plan.error), 63, "and is kept whole");

    parse(&plan, "sandbox:error_at=101");
    is_num(plan.failing, 0, "there is no percentage 101");

    parse(&plan, "\"sandbox:error=timeout\" (sandbox:error=timeout)");
    is_num(plan.failing, 0, "a word begins behind a blank");

    parse(&plan, "sandbox:error=timeout, please");
    is_str(plan.error, "timeout", "punctuation ends a word");
}


static void
test_words(void)
{
    u_char                  buf[] = "sandbox:progress=7xxxx";
    conduit_sandbox_plan_t  plan;

    parse(&plan, "sandbox:progress=20");
    is_num(plan.updates, 20, "progress=20");

    parse(&plan, "sandbox:progress=0");
    is_num(plan.updates, 0, "progress=0");

    parse(&plan, "sandbox:progress=99");
    is_num(plan.updates, 99, "progress=99");

    parse(&plan, "sandbox:progress=100");
    is_num(plan.updates, 4, "progress=100 is too many");

    parse(&plan, "sandbox:progress=1x");
    is_num(plan.updates, 4, "progress=1x is plain text");

    conduit_sandbox_parse(&plan, buf, 18, 3000);
    is_num(plan.updates, 7, "a prompt ends where its length says");

    parse(&plan, "sandbox: sandbox:x=1 sandbox:error sandbox:=");
    is_num(plan.failing, 0, "unknown words do nothing");
}


/* "ms:progress ... ms:outcome" */

static void
check_steps(const char *prompt, const char *expected)
{
    char                    buf[1024];
    size_t                  len;
    uint32_t                n;
    conduit_sandbox_plan_t  plan;
    conduit_sandbox_step_t  step;

    parse(&plan, prompt);

    len = 0;
    buf[0] = '\0';

    for (n = 0; conduit_sandbox_step(&plan, n, &step) == CONDUIT_OK; n++) {

        if (step.event == CONDUIT_SANDBOX_PROGRESS) {
            len += snprintf(buf + len, sizeof(buf) - len, "%u:%u ",
                            step.at_ms, step.progress);
            continue;
        }

        len += snprintf(buf + len, sizeof(buf) - len, "%u:%s", step.at_ms,
                        step.event == CONDUIT_SANDBOX_FAILED ? "failed"
                                                             : "completed");
    }

    is_str(buf, expected, "steps of \"%s\"", prompt);
}


static void
test_steps(void)
{
    conduit_sandbox_plan_t  plan;

    check_steps("a fox",
                "600:20 1200:40 1800:60 2400:80 3000:completed");
    check_steps("sandbox:progress=1", "1500:50 3000:completed");
    check_steps("sandbox:progress=0", "3000:completed");
    check_steps("sandbox:progress=2 sandbox:duration=3m",
                "60000:33 120000:66 180000:completed");
    check_steps("sandbox:duration=0",
                "0:20 0:40 0:60 0:80 0:completed");
    check_steps("sandbox:error=timeout",
                "600:20 1200:40 1800:60 2400:80 3000:failed");
    check_steps("sandbox:error_at=50", "600:20 1200:40 1500:failed");
    check_steps("sandbox:error_at=40", "600:20 1200:40 1200:failed");
    check_steps("sandbox:error_at=39", "600:20 1170:failed");
    check_steps("sandbox:error_at=0", "0:failed");

    parse(&plan, "sandbox:error_at=50");

    is_num(conduit_sandbox_left(&plan, 500), 1000, "time left");
    is_num(conduit_sandbox_left(&plan, 1500), 0, "none at the end");
    is_num(conduit_sandbox_left(&plan, 4000), 0, "none after it");
}


static void
test_invariants(void)
{
    int                     bad;
    uint32_t                updates, at, n;
    conduit_sandbox_plan_t  plan;
    conduit_sandbox_step_t  step, last;

    bad = 0;
    parse(&plan, "sandbox:error_at=1 sandbox:duration=1h");

    for (updates = 0; updates <= 99; updates++) {

        for (at = 0; at <= 100; at++) {
            plan.updates = updates;
            plan.error_at = at;

            memset(&last, 0, sizeof(last));

            for (n = 0; conduit_sandbox_step(&plan, n, &step) == CONDUIT_OK;
                 n++)
            {
                bad |= step.at_ms < last.at_ms;
                bad |= step.event == CONDUIT_SANDBOX_PROGRESS
                       && (step.progress <= last.progress
                           || step.progress > 99);
                last = step;
            }

            bad |= last.event != CONDUIT_SANDBOX_FAILED;
            bad |= n > updates + 1;
        }
    }

    ok(!bad, "times never fall, progress rises, the outcome is last");
}
