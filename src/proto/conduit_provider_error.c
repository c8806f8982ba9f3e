
/*
 * Copyright (C) Conduit for nginx authors
 */


/* Replies that tell of a failure: which one, and what to do about it. */


#include "conduit_provider_judge.h"
#include "conduit_json.h"
#include "conduit_pointer.h"


static const conduit_error_entry_t *conduit_error_lookup(conduit_judge_t *j,
    conduit_str_t *word);
static const conduit_error_entry_t *conduit_error_entry(
    const conduit_provider_t *p, const conduit_str_t *text);
static conduit_error_code_e conduit_error_by_status(conduit_step_e step,
    unsigned status);
static int conduit_error_again(conduit_judge_t *j,
    const conduit_error_entry_t *entry, conduit_error_code_e code);
static int conduit_error_text(conduit_judge_t *j, conduit_str_t *text);
static int conduit_error_text_of(conduit_judge_t *j, json_t *value,
    conduit_str_t *text);
static int conduit_error_redact(conduit_judge_t *j, const conduit_str_t *secret,
    conduit_str_t *text);
static u_char *conduit_error_find(u_char *p, u_char *last,
    const conduit_str_t *what);
static void conduit_error_cut(conduit_str_t *text);


/* more of a text is not looked at, whatever the provider sends */

#define CONDUIT_ERROR_TEXT  8192


int
conduit_judge_failure(conduit_judge_t *j, conduit_error_code_e code)
{
    conduit_str_t                 word, text;
    conduit_error_code_e          own;
    const conduit_error_entry_t  *entry;

    word.len = 0;
    entry = conduit_error_lookup(j, &word);

    if (code != CONDUIT_ERR_NONE) {
        entry = NULL;

    } else if (entry) {
        code = entry->code;

    } else if (word.len
               && conduit_error_parse(word.data, word.len, &own)
                  == CONDUIT_OK)
    {
        code = own;

    } else {
        code = conduit_error_by_status(j->step, j->reply->status);
    }

    conduit_verdict_fail(j->verdict, code);

    if (conduit_error_again(j, entry, code)) {
        j->verdict->state = (j->step == CONDUIT_STEP_SUBMIT)
                            ? CONDUIT_STATE_RETRY : CONDUIT_STATE_HOLD;
    }

    if (conduit_error_text(j, &text) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (text.len) {
        j->verdict->message = text;
    }

    return CONDUIT_OK;
}


/* the first code that the map knows, else the first code at all */

static const conduit_error_entry_t *
conduit_error_lookup(conduit_judge_t *j, conduit_str_t *word)
{
    u_char                        buf[CONDUIT_POINTER_TEXT];
    unsigned                      i;
    conduit_str_t                 pointer, text;
    conduit_template_t           *t;
    const conduit_error_entry_t  *entry;

    t = j->provider->error_code.elts;

    for (i = 0; i < j->provider->error_code.n; i++) {

        if (conduit_job_pointer(j->pool, &t[i], j->job, &pointer)
            != CONDUIT_OK
            || conduit_pointer_text(conduit_pointer_get(j->doc, &pointer),
                                    buf, &text)
               != CONDUIT_OK)
        {
            continue;
        }

        entry = conduit_error_entry(j->provider, &text);
        if (entry) {
            return entry;
        }

        if (word->len == 0 && text.data != buf) {
            *word = text;
        }
    }

    return NULL;
}


static const conduit_error_entry_t *
conduit_error_entry(const conduit_provider_t *p, const conduit_str_t *text)
{
    unsigned                      i;
    const conduit_error_entry_t  *entry;

    entry = p->errors.elts;

    for (i = 0; i < p->errors.n; i++) {

        if (conduit_str_equal(&entry[i].value, text)) {
            return &entry[i];
        }
    }

    return NULL;
}


static conduit_error_code_e
conduit_error_by_status(conduit_step_e step, unsigned status)
{
    switch (status) {

    case 400:
    case 409:
    case 413:
    case 422:
        return CONDUIT_ERR_INVALID_REQUEST;

    case 401:
    case 403:
        return CONDUIT_ERR_PROVIDER_AUTH;

    case 402:
        return CONDUIT_ERR_PROVIDER_QUOTA;

    case 404:
        return (step == CONDUIT_STEP_SUBMIT) ? CONDUIT_ERR_UNSUPPORTED_MODEL
                                             : CONDUIT_ERR_PROVIDER_ERROR;

    case 408:
        return CONDUIT_ERR_PROVIDER_UNAVAILABLE;

    case 429:
        return CONDUIT_ERR_RATE_LIMITED;

    default:
        return (status >= 500) ? CONDUIT_ERR_PROVIDER_UNAVAILABLE
                               : CONDUIT_ERR_PROVIDER_ERROR;
    }
}


/*
 * A submit is made again only where the provider has surely not taken it: 429,
 * 503, what the map says, or where a header makes repeats harmless.  All else
 * only reads, so any passing failure is worth another try.
 */

static int
conduit_error_again(conduit_judge_t *j, const conduit_error_entry_t *entry,
    conduit_error_code_e code)
{
    unsigned  status;

    if (entry && entry->retry) {
        return 1;
    }

    if (code != CONDUIT_ERR_RATE_LIMITED
        && code != CONDUIT_ERR_PROVIDER_UNAVAILABLE)
    {
        return 0;
    }

    status = j->reply->status;

    if (status == 429 || status == 503) {
        return 1;
    }

    if (j->step == CONDUIT_STEP_SUBMIT && j->provider->idempotency.len == 0) {
        return 0;
    }

    return status >= 500 || status == 408;
}


static int
conduit_error_text(conduit_judge_t *j, conduit_str_t *text)
{
    int                        rc;
    unsigned                   i;
    conduit_str_t              pointer, escaped;
    conduit_template_t        *t;
    const conduit_provider_t  *p;

    p = j->provider;
    t = p->error_message.elts;
    text->len = 0;

    for (i = 0; i < p->error_message.n && text->len == 0; i++) {

        if (conduit_job_pointer(j->pool, &t[i], j->job, &pointer)
            != CONDUIT_OK)
        {
            continue;
        }

        rc = conduit_error_text_of(j, conduit_pointer_get(j->doc, &pointer),
                                   text);
        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    if (text->len == 0 || p->secret.len == 0) {
        conduit_error_cut(text);
        return CONDUIT_OK;
    }

    /* as it is, and as it stands in a URL */

    if (conduit_error_redact(j, &p->secret, text) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    escaped.len = conduit_link_escape(NULL, p->secret.data, p->secret.len, 0);

    if (escaped.len != p->secret.len) {

        escaped.data = j->pool->alloc(j->pool->data, escaped.len);
        if (escaped.data == NULL) {
            return CONDUIT_ERROR;
        }

        conduit_link_escape(escaped.data, p->secret.data, p->secret.len, 0);

        if (conduit_error_redact(j, &escaped, text) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }
    }

    conduit_error_cut(text);

    return CONDUIT_OK;
}


/* a scalar as text, anything else as JSON; nothing for null and "" */

static int
conduit_error_text_of(conduit_judge_t *j, json_t *value, conduit_str_t *text)
{
    size_t   len;
    u_char   buf[CONDUIT_POINTER_TEXT];

    if (conduit_pointer_text(value, buf, text) == CONDUIT_OK) {

        if (text->len > CONDUIT_ERROR_TEXT) {
            text->len = conduit_utf8_cut(text->data, text->len,
                                         CONDUIT_ERROR_TEXT);
        }

        return conduit_pool_copy(j->pool, text->data, text->len, text);
    }

    text->len = 0;

    if (json_object_size(value) == 0 && json_array_size(value) == 0) {
        return CONDUIT_OK;
    }

    len = json_dumpb(value, NULL, 0, JSON_COMPACT);

    if (len == 0 || len > CONDUIT_ERROR_TEXT) {
        return CONDUIT_OK;
    }

    text->data = j->pool->alloc(j->pool->data, len);
    if (text->data == NULL) {
        return CONDUIT_ERROR;
    }

    text->len = json_dumpb(value, (char *) text->data, len, JSON_COMPACT);

    return CONDUIT_OK;
}


static int
conduit_error_redact(conduit_judge_t *j, const conduit_str_t *secret,
    conduit_str_t *text)
{
    u_char         *p, *last, *found, *dst;
    conduit_str_t   clean;

    static const char  mark[] = "[redacted]";

    p = text->data;
    last = p + text->len;

    if (conduit_error_find(p, last, secret) == NULL) {
        return CONDUIT_OK;
    }

    /* a secret of one byte would make ten of each */

    clean.data = j->pool->alloc(j->pool->data, text->len * sizeof(mark));
    if (clean.data == NULL) {
        return CONDUIT_ERROR;
    }

    dst = clean.data;

    while ((found = conduit_error_find(p, last, secret)) != NULL) {

        memcpy(dst, p, (size_t) (found - p));
        dst += found - p;

        memcpy(dst, mark, sizeof(mark) - 1);
        dst += sizeof(mark) - 1;

        p = found + secret->len;
    }

    memcpy(dst, p, (size_t) (last - p));
    dst += last - p;

    clean.len = (size_t) (dst - clean.data);
    *text = clean;

    return CONDUIT_OK;
}


static u_char *
conduit_error_find(u_char *p, u_char *last, const conduit_str_t *what)
{
    for ( /* void */ ; (size_t) (last - p) >= what->len; p++) {

        p = memchr(p, what->data[0], (size_t) (last - p) - what->len + 1);
        if (p == NULL) {
            return NULL;
        }

        if (memcmp(p, what->data, what->len) == 0) {
            return p;
        }
    }

    return NULL;
}


/* to a number of characters; the text is UTF-8 */

static void
conduit_error_cut(conduit_str_t *text)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < text->len; i++) {

        if ((text->data[i] & 0xc0) == 0x80) {
            continue;
        }

        if (n++ == CONDUIT_PROVIDER_MESSAGE) {
            text->len = i;
            return;
        }
    }
}
