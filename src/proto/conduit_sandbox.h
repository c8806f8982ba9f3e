
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_SANDBOX_H_INCLUDED_
#define _CONDUIT_SANDBOX_H_INCLUDED_


#include "conduit.h"


/*
 * The sandbox provider's script.  Words in the prompt steer it:
 *
 *     sandbox:duration=8s      how long the task runs (units ms, s, m, h;
 *                              a bare number means seconds), 0 .. 1h
 *     sandbox:progress=20      number of progress updates, 0 .. 99
 *     sandbox:error=CODE       the task fails, at its end
 *     sandbox:error_at=50      the task fails at that percentage, 0 .. 100
 *
 * A prompt that begins with "slow:" takes 8 seconds.  A word stands between
 * blanks and may be followed by punctuation; the last of several equal words
 * wins; a word with an unknown name or a value out of range is plain text.
 */


#define CONDUIT_SANDBOX_DURATION      3000
#define CONDUIT_SANDBOX_SLOW          8000
#define CONDUIT_SANDBOX_DURATION_MAX  3600000
#define CONDUIT_SANDBOX_UPDATES       4
#define CONDUIT_SANDBOX_UPDATES_MAX   99
#define CONDUIT_SANDBOX_ERROR_MAX     63


typedef enum {
    CONDUIT_SANDBOX_PROGRESS = 0,
    CONDUIT_SANDBOX_COMPLETED,
    CONDUIT_SANDBOX_FAILED
} conduit_sandbox_event_e;


typedef struct {
    uint32_t                 duration_ms;
    uint32_t                 updates;
    uint32_t                 error_at;       /* percent, if failing */
    unsigned                 failing:1;

    /* as written in the prompt and terminated; the caller maps the unknown */
    char                     error[CONDUIT_SANDBOX_ERROR_MAX + 1];
} conduit_sandbox_plan_t;


typedef struct {
    conduit_sandbox_event_e  event;
    uint32_t                 at_ms;          /* since the task's start */
    uint32_t                 progress;       /* 0 .. 99, PROGRESS only */
} conduit_sandbox_step_t;


/*
 * Reads the steering words of a prompt into *plan.  duration_ms is what the
 * provider block says, used when the prompt says nothing; it is cut at
 * CONDUIT_SANDBOX_DURATION_MAX.  Any bytes are a valid prompt.
 */
void conduit_sandbox_parse(conduit_sandbox_plan_t *plan, const u_char *prompt,
    size_t len, uint32_t duration_ms);


/*
 * The n-th step of a plan, n = 0, 1, ...: the progress updates in order, then
 * the one outcome.  Times never decrease, progress rises strictly.
 *
 * CONDUIT_OK        *step is filled
 * CONDUIT_DECLINED  there is no such step, the outcome was before it
 */
int conduit_sandbox_step(const conduit_sandbox_plan_t *plan, uint32_t n,
    conduit_sandbox_step_t *step);


/*
 * Milliseconds from now_ms (since the task's start) to the plan's outcome;
 * 0 when it has passed.
 */
uint32_t conduit_sandbox_left(const conduit_sandbox_plan_t *plan,
    uint32_t now_ms);


#endif /* _CONDUIT_SANDBOX_H_INCLUDED_ */
