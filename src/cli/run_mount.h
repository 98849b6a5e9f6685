// `forebay mount`: a directory that shows an origin, or a mount of a cell that runs.
//
// With a URL it needs nothing else: a node of this user is used if one runs, otherwise this process holds one for as
// long as any mount of the user needs it. In the background once the mount can be used; before that every error is
// printed here and gives the exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/config.h"
#include "base/time.h"
#include "cli/terminal.h"
#include "frontend/fuse/options.h"
#include "io/socket.h"
#include "node/config.h"

namespace forebay::cli {

// What was typed.
struct MountArguments {
  std::string source, directory, name, memory, consistency, manifest, chunk_size;
  std::string endpoint, region, ca_file, proxy, account_key_file, sas_token_file;
  bool anonymous = false;
  std::optional<bool> path_style;
  std::string uid, gid, umask;
  bool allow_other = false;
  bool passthrough = true;
  std::string transport = "auto";
  std::string open_wait = "100ms";
  std::string read_timeout = "60s";
  std::string node, log_file;
  std::optional<std::string> helper;
  bool foreground = false;
};

// The same, checked.
struct MountOptions {
  std::string source = {};                     // as typed: a URL, or the name of a mount that the node serves
  std::string name = {};                       // of the mount
  std::string directory = {};                  // absolute, there
  std::optional<node::MountConfig> made = {};  // by URL: the mount that this command makes
  std::optional<config::Amount> memory = {};   // of a node that has to be started
  std::optional<std::uint32_t> uid = {}, gid = {}, umask = {};
  bool allow_other = false;
  fuse::Transport transport = fuse::Transport::Auto;
  bool passthrough = true;      // the kernel reads complete objects by itself, where it can
  Duration open_wait = 100ms;   // for an object to be complete, so that the kernel can read it; 0: none
  Duration read_timeout = 60s;  // an operation that takes longer ends in EIO
  io::Address node = {};
  bool node_given = false;    // by flag or FOREBAY_NODE: no other one is started in its place
  std::string helper = {};    // the socket of `forebay helper`; empty: none is asked
  bool helper_given = false;  // by flag
  std::string log_file = {};  // empty: in the run directory
  bool foreground = false;
};
Result<MountOptions> checkMount(const MountArguments& arguments);

int runMount(Terminal& terminal, const MountOptions& options);

}  // namespace forebay::cli
