// What was typed for `forebay mount`, checked before anything starts, so that a mistake is told at once, by its flag.
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config_values.h"
#include "base/log.h"
#include "cli/cell.h"
#include "cli/run_mount.h"
#include "cli/units.h"
#include "node/config.h"

namespace forebay::cli {
namespace {

std::unexpected<Error> wrong(std::string_view flag, std::string_view value, std::string_view problem) {
  return fail(Code::InvalidArgument, fmt::format("{} {}: {}", flag, printable(value), problem));
}

// The process in the background works in another directory: an absolute path.
Result<std::string> checkedDirectory(const std::string& typed) {
  struct stat info = {};
  if (::stat(typed.c_str(), &info) != 0) {
    if (errno == ENOTCONN) {
      return fail(Code::IoError, fmt::format("{0}: a mount whose process is gone is still there; `forebay unmount {0}` "
                                             "removes it",
                                             printable(typed)));
    }
    return failErrno(fmt::format("mount at {}", printable(typed)), errno);
  }
  if (!S_ISDIR(info.st_mode)) {
    return fail(Code::InvalidArgument, fmt::format("mount at {}: not a directory", printable(typed)));
  }
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(typed.c_str(), resolved.data()) == nullptr) {
    return failErrno(fmt::format("mount at {}", printable(typed)), errno);
  }
  return std::string(resolved.data());
}

// A mount that a node serves is configured there: a flag that would be ignored is an error instead.
Status refuseForNamed(const MountArguments& a) {
  const std::pair<std::string_view, bool> flags[] = {
      {"--name", !a.name.empty()},
      {"--memory", !a.memory.empty()},
      {"--consistency", !a.consistency.empty()},
      {"--manifest", !a.manifest.empty()},
      {"--region", !a.region.empty()},
      {"--chunk-size", !a.chunk_size.empty()},
      {"--proxy", !a.proxy.empty()},
      {"--endpoint", !a.endpoint.empty()},
      {"--anonymous", a.anonymous},
      {"--ca-file", !a.ca_file.empty()},
      {"--path-style", a.path_style.has_value()},
      {"--account-key-file", !a.account_key_file.empty()},
      {"--sas-token-file", !a.sas_token_file.empty()},
  };
  for (const auto& [flag, given] : flags) {
    if (!given) continue;
    return fail(Code::InvalidArgument,
                fmt::format("{} is for a mount by URL (az://, s3://, file://); mount {} has it in the configuration of "
                            "its node",
                            flag, printable(a.source)));
  }
  return {};
}

// A key of the configuration, read by its own rules, in the words of the flag.
Result<config::Data> readKey(std::string_view flag, std::string_view table, std::string_view name,
                             const std::string& value) {
  const auto& tables = node::nodeSchema().tables;
  const auto in = std::ranges::find(tables, table, &config::Table::name);
  const auto key = std::ranges::find(in->keys, name, &config::Key::name);
  auto parsed = config::parseValue(*key, value);
  if (!parsed) return wrong(flag, value, parsed.error().message);
  return parsed;
}

// From a file rather than a flag's value, which every user of the machine could read.
Result<Secret> readSecret(std::string_view flag, const std::string& file) {
  if (file.empty()) return Secret();
  std::vector<std::string> warnings;
  auto secret = node::readSecretFile(file, warnings);
  if (!secret) return wrong(flag, file, secret.error().message);
  for (const std::string& warning : warnings) log::warn("mount", "{}", warning);
  return std::move(*secret);
}

Status readCredentials(const MountArguments& a, node::MountConfig& mount) {
  origin::OriginConfig& origin = mount.origin;
  const bool azure = mount.url.scheme == origin::OriginUrl::Scheme::Azure;
  if (!azure && !(a.account_key_file.empty() && a.sas_token_file.empty())) {
    return fail(Code::InvalidArgument, "--account-key-file and --sas-token-file are for az:// only");
  }
  if (!a.account_key_file.empty() && !a.sas_token_file.empty()) {
    return fail(Code::InvalidArgument, "--account-key-file and --sas-token-file are both given; keep one");
  }
  origin.azure.account_key = TRY(readSecret("--account-key-file", a.account_key_file));
  origin.azure.sas_token = TRY(readSecret("--sas-token-file", a.sas_token_file));
  if (origin.azure.any()) {
    origin.azure.source = a.account_key_file.empty() ? a.sas_token_file : a.account_key_file;
  }
  origin.anonymous = a.anonymous;
  if (origin.anonymous && origin.azure.any()) {
    return fail(Code::InvalidArgument, "--anonymous and a file with credentials are both given; keep one");
  }
  return {};
}

Status readWay(const MountArguments& a, origin::OriginConfig& origin) {
  if (!a.endpoint.empty()) {
    const auto endpoint = origin::parseEndpoint(a.endpoint);
    if (!endpoint) return wrong("--endpoint", a.endpoint, endpoint.error().message);
  }
  origin.endpoint = a.endpoint;
  origin.region = a.region;
  origin.path_style = a.path_style;
  origin.proxy = a.proxy;
  if (a.ca_file.empty()) return {};
  std::array<char, PATH_MAX> resolved{};
  if (::access(a.ca_file.c_str(), R_OK) != 0 || ::realpath(a.ca_file.c_str(), resolved.data()) == nullptr) {
    return failErrno(fmt::format("--ca-file {}", printable(a.ca_file)), errno);
  }
  origin.ca_file = resolved.data();  // the node may run in another directory
  return {};
}

Status readManifest(const MountArguments& a, node::MountConfig& mount) {
  const bool frozen = mount.consistency.kind == node::Consistency::Kind::Frozen;
  if (frozen && a.manifest.empty())
    return fail(Code::InvalidArgument, "--consistency frozen needs --manifest FILE, which `forebay freeze` writes");
  if (!frozen && !a.manifest.empty()) return fail(Code::InvalidArgument, "--manifest is for --consistency frozen only");
  if (!frozen) return {};
  std::array<char, PATH_MAX> resolved{};
  if (::access(a.manifest.c_str(), R_OK) != 0 || ::realpath(a.manifest.c_str(), resolved.data()) == nullptr)
    return failErrno(fmt::format("--manifest {}", printable(a.manifest)), errno);
  mount.manifest = resolved.data();  // the node may run in another directory
  return {};
}

Result<node::MountConfig> readMade(const MountArguments& a) {
  node::MountConfig mount;
  mount.url = TRY(origin::parseUrl(a.source));
  mount.name = a.name.empty() ? node::mountNameOf(mount.url) : a.name;
  if (!node::isMountName(mount.name)) {
    return wrong("--name", a.name, "must be 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first");
  }
  if (!a.consistency.empty()) {
    const auto consistency = node::Consistency::parse(a.consistency);
    if (!consistency) return wrong("--consistency", a.consistency, consistency.error().message);
    mount.consistency = *consistency;
  }
  TRY(readManifest(a, mount));
  if (!a.chunk_size.empty()) {
    const auto size = TRY(readKey("--chunk-size", "mount", "chunk_size", a.chunk_size));
    mount.chunk_bits = static_cast<std::uint32_t>(std::countr_zero(std::get<std::uint64_t>(size)));
  }
  TRY(readWay(a, mount.origin));
  TRY(readCredentials(a, mount));
  return mount;
}

// A user's or group's number, or a mask in octal.
Result<std::optional<std::uint32_t>> readNumber(std::string_view flag, const std::string& text, int base,
                                                std::uint32_t most) {
  if (text.empty()) return std::optional<std::uint32_t>();
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > most) {
    return wrong(flag, text, base == 8 ? "must be an octal number from 000 to 777, such as 022" : "must be a number");
  }
  return std::optional(value);
}

// What says node.helper to a node says it to its mounts too.
Status readHelper(const MountArguments& a, MountOptions& options) {
  const char* environment = std::getenv("FOREBAY_NODE_HELPER");  // NOLINT(concurrency-mt-unsafe)
  options.helper = a.helper ? *a.helper : environment != nullptr ? environment : io::kDefaultHelper;
  options.helper_given = a.helper.has_value();
  if (options.helper.empty() || options.helper.front() == '/') return {};
  return wrong("--helper", options.helper, "must be the absolute path of a socket, or empty for none");
}

Status readSource(const MountArguments& a, MountOptions& options) {
  if (a.source.find("://") != std::string::npos) {
    options.made = TRY(readMade(a));
    options.name = options.made->name;
    if (a.memory.empty()) return {};
    options.memory = std::get<config::Amount>(TRY(readKey("--memory", "node", "memory", a.memory)));
    return {};
  }
  options.name = a.source;
  if (node::isMountName(a.source)) return refuseForNamed(a);
  return wrong("SOURCE", a.source,
               "must be az://ACCOUNT/CONTAINER[/PREFIX], s3://BUCKET[/PREFIX], file:///PATH, or the name of a mount of "
               "the running node (`forebay ls` shows them)");
}

}  // namespace

Result<MountOptions> checkMount(const MountArguments& a) {
  MountOptions options{.source = a.source};
  TRY(readSource(a, options));
  options.uid = TRY(readNumber("--uid", a.uid, 10, UINT32_MAX - 1));
  options.gid = TRY(readNumber("--gid", a.gid, 10, UINT32_MAX - 1));
  options.umask = TRY(readNumber("--umask", a.umask, 8, 0777));
  const auto timeout = config::parseDuration(a.read_timeout);
  if (!timeout || *timeout < 1s || *timeout > std::chrono::hours(1)) {
    return wrong("--read-timeout", a.read_timeout, "must be a duration from 1s to 1h, such as \"60s\"");
  }
  options.read_timeout = *timeout;
  const auto wait = config::parseDuration(a.open_wait);
  if (!wait || *wait > 10s) {
    return wrong("--open-wait", a.open_wait, "must be a duration of at most 10s, such as \"100ms\", or \"0\" for none");
  }
  options.open_wait = *wait;
  options.node = TRY(nodeAddress(a.node));
  options.node_given = !a.node.empty() || std::getenv("FOREBAY_NODE") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  options.directory = TRY(checkedDirectory(a.directory));
  options.allow_other = a.allow_other;
  if (a.transport == "io_uring") {
    options.transport = fuse::Transport::IoUring;
  } else if (a.transport == "plain") {
    options.transport = fuse::Transport::Plain;
  } else if (a.transport != "auto") {
    return wrong("--transport", a.transport, "must be auto, plain or io_uring");
  }
  options.passthrough = a.passthrough;
  TRY(readHelper(a, options));
  options.log_file = a.log_file;
  options.foreground = a.foreground;
  return options;
}

}  // namespace forebay::cli
