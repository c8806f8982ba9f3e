
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_RANK_H_INCLUDED_
#define _CONDUIT_RANK_H_INCLUDED_


#include <conduit_treap.h>


/*
 * An ordered set that knows the place of each member: a treap whose nodes
 * count their subtrees.  Nodes are embedded in the caller's structures and
 * may lie in shared memory; nothing is allocated here.  All operations take
 * O(log n) expected time.
 *
 * Members are ordered by (tag, seq); seq makes the order total and has to be
 * unique within the set.  prio is any well spread number.
 */

typedef struct {
    conduit_treap_node_t  links;
    uint64_t              tag;
    uint64_t              seq;
    uint32_t              prio;
    uint32_t              size;
} conduit_rank_node_t;


typedef struct {
    conduit_treap_t       tree;
} conduit_rank_t;


#define conduit_rank_init(r)   conduit_treap_init(&(r)->tree)


uint32_t conduit_rank_count(conduit_rank_t *r);


/* the node's tag, seq and prio must be set; it must not be in the set */

void conduit_rank_insert(conduit_rank_t *r, conduit_rank_node_t *node);

/* the node must be in the set */

void conduit_rank_delete(conduit_rank_t *r, conduit_rank_node_t *node);

/* the smallest member, or NULL */

conduit_rank_node_t *conduit_rank_first(conduit_rank_t *r);

/* how many members are smaller than (tag, seq) */

uint32_t conduit_rank_before(conduit_rank_t *r, uint64_t tag, uint64_t seq);


#endif /* _CONDUIT_RANK_H_INCLUDED_ */
