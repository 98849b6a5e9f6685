// For tests of origins over HTTP: one against a server that answers as the test says.
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <utility>

#include "io/http_scripted_server.h"
#include "io/worker_pool.h"
#include "origin/azure.h"
#include "origin/http_origin.h"
#include "origin/s3.h"

namespace forebay::origin::test {

using io::ScriptedReply;
using io::ScriptedRequest;
using io::ScriptedServer;

class StringSink final : public OpenSink {
 public:
  void begins(const ObjectInfo& info, std::uint64_t length) override {
    EXPECT_TRUE(begun.empty()) << "told twice";
    begun = fmt::format("{} of {} bytes of {}", length, info.size, info.version);
  }
  std::string begun;
  MutableBytes room() override { return std::as_writable_bytes(std::span(piece_)); }
  void wrote(std::size_t n) override {
    bytes.append(piece_, n);
    if (on_wrote) on_wrote();
  }
  std::string bytes;
  std::function<void()> on_wrote;

 private:
  char piece_[7];  // odd and small: every answer is split
};

constexpr const char* kEtag = "\"v1\"";

inline std::string partial(std::size_t first, std::size_t last, std::size_t total, std::string etag = kEtag) {
  return fmt::format("Content-Range: bytes {}-{}/{}\r\nETag: {}\r\n", first, last, total, etag);
}

// "bytes=3-9" -> {3, 9}
inline std::pair<std::size_t, std::size_t> rangeOf(const ScriptedRequest& request) {
  std::string text = request.header("range");
  if (text.empty()) text = request.header("x-ms-range");
  std::size_t first = 0, last = 0;
  EXPECT_EQ(sscanf(text.c_str(), "bytes=%zu-%zu", &first, &last), 2) << text;
  return {first, last};
}

class HttpOriginTest : public testing::Test {
 protected:
  HttpOriginTest() : metrics_(registry_, "m") {
    options_.retry.base = 1ms;
    options_.idle_timeout = 200ms;
    loop_.in([&] {
      client_ = std::move(*io::HttpClient::create(loop_.reactor(), {}));
      pool_ = std::make_unique<io::WorkerPool>(loop_.reactor(), 1, 1);
    });
  }
  void TearDown() override {
    loop_.in([&] {
      origin_.reset();
      client_.reset();
      pool_.reset();
    });
  }

  OriginConfig s3Config(const ScriptedServer& server) {
    OriginConfig config;
    config.endpoint = server.url();
    config.s3 = {"AKID", Secret("topsecret"), Secret("sessiontoken"), "a test"};
    return config;
  }
  OriginConfig azureConfig(const ScriptedServer& server) {
    OriginConfig config;
    config.endpoint = server.url();
    config.azure = {Secret("dG9wc2VjcmV0"), {}, "a test"};
    return config;
  }
  // With this fixture's short waits.
  void use(const std::string& text, const OriginConfig& config) {
    const OriginUrl url = *parseUrl(text);
    auto dialect = url.scheme == OriginUrl::Scheme::S3 ? makeS3Dialect(url, config) : makeAzureDialect(url, config);
    ASSERT_TRUE(dialect) << dialect.error().text();
    loop_.in([&] {
      origin_ = std::make_unique<HttpOrigin>(std::move(*dialect), options_, loop_.reactor(), *client_, metrics_,
                                             nullptr, pool_.get());
    });
  }
  void useS3(const ScriptedServer& server) { use("s3://bucket/p", s3Config(server)); }

  Status get(std::uint64_t offset, std::uint64_t length, StringSink& sink, Duration time = 20s,
             std::string version = "v1") {
    io::Awaited<Status> result;
    loop_.in([&] {
      const auto inside = std::make_shared<bool>(true);
      origin_->get("x", version, offset, length, sink, io::Reactor::now() + time, [&, inside](Status s) {
        EXPECT_FALSE(*inside) << "a callback must not run inside its call";
        result.give(std::move(s));
      });
      *inside = false;
    });
    return result.wait();
  }
  Result<ObjectInfo> open(std::uint64_t most, StringSink& sink) {
    io::Awaited<Result<ObjectInfo>> result;
    loop_.in([&] {
      origin_->open("x", most, sink, io::Reactor::now() + 20s,
                    [&](Result<ObjectInfo> info) { result.give(std::move(info)); });
    });
    return result.wait();
  }
  Result<ObjectInfo> head(std::string path = "x", Duration time = 20s) {
    io::Awaited<Result<ObjectInfo>> result;
    loop_.in([&] {
      origin_->head(std::move(path), io::Reactor::now() + time,
                    [&](Result<ObjectInfo> info) { result.give(std::move(info)); });
    });
    return result.wait();
  }
  Result<ListPage> list(std::string prefix = "", std::string next = "", std::uint32_t max = 10,
                        NextPageCallback next_page = {}) {
    io::Awaited<Result<ListPage>> result;
    loop_.in([&] {
      origin_->list(std::move(prefix), std::move(next), max, io::Reactor::now() + 20s, std::move(next_page),
                    [&](Result<ListPage> page) { result.give(std::move(page)); });
    });
    return result.wait();
  }
  Status probe() {
    io::Awaited<Status> result;
    loop_.in([&] { origin_->probe(io::Reactor::now() + 20s, [&](Status s) { result.give(std::move(s)); }); });
    return result.wait();
  }

  Metrics registry_;
  OriginMetrics metrics_;
  HttpOriginOptions options_;
  io::LoopThread loop_;
  std::unique_ptr<io::HttpClient> client_;
  std::unique_ptr<io::WorkerPool> pool_;
  std::unique_ptr<HttpOrigin> origin_;
};

inline const std::string kObject = "0123456789abcdefghijklmnopqrstuvwxyz";

// The first four of `length` bytes from its start.
inline void sendFour(ScriptedReply& reply, std::size_t length) {
  reply.send(fmt::format("HTTP/1.1 206 X\r\nContent-Length: {}\r\n{}\r\n0123", length,
                         partial(0, length - 1, kObject.size())));
}

// Given as much of kObject as was asked.
inline void serve(const ScriptedRequest& request, ScriptedReply& reply) {
  const auto [first, last] = rangeOf(request);
  reply.answer(206, partial(first, last, kObject.size()), kObject.substr(first, last - first + 1));
}

}  // namespace forebay::origin::test
