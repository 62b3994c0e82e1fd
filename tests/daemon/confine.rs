//! What the daemon gives up: system calls it has no use for. All other tests run with DMEVPN_SECCOMP=kill, so that a
//! call that is missing in its list ends it.

use super::hub::{Hosts, use_hub_name};
use super::*;
use std::net::UdpSocket;
use std::process::{Child, Stdio};

/// The values of KEY in the status of all threads of a process.
fn of_threads(pid: u32, key: &str) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.map(|task| number_in(&task.path().join("status"), key)).collect()
}

/// A daemon of the node that is not the lab's, with its own idea of the filter.
struct Own(Child);

impl Own {
    fn start(node: &Node, seccomp: Option<&str>) -> Own {
        let mut command = node.ns.command(program().path);
        command.args(["daemon", "--config"]).arg(node.config()).env_remove("DMEVPN_SECCOMP");
        if let Some(seccomp) = seccomp {
            command.env("DMEVPN_SECCOMP", seccomp);
        }
        let log = fs::File::create(node.log()).unwrap();
        let own = Own(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        wait_status(node, "registered");
        own
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn json(node: &Node) -> String {
    String::from_utf8(dmevpn(node, &["status", "--json"]).stdout).unwrap()
}

#[test]
fn every_thread_is_confined() {
    in_small(plan(), |lab| {
        lab.start("hub").unwrap();
        let spoke1 = lab.node("spoke1");
        for seccomp in [None, Some("kill")] {
            let daemon = Own::start(spoke1, seccomp);
            let filters = of_threads(daemon.0.id(), "Seccomp:");
            assert!(filters.len() > 1 && filters.iter().all(|mode| *mode == 2), "{filters:?}");
            let privileges = of_threads(daemon.0.id(), "NoNewPrivs:");
            assert!(privileges.iter().all(|none| *none == 1), "{privileges:?}");
            assert!(json(spoke1).contains("\"user\":\"root\",\"confined\":true"), "{}", json(spoke1));
        }
        let daemon = Own::start(spoke1, Some("off"));
        let filters = of_threads(daemon.0.id(), "Seccomp:");
        assert!(filters.iter().all(|mode| *mode == 0), "{filters:?}");
        assert!(json(spoke1).contains("\"confined\":false"), "{}", json(spoke1));
        assert!(spoke1.log_text().contains("system calls are not filtered"), "{}", spoke1.log_text());
    });
}

#[test]
fn a_hub_is_looked_up_by_dns() {
    in_small(plan(), |lab| {
        let spoke1 = lab.node("spoke1");
        let hosts = Hosts::new(spoke1, "");
        fs::write(hosts.0.join("resolv.conf"), "nameserver 10.0.0.1\noptions timeout:1\n").unwrap();
        use_hub_name(spoke1, "hub.example");
        let server = lab.node("hub").ns.run(|| UdpSocket::bind("10.0.0.1:53")).unwrap().unwrap();
        std::thread::spawn(move || answer_names(&server));
        lab.start("hub").unwrap();
        lab.start("spoke1").unwrap();
        wait_status(lab.node("spoke1"), "registered");
        // Threads that wait for nothing would wake up now and then.
        let pid = lab.node("spoke1").pid().unwrap();
        let threads = || -> Vec<String> {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
            tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok()).collect()
        };
        let is_done = || {
            !threads()
                .iter()
                .any(|name| ["name\n", "state\n"].contains(&name.as_str()) || name.starts_with("blocking"))
        };
        assert!(wait_until(SOON, is_done), "{:?}", threads());
    });
}

/// Every name has the address 10.0.0.1, and none of IPv6.
fn answer_names(server: &UdpSocket) {
    let mut buf = [0; 512];
    while let Ok((len, from)) = server.recv_from(&mut buf) {
        let mut message = buf[..len].to_vec();
        // A question is a header of 12 octets, labels up to an empty one, and type and class.
        let name = message[12..].iter().position(|octet| *octet == 0).unwrap();
        let question = 12 + name + 5;
        let is_ipv4 = message[question - 4..question - 2] == [0, 1];
        message.truncate(question);
        message[2..4].copy_from_slice(&[0x81, 0x80]);
        message[6..12].copy_from_slice(&[0, u8::from(is_ipv4), 0, 0, 0, 0]);
        if is_ipv4 {
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]);
        }
        let _ = server.send_to(&message, from);
    }
}
