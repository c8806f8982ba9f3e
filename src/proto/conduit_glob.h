
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_GLOB_H_INCLUDED_
#define _CONDUIT_GLOB_H_INCLUDED_


#include "conduit.h"


/*
 * Whether the name matches the pattern, in which each '*' stands for any run
 * of bytes, also an empty one, and every other byte for itself.  Returns 1
 * or 0.  Takes at most len(pattern) * len(name) steps.
 */
int conduit_glob_match(const u_char *pattern, size_t plen, const u_char *name,
    size_t nlen);


#endif /* _CONDUIT_GLOB_H_INCLUDED_ */
