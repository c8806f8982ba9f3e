
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Arguments of directives: their forms, and what is said of wrong ones. */


#include "conduit_provider_parse.h"
#include "conduit_pointer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>


static int conduit_duration_parse(const conduit_str_t *text, uint64_t *ms);
static int conduit_parse_compare(conduit_parse_t *ps, conduit_rule_t *rule);


int
conduit_parse_error(conduit_parse_t *ps, const char *fmt, ...)
{
    int      n;
    va_list  args;

    n = snprintf(ps->error, CONDUIT_PROVIDER_ERROR, "\"%.*s\" ",
                 ps->args[0].len > 64 ? 64 : (int) ps->args[0].len,
                 ps->args[0].data);

    if (n < 0 || n >= CONDUIT_PROVIDER_ERROR) {
        return CONDUIT_ERROR;
    }

    va_start(args, fmt);

    (void) vsnprintf(ps->error + n, CONDUIT_PROVIDER_ERROR - (size_t) n, fmt,
                     args);

    va_end(args);

    return CONDUIT_ERROR;
}


int
conduit_parse_nomem(conduit_parse_t *ps)
{
    return conduit_parse_error(ps, "got no memory");
}


int
conduit_parse_is(const conduit_str_t *arg, const char *word)
{
    size_t  len;

    len = strlen(word);

    return arg->len == len && memcmp(arg->data, word, len) == 0;
}


int
conduit_parse_option(const conduit_str_t *arg, const char *key,
    conduit_str_t *value)
{
    size_t  len;

    len = strlen(key);

    if (arg->len <= len || memcmp(arg->data, key, len) != 0
        || arg->data[len] != '=')
    {
        return 0;
    }

    value->data = arg->data + len + 1;
    value->len = arg->len - len - 1;

    return 1;
}


int
conduit_parse_time(conduit_parse_t *ps, const conduit_str_t *text,
    uint64_t *ms)
{
    if (conduit_duration_parse(text, ms) != CONDUIT_OK || *ms == 0) {
        return conduit_parse_error(ps, "has the bad time \"%.*s\", it must be"
                                   " like \"500ms\", \"5s\", \"2m\", \"1h\"",
                                   (int) text->len, text->data);
    }

    return CONDUIT_OK;
}


/* "500ms", "5s", "2m", "1h", "7d" or plain seconds */

static int
conduit_duration_parse(const conduit_str_t *text, uint64_t *ms)
{
    size_t    i;
    uint64_t  n, unit;

    n = 0;

    for (i = 0; i < text->len && i < 9; i++) {

        if (text->data[i] < '0' || text->data[i] > '9') {
            break;
        }

        n = n * 10 + (uint64_t) (text->data[i] - '0');
    }

    if (i == 0 || text->len - i > 2) {
        return CONDUIT_ERROR;
    }

    if (i == text->len) {
        unit = 1000;

    } else if (text->len - i == 2) {

        if (text->data[i] != 'm' || text->data[i + 1] != 's') {
            return CONDUIT_ERROR;
        }

        unit = 1;

    } else {

        switch (text->data[i]) {

        case 's':
            unit = 1000;
            break;

        case 'm':
            unit = 60 * 1000;
            break;

        case 'h':
            unit = 3600 * 1000;
            break;

        case 'd':
            unit = 86400 * 1000;
            break;

        default:
            return CONDUIT_ERROR;
        }
    }

    *ms = n * unit;

    return CONDUIT_OK;
}


int
conduit_parse_number(conduit_parse_t *ps, const conduit_str_t *text,
    unsigned min, unsigned max, unsigned *number)
{
    size_t    i;
    unsigned  n;

    n = 0;

    for (i = 0; i < text->len && i < 9; i++) {

        if (text->data[i] < '0' || text->data[i] > '9') {
            break;
        }

        n = n * 10 + (unsigned) (text->data[i] - '0');
    }

    if (i == 0 || i < text->len || n < min || n > max) {
        return conduit_parse_error(ps, "has the bad number \"%.*s\", it must"
                                   " be within %u..%u", (int) text->len,
                                   text->data, min, max);
    }

    *number = n;

    return CONDUIT_OK;
}


int
conduit_parse_real(const conduit_str_t *text, double *number)
{
    char    buf[64], *end;
    size_t  i;

    if (text->len == 0 || text->len >= sizeof(buf)) {
        return CONDUIT_ERROR;
    }

    /* strtod() alone would also read "nan", "0x1" and leading blanks */

    for (i = 0; i < text->len; i++) {
        if (strchr("0123456789+-.eE", text->data[i]) == NULL) {
            return CONDUIT_ERROR;
        }

        buf[i] = (char) text->data[i];
    }

    buf[i] = '\0';
    *number = strtod(buf, &end);

    return (*end == '\0' && *number > -1e300 && *number < 1e300)
           ? CONDUIT_OK : CONDUIT_ERROR;
}


int
conduit_parse_scale(conduit_parse_t *ps, const conduit_str_t *text,
    double *scale)
{
    if (conduit_parse_real(text, scale) != CONDUIT_OK || *scale == 0) {
        return conduit_parse_error(ps, "has the bad scale \"%.*s\"",
                                   (int) text->len, text->data);
    }

    return CONDUIT_OK;
}


int
conduit_parse_pointer(conduit_parse_t *ps, const conduit_str_t *text)
{
    if (conduit_pointer_check(text) != CONDUIT_OK) {
        return conduit_parse_error(ps, "has the bad JSON pointer \"%.*s\", it"
                                   " must be \"\" or begin with \"/\"",
                                   (int) text->len, text->data);
    }

    return CONDUIT_OK;
}


int
conduit_parse_template(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_template_t *t)
{
    int  rc;

    rc = conduit_template_compile(&ps->provider->pool, text, t);

    if (rc == CONDUIT_DECLINED) {
        return conduit_parse_error(ps, "has a bad \"${...}\" in \"%.*s\"",
                                   (int) text->len, text->data);
    }

    return (rc == CONDUIT_OK) ? CONDUIT_OK : conduit_parse_nomem(ps);
}


int
conduit_parse_state(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_state_e *state)
{
    size_t  i;

    static const struct {
        const char       *word;
        conduit_state_e   state;
    } words[] = {
        { "queued", CONDUIT_STATE_QUEUED },
        { "pending", CONDUIT_STATE_QUEUED },
        { "processing", CONDUIT_STATE_PROCESSING },
        { "completed", CONDUIT_STATE_COMPLETED },
        { "failed", CONDUIT_STATE_FAILED },
        { "cancelled", CONDUIT_STATE_CANCELLED }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        if (conduit_parse_is(text, words[i].word)) {
            *state = words[i].state;
            return CONDUIT_OK;
        }
    }

    return conduit_parse_error(ps, "has the unknown state \"%.*s\", it must"
                               " be queued, processing, completed, failed or"
                               " cancelled", (int) text->len, text->data);
}


int
conduit_parse_code(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_error_code_e *code)
{
    if (conduit_error_parse(text->data, text->len, code) != CONDUIT_OK) {
        return conduit_parse_error(ps, "has the unknown error code \"%.*s\"",
                                   (int) text->len, text->data);
    }

    return CONDUIT_OK;
}


/* "200,202,404" or one of them */

int
conduit_parse_statuses(conduit_parse_t *ps, const conduit_str_t *text,
    conduit_list_t *list)
{
    u_char         *p, *last, *comma;
    unsigned       *status;
    conduit_str_t   one;

    p = text->data;
    last = p + text->len;

    for ( ;; ) {

        comma = memchr(p, ',', (size_t) (last - p));

        one.data = p;
        one.len = (size_t) ((comma ? comma : last) - p);

        status = conduit_list_push(&ps->provider->pool, list,
                                   sizeof(unsigned));
        if (status == NULL) {
            return conduit_parse_nomem(ps);
        }

        if (conduit_parse_number(ps, &one, 100, 599, status) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        if (comma == NULL) {
            return CONDUIT_OK;
        }

        p = comma + 1;
    }
}


int
conduit_parse_method(conduit_parse_t *ps, const conduit_str_t *text)
{
    size_t  i;

    static const char  *methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {

        if (conduit_parse_is(text, methods[i])) {
            return CONDUIT_OK;
        }
    }

    return conduit_parse_error(ps, "has the unknown method \"%.*s\", it must"
                               " be GET, POST, PUT, PATCH or DELETE",
                               (int) text->len, text->data);
}


int
conduit_parse_rule(conduit_parse_t *ps, conduit_list_t *list, unsigned code)
{
    conduit_str_t    value;
    conduit_rule_t  *rule;

    rule = conduit_list_push(&ps->provider->pool, list,
                             sizeof(conduit_rule_t));
    if (rule == NULL) {
        return conduit_parse_nomem(ps);
    }

    if (conduit_parse_pointer(ps, &ps->args[1]) != CONDUIT_OK
        || conduit_parse_template(ps, &ps->args[1], &rule->pointer)
           != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (code && conduit_parse_option(&ps->args[ps->n - 1], "code", &value)) {

        if (conduit_parse_code(ps, &value, &rule->code) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        ps->n--;
    }

    return conduit_parse_compare(ps, rule);
}


static int
conduit_parse_compare(conduit_parse_t *ps, conduit_rule_t *rule)
{
    size_t  i;
    double  number;

    static const char  *words[] = { "exists", "==", "!=", ">", "<" };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        if (ps->n > 2 && conduit_parse_is(&ps->args[2], words[i])) {
            break;
        }
    }

    rule->compare = (conduit_compare_e) i;

    if (i == sizeof(words) / sizeof(words[0])
        || ps->n != (rule->compare == CONDUIT_COMPARE_EXISTS ? 3u : 4u))
    {
        return conduit_parse_error(ps, "must be \"POINTER exists\" or"
                                   " \"POINTER == VALUE\" (or !=, >, <)");
    }

    if (rule->compare == CONDUIT_COMPARE_EXISTS) {
        return CONDUIT_OK;
    }

    rule->value = ps->args[3];

    if ((rule->compare == CONDUIT_COMPARE_GT
         || rule->compare == CONDUIT_COMPARE_LT)
        && conduit_parse_real(&rule->value, &number) != CONDUIT_OK)
    {
        return conduit_parse_error(ps, "compares with \"%.*s\", which is no"
                                   " number", (int) rule->value.len,
                                   rule->value.data);
    }

    return CONDUIT_OK;
}
