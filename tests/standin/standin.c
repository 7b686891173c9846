/* The stand-in for every image of the tests: stays up as PID 1 (or where STANDIN_STAYS is set), ends on TERM, and answers whatever a health check
   calls (curl, pg_isready, sh …) with success, or with failure where STANDIN_UNHEALTHY is set. Called with --show FILE it
   prints what the container has there, and fails where there is nothing. In a build, `RUN keep A B` copies a file, and `RUN ask B` keeps what the ssh agent
   answers to a byte, `RUN leak A` prints a file and fails. On USR1 it ends with status 3, STANDIN_SAY is printed at the start; on USR2 it takes
   256 MiB; it ends at once with status 1 while there is a file where STANDIN_CRASH says. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

static int keep(int from, const char *path) {
    char text[4096];
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t length = from < 0 ? -1 : read(from, text, sizeof text);
    return length < 0 || write(to, text, (size_t)length) != length;
}

static int agent(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("SSH_AUTH_SOCK");
    int with = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(address.sun_path, path ? path : "", sizeof address.sun_path - 1);
    if (connect(with, (struct sockaddr *)&address, sizeof address) != 0 || write(with, "?", 1) != 1) {
        return -1;
    }
    return with;
}

/* What a build runs: the status to end with, or -1 where it is something else. */
static int run(const char *line) {
    char a[256], b[256];
    if (sscanf(line, "keep %255s %255s", a, b) == 2) {
        return keep(open(a, O_RDONLY), b);
    }
    if (sscanf(line, "leak %255s", a) == 1) {
        return show(a) | 1;
    }
    return sscanf(line, "ask %255s", b) == 1 ? keep(agent(), b) : -1;
}

int main(int count, char **words) {
    int status = count == 3 && strcmp(words[1], "-c") == 0 ? run(words[2]) : -1;
    if (status >= 0) {
        return status;
    }
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
