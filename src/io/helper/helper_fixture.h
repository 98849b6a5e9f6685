// A helper in this process, and threads that are other users: the kernel's word at connect is of the thread.
#pragma once

#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "io/helper/server.h"

namespace forebay::io::helper {

constexpr uid_t kUser = 61'234, kOther = 61'235, kStranger = 61'236;

// Runs it as a user without any capability. The system call itself, because the library's changes all threads.
inline void as(uid_t user, const std::function<void()>& run) {
  std::thread([&] {
    ASSERT_EQ(::syscall(SYS_setresgid, -1, user, -1), 0);
    ASSERT_EQ(::syscall(SYS_setresuid, -1, user, -1), 0);
    run();
  }).join();
}

inline void eventually(const std::function<bool()>& condition, const char* what) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << what;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

class HelperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "a helper is root's";
    std::string made = (std::filesystem::temp_directory_path() / "forebay-helper-XXXXXX").string();
    ASSERT_NE(::mkdtemp(made.data()), nullptr);
    directory_ = made;
    ASSERT_EQ(::chmod(made.c_str(), 0755), 0);
    options_ = {.socket = made + "/helper.sock", .allowed = {kUser, kOther}, .max_memory_bytes = 16 * kMiB};
    start();
  }
  // What a test that failed left mounted, too.
  void TearDown() override {
    end();
    if (directory_.empty()) return;
    for (const auto& entry : std::filesystem::directory_iterator(directory_))
      (void)::umount2(entry.path().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }

  void start() {
    auto server = Server::start(options_);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    serving_ = std::thread([this] { server_->run(); });
  }
  void end() {
    if (server_ == nullptr) return;
    server_->stop();
    serving_.join();
    server_.reset();
  }
  const std::string& socket() const { return options_.socket; }
  // A directory that belongs to a user.
  std::string directoryOf(uid_t user, const std::string& name) {
    const std::string path = directory_ / name;
    EXPECT_TRUE(std::filesystem::create_directory(path));
    EXPECT_EQ(::chown(path.c_str(), user, user), 0);
    EXPECT_EQ(::chmod(path.c_str(), 0700), 0);
    return path;
  }

  ServerOptions options_;
  std::filesystem::path directory_;
  std::unique_ptr<Server> server_;
  std::thread serving_;
};

}  // namespace forebay::io::helper
