#include "runtime/thread_priority.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace millrace::runtime {

namespace {

/// As the kernel has it; <linux/sched/types.h> and <sched.h> do not go together.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;  // SCHED_OTHER
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // of SCHED_OTHER: the length of a turn
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};

constexpr std::uint64_t kShortTurnNs = 100'000;  // the least that the kernel takes

}  // namespace

void name_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

void lower_thread_priority(const char* name) {
  name_thread(name);
  // On Linux a nice value belongs to the thread. Not being allowed to lower it is no reason not to
  // run.
  static_cast<void>(setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 10));
}

void take_short_turns(const char* name) {
  name_thread(name);
  SchedulingAttributes attributes;
  attributes.nice = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
  attributes.runtime_ns = kShortTurnNs;
  static_cast<void>(syscall(SYS_sched_setattr, 0, &attributes, 0U));
}

}  // namespace millrace::runtime
