// forebay_fake_origin: an object store for tests. See README.md beside this file.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fake_origin/admin.h"
#include "fake_origin/azure.h"
#include "fake_origin/issuer.h"
#include "fake_origin/s3.h"

namespace forebay::fake {
namespace {

// The emulators' published account: no secret, and clients have it built in.
constexpr const char* kEmulatorAccount = "devstoreaccount1";
constexpr const char* kEmulatorKey =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

struct Arguments {
  std::string host = "127.0.0.1";
  std::uint16_t azure_port = 0, s3_port = 0, issuer_port = 0, admin_port = 0;
  std::string account = kEmulatorAccount, key = kEmulatorKey;
  S3Credentials s3{
      .access_key = "forebay-test", .secret_key = "forebay-test-secret", .session_token = "", .region = "us-east-1"};
  bool die_with_parent = false;
};

void addOptions(CLI::App& app, Arguments& arguments, World& world) {
  app.add_option("--root", world.root, "Serve this tree: its first level are containers (buckets)");
  app.add_flag("--decode-names", world.decode_names, "Percent-decode file names below --root into object names");
  app.add_option("--host", arguments.host, "IPv4 address to listen on")->capture_default_str();
  app.add_option("--azure-port", arguments.azure_port, "0 takes a free one")->capture_default_str();
  app.add_option("--s3-port", arguments.s3_port, "0 takes a free one")->capture_default_str();
  app.add_option("--issuer-port", arguments.issuer_port, "0 takes a free one")->capture_default_str();
  app.add_option("--admin-port", arguments.admin_port, "0 takes a free one")->capture_default_str();
  app.add_option("--azure-account", arguments.account, "Azure account name")->capture_default_str();
  app.add_option("--azure-key", arguments.key, "Its key, base64; by default the emulators' published one");
  app.add_option("--s3-access-key", arguments.s3.access_key)->capture_default_str();
  app.add_option("--s3-secret-key", arguments.s3.secret_key)->capture_default_str();
  app.add_option("--s3-session-token", arguments.s3.session_token, "When given, requests must carry it");
  app.add_option("--s3-region", arguments.s3.region)->capture_default_str();
  app.add_option("--rate-bytes", world.settings.rate_bytes, "Bytes of bodies per second in all; 0: no bound");
  app.add_option("--latency-ms", world.settings.latency_ms, "Before each answer starts");
  app.add_option("--idle-timeout-ms", world.settings.idle_timeout_ms, "Close connections without a request")
      ->capture_default_str();
  app.add_flag_function(
      "--content-md5", [&world](std::int64_t) { world.objects.keepMd5(); },
      "Objects of up to 64 MiB have the MD5 that uploads in one part leave: in Azure's listings, as S3's ETags");
  app.add_flag_function(
      "--checksum-sha256", [&world](std::int64_t) { world.objects.keepSha256(); },
      "Objects of up to 64 MiB have the x-amz-checksum-sha256 that S3 keeps where its client gave one");
  app.add_flag("--anonymous", world.settings.anonymous, "Reads and lists need no credentials");
  app.add_flag("--die-with-parent", arguments.die_with_parent, "End when the process that started this one ends");
}

// Each open file of a body is a descriptor, and so is each larger object.
void raiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Status stopOnSignal(io::Reactor& reactor) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return failErrno("signalfd", errno);
  return reactor.watch(fd, EPOLLIN, [&reactor](std::uint32_t) { reactor.stop(); });
}

Status run(const Arguments& arguments, World& world) {
  const auto key = unbase64(arguments.key);
  if (!key) return fail(Code::InvalidArgument, "--azure-key is no base64");
  if (!world.root.empty()) TRY(world.objects.scan(world.root, world.decode_names));
  raiseDescriptorLimit();
  if (arguments.die_with_parent) prctl(PR_SET_PDEATHSIG, SIGTERM);
  const auto reactor = TRY(io::Reactor::create());
  TRY(stopOnSignal(*reactor));

  world.account = AzureAccount{.name = arguments.account, .key = *key};
  Service azure(world, std::make_unique<AzureDialect>(world.account, world.tokens));
  Service s3(world, std::make_unique<S3Dialect>(arguments.s3, world.tokens));
  Service issuer(world, std::make_unique<IssuerDialect>(world.tokens, arguments.s3));
  Admin admin(world);
  Server azure_server(*reactor, azure), s3_server(*reactor, s3), issuer_server(*reactor, issuer),
      admin_server(*reactor, admin);
  const auto azure_port = TRY(azure_server.listen({.host = arguments.host, .port = arguments.azure_port}));
  const auto s3_port = TRY(s3_server.listen({.host = arguments.host, .port = arguments.s3_port}));
  const auto issuer_port = TRY(issuer_server.listen({.host = arguments.host, .port = arguments.issuer_port}));
  const auto admin_port = TRY(admin_server.listen({.host = arguments.host, .port = arguments.admin_port}));
  fmt::print(
      "{{\"azure_port\":{0},\"s3_port\":{1},\"admin_port\":{2},\"azure\":\"http://{3}:{0}/{4}\","
      "\"s3\":\"http://{3}:{1}\",\"issuer\":\"http://{3}:{6}\",\"admin\":\"http://{3}:{2}\",\"pid\":{5}}}\n",
      azure_port, s3_port, admin_port, arguments.host, arguments.account, getpid(), issuer_port);
  std::fflush(stdout);
  reactor->run();
  return {};
}

int start(int argc, char** argv) {
  CLI::App app{
      "An object store for tests: Azure Blob and S3, strict, fast, with faults on demand.\n"
      "Prints one line of JSON with its ports when it is ready. tests/fake_origin/README.md has the rest."};
  Arguments arguments;
  World world;
  addOptions(app, arguments, world);
  CLI11_PARSE(app, argc, argv);
  world.initial_settings = world.settings;
  const Status done = run(arguments, world);
  if (done) return 0;
  fmt::print(stderr, "forebay_fake_origin: {}\n", done.error().text());
  return 1;
}

}  // namespace
}  // namespace forebay::fake

int main(int argc, char** argv) {
  return forebay::fake::start(argc, argv);
}
