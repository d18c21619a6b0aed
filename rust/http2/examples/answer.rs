//! A server with one answer, to be driven by foreign clients: `h2spec -S`, `h2load`, `nghttp`, `curl`.
//!
//! `cargo run -p tidegate-http2 --example answer -- 127.0.0.1:8080 [BYTES]`; what it gives is a body of that many bytes.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use tidegate_http2::{Connection, Read, Role, Settings, Write};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let bytes = arguments.next().and_then(|bytes| bytes.parse().ok()).unwrap_or(64_usize);
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: answer\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + bytes, b'x');
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    std::thread::scope(|scope| {
        for connection in listener.incoming().filter_map(Result::ok) {
            let answer = &answer;
            scope.spawn(move || {
                if let Err(error) = serve(connection, answer) {
                    eprintln!("{error}");
                }
            });
        }
    });
    Ok(())
}

fn serve(mut socket: TcpStream, answer: &[u8]) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let start = Instant::now();
    let mut connection = Connection::new(Role::Server, Settings::default());
    let mut buffer = vec![0; 64 * 1024];
    // Streams, and how much of the answer each has been given.
    let mut streams: Vec<(u32, usize)> = Vec::new();
    loop {
        while let Some(stream) = connection.accept() {
            streams.push((stream, 0));
        }
        streams.retain_mut(|(stream, given)| !advance(&mut connection, *stream, given, answer, &mut buffer));
        while connection.woken().is_some() {}
        if !connection.output().is_empty() {
            let count = socket.write(connection.output())?;
            connection.sent(count);
            continue;
        }
        if connection.is_over() {
            return socket.shutdown(std::net::Shutdown::Write);
        }
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        if let Err(over) = connection.receive(&buffer[..count], start.elapsed().as_nanos() as u64) {
            eprintln!("{}", over.reason);
        }
    }
}

/// Goes on with one stream; whether it is done.
fn advance(
    connection: &mut Connection,
    stream: u32,
    given: &mut usize,
    answer: &[u8],
    buffer: &mut [u8],
) -> bool {
    loop {
        match connection.read(stream, buffer) {
            Read::Bytes(_) => {}
            Read::Pending => return false,
            Read::End => break,
            Read::Reset(_) => {
                connection.release(stream, None);
                return true;
            }
        }
    }
    while *given < answer.len() {
        match connection.write(stream, &[IoSlice::new(&answer[*given..])]) {
            Write::Taken(count) => *given += count,
            Write::Blocked => return false,
            // To HEAD there is no body to write.
            Write::Reset(_) | Write::Malformed => break,
        }
    }
    connection.release(stream, None);
    true
}
