//! What another program says. The standard library's way to run one takes 30 kB of a MIPS program.

use super::clock::Clock;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null;
use std::time::Duration;

/// All of its environment. The C library's own is data, which a program that is linked to it has a copy of, made for one
/// build of the library and none other.
const ENVIRONMENT: [&CStr; 2] = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin", c"LC_ALL=C"];

/// So often it is looked whether a child that said all has ended.
const LOOK: Duration = Duration::from_millis(1);

/// What a command of the shell says on standard output, at most `most` octets, and its exit code; an error when saying that
/// and ending takes longer than `limit`: then it is killed.
pub fn said_by(command: &CStr, limit: Duration, most: usize) -> io::Result<(i32, Vec<u8>)> {
    let (output, input) = pipe()?;
    let mut pid = 0;
    let arguments = [c"sh".as_ptr(), c"-c".as_ptr(), command.as_ptr(), null()];
    let [path, language] = ENVIRONMENT.map(CStr::as_ptr);
    let environment = [path, language, null()];
    // SAFETY: the actions are initialised before they are used and destroyed after; texts and lists end as they have to, and
    // live until the program is started.
    #[allow(unsafe_code)]
    let result = unsafe {
        let mut actions: libc::posix_spawn_file_actions_t = std::mem::zeroed();
        libc::posix_spawn_file_actions_init(&raw mut actions);
        libc::posix_spawn_file_actions_adddup2(&raw mut actions, input.as_raw_fd(), libc::STDOUT_FILENO);
        let result = libc::posix_spawn(
            &raw mut pid,
            c"/bin/sh".as_ptr(),
            &raw const actions,
            null(),
            arguments.as_ptr().cast(),
            environment.as_ptr().cast(),
        );
        libc::posix_spawn_file_actions_destroy(&raw mut actions);
        result
    };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    drop(input);
    let clock = Clock::start();
    let begun = clock.now();
    let left = || limit.saturating_sub(clock.now().since(begun));
    let said = all_of(output, left, most).and_then(|said| Ok((end_of(pid, left)?, said)));
    if said.is_err() {
        // SAFETY: takes numbers. The child was not waited for, so the number is still its own.
        #[allow(unsafe_code)]
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
    said
}

/// The exit code of a child; what ended it otherwise is above the lowest eight bits.
fn end_of(pid: libc::pid_t, left: impl Fn() -> Duration) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: takes numbers, and writes one.
    #[allow(unsafe_code)]
    while unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == 0 {
        if left().is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(libc::WEXITSTATUS(status) | libc::WTERMSIG(status) << 8)
}

fn pipe() -> io::Result<(File, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two numbers; they are new descriptors, unless it fails.
    #[allow(unsafe_code)]
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((File::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

fn all_of(mut output: File, left: impl Fn() -> Duration, most: usize) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    let mut part = [0; 4096];
    while said.len() < most {
        let mut polled = libc::pollfd { fd: output.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives until the call returns.
        #[allow(unsafe_code)]
        if unsafe { libc::poll(&raw mut polled, 1, left().as_millis() as libc::c_int) } <= 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match output.read(&mut part)? {
            0 => break,
            length => said.extend_from_slice(&part[..length]),
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_and_how_it_ends() {
        let said = |command| said_by(command, Duration::from_millis(500), 1 << 16);
        assert_eq!(said(c"echo it; exit 7").unwrap(), (7, b"it\n".to_vec()));
        assert_eq!(said(c"exec no-such-program 2>/dev/null").unwrap().0, 127);
        assert_eq!(said(c"kill -9 $$").unwrap().0, 9 << 8);
        for endless in [c"exec sleep 20", c"exec sleep 20 >&-", c"while sleep 0.1; do echo; done"] {
            assert_eq!(said(endless).unwrap_err().kind(), io::ErrorKind::TimedOut, "{endless:?}");
        }
        assert!(said(c"exec yes").unwrap().1.len() >= 1 << 16, "no more than is wanted");
    }
}
