//! What several runs of a contender come to.

use std::fmt::Write as _;

use super::endpoint::{Micros, Plan};
use super::scenario::Scenario;
use super::simulation::{Outcome, WINDOW};

/// A recovered endpoint is back when it has this share of its fair share.
const BACK: f64 = 0.8;

/// What a contender did in a scenario, over all seeds.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The contender.
    pub who: &'static str,
    served: f64,
    /// Served, in percent of what the reference served with the same seeds: the mean, and its standard error.
    pub relative: f64,
    relative_error: f64,
    /// Microseconds, of the requests of all seeds together.
    p50: u32,
    p99: u32,
    /// The 99th percentile in percent of the reference's, and the standard error over seeds.
    pub relative_p99: f64,
    relative_p99_error: f64,
    errors: f64,
    most_out: f64,
    /// What the busiest of the endpoints got that the scenario doesn't tell apart, in the mean's parts.
    busiest: f64,
    /// Until the watched endpoint has its share, in seconds; `None` if it never had in some run.
    back: Option<f64>,
}

impl Figures {
    /// Of a contender's outcomes and the reference's, seed by seed.
    pub fn of(who: &'static str, scenario: &Scenario, own: &[Outcome], reference: &[Outcome]) -> Self {
        let mean_of = |of: &dyn Fn(&Outcome) -> f64| mean(&own.iter().map(of).collect::<Vec<_>>());
        let served = |outcome: &Outcome| outcome.latencies.len() as f64;
        let pairs = || own.iter().zip(reference);
        let ratios: Vec<f64> = pairs().map(|(a, b)| 100.0 * served(a) / served(b)).collect();
        let p99_ratios: Vec<f64> = pairs()
            .map(|(a, b)| 100.0 * f64::from(percentile(&[a], 99)) / f64::from(percentile(&[b], 99)))
            .collect();
        let all: Vec<&Outcome> = own.iter().collect();
        let backs: Vec<Option<f64>> = own.iter().map(|outcome| back(scenario, outcome)).collect();
        Self {
            who,
            served: mean_of(&served),
            relative: mean(&ratios),
            relative_error: standard_error(&ratios),
            p50: percentile(&all, 50),
            p99: percentile(&all, 99),
            relative_p99: mean(&p99_ratios),
            relative_p99_error: standard_error(&p99_ratios),
            errors: mean_of(&|outcome| outcome.errors as f64),
            most_out: mean_of(&|outcome| outcome.most_out as f64),
            busiest: mean_of(&|outcome| busiest(scenario, outcome)),
            back: backs.into_iter().collect::<Option<Vec<f64>>>().map(|backs| mean(&backs)),
        }
    }

    /// A line for machines. What isn't a number is null.
    pub fn to_json(&self, scenario: &str) -> String {
        let number = |value: f64| if value.is_finite() { format!("{value:.3}") } else { "null".into() };
        let back = self.back.map_or("null".into(), number);
        format!(
            r#"{{"scenario":"{scenario}","who":"{}","served":{},"relative":{},"relative_error":{},"p50_us":{},"p99_us":{},"relative_p99":{},"relative_p99_error":{},"errors":{},"most_out":{},"busiest":{},"back_s":{back}}}"#,
            self.who,
            number(self.served),
            number(self.relative),
            number(self.relative_error),
            self.p50,
            self.p99,
            number(self.relative_p99),
            number(self.relative_p99_error),
            number(self.errors),
            number(self.most_out),
            number(self.busiest),
        )
    }
}

/// A table for the reader.
pub fn to_text(scenario: &Scenario, figures: &[Figures]) -> String {
    let mut text = format!("\n{}: {}\n", scenario.name, scenario.about);
    let watched = scenario.watched.is_some();
    let _ = write!(
        text,
        "  {:28} {:>8} {:>14} {:>9} {:>9} {:>14} {:>8} {:>5} {:>8}",
        "", "served", "% of exact", "p50 ms", "p99 ms", "% of exact", "errors", "most", "busiest"
    );
    text.push_str(if watched { "  back s\n" } else { "\n" });
    for row in figures {
        let milli = |micros: u32| f64::from(micros) / 1_000.0;
        let _ = write!(
            text,
            "  {:28} {:>8.0} {:>7.1} ± {:<4.1} {:>9.2} {:>9.2} {:>7.0} ± {:<4.0} {:>8.1} {:>5.0} {:>8.2}",
            row.who,
            row.served,
            row.relative,
            row.relative_error,
            milli(row.p50),
            milli(row.p99),
            row.relative_p99,
            row.relative_p99_error,
            row.errors,
            row.most_out,
            row.busiest,
        );
        match row.back {
            Some(back) if watched => {
                let _ = writeln!(text, "  {back:6.1}");
            }
            None if watched => text.push_str("   never\n"),
            _ => text.push('\n'),
        }
    }
    text
}

/// The least latency that so many percent of the requests don't exceed; 0 if there are none.
fn percentile(outcomes: &[&Outcome], percent: usize) -> u32 {
    let mut latencies: Vec<u32> = outcomes.iter().flat_map(|outcome| &outcome.latencies).copied().collect();
    if latencies.is_empty() {
        return 0;
    }
    let rank = (latencies.len() * percent).div_ceil(100) - 1;
    *latencies.select_nth_unstable(rank).1
}

/// Until the watched endpoint has its share in a window and the next.
fn back(scenario: &Scenario, outcome: &Outcome) -> Option<f64> {
    let (watched, _) = scenario.watched?;
    // Of the zone that it is in, by weight.
    let zone = scenario.endpoints[watched].zone;
    let weight = |plan: &Plan| f64::from(plan.weight);
    let all: f64 = scenario.endpoints.iter().filter(|plan| plan.zone == zone).map(weight).sum();
    let fair = weight(&scenario.endpoints[watched]) / all;
    let smooth = outcome.shares.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
    let windows = smooth.take_while(|&share| share < BACK * fair).count();
    (windows + 1 < outcome.shares.len()).then(|| (windows as Micros * WINDOW) as f64 / 1e6)
}

/// The busiest of those to which nothing happens and that are as the last of them is.
fn busiest(scenario: &Scenario, outcome: &Outcome) -> f64 {
    let changes = |endpoint| scenario.changes.iter().any(|&(_, changed, _)| changed == endpoint);
    let steady = || (0..scenario.endpoints.len()).filter(|&endpoint| !changes(endpoint));
    let Some(last) = steady().next_back() else { return f64::NAN };
    let equal = |endpoint: &usize| scenario.endpoints[*endpoint] == scenario.endpoints[last];
    let sent: Vec<f64> = steady().filter(equal).map(|endpoint| outcome.sent[endpoint] as f64).collect();
    sent.iter().copied().fold(f64::NAN, f64::max) / mean(&sent)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn standard_error(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let n = values.len() as f64;
    if n < 2.0 { 0.0 } else { (squares / (n - 1.0) / n).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_rank() {
        let outcome = Outcome { latencies: (1..=200).rev().collect(), ..Outcome::default() };
        assert_eq!([1, 50, 99, 100].map(|percent| percentile(&[&outcome], percent)), [2, 100, 198, 200]);
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        assert_eq!(standard_error(&[1.0, 3.0]), 1.0);
        assert_eq!(standard_error(&[4.0]), 0.0);
    }
}
