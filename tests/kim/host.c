/* A simulator without Python: silicon atoms of a file, computed by a KIM model.
 *
 *   host MODEL FILE [HOW: see main]
 *
 * FILE: the number of atoms, then x y z of each; no periods. Prints the energy, then forces. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "KIM_SimulatorHeaders.h"

#define MOST 64
#define CHECK(call)                                                                                \
  do {                                                                                             \
    if (call) {                                                                                    \
      fprintf(stderr, "failed: %s\n", #call);                                                      \
      exit(2);                                                                                     \
    }                                                                                              \
  } while (0)

static const char *name;
static int n, species[MOST], contributing[MOST], n_neighbors[MOST], neighbors[MOST][MOST];
static double positions[MOST][3];

/* What a thread needs to compute on its own. */
typedef struct {
  KIM_Model *model;
  KIM_ComputeArguments *arguments;
  double energy, forces[MOST][3];
} Calculation;

static int give_row(void *data, int n_lists, const double *cutoffs, int list, int particle,
                    int *count, const int **row) {
  (void)data, (void)n_lists, (void)cutoffs, (void)list;
  *count = n_neighbors[particle];
  *row = neighbors[particle];
  return 0;
}

static void read_atoms(const char *file) {
  FILE *in = fopen(file, "r");
  CHECK(in == NULL || fscanf(in, "%d", &n) != 1 || n > MOST);
  for (int i = 0; i < n; ++i) {
    double *x = positions[i];
    CHECK(fscanf(in, "%lf %lf %lf", x, x + 1, x + 2) != 3);
    contributing[i] = 1;
  }
  fclose(in);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      if (i != j) neighbors[i][n_neighbors[i]++] = j; /* all: a list may be longer than needed */
}

static int create(Calculation *c) {
  int accepted;
  if (KIM_Model_Create(KIM_NUMBERING_zeroBased, KIM_LENGTH_UNIT_A, KIM_ENERGY_UNIT_eV,
                       KIM_CHARGE_UNIT_e, KIM_TEMPERATURE_UNIT_K, KIM_TIME_UNIT_ps, name,
                       &accepted, &c->model))
    return 1;
  CHECK(!accepted);
  CHECK(KIM_Model_ComputeArgumentsCreate(c->model, &c->arguments));
#define GIVE(type, what, where)                                                                    \
  CHECK(KIM_ComputeArguments_SetArgumentPointer##type(c->arguments,                                \
                                                      KIM_COMPUTE_ARGUMENT_NAME_##what, where))
  GIVE(Integer, numberOfParticles, &n);
  GIVE(Integer, particleSpeciesCodes, species);
  GIVE(Integer, particleContributing, contributing);
  GIVE(Double, coordinates, &positions[0][0]);
  GIVE(Double, partialEnergy, &c->energy);
  GIVE(Double, partialForces, &c->forces[0][0]);
  CHECK(KIM_ComputeArguments_SetCallbackPointer(
      c->arguments, KIM_COMPUTE_CALLBACK_NAME_GetNeighborList, KIM_LANGUAGE_NAME_c,
      (KIM_Function *)give_row, NULL));
  return 0;
}

static void destroy(Calculation *c) {
  CHECK(KIM_Model_ComputeArgumentsDestroy(c->model, &c->arguments));
  KIM_Model_Destroy(&c->model);
}

static void *compute(void *calculation) {
  Calculation *c = calculation;
  for (int k = 0; k < 20; ++k) CHECK(KIM_Model_Compute(c->model, c->arguments));
  return NULL;
}

static void *create_in_thread(void *calculation) {
  CHECK(create(calculation));
  return NULL;
}

static void *fail_in_thread(void *calculation) {
  CHECK(!create(calculation));
  return NULL;
}

static void *whole_life(void *calculation) {
  CHECK(create(calculation));
  compute(calculation);
  destroy(calculation);
  return NULL;
}

static void in_thread(void *(*function)(void *), Calculation *c) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, function, c));
  CHECK(pthread_join(thread, NULL));
}

static void print(const Calculation *c) {
  printf("%.17g\n", c->energy);
  for (int i = 0; i < n; ++i)
    printf("%.17g %.17g %.17g\n", c->forces[i][0], c->forces[i][1], c->forces[i][2]);
}

int main(int argc, char **argv) {
  static Calculation c, other;
  const char *how = argc > 3 ? argv[3] : "once";
  name = argv[1];
  read_atoms(argv[2]);
  if (!strcmp(how, "created-in-thread")) {
    in_thread(create_in_thread, &c);
    compute(&c);
  } else if (!strcmp(how, "after-thread")) {
    in_thread(whole_life, &other); /* Python was started by a thread that is gone */
    CHECK(create(&c));
    compute(&c);
  } else if (!strcmp(how, "before-thread")) {
    whole_life(&c);
    in_thread(fail_in_thread, &other); /* an error, no waiting forever */
    CHECK(create(&c));
    compute(&c);
  } else if (!strcmp(how, "failed-in-thread")) {
    in_thread(fail_in_thread, &c); /* an unknown model, or whatever the caller arranged */
    return 0;
  } else {
    CHECK(create(&c));
    if (!strcmp(how, "thread")) {
      in_thread(compute, &c);
    } else if (!strcmp(how, "two-threads")) {
      pthread_t thread;
      CHECK(create(&other));
      CHECK(pthread_create(&thread, NULL, compute, &other));
      compute(&c);
      CHECK(pthread_join(thread, NULL));
      CHECK(memcmp(c.forces, other.forces, sizeof c.forces));
      destroy(&other);
    } else {
      compute(&c);
    }
    if (!strcmp(how, "twice")) {
      destroy(&c);
      memset(&c, 0, sizeof c);
      CHECK(create(&c));
      compute(&c);
    }
  }
  print(&c);
  if (strcmp(how, "leave")) destroy(&c);
  return 0;
}
