
/*
 * Copyright (C) Conduit for nginx authors
 */


/* What is read from good replies: taken values, results, progress. */


#include "conduit_provider_judge.h"
#include "conduit_provider_parse.h"
#include "conduit_media.h"
#include "conduit_pointer.h"

#include <strings.h>


typedef struct {
    conduit_judge_t              *judge;
    const conduit_result_rule_t  *rule;
    unsigned                      nomem:1;
} conduit_result_walk_t;


typedef struct {
    const conduit_provider_t     *provider;
    double                        percent;
    unsigned                      found:1;
} conduit_logs_walk_t;


static int conduit_value_take(conduit_judge_t *j, const conduit_take_t *take,
    conduit_str_t *value, u_char buf[CONDUIT_POINTER_TEXT]);
static int conduit_result_each(json_t *value, void *data);
static int conduit_result_url(conduit_result_walk_t *walk,
    conduit_result_t *result);
static int conduit_result_local(conduit_result_walk_t *walk,
    conduit_str_t *url);
static int conduit_result_base64(conduit_result_t *result);
static int conduit_result_decodes(const conduit_str_t *text);
static void conduit_result_mime(conduit_result_walk_t *walk,
    conduit_result_t *result);
static int conduit_progress_value(conduit_judge_t *j, double *percent);
static int conduit_progress_logs(json_t *value, void *data);
static int conduit_progress_line(conduit_logs_walk_t *walk, u_char *p,
    size_t len);


int
conduit_judge_values(conduit_judge_t *j, const conduit_list_t *takes,
    unsigned needed)
{
    json_t                *text;
    u_char                 buf[CONDUIT_POINTER_TEXT];
    unsigned               i;
    conduit_str_t          value;
    const conduit_take_t  *take;

    take = takes->elts;

    for (i = 0; i < takes->n; i++) {

        text = NULL;

        if (conduit_value_take(j, &take[i], &value, buf) == CONDUIT_OK) {

            /* header values need not be UTF-8: then there is none */

            text = json_stringn((char *) value.data, value.len);
        }

        if (text == NULL) {

            if (needed && conduit_parse_is(&take[i].name, "id")) {
                return CONDUIT_DECLINED;
            }

            continue;
        }

        if (json_object_setn_new(j->job->taken, (char *) take[i].name.data,
                                 take[i].name.len, text)
            != 0)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_value_take(conduit_judge_t *j, const conduit_take_t *take,
    conduit_str_t *value, u_char buf[CONDUIT_POINTER_TEXT])
{
    char            name[128];
    unsigned        i;
    conduit_str_t  *pointer;

    if (take->header.len) {

        if (j->reply->header == NULL || take->header.len >= sizeof(name)) {
            return CONDUIT_DECLINED;
        }

        memcpy(name, take->header.data, take->header.len);
        name[take->header.len] = '\0';

        return (j->reply->header(j->reply->data, name, value) == CONDUIT_OK
                && value->len && value->len <= CONDUIT_PROVIDER_TAKEN)
               ? CONDUIT_OK : CONDUIT_DECLINED;
    }

    pointer = take->pointers.elts;

    for (i = 0; i < take->pointers.n; i++) {

        if (conduit_pointer_text(conduit_pointer_get(j->doc, &pointer[i]), buf,
                                 value)
            == CONDUIT_OK
            && value->len && value->len <= CONDUIT_PROVIDER_TAKEN)
        {
            return CONDUIT_OK;
        }
    }

    return CONDUIT_DECLINED;
}


int
conduit_judge_results(conduit_judge_t *j, const conduit_list_t *rules)
{
    unsigned                      i, n;
    conduit_str_t                 pointer;
    conduit_template_t           *t;
    conduit_result_walk_t         walk;
    const conduit_result_rule_t  *rule;

    rule = rules->elts;
    walk.judge = j;
    walk.nomem = 0;

    for (i = 0; i < rules->n; i++) {

        walk.rule = &rule[i];
        t = rule[i].pointers.elts;

        for (n = 0; n < rule[i].pointers.n; n++) {

            if (conduit_job_pointer(j->pool, &t[n], j->job, &pointer)
                != CONDUIT_OK)
            {
                continue;
            }

            (void) conduit_pointer_each(j->doc, &pointer, conduit_result_each,
                                        &walk);
            if (walk.nomem) {
                return CONDUIT_ERROR;
            }

            if (j->verdict->results.n) {
                return CONDUIT_OK;
            }
        }
    }

    return CONDUIT_OK;
}


/* what is no result is passed over: providers write null for filtered ones */

static int
conduit_result_each(json_t *value, void *data)
{
    conduit_list_t         *results;
    conduit_result_t        result, *slot;
    conduit_result_walk_t  *walk = data;

    results = &walk->judge->verdict->results;

    if (!json_is_string(value) || json_string_length(value) == 0) {
        return CONDUIT_OK;
    }

    memset(&result, 0, sizeof(conduit_result_t));

    result.type = walk->rule->type;
    result.expires = walk->rule->expires;
    result.value.data = (u_char *) json_string_value(value);
    result.value.len = json_string_length(value);

    if (result.type == CONDUIT_RESULT_URL
        && conduit_result_url(walk, &result) != CONDUIT_OK)
    {
        return walk->nomem ? CONDUIT_ERROR : CONDUIT_OK;
    }

    if (result.type == CONDUIT_RESULT_BASE64
        && conduit_result_base64(&result) != CONDUIT_OK)
    {
        return CONDUIT_OK;
    }

    conduit_result_mime(walk, &result);

    slot = conduit_list_push(walk->judge->pool, results,
                             sizeof(conduit_result_t));
    if (slot == NULL) {
        walk->nomem = 1;
        return CONDUIT_ERROR;
    }

    *slot = result;

    return (results->n < CONDUIT_PROVIDER_RESULTS) ? CONDUIT_OK
                                                   : CONDUIT_DECLINED;
}


static int
conduit_result_url(conduit_result_walk_t *walk, conduit_result_t *result)
{
    size_t          i;
    conduit_str_t  *url;

    url = &result->value;

    if (url->len > 5 && memcmp(url->data, "data:", 5) == 0) {
        result->type = CONDUIT_RESULT_BASE64;
        return CONDUIT_OK;
    }

    for (i = 0; i < url->len; i++) {

        if (url->data[i] <= ' ' || url->data[i] == 0x7f) {
            return CONDUIT_DECLINED;
        }
    }

    if (url->len > CONDUIT_LINK_MAX) {
        return CONDUIT_DECLINED;
    }

    if (url->data[0] == '/') {
        return conduit_result_local(walk, url);
    }

    if (url->len > 8 && (strncasecmp((char *) url->data, "https://", 8) == 0
                         || strncasecmp((char *) url->data, "http://", 7)
                            == 0))
    {
        return CONDUIT_OK;
    }

    return CONDUIT_DECLINED;
}


/* a path on the provider's server itself, as LocalAI may give it */

static int
conduit_result_local(conduit_result_walk_t *walk, conduit_str_t *url)
{
    u_char               *p;
    conduit_str_t         text;
    conduit_judge_t      *j;
    const conduit_str_t  *origin;

    j = walk->judge;
    origin = &j->provider->base.origin;

    if (url->len > 1 && url->data[1] == '/') {
        return CONDUIT_DECLINED;
    }

    text.len = origin->len + url->len;

    p = j->pool->alloc(j->pool->data, text.len + 1);
    if (p == NULL) {
        walk->nomem = 1;
        return CONDUIT_ERROR;
    }

    memcpy(p, origin->data, origin->len);
    memcpy(p + origin->len, url->data, url->len);
    p[text.len] = '\0';

    text.data = p;
    *url = text;

    return CONDUIT_OK;
}


static int
conduit_result_base64(conduit_result_t *result)
{
    u_char  *head, *semicolon;

    head = result->value.data;

    if (conduit_media_data_url(&result->value) != CONDUIT_OK) {
        return CONDUIT_DECLINED;
    }

    if (result->value.data != head) {

        /* "data:image/png;base64," names its type */

        semicolon = memchr(head, ';', (size_t) (result->value.data - head));

        if (semicolon && memchr(head, '/', (size_t) (semicolon - head))) {
            result->mime.data = head + 5;
            result->mime.len = (size_t) (semicolon - head - 5);
        }
    }

    return conduit_result_decodes(&result->value);
}


static int
conduit_result_decodes(const conduit_str_t *text)
{
    int      end;
    size_t   n, used, len;
    u_char  *p, *last, buf[3 * 1024];

    p = text->data;
    last = p + text->len;
    end = 0;

    if (text->len == 0 || text->len % 4) {
        return CONDUIT_DECLINED;
    }

    while (p < last) {

        len = (size_t) (last - p);

        if (len > 4 * 1024) {
            len = 4 * 1024;
        }

        if (end
            || conduit_base64_decode_part(buf, &n, p, len, &used, &end)
               != CONDUIT_OK
            || used == 0)
        {
            return CONDUIT_DECLINED;
        }

        p += used;
    }

    return CONDUIT_OK;
}


static void
conduit_result_mime(conduit_result_walk_t *walk, conduit_result_t *result)
{
    u_char                buf[CONDUIT_POINTER_TEXT];
    const char           *type;
    conduit_str_t         text;
    const conduit_str_t  *mime;

    mime = &walk->rule->mime;
    type = NULL;

    if (mime->len && mime->data[0] != '/') {
        result->mime = *mime;
        return;
    }

    if (mime->len
        && conduit_pointer_text(conduit_pointer_get(walk->judge->doc, mime),
                                buf, &text)
           == CONDUIT_OK
        && text.data != buf && text.len < 128)
    {
        if (memchr(text.data, '/', text.len)) {
            result->mime = text;
            return;
        }

        type = conduit_media_ext_type(text.data, text.len);
    }

    if (type == NULL && result->type == CONDUIT_RESULT_URL) {

        type = conduit_media_url_type(result->value.data, result->value.len);
    }

    if (type) {
        result->mime.data = (u_char *) type;
        result->mime.len = strlen(type);
    }
}


int
conduit_judge_progress(conduit_judge_t *j)
{
    double                     percent;
    uint64_t                   elapsed;
    const conduit_provider_t  *p;

    p = j->provider;

    if (p->progress == CONDUIT_PROGRESS_ESTIMATE) {

        if (j->verdict->state != CONDUIT_STATE_PROCESSING) {
            return CONDUIT_OK;
        }

        elapsed = j->job->elapsed;
        percent = (double) elapsed * 100 / (double) p->estimate;

        /* it may well take longer, so the last steps are never taken */

        if (percent > 95) {
            percent = 95;
        }

        j->verdict->eta = (elapsed < p->estimate)
                          ? (int64_t) (p->estimate - elapsed) : 0;

    } else if (p->progress == CONDUIT_PROGRESS_NONE
               || (p->progress == CONDUIT_PROGRESS_SIDE
                   && j->step != CONDUIT_STEP_SIDE)
               || conduit_progress_value(j, &percent) != CONDUIT_OK)
    {
        return CONDUIT_OK;
    }

    j->verdict->progress = (percent >= 99) ? 99 : (percent <= 0)
                                                  ? 0 : (int) percent;

    return CONDUIT_OK;
}


static int
conduit_progress_value(conduit_judge_t *j, double *percent)
{
    double                     step, total;
    json_t                    *value;
    conduit_logs_walk_t        walk;
    const conduit_provider_t  *p;

    p = j->provider;

    if (p->progress == CONDUIT_PROGRESS_LOGS) {

        walk.provider = p;
        walk.found = 0;
        walk.percent = 0;

        (void) conduit_pointer_each(j->doc, &p->progress_pointer,
                                    conduit_progress_logs, &walk);
        *percent = walk.percent;

        return walk.found ? CONDUIT_OK : CONDUIT_DECLINED;
    }

    value = conduit_pointer_get(j->doc, &p->progress_pointer);

    if (conduit_value_number(value, &step) != CONDUIT_OK) {
        return CONDUIT_DECLINED;
    }

    if (p->progress != CONDUIT_PROGRESS_STEPS) {
        *percent = step * p->progress_scale;
        return CONDUIT_OK;
    }

    value = conduit_pointer_get(j->doc, &p->progress_total);

    if (conduit_value_number(value, &total) != CONDUIT_OK || total <= 0) {
        return CONDUIT_DECLINED;
    }

    *percent = step * 100 / total;

    return CONDUIT_OK;
}


/* the last line that matches counts; terminals' lines end in CR, too */

static int
conduit_progress_logs(json_t *value, void *data)
{
    u_char               *p, *last, *end;
    conduit_logs_walk_t  *walk = data;

    if (!json_is_string(value) || walk->provider->regex == NULL) {
        return CONDUIT_OK;
    }

    p = (u_char *) json_string_value(value);
    end = p + json_string_length(value);

    while (end > p) {

        for (last = end; last > p && last[-1] != '\n' && last[-1] != '\r';
             last--)
        {
            /* void */
        }

        if (end > last) {

            if (conduit_progress_line(walk, last, (size_t) (end - last))
                == CONDUIT_OK)
            {
                return CONDUIT_OK;
            }
        }

        end = (last > p) ? last - 1 : p;
    }

    return CONDUIT_OK;
}


static int
conduit_progress_line(conduit_logs_walk_t *walk, u_char *p, size_t len)
{
    double         percent;
    conduit_str_t  line, group;

    line.data = p;
    line.len = len;

    if (walk->provider->regex(walk->provider->regex_data, &line, &group)
        != CONDUIT_OK
        || conduit_parse_real(&group, &percent) != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    walk->percent = percent;
    walk->found = 1;

    return CONDUIT_OK;
}
