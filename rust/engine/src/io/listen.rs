//! Listening sockets: bound by the control thread, so that a port in use is told at once, and served by workers.

use std::{
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    os::{
        fd::{AsRawFd as _, OwnedFd, RawFd},
        unix::{fs::FileTypeExt, net::UnixListener as StdUnixListener},
    },
    path::{Path, PathBuf},
    pin::pin,
    task::Poll,
};

use socket2::{Domain, Protocol, Socket, Type};
use tidegate_plan::Address;
use tokio::net::{TcpListener, UnixListener};

use super::Stream;
use crate::handover::Held;

/// Connections that the kernel may hold before they are accepted; it is cut to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// How long the kernel goes on offering bytes to a client that acknowledges none, or whose window stays shut (tcp(7),
/// `TCP_USER_TIMEOUT`). What was sent counts as gone for our own deadlines; without this a client that takes nothing
/// keeps it in the kernel's memory for a quarter of an hour, also after the connection was closed.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: std::time::Duration = std::time::Duration::from_secs(60);

/// Bytes that the kernel holds at most beyond what is on its way (tcp(7), `TCP_NOTSENT_LOWAT`). It would take up to 4 MB
/// (`tcp_wmem`) and say that there is room again only when a third of that has gone: a slow client would cost that much,
/// and look as if it took nothing for minutes.
#[cfg(target_os = "linux")]
const UNSENT_MOST: u32 = 128 * 1024;

/// A bound socket that has not been given to a worker's reactor yet.
#[derive(Debug)]
pub enum Bound {
    /// TCP, one socket for each worker on the same port.
    Tcp(std::net::TcpListener),
    /// A Unix socket, the same one for all workers.
    Unix(StdUnixListener),
    /// For tests.
    #[cfg(feature = "memory")]
    Memory(super::memory::Acceptor),
}

/// A listening socket in a worker's reactor.
#[derive(Debug)]
pub enum Acceptor {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
    /// For tests.
    #[cfg(feature = "memory")]
    Memory(super::memory::Acceptor),
}

/// A connection that has been accepted, in this worker's reactor.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// Who is at the other end.
    pub peer: SocketAddr,
}

/// A connection that has been accepted and belongs to no reactor, so that another worker may take it.
#[derive(Debug)]
pub enum Detached {
    /// TCP and its peer.
    Tcp(std::net::TcpStream, SocketAddr),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
    /// For tests.
    #[cfg(feature = "memory")]
    Memory(super::memory::Pipe, SocketAddr),
}

/// The sockets of one listener.
#[derive(Debug)]
pub struct Opened {
    /// What each worker accepts from.
    pub workers: Vec<Vec<Bound>>,
    /// The same sockets once more, for a process that takes them over.
    pub held: Vec<OwnedFd>,
    /// Where they are bound.
    pub address: String,
}

/// Binds `address` once for each of `workers`; port 0 becomes the same free port for all.
pub fn bind(address: &Address, workers: usize) -> io::Result<Opened> {
    let (bound, address) = bind_each(address, workers)?;
    let mut held = Vec::new();
    for bound in &bound {
        match bound {
            Bound::Tcp(listener) => held.push(listener.try_clone()?.into()),
            // It is the same for all workers.
            Bound::Unix(listener) if held.is_empty() => held.push(listener.try_clone()?.into()),
            _ => {}
        }
    }
    Ok(Opened { workers: bound.into_iter().map(|bound| vec![bound]).collect(), held, address })
}

fn bind_each(address: &Address, workers: usize) -> io::Result<(Vec<Bound>, String)> {
    match address {
        Address::Ip { ip, port } => {
            let ip: IpAddr = ip.parse().map_err(|_| io::Error::other(format!("{ip:?} is no IP address")))?;
            bind_tcp(SocketAddr::new(ip, *port), workers)
        }
        Address::Unix { path } => bind_unix(Path::new(path), workers),
        Address::Name { host, .. } => {
            Err(io::Error::other(format!("{host:?} is a name; a listener needs an IP address")))
        }
    }
}

fn bind_tcp(mut address: SocketAddr, workers: usize) -> io::Result<(Vec<Bound>, String)> {
    if address.port() != 0 {
        // SO_REUSEPORT would share the port with another process without a word; this asks first.
        tcp_socket(address, false)?;
    }
    let mut bound = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = tcp_socket(address, true)?;
        socket.listen(BACKLOG)?;
        let listener: std::net::TcpListener = socket.into();
        address = listener.local_addr()?;
        bound.push(Bound::Tcp(listener));
    }
    Ok((bound, address.to_string()))
}

fn tcp_socket(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    if let SocketAddr::V6(v6) = address {
        // `[::]` takes IPv4 as well, as people who write `:8080` expect.
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.set_tcp_nodelay(true)?; // inherited by what is accepted, as is the next
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_MOST)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Takes sockets over that somebody else has bound and put into the listening state: the process before this one, or
/// whoever started it. All of them are accepted from, however many workers there are.
pub fn adopt(address: &Address, sockets: Vec<OwnedFd>, workers: usize) -> io::Result<Opened> {
    let mut listening = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let socket = Socket::from(socket);
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(io::Error::other("an inherited socket does not listen for streams"));
        }
        socket.set_cloexec(true)?;
        socket.set_nonblocking(true)?;
        if matches!(address, Address::Ip { .. }) {
            socket.set_tcp_nodelay(true)?;
        }
        listening.push(socket);
    }
    let Some(first) = listening.first() else { return Err(io::Error::other("no socket was inherited")) };
    let local = first.local_addr()?;
    let told = match (local.as_socket(), local.as_pathname()) {
        (Some(ip), _) => ip.to_string(),
        (None, Some(path)) => format!("unix:{}", path.display()),
        (None, None) => return Err(io::Error::other("an inherited socket has no address")),
    };
    let came = listening.len();
    if let Some(ip) = local.as_socket()
        && first.reuse_port()?
    {
        // Workers beyond those of the process before get sockets of their own, as they would have had from the start.
        for _ in came..workers {
            let Ok(socket) = tcp_socket(ip, true) else { break };
            socket.listen(BACKLOG)?;
            listening.push(socket);
        }
    }
    let held = Held { sockets: listening.into_iter().map(OwnedFd::from).collect(), ours: false };
    let of_workers: io::Result<_> = (0..workers).map(|worker| held.of_worker(worker, workers)).collect();
    Ok(Opened { workers: of_workers?, held: held.sockets, address: told })
}

/// A socket that listens already, once more.
pub fn again(socket: &OwnedFd) -> io::Result<Bound> {
    let socket = Socket::from(socket.try_clone()?);
    Ok(match socket.local_addr()?.as_socket() {
        Some(_) => Bound::Tcp(socket.into()),
        None => Bound::Unix(socket.into()),
    })
}

fn bind_unix(path: &Path, workers: usize) -> io::Result<(Vec<Bound>, String)> {
    let listener = match StdUnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path)?;
            StdUnixListener::bind(path)?
        }
        other => other?,
    };
    listener.set_nonblocking(true)?;
    let mut bound = Vec::with_capacity(workers);
    for _ in 1..workers {
        bound.push(Bound::Unix(listener.try_clone()?));
    }
    bound.push(Bound::Unix(listener));
    Ok((bound, format!("unix:{}", path.display())))
}

/// A socket that nobody answers at was left by a process that did not end in order.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket && std::os::unix::net::UnixStream::connect(path).is_err()
}

/// Removes the socket file of a Unix listener that is served no more.
pub fn forget(address: &Address) {
    if let Address::Unix { path } = address {
        let _ = std::fs::remove_file(PathBuf::from(path));
    }
}

impl Acceptor {
    /// Puts a bound socket into this thread's reactor.
    pub fn new(bound: Bound) -> io::Result<Self> {
        match bound {
            Bound::Tcp(listener) => Ok(Self::Tcp(TcpListener::from_std(listener)?)),
            Bound::Unix(listener) => Ok(Self::Unix(UnixListener::from_std(listener)?)),
            #[cfg(feature = "memory")]
            Bound::Memory(acceptor) => Ok(Self::Memory(acceptor)),
        }
    }

    /// A connection that is there already, if any.
    pub async fn accept_at_once(&mut self) -> Option<io::Result<Accepted>> {
        let mut accept = pin!(self.accept());
        poll_fn(|cx| match accept.as_mut().poll(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// The next connection.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted { stream: Stream::Tcp(stream), peer })
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted { stream: Stream::Unix(stream), peer: UNIX_PEER })
            }
            #[cfg(feature = "memory")]
            Self::Memory(acceptor) => {
                let (pipe, peer) = acceptor.accept().await?;
                Ok(Accepted { stream: Stream::Memory(pipe), peer })
            }
        }
    }
}

/// What stands for the peer of a Unix socket, which has no address: nobody in any network.
pub const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl Accepted {
    /// Its descriptor, where the system knows it.
    pub fn descriptor(&self) -> Option<RawFd> {
        match &self.stream {
            Stream::Tcp(stream) => Some(stream.as_raw_fd()),
            Stream::Unix(stream) => Some(stream.as_raw_fd()),
            _ => None,
        }
    }

    /// The other end; [`UNIX_PEER`] where it has no address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Takes it out of this worker's reactor, for another worker.
    pub fn detach(self) -> io::Result<Detached> {
        match self.stream {
            Stream::Tcp(stream) => Ok(Detached::Tcp(stream.into_std()?, self.peer)),
            Stream::Unix(stream) => Ok(Detached::Unix(stream.into_std()?)),
            #[cfg(feature = "memory")]
            Stream::Memory(pipe) => Ok(Detached::Memory(pipe, self.peer)),
            Stream::Tls(_) | Stream::H2(_) | Stream::Nobody => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Detached {
    /// Puts it into this worker's reactor.
    pub fn attach(self) -> io::Result<Accepted> {
        let (stream, peer) = match self {
            Self::Tcp(stream, peer) => (Stream::Tcp(tokio::net::TcpStream::from_std(stream)?), peer),
            Self::Unix(stream) => (Stream::Unix(tokio::net::UnixStream::from_std(stream)?), UNIX_PEER),
            #[cfg(feature = "memory")]
            Self::Memory(pipe, peer) => (Stream::Memory(pipe), peer),
        };
        Ok(Accepted { stream, peer })
    }
}
