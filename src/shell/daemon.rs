//! `dmevpn daemon`: from the configuration file to the turns of the node, on one thread.

use super::audience::control;
use super::audience::log::{self as audience, OPERATOR};
use super::confine::confine;
use super::file::{load, reload};
use super::node::Node;
use super::reactor::Reactor;
use super::signals::{Signal, Signals};
use super::task::{Shared, spawn};
use super::wait::{Alarm, Bell, Sources};
use super::words::InWords;
use crate::config::Config;
use crate::time::Instant;
use smol::{LocalExecutor, future};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

/// The exit code for a configuration that is wrong, as the other commands have it.
const CONFIGURATION: u8 = 4;
/// The daemon ends after this, whatever the hub says to its withdrawal.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs the daemon until it is told to end; `service`: a service manager takes the log.
pub fn run(config_path: &str, service: bool) -> ExitCode {
    // Before the first thread is: it would get the signals otherwise.
    let signals = Signals::take();
    let _open = match audience::start(service) {
        Ok(open) => open,
        Err(e) => {
            audience::complain(&format!("no log: {}", InWords(&e)));
            return ExitCode::FAILURE;
        }
    };
    let config = match load(config_path) {
        Ok(config) => config,
        Err(errors) => {
            errors.to_string().lines().for_each(audience::complain);
            return ExitCode::from(CONFIGURATION);
        }
    };
    log::set_max_level(config.main.log_level);
    if !config.main.enabled {
        log::info!(target: OPERATOR, "{config_path}: option 'enabled' is 0: nothing to do");
        return ExitCode::SUCCESS;
    }
    let result = signals.and_then(|signals| serve(config_path, config, &signals));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!(target: OPERATOR, "{}", InWords(&e));
            ExitCode::FAILURE
        }
    }
}

fn serve(config_path: &str, config: Config, signals: &Signals) -> io::Result<()> {
    // First of all: what the daemon before this one left is looked at once it has ended.
    let (server, _socket_file) = control::Server::bind(&config.main.socket)?;
    let bell = Bell::new()?;
    let node: Shared = Rc::new(RefCell::new(Node::open(config.clone(), bell.waker())?));
    let mut alarm = Alarm::new(node.borrow().clock)?;
    confine();
    log::info!(target: OPERATOR, "dmevpn {} starts with {config_path}", env!("CARGO_PKG_VERSION"));
    node.borrow_mut().apply(config);

    let executor = Rc::new(LocalExecutor::new());
    let reactor = Rc::new(Reactor::new(node.borrow().clock));
    let server = control::serve(
        server,
        Rc::clone(&node),
        config_path.to_owned(),
        Rc::clone(&executor),
        Rc::clone(&reactor),
    );
    spawn(&executor, server).detach();
    match go_on(&node, &bell, &mut alarm, signals, &executor, &reactor, config_path)? {
        Ending::ForGood => {
            node.borrow_mut().leave();
            log::info!(target: OPERATOR, "dmevpn ends");
        }
        Ending::HandOver => {
            log::info!(target: OPERATOR, "dmevpn ends and leaves everything in place for the next one")
        }
    }
    node.borrow_mut().settle_state();
    Ok(())
}

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// What it registered is withdrawn; what is to be gone with it goes.
    ForGood,
    /// Another one takes over at once.
    HandOver,
}

/// Takes turns until the daemon is to end: all that waits has its turn in each of them, signals first.
fn go_on(
    node: &Shared,
    bell: &std::sync::Arc<Bell>,
    alarm: &mut Alarm,
    signals: &Signals,
    executor: &LocalExecutor<'static>,
    reactor: &Reactor,
    config_path: &str,
) -> io::Result<Ending> {
    let mut sources = Sources::default();
    // Those who ask. It rings the bell when there is something to do, and does it when it is polled.
    let mut clients = pin!(executor.run(future::pending::<()>()));
    let waker = bell.waker();
    let mut to_wake = Context::from_waker(&waker);
    // There may be some already.
    waker.wake_by_ref();
    // When the daemon ends, whatever the hub says.
    let mut end: Option<Instant> = None;
    loop {
        while sources.have(signals.as_fd())
            && let Some(signal) = signals.next()?
        {
            match signal {
                // Refused and logged, or applied: either way the daemon goes on.
                Signal::Reload => drop(reload(&mut node.borrow_mut(), config_path)),
                Signal::HandOver => return Ok(Ending::HandOver),
                Signal::End => {
                    let mut node = node.borrow_mut();
                    node.stop();
                    end = end.or(Some(node.now() + PATIENCE));
                }
            }
        }
        let goes_on = reactor.wake(|fd| sources.have_raw(fd));
        if (goes_on || sources.have(bell.as_fd())) && bell.was_rung() {
            let _ = clients.as_mut().poll(&mut to_wake);
        }
        let mut node = node.borrow_mut();
        node.turn(&sources);
        if node.is_stopped() {
            return Ok(Ending::ForGood);
        }
        let now = node.now();
        if end.is_some_and(|end| end <= now) {
            log::warn!(target: OPERATOR, "the hub did not confirm the withdrawal");
            return Ok(Ending::ForGood);
        }
        let until = node.deadline().into_iter().chain(end).chain(reactor.deadline()).min();
        let all = [bell.as_fd(), signals.as_fd()].into_iter().chain(node.sources(now));
        sources.wait(all, reactor, alarm, until)?;
    }
}
