
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_task.h"


#define conduit_word(s)  { sizeof(s) - 1, (u_char *) s }

#define NO  -1


typedef struct {
    conduit_str_t  word;
    conduit_str_t  sentence;
    int            http_status;
} conduit_error_entry_t;


static int conduit_word_find(const conduit_str_t *words, size_t n,
    const u_char *p, size_t len);


/* rows: the present status; columns: the event */

static const signed char  conduit_transitions[CONDUIT_STATUS_N]
                                             [CONDUIT_EVENT_N] =
{
    /* START, PROGRESS, REQUEUE, COMPLETE, FAIL, CANCEL, RETRY */

    { CONDUIT_PROCESSING, CONDUIT_PENDING, CONDUIT_PENDING,
      CONDUIT_COMPLETED, CONDUIT_FAILED, CONDUIT_CANCELLED, NO },

    { CONDUIT_PROCESSING, CONDUIT_PROCESSING, CONDUIT_PENDING,
      CONDUIT_COMPLETED, CONDUIT_FAILED, CONDUIT_CANCELLED, NO },

    { NO, NO, NO, NO, NO, NO, NO },

    { NO, NO, NO, NO, NO, NO, CONDUIT_PENDING },

    { NO, NO, NO, NO, NO, NO, NO }
};


static const conduit_str_t  conduit_status_words[][CONDUIT_STATUS_N] = {

    { conduit_word("pending"), conduit_word("processing"),
      conduit_word("completed"), conduit_word("failed"),
      conduit_word("cancelled") },

    { conduit_word("pending"), conduit_word("running"),
      conduit_word("completed"), conduit_word("failed"),
      conduit_word("cancelled") },

    { conduit_word("Pending"), conduit_word("Running"),
      conduit_word("Completed"), conduit_word("Failed"),
      conduit_word("Cancelled") }
};


static const conduit_str_t  conduit_kind_words[] = {
    conduit_word("image"),
    conduit_word("video")
};


static const conduit_error_entry_t  conduit_errors[CONDUIT_ERR_N] = {

    { conduit_word(""), conduit_word(""), 200 },

    { conduit_word("content_policy_violation"),
      conduit_word("Content policy violation detected"), 400 },

    { conduit_word("invalid_request"),
      conduit_word("The provider refused the request as invalid"), 400 },

    { conduit_word("unsupported_model"),
      conduit_word("The provider does not serve this model"), 404 },

    { conduit_word("provider_auth"),
      conduit_word("The provider refused the gateway's credentials"), 502 },

    { conduit_word("provider_quota"),
      conduit_word("The provider's quota is used up"), 502 },

    { conduit_word("rate_limited"),
      conduit_word("The provider is limiting the rate of requests"), 429 },

    { conduit_word("provider_unavailable"),
      conduit_word("The provider is not available"), 502 },

    { conduit_word("provider_error"),
      conduit_word("The provider reported an error"), 502 },

    { conduit_word("provider_unknown"),
      conduit_word("The outcome of the provider's job is not known"), 502 },

    { conduit_word("timeout"),
      conduit_word("The task did not end in time"), 504 },

    { conduit_word("result_too_large"),
      conduit_word("The provider's result is too large"), 502 },

    { conduit_word("result_expired"),
      conduit_word("The provider no longer has the result"), 502 },

    { conduit_word("cancelled"),
      conduit_word("Task was cancelled"), 409 },

    { conduit_word("internal_error"),
      conduit_word("The gateway failed to run the task"), 500 }
};


int
conduit_status_terminal(conduit_status_e status)
{
    return status >= CONDUIT_COMPLETED;
}


int
conduit_task_next(conduit_status_e status, conduit_event_e event,
    conduit_status_e *next)
{
    int  to;

    if ((unsigned) status >= CONDUIT_STATUS_N
        || (unsigned) event >= CONDUIT_EVENT_N)
    {
        return CONDUIT_DECLINED;
    }

    to = conduit_transitions[status][event];

    if (to == NO) {
        return CONDUIT_DECLINED;
    }

    *next = (conduit_status_e) to;

    return CONDUIT_OK;
}


unsigned
conduit_task_progress(unsigned old, int64_t wanted)
{
    if (wanted > 99) {
        wanted = 99;
    }

    return (wanted > (int64_t) old) ? (unsigned) wanted : old;
}


const conduit_str_t *
conduit_status_word(conduit_status_e status, conduit_words_e words)
{
    return &conduit_status_words[words][status];
}


int
conduit_status_parse(const u_char *p, size_t len, conduit_status_e *status)
{
    int  i;

    i = conduit_word_find(conduit_status_words[CONDUIT_WORDS_PLAIN],
                          CONDUIT_STATUS_N, p, len);
    if (i < 0) {
        return CONDUIT_DECLINED;
    }

    *status = (conduit_status_e) i;

    return CONDUIT_OK;
}


const conduit_str_t *
conduit_kind_word(conduit_kind_e kind)
{
    return &conduit_kind_words[kind];
}


int
conduit_kind_parse(const u_char *p, size_t len, conduit_kind_e *kind)
{
    int  i;

    i = conduit_word_find(conduit_kind_words, 2, p, len);

    if (i < 0) {
        return CONDUIT_DECLINED;
    }

    *kind = (conduit_kind_e) i;

    return CONDUIT_OK;
}


static int
conduit_word_find(const conduit_str_t *words, size_t n, const u_char *p,
    size_t len)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (words[i].len == len && memcmp(words[i].data, p, len) == 0) {
            return (int) i;
        }
    }

    return -1;
}


const conduit_str_t *
conduit_error_word(conduit_error_code_e code)
{
    return &conduit_errors[code].word;
}


const conduit_str_t *
conduit_error_sentence(conduit_error_code_e code)
{
    return &conduit_errors[code].sentence;
}


int
conduit_error_parse(const u_char *p, size_t len, conduit_error_code_e *code)
{
    size_t  i;

    for (i = 1; i < CONDUIT_ERR_N; i++) {
        if (conduit_errors[i].word.len == len
            && memcmp(conduit_errors[i].word.data, p, len) == 0)
        {
            *code = (conduit_error_code_e) i;
            return CONDUIT_OK;
        }
    }

    return CONDUIT_DECLINED;
}


int
conduit_error_http_status(conduit_error_code_e code)
{
    return conduit_errors[code].http_status;
}
