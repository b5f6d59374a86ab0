/*
 * Answers keepalived's IPVS calls on a host without IPVS, so that its health checkers run there:
 * every change succeeds and changes nothing, and the table has no service. For benchmarks only.
 *
 *     cc -shared -fPIC -o answered_ipvs.so answered_ipvs.c -ldl
 *     LD_PRELOAD=./answered_ipvs.so keepalived ...
 *
 * The numbers are those of linux/ip_vs.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST = 64 + 1024 + 64, LAST = FIRST + 32, GET_INFO = FIRST + 1, VERSION = 0x010201 };

static int is_ipvs(int level, int name) {
    return level == IPPROTO_IP && name >= FIRST && name <= LAST;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
    int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
    return is_ipvs(level, name) ? 0 : real(fd, level, name, value, length);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
    int (*real)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");
    if (!is_ipvs(level, name))
        return real(fd, level, name, value, length);
    if (name != GET_INFO) {
        errno = ESRCH;
        return -1;
    }
    unsigned int info[3] = {VERSION, 4096, 0}; /* version, size of the hash table, services */
    if (*length > sizeof info)
        *length = sizeof info;
    memcpy(value, info, *length);
    return 0;
}
