
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_TASK_H_INCLUDED_
#define _CONDUIT_TASK_H_INCLUDED_


#include "conduit.h"


/* what a task is: the numbers live in shared memory and in the store */

typedef enum {
    CONDUIT_KIND_IMAGE = 0,
    CONDUIT_KIND_VIDEO = 1
} conduit_kind_e;


typedef enum {
    CONDUIT_PENDING = 0,
    CONDUIT_PROCESSING = 1,
    CONDUIT_COMPLETED = 2,
    CONDUIT_FAILED = 3,
    CONDUIT_CANCELLED = 4
} conduit_status_e;

#define CONDUIT_STATUS_N  5


/* why a task changes; the reason decides what is allowed */

typedef enum {
    CONDUIT_EV_START = 0,         /* the provider has taken it up */
    CONDUIT_EV_PROGRESS,          /* progress, message, estimate */
    CONDUIT_EV_REQUEUE,           /* a worker's lease has lapsed or the worker
                                     gave it back */
    CONDUIT_EV_COMPLETE,
    CONDUIT_EV_FAIL,
    CONDUIT_EV_CANCEL,
    CONDUIT_EV_RETRY              /* the user's own, of a failed task */
} conduit_event_e;

#define CONDUIT_EVENT_N  7


/* the spellings in which a status document names the status */

typedef enum {
    CONDUIT_WORDS_PLAIN = 0,      /* pending processing completed ... */
    CONDUIT_WORDS_RUNNING,        /* pending running completed ... */
    CONDUIT_WORDS_CAPITAL         /* Pending Running Completed ... */
} conduit_words_e;


typedef enum {
    CONDUIT_ERR_NONE = 0,
    CONDUIT_ERR_CONTENT_POLICY_VIOLATION,
    CONDUIT_ERR_INVALID_REQUEST,
    CONDUIT_ERR_UNSUPPORTED_MODEL,
    CONDUIT_ERR_PROVIDER_AUTH,
    CONDUIT_ERR_PROVIDER_QUOTA,
    CONDUIT_ERR_RATE_LIMITED,
    CONDUIT_ERR_PROVIDER_UNAVAILABLE,
    CONDUIT_ERR_PROVIDER_ERROR,
    CONDUIT_ERR_PROVIDER_UNKNOWN,
    CONDUIT_ERR_TIMEOUT,
    CONDUIT_ERR_RESULT_TOO_LARGE,
    CONDUIT_ERR_RESULT_EXPIRED,
    CONDUIT_ERR_CANCELLED,
    CONDUIT_ERR_INTERNAL_ERROR
} conduit_error_code_e;

#define CONDUIT_ERR_N  15


/* 1 for completed, failed and cancelled, else 0 */
int conduit_status_terminal(conduit_status_e status);

/*
 * The state machine.  Returns CONDUIT_OK with the status that the event leads
 * to in *next, or CONDUIT_DECLINED: then the task stays as it is.  Terminal
 * states are final but for one: CONDUIT_EV_RETRY leads from failed to pending.
 * Only CONDUIT_EV_REQUEUE and CONDUIT_EV_RETRY lead back to pending.
 */
int conduit_task_next(conduit_status_e status, conduit_event_e event,
    conduit_status_e *next);

/*
 * The progress to keep when "wanted" (any number, percent) is reported: never
 * less than the old one, within 0..99.  100 belongs to completed tasks alone.
 */
unsigned conduit_task_progress(unsigned old, int64_t wanted);

/* the word for a status in one of the spellings */
const conduit_str_t *conduit_status_word(conduit_status_e status,
    conduit_words_e words);

/*
 * The status named by one of the plain words ("processing"), exactly.
 * Returns CONDUIT_OK or CONDUIT_DECLINED.
 */
int conduit_status_parse(const u_char *p, size_t len, conduit_status_e *status);

/* "image" or "video" */
const conduit_str_t *conduit_kind_word(conduit_kind_e kind);

int conduit_kind_parse(const u_char *p, size_t len, conduit_kind_e *kind);

/* the word of an error code; CONDUIT_ERR_NONE has an empty one */
const conduit_str_t *conduit_error_word(conduit_error_code_e code);

/* the sentence that a task shows where the provider gave no text */
const conduit_str_t *conduit_error_sentence(conduit_error_code_e code);

/* CONDUIT_OK, or CONDUIT_DECLINED when p is no word of the vocabulary */
int conduit_error_parse(const u_char *p, size_t len,
    conduit_error_code_e *code);

/* the HTTP status of a synchronous create that ended with this code */
int conduit_error_http_status(conduit_error_code_e code);


#endif /* _CONDUIT_TASK_H_INCLUDED_ */
