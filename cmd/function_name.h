/*
 * function_name.h - which function of a profile is meant by what somebody typed.
 */
#ifndef MEMPROF_CMD_FUNCTION_NAME_H
#define MEMPROF_CMD_FUNCTION_NAME_H

#include "core/error.h"
#include "core/profile.h"

/*
 * The name of the function that `typed` stands for: the whole name, else the name without its
 * arguments, else the last part of it ("push" for "app::Queue::push(int)"), else any part; the
 * first of these that only one name fits. A tier's mark in front of a whole name is passed over.
 * Fails with the names that fit, or with the nearest
 * one; `file_name` is for the message.
 */
int function_name_find(const struct profile *profile, const char *typed, const char *file_name,
                       string_id *ret_function, struct error *err);

#endif
