/* Tries the one thing that its argument names, and says nothing: whether it may is told by how it ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void attempt(const char *what) {
    struct sched_param first = {.sched_priority = 1};
    if (!strcmp(what, "nothing")) getpid();
    if (!strcmp(what, "unix")) socket(AF_UNIX, SOCK_STREAM, 0);
    if (!strcmp(what, "inet")) socket(AF_INET, SOCK_STREAM, 0);
    if (!strcmp(what, "netlink")) socket(AF_NETLINK, SOCK_RAW, 0);
    if (!strcmp(what, "memory")) mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!strcmp(what, "executable memory"))
        mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!strcmp(what, "memory made executable"))
        mprotect(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096, PROT_READ | PROT_EXEC);
    if (!strcmp(what, "a user namespace")) unshare(CLONE_NEWUSER);
    if (!strcmp(what, "a cloned namespace")) syscall(SYS_clone, CLONE_NEWNS | 17, 0, 0, 0, 0);
    if (!strcmp(what, "another namespace")) setns(-1, 0);
    if (!strcmp(what, "the personality")) personality(0xffffffff);
    if (!strcmp(what, "real time")) sched_setscheduler(0, SCHED_FIFO, &first);
    if (!strcmp(what, "priority")) setpriority(PRIO_PROCESS, 0, 5);
    if (!strcmp(what, "a file")) open("/dev/null", O_RDONLY | O_CREAT, 0644);
    if (!strcmp(what, "a set-id file")) open("/dev/null", O_RDONLY | O_CREAT, 04755);
    if (!strcmp(what, "a set-id mode")) chmod("/nowhere", 02755);
    if (!strcmp(what, "an owner")) chown("/nowhere", 1, 1);
    if (!strcmp(what, "a mount")) mount("none", "/nowhere", "tmpfs", 0, 0);
    if (!strcmp(what, "a user id")) syscall(SYS_setuid, 0);
    if (!strcmp(what, "a root")) chroot("/nowhere");
    if (!strcmp(what, "tracing")) syscall(SYS_ptrace, 0, 0, 0, 0);
    if (!strcmp(what, "a program for the kernel")) syscall(SYS_bpf, 0, 0, 0);
}

int main(int count, char **words) {
    if (count > 1) attempt(words[1]);
    return 0;
}
