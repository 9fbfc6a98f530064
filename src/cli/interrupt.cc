#include "cli/interrupt.h"

#include <csignal>

namespace millrace::cli {
namespace {

volatile std::sig_atomic_t g_pressed = 0;
struct sigaction g_before{};

void note(int) { g_pressed = 1; }

}  // namespace

InterruptGuard::InterruptGuard() {
  struct sigaction action{};
  action.sa_handler = note;
  // Without SA_RESTART: whoever waits is woken.
  ::sigaction(SIGINT, &action, &g_before);
}

InterruptGuard::~InterruptGuard() { ::sigaction(SIGINT, &g_before, nullptr); }

bool take_interrupt() {
  const bool pressed = g_pressed != 0;
  g_pressed = 0;
  return pressed;
}

bool is_interrupted() { return g_pressed != 0; }

}  // namespace millrace::cli
