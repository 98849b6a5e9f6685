// How commands that bring many objects (load, get) end: what failed, for people and for machines, and the exit code.
#pragma once

#include "cli/progress.h"
#include "cli/terminal.h"

namespace forebay::cli {

// Whether lines of JSON are wanted: asked for, or stdout is no terminal.
bool machineReads(const Terminal& terminal);
// Each failure on stderr, and as a line of JSON where a machine reads; beyond those that are kept, how many more.
void tellFailures(Terminal& terminal, const Progress& progress, const ProgressSample& end);
// What one failure is says more than "incomplete", if it is the only thing that was asked for.
int exitCode(const Progress& progress, const ProgressSample& end);

}  // namespace forebay::cli
