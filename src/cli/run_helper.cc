#include "cli/run_helper.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fmt/format.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "base/config_values.h"
#include "base/log.h"
#include "cli/exit_codes.h"
#include "cli/units.h"
#include "node/config.h"
#include "node/config_memory.h"

namespace forebay::cli {
namespace {

Result<uid_t> userOf(const std::string& text) {
  uid_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number != static_cast<uid_t>(-1)) return number;
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16'384> buffer{};
  if (::getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return found->pw_uid;
  return fail(Code::InvalidArgument,
              fmt::format("--allow {}: no such user: write a name that `id` knows, or a uid", printable(text)));
}

Result<std::uint64_t> memoryOf(const std::string& text) {
  const auto& tables = node::nodeSchema().tables;
  const auto& keys = std::ranges::find(tables, "node", &config::Table::name)->keys;
  const auto amount = config::parseValue(*std::ranges::find(keys, "memory", &config::Key::name), text);
  if (!amount)
    return fail(Code::InvalidArgument, fmt::format("--max-memory {}: {}", printable(text), amount.error().message));
  // Of the machine: the helper's own cgroup says nothing of those that its directories' memory is charged to.
  const auto pages = static_cast<std::uint64_t>(std::max(::sysconf(_SC_PHYS_PAGES), 0L));
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return node::memoryBytes(std::get<config::Amount>(*amount), pages * page);
}

// The last directory of the default's path; systemd makes it too.
void makeDirectoryOf(const std::string& socket) {
  const std::size_t slash = socket.rfind('/');
  if (slash != std::string::npos && slash != 0) (void)::mkdir(socket.substr(0, slash).c_str(), 0755);
}

}  // namespace

Result<io::helper::ServerOptions> checkHelper(const HelperOptions& options) {
  io::helper::ServerOptions checked{.socket = options.socket};
  for (const std::string& user : options.allow) checked.allowed.push_back(TRY(userOf(user)));
  checked.max_memory_bytes = TRY(memoryOf(options.max_memory));
  return checked;
}

int runHelper(Terminal& terminal, const HelperOptions& options) {
  auto checked = checkHelper(options);
  if (!checked) return terminal.fail(checked.error());
  if (!io::haveSysAdmin())
    return terminal.fail(
        Error{Code::PermissionDenied,
              "helper: it needs CAP_SYS_ADMIN, to mount for those who have it not: run it as root (the "
              "package has forebay-helper.service)"});
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&ends, number);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before any thread: they all inherit it
  if (options.socket == io::kDefaultHelper) makeDirectoryOf(options.socket);
  const std::uint64_t most = checked->max_memory_bytes;
  std::string allowed = "root";
  for (const uid_t user : checked->allowed) allowed += fmt::format(", {}", user);
  auto server = io::helper::Server::start(std::move(*checked));
  if (!server) return terminal.fail("helper", server.error());
  log::info("helper", "listens on {} for uid {}; memory directories of {} for each", options.socket, allowed,
            config::sizeText(most));
  std::thread serving([&] { (*server)->run(); });
  int number = 0;
  while (::sigwait(&ends, &number) != 0) {
  }
  log::info("helper", "told to end");
  (*server)->stop();
  serving.join();
  server->reset();
  return kExitOk;
}

}  // namespace forebay::cli
