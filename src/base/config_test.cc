#include "base/config.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/config_paths.h"
#include "base/config_values.h"
#include "base/json_writer.h"

namespace forebay::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const Schema& schema() {
  static const Schema made{
      .tables = {
          {.name = "node",
           .effect = "This process.",
           .keys =
               {{.name = "memory", .type = Type::Amount, .initial = "25%", .effect = "The cap.", .least = 64 * kMiB},
                {.name = "name", .effect = "Its name."},
                {.name = "max_connections",
                 .type = Type::Integer,
                 .initial = "16",
                 .effect = "How many.",
                 .unit = "connections",
                 .least = 1,
                 .most = 64},
                {.name = "verbose", .type = Type::Bool, .initial = "false", .effect = "More words."},
                {.name = "timeout",
                 .type = Type::Duration,
                 .initial = "30s",
                 .effect = "Patience.",
                 .least = 1'000'000'000}}},
          {.name = "cell.member",
           .effect = "Another node.",
           .many = true,
           .keys = {{.name = "name", .effect = "Its name.", .required = true}}},
          {.name = "mount",
           .effect = "A mount.",
           .many = true,
           .keys = {{.name = "name", .effect = "Its name.", .required = true},
                    {.name = "class",
                     .type = Type::Enum,
                     .initial = "dataset",
                     .effect = "How it is cached.",
                     .allowed = {"dataset", "hot"},
                     .not_yet = {"kv"}},
                    {.name = "chunk_size",
                     .type = Type::Size,
                     .initial = "8MiB",
                     .effect = "Of a chunk.",
                     .least = kMiB,
                     .most = 64 * kMiB,
                     .power_of_two = true},
                    {.name = "hosts", .type = Type::List, .effect = "Some."},
                    {.name = "secret", .type = Type::Secret, .effect = "Of this mount."}}},
      }};
  return made;
}

Result<Document> read(std::string_view text, Overrides overrides = {}) {
  return parse(schema(), {.text = text, .file = "f.toml", .overrides = std::move(overrides)});
}
std::string complaint(std::string_view text, Overrides overrides = {}) {
  const auto document = read(text, std::move(overrides));
  return document ? "" : document.error().message;
}

TEST(Config, givesWhatTheFileSaysAndDefaultsForTheRest) {
  const auto document = read(R"(
[node]
memory = "4GiB"
timeout = "5m"

[[cell.member]]
name = "a"
[[cell.member]]
name = "b"

[[mount]]
name = "train"
chunk_size = "16MiB"
hosts = ["x", "y"]
)");
  ASSERT_TRUE(document) << document.error().text();
  const Section& node = document->table("node");
  EXPECT_EQ(node.amount("memory").bytes, 4 * kGiB);
  EXPECT_EQ(node.duration("timeout"), std::chrono::minutes(5));
  EXPECT_EQ(node.integer("max_connections"), 16U);
  EXPECT_FALSE(node.given("max_connections"));
  EXPECT_EQ(document->tables("cell.member").size(), 2U);
  const Section& mount = *document->tables("mount").front();
  EXPECT_EQ(mount.integer("chunk_size"), 16 * kMiB);
  EXPECT_EQ(mount.text("class"), "dataset");
  EXPECT_THAT(mount.list("hosts"), ElementsAre("x", "y"));
  EXPECT_EQ(mount.about("chunk_size"), "f.toml:13: mount.train.chunk_size");
}

TEST(Config, anyTextMayStandInStringsAndComments) {
  EXPECT_TRUE(read("\xef\xbb\xbf[node]")) << "a byte order mark";
  for (const char* name : {"\"é\"", "'é'", "\"\"\"é\"\"\"", "'''é'''"}) {
    const auto document = read(fmt::format("# é \"\n[node]\nname = {} # é", name));
    ASSERT_TRUE(document) << name << ": " << document.error().text();
    EXPECT_EQ(document->table("node").text("name"), "é");
  }
}

TEST(Config, anEmptyFileIsAllDefaults) {
  const auto document = read("");
  ASSERT_TRUE(document);
  EXPECT_EQ(document->table("node").amount("memory").percent, 25U);
  EXPECT_THAT(document->tables("mount"), IsEmpty());
}

struct Wrong {
  const char* what;
  const char* text;
  const char* said;
};
const Wrong kWrong[] = {
    {"an unknown key names the nearest known one", "[node]\nmemroy = \"4GiB\"",
     "f.toml:2: node.memroy: no such key; did you mean \"memory\"?"},
    {"an unknown table too", "[nodes]\nmemory = \"4GiB\"", "f.toml:1: nodes: no such table; did you mean \"node\"?"},
    {"a key far from all lists what there is", "[node]\nzzzzzzzzzzzz = 1", "there are memory, name"},
    {"a key outside of any table", "memory = 1", "f.toml:1: memory: no such table"},
    {"a size without a unit that exists", "[node]\n\nmemory = \"4XB\"",
     "f.toml:3: node.memory = \"4XB\": no such unit of size"},
    {"a size that is ambiguous", "[node]\nmemory = \"4G\"", "write \"4GiB\" (1024s) or \"4GB\" (1000s)"},
    {"a size below what works", "[node]\nmemory = \"1MiB\"", "must be a size such as \"4GiB\" of at least 64MiB"},
    {"a percentage above 100", "[node]\nmemory = \"101%\"", "from 1% to 100%"},
    {"a number that doesn't fit 64 bits", "[node]\nmemory = \"99999999999TiB\"", "too large"},
    {"a number out of bounds", "[node]\nmax_connections = 65",
     "node.max_connections = 65: must be a whole number of connections from 1 to 64"},
    {"a negative number", "[node]\nmax_connections = -1", "must be a whole number"},
    {"text where a number belongs", "[node]\nmax_connections = \"many\"", "must be a whole number"},
    {"a duration without a unit", "[node]\ntimeout = 30", "a duration needs one of the units ms, s, m, h, d"},
    {"a number where true or false belongs", "[node]\nverbose = 1", "node.verbose = 1: must be true or false"},
    {"a value that isn't allowed", "[[mount]]\nname = \"t\"\nclass = \"hott\"",
     "must be one of \"dataset\", \"hot\"; did you mean \"hot\"?"},
    {"a value of a later version", "[[mount]]\nname = \"t\"\nclass = \"kv\"", "not in this version of Forebay"},
    {"no power of two", "[[mount]]\nname = \"t\"\nchunk_size = \"3MiB\"", "from 1MiB to 64MiB, a power of two"},
    {"a table that should come several times", "[mount]\nname = \"t\"", "must be written as [[mount]]"},
    {"a table that comes once", "[[node]]\nname = \"t\"", "must be written as [node]"},
    {"a list with something else in it", "[[mount]]\nname = \"t\"\nhosts = [1, \"a\"]", "must be a list of strings"},
    {"a mount without a name", "[[mount]]\nclass = \"hot\"", "f.toml:1: mount.name is missing"},
    {"two of one name", "[[mount]]\nname = \"t\"\n[[mount]]\nname = \"t\"", "another one has this name, at f.toml:1"},
    {"no TOML at all", "[node\nmemory", "f.toml:1: not TOML"},
    {"a header that ends at once, on which the library's own check fails", "[\n2", "f.toml: not TOML"},
    {"a name with an accent outside of quotes", "[node]\nnäme = 1", "f.toml:2: not TOML"},
    {"a no-break space", "[node]\n# é\nname\xc2\xa0= \"é\"", "f.toml:3: not TOML"},
    {"text that isn't UTF-8", "[node]\nname = \"\xff\"", "f.toml: not TOML: not UTF-8"},
    {"a key given twice", "[node]\nname = \"a\"\nname = \"b\"", "f.toml:3: not TOML"},
};

TEST(Config, aMistakeIsNamedWithItsFileLineKeyAndWhatIsAllowed) {
  for (const Wrong& wrong : kWrong) EXPECT_THAT(complaint(wrong.text), HasSubstr(wrong.said)) << wrong.what;
}

TEST(Config, tellsAllMistakesAtOnceInTheFilesOrder) {
  const std::string said = complaint("[node]\nverbose = 1\nmemory = \"x\"\n");
  EXPECT_THAT(said, AllOf(HasSubstr("f.toml:2: "), HasSubstr("f.toml:3: ")));
  EXPECT_LT(said.find("f.toml:2"), said.find("f.toml:3"));
}

TEST(Config, aFileFullOfMistakesGivesABoundedMessage) {
  std::string text = "[node]\n";
  for (int i = 0; i < 1000; ++i) text += "k" + std::to_string(i) + " = 1\n";
  EXPECT_THAT(complaint(text), HasSubstr("and 980 more"));
}

TEST(Config, theCommandLineWinsOverTheEnvironmentWhichWinsOverTheFile) {
  const Overrides both{.environment = {"FOREBAY_NODE_MEMORY=2GiB", "FOREBAY_NODE_VERBOSE=true", "HOME=/"},
                       .sets = {"node.memory=3GiB"}};
  const auto document = read("[node]\nmemory = \"1GiB\"\nverbose = false", both);
  ASSERT_TRUE(document) << document.error().text();
  EXPECT_EQ(document->table("node").amount("memory").bytes, 3 * kGiB);
  EXPECT_TRUE(document->table("node").boolean("verbose"));
  EXPECT_EQ(document->table("node").about("verbose"), "FOREBAY_NODE_VERBOSE: node.verbose");
}

TEST(Config, aMountIsOverriddenByItsName) {
  const char* file = "[[mount]]\nname = \"my-data.v2\"\n[[mount]]\nname = \"b\"";
  const auto document = read(file, {.environment = {"FOREBAY_MOUNT_SECRET_MY_DATA_V2=hush"},
                                    .sets = {"mount.my-data.v2.chunk_size=1MiB", "mount.b.hosts=x,y"}});
  ASSERT_TRUE(document) << document.error().text();
  EXPECT_EQ(document->tables("mount")[0]->secret("secret").reveal(), "hush");
  EXPECT_EQ(document->tables("mount")[0]->integer("chunk_size"), kMiB);
  EXPECT_THAT(document->tables("mount")[1]->list("hosts"), ElementsAre("x", "y"));
}

TEST(Config, anOverrideIsCheckedLikeTheFile) {
  EXPECT_THAT(complaint("", {.environment = {"FOREBAY_NODE_TIMEOUT=30"}}),
              HasSubstr("FOREBAY_NODE_TIMEOUT: node.timeout = \"30\": a duration needs"));
  EXPECT_THAT(complaint("", {.sets = {"node.memroy=1"}}), HasSubstr("did you mean \"memory\"?"));
  EXPECT_THAT(complaint("", {.sets = {"nonsense"}}), HasSubstr("table.key=value"));
  EXPECT_THAT(complaint("", {.sets = {"mount.x.class=hot"}}), HasSubstr("f.toml has no [[mount]] of that name"));
  EXPECT_THAT(complaint("", {.sets = {"other.x=1"}}), HasSubstr("no such table"));
  EXPECT_THAT(complaint("[[mount]]\nname=\"a\"", {.sets = {"mount.a.name=b"}}), HasSubstr("can't be overridden"));
}

TEST(Config, aVariableThatNamesNoKeyIsAWarningUnlessItIsKubernetes) {
  const auto document =
      read("", {.environment = {"FOREBAY_NODE_MEMROY=1GiB", "FOREBAY_NODE_SERVICE_HOST=10.0.0.1",
                                "FOREBAY_NODE_PORT_7440_TCP=tcp://10.0.0.1:7440", "FOREBAY_NODE=unix:/x"}});
  ASSERT_TRUE(document);
  EXPECT_THAT(document->warnings,
              ElementsAre(AllOf(HasSubstr("FOREBAY_NODE_MEMROY"), HasSubstr("FOREBAY_NODE_MEMORY"))));
}

TEST(Config, noMessageRepeatsASecret) {
  EXPECT_THAT(complaint("[[mount]]\nname = \"a\"\nsecret = 12345"),
              AllOf(HasSubstr("secret"), Not(HasSubstr("12345"))));
  EXPECT_THAT(complaint("[[mount]]\nname = \"a\"", {.sets = {"mount.a.secret=hush"}}),
              AllOf(HasSubstr("FOREBAY_MOUNT_SECRET_A"), Not(HasSubstr("hush"))));
  const auto document = read("[[mount]]\nname = \"a\"\nsecret = \"hush\"");
  ASSERT_TRUE(document);
  for (const Effective& row : effective(*document)) EXPECT_THAT(row.value, Not(HasSubstr("hush"))) << row.key;
}

TEST(Config, documentationNamesEveryKeyItsDefaultAndWhatIsAllowed) {
  const std::string page = documentation(schema(), "# Keys\n");
  EXPECT_THAT(page, HasSubstr("## [[cell.member]]"));
  EXPECT_THAT(page, HasSubstr("| `memory` | a size such as \"4GiB\" of at least 64MiB, or a percentage such as "
                              "\"25%\" | `\"25%\"` | The cap. |"));
  EXPECT_THAT(page, HasSubstr("Not in this version: \"kv\"."));
}

TEST(Secret, formattingItShowsThatItIsOneAndNothingElse) {
  const Secret secret("hush");
  std::ostringstream stream;
  stream << secret;
  EXPECT_EQ(stream.str(), "(secret)");
  EXPECT_EQ(fmt::format("{}", secret), "(secret)");
  EXPECT_EQ(testing::PrintToString(secret), "(secret)");
  EXPECT_EQ(secret.reveal(), "hush");
}

TEST(ConfigValues, sizesRoundTrip) {
  for (const char* text : {"0B", "1B", "1000B", "1KiB", "64MiB", "3GiB", "2TiB"})
    EXPECT_EQ(sizeText(parseSize(text).value()), text);
  EXPECT_EQ(parseSize("512 MiB").value(), 512 * kMiB);
  EXPECT_EQ(parseSize("4Gi").value(), 4 * kGiB);
  EXPECT_EQ(parseSize("4GB").value(), 4'000'000'000U);
  for (const char* text : {"", "GiB", "-1", "1.5GiB", "0x10", "18446744073709551616", "4 G"})
    EXPECT_FALSE(parseSize(text)) << text;
}

TEST(ConfigValues, durationsRoundTrip) {
  for (const char* text : {"250ms", "30s", "5m", "12h", "7d"})
    EXPECT_EQ(durationText(parseDuration(text).value()), text);
  EXPECT_EQ(parseDuration("0").value(), Duration{0});
  for (const char* text : {"", "5", "s", "5 weeks", "99999999999999d"}) EXPECT_FALSE(parseDuration(text)) << text;
}

TEST(ConfigValues, addressesAreAHostAndAPort) {
  EXPECT_EQ(parseHostPort("[::1]:80").value(), (HostPort{.host = "::1", .port = 80}));
  EXPECT_EQ(parseHostPort("node-1.example:7440").value().text(), "node-1.example:7440");
  EXPECT_EQ(parseHostPort("[::1]:80").value().text(), "[::1]:80");
  for (const char* text : {"", "host", ":80", "host:", "host:65536", "host:8x", "::1:80", "[::1:80", "a b:1", "[]:1"})
    EXPECT_FALSE(parseHostPort(text)) << text;
}

TEST(ConfigValues, loopbackIsWhatNoOtherMachineReaches) {
  for (const char* host : {"127.0.0.1", "127.8.0.1", "::1", "localhost"}) EXPECT_TRUE(isLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "127.evil", "128.0.0.1"})
    EXPECT_FALSE(isLoopback(host)) << host;
}

TEST(ConfigPaths, aDirectoryThatOthersCanWriteToIsRefused) {
  const auto base = std::filesystem::path(testing::TempDir()) / ("forebay-paths-" + std::to_string(::getpid()));
  const std::string dir = (base / "run").string();
  ASSERT_TRUE(preparePrivateDir(dir));
  EXPECT_TRUE(preparePrivateDir(dir)) << "a second time it is there";
  ASSERT_EQ(::chmod(dir.c_str(), 0777), 0);
  EXPECT_EQ(checkPrivateDir(dir).error().code, Code::PermissionDenied);
  std::filesystem::create_directory_symlink(base, base / "link");
  EXPECT_FALSE(checkPrivateDir((base / "link").string())) << "a link could lead anywhere";
  std::filesystem::remove_all(base);
}

TEST(RunDir, isWhereTheEnvironmentSaysForNodesAndClientsAlike) {
  ::setenv("FOREBAY_NODE_RUN_DIR", "/somewhere/else", 1);
  EXPECT_EQ(defaultSocketPath(), "/somewhere/else/node.sock");
  ::setenv("FOREBAY_NODE_RUN_DIR", "relative", 1);
  EXPECT_NE(defaultRunDir(), "relative") << "clients may stand elsewhere than the node";
  ::unsetenv("FOREBAY_NODE_RUN_DIR");
}

TEST(JsonWriter, writesNestedObjectsWithTheirCommas) {
  JsonWriter json;
  json.beginObject().field("a", 1).key("b").beginArray().value("x").value(true).endArray();
  json.key("c").beginObject().endObject().field("d", 0.5).key("e").null().endObject();
  EXPECT_EQ(json.text(), R"({"a":1,"b":["x",true],"c":{},"d":0.5,"e":null})");
}

TEST(JsonWriter, isValidForAnyBytes) {
  JsonWriter json;
  json.beginObject().name("name", "a\"\\\n\x1b\xff\xc0\x80z").endObject();
  EXPECT_EQ(json.text(),
            "{\"name\":\"a\\\"\\\\\\u000a\\u001b\\ufffd\\ufffd\\ufffdz\",\"name_hex\":"
            "\"61225c0a1bffc0807a\"}");
  JsonWriter unicode;
  unicode.value("日本 é 🙂");
  EXPECT_EQ(unicode.text(), "\"日本 é 🙂\"");
}

}  // namespace
}  // namespace forebay::config
