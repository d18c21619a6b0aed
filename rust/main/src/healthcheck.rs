//! `tidegate healthcheck`: asks a running process whether it is ready, without starting Python.
//!
//! It answers only where it can be sure of what Python's own verb would answer; where finding the process takes reading a
//! configuration with care, Python does it.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// How much of an answer is read; the status stands in its first line.
const ANSWER_BYTES: u64 = 64 * 1024;
/// As `python/tidegate/source.py` has it.
const DISCOVERED: [&str; 2] = ["tidegate.yaml", "/etc/tidegate/tidegate.yaml"];

/// What the command line asked for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    config: Option<String>,
    state: Option<String>,
    url: Option<String>,
    timeout: Option<Duration>,
}

/// A process that says that it runs.
#[derive(Debug, PartialEq)]
struct Running {
    control: String,
    config: Option<String>,
}

/// The exit status; None where Python has to find out.
pub fn run(options: &[&str]) -> Option<ExitCode> {
    let options = parse(options)?;
    let timeout = options.timeout.unwrap_or(Duration::from_secs(5));
    let answer = match &options.url {
        Some(url) => ask_url(url, timeout)?,
        None => ask_unix(&find(&options)?, "/readyz", timeout),
    };
    Some(match answer {
        Ok(status @ 200..300) => {
            let _ = status;
            println!("ready");
            ExitCode::SUCCESS
        }
        Ok(status) => {
            eprintln!("not ready: {status}");
            ExitCode::FAILURE
        }
        Err(told) => {
            eprintln!("{told}");
            ExitCode::FAILURE
        }
    })
}

/// The options, as long as they are written in the plainest way; what is odd or wrong is Python's to refuse.
fn parse(words: &[&str]) -> Option<Options> {
    let mut options = Options::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, value),
            _ => (*word, *rest.next()?),
        };
        match name {
            "-c" | "--config" => options.config = Some(value.to_owned()),
            "--state" => options.state = Some(value.to_owned()),
            "--url" => options.url = Some(value.to_owned()),
            "--timeout" => {
                let seconds = value.parse().ok().filter(|seconds: &f64| *seconds > 0.0 && *seconds < 1e6)?;
                options.timeout = Some(Duration::from_secs_f64(seconds));
            }
            _ => return None,
        }
    }
    Some(options)
}

/// The control socket of the one process that is meant; None where there is none, several, or no telling.
fn find(options: &Options) -> Option<String> {
    let config = options
        .config
        .clone()
        .or_else(|| DISCOVERED.iter().find(|path| Path::new(path).is_file()).map(|path| (*path).to_owned()));
    let absolute = match &config {
        Some(path) => Some(plain(&env::current_dir().ok()?.join(path))?),
        None => None,
    };
    let folder = match (&options.state, &config) {
        (Some(state), _) => absolute_of(state)?,
        (None, Some(path)) => match state_as_written(&fs::read_to_string(path).ok()?)? {
            Some(state) => {
                plain(&Path::new(absolute.as_deref()?).parent()?.join(state)).map(PathBuf::from)?
            }
            None => default_folder()?,
        },
        (None, None) => default_folder()?,
    };
    let running = read_folder(&folder)?;
    let wanted = if options.config.is_some() || running.len() > 1 {
        running.into_iter().filter(|process| process.config == absolute).collect()
    } else {
        running
    };
    match <[Running; 1]>::try_from(wanted) {
        Ok([process]) => Some(process.control),
        Err(_) => None,
    }
}

/// A path without `.` and `..`, as Python's `abspath` has it; None where that takes more than leaving out.
fn plain(path: &Path) -> Option<String> {
    let mut parts = path.components();
    let odd = parts.any(|part| matches!(part, std::path::Component::ParentDir));
    if odd { None } else { path.components().collect::<PathBuf>().to_str().map(str::to_owned) }
}

fn absolute_of(path: &str) -> Option<PathBuf> {
    if path.is_empty() || path.starts_with('~') {
        return None;
    }
    Some(env::current_dir().ok()?.join(path))
}

/// `state:` of a configuration: the inner None where it has none, the outer where a plain look can't tell.
fn state_as_written(text: &str) -> Option<Option<&str>> {
    if text.contains("include")
        || text.trim_start().starts_with(['{', '%', '"', '\'', '['])
        || text.contains("\n---")
    {
        return None;
    }
    let first =
        text.lines().find(|line| !line.trim_start().is_empty() && !line.trim_start().starts_with('#'));
    if first.is_some_and(|line| line.starts_with([' ', '\t'])) {
        return None; // all of it is indented, `state:` too
    }
    let mut found = None;
    for line in text.lines().filter(|line| line.contains("state")) {
        let outermost = !line.starts_with([' ', '\t', '#']);
        if !outermost {
            continue;
        }
        let value = line.strip_prefix("state:")?.split(" #").next()?.trim();
        let easy = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        if value.is_empty() || found.is_some() || !value.bytes().all(easy) {
            return None;
        }
        found = Some(value);
    }
    Some(found)
}

/// As `python/tidegate/state.py` has it.
fn default_folder() -> Option<PathBuf> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(systemd) = set("STATE_DIRECTORY") {
        return systemd.split(':').next().map(PathBuf::from);
    }
    if let Some(xdg) = set("XDG_STATE_HOME") {
        return Some(PathBuf::from(xdg).join("tidegate"));
    }
    set("HOME").map(|home| PathBuf::from(home).join(".local/state/tidegate"))
}

/// Who says that they run there and lives; None where nobody does.
fn read_folder(folder: &Path) -> Option<Vec<Running>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        if name == "run.json" || (name.starts_with("run-") && name.ends_with(".json")) {
            let told: serde_json::Value = serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()?;
            if lives(told["pid"].as_i64()?) {
                found.push(Running {
                    control: told["control"].as_str()?.to_owned(),
                    config: told["config"].as_str().map(str::to_owned),
                });
            }
        }
    }
    Some(found)
}

fn lives(pid: i64) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // Safety: signal 0 sends nothing; it only asks.
    #[allow(unsafe_code)]
    let asked = unsafe { libc::kill(pid, 0) };
    asked == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// One GET of an `http://` or `unix:` URL; None where the URL is odd, which Python refuses.
fn ask_url(url: &str, timeout: Duration) -> Option<Result<u16, String>> {
    if let Some(rest) = url.strip_prefix("unix:") {
        let (path, target) = rest.split_once(':').unwrap_or((rest, ""));
        return Some(ask_unix(path, if target.is_empty() { "/readyz" } else { target }, timeout));
    }
    let rest = url.strip_prefix("http://")?;
    let (host, target) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    if host.is_empty() || host.contains('@') || target.contains('#') {
        return None;
    }
    let target = match target.as_bytes().first() {
        None => "/readyz".to_owned(),
        Some(b'?') => format!("/readyz{target}"),
        Some(_) => target.to_owned(),
    };
    let port_given = host.rfind(':').is_some_and(|at| at > host.rfind(']').unwrap_or(0));
    let address = if port_given { host.to_owned() } else { format!("{host}:80") };
    let tried = (|| {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for place in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&place, timeout) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    return exchange(stream, host, &target);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    })();
    Some(tried.map_err(|error| words(url, &error)))
}

fn ask_unix(path: &str, target: &str, timeout: Duration) -> Result<u16, String> {
    let tried = (|| {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        exchange(stream, "localhost", target)
    })();
    tried.map_err(|error| words(path, &error))
}

fn words(place: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!("{place} does not answer in time"),
        _ => format!("{place} does not answer: {error}"),
    }
}

/// The status of one GET. RFC 9112 §4: `HTTP/1.1 SP 3DIGIT`.
fn exchange(mut stream: impl Read + Write, host: &str, target: &str) -> io::Result<u16> {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.get(2..5))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_python_reads_them_or_left_to_it() {
        let options = parse(&["-c", "a.yaml", "--timeout=2.5", "--state", "/s"]);
        let expected = Options {
            config: Some("a.yaml".into()),
            state: Some("/s".into()),
            url: None,
            timeout: Some(Duration::from_millis(2500)),
        };
        assert_eq!(options, Some(expected));
        for odd in [&["--time", "1"][..], &["--timeout", "-1"], &["-h"], &["extra"], &["-c"], &["-ca.yaml"]] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn the_state_directory_is_read_where_it_is_plain_and_left_to_python_where_not() {
        assert_eq!(state_as_written("listeners: [:80]\n"), Some(None));
        assert_eq!(
            state_as_written("# x\nstate: /var/lib/t # here\nroutes:\n  - {respond: {status: 200}}\n"),
            Some(Some("/var/lib/t"))
        );
        for odd in [
            "state: ${DIR}\n",
            "include: conf.d/*\n",
            "{state: /x}",
            "state:\n  /x\n",
            "state: a\nstate: b\n",
            "\"state\": /x\n",
            "'state': /x\n",
            "  a: 1\n  state: /x\n",
        ] {
            assert_eq!(state_as_written(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_status_is_read_off_the_first_line_alone() {
        struct Peer(io::Cursor<&'static [u8]>);
        impl Read for Peer {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl Write for Peer {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                Ok(buffer.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let told = |answer: &'static [u8]| exchange(Peer(io::Cursor::new(answer)), "h", "/").ok();
        assert_eq!(told(b"HTTP/1.1 503 Service Unavailable\r\nX: HTTP/1.1 200\r\n\r\n"), Some(503));
        for bad in [&b""[..], b"SSH-2.0\r\n", b"HTTP/1.1 2", b"HTTP/1.1\r\n200"] {
            assert_eq!(told(bad), None, "{bad:?}");
        }
    }
}
