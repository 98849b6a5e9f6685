// One connection's questions to the helper, answered one by one. helper/server.h says who is let in, and what is
// bounded.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "base/log_limit.h"
#include "io/descriptor.h"
#include "io/helper/channel.h"
#include "io/helper/memory_account.h"
#include "io/helper/protocol.h"

namespace forebay::io::helper {

struct Client {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

class Service {
 public:
  struct Limits {
    unsigned max_mounts = 0, max_backings = 0;
  };
  // `refusals`: how many of them are logged.
  Service(const Client& client, const Limits& limits, MemoryAccount& account, LogLimit& refusals)
      : client_(client), limits_(limits), account_(account), refusals_(refusals) {}

  struct Done {
    Reply reply;
    std::vector<Descriptor> descriptors;  // to be sent with it
  };
  Done answer(const Received& received);

 private:
  Result<Done> handle(const Request& request, const std::vector<Descriptor>& with, int& error);
  Result<Done> memoryDirectory(const Request& request);
  Result<Done> mountFuse(const Request& request, int mount_point) const;
  Result<Done> unmountFuse(const Request& request, int parent) const;
  Result<Done> openBacking(int device, int file, int& error);
  Result<Done> closeBacking(const Request& request, int device, int& error);

  const Client client_;
  const Limits limits_;
  MemoryAccount& account_;
  LogLimit& refusals_;
  unsigned backings_ = 0;
};

}  // namespace forebay::io::helper
