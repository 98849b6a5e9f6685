// forebay ls [-l] [-R] [--raw] [MOUNT[/PATH]...]
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/tree_walk.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

std::vector<Column> columns(bool details, bool json) {
  if (!details && !json) return {{.title = "NAME", .key = "name"}};
  return {{.title = "SIZE", .key = "size", .right = true, .min_width = 8},
          {.title = "MODIFIED", .key = "mtime_ns", .min_width = 20},
          {.title = "VERSION", .key = "version", .min_width = 16},
          {.title = "DIRECTORY", .key = "directory", .min_width = 3},
          {.title = "NAME", .key = "name"}};
}

class Listing {
 public:
  Listing(Terminal& terminal, const LsOptions& options)
      : terminal_(terminal),
        options_(options),
        table_(terminal, columns(options.details, terminal.json()), options.details) {}

  void add(std::string_view name, const client::DirectoryEntry& entry) {
    // As `ls -p`: a slash tells a directory from an object of that name. Programs have the field "directory".
    const std::string shown = terminal_.json() || !entry.directory ? std::string(name) : fmt::format("{}/", name);
    if (!options_.details && !terminal_.json()) return table_.row({Field::name(shown, "name")});
    const bool d = entry.directory;
    Field time = d ? Field::none()
                   : Field{.text = humanTime(entry.mtime_ns), .json = std::to_string(entry.mtime_ns), .more_json = {}};
    table_.row({d ? Field::none() : Field::size(entry.size), std::move(time),
                d ? Field::none() : Field::name(entry.version, "version"), Field::flag(d), Field::name(shown, "name")});
  }
  void page() { table_.page(); }
  void finish() { table_.finish(); }

 private:
  Terminal& terminal_;
  const LsOptions& options_;
  Table table_;
};

int listMounts(Cell& cell, Terminal& terminal) {
  const auto reply = cell.status(false);
  if (!reply) return terminal.fail(reply.error());
  Table table(terminal, {{.title = "MOUNT", .key = "name"},
                         {.title = "CLASS", .key = "class"},
                         {.title = "CONSISTENCY", .key = "consistency"},
                         {.title = "ORIGIN", .key = "url"}});
  for (const wire::pb::NodeStatus& node : reply->nodes()) {
    for (const wire::pb::MountStatus& mount : node.mounts()) {
      table.row({Field::word(mount.name()), Field::word(mount.class_name()), Field::word(mount.consistency()),
                 Field::word(mount.url())});
    }
  }
  table.finish();
  return kExitOk;
}

int listDirectory(Cell& cell, Terminal& terminal, Listing& listing, const ObjectName& directory,
                  std::string_view prefix, const LsOptions& options) {
  ExitStatus status;
  TreeWalk walk(cell, directory, {.raw = options.raw, .recursive = options.recursive});
  while (const auto step = walk.next()) {
    if (terminal.broken()) return kExitFailure;
    if (step->error) {
      status.add(terminal.fail(fmt::format("list {}", printable(step->name.text())), *step->error));
    } else {
      // Relative to the directory that was asked for, so that -R reads like `find`.
      const std::size_t skip = directory.path.empty() ? 0 : directory.path.size() + 1;
      listing.add(fmt::format("{}{}", prefix, std::string_view(step->name.path).substr(skip)), step->entry);
    }
    if (step->last_of_page) listing.page();
  }
  if (walk.hidden() != 0 && !options.raw && !terminal.json()) {
    terminal.err(fmt::format("{}: {} names that a mount can't show are left out; --raw shows them",
                             printable(directory.text()), humanCount(walk.hidden())));
  }
  return status.code();
}

int listName(Cell& cell, Terminal& terminal, Listing& listing, const std::string& text, const LsOptions& options) {
  const auto name = ObjectName::parse(text);
  if (!name) return terminal.fail(name.error());
  const auto found = cell.lookup(*name, false);
  // An object store's raw names needn't have a directory above them in the POSIX view.
  const bool as_directory = found ? found->directory : options.raw && found.error().code == Code::NotFound;
  if (!found && !as_directory) return terminal.fail(printable(text), found.error());
  if (!as_directory) {
    listing.add(name->text(), {.name = name->path,
                               .directory = false,
                               .size = found->plan.size,
                               .version = found->plan.version,
                               .mtime_ns = found->plan.mtime_ns});
    return kExitOk;
  }
  // With several directories each name says where it is.
  const std::string prefix = options.names.size() > 1 ? name->text() + "/" : "";
  return listDirectory(cell, terminal, listing, *name, prefix, options);
}

}  // namespace

int runLs(Cell& cell, Terminal& terminal, const LsOptions& options) {
  if (options.names.empty()) return listMounts(cell, terminal);
  ExitStatus status;
  Listing listing(terminal, options);
  for (const std::string& name : options.names) status.add(listName(cell, terminal, listing, name, options));
  listing.finish();
  return status.code();
}

}  // namespace forebay::cli
