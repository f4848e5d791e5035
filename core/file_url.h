/*
 * file_url.h - the path that a file:// URL names, as scripts and profiles hold it.
 */
#ifndef MEMPROF_CORE_FILE_URL_H
#define MEMPROF_CORE_FILE_URL_H

/* "file:///a%20b" -> "/a b", any other text as it is; owned by the caller. */
char *file_url_path(const char *url);

#endif
