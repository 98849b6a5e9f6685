// What the bench's readers that are attached to a node begin and end with.
#pragma once

#include <forebay/forebay.h>
#include <string>

#include "limits/measure.h"

namespace forebay::bench {

inline forebay_error noError() {
  forebay_error error = {};
  error.size = sizeof error;
  return error;
}

// A client of the node at `unix:SOCKET`; the program ends where there is none.
class Attached {
 public:
  explicit Attached(const std::string& node) {
    forebay_error error = noError();
    forebay_options options = {};
    options.size = sizeof options;
    options.node = node.c_str();
    if (forebay_connect(&options, &client_, &error) != FOREBAY_OK) die(error.message);
  }
  ~Attached() { forebay_disconnect(client_); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  operator forebay_client*() const { return client_; }  // NOLINT(google-explicit-constructor): it is one

 private:
  forebay_client* client_ = nullptr;
};

}  // namespace forebay::bench
