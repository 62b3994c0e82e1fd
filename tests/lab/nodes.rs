//! Routers, hosts and the underlay between them.

use super::netns::{Counters, Netns, run};
use super::{MacBytes, Res, clean, fdb, mac, sys, text_of_mac, wait_for, wait_until};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long anything may take that needs no holding time to pass.
pub const SOON: Duration = Duration::from_secs(10);

/// How the daemon is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// A variable that makes the executable be the daemon, when it is usually something else.
    pub variable: Option<&'static str>,
}

/// How a lab is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The daemon; `None` leaves the data plane to whoever made the lab.
    pub program: Option<Program>,
    /// Whether the underlay is IPv6.
    pub ipv6: bool,
    /// Seconds.
    pub holding_time: u16,
    /// Seconds.
    pub negative_time: u16,
}

/// A node's part in a virtual network.
#[derive(Clone, Debug)]
pub struct Vn {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its name on the wire.
    pub vpn_id: u32,
    /// The bridge of the site.
    pub bridge: &'static str,
    /// A spoke's VXLAN device and its VNI; a hub has none of its own.
    pub tunnel: Option<(&'static str, u32)>,
}

/// The MAC of the network card that has an underlay address.
fn card(nbma: IpAddr) -> String {
    let number = match nbma {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    format!("02:00:00:00:ff:{number:02x}")
}

/// The VN of the picture, at a spoke.
pub fn test_vn(vni: u32) -> Vn {
    Vn { name: "test", vpn_id: 1, bridge: "br-test", tunnel: Some(("tunnel2", vni)) }
}

/// A second VN, at a spoke.
pub fn other_vn(vni: u32) -> Vn {
    Vn { name: "other", vpn_id: 2, bridge: "br-other", tunnel: Some(("tunnel3", vni)) }
}

/// How a spoke's VN names `hub<n>`.
fn listed(n: u8) -> String {
    format!("\tlist hub 'dc{n}'\n")
}

/// A router.
pub struct Node {
    /// Its name in the lab.
    pub name: String,
    /// Its namespace.
    pub ns: Netns,
    /// Its underlay address, on `eth1`.
    pub nbma: IpAddr,
    /// Its VNs.
    pub vns: Vec<Vn>,
    files: PathBuf,
    daemon: Option<Child>,
}

/// A host behind a router: an interface `eth0` in a namespace of its own.
pub struct Host {
    /// Its namespace.
    pub ns: Netns,
    /// Its address.
    pub mac: MacBytes,
    /// Its IPv4 address.
    pub ip: Ipv4Addr,
}

/// A whole network; all of it goes when this is dropped.
pub struct Lab {
    /// How it was made.
    pub plan: Plan,
    /// Hosts by name. (Before the nodes, so that they go first.)
    pub hosts: BTreeMap<String, Host>,
    /// Routers by name.
    pub nodes: BTreeMap<String, Node>,
    /// The switch between the routers; a test makes a router of it, too.
    pub switch: Netns,
    /// What stands between a node and the switch.
    between: Vec<Netns>,
    tag: String,
    files: PathBuf,
}

impl Lab {
    /// An underlay without nodes.
    pub fn new(plan: Plan) -> Res<Lab> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let letter = if number == 0 { String::new() } else { format!("n{number}") };
        let tag = format!("{}{pid}{letter}", clean::PREFIX);
        let files = clean::directory(pid).join(number.to_string());
        fs::create_dir_all(&files).map_err(|e| format!("{}: {e}", files.display()))?;
        let switch = Netns::new(format!("{tag}-wan"))?;
        switch.ip("link add wan type bridge mcast_snooping 0\nlink set wan up")?;
        Ok(Lab {
            plan,
            hosts: BTreeMap::new(),
            nodes: BTreeMap::new(),
            switch,
            between: Vec::new(),
            tag,
            files,
        })
    }

    /// The underlay address of the `n`th router; the hub is the first.
    pub fn nbma(&self, n: u8) -> IpAddr {
        if self.plan.ipv6 {
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n.into()).into()
        } else {
            Ipv4Addr::new(10, 0, 0, n).into()
        }
    }

    /// Adds the hub of these VNs (with the VNs' names and bridges as at the spokes).
    pub fn add_hub(&mut self, vns: Vec<Vn>) -> Res {
        let vns = vns.into_iter().map(|vn| Vn { tunnel: None, ..vn }).collect();
        self.add_node("hub".into(), 1, vns)
    }

    /// Adds `hub<n>` of these VNs, whose address ends in 100 + n. Who its peers are is for [`Lab::link_hubs`] to say.
    pub fn add_other_hub(&mut self, n: u8, vns: Vec<Vn>) -> Res {
        let vns = vns.into_iter().map(|vn| Vn { tunnel: None, ..vn }).collect();
        self.add_node(format!("hub{n}"), 100 + n, vns)
    }

    /// Has each hub know all others as its peers, in all VNs.
    pub fn link_hubs(&self) -> Res {
        let hubs: Vec<&Node> = self.hubs().collect();
        for hub in &hubs {
            let others = || hubs.iter().filter(|other| other.name != hub.name);
            let peers: String = others().map(|other| format!("\tlist peer '{}'\n", other.name)).collect();
            let section = |other: &&&Node| {
                format!("\nconfig hub '{}'\n\toption address '{}'\n", other.name, other.nbma)
            };
            let sections: String = others().map(|other| section(&other)).collect();
            let role = "\toption role 'hub'\n";
            hub.edit_config(|text| text.replace(role, &format!("{role}{peers}")) + &sections)?;
        }
        Ok(())
    }

    /// Adds `hub2`: the spokes there are have both, and prefer the first.
    pub fn add_second_hub(&mut self, vns: Vec<Vn>) -> Res {
        self.add_spare_hub(2, vns)
    }

    /// Adds `hub<n>`, which the spokes there are know as `dc<n>`, and prefer the ones before.
    pub fn add_spare_hub(&mut self, n: u8, vns: Vec<Vn>) -> Res {
        self.add_other_hub(n, vns)?;
        let hub =
            format!("\nconfig hub 'dc{n}'\n\toption address '{}'\n", self.node(&format!("hub{n}")).nbma);
        let (last, own) = (listed(n - 1), listed(n));
        self.spokes().try_for_each(|spoke| {
            spoke.edit_config(|text| text.replace(&last, &format!("{last}{own}")) + &hub)
        })
    }

    /// A spoke prefers `hub<n>` from its next start on.
    pub fn prefer(&self, spoke: &str, n: u8) -> Res {
        let (first, own) = (listed(1), listed(n));
        self.node(spoke).edit_config(|text| text.replace(&own, "").replace(&first, &format!("{own}{first}")))
    }

    /// Adds `spoke<n>`, the site's bridges included. Its address ends in n + 1, as in the picture.
    pub fn add_spoke(&mut self, n: u8, vns: Vec<Vn>) -> Res {
        let bridges = vns.iter().enumerate().fold(String::new(), |mut lines, (i, vn)| {
            let address = text_of_mac(bridge_mac(n, i));
            let bridge = vn.bridge;
            // Snooping is off until a scene is about it: a snooping bridge introduces itself to the neighbours,
            // and first contact would be made before anybody wants it.
            let _ = writeln!(
                lines,
                "link add {bridge} address {address} type bridge mcast_snooping 0\nlink set {bridge} up"
            );
            lines
        });
        self.add_node(format!("spoke{n}"), n + 1, vns)?;
        self.node(&format!("spoke{n}")).ns.ip(&bridges)
    }

    fn add_node(&mut self, name: String, number: u8, vns: Vec<Vn>) -> Res {
        let ns = self.netns(&name)?;
        let nbma = self.nbma(number);
        // A machine that reboots keeps its network card.
        self.switch.ip(&format!(
            "link add {name} type veth peer name eth1 address {} netns {}\nlink set {name} master wan up",
            card(nbma),
            ns.name
        ))?;
        let prefix = if self.plan.ipv6 { "64 nodad" } else { "24" };
        ns.ip(&format!("link set eth1 up\naddr add {nbma}/{prefix} dev eth1"))?;
        let node = Node { files: self.files.join(&name), name: name.clone(), ns, nbma, vns, daemon: None };
        fs::write(node.config(), self.uci(&node)).map_err(|e| e.to_string())?;
        self.nodes.insert(name, node);
        Ok(())
    }

    /// Tells the routers each other's MACs. On the Internet the only neighbour is the provider; here all are, and the
    /// kernel's table has places for 1024 that were found, all namespaces together.
    pub fn introduce(&self) -> Res {
        let lines = self.nodes.values().fold(String::new(), |mut lines, node| {
            let _ = writeln!(
                lines,
                "neigh replace {} lladdr {} dev eth1 nud permanent",
                node.nbma,
                card(node.nbma)
            );
            lines
        });
        self.nodes.values().try_for_each(|node| node.ns.ip(&lines))
    }

    /// The hub's machine reboots: nothing is left in its kernel, and what is on its disk is.
    pub fn reboot_hub(&mut self) -> Res {
        let mut hub = self.nodes.remove("hub").ok_or("no hub")?;
        hub.kill()?;
        self.switch.ip("link del hub")?;
        let vns = core::mem::take(&mut hub.vns);
        let config = fs::read_to_string(hub.config()).map_err(|e| e.to_string())?;
        drop(hub);
        self.add_hub(vns)?;
        self.node("hub").edit_config(|_| config)
    }

    /// A namespace that is called `name` in the lab.
    pub fn netns(&self, name: &str) -> Res<Netns> {
        Netns::new(format!("{}-{name}", self.tag))
    }

    /// Connects another interface of a node to the underlay, as `port` of its switch, with the same MAC each time. It is
    /// up. Each interface of the node answers for its own addresses only, from now on.
    pub fn add_uplink(&self, node: &str, interface: &str, port: &str) -> Res {
        let ns = &self.node(node).ns;
        for (key, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
            let path = format!("/proc/sys/net/ipv4/conf/all/{key}");
            ns.run(|| fs::write(path, value))?.map_err(|e| e.to_string())?;
        }
        let number = port.bytes().fold(0, |sum: u16, octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
        self.switch.ip(&format!(
            "link add {port} type veth peer name {interface} address {} netns {}\nlink set {port} master wan up",
            text_of_mac(mac(number)),
            ns.name
        ))?;
        ns.ip(&format!("link set {interface} up"))
    }

    /// Puts a router between a node and the underlay that translates the node's address, one to one. From now on the node
    /// has `private`, also in its configuration, and is known by the address it had.
    pub fn put_behind_nat(&mut self, name: &str, private: [u8; 4]) -> Res {
        let router = self.netns(&format!("{name}-nat"))?;
        let (node, private) = (self.node(name), Ipv4Addr::from(private));
        let public = node.nbma;
        let [a, b, c, _] = private.octets();
        let gateway = Ipv4Addr::new(a, b, c, 254);
        self.switch.ip(&format!(
            "link del {name}\nlink add {name} type veth peer name out netns {}\nlink set {name} master wan up",
            router.name
        ))?;
        router.ip(&format!(
            "link add in type veth peer name eth1 netns {}\nlink set out up\nlink set in up\n\
             addr add {public}/24 dev out\naddr add {gateway}/24 dev in",
            node.ns.name
        ))?;
        node.ns.ip(&format!(
            "link set eth1 up\naddr add {private}/24 dev eth1\nroute add default via {gateway}"
        ))?;
        router.run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?.map_err(|e| e.to_string())?;
        let rules = format!(
            "table ip nat {{\n\
             chain before {{ type nat hook prerouting priority -100; ip daddr {public} dnat to {private}; }}\n\
             chain after {{ type nat hook postrouting priority 100; ip saddr {private} snat to {public}; }}\n}}\n"
        );
        run(router.command("nft").args(["-f", "-"]), &rules)?;
        let before = format!("option nbma '{public}'");
        node.edit_config(|text| text.replace(&before, &format!("option nbma '{private}'")))?;
        self.between.push(router);
        Ok(())
    }

    /// Adds a host to a bridge of a node.
    pub fn add_host(&mut self, name: &str, node: &str, bridge: &str, mac: MacBytes, ip: Ipv4Addr) -> Res {
        let ns = self.netns(name)?;
        self.plug(&ns, "eth0", node, bridge, name, mac)?;
        ns.ip(&format!("link set eth0 up\naddr add {ip}/24 dev eth0"))?;
        self.hosts.insert(name.into(), Host { ns, mac, ip });
        Ok(())
    }

    /// Connects an interface of a namespace to a bridge, whose port is then called `port`. It is not yet up.
    pub fn plug(
        &self,
        ns: &Netns,
        interface: &str,
        node: &str,
        bridge: &str,
        port: &str,
        mac: MacBytes,
    ) -> Res {
        self.node(node).ns.ip(&format!(
            "link add {port} type veth peer name {interface} address {} netns {}\nlink set {port} master {bridge} up",
            text_of_mac(mac),
            ns.name
        ))
    }

    /// The node of that name, which must be there.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.get(name).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// The host of that name, which must be there.
    pub fn host(&self, name: &str) -> &Host {
        self.hosts.get(name).unwrap_or_else(|| panic!("no host {name}"))
    }

    /// The hubs.
    pub fn hubs(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|n| n.is_hub())
    }

    /// The spokes.
    pub fn spokes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|n| !n.is_hub())
    }

    /// Starts the daemon of a node; does nothing in a lab without a daemon.
    pub fn start(&mut self, node: &str) -> Res {
        let Some(program) = &self.plan.program else { return Ok(()) };
        self.nodes.get_mut(node).ok_or("no such node")?.start(program)
    }

    /// Starts all daemons that do not run yet, the hub's first, and waits until the spokes are connected.
    pub fn start_all(&mut self) -> Res {
        if self.plan.program.is_none() {
            return Ok(());
        }
        self.start_the_others()?;
        self.wait_connected(SOON + Duration::from_millis(200 * self.nodes.len() as u64))
    }

    /// Starts all daemons that do not run yet, the hubs' first, and waits for nothing.
    pub fn start_the_others(&mut self) -> Res {
        let Some(program) = &self.plan.program else { return Ok(()) };
        let mut nodes = self.nodes.values_mut().filter(|n| n.daemon.is_none());
        nodes.try_for_each(|node| node.start(program)) // "hub" sorts before "spoke1"
    }

    /// Waits until each running spoke sends what it does not know to the hub, and the hub floods to each.
    pub fn wait_connected(&self, limit: Duration) -> Res {
        let hub = self.node("hub");
        let connected: Vec<_> = self.spokes().filter(|s| s.pid().is_some()).collect();
        for (spoke, vn) in connected.iter().flat_map(|s| s.vns.iter().map(move |vn| (s, vn))) {
            // Once is enough: a device that is made anew has none for a moment.
            let mut up = false;
            wait_until(limit, || {
                up = spoke.has_uplink(vn, hub.nbma).unwrap_or(false);
                up || spoke.has_ended() || hub.has_ended()
            });
            if !up {
                return Err(format!("{} has no uplink in VN {}", spoke.name, vn.name));
            }
        }
        let expected = connected.iter().map(|s| s.vns.len()).sum::<usize>();
        if !wait_until(limit, || hub.served().is_ok_and(|n| n >= expected)) {
            return Err(format!("the hub serves {:?} of {expected} spokes", hub.served()));
        }
        Ok(())
    }

    /// Makes the underlay wider or narrower.
    pub fn set_underlay_mtu(&self, mtu: u16) -> Res {
        // Grow the switch before its ports' other ends use it; the bridge follows its ports.
        for node in self.nodes.values() {
            self.switch.ip(&format!("link set {} mtu {mtu}", node.name))?;
            node.ns.ip(&format!("link set eth1 mtu {mtu}"))?;
        }
        Ok(())
    }

    /// How a person gets into a node.
    pub fn how_to_enter(&self) -> String {
        let mut text = String::new();
        for node in self.nodes.values() {
            let _ = writeln!(text, "  ip netns exec {} sh    # log: {}", node.ns.name, node.log().display());
        }
        for host in self.hosts.values() {
            let _ = writeln!(text, "  ip netns exec {} sh    # {}", host.ns.name, host.ip);
        }
        text
    }

    /// The control socket of spoke1.
    pub fn a_socket(&self) -> PathBuf {
        self.nodes["spoke1"].socket()
    }

    /// What the daemons said last.
    pub fn log_ends(&self) -> String {
        self.nodes.values().take(8).map(Node::log_end).collect::<Vec<_>>().join("\n")
    }

    /// Leaves everything as it is.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    /// The configuration of a node.
    fn uci(&self, node: &Node) -> String {
        let Plan { holding_time, negative_time, .. } = self.plan;
        let (nbma, files) = (node.nbma, node.files.display());
        let mut text = format!(
            "config dmevpn 'main'\n\toption nbma '{nbma}'\n\toption holding_time '{holding_time}'\n\
             \toption log_level 'debug'\n\toption state_file '{files}.state'\n\toption socket '{files}.sock'\n"
        );
        let is_spoke = node.vns.iter().any(|vn| vn.tunnel.is_some());
        if is_spoke {
            let _ = write!(text, "\nconfig hub 'dc1'\n\toption address '{}'\n", self.nbma(1));
        }
        for Vn { name, vpn_id, bridge, tunnel } in &node.vns {
            let _ = write!(
                text,
                "\nconfig vn '{name}'\n\toption vpn_id '{vpn_id}'\n\toption bridge '{bridge}'\n"
            );
            let _ = match tunnel {
                None => writeln!(text, "\toption role 'hub'"),
                Some((vxlan, vni)) => write!(
                    text,
                    "\toption role 'spoke'\n\toption vni '{vni}'\n\toption vxlan '{vxlan}'\n\tlist hub 'dc1'\n\
                     \toption trigger 'learn'\n\toption negative_time '{negative_time}'\n"
                ),
            };
            text.push_str("\toption mtu '1500'\n");
        }
        text
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            let _ = node.kill();
        }
        let _ = fs::remove_dir_all(&self.files);
        if let Some(parent) = self.files.parent() {
            let _ = fs::remove_dir(parent); // succeeds for the last lab of this process
        }
    }
}

impl Node {
    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.files.with_extension("uci")
    }

    /// Has the kernel do this, in words of nftables, with what comes in.
    pub fn wall(&self, rules: &str) -> Res {
        let table =
            format!("table inet wall {{ chain c {{ type filter hook input priority -400; {rules}; }}; }}\n");
        run(self.ns.command("nft").args(["-f", "-"]), &table).map(drop)
    }

    /// All comes in again.
    pub fn no_wall(&self) -> Res {
        run(self.ns.command("nft").args(["-f", "-"]), "delete table inet wall\n").map(drop)
    }

    /// Rewrites the configuration file, as `uci commit` does: at no time is there half a file.
    pub fn edit_config(&self, edit: impl FnOnce(String) -> String) -> Res {
        let text = fs::read_to_string(self.config()).map_err(|e| e.to_string())?;
        let new = self.files.with_extension("new");
        fs::write(&new, edit(text)).and_then(|()| fs::rename(&new, self.config())).map_err(|e| e.to_string())
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.files.with_extension("sock")
    }

    /// Sends a signal to its daemon.
    pub fn signal(&self, signal: i32) -> Res {
        let pid = self.pid().ok_or_else(|| format!("{} has no daemon", self.name))?;
        sys::kill(pid, signal).map_err(|e| e.to_string())
    }

    /// All that its daemon said.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// What its daemon said.
    pub fn log(&self) -> PathBuf {
        self.files.with_extension("log")
    }

    /// The last lines of that.
    pub fn log_end(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let mut end = lines[lines.len().saturating_sub(12)..].join("\n      ");
        end.insert_str(0, &format!("      the log of {}:\n      ", self.name));
        end
    }

    fn start(&mut self, program: &Program) -> Res {
        let mut command = self.program(program);
        let log = File::options().create(true).append(true).open(self.log()).map_err(|e| e.to_string())?;
        let out = log.try_clone().map_err(|e| e.to_string())?;
        command.args(["daemon", "--config"]).arg(self.config());
        let child = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn();
        let child = child.map_err(|e| format!("{}: {e}", program.path.display()))?;
        fs::write(self.files.with_extension("pid"), child.id().to_string()).map_err(|e| e.to_string())?;
        self.daemon = Some(child);
        Ok(())
    }

    /// Runs a command of the program on this node: its output, or its words of regret.
    pub fn ask(&self, program: &Program, args: &[&str]) -> Res<String> {
        let mut command = self.program(program);
        command.args(args).arg("--socket").arg(self.socket());
        run(&mut command, "")
    }

    fn program(&self, program: &Program) -> Command {
        let mut command = self.ns.command(&program.path);
        if let Some(variable) = program.variable {
            command.env(variable, "1");
        }
        // A system call that the daemon's filter does not know is to be noticed.
        command.env("DMEVPN_SECCOMP", "kill");
        command
    }

    fn is_hub(&self) -> bool {
        self.name.starts_with("hub")
    }

    /// The process id of its daemon. (`ip netns exec` becomes the program, so it is the child's.)
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Whether its daemon runs.
    pub fn is_running(&self) -> bool {
        self.pid().is_some() && !self.has_ended()
    }

    /// Whether its daemon was started and is no more. (A process nobody waited for has no executable any more.)
    fn has_ended(&self) -> bool {
        self.pid().is_some_and(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_err())
    }

    /// Ends the daemon without a warning.
    pub fn kill(&mut self) -> Res {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        daemon.kill().and_then(|()| daemon.wait()).map(drop).map_err(|e| e.to_string())
    }

    /// Asks the daemon to end, and waits until it did.
    pub fn stop(&mut self) -> Res<Option<i32>> {
        self.end(libc::SIGTERM)
    }

    /// The same, so that the next daemon takes over.
    pub fn hand_over(&mut self) -> Res<Option<i32>> {
        self.end(libc::SIGUSR1)
    }

    fn end(&mut self, signal: i32) -> Res<Option<i32>> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(None) };
        sys::kill(daemon.id(), signal).map_err(|e| e.to_string())?;
        match wait_for(SOON, || daemon.try_wait().ok().flatten()) {
            Some(status) => Ok(status.code()),
            None => {
                let _ = daemon.kill().and_then(|()| daemon.wait());
                Err(format!("the daemon of {} does not end on signal {signal}", self.name))
            }
        }
    }

    /// The VN of that name.
    pub fn vn(&self, name: &str) -> Res<&Vn> {
        self.vns.iter().find(|v| v.name == name).ok_or_else(|| format!("{} is not in {name}", self.name))
    }

    /// Whether the spoke is at that hub in VN `test`: it sends what it does not know there, and the hub floods to it.
    pub fn is_at(&self, hub: &Node) -> bool {
        let up = self.vn("test").and_then(|vn| self.has_uplink(vn, hub.nbma)).unwrap_or(false);
        up && hub.serves(self.nbma)
    }

    /// Whether the spoke's tunnel sends what it does not know to the hub.
    fn has_uplink(&self, vn: &Vn, hub: IpAddr) -> Res<bool> {
        let Some((device, _)) = vn.tunnel else { return Ok(false) };
        let entries = fdb::dump(&self.ns, device)?;
        Ok(entries.iter().any(|e| e.own && e.mac == [0; 6] && e.dst == Some(hub)))
    }

    /// The tunnel entries that lead to `mac` in the VN `test`.
    pub fn shortcuts(&self, vn: &str, mac: MacBytes) -> Res<Vec<fdb::Entry>> {
        let Some((device, _)) = self.vn(vn)?.tunnel else { return Ok(Vec::new()) };
        Ok(fdb::dump(&self.ns, device)?.into_iter().filter(|e| e.own && e.mac == mac).collect())
    }

    /// Whether the spoke sends frames for `mac` in `vn` to `dst` under `vni`.
    pub fn has_shortcut(&self, vn: &str, mac: MacBytes, dst: IpAddr, vni: u32) -> bool {
        let own = self.vn(vn).ok().and_then(|v| v.tunnel).map_or(0, |t| t.1);
        self.shortcuts(vn, mac).is_ok_and(|found| found.iter().any(|e| e.leads(mac, dst, vni, own)))
    }

    /// Waits for that; says what is there when it does not come.
    pub fn wait_shortcut(&self, vn: &str, mac: MacBytes, dst: IpAddr, vni: u32) -> (bool, String) {
        let there = wait_until(SOON, || self.has_shortcut(vn, mac, dst, vni));
        let found = self.shortcuts(vn, mac).unwrap_or_default();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let found = if found.is_empty() { "nothing".into() } else { found.join(", ") };
        (there, format!("{} has `{} dst {dst} vni {vni}`: {found}", self.name, text_of_mac(mac)))
    }

    /// A hub's ports, or the one for all spokes: VXLAN devices called dmevpn and the VNI in six hexadecimal digits.
    /// Names and indices.
    pub fn ports(&self) -> Res<BTreeMap<String, u32>> {
        let all = self.ns.interfaces()?;
        Ok(all.into_iter().filter(|(name, _)| is_port(name)).collect())
    }

    /// How many spokes the hub's ports lead to: each is a default destination of one.
    pub fn served(&self) -> Res<usize> {
        let mut served = 0;
        for port in self.ports()?.keys() {
            served += fdb::dump(&self.ns, port)?.iter().filter(|e| e.own && e.mac == [0; 6]).count();
        }
        Ok(served)
    }

    /// Whether one of the hub's ports leads to `nbma`.
    pub fn serves(&self, nbma: IpAddr) -> bool {
        let leads = |port: &String| {
            fdb::dump(&self.ns, port)
                .is_ok_and(|all| all.iter().any(|e| e.mac == [0; 6] && e.dst == Some(nbma)))
        };
        self.ports().is_ok_and(|ports| ports.keys().any(leads))
    }

    /// What the hub's ports counted.
    pub fn port_counters(&self) -> Res<BTreeMap<String, Counters>> {
        Ok(self.ns.counters()?.into_iter().filter(|(name, _)| is_port(name)).collect())
    }
}

/// The MAC of a spoke's `i`th bridge.
pub const fn bridge_mac(spoke: u8, i: usize) -> MacBytes {
    // spoke2's br-test is ..:0b, as in the picture; the others count on from there.
    match (spoke, i) {
        (2, 0) => mac(0x0b),
        (n, i) => mac(0x1000 + ((i as u16) << 8) + n as u16),
    }
}

fn is_port(name: &str) -> bool {
    name.strip_prefix("dmevpn").is_some_and(|v| v.len() == 6 && v.bytes().all(|b| b.is_ascii_hexdigit()))
}
