#include "core/system_info.h"

#include "core/small_file.h"

#include <unistd.h>

enum { PARANOID_DEFAULT = 2 };

void system_info_add(struct system_info *info, const char *name, enum probe_state state,
                     char *detail, char *remedy)
{
    *vec_push(&info->probes) = (struct probe){name, state, detail, remedy};
}

char *system_info_need(struct system_info *info, const int *capabilities, const char *sysctl)
{
    for (const int *capability = capabilities; *capability >= 0; capability++)
        info->wanted |= (uint64_t)1 << *capability;
    return remedy_for_capabilities(&info->privileges, capabilities, sysctl);
}

char *system_info_remedy(const struct system_info *info)
{
    int capabilities[64 + 1];
    size_t count = 0;
    for (int bit = 0; bit < 64; bit++)
        if (info->wanted >> bit & 1)
            capabilities[count++] = bit;
    capabilities[count] = -1;
    return count > 1 ? remedy_for_capabilities(&info->privileges, capabilities, NULL) : NULL;
}

void system_info_gather(struct system_info *ret_info)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    *ret_info = (struct system_info){
        .cpus = online > 0 ? online : 1,
        .paranoid = small_file_number("/proc/sys/kernel/perf_event_paranoid", PARANOID_DEFAULT),
    };
    uname(&ret_info->system);
    privileges_read(&ret_info->privileges);
    cgroup_find(&ret_info->cgroup);
    probe_perf(ret_info);
    probe_trace(ret_info);
    probe_files(ret_info);
}

void system_info_release(struct system_info *info)
{
    for (size_t i = 0; i < info->probes.count; i++) {
        free(info->probes.items[i].detail);
        free(info->probes.items[i].remedy);
    }
    vec_release(&info->probes);
}
