// What the threads of this process have allocated so far, one by one.
#pragma once

#include <cstdint>
#include <pthread.h>

namespace forebay {

#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr bool kCounted = false;  // their own operator new is in the way
#else
constexpr bool kCounted = true;
#endif

std::uint64_t allocationsOf(pthread_t thread);

}  // namespace forebay
