
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Any prompt gives a sound plan. */


#include "conduit_sandbox.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t                n;
    conduit_sandbox_plan_t  plan;
    conduit_sandbox_step_t  step, last;

    conduit_sandbox_parse(&plan, data, size, 3000);

    if (plan.duration_ms > CONDUIT_SANDBOX_DURATION_MAX
        || plan.updates > CONDUIT_SANDBOX_UPDATES_MAX
        || plan.error_at > 100
        || strlen(plan.error) > CONDUIT_SANDBOX_ERROR_MAX
        || (plan.failing && plan.error[0] == '\0'))
    {
        __builtin_trap();
    }

    memset(&last, 0, sizeof(last));

    for (n = 0; conduit_sandbox_step(&plan, n, &step) == CONDUIT_OK; n++) {

        if (step.at_ms < last.at_ms || step.at_ms > plan.duration_ms
            || last.event != CONDUIT_SANDBOX_PROGRESS
            || (step.event == CONDUIT_SANDBOX_PROGRESS
                && (step.progress <= last.progress || step.progress > 99)))
        {
            __builtin_trap();
        }

        last = step;
    }

    if (last.event == CONDUIT_SANDBOX_PROGRESS
        || (last.event == CONDUIT_SANDBOX_FAILED) != plan.failing
        || conduit_sandbox_left(&plan, 0) != last.at_ms)
    {
        __builtin_trap();
    }

    return 0;
}
