
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_TREAP_H_INCLUDED_
#define _CONDUIT_TREAP_H_INCLUDED_


#include <conduit.h>


/*
 * An ordered set: a treap (Aragon, Seidel: Randomized Search Trees).  Nodes
 * are embedded in the caller's structures and may lie in shared memory, where
 * no address of a function may be kept: the type of the set is told with each
 * call.  Nothing is allocated.  All operations take O(log n) expected time.
 */

typedef struct conduit_treap_node_s  conduit_treap_node_t;

struct conduit_treap_node_s {
    conduit_treap_node_t  *left;
    conduit_treap_node_t  *right;
};


typedef struct {
    conduit_treap_node_t  *root;
} conduit_treap_t;


/* prio is any well spread number that does not depend on the order */

typedef struct {
    int      (*less)(conduit_treap_node_t *a, conduit_treap_node_t *b);
    uint32_t (*prio)(conduit_treap_node_t *node);

    /* has got other children, or these have; may be NULL */

    void     (*changed)(conduit_treap_node_t *node);
} conduit_treap_type_t;


#define conduit_treap_init(t)  (t)->root = NULL


/* the node must not be in the set, nor may one that is equal to it */

void conduit_treap_insert(conduit_treap_t *t, conduit_treap_node_t *node,
    const conduit_treap_type_t *type);

/* the node must be in the set */

void conduit_treap_delete(conduit_treap_t *t, conduit_treap_node_t *node,
    const conduit_treap_type_t *type);

/* the one behind a member (NULL: the first), or before it (NULL: the last) */

conduit_treap_node_t *conduit_treap_next(conduit_treap_t *t,
    conduit_treap_node_t *node, const conduit_treap_type_t *type);
conduit_treap_node_t *conduit_treap_prev(conduit_treap_t *t,
    conduit_treap_node_t *node, const conduit_treap_type_t *type);


#endif /* _CONDUIT_TREAP_H_INCLUDED_ */
