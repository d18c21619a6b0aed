//! Listening sockets: bound by the control thread, so that a port in use is told at once, and served by workers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd as _, RawFd},
    os::unix::{fs::FileTypeExt, net::UnixListener as StdUnixListener},
    path::{Path, PathBuf},
};

use socket2::{Domain, Protocol, Socket, Type};
use tidegate_plan::Address;
use tokio::net::{TcpListener, UnixListener};

use super::Stream;

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

/// A connection that has been accepted and belongs to no reactor yet, so that another worker may take it.
#[derive(Debug)]
pub enum Accepted {
    /// TCP and its peer.
    Tcp(std::net::TcpStream, SocketAddr),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
    /// Already in this worker's reactor.
    Local(Stream, SocketAddr),
}

/// Binds `address` once for each of `workers`; port 0 becomes the same free port for all.
pub fn bind(address: &Address, workers: usize) -> io::Result<(Vec<Bound>, String)> {
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

    /// The next connection.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted::Local(Stream::Tcp(stream), peer))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted::Local(Stream::Unix(stream), UNIX_PEER))
            }
            #[cfg(feature = "memory")]
            Self::Memory(acceptor) => {
                let (pipe, peer) = acceptor.accept().await?;
                Ok(Accepted::Local(Stream::Memory(pipe), peer))
            }
        }
    }
}

/// What stands for the peer of a Unix socket, which has no address: nobody in any network.
pub const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl Accepted {
    /// Its descriptor, where the system knows it.
    pub fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Tcp(stream, _) => Some(stream.as_raw_fd()),
            Self::Unix(stream) => Some(stream.as_raw_fd()),
            Self::Local(Stream::Tcp(stream), _) => Some(stream.as_raw_fd()),
            Self::Local(Stream::Unix(stream), _) => Some(stream.as_raw_fd()),
            Self::Local(..) => None,
        }
    }

    /// The other end; [`UNIX_PEER`] where it has no address.
    pub fn peer(&self) -> SocketAddr {
        match self {
            Self::Tcp(_, peer) | Self::Local(_, peer) => *peer,
            Self::Unix(_) => UNIX_PEER,
        }
    }

    /// Takes it out of this worker's reactor, for another worker.
    pub fn detach(self) -> io::Result<Self> {
        match self {
            Self::Local(Stream::Tcp(stream), peer) => Ok(Self::Tcp(stream.into_std()?, peer)),
            Self::Local(Stream::Unix(stream), _) => Ok(Self::Unix(stream.into_std()?)),
            other => Ok(other),
        }
    }

    /// Puts it into this worker's reactor.
    pub fn attach(self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(stream, peer) => Ok((Stream::Tcp(tokio::net::TcpStream::from_std(stream)?), peer)),
            Self::Unix(stream) => Ok((Stream::Unix(tokio::net::UnixStream::from_std(stream)?), UNIX_PEER)),
            Self::Local(stream, peer) => Ok((stream, peer)),
        }
    }
}
