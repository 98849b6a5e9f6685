// forebay verify MOUNT[/PATH]                      what Forebay serves, against what its origin has now
// forebay verify DIR --against MOUNT[/PATH]        a copy in a local directory, against the same
//
// Names and sizes are those of the origin's listing, asked anew; bytes are read of objects whose checksum that gives
// (Azure's Content-MD5; S3's ETag of an object that was put in one part) and compared with it. What differs is printed
// by name. Exit code 1 if anything does, 6 if something couldn't be read.
#pragma once

#include <string>

#include "cli/cell.h"
#include "cli/terminal.h"

namespace forebay::cli {

struct VerifyOptions {
  std::string what;     // a mount or a directory of one; with `against`: a local directory
  std::string against;  // MOUNT[/PATH]; empty: `what` itself
  bool size_only = false;
  unsigned in_flight = 8;
};
int runVerify(Cell& cell, Terminal& terminal, const VerifyOptions& options);

}  // namespace forebay::cli
