/* Loops in threads: the thread that calls, and helpers that sleep between loops.

   OpenMP's threads are not used. They spin while they wait, which costs whole time slices where
   others want the processor too; after fork() they are waited for forever; where one cannot be started
   they end the process; and Ctrl-C has no effect before the loop is over. Here

   - items are handed out in their order, a few at a time, to whoever comes for more; the caller works
     as all others do, and never waits for a helper that has not begun;
   - helpers are called in when what is left is worth their time, judged by how long the first items
     took, and if there are idle processors for them: one that has to share a processor may be put
     aside for milliseconds with some items in hand. Where so many threads were asked for, all of
     them are called at once;
   - a helper that cannot be started is done without;
   - who has to wait stays awake for a moment, since falling asleep and being woken takes longer than
     a short loop, and yields the processor to others meanwhile;
   - the caller looks for signals ten times a second: what a handler raises ends the loop;
   - a forked child starts helpers of its own.

   The state is one for the process, so only _parallel.pyx includes this. */

#ifndef TORCHML_CORE_PARALLEL_H
#define TORCHML_CORE_PARALLEL_H

#include <Python.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "signals.h"

/* Works on items first ... end - 1; no two threads have the same number at a time. */
typedef void (*Work)(void *context, Py_ssize_t first, Py_ssize_t end, int thread);

enum { LOOP_DONE = 0, LOOP_INTERRUPTED = -1, LOOP_FORKED = -2 };

/* All in ns. */
#define WORTH_A_HELPER 100000          /* work */
#define WORTH_WAITING 100000000        /* work that is quicker with helpers that share a processor */
#define AWAKE 50000                    /* before a thread that waits falls asleep */
#define BETWEEN_COUNTS 1000000         /* of idle processors */
#define BETWEEN_LOOKS 100000000        /* for signals */

typedef struct Loop {
    Work work;
    void *context;
    Py_ssize_t n, at_once;
    Py_ssize_t next;                   /* the first item that is not taken yet; atomic */
    int called;                        /* helpers that may still join */
    int joined;                        /* helpers that ever did, which gives them their numbers */
    int at_work;                       /* helpers that have not left */
    pthread_cond_t left;
    struct Loop *behind;               /* in the list of open loops */
} Loop;

static struct {
    pthread_mutex_t lock;              /* for all of this, and for the loops but their items */
    pthread_cond_t wake;
    Loop *open;
    int n_helpers;
    int n_free;                        /* helpers that work on no loop */
    int n_called;                      /* of all open loops */
    unsigned forks;                    /* how many fork() there were from the first process to here */
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0, 0, 0, 0};

static int n_processors; /* of the machine */


/* ---- fork */

static void before_fork(void) { pthread_mutex_lock(&pool.lock); }

static void after_fork_in_parent(void) { pthread_mutex_unlock(&pool.lock); }

static void after_fork_in_child(void) {
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.open = NULL;
    pool.n_helpers = pool.n_free = pool.n_called = 0;
    ++pool.forks;
}

/* To be called once, before any loop. */
static int set_up(void) {
    n_processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}


/* ---- helpers */

/* Some items that are then the caller's; 0 if there are none left. */
static inline int take(Loop *loop, Py_ssize_t *first, Py_ssize_t *end) {
    *first = __atomic_fetch_add(&loop->next, loop->at_once, __ATOMIC_RELAXED);
    if (*first >= loop->n)
        return 0;
    *end = loop->n - *first < loop->at_once ? loop->n : *first + loop->at_once;
    return 1;
}

static Loop *loop_that_calls(void) {
    Loop *loop = pool.open;
    while (loop != NULL && loop->called == 0)
        loop = loop->behind;
    return loop;
}

/* Wait a moment until a number, which other threads change under the lock, is zero or is not. */
static void stay_awake(const int *number, int until_zero) {
    int64_t end = signals_clock() + AWAKE;
    while ((__atomic_load_n(number, __ATOMIC_RELAXED) == 0) != until_zero && signals_clock() < end)
        sched_yield();
}

static void *help(void *unused) {
    Py_ssize_t first, end;
    int waited = 1;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        Loop *loop = loop_that_calls();
        if (loop == NULL && !waited) {
            pthread_mutex_unlock(&pool.lock);
            stay_awake(&pool.n_called, 0);
            pthread_mutex_lock(&pool.lock);
            waited = 1;
            continue;
        }
        if (loop == NULL) {
            pthread_cond_wait(&pool.wake, &pool.lock);
            continue;
        }
        waited = 0;
        --loop->called, --pool.n_free;
        __atomic_sub_fetch(&pool.n_called, 1, __ATOMIC_RELAXED);
        int thread = ++loop->joined;
        __atomic_add_fetch(&loop->at_work, 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&pool.lock);
        while (take(loop, &first, &end))
            loop->work(loop->context, first, end, thread);
        pthread_mutex_lock(&pool.lock);
        ++pool.n_free;
        if (__atomic_sub_fetch(&loop->at_work, 1, __ATOMIC_RELAXED) == 0)
            pthread_cond_signal(&loop->left);
    }
    return unused;
}

static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};

static int start_helper(void) {
    pthread_t thread;
    pthread_attr_t detached;
    sigset_t others, before;
    int failed;
    sigfillset(&others);
    for (size_t k = 0; k < sizeof(own_faults) / sizeof(*own_faults); ++k)
        sigdelset(&others, own_faults[k]);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &others, &before); /* signals are for the program's own threads */
    failed = pthread_create(&thread, &detached, help, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    if (!failed)
        ++pool.n_helpers, ++pool.n_free;
    return !failed;
}

/* Call n more helpers to a loop. At most so many are started that there are most_helpers. */
static void call_helpers(Loop *loop, int n, int most_helpers) {
    pthread_mutex_lock(&pool.lock);
    if (loop->joined == 0 && loop->called == 0) {
        loop->behind = pool.open;
        pool.open = loop;
    }
    while (pool.n_free < pool.n_called + n && pool.n_helpers < most_helpers && start_helper())
        ;
    loop->called += n;
    __atomic_add_fetch(&pool.n_called, n, __ATOMIC_RELAXED);
    for (; n > 0; --n)
        pthread_cond_signal(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
}

/* Withdraw the calls that no helper has answered, and wait for the helpers that did. */
static void close_loop(Loop *loop) {
    Loop **at = &pool.open;
    pthread_mutex_lock(&pool.lock);
    while (*at != loop)
        at = &(*at)->behind;
    *at = loop->behind;
    __atomic_sub_fetch(&pool.n_called, loop->called, __ATOMIC_RELAXED);
    if (loop->at_work > 0) {
        pthread_mutex_unlock(&pool.lock);
        stay_awake(&loop->at_work, 1);
        pthread_mutex_lock(&pool.lock);
    }
    while (loop->at_work > 0)
        pthread_cond_wait(&loop->left, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}


/* ---- the caller */

static __thread int64_t looked_at; /* when this thread last looked for signals, in any loop */

/* Whether a handler raised; its exception is then this thread's. Python runs handlers in its main
   thread only, elsewhere this is always 0. */
static int handler_raised(void) {
    PyGILState_STATE state = PyGILState_Ensure();
    int raised = PyErr_Occurred() != NULL || PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    return raised;
}

/* How many processors do nothing at the moment; all of them where the system does not say. */
static int idle_processors(void) {
    char text[64];
    ssize_t n = -1;
    int running = 0, file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        n = read(file, text, sizeof(text) - 1);
        close(file);
    }
    text[n < 0 ? 0 : n] = '\0';
    if (sscanf(text, "%*f %*f %*f %d/", &running) != 1 || running < 1)
        return n_processors;
    return running < n_processors ? n_processors - running : 0;
}

/* How many helpers a loop should have: it has called some, and for one thread there is work for so
   many ns left. */
static int helpers_for(double work, int called) {
    double most = work / WORTH_A_HELPER, idle;
    if (most >= called + 1 && work <= WORTH_WAITING) {
        idle = idle_processors();
        most = most < called + idle ? most : called + idle;
    }
    return most < INT32_MAX ? (int)most : INT32_MAX;
}

/* Work on n items, at_once at a time, in up to n_threads threads. by_work: call helpers only if what
   is left is worth it; otherwise all of them at once. Called without Python's lock. */
static int run_loop(
    Py_ssize_t n, Py_ssize_t at_once, int n_threads, int by_work, Work work, void *context) {
    Loop loop = {work, context, n, at_once, 0, 0, 0, 0, PTHREAD_COND_INITIALIZER, NULL};
    Py_ssize_t first, end, done = 0, left = (n - 1) / at_once; /* chunks that others can take */
    int most = left < n_threads - 1 ? (int)left : n_threads - 1, called = 0, result = LOOP_DONE;
    unsigned forks = pool.forks;
    int64_t begun = signals_clock(), counted = 0, now;
    if (!by_work && most > 0)
        call_helpers(&loop, called = most, INT32_MAX);
    while (take(&loop, &first, &end)) {
        work(context, first, end, 0);
        done += end - first;
        now = signals_clock();
        if (called < most && now - counted > BETWEEN_COUNTS) {
            counted = now;
            left = n - __atomic_load_n(&loop.next, __ATOMIC_RELAXED);
            int wanted = helpers_for((double)left / done * (now - begun), called);
            wanted = wanted < most ? wanted : most;
            if (wanted > called) {
                call_helpers(&loop, wanted - called, most);
                called = wanted;
            }
        }
        if (now - looked_at > BETWEEN_LOOKS) {
            looked_at = now;
            if (handler_raised()) {
                result = LOOP_INTERRUPTED;
                __atomic_store_n(&loop.next, n, __ATOMIC_RELAXED);
            }
        }
        /* In a child, of a handler that ran here or within the work, what helpers had taken is lost. */
        if (called && pool.forks != forks)
            return result == LOOP_INTERRUPTED ? result : LOOP_FORKED;
    }
    if (called)
        close_loop(&loop);
    pthread_cond_destroy(&loop.left);
    return result;
}

#endif
