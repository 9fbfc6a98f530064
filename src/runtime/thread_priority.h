// Background threads step back behind ingest and serving, and those with little to do at a time
// come before those with much.
#pragma once

namespace millrace::runtime {

/// Names the calling thread and lowers its priority; threads that it starts inherit that.
void lower_thread_priority(const char* name);
void name_thread(const char* name);
/// Names the calling thread, and asks for short turns: when it wakes it goes before a thread that
/// has been computing for a while, for as long as its turns are short. From Linux 6.12 on; before
/// that it changes nothing. Source: sched(7), sched_setattr(2).
void take_short_turns(const char* name);

}  // namespace millrace::runtime
