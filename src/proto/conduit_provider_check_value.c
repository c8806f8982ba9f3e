
/*
 * Copyright (C) Conduit for nginx authors
 */


/* The values that URLs and pointers name: does an earlier step bring them? */


#include "conduit_provider_parse.h"


static int conduit_check_value(conduit_check_t *ck, const char *what,
    conduit_str_t *name, conduit_known_e known);
static int conduit_check_from(conduit_check_t *ck, const char *what,
    conduit_str_t *name, conduit_known_e known);


int
conduit_check_templates(conduit_check_t *ck, const char *what,
    conduit_list_t *list, conduit_known_e known)
{
    unsigned             i;
    conduit_template_t  *t;

    t = list->elts;

    for (i = 0; i < list->n; i++) {

        if (conduit_check_template(ck, what, &t[i], known) != CONDUIT_OK) {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


int
conduit_check_template(conduit_check_t *ck, const char *what,
    conduit_template_t *t, conduit_known_e known)
{
    conduit_part_t  *part;

    for (part = t->parts; part; part = part->next) {

        if (part->value
            && conduit_check_value(ck, what, &part->text, known)
               != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_check_value(conduit_check_t *ck, const char *what,
    conduit_str_t *name, conduit_known_e known)
{
    conduit_provider_t  *p;

    p = ck->provider;

    if (conduit_parse_is(name, "model") || conduit_parse_is(name, "task")) {
        return CONDUIT_OK;
    }

    if (conduit_parse_is(name, "secret")) {
        return conduit_check_error(ck, "\"%s\" cannot have the secret, which"
                                   " belongs to \"auth header NAME FORMAT\" or"
                                   " \"auth query NAME\"", what);
    }

    if (memchr(name->data, ':', name->len)) {
        return conduit_check_from(ck, what, name, known);
    }

    if ((known >= CONDUIT_KNOWN_SUBMIT
         && conduit_check_taken(&p->submit.take, name))
        || (known >= CONDUIT_KNOWN_POLL
            && conduit_check_taken(&p->poll.take, name))
        || (known >= CONDUIT_KNOWN_FETCH
            && conduit_check_taken(&p->fetch.take, name)))
    {
        return CONDUIT_OK;
    }

    return conduit_check_error(ck, "\"%s\" names \"${%.*s}\", which no"
                               " earlier step takes: \"take %.*s POINTER\"",
                               what, (int) name->len, name->data,
                               (int) name->len, name->data);
}


/* "poll:/pointer" becomes a value that is taken from the poll's reply */

static int
conduit_check_from(conduit_check_t *ck, const char *what, conduit_str_t *name,
    conduit_known_e known)
{
    u_char              *colon;
    conduit_str_t       *pointer;
    conduit_list_t      *list;
    conduit_take_t      *take;
    conduit_provider_t  *p;

    p = ck->provider;

    if (name->data[0] == 's' && known >= CONDUIT_KNOWN_SUBMIT) {
        list = &p->submit.take;

    } else if (name->data[0] == 'p' && known >= CONDUIT_KNOWN_POLL
               && !p->sync)
    {
        list = &p->poll.take;

    } else {
        return conduit_check_error(ck, "\"%s\" names \"${%.*s}\", a reply that"
                                   " does not come before it", what,
                                   (int) name->len, name->data);
    }

    if (conduit_check_taken(list, name)) {
        return CONDUIT_OK;
    }

    take = conduit_list_push(&p->pool, list, sizeof(conduit_take_t));
    if (take == NULL) {
        return conduit_check_error(ck, "no memory");
    }

    take->name = *name;

    pointer = conduit_list_push(&p->pool, &take->pointers,
                                sizeof(conduit_str_t));
    if (pointer == NULL) {
        return conduit_check_error(ck, "no memory");
    }

    colon = memchr(name->data, ':', name->len);

    pointer->data = colon + 1;
    pointer->len = (size_t) (name->data + name->len - pointer->data);

    return CONDUIT_OK;
}


conduit_take_t *
conduit_check_taken(conduit_list_t *list, const conduit_str_t *name)
{
    unsigned         i;
    conduit_take_t  *take;

    take = list->elts;

    for (i = 0; i < list->n; i++) {

        if (take[i].name.len == name->len
            && memcmp(take[i].name.data, name->data, name->len) == 0)
        {
            return &take[i];
        }
    }

    return NULL;
}
