// Going to the background, but not before there is something to be proud of: the parent waits until the child says that
// it is ready, or why it can't be, and ends with that.
//
//   auto background = TRY(Background::start(foreground));   // forks; only the child goes on (or everybody: foreground)
//   ...
//   if (!background.ready("mounted x at /y")) undo it       // the parent prints it and exits 0
//   background.failed(error text, exit code);               // the parent prints it and exits with the code
//
// Threading: start() before any thread exists. A child that dies without a word makes the parent say so.
#pragma once

#include <string>

#include "base/result.h"

namespace forebay::cli {

class Background {
 public:
  // In the parent of a background process this doesn't return: it waits and exits. `log_file`: where stdout and stderr
  // of the child go once it is ready.
  static Result<Background> start(bool foreground, std::string log_file);

  // False: whoever started it has gone meanwhile (Ctrl-C): nobody wants it any more.
  bool ready(const std::string& message);
  int failed(const std::string& message, int exit_code);

 private:
  Background(int pipe, std::string log_file) : pipe_(pipe), log_file_(std::move(log_file)) {}
  bool tell(char kind, int exit_code, const std::string& message);
  int pipe_ = -1;  // -1: in the foreground
  std::string log_file_;
};

}  // namespace forebay::cli
