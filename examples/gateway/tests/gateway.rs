//! The gateway as its users see it: its command line, its streams, its sockets, its signals.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use prometheus_parse::{Sample, Scrape, Value};

/// A gateway that runs.
struct Gateway {
    child: Child,
    /// What it says, line by line.
    says: Receiver<String>,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(arguments: &[&str]) -> Gateway {
    let mut child = command(arguments).spawn().unwrap();
    let (sender, says) = channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    thread::spawn(move || stderr.lines().try_for_each(|line| sender.send(line.unwrap())));
    Gateway { child, says }
}

/// What comes of it when that is all there is to read.
fn of(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // It may end before it has read all.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

impl Gateway {
    /// The rest of the next line with this in it.
    fn await_line(&self, part: &str) -> String {
        loop {
            let line = self.says.recv_timeout(Duration::from_secs(20)).expect("it says so");
            if let Some(at) = line.find(part) {
                return line[at + part.len()..].to_owned();
            }
        }
    }

    fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The number behind this word.
fn number(report: &str, word: &str) -> u64 {
    let rest = report.split_once(&format!("{word} ")).unwrap_or_else(|| panic!("{word}: {report}")).1;
    rest.split(|end: char| !end.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Each of them is an alert: the values rise and fall.
fn restless(sensors: usize, each: usize) -> String {
    (0..each)
        .flat_map(|turn| {
            (0..sensors).map(move |sensor| format!("s{sensor} {}\n", if turn % 2 == 0 { 9 } else { 1 }))
        })
        .collect()
}

#[test]
fn each_sensor_s_alerts_come_in_order_for_any_number_of_workers_and_analysts() {
    let input = restless(20, 50);
    for (workers, analysts) in [("1", "1"), ("1", "32"), ("2", "4"), ("5", "3")] {
        let output = of(&["--workers", workers, "--analysts", analysts], input.as_bytes());
        assert!(output.status.success(), "{}", stderr(&output));
        let mut by_sensor: HashMap<String, Vec<String>> = HashMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let [kind, sensor, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert_eq!(kind == "high", value == "9");
            by_sensor.entry(sensor.into()).or_default().push(kind.into());
        }
        assert_eq!(by_sensor.len(), 20);
        for alerts in by_sensor.values() {
            assert!(alerts.len() == 50 && alerts.chunks(2).all(|two| two == ["high", "calm"]));
        }
    }
}

#[test]
fn lines_that_are_none_are_told_with_their_numbers_counted_and_skipped() {
    let long = "x".repeat(300);
    let input = format!("a 9\nwhat\n{long} 1\nb nan\n\n# a comment\na 1\n");
    let output = of(&[], input.as_bytes());
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(output.stdout, b"high a 9\ncalm a 1\n");
    for part in
        ["line 2: not a sensor's name", "line 3: longer than 256", "line 4: not a finite", "accepted 2,"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!((number(&said, "malformed"), number(&said, "overlong")), (2, 1), "{said}");
}

#[test]
fn a_flood_of_bad_lines_is_counted_and_does_not_flood_the_log() {
    let output = of(&[], "bad\n".repeat(10_000).as_bytes());
    let said = stderr(&output);
    assert_eq!(number(&said, "malformed"), 10_000);
    assert!(said.lines().count() < 30, "{said}");
}

#[test]
fn what_cannot_be_is_an_error_that_says_what_could() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, says) in [
        (vec!["--workers", "0"], "1 to 64"),
        (vec!["--listen", "somewhere"], "an address and a port"),
        (vec!["--listen", &address], "can't listen at 127.0.0.1"),
        (vec!["--http", &address], "in use"),
    ] {
        let output = of(&arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let help = of(&["--help"], b"");
    assert!(help.status.success() && help.stdout.starts_with(b"Reads sensors"));
}

#[test]
fn when_nobody_reads_its_output_it_says_so_and_ends() {
    let mut gateway = start(&[]);
    drop(gateway.child.stdout.take());
    let mut stdin = gateway.stdin();
    let input = restless(50, 2_000);
    let writer = thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
        stdin
    });
    gateway.await_line("standard output: ");
    let report = gateway.await_line("gateway: accepted");
    assert_eq!(gateway.child.wait().unwrap().code(), Some(1), "{report}");
    drop(writer.join());
}

#[test]
fn while_nobody_reads_its_output_senders_wait_and_nothing_is_lost() {
    let mut gateway = start(&["--listen", "127.0.0.1:0"]);
    let address = gateway.await_line("readings at ");
    let input = restless(100, 1_500);
    let wanted = input.lines().count();
    let mut stream = TcpStream::connect(address).unwrap();
    let sender = thread::spawn(move || {
        stream.write_all(input.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Until it has been read to its end.
        stream.read(&mut [0]).unwrap()
    });
    thread::sleep(Duration::from_millis(300));
    assert!(!sender.is_finished(), "somebody has room for {wanted} readings");
    let mut alerts = BufReader::new(gateway.child.stdout.take().unwrap()).lines();
    for number in 0..wanted {
        assert!(alerts.next().is_some(), "{number} of {wanted} alerts");
    }
    sender.join().unwrap();
    gateway.interrupt();
    assert!(gateway.child.wait().unwrap().success());
    assert_eq!(alerts.count(), 0);
}

/// `GATEWAY_RUNS` says how often.
#[test]
fn an_interrupt_under_load_loses_nothing_that_was_accepted() {
    let runs = std::env::var("GATEWAY_RUNS").map_or(10, |runs| runs.parse().unwrap());
    let input = restless(50, 2_000);
    for run in 0..runs {
        let workers = (1 + run % 3).to_string();
        let mut gateway = start(&["--listen", "127.0.0.1:0", "--workers", &workers]);
        let address = gateway.await_line("readings at ");
        let mut stdout = gateway.child.stdout.take().unwrap();
        let alerts = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text.lines().count() as u64
        });
        let senders = [(); 4].map(|()| {
            let (address, input) = (address.clone(), input.clone());
            thread::spawn(move || {
                // It is cut off, some time.
                TcpStream::connect(address).is_ok_and(|mut stream| stream.write_all(input.as_bytes()).is_ok())
            })
        });
        thread::sleep(Duration::from_millis(5 + run % 40));
        gateway.interrupt();
        let report = gateway.await_line("gateway: accepted ");
        assert!(gateway.child.wait().unwrap().success(), "run {run}: accepted {report}");
        let accepted: u64 = report.split(',').next().unwrap().parse().unwrap();
        assert_eq!(number(&report, "handled"), accepted, "run {run}");
        // Several senders may say the same of a sensor one after the other, which is one alert.
        assert_eq!(number(&report, "written"), alerts.join().unwrap(), "run {run}");
        senders.into_iter().for_each(|sender| drop(sender.join()));
    }
}

fn get(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What stands behind the head.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn there_is_something_to_see_while_it_runs() {
    let mut gateway = start(&["--http", "127.0.0.1:0"]);
    let address = gateway.await_line("status at ");
    let mut stdin = gateway.stdin();
    let mut alerts = BufReader::new(gateway.child.stdout.take().unwrap()).lines();
    stdin.write_all(b"a 9\na 1\nnonsense\n").unwrap();
    assert_eq!(alerts.next().unwrap().unwrap(), "high a 9");
    assert_eq!(alerts.next().unwrap().unwrap(), "calm a 1");
    gateway.await_line("line 3");

    let metrics = get(&address, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    let scrape = Scrape::parse(body(&metrics).lines().map(|line| Ok(line.to_owned()))).unwrap();
    let value = |name: &str, labels: &[(&str, &str)]| {
        let is_it = |row: &&Sample| {
            let has = |&(key, value): &(&str, &str)| row.labels.get(key) == Some(value);
            row.metric == name && labels.iter().all(has)
        };
        match scrape.samples.iter().find(is_it).unwrap_or_else(|| panic!("{name}: {metrics}")).value {
            Value::Counter(value) | Value::Gauge(value) => value,
            _ => panic!("{name}: {metrics}"),
        }
    };
    assert_eq!(value("gateway_readings_accepted_total", &[]), 2.0);
    assert_eq!(value("gateway_lines_malformed_total", &[]), 1.0);
    assert_eq!(value("trilane_router_leases_out", &[("endpoint", "3")]), 0.0);
    assert_eq!(value("trilane_router_endpoints", &[("state", "member")]), 4.0);
    assert!(value("trilane_tasks_spawned_total", &[("worker", "0")]) > 0.0);
    let tasks = get(&address, "GET /tasks HTTP/1.1\r\n\r\n");
    assert!(tasks.contains(" waiting: source\n"), "{tasks}");
    let json = get(&address, "GET /tasks.json HTTP/1.1\r\n\r\n");
    let json: serde_json::Value = serde_json::from_str(body(&json)).unwrap();
    let source = |task: &&serde_json::Value| task["name"] == "source" && task["state"] == "waiting";
    assert_eq!(json["tasks"].as_array().unwrap().iter().filter(source).count(), 1, "{json:#}");
    assert!(get(&address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(get(&address, "PUT / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(get(&address, &"x".repeat(4_097)).starts_with("HTTP/1.1 400 "));
    drop(stdin);
    assert!(gateway.child.wait().unwrap().success());
}
