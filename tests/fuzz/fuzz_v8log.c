/*
 * fuzz_v8log.c - logs of V8 through reading and both reports.
 */
#include "output/report.h"
#include "output/v8log.h"
#include "tests/fuzz/text_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    v8log_matches((const char *)data, size);
    text_report(data, size, v8log_read);
    return 0;
}
