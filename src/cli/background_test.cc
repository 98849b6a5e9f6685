#include "cli/background.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace forebay::cli {
namespace {

// Starts a process that goes to the background; `then` runs there. How the process that was started ended.
template <class Then>
int start(Then then) {
  const pid_t starter = fork();
  if (starter == 0) {
    signal(SIGPIPE, SIG_IGN);
    auto background = Background::start(false, "/dev/null");
    then(*background);
    _exit(0);
  }
  int status = 0;
  waitpid(starter, &status, 0);
  return status;
}

TEST(Background, theStarterEndsWellOnceTheMountIsReady) {
  const int status = start([](Background& background) { background.ready("ready"); });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Background, theStarterEndsWithTheCodeOfTheFailure) {
  const int status = start([](Background& background) { background.failed("no", 7); });
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(Background, theStarterDoesntWaitForOneThatDiedWithoutAWord) {
  const int status = start([](Background&) { raise(SIGKILL); });
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST(Background, aStarterThatHasGoneIsNoticed) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int status = start([&](Background& background) {
    const pid_t parent = getppid();
    kill(parent, SIGKILL);
    while (getppid() == parent) usleep(1'000);
    const char said = background.ready("ready") ? 'y' : 'n';
    (void)!write(ends[1], &said, 1);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  char said = '?';
  EXPECT_EQ(read(ends[0], &said, 1), 1);
  EXPECT_EQ(said, 'n');
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace forebay::cli
