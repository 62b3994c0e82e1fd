//! The system calls of the daemon, by processor: what Rust's library and musl or glibc make of what it does.

/// Numbers as the filter compares them.
macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name as u32),*] };
}

/// What a new call is checked against: `AUDIT_ARCH_*` of <linux/audit.h>. 0: the filter does not know this processor.
pub const ARCH: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else if cfg!(all(target_arch = "arm", target_endian = "little")) {
    0x4000_0028
} else if cfg!(all(target_arch = "mips", target_endian = "little")) {
    0x4000_0008
} else if cfg!(target_arch = "mips") {
    8
} else {
    0
};

/// Where the numbers of this processor begin.
const BASE: u32 = if cfg!(target_arch = "mips") { 4000 } else { 0 };

/// The first call that is newer than this file (452, of Linux 6.6); from 403 on all processors have the same ones.
pub const UNKNOWN: u32 = BASE + 452;

/// The calls that all processors have, the most frequent ones first.
#[rustfmt::skip]
const COMMON: &[u32] = calls![
    SYS_epoll_pwait SYS_recvfrom SYS_recvmsg SYS_sendto SYS_sendmsg SYS_read SYS_write SYS_timerfd_settime SYS_futex SYS_clock_gettime
    // Files and devices; reload and the state file.
    SYS_openat SYS_close SYS_readv SYS_writev SYS_lseek SYS_fsync SYS_statx SYS_ioctl SYS_mkdirat SYS_unlinkat SYS_fchmod SYS_fchmodat
    // Sockets; with what looks up a hub's name.
    SYS_socket SYS_bind SYS_connect SYS_listen SYS_accept4 SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt SYS_shutdown
    SYS_sendmmsg SYS_recvmmsg SYS_ppoll SYS_epoll_ctl SYS_uname SYS_sysinfo SYS_gettimeofday
    SYS_getuid SYS_geteuid SYS_getgid SYS_getegid
    // Memory.
    SYS_brk SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_getrandom
    // Threads and signals, up to the end.
    SYS_set_robust_list SYS_membarrier SYS_sched_yield SYS_sched_getaffinity SYS_prlimit64 SYS_prctl SYS_nanosleep SYS_clock_nanosleep
    SYS_sigaltstack SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_restart_syscall
    SYS_getpid SYS_gettid SYS_tkill SYS_tgkill SYS_exit SYS_exit_group
];

/// Allowed for threads alone.
pub const CLONE: u32 = libc::SYS_clone as u32;
/// Its flags are in memory, where a filter cannot look: it does not exist (ENOSYS), and a libc takes `clone`.
pub const CLONE3: u32 = BASE + 435;

/// The calls that not all processors have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OWN: &[u32] = calls![
    SYS_mmap SYS_fcntl SYS_open SYS_stat SYS_lstat SYS_fstat SYS_newfstatat SYS_poll SYS_epoll_wait SYS_rename SYS_renameat SYS_unlink SYS_mkdir
    SYS_chmod SYS_access SYS_time SYS_rseq
];

#[cfg(target_arch = "aarch64")]
const OWN: &[u32] = calls![SYS_mmap SYS_fcntl SYS_fstat SYS_newfstatat SYS_renameat SYS_faccessat SYS_rseq];

#[cfg(any(target_arch = "arm", target_arch = "mips"))]
#[rustfmt::skip]
const OWN: &[u32] = calls![
    SYS_mmap2 SYS_fcntl64 SYS_fstat64 SYS_stat64 SYS_lstat64 SYS__llseek SYS_open SYS_poll SYS_epoll_wait SYS_rename SYS_renameat SYS_unlink
    SYS_mkdir SYS_chmod SYS_access SYS_recv SYS_send SYS_sigreturn
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm", target_arch = "mips")))]
const OWN: &[u32] = &[];

/// The calls that the libc crate has no names for.
#[cfg(target_arch = "arm")]
const NAMELESS: &[u32] = &[
    327, // fstatat64
    398, // rseq
    199, 200, 201, 202, // getuid32, getgid32, geteuid32, getegid32
];

#[cfg(target_arch = "mips")]
const NAMELESS: &[u32] = &[
    BASE + 293, // fstatat64
    BASE + 367, // rseq
];

#[cfg(not(any(target_arch = "arm", target_arch = "mips")))]
const NAMELESS: &[u32] = &[];

/// clock_gettime, clock_nanosleep, timerfd_settime, ppoll, recvmmsg and futex with a time of 64 bits, where `long` has 32.
#[cfg(target_pointer_width = "32")]
const TIME64: &[u32] = &[BASE + 403, BASE + 407, BASE + 411, BASE + 414, BASE + 417, BASE + 422];

#[cfg(not(target_pointer_width = "32"))]
const TIME64: &[u32] = &[];

/// All that are allowed without a condition.
pub fn allowed() -> impl Iterator<Item = u32> {
    [COMMON, TIME64, OWN, NAMELESS].into_iter().flatten().copied()
}
