#include "node/config.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config_paths.h"
#include "node/config_memory.h"
#include "origin/identity_environment.h"

namespace forebay::node {
namespace {

using config::Problems;
using config::Section;

constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un.sun_path, its final NUL apart
constexpr std::size_t kMinSecret = 16;       // bytes: what can't be guessed

std::string hostName() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "node";
  return name.data();
}

// Names of nodes and cells: what a log line, a metric's label and a table can show as it is.
bool isPlainName(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

class Loader {
 public:
  Loader(const config::Document& document, const std::string& file)
      : document_(document), directory_(std::filesystem::path(file).parent_path()) {}

  Result<LoadedConfig> run() {
    loaded_.warnings = document_.warnings;
    loaded_.effective = config::effective(document_);
    readNode();
    readCell();
    for (const Section* section : document_.tables("mount")) readMount(*section);
    TRY(problems_.status());
    return std::move(loaded_);
  }

 private:
  void problem(const Section& section, std::string_view key, std::string_view text) {
    problems_.add(fmt::format("{}: {}", section.about(key), text));
  }
  void warn(std::string text) { loaded_.warnings.push_back(std::move(text)); }

  std::string path(const std::string& written) const {
    if (written.empty() || written.front() == '/') return written;
    return (directory_ / written).string();
  }

  void readNode() {
    const Section& section = document_.table("node");
    NodeConfig& node = loaded_.node;
    node.name = section.text("name").empty() ? hostName() : section.text("name");
    if (!isPlainName(node.name)) {
      problem(section, "name", fmt::format("\"{}\" must consist of letters, digits, '.', '_' and '-'", node.name));
    }
    node.allow_insecure = section.boolean("allow_insecure");
    node.listen = readListener(section, "listen");
    node.admin = readListener(section, "admin");
    readPlaces(section);
    readMemory(section);
    constexpr std::array kLevels = {"debug", "info", "warn", "error", "off"};  // in the order of log::Level
    const auto level = std::ranges::find(kLevels, section.text("log_level"));
    node.log_level = static_cast<log::Level>(level - kLevels.begin());
    node.max_connections = number(section, "max_connections");
    node.max_requests = number(section, "max_requests");
    node.max_requests_per_connection = number(section, "max_requests_per_connection");
    node.max_fills = number(section, "max_fills");
    node.slow_read = section.duration("slow_read");
    node.peer_silence = section.duration("peer_silence");
    node.max_exported_percent = number(section, "max_exported");
    node.max_pinned_percent = number(section, "max_pinned");
  }

  static std::uint32_t number(const Section& section, std::string_view key) {
    return static_cast<std::uint32_t>(section.integer(key));  // its bounds in the schema fit
  }

  std::string readListener(const Section& section, std::string_view key) {
    const std::string& written = section.text(key);
    if (written.empty()) return {};
    const auto address = config::parseHostPort(written);
    if (!address) {
      problem(section, key, fmt::format("\"{}\": {}", written, address.error().message));
      return {};
    }
    if (config::isLoopback(address->host)) return written;
    if (!loaded_.node.allow_insecure) {
      problem(
          section, key,
          fmt::format("{} can be reached from other machines, and this version of Forebay has no TLS: anybody there "
                      "could read every mount. Listen on 127.0.0.1, or write node.allow_insecure = true on a network "
                      "that you trust",
                      written));
    } else {
      warn(
          fmt::format("node.{} = {}: open to every machine that reaches it, without encryption or authentication "
                      "(node.allow_insecure)",
                      key, written));
    }
    return written;
  }

  void readPlaces(const Section& section) {
    NodeConfig& node = loaded_.node;
    node.run_dir = section.text("run_dir").empty() ? config::defaultRunDir() : section.text("run_dir");
    if (node.run_dir.front() != '/') problem(section, "run_dir", "must be an absolute path");
    node.helper = section.text("helper");
    if (!node.helper.empty() && node.helper.front() != '/') problem(section, "helper", "must be an absolute path");
    node.socket = section.text("socket").empty() ? node.run_dir + "/node.sock" : path(section.text("socket"));
    if (node.socket.size() > kMaxSocketPath) {
      problem(section, section.given("socket") ? "socket" : "run_dir",
              fmt::format("the socket's path {} is longer than the {} bytes that the kernel takes", node.socket,
                          kMaxSocketPath));
    }
  }

  void readMemory(const Section& section) {
    const std::uint64_t available = availableMemory();
    const config::Amount amount = section.amount("memory");
    loaded_.node.memory_bytes = memoryBytes(amount, available);
    constexpr std::uint64_t kLeast = 64 * kMiB;
    if (loaded_.node.memory_bytes < kLeast) {
      problem(section, "memory",
              fmt::format("{}% of the {} that there are is less than {}; write a size", amount.percent,
                          config::sizeText(roundDown(available, kMiB)), config::sizeText(kLeast)));
    } else if (available != 0 && loaded_.node.memory_bytes > available) {
      warn(fmt::format("{} = {} is more than the {} that this machine or cgroup has: the kernel may kill the node",
                       section.about("memory"), config::sizeText(loaded_.node.memory_bytes),
                       config::sizeText(roundDown(available, kMiB))));
    }
  }

  void readCell() {
    const Section& section = document_.table("cell");
    loaded_.node.cell = section.text("name");
    if (!isPlainName(loaded_.node.cell)) {
      problem(section, "name", "must consist of letters, digits, '.', '_' and '-'");
    }
    loaded_.node.map_version = section.integer("map_version");
    for (const Section* member : document_.tables("cell.member")) readMember(*member);
    const auto& members = loaded_.node.members;
    constexpr std::size_t kMaxMembers = 5'000;
    if (members.size() > kMaxMembers)
      problems_.add(fmt::format("{}: a cell has at most {} members", section.from, kMaxMembers));
    if (members.empty()) return;
    const auto self = std::ranges::find(members, loaded_.node.name, &MemberConfig::name);
    if (self == members.end()) {
      problem(
          document_.table("node"), "name",
          fmt::format("this node is called \"{}\", which is none of the [[cell.member]]: name it as there, or add it",
                      loaded_.node.name));
    } else if (members.size() > 1 && loaded_.node.listen.empty()) {
      problem(document_.table("node"), "listen",
              fmt::format("a node of a cell of {} needs an address that the others reach ({})", members.size(),
                          self->address.text()));
    }
  }

  void readMember(const Section& section) {
    MemberConfig member{.name = section.text("name"),
                        .address = {},
                        .domain = section.text("domain"),
                        .weight = number(section, "weight")};
    if (!isPlainName(member.name)) problem(section, "name", "must consist of letters, digits, '.', '_' and '-'");
    if (member.domain.empty()) member.domain = member.name;
    const auto address = config::parseHostPort(section.text("address"));
    if (!address) {
      problem(section, "address", fmt::format("\"{}\": {}", section.text("address"), address.error().message));
    } else if (address->port == 0) {
      problem(section, "address", "needs the port that the node listens on, not 0");
    } else if (!addresses_.insert(address->text()).second) {
      problem(section, "address", fmt::format("another member has {} too", address->text()));
    } else {
      member.address = *address;
    }
    loaded_.node.members.push_back(std::move(member));
  }

  void readMount(const Section& section) {
    MountConfig mount;
    mount.name = section.text("name");
    if (!isMountName(mount.name)) {
      problem(section, "name", "must be 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first");
    }
    mount.mount_class = section.text("class") == "hot" ? MountClass::Hot : MountClass::Dataset;
    if (auto consistency = Consistency::parse(section.text("consistency"))) {
      mount.consistency = *consistency;
    } else {
      problem(section, "consistency", consistency.error().message);
    }
    readManifest(section, mount);
    mount.chunk_bits = static_cast<std::uint32_t>(std::countr_zero(section.integer("chunk_size")));
    mount.read_copies = static_cast<std::uint32_t>(section.integer("read_copies"));
    mount.keep_remote =
        parseKeepRemote(section.text("keep_remote")).value_or(KeepRemote::Hot);  // the schema checked it
    mount.secret = secretOf(section, "secret");
    checkSecret(section, mount.secret);
    readOrigin(section, mount);
    loaded_.node.mounts.push_back(std::move(mount));
  }

  void readManifest(const Section& section, MountConfig& mount) {
    mount.manifest = path(section.text("manifest"));
    const bool frozen = mount.consistency.kind == Consistency::Kind::Frozen;
    if (frozen && mount.manifest.empty()) {
      problem(section, "manifest",
              fmt::format("missing: a frozen mount needs one. `forebay freeze {} > FILE` writes it, while the mount is "
                          "bounded or open",
                          mount.name));
    } else if (!frozen && !mount.manifest.empty()) {
      problem(section, "manifest", "is for consistency = \"frozen\" only");
    } else if (frozen && ::access(mount.manifest.c_str(), R_OK) != 0) {
      problem(section, "manifest", failErrno(fmt::format("read {}", mount.manifest), errno).error().message);
    }
  }

  void checkSecret(const Section& section, const Secret& secret) {
    if (secret.empty() && loaded_.node.members.size() > 1) {
      problem(section, "secret",
              fmt::format("missing: the {} nodes of the cell must share one. Make it with `openssl rand -hex 32`, and "
                          "give it by secret_file or {}",
                          loaded_.node.members.size(), config::variableName("mount", "secret", section.label)));
    } else if (!secret.empty() && secret.reveal().size() < kMinSecret) {
      problem(section, "secret", fmt::format("must have at least {} bytes", kMinSecret));
    }
  }

  // From `key` or from the file that `key`_file names; not from both.
  Secret secretOf(const Section& section, const std::string& key) {
    const std::string file_key = key + "_file";
    const std::string& file = section.text(file_key);
    if (file.empty()) return section.secret(key);
    if (!section.secret(key).empty()) {
      problem(section, file_key, fmt::format("{} is given too; keep one", key));
      return {};
    }
    auto secret = readSecretFile(path(file), loaded_.warnings);
    if (secret) return std::move(*secret);
    problem(section, file_key, secret.error().message);
    return {};
  }

  void readOrigin(const Section& section, MountConfig& mount) {
    if (auto url = origin::parseUrl(section.text("url"))) {
      mount.url = std::move(*url);
    } else {
      problem(section, "url", url.error().message);
    }
    origin::OriginConfig& origin = mount.origin;
    origin.endpoint = section.text("endpoint");
    origin.region = section.text("region");
    if (section.given("path_style")) origin.path_style = section.boolean("path_style");
    origin.anonymous = section.boolean("anonymous");
    readChoice(section, mount);
    origin.azure.account_key = secretOf(section, "account_key");
    origin.azure.sas_token = secretOf(section, "sas_token");
    origin.s3.access_key_id = section.secret("access_key_id").reveal();
    origin.s3.secret_access_key = secretOf(section, "secret_access_key");
    origin.s3.session_token = secretOf(section, "session_token");
    const std::string source = fmt::format("the configuration of mount {}", mount.name);
    if (origin.azure.any()) origin.azure.source = source;
    if (origin.s3.any()) origin.s3.source = source;
    origin.ca_file = path(section.text("ca_file"));
    origin.proxy = section.text("proxy");
    origin.check_ranges = section.text("origin_checksum") == "range";
    origin.max_concurrent = number(section, "max_concurrent");
    origin.connect_timeout = section.duration("connect_timeout");
    origin.idle_timeout = section.duration("idle_timeout");
    mount.request_timeout = section.duration("request_timeout");
    checkKind(section, mount.url.scheme);
    checkCredentials(section, origin);
    checkWay(section, mount);
  }

  void readChoice(const Section& section, MountConfig& mount) {
    if (const auto choice = origin::parseChoice(section.text("credential"))) {
      mount.origin.credential = *choice;
      const Status fits = origin::checkChoice(mount.url, mount.origin);
      if (!fits) problem(section, "credential", fits.error().message);
    }
  }

  // A key that the mount's kind of origin doesn't have would be ignored in silence: an error instead.
  void checkKind(const Section& section, origin::OriginUrl::Scheme scheme) {
    using Scheme = origin::OriginUrl::Scheme;
    const auto refuse = [&](std::string_view why, std::initializer_list<std::string_view> keys) {
      for (std::string_view key : keys) {
        if (section.given(key)) problem(section, key, why);
      }
    };
    if (scheme != Scheme::Azure) {
      refuse("is for az:// origins only", {"account_key", "account_key_file", "sas_token", "sas_token_file"});
    }
    if (scheme != Scheme::S3) {
      refuse("is for s3:// origins only", {"access_key_id", "secret_access_key", "secret_access_key_file",
                                           "session_token", "session_token_file", "path_style", "region"});
    }
    if (scheme == Scheme::Dir) {
      refuse("means nothing for a directory", {"endpoint", "anonymous", "ca_file", "proxy", "origin_checksum"});
    }
  }

  void checkCredentials(const Section& section, const origin::OriginConfig& origin) {
    if (!origin.azure.account_key.empty() && !origin.azure.sas_token.empty()) {
      problem(section, "sas_token", "account_key is given too; keep one");
    }
    if (origin.s3.access_key_id.empty() != origin.s3.secret_access_key.empty()) {
      problem(section, "access_key_id", "access_key_id and secret_access_key go together");
    }
    const bool chosen = origin.credential != origin::CredentialChoice::Auto;
    const bool identity = chosen && origin.credential != origin::CredentialChoice::Static;
    if (identity && (origin.azure.any() || origin.s3.any())) {
      problem(section, "credential", "a key or token is given too; keep one");
    }
    if (origin.anonymous && chosen) problem(section, "credential", "anonymous is given too; keep one");
    if (origin.anonymous && (origin.azure.any() || origin.s3.any())) {
      problem(section, "anonymous", "credentials are given too; keep one");
    }
  }

  void checkWay(const Section& section, const MountConfig& mount) {
    const std::string& endpoint = mount.origin.endpoint;
    const std::string& proxy = mount.origin.proxy;
    const std::string& ca_file = mount.origin.ca_file;
    const std::string& root = mount.url.root;
    if (!endpoint.empty()) {
      if (const auto parsed = origin::parseEndpoint(endpoint); !parsed) {
        problem(section, "endpoint", parsed.error().message);
      }
    }
    const bool http = proxy.starts_with("http://") || proxy.starts_with("https://");
    if (!proxy.empty() && (!http || proxy.find_first_of(" @?#") != std::string::npos)) {
      problem(section, "proxy", "must be http://host[:port] or https://host[:port], without user and password");
    }
    if (!ca_file.empty() && ::access(ca_file.c_str(), R_OK) != 0) {
      problem(section, "ca_file", failErrno(fmt::format("read {}", ca_file), errno).error().message);
    }
    if (!root.empty() && ::access(root.c_str(), R_OK | X_OK) != 0) {
      problem(section, "url", failErrno(fmt::format("read directory {}", root), errno).error().message);
    }
  }

  const config::Document& document_;
  const std::filesystem::path directory_;
  LoadedConfig loaded_;
  Problems problems_;
  std::set<std::string> addresses_;
};

}  // namespace

std::string_view className(MountClass mount_class) {
  return mount_class == MountClass::Hot ? "hot" : "dataset";
}

Result<KeepRemote> parseKeepRemote(std::string_view text) {
  for (const KeepRemote keep : {KeepRemote::Never, KeepRemote::Hot, KeepRemote::Always})
    if (keepRemoteName(keep) == text) return keep;
  return fail(Code::InvalidArgument, fmt::format("keep_remote {:?}: must be never, hot or always", text));
}

std::string_view keepRemoteName(KeepRemote keep) {
  return keep == KeepRemote::Never ? "never" : keep == KeepRemote::Hot ? "hot" : "always";
}

Result<Consistency> Consistency::parse(std::string_view text) {
  if (text == "open") return Consistency{.kind = Kind::Open, .bound = Duration{0}};
  if (text == "frozen") return Consistency{.kind = Kind::Frozen, .bound = Duration{0}};
  constexpr std::string_view kBounded = "bounded:";
  const auto bound = text.starts_with(kBounded) ? config::parseDuration(text.substr(kBounded.size()))
                                                : Result<Duration>(fail(Code::InvalidArgument, ""));
  if (!bound)
    return fail(Code::InvalidArgument, "must be bounded:DURATION, such as \"bounded:30s\", or \"open\", or \"frozen\"");
  if (*bound < 1s || *bound > std::chrono::hours(24 * 365)) {
    return fail(Code::InvalidArgument, "the bound must be from 1s to 365d; for less there is \"open\"");
  }
  return Consistency{.kind = Kind::Bounded, .bound = *bound};
}

std::string Consistency::text() const {
  if (kind == Kind::Frozen) return "frozen";
  return kind == Kind::Open ? "open" : fmt::format("bounded:{}", config::durationText(bound));
}

Result<LoadedConfig> parseNodeConfig(std::string_view text, const std::string& file, config::Overrides overrides) {
  const config::Document document =
      TRY(config::parse(nodeSchema(), {.text = text, .file = file, .overrides = std::move(overrides)}));
  return Loader(document, file).run();
}

Result<LoadedConfig> loadNodeConfig(const LoadOptions& options) {
  std::string text;
  if (!options.file.empty()) text = TRY(config::readConfigFile(options.file));
  return parseNodeConfig(text, options.file.empty() ? "(no file)" : options.file, options.overrides);
}

Result<Secret> readSecretFile(const std::string& path, std::vector<std::string>& warnings) {
  std::string text = TRY(config::readConfigFile(path));
  text.resize(std::min(text.find_first_of("\r\n"), text.size()));
  if (text.empty()) return fail(Code::InvalidArgument, fmt::format("the first line of {} is empty", path));
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 077) != 0) {
    warnings.push_back(fmt::format("{} holds a secret and other users may read it: chmod 600 {}", path, path));
  }
  return Secret(std::move(text));
}

}  // namespace forebay::node
