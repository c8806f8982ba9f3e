
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_TIME_H_INCLUDED_
#define _CONDUIT_TIME_H_INCLUDED_


#include "conduit.h"


/*
 * Reads a point in time as ISO 8601 writes it in UTC, in this form only:
 * "2027-01-01T00:00:00Z", with a fraction of a second or without; the fraction
 * is dropped.  Years from 1970 to 9999; a leap second is the next minute's
 * first.  Returns CONDUIT_OK with seconds since the epoch, or CONDUIT_ERROR.
 */
int conduit_time_parse(const u_char *p, size_t len, int64_t *seconds);


#endif /* _CONDUIT_TIME_H_INCLUDED_ */
