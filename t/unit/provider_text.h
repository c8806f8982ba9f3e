
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _PROVIDER_TEXT_H_INCLUDED_
#define _PROVIDER_TEXT_H_INCLUDED_


/*
 * Descriptions of providers from text, for unit programs and fuzz targets:
 * what nginx's lexer does, in short.
 */


#include <conduit_provider.h>

#include <stdio.h>
#include <stdlib.h>


#define TEXT_ARGS  80


typedef struct text_block_s  text_block_t;

struct text_block_s {
    text_block_t   *next;
};


/* each piece is an allocation of its own, so overruns are seen */

typedef struct {
    conduit_pool_t  pool;
    text_block_t   *blocks;
} text_pool_t;


static void *
text_alloc(void *data, size_t size)
{
    text_pool_t   *tp = data;
    text_block_t  *block;

    block = malloc(sizeof(text_block_t) + size);
    if (block == NULL) {
        return NULL;
    }

    memset(block + 1, 0xa5, size);

    block->next = tp->blocks;
    tp->blocks = block;

    return block + 1;
}


static void
text_pool_init(text_pool_t *tp)
{
    tp->pool.alloc = text_alloc;
    tp->pool.data = tp;
    tp->blocks = NULL;
}


static void
text_pool_done(text_pool_t *tp)
{
    text_block_t  *block;

    while (tp->blocks) {
        block = tp->blocks;
        tp->blocks = block->next;
        free(block);
    }
}


/* one token; returns ';', '{', '}', 'a' for an argument, or 0 at the end */

static int
text_token(text_pool_t *tp, const char **pos, conduit_str_t *arg)
{
    char         quote, *dst;
    const char  *p;

    p = *pos;

    for ( ;; ) {

        while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') {
            p++;
        }

        if (*p != '#') {
            break;
        }

        while (*p && *p != '\n') {
            p++;
        }
    }

    if (*p == '\0' || *p == ';' || *p == '{' || *p == '}') {
        *pos = p + (*p != '\0');
        return *p;
    }

    dst = text_alloc(tp, strlen(p) + 1);
    arg->data = (u_char *) dst;

    quote = (*p == '"' || *p == '\'') ? *p++ : '\0';

    while (*p) {

        if (quote ? *p == quote : strchr(" \n\t\r;", *p) != NULL) {
            break;
        }

        if (!quote && *p == '{' && p[-1] != '$') {
            break;
        }

        if (*p == '\\' && (p[1] == '"' || p[1] == '\'' || p[1] == '\\')) {
            p++;
        }

        *dst++ = *p++;
    }

    if (quote && *p) {
        p++;
    }

    *dst = '\0';
    arg->len = (size_t) (dst - (char *) arg->data);
    *pos = p;

    return 'a';
}


/*
 * The description in the text: the inside of a provider's block, or NULL with
 * the message in error.
 */

static conduit_provider_t *
text_provider(text_pool_t *tp, const char *text,
    char error[CONDUIT_PROVIDER_ERROR])
{
    int                  token;
    unsigned             n;
    conduit_str_t       *args, arg, name;
    conduit_block_e      block, inner;
    conduit_provider_t  *p;

    name.data = (u_char *) "test";
    name.len = 4;

    p = conduit_provider_create(&tp->pool, &name);
    block = CONDUIT_BLOCK_PROVIDER;
    args = text_alloc(tp, TEXT_ARGS * sizeof(conduit_str_t));
    n = 0;
    error[0] = '\0';

    for ( ;; ) {

        token = text_token(tp, &text, &arg);

        if (token == 'a' && n < TEXT_ARGS) {
            args[n++] = arg;
            continue;
        }

        if (token == 0 || (token == '}' && block == CONDUIT_BLOCK_PROVIDER)) {
            break;
        }

        if (token == '}') {
            block = CONDUIT_BLOCK_PROVIDER;
            continue;
        }

        if (n == 0 || token == 'a') {
            snprintf(error, CONDUIT_PROVIDER_ERROR, "bad text");
            return NULL;
        }

        if (conduit_provider_directive(p, block, args, n, &inner, error)
            != CONDUIT_OK)
        {
            return NULL;
        }

        if ((token == '{') != (inner != block)) {
            snprintf(error, CONDUIT_PROVIDER_ERROR, "block or not?");
            return NULL;
        }

        block = inner;
        args = text_alloc(tp, TEXT_ARGS * sizeof(conduit_str_t));
        n = 0;
    }

    if (conduit_provider_check(p, error) != CONDUIT_OK) {
        return NULL;
    }

    if (p->secret_from.len) {
        p->secret.data = (u_char *) "sk-test/secret";
        p->secret.len = 14;
    }

    return p;
}


#endif /* _PROVIDER_TEXT_H_INCLUDED_ */
