#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <sstream>

#include "base/config_values.h"
#include "cli/exit_codes.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  forebay mount az://myaccount/data/imagenet /mnt/imagenet
  forebay ls -l imagenet/train
  forebay load imagenet/train
  forebay node --config /etc/forebay/forebay.toml

Objects are named MOUNT/PATH. The node is found by --node, FOREBAY_NODE, or this
user's own socket. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found,
4 not permitted, 5 no answer (try again), 6 incomplete or corrupt.)";

class Parser {
 public:
  Parser() : app_("Forebay: one cache between GPUs and object storage.", "forebay") {
    app_.require_subcommand(1);
    app_.fallthrough();  // flags for all commands are understood after the command too
    app_.add_flag("--json", made_.json, "Print JSON instead of tables");
    app_.add_option("--node", made_.node, "Where the node is: unix:PATH or host:port")->type_name("ADDRESS");
    app_.add_option("--timeout", timeout_, "How long each question to the node may take (default 60s)")
        ->type_name("DURATION");
    addNode();
    addMount();
    addMountTuning();
    addUnmount();
    addHelper();
    addLs();
    addObjects();
    addLoad();
    addGet();
    addForget();
    addStatus();
    addFreeze();
    addVerify();
    addConfig();
    app_.add_subcommand("version", "Print the version")->callback([this] { made_.command = VersionOptions{}; });
    app_.footer(kExamples);  // last: commands would take it over
  }

  std::variant<Invocation, Answer> parse(std::vector<std::string> arguments) {
    if (std::string unknown = unknownCommand(arguments); !unknown.empty()) {
      return Answer{.out = {}, .err = std::move(unknown), .exit_code = kExitUsage};
    }
    std::ranges::reverse(arguments);  // as CLI11 wants them
    try {
      app_.parse(arguments);
    } catch (const CLI::ParseError& error) {
      std::ostringstream out, err;
      const int code = app_.exit(error, out, err);
      return Answer{.out = out.str(), .err = oneLine(err.str()), .exit_code = code == 0 ? kExitOk : kExitUsage};
    }
    if (problem_.empty()) readTimeout();
    if (!problem_.empty()) return Answer{.out = {}, .err = problem_, .exit_code = kExitUsage};
    return std::move(made_);
  }

 private:
  // Binds a command's options: they become the invocation when the command was typed.
  template <class Options>
  void yields(CLI::App* command, Options& options) {
    command->callback([this, &options] { made_.command = options; });
  }

  // CLI11 would only say that a command is missing.
  std::string unknownCommand(const std::vector<std::string>& arguments) const {
    std::size_t at = 0;
    while (at < arguments.size() && arguments[at].starts_with('-')) {
      at += arguments[at] == "--node" || arguments[at] == "--timeout" ? 2 : 1;
    }
    if (at >= arguments.size()) return {};
    std::vector<std::string> known;
    for (const CLI::App* command : app_.get_subcommands([](const CLI::App*) { return true; })) {
      if (command->check_name(arguments[at])) return {};
      known.push_back(command->get_name());
    }
    const std::string near = config::nearest(arguments[at], known);
    return fmt::format("no such command: {}{}; `forebay --help` lists them", printable(arguments[at]),
                       near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
  }

  // CLI11's text, in one line.
  static std::string oneLine(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    std::ranges::replace(text, '\n', ' ');
    return text;
  }

  void addNode() {
    CLI::App* c = app_.add_subcommand("node", "Run a node");
    c->add_option("-c,--config", node_.config, "Configuration file (docs/config.md)")->type_name("FILE");
    c->add_option("--set", node_.sets, "Override a key: --set node.memory=4GiB")
        ->type_name("KEY=VALUE")
        ->expected(1)
        ->take_all();
    yields(c, node_);
  }

  void addMount() {
    CLI::App* c = app_.add_subcommand("mount", "Show a container, a bucket, a directory or a mount of a cell as files");
    mount_command_ = c;
    c->add_option("SOURCE", mount_.source,
                  "az://ACCOUNT/CONTAINER[/PREFIX], s3://BUCKET[/PREFIX], file:///PATH, or the name of a mount of the "
                  "running node")
        ->required();
    c->add_option("DIR", mount_.directory, "Where: a directory that exists")->required();
    c->add_flag("-f,--foreground", mount_.foreground, "Stay in the foreground, log to stderr");
    c->add_flag("--allow-other", mount_.allow_other, "Let other users read it (user_allow_other in /etc/fuse.conf)");
    c->add_flag("!--no-passthrough", mount_.passthrough,
                "Complete objects are read through this process, not by the kernel alone");
    c->add_option(
         "--open-wait", mount_.open_wait,
         "An open waits so long for its object to be complete here, if that should do (default 100ms; 0: never)")
        ->type_name("DURATION");
    c->add_option("--transport", mount_.transport,
                  "How the kernel's requests come: io_uring, plain, or auto: io_uring where it can be had (default)")
        ->type_name("auto|plain|io_uring");
    c->add_option("--helper", mount_.helper,
                  "Socket of `forebay helper`, for users who aren't root (default " + std::string(io::kDefaultHelper) +
                      "; empty: none)")
        ->type_name("PATH");
    c->add_option("--uid", mount_.uid, "Whom files belong to (default: you)")->type_name("NUMBER");
    c->add_option("--gid", mount_.gid, "Their group")->type_name("NUMBER");
    c->add_option("--umask", mount_.umask, "Permissions to take away (default 022)")->type_name("OCTAL");
    c->add_option("--read-timeout", mount_.read_timeout, "After that a read fails with an I/O error (default 60s)")
        ->type_name("DURATION");
    c->add_option("--log-file", mount_.log_file, "Log of a mount in the background")->type_name("FILE");
    c->callback([this] {
      mount_.node = made_.node;
      if (path_style_ || host_style_) mount_.path_style = path_style_;
      made_.command = mount_;
    });
  }

  void addMountTuning() {
    const auto option = [this](const char* name, std::string& to, const char* help, const char* type) {
      mount_command_->add_option(name, to, help)->type_name(type)->group("For a mount by URL");
    };
    option("--name", mount_.name, "What the mount is called (default: from the URL)", "NAME");
    option("--memory", mount_.memory, "Cap of the node inside (default 25%)", "SIZE|PERCENT");
    option("--consistency", mount_.consistency, "bounded:DURATION (default bounded:30s), open, or frozen", "HOW");
    option("--manifest", mount_.manifest, "Of a frozen mount: what `forebay freeze` wrote", "FILE");
    option("--chunk-size", mount_.chunk_size, "Unit of caching (default 8MiB)", "SIZE");
    option("--endpoint", mount_.endpoint, "Address of a compatible service", "URL");
    option("--region", mount_.region, "S3: the bucket's region", "NAME");
    option("--account-key-file", mount_.account_key_file, "Azure: file with the account's key", "FILE");
    option("--sas-token-file", mount_.sas_token_file, "Azure: file with a shared access signature", "FILE");
    option("--ca-file", mount_.ca_file, "More certificates to trust (PEM)", "FILE");
    option("--proxy", mount_.proxy, "HTTP proxy on the way to the origin", "URL");
    mount_command_->add_flag("--anonymous", mount_.anonymous, "Send no credentials: public data")
        ->group("For a mount by URL");
    CLI::Option* path = mount_command_->add_flag("--path-style", path_style_, "S3: the bucket is in the path");
    CLI::Option* host = mount_command_->add_flag("--host-style", host_style_, "S3: the bucket is in the host's name");
    path->group("For a mount by URL");
    host->group("For a mount by URL")->excludes(path);
  }

  void addUnmount() {
    CLI::App* c = app_.add_subcommand("unmount", "End a mount");
    c->alias("umount");
    c->add_option("DIR", unmount_.directory, "Where it is mounted")->required();
    c->add_option("--helper", unmount_.helper, "Socket of `forebay helper`, as for `mount`")->type_name("PATH");
    c->add_flag("-z,--lazy", unmount_.lazy, "Also while files are open; it goes when they are closed");
    yields(c, unmount_);
  }

  void addHelper() {
    CLI::App* c = app_.add_subcommand("helper", "Do for nodes and mounts of some users what needs root (runs as root)");
    c->add_option("--allow", helper_.allow, "Users who may ask it, beside root")
        ->type_name("USER|UID")
        ->expected(1)
        ->take_all();
    c->add_option("--max-memory", helper_.max_memory,
                  "The most that the memory directories of one user may hold together (default 50%)")
        ->type_name("SIZE|PERCENT");
    c->add_option("--socket", helper_.socket, "Where it listens (default " + helper_.socket + ")")->type_name("PATH");
    yields(c, helper_);
  }

  void addLs() {
    CLI::App* c = app_.add_subcommand("ls", "List mounts, or what is in a directory of one");
    c->add_option("NAME", ls_.names, "MOUNT[/PATH]; none: the mounts");
    c->add_flag("-l", ls_.details, "Size, time and version too");
    c->add_flag("-R,--recursive", ls_.recursive, "Everything below");
    c->add_flag("--raw", ls_.raw, "Names as the origin has them, also those that a mount can't show");
    yields(c, ls_);
  }

  void addObjects() {
    CLI::App* stat = app_.add_subcommand("stat", "Size, version and chunks of objects");
    stat->add_option("NAME", stat_.names, "MOUNT/PATH")->required();
    stat->add_flag("--raw", stat_.raw, "The object of exactly this name, also where a directory hides it");
    yields(stat, stat_);

    CLI::App* cat = app_.add_subcommand("cat", "Print objects");
    cat->add_option("NAME", cat_.names, "MOUNT/PATH")->required();
    cat->add_option("--offset", cat_offset_, "Start there")->type_name("SIZE");
    cat->add_option("--length", cat_length_, "So much at most")->type_name("SIZE");
    cat->callback([this] {
      if (!cat_offset_.empty()) readSize("--offset", cat_offset_, cat_.offset);
      if (!cat_length_.empty()) readSize("--length", cat_length_, cat_.length.emplace());
      made_.command = cat_;
    });

    CLI::App* where = app_.add_subcommand("where", "Which nodes own and hold an object's chunks");
    where->add_option("NAME", where_.names, "MOUNT/PATH")->required();
    yields(where, where_);
  }

  void addLoad() {
    CLI::App* c = app_.add_subcommand("load", "Bring objects into the cell before they are needed");
    c->add_option("NAME", load_.names, "MOUNT[/PATH]: an object, or a directory and everything below")->required();
    c->add_option("--copies", copies_, "On how many nodes each part of an object shall be, or \"all\" (default 1)")
        ->type_name("N|all")
        ->check(CLI::IsMember({"all"}) | CLI::Range(1U, 5000U));
    c->add_option("--in-flight", load_.in_flight, "Chunks that each node fetches at once (default 16)")
        ->type_name("N")
        ->check(CLI::Range(1U, 256U));
    c->callback([this] {
      load_.copies = copies_ == "all" ? 0U : static_cast<std::uint32_t>(std::stoul(copies_));
      made_.command = load_;
    });
  }

  void addGet() {
    CLI::App* c = app_.add_subcommand("get", "Copy objects into local files; goes on where it was interrupted");
    c->add_option("SOURCE", get_.source, "MOUNT/PATH; with -r MOUNT[/PATH]")->required();
    c->add_option("DEST", get_.destination, "A file or a directory; with -r the directory for what is below SOURCE")
        ->required();
    c->add_flag("-r,--recursive", get_.recursive, "Everything below SOURCE");
    c->add_flag("--overwrite", get_.overwrite, "Replace files that are there and differ");
    c->add_option("--in-flight", get_.in_flight, "Pieces of 4 MiB at once (default 16)")
        ->type_name("N")
        ->check(CLI::Range(1U, 1024U));
    yields(c, get_);
  }

  void addForget() {
    constexpr const char* kNames = "MOUNT[/PATH]: an object, or a directory and everything below";
    CLI::App* refresh = app_.add_subcommand("refresh", "Ask the origin anew about names, on all nodes");
    refresh->add_option("NAME", refresh_.names, kNames)->required();
    yields(refresh, refresh_);

    CLI::App* evict = app_.add_subcommand("evict", "Drop what all nodes hold of objects");
    evict->add_option("NAME", evict_.names, kNames)->required();
    yields(evict, evict_);
  }

  void addStatus() {
    CLI::App* c = app_.add_subcommand("status", "Nodes, memory, hits, and what came from where");
    c->add_flag("--local", status_.local, "Only of the node that is asked");
    yields(c, status_);
  }

  void addFreeze() {
    CLI::App* c = app_.add_subcommand("freeze", "Write the manifest of what is at a mount's origin now");
    c->add_option("MOUNT", freeze_.mount, "A mount of the node")->required();
    c->add_option("-o,--output", freeze_.file, "Where to, instead of stdout; the file appears once it is whole")
        ->type_name("FILE");
    yields(c, freeze_);
  }

  void addVerify() {
    CLI::App* c = app_.add_subcommand("verify", "Compare what Forebay serves, or a local copy, with the origin");
    c->add_option("WHAT", verify_.what, "MOUNT[/PATH]; with --against a local directory")->required();
    c->add_option("--against", verify_.against, "What the local directory is a copy of")->type_name("MOUNT[/PATH]");
    c->add_flag("--size-only", verify_.size_only, "Names, sizes and versions alone: reads no bytes");
    c->add_option("--in-flight", verify_.in_flight, "Objects that are read at once (default 8)")
        ->type_name("N")
        ->check(CLI::Range(1U, 256U));
    yields(c, verify_);
  }

  void addConfig() {
    CLI::App* c = app_.add_subcommand("config", "Check a configuration, or print what can be configured");
    c->require_subcommand(1);
    CLI::App* check = c->add_subcommand("check", "Say what is wrong with a file, and what is in force");
    check->add_option("FILE", check_.file, "Configuration file")->required();
    check->add_option("--set", check_.sets, "Override a key, as for `node`")
        ->type_name("KEY=VALUE")
        ->expected(1)
        ->take_all();
    yields(check, check_);
    c->add_subcommand("docs", "Print docs/config.md")->callback([this] { made_.command = ConfigDocsOptions{}; });
  }

  void readSize(const char* flag, const std::string& text, std::uint64_t& to) {
    const auto size = config::parseSize(text);
    if (size) {
      to = *size;
    } else {
      problem_ = std::string(flag) + " " + text + ": " + size.error().message;
    }
  }

  void readTimeout() {
    if (timeout_.empty()) return;
    const auto timeout = config::parseDuration(timeout_);
    if (timeout && *timeout >= 10ms && *timeout <= std::chrono::hours(24)) {
      made_.timeout = *timeout;
    } else {
      problem_ = "--timeout " + timeout_ + ": must be a duration from 10ms to 1d, such as \"30s\"";
    }
  }

  CLI::App app_;
  CLI::App* mount_command_ = nullptr;
  Invocation made_{.command = VersionOptions{}, .json = false, .node = {}};
  std::string problem_, timeout_, cat_offset_, cat_length_;
  bool path_style_ = false, host_style_ = false;
  NodeOptions node_;
  MountArguments mount_;
  UnmountOptions unmount_;
  HelperOptions helper_;
  LsOptions ls_;
  StatOptions stat_;
  CatOptions cat_;
  LoadOptions load_;
  std::string copies_ = "1";
  StatusOptions status_;
  WhereOptions where_;
  FreezeOptions freeze_;
  VerifyOptions verify_;
  GetOptions get_;
  RefreshOptions refresh_;
  EvictOptions evict_;
  ConfigCheckOptions check_;
};

}  // namespace

std::variant<Invocation, Answer> parseCommandLine(std::vector<std::string> arguments) {
  return Parser().parse(std::move(arguments));
}

}  // namespace forebay::cli
