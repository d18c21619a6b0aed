//! Lines as syslog messages (RFC 5424), one datagram each, over UDP (RFC 5426) or a Unix datagram socket.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tidegate_plan::Address;

use super::{
    calendar, escape,
    number::push_decimal,
    sink::{Unwritten, count_lines},
};

/// Informational (RFC 5424 §6.2.1).
const SEVERITY: u8 = 6;

/// A longer message is cut: UDP carries at most 65,507 bytes.
const MESSAGE_MOST: usize = 65_000;

/// How long a server on the same machine may be busy before a line is given up.
const SEND_MOST: Duration = Duration::from_millis(500);

/// A server that takes messages.
#[derive(Debug)]
pub(super) struct Syslog {
    server: Server,
    name: String,
    socket: Option<Socket>,
    priority: u8,
    /// What stands between the time and the message.
    identity: Vec<u8>,
    message: Vec<u8>,
}

#[derive(Debug)]
enum Server {
    Udp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Syslog {
    /// A Unix socket must be there at this moment; of UDP nobody can know.
    pub(super) fn open(address: &Address, facility: u8, tag: &str) -> io::Result<Self> {
        let (server, name) = match address {
            Address::Ip { ip, port } => {
                let ip: IpAddr = ip.parse().map_err(|_| invalid(format!("{ip} is no IP address")))?;
                let server = SocketAddr::new(ip, *port);
                (Server::Udp(server), format!("syslog server {server}"))
            }
            Address::Unix { path } => (Server::Unix(path.into()), format!("syslog socket {path}")),
            Address::Name { host, .. } => {
                return Err(invalid(format!(
                    "a syslog server needs an IP address or a socket, not the name {host}"
                )));
            }
        };
        if facility > 23 {
            return Err(invalid(format!("{facility} is no syslog facility; use 0 to 23")));
        }
        let socket = Some(server.connect()?);
        let priority = facility * 8 + SEVERITY;
        Ok(Self { server, name, socket, priority, identity: identity(tag), message: Vec::new() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn reconnect(&mut self) -> io::Result<()> {
        self.socket = Some(self.server.connect()?);
        Ok(())
    }

    /// Each line is a message without its LF.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let mut rest = lines;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.compose(&rest[..end]);
            if let Err(error) = self.send() {
                // What is lost is the rest of this buffer: a server that is away is not asked for every line.
                return Err(Unwritten { lines: count_lines(rest), error });
            }
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    fn compose(&mut self, line: &[u8]) {
        let message = &mut self.message;
        message.clear();
        message.push(b'<');
        push_decimal(u64::from(self.priority), message);
        message.extend_from_slice(b">1 ");
        calendar::push_utc(SystemTime::now(), message);
        message.extend_from_slice(&self.identity);
        let room = MESSAGE_MOST.saturating_sub(message.len());
        message.extend_from_slice(&line[..line.len().min(room)]);
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = match &self.socket {
            Some(socket) => socket.send(&self.message),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        match sent {
            Ok(()) => Ok(()),
            // A server that was started anew has a new socket; an ICMP message about an earlier datagram
            // is told at the next one, which then was not sent. One more try settles both.
            Err(_) => {
                self.socket = None;
                let socket = self.server.connect()?;
                let sent = socket.send(&self.message);
                self.socket = Some(socket);
                sent
            }
        }
    }
}

impl Server {
    fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Udp(server) => {
                let any: IpAddr = match server {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let socket = UdpSocket::bind((any, 0))?;
                socket.connect(server)?;
                socket.set_write_timeout(Some(SEND_MOST))?;
                Ok(Socket::Udp(socket))
            }
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(SEND_MOST))?;
                Ok(Socket::Unix(socket))
            }
        }
    }
}

impl Socket {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Unix(socket) => socket.send(message).map(drop),
        }
    }
}

/// ` HOSTNAME APP-NAME PROCID - - ` (RFC 5424 §6.2); what a field can't have is left out of it.
fn identity(tag: &str) -> Vec<u8> {
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    let host = header_field(&host.unwrap_or_default(), 255);
    format!(" {host} {} {} - - ", header_field(tag, 48), std::process::id()).into_bytes()
}

fn header_field(text: &str, most: usize) -> String {
    let field: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if field.is_empty() { "-".into() } else { field }
}

fn invalid(why: String) -> io::Error {
    let mut text = String::new();
    escape::controls(&why, &mut text);
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UdpSocket) -> String {
        let mut bytes = [0; 2048];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    fn server() -> (UdpSocket, Address) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, Address::Ip { ip: address.ip().to_string(), port: address.port() })
    }

    #[test]
    fn each_line_is_one_message_with_the_fields_of_rfc_5424() {
        let (socket, address) = server();
        let mut syslog = Syslog::open(&address, 23, "tide gate").unwrap();
        syslog.write(b"one line\nanother\n").unwrap();
        let first = received(&socket);
        let fields: Vec<&str> = first.splitn(8, ' ').collect();
        assert_eq!(fields[0], "<190>1");
        assert!(fields[1].ends_with('Z') && fields[1].len() == 24, "{first}");
        assert_eq!(fields[3], "tidegate");
        assert_eq!(fields[4], std::process::id().to_string());
        assert_eq!((fields[5], fields[6], fields[7]), ("-", "-", "one line"));
        assert!(received(&socket).ends_with(" - - another"));
    }

    #[test]
    fn a_name_or_a_wrong_facility_is_refused_with_its_reason() {
        let name = Address::Name { host: "logs".into(), port: 514 };
        assert!(Syslog::open(&name, 1, "t").unwrap_err().to_string().contains("not the name logs"));
        let (_socket, address) = server();
        assert!(Syslog::open(&address, 24, "t").unwrap_err().to_string().contains("0 to 23"));
    }

    #[test]
    fn a_message_that_is_too_long_for_a_datagram_is_cut() {
        let (_socket, address) = server();
        let mut syslog = Syslog::open(&address, 1, "t").unwrap();
        let mut line = vec![b'x'; 100_000];
        line.push(b'\n');
        syslog.write(&line).unwrap();
        assert_eq!(syslog.message.len(), MESSAGE_MOST);
    }
}
