//! The daemon's own seccomp filter: system calls that it has no use for are refused once it runs, so that whoever
//! gets hold of it cannot start programs, mount, trace others, or load code into the kernel.
//!
//! It is the daemon's own and not the service manager's: so it fits every build, also a static one, and every way to
//! start it. A libc of tomorrow may want other calls: those fail with EPERM, and those that are newer than this file
//! with ENOSYS, as on an older kernel, for which a libc has another way.
//!
//! The variable DMEVPN_SECCOMP says `kill` where a call that is missing here has to be noticed, as in tests, and `off`
//! for a debugger's sake.

mod calls;

use super::words::InWords;
use calls::{ARCH, CLONE, CLONE3, UNKNOWN};
use libc::sock_filter;
use std::io;
use std::mem::offset_of;

/// From now on, for all threads: no new privileges, and no other system calls than the daemon's.
/// Where that cannot be had, the log says so.
pub fn confine() {
    let refuse = match std::env::var("DMEVPN_SECCOMP").as_deref() {
        Ok("off") => return log::info!("system calls are not filtered: DMEVPN_SECCOMP is 'off'"),
        Ok("kill") => libc::SECCOMP_RET_KILL_PROCESS,
        _ => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
    };
    if ARCH == 0 {
        return log::info!("system calls are not filtered: those of this processor are not known");
    }
    if let Err(e) = install(&mut program(refuse)) {
        log::info!("system calls are not filtered: {}", InWords(&e));
    }
}

fn install(program: &mut [sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: `program` and the instructions it points to live during the calls.
    #[allow(unsafe_code)]
    let result = unsafe {
        // Who is not root may have no filter without it. It fails on kernels that have no filters either.
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            // Also for the threads that are there already.
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    match result {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!("thread {thread} has another filter"))),
    }
}

/// The filter, in the kernel's classic BPF: it gets a `seccomp_data`, and says what to do.
fn program(refuse: u32) -> Vec<sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const FLAGS: usize =
        offset_of!(libc::seccomp_data, args) + if cfg!(target_endian = "big") { 4 } else { 0 };

    // Jumps lead forward, over as many instructions as they say: to the verdicts behind the list of `n` calls.
    let n = calls::allowed().count() as u8;
    let step = |code, k| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump = |code, k, jt, jf| sock_filter { code: code as u16, jt, jf, k };
    let mut program = vec![
        step(LOAD, offset_of!(libc::seccomp_data, arch) as u32),
        jump(EQUAL, ARCH, 0, n + 4),
        step(LOAD, offset_of!(libc::seccomp_data, nr) as u32),
        jump(AT_LEAST, UNKNOWN, n + 4, 0),
        jump(EQUAL, CLONE3, n + 3, 0),
        jump(EQUAL, CLONE, n + 3, 0),
    ];
    program.extend((0..n).rev().zip(calls::allowed()).map(|(left, call)| jump(EQUAL, call, left + 1, 0)));
    program.extend([
        step(RETURN, refuse),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
        step(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        // A thread, but no other process and no namespace.
        step(LOAD, FLAGS as u32),
        jump(HAS, libc::CLONE_THREAD as u32, 0, 1),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
        step(RETURN, refuse),
    ]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    /// What the kernel would do: `seccomp_data` is the number, the processor, and from octet 16 on the arguments.
    fn verdict(program: &[sock_filter], call: u32, arch: u32, flags: u32) -> u32 {
        let mut at = 0;
        let mut accumulator = 0;
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let holds = match u32::from(code) {
                0x20 => {
                    accumulator = match k {
                        0 => call,
                        4 => arch,
                        16 if cfg!(target_endian = "little") => flags,
                        20 if cfg!(target_endian = "big") => flags,
                        _ => panic!("nothing is to be had at {k}"),
                    };
                    continue;
                }
                0x06 => return k,
                0x15 => accumulator == k,
                0x35 => accumulator >= k,
                0x45 => accumulator & k != 0,
                _ => panic!("the kernel knows no {code:#x}"),
            };
            at += usize::from(if holds { jt } else { jf });
        }
    }

    #[test]
    fn what_is_in_the_list_is_allowed_and_nothing_else() {
        let program = program(REFUSE);
        let allowed: Vec<u32> = calls::allowed().collect();
        assert!(allowed.len() < 240, "a jump reaches 255 instructions");
        for call in (0..UNKNOWN).filter(|call| ![CLONE, CLONE3].contains(call)) {
            let expected = if allowed.contains(&call) { ALLOW } else { REFUSE };
            assert_eq!(verdict(&program, call, ARCH, 0), expected, "{call}");
            assert_eq!(verdict(&program, call, ARCH ^ 1, 0), REFUSE, "{call} of another processor");
        }
        for call in
            [libc::SYS_execve, libc::SYS_ptrace, libc::SYS_mount, libc::SYS_bpf, libc::SYS_init_module]
        {
            assert_eq!(verdict(&program, call as u32, ARCH, 0), REFUSE, "{call}");
        }
    }

    #[test]
    fn new_calls_are_absent_and_only_threads_are_cloned() {
        let program = program(REFUSE);
        for call in [UNKNOWN, UNKNOWN + 1, u32::MAX, CLONE3] {
            assert_eq!(verdict(&program, call, ARCH, 0), ABSENT, "{call}");
        }
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD) as u32;
        assert_eq!(verdict(&program, CLONE, ARCH, thread), ALLOW);
        for flags in [libc::SIGCHLD, libc::CLONE_NEWUSER, libc::CLONE_VM | libc::CLONE_VFORK] {
            assert_eq!(verdict(&program, CLONE, ARCH, flags as u32), REFUSE);
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut calls: Vec<u32> = calls::allowed().collect();
        calls.sort_unstable();
        assert!(calls.windows(2).all(|two| two[0] < two[1]));
    }
}
