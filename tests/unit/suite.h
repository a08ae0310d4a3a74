/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main of every CUnit suite: one CU_SuiteInfo made of the file's 'tests' list, basic run, exit status 1
 * when an assertion failed or no test ran. Include last, after SUITE_NAME and the static CU_TestInfo tests[].
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <CUnit/Basic.h>
#include <stdlib.h>

#define SUITE_MAIN(name, tests_, setup, teardown)                                                  \
	int main(void)                                                                             \
	{                                                                                          \
		CU_SuiteInfo suites[] = {{name, setup, teardown, NULL, NULL, tests_},              \
					 CU_SUITE_INFO_NULL};                                      \
		unsigned int failed, ran;                                                          \
		if (CU_initialize_registry() != CUE_SUCCESS)                                       \
			return 2;                                                                  \
		if (CU_register_suites(suites) != CUE_SUCCESS)                                     \
			return 2;                                                                  \
		CU_basic_set_mode(CU_BRM_NORMAL);                                                  \
		CU_basic_run_tests();                                                              \
		failed = CU_get_number_of_tests_failed() + CU_get_number_of_suites_failed();       \
		ran = CU_get_number_of_tests_run();                                                \
		CU_cleanup_registry();                                                             \
		return failed != 0 || ran == 0;                                                    \
	}

#endif
