
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>

#include "conduit_hub.h"
#include "conduit_link.h"


#define CONDUIT_HUB_NAME_MAX  64         /* of a method, told in an error */

#define conduit_hub_str(s)  { sizeof(s) - 1, (u_char *) s }


typedef struct {
    conduit_str_t   name;
    const char     *usage;
    unsigned        task:1;
    unsigned        events:1;
} conduit_hub_entry_t;


static int conduit_hub_arity(conduit_hub_call_t *call,
    const conduit_signalr_message_t *msg, const conduit_hub_entry_t *entry);
static int conduit_hub_list(conduit_hub_call_t *call, json_t *list,
    const conduit_hub_entry_t *entry);
static int conduit_hub_word(json_t *value, unsigned *bit);
static int conduit_hub_refuse(conduit_hub_call_t *call, int n);
static size_t conduit_hub_cut(const conduit_str_t *name);


/* in the order of conduit_hub_method_e */

static const conduit_hub_entry_t  conduit_hub_methods[] = {

    { conduit_hub_str("SubscribeToTask"),
      "a task id and perhaps a list of events", 1, 1 },

    { conduit_hub_str("UnsubscribeFromTask"), "a task id", 1, 0 },

    { conduit_hub_str("SubscribeToAllTasks"),
      "nothing but perhaps a list of events", 0, 1 },

    { conduit_hub_str("UnsubscribeFromAllTasks"),
      "nothing but perhaps a list of events", 0, 1 },

    { conduit_hub_str("GetTask"), "a task id", 1, 0 },

    { conduit_hub_str("CancelTask"), "a task id", 1, 0 }
};


int
conduit_hub_call(conduit_hub_call_t *call,
    const conduit_signalr_message_t *msg)
{
    int                         len;
    size_t                      i, n;
    const conduit_hub_entry_t  *entry;

    memset(call, 0, sizeof(conduit_hub_call_t));

    n = sizeof(conduit_hub_methods) / sizeof(conduit_hub_methods[0]);
    entry = conduit_hub_methods;

    for (i = 0; i < n; i++, entry++) {
        if (conduit_str_equal(&entry->name, &msg->target)) {
            break;
        }
    }

    len = conduit_hub_cut(&msg->target);

    if (i == n) {
        return conduit_hub_refuse(call, snprintf((char *) call->error,
                                  CONDUIT_HUB_ERROR_LEN,
                                  "Unknown hub method '%.*s'", len,
                                  msg->target.data));
    }

    if (msg->type == CONDUIT_SIGNALR_STREAM) {
        return conduit_hub_refuse(call, snprintf((char *) call->error,
                                  CONDUIT_HUB_ERROR_LEN,
                                  "The client attempted to invoke the "
                                  "non-streaming '%s' method with a streaming "
                                  "invocation.", entry->name.data));
    }

    if (msg->streams) {
        return conduit_hub_refuse(call, snprintf((char *) call->error,
                                  CONDUIT_HUB_ERROR_LEN,
                                  "Failed to invoke '%s' due to an error on "
                                  "the server. HubException: Client sent %zu "
                                  "stream(s), Hub method expects 0.",
                                  entry->name.data, msg->streams));
    }

    call->method = i;

    return conduit_hub_arity(call, msg, entry);
}


static int
conduit_hub_arity(conduit_hub_call_t *call,
    const conduit_signalr_message_t *msg, const conduit_hub_entry_t *entry)
{
    size_t   n;
    json_t  *task, *list;

    n = json_array_size(msg->arguments);

    if (n < entry->task || n > (size_t) (entry->task + entry->events)) {
        return conduit_hub_refuse(call, snprintf((char *) call->error,
                                  CONDUIT_HUB_ERROR_LEN,
                                  "%s takes %s, but %zu argument(s) were "
                                  "given.", entry->name.data, entry->usage, n));
    }

    if (entry->task) {
        task = json_array_get(msg->arguments, 0);

        if (!json_is_string(task)) {
            return conduit_hub_refuse(call, snprintf((char *) call->error,
                                      CONDUIT_HUB_ERROR_LEN,
                                      "%s takes %s: the task id must be a "
                                      "string.", entry->name.data,
                                      entry->usage));
        }

        call->task.data = (u_char *) json_string_value(task);
        call->task.len = json_string_length(task);
    }

    list = json_array_get(msg->arguments, entry->task);

    if (list == NULL || json_is_null(list)) {
        call->events = CONDUIT_HUB_ALL;
        return CONDUIT_OK;
    }

    return conduit_hub_list(call, list, entry);
}


static int
conduit_hub_list(conduit_hub_call_t *call, json_t *list,
    const conduit_hub_entry_t *entry)
{
    size_t    i;
    unsigned  bit;

    for (i = 0; i < json_array_size(list); i++) {

        if (conduit_hub_word(json_array_get(list, i), &bit) != CONDUIT_OK) {
            call->events = 0;
            break;
        }

        call->events |= bit;
    }

    if (call->events == 0) {
        return conduit_hub_refuse(call, snprintf((char *) call->error,
                                  CONDUIT_HUB_ERROR_LEN,
                                  "%s takes %s: the events must be a list of "
                                  "\"started\", \"progress\", \"completed\", "
                                  "\"failed\", \"cancelled\".",
                                  entry->name.data, entry->usage));
    }

    return CONDUIT_OK;
}


static int
conduit_hub_word(json_t *value, unsigned *bit)
{
    size_t       i;
    const char  *text;

    static const char  *words[] = {
        "started", "progress", "completed", "failed", "cancelled"
    };

    text = json_string_value(value);

    if (text == NULL || strlen(text) != json_string_length(value)) {
        return CONDUIT_DECLINED;
    }

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *bit = CONDUIT_HOOK_STARTED << i;
            return CONDUIT_OK;
        }
    }

    return CONDUIT_DECLINED;
}


/* n bytes of the text were written */

static int
conduit_hub_refuse(conduit_hub_call_t *call, int n)
{
    if (n > 0) {
        call->error_len = (n < CONDUIT_HUB_ERROR_LEN)
                          ? (size_t) n : CONDUIT_HUB_ERROR_LEN - 1;
    }

    return CONDUIT_DECLINED;
}


static size_t
conduit_hub_cut(const conduit_str_t *name)
{
    return conduit_utf8_cut(name->data, name->len, CONDUIT_HUB_NAME_MAX);
}


unsigned
conduit_hub_due(unsigned *told, conduit_status_e status)
{
    unsigned  due;

    static const unsigned  hooks[CONDUIT_STATUS_N] = {
        0,
        CONDUIT_HOOK_STARTED|CONDUIT_HOOK_PROGRESS,
        CONDUIT_HOOK_COMPLETED,
        CONDUIT_HOOK_FAILED,
        CONDUIT_HOOK_CANCELLED
    };

    /* what follows an end belongs to another run, whose begin was not seen */

    if (*told & CONDUIT_HUB_ENDS) {
        *told = 0;
    }

    due = hooks[status] & ~(*told & CONDUIT_HOOK_STARTED);
    *told |= due;

    return due;
}
