
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_PROVIDER_JUDGE_H_INCLUDED_
#define _CONDUIT_PROVIDER_JUDGE_H_INCLUDED_


/* What the files that judge replies share. */


#include "conduit_provider.h"
#include "conduit_provider_value.h"


typedef struct {
    const conduit_provider_t  *provider;
    conduit_pool_t            *pool;
    conduit_step_e             step;
    conduit_job_t             *job;
    const conduit_reply_t     *reply;
    conduit_verdict_t         *verdict;
    json_t                    *doc;          /* the reply, or NULL */
} conduit_judge_t;


/*
 * The reply tells of a failure: finds out which, and whether the step is to
 * be tried again.  "code" is what the rule that fired says, or NONE.  These
 * return CONDUIT_OK or CONDUIT_ERROR for lack of memory.
 */

int conduit_judge_failure(conduit_judge_t *j, conduit_error_code_e code);

/*
 * Takes the values that a reply has.  CONDUIT_DECLINED: the id is needed and
 * not there.  Others may be missing, it shows where they are used: a job that
 * has been accepted is not given up for the URL of its cancel call.
 */

int conduit_judge_values(conduit_judge_t *j, const conduit_list_t *takes,
    unsigned needed);

/* fills verdict->results by the first rule that yields a value, if any */

int conduit_judge_results(conduit_judge_t *j, const conduit_list_t *rules);

int conduit_judge_progress(conduit_judge_t *j);


#endif /* _CONDUIT_PROVIDER_JUDGE_H_INCLUDED_ */
