// Python inside the simulator.
#ifndef TORCHML_CORE_INTERPRETER_HPP
#define TORCHML_CORE_INTERPRETER_HPP

#include <string>

#include "bridge.h"

// Find Python in this process or start it, and import _kim. NULL if that fails; `why` says why.
Bridge *enter_python(std::string *why);

// One model more, one less: see interpreter.cpp on the interpreter's lock.
void model_was_created(Bridge *bridge);
void model_was_destroyed(Bridge *bridge);

#endif
