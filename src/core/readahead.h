// What the readers of an object will want next, and how much of a chunk is worth fetching for them. One table for all
// objects that the clients of a node (or a client without one) read.
//
// An object's readers are told apart by where they read: each is a stream, recognised by its reads alone, because
// processes, threads and the kernel's own readahead come through one mount in any order.
//
//   sequential   reads that touch, or skip less than a run or their own length; out of order within eight times their
//                length. Three of them (or two of 512 KiB together) that touch most runs are a scan
//   reversed     the same towards the object's start
//   strided      three reads of one length at equal distances; only the runs of the next ones are said, never whole
//   chunks random       everything else: nothing is said
//
// What to bring in ahead is said as runs, each once. A stream's window begins at twice what it has read, and is four
// times as long each time that half of what was said has been read: a record of a few reads costs little, and a scan
// has whole chunks within its first few MiB. A stream that ends (others begin, and it isn't read any more) with much
// said for nothing halves the windows of all streams of that object; one that reads eight windows doubles them again.
//
// Bounds: objects, streams of an object and streams in all; the least recently used leave, lone reads before streams.
// Cost: O(streams of the object) for a read that goes on, its square for one that doesn't (32² comparisons). No
// allocation for a read that goes on. Pure; one thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <vector>

#include "core/runs.h"

namespace forebay::core {

struct ReadaheadLimits {
  std::size_t max_objects = 4096;
  std::size_t max_streams = 32;          // of an object: a machine's GPUs and their loaders
  std::size_t max_all_streams = 16384;   // of 80 bytes each
  std::uint64_t max_window = 32 * kMiB;  // 4 chunks: what 1 GB/s takes while the origin answers the next (30 ms)
  std::uint64_t min_window = kRun;
  std::uint32_t scan_reads = 3;           // that go on make a scan,
  std::uint64_t scan_bytes = 512 * kKiB;  // or two of so many bytes together
  std::uint32_t max_strides = 16;         // reads of a strided stream that are said ahead
};

struct RunsAhead {
  std::uint32_t chunk = 0;
  RunRange runs;
  auto operator<=>(const RunsAhead&) const = default;
};

class Readahead {
 public:
  explicit Readahead(ReadaheadLimits limits) : limits_(limits) {}

  // A read of [offset, offset + length), inside the object and not empty. Adds to `ahead` what to bring in now.
  // True: a scan that has come far enough for the rest of the chunk to be worth fetching.
  bool read(const Plan& plan, std::uint64_t offset, std::uint64_t length, std::vector<RunsAhead>& ahead);

  std::size_t objects() const { return objects_.size(); }
  std::size_t streams() const { return all_streams_; }

 private:
  enum class Kind : std::uint8_t { Lone, Sequential, Reversed, Strided };
  struct Stream {
    Kind kind = Kind::Lone;
    bool ended = false;       // so it seemed, and the object's windows have learnt from it
    std::int32_t turns = 0;   // reads that went forwards less those that went backwards
    std::uint32_t reads = 0;  // that brought something new
    std::uint64_t begin = 0;  // [begin, end): what it read, holes included. Strided: the furthest read
    std::uint64_t end = 0;
    std::uint64_t covered = 0;  // bytes read of that
    std::int64_t stride = 0;    // between the starts of two reads
    std::uint64_t told = 0;     // border of what was said ahead, in its direction
    std::uint64_t window = 0;
    std::uint64_t used = 0;  // the object's clock
  };
  struct Object {
    std::vector<Stream> streams;
    std::uint64_t clock = 0;       // reads
    std::uint64_t window_cap = 0;  // learnt from waste
    std::list<ObjectKey>::iterator used;
  };
  struct Reading {
    const Plan& plan;
    std::uint64_t offset, end;
    std::uint64_t length() const { return end - offset; }
  };

  Object& find(const ObjectKey& key);
  void forgetObject();
  Stream& match(Object& object, const Reading& read);
  static Stream* goingOn(Object& object, const Reading& read);
  static Stream* nearest(Object& object, const Reading& read);
  static std::int64_t equallyFar(const Object& object, const Reading& read);
  static void turn(Stream& stream);
  static bool samePlace(const Stream& grown, const Stream& other, std::uint64_t late);
  Stream& join(Object& object, Stream& grown, std::uint64_t late);
  void learn(Object& object) const;
  Stream& begin(Object& object, const Reading& read);
  void retire(Object& object, Stream& stream) const;
  static void extend(Stream& stream, const Reading& read);
  bool decide(Stream& stream) const;
  bool sayForwards(Object& object, Stream& stream, const Reading& read, std::vector<RunsAhead>& ahead) const;
  void sayBackwards(Object& object, Stream& stream, const Reading& read, std::vector<RunsAhead>& ahead) const;
  void sayStrides(Object& object, Stream& stream, const Reading& read, std::vector<RunsAhead>& ahead) const;
  void grow(Object& object, Stream& stream) const;

  ReadaheadLimits limits_;
  std::map<ObjectKey, Object> objects_;
  std::list<ObjectKey> used_;
  std::size_t all_streams_ = 0;
};

}  // namespace forebay::core
