
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_JSON_H_INCLUDED_
#define _CONDUIT_JSON_H_INCLUDED_


#include <jansson.h>

#include "conduit.h"


#define CONDUIT_JSON_DEPTH_MAX  32


/* why a text was refused; text is a constant, offset counts bytes from 0 */

typedef struct {
    const char  *text;
    size_t       offset;
} conduit_json_error_t;


/* one member of the top object: parts of the text that was parsed */

typedef struct {
    conduit_str_t  name;          /* with its quotes, escapes as sent */
    conduit_str_t  value;         /* as sent, without blanks around it */
} conduit_json_member_t;


/*
 * Parses one JSON document strictly (RFC 8259 without its leeway).  Refused
 * are: a name twice in one object at any depth, invalid UTF-8, more than 32
 * levels (the top value is the first), NUL as a byte or as \u0000, half of a
 * surrogate pair, integers beyond int64_t and numbers beyond double, anything
 * behind the document.  Returns the value, to be freed by json_decref(), or
 * NULL with *err filled in.
 */
json_t *conduit_json_parse(const u_char *p, size_t len,
    conduit_json_error_t *err);

/*
 * Whether a text is certainly an object that conduit_json_parse() takes, told
 * at a tenth of its price.  Returns 1, or 0 for "ask the parser": texts with
 * a fault, and rare forms (escapes in names, surrogate pairs, exponents, over
 * 8 levels, many members).
 */
int conduit_json_plain(const u_char *p, size_t len);

/*
 * Walks over the members of an object in the order of the text, which must
 * have passed conduit_json_parse().  *pos starts at the text's first byte and
 * is moved on.  Returns CONDUIT_OK with the next member, or CONDUIT_DECLINED
 * at the end of the object or when the text is no object.
 */
int conduit_json_next(const u_char **pos, const u_char *last,
    conduit_json_member_t *member);

/*
 * Whether a name as sent, with quotes and escapes, is the name given (ASCII).
 * With prefix set it is enough that it begins with it.  Returns 1 or 0.
 */
int conduit_json_name_eq(const conduit_str_t *name, const char *is, int prefix);

/*
 * Copies a text that has passed conduit_json_parse() without the blanks
 * outside strings; everything else stays byte for byte, so numbers keep their
 * digits.  dst has room for len bytes, or is NULL to learn the length only.
 * Returns the number of bytes.
 */
size_t conduit_json_compact(u_char *dst, const u_char *p, size_t len);

/*
 * Writes a string as JSON text, without the quotes around it.  Control
 * characters, '"' and '\' are escaped; every other byte is copied, but bytes
 * that are no valid UTF-8 become U+FFFD.  dst has room for
 * 6 * len bytes, or is NULL to learn the length.  Returns the number of bytes.
 */
size_t conduit_json_escape(u_char *dst, const u_char *p, size_t len);

/*
 * Writes the text of a string, which comes with its quotes and must be part
 * of a valid document, as UTF-8.  dst has room for len bytes.  Returns the
 * number of bytes.
 */
size_t conduit_json_unescape(u_char *dst, const u_char *p, size_t len);

/* the length of the valid UTF-8 sequence (RFC 3629) at p, or 0; len is not 0 */
size_t conduit_utf8_sequence(const u_char *p, size_t len);

/* the number of code points of valid UTF-8 */
size_t conduit_utf8_length(const u_char *p, size_t len);

/*
 * The length of the longest part of valid UTF-8 at the start that has at most
 * max bytes and does not end within a code point.
 */
size_t conduit_utf8_cut(const u_char *p, size_t len, size_t max);


#endif /* _CONDUIT_JSON_H_INCLUDED_ */
