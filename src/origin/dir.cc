#include "origin/dir.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/descriptor.h"

namespace forebay::origin {
namespace {

constexpr std::size_t kPiece = kMiB;  // of one pread: long enough to be cheap, short enough for others to get a turn

using io::Descriptor;

bool isCanonical(std::string_view path) {
  std::size_t start = 0;
  while (true) {
    const std::size_t slash = path.find('/', start);
    const std::string_view part = path.substr(start, slash == std::string_view::npos ? slash : slash - start);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos) return false;
    if (slash == std::string_view::npos) return true;
    start = slash + 1;
  }
}

// What a path means to someone who asks for an object: errors of the file system in those words.
std::unexpected<Error> failPath(std::string_view path, int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return fail(Code::NotFound, fmt::format("{}: no such file", path));
    case EXDEV:
    case ELOOP:
      return fail(Code::NotFound,
                  fmt::format("{}: leads out of the mount's directory (a symlink), so it isn't served", path));
    default:
      return failErrno(path, error_number);
  }
}

Result<Descriptor> openBeneath(int root, const std::string& path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const auto fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
  if (fd < 0) return failPath(path, errno);
  return Descriptor(static_cast<int>(fd));
}

std::int64_t toNs(const timespec& t) {
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

ObjectInfo infoOf(const struct stat& st) {
  return {.size = static_cast<std::uint64_t>(st.st_size),
          .version = fmt::format("{:x}-{:x}-{:x}-{:x}", st.st_ino, st.st_size, toNs(st.st_mtim), toNs(st.st_ctim)),
          .mtime_ns = toNs(st.st_mtim)};
}

Result<ObjectInfo> infoOf(int fd, std::string_view path) {
  struct stat st;
  if (fstat(fd, &st) != 0) return failErrno(path, errno);
  if (!S_ISREG(st.st_mode)) return fail(Code::NotFound, fmt::format("{}: not a regular file", path));
  return infoOf(st);
}

Status checkVersion(int fd, const std::string& path, const std::string& version) {
  const ObjectInfo now = TRY(infoOf(fd, path));
  if (now.version != version)
    return fail(Code::Gone, fmt::format("{}: the file changed while it was being read", path));
  return {};
}

struct OpenFile {
  ObjectInfo info;
  Descriptor fd;
};
Result<OpenFile> openFile(int root, const std::string& path) {
  if (!isCanonical(path)) return fail(Code::NotFound, fmt::format("{}: no such file", path));
  Descriptor fd = TRY(openBeneath(root, path, O_RDONLY | O_NONBLOCK));
  const ObjectInfo info = TRY(infoOf(fd.get(), path));
  return OpenFile{info, std::move(fd)};
}

// One get(): the descriptor stays open from piece to piece.
struct Get {
  std::string path, version;
  std::uint64_t offset = 0, left = 0;
  ByteSink* sink = nullptr;
  TimePoint deadline;
  DoneCallback done;
  Descriptor fd;
  MutableBytes room;
  Status result;
};

Status readPiece(int root, Get& get) {
  if (get.fd.get() < 0) {
    auto opened = openBeneath(root, get.path, O_RDONLY | O_NONBLOCK);
    if (!opened) {
      if (opened.error().code == Code::NotFound)
        return fail(Code::Gone, fmt::format("{}: the file is no longer there", get.path));
      return fail(opened.error());
    }
    get.fd = std::move(*opened);
  }
  TRY(checkVersion(get.fd.get(), get.path, get.version));
  std::size_t have = 0;
  while (have < get.room.size()) {
    const ssize_t n =
        pread(get.fd.get(), get.room.data() + have, get.room.size() - have, static_cast<off_t>(get.offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno(get.path, errno);
    if (n == 0) return fail(Code::Gone, fmt::format("{}: the file shrank while it was being read", get.path));
    have += static_cast<std::size_t>(n);
  }
  return checkVersion(get.fd.get(), get.path, get.version);
}

struct Name {
  std::string name;
  bool directory;
};

// Names of a directory after `after`, sorted by bytes. d_type says what most are; links and unknowns are looked at.
Result<std::vector<Name>> namesOf(int dir_fd, const std::string& path, const std::string& after) {
  DIR* dir = fdopendir(dir_fd);  // owns dir_fd from here on
  if (dir == nullptr) {
    const int error = errno;
    close(dir_fd);
    return failErrno(path, error);
  }
  std::vector<Name> names;
  errno = 0;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || name <= after) continue;
    names.push_back({std::string(name), entry->d_type == DT_DIR});
  }
  const int error = errno;
  closedir(dir);
  if (error != 0) return failErrno(path, error);
  std::ranges::sort(names, {}, &Name::name);
  return names;
}

Result<ListPage> listPage(int root, const std::string& prefix, const std::string& next, std::uint32_t max) {
  const std::string path = prefix.empty() ? "." : prefix.substr(0, prefix.size() - 1);
  if (!prefix.empty() && !isCanonical(path)) return fail(Code::NotFound, fmt::format("{}: no such directory", prefix));
  Descriptor dir = TRY(openBeneath(root, path, O_RDONLY | O_DIRECTORY));
  const int again = fcntl(dir.get(), F_DUPFD_CLOEXEC, 0);
  if (again < 0) return failErrno(path, errno);
  const auto names = TRY(namesOf(again, path, next));
  ListPage page;
  for (const Name& name : names) {
    if (page.entries.size() == max) {
      page.next = page.entries.back().name;
      break;
    }
    // Relative to the root again, so that a symlink can't lead out.
    auto found = openBeneath(root, prefix + name.name, O_PATH);
    struct stat st;
    if (!found || fstat(found->get(), &st) != 0) continue;  // vanished since, or leads out
    if (S_ISDIR(st.st_mode))
      page.entries.push_back({.name = name.name, .directory = true, .info = {}});
    else if (S_ISREG(st.st_mode))
      page.entries.push_back({.name = name.name, .directory = false, .info = infoOf(st)});
  }
  return page;
}

class DirOrigin : public Origin {
 public:
  DirOrigin(std::string root, Descriptor fd, io::Reactor& reactor, io::WorkerPool& pool, OriginMetrics& metrics)
      : root_(std::move(root)), fd_(std::move(fd)), reactor_(reactor), pool_(pool), metrics_(metrics) {}

  void probe(TimePoint deadline, DoneCallback done) override {
    run<ListPage>(
        deadline, [fd = fd_.get()] { return listPage(fd, "", "", 1); },
        [done = std::move(done)](Result<ListPage> page) mutable {
          done(page ? Status{} : Status(std::unexpected(std::move(page.error()))));
        });
  }

  void head(std::string path, TimePoint deadline, Callback<ObjectInfo> done) override {
    metrics_.heads.add();
    run<ObjectInfo>(
        deadline,
        [fd = fd_.get(), path = std::move(path)]() -> Result<ObjectInfo> {
          if (!isCanonical(path)) return fail(Code::NotFound, fmt::format("{}: no such file", path));
          const Descriptor file = TRY(openBeneath(fd, path, O_PATH));
          return infoOf(file.get(), path);
        },
        std::move(done));
  }

  void list(std::string prefix, std::string next, std::uint32_t max, TimePoint deadline, NextPageCallback /*next_page*/,
            Callback<ListPage> done) override {
    metrics_.lists.add();
    run<ListPage>(
        deadline,
        [fd = fd_.get(), prefix = std::move(prefix), next = std::move(next), max] {
          return listPage(fd, prefix, next, std::max(1U, max));
        },
        std::move(done));
  }

  void get(std::string path, std::string version, std::uint64_t offset, std::uint64_t length, ByteSink& sink,
           TimePoint deadline, DoneCallback done) override {
    metrics_.gets.add();
    auto call = std::make_shared<Get>();
    call->path = std::move(path);
    call->version = std::move(version);
    call->offset = offset;
    call->left = length;
    call->sink = &sink;
    call->deadline = deadline;
    call->done = std::move(done);
    reactor_.post([this, alive = std::weak_ptr(alive_), call] {
      if (alive.expired()) return;
      if (!isCanonical(call->path))
        finish(*call, fail(Code::Gone, fmt::format("{}: no such file", call->path)));
      else
        nextPiece(call);
    });
  }

  void open(std::string path, std::uint64_t most, OpenSink& sink, TimePoint deadline,
            Callback<ObjectInfo> done) override {
    metrics_.gets.add();
    run<OpenFile>(
        deadline, [fd = fd_.get(), path] { return openFile(fd, path); },
        [this, path, most, &sink, deadline, done = std::move(done)](Result<OpenFile> file) mutable {
          if (!file) return done(fail(std::move(file.error())));
          const ObjectInfo info = file->info;
          auto call = std::make_shared<Get>();
          call->path = std::move(path);
          call->version = info.version;
          call->left = std::min(most, info.size);
          call->sink = &sink;
          call->deadline = deadline;
          call->fd = std::move(file->fd);
          call->done = [info, done = std::move(done)](Status status) mutable {
            if (status)
              done(info);
            else
              done(fail(std::move(status.error())));
          };
          const std::weak_ptr<int> alive = alive_;
          sink.begins(info, call->left);
          if (!alive.expired()) nextPiece(call);
        });
  }

  bool hasEmptyDirectories() const override { return true; }
  std::string url() const override { return "file://" + root_; }

 private:
  // Runs `work` on the pool and its result into `done` in the loop, also when it can't be run.
  template <class T, class Work, class Done>
  void run(TimePoint deadline, Work work, Done done) {
    struct Call {
      Done done;
      Result<T> result = fail(Code::Internal, "not run");
    };
    auto call = std::make_shared<Call>(Call{std::move(done)});
    auto deliver = [this, alive = std::weak_ptr(alive_), call] {
      if (alive.expired()) return;
      if (!call->result && call->result.error().code != Code::NotFound) metrics_.errors.add();
      call->done(std::move(call->result));
    };
    auto status = pool_.submit(
        [call, work = std::move(work), deadline]() mutable {
          call->result = io::Reactor::now() < deadline
                             ? work()
                             : fail(Code::DeadlineExceeded, "the directory's worker threads were busy for too long");
        },
        deliver);
    if (status) return;
    call->result = fail(status.error());
    reactor_.post(std::move(deliver));
  }

  void nextPiece(const std::shared_ptr<Get>& call) {
    if (call->left == 0) return finish(*call, {});
    if (io::Reactor::now() >= call->deadline)
      return finish(*call, fail(Code::DeadlineExceeded, fmt::format("{}: reading took too long", call->path)));
    call->room = call->sink->room();
    call->room = call->room.first(std::min({call->room.size(), static_cast<std::size_t>(call->left), kPiece}));
    auto submitted = pool_.submit([call, fd = fd_.get()] { call->result = readPiece(fd, *call); },
                                  [this, alive = std::weak_ptr(alive_), call] {
                                    if (!alive.expired()) pieceRead(call);
                                  });
    if (!submitted) finish(*call, std::move(submitted));
  }

  void pieceRead(const std::shared_ptr<Get>& call) {
    if (!call->result) return finish(*call, std::move(call->result));
    const std::size_t n = call->room.size();
    metrics_.bytes.add(n);
    call->offset += n;
    call->left -= n;
    call->sink->wrote(n);
    nextPiece(call);
  }

  void finish(Get& call, Status status) {
    if (!status) metrics_.errors.add();
    call.done(std::move(status));
  }

  std::string root_;
  Descriptor fd_;
  io::Reactor& reactor_;
  io::WorkerPool& pool_;
  OriginMetrics& metrics_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace

Result<std::unique_ptr<Origin>> makeDirOrigin(std::string root, io::Reactor& reactor, io::WorkerPool& pool,
                                              OriginMetrics& metrics) {
  if (root.empty() || root.front() != '/')
    return fail(Code::InvalidArgument, fmt::format("file://{}: give an absolute path, as in file:///data", root));
  Descriptor fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return failErrno("file://" + root, errno);
  return std::make_unique<DirOrigin>(std::move(root), std::move(fd), reactor, pool, metrics);
}

}  // namespace forebay::origin
