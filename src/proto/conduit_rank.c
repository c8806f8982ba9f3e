
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <conduit_rank.h>


static int conduit_rank_less(conduit_rank_node_t *node, uint64_t tag,
    uint64_t seq);
static void conduit_rank_count_up(conduit_rank_node_t *node);
static void conduit_rank_split(conduit_rank_node_t *node, uint64_t tag,
    uint64_t seq, conduit_rank_node_t **left, conduit_rank_node_t **right);
static conduit_rank_node_t *conduit_rank_merge(conduit_rank_node_t *left,
    conduit_rank_node_t *right);


void
conduit_rank_insert(conduit_rank_t *r, conduit_rank_node_t *node)
{
    conduit_rank_node_t  **p;

    p = &r->root;

    while (*p && (*p)->prio >= node->prio) {
        (*p)->size++;
        p = conduit_rank_less(*p, node->tag, node->seq) ? &(*p)->right
                                                        : &(*p)->left;
    }

    conduit_rank_split(*p, node->tag, node->seq, &node->left, &node->right);
    conduit_rank_count_up(node);

    *p = node;
}


void
conduit_rank_delete(conduit_rank_t *r, conduit_rank_node_t *node)
{
    conduit_rank_node_t  **p;

    p = &r->root;

    while (*p && *p != node) {
        (*p)->size--;
        p = conduit_rank_less(*p, node->tag, node->seq) ? &(*p)->right
                                                        : &(*p)->left;
    }

    if (*p == NULL) {
        return;
    }

    *p = conduit_rank_merge(node->left, node->right);

    node->left = NULL;
    node->right = NULL;
    node->size = 0;
}


conduit_rank_node_t *
conduit_rank_first(conduit_rank_t *r)
{
    conduit_rank_node_t  *node;

    node = r->root;

    while (node && node->left) {
        node = node->left;
    }

    return node;
}


uint32_t
conduit_rank_before(conduit_rank_t *r, uint64_t tag, uint64_t seq)
{
    uint32_t              n;
    conduit_rank_node_t  *node;

    n = 0;
    node = r->root;

    while (node) {

        if (conduit_rank_less(node, tag, seq)) {
            n += 1 + (node->left ? node->left->size : 0);
            node = node->right;

        } else {
            node = node->left;
        }
    }

    return n;
}


static int
conduit_rank_less(conduit_rank_node_t *node, uint64_t tag, uint64_t seq)
{
    return node->tag < tag || (node->tag == tag && node->seq < seq);
}


static void
conduit_rank_count_up(conduit_rank_node_t *node)
{
    node->size = 1 + (node->left ? node->left->size : 0)
                 + (node->right ? node->right->size : 0);
}


static void
conduit_rank_split(conduit_rank_node_t *node, uint64_t tag, uint64_t seq,
    conduit_rank_node_t **left, conduit_rank_node_t **right)
{
    if (node == NULL) {
        *left = NULL;
        *right = NULL;
        return;
    }

    if (conduit_rank_less(node, tag, seq)) {
        conduit_rank_split(node->right, tag, seq, &node->right, right);
        *left = node;

    } else {
        conduit_rank_split(node->left, tag, seq, left, &node->left);
        *right = node;
    }

    conduit_rank_count_up(node);
}


static conduit_rank_node_t *
conduit_rank_merge(conduit_rank_node_t *left, conduit_rank_node_t *right)
{
    if (left == NULL) {
        return right;
    }

    if (right == NULL) {
        return left;
    }

    if (left->prio >= right->prio) {
        left->right = conduit_rank_merge(left->right, right);
        conduit_rank_count_up(left);
        return left;
    }

    right->left = conduit_rank_merge(left, right->left);
    conduit_rank_count_up(right);

    return right;
}
