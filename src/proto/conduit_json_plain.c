
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_json.h"


#define CONDUIT_PLAIN_DEPTH   8
#define CONDUIT_PLAIN_NAMES   48
#define CONDUIT_PLAIN_DIGITS  18     /* always fit int64_t */


typedef struct {
    const u_char   *p;
    const u_char   *last;
    unsigned        depth;
    unsigned        n;               /* names of the objects around p */
    conduit_str_t   names[CONDUIT_PLAIN_NAMES];
} conduit_plain_t;


static int conduit_plain_value(conduit_plain_t *s);
static int conduit_plain_object(conduit_plain_t *s);
static int conduit_plain_name(conduit_plain_t *s, unsigned first);
static int conduit_plain_array(conduit_plain_t *s);
static int conduit_plain_string(conduit_plain_t *s, int escapes);
static int conduit_plain_escape(conduit_plain_t *s);
static int conduit_plain_number(conduit_plain_t *s);
static int conduit_plain_digits(conduit_plain_t *s);
static int conduit_plain_word(conduit_plain_t *s, const char *word);
static int conduit_plain_blanks(conduit_plain_t *s);


int
conduit_json_plain(const u_char *p, size_t len)
{
    conduit_plain_t  s;

    s.p = p;
    s.last = p + len;
    s.depth = 0;
    s.n = 0;

    if (conduit_plain_blanks(&s) != '{' || !conduit_plain_object(&s)) {
        return 0;
    }

    (void) conduit_plain_blanks(&s);

    return s.p == s.last;
}


static int
conduit_plain_value(conduit_plain_t *s)
{
    switch (conduit_plain_blanks(s)) {

    case '"':
        return conduit_plain_string(s, 1);

    case '{':
        return conduit_plain_object(s);

    case '[':
        return conduit_plain_array(s);

    case 't':
        return conduit_plain_word(s, "true");

    case 'f':
        return conduit_plain_word(s, "false");

    case 'n':
        return conduit_plain_word(s, "null");

    default:
        return conduit_plain_number(s);
    }
}


/* s->p is at the opening brace; so with the following ones */

static int
conduit_plain_object(conduit_plain_t *s)
{
    int       ch;
    unsigned  first;

    if (++s->depth > CONDUIT_PLAIN_DEPTH) {
        return 0;
    }

    first = s->n;
    s->p++;

    if (conduit_plain_blanks(s) == '}') {
        goto done;
    }

    for ( ;; ) {

        if (conduit_plain_blanks(s) != '"'
            || !conduit_plain_name(s, first)
            || conduit_plain_blanks(s) != ':')
        {
            return 0;
        }

        s->p++;

        if (!conduit_plain_value(s)) {
            return 0;
        }

        ch = conduit_plain_blanks(s);

        if (ch == '}') {
            break;
        }

        if (ch != ',') {
            return 0;
        }

        s->p++;
    }

done:

    s->p++;
    s->n = first;
    s->depth--;

    return 1;
}


/* a name without escapes that is new to its object */

static int
conduit_plain_name(conduit_plain_t *s, unsigned first)
{
    unsigned       i;
    conduit_str_t  name;

    name.data = (u_char *) s->p;

    if (s->n == CONDUIT_PLAIN_NAMES || !conduit_plain_string(s, 0)) {
        return 0;
    }

    name.len = (size_t) (s->p - name.data);

    for (i = first; i < s->n; i++) {
        if (s->names[i].len == name.len
            && memcmp(s->names[i].data, name.data, name.len) == 0)
        {
            return 0;
        }
    }

    s->names[s->n++] = name;

    return 1;
}


static int
conduit_plain_array(conduit_plain_t *s)
{
    int  ch;

    if (++s->depth > CONDUIT_PLAIN_DEPTH) {
        return 0;
    }

    s->p++;

    if (conduit_plain_blanks(s) == ']') {
        goto done;
    }

    for ( ;; ) {

        if (!conduit_plain_value(s)) {
            return 0;
        }

        ch = conduit_plain_blanks(s);

        if (ch == ']') {
            break;
        }

        if (ch != ',') {
            return 0;
        }

        s->p++;
    }

done:

    s->p++;
    s->depth--;

    return 1;
}


static int
conduit_plain_string(conduit_plain_t *s, int escapes)
{
    size_t  n;

    s->p++;

    while (s->p < s->last) {

        if (*s->p == '"') {
            s->p++;
            return 1;
        }

        if (*s->p == '\\') {

            if (!escapes || !conduit_plain_escape(s)) {
                return 0;
            }

            continue;
        }

        if (*s->p < 0x20) {
            return 0;
        }

        if (*s->p < 0x80) {
            s->p++;
            continue;
        }

        n = conduit_utf8_sequence(s->p, (size_t) (s->last - s->p));

        if (n == 0) {
            return 0;
        }

        s->p += n;
    }

    return 0;
}


/* surrogates, which come in pairs, and NUL are left to the parser */

static int
conduit_plain_escape(conduit_plain_t *s)
{
    int       i;
    u_char    ch;
    unsigned  code;

    if (s->last - s->p < 2) {
        return 0;
    }

    if (s->p[1] != 'u') {
        ch = s->p[1];
        s->p += 2;

        return ch == '"' || ch == '\\' || ch == '/' || ch == 'b' || ch == 'f'
               || ch == 'n' || ch == 'r' || ch == 't';
    }

    if (s->last - s->p < 6) {
        return 0;
    }

    code = 0;

    for (i = 2; i < 6; i++) {
        ch = s->p[i];

        if (ch >= '0' && ch <= '9') {
            code = code * 16 + (ch - '0');

        } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
            code = code * 16 + ((ch | 0x20) - 'a' + 10);

        } else {
            return 0;
        }
    }

    s->p += 6;

    return code != 0 && (code < 0xd800 || code > 0xdfff);
}


/* one with an exponent is left to the parser, which knows its range */

static int
conduit_plain_number(conduit_plain_t *s)
{
    const u_char  *start;

    if (s->p < s->last && *s->p == '-') {
        s->p++;
    }

    start = s->p;

    if (!conduit_plain_digits(s) || (*start == '0' && s->p - start > 1)) {
        return 0;
    }

    if (s->p < s->last && *s->p == '.') {
        s->p++;

        if (!conduit_plain_digits(s)) {
            return 0;
        }
    }

    return s->p == s->last || (*s->p | 0x20) != 'e';
}


static int
conduit_plain_digits(conduit_plain_t *s)
{
    const u_char  *start;

    for (start = s->p; s->p < s->last; s->p++) {
        if (*s->p < '0' || *s->p > '9') {
            break;
        }
    }

    return s->p > start && s->p - start <= CONDUIT_PLAIN_DIGITS;
}


static int
conduit_plain_word(conduit_plain_t *s, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (s->last - s->p) < len || memcmp(s->p, word, len) != 0) {
        return 0;
    }

    s->p += len;

    return 1;
}


/* returns the byte behind the blanks, or -1 at the end */

static int
conduit_plain_blanks(conduit_plain_t *s)
{
    while (s->p < s->last
           && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r'
               || *s->p == '\t'))
    {
        s->p++;
    }

    return (s->p < s->last) ? *s->p : -1;
}
