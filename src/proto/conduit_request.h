
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_REQUEST_H_INCLUDED_
#define _CONDUIT_REQUEST_H_INCLUDED_


#include "conduit.h"
#include "conduit_addr.h"
#include "conduit_json.h"
#include "conduit_task.h"


#define CONDUIT_PROMPT_MAX      32000      /* code points */
#define CONDUIT_STRING_MAX      256
#define CONDUIT_METADATA_MAX    16384      /* bytes of compact text */

#define CONDUIT_HOOK_STARTED    0x01
#define CONDUIT_HOOK_PROGRESS   0x02
#define CONDUIT_HOOK_COMPLETED  0x04
#define CONDUIT_HOOK_FAILED     0x08
#define CONDUIT_HOOK_CANCELLED  0x10

/* beside them: the task was made with metadata of its own */

#define CONDUIT_HOOK_METADATA   0x20

#define CONDUIT_HOOK_DEFAULT                                                  \
    (CONDUIT_HOOK_PROGRESS|CONDUIT_HOOK_COMPLETED|CONDUIT_HOOK_FAILED         \
     |CONDUIT_HOOK_CANCELLED)


/*
 * One fault of a request, in the form of the error object: message is a
 * sentence for the user, in valid UTF-8 but not escaped; param is the member at
 * fault or empty for null; code is a word or NULL for null.
 */

typedef struct {
    unsigned     status;          /* HTTP status */
    const char  *code;
    size_t       message_len;
    u_char       message[256];
    size_t       param_len;
    u_char       param[96];
} conduit_fault_t;


typedef enum {
    CONDUIT_FORMAT_URL = 0,
    CONDUIT_FORMAT_B64_JSON
} conduit_format_e;


/*
 * What a create asks for.  Strings are parts of the buffer or of the body and
 * live as long as these.
 */

typedef struct {
    conduit_kind_e    kind;

    conduit_str_t     model;
    conduit_str_t     prompt;           /* UTF-8 */
    conduit_str_t     prompt_json;      /* as JSON text, with quotes */

    uint32_t          n;                /* 1 if absent */
    conduit_str_t     size;             /* "auto" or "WxH"; empty if absent */
    uint32_t          width;            /* 0 for "auto" and if absent */
    uint32_t          height;
    uint32_t          duration;         /* seconds, 0 if absent */
    uint32_t          fps;              /* 0 if absent */
    int64_t           seed;
    conduit_format_e  response_format;
    uint32_t          timeout_seconds;  /* 0 if absent */

    /*
     * The client's object for the provider, compact: all members but
     * "timeout_seconds" and those that begin with "webhook_", each value byte
     * for byte as sent.
     */

    conduit_str_t     document;

    /* the compact text of webhook_metadata, empty if absent */

    conduit_str_t     metadata;

    /*
     * {"url":"...","headers":{...},"events":["..."]}: the normalised URL, the
     * headers as sent ({} if none), and the chosen events; empty without
     * webhook_url.
     */

    conduit_str_t     webhook;
    conduit_str_t     webhook_url;      /* normalised */
    unsigned          webhook_events;   /* CONDUIT_HOOK_*; 0 without URL */

    unsigned          has_seed:1;
    unsigned          has_metadata:1;
} conduit_request_t;


/* the size of the buffer that conduit_request_parse() needs for a body */
#define conduit_request_buffer(len)  (2 * (len) + 192)


/*
 * Checks the body of a create and reads it.  buf has room for
 * conduit_request_buffer(len) bytes.  The policy is that of webhook URLs.
 * Whether the model exists is for the caller to see.  Returns CONDUIT_OK with
 * all of *req set, CONDUIT_DECLINED with *fault telling the one fault that is
 * reported (status 400), or CONDUIT_ERROR when memory is exhausted.
 */
int conduit_request_parse(conduit_request_t *req, conduit_kind_e kind,
    u_char *buf, const u_char *body, size_t len,
    const conduit_addr_policy_t *policy, conduit_fault_t *fault);

/*
 * Fills in a fault; the message is made of "text" and, where the member is
 * not empty, the quoted member before it ("'size' must ...").  Parts that do
 * not fit are cut on a code point border.  The code is "invalid_parameter"
 * where NULL.
 */
void conduit_fault(conduit_fault_t *fault, const char *member,
    const char *text, const char *code);

/* the fault of a body that conduit_json_parse() has refused */
void conduit_fault_json(conduit_fault_t *fault,
    const conduit_json_error_t *err);


#endif /* _CONDUIT_REQUEST_H_INCLUDED_ */
