#include "node/page_maker.h"

#include <memory>
#include <sched.h>

namespace forebay::node {
namespace {

constexpr Duration kAgeEvery = 10s;

// Only when nothing else wants the core: needs no privilege. Where even that is forbidden it is a thread like others.
void yieldToAll() {
  static thread_local const bool done = [] {
    const sched_param none{};
    return ::sched_setscheduler(0, SCHED_IDLE, &none) == 0;
  }();
  (void)done;
}

}  // namespace

PageMaker::PageMaker(io::Reactor& reactor, store::Arena& arena)
    : reactor_(reactor), arena_(arena), pool_(reactor, 1, 1) {
  ageLater();
}

PageMaker::~PageMaker() {
  *self_ = nullptr;
  reactor_.cancel(age_timer_);
}

void PageMaker::wake() {
  if (std::exchange(woken_, true)) return;
  reactor_.post([self = self_] {
    if (*self != nullptr) (*self)->next();
  });
}

void PageMaker::next() {
  woken_ = false;
  if (working_) return;
  auto pages = arena_.pagesToMakeReady();
  if (!pages) return;
  const auto work = std::make_shared<store::PagesToMakeReady>(std::move(*pages));
  working_ = true;
  const Status taken = pool_.submit(
      [work] {
        yieldToAll();
        work->write();
      },
      [self = self_, work] {
        if (*self == nullptr) return;
        (*self)->working_ = false;
        (*self)->arena_.madeReady(*work);
        (*self)->next();
      });
  if (taken) return;
  working_ = false;
  arena_.madeReady(*work);  // nothing of it is
}

void PageMaker::ageLater() {
  age_timer_ = reactor_.after(kAgeEvery, [this] {
    arena_.ageSpares();
    ageLater();
  });
}

}  // namespace forebay::node
