
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <conduit_rank.h>


#define conduit_rank_node(n)  ((conduit_rank_node_t *) (void *) (n))

#define conduit_rank_size(n)  ((n) ? conduit_rank_node(n)->size : 0)


static int conduit_rank_less(conduit_treap_node_t *a, conduit_treap_node_t *b);
static uint32_t conduit_rank_prio(conduit_treap_node_t *node);
static void conduit_rank_changed(conduit_treap_node_t *node);


static const conduit_treap_type_t  conduit_rank_type = {
    conduit_rank_less,
    conduit_rank_prio,
    conduit_rank_changed
};


void
conduit_rank_insert(conduit_rank_t *r, conduit_rank_node_t *node)
{
    conduit_treap_insert(&r->tree, &node->links, &conduit_rank_type);
}


void
conduit_rank_delete(conduit_rank_t *r, conduit_rank_node_t *node)
{
    conduit_treap_delete(&r->tree, &node->links, &conduit_rank_type);

    node->size = 0;
}


conduit_rank_node_t *
conduit_rank_first(conduit_rank_t *r)
{
    return conduit_rank_node(conduit_treap_next(&r->tree, NULL,
                                                &conduit_rank_type));
}


uint32_t
conduit_rank_count(conduit_rank_t *r)
{
    return conduit_rank_size(r->tree.root);
}


uint32_t
conduit_rank_before(conduit_rank_t *r, uint64_t tag, uint64_t seq)
{
    uint32_t               n;
    conduit_rank_node_t    place;
    conduit_treap_node_t  *node;

    n = 0;
    node = r->tree.root;

    place.tag = tag;
    place.seq = seq;

    while (node) {

        if (conduit_rank_less(node, &place.links)) {
            n += 1 + conduit_rank_size(node->left);
            node = node->right;

        } else {
            node = node->left;
        }
    }

    return n;
}


static int
conduit_rank_less(conduit_treap_node_t *a, conduit_treap_node_t *b)
{
    conduit_rank_node_t  *one, *two;

    one = conduit_rank_node(a);
    two = conduit_rank_node(b);

    return one->tag < two->tag
           || (one->tag == two->tag && one->seq < two->seq);
}


static uint32_t
conduit_rank_prio(conduit_treap_node_t *node)
{
    return conduit_rank_node(node)->prio;
}


static void
conduit_rank_changed(conduit_treap_node_t *node)
{
    conduit_rank_node(node)->size = 1 + conduit_rank_size(node->left)
                                    + conduit_rank_size(node->right);
}
