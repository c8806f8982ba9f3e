
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_POINTER_H_INCLUDED_
#define _CONDUIT_POINTER_H_INCLUDED_


/*
 * JSON pointers (RFC 6901) with one addition: a token that is exactly "*"
 * stands for each element of an array or each member of an object; "~2"
 * writes a literal "*", as "~0" and "~1" write "~" and "/".  The empty
 * pointer is the whole document.
 */


#include "conduit.h"

#include <jansson.h>


/* tokens of one pointer, bytes of one token, the highest index written */

#define CONDUIT_POINTER_TOKENS  32
#define CONDUIT_POINTER_TOKEN   255
#define CONDUIT_POINTER_INDEX   255


/*
 * Called for each value that a pointer finds, in document order.  The value
 * is borrowed from the document.  CONDUIT_OK goes on; anything else ends the
 * walk and becomes the result of conduit_pointer_each().
 */

typedef int (*conduit_pointer_each_pt)(json_t *value, void *data);


/*
 * Is this a well-formed pointer?  CONDUIT_ERROR for one that is neither empty
 * nor begins with "/", for "~" without 0, 1 or 2 behind it, and for one over
 * the limits above.
 */

int conduit_pointer_check(const conduit_str_t *ptr);


/*
 * Calls the handler for each value found; none found is no error.  Returns
 * CONDUIT_OK, CONDUIT_ERROR for a malformed pointer, or what the handler
 * returned when it ended the walk.  Array indexes are decimal without leading
 * zeros (RFC 6901, 4); "-" finds nothing.
 */

int conduit_pointer_each(json_t *doc, const conduit_str_t *ptr,
    conduit_pointer_each_pt handler, void *data);


/* The first value found, borrowed, or NULL. */

json_t *conduit_pointer_get(json_t *doc, const conduit_str_t *ptr);


/*
 * Puts the value at the pointer and steals its reference, in every case.
 * Missing objects and arrays on the way are created: an array where the next
 * token is an index or "-", else an object; null counts as missing.  "-"
 * appends (RFC 6902, 4.1).  An array is filled up with null as far as the
 * index, which is at most CONDUIT_POINTER_INDEX.  *doc may be NULL; the empty
 * pointer replaces it.  CONDUIT_ERROR for a malformed pointer or one with
 * "*", for an index out of range, for a scalar in the way, for a value of
 * NULL, and for lack of memory; the document may then have gained empty
 * containers.
 */

int conduit_pointer_set(json_t **doc, const conduit_str_t *ptr, json_t *value);


/*
 * The JSON text of a scalar (a string without its quotes and escapes) in text,
 * which points into the value or into the buffer.  Integers keep all digits.
 * CONDUIT_DECLINED for null, arrays, objects and NULL.
 */

#define CONDUIT_POINTER_TEXT  32

int conduit_pointer_text(json_t *value, u_char buf[CONDUIT_POINTER_TEXT],
    conduit_str_t *text);


#endif /* _CONDUIT_POINTER_H_INCLUDED_ */
