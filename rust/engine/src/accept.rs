//! The listening sockets of a worker: opened, accepted from, closed; each connection goes to the worker with less to do.

use std::{
    cell::Cell,
    collections::HashMap,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    abuse::{self, ClientPlace},
    answer,
    balance::lighter_of_two,
    io::listen::{Accepted, Acceptor, Bound},
    life::Alarm,
    prepare::Prepared,
    worker::{Message, Worker},
};

/// How long a worker without descriptors waits before it accepts again.
const NO_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(100);

/// How a connection's task is started.
pub type Serve = Rc<dyn Fn(Accepted, Rc<Listening>, ClientPlace)>;

/// A listener that this worker serves; its connections hold on to it.
#[derive(Debug)]
pub struct Listening {
    /// Its index in the plan of the day; past the end once no plan has it any more.
    pub index: Cell<u32>,
    name: Arc<str>,
    admin: bool,
    closed: Notify,
}

impl Listening {
    /// As logs and metrics call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether no plan has it any more.
    pub fn is_gone(&self) -> bool {
        self.index.get() == u32::MAX
    }
}

/// The listening sockets of a worker, by name.
pub struct Listeners {
    worker: Rc<Worker>,
    serve: Serve,
    open: HashMap<Arc<str>, Rc<Listening>>,
}

impl Listeners {
    /// None yet.
    pub fn new(worker: Rc<Worker>, serve: Serve) -> Self {
        Self { worker, serve, open: HashMap::new() }
    }

    /// Goes over to the listeners of another plan. `true`: one of the old ones has gone.
    pub fn change(&mut self, prepared: &Prepared, bound: Vec<(u32, Vec<Bound>)>) -> bool {
        let before = self.open.len();
        let listeners = &prepared.plan.listeners;
        self.open.retain(|name, listening| {
            // One that was bound anew has the name of an old one whose address is no longer wanted.
            let index = (listeners.iter().enumerate()).position(|(index, listener)| {
                *listener.name == **name && !bound.iter().any(|(new, _)| *new as usize == index)
            });
            listening.index.set(index.map_or(u32::MAX, |index| index as u32));
            if index.is_none() {
                listening.closed.notify_one();
            }
            index.is_some()
        });
        let one_has_gone = self.open.len() < before;
        for (index, bound) in bound {
            let listener = &listeners[index as usize];
            let acceptors: std::io::Result<Vec<_>> = bound.into_iter().map(Acceptor::new).collect();
            match acceptors {
                Ok(acceptors) => self.open(&listener.name, listener.admin, index, acceptors),
                Err(error) => {
                    let text = format!("listener {}: {error}", listener.name);
                    crate::log::tell("error", "listener", &text);
                }
            }
        }
        one_has_gone
    }

    fn open(&mut self, name: &str, admin: bool, index: u32, acceptors: Vec<Acceptor>) {
        let name: Arc<str> = name.into();
        let listening =
            Listening { index: Cell::new(index), name: name.clone(), admin, closed: Notify::new() };
        let listening = Rc::new(listening);
        for acceptor in acceptors {
            let (worker, serve) = (self.worker.clone(), self.serve.clone());
            tokio::task::spawn_local(accept(worker, serve, listening.clone(), acceptor));
        }
        self.open.insert(name, listening);
    }

    /// Opens the sockets anew that this worker had before it panicked.
    pub fn reopen(&mut self) {
        let shared = self.worker.shared.clone();
        let serving = shared.serving();
        let bound = serving.of_worker(self.worker.index, shared.loads.len());
        if let Some(prepared) = serving.prepared.clone() {
            drop(serving);
            self.change(&prepared, bound);
        }
    }

    /// The listener of a connection that another worker accepted; this one may have closed it meanwhile, to drain.
    pub fn listening(&self, name: Arc<str>) -> Option<Rc<Listening>> {
        if let Some(listening) = self.open.get(&name) {
            return Some(listening.clone());
        }
        let plan = self.worker.plan();
        let index = plan.shared.plan.listeners.iter().position(|listener| *listener.name == *name)?;
        let index = Cell::new(index as u32);
        Some(Rc::new(Listening { index, name, admin: false, closed: Notify::new() }))
    }

    /// Closes all, but for the admin listeners where they are not handed over.
    pub fn drain(&mut self, handed_over: bool) {
        self.open.retain(|_, listening| {
            let stays = listening.admin && !handed_over;
            if !stays {
                listening.closed.notify_one();
            }
            stays
        });
    }
}

/// Accepts for one listener until it is closed; what is in the kernel's queue by then is still served.
async fn accept(worker: Rc<Worker>, serve: Serve, listening: Rc<Listening>, mut acceptor: Acceptor) {
    let _alarm = Alarm::new(&worker.broken);
    loop {
        #[cfg(feature = "memory")]
        crate::fault::here(crate::fault::Place::Accept);
        let accepted = tokio::select! {
            biased;
            accepted = acceptor.accept() => accepted,
            () = listening.closed.notified() => {
                while let Some(Ok(accepted)) = acceptor.accept_at_once().await {
                    place(&worker, &serve, &listening, accepted);
                }
                listening.closed.notify_one(); // for the listener's next socket, where there are several
                return;
            }
        };
        match accepted {
            Ok(accepted) => place(&worker, &serve, &listening, accepted),
            Err(error) => {
                worker.metrics.accept_failed();
                if abuse::descriptors::is_short(&error) {
                    let text = format!("can't accept: {error}; raise the limit on open files");
                    crate::log::tell("error", "descriptors", &text);
                    tokio::time::sleep(NO_DESCRIPTORS_PAUSE).await;
                }
            }
        }
    }
}

/// Serves a connection here or gives it to a worker with less to do; turns it away where there are too many.
fn place(worker: &Worker, serve: &Serve, listening: &Rc<Listening>, accepted: Accepted) {
    let shared = &worker.shared;
    let admitted = match listening.admin {
        true => Ok(ClientPlace::default()),
        false => abuse::admit_connection(shared, &worker.plan().shared, &accepted),
    };
    let place = match admitted {
        Ok(place) => place,
        Err(crowd) => {
            worker.metrics.refusal(crowd.as_str());
            let plan = worker.plan();
            let listener = plan.shared.plan.listeners.get(listening.index.get() as usize);
            // Within TLS an answer would cost a handshake, which is what there is no room for; and where no HTTP is
            // spoken, there is nothing to say.
            if listener.is_some_and(|listener| listener.tls.is_none() && listener.tcp.is_none()) {
                answer::turn_away(accepted, crowd);
            }
            return;
        }
    };
    let target = lighter_of_two(&shared.loads, worker.index);
    shared.loads[target].0.fetch_add(1, Ordering::Relaxed);
    if target == worker.index {
        serve(accepted, listening.clone(), place);
        return;
    }
    let sent = accepted.detach().is_ok_and(|accepted| {
        let message = Message::Serve { listener: listening.name.clone(), accepted, place };
        shared.inboxes[target].send(message).is_ok()
    });
    if !sent {
        shared.loads[target].0.fetch_sub(1, Ordering::Relaxed);
    }
}
