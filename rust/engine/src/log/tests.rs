//! The log as a whole: formats to the byte, and lines on their way to their sink.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

use tidegate_plan::{AccessLog, Address, LogFormat, LogSink, Part, Variable};

use super::{
    Format, Log, Record,
    queue::{Queue, Refused},
    samples::{Few, head, record},
};

fn line(format: &LogFormat, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    Format::compile(format).unwrap().write(record, &Few, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn combined_is_nginx_s_to_the_byte() {
    let head =
        head(b"/v1/users?page=2", &[("User-Agent", b"curl/8.5.0"), ("Referer", b"https://example.com/")]);
    let line = line(&LogFormat::Combined, &record(Some(&head)));
    let (before, after) = line.split_once('[').unwrap();
    let (time, rest) = after.split_once(']').unwrap();
    assert_eq!(before, "192.0.2.7 - ci ");
    assert_eq!(time.len(), 26, "{time}");
    assert_eq!(rest, " \"GET /v1/users?page=2 HTTP/1.1\" 200 5120 \"https://example.com/\" \"curl/8.5.0\"\n");
}

#[test]
fn combined_has_hyphens_for_what_is_not_there_and_escapes_what_is() {
    let odd = head(b"/%22", &[("User-Agent", b"a\"b\\c\td\xc3\xa9"), ("Referer", b"")]);
    let written = line(&LogFormat::Combined, &Record { user: "", ..record(Some(&odd)) });
    assert!(written.starts_with("192.0.2.7 - - ["));
    assert!(
        written.ends_with("\"GET /%22 HTTP/1.1\" 200 5120 \"\" \"a\\x22b\\x5Cc\\x09d\\xC3\\xA9\"\n"),
        "{written}"
    );
}

#[test]
fn a_request_whose_head_could_not_be_read_has_a_line_in_every_format() {
    let refused = Record { status: 400, reason: "bare_lf", bytes_sent: 0, user: "", ..record(None) };
    assert!(line(&LogFormat::Combined, &refused).ends_with("\"-\" 400 0 \"-\" \"-\"\n"));
    let json = line(&LogFormat::Json, &refused);
    assert!(json.contains(r#""method":"","#) && json.contains(r#""reason":"bare_lf","#), "{json}");
    let cleared = tidegate_message::RequestHead::default();
    assert_eq!(json, line(&LogFormat::Json, &Record { head: Some(&cleared), ..refused }));
}

#[test]
fn json_has_always_the_same_keys() {
    let head = head(b"/a\"b", &[("User-Agent", b"agent \xff")]);
    let expected = concat!(
        r#"{"time":"2026-11-21T04:00:00.123Z","client_ip":"192.0.2.7","user":"ci","method":"GET","#,
        r#""host":"api.example.com","target":"/a\"b","protocol":"HTTP/1.1","status":200,"bytes_sent":5120,"#,
        r#""bytes_received":17,"duration_ms":1.234,"listener":":8080","route":"api","upstream":"backend","#,
        r#""endpoint":"10.0.0.1:8080","upstream_duration_ms":0.987,"attempts":1,"reason":"","#,
        r#""request_id":"4bf92f3577b34da6a3ce929d0e0e4736","#,
        r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","referer":"","#,
        r#""user_agent":"agent \u00ff"}"#,
        "\n"
    );
    assert_eq!(line(&LogFormat::Json, &record(Some(&head))), expected);
    let silent = line(&LogFormat::Json, &Record { upstream_duration: None, ..record(Some(&head)) });
    assert!(silent.contains(r#""upstream_duration_ms":null,"#));
}

#[test]
fn whatever_a_client_sends_a_line_stays_a_line() {
    let mut random = fastrand::Rng::with_seed(11);
    let template = vec![Part::Header { name: "x-evil".into() }];
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..random.usize(..300)).map(|_| random.u8(..)).collect();
        let head = head(&bytes, &[("User-Agent", &bytes), ("Referer", &bytes)]);
        let record = Record { host: &bytes, traceparent: &bytes, ..record(Some(&head)) };
        for format in
            [LogFormat::Combined, LogFormat::Json, LogFormat::Template { template: template.clone() }]
        {
            let line = line(&format, &record);
            assert_eq!(line.lines().count(), 1);
            assert!(
                line.ends_with('\n') && !line[..line.len() - 1].contains(|c: char| c.is_control()),
                "{line:?}"
            );
        }
    }
}

#[test]
fn a_template_takes_the_end_of_the_exchange_from_the_record() {
    let text = |value: &str| Part::Text { value: value.into() };
    let variable = |name| Part::Variable { name };
    let template = vec![
        variable(Variable::Method),
        text(" "),
        variable(Variable::Status),
        text(" "),
        variable(Variable::Duration),
        text(" "),
        variable(Variable::Time),
        text(" ["),
        variable(Variable::Path),
        text("] "),
        Part::Header { name: "x-evil".into() },
        variable(Variable::Dollar),
    ];
    let written = line(&LogFormat::Template { template }, &record(None));
    assert_eq!(written, "GET 200 1.234 1795233600.123 [-] a\\x22b\\x0Ac\\xFF$\n");
}

#[test]
fn a_template_that_would_break_lines_is_refused() {
    let template = vec![Part::Text { value: "a\nb".into() }];
    assert!(Format::compile(&LogFormat::Template { template }).is_err());
}

fn config(sink: LogSink) -> AccessLog {
    AccessLog { format: LogFormat::Json, sink, buffer_bytes: 1 << 20, flush_ms: 0 }
}

fn file(path: &std::path::Path) -> AccessLog {
    config(LogSink::File { path: path.display().to_string() })
}

/// A path that no other test uses, in a directory that exists.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tidegate-log-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn written(log: &Log) {
    assert!(log.queue().wait_until_written(Duration::from_secs(20)));
}

#[test]
fn lines_of_several_workers_are_appended_whole() {
    let path = path("append");
    fs::write(&path, "kept\n").unwrap();
    let log = Log::open(&file(&path)).unwrap();
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let mut lines = log.lines();
            std::thread::spawn(move || {
                for number in 0..5000 {
                    lines.line(|out| out.extend_from_slice(format!("{worker} {number}\n").as_bytes()));
                    if number % 100 == 0 {
                        lines.flush();
                    }
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    written(&log);
    let text = fs::read_to_string(&path).unwrap();
    let mut next = [0; 4];
    assert!(text.starts_with("kept\n"));
    for line in text.lines().skip(1) {
        let (worker, number) = line.split_once(' ').unwrap();
        let next = &mut next[worker.parse::<usize>().unwrap()];
        assert_eq!(number.parse::<u32>().unwrap(), *next, "lines of a worker stay in order");
        *next += 1;
    }
    assert_eq!(next, [5000; 4]);
    assert_eq!(log.dropped(), 0);
    fs::remove_file(path).unwrap();
}

#[test]
fn after_a_rotation_lines_go_to_the_new_file() {
    let (path, moved) = (path("rotate"), path("rotated"));
    let log = Log::open(&file(&path)).unwrap();
    let mut lines = log.lines();
    lines.line(|out| out.extend_from_slice(b"before\n"));
    lines.flush();
    written(&log);
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    written(&log);
    lines.line(|out| out.extend_from_slice(b"after\n"));
    drop(lines);
    log.clone().flush_and_close();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "before\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
    fs::remove_file(path).unwrap();
    fs::remove_file(moved).unwrap();
}

#[test]
fn a_log_that_can_not_be_opened_says_which_and_why() {
    let error = Log::open(&config(LogSink::File { path: "/nonexistent/access.log".into() })).unwrap_err();
    assert_eq!(error.path, "/nonexistent/access.log");
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_full_disk_loses_lines_that_are_counted_and_the_log_recovers_when_there_is_room() {
    let path = path("full");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let log = Log::open(&file(&path)).unwrap();
    let mut lines = log.lines();
    for _ in 0..3 {
        lines.line(|out| out.extend_from_slice(b"lost\n"));
    }
    lines.flush();
    written(&log);
    assert_eq!(log.dropped(), 3);
    fs::remove_file(&path).unwrap();
    log.reopen();
    lines.line(|out| out.extend_from_slice(b"kept\n"));
    lines.flush();
    written(&log);
    assert_eq!(log.dropped(), 3);
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept\n");
    fs::remove_file(path).unwrap();
}

#[test]
fn lines_go_to_a_unix_socket_as_messages() {
    let path = path("syslog");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = Address::Unix { path: path.display().to_string() };
    let log = Log::open(&config(LogSink::Syslog { address, facility: 16, tag: "edge".into() })).unwrap();
    let mut lines = log.lines();
    lines.line(|out| out.extend_from_slice(b"{\"a\":1}\n"));
    drop(lines);
    let mut message = [0; 1024];
    let length = socket.recv(&mut message).unwrap();
    let message = String::from_utf8_lossy(&message[..length]).into_owned();
    assert!(
        message.starts_with("<134>1 ") && message.contains(" edge ") && message.ends_with(" {\"a\":1}"),
        "{message}"
    );
    fs::remove_file(path).unwrap();
}

#[test]
fn lines_for_which_there_is_no_room_are_dropped_and_counted() {
    // Nothing is ever written from this queue: there is no writer.
    let queue = Queue::new(100);
    let mut first = vec![b'x'; 80];
    assert_eq!(queue.offer(&mut first), Ok(()));
    assert!(first.is_empty());
    let mut second = vec![b'y'; 30];
    assert_eq!(queue.offer(&mut second), Err(Refused::Full));
    assert_eq!(second.len(), 30, "what is refused stays where it is");
    let taken = queue.next().unwrap();
    queue.finished(taken.lines);
    assert_eq!(queue.offer(&mut second), Ok(()));
}

#[test]
fn a_worker_whose_writer_is_stuck_formats_nothing_more() {
    // Nobody reads from this pipe, so that its writer is stuck when the pipe is full.
    let path = path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let reader = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let log = Log::open(&AccessLog { buffer_bytes: 256 * 1024, ..file(&path) }).unwrap();
    let mut lines = log.lines();
    let (mut formatted, start) = (0_u64, Instant::now());
    while log.dropped() < 10 {
        assert!(start.elapsed() < Duration::from_secs(20), "no line is dropped");
        lines.line(|out| {
            formatted += 1;
            out.extend_from_slice(&[b'x'; 1023]);
            out.push(b'\n');
        });
    }
    assert!(formatted * 1024 < (64 + 256 + 64) * 1024, "{formatted} lines were held in memory");
    drop((reader, lines));
    fs::remove_file(path).unwrap();
}

#[test]
fn no_line_is_lost_while_somebody_else_is_at_the_queue() {
    let path = path("busy");
    let log = Log::open(&file(&path)).unwrap();
    let mut lines = log.lines();
    let held = log.queue().hold();
    for _ in 0..100 {
        lines.line(|out| out.extend_from_slice(&[[b'x'; 1023].as_slice(), b"\n"].concat()));
    }
    drop(held);
    lines.line(|out| out.extend_from_slice(b"last\n"));
    drop(lines);
    written(&log);
    assert_eq!((log.dropped(), fs::read_to_string(&path).unwrap().lines().count()), (0, 101));
    fs::remove_file(path).unwrap();
}

#[test]
fn emptied_buffers_come_back() {
    let queue = Queue::new(1 << 20);
    let mut buffer = Vec::with_capacity(40_000);
    buffer.push(b'\n');
    let place = buffer.as_ptr();
    queue.offer(&mut buffer).unwrap();
    queue.finished(queue.next().unwrap().lines);
    buffer.push(b'\n');
    queue.offer(&mut buffer).unwrap();
    assert_eq!(buffer.as_ptr(), place);
    assert_eq!(buffer.capacity(), 40_000);
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let path = path("ends");
    let log = Log::open(&file(&path)).unwrap();
    let lines = log.lines();
    let queue = std::sync::Arc::downgrade(log.queue());
    drop(log);
    assert!(queue.upgrade().is_some(), "lines keep it");
    drop(lines);
    let start = Instant::now();
    while queue.upgrade().is_some() {
        assert!(start.elapsed() < Duration::from_secs(20), "its thread goes on");
        std::thread::yield_now();
    }
    fs::remove_file(path).unwrap();
}
