
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <conduit_treap.h>


static conduit_treap_node_t *conduit_treap_put(conduit_treap_node_t *tree,
    conduit_treap_node_t *node, const conduit_treap_type_t *type);
static conduit_treap_node_t *conduit_treap_take(conduit_treap_node_t *tree,
    conduit_treap_node_t *node, const conduit_treap_type_t *type);
static void conduit_treap_split(conduit_treap_node_t *tree,
    conduit_treap_node_t *node, conduit_treap_node_t **left,
    conduit_treap_node_t **right, const conduit_treap_type_t *type);
static conduit_treap_node_t *conduit_treap_merge(conduit_treap_node_t *left,
    conduit_treap_node_t *right, const conduit_treap_type_t *type);
static conduit_treap_node_t *conduit_treap_changed(conduit_treap_node_t *node,
    const conduit_treap_type_t *type);


void
conduit_treap_insert(conduit_treap_t *t, conduit_treap_node_t *node,
    const conduit_treap_type_t *type)
{
    t->root = conduit_treap_put(t->root, node, type);
}


void
conduit_treap_delete(conduit_treap_t *t, conduit_treap_node_t *node,
    const conduit_treap_type_t *type)
{
    t->root = conduit_treap_take(t->root, node, type);
}


conduit_treap_node_t *
conduit_treap_next(conduit_treap_t *t, conduit_treap_node_t *node,
    const conduit_treap_type_t *type)
{
    conduit_treap_node_t  *p, *next;

    next = NULL;
    p = t->root;

    while (p) {

        if (node && !type->less(node, p)) {
            p = p->right;

        } else {
            next = p;
            p = p->left;
        }
    }

    return next;
}


conduit_treap_node_t *
conduit_treap_prev(conduit_treap_t *t, conduit_treap_node_t *node,
    const conduit_treap_type_t *type)
{
    conduit_treap_node_t  *p, *prev;

    prev = NULL;
    p = t->root;

    while (p) {

        if (node && !type->less(p, node)) {
            p = p->left;

        } else {
            prev = p;
            p = p->right;
        }
    }

    return prev;
}


/* each of the following returns the root of the tree that it has made */

static conduit_treap_node_t *
conduit_treap_put(conduit_treap_node_t *tree, conduit_treap_node_t *node,
    const conduit_treap_type_t *type)
{
    if (tree == NULL || type->prio(tree) < type->prio(node)) {
        conduit_treap_split(tree, node, &node->left, &node->right, type);
        return conduit_treap_changed(node, type);
    }

    if (type->less(tree, node)) {
        tree->right = conduit_treap_put(tree->right, node, type);

    } else {
        tree->left = conduit_treap_put(tree->left, node, type);
    }

    return conduit_treap_changed(tree, type);
}


static conduit_treap_node_t *
conduit_treap_take(conduit_treap_node_t *tree, conduit_treap_node_t *node,
    const conduit_treap_type_t *type)
{
    if (tree == NULL) {
        return NULL;
    }

    if (tree == node) {
        return conduit_treap_merge(node->left, node->right, type);
    }

    if (type->less(tree, node)) {
        tree->right = conduit_treap_take(tree->right, node, type);

    } else {
        tree->left = conduit_treap_take(tree->left, node, type);
    }

    return conduit_treap_changed(tree, type);
}


static void
conduit_treap_split(conduit_treap_node_t *tree, conduit_treap_node_t *node,
    conduit_treap_node_t **left, conduit_treap_node_t **right,
    const conduit_treap_type_t *type)
{
    if (tree == NULL) {
        *left = NULL;
        *right = NULL;
        return;
    }

    if (type->less(tree, node)) {
        conduit_treap_split(tree->right, node, &tree->right, right, type);
        *left = tree;

    } else {
        conduit_treap_split(tree->left, node, left, &tree->left, type);
        *right = tree;
    }

    (void) conduit_treap_changed(tree, type);
}


static conduit_treap_node_t *
conduit_treap_merge(conduit_treap_node_t *left, conduit_treap_node_t *right,
    const conduit_treap_type_t *type)
{
    if (left == NULL) {
        return right;
    }

    if (right == NULL) {
        return left;
    }

    if (type->prio(left) >= type->prio(right)) {
        left->right = conduit_treap_merge(left->right, right, type);
        return conduit_treap_changed(left, type);
    }

    right->left = conduit_treap_merge(left, right->left, type);

    return conduit_treap_changed(right, type);
}


static conduit_treap_node_t *
conduit_treap_changed(conduit_treap_node_t *node,
    const conduit_treap_type_t *type)
{
    if (type->changed) {
        type->changed(node);
    }

    return node;
}
