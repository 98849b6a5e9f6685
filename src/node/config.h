// What a node is told at start: its place, its bounds, its cell, its mounts. From a TOML file, FOREBAY_* and flags.
//
//   const LoadedConfig loaded = TRY(loadNodeConfig({.file = "forebay.toml", .overrides = {...}}));
//   for (const std::string& warning : loaded.warnings) log::warn("config", "{}", warning);
//
// Everything is checked here, once, before anything starts: what comes out can be used without further questions. An
// error lists every problem, each with file, line, key and what to do. docs/config.md is generated from the same schema
// (configDocumentation(); a test holds it equal).
//
// Threading: none; a NodeConfig is a plain value. Failure: InvalidArgument; NotFound, PermissionDenied for files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/config_values.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/types.h"
#include "origin/origin_config.h"
#include "origin/origin_url.h"

namespace forebay::node {

enum class MountClass : std::uint8_t { Dataset, Hot };
std::string_view className(MountClass mount_class);

struct Consistency {
  enum class Kind : std::uint8_t { Bounded, Open, Frozen };
  Kind kind = Kind::Bounded;
  Duration bound = 30s;  // how old a name may be on a bounded mount

  // "bounded:30s", "open", "frozen" (which goes with a manifest).
  static Result<Consistency> parse(std::string_view text);
  std::string text() const;
  bool operator==(const Consistency&) const = default;
};

// When a reader's node keeps a chunk that another one owns, beyond its way through.
enum class KeepRemote : std::uint8_t { Never, Hot, Always };
Result<KeepRemote> parseKeepRemote(std::string_view text);
std::string_view keepRemoteName(KeepRemote keep);

struct MountConfig {
  std::string name;
  origin::OriginUrl url;
  origin::OriginConfig origin;     // as configured: the environment's credentials are not in it yet
  Duration request_timeout = 60s;  // of one call to the origin, with all its retries
  MountClass mount_class = MountClass::Dataset;
  Consistency consistency;
  std::string manifest;  // file of a frozen mount (node/manifest.h), an absolute path; empty for others
  std::uint32_t chunk_bits = core::kDefaultChunkBits;
  std::uint32_t read_copies = 1;
  KeepRemote keep_remote = KeepRemote::Hot;
  Secret secret;  // shared by the cell's nodes: keys of objects derive from it. Empty: the node makes one
};

struct MemberConfig {
  std::string name;
  config::HostPort address;
  std::string domain;  // never empty: by default the member's own name
  std::uint32_t weight = 1;
};

struct NodeConfig {
  std::string name;
  std::string listen;  // "host:port" for nodes and direct clients; empty: no TCP
  std::string socket;  // path of the Unix socket for this machine's clients
  std::string admin;   // "host:port" of metrics and health; empty: none
  std::uint64_t memory_bytes = 0;
  std::string run_dir;
  std::string helper;  // the socket of `forebay helper`; empty: none is asked
  bool allow_insecure = false;
  log::Level log_level = log::Level::Info;
  std::uint32_t max_connections = 0;
  std::uint32_t max_requests = 0;
  std::uint32_t max_requests_per_connection = 0;
  std::uint32_t max_fills = 0;
  Duration slow_read{0};  // longer ones are logged; 0: none
  Duration peer_silence = 2s;
  std::uint32_t max_exported_percent = 50;  // of the arena, as files that others have
  std::uint32_t max_pinned_percent = 25;    // of the arena, in view of clients

  std::string cell;
  std::uint64_t map_version = 1;
  std::vector<MemberConfig> members;  // empty: this node alone
  std::vector<MountConfig> mounts;
};

struct LoadOptions {
  std::string file;  // empty: defaults and overrides only
  config::Overrides overrides;
};
struct LoadedConfig {
  NodeConfig node;
  std::vector<std::string> warnings;         // to be logged at start
  std::vector<config::Effective> effective;  // every key in force and where it came from; secrets aren't shown
};
Result<LoadedConfig> loadNodeConfig(const LoadOptions& options);
// The same for a text that is already here.
Result<LoadedConfig> parseNodeConfig(std::string_view text, const std::string& file, config::Overrides overrides);

// A mount's name: 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first: it is a path component in the CLI, a
// label in metrics, a part of variables' names.
bool isMountName(std::string_view name);
// For a mount made from a URL alone: "az://acct/data/v2" gives "acct-data-v2". Where other characters than
// '/' had to become '-', a short hash of the whole URL keeps two different ones apart.
std::string mountNameOf(const origin::OriginUrl& url);

const config::Schema& nodeSchema();
std::string configDocumentation();  // docs/config.md

// The first line of a file that holds a secret. Warns (through `warnings`) if other users can read it.
Result<Secret> readSecretFile(const std::string& path, std::vector<std::string>& warnings);

}  // namespace forebay::node
