// The parallel job that this process is a part of.
//
// A simulator stops cleanly where all ranks return an error. Where one alone does, the others wait
// for it in their next communication, until the job's time is over. So a failing rank ends the job.
// MPI is not linked: its functions are looked up in the process.

#include "job.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <initializer_list>

namespace {

template <typename Function>
Function look_up(const char *name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

bool mpi_says_yes(const char *name) {
  const auto ask = look_up<int (*)(int *)>(name);
  int flag = 0;
  return ask != nullptr && ask(&flag) == 0 && flag != 0;
}

// MPI_Comm is a pointer in Open MPI, a number in MPICH and its descendants (MPI's ABI asks for
// pointers whose value is a small number, of the same size in a register).
template <typename Communicator>
void abort_if_several(Communicator world) {
  const auto size_of = look_up<int (*)(Communicator, int *)>("MPI_Comm_size");
  const auto abort_all = look_up<int (*)(Communicator, int)>("MPI_Abort");
  int size = 1;
  if (size_of != nullptr && abort_all != nullptr && size_of(world, &size) == 0 && size > 1) {
    abort_all(world, 1);
    _exit(1);  // where MPI_Abort returns
  }
}

// Launchers tell the number of ranks too: for an MPI whose functions cannot be seen from here.
bool launcher_says_several() {
  for (const char *name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    const char *value = std::getenv(name);
    if (value != nullptr && std::atoi(value) > 1) return true;
  }
  return false;
}

}  // namespace

void end_job_of_several_ranks() {
  if (std::getenv("TORCHML_CORE_KIM_KEEP_JOB") != nullptr) return;
  if (mpi_says_yes("MPI_Initialized") && !mpi_says_yes("MPI_Finalized")) {
    if (void *open_mpi = dlsym(RTLD_DEFAULT, "ompi_mpi_comm_world"))
      abort_if_several<void *>(open_mpi);
    else
      abort_if_several<int>(0x44000000);  // MPICH's MPI_COMM_WORLD
  } else if (dlsym(RTLD_DEFAULT, "MPI_Initialized") == nullptr && launcher_says_several()) {
    _exit(1);  // mpirun ends the others
  }
}
