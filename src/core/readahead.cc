#include "core/readahead.h"

namespace forebay::core {
namespace {

constexpr std::uint64_t kMostNear = 2 * kMiB;
constexpr std::uint64_t kMostLate = 4 * kMiB;  // the kernel has about a dozen requests on their way, in any order
constexpr std::uint64_t kForgotten = 1024;     // reads of the object since a stream's last one
constexpr std::uint64_t kIdle = 16;            // likewise: it may have ended
constexpr std::uint64_t kTrust = 8;            // windows that a stream reads before the object's may be longer
constexpr std::int64_t kStridesOff = 4;        // a strided read may come so many places early or late

// A reader that skips less than a run touches every run.
std::uint64_t nearOf(std::uint64_t length) {
  return std::clamp<std::uint64_t>(length, kRun, kMostNear);
}
std::uint64_t lateOf(std::uint64_t length) {
  return std::clamp<std::uint64_t>(8 * length, kRun, kMostLate);
}
std::uint64_t less(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : 0;
}
std::uint64_t apart(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : b - a;
}
std::int64_t from(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::int64_t>(b) - static_cast<std::int64_t>(a);
}

// [begin, end) of the object as runs of its chunks, onto `ahead`; what the last entry has already isn't said again.
void say(const Plan& plan, std::uint64_t begin, std::uint64_t end, std::vector<RunsAhead>& ahead) {
  end = std::min(end, plan.size);
  while (begin < end) {
    const auto chunk = static_cast<std::uint32_t>(begin >> plan.chunk_bits);
    const std::uint64_t start = std::uint64_t{chunk} << plan.chunk_bits;
    const std::uint64_t stop = std::min(end, start + plan.chunkSize());
    RunRange runs = runsOf(static_cast<std::uint32_t>(begin - start), static_cast<std::uint32_t>(stop - begin));
    begin = stop;
    if (!ahead.empty() && ahead.back().chunk == chunk && ahead.back().runs.end >= runs.first &&
        ahead.back().runs.first <= runs.first) {
      ahead.back().runs.end = std::max(ahead.back().runs.end, runs.end);
      continue;
    }
    ahead.push_back({chunk, runs});
  }
}

}  // namespace

bool Readahead::read(const Plan& plan, std::uint64_t offset, std::uint64_t length, std::vector<RunsAhead>& ahead) {
  if (length == 0 || offset >= plan.size || plan.size <= kRun) return false;  // one run: nothing to decide
  const Reading read{plan, offset, offset + std::min(length, plan.size - offset)};
  Object& object = find(plan.key);
  ++object.clock;
  Stream& stream = match(object, read);
  stream.used = object.clock;
  switch (stream.kind) {
    case Kind::Lone:
      return false;
    case Kind::Sequential:
      return sayForwards(object, stream, read, ahead);
    case Kind::Reversed:
      sayBackwards(object, stream, read, ahead);
      return false;
    case Kind::Strided:
      sayStrides(object, stream, read, ahead);
      return false;
  }
  return false;
}

// The stream that the read belongs to, extended by it. Nearness goes first: among reads that come out of order some
// are equally far from each other.
Readahead::Stream& Readahead::match(Object& object, const Reading& read) {
  if (Stream* near = nearest(object, read)) {
    extend(*near, read);
    if (near->kind == Kind::Reversed && near->turns >= 0) turn(*near);
    Stream& joined = join(object, *near, lateOf(read.length()));
    if (decide(joined)) learn(object);
    return joined;
  }
  if (Stream* strided = goingOn(object, read)) {
    extend(*strided, read);
    return *strided;
  }
  const std::int64_t stride = equallyFar(object, read);
  // The lone read stays too: readers that go on from places at equal distances look like a stride at first.
  Stream& lone = begin(object, read);
  if (stride == 0) return lone;
  lone.used = object.clock;
  Stream& strided = begin(object, read);
  strided.kind = Kind::Strided;
  strided.stride = stride;
  strided.told = read.offset;
  return strided;
}

// A strided stream whose next read this is, or nearly.
Readahead::Stream* Readahead::goingOn(Object& object, const Reading& read) {
  for (Stream& stream : object.streams) {
    if (stream.kind != Kind::Strided || read.length() > 2 * (stream.end - stream.begin)) continue;
    const std::int64_t distance = from(stream.begin, read.offset);
    if (distance % stream.stride != 0) continue;
    const std::int64_t steps = distance / stream.stride;
    if (-kStridesOff <= steps && steps <= kStridesOff) return &stream;
  }
  return nullptr;
}

// The stream whose border in its direction is nearest to the read, if it is near at all.
Readahead::Stream* Readahead::nearest(Object& object, const Reading& read) {
  const std::uint64_t near = nearOf(read.length()), late = lateOf(read.length());
  Stream* best = nullptr;
  std::uint64_t best_distance = 0;
  for (Stream& stream : object.streams) {
    if (stream.kind == Kind::Strided) continue;
    const std::uint64_t early = stream.kind == Kind::Lone ? near : std::max(near, late);
    const bool after =
        read.offset <= stream.end + early && read.offset + std::min(late, stream.end - stream.begin) >= stream.end;
    const bool before = stream.kind != Kind::Sequential && read.end + early >= stream.begin &&
                        read.end <= stream.begin + std::min(late, stream.end - stream.begin);
    if (!after && !before) continue;
    const std::uint64_t distance = std::min(after ? apart(read.offset, stream.end) : UINT64_MAX,
                                            before ? apart(read.end, stream.begin) : UINT64_MAX);
    if (best != nullptr && distance >= best_distance) continue;
    best = &stream;
    best_distance = distance;
  }
  return best;
}

void Readahead::extend(Stream& stream, const Reading& read) {
  if (stream.kind == Kind::Strided) {
    if (from(stream.begin, read.offset) / stream.stride <= 0) return;  // late: the furthest stays
    stream.begin = read.offset;
    stream.end = read.end;
    ++stream.reads;
    return;
  }
  const std::uint64_t extent = std::max(stream.end, read.end) - std::min(stream.begin, read.offset);
  const std::uint64_t covered = std::min(stream.covered + read.length(), extent);
  if (covered > stream.covered) ++stream.reads;
  stream.covered = covered;
  if (read.end > stream.end) ++stream.turns;
  if (read.offset < stream.begin) --stream.turns;
  stream.end = std::max(stream.end, read.end);
  stream.begin = std::min(stream.begin, read.offset);
}

// What kind a stream of reads that touch is: known once they are many enough and leave few holes.
bool Readahead::decide(Stream& stream) const {
  if (stream.kind != Kind::Lone) return false;
  const bool enough = stream.reads >= limits_.scan_reads || (stream.reads >= 2 && stream.covered >= limits_.scan_bytes);
  const std::uint64_t extent = stream.end - stream.begin;
  if (!enough || (stream.covered * 2 < extent && stream.reads * std::uint64_t{kRun} < extent)) return false;
  if (stream.turns <= -2 || (stream.turns < 0 && stream.reads < limits_.scan_reads))
    stream.kind = Kind::Reversed;
  else
    stream.kind = Kind::Sequential;
  stream.told = stream.kind == Kind::Reversed ? stream.begin : stream.end;
  return true;
}

// Its first reads came out of order and seemed to go backwards.
void Readahead::turn(Stream& stream) {
  stream.kind = Kind::Sequential;
  stream.told = stream.end;
  stream.window = 0;
}

bool Readahead::samePlace(const Stream& grown, const Stream& other, std::uint64_t late) {
  if (other.kind == Kind::Lone) return other.begin <= grown.end + kRun && grown.begin <= other.end + kRun;
  return other.kind == Kind::Sequential && grown.kind == Kind::Sequential && apart(other.end, grown.end) <= late;
}

// Reads that came out of order began streams of their own, and readers may meet: what is at the same place is one.
Readahead::Stream& Readahead::join(Object& object, Stream& grown, std::uint64_t late) {
  const Stream as_it_was = grown;
  const auto at = static_cast<std::size_t>(&grown - object.streams.data());
  Stream joined = grown;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < object.streams.size(); ++i) {
    const Stream other = object.streams[i];
    if (i == at) continue;
    if (!samePlace(as_it_was, other, late)) {
      object.streams[kept++] = other;
      continue;
    }
    joined.turns += other.turns + (other.begin < joined.begin ? 1 : 0);
    joined.reads += other.reads;
    joined.begin = std::min(joined.begin, other.begin);
    joined.end = std::max(joined.end, other.end);
    joined.covered = std::min(joined.covered + other.covered, joined.end - joined.begin);
    joined.window = std::max(joined.window, other.window);
    if (joined.kind == Kind::Sequential) joined.told = std::max(joined.told, other.told);
  }
  object.streams[kept++] = joined;
  all_streams_ -= object.streams.size() - kept;
  object.streams.resize(kept);
  return object.streams.back();
}

// The distance, if two lone reads of this one's length came before it, each as far from the next; otherwise 0.
std::int64_t Readahead::equallyFar(const Object& object, const Reading& read) {
  const auto lone = [&](const Stream& s) {
    return s.kind == Kind::Lone && s.reads == 1 && s.end - s.begin == read.length();
  };
  for (const Stream& last : object.streams) {
    if (!lone(last)) continue;
    const std::int64_t stride = from(last.begin, read.offset);
    for (const Stream& first : object.streams)
      if (lone(first) && first.used < last.used && from(first.begin, last.begin) == stride) return stride;
  }
  return 0;
}

Readahead::Stream& Readahead::begin(Object& object, const Reading& read) {
  Stream fresh;
  fresh.begin = read.offset;
  fresh.end = read.end;
  fresh.covered = read.length();
  fresh.reads = 1;
  // Lone reads are many where reads are random: they must not push the streams out.
  Stream* leaves = nullptr;
  for (Stream& stream : object.streams) {
    const bool lone = stream.kind == Kind::Lone;
    const bool forgotten = object.clock - stream.used > kForgotten;
    if (!lone && !forgotten) continue;
    if (leaves == nullptr || stream.used < leaves->used) leaves = &stream;
  }
  const bool full = object.streams.size() >= limits_.max_streams || all_streams_ >= limits_.max_all_streams;
  if (!full) {
    ++all_streams_;
    return object.streams.emplace_back(fresh);
  }
  if (leaves == nullptr) leaves = &*std::ranges::min_element(object.streams, {}, &Stream::used);
  retire(object, *leaves);
  *leaves = fresh;
  return *leaves;
}

// A stream has ended, or seems to. If much was said for nothing, the object's later windows are shorter.
void Readahead::retire(Object& object, Stream& stream) const {
  const std::uint64_t unread = stream.kind == Kind::Sequential ? less(stream.told, stream.end)
                               : stream.kind == Kind::Reversed ? less(stream.begin, stream.told)
                                                               : 0;
  if (stream.ended || unread * kTrust <= stream.covered) return;
  stream.ended = true;
  object.window_cap = std::max(object.window_cap / 2, limits_.min_window);
}

// When a stream begins, others may have ended.
void Readahead::learn(Object& object) const {
  for (Stream& stream : object.streams)
    if (object.clock - stream.used > kIdle) retire(object, stream);
}

// Half of what was said has been read, or nothing was said yet: the next window.
void Readahead::grow(Object& object, Stream& stream) const {
  if (stream.covered >= kTrust * object.window_cap)
    object.window_cap = std::min(2 * object.window_cap, limits_.max_window);
  stream.window = stream.window == 0 ? std::max(2 * stream.covered, limits_.min_window) : 4 * stream.window;
  stream.window = std::min(stream.window, object.window_cap);
}

bool Readahead::sayForwards(Object& object, Stream& stream, const Reading& read, std::vector<RunsAhead>& ahead) const {
  const std::uint64_t chunk = read.plan.chunkSize();
  stream.told = std::max(stream.told, stream.end);
  if (stream.told - stream.end <= stream.window / 2 && stream.told < read.plan.size) {
    grow(object, stream);
    std::uint64_t until = stream.end + stream.window;
    until = divideUp(until, stream.window >= chunk ? chunk : kRun) * (stream.window >= chunk ? chunk : kRun);
    until = std::min(until, read.plan.size);
    if (until > stream.told) say(read.plan, stream.told, until, ahead);
    stream.told = std::max(stream.told, until);
  }
  return stream.window * 2 >= chunk;
}

void Readahead::sayBackwards(Object& object, Stream& stream, const Reading& read, std::vector<RunsAhead>& ahead) const {
  const std::uint64_t chunk = read.plan.chunkSize();
  stream.told = std::min(stream.told, stream.begin);
  if (stream.begin - stream.told > stream.window / 2 || stream.told == 0) return;
  grow(object, stream);
  const std::uint64_t unit = stream.window >= chunk ? chunk : kRun;
  const std::uint64_t from = less(stream.begin, stream.window) / unit * unit;
  // The nearest chunk first: it is wanted first.
  for (std::uint64_t end = stream.told; end > from;) {
    const std::uint64_t begin = std::max(from, (end - 1) / chunk * chunk);
    say(read.plan, begin, end, ahead);
    end = begin;
  }
  stream.told = std::min(stream.told, from);
}

void Readahead::sayStrides(Object& object, Stream& stream, const Reading& read, std::vector<RunsAhead>& ahead) const {
  const std::int64_t told = from(stream.begin, stream.told) / stream.stride;  // reads said beyond the furthest
  const auto said = static_cast<std::uint64_t>(std::max<std::int64_t>(told, 0));
  if (said > stream.window / 2) return;
  const std::uint64_t length = stream.end - stream.begin;
  const std::uint64_t fit = std::max<std::uint64_t>(object.window_cap / std::max<std::uint64_t>(length, kRun), 1);
  stream.window = std::min({std::max<std::uint64_t>(2 * stream.window, 1), std::uint64_t{limits_.max_strides}, fit});
  for (std::uint64_t step = said + 1; step <= stream.window; ++step) {
    const std::int64_t at = static_cast<std::int64_t>(stream.begin) + static_cast<std::int64_t>(step) * stream.stride;
    if (at < 0 || static_cast<std::uint64_t>(at) >= read.plan.size) break;
    stream.told = static_cast<std::uint64_t>(at);
    say(read.plan, stream.told, stream.told + length, ahead);
  }
}

Readahead::Object& Readahead::find(const ObjectKey& key) {
  auto known = objects_.find(key);
  if (known != objects_.end()) {
    used_.splice(used_.begin(), used_, known->second.used);
    return known->second;
  }
  while (objects_.size() >= limits_.max_objects || (all_streams_ >= limits_.max_all_streams && !objects_.empty()))
    forgetObject();
  used_.push_front(key);
  Object& object = objects_[key];
  object.window_cap = limits_.max_window;
  object.used = used_.begin();
  return object;
}

void Readahead::forgetObject() {
  const auto oldest = objects_.find(used_.back());
  all_streams_ -= oldest->second.streams.size();
  objects_.erase(oldest);
  used_.pop_back();
}

}  // namespace forebay::core
