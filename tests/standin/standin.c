/* The stand-in for every image of the tests: stays up as PID 1, ends on TERM, and answers whatever a health check
   calls (curl, pg_isready, sh …) with success, or with failure where STANDIN_UNHEALTHY is set. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void end(int signal) {
    (void)signal;
    _exit(0);
}

int main(void) {
    if (getpid() != 1) {
        return getenv("STANDIN_UNHEALTHY") ? 1 : 0;
    }
    if (getenv("STANDIN_EXIT")) {
        return atoi(getenv("STANDIN_EXIT"));
    }
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (;;) {
        pause();
    }
}
