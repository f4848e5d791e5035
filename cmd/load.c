#include "cmd/load.h"

#include "output/format.h"
#include "symbolize/file_offsets.h"

/*
 * Only formats that say so hold addresses that still want names. Elsewhere a frame without one
 * was looked for in vain when it was recorded, and has no address any more.
 */
int profile_load(const char *path, struct profile **ret_profile, struct error *err)
{
    _cleanup_profile_ struct profile *profile = NULL;
    const struct format *format;
    if (profile_read(path, &profile, &format, err) < 0)
        return -1;
    *ret_profile = format->file_offsets ? symbolize_file_offsets(profile) : steal(&profile);
    return 0;
}
