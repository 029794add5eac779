/* What the driver's library (C++, the KIM-API's side) and _kim (Cython, Python's side) say to each
 * other. Plain C, without a type of either. */
#ifndef TORCHML_CORE_BRIDGE_H
#define TORCHML_CORE_BRIDGE_H

#define BRIDGE_VERSION 2 /* a library and a package with different ones refuse each other */
#define BRIDGE_CAPSULE "torchml_core.kim._kim.bridge"

/* A model, as KIM is told of it. Lengths are in the simulator's unit. */
typedef struct {
  void *python;               /* owned; given back to destroy() */
  double influence_distance;
  double cutoff;
  int without_ghost_rows;     /* no neighbors of ghosts will be asked for */
  int with_particle_virial;
  int n_species;
  const char *const *species; /* element symbols; their place is their code */
} BridgeModel;

/* One evaluation. All arrays are the simulator's, in its units; results are NULL if not requested. */
typedef struct {
  int n_particles;
  const int *species;         /* (n_particles,) codes */
  const int *contributing;    /* (n_particles,) 0 or 1 */
  const double *positions;    /* (n_particles, 3) */
  double *energy;             /* () */
  double *particle_energies;  /* (n_particles,) */
  double *forces;             /* (n_particles, 3) */
  double *virial;             /* (6,) xx yy zz yz xz xy */
  double *particle_virials;   /* (n_particles, 6) */
  const void *lists;          /* for row() */
  int (*row)(const void *lists, int particle, int *n, const int **neighbors); /* 0: good */
} BridgeRequest;

typedef void (*NameFile)(void *argument, const char *name);

/* Each returns 0, or else has put the reason into message, which is freed by free_message. If compute
 * returns 0, there may be a message too: warnings, one per line. */
typedef struct {
  int version;                /* BRIDGE_VERSION; first, whatever else changes */
  int (*create)(const char *folder, double length, double energy, BridgeModel *out, char **message);
  int (*compute)(void *python, const BridgeRequest *request, char **message);
  int (*write)(void *python, const char *folder, NameFile name_file, void *argument,
               char **message);
  void (*destroy)(BridgeModel *model);
  void (*free_message)(char *message);
  /* The interpreter's life, kept here since several drivers may share one process. */
  int started_by_driver;      /* else the simulator did */
  int n_models;               /* alive */
  void *released;             /* PyThreadState of the starter while the lock is released, or NULL */
} Bridge;

#endif
