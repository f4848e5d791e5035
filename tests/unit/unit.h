/*
 * unit.h - the main function of a unit test program.
 *
 * A test file defines its START_TEST bodies and ends in
 * UNIT_MAIN("subject", test_one, test_two, …).
 */
#ifndef MEMPROF_TESTS_UNIT_H
#define MEMPROF_TESTS_UNIT_H

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

#define UNIT_MAIN(subject, ...)                                                                    \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        TCase *tcase = tcase_create(subject);                                                      \
        tcase_set_timeout(tcase, 240);                                                             \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)                                  \
            tcase_add_test(tcase, tests[i]);                                                       \
        Suite *suite = suite_create(subject);                                                      \
        suite_add_tcase(suite, tcase);                                                             \
        SRunner *runner = srunner_create(suite);                                                   \
        srunner_run_all(runner, CK_NORMAL);                                                        \
        int failed = srunner_ntests_failed(runner);                                                \
        srunner_free(runner);                                                                      \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                               \
    }

#endif
