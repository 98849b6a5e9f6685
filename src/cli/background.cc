#include "cli/background.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/exit_codes.h"

namespace forebay::cli {
namespace {

constexpr char kReady = 'R', kFailed = 'F';

std::string readAll(int fd) {
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

bool writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// The parent's whole remaining life: hear the child, say what it said.
[[noreturn]] void waitForChild(int pipe, pid_t child) {
  const std::string said = readAll(pipe);
  if (!said.empty() && said[0] == kReady) {
    writeAll(STDOUT_FILENO, said.substr(1));
    _exit(kExitOk);
  }
  if (said.size() >= 2 && said[0] == kFailed) {
    writeAll(STDERR_FILENO, said.substr(2));
    _exit(static_cast<unsigned char>(said[1]));
  }
  int status = 0;
  waitpid(child, &status, 0);
  writeAll(STDERR_FILENO, fmt::format("forebay: the background process ended before it was ready ({} {})\n",
                                      WIFSIGNALED(status) ? "signal" : "exit code",
                                      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
  _exit(kExitFailure);
}

}  // namespace

Result<Background> Background::start(bool foreground, std::string log_file) {
  if (foreground) return Background(-1, {});
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failErrno("pipe", errno);
  (void)std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return failErrno("fork", errno);
  if (child > 0) {
    close(ends[1]);
    waitForChild(ends[0], child);
  }
  close(ends[0]);
  setsid();  // the terminal's Ctrl-C isn't for us any more
  return Background(ends[1], std::move(log_file));
}

bool Background::tell(char kind, int exit_code, const std::string& message) {
  std::string text(1, kind);
  if (kind == kFailed) text += static_cast<char>(exit_code);
  const bool heard = writeAll(pipe_, text + message + "\n");
  close(pipe_);
  pipe_ = -1;
  return heard;
}

bool Background::ready(const std::string& message) {
  if (pipe_ < 0) {
    writeAll(STDOUT_FILENO, message + "\n");  // nobody there to read it is no reason to end
    return true;
  }
  const int log = open(log_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log >= 0 ? log : null, STDOUT_FILENO);
  dup2(log >= 0 ? log : null, STDERR_FILENO);
  if (log >= 0) close(log);
  if (null >= 0) close(null);
  if (chdir("/") != 0) return false;  // so that no file system is kept busy by us; it can't fail
  return tell(kReady, 0, message);
}

int Background::failed(const std::string& message, int exit_code) {
  if (pipe_ < 0)
    writeAll(STDERR_FILENO, "forebay: " + message + "\n");
  else
    tell(kFailed, exit_code, "forebay: " + message);
  return exit_code;
}

}  // namespace forebay::cli
