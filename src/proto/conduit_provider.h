
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_PROVIDER_H_INCLUDED_
#define _CONDUIT_PROVIDER_H_INCLUDED_


/*
 * Providers as data.  A description says how to submit a task, poll it, read
 * its results and cancel it; it is made of the directives of a provider's
 * block (conduit_provider_directive, conduit_provider_check) and then only
 * read: calls are built from it (conduit_provider_call), replies are judged
 * by it (conduit_provider_reply).  Nothing here sends anything.
 */


#include "conduit.h"
#include "conduit_task.h"
#include "conduit_template.h"
#include "conduit_link.h"

#include <jansson.h>


/* the longest message of directive() and check(), with its NUL */

#define CONDUIT_PROVIDER_ERROR    256

/* bytes of one taken value, characters of an upstream error text */

#define CONDUIT_PROVIDER_TAKEN    4096
#define CONDUIT_PROVIDER_MESSAGE  500

/* the shortest poll interval, ms */

#define CONDUIT_PROVIDER_EVERY    100

/* results of one task */

#define CONDUIT_PROVIDER_RESULTS  64


typedef enum {
    CONDUIT_TYPE_DESCRIBED = 0,
    CONDUIT_TYPE_SANDBOX,
    CONDUIT_TYPE_WORKER
} conduit_provider_type_e;


/* a list that grows in the memory of a pool */

typedef struct {
    void                       *elts;
    unsigned                    n;
    unsigned                    max;
} conduit_list_t;


typedef struct {
    conduit_str_t               name;
    conduit_str_t               value;
} conduit_pair_t;


typedef enum {
    CONDUIT_STATE_QUEUED = 0,
    CONDUIT_STATE_PROCESSING,
    CONDUIT_STATE_COMPLETED,
    CONDUIT_STATE_FAILED,
    CONDUIT_STATE_CANCELLED,
    CONDUIT_STATE_HOLD,             /* no news: ask again later */
    CONDUIT_STATE_RETRY             /* not accepted: submit again later */
} conduit_state_e;


/* map NAME { FROM TO; ... default TO|pass|reject; } */

typedef struct {
    conduit_str_t               name;
    conduit_list_t              pairs;       /* conduit_pair_t */
    conduit_str_t               other;       /* default TO */
    unsigned                    reject:1;
    unsigned                    pass:1;
} conduit_map_t;


typedef enum {
    CONDUIT_FIELD_AS_IS = 0,
    CONDUIT_FIELD_STRING,
    CONDUIT_FIELD_INT,
    CONDUIT_FIELD_NUMBER,
    CONDUIT_FIELD_BOOL,
    CONDUIT_FIELD_JSON
} conduit_field_type_e;


typedef enum {
    CONDUIT_SOURCE_MEMBER = 0,      /* of the client's request */
    CONDUIT_SOURCE_MODEL,
    CONDUIT_SOURCE_TASK,
    CONDUIT_SOURCE_TEXT             /* literal, with "${name}" in it or not */
} conduit_source_e;


typedef struct {
    conduit_str_t               pointer;
    conduit_source_e            source;
    conduit_str_t               member;
    conduit_template_t          text;
    conduit_field_type_e        type;
    conduit_str_t               map_name;
    conduit_map_t              *map;         /* set by check() */
    conduit_str_t               fallback;    /* default=V */
    double                      scale;
    unsigned                    has_default:1;
    unsigned                    scaled:1;
    unsigned                    required:1;
} conduit_field_t;


typedef enum {
    CONDUIT_COMPARE_EXISTS = 0,     /* and is not null */
    CONDUIT_COMPARE_EQ,
    CONDUIT_COMPARE_NE,
    CONDUIT_COMPARE_GT,
    CONDUIT_COMPARE_LT
} conduit_compare_e;


/* ok, fail_if, complete_if, empty */

typedef struct {
    conduit_template_t          pointer;
    conduit_compare_e           compare;
    conduit_str_t               value;
    conduit_state_e             state;       /* empty */
    conduit_error_code_e        code;        /* NONE: by the error rules */
} conduit_rule_t;


typedef struct {
    conduit_str_t               name;
    conduit_list_t              pointers;    /* conduit_str_t */
    conduit_str_t               header;
} conduit_take_t;


typedef struct {
    unsigned                    status;
    conduit_state_e             state;
    uint64_t                    grace;       /* ms since submit; 0: always */
} conduit_http_rule_t;


typedef struct {
    conduit_str_t               value;
    conduit_state_e             state;
    conduit_error_code_e        code;
} conduit_status_entry_t;


typedef struct {
    conduit_str_t               value;
    conduit_error_code_e        code;
    unsigned                    retry:1;
} conduit_error_entry_t;


typedef enum {
    CONDUIT_RESULT_URL = 0,
    CONDUIT_RESULT_BASE64
} conduit_result_e;


typedef struct {
    conduit_result_e            type;
    conduit_list_t              pointers;    /* conduit_template_t */
    conduit_str_t               mime;        /* type or pointer; may be "" */
    uint64_t                    expires;     /* seconds; 0: not known */
} conduit_result_rule_t;


typedef enum {
    CONDUIT_BODY_NONE = 0,
    CONDUIT_BODY_JSON,
    CONDUIT_BODY_FORM
} conduit_body_e;


/* one request to the provider and what its reply means */

typedef struct {
    conduit_str_t               method;
    conduit_template_t          url;
    conduit_body_e              encoding;
    conduit_str_t               literal;     /* json '{...}', or "" */
    conduit_list_t              fields;      /* conduit_field_t */
    conduit_list_t              ok;          /* conduit_rule_t */
    conduit_list_t              take;        /* conduit_take_t */
    conduit_list_t              results;     /* conduit_result_rule_t */
    unsigned                    set:1;
} conduit_request_t;


typedef enum {
    CONDUIT_PROGRESS_NONE = 0,
    CONDUIT_PROGRESS_POINTER,
    CONDUIT_PROGRESS_LOGS,
    CONDUIT_PROGRESS_STEPS,
    CONDUIT_PROGRESS_ESTIMATE,
    CONDUIT_PROGRESS_SIDE
} conduit_progress_e;


typedef enum {
    CONDUIT_AUTH_NONE = 0,
    CONDUIT_AUTH_HEADER,
    CONDUIT_AUTH_QUERY
} conduit_auth_e;


/*
 * The first group of the expression in the line.  CONDUIT_OK, or
 * CONDUIT_DECLINED where it does not match.  Given by the caller, for there
 * are no expressions in C itself.
 */

typedef int (*conduit_regex_pt)(void *regex, const conduit_str_t *line,
    conduit_str_t *group);


typedef struct conduit_provider_s  conduit_provider_t;

struct conduit_provider_s {
    conduit_pool_t              pool;
    conduit_str_t               name;
    conduit_provider_type_e     type;
    unsigned                    kinds;       /* 1 << conduit_kind_e */
    uint32_t                    seen;        /* directives, one bit each */

    conduit_link_t               base;
    conduit_str_t               base_text;   /* without a slash at the end */
    conduit_list_t              hosts;       /* conduit_str_t */
    conduit_str_t               secret_from; /* "file:PATH", "env:NAME" */
    conduit_str_t               secret;      /* set by the caller */
    conduit_str_t               certificate; /* file of CAs; "": system's */
    conduit_auth_e              auth;
    conduit_str_t               auth_name;
    conduit_template_t          auth_format;
    conduit_list_t              headers;     /* conduit_pair_t */
    conduit_list_t              maps;        /* conduit_map_t */

    /* limits are 0 where there is none; times in ms */

    unsigned                    rpm;
    unsigned                    concurrency;
    unsigned                    queue;
    uint64_t                    connect_timeout;
    uint64_t                    submit_timeout;
    uint64_t                    read_timeout;
    uint64_t                    download_timeout;
    uint64_t                    lease;       /* type worker */
    uint64_t                    duration;    /* type sandbox */

    conduit_request_t           submit;
    conduit_str_t               idempotency; /* header, or "" */
    conduit_list_t              accept;      /* unsigned */
    conduit_str_t               extra;       /* pointer */
    conduit_list_t              deny;        /* conduit_str_t */
    unsigned                    merge:1;
    unsigned                    sync:1;

    conduit_request_t           poll;
    uint64_t                    every;
    uint64_t                    first;
    uint64_t                    every_max;
    double                      factor;
    uint64_t                    deadline;    /* since submit; 0: none */
    conduit_list_t              http;        /* conduit_http_rule_t */
    conduit_list_t              empty;       /* conduit_rule_t */

    conduit_template_t          status;      /* pointer */
    conduit_list_t              statuses;    /* conduit_status_entry_t */
    conduit_state_e             status_other;
    conduit_list_t              complete_if; /* conduit_rule_t */
    conduit_list_t              fail_if;     /* conduit_rule_t */

    conduit_progress_e          progress;
    conduit_str_t               progress_pointer;
    conduit_str_t               progress_total;
    conduit_str_t               progress_pattern;
    double                      progress_scale;
    uint64_t                    estimate;
    conduit_regex_pt            regex;       /* set by the caller */
    void                       *regex_data;
    conduit_request_t           side;

    conduit_request_t           fetch;
    conduit_list_t              results;     /* conduit_result_rule_t */
    conduit_request_t           download;
    conduit_str_t               download_mime;
    unsigned                    download_auth:1;
    unsigned                    redirects;

    conduit_list_t              error_message;   /* conduit_template_t */
    conduit_list_t              error_code;      /* conduit_template_t */
    conduit_list_t              errors;      /* conduit_error_entry_t */

    conduit_request_t           cancel;
    unsigned                    cancel_when; /* 1 << conduit_state_e */
    conduit_list_t              cancel_ok;   /* unsigned */
};


/* blocks: what directive() is told about where a directive stands */

typedef enum {
    CONDUIT_BLOCK_PROVIDER = 0,
    CONDUIT_BLOCK_MAP,
    CONDUIT_BLOCK_SUBMIT,
    CONDUIT_BLOCK_POLL,
    CONDUIT_BLOCK_STATUS,
    CONDUIT_BLOCK_FETCH,
    CONDUIT_BLOCK_ERROR_MAP
} conduit_block_e;


/* A description with all defaults, or NULL for lack of memory. */

conduit_provider_t *conduit_provider_create(const conduit_pool_t *pool,
    const conduit_str_t *name);


/*
 * Takes one directive: args[0] is its name, the texts must live as long as the
 * description.  In maps the name is a value.  A directive that opens a block
 * is given first, those inside it follow with *inner as their block (equal to
 * "block" where none opens).  CONDUIT_ERROR with a message that says what
 * would be right, begun with the directive's name.
 */

int conduit_provider_directive(conduit_provider_t *p, conduit_block_e block,
    const conduit_str_t *args, unsigned n, conduit_block_e *inner,
    char error[CONDUIT_PROVIDER_ERROR]);


/*
 * Is the description whole?  To be called once after the last directive; ties
 * fields to maps and notes which values of a reply later URLs need.
 * CONDUIT_ERROR with a message.
 */

int conduit_provider_check(conduit_provider_t *p,
    char error[CONDUIT_PROVIDER_ERROR]);


/* steps of a task at its provider */

typedef enum {
    CONDUIT_STEP_SUBMIT = 0,
    CONDUIT_STEP_POLL,
    CONDUIT_STEP_FETCH,
    CONDUIT_STEP_DOWNLOAD,
    CONDUIT_STEP_CANCEL,
    CONDUIT_STEP_SIDE
} conduit_step_e;


/*
 * What is known of a task.  "taken" is an object of strings that survives
 * between the steps (as JSON text); replies add to it.
 */

typedef struct {
    json_t                     *request;     /* the client's members */
    json_t                     *taken;
    conduit_str_t               model;       /* upstream name */
    conduit_str_t               task;        /* id */
    conduit_str_t               idempotency; /* value of that header */
    uint64_t                    elapsed;     /* ms since submit */
} conduit_job_t;


typedef struct {
    conduit_str_t               method;
    conduit_str_t               url;
    conduit_list_t              headers;     /* conduit_pair_t */
    conduit_str_t               body;
    uint64_t                    timeout;     /* ms */
    unsigned                    has_body:1;
    unsigned                    once:1;      /* never to be sent twice: each
                                                repeat is an attempt */
} conduit_call_t;


typedef struct {
    unsigned                    status;
    conduit_str_t               body;
    uint64_t                    now;         /* seconds since the epoch */

    /* value of a header by its name, or CONDUIT_DECLINED; may be NULL */
    int                       (*header)(void *data, const char *name,
                                    conduit_str_t *value);
    void                       *data;
} conduit_reply_t;


typedef struct {
    conduit_result_e            type;
    conduit_str_t               value;       /* URL, or base64 text */
    conduit_str_t               mime;        /* "" if not known */
    uint64_t                    expires;     /* seconds from now; 0: unknown */
} conduit_result_t;


typedef struct {
    conduit_state_e             state;

    /* COMPLETED: 1 if a fetch or a download has to follow for the results */
    unsigned                    fetch:1;
    unsigned                    download:1;

    /* the reply could not be read (to be counted), the word was unknown */
    unsigned                    unreadable:1;
    unsigned                    unknown:1;

    /* FAILED; HOLD and RETRY: what to say when there is no next time */
    conduit_error_code_e        code;
    conduit_str_t               message;     /* UTF-8, never empty then */
    conduit_str_t               param;       /* member of the request at fault,
                                                or "" */

    int                         progress;    /* 0..99, or -1 */
    int64_t                     eta;         /* ms, or -1 */
    int64_t                     after;       /* ms asked for by Retry-After, or
                                                -1 */
    conduit_list_t              results;     /* conduit_result_t */
    json_t                     *doc;         /* holds the results' texts */
} conduit_verdict_t;


/*
 * Builds the request of a step in memory of the pool.  CONDUIT_DECLINED: it
 * cannot be made, "verdict" says why (FAILED); CONDUIT_ERROR: no memory.  For
 * cancel: CONDUIT_DECLINED also where there is nothing to call.
 */

int conduit_provider_call(const conduit_provider_t *p, conduit_pool_t *pool,
    conduit_step_e step, const conduit_job_t *job, conduit_call_t *call,
    conduit_verdict_t *verdict);


/*
 * Judges a complete reply.  Of a download only the status is judged, the body
 * is the result.  The verdict's texts lie in the pool or in verdict->doc, to
 * be released with conduit_verdict_free().  CONDUIT_ERROR: no memory.
 */

int conduit_provider_reply(const conduit_provider_t *p, conduit_pool_t *pool,
    conduit_step_e step, conduit_job_t *job, const conduit_reply_t *reply,
    conduit_verdict_t *verdict);


/*
 * Judges a call without a complete reply.  "sent": the provider may have got
 * the request, so a submit is not repeated unless the provider knows
 * duplicates by a header.
 */

void conduit_provider_failure(const conduit_provider_t *p,
    conduit_step_e step, unsigned sent, conduit_verdict_t *verdict);


/* a verdict FAILED with the code's own sentence */

void conduit_verdict_fail(conduit_verdict_t *verdict,
    conduit_error_code_e code);

void conduit_verdict_init(conduit_verdict_t *verdict);
void conduit_verdict_free(conduit_verdict_t *verdict);


/*
 * May this URL, taken from a reply, be asked with our credentials?  Absolute,
 * on a listed host, and not in the clear where the base is not.
 */

int conduit_provider_allowed(const conduit_provider_t *p,
    const conduit_str_t *url);


/*
 * The target of a redirect: "location" seen from "from", absolute, in memory
 * of the pool.  CONDUIT_DECLINED if it cannot be read or is not allowed.
 */

int conduit_provider_redirect(const conduit_provider_t *p,
    conduit_pool_t *pool, const conduit_str_t *from,
    const conduit_str_t *location, conduit_str_t *url);


/*
 * Milliseconds to the next poll: n polls have been made, "hold" of them in a
 * row just now without news.  "after" (-1: none) can only lengthen it.
 */

uint64_t conduit_provider_interval(const conduit_provider_t *p, unsigned n,
    unsigned hold, int64_t after);


/*
 * Milliseconds before attempt n + 1 (n = 1, 2, ...): 1, 2, 4 s and so on to
 * 64 s, within 20 % by "random"; "after" (-1: none) can only lengthen it.
 */

uint64_t conduit_provider_backoff(unsigned n, uint32_t random, int64_t after);


/*
 * Retry-After (RFC 9110, 10.2.3: seconds, here also with a fraction, or one of
 * the three dates) and retry-after-ms, which wins.  Milliseconds, or -1 when
 * absent, unreadable or past.  Values over one day are one day.
 */

int64_t conduit_retry_after(const conduit_reply_t *reply);


/*
 * Would another provider perhaps do what this one refused?  1 or 0; the codes
 * after which a fallback model is tried.
 */

int conduit_provider_fallback(conduit_error_code_e code);


/* list of the description: grows by one zeroed element, or NULL */

void *conduit_list_push(conduit_pool_t *pool, conduit_list_t *list,
    size_t size);


#endif /* _CONDUIT_PROVIDER_H_INCLUDED_ */
