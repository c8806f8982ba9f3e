
/*
 * Copyright (C) Conduit for nginx authors
 */


/* places in queues: the treap against a plain sorted list */


#include <conduit_rank.h>
#include <stdlib.h>
#include <tap.h>


#define N  2000


static uint32_t  seed = 12345;


static uint32_t
next(void)
{
    seed = seed * 1664525u + 1013904223u;

    return seed >> 8;
}


static uint32_t
depth(conduit_treap_node_t *node)
{
    uint32_t  left, right;

    if (node == NULL) {
        return 0;
    }

    left = depth(node->left);
    right = depth(node->right);

    return 1 + (left > right ? left : right);
}


static uint32_t
before(conduit_rank_node_t *nodes, char *in, uint64_t tag, uint64_t seq)
{
    uint32_t  i, n;

    for (i = 0, n = 0; i < N; i++) {
        n += in[i] && (nodes[i].tag < tag
                       || (nodes[i].tag == tag && nodes[i].seq < seq));
    }

    return n;
}


int
main(void)
{
    char                  in[N];
    int                   wrong;
    uint32_t              i, k, count;
    conduit_rank_t        rank;
    conduit_rank_node_t  *nodes, *node;

    nodes = calloc(N, sizeof(conduit_rank_node_t));
    if (nodes == NULL) {
        return 1;
    }

    memset(in, 0, sizeof(in));
    conduit_rank_init(&rank);

    ok(conduit_rank_first(&rank) == NULL, "an empty set has no first");
    is_num(conduit_rank_count(&rank), 0, "and no members");
    is_num(conduit_rank_before(&rank, 1, 1), 0, "and none before any");

    wrong = 0;
    count = 0;

    for (k = 0; k < 8 * N; k++) {
        i = next() % N;
        node = &nodes[i];

        if (in[i]) {
            conduit_rank_delete(&rank, node);
            in[i] = 0;
            count--;

        } else {
            node->tag = next() % 50;
            node->seq = i + 1;
            node->prio = (uint32_t) (node->seq * 0x9e3779b97f4a7c15ull >> 32);
            conduit_rank_insert(&rank, node);
            in[i] = 1;
            count++;
        }

        if (conduit_rank_count(&rank) != count) {
            wrong++;
        }

        if (k % 97 == 0) {
            i = next() % N;
            wrong += conduit_rank_before(&rank, nodes[i].tag, nodes[i].seq)
                     != before(nodes, in, nodes[i].tag, nodes[i].seq);
        }
    }

    is_num(wrong, 0, "counts and places are those of a sorted list");
    ok(depth(rank.tree.root) < 64,
       "the tree stays flat: depth %u of %u members", depth(rank.tree.root),
       count);

    wrong = 0;

    for (k = 0; count; k++, count--) {
        node = conduit_rank_first(&rank);

        wrong += node == NULL
                 || before(nodes, in, node->tag, node->seq) != 0;
        if (node == NULL) {
            break;
        }

        in[node - nodes] = 0;
        conduit_rank_delete(&rank, node);
    }

    is_num(wrong, 0, "members leave in order");
    ok(rank.tree.root == NULL, "until the set is empty");

    free(nodes);

    return done_testing();
}
