#include "runtime/thread_priority.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace millrace::runtime {

void name_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

void lower_thread_priority(const char* name) {
  name_thread(name);
  // On Linux a nice value belongs to the thread. Not being allowed to lower it is no reason not to
  // run.
  static_cast<void>(setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 10));
}

}  // namespace millrace::runtime
