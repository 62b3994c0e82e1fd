//! The state file, on disks as they are.

use super::log::{Own, lives_and_ends};
use super::*;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// What becomes of fsync(2) in a program.
#[derive(Clone, Copy)]
enum Fsync {
    /// It fails with this number.
    Fails(libc::c_int),
    /// It asks somebody who never answers.
    Hangs,
}

/// The daemon of a node, to be run where fsync does that.
fn daemon(node: &Node, fsync: Fsync) -> Command {
    let mut command = node.ns.command(program().path);
    command.args(["daemon", "--config"]).arg(node.config());
    // SAFETY: between fork and exec it makes system calls alone.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || install(fsync));
    }
    command
}

fn install(fsync: Fsync) -> io::Result<()> {
    let (verdict, flags) = match fsync {
        Fsync::Fails(number) => (libc::SECCOMP_RET_ERRNO | number as u32, 0),
        Fsync::Hangs => (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
    };
    let step = |code: u32, k, jf| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_fsync as u32, 1),
        step(libc::BPF_RET | libc::BPF_K, verdict, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program lives during the call; the other takes numbers.
    #[allow(unsafe_code)]
    unsafe {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        let listener = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program);
        // As long as it is open, who asks waits.
        if listener < 0 || flags != 0 && libc::fcntl(listener as i32, libc::F_SETFD, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn state(node: &Node) -> Option<String> {
    fs::read_to_string(node.socket().with_extension("state")).ok()
}

#[test]
fn a_disk_that_never_answers() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let mut own = Own::run(spoke1, &mut daemon(spoke1, Fsync::Hangs), Stdio::null(), Stdio::null());
        assert_eq!(state(spoke1), None, "it does hang");
        lives_and_ends(&mut own, spoke1);
    });
}

#[test]
fn a_disk_that_is_full_or_read_only() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        for (number, words) in
            [(libc::ENOSPC, "No space left on device"), (libc::EROFS, "Read-only file system")]
        {
            let log = fs::File::create(spoke1.log()).unwrap();
            let mut command = daemon(spoke1, Fsync::Fails(number));
            let mut own = Own::run(spoke1, &mut command, Stdio::null(), log);
            lives_and_ends(&mut own, spoke1);
            let log = spoke1.log_text();
            assert_eq!(
                log.matches(&format!("state: {words}; correct option 'state_file'")).count(),
                1,
                "{log}"
            );
            assert_eq!(state(spoke1), None);
        }
    });
}

/// Each run goes on above the numbers of the one before, however soon it is over.
#[test]
fn a_run_that_is_soon_over_has_its_number_saved() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        for run in 1..4 {
            lab.start("spoke1").unwrap();
            wait_status(lab.node("spoke1"), "registered");
            lab.nodes.get_mut("spoke1").unwrap().stop().unwrap();
            let text = state(lab.node("spoke1")).unwrap();
            assert!(text.contains(&format!("request_id {}\n", run * 1536)), "{text}");
        }
    });
}
