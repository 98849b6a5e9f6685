#include "node/config.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "node/config_memory.h"

namespace forebay::node {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Result<LoadedConfig> read(const std::string& text, config::Overrides overrides = {}) {
  return parseNodeConfig(text, "f.toml", std::move(overrides));
}
std::string complaint(const std::string& text) {
  const auto loaded = read(text);
  return loaded ? "" : loaded.error().message;
}

const std::string kCell = R"([node]
name = "a"
[[cell.member]]
name = "a"
address = "127.0.0.1:7440"
[[cell.member]]
name = "b"
address = "127.0.0.1:7450"
domain = "rack-2"
weight = 3
)";

class Files : public testing::Test {
 protected:
  Files() { std::filesystem::create_directories(dir_); }
  ~Files() override { std::filesystem::remove_all(dir_); }
  std::string file(const std::string& name, const std::string& content, mode_t mode = 0600) {
    const auto path = dir_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
    ::chmod(path.c_str(), mode);
    return path.string();
  }
  const std::filesystem::path dir_ =
      std::filesystem::path(testing::TempDir()) / ("forebay-config-" + std::to_string(::getpid()));
};
using NodeConfigFiles = Files;
using AvailableMemory = Files;

TEST(NodeConfig, anEmptyFileIsANodeOnLoopbackThatIsAlone) {
  const auto loaded = read("");
  ASSERT_TRUE(loaded) << loaded.error().text();
  const NodeConfig& node = loaded->node;
  EXPECT_FALSE(node.name.empty());
  EXPECT_EQ(node.listen, "127.0.0.1:7440");
  EXPECT_EQ(node.socket, node.run_dir + "/node.sock");
  EXPECT_GT(node.memory_bytes, 64 * kMiB);
  EXPECT_EQ(node.max_fills, 256U);
  EXPECT_EQ(node.max_exported_percent, 50U);
  EXPECT_EQ(node.max_pinned_percent, 25U);
  EXPECT_EQ(node.log_level, log::Level::Info);
  EXPECT_THAT(node.members, IsEmpty());
  EXPECT_THAT(loaded->warnings, IsEmpty());
}

TEST(NodeConfig, readsACellAndItsMounts) {
  const auto loaded = read(kCell + R"(
[cell]
map_version = 7
[[mount]]
name = "train"
url = "az://acct/data/imagenet/"
class = "hot"
consistency = "bounded:5m"
chunk_size = "16MiB"
secret = "0123456789abcdef"
account_key = "a2V5"
request_timeout = "2m"
)");
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->node.map_version, 7U);
  ASSERT_EQ(loaded->node.members.size(), 2U);
  EXPECT_EQ(loaded->node.members[0].domain, "a") << "its own name, where none is given";
  EXPECT_EQ(loaded->node.members[1].domain, "rack-2");
  EXPECT_EQ(loaded->node.members[1].weight, 3U);
  EXPECT_EQ(loaded->node.members[1].address.text(), "127.0.0.1:7450");
  const MountConfig& mount = loaded->node.mounts.at(0);
  EXPECT_EQ(mount.url.container, "data");
  EXPECT_EQ(mount.url.prefix, "imagenet/");
  EXPECT_EQ(mount.mount_class, MountClass::Hot);
  EXPECT_EQ(mount.consistency.bound, std::chrono::minutes(5));
  EXPECT_EQ(mount.chunk_bits, 24U);
  EXPECT_EQ(mount.origin.azure.account_key.reveal(), "a2V5");
  EXPECT_EQ(mount.request_timeout, std::chrono::minutes(2));
  for (const config::Effective& row : loaded->effective) {
    EXPECT_THAT(row.value, AllOf(Not(HasSubstr("a2V5")), Not(HasSubstr("0123456789")))) << row.key;
  }
}

struct Wrong {
  const char* what;
  std::string text;
  const char* said;
};

std::string mount(const std::string& more, const std::string& url = "az://acct/data") {
  return "[[mount]]\nname = \"m\"\nurl = \"" + url + "\"\n" + more;
}

TEST(NodeConfig, aMistakeSaysWhereItIsAndWhatToDo) {
  const Wrong mistakes[] = {
      {"a listener that others reach", "[node]\nlisten = \"0.0.0.0:7440\"",
       "f.toml:2: node.listen: 0.0.0.0:7440 can be reached from other machines"},
      {"an admin page that others reach", "[node]\nadmin = \"10.0.0.1:1\"", "node.allow_insecure = true"},
      {"no address", "[node]\nlisten = \"7440\"", "f.toml:2: node.listen: \"7440\": not an address"},
      {"a relative run_dir", "[node]\nrun_dir = \"run\"", "must be an absolute path"},
      {"a socket's path the kernel can't take", "[node]\nsocket = \"/" + std::string(120, 'x') + "\"", "107 bytes"},
      {"a name with a space", "[node]\nname = \"a b\"", "must consist of letters"},
      {"a node outside of its cell", "[node]\nname = \"z\"\n" + kCell.substr(18),
       "which is none of the [[cell.member]]"},
      {"a cell without a way in", "[node]\nlisten = \"\"\n" + kCell.substr(7), "an address that the others reach"},
      {"two members at one address", kCell + "[[cell.member]]\nname=\"c\"\naddress=\"127.0.0.1:7440\"",
       "another member has 127.0.0.1:7440 too"},
      {"a member at port 0", "[[cell.member]]\nname=\"c\"\naddress=\"127.0.0.1:0\"", "not 0"},
      {"no secret in a cell of two", kCell + mount(""), "the 2 nodes of the cell must share one"},
      {"a secret anybody guesses", mount("secret = \"short\""), "at least 16 bytes"},
      {"a class of a later version", mount("class = \"checkpoint\""), "not in this version of Forebay"},
      {"frozen without a manifest", mount("consistency = \"frozen\""), "mount.m.manifest: missing: a frozen mount"},
      {"a manifest of a mount that isn't frozen", mount("manifest = \"/m\""), "is for consistency = \"frozen\" only"},
      {"a manifest that isn't there", mount("consistency = \"frozen\"\nmanifest = \"/no/such\""),
       "mount.m.manifest: read /no/such: No such file"},
      {"a consistency that is none", mount("consistency = \"strong\""), "must be bounded:DURATION"},
      {"a bound of nothing", mount("consistency = \"bounded:0\""), "from 1s to 365d"},
      {"a mount's name with a slash", "[[mount]]\nname = \"a/b\"\nurl = \"s3://bucket\"", "must be 1 to 63 of a-z"},
      {"no such scheme", mount("", "gs://bucket"), "is no origin"},
      {"a container that is missing", mount("", "az://acct"), "f.toml:3: mount.m.url: 'az://acct'"},
      {"a relative directory", mount("", "file://data"), "must be absolute"},
      {"a directory that isn't there", mount("", "file:///no/such/dir"), "No such file or directory"},
      {"an Azure key for S3", mount("account_key = \"x\"", "s3://bucket"), "is for az:// origins only"},
      {"an S3 region for Azure", mount("region = \"x\""), "is for s3:// origins only"},
      {"two kinds of credentials", mount("account_key = \"x\"\nsas_token = \"y\""), "keep one"},
      {"half a key", mount("access_key_id = \"x\"", "s3://bucket"), "go together"},
      {"anonymous with a key", mount("anonymous = true\naccount_key = \"x\""), "keep one"},
      {"an endpoint with a query", mount("endpoint = \"http://h/?q\""), "mount.m.endpoint"},
      {"a proxy with a password", mount("proxy = \"http://u:p@host\""), "without user and password"},
      {"a CA file that isn't there", mount("ca_file = \"/no/such\""), "No such file"},
      {"a secret's file that isn't there", mount("secret_file = \"/no/such\""), "No such file"},
  };
  for (const Wrong& wrong : mistakes) EXPECT_THAT(complaint(wrong.text), HasSubstr(wrong.said)) << wrong.what;
}

TEST(NodeConfig, insecureListenersAreAllowedWithAWarningWhenSaidSo) {
  const auto loaded = read("[node]\nallow_insecure = true\nlisten = \"0.0.0.0:7440\"\n");
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_THAT(loaded->warnings, ElementsAre(HasSubstr("node.listen = 0.0.0.0:7440")));
}

TEST(NodeConfig, aSignatureInAUrlIsRefusedAndNotRepeated) {
  EXPECT_THAT(complaint(mount("", "az://acct/data?sv=1&sig=hush")),
              AllOf(HasSubstr("must not hold credentials"), Not(HasSubstr("hush"))));
}

TEST(NodeConfig, memoryMayBeAPercentageOfWhatThereIs) {
  const auto loaded = read("[node]\nmemory = \"50%\"");
  ASSERT_TRUE(loaded) << loaded.error().text();
  const std::uint64_t half = availableMemory() / 2;
  EXPECT_NEAR(static_cast<double>(loaded->node.memory_bytes), static_cast<double>(half), 4.0 * kMiB);
  const auto huge = read("[node]\nmemory = \"900TiB\"");
  ASSERT_TRUE(huge);
  EXPECT_THAT(huge->warnings, ElementsAre(HasSubstr("the kernel may kill the node")));
}

TEST_F(NodeConfigFiles, aSecretComesFromAFileBesideTheConfiguration) {
  file("m.secret", "0123456789abcdef\nmore\n");
  const auto path = file("forebay.toml", mount("secret_file = \"m.secret\""));
  const auto loaded = loadNodeConfig({.file = path, .overrides = {}});
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->node.mounts[0].secret.reveal(), "0123456789abcdef");
  EXPECT_THAT(loaded->warnings, IsEmpty());
}

TEST_F(NodeConfigFiles, aSecretThatOthersCanReadIsAWarning) {
  file("m.secret", "0123456789abcdef", 0644);
  const auto path = file("forebay.toml", mount("secret_file = \"m.secret\""));
  const auto loaded = loadNodeConfig({.file = path, .overrides = {}});
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_THAT(loaded->warnings, ElementsAre(HasSubstr("chmod 600")));
}

TEST_F(NodeConfigFiles, aFileThatIsMissingIsNotFound) {
  EXPECT_EQ(loadNodeConfig({.file = (dir_ / "none.toml").string(), .overrides = {}}).error().code, Code::NotFound);
}

TEST(NodeConfig, theEnvironmentGivesAMountItsSecret) {
  const auto loaded = read(mount(""), {.environment = {"FOREBAY_MOUNT_SECRET_M=0123456789abcdef"}, .sets = {}});
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->node.mounts[0].secret.reveal(), "0123456789abcdef");
}

TEST(MountName, isMadeFromAUrlAndStaysTheSame) {
  const auto name = [](const char* url) { return mountNameOf(origin::parseUrl(url).value()); };
  EXPECT_EQ(name("az://acct/data/v2"), "acct-data-v2");
  EXPECT_EQ(name("s3://my-bucket"), "my-bucket");
  EXPECT_EQ(name("file:///srv/data"), "srv-data");
  EXPECT_NE(name("s3://bucket/A"), name("s3://bucket/B")) << "what is replaced must not make two URLs one";
  for (const char* url : {"file:///", "s3://bucket/Ünï", "file:///-/--", "s3://bucket/x y"})
    EXPECT_TRUE(isMountName(name(url)));
  EXPECT_TRUE(isMountName(name(("s3://bucket/" + std::string(900, 'x')).c_str())));
}

TEST_F(AvailableMemory, isTheMachinesOrTheLeastLimitOfTheCgroupsAbove) {
  file("proc/meminfo", "MemFree: 1 kB\nMemTotal:       8388608 kB\n");
  EXPECT_EQ(availableMemory(dir_.string()), 8 * kGiB) << "no cgroup at all";
  file("proc/self/cgroup", "0::/pod/container\n");
  file("sys/fs/cgroup/pod/container/memory.max", "max\n");
  EXPECT_EQ(availableMemory(dir_.string()), 8 * kGiB) << "a group without a limit";
  file("sys/fs/cgroup/pod/memory.max", "1073741824\n");
  EXPECT_EQ(availableMemory(dir_.string()), kGiB) << "its parent's limit binds";
}

TEST_F(AvailableMemory, readsTheFirstVersionOfCgroupsToo) {
  file("proc/meminfo", "MemTotal: 8388608 kB\n");
  file("proc/self/cgroup", "7:memory:/docker/x\n3:cpu:/y\n");
  file("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
  EXPECT_EQ(availableMemory(dir_.string()), 2 * kGiB) << "in a container the mount point is the group itself";
}

TEST(ConfigDocs, thePageIsWhatTheSchemaGenerates) {
  std::ifstream file(FOREBAY_SOURCE_DIR "/docs/config.md");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), configDocumentation()) << "make it anew: forebay config docs > docs/config.md";
}

}  // namespace
}  // namespace forebay::node
