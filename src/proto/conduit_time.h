
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

/*
 * Writes milliseconds since the epoch, from 0 to the year 9999, as
 * "2027-01-01T00:00:00.000Z": CONDUIT_TIME_LEN bytes.  Returns the end.
 */
#define CONDUIT_TIME_LEN  24

u_char *conduit_time_write(u_char *dst, int64_t ms);

/* Writes a number in decimal digits, at most 20.  Returns the end. */
u_char *conduit_number_write(u_char *dst, uint64_t n);


#endif /* _CONDUIT_TIME_H_INCLUDED_ */
