#include "sql/worker_sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "sql/file_descriptor.h"

namespace millrace::sql {
namespace {

std::unexpected<Error> cannot(std::string_view what) {
  return fail(ErrorCode::kFailedPrecondition, error_id::kSqlFailed,
              "a query worker cannot be shut in: {}: {}", what, std::strerror(errno));
}

// --- limits and privileges ---

Status limit(int resource, std::uint64_t value, std::string_view name) {
  rlimit now{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return cannot(name);
  const rlimit wanted{std::min<rlim_t>(value, now.rlim_max), std::min<rlim_t>(value, now.rlim_max)};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &wanted) != 0) return cannot(name);
  return {};
}

Status set_limits(const SandboxOptions& options) {
  constexpr std::uint64_t kDescriptorsMax = 4096;  // a scan opens its lake files
  MR_RETURN_IF_ERROR(limit(RLIMIT_CORE, 0, "RLIMIT_CORE"));
  MR_RETURN_IF_ERROR(limit(RLIMIT_FSIZE, 0, "RLIMIT_FSIZE"));
  MR_RETURN_IF_ERROR(limit(RLIMIT_NOFILE, kDescriptorsMax, "RLIMIT_NOFILE"));
  if (options.address_bytes_max != 0) {
    MR_RETURN_IF_ERROR(limit(RLIMIT_AS, options.address_bytes_max, "RLIMIT_AS"));
  }
  // When memory ends, the kernel takes the worker and not the server. It may be forbidden: then it
  // is only a wish.
  const FileDescriptor score(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (score.is_open()) {
    [[maybe_unused]] const ssize_t written = write(score.get(), "500", 3);
  }
  return {};
}

Status drop_privileges() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return cannot("no_new_privs");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return cannot("dumpable");
  // A server started as root may have lake files of another user: reading stays, Landlock says
  // what.
  __user_cap_header_struct head{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> kept{};
  if (syscall(SYS_capget, &head, kept.data()) != 0) return cannot("capabilities");
  const std::uint32_t read_search = 1U << CAP_DAC_READ_SEARCH;
  kept[0] = {.effective = kept[0].effective & read_search,
             .permitted = kept[0].permitted & read_search,
             .inheritable = 0};
  kept[1] = {};
  if (syscall(SYS_capset, &head, kept.data()) != 0) return cannot("capabilities");
  // Last, since a change of privileges may clear it. For a server that is gone by now there is the
  // closed socket.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    return cannot("the signal of the parent's end");
  return {};
}

// --- Landlock ---

// Of kernels newer than the headers of Debian 12; the number is the ABI that brought them.
constexpr std::uint64_t kAccessFsTruncate = 1ULL << 14;  // 3
constexpr std::uint64_t kAccessFsIoctlDev = 1ULL << 15;  // 5
constexpr std::uint64_t kAccessNetBindConnect = 3;       // 4
constexpr std::uint64_t kScopeUnixSocketAndSignal = 3;   // 6

struct LandlockRuleset {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};

std::size_t ruleset_bytes(long abi) {
  if (abi >= 6) return sizeof(LandlockRuleset);
  return abi >= 4 ? offsetof(LandlockRuleset, scoped)
                  : offsetof(LandlockRuleset, handled_access_net);
}

LandlockRuleset everything(long abi) {
  LandlockRuleset ruleset;
  ruleset.handled_access_fs = LANDLOCK_ACCESS_FS_REFER - 1;  // ABI 1: all bits below
  if (abi >= 2) ruleset.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) ruleset.handled_access_fs |= kAccessFsTruncate;
  if (abi >= 4) ruleset.handled_access_net = kAccessNetBindConnect;
  if (abi >= 5) ruleset.handled_access_fs |= kAccessFsIoctlDev;
  if (abi >= 6) ruleset.scoped = kScopeUnixSocketAndSignal;
  return ruleset;
}

Status restrict_files(const SandboxOptions& options) {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) {
    if (options.allow_without_landlock) return {};
    auto failure = cannot("this kernel has no Landlock");
    failure.error().hint =
        "Linux 5.13 and newer have it, if \"landlock\" is in the list of lsm=; queries can be "
        "allowed without it "
        "by configuration";
    return failure;
  }
  const LandlockRuleset handled = everything(abi);
  const FileDescriptor ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &handled, ruleset_bytes(abi), 0)));
  if (!ruleset.is_open()) return cannot("landlock_create_ruleset");
  // A file of /proc is another one each time the kernel forgets it: what is held open stays what
  // the rule names.
  static std::vector<FileDescriptor> held;
  for (const auto& path : options.readable) {
    FileDescriptor file(open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!file.is_open() && errno == ENOENT) continue;
    struct stat status{};
    if (!file.is_open() || fstat(file.get(), &status) != 0) return cannot(path.string());
    landlock_path_beneath_attr rule{};
    rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
    if (S_ISDIR(status.st_mode)) rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
    rule.parent_fd = file.get();
    if (syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
      return cannot("landlock_add_rule");
    }
    held.push_back(std::move(file));
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return cannot("landlock_restrict_self");
  }
  return {};
}

// --- seccomp ---

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the seccomp filter of query workers knows x86-64 and arm64"
#endif

/// Answered with EPERM whatever the arguments are. 32-bit numbers: those that newer kernels brought
/// are alike on both architectures.
constexpr auto kForbidden = std::to_array<std::uint32_t>({
    // network and other processes' messages
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_setsockopt,
    SYS_msgget,
    SYS_semget,
    SYS_shmget,
    SYS_shmat,
    SYS_mq_open,
    SYS_mq_unlink,
    // programs and processes
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_process_madvise,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_setns,
    SYS_unshare,
    SYS_setpgid,
    SYS_setsid,
    SYS_sched_setscheduler,
    SYS_sched_setattr,
    SYS_setpriority,
    SYS_personality,
    // users and privileges
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    // paths: everything that changes one
    SYS_truncate,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_unlinkat,
    SYS_renameat2,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_linkat,
    SYS_symlinkat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_memfd_create,
    SYS_fanotify_init,
    SYS_fanotify_mark,
    SYS_inotify_init1,
    SYS_quotactl,
    SYS_chroot,
    SYS_fsync,
    SYS_sync,
    SYS_syncfs,
    SYS_ioctl,
    // mounts
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_swapon,
    SYS_swapoff,
    // the kernel
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_setup,
    SYS_io_submit,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_seccomp,
    SYS_vhangup,
    SYS_lookup_dcookie,
    SYS_vmsplice,
#if defined(__x86_64__)
    SYS_fork,
    SYS_vfork,
    SYS_creat,
    SYS_unlink,
    SYS_rename,
    SYS_renameat,
    SYS_mkdir,
    SYS_rmdir,
    SYS_mknod,
    SYS_link,
    SYS_symlink,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_inotify_init,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_kexec_file_load,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
    SYS_nfsservctl,
#endif
});

constexpr std::uint32_t kErrno = SECCOMP_RET_ERRNO;
constexpr std::uint32_t kWriteFlags =
    O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);

class FilterWriter {
 public:
  void load(std::size_t offset) {
    add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset), 0, 0);
  }
  void load_low_argument(unsigned index) {  // little endian: the low half stands first
    load(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t));
  }
  void load_high_argument(unsigned index) {
    load(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t) + sizeof(std::uint32_t));
  }
  void answer(std::uint32_t value) { add(BPF_RET | BPF_K, value, 0, 0); }
  /// The next `steps` are jumped over unless the loaded value is `value`.
  void unless_equal(std::uint32_t value, std::uint8_t steps) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, steps);
  }
  void if_equal(std::uint32_t value, std::uint8_t steps) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, steps, 0);
  }
  void if_any_bit(std::uint32_t bits, std::uint8_t steps) {
    add(BPF_JMP | BPF_JSET | BPF_K, bits, steps, 0);
  }
  void unless_any_bit(std::uint32_t bits, std::uint8_t steps) {
    add(BPF_JMP | BPF_JSET | BPF_K, bits, 0, steps);
  }
  void forbid(std::uint32_t number, int error = EPERM) {
    unless_equal(number, 1);
    answer(kErrno | static_cast<std::uint32_t>(error));
  }
  [[nodiscard]] std::vector<sock_filter>& code() { return code_; }

 private:
  void add(unsigned code, std::uint32_t k, std::uint8_t yes, std::uint8_t no) {
    code_.push_back({.code = static_cast<std::uint16_t>(code), .jt = yes, .jf = no, .k = k});
  }
  std::vector<sock_filter> code_;
};

/// open() and openat(): reading only.
void add_open_rule(FilterWriter& filter, std::uint32_t number, unsigned flags_argument) {
  filter.unless_equal(number, 4);
  filter.load_low_argument(flags_argument);
  filter.unless_any_bit(kWriteFlags, 1);
  filter.answer(kErrno | EACCES);
  filter.answer(SECCOMP_RET_ALLOW);
}

std::vector<sock_filter> make_filter() {
  FilterWriter filter;
  filter.load(offsetof(seccomp_data, arch));
  filter.if_equal(kArchitecture, 1);
  filter.answer(SECCOMP_RET_KILL_PROCESS);
  filter.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  constexpr std::uint32_t kX32 = 0x40000000;  // the same kernel entry with other numbers
  filter.unless_any_bit(kX32, 1);
  filter.answer(SECCOMP_RET_KILL_PROCESS);
  add_open_rule(filter, SYS_open, 1);
#endif
  add_open_rule(filter, SYS_openat, 2);
  // Their arguments lie in memory, where a filter cannot look: callers fall back on the older ones.
  filter.forbid(SYS_openat2, ENOSYS);
  filter.forbid(SYS_clone3, ENOSYS);
  // Threads, no processes.
  filter.unless_equal(SYS_clone, 4);
  filter.load_low_argument(0);
  filter.if_any_bit(CLONE_THREAD, 1);
  filter.answer(kErrno | EPERM);
  filter.answer(SECCOMP_RET_ALLOW);
  // Signals to itself: abort() needs it.
  const auto self = static_cast<std::uint32_t>(getpid());
  for (const std::uint32_t number : {std::uint32_t{SYS_kill}, std::uint32_t{SYS_tgkill}}) {
    filter.unless_equal(number, 4);
    filter.load_low_argument(0);
    filter.if_equal(self, 1);
    filter.answer(kErrno | EPERM);
    filter.answer(SECCOMP_RET_ALLOW);
  }
  // Limits may be read: prlimit64(pid, resource, nullptr, &old).
  filter.forbid(SYS_setrlimit);
  filter.unless_equal(SYS_prlimit64, 6);
  filter.load_low_argument(2);
  filter.unless_equal(0, 3);
  filter.load_high_argument(2);
  filter.unless_equal(0, 1);
  filter.answer(SECCOMP_RET_ALLOW);
  filter.answer(kErrno | EPERM);
  // Names of threads and of memory, nothing else: not the signal that ends it with its parent.
  filter.unless_equal(SYS_prctl, 5);
  filter.load_low_argument(0);
  filter.if_equal(PR_SET_NAME, 2);
  filter.if_equal(PR_SET_VMA, 1);
  filter.answer(kErrno | EPERM);
  filter.answer(SECCOMP_RET_ALLOW);
  for (const std::uint32_t number : kForbidden) filter.forbid(number);
  filter.answer(SECCOMP_RET_ALLOW);
  return std::move(filter.code());
}

Status restrict_calls() {
  std::vector<sock_filter> code = make_filter();
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) return cannot("seccomp");
  return {};
}

}  // namespace

Status enter_sandbox(const SandboxOptions& options) {
  MR_RETURN_IF_ERROR(set_limits(options));
  MR_RETURN_IF_ERROR(drop_privileges());
  MR_RETURN_IF_ERROR(restrict_files(options));
  return restrict_calls();
}

}  // namespace millrace::sql
