
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_task.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/*
 * Each byte is an event for one task: terminal states must hold but for the
 * retry of a failed one, and progress must not go back within a run.
 */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               rc;
    size_t            i;
    unsigned          progress, before;
    conduit_event_e   event;
    conduit_status_e  status, next;

    status = CONDUIT_PENDING;
    progress = 0;

    for (i = 0; i < size; i++) {
        event = (conduit_event_e) (data[i] & 0xf);
        next = status;

        rc = conduit_task_next(status, event, &next);

        if (rc != CONDUIT_OK) {

            if (next != status) {
                abort();
            }

            continue;
        }

        if (conduit_status_terminal(status)
            && (event != CONDUIT_EV_RETRY || status != CONDUIT_FAILED))
        {
            abort();
        }

        if (next == CONDUIT_PENDING && status == CONDUIT_PROCESSING
            && event != CONDUIT_EV_REQUEUE)
        {
            abort();
        }

        if (event == CONDUIT_EV_RETRY) {
            progress = 0;
        }

        before = progress;
        progress = conduit_task_progress(progress, (int8_t) data[i]);

        if (progress < before || progress > 99) {
            abort();
        }

        status = next;
    }

    return 0;
}
