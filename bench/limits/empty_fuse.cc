// The best that a FUSE file system of this kernel could do over one transport, plain or io_uring: it answers every
// request from memory, and does nothing else. The limit of what goes through a mount.
//
//   forebay_limit_empty_fuse --mount DIR [--size BYTES] [--files N] [--readahead BYTES] [--threads T]
//                            [--io-uring [--depth N]]
//
// --io-uring: requests come over io_uring, --depth at once from each CPU, if the fuse module's parameter enable_uring
// is Y. DIR/file has --size bytes; DIR/small has --files files of 64 KiB, f0 and so on. It is mounted when it prints a
// line, and ends when it is unmounted.
#include <CLI/CLI.hpp>
#include <cstring>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <thread>
#include <unistd.h>

#include "limits/fuse_ring.h"
#include "limits/measure.h"

namespace forebay::bench {
namespace {

constexpr std::uint64_t kRoot = FUSE_ROOT_ID, kFile = 2, kSmall = 3, kFirstSmall = 10, kSmallSize = 64 * kKiB;
constexpr std::size_t kMaxRead = kMiB, kRequest = 64 * kKiB;

struct Arguments {
  std::string mount;
  std::uint64_t size = 512 * kMiB, files = 0, readahead = 4 * kMiB;
  unsigned threads = 4, depth = 8;
  bool io_uring = false;
};

// Where an answer goes.
struct Asker {
  int fd = -1;
  FuseRing::Place* place = nullptr;
};

class EmptyFuse {
 public:
  explicit EmptyFuse(const Arguments& arguments) : arguments_(arguments), memory_(arguments.size) {
    device_ = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device_ < 0) die("no /dev/fuse");
    const std::string options =
        fmt::format("fd={},rootmode=40000,user_id=0,group_id=0,allow_other,max_read={}", device_, kMaxRead);
    if (::mount("empty", arguments.mount.c_str(), "fuse", MS_NODEV | MS_NOSUID | MS_RDONLY, options.c_str()) != 0)
      die(fmt::format("mount {}: {}", arguments.mount, strerrordesc_np(errno)));
  }
  void run() {
    if (arguments_.io_uring) return runRing();
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < arguments_.threads; ++i) threads.emplace_back([this] { work(clone()); });
    work(device_);
    for (auto& thread : threads) thread.join();
  }

 private:
  // INIT, FORGET and interrupts come over the device all the same.
  void runRing() {
    FuseRing ring(device_, arguments_.depth, kMaxRead);
    std::vector<std::byte> request(kRequest);
    if (read(device_, request.data(), request.size()) < 0) die("no INIT came");
    answer({.fd = device_}, *reinterpret_cast<const fuse_in_header*>(request.data()),
           request.data() + sizeof(fuse_in_header));
    if (!ring_taken_) die("this kernel offers no FUSE over io_uring: its parameter enable_uring must be Y");
    std::thread others([this] { work(device_); });
    ring.serve([this](FuseRing::Place& place) {
      const fuse_in_header in = *reinterpret_cast<const fuse_in_header*>(place.header->message.data());
      answer({.place = &place}, in, in.opcode == FUSE_LOOKUP ? place.payload : place.header->operation.data());
    });
    others.join();
  }
  int clone() const {
    const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    auto of = static_cast<std::uint32_t>(device_);
    if (fd < 0 || ioctl(fd, FUSE_DEV_IOC_CLONE, &of) != 0) die("the device can't be cloned");
    return fd;
  }
  void work(int fd) {
    std::vector<std::byte> request(kRequest);
    for (;;) {
      const ssize_t n = read(fd, request.data(), request.size());
      if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
      if (n < 0) return;  // unmounted
      answer({.fd = fd}, *reinterpret_cast<const fuse_in_header*>(request.data()),
             request.data() + sizeof(fuse_in_header));
    }
  }
  static void send(const Asker& to, std::uint64_t unique, int error, Bytes bytes) {
    if (to.place != nullptr) return to.place->answer(unique, error, bytes);
    fuse_out_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + bytes.size());
    header.error = -error;
    header.unique = unique;
    const iovec parts[] = {{&header, sizeof header}, {const_cast<std::byte*>(bytes.data()), bytes.size()}};
    (void)!writev(to.fd, parts, bytes.empty() ? 1 : 2);
  }
  template <class T>
  static void sendStruct(const Asker& to, std::uint64_t unique, const T& out) {
    send(to, unique, 0, std::as_bytes(std::span(&out, 1)));
  }
  fuse_attr attributes(std::uint64_t node) const {
    fuse_attr attr{};
    const bool directory = node == kRoot || node == kSmall;
    attr.ino = node;
    attr.mode = directory ? S_IFDIR | 0555 : S_IFREG | 0444;
    attr.nlink = 1;
    attr.size = directory ? 0 : node == kFile ? arguments_.size : kSmallSize;
    attr.blocks = attr.size / 512;
    attr.blksize = 64 * kKiB;
    return attr;
  }
  fuse_entry_out entry(std::uint64_t node) const {
    fuse_entry_out out{};
    out.nodeid = node;
    out.generation = 1;
    out.entry_valid = out.attr_valid = 3'600;
    out.attr = attributes(node);
    return out;
  }
  std::uint64_t lookup(std::uint64_t parent, const char* name) const {
    if (parent == kRoot) return std::strcmp(name, "file") == 0 ? kFile : std::strcmp(name, "small") == 0 ? kSmall : 0;
    if (parent != kSmall || name[0] != 'f') return 0;
    const std::uint64_t number = std::strtoull(name + 1, nullptr, 10);
    return number < arguments_.files ? kFirstSmall + number : 0;
  }
  void answer(const Asker& to, const fuse_in_header& in, const std::byte* body) {
    switch (in.opcode) {
      case FUSE_INIT:
        return init(to, in.unique, *reinterpret_cast<const fuse_init_in*>(body));
      case FUSE_LOOKUP: {
        const std::uint64_t node = lookup(in.nodeid, reinterpret_cast<const char*>(body));
        return node == 0 ? send(to, in.unique, ENOENT, {}) : sendStruct(to, in.unique, entry(node));
      }
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr_valid = 3'600;
        out.attr = attributes(in.nodeid);
        return sendStruct(to, in.unique, out);
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR: {
        fuse_open_out out{};
        out.open_flags = FOPEN_KEEP_CACHE | FOPEN_NOFLUSH;
        return sendStruct(to, in.unique, out);
      }
      case FUSE_READ: {
        const auto& read = *reinterpret_cast<const fuse_read_in*>(body);
        const std::uint64_t size = in.nodeid == kFile ? arguments_.size : kSmallSize;
        const std::uint64_t end = std::min<std::uint64_t>(size, read.offset + read.size);
        if (read.offset >= end) return send(to, in.unique, 0, {});
        return send(to, in.unique, 0, memory_.bytes(read.offset, end - read.offset));
      }
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_READDIR:
      case FUSE_FLUSH:
        return send(to, in.unique, 0, {});
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;
      default:
        return send(to, in.unique, ENOSYS, {});
    }
  }
  void init(const Asker& to, std::uint64_t unique, const fuse_init_in& in) {
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = FUSE_KERNEL_MINOR_VERSION;
    out.flags = in.flags & (FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS | FUSE_ASYNC_DIO | FUSE_MAX_PAGES);
    out.max_readahead = static_cast<std::uint32_t>(arguments_.readahead);
    out.max_background = 64;
    out.congestion_threshold = 48;
    out.max_write = 4'096;
    out.time_gran = 1;
    out.max_pages = kMaxRead / 4'096;
    constexpr std::uint32_t kExtended = 1U << 30, kRing = 1U << (41 - 32);
    ring_taken_ = arguments_.io_uring && (in.flags & kExtended) != 0 && (in.flags2 & kRing) != 0;
    if (ring_taken_) {
      out.flags |= kExtended;
      out.flags2 = kRing;
    }
    sendStruct(to, unique, out);
  }

  const Arguments arguments_;
  const Memory memory_;
  int device_ = -1;
  bool ring_taken_ = false;
};

// How far the kernel reads ahead is the mount's backing device's to say.
void setReadahead(const Arguments& arguments) {
  struct stat about{};
  if (stat(arguments.mount.c_str(), &about) != 0) die("the mount can't be looked at");
  const std::string path = fmt::format("/sys/class/bdi/{}:{}/read_ahead_kb", major(about.st_dev), minor(about.st_dev));
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const std::string text = std::to_string(arguments.readahead / kKiB);
  if (fd < 0 || write(fd, text.data(), text.size()) < 0) die(fmt::format("{}: {}", path, strerrordesc_np(errno)));
  close(fd);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  forebay::bench::Arguments arguments;
  CLI::App app("An empty FUSE file system that answers from memory");
  app.add_option("--mount", arguments.mount)->required();
  app.add_option("--size", arguments.size);
  app.add_option("--files", arguments.files);
  app.add_option("--readahead", arguments.readahead);
  app.add_option("--threads", arguments.threads)->check(CLI::Range(1, 64));
  app.add_flag("--io-uring", arguments.io_uring);
  app.add_option("--depth", arguments.depth)->check(CLI::Range(1, 64));
  CLI11_PARSE(app, argc, argv);
  forebay::bench::EmptyFuse fuse(arguments);
  std::thread ready([&arguments] {
    forebay::bench::setReadahead(arguments);
    std::puts("{\"mounted\":true}");
    std::fflush(stdout);
  });
  fuse.run();
  ready.join();
}
