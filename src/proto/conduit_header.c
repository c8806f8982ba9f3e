
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_header.h"


static const u_char *conduit_skip_ows(const u_char *p, const u_char *last);
static const u_char *conduit_element_end(const u_char *p, const u_char *last,
    u_char stop);
static int conduit_prefer_value(const u_char *p, const u_char *last,
    uint32_t *seconds);
static int conduit_zero_weight(const u_char *p, const u_char *last);
static int conduit_word_eq(const u_char *p, size_t len, const char *word);
static int conduit_number(const u_char *p, const u_char *last, uint64_t *n);


int
conduit_prefer_wait(const u_char *p, size_t len, uint32_t *seconds)
{
    const u_char  *end, *last, *name;

    last = p + len;

    while (p < last) {
        end = conduit_element_end(p, last, ',');
        p = conduit_skip_ows(p, end);

        for (name = p; p < end; p++) {
            if (*p == '=' || *p == ';' || *p == ' ' || *p == '\t') {
                break;
            }
        }

        if (conduit_word_eq(name, (size_t) (p - name), "wait")) {
            return conduit_prefer_value(p, conduit_element_end(p, end, ';'),
                                        seconds);
        }

        p = (end < last) ? end + 1 : last;
    }

    return CONDUIT_DECLINED;
}


/* reads "=N", with the optional blanks and quotes of RFC 7240 */

static int
conduit_prefer_value(const u_char *p, const u_char *last, uint32_t *seconds)
{
    uint64_t  n;

    p = conduit_skip_ows(p, last);

    if (p == last || *p != '=') {
        return CONDUIT_DECLINED;
    }

    p = conduit_skip_ows(p + 1, last);

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    if (last - p >= 2 && *p == '"' && last[-1] == '"') {
        p++;
        last--;
    }

    if (conduit_number(p, last, &n) == CONDUIT_ERROR || n == 0) {
        return CONDUIT_DECLINED;
    }

    *seconds = (n > UINT32_MAX) ? UINT32_MAX : (uint32_t) n;

    return CONDUIT_OK;
}


static const u_char *
conduit_skip_ows(const u_char *p, const u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


/* where the list element ends: at a stop outside quotes, or at last */

static const u_char *
conduit_element_end(const u_char *p, const u_char *last, u_char stop)
{
    int  quoted;

    quoted = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (*p == '\\' && quoted && p + 1 < last) {
            p++;

        } else if (*p == stop && !quoted) {
            break;
        }
    }

    return p;
}


int
conduit_etag_match(const u_char *p, size_t len, uint64_t sequence)
{
    int            found;
    uint64_t       n;
    const u_char  *last, *tag;

    last = p + len;

    for ( ;; ) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        if (p == last) {
            return 0;
        }

        if (*p == '*') {
            return conduit_skip_ows(p + 1, last) == last;
        }

        if (last - p >= 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;
        }

        if (p == last || *p != '"') {
            return 0;
        }

        for (tag = ++p; p < last && *p != '"'; p++) { /* void */ }

        if (p == last) {
            return 0;
        }

        /* "07" is another tag than "7" */

        found = (conduit_number(tag, p, &n) == CONDUIT_OK && n == sequence
                 && (*tag != '0' || p - tag == 1));
        if (found) {
            return 1;
        }

        p++;
    }
}


int
conduit_idempotency_key(const u_char *p, size_t len, u_char *buf, size_t *n)
{
    int            quoted;
    const u_char  *last;

    last = p + len;
    quoted = (len >= 1 && *p == '"');

    if (quoted) {
        if (len < 2 || last[-1] != '"') {
            return CONDUIT_ERROR;
        }

        p++;
        last--;
    }

    for (*n = 0; p < last; p++) {

        if (quoted && *p == '"') {
            return CONDUIT_ERROR;
        }

        if (quoted && *p == '\\') {
            p++;

            if (p == last || (*p != '"' && *p != '\\')) {
                return CONDUIT_ERROR;
            }
        }

        if (*p < 0x20 || *p > 0x7e || *n == CONDUIT_IDEMPOTENCY_KEY_MAX) {
            return CONDUIT_ERROR;
        }

        buf[(*n)++] = *p;
    }

    return (*n == 0) ? CONDUIT_ERROR : CONDUIT_OK;
}


int
conduit_bearer(const u_char *p, size_t len, conduit_str_t *token)
{
    const u_char  *last;

    if (len < 6 || !conduit_word_eq(p, 6, "bearer")) {
        return CONDUIT_DECLINED;
    }

    last = p + len;
    p += 6;

    if (p < last && *p != ' ' && *p != '\t') {
        return CONDUIT_DECLINED;
    }

    p = conduit_skip_ows(p, last);

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    token->data = (u_char *) p;
    token->len = (size_t) (last - p);

    return CONDUIT_OK;
}


int
conduit_last_event_id(const u_char *p, size_t len, uint64_t *id)
{
    return (conduit_number(p, p + len, id) == CONDUIT_OK) ? CONDUIT_OK
                                                          : CONDUIT_DECLINED;
}


int
conduit_accepts_event_stream(const u_char *p, size_t len)
{
    const u_char  *end, *last, *range;

    last = p + len;

    while (p < last) {
        end = conduit_element_end(p, last, ',');
        range = conduit_skip_ows(p, end);

        for (p = range; p < end && *p != ';' && *p != ' ' && *p != '\t'; p++) {
            /* void */
        }

        if (conduit_word_eq(range, (size_t) (p - range), "text/event-stream")
            && !conduit_zero_weight(p, end))
        {
            return 1;
        }

        p = (end < last) ? end + 1 : last;
    }

    return 0;
}


/* whether the parameters of a media range hold "q=0", "q=0.0" and so on */

static int
conduit_zero_weight(const u_char *p, const u_char *last)
{
    const u_char  *end;

    while (p < last) {
        end = conduit_element_end(p, last, ';');
        p = conduit_skip_ows(p, end);

        if (end - p >= 3 && (p[0] | 0x20) == 'q' && p[1] == '=') {

            for (p += 2; p < end && (*p == '0' || *p == '.'); p++) {
                /* void */
            }

            return conduit_skip_ows(p, end) == end;
        }

        p = (end < last) ? end + 1 : last;
    }

    return 0;
}


/* compares without case; word is in lower case */

static int
conduit_word_eq(const u_char *p, size_t len, const char *word)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < len; i++) {
        ch = p[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (word[i] == '\0' || ch != (u_char) word[i]) {
            return 0;
        }
    }

    return word[len] == '\0';
}


/*
 * CONDUIT_OK with a decimal number, CONDUIT_ERROR when it is none, and
 * CONDUIT_DECLINED with the maximum when it does not fit.
 */

static int
conduit_number(const u_char *p, const u_char *last, uint64_t *n)
{
    uint64_t  v;

    if (p == last) {
        return CONDUIT_ERROR;
    }

    for (v = 0, *n = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return CONDUIT_ERROR;
        }

        if (*n == UINT64_MAX || v > (UINT64_MAX - (*p - '0')) / 10) {
            *n = UINT64_MAX;
            continue;
        }

        v = v * 10 + (uint64_t) (*p - '0');
    }

    if (*n == UINT64_MAX) {
        return CONDUIT_DECLINED;
    }

    *n = v;

    return CONDUIT_OK;
}
