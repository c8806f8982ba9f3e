
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_hub.h"


#define CONDUIT_HUB_HOOKS  5

#define conduit_hub_str(s)  { sizeof(s) - 1, (u_char *) s }


/* counts with a NULL start, else writes */

typedef struct {
    u_char  *start;
    size_t   len;
} conduit_hub_out_t;


typedef struct {
    conduit_str_t  name;              /* with its quotes */
    size_t         offset;
} conduit_hub_member_t;


#define conduit_hub_member(name, member)                                      \
    { conduit_hub_str("\"" name "\""),                                        \
      offsetof(conduit_hub_document_t, member) }

#define conduit_hub_named(member, quoted)                                     \
    ((member)->name.len == sizeof(quoted) - 1                                 \
     && memcmp((member)->name.data, quoted, sizeof(quoted) - 1) == 0)


static int conduit_hub_kind(conduit_hub_document_t *doc,
    const conduit_str_t *value);
static int conduit_hub_status(conduit_hub_document_t *doc,
    const conduit_str_t *value);
static void conduit_hub_result(conduit_hub_document_t *doc,
    const conduit_str_t *value);
static void conduit_hub_fill(void *doc, const conduit_hub_member_t *members,
    const conduit_json_member_t *member);
static unsigned conduit_hub_index(unsigned hook);
static void conduit_hub_guide(conduit_hub_out_t *out, conduit_hub_e hub,
    unsigned hook, const conduit_hub_document_t *doc);
static void conduit_hub_image(conduit_hub_out_t *out, unsigned hook,
    const conduit_hub_document_t *doc);
static void conduit_hub_video(conduit_hub_out_t *out, unsigned hook,
    const conduit_hub_document_t *doc);
static void conduit_hub_outcome(conduit_hub_out_t *out,
    const conduit_hub_document_t *doc);
static void conduit_hub_error(conduit_hub_out_t *out, unsigned hook,
    const conduit_hub_document_t *doc);
static int conduit_hub_retryable(const conduit_hub_document_t *doc);
static void conduit_hub_put(conduit_hub_out_t *out, const char *text);
static void conduit_hub_value(conduit_hub_out_t *out,
    const conduit_str_t *value, const char *absent);


static const conduit_hub_member_t  conduit_hub_members[] = {
    conduit_hub_member("task_id", task_id),
    conduit_hub_member("progress", progress),
    conduit_hub_member("estimated_seconds_remaining", estimate),
    conduit_hub_member("model", model),
    conduit_hub_member("prompt", prompt),
    conduit_hub_member("image_url", image_url),
    conduit_hub_member("image_urls", image_urls),
    conduit_hub_member("video_url", video_url),
    conduit_hub_member("generation_duration_seconds", duration),
    conduit_hub_member("error", error),
    conduit_hub_member("error_code", error_code),
    conduit_hub_member("metadata", metadata),
    { { 0, NULL }, 0 }
};


static const conduit_hub_member_t  conduit_hub_results[] = {
    conduit_hub_member("created", created),
    conduit_hub_member("data", data),
    { { 0, NULL }, 0 }
};


int
conduit_hub_document(conduit_hub_document_t *doc, const conduit_str_t *text,
    unsigned hooks)
{
    unsigned                found;
    const u_char           *pos, *last;
    conduit_json_member_t   member;

    memset(doc, 0, sizeof(conduit_hub_document_t));

    found = 0;
    pos = text->data;
    last = text->data + text->len;

    while (conduit_json_next(&pos, last, &member) == CONDUIT_OK) {

        if (conduit_hub_named(&member, "\"type\"")) {

            if (conduit_hub_kind(doc, &member.value) != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

            found |= 1;

        } else if (conduit_hub_named(&member, "\"status\"")) {

            if (conduit_hub_status(doc, &member.value) != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

            found |= 2;

        } else if (conduit_hub_named(&member, "\"message\"")) {
            doc->message = member.value;
            found |= 4;

        } else if (conduit_hub_named(&member, "\"result\"")) {
            conduit_hub_result(doc, &member.value);

        } else {
            conduit_hub_fill(doc, conduit_hub_members, &member);
        }

        /* progress is told most often, and by what stands first */

        if (hooks == CONDUIT_HOOK_PROGRESS && found == 7 && doc->task_id.len
            && doc->progress.len)
        {
            return CONDUIT_OK;
        }
    }

    return ((found & 3) == 3 && doc->task_id.len) ? CONDUIT_OK : CONDUIT_ERROR;
}


static int
conduit_hub_kind(conduit_hub_document_t *doc, const conduit_str_t *value)
{
    if (value->len < 2) {
        return CONDUIT_ERROR;
    }

    return conduit_kind_parse(value->data + 1, value->len - 2, &doc->kind);
}


static int
conduit_hub_status(conduit_hub_document_t *doc, const conduit_str_t *value)
{
    if (value->len < 2) {
        return CONDUIT_ERROR;
    }

    return conduit_status_parse(value->data + 1, value->len - 2, &doc->status);
}


static void
conduit_hub_result(conduit_hub_document_t *doc, const conduit_str_t *value)
{
    const u_char           *pos, *last;
    conduit_json_member_t   member;

    pos = value->data;
    last = value->data + value->len;

    while (conduit_json_next(&pos, last, &member) == CONDUIT_OK) {
        conduit_hub_fill(doc, conduit_hub_results, &member);
    }
}


static void
conduit_hub_fill(void *doc, const conduit_hub_member_t *members,
    const conduit_json_member_t *member)
{
    u_char  *base = doc;

    for ( /* void */ ; members->name.len; members++) {

        if (members->name.len == member->name.len
            && memcmp(members->name.data, member->name.data,
                      member->name.len) == 0)
        {
            *(conduit_str_t *) (base + members->offset) = member->value;
            return;
        }
    }
}


const conduit_str_t *
conduit_hub_target(conduit_hub_e hub, conduit_hub_dialect_e dialect,
    conduit_kind_e kind, unsigned hook)
{
    const conduit_str_t  *name;

    static const conduit_str_t  tasks[CONDUIT_HUB_HOOKS] = {
        conduit_hub_str("TaskStarted"),
        conduit_hub_str("TaskProgress"),
        conduit_hub_str("TaskCompleted"),
        conduit_hub_str("TaskFailed"),
        conduit_hub_str("TaskCancelled")
    };

    static const conduit_str_t  guide[CONDUIT_HUB_HOOKS] = {
        { 0, NULL },
        conduit_hub_str("TaskProgress"),
        conduit_hub_str("TaskCompleted"),
        conduit_hub_str("TaskFailed"),
        conduit_hub_str("TaskFailed")
    };

    static const conduit_str_t  typed[][CONDUIT_HUB_HOOKS] = {

        { conduit_hub_str("ImageGenerationStarted"),
          conduit_hub_str("ImageGenerationProgress"),
          conduit_hub_str("ImageGenerationCompleted"),
          conduit_hub_str("ImageGenerationFailed"),
          conduit_hub_str("ImageGenerationFailed") },

        { conduit_hub_str("VideoGenerationStarted"),
          conduit_hub_str("VideoGenerationProgress"),
          conduit_hub_str("VideoGenerationCompleted"),
          conduit_hub_str("VideoGenerationFailed"),
          conduit_hub_str("VideoGenerationFailed") }
    };

    if (dialect == CONDUIT_HUB_TYPED) {

        if (hub == CONDUIT_HUB_TASKS) {
            return NULL;
        }

        name = typed[kind];

    } else {
        name = (hub == CONDUIT_HUB_TASKS) ? tasks : guide;
    }

    name += conduit_hub_index(hook);

    return name->len ? name : NULL;
}


static unsigned
conduit_hub_index(unsigned hook)
{
    unsigned  i;

    for (i = 0; i < CONDUIT_HUB_HOOKS - 1; i++) {
        if (hook & CONDUIT_HOOK_STARTED << i) {
            break;
        }
    }

    return i;
}


size_t
conduit_hub_arguments(u_char *dst, conduit_hub_e hub,
    conduit_hub_dialect_e dialect, unsigned hook,
    const conduit_hub_document_t *doc)
{
    conduit_hub_out_t  out;

    out.start = dst;
    out.len = 0;

    conduit_hub_put(&out, "[");
    conduit_hub_value(&out, &doc->task_id, "null");
    conduit_hub_put(&out, ",");

    if (dialect == CONDUIT_HUB_TASK) {
        conduit_hub_guide(&out, hub, hook, doc);

    } else if (doc->kind == CONDUIT_KIND_VIDEO) {
        conduit_hub_video(&out, hook, doc);

    } else {
        conduit_hub_image(&out, hook, doc);
    }

    conduit_hub_put(&out, "]");

    return out.len;
}


/* what follows the task's id: exactly one more on image and video hubs */

static void
conduit_hub_guide(conduit_hub_out_t *out, conduit_hub_e hub, unsigned hook,
    const conduit_hub_document_t *doc)
{
    switch (hook) {

    case CONDUIT_HOOK_STARTED:
        conduit_hub_put(out, (doc->kind == CONDUIT_KIND_VIDEO)
                             ? "\"video_generation\","
                             : "\"image_generation\",");
        conduit_hub_value(out, &doc->metadata, "{}");
        break;

    case CONDUIT_HOOK_PROGRESS:
        conduit_hub_value(out, &doc->progress, "0");

        if (hub == CONDUIT_HUB_TASKS) {
            conduit_hub_put(out, ",");
            conduit_hub_value(out, &doc->message, "null");
        }

        break;

    case CONDUIT_HOOK_COMPLETED:
        conduit_hub_outcome(out, doc);
        break;

    case CONDUIT_HOOK_FAILED:
        conduit_hub_error(out, hook, doc);

        if (hub == CONDUIT_HUB_TASKS) {
            conduit_hub_put(out, conduit_hub_retryable(doc) ? ",true"
                                                            : ",false");
        }

        break;

    default: /* CONDUIT_HOOK_CANCELLED */
        conduit_hub_error(out, hook, doc);
        break;
    }
}


static void
conduit_hub_image(conduit_hub_out_t *out, unsigned hook,
    const conduit_hub_document_t *doc)
{
    switch (hook) {

    case CONDUIT_HOOK_STARTED:
        conduit_hub_value(out, &doc->prompt, "null");
        conduit_hub_put(out, ",");
        conduit_hub_value(out, &doc->model, "null");
        break;

    case CONDUIT_HOOK_PROGRESS:
        conduit_hub_value(out, &doc->progress, "0");
        conduit_hub_put(out, ",");
        conduit_hub_value(out, &doc->message, "null");
        break;

    case CONDUIT_HOOK_COMPLETED:
        conduit_hub_value(out, &doc->image_url, "null");
        conduit_hub_put(out, ",");
        conduit_hub_value(out, &doc->metadata, "{}");
        break;

    default: /* CONDUIT_HOOK_FAILED, CONDUIT_HOOK_CANCELLED */
        conduit_hub_error(out, hook, doc);
        conduit_hub_put(out, conduit_hub_retryable(doc) ? ",true" : ",false");
        break;
    }
}


/* frames and the length of the film are not known here: null */

static void
conduit_hub_video(conduit_hub_out_t *out, unsigned hook,
    const conduit_hub_document_t *doc)
{
    switch (hook) {

    case CONDUIT_HOOK_STARTED:
        conduit_hub_value(out, &doc->prompt, "null");
        conduit_hub_put(out, ",");
        conduit_hub_value(out, &doc->estimate, "null");
        break;

    case CONDUIT_HOOK_PROGRESS:
        conduit_hub_value(out, &doc->progress, "0");
        conduit_hub_put(out, ",null,null,");
        conduit_hub_value(out, &doc->message, "null");
        break;

    case CONDUIT_HOOK_COMPLETED:
        conduit_hub_value(out, &doc->video_url, "null");
        conduit_hub_put(out, ",null,");
        conduit_hub_value(out, &doc->metadata, "{}");
        break;

    default: /* CONDUIT_HOOK_FAILED, CONDUIT_HOOK_CANCELLED */
        conduit_hub_error(out, hook, doc);
        conduit_hub_put(out, conduit_hub_retryable(doc) ? ",true" : ",false");
        break;
    }
}


/* the result of a completed task */

static void
conduit_hub_outcome(conduit_hub_out_t *out, const conduit_hub_document_t *doc)
{
    conduit_hub_put(out, "{\"taskId\":");
    conduit_hub_value(out, &doc->task_id, "null");
    conduit_hub_put(out, ",\"status\":\"completed\"");

    if (doc->kind == CONDUIT_KIND_VIDEO) {
        conduit_hub_put(out, ",\"videoUrl\":");
        conduit_hub_value(out, &doc->video_url, "null");

    } else {
        conduit_hub_put(out, ",\"imageUrl\":");
        conduit_hub_value(out, &doc->image_url, "null");
        conduit_hub_put(out, ",\"imageUrls\":");
        conduit_hub_value(out, &doc->image_urls, "[]");
    }

    conduit_hub_put(out, ",\"created\":");
    conduit_hub_value(out, &doc->created, "null");
    conduit_hub_put(out, ",\"data\":");
    conduit_hub_value(out, &doc->data, "[]");
    conduit_hub_put(out, ",\"model\":");
    conduit_hub_value(out, &doc->model, "null");
    conduit_hub_put(out, ",\"durationSeconds\":");
    conduit_hub_value(out, &doc->duration, "null");
    conduit_hub_put(out, ",\"metadata\":");
    conduit_hub_value(out, &doc->metadata, "{}");
    conduit_hub_put(out, "}");
}


/* always a string, for clients bind it to one */

static void
conduit_hub_error(conduit_hub_out_t *out, unsigned hook,
    const conduit_hub_document_t *doc)
{
    if (hook == CONDUIT_HOOK_FAILED && doc->error.len
        && doc->error.data[0] == '"')
    {
        conduit_hub_value(out, &doc->error, "null");
        return;
    }

    conduit_hub_put(out, (hook == CONDUIT_HOOK_FAILED)
                         ? "\"Task failed\""
                         : "\"" CONDUIT_HUB_CANCELLED "\"");
}


/* whether the same request may well succeed at another time */

static int
conduit_hub_retryable(const conduit_hub_document_t *doc)
{
    conduit_error_code_e  code;

    if (doc->error_code.len < 2
        || conduit_error_parse(doc->error_code.data + 1,
                               doc->error_code.len - 2, &code)
           != CONDUIT_OK)
    {
        return 0;
    }

    switch (code) {

    case CONDUIT_ERR_RATE_LIMITED:
    case CONDUIT_ERR_PROVIDER_UNAVAILABLE:
    case CONDUIT_ERR_PROVIDER_ERROR:
    case CONDUIT_ERR_PROVIDER_UNKNOWN:
    case CONDUIT_ERR_TIMEOUT:
    case CONDUIT_ERR_RESULT_EXPIRED:
    case CONDUIT_ERR_INTERNAL_ERROR:
        return 1;

    default:
        return 0;
    }
}


static void
conduit_hub_put(conduit_hub_out_t *out, const char *text)
{
    size_t  len;

    len = strlen(text);

    if (out->start) {
        memcpy(out->start + out->len, text, len);
    }

    out->len += len;
}


static void
conduit_hub_value(conduit_hub_out_t *out, const conduit_str_t *value,
    const char *absent)
{
    if (value->len == 0) {
        conduit_hub_put(out, absent);
        return;
    }

    if (out->start) {
        memcpy(out->start + out->len, value->data, value->len);
    }

    out->len += value->len;
}
