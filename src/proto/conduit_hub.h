
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_HUB_H_INCLUDED_
#define _CONDUIT_HUB_H_INCLUDED_


/* The hubs: what clients may invoke, and the events that they are sent. */


#include "conduit_request.h"
#include "conduit_signalr.h"


typedef enum {
    CONDUIT_HUB_IMAGE = 0,
    CONDUIT_HUB_VIDEO,
    CONDUIT_HUB_TASKS
} conduit_hub_e;


typedef enum {
    CONDUIT_HUB_SUBSCRIBE = 0,
    CONDUIT_HUB_UNSUBSCRIBE,
    CONDUIT_HUB_SUBSCRIBE_ALL,
    CONDUIT_HUB_UNSUBSCRIBE_ALL,
    CONDUIT_HUB_GET,
    CONDUIT_HUB_CANCEL
} conduit_hub_method_e;


/* the families of events on image and video hubs; /hubs/tasks has the first */

typedef enum {
    CONDUIT_HUB_TASK = 0,         /* TaskProgress ... */
    CONDUIT_HUB_TYPED             /* ImageGenerationProgress ... */
} conduit_hub_dialect_e;


#define CONDUIT_HUB_ALL                                                       \
    (CONDUIT_HOOK_STARTED|CONDUIT_HOOK_PROGRESS|CONDUIT_HOOK_COMPLETED        \
     |CONDUIT_HOOK_FAILED|CONDUIT_HOOK_CANCELLED)

#define CONDUIT_HUB_ENDS                                                      \
    (CONDUIT_HOOK_COMPLETED|CONDUIT_HOOK_FAILED|CONDUIT_HOOK_CANCELLED)

#define CONDUIT_HUB_NOT_FOUND  "Task not found"
#define CONDUIT_HUB_CANCELLED  "Task was cancelled"

#define CONDUIT_HUB_ERROR_LEN  320


/* an invocation that was understood; task is a part of the message */

typedef struct {
    conduit_hub_method_e  method;
    conduit_str_t         task;        /* as sent, empty for "all" methods */
    unsigned              events;      /* CONDUIT_HOOK_*, CONDUIT_HUB_ALL where
                                          the client names none */
    size_t                error_len;
    u_char                error[CONDUIT_HUB_ERROR_LEN];
} conduit_hub_call_t;


/* members of a status document as JSON text, parts of it; empty if absent */

typedef struct {
    conduit_kind_e        kind;
    conduit_status_e      status;

    conduit_str_t         task_id;
    conduit_str_t         progress;
    conduit_str_t         message;
    conduit_str_t         estimate;
    conduit_str_t         model;
    conduit_str_t         prompt;
    conduit_str_t         created;     /* of the result */
    conduit_str_t         data;        /* of the result */
    conduit_str_t         image_url;
    conduit_str_t         image_urls;
    conduit_str_t         video_url;
    conduit_str_t         duration;
    conduit_str_t         error;
    conduit_str_t         error_code;
    conduit_str_t         metadata;
} conduit_hub_document_t;


/*
 * Reads a message of type 1 or 4 as an invocation of a hub's method.  Names
 * are compared without regard to case.  CONDUIT_OK, or CONDUIT_DECLINED with
 * the error of the completion in call->error (UTF-8, not escaped).
 */

int conduit_hub_call(conduit_hub_call_t *call,
    const conduit_signalr_message_t *msg);

/*
 * Splits a status document, which must be valid JSON as
 * conduit_json_parse() takes it and its names without escapes, as the server
 * writes them.  Only what these events (CONDUIT_HOOK_*) need is looked for.
 * CONDUIT_OK, or CONDUIT_ERROR if it has no id, kind or status.
 */

int conduit_hub_document(conduit_hub_document_t *doc,
    const conduit_str_t *text, unsigned hooks);

/*
 * The events (CONDUIT_HOOK_*) that tell a subscriber of a state newer than the
 * one before, to be sent in the order of their bits; none for a pending task.
 * *told is the subscription's memory, zero at its start: "started" is told
 * once in each run of the task.  Only a task that runs anew leaves its end, so
 * that an end behind an end is that of a run of which nothing else was seen.
 */

unsigned conduit_hub_due(unsigned *told, conduit_status_e status);

/*
 * The name of an event, or NULL where the hub has none for it: "started" is
 * one of /hubs/tasks and of the typed events only.  A cancelled task is told
 * as a failed one outside /hubs/tasks.
 */

const conduit_str_t *conduit_hub_target(conduit_hub_e hub,
    conduit_hub_dialect_e dialect, conduit_kind_e kind, unsigned hook);

/*
 * Writes the array of an event's arguments as JSON text; dst NULL only counts.
 * Only for events that conduit_hub_target() knows.  Returns the number of
 * bytes.
 */

size_t conduit_hub_arguments(u_char *dst, conduit_hub_e hub,
    conduit_hub_dialect_e dialect, unsigned hook,
    const conduit_hub_document_t *doc);


#endif /* _CONDUIT_HUB_H_INCLUDED_ */
