//! The goals as a picture: a bar for each of ours, as long as it is better than the best of the peers.

use std::fmt::Write as _;

use super::table::{judged, number};
use super::{Goal, Reached, Verdict};
use crate::entry::Entry;

/// A picture (SVG) of the goals for which a peer was measured. It follows the colours of its reader, light or dark.
pub(crate) fn svg(entries: &[Entry<'_>], below: &str) -> String {
    let rows: Vec<_> = judged(entries).filter(|(_, verdict)| verdict.best.is_some()).collect();
    let bars: usize = rows.iter().map(|(_, verdict)| verdict.ours.len()).sum();
    let bottom = TOP + bars as f64 * BAR + rows.len() as f64 * GAP;
    let height = bottom + FOOT;
    let mut svg = head(height);
    scale(&mut svg, bottom);
    let mut y = TOP;
    for (goal, verdict) in &rows {
        y = row(&mut svg, goal, verdict, y);
    }
    text(&mut svg, LEFT, height - 18.0, "t", below);
    svg + "</svg>\n"
}

fn head(height: f64) -> String {
    let title = "handfast beside its peers: how many times better than the best of them";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{title}\">\n\
         {STYLE}<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" class=\"ground\"/>\n"
    );
    text(&mut svg, LEFT, 24.0, "title", title);
    let keys = [("tokio", "core, or on tokio"), ("mio", "on mio"), ("goal", "goal")];
    for ((class, name), x) in keys.into_iter().zip([0.0, 150.0, 230.0]) {
        let x = LEFT + x;
        let width = if class == "goal" { MARK } else { 14.0 };
        rect(&mut svg, [x, 35.0, width, 11.0], class);
        text(&mut svg, x + width + 5.0, 45.0, "t", name);
    }
    svg
}

/// Lines at powers of two; that of the best peer stands out.
fn scale(svg: &mut String, bottom: f64) {
    let mut times = LEAST;
    while times <= MOST {
        let (x, is_one) = (place(times), times == 1.0);
        let class = if is_one { "one" } else { "line" };
        writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\" class=\"{class}\"/>",
            TOP - 6.0
        )
        .expect("a string takes all");
        let name = if is_one { "best peer".to_owned() } else { format!("{times}") };
        text(svg, x, TOP - 11.0, "m", &name);
        times *= 2.0;
    }
}

/// A goal's bars, and the mark of what is enough. Returns where the next goal begins.
fn row(svg: &mut String, goal: &Goal, verdict: &Verdict<'_>, top: f64) -> f64 {
    let height = verdict.ours.len() as f64 * BAR;
    let peer = verdict.best.map_or("", |(peer, _)| peer.split(" (").next().unwrap_or(peer));
    let middle = top + height / 2.0 + 4.0;
    text(svg, LEFT, middle, "t", goal.what);
    text(svg, WIDTH - 12.0, middle, "e", peer);
    // Right of the bar, and of the mark if that would cross the number.
    let mark = verdict.goal.map_or(0.0, place);
    let beside =
        |end: f64| if (end - 3.0..end + 32.0).contains(&mark) { mark + 5.0 } else { end + 4.0 };
    for (at, Reached { better, .. }) in verdict.ours.iter().enumerate() {
        let Some(better) = *better else { continue };
        let y = top + at as f64 * BAR;
        let (zero, end) = (place(1.0), place(better));
        let class = if at == 0 { "tokio" } else { "mio" };
        rect(svg, [zero.min(end), y + 1.0, (end - zero).abs().max(1.0), BAR - 2.0], class);
        let (x, anchor) = if better >= 1.0 { (beside(end), "t") } else { (end - 4.0, "e") };
        text(svg, x, y + BAR - 3.0, anchor, &number(better));
    }
    if let Some(enough) = verdict.goal {
        rect(svg, [place(enough) - MARK / 2.0, top - 1.0, MARK, height + 2.0], "goal");
    }
    top + height + GAP
}

/// Where so many times better is, on a logarithmic scale.
fn place(times: f64) -> f64 {
    let share = |times: f64| (times.clamp(LEAST, MOST) / LEAST).log2();
    CHART + share(times) / share(MOST) * CHART_WIDTH
}

fn rect(svg: &mut String, [x, y, width, height]: [f64; 4], class: &str) {
    writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"/>")
        .expect("a string takes all");
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>")
        .expect("a string takes all");
}

/// The least and the most that the scale shows.
const LEAST: f64 = 0.125;
const MOST: f64 = 16.0;
const WIDTH: f64 = 960.0;
const LEFT: f64 = 12.0;
/// Where the bars are.
const CHART: f64 = 360.0;
const CHART_WIDTH: f64 = 470.0;
const TOP: f64 = 78.0;
const FOOT: f64 = 44.0;
const BAR: f64 = 14.0;
const GAP: f64 = 9.0;
/// The width of a goal's mark.
const MARK: f64 = 3.0;

const STYLE: &str = "\
<style>
.ground{fill:#fff;stroke:#d0d7de}text{fill:#1f2328}.title{font-size:15px;font-weight:600}.m{text-anchor:middle}.e{text-anchor:end}
.line{stroke:#d8dee4}.one{stroke:#1f2328;stroke-width:1.5}.tokio{fill:#0969da}.mio{fill:#80b8f0}.goal{fill:#cf222e}
@media(prefers-color-scheme:dark){.ground{fill:#0d1117;stroke:#30363d}text{fill:#e6edf3}.line{stroke:#2a313a}.one{stroke:#e6edf3}
.tokio{fill:#2f81f7}.mio{fill:#a5cdfb}.goal{fill:#ff7b72}}
</style>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_it_is_better_and_stays_in_the_picture() {
        assert_eq!(place(LEAST), CHART);
        assert_eq!(place(MOST), CHART + CHART_WIDTH);
        assert_eq!((place(0.0), place(1e9)), (place(LEAST), place(MOST)));
        let (one, two, four) = (place(1.0), place(2.0), place(4.0));
        assert!(((two - one) - (four - two)).abs() < 1e-9 && two > one);
    }

    #[test]
    fn a_goal_has_its_bars_its_peer_and_its_mark() {
        let of = |system, value| Entry {
            bench: "echo",
            case: "echo",
            system,
            metric: "p99",
            value,
            unit: "us",
        };
        let entries = [
            of("handfast, tokio", 40.0),
            of("handfast, mio", 10.0),
            of("quinn", 30.0),
            of("rusty_enet (no encryption)", 20.0),
        ];
        let picture = svg(&entries, "a < b & c");
        for part in [
            ">echo of 64 bytes, 99th percentile</text>",
            ">rusty_enet</text>",
            ">0.50</text>",
            ">2.00</text>",
            "a &lt; b &amp; c</text>",
        ] {
            assert_eq!(picture.matches(part).count(), 1, "{part} in {picture}");
        }
        // One in the legend, and one for the goal.
        assert_eq!(picture.matches("class=\"goal\"").count(), 2);
        // Without a peer there is nothing to draw.
        assert!(!svg(&entries[..2], "").contains("echo of"));
    }
}
