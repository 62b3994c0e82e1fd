//! The log: where it goes under a service manager, and that nobody who does not read it stops the daemon.

use super::*;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdout, Stdio};

/// A daemon of the node that is not the lab's, with its own outputs.
struct Own(Child);

impl Own {
    fn start(node: &Node, args: &[&str], out: impl Into<Stdio>, err: impl Into<Stdio>) -> Own {
        let mut command = node.ns.command(program().path);
        command.args(["daemon", "--config"]).arg(node.config()).args(args).env("DMEVPN_SECCOMP", "kill");
        let own = Own(command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap());
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

#[test]
fn a_reader_that_is_gone() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        for args in [&[][..], &["--service"]] {
            let mut own = Own::start(spoke1, args, Stdio::piped(), Stdio::piped());
            drop((own.0.stdout.take(), own.0.stderr.take()));
            for _ in 0..3 {
                assert_eq!(reload(spoke1), Some(0));
            }
            spoke1.edit_config(|text| text.replace("vni '100'", "vni 'many'")).unwrap();
            assert_eq!(reload(spoke1), Some(4));
            spoke1.edit_config(|text| text.replace("vni 'many'", "vni '100'")).unwrap();
            assert_eq!(own.0.try_wait().unwrap(), None, "{args:?}");
            assert!(status(spoke1).contains("registered"));
        }
    });
}

#[test]
fn a_reader_that_does_not_read() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        let mut own = Own::start(spoke1, &["--service"], Stdio::piped(), Stdio::null());
        let mut out = own.0.stdout.take().unwrap();
        make_small(&out);
        for _ in 0..100 {
            assert_eq!(reload(spoke1), Some(0));
        }
        let mut buf = vec![0; 1 << 16];
        let len = out.read(&mut buf).unwrap();
        assert!(buf[..len].ends_with(b"\n"), "no line is cut");
        // Warnings go elsewhere: that lines were lost is told where they were.
        assert_eq!(reload(spoke1), Some(0));
        let len = out.read(&mut buf).unwrap();
        let said = String::from_utf8_lossy(&buf[..len]);
        assert!(said.contains("lines were left out here") && said.contains("is in force"), "{said}");
    });
}

/// A pipe that is full after some lines.
fn make_small(pipe: &ChildStdout) {
    // SAFETY: this fcntl takes no pointers.
    #[allow(unsafe_code)]
    let size = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 8192) };
    assert!(size > 0);
}
