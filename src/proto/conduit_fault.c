
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>

#include "conduit_request.h"


static size_t conduit_fault_append(u_char *dst, size_t n, size_t size,
    const char *s);


void
conduit_fault(conduit_fault_t *fault, const char *member, const char *text,
    const char *code)
{
    size_t  n;

    fault->status = 400;
    fault->code = (code != NULL) ? code : "invalid_parameter";

    fault->param_len = conduit_fault_append(fault->param, 0,
                                            sizeof(fault->param), member);
    n = 0;

    if (fault->param_len > 0) {
        fault->message[n++] = '\'';
        memcpy(fault->message + n, fault->param, fault->param_len);
        n += fault->param_len;
        n = conduit_fault_append(fault->message, n, sizeof(fault->message),
                                 "' ");
    }

    n = conduit_fault_append(fault->message, n, sizeof(fault->message), text);
    n = conduit_fault_append(fault->message, n, sizeof(fault->message), ".");

    fault->message_len = n;
}


static size_t
conduit_fault_append(u_char *dst, size_t n, size_t size, const char *s)
{
    size_t  len;

    len = conduit_utf8_cut((const u_char *) s, strlen(s), size - n);
    memcpy(dst + n, s, len);

    return n + len;
}


void
conduit_fault_json(conduit_fault_t *fault, const conduit_json_error_t *err)
{
    char  text[128];

    (void) snprintf(text, sizeof(text),
                    "The request body is not valid JSON: %s (at byte %zu)",
                    err->text, err->offset);

    conduit_fault(fault, "", text, "invalid_json");
}
