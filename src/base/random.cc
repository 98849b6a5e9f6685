#include "base/random.h"

#include <openssl/rand.h>

namespace forebay {

std::uint64_t systemRandom() {
  std::uint64_t value = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof value);
  return value;
}

}  // namespace forebay
