/* What libpython and libexpat were compiled to call and the oldest supported glibc (2.31) has not.
 *
 * Weak, so that nothing is hidden where the C library has them. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* glibc 2.34. Python closes descriptors one by one where it fails. */
__attribute__((weak)) int close_range(unsigned int first, unsigned int last, int flags) {
    (void)first;
    (void)last;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

/* glibc 2.36. libexpat salts its hash tables with it. */
__attribute__((weak)) void arc4random_buf(void *buffer, size_t length) {
    unsigned char *at = buffer;
    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            abort();
        }
        at += got;
        length -= (size_t)got;
    }
}
