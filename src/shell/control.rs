//! The control socket: who asks, and what the node answers.

use super::file::reload;
use super::node::Node;
use super::plane::{Forwarder, port_name};
use super::task::{Shared, spawn};
use super::traffic::Devices;
use super::user::Process;
use super::words::InWords;
use crate::config::{HubAddress, Role, Transport};
use crate::control::frame::{Decoder, FrameError};
use crate::control::{
    Answer, Metrics, Reply, Request, RoleStatus, Status, Traffic, VnCounts, VnMacs, VnPeers, VnStatus,
};
use crate::engine::report::{ClientCounts, VnReport};
use crate::engine::{Input, Lookup, Order, Refusal, VnKey};
use crate::types::Mac;
use crate::wire::nhrp::code;
use async_io::{Async, Timer};
use smol::channel;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{LocalExecutor, future};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// A question is given up after this; the client waits a little longer.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(25);
/// A daemon may take this many tenths of a second to withdraw and end before the next one serves in its place.
const PREDECESSOR: u32 = 50;
/// So many clients are served at a time: all others need the daemon's files.
const CLIENTS: usize = 100;
/// Events a monitor may be behind.
const MONITOR_BACKLOG: usize = 1024;

/// The listening socket.
#[derive(Debug)]
pub struct Server(Async<UnixListener>);

/// The file of the listening socket: gone when this is dropped. It is not the server's, since the tasks of an executor
/// that hold the executor are never dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Server {
    /// Listens at `path`, for the daemon's user only; missing directories are made. A socket that an earlier run left
    /// is replaced, a living daemon's is not, nor is anything else that has the name. A daemon that lives may be about
    /// to end: service managers do not always wait for it.
    pub fn bind(path: &str) -> io::Result<(Server, SocketFile)> {
        let say = |e: io::Error| io::Error::new(e.kind(), format!("{path}: {}", InWords(&e)));
        let refuse = |why: &str| Err(io::Error::new(ErrorKind::AddrInUse, format!("{path}: {why}")));
        let mut tenths = 0;
        while answers(path) {
            if tenths == PREDECESSOR {
                return refuse("another daemon answers there");
            }
            tenths += 1;
            thread::sleep(Duration::from_millis(100));
        }
        match fs::symlink_metadata(path) {
            Ok(there) if there.file_type().is_socket() => fs::remove_file(path).map_err(say)?,
            Ok(_) => return refuse("there is something else than a socket; correct option 'socket'"),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(say(e)),
        }
        if let Some(directory) = Path::new(path).parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(say)?;
        }
        let listener = for_us_only(|| UnixListener::bind(path)).map_err(say)?;
        Ok((Server(Async::new(listener)?), SocketFile(path.into())))
    }
}

/// Whether a daemon serves the socket `path`: also one that hangs, with whom no more clients can queue.
pub fn answers(path: &str) -> bool {
    let connected = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    connected().map_or_else(|e: io::Error| e.kind() == ErrorKind::WouldBlock, |()| true)
}

/// What `make` makes has mode 0600 from the first moment on.
fn for_us_only<T>(make: impl FnOnce() -> T) -> T {
    // SAFETY: takes a number and cannot fail; no other thread makes files.
    #[allow(unsafe_code)]
    let before = unsafe { libc::umask(0o177) };
    let made = make();
    // SAFETY: as above.
    #[allow(unsafe_code)]
    unsafe {
        libc::umask(before)
    };
    made
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing can be done about it at the end.
        let _ = fs::remove_file(&self.0);
    }
}

/// Serves whoever connects.
pub async fn serve(server: Server, node: Shared, config_path: String, executor: Rc<LocalExecutor<'static>>) {
    let clients = Rc::new(());
    loop {
        match server.0.accept().await {
            Ok((mut stream, _)) if Rc::strong_count(&clients) > CLIENTS => {
                let reply = Reply::Error(format!("the daemon serves {CLIENTS} clients already"));
                // It fits the room that every socket has, and who went away needs none.
                let _ = stream.write_all(&reply.encode()).await;
            }
            Ok((stream, _)) => {
                let client = converse(stream, Rc::clone(&node), config_path.clone());
                let counted = Rc::clone(&clients);
                let client = async move {
                    let _ = client.await;
                    drop(counted);
                };
                spawn(&executor, client).detach();
            }
            Err(e) => {
                log::warn!("control socket: {}", InWords(&e));
                Timer::after(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn converse(mut stream: Async<UnixStream>, node: Shared, config_path: String) -> io::Result<()> {
    let mut decoder = Decoder::of_requests();
    let mut buf = [0; 512];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        decoder.push(&buf[..n]);
        loop {
            let request = match decoder.next() {
                Ok(None) => break,
                Ok(Some(frame)) => Request::decode(&frame),
                // Where the next frame starts is not known any more.
                Err(e) => return stream.write_all(&e.reply().encode()).await,
            };
            match request {
                Ok(Request::Monitor) => return monitor(stream, &node).await,
                request => {
                    let reply = answer(request, &node, &config_path).await;
                    stream.write_all(&reply.encode()).await?;
                }
            }
        }
    }
}

/// Tells what happens until the client hangs up.
async fn monitor(mut stream: Async<UnixStream>, node: &Shared) -> io::Result<()> {
    let (sender, happenings) = channel::bounded(MONITOR_BACKLOG);
    node.borrow_mut().monitor(sender);
    stream.write_all(&Reply::Done.encode()).await?;
    let mut octet = [0];
    loop {
        let next = async { Ok(Some(happenings.recv().await)) };
        let gone = async { stream.read(&mut octet).await.map(|_| None) };
        match future::or(next, gone).await? {
            Some(Ok(happening)) => stream.write_all(&Reply::Event(happening).encode()).await?,
            Some(Err(_)) | None => return Ok(()),
        }
    }
}

async fn answer(request: Result<Request, FrameError>, node: &Shared, config_path: &str) -> Reply {
    let request = match request {
        Ok(request) => request,
        Err(e) => return e.reply(),
    };
    match request {
        Request::Status => Reply::Status(status(&mut node.borrow_mut(), config_path)),
        Request::Metrics => {
            let mut node = node.borrow_mut();
            let status = status(&mut node, config_path);
            Reply::Metrics(Metrics { status, statistics: node.engine.statistics(), vns: counts(&node) })
        }
        Request::Macs { vn } => {
            let node = node.borrow();
            let now = node.clock.now();
            let rows = |(name, key)| VnMacs { vn: name, rows: node.engine.macs(now, key, None, usize::MAX) };
            select(&node, vn.as_deref()).map_or_else(Reply::Error, |vns| Reply::Macs(vns.map(rows).collect()))
        }
        Request::Peers { vn } => {
            let node = node.borrow();
            let now = node.clock.now();
            let rows =
                |(name, key)| VnPeers { vn: name, rows: node.engine.peers(now, key, None, usize::MAX) };
            select(&node, vn.as_deref())
                .map_or_else(Reply::Error, |vns| Reply::Peers(vns.map(rows).collect()))
        }
        Request::Resolve { vn, mac } => resolve(node, &vn, mac).await,
        Request::Flush { vn, mac } => {
            let key = match vn.as_deref().map(|vn| find(&node.borrow(), vn)).transpose() {
                Ok(key) => key,
                Err(e) => return Reply::Error(e),
            };
            node.borrow_mut().input(Input::Order(Order::Flush { vn: key, mac }));
            Reply::Done
        }
        Request::Lately { after } => Reply::Lately(node.borrow().lately(after)),
        Request::Reload => match reload(&mut node.borrow_mut(), config_path) {
            Ok(()) => Reply::Done,
            Err(errors) => Reply::BadConfiguration(errors),
        },
        Request::Monitor => Reply::Error("a monitor cannot be answered here".into()),
    }
}

async fn resolve(node: &Shared, vn: &str, mac: Mac) -> Reply {
    let (tell, told) = channel::bounded(1);
    {
        let mut node = node.borrow_mut();
        let key = match find(&node, vn) {
            Ok(key) => key,
            Err(e) => return Reply::Error(e),
        };
        node.kernel_events();
        if let Some(known) = known(&node, key, mac) {
            return Reply::Resolved(known);
        }
        node.resolve(key, mac, tell);
    }
    let patience = async {
        Timer::after(RESOLVE_PATIENCE).await;
        Err(channel::RecvError)
    };
    Reply::Resolved(future::or(told.recv(), patience).await.unwrap_or(Answer::NotResolved(None)))
}

/// What needs no question to the hub: what a hub itself knows, and what a spoke was told does not exist.
fn known(node: &Node, key: VnKey, mac: Mac) -> Option<Answer> {
    let now = node.clock.now();
    let not_there = Answer::NotResolved(Some(Refusal::Nak(code::NO_BINDING)));
    match (node.engine.report(now, key)?, node.engine.lookup(key, mac)) {
        (VnReport::Hub(_), Lookup::At(vtep)) => Some(Answer::At { vtep, holding: None }),
        (_, Lookup::Here) => Some(Answer::Local),
        (VnReport::Hub(_), Lookup::Unknown) => Some(not_there),
        (VnReport::Spoke(_), _) => node.engine.is_denied(key, mac).then_some(not_there),
    }
}

fn find(node: &Node, vn: &str) -> Result<VnKey, String> {
    let configured = node.config.vns.iter().any(|v| v.name == vn);
    node.names.vn(vn).filter(|_| configured).ok_or_else(|| format!("there is no VN '{vn}'"))
}

/// The VN of this name, or all of them.
fn select(node: &Node, vn: Option<&str>) -> Result<std::vec::IntoIter<(String, VnKey)>, String> {
    let names: Vec<String> = match vn {
        Some(vn) => vec![vn.to_owned()],
        None => node.config.vns.iter().map(|v| v.name.clone()).collect(),
    };
    let all: Result<Vec<_>, _> =
        names.into_iter().map(|name| find(node, &name).map(|key| (name, key))).collect();
    Ok(all?.into_iter())
}

/// What was counted in each VN, by the engine and by the kernel.
fn counts(node: &Node) -> Vec<VnCounts> {
    let devices = Devices::now();
    let of_vn = |vn: &crate::config::Vn| {
        let key = node.names.vn(&vn.name)?;
        // One device may serve all spokes.
        let shared = node.planes.forwarder(key).is_some_and(Forwarder::is_shared);
        let port = |client: &ClientCounts| devices.of(&port_name(client.uplink?));
        let own = |client: &ClientCounts| port(client).filter(|_| !shared);
        let clients: Vec<(ClientCounts, Option<Traffic>)> = node
            .engine
            .client_counts(key, None, usize::MAX)
            .into_iter()
            .map(|c| {
                let own = own(&c);
                (c, own)
            })
            .collect();
        let traffic = match &vn.role {
            Role::Spoke(spoke) => devices.of(&spoke.vxlan),
            Role::Hub(_) if shared => clients.iter().find_map(|(client, _)| port(client)),
            Role::Hub(_) => None,
        };
        Some(VnCounts { vn: vn.name.clone(), statistics: node.engine.vn_statistics(key), traffic, clients })
    };
    node.config.vns.iter().filter_map(of_vn).collect()
}

fn status(node: &mut Node, config_path: &str) -> Status {
    node.kernel_events();
    let now = node.clock.now();
    let vn_status = |vn: &crate::config::Vn| {
        let key = node.names.vn(&vn.name)?;
        let (bridge_mac, trouble) = node.standing(vn, key);
        let (device, role) = match (&vn.role, node.engine.report(now, key)?) {
            (Role::Spoke(spoke), VnReport::Spoke(report)) => {
                let hub = node.config.hubs.iter().find(|h| h.name == spoke.hub)?;
                let hub_address = match &hub.address {
                    HubAddress::Ip(ip) => ip.to_string(),
                    HubAddress::Name(name) => name.clone(),
                };
                let role = RoleStatus::Spoke { hub_name: hub.name.clone(), hub_address, report };
                (Some(spoke.vxlan.clone()), role)
            }
            (Role::Hub(_), VnReport::Hub(report)) => {
                let (dataplane, reason) = node.planes.forwarder(key)?.words();
                let (dataplane, dataplane_reason) = (dataplane.into(), reason.into());
                (None, RoleStatus::Hub { dataplane, dataplane_reason, report })
            }
            _ => return None,
        };
        Some(VnStatus {
            name: vn.name.clone(),
            vpn_id: vn.vpn_id,
            bridge: vn.bridge.clone(),
            vlan: vn.vlan,
            bridge_mac,
            device,
            trouble,
            role,
        })
    };
    let process = Process::this();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        uptime: now.as_millis() / 1000,
        config: config_path.into(),
        device: match &node.config.main.transport {
            Transport::Raw => None,
            Transport::Device(name) => Some(name.clone()),
        },
        nbma: node.nbma(),
        user: process.user(),
        confined: process.is_confined(),
        trouble: node.own_trouble(),
        vns: node.config.vns.iter().filter_map(vn_status).collect(),
    }
}
