
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_glob.h"
#include "tap.h"


#define match(p, n)                                                          \
    conduit_glob_match((const u_char *) (p), strlen(p),                      \
                       (const u_char *) (n), strlen(n))


int
main(void)
{
    size_t  i;

    static const char  *good[][2] = {
        { "", "" },
        { "*", "" },
        { "*", "anything" },
        { "dall-e-3", "dall-e-3" },
        { "minimax-*", "minimax-" },
        { "minimax-*", "minimax-video" },
        { "*-video", "minimax-video" },
        { "a*b*c", "abc" },
        { "a*b*c", "a-b-b-c" },
        { "**", "x" },
        { "*aab*", "aaaab" },
        { "a*", "a*" }
    };

    static const char  *bad[][2] = {
        { "", "a" },
        { "dall-e-3", "dall-e-33" },
        { "dall-e-3", "dall-e-" },
        { "dall-e-3", "Dall-e-3" },
        { "minimax-*", "minimax" },
        { "a*b*c", "acb" },
        { "*a", "ab" },
        { "a.c", "abc" },
        { "a?c", "abc" }
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(match(good[i][0], good[i][1]), 1, "%s matches \"%s\"",
               good[i][0], good[i][1]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(match(bad[i][0], bad[i][1]), 0, "%s does not match \"%s\"",
               bad[i][0], bad[i][1]);
    }

    return done_testing();
}
