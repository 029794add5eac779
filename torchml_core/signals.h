/* Python's signal handlers (Ctrl-C, timers) during a long calculation that does not hold the GIL.

   Python runs handlers only between its own instructions, so a calculation of seconds has to ask
   for them. The thread that may run them asks about every 50 ms; all threads read `stopped`, and
   leave out the rest of their work once a handler has raised an exception. */

#ifndef TORCHML_CORE_SIGNALS_H
#define TORCHML_CORE_SIGNALS_H

#include <Python.h>
#include <stdint.h>
#include <time.h>

#define SIGNALS_LOOK_AFTER 1000000 /* units of work between two looks at the clock */
#define SIGNALS_PERIOD 50000000    /* ns between two questions to Python */

typedef struct {
    int stopped;          /* a handler has raised: the exception waits in the thread that asks */
    unsigned long thread; /* the one that asks; 0 if none */
    char apart[64];       /* what one thread writes all the time is not what others read */
    int64_t work;         /* since the last look at the clock */
    int64_t next;         /* ns */
} SignalWatch;

static inline int64_t signals_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

/* To be called by the thread that will ask, if it is Python's main thread; handlers run in no other. */
static inline void watch_signals(SignalWatch *watch, int in_main_thread) {
    watch->stopped = 0;
    watch->thread = in_main_thread ? PyThread_get_thread_ident() : 0;
    watch->work = 0;
    watch->next = in_main_thread ? signals_clock() + SIGNALS_PERIOD : 0;
}

/* There is an exception in the thread that asks. */
static inline void stop(SignalWatch *watch) { __atomic_store_n(&watch->stopped, 1, __ATOMIC_RELAXED); }

static inline void signals_ask(SignalWatch *watch) {
    watch->work = 0;
    if (signals_clock() < watch->next)
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    if (PyErr_CheckSignals() < 0)
        stop(watch);
    PyGILState_Release(state);
    watch->next = signals_clock() + SIGNALS_PERIOD;
}

/* Whether to stop; `work` is what was done since the last call, one for about a nanosecond. */
static inline int interrupted(SignalWatch *watch, int64_t work) {
    if (watch->thread == PyThread_get_thread_ident() && !watch->stopped) {
        watch->work += work;
        if (watch->work >= SIGNALS_LOOK_AFTER)
            signals_ask(watch);
    }
    return __atomic_load_n(&watch->stopped, __ATOMIC_RELAXED);
}

#endif
