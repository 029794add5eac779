// Python inside the simulator.
#ifndef TORCHML_CORE_INTERPRETER_HPP
#define TORCHML_CORE_INTERPRETER_HPP

#include <string>

#include "bridge.h"

// Find Python in this process or start it, and import _kim. NULL if that fails; `why` says why.
Bridge *enter_python(std::string *why);

// One model more (1) or less (-1): see interpreter.cpp on Python's lock.
void models_changed(Bridge *bridge, int more);

#endif
