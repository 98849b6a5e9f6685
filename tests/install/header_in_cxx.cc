// The C header as C++17 takes it: a missing object is NotFound, also through a callback, and a cancelled read ends.
#include <cstdio>
#include <forebay/forebay.h>
#include <future>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  forebay_error error{};
  error.size = sizeof error;
  forebay_client* client = nullptr;
  if (forebay_connect(nullptr, &client, &error) != FOREBAY_OK) return std::fprintf(stderr, "%s\n", error.message), 1;
  forebay_object* object = nullptr;
  const forebay_code waited = forebay_open(client, argv[1], 0, &object, nullptr, &error);
  std::promise<forebay_code> told;
  forebay_call call{};
  call.size = sizeof call;
  call.user = &told;
  call.callback = [](const forebay_completion* completion) {
    static_cast<std::promise<forebay_code>*>(completion->user)->set_value(completion->code);
  };
  forebay_code called = forebay_open(client, argv[1], 0, &object, &call, &error);
  if (called == FOREBAY_OK) called = told.get_future().get();
  forebay_disconnect(client);
  std::printf("%s %s\n", forebay_code_name(waited), forebay_code_name(called));
  return 0;
}
