//! The page of a run shows what was in it.

use std::collections::BTreeSet;

use trilane_adversary::notes::What;
use trilane_adversary::picture::page;
use trilane_adversary::plan::Plan;
use trilane_adversary::run::{Outcome, run};

/// Enough for there to be something of everything.
const SEEDS: std::ops::Range<u64> = 1..61;

fn pages() -> impl Iterator<Item = (Outcome, String)> {
    SEEDS.map(|seed| {
        let plan = Plan::new(seed);
        let outcome = run(&plan, true);
        let page = page(&plan, &outcome);
        (outcome, page)
    })
}

#[test]
fn a_page_has_every_lane_term_cut_and_mark_of_its_run() {
    let (mut deaths, mut ingresses, mut members) = (0, 0, 0);
    for (outcome, page) in pages() {
        let count = |text: &str| page.matches(text).count();
        let nodes: BTreeSet<String> = outcome.notes.iter().map(|note| note.node.to_string()).collect();
        for node in &nodes {
            assert_eq!(count(&format!(r#"data-lane="{node}""#)), 1, "{node}");
            assert_eq!(count(&format!(">{node}</text>")), 1, "{node}");
        }
        assert_eq!(count("data-lane="), nodes.len());
        for term in 1..=outcome.terms {
            assert_eq!(count(&format!(r#"data-term="{term}""#)), 1, "{term}");
        }
        assert_eq!(count("data-term="), outcome.terms as usize);
        assert_eq!(count(r#"line class="cut""#), outcome.terms as usize - 1);
        assert_eq!(count(r#"line class="heals""#), 1);
        // One of each is in the legend.
        let noted =
            |what: &dyn Fn(&What) -> bool| 1 + outcome.notes.iter().filter(|note| what(&note.what)).count();
        assert_eq!(count(r##"href="#dies""##), noted(&|what| *what == What::Dies));
        assert_eq!(count(r##"href="#restarts""##), noted(&|what| *what == What::Restarts));
        assert_eq!(count(r##"href="#suspects""##), noted(&|what| matches!(what, What::Suspects { .. })));
        assert_eq!(count(r#"circle class="output""#), 1 + outcome.outputs);
        deaths += outcome.deaths;
        ingresses += nodes.iter().filter(|node| node.starts_with("ingress")).count();
        members = members.max(nodes.iter().filter(|node| node.starts_with("member")).count());
    }
    // Else there was little to be seen.
    assert!(deaths > 40 && ingresses > 70 && members == 5, "{deaths} {ingresses} {members}");
}

#[test]
fn a_page_is_small_needs_nothing_else_and_its_tags_match() {
    for (_, page) in pages() {
        assert!(page.len() < 1_000_000);
        assert!(!page.contains("http") && !page.contains("src="));
        let mut open = Vec::new();
        let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it is a page");
        while let Some((_, behind)) = rest.split_once('<') {
            let (tag, behind) = behind.split_once('>').expect("a tag ends");
            assert!(!tag.contains('<') && !tag.contains('{'), "{tag}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().expect("it has a name"));
            }
            rest = behind;
            if open.last() == Some(&"script") {
                rest = &rest[rest.find("</script>").expect("a script ends")..];
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}
