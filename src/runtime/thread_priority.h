// Background threads step back behind ingest and serving.
#pragma once

namespace millrace::runtime {

/// Names the calling thread and lowers its priority; threads that it starts inherit that.
void lower_thread_priority(const char* name);
void name_thread(const char* name);

}  // namespace millrace::runtime
