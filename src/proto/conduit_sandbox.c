
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_sandbox.h"


static void conduit_sandbox_word(conduit_sandbox_plan_t *plan,
    const u_char *p, const u_char *last);
static int conduit_sandbox_time(const u_char *p, const u_char *last,
    uint32_t *ms);
static int conduit_sandbox_number(const u_char *p, const u_char *last,
    uint32_t max, uint32_t *value);
static int conduit_sandbox_code(conduit_sandbox_plan_t *plan,
    const u_char *p, const u_char *last);
static int conduit_sandbox_name(const u_char **p, const u_char *last,
    const char *name);
static int conduit_sandbox_blank(u_char ch);
static uint32_t conduit_sandbox_end(const conduit_sandbox_plan_t *plan);
static uint32_t conduit_sandbox_reached(const conduit_sandbox_plan_t *plan);


void
conduit_sandbox_parse(conduit_sandbox_plan_t *plan, const u_char *prompt,
    size_t len, uint32_t duration_ms)
{
    const u_char  *p, *last, *word;

    memset(plan, 0, sizeof(conduit_sandbox_plan_t));

    plan->updates = CONDUIT_SANDBOX_UPDATES;
    plan->duration_ms = duration_ms < CONDUIT_SANDBOX_DURATION_MAX
                        ? duration_ms : CONDUIT_SANDBOX_DURATION_MAX;

    p = prompt;
    last = prompt + len;

    if (len >= 5 && memcmp(p, "slow:", 5) == 0) {
        plan->duration_ms = CONDUIT_SANDBOX_SLOW;
        p += 5;
    }

    while (p < last) {

        if (conduit_sandbox_blank(*p)) {
            p++;
            continue;
        }

        word = p;

        while (p < last && !conduit_sandbox_blank(*p)) {
            p++;
        }

        conduit_sandbox_word(plan, word, p);
    }

    if (!plan->failing) {
        return;
    }

    if (plan->error[0] == '\0') {
        memcpy(plan->error, "provider_error", sizeof("provider_error"));
    }
}


static void
conduit_sandbox_word(conduit_sandbox_plan_t *plan, const u_char *p,
    const u_char *last)
{
    uint32_t  value;

    if (conduit_sandbox_name(&p, last, "sandbox:") != CONDUIT_OK) {
        return;
    }

    while (last > p && strchr(".,;:!?)]}\"'", last[-1]) != NULL) {
        last--;
    }

    if (conduit_sandbox_name(&p, last, "duration=") == CONDUIT_OK) {

        if (conduit_sandbox_time(p, last, &value) == CONDUIT_OK) {
            plan->duration_ms = value;
        }

        return;
    }

    if (conduit_sandbox_name(&p, last, "progress=") == CONDUIT_OK) {

        if (conduit_sandbox_number(p, last, CONDUIT_SANDBOX_UPDATES_MAX,
                                   &value)
            == CONDUIT_OK)
        {
            plan->updates = value;
        }

        return;
    }

    if (conduit_sandbox_name(&p, last, "error_at=") == CONDUIT_OK) {

        if (conduit_sandbox_number(p, last, 100, &value) == CONDUIT_OK) {
            plan->failing = 1;
            plan->error_at = value;
        }

        return;
    }

    if (conduit_sandbox_name(&p, last, "error=") == CONDUIT_OK
        && conduit_sandbox_code(plan, p, last) == CONDUIT_OK
        && !plan->failing)
    {
        plan->failing = 1;
        plan->error_at = 100;
    }
}


/* the subset of nginx's time syntax that makes sense for a task */

static int
conduit_sandbox_time(const u_char *p, const u_char *last, uint32_t *ms)
{
    uint32_t       value, unit;
    const u_char  *end;

    for (end = p; end < last && *end >= '0' && *end <= '9'; end++) {
        /* void */
    }

    switch (last - end) {

    case 0:
        unit = 1000;
        break;

    case 1:
        unit = *end == 's' ? 1000 : *end == 'm' ? 60000
                                  : *end == 'h' ? 3600000 : 0;
        break;

    case 2:
        unit = (end[0] == 'm' && end[1] == 's') ? 1 : 0;
        break;

    default:
        return CONDUIT_DECLINED;
    }

    if (unit == 0
        || conduit_sandbox_number(p, end, CONDUIT_SANDBOX_DURATION_MAX / unit,
                                  &value)
           != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    *ms = value * unit;

    return CONDUIT_OK;
}


static int
conduit_sandbox_number(const u_char *p, const u_char *last, uint32_t max,
    uint32_t *value)
{
    uint32_t  n;

    if (p == last || last - p > 9) {
        return CONDUIT_DECLINED;
    }

    for (n = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return CONDUIT_DECLINED;
        }

        n = n * 10 + (*p - '0');
    }

    if (n > max) {
        return CONDUIT_DECLINED;
    }

    *value = n;

    return CONDUIT_OK;
}


static int
conduit_sandbox_code(conduit_sandbox_plan_t *plan, const u_char *p,
    const u_char *last)
{
    size_t         len;
    const u_char  *s;

    len = last - p;

    if (len == 0 || len > CONDUIT_SANDBOX_ERROR_MAX) {
        return CONDUIT_DECLINED;
    }

    for (s = p; s < last; s++) {

        if ((*s < 'a' || *s > 'z') && (*s < 'A' || *s > 'Z')
            && (*s < '0' || *s > '9') && *s != '_' && *s != '-' && *s != '.')
        {
            return CONDUIT_DECLINED;
        }
    }

    memcpy(plan->error, p, len);
    plan->error[len] = '\0';

    return CONDUIT_OK;
}


static int
conduit_sandbox_name(const u_char **p, const u_char *last, const char *name)
{
    size_t  len;

    len = strlen(name);

    if ((size_t) (last - *p) < len || memcmp(*p, name, len) != 0) {
        return CONDUIT_DECLINED;
    }

    *p += len;

    return CONDUIT_OK;
}


static int
conduit_sandbox_blank(u_char ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}


int
conduit_sandbox_step(const conduit_sandbox_plan_t *plan, uint32_t n,
    conduit_sandbox_step_t *step)
{
    uint32_t  reached;

    reached = conduit_sandbox_reached(plan);

    if (n > reached) {
        return CONDUIT_DECLINED;
    }

    if (n < reached) {
        step->event = CONDUIT_SANDBOX_PROGRESS;
        step->progress = (n + 1) * 100 / (plan->updates + 1);
        step->at_ms = (uint32_t) ((uint64_t) plan->duration_ms * (n + 1)
                                  / (plan->updates + 1));
        return CONDUIT_OK;
    }

    step->event = plan->failing ? CONDUIT_SANDBOX_FAILED
                                : CONDUIT_SANDBOX_COMPLETED;
    step->progress = 0;
    step->at_ms = conduit_sandbox_end(plan);

    return CONDUIT_OK;
}


uint32_t
conduit_sandbox_left(const conduit_sandbox_plan_t *plan, uint32_t now_ms)
{
    uint32_t  end;

    end = conduit_sandbox_end(plan);

    return end > now_ms ? end - now_ms : 0;
}


static uint32_t
conduit_sandbox_end(const conduit_sandbox_plan_t *plan)
{
    if (!plan->failing) {
        return plan->duration_ms;
    }

    return (uint32_t) ((uint64_t) plan->duration_ms * plan->error_at / 100);
}


/* how many of the updates come no later than the outcome */

static uint32_t
conduit_sandbox_reached(const conduit_sandbox_plan_t *plan)
{
    if (!plan->failing) {
        return plan->updates;
    }

    if (plan->error_at == 100) {
        return plan->updates;
    }

    return plan->error_at * (plan->updates + 1) / 100;
}
