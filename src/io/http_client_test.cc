#include "io/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/http_scripted_server.h"

namespace forebay::io {
namespace {

// Streams what it is asked to, and keeps everything.
class Recorder final : public HttpReceiver {
 public:
  explicit Recorder(Body what = Body::Collect) : what_(what) {}
  Body head(const HttpResponse&) override { return what_; }
  bool body(Bytes bytes) override {
    streamed += textOf(bytes);
    if (on_body) on_body();
    return go_on;
  }
  void done(HttpResult r) override { result.give(std::move(r)); }

  std::string streamed;
  bool go_on = true;
  std::function<void()> on_body;
  Awaited<HttpResult> result;

 private:
  Body what_;
};

class HttpClientTest : public testing::Test {
 protected:
  void SetUp() override { make({}); }
  void TearDown() override {
    loop_.in([&] { client_.reset(); });
  }
  void make(HttpClientOptions options) {
    loop_.in([&] { client_ = std::move(*HttpClient::create(loop_.reactor(), std::move(options))); });
  }
  Result<HttpId> start(HttpRequest request, HttpReceiver& receiver) {
    Result<HttpId> id;
    loop_.in([&] { id = client_->start(std::move(request), receiver); });
    return id;
  }
  HttpResult fetch(std::string url) {
    Recorder recorder;
    EXPECT_TRUE(start({.url = std::move(url)}, recorder));
    return recorder.result.wait();
  }

  LoopThread loop_;
  std::unique_ptr<HttpClient> client_;
};

void sayHi(const ScriptedRequest& request, ScriptedReply& reply) {
  reply.answer(200, "X-Name: v\r\n", "hi", request.method == "HEAD");
}

TEST_F(HttpClientTest, collectsAnAnswerWithItsHeaders) {
  ScriptedServer server(sayHi);
  const HttpResult result = fetch(server.url() + "/x");
  ASSERT_TRUE(result.ok()) << result.why;
  EXPECT_EQ(result.response.status, 200);
  EXPECT_EQ(result.response.body, "hi");
  EXPECT_EQ(result.response.headers.get("x-name"), "v");
  EXPECT_EQ(result.response.headers.get("absent"), "");
}

TEST_F(HttpClientTest, sendsPathsAsTheyStand) {
  ScriptedServer server(sayHi);
  ASSERT_TRUE(fetch(server.url() + "/a/../b/./c//d%2F%20e/").ok());
  EXPECT_EQ(server.requests().at(0).target, "/a/../b/./c//d%2F%20e/");
}

TEST_F(HttpClientTest, headHasNoBodyToWaitFor) {
  ScriptedServer server(sayHi);
  Recorder recorder;
  ASSERT_TRUE(start({.method = HttpMethod::Head, .url = server.url() + "/"}, recorder));
  const HttpResult result = recorder.result.wait();
  ASSERT_TRUE(result.ok()) << result.why;
  EXPECT_EQ(result.response.headers.get("Content-Length"), "2");
}

TEST_F(HttpClientTest, reusesItsConnection) {
  ScriptedServer server(sayHi);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(fetch(server.url() + "/").ok());
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(server.requests().size(), 5U);
}

TEST_F(HttpClientTest, repeatsARequestWhosePooledConnectionHadDied) {
  // Given a server that ends a connection exactly when its second request comes, as if it had been idle too long
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.on_connection > 0) return reply.reset();
    sayHi(request, reply);
  });
  ASSERT_TRUE(fetch(server.url() + "/1").ok());
  // When the next request meets it, then nobody notices
  const HttpResult second = fetch(server.url() + "/2");
  EXPECT_TRUE(second.ok()) << second.why;
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(HttpClientTest, streamsABodyInOrder) {
  std::string large(3'000'000, 'a');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i % 23);
  ScriptedServer server([&](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(206, "", large); });
  Recorder recorder(HttpReceiver::Body::Stream);
  ASSERT_TRUE(start({.url = server.url() + "/", .receive_buffer = kMaxReceiveBuffer}, recorder));
  ASSERT_TRUE(recorder.result.wait().ok());
  EXPECT_TRUE(recorder.streamed == large);
}

TEST_F(HttpClientTest, endsWhenTheReceiverRefuses) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.send("HTTP/1.1 200 X\r\nContent-Length: 1000000000\r\n\r\nxxxxxx");
    reply.hang();
  });
  Recorder refusing(HttpReceiver::Body::Refuse);
  ASSERT_TRUE(start({.url = server.url() + "/"}, refusing));
  EXPECT_EQ(refusing.result.wait().failure, HttpFailure::Refused);
  Recorder stopping(HttpReceiver::Body::Stream);
  stopping.go_on = false;
  ASSERT_TRUE(start({.url = server.url() + "/"}, stopping));
  EXPECT_EQ(stopping.result.wait().failure, HttpFailure::Refused);
}

TEST_F(HttpClientTest, boundsWhatItCollects) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.target == "/body") return void(reply.answer(200, "", std::string(2000, 'x')));
    reply.send("HTTP/1.1 200 X\r\n");
    for (int i = 0; i < 2000 && reply.send(fmt::format("X-{}: {}\r\n", i, std::string(100, 'h'))); ++i) {
    }
    reply.cut();
  });
  Recorder body;
  ASSERT_TRUE(start({.url = server.url() + "/body", .max_body = 1000}, body));
  EXPECT_EQ(body.result.wait().failure, HttpFailure::TooLarge);
  EXPECT_EQ(fetch(server.url() + "/headers").failure, HttpFailure::TooLarge);
}

TEST_F(HttpClientTest, tellsACutBodyFromAWholeOne) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.send("HTTP/1.1 206 X\r\nContent-Length: 10\r\n\r\nabc");
    reply.cut();
  });
  Recorder recorder(HttpReceiver::Body::Stream);
  ASSERT_TRUE(start({.url = server.url() + "/"}, recorder));
  const HttpResult result = recorder.result.wait();
  EXPECT_EQ(result.failure, HttpFailure::Cut);
  EXPECT_EQ(result.response.status, 206);
  EXPECT_EQ(recorder.streamed, "abc");
}

TEST_F(HttpClientTest, neverDeliversMoreThanWasPromised) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.send("HTTP/1.1 206 X\r\nContent-Length: 3\r\n\r\nabcdef");
    reply.hang();
  });
  Recorder recorder(HttpReceiver::Body::Stream);
  ASSERT_TRUE(start({.url = server.url() + "/"}, recorder));
  EXPECT_TRUE(recorder.result.wait().ok());
  EXPECT_EQ(recorder.streamed, "abc");
}

TEST_F(HttpClientTest, givesUpOnSilence) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.target == "/midway") reply.send("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc");
    reply.hang();
  });
  for (const char* path : {"/before", "/midway"}) {
    Recorder recorder;
    ASSERT_TRUE(start({.url = server.url() + path, .idle_timeout = 50ms}, recorder));
    EXPECT_EQ(recorder.result.wait().failure, HttpFailure::Idle) << path;
  }
}

TEST_F(HttpClientTest, endsAtTheDeadlineAlthoughBytesTrickle) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.send("HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n");
    while (!reply.stopping() && reply.send("x")) std::this_thread::sleep_for(5ms);
  });
  Recorder recorder;
  ASSERT_TRUE(start({.url = server.url() + "/", .deadline = Reactor::now() + 150ms}, recorder));
  EXPECT_EQ(recorder.result.wait().failure, HttpFailure::Deadline);
}

TEST_F(HttpClientTest, namesWhatIsWrongWithTheServer) {
  int dead_port = 0;
  {
    ScriptedServer gone(sayHi);
    dead_port = gone.port();
  }
  EXPECT_EQ(fetch(fmt::format("http://127.0.0.1:{}/", dead_port)).failure, HttpFailure::Connect);
  EXPECT_EQ(fetch("http://no-such-host.invalid/").failure, HttpFailure::Resolve);
  ScriptedServer rude([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.send("SSH-2.0-something\r\n\r\n");
    reply.cut();
  });
  EXPECT_FALSE(fetch(rude.url() + "/").ok());
}

TEST_F(HttpClientTest, neverFollowsARedirect) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.answer(302, "Location: http://127.0.0.1:1/elsewhere\r\n", "");
  });
  const HttpResult result = fetch(server.url() + "/");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.response.status, 302);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(HttpClientTest, refusesWhatWouldNotGoOutAsItStands) {
  Recorder recorder;
  for (const char* url : {"ftp://x/", "x", "http://h/a b", "http://h/\n", "http://h/\xc3\xa9"})
    EXPECT_EQ(start({.url = url}, recorder).error().code, Code::InvalidArgument) << url;
  EXPECT_EQ(start({.url = "http://127.0.0.1/", .headers = {"If-Match: \"x\"\r\nX-Evil: 1"}}, recorder).error().code,
            Code::InvalidArgument);
}

TEST_F(HttpClientTest, isBusyAtItsBound) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.hang(); });
  make({.max_requests = 2});
  Recorder a, b, c;
  ASSERT_TRUE(start({.url = server.url() + "/"}, a));
  ASSERT_TRUE(start({.url = server.url() + "/"}, b));
  EXPECT_EQ(start({.url = server.url() + "/"}, c).error().code, Code::Busy);
  loop_.in([&] { client_.reset(); });  // before the receivers, which would hear that the server went away
}

TEST_F(HttpClientTest, aCancelledRequestIsNeverHeardAgain) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.send("HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nabc");
    reply.hang();
  });
  // From inside its own body() ...
  auto recorder = std::make_unique<Recorder>(HttpReceiver::Body::Stream);
  Awaited<bool> cancelled;
  HttpId id = 0;
  recorder->on_body = [&] {
    client_->cancel(id);
    cancelled.give(true);
  };
  loop_.in([&] { id = *client_->start({.url = server.url() + "/"}, *recorder); });
  cancelled.wait();
  loop_.in([&] { EXPECT_EQ(client_->inFlight(), 0U); });
  EXPECT_FALSE(recorder->result.there());
  // ... and from outside, with the receiver gone right after
  loop_.in([&] {
    auto other = std::make_unique<Recorder>();
    client_->cancel(*client_->start({.url = server.url() + "/"}, *other));
    other.reset();
    EXPECT_EQ(client_->inFlight(), 0U);
  });
}

TEST_F(HttpClientTest, goesThroughAProxyUnlessNoProxySaysOtherwise) {
  ScriptedServer proxy([](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(200, "", "by proxy"); });
  Recorder recorder;
  ASSERT_TRUE(start({.url = "http://origin.example/x", .proxy = proxy.url()}, recorder));
  EXPECT_EQ(recorder.result.wait().response.body, "by proxy");
  EXPECT_EQ(proxy.requests().at(0).target, "http://origin.example/x");

  Recorder tunnel;
  ScriptedServer refusing([](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(407, "", ""); });
  ASSERT_TRUE(start({.url = "https://origin.example/x", .proxy = refusing.url()}, tunnel));
  EXPECT_EQ(tunnel.result.wait().failure, HttpFailure::Proxy);

  ScriptedServer direct(sayHi);
  setenv("no_proxy", "127.0.0.1", 1);
  Recorder around;
  ASSERT_TRUE(start({.url = direct.url() + "/", .proxy = proxy.url()}, around));
  EXPECT_EQ(around.result.wait().response.body, "hi");
  unsetenv("no_proxy");
}

TEST_F(HttpClientTest, manyRequestsAtOnceEachGetTheirOwnAnswer) {
  ScriptedServer server(
      [](const ScriptedRequest& request, ScriptedReply& reply) { reply.answer(200, "", request.target); });
  std::vector<std::unique_ptr<Recorder>> recorders;
  loop_.in([&] {
    for (int i = 0; i < 100; ++i) {
      recorders.push_back(std::make_unique<Recorder>());
      ASSERT_TRUE(client_->start({.url = fmt::format("{}/{}", server.url(), i)}, *recorders.back()));
    }
  });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(recorders[i]->result.wait().response.body, fmt::format("/{}", i));
}

}  // namespace
}  // namespace forebay::io
