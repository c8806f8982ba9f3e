
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_PROVIDER_PARSE_H_INCLUDED_
#define _CONDUIT_PROVIDER_PARSE_H_INCLUDED_


/* What the files that read a provider's directives share. */


#include "conduit_provider.h"


typedef struct {
    conduit_provider_t     *provider;
    conduit_block_e         block;
    const conduit_str_t    *args;
    unsigned                n;
    char                   *error;
} conduit_parse_t;


/* writes the message, with the directive's name first; CONDUIT_ERROR */

int conduit_parse_error(conduit_parse_t *ps, const char *fmt, ...);

int conduit_parse_nomem(conduit_parse_t *ps);


/* args[i] is "word"; args[i] is "key=..." and its value */

int conduit_parse_is(const conduit_str_t *arg, const char *word);
int conduit_parse_option(const conduit_str_t *arg, const char *key,
    conduit_str_t *value);


/* values; each writes its message */

int conduit_parse_time(conduit_parse_t *ps, const conduit_str_t *text,
    uint64_t *ms);
int conduit_parse_number(conduit_parse_t *ps, const conduit_str_t *text,
    unsigned min, unsigned max, unsigned *number);
int conduit_parse_real(const conduit_str_t *text, double *number);
int conduit_parse_scale(conduit_parse_t *ps, const conduit_str_t *text,
    double *scale);
int conduit_parse_token(const conduit_str_t *text);
int conduit_parse_pointer(conduit_parse_t *ps, const conduit_str_t *text);
int conduit_parse_template(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_template_t *t);
int conduit_parse_state(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_state_e *state);
int conduit_parse_code(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_error_code_e *code);
int conduit_parse_statuses(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_list_t *list);
int conduit_parse_method(conduit_parse_t *ps, const conduit_str_t *text);

/* METHOD URL from args[at] on; the document of a body */
int conduit_parse_request(conduit_parse_t *ps, unsigned at,
    conduit_request_t *request);
int conduit_parse_literal(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_request_t *request);

/* POINTER exists | == V | != V | > V | < V [code=CANON], from args[1] on */
int conduit_parse_rule(conduit_parse_t *ps, conduit_list_t *list,
    unsigned code);


/* directives of a provider's block that have files of their own */

int conduit_parse_base(conduit_parse_t *ps);
int conduit_parse_hosts(conduit_parse_t *ps);
int conduit_parse_secret(conduit_parse_t *ps);
int conduit_parse_certificate(conduit_parse_t *ps);
int conduit_parse_auth(conduit_parse_t *ps);
int conduit_parse_header(conduit_parse_t *ps);

int conduit_parse_submit(conduit_parse_t *ps);
int conduit_parse_poll(conduit_parse_t *ps);
int conduit_parse_fetch(conduit_parse_t *ps);
int conduit_parse_cancel(conduit_parse_t *ps);
int conduit_parse_result(conduit_parse_t *ps);
int conduit_parse_progress(conduit_parse_t *ps);


/* and of the blocks inside */

int conduit_parse_field(conduit_parse_t *ps);
int conduit_parse_extra(conduit_parse_t *ps);
int conduit_parse_accept(conduit_parse_t *ps);
int conduit_parse_ok(conduit_parse_t *ps);
int conduit_parse_take(conduit_parse_t *ps);
int conduit_parse_idempotency(conduit_parse_t *ps);
int conduit_parse_every(conduit_parse_t *ps);
int conduit_parse_deadline(conduit_parse_t *ps);
int conduit_parse_http(conduit_parse_t *ps);
int conduit_parse_empty(conduit_parse_t *ps);
int conduit_parse_map_entry(conduit_parse_t *ps);
int conduit_parse_status_entry(conduit_parse_t *ps);
int conduit_parse_error_entry(conduit_parse_t *ps);


/* what a URL or pointer may name: values are known after these steps */

typedef enum {
    CONDUIT_KNOWN_REQUEST = 0,
    CONDUIT_KNOWN_SUBMIT,
    CONDUIT_KNOWN_POLL,
    CONDUIT_KNOWN_FETCH
} conduit_known_e;


typedef struct {
    conduit_provider_t  *provider;
    char                *error;
} conduit_check_t;


/* checks of the whole; the first writes the message, CONDUIT_ERROR */

int conduit_check_error(conduit_check_t *ck, const char *fmt, ...);

int conduit_check_template(conduit_check_t *ck, const char *what,
    conduit_template_t *t, conduit_known_e known);
int conduit_check_templates(conduit_check_t *ck, const char *what,
    conduit_list_t *list, conduit_known_e known);

/* the take of that name, or NULL */

conduit_take_t *conduit_check_taken(conduit_list_t *list,
    const conduit_str_t *name);


#endif /* _CONDUIT_PROVIDER_PARSE_H_INCLUDED_ */
