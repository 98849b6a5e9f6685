// One end of a connection between a node or a mount and the helper: whole messages with descriptors, both ways, over a
// non-blocking SOCK_SEQPACKET socket (message borders are the kernel's, so nothing is ever half there).
//
// Threading: one thread at a time for each connection.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "io/descriptor.h"
#include "io/helper/protocol.h"

namespace forebay::io::helper {

struct Received {
  Message message;
  std::vector<Descriptor> descriptors;  // kMaxDescriptors at most
};

// Gone: the other end has left. DeadlineExceeded: nothing came in time. Corrupt: more than a message may hold; what
// came is thrown away.
Result<Received> receive(int socket, Duration patience);
// Never waits: one message at a time is under way, so a socket that has no room is one that nobody reads from.
Status send(int socket, const Message& message, std::span<const int> descriptors = {});

// A question's way there and back, for clients.
struct Answer {
  Reply reply;  // with code Ok
  std::vector<Descriptor> descriptors;
};
// What the helper refused is its Error, with the errno in `refused_with` where it named one. Unavailable,
// DeadlineExceeded, Corrupt, Gone: the connection is of no use any more.
Result<Answer> ask(int socket, const Request& request, std::span<const int> descriptors, Duration patience,
                   int* refused_with = nullptr);

// A connection to a helper that is root's (or this user's own): whoever else listens there is refused. NotFound: there
// is no such socket. Unavailable: nobody listens.
Result<Descriptor> connectTo(const std::string& path);

}  // namespace forebay::io::helper
