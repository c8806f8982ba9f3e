
/*
 * Copyright (C) Conduit for nginx authors
 */


/* How replies are read: poll rules, results, progress, maps of words. */


#include "conduit_provider_parse.h"
#include "conduit_pointer.h"


static int conduit_parse_result_rule(conduit_parse_t *ps,
    conduit_result_e type);
static int conduit_parse_result_option(conduit_parse_t *ps,
    const conduit_str_t *arg, conduit_result_rule_t *rule);
static int conduit_parse_download(conduit_parse_t *ps);
static int conduit_parse_progress_logs(conduit_parse_t *ps);
static int conduit_parse_progress_steps(conduit_parse_t *ps);
static int conduit_parse_progress_side(conduit_parse_t *ps);
static int conduit_parse_progress_option(conduit_parse_t *ps, unsigned at);


/* every TIME [first=TIME] [max=TIME] [factor=N] */

int
conduit_parse_every(conduit_parse_t *ps)
{
    unsigned             i;
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    if (conduit_parse_time(ps, &ps->args[1], &p->every) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    for (i = 2; i < ps->n; i++) {

        if (conduit_parse_option(&ps->args[i], "first", &value)) {

            if (conduit_parse_time(ps, &value, &p->first) != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

        } else if (conduit_parse_option(&ps->args[i], "max", &value)) {

            if (conduit_parse_time(ps, &value, &p->every_max) != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

        } else if (conduit_parse_option(&ps->args[i], "factor", &value)) {

            if (conduit_parse_real(&value, &p->factor) != CONDUIT_OK
                || p->factor < 1 || p->factor > 100)
            {
                return conduit_parse_error(ps, "factor= must be within"
                                           " 1..100");
            }

        } else {
            return conduit_parse_error(ps, "knows first=, max= and factor="
                                       " only");
        }
    }

    if (p->every < CONDUIT_PROVIDER_EVERY
        || (p->first && p->first < CONDUIT_PROVIDER_EVERY))
    {
        return conduit_parse_error(ps, "must be at least %ums",
                                   CONDUIT_PROVIDER_EVERY);
    }

    if (p->every_max && p->every_max < p->every) {
        return conduit_parse_error(ps, "has a max= below the interval");
    }

    return CONDUIT_OK;
}


int
conduit_parse_deadline(conduit_parse_t *ps)
{
    return conduit_parse_time(ps, &ps->args[1], &ps->provider->deadline);
}


/* http CODE STATE [grace=TIME] */

int
conduit_parse_http(conduit_parse_t *ps)
{
    conduit_str_t         value;
    conduit_http_rule_t  *rule;

    rule = conduit_list_push(&ps->provider->pool, &ps->provider->http,
                             sizeof(conduit_http_rule_t));
    if (rule == NULL) {
        return conduit_parse_nomem(ps);
    }

    if (conduit_parse_number(ps, &ps->args[1], 100, 599, &rule->status)
        != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (conduit_parse_is(&ps->args[2], "hold")) {
        rule->state = CONDUIT_STATE_HOLD;

    } else if (conduit_parse_state(ps, &ps->args[2], &rule->state)
               != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    if (ps->n == 3) {
        return CONDUIT_OK;
    }

    if (!conduit_parse_option(&ps->args[3], "grace", &value)) {
        return conduit_parse_error(ps, "knows \"grace=TIME\" only after the"
                                   " state");
    }

    return conduit_parse_time(ps, &value, &rule->grace);
}


/* empty POINTER STATE */

int
conduit_parse_empty(conduit_parse_t *ps)
{
    conduit_rule_t  *rule;

    rule = conduit_list_push(&ps->provider->pool, &ps->provider->empty,
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

    return conduit_parse_state(ps, &ps->args[2], &rule->state);
}


/*
 * result url|base64 POINTER ... [mime=POINTER|TYPE] [expires=TIME]
 * result download METHOD URL [auth] [redirects=N] [mime=TYPE]
 */

int
conduit_parse_result(conduit_parse_t *ps)
{
    const conduit_str_t  *what;

    what = &ps->args[1];

    if (conduit_parse_is(what, "url")) {
        return conduit_parse_result_rule(ps, CONDUIT_RESULT_URL);
    }

    if (conduit_parse_is(what, "base64")) {
        return conduit_parse_result_rule(ps, CONDUIT_RESULT_BASE64);
    }

    if (conduit_parse_is(what, "download")
        && ps->block == CONDUIT_BLOCK_PROVIDER)
    {
        return conduit_parse_download(ps);
    }

    if (conduit_parse_is(what, "file")) {
        return conduit_parse_error(ps, "file is not supported yet");
    }

    return conduit_parse_error(ps, "must be \"url POINTER\" or \"base64"
                               " POINTER\"%s",
                               ps->block == CONDUIT_BLOCK_PROVIDER
                               ? ", or \"download METHOD URL\"" : "");
}


static int
conduit_parse_result_rule(conduit_parse_t *ps, conduit_result_e type)
{
    unsigned                i;
    conduit_list_t         *list;
    conduit_template_t     *t;
    conduit_result_rule_t  *rule;

    list = (ps->block == CONDUIT_BLOCK_FETCH) ? &ps->provider->fetch.results
                                              : &ps->provider->results;

    rule = conduit_list_push(&ps->provider->pool, list,
                             sizeof(conduit_result_rule_t));
    if (rule == NULL) {
        return conduit_parse_nomem(ps);
    }

    rule->type = type;

    for (i = 2; i < ps->n; i++) {

        if (ps->args[i].len && ps->args[i].data[0] != '/') {

            if (conduit_parse_result_option(ps, &ps->args[i], rule)
                != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

            continue;
        }

        t = conduit_list_push(&ps->provider->pool, &rule->pointers,
                              sizeof(conduit_template_t));
        if (t == NULL) {
            return conduit_parse_nomem(ps);
        }

        if (conduit_parse_pointer(ps, &ps->args[i]) != CONDUIT_OK
            || conduit_parse_template(ps, &ps->args[i], t) != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    if (rule->pointers.n == 0) {
        return conduit_parse_error(ps, "needs a JSON pointer");
    }

    return CONDUIT_OK;
}


static int
conduit_parse_result_option(conduit_parse_t *ps, const conduit_str_t *arg,
    conduit_result_rule_t *rule)
{
    uint64_t       ms;
    conduit_str_t  value;

    if (conduit_parse_option(arg, "expires", &value)) {

        if (conduit_parse_time(ps, &value, &ms) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

        rule->expires = (ms + 999) / 1000;

        return CONDUIT_OK;
    }

    if (!conduit_parse_option(arg, "mime", &value)) {
        return conduit_parse_error(ps, "has the unknown word \"%.*s\", it must"
                                   " be a JSON pointer, mime= or expires=",
                                   (int) arg->len, arg->data);
    }

    if (value.len && value.data[0] == '/') {

        if (conduit_parse_pointer(ps, &value) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }

    } else if (value.len == 0 || memchr(value.data, '/', value.len) == NULL) {
        return conduit_parse_error(ps, "mime= must be a media type or a JSON"
                                   " pointer");
    }

    rule->mime = value;

    return CONDUIT_OK;
}


static int
conduit_parse_download(conduit_parse_t *ps)
{
    unsigned             i;
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    if (p->download.set) {
        return conduit_parse_error(ps, "download is duplicate");
    }

    if (conduit_parse_request(ps, 2, &p->download) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    for (i = 4; i < ps->n; i++) {

        if (conduit_parse_is(&ps->args[i], "auth")) {
            p->download_auth = 1;

        } else if (conduit_parse_option(&ps->args[i], "redirects", &value)) {

            if (conduit_parse_number(ps, &value, 0, 10, &p->redirects)
                != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

        } else if (conduit_parse_option(&ps->args[i], "mime", &value)
                   && value.len && memchr(value.data, '/', value.len))
        {
            p->download_mime = value;

        } else {
            return conduit_parse_error(ps, "download knows \"auth\","
                                       " \"redirects=N\" and \"mime=TYPE\""
                                       " after the URL");
        }
    }

    return CONDUIT_OK;
}


/*
 * progress POINTER [scale=K] | logs POINTER "regex=..." | steps P1 P2
 *     | estimate TIME | side METHOD URL POINTER [scale=K] [json DOCUMENT]
 */

int
conduit_parse_progress(conduit_parse_t *ps)
{
    conduit_provider_t   *p;
    const conduit_str_t  *what;

    p = ps->provider;
    what = &ps->args[1];

    if (conduit_parse_is(what, "logs")) {
        return conduit_parse_progress_logs(ps);
    }

    if (conduit_parse_is(what, "steps")) {
        return conduit_parse_progress_steps(ps);
    }

    if (conduit_parse_is(what, "side")) {
        return conduit_parse_progress_side(ps);
    }

    if (conduit_parse_is(what, "estimate")) {

        if (ps->n != 3) {
            return conduit_parse_error(ps, "estimate needs a time");
        }

        p->progress = CONDUIT_PROGRESS_ESTIMATE;

        return conduit_parse_time(ps, &ps->args[2], &p->estimate);
    }

    if (what->len == 0 || what->data[0] != '/') {
        return conduit_parse_error(ps, "must be a JSON pointer, or begin with"
                                   " logs, steps, estimate or side");
    }

    p->progress = CONDUIT_PROGRESS_POINTER;
    p->progress_pointer = *what;

    if (conduit_parse_pointer(ps, what) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    return conduit_parse_progress_option(ps, 2);
}


static int
conduit_parse_progress_logs(conduit_parse_t *ps)
{
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    if (ps->n != 4
        || !conduit_parse_option(&ps->args[3], "regex", &value)
        || value.len == 0)
    {
        return conduit_parse_error(ps, "logs needs a JSON pointer and"
                                   " \"regex=EXPRESSION\" in quotes");
    }

    p->progress = CONDUIT_PROGRESS_LOGS;
    p->progress_pointer = ps->args[2];
    p->progress_pattern = value;

    return conduit_parse_pointer(ps, &p->progress_pointer);
}


static int
conduit_parse_progress_steps(conduit_parse_t *ps)
{
    conduit_provider_t  *p;

    p = ps->provider;

    if (ps->n != 4) {
        return conduit_parse_error(ps, "steps needs two JSON pointers, of the"
                                   " step and of their number");
    }

    p->progress = CONDUIT_PROGRESS_STEPS;
    p->progress_pointer = ps->args[2];
    p->progress_total = ps->args[3];

    if (conduit_parse_pointer(ps, &p->progress_pointer) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    return conduit_parse_pointer(ps, &p->progress_total);
}


static int
conduit_parse_progress_side(conduit_parse_t *ps)
{
    conduit_provider_t  *p;

    p = ps->provider;

    if (ps->n < 5) {
        return conduit_parse_error(ps, "side needs METHOD, URL and a JSON"
                                   " pointer");
    }

    p->progress = CONDUIT_PROGRESS_SIDE;
    p->progress_pointer = ps->args[4];

    if (conduit_parse_request(ps, 2, &p->side) != CONDUIT_OK
        || conduit_parse_pointer(ps, &p->progress_pointer) != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    return conduit_parse_progress_option(ps, 5);
}


static int
conduit_parse_progress_option(conduit_parse_t *ps, unsigned at)
{
    unsigned             i;
    conduit_str_t        value;
    conduit_provider_t  *p;

    p = ps->provider;

    for (i = at; i < ps->n; i++) {

        if (conduit_parse_option(&ps->args[i], "scale", &value)) {

            if (conduit_parse_scale(ps, &value, &p->progress_scale)
                != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

        } else if (p->progress == CONDUIT_PROGRESS_SIDE && i + 1 < ps->n
                   && conduit_parse_is(&ps->args[i], "json"))
        {
            if (conduit_parse_literal(ps, &ps->args[++i], &p->side)
                != CONDUIT_OK)
            {
                return CONDUIT_ERROR;
            }

        } else {
            return conduit_parse_error(ps, "has the unknown word \"%.*s\","
                                       " \"scale=N\" is possible",
                                       (int) ps->args[i].len,
                                       ps->args[i].data);
        }
    }

    return CONDUIT_OK;
}


/* FROM TO; default TO|pass|reject; */

int
conduit_parse_map_entry(conduit_parse_t *ps)
{
    conduit_map_t   *map;
    conduit_pair_t  *pair;

    if (ps->n != 2) {
        return conduit_parse_error(ps, "needs one value in a \"map\"");
    }

    map = ps->provider->maps.elts;
    map += ps->provider->maps.n - 1;

    if (conduit_parse_is(&ps->args[0], "default")) {
        map->pass = conduit_parse_is(&ps->args[1], "pass");
        map->reject = conduit_parse_is(&ps->args[1], "reject");
        map->other = ps->args[1];

        return CONDUIT_OK;
    }

    pair = conduit_list_push(&ps->provider->pool, &map->pairs,
                             sizeof(conduit_pair_t));
    if (pair == NULL) {
        return conduit_parse_nomem(ps);
    }

    pair->name = ps->args[0];
    pair->value = ps->args[1];

    return CONDUIT_OK;
}


/* VALUE STATE [code=CANON]; default processing|failed; */

int
conduit_parse_status_entry(conduit_parse_t *ps)
{
    conduit_str_t            value;
    conduit_provider_t      *p;
    conduit_status_entry_t  *entry;

    p = ps->provider;

    if (ps->n < 2 || ps->n > 3) {
        return conduit_parse_error(ps, "needs one state in \"status\"");
    }

    if (conduit_parse_is(&ps->args[0], "default") && ps->n == 2) {

        if (conduit_parse_state(ps, &ps->args[1], &p->status_other)
            != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }

        if (p->status_other != CONDUIT_STATE_PROCESSING
            && p->status_other != CONDUIT_STATE_FAILED)
        {
            return conduit_parse_error(ps, "must be processing or failed");
        }

        return CONDUIT_OK;
    }

    entry = conduit_list_push(&p->pool, &p->statuses,
                              sizeof(conduit_status_entry_t));
    if (entry == NULL) {
        return conduit_parse_nomem(ps);
    }

    entry->value = ps->args[0];

    if (conduit_parse_state(ps, &ps->args[1], &entry->state) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (ps->n == 2) {
        return CONDUIT_OK;
    }

    if (entry->state != CONDUIT_STATE_FAILED
        || !conduit_parse_option(&ps->args[2], "code", &value))
    {
        return conduit_parse_error(ps, "knows \"code=ERROR_CODE\" only, after"
                                   " \"failed\"");
    }

    return conduit_parse_code(ps, &value, &entry->code);
}


/* VALUE CANON [retry] */

int
conduit_parse_error_entry(conduit_parse_t *ps)
{
    conduit_error_entry_t  *entry;

    if (ps->n < 2 || ps->n > 3
        || (ps->n == 3 && !conduit_parse_is(&ps->args[2], "retry")))
    {
        return conduit_parse_error(ps, "must be \"VALUE ERROR_CODE [retry]\""
                                   " in \"error_map\"");
    }

    entry = conduit_list_push(&ps->provider->pool, &ps->provider->errors,
                              sizeof(conduit_error_entry_t));
    if (entry == NULL) {
        return conduit_parse_nomem(ps);
    }

    entry->value = ps->args[0];
    entry->retry = (ps->n == 3);

    return conduit_parse_code(ps, &ps->args[1], &entry->code);
}
