//! The log: where it goes under a service manager, and that nobody who does not read it stops the daemon.

use super::*;
use lab::traffic::{BROADCAST, Sender, experiment};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

/// A daemon of the node that is not the lab's, with its own outputs.
pub struct Own(pub Child);

impl Own {
    fn start(node: &Node, args: &[&str], out: impl Into<Stdio>, err: impl Into<Stdio>) -> Own {
        let mut command = node.ns.command(program().path);
        Own::run(node, command.args(["daemon", "--config"]).arg(node.config()).args(args), out, err)
    }

    pub fn run(node: &Node, command: &mut Command, out: impl Into<Stdio>, err: impl Into<Stdio>) -> Own {
        command.env("DMEVPN_SECCOMP", "kill").stdin(Stdio::null()).stdout(out).stderr(err);
        let own = Own(command.spawn().unwrap());
        wait_status(node, "registered");
        own
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn reload(node: &Node) -> Option<i32> {
    dmevpn(node, &["reload"]).status.code()
}

#[test]
fn a_service_manager_gets_the_text_alone() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let (out, err) = (spoke1.log().with_extension("out"), spoke1.log().with_extension("err"));
        let file = |path| fs::File::create(path).unwrap();
        let own = Own::start(spoke1, &["--service"], file(&out), file(&err));
        // Nothing of a wrong value commands a terminal, or is a line of its own.
        spoke1.edit_config(|text| text.replace("vni '100'", "vni '\x1b[31m7\x07'")).unwrap();
        assert_eq!(reload(spoke1), Some(4));
        // A program that is killed takes its last lines with it.
        wait("it is written", || fs::read_to_string(&err).is_ok_and(|text| text.contains("uci:")));
        drop(own);

        let (out, err) = (fs::read_to_string(out).unwrap(), fs::read_to_string(err).unwrap());
        assert!(out.lines().any(|l| l.starts_with("test: registered with hub 10.0.0.1")), "{out}");
        assert!(!out.contains("refused"), "{out}");
        let line =
            fs::read_to_string(spoke1.config()).unwrap().lines().position(|l| l.contains("vni '")).unwrap();
        let where_it_is = format!("{}:{}: ", spoke1.config().display(), line + 1);
        assert!(err.lines().any(|l| l.starts_with(&where_it_is)), "{err}");
        for text in [out, err] {
            assert!(text.lines().all(|l| !l.contains("INFO") && !l.contains("dmevpn::")), "{text}");
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        }

        // A configuration that is wrong at the start is told in the same way.
        let mut command = spoke1.ns.command(program().path);
        let refused =
            command.args(["daemon", "--service", "--config"]).arg(spoke1.config()).output().unwrap();
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(4), 0));
        let err = String::from_utf8(refused.stderr).unwrap();
        assert!(err.lines().any(|l| l.starts_with(&where_it_is)), "{err}");
        assert!(err.chars().all(|c| c == '\n' || !c.is_control()), "{err:?}");
    });
}

#[test]
fn a_person_gets_the_level_and_no_module() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "registered");
        let log = lab.node("spoke1").log_text();
        assert!(log.lines().any(|l| l.starts_with("INFO  [dmevpn] test: registered")), "{log}");
        assert!(!log.contains("dmevpn::"), "{log}");
    });
}

/// So many lines are logged by each of [`many_lines`], with more than 4096 octets.
const LINES: usize = 21;

/// The configuration is refused for a lot of reasons.
fn many_lines(node: &Node, times: usize) {
    let right = fs::read_to_string(node.config()).unwrap();
    let wrong: String = (1..LINES).map(|n| format!("\n\toption unknown_{n} '1'")).collect();
    node.edit_config(|text| text.replace("vni '100'", &format!("vni '100'{wrong}"))).unwrap();
    for _ in 0..times {
        assert_eq!(reload(node), Some(4));
    }
    node.edit_config(|_| right).unwrap();
}

/// Commands are obeyed at once, and so is the order to end.
#[track_caller]
pub fn lives_and_ends(own: &mut Own, node: &Node) {
    let begun = Instant::now();
    assert!(status(node).contains("registered"));
    assert_eq!(reload(node), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(1), "commands took {:?}", begun.elapsed());
    let begun = Instant::now();
    lab::sys::kill(own.0.id(), libc::SIGTERM).unwrap();
    wait("the daemon ends", || own.0.try_wait().unwrap().is_some());
    assert_eq!(own.0.try_wait().unwrap().unwrap().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3), "the end took {:?}", begun.elapsed());
}

#[test]
fn a_reader_that_is_gone() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        for args in [&[][..], &["--service"]] {
            let mut own = Own::start(spoke1, args, Stdio::piped(), Stdio::piped());
            drop((own.0.stdout.take(), own.0.stderr.take()));
            many_lines(spoke1, 3);
            lives_and_ends(&mut own, spoke1);
        }
    });
}

#[test]
fn outputs_that_take_nothing_or_not_much() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let full = || fs::File::options().write(true).open("/dev/full").unwrap();
        for args in [&[][..], &["--service"]] {
            let mut own = Own::start(spoke1, args, full(), full());
            many_lines(spoke1, 3);
            lives_and_ends(&mut own, spoke1);

            let file = spoke1.log().with_extension("short");
            for how in ["exec \"$0\" \"$@\" >&- 2>&-", "ulimit -f 1; exec \"$0\" \"$@\""] {
                let mut command = spoke1.ns.command("sh");
                let program = program().path;
                command.args(["-c", how]).arg(program).args(["daemon", "--config"]).arg(spoke1.config());
                let out = fs::File::create(&file).unwrap();
                let mut own = Own::run(spoke1, command.args(args), out.try_clone().unwrap(), out);
                many_lines(spoke1, 3);
                lives_and_ends(&mut own, spoke1);
                assert!(fs::metadata(&file).unwrap().len() <= 1024);
            }
        }
    });
}

/// Nobody reads, and then somebody does: all lines are there, whole, up to those for which there was no room; and how
/// many those were.
#[test]
fn a_reader_that_does_not_read() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        spoke1.edit_config(|text| text.replace("log_level 'debug'", "log_level 'info'")).unwrap();
        for args in [&[][..], &["--service"]] {
            let mut own = Own::start(spoke1, args, Stdio::null(), Stdio::piped());
            let mut err = own.0.stderr.take().unwrap();
            make_small(&err);
            let mut read_until = |is_enough: &dyn Fn(&[&str]) -> bool| {
                let (mut buf, mut said) = (vec![0; 1 << 16], String::new());
                while !said.ends_with('\n') || !is_enough(&said.lines().collect::<Vec<_>>()) {
                    assert!(has_something(&err), "nothing comes after {said}");
                    let len = err.read(&mut buf).unwrap();
                    said.push_str(str::from_utf8(&buf[..len]).unwrap());
                }
                said
            };
            let long_ones =
                |lines: &[&str]| lines.iter().filter(|l| l.contains("unknown in section")).count();
            many_lines(spoke1, 8);
            let said = read_until(&|lines| long_ones(lines) == 8 * (LINES - 1));
            assert!(!said.contains("lost"), "{said}");

            many_lines(spoke1, 30);
            assert!(status(spoke1).contains("registered"));
            // Nothing more is logged.
            let said = read_until(&|lines| lines.iter().any(|l| l.contains("lines were lost here")));
            let lines: Vec<_> = said.lines().collect();
            let (last, told) = lines.split_last().unwrap();
            let lost: usize = last.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
            assert_eq!(told.len() + lost, 30 * LINES, "{last}");
            let octets: usize = told.iter().map(|l| l.len() + 1).sum();
            assert!((60_000..80_000).contains(&octets), "{octets} octets were kept");
            let is_whole = |l: &&str| l.ends_with(", ...") || l.ends_with("stays as it is");
            assert!(told.iter().all(is_whole), "{said}");

            many_lines(spoke1, 30);
            lives_and_ends(&mut own, spoke1);
        }
    });
}

/// A terminal says that there is room as long as there is room for one octet.
#[test]
fn a_terminal_that_stands_still() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let (_master, slave) = terminal();
        let mut own = Own::start(spoke1, &[], Stdio::null(), slave);
        many_lines(spoke1, 30);
        lives_and_ends(&mut own, spoke1);
    });
}

/// What was refused is told once something is taken.
#[test]
fn a_reader_that_comes_again() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let fifo = spoke1.log().with_extension("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let open = |write: bool| {
            let mut options = fs::File::options();
            options.read(!write).write(write).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap()
        };
        let mut reader = open(false);
        let own = Own::start(spoke1, &[], Stdio::null(), open(true));
        drop(reader);
        (0..3).for_each(|_| assert_eq!(reload(spoke1), Some(0)));
        std::thread::sleep(Duration::from_millis(200));
        reader = open(false);
        assert_eq!(reload(spoke1), Some(0));
        let mut said = Vec::new();
        wait("it is told", || {
            // It is over when nothing is there.
            let _ = reader.read_to_end(&mut said);
            // Those of the reloads at least; a daemon that has just started has more to say.
            let said = String::from_utf8_lossy(&said);
            let before =
                said.split(" lines were lost here").next().filter(|before| before.len() < said.len());
            before
                .and_then(|b| b.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
                .is_some_and(|n: u32| n >= 3)
        });
        drop(own);
    });
}

/// 100 MACs move from one site to another: ten lines are enough for the log, all are there for who asks, and when all is
/// over the log has the number.
#[test]
fn what_happens_often_does_not_fill_the_log() {
    in_small(plan(), |lab| {
        lab.add_host("vm2", "spoke2", "br-test", lab::mac(0x0d), inside(13)).unwrap();
        lab.node("hub").edit_config(|text| text.replace("log_level 'debug'", "log_level 'info'")).unwrap();
        lab.start_all().unwrap();
        all_is_well(lab);
        let hub = lab.node("hub");
        for host in ["vm1", "vm2"] {
            let sender = Sender::new(&lab.host(host).ns, "eth0").unwrap();
            for number in 0..100 {
                sender.send(&experiment(BROADCAST, lab::mac(0x4000 + number), number.into(), 60)).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let moved = |text: &str| text.lines().filter(|l| l.contains("moved to spoke")).count();
        let events = || String::from_utf8(dmevpn(hub, &["events"]).stdout).unwrap();
        wait("all have moved", || moved(&events()) >= 100);
        let happened = moved(&events());
        assert_eq!(moved(&hub.log_text()), 10, "{}", hub.log_text());
        // Nobody is waited for at the end.
        hub.signal(libc::SIGTERM).unwrap();
        let number =
            format!("(and {} more like it within a minute; 'dmevpn monitor' shows all)", happened - 10);
        wait("the number is told", || hub.log_text().contains(&number));
        assert_eq!(moved(&hub.log_text()), 11, "{}", hub.log_text());
    });
}

/// Whether there is something to read, in time.
fn has_something(pipe: &ChildStderr) -> bool {
    let mut poll = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: it is one `pollfd`, as the kernel is told.
    #[allow(unsafe_code)]
    let ready = unsafe { libc::poll(&raw mut poll, 1, 5000) };
    ready == 1 && poll.revents & libc::POLLIN != 0
}

/// A pipe that is full after some lines.
fn make_small(pipe: &ChildStderr) {
    // SAFETY: this fcntl takes no pointers.
    #[allow(unsafe_code)]
    let size = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    assert!(size > 0);
}

/// A terminal: where its user would be, and where programs are.
fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: the descriptors are written where there is room for them, and are ours.
    #[allow(unsafe_code)]
    unsafe {
        assert_eq!(libc::openpty(&raw mut master, &raw mut slave, none, none.cast(), none.cast()), 0);
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    }
}
