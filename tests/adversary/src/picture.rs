//! A run as a page: lanes for all nodes, time to the right.

use std::fmt::{self, Write};

use trilane::group::Mark;

use crate::message::Node;
use crate::notes::{Note, State, What};
use crate::plan::Plan;
use crate::run::Outcome;

/// The page around the picture.
const PAGE: &str = include_str!("picture.html");
/// Of the column of names, and about what is beside it in a window of 1,400.
const NAMES: u64 = 104;
const WIDTH: u64 = 1_260;
/// Above the lanes, where terms and cuts have their numbers; where lines begin; below, for the axis.
const HEAD: u64 = 56;
const LINES: u64 = 24;
const FOOT: u64 = 34;
/// Of a lane and its bar.
const LANE: u64 = 40;
const BAR: u64 = 20;
/// The outlet's is higher, for its dots.
const HIGHER: u64 = 22;
/// The colours of terms, again and again.
const COLOURS: [&str; 8] =
    ["#1f77b4", "#d2691e", "#2e8b57", "#b03060", "#6a5acd", "#8b6914", "#008b8b", "#708090"];
struct Lane {
    node: Option<Node>,
    top: u64,
    /// The place and the height of its bar.
    bar: (u64, u64),
}

/// What is drawn so far.
struct Drawing<'a> {
    notes: &'a [Note],
    lanes: Vec<Lane>,
    /// When, which term began, behind what.
    cuts: Vec<(u64, u64, Mark)>,
    end: u64,
    height: u64,
    svg: String,
}

/// The page of a run with its notes.
pub fn page(plan: &Plan, outcome: &Outcome) -> String {
    let mut drawing = Drawing::new(outcome);
    drawing.terms();
    drawing.lanes();
    drawing.lines();
    drawing.partitions();
    drawing.losses();
    drawing.outputs();
    drawing.marks();
    drawing.axis();
    let result = match (outcome.violation, &outcome.complaint) {
        (None, _) => "Nothing was lost, doubled or changed".into(),
        (Some(violation), None) => format!("{violation:?}"),
        (Some(violation), Some(complaint)) => format!("{violation:?}: {complaint}"),
    };
    let Outcome { ticks, terms, deaths, outputs, .. } = outcome;
    let told =
        format!("{result}. Ticks: {ticks}; terms: {terms}; deaths of members: {deaths}; outputs: {outputs}.");
    let parts = [
        ("{title}", format!("A group against the adversary: seed {}", plan.seed)),
        ("{outcome}", escaped(told)),
        ("{plan}", escaped(format_args!("{plan:?}"))),
        ("{names}", NAMES.to_string()),
        ("{height}", drawing.height.to_string()),
        ("{names_of_lanes}", drawing.names()),
        ("{picture}", drawing.svg),
    ];
    parts.iter().fold(PAGE.to_owned(), |page, (place, text)| page.replace(place, text))
}

fn escaped(text: impl fmt::Display) -> String {
    text.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const fn colour(term: u64) -> &'static str {
    COLOURS[(term % COLOURS.len() as u64) as usize]
}

/// The symbol of what happened, if it has one.
const fn symbol(what: &What) -> Option<&'static str> {
    Some(match what {
        What::Dies => "dies",
        What::Restarts => "restarts",
        What::Begins { .. } => "begins",
        What::Active { .. } => "granted",
        What::Snapshot(_) => "snapshot",
        What::Suspects { .. } => "suspects",
        What::Slow { .. } => "slow",
        What::StandsStill => "stands-still",
        What::Violates(_) => "violates",
        _ => return None,
    })
}

impl<'a> Drawing<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let mut nodes: Vec<Node> = outcome.notes.iter().map(|note| note.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut height = HEAD;
        let mut lane = |node| {
            let (top, higher) = (height, if node == Some(Node::Outlet) { HIGHER } else { 0 });
            height += LANE + higher;
            Lane { node, top, bar: (top + 6, BAR + higher) }
        };
        let lanes = nodes.into_iter().map(Some).chain([None]).map(&mut lane).collect();
        let cut = |note: &Note| match note.what {
            What::Term { term, cut } => Some((note.tick, term, cut)),
            _ => None,
        };
        let cuts = outcome.notes.iter().filter_map(cut).collect();
        let (end, height) = (outcome.ticks.max(1), height + FOOT);
        Self { notes: &outcome.notes, lanes, cuts, end, height, svg: String::new() }
    }

    fn draw(&mut self, text: fmt::Arguments<'_>) {
        self.svg.write_fmt(text).expect("a string takes it");
        self.svg.push('\n');
    }

    /// Where a tick is, in hundredths of the width.
    fn x(&self, tick: u64) -> f64 {
        // So that what happens first and last is seen.
        0.5 + 99.0 * tick as f64 / self.end as f64
    }

    fn bar_of(&self, node: Node) -> (u64, u64) {
        self.lanes.iter().find(|lane| lane.node == Some(node)).expect("it has a note").bar
    }

    fn names(&self) -> String {
        let mut names = String::new();
        for Lane { node, top, .. } in &self.lanes {
            let name = node.map_or_else(|| "network".into(), |node| node.to_string());
            let _ = write!(names, r#"<path class="lane" d="M0 {top}H{NAMES}"/>"#);
            let _ = write!(names, r#"<text x="8" y="{}">{name}</text>"#, top + 20);
        }
        for (text, y) in [("term", 16), ("cut behind", 36), ("tick", self.height - 6)] {
            let _ = write!(names, r#"<text x="8" y="{y}">{text}</text>"#);
        }
        names
    }

    /// A rectangle from a tick to another, with what it is.
    fn bar(&mut self, (from, to): (u64, u64), (y, height): (u64, u64), look: &str, title: impl fmt::Display) {
        let (x, width) = (self.x(from), self.x(to) - self.x(from));
        let title = escaped(title);
        self.draw(format_args!(
            r#"<rect x="{x:.3}%" width="{width:.3}%" y="{y}" height="{height}" {look}><title>{title}; ticks {from} to {to}</title></rect>"#
        ));
    }

    fn line(&mut self, tick: u64, class: &str, title: impl fmt::Display) {
        let (x, bottom, title) = (self.x(tick), self.height - FOOT, escaped(title));
        self.draw(format_args!(
            r#"<line class="{class}" x1="{x:.3}%" x2="{x:.3}%" y1="{LINES}" y2="{bottom}"><title>{title}</title></line>"#
        ));
    }

    /// Bands with the terms' numbers, and the cuts between them.
    fn terms(&mut self) {
        let cuts = self.cuts.iter().map(|(tick, term, _)| (*tick, *term));
        let begins: Vec<_> = [(0, 1)].into_iter().chain(cuts).collect();
        let ends = begins.iter().skip(1).map(|(tick, _)| *tick).chain([self.end]);
        for ((from, term), to) in begins.iter().copied().zip(ends) {
            let (fill, title) = (format!(r#"fill="{}""#, colour(term)), format!("term {term}"));
            let under = (LINES, self.height - FOOT - LINES);
            self.bar((from, to), under, &format!(r#"{fill} opacity=".07""#), &title);
            self.bar((from, to), (3, 18), &format!(r#"{fill} data-term="{term}""#), &title);
            let (x, width) = (self.x(from), self.x(to) - self.x(from));
            self.draw(format_args!(
                r#"<svg x="{x:.3}%" width="{width:.3}%" height="24" pointer-events="none"><text class="number" x="50%" y="16">{term}</text></svg>"#
            ));
        }
    }

    /// Where terms begin, and where the faults end.
    fn lines(&mut self) {
        // A label goes where the one before it in the row has ended.
        let mut rows = [0; 2];
        for (tick, term, cut) in std::mem::take(&mut self.cuts) {
            let label = format!("{}:{}", cut.term, cut.sequence.get());
            self.line(tick, "cut", format_args!("term {term} begins behind {label}, tick {tick}"));
            let from = WIDTH * tick / self.end;
            if let Some(row) = rows.iter().position(|end| *end <= from) {
                rows[row] = from + 8 + 7 * label.len() as u64;
                let (x, y) = (self.x(tick), 36 + 12 * row);
                let side =
                    if from + 40 < WIDTH { "" } else { r#" transform="translate(-4)" text-anchor="end""# };
                self.draw(format_args!(
                    r#"<svg x="{x:.3}%" overflow="visible"><text x="2" y="{y}"{side}>{label}</text></svg>"#
                ));
            }
        }
        for note in self.notes.iter().filter(|note| note.what == What::Heals) {
            self.line(note.tick, "heals", format_args!("the faults end, tick {}", note.tick));
        }
    }

    /// How everybody is, from each change to the next.
    fn lanes(&mut self) {
        for place in 0..self.lanes.len() {
            let Lane { node, top, bar } = self.lanes[place];
            self.draw(format_args!(r#"<line class="lane" x2="100%" y1="{top}" y2="{top}"/>"#));
            let Some(node) = node else { continue };
            self.draw(format_args!(r#"<g data-lane="{node}" shape-rendering="crispEdges">"#));
            for (span, state) in self.spans(node, |state| Some(*state)) {
                let look = format!(r#"class="{:?}""#, state.phase).to_lowercase();
                self.bar(span, bar, &look, format_args!("{node}: {state}"));
            }
            for (span, term) in self.spans(node, |state| (state.term > 0).then_some(state.term)) {
                let look = format!(r#"fill="{}""#, colour(term));
                self.bar(span, (bar.0 + bar.1, 4), &look, format_args!("{node} knows of term {term}"));
            }
            for (span, ()) in self.spans(node, |state| state.is_still.then_some(())) {
                self.bar(span, bar, r#"class="still""#, format_args!("{node} does nothing"));
            }
            for (span, ()) in self.spans(node, |state| state.is_excluded.then_some(())) {
                self.bar(span, (top + 2, 3), r#"class="excluded""#, format_args!("{node} is not waited for"));
            }
            self.draw(format_args!("</g>"));
        }
    }

    /// The spans of ticks in which something of a node's state stays the same.
    fn spans<T: PartialEq>(&self, node: Node, part: impl Fn(&State) -> Option<T>) -> Vec<((u64, u64), T)> {
        let mut changes: Vec<(u64, Option<T>)> = Vec::new();
        for note in self.notes.iter().filter(|note| note.node == node) {
            let What::State(state) = &note.what else { continue };
            let part = part(state);
            if changes.last().is_none_or(|(_, last)| *last != part) {
                // The first is how all was from the start.
                changes.push((if note.tick == 1 { 0 } else { note.tick }, part));
            }
        }
        let ends: Vec<u64> = changes.iter().skip(1).map(|(tick, _)| *tick).chain([self.end]).collect();
        let spans = changes.into_iter().zip(ends);
        spans.filter_map(|((from, part), to)| Some(((from, to), part?))).collect()
    }

    fn partitions(&mut self) {
        let bar = self.lanes.last().expect("the network has one").bar;
        let parted = |note: &&Note| matches!(note.what, What::Parted { .. } | What::Heals);
        let notes: Vec<&Note> = self.notes.iter().filter(parted).collect();
        for (place, note) in notes.iter().enumerate() {
            let What::Parted { until, .. } = note.what else { continue };
            // Another takes its place.
            let next = notes.get(place + 1).map_or(self.end, |next| next.tick);
            let span = (note.tick, until.min(next).min(self.end));
            self.bar(span, bar, r#"class="parted""#, &note.what);
        }
    }

    /// Ticks for the messages that each has sent in vain: as one path, which is stretched to the width.
    fn losses(&mut self) {
        let end = self.end;
        for node in self.lanes.iter().filter_map(|lane| lane.node).collect::<Vec<_>>() {
            let lost = |note: &&Note| note.node == node && note.what == What::Lost;
            let ticks: Vec<u64> = self.notes.iter().filter(lost).map(|note| note.tick).collect();
            let (top, height) = self.bar_of(node);
            let y = top + height + 5;
            let path: String = ticks
                .chunk_by(|one, next| one == next)
                .map(|same| format!("M{} 0V{}", same[0], (2 + 2 * same.len()).min(8)))
                .collect();
            if !path.is_empty() {
                self.draw(format_args!(
                    r#"<svg x="0.5%" width="99%" y="{y}" height="8" viewBox="0 0 {end} 8" preserveAspectRatio="none" overflow="visible"><path class="lost" d="{path}"><title>{} messages of {node} are lost</title></path></svg>"#,
                    ticks.len()
                ));
            }
        }
    }

    /// What the outlet lets out, and what producers have heard of.
    fn outputs(&mut self) {
        let mut last = (0, 0);
        for note in self.notes {
            let x = self.x(note.tick);
            let (top, height) = self.bar_of(note.node);
            let title = format!("{}: {}, tick {}", note.node, note.what, note.tick);
            match note.what {
                What::LetsOut { term, is_hand_over, .. } => {
                    // Those of one tick are above each other.
                    last = (note.tick, if last.0 == note.tick { last.1 + 1 } else { 0 });
                    let (colour, y) = (colour(term), top + height - 5 - 8 * (last.1 % 4));
                    let look = if is_hand_over {
                        format!(r#"class="hand-over" r="3.2" stroke="{colour}""#)
                    } else {
                        format!(r#"class="output" r="4" fill="{colour}""#)
                    };
                    self.draw(format_args!(
                        r#"<circle {look} cx="{x:.3}%" cy="{y}"><title>{title}</title></circle>"#
                    ));
                }
                What::Acknowledged(_) => self.draw(format_args!(
                    r#"<rect class="acked" x="{x:.3}%" y="{top}" width="2" height="{BAR}"><title>{title}</title></rect>"#
                )),
                _ => {}
            }
        }
    }

    fn marks(&mut self) {
        let mut active = Vec::new();
        for note in self.notes {
            let Some(id) = symbol(&note.what) else { continue };
            if let What::Active { term } = note.what {
                // It says so again and again.
                if active.contains(&(note.node, term)) {
                    continue;
                }
                active.push((note.node, term));
            }
            // A restart often follows a death at once.
            let down = match note.what {
                What::Dies => 5,
                What::Restarts => 15,
                _ => BAR / 2,
            };
            let (x, y) = (self.x(note.tick), self.bar_of(note.node).0 + down);
            let title = escaped(format_args!("{}: {}, tick {}", note.node, note.what, note.tick));
            self.draw(format_args!(
                r##"<use href="#{id}" x="{x:.3}%" y="{y}"><title>{title}</title></use>"##
            ));
        }
    }

    fn axis(&mut self) {
        let steps = [5, 10, 20, 50, 100, 200, 500];
        let step = steps.into_iter().find(|step| self.end / step <= 24).unwrap_or(1_000);
        let (bottom, text) = (self.height - FOOT, self.height - 6);
        self.draw(format_args!(r#"<line class="lane" x2="100%" y1="{bottom}" y2="{bottom}"/>"#));
        for tick in (0..=self.end).step_by(step as usize) {
            let x = self.x(tick);
            self.draw(format_args!(r#"<text class="axis" x="{x:.3}%" y="{text}">{tick}</text>"#));
        }
    }
}
