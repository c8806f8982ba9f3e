
/*
 * Copyright (C) Conduit for nginx authors
 */


/* ordered sets: the treap against an array of what is in it */


#include <conduit_treap.h>
#include <stdlib.h>
#include <tap.h>


#define N  500


typedef struct {
    conduit_treap_node_t  node;
    uint32_t              prio;
    uint32_t              size;
    uint32_t              in;
} member_t;


static int less(conduit_treap_node_t *a, conduit_treap_node_t *b);
static uint32_t prio(conduit_treap_node_t *node);
static void changed(conduit_treap_node_t *node);
static uint32_t number(void);
static int same(conduit_treap_t *tree);
static conduit_treap_node_t *found(int i, int step);


static uint32_t  seed = 4711;
static member_t  members[N];


static const conduit_treap_type_t  type = { less, prio, changed };
static const conduit_treap_type_t  plain = { less, prio, NULL };


static int
less(conduit_treap_node_t *a, conduit_treap_node_t *b)
{
    return a < b;
}


static uint32_t
prio(conduit_treap_node_t *node)
{
    return ((member_t *) (void *) node)->prio;
}


static void
changed(conduit_treap_node_t *node)
{
    member_t  *m = (member_t *) (void *) node;

    m->size = 1 + (node->left ? ((member_t *) (void *) node->left)->size : 0)
              + (node->right ? ((member_t *) (void *) node->right)->size : 0);
}


static uint32_t
number(void)
{
    seed = seed * 1664525u + 1013904223u;

    return seed >> 8;
}


/* the next member of the array from there, or NULL */

static conduit_treap_node_t *
found(int i, int step)
{
    for (i += step; i >= 0 && i < N; i += step) {
        if (members[i].in) {
            return &members[i].node;
        }
    }

    return NULL;
}


static int
same(conduit_treap_t *tree)
{
    int  i;

    if (conduit_treap_next(tree, NULL, &type) != found(-1, 1)
        || conduit_treap_prev(tree, NULL, &type) != found(N, -1))
    {
        return 0;
    }

    for (i = 0; i < N; i++) {
        if (members[i].in
            && (conduit_treap_next(tree, &members[i].node, &type)
                != found(i, 1)
                || conduit_treap_prev(tree, &members[i].node, &type)
                   != found(i, -1)))
        {
            return 0;
        }
    }

    return 1;
}


int
main(void)
{
    int              i, k, wrong;
    uint32_t         count;
    member_t        *m;
    conduit_treap_t  tree;

    conduit_treap_init(&tree);

    ok(conduit_treap_next(&tree, NULL, &type) == NULL, "nothing comes first");
    ok(conduit_treap_prev(&tree, NULL, &type) == NULL, "nor last");

    wrong = 0;
    count = 0;

    for (k = 0; k < 20 * N; k++) {
        m = &members[number() % N];

        if (m->in) {
            conduit_treap_delete(&tree, &m->node, &type);
            m->in = 0;
            count--;

        } else {
            /* some are equal */

            m->prio = number() % 1000;
            conduit_treap_insert(&tree, &m->node, &type);
            m->in = 1;
            count++;
        }

        if (count) {
            m = (member_t *) (void *) tree.root;
            wrong += (m->size != count);
        }

        if (k % 100 == 0) {
            wrong += !same(&tree);
        }
    }

    is_num(wrong, 0, "members, their neighbours and their number");

    for (i = 0; i < N; i++) {
        if (members[i].in) {
            conduit_treap_delete(&tree, &members[i].node, &plain);
            members[i].in = 0;
        }
    }

    ok(tree.root == NULL, "without members it is empty");

    for (i = 0; i < N; i++) {
        members[i].prio = number();
        conduit_treap_insert(&tree, &members[i].node, &plain);
        members[i].in = 1;
    }

    ok(same(&tree), "a type that does not want to know of changes");

    return done_testing();
}
