
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_block.h>
#include <ngx_http_conduit_journal.h>


static ngx_uint_t ngx_http_conduit_journal_missing(
    ngx_http_conduit_journal_read_t *in);


ngx_int_t
ngx_http_conduit_journal_read(ngx_http_conduit_journal_t *journal,
    ngx_http_conduit_journal_read_t *in, uint64_t generation)
{
    ssize_t      n;
    ngx_fd_t     fd;
    struct stat  fs;

    ngx_memzero(in, sizeof(ngx_http_conduit_journal_read_t));

    in->generation = generation;

    fd = journal->fd[generation & 1];

    if (fstat(fd, &fs) == -1) {
        return NGX_ERROR;
    }

    in->data = malloc(ngx_max(fs.st_size, 1));
    if (in->data == NULL) {
        return NGX_ERROR;
    }

    while (in->size < (size_t) fs.st_size) {
        n = pread(fd, in->data + in->size, fs.st_size - in->size, in->size);

        if (n == 0) {
            break;
        }

        if (n == -1) {
            ngx_http_conduit_journal_free(in);
            return NGX_ERROR;
        }

        in->size += n;
    }

    return NGX_OK;
}


void
ngx_http_conduit_journal_free(ngx_http_conduit_journal_read_t *in)
{
    free(in->data);
    in->data = NULL;
}


ngx_http_conduit_op_t *
ngx_http_conduit_journal_next(ngx_http_conduit_journal_read_t *in,
    ngx_int_t *rc)
{
    size_t                     n;
    u_char                    *block;
    ngx_http_conduit_op_t     *ops;
    ngx_http_conduit_block_t   head;

    n = 0;
    block = in->data + in->offset;

    ngx_memzero(&head, sizeof(ngx_http_conduit_block_t));

    if (in->offset < in->size) {
        n = ngx_http_conduit_block_check(&head, block, in->size - in->offset,
                                         in->generation);
    }

    if (n == 0 || head.chain != in->sum) {
        *rc = ngx_http_conduit_journal_missing(in) ? NGX_DECLINED : NGX_DONE;
        return NULL;
    }

    ops = ngx_http_conduit_block_ops(&head, block);

    if (ops == NULL) {
        *rc = (ngx_errno == EBADMSG) ? NGX_DECLINED : NGX_ERROR;
        return NULL;
    }

    in->sum = head.sum;
    in->before = ngx_max(in->before, head.before);
    in->offset += n;

    return ops;
}


/*
 * Where blocks end: is there one further on that has seen more flushed?  Those
 * that were not flushed may be left by a power cut without the one before.
 */

static ngx_uint_t
ngx_http_conduit_journal_missing(ngx_http_conduit_journal_read_t *in)
{
    size_t                    off;
    ngx_http_conduit_block_t  head;

    for (off = in->offset + NGX_HTTP_CONDUIT_BLOCK_PAGE;
         off < in->size;
         off += NGX_HTTP_CONDUIT_BLOCK_PAGE)
    {
        if (ngx_http_conduit_block_check(&head, in->data + off,
                                         in->size - off, in->generation)
            && head.flushed > in->offset)
        {
            return 1;
        }
    }

    return 0;
}


uint64_t
ngx_http_conduit_journal_first(ngx_http_conduit_journal_t *journal,
    ngx_uint_t file)
{
    ngx_http_conduit_block_t  head;

    if (pread(journal->fd[file], &head, sizeof(ngx_http_conduit_block_t), 0)
        != (ssize_t) sizeof(ngx_http_conduit_block_t)
        || ngx_memcmp(head.magic, NGX_HTTP_CONDUIT_BLOCK_MAGIC,
                      sizeof(head.magic))
           != 0)
    {
        return 0;
    }

    return head.generation;
}
