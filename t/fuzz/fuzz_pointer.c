
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * Input: a JSON pointer, a newline, a JSON document.  What is written must be
 * found again, and reading must leave the document as it was.
 */


#define _GNU_SOURCE

#include <conduit_pointer.h>

#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
count(json_t *value, void *data)
{
    size_t         *n = data;
    u_char          buf[CONDUIT_POINTER_TEXT];
    conduit_str_t   text;

    if (value == NULL) {
        abort();
    }

    if (conduit_pointer_text(value, buf, &text) == CONDUIT_OK
        && text.len && text.data == NULL)
    {
        abort();
    }

    return (++*n < 10000) ? CONDUIT_OK : CONDUIT_AGAIN;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          n;
    json_t         *doc, *copy, *value;
    conduit_str_t   ptr;
    const uint8_t  *line;

    line = size ? memchr(data, '\n', size) : NULL;

    if (line == NULL) {
        return 0;
    }

    ptr.data = (u_char *) data;
    ptr.len = (size_t) (line - data);

    doc = json_loadb((const char *) line + 1, size - ptr.len - 1, 0, NULL);

    n = 0;
    copy = json_deep_copy(doc);

    (void) conduit_pointer_each(doc, &ptr, count, &n);

    if (doc && !json_equal(doc, copy)) {
        abort();
    }

    json_decref(copy);

    value = json_integer(42);

    if (conduit_pointer_set(&doc, &ptr, json_incref(value)) == CONDUIT_OK) {

        /* "-" appends, and is not found by that name */

        if ((ptr.len < 2 || memcmp(ptr.data + ptr.len - 2, "/-", 2) != 0)
            && memmem(ptr.data, ptr.len, "/-/", 3) == NULL
            && conduit_pointer_get(doc, &ptr) != value)
        {
            abort();
        }
    }

    if (value->refcount > 2) {
        abort();
    }

    json_decref(value);
    json_decref(doc);

    return 0;
}
