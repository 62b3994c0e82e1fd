//! `dmevpn daemon`: from the configuration file to the event loop, on one thread.

use super::confine::confine;
use super::control;
use super::file::{load, reload};
use super::logger;
use super::netlink::Routes;
use super::node::{Job, Node};
use super::signals::{Signal, Signals};
use super::task::{Shared, spawn};
use super::tunnel::{MAX_PACKET, Tunnel};
use super::words::InWords;
use crate::config::Config;
use crate::engine::HubKey;
use crate::types::Nbma;
use async_io::{Async, Timer};
use litemap::LiteMap;
use smol::channel::{Receiver, Sender};
use smol::{LocalExecutor, Task, future};
use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// The exit code for a configuration that is wrong, as the other commands have it.
const CONFIGURATION: u8 = 4;
/// A hub's name that cannot be looked up is tried again after this, then after twice as long each time.
const LOOK_UP_FIRST: Duration = Duration::from_secs(2);
const LOOK_UP_MOST: Duration = Duration::from_secs(64);
/// Not sooner than that, whatever gives hope meanwhile.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);
/// Routes may change many times a second, as where a full BGP table is: the ways are looked at no more often than this.
const ROUTES_PAUSE: Duration = Duration::from_millis(200);
/// The daemon ends after this, whatever the hub says to its withdrawal.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs the daemon until it is told to end; `service`: a service manager takes the log.
pub fn run(config_path: &str, service: bool) -> ExitCode {
    logger::start(service);
    let config = match load(config_path) {
        Ok(config) => config,
        Err(errors) => {
            errors.to_string().lines().for_each(logger::complain);
            return ExitCode::from(CONFIGURATION);
        }
    };
    log::set_max_level(config.main.log_level);
    if !config.main.enabled {
        log::info!("{config_path}: option 'enabled' is 0: nothing to do");
        return ExitCode::SUCCESS;
    }
    // Before the first thread is: it would get the signals otherwise.
    let result = Signals::take().and_then(|signals| serve(config_path, config, &signals));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!("{}", InWords(&e));
            ExitCode::FAILURE
        }
    }
}

fn serve(config_path: &str, config: Config, signals: &Signals) -> io::Result<()> {
    // First of all: what the daemon before this one left is looked at once it has ended.
    let (server, _socket_file) = control::Server::bind(&config.main.socket)?;
    let (sender, jobs) = smol::channel::unbounded();
    let node = Node::open(config.clone(), sender, seed())?;
    let kernel = Async::new(node.events().as_fd().try_clone_to_owned()?)?;
    let routes = Async::new(Routes::open()?)?;
    let node: Shared = Rc::new(RefCell::new(node));
    confine();
    log::info!("dmevpn {} starts with {config_path}", env!("CARGO_PKG_VERSION"));
    node.borrow_mut().apply(config);

    let executor = Rc::new(LocalExecutor::new());
    let (poke, poked) = smol::channel::bounded(1);
    spawn(&executor, keep_time(Rc::clone(&node), poked)).detach();
    spawn(&executor, hear_kernel(Rc::clone(&node), kernel)).detach();
    spawn(&executor, hear_routes(Rc::clone(&node), routes)).detach();
    let server = control::serve(server, Rc::clone(&node), config_path.to_owned(), Rc::clone(&executor));
    spawn(&executor, server).detach();
    let work = do_jobs(Rc::clone(&node), jobs, poke, &executor);
    let obey = obey(Rc::clone(&node), signals, config_path);
    match smol::block_on(executor.run(future::or(work, obey)))? {
        Ending::ForGood => {
            node.borrow_mut().leave();
            log::info!("dmevpn ends");
        }
        Ending::HandOver => log::info!("dmevpn ends and leaves everything in place for the next one"),
    }
    Ok(())
}

/// The seed for jitter: two routers that start together must not stay in step.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// What it registered is withdrawn; what is to be gone with it goes.
    ForGood,
    /// Another one takes over at once.
    HandOver,
}

/// A hub's name is being looked up.
struct LookUp {
    name: String,
    push: Sender<()>,
    task: Task<()>,
}

/// Does what goes on beside the node, until all is withdrawn.
async fn do_jobs(
    node: Shared,
    jobs: Receiver<Job>,
    poke: Sender<()>,
    executor: &LocalExecutor<'static>,
) -> io::Result<Ending> {
    let mut readers: LiteMap<_, Task<()>> = LiteMap::new();
    let mut lookups: LiteMap<HubKey, LookUp> = LiteMap::new();
    while let Ok(job) = jobs.recv().await {
        match job {
            Job::Read(local, tunnel) => {
                readers.insert(local, spawn(executor, read(Rc::clone(&node), tunnel)));
            }
            Job::Close(local) => {
                readers.remove(&local);
            }
            Job::LookUp { hub, name, hurry } => {
                if let Some(going_on) = lookups.get(&hub).filter(|l| l.name == name && !l.task.is_finished())
                {
                    if hurry {
                        // One push is enough.
                        let _ = going_on.push.try_send(());
                    }
                    continue;
                }
                let (push, pushed) = smol::channel::bounded(1);
                let task = spawn(executor, look_up(Rc::clone(&node), hub, name.clone(), pushed));
                lookups.insert(hub, LookUp { name, push, task });
            }
            // One is enough: the timer looks at the deadline, not at how often it changed.
            Job::Deadline => drop(poke.try_send(())),
            Job::End => break,
        }
    }
    Ok(Ending::ForGood)
}

/// Obeys signals; ends some time after the order to end.
async fn obey(node: Shared, signals: &Signals, config_path: &str) -> io::Result<Ending> {
    loop {
        match signals.next().await? {
            // Refused and logged, or applied: either way the daemon goes on.
            Signal::Reload => drop(reload(&mut node.borrow_mut(), config_path)),
            Signal::HandOver => return Ok(Ending::HandOver),
            Signal::End => break,
        }
    }
    node.borrow_mut().stop();
    Timer::after(PATIENCE).await;
    log::warn!("the hub did not confirm the withdrawal");
    Ok(Ending::ForGood)
}

/// The one timer.
async fn keep_time(node: Shared, poked: Receiver<()>) {
    loop {
        let (deadline, clock) = {
            let node = node.borrow();
            (node.deadline(), node.clock)
        };
        let Some(deadline) = deadline else {
            if poked.recv().await.is_err() {
                return;
            }
            continue;
        };
        let timer = async {
            Timer::at(clock.at(deadline)).await;
            true
        };
        let changed = async {
            let _ = poked.recv().await;
            false
        };
        if future::or(timer, changed).await {
            node.borrow_mut().tick();
        }
    }
}

async fn hear_kernel(node: Shared, kernel: Async<std::os::fd::OwnedFd>) {
    while kernel.readable().await.is_ok() {
        node.borrow_mut().kernel_events();
    }
}

async fn hear_routes(node: Shared, routes: Async<Routes>) {
    while routes.readable().await.is_ok() {
        routes.get_ref().forget();
        node.borrow_mut().network_changed();
        Timer::after(ROUTES_PAUSE).await;
    }
}

async fn read(node: Shared, tunnel: Rc<Tunnel>) {
    let mut buf = vec![0; MAX_PACKET];
    loop {
        // Where packets come faster than they are read, receiving never waits: all other tasks have their turn here.
        future::yield_now().await;
        match tunnel.receive(&mut buf).await {
            Ok(Some(received)) => node.borrow_mut().packet(&received),
            Ok(None) => {}
            // Such as ENETDOWN while a device is down.
            Err(e) => {
                log::debug!("receive: {}", InWords(&e));
                Timer::after(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn look_up(node: Shared, hub: HubKey, name: String, pushed: Receiver<()>) {
    let mut delay = LOOK_UP_FIRST;
    loop {
        let found = match smol::net::resolve((name.as_str(), 0)).await {
            Ok(found) => Ok(found.iter().filter_map(|a| Nbma::new(a.ip())).collect::<Vec<_>>()),
            // The standard library's own words in front say what is known.
            Err(e) => {
                Err(e.to_string().trim_start_matches("failed to lookup address information: ").to_owned())
            }
        };
        let found = found.and_then(|f| if f.is_empty() { Err("it has no address".into()) } else { Ok(f) });
        let done = found.is_ok();
        node.borrow_mut().hub_found(hub, &name, found);
        if done {
            return;
        }
        Timer::after(LOOK_UP_PAUSE).await;
        let waited = async {
            Timer::after(delay - LOOK_UP_PAUSE).await;
            delay * 2
        };
        let pushed = async {
            let _ = pushed.recv().await;
            LOOK_UP_FIRST
        };
        delay = future::or(waited, pushed).await.min(LOOK_UP_MOST);
    }
}
