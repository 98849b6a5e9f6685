#include "cli/getter.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "base/hasher.h"
#include "cli/tree_walk.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

constexpr std::uint64_t kRead = 4 * kMiB;  // at once; pieces of huge objects are larger
constexpr int kMaxAttempts = 5;            // of an object that changes and changes
constexpr std::size_t kMaxComponent = 255;
constexpr std::size_t kMaxKnownDirectories = 100'000;

bool isDirectory(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

Result<std::string> localPath(const std::string& directory, std::string_view name) {
  const auto cant = [](std::string_view why) {
    return fail(Code::InvalidArgument, fmt::format("a file system can't hold this name: {}", why));
  };
  if (name.find('\0') != std::string_view::npos) return cant("it has a zero byte");
  if (name.ends_with(kPartEnding)) return cant("its ending is that of partial files");
  for (std::string_view rest = name;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (component.empty()) return cant("a part of it between slashes is empty");
    if (component == "." || component == "..") return cant(fmt::format("a part of it is \"{}\"", component));
    if (component.size() > kMaxComponent)
      return cant(fmt::format("a part of it has {} bytes; {} are possible", component.size(), kMaxComponent));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  return fmt::format("{}/{}", directory, name);
}

Getter::Getter(Cell& cell, Progress& progress, const GetOptions& options, Say say)
    : cell_(cell), progress_(progress), options_(options), say_(std::move(say)) {}

void Getter::run() {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::clamp(options_.in_flight, 1U, 1024U); ++i) threads.emplace_back([this] { work(); });
  list();
  progress_.listed();
  {
    const std::lock_guard lock(mutex_);
    listing_ = false;
  }
  work_.notify_all();
  for (std::thread& thread : threads) thread.join();
  // The names too shall survive a loss of power.
  const io::Descriptor at(::open(isDirectory(options_.destination) ? options_.destination.c_str() : ".",
                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.valid()) (void)::syncfs(at.get());
}

// ---- what there is to get

void Getter::list() {
  const auto failed = [&](const std::string& name, Error error) { progress_.failed(name, std::move(error), 0, false); };
  const auto name = options_.recursive ? ObjectName::parse(options_.source) : ObjectName::parseExact(options_.source);
  if (!name) return failed(options_.source, name.error());
  if (options_.recursive) {
    if (const Status made = makeDirectory(options_.destination); !made)
      return failed(options_.destination, made.error());
    const auto found = cell_.lookup(*name, false);
    if (!found) return failed(options_.source, found.error());
    if (found->directory) return listTree(*name);
  }
  std::string file = options_.destination;
  if (file.ends_with('/') || isDirectory(file)) {
    const std::string last = name->path.substr(name->path.rfind('/') + 1);
    while (file.size() > 1 && file.ends_with('/')) file.pop_back();
    auto path = localPath(file, last);
    if (!path) return failed(options_.source, path.error());
    file = std::move(*path);
  }
  const auto found = cell_.lookup(*name, true);
  if (!found) {
    const auto directory = cell_.lookup(*name, false);
    if (directory && directory->directory)
      return failed(options_.source, {Code::InvalidArgument, "is a directory (-r brings what is below it)", 0});
    return failed(options_.source, found.error());
  }
  push({.name = *name, .file = std::move(file), .size = found->plan.size});
}

void Getter::listTree(const ObjectName& root) {
  const std::size_t skip = root.path.empty() ? 0 : root.path.size() + 1;
  TreeWalk walk(cell_, root, {.raw = true, .recursive = true});
  OriginChecksums checksums(cell_);
  while (auto step = walk.next()) {
    if (step->error) {
      progress_.failed(step->name.text() + "/", std::move(*step->error), 0, false);
      continue;
    }
    if (step->entry.directory) continue;
    const std::uint64_t size = step->entry.size;
    const std::string relative = step->name.path.substr(std::min(skip, step->name.path.size()));
    if (size == 0 && relative.ends_with('/')) continue;  // some tools mark directories so
    auto file = localPath(options_.destination, relative);
    if (file) {
      std::string md5 = checksums.md5Of(step->name, step->entry.version);
      push({.name = std::move(step->name),
            .file = std::move(*file),
            .size = size,
            .version = std::move(step->entry.version),
            .md5 = std::move(md5)});
    } else {
      progress_.found(size);
      progress_.failed(step->name.text(), std::move(file.error()), size);
    }
  }
}

void Getter::push(Listed listed) {
  progress_.found(listed.size);
  Lock lock(mutex_);
  room_.wait(lock, [this] { return listed_.size() < kMaxAhead; });
  listed_.push_back(std::move(listed));
  lock.unlock();
  work_.notify_one();
}

// ---- the threads

void Getter::work() {
  std::vector<std::byte> buffer;
  Lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] {
      return !getting_.empty() || !resolved_.empty() || !listed_.empty() || (!listing_ && busy_ == 0);
    });
    if (!getting_.empty()) {
      const auto first = getting_.front();
      getPiece(lock, first, buffer);
    } else if (!resolved_.empty()) {
      Resolved object = std::move(resolved_.front());
      resolved_.pop_front();
      begin(lock, std::move(object));
    } else if (!listed_.empty()) {
      resolveBatch(lock);
    } else {
      break;
    }
  }
  lock.unlock();
  work_.notify_all();
}

// The next names, all of one mount, in one call.
void Getter::resolveBatch(Lock& lock) {
  std::vector<Listed> batch;
  while (!listed_.empty() && batch.size() < kBatch) {
    batch.push_back(std::move(listed_.front()));
    listed_.pop_front();
  }
  ++busy_;
  lock.unlock();
  room_.notify_all();
  std::vector<std::string> paths;
  for (const Listed& listed : batch) paths.push_back(listed.name.path);
  auto answers = cell_.resolve(batch.front().name.mount, paths, true);
  if (answers && answers->size() != batch.size())
    answers = fail(Code::Internal, fmt::format("{} answers for {} names", answers->size(), batch.size()));
  lock.lock();
  for (std::size_t i = 0; i < batch.size(); ++i)
    resolved(std::move(batch[i]),
             answers ? std::move((*answers)[i]) : Result<client::Attributes>(fail(answers.error())));
  --busy_;
  work_.notify_all();
}

void Getter::resolved(Listed listed, Result<client::Attributes> found) {
  if (!found) return progress_.failed(listed.name.text(), found.error(), listed.size);
  if (found->plan.size != listed.size) progress_.resized(listed.size, found->plan.size);
  listed.size = found->plan.size;
  resolved_.push_back({.listed = std::move(listed), .plan = std::move(found->plan)});
}

void Getter::begin(Lock& lock, Resolved object) {
  ++busy_;
  lock.unlock();
  auto getting = std::make_shared<Getting>();
  getting->of = std::move(object);
  const std::string name = getting->of.listed.name.text();
  const core::Plan& plan = getting->of.plan;
  PartFile::Wanted wanted{.path = getting->of.listed.file,
                          .size = plan.size,
                          .version = plan.version,
                          .mtime_ns = plan.mtime_ns,
                          .overwrite = options_.overwrite};
  const bool there = PartFile::isThere(wanted);
  Status ready = there ? Status() : makeDirectoriesOf(wanted.path);
  if (ready && !there) {
    auto part = PartFile::open(std::move(wanted));
    if (part)
      getting->part = std::move(*part);
    else
      ready = fail(std::move(part.error()));
  }
  lock.lock();
  if (!ready) {
    progress_.failed(name, std::move(ready.error()), plan.size);
  } else if (there) {
    ++counts_.there;
    progress_.resized(plan.size, 0);
    progress_.objectDone();
  } else {
    started(*getting);
    if (!getting->pieces.empty()) getting_.push_back(getting);
    endIfDone(lock, getting);
  }
  --busy_;
  work_.notify_all();
}

// With the lock: counts what is there of it, and says so.
void Getter::started(Getting& getting) {
  PartFile& part = *getting.part;
  const std::string name = getting.of.listed.name.text();
  for (const std::uint64_t piece : part.missing()) getting.pieces.push_back(piece);
  getting.resumed = part.presentBytes();
  if (part.start() == PartFile::Start::Resumed) {
    ++counts_.resumed;
    counts_.resumed_bytes += getting.resumed;
    progress_.resized(getting.resumed, 0);
    say_("resumed", name, "goes on from what an earlier attempt has left", getting.resumed);
  } else if (part.start() == PartFile::Start::Restarted) {
    ++counts_.restarted;
    say_("restarted", name, "the partial file is of another version, or damaged: it begins anew", 0);
  }
}

// ---- bytes

void Getter::getPiece(Lock& lock, const std::shared_ptr<Getting>& getting, std::vector<std::byte>& buffer) {
  const std::uint64_t piece = getting->pieces.front();
  getting->pieces.pop_front();
  if (getting->pieces.empty()) getting_.pop_front();
  ++getting->running;
  ++busy_;
  lock.unlock();
  const Status copied = copyPiece(*getting, piece, buffer);
  lock.lock();
  --getting->running;
  if (!copied && !getting->error) {
    getting->error = copied.error();
    if (!getting->pieces.empty()) std::erase(getting_, getting);
    getting->pieces.clear();  // what nobody took yet is skipped
  }
  endIfDone(lock, getting);
  --busy_;
  work_.notify_all();
}

Status Getter::copyPiece(Getting& getting, std::uint64_t piece, std::vector<std::byte>& buffer) {
  PartFile& part = *getting.part;
  const std::uint64_t end = part.pieceStart(piece) + part.pieceLength(piece);
  for (std::uint64_t offset = part.pieceStart(piece); offset < end;) {
    buffer.resize(std::min(kRead, end - offset));
    const std::size_t n = TRY(cell_.read(getting.of.listed.name.mount, getting.of.plan, offset, buffer));
    if (n != buffer.size())
      return fail(Code::Corrupt, fmt::format("{} bytes came where {} were asked", n, buffer.size()));
    TRY(part.write(offset, buffer));
    offset += n;
    getting.fetched += n;
    progress_.advanced(n);
  }
  return part.pieceDone(piece);
}

// All bytes are here: whole, by the origin's own word where there is one, and under their name.
Status Getter::complete(Getting& getting) {
  const Listed& listed = getting.of.listed;
  if (!listed.md5.empty() && listed.version == getting.of.plan.version) {
    if (auto md5 = Hasher::create(Hasher::Kind::Md5)) {  // none where OpenSSL is held to FIPS
      std::vector<std::byte> buffer;
      for (std::uint64_t offset = 0; offset < getting.of.plan.size; offset += buffer.size()) {
        buffer.resize(std::min(kRead, getting.of.plan.size - offset));
        TRY(getting.part->read(offset, buffer));
        md5->update(buffer);
      }
      if (textOf(md5->finish()) != listed.md5) {
        getting.part->discard();
        return fail(Code::Corrupt,
                    "its bytes don't match the MD5 that the origin gives: nothing was kept; get it again, "
                    "after `forebay evict` if the cell's copy is wrong");
      }
    }
  }
  return getting.part->finish();
}

// With the lock, which it may give up for a while.
void Getter::endIfDone(Lock& lock, const std::shared_ptr<Getting>& getting) {
  if (getting->running != 0 || !getting->pieces.empty()) return;
  if (!getting->error) {
    lock.unlock();
    Status finished = complete(*getting);
    lock.lock();
    if (!finished) getting->error = std::move(finished.error());
  }
  const Listed& listed = getting->of.listed;
  if (!getting->error) return progress_.objectDone();
  if (getting->error->code == Code::Gone && listed.attempts + 1 < kMaxAttempts) return again(*getting);
  progress_.failed(listed.name.text(), *getting->error, getting->of.plan.size - getting->resumed - getting->fetched);
}

// Its version has left the origin: the new one is another object, none of whose bytes are here.
void Getter::again(Getting& getting) {
  Listed listed = std::move(getting.of.listed);
  ++counts_.restarted;
  say_("restarted", listed.name.text(), "it has changed meanwhile: it begins anew", 0);
  progress_.resized(0, getting.resumed + getting.fetched);  // as much as that is to do once more
  getting.part->discard();
  getting.part.reset();
  ++listed.attempts;
  listed_.push_back(std::move(listed));
}

// ---- directories

Status Getter::makeDirectory(const std::string& path) {
  {
    const std::lock_guard lock(directories_mutex_);
    if (directories_.contains(path)) return {};
  }
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    if (errno != ENOENT) return failErrno("make the directory " + printable(path), errno);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0) return failErrno("make the directory " + printable(path), ENOENT);
    TRY(makeDirectory(path.substr(0, slash)));
    if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST)
      return failErrno("make the directory " + printable(path), errno);
  }
  if (!isDirectory(path)) return fail(Code::InvalidArgument, fmt::format("{} isn't a directory", printable(path)));
  const std::lock_guard lock(directories_mutex_);
  if (directories_.size() < kMaxKnownDirectories) directories_.insert(path);
  return {};
}

Status Getter::makeDirectoriesOf(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  if (!options_.recursive || slash == std::string::npos || slash == 0) return {};
  return makeDirectory(file.substr(0, slash));
}

}  // namespace forebay::cli
