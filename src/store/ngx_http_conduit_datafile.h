
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _NGX_HTTP_CONDUIT_DATAFILE_H_INCLUDED_
#define _NGX_HTTP_CONDUIT_DATAFILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* The files of the store: their lengths.  What returns an int: errno, or 0. */


/*
 * Reading behind the end of the file would be fatal.  Some last pages that are
 * not in use may be missing, and are added if grow says so; a file that lacks
 * more was cut off, which *why tells.
 */
int ngx_http_conduit_datafile_whole(ngx_fd_t fd, size_t pages, size_t page,
    ngx_uint_t grow, const char **why);

/*
 * Makes the file longer than what is in use: flushing pages that are there is
 * cheaper than flushing those that the file grows by.  Nobody else may write
 * at the time; failures do not matter.
 */
void ngx_http_conduit_datafile_ahead(ngx_fd_t fd, size_t used, size_t max);

/* these files do not get shorter: size is what there was, and what there is */
int ngx_http_conduit_datafile_kept(ngx_fd_t fd, size_t *size,
    const char **why);

/* all of it, or what has failed */
int ngx_http_conduit_datafile_write(ngx_fd_t fd, u_char *data, size_t n,
    size_t off);

/* does the folder's disk have next to no room? */
ngx_uint_t ngx_http_conduit_datafile_crowded(const char *path);


#endif /* _NGX_HTTP_CONDUIT_DATAFILE_H_INCLUDED_ */
