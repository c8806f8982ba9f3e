
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_glob.h"


int
conduit_glob_match(const u_char *pattern, size_t plen, const u_char *name,
    size_t nlen)
{
    size_t  p, n, star, mark;

    p = 0;
    n = 0;
    star = plen;
    mark = 0;

    while (n < nlen) {

        if (p < plen && pattern[p] == '*') {

            /* only the latest star is ever gone back to */

            star = p++;
            mark = n;
            continue;
        }

        if (p < plen && pattern[p] == name[n]) {
            p++;
            n++;
            continue;
        }

        if (star == plen) {
            return 0;
        }

        p = star + 1;
        n = ++mark;
    }

    while (p < plen && pattern[p] == '*') {
        p++;
    }

    return p == plen;
}
