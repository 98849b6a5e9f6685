#include "frontend/admin/http_request.h"

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace forebay::admin {

namespace http = boost::beast::http;

class HttpRequest::Parser : public http::request_parser<http::empty_body> {};

HttpRequest::HttpRequest() : parser_(std::make_unique<Parser>()) {
  parser_->header_limit(kMaxHead);
  parser_->body_limit(0);
}
HttpRequest::~HttpRequest() = default;

HttpRequest::State HttpRequest::refuse(unsigned status) {
  refusal_ = status;
  return state_ = State::Refused;
}

HttpRequest::State HttpRequest::feed(std::string_view bytes) {
  if (state_ != State::More) return state_;
  seen_ += bytes.size();
  if (seen_ > kMaxHead) return refuse(431);
  head_ += bytes;
  boost::beast::error_code error;
  // It takes whole pieces of the head; what it leaves has to be offered again, with more behind it.
  const std::size_t taken = parser_->put(boost::asio::const_buffer(head_.data(), head_.size()), error);
  head_.erase(0, taken);
  if (error == http::error::need_more) return State::More;
  if (error == http::error::body_limit || error == http::error::unexpected_body) return refuse(413);
  if (error == http::error::header_limit) return refuse(431);
  if (error) return refuse(400);
  if (!parser_->is_header_done()) return State::More;
  if (!parser_->is_done()) return refuse(413);  // a body is announced
  method_ = parser_->get().method_string();
  const std::string_view target = parser_->get().target();
  path_ = target.substr(0, target.find('?'));
  return state_ = State::Complete;
}

}  // namespace forebay::admin
