
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_H_INCLUDED_
#define _CONDUIT_H_INCLUDED_


/*
 * What all of src/proto shares: plain C99 without nginx, without I/O, clock
 * or randomness.  Return codes have the values of nginx's own.
 */


#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>


#define CONDUIT_OK         0
#define CONDUIT_ERROR     -1
#define CONDUIT_AGAIN     -2
#define CONDUIT_DECLINED  -5


/* a counted string that need not end in NUL; NULL data with len 0 is empty */

typedef struct {
    size_t    len;
    u_char   *data;
} conduit_str_t;


#endif /* _CONDUIT_H_INCLUDED_ */
