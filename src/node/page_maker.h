// Makes memory of the arena ready for the next objects (Arena::pagesToMakeReady), in a thread that runs when a core has
// nothing else to do; and lets the arena's spare memory age.
//
// Threading: the node's loop. Destroyed before the arena.
#pragma once

#include "io/reactor.h"
#include "io/worker_pool.h"
#include "store/arena.h"

namespace forebay::node {

class PageMaker {
 public:
  PageMaker(io::Reactor& reactor, store::Arena& arena);
  ~PageMaker();
  PageMaker(const PageMaker&) = delete;
  PageMaker& operator=(const PageMaker&) = delete;

  // There may be work: it starts after what the loop does now.
  void wake();

 private:
  void next();
  void ageLater();

  io::Reactor& reactor_;
  store::Arena& arena_;
  bool woken_ = false, working_ = false;
  io::TimerId age_timer_ = 0;
  std::shared_ptr<PageMaker*> self_ = std::make_shared<PageMaker*>(this);  // for what was posted
  io::WorkerPool pool_;
};

}  // namespace forebay::node
