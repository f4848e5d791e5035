/*
 * fuzz_perf_script.c - texts of perf script through reading and both reports.
 */
#include "output/perf_script.h"
#include "output/report.h"
#include "tests/fuzz/text_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    perf_script_matches((const char *)data, size);
    text_report(data, size, perf_script_read);
    return 0;
}
