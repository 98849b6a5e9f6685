// Memory that object regions left behind, kept for the next ones.
//
// A page that the kernel has to find and clear first costs a fill more than its bytes do (fresh pages of 4 KiB 1.1 CPU
// seconds a GB, of 2 MiB 0.25, memory in use before 0.13 to 0.2; on a virtual machine whose host must find it too,
// several times that). Pages can't move from one file to another, so what is kept is files: of objects that left whole,
// and files that were written ahead (Arena::pagesToMakeReady). What they hold is free room of the arena: it goes back
// to the kernel before anything leaves for room, and after a while in which nobody took it.
//
// The bytes in them are of objects that are gone. Nobody sees them: a region's pages are readable only run by run, once
// they were written again, and a region is given to others only when all of it was.
//
// Threading: one thread.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/descriptor.h"

namespace forebay::store {

// A file of the arena's tmpfs that belongs to no object. Unlinked when it dies.
class SpareFile {
 public:
  // An empty one. `directory` stays open as long as it lives; `name` is new in it.
  static Result<SpareFile> create(int directory, std::string name, std::uint64_t size);
  // `ready`: which of its 2 MiB pages have memory.
  SpareFile(int directory, std::string name, io::Descriptor fd, std::uint64_t size, std::vector<bool> ready);
  SpareFile(SpareFile&& other) noexcept = default;
  SpareFile& operator=(SpareFile&& other) noexcept;
  ~SpareFile();

  // Keeps the whole pages that lie within both sizes.
  Status resize(std::uint64_t size);
  // Gives the memory of its last pages back: at least `bytes`, if there are so many.
  void shrinkBy(std::uint64_t bytes);
  void markReady(std::size_t first_page, std::size_t pages);

  int fd() const { return fd_.get(); }
  std::uint64_t size() const { return size_; }
  std::uint64_t bytes() const { return bytes_; }  // as the kernel counts, after the last change

  struct Parts {
    std::string name;
    io::Descriptor fd;
    std::vector<bool> ready;
  };
  Parts release() &&;  // the file is the caller's

 private:
  void count();

  int directory_ = -1;
  std::string name_;
  io::Descriptor fd_;
  std::uint64_t size_ = 0;
  std::vector<bool> ready_;
  std::uint64_t bytes_ = 0;
};

class Spares {
 public:
  static constexpr std::size_t kMostFiles = 64;  // each takes a descriptor

  void keep(SpareFile file);
  // One for an object of `size` bytes, already of that size: the smallest that has all of its memory, but not much
  // more, or what comes nearest from below.
  std::optional<SpareFile> take(std::uint64_t size);
  // At least `bytes`, the oldest first. False: there is nothing.
  bool giveBack(std::uint64_t bytes);
  // Called at even intervals: what nobody took for kAges of them goes, but `at_least` bytes.
  void age(std::uint64_t at_least);
  static constexpr unsigned kAges = 6;

  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Kept {
    SpareFile file;
    unsigned age = 0;
  };
  void remove(std::list<Kept>::iterator kept);

  std::list<Kept> files_;  // the oldest first
  std::uint64_t bytes_ = 0;
};

}  // namespace forebay::store
