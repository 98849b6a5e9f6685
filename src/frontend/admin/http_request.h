// The head of one HTTP/1.x request, from bytes as they arrive. Requests with a body are refused: nothing here takes
// one.
//
// Bounds: kMaxHead bytes. Any bytes may come: the worst they get is Refused. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace forebay::admin {

class HttpRequest {
 public:
  static constexpr std::size_t kMaxHead = 8 * 1024;
  enum class State { More, Complete, Refused };

  HttpRequest();
  ~HttpRequest();
  HttpRequest(const HttpRequest&) = delete;
  HttpRequest& operator=(const HttpRequest&) = delete;

  // Takes the next bytes. After Complete or Refused it stays so, and further bytes are ignored.
  State feed(std::string_view bytes);

  // Of a complete request:
  std::string_view method() const { return method_; }  // "GET"
  std::string_view path() const { return path_; }      // without the query
  // Of a refused one: the answer that it gets (400, 413, 431).
  unsigned refusal() const { return refusal_; }

 private:
  class Parser;
  State refuse(unsigned status);
  std::unique_ptr<Parser> parser_;
  std::string head_;  // what the parser hasn't taken yet
  std::size_t seen_ = 0;
  State state_ = State::More;
  std::string method_, path_;
  unsigned refusal_ = 0;
};

}  // namespace forebay::admin
