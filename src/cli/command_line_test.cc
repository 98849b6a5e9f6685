#include "cli/command_line.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/exit_codes.h"
#include "cli/fake_cell.h"
#include "cli/mount_table.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Invocation typed(std::vector<std::string> arguments) {
  auto parsed = parseCommandLine(std::move(arguments));
  if (const auto* answer = std::get_if<Answer>(&parsed)) ADD_FAILURE() << answer->err;
  return std::get<Invocation>(std::move(parsed));
}
template <class Options>
Options typed(std::vector<std::string> arguments) {
  return std::get<Options>(typed(std::move(arguments)).command);
}
Answer refused(std::vector<std::string> arguments) {
  auto parsed = parseCommandLine(std::move(arguments));
  if (!std::holds_alternative<Answer>(parsed)) {
    ADD_FAILURE() << "was accepted";
    return {};
  }
  return std::get<Answer>(std::move(parsed));
}

TEST(CommandLine, understandsEachCommand) {
  const auto ls = typed<LsOptions>({"ls", "-lR", "--raw", "data/a", "b"});
  EXPECT_TRUE(ls.details && ls.recursive && ls.raw);
  EXPECT_THAT(ls.names, ElementsAre("data/a", "b"));
  const auto cat = typed<CatOptions>({"cat", "--offset", "1MiB", "--length=10", "data/a"});
  EXPECT_EQ(cat.offset, kMiB);
  EXPECT_EQ(cat.length, 10U);
  const auto node = typed<NodeOptions>({"node", "-c", "f.toml", "--set", "a.b=1", "--set", "a.c=2"});
  EXPECT_EQ(node.config, "f.toml");
  EXPECT_THAT(node.sets, ElementsAre("a.b=1", "a.c=2"));
  EXPECT_EQ(typed<LoadOptions>({"load", "--in-flight", "7", "data"}).in_flight, 7U);
  EXPECT_EQ(typed<LoadOptions>({"load", "data"}).copies, 1U);
  EXPECT_EQ(typed<LoadOptions>({"load", "--copies", "8", "data"}).copies, 8U);
  EXPECT_EQ(typed<LoadOptions>({"load", "--copies=all", "data"}).copies, 0U);
  EXPECT_TRUE(typed<UnmountOptions>({"umount", "-z", "/mnt"}).lazy);
  EXPECT_TRUE(typed<StatusOptions>({"status", "--local"}).local);
  EXPECT_EQ(typed<ConfigCheckOptions>({"config", "check", "f"}).file, "f");
  (void)typed<ConfigDocsOptions>({"config", "docs"});
  (void)typed<VersionOptions>({"version"});
}

TEST(CommandLine, flagsForAllCommandsStandBeforeOrAfterTheCommand) {
  for (const auto& arguments :
       {std::vector<std::string>{"--json", "--node", "unix:/x", "--timeout", "5s", "ls", "data"},
        {"ls", "data", "--json", "--node", "unix:/x", "--timeout", "5s"}}) {
    const Invocation call = typed(arguments);
    EXPECT_TRUE(call.json);
    EXPECT_EQ(call.node, "unix:/x");
    EXPECT_EQ(call.timeout, 5s);
  }
}

TEST(CommandLine, mountFlagsReachTheMount) {
  const auto mount = typed<MountArguments>({"mount", "s3://bucket/x", "/mnt", "-f", "--allow-other", "--umask", "077",
                                            "--endpoint", "http://h:1", "--host-style", "--node", "unix:/x",
                                            "--no-passthrough", "--open-wait", "1s", "--transport", "plain"});
  EXPECT_EQ(mount.source, "s3://bucket/x");
  EXPECT_TRUE(mount.foreground && mount.allow_other);
  EXPECT_FALSE(mount.passthrough);
  EXPECT_EQ(mount.open_wait, "1s");
  EXPECT_EQ(mount.transport, "plain");
  EXPECT_EQ(mount.umask, "077");
  EXPECT_EQ(mount.path_style, false);
  EXPECT_EQ(mount.node, "unix:/x");
  EXPECT_EQ(typed<MountArguments>({"mount", "s3://bucket", "/m", "--path-style"}).path_style, true);
  EXPECT_TRUE(typed<MountArguments>({"mount", "s3://bucket", "/m"}).passthrough);
  EXPECT_EQ(typed<MountArguments>({"mount", "s3://bucket", "/m"}).path_style, std::nullopt);
}

TEST(CommandLine, sayWhereTheHelperIsAndWhoMayAskIt) {
  EXPECT_EQ(typed<MountArguments>({"mount", "data", "/m"}).helper, std::nullopt);
  EXPECT_EQ(typed<MountArguments>({"mount", "data", "/m", "--helper", "/run/x"}).helper, "/run/x");
  EXPECT_EQ(typed<MountArguments>({"mount", "data", "/m", "--helper", ""}).helper, "");
  EXPECT_EQ(typed<UnmountOptions>({"unmount", "/m"}).helper, io::kDefaultHelper);
  const auto helper =
      typed<HelperOptions>({"helper", "--allow", "a", "--allow", "1000", "--max-memory", "1GiB", "--socket", "/x"});
  EXPECT_EQ(helper.allow, (std::vector<std::string>{"a", "1000"}));
  EXPECT_EQ(helper.max_memory, "1GiB");
  EXPECT_EQ(helper.socket, "/x");
}

TEST(CheckHelper, knowsUsersByNameAndNumberAndAmountsOfMemory) {
  auto checked = checkHelper({.allow = {"root", "1000"}, .socket = "/x", .max_memory = "1GiB"});
  ASSERT_TRUE(checked) << checked.error().text();
  EXPECT_EQ(checked->allowed, (std::vector<uid_t>{0, 1000}));
  EXPECT_EQ(checked->max_memory_bytes, kGiB);
  EXPECT_GT(checkHelper({}).value().max_memory_bytes, 0U) << "half of the machine's";
  for (const char* user : {"no-such-user", "", "-1", "4294967295", "1000x"})
    EXPECT_THAT(checkHelper({.allow = {user}}).error().message, HasSubstr("no such user")) << user;
  for (const char* amount : {"", "1", "x", "200%", "-1GiB"})
    EXPECT_THAT(checkHelper({.max_memory = amount}).error().message, HasSubstr("--max-memory")) << amount;
}

TEST(CommandLine, mistakesAreUsageErrorsThatSayWhat) {
  EXPECT_THAT(refused({"unmonut"}).err, HasSubstr("no such command: unmonut; did you mean \"unmount\"?"));
  EXPECT_THAT(refused({"--node", "unix:/x", "lod", "a"}).err, HasSubstr("did you mean \"load\"?"));
  EXPECT_THAT(refused({"cat"}).err, HasSubstr("NAME is required"));
  EXPECT_THAT(refused({"cat", "--offset", "4G", "a"}).err, HasSubstr("--offset 4G: ambiguous"));
  EXPECT_THAT(refused({"ls", "--timeout", "5"}).err, HasSubstr("--timeout 5: must be a duration"));
  EXPECT_THAT(refused({"ls", "--wrong"}).err, HasSubstr("--wrong"));
  EXPECT_THAT(refused({"mount", "s3://b", "/m", "--path-style", "--host-style"}).err, HasSubstr("--host-style"));
  for (const auto& arguments : {std::vector<std::string>{},
                                {"sl"},
                                {"cat"},
                                {"load", "--in-flight", "0", "a"},
                                {"load", "--copies", "0", "a"},
                                {"load", "--copies", "al", "a"},
                                {"config"}})
    EXPECT_EQ(refused(arguments).exit_code, kExitUsage);
}

TEST(CommandLine, helpIsNoError) {
  EXPECT_EQ(refused({"--help"}).exit_code, kExitOk);
  EXPECT_THAT(refused({"--help"}).out, AllOf(HasSubstr("Exit codes"), HasSubstr("unmount")));
  EXPECT_THAT(refused({"mount", "--help"}).out, HasSubstr("--consistency"));
}

class CheckMount : public testing::Test {
 protected:
  CheckMount() { std::filesystem::create_directories(dir_); }
  ~CheckMount() override { std::filesystem::remove_all(dir_); }
  Result<MountOptions> check(MountArguments arguments) {
    if (arguments.directory.empty()) arguments.directory = dir_.string();
    return checkMount(arguments);
  }
  std::string complaint(MountArguments arguments) {
    const auto options = check(std::move(arguments));
    return options ? "" : options.error().message;
  }
  const std::filesystem::path dir_ =
      std::filesystem::path(testing::TempDir()) / ("forebay-check-mount-" + std::to_string(::getpid()));
};

TEST_F(CheckMount, aUrlMakesAMount) {
  std::ofstream(dir_ / "key") << "a2V5\n";
  std::filesystem::permissions(dir_ / "key", std::filesystem::perms::owner_read);
  const auto options = check({.source = "az://acct/data/v2",
                              .memory = "4GiB",
                              .consistency = "open",
                              .chunk_size = "16MiB",
                              .endpoint = "http://127.0.0.1:10000",
                              .account_key_file = (dir_ / "key").string(),
                              .uid = "7",
                              .umask = "077",
                              .node = "unix:/x"});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->name, "acct-data-v2");
  EXPECT_EQ(options->made->chunk_bits, 24U);
  EXPECT_EQ(options->made->consistency.kind, node::Consistency::Kind::Open);
  EXPECT_EQ(options->made->origin.azure.account_key.reveal(), "a2V5");
  EXPECT_EQ(options->memory->bytes, 4 * kGiB);
  EXPECT_EQ(options->uid, 7U);
  EXPECT_EQ(options->umask, 077U);
  EXPECT_TRUE(options->node_given);
  EXPECT_EQ(options->node.path, "/x");
}

TEST_F(CheckMount, aNameIsWhatTheNodeServes) {
  const auto options = check({.source = "imagenet"});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->name, "imagenet");
  EXPECT_FALSE(options->made.has_value());
}

TEST_F(CheckMount, aMistakeNamesItsFlag) {
  EXPECT_THAT(complaint({.source = "imagenet", .memory = "4GiB"}), HasSubstr("--memory is for a mount by URL"));
  EXPECT_THAT(complaint({.source = "Image Net"}), HasSubstr("SOURCE Image Net: must be az://"));
  EXPECT_THAT(complaint({.source = "gs://x"}), HasSubstr("az://ACCOUNT/CONTAINER"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .name = "A"}), HasSubstr("--name A: must be"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .memory = "1MiB"}), HasSubstr("--memory 1MiB: must be"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .consistency = "frozen"}), HasSubstr("needs --manifest"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .manifest = "/m"}), HasSubstr("--consistency frozen only"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .consistency = "frozen", .manifest = "/no/such"}),
              HasSubstr("--manifest /no/such: No such file"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .chunk_size = "3MiB"}), HasSubstr("--chunk-size 3MiB: must be"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .endpoint = "http://h/?q"}), HasSubstr("--endpoint"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .ca_file = "/no/such"}), HasSubstr("--ca-file /no/such"));
  EXPECT_THAT(complaint({.source = "s3://bucket", .account_key_file = "/x"}), HasSubstr("for az:// only"));
  EXPECT_THAT(complaint({.source = "az://acct/data", .sas_token_file = "/no/such"}), HasSubstr("--sas-token-file"));
  EXPECT_THAT(complaint({.source = "imagenet", .uid = "bob"}), HasSubstr("--uid bob: must be a number"));
  EXPECT_THAT(complaint({.source = "imagenet", .umask = "9"}), HasSubstr("--umask 9: must be an octal"));
  EXPECT_THAT(complaint({.source = "imagenet", .read_timeout = "5"}), HasSubstr("--read-timeout 5: must be"));
  EXPECT_THAT(complaint({.source = "imagenet", .transport = "fast"}),
              HasSubstr("--transport fast: must be auto, plain"));
  EXPECT_THAT(complaint({.source = "imagenet", .open_wait = "11s"}), HasSubstr("--open-wait 11s: must be"));
  EXPECT_THAT(complaint({.source = "imagenet", .open_wait = "fast"}), HasSubstr("--open-wait fast: must be"));
  EXPECT_THAT(complaint({.source = "imagenet", .node = "nonsense"}), HasSubstr("--node nonsense"));
  EXPECT_EQ(check({.source = "imagenet", .directory = "/no/such"}).error().code, Code::NotFound);
  std::ofstream(dir_ / "file") << "x";
  EXPECT_THAT(complaint({.source = "imagenet", .directory = (dir_ / "file").string()}), HasSubstr("not a directory"));
}

TEST(NodeAddress, isTheFlagThenTheEnvironmentThenTheUsersOwnSocket) {
  ::unsetenv("FOREBAY_NODE");
  EXPECT_THAT(nodeAddress("").value().path, HasSubstr("forebay"));
  ::setenv("FOREBAY_NODE", "127.0.0.1:7440", 1);
  EXPECT_EQ(nodeAddress("").value().port, 7440);
  EXPECT_EQ(nodeAddress("unix:/x").value().path, "/x");
  ::setenv("FOREBAY_NODE", "nonsense", 1);
  EXPECT_THAT(nodeAddress("").error().message, HasSubstr("FOREBAY_NODE nonsense"));
  ::unsetenv("FOREBAY_NODE");
}

TEST(MountTable, isReadAsTheKernelWritesIt) {
  const auto entries = parseMountTable(
      "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
      "42 22 0:40 / /mnt/my\\040data ro,nosuid - fuse.forebay az://acct/data ro,user_id=0\n"
      "nonsense\n\n1 2 3 4 5 6 7 8\n");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].directory, "/mnt/my data");
  EXPECT_EQ(entries[1].type, kMountType);
  EXPECT_EQ(unescapeMountPath("a\\134b\\"), "a\\b\\");
}

TEST(Unmount, refusesWhatIsNotOurs) {
  Output output;
  Terminal terminal(output.options());
  EXPECT_EQ(runUnmount(terminal, {.directory = "/proc"}), kExitUsage);
  EXPECT_THAT(output.err, HasSubstr("not one of Forebay's"));
  EXPECT_EQ(runUnmount(terminal, {.directory = "/no/such/place"}), kExitNotFound);
}

TEST(Units, readAsPeopleReadThem) {
  EXPECT_EQ(humanSize(0), "0 B");
  EXPECT_EQ(humanSize(1023), "1023 B");
  EXPECT_EQ(humanSize(1536), "1.50 KiB");
  EXPECT_EQ(humanSize(140 * kGiB), "140 GiB");
  EXPECT_EQ(humanSize(UINT64_MAX), "16384 PiB");
  EXPECT_EQ(humanRate(210e6), "210 MB/s");
  EXPECT_EQ(humanCount(1'234'567), "1,234,567");
  EXPECT_EQ(humanDuration(400ms), "0.4 s");
  EXPECT_EQ(humanDuration(200s), "3 min 20 s");
  EXPECT_EQ(humanDuration(std::chrono::hours(50)), "2 d 2 h");
  EXPECT_EQ(humanTime(1'700'000'000'000'000'000), "2023-11-14 22:13:20Z");
  EXPECT_EQ(humanShare(9999, 10'000), "99.9%") << "100% is said of all only";
  EXPECT_EQ(humanShare(1, 1'000'000), "0.1%") << "and 0% of nothing";
  EXPECT_EQ(humanShare(0, 0), "-");
}

TEST(ExitCodes, tellAScriptWhatToDo) {
  EXPECT_EQ(exitCodeOf(Code::NotFound), 3);
  EXPECT_EQ(exitCodeOf(Code::Unauthenticated), 4);
  EXPECT_EQ(exitCodeOf(Code::Busy), 5);
  EXPECT_EQ(exitCodeOf(Code::Gone), 6);
}

TEST(TableTest, alignsColumnsByWhatIsShown) {
  Output output;
  {
    Terminal terminal(output.options());
    Table table(
        terminal,
        {{.title = "N", .key = "n", .right = true}, {.title = "NAME", .key = "name"}, {.title = "X", .key = "x"}});
    table.row({Field::number(1), Field::word("é"), Field::flag(true)});
    table.row({Field::number(1000), Field::word("abcdef"), Field::none()});
    table.finish();
  }
  EXPECT_EQ(output.out, "    N  NAME    X\n    1  é       yes\n1,000  abcdef  -\n");
}

TEST(TerminalTest, aFullDiskIsToldOnce) {
  Output output;
  output.out_error = ENOSPC;
  Terminal terminal(output.options());
  terminal.out("x");
  EXPECT_THAT(terminal.flush().error().message, HasSubstr("No space left"));
  EXPECT_TRUE(terminal.broken());
}

}  // namespace
}  // namespace forebay::cli
