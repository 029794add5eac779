// Python inside the simulator: the one that is there already, or one that is started here.
//
// This library is not linked to Python. The simulator may bring an interpreter of its own (LAMMPS
// often does, kimpy is one), and a second libpython in one process crashes. So Python.h is used for
// its types, and each function is looked up: in the process if it has Python, else in the libpython
// of the environment that the driver was installed from.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <initializer_list>
#include <mutex>
#include <string>

#include "installed_from.h"  // made by the installation: PYTHON_EXECUTABLE, PYTHON_LIBRARY, ...
#include "interpreter.hpp"

// Every function of Python that is called here.
#define PYTHON_FUNCTIONS(X)                                                                        \
  X(Py_IsInitialized) X(Py_GetVersion) X(Py_InitializeFromConfig) X(Py_DecRef)                     \
  X(PyConfig_InitPythonConfig) X(PyConfig_SetBytesString) X(PyConfig_Clear) X(PyStatus_Exception)  \
  X(PyGILState_Ensure) X(PyGILState_Release) X(PyGILState_Check) X(PyGILState_GetThisThreadState)                                   \
  X(PyEval_SaveThread) X(PyEval_RestoreThread)                                                     \
  X(PyImport_ImportModule) X(PyObject_CallMethod) X(PyObject_GetAttrString) X(PyObject_Str)        \
  X(PyCapsule_GetPointer) X(PyUnicode_AsUTF8)                                                      \
  X(PyErr_Fetch) X(PyErr_NormalizeException) X(PyErr_Clear)

// For who looks into the library without loading it: which Python it belongs to.
extern "C" const char torchml_core_installed_from[] = MARK;

namespace {

struct {
#define MEMBER(name) decltype(&::name) name;
  PYTHON_FUNCTIONS(MEMBER)
#undef MEMBER
} py;

bool find_functions(std::string *why) {
  void *library = RTLD_DEFAULT;
  if (dlsym(RTLD_DEFAULT, "Py_IsInitialized") == nullptr) {
    // Global, since Python's own extension modules are not linked to it either.
    library = dlopen(PYTHON_LIBRARY, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    if (library == nullptr) {
      *why = std::string("Python cannot be loaded (") + dlerror() + "); `" DOCTOR "` tells more";
      return false;
    }
  }
#define LOOK_UP(name)                                                                              \
  py.name = reinterpret_cast<decltype(py.name)>(dlsym(library, #name));                            \
  if (py.name == nullptr) {                                                                        \
    *why = "the Python of this process lacks the function " #name;                                 \
    return false;                                                                                  \
  }
  PYTHON_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
  return true;
}

// Another minor version cannot load the modules of the environment installed from.
bool is_right_version(std::string *why) {
  const std::string version = py.Py_GetVersion(), wanted = PYTHON_VERSION;  // "3.11.2 (main, ..."
  if (version.compare(0, wanted.size() + 1, wanted + ".") == 0) return true;
  *why = "this process runs Python " + version.substr(0, version.find(' ')) +
         ", but the driver was installed from Python " + wanted + " (" PYTHON_EXECUTABLE
         "): install it from a Python " + version.substr(0, version.find('.', 2));
  return false;
}

bool start(std::string *why) {
  PyConfig config;
  py.PyConfig_InitPythonConfig(&config);
  config.install_signal_handlers = 0;  // Ctrl-C stays the simulator's
  config.parse_argv = 0;
  // The executable tells Python its environment, pyvenv.cfg and all.
  PyStatus status =
      py.PyConfig_SetBytesString(&config, &config.program_name, PYTHON_EXECUTABLE);
  if (!py.PyStatus_Exception(status))
    status = py.PyConfig_SetBytesString(&config, &config.executable, PYTHON_EXECUTABLE);
  if (!py.PyStatus_Exception(status)) status = py.Py_InitializeFromConfig(&config);
  py.PyConfig_Clear(&config);
  if (!py.PyStatus_Exception(status)) return true;
  *why = std::string("Python did not start: ") + (status.err_msg ? status.err_msg : "no reason given");
  return false;
}

// What Python's current exception says; clears it.
std::string exception_text() {
  PyObject *type, *value, *traceback;
  py.PyErr_Fetch(&type, &value, &traceback);
  py.PyErr_NormalizeException(&type, &value, &traceback);
  PyObject *text = value == nullptr ? nullptr : py.PyObject_Str(value);
  const char *utf8 = text == nullptr ? nullptr : py.PyUnicode_AsUTF8(text);
  const std::string found = utf8 == nullptr ? "an exception without a text" : utf8;
  for (PyObject *object : {text, type, value, traceback}) py.Py_DecRef(object);
  py.PyErr_Clear();
  return found;
}

// The interpreter may have been started by another program, without our environment's packages.
bool add_packages() {
  PyObject *site = py.PyImport_ImportModule("site");
  bool good = site != nullptr;
  for (const char *folder : {PYTHON_PACKAGES}) {
    PyObject *added = good ? py.PyObject_CallMethod(site, "addsitedir", "s", folder) : nullptr;
    good = added != nullptr;
    py.Py_DecRef(added);
  }
  py.Py_DecRef(site);
  return good;
}

Bridge *import_bridge(std::string *why) {
  // The module first: PyCapsule_Import of a dotted name imports the outermost package alone.
  PyObject *module = add_packages() ? py.PyImport_ImportModule("torchml_core.kim._kim") : nullptr;
  PyObject *capsule = module == nullptr ? nullptr : py.PyObject_GetAttrString(module, "bridge");
  Bridge *bridge =
      capsule == nullptr
          ? nullptr
          : static_cast<Bridge *>(py.PyCapsule_GetPointer(capsule, BRIDGE_CAPSULE));
  if (bridge == nullptr)
    *why = "torchml_core, installed for " PYTHON_EXECUTABLE ", cannot be imported: " +
           exception_text() + "; `" DOCTOR "` tells more";
  py.Py_DecRef(capsule);
  py.Py_DecRef(module);  // sys.modules keeps it
  if (bridge != nullptr && bridge->version != BRIDGE_VERSION) {
    *why = "the driver and torchml_core are of different versions: install the driver again, "
           "`torchml-core kim install-driver`";
    return nullptr;
  }
  return bridge;
}

// KIM closes drivers that no model uses. Ours stays: Python would not survive its return.
void stay_loaded() {
  Dl_info here;
  if (dladdr(reinterpret_cast<void *>(&stay_loaded), &here) != 0)
    dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

bool is_main_thread() {
#ifdef __APPLE__
  return pthread_main_np() != 0;
#else
  return syscall(SYS_gettid) == getpid();
#endif
}

std::mutex entering;
std::atomic<Bridge *> entered{nullptr};
bool started = false;  // by this library

// Between models the lock may be with the main thread: another would wait for it forever.
bool can_lock(const void *released, std::string *why) {
  if (!started || released != nullptr || py.PyGILState_Check()) return true;
  *why = "Python was started by the main thread, which keeps it while there is no model: create "
         "the first model there";
  return false;
}

// Several threads may come at once, and those of kimpy hold Python's lock: nothing here waits for it.
bool find_python(std::string *why) {
  const std::lock_guard<std::mutex> guard(entering);
  stay_loaded();
  if (!find_functions(why) || !is_right_version(why) || !can_lock(nullptr, why)) return false;
  if (!py.Py_IsInitialized()) started = start(why);
  return py.Py_IsInitialized();
}

}  // namespace

// The lock of an interpreter that was started here. While there are models it is released, so that
// any thread may compute. While there are none the process's main thread keeps it, if it started
// Python: LAMMPS ends any Python that it finds, as if it held the lock. No other thread keeps it,
// since it may end, and the process with it: torch needs the lock at exit. Python is never ended
// here.

Bridge *enter_python(std::string *why) {
  Bridge *bridge = entered;
  if (bridge != nullptr) return can_lock(bridge->released, why) ? bridge : nullptr;
  if (!find_python(why)) return nullptr;
  const PyGILState_STATE state = py.PyGILState_Ensure();
  bridge = import_bridge(why);
  if (bridge != nullptr && started) bridge->started_by_driver = 1;
  py.PyGILState_Release(state);
  return entered = bridge;
}

void models_changed(Bridge *bridge, int more) {
  const std::lock_guard<std::mutex> guard(entering);
  bridge->n_models += more;
  if (!bridge->started_by_driver) return;
  const bool keep = bridge->n_models == 0 && is_main_thread();
  if (!keep && bridge->released == nullptr && py.PyGILState_Check()) {
    bridge->released = py.PyEval_SaveThread();
  } else if (keep && bridge->released != nullptr &&
             bridge->released == py.PyGILState_GetThisThreadState()) {
    py.PyEval_RestoreThread(static_cast<PyThreadState *>(bridge->released));
    bridge->released = nullptr;
  }
}
