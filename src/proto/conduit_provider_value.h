
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_PROVIDER_VALUE_H_INCLUDED_
#define _CONDUIT_PROVIDER_VALUE_H_INCLUDED_


/* What building requests and judging replies share. */


#include "conduit_provider.h"


typedef struct {
    const conduit_provider_t  *provider;
    conduit_pool_t            *pool;
    const conduit_job_t       *job;
    conduit_verdict_t         *verdict;
} conduit_build_t;


/* values of templates; data is a conduit_job_t */

int conduit_job_value(void *data, const conduit_str_t *name,
    conduit_str_t *value);


/*
 * The text of a pointer with its "${...}" filled in; *text may be the source
 * itself.  CONDUIT_DECLINED when a value is missing.
 */

int conduit_job_pointer(conduit_pool_t *pool, const conduit_template_t *t,
    const conduit_job_t *job, conduit_str_t *text);


/*
 * The value of a field, a new reference in *value, NULL where there is
 * nothing to write.  CONDUIT_DECLINED with the verdict: the request does not
 * fit the provider.
 */

int conduit_field_value(conduit_build_t *b, const conduit_field_t *field,
    json_t **value);


/*
 * The body of a request.  Returns as conduit_provider_call().
 */

int conduit_build_body(conduit_build_t *b, const conduit_request_t *request,
    unsigned submit, conduit_str_t *body);


/* a number, or a string that is one, perhaps with "%" behind it */

int conduit_value_number(json_t *value, double *number);


#endif /* _CONDUIT_PROVIDER_VALUE_H_INCLUDED_ */
