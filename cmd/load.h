/*
 * load.h - a profile from a file of any known kind, with names: how every command that takes a
 * FILE reads it.
 */
#ifndef MEMPROF_CMD_LOAD_H
#define MEMPROF_CMD_LOAD_H

#include "core/error.h"
#include "core/profile.h"

/* "-" is standard input. The caller frees the profile. */
int profile_load(const char *path, struct profile **ret_profile, struct error *err);

#endif
