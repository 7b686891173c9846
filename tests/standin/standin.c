/* The stand-in for every image of the tests: stays up as PID 1 (or where STANDIN_STAYS is set), ends on TERM, and answers whatever a health check
   calls (curl, pg_isready, sh …) with success, or with failure where STANDIN_UNHEALTHY is set. Called with --show FILE it
   prints what the container has there, and fails where there is nothing. On USR1 it ends with status 3, STANDIN_SAY is printed at the start; on USR2 it takes
   256 MiB; it ends at once with status 1 while there is a file where STANDIN_CRASH says. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void end(int signal) {
    (void)signal;
    _exit(0);
}

static void fail(int signal) {
    (void)signal;
    _exit(3);
}

static void devour(int signal) {
    (void)signal;
    const size_t part = 1 << 20;
    for (int parts = 0; parts < 256; parts++) {
        char *room = malloc(part);
        if (room) {
            memset(room, 1, part);
        }
    }
}

static int show(const char *path) {
    char text[4096];
    int file = open(path, O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text);
    return length < 0 || write(1, text, (size_t)length) != length;
}

int main(int count, char **words) {
    if (getpid() != 1 && !getenv("STANDIN_STAYS")) {
        if (count == 3 && strcmp(words[1], "--show") == 0) {
            return show(words[2]);
        }
        return getenv("STANDIN_UNHEALTHY") ? 1 : 0;
    }
    if (getenv("STANDIN_EXIT")) {
        return atoi(getenv("STANDIN_EXIT"));
    }
    if (getenv("STANDIN_CRASH") && access(getenv("STANDIN_CRASH"), F_OK) == 0) {
        return 1;
    }
    const char *say = getenv("STANDIN_SAY");
    if (say && (write(1, say, strlen(say)) < 0 || write(1, "\n", 1) < 0)) {
        return 1;
    }
    signal(SIGUSR1, fail);
    signal(SIGUSR2, devour);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (;;) {
        pause();
    }
}
