
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_zone.h>


void
ngx_http_conduit_undo_begin_locked(ngx_http_conduit_zone_t *zone,
    ngx_http_conduit_task_node_t *node)
{
    ngx_http_conduit_undo_t  *undo;

    undo = &zone->sh->undo;

    undo->was = *node;
    undo->ntexts = 0;

    ngx_memory_barrier();

    undo->task = node;

    ngx_memory_barrier();
}


void
ngx_http_conduit_undo_end_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_uint_t                i;
    ngx_http_conduit_text_t   text;
    ngx_http_conduit_undo_t  *undo;

    undo = &zone->sh->undo;

    ngx_memory_barrier();

    undo->task = NULL;

    ngx_memory_barrier();

    for (i = 0; i < undo->ntexts; i++) {
        text.first = undo->texts[i];
        ngx_http_conduit_text_free_locked(zone, &text);
    }

    undo->ntexts = 0;
}


/*
 * All links of the task but the one in the list of tasks are made again; what
 * was allocated for the change is lost.
 */

void
ngx_http_conduit_undo_locked(ngx_http_conduit_zone_t *zone)
{
    ngx_http_conduit_undo_t       *undo;
    ngx_http_conduit_task_node_t  *node;

    undo = &zone->sh->undo;
    node = undo->task;

    if (node == NULL) {
        return;
    }

    undo->was.tasks = node->tasks;
    *node = undo->was;

    ngx_memory_barrier();

    undo->task = NULL;
    undo->ntexts = 0;
}
