//! What the daemon gives up: system calls it has no use for. All other tests run with DMEVPN_SECCOMP=kill, so that a
//! call that is missing in its list ends it.

use super::hub::{Hosts, use_hub_name};
use super::*;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
        command.args(["daemon", "--config"]).arg(node.config());
        Own::start_by(node, command, seccomp)
    }

    fn start_by(node: &Node, mut command: Command, seccomp: Option<&str>) -> Own {
        command.env_remove("DMEVPN_SECCOMP");
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

/// Starts program $2 with configuration $3 as packages do: as a user of its own with two capabilities, for whom all is read-only
/// but the directory $1.
const AS_PACKAGES_DO: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
touch "$1/program"
mount --bind "$2" "$1/program"
while read -r _ _ _ _ at _; do
    [ "$at" = "$1" ] || mount -o remount,bind,ro "$at" 2>/dev/null || :
done </proc/self/mountinfo
only=-all,+net_admin,+net_raw
exec setpriv --reuid 4747 --regid 4747 --clear-groups --inh-caps=$only --ambient-caps=$only --bounding-set=$only \
    "$1/program" daemon --service --config "$3"
"#;

#[test]
fn it_has_two_capabilities_and_writes_to_its_state_alone() {
    const NET_ADMIN_AND_NET_RAW: &str = "0000000000003000";
    in_small(plan(), |lab| {
        if Command::new("setpriv").arg("--version").output().is_err() {
            println!("skipped: no setpriv");
            return;
        }
        lab.start("hub").unwrap();
        lab.start("spoke2").unwrap();
        let spoke1 = lab.node("spoke1");
        // State, socket and log are in here.
        let config = spoke1.config();
        let place = config.parent().unwrap();
        std::os::unix::fs::chown(place, Some(4747), Some(4747)).unwrap();
        let mut command = spoke1.ns.command("sh");
        command.args(["-c", AS_PACKAGES_DO, "sh"]).arg(place).arg(program().path).arg(&config);
        let daemon = Own::start_by(spoke1, command, None);
        // Kernel and hub have what the status tells a moment later.
        wait("the first answer", || ping_spoke2(lab, 1).none_lost());
        all_is_well(lab);
        let pid = daemon.0.id();
        let proc = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        for thread in tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()) {
            let of = |key: &str| {
                let line = thread.lines().find_map(|line| line.strip_prefix(key));
                line.unwrap_or_else(|| panic!("no {key} in {thread}")).split_whitespace().collect::<Vec<_>>()
            };
            for key in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                assert_eq!(of(key), [NET_ADMIN_AND_NET_RAW], "{thread}");
            }
            assert_eq!((of("Uid:"), of("Gid:")), (vec!["4747"; 4], vec!["4747"; 4]), "{thread}");
            assert_eq!(
                (of("Groups:"), of("Seccomp:"), of("NoNewPrivs:")),
                (vec![], vec!["2"], vec!["1"]),
                "{thread}"
            );
        }
        // What it has open for writing, and where it could write.
        for file in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            let (name, to) = (file.file_name(), fs::read_link(file.path()).unwrap());
            let info = proc(&format!("fdinfo/{}", name.to_str().unwrap()));
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            let writes = i32::from_str_radix(flags, 8).unwrap() & libc::O_ACCMODE != libc::O_RDONLY;
            let is_its_own = to.starts_with(place) || to == Path::new("/dev/null");
            assert!(!writes || !to.has_root() || is_its_own, "{to:?} is open for writing");
        }
        let kernels_own =
            ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "bpf", "debugfs", "tracefs"];
        let mounts = proc("mountinfo");
        // Of those at one place the last counts.
        let there: BTreeMap<&str, (&str, &str)> = mounts
            .lines()
            .map(|line| {
                let (mount, kind) = line.split_once(" - ").unwrap();
                let fields: Vec<&str> = mount.split(' ').collect();
                (fields[4], (fields[5], kind.split(' ').next().unwrap()))
            })
            .collect();
        for (at, (options, kind)) in there {
            let is_writable = options.split(',').any(|option| option == "rw");
            let is_open = Path::new(at).starts_with(place) || kernels_own.contains(&kind);
            assert!(!is_writable || is_open, "{at}:\n{mounts}");
        }
        assert!(json(spoke1).contains("\"user\":\"4747\",\"confined\":true"), "{}", json(spoke1));
        let state = config.with_extension("state");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(&state).unwrap()), 4747, "{state:?}");
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
