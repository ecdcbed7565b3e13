/* SPDX-License-Identifier: Apache-2.0 */
/* Whole-file reads are bounded, writes replace all or nothing; log lines cannot be forged. */
#include "proto/base/fs.h"
#include "proto/base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/consilium-fs-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[FS_PATH_BYTES];
    struct why why;
    assert_true(ok(fs_join(path, folder, name, &why)));
    return path;
}

static void writes_and_reads_back(void **state)
{
    (void)state;
    struct why why;
    char *text = NULL;
    size_t n = 0;
    assert_true(ok(fs_write_atomic(in_folder("a"), "one", 3, 0600, &why)));
    assert_true(ok(fs_write_atomic(in_folder("a"), "two\0!", 5, 0640, &why)));
    assert_true(ok(fs_read(in_folder("a"), 5, &text, &n, &why)));
    assert_int_equal(n, 5);
    assert_memory_equal(text, "two\0!", 6);
    free(text);
    struct stat st;
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void refuses_too_large_missing_and_odd_files(void **state)
{
    (void)state;
    struct why why;
    char *text = NULL;
    assert_true(ok(fs_write_atomic(in_folder("b"), "123456", 6, 0600, &why)));
    assert_int_equal(fs_read(in_folder("b"), 5, &text, NULL, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "at most 5"));
    assert_int_equal(fs_read(in_folder("none"), 5, &text, NULL, &why).code, RESULT_INPUT);
    assert_int_equal(fs_read(folder, 5, &text, NULL, &why).code, RESULT_INPUT);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(fs_read(in_folder("fifo"), 5, &text, NULL, &why).code, RESULT_INPUT);
    unlink(in_folder("fifo"));
    assert_null(text);
}

static void failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    struct why why;
    assert_true(ok(fs_make_dirs(in_folder("dir/x/y"), 0700, &why)));
    assert_true(ok(fs_make_dirs(in_folder("dir/x/y"), 0700, &why)));
    assert_false(ok(fs_write_atomic(in_folder("dir"), "1", 1, 0600, &why)));
    assert_false(ok(fs_write_atomic(in_folder("no-such/file"), "1", 1, 0600, &why)));
    assert_true(ok(fs_write_atomic(in_folder("dir/x/f"), "1", 1, 0600, &why)));
    assert_int_equal(fs_make_dirs(in_folder("dir/x/f"), 0700, &why).code, RESULT_INPUT);
    assert_true(fs_exists(in_folder("dir/x/f")));
    assert_false(fs_exists(in_folder("dir/x/g")));
}

static void log_lines_cannot_be_forged(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO);
    int fd = open(in_folder("log"), O_CREAT | O_RDWR | O_TRUNC, 0600);
    assert_true(saved >= 0 && fd >= 0);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    log_start("tester", LOG_LEVEL_INFO);
    log_debug("hidden");
    log_info("site %s\nfaked line", "a");
    char longer[2 * LOG_LINE_BYTES];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    log_error("%s", longer);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    char *text = NULL;
    size_t n = 0;
    struct why why;
    assert_true(ok(fs_read(in_folder("log"), 100000, &text, &n, &why)));
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "Z info tester: site a?faked line\n"));
    int lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 2);
    free(text);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "log", "dir/x/f", "dir/x/y", "dir/x", "dir"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(in_folder(names[i]));
    return remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads_back),
        cmocka_unit_test(refuses_too_large_missing_and_odd_files),
        cmocka_unit_test(failed_write_keeps_the_old_file),
        cmocka_unit_test(log_lines_cannot_be_forged),
    };
    return cmocka_run_group_tests_name("fs", tests, make_folder, remove_folder);
}
