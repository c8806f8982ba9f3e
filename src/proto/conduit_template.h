
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_TEMPLATE_H_INCLUDED_
#define _CONDUIT_TEMPLATE_H_INCLUDED_


/*
 * Texts with "${name}" and "${name:raw}".  A name is made of letters, digits
 * and "_", or is "poll:" or "submit:" with a JSON pointer behind it.
 */


#include "conduit.h"


/*
 * Memory comes from the caller: nginx's pools, or anything that is released
 * as a whole.  NULL when there is none.
 */

typedef struct {
    void           *(*alloc)(void *data, size_t size);
    void            *data;
} conduit_pool_t;


typedef struct conduit_part_s  conduit_part_t;

struct conduit_part_s {
    conduit_part_t  *next;
    conduit_str_t    text;         /* literal, or the name of a value */
    unsigned         value:1;
    unsigned         raw:1;
};


typedef struct {
    conduit_str_t    source;
    conduit_part_t  *parts;
} conduit_template_t;


/* how a value is written into the text */

typedef enum {
    CONDUIT_TEMPLATE_PLAIN = 0,    /* as it is */
    CONDUIT_TEMPLATE_URL,          /* percent-encoded */
    CONDUIT_TEMPLATE_POINTER       /* as a token of a JSON pointer */
} conduit_template_e;


/* CONDUIT_OK with the value, or CONDUIT_DECLINED: there is none */

typedef int (*conduit_template_value_pt)(void *data, const conduit_str_t *name,
    conduit_str_t *value);


/*
 * The source must live as long as the template.  CONDUIT_DECLINED for "${"
 * without end or with a bad name, CONDUIT_ERROR for lack of memory.
 */

int conduit_template_compile(conduit_pool_t *pool, const conduit_str_t *source,
    conduit_template_t *t);

/*
 * Writes the text, NUL-terminated, into memory of the pool.  In a URL a value
 * at the very beginning is a URL itself and kept as ":raw" ones are.
 * CONDUIT_DECLINED when a value is missing, CONDUIT_ERROR for lack of memory.
 */

int conduit_template_expand(conduit_pool_t *pool, const conduit_template_t *t,
    conduit_template_e mode, conduit_template_value_pt value, void *data,
    conduit_str_t *text);


/* memory from the pool, zeroed; a copy of a text with NUL behind it */

void *conduit_pool_zalloc(conduit_pool_t *pool, size_t size);
int conduit_pool_copy(conduit_pool_t *pool, const u_char *data, size_t len,
    conduit_str_t *copy);


#endif /* _CONDUIT_TEMPLATE_H_INCLUDED_ */
