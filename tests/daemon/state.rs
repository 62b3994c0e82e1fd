//! The state file, on disks as they are.

use super::log::{Own, lives_and_ends};
use super::*;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// What becomes of fsync(2) in a program.
#[derive(Clone, Copy)]
enum Fsync {
    /// It fails with this number.
    Fails(libc::c_int),
    /// It hangs, unless somebody [answers](answer).
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
        if listener < 0 || flags != 0 && libc::dup2(listener as i32, LISTENER) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Where the program has the descriptor of who is asked.
const LISTENER: i32 = 100;

/// From now on fsync takes `delay` in a program where it hangs; until that ends.
fn answer(program: u32, delay: Duration) -> std::thread::JoinHandle<()> {
    // SAFETY: takes numbers; what it returns is a new descriptor.
    #[allow(unsafe_code)]
    let listener = unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, program, 0);
        let listener = libc::syscall(libc::SYS_pidfd_getfd, process, LISTENER, 0);
        libc::close(process as i32);
        assert!(listener >= 0, "{}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(listener as i32)
    };
    std::thread::spawn(move || {
        loop {
            // SAFETY: numbers are right when all are zero; the calls get what they write to and read (<linux/seccomp.h>).
            #[allow(unsafe_code)]
            unsafe {
                let mut question: libc::seccomp_notif = std::mem::zeroed();
                let mut answer: libc::seccomp_notif_resp = std::mem::zeroed();
                let fd = listener.as_raw_fd();
                if libc::ioctl(fd, 0xc050_2100, &raw mut question) != 0 {
                    return;
                }
                std::thread::sleep(delay);
                answer.id = question.id;
                answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
                libc::ioctl(fd, 0xc018_2101, &raw mut answer);
            }
        }
    })
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

/// The option names a file that somebody needs.
#[test]
fn a_file_that_is_somebody_elses() {
    in_small(plan(), |lab| {
        let file = lab.node("spoke1").socket().with_extension("state");
        let words = "there is something else than this program's state, and it is left alone";
        let check = |lab: &Lab| {
            let mut command = lab.node("spoke1").ns.command(program().path);
            let output = command.arg("check").arg(lab.node("spoke1").config()).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        assert!(!check(lab).contains(words));
        fs::write(&file, "nameserver 10.0.0.1\n").unwrap();
        let warning = format!("warning: option 'state_file': '{}': {words}", file.display());
        assert!(check(lab).contains(&warning), "{}", check(lab));
        lab.start_all().unwrap();
        all_is_well(lab);
        let log = lab.node("spoke1").log_text();
        let line = format!("{}: {words}; correct option 'state_file'", file.display());
        assert_eq!(log.matches(&line).count(), 1, "{log}");
        assert_eq!(lab.nodes.get_mut("spoke1").unwrap().stop(), Ok(Some(0)));
        assert_eq!(state(lab.node("spoke1")).unwrap(), "nameserver 10.0.0.1\n");
        // Nobody needs what is empty.
        fs::write(&file, "").unwrap();
        lab.start("spoke1").unwrap();
        wait("it is written", || state(lab.node("spoke1")).is_some_and(|text| text.contains("identity ")));
    });
}

/// What was saved last is written before the daemon ends, if that does not take long.
#[test]
fn a_disk_that_is_slow() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let mut own = Own::run(spoke1, &mut daemon(spoke1, Fsync::Hangs), Stdio::null(), Stdio::null());
        let answers = answer(own.0.id(), Duration::from_millis(100));
        lives_and_ends(&mut own, spoke1);
        let text = state(spoke1).unwrap();
        assert!(text.contains("request_id 1536"), "{text}");
        answers.join().unwrap();
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

/// The daemon of a node, whose state file is on a disk of its own that `prepare` spoils.
fn on_a_disk(node: &Node, prepare: &str) -> Command {
    let disk = node.socket().with_extension("disk");
    fs::create_dir_all(&disk).unwrap();
    let at = |text: String| text.replace(".state'", ".disk/state'");
    node.edit_config(at).unwrap();
    let script = format!("cd '{}' && {prepare} && exec \"$@\"", disk.display());
    let mut command = node.ns.command("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(program().path).args(["daemon", "--config"]);
    command.arg(node.config());
    command
}

/// With file systems that are so.
#[test]
fn real_disks_that_are_full_or_read_only() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let full =
            "mount -t tmpfs -o size=4k full \"$PWD\" && { head -c 9000 /dev/zero >\"$PWD\"/fill || :; }";
        let only_read = "mount -t tmpfs -o ro empty \"$PWD\"";
        for (prepare, words) in [(full, "No space left on device"), (only_read, "Read-only file system")] {
            let log = fs::File::create(spoke1.log()).unwrap();
            let mut own = Own::run(spoke1, &mut on_a_disk(spoke1, prepare), Stdio::null(), log);
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
            lives_and_ends(&mut own, spoke1);
            let log = spoke1.log_text();
            let line = format!("{words}; correct option 'state_file'");
            assert_eq!(log.matches(&line).count(), 1, "{log}");
        }
    });
}

/// Flash wears: what is read again is not written again, nor is what a registration needs.
#[test]
fn a_hundred_reloads_write_the_state_once_at_most() {
    in_small(plan(), |lab| {
        use std::os::unix::fs::MetadataExt;
        lab.start_all().unwrap();
        let spoke1 = lab.node("spoke1");
        let file = spoke1.socket().with_extension("state");
        let mut written = std::collections::BTreeSet::new();
        for n in 0..100 {
            // Every other time each VN is another one, and registers anew.
            let (from, to) = if n % 2 == 0 { ("'100'", "'4242'") } else { ("'4242'", "'100'") };
            spoke1.edit_config(|text| text.replace(&format!("vni {from}"), &format!("vni {to}"))).unwrap();
            assert_eq!(dmevpn(spoke1, &["reload"]).status.code(), Some(0));
            let there = fs::metadata(&file).unwrap();
            written.insert((there.ino(), there.mtime_nsec()));
        }
        assert!(written.len() <= 2, "{written:?}");
        wait_status(spoke1, "registered");
    });
}
