// Every key of the configuration file, and the page that documents them.
#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "io/privileged.h"
#include "node/config.h"

namespace forebay::node {
namespace {

using config::Key;
using config::Table;
using config::Type;

constexpr std::uint64_t kMsNs = 1'000'000, kSecondNs = 1'000 * kMsNs;

std::vector<Key> nodeLimits() {
  return {
      {.name = "max_connections",
       .type = Type::Integer,
       .initial = "4096",
       .effect = "Connections at once, from nodes and clients together; one more is told that the node is busy, "
                 "and closed.",
       .unit = "connections",
       .least = 8,
       .most = 100'000},
      {.name = "max_requests",
       .type = Type::Integer,
       .initial = "16384",
       .effect = "Requests that run or wait in this node; one more is answered BUSY.",
       .unit = "requests",
       .least = 16,
       .most = 1'000'000},
      {.name = "max_requests_per_connection",
       .type = Type::Integer,
       .initial = "1024",
       .effect = "The same, for one connection: so that one client can't take all.",
       .unit = "requests",
       .least = 1,
       .most = 65'536},
      {.name = "max_fills",
       .type = Type::Integer,
       .initial = "256",
       .effect = "Runs that are fetched from origins at once, over all mounts; each takes 256 KiB of the memory.",
       .unit = "runs",
       .least = 1,
       .most = 16'384},
      {.name = "slow_read",
       .type = Type::Duration,
       .initial = "1s",
       .effect = "A read or a look-up that takes longer than that is logged, with the time spent in each of its "
                 "stages, and counted. 0s: none is.",
       .least = 0,
       .most = 3'600 * kSecondNs},
      {.name = "peer_silence",
       .type = Type::Duration,
       .initial = "2s",
       .effect = "How long another node may send nothing in the middle of an answer, before the next owner is asked "
                 "and fills in its place. Longer where nodes are overloaded for seconds at a time.",
       .least = kSecondNs / 2,
       .most = 60 * kSecondNs},
      {.name = "max_exported",
       .type = Type::Integer,
       .initial = "50",
       .effect = "The most of the cached bytes that the kernel (passthrough mounts) and programs (the library) may "
                 "have open as files: they read those without asking, and they can't leave while they are used. "
                 "0: nobody gets files, and all bytes come through the mount or the socket.",
       .unit = "percent",
       .least = 0,
       .most = 90},
      {.name = "max_pinned",
       .type = Type::Integer,
       .initial = "25",
       .effect = "The most of the cached bytes that programs of this machine may have in view (the library's views of "
                 "small objects and of parts), which can't leave meanwhile; beyond it they get copies. 0: none, and "
                 "programs don't read this node's memory in place.",
       .unit = "percent",
       .least = 0,
       .most = 50},
  };
}

Table nodeTable() {
  Table table = {
      .name = "node",
      .effect = "This process: where it listens, what it may use.",
      .keys = {
          {.name = "name",
           .initial_note = "the host's name",
           .effect = "What this node is called: in the cell's member list (which must have it), in `status` and in "
                     "metrics."},
          {.name = "listen",
           .initial = "127.0.0.1:7440",
           .effect =
               "Address for the cell's other nodes and for clients of other machines. Port 0: any free one, which "
               "the log names. Empty: none, for a node that is alone.",
           .form = "host:port"},
          {.name = "socket",
           .initial_note = "`node.sock` in `run_dir`",
           .effect = "Unix socket for the clients of this machine.",
           .form = "a path of at most 107 bytes"},
          {.name = "admin",
           .initial = "127.0.0.1:7441",
           .effect = "Address of `/metrics`, `/healthz`, `/readyz` and `/status`. Empty: none.",
           .form = "host:port"},
          {.name = "memory",
           .type = Type::Amount,
           .initial = "25%",
           .effect = "The most memory that the node uses, everything included: cached bytes, index, buffers. A "
                     "percentage is of the machine's memory, or of the cgroup's limit where that is less.",
           .least = 64 * kMiB},
          {.name = "run_dir",
           .initial_note = "`/run/forebay` for root, else `$XDG_RUNTIME_DIR/forebay`, else `/tmp/forebay-UID`",
           .effect = "Directory for what lives as long as the node: its socket, its lock, the arena's tmpfs. Made with "
                     "mode 0700; one that other users can write to is refused.",
           .form = "an absolute path"},
          {.name = "helper",
           .initial = io::kDefaultHelper,
           .effect = "Socket of `forebay helper`, which mounts the arena's tmpfs for a node without CAP_SYS_ADMIN. "
                     "Where nothing is there, or empty: none is asked.",
           .form = "an absolute path"},
          {.name = "allow_insecure",
           .type = Type::Bool,
           .initial = "false",
           .effect = "Lets `listen` and `admin` be reachable from other machines. This version has no TLS: whoever "
                     "reaches such an address can read every mount, and bytes travel in the clear."},
          {.name = "log_level",
           .type = Type::Enum,
           .initial = "info",
           .effect = "The least important lines that are logged.",
           .allowed = {"debug", "info", "warn", "error", "off"}},
      }};
  std::ranges::move(nodeLimits(), std::back_inserter(table.keys));
  return table;
}

std::vector<Table> cellTables() {
  return {
      {.name = "cell",
       .effect = "The nodes that share their caches. Without any member the node is alone.",
       .keys = {{.name = "name", .initial = "cell", .effect = "What the cell is called, in `status`."},
                {.name = "map_version",
                 .type = Type::Integer,
                 .initial = "1",
                 .effect = "Version of the member list. The same list has the same version on every node; raise it "
                           "by one with each change.",
                 .least = 1,
                 .most = INT64_MAX}}},
      {.name = "cell.member",
       .effect = "One node of the cell, this one included. The list must be the same on every node.",
       .many = true,
       .keys = {{.name = "name", .effect = "The member's `node.name`.", .required = true},
                {.name = "address", .effect = "Where the other nodes reach it.", .form = "host:port", .required = true},
                {.name = "domain",
                 .initial_note = "the member's name",
                 .effect = "Its fault domain: what fails together, such as a rack. A slot's three nodes are in "
                           "different ones where there are enough."},
                {.name = "weight",
                 .type = Type::Integer,
                 .initial = "1",
                 .effect = "Its share of the cell's slots, against the other members' weights.",
                 .least = 1,
                 .most = 1'000}}}};
}

std::vector<Key> mountKeys() {
  return {
      {.name = "name",
       .effect = "What the mount is called: `forebay mount NAME DIR`, `forebay ls NAME/PATH`. 1 to 63 of a-z, 0-9, "
                 "'.', '_', '-'.",
       .required = true},
      {.name = "url",
       .effect = "Where its bytes live.",
       .form = "az://ACCOUNT/CONTAINER[/PREFIX], s3://BUCKET[/PREFIX] or file:///PATH",
       .required = true},
      {.name = "class",
       .type = Type::Enum,
       .initial = "dataset",
       .effect = "How it is cached. `dataset`: read again and again in full, such as training data: once its share is "
                 "full, what is there stays. `hot`: what is used most stays.",
       .allowed = {"dataset", "hot"},
       .not_yet = {"checkpoint", "scratch", "kv"}},
      {.name = "consistency",
       .initial = "bounded:30s",
       .effect = "How soon a change at the origin is seen. `bounded:DURATION`: after at most that long. `open`: at the "
                 "next open. `frozen`: never; what there is stands in `manifest`, and an object that changed or "
                 "vanished since is an error, never a mix.",
       .form = "bounded:DURATION, open or frozen"},
      {.name = "manifest",
       .effect = "Of a `frozen` mount: the file that `forebay freeze` wrote. The same file on every node of a cell; a "
                 "node whose file differs from the others' refuses the mount.",
       .form = "a path"},
      {.name = "chunk_size",
       .type = Type::Size,
       .initial = "8MiB",
       .effect = "The unit of placement: a larger object is spread over the cell in pieces of this size. Must be the "
                 "same on every node.",
       .least = kMiB,
       .most = 64 * kMiB,
       .power_of_two = true},
      {.name = "read_copies",
       .type = Type::Integer,
       .initial = "1",
       .effect = "Nodes that hold each chunk. With 2 or 3, the alternates copy what the primary filled, in the "
                 "background, so that losing a node costs no read of the origin. Each copy takes room.",
       .least = 1,
       .most = 3},
      {.name = "keep_remote",
       .type = Type::Enum,
       .initial = "hot",
       .effect = "When a node keeps a chunk that another one owns, beyond its way through: `hot`, once its owner has "
                 "sent it so often that it names others who have it; `always`; `never`.",
       .allowed = {"never", "hot", "always"}},
      {.name = "secret",
       .type = Type::Secret,
       .effect =
           "At least 16 bytes, the same on every node of the cell: names of chunks derive from it, so that nobody "
           "can guess them. Required with two members and more; better given by `secret_file` or "
           "`FOREBAY_MOUNT_SECRET_NAME`."},
      {.name = "secret_file", .effect = "File whose first line is the secret.", .form = "a path"},
  };
}

std::vector<Key> originKeys() {
  return {
      {.name = "endpoint",
       .initial_note = "the service's own",
       .effect = "Address of a compatible service.",
       .form = "http://host:port or https://host"},
      {.name = "region",
       .initial_note = "`us-east-1`, or what the bucket answers",
       .effect = "S3: the bucket's region."},
      {.name = "path_style",
       .type = Type::Bool,
       .initial_note = "by the endpoint's form",
       .effect = "S3: the bucket is the first part of the path, not of the host's name, as most compatible services "
                 "want it."},
      {.name = "anonymous",
       .type = Type::Bool,
       .initial = "false",
       .effect = "Sends no credentials, also if the environment has some: for public data."},
      {.name = "credential",
       .type = Type::Enum,
       .initial = "auto",
       .effect =
           "As whom it reads where no key or token stands here. `auto`: the first that is there. az://: keys and SAS "
           "tokens of the environment, workload identity, managed identity. s3://: keys of the environment, web "
           "identity, the profile of the AWS files (keys, roles), the container's role, the instance's. Another "
           "word: only that one; `static`: only keys and tokens that somebody gave. What is issued is renewed "
           "ahead of its end. docs/credentials.md has the whole order.",
       .allowed = {"auto", "static", "workload", "managed", "web-identity", "profile", "container", "instance"}},
      {.name = "account_key",
       .type = Type::Secret,
       .initial_note = "from the environment (`AZURE_STORAGE_*`)",
       .effect = "Azure: the account's key, in base64 as the portal shows it."},
      {.name = "account_key_file", .effect = "File whose first line is that key.", .form = "a path"},
      {.name = "sas_token", .type = Type::Secret, .effect = "Azure: a shared access signature, `sv=...&sig=...`."},
      {.name = "sas_token_file", .effect = "File whose first line is that signature.", .form = "a path"},
      {.name = "access_key_id",
       .type = Type::Secret,
       .initial_note = "from the environment (`AWS_*`) or the shared credentials file",
       .effect = "S3: which key."},
      {.name = "secret_access_key", .type = Type::Secret, .effect = "S3: the key itself."},
      {.name = "secret_access_key_file", .effect = "File whose first line is that key.", .form = "a path"},
      {.name = "session_token", .type = Type::Secret, .effect = "S3: goes with temporary keys."},
      {.name = "session_token_file", .effect = "File whose first line is that token.", .form = "a path"},
      {.name = "ca_file", .effect = "Certificates to trust beside the system's (PEM).", .form = "a path"},
      {.name = "proxy",
       .initial_note = "`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`",
       .effect = "HTTP proxy on the way to the origin.",
       .form = "http://host:port"},
      {.name = "origin_checksum",
       .type = Type::Enum,
       .initial = "off",
       .effect =
           "Compares what arrives with the origin's own checksums before anybody reads it; a range that doesn't fit "
           "is asked for again, and an error in the end. `range`: Azure's MD5 of each range, in ranges of at most "
           "4 MiB; S3's checksum (SHA-256, or the ETag where it is an MD5) of an object that is read in one go. "
           "Costs a core about 1.4 s per GB, and bytes wait until their range is whole.",
       .allowed = {"off", "range"}},
      {.name = "max_concurrent",
       .type = Type::Integer,
       .initial = "64",
       .effect = "Requests to this origin at once, from this node; more wait in order.",
       .unit = "requests",
       .least = 1,
       .most = 4'096},
      {.name = "connect_timeout",
       .type = Type::Duration,
       .initial = "5s",
       .effect = "How long a connection may take; then another try, within `request_timeout`.",
       .least = 100 * kMsNs,
       .most = 600 * kSecondNs},
      {.name = "idle_timeout",
       .type = Type::Duration,
       .initial = "10s",
       .effect = "How long an answer may pause; then another try, within `request_timeout`.",
       .least = 100 * kMsNs,
       .most = 600 * kSecondNs},
      {.name = "request_timeout",
       .type = Type::Duration,
       .initial = "60s",
       .effect = "How long a request to the origin may take with all its retries; then it fails.",
       .least = kSecondNs,
       .most = 3'600 * kSecondNs},
  };
}

Table mountTable() {
  Table table{.name = "mount",
              .effect =
                  "A name that clients read by, bound to a place at an origin. Must be the same on every node of a "
                  "cell, but for credentials and what is about this node's way to the origin.",
              .many = true,
              .keys = mountKeys()};
  for (Key& key : originKeys()) table.keys.push_back(std::move(key));
  return table;
}

constexpr std::string_view kPreamble = R"(# Configuration

`forebay node --config FILE` reads this TOML file; `forebay config check FILE` says what is wrong with it and shows what
is in force. This page is generated: `forebay config docs > docs/config.md`.

```toml
[node]
name = "node-1"
listen = "10.0.0.1:7440"
memory = "64GiB"
allow_insecure = true         # until there is TLS, only on a network that you trust

[cell]
name = "training"
map_version = 1

[[cell.member]]
name = "node-1"
address = "10.0.0.1:7440"
domain = "rack-1"

[[cell.member]]
name = "node-2"
address = "10.0.0.2:7440"
domain = "rack-2"

[[mount]]
name = "imagenet"
url = "az://myaccount/datasets/imagenet"
secret_file = "/etc/forebay/imagenet.secret"
```

**Overriding a key.** The first of these that gives it wins:

1. a flag: `--set node.memory=4GiB`, `--set mount.imagenet.consistency=open`
2. the environment: `FOREBAY_NODE_MEMORY=4GiB`, `FOREBAY_MOUNT_CONSISTENCY_IMAGENET=open` (table, key, then the mount's
   or member's name; upper case, `_` for whatever isn't a letter or a digit)
3. the file
4. the default

Lists are separated by commas there. Secrets are refused as flags, because every user of a machine can read other
processes' command lines. Relative paths are relative to the file's directory.

**Units.** Sizes: `B`, `KiB`, `MiB`, `GiB`, `TiB` (1024s), `KB`, `MB`, `GB`, `TB` (1000s). Durations: `ms`, `s`, `m`,
`h`, `d`.

An unknown key, a value that isn't allowed, or a file that can't be read ends the start with a message that names file,
line, key and what is allowed.
)";

}  // namespace

const config::Schema& nodeSchema() {
  static const config::Schema schema = [] {
    config::Schema made{.tables = {nodeTable()}};
    for (Table& table : cellTables()) made.tables.push_back(std::move(table));
    made.tables.push_back(mountTable());
    return made;
  }();
  return schema;
}

std::string configDocumentation() {
  return config::documentation(nodeSchema(), kPreamble);
}

}  // namespace forebay::node
