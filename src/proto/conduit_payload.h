
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_PAYLOAD_H_INCLUDED_
#define _CONDUIT_PAYLOAD_H_INCLUDED_


#include "conduit.h"
#include "conduit_id.h"
#include "conduit_task.h"


/*
 * The documents that webhooks carry: compact JSON, written once per event from
 * what is known of a task.  A member that does not apply is left out, never
 * null; results as base64 are never part of it.
 */

/* "whe_" and 128 bits in base62 */

#define CONDUIT_HOOK_ID_LEN  (4 + CONDUIT_BASE62_LEN)


typedef struct {
    conduit_str_t  url;                 /* UTF-8; empty: the result has none */
    int64_t        expires;             /* ms since the epoch; 0: not known */
} conduit_payload_result_t;


/* texts are UTF-8 that is not escaped, except where it says JSON */

typedef struct {
    conduit_kind_e        kind;
    conduit_status_e      status;
    unsigned              event;        /* one of CONDUIT_HOOK_* */

    const u_char         *task;         /* the id's 16 bytes */
    const u_char         *id;           /* CONDUIT_HOOK_ID_LEN bytes */
    uint64_t              sequence;     /* of this change */
    int64_t               timestamp;    /* of this change, ms */

    conduit_str_t         metadata;     /* JSON, copied; empty: left out */

    /* of terminal events */

    conduit_str_t         model;        /* JSON, copied */
    conduit_str_t         prompt;       /* JSON, copied */

    /* of completed */

    const conduit_payload_result_t  *results;
    size_t                nresults;
    int64_t               duration;     /* ms */

    /* of failed and cancelled; an empty text is the sentence of the code */

    conduit_str_t         error;
    conduit_error_code_e  error_code;

    /* of progress */

    unsigned              progress;     /* percent; 100 is shown as 99 */
    conduit_str_t         message;      /* empty: left out */
    int64_t               eta;          /* seconds; negative: left out */
} conduit_payload_t;


/*
 * The webhook-id of an event: the same for every attempt, on every host, made
 * from the task's 16 bytes, the event (CONDUIT_HOOK_*) and the sequence by a
 * digest.  dst has room for CONDUIT_HOOK_ID_LEN bytes.  Returns CONDUIT_OK, or
 * CONDUIT_ERROR if the digest cannot be made.
 */
int conduit_hook_id(u_char *dst, const u_char *task, unsigned event,
    uint64_t sequence);

/* the webhook-id of a test event, from 16 random bytes */
void conduit_hook_id_random(u_char *dst, const u_char *rnd);

/* CONDUIT_OK if p has the form of a webhook-id, else CONDUIT_DECLINED */
int conduit_hook_id_check(const u_char *p, size_t len);

/*
 * The word of an event in "webhook_events" ("completed"), and its
 * webhook_type ("image_generation_completed" for completed, failed and
 * cancelled alike), which is also the header X-Webhook-Type.  event is one of
 * CONDUIT_HOOK_*, or 0 for a test event: "test", "webhook_test".
 */
const conduit_str_t *conduit_hook_event_word(unsigned event);
const conduit_str_t *conduit_hook_type(conduit_kind_e kind, unsigned event);

/* the event that tells of a status: CONDUIT_HOOK_*, or 0 for pending */
unsigned conduit_hook_event(conduit_status_e status);

/*
 * Writes the document; dst has room for conduit_payload_size() bytes.  Returns
 * the end.
 */
size_t conduit_payload_size(const conduit_payload_t *payload);
u_char *conduit_payload_write(u_char *dst, const conduit_payload_t *payload);

/*
 * The same for a test event, of which id, timestamp and metadata are looked
 * at: its task_id is the nil UUID, its sequence 0.
 */
u_char *conduit_payload_test(u_char *dst, const conduit_payload_t *payload);


#endif /* _CONDUIT_PAYLOAD_H_INCLUDED_ */
