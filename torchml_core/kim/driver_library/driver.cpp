// A KIM-API model driver: what KIM asks, handed to Python; what comes back, handed to KIM.

#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>

extern "C" {
#include "KIM_LogVerbosity.h"
#include "KIM_ModelDriverHeaders.h"
}

#include "interpreter.hpp"
#include "job.hpp"

namespace {

// What KIM keeps for us, one a model.
struct Model {
  Bridge *bridge;
  BridgeModel told;  // KIM has pointers to its members
  int n_elements;    // published: KIM allows Refresh only where some parameter is
};

// Put the reason into kim.log, and on stderr too, since simulators seldom show kim.log. Does not
// return where other ranks would wait for this one.
template <typename Log, typename Object>
int fail(Log log, const Object *object, const std::string &why) {
  log(object, KIM_LOG_VERBOSITY_error, why.c_str(), __LINE__, __FILE__);
  std::fprintf(stderr, "\nKIM model driver (torchml_core): %s\n", why.c_str());
  std::fflush(nullptr);
  end_job_of_several_ranks();
  return 1;
}

std::string taken(const Bridge *bridge, char *message) {
  const std::string why = message == nullptr ? "no reason given" : message;
  bridge->free_message(message);
  return why;
}

// Put each line into kim.log and on stderr, as above.
void warn(const KIM_ModelCompute *kim, const std::string &warnings) {
  std::istringstream lines(warnings);
  for (std::string line; std::getline(lines, line);) {
    KIM_ModelCompute_LogEntry(kim, KIM_LOG_VERBOSITY_warning, line.c_str(), __LINE__, __FILE__);
    std::fprintf(stderr, "KIM model driver (torchml_core): warning: %s\n", line.c_str());
  }
  std::fflush(stderr);
}

template <typename GetBuffer, typename Object>
Model *model_of(GetBuffer get, const Object *object) {
  void *buffer = nullptr;
  get(object, &buffer);
  return static_cast<Model *>(buffer);
}

// ---- Compute

struct ArgumentsOf {
  const KIM_ModelComputeArguments *arguments;
  bool good;

  int *integers(KIM_ComputeArgumentName name) {
    int *found = nullptr;
    good &= !KIM_ModelComputeArguments_GetArgumentPointerInteger(arguments, name, &found);
    return found;
  }
  double *doubles(KIM_ComputeArgumentName name) {
    double *found = nullptr;
    good &= !KIM_ModelComputeArguments_GetArgumentPointerDouble(arguments, name, &found);
    return found;
  }
};

int row(const void *arguments, int particle, int *n, const int **neighbors) {
  return KIM_ModelComputeArguments_GetNeighborList(
      static_cast<const KIM_ModelComputeArguments *>(arguments), 0, particle, n, neighbors);
}

int compute(const KIM_ModelCompute *kim, const KIM_ModelComputeArguments *arguments) {
  const Model *model = model_of(KIM_ModelCompute_GetModelBufferPointer, kim);
  ArgumentsOf of = {arguments, true};
  const int *n = of.integers(KIM_COMPUTE_ARGUMENT_NAME_numberOfParticles);
  BridgeRequest request;
  request.n_particles = n == nullptr ? 0 : *n;
  request.species = of.integers(KIM_COMPUTE_ARGUMENT_NAME_particleSpeciesCodes);
  request.contributing = of.integers(KIM_COMPUTE_ARGUMENT_NAME_particleContributing);
  request.positions = of.doubles(KIM_COMPUTE_ARGUMENT_NAME_coordinates);
  request.energy = of.doubles(KIM_COMPUTE_ARGUMENT_NAME_partialEnergy);
  request.forces = of.doubles(KIM_COMPUTE_ARGUMENT_NAME_partialForces);
  request.particle_energies = of.doubles(KIM_COMPUTE_ARGUMENT_NAME_partialParticleEnergy);
  request.virial = of.doubles(KIM_COMPUTE_ARGUMENT_NAME_partialVirial);
  request.particle_virials = nullptr;
  if (model->told.with_particle_virial)
    request.particle_virials = of.doubles(KIM_COMPUTE_ARGUMENT_NAME_partialParticleVirial);
  request.lists = arguments;
  request.row = row;
  char *message = nullptr;
  if (!of.good) return fail(KIM_ModelCompute_LogEntry, kim, "KIM does not give its arguments");
  if (model->bridge->compute(model->told.python, &request, &message) != 0)
    return fail(KIM_ModelCompute_LogEntry, kim, taken(model->bridge, message));
  if (message != nullptr) warn(kim, taken(model->bridge, message));
  return 0;
}

int arguments_create(const KIM_ModelCompute *kim, KIM_ModelComputeArgumentsCreate *arguments) {
  const Model *model = model_of(KIM_ModelCompute_GetModelBufferPointer, kim);
  const auto support = KIM_ModelComputeArgumentsCreate_SetArgumentSupportStatus;
  const auto optional = KIM_SUPPORT_STATUS_optional;
  return support(arguments, KIM_COMPUTE_ARGUMENT_NAME_partialEnergy, optional) ||
         support(arguments, KIM_COMPUTE_ARGUMENT_NAME_partialForces, optional) ||
         support(arguments, KIM_COMPUTE_ARGUMENT_NAME_partialParticleEnergy, optional) ||
         support(arguments, KIM_COMPUTE_ARGUMENT_NAME_partialVirial, optional) ||
         support(arguments, KIM_COMPUTE_ARGUMENT_NAME_partialParticleVirial,
                 model->told.with_particle_virial ? optional : KIM_SUPPORT_STATUS_notSupported);
}

int arguments_destroy(const KIM_ModelCompute *, KIM_ModelComputeArgumentsDestroy *) { return 0; }

// ---- Refresh, WriteParameterizedModel, Destroy

// The one parameter cannot change, but simulators ask for a refresh all the same.
int refresh(KIM_ModelRefresh *kim) {
  Model *model = model_of(KIM_ModelRefresh_GetModelBufferPointer, kim);
  if (model->n_elements != model->told.n_species) {
    model->n_elements = model->told.n_species;
    return fail(KIM_ModelRefresh_LogEntry, kim, "n_elements cannot be changed: it is what the "
                "model was trained for");
  }
  KIM_ModelRefresh_SetInfluenceDistancePointer(kim, &model->told.influence_distance);
  KIM_ModelRefresh_SetNeighborListPointers(kim, 1, &model->told.cutoff,
                                           &model->told.without_ghost_rows);
  return 0;
}

void name_file(void *kim, const char *name) {
  KIM_ModelWriteParameterizedModel_SetParameterFileName(
      static_cast<const KIM_ModelWriteParameterizedModel *>(kim), name);
}

int write(const KIM_ModelWriteParameterizedModel *kim) {
  const Model *model = model_of(KIM_ModelWriteParameterizedModel_GetModelBufferPointer, kim);
  const char *folder = nullptr;
  KIM_ModelWriteParameterizedModel_GetPath(kim, &folder);
  char *message = nullptr;
  void *argument = const_cast<KIM_ModelWriteParameterizedModel *>(kim);
  if (model->bridge->write(model->told.python, folder, name_file, argument, &message) == 0)
    return 0;
  return fail(KIM_ModelWriteParameterizedModel_LogEntry, kim, taken(model->bridge, message));
}

int destroy(KIM_ModelDestroy *kim) {
  Model *model = model_of(KIM_ModelDestroy_GetModelBufferPointer, kim);
  model->bridge->destroy(&model->told);
  models_changed(model->bridge, -1);
  delete model;
  return 0;
}

// ---- Create

struct Units {
  KIM_LengthUnit length;
  KIM_EnergyUnit energy;
  KIM_ChargeUnit charge;
  KIM_TemperatureUnit temperature;
  KIM_TimeUnit time;

  // How many of the simulator's units an Å (or an eV) is; 0 where KIM cannot tell.
  double of(double length_exponent, double energy_exponent) const {
    // By way of the joule, since the KIM-API (2.3) takes an erg for 10^7 J.
    const bool is_erg = KIM_EnergyUnit_Equal(energy, KIM_ENERGY_UNIT_erg) != 0;
    double factor = 0;
    const int failed = KIM_ModelDriverCreate_ConvertUnit(
        KIM_LENGTH_UNIT_A, KIM_ENERGY_UNIT_eV, KIM_CHARGE_UNIT_e, KIM_TEMPERATURE_UNIT_K,
        KIM_TIME_UNIT_ps, length, is_erg ? KIM_ENERGY_UNIT_J : energy, charge, temperature, time,
        length_exponent, energy_exponent, 0.0, 0.0, 0.0, &factor);
    return failed ? 0 : is_erg ? factor * std::pow(1e7, energy_exponent) : factor;
  }
};

template <typename Function>
bool set_routine(KIM_ModelDriverCreate *kim, KIM_ModelRoutineName name, Function *routine,
                 bool required) {
  return !KIM_ModelDriverCreate_SetRoutinePointer(kim, name, KIM_LANGUAGE_NAME_c, required,
                                                  reinterpret_cast<KIM_Function *>(routine));
}

bool set_routines(KIM_ModelDriverCreate *kim) {
  return set_routine(kim, KIM_MODEL_ROUTINE_NAME_Compute, compute, true) &&
         set_routine(kim, KIM_MODEL_ROUTINE_NAME_ComputeArgumentsCreate, arguments_create, true) &&
         set_routine(kim, KIM_MODEL_ROUTINE_NAME_ComputeArgumentsDestroy, arguments_destroy,
                     true) &&
         set_routine(kim, KIM_MODEL_ROUTINE_NAME_Refresh, refresh, true) &&
         set_routine(kim, KIM_MODEL_ROUTINE_NAME_WriteParameterizedModel, write, false) &&
         set_routine(kim, KIM_MODEL_ROUTINE_NAME_Destroy, destroy, true);
}

// Tell KIM everything of a model; false, with the reason, if KIM refuses.
bool tell(KIM_ModelDriverCreate *kim, const Units &units, Model *model, std::string *why) {
  const BridgeModel &told = model->told;
  for (int code = 0; code < told.n_species; ++code) {
    const KIM_SpeciesName name = KIM_SpeciesName_FromString(told.species[code]);
    if (!KIM_SpeciesName_Known(name) || KIM_ModelDriverCreate_SetSpeciesCode(kim, name, code)) {
      *why = std::string("KIM knows no species ") + told.species[code];
      return false;
    }
  }
  KIM_ModelDriverCreate_SetInfluenceDistancePointer(kim, &told.influence_distance);
  KIM_ModelDriverCreate_SetNeighborListPointers(kim, 1, &told.cutoff, &told.without_ghost_rows);
  KIM_ModelDriverCreate_SetModelBufferPointer(kim, model);
  if (!KIM_ModelDriverCreate_SetModelNumbering(kim, KIM_NUMBERING_zeroBased) &&
      !KIM_ModelDriverCreate_SetUnits(kim, units.length, units.energy, KIM_CHARGE_UNIT_unused,
                                      KIM_TEMPERATURE_UNIT_unused, KIM_TIME_UNIT_unused) &&
      !KIM_ModelDriverCreate_SetParameterPointerInteger(kim, 1, &model->n_elements, "n_elements",
                                                        "Number of elements; read-only") &&
      set_routines(kim))
    return true;
  *why = "KIM refuses units, numbering, parameters or routines";
  return false;
}

}  // namespace

extern "C" int torchml_core_model_driver_create(KIM_ModelDriverCreate *kim, KIM_LengthUnit length,
                                                KIM_EnergyUnit energy, KIM_ChargeUnit charge,
                                                KIM_TemperatureUnit temperature,
                                                KIM_TimeUnit time) {
  const Units units = {length, energy, charge, temperature, time};
  const auto log = KIM_ModelDriverCreate_LogEntry;
  const double of_length = units.of(1, 0), of_energy = units.of(0, 1);
  if (of_length == 0 || of_energy == 0)
    return fail(log, kim, "KIM does not convert A and eV to the units asked for");
  std::string why;
  Bridge *bridge = enter_python(&why);
  if (bridge == nullptr) return fail(log, kim, why);
  models_changed(bridge, 1);  // now: no other thread may keep Python's lock meanwhile
  const char *folder = nullptr;
  KIM_ModelDriverCreate_GetParameterFileDirectoryName(kim, &folder);
  Model *model = new Model{bridge, BridgeModel(), 0};
  char *message = nullptr;
  if (bridge->create(folder, of_length, of_energy, &model->told, &message) != 0) {
    delete model;
    models_changed(bridge, -1);
    return fail(log, kim, taken(bridge, message));
  }
  model->n_elements = model->told.n_species;
  if (!tell(kim, units, model, &why)) {
    bridge->destroy(&model->told);
    delete model;
    models_changed(bridge, -1);
    return fail(log, kim, why);
  }
  return 0;
}
