//! The command line.

use std::net::SocketAddr;

/// What is said for `--help`.
pub const HELP: &str = "\
Reads sensors' readings, a line each (a name, a space, a number), and writes an
alert when a sensor's value rises to the limit, another when it falls again.

  gateway [OPTIONS] < readings

  --listen ADDRESS   take readings from TCP connections, 900 at a time, not from
                     standard input
  --http ADDRESS     serve /metrics, /tasks and /tasks.json
  --limit NUMBER     the limit (5)
  --analysts NUMBER  tasks that look at readings, 1 to 32 (4)
  --workers NUMBER   threads, 1 to 64 (as many as there are processors)
  --help

Addresses are as 127.0.0.1:4000. SIGINT and SIGTERM end it: what it has accepted
is handled, then it reports. A second one ends it at once.";

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// Where to listen, instead of reading standard input.
    pub listen: Option<SocketAddr>,
    /// Where to serve what there is to see.
    pub http: Option<SocketAddr>,
    /// From which value on there is an alert.
    pub limit: f64,
    /// How many tasks look at readings.
    pub analysts: usize,
    /// How many threads.
    pub workers: Option<usize>,
}

/// The arguments; `Ok(None)` if help is asked for.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
    let mut args = Args { listen: None, http: None, limit: 5.0, analysts: 4, workers: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let bad = |value: &str, wanted: &str| format!("{word} {value}: not {wanted}");
        let address = |value: String| value.parse().map_err(|_| bad(&value, "an address and a port"));
        let number = |value: String, most: usize| {
            let number = value.parse().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| bad(&value, &format!("a number from 1 to {most}")))
        };
        match word.as_str() {
            "--listen" => args.listen = Some(address(value()?)?),
            "--http" => args.http = Some(address(value()?)?),
            "--limit" => {
                let text = value()?;
                let limit = text.parse().ok().filter(|limit: &f64| limit.is_finite());
                args.limit = limit.ok_or_else(|| bad(&text, "a finite number"))?;
            }
            "--analysts" => args.analysts = number(value()?, 32)?,
            "--workers" => args.workers = Some(number(value()?, 64)?),
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(Some(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Option<Args>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_could() {
        assert_eq!(of("--limit 7 --workers 2").unwrap().unwrap().limit, 7.0);
        assert_eq!(of("--workers 2 --help"), Ok(None));
        for (line, says) in [
            ("--workers 0", "1 to 64"),
            ("--analysts 33", "1 to 32"),
            ("--limit nan", "finite"),
            ("--listen here", "an address and a port"),
            ("--http", "needs a value"),
            ("--port 7", "unknown argument --port"),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
